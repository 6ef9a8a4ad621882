/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of lib alone, which the image carries out for its host and counts (CALL_LIB). */
#ifndef TESTS_EL2_HOST_LIB_CALLS_H
#define TESTS_EL2_HOST_LIB_CALLS_H

#include <stdint.h>

/* clang-format off */
enum lib_call {
	LIB_NOTHING,	/* what counting takes */
	LIB_SECTION,	/* begun and ended */
	LIB_LEAF,	/* pt_get_leaf() */
	LIB_WALK,	/* pt_walk(), a visit of each leaf */
	LIB_FAULT,	/* pt_fault_handle() of a write; prot: enum pt_fault_type */
	LIB_VMID,	/* pt_vmid_run(), pt_vmid_stop() */
	LIB_CREATE,	/* pt_ctx_init() of another context like this one */
	LIB_DESTROY,	/* of that */
	LIB_ITEM,	/* and an enum pt_item_kind */
	LIB_UPKEEP = LIB_ITEM + 16 /* and an enum pt_upkeep_kind */
};
/* clang-format on */

/* x0 of CALL_LIB. x1: context, x2: IPA, x3: size; x0 is the outcome then, x1 the instructions. */
static inline uint64_t lib_call(unsigned call, uint32_t prot, uint32_t flags)
{
	return call | (uint64_t)flags << 16 | (uint64_t)prot << 32;
}

struct pt_hv;
struct pt_agent;
/* In the image. Each operation is in sections of its own, as lib/hv would have it; steps are of
 * PT_HVC_STEP entries, and pages that have gone are in the pool again. */
void lib_call_count(struct pt_hv *hv, struct pt_agent *agent, uint64_t x[4]);

/* Cycles at EL2 alone, from zero on if `anew`; el2.c. */
uint64_t el2_count(_Bool anew);

#endif
