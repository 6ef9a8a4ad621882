/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two kinds of a guest's EL2 differ in, with HCR_EL2.E2H and without: the form of its own
 * stage 1, whose tables its accesses go through, and of its registers; whose the names of EL1's
 * are. */
#include "nested.h"

#define TABLES (HYP_DATA + 10 * PAGE) /* of its stage 1: from level 1 on, two */
#define ALIAS  BLOCK		      /* of its memory: a block each */
#define UPPER  (UINT64_C(1) << 63)

/* A block of stage 1: AF, inner shareable, of MAIR's first field. */
#define S1_BLOCK UINT64_C(0x701)
#define AP1	 (UINT64_C(1) << 6)  /* RES1 of an EL2 without E2H; else EL0 has it */
#define AP2	 (UINT64_C(1) << 7)  /* read-only */
#define BIT_53	 (UINT64_C(1) << 53) /* PXN with E2H */
#define BIT_54	 (UINT64_C(1) << 54) /* UXN with E2H, XN without */

/* T0SZ 39 bits, write-back, inner shareable, 4K; PS, or IPS, 40 bits. */
#define TCR_LOWER    UINT64_C(0x3519)
#define TCR_WITHOUT  (TCR_LOWER | UINT64_C(2) << 16 | UINT64_C(0x80800000))
#define TCR_WITH     (TCR_LOWER | UINT64_C(2) << 32 | UINT64_C(1) << 23)
#define SCTLR_ON     UINT64_C(0x1005) /* M, C, I */
#define RES1_WITHOUT UINT64_C(0x30c50830)
#define RES1_WITH    UINT64_C(0x30d00800)
#define ASID	     (UINT64_C(5) << 48)

#define EC_FETCH_SAME 0x21
#define EC_DATA_SAME  0x25
#define PSTATE_PAN    (UINT64_C(1) << 22)
#define PAR_FST(par)  ((par) >> 1 & 0x3f)
#define PAR_PA(par)   ((par)&UINT64_C(0xffffffffff000))
#define HCR_TGE	      (UINT64_C(1) << 27)
#define HCR_E2H	      (UINT64_C(1) << 34)

/* Each maps its memory again; what there is no access for, of the kind with E2H and without. */
enum { LOAD = 1, STORE = 2, JUMP = 4, ALL_THREE = 7 };
static const struct {
	uint64_t bits;
	unsigned refused[2];
} aliases[] = {
	{0, {0, 0}}, /* replaced: where it stands */
	{BIT_54, {0, JUMP}},
	{BIT_53, {JUMP, 0}},
	{AP1, {JUMP, 0}}, /* what EL0 writes EL1 does not execute */
	{AP1 | AP2, {STORE, STORE}},
	{AP2 | BIT_53 | BIT_54, {STORE | JUMP, STORE | JUMP}},
};
#define ALIASES (sizeof(aliases) / sizeof(aliases[0]))

static uint64_t identity(void)
{
	return S1_BLOCK | (nest.nvhe ? AP1 : 0);
}

/* The guest hypervisor makes them as it does those of stage 2. */
static void make_tables(void)
{
	volatile struct hyp_orders *o = nest_orders();
	uint64_t root = o->root, next = o->next;

	o->root = TABLES;
	o->next = TABLES + PAGE;
	nest_does(HYP_SET, 0, 2, identity());
	for (uint64_t i = 1; i < ALIASES; i++)
		nest_does(HYP_SET, i * ALIAS, 2, S1_BLOCK | aliases[i].bits);
	o->root = root;
	o->next = next;
}

static void open_with_stage1(void)
{
	volatile struct hyp_orders *o = nest_orders();
	uint64_t tcr, sctlr;

	nest_open();
	tcr = nest.nvhe ? TCR_WITHOUT : TCR_WITH;
	sctlr = SCTLR_ON | (nest.nvhe ? RES1_WITHOUT : RES1_WITH);
	make_tables();
	nest_does(HYP_STAGE1, ASID | TABLES, tcr, sctlr);
	assert_int_equal(o->x1, nest.nvhe ? TABLES : ASID | TABLES);
	assert_int_equal(o->x2, tcr);
	assert_int_equal(o->value, sctlr);
}

static void probe(uint64_t address, enum hyp_access access, uint64_t fsc)
{
	volatile struct hyp_orders *o = nest_orders();

	nest_does(HYP_PROBE, address, access, 0);
	nest.compared++;
	if (!fsc) {
		assert_int_equal(o->esr, 0);
		return;
	}
	assert_int_equal(EC(o->esr), access == HYP_JUMPS ? EC_FETCH_SAME : EC_DATA_SAME);
	assert_int_equal(FSC(o->esr), fsc);
	assert_int_equal(o->far, address);
}

static void is_at(uint64_t instruction, uint64_t address, uint64_t fsc)
{
	uint64_t par;

	nest_does(HYP_AT, instruction, address, 0);
	nest.compared++;
	par = nest_orders()->value;
	assert_int_equal(par & 1, !!fsc);
	if (fsc)
		assert_int_equal(PAR_FST(par), fsc);
	else
		assert_int_equal(PAR_PA(par), address % ALIAS & ~(PAGE - 1));
}

static void probe_all(uint64_t base, const uint64_t fsc[3])
{
	uint64_t word = base + HYP_DATA + 11 * PAGE + 0xff8; /* behind the tables' last entry */
	uint64_t code = base + HYP_CODE + PAGE +
			(uint64_t)(guest_virtual_ret - (const unsigned char *)guest_virtual_enter);

	probe(word, HYP_LOADS, fsc[0]);
	probe(word, HYP_STORES, fsc[1]);
	probe(code, HYP_JUMPS, fsc[2]);
	is_at(AT_S1E2R, word, fsc[0]);
	is_at(AT_S1E2W, word, fsc[1]);
}

static void virtual_stage1_has_the_form_of_its_kind(void **state)
{
	static const uint64_t nothing[3] = {FSC_TRANSLATION(2), FSC_TRANSLATION(2),
					    FSC_TRANSLATION(2)};
	static const uint64_t no_half[3] = {FSC_TRANSLATION(0), FSC_TRANSLATION(0),
					    FSC_TRANSLATION(0)};

	(void)state;
	open_with_stage1();
	for (unsigned i = 0; i < ALIASES; i++) {
		unsigned refused = aliases[i].refused[nest.nvhe];
		const uint64_t fsc[3] = {refused & LOAD ? FSC_PERMISSION(2) : 0,
					 refused & STORE ? FSC_PERMISSION(2) : 0,
					 refused & JUMP ? FSC_PERMISSION(2) : 0};

		probe_all(i * ALIAS, fsc);
	}
	probe_all(ALIASES * ALIAS, nothing);
	probe_all(UPPER, no_half);
	/* PSTATE.PAN is nothing to an EL2 that has no EL0. */
	if (nest.nvhe) {
		nest.v->regs.pstate |= PSTATE_PAN;
		probe(3 * ALIAS + HYP_DATA, HYP_LOADS, 0);
		assert_true(nest.v->regs.pstate & PSTATE_PAN);
	}
	/* Its guest, beside it. */
	assert_int_equal(nest_reads_all(), PAGES + 1);
	nest_judge(ALL);
	nest_tlbi(ALLE2IS, 0, 0);
	nest_tlbi(VMALLS12E1IS, 0, PAGES + 1);
	nest_judge(0);
	assert_int_equal(nest_reads_all(), PAGES + 1);
	nest_close();
}

/* EL1's, or with E2H EL12's. */
static void virtual_names_are_its_guests(void **state)
{
	const uint64_t n = 0x12340;
	struct pt_el2_regs before;

	(void)state;
	nest_open();
	before = nest.v->regs;
	nest_does(HYP_NAMES, n, 0, 0);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, ttbr0_el1), n);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, contextidr_el1), n);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, vbar_el1), n << 11);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, elr_el1), n);
	assert_int_equal(PT_EL2_VNCR(&nest_el2, far_el1), n);
	assert_int_equal(nest.v->regs.ttbr0_el1, before.ttbr0_el1);
	assert_int_equal(nest.v->regs.contextidr_el1, before.contextidr_el1);
	assert_int_equal(nest.v->regs.vbar_el1, before.vbar_el1);
	nest_close();
}

/* TFP of the one is FPEN of the other, the other way round. */
static void virtual_cptr_has_the_form_of_its_kind(void **state)
{
	static const uint64_t values[2][2] = {{UINT64_C(3) << 20, 0}, {0x33ff, 0x37ff}};

	(void)state;
	nest_open();
	for (unsigned i = 0; i < 2; i++) {
		nest_does(HYP_CPTR, values[nest.nvhe][i], 0, 0);
		assert_int_equal(nest_orders()->value, values[nest.nvhe][i]);
		assert_int_equal(nest.v->regs.cpacr_el1, i ? 0 : UINT64_C(3) << 20);
	}
	nest_close();
}

/* HCR_EL2.E2H is not the guest's to say: what it writes is the contrary. With TGE AT S1E1R is of
 * EL2's own stage 1 where that has it, else of its guest's, which is off then. */
static void virtual_e2h_stays_what_it_is(void **state)
{
	uint64_t par;

	(void)state;
	open_with_stage1();
	nest_orders()->hcr |= HCR_TGE | (nest.nvhe ? HCR_E2H : 0);
	nest_does(HYP_AT, AT_S1E1R, ALIASES * ALIAS, 0);
	nest.compared++;
	par = nest_orders()->value;
	assert_int_equal(par & 1, !nest.nvhe);
	if (nest.nvhe)
		assert_int_equal(PAR_PA(par), ALIASES * ALIAS);
	else
		assert_int_equal(PAR_FST(par), FSC_TRANSLATION(2));
	nest_close();
}

const struct CMUnitTest host_stage1_tests[] = {
	cmocka_unit_test(virtual_stage1_has_the_form_of_its_kind),
	cmocka_unit_test(virtual_names_are_its_guests),
	cmocka_unit_test(virtual_cptr_has_the_form_of_its_kind),
	cmocka_unit_test(virtual_e2h_stays_what_it_is),
};
const size_t host_stage1_count = sizeof(host_stage1_tests) / sizeof(host_stage1_tests[0]);
