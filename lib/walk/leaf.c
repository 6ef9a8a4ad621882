/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads of one address: get-leaf and explain. */
#include <pt/walk.h>

#include "inline.h"

PT__INLINE enum pt_outcome get_leaf(const struct pt_ctx *ctx, uint64_t ipa, pt_pte *entry,
				    int *level, unsigned gs, bool wide)
{
	struct pt__at at;

	pt__descend_in(ctx, ipa, PT_LEVEL_LAST, gs, wide, &at);
	*entry = at.entry;
	*level = at.level;
	return PT_OK;
}

static __attribute__((noinline)) enum pt_outcome
get_leaf_wide(const struct pt_ctx *ctx, uint64_t ipa, pt_pte *entry, int *level)
{
	return get_leaf(ctx, ipa, entry, level, ctx->geo.granule_shift, true);
}

enum pt_outcome pt_get_leaf(struct pt_ctx *ctx, struct pt_ipa ipa, pt_pte *entry, int *level)
{
	if (PT__UNLIKELY(ipa.v >> ctx->root_shift >= ctx->geo.start_entries)) /* B9 */
		return PT_OUT_OF_RANGE;
	if (PT__UNLIKELY(ctx->wide))
		return get_leaf_wide(ctx, ipa.v, entry, level);
	return PT__BY_GRANULE(&ctx->geo, get_leaf(ctx, ipa.v, entry, level, 12, false),
			      get_leaf(ctx, ipa.v, entry, level, 14, false),
			      get_leaf(ctx, ipa.v, entry, level, 16, false));
}

PT__INLINE void prefetch(const struct pt_ctx *ctx, uint64_t ipa, unsigned gs, bool wide)
{
	const pt_pte *slot = pt__last_slot(ctx, ipa, gs, wide);

	if (slot)
		pt_port_prefetch(slot);
}

static __attribute__((noinline)) void prefetch_wide(const struct pt_ctx *ctx, uint64_t ipa)
{
	prefetch(ctx, ipa, ctx->geo.granule_shift, true);
}

void pt_prefetch(struct pt_ctx *ctx, struct pt_ipa ipa)
{
	if (PT__UNLIKELY(ipa.v >> ctx->root_shift >= ctx->geo.start_entries))
		return;
	if (PT__UNLIKELY(ctx->wide)) {
		prefetch_wide(ctx, ipa.v);
		return;
	}
	switch (ctx->geo.granule_shift) {
	case 12: prefetch(ctx, ipa.v, 12, false); return;
	case 14: prefetch(ctx, ipa.v, 14, false); return;
	default: prefetch(ctx, ipa.v, 16, false); return;
	}
}

unsigned pt_walk_explain(struct pt_ctx *ctx, struct pt_ipa ipa, struct pt_walk_step step[PT_LEVELS])
{
	unsigned steps = 0;
	int stop = ctx->geo.start_level;

	if (ipa.v >> ctx->geo.ipa_bits)
		return 0;
	for (;;) {
		struct pt__at at;

		pt__descend(ctx, ipa.v, stop, ctx->geo.granule_shift, &at);
		if (at.level < stop) /* changed since the last step: this is where it ends now */
			return steps;
		step[steps++] = (struct pt_walk_step){pt_pa(at.table), at.index, (int8_t)at.level,
						      at.entry};
		if (!pt_pte_is_table(at.entry, at.level))
			return steps;
		stop++;
	}
}
