/* SPDX-License-Identifier: BSD-2-Clause */
/* Of a loader's plan; private to lib/hyp. */
#ifndef PT_HYP_BOOT_INTERNAL_H
#define PT_HYP_BOOT_INTERNAL_H

#include "internal.h"

#include <pt/hyp_boot.h>

static inline uint64_t pt__plan_granule(const struct pt_hyp_plan *p)
{
	return UINT64_C(1) << p->args.granule_shift;
}

/* The pages of virtual addresses that hold the records of a region's frames. */
static inline void pt__plan_records(const struct pt_hyp_plan *p, const struct pt_hyp_region *r,
				    uint64_t *va, uint64_t *size)
{
	uint64_t page = pt__plan_granule(p), each = sizeof(struct pt_frame);
	uint64_t lo = (r->pa >> PT_FRAME_SHIFT) * each & ~(page - 1);
	uint64_t hi = (((r->pa + r->size) >> PT_FRAME_SHIFT) * each + page - 1) & ~(page - 1);

	*va = p->frames_va + lo;
	*size = hi - lo;
}

/* PT_OK, or what pt_hyp_boot() says of a plan before it does anything. */
enum pt_outcome pt__plan_check(const struct pt_hyp_plan *p);

#endif
