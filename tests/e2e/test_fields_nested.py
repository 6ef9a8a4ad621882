# SPDX-License-Identifier: BSD-2-Clause
"""Fields of NestedService's requests, and of contexts that can have shadows."""
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldtest import covers, guest, main, name, pb, ptd, stub  # noqa: E402
from nestedtest import EXEC, IPAS2E1IS, L1, LEAF, MIB, READ, RIPAS2E1IS, VTCR, WRITE, Hypervisor  # noqa: E402
from ptdtest import OUTCOME, PAGE, PX, R, UX, equal, refused, test, true  # noqa: E402


@test("EnterNested: the registers find the shadow, the vCPU runs it")
@covers("EnterNestedRequest.context", "EnterNestedRequest.vcpu", "EnterNestedRequest.vttbr", "EnterNestedRequest.vtcr",
        "ExitNestedRequest.context", "ExitNestedRequest.vcpu", "ListShadowsRequest.context", "ContextOptions.nested")
def _():
    h, other = Hypervisor(), Hypervisor()
    first = h.enter()
    true(first.created and not h.enter().created)
    true(h.enter(vcpu=1, vmid=2).created)
    true(h.enter(vtcr=VTCR | 1 << 21).created)
    equal([s.vcpus for s in h.list().shadows], [0, 1, 1])
    equal(len(other.list().shadows), 0)
    leave = lambda vcpu: h.stub.ExitNested(h.pb.ExitNestedRequest(context=h.g.handle, vcpu=vcpu)).shadow  # noqa: E731
    true(leave(1) != leave(0))
    equal([s.vcpus for s in h.list().shadows], [0, 0, 0])
    refused("INVALID", h.enter, vcpu=2)
    refused("WRONG_STATE", h.enter, context=guest().handle)


@test("EnterNested: HCR_EL2.VM turns the guest hypervisor's stage 2 on, SCTLR_EL2.EE is the order of its bytes")
@covers("EnterNestedRequest.hcr", "EnterNestedRequest.sctlr_el2")
def _():
    h = Hypervisor()
    off = h.enter(hcr=0)
    true(off.name.endswith("-s2-disabled"))
    equal(h.access(off.shadow, 5 * PAGE).pa, 5 * PAGE)
    equal(h.access(h.enter().shadow, 5 * PAGE).pa, (2048 + 5) * PAGE)
    h = Hypervisor(order=">")
    equal(h.access(h.enter(sctlr_el2=1 << 25).shadow, PAGE).pa, 2049 * PAGE)
    h = Hypervisor(order=">")
    equal(h.access(h.enter().shadow, PAGE).outcome, OUTCOME["DENIED"])


@test("Invalidate: the instruction, its operand and the VMID say what goes")
@covers("InvalidateRequest.context", "InvalidateRequest.vcpu", "InvalidateRequest.sys", "InvalidateRequest.operand",
        "InvalidateRequest.vttbr", "InvalidateRequest.vtcr")
def _():
    h = Hypervisor()
    shadow = h.enter().shadow
    for n in range(8):
        h.access(shadow, n * PAGE)
    equal(h.tlbi(IPAS2E1IS, 3, vmid=2).leaves_removed, 0)
    equal(h.tlbi(IPAS2E1IS, 3).leaves_removed, 1)
    equal(h.tlbi(IPAS2E1IS, 3).leaves_removed, 0)
    equal(h.tlbi(IPAS2E1IS, 4, vmid=0x101, vtcr=VTCR & ~(1 << 19)).leaves_removed, 1)  # VMIDs of 8 bits
    equal(h.tlbi(RIPAS2E1IS, 5 | 1 << 46).leaves_removed, 2)  # TG 4 KiB, two pages from the fifth
    refused("UNSUPPORTED", h.tlbi, 0, 0)
    refused("INVALID", h.tlbi, IPAS2E1IS, 0, vcpu=2)
    refused("WRONG_STATE", h.tlbi, IPAS2E1IS, 0, context=guest().handle)


@test("AddressTranslate: the instruction and the registers of both stages say where an address leads")
@covers("AddressTranslateRequest.context", "AddressTranslateRequest.vcpu", "AddressTranslateRequest.sys",
        "AddressTranslateRequest.address", "AddressTranslateRequest.sctlr", "AddressTranslateRequest.tcr",
        "AddressTranslateRequest.ttbr0", "AddressTranslateRequest.ttbr1", "AddressTranslateRequest.mair",
        "AddressTranslateRequest.hcr", "AddressTranslateRequest.pan", "AddressTranslateRequest.vttbr",
        "AddressTranslateRequest.vtcr", "AddressTranslateRequest.sctlr_el2")
def _():
    h, big = Hypervisor(), Hypervisor(order=">")
    low, high = 40 * MIB, 44 * MIB  # stage 1: one block of 1 GiB each; the high one is the user's, and of attributes 1
    h.g.access(low, WRITE, data=struct.pack("<Q", 1 << 10 | 3 << 8 | 1))
    h.g.access(high, WRITE, data=struct.pack("<Q", 1 << 10 | 3 << 8 | 1 << 6 | 1 << 2 | 1))
    tcr = 25 | 25 << 16 | 2 << 30 | 2 << 32
    top = 0xffff_ff80_0000_0000

    def at(sys, address, of=h, **fields):
        return h.stub.AddressTranslate(h.pb.AddressTranslateRequest(**{
            "context": of.g.handle, "sys": sys, "address": address, "hcr": 1, "vttbr": 1 << 48 | L1, "vtcr": VTCR, **fields}))

    def page(reply):
        equal(reply.outcome, 0)
        return None if reply.par & 1 else reply.par & 0xffff_ffff_f000
    s12e1r, s1e1r, s1e1rp = (1 << 20 | op2 << 17 | op1 << 14 | 7 << 10 | crm << 1
                             for op1, crm, op2 in ((4, 8, 4), (0, 8, 0), (0, 9, 0)))
    stage1 = {"sctlr": 1 | 1 << 2, "tcr": tcr, "ttbr0": low, "ttbr1": high, "mair": 0xff | 0x44 << 8, "hcr": 0}
    equal(page(at(s12e1r, 3 * PAGE)), (2048 + 3) * PAGE)
    equal(page(at(s12e1r, 8 * PAGE)), None)
    equal(page(at(s12e1r, 3 * PAGE, hcr=0)), 3 * PAGE)
    equal(page(at(s12e1r, 3 * PAGE, vttbr=60 * MIB)), None)
    equal(page(at(s12e1r, 3 * PAGE, vtcr=VTCR ^ 3 << 14)), None)
    equal(page(at(s1e1r, 3 * PAGE)), 3 * PAGE)
    equal(page(at(s12e1r, PAGE, of=big)), None)
    equal(page(at(s12e1r, PAGE, of=big, sctlr_el2=1 << 25)), 2049 * PAGE)
    equal(page(at(s1e1r, 5 * PAGE, **stage1)), 5 * PAGE)
    equal(at(s1e1r, 5 * PAGE, **stage1).par >> 56, 0xff)
    equal(at(s1e1r, top + PAGE, **stage1).par >> 56, 0x44)
    equal(page(at(s1e1r, top + PAGE, **{**stage1, "ttbr1": 60 * MIB})), None)
    equal(page(at(s1e1r, PAGE, **{**stage1, "ttbr0": 60 * MIB})), None)
    equal(page(at(s1e1r, top + PAGE, **{**stage1, "tcr": tcr | 1 << 23})), None)  # EPD1
    equal([page(at(s1e1rp, top + PAGE, pan=p, **stage1)) for p in (False, True)], [PAGE, None])
    refused("UNSUPPORTED", at, 1 << 20, 0)
    refused("INVALID", at, s1e1r, 0, vcpu=2)
    refused("WRONG_STATE", at, s1e1r, 0, context=guest().handle)


@test("el0: a fetch through a shadow has the canonical context's right for its level, as Explain says")
def _():
    fault, outside = pb("fault"), 128 * MIB  # where no slot grants more
    none, host = fault.FAULT_TAKER_NOBODY, fault.FAULT_TAKER_HOST
    for mine, el0 in ((PX, False), (UX, True)):
        h = Hypervisor(xnx=True)
        h.g.map(outside, PAGE, PAGE, prot=R | mine)
        h.map(9, outside | LEAF)
        fetch = {"context": h.enter().shadow, "ipa": 9 * PAGE, "access": EXEC}
        for level, taker, outcome in ((not el0, host, "NO_SLOT"), (el0, none, "MAPPED")):
            equal(stub("fault").Explain(fault.ExplainRequest(el0=level, **fetch)).nested.taker, taker)
            reply = stub("fault").HandleFault(fault.HandleFaultRequest(el0=level, **fetch))
            equal((reply.nested.taker, reply.outcome), (taker, OUTCOME[outcome]))


@test("ListShadows: in pages")
@covers("ListShadowsRequest.page_size", "ListShadowsRequest.page_token")
def _():
    h = Hypervisor()
    wanted = [h.enter(vmid=v).shadow for v in range(1, 4)]
    first = h.list(page_size=2)
    equal([s.shadow for s in first.shadows], wanted[:2])
    rest = h.list(page_size=2, page_token=first.next_page_token)
    equal([s.shadow for s in rest.shadows], wanted[2:])
    equal(rest.next_page_token, "")
    refused("INVALID", h.list, page_token="x")


@test("max_shadows and link_pages bound what a guest hypervisor can take")
@covers("ContextOptions.max_shadows", "ContextOptions.link_pages")
def _():
    h = Hypervisor(max_shadows=1)
    equal(h.g.context.options.max_shadows, 1)
    h.enter()
    equal("options.max_shadows" in refused("QUOTA", h.enter, vcpu=1, vmid=2).details(), True)
    h = Hypervisor(link_pages=1)
    equal(h.g.context.options.link_pages, 1)
    shadow = h.enter().shadow
    equal(h.access(shadow, 0).outcome, 0)  # a leaf by itself takes less
    h.map(9, 40 * MIB | LEAF)  # of memory far away
    fault = pb("fault").HandleFaultRequest(context=shadow, ipa=9 * PAGE, access=READ)
    for error in (refused("QUOTA", h.access, shadow, 9 * PAGE), refused("QUOTA", stub("fault").HandleFault, fault)):
        equal(error.details()[:22], "options.link_pages (1)")
    done = ptd().ptctl("access", "read", hex(shadow), hex(9 * PAGE), check=False)
    true("hint: ptctl context create --link-pages" in done.stderr, done.stderr)
    equal(h.list().counts.fills, 1)
    refused("INVALID", guest, max_shadows=1)
    refused("INVALID", guest, link_pages=1)


@test("a shadow has what the owners of frames let its context have, and no longer than that")
def _():
    machines, contexts, owners = stub("machine"), stub("context"), stub("ownership")
    own, context = pb("ownership"), pb("context")
    machine = machines.CreateMachine(pb("machine").CreateMachineRequest(
        name=name(), memory_bytes=64 * MIB, vcpus=1, owners=True)).machine.handle

    def make(kind, **options):
        return contexts.CreateContext(context.CreateContextRequest(
            machine=machine, name=f"c{kind}", kind=kind, options=context.ContextOptions(**options))).context.handle

    def change(kind, giver, receiver, **fields):
        owners.Transfer(own.TransferRequest(machine=machine, items=[own.TransferItem(
            kind=kind, to=own.Party(kind=receiver, context=c if receiver == 3 else 0),
            **{"from": own.Party(kind=giver, context=c if giver == 3 else 0)}, **fields)]))

    make(2, identity=True)
    c = make(1, nested=True)
    change(1, 1, 3, pa=4 * MIB, ipa=MIB, size=2 * PAGE, prot=3)
    shadow = stub("nested").EnterNested(pb("nested").EnterNestedRequest(context=c)).shadow  # stage 2 off

    def access(ipa):
        return stub("fault").Access(pb("fault").AccessRequest(context=shadow, ipa=ipa, access=READ, length=8))
    equal([access(MIB + at).outcome for at in (0, PAGE)], [0, 0])
    lost = access(MIB + 2 * PAGE)
    equal((lost.outcome, lost.nested.taker), (OUTCOME["NO_SLOT"], pb("fault").FAULT_TAKER_HOST))
    change(2, 1, 3, ipa=MIB, size=PAGE)
    equal([access(MIB + at).outcome for at in (0, PAGE)], [OUTCOME["NO_SLOT"], 0])
    contexts.DeleteContext(context.DeleteContextRequest(handle=c))
    refused("NOT_FOUND", access, MIB)


main()
