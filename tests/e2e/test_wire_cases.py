# SPDX-License-Identifier: BSD-2-Clause
"""What the other wire tests leave of the cases in docs/hostile-peers.md: frames 16 to 31, headers 33 to 36, messages 45 to 54."""
import struct

import ptdtest
import rawh2
from ptdtest import equal, test, true
from rawh2 import Connection, frame, message

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
GET_INFO = "/ptd.v1.ServerService/GetInfo"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
STREAM_CLOSED, COMPRESSION_ERROR = 5, 9
INITIAL_WINDOW, MAX_FRAME_SIZE, MAX_HEADER_LIST = 4, 5, 6

PTD = ptdtest.Daemon(loops=2)


def u32(n):
    return struct.pack(">I", n)


def setting(number, value):
    return struct.pack(">HI", number, value)


def alive():
    with Connection(PTD) as c:
        equal(c.call(CHECK, b"").status, 0, "Check afterwards")


def ends(code, *wires):
    """Each of `wires` ends a connection of its own with GOAWAY `code`."""
    for wire in wires:
        with Connection(PTD) as c:
            c.send(wire)
            equal(c.wait_close(), code, wire[:24].hex())
    alive()


def watch(c):
    """A stream that is half-closed by us and open on the daemon's side."""
    stream = c.open(WATCH)
    c.data(stream, message(b""))
    while not c.reply(stream).body:
        c.read_some()
    return stream


@test("DATA on streams that were never opened, and HEADERS with even numbers, end the connection")
def _():
    with Connection(PTD) as c:
        c.next_stream = 5
        equal(c.call(CHECK, b"").status, 0)
        c.data(7, b"x")
        equal(c.wait_close(), rawh2.PROTOCOL_ERROR, "idle")
    ends(rawh2.PROTOCOL_ERROR, frame(rawh2.DATA, 0, 0, b"x"), frame(rawh2.DATA, 0, 2, b"x"),
         frame(rawh2.HEADERS, rawh2.END_HEADERS, 4, b"\x83"))


@test("DATA on a lower number that was skipped is thrown away")
def _():
    with Connection(PTD) as c:
        c.next_stream = 5
        equal(c.call(CHECK, b"").status, 0)
        c.data(3, b"x" * 100)
        equal(c.call(CHECK, b"").status, 0)


@test("DATA after END_STREAM ends the connection with STREAM_CLOSED")
def _():
    with Connection(PTD) as c:
        c.data(watch(c), b"x")
        equal(c.wait_close(), STREAM_CLOSED)
    alive()


@test("SETTINGS with values that cannot be, or with 33 entries, end the connection")
def _():
    ends(rawh2.PROTOCOL_ERROR, frame(rawh2.SETTINGS, 0, 0, setting(2, 2)), frame(rawh2.SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 100)),
         frame(rawh2.SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 1 << 24)), frame(rawh2.SETTINGS, 0, 3, setting(3, 1)))
    ends(rawh2.ENHANCE_YOUR_CALM, frame(rawh2.SETTINGS, 0, 0, setting(3, 100) * 33))
    with Connection(PTD) as c:
        c.send(frame(rawh2.SETTINGS, 0, 0, setting(3, 100) * 32))
        equal(c.call(CHECK, b"").status, 0, "32 are taken")


@test("a WINDOW_UPDATE beyond 2^31 - 1 resets its stream alone, one of 0 ends the connection")
def _():
    with Connection(PTD) as c:
        stream = watch(c)
        c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32((1 << 31) - 1)))
        while c.reply(stream).reset is None and c.goaway is None:
            true(c.read_some(), "answered")
        equal((c.reply(stream).reset, c.goaway), (rawh2.FLOW_CONTROL_ERROR, None))
        equal(c.call(CHECK, b"").status, 0)
        c.send(frame(rawh2.WINDOW_UPDATE, 0, watch(c), u32(0)))
        equal(c.wait_close(), rawh2.PROTOCOL_ERROR)
    alive()


@test("a window that SETTINGS make negative stops the answer, and it goes on when it is positive again")
def _():
    question = b"\x22\x15ptd.v1.MappingService"
    with Connection(PTD, greedy=False) as c:
        c.send(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1 << 24)))
        stream = c.open(REFLECT)
        c.data(stream, message(question) * 20)
        reply = c.reply(stream)
        while len(reply.body) < 65535:
            true(c.read_some(), "65535 bytes")
        c.send(frame(rawh2.SETTINGS, 0, 0, setting(INITIAL_WINDOW, 1000)))
        c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(64535)))
        equal(c.call(CHECK, b"").status, 0)
        equal(len(reply.body), 65535, "-64535, then 0")
        c.send(frame(rawh2.SETTINGS, 0, 0, setting(INITIAL_WINDOW, 1 << 20)))
        equal(c.finish(stream).status, 0)
        equal(len(reply.messages()), 20)


@test("a stream that depends on itself is ignored, as all priorities are")
def _():
    with Connection(PTD) as c:
        c.send(frame(rawh2.PRIORITY, 0, 1, u32(1) + b"\x10"))
        equal(c.call(CHECK, b"").status, 0)


@test("a client that has sent GOAWAY may finish what it began")
def _():
    with Connection(PTD) as c:
        stream = c.open(CHECK)
        c.send(frame(rawh2.GOAWAY, 0, 0, u32(0) + u32(0) + b"bye"))
        c.data(stream, message(b""))
        equal(c.finish(stream).status, 0)
        late = c.open(CHECK)
        c.data(late, message(b""))
        reply = c.finish(late)
        true(reply.status == 0 or c.closed, "served, or the connection is over: never a hang")
    alive()


@test("HPACK that cannot be decoded ends the connection with COMPRESSION_ERROR")
def _():
    for block in (b"\xbe", b"\x80", b"\x3f\xe1\xff\x03\x83", b"\x83\x20", b"\x40\x01a\x81\x00", b"\x40\x01a\x84\xff\xff\xff\xff",
                  b"\x83\xff\xff\xff\xff\xff\xff", b"\x40\x05ab"):
        ends(COMPRESSION_ERROR, frame(rawh2.HEADERS, rawh2.END_HEADERS, 1, block))


@test("an authority that is empty resets the stream, and so does the raw path of a socket")
def _():
    for authority in ("/run/ptd.sock", "a b"):
        with Connection(PTD) as c:
            reply = c.call(CHECK, b"", p_authority=authority)
            equal((reply.reset, c.goaway), (rawh2.PROTOCOL_ERROR, None), authority)
            equal(c.call(CHECK, b"").status, 0)


@test("2000 small fields and a value of 64 KiB end the connection")
def _():
    with Connection(PTD) as c:
        block = c.header_block(rawh2.request_headers(CHECK)) + c.literal("a", "b") * 2000
        c.send(frame(rawh2.HEADERS, rawh2.END_HEADERS, 1, block))
        equal((c.wait_close(), c.goaway_text), (rawh2.ENHANCE_YOUR_CALM, "header list too large"))
    with Connection(PTD) as c:
        block = c.header_block(rawh2.request_headers(CHECK)) + c.literal("a", "b" * 65536)
        parts = [block[i:i + 16384] for i in range(0, len(block), 16384)]
        c.send(frame(rawh2.HEADERS, 0, 1, parts[0]) + b"".join(
            frame(rawh2.CONTINUATION, rawh2.END_HEADERS if i == len(parts) - 1 else 0, 1, p) for i, p in enumerate(parts) if i))
        equal((c.wait_close(), c.goaway_text), (rawh2.ENHANCE_YOUR_CALM, "header block too long"))
    alive()


@test("CONNECT without scheme and path is 405; 405 and 415 say what is wrong")
def _():
    with Connection(PTD) as c:
        stream = c.new_stream()
        c.send(frame(rawh2.HEADERS, rawh2.END_HEADERS | rawh2.END_STREAM, stream,
                     c.header_block([(":method", "CONNECT"), (":authority", "localhost")])))
        reply = c.finish(stream)
        equal((reply.get(":status"), reply.get("allow")), ("405", "POST"))
        reply = c.call(CHECK, b"", content_type="application/json")
        equal((reply.get(":status"), reply.get("content-type")), ("415", "text/plain"))
        true(b"application/grpc" in reply.body, reply.body)
        stream = c.open(CHECK, content_type="application/json")
        reply = c.finish(stream)
        while reply.reset is None:
            true(c.read_some(), "RST_STREAM follows")
        equal((reply.get(":status"), reply.reset, c.goaway), ("415", rawh2.NO_ERROR, None))
        equal(c.call(CHECK, b"").status, 0)


@test("gzip is never inflated: a bomb and a torn one are UNIMPLEMENTED alike")
def _():
    import gzip
    bomb = gzip.compress(b"\0" * (64 << 20))
    for body in (bomb, bomb[:100], b"no gzip"):
        with Connection(PTD) as c:
            stream = c.open(GET_INFO, grpc_encoding="gzip")
            c.data(stream, message(body[:16000], flag=1, length=len(body)), end=False)
            equal(c.finish(stream).status, 12)


@test("500 000 empty sub-messages, groups, field 0 and a list in a oneof are met with an error, and the daemon lives")
def _():
    bombs = (b"\x1a\x00" * 500000, b"\x0b" * 1000, b"\x00\x00", b"\x0c")
    for bomb in bombs:
        with Connection(PTD) as c:
            stream = c.open("/ptd.v1.MappingService/Apply")
            body = message(bomb)
            for at in range(0, len(body), 16384):
                while at + 16384 > (1 << 20) + c.granted.get(stream, 0) and not c.reply(stream).ended and c.read_some():
                    pass
                c.data(stream, body[at:at + 16384], end=at + 16384 >= len(body))
            true(c.finish(stream).status in (3, 5, 8, 13), c.reply(stream).status)
    alive()


@test("messages that end at 16 383, 16 384, 16 385, and that fill the connection's window of 8 MiB, are taken whole")
def _():
    for size in (16383, 16384, 16385):
        with Connection(PTD) as c:
            body = message(b"\xc2\x3e" + bytes([(size - 5 - 5) & 127 | 128, (size - 5 - 5) >> 7 & 127 | 128, (size - 5 - 5) >> 14]) +
                           b"x" * (size - 10))
            equal(len(body), size)
            stream = c.open(GET_INFO)
            for at in range(0, size, 16384):
                c.data(stream, body[at:at + 16384], end=at + 16384 >= size)
            equal(c.finish(stream).status, 0, size)
    with Connection(PTD) as c:
        while not c.peer_settings or not c.granted.get(0):
            c.read_some()
        equal(65535 + c.granted[0], 8 << 20)
        mib = 1 << 20
        n = mib - 10
        body = message(b"\xc2\x3e" + bytes([n & 127 | 128, n >> 7 & 127 | 128, n >> 14]) + b"x" * n)
        equal(len(body), mib)
        streams = [c.open(GET_INFO) for _ in range(8)]
        for stream in streams:
            for at in range(0, mib, 16384):
                c.data(stream, body[at:at + 16384], end=at + 16384 >= mib)
        equal([c.finish(s).status for s in streams], [0] * 8)


@test("a cancel before the body, twice, and after the answer costs nobody anything")
def _():
    with Connection(PTD) as c:
        reset = [frame(rawh2.RST_STREAM, 0, c.open(CHECK), u32(rawh2.CANCEL)) for _ in range(3)]
        c.send(b"".join(reset) * 2)
        stream = c.open(CHECK)
        c.data(stream, message(b""))
        equal(c.finish(stream).status, 0)
        c.send(frame(rawh2.RST_STREAM, 0, stream, u32(rawh2.CANCEL)))
        equal(c.call(CHECK, b"").status, 0)


@test("half-close without a message on a bidirectional stream ends it with OK")
def _():
    with Connection(PTD) as c:
        reply = c.finish(c.open(REFLECT, end=True))
        equal((reply.status, reply.body, reply.reset), (0, b"", None))


@test("1000 large unary calls at once, from two clients of gRPC's own, are all answered")
def _():
    body = b"\xc2\x3e\x80\x80\x04" + b"x" * 65536
    calls = []
    for _ in range(2):
        rpc = PTD.channel().unary_unary(GET_INFO, None, None)
        calls += [rpc.future(body, timeout=60) for _ in range(500)]
    for call in calls:
        true(call.result(), "answered")


@test("2000 connections one after the other")
def _():
    for _ in range(2000):
        with Connection(PTD) as c:
            equal(c.call(CHECK, b"").status, 0)
    stats = PTD.stub("server", "ServerService").GetStats(PTD.pb("server").GetStatsRequest())
    true(sum(loop.connections for loop in stats.loops) > 2000, "counted")


@test("a client that takes header lists of 64 bytes gets its trailers, one that takes frames of 16 MiB gets frames of 16 KiB")
def _():
    with Connection(PTD, settings=setting(MAX_HEADER_LIST, 64)) as c:
        reply = c.call("/none/None", b"")
        true(reply.status == 12 or reply.reset is not None, "never a hang")
        equal(c.call(CHECK, b"").status, 0)
    with Connection(PTD, settings=setting(MAX_FRAME_SIZE, (1 << 24) - 1) + setting(INITIAL_WINDOW, 1 << 24)) as c:
        stream = c.open(REFLECT)
        c.data(stream, message(b"\x22\x15ptd.v1.MappingService") * 20)
        equal(c.finish(stream).status, 0)
        true(len(c.reply(stream).body) > 65536 and c.longest <= 16384, c.longest)


@test("the daemon ends well")
def _():
    PTD.stop()


ptdtest.main()
