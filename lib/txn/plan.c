/* SPDX-License-Identifier: BSD-2-Clause */
/* Prepare: checks every item against the frozen structure and reserves the table pages that commit
 * uses. */
#include "plan.h"

/*
 * Prepare changes nothing, so it meets what items before it in the batch will have changed by then:
 * a table that an earlier item makes (for missing entries, or by splitting a block) is remembered
 * in txn->counted[level], the last span at each level; items ascend, so the last is enough.
 * Everything else that an item changes lies in its own range, where no other item looks. That is
 * why prepare counts exactly what commit does.
 *
 * Where entries are missing or a block is to be split, the loop works on entries that are not there
 * yet: a run of `n` entries of some level below the one that the walk met.
 */

enum pt_outcome pt__plan_fail(struct pt_txn *txn, enum pt_outcome code, int level)
{
	txn->error = (struct pt_error){code, txn->at, pt_ipa(txn->cursor), (int8_t)level};
	return code;
}

static bool is_counted(const struct pt_txn *txn, const struct pt__range *r, int level)
{
	return txn->counted[level + 1] == (txn->cursor >> pt__shift(r, level)) + 1;
}

bool pt__plan_table(struct pt_txn *txn, const struct pt__range *r, int level, bool split)
{
	uint64_t span = txn->cursor >> pt__shift(r, level);

	if (is_counted(txn, r, level))
		return true;
	if (split && !pt__in_claim(txn, r, span << pt__shift(r, level), level))
		return false;
	txn->counted[level + 1] = span + 1;
	txn->need++;
	txn->effects.tables_added++;
	if (split) {
		txn->effects.blocks_split++;
		txn->effects.leaves_removed++;
		txn->effects.leaves_written += pt_table_entries(&r->ctx->geo);
	}
	return true;
}

int pt__plan_level(const struct pt_txn *txn, const struct pt__range *r, int level)
{
	while (level < PT_LEVEL_LAST && is_counted(txn, r, level))
		level++;
	return level;
}

uint64_t pt__plan_run(const struct pt_txn *txn, const struct pt__range *r, int level, int met)
{
	if (level == met || !pt__whole(r, txn->cursor, level))
		return 1;
	return pt__run(r, txn->cursor, level, level - 1);
}

bool pt__plan_split(struct pt_txn *txn, const struct pt__range *r, int *level, int top)
{
	while (*level < top || !pt__whole(r, txn->cursor, *level)) {
		if (!pt__plan_table(txn, r, *level, true))
			return false;
		++*level;
	}
	return true;
}

bool pt__plan_group(const struct pt_txn *txn, const struct pt__range *r, uint64_t ipa, pt_pte e,
		    int level)
{
	unsigned shift = pt__span_shift(r->gs, e, level, pt__shift(r, level));
	uint64_t mask = (UINT64_C(1) << shift) - 1;

	if (PT__LIKELY(!(e & PT_PTE_CONTIGUOUS)))
		return true;
	return (ipa & ~mask) >= txn->claim.lo && (ipa | mask) <= txn->claim.hi;
}

/* Does the item change leaf `e` so that a part of it would come to differ from the rest? */
static bool splits(const struct pt__range *r, pt_pte e)
{
	return r->item->kind == PT_ITEM_UNMAP || pt__splits(r, e);
}

/* Kinds that make no tables, every entry: for validate_only, and to refuse execute on what is not
 * Normal memory. */
static enum pt_outcome plan_every(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	bool unmap = r->item->kind == PT_ITEM_UNMAP;
	struct pt__at at;
	uint64_t n;
	int level;

	pt__descend(r->ctx, txn->cursor, PT_LEVEL_LAST, r->gs, &at);
	*left -= pt__descent(r, &at);
	for (level = r->ctx->geo.start_level; unmap && level < at.level; level++)
		txn->effects.tables_freed += pt__goes_whole(txn, r, level);
	if (!pt_pte_valid(at.entry)) {
		uint64_t from = txn->cursor;

		pt__pass(txn, r, at.level, 1);
		txn->effects.holes += (txn->cursor - from) >> r->gs;
		return PT_OK;
	}
	if (r->item->prot & PT_PROT_X && !pt__may_exec(r->ctx, at.entry))
		return pt__plan_fail(txn, PT_INVALID, at.level);
	level = pt__plan_level(txn, r, at.level);
	if (splits(r, at.entry) && (!pt__plan_group(txn, r, txn->cursor, at.entry, at.level) ||
				    !pt__plan_split(txn, r, &level, PT_LEVEL_FIRST)))
		return PT_PARKED;
	n = pt__plan_run(txn, r, level, at.level);
	if (unmap) {
		txn->effects.leaves_removed += n;
	} else {
		pt_pte new = pt__next(r->item->kind, at.entry, r->attrs, r->sw);

		*(new == at.entry ? &txn->effects.already : &txn->effects.leaves_written) += n;
		txn->tightened |= pt__tightens(at.entry, new);
	}
	pt__pass(txn, r, level, n);
	return PT_OK;
}

/* Is the block around the cursor cut by the item's edge? Then its splits are counted. */
static bool plan_edge(struct pt_txn *txn, const struct pt__range *r)
{
	struct pt__at at;
	int level;

	pt__descend(r->ctx, txn->cursor, PT_LEVEL_LAST, r->gs, &at);
	if (!pt_pte_valid(at.entry))
		return true;
	if (r->item->kind == PT_ITEM_MAKE_YOUNG)
		return pt__in_claim(txn, r, txn->cursor & ~pt__mask(r, at.level), at.level);
	if (!splits(r, at.entry))
		return true;
	if (!pt__plan_group(txn, r, txn->cursor, at.entry, at.level))
		return false;
	for (level = at.level;; level++) {
		uint64_t mask = pt__mask(r, level), base = txn->cursor & ~mask;

		if (base >= r->start && (base | mask) <= r->last)
			return true;
		if (!pt__plan_table(txn, r, level, true))
			return false;
	}
}

/* Kinds that make no tables need pages only where their two edges cut a block. */
static enum pt_outcome plan_edges(struct pt_txn *txn, const struct pt__range *r)
{
	if (!plan_edge(txn, r))
		return PT_PARKED;
	txn->cursor = r->last & ~pt__mask(r, PT_LEVEL_LAST);
	if (!plan_edge(txn, r))
		return PT_PARKED;
	txn->cursor = r->last + 1;
	return PT_OK;
}

static enum pt_outcome reserve(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->item[txn->at].ctx;
	enum pt_outcome outcome;

	if (txn->need <= txn->reserved.count)
		return PT_OK;
	/* A table is counted once, and the largest space has 2^31 of the last level. */
	outcome = pt__pages_take(txn->agent, ctx, (uint32_t)(txn->need - txn->reserved.count),
				 &txn->reserved);
	return outcome == PT_OK ? PT_OK : pt__plan_fail(txn, outcome, PT_TTL_UNKNOWN);
}

/* All of an item before anything of it is planned; when *left is used up, again in the next step.
 */
static enum pt_outcome ask_owners(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	enum pt_outcome outcome;

	if (txn->owners || txn->teardown)
		return PT_OK;
	if (txn->asked < r->start)
		txn->asked = r->start;
	outcome = pt__owner_may(r->item, &txn->asked, r->last, left);
	if (outcome == PT_OK)
		return PT_OK;
	txn->cursor = txn->asked;
	return pt__plan_fail(txn, outcome, PT_TTL_UNKNOWN);
}

static enum pt_outcome plan_item(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	bool every = txn->validate_only || r->item->prot & PT_PROT_X;
	enum pt_outcome outcome = PT_OK;

	if (PT__UNLIKELY(r->ctx->owner_rules != NULL))
		outcome = ask_owners(txn, r, left);
	while (txn->cursor <= r->last && *left > 0 && outcome == PT_OK) {
		switch (r->item->kind) {
		case PT_ITEM_MAP: outcome = pt__plan_map(txn, r, left); break;
		case PT_ITEM_ANNOTATE: outcome = pt__plan_annotate(txn, r, left); break;
		case PT_ITEM_HOLD:
			txn->cursor = r->last + 1;
			--*left;
			break;
		default: --*left; outcome = every ? plan_every(txn, r, left) : plan_edges(txn, r);
		}
	}
	return outcome;
}

enum pt_outcome pt__plan(struct pt_txn *txn, int64_t *left)
{
	while (txn->at < txn->count) {
		struct pt__range r;
		enum pt_outcome outcome;

		pt__range_of(&r, &txn->item[txn->at]);
		outcome = plan_item(txn, &r, left);
		if (outcome == PT_OK)
			outcome = reserve(txn);
		if (outcome != PT_OK)
			return outcome;
		if (txn->cursor <= r.last)
			return PT_MORE;
		if (txn->validate_only)
			pt__finish_item(txn);
		if (++txn->at < txn->count)
			txn->cursor = txn->item[txn->at].ipa.v;
		txn->before = txn->effects;
		txn->met_rights = txn->tightened = false;
	}
	return PT_OK;
}
