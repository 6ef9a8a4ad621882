# SPDX-License-Identifier: BSD-2-Clause
"""A guest hypervisor for tests: tables of its own in a context that can have shadows."""
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldtest import guest, pb, stub  # noqa: E402
from ptdtest import PAGE  # noqa: E402

READ, WRITE, EXEC, MIB = 1, 2, 3, 1 << 20
L1, L2, L3 = 32 * MIB, 32 * MIB + PAGE, 32 * MIB + 2 * PAGE
VTCR = 25 | 1 << 6 | 2 << 16 | 1 << 19 | 1 << 31  # 4 KiB, 39 bits, start level 1, 16-bit VMIDs
LEAF = 0x7ff
IPAS2E1IS, RIPAS2E1IS = 1 << 20 | 1 << 17 | 4 << 14 | 8 << 10, 1 << 20 | 2 << 17 | 4 << 14 | 8 << 10


class Hypervisor:
    """A guest hypervisor whose tables map nested page n to canonical page 2048 + n, for n below 8."""

    def __init__(self, order="<", **options):
        self.g = guest(nested=True, **options)
        self.g.slot(0, 64 * MIB, 0)
        self.order = order
        for ipa, entry in ((L1, L2 | 3), (L2, L3 | 3)):
            self.put(ipa, entry)
        for n in range(8):
            self.map(n, (2048 + n) * PAGE | LEAF)
        self.pb, self.stub = pb("nested"), stub("nested")

    def put(self, ipa, word):
        self.g.access(ipa, WRITE, data=struct.pack(self.order + "Q", word))

    def map(self, n, entry):
        """Nested page n, as its tables have it."""
        self.put(L3 + 8 * n, entry)

    def enter(self, vcpu=0, vmid=1, **fields):
        return self.stub.EnterNested(self.pb.EnterNestedRequest(**{
            "context": self.g.handle, "vcpu": vcpu, "vttbr": vmid << 48 | L1, "vtcr": VTCR, "hcr": 1, **fields}))

    def list(self, **fields):
        return self.stub.ListShadows(self.pb.ListShadowsRequest(context=self.g.handle, **fields))

    def tlbi(self, sys, operand, vmid=1, **fields):
        return self.stub.Invalidate(self.pb.InvalidateRequest(**{
            "context": self.g.handle, "sys": sys, "operand": operand, "vttbr": vmid << 48 | L1, "vtcr": VTCR, **fields}))

    def access(self, shadow, ipa, kind=READ):
        moved = {"data": bytes(8)} if kind == WRITE else {"length": 8}
        return stub("fault").Access(pb("fault").AccessRequest(context=shadow, ipa=ipa, access=kind, **moved))
