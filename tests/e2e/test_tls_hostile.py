# SPDX-License-Identifier: BSD-2-Clause
"""TLS peers that stall, flood, lie or vanish: each ends as it should, and the others are served (cases 4, 9, 10, 12 to 14)."""
import ctypes
import os
import re
import resource
import socket
import ssl
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
import rawh2  # noqa: E402
import tlstest  # noqa: E402
from ptdtest import equal, test, true  # noqa: E402
from tlstest import CHECK, Client, h2  # noqa: E402

FILES = tlstest.Files()
TRIAL = FILES.pair("trial")
PTD = tlstest.Daemon(FILES, loops=2)
HALF_OPEN = 2000
HANDSHAKE_SECONDS = 5


def alive(ptd=None):
    with h2(ptd or PTD, TRIAL) as c:
        equal(c.call(CHECK, b"").status, 0, "Check afterwards")


def at_end(c):
    """What a rawh2 connection over Client sees once the server has closed: the alert's name, or "closed"."""
    try:
        c.wait_close()
        return "closed"
    except ssl.SSLError as error:
        return error.reason


def opened(ptd=None):
    """A connection that has been served once."""
    c = h2(ptd or PTD, TRIAL)
    equal(c.call(CHECK, b"").status, 0)
    return c


@test("case 9: a handshake message in clear amid a connection, as of a renegotiation, ends it")
def _():
    hello = Client(PTD, TRIAL, plain=socket.socket())
    try:
        hello.tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    with opened() as c:
        c.socket.plain.sendall(hello.records())
        equal(at_end(c), "SSLV3_ALERT_UNEXPECTED_MESSAGE")
    alive()


def s_client(*args):
    return subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{PTD.port}", "-CAfile", FILES("ca.crt"), "-cert", TRIAL[0], "-key", TRIAL[1],
         "-alpn", "h2", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def key_updates(count, command):
    """Sends `count` KeyUpdates one by one; how many the client could send before it was cut off."""
    with s_client() as client:
        line = b"x"
        while line and b"Verify return code" not in line:
            line = client.stdout.readline()
        done = 0
        try:
            while done < count:
                client.stdin.write(command + b"\n")
                client.stdin.flush()
                line = b"x"
                while line and b"KEYUPDATE" not in line:
                    line = client.stdout.readline()
                if not line:
                    break
                done += 1
            if done == count:
                client.stdin.write(b"Q\n")
        except BrokenPipeError:
            pass
        try:
            client.stdin.close()
        except BrokenPipeError:
            pass
        client.stdout.read()
        client.wait(tlstest.SECONDS)
    return done


@test("case 9: a KeyUpdate flood is cut off; some are taken")
def _():
    equal(key_updates(30, b"k"), 30)
    for command in (b"k", b"K"):
        sent = key_updates(20000, command)  # it runs ahead of the daemon
        true(33 <= sent < 20000, f"cut off after {sent}")
    alive()


@test("case 9: early data of another server's session is not taken, the connection is")
def _():
    name = os.path.join(FILES.folder, "session")
    with subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", FILES("server.crt"), "-key", FILES("server.key"),
                           "-early_data", "-max_early_data", "16384", "-alpn", "h2"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        line = b"x"
        while line and not line.startswith(b"ACCEPT"):
            line = server.stdout.readline()
        port = line.split(b":")[-1].strip().decode()
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", "h2", "-sess_out", name],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            until = time.monotonic() + tlstest.SECONDS
            while not (os.path.exists(name) and os.path.getsize(name)) and time.monotonic() < until:
                time.sleep(0.01)
            client.communicate(b"Q\n", tlstest.SECONDS)
        server.kill()
    with open(f"{name}.data", "wb") as file:
        file.write(rawh2.PREFACE + rawh2.frame(rawh2.SETTINGS))
    with s_client("-sess_in", name, "-early_data", f"{name}.data") as client:
        said = client.communicate(b"Q\n", tlstest.SECONDS)[0]
    true(b"Early data was rejected" in said and b"New, TLSv1.3" in said, said.decode(errors="replace"))
    alive()


@test("case 10: a record cut short, a bad MAC, and an end without close_notify")
def _():
    for cut in (1, 5, 6, 20):
        with opened() as c:
            c.socket.tls.write(rawh2.frame(rawh2.PING, 0, 0, b"12345678"))
            c.socket.plain.sendall(c.socket.records()[:cut])
    with opened() as c:
        c.socket.tls.write(rawh2.frame(rawh2.PING, 0, 0, b"12345678"))
        record = bytearray(c.socket.records())
        record[-1] ^= 1
        c.socket.plain.sendall(record)
        equal(at_end(c), "SSLV3_ALERT_BAD_RECORD_MAC")
    with opened() as c:
        c.socket.plain.sendall(b"\x17\x03\x03\xff\xff" + b"x" * 100)
        equal(at_end(c), "TLSV1_ALERT_RECORD_OVERFLOW")
    with opened() as c:
        c.socket.plain.shutdown(socket.SHUT_WR)
        equal(c.wait_close(), None)
    alive()


@test("case 10: close_notify is answered with close_notify")
def _():
    with opened() as c:
        try:
            c.socket.tls.unwrap()
        except ssl.SSLWantReadError:
            c.socket.flush()
        c.socket.step(c.socket.tls.unwrap)
        true(not c.socket.feed(), "closed after it")
    alive()


@test("case 12: records of 1 byte, and TCP segments of 1 byte from the first one on")
def _():
    with opened() as c:
        stream = c.new_stream()
        for byte in rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, stream, c.header_block(rawh2.request_headers(CHECK))) + \
                rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, rawh2.message(b"")):
            c.send(bytes([byte]))
        equal(c.finish(stream).status, 0)

    class Dribble(socket.socket):
        def sendall(self, data):
            for byte in data:
                super().sendall(bytes([byte]))
    slow = Dribble()
    slow.settimeout(tlstest.SECONDS)
    slow.connect(("127.0.0.1", PTD.port))
    slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with h2(PTD, TRIAL, plain=slow) as c:
        equal(c.call(CHECK, b"").status, 0)


@test("an answer that the client does not read waits, and comes whole when it does")
def _():
    query = rawh2.message(b"\x3a\x01*") + rawh2.message(b"\x22\x19ptd.v1.MappingService.Map")
    with h2(PTD, TRIAL, plain=PTD.connect(receive_bytes=4096)) as c:
        streams = []
        for _i in range(40):
            streams.append(c.open("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"))
            c.data(streams[-1], query * 4)
        bodies = [c.finish(stream).body for stream in streams]
        true(len(bodies[0]) > 4096 and all(body == bodies[0] for body in bodies), str([len(b) for b in bodies]))
        equal([c.reply(stream).status for stream in streams], [0] * len(streams))


def wait_gone(sockets, seconds):
    """Each is closed by the server within the time."""
    until = time.monotonic() + seconds
    for one in sockets:
        one.settimeout(max(0.1, until - time.monotonic()))
        try:
            while one.recv(4096):
                pass
        except ConnectionResetError:
            pass


@test("case 13: 2000 half-open connections keep nobody out and are gone after the handshake time (case 4: half a preface, too)")
def _():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, HALF_OPEN + 500)), hard))
    with tlstest.Daemon(FILES, loops=2, args=["--max-connections", "64"]) as ptd:
        started = time.monotonic()
        descriptors = len(os.listdir(f"/proc/{ptd.pid}/fd"))
        hello = Client(ptd, TRIAL)
        try:
            hello.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        start = hello.records()
        silent = [ptd.connect() for _i in range(HALF_OPEN)]
        for one in silent[:300]:
            one.sendall(start)  # and never the rest
        for one in silent[300:400]:
            one.sendall(start[:50])
        half = h2(ptd, TRIAL, preface=False)
        half.send(rawh2.PREFACE[:10])
        alive(ptd)
        with rawh2.Connection(ptd) as local:
            equal(local.call(CHECK, b"").status, 0)
        wait_gone([*silent, hello.plain, half.socket.plain], 3 * HANDSHAKE_SECONDS)
        true(time.monotonic() - started >= HANDSHAKE_SECONDS - 0.1, "not before the time")
        alive(ptd)
        for one in (*silent, hello.plain, half):
            one.close()
        until = time.monotonic() + 5
        while len(os.listdir(f"/proc/{ptd.pid}/fd")) > descriptors + 2 and time.monotonic() < until:
            time.sleep(0.01)
        true(len(os.listdir(f"/proc/{ptd.pid}/fd")) <= descriptors + 2, "descriptors are given back")
        lines = ptd.stderr.count("handshake refused")
        true(0 < lines < 400, f"{lines} lines")
        true(re.search(r"\d+ more suppressed", ptd.stderr), "and how many more there would be")


@test("case 13: with no descriptor left, unfinished handshakes make room, and accepting goes on")
def _():
    with tlstest.Daemon(FILES, loops=1) as ptd:
        room = len(os.listdir(f"/proc/{ptd.pid}/fd")) + 20
        resource.prlimit(ptd.pid, resource.RLIMIT_NOFILE, (room, room))
        silent = [ptd.connect() for _i in range(60)]
        alive(ptd)
        for one in silent:
            one.close()
        held = []
        for _i in range(60):
            held.append(rawh2.Connection(ptd))
        served = [c for c in held if c.call(CHECK, b"").status == 0]
        true(5 < len(served) < 25, f"{len(served)} of {len(held)} were served")
        for c in held:
            c.close()
        alive(ptd)
        with rawh2.Connection(ptd) as local:
            equal(local.call(CHECK, b"").status, 0)


def reset(plain):
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


@test("case 14: a reset right after the accept, amid the handshake, and amid an answer")
def _():
    for _i in range(200):
        reset(PTD.connect())
    for _i in range(50):
        c = Client(PTD, TRIAL)
        try:
            c.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        c.flush()
        reset(c.plain)
    for _i in range(50):
        c = Client(PTD, TRIAL)
        c.handshake()
        reset(c.plain)
    for _i in range(20):
        c = opened()
        for _k in range(50):
            c.data(c.open(CHECK), rawh2.message(b""))
        reset(c.socket.plain)
    alive()


@test("case 52: what a peer that vanished does not acknowledge is given up after 30 s (TCP_USER_TIMEOUT)")
def _():
    getfd, option = 438, 18  # pidfd_getfd(), TCP_USER_TIMEOUT
    call = ctypes.CDLL(None, use_errno=True).syscall
    with opened() as c:
        mine = c.socket.plain.getsockname()
        process = os.pidfd_open(PTD.pid)
        seen = []
        for name in os.listdir(f"/proc/{PTD.pid}/fd"):
            if not os.readlink(f"/proc/{PTD.pid}/fd/{name}").startswith("socket:"):
                continue
            copy = call(getfd, process, int(name), 0)
            if copy < 0:
                raise ptdtest.Skip(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
            with socket.socket(fileno=copy) as one:
                try:
                    if one.getpeername() == mine:
                        seen.append(one.getsockopt(socket.IPPROTO_TCP, option))
                except OSError:
                    pass  # a listener
        os.close(process)
    equal(seen, [30000])


@test("a drain closes unfinished handshakes and ends")
def _():
    silent, half = [PTD.connect() for _i in range(20)], Client(PTD, TRIAL)
    try:
        half.tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    half.flush()
    true(half.feed(), "the server's part of the handshake")
    with opened():
        started = time.monotonic()
        PTD.stop()
    true(time.monotonic() - started < 10)
    wait_gone(silent, 5)


ptdtest.main()
