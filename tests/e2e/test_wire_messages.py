# SPDX-License-Identifier: BSD-2-Clause
"""Messages on the wire: prefixes, limits, malformed protobuf (reference cases 42 to 48, 50, 51)."""
import struct

import ptdtest
import rawh2
from ptdtest import OUTCOME, equal, test, true
from rawh2 import Connection, message

GET_INFO = "/ptd.v1.ServerService/GetInfo"
MAP = "/ptd.v1.MappingService/Map"
APPLY = "/ptd.v1.MappingService/Apply"
CHECK = "/grpc.health.v1.Health/Check"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
LIMIT = 4 << 20
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 8, 12, 13

PTD = ptdtest.Daemon(loops=2)
GUEST = ptdtest.Guest(PTD)
GUEST.map(0x40000000, 4096, 0)


class Unchanged:
    """The daemon lives and its tables are as before, whatever the block did."""

    def __enter__(self):
        self.before = GUEST.digest()
        self.connection = Connection(PTD)
        return self.connection

    def __exit__(self, kind, *_):
        self.connection.close()
        if kind is None:
            equal(GUEST.digest(), self.before, "digest")
            with Connection(PTD) as other:
                equal(other.call(CHECK, b"").status, OK, "Check afterwards")


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, wire, value=b""):
    return varint(number << 3 | wire) + value


def sized(number, value):
    return field(number, 2, varint(len(value)) + value)


def refused(payload, status, path=MAP):
    with Unchanged() as c:
        reply = c.call(path, payload)
        equal(reply.status, status, reply.get("grpc-message"))
        equal(reply.body, b"", "no message")


@test("a prefix split over five DATA frames, and a message of 1-byte frames, is one message")
def _():
    body = message(sized(1, b"ptd.v1.MappingService"))
    for sizes in ([1] * 5 + [len(body) - 5], [1] * len(body), [3, 3, len(body) - 6]):
        with Unchanged() as c:
            stream, at = c.open(CHECK), 0
            for size in sizes:
                c.data(stream, body[at:at + size], end=at + size == len(body))
                at += size
            reply = c.finish(stream)
            equal((reply.status, reply.messages()), (OK, [b"\x08\x01"]))


@test("500 messages in one DATA frame of a stream get 500 answers in order")
def _():
    with Unchanged() as c:
        stream = c.open(REFLECT)
        body = b"".join(message(sized(1, b"h%d" % i) + sized(7, b"")) for i in range(500))
        c.data(stream, body)
        reply = c.finish(stream)
        equal(reply.status, OK)
        answers = reply.messages()
        equal(len(answers), 500)
        for i, answer in enumerate(answers):
            equal(dict(ptdtest.wire_fields(answer))[1], b"h%d" % i)


@test("a message of length 0 is legal")
def _():
    with Unchanged() as c:
        reply = c.call(GET_INFO, b"")
        equal((reply.status, len(reply.messages())), (OK, 1))


@test("half-close on an empty DATA frame and by request trailers is a half-close")
def _():
    with Unchanged() as c:
        stream = c.open(CHECK)
        c.data(stream, message(b""), end=False)
        c.data(stream, b"")
        equal(c.finish(stream).status, OK)
        stream = c.open(CHECK)
        c.data(stream, message(b""), end=False)
        c.send(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS | rawh2.END_STREAM, stream,
                           c.header_block([("x-late", "1")])))
        equal(c.finish(stream).status, OK)


@test("a length above the limit is refused from the prefix alone")
def _():
    for length in (LIMIT + 1, 0xFFFFFFFF):
        with Unchanged() as c:
            stream = c.open(GET_INFO)
            c.data(stream, message(b"", length=length), end=False)
            equal(c.finish(stream).status, RESOURCE_EXHAUSTED)


@test("a message of exactly the limit is received and parsed")
def _():
    with Unchanged() as c:
        payload = sized(1000, b"\0" * (LIMIT - 6))
        payload = sized(1000, b"\0" * (LIMIT - (len(payload) - (LIMIT - 6))))
        equal(len(payload), LIMIT)
        body, stream = message(payload), c.open(GET_INFO)
        while not c.peer_settings:
            c.read_some()
        sent = 0
        while sent < len(body):
            part = min(16384, len(body) - sent, c.peer_settings[4] + c.granted.get(stream, 0) - sent)
            if part == 0:
                c.read_some()
                continue
            c.data(stream, body[sent:sent + part], end=sent + part == len(body))
            sent += part
        equal(c.finish(stream).status, OK)


@test("END_STREAM inside a prefix and inside a message is INTERNAL")
def _():
    for cut in (1, 4, 5, 9):
        with Unchanged() as c:
            stream = c.open(CHECK)
            c.data(stream, message(sized(1, b"abcdef"))[:cut])
            equal(c.finish(stream).status, INTERNAL, f"cut at {cut}")


@test("compressed flag without an encoding, and unknown flags, are INTERNAL")
def _():
    for flag in (1, 2, 0x80, 255):
        with Unchanged() as c:
            stream = c.open(CHECK)
            c.data(stream, message(b"", flag=flag))
            equal(c.finish(stream).status, INTERNAL, f"flag {flag}")


@test("a unary call with 0, 2 or 1000 messages is UNIMPLEMENTED and runs nothing")
def _():
    one = message(field(1, 1, struct.pack("<Q", GUEST.handle)) + field(2, 1, struct.pack("<Q", 0x50000000)) +
                  field(3, 1, struct.pack("<Q", 4096)) + field(5, 0, b"\x03"))
    for count in (0, 2, 1000):
        with Unchanged() as c:
            stream = c.open(MAP)
            c.data(stream, one * count if count < 100 else one * 300)
            equal(c.finish(stream).status, UNIMPLEMENTED, f"{count} messages")
    with Unchanged() as c:
        equal(c.finish(c.open(MAP, end=True)).status, UNIMPLEMENTED, "END_STREAM on HEADERS")


@test("what is not protobuf is INTERNAL")
def _():
    for payload in (b"\xff\xff\xff\xff", b"\x09\x01", b"\x48", field(9, 0, b"\xff" * 11), field(9, 0, b"\xff" * 10 + b"\x01"),
                    field(1, 3), field(1, 4), field(0, 0, b"\x01"), field(1, 6), field(1, 7),
                    field(1, 0, b"\x01"), sized(5, b"\xff"), varint((1 << 32) + 8) + b"\x01",
                    field(7, 2, varint(100) + b"short"), b"\x80\x80\x80\x80\x80\x01\x01"):
        refused(payload, INTERNAL)


@test("a string that is not UTF-8 is INTERNAL, one with NUL is INVALID_ARGUMENT")
def _():
    for text in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xc3"):
        refused(sized(1, text), INTERNAL, CHECK)
    refused(sized(1, b"a\0b"), INVALID_ARGUMENT, CHECK)
    with Unchanged() as c:
        equal(c.call(CHECK, sized(1, "grün €𝄞".encode())).status, 5)


@test("unknown fields are ignored, also 1 MiB in one; 500 000 of them are too many")
def _():
    with Unchanged() as c:
        equal(c.call(GET_INFO, sized(77, b"x" * 16000) + field(78, 0, b"\x05") + field(79, 5, b"1234")).status, OK)
    with Unchanged() as c:
        stream = c.open(GET_INFO)
        body = message(field(99, 0, b"\x01") * 250000)
        for at in range(0, len(body), 16000):
            c.data(stream, body[at:at + 16000], end=at + 16000 >= len(body))
        equal(c.finish(stream).status, RESOURCE_EXHAUSTED)


@test("an unknown enum value is INVALID_ARGUMENT, not a parse error")
def _():
    handle = field(1, 1, struct.pack("<Q", GUEST.handle))
    ops = sized(1, struct.pack("<Q", 0x50000000)) + sized(2, struct.pack("<Q", 4096)) + sized(4, b"\x02")
    refused(handle + field(2, 0, varint(77)) + sized(3, ops), INVALID_ARGUMENT, APPLY)


@test("packed and unpacked columns mixed mean the same list")
def _():
    handle = field(1, 1, struct.pack("<Q", GUEST.handle))
    ipas = [0x60000000, 0x60001000, 0x60002000]
    column = field(1, 1, struct.pack("<Q", ipas[0])) + sized(1, struct.pack("<QQ", *ipas[1:]))
    ops = column + sized(2, struct.pack("<Q", 4096)) + field(4, 0, b"\x02") + sized(5, b"\0")
    with Unchanged() as c:
        reply = c.call(APPLY, handle + field(2, 0, b"\x02") + sized(3, ops))
        equal(reply.status, OK, reply.get("grpc-message"))
        equal(dict(ptdtest.wire_fields(reply.messages()[0]))[2], 3, "applied")


@test("a sub-message given twice is merged, a scalar given twice takes the last")
def _():
    handle = field(1, 1, struct.pack("<Q", 1)) + field(1, 1, struct.pack("<Q", GUEST.handle))
    ops = [sized(1, struct.pack("<Q", 0x60000000)), sized(2, struct.pack("<Q", 4096)), sized(4, b"\x02"), sized(5, b"\0")]
    with Unchanged() as c:
        reply = c.call(APPLY, handle + field(2, 0, b"\x02") + b"".join(sized(3, part) for part in ops))
        equal(reply.status, OK, reply.get("grpc-message"))


@test("DATA frames at 16 384 and at the stream window are taken whole")
def _():
    for size in (16383, 16384, 1 << 20):
        with Unchanged() as c:
            while 4 not in c.peer_settings:
                c.read_some()
            equal(c.peer_settings[4], 1 << 20, "INITIAL_WINDOW_SIZE")
            body = next(m for m in (message(sized(500, b"y" * n)) for n in range(size - 12, size)) if len(m) == size)
            equal(len(body), size)
            stream = c.open(GET_INFO)
            for at in range(0, len(body), 16384):
                c.data(stream, body[at:at + 16384], end=at + 16384 >= len(body))
            equal(c.finish(stream).status, OK, f"{size} bytes")


@test("an error is Trailers-Only with details that repeat code and message")
def _():
    with Unchanged() as c:
        reply = c.call(CHECK, sized(1, b"nobody"))
        equal(reply.status, 5)
        equal(reply.get(":status"), "200")
        equal(reply.body, b"")
        details = reply.get("grpc-status-details-bin")
        import base64
        raw = base64.b64decode(details + "=" * (-len(details) % 4))
        status = dict(ptdtest.wire_fields(raw))
        equal(status[1], 5)
        equal(status[2].decode(), reply.get("grpc-message"))
        true(b"type.googleapis.com/google.rpc.ErrorInfo" in raw, "ErrorInfo")
        true(b"NOT_FOUND" in raw and b"PTD-E%04d" % OUTCOME["NOT_FOUND"] in raw, "reason and id")
        true("=" not in details, "unpadded")


@test("trailers before the client's half-close are followed by RST_STREAM NO_ERROR")
def _():
    with Unchanged() as c:
        stream = c.open("/ptd.v1.Nobody/Calls")
        reply = c.finish(stream)
        while reply.reset is None and c.read_some():
            pass
        equal((reply.status, reply.reset), (UNIMPLEMENTED, rawh2.NO_ERROR))


def send_slowly(c, stream, payload):
    """Within the stream's window; ends early when the answer is there."""
    room = (1 << 20) + c.granted.get(stream, 0)
    for at in range(0, len(payload), 16384):
        while at + 16384 > room and not c.reply(stream).ended and c.read_some():
            room = (1 << 20) + c.granted.get(stream, 0)
        if c.reply(stream).ended:
            return
        c.data(stream, payload[at:at + 16384], end=at + 16384 >= len(payload))


@test("a client that reads no answers makes the daemon keep 32 MiB of its requests, and no more")
def _():
    body = message(sized(500, b"y" * (LIMIT - 16)))
    settings = struct.pack(">HI", 4, 0)
    with Unchanged(), Connection(PTD, settings=settings, greedy=False) as c:
        c.send(rawh2.frame(rawh2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)))
        streams = []
        for _ in range(10):
            streams.append(c.open(GET_INFO))
            send_slowly(c, streams[-1], body)
        equal(c.finish(streams[-1]).status, RESOURCE_EXHAUSTED)
        kept = [s for s in streams if not c.reply(s).ended]
        true(1 < len(kept) < 9, f"{len(kept)} kept")
        for stream in kept:
            c.send(rawh2.frame(rawh2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 1 << 16)))
            equal(c.finish(stream).status, OK)
        again = c.open(GET_INFO)
        c.send(rawh2.frame(rawh2.WINDOW_UPDATE, 0, again, struct.pack(">I", 1 << 16)))
        send_slowly(c, again, body)
        equal(c.finish(again).status, OK)


@test("a message under cancellation is forgotten")
def _():
    with Unchanged() as c:
        stream = c.open(MAP)
        c.data(stream, message(b"", length=100)[:5], end=False)
        c.send(rawh2.frame(rawh2.RST_STREAM, 0, stream, struct.pack(">I", rawh2.CANCEL)))
        c.send(rawh2.frame(rawh2.RST_STREAM, 0, stream, struct.pack(">I", rawh2.CANCEL)))
        equal(c.call(CHECK, b"").status, OK)


@test("the daemon ends well")
def _():
    PTD.stop()


ptdtest.main()
