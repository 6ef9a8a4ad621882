// SPDX-License-Identifier: BSD-2-Clause
// The library from C++17: a handle that closes itself, and addresses that cannot be mixed up.
#include <ptd.h>

#include <iostream>
#include <memory>
#include <string>

namespace
{

using client_handle = std::unique_ptr<ptd_client, decltype(&ptd_close)>;

client_handle open(const std::string &endpoint)
{
	ptd_options options{};
	ptd_status status{};

	options.size = sizeof(options);
	options.timeout_ms = 10000;
	client_handle client(ptd_open(endpoint.c_str(), &options, &status), &ptd_close);
	if (!client)
		throw std::string(status.message);
	return client;
}

ptd_translation translate(ptd_client *client, const std::string &name, ptd_ipa ipa)
{
	ptd_translation where{};
	ptd_status status{};
	std::uint64_t context = 0;

	if (ptd_find_context(client, name.c_str(), &context, &status) != PTD_STATE_OK ||
	    ptd_translate(client, context, ipa, PTD_ACCESS_READ, &where, &status) != PTD_STATE_OK)
		throw std::string(status.message);
	return where;
}

} // namespace

int main(int argc, char **argv)
try {
	if (argc != 4)
		return 2;
	const client_handle client = open(argv[1]);
	const ptd_translation where =
		translate(client.get(), argv[2], ptd_ipa{std::stoull(argv[3], nullptr, 0)});

	if (where.outcome != 0)
		std::cout << "outcome " << where.outcome << '\n';
	else
		std::cout << "0x" << std::hex << where.pa.v << '\n';
	return 0;
} catch (const std::string &why) {
	std::cerr << why << '\n';
	return 1;
}
