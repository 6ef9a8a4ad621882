# SPDX-License-Identifier: BSD-2-Clause
"""Mapping in a machine with owners: through ptctl, through a Session, and by several clients at once beside transfers.

The clients of the last test run against ptd-checked, which ends with another status than 0 when a rule is broken. What
the index says afterwards is held against each party's tables.
"""
import os
import random
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import ptdtest  # noqa: E402
import sessiontest  # noqa: E402
from ptdtest import OUTCOME, PAGE, SEED, equal, test, true  # noqa: E402

IPA, PA = 0x4000_0000, 0x40_0000
HOST, HYP, GUEST = 1, 2, 3
SHARE, UNSHARE, DONATE, RECLAIM = 1, 2, 3, 8
ABORT, FORCE = 1, 2
PAGES, CLIENTS, ROUNDS = 48, 4, 30


class Owned:
    """A machine with its host, which has a slot over all of it, a plain guest and a protected one."""

    def __init__(self, ptd, **fields):
        self.ptd = ptd
        machine, context = ptd.pb("machine"), ptd.pb("context")
        self.machine = ptd.stub("machine", "MachineService").CreateMachine(machine.CreateMachineRequest(
            name="m", memory_bytes=64 << 20, vcpus=CLIENTS, owners=True, **fields)).machine.handle
        contexts = ptd.stub("context", "ContextService")

        def make(name, kind=1, **options):
            return contexts.CreateContext(context.CreateContextRequest(
                machine=self.machine, name=name, kind=kind, options=context.ContextOptions(**options))).context.handle

        self.host, self.plain, self.guarded = make("host", 2, identity=True), make("plain"), make("guarded", protected=True)
        contexts.SetSlot(context.SetSlotRequest(context=self.host, slot=context.Slot(size=64 << 20, backing=2 << 20)))

    def item(self, kind, giver, receiver, guest=0, **fields):
        pb = self.ptd.pb("ownership")
        item = pb.TransferItem(kind=kind, to=pb.Party(kind=receiver, context=guest if receiver == GUEST else 0), **fields)
        getattr(item, "from").CopyFrom(pb.Party(kind=giver, context=guest if giver == GUEST and kind != RECLAIM else 0))
        return pb.TransferRequest(machine=self.machine, items=[item])

    def transfer(self, *args, **fields):
        return self.ptd.stub("ownership", "OwnershipService").Transfer(self.item(*args, **fields))


@test("ptctl: map, protect, slot and access say what owners allow")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        def ptctl(*args, fails=False, says=""):
            done = ptd.ptctl(*args, check=False)
            equal(done.returncode != 0, fails, f"{args}: {done.stdout}{done.stderr}")
            true(says in done.stdout + done.stderr, f"{args}: {done.stdout}{done.stderr}")

        ptctl("machine", "create", "m", "--memory", "64M", "--owners", "--foreign-access", "force-reclaim")
        ptctl("context", "create", "m/host", "--kind", "host", "--identity")
        ptctl("context", "create", "m/plain")
        ptctl("context", "create", "m/guarded", "--protected")
        ptctl("own", "share", "m", "8K", "--to", "plain", "--prot", "rw", "--pa", "4M", "--ipa", "1G")
        ptctl("own", "donate", "m", "8K", "--to", "guarded", "--pa", "6M", "--ipa", "1G")
        ptctl("map", "m/host", "4M", "4M", "4M", "rwx", fails=True, says="0x0000600000")
        ptctl("map", "m/host", "4M", "2M", "4M", "rwx", says="MAPPED")
        ptctl("wrprotect", "m/plain", "1G", "8K", says="PROTECTED")
        ptctl("protect", "m/plain", "1G", "12K", "rw", fails=True, says="0x0040002000")
        ptctl("relax", "m/plain", "1G", "8K", "rw", says="RELAXED")
        ptctl("protect", "m/guarded", "1G", "8K", "r", fails=True, says="PTD-E0070")
        ptctl("unmap", "m/guarded", "1G", "8K", fails=True, says="PTD-E0070")
        ptctl("slot", "set", "m/host", "0", "0", "64M", "0")
        ptctl("access", "read", "m/host", "6M", "-o", "json", says="FORCE_RECLAIM")
        ptctl("protect", "m/guarded", "1G", "4K", "r", fails=True, says="PTD-E0073")
        ptctl("slot", "delete", "m/host", "0", fails=True, says="0x0000601000")


@test("a Session in a machine with owners: items are refused where they are wrong, and the host takes what it may")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        m = Owned(ptd, foreign_access=FORCE)
        m.transfer(DONATE, HOST, GUEST, m.guarded, pa=PA, ipa=IPA, size=4 * PAGE)
        m.transfer(DONATE, HOST, HYP, pa=PA + 8 * PAGE, size=PAGE)
        stream = sessiontest.Stream(ptd)
        stream.open(m.host)
        pages = [PA - PAGE, PA + PAGE, PA + 4 * PAGE]
        done = stream.ask(seq=1, apply=stream.ops(pages, pa=pages, mode=sessiontest.BEST)).apply
        equal((done.applied, [(e.index, e.code, e.ipa) for e in done.errors]),
              (2, [(1, OUTCOME["WRONG_OWNER"], PA + PAGE)]))
        asked = [PA + PAGE, PA + 8 * PAGE, PA + PAGE, PA + 5 * PAGE]
        equal(list(stream.ask(seq=2, access=stream.accesses(asked, [1])).results.outcome),
              [0, OUTCOME["WRONG_OWNER"], 0, 0])
        asked = [PA + 2 * PAGE, PA + 8 * PAGE, PA + 3 * PAGE]
        results = stream.ask(seq=3, handle_fault=stream.accesses(asked, [2])).results
        equal(list(results.outcome), [OUTCOME["MAPPED"], OUTCOME["WRONG_OWNER"], OUTCOME["MAPPED"]])
        equal(list(results.pa), [PA + 2 * PAGE, 0, PA + 3 * PAGE])
        stream.cancel()
        mine = ptd.stub("ownership", "OwnershipService").GetOwner(ptd.pb("ownership").GetOwnerRequest(
            machine=m.machine, pa=PA, size=4 * PAGE)).ranges
        equal([(r.pa, r.owner.kind) for r in mine], [(PA, GUEST), (PA + PAGE, HOST)])


def attempt(call, request, allowed):
    """The answer; None where a refusal that may come is one of these."""
    try:
        return call(request, timeout=60)
    except grpc.RpcError as error:
        code = ptdtest.error_code(error)
        if code not in [OUTCOME[name] for name in allowed]:
            raise AssertionError(f"{type(request).__name__}: {ptdtest.error_detail(error)} {error.details()}") from error
        return None


REFUSALS = ("WRONG_OWNER", "WRONG_STATE", "NOT_MAPPED", "POISONED", "OVERLAP", "BUSY", "TOO_LARGE")


def client(m, number, failures, counts):
    """Transfers and maps of pages that all clients use."""
    ptd, draw = m.ptd, random.Random(SEED + number)
    channel = ptd.channel()
    owner, mapping = ptd.stub("ownership", "OwnershipService", channel), ptd.stub("mapping", "MappingService", channel)
    fault, maps = ptd.stub("fault", "FaultService", channel), ptd.pb("mapping")

    def transfers(page, n):
        at = {"pa": PA + page * PAGE, "size": n * PAGE}
        there = {"ipa": IPA + page * PAGE, "size": n * PAGE}
        return draw.choice((
            m.item(DONATE, HOST, GUEST, m.guarded, **at, **{"ipa": there["ipa"]}), m.item(DONATE, GUEST, HOST, m.guarded, **there),
            m.item(SHARE, HOST, GUEST, m.plain, **at, **{"ipa": there["ipa"]}, prot=3),
            m.item(UNSHARE, HOST, GUEST, m.plain, **there), m.item(SHARE, GUEST, HOST, m.guarded, **there),
            m.item(UNSHARE, GUEST, HOST, m.guarded, **there), m.item(DONATE, HOST, HYP, **at), m.item(DONATE, HYP, HOST, **at)))

    def changes(page, n):
        mine, theirs = {"ipa": PA + page * PAGE, "size": n * PAGE}, {"ipa": IPA + page * PAGE, "size": n * PAGE}
        return draw.choice((
            (mapping.Map, maps.MapRequest(context=m.host, pa=mine["ipa"], prot=3, flags=draw.choice((0, 1)), **mine)),
            (mapping.Unmap, maps.UnmapRequest(context=m.host, **mine)),
            (mapping.WriteProtect, ptd.pb("upkeep").WriteProtectRequest(context=m.plain, **theirs)),
            (mapping.Protect, maps.ProtectRequest(context=draw.choice((m.plain, m.guarded)), prot=1, **theirs)),
            (mapping.Unmap, maps.UnmapRequest(context=draw.choice((m.plain, m.guarded)), **theirs)),
            (mapping.Apply, maps.ApplyRequest(context=m.host, mode=draw.choice((1, 3)), ops=maps.Ops(
                ipa=[PA, mine["ipa"] + PAGE], size=[PAGE], pa=[PA, mine["ipa"] + PAGE], kind=[1], prot=[3], flags=[1])))))

    try:
        for _n in range(ROUNDS):
            page, n = draw.randrange(PAGES - 8), draw.choice((1, 1, 2, 8))
            counts["transfers"] += attempt(owner.Transfer, transfers(page, n), REFUSALS) is not None
            counts["maps"] += attempt(*changes(page, n), REFUSALS) is not None
            reply = fault.Access(ptd.pb("fault").AccessRequest(
                context=m.host, vcpu=number, ipa=PA + draw.randrange(PAGES) * PAGE, access=1, length=8), timeout=60)
            true(reply.outcome in (0, OUTCOME["WRONG_OWNER"]), reply)
            equal(reply.foreign == ABORT, reply.outcome != 0)
            counts["forced"] += reply.foreign == FORCE
    except Exception as error:  # handed to the test's own thread
        failures.append(f"client {number}: {error}")


def audit(m):
    """Each page of the index against the tables of all parties."""
    ptd, pb = m.ptd, m.ptd.pb("ownership")
    fault, asks = ptd.stub("fault", "FaultService"), ptd.pb("fault")

    def leads(context, ipa):
        return fault.Translate(asks.TranslateRequest(context=context, ipa=ipa, access=1))

    ranges = ptd.stub("ownership", "OwnershipService").GetOwner(pb.GetOwnerRequest(
        machine=m.machine, pa=PA, size=PAGES * PAGE)).ranges
    equal(sum(r.size for r in ranges), PAGES * PAGE)
    for r in ranges:
        for pa in range(r.pa, r.pa + r.size, PAGE):
            host, ipa = leads(m.host, pa), r.ipa + pa - r.pa
            if host.outcome == 0:
                equal(host.pa, pa)
            guest = leads(m.guarded, IPA + pa - PA)
            borrowed = leads(m.plain, IPA + pa - PA)
            if r.owner.kind == GUEST:
                equal((r.owner.context, leads(m.guarded, ipa).pa), (m.guarded, pa))
            else:
                equal(guest.outcome, OUTCOME["NOT_MAPPED"])
            if r.owner.kind != HOST:
                equal(host.outcome == 0, r.owner.kind == GUEST and r.state == 2, (r, pa))
            equal(borrowed.outcome == 0, r.owner.kind == HOST and r.state == 2, (r, pa))
    return len(ranges)


@test("4 clients transfer, map and touch the same pages of a checked daemon; index and tables agree in the end")
def _():
    with ptdtest.Daemon(loops=2, args=["--checked"]) as ptd:
        m, failures, counts = Owned(ptd, foreign_access=FORCE), [], dict.fromkeys(("transfers", "maps", "forced"), 0)
        threads = [threading.Thread(target=client, args=(m, n, failures, counts)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [])
        true(audit(m) > 1)
        true(all(count > 0 for count in counts.values()), f"PTD_SEED={SEED}: {counts}")
        ptd.stub("machine", "MachineService").DeleteMachine(ptd.pb("machine").DeleteMachineRequest(
            handle=m.machine, force=True))


ptdtest.main()
