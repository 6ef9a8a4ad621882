/* SPDX-License-Identifier: BSD-2-Clause */
/* Point operations that rewrite one leaf in place: PROTECT, WRITE_PROTECT, RELAX, MAKE_YOUNG. */
#include "compare.h"
#include "internal.h"

/* The entry for the item as far as it concerns one leaf or hole: PT_OK, or PT_MORE. */
PT__INLINE enum pt_outcome find(const struct pt_item *item, unsigned gs, struct pt__at *at)
{
	uint64_t last = item->ipa.v + item->size - 1;

	pt__descend(item->ctx, item->ipa.v, PT_LEVEL_LAST, gs, at);
	return (item->ipa.v ^ last) >> at->shift ? PT_MORE : PT_OK;
}

static bool covers(const struct pt_item *item, const struct pt__at *at)
{
	return item->size >> at->shift; /* it lies in this one entry */
}

static enum pt_outcome done(const struct pt_item *item, uint32_t kind, pt_pte old, pt_pte new,
			    const struct pt__at *at, struct pt_effects *effects)
{
	uint64_t mask = (UINT64_C(1) << at->shift) - 1;

	effects->leaves_written++;
	pt__was_changed(item->ctx, old, new, item->ipa.v & ~mask, item->ipa.v | mask);
	if (kind == PT_ITEM_MAKE_YOUNG)
		return PT_MADE_YOUNG;
	if (!pt__tightens(old, new))
		return PT_RELAXED;
	effects->tlbis += pt__tlbi_leaf(item->ctx, item->ipa.v, at->level);
	return PT_PROTECTED;
}

/* The leaf as a whole may be changed here, though the item is a part of it: its one access flag. A
 * block may reach into a claim that does not cover the item, whose owner counts on what it read. */
static enum pt_outcome whole_leaf(const struct pt_item *item, uint32_t kind,
				  const struct pt__at *at)
{
	uint64_t mask = (UINT64_C(1) << at->shift) - 1;

	if (kind != PT_ITEM_MAKE_YOUNG)
		return PT_MORE;
	return pt__admit(item->ctx, item->ipa.v & ~mask, item->ipa.v | mask) == PT_OK ? PT_OK
										      : PT_RACED;
}

enum pt_outcome pt__point_change(const struct pt_item *item, uint32_t kind, pt_pte rights,
				 pt_pte sw, const struct pt__at *at, struct pt_effects *effects)
{
	struct pt_ctx *ctx = item->ctx;
	pt_pte old = at->entry, before, new;
	enum pt_outcome outcome;

	do {
		before = old;
		new = pt__next(kind, old, rights, sw);
		if (new == old) {
			effects->already++;
			return PT_ALREADY_MAPPED;
		}
		if (old & PT_PTE_CONTIGUOUS && kind != PT_ITEM_MAKE_YOUNG)
			return PT_MORE; /* a group changes as a whole, or is unfolded */
		if (PT__UNLIKELY(ctx->shadowed) && pt__tightens(old, new))
			return PT_MORE; /* as point.c */
		outcome = covers(item, at) ? PT_OK : whole_leaf(item, kind, at);
		if (outcome != PT_OK)
			return outcome;
		if (pt__adds_exec(old, new))
			pt_port_icache_inval_pou(ctx->machine->port, pt_pte_to_oa(&ctx->geo, old),
						 UINT64_C(1) << at->shift);
		if (pt_pte_cas(at->slot, &old, new))
			return done(item, kind, old, new, at, effects);
	} while (pt__hw_only(before, old));
	return PT_RACED;
}

PT__INLINE enum pt_outcome rewrite(struct pt_item *item, struct pt_effects *effects,
				   struct pt_error *err, unsigned gs)
{
	pt_pte rights = 0;
	struct pt__at at;

	if (find(item, gs, &at) != PT_OK)
		return PT_MORE;
	if (!pt_pte_valid(at.entry)) {
		if (pt_pte_locked(at.entry))
			return PT_RACED;
		effects->holes += item->size >> gs;
		return PT_HOLE;
	}
	if (item->prot)
		rights = pt_perm_attrs(item->prot, item->ctx->attrs);
	if (item->prot & PT_PROT_X && !pt__may_exec(item->ctx, at.entry)) {
		if (err)
			*err = (struct pt_error){PT_INVALID, err->index, item->ipa,
						 (int8_t)at.level};
		return PT_INVALID;
	}
	return pt__point_change(item, item->kind, rights, 0, &at, effects);
}

enum pt_outcome pt__point_rewrite(struct pt_item *item, struct pt_effects *effects,
				  struct pt_error *err)
{
	return PT__BY_GRANULE(&item->ctx->geo, rewrite(item, effects, err, 12),
			      rewrite(item, effects, err, 14), rewrite(item, effects, err, 16));
}
