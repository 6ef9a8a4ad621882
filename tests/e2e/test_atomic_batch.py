# SPDX-License-Identifier: BSD-2-Clause
"""An atomic batch is done or not done: each reservation of 512 items fails in turn while another client looks."""
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import OUTCOME, PAGE, equal, refused, test, true  # noqa: E402

ITEMS, BLOCK, IPA = 512, 2 << 20, 0x4000_0000
ATOMIC, MAP = 1, 1


def batch(ptd, context):
    """One page in each of 512 regions of 2 MiB: the tables of each region are a reservation of its own."""
    pb = ptd.pb("mapping")
    ops = pb.Ops(ipa=[IPA + n * BLOCK for n in range(ITEMS)], size=[PAGE], kind=[MAP], prot=[3],
                 pa=[n * PAGE for n in range(ITEMS)])
    return pb.ApplyRequest(context=context, mode=ATOMIC, ops=ops)


class Watcher(threading.Thread):
    """Translates the batch's addresses on a connection of its own, without a pause."""

    def __init__(self, ptd, context):
        super().__init__()
        self.stub = ptd.stub("fault", "FaultService", ptd.channel())
        self.request = ptd.pb("fault").TranslateRequest
        self.context, self.seen, self.looks, self.over = context, [], 0, False

    def run(self):
        number = 0
        while not self.over:
            ipa = IPA + number * BLOCK
            reply = self.stub.Translate(self.request(context=self.context, ipa=ipa, access=1))
            if reply.outcome != OUTCOME["NOT_MAPPED"]:
                self.seen.append((hex(ipa), reply.outcome))
            self.looks += 1
            number = (number * 5 + 1) % ITEMS  # visits all of them: a full-period generator


class Reserve:
    """pool.reserve, armed for one context: its n-th hit fails, once."""

    def __init__(self, ptd, context, nth):
        self.pb, self.stub = ptd.pb("failpoint"), ptd.stub("failpoint", "FailpointService")
        self.id = self.stub.ArmFailpoint(self.pb.ArmFailpointRequest(failpoint=self.pb.Failpoint(
            name="pool.reserve", action=1, context=context, nth=nth, times=1))).id

    def disarm(self):
        """How often it was hit, and how often it failed."""
        points = self.stub.ListFailpoints(self.pb.ListFailpointsRequest()).failpoints
        self.stub.DisarmFailpoints(self.pb.DisarmFailpointsRequest(id=self.id))
        return next((p.hits, p.failures) for p in points if p.id == self.id)


@test("for every k, a batch whose k-th reservation fails leaves no trace, and the next one works")
def _():
    with ptdtest.Daemon(loops=2, args=["--allow-failpoints"]) as ptd:
        apply = ptd.stub("mapping", "MappingService").Apply
        counted, guest = ptdtest.Guest(ptd, "counted"), ptdtest.Guest(ptd, "guest")
        never = Reserve(ptd, counted.handle, 1_000_000)
        apply(batch(ptd, counted.handle))
        reservations, failures = never.disarm()
        equal(failures, 0)
        true(reservations >= ITEMS, f"{reservations} reservations: fewer than tables")

        before = guest.digest()
        watcher = Watcher(ptd, guest.handle)
        watcher.start()
        try:
            for k in range(1, reservations + 1):
                reserve = Reserve(ptd, guest.handle, k)
                error = refused("NO_MEMORY", apply, batch(ptd, guest.handle))
                equal(reserve.disarm(), (k, 1))
                equal(error.code().name, "RESOURCE_EXHAUSTED")
                equal(guest.digest(), before)
        finally:
            watcher.over = True
            watcher.join()
        equal(watcher.seen, [])
        true(watcher.looks > reservations, f"only {watcher.looks} looks")
        equal(apply(batch(ptd, guest.handle)).applied, ITEMS)
        equal(guest.digest(), counted.digest())
        print(f"# {reservations} reservations failed in turn, {watcher.looks} looks meanwhile")


ptdtest.main()
