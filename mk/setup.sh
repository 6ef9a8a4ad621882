#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes sure that the packages named below are installed (Debian 12).
#
#   mk/setup.sh                installs what is missing; needs neither root nor network when nothing is
#   mk/setup.sh --check SET    names what is missing of SET (build or test) and installs nothing
#
# Exit 0: all there. Exit 2: something is missing and could not be, or was not to be, installed.
set -eu

# What `make` needs.
build="gcc make libc6-dev binutils libuv1-dev libnghttp2-dev libnghttp2-14 libprotobuf-c-dev protobuf-c-compiler
protobuf-compiler protobuf-compiler-grpc libssl-dev liburcu-dev libjansson-dev libsmartcols-dev
libinih-dev libsystemd-dev libxxhash-dev scdoc coreutils findutils sed"
# What the tests, the demo, the benchmarks and `make lint` need besides.
tests="clang clang-14 llvm-14 lld libclang-rt-14-dev clang-format clang-format-14 clang-tidy libcmocka-dev g++
gcc-aarch64-linux-gnu qemu-system-arm python3 python3-grpcio python3-protobuf python3-h2 python3-hyperframe python3-hpack bats jq
valgrind gcovr nghttp2-client git patch shellcheck procps systemd systemd-container debootstrap ruby-grpc ruby-googleauth grpc-proto openssl spin
pkg-config"
# nghttp2 before this release lets one peer hold the daemon's memory.
floor_package=libnghttp2-14
floor=1.52.0-1+deb12u3

# The packages of $* that are not installed, or too old, each on a line.
missing() {
	# shellcheck disable=SC2016 # dpkg-query's own variables
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n' "$@" 2>/dev/null |
		awk '$2 == "installed" { print $1, $3 }') || true
	for package; do
		version=$(printf '%s\n' "$installed" | awk -v p="$package" '$1 == p { print $2; exit }')
		if [ -z "$version" ]; then
			echo "$package"
		elif [ "$package" = "$floor_package" ] && dpkg --compare-versions "$version" lt "$floor"; then
			echo "$package"
		fi
	done
}

case "${1-}" in
--check)
	set=${2-build}
	;;
--list)
	# shellcheck disable=SC2086 # lists of words
	printf '%s\n' $build $tests
	exit 0
	;;
"")
	set="test"
	;;
*)
	echo "usage: mk/setup.sh [--check build|test] [--list]" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "mk/setup.sh: no dpkg-query here, so packages are not checked; see the lists in this file" >&2
	exit 0
fi

wanted=$build
[ "$set" = build ] || wanted="$build $tests"
# shellcheck disable=SC2086 # a list of words
absent=$(missing $wanted | tr '\n' ' ')
absent=${absent% }
[ -n "$absent" ] || exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root="sudo "
update="${as_root}apt-get update"
install="${as_root}apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $absent"

if [ "${1-}" = --check ]; then
	echo "missing packages: $absent" >&2
	echo "install them with:  $update && $install" >&2
	exit 2
fi

give_up() {
	echo "mk/setup.sh: could not install: $absent" >&2
	echo "run this as root, with the network up:  apt-get update && apt-get install -y --no-install-recommends $absent" >&2
	exit 2
}

export DEBIAN_FRONTEND=noninteractive
if [ -n "$as_root" ]; then
	if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		give_up
	fi
	as_root="sudo -n DEBIAN_FRONTEND=noninteractive "
fi
# shellcheck disable=SC2086 # both are lists of words
{
	${as_root}apt-get update -o DPkg::Lock::Timeout=300 &&
		${as_root}apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $absent
} </dev/null || give_up
# shellcheck disable=SC2086
[ -z "$(missing $wanted)" ] || give_up
