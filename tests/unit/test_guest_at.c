/* SPDX-License-Identifier: BSD-2-Clause */
/* Address translation instructions: PAR_EL1 written by hand from its register page, and random
 * tables of both stages beside the architectural walker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pt/guest_at.h>
#include <pt/host/hwwalk.h>

#include "guest_memory.h"

#define BIT(n)	 (UINT64_C(1) << (n))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define G	 UINT64_C(0x40000000)

/*
 * Stage 1: 39 bits of 4K from level 1 in both halves, 40 bits out; attributes by index: write-back,
 * NC, Device-nGnRnE, nGnRE, nGRE, write-through, transient write-back, and outer write-back with
 * inner NC.
 */
#define SCTLR	   UINT64_C(0x5) /* M, C */
#define SCTLR_EE   BIT(25)
#define SCTLR_EPAN BIT(57)
#define TCR	   (25 | UINT64_C(25) << 16 | UINT64_C(2) << 30 | UINT64_C(2) << 32)
#define TCR_EPD0   BIT(7)
#define TCR_TBI0   BIT(37)
#define TCR_HA	   BIT(39)
#define TCR_HD	   BIT(40)
#define TCR_HPD0   BIT(41)
#define TCR_HPD1   BIT(42)
#define TCR_E0PD0  BIT(55)
#define MAIR	   UINT64_C(0xf477bb08040044ff)
#define HCR_VM	   BIT(0)
#define HCR_PTW	   BIT(2)
#define HCR_DC	   BIT(12)
#define HCR_TGE	   BIT(27)
#define HCR_CD	   BIT(32)
#define HCR_E2H	   BIT(34)
#define HCR_FWB	   BIT(46)

/* A block of 1 GiB by stage 1, at VA 1 GiB of either half: IPA 2 GiB. */
#define INDEX(n) ((uint64_t)(n) << 2)
#define EL0	 BIT(6)
#define RO	 BIT(7)
#define OUTER	 (UINT64_C(2) << 8)
#define INNER	 (UINT64_C(3) << 8)
#define AF	 BIT(10)
#define DBM	 BIT(51)
#define UXN	 BIT(54)
#define BLOCK	 (2 * G | AF | INNER | 1)
#define VA	 (G | 0x1234)
#define UPPER	 (UINT64_C(0xffffff8000000000) | VA)

/* Blocks of 1 GiB by stage 2: IPA 0, where stage 1's tables are, to 1 GiB; IPA 2 GiB to 3 GiB. */
#define S2_R	  BIT(6)
#define S2_W	  BIT(7)
#define MEM(attr) ((uint64_t)(attr) << 2)
#define S2_BLOCK  (AF | S2_R | S2_W | 1)
#define S2_PLAIN  (S2_BLOCK | INNER | MEM(0xf))
#define S2_VTCR	  UINT64_C(0x80023558) /* 4K, 40 bits from level 1 */
#define S2_ROOT	  UINT64_C(0x20000000)

#define S1_TABLE  UINT64_C(0x10000000) /* IPA, of the lower half */
#define S1_UPPER  UINT64_C(0x11000000)
#define S1_SECOND UINT64_C(0x10001000) /* a table of level 2, for VA 2 GiB */
#define VA_SECOND (2 * G | 0x1234)

#define HOLE BIT(63) /* no descriptor is just that */

struct at_case {
	const char *what;
	enum pt_guest_at_op op;
	uint64_t block;		  /* of stage 1 at VA */
	uint64_t sctlr, tcr, hcr; /* beside SCTLR and TCR */
	uint64_t va;
	uint64_t par;
};

/* With stage 2, and what it has at IPA 0 and at IPA 2 GiB. */
struct both_case {
	struct at_case c;
	uint64_t tables, output;
};

struct rig {
	struct guest_memory m;
	struct pt_guest_memory memory;
	struct pt_guest_s2 s2;
	struct pt_guest_at_regs regs;
	struct pt_guest_at_result result;
};

static void put(struct rig *rig, uint64_t ipa, uint64_t value)
{
	if (value == HOLE)
		return;
	guest_put(&rig->m, ipa, value);
}

/* Stage 1's tables stand at their IPA and, for stage 2, 1 GiB higher. */
static void put_stage1(struct rig *rig, uint64_t ipa, uint64_t value)
{
	if (value != HOLE && rig->regs.sctlr & SCTLR_EE)
		value = __builtin_bswap64(value);
	put(rig, ipa, value);
	put(rig, ipa + G, value);
}

static void set_up(struct rig *rig, const struct at_case *c, uint64_t tables, uint64_t output)
{
	struct pt_guest_regs regs = {.vtcr = S2_VTCR,
				     .vttbr = S2_ROOT,
				     .pa_bits = 48,
				     .hcr = c->hcr,
				     .attrs = PT_ATTR_FWB};

	*rig = (struct rig){.regs = {.sctlr = SCTLR ^ c->sctlr,
				     .tcr = TCR | c->tcr,
				     .ttbr = {S1_TABLE, S1_UPPER},
				     .mair = MAIR,
				     .hcr = c->hcr,
				     .pan = true,
				     .pa_bits = 48}};
	rig->memory = guest_functions(&rig->m);
	assert_int_equal(pt_guest_s2_decode(&rig->s2, &regs), PT_OK);
	put_stage1(rig, S1_TABLE + 8, c->block);
	put_stage1(rig, S1_UPPER + 8, c->block);
	put(rig, S2_ROOT, tables == HOLE ? tables : G | tables);
	put(rig, S2_ROOT + 16, 3 * G | output);
}

static enum pt_outcome instruct(struct rig *rig, enum pt_guest_at_op op, uint64_t va)
{
	unsigned words = rig->m.words;
	enum pt_outcome outcome =
		pt_guest_at(&rig->memory, &rig->s2, &rig->regs, op, va, &rig->result);

	assert_int_equal(rig->m.swaps, 0);
	assert_int_equal(rig->m.words, words);
	return outcome;
}

/* PAR_EL1 of success: ATTR in 63:56, PA, bit 11 RES1, SH in 8:7. */
static const struct at_case stage1_cases[] = {
	{"write-back", PT_AT_S1E1R, BLOCK, 0, 0, 0, VA, 0xff00000080001980},
	{"the upper half", PT_AT_S1E1R, BLOCK, 0, 0, 0, UPPER, 0xff00000080001980},
	{"NC is outer shareable", PT_AT_S1E1R, BLOCK | INDEX(1), 0, 0, 0, VA, 0x4400000080001900},
	{"nGnRnE", PT_AT_S1E1R, BLOCK | INDEX(2), 0, 0, 0, VA, 0x0000000080001900},
	{"nGnRE", PT_AT_S1E1R, BLOCK | INDEX(3), 0, 0, 0, VA, 0x0400000080001900},
	{"write-through", PT_AT_S1E1R, BLOCK | INDEX(5), 0, 0, 0, VA, 0xbb00000080001980},
	{"outer write-back, inner NC", PT_AT_S1E1R, BLOCK | INDEX(7), 0, 0, 0, VA,
	 0xf400000080001980},
	{"outer shareable", PT_AT_S1E1R, BLOCK ^ INNER ^ OUTER, 0, 0, 0, VA, 0xff00000080001900},
	{"not shareable", PT_AT_S1E1R, BLOCK ^ INNER, 0, 0, 0, VA, 0xff00000080001800},
	{"without caches", PT_AT_S1E1R, BLOCK, 0x4, 0, 0, VA, 0x4400000080001900},
	{"big-endian tables", PT_AT_S1E1R, BLOCK, SCTLR_EE, 0, 0, VA, 0xff00000080001980},

	{"a page of EL1 alone", PT_AT_S1E0R, BLOCK, 0, 0, 0, VA, 0x81b},
	{"a page of both", PT_AT_S1E0R, BLOCK | EL0, 0, 0, 0, VA, 0xff00000080001980},
	{"which EL0 writes", PT_AT_S1E0W, BLOCK | EL0, 0, 0, 0, VA, 0xff00000080001980},
	{"but not where it is read-only", PT_AT_S1E0W, BLOCK | EL0 | RO, 0, 0, 0, VA, 0x81b},
	{"EL1 writes", PT_AT_S1E1W, BLOCK, 0, 0, 0, VA, 0xff00000080001980},
	{"but not read-only", PT_AT_S1E1W, BLOCK | RO, 0, 0, 0, VA, 0x81b},
	{"which it reads", PT_AT_S1E1R, BLOCK | RO, 0, 0, 0, VA, 0xff00000080001980},
	{"execute-never is no matter", PT_AT_S1E1R, BLOCK | 3 * BIT(53), 0, 0, 0, VA,
	 0xff00000080001980},
	{"DBM with HD", PT_AT_S1E1W, BLOCK | RO | DBM, 0, TCR_HA | TCR_HD, 0, VA,
	 0xff00000080001980},
	{"DBM without", PT_AT_S1E1W, BLOCK | RO | DBM, 0, TCR_HA, 0, VA, 0x81b},
	{"HD without HA", PT_AT_S1E1W, BLOCK | RO | DBM, 0, TCR_HD, 0, VA, 0x81b},

	{"PAN stops RP", PT_AT_S1E1RP, BLOCK | EL0, 0, 0, 0, VA, 0x81b},
	{"PAN stops WP", PT_AT_S1E1WP, BLOCK | EL0, 0, 0, 0, VA, 0x81b},
	{"not where EL0 has nothing", PT_AT_S1E1RP, BLOCK, 0, 0, 0, VA, 0xff00000080001980},
	{"not R", PT_AT_S1E1R, BLOCK | EL0, 0, 0, 0, VA, 0xff00000080001980},
	{"not EL0", PT_AT_S1E0R, BLOCK | EL0, 0, 0, 0, VA, 0xff00000080001980},
	{"EPAN: what EL0 executes", PT_AT_S1E1RP, BLOCK, SCTLR_EPAN, 0, 0, VA, 0x81b},
	{"EPAN: what it does not", PT_AT_S1E1RP, BLOCK | UXN, SCTLR_EPAN, 0, 0, VA,
	 0xff00000080001980},

	{"old", PT_AT_S1E1R, BLOCK ^ AF, 0, 0, 0, VA, 0x813},
	{"old, with HA", PT_AT_S1E1R, BLOCK ^ AF, 0, TCR_HA, 0, VA, 0xff00000080001980},
	{"the flag comes before rights", PT_AT_S1E0W, BLOCK ^ AF, 0, 0, 0, VA, 0x813},
	{"invalid", PT_AT_S1E1R, BLOCK ^ 1, 0, 0, 0, VA, 0x80b},
	{"an output of 41 bits", PT_AT_S1E1R, BLOCK | BIT(40), 0, 0, 0, VA, 0x803},
	{"a table of 41 bits", PT_AT_S1E1R, BIT(40) | 3, 0, 0, 0, VA, 0x803},
	{"a VA of 41 bits", PT_AT_S1E1R, BLOCK, 0, 0, 0, VA | BIT(40), 0x809},
	{"a hole below the upper half", PT_AT_S1E1R, BLOCK, 0, 0, 0, UPPER ^ BIT(39), 0x809},
	{"a tag", PT_AT_S1E1R, BLOCK, 0, 0, 0, VA | BIT(60), 0x809},
	{"a tag, with TBI", PT_AT_S1E1R, BLOCK, 0, TCR_TBI0, 0, VA | BIT(60), 0xff00000080001980},
	{"TBI of the other half", PT_AT_S1E1R, BLOCK, 0, BIT(38), 0, VA | BIT(60), 0x809},
	{"EPD0", PT_AT_S1E1R, BLOCK, 0, TCR_EPD0, 0, VA, 0x809},
	{"EPD0 for the upper half", PT_AT_S1E1R, BLOCK, 0, TCR_EPD0, 0, UPPER, 0xff00000080001980},
	{"E0PD0 for EL0", PT_AT_S1E0R, BLOCK | EL0, 0, TCR_E0PD0, 0, VA, 0x809},
	{"E0PD0 for EL1", PT_AT_S1E1R, BLOCK | EL0, 0, TCR_E0PD0, 0, VA, 0xff00000080001980},
	{"a size too small", PT_AT_S1E1R, BLOCK, 0, 0x3f, 0, VA, 0x809},

	{"MMU off", PT_AT_S1E1R, BLOCK, 0x1, 0, 0, 2 * G | 0x1234, 0x0000000080001900},
	{"MMU off: EL0 writes, too", PT_AT_S1E0W, BLOCK, 0x1, 0, 0, 2 * G | 0x1234,
	 0x0000000080001900},
	{"MMU off, too large", PT_AT_S1E1R, BLOCK, 0x1, 0, 0, BIT(48), 0x801},
	{"MMU off, a tag", PT_AT_S1E1R, BLOCK, 0x1, TCR_TBI0, 0, 2 * G | 0x1234 | BIT(60),
	 0x0000000080001900},
	{"DC", PT_AT_S1E1R, BLOCK, 0, 0, HCR_DC, 2 * G | 0x1234, 0xff00000080001800},
	{"TGE", PT_AT_S1E1R, BLOCK, 0, 0, HCR_TGE, 2 * G | 0x1234, 0x0000000080001900},
	{"TGE, not E2H", PT_AT_S12E1R, BLOCK, 0, 0, HCR_TGE, 2 * G | 0x1234, 0x0000000080001900},
	{"host mode", PT_AT_S1E1R, BLOCK, 0, 0, HCR_TGE | HCR_E2H | HCR_DC, VA, 0xff00000080001980},
	{"S12 without stage 2", PT_AT_S12E1R, BLOCK, 0, 0, 0, VA, 0xff00000080001980},
};

/* All with PSTATE.PAN, which none but RP and WP obey. */
static void stage_1_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(stage1_cases); i++) {
		struct rig rig;

		set_up(&rig, &stage1_cases[i], 0, 0);
		assert_int_equal(instruct(&rig, stage1_cases[i].op, stage1_cases[i].va), PT_OK);
		if (rig.result.par != stage1_cases[i].par)
			print_error("%s\n", stage1_cases[i].what);
		assert_int_equal(rig.result.par, stage1_cases[i].par);
	}
}

/* Rights of a table on the way hold for all below it, but not with HPD. */
static void tables_take_rights_away(void **state)
{
	static const struct {
		enum pt_guest_at_op op;
		uint64_t table, tcr, sctlr, par;
	} rows[] = {
		{PT_AT_S1E1W, 0, 0, 0, 0xff00000090001980},
		{PT_AT_S1E1W, BIT(62), 0, 0, 0x81d},
		{PT_AT_S1E1R, BIT(62), 0, 0, 0xff00000090001980},
		{PT_AT_S1E1W, BIT(62), TCR_HPD0, 0, 0xff00000090001980},
		{PT_AT_S1E0R, BIT(61), 0, 0, 0x81d},
		{PT_AT_S1E0R, BIT(61), TCR_HPD0, 0, 0xff00000090001980},
		{PT_AT_S1E1W, BIT(61), 0, 0, 0xff00000090001980},
		{PT_AT_S1E1RP, BIT(61) | BIT(60), 0, SCTLR_EPAN, 0xff00000090001980},
		{PT_AT_S1E1RP, BIT(61), 0, SCTLR_EPAN, 0x81d},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct at_case c = {
			.block = BLOCK,
			.tcr = rows[i].tcr,
			.sctlr = rows[i].sctlr,
		};
		struct rig rig;

		set_up(&rig, &c, 0, 0);
		put_stage1(&rig, S1_TABLE + 16, S1_SECOND | rows[i].table | 3);
		put_stage1(&rig, S1_SECOND, UINT64_C(0x90000000) | AF | INNER | EL0 | 1);
		assert_int_equal(instruct(&rig, rows[i].op, VA_SECOND), PT_OK);
		assert_int_equal(rig.result.par, rows[i].par);
	}
}

#define ON HCR_VM
#define F  (HCR_VM | HCR_FWB)

/* Of faults: S is bit 9, PTW bit 8, FST in 6:1. */
static const struct both_case both_cases[] = {
	{{"both", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xff000000c0001980}, S2_PLAIN, S2_PLAIN},
	{{"S1: an IPA", PT_AT_S1E1R, BLOCK, 0, 0, ON, VA, 0xff00000080001980}, S2_PLAIN, 0},
	{{"NC by stage 2", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0x44000000c0001900},
	 S2_PLAIN,
	 S2_BLOCK | INNER | MEM(5)},
	{{"Device by stage 2", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0x04000000c0001900},
	 S2_PLAIN,
	 S2_BLOCK | MEM(1)},
	{{"Device by stage 1", PT_AT_S12E1R, BLOCK | INDEX(4), 0, 0, ON, VA, 0x08000000c0001900},
	 S2_PLAIN,
	 S2_PLAIN},
	{{"the stricter Device", PT_AT_S12E1R, BLOCK | INDEX(4), 0, 0, ON, VA, 0x04000000c0001900},
	 S2_PLAIN,
	 S2_BLOCK | MEM(1)},
	{{"the stricter Device is stage 1's", PT_AT_S12E1R, BLOCK | INDEX(2), 0, 0, ON, VA,
	  0x00000000c0001900},
	 S2_PLAIN,
	 S2_BLOCK | MEM(3)},
	{{"write-through by stage 2", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xbb000000c0001980},
	 S2_PLAIN,
	 S2_BLOCK | INNER | MEM(0xa)},
	{{"transient stays", PT_AT_S12E1R, BLOCK | INDEX(6), 0, 0, ON, VA, 0x33000000c0001980},
	 S2_PLAIN,
	 S2_BLOCK | INNER | MEM(0xa)},
	{{"write-through by stage 1", PT_AT_S12E1R, BLOCK | INDEX(5), 0, 0, ON, VA,
	  0xbb000000c0001980},
	 S2_PLAIN,
	 S2_PLAIN},
	{{"inner NC by stage 2", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xf4000000c0001980},
	 S2_PLAIN,
	 S2_BLOCK | INNER | MEM(0xd)},
	{{"NC by stage 1", PT_AT_S12E1R, BLOCK | INDEX(1), 0, 0, ON, VA, 0x44000000c0001900},
	 S2_PLAIN,
	 S2_PLAIN},
	{{"outer shareable by stage 2", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xff000000c0001900},
	 S2_PLAIN,
	 S2_BLOCK | OUTER | MEM(0xf)},
	{{"inner shareable by stage 2", PT_AT_S12E1R, BLOCK ^ INNER, 0, 0, ON, VA,
	  0xff000000c0001980},
	 S2_PLAIN,
	 S2_PLAIN},
	{{"by neither", PT_AT_S12E1R, BLOCK ^ INNER, 0, 0, ON, VA, 0xff000000c0001800},
	 S2_PLAIN,
	 S2_PLAIN ^ INNER},
	{{"CD", PT_AT_S12E1R, BLOCK, 0, 0, ON | HCR_CD, VA, 0x44000000c0001900},
	 S2_PLAIN,
	 S2_PLAIN},
	{{"MMU off", PT_AT_S12E1R, BLOCK, 0x1, 0, ON, 2 * G | 0x1234, 0x00000000c0001900},
	 S2_PLAIN,
	 S2_PLAIN},
	{{"DC", PT_AT_S12E1R, BLOCK, 0, 0, HCR_DC, 2 * G | 0x1234, 0xff000000c0001980},
	 S2_PLAIN,
	 S2_PLAIN},

	{{"host mode: no stage 2", PT_AT_S12E0R, BLOCK | EL0, 0, 0, ON | HCR_TGE | HCR_E2H, VA,
	  0xff00000080001980},
	 0,
	 0},
	{{"but for S12E1", PT_AT_S12E1R, BLOCK, 0, 0, ON | HCR_TGE | HCR_E2H, 2 * G | 0x1234,
	  0x00000000c0001900},
	 S2_PLAIN,
	 S2_PLAIN},

	{{"FWB: write-back over Device", PT_AT_S12E1R, BLOCK | INDEX(3), 0, 0, F, VA,
	  0xff000000c0001900},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(6)},
	{{"FWB: write-back over NC", PT_AT_S12E1R, BLOCK | INDEX(1), 0, 0, F, VA,
	  0xff000000c0001900},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(6)},
	{{"FWB: write-back over write-through", PT_AT_S12E1R, BLOCK | INDEX(5), 0, 0, F, VA,
	  0xff000000c0001980},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(6)},
	{{"FWB: transient stays", PT_AT_S12E1R, BLOCK | INDEX(6), 0, 0, F, VA, 0x77000000c0001980},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(6)},
	{{"FWB: stage 1's", PT_AT_S12E1R, BLOCK | INDEX(5), 0, 0, F, VA, 0xbb000000c0001980},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(7)},
	{{"FWB: stage 1's Device", PT_AT_S12E1R, BLOCK | INDEX(3), 0, 0, F, VA, 0x04000000c0001900},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(7)},
	{{"FWB: NC", PT_AT_S12E1R, BLOCK, 0, 0, F, VA, 0x44000000c0001900},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(5)},
	{{"FWB: NC over Device", PT_AT_S12E1R, BLOCK | INDEX(3), 0, 0, F, VA, 0x04000000c0001900},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(5)},
	{{"FWB: Device", PT_AT_S12E1R, BLOCK, 0, 0, F, VA, 0x04000000c0001900},
	 S2_BLOCK | MEM(6),
	 S2_BLOCK | MEM(1)},

	{{"no output", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xa0b}, S2_PLAIN, 0},
	{{"an old output", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xa13}, S2_PLAIN, S2_PLAIN ^ AF},
	{{"read-only by stage 2", PT_AT_S12E1W, BLOCK, 0, 0, ON, VA, 0xa1b},
	 S2_PLAIN,
	 S2_PLAIN ^ S2_W},
	{{"which is read", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xff000000c0001980},
	 S2_PLAIN,
	 S2_PLAIN ^ S2_W},
	{{"not to be read", PT_AT_S12E0R, BLOCK | EL0, 0, 0, ON, VA, 0xa1b},
	 S2_PLAIN,
	 S2_PLAIN ^ S2_R},
	{{"which is written", PT_AT_S12E0W, BLOCK | EL0, 0, 0, ON, VA, 0xff000000c0001980},
	 S2_PLAIN,
	 S2_PLAIN ^ S2_R},
	{{"stage 1 comes first", PT_AT_S12E0W, BLOCK, 0, 0, ON, VA, 0x81b}, S2_PLAIN, 0},
	{{"tables missing", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xb0b}, 0, S2_PLAIN},
	{{"tables old", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xb13}, S2_PLAIN ^ AF, S2_PLAIN},
	{{"tables not to be read", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xb1b},
	 S2_PLAIN ^ S2_R,
	 S2_PLAIN},
	{{"tables read-only", PT_AT_S12E1W, BLOCK, 0, 0, ON, VA, 0xff000000c0001980},
	 S2_PLAIN ^ S2_W,
	 S2_PLAIN},
	{{"tables in Device", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0xff000000c0001980},
	 S2_BLOCK | MEM(1),
	 S2_PLAIN},
	{{"with PTW", PT_AT_S12E1R, BLOCK, 0, 0, ON | HCR_PTW, VA, 0xb1b},
	 S2_BLOCK | MEM(1),
	 S2_PLAIN},
	{{"PTW without Device", PT_AT_S12E1R, BLOCK, 0, 0, ON | HCR_PTW, VA, 0xff000000c0001980},
	 S2_PLAIN,
	 S2_PLAIN},
};

static void both_stages(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(both_cases); i++) {
		const struct at_case *c = &both_cases[i].c;
		struct rig rig;

		set_up(&rig, c, both_cases[i].tables, both_cases[i].output);
		assert_int_equal(instruct(&rig, c->op, c->va), PT_OK);
		if (rig.result.par != c->par)
			print_error("%s\n", c->what);
		assert_int_equal(rig.result.par, c->par);
	}
}

/* What is no result: ESR_EL2 with IL, CM and WnR, S1PTW where stage 2 is meant. */
static const struct {
	struct both_case b;
	uint64_t esr, hpfar;
} aborts[] = {
	{{{"tables missing, for S1", PT_AT_S1E1R, BLOCK, 0, 0, ON, VA, 0}, 0, S2_PLAIN},
	 0x920001c5,
	 0x100000},
	{{{"tables not to be read", PT_AT_S1E0W, BLOCK, 0, 0, ON, VA, 0},
	  S2_PLAIN ^ S2_R,
	  S2_PLAIN},
	 0x920001cd,
	 0x100000},
	{{{"in the upper half", PT_AT_S1E1R, BLOCK, 0, 0, ON, UPPER, 0}, 0, S2_PLAIN},
	 0x920001c5,
	 0x110000},
	{{{"a hole in stage 1", PT_AT_S1E1R, HOLE, 0, 0, 0, VA, 0}, S2_PLAIN, S2_PLAIN},
	 0x92000155,
	 0},
	{{{"the same in host mode", PT_AT_S1E1R, HOLE, 0, 0, HCR_TGE | HCR_E2H, VA, 0}, 0, 0},
	 0x96000155,
	 0},
	{{{"the same for S12", PT_AT_S12E1R, HOLE, 0, 0, ON, VA, 0}, S2_PLAIN, S2_PLAIN},
	 0x96000155,
	 0},
	{{{"a hole in stage 2 under stage 1", PT_AT_S12E1R, BLOCK, 0, 0, ON, VA, 0},
	  HOLE,
	  S2_PLAIN},
	 0x960001d5,
	 0},
};

static void what_is_no_result_is_an_abort(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(aborts); i++) {
		const struct at_case *c = &aborts[i].b.c;
		struct rig rig;

		set_up(&rig, c, aborts[i].b.tables, aborts[i].b.output);
		assert_int_equal(instruct(&rig, c->op, c->va), PT_DENIED);
		if (rig.result.esr != aborts[i].esr)
			print_error("%s\n", c->what);
		assert_int_equal(rig.result.esr, aborts[i].esr);
		assert_int_equal(rig.result.far, c->va);
		assert_int_equal(rig.result.hpfar, aborts[i].hpfar);
	}
}

static void without_pan_rp_is_as_r(void **state)
{
	const struct at_case c = {.block = BLOCK | EL0};
	struct rig rig;

	(void)state;
	set_up(&rig, &c, 0, 0);
	rig.regs.pan = false;
	assert_int_equal(instruct(&rig, PT_AT_S1E1RP, VA), PT_OK);
	assert_int_equal(rig.result.par, 0xff00000080001980);
	assert_int_equal(instruct(&rig, PT_AT_S1E1WP, VA), PT_OK);
	assert_int_equal(rig.result.par, 0xff00000080001980);
}

static void a_base_beyond_the_output_size_is_no_table(void **state)
{
	const struct at_case c = {.block = BLOCK};
	struct rig rig;

	(void)state;
	set_up(&rig, &c, 0, 0);
	rig.regs.ttbr[0] |= BIT(40);
	assert_int_equal(instruct(&rig, PT_AT_S1E1R, VA), PT_OK);
	assert_int_equal(rig.result.par, 0x801);
	assert_int_equal(instruct(&rig, PT_AT_S1E1R, UPPER), PT_OK);
	assert_int_equal(rig.result.par, 0xff00000080001980);
}

static void arguments_are_refused(void **state)
{
	const struct at_case c = {.block = BLOCK};
	struct rig rig;

	(void)state;
	set_up(&rig, &c, 0, 0);
	assert_int_equal(instruct(&rig, PT_AT_OPS, VA), PT_INVALID);
	rig.regs.pa_bits = 39;
	assert_int_equal(instruct(&rig, PT_AT_S1E1R, VA), PT_INVALID);
}

/* --- beside the architectural walker --- */

/*
 * One half of stage 1 is what stage 2 would be from the same start level, when the hierarchy's
 * rights are off; and AP[1], for EL0's reads, stands where S2AP[0] does.
 */
static const struct format {
	uint64_t tcr;  /* T0SZ, TG0, IPS, DS */
	uint64_t vtcr; /* the same: T0SZ, SL0, TG0, PS, DS, SL2 */
	unsigned pa_bits, va_bits;
	bool ds, lpa;
} formats[] = {
	{32 | UINT64_C(2) << 32, 0x80020060, 40, 32, false, false},
	{25 | UINT64_C(2) << 32, 0x80020059, 40, 39, false, false},
	{24 | UINT64_C(5) << 32, 0x80050098, 48, 40, false, false},
	{16 | UINT64_C(5) << 32, 0x80050090, 48, 48, false, false},
	{12 | UINT64_C(6) << 32 | BIT(59), 0x38006000c, 52, 52, true, false},
	{28 | 2 << 14 | UINT64_C(2) << 32, 0x8002805c, 40, 36, false, false},
	{17 | 2 << 14 | UINT64_C(5) << 32, 0x80058091, 48, 47, false, false},
	{12 | 2 << 14 | UINT64_C(6) << 32 | BIT(59), 0x1800680cc, 52, 52, true, false},
	{22 | 1 << 14 | UINT64_C(5) << 32, 0x80054056, 48, 42, false, false},
	{16 | 1 << 14 | UINT64_C(5) << 32, 0x80054090, 48, 48, false, false},
	{12 | 1 << 14 | UINT64_C(6) << 32, 0x8006408c, 52, 52, false, true},
};

struct trial {
	const struct format *f1, *f2; /* of stage 1, of stage 2; PA size as f2 says */
	struct pt_guest_regs s2;
	struct pt_guest_at_regs s1;
	uint64_t va;
	bool both, upper;		/* stage 2, too; by TTBR1 */
	struct random_tables tables[2]; /* of stage 1, of stage 2 */
};

struct bus {
	struct guest_memory *m;
	const struct trial *t;
	struct hw_result stage2; /* of the last fetch */
};

static bool read_plain(void *arg, uint64_t pa, uint64_t *descriptor)
{
	return guest_get(arg, pa, descriptor);
}

static void judge_stage2(const struct trial *t, struct guest_memory *m, uint64_t ipa,
			 struct hw_result *r)
{
	struct hw_regs regs = {.vtcr = t->s2.vtcr, .vttbr = t->s2.vttbr};
	struct hw_bus bus = {read_plain, NULL, m};

	hw_walk(&regs, &bus, ipa, HW_AT, true, r);
}

static bool read_through(void *arg, uint64_t ipa, uint64_t *descriptor)
{
	struct bus *b = arg;

	if (!b->t->both) {
		b->stage2.fault = HW_NO_FAULT;
		return guest_get(b->m, ipa, descriptor);
	}
	judge_stage2(b->t, b->m, ipa, &b->stage2);
	return b->stage2.fault == HW_NO_FAULT && guest_get(b->m, b->stage2.pa, descriptor);
}

static uint64_t fst_of(const struct hw_result *r)
{
	struct hw_syndrome s;

	hw_syndrome(r, 0, HW_READ, false, 0, &s);
	return (s.esr & 0x3f) << 1;
}

static bool external(uint64_t fst)
{
	return fst >> 1 == 0x13 || (fst >> 1 & ~UINT64_C(3)) == 0x14;
}

/* PAR_EL1 without ATTR and SH; UINT64_MAX: an abort. */
static uint64_t expected_par(const struct trial *t, struct guest_memory *m, unsigned seen[3])
{
	struct hw_regs regs = {.vtcr = t->f1->vtcr, .vttbr = t->s1.ttbr[t->upper]};
	struct bus b = {.m = m, .t = t};
	struct hw_bus bus = {read_through, NULL, &b};
	struct hw_result r;

	hw_walk(&regs, &bus, t->va, HW_AT, true, &r);
	if (r.fault == HW_EXTERNAL && b.stage2.fault != HW_NO_FAULT) {
		seen[2]++;
		return external(fst_of(&b.stage2)) ? UINT64_MAX : 0xb01 | fst_of(&b.stage2);
	}
	if (r.fault != HW_NO_FAULT)
		return external(fst_of(&r)) ? UINT64_MAX : 0x801 | fst_of(&r);
	seen[0]++;
	if (!t->both)
		return 0x800 | (r.pa & ~UINT64_C(0xfff));
	judge_stage2(t, m, r.pa, &b.stage2);
	if (b.stage2.fault != HW_NO_FAULT)
		return external(fst_of(&b.stage2)) ? UINT64_MAX : 0xa01 | fst_of(&b.stage2);
	seen[1]++;
	return 0x800 | (b.stage2.pa & ~UINT64_C(0xfff));
}

/* Tables of both stages in one memory. The formats agree on all but where the address is, so a word
 * is of the one or the other by a bit of its own address. */
static bool either(const struct guest_memory *m, uint64_t ipa, uint64_t *value)
{
	const struct trial *t = m->arg;
	struct guest_memory inner = {.arg = &t->tables[ipa >> 16 & 1]};

	return random_word(&inner, ipa, value);
}

/* T0SZ and TG0 as T1SZ and TG1, which numbers granules otherwise. */
static uint64_t as_upper(uint64_t tcr)
{
	static const uint64_t tg1[3] = {2, 3, 1};

	return (tcr & ~UINT64_C(0xc03f)) | (tcr & 63) << 16 | tg1[tcr >> 14 & 3] << 30;
}

static struct trial draw_trial(uint64_t *state)
{
	const struct format *f1 = &formats[draw(state) % COUNT(formats)];
	const struct format *f2 = &formats[draw(state) % COUNT(formats)];
	struct trial t = {.f1 = f1, .both = draw(state) & 3, .upper = draw(state) & 1};

	/* One CPU has one PA size: the stages agree on that. */
	while (f2->pa_bits != f1->pa_bits)
		f2 = &formats[draw(state) % COUNT(formats)];
	t.f2 = f2;
	t.s2 = (struct pt_guest_regs){.vtcr = f2->vtcr, .pa_bits = f1->pa_bits};
	t.s1 = (struct pt_guest_at_regs){.sctlr = SCTLR,
					 .tcr = t.upper ? as_upper(f1->tcr) | TCR_HPD1
							: f1->tcr | TCR_HPD0,
					 .hcr = t.both ? HCR_VM : 0,
					 .pa_bits = f1->pa_bits};
	t.s1.ttbr[t.upper] = draw(state) & (BIT(f1->pa_bits < 48 ? f1->pa_bits : 48) - 1);
	t.s2.vttbr = draw(state) & (BIT(f1->pa_bits < 48 ? f1->pa_bits : 48) - 1);
	t.va = draw(state) & (BIT(f1->va_bits + !(draw(state) & 15)) - 1) & ~BIT(55);
	t.tables[0] = (struct random_tables){draw(state), f2->va_bits, f1->ds, f1->lpa};
	t.tables[1] = (struct random_tables){draw(state), f2->pa_bits, f2->ds, f2->lpa};
	return t;
}

static void compare(struct trial *t, unsigned seen[3])
{
	struct guest_memory m = {.untouched = either, .arg = t};
	struct pt_guest_memory memory = guest_functions(&m);
	const uint64_t unseen = UINT64_C(0xff) << 56 | 0x180;
	struct pt_guest_at_result result;
	struct pt_guest_s2 s2;
	uint64_t par, va = t->va;

	assert_int_equal(pt_guest_s2_decode(&s2, &t->s2), PT_OK);
	assert_false(s2.broken);
	par = expected_par(t, &m, seen);
	if (t->upper)
		va ^= ~(BIT(t->f1->va_bits) - 1);
	if (pt_guest_at(&memory, &s2, &t->s1, PT_AT_S12E0R, va, &result) == PT_DENIED) {
		assert_int_equal(par, UINT64_MAX);
		return;
	}
	assert_int_equal(result.par & ~(result.par & 1 ? 0 : unseen), par);
	assert_in_range(m.loads, 0, PT_LEVELS * (PT_LEVELS + 2));
	assert_int_equal(m.swaps, 0);
	assert_int_equal(m.words, 0);
}

static void random_tables_of_both_stages(void **state)
{
	const char *text = getenv("PTD_SEED");
	uint64_t random = text ? strtoull(text, NULL, 0) : 20260608;
	unsigned seen[3] = {0}, n = 100000;

	(void)state;
	print_message("PTD_SEED=%llu\n", (unsigned long long)random);
	for (unsigned i = 0; i < n; i++) {
		struct trial t = draw_trial(&random);

		compare(&t, seen);
	}
	print_message("%u translations compared: %u through stage 1, %u through both, "
		      "%u with a stage-2 fault on a fetch\n",
		      n, seen[0], seen[1], seen[2]);
	assert_in_range(seen[0], 1000, n);
	assert_in_range(seen[1], 100, n);
	assert_in_range(seen[2], 1000, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stage_1_alone),
		cmocka_unit_test(tables_take_rights_away),
		cmocka_unit_test(both_stages),
		cmocka_unit_test(what_is_no_result_is_an_abort),
		cmocka_unit_test(without_pan_rp_is_as_r),
		cmocka_unit_test(a_base_beyond_the_output_size_is_no_table),
		cmocka_unit_test(arguments_are_refused),
		cmocka_unit_test(random_tables_of_both_stages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
