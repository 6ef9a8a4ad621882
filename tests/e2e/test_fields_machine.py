# SPDX-License-Identifier: BSD-2-Clause
"""Fields of MachineService's requests."""
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldtest import covers, guest, main, name, pb, stub  # noqa: E402
from ptdtest import PAGE, equal, refused, test, true  # noqa: E402

IPA, PA = 0x4000_0000, 0x20_0000


def create(**fields):
    return stub("machine").CreateMachine(pb("machine").CreateMachineRequest(
        **{"name": name(), "memory_bytes": 1 << 20, "vcpus": 1, **fields})).machine


def get(**fields):
    return stub("machine").GetMachine(pb("machine").GetMachineRequest(**fields)).machine


def delete(handle, **fields):
    return stub("machine").DeleteMachine(pb("machine").DeleteMachineRequest(handle=handle, **fields))


@test("CreateMachine: each field shows in the machine")
@covers("CreateMachineRequest.name", "CreateMachineRequest.memory_bytes", "CreateMachineRequest.vcpus",
        "CreateMachineRequest.pa_bits", "CreateMachineRequest.vmid_bits", "GetMachineRequest.handle",
        "GetMachineRequest.name")
def _():
    mine = name()
    made = create(name=mine, memory_bytes=3 << 20, vcpus=3, pa_bits=40, vmid_bits=8)
    for machine in (get(handle=made.handle), get(name=mine)):
        equal((machine.name, machine.memory_bytes, machine.vcpus, machine.pa_bits, machine.vmid_bits),
              (mine, 3 << 20, 3, 40, 8))
    other = create()
    equal((other.pa_bits, other.vmid_bits), (48, 16))
    refused("ALREADY_EXISTS", create, name=mine)
    refused("NOT_FOUND", get, name="nobody")
    for wrong in ({"vcpus": 0}, {"pa_bits": 41}, {"vmid_bits": 9}, {"name": "a/b"},
                  {"name": ""}):
        refused("INVALID", create, **wrong)


@test("CreateMachine and DeleteMachine: a repeated request id gets the first answer")
@covers("CreateMachineRequest.request_id", "DeleteMachineRequest.request_id", "DeleteMachineRequest.handle")
def _():
    mine = name()
    first = create(name=mine, request_id=b"machine-create-1")
    equal(create(name=mine, request_id=b"machine-create-1").handle, first.handle)
    refused("REQUEST_ID_REUSED", create, name=name(), request_id=b"machine-create-1")
    delete(first.handle, request_id=b"machine-delete-1")
    delete(first.handle, request_id=b"machine-delete-1")
    refused("NOT_FOUND", delete, first.handle)


def table_memory(pid):
    """Bytes of memory behind the daemon's table pages."""
    folder = f"/proc/{pid}/fd"
    found = [os.stat(f"{folder}/{n}").st_blocks * 512 for n in os.listdir(folder)
             if os.readlink(f"{folder}/{n}").startswith("/memfd:ptd-tables")]
    equal(len(found), 1)
    return found[0]


@test("DeleteMachine: the memory of its tables goes back to the system, but for 16 MiB")
def _():
    g = guest(ipa_bits=40)
    before, tables = table_memory(g.ptd.pid), 48 << 20
    g.map(0, tables * 512, 0, flags=2)
    true(table_memory(g.ptd.pid) >= before + tables, table_memory(g.ptd.pid))
    delete(g.machine.handle, force=True)
    limit, seen = time.monotonic() + 30, 0
    while (seen := table_memory(g.ptd.pid)) > before + (18 << 20) and time.monotonic() < limit:
        stub("server").GetStats(pb("server").GetStatsRequest())
    true(seen <= before + (18 << 20), seen)


@test("DeleteMachine: a machine with contexts goes only by force")
@covers("DeleteMachineRequest.force")
def _():
    g = guest()
    refused("NOT_EMPTY", delete, g.machine.handle)
    equal(delete(g.machine.handle, force=True).contexts_deleted, 1)
    refused("NOT_FOUND", get, handle=g.machine.handle)


@test("ListMachines: pages have the asked size and a token leads on")
@covers("ListMachinesRequest.page_size", "ListMachinesRequest.page_token")
def _():
    made = {create().handle for _n in range(3)}
    seen, token = [], ""
    while True:
        reply = stub("machine").ListMachines(pb("machine").ListMachinesRequest(page_size=2, page_token=token))
        true(len(reply.machines) <= 2)
        seen += [m.handle for m in reply.machines]
        token = reply.next_page_token
        if not token:
            break
    equal(len(seen), len(set(seen)))
    true(made <= set(seen))
    refused("INVALID", stub("machine").ListMachines, pb("machine").ListMachinesRequest(page_token="nonsense"))


def read(machine, address, length, context=0):
    return stub("machine").ReadMemory(pb("machine").ReadMemoryRequest(
        machine=machine, context=context, address=address, length=length)).data


def write(machine, address, data, context=0, **more):
    return stub("machine").WriteMemory(pb("machine").WriteMemoryRequest(
        machine=machine, context=context, address=address, data=data, **more)).length


@test("ReadMemory and WriteMemory: machine, agent, address and bytes")
@covers("ReadMemoryRequest.machine", "ReadMemoryRequest.context", "ReadMemoryRequest.address",
        "ReadMemoryRequest.length", "WriteMemoryRequest.machine", "WriteMemoryRequest.context",
        "WriteMemoryRequest.address", "WriteMemoryRequest.data", "WriteMemoryRequest.request_id")
def _():
    a, b = guest(), guest()
    equal(write(a.machine.handle, PA + 3, b"hello", request_id=b"memory-write-001"), 5)
    refused("REQUEST_ID_REUSED", write, a.machine.handle, PA + 3, b"other", request_id=b"memory-write-001")
    equal(read(a.machine.handle, PA + 2, 7), b"\0hello\0")
    equal(read(b.machine.handle, PA + 3, 5), bytes(5))
    a.map(IPA, PAGE, PA)
    equal(read(a.machine.handle, IPA + 3, 5, context=a.handle), b"hello")
    write(a.machine.handle, IPA + 8, b"there", context=a.handle)
    equal(read(a.machine.handle, PA + 8, 5), b"there")


main()
