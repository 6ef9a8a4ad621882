/* SPDX-License-Identifier: BSD-2-Clause */
/* System instructions of a guest's EL2 that its CPU traps: TLBI, AT, and moves of registers. */
#include "host_internal.h"

/* ESR_EL2.ISS of EC 0x18. */
#define SYS	PT__EL2_SYS
#define ISS	UINT64_C(0x1ffffff)
#define SYS_ALL SYS(3u, 7u, 15u, 15u, 7u)
#define READS	1u
#define OP1(s)	((s) >> 14 & 7)
#define CRM(s)	((s) >> 1 & 15)
#define OP2(s)	((s) >> 17 & 7)

/* ---- TLBI ---- */

/* ALLE2, VAE2, VALE2, their forms and ranges; EL1's where HCR_EL2.TGE makes them EL2's. */
static bool is_own_regime(const struct pt_el2_virtual *v, uint32_t sys)
{
	if (OP1(sys) == 0)
		return pt__el2_in_host_mode(v);
	return CRM(sys) % 4 && (OP2(sys) < 2 || OP2(sys) == 5);
}

static bool is_same(const struct pt_el2_tlbi *a, const struct pt_el2_tlbi *b)
{
	return a->pc == b->pc && a->sys == b->sys && a->operand == b->operand &&
	       a->vttbr == b->vttbr && a->vtcr == b->vtcr;
}

/* A step of it, or the next one of what goes on: another instruction at the same place, or of other
 * tables, is another one. */
static enum pt__el2_emulated tlbi(struct pt__el2_world *w, uint32_t sys, uint64_t operand,
				  enum pt_outcome *out)
{
	struct pt_el2_virtual *v = w->virtual;
	uint64_t pc = pt_el2_read_elr_el2();
	uint64_t x[6] = {PT_HVC(PT_HVC_NEST_TLBI), sys, operand, PT_EL2_VNCR(v, VTTBR),
			 PT_EL2_VNCR(v, VTCR)};
	const struct pt_el2_tlbi made = {pc, sys, operand, x[3], x[4]};
	bool goes_on = v->tlbi && is_same(&v->tlbi_made, &made);

	if (goes_on) {
		x[0] = PT_HVC(PT_HVC_CONTINUE);
		x[1] = v->tlbi;
	}
	(void)pt_hv_call(w->host->hv, w->agent, PT_HV_GUEST, x);
	v->tlbi = x[0] == PT_MORE ? x[1] : 0;
	v->tlbi_made = made;
	if (x[0] == PT_OK || x[0] == -(uint64_t)PT_INVALID) /* reserved: need not remove anything */
		return PT__EL2_DONE;
	if (x[0] == PT_MORE || x[0] == -(uint64_t)PT_BUSY || goes_on)
		return PT__EL2_AGAIN;
	*out = (enum pt_outcome) - x[0];
	return PT__EL2_STRANGE;
}

static enum pt__el2_emulated invalidate(struct pt__el2_world *w, uint32_t sys, uint64_t operand,
					enum pt_outcome *out)
{
	if (!is_own_regime(w->virtual, sys))
		return tlbi(w, sys, operand, out);
	/* The guest's own stage 1, under its own VMID, which is loaded. */
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
	return PT__EL2_DONE;
}

/* ---- AT ---- */

static const struct {
	uint32_t sys;
	uint8_t op;
	bool own; /* EL2's regime */
} ats[] = {
	{SYS(1, 0, 7, 8, 0), PT_AT_S1E1R, false},  {SYS(1, 0, 7, 8, 1), PT_AT_S1E1W, false},
	{SYS(1, 0, 7, 8, 2), PT_AT_S1E0R, false},  {SYS(1, 0, 7, 8, 3), PT_AT_S1E0W, false},
	{SYS(1, 0, 7, 9, 0), PT_AT_S1E1RP, false}, {SYS(1, 0, 7, 9, 1), PT_AT_S1E1WP, false},
	{SYS(1, 4, 7, 8, 4), PT_AT_S12E1R, false}, {SYS(1, 4, 7, 8, 5), PT_AT_S12E1W, false},
	{SYS(1, 4, 7, 8, 6), PT_AT_S12E0R, false}, {SYS(1, 4, 7, 8, 7), PT_AT_S12E0W, false},
	{SYS(1, 4, 7, 8, 0), PT_AT_S1E1R, true},   {SYS(1, 4, 7, 8, 1), PT_AT_S1E1W, true},
};

/* The registers of the regime: EL1 has EL2's, with which the other's are in memory. */
static struct pt_guest_at_regs regime(const struct pt_el2_virtual *v, bool own)
{
	uint64_t hcr = pt__el2_virtual_hcr(v) | (own ? PT__EL2_HOST_MODE : 0);

	if ((hcr & PT__EL2_HOST_MODE) == PT__EL2_HOST_MODE)
		return (struct pt_guest_at_regs){
			.sctlr = pt_el2_read_sctlr_el1(),
			.tcr = pt_el2_read_tcr_el1(),
			.ttbr = {pt_el2_read_ttbr0_el1(), pt_el2_read_ttbr1_el1()},
			.mair = pt_el2_read_mair_el1(),
			.hcr = hcr};
	return (struct pt_guest_at_regs){
		.sctlr = PT_EL2_VNCR(v, sctlr_el1),
		.tcr = PT_EL2_VNCR(v, tcr_el1),
		.ttbr = {PT_EL2_VNCR(v, ttbr0_el1), PT_EL2_VNCR(v, ttbr1_el1)},
		.mair = PT_EL2_VNCR(v, mair_el1),
		.hcr = hcr};
}

static enum pt__el2_emulated carry_out(struct pt__el2_world *w, struct pt_hv_nest_at *at,
				       enum pt_outcome *out)
{
	struct pt_guest_at_result result;

	*out = pt_hv_nest_at(w->host->hv, w->agent, at, &result);
	/* An abort of EL1's, by stage 2 on its walk; EL2 finds that in PAR_EL1, as with S12. */
	if (*out == PT_DENIED && EC(result.esr) == EC_DATA) {
		at->op = (enum pt_guest_at_op)(PT_AT_S12E1R + at->op % 4);
		*out = pt_hv_nest_at(w->host->hv, w->agent, at, &result);
	}
	pt_hv_settle(w->agent);
	switch (*out) {
	case PT_OK: pt_el2_write_par_el1(result.par); return PT__EL2_DONE;
	case PT_RACED: return PT__EL2_AGAIN;
	case PT_DENIED:
		pt__el2_virtual_inject(w, result.esr, result.far, result.hpfar);
		return PT__EL2_TAKEN;
	default: return PT__EL2_STRANGE;
	}
}

static enum pt__el2_emulated translate(struct pt__el2_world *w, uint32_t sys, uint64_t va,
				       enum pt_outcome *out)
{
	const struct pt_el2_virtual *v = w->virtual;

	for (unsigned i = 0; i < sizeof(ats) / sizeof(ats[0]); i++) {
		struct pt_hv_nest_at at = {.el2 = pt__el2_virtual_regs(v, pt_el2_read_sctlr_el1()),
					   .op = (enum pt_guest_at_op)ats[i].op,
					   .va = va};

		if (ats[i].sys != sys)
			continue;
		at.regs = regime(v, ats[i].own);
		at.regs.pan = pt_el2_read_spsr_el2() >> 22 & 1;
		return carry_out(w, &at, out);
	}
	return PT__EL2_STRANGE;
}

enum pt__el2_emulated pt__el2_emulate(struct pt__el2_world *w, struct pt__el2_frame *frame,
				      uint64_t esr, enum pt_outcome *out)
{
	uint32_t iss = (uint32_t)(esr & ISS), sys = iss & SYS_ALL;
	unsigned rt = iss >> 5 & 31, space = iss >> 20 << 4 | (iss >> 10 & 15);

	*out = PT_OK;
	frame->x[31] = 0; /* XZR, and what is read into it */
	switch (space) {
	case 1 << 4 | 7: return translate(w, sys, frame->x[rt], out);
	case 1 << 4 | 8:
	case 1 << 4 | 9: return invalidate(w, sys, frame->x[rt], out);
	default:
		return pt__el2_move_register(w->virtual, sys, iss & READS, &frame->x[rt])
			       ? PT__EL2_DONE
			       : PT__EL2_STRANGE;
	}
}
