# SPDX-License-Identifier: BSD-2-Clause
"""Transfers of several clients, whose answers fail after the work was done and whose memory runs out before it: asked
again under their ids, each takes effect once or not at all, as a table of states says."""
import os
import random
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
import tap  # noqa: E402
from ptdtest import OUTCOME, PAGE, equal, test, true  # noqa: E402

HOST, HYP, GUEST = 1, 2, 3
SHARE, UNSHARE, DONATE = 1, 2, 3
CLIENTS, PAGES, STEPS, TRIES = 3, 16, 100, 200
# (kind, from, to): what a page must be, and what it is then. By the owner and who else reaches it.
MOVES = {
    (SHARE, HOST, HYP): ("host", "host+hyp"), (UNSHARE, HOST, HYP): ("host+hyp", "host"),
    (DONATE, HOST, HYP): ("host", "hyp"), (DONATE, HYP, HOST): ("hyp", "host"),
    (DONATE, HOST, GUEST): ("host", "guest"), (DONATE, GUEST, HOST): ("guest", "host"),
    (SHARE, GUEST, HOST): ("guest", "guest+host"), (UNSHARE, GUEST, HOST): ("guest+host", "guest")}
SEEN = {"host": (HOST, 1), "host+hyp": (HOST, 2), "hyp": (HYP, 1), "guest": (GUEST, 1), "guest+host": (GUEST, 2)}
AGAIN = {OUTCOME["INJECTED"], OUTCOME["NO_MEMORY"]}


class Client(threading.Thread):
    """Has pages and a guest of its own in a machine that all share."""

    def __init__(self, ptd, machine, number):
        super().__init__()
        self.draw, self.number, self.machine = random.Random(tap.SEED + number), number, machine
        self.pb, self.stub = ptd.pb("ownership"), ptd.stub("ownership", "OwnershipService")
        self.get = self.stub.GetOwner
        self.guest = ptd.stub("context", "ContextService").CreateContext(ptd.pb("context").CreateContextRequest(
            machine=machine, name=f"g{number}", kind=1, options=ptd.pb("context").ContextOptions(protected=True)))
        self.pages, self.done, self.tries, self.wrong = ["host"] * PAGES, 0, 0, None

    def item(self, move, page):
        kind, giver, receiver = move
        pa, item = (self.number * PAGES + page) * PAGE, self.pb.TransferItem(kind=kind, size=PAGE)
        for party, who in ((getattr(item, "from"), giver), (item.to, receiver)):
            party.kind = who
            party.context = self.guest.context.handle if who == GUEST else 0
        item.pa = 0 if giver == GUEST else pa
        item.ipa = 0x4000_0000 + pa if GUEST in (giver, receiver) else 0
        return item

    def ask(self, request):
        """0, or the outcome's number; asked again while it is not clear."""
        import grpc
        for _ in range(TRIES):
            self.tries += 1
            try:
                self.stub.Transfer(request)
                return 0
            except grpc.RpcError as error:
                code = ptdtest.error_code(error)
                if code not in AGAIN:
                    return code
        raise AssertionError("no answer")

    def step(self, number):
        move = self.draw.choice(list(MOVES))
        ready = [page for page in range(PAGES) if self.pages[page] == MOVES[move][0]]
        ready = ready if ready and self.draw.random() < 0.8 else range(PAGES)
        pages = sorted(self.draw.sample(ready, min(len(ready), self.draw.randint(1, 3))))
        legal = all(self.pages[page] == MOVES[move][0] for page in pages)
        code = self.ask(self.pb.TransferRequest(
            machine=self.machine, items=[self.item(move, page) for page in pages],
            request_id=bytes([self.number, number]) + b"owner-retries!"))
        equal(code == 0, legal, f"client {self.number}, step {number}: {move} of {pages}: {code}")
        if legal:
            self.done += 1
            for page in pages:
                self.pages[page] = MOVES[move][1]

    def seen(self, page):
        pa = (self.number * PAGES + page) * PAGE
        found = self.get(self.pb.GetOwnerRequest(machine=self.machine, pa=pa, size=PAGE)).ranges[0]
        return found.owner.kind, found.state

    def run(self):
        try:
            for number in range(STEPS):
                self.step(number)
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = error


def arm(ptd):
    """That of answers last: its own is one."""
    pb, stub = ptd.pb("failpoint"), ptd.stub("failpoint", "FailpointService")
    for name, ppm in (("pool.reserve", 30_000), ("rpc.reply", 200_000)):
        stub.ArmFailpoint(pb.ArmFailpointRequest(failpoint=pb.Failpoint(
            name=name, action=pb.FAILPOINT_ACTION_ERROR, probability_ppm=ppm, seed=tap.SEED)))


def disarm(ptd):
    import grpc
    pb, stub = ptd.pb("failpoint"), ptd.stub("failpoint", "FailpointService")
    for _ in range(2):  # once more, where the answer was the last to be lost
        try:
            stub.DisarmFailpoints(pb.DisarmFailpointsRequest())
        except grpc.RpcError as error:
            equal(ptdtest.error_code(error), OUTCOME["INJECTED"])


@test("transfers take effect once or not at all, whatever is lost on the way")
def _():
    with ptdtest.Daemon(loops=2, args=["--allow-failpoints"]) as ptd:
        machine = ptd.stub("machine", "MachineService").CreateMachine(ptd.pb("machine").CreateMachineRequest(
            name="m", memory_bytes=16 << 20, vcpus=1, owners=True)).machine.handle
        contexts, pb = ptd.stub("context", "ContextService"), ptd.pb("context")
        host = contexts.CreateContext(pb.CreateContextRequest(
            machine=machine, name="host", kind=2, options=pb.ContextOptions(identity=True))).context.handle
        clients = [Client(ptd, machine, number) for number in range(CLIENTS)]
        before = contexts.GetContext(pb.GetContextRequest(handle=host)).context.generation
        arm(ptd)
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        disarm(ptd)
        equal([client.wrong for client in clients], [None] * CLIENTS)
        after = contexts.GetContext(pb.GetContextRequest(handle=host)).context.generation
        equal(after - before, sum(client.done for client in clients), "each transfer counts once")
        for client in clients:
            equal([client.seen(page) for page in range(PAGES)], [SEEN[state] for state in client.pages])
        tries, steps = sum(client.tries for client in clients), CLIENTS * STEPS
        true(tries > steps + steps // 10, f"{tries} tries of {steps}: nothing was lost")
        print(f"# {steps} transfers, {sum(client.done for client in clients)} took effect, {tries} tries", flush=True)


if __name__ == "__main__":
    ptdtest.main()
