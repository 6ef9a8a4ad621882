# SPDX-License-Identifier: BSD-2-Clause
"""DumpContext: a page grows with what the context holds, up to what was asked for."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import PAGE, equal, test  # noqa: E402

ROWS, IPA = 5000, 0x4000_0000


@test("every row of a large page is there, and a smaller page ends where the next one begins")
def _():
    with ptdtest.Daemon() as ptd:
        guest = ptdtest.Guest(ptd)
        mapping, context = ptd.pb("mapping"), ptd.pb("context")
        wanted = [IPA + 2 * PAGE * n for n in range(ROWS)]
        ptd.stub("mapping", "MappingService").Apply(mapping.ApplyRequest(
            context=guest.handle, mode=2, ops=mapping.Ops(ipa=wanted, size=[PAGE], kind=[1], prot=[3],
                                                         pa=[PAGE * (n % 100) for n in range(ROWS)])))
        dump = ptd.stub("context", "ContextService").DumpContext
        page = dump(context.DumpContextRequest(context=guest.handle, max_entries=65536, stable=True))
        equal((list(page.ipa), page.done), (wanted, True))
        equal([entry >> 12 & 0xFFF for entry in page.descriptor], [n % 100 for n in range(ROWS)])
        equal({len(page.level), len(page.count), len(page.table)}, {ROWS})
        page = dump(context.DumpContextRequest(context=guest.handle, max_entries=300))
        equal((list(page.ipa), page.next_ipa, page.done), (wanted[:300], wanted[300], False))


ptdtest.main()
