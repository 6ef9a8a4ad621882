# SPDX-License-Identifier: BSD-2-Clause
# The official client with a client certificate, which it has no option for:
#   tls_client.rb CLIENT CA CERTIFICATE KEY OPTION... CASE,CASE...
# Each case is run by the official code, on a stub of its own.
client, ca, certificate, key, *options, cases = ARGV
load client

def ssl_creds(_use_test_ca)
  GRPC::Core::ChannelCredentials.new(*FILES.map { |name| File.read(name) })
end
FILES = [ca, key, certificate].freeze

cases.split(',').each do |name|
  ARGV.replace(options + ["--test_case=#{name}"])
  main
end
