# SPDX-License-Identifier: BSD-2-Clause
"""The properties that gRPC's interoperability cases check, on ptd's own services, with grpcio."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import ptdtest  # noqa: E402
from ptdtest import PAGE, equal, main, refused, test, true  # noqa: E402
from sessiontest import ATOMIC, Stream  # noqa: E402

import grpc  # noqa: E402

SECONDS = 20
MIB = 1 << 20
PTD = ptdtest.Daemon(loops=2)
GUEST = ptdtest.Guest(PTD)


def small_window():
    """A channel whose client grants 64 KiB at a time."""
    return PTD.channel([("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)])


def server(channel=None):
    return PTD.stub("server", "ServerService", channel)


def code_of(call, *args, **kwargs):
    try:
        reply = call(*args, timeout=kwargs.pop("timeout", SECONDS), **kwargs)
        if hasattr(reply, "__next__"):
            list(reply)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def raw(path, channel=None, kind="unary_unary"):
    """A method by its path alone; messages are bytes."""
    return getattr(channel or PTD.channel(), kind)(path, request_serializer=bytes, response_deserializer=bytes)


@test("an empty request gets its answer")
def _():
    true(raw("/ptd.v1.ServerService/GetInfo")(b"", timeout=SECONDS))
    equal(raw("/grpc.health.v1.Health/Check")(b"", timeout=SECONDS), b"\x08\x01")


@test("a message beyond the window goes up and comes down, byte for byte")
def _():
    pb, stub = PTD.pb("machine"), PTD.stub("machine", "MachineService", small_window())
    data = bytes(range(251)) * (MIB // 251 + 1)
    data = data[:MIB]
    equal(stub.WriteMemory(pb.WriteMemoryRequest(machine=GUEST.machine.handle, address=0, data=data),
                           timeout=SECONDS).length, MIB)
    for size in (1, 65535, 65536, 65537, MIB):
        equal(stub.ReadMemory(pb.ReadMemoryRequest(machine=GUEST.machine.handle, address=0, length=size),
                              timeout=SECONDS).data, data[:size])


@test("a request of 1.5 MiB, more than a stream's window, is one batch")
def _():
    pb, stub = PTD.pb("mapping"), PTD.stub("mapping", "MappingService")
    n = 65536
    pages = [0x1000_0000_00 + i * PAGE for i in range(n)]
    request = pb.ApplyRequest(context=GUEST.handle, mode=ATOMIC, want_outcomes=True, ops=pb.Ops(
        ipa=pages, size=[PAGE] * n, pa=[i % 1024 * PAGE for i in range(n)], kind=[1], prot=[3]))
    true(request.ByteSize() > 1.4 * MIB, request.ByteSize())
    reply = stub.Apply(request, timeout=SECONDS)
    equal((reply.applied, len(reply.outcome)), (n, n))


@test("many messages on one stream: each has its answer, in order, pipelined and one by one")
def _():
    session = Stream(PTD)
    session.open(GUEST.handle)
    for seq in range(1, 501):
        session.send(seq=seq, translate=session.accesses([0x1000_0000_00], [1]))
    equal([session.receive().seq for _i in range(500)], list(range(1, 501)))
    for seq in range(501, 601):
        equal(session.ask(seq=seq, translate=session.accesses([0x1000_0000_00], [1])).seq, seq)
    equal(session.half_close(), [])


@test("a stream without a message ends well, both ways")
def _():
    for path in ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/ptd.v1.MappingService/Session"):
        equal(list(raw(path, kind="stream_stream")(iter([]), timeout=SECONDS)), [])


@test("a stream of more answers than the window, read slowly, is whole")
def _():
    symbol = b"ptd.v1.MappingService"
    ask = b"\x22" + bytes([len(symbol)]) + symbol  # file_containing_symbol
    call = raw("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", small_window(), "stream_stream")
    answers = list(call(iter([ask] * 300), timeout=SECONDS))
    equal(len(answers), 300)
    true(len(set(answers)) == 1 and len(answers[0]) > 4000, len(answers[0]))


@test("unknown methods and services are UNIMPLEMENTED, and the connection goes on")
def _():
    channel = PTD.channel()
    for path in ("/ptd.v1.ServerService/Nothing", "/ptd.v1.NoService/GetInfo", "/ptd.v2.ServerService/GetInfo", "/x/y"):
        equal(code_of(raw(path, channel), b""), grpc.StatusCode.UNIMPLEMENTED)
    equal(code_of(server(channel).GetInfo, PTD.pb("server").GetInfoRequest()), grpc.StatusCode.OK)


@test("an error's text is there, whatever bytes the request had")
def _():
    pb = PTD.pb("machine")
    error = refused("INVALID", PTD.stub("machine", "MachineService").CreateMachine,
                    pb.CreateMachineRequest(name="m\u00e4\u263a\U0001f608%\n", memory_bytes=MIB, vcpus=1), timeout=SECONDS)
    true(error.details().isprintable(), error.details())


@test("a cancelled stream is over at once, and others do not notice")
def _():
    pb, stub = PTD.pb("context"), PTD.stub("context", "ContextService")
    watches = [stub.WatchContexts(pb.WatchContextsRequest(), timeout=60) for _i in range(20)]
    for watch in watches:
        next(watch)
        watch.cancel()
    equal([w.code() for w in watches], [grpc.StatusCode.CANCELLED] * 20)
    unary = server().GetInfo.future(PTD.pb("server").GetInfoRequest())
    unary.cancel()
    equal(code_of(server().GetInfo, PTD.pb("server").GetInfoRequest()), grpc.StatusCode.OK)


@test("a deadline ends a stream that has nothing to say")
def _():
    pb, stub = PTD.pb("context"), PTD.stub("context", "ContextService")
    equal(code_of(stub.WatchContexts, pb.WatchContextsRequest(), timeout=0.2), grpc.StatusCode.DEADLINE_EXCEEDED)


@test("200 calls, each on a channel of its own, and 200 at once on one")
def _():
    request = PTD.pb("server").GetInfoRequest()
    epoch = server().GetInfo(request).epoch
    for _i in range(200):
        with PTD.channel() as channel:
            equal(server(channel).GetInfo(request, timeout=SECONDS).epoch, epoch)
    one = server(PTD.channel())
    calls = [one.GetInfo.future(request, timeout=SECONDS) for _i in range(200)]
    equal({c.result().epoch for c in calls}, {epoch})


@test("the daemon ends well after all of it")
def _():
    PTD.stop()


try:
    main()
finally:
    PTD.kill()
