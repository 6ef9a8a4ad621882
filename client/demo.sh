#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A tour of ptd through ptctl: client/demo.sh BUILD-FOLDER. Each step compares what it gets; the first
# difference ends the tour with exit code 1.
set -u

build=${1:?usage: demo.sh BUILD-FOLDER}
case $build in /*) ;; *) build=$PWD/$build ;; esac
tree=$(cd "$(dirname "$0")/.." && pwd) || exit 1
dir=$(mktemp -d) || exit 1
daemon=''
export PTD_ENDPOINT="unix:$dir/ptd.sock"

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi

finish() {
	status=$?
	trap - EXIT INT TERM
	if [ -n "$daemon" ]; then
		kill "$daemon" 2>/dev/null
		wait "$daemon" 2>/dev/null || status=1
	fi
	[ "$status" -eq 0 ] || sed 's/^/ptd: /' "$dir/log" >&2
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

wrong() {
	printf '\nthe demo stops here: %s\n' "$*" >&2
	exit 1
}

# show CODE ARGUMENT...: runs ptctl, prints the command and its output, compares the exit code.
show() {
	wanted=$1
	shift
	printf '%s$ ptctl' "$bold"
	for word; do printf ' %s' "$word"; done
	printf '%s\n' "$plain"
	"$build/ptctl" "$@" >"$dir/out" 2>&1
	code=$?
	lines=$(wc -l <"$dir/out")
	sed -n 's/^/    /; 1,14p' "$dir/out"
	[ "$lines" -le 14 ] || printf '    ... %d more lines\n' $((lines - 14))
	[ "$code" -eq "$wanted" ] || wrong "exit code $code, expected $wanted"
}

# has LINE...: each is a line of the last output, whatever the blanks.
has() {
	for line; do
		tr -s ' ' <"$dir/out" | sed 's/^ //; s/ $//' | grep -qxF -- "$line" ||
			wrong "the output has no line '$line'"
	done
}

# value FIELD: of the last output, when that was fields and values.
value() {
	sed -n "s/^$1  *//p" "$dir/out"
}

mkfifo "$dir/ready" || exit 1
"$build/ptd" --listen "$PTD_ENDPOINT" --loops 2 --allow-failpoints >"$dir/ready" 2>"$dir/log" &
daemon=$!
exec 3<"$dir/ready"
read -r line <&3 || wrong "ptd did not start"
case $line in "ptd ready"*) ;; *) wrong "ptd says: $line" ;; esac

say "1. A daemon is up, on a unix socket of its own."
show 0 server info
has "loops 2" "granule 4K,16K,64K"

say "2. A machine with 4 GiB and 4 vCPUs; a guest's stage-2 context; memory behind 1 GiB of it, in 2 MiB pages."
show 0 machine create m0 --memory 4G --vcpus 4
has "memory_bytes 4G" "vcpus 4"
show 0 context create m0/g0 --ipa-bits 40
has "granule 4K" "start_level 1" "table_pages 0"
show 0 slot set m0/g0 0 0x4000_0000 1G 0x4000_0000 --backing 2M
has "leaves_removed 0"

say "3. A vCPU writes where nothing is mapped: it faults, ptd installs a 2 MiB block, the write goes on."
show 0 access write m0/g0 0x4000_1000 1122334455667788 --vcpu 1
has "outcome OK" "pa 0x40001000" "level 2"
grep -q 'translation.*MAPPED' "$dir/out" || wrong "the exit is not shown"
say "Another vCPU reads it back, without a fault."
show 0 access read m0/g0 0x4000_1000 --length 8 --vcpu 2
has "data 1122334455667788"
grep -q MAPPED "$dir/out" && wrong "there was a fault"

say "4. Explicit mappings: whole or not at all, and every answer says what happened."
show 0 map m0/g0 0x8000_0000 1G 0x8000_0000 rw
has "outcome MAPPED" "leaves_written 1" "tables_added 0"
show 0 map m0/g0 0x8000_0000 1G 0x8000_0000 rw
has "outcome ALREADY_MAPPED" "already 1"
show 1 map m0/g0 0x8000_0000 1G 0xc000_0000 rw
grep -q 'PTD-E0068' "$dir/out" || wrong "not OVERLAP"
show 1 map m0/g0 0xc000_0800 4K 0xc000_0000 rw
grep -q 'PTD-E0067' "$dir/out" || wrong "not MISALIGNED"

say "5. One page leaves the 1 GiB block: split precisely, the neighbours keep their mapping."
show 0 unmap m0/g0 0x8020_0000 4K
has "outcome UNMAPPED" "blocks_split 2" "tables_added 2"
show 0 protect m0/g0 0x8020_1000 8K r
has "outcome PROTECTED" "leaves_written 2"

say "6. The walk, step by step."
show 0 translate m0/g0 0x8020_3008 --explain
has "outcome OK" "pa 0x80203008" "level 3" "prot rw--"
show 7 translate m0/g0 0x8020_0000
has "outcome NOT_MAPPED"

say "7. The IPA space as a strip of letters, and the tables in the layout of Linux's stage2_page_tables."
show 0 dump m0/g0 -o strip
has "M 512 x 2M block, level 2" "K 511 x 4K page, level 3"
show 0 dump m0/g0 -o kernel
has "---[ Guest IPA ]---" \
	"0x0000000080200000-0x0000000080201000 4K 3" \
	"0x0000000080201000-0x0000000080203000 8K 3 R PXNUXN AF" \
	"0x0000000080203000-0x0000000080400000 2036K 3 R W PXNUXN AF" \
	"0x0000000080400000-0x00000000c0000000 1020M 2 R W PXNUXN AF BLK"

say "8. What a register or descriptor says, without a daemon."
show 0 decode esr 0x92000047
grep -q 'data abort' "$dir/out" || wrong "not a data abort"

say "9. KVM's kvm_page_table_test, CREATE: 8 vCPUs touch the same pages at once, on 8 connections.
   32 MiB in 4 KiB pages here, then 1 GiB in 2 MiB and 1 GiB blocks; it checks leaves, tables and faults."
show 0 run "$tree/tests/scenarios/kvm_page_table_create_4k.ptd" --set size=32M
has "passed: 37 expectations, 0 failed"

say "10. Out of table memory in the middle of an operation: nothing has changed, and the next call works."
show 0 context digest m0/g0
before=$(value digest_low)$(value digest_high)
[ -n "$before" ] || wrong "no digest"
show 0 failpoint arm pool.reserve --action error --context m0/g0 --nth 1 --times 1
show 1 map m0/g0 0x1_0000_0000 4K 0x1000 rw
grep -q 'PTD-E0064' "$dir/out" || wrong "not NO_MEMORY"
show 0 context digest m0/g0
[ "$before" = "$(value digest_low)$(value digest_high)" ] || wrong "the digest has changed"
printf '    the digest is the same\n'
show 0 map m0/g0 0x1_0000_0000 4K 0x1000 rw
has "outcome MAPPED"

say "11. Memory with owners: what a protected guest is given is out of the host's reach, until it shares it."
show 0 machine create m1 --owners --memory 64M -q
show 0 context create m1/host --kind host --identity -q
show 0 context create m1/g0 --protected -q
show 0 own donate m1 2M --to g0 --pa 4M --ipa 0x4000_0000 --zero
has "generation 2" "annotated 512"
show 7 access read m1/host 4M
has "outcome WRONG_OWNER" "foreign abort"
show 0 own share m1 64K --from g0 --ipa 0x4000_0000 -q
show 0 access read m1/host 4M --length 4
has "data 00000000"
show 5 own donate m1 4K --to g0 --pa 4M --ipa 0x8000_0000
grep -q 'PTD-E0070.*pa 0x400000' "$dir/out" || wrong "not WRONG_OWNER, or of another page"
show 0 own show m1 --matrix
has "host 62M 0 0 62M" "g0 1984K 64K 0 2M"

say "12. The machines go, with everything in them."
show 0 machine delete m0 --force
has "contexts_deleted 1"
show 0 machine delete m1 --force
has "contexts_deleted 2"

say "Every step gave what it should. README.md says where to read on."
