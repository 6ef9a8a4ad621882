#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Times the core, the daemon and their peers in turn, pass after pass, then prints one table and writes BUILD/bench.jsonl
# and BUILD/bench.svg. A peer that is not there, or cannot be built here, is reported as absent.
# Usage: run.sh BUILD PEERS   (PASSES: how often each side runs; the best of all passes counts)
set -eu
build=$1 peers=$2
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
raw=$build/bench-raw
rm -rf "$raw"
mkdir -p "$raw"

# The C++ server is built from packages that ptd itself has no use for.
prepare_grpc_peer() {
	missing=
	for package in g++ pkg-config protobuf-compiler-grpc libgrpc++-dev libprotobuf-dev nghttp2-client; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	sudo=
	[ "$(id -u)" = 0 ] || sudo="sudo -n"
	$sudo apt-get -qq update >>"$raw/peers.log" 2>&1 || :
	# shellcheck disable=SC2086
	$sudo apt-get -qq install -y --no-install-recommends $missing >>"$raw/peers.log" 2>&1
}

peer() { # folder output
	if [ ! -x "$peers/$1/run" ]; then
		echo "$1 absent: no $1/run under the folder of peers" >>"$raw/absent"
	elif [ "$1" = grpc-cpp ] && ! prepare_grpc_peer; then
		echo "$1 absent: its packages are not installed (bench-raw/peers.log)" >>"$raw/absent"
	elif ! "$peers/$1/run" >>"$raw/$2" 2>>"$raw/peers.log"; then
		echo "$1 absent: its run failed (bench-raw/peers.log)" >>"$raw/absent"
	fi
}

command -v h2load >/dev/null || { echo "bench: h2load is missing (package nghttp2-client)" >&2; exit 2; }
: >"$raw/absent"
for pass in $(seq "${PASSES:-2}"); do
	echo "bench: pass $pass: core" >&2
	peer kvm kvm.txt
	"$build/tests/bench/core" >>"$raw/core.txt"
done
for pass in $(seq "${PASSES:-2}"); do
	echo "bench: pass $pass: daemon" >&2
	peer grpc-cpp grpc.txt
	"$here/rpc.sh" "$build" load >>"$raw/rpc.txt"
	PTD_BUILD=$(cd "$build" && pwd) "$python" "$here/load.py" >>"$raw/rpc.txt"
done
"$here/rpc.sh" "$build" memory >>"$raw/memory.txt"
"$python" "$here/table.py" "$raw" "$build"
