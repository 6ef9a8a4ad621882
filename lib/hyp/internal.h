/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of EL2's own map share; private to lib/hyp. */
#ifndef PT_HYP_INTERNAL_H
#define PT_HYP_INTERNAL_H

#include <pt/hyp.h>
#include <pt/platform.h>

/* Where a walk ended. */
struct pt__hyp_at {
	pt_pte *slot, entry;
	int level;
};

/* From the root to the entry for `va` that is no table, or of level `stop`. */
void pt__hyp_descend(const struct pt_hyp *hyp, uint64_t va, int stop, struct pt__hyp_at *at);
pt_pte *pt__hyp_table(const struct pt_hyp *hyp, pt_pte entry);

static inline uint64_t pt__hyp_mask(const struct pt_hyp *hyp, int level)
{
	return pt_level_size(&hyp->geo, level) - 1;
}

/* The first address behind the entry of `level` around `va`, or behind `last`. */
static inline uint64_t pt__hyp_past(const struct pt_hyp *hyp, uint64_t va, int level, uint64_t last)
{
	uint64_t end = va | pt__hyp_mask(hyp, level);

	return (end < last ? end : last) + 1;
}

#endif
