# SPDX-License-Identifier: BSD-2-Clause
"""Clients of ptd-checked that move memory in one machine with owners; they are killed in turn, while failpoints fail others.

Each client is a process that sends what the oracle draws and tells the answer. It has frames of its own, between those of
the others in the same blocks, and three guests: transitions, batches of them, lendings, and the ends of guests. world.py
says whether an operation passes and what it makes. An operation without an answer has happened or it has not, as a whole:
half of them are asked again with the same request id, of the others ListOwners, ListLendings and the guests' tables say
which. WatchOwners is followed all the time: no number is missing, and each event begins where the last one ended.
At the end all guests are deleted, all memory is the host's again, and nothing is recorded of it.

    tests/torture/owners.py          PTD_SEED=N, PTD_SECONDS=N (20): as clients.py
"""
import collections
import json
import os
import random
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]
import ptdtest  # noqa: E402
from drawing import BLOCK, CLIENTS, LIFE, Drawing, frames_of  # noqa: E402
from failing import Failures, await_sockets, sockets  # noqa: E402
from owned import LACKING, MEMORY, NAME, Machine, Watch, persist, told  # noqa: E402
from ptdtest import OUTCOME, PAGE, SEED, equal, test, true  # noqa: E402
from world import (  # noqa: E402
    DONATE, FORCE_RECLAIM, FRAMES, GUEST, GUESTS, GUESTS_OWN, HOST, LEND, NEW, PLAIN, RECLAIM, RELINQUISH, RETRIEVE, World)

SECONDS = float(os.environ.get("PTD_SECONDS", "20"))
IPA, SPARE = 0x4000_0000, 24 << 20
REFUSED = ("WRONG_OWNER", "WRONG_STATE", "NOT_MAPPED", "POISONED", "BUSY", "NOT_FOUND")
AGAIN = (*LIFE, "pin", "unpin")      # in parts, or nobody can see it


# ---- a client: it sends what it is told to, and tells what came

def client(target):
    import grpc
    channel = grpc.insecure_channel(target, options=[("grpc.default_authority", "localhost")])
    stubs = __import__("ptd.v1.ownership_pb2_grpc", fromlist=["OwnershipServiceStub"]).OwnershipServiceStub(channel)
    pb = ptdtest.Daemon.pb("ownership")
    for line in sys.stdin:
        method, request, again = json.loads(line)
        request = getattr(pb, method + "Request").FromString(bytes.fromhex(request))
        for _attempt in range(2 if again else 1):
            try:
                answer = ["ok", getattr(stubs, method)(request, timeout=2).SerializeToString().hex()]
            except grpc.RpcError as error:
                code = ptdtest.error_code(error)
                lost = code in (None, OUTCOME["INJECTED"], OUTCOME["DEADLINE"], OUTCOME["CANCELLED"])
                answer = ["lost", str(error.code())] if lost else ["no", code, error.details()]
            if answer[0] != "lost":
                break
        print(json.dumps(answer), flush=True)


# ---- the oracle's side of a client

class Owner:
    def __init__(self, number, machine, draw):
        self.number, self.machine, self.draw = number, machine, draw
        self.runs = frames_of(number)
        self.world = World([f for first, n in self.runs for f in range(first, first + n)])
        self.drawing, self.made, self.sent = Drawing(number, draw), 0, 0
        self.handles = [self.make_guest(g) for g in range(GUESTS)]
        self.answers = dict.fromkeys(("ok", "no", "lost", "killed", "done without an answer", "lacking"), 0)
        self.names, self.history = {}, collections.deque(maxlen=12)
        self.start()

    def make_guest(self, g):
        self.made += 1
        return self.machine.make(f"c{self.number}-{self.made}", protected=g != PLAIN, topped_up=False)

    def start(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--client", self.machine.ptd.target()],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest, self.connected, self.op = b"", False, None

    # ---- what is sent

    def party(self, g):
        return HOST if g is None else self.handles[g]

    def transition(self, op):
        name, items, wipe = op
        for f, g, a, n in items:
            at = {"size": n * PAGE}
            if name in FRAMES:
                kind, giver, receiver = FRAMES[name][:3]
                yield self.machine.item(kind, giver, receiver, pa=f * PAGE, **at)
            elif name == "force reclaim":
                yield self.machine.item(FORCE_RECLAIM, GUEST, HOST, pa=f * PAGE, **at)
            else:
                kind, gives, by_frame, by_address = GUESTS_OWN[name]
                if by_frame:
                    at["pa"] = f * PAGE
                if by_address:
                    at["ipa"] = IPA + a * PAGE
                if name == "share with guest":
                    at["prot"] = 3
                if name == "donate to guest":
                    at["zero"] = wipe
                yield self.machine.item(kind, *((self.handles[g], HOST) if gives else (HOST, self.handles[g])), **at)

    def lend_item(self, op):
        name, item = op[0], self.machine.item
        if name == "retrieve":
            return [item(RETRIEVE, None, self.handles[op[2]], ipa=IPA + op[3] * PAGE, lend_handle=op[1])]
        if name == "relinquish":
            return [item(RELINQUISH, self.handles[op[2]], lend_handle=op[1])]
        if name == "take back":
            return [item(RECLAIM, None, self.party(self.world.lendings[op[1]]["lender"]), lend_handle=op[1])]
        lender = op[1] if name == "lend" else self.world.lendings[op[1]]["lender"]

        def at(first, n):
            return {"pa": first * PAGE, "size": n * PAGE} if lender is None else {"ipa": IPA + first * PAGE, "size": n * PAGE}
        if name == "piece":
            return [item(LEND, self.party(lender), lend_handle=op[1], **at(*op[2:]))]
        _name, lender, borrowers, runs, size, wipe = op
        pb = self.machine.pb
        first = item(LEND, self.party(lender), zero=wipe, lend_size=size * PAGE, lend_timeout_ms=3_600_000,
                     borrowers=[pb.Party(kind=GUEST, context=self.handles[b]) for b in borrowers], **at(*runs[0]))
        return [first, *(item(LEND, **at(*run)) for run in runs[1:])]

    def request(self, op):
        pb, machine = self.machine.pb, self.machine.handle
        if op[0] == "teardown":
            return "TeardownGuest", pb.TeardownGuestRequest(context=self.handles[op[1]], request_id=self.id)
        if op[0] == "finalize":
            return "FinalizeGuest", pb.FinalizeGuestRequest(machine=machine, guest=self.handles[op[1]], request_id=self.id)
        transition = op[0] in FRAMES or op[0] in GUESTS_OWN or op[0] == "force reclaim"
        return "Transfer", pb.TransferRequest(machine=machine, request_id=self.id,
                                              items=list(self.transition(op) if transition else self.lend_item(op)))

    def send(self, life):
        self.sent += 1
        self.id = b"client %d" % self.number + self.sent.to_bytes(8, "little")
        self.op = self.drawing.op(self.world, life)
        self.asked = self.request(self.op)
        words = [self.asked[0], self.asked[1].SerializeToString().hex(), self.draw.random() < 0.5]
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()

    # ---- what comes back

    def hear(self):
        """False: there is not a whole answer yet."""
        self.rest += os.read(self.process.stdout.fileno(), 1 << 16)
        if not self.rest.endswith(b"\n"):
            return False
        words, self.rest, self.connected = json.loads(self.rest), b"", True
        self.settle(words)
        return True

    def settle(self, words):
        op, self.op = self.op, None
        what = f"client {self.number}: {op}"
        self.history.append((op, words[0], words[1] if words[0] != "ok" else ""))
        right = self.world.right(op)
        self.answers[words[0]] += 1
        if words[0] == "ok":
            true(right, f"{what}: done, and should be refused")
            self.names[op[0]] = self.names.get(op[0], 0) + 1
            self.done(op, bytes.fromhex(words[1]))
        elif words[0] == "no":
            name = NAME[words[1]]
            true(name in LACKING if right else name in (*REFUSED, *LACKING), f"{what}: {name} ({words[2]}), right: {right}; before it {self.history}")
            self.answers["lacking"] += name in LACKING
            self.world.refused(op)
            if op[0] == "reclaim, dying":
                self.finish(op)
        elif op[0] in AGAIN or self.draw.random() < 0.5:
            self.finish(op)
        else:
            self.look(op)

    def done(self, op, reply):
        handle = NEW
        if op[0] == "lend":
            reply = self.machine.pb.TransferResponse.FromString(reply)
            handle = reply.lend_handle[0]
            true(handle not in self.world.lendings, f"lending {handle} is there")
        self.world.does(op, handle)
        if op[0] == "finalize":
            self.handles[op[1]] = self.make_guest(op[1])

    def finish(self, op):
        """The same again with the same id: one effect, and the answer to it."""
        self.history.append("again")
        import grpc
        method, request = self.asked
        right = self.world.right(op)
        more = LACKING if op[0] in LIFE else ()
        try:
            reply = persist(getattr(self.machine.stub, method), request, more)
        except grpc.RpcError as error:
            name = NAME[ptdtest.error_code(error)]
            if name == "CANCELLED":
                self.look(op)
                return
            true(name in LACKING if right else name in (*REFUSED, *LACKING), f"client {self.number}: {op}, again: {name}, {right}")
            self.world.refused(op)
            return
        true(right, f"client {self.number}: {op}, again: done, and should be refused")
        self.done(op, reply.SerializeToString())

    # ---- which of the two it is

    def observe(self):
        mine = set(self.handles)
        list(self.machine.leaves(self.machine.host, 0, MEMORY))  # what is under way ends first
        leaves = [{a - IPA // PAGE: (f, s) for a, f, s in self.machine.leaves(h, IPA, 8 * BLOCK * PAGE)} for h in self.handles]
        owners, ids = {}, {}
        for r in self.machine.owners():
            first = r.pa // PAGE
            for n in range(r.size // PAGE):
                f = first + n
                if f in self.world.frame:
                    ipa = (r.ipa - IPA) // PAGE + n if r.owner.kind == GUEST else 0
                    owners[f] = (r.owner.kind, r.owner.context if r.owner.kind == GUEST else 0, r.state, ipa, r.lend_handle, r.tables_of)
                    ids[f] = r.request_id
                    shares = self.world.frame[f]
                    if not n and shares[0] == "with guests" and self.op is None:
                        equal(r.borrowers, shares[1], f"client {self.number}: borrowers of {f:#x}")
        states = self.machine.states()
        lendings = {}
        for one in self.machine.lendings():
            parties = {b.party.context for b in one.borrowers} | {one.lender.context}
            if one.handle in self.world.lendings or parties & mine:
                has = sorted((self.handles.index(b.party.context), (b.ipa - IPA) // PAGE) for b in one.borrowers if b.has)
                lendings[one.handle] = (one.state == 1, one.size // PAGE, one.named // PAGE if one.state == 1 else 0, has)
        seen = {"owners": owners, "live": [states[h] == 1 for h in self.handles], "leaves": leaves, "lendings": lendings}
        return seen, ids

    def ends(self, op):
        """Worlds that may be the case, as it was first."""
        worlds = [self.world.copy()]
        if op and self.world.right(op):
            worlds.append(self.world.copy())
            worlds[-1].does(op)
        if op and op[0] == "piece":  # given up, or refused
            worlds.append(self.world.copy())
            worlds[-1].refused(op)
        return worlds

    def look(self, op):
        """Has the operation without an answer happened? One or the other, as a whole."""
        self.op = op
        seen, ids = self.observe()
        worlds = self.ends(op)
        new = set(seen["lendings"]) - set(self.world.lendings)
        for n, world in enumerate(worlds):
            if NEW in world.lendings and len(new) == 1:
                world.rename(min(new))
            if world.told(self.handles) == seen:
                if n == 1 and worlds[0].told(self.handles) != seen:
                    self.answers["done without an answer"] += 1
                    for f, was in worlds[0].told(self.handles)["owners"].items():
                        if was != seen["owners"][f] and seen["owners"][f] != (HOST, 0, 1, 0, 0, 0) and op[0] not in LIFE:
                            equal(ids[f], self.id, f"client {self.number}: {op}: the request of {f:#x}")
                self.world, self.op = world, None
                return
        told_as = [world.told(self.handles) for world in worlds]
        wrong = {part: [differ(t[part], seen[part]) for t in told_as] for part in seen}
        raise AssertionError(f"client {self.number}: after {op} (of {len(worlds)}): {wrong}")

    def kill(self):
        before = sockets(self.machine.ptd)
        self.process.kill()
        self.process.wait()
        rest = self.rest + self.process.stdout.read()
        self.answers["killed"] += 1
        await_sockets(self.machine.ptd, before - 1)
        if self.op and rest.endswith(b"\n"):
            self.settle(json.loads(rest))
        elif self.op and (self.op[0] in AGAIN or self.draw.random() < 0.3):
            op, self.op = self.op, None
            self.finish(op)
        self.look(self.op)


def differ(wanted, seen):
    if isinstance(wanted, dict):
        return [(k, wanted.get(k), seen.get(k)) for k in {**wanted, **seen} if wanted.get(k) != seen.get(k)][:3]
    return [(n, differ(w, s) if isinstance(w, dict) else (w, s)) for n, (w, s) in enumerate(zip(wanted, seen)) if w != s]


# ---- all of it

def run_for(owners, seconds, life):
    """Each client has had an answer then: it is connected."""
    pause, until = time.monotonic() + seconds, time.monotonic() + 60
    while time.monotonic() < pause or not all(owner.connected for owner in owners):
        true(time.monotonic() < until, "a client gets no answer")
        for owner in owners:
            true(owner.process.poll() is None, f"client {owner.number} has ended by itself")
            if not owner.op:
                owner.send(life)
        ready, _w, _x = select.select([owner.process.stdout for owner in owners], [], [], 0.05)
        for owner in owners:
            if owner.process.stdout in ready:
                owner.hear()


def touch_all(machine, owners, draw):
    for owner in owners:
        for first, pages in owner.runs:
            machine.touch(machine.host, (first + draw.randrange(pages)) * PAGE)
        for g in range(GUESTS):
            if owner.world.live[g] and not owner.op:
                machine.touch(owner.handles[g], IPA + draw.choice([0, *owner.world.cells[g]]) * PAGE)


def torture(machine, draw):
    failures = Failures(machine.ptd, 0)
    owners = [Owner(n, machine, draw) for n in range(CLIENTS)]
    until, turn = time.monotonic() + SECONDS, 0
    points = len(failures.failed)
    try:
        while time.monotonic() < until or turn < 2 * points:
            failures.arm(turn % points, draw.getrandbits(32))
            touch_all(machine, owners, draw)
            run_for(owners, draw.uniform(0.3, 1.0), life=turn % points != 0)  # the first lets memory be lacking
            failures.end()
            owners[turn % CLIENTS].kill()
            owners[turn % CLIENTS].start()
            turn += 1
        run_for(owners, 0, True)
        for owner in owners:
            owner.kill()
    finally:
        for owner in owners:
            owner.process.kill()
            owner.process.wait()
    return owners, failures


def end_guests(machine, owners):
    """Borrowers first; what a dying lender has lent comes back when the last borrower is gone."""
    left = [h for owner in owners for h in owner.handles]
    for _attempt in range(GUESTS):
        for handle in list(left):
            try:
                machine.contexts.DeleteContext(machine.context_pb.DeleteContextRequest(handle=handle))
                left.remove(handle)
            except Exception as error:  # noqa: BLE001
                equal(NAME[ptdtest.error_code(error)], "BUSY", f"the end of {handle:#x}")
    equal(left, [], "guests that do not end")


def give_back(machine, owners):
    """What the host has lent or shared, and what hyp has."""
    pb = machine.pb

    def transfer(item):
        machine.stub.Transfer(pb.TransferRequest(machine=machine.handle, items=[item]))
    undo = {"with hyp": "unshare from hyp", "hyp": "return from hyp", "third": "unshare from third"}
    for owner in owners:
        for f, state in owner.world.frame.items():
            pins = state[1] if state[0] == "with hyp" else 0
            for name in ["unpin"] * pins + [undo[state[0]]] if state[0] in undo else []:
                kind, giver, receiver = FRAMES[name][:3]
                transfer(machine.item(kind, giver, receiver, pa=f * PAGE, size=PAGE))
    for one in sorted(machine.lendings(), key=lambda one: -one.state):  # the host's; a list that is open still is completed
        equal(one.lender.kind, HOST)
        if one.state == 1:
            transfer(machine.item(LEND, HOST, lend_handle=one.handle, pa=SPARE, size=one.size - one.named))
        transfer(machine.item(RECLAIM, None, HOST, lend_handle=one.handle))


@test("clients that are failed and killed leave each frame with whom the oracle says")
def _():
    with ptdtest.Daemon(loops=2, args=["--allow-failpoints"], program="ptd-checked") as ptd:
        machine = Machine(ptd)
        for kind, giver, receiver in ((DONATE, HOST, 2), (DONATE, 2, HOST)):  # the first two numbers
            machine.stub.Transfer(machine.pb.TransferRequest(machine=machine.handle, items=[
                machine.item(kind, giver, receiver, pa=0, size=PAGE)]))
        watch = Watch(machine, 1)
        watch.start()
        owners, failures = torture(machine, random.Random(SEED))
        end_guests(machine, owners)
        give_back(machine, owners)
        equal([(r.pa, r.size, told(r)) for r in machine.owners()], [(0, MEMORY, (HOST, machine.host, 1))])
        equal((len(machine.lendings()), list(machine.states())), (0, [machine.host]))
        until, host = time.monotonic() + 10, (HOST, machine.host, 1)
        while not watch.wrong and (machine.pages() or watch.elsewhere(host)) and time.monotonic() < until:
            time.sleep(0.05)
        equal((watch.wrong, machine.pages(), watch.elsewhere(host)), (None, 0, []))
        watch.ended = True
        for owner in owners:
            print(f"# client {owner.number}: {owner.answers}")
            true(all(owner.answers[word] for word in ("ok", "no", "killed")), "an answer that never came")
        print(f"# passed: {({n: sum(o.names.get(n, 0) for o in owners) for n in sorted({n for o in owners for n in o.names})})}")
        print(f"# events: {watch.events}, overflows {watch.overflows}, frames compared {watch.compared}")
        print(f"# failures: {failures.failed}")
        true(all(failures.failed), "a failpoint that never failed")
        true(sum(owner.answers["lost"] for owner in owners), "no answer was lost")
        true(watch.compared, "the watch has told nothing")


if sys.argv[1:2] == ["--client"]:
    client(sys.argv[2])
else:
    ptdtest.main()
