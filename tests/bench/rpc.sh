#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Loads ptd with h2load as peers/grpc-cpp/run loads the official C++ gRPC server: the same arguments, one loop, best of three.
# Prints "name calls-per-second mean-latency" a line, for memory "name value". After each row the daemon's own counters
# must show that every call did its work, else this fails.
# Usage: rpc.sh BUILD load|memory   (needs BUILD/ptd and BUILD/python; PYTHON names the interpreter)
set -eu
build=$1
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
scratch=$(mktemp -d)
daemon=
trap 'stop; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
unix=unix:$scratch/ptd.sock
port=$("$python" "$here/rpc.py" port)
export PYTHONPATH="$build/python"

rpc() {
	"$python" "$here/rpc.py" "$@"
}

start() {
	"$build/ptd" --loops 1 --listen "$unix" --listen "tcp:127.0.0.1:$port" --allow-clear-tcp >"$scratch/log" 2>&1 &
	daemon=$!
	rpc wait "$unix" || { cat "$scratch/log" >&2; exit 1; }
}

stop() {
	[ -n "$daemon" ] || return 0
	kill "$daemon" 2>/dev/null || :
	wait "$daemon" 2>/dev/null || :
	daemon=
}

# One h2load run: "rate mean" on stdout, its whole report kept for a look after a failure.
once() { # requests connections streams body target wrapper...
	requests=$1 connections=$2 streams=$3 body=$4 target=$5
	shift 5
	base=
	[ "$target" = tcp ] || base=$unix
	"$@" h2load -n "$requests" -c "$connections" -m "$streams" -t 1 -d "$scratch/$body" ${base:+-B "$base"} \
		-H 'content-type: application/grpc' -H 'te: trailers' \
		"http://127.0.0.1:$port/ptd.v1.MappingService/Apply" >"$scratch/report" 2>&1 ||
		{ cat "$scratch/report" >&2; exit 1; }
	awk '/^finished/ {rate = $4} /^time for request/ {mean = $6} END {print rate, mean}' "$scratch/report"
}

load() { # name maps-per-call requests connections streams body target wrapper...
	name=$1 maps=$2 requests=$3
	shift 2
	rpc count "$unix" >"$scratch/before"
	: >"$scratch/runs"
	for _ in 1 2 3; do
		once "$@" >>"$scratch/runs"
	done
	rpc verify "$unix" "$scratch/before" "$name" $((3 * requests)) "$maps"
	sort -g "$scratch/runs" | tail -n 1 | sed "s/^/$name /"
}

start
if [ "$2" = memory ]; then
	rpc memory "$unix" "$daemon"
	exit 0
fi
rpc bodies "$unix" "$scratch"
load unary_4x32 1 300000 4 32 unary.bin tcp env
load batch512_2x4 256 10000 2 4 batch512.bin tcp env
taskset -apc 0 "$daemon" >/dev/null
load unary_lone 1 20000 1 1 unary.bin tcp taskset -c 0
load unary_lone_unix 1 20000 1 1 unary.bin unix taskset -c 0
