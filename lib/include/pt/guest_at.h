/* SPDX-License-Identifier: BSD-2-Clause */
/* Address translation instructions for the guests of a guest hypervisor: a stage-1 walk whose every
 * fetch goes through the guest's stage 2, and PAR_EL1. */
#ifndef PT_GUEST_AT_H
#define PT_GUEST_AT_H

#include <pt/guest_walk.h>

/* S1: stage 1 alone; S12: both. RP, WP: obey PSTATE.PAN (FEAT_PAN2), which no other does. */
enum pt_guest_at_op {
	PT_AT_S1E1R,
	PT_AT_S1E1W,
	PT_AT_S1E0R,
	PT_AT_S1E0W,
	PT_AT_S1E1RP,
	PT_AT_S1E1WP,
	PT_AT_S12E1R,
	PT_AT_S12E1W,
	PT_AT_S12E0R,
	PT_AT_S12E0W,
	PT_AT_OPS
};

/*
 * Of the EL1&0 regime whose address is translated, as they stand in the guest hypervisor's
 * registers. Used of sctlr: M, C, EE, EPAN; of tcr: all of both halves but cacheability of walks,
 * ASIDs and what is for instruction fetches; of hcr: VM, PTW, DC, TGE, CD, E2H. TCR2_EL1 (PIE, POE,
 * PnCH, D128) is taken to be zero. In host mode (E2H and TGE) all but S12E1 are of EL2&0: the
 * registers of EL2, and no stage 2, whatever HCR_EL2 says.
 */
struct pt_guest_at_regs {
	uint64_t sctlr, tcr, ttbr[2], mair, hcr;
	bool pan;	  /* PSTATE.PAN */
	unsigned pa_bits; /* as in struct pt_guest_regs; 52 is FEAT_LVA, too */
};

struct pt_guest_at_result {
	uint64_t par;		  /* PT_OK */
	uint64_t esr, far, hpfar; /* PT_DENIED: of the abort; HPFAR 0 where it is UNKNOWN */
};

/* clang-format off */
/*
 * Carries out `op` for `va`. s2: the guest's stage 2, or NULL; it counts where HCR_EL2.VM or DC is
 * set, else S12 does what S1 does. Nothing is changed in memory: with HA and HD what hardware would
 * update counts as updated, as an AT instruction may have it. PAR_EL1.PA is an IPA of the nested
 * guest for S1, a canonical one for S12.
 *
 *   PT_OK        *result: PAR_EL1, with F=1 where the translation faults: FST, and S and PTW for stage
 *                2. Sizes that the architecture refuses are a translation fault at level 0
 *   PT_DENIED    *result: an exception that the guest hypervisor takes instead, PAR_EL1 being UNKNOWN:
 *                for S1 a stage-2 fault on the stage-1 walk, from EL1 (EC 0x24, S1PTW, CM, WnR); for all an
 *                external abort on a walk, from EL1 for S1, from EL2 itself (EC 0x25) for S12 and in host
 *                mode. One of S1 that stage 1 alone has comes here as if HCR_EL2.TEA were set
 *   PT_INVALID   op, or pa_bits
 *
 * Bounded: at most five fetches, each with a walk of stage 2, and one more walk. In a section.
 * Sources: Arm ARM D8.2 to D8.6 and PAR_EL1; pseudocode AArch64.AT, AArch64.S1Translate,
 * AArch64.S1Walk, S1DirectBasePermissions, S2CombineS1MemAttrs, S2ApplyFWBMemAttrs.
 */
/* clang-format on */
enum pt_outcome pt_guest_at(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			    const struct pt_guest_at_regs *regs, enum pt_guest_at_op op,
			    uint64_t va, struct pt_guest_at_result *result);

#endif
