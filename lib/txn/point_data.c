/* SPDX-License-Identifier: BSD-2-Clause */
/* Point operations that leave rights alone: ANNOTATE and FLUSH. */
#include "internal.h"

enum pt_outcome pt__point_annotate(struct pt_item *item, struct pt_effects *effects)
{
	struct pt_ctx *ctx = item->ctx;
	unsigned gs = ctx->geo.granule_shift;
	struct pt__at at;

	pt__descend(ctx, item->ipa.v, PT_LEVEL_LAST, gs, &at);
	if (item->size >> gs != 1 || at.level != PT_LEVEL_LAST)
		return PT_MORE;
	if (pt_pte_valid(at.entry)) {
		if (at.entry & PT_PTE_CONTIGUOUS || ctx->shadowed)
			return PT_MORE; /* as point.c */
		if (!pt__cas_out(at.slot, &at.entry, PT_PTE_LOCKED))
			return PT_RACED;
		effects->tlbis += pt__tlbi_leaf(ctx, item->ipa.v, at.level);
		effects->leaves_removed++;
		pt_pte_store_release(at.slot, item->pa.v);
		pt__was_dirty(ctx, at.entry, item->ipa.v, item->ipa.v + item->size - 1);
	} else if (pt_pte_locked(at.entry) || !pt_pte_cas(at.slot, &at.entry, item->pa.v)) {
		return PT_RACED;
	}
	effects->annotated++;
	return PT_ANNOTATED;
}

enum pt_outcome pt__point_flush(struct pt_item *item, struct pt_effects *effects)
{
	uint64_t last = item->ipa.v + item->size - 1;
	unsigned gs = item->ctx->geo.granule_shift;
	struct pt__at at;

	pt__descend(item->ctx, item->ipa.v, PT_LEVEL_LAST, gs, &at);
	if ((item->ipa.v ^ last) >> at.shift)
		return PT_MORE;
	if (pt_pte_valid(at.entry)) {
		pt__flush_leaf(item->ctx, at.entry, &at, item->ipa.v, item->size);
		effects->already++;
		return PT_FLUSHED;
	}
	if (pt_pte_locked(at.entry))
		return PT_RACED;
	effects->holes += item->size >> gs;
	return PT_HOLE;
}
