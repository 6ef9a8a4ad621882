# SPDX-License-Identifier: BSD-2-Clause
"""Fields of OwnershipService's requests, and of machines and contexts that have owners."""
import os
import sys
import time
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import own_picture  # noqa: E402
from fieldtest import covers, main, name, pb, ptd, stub  # noqa: E402
from ptdtest import OUTCOME, PAGE, TREE, equal, refused, test, true  # noqa: E402

IPA, PA = 0x4000_0000, 0x20_0000
HOST, HYP, GUEST, OTHER = 1, 2, 3, 4
SHARE, UNSHARE, DONATE, LEND, FORCE_RECLAIM, PIN, UNPIN = 1, 2, 3, 4, 8, 9, 10
RETRIEVE, RELINQUISH, RECLAIM, TOP_UP = 5, 6, 7, 11
OWNED, SHARED, LENT = 1, 2, 4


class Owned:
    """A machine with owners, its host, a plain guest and a protected one."""

    def __init__(self, **fields):
        self.name = name()
        self.machine = stub("machine").CreateMachine(pb("machine").CreateMachineRequest(
            name=self.name, memory_bytes=64 << 20, vcpus=1, owners=True, **fields)).machine
        self.host = self.context("host", kind=2, identity=True)
        self.plain = self.context("plain")
        self.guarded = self.context("guarded", protected=True)

    def context(self, its_name, kind=1, **options):
        return stub("context").CreateContext(pb("context").CreateContextRequest(
            machine=self.machine.handle, name=its_name, kind=kind,
            options=pb("context").ContextOptions(**options))).context.handle

    def transfer(self, kind, giver, receiver, size=PAGE, more=None, **fields):
        """Parties are kinds, or handles of guests."""
        def party(who):
            return pb("ownership").Party(kind=GUEST, context=who) if who > OTHER else pb("ownership").Party(kind=who)
        item = pb("ownership").TransferItem(kind=kind, to=party(receiver), size=size, **fields)
        getattr(item, "from").CopyFrom(party(giver))
        return stub("ownership").Transfer(pb("ownership").TransferRequest(
            machine=self.machine.handle, items=[item], **(more or {})))

    def get(self, pa, size=0):
        return stub("ownership").GetOwner(pb("ownership").GetOwnerRequest(
            machine=self.machine.handle, pa=pa, size=size)).ranges

    def owner(self, pa):
        found = self.get(pa, PAGE)[0]
        return found.owner.kind, found.state

    def generation(self):
        """The host's, which a step may ask for."""
        return stub("context").GetContext(pb("context").GetContextRequest(handle=self.host)).context.generation

    def list(self, **fields):
        return stub("ownership").ListOwners(pb("ownership").ListOwnersRequest(machine=self.machine.handle, **fields))


@test("CreateMachine: owners, and a quota for what is recorded of them")
@covers("CreateMachineRequest.owners", "CreateMachineRequest.owner_quota_pages", "ContextOptions.protected")
def _():
    with_owners = Owned(owner_quota_pages=1)
    equal((with_owners.machine.owners, with_owners.machine.owner_quota_pages), (True, 1))
    refused("QUOTA", with_owners.transfer, SHARE, HOST, HYP)
    plain = stub("machine").CreateMachine(pb("machine").CreateMachineRequest(
        name=name(), memory_bytes=1 << 20, vcpus=1)).machine
    true(not plain.owners)
    refused("WRONG_STATE", stub("ownership").GetOwner, pb("ownership").GetOwnerRequest(machine=plain.handle))
    # A guest of one kind is none of the other.
    m = Owned()
    refused("WRONG_STATE", m.transfer, DONATE, HOST, m.plain, ipa=IPA)
    refused("WRONG_STATE", m.transfer, SHARE, HOST, m.guarded, ipa=IPA, prot=3)


@test("CreateContext: a guest's tables come out of what the host gives")
@covers("ContextOptions.topped_up")
def _():
    m = Owned()
    guest = m.context("fed", protected=True, topped_up=True)
    get = lambda: stub("context").GetContext(pb("context").GetContextRequest(handle=guest)).context  # noqa: E731
    true(get().options.topped_up)
    equal((get().quota_pages, get().topped_up_pages), (0, 0))
    refused("QUOTA", m.transfer, DONATE, HOST, guest, pa=PA, ipa=IPA)
    m.transfer(TOP_UP, HOST, guest, size=2 * PAGE, pa=PA + PAGE)
    equal(get().topped_up_pages, 2)
    m.transfer(DONATE, HOST, guest, pa=PA, ipa=IPA)
    equal((m.owner(PA + PAGE), m.get(PA + PAGE, PAGE)[0].tables_of), ((HYP, OWNED), guest))
    refused("WRONG_STATE", stub("context").SetQuota, pb("context").SetQuotaRequest(context=guest, quota_pages=9))
    refused("INVALID", m.context, "lone", kind=2, topped_up=True)


@test("ReserveGuest: a place, and CreateContext in it")
@covers("ReserveGuestRequest.machine", "ReserveGuestRequest.request_id", "CreateContextRequest.guest")
def _():
    m = Owned()
    ask = pb("ownership").ReserveGuestRequest(machine=m.machine.handle, request_id=b"reserve-a-guest1")
    place = stub("ownership").ReserveGuest(ask).guest
    equal(stub("ownership").ReserveGuest(ask).guest, place)
    refused("NOT_FOUND", stub("ownership").ReserveGuest, pb("ownership").ReserveGuestRequest(machine=place))
    m.transfer(TOP_UP, HOST, place, pa=PA)
    create = pb("context").CreateContextRequest(machine=m.machine.handle, name="placed", kind=1, guest=place)
    made = stub("context").CreateContext(create).context
    equal(made.topped_up_pages, 1)
    create.name = "again"
    refused("NOT_FOUND", stub("context").CreateContext, create)


@test("TeardownGuest and FinalizeGuest: a guest ends step by step")
@covers("TeardownGuestRequest.context", "TeardownGuestRequest.request_id", "FinalizeGuestRequest.machine",
        "FinalizeGuestRequest.guest", "FinalizeGuestRequest.request_id")
def _():
    m = Owned()
    teardown = pb("ownership").TeardownGuestRequest(context=m.guarded, request_id=b"teardown-guest-1")
    end = pb("ownership").FinalizeGuestRequest(machine=m.machine.handle, guest=m.guarded)
    m.transfer(DONATE, HOST, m.guarded, pa=PA, ipa=IPA)
    m.transfer(TOP_UP, HOST, m.guarded, pa=PA + PAGE)
    refused("WRONG_STATE", m.transfer, RECLAIM, m.guarded, HOST, ipa=IPA)
    equal(stub("ownership").TeardownGuest(teardown).context.state, 2)
    equal(stub("ownership").TeardownGuest(teardown).context.state, 2)  # the same answer
    states = {c.handle: c.state for c in stub("context").ListContexts(
        pb("context").ListContextsRequest(machine=m.machine.handle)).contexts}
    equal(states, {m.host: 1, m.plain: 1, m.guarded: 2})
    refused("WRONG_STATE", stub("ownership").FinalizeGuest, end)
    refused("WRONG_STATE", m.transfer, TOP_UP, HOST, m.guarded, pa=PA + 2 * PAGE)
    m.transfer(RECLAIM, m.guarded, HOST, ipa=IPA)
    equal((m.owner(PA), m.owner(PA + PAGE)), ((HOST, OWNED), (HYP, OWNED)))
    end.request_id = b"finalize-guest-1"
    stub("ownership").FinalizeGuest(end)
    stub("ownership").FinalizeGuest(end)  # the same answer
    equal(m.owner(PA + PAGE), (HOST, OWNED))
    refused("NOT_FOUND", stub("ownership").FinalizeGuest,
            pb("ownership").FinalizeGuestRequest(machine=m.machine.handle, guest=m.guarded))
    other = Owned()
    refused("INVALID", stub("ownership").FinalizeGuest,
            pb("ownership").FinalizeGuestRequest(machine=m.machine.handle, guest=other.guarded))


@test("CreateMachine: what becomes of the host's access to a guest's page")
@covers("CreateMachineRequest.foreign_access")
def _():
    create, request = stub("machine").CreateMachine, pb("machine").CreateMachineRequest
    for given, foreign, outcome in ((0, 1, OUTCOME["WRONG_OWNER"]), (1, 1, OUTCOME["WRONG_OWNER"]), (2, 2, 0)):
        m = Owned(foreign_access=given)
        equal(m.machine.foreign_access, foreign)
        m.transfer(DONATE, HOST, m.guarded, pa=PA, ipa=IPA)
        stub("context").SetSlot(pb("context").SetSlotRequest(context=m.host, slot=pb("context").Slot(size=64 << 20)))
        reply = stub("fault").Access(pb("fault").AccessRequest(context=m.host, ipa=PA, access=1, length=1))
        equal((reply.outcome, reply.foreign), (outcome, foreign))
        equal(m.owner(PA)[0], HOST if foreign == 2 else GUEST)
    for wrong in ({"foreign_access": 3, "owners": True}, {"foreign_access": 1}):
        refused("INVALID", create, request(name=name(), memory_bytes=1 << 20, vcpus=1, **wrong))


@test("Transfer: each kind with its parties does what it says")
@covers("TransferRequest.machine", "TransferItem.kind", "Party.kind", "Party.context")
def _():
    m, other = Owned(), Owned()
    equal(m.owner(PA), (HOST, OWNED))
    for kind, giver, receiver, after in (
            (SHARE, HOST, HYP, (HOST, SHARED)), (PIN, HOST, HYP, (HOST, SHARED)), (UNPIN, HOST, HYP, (HOST, SHARED)),
            (UNSHARE, HOST, HYP, (HOST, OWNED)), (SHARE, HOST, OTHER, (HOST, SHARED)),
            (UNSHARE, HOST, OTHER, (HOST, OWNED)), (DONATE, HOST, HYP, (HYP, OWNED)), (DONATE, HYP, HOST, (HOST, OWNED))):
        m.transfer(kind, giver, receiver, pa=PA)
        equal(m.owner(PA), after, (kind, giver, receiver))
    m.transfer(DONATE, HOST, m.guarded, pa=PA, ipa=IPA)
    equal(m.get(PA, PAGE)[0].owner.context, m.guarded)
    m.transfer(SHARE, m.guarded, HOST, ipa=IPA)
    equal(m.owner(PA), (GUEST, SHARED))
    m.transfer(UNSHARE, m.guarded, HOST, ipa=IPA)
    reclaim = pb("ownership").TransferRequest(machine=m.machine.handle, items=[pb("ownership").TransferItem(
        kind=FORCE_RECLAIM, to=pb("ownership").Party(kind=HOST), pa=PA, size=PAGE)])
    getattr(reclaim.items[0], "from").kind = GUEST
    stub("ownership").Transfer(reclaim)
    equal(m.owner(PA), (HOST, OWNED))
    refused("POISONED", m.transfer, DONATE, HOST, m.guarded, pa=PA, ipa=IPA)
    refused("INVALID", m.transfer, DONATE, HOST, other.guarded, pa=PA, ipa=IPA)
    refused("INVALID", m.transfer, SHARE, HYP, HOST, pa=PA)
    equal(other.owner(PA), (HOST, OWNED))


@test("Transfer: frames, addresses, rights and wiping of an item")
@covers("TransferItem.pa", "TransferItem.size", "TransferItem.ipa", "TransferItem.prot", "TransferItem.zero",
        "TransferItem.lend_handle")
def _():
    m = Owned()
    access = pb("fault").AccessRequest

    def read(context, ipa, what=1):
        return stub("fault").Access(access(context=context, ipa=ipa, access=what, length=4, data=b"" if what == 1 else b"mine"))

    def write(pa, data):
        stub("machine").WriteMemory(pb("machine").WriteMemoryRequest(machine=m.machine.handle, address=pa, data=data))

    write(PA, b"seen")
    m.transfer(SHARE, HOST, m.plain, size=2 * PAGE, pa=PA, ipa=IPA, prot=1)
    equal(read(m.plain, IPA).data, b"seen")
    true(read(m.plain, IPA, what=2).outcome != 0)
    equal([(r.pa, r.size, r.state) for r in m.get(PA - PAGE, 4 * PAGE)],
          [(PA - PAGE, PAGE, OWNED), (PA, 2 * PAGE, SHARED), (PA + 2 * PAGE, PAGE, OWNED)])
    write(PA + 4 * PAGE, b"old.")
    m.transfer(DONATE, HOST, m.guarded, pa=PA + 4 * PAGE, ipa=IPA)
    equal(read(m.guarded, IPA).data, b"old.")
    write(PA + 5 * PAGE, b"old.")
    m.transfer(DONATE, HOST, m.guarded, pa=PA + 5 * PAGE, ipa=IPA + PAGE, zero=True)
    equal(read(m.guarded, IPA + PAGE).data, bytes(4))
    equal(m.get(PA + 5 * PAGE, PAGE)[0].ipa, IPA + PAGE)
    refused("INVALID", m.transfer, SHARE, HOST, HYP, pa=PA + 8 * PAGE, lend_handle=1)
    refused("MISALIGNED", m.transfer, SHARE, HOST, HYP, pa=PA + 1)


@test("Transfer: request id, expected generation, and validation")
@covers("TransferRequest.request_id", "TransferRequest.expected_generation", "TransferRequest.validate_only")
def _():
    m = Owned()
    first = m.transfer(SHARE, HOST, HYP, pa=PA, more={"request_id": b"owner-transfer-1"})
    equal(m.transfer(SHARE, HOST, HYP, pa=PA, more={"request_id": b"owner-transfer-1"}), first)
    equal(m.get(PA, PAGE)[0].request_id, b"owner-transfer-1")
    refused("REQUEST_ID_REUSED", m.transfer, SHARE, HOST, HYP, pa=PA + PAGE, more={"request_id": b"owner-transfer-1"})
    refused("GENERATION_MISMATCH", m.transfer, UNSHARE, HOST, HYP, pa=PA, more={"expected_generation": 1})
    equal(m.transfer(UNSHARE, HOST, HYP, pa=PA, more={"expected_generation": first.generation}).generation,
          first.generation + 1)
    m.transfer(DONATE, HOST, HYP, pa=PA, more={"validate_only": True})
    equal(m.owner(PA), (HOST, OWNED))
    refused("INVALID", stub("ownership").Transfer, pb("ownership").TransferRequest(machine=m.machine.handle))


@test("Transfer: several items are one step, and a refusal names its item")
def _():
    m = Owned()

    def request(*items):
        made = [pb("ownership").TransferItem(kind=DONATE, to=pb("ownership").Party(kind=GUEST, context=m.guarded),
                                             pa=pa, ipa=ipa, size=PAGE) for pa, ipa in items]
        for item in made:
            getattr(item, "from").kind = HOST
        return pb("ownership").TransferRequest(machine=m.machine.handle, items=made)

    most = stub("server").GetInfo(pb("server").GetInfoRequest()).limits.max_transfer_items
    stub("ownership").Transfer(request((PA, IPA), (PA + 4 * PAGE, IPA + PAGE)))
    equal([m.owner(PA + i * PAGE)[0] for i in range(6)], [GUEST, HOST, HOST, HOST, GUEST, HOST])
    refused("WRONG_OWNER", stub("ownership").Transfer, request((PA + PAGE, IPA + 8 * PAGE), (PA, IPA + 9 * PAGE)))
    equal(m.owner(PA + PAGE), (HOST, OWNED))
    refused("TOO_LARGE", stub("ownership").Transfer,
            request(*((PA + i * PAGE, IPA + i * PAGE) for i in range(most + 1))))
    ptctl = ptd().ptctl
    ptctl("own", "donate", m.name, "4K", "--to", "guarded", "--pa", "8M", "--ipa", "0x5000_0000",
          "--more", "12M:0x5000_1000:4K,16M:0x5000_2000:8K")
    equal([m.owner(pa << 20)[0] for pa in (8, 12, 16)], [GUEST] * 3)
    ptctl("own", "share", m.name, "4K", "--from", "guarded", "--ipa", "0x5000_0000", "--more", ":0x5000_2000:8K")
    equal([m.owner(pa << 20)[1] for pa in (8, 12, 16)], [SHARED, OWNED, SHARED])
    equal(ptctl("own", "pin", m.name, "8M", "4K", "--more", "1M", check=False).returncode, 2)
    to, place, frames = ("--to", "guarded"), ("--ipa", "1G"), ("--pa", "0")
    for verb, words, lacks in (("donate", (*to, *place), "--pa"), ("donate", (*to, *frames), "--ipa"), ("share", ("--to", "hyp"), "--pa"),
                               ("share", ("--from", "guarded"), "--ipa"), ("unshare", to, "--ipa"), ("top-up", to, "--pa"),
                               ("lend", to, "--pa"), ("lend", ("--from", "guarded"), "--ipa"), ("reclaim-dying", ("--from", "guarded"), "--ipa")):
        done = ptctl("own", verb, m.name, "4K", *words, check=False)
        equal((done.returncode, done.stderr.startswith(f"error: {lacks} is needed: ")), (2, True), done.stderr)


@test("Transfer: lendings, from the list to the end")
@covers("TransferItem.lend_size", "TransferItem.lend_timeout_ms", "ListLendingsRequest.machine")
def _():
    m, other = Owned(), Owned()
    ownership = pb("ownership")
    guest = [ownership.Party(kind=GUEST, context=who) for who in (m.guarded, m.plain)]

    def call(kind, giver=None, receiver=None, **fields):
        item = ownership.TransferItem(kind=kind, to=receiver, **fields)
        if giver:
            getattr(item, "from").CopyFrom(giver)
        return stub("ownership").Transfer(ownership.TransferRequest(machine=m.machine.handle, items=[item]))

    def lendings(which=m):
        return stub("ownership").ListLendings(ownership.ListLendingsRequest(machine=which.machine.handle)).lendings

    host = ownership.Party(kind=HOST)
    first = call(LEND, host, pa=PA, size=PAGE, borrowers=guest, lend_size=3 * PAGE, lend_timeout_ms=100_000)
    equal((list(first.lend_handle), first.lend_missing, m.owner(PA)), ([1], 2 * PAGE, (HOST, OWNED)))
    equal([(one.state, one.named, one.expires_in_ms // 1000 in (98, 99, 100)) for one in lendings()], [(1, PAGE, True)])
    refused("INVALID", call, LEND, host, pa=PA + 8 * PAGE, size=4 * PAGE, lend_handle=1)
    refused("INVALID", call, LEND, host, pa=PA + 8 * PAGE, size=PAGE, lend_handle=1, borrowers=guest)
    equal(call(LEND, host, pa=PA + 8 * PAGE, size=2 * PAGE, lend_handle=1).lend_missing, 0)
    equal((m.owner(PA), m.owner(PA + 9 * PAGE)), ((HOST, LENT), (HOST, LENT)))
    refused("INVALID", call, LEND, host, pa=PA + 2 * PAGE, size=PAGE, borrowers=[guest[0]] * 2)
    equal(call(RETRIEVE, receiver=guest[1], ipa=IPA, lend_handle=1).effects.leaves_written, 3)
    equal([b.has for b in lendings()[0].borrowers], [False, True])
    equal(stub("fault").Access(pb("fault").AccessRequest(context=m.plain, ipa=IPA + 2 * PAGE, access=2, length=4,
                                                         data=b"lent")).outcome, 0)
    refused("BUSY", call, RECLAIM, receiver=host, lend_handle=1)
    call(RELINQUISH, guest[1], lend_handle=1)
    call(RECLAIM, receiver=host, lend_handle=1)
    equal((m.owner(PA), len(lendings()), len(lendings(other))), ((HOST, OWNED), 0, 0))
    call(LEND, host, pa=PA, size=PAGE, borrowers=guest, lend_size=2 * PAGE, lend_timeout_ms=1)
    end = time.monotonic() + 20
    while lendings() and time.monotonic() < end:
        pass
    refused("NOT_FOUND", call, LEND, host, pa=PA + PAGE, size=PAGE, lend_handle=2)


@test("ptctl own lend: handles, pieces, who has it")
def _():
    m = Owned()
    ptctl = ptd().ptctl
    ptctl("own", "lend", m.name, "64K", "--to", "plain,guarded", "--pa", "4M", "--zero", "--more", "8M:64K")
    equal((m.owner(4 << 20), m.owner(8 << 20)), ((HOST, LENT), (HOST, LENT)))
    equal(ptctl("own", "lendings", m.name, "-o", "tsv", "--no-legend").stdout, "0x1\thost\tlent\t131072\t\t\tyes\tplain,guarded\n")
    ptctl("own", "retrieve", m.name, "1", "--to", "plain", "--ipa", "1G")
    equal("plain at 0x40000000,guarded" in ptctl("own", "lendings", m.name).stdout, True)
    ptctl("own", "relinquish", m.name, "1", "--from", "plain")
    ptctl("own", "reclaim", m.name, "--lend-handle", "1")
    equal(m.owner(8 << 20), (HOST, OWNED))
    ptctl("own", "donate", m.name, "64K", "--to", "guarded", "--pa", "4M", "--ipa", "1G")
    ptctl("own", "lend", m.name, "4K", "--from", "guarded", "--to", "plain", "--ipa", "1G", "--lend-size", "8K")
    ptctl("own", "lend", m.name, "4K", "--from", "guarded", "--ipa", "0x4000_8000", "--lend-handle", "2")
    equal(m.get(0x408000, PAGE)[0].lend_handle, 2)
    ptctl("own", "reclaim", m.name, "--lend-handle", "2", "--to", "guarded")
    equal(m.owner(0x408000), (GUEST, OWNED))
    equal(ptctl("own", "reclaim", m.name, check=False).returncode, 2)


@test("GetOwner and ListOwners: the machine, a part of its memory, pages")
@covers("GetOwnerRequest.machine", "GetOwnerRequest.pa", "GetOwnerRequest.size", "ListOwnersRequest.machine",
        "ListOwnersRequest.page_size", "ListOwnersRequest.page_token")
def _():
    m, other = Owned(), Owned()
    for i in range(5):
        m.transfer(SHARE, HOST, HYP, pa=PA + 2 * i * PAGE)
    equal([(r.pa, r.size) for r in m.get(PA + PAGE, 2 * PAGE)], [(PA + PAGE, PAGE), (PA + 2 * PAGE, PAGE)])
    equal([(r.pa, r.size) for r in m.get(PAGE)], [(0, PA)])
    seen, token = [], ""
    while True:
        reply = m.list(page_size=4, page_token=token)
        true(len(reply.ranges) <= 4)
        seen += [(r.pa, r.size) for r in reply.ranges]
        token = reply.next_page_token
        if not token:
            break
    equal(len(seen), 11)
    equal([pa for pa, _size in seen[1:]], [pa + size for pa, size in seen[:-1]])
    equal(seen[-1][0] + seen[-1][1], 64 << 20)
    equal(len(other.list().ranges), 1)
    first = m.list(page_size=4).next_page_token
    refused("INVALID", other.list, page_token=first)


@test("WatchOwners: the machine, and where to go on")
@covers("WatchOwnersRequest.machine", "WatchOwnersRequest.after_seq")
def _():
    m, other = Owned(), Owned()
    for i in range(3):
        m.transfer(SHARE, HOST, HYP, pa=PA + i * PAGE)
    other.transfer(SHARE, HOST, HYP, pa=PA)

    def watch(which, **fields):
        return stub("ownership").WatchOwners(pb("ownership").WatchOwnersRequest(machine=which, **fields), timeout=20)

    events = watch(m.machine.handle, after_seq=1)
    equal([(e.seq, e.kind, e.after.pa, e.before.state, e.after.state) for e in (next(events), next(events))],
          [(2, SHARE, PA + PAGE, OWNED, SHARED), (3, SHARE, PA + 2 * PAGE, OWNED, SHARED)])
    m.transfer(DONATE, HOST, m.guarded, pa=0, ipa=IPA)
    event = next(events)
    equal((event.seq, event.kind, event.after.owner.context), (4, DONATE, m.guarded))
    events.cancel()
    lines = ptd().ptctl("own", "watch", m.name, "--after", "2", "--count", "2", "-o", "tsv").stdout.splitlines()
    equal([line.split("\t")[0] for line in lines], ["seq", "3", "4"])
    refused("INVALID", lambda: next(watch(other.machine.handle, after_seq=2)))


@test("ptctl: a guest is topped up, and ends step by step")
def _():
    m = Owned()
    ptctl = ptd().ptctl
    fed = f"{m.name}/fed"
    donation = ("own", "donate", m.name, "4K", "--to", "fed", "--pa", "0", "--ipa", "1G")
    ptctl("context", "create", fed, "--protected", "--topped-up")
    equal(ptctl(*donation, check=False).returncode, 1)
    ptctl("own", "top-up", m.name, "8K", "--to", "fed", "--pa", "8M")
    ptctl(*donation)
    true('"CONTEXT_STATE_DYING"' in ptctl("context", "teardown", fed, "-o", "json").stdout)
    true(ptctl("context", "finalize", m.name, fed, check=False).returncode)
    ptctl("own", "reclaim-dying", m.name, "2M", "--from", "fed", "--ipa", "1G")
    ptctl("context", "finalize", m.name, fed)
    equal((m.owner(0), m.owner(8 << 20)), ((HOST, OWNED), (HOST, OWNED)))


@test("ptctl own: a guest's table pages and a dying guest have no options but those that they take")
def _():
    m = Owned()
    ptctl, fed = ptd().ptctl, f"{m.name}/fed"

    def run(verb, *flags, **options):
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()] + list(flags)
        listed = ptctl("own", verb, "--help").stdout.split("options of all commands")[0].split("options:")[1]
        equal({line.split()[0] for line in listed.splitlines() if line.strip()}, {w.split("=")[0] for w in words}, verb)
        ptctl("own", verb, m.name, "8K", *words)

    ptctl("context", "create", fed, "--protected", "--topped-up")
    top_up = {"to": "fed", "pa": "8M", "more": "10M:8K", "if_generation": m.generation(), "request_id": "00" * 15 + "2b"}
    run("top-up", "--dry-run", **top_up)
    equal(m.owner(8 << 20), (HOST, OWNED))
    ptctl("own", "top-up", m.name, "8K", "--to", "fed", "--pa", "8M")
    ptctl("own", "donate", m.name, "8K", "--to", "fed", "--pa", "0", "--ipa", "1G")
    ptctl("context", "teardown", fed)
    run("reclaim-dying", **{"from": "fed", "ipa": "1G", "request_id": "00" * 15 + "2c"})
    equal(m.owner(PAGE), (HOST, OWNED))
    ptctl("context", "finalize", m.name, fed)


@test("ptctl own: transfers, lists, sums and pictures")
def _():
    m = Owned()
    ptctl = ptd().ptctl
    where = ["--pa", "2M", "--ipa", "0x4000_0000"]
    ptctl("own", "share", m.name, "64K", "--to", "plain", "--prot", "rw", *where)
    ptctl("own", "donate", m.name, "64K", "--to", f"{m.name}/guarded", "--pa", "4M", "--ipa", "1G", "--zero")
    ptctl("own", "share", m.name, "4K", "--from", "guarded", "--ipa", "1G")
    ptctl("own", "share", m.name, "4K", "--to", "hyp", "--pa", "8M", "--request-id", "00" * 15 + "2a")
    ptctl("own", "pin", m.name, "8M", "4K")
    done = ptctl("own", "unshare", m.name, "4K", "--to", "hyp", "--pa", "8M", check=False)
    equal(f"object {m.name}, address 0x800000\n" in done.stderr, True, done.stderr)  # of a frame: it is no IPA
    equal(done.returncode, 1)
    true("PTD-E0072" in done.stderr, done.stderr)
    ptctl("own", "unpin", m.name, "8M", "4K")
    lines = ptctl("own", "show", m.name, "-o", "tsv").stdout.splitlines()
    equal(lines[0].split("\t"), ["pa", "size", "owner", "state", "borrowers", "ipa", "lending", "request_id"])
    true(f"0x400000\t4096\tguarded\tshared\t1\t0x40000000\t\t" in lines, lines)
    true(f"0x800000\t4096\thost\tshared\t1\t\t\t{'00' * 15}2a" in lines, lines)
    equal(ptctl("own", "show", m.name, "--matrix", "-o", "tsv").stdout,
          "owner\towned\tshared\tlent\tall\n"
          f"host\t{(64 << 20) - 0x21000}\t{0x11000}\t0\t{(64 << 20) - 0x10000}\n"
          f"guarded\t{0xf000}\t{0x1000}\t0\t{0x10000}\n")
    true("  A  guarded, owned: 60K\n" in ptctl("own", "map", m.name).stdout)
    root = xml.etree.ElementTree.fromstring(ptctl("own", "map", m.name, "-o", "svg").stdout)
    true(any("guarded, owned: 60K" in (t.text or "") for t in root.iter("{http://www.w3.org/2000/svg}text")))
    ptctl("own", "reclaim", m.name, "0x40f000", "4K")
    equal(m.owner(0x40f000), (HOST, OWNED))
    equal(ptctl("own", "donate", m.name, "4K", "--to", "nobody", "--pa", "0", check=False).returncode, 6)
    ptctl("context", "delete", f"{m.name}/guarded")
    equal(m.owner(0x400000), (HOST, OWNED))


@test("the picture in docs is what a seeded run of transfers comes to")
def _():
    with open(os.path.join(TREE, "docs", "owners.svg"), encoding="ascii") as file:
        true(own_picture.picture(ptd()) == file.read(), "tests/e2e/own_picture.py > docs/owners.svg")


main()
