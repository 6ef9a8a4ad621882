# SPDX-License-Identifier: BSD-2-Clause
"""4 loops, 8 clients on one context: Apply, Access, Protect and Unmap at once, in a daemon built for ThreadSanitizer.

Any report ends the daemon with another status than 0. GetStats shows that each loop served.
"""
import os
import random
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import PAGE, R, SEED, W, equal, test, true  # noqa: E402

CLIENTS, LOOPS, ROUNDS = 8, 4, 60
IPA, PA, BLOCK = 0x4000_0000, 0x20_0000, 2 << 20
SLOT = 0x8000_0000


def client(ptd, guest, number, failures):
    """Each client has a connection, and pages that all share."""
    channel = ptd.channel()
    mapping, fault = ptd.stub("mapping", "MappingService", channel), ptd.stub("fault", "FaultService", channel)
    m, f = ptd.pb("mapping"), ptd.pb("fault")
    draw = random.Random(SEED + number)
    try:
        for _n in range(ROUNDS):
            pages = sorted(draw.sample(range(64), 8))
            ops = m.Ops(ipa=[IPA + p * PAGE for p in pages], size=[PAGE], pa=[PA + p * PAGE for p in pages],
                        kind=[draw.choice((1, 2, 3)) for _p in pages], prot=[R | draw.choice((0, W))])
            mapping.Apply(m.ApplyRequest(context=guest.handle, mode=draw.choice((2, 3)), ops=ops), timeout=60)
            for page in draw.sample(pages, 4):
                fault.Access(f.AccessRequest(context=guest.handle, vcpu=number, ipa=IPA + page * PAGE,
                                             access=1, length=8), timeout=60)
            page = SLOT + draw.randrange(1024) * PAGE
            reply = fault.Access(f.AccessRequest(context=guest.handle, vcpu=number, ipa=page, access=2,
                                                 data=bytes([number]) * 8), timeout=60)
            equal(reply.outcome, 0, "a write behind a memslot")
            mapping.Unmap(m.UnmapRequest(context=guest.handle, ipa=SLOT + draw.randrange(2) * BLOCK, size=BLOCK),
                          timeout=60)
            mapping.Protect(m.ProtectRequest(context=guest.handle, ipa=IPA, size=64 * PAGE, prot=R | W), timeout=60)
    except Exception as error:  # handed to the test's own thread
        failures.append(f"client {number}: {error}")


@test("8 clients on one context over 4 loops: no report, and every loop served")
def _():
    with ptdtest.Daemon(loops=LOOPS) as ptd:
        guest = ptdtest.Guest(ptd, vcpus=CLIENTS)
        guest.slot(SLOT, 2 * BLOCK, PA, backing=BLOCK)
        failures = []
        threads = [threading.Thread(target=client, args=(ptd, guest, n, failures)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [])
        stats = ptd.stub("server", "ServerService").GetStats(ptd.pb("server").GetStatsRequest())
        served = [loop.calls_ok for loop in stats.loops]
        equal(len(served), LOOPS)
        true(all(count >= ROUNDS for count in served), f"calls by loop: {served}")
        guest.unmap(0, 1 << 40)
        deleted = ptd.stub("machine", "MachineService").DeleteMachine(
            ptd.pb("machine").DeleteMachineRequest(handle=guest.machine.handle, force=True))
        equal(deleted.contexts_deleted, 1)
        after = ptd.stub("server", "ServerService").GetStats(ptd.pb("server").GetStatsRequest())
        equal((after.machines, after.contexts), (0, 0))


ptdtest.main()
