/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of a guest's EL2 that EL1's stand for: with HCR_EL2.E2H as they are, without it in a
 * form of their own (Arm ARM D24; KVM: translate_tcr_el2_to_tcr_el1 and the like). */
#include "host_internal.h"

/* As ESR_EL2.ISS of EC 0x18 names it: PT__EL2_SYS. */
#define SYS PT__EL2_SYS

/* The same in both forms. */
/* clang-format off */
#define BOTH(X)                                                                                    \
	X(SYS(3, 4, 5, 1, 0), afsr0_el1) X(SYS(3, 4, 5, 1, 1), afsr1_el1)                          \
	X(SYS(3, 4, 10, 2, 0), mair_el1) X(SYS(3, 4, 10, 3, 0), amair_el1)                         \
	X(SYS(3, 4, 12, 0, 0), vbar_el1)
/* With HCR_EL2.E2H those of EL2 look as EL1's of the same number. */
#define WITH_E2H(X)                                                                                \
	X(SYS(3, 4, 1, 0, 0), sctlr_el1) X(SYS(3, 4, 1, 1, 2), cpacr_el1)                          \
	X(SYS(3, 4, 2, 0, 0), ttbr0_el1) X(SYS(3, 4, 2, 0, 1), ttbr1_el1)                          \
	X(SYS(3, 4, 2, 0, 2), tcr_el1) X(SYS(3, 4, 13, 0, 1), contextidr_el1)                      \
	X(SYS(3, 4, 14, 1, 0), cntkctl_el1)
/* Without it, and what makes the one of the other. */
#define WITHOUT(X)                                                                                 \
	X(SYS(3, 4, 1, 0, 0), sctlr_el1, sctlr) X(SYS(3, 4, 1, 1, 2), cpacr_el1, cptr)             \
	X(SYS(3, 4, 2, 0, 0), ttbr0_el1, ttbr0) X(SYS(3, 4, 2, 0, 2), tcr_el1, tcr)
/* clang-format on */
#define HPFAR_EL2    SYS(3, 4, 6, 0, 4)
#define CNTHCTL_EL2  SYS(3, 4, 14, 1, 0)
#define CNTKCTL_EL12 SYS(3, 5, 14, 1, 0)

/* ---- EL2's form without E2H ---- */

/* M, A, C, SA, nAA, I, EnDB, WXN, IESB, EE, EnDA, EnIB, EnIA, BT, DSSBS: in the same places. SPAN
 * is set in EL1's, as no exception to such an EL2 changes PSTATE.PAN. */
#define SCTLR_FIELDS                                                                               \
	(UINT64_C(0x4f) | UINT64_C(3) << 12 | UINT64_C(1) << 19 | UINT64_C(1) << 21 |              \
	 UINT64_C(1) << 25 | UINT64_C(1) << 27 | UINT64_C(3) << 30 | UINT64_C(1) << 36 |           \
	 UINT64_C(1) << 44)
#define SCTLR_EL2_RES1 UINT64_C(0x30c50830)

static uint64_t sctlr_to_el1(uint64_t el2)
{
	return (el2 & SCTLR_FIELDS) | PT_SCTLR_EL1_RES1;
}

static uint64_t sctlr_to_el2(uint64_t el1)
{
	return (el1 & SCTLR_FIELDS) | SCTLR_EL2_RES1;
}

/* One range of addresses, the lower of EL1's. */
#define TCR_EL1_EPD1 (UINT64_C(1) << 23)
#define TCR_EL2_RES1 (UINT64_C(1) << 31 | UINT64_C(1) << 23)

static const struct {
	uint8_t el2, el1, bits;
} tcr_fields[] = {
	{0, 0, 6},   /* T0SZ */
	{8, 8, 8},   /* IRGN0, ORGN0, SH0, TG0 */
	{16, 32, 3}, /* PS; IPS */
	{20, 37, 1}, /* TBI; TBI0, as those below */
	{21, 39, 2}, /* HA, HD */
	{24, 41, 1}, /* HPD */
	{25, 43, 4}, /* HWU59 to HWU62 */
	{29, 51, 1}, /* TBID */
	{32, 59, 1}, /* DS */
};

static uint64_t tcr_move(uint64_t tcr, bool to_el1)
{
	uint64_t moved = 0;

	for (unsigned i = 0; i < sizeof(tcr_fields) / sizeof(tcr_fields[0]); i++) {
		unsigned from = to_el1 ? tcr_fields[i].el2 : tcr_fields[i].el1;
		unsigned to = to_el1 ? tcr_fields[i].el1 : tcr_fields[i].el2;

		moved |= (tcr >> from & ((UINT64_C(1) << tcr_fields[i].bits) - 1)) << to;
	}
	return moved;
}

static uint64_t tcr_to_el1(uint64_t el2)
{
	return tcr_move(el2, true) | TCR_EL1_EPD1;
}

static uint64_t tcr_to_el2(uint64_t el1)
{
	return tcr_move(el1, false) | TCR_EL2_RES1;
}

/* Without an ASID. */
static uint64_t ttbr0_to_el1(uint64_t el2)
{
	return el2 & ((UINT64_C(1) << 48) - 1);
}

static uint64_t ttbr0_to_el2(uint64_t el1)
{
	return ttbr0_to_el1(el1);
}

/* TFP and TZ trap where set, FPEN and ZEN where clear. */
#define CPTR_TFP      (UINT64_C(1) << 10)
#define CPTR_TZ	      (UINT64_C(1) << 8)
#define CPTR_EL2_RES1 UINT64_C(0x32ff)
#define CPACR_FPEN    (UINT64_C(3) << 20)
#define CPACR_ZEN     (UINT64_C(3) << 16)

static uint64_t cptr_to_el1(uint64_t el2)
{
	return (el2 & CPTR_TFP ? 0 : CPACR_FPEN) | (el2 & CPTR_TZ ? 0 : CPACR_ZEN);
}

static uint64_t cptr_to_el2(uint64_t el1)
{
	return CPTR_EL2_RES1 | (el1 & CPACR_FPEN ? 0 : CPTR_TFP) | (el1 & CPACR_ZEN ? 0 : CPTR_TZ);
}

/* ---- reads and writes ---- */

static bool move(uint64_t *reg, bool reads, uint64_t *value)
{
	if (reads)
		*value = *reg;
	else
		*reg = *value;
	return true;
}

#define CASE(number, name)                                                                         \
	case number:                                                                               \
		if (reads)                                                                         \
			*value = pt_el2_read_##name();                                             \
		else                                                                               \
			pt_el2_write_##name(*value);                                               \
		return true;
#define CASE_OF_FORM(number, name, form)                                                           \
	case number:                                                                               \
		if (reads)                                                                         \
			*value = form##_to_el2(pt_el2_read_##name());                              \
		else                                                                               \
			pt_el2_write_##name(form##_to_el1(*value));                                \
		return true;

/* CNTKCTL_EL1 is its guest's also while it is at EL2, which has no EL0. */
static bool move_without_e2h(struct pt_el2_virtual *v, uint32_t sys, bool reads, uint64_t *value)
{
	switch (sys) {
		WITHOUT(CASE_OF_FORM)
	case CNTHCTL_EL2: return move(&v->el2.cntkctl_el1, reads, value);
	default: return false;
	}
}

static bool move_with_e2h(struct pt_el2_virtual *v, uint32_t sys, bool reads, uint64_t *value)
{
	switch (sys) {
		WITH_E2H(CASE)
	case CNTKCTL_EL12: return move(&v->cntkctl, reads, value);
	default: return false;
	}
}

bool pt__el2_move_register(struct pt_el2_virtual *v, uint32_t sys, bool reads, uint64_t *value)
{
	switch (sys) {
		BOTH(CASE)
	case HPFAR_EL2: return move(&v->hpfar, reads, value);
	default:
		return v->e2h0 ? move_without_e2h(v, sys, reads, value)
			       : move_with_e2h(v, sys, reads, value);
	}
}
