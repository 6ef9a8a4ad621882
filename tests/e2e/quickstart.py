# SPDX-License-Identifier: BSD-2-Clause
"""A client of ptd in Python; needs python3-grpcio and `make python`. Usage: quickstart.py [unix:PATH|HOST:PORT]"""
import os
import sys
import grpc
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../..", os.environ.get("PTD_BUILD", "build"), "python"))
from ptd.v1 import (common_pb2 as common, context_pb2 as ctx, context_pb2_grpc, fault_pb2 as fault,
                    fault_pb2_grpc, machine_pb2 as machine, machine_pb2_grpc, mapping_pb2 as mapping,
                    mapping_pb2_grpc)

where = sys.argv[1] if len(sys.argv) > 1 else os.environ["PTD_ENDPOINT"]
channel = grpc.insecure_channel(where.removeprefix("tcp:"), [("grpc.default_authority", "localhost")])
contexts = context_pb2_grpc.ContextServiceStub(channel)
m = machine_pb2_grpc.MachineServiceStub(channel).CreateMachine(
    machine.CreateMachineRequest(name="quick", memory_bytes=1 << 30, vcpus=1)).machine
g = contexts.CreateContext(ctx.CreateContextRequest(
    machine=m.handle, name="g0", kind=ctx.CONTEXT_KIND_GUEST, geometry=common.Geometry(granule_shift=12, ipa_bits=40))).context
contexts.SetSlot(ctx.SetSlotRequest(context=g.handle, slot=ctx.Slot(ipa=1 << 32, size=1 << 29, pa=1 << 29, backing=2 << 20)))
print(mapping_pb2_grpc.MappingServiceStub(channel).Map(mapping.MapRequest(context=g.handle, ipa=1 << 30, size=4 << 20, prot=3)))
print(fault_pb2_grpc.FaultServiceStub(channel).Access(
    fault.AccessRequest(context=g.handle, ipa=1 << 32, access=fault.ACCESS_KIND_WRITE, data=b"hello")))
