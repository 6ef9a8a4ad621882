#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client side of rpc.sh: makes the machine and the request bodies, and checks the daemon's counters after each load.

Usage: rpc.py port | wait ENDPOINT | count ENDPOINT | bodies ENDPOINT DIR | verify ENDPOINT BEFORE NAME CALLS MAPS
       | memory ENDPOINT PID
"""
import os
import socket
import struct
import sys

EMPTY_CONTEXTS = 10000
GIB = 1 << 30
PAGE = 4096
MAP, UNMAP, STOP_ON_ERROR, READ_WRITE = 1, 2, 2, 3


def connect(endpoint):
    import grpc
    channel = grpc.insecure_channel(endpoint)
    grpc.channel_ready_future(channel).result(timeout=20)
    return channel


def counters(channel):
    """calls_ok, calls_failed, leaves_written, leaves_removed of all loops together."""
    from ptd.v1 import server_pb2, server_pb2_grpc
    loops = server_pb2_grpc.ServerServiceStub(channel).GetStats(server_pb2.GetStatsRequest()).loops
    return [sum(getattr(l, f) for l in loops) for f in ('calls_ok', 'calls_failed', 'leaves_written', 'leaves_removed')]


def make_machine(channel, name):
    from ptd.v1 import machine_pb2, machine_pb2_grpc
    request = machine_pb2.CreateMachineRequest(name=name, memory_bytes=4 * GIB, vcpus=1)
    return machine_pb2_grpc.MachineServiceStub(channel).CreateMachine(request).machine.handle


def context_request(machine, name, ipa_bits):
    from ptd.v1 import common_pb2, context_pb2
    return context_pb2.CreateContextRequest(machine=machine, name=name, kind=context_pb2.CONTEXT_KIND_GUEST,
                                            geometry=common_pb2.Geometry(granule_shift=12, ipa_bits=ipa_bits,
                                                                           start_level_plus_2=3))


def body(context, pages):
    """A framed Apply: maps of `pages` pages, then the unmaps of the same pages, as packed columns."""
    from ptd.v1 import mapping_pb2
    ipa = [GIB + i * PAGE for i in range(1, pages + 1)]
    pa = [2 * GIB + i * PAGE for i in range(1, pages + 1)]
    ops = mapping_pb2.Ops(ipa=ipa + ipa, size=[PAGE], pa=pa + [0] * pages, kind=[MAP] * pages + [UNMAP] * pages,
                          prot=[READ_WRITE])
    message = mapping_pb2.ApplyRequest(context=context, mode=STOP_ON_ERROR, ops=ops).SerializeToString()
    return b'\0' + struct.pack('>I', len(message)) + message


def write_bodies(endpoint, folder):
    from ptd.v1 import context_pb2_grpc
    channel = connect(endpoint)
    machine = make_machine(channel, 'bench')
    stub = context_pb2_grpc.ContextServiceStub(channel)
    context = stub.CreateContext(context_request(machine, 'load', 40)).context.handle
    for name, pages in (('unary.bin', 1), ('batch512.bin', 256)):
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(body(context, pages))


def verify(endpoint, before_file, name, calls, maps):
    """OK calls = calls sent, leaves written = leaves removed = maps sent."""
    with open(before_file) as file:
        before = [int(word) for word in file.read().split()]
    ok, failed, written, removed = (b - a for a, b in zip(before, counters(connect(endpoint))))
    own = 1  # the call that read `before` ended after it
    if (ok - own, failed, written, removed) != (calls, 0, calls * maps, calls * maps):
        sys.exit(f'bench: {name}: sent {calls} calls with {maps} maps each; the daemon counted {ok - own} OK and {failed} '
                 f'failed calls, {written} leaves written, {removed} removed')


def status_kib(pid, field):
    with open(f'/proc/{pid}/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ':'))


def create_contexts(channel, machine, prefix, ipa_bits, count):
    from ptd.v1 import context_pb2_grpc
    stub = context_pb2_grpc.ContextServiceStub(channel)
    for start in range(0, count, 100):
        calls = [stub.CreateContext.future(context_request(machine, f'{prefix}{i}', ipa_bits))
                 for i in range(start, min(start + 100, count))]
        for call in calls:
            call.result()


def memory(endpoint, pid):
    """The idle daemon, then what each of many empty contexts costs: its start tables, and all the rest."""
    from ptd.v1 import server_pb2, server_pb2_grpc
    print(f'idle_daemon_rss {status_kib(pid, "VmRSS") / 1024:.2f}')
    channel = connect(endpoint)
    stats = lambda: server_pb2_grpc.ServerServiceStub(channel).GetStats(server_pb2.GetStatsRequest()).table_bytes_used
    for ipa_bits in (40, 32):
        machine = make_machine(channel, f'empty{ipa_bits}')
        create_contexts(channel, machine, 'warm', ipa_bits, 100)
        tables, rss, shared = stats(), status_kib(pid, 'VmRSS'), status_kib(pid, 'RssShmem')
        create_contexts(channel, machine, 'c', ipa_bits, EMPTY_CONTEXTS)
        tables, shared = stats() - tables, status_kib(pid, 'RssShmem') - shared
        rest = status_kib(pid, 'VmRSS') - rss - shared
        print(f'start_tables_{ipa_bits}bit {tables / EMPTY_CONTEXTS:.0f}')
        print(f'empty_context_{ipa_bits}bit {rest * 1024 / EMPTY_CONTEXTS:.0f}')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        print(s.getsockname()[1])


def main(command, *args):
    if command == 'port':
        free_port()
    elif command == 'wait':
        connect(args[0])
    elif command == 'count':
        print(*counters(connect(args[0])))
    elif command == 'bodies':
        write_bodies(*args)
    elif command == 'verify':
        verify(args[0], args[1], args[2], int(args[3]), int(args[4]))
    elif command == 'memory':
        memory(args[0], int(args[1]))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(*sys.argv[1:])
