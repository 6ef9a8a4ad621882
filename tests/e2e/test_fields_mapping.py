# SPDX-License-Identifier: BSD-2-Clause
"""Fields of MappingService's requests."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldtest import covers, guest, main, pb, stub  # noqa: E402
from ptdtest import OUTCOME, PAGE, PX, R, UX, W, equal, refused, test, true  # noqa: E402

IPA, PA, BLOCK = 0x4000_0000, 0x20_0000, 2 << 20
ATOMIC, STOP, BEST = 1, 2, 3
MAP, UNMAP, PROTECT = 1, 2, 3


@test("Map: context, ipa, size and pa say what is mapped where")
@covers("MapRequest.context", "MapRequest.ipa", "MapRequest.size", "MapRequest.pa")
def _():
    a, b = guest(), guest()
    equal(a.map(IPA, 2 * PAGE, PA + PAGE).effects.leaves_written, 2)
    equal(a.translate(IPA + PAGE + 8).pa, PA + 2 * PAGE + 8)
    for g, ipa in ((a, IPA - PAGE), (a, IPA + 2 * PAGE), (b, IPA)):
        equal(g.translate(ipa).outcome, OUTCOME["NOT_MAPPED"])


@test("Map: prot gives rights and memory type")
@covers("MapRequest.prot")
def _():
    g = guest(xnx=True)
    for number, prot in enumerate((R, R | W, R | PX, R | UX, R | PX | UX, R | W | 1 << 8, R | W | 2 << 8)):
        g.map(IPA + number * PAGE, PAGE, PA, prot=prot)
        equal(g.translate(IPA + number * PAGE).prot, prot)
    refused("INVALID", g.map, IPA + 16 * PAGE, PAGE, PA, prot=R | 16)
    refused("INVALID", g.map, IPA + 16 * PAGE, PAGE, PA, prot=R | 9 << 8)


@test("Map: flags replace and pages-only; an unknown one is refused")
@covers("MapRequest.flags")
def _():
    g = guest()
    g.map(IPA, PAGE, PA)
    refused("OVERLAP", g.map, IPA, PAGE, PA + PAGE)
    g.map(IPA, PAGE, PA + PAGE, flags=1)
    equal(g.translate(IPA).pa, PA + PAGE)
    equal(g.map(IPA + BLOCK, BLOCK, PA).effects.leaves_written, 1)
    equal(g.map(IPA + 2 * BLOCK, BLOCK, PA, flags=2).effects.leaves_written, 512)
    refused("INVALID", g.map, IPA + 4 * BLOCK, PAGE, PA, flags=8)


def contiguous(g, *ipas):
    return [g.translate(ipa).descriptor >> 52 & 1 for ipa in ipas]


@test("Map: flag 4 makes contiguous groups wherever a whole one fits, at each granule and level")
def _():
    for granule, leaf, group in ((12, 12, 16), (12, 21, 16), (14, 14, 128), (14, 25, 32), (16, 16, 32), (16, 29, 32)):
        g = guest(memory=32 << 30, granule=granule, ipa_bits=42)
        size, base = group << leaf, 1 << 40
        g.map(base + size - (1 << leaf), 2 * size + (2 << leaf), (1 << leaf) * (group - 1), flags=4)
        equal(contiguous(g, base + size - 1, base + size, base + 3 * size - 1, base + 3 * size), [0, 1, 1, 0],
              (granule, leaf))
        equal(g.translate(base + size).level, 3 if granule == leaf else 2)
        # A change of one member takes the hint from its group, and from no other.
        g.protect(base + size, 1 << leaf, R)
        equal(contiguous(g, base + size, base + 2 * size - 1, base + 2 * size), [0, 0, 1], (granule, leaf))


@test("Unmap: context, ipa and size say what goes")
@covers("UnmapRequest.context", "UnmapRequest.ipa", "UnmapRequest.size", "UnmapRequest.flags")
def _():
    a, b = guest(), guest()
    for g in (a, b):
        g.map(IPA, 4 * PAGE, PA)
    effects = a.unmap(IPA + PAGE, 2 * PAGE).effects
    equal((effects.leaves_removed, effects.holes), (2, 0))
    equal([a.translate(IPA + n * PAGE).outcome for n in range(4)], [0, OUTCOME["NOT_MAPPED"], OUTCOME["NOT_MAPPED"], 0])
    equal(b.translate(IPA + PAGE).outcome, 0)
    refused("INVALID", a.unmap, IPA, PAGE, flags=1)


@test("Protect: context, ipa, size and prot say what changes")
@covers("ProtectRequest.context", "ProtectRequest.ipa", "ProtectRequest.size", "ProtectRequest.prot",
        "ProtectRequest.flags")
def _():
    a, b = guest(), guest()
    for g in (a, b):
        g.map(IPA, 3 * PAGE, PA)
    equal(a.protect(IPA + PAGE, PAGE, R).effects.leaves_written, 1)
    equal([a.translate(IPA + n * PAGE).prot for n in range(3)], [R | W, R, R | W])
    equal(b.translate(IPA + PAGE).prot, R | W)
    refused("INVALID", a.protect, IPA, PAGE, R, flags=1)
    refused("INVALID", a.protect, IPA, PAGE, R | 1 << 8)


@test("request_id: a repeated Map, Unmap or Protect gets its first answer, another body under it is refused")
@covers("MapRequest.request_id", "UnmapRequest.request_id", "ProtectRequest.request_id")
def _():
    g = guest()
    calls = [(g.map, (IPA, PAGE, PA), (IPA + PAGE, PAGE, PA)), (g.protect, (IPA, PAGE, R), (IPA, PAGE, R | W)),
             (g.unmap, (IPA, PAGE), (IPA + PAGE, PAGE))]
    for number, (call, arguments, other) in enumerate(calls):
        request_id = bytes([number + 1]) * 16
        first = call(*arguments, request_id=request_id)
        equal(call(*arguments, request_id=request_id), first)
        refused("REQUEST_ID_REUSED", call, *other, request_id=request_id)
        refused("INVALID", call, *other, request_id=b"short")
    equal(g.unmap(IPA, PAGE).outcome, OUTCOME["HOLE"])


@test("expected_generation: another one than the context's is refused and changes nothing")
@covers("MapRequest.expected_generation", "UnmapRequest.expected_generation", "ProtectRequest.expected_generation")
def _():
    g = guest()
    generation = g.map(IPA, PAGE, PA).generation
    for call, arguments in ((g.map, (IPA + PAGE, PAGE, PA)), (g.protect, (IPA, PAGE, R)), (g.unmap, (IPA, PAGE))):
        before = g.digest()
        refused("GENERATION_MISMATCH", call, *arguments, expected_generation=generation + 7)
        equal(g.digest(), before)
        generation = call(*arguments, expected_generation=generation).generation


@test("validate_only: reports what would be done, changes nothing")
@covers("MapRequest.validate_only", "UnmapRequest.validate_only", "ProtectRequest.validate_only")
def _():
    g = guest()
    g.map(IPA, 2 * PAGE, PA)
    before = g.digest()
    equal(g.map(IPA + 8 * PAGE, 3 * PAGE, PA, validate_only=True).effects.leaves_written, 3)
    equal(g.unmap(IPA, 2 * PAGE, validate_only=True).effects.leaves_removed, 2)
    equal(g.protect(IPA, 2 * PAGE, R, validate_only=True).effects.leaves_written, 2)
    refused("OVERLAP", g.map, IPA, PAGE, PA + PAGE, validate_only=True)
    equal(g.digest(), before)


def apply(g, mode, columns, **more):
    message = pb("mapping")
    return stub("mapping").Apply(message.ApplyRequest(context=g.handle, mode=mode, ops=message.Ops(**columns), **more))


@test("Ops: each column counts, one entry holds for all")
@covers("ApplyRequest.context", "Ops.ipa", "Ops.size", "Ops.pa", "Ops.kind", "Ops.prot", "Ops.flags")
def _():
    g = guest()
    one = {"size": [PAGE], "kind": [MAP], "prot": [R]}
    equal(apply(g, ATOMIC, {"ipa": [IPA, IPA + PAGE], "pa": [PA, PA + 5 * PAGE], **one}).applied, 2)
    equal([g.translate(IPA + n * PAGE).pa for n in (0, 1)], [PA, PA + 5 * PAGE])
    reply = apply(g, STOP, {"ipa": [IPA, IPA + PAGE, IPA + 8 * PAGE], "size": [PAGE, PAGE, 2 * PAGE],
                            "pa": [0, 0, PA], "kind": [UNMAP, PROTECT, MAP], "prot": [0, R | W, R]}, want_outcomes=True)
    equal(list(reply.outcome), [OUTCOME["UNMAPPED"], OUTCOME["RELAXED"], OUTCOME["MAPPED"]])
    equal((reply.effects.leaves_removed, reply.effects.leaves_written), (1, 3))
    equal((g.translate(IPA).outcome, g.translate(IPA + PAGE).prot), (OUTCOME["NOT_MAPPED"], R | W))
    apply(g, ATOMIC, {"ipa": [IPA + BLOCK], "pa": [PA], "size": [BLOCK], "kind": [MAP], "prot": [R], "flags": [2]})
    equal(g.translate(IPA + BLOCK).level, 3)
    for wrong in ({"size": [PAGE, PAGE, PAGE]}, {"pa": [PA]}, {"kind": []}, {"prot": [R, R, R]}, {"flags": [0, 0, 0]}):
        refused("INVALID", apply, g, ATOMIC,
                {"ipa": [IPA + 64 * PAGE, IPA + 65 * PAGE], "pa": [PA, PA], **one, **wrong})


@test("Ops: kinds that change what is mapped, each with what counts for it")
def _():
    g = guest(ipa_bits=40)
    g.slot(IPA + 8 * BLOCK, BLOCK, PA)
    g.access(IPA + 8 * BLOCK, length=8)
    g.map(IPA, 2 * BLOCK, PA, prot=R | W)
    WRITE_PROTECT, RELAX, MAKE_YOUNG = 4, 5, 7
    age = lambda clear: stub("mapping").Age(pb("upkeep").AgeRequest(  # noqa: E731
        context=g.handle, ipa=IPA + 8 * BLOCK, size=PAGE, clear=clear)).young
    equal((age(True), age(False)), (1, 0))
    # prot counts for RELAX alone, pa for none of these.
    columns = {"ipa": [IPA, IPA + PAGE, IPA + 2 * PAGE, IPA + 8 * BLOCK], "size": [PAGE, PAGE, 4 * PAGE, PAGE],
               "kind": [WRITE_PROTECT, WRITE_PROTECT, RELAX, MAKE_YOUNG], "prot": [0, 77, PX | UX, R | W]}
    for mode in (ATOMIC, STOP, BEST):
        g.protect(IPA, 2 * BLOCK, R | W)
        stub("mapping").Age(pb("upkeep").AgeRequest(context=g.handle, ipa=IPA + 8 * BLOCK, size=PAGE, clear=True))
        reply = apply(g, mode, columns, want_outcomes=True)
        equal(list(reply.outcome), [OUTCOME[o] for o in ("PROTECTED", "PROTECTED", "RELAXED", "MADE_YOUNG")])
        equal([g.translate(IPA + n * PAGE).prot for n in (0, 1, 2, 5, 6)],
              [R, R, R | W | PX | UX, R | W | PX | UX, R | W])
        equal(age(False), 1)
    before = g.digest()
    equal(list(apply(g, ATOMIC, {**columns, "prot": [0, 0, PX | UX, 0]}, want_outcomes=True).outcome),
          [OUTCOME["ALREADY_MAPPED"]] * 4)
    equal(g.digest(), before)
    ANNOTATE, FLUSH = 6, 8
    note = 3 << 60 | 0x123456 << 1
    columns = {"ipa": [IPA + PAGE, IPA + BLOCK], "size": [2 * PAGE, BLOCK], "kind": [ANNOTATE, FLUSH], "prot": [R],
               "pa": [note, 7]}
    reply = apply(g, ATOMIC, columns, want_outcomes=True)
    equal(list(reply.outcome), [OUTCOME["ANNOTATED"], OUTCOME["FLUSHED"]])
    equal((reply.effects.annotated, reply.effects.leaves_removed), (2, 2))
    equal([g.translate(IPA + n * PAGE).outcome for n in (0, 1, 2, 3)],
          [0, OUTCOME["NOT_MAPPED"], OUTCOME["NOT_MAPPED"], 0])
    rows = stub("context").DumpContext(pb("context").DumpContextRequest(context=g.handle, ipa=IPA + PAGE, size=2 * PAGE))
    equal((list(rows.ipa), list(rows.descriptor), list(rows.count)), ([IPA + PAGE], [note], [2]))
    equal(g.unmap(IPA + PAGE, PAGE).effects.holes, 1)
    g.map(IPA + PAGE, PAGE, PA)
    before = g.digest()
    for wrong in ({"kind": [ANNOTATE], "pa": [note | 1]}, {"kind": [ANNOTATE], "pa": [1 << 60 | 2]},
                  {"kind": [ANNOTATE], "pa": [2]}, {"kind": [ANNOTATE], "flags": [1], "pa": [note]},
                  {"kind": [ANNOTATE], "pa": []}, {"kind": [FLUSH], "flags": [1]}):
        refused("INVALID", apply, g, ATOMIC, {"ipa": [IPA], "size": [PAGE], "prot": [0], "pa": [PA], **wrong})
    for wrong in ({"kind": [RELAX], "prot": [R | 1 << 8]}, {"kind": [RELAX], "prot": [R | 1 << 16]},
                  {"kind": [WRITE_PROTECT], "flags": [1]}, {"kind": [MAKE_YOUNG], "flags": [2]}, {"kind": [99]}):
        for mode in (ATOMIC, STOP):
            items = {"ipa": [IPA], "size": [PAGE], "kind": [MAP], "prot": [R], "pa": [PA], **wrong}
            if mode == ATOMIC:
                refused("INVALID", apply, g, mode, items)
            else:
                equal([e.code for e in apply(g, mode, items).errors], [OUTCOME["INVALID"]])
    equal(g.digest(), before)


@test("mode: atomic, stop on error and best effort differ on a batch with a bad item")
@covers("ApplyRequest.mode", "ApplyRequest.want_outcomes")
def _():
    columns = {"ipa": [IPA, IPA + PAGE, IPA + 2 * PAGE], "pa": [PA, PA, PA], "size": [PAGE], "kind": [MAP], "prot": [R]}

    def prepared():
        g = guest()
        g.map(IPA + PAGE, PAGE, PA + PAGE)
        return g
    g = prepared()
    before = g.digest()
    refused("OVERLAP", apply, g, ATOMIC, columns)
    equal(g.digest(), before)
    g = prepared()
    reply = apply(g, STOP, columns)
    equal((reply.applied, reply.errors_total, len(reply.outcome)), (1, 1, 0))
    equal(g.translate(IPA + 2 * PAGE).outcome, OUTCOME["NOT_MAPPED"])
    g = prepared()
    reply = apply(g, BEST, columns, want_outcomes=True)
    equal((reply.applied, [(e.index, e.code) for e in reply.errors]), (2, [(1, OUTCOME["OVERLAP"])]))
    equal(list(reply.outcome), [OUTCOME["MAPPED"], OUTCOME["OVERLAP"], OUTCOME["MAPPED"]])
    refused("INVALID", apply, g, 0, columns)
    refused("INVALID", apply, g, 9, columns)


@test("Apply: request_id, expected_generation and validate_only hold for the batch")
@covers("ApplyRequest.request_id", "ApplyRequest.expected_generation", "ApplyRequest.validate_only")
def _():
    g = guest()
    columns = {"ipa": [IPA], "pa": [PA], "size": [PAGE], "kind": [MAP], "prot": [R]}
    before = g.digest()
    equal(apply(g, ATOMIC, columns, validate_only=True).effects.leaves_written, 1)
    equal(g.digest(), before)
    refused("GENERATION_MISMATCH", apply, g, ATOMIC, columns, expected_generation=99)
    first = apply(g, ATOMIC, columns, request_id=b"0123456789abcdef")
    equal(apply(g, ATOMIC, columns, request_id=b"0123456789abcdef"), first)
    refused("REQUEST_ID_REUSED", apply, g, BEST, columns, request_id=b"0123456789abcdef")
    true(apply(g, ATOMIC, {**columns, "ipa": [IPA + PAGE]}, expected_generation=first.generation).applied)


main()
