# SPDX-License-Identifier: BSD-2-Clause
"""PagerService with gRPC's own client: fields, who waits and for what, what pagers do wrong, and how it all ends."""
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import ptdtest  # noqa: E402
from fieldtest import covers, guest, main, name, pb, ptd, stub  # noqa: E402
from nestedtest import L1, L3, VTCR, Hypervisor  # noqa: E402
from pagertest import AS_IS, DATA, FAILED, ZERO, Pager  # noqa: E402
from ptdtest import OUTCOME, PAGE, equal, refused, test, true  # noqa: E402
from sessiontest import Stream  # noqa: E402

IPA, PA, MIB = 0x4000_0000, 0x20_0000, 1 << 20
READ, WRITE = 1, 2
S12E1R = 1 << 20 | 4 << 17 | 4 << 14 | 7 << 10 | 8 << 1


def backed(size=4 * MIB, **fields):
    g = guest()
    g.slot(IPA, size, PA, backing=2 * MIB, **fields)
    return g


def opened(g, ipa=IPA, size=4 * MIB, **fields):
    p = Pager(ptd(), g.handle, ipa, size, **fields)
    return p, p.opened()


def begin(g, ipa, access=READ, timeout=20, **fields):
    """An access that is not waited for."""
    data = {"data": b"written."} if access == WRITE else {"length": 8}
    return stub("fault").Access.future(pb("fault").AccessRequest(context=g.handle, ipa=ipa, access=access, **data, **fields),
                                       timeout=timeout)


def listed(g):
    return stub("pager").ListPagers(pb("pager").ListPagersRequest(machine=g.machine.handle)).pagers


def until(condition):
    """What another call brings about, and no message tells."""
    end = time.monotonic() + 10
    while not condition():
        true(time.monotonic() < end, "it never came about")


def waiting(g, n):
    until(lambda: sum(p.waiting for p in listed(g)) == n)


@test("open: the range is unmapped and absent; an access waits for its page, asked for once, and has all of it or nothing")
@covers("PagerOpen.context", "PagerOpen.ipa", "PagerOpen.size",
        "PageSupply.ipa", "PageSupply.size", "PageSupply.content", "PageSupply.data", "ListPagersRequest.machine")
def _():
    g, other = backed(), backed()
    equal(g.access(IPA, length=1).level, 2)
    p, o = opened(g, IPA + 2 * MIB, 2 * MIB)
    equal((o.page_bytes, o.absent_pages, o.window, o.resumed), (PAGE, 512, 256, False))
    equal(g.access(IPA, length=1).level, 2)  # beside the range nothing has changed
    calls = [begin(g, IPA + 2 * MIB + 8, vcpu=1), begin(g, IPA + 2 * MIB + 16, WRITE), begin(g, IPA + 2 * MIB)]
    w = p.wanted()
    equal((w.seq, w.ipa, w.nested), (1, IPA + 2 * MIB, False))
    true((w.access, w.vcpu) in ((READ, 1), (READ, 0), (WRITE, 0)))
    waiting(g, 3)
    one = listed(g)[0]
    equal((one.context, one.context_name, one.ipa, one.size, one.absent_pages, one.wanted_pages, one.served, one.principal),
          (g.handle, g.context.name, IPA + 2 * MIB, 2 * MIB, 512, 1, True, f"uid:{os.getuid()}"))
    equal(len(listed(other)), 0)
    s = p.fill(0x5a, w.ipa)
    equal((s.ipa, s.size, s.outcome, s.pages, s.pages_before, s.absent_pages), (w.ipa, PAGE, 0, 1, 0, 511))
    replies = [c.result() for c in calls]
    equal([r.outcome for r in replies], [0] * 3)
    equal([r.level for r in replies], [3] * 3)  # the block is not all there
    equal([[e.outcome for e in r.exits] in ([], [OUTCOME["MAPPED"]], [OUTCOME["ALREADY_MAPPED"]]) for r in replies], [True] * 3)
    equal((replies[0].data, replies[2].data), (b"\x5a" * 8, b"\x5a" * 8))
    equal(g.access(IPA + 2 * MIB + 16, length=8).data, b"written.")
    equal(p.half_close(), [])


@test("supply: pages come unasked; data, zeros, what is there; the first content stays; the last page ends the stream")
@covers("PageSupply.content", "PageSupply.data")
def _():
    g = backed()
    stub("machine").WriteMemory(pb("machine").WriteMemoryRequest(machine=g.machine.handle, address=PA, data=b"\x11" * (3 * PAGE)))
    p, _ = opened(g)
    equal(p.fill(1, IPA, 2 * PAGE).pages, 2)
    s = p.fill(2, IPA + PAGE, 2 * PAGE)
    equal((s.pages, s.pages_before), (1, 1))
    equal(p.supply(IPA + 3 * PAGE, AS_IS).pages, 1)
    equal(p.supply(IPA + 3 * PAGE, ZERO).pages_before, 1)
    equal([g.access(IPA + n * PAGE, length=1).data[0] for n in range(4)], [1, 1, 2, 0])
    equal(p.supply(IPA + 4 * PAGE, AS_IS, MIB - 4 * PAGE).pages, 252)
    equal([p.supply(IPA + n * MIB, ZERO, MIB).absent_pages for n in range(1, 4)], [512, 256, 0])
    equal(list(p.answers), [])  # OK
    equal(len(listed(g)), 0)
    equal(g.access(IPA + 2 * MIB, length=1).level, 2)  # a block again
    p, o = opened(g)  # and once more from the beginning
    equal((o.resumed, o.absent_pages), (False, 1024))
    call = begin(g, IPA + 2 * MIB)
    equal(p.wanted().ipa, IPA + 2 * MIB)
    p.supply(IPA + 2 * MIB, AS_IS)
    equal(call.result().outcome, 0)
    p.cancel()


@test("supply: a page that has no content fails who waits for it, and can still get one")
@covers("PageSupply.content")
def _():
    g = backed()
    p, _ = opened(g)
    call = begin(g, IPA)
    p.wanted()
    s = p.supply(IPA, FAILED, 2 * PAGE)
    equal((s.outcome, s.pages, s.absent_pages), (0, 2, 1024))
    r = call.result()
    equal((r.outcome, [e.outcome for e in r.exits]), (OUTCOME["PAGE_FAILED"], [OUTCOME["PAGE_FAILED"]]))
    equal(g.access(IPA + PAGE, length=1).outcome, OUTCOME["PAGE_FAILED"])
    equal([(x.failed_pages, x.wanted_pages, x.waiting) for x in listed(g)], [(2, 0, 0)])
    equal(p.supply(IPA, FAILED).pages, 0)
    equal(p.fill(3, IPA).pages, 1)
    equal((p.supply(IPA, FAILED).pages_before, listed(g)[0].failed_pages), (1, 1))
    equal(g.access(IPA, length=1).data, b"\x03")
    p.cancel()


@test("window: no more pages are asked for at once; others wait until one is supplied")
@covers("PagerOpen.window")
def _():
    g = backed()
    p, o = opened(g, window=2)
    equal(o.window, 2)
    calls = []
    for n in range(4):
        calls.append(begin(g, IPA + n * PAGE))
        waiting(g, n + 1)
    equal([p.wanted().ipa for _ in range(2)], [IPA, IPA + PAGE])
    equal(listed(g)[0].wanted_pages, 2)
    for n in (3, 0):  # one that was not asked for yet makes no room; one that was does
        equal(p.fill(n + 1, IPA + n * PAGE).pages, 1)
    w = p.wanted()
    equal((w.seq, w.ipa), (3, IPA + 2 * PAGE))
    p.send(IPA + PAGE, DATA, 2 * PAGE, b"\x07" * (2 * PAGE))
    equal([c.result().data[0] for c in calls], [1, 7, 7, 4])
    p.cancel()


@test("a pager that answers what is none of its business is told so, and served on")
def _():
    g = backed()
    p, _ = opened(g, IPA + MIB, MIB)
    for wrong, code in (((IPA, ZERO), "OUT_OF_RANGE"), ((IPA + 2 * MIB - PAGE, ZERO, 2 * PAGE), "OUT_OF_RANGE"),
                        ((IPA + MIB, ZERO, (1 << 64) - PAGE), "TOO_LARGE"), ((IPA + MIB, ZERO, 2 * MIB), "TOO_LARGE"),
                        (((1 << 64) - PAGE, ZERO), "OUT_OF_RANGE"), ((IPA + MIB + 1, ZERO), "MISALIGNED"),
                        ((IPA + MIB, ZERO, 100), "MISALIGNED"), ((IPA + MIB, ZERO, 0), "INVALID"), ((IPA + MIB, 0), "INVALID"),
                        ((IPA + MIB, 5), "INVALID"), ((IPA + MIB, ZERO, PAGE, b"x"), "INVALID"),
                        ((IPA + MIB, DATA, PAGE, b"short"), "INVALID"), ((IPA + MIB, DATA, PAGE), "INVALID")):
        s = p.supply(*wrong)
        equal((s.outcome, s.pages, s.absent_pages), (OUTCOME[code], 0, 256), wrong)
        true(s.text)
    call = begin(g, IPA + MIB)
    p.wanted()
    p.supply(IPA + MIB)
    equal(call.result().outcome, 0)
    p.queue.put(p.pb.ServePagesRequest(open=p.pb.PagerOpen(context=g.handle, ipa=IPA, size=PAGE)))
    true("supply is due" in p.end("INVALID"))


@test("open: what can have no pager is refused, and changes nothing")
@covers("PagerOpen.context", "PagerOpen.ipa", "PagerOpen.size", "PagerOpen.window")
def _():
    def fails(code, **fields):
        p = Pager(ptd(), open=False, **{"context": 0, "ipa": 0, "size": 0})
        p.queue.put(p.pb.ServePagesRequest(open=p.pb.PagerOpen(**{"context": g.handle, "ipa": IPA, "size": PAGE, **fields})))
        return p.end(code)
    g = backed()
    g.slot(IPA + 4 * MIB, MIB, PA + 4 * MIB, id=1)
    before = (g.access(IPA, length=1).level, g.digest())
    limits = stub("server").GetInfo(pb("server").GetInfoRequest()).limits
    for code, fields in (("INVALID", {"context": 0}), ("MISALIGNED", {"ipa": IPA + 1}), ("MISALIGNED", {"size": 5}),
                         ("INVALID", {"size": 0}), ("OUT_OF_RANGE", {"ipa": IPA + 8 * MIB}), ("OUT_OF_RANGE", {"ipa": 0}),
                         ("OUT_OF_RANGE", {"size": 5 * MIB}), ("OUT_OF_RANGE", {"ipa": IPA + 4 * MIB - PAGE, "size": 2 * PAGE}),
                         ("TOO_LARGE", {"size": limits.max_pager_bytes + PAGE}),
                         ("TOO_LARGE", {"window": limits.max_pager_window + 1})):
        fails(code, **fields)
    h = Hypervisor()
    fails("WRONG_STATE", context=h.enter().shadow)
    p = Pager(ptd(), g.handle, IPA, PAGE, open=False)
    p.send(IPA)
    true("must be open" in p.end("INVALID"))
    equal((g.access(IPA, length=1).level, g.digest()), before)
    equal(Pager(ptd(), 0, 0, 0, open=False).half_close(), [])
    pages = [opened(g, IPA + n * PAGE, PAGE)[0] for n in range(limits.max_pagers)]
    true(fails("TOO_LARGE", ipa=IPA + MIB).startswith("max_pagers: "))
    fails("ALREADY_EXISTS")
    fails("ALREADY_EXISTS", size=MIB)
    for p in pages:
        equal(p.supply(p.ipa).absent_pages, 0)
        equal(list(p.answers), [])


@test("a stream that is gone holds nobody up: ABSENT, until another takes the same range over")
def _():
    g = backed()
    p, _ = opened(g)
    p.fill(1, IPA, 8 * PAGE)
    calls = [begin(g, IPA + n * MIB) for n in range(1, 4)]
    for _ in calls:
        p.wanted()
    p.cancel()
    equal([c.result().outcome for c in calls], [OUTCOME["ABSENT"]] * 3)
    equal(g.access(IPA + MIB, length=1).outcome, OUTCOME["ABSENT"])
    equal(g.access(IPA, length=1).data, b"\x01")
    equal([(x.served, x.waiting, x.wanted_pages, x.absent_pages) for x in listed(g)], [(False, 0, 0, 1016)])
    other = Pager(ptd(), g.handle, IPA + MIB, MIB)
    error = refused("ALREADY_EXISTS", lambda: list(other.answers))
    other.cancel()
    true("0x400000 bytes at 0x40000000 of uid:" in error.details(), error.details())
    equal(ptdtest.error_detail(error).hint, "ListPagers says who has which range")
    p, o = opened(g)
    equal((o.resumed, o.absent_pages), (True, 1016))
    equal(g.access(IPA, length=1).data, b"\x01")
    call = begin(g, IPA + MIB)
    equal((p.wanted().seq, p.fill(9, IPA + MIB).pages), (1, 1))
    equal(call.result().data[0], 9)
    equal(p.half_close(), [])
    equal(g.access(IPA + 2 * MIB, length=1).outcome, OUTCOME["ABSENT"])


@test("an access that is cancelled, or whose time is over, waits no longer; the page is asked for all the same")
def _():
    g = backed()
    p, _ = opened(g)
    cancelled, late = begin(g, IPA), begin(g, IPA, timeout=0.3)
    p.wanted()
    waiting(g, 2)
    cancelled.cancel()
    equal(late.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    waiting(g, 0)
    equal(listed(g)[0].wanted_pages, 1)
    call = begin(g, IPA)
    waiting(g, 1)
    equal((p.fill(4, IPA).pages, call.result().data[0]), (1, 4))
    p.cancel()


@test("those who wait are no work: on their connection, too, others are served, and all go on")
def _():
    g = backed()
    p, _ = opened(g)
    p.supply(IPA + PAGE, ZERO)
    calls = []
    for n in range(10):
        calls += [begin(g, IPA + MIB) for _ in range(20)]
        waiting(g, len(calls))
    p.wanted()
    equal(g.access(IPA + PAGE, length=1).outcome, 0)
    p.fill(8, IPA + MIB)
    equal({c.result().data for c in calls}, {b"\x08" * 8})
    p.cancel()


@test("HandleFault and a session's accesses and faults wait, too; a session that is given up does not")
def _():
    g = backed()
    p, _ = opened(g)
    call = stub("fault").HandleFault.future(pb("fault").HandleFaultRequest(context=g.handle, ipa=IPA, access=WRITE), timeout=20)
    equal((p.wanted().access, p.fill(1, IPA).pages, call.result().outcome), (WRITE, 1, OUTCOME["MAPPED"]))
    s = Stream(ptd())
    s.open(g.handle)
    for seq, field in enumerate(("access", "handle_fault"), 1):
        at = IPA + seq * MIB
        s.send(seq=seq, **{field: s.accesses([at, IPA, at + PAGE], [READ])})
        for n in range(2):
            equal(p.wanted().ipa, at + n * PAGE)
            p.fill(2, at + n * PAGE)
        done = OUTCOME["OK"] if field == "access" else OUTCOME["MAPPED"]
        equal([o in (done, OUTCOME["ALREADY_MAPPED"]) for o in s.receive().results.outcome], [True] * 3)
    s.send(seq=3, access=s.accesses([IPA, IPA + 3 * MIB, IPA + 3 * MIB + PAGE], [READ]))
    p.wanted()
    waiting(g, 1)
    s.cancel()
    waiting(g, 0)
    p.cancel()


@test("a session that waits for a page can be taken over: what was not begun is undone, of the rest ABSENT is told")
def _():
    def taken(s, session):
        taker = Stream(ptd(), ptd().channel())
        answer = taker.open(g.handle, session)
        s.end("TAKEN_OVER")
        return taker, answer.last_seq
    g = backed()
    p, _ = opened(g)
    p.fill(1, IPA)
    s = Stream(ptd())
    session = s.open(g.handle).session_id
    for field in ("access", "handle_fault"):
        s.send(seq=1, **{field: s.accesses([IPA + MIB], [READ])})
        waiting(g, 1)
        s, last = taken(s, session)
        equal((last, listed(g)[0].waiting), (0, 0))
    asked = s.accesses([IPA, IPA + MIB], [READ])
    s.send(seq=1, access=asked)
    waiting(g, 1)
    s, last = taken(s, session)
    equal((last, list(s.ask(seq=1, access=asked).results.outcome)), (1, [0, OUTCOME["ABSENT"]]))
    equal(p.wanted().ipa, IPA + MIB)
    p.fill(2, IPA + MIB)
    equal(list(s.ask(seq=2, access=asked).results.outcome), [0, 0])
    s.cancel()
    p.cancel()


@test("a slot that changes or goes ends its pager, and who waited goes on without it")
def _():
    g = backed()
    service, message = stub("context"), pb("context")
    p, _ = opened(g)
    call = begin(g, IPA)
    p.wanted()
    g.slot(IPA, 4 * MIB, PA, backing=2 * MIB, flags=2)  # logging alone: nothing is unmapped, and the pager stays
    equal(len(listed(g)), 1)
    g.slot(IPA, 4 * MIB, PA + 8 * MIB, backing=2 * MIB)
    p.end("NOT_FOUND")
    equal((call.result().outcome, call.result().pa, call.result().level), (0, PA + 8 * MIB, 2))
    equal(service.GetContext(message.GetContextRequest(handle=g.handle)).context.slots[0].flags, 0)
    p, _ = opened(g)
    equal(service.GetContext(message.GetContextRequest(handle=g.handle)).context.slots[0].flags, 0)
    call = begin(g, IPA)
    p.wanted()
    service.DeleteSlot(message.DeleteSlotRequest(context=g.handle, id=0))
    p.end("NOT_FOUND")
    equal(call.result().outcome, OUTCOME["NO_SLOT"])
    g.slot(IPA, 4 * MIB, PA)
    p, _ = opened(g)
    call = begin(g, IPA)
    p.wanted()
    stub("machine").DeleteMachine(pb("machine").DeleteMachineRequest(handle=g.machine.handle, force=True))
    p.end("NOT_FOUND")
    refused("NOT_FOUND", call.result)


@test("a nested guest's access waits for the canonical page, for the pages of its hypervisor's tables, and so does an AT")
def _():
    def at(address):
        return h.stub.AddressTranslate.future(h.pb.AddressTranslateRequest(
            context=h.g.handle, sys=S12E1R, address=address, hcr=1, vttbr=1 << 48 | L1, vtcr=VTCR), timeout=20)
    def takes(ipa):
        n = stub("fault").Explain(pb("fault").ExplainRequest(context=shadow, ipa=ipa, access=READ)).nested
        return pb("fault").FaultTaker.Name(n.taker)[len("FAULT_TAKER_"):], n.canonical_ipa
    h = Hypervisor()
    shadow = h.enter().shadow
    canonical = 2049 * PAGE
    other = canonical + 4 * PAGE
    equal(takes(5 * PAGE), ("NOBODY", other))
    q, _ = opened(h.g, other, PAGE)
    equal(takes(5 * PAGE), ("PAGER", other))
    q.supply(other, FAILED)
    equal(takes(5 * PAGE), ("HOST", other))
    p, _ = opened(h.g, L1, MIB)  # the tables
    equal(takes(5 * PAGE), ("PAGER", 0))
    q, _ = opened(h.g, canonical, PAGE)
    call = stub("fault").Access.future(pb("fault").AccessRequest(context=shadow, ipa=PAGE, access=READ, length=8), timeout=20)
    for n in range(3):
        w = p.wanted()
        equal((w.ipa, w.nested), (L1 + n * PAGE, True))
        p.supply(w.ipa, AS_IS)
    w = q.wanted()
    equal((w.ipa, w.access, w.nested), (canonical, READ, True))
    q.fill(6, canonical)
    r = call.result()
    equal((r.outcome, r.data, r.nested.taker), (0, b"\x06" * 8, 1))
    p.cancel()
    until(lambda: not any(x.served for x in listed(h.g)))
    p, _ = opened(h.g, L1, MIB)  # what was there stays so; the AT's tables are
    equal(at(3 * PAGE).result().outcome, 0)
    p.supply(L1 + 3 * PAGE, ZERO, MIB - 3 * PAGE)
    equal(list(p.answers), [])
    p, _ = opened(h.g, L3, PAGE)
    call = at(3 * PAGE)
    equal(p.wanted().ipa, L3)
    p.supply(L3, AS_IS)
    equal(call.result().par & 0xffff_ffff_f000, (2048 + 3) * PAGE)
    p, _ = opened(h.g, L3, PAGE)
    call = stub("fault").Access.future(pb("fault").AccessRequest(context=shadow, ipa=2 * PAGE, access=READ, length=8), timeout=20)
    p.wanted()
    p.cancel()  # the walk's memory is gone for good: an abort on it, for the guest hypervisor
    r = call.result()
    equal((r.outcome, r.nested.taker, r.nested.esr & 0x3f), (OUTCOME["DENIED"], 2, 0x17))


def owners():
    """A machine with owners, the host's context, and one of a protected guest."""
    def context(its_name, kind, **options):
        return stub("context").CreateContext(pb("context").CreateContextRequest(
            machine=machine, name=its_name, kind=kind, options=pb("context").ContextOptions(**options))).context.handle
    machine = stub("machine").CreateMachine(pb("machine").CreateMachineRequest(
        name=name(), memory_bytes=64 * MIB, vcpus=1, owners=True)).machine.handle
    host, guarded = context("host", 2, identity=True), context("guarded", 1, protected=True)
    stub("context").SetSlot(pb("context").SetSlotRequest(context=host, slot=pb("context").Slot(size=32 * MIB, backing=2 * MIB)))
    return machine, host, guarded


def donate(machine, guarded, pa, ipa):
    """A page of the host's becomes the guest's."""
    party = pb("ownership").Party
    item = pb("ownership").TransferItem(kind=3, pa=pa, size=PAGE, ipa=ipa, to=party(kind=3, context=guarded))
    getattr(item, "from").CopyFrom(party(kind=1))
    stub("ownership").Transfer(pb("ownership").TransferRequest(machine=machine, items=[item]))


def read(context, ipa):
    return stub("fault").Access.future(pb("fault").AccessRequest(context=context, ipa=ipa, access=READ, length=8), timeout=20)


@test("machines with owners: the host's own memory can be absent, and a page that is another's is not supplied")
def _():
    machine, host, guarded = owners()
    donate(machine, guarded, PA, IPA)  # donated before
    Pager(ptd(), host, PA - PAGE, MIB).end("WRONG_OWNER")
    true("come by Transfer" in Pager(ptd(), guarded, IPA, PAGE).end("WRONG_STATE"))
    p = Pager(ptd(), host, 4 * MIB, MIB)
    equal(p.opened().absent_pages, 256)
    call = read(host, 4 * MIB)
    equal(p.wanted().ipa, 4 * MIB)
    equal((p.fill(7, 4 * MIB).pages, call.result().data), (1, b"\x07" * 8))
    donate(machine, guarded, 5 * MIB - PAGE, IPA + PAGE)  # while it is absent
    for content, data in ((DATA, b"\x09" * PAGE), (ZERO, b""), (AS_IS, b"")):
        s = p.supply(5 * MIB - PAGE, content, PAGE, data)
        equal((s.outcome, s.pages, s.absent_pages), (OUTCOME["WRONG_OWNER"], 0, 255))
    equal(read(host, 5 * MIB - PAGE).result().outcome, OUTCOME["WRONG_OWNER"])
    equal(p.supply(5 * MIB - 2 * PAGE, ZERO, 2 * PAGE).outcome, OUTCOME["WRONG_OWNER"])
    stub("mapping").Map(pb("mapping").MapRequest(context=host, ipa=4 * MIB + PAGE, pa=4 * MIB + PAGE, size=PAGE, prot=3))
    equal(p.supply(4 * MIB + PAGE, AS_IS).outcome, OUTCOME["WRONG_STATE"])
    party = pb("ownership").Party
    item = pb("ownership").TransferItem(kind=1, pa=4 * MIB + 2 * PAGE, size=PAGE, to=party(kind=2))  # shared with hyp: still the host's
    getattr(item, "from").CopyFrom(party(kind=1))
    stub("ownership").Transfer(pb("ownership").TransferRequest(machine=machine, items=[item]))
    equal(p.fill(1, 4 * MIB + 2 * PAGE).pages, 1)
    stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=guarded))
    call = read(host, 5 * MIB - PAGE)
    equal((p.wanted().ipa, p.fill(3, 5 * MIB - PAGE).pages, call.result().data), (5 * MIB - PAGE, 1, b"\x03" * 8))
    p.cancel()


@test("machines with owners: who waits for a page that goes to a guest, or is mapped, waits no longer than for its supply")
def _():
    machine, host, guarded = owners()
    p = Pager(ptd(), host, 4 * MIB, MIB, window=2)
    p.opened()
    calls = [read(host, 4 * MIB + i * PAGE) for i in range(3)]
    asked = sorted(p.wanted().ipa for _ in range(2))
    rest = next(4 * MIB + i * PAGE for i in range(3) if 4 * MIB + i * PAGE not in asked)
    donate(machine, guarded, asked[0], IPA)
    stub("mapping").Map(pb("mapping").MapRequest(context=host, ipa=asked[1], pa=asked[1], size=PAGE, prot=3))
    equal(p.supply(asked[0]).outcome, OUTCOME["WRONG_OWNER"])
    equal(p.wanted().ipa, rest)
    equal(calls[(asked[0] - 4 * MIB) // PAGE].result().outcome, OUTCOME["WRONG_OWNER"])
    equal(p.supply(asked[1]).outcome, OUTCOME["WRONG_STATE"])
    equal(calls[(asked[1] - 4 * MIB) // PAGE].result().outcome, 0)
    equal((p.fill(5, rest).pages, calls[(rest - 4 * MIB) // PAGE].result().data), (1, b"\x05" * 8))
    page = 4 * MIB + 8 * PAGE
    write = stub("fault").Access.future(pb("fault").AccessRequest(context=host, ipa=page, access=WRITE, data=b"written."), timeout=20)
    equal(p.wanted().ipa, page)
    stub("mapping").Map(pb("mapping").MapRequest(context=host, ipa=page, pa=page, size=PAGE, prot=1))
    s = p.fill(9, page)  # what is mapped has its content; the right that lacks is the slot's to give
    equal((s.outcome, s.pages, s.absent_pages), (OUTCOME["WRONG_STATE"], 0, 253))
    equal((write.result().outcome, read(host, page).result().data), (0, b"written."))
    equal((p.fill(9, page).pages_before, read(host, page).result().data), (1, b"written."))
    p.cancel()


@test("machines with owners: ptctl pager supplies the pages around one that is a guest's, and that one when it comes back")
def _():
    machine, host, guarded = owners()
    p = Pager(ptd(), host, 4 * MIB, MIB)
    p.opened()
    donate(machine, guarded, 5 * MIB - 3 * PAGE, IPA)
    p.cancel()

    def pagers():
        return stub("pager").ListPagers(pb("pager").ListPagersRequest(machine=machine)).pagers
    until(lambda: not pagers()[0].served)
    run = subprocess.Popen([os.path.join(ptdtest.BUILD, "ptctl"), "pager", "serve", hex(host), "4M", "1M", "--push", "-q"],
                           stderr=subprocess.PIPE, text=True, env={**ptdtest.sanitizer_env(), "PTD_ENDPOINT": ptd().endpoint})
    until(lambda: pagers()[0].absent_pages == 1)
    stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=guarded))
    equal(read(host, 5 * MIB - 3 * PAGE).result().data, bytes(8))
    error = run.communicate(timeout=20)[1]
    equal((run.returncode, error), (1, f"error: {5 * MIB - 3 * PAGE:#x}: ipa: there is a page that is not the host's; it is not supplied\n"))
    equal(len(pagers()), 0)


@test("memory that is read and written by address: what is absent is not mapped; raw access is not held up")
def _():
    g = backed()
    p, _ = opened(g)
    memory, message = stub("machine"), pb("machine")
    refused("NOT_MAPPED", memory.ReadMemory, message.ReadMemoryRequest(
        machine=g.machine.handle, context=g.handle, address=IPA, length=8))
    equal(memory.ReadMemory(message.ReadMemoryRequest(machine=g.machine.handle, address=PA, length=4)).data, bytes(4))
    g.map(IPA + PAGE, PAGE, PA + PAGE)  # by name of the frame: nobody is asked
    equal(g.access(IPA + PAGE, length=1).outcome, 0)
    p.cancel()


@test("ptctl pager serves a range from a file, or zeros, and says who needed what")
def _():
    g = backed()
    image = os.path.join(ptd().folder, "image")
    with open(image, "wb") as file:
        file.write(b"\x77" * (MIB + 100))

    def serve(*args):
        return subprocess.Popen([os.path.join(ptdtest.BUILD, "ptctl"), "pager", "serve", g.context.name, hex(IPA), "4M",
                                 "-o", "tsv", "--no-legend", *args], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True,
                                env={**ptdtest.sanitizer_env(), "PTD_ENDPOINT": ptd().endpoint})
    run = serve("--file", image, "--count", "2")
    until(lambda: [p.served for p in listed(g)] == [True])
    equal([g.access(IPA + at, length=1, vcpu=1).data for at in (5, MIB)], [b"\x77"] * 2)
    out, _ = run.communicate(timeout=20)
    equal((run.returncode, [line.split("\t") for line in out.splitlines()]),
          (0, [["1", hex(IPA), "ACCESS_KIND_READ", "1", "no"], ["2", hex(IPA + MIB), "ACCESS_KIND_READ", "1", "no"]]))
    equal(g.access(IPA + MIB + 200, length=1).data, b"\x00")  # behind the file's end, on a page that came
    equal(g.access(IPA + 2 * MIB, length=1).outcome, OUTCOME["ABSENT"])
    shown = ptd().ptctl("pager", "list", g.machine.name, "-o", "json").stdout
    true(re.search(r'"absent_pages": ?1022', shown), shown)
    run = serve()  # one that never answers, and dies
    until(lambda: [p.served for p in listed(g)] == [True])
    run.send_signal(signal.SIGSTOP)
    call = begin(g, IPA + 2 * MIB)
    waiting(g, 1)
    run.kill()
    equal((call.result().outcome, run.wait(20)), (OUTCOME["ABSENT"], -signal.SIGKILL))
    run = serve("--push")
    equal((run.communicate(timeout=20)[0], run.returncode), ("", 0))
    equal((len(listed(g)), g.access(IPA + 2 * MIB, length=1).data), (0, b"\x00"))
    equal(ptd().ptctl("pager", "serve", g.context.name, hex(IPA), "4M", "--file", "/nowhere", check=False).returncode, 2)
    equal(ptd().ptctl("pager", "serve", g.context.name, hex(IPA), "4M", "--file", image, "--as-is", check=False).returncode, 2)
    run = serve("--as-is", "--count", "1")
    until(lambda: [p.served for p in listed(g)] == [True])
    refusal = ptd().ptctl("pager", "serve", g.context.name, hex(IPA), "4K", check=False)
    equal((refusal.returncode, "hint: ptctl pager list" in refusal.stderr), (1, True), refusal.stderr)
    equal(g.access(IPA + 5, length=1).data, b"\x77")
    equal((run.communicate(timeout=20)[1], run.returncode), ("", 0))
    equal(serve("--as-is", "--push").wait(20), 0)
    equal(g.access(IPA + MIB + 5, length=1).data, b"\x77")
    equal((ptd().ptctl("pager", "serve", g.context.name, hex(IPA), "4M", "--count", "0").stdout, len(listed(g))), ("", 0))
    run = serve("--file", ptd().folder, "--count", "1")  # a folder opens, and cannot be read
    until(lambda: [p.served for p in listed(g)] == [True])
    equal(ptd().ptctl("access", "read", g.context.name, hex(IPA), check=False).returncode, 7)  # PAGE_FAILED
    out, error = run.communicate(timeout=20)
    true(run.returncode == 1 and f"error: --file: {IPA:#x}: Is a directory" in error, (run.returncode, error))
    for command in (("access", "read", g.context.name, hex(IPA + MIB)), ("fault", g.context.name, "--ipa", hex(IPA + MIB))):
        equal(ptd().ptctl(*command, check=False).returncode, 7)  # ABSENT
    refusal = ptd().ptctl("pager", "serve", g.context.name, "0", "4K", check=False)
    equal((refusal.returncode, "hint: ptctl slot list" in refusal.stderr), (1, True), refusal.stderr)


main()
