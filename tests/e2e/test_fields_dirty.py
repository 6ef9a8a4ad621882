# SPDX-License-Identifier: BSD-2-Clause
"""Fields of the dirty log's requests, and what a log promises."""
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
from fieldtest import covers, guest, main, name, pb, ptd, stub  # noqa: E402
from ptdtest import OUTCOME, PAGE, R, W, Guest, equal, refused, test, true  # noqa: E402

IPA, PA, BLOCK = 0x4000_0000, 0x20_0000, 2 << 20
LOG = 2  # of a memslot


def start(g, ipa=IPA, size=BLOCK, **more):
    return stub("mapping").StartDirtyLog(pb("upkeep").StartDirtyLogRequest(context=g.handle, ipa=ipa, size=size, **more))


def get(log, ipa=0, size=0, **more):
    return stub("mapping").GetDirtyLog(pb("upkeep").GetDirtyLogRequest(log=log, ipa=ipa, size=size, **more))


def stop(log):
    return stub("mapping").StopDirtyLog(pb("upkeep").StopDirtyLogRequest(log=log))


def bits(bitmap):
    return [8 * i + b for i, byte in enumerate(bitmap) for b in range(8) if byte >> b & 1]


def write(g, *pages, ipa=IPA):
    for page in pages:
        equal(g.access(ipa + page * PAGE, access=2, data=b"12345678").outcome, 0)


@test("StartDirtyLog: context, ipa and size say what is logged")
@covers("StartDirtyLogRequest.context", "StartDirtyLogRequest.ipa", "StartDirtyLogRequest.size")
def _():
    a, b = guest(), guest()
    for g in (a, b):
        g.slot(IPA, 4 * BLOCK, PA, backing=BLOCK)
        write(g, 0, 512)
    log = start(a, IPA, BLOCK).log
    for g in (a, b):
        write(g, 3, 515)
        equal(g.access(IPA + 5 * PAGE, length=8).outcome, 0)
    equal(bits(get(log).bitmap), [3])
    equal((a.translate(IPA + BLOCK).level, a.translate(IPA).level, b.translate(IPA).level), (2, 3, 2))
    other = start(b, IPA + BLOCK, PAGE).log
    write(b, 3, 512, 513)
    equal((bits(get(other).bitmap), bits(get(log).bitmap)), ([0], [3]))
    for ipa, size, why in ((IPA, 0, "INVALID"), (IPA + 8, PAGE, "MISALIGNED"), (IPA, PAGE + 8, "MISALIGNED"),
                           ((1 << 64) - PAGE, 2 * PAGE, "INVALID"), ((1 << 40) - PAGE, 2 * PAGE, "OUT_OF_RANGE")):
        refused(why, start, a, ipa, size)


@test("StartDirtyLog: eager_split splits blocks at once, initially_set counts every page as dirty")
@covers("StartDirtyLogRequest.eager_split", "StartDirtyLogRequest.initially_set")
def _():
    g = guest()
    g.slot(IPA, 8 * BLOCK, PA, backing=BLOCK)
    write(g, 0, 512, 1024)
    reply = start(g, eager_split=True)
    equal((reply.effects.blocks_split, g.translate(IPA).level, reply.stopped), (1, 3, 0))
    equal(get(reply.log).dirty, 0)
    reply = start(g, IPA + BLOCK)
    equal((reply.effects.blocks_split, g.translate(IPA + BLOCK).level), (0, 2))
    reply = start(g, IPA + 2 * BLOCK, initially_set=True)
    equal(get(reply.log).dirty, 512)
    got = get(reply.log, clear=True)
    write(g, 1024 + 7)
    equal(bits(get(reply.log, clear=True, log_generation=got.log_generation).bitmap), [7])
    small = guest(quota=2)
    small.slot(IPA, 8 * BLOCK, PA, backing=BLOCK)
    write(small, 0, 512)
    reply = start(small, size=2 * BLOCK, eager_split=True)
    equal((reply.effects.blocks_split, reply.stopped), (1, OUTCOME["QUOTA"]))


@test("StartDirtyLog: request_id brings the handle once more")
@covers("StartDirtyLogRequest.request_id")
def _():
    g = guest()
    first = start(g, request_id=b"l" * 16)
    equal(start(g, request_id=b"l" * 16), first)
    true(start(g).log != first.log, "two logs have one handle")
    refused("REQUEST_ID_REUSED", start, g, size=2 * BLOCK, request_id=b"l" * 16)
    refused("INVALID", start, g, request_id=b"l")


@test("GetDirtyLog: log, ipa and size say which part, clear what is clean from then on")
@covers("GetDirtyLogRequest.log", "GetDirtyLogRequest.ipa", "GetDirtyLogRequest.size", "GetDirtyLogRequest.clear")
def _():
    g = guest()
    g.slot(IPA, 8 * BLOCK, PA)
    first, second = start(g).log, start(g, IPA, 2 * BLOCK).log
    write(g, 1, 8, 9, 300)
    for log in (first, second):
        reply = get(log)
        equal((bits(reply.bitmap), reply.dirty, reply.done), ([1, 8, 9, 300], 4, True))
    equal((reply.ipa, reply.next_ipa, len(reply.bitmap)), (IPA, IPA + 2 * BLOCK, 128))
    reply = get(first, IPA + 8 * PAGE, 2 * PAGE, clear=True)
    equal((reply.ipa, reply.next_ipa, bits(reply.bitmap), reply.done), (IPA + 8 * PAGE, IPA + 10 * PAGE, [0, 1], True))
    equal(bits(get(first, log_generation=reply.log_generation).bitmap), [1, 300])
    equal(bits(get(first, IPA + 9 * PAGE, log_generation=reply.log_generation).bitmap), [291])
    write(g, 9)
    equal(bits(get(first, log_generation=reply.log_generation).bitmap), [1, 9, 300])
    equal(bits(get(second).bitmap), [1, 8, 9, 300])
    for ipa, size, why in ((IPA - PAGE, PAGE, "OUT_OF_RANGE"), (IPA + BLOCK, PAGE, "OUT_OF_RANGE"), (0, PAGE, "OUT_OF_RANGE"),
                           (IPA, BLOCK + PAGE, "OUT_OF_RANGE"), (IPA + 8, PAGE, "MISALIGNED"), (IPA, 8, "MISALIGNED"),
                           (IPA, (1 << 64) - PAGE, "INVALID")):
        refused(why, get, first, ipa, size)


@test("GetDirtyLog: log_generation acknowledges an answer; with the one before, what was lost is told again")
@covers("GetDirtyLogRequest.log_generation")
def _():
    g = guest()
    g.slot(IPA, BLOCK, PA)
    started = start(g)
    log = started.log
    write(g, 1, 2)
    first = get(log, clear=True, log_generation=started.log_generation)
    true(first.log_generation != started.log_generation, "the generation stayed")
    write(g, 3)
    again = get(log, clear=True, log_generation=started.log_generation)  # the first answer was lost
    equal(bits(again.bitmap), [1, 2, 3])
    equal(bits(get(log, clear=True, log_generation=again.log_generation).bitmap), [])
    write(g, 4)
    last = get(log, clear=True)  # 0: as the one before
    equal(bits(last.bitmap), [4])
    refused("GENERATION_MISMATCH", get, log, log_generation=last.log_generation + 1)
    refused("GENERATION_MISMATCH", get, log, log_generation=started.log_generation)


@test("a log beyond the bitmap's limit is told in parts")
def _():
    most = stub("server").GetInfo(pb("server").GetInfoRequest()).limits.max_bitmap_bytes
    part = most * 8 * PAGE
    g = guest(ipa_bits=40)
    g.slot(part - PAGE, 2 * PAGE, PA)
    log = start(g, 0, part + BLOCK).log
    write(g, 0, 1, ipa=part - PAGE)
    reply = get(log, clear=True)
    equal((reply.next_ipa, len(reply.bitmap), reply.dirty, reply.done), (part, most, 1, False))
    reply = get(log, reply.next_ipa, clear=True, log_generation=reply.log_generation)
    equal((reply.next_ipa, bits(reply.bitmap), reply.done), (part + BLOCK, [0], True))


@test("ListDirtyLogs: context, or all: handle, range and memory of each, the newest first")
@covers("ListDirtyLogsRequest.context")
def _():
    def logs(context):
        reply = stub("mapping").ListDirtyLogs(pb("upkeep").ListDirtyLogsRequest(context=context))
        return [(log.log, log.context, log.ipa, log.size) for log in reply.logs if log.memory_bytes]

    g, other = guest(), guest()
    def name(context):
        show = pb("context").GetContextRequest(handle=context.handle)
        return stub("context").GetContext(show).context.name

    equal(logs(g.handle), [])
    first, second, third = start(g).log, start(g, IPA + BLOCK, 2 * PAGE).log, start(other).log
    equal(logs(g.handle), [(second, g.handle, IPA + BLOCK, 2 * PAGE), (first, g.handle, IPA, BLOCK)])
    equal(logs(other.handle), [(third, other.handle, IPA, BLOCK)])
    equal([log for log in logs(0) if log[0] in (first, second, third)],
          [(third, other.handle, IPA, BLOCK)] + logs(g.handle))
    reply = stub("mapping").ListDirtyLogs(pb("upkeep").ListDirtyLogsRequest(context=other.handle))
    equal([log.context_name for log in reply.logs], [name(other)])
    stop(second)
    equal(logs(g.handle), [(first, g.handle, IPA, BLOCK)])
    refused("NOT_FOUND", logs, first)
    refused("NOT_FOUND", logs, g.machine.handle)


@test("StopDirtyLog: log; afterwards nothing is logged, and its handle is unknown")
@covers("StopDirtyLogRequest.log")
def _():
    g = guest()
    g.slot(IPA, BLOCK, PA)
    log, other = start(g).log, start(g).log
    write(g, 1, 2)
    equal(stop(log).dirty, 2)
    refused("NOT_FOUND", stop, log)
    refused("NOT_FOUND", get, log)
    write(g, 3)
    equal(bits(get(other).bitmap), [1, 2, 3])
    for handle, why in ((0, "INVALID"), (other + 999, "NOT_FOUND"), (other ^ 1 << 60, "STALE_EPOCH"),
                        (g.handle, "NOT_FOUND"), (g.machine.handle, "NOT_FOUND")):
        refused(why, stop, handle)
        refused(why, get, handle)
    refused("NOT_FOUND", g.ptd.stub("context", "ContextService").GetContext,
            pb("context").GetContextRequest(handle=other))


@test("a log ends with its context, and gives its memory back")
def _():
    limits = stub("server").GetInfo(pb("server").GetInfoRequest()).limits
    size = limits.max_dirty_log_bytes // 16 * 64 * PAGE
    counts = []
    for _round in range(3):
        g = guest(ipa_bits=44)
        refused("TOO_LARGE", start, g, 0, size + PAGE)
        logs = []
        try:
            while len(logs) < 99:
                logs.append(start(g, 0, size).log)
        except grpc.RpcError:
            refused("TOO_LARGE", start, g, 0, size)
        counts.append(len(logs))
        stop(logs.pop())
        logs.append(start(g, 0, size).log)
        stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=g.handle))
        for log in logs:
            refused("NOT_FOUND", get, log)
    # Logs of other tests count, too.
    most = limits.max_principal_dirty_log_bytes // limits.max_dirty_log_bytes
    true(most - 1 <= counts[0] <= most and len(set(counts)) == 1, counts)
    refused("NOT_FOUND", start, g, 0, PAGE)


@test("so many logs, and no more")
def _():
    g = guest()
    most = stub("server").GetInfo(pb("server").GetInfoRequest()).limits.max_principal_dirty_logs
    started = 0
    try:
        while started <= most:
            start(g, 0, PAGE)
            started += 1
    except grpc.RpcError:
        refused("TOO_LARGE", start, g, 0, PAGE)
    true(most - 64 <= started <= most, started)  # other tests have some, too
    stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=g.handle))
    stop(start(guest(), 0, PAGE).log)


@test("a slot that logs: blocks break at the first write, and what is mapped stays when the flag changes")
@covers("Slot.flags")
def _():
    g = guest()
    g.slot(IPA, 4 * BLOCK, PA, backing=BLOCK)
    write(g, 0)
    equal(g.translate(IPA).level, 2)
    log = start(g, IPA, 4 * BLOCK).log
    equal(g.slot(IPA, 4 * BLOCK, PA, backing=BLOCK, flags=LOG).effects.leaves_removed, 0)
    equal((g.translate(IPA).level, g.access(IPA, length=8).outcome), (2, 0))
    write(g, 5)
    equal((g.translate(IPA).level, bits(get(log).bitmap)), (3, [5]))
    equal(g.access(IPA + BLOCK, length=8).outcome, 0)
    equal((g.translate(IPA + BLOCK).level, g.translate(IPA + BLOCK).prot), (3, R))
    equal(g.slot(IPA, 4 * BLOCK, PA, backing=BLOCK).effects.leaves_removed, 0)
    equal(stop(log).dirty, 1)
    write(g, 1, 512)
    equal(g.translate(IPA + 2 * BLOCK).outcome, OUTCOME["NOT_MAPPED"])


def folded():
    stats = stub("server").GetStats(pb("server").GetStatsRequest())
    return sum(loop.blocks_folded for loop in stats.loops)


def until(what, limit=10_000):
    """Asks until it is so; each question is a step of a loop that has else nothing to do."""
    return any(what() for _n in range(limit))


@test("blocks come back in idle time when logging has ended, as large as the slot's backing")
def _():
    g = guest(memory=64 << 20)
    g.slot(IPA, 8 * BLOCK, PA, backing=BLOCK)
    g.slot(IPA + 16 * BLOCK, BLOCK, PA + 16 * BLOCK, id=1)
    for n in range(8):
        write(g, 512 * n)
    for n in range(512):
        write(g, 16 * 512 + n)
    log = start(g, IPA, 32 * BLOCK, eager_split=True).log
    g.slot(IPA, 8 * BLOCK, PA, backing=BLOCK, flags=LOG)
    write(g, *range(0, 4096, 7))
    g.slot(IPA, 8 * BLOCK, PA, backing=BLOCK)
    before = folded()
    stop(log)
    true(until(lambda: folded() == before + 8), f"{folded() - before} blocks were folded")
    equal([g.translate(IPA + n * BLOCK).level for n in (0, 7, 16)], [2, 2, 3])
    write(g, 5)
    equal(folded(), before + 8)


@test("every write is told once, by a log that is cleared while vCPUs write and the slot moves")
def _():
    shared = ptd()
    g = Guest(shared, name=name(), memory=64 << 20, vcpus=2)
    pages = 256
    g.slot(IPA, pages * PAGE, PA)
    log, generation = (lambda r: (r.log, r.log_generation))(start(g, IPA, pages * PAGE))
    written, told, failures = set(), set(), []

    def writer(vcpu):
        try:
            for n in range(vcpu, pages, 2):
                if g.access(IPA + n * PAGE, access=2, vcpu=vcpu, data=b"12345678").outcome == 0:
                    written.add(n)
        except Exception as error:  # told by the test itself
            failures.append(error)

    threads = [threading.Thread(target=writer, args=(vcpu,)) for vcpu in (0, 1)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        reply = get(log, clear=True, log_generation=generation)
        generation = reply.log_generation
        told |= set(bits(reply.bitmap))
        g.slot(IPA, pages * PAGE, PA + len(told) % 2 * BLOCK)
    told |= set(bits(get(log, clear=True, log_generation=generation).bitmap))
    equal((failures, written - told), ([], set()))
    true(len(written) == pages, len(written))


main()
