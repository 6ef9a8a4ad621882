/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit of a MAP item. */
#include "range.h"

enum fill { PRIVATE, LIVE, MAKE };

PT__INLINE void fill_as(const struct pt__range *r, pt_pte *slot, uint64_t at, uint64_t n, int level,
			enum fill how, pt_pte hint)
{
	uint64_t size = UINT64_C(1) << pt__shift(r, level);
	pt_pte leaf = pt__want(r, at, level) | hint;
	bool wide = pt__wide(&r->ctx->geo);

	for (uint64_t i = 0; i < n; i++) {
		if (how == PRIVATE)
			pt_pte_init(slot + i, leaf);
		else if (how == LIVE)
			pt_pte_store(slot + i, leaf);
		else
			pt_pte_store_release(slot + i, leaf);
		if (wide)
			leaf = pt__want(r, at + (i + 1) * size, level) | hint;
		else
			leaf += size;
	}
}

/*
 * A run of leaves into entries that are private, or invalid and clean. Groups that lie in it as a
 * whole get the contiguous hint, if the item asks for it and the output is as aligned as the IPA
 * (W7); not in a dirty log, which tells pages apart.
 */
PT__INLINE void fill(const struct pt__range *r, pt_pte *slot, uint64_t at, uint64_t n, int level,
		     enum fill how)
{
	unsigned shift = pt__shift(r, level), bits = pt__group_bits(r->gs, level);
	uint64_t mask = (UINT64_C(1) << (shift + bits)) - 1, end = at + (n << shift), lo, hi;

	if (PT__LIKELY(!(r->item->flags & PT_MAP_CONTIGUOUS) || !bits || r->delta & mask) ||
	    pt__meets_log(pt__logs(r->ctx), at, end - 1)) {
		fill_as(r, slot, at, n, level, how, 0);
		return;
	}
	lo = (at + mask) & ~mask;
	hi = end & ~mask;
	if (lo >= hi)
		lo = hi = end;
	else
		atomic_store_explicit(&r->ctx->grouped, true, memory_order_relaxed);
	fill_as(r, slot, at, (lo - at) >> shift, level, how, 0);
	slot += (lo - at) >> shift;
	fill_as(r, slot, lo, (hi - lo) >> shift, level, how, PT_PTE_CONTIGUOUS);
	slot += (hi - lo) >> shift;
	fill_as(r, slot, hi, (end - hi) >> shift, level, how, 0);
}

/* A new table; its leaves are written before it is linked, if it begins with leaves. */
static void add_table(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		      int64_t *left)
{
	struct pt_pool *pool = &txn->agent->world->pool;
	struct pt_page page = pt__reserved(txn);
	struct pt_pa pa = pt_page_pa(r->ctx->machine->port, page);
	int level = at->level + 1;
	pt_pte *slot =
		pt__table(r->ctx, pa.v) + pt_level_index(&r->ctx->geo, pt_ipa(txn->cursor), level);
	uint64_t n = 0;

	if (pt__leafable(r, txn->cursor, level)) {
		n = pt__run(r, txn->cursor, level, at->level);
		pt__clean_for(r->ctx, r->item->prot, txn->cursor + r->delta,
			      n << pt__shift(r, level));
		fill(r, slot, txn->cursor, n, level, PRIVATE);
	}
	if (!pt__link_table(txn, r, at, pa)) {
		pt_port_zero(slot, n * sizeof(*slot)); /* zero again (A2); then look again */
		pt_pages_push(pool, &txn->reserved, page);
		--*left;
		return;
	}
	txn->effects.tables_added++;
	txn->effects.leaves_written += n;
	if (n)
		pt__dirtied(r->ctx, txn->cursor, txn->cursor + (n << pt__shift(r, level)) - 1);
	if (n)
		pt__advance(txn, r, level, n, left);
	*left -= pt__new_table(n);
}

/* Leaves into invalid entries of a live table, up to the first entry that is not. */
static void fill_live(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		      int64_t *left)
{
	uint64_t most = pt__entries_in(r, txn->cursor, at), n = 1;

	while (n < most && !pt_pte_load(at->slot + n))
		n++;
	pt__clean_for(r->ctx, r->item->prot, txn->cursor + r->delta, n << at->shift);
	fill(r, at->slot, txn->cursor, n, at->level, LIVE);
	pt__dirtied(r->ctx, txn->cursor, txn->cursor + (n << at->shift) - 1);
	txn->effects.leaves_written += n;
	pt__advance(txn, r, at->level, n, left);
}

/*
 * REPLACE over a run of leaves: first break all that map elsewhere, then one invalidation for them,
 * then make. The marker keeps the entries apart from those that only change rights, which is done
 * in place.
 */
static void replace_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
			int64_t *left)
{
	uint64_t size = UINT64_C(1) << at->shift, n = 0;
	uint64_t most = pt__whole_entries_in(r, txn->cursor, at);

	for (; n < most; n++) {
		pt_pte e = pt_pte_load(at->slot + n);

		if (!pt_pte_valid(e) || pt_pte_is_table(e, at->level) ||
		    pt__match(e, pt__want(r, txn->cursor + n * size, at->level), r->sw) !=
			    PT__OTHER)
			break;
		pt__take_out(r->ctx, at->slot + n, e, PT_PTE_LOCKED);
	}
	pt_ledger_add(&txn->ledger, txn->cursor, txn->cursor + n * size - 1, at->level, false);
	pt__takes(r->ctx, &txn->taken, txn->cursor, txn->cursor + n * size - 1, 0);
	pt__flush(txn);
	pt__clean_for(r->ctx, r->item->prot, txn->cursor + r->delta, n * size);
	fill(r, at->slot, txn->cursor, n, at->level, MAKE);
	pt__dirtied(r->ctx, txn->cursor, txn->cursor + n * size - 1);
	txn->effects.leaves_removed += n;
	txn->effects.leaves_written += n;
	pt__advance(txn, r, at->level, n, left);
}

/* One leaf that differs in rights alone, or its group: how many entries; none: shadows first. */
static uint64_t set_rights_at(struct pt_txn *txn, const struct pt__range *r, pt_pte *slot,
			      uint64_t base, const struct pt__at *at)
{
	uint64_t size = UINT64_C(1) << at->shift;
	pt_pte old = pt_pte_load(slot), rights = r->attrs & (PT_PTE_PERM | r->sw);
	pt_pte new = pt__next(PT_ITEM_PROTECT, old, rights, r->sw);
	uint64_t span = UINT64_C(1) << pt__span_shift(r->gs, old, at->level, at->shift);

	if (pt__tightens(old, new) && !pt__takes(r->ctx, &txn->taken, base & ~(span - 1),
						 base | (span - 1), pt__lost(old, new)))
		return 0;
	if (PT__UNLIKELY(old & PT_PTE_CONTIGUOUS)) {
		struct pt__resize rs = {r->ctx, &txn->ledger, &txn->effects};

		pt__regroup(&rs, slot, base, at->level,
			    &(struct pt__regroup){PT_ITEM_PROTECT, rights, r->sw});
		txn->flushed = true;
		return UINT64_C(1) << pt__group_bits(r->gs, at->level);
	}
	if (pt__adds_exec(old, new))
		pt_port_icache_inval_pou(r->ctx->machine->port, pt_pa(base + r->delta), size);
	pt__rewrite(r, slot, &old, PT_ITEM_PROTECT, &new);
	pt__was_changed(r->ctx, old, new, base, base + size - 1);
	if (pt__tightens(old, new))
		pt_ledger_add(&txn->ledger, base, base + size - 1, at->level, false);
	return 1;
}

/* REPLACE over a run of leaves that differ in rights alone: in place. */
static void set_rights(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		       int64_t *left)
{
	uint64_t most = pt__whole_entries_in(r, txn->cursor, at), n = 0;

	while (n < most) {
		uint64_t base = txn->cursor + (n << at->shift), set;
		pt_pte e = pt_pte_load(at->slot + n);

		if (!pt_pte_is_leaf(e, at->level) ||
		    pt__match(e, pt__want(r, base, at->level), r->sw) != PT__RIGHTS)
			break;
		set = set_rights_at(txn, r, at->slot + n, base, at);
		if (!set)
			break;
		n += set;
	}
	txn->effects.leaves_written += n;
	pt__advance(txn, r, at->level, n, left);
}

static void map_leaf(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		     int64_t *left)
{
	uint64_t base = txn->cursor & ~pt__mask(r, at->level);
	enum pt__match match = pt__match(at->entry, pt__want(r, base, at->level), r->sw);

	if (match == PT__SAME || !(r->item->flags & PT_MAP_REPLACE)) {
		uint64_t n = pt__alike(r, txn->cursor, at, match);

		if (match == PT__SAME)
			txn->effects.already += n;
		else
			txn->met_rights = true; /* prepare has excluded another address */
		pt__advance(txn, r, at->level, n, left);
	} else if (pt__cuts_group(r, txn->cursor, at)) {
		pt__unfold_at(txn, r, at, left);
	} else if (match == PT__RIGHTS ? pt__whole(r, txn->cursor, at->level)
				       : pt__leafable(r, txn->cursor, at->level)) {
		if (match == PT__RIGHTS)
			set_rights(txn, r, at, left);
		else
			replace_run(txn, r, at, left);
	} else {
		pt__split(txn, r, at);
		*left -= pt_table_entries(&r->ctx->geo);
	}
}

/* A block in the place of a table: break, invalidate, make; the table is taken apart afterwards. */
static void replace_table(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
			  int64_t *left)
{
	uint64_t last = txn->cursor | pt__mask(r, at->level);

	pt_pte_store(at->slot, PT_PTE_LOCKED);
	pt_ledger_add(&txn->ledger, txn->cursor, last, at->level, true);
	pt__takes(r->ctx, &txn->taken, txn->cursor, last, 0);
	pt__flush(txn);
	pt__clean_for(r->ctx, r->item->prot, txn->cursor + r->delta, last - txn->cursor + 1);
	pt_pte_store_release(at->slot, pt__want(r, txn->cursor, at->level));
	pt__dirtied(r->ctx, txn->cursor, last);
	pt__unlink(txn, r, at->entry, at->level + 1, false);
	txn->effects.leaves_written++;
	pt__advance(txn, r, at->level, 1, left);
}

void pt__commit_map(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	bool replace;

	pt__descend_map(r, txn->cursor, &at, &replace);
	*left -= at.level - r->ctx->geo.start_level; /* the descent; the entry counts below */
	if (replace)
		replace_table(txn, r, &at, left);
	else if (pt_pte_valid(at.entry))
		map_leaf(txn, r, &at, left);
	else if (pt__leafable(r, txn->cursor, at.level))
		fill_live(txn, r, &at, left);
	else
		add_table(txn, r, &at, left);
}
