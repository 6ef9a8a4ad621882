/* SPDX-License-Identifier: BSD-2-Clause */
/* How a change of a leaf feeds the dirty logs of its context (see <pt/dirty.h>); private to lib. */
#ifndef PT_TXN_MARK_H
#define PT_TXN_MARK_H

#include "../walk/inline.h"

/* In a dirty log a run of leaves also marks its pages, a word for 64 of them: it covers at most
 * this many words, or one leaf or group. So no block of a MAP there is larger. */
#define PT__MARK_WORDS 4096

/* mark.c: sets the pages of [lo, hi] in every log that covers them, but in `except`. */
void pt__mark(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi,
	      const struct pt_dirty_log *except);
/* How many dirty logs does [lo, hi] meet; does it meet one? */
unsigned pt__count_logs(struct pt_dirty_log *first, uint64_t lo, uint64_t hi);
bool pt__meets_log(struct pt_dirty_log *first, uint64_t lo, uint64_t hi);

/* Loaded after the look at ctx->claims: who is admitted to a logged range sees its log. */
PT__INLINE struct pt_dirty_log *pt__logs(const struct pt_ctx *ctx)
{
	return atomic_load_explicit(&ctx->dirty, memory_order_acquire);
}

/* What stands at [lo, hi] is new, or a software store or compare-and-swap has just made it writable
 * (D1). */
PT__INLINE void pt__dirtied(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi)
{
	if (PT__UNLIKELY(pt__logs(ctx)))
		pt__mark(ctx, lo, hi, NULL);
}

/* Leaf `old` of [lo, hi] has just been taken out: what the hardware noted there goes on (D3). */
PT__INLINE void pt__was_dirty(const struct pt_ctx *ctx, pt_pte old, uint64_t lo, uint64_t hi)
{
	const pt_pte dirty = PT_PTE_VALID | PT_PTE_DBM | PT_PTE_S2AP_W;

	if (PT__UNLIKELY((old & dirty) == dirty))
		pt__dirtied(ctx, lo, hi);
}

/* Leaf `old` of [lo, hi] has just become leaf `new` in its place: D1 and D3. */
PT__INLINE void pt__was_changed(const struct pt_ctx *ctx, pt_pte old, pt_pte new, uint64_t lo,
				uint64_t hi)
{
	pt_pte flipped = (old ^ new) & PT_PTE_S2AP_W;

	if (flipped & (new | old >> 44)) /* set now, or cleared and DBM was there */
		pt__dirtied(ctx, lo, hi);
}

/* Is a leaf at [lo, hi] larger than a MAP makes one in a log? */
PT__INLINE bool pt__too_large_to_mark(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi)
{
	return PT__UNLIKELY(pt__logs(ctx)) &&
	       (hi - lo) >> (ctx->geo.granule_shift + 6) >= PT__MARK_WORDS &&
	       pt__meets_log(pt__logs(ctx), lo, hi);
}

/* Does the hardware note writes in the leaves of this context (VTCR_EL2.HA and HD)? */
PT__INLINE bool pt__hw_dirty(const struct pt_ctx *ctx)
{
	return (ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD)) == (PT_VTCR_HA | PT_VTCR_HD);
}

/* Do leaves in [lo, hi] hold dirty state that a log has not seen? Then they are taken out one by
 * one. */
PT__INLINE bool pt__holds_dirt(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi)
{
	return PT__UNLIKELY(pt__hw_dirty(ctx)) && pt__meets_log(pt__logs(ctx), lo, hi);
}

#endif
