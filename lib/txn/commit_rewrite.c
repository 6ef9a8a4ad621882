/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit of the items that rewrite leaves in place: PROTECT, WRITE_PROTECT, RELAX, MAKE_YOUNG,
 * SET_SW. */
#include "line.h"
#include "range.h"

/* What a run of entries came to. [first, end): the hull of those that lost a right. */
struct tally {
	uint64_t n, written, holes, first, end;
};

/* Entries [from, end) of a run were `old` and are `new`, but for their addresses. */
static void count(struct tally *t, pt_pte old, pt_pte new, uint64_t from, uint64_t end)
{
	if (!pt_pte_valid(old))
		t->holes += end - from;
	else if (new != old)
		t->written += end - from;
	if (!pt_pte_valid(old) || !pt__tightens(old, new))
		return;
	t->first = t->end ? t->first : from;
	t->end = end;
}

/*
 * Pages of a context without hardware updates or dirty logs, and no right to execute added. What
 * becomes of an entry is found out once for all lines of entries like it.
 */
static void run_pages(struct tally *t, const struct pt__range *r, const struct pt__at *at,
		      uint64_t most)
{
	pt_pte address = pt_oa_mask(&r->ctx->geo), *slot = at->slot;
	uint64_t n = 0;

	while (n < most) {
		pt_pte old = pt_pte_load(slot + n), new = old;
		uint64_t from = n;

		if (pt_pte_valid(old))
			new = pt__next(r->item->kind, old, r->attrs, r->sw);
		if (pt__line_begins(slot + n))
			while (most - n >= PT__LINE &&
			       pt__flip_line(slot + n, old, address, old ^ new))
				n += PT__LINE;
		if (n == from && new != old)
			pt_pte_store(slot + n, new);
		n += n == from;
		count(t, old, new, from, n);
	}
	t->n = most;
}

/* A contiguous group that changes: through invalid, whatever changes. */
static void run_group(struct tally *t, struct pt_txn *txn, const struct pt__range *r,
		      const struct pt__at *at)
{
	struct pt__resize rs = {r->ctx, &txn->ledger, &txn->effects};
	struct pt__regroup how = {r->item->kind, r->attrs, r->sw};
	uint64_t n = UINT64_C(1) << pt__group_bits(r->gs, at->level);
	pt_pte *slot = at->slot + t->n, old = pt_pte_load(slot), new;

	new = pt__regroup(&rs, slot, txn->cursor + (t->n << at->shift), at->level, &how);
	txn->tightened |= pt__tightens(old, new);
	txn->flushed = true;
	t->written += n;
	t->n += n;
}

/* What becomes of a leaf, or of the group around it, is taken from the shadows; false: not yet. */
static bool takes(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		  uint64_t base, pt_pte e, pt_pte new)
{
	uint64_t mask = (UINT64_C(1) << pt__span_shift(r->gs, e, at->level, at->shift)) - 1;

	return !pt__tightens(e, new) ||
	       pt__takes(r->ctx, &txn->taken, base & ~mask, base | mask, pt__lost(e, new));
}

/* Any level, any context; ends at a table, and where shadows lose something else. Writes only what
 * changes. */
static void run_any(struct tally *t, struct pt_txn *txn, const struct pt__range *r,
		    const struct pt__at *at, uint64_t from, uint64_t most)
{
	uint32_t kind = r->item->kind;

	for (; t->n < most; t->n++) {
		pt_pte *slot = at->slot + t->n, e = pt_pte_load(slot), new;
		uint64_t base = (from & ~((UINT64_C(1) << at->shift) - 1)) + (t->n << at->shift);

		if (!pt_pte_valid(e)) {
			t->holes++;
			continue;
		}
		if (pt_pte_is_table(e, at->level))
			return;
		new = pt__next(kind, e, r->attrs, r->sw);
		if (new == e)
			continue;
		if (PT__UNLIKELY(r->ctx->shadowed) && !takes(txn, r, at, base, e, new))
			return;
		if (PT__UNLIKELY(e & PT_PTE_CONTIGUOUS) && kind != PT_ITEM_MAKE_YOUNG) {
			run_group(t, txn, r, at);
			t->n--;
			continue;
		}
		if (pt__adds_exec(e, new))
			pt_port_icache_inval_pou(r->ctx->machine->port,
						 pt_pa(pt__oa(&r->ctx->geo, e, r->gs)),
						 UINT64_C(1) << at->shift);
		pt__rewrite(r, slot, &e, kind, &new);
		pt__was_changed(r->ctx, e, new, base, base | ((UINT64_C(1) << at->shift) - 1));
		t->written++;
		if (!pt__tightens(e, new))
			continue;
		t->first = t->end ? t->first : t->n;
		t->end = t->n + 1;
	}
}

static void settle(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		   const struct tally *t, int64_t *left)
{
	if (t->end)
		pt_ledger_add(&txn->ledger, txn->cursor + (t->first << at->shift),
			      txn->cursor + (t->end << at->shift) - 1, at->level, false);
	txn->tightened |= t->end != 0;
	txn->effects.leaves_written += t->written;
	txn->effects.holes += t->holes << (at->shift - r->gs);
	txn->effects.already += t->n - t->written - t->holes;
	pt__advance(txn, r, at->level, t->n, left);
}

/* An entry that the item cuts. A leaf is split where its parts come to differ; it has one access
 * flag (prepare has seen to it that the claim covers it). */
static void cut(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		int64_t *left)
{
	uint64_t from = txn->cursor;
	struct tally one = {0};

	if (!pt_pte_valid(at->entry)) {
		pt__advance(txn, r, at->level, 1, left);
		txn->effects.holes += (txn->cursor - from) >> r->gs;
	} else if (pt__splits(r, at->entry)) {
		pt__split(txn, r, at);
		--*left;
	} else {
		run_any(&one, txn, r, at, from, 1);
		settle(txn, r, at, &one, left);
	}
}

void pt__commit_rewrite(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	bool plain = !(r->ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD)) &&
		     !(r->item->prot & PT_PROT_X) && !pt__has_groups(r->ctx) && !pt__logs(r->ctx) &&
		     !r->ctx->shadowed;
	struct tally t = {0};
	struct pt__at at;
	uint64_t most;

	pt__descend(r->ctx, txn->cursor, PT_LEVEL_LAST, r->gs, &at);
	if (pt__cuts_group(r, txn->cursor, &at) && pt__splits(r, at.entry)) {
		pt__unfold_at(txn, r, &at, left);
		return;
	}
	if (!pt__whole(r, txn->cursor, at.level)) {
		cut(txn, r, &at, left);
		return;
	}
	most = pt__whole_entries_in(r, txn->cursor, &at);
	if (plain && at.level == PT_LEVEL_LAST)
		run_pages(&t, r, &at, most);
	else
		run_any(&t, txn, r, &at, txn->cursor, most);
	settle(txn, r, &at, &t, left);
}
