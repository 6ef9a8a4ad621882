# SPDX-License-Identifier: BSD-2-Clause
"""Connections that end under load: no call is lost or run twice (cases 56 to 59), and one principal's limit (case 13)."""
import os
import signal
import socket
import threading
import time

import grpc
import ptdtest
import rawh2
from ptdtest import equal, test, true
from rawh2 import Connection

CHECK = "/grpc.health.v1.Health/Check"
CLIENTS = 4


class Client(threading.Thread):
    """Maps and unmaps one page of a context of its own, each call with a request id of its own. Each answer names the
    generation of the context: it counts how often one of these calls took effect, so it goes up by one a call."""

    def __init__(self, ptd, number):
        super().__init__()
        self.guest = ptdtest.Guest(ptd, name=f"m{number}", memory=1 << 20)
        self.stub, self.pb = ptd.stub("mapping", "MappingService", ptd.channel()), ptd.pb("mapping")
        self.number, self.done, self.wrong, self.failed = number, 0, [], None
        self.over = threading.Event()

    def run(self):
        ids = self.number << 32
        while not self.over.is_set():
            ids += 1
            name = ids.to_bytes(16, "little")
            try:
                if self.done % 2 == 0:
                    answer = self.stub.Map(self.pb.MapRequest(context=self.guest.handle, ipa=0, size=4096, pa=0, prot=3, request_id=name))
                else:
                    answer = self.stub.Unmap(self.pb.UnmapRequest(context=self.guest.handle, ipa=0, size=4096, request_id=name))
            except grpc.RpcError as error:
                self.failed = error
                return
            self.done += 1
            if answer.generation != self.done + 1:
                self.wrong.append((self.done, answer.generation))


def load(ptd):
    clients = [Client(ptd, i) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def wait_for(what, true_yet):
    end = time.monotonic() + 30
    while not true_yet():
        true(time.monotonic() < end, what)
        time.sleep(0.01)


@test("connections that grow old under load cost no call and run none twice")
def _():
    ptd = ptdtest.Daemon(loops=2, args=["--max-connection-age", "150ms", "--max-connection-age-grace", "20s"])
    clients = load(ptd)
    stats, pb = ptd.stub("server", "ServerService"), ptd.pb("server")
    wait_for("30 connections", lambda: sum(loop.connections for loop in stats.GetStats(pb.GetStatsRequest()).loops) > 30)
    for client in clients:
        client.over.set()
        client.join(20)
    equal([c.wrong for c in clients], [[]] * CLIENTS, "generations")
    equal([c.failed for c in clients], [None] * CLIENTS, "calls that failed")
    for c in clients:
        pb = ptd.pb("context")
        seen = ptd.stub("context", "ContextService", ptd.channel()).GetContext(pb.GetContextRequest(handle=c.guest.handle)).context
        equal(seen.generation, c.done + 1, "effects counted by the daemon and answers counted by the client")
    print(f"# {sum(c.done for c in clients)} calls over more than 30 connections")
    ptd.stop()


@test("SIGTERM under load: each call is answered, or was never run; then exit 0")
def _():
    ptd = ptdtest.Daemon(loops=2)
    clients = load(ptd)
    wait_for("some calls", lambda: all(c.done > 50 for c in clients))
    ptd.process.terminate()
    for client in clients:
        client.join(30)
        true(not client.is_alive(), "ended")
    equal([c.wrong for c in clients], [[]] * CLIENTS, "generations")
    equal({c.failed.code() for c in clients}, {grpc.StatusCode.UNAVAILABLE})
    equal(ptd.process.wait(20), 0)
    print(f"# {sum(c.done for c in clients)} calls before the end")
    ptd.stop()


@test("a second SIGTERM ends the daemon at once, with a call still open")
def _():
    ptd = ptdtest.Daemon(loops=2)
    with Connection(ptd) as c:
        equal(c.call(CHECK, b"").status, 0)
        c.open(CHECK)
        os.kill(ptd.pid, signal.SIGTERM)
        while c.goaway is None:
            true(c.read_some(), "GOAWAY")
        equal(ptd.process.poll(), None, "it waits for the call")
        os.kill(ptd.pid, signal.SIGTERM)
        ptd.process.wait(10)
    ptd.kill()


@test("calls that outlast --drain-grace are cut: REFUSED_STREAM if they never ran")
def _():
    ptd = ptdtest.Daemon(loops=1, args=["--drain-grace", "300ms"])
    with Connection(ptd) as c:
        equal(c.call(CHECK, b"").status, 0)
        never = c.open(CHECK)
        ptd.process.terminate()
        c.finish(never)
        equal(c.reply(never).reset, rawh2.REFUSED_STREAM)
        c.wait_close()
    equal(ptd.process.wait(10), 0)
    ptd.stop()


def small_reader(ptd):
    """Over TCP, with a receive buffer that holds a few KiB."""
    host, port = ptd.target().rsplit(":", 1)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(rawh2.SECONDS)
    made.connect((host, int(port)))
    return Connection(ptd, over=made)


@test("the last answers of a drain arrive whole though their reader is slow and still sends windows")
def _():
    ptd = ptdtest.Daemon(loops=1, listen="tcp:127.0.0.1:0", args=["--allow-clear-tcp"])
    with small_reader(ptd) as c:
        streams = [c.open("/ptd.v1.ServerService/GetInfo") for _ in range(400)]
        equal(c.call(CHECK, b"").status, 0)
        os.kill(ptd.pid, signal.SIGTERM)
        while c.log.count((rawh2.GOAWAY, 0)) < 2:
            true(c.read_some(), "the final GOAWAY")
        c.send(b"".join(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, s, rawh2.message(b"")) for s in streams))
        for stream in streams:
            c.finish(stream)
        equal([c.reply(s).status for s in streams], [0] * len(streams), "answers")
    equal(ptd.process.wait(10), 0)
    ptd.stop()


@test("a retry after a lost answer, on another connection, has one effect")
def _():
    ptd = ptdtest.Daemon(loops=2, args=["--allow-failpoints"])
    guest, pb, fp = ptdtest.Guest(ptd), ptd.pb("mapping"), ptd.pb("failpoint")
    channel = ptd.channel()
    ptd.stub("failpoint", "FailpointService", channel).ArmFailpoint(fp.ArmFailpointRequest(failpoint=fp.Failpoint(
        name="rpc.reply", action=fp.FAILPOINT_ACTION_DROP, this_connection=True, nth=1, times=1)))
    request = pb.MapRequest(context=guest.handle, ipa=0x1000, size=4096, pa=0, prot=3, request_id=b"0123456789abcdef")
    lost = ptd.stub("mapping", "MappingService", channel).Map.future(request)
    wait_for("the effect", lambda: guest.translate(0x1000).outcome not in (ptdtest.OUTCOME["NOT_MAPPED"], ptdtest.OUTCOME["HOLE"]))
    again = ptd.stub("mapping", "MappingService", ptd.channel()).Map(request)
    equal((again.outcome, again.generation), (ptdtest.OUTCOME["MAPPED"], 2), "the first answer")
    equal(guest.map(0x2000, 4096, 0x1000).generation, 3, "counted once")
    lost.cancel()
    ptd.stop()


@test("keepalive, idleness and age end real connections, and say why")
def _():
    ptd = ptdtest.Daemon(loops=1, args=["--keepalive-time", "200ms", "--keepalive-timeout", "100ms"])
    with Connection(ptd) as c:
        while c.read_some() and not c.pings:
            pass
        equal((c.wait_close(), c.goaway_text), (rawh2.NO_ERROR, "keepalive_timeout"))
    ptd.stop()
    for option, text in (("--max-connection-idle", "max_idle"), ("--max-connection-age", "max_age")):
        ptd = ptdtest.Daemon(loops=1, args=[option, "200ms"])
        with Connection(ptd) as c:
            equal(c.call(CHECK, b"").status, 0)
            equal((c.wait_close(), c.goaway_text), (rawh2.NO_ERROR, text))
        ptd.stop()


@test("a principal's connections beyond its limit are sent away, and room is made by those that end")
def _():
    ptd = ptdtest.Daemon(loops=2, args=["--max-connections-per-principal", "3"])
    held = [Connection(ptd) for _ in range(3)]
    for c in held:
        equal(c.call(CHECK, b"").status, 0)
    with Connection(ptd) as c:
        equal((c.wait_close(), c.goaway_text), (rawh2.ENHANCE_YOUR_CALM, "too many connections of this principal"))
    held.pop().close()

    def served():
        with Connection(ptd) as again:
            return again.call(CHECK, b"").status == 0
    wait_for("room", served)
    for c in held:
        c.close()
    ptd.stop()


ptdtest.main()
