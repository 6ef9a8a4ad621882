# SPDX-License-Identifier: BSD-2-Clause
"""ptd as a service manager sees it: sockets handed over, readiness, watchdog, the end."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import grpc
import ptdtest
from ptdtest import BUILD, TREE, equal, test, true

SECONDS = 30
WATCHDOG_US = 400_000


class Manager:
    """Stands in for systemd: a notify socket, and ptd started with its environment."""

    def __init__(self, loops=2):
        self.folder = tempfile.mkdtemp(prefix="ptd-service-")
        self.path = os.path.join(self.folder, "s")
        self.loops = loops
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.folder, "notify"))
        self.process = None

    def env(self, **more):
        return {"NOTIFY_SOCKET": os.path.join(self.folder, "notify"), **more}

    def launch(self, command, env):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env={**os.environ, **env}, text=True)

    def start(self, *args, **env):
        """ptd on its own socket."""
        self.launch([os.path.join(BUILD, "ptd"), "--loops", str(self.loops), "--listen", f"unix:{self.path}", *args],
                    self.env(**env))

    def activate(self, sockets, *args, options=()):
        """ptd on (name, address) pairs that systemd-socket-activate opens; it starts with the first connection."""
        command = ["systemd-socket-activate", *options]
        for _name, address in sockets:
            command += ["-l", address]
        command.append("--fdname=" + ":".join(name for name, _address in sockets))
        for item in self.env().items():
            command.append("--setenv=" + "=".join(item))
        self.launch([*command, os.path.join(BUILD, "ptd"), "--loops", str(self.loops), *args], {})

    def told(self, seconds=SECONDS):
        """The next notification, as a dictionary; None when none comes in time."""
        self.notify.settimeout(seconds)
        try:
            text = self.notify.recv(4096).decode()
        except (socket.timeout, BlockingIOError):
            return None
        return dict(line.split("=", 1) for line in text.splitlines())

    def wait_for(self, key):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            told = self.told()
            if told and key in told:
                return told
        raise AssertionError(f"{key} was not told")

    def end(self, number=signal.SIGTERM):
        """Exit status and output."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.communicate()
        self.notify.close()
        shutil.rmtree(self.folder)


def info(target, credentials=None):
    """GetInfo over a channel of its own; waits until somebody listens."""
    options = [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    make = grpc.secure_channel if credentials else grpc.insecure_channel
    more = (credentials,) if credentials else ()
    with make(target, *more, options=options) as channel:
        import ptd.v1.server_pb2 as pb
        import ptd.v1.server_pb2_grpc as stubs
        return stubs.ServerServiceStub(channel).GetInfo(pb.GetInfoRequest(), timeout=SECONDS, wait_for_ready=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def poke(path):
    """A connection to the unix socket, made when it is there."""
    deadline = time.monotonic() + SECONDS
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
            return link
        except OSError:
            link.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@test("READY=1 says that connections are accepted, STOPPING=1 that the drain has begun; SIGTERM ends with 0")
def _():
    with Manager() as manager:
        manager.start()
        ready = manager.wait_for("READY")
        equal(ready["READY"], "1")
        true(f"unix:{manager.path}" in ready["STATUS"], ready)
        equal(info(f"unix:{manager.path}").loops, 2)
        status, output = manager.end()
        equal(status, 0, output)
        equal(manager.told(), {"STOPPING": "1", "STATUS": "draining"})
        equal(manager.told(0), None)


@test("the Drain call says STOPPING=1, too")
def _():
    with Manager() as manager:
        manager.start()
        manager.wait_for("READY")
        with grpc.insecure_channel(f"unix:{manager.path}",
                                   options=[("grpc.default_authority", "localhost")]) as channel:
            import ptd.v1.server_pb2 as pb
            import ptd.v1.server_pb2_grpc as stubs
            stubs.ServerServiceStub(channel).Drain(pb.DrainRequest(), timeout=SECONDS)
            manager.wait_for("STOPPING")
        equal(manager.process.wait(SECONDS), 0)


@test("a unix socket from systemd replaces the default one, serves a call, and its file stays")
def _():
    with Manager() as manager:
        manager.activate([("ptd", manager.path)])
        poke(manager.path).close()
        equal(manager.wait_for("READY")["STATUS"], f"unix:{manager.path}")
        equal(info(f"unix:{manager.path}").loops, 2)
        status, output = manager.end()
        equal(status, 0, output)
        true(f"ptd ready unix:{manager.path}\n" in output, output)
        true(os.path.exists(manager.path), "the socket's file is gone")


def certificates(folder):
    """Paths by name, made by ptctl."""
    done = subprocess.run([os.path.join(BUILD, "ptctl"), "tls", "init", "--dir", folder], capture_output=True, text=True)
    equal(done.returncode, 0, done.stderr)
    return {name: os.path.join(folder, name) for name in os.listdir(folder)}


def read(path):
    with open(path, "rb") as file:
        return file.read()


@test("two sockets by name: a call in clear on ptd, calls over TLS on ptd-tls, which all loops accept")
def _():
    with Manager() as manager:
        files = certificates(os.path.join(manager.folder, "tls"))
        port = free_port()
        manager.activate([("ptd", manager.path), ("ptd-tls", f"127.0.0.1:{port}")],
                         "--tls-certificate", files["server.crt"], "--tls-key", files["server.key"],
                         "--tls-ca", files["ca.crt"])
        poke(manager.path).close()
        equal(manager.wait_for("READY")["STATUS"], f"unix:{manager.path} tls:127.0.0.1:{port}")
        epoch = info(f"unix:{manager.path}").epoch
        for _i in range(8):
            credentials = grpc.ssl_channel_credentials(
                read(files["ca.crt"]), read(files["trial.key"]), read(files["trial.crt"]))
            equal(info(f"127.0.0.1:{port}", credentials).epoch, epoch)
        status, output = manager.end()
        equal(status, 0, output)


@test("endpoints that are asked for stand beside those from systemd")
def _():
    with Manager() as manager:
        own = os.path.join(manager.folder, "own")
        manager.activate([("ptd", manager.path)], "--listen", f"unix:{own}")
        poke(manager.path).close()
        manager.wait_for("READY")
        equal(info(f"unix:{manager.path}").epoch, info(f"unix:{own}").epoch)
        equal(manager.end()[0], 0)
        true(not os.path.exists(own), "its own socket file stays")


def refused(sockets, words, *args, options=()):
    with Manager() as manager:
        manager.activate(sockets, *args, options=options)
        address = sockets[0][1]
        if address.startswith("/"):
            poke_any(address, socket.SOCK_DGRAM if "--datagram" in options else socket.SOCK_STREAM)
        else:
            poke_tcp(int(address.rsplit(":", 1)[1]))
        output, _ = manager.process.communicate(timeout=SECONDS)
        equal(manager.process.returncode, 1, output)
        true(words in output, output)
        equal(manager.told(0), None, "what was told")


def poke_any(path, kind):
    deadline = time.monotonic() + SECONDS
    with socket.socket(socket.AF_UNIX, kind) as link:
        while link.connect_ex(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        if kind == socket.SOCK_DGRAM:
            link.send(b"x")


def poke_tcp(port):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as link:
            if not link.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.01)


@test("a socket with another name, or of the wrong kind, ends ptd with 1 and a sentence")
def _():
    folder = tempfile.mkdtemp(prefix="ptd-service-")
    path, port = os.path.join(folder, "s"), free_port()
    refused([("other", path)], "descriptor 3, named 'other', from systemd is not named ptd or ptd-tls")
    refused([("ptd-tls", path + "1")], "named 'ptd-tls', from systemd is not a listening TCP socket")
    refused([("ptd", f"127.0.0.1:{port}")], "named 'ptd', from systemd is not a listening unix stream socket")
    refused([("ptd", path + "2")], "is not a listening unix stream socket", options=["--datagram"])
    refused([("ptd-tls", f"127.0.0.1:{port}")], "needs --tls-certificate, --tls-key and --tls-ca")
    shutil.rmtree(folder)


@test("WATCHDOG=1 comes while nothing happens, with what there is to know")
def _():
    with Manager() as manager:
        manager.start(WATCHDOG_USEC=str(WATCHDOG_US))
        manager.wait_for("READY")
        seen = [manager.told(), manager.told(), manager.told()]
        for told in seen:
            equal(told["WATCHDOG"], "1", told)
            true(re.fullmatch(r"serving; \d+ connections, 2 loops", told["STATUS"]), told)
        equal(manager.end()[0], 0)


@test("a watchdog that is another process's is not fed")
def _():
    with Manager() as manager:
        manager.start(WATCHDOG_USEC=str(WATCHDOG_US), WATCHDOG_PID="1")
        manager.wait_for("READY")
        equal(manager.told(2 * WATCHDOG_US / 1e6), None)


def starves(mode):
    """With one thread hanging, no sign of life comes for two of the watchdog's times."""
    with Manager() as manager:
        library, file = os.path.join(manager.folder, "stall.so"), os.path.join(manager.folder, "stall")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(TREE, "tests/e2e/stall.c")],
                       check=True)
        manager.start(WATCHDOG_USEC=str(WATCHDOG_US), LD_PRELOAD=library, PTD_STALL=mode, PTD_STALL_FILE=file)
        manager.wait_for("READY")
        equal(manager.told()["WATCHDOG"], "1")
        equal(manager.told()["WATCHDOG"], "1")
        with open(file, "w", encoding="ascii"):
            pass
        feeds = 0
        while manager.told(2 * WATCHDOG_US / 1e6):
            feeds += 1
            true(feeds <= 4, "it is fed although a thread hangs")
        equal(manager.process.poll(), None, "exit status")
        equal(info(f"unix:{manager.path}").loops, 2) if mode == "grace" else None
        manager.end(signal.SIGKILL)


@test("no WATCHDOG=1 while one loop of two hangs")
def _():
    starves("loop")


@test("no WATCHDOG=1 while no grace period ends, although all loops serve")
def _():
    starves("grace")


@test("--checked runs ptd-checked")
def _():
    with ptdtest.Daemon(loops=1, args=["--checked"]) as ptd:
        equal(ptd.stub("server", "ServerService").GetInfo(ptd.pb("server").GetInfoRequest()).checked, True)


ptdtest.main()
