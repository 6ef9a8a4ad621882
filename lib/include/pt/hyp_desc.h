/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-1 descriptors of EL2's own map: encode, decode, and what may follow what. Pure functions.
 */
#ifndef PT_HYP_DESC_H
#define PT_HYP_DESC_H

#include <pt/desc.h>

/*
 * The translation regime of EL2 alone (HCR_EL2.E2H 0), Arm ARM D8.3.1: one privilege level, so one
 * execute bit, and AP[1] is RES1. Bits that mean something else in stage 2 have their own names
 * here; valid, type, AF, the contiguous hint and software bits stand where pt/desc.h says.
 */
#define PT_HYP_ATTRINDX (UINT64_C(7) << 2) /* enum pt_memtype, as PT_HYP_MAIR lists them */
#define PT_HYP_AP1	(UINT64_C(1) << 6) /* RES1 */
#define PT_HYP_AP_RO	(UINT64_C(1) << 7)
#define PT_HYP_SH_INNER (UINT64_C(3) << 8)
#define PT_HYP_GP	(UINT64_C(1) << 50) /* FEAT_BTI: a guarded page */
#define PT_HYP_XN	(UINT64_C(1) << 54)

/* MAIR_EL2 for it: Normal write-back, Normal non-cacheable, Device-nGnRE. */
#define PT_HYP_MAIR UINT64_C(0x0444ff)

/*
 * Is `prot` something that EL2 maps as? PT_OK; PT_INVALID for unknown bits or memory type, without
 * R, with PX but not UX or UX but not PX, writable and executable, or executable and not Normal
 * write-back (KVM: hyp_set_prot_attr). Software bits are free.
 */
enum pt_outcome pt_hyp_prot_check(uint32_t prot);

/* Everything of a leaf but output address and type bit. `guarded`: executable pages are (FEAT_BTI).
 * `prot` has passed pt_hyp_prot_check(). */
pt_pte pt_hyp_leaf_attrs(uint32_t prot, bool guarded);

/* Rights, memory type and software bits of a valid leaf. */
uint32_t pt_hyp_leaf_prot(pt_pte e);

/*
 * May leaf `now` take the place of entry `old` as it stands (KVM: hyp_map_walker_try_leaf)? Into an
 * invalid entry, or over a leaf from which it differs in software bits alone: EL2 runs on this map,
 * so a live entry never changes what it translates to or grants, and nothing has to be flushed.
 * Stage 2's rules (relaxation in place, DBM, break-before-make) are none of this procedure's.
 */
static inline bool pt_hyp_may_follow(pt_pte old, pt_pte now)
{
	return !pt_pte_valid(old) || !((old ^ now) & ~(PT_PTE_SW | PT_PTE_AF));
}

#endif
