#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs inside the booted system as a service, prints one "ok - ..." or "not ok - ..." a fact, and what it saw behind "# ".
exec >/ptd-guest.log 2>&1
endpoint=unix:/run/ptd/ptd.sock

say() { printf '%s\n' "$1 - $2"; }
# check SENTENCE COMMAND...: the command succeeds
check() {
	local sentence=$1 output
	shift
	if output=$("$@" 2>&1); then say ok "$sentence"; else
		say "not ok" "$sentence"
		printf '%s\n' "$output" | sed 's/^/# /'
	fi
}
show() { systemctl show -P "$1" ptd.service; }
is() { [ "$(show "$1")" = "$2" ] || { echo "$1 is $(show "$1"), not $2"; return 1; }; }
# wait_for SECONDS COMMAND...: polls until it succeeds
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || { "$@"; return 1; }
		sleep 0.1
	done
}
of_process() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$(show MainPID)/status"; }
process_has() { [ "$(of_process "$1")" = "$2" ] || { echo "$1 is $(of_process "$1"), not $2"; return 1; }; }
info() { timeout 20 ptctl --endpoint "${1:-$endpoint}" "${@:2}" server info; }
as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
member() { setpriv --reuid="$1" --regid="$1" --groups=ptd "${@:2}"; }
not() { ! "$@"; }
# Memory, tables and threads under the filters: a guest's store faults, is mapped, and reads back.
work() {
	export PTD_ENDPOINT=$endpoint
	ptctl machine create m0 --memory 1G --vcpus 2 -q && ptctl context create m0/g0 --ipa-bits 40 -q &&
		ptctl slot set m0/g0 0 0x40000000 256M 0 --backing 2M -q &&
		ptctl access write m0/g0 0x40001000 1122334455667788 -q &&
		ptctl map m0/g0 0x80000000 256M 0x10000000 rw -q && ptctl unmap m0/g0 0x80200000 4K -q &&
		ptctl access read m0/g0 0x40001000 --length 8 --vcpu 1 | grep 1122334455667788
}
# The service's own view of the file system.
inside() { nsenter -t "$(show MainPID)" -m "$@"; }

systemd-sysusers && systemd-tmpfiles --create ptd.conf && systemctl daemon-reload
check "ptd.socket starts, and with it no service" sh -c 'systemctl start ptd.socket && ! systemctl is-active ptd.service'
check "the socket is for root and the group ptd" test "$(stat -c '%U:%G:%a' /run/ptd/ptd.sock)" = root:ptd:660
check "a call through the socket starts ptd, and is answered" info
check "ptd has said that it is ready" is ActiveState active
echo "# status: $(show StatusText); exposure: $(systemd-analyze security ptd.service 2>/dev/null | tail -1 | cut -d: -f2)"
check "it runs as the user ptd" test "$(stat -c %U "/proc/$(show MainPID)")" = ptd
check "no capability is in its bounding set" process_has CapBnd 0000000000000000
check "it has no capability" process_has CapEff 0000000000000000
check "it gains no privileges" process_has NoNewPrivs 1
check "system calls are filtered" process_has Seccomp 2
echo "# seccomp filters: $(of_process Seccomp_filters)"
check "a machine works under them: fault, map, unmap, data" work
check "a write to /etc is refused" not inside touch /etc/ptd-was-here
check "a write to /run/ptd is refused" not inside touch /run/ptd/ptd-was-here
echo "# $(inside touch /etc/ptd-was-here 2>&1)"
check "it sees no home" test -z "$(inside ls -A /home /root 2>/dev/null | grep -v :)"
check "it has a network of its own, with a loopback only" test "$(tail -n +3 "/proc/$(show MainPID)/net/dev" | wc -l)" = 1
check "uids of peers mean what they mean outside" grep -qE '^ +0 +0 +4294967295$' "/proc/$(show MainPID)/uid_map"
check "a member of the group ptd is served" member 4242 ptctl --endpoint $endpoint server info
check "and is no administrator" not member 4242 ptctl --endpoint $endpoint server drain
check "another user is not let in" not as 4242 ptctl --endpoint $endpoint server info

pid=$(show MainPID)
check "systemctl stop drains, and the end is a success" sh -c 'systemctl stop ptd.service'
check "the result of the stop" is Result success
check "exit status 0" is ExecMainStatus 0
check "the socket is there still, and the next call starts ptd anew" info
check "another process" test "$(show MainPID)" != "$pid"

mkdir -p /run/systemd/system/ptd.service.d
printf '[Service]\nWatchdogSec=2\n' > /run/systemd/system/ptd.service.d/watchdog.conf
systemctl daemon-reload && systemctl restart ptd.service
pid=$(show MainPID)
sleep 5
check "the watchdog of 2 s leaves a ptd that has nothing to do alone" test "$(show MainPID)" = "$pid"
kill -STOP "$pid"
check "a ptd that is stopped (SIGSTOP) is killed by the watchdog and restarted" wait_for 20 is NRestarts 1
check "the journal names the watchdog" sh -c 'journalctl -u ptd.service -o cat | grep -m1 "Watchdog timeout"'
echo "# $(journalctl -u ptd.service -o cat | grep -i watchdog | tr '\n' ';')"
check "and a call is answered" info
kill -KILL "$(show MainPID)"
check "after SIGKILL it is restarted, too" wait_for 20 is NRestarts 2
check "and a call is answered again" info
rm -r /run/systemd/system/ptd.service.d

systemctl stop ptd.service
check "ptctl tls init makes certificates" ptctl tls init --dir /etc/ptd
chmod 600 /etc/ptd/*.key
mkdir -p /etc/systemd/system/ptd.service.d
cp /usr/share/doc/ptd/examples/tls.conf /etc/systemd/system/ptd.service.d/
systemctl daemon-reload
check "ptd-tls.socket starts" systemctl start ptd-tls.socket
tls="--tls-ca /etc/ptd/ca.crt --tls-certificate /etc/ptd/trial.crt --tls-key /etc/ptd/trial.key"
# shellcheck disable=SC2086 # a list of words
check "a call over TLS starts ptd, which reads its key as a credential" info tls:127.0.0.1:7443 $tls
check "and the unix socket is served by the same ptd" info
check "the key itself is out of its reach" not inside setpriv --reuid=ptd --clear-groups cat /etc/ptd/server.key
systemctl stop ptd-tls.socket ptd.service

cp /usr/share/doc/ptd/examples/own-tcp.conf /etc/systemd/system/ptd.service.d/tls.conf
systemctl daemon-reload
check "with the drop-in for TCP of its own it starts" systemctl restart ptd.service
# shellcheck disable=SC2086
check "and is reached over TLS, in the host's network" info tls:127.0.0.1:7443 $tls
echo "# status: $(show StatusText)"
check "it stops" systemctl stop ptd.service
check "and the end is a success once more" is Result success
echo "# failed units: $(systemctl --failed --no-legend --plain | awk '{ print $1 }' | tr '\n' ' ')"
echo "# end of the guest's tests"
