/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit of UNMAP and PROTECT items. */
#include "range.h"

static void owe(struct pt_txn *txn, const struct pt__at *at, uint64_t first, uint64_t end)
{
	pt_ledger_add(&txn->ledger, txn->cursor + (first << at->shift),
		      txn->cursor + (end << at->shift) - 1, at->level, false);
}

/* Clears a run of leaves, holes and counted invalid entries (B8), up to the next table. */
static uint64_t clear_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at)
{
	uint64_t most = pt__entries_in(r, txn->cursor, at), n = 0, removed = 0, first = 0, end = 0;

	for (; n < most; n++) {
		pt_pte e = pt_pte_load(at->slot + n);

		if (!e)
			continue;
		if (pt_pte_is_table(e, at->level))
			break;
		pt_pte_store(at->slot + n, 0);
		if (!pt_pte_valid(e))
			continue;
		if (!removed++)
			first = n;
		end = n + 1;
	}
	if (removed)
		owe(txn, at, first, end);
	txn->effects.leaves_removed += removed;
	txn->effects.holes += (n - removed) << (at->shift - r->gs);
	return n;
}

static uint64_t protect_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at)
{
	uint64_t most = pt__entries_in(r, txn->cursor, at), n = 0, first = 0, end = 0, holes = 0,
		 written = 0;

	for (; n < most; n++) {
		pt_pte e = pt_pte_load(at->slot + n), new = (e & ~PT_PTE_PERM) | r->attrs;

		if (!pt_pte_valid(e)) {
			holes++;
			continue;
		}
		if (pt_pte_is_table(e, at->level))
			break;
		if (new == e) {
			txn->effects.already++;
			continue;
		}
		pt_pte_store(at->slot + n, new);
		written++;
		if (!pt__tightens(e, new))
			continue;
		if (!end)
			first = n;
		end = n + 1;
	}
	if (end)
		owe(txn, at, first, end);
	txn->tightened |= end != 0;
	txn->effects.leaves_written += written;
	txn->effects.holes += holes << (at->shift - r->gs);
	return n;
}

static void advance(struct pt_txn *txn, const struct pt__range *r, int level, uint64_t n,
		    int64_t *left)
{
	pt__pass(txn, r, level, n);
	*left -= (int64_t)n;
}

/* Down to an entry that is no table, or to a table that an UNMAP covers as a whole. */
static void descend(const struct pt_txn *txn, const struct pt__range *r, struct pt__at *at)
{
	for (int level = r->ctx->geo.start_level;; level++) {
		pt__descend(r->ctx, txn->cursor, level, r->gs, at);
		if (!pt_pte_is_table(at->entry, at->level) ||
		    (r->item->kind == PT_ITEM_UNMAP && pt__whole(r, txn->cursor, level)))
			return;
	}
}

/* An entry that the item cuts. */
static void cut(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		int64_t *left)
{
	uint64_t from = txn->cursor;
	bool protect = r->item->kind == PT_ITEM_PROTECT;

	if (!pt_pte_valid(at->entry)) {
		advance(txn, r, at->level, 1, left);
		txn->effects.holes += (txn->cursor - from) >> r->gs;
	} else if (protect && ((at->entry & ~PT_PTE_PERM) | r->attrs) == at->entry) {
		txn->effects.already++;
		advance(txn, r, at->level, 1, left);
	} else {
		pt__split(txn, r, at);
		--*left;
	}
}

void pt__commit_clear(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	uint64_t n;

	descend(txn, r, &at);
	if (pt_pte_is_table(at.entry, at.level)) {
		uint64_t last = txn->cursor | pt__mask(r, at.level);

		pt_pte_store(at.slot, 0);
		pt_ledger_add(&txn->ledger, txn->cursor, last, at.level, true);
		pt__unlink(txn, r, at.entry, at.level + 1, true);
		advance(txn, r, at.level, 1, left);
	} else if (!pt__whole(r, txn->cursor, at.level)) {
		cut(txn, r, &at, left);
	} else {
		n = r->item->kind == PT_ITEM_UNMAP ? clear_run(txn, r, &at)
						   : protect_run(txn, r, &at);
		advance(txn, r, at.level, n, left);
	}
}
