# SPDX-License-Identifier: BSD-2-Clause
"""A fault that meets a claim waits for it, and its loop serves others meanwhile."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import PAGE, equal, test, true  # noqa: E402

TIB, GIB = 1 << 40, 1 << 30
ALREADY_MAPPED, PROTECTED, RELAXED = 2, 8, 3
TRIES = 400  # an operation on 524288 blocks is short: most faults come behind it


@test("a fault inside a claim on 1 TiB is answered once it has passed, and after those outside that came later")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        guest = ptdtest.Guest(ptd, name="wide", memory=4 * GIB, ipa_bits=42)
        guest.map(0, TIB, 2 << 20)  # at an odd 2 MiB: 524288 blocks
        guest.map(2 * TIB, PAGE, 0)
        pb, mapping = ptd.pb("fault"), ptd.pb("mapping")
        fault = ptd.stub("fault", "FaultService").HandleFault
        protect = ptd.stub("mapping", "MappingService").Protect
        stats = ptd.stub("server", "ServerService").GetStats

        def parked():
            return stats(ptd.pb("server").GetStatsRequest()).loops[0].parked

        def turn(prot):
            """(was the fault inside parked, who was answered in which order)"""
            before, order = parked(), []

            def begin(name, method, request):
                call = method.future(request)
                call.add_done_callback(lambda _: order.append(name))
                return call
            whole = begin("operation", protect, mapping.ProtectRequest(context=guest.handle, ipa=0, size=TIB, prot=prot))
            inside = begin("inside", fault, pb.HandleFaultRequest(context=guest.handle, ipa=TIB - PAGE, access=1))
            outside = [begin("outside", fault, pb.HandleFaultRequest(context=guest.handle, ipa=2 * TIB, access=1))
                       for _ in range(4)]
            equal([c.result().outcome for c in (inside, *outside)], [ALREADY_MAPPED] * 5)
            true(whole.result().outcome in (PROTECTED, RELAXED), whole.result())
            return parked() - before, order
        for n in range(TRIES):
            waited, order = turn(1 if n % 2 == 0 else 3)
            if waited == 1:
                break
        equal(waited, 1, f"faults that met the claim in {TRIES} operations")
        true(order.index("outside") < order.index("inside"), order)


ptdtest.main()
