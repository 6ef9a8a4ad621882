# SPDX-License-Identifier: BSD-2-Clause
"""MappingService.Session with gRPC's own client: fields, replays, takeover between connections, drain."""
import os
import random
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from fieldtest import covers, guest, main, pb, ptd, stub  # noqa: E402
from nestedtest import MIB, Hypervisor  # noqa: E402
from ptdtest import OUTCOME, PAGE, R, SEED, W, equal, test, true  # noqa: E402
from sessiontest import AT, ATOMIC, BEST, EXEC, READ, UNMAP, WRITE, Stream  # noqa: E402

IPA, PA, SLOT = 0x4000_0000, 0x20_0000, 0x8000_0000


def outcomes(*names):
    return [OUTCOME[name] for name in names]


def error_of(answer, code):
    equal((answer.WhichOneof("what"), answer.error.code), ("error", OUTCOME[code]))
    true(answer.error.text)
    return answer.error


@test("open: an id is drawn, or the client's; last_seq, epoch and window as GetInfo has them")
@covers("SessionOpen.context", "SessionOpen.session_id", "SessionRequest.seq")
def _():
    g, other = guest(), guest()
    info = stub("server").GetInfo(pb("server").GetInfoRequest())
    drawn = set()
    for _ in range(3):
        s = Stream(ptd())
        opened = s.open(g.handle)
        drawn.add(opened.session_id)
        equal((len(opened.session_id), opened.last_seq), (16, 0))
        equal((opened.epoch, opened.window), (info.epoch, info.limits.session_window))
        equal(s.half_close(), [])
    equal(len(drawn), 3)
    s = Stream(ptd())
    equal(s.open(g.handle, b"0123456789abcdef").session_id, b"0123456789abcdef")
    equal(s.half_close(), [])
    for context, session_id, name in ((other.handle, b"0123456789abcdef", "INVALID"), (g.handle, b"short", "INVALID"),
                                      (g.handle + 1000, b"", "NOT_FOUND"), (0, b"", "INVALID")):
        s = Stream(ptd())
        s.send(seq=0, open=s.pb.SessionOpen(context=context, session_id=session_id))
        s.end(name)
    s = Stream(ptd())
    s.send(seq=1, open=s.pb.SessionOpen(context=g.handle))
    s.end("INVALID")


@test("apply: as Apply does it, in order; what it would refuse is an error of the message")
def _():
    g = guest()
    s = Stream(ptd())
    s.open(g.handle)
    pages = [IPA + n * PAGE for n in range(4)]
    reply = s.ask(seq=1, apply=s.ops(pages, pa=[PA] * 4, mode=ATOMIC, want_outcomes=True))
    equal((reply.seq, list(reply.apply.outcome), reply.apply.effects.leaves_written), (1, outcomes(*["MAPPED"] * 4), 4))
    reply = s.ask(seq=2, apply=s.ops(pages[:2] + [IPA + 1] + pages[2:3], UNMAP, mode=BEST, want_outcomes=True))
    equal(list(reply.apply.outcome), outcomes("UNMAPPED", "UNMAPPED", "MISALIGNED", "UNMAPPED"))
    equal([(e.index, e.code) for e in reply.apply.errors], [(2, OUTCOME["MISALIGNED"])])
    generation = reply.apply.generation
    before = g.digest()
    for seq, (request, code) in enumerate((
            (s.ops(IPA, pa=PA, context=g.handle + 1), "INVALID"), (s.ops(IPA, pa=PA, request_id=b"x" * 16), "INVALID"),
            (s.ops(IPA, pa=PA, expected_generation=generation + 1), "GENERATION_MISMATCH"),
            (s.ops(IPA, pa=PA, mode=0), "INVALID"), (s.ops([IPA] * 65537, pa=[PA] * 65537), "TOO_LARGE"),
            (s.ops(pages[3], pa=PA + PAGE, mode=ATOMIC), "OVERLAP")), 3):
        answer = s.ask(seq=seq, apply=request)
        equal(answer.seq, seq)
        error = error_of(answer, code)
    equal((error.index, error.ipa), (0, pages[3]))
    equal(s.ask(seq=9, apply=s.ops(IPA, pa=PA, validate_only=True)).apply.effects.leaves_written, 1)
    equal(g.digest(), before)
    equal(s.ask(seq=10, apply=s.ops(IPA, pa=PA, context=g.handle, expected_generation=generation)).apply.applied, 1)
    error_of(s.ask(seq=11), "INVALID")
    equal(s.half_close(), [])


@test("apply: every kind of item, each once, also when its message comes twice")
def _():
    g = guest()
    s = Stream(ptd())
    s.open(g.handle)
    s.ask(seq=1, apply=s.ops([IPA + n * PAGE for n in range(8)], pa=[PA] * 8, prot=R))
    WRITE_PROTECT, RELAX, ANNOTATE, YOUNG, FLUSH = 4, 5, 6, 7, 8
    note = 2 << 60 | 0x77 << 1
    ops = s.pb.Ops(ipa=[IPA + n * PAGE for n in range(6)], size=[PAGE], pa=[note] * 6, prot=[R | W],
                   kind=[RELAX, RELAX, WRITE_PROTECT, ANNOTATE, YOUNG, FLUSH])
    wanted = outcomes("RELAXED", "RELAXED", "ALREADY_MAPPED", "ANNOTATED", "ALREADY_MAPPED", "FLUSHED")
    request = s.pb.ApplyRequest(mode=ATOMIC, ops=ops, want_outcomes=True)
    reply = s.ask(seq=2, apply=request)
    equal((list(reply.apply.outcome), reply.apply.effects.annotated), (wanted, 1))
    equal(s.ask(seq=2, apply=request), reply)
    equal([g.translate(IPA + n * PAGE).prot for n in range(3)], [R | W, R | W, R])
    equal(g.translate(IPA + 3 * PAGE).descriptor, note)
    error_of(s.ask(seq=3, apply=s.ops(IPA, kind=ANNOTATE, pa=1, mode=ATOMIC)), "INVALID")
    equal(s.half_close(), [])


@test("a fault in a contiguous group gives all of it the slot's right, and the messages go on")
def _():
    def relaxed():
        stats = stub("server").GetStats(pb("server").GetStatsRequest())
        return sum(loop.groups_relaxed for loop in stats.loops)

    g = guest()
    g.slot(SLOT, 512 * PAGE, PA)
    g.map(SLOT, 512 * PAGE, PA, R, flags=2 | 4)  # pages, in groups of 16
    s, before = Stream(ptd()), relaxed()
    s.open(g.handle)
    r = s.ask(seq=1, access=s.accesses([SLOT, SLOT + PAGE, SLOT + 5 * PAGE, SLOT + 20 * PAGE, SLOT + 40 * PAGE],
                                       [READ, WRITE, WRITE, WRITE, READ])).results
    equal((list(r.outcome), list(r.pa)),
          (outcomes(*["OK"] * 5), [PA + n * PAGE for n in (0, 1, 5, 20, 40)]))
    equal([bool(esr) for esr in r.esr], [False, True, False, True, False])
    r = s.ask(seq=2, handle_fault=s.accesses([SLOT + 50 * PAGE, SLOT + 51 * PAGE], [WRITE])).results
    equal(list(r.outcome), outcomes("RELAXED", "ALREADY_MAPPED"))
    equal([bool(esr) for esr in r.esr], [True, False])
    equal(relaxed() - before, 3)
    equal(g.translate(SLOT + 63 * PAGE, access=WRITE).outcome, OUTCOME["OK"])
    equal(g.translate(SLOT + 64 * PAGE, access=WRITE).outcome, OUTCOME["DENIED"])
    equal(s.half_close(), [])


@test("translate, access, handle_fault: each item has its result; a failure is data")
@covers("Accesses.ipa", "Accesses.vcpu", "Accesses.access")
def _():
    g = guest()
    g.slot(SLOT, 16 * PAGE, PA)
    g.slot(SLOT + 16 * PAGE, PAGE, PA + 16 * PAGE, id=1, flags=1)
    g.map(IPA, PAGE, PA + 5 * PAGE, prot=R)
    s = Stream(ptd())
    s.open(g.handle)
    r = s.ask(seq=1, translate=s.accesses([IPA + 8, IPA, IPA + PAGE, 1 << 50, IPA], [READ, WRITE, READ, READ, 9])).results
    equal(list(r.outcome), outcomes("OK", "DENIED", "NOT_MAPPED", "OUT_OF_RANGE", "INVALID"))
    equal(list(r.pa), [PA + 5 * PAGE + 8, 0, 0, 0, 0])
    equal([e >> 26 for e in r.esr], [0, 0x24, 0x24, 0, 0])
    equal(list(r.hpfar), [0, 0, (IPA + PAGE) >> 8, 0, 0])  # unknown on a permission fault
    # An access fills, and the next one hits; nothing is written.
    r = s.ask(seq=2, access=s.accesses([SLOT + 4] * 3 + [SLOT + 16 * PAGE, SLOT + 64 * PAGE], [READ, READ, WRITE, WRITE, EXEC],
                                       [1])).results
    equal(list(r.outcome), outcomes("OK", "OK", "OK", "READ_ONLY", "NO_SLOT"))
    equal(list(r.pa), [PA + 4] * 3 + [0, 0])
    equal([e >> 26 for e in r.esr], [0x24, 0, 0, 0x24, 0x20])
    equal(g.access(SLOT, length=8).data, bytes(8))
    r = s.ask(seq=3, access=s.accesses([SLOT + PAGE, SLOT + PAGE, SLOT, SLOT], [AT, READ, READ, 0], [0, 1, 7, 0])).results
    equal(list(r.outcome), outcomes("OK", "OK", "INVALID", "INVALID"))
    r = s.ask(seq=4, handle_fault=s.accesses([SLOT + 2 * PAGE, SLOT + 2 * PAGE, SLOT + 64 * PAGE, SLOT], [WRITE, READ, READ, AT])).results
    equal(list(r.outcome), outcomes("MAPPED", "ALREADY_MAPPED", "NO_SLOT", "INVALID"))
    equal(r.pa[0], PA + 2 * PAGE)
    true(r.esr[0] and not r.esr[1])
    for seq, (columns, code) in enumerate(((([], [READ]), "INVALID"), (([IPA, IPA], [READ] * 3), "INVALID"),
                                           (([IPA], []), "INVALID"), (([IPA, IPA, IPA], [READ], [0, 0]), "INVALID"),
                                           (([IPA] * 65537, [READ]), "TOO_LARGE")), 5):
        error_of(s.ask(seq=seq, access=s.accesses(*columns)), code)
    r = s.ask(seq=10, translate=s.accesses([IPA] * 65536, [READ])).results
    equal((len(r.outcome), set(r.outcome), set(r.pa)), (65536, {0}, {PA + 5 * PAGE}))
    equal(s.half_close(), [])


@test("faults of one message come to what each comes to in a message of its own")
def _():
    draw, alone_seq = random.Random(SEED), 0
    twins = guest(), guest()
    together, alone = Stream(ptd()), Stream(ptd())
    for g, s in zip(twins, (together, alone)):
        s.open(g.handle)
        g.slot(SLOT, 24 * PAGE, PA)
        g.slot(SLOT + 25 * PAGE, 8 * PAGE, PA + 64 * PAGE, id=1)
        g.slot(SLOT + 34 * PAGE, 4 * PAGE, PA + 128 * PAGE, id=2, flags=1)
    for seq in range(1, 9):
        count = draw.randrange(30, 100)
        pages = [draw.randrange(40) if draw.randrange(50) else 1 << 40 for _ in range(count)]
        columns = ([SLOT + page * PAGE + draw.randrange(PAGE) for page in pages],
                   [EXEC if draw.randrange(20) == 0 else draw.choice([READ, WRITE]) for _ in range(count)],
                   [draw.randrange(2) for _ in range(count)])
        r = together.ask(seq=seq, handle_fault=together.accesses(*columns)).results
        for n, (ipa, access, vcpu) in enumerate(zip(*columns)):
            alone_seq += 1
            u = alone.ask(seq=alone_seq, handle_fault=alone.accesses([ipa], [access], [vcpu])).results
            equal((r.outcome[n], r.pa[n], r.esr[n], r.hpfar[n]), (u.outcome[0], u.pa[0], u.esr[0], u.hpfar[0]))
        equal(twins[0].digest(), twins[1].digest())
        ipa, size, takes_all = SLOT + draw.randrange(32) * PAGE, PAGE * draw.randrange(1, 20), draw.randrange(3) == 0
        for g in twins:
            g.unmap(ipa, size) if takes_all else g.protect(ipa, size, prot=R)
    equal((together.half_close(), alone.half_close()), ([], []))


@test("a session of a shadow: each item as FaultService has it, who takes its fault, and no Apply")
def _():
    h, faults = Hypervisor(), pb("fault")
    h.g.map(9 * MIB, PAGE, PA, prot=R)
    for n, entry in ((5, 9 * MIB | 0x7ff), (6, 128 * MIB | 0x7ff), (7, 0)):
        h.map(n, entry)
    shadow, s = h.enter().shadow, Stream(ptd())
    s.open(shadow)
    nobody, guests, hosts = faults.FAULT_TAKER_NOBODY, faults.FAULT_TAKER_GUEST_HYPERVISOR, faults.FAULT_TAKER_HOST
    pages, kinds = [0, 0, 1, 5, 6, 7, 1 << 30], [READ, WRITE, WRITE, WRITE, READ, READ, READ]
    r = s.ask(seq=1, translate=s.accesses([0], [READ])).results
    equal((list(r.outcome), list(r.taker)), (outcomes("NOT_MAPPED"), [0]))
    r = s.ask(seq=2, access=s.accesses([n * PAGE + 4 for n in pages], kinds)).results
    equal(list(r.outcome), outcomes("OK", "OK", "OK", "DENIED", "NO_SLOT", "DENIED", "OUT_OF_RANGE"))
    equal(list(r.taker), [nobody, 0, nobody, hosts, hosts, guests, 0])
    equal(list(r.pa), [8 * MIB + 4, 8 * MIB + 4, 8 * MIB + PAGE + 4, 0, 0, 0, 0])
    equal(list(r.canonical_ipa), [8 * MIB + 4, 0, 8 * MIB + PAGE + 4, 9 * MIB + 4, 128 * MIB + 4, 0, 0])
    equal((r.esr[5] & 0x3f, r.hpfar[5]), (7, 7 * PAGE >> 8))
    for n, (page, kind) in enumerate(zip(pages, kinds)):  # the same as one by one
        if page < 1 << 30:
            one = h.access(shadow, page * PAGE + 4, kind)
            equal((one.outcome, one.pa), (r.outcome[n], r.pa[n]))
    equal(h.list().counts.fills, 2)
    r = s.ask(seq=3, handle_fault=s.accesses([2 * PAGE, 2 * PAGE, 6 * PAGE, 7 * PAGE], [READ])).results
    equal(list(r.outcome), outcomes("MAPPED", "ALREADY_MAPPED", "NO_SLOT", "DENIED"))
    equal(list(r.taker), [nobody, nobody, hosts, guests])
    equal(list(r.pa), [8 * MIB + 2 * PAGE] * 2 + [0, 0])
    equal((r.esr[3] & 0x3f, r.hpfar[3]), (7, 7 * PAGE >> 8))
    true(r.esr[0] and not r.esr[1])
    r = s.ask(seq=4, translate=s.accesses([2 * PAGE, 7 * PAGE], [READ])).results
    equal(list(r.outcome), outcomes("OK", "NOT_MAPPED"))
    error_of(s.ask(seq=5, apply=s.ops(PAGE, kind=UNMAP)), "WRONG_STATE")
    stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=h.g.handle))
    error_of(s.ask(seq=6, access=s.accesses([0], [READ])), "NOT_FOUND")
    equal(s.half_close(), [])


def cpu_ns():
    return time.clock_gettime_ns(~ptd().pid << 3 | 2)  # as clock_getcpuclockid(3) names a process's clock


@test("faults that are not plain between those that are cost no more than the same apart")
def _():
    g, s, seq, best = guest(), Stream(ptd()), 0, {}
    s.open(g.handle)
    g.slot(SLOT, 4096 * PAGE, PA)
    for _ in range(4):
        for kinds in ((READ,), (EXEC,), (READ, EXEC)):
            access = [kinds[n % len(kinds)] for n in range(32768)]
            ipas = [SLOT + ((n % 4000) if kind == READ else 4000 + n % 96) * PAGE for n, kind in enumerate(access)]
            seq, before = seq + 1, cpu_ns()
            equal(set(s.ask(seq=seq, handle_fault=s.accesses(ipas, access)).results.outcome) - set(outcomes(
                "MAPPED", "ALREADY_MAPPED")), set())
            best[kinds] = min(best.get(kinds, 1 << 60), cpu_ns() - before)
    plain, other, mixed = best.values()
    print(f"# us of 32768 faults: plain {plain // 1000}, to execute {other // 1000}, in turn {mixed // 1000}")
    true(mixed < 2 * max(plain, other))
    equal(s.half_close(), [])


@test("a message done before gets its answer on another connection, and takes effect once")
def _():
    g = guest()
    s = Stream(ptd(), ptd().channel())
    session_id = s.open(g.handle).session_id
    asked = [s.ops(IPA + n * PAGE, pa=PA, want_outcomes=True) for n in range(100)]
    for seq, request in enumerate(asked, 1):
        s.send(seq=seq, apply=request)
    first = [s.receive() for _ in asked]
    equal([a.seq for a in first], list(range(1, 101)))
    digest = g.digest()
    s.cancel()
    t = Stream(ptd(), ptd().channel())
    equal(t.open(g.handle, session_id).last_seq, 100)
    for seq in range(37, 101):
        t.send(seq=seq, apply=asked[seq - 1])
    equal([t.receive() for _ in range(64)], first[36:])
    error_of(t.ask(seq=36, apply=asked[35]), "REPLY_GONE")
    error_of(t.ask(seq=100, apply=asked[0]), "REQUEST_ID_REUSED")
    equal(g.digest(), digest)
    t.send(seq=102, apply=asked[0])
    equal(t.end("WRONG_STATE"), "seq: 102 came; 101 is due")


@test("an open session is taken over: from connection to connection, round the loops")
def _():
    g = guest()
    older = Stream(ptd(), ptd().channel())
    session_id = older.open(g.handle).session_id
    for turn in range(1, 9):
        newer = Stream(ptd(), ptd().channel())
        equal(newer.open(g.handle, session_id).last_seq, turn - 1)
        older.end("TAKEN_OVER")
        equal(newer.ask(seq=turn, apply=newer.ops(IPA + turn * PAGE, pa=PA)).apply.applied, 1)
        older = newer
    equal(older.half_close(), [])


@test("two clients that open one session in turn, with messages in flight, lose no effect and make none twice")
def _():
    g = guest()
    session_id = b"in turns, 16 b.."
    done, stream = 0, Stream(ptd(), ptd().channel())
    stream.open(g.handle, session_id)
    for _ in range(12):
        for seq in range(done + 1, done + 41):
            stream.send(seq=seq, apply=stream.ops(IPA + seq * PAGE, pa=PA, want_outcomes=True))
        other = Stream(ptd(), ptd().channel())
        last = other.open(g.handle, session_id).last_seq
        true(done <= last <= done + 40, f"{last} after {done}")
        for seq in range(done + 1, last + 1):
            answer = other.ask(seq=seq, apply=other.ops(IPA + seq * PAGE, pa=PA, want_outcomes=True))
            equal(list(answer.apply.outcome), outcomes("MAPPED"))
        done, stream = last, other
    equal(stream.half_close(), [])


@test("a context that is deleted fails messages, not the stream")
def _():
    g = guest()
    s = Stream(ptd())
    s.open(g.handle)
    equal(s.ask(seq=1, apply=s.ops(IPA, pa=PA)).apply.applied, 1)
    stub("context").DeleteContext(pb("context").DeleteContextRequest(handle=g.handle))
    error_of(s.ask(seq=2, apply=s.ops(IPA, kind=UNMAP)), "NOT_FOUND")
    error_of(s.ask(seq=3, translate=s.accesses([IPA], [READ])), "NOT_FOUND")
    equal(s.ask(seq=1, apply=s.ops(IPA, pa=PA)).apply.applied, 1)
    equal(s.half_close(), [])


@test("a reader that pauses gets all answers in the end")
def _():
    g = guest()
    s = Stream(ptd(), ptd().channel())
    s.open(g.handle)
    request = s.accesses([IPA] * 400, [READ])
    for seq in range(1, 301):
        s.send(seq=seq, translate=request)
    equal([s.receive().seq for _ in range(300)], list(range(1, 301)))
    equal(s.half_close(), [])


@test("a drain ends the stream with UNAVAILABLE, and the daemon ends well")
def _():
    with ptdtest.Daemon(loops=2) as daemon:
        g = ptdtest.Guest(daemon)
        s = Stream(daemon, daemon.channel())
        s.open(g.handle)
        equal(s.ask(seq=1, apply=s.ops(IPA, pa=PA)).apply.applied, 1)
        daemon.stub("server", "ServerService").Drain(daemon.pb("server").DrainRequest())
        true("opened again" in s.end("DRAINING"))
        equal(daemon.process.wait(20), 0)


main()
