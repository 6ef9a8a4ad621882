/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit of an UNMAP item. */
#include "line.h"
#include "range.h"

#define GONE_MAX 64

/* Leaves that went, whose memory is cleaned when no translation is left: pieces of it. */
struct gone {
	pt_pte leaf[GONE_MAX];
	uint32_t leaves[GONE_MAX];
	unsigned count;
};

/* Does this item clean what it removes? Never so on a port without caches. */
PT__INLINE bool cleans(const struct pt__range *r)
{
	return pt_port_has_caches(r->ctx->machine->port) && !(r->ctx->attrs & PT_ATTR_FWB) &&
	       r->item->kind == PT_ITEM_UNMAP;
}

/* A leaf that goes on where the last piece ends makes that longer. */
static void note_gone(const struct pt__range *r, struct gone *gone, pt_pte e, unsigned shift)
{
	unsigned last = gone->count - 1;

	if (!cleans(r))
		return;
	if (gone->count && e == gone->leaf[last] + ((uint64_t)gone->leaves[last] << shift)) {
		gone->leaves[last]++;
	} else if (pt__gone_cleans(r->ctx, e)) {
		gone->leaf[gone->count] = e;
		gone->leaves[gone->count++] = 1;
	}
}

static void clean_gone(struct pt_txn *txn, const struct pt__range *r, const struct gone *gone,
		       unsigned shift)
{
	if (!cleans(r) || !gone->count)
		return;
	pt__flush(txn);
	for (unsigned i = 0; i < gone->count; i++)
		pt__clean_gone(r->ctx, gone->leaf[i], gone->leaves[i], shift);
}

PT__INLINE uint64_t clear_run(struct pt_txn *txn, const struct pt__range *r,
			      const struct pt__at *at, pt_pte value, pt_pte rise, uint64_t *removed)
{
	uint64_t most = pt__whole_entries_in(r, txn->cursor, at), n = 0, first = 0, end = 0;
	pt_pte *const slot = at->slot;
	struct gone gone;

	gone.count = 0; /* the rest is written before it is read */
	*removed = 0;
	for (; n < most; n++, value += rise) {
		pt_pte e = pt_pte_load(slot + n);

		if (e == value)
			continue;
		if (pt_pte_is_table(e, at->level))
			break;
		pt__was_dirty(r->ctx, pt__take_out(r->ctx, slot + n, e, value),
			      txn->cursor + (n << at->shift),
			      txn->cursor + ((n + 1) << at->shift) - 1);
		if (!pt_pte_valid(e))
			continue;
		note_gone(r, &gone, e, at->shift);
		if (!(*removed)++)
			first = n;
		end = n + 1;
		if (gone.count == GONE_MAX)
			most = end;
	}
	if (end) {
		uint64_t lo = txn->cursor + (first << at->shift);
		uint64_t hi = txn->cursor + (end << at->shift) - 1;

		pt_ledger_add(&txn->ledger, lo, hi, at->level, false);
		pt__takes(r->ctx, &txn->taken, lo, hi, 0);
	}
	clean_gone(txn, r, &gone, at->shift);
	txn->effects.leaves_removed += *removed;
	return n;
}

uint64_t pt__clear_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		       pt_pte value, uint64_t *removed)
{
	return clear_run(txn, r, at, value, 0, removed);
}

/* A line of values that rise. */
PT__INLINE void set_line(pt_pte *slot, pt_pte value, pt_pte rise)
{
	pt_pte_store(slot, value);
	pt_pte_store(slot + 1, value + rise);
	pt_pte_store(slot + 2, value + 2 * rise);
	pt_pte_store(slot + 3, value + 3 * rise);
	pt_pte_store(slot + 4, value + 4 * rise);
	pt_pte_store(slot + 5, value + 5 * rise);
	pt_pte_store(slot + 6, value + 6 * rise);
	pt_pte_store(slot + 7, value + 7 * rise);
}

/* Of pages that neither hardware nor a log has to do with: whole lines of leaves, or of none. */
static uint64_t annotate_lines(struct pt_txn *txn, const struct pt__range *r,
			       const struct pt__at *at, uint64_t *removed)
{
	uint64_t most = pt__whole_entries_in(r, txn->cursor, at), n = 0;
	uint64_t leaves = pt_pte_valid(at->entry) ? PT__LINE : 0;
	pt_pte value = pt__annotation(txn, r);

	if (!pt__line_begins(at->slot))
		return 0;
	for (; most - n >= PT__LINE && pt__sum_line(at->slot + n, PT_PTE_VALID) == leaves;
	     n += PT__LINE, value += PT__LINE * r->rise)
		set_line(at->slot + n, value, r->rise);
	*removed = leaves ? n : 0;
	if (*removed) {
		uint64_t hi = txn->cursor + (n << at->shift) - 1;

		pt_ledger_add(&txn->ledger, txn->cursor, hi, at->level, false);
		pt__takes(r->ctx, &txn->taken, txn->cursor, hi, 0);
	}
	txn->effects.leaves_removed += *removed;
	return n;
}

uint64_t pt__annotate_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
			  uint64_t *removed)
{
	uint64_t n = 0;

	if (at->level == PT_LEVEL_LAST && !r->logs && !(r->ctx->vtcr_flags & PT_VTCR_HD))
		n = annotate_lines(txn, r, at, removed);
	if (n)
		return n;
	return clear_run(txn, r, at, pt__annotation(txn, r), r->rise, removed);
}

/* Down to an entry that is no table, or to a table that the item covers as a whole. (One that holds
 * dirt is emptied, and left to the sweep.) */
static void descend(const struct pt_txn *txn, const struct pt__range *r, struct pt__at *at)
{
	for (int level = r->ctx->geo.start_level;; level++) {
		pt__descend(r->ctx, txn->cursor, level, r->gs, at);
		if (!pt_pte_is_table(at->entry, at->level) || pt__goes_whole(txn, r, level))
			return;
	}
}

/* An entry that the item cuts. */
static void cut(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		int64_t *left)
{
	uint64_t from = txn->cursor;

	if (!pt_pte_valid(at->entry)) {
		pt__advance(txn, r, at->level, 1, left);
		txn->effects.holes += (txn->cursor - from) >> r->gs;
	} else {
		pt__split(txn, r, at);
		--*left;
	}
}

void pt__commit_clear(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	uint64_t n, removed;

	descend(txn, r, &at);
	if (pt_pte_is_table(at.entry, at.level)) {
		uint64_t last = txn->cursor | pt__mask(r, at.level);

		pt_pte_store(at.slot, 0);
		pt_ledger_add(&txn->ledger, txn->cursor, last, at.level, true);
		pt__takes(r->ctx, &txn->taken, txn->cursor, last, 0);
		pt__unlink(txn, r, at.entry, at.level + 1, true);
		pt__advance(txn, r, at.level, 1, left);
	} else if (pt__cuts_group(r, txn->cursor, &at)) {
		pt__unfold_at(txn, r, &at, left);
	} else if (!pt__whole(r, txn->cursor, at.level)) {
		cut(txn, r, &at, left);
	} else {
		n = pt__clear_run(txn, r, &at, 0, &removed);
		txn->effects.holes += (n - removed) << (at.shift - r->gs);
		pt__advance(txn, r, at.level, n, left);
	}
}
