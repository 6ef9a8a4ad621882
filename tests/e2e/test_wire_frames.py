# SPDX-License-Identifier: BSD-2-Clause
"""Frames, floods and slow or hostile readers (reference cases 15 to 31, 49 to 56 and 61 to 67)."""
import os
import struct
import time

import ptdtest
import rawh2
from ptdtest import equal, test, true
from rawh2 import Connection, frame, message

CHECK = "/grpc.health.v1.Health/Check"
LIST = "/grpc.health.v1.Health/List"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
FRAME_SIZE_ERROR, STREAM_CLOSED, COMPRESSION_ERROR = 6, 5, 9
INITIAL_WINDOW = 4

PTD = ptdtest.Daemon(loops=2)


def alive():
    with Connection(PTD) as c:
        equal(c.call(CHECK, b"").status, 0, "Check afterwards")


def ends(wire, code, opened=False):
    """The connection ends with GOAWAY `code` after `wire`; others live on."""
    with Connection(PTD) as c:
        if opened:
            c.open(CHECK)
        c.send(wire)
        equal(c.wait_close(), code, wire[:20].hex())
    alive()


def u32(n):
    return struct.pack(">I", n)


def resident_kib():
    with open(f"/proc/{PTD.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@test("HTTP/1, TLS and silence on the socket do not get an answer; the daemon lives")
def _():
    for wire in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes.fromhex("160301020001000001fc0303") + b"\0" * 500, b"PRI * HTTP/2.0\r\n\r\nXX"):
        with Connection(PTD, preface=False) as c:
            c.send(wire)
            equal(c.wait_close(), None, repr(wire[:10]))
    with Connection(PTD, preface=False) as c:
        c.send(b"PRI * HT")
        started = time.monotonic()
        equal(c.wait_close(), None, "half a preface")
        true(3 < time.monotonic() - started < 15, "closed after the preface time")
    alive()


@test("frames that break HTTP/2 end the connection with the right code")
def _():
    ends(frame(rawh2.DATA, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR)
    ends(frame(rawh2.DATA, 0, 0, b"x"), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.DATA, 0, 7, b"x"), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.CONTINUATION, rawh2.END_HEADERS, 1, b""), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.PUSH_PROMISE, rawh2.END_HEADERS, 1, u32(2)), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.HEADERS, rawh2.END_HEADERS, 2, b"\x82"), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.PING, 0, 0, b"short"), FRAME_SIZE_ERROR)
    ends(frame(rawh2.SETTINGS, 0, 0, b"12345"), FRAME_SIZE_ERROR)
    ends(frame(rawh2.SETTINGS, rawh2.ACK, 0, b"123456"), FRAME_SIZE_ERROR)
    ends(frame(rawh2.SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), rawh2.FLOW_CONTROL_ERROR)
    ends(frame(rawh2.WINDOW_UPDATE, 0, 0, u32(0)), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.WINDOW_UPDATE, 0, 0, u32((1 << 31) - 1)), rawh2.FLOW_CONTROL_ERROR)
    ends(frame(rawh2.RST_STREAM, 0, 2, u32(8)), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.RST_STREAM, 0, 9, b"short"), FRAME_SIZE_ERROR)
    ends(frame(rawh2.HEADERS, 0, 3, b"\x82") + frame(rawh2.RST_STREAM, 0, 9, u32(8)), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.HEADERS, rawh2.END_HEADERS, 3, b"\xff\xff\xff\xff\xff"), COMPRESSION_ERROR)
    ends(frame(rawh2.HEADERS, 0, 3, b"\x82") + frame(rawh2.PING, 0, 0, b"12345678"), rawh2.PROTOCOL_ERROR)
    ends(frame(rawh2.DATA, 8, 1, b"\xff"), rawh2.PROTOCOL_ERROR, opened=True)


@test("a reset of a stream that was never opened, as gRPC's own client sends it, leaves the other calls alone")
def _():
    with Connection(PTD) as c:
        watch = c.open("/grpc.health.v1.Health/Watch")
        c.data(watch, message(b""))
        while not c.reply(watch).body:
            c.read_some()
        reset = frame(rawh2.RST_STREAM, 0, c.new_stream(), u32(rawh2.CANCEL))
        c.send(reset)
        equal(c.call(CHECK, b"").status, 0)
        reset = frame(rawh2.RST_STREAM, 0, c.new_stream(), u32(rawh2.CANCEL))
        later = c.new_stream()
        data = reset + frame(rawh2.HEADERS, rawh2.END_HEADERS, later,
                             c.header_block(rawh2.request_headers(CHECK))) + frame(rawh2.DATA, 1, later, message(b""))
        for i in range(len(data)):
            c.send(data[i:i + 1])
        equal(c.finish(later).status, 0)
        true(not c.reply(watch).ended and c.goaway is None)
    with Connection(PTD) as c:
        equal(c.call(CHECK, b"").status, 0)
        for _ in range(3000):
            c.send(frame(rawh2.RST_STREAM, 0, c.new_stream(), u32(rawh2.CANCEL)))
        equal(c.wait_close(), rawh2.ENHANCE_YOUR_CALM)


@test("HEADERS on a stream that ended long ago end the connection")
def _():
    with Connection(PTD) as c:
        for _i in range(3):
            equal(c.call(CHECK, b"").status, 0)
        c.send(frame(rawh2.HEADERS, rawh2.END_HEADERS, 1, c.header_block(rawh2.request_headers(CHECK))))
        equal((c.wait_close(), c.goaway_text), (rawh2.PROTOCOL_ERROR, "HEADERS on a closed stream"))
    alive()


@test("near the end of the stream numbers the call is answered and GOAWAY follows")
def _():
    with Connection(PTD) as c:
        c.next_stream = (1 << 30) + 1
        equal(c.call(CHECK, b"").status, 0)
        equal(c.wait_close(), rawh2.NO_ERROR)
    alive()


@test("unknown frames and settings are ignored, a PING is answered")
def _():
    with Connection(PTD, settings=struct.pack(">HI", 0xFE03, 1)) as c:
        c.send(frame(0xEE, 0xFF, 0, b"what") + frame(rawh2.PING, 0, 0, b"12345678") + frame(rawh2.PRIORITY, 0, 5, u32(0) + b"\x10"))
        equal(c.call(CHECK, b"").status, 0)
        equal(c.pings, 1)


@test("floods of idle frames end the connection with ENHANCE_YOUR_CALM")
def _():
    for one in (frame(rawh2.PING, rawh2.ACK, 0, b"12345678"), frame(rawh2.SETTINGS), frame(rawh2.PRIORITY, 0, 5, u32(0) + b"\x10"),
                frame(0xEE, 0, 0, b""), frame(rawh2.WINDOW_UPDATE, 0, 0, u32(1))):
        with Connection(PTD) as c:
            c.send(one * 5000)
            equal(c.wait_close(), rawh2.ENHANCE_YOUR_CALM, one.hex())
    with Connection(PTD) as c:
        c.send(frame(rawh2.PING, 0, 0, b"12345678") * 5000)
        equal(c.wait_close(), rawh2.ENHANCE_YOUR_CALM, "PING")
    with Connection(PTD) as c:
        stream = c.open(CHECK)
        c.send(frame(rawh2.DATA, 0, stream) * 5000)
        equal(c.wait_close(), rawh2.ENHANCE_YOUR_CALM, "empty DATA")
    alive()


@test("a rapid reset ends the connection; a client that cancels 1000 calls is served on")
def _():
    def cancels(c, count):
        for _i in range(count):
            stream = c.open(CHECK)
            c.send(frame(rawh2.RST_STREAM, 0, stream, u32(rawh2.CANCEL)))
    with Connection(PTD) as c:
        cancels(c, 1000)
        equal(c.call(CHECK, b"").status, 0)
    with Connection(PTD) as c:
        cancels(c, 5000)
        equal((c.wait_close(), c.goaway_text), (rawh2.ENHANCE_YOUR_CALM, "too many resets"))
    alive()


@test("a server made to reset 5000 streams ends the connection")
def _():
    with Connection(PTD) as c:
        for _i in range(5000):
            stream = c.open(CHECK)
            c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32((1 << 31) - 1)))
            c.drain()
            if c.closed:
                break
        equal((c.wait_close(), c.goaway_text), (rawh2.ENHANCE_YOUR_CALM, "too many streams had to be reset"))
    alive()


@test("a stream above MAX_CONCURRENT_STREAMS is refused or ends the connection, never hangs")
def _():
    with Connection(PTD) as c:
        for _i in range(512):
            c.open(CHECK)
        last = c.open(CHECK)
        reply = c.finish(last)
        true(reply.reset == rawh2.REFUSED_STREAM or c.goaway == rawh2.PROTOCOL_ERROR, f"{reply.reset} {c.goaway}")
    alive()


@test("answers wait for the window, trailers come after the body")
def _():
    with Connection(PTD, settings=struct.pack(">HI", INITIAL_WINDOW, 0), greedy=False) as c:
        stream = c.open(LIST)
        c.data(stream, message(b""))
        other = c.open("/none/None", end=True)
        equal(c.finish(other).status, 12, "an answer without a body passes")
        reply = c.reply(stream)
        equal((reply.body, reply.status), (b"", None), "nothing but headers before the window opens")
        for _i in range(3):
            c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(1)))
        equal(c.call("/none/None", b"").status, 12)
        equal((reply.body, reply.status), (b"", None), "no frame is made for a byte")
        c.send(frame(rawh2.WINDOW_UPDATE, 0, stream, u32(253)))
        while len(reply.body) < 256:
            c.read_some()
        equal((len(reply.body), reply.status), (256, None), "256 bytes are worth one; no trailers before the body's end")
        c.send(frame(rawh2.SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 65535)))
        equal(c.finish(stream).status, 0)
        equal(len(reply.messages()), 1)


@test("a client that never reads 500 answers costs bounded memory, and others are served")
def _():
    before = resident_kib()
    with Connection(PTD, greedy=False) as c:
        query = message(b"\x22" + bytes([len(b"ptd.v1.MappingService")]) + b"ptd.v1.MappingService")
        for _i in range(20):
            stream = c.open(REFLECT)
            c.socket.settimeout(0.5)
            try:
                for _j in range(60):
                    c.data(stream, query * 200, end=False)
            except (TimeoutError, OSError):
                pass
        alive()
        true(resident_kib() - before < 96 << 10, f"grew by {resident_kib() - before} KiB")
    alive()


@test("health Watch says SERVING at once and UNKNOWN for a stranger, and stays open")
def _():
    with Connection(PTD) as c:
        known, stranger = c.open(WATCH), c.open(WATCH)
        c.data(known, message(b""))
        c.data(stranger, message(b"\x0a\x01x"))
        while len(c.reply(known).body) < 7 or len(c.reply(stranger).body) < 7:
            c.read_some()
        equal((c.reply(known).messages(), c.reply(stranger).messages()), ([b"\x08\x01"], [b"\x08\x03"]))
        equal((c.reply(known).ended, c.reply(stranger).ended), (False, False))


@test("reflection: every symbol query resolves, unknown ones are NOT_FOUND in the stream, 10 000 queries pass")
def _():
    with Connection(PTD) as c:
        stream = c.open(REFLECT)

        def ask(number, text):
            before = len(c.reply(stream).messages())
            c.data(stream, message(bytes([number << 3 | 2, len(text)]) + text), end=False)
            while len(c.reply(stream).messages()) == before:
                true(c.read_some(), "stream lives")
            return dict(ptdtest.wire_fields(c.reply(stream).messages()[-1]))
        for symbol in (b"ptd.v1.MappingService", b"ptd.v1.MappingService.Map", b"ptd.v1.Ops", b"ptd.v1.OpKind", b"ptd.v1.OP_KIND_MAP",
                       b"ptd.v1.MapRequest.ipa", b"grpc.health.v1.HealthCheckResponse.ServingStatus"):
            true(4 in ask(4, symbol), symbol)
        files = ask(3, b"ptd/v1/mapping.proto")[4]
        names = [dict(ptdtest.wire_fields(raw))[1] for number, raw in ptdtest.wire_fields(files) if number == 1]
        equal(names, [b"ptd/v1/mapping.proto", b"ptd/v1/common.proto", b"ptd/v1/upkeep.proto"], "file and what it imports")
        for number, text in ((3, b"no.proto"), (4, b"ptd.v1.Nobody"), (6, b"ptd.v1.Ops")):
            equal(dict(ptdtest.wire_fields(ask(number, text)[7]))[1], 5, "NOT_FOUND")
        equal(c.reply(stream).status, None)
        old = len(c.reply(stream).body)
        for _i in range(100):
            c.data(stream, message(b"\x22\x01x") * 100, end=False)
        c.data(stream, b"")
        equal(c.finish(stream).status, 0)
        c.reply(stream).body = c.reply(stream).body[old:]
        equal(len(c.reply(stream).messages()), 10000)


@test("SIGTERM: health says NOT_SERVING, a running call ends well, then GOAWAY and exit 0")
def _():
    ptd = ptdtest.Daemon(loops=2)
    with Connection(ptd) as c:
        watch, late, reflect = c.open(WATCH), c.open(CHECK), c.open(REFLECT)
        c.data(watch, message(b""))
        c.data(reflect, message(b"\x22\x01x"), end=False)
        while not c.reply(reflect).body:
            c.read_some()
        while len(c.reply(watch).body) < 7:
            c.read_some()
        ptd.process.terminate()
        while len(c.reply(watch).body) < 14:
            true(c.read_some(), "lives")
        equal(c.reply(watch).messages(), [b"\x08\x01", b"\x08\x02"])
        c.data(late, message(b""))
        equal((c.finish(late).status, c.reply(late).messages()), (0, [b"\x08\x02"]))
        equal((c.wait_close(), c.goaway_text), (rawh2.NO_ERROR, "draining"))
        equal((c.reply(watch).status, c.reply(reflect).status), (14, 14), "streams end by themselves")
        true([i for i, f in enumerate(c.log) if f == (rawh2.DATA, watch)][1] < c.log.index((rawh2.GOAWAY, 0)), "health first")
    equal(ptd.process.wait(10), 0)
    true(not os.path.exists(ptd.socket), "the socket file is gone")
    ptd.stop()


@test("a live socket is refused, a dead daemon's is replaced")
def _():
    import subprocess
    program = os.path.join(ptdtest.BUILD, "ptd")
    env = ptdtest.sanitizer_env()
    second = subprocess.run([program, "--listen", PTD.endpoint], capture_output=True, text=True, timeout=20, env=env, check=False)
    equal(second.returncode, 1, second.stderr)
    dead = ptdtest.Daemon(loops=1)
    dead.process.kill()
    dead.process.wait()
    true(os.path.exists(dead.socket), "left behind")
    again = subprocess.Popen([program, "--listen", dead.endpoint], stdout=subprocess.PIPE, text=True, env=env)
    equal(again.stdout.readline().strip(), f"ptd ready {dead.endpoint}")
    again.terminate()
    equal(again.wait(10), 0)
    dead.kill()


@test("GetInfo states the limits that the first SETTINGS frame announces")
def _():
    limits = PTD.stub("server", "ServerService").GetInfo(PTD.pb("server").GetInfoRequest()).limits
    with Connection(PTD) as c:
        while not c.peer_settings:
            c.read_some()
        equal((c.peer_settings[3], c.peer_settings[6]), (limits.max_concurrent_streams, limits.max_header_list_bytes))
        equal(c.peer_settings[INITIAL_WINDOW], 1 << 20)


@test("--no-reflection leaves reflection out")
def _():
    ptd = ptdtest.Daemon(loops=1, args=["--no-reflection"])
    info = ptd.stub("server", "ServerService").GetInfo(ptd.pb("server").GetInfoRequest())
    equal(info.checked, False)
    true("grpc.reflection.v1.ServerReflection" not in info.services and "grpc.health.v1.Health" in info.services)
    with Connection(ptd) as c:
        equal(c.finish(c.open(REFLECT, end=True)).status, 12)
    ptd.stop()


@test("clear TCP on loopback is served when it is allowed, by a principal without rights of its own")
def _():
    ptd = ptdtest.Daemon(loops=2, listen="tcp:127.0.0.1:0", args=["--allow-clear-tcp"])
    true(not ptd.ready_line.endswith(":0"), "the port is named")
    equal(ptd.stub("server", "ServerService").GetInfo(ptd.pb("server").GetInfoRequest()).loops, 2)
    ptd.stop()


@test("usage errors exit 2, --check-config and --version exit 0")
def _():
    import subprocess
    program = os.path.join(ptdtest.BUILD, "ptd")

    def status(*args, **config):
        for text in config.values():
            with open(os.path.join(PTD.folder, "conf"), "w", encoding="ascii") as out:
                out.write(text)
            args += ("--config", os.path.join(PTD.folder, "conf"))
        return subprocess.run([program, *args], capture_output=True, timeout=20, check=False,
                              env=ptdtest.sanitizer_env()).returncode
    for wrong in (["--nonsense"], ["--loops", "0"], ["--loops", "x"], ["--listen", "http://x"], ["stray"],
                  ["--listen", "tcp:127.0.0.1:0"], ["--listen", "tcp:0.0.0.0:0", "--allow-clear-tcp"],
                  ["--table-memory", "-1"], ["--table-memory", "5Q"], ["--listen", "unix:"], ["--tls-key", "x"],
                  *(["--allow-clear-tcp", "--listen", f"tcp:localhost{port}"] for port in ("", ":", ":65536", ":-1", ":1x")),
                  ["--listen", "tls::7443"]):
        equal(status(*wrong), 2, wrong)
    equal(status("--version"), 0)
    equal(status("--help"), 0)
    equal(status("--check-config", "--loops", "3", "--table-memory", "1G"), 0)
    equal(status("--check-config", text="loops = 2\nlisten = unix:/x/y\nallow-failpoints = yes\n"), 0)
    equal(status("--check-config", text="loops = many\n"), 2)
    equal(status("--check-config", text="colour = red\n"), 2)
    equal(status("--check-config", text="no-reflection = maybe\n"), 2)
    equal(status("--check-config", text="listen = tcp:localhost:1\nallow-clear-tcp = no\n"), 2)
    equal(status("--check-config", text="listen = tcp:localhost:1\nallow-clear-tcp = true\n"), 0)


@test("an idle daemon is below 16 MiB resident")
def _():
    ptd = ptdtest.Daemon(loops=4)
    with Connection(ptd) as c:
        equal(c.call(CHECK, b"").status, 0)
    with open(f"/proc/{ptd.pid}/status", encoding="ascii") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    ptd.stop()
    with open(os.path.join(ptdtest.BUILD, "ptd"), "rb") as program:
        code = program.read()
    if b"__asan_init" not in code and b"__tsan_init" not in code:
        true(resident < 16 << 10, f"{resident} KiB")


@test("the daemon ends well")
def _():
    PTD.stop()


ptdtest.main()
