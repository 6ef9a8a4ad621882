/* SPDX-License-Identifier: BSD-2-Clause */
/* A party of one page, as most transfers of ownership have: what it does is told at once. */
#include "page_leg.h"
#include "legs.h"
#include "range.h"

/*
 * Nothing is done here that pt__plan() and pt__commit() would do otherwise; all that is not plain
 * is theirs. The claim is drained, so what is found when a leg is prepared is so when it is carried
 * out.
 */

/* What the entry becomes; false: that is not for here. */
PT__INLINE bool next(struct pt__single *p, const struct pt_item *item)
{
	const struct pt_ctx *ctx = item->ctx;

	switch (item->kind) {
	case PT_ITEM_UNMAP: p->new = 0; return true;
	case PT_ITEM_ANNOTATE: p->new = item->pa.v; return true;
	case PT_ITEM_MAP:
		p->new =
			pt_leaf_attrs(&ctx->geo, item->prot, ctx->attrs) | item->pa.v | PT_PTE_TYPE;
		return !pt_pte_valid(p->old);
	case PT_ITEM_SET_SW:
		p->new =
			pt__next(PT_ITEM_SET_SW, p->old, pt_sw_to_pte(item->prot), pt__sw_of(item));
		return pt_pte_valid(p->old);
	default: return false;
	}
}

PT__INLINE bool find_in(struct pt__single *p, const struct pt_item *item, unsigned gs)
{
	struct pt__at at;

	pt__descend_in(item->ctx, item->ipa.v, PT_LEVEL_LAST, gs, false, &at);
	p->slot = at.slot;
	p->old = at.entry;
	return at.level == PT_LEVEL_LAST && next(p, item);
}

/* True, if it is plain: its table is there, so that nothing is to be reserved, and it is in no
 * block. HOLD has no entry. */
static bool find(const struct pt_item *item, struct pt__single *p)
{
	const struct pt_geometry *g = &item->ctx->geo;

	*p = (struct pt__single){
		.ctx = item->ctx, .ipa = item->ipa.v, .kind = item->kind, .prot = item->prot};
	if (item->size != UINT64_C(1) << g->granule_shift || !pt__has_plain_pages(item->ctx) ||
	    item->flags & PT_MAP_CONTIGUOUS)
		return false;
	if (item->kind == PT_ITEM_HOLD)
		return true;
	return PT__BY_GRANULE(g, find_in(p, item, 12), find_in(p, item, 14), find_in(p, item, 16));
}

/* A leaf goes, for nothing or for an annotation. */
static void take(const struct pt__single *p, struct pt_effects *effects)
{
	const struct pt_ctx *ctx = p->ctx;

	effects->leaves_removed++;
	pt_port_fence_full(); /* a plain store before the number: vmid.c */
	effects->tlbis += pt__tlbi_leaf(ctx, p->ipa, PT_LEVEL_LAST);
	if (p->kind == PT_ITEM_UNMAP && pt__gone_cleans(ctx, p->old))
		pt__clean_gone(ctx, p->old, 1, ctx->geo.granule_shift);
}

static uint32_t outcome_of(const struct pt__single *p)
{
	switch (p->kind) {
	case PT_ITEM_UNMAP: return pt_pte_valid(p->old) ? PT_UNMAPPED : PT_HOLE;
	case PT_ITEM_ANNOTATE: return PT_ANNOTATED;
	case PT_ITEM_HOLD: return PT_OK;
	default: return p->new == p->old ? PT_ALREADY_MAPPED : PT_MAPPED;
	}
}

void pt__single_write(const struct pt__single *p, struct pt_effects *effects)
{
	if (p->kind == PT_ITEM_MAP)
		pt__clean_for(p->ctx, p->prot, p->new &pt__oa_low(p->ctx->geo.granule_shift),
			      UINT64_C(1) << p->ctx->geo.granule_shift);
	if (p->new != p->old)
		pt_pte_store(p->slot, p->new);
	if (pt_pte_valid(p->new))
		*(p->new == p->old ? &effects->already : &effects->leaves_written) += 1;
	else if (pt_pte_valid(p->old))
		take(p, effects);
	else
		effects->holes += p->kind == PT_ITEM_UNMAP;
	effects->annotated += p->kind == PT_ITEM_ANNOTATE;
}

PT__INLINE bool is_one(const struct pt_txn *leg)
{
	return leg->count == 1 && leg->owners && !leg->validate_only;
}

bool pt__leg_needs_nothing(const struct pt_txn *leg)
{
	struct pt__single p;

	return is_one(leg) && find(&leg->item[0], &p);
}

bool pt__leg_carry_out(struct pt_txn *leg, int64_t *left)
{
	uint32_t tlbis = leg->effects.tlbis;
	struct pt__single p;

	if (leg->at || !is_one(leg) || !find(&leg->item[0], &p))
		return false;
	pt__single_write(&p, &leg->effects);
	leg->item[0].outcome = outcome_of(&p);
	leg->flushed |= leg->effects.tlbis != tlbis;
	leg->cursor = p.ipa + leg->item[0].size;
	leg->at = 1;
	--*left;
	return true;
}
