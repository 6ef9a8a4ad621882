/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions that EL2 gives to EL1 (Arm ARM D1.3.1, AArch64.TakeException; KVM:
 * enter_exception64). */
#include "host_internal.h"

#define EC_SAME_EL   1u /* EC of an abort: lower exception level, plus this */
#define ESR_IL	     (UINT64_C(1) << 25)
#define ESR_WNR	     (UINT64_C(1) << 6)
#define FSC_EXTERNAL 0x10u /* synchronous external abort, not on a walk */

#define PSTATE_MODE   UINT64_C(0x1f)
#define PSTATE_EL0_32 UINT64_C(0x10) /* nRW */
#define PSTATE_DAIF   UINT64_C(0x3c0)
#define PSTATE_PAN    (UINT64_C(1) << 22)
#define PSTATE_KEEP   (UINT64_C(0xf) << 28 | UINT64_C(1) << 24 | PSTATE_PAN)
#define EL1T	      UINT64_C(4)
#define EL1H	      UINT64_C(5)
#define SCTLR_SPAN    (UINT64_C(1) << 23)

uint64_t pt__el2_vector_of(uint64_t mode)
{
	if (mode == EL1H)
		return 0x200;
	if (mode == EL1T)
		return 0;
	return mode & PSTATE_EL0_32 ? 0x600 : 0x400;
}

void pt__el2_inject(uint64_t esr, uint64_t pstate, uint64_t vector)
{
	uint64_t to = (pstate & PSTATE_KEEP) | PSTATE_DAIF | EL1H;

	if (!(pt_el2_read_sctlr_el1() & SCTLR_SPAN))
		to |= PSTATE_PAN;
	pt_el2_write_esr_el1(esr);
	pt_el2_write_elr_el1(pt_el2_read_elr_el2());
	pt_el2_write_spsr_el1(pstate);
	pt_el2_write_elr_el2(pt_el2_read_vbar_el1() + vector);
	pt_el2_write_spsr_el2(to);
}

static void inject(uint64_t esr)
{
	uint64_t pstate = pt_el2_read_spsr_el2();

	pt__el2_inject(esr, pstate, pt__el2_vector_of(pstate & PSTATE_MODE));
}

void pt__el2_inject_abort(const struct pt_el2_abort *abort)
{
	uint64_t mode = pt_el2_read_spsr_el2() & PSTATE_MODE;
	uint64_t class = EC(abort->esr) | (mode == EL1H || mode == EL1T ? EC_SAME_EL : 0);

	pt_el2_write_far_el1(abort->far);
	inject(class << 26 | (abort->esr & (ESR_IL | ESR_WNR)) | FSC_EXTERNAL);
}

void pt__el2_inject_undefined(void)
{
	inject(ESR_IL);
}
