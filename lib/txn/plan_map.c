/* SPDX-License-Identifier: BSD-2-Clause */
/* Prepare of a MAP item. */
#include "plan.h"

/* As pt__plan_run(), for leaves that a MAP meets: with those beside it that compare alike. */
static uint64_t leaves(const struct pt_txn *txn, const struct pt__range *r, int level,
		       const struct pt__at *at, enum pt__match match, int64_t *left)
{
	uint64_t n;

	if (level != at->level)
		return pt__plan_run(txn, r, level, at->level);
	n = pt__alike(r, txn->cursor, at, match);
	*left -= (int64_t)n;
	return n;
}

static enum pt_outcome map_leaf(struct pt_txn *txn, const struct pt__range *r,
				const struct pt__at *at, int64_t *left)
{
	uint64_t base = txn->cursor & ~pt__mask(r, at->level);
	enum pt__match match = pt__match(at->entry, pt__want(r, base, at->level), r->sw);
	int level = pt__plan_level(txn, r, at->level);
	uint64_t n;

	if (match != PT__SAME && r->item->flags & PT_MAP_REPLACE) {
		int top = match == PT__OTHER ? r->top : PT_LEVEL_FIRST;

		if (!pt__plan_group(txn, r, txn->cursor, at->entry, at->level) ||
		    !pt__plan_split(txn, r, &level, top))
			return PT_PARKED;
		n = leaves(txn, r, level, at, match, left);
		if (level == at->level && n > 1 &&
		    !pt__plan_group(txn, r, txn->cursor + (n << at->shift) - 1,
				    pt_pte_load(at->slot + n - 1), level))
			return PT_PARKED;
		txn->effects.leaves_written += n;
		txn->effects.leaves_removed += match == PT__OTHER ? n : 0;
	} else if (match == PT__OTHER) {
		return pt__plan_fail(txn, PT_OVERLAP, at->level);
	} else {
		n = leaves(txn, r, level, at, match, left);
		if (match == PT__SAME)
			txn->effects.already += n;
		else
			txn->met_rights = true;
	}
	pt__pass(txn, r, level, n);
	return PT_OK;
}

static enum pt_outcome map_missing(struct pt_txn *txn, const struct pt__range *r,
				   const struct pt__at *at, int64_t *left)
{
	int level = at->level;
	uint64_t n = 1;

	if (at->entry && (!(r->item->flags & PT_MAP_REPLACE) || !pt__whole(r, txn->cursor, level)))
		return pt__plan_fail(txn, PT_OVERLAP, level);
	while (!pt__leafable(r, txn->cursor, level)) {
		pt__plan_table(txn, r, level, false);
		level++;
	}
	if (level != at->level) {
		n = pt__run(r, txn->cursor, level, level - 1);
	} else {
		uint64_t most = pt__entries_in(r, txn->cursor, at);

		while (n < most && !pt_pte_load(at->slot + n))
			n++;
		*left -= (int64_t)n;
	}
	txn->effects.leaves_written += n;
	pt__pass(txn, r, level, n);
	return PT_OK;
}

/* validate_only, below a table in whose place a block would go: counts a run of what goes with it.
 */
static void count_replaced(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	uint64_t n = 0, most;
	int level;

	pt__descend(r->ctx, txn->cursor, PT_LEVEL_LAST, r->gs, &at);
	for (level = at.level - 1; level >= txn->replaced_level; level--)
		txn->effects.tables_freed += !(txn->cursor & pt__mask(r, level));
	for (most = pt__entries_in(r, txn->cursor, &at); n < most; n++) {
		pt_pte e = pt_pte_load(at.slot + n);

		if (pt_pte_is_table(e, at.level))
			break;
		txn->effects.leaves_removed += pt_pte_valid(e);
	}
	*left -= (int64_t)n + pt__descent(r, &at);
	pt__pass(txn, r, at.level, n);
}

enum pt_outcome pt__plan_map(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	bool replace;

	if (txn->cursor < txn->replaced_end) {
		count_replaced(txn, r, left);
		return PT_OK;
	}
	pt__descend_map(r, txn->cursor, &at, &replace);
	*left -= pt__descent(r, &at);
	if (replace) {
		txn->effects.leaves_written++;
		txn->replaced_level = (int8_t)at.level;
		if (txn->validate_only)
			txn->replaced_end = txn->cursor + pt__mask(r, at.level) + 1;
		else
			pt__pass(txn, r, at.level, 1);
		return PT_OK;
	}
	if (pt_pte_valid(at.entry))
		return map_leaf(txn, r, &at, left);
	return map_missing(txn, r, &at, left);
}
