/* SPDX-License-Identifier: BSD-2-Clause */
/* Unlinked subtrees: counted and turned into a list of pages to retire, in bounded steps. */
#include "range.h"

/*
 * txn->unlinked_tables is a stack: a few roots, and above the last of them the path to the table
 * being read. A word holds the table's unit in the pool (31:0), the next index to read (47:32), the
 * level + 1 (50:48) and whether empty entries are holes (51). Nothing is written to an unlinked
 * table before its grace period (C7).
 */
#define WORD_INDEX_SHIFT 32
#define WORD_LEVEL_SHIFT 48
#define WORD_HOLES	 (UINT64_C(1) << 51)

static uint64_t pack(const struct pt_ctx *ctx, pt_pte entry, int level, bool holes)
{
	struct pt_page page = pt_pa_page(ctx->machine->port, pt_pte_to_oa(&ctx->geo, entry));

	return page.off >> PT_POOL_UNIT_SHIFT | (uint64_t)(level + 1) << WORD_LEVEL_SHIFT |
	       (holes ? WORD_HOLES : 0);
}

static struct pt_page page_of(uint64_t word)
{
	return (struct pt_page){(word & UINT32_MAX) << PT_POOL_UNIT_SHIFT};
}

static int level_of(uint64_t word)
{
	return (int)(word >> WORD_LEVEL_SHIFT & 7) - 1;
}

void pt__unlink(struct pt_txn *txn, const struct pt__range *r, pt_pte entry, int level, bool holes)
{
	txn->unlinked_tables[txn->unlinked_count++] = pack(r->ctx, entry, level, holes);
}

static void count_leaves(struct pt_effects *fx, const struct pt_geometry *g, int level,
			 uint64_t leaves, uint64_t empty, bool holes)
{
	fx->leaves_removed += leaves;
	if (holes)
		fx->holes += empty << (pt_level_shift(g, level) - g->granule_shift);
}

/* Valid entries of a last-level table. Alone, nobody's hardware walk can be in it: plain loads. */
static uint64_t valid_in(const pt_pte *slot, unsigned entries, bool alone)
{
	uint64_t valid = 0;

	if (alone) {
		for (unsigned i = 0; i < entries; i++)
			valid += pt_pte_private(slot + i) & PT_PTE_VALID;
		return valid;
	}
	for (unsigned i = 0; i < entries; i++)
		valid += pt_pte_load(slot + i) & PT_PTE_VALID;
	return valid;
}

/* The leaves of a table that was unlinked and flushed, up to its first child table. */
static void clean_leaves(const struct pt_ctx *ctx, const pt_pte *slot, int level, unsigned i,
			 unsigned entries)
{
	unsigned shift = pt_level_shift(&ctx->geo, level);

	for (uint64_t n; i < entries; i += (unsigned)n) {
		pt_pte e = pt_pte_load(slot + i);

		n = 1;
		if (pt_pte_is_table(e, level))
			return;
		if (!pt_pte_valid(e) || !pt__gone_cleans(ctx, e))
			continue;
		n = pt__piece(slot + i, e, entries - i, shift);
		pt__clean_gone(ctx, e, n, shift);
	}
}

/* Reads the table on top of the stack up to its first child table, or to its end. */
static void read_top(struct pt_txn *txn, const struct pt_ctx *ctx, bool alone, int64_t *left)
{
	const struct pt_geometry *g = &ctx->geo;
	uint64_t *top = &txn->unlinked_tables[txn->unlinked_count - 1];
	const pt_pte *slot = pt__table(ctx, pt_page_pa(ctx->machine->port, page_of(*top)).v);
	unsigned entries = pt_table_entries(g), i = (unsigned)(*top >> WORD_INDEX_SHIFT & 0xffff);
	unsigned from = i;
	int level = level_of(*top);
	bool holes = *top & WORD_HOLES;
	uint64_t leaves = 0;

	if (pt_port_has_caches(ctx->machine->port) && !txn->teardown)
		clean_leaves(ctx, slot, level, i, entries);
	if (level == PT_LEVEL_LAST) {
		leaves = valid_in(slot, entries, alone);
		i = entries;
	}
	for (; i < entries; i++) {
		pt_pte e = pt_pte_load(slot + i);

		if (pt_pte_is_table(e, level)) {
			count_leaves(&txn->effects, g, level, leaves, i - from - leaves, holes);
			*left -= i - from + 1;
			*top &= ~(UINT64_C(0xffff) << WORD_INDEX_SHIFT);
			*top |= (uint64_t)(i + 1) << WORD_INDEX_SHIFT;
			txn->unlinked_tables[txn->unlinked_count++] =
				pack(ctx, e, level + 1, holes);
			return;
		}
		leaves += pt_pte_valid(e);
	}
	count_leaves(&txn->effects, g, level, leaves, i - from - leaves, holes);
	*left -= i - from + 1;
	pt_pages_push(&txn->agent->world->pool, &txn->unlinked, page_of(*top));
	txn->unlinked_count--;
	txn->effects.tables_freed++;
}

void pt__apart(struct pt_txn *txn, int64_t *left)
{
	const struct pt_ctx *ctx = txn->claim.ctx;
	bool alone = !pt_item_needs_grace(ctx->machine, txn->agent);

	while (txn->unlinked_count && *left > 0)
		read_top(txn, ctx, alone, left);
}
