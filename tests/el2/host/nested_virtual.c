/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest hypervisor with an EL2 (FEAT_NV2) has besides: registers in memory, its own and its
 * guest's; AT; TLBIs that name leaves by range, and that take long; whose an interrupt is. */
#include "nested.h"

#define BLOCK_PAGES 512
#define NBLOCK	    UINT64_C(0x40000000) /* nested: a block of the guest's, over pages */
#define COUNT	    UINT64_C(0x10000000) /* of guest_held: it would come to its end */
#define MODE	    UINT64_C(0x1f)
#define EL2H	    9
#define EL1H	    5
#define EC_HVC	    0x16
#define EC_ERET	    0x1a
#define HCR_DC	    (UINT64_C(1) << 12)
#define S2PIE	    (UINT64_C(1) << 36)
#define SCTLR_EE    (UINT64_C(1) << 25)
#define NOWHERE	    (OUTSIDE + PAGES * PAGE) /* canonical: not mapped */
#define TABLE	    UINT64_C(0x25000)	     /* IPA of its level 3 table */
/* PAR_EL1 */
#define F	    1
#define FST(par)    ((par) >> 1 & 0x3f)
#define S	    (UINT64_C(1) << 9)
#define PA(par)	    ((par)&UINT64_C(0xffffffffff000))
#define ATTR(par)   ((par) >> 56)

/* What it writes to VTTBR_EL2 and the like stands in memory, with no trap; at EL2 it is. */
static void virtual_el2_has_its_registers(void **state)
{
	volatile struct hyp_orders *o = nest_orders();

	(void)state;
	nest_open();
	assert_int_equal(nest.v->regs.pstate & MODE, EL2H);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, VTTBR), o->vttbr);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, VTCR), o->vtcr);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, HCR), o->hcr);
	/* What the host puts there it reads, and EL2's other registers are EL1's. */
	assert_int_equal(nest.v->regs.vbar_el1, o->vcpu + HYP_VECTORS);
	/* An HVC of its own is its own, and so is the way back. */
	nest_does(HYP_SELF, 0, 0, 0);
	assert_int_equal(EC(o->esr), EC_HVC);
	assert_int_equal(o->esr & 0xffff, 5);
	assert_int_equal(o->x2 & MODE, EL2H);
	assert_int_equal(o->value, 2 << 2);
	assert_int_equal(nest.v->regs.pstate & MODE, EL2H);
	nest_close();
}

static uint64_t at(uint64_t instruction, uint64_t address)
{
	nest_does(HYP_AT, instruction, address, 0);
	nest.compared++;
	return nest_orders()->value;
}

static void is_at(uint64_t instruction, unsigned page, uint64_t right)
{
	uint64_t address = NDATA + page * PAGE, par = at(instruction, address);

	if (nest.guest[page] & right) {
		assert_int_equal(par & F, 0);
		assert_int_equal(PA(par), OUTSIDE + nest.to[page] * PAGE);
		return;
	}
	assert_int_equal(par & (F | S), F | S);
	assert_int_equal(FST(par), nest.guest[page] ? FSC_PERMISSION(3) : FSC_TRANSLATION(3));
}

/* What its tables say, whether its guest was there, and whatever the host has. */
static void virtual_at_says_what_the_tables_say(void **state)
{
	uint64_t par;

	(void)state;
	nest_open();
	nest_guest_maps(3, 0, 0);
	nest_guest_maps(4, 4, S2_R);
	nest_guest_maps(5, 5, S2_W);
	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, OUTSIDE + nest.to[6] * PAGE, PAGE));
	for (unsigned i = 0; i < PAGES; i++) {
		is_at(AT_S12E1R, i, S2_R);
		is_at(AT_S12E1W, i, S2_W);
	}
	/* Stage 1, which is off, of its guest and of itself. */
	assert_int_equal(PA(at(AT_S1E1R, NDATA + 3 * PAGE)), NDATA + 3 * PAGE);
	assert_int_equal(PA(at(AT_S1E2R, OUTSIDE)), OUTSIDE);
	/* A table that the host maps when somebody comes to it. */
	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, TABLE, PAGE));
	EXPECT(PT_OK,
	       host_finish(CALL(SET_SLOT, nest.context, TABLE, PAGE, MEM + 5 * PAGE, SHIFT(12))));
	is_at(AT_S12E1R, 7, S2_R);
	/* With FWB its tables make write-back of what a stage 1 that is off has as Device. */
	nest_guest_maps_as(8, 8, S2_R, 6);
	assert_int_equal(ATTR(at(AT_S12E1R, NDATA + 8 * PAGE)), 0);
	nest_orders()->hcr = HCR_VM | HCR_FWB;
	par = at(AT_S12E1R, NDATA + 8 * PAGE);
	assert_int_equal(ATTR(par), 0xff);
	assert_int_equal(PA(par), OUTSIDE + 8 * PAGE);
	/* Stage 2 off, for a guest that it runs without. */
	nest_orders()->hcr = 0;
	par = at(AT_S12E1R, NDATA + 3 * PAGE);
	assert_int_equal(par & F, 0);
	assert_int_equal(PA(par), NDATA + 3 * PAGE);
	nest_close();
}

/* FRAMES hold as many: a block of the guest's over 512 pages of the host's. */
static void map_block(void)
{
	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, OUTSIDE, PAGES * PAGE));
	for (unsigned i = 0; i < BLOCK_PAGES; i++)
		*host_memory(FRAMES + i * PAGE) = 0x1111 * i;
	EXPECT(PT_MAPPED, host_finish(CALL(MAP, nest.context, OUTSIDE, BLOCK, FRAMES,
					   RW | (uint64_t)PT_MAP_FORCE_PAGES << 32)));
	nest_does(HYP_SET, NBLOCK, 2, LEAF(OUTSIDE, S2_R, 2));
}

static void touch_block(void)
{
	uint64_t value;

	for (unsigned i = 0; i < BLOCK_PAGES; i++) {
		assert_true(nest_loads(NBLOCK + i * PAGE, &value));
		assert_int_equal(value, 0x1111 * i);
	}
}

/* FEAT_TLBIRANGE: ID_AA64ISAR0_EL1.TLB. */
static bool has_ranges(void)
{
	uint64_t isar0;

	__asm__("mrs %0, id_aa64isar0_el1" : "=r"(isar0));
	return (isar0 >> 56 & 0xf) >= 2;
}

static void virtual_tlbis_remove_what_they_name(void **state)
{
	(void)state;
	nest_open();
	assert_int_equal(nest_reads_all(), PAGES + 1);
	/* TG 4K, SCALE 0, NUM 1: four pages from the eighth on. */
	if (has_ranges()) {
		nest_tlbi(RIPAS2E1IS,
			  (UINT64_C(1) << 46 | UINT64_C(1) << 39 | (NDATA + 8 * PAGE) >> 12) << 12,
			  4);
		nest_judge(ALL & ~UINT64_C(0xf00));
		assert_int_equal(nest_reads_all(), 4);
	}
	/* Of stage 1, its guest's and its own: no leaf. */
	nest_tlbi(VMALLE1IS, 0, 0);
	nest_tlbi(ALLE2IS, 0, 0);
	assert_int_equal(nest_reads_all(), 0);
	nest_judge(ALL);
	/* More than EL2 does in one go: the instruction is made again until it is done. */
	map_block();
	touch_block();
	nest_tlbi(IPAS2E1IS, NBLOCK + 0x123000, BLOCK_PAGES);
	touch_block();
	nest_tlbi(VMALLS12E1IS, 0, BLOCK_PAGES + 1);
	nest_close();
}

/* An interrupt comes while EL2 is at the TLBI: earlier and the guest has not come to it yet, so the
 * next one takes longer. The guest is at the instruction, of which a part is done. */
static void stop_in_a_tlbi(uint64_t iss, uint64_t operand)
{
	uint64_t ticks = 1;

	nest_order(HYP_TLBI, iss, operand, 0);
	do {
		uint64_t pc = nest.v->regs.pc;

		host_timer_in(false, ticks);
		assert_int_equal(nest_go(), PT_EL2_VCPU_INTERRUPT);
		host_timer_take(false);
		ticks += nest.v->regs.pc == pc ? ticks : 0;
	} while (!nest_el2.tlbi);
	assert_int_equal(nest_el2.tlbi_made.pc, nest.v->regs.pc);
}

/* Rt of the instruction that the guest hypervisor is at. */
static uint64_t *its_operand(void)
{
	const uint32_t *code = (const uint32_t *)(uintptr_t)guest_virtual;

	return &nest.v->regs.x[code[(nest.v->regs.pc - HYP_CODE) / 4] & 31];
}

/* Another operand, or other tables: that is done, and not the rest of the first one. */
static void virtual_tlbis_are_told_apart(void **state)
{
	uint64_t before, value;

	(void)state;
	nest_open();
	map_block();
	touch_block();
	assert_true(nest_loads(NDATA + 8 * PAGE, &value));
	stop_in_a_tlbi(IPAS2E1IS, NBLOCK >> 12);
	before = nest_removed();
	*its_operand() = (NDATA + 8 * PAGE) >> 12;
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_removed() - before, 1);
	touch_block();
	stop_in_a_tlbi(IPAS2E1IS, NBLOCK >> 12);
	before = nest_removed();
	PT_EL2_VNCR(&nest_el2, VTTBR) ^= UINT64_C(1) << 48;
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_removed() - before, 0);
	nest_close();
}

/* Its guest is at an address that the host has to do something about. */
static void stop_below(void)
{
	nest_does(HYP_SET, NBLOCK, 3, LEAF(NOWHERE, S2_R, 3));
	nest_order(HYP_RUN, nest_code_at(guest_load), NBLOCK, 0);
	nest_is_hosts(NOWHERE, PT_NO_SLOT);
	assert_int_equal(nest.v->regs.pstate & MODE, EL1H);
	assert_int_equal(nest.v->regs.pc, nest_code_at(guest_load));
}

static uint64_t pattern(unsigned i)
{
	return 0x0123456789abcdef + i * 0x1111;
}

/* They are in memory while it is at EL2, for it to read and write, and the CPU's below. */
static void virtual_guests_keep_their_registers(void **state)
{
	struct pt_el2_regs *r;

	(void)state;
	nest_open();
	r = &nest.v->regs;
	stop_below();
	r->pc = nest_code_at(guest_write_registers);
#define X(reg, i, mask) r->x[i] = pattern(i) & (uint64_t)(mask);
	GUEST_REGISTERS(X)
#undef X
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(r->pstate & MODE, EL2H);
	assert_int_equal(r->vbar_el1, nest_orders()->vcpu + HYP_VECTORS);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, ttbr0_el1), pattern(3) & 0xffff00007ffff000);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, vbar_el1), pattern(7) & 0xfffffffff800);
	stop_below();
#define X(reg, i, mask) assert_int_equal(r->reg, pattern(i) & (uint64_t)(mask));
	GUEST_REGISTERS(X)
#undef X
	nest_close();
}

/* Of its guest's guest as of a guest: the host's, and both go on as if nothing had been. */
static void virtual_guests_are_left_by_an_irq(void **state)
{
	uint64_t pc = nest_code_at(guest_held), *word;

	(void)state;
	nest_open();
	word = host_memory(FRAMES + nest.frame[nest.to[0]] * PAGE);
	*word = 0;
	stop_below();
	nest.v->regs.pc = pc;
	nest.v->regs.x[0] = NDATA;
	nest.v->regs.x[1] = COUNT;
	host_timer_start(false);
	assert_int_equal(nest_go(), PT_EL2_VCPU_INTERRUPT);
	assert_in_range(nest.v->regs.pc, pc, pc + 16);
	assert_int_equal(nest.v->regs.pstate & MODE, EL1H);
	assert_int_equal(nest_go(), PT_EL2_VCPU_INTERRUPT);
	host_timer_take(false);
	*word = 1;
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_in_range(nest_orders()->value, 1, COUNT);
	nest_close();
}

static int64_t run(uint64_t context, uint64_t page)
{
	return CALL(RUN, context, (uintptr_t)nest.v, page).code;
}

static void refuses(uint64_t vtcr, uint64_t hcr, int outcome)
{
	nest_orders()->vtcr ^= vtcr;
	nest_orders()->hcr ^= hcr;
	nest_order(HYP_RUN, nest_code_at(guest_load), NDATA, 0);
	assert_int_equal(nest_go(), PT_EL2_VCPU_TRAP);
	assert_int_equal(EC(nest.v->esr), EC_ERET);
	assert_int_equal((int)nest.v->outcome, outcome);
	assert_int_equal(nest.v->regs.pstate & MODE, EL2H);
	/* What it asks for then, the same ERET has. */
	PT_EL2_VNCR(&nest_el2, VTCR) ^= vtcr;
	PT_EL2_VNCR(&nest_el2, HCR) ^= hcr;
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	nest_orders()->vtcr ^= vtcr;
	nest_orders()->hcr ^= hcr;
}

/* Of stage 2, which the guest hypervisor has made. */
static void swap_tables(void)
{
	uint64_t *table = host_memory(MEM + 4 * PAGE);

	for (unsigned i = 0; i < 8 * PAGE / sizeof(*table); i++)
		table[i] = __builtin_bswap64(table[i]);
}

/* SCTLR_EL2.EE, which the host puts there for it, and takes back below, as it accesses its orders
 * in the other order. The same ERET that was refused goes by tables in that order. */
static void virtual_tables_are_big_endian(void **state)
{
	(void)state;
	nest_open();
	nest_does(HYP_SET, NBLOCK, 3, LEAF(NOWHERE, S2_R, 3));
	nest_orders()->vtcr |= S2PIE;
	nest_order(HYP_RUN, nest_code_at(guest_load), NBLOCK, 0);
	assert_int_equal(nest_go(), PT_EL2_VCPU_TRAP);
	PT_EL2_VNCR(&nest_el2, VTCR) &= ~S2PIE;
	nest.v->regs.sctlr_el1 |= SCTLR_EE;
	swap_tables();
	nest_is_hosts(NOWHERE, PT_NO_SLOT);
	assert_int_equal(nest.v->regs.pstate & MODE, EL1H);
	assert_true(nest_el2.el2.sctlr_el1 & SCTLR_EE);
	/* Again, as it goes on below. */
	nest_is_hosts(NOWHERE, PT_NO_SLOT);
	nest_el2.el2.sctlr_el1 &= ~SCTLR_EE;
	swap_tables();
	nest_is_hosts(NOWHERE, PT_NO_SLOT);
	*host_memory(FRAMES + PAGES * PAGE) = 4711;
	EXPECT(PT_MAPPED, CALL(MAP, nest.context, NOWHERE, PAGE, FRAMES + PAGES * PAGE, RW));
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_orders()->value, 4711);
	nest.compared += 4;
	nest_close();
}

static void virtual_el2_is_the_hosts_to_give(void **state)
{
	uint64_t context;

	(void)state;
	nest_open();
	EXPECT(-PT_MISALIGNED, CALL(RUN, nest.context, (uintptr_t)nest.v, 8));
	assert_int_equal(run(nest.context, RAM_END), -PT_OUT_OF_RANGE);
	assert_int_equal(run(nest.context, UART), -PT_OUT_OF_RANGE);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(run(nest.context, (uint64_t)IMAGE(CALL_OWN, i).code),
				 -PT_WRONG_OWNER);
	context = guest_new(); /* without shadows */
	assert_int_equal(run(context, (uintptr_t)&nest_el2), -PT_UNSUPPORTED);
	guest_end(context);
	refuses(S2PIE, 0, PT_UNSUPPORTED);
	refuses(0, HCR_DC, PT_INVALID);
	nest_close();
}

const struct CMUnitTest host_virtual_tests[] = {
	cmocka_unit_test(virtual_el2_has_its_registers),
	cmocka_unit_test(virtual_at_says_what_the_tables_say),
	cmocka_unit_test(virtual_tlbis_remove_what_they_name),
	cmocka_unit_test(virtual_tlbis_are_told_apart),
	cmocka_unit_test(virtual_guests_keep_their_registers),
	cmocka_unit_test(virtual_guests_are_left_by_an_irq),
	cmocka_unit_test(virtual_tables_are_big_endian),
	cmocka_unit_test(virtual_el2_is_the_hosts_to_give),
};
const size_t host_virtual_count = sizeof(host_virtual_tests) / sizeof(host_virtual_tests[0]);
