# SPDX-License-Identifier: BSD-2-Clause
"""Fields of ContextService's requests."""
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldtest import covers, guest, main, name, pb, ptd, stub  # noqa: E402
from ptdtest import OUTCOME, PAGE, PX, R, equal, refused, test, true  # noqa: E402

IPA, PA, BLOCK = 0x4000_0000, 0x20_0000, 2 << 20


def machine(**fields):
    return stub("machine").CreateMachine(pb("machine").CreateMachineRequest(
        **{"name": name(), "memory_bytes": 1 << 20, "vcpus": 1, **fields})).machine


def create(on, **fields):
    return stub("context").CreateContext(pb("context").CreateContextRequest(
        **{"machine": on.handle, "name": name(), "kind": 1, **fields})).context


def get(**fields):
    return stub("context").GetContext(pb("context").GetContextRequest(**fields)).context


def geometry(**fields):
    return pb("common").Geometry(**fields)


@test("CreateContext: machine, name and kind show in the context")
@covers("CreateContextRequest.machine", "CreateContextRequest.name", "CreateContextRequest.kind",
        "GetContextRequest.handle", "GetContextRequest.name", "CreateContextRequest.quota_pages")
def _():
    m, other = machine(), machine()
    mine = name()
    made = create(m, name=mine, kind=2, quota_pages=77)
    create(other, name=mine)
    for seen in (get(handle=made.handle), get(name=f"{m.name}/{mine}")):
        equal((seen.name, seen.machine, seen.kind, seen.quota_pages), (f"{m.name}/{mine}", m.handle, 2, 77))
    refused("ALREADY_EXISTS", create, m, name=mine)
    refused("INVALID", create, m, kind=0)
    refused("INVALID", create, m, kind=3)


@test("Geometry: granule, sizes, descriptor format and start level show in VTCR_EL2")
@covers("Geometry.granule_shift", "Geometry.ipa_bits", "Geometry.pa_bits", "Geometry.ds",
        "Geometry.start_level_plus_2")
def _():
    m, big = machine(), machine(pa_bits=52)
    for granule, tg0 in ((12, 0), (14, 2), (16, 1)):
        equal(create(m, geometry=geometry(granule_shift=granule, ipa_bits=40)).vtcr >> 14 & 3, tg0)
    for bits in (32, 36, 40, 48):
        equal(64 - (create(m, geometry=geometry(granule_shift=12, ipa_bits=bits)).vtcr & 63), bits)
    refused("INVALID", create, m, geometry=geometry(granule_shift=12, ipa_bits=40, pa_bits=40))
    equal(create(big, geometry=geometry(granule_shift=14, ipa_bits=40, ds=True, pa_bits=52)).vtcr >> 32 & 1, 1)
    refused("INVALID", create, big, geometry=geometry(granule_shift=14, ipa_bits=40))
    # 40 bits at 4K: two tables at level 1, or one entry more above them, at level 0.
    equal([create(m, geometry=geometry(granule_shift=12, ipa_bits=40, start_level_plus_2=s)).vtcr >> 6 & 3
           for s in (0, 2, 3)], [1, 2, 1])
    refused("INVALID", create, m, geometry=geometry(granule_shift=12, ipa_bits=40, start_level_plus_2=5))


@test("vtcr: a register value makes the same context, nonsense is refused")
@covers("CreateContextRequest.vtcr")
def _():
    m = machine()
    first = create(m, geometry=geometry(granule_shift=14, ipa_bits=36))
    second = create(m, vtcr=first.vtcr)
    equal((second.vtcr, second.geometry), (first.vtcr, first.geometry))
    refused("INVALID", create, m, vtcr=3 << 14 | first.vtcr)


@test("options: each changes what a context may do, or is refused")
@covers("ContextOptions.fwb", "ContextOptions.xnx", "ContextOptions.ha", "ContextOptions.hd", "ContextOptions.bbm",
        "ContextOptions.durable", "ContextOptions.identity", "ContextOptions.software_bits")
def _():
    attributes = []
    for fwb in (False, True):
        g = guest(fwb=fwb)
        g.map(IPA, PAGE, PA)
        attributes.append(g.translate(IPA).descriptor >> 2 & 15)
    equal(attributes, [0b1111, 0b0110])
    guest(xnx=True).map(IPA, PAGE, PA, prot=R | PX)
    refused("UNSUPPORTED", guest().map, IPA, PAGE, PA, prot=R | PX)
    m = machine()
    options = pb("context").ContextOptions
    equal([create(m, options=options(ha=ha, hd=hd)).vtcr >> 21 & 3 for ha, hd in ((0, 0), (1, 0), (1, 1))], [0, 1, 3])
    g = guest(identity=True)
    equal(g.context.options.identity, True)
    g.map(PA, PAGE, PA)
    refused("INVALID", g.map, IPA, PAGE, PA)
    refused("INVALID", g.slot, IPA, PAGE, PA)
    g.slot(PA + BLOCK, BLOCK, PA + BLOCK)
    equal(g.access(PA + BLOCK + 8, length=1).pa, PA + BLOCK + 8)
    g = guest(software_bits=0b0101)
    equal(g.context.options.software_bits, 0b0101)
    g.map(IPA, PAGE, PA, prot=R | 0b0100 << 16)
    equal(g.translate(IPA).descriptor >> 55 & 15, 0b0100)
    equal(g.map(IPA, PAGE, PA, prot=R).outcome, OUTCOME["PERMISSION_ONLY"])
    for bits in (0b0010, 0b1000, 0b0111):
        refused("INVALID", g.map, IPA + PAGE, PAGE, PA, prot=R | bits << 16)
    tlbis = []
    for bbm in (0, 1, 2):
        g = guest(bbm=bbm, memory=4 << 30)
        equal(g.context.options.bbm, bbm)
        g.map(IPA, 1 << 30, 0)
        g.access(IPA, length=8)
        tlbis.append(stub("mapping").Split(pb("upkeep").SplitRequest(
            context=g.handle, ipa=IPA, size=1 << 30)).effects.tlbis)
        equal((g.translate(IPA).level, g.access(IPA, length=8).outcome), (3, 0))
    true(tlbis[2] < tlbis[0], f"level 2 saves no invalidation: {tlbis}")
    for row, wrong in (("INVALID", {"bbm": 3}), ("UNSUPPORTED", {"durable": True}),
                       ("INVALID", {"software_bits": 16}), ("INVALID", {"hd": True})):
        refused(row, create, m, options=options(**wrong))


@test("request_id: creation, deletion and slot changes can be repeated")
@covers("CreateContextRequest.request_id", "DeleteContextRequest.request_id", "DeleteContextRequest.handle",
        "SetSlotRequest.request_id", "DeleteSlotRequest.request_id")
def _():
    m, mine = machine(), name()
    made = create(m, name=mine, request_id=b"context-create-1")
    equal(create(m, name=mine, request_id=b"context-create-1").handle, made.handle)
    refused("REQUEST_ID_REUSED", create, m, name=name(), request_id=b"context-create-1")
    service, message = stub("context"), pb("context")
    slot = message.SetSlotRequest(context=made.handle, slot=message.Slot(id=1, ipa=IPA, size=PAGE),
                                  request_id=b"context-slot-001")
    equal(service.SetSlot(slot), service.SetSlot(slot))
    gone = message.DeleteSlotRequest(context=made.handle, id=1, request_id=b"context-slot-002")
    equal(service.DeleteSlot(gone), service.DeleteSlot(gone))
    gone.request_id = b""
    refused("NOT_FOUND", service.DeleteSlot, gone)
    delete = message.DeleteContextRequest(handle=made.handle, request_id=b"context-delete-1")
    equal(service.DeleteContext(delete), service.DeleteContext(delete))
    refused("NOT_FOUND", get, handle=made.handle)


@test("ListContexts: of one machine, in pages")
@covers("ListContextsRequest.machine", "ListContextsRequest.page_size", "ListContextsRequest.page_token")
def _():
    m = machine()
    made = {create(m).handle for _n in range(3)}
    create(machine())

    def page(size, token, on):
        return stub("context").ListContexts(pb("context").ListContextsRequest(
            machine=on, page_size=size, page_token=token))
    first = page(2, "", m.handle)
    equal(len(first.contexts), 2)
    rest = page(2, first.next_page_token, m.handle)
    equal({c.handle for c in [*first.contexts, *rest.contexts]}, made)
    equal(rest.next_page_token, "")
    true(len(page(0, "", 0).contexts) > 3, "all machines")
    refused("INVALID", page, 2, "nonsense", m.handle)


@test("WatchContexts: tells the contexts of one machine, then each change")
@covers("WatchContextsRequest.machine")
def _():
    m, other = machine(), machine()
    made = create(m)
    watch = stub("context").WatchContexts(pb("context").WatchContextsRequest(machine=m.handle), timeout=20)
    first = next(watch)
    equal((first.kind, first.context.handle), (1, made.handle))
    equal(next(watch).kind, 5)
    create(other)
    later = create(m)
    seen = next(watch)
    equal((seen.kind, seen.context.handle), (2, later.handle))
    watch.cancel()


@test("Slot: where, how large, which backing and which rights a fault finds")
@covers("SetSlotRequest.context", "Slot.id", "Slot.ipa", "Slot.size", "Slot.pa", "Slot.flags", "Slot.backing",
        "DeleteSlotRequest.context", "DeleteSlotRequest.id")
def _():
    g = guest()
    g.slot(IPA, 2 * BLOCK, PA, id=5, backing=BLOCK)
    reply = g.access(IPA + BLOCK + 8, length=1)
    equal((reply.outcome, reply.pa, reply.level), (0, PA + BLOCK + 8, 2))
    equal(g.access(IPA + 2 * BLOCK, length=1).outcome, OUTCOME["NO_SLOT"])
    equal(g.access(IPA - 1, length=1).outcome, OUTCOME["NO_SLOT"])
    refused("SLOT_OVERLAP", g.slot, IPA, PAGE, PA, id=6)
    g.slot(IPA + 8 * BLOCK, BLOCK, PA, id=6)
    equal(g.access(IPA + 8 * BLOCK, length=1).level, 3)
    for flags, access, outcome in ((1, {"access": 2, "data": b"x"}, "READ_ONLY"), (4, {"access": 3}, "DENIED"),
                                   (0, {"access": 2, "data": b"x"}, "OK"), (0, {"access": 3}, "OK")):
        g.slot(IPA + 16 * BLOCK, BLOCK, PA, id=7, flags=flags)
        equal(g.access(IPA + 16 * BLOCK, **access).outcome, OUTCOME[outcome], f"flags {flags}")
    refused("INVALID", g.slot, IPA + 24 * BLOCK, BLOCK, PA, id=8, flags=8)
    refused("INVALID", g.slot, IPA + 32 * BLOCK, BLOCK, PA, id=9, flags=8)
    equal(stub("context").DeleteSlot(pb("context").DeleteSlotRequest(context=g.handle, id=5)).effects.leaves_removed, 1)
    equal(g.access(IPA, length=1).outcome, OUTCOME["NO_SLOT"])
    equal(g.access(IPA + 8 * BLOCK, length=1).outcome, 0)


@test("SetSlot and DeleteSlot: an unexpected generation is refused")
@covers("SetSlotRequest.expected_generation", "DeleteSlotRequest.expected_generation")
def _():
    g = guest()
    service, message = stub("context"), pb("context")
    generation = g.slot(IPA, PAGE, PA, id=1).generation
    request = message.SetSlotRequest(context=g.handle, slot=message.Slot(id=2, ipa=IPA + BLOCK, size=PAGE, pa=PA),
                                     expected_generation=generation + 9)
    refused("GENERATION_MISMATCH", service.SetSlot, request)
    request.expected_generation = generation
    generation = service.SetSlot(request).generation
    gone = message.DeleteSlotRequest(context=g.handle, id=2, expected_generation=generation + 9)
    refused("GENERATION_MISMATCH", service.DeleteSlot, gone)
    gone.expected_generation = generation
    service.DeleteSlot(gone)


@test("SetQuota: holds for its context at once")
@covers("SetQuotaRequest.context", "SetQuotaRequest.quota_pages")
def _():
    a, b = guest(), guest()
    request = pb("context").SetQuotaRequest(context=a.handle, quota_pages=1)
    equal(stub("context").SetQuota(request).quota_pages, 1)
    refused("QUOTA", a.map, IPA, PAGE, PA)
    b.map(IPA, PAGE, PA)
    request.quota_pages = 2
    stub("context").SetQuota(request)
    a.map(IPA, PAGE, PA)


def dump(g, **fields):
    return stub("context").DumpContext(pb("context").DumpContextRequest(context=g.handle, **fields))


@test("DumpContext: range, page size, tables and holes")
@covers("DumpContextRequest.context", "DumpContextRequest.ipa", "DumpContextRequest.size",
        "DumpContextRequest.max_entries", "DumpContextRequest.tables", "DumpContextRequest.holes")
def _():
    g = guest()
    for n in range(30):
        g.map(IPA + 2 * n * PAGE, PAGE, PA)
    equal(len(dump(g).ipa), 30)
    equal(list(dump(g, ipa=IPA + 4 * PAGE, size=3 * PAGE).ipa), [IPA + 4 * PAGE, IPA + 6 * PAGE])
    page = dump(g, max_entries=10)
    equal((len(page.ipa), page.done), (10, False))
    equal(dump(g, ipa=page.next_ipa, max_entries=10).ipa[0], IPA + 20 * PAGE)
    equal(len(dump(g, tables=True).ipa), 32)
    true(len(dump(g, holes=True).ipa) > 59)
    equal(len(dump(guest()).ipa), 0)


@test("stable: a dump and a digest never show half of an atomic batch")
@covers("DumpContextRequest.stable", "GetDigestRequest.stable", "GetDigestRequest.context")
def _():
    g = guest()
    message, count, stop = pb("mapping"), 512, threading.Event()
    base = {"ipa": [IPA + n * BLOCK for n in range(count)], "size": [PAGE], "prot": [R]}
    batches = [message.Ops(**base, kind=[1], pa=[PA + n * PAGE for n in range(count)]), message.Ops(**base, kind=[2])]
    service = ptd().stub("mapping", "MappingService", ptd().channel())
    digests = set()
    for ops in batches:
        service.Apply(message.ApplyRequest(context=g.handle, mode=1, ops=ops))
        digests.add(g.digest())
    equal(len(digests), 2)

    def flip():
        while not stop.is_set():
            for ops in batches:
                service.Apply(message.ApplyRequest(context=g.handle, mode=1, ops=ops))
    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for _n in range(40):
            true(g.digest() in digests, "a digest of half a batch")
            true(len(dump(g, stable=True, max_entries=4096).ipa) in (0, count), "a dump of half a batch")
    finally:
        stop.set()
        thread.join()


main()
