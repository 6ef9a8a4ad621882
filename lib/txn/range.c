/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers that prepare and commit of a transaction share. */
#include "range.h"

static int map_top(const struct pt__range *r)
{
	const struct pt_geometry *g = &r->ctx->geo;
	int level = g->min_block_level;

	if (r->item->flags & PT_MAP_FORCE_PAGES)
		return PT_LEVEL_LAST;
	while (level < PT_LEVEL_LAST &&
	       (r->delta & pt__mask(r, level) ||
		(r->logs && pt__mask(r, level) >> (r->gs + 6) >= PT__MARK_WORDS)))
		level++;
	return level;
}

void pt__range_of(struct pt__range *r, struct pt_item *item)
{
	*r = (struct pt__range){.ctx = item->ctx,
				.item = item,
				.start = item->ipa.v,
				.last = item->ipa.v + item->size - 1,
				.delta = item->pa.v - item->ipa.v,
				.gs = item->ctx->geo.granule_shift};
	if (PT__UNLIKELY(pt__logs(r->ctx)))
		r->logs = pt__count_logs(pt__logs(r->ctx), r->start, r->last);
	if (item->kind == PT_ITEM_MAP) {
		r->attrs = pt_leaf_attrs(&r->ctx->geo, item->prot, r->ctx->attrs);
		r->sw = pt__sw_of(item);
		r->top = map_top(r);
	} else if (item->kind == PT_ITEM_PROTECT || item->kind == PT_ITEM_RELAX) {
		r->attrs = pt_perm_attrs(item->prot, r->ctx->attrs);
	} else if (item->kind == PT_ITEM_ANNOTATE) {
		r->attrs = item->pa.v;
		r->rise = (pt_pte)item->prot << PT_ITEM_RISE_SHIFT;
	} else if (item->kind == PT_ITEM_SET_SW) {
		r->attrs = pt_sw_to_pte(item->prot);
		r->sw = pt__sw_of(item);
	}
}

uint64_t pt__logged_run(const struct pt__range *r, uint64_t cursor, uint64_t n, int level)
{
	uint64_t most = ((uint64_t)PT__MARK_WORDS << (r->gs + 6)) >> pt__shift(r, level);
	uint64_t first = cursor >> pt__shift(r, level), group = 1;

	if (pt__has_groups(r->ctx) || r->item->flags & PT_MAP_CONTIGUOUS)
		group = UINT64_C(1) << pt__group_bits(r->gs, level);
	if (most < group)
		most = group;
	if (n <= most)
		return n;
	return ((first + most) & ~(group - 1)) - first; /* no group is cut */
}

static bool table_empty(const struct pt__range *r, pt_pte entry)
{
	const pt_pte *slot = pt__table(r->ctx, pt__oa(&r->ctx->geo, entry, r->gs));
	unsigned entries = pt_table_entries(&r->ctx->geo);

	for (unsigned i = 0; i < entries; i++)
		if (pt_pte_load(slot + i))
			return false;
	return true;
}

void pt__descend_map(const struct pt__range *r, uint64_t ipa, struct pt__at *at, bool *replace)
{
	*replace = false;
	for (int level = r->ctx->geo.start_level;; level++) {
		pt__descend(r->ctx, ipa, level, r->gs, at);
		if (!pt_pte_is_table(at->entry, at->level))
			return;
		if (!pt__leafable(r, ipa, at->level))
			continue;
		*replace = r->item->flags & PT_MAP_REPLACE || table_empty(r, at->entry);
		if (*replace)
			return;
	}
}

bool pt__link_table(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		    struct pt_pa table)
{
	pt_pte old = at->entry, desc = pt_table_desc(&r->ctx->geo, table);

	if (!pt__in_claim(txn, r, txn->cursor & ~pt__mask(r, at->level), at->level))
		return pt_pte_cas(at->slot, &old, desc);
	pt_pte_store_release(at->slot, desc);
	return true;
}

uint64_t pt__alike(const struct pt__range *r, uint64_t cursor, const struct pt__at *at,
		   enum pt__match match)
{
	uint64_t size = UINT64_C(1) << at->shift, n = 1, most;

	if (!pt__whole(r, cursor, at->level))
		return 1;
	for (most = pt__entries_in(r, cursor, at); n < most; n++) {
		pt_pte e = pt_pte_load(at->slot + n);

		if (!pt_pte_valid(e) || pt_pte_is_table(e, at->level) ||
		    pt__match(e, pt__want(r, cursor + n * size, at->level), r->sw) != match)
			break;
	}
	return n;
}
