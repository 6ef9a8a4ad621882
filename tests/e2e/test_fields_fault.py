# SPDX-License-Identifier: BSD-2-Clause
"""Fields of the requests of FaultService, FailpointService and ServerService."""
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
from fieldtest import covers, failpoint, guest, main, pb, ptd, stub  # noqa: E402
from ptdtest import OUTCOME, PAGE, PX, R, UX, W, equal, refused, test, true  # noqa: E402

IPA, PA, BLOCK = 0x4000_0000, 0x20_0000, 2 << 20
READ, WRITE, EXEC, AT = 1, 2, 3, 4


@test("Access: context, ipa, kind, length and data say what moves")
@covers("AccessRequest.context", "AccessRequest.ipa", "AccessRequest.access", "AccessRequest.length",
        "AccessRequest.data")
def _():
    a, b = guest(), guest()
    for g in (a, b):
        g.slot(IPA, BLOCK, PA)
    equal(a.access(IPA + 5, WRITE, data=b"abc").pa, PA + 5)
    equal(a.access(IPA + 4, READ, length=5).data, b"\0abc\0")
    equal(b.access(IPA + 4, READ, length=5).data, bytes(5))
    equal(a.access(IPA + 5, AT).data, b"")
    equal(a.access(IPA + 5, EXEC, length=2).data, b"ab")
    for wrong in ({"access": 0}, {"access": 9}, {"access": READ, "data": b"x"}, {"access": AT, "length": 1}):
        refused("INVALID", a.access, IPA, **wrong)


@test("Access: each vCPU has a TLB of its own")
@covers("AccessRequest.vcpu")
def _():
    g = guest()
    g.map(IPA, PAGE, PA)
    equal([g.access(IPA, length=1, vcpu=v).tlb_hit for v in (0, 0, 1, 1)], [False, True, False, True])
    refused("INVALID", g.access, IPA, length=1, vcpu=2)


@test("Access: s1ptw shows in the syndrome, and the address in HPFAR")
@covers("AccessRequest.s1ptw")
def _():
    g = guest()
    exits = [g.access(IPA + PAGE, length=8, s1ptw=s).exits[0] for s in (False, True)]
    equal([e.esr >> 7 & 1 for e in exits], [0, 1])
    equal([e.hpfar << 8 & ~0xfff for e in exits], [IPA + PAGE] * 2)


@test("el0: a fetch from EL0 has a right of its own")
@covers("AccessRequest.el0", "TranslateRequest.el0", "ExplainRequest.el0")
def _():
    g = guest(xnx=True)
    g.map(IPA, PAGE, PA, prot=R | PX)
    g.map(IPA + PAGE, PAGE, PA, prot=R | UX)
    for call in (g.translate, g.access):
        outcomes = [call(IPA + page * PAGE, EXEC, el0=el0).outcome for page in (0, 1) for el0 in (False, True)]
        equal([o == 0 for o in outcomes], [True, False, False, True])
    equal([explain(g, IPA, access=EXEC, el0=el0).result.outcome == 0 for el0 in (False, True)], [True, False])


def handle(g, **fields):
    return stub("fault").HandleFault(pb("fault").HandleFaultRequest(context=g.handle, **fields))


@test("HandleFault: by address and access, or by raw registers")
@covers("HandleFaultRequest.context", "HandleFaultRequest.vcpu", "HandleFaultRequest.esr", "HandleFaultRequest.far",
        "HandleFaultRequest.hpfar", "HandleFaultRequest.ipa", "HandleFaultRequest.access")
def _():
    g = guest()
    g.slot(IPA, BLOCK, PA)
    equal(handle(g, ipa=IPA + PAGE + 3, access=READ).pa, PA + PAGE + 3)
    equal(handle(g, ipa=IPA, access=EXEC).prot & (PX | UX), PX | UX)
    translation_read = 0x24 << 26 | 1 << 25 | 0b000111
    hpfar = (IPA + 3 * PAGE) >> 12 << 4
    reply = handle(g, esr=translation_read, far=0xabc, hpfar=hpfar)
    equal((reply.outcome, reply.ipa, reply.pa), (OUTCOME["MAPPED"], IPA + 3 * PAGE + 0xabc, PA + 3 * PAGE + 0xabc))
    refused("INVALID", handle, g, esr=0x15 << 26, far=0, hpfar=hpfar)
    refused("INVALID", handle, g, esr=translation_read, hpfar=hpfar, ipa=IPA)
    refused("INVALID", handle, g, ipa=IPA, access=READ, vcpu=9)
    refused("INVALID", handle, g, ipa=IPA, access=READ, hpfar=1)
    # Only the vCPU that faulted loses its old entry: the other one keeps what it knows.
    for vcpu in (0, 1):
        g.access(IPA + 8 * PAGE, length=1, vcpu=vcpu)
    handle(g, ipa=IPA + 8 * PAGE, access=READ, vcpu=1)
    equal([g.access(IPA + 8 * PAGE, length=1, vcpu=v).tlb_hit for v in (0, 1)], [True, False])


@test("HandleFault: a fetch asks for the right of its level, which ESR does not name")
@covers("HandleFaultRequest.el0")
def _():
    for mine, fields in ((PX, {}), (UX, {"el0": True})):
        g = guest(xnx=True)
        g.map(IPA, PAGE, PA, prot=R | mine)
        fetch = 0x20 << 26 | 1 << 25 | 0b001111
        for el0, want in ((mine == UX, "ALREADY_MAPPED"), (mine != UX, "NO_SLOT")):
            equal(handle(g, ipa=IPA, access=EXEC, el0=el0).outcome, OUTCOME[want])
            equal(handle(g, esr=fetch, far=IPA, el0=el0).outcome, OUTCOME[want])
        equal(handle(g, ipa=IPA, access=EXEC, **fields).prot & (PX | UX), mine)


def explain(g, ipa, **fields):
    return stub("fault").Explain(pb("fault").ExplainRequest(context=g.handle, ipa=ipa, **{"access": READ, **fields}))


@test("Translate and Explain: context, ipa, access and vcpu")
@covers("TranslateRequest.context", "TranslateRequest.ipa", "TranslateRequest.access", "TranslateRequest.vcpu",
        "ExplainRequest.context", "ExplainRequest.ipa", "ExplainRequest.access", "ExplainRequest.vcpu")
def _():
    a, b = guest(), guest()
    a.map(IPA, PAGE, PA, prot=R)
    equal(a.translate(IPA + 7).pa, PA + 7)
    equal(b.translate(IPA + 7).outcome, OUTCOME["NOT_MAPPED"])
    equal(a.translate(IPA, WRITE).outcome, OUTCOME["DENIED"])
    refused("INVALID", a.translate, IPA, 0)
    refused("INVALID", a.translate, IPA, vcpu=2)
    found = explain(a, IPA + 7)
    equal((found.result.pa, [s.level for s in found.steps]), (PA + 7, [1, 2, 3]))
    equal(explain(b, IPA).result.outcome, OUTCOME["NOT_MAPPED"])
    equal(explain(a, IPA, access=WRITE).exit.fault, pb("fault").FAULT_KIND_PERMISSION)
    refused("INVALID", explain, a, IPA, vcpu=2)


def list_failpoints():
    return stub("failpoint").ListFailpoints(pb("failpoint").ListFailpointsRequest()).failpoints


@test("Failpoint: name, scope, nth and times")
@covers("Failpoint.name", "Failpoint.action", "Failpoint.context", "Failpoint.nth", "Failpoint.times",
        "Failpoint.id", "DisarmFailpointsRequest.id")
def _():
    a, b = guest(), guest()
    with failpoint(name="pool.reserve", action=1, context=a.handle, nth=1, times=1) as number:
        equal([(f.name, f.id) for f in list_failpoints()], [("pool.reserve", number)])
        b.map(IPA, PAGE, PA)
        refused("NO_MEMORY", a.map, IPA, PAGE, PA)
        a.map(IPA, PAGE, PA)
    with failpoint(name="pool.reserve", action=1, context=a.handle, nth=1):
        for _n in range(3):
            refused("NO_MEMORY", a.map, IPA + (1 << 30), PAGE, PA)
    with failpoint(name="pool.reserve", action=1, context=a.handle, nth=1000):
        a.map(IPA + (1 << 30), PAGE, PA)
    equal(len(list_failpoints()), 0)
    refused("NOT_FOUND", stub("failpoint").DisarmFailpoints, pb("failpoint").DisarmFailpointsRequest(id=number))
    with failpoint(name="tlbi.drop", action=2, nth=1, context=a.handle):
        a.access(IPA, length=1)
        a.unmap(IPA, PAGE)
        equal(a.access(IPA, length=1).outcome, 0, "the stale entry serves")
    refused("INVALID", failpoint(name="pool.reserve", action=2, nth=1).__enter__)


@test("Failpoint: probability and seed give the same failures again")
@covers("Failpoint.probability_ppm", "Failpoint.seed")
def _():
    def run(ppm, seed):
        g, seen = guest(), []
        with failpoint(name="pool.reserve", action=1, context=g.handle, probability_ppm=ppm, seed=seed):
            for n in range(24):
                try:
                    g.map(IPA + (n << 30), PAGE, PA)
                    seen.append(True)
                except grpc.RpcError:
                    seen.append(False)
        return seen
    equal(run(1000000, 1), [False] * 24)
    first = run(500000, 1)
    equal(run(500000, 1), first)
    true(run(500000, 2) != first and len(set(first)) == 2)


def info(channel=None, timeout=20):
    return ptd().stub("server", "ServerService", channel).GetInfo(pb("server").GetInfoRequest(), timeout=timeout)


@test("Failpoint: this connection, delay and status")
@covers("Failpoint.this_connection", "Failpoint.delay_ms", "Failpoint.grpc_status")
def _():
    other = ptd().channel()
    info(other)
    with failpoint(name="rpc.reply", action=1, this_connection=True, nth=1, times=1, grpc_status=10):
        info(other)
        try:
            info()
            raise AssertionError("no error on this connection")
        except grpc.RpcError as error:
            equal(error.code(), grpc.StatusCode.ABORTED)
    with failpoint(name="rpc.reply", action=3, this_connection=True, nth=1, times=1, delay_ms=200):
        began = time.monotonic()
        info()
        true(time.monotonic() - began >= 0.2, "not late")


@test("Failpoint: ends by itself when its time is over")
@covers("Failpoint.time_to_live_ms")
def _():
    with failpoint(name="pool.reserve", action=1, nth=1000000, time_to_live_ms=1) as number:
        ends = time.monotonic() + 20
        while any(f.id == number for f in list_failpoints()):
            true(time.monotonic() < ends, "still armed")
        message = pb("failpoint")
        stub("failpoint").ArmFailpoint(message.ArmFailpointRequest(failpoint=message.Failpoint(
            name="pool.reserve", action=1, nth=1000000, time_to_live_ms=60000)))
        equal(len(list_failpoints()), 1)
        stub("failpoint").DisarmFailpoints(message.DisarmFailpointsRequest())
        equal(len(list_failpoints()), 0)


main()
