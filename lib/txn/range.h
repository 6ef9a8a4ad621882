/* SPDX-License-Identifier: BSD-2-Clause */
/* What prepare and commit of a transaction share; private to lib/txn. */
#ifndef PT_TXN_RANGE_H
#define PT_TXN_RANGE_H

#include "compare.h"
#include "contiguous.h"

/* The item at hand, computed once a step. */
struct pt__range {
	struct pt_ctx *ctx;
	struct pt_item *item;
	uint64_t start, last; /* inclusive */
	uint64_t delta;	      /* MAP: output address minus IPA, modulo 2^64 */
	pt_pte attrs; /* MAP: of a new leaf; PROTECT, RELAX: the permission bits; ANNOTATE: the
			 descriptor; SET_SW: the software bits */
	pt_pte rise;  /* ANNOTATE of lib/owner: by how much the next granule's descriptor is more */
	pt_pte sw;    /* MAP, SET_SW: the software bits that it sets or clears; else 0 */
	int top;      /* MAP: the smallest level number at which a leaf may stand here */
	unsigned gs;
	unsigned logs; /* dirty logs that the item meets */
};

void pt__range_of(struct pt__range *r, struct pt_item *item);

PT__INLINE unsigned pt__shift(const struct pt__range *r, int level)
{
	return pt_level_shift(&r->ctx->geo, level);
}

PT__INLINE uint64_t pt__mask(const struct pt__range *r, int level)
{
	return (UINT64_C(1) << pt__shift(r, level)) - 1;
}

/* Does an entry of `level` begin at `at` and end inside the item? */
PT__INLINE bool pt__whole(const struct pt__range *r, uint64_t at, int level)
{
	uint64_t mask = pt__mask(r, level);

	return !(at & mask) && r->last - at >= mask;
}

/* May the item have a leaf of `level` at `at`? */
PT__INLINE bool pt__leafable(const struct pt__range *r, uint64_t at, int level)
{
	return level >= r->top && pt__whole(r, at, level);
}

/* range.c: of `n` entries of `level` from `cursor` on, which lie in a log. */
uint64_t pt__logged_run(const struct pt__range *r, uint64_t cursor, uint64_t n, int level);

PT__INLINE uint64_t pt__bounded(const struct pt__range *r, uint64_t cursor, uint64_t n, int level)
{
	return PT__LIKELY(!r->logs) ? n : pt__logged_run(r, cursor, n, level);
}

/* How many whole entries of `level` from `at` on lie in the item and below one entry of `above`; in
 * a log, fewer. */
PT__INLINE uint64_t pt__run(const struct pt__range *r, uint64_t at, int level, int above)
{
	uint64_t end = at | pt__mask(r, above);

	if (end > r->last)
		end = r->last;
	return pt__bounded(r, at, (end - at + 1) >> pt__shift(r, level), level);
}

/* Does the leaf at `at`, around the cursor, belong to a group that the item cuts? */
PT__INLINE bool pt__cuts_group(const struct pt__range *r, uint64_t cursor, const struct pt__at *at)
{
	unsigned shift = pt__span_shift(r->gs, at->entry, at->level, at->shift);
	uint64_t mask = (UINT64_C(1) << shift) - 1;

	return pt_pte_valid(at->entry) && PT__UNLIKELY(shift != at->shift) &&
	       ((cursor & ~mask) < r->start || (cursor | mask) > r->last);
}

/* How many entries from `at` on are wholly in the item and in this table (all start tables are
 * one); in a log, fewer. */
PT__INLINE uint64_t pt__entries_in(const struct pt__range *r, uint64_t cursor,
				   const struct pt__at *at)
{
	const struct pt_geometry *g = &r->ctx->geo;
	uint64_t most = (r->last - cursor + 1) >> at->shift;
	uint64_t room =
		(at->level == g->start_level ? g->start_entries : pt_table_entries(g)) - at->index;

	return pt__bounded(r, cursor, most < room ? most : room, at->level);
}

/*
 * What writing n descriptors into a new table takes from a step's budget beside the n visits: as
 * much again, since its memory is seldom in the caches and may be the kernel's to bring.
 */
PT__INLINE int64_t pt__new_table(uint64_t n)
{
	return (int64_t)n + 1;
}

/* Descriptors that the descent to `at` has read: what it takes from a step's budget. */
PT__INLINE int64_t pt__descent(const struct pt__range *r, const struct pt__at *at)
{
	return at->level - r->ctx->geo.start_level + 1;
}

/* The same, but not into a group that the end of the item cuts, unless `at` is in it already. */
PT__INLINE uint64_t pt__whole_entries_in(const struct pt__range *r, uint64_t cursor,
					 const struct pt__at *at)
{
	uint64_t most = pt__entries_in(r, cursor, at);
	uint64_t over = (at->index + most) & ((1u << pt__group_bits(r->gs, at->level)) - 1);

	if (PT__LIKELY(!over || over >= most))
		return most;
	return pt_pte_load(at->slot + most - 1) & PT_PTE_CONTIGUOUS ? most - over : most;
}

/* The leaf that a MAP wants for an entry of `level` that begins at `base`. */
PT__INLINE pt_pte pt__want(const struct pt__range *r, uint64_t base, int level)
{
	return r->attrs | pt__oa_pte(&r->ctx->geo, base + r->delta) |
	       (level == PT_LEVEL_LAST ? PT_PTE_TYPE : 0);
}

/*
 * Descends to the entry for `at` that a MAP has to act on: no table, or a table in whose place a
 * block goes
 * (*replace): one without any entry, or any with PT_MAP_REPLACE.
 */
void pt__descend_map(const struct pt__range *r, uint64_t ipa, struct pt__at *at, bool *replace);

/* How many entries of this table, from the leaf at the cursor on, compare with what the MAP wants
 * as that one does; 1 when the item cuts it. */
uint64_t pt__alike(const struct pt__range *r, uint64_t cursor, const struct pt__at *at,
		   enum pt__match match);

/* Moves the transaction past n entries of `level`, and not past the item. */
PT__INLINE void pt__pass(struct pt_txn *txn, const struct pt__range *r, int level, uint64_t n)
{
	uint64_t base = txn->cursor & ~pt__mask(r, level);
	uint64_t end = base + (n << pt__shift(r, level)) - 1;

	txn->cursor = (end < r->last ? end : r->last) + 1;
}

/* The same at commit, where each entry is a visit, and so is each word of a log for its pages. */
PT__INLINE void pt__advance(struct pt_txn *txn, const struct pt__range *r, int level, uint64_t n,
			    int64_t *left)
{
	pt__pass(txn, r, level, n);
	*left -= (int64_t)n;
	if (PT__UNLIKELY(r->logs))
		*left -= (int64_t)((n << pt__shift(r, level)) >> (r->gs + 6)) * r->logs;
}

/* Does an item that rewrites leaves split leaf `e` where it cuts it? Not if nothing changes, nor
 * for the access flag, of which a block has one. */
PT__INLINE bool pt__splits(const struct pt__range *r, pt_pte e)
{
	return r->item->kind != PT_ITEM_MAKE_YOUNG &&
	       pt__next(r->item->kind, e, r->attrs, r->sw) != e;
}

/*
 * Puts what follows from leaf *old in its place, under the claim. Where hardware may set the dirty
 * state, a plain store could lose it: there *old and *new are what it came to (W9, Arm ARM D8.5.2).
 */
PT__INLINE void pt__rewrite(const struct pt__range *r, pt_pte *slot, pt_pte *old, uint32_t kind,
			    pt_pte *new)
{
	if (PT__LIKELY(!pt__hw_dirties(r->ctx, *old))) {
		pt_pte_store(slot, *new);
		return;
	}
	while (!pt_pte_cas(slot, old, *new))
		*new = pt__next(kind, *old, r->attrs & (PT_PTE_PERM | r->sw), r->sw);
}

/* A page that prepare has reserved. It reserves what commit uses (A4); going on without would
 * corrupt. */
PT__INLINE struct pt_page pt__reserved(struct pt_txn *txn)
{
	if (PT__UNLIKELY(!txn->reserved.count))
		__builtin_trap();
	return pt_pages_pop(&txn->agent->world->pool, &txn->reserved);
}

/* Is [base, base + span of `level`) inside the transaction's claim? */
PT__INLINE bool pt__in_claim(const struct pt_txn *txn, const struct pt__range *r, uint64_t base,
			     int level)
{
	return base >= txn->claim.lo && (base | pt__mask(r, level)) <= txn->claim.hi;
}

/* Does UNMAP take the table below the entry of `level` at the cursor out as a whole? */
PT__INLINE bool pt__goes_whole(const struct pt_txn *txn, const struct pt__range *r, int level)
{
	return pt__whole(r, txn->cursor, level) &&
	       (txn->teardown ||
		!pt__holds_dirt(r->ctx, txn->cursor, txn->cursor | pt__mask(r, level)));
}

/* What the transaction claims, inclusive: its items, rounded out to the blocks and groups that an
 * edge cuts. The context is not dying. */
PT__INLINE void pt__hull(const struct pt_txn *txn, uint64_t *lo, uint64_t *hi)
{
	const struct pt_item *last = &txn->item[txn->count - 1];
	const struct pt_ctx *ctx = last->ctx;
	uint64_t space = (UINT64_C(1) << ctx->geo.ipa_bits) - 1;

	uint64_t mask = pt__edge_mask(ctx, txn->item[0].ipa.v, txn->wide);

	*lo = txn->item[0].ipa.v & ~mask;
	*hi = last->ipa.v + last->size - 1;
	if ((txn->item[0].ipa.v ^ *hi) >> ctx->geo.granule_shift) /* not one page, with one entry */
		mask = pt__edge_mask(ctx, *hi, txn->wide);
	*hi |= mask;
	if (*hi > space)
		*hi = space;
}

/* txn.c: to the begin of prepare. */
void pt__start_plan(struct pt_txn *txn);

/* plan.c: prepares up to *left visits. PT_OK: all items; PT_MORE; PT_PARKED: the claim is too
 * narrow; or an error in txn->error. */
enum pt_outcome pt__plan(struct pt_txn *txn, int64_t *left);

/* commit.c: the same for the commit. PT_OK or PT_MORE. */
enum pt_outcome pt__commit(struct pt_txn *txn, int64_t *left);
/* Discharges, takes apart and retires what is owed, within *left; true when nothing is left over.
 */
bool pt__settle(struct pt_txn *txn, int64_t *left);
void pt__flush(struct pt_txn *txn);
/* Writes the item's outcome from what was counted since it began. */
void pt__finish_item(struct pt_txn *txn);
/* Sets the transaction to its first item. */
void pt__rewind(struct pt_txn *txn);

/* Links a table below an invalid entry; where the entry reaches out of the claim, others may do so
 * too: false, and nothing is linked. */
bool pt__link_table(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		    struct pt_pa table);

/* commit_map.c, commit_clear.c (UNMAP), commit_rewrite.c (kinds that pt__next() knows),
 * commit_annotate.c, commit_flush.c: act on the entry or run at txn->cursor. */
void pt__commit_map(struct pt_txn *txn, const struct pt__range *r, int64_t *left);
void pt__commit_clear(struct pt_txn *txn, const struct pt__range *r, int64_t *left);
void pt__commit_annotate(struct pt_txn *txn, const struct pt__range *r, int64_t *left);
void pt__commit_flush(struct pt_txn *txn, const struct pt__range *r, int64_t *left);
void pt__commit_rewrite(struct pt_txn *txn, const struct pt__range *r, int64_t *left);
/* Writes the invalid `value` over a run of leaves, holes and counted invalid entries (B8), up to
 * the next table or the item's end. Owes and counts what it removes; returns how many entries it
 * passed. */
uint64_t pt__clear_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		       pt_pte value, uint64_t *removed);
/* The annotation of the granule at the cursor, and the same over a run with what each is due. */
PT__INLINE pt_pte pt__annotation(const struct pt_txn *txn, const struct pt__range *r)
{
	return r->attrs + ((txn->cursor - r->start) >> r->gs) * r->rise;
}
uint64_t pt__annotate_run(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
			  uint64_t *removed);
/* Takes the hint off the group around the cursor, or replaces the block there by a table of the
 * same mappings (see contiguous.h, resize.h); the group of such a block is unfolded first. */
void pt__unfold_at(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		   int64_t *left);
void pt__split(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at);

/* apart.c: unlinked subtrees. `holes`: count their empty entries as holes. */
#define PT__UNLINKED_MAX                                                                           \
	3 /* plus one path of five tables below the last: sizeof unlinked_tables                   \
	   */
void pt__unlink(struct pt_txn *txn, const struct pt__range *r, pt_pte entry, int level, bool holes);
void pt__apart(struct pt_txn *txn, int64_t *left);

#endif
