/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit of an ANNOTATE item: an invalid descriptor on every granule, the same or a rising one. */
#include "range.h"

/* Apart, since one value for all takes half the instructions. */
static void fill(pt_pte *slot, uint64_t n, pt_pte value, pt_pte rise)
{
	for (uint64_t i = 0; !rise && i < n; i++)
		pt_pte_init(slot + i, value);
	for (uint64_t i = 0; rise && i < n; i++)
		pt_pte_init(slot + i, value + i * rise);
}

/* Below an invalid entry: a table, whose annotations are written before it is linked. */
static void add_table(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		      int64_t *left)
{
	struct pt_page page = pt__reserved(txn);
	struct pt_pa pa = pt_page_pa(r->ctx->machine->port, page);
	int level = at->level + 1;
	pt_pte *slot =
		pt__table(r->ctx, pa.v) + pt_level_index(&r->ctx->geo, pt_ipa(txn->cursor), level);
	uint64_t n = level == PT_LEVEL_LAST ? pt__run(r, txn->cursor, level, at->level) : 0;

	fill(slot, n, pt__annotation(txn, r), r->rise);
	*left -= pt__new_table(n);
	if (!pt__link_table(txn, r, at, pa)) {
		pt_port_zero(slot, n * sizeof(*slot)); /* zero again (A2); then look again */
		pt_pages_push(&txn->agent->world->pool, &txn->reserved, page);
		return;
	}
	txn->effects.tables_added++;
	txn->effects.annotated += n;
	if (n)
		pt__advance(txn, r, level, n, left);
}

/* A run of blocks gives way to tables: invalid and flushed before they are linked (W5, W8). Whoever
 * comes by meanwhile waits for the claim. */
static void clear_blocks(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
			 int64_t *left)
{
	uint64_t removed;

	*left -= (int64_t)pt__clear_run(txn, r, at, 0, &removed);
	pt__flush(txn);
}

void pt__commit_annotate(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	struct pt__at at;
	uint64_t n, removed;

	pt__descend(r->ctx, txn->cursor, PT_LEVEL_LAST, r->gs, &at);
	if (pt__cuts_group(r, txn->cursor, &at)) {
		pt__unfold_at(txn, r, &at, left);
	} else if (at.level == PT_LEVEL_LAST) {
		n = r->rise ? pt__annotate_run(txn, r, &at, &removed)
			    : pt__clear_run(txn, r, &at, r->attrs, &removed);
		txn->effects.annotated += n;
		pt__advance(txn, r, at.level, n, left);
	} else if (!pt_pte_valid(at.entry)) {
		add_table(txn, r, &at, left);
	} else if (pt__whole(r, txn->cursor, at.level)) {
		clear_blocks(txn, r, &at, left);
	} else {
		pt__split(txn, r, &at);
		--*left;
	}
}
