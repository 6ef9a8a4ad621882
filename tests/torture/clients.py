# SPDX-License-Identifier: BSD-2-Clause
"""Three seeded clients change one context of ptd-checked; they are killed in turn, while failpoints fail others.

Each client is a process that tells what it asks before it asks, and the answer after it. It owns stripes of pages
between those of the others, in the same tables and blocks, so that claims, table pages and splits meet. The oracle is
here: what an operation makes of its own pages, and what it answers. An operation without an answer (its client was
killed, the answer was dropped or late) has happened or it has not, as a whole: the tables say which. After each of
those, and at the end, the daemon's dump is what the oracle says.

    tests/torture/clients.py         PTD_SEED=N repeats what clients ask and when failpoints are armed, not who comes first
    PTD_SECONDS=N                    how long (20)
"""
import json
import os
import random
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]
import ptdtest  # noqa: E402
from failing import POINTS, Failures, await_sockets, sockets  # noqa: E402
from ptdtest import OUTCOME, PAGE, SEED, equal, test, true  # noqa: E402

CLIENTS, BLOCK = 3, 2 << 20
SECONDS = float(os.environ.get("PTD_SECONDS", "20"))
IPA, BLOCKS, PAGES, STRIPE = 0x4000_0000, 12, 512, 8
MAP, UNMAP, PROTECT, WRITE_PROTECT = 1, 2, 3, 4
REPLACE, ATOMIC = 1, 1
R, RW = 1, 3
NAME = {number: name for name, number in OUTCOME.items()}


# ---- what belongs to whom: of each twelve blocks, whole ones and the stripes of the last six

def owned_runs(number):
    """(first page, pages) that a client may change: blocks as a whole, and stripes."""
    blocks = [(b * PAGES, PAGES) for b in range(BLOCKS // 2) if b % CLIENTS == number]
    stripes = [(p, STRIPE) for p in range(BLOCKS // 2 * PAGES, BLOCKS * PAGES, STRIPE)
               if p // STRIPE % CLIENTS == number]
    return blocks, stripes


# ---- the oracle: page -> (output page, rights), for the pages of one client

def apply_item(pages, item):
    """The item's outcome, and what it makes of `pages`, which is changed."""
    kind, first, count, output, prot = item
    before = [pages.get(p) for p in range(first, first + count)]
    after = list(before)
    for n, old in enumerate(before):
        if kind == MAP:
            after[n] = (output + n, prot)
        elif kind == UNMAP:
            after[n] = None
        elif old and kind == PROTECT:
            after[n] = (old[0], prot)
        elif old:
            after[n] = (old[0], old[1] & R)
    for n, new in enumerate(after):
        if new:
            pages[first + n] = new
        else:
            pages.pop(first + n, None)
    if kind == MAP:
        return {"MAPPED"} if after != before else {"ALREADY_MAPPED", "MAPPED"}
    if not any(before):
        return {"HOLE"}
    if kind == UNMAP:
        return {"UNMAPPED"}
    if after == before:
        return {"ALREADY_MAPPED"}
    lost = any(old and old[1] & ~new[1] for old, new in zip(before, after) if old)
    return {"PROTECTED"} if lost else {"RELAXED"}


# ---- a client: a process of its own

class Client:
    def __init__(self, number, seed, endpoint, context):
        import grpc
        self.grpc, self.draw, self.context = grpc, random.Random(seed), context
        self.blocks, self.stripes = owned_runs(number)
        self.pb = ptdtest.Daemon.pb("mapping")
        stubs = __import__("ptd.v1.mapping_pb2_grpc", fromlist=["MappingServiceStub"])
        channel = grpc.insecure_channel(endpoint, options=[("grpc.default_authority", "localhost")])
        self.apply = stubs.MappingServiceStub(channel).Apply
        self.id = 0
        self.tag = os.getpid().to_bytes(8, "little")

    def item(self):
        draw = self.draw
        first, count = draw.choice(self.blocks if draw.random() < 0.3 else self.stripes)
        if draw.random() < 0.5:
            start = draw.randrange(count)
            first, count = first + start, draw.randint(1, count - start)
        kind = draw.choice((MAP, MAP, MAP, UNMAP, UNMAP, PROTECT, WRITE_PROTECT))
        return [kind, first, count, first + draw.choice((0, 0, 0, PAGES)), draw.choice((R, RW, RW))]

    def items(self):
        items = sorted((self.item() for _n in range(self.draw.choice((1, 1, 1, 2, 6)))), key=lambda i: i[1])
        apart = items[:1]
        for item in items[1:]:
            if item[1] >= apart[-1][1] + apart[-1][2]:
                apart.append(item)
        return apart

    def request(self, items):
        self.id += 1
        maps = [i[0] == MAP for i in items]
        return self.pb.ApplyRequest(context=self.context, mode=ATOMIC, want_outcomes=True,
                                    request_id=self.tag + self.id.to_bytes(8, "little"), ops=self.pb.Ops(
            ipa=[IPA + i[1] * PAGE for i in items], size=[i[2] * PAGE for i in items],
            pa=[i[3] * PAGE if m else 0 for i, m in zip(items, maps)], kind=[i[0] for i in items],
            prot=[i[4] if i[0] in (MAP, PROTECT) else 0 for i in items], flags=[REPLACE if m else 0 for m in maps]))

    def ask(self, request):
        """["ok", outcomes], ["no", code], or ["lost"]."""
        try:
            reply = self.apply(request, timeout=2)
        except self.grpc.RpcError as error:
            code = ptdtest.error_code(error)
            return ["lost", str(error.code())] if code in (None, OUTCOME["INJECTED"]) else ["no", code, error.details()]
        return ["ok", list(reply.outcome)]

    def run(self):
        while True:
            items = self.items()
            request = self.request(items)
            tell("ask", items)
            answer = self.ask(request)
            if answer[0] == "lost" and self.draw.random() < 0.8:  # the same again: one effect, one answer
                answer = self.ask(request)
            tell(*answer)
            if answer[0] == "lost" and not sys.stdin.readline():  # until the oracle has looked
                return


def tell(*words):
    print(json.dumps(words), flush=True)


# ---- the oracle's side of a client

class Owner:
    def __init__(self, number, ptd, context, draw):
        self.number, self.ptd, self.context, self.draw = number, ptd, context, draw
        self.pages, self.pending, self.answers = {}, None, {"ok": 0, "no": 0, "lost": 0, "killed": 0}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--client", str(self.number), str(self.draw.getrandbits(32)),
             self.ptd.target(), str(self.context)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest, self.connected = b"", False

    def read(self):
        """Takes what the client has told."""
        while True:
            try:
                data = os.read(self.process.stdout.fileno(), 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            lines = (self.rest + data).split(b"\n")
            self.rest = lines.pop()
            for line in lines:
                self.hear(json.loads(line))

    def hear(self, words):
        if words[0] == "ask":
            self.pending = words[1]
            return
        self.answers[words[0]] += 1
        self.connected = True
        if words[0] == "ok":
            for item, outcome in zip(self.pending, words[1], strict=True):
                wanted = apply_item(self.pages, item)
                true(NAME[outcome] in wanted, f"client {self.number}: {item}: {NAME[outcome]}, expected {wanted}")
        elif words[0] == "no":
            true(NAME[words[1]] in ("NO_MEMORY", "QUOTA"), f"client {self.number}: {self.pending}: {words[1:]}")
        else:
            self.look()
            if self.process.poll() is None:
                self.process.stdin.write(b"go\n")
                self.process.stdin.flush()
        self.pending = None

    def look(self):
        """Has the operation without an answer happened? One or the other, as a whole."""
        after = dict(self.pages)
        for item in self.pending or ():
            apply_item(after, item)
        seen = dump(self.ptd, self.context, self.number)
        if seen not in (self.pages, after):
            wrong = sorted(p for p in set(seen) | set(after) | set(self.pages)
                           if seen.get(p) not in (self.pages.get(p), after.get(p)))
            raise AssertionError(f"client {self.number}: the dump is neither the state before nor that after "
                                 f"{self.pending}; first {[(p, seen.get(p), after.get(p)) for p in wrong[:4]]}")
        self.pages, self.pending = seen, None

    def kill(self):
        before = sockets(self.ptd)
        self.process.kill()
        self.process.wait()
        self.read()
        self.answers["killed"] += 1
        await_sockets(self.ptd, before - 1)
        self.look()


def hear_all(owners):
    """Reads until each client that was started has had an answer: it is connected then."""
    until = time.monotonic() + 60
    while True:
        for owner in owners:
            true(owner.process.poll() is None, f"client {owner.number} has ended by itself")
            owner.read()
        if all(owner.connected for owner in owners):
            return
        true(time.monotonic() < until, "a client gets no answer")


def persist(call, request):
    """Answers to the oracle are failed, too: it asks again."""
    import grpc
    for _attempt in range(50):
        try:
            return call(request, timeout=10)
        except grpc.RpcError as error:
            if ptdtest.error_code(error) not in (None, OUTCOME["INJECTED"]):
                raise
    raise AssertionError("no answer to 50 calls")


def dump(ptd, context, number):
    """Pages of a client as the tables have them: stable, so that what is under way ends first."""
    blocks, stripes = owned_runs(number)
    owned = {p for first, count in blocks + stripes for p in range(first, first + count)}
    stub, pb = ptd.stub("context", "ContextService"), ptd.pb("context")
    pages, ipa, end = {}, IPA, IPA + BLOCKS * BLOCK
    while ipa < end:
        reply = persist(stub.DumpContext, pb.DumpContextRequest(context=context, ipa=ipa, size=end - ipa, stable=True))
        for base, level, entry, count in zip(reply.ipa, reply.level, reply.descriptor, reply.count, strict=True):
            true(entry & 1, f"{base:#x}: {entry:#x} is no leaf")
            first, output = (base - IPA) // PAGE, (entry & 0xFFFF_FFFF_F000) // PAGE
            for n in range(count << 9 * (3 - level)):
                if first + n in owned:
                    pages[first + n] = (output + n, entry >> 6 & 3)
        if reply.done:
            break
        ipa = reply.next_ipa
    return pages


def torture(ptd, guest, draw):
    failures = Failures(ptd, guest.handle)
    owners = [Owner(n, ptd, guest.handle, draw) for n in range(CLIENTS)]
    until, turn = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < until or turn < 2 * len(POINTS):
            failures.arm(turn % len(POINTS), draw.getrandbits(32))
            pause = time.monotonic() + draw.uniform(0.3, 1.0)
            while time.monotonic() < pause:
                hear_all(owners)
            failures.end()
            victim = owners[turn % CLIENTS]
            victim.kill()
            victim.start()
            turn += 1
        hear_all(owners)
        for owner in owners:
            owner.kill()
        for owner in owners:
            equal(dump(ptd, guest.handle, owner.number), owner.pages, f"the pages of client {owner.number}")
    finally:
        for owner in owners:
            owner.process.kill()
            owner.process.wait()
    return owners, failures


@test("three clients that are failed and killed leave what the oracle says")
def _():
    with ptdtest.Daemon(loops=2, args=["--allow-failpoints"], program="ptd-checked") as ptd:
        guest = ptdtest.Guest(ptd, memory=BLOCKS * BLOCK * 2)
        guest.access(IPA, length=8)  # a context that has run is in TLBs: from now on changes invalidate
        owners, failures = torture(ptd, guest, random.Random(SEED))
        for owner in owners:
            print(f"# client {owner.number}: {owner.answers}")
            true(all(owner.answers[word] for word in ("ok", "killed")), "an answer that never came")
        print(f"# failures: {[(p['name'], p['action'], n) for p, n in zip(POINTS, failures.failed)]}")
        true(all(failures.failed), "a failpoint that never failed")
        true(sum(owner.answers["no"] for owner in owners), "nothing was refused")
        true(sum(owner.answers["lost"] for owner in owners), "no answer was lost")


if sys.argv[1:2] == ["--client"]:
    Client(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])).run()
else:
    ptdtest.main()
