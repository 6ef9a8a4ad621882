/* SPDX-License-Identifier: BSD-2-Clause */
/* How a change of a leaf feeds the dirty logs of its context (see <pt/dirty.h>); private to lib. */
#ifndef PT_TXN_MARK_H
#define PT_TXN_MARK_H

#include "../walk/inline.h"

/* mark.c: sets the pages of [lo, hi] in every log that covers them, but in `except`. */
void pt__mark(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi,
	      const struct pt_dirty_log *except);
/* Does [lo, hi] meet a dirty log? */
bool pt__meets_log(struct pt_dirty_log *first, uint64_t lo, uint64_t hi);

/* Loaded after the look at ctx->claims: who is admitted to a logged range sees its log. */
PT__INLINE struct pt_dirty_log *pt__logs(const struct pt_ctx *ctx)
{
	return atomic_load_explicit(&ctx->dirty, memory_order_acquire);
}

/* D1: a software store or compare-and-swap has just made [lo, hi] writable. */
PT__INLINE void pt__now_writable(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi)
{
	if (PT__UNLIKELY(pt__logs(ctx)))
		pt__mark(ctx, lo, hi, NULL);
}

/* D3: leaf `old` of [lo, hi] has just been overwritten, or read for the last time. */
PT__INLINE void pt__was_dirty(const struct pt_ctx *ctx, pt_pte old, uint64_t lo, uint64_t hi)
{
	const pt_pte dirty = PT_PTE_VALID | PT_PTE_DBM | PT_PTE_S2AP_W;

	if (PT__UNLIKELY((old & dirty) == dirty))
		pt__now_writable(ctx, lo, hi);
}

/* Does the hardware note accesses (VTCR_EL2.HA) and writes (HD) in the leaves of this context? */
PT__INLINE bool pt__hw_dirty(const struct pt_ctx *ctx)
{
	return (ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD)) == (PT_VTCR_HA | PT_VTCR_HD);
}

/*
 * Overwrites a leaf under a drained claim; returns what was there. The hardware may make a
 * writable-clean leaf dirty until the last moment, so that one is swapped (W9); any other is
 * stored. A dirty one feeds the logs.
 */
PT__INLINE pt_pte pt__overwrite(const struct pt_ctx *ctx, pt_pte *slot, pt_pte old, pt_pte new,
				uint64_t lo, uint64_t hi)
{
	if (PT__LIKELY((old & (PT_PTE_VALID | PT_PTE_DBM)) != (PT_PTE_VALID | PT_PTE_DBM))) {
		pt_pte_store(slot, new);
		return old;
	}
	while (!pt_pte_cas(slot, &old, new))
		continue;
	pt__was_dirty(ctx, old, lo, hi);
	return old;
}

#endif
