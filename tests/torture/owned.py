# SPDX-License-Identifier: BSD-2-Clause
"""A machine with owners, as the oracle of owners.py asks it, and its watch."""
import collections
import threading

import ptdtest
from ptdtest import OUTCOME, PAGE, equal
from world import GUEST

MEMORY = 32 << 20
NAME = {number: name for name, number in OUTCOME.items()}
LACKING = ("NO_MEMORY", "QUOTA")


def persist(call, request, more=()):
    """Until there is an answer; `more`: refusals that are asked again, too."""
    import grpc
    for _attempt in range(400):
        try:
            return call(request, timeout=10)
        except grpc.RpcError as error:
            code = ptdtest.error_code(error)
            if code not in (None, OUTCOME["INJECTED"]) and NAME[code] not in more:
                raise
    raise AssertionError("no answer to 400 calls")


class Machine:
    def __init__(self, ptd):
        self.ptd = ptd
        machine, self.context_pb, self.pb = (ptd.pb(n) for n in ("machine", "context", "ownership"))
        self.contexts, self.stub = ptd.stub("context", "ContextService"), ptd.stub("ownership", "OwnershipService")
        self.machines = ptd.stub("machine", "MachineService")
        self.handle = self.machines.CreateMachine(machine.CreateMachineRequest(
            name="m", memory_bytes=MEMORY, vcpus=1, owners=True)).machine.handle
        self.ids = 0
        self.host = self.make("host", kind=2, identity=True)
        persist(self.contexts.SetSlot, self.context_pb.SetSlotRequest(
            context=self.host, slot=self.context_pb.Slot(size=MEMORY, backing=2 << 20)))
        self.faults, self.fault_pb = ptd.stub("fault", "FaultService"), ptd.pb("fault")

    def id(self):
        self.ids += 1
        return b"oracle  " + self.ids.to_bytes(8, "little")

    def make(self, name, kind=1, **options):
        return persist(self.contexts.CreateContext, self.context_pb.CreateContextRequest(
            machine=self.handle, name=name, kind=kind, request_id=self.id(),
            options=self.context_pb.ContextOptions(**options)), more=LACKING).context.handle

    def touch(self, context, ipa):
        """A context that has run is in TLBs: what it loses is invalidated. The host's blocks come this way."""
        persist(self.faults.Access, self.fault_pb.AccessRequest(context=context, ipa=ipa, access=1, length=1), LACKING)

    def states(self):
        return {c.handle: c.state for c in persist(self.contexts.ListContexts, self.context_pb.ListContextsRequest(
            machine=self.handle)).contexts}

    def pages(self):
        """That hold records and index."""
        request = self.ptd.pb("machine").GetMachineRequest(handle=self.handle)
        return persist(self.machines.GetMachine, request).machine.owner_pages

    def owners(self):
        ranges, token = [], ""
        while True:
            reply = persist(self.stub.ListOwners, self.pb.ListOwnersRequest(machine=self.handle, page_token=token))
            ranges += reply.ranges
            token = reply.next_page_token
            if not token:
                return ranges

    def leaves(self, context, ipa, size):
        """(page, output page, software bits) of what is valid; what is under way there ends first."""
        end = ipa + size
        while ipa < end:
            reply = persist(self.contexts.DumpContext, self.context_pb.DumpContextRequest(
                context=context, ipa=ipa, size=end - ipa, stable=True))
            for base, level, entry, count in zip(reply.ipa, reply.level, reply.descriptor, reply.count, strict=True):
                for n in range(count << 9 * (3 - level) if entry & 1 else 0):
                    yield base // PAGE + n, (entry & 0xFFFF_FFFF_F000) // PAGE + n, entry >> 55 & 3
            if reply.done:
                return
            ipa = reply.next_ipa

    def lendings(self):
        return persist(self.stub.ListLendings, self.pb.ListLendingsRequest(machine=self.handle)).lendings

    def item(self, kind, giver=None, receiver=None, **fields):
        """Parties are kinds, or handles of guests."""
        def party(who):
            return self.pb.Party(kind=GUEST, context=who) if who > 4 else self.pb.Party(kind=who)
        item = self.pb.TransferItem(kind=kind, to=party(receiver) if receiver else None, **fields)
        if giver:
            getattr(item, "from").CopyFrom(party(giver))
        return item


# ---- the watch

def told(r):
    return r.owner.kind, r.owner.context, r.state


class Watch(threading.Thread):
    """Follows the machine: seq rises by one, and what was before is what an event had left."""

    def __init__(self, machine, seq):
        super().__init__(daemon=True)
        self.machine, self.seq, self.now = machine, seq, {}
        self.events = self.overflows = self.compared = 0
        self.wrong, self.ended, self.last = None, False, collections.deque(maxlen=4096)

    def run(self):
        import grpc
        try:
            while not self.ended:
                try:
                    for event in self.machine.stub.WatchOwners(self.machine.pb.WatchOwnersRequest(
                            machine=self.machine.handle, after_seq=self.seq), timeout=5):
                        self.take(event)
                except grpc.RpcError as error:
                    if ptdtest.error_code(error) not in (None, OUTCOME["INJECTED"], OUTCOME["DEADLINE"]):
                        raise
        except Exception as error:  # noqa: BLE001 (told by the main thread)
            self.wrong = repr(error)

    def of(self, page):
        return [e for e in self.last if e[3] <= page < e[3] + e[4]][-6:]

    def elsewhere(self, host):
        """Frames that by the events are not what all are at the end."""
        return [(page, known) for page, known in list(self.now.items()) if known and known[2] != host]

    def take(self, event):
        if event.overflow:
            self.overflows, self.now, self.seq = self.overflows + 1, {}, event.seq
            return
        equal(event.seq, self.seq + 1, "a number is missing")
        self.seq, self.events = event.seq, self.events + 1
        first, count, before, after = event.after.pa // PAGE, event.after.size // PAGE, told(event.before), told(event.after)
        self.last.append((event.seq, event.kind, event.mixed, first, count, before, after))
        for page in range(first, first + count):
            known = self.now.get(page)
            if known and known != (event.kind, before, after) and (not event.mixed or page == first):
                equal(before, known[2], f"frame {page:#x}: {self.of(page)}")
                self.compared += 1
            self.now[page] = None if event.mixed else (event.kind, before, after)
