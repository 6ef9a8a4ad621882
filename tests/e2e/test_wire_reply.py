# SPDX-License-Identifier: BSD-2-Clause
"""The rpc.reply failpoint: an answer that fails, is late or is lost, after its work was done."""
import time

import grpc
import ptdtest
from ptdtest import equal, test, true

PTD = ptdtest.Daemon(loops=2, args=["--allow-failpoints"])
PB = PTD.pb("failpoint")
ARM = PTD.stub("failpoint", "FailpointService")
GUEST = ptdtest.Guest(PTD)
MAPPING = PTD.stub("mapping", "MappingService")


def arm(action, **more):
    return ARM.ArmFailpoint(PB.ArmFailpointRequest(failpoint=PB.Failpoint(
        name="rpc.reply", action=action, this_connection=True, nth=1, times=1, **more))).id


def map_page(ipa, timeout=None):
    pb = PTD.pb("mapping")
    return MAPPING.Map(pb.MapRequest(context=GUEST.handle, ipa=ipa, size=4096, pa=0, prot=3), timeout=timeout)


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("no error")


@test("an error in place of the answer carries the status that was asked for; the work was done")
def _():
    for asked, seen in ((0, grpc.StatusCode.UNAVAILABLE), (10, grpc.StatusCode.ABORTED)):
        arm(PB.FAILPOINT_ACTION_ERROR, grpc_status=asked)
        error = status_of(lambda: map_page(0x40000000 + asked * 4096))
        equal(error.code(), seen)
        equal(ptdtest.error_code(error), ptdtest.OUTCOME["INJECTED"])
        equal(map_page(0x40000000 + asked * 4096).outcome, ptdtest.OUTCOME["ALREADY_MAPPED"])


@test("a late answer comes after its delay and is whole")
def _():
    arm(PB.FAILPOINT_ACTION_DELAY, delay_ms=300)
    started = time.monotonic()
    equal(map_page(0x50000000).outcome, ptdtest.OUTCOME["MAPPED"])
    true(time.monotonic() - started >= 0.3, "not before the delay")


@test("a lost answer never comes; the connection serves on")
def _():
    arm(PB.FAILPOINT_ACTION_DROP)
    equal(status_of(lambda: map_page(0x60000000, timeout=0.5)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    equal(map_page(0x60000000).outcome, ptdtest.OUTCOME["ALREADY_MAPPED"])


@test("an answer that waits does not outlive its connection or hold up the drain")
def _():
    channel = PTD.channel()
    failpoints, mapping, pb = PTD.stub("failpoint", "FailpointService", channel), PTD.stub("mapping", "MappingService", channel), PTD.pb("mapping")
    failpoints.ArmFailpoint(PB.ArmFailpointRequest(failpoint=PB.Failpoint(
        name="rpc.reply", action=PB.FAILPOINT_ACTION_DELAY, this_connection=True, nth=1, times=1, delay_ms=60000)))
    late = mapping.Map.future(pb.MapRequest(context=GUEST.handle, ipa=0x70000000, size=4096, pa=0, prot=3))
    while GUEST.translate(0x70000000).outcome in (ptdtest.OUTCOME["NOT_MAPPED"], ptdtest.OUTCOME["HOLE"]):
        pass
    channel.close()
    true(late.exception() is not None, "cancelled with its channel")
    started = time.monotonic()
    PTD.stop()
    true(time.monotonic() - started < 15, "drained at once")


ptdtest.main()
