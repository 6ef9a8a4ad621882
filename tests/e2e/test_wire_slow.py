# SPDX-License-Identifier: BSD-2-Clause
"""Clients that do not take their answers (cases 61 to 67): memory stays flat, others are served, small answers overtake large."""
import os
import struct
import time

import ptdtest
import rawh2
from ptdtest import equal, test, true
from rawh2 import Connection, frame, message

CHECK = "/grpc.health.v1.Health/Check"
READ = "/ptd.v1.MachineService/ReadMemory"
CONTEXTS = "/ptd.v1.ContextService/WatchContexts"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
INITIAL_WINDOW = 4
MIB = 1 << 20

PTD = ptdtest.Daemon(loops=2)
GUEST = ptdtest.Guest(PTD, memory=16 * MIB)
READ_SOME = PTD.pb("machine").ReadMemoryRequest(machine=GUEST.machine.handle, address=0, length=1000 << 10).SerializeToString()
READ_MIB = PTD.pb("machine").ReadMemoryRequest(machine=GUEST.machine.handle, address=0, length=MIB).SerializeToString()

with open(os.path.join(ptdtest.BUILD, "ptd"), "rb") as _program:
    _code = _program.read()
SANITIZED = b"__asan_init" in _code or b"__tsan_init" in _code


def u32(n):
    return struct.pack(">I", n)


def window(n):
    return struct.pack(">HI", INITIAL_WINDOW, n)


def resident_kib():
    with open(f"/proc/{PTD.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Flat:
    """Memory grows by no more than `most` MiB meanwhile, and others are served at once."""

    def __init__(self, most):
        self.most = most

    def __enter__(self):
        with Connection(PTD) as c:
            equal(c.call(READ, READ_MIB).status, 0, "what one call needs is there before")
        self.before = resident_kib()

    def __exit__(self, kind, *_):
        if kind:
            return
        after = resident_kib()
        print(f"# RSS {self.before} KiB before, {after} KiB after")
        with Connection(PTD) as c:
            equal(c.call(CHECK, b"").status, 0, "others")
        if not SANITIZED:
            true(after - self.before < self.most << 10, f"grew by {after - self.before} KiB")


@test("256 streams whose windows never open keep 1 MiB of answers, and calls wait instead of growing")
def _():
    with Flat(12), Connection(PTD, settings=window(0), greedy=False) as c:
        streams = [c.open(READ) for _ in range(256)]
        for stream in streams:
            c.data(stream, message(READ_MIB))
        equal(c.call("/none/None", b"").status, 12, "all have been taken in")
        begun = [s for s in streams if c.reply(s).headers]
        true(1 <= len(begun) <= 4, f"{len(begun)} have an answer")


@test("one stream with a window of 0 and one that grows by single bytes cost no frame, and are served in the end")
def _():
    with Flat(12), Connection(PTD, settings=window(0), greedy=False) as c:
        c.send(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1 << 24)))
        stream = c.open(READ)
        c.data(stream, message(READ_MIB))
        c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(1)) * 255)
        equal(c.call("/none/None", b"").status, 12)
        equal(c.reply(stream).body, b"")
        c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(2 * MIB)))
        equal(c.finish(stream).status, 0)
        true(len(c.reply(stream).body) > MIB, "whole")


@test("a window of 1 from SETTINGS on is served byte by byte, in order")
def _():
    with Connection(PTD, settings=window(1), greedy=False) as c:
        stream = c.open(CHECK)
        c.data(stream, message(b""))
        for n in range(1, 8):
            while len(c.reply(stream).body) < n:
                true(c.read_some(), "a byte")
            c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(1)))
        equal((c.finish(stream).status, c.reply(stream).messages()), (0, [b"\x08\x01"]))


@test("clients that never read their socket on 64 connections keep what the windows allow")
def _():
    clients = []
    with Flat(160):
        for _ in range(64):
            c = Connection(PTD, settings=window(1 << 24), greedy=False)
            c.send(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1 << 30)))
            clients.append(c)
            for _i in range(16):
                stream = c.open(READ)
                c.data(stream, message(READ_MIB))
    for c in clients:
        c.close()


@test("a reader that stops in the middle gets the rest when it goes on")
def _():
    with Connection(PTD, settings=window(1 << 24), greedy=False) as c:
        c.send(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1 << 30)))
        streams = [c.open(READ) for _ in range(8)]
        for stream in streams:
            c.data(stream, message(READ_MIB))
        with Connection(PTD) as other:
            equal(other.call(CHECK, b"").status, 0)
        for stream in streams:
            equal(c.finish(stream).status, 0)
            true(len(c.reply(stream).body) > MIB, "whole")


@test("a watcher that does not read is told of the overflow once, and of what comes after it")
def _():
    pb, stub = PTD.pb("context"), PTD.stub("context", "ContextService")
    with Connection(PTD, settings=window(0), greedy=False) as c:
        c.send(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1 << 24)))
        stream = c.open(CONTEXTS)
        c.data(stream, message(pb.WatchContextsRequest(machine=GUEST.machine.handle).SerializeToString()))
        equal(c.call("/none/None", b"").status, 12)
        count = 0
        for _ in range(3000):
            made = stub.CreateContext(pb.CreateContextRequest(machine=GUEST.machine.handle, name="w", kind=pb.CONTEXT_KIND_GUEST))
            stub.DeleteContext(pb.DeleteContextRequest(handle=made.context.handle))
            count += 2
        c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(1 << 24)))

        def kinds():
            return [pb.WatchContextsResponse.FromString(m).kind for m in whole_messages(c.reply(stream).body)]
        while pb.WATCH_KIND_OVERFLOW not in kinds():
            true(c.read_some(), "told")
        stub.CreateContext(pb.CreateContextRequest(machine=GUEST.machine.handle, name="last", kind=pb.CONTEXT_KIND_GUEST))
        while kinds()[-1] != pb.WATCH_KIND_CREATED or kinds().count(pb.WATCH_KIND_OVERFLOW) != 1:
            true(c.read_some(), "events go on")
        true(len(kinds()) < count, f"{len(kinds())} of {count}")


def whole_messages(body):
    at, found = 0, []
    while len(body) - at >= 5:
        length = struct.unpack(">I", body[at + 1:at + 5])[0]
        if len(body) - at < 5 + length:
            break
        found.append(body[at + 5:at + 5 + length])
        at += 5 + length
    return found


@test("a small answer overtakes a large one on the same connection")
def _():
    with Connection(PTD, settings=window(1 << 24), greedy=False) as c:
        c.send(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1 << 30)))
        equal(c.call(CHECK, b"").status, 0)
        bulk, small = c.new_stream(), c.new_stream()
        c.send(b"".join(frame(rawh2.HEADERS, rawh2.END_HEADERS, stream, c.header_block(rawh2.request_headers(path))) +
                        frame(rawh2.DATA, rawh2.END_STREAM, stream, message(body))
                        for stream, path, body in ((bulk, READ, READ_SOME), (small, CHECK, b""))))
        equal((c.finish(small).status, c.finish(bulk).status), (0, 0))
        last = max(i for i, f in enumerate(c.log) if f[1] == small)
        before = sum(1 for f in c.log[:last] if f == (rawh2.DATA, bulk))
        true(before <= 3, f"{before} of {c.log.count((rawh2.DATA, bulk))} DATA frames of the large answer came first")


@test("1000 small answers stay quick while a client reads 1 MiB at a time beside them")
def _():
    with Connection(PTD, settings=window(1 << 24)) as bulk, Connection(PTD) as small:
        stream, times = None, []
        for _ in range(1000):
            if stream is None or bulk.reply(stream).ended:
                stream = bulk.open(READ)
                bulk.data(stream, message(READ_MIB))
            bulk.drain()
            start = time.monotonic()
            equal(small.call(CHECK, b"").status, 0)
            times.append(time.monotonic() - start)
        times.sort()
        print(f"# p50 {times[500] * 1e6:.0f} us, p99 {times[990] * 1e6:.0f} us")
        true(times[990] < 0.25, f"p99 {times[990]:.3f} s")  # far from any wait for the other's bytes


@test("the daemon ends well")
def _():
    PTD.stop()


ptdtest.main()
