#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Rows that h2load cannot give: Session, TLS, overload. Prints "name value" a line; run.sh sets them into the table.

The load generator reads each grpc-status; the daemon's counters must say the same, and that each map was undone.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "load"))
from loadtest import Tls  # noqa: E402

CALLS, OVER = ["-c", 4, "-m", 32], ["-c", 40, "-m", 32]
FULL = ["-c", 40, "-m", 9]  # as many connections, and just less than what a loop works on at once
TIMES = ["--warmup", 0.5, "--seconds", 2]


def counters(ptd):
    pb = ptd.pb("server")
    loops = ptd.stub("server", "ServerService").GetStats(pb.GetStatsRequest()).loops
    return [sum(getattr(loop, name) for loop in loops) for name in ("calls_ok", "leaves_written", "leaves_removed")]


def checked(ptd, *args, **options):
    """One load; its OK calls are the daemon's, and each wrote a leaf and removed it."""
    before = counters(ptd)
    load = ptd.load(*args, *TIMES, **options)
    ok, written, removed = (after - b for after, b in zip(counters(ptd), before))
    if load["failed"] or not load["ok"] == ok - 1 == written == removed:
        sys.exit(f"bench: {load['ok']} OK and {load['failed']} failed calls; the daemon counted {ok - 1} OK, {written} leaves "
                 f"written, {removed} removed")
    return load


def main():
    with Tls() as tls:
        ptd = tls.ptd
        body = ["--body", ptd.apply]
        clear = checked(ptd, *CALLS, *body, endpoint=tls.clear)
        print(f"calls_4x32 {clear['rate']}")
        print(f"calls_4x32_tls {checked(ptd, *CALLS, *body, *tls.files, endpoint=tls.secure)['rate']}")
        print(f"calls_40x9 {checked(ptd, *FULL, *body, endpoint=tls.clear)['rate']}")
        over = checked(ptd, *OVER, *body, endpoint=tls.clear)
        print(f"overload_goodput {over['rate']}")
        print(f"overload_p99 {over['latency']['p99_us']}")
        print(f"calls_4x32_p99 {clear['latency']['p99_us']}")
        messages = ptd.load("--session", f"apply:{ptd.guest.handle:x}", "-m", 1024, *TIMES, endpoint=tls.clear)
        if messages["failed"]:
            sys.exit(f"bench: {messages['failed']} messages failed")
        print(f"session_1024 {messages['rate']}")


main()
