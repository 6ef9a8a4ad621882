# SPDX-License-Identifier: BSD-2-Clause
"""Request headers and paths (reference cases 32 to 41), deadlines and the health of the connection."""
import ptdtest
import rawh2
from ptdtest import equal, test, true
from rawh2 import Connection, message

CHECK = "/grpc.health.v1.Health/Check"
OK, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL = 0, 4, 12, 13

PTD = ptdtest.Daemon(loops=2)


def alive():
    with Connection(PTD) as c:
        equal(c.call(CHECK, b"").status, OK, "Check afterwards")


def answer(path=CHECK, body=b"", **more):
    """Of one call on a connection of its own that serves another call afterwards."""
    with Connection(PTD) as c:
        reply = c.call(path, body, **more)
        equal(c.call(CHECK, b"").status, OK, "Check on the same connection")
        return reply


def raw_block(headers, sent_after=b""):
    """A call with exactly these headers: (reply, GOAWAY code)."""
    with Connection(PTD) as c:
        stream = c.new_stream()
        c.send(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, stream, c.header_block(headers)))
        c.data(stream, message(b""))
        c.send(sent_after)
        reply = c.finish(stream)
        alive()
        return reply, c.goaway


@test("missing, duplicate and late pseudo headers and upper-case names reset the stream")
def _():
    good = rawh2.request_headers(CHECK)
    for bad in ([h for h in good if h[0] != ":path"], [h for h in good if h[0] != ":method"],
                [good[0]] + good, good[1:] + [good[0]], good + [("X-Upper", "1")],
                good + [("connection", "close")], good + [(":strange", "1")],
                [h if h[0] != "te" else ("te", "gzip") for h in good]):
        reply, goaway = raw_block(bad)
        equal((reply.reset, goaway), (rawh2.PROTOCOL_ERROR, None), repr(bad))


@test("a missing te is served and counted")
def _():
    equal(answer(te=None).status, OK)
    stats = PTD.stub("server", "ServerService").GetStats(PTD.pb("server").GetStatsRequest())
    equal(sum(loop.te_missing for loop in stats.loops), 1)


@test("methods other than POST are 405")
def _():
    for method in ("GET", "PUT", "HEAD", "post"):
        reply = answer(p_method=method)
        equal((reply.get(":status"), reply.status), ("405", None), method)


@test("content types: grpc, grpc+x and grpc;x are served, all else is 415")
def _():
    for kind in ("application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc;charset=utf-8"):
        equal(answer(content_type=kind).status, OK, kind)
    for kind in ("application/grpc-web", "application/grpcx", "application/json", "", "APPLICATION/GRPC", None):
        reply = answer(content_type=kind)
        equal((reply.get(":status"), reply.status), ("415", None), repr(kind))


@test("an unknown path of any form is UNIMPLEMENTED")
def _():
    for path in ("/", "//", "/x", "/ptd.v1.MappingService", "/ptd.v1.MappingService/", "/ptd.v1.MappingService/map",
                 "/ptd.v1.MappingService/Map/", "//ptd.v1.MappingService/Map", "/ptd.v1.MappingService/%4dap",
                 "/ptd.v1.MappingService/Map?x=1", "/" + "p" * 8000):
        equal(answer(path).status, UNIMPLEMENTED, path[:40])


@test("an empty path and a NUL in a path reset the stream")
def _():
    for path in ("", b"/grpc.health.v1.Health\0/Check"):
        reply, goaway = raw_block(rawh2.request_headers(path))
        equal((reply.reset, goaway), (rawh2.PROTOCOL_ERROR, None), repr(path))


@test("grpc-timeout: legal values are served, 0 is expired, malformed ones are INTERNAL")
def _():
    for value in ("99999999H", "10S", "5000m", "9999999u", "1H", "00000005S"):
        equal(answer(grpc_timeout=value).status, OK, value)
    for value in ("0n", "0H", "00000000S"):
        equal(answer(grpc_timeout=value).status, DEADLINE_EXCEEDED, value)
    for value in ("100000000S", "1", "1X", "-1S", "S", "", "1 S", "+1S", "1.5S", "0x1S", "1SS"):
        equal(answer(grpc_timeout=value).status, INTERNAL, repr(value))


@test("grpc-timeout of 1n is answered: served in time, or expired")
def _():
    true(answer(grpc_timeout="1n").status in (OK, DEADLINE_EXCEEDED))


@test("grpc-timeout given twice is INTERNAL")
def _():
    reply, _goaway = raw_block(rawh2.request_headers(CHECK) + [("grpc-timeout", "1S"), ("grpc-timeout", "1S")])
    equal(reply.status, INTERNAL)


@test("a deadline that passes while the message is missing gives DEADLINE_EXCEEDED")
def _():
    with Connection(PTD) as c:
        stream = c.open(CHECK, grpc_timeout="20m")
        equal(c.finish(stream).status, DEADLINE_EXCEEDED)
        equal(c.call(CHECK, b"").status, OK)


@test("an encoding other than identity is UNIMPLEMENTED and ours is named")
def _():
    for value in ("gzip", "deflate", "snappy", "Identity"):
        reply = answer(grpc_encoding=value)
        equal((reply.status, reply.get("grpc-accept-encoding")), (UNIMPLEMENTED, "identity"), value)
    equal(answer(grpc_encoding="identity").status, OK)
    reply, _goaway = raw_block(rawh2.request_headers(CHECK) + [("grpc-encoding", "identity"), ("grpc-encoding", "gzip")])
    equal(reply.status, UNIMPLEMENTED)


@test("binary metadata of any form, and unknown grpc- headers, are not an error")
def _():
    for value in ("AAA=", "AAA", "!!not base64!!", "AAA=,AAAA"):
        equal(answer(x_data_bin=value, grpc_tags_bin=value, grpc_unknown="1").status, OK, value)


@test("a content-length that does not fit resets the stream")
def _():
    with Connection(PTD) as c:
        stream = c.open(CHECK, content_length="3")
        c.data(stream, message(b""))
        equal(c.finish(stream).reset, rawh2.PROTOCOL_ERROR)
        equal(c.call(CHECK, b"").status, OK)


@test("a header list over 16 KiB or 100 fields is reset with ENHANCE_YOUR_CALM, the connection lives")
def _():
    many = {f"x-{i}": "1" for i in range(110)}
    for more in ({"x-big": "v" * 16100}, many):
        reply = answer(**more)
        equal((reply.reset, reply.headers), (rawh2.ENHANCE_YOUR_CALM, []), str(more)[:20])
    equal(answer(**{f"x-{i}": "1" for i in range(90)}).status, OK)


@test("an HPACK bomb ends the connection with ENHANCE_YOUR_CALM")
def _():
    with Connection(PTD) as c:
        stream = c.new_stream()
        block = c.header_block(rawh2.request_headers(CHECK))
        block += b"\x40" + c.literal("x-bomb", "b" * 3900)[1:] + b"\xbe" * 8000
        c.send(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, stream, block))
        equal((c.wait_close(), c.goaway_text), (rawh2.ENHANCE_YOUR_CALM, "header list too large"))
    alive()


@test("a header block in CONTINUATION frames and in 1-byte writes is served; more than 7 are not")
def _():
    def blocks(c, pieces):
        block = c.header_block(rawh2.request_headers(CHECK))
        step = -(-len(block) // pieces)
        return [block[i:i + step] for i in range(0, len(block), step)]
    with Connection(PTD) as c:
        stream = c.new_stream()
        parts = blocks(c, 5)
        wire = rawh2.frame(rawh2.HEADERS, 0, stream, parts[0])
        for i, part in enumerate(parts[1:], 1):
            wire += rawh2.frame(rawh2.CONTINUATION, rawh2.END_HEADERS if i == len(parts) - 1 else 0, stream, part)
        wire += rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, message(b""))
        for byte in wire:
            c.send(bytes([byte]))
        equal(c.finish(stream).status, OK)
    with Connection(PTD) as c:
        stream = c.new_stream()
        c.send(rawh2.frame(rawh2.HEADERS, 0, stream, b"") + rawh2.frame(rawh2.CONTINUATION, 0, stream, b"") * 20)
        equal(c.wait_close(), rawh2.ENHANCE_YOUR_CALM)
    alive()


@test("authorities: none, a host, a percent-encoded path")
def _():
    reply, _goaway = raw_block(rawh2.request_headers(CHECK, p_authority=None))
    equal(reply.reset, rawh2.PROTOCOL_ERROR, "none, and no host")
    for authority in ("localhost", "localhost:80", "%2Frun%2Fptd.sock"):
        equal(answer(p_authority=authority).status, OK, authority)


@test("the daemon ends well")
def _():
    PTD.stop()


ptdtest.main()
