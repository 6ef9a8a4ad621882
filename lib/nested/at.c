/* SPDX-License-Identifier: BSD-2-Clause */
/* Address translation instructions: both stages, and PAR_EL1 or the abort that they come to. */
#include "at.h"

#include "registers.h"

#define HCR_VM	(UINT64_C(1) << 0)
#define HCR_DC	(UINT64_C(1) << 12)
#define HCR_TGE (UINT64_C(1) << 27)
#define HCR_CD	(UINT64_C(1) << 32)
#define HCR_E2H (UINT64_C(1) << 34)

/* PAR_EL1 */
#define PAR_F	 (UINT64_C(1) << 0)
#define PAR_PTW	 (UINT64_C(1) << 8)
#define PAR_S	 (UINT64_C(1) << 9)
#define PAR_RES1 (UINT64_C(1) << 11)

/* ESR_EL2 of a data abort by an AT instruction: CM, which makes WnR 1. */
#define ESR_DABT_LOWER (UINT64_C(0x24) << 26)
#define ESR_DABT_SAME  (UINT64_C(0x25) << 26)
#define ESR_IL	       (UINT64_C(1) << 25)
#define ESR_CM	       (UINT64_C(1) << 8)
#define ESR_S1PTW      (UINT64_C(1) << 7)
#define ESR_WNR	       (UINT64_C(1) << 6)

static const struct {
	bool both, write, el0, pan;
} ops[PT_AT_OPS] = {
	[PT_AT_S1E1R] = {0},
	[PT_AT_S1E1W] = {.write = true},
	[PT_AT_S1E0R] = {.el0 = true},
	[PT_AT_S1E0W] = {.write = true, .el0 = true},
	[PT_AT_S1E1RP] = {.pan = true},
	[PT_AT_S1E1WP] = {.write = true, .pan = true},
	[PT_AT_S12E1R] = {.both = true},
	[PT_AT_S12E1W] = {.both = true, .write = true},
	[PT_AT_S12E0R] = {.both = true, .el0 = true},
	[PT_AT_S12E0W] = {.both = true, .write = true, .el0 = true},
};

/* The output of stage 1 through stage 2. Explained, and not walked: nothing is to be updated. */
static bool stage2(struct pt__at *at)
{
	enum pt_access access = at->write ? PT_ACCESS_WRITE : PT_ACCESS_READ;
	struct pt_guest_step step[PT_LEVELS];
	struct pt_guest_leaf leaf;
	struct pt_guest_fault fault;
	enum pt_outcome outcome;

	pt_guest_explain(at->memory, at->s2, pt_ipa(at->out), access, at->el0, step, &outcome,
			 &leaf, &fault);
	if (outcome != PT_OK) {
		at->fsc = fault.fsc;
		at->stage2 = true;
		return false;
	}
	at->out = leaf.out.v;
	at->attrs = pt__memory_of_both(at->attrs, &leaf, at->s2->attrs & PT_ATTR_FWB);
	if (at->regs->hcr & HCR_CD)
		at->attrs = pt__memory_uncached(at->attrs);
	return true;
}

static uint64_t par_of(const struct pt__at *at, bool good)
{
	if (good)
		return PAR_RES1 | pt__memory_par(at->attrs) |
		       (at->out & pt__low_mask(52) & ~pt__low_mask(12));
	return PAR_RES1 | PAR_F | pt__place(at->fsc, 6, 1) | (at->stage2 ? PAR_S : 0) |
	       (at->walk ? PAR_PTW : 0);
}

/* el2: from EL2 itself. HPFAR_EL2 is UNKNOWN for external aborts. */
static enum pt_outcome abort_of(const struct pt__at *at, bool el2, struct pt_guest_at_result *r)
{
	*r = (struct pt_guest_at_result){
		.esr = (el2 ? ESR_DABT_SAME : ESR_DABT_LOWER) | ESR_IL | ESR_CM | ESR_WNR |
		       (at->walk ? ESR_S1PTW : 0) | at->fsc,
		.far = at->va,
		.hpfar = pt__fsc_external(at->fsc) ? 0 : at->fetch >> 12 << 4,
	};
	return PT_DENIED;
}

static bool in_host_mode(const struct pt_guest_at_regs *regs)
{
	return regs->hcr & HCR_E2H && regs->hcr & HCR_TGE;
}

/* In host mode all but S12E1 are of EL2&0, for which HCR_EL2 says nothing. */
static struct pt_guest_at_regs effective(const struct pt_guest_at_regs *regs,
					 enum pt_guest_at_op op)
{
	struct pt_guest_at_regs r = *regs;

	if (in_host_mode(regs) && (!ops[op].both || ops[op].el0))
		r.hcr = 0;
	return r;
}

enum pt_outcome pt_guest_at(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			    const struct pt_guest_at_regs *regs, enum pt_guest_at_op op,
			    uint64_t va, struct pt_guest_at_result *result)
{
	struct pt__at at = {.memory = memory, .va = va};
	struct pt_guest_at_regs r;
	bool good;

	if ((unsigned)op >= PT_AT_OPS || !pt__is_pa_size(regs->pa_bits))
		return PT_INVALID;
	r = effective(regs, op);
	at.regs = &r;
	at.s2 = r.hcr & (HCR_VM | HCR_DC) ? s2 : NULL;
	at.write = ops[op].write;
	at.el0 = ops[op].el0;
	at.pan = ops[op].pan && regs->pan;
	good = pt__at_stage1(&at);
	if (good && ops[op].both && at.s2)
		good = stage2(&at);
	if (!good && (pt__fsc_external(at.fsc) || (at.walk && !ops[op].both)))
		return abort_of(&at, ops[op].both || in_host_mode(regs), result);
	*result = (struct pt_guest_at_result){.par = par_of(&at, good)};
	return PT_OK;
}
