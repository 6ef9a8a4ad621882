# SPDX-License-Identifier: BSD-2-Clause
"""Fields of MappingService's requests that keep tables in shape: WriteProtect, Age, Split, Collapse."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldtest import covers, guest, main, pb, stub  # noqa: E402
from ptdtest import OUTCOME, PAGE, R, W, equal, refused, test, true  # noqa: E402

IPA, PA, BLOCK = 0x4000_0000, 0x20_0000, 2 << 20


def call(rpc, g, ipa, size, **more):
    message = getattr(pb("upkeep"), rpc + "Request")
    return getattr(stub("mapping"), rpc)(message(context=g.handle, ipa=ipa, size=size, **more))


def bits(bitmap):
    """Numbers of the bits that are set."""
    return [8 * i + b for i, byte in enumerate(bitmap) for b in range(8) if byte >> b & 1]


def levels(g, *ipas):
    return [g.translate(ipa).level for ipa in ipas]


def ranges_are_checked(rpc, g):
    for ipa, size, why in ((IPA, 0, "INVALID"), (IPA + 8, PAGE, "MISALIGNED"), (IPA, PAGE + 8, "MISALIGNED"),
                           ((1 << 64) - PAGE, 2 * PAGE, "INVALID"), ((1 << 40) - PAGE, 2 * PAGE, "OUT_OF_RANGE"),
                           (1 << 40, PAGE, "OUT_OF_RANGE")):
        refused(why, call, rpc, g, ipa, size)
    g.map((1 << 40) - PAGE, PAGE, PA)
    call(rpc, g, (1 << 40) - PAGE, PAGE)


@test("WriteProtect: context, ipa and size say where writing ends")
@covers("WriteProtectRequest.context", "WriteProtectRequest.ipa", "WriteProtectRequest.size")
def _():
    a, b = guest(), guest()
    for g in (a, b):
        g.map(IPA, 4 * PAGE, PA)
    reply = call("WriteProtect", a, IPA + PAGE, 2 * PAGE)
    equal((reply.outcome, reply.effects.leaves_written), (OUTCOME["PROTECTED"], 2))
    equal([a.translate(IPA + n * PAGE).prot for n in range(4)], [R | W, R, R, R | W])
    equal(b.translate(IPA + PAGE).prot, R | W)
    equal(call("WriteProtect", a, IPA + PAGE, 2 * PAGE).outcome, OUTCOME["ALREADY_MAPPED"])
    equal(call("WriteProtect", a, IPA + BLOCK, PAGE).outcome, OUTCOME["HOLE"])
    ranges_are_checked("WriteProtect", a)


@test("WriteProtect: a block that the range cuts is split, and its rest stays writable")
def _():
    g = guest()
    g.map(IPA, BLOCK, PA)
    equal(call("WriteProtect", g, IPA + PAGE, PAGE).effects.blocks_split, 1)
    equal([g.translate(IPA + n * PAGE).prot for n in range(3)], [R | W, R, R | W])


@test("WriteProtect: request_id, expected_generation and validate_only")
@covers("WriteProtectRequest.request_id", "WriteProtectRequest.expected_generation",
        "WriteProtectRequest.validate_only")
def _():
    g = guest()
    generation = g.map(IPA, 2 * PAGE, PA).generation
    before = g.digest()
    equal(call("WriteProtect", g, IPA, 2 * PAGE, validate_only=True).effects.leaves_written, 2)
    refused("GENERATION_MISMATCH", call, "WriteProtect", g, IPA, PAGE, expected_generation=generation + 7)
    equal(g.digest(), before)
    first = call("WriteProtect", g, IPA, PAGE, expected_generation=generation, request_id=b"w" * 16)
    equal(first.generation, generation + 1)
    equal(call("WriteProtect", g, IPA, PAGE, expected_generation=generation, request_id=b"w" * 16), first)
    refused("REQUEST_ID_REUSED", call, "WriteProtect", g, IPA + PAGE, PAGE, request_id=b"w" * 16)
    refused("INVALID", call, "WriteProtect", g, IPA, PAGE, request_id=b"w")


@test("Age: context, ipa, size, clear and want_bitmap")
@covers("AgeRequest.context", "AgeRequest.ipa", "AgeRequest.size", "AgeRequest.clear", "AgeRequest.want_bitmap")
def _():
    a, b = guest(), guest()
    for g in (a, b):
        g.slot(IPA, 4 * BLOCK, PA)
        for n in (1, 3, 9):
            g.access(IPA + n * PAGE, length=8)
    reply = call("Age", a, IPA, 16 * PAGE)
    equal((reply.young, reply.old, reply.bitmap, reply.next_ipa, reply.stopped), (3, 0, b"", IPA + 16 * PAGE, 0))
    equal(bits(call("Age", a, IPA, 16 * PAGE, want_bitmap=True).bitmap), [1, 3, 9])
    reply = call("Age", a, IPA + PAGE, 4 * PAGE, clear=True, want_bitmap=True)
    equal((reply.young, bits(reply.bitmap), len(reply.bitmap)), (2, [0, 2], 1))
    reply = call("Age", a, IPA, 16 * PAGE, want_bitmap=True)
    equal((reply.young, reply.old, bits(reply.bitmap)), (1, 2, [9]))
    a.access(IPA + 3 * PAGE, length=8)
    equal(bits(call("Age", a, IPA, 16 * PAGE, want_bitmap=True).bitmap), [3, 9])
    equal(call("Age", b, IPA, 16 * PAGE).young, 3)
    ranges_are_checked("Age", a)


@test("Age: request_id brings what was cleared once more")
@covers("AgeRequest.request_id")
def _():
    g = guest()
    g.slot(IPA, BLOCK, PA)
    g.access(IPA + 2 * PAGE, length=8)
    first = call("Age", g, IPA, 8 * PAGE, clear=True, want_bitmap=True, request_id=b"a" * 16)
    equal(bits(first.bitmap), [2])
    equal(call("Age", g, IPA, 8 * PAGE, clear=True, want_bitmap=True, request_id=b"a" * 16), first)
    equal(call("Age", g, IPA, 8 * PAGE).young, 0)
    refused("REQUEST_ID_REUSED", call, "Age", g, IPA, 4 * PAGE, clear=True, request_id=b"a" * 16)
    refused("INVALID", call, "Age", g, IPA, 4 * PAGE, request_id=b"a")


@test("Age: a bitmap beyond its limit is told in parts")
def _():
    g = guest(ipa_bits=40)
    most = stub("server").GetInfo(pb("server").GetInfoRequest()).limits.max_bitmap_bytes
    part = most * 8 * PAGE
    g.map(part - PAGE, 2 * PAGE, PA)
    reply = call("Age", g, 0, 2 * part, want_bitmap=True)
    equal((reply.next_ipa, len(reply.bitmap), reply.young, reply.stopped), (part, most, 1, 0))
    reply = call("Age", g, reply.next_ipa, part, want_bitmap=True)
    equal((reply.next_ipa, bits(reply.bitmap[:1]), reply.young), (2 * part, [0], 1))
    equal(call("Age", g, 0, 2 * part).young, 2)


@test("Split: context, ipa and size say which blocks, level_plus_2 how far")
@covers("SplitRequest.context", "SplitRequest.ipa", "SplitRequest.size", "SplitRequest.level_plus_2")
def _():
    g = guest(memory=4 << 30)
    g.map(1 << 30, 1 << 30, 0)
    g.map(2 << 30, 1 << 30, 1 << 30)
    equal(levels(g, 1 << 30, 2 << 30), [1, 1])
    reply = call("Split", g, 1 << 30, 1 << 30, level_plus_2=4)
    equal((reply.effects.blocks_split, reply.effects.tables_added, reply.next_ipa, reply.stopped), (1, 1, 2 << 30, 0))
    equal(levels(g, 1 << 30, (1 << 30) + BLOCK, 2 << 30), [2, 2, 1])
    reply = call("Split", g, (1 << 30) + BLOCK, 2 * BLOCK)
    equal((reply.effects.blocks_split, reply.next_ipa), (2, (1 << 30) + 3 * BLOCK))
    equal(levels(g, 1 << 30, (1 << 30) + BLOCK, (1 << 30) + 3 * BLOCK), [2, 3, 2])
    equal(g.translate((1 << 30) + BLOCK + 8).pa, BLOCK + 8)
    for level in (1, 6, 255):
        refused("INVALID", call, "Split", g, 1 << 30, 1 << 30, level_plus_2=level)
    ranges_are_checked("Split", g)


@test("Split: page_budget and the quota end it early, and it can go on")
@covers("SplitRequest.page_budget")
def _():
    g = guest(quota=8)
    for n in range(4):
        g.map(IPA + n * BLOCK, BLOCK, PA + n * BLOCK)
    reply = call("Split", g, IPA, 4 * BLOCK, page_budget=1)
    equal((reply.effects.blocks_split, reply.next_ipa, reply.stopped), (1, IPA + BLOCK, OUTCOME["MORE"]))
    reply = call("Split", g, reply.next_ipa, 3 * BLOCK)
    equal((reply.effects.blocks_split, reply.next_ipa, reply.stopped), (3, IPA + 4 * BLOCK, 0))
    small = guest(quota=4)
    for n in range(4):
        small.map(IPA + n * BLOCK, BLOCK, PA + n * BLOCK)
    used = stub("context").GetContext(pb("context").GetContextRequest(handle=small.handle)).context.table_pages
    reply = call("Split", small, IPA, 4 * BLOCK)
    equal((reply.effects.tables_added, reply.next_ipa, reply.stopped),
          (4 - used, IPA + (4 - used) * BLOCK, OUTCOME["QUOTA"]))
    refused("QUOTA", call, "Split", small, reply.next_ipa, BLOCK)


@test("Collapse: context, ipa and size say where tables become blocks")
@covers("CollapseRequest.context", "CollapseRequest.ipa", "CollapseRequest.size")
def _():
    g = guest()
    g.map(IPA, 3 * BLOCK, PA, flags=2)
    g.protect(IPA + 2 * BLOCK, PAGE, R)
    before = g.digest()
    reply = call("Collapse", g, IPA, BLOCK - PAGE)
    equal((reply.blocks_made, reply.next_ipa, g.digest()), (0, IPA + BLOCK - PAGE, before))
    reply = call("Collapse", g, IPA, BLOCK)
    equal((reply.blocks_made, reply.effects.tables_freed, reply.next_ipa, reply.stopped), (1, 1, IPA + BLOCK, 0))
    equal(levels(g, IPA, IPA + BLOCK, IPA + 2 * BLOCK), [2, 3, 3])
    reply = call("Collapse", g, IPA, 3 * BLOCK)
    equal((reply.blocks_made, levels(g, IPA + BLOCK, IPA + 2 * BLOCK)), (1, [2, 3]))
    equal(g.translate(IPA + BLOCK + 8).pa, PA + BLOCK + 8)
    ranges_are_checked("Collapse", g)


@test("a split and its collapse leave the digest of before, and the generation")
def _():
    g = guest(memory=4 << 30)
    generation = g.map(1 << 30, 1 << 30, 0).generation
    before = g.digest()
    call("Split", g, 1 << 30, 1 << 30)
    true(g.digest() != before, "the split changed nothing")
    equal(call("Collapse", g, 1 << 30, 1 << 30).blocks_made, 513)
    equal(g.digest(), before)
    equal(g.map(0, PAGE, 0).generation, generation + 1)


@test("each of them on a handle that is none, unknown, or of a context that went")
def _():
    g = guest()
    gone = guest()
    stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=gone.handle))
    for rpc in ("WriteProtect", "Age", "Split", "Collapse"):
        message = getattr(pb("upkeep"), rpc + "Request")
        for handle, why in ((0, "INVALID"), (gone.handle, "NOT_FOUND"), (g.handle + 999, "NOT_FOUND"),
                            (g.handle ^ 1 << 60, "STALE_EPOCH"), (g.machine.handle, "NOT_FOUND")):
            refused(why, getattr(stub("mapping"), rpc), message(context=handle, ipa=IPA, size=PAGE))


main()
