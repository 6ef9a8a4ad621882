#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Good clients beside bad ones of all kinds for SOAK_SECONDS (120): RSS and p99 each ten seconds, and no call lost.

The good ones: unary calls of a fixed rate, a Session, faults, and calls over TLS. Every bad client runs all the time.
"""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from loadtest import GIB, Tls, bad_clients, cpu_seconds, result, rss_kib, say  # noqa: E402
import ptdtest  # noqa: E402
from ptdtest import test, true  # noqa: E402

SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
EVERY = 10
GROWTH_KIB = 32768
P99_MOST_US = 500000  # with 14 bad clients, the good ones and the daemon on two cores, and whatever else runs there


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def good_clients(tls):
    """Name and arguments; all but the session at a rate, so that times count from when a call was meant to leave."""
    ptd = tls.ptd
    ptd.guest.slot(0, GIB, 0)
    fault = ptd.write(ptd.pb("fault").HandleFaultRequest(context=ptd.guest.handle, ipa=4096, access=1))
    calls = ["-c", 2, "-m", 64, "--body", ptd.apply]
    return [
        ("calls", [*calls, "--rate", 1000], None),
        ("faults", ["-c", 2, "-m", 64, "--method", "/ptd.v1.FaultService/HandleFault", "--body", fault, "--rate", 500], None),
        ("calls over TLS", [*calls, "--rate", 500, *tls.files], tls.secure),
        ("session", ["--session", f"apply:{ptd.guest.handle:x}", "-m", 64], None),
    ]


class Good:
    """A good client; what it tells each ten seconds is kept."""

    def __init__(self, tls, name, arguments, endpoint):
        self.lines = []
        self.name = name
        self.process = tls.ptd.start(*arguments, "--seconds", SECONDS, "--every", EVERY, endpoint=endpoint)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def latest(self):
        told = [line for line in self.lines if "at" in line]
        return f"{self.name} {told[-1]['rate']:.0f}/s p99 {told[-1]['latency']['p99_us']:.0f}" if told else ""

    def end(self):
        self.process.wait()
        self.reader.join()
        return self.lines[-1]


@test("two minutes of bad clients of all kinds: good calls are all answered, in time, and memory stays flat")
def _():
    with Tls() as tls:
        ptd = tls.ptd
        ptd.load("-c", 4, "-m", 32, "--body", ptd.apply, "--seconds", 0.5)
        bad = [(name, ptd.start(*arguments, "--seconds", SECONDS, low=True)) for name, arguments in bad_clients(ptd)]
        good = [Good(tls, *client) for client in good_clients(tls)]
        start, before, warm, most = time.monotonic(), cpu_seconds(ptd.pid), 0, 0
        for tick in range(1, int(SECONDS / EVERY) + 1):
            time.sleep(max(0, start + tick * EVERY + 1 - time.monotonic()))
            most = max(most, rss_kib(ptd.pid))
            warm = warm or most
            busy = cpu_seconds(ptd.pid)
            say(f"{tick * EVERY:4d} s: RSS {rss_kib(ptd.pid)} KiB, {descriptors(ptd.pid)} descriptors, "
                f"{(busy - before) / EVERY:.0%} of a core; p99 in us: "
                + "; ".join(client.latest() for client in good))
            before = busy
        ends = [(client.name, client.end()) for client in good]
        for name, process in bad:
            end = result(process)
            say(f"{name}: {end['sent']} sent, {end['reconnects']} times connected again")
        for name, end in ends:
            times = end["latency"]
            say(f"{name}: {end['ok']} OK, {end['refused']} refused, {end['failed']} failed, {end['unsent']} not sent; "
                f"p50 {times['p50_us']:.0f} us, p99 {times['p99_us']:.0f}, p99.9 {times['p999_us']:.0f}")
        say(f"RSS {warm} KiB after {EVERY} s, {most} KiB at most")
        true(most - warm < GROWTH_KIB, f"the daemon grew from {warm} to {most} KiB")
        for name, end in ends:
            ptdtest.equal(end["failed"], 0, f"failed {name}")
            true(end["ok"] > 0, f"{name}: no answer at all")
            true(end["latency"]["p99_us"] < P99_MOST_US, f"{name}: p99 {end['latency']['p99_us']} us")


if __name__ == "__main__":
    ptdtest.main()
