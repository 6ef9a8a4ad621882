/* SPDX-License-Identifier: BSD-2-Clause */
/* Prepare of an ANNOTATE item. */
#include "plan.h"

static uint64_t leaves_in(const struct pt__at *at, uint64_t n)
{
	uint64_t leaves = 0;

	for (uint64_t i = 0; i < n; i++)
		leaves += pt_pte_valid(pt_pte_load(at->slot + i));
	return leaves;
}

/*
 * Tables from `level` down to the last for the granules at the cursor. A block goes where the item
 * covers it, once, and is split where it does not. *valid: pages of a block that was split are
 * left.
 */
static bool tables(struct pt_txn *txn, const struct pt__range *r, int level, bool *valid)
{
	for (; level < PT_LEVEL_LAST; level++) {
		uint64_t mask = pt__mask(r, level), base = txn->cursor & ~mask;

		if (*valid && base >= r->start && (base | mask) <= r->last) {
			txn->effects.leaves_removed += base == txn->cursor;
			*valid = false;
		}
		if (!pt__plan_table(txn, r, level, *valid))
			return false;
	}
	return true;
}

enum pt_outcome pt__plan_annotate(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	uint64_t n;
	bool valid;

	--*left;
	pt__descend(r->ctx, txn->cursor, PT_LEVEL_LAST, r->gs, &at);
	valid = pt_pte_valid(at.entry);
	if (valid && !pt__plan_group(txn, r, txn->cursor, at.entry, at.level))
		return PT_PARKED;
	if (at.level == PT_LEVEL_LAST) {
		n = pt__entries_in(r, txn->cursor, &at);
		if (!pt__plan_group(txn, r, txn->cursor + (n << at.shift) - 1,
				    pt_pte_load(at.slot + n - 1), at.level))
			return PT_PARKED; /* the item's end cuts it */
		if (txn->validate_only) {
			txn->effects.leaves_removed += leaves_in(&at, n);
			*left -= (int64_t)n;
		}
	} else {
		if (!tables(txn, r, at.level, &valid))
			return PT_PARKED;
		n = pt__run(r, txn->cursor, PT_LEVEL_LAST, PT_LEVEL_LAST - 1);
		txn->effects.leaves_removed += valid ? n : 0;
	}
	txn->effects.annotated += n;
	pt__pass(txn, r, PT_LEVEL_LAST, n);
	return PT_OK;
}
