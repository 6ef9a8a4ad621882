# SPDX-License-Identifier: BSD-2-Clause
"""A client that knows nothing of ptd but its address: descriptors come by reflection, messages are built from them.

No generated code is imported, not even for reflection itself, whose few fields are coded by hand here.
"""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import equal, test, true  # noqa: E402

import grpc  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: E402

LIST_SERVICES, FILE_BY_NAME, FILE_BY_SYMBOL = 7, 3, 4
FILE_RESPONSE, LIST_RESPONSE, ERROR_RESPONSE = 4, 6, 7


def ask(channel, version, field, text):
    """One request on a stream of its own; (number, payload) fields of the one reply."""
    call = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    name = text.encode()
    replies = list(call(iter([bytes([field << 3 | 2, len(name)]) + name]), timeout=20))
    equal(len(replies), 1, "replies to one request")
    return dict(ptdtest.wire_fields(replies[0]))


def services(channel, version="v1"):
    listed = ask(channel, version, LIST_SERVICES, "*")[LIST_RESPONSE]
    return sorted(dict(ptdtest.wire_fields(value))[1].decode() for number, value in ptdtest.wire_fields(listed)
                  if number == 1)


def files_of(channel, symbol, version="v1"):
    reply = ask(channel, version, FILE_BY_SYMBOL, symbol)
    true(FILE_RESPONSE in reply, f"no file for {symbol}: {reply}")
    return [descriptor_pb2.FileDescriptorProto.FromString(value)
            for number, value in ptdtest.wire_fields(reply[FILE_RESPONSE]) if number == 1]


class Client:
    """Calls any unary method by its full name, with fields as keywords."""

    def __init__(self, channel):
        self.channel = channel
        self.pool = descriptor_pool.DescriptorPool()
        self.names = services(channel)
        for name in self.names:
            self.learn(name)

    def learn(self, symbol):
        waiting = {f.name: f for f in files_of(self.channel, symbol)}
        while waiting:  # a file is added after those that it imports
            ready = [f for f in waiting.values() if not any(d in waiting for d in f.dependency)]
            true(ready, f"imports that are not in the answer: {list(waiting)}")
            for file in ready:
                del waiting[file.name]
                self.pool.Add(file)

    def message(self, name):
        return message_factory.MessageFactory(self.pool).GetPrototype(self.pool.FindMessageTypeByName(name))

    def call(self, service, method, **fields):
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        request = self.message(found.input_type.full_name)(**fields)
        reply = self.message(found.output_type.full_name)
        return self.channel.unary_unary(f"/{service}/{method}", request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=reply.FromString)(request, timeout=20)


@test("reflection lists the services that GetInfo lists, in v1 and in v1alpha")
def _():
    with ptdtest.Daemon() as ptd:
        channel = ptd.channel()
        listed = services(channel)
        equal(services(channel, "v1alpha"), listed)
        info = Client(channel).call("ptd.v1.ServerService", "GetInfo")
        true(set(info.services) <= set(listed), f"{sorted(info.services)} and {listed}")
        true({"ptd.v1.MappingService", "ptd.v1.FaultService", "grpc.health.v1.Health"} <= set(listed), str(listed))


@test("a symbol that is not there is an error in the stream, and the stream goes on")
def _():
    with ptdtest.Daemon() as ptd:
        call = ptd.channel().stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")

        def request(field, text):
            return bytes([field << 3 | 2, len(text)]) + text.encode()
        replies = list(call(iter([request(FILE_BY_SYMBOL, "ptd.v1.Nothing"), request(FILE_BY_NAME, "no.proto"),
                                  request(LIST_SERVICES, "")]), timeout=20))
        kinds = [dict(ptdtest.wire_fields(r)) for r in replies]
        equal([ERROR_RESPONSE in k for k in kinds], [True, True, False])
        equal(dict(ptdtest.wire_fields(kinds[0][ERROR_RESPONSE]))[1], grpc.StatusCode.NOT_FOUND.value[0])
        true(LIST_RESPONSE in kinds[2])


@test("messages built from reflected descriptors map, access and translate")
def _():
    with ptdtest.Daemon() as ptd:
        client = Client(ptd.channel())
        true("ptd.v1.mapping_pb2" not in sys.modules, "a generated module was loaded")
        machine = client.call("ptd.v1.MachineService", "CreateMachine", name="m", memory_bytes=1 << 24, vcpus=1).machine
        context = client.call("ptd.v1.ContextService", "CreateContext", machine=machine.handle, name="g", kind=1,
                              geometry={"granule_shift": 12, "ipa_bits": 40}).context
        mapped = client.call("ptd.v1.MappingService", "Map", context=context.handle, ipa=0x4000_0000, size=0x2000,
                             pa=0x10_0000, prot=3)
        equal((mapped.outcome, mapped.effects.leaves_written), (ptdtest.OUTCOME["MAPPED"], 2))
        access = client.call("ptd.v1.FaultService", "Access", context=context.handle, ipa=0x4000_1010, access=2,
                             data=b"bytes")
        equal((access.outcome, access.pa, len(access.exits)), (0, 0x10_1010, 0))
        read = client.call("ptd.v1.FaultService", "Access", context=context.handle, ipa=0x4000_1010, access=1, length=5)
        equal(read.data, b"bytes")
        found = client.call("ptd.v1.FaultService", "Translate", context=context.handle, ipa=0x4000_1010, access=1)
        equal((found.outcome, found.pa, found.level, found.prot), (0, 0x10_1010, 3, 3))
        hole = client.call("ptd.v1.FaultService", "Translate", context=context.handle, ipa=0x5000_0000, access=1)
        equal(hole.outcome, ptdtest.OUTCOME["NOT_MAPPED"])


ptdtest.main()
