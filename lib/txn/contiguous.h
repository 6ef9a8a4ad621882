/* SPDX-License-Identifier: BSD-2-Clause */
/* Contiguous groups: leaves side by side that carry the contiguous hint; private to lib. */
#ifndef PT_TXN_CONTIGUOUS_H
#define PT_TXN_CONTIGUOUS_H

#include "compare.h"
#include "resize.h"

/*
 * A group is a power of two of entries of one level, aligned, with consecutive outputs and equal
 * attributes, all with the hint (S5): a TLB may hold it as one entry. So it is
 *
 *   made      by MAP alone, where each entry is invalid and clean before the first becomes valid
 * (W7) changed   under a claim on all of it, all of it by one operation, through invalid again; an
 *             operation on a part takes the hint off the whole first
 *   marked    by hardware in any one of its entries: access flag and dirty state are the OR of the
 *             group, and a point operation may set the access flag of one
 */

/* log2 of the entries of a group at `level`, 0 where there is none: Arm ARM D8.7.1. A granule of 4K
 * has none at level 0, 16K at level 1, 64K at level 1. */
PT__INLINE unsigned pt__group_bits(unsigned gs, int level)
{
	if (gs == 12)
		return level >= 1 ? 4 : 0;
	if (level < 2)
		return 0;
	return gs == 14 && level == PT_LEVEL_LAST ? 7 : 5;
}

/* log2 of the span that a TLB may hold as one for leaf `e` of 1 << shift bytes. */
PT__INLINE unsigned pt__span_shift(unsigned gs, pt_pte e, int level, unsigned shift)
{
	return PT__LIKELY(!(e & PT_PTE_CONTIGUOUS)) ? shift : shift + pt__group_bits(gs, level);
}

/*
 * The span, less one, that a claim with an edge at `ipa` has to cover: of the leaf there now, or of
 * its group; wide: of the largest that there can be.
 */
uint64_t pt__edge_mask(const struct pt_ctx *ctx, uint64_t ipa, bool wide);

/* How a group changes: kind 0 takes the hint off; else as pt__next() says. */
struct pt__regroup {
	uint32_t kind;
	pt_pte rights, sw;
};

/*
 * Changes the group around `ipa`, whose own entry, of `level`, is `slot`; every entry gets the
 * access flag and dirty state of the whole. Under a drained claim on all of it. By
 * break-before-make; with FEAT_BBM and no hardware updates the hint goes live, and the group is
 * owed. Returns what the entry at `slot` has become.
 */
pt_pte pt__regroup(const struct pt__resize *rs, pt_pte *slot, uint64_t ipa, int level,
		   const struct pt__regroup *how);

/* Has the context ever had a group? Else nobody needs to look for one. */
PT__INLINE bool pt__has_groups(const struct pt_ctx *ctx)
{
	return PT__UNLIKELY(atomic_load_explicit(&ctx->grouped, memory_order_relaxed));
}

#endif
