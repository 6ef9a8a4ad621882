# SPDX-License-Identifier: BSD-2-Clause
"""A context of a running daemon as its dump tells it: every descriptor, by table."""
import array


class Dump:
    """`tables`: PA of a table: (level, its words); `leaves`: rows (ipa, level, count, descriptor)."""

    def __init__(self, ptd, handle):
        pb, stub = ptd.pb("context"), ptd.stub("context", "ContextService")
        self.context = stub.GetContext(pb.GetContextRequest(handle=handle)).context
        geometry = self.context.geometry
        self.granule, self.start = geometry.granule_shift, geometry.start_level_plus_2 - 2
        # Output addresses, Arm ARM D8.3: OA[51:50] in bits 9:8 with DS, OA[51:48] in 15:12 with 64K and 52 bits.
        top = 50 if geometry.ds else 48
        self.low = (1 << top) - (1 << self.granule)
        self.high, self.up = (3 << 8, 42) if geometry.ds else (0, 0)
        if self.granule == 16 and geometry.pa_bits == 52:
            self.high, self.up = 15 << 12, 36
        self.tables, self.leaves, self.root = {}, [], 0
        stable = self.context.kind != pb.CONTEXT_KIND_SHADOW  # which changes with its context at any time
        at, done = 0, False
        while not done:
            dump = stub.DumpContext(pb.DumpContextRequest(
                context=handle, ipa=at, max_entries=65536, stable=stable, tables=True))
            if not self.root:
                self.root = dump.root
                self.table(self.root, self.start, 1 << geometry.ipa_bits - self.shift(self.start))
            for row in zip(dump.ipa, dump.level, dump.descriptor, dump.count, dump.table):
                self.add(*row)
            at, done = dump.next_ipa, dump.done

    def table(self, pa, level, words):
        self.tables[pa] = level, array.array("Q", bytes(8 * words))

    def shift(self, level):
        """Of the first address bit that an entry of this level spans."""
        return self.granule + (3 - level) * (self.granule - 3)

    def address(self, descriptor):
        """Output address, or that of the next table."""
        return descriptor & self.low | (descriptor & self.high) << self.up

    def moved(self, descriptor, by):
        pa = self.address(descriptor) + by
        return descriptor & ~(self.low | self.high) | pa & self.low | pa >> self.up & self.high

    def add(self, ipa, level, descriptor, count, table):
        words = self.tables[table][1]
        index = (ipa >> self.shift(level)) % len(words)
        if level < 3 and descriptor & 3 == 3:
            words[index] = descriptor
            self.table(self.address(descriptor), level + 1, 1 << self.granule - 3)
            return
        step = (1 << self.shift(level)) if descriptor & 1 else 0
        for n in range(count):
            words[index + n] = self.moved(descriptor, n * step)
        self.leaves.append((ipa, level, count, descriptor))
