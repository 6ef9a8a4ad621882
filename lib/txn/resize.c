/* SPDX-License-Identifier: BSD-2-Clause */
/* The one place where a mapping changes its size while its translation stays: block to table and
 * back. */
#include "resize.h"

/*
 * FEAT_BBM (Arm ARM D8.16.2) says how live entries may change their size only:
 *
 *   level 0  break, invalidate, make
 *   level 1  the block gets nT, which keeps it from clashing in a TLB; invalidate; then block and
 * table change places live level 2  they change places live
 *
 * At 1 and 2 the last invalidation stays in the ledger: it precedes the reply, and until then a
 * vCPU may take a TLB conflict abort. A fold is always broken first where hardware updates
 * descriptors, since an update of a leaf in the table that goes would be lost, and where the leaves
 * differ in dirty state, since nothing but the size may change live.
 */

/* The tables, one below the other, into which a point operation splits a block. */
struct split_path {
	uint64_t ipa;
	int level; /* of the block */
	unsigned count;
	struct pt_page page[PT_LEVELS];
};

static bool hardware_writes(const struct pt_ctx *ctx)
{
	return ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD);
}

static void owe(const struct pt__resize *rs, uint64_t base, uint64_t bytes, int level, bool table)
{
	pt_ledger_add(rs->ledger, base, base + bytes - 1, level, table);
}

static void flush(const struct pt__resize *rs)
{
	rs->effects->tlbis += pt_ledger_discharge(rs->ledger);
}

/* The leaves of `level` that say what `block` says. Rights, memory type, access flag, DBM and
 * software bits go on (B13); block-only bits do not. */
static void fill(const struct pt_ctx *ctx, pt_pte *child, pt_pte block, int level)
{
	const struct pt_geometry *g = &ctx->geo;
	uint64_t size = pt_level_size(g, level), oa = pt_pte_to_oa(g, block).v;
	pt_pte attrs = block & ~(pt_oa_mask(g) | PT_PTE_CONTIGUOUS | PT_PTE_TYPE);
	unsigned entries = pt_table_entries(g);
	pt_pte leaf;

	oa &= ~(pt_level_size(g, level - 1) - 1);
	leaf = pt_leaf(g, pt_pa(oa), attrs, level);
	if (pt__wide(g)) {
		for (unsigned i = 0; i < entries; i++)
			pt_pte_init(child + i, pt_leaf(g, pt_pa(oa + i * size), attrs, level));
		return;
	}
	for (unsigned i = 0; i < entries; i++, leaf += size)
		pt_pte_init(child + i, leaf);
}

static void fill_page(const struct pt_ctx *ctx, struct pt_page page, pt_pte block, int level)
{
	fill(ctx, pt__table(ctx, pt_page_pa(ctx->machine->port, page).v), block, level);
}

static pt_pte linking(const struct pt_ctx *ctx, struct pt_page page)
{
	return pt_table_desc(&ctx->geo, pt_page_pa(ctx->machine->port, page));
}

/* Sets and clears bits of an entry that only hardware changes beside us, or takes it out (`bits`
 * all); returns what stood there. */
static pt_pte change(const struct pt_ctx *ctx, pt_pte *slot, pt_pte clear, pt_pte set)
{
	pt_pte old = pt_pte_load(slot);

	if (!hardware_writes(ctx)) {
		pt_pte_store(slot, (old & ~clear) | set);
		return old;
	}
	while (!pt_pte_cas(slot, &old, (old & ~clear) | set))
		pt_port_relax();
	return old;
}

static void split_broken(const struct pt__resize *rs, pt_pte *slot, uint64_t base, int level,
			 const struct pt_page *page, unsigned n)
{
	const struct pt_ctx *ctx = rs->ctx;
	pt_pte read[PT_RESIZE_BATCH];

	for (unsigned i = 0; i < n; i++) {
		read[i] = pt_pte_load(slot + i);
		fill_page(ctx, page[i], read[i], level + 1);
	}
	for (unsigned i = 0; i < n; i++) {
		pt_pte old = change(ctx, slot + i, ~UINT64_C(0), PT_PTE_LOCKED);

		if (old != read[i])
			fill_page(ctx, page[i], old, level + 1);
	}
	owe(rs, base, n * pt_level_size(&ctx->geo, level), level, false);
	flush(rs);
	for (unsigned i = 0; i < n; i++)
		pt_pte_store_release(slot + i, linking(ctx, page[i]));
}

/* What hardware sets in the block until the table stands in its place is copied, too. */
static void exchange(const struct pt_ctx *ctx, pt_pte *slot, struct pt_page page, int level)
{
	pt_pte old = pt_pte_load(slot);

	fill_page(ctx, page, old, level + 1);
	if (!hardware_writes(ctx)) {
		pt_pte_store_release(slot, linking(ctx, page));
		return;
	}
	while (!pt_pte_cas(slot, &old, linking(ctx, page)))
		fill_page(ctx, page, old, level + 1);
}

static void split_live(const struct pt__resize *rs, pt_pte *slot, uint64_t base, int level,
		       const struct pt_page *page, unsigned n)
{
	uint64_t bytes = n * pt_level_size(&rs->ctx->geo, level);

	if (rs->ctx->bbm == 1) {
		for (unsigned i = 0; i < n; i++)
			change(rs->ctx, slot + i, 0, PT_PTE_NT);
		owe(rs, base, bytes, level, false);
		flush(rs);
	}
	for (unsigned i = 0; i < n; i++)
		exchange(rs->ctx, slot + i, page[i], level);
	pt_port_fence_store(); /* what is changed in the tables is seen after them (W3) */
	owe(rs, base, bytes, level, false);
}

static void count_splits(const struct pt_ctx *ctx, struct pt_effects *effects, unsigned n)
{
	effects->blocks_split += n;
	effects->tables_added += n;
	effects->leaves_removed += n;
	effects->leaves_written += (uint64_t)n * pt_table_entries(&ctx->geo);
}

void pt__split_blocks(const struct pt__resize *rs, pt_pte *slot, uint64_t base, int level,
		      const struct pt_page *page, unsigned n)
{
	(rs->ctx->bbm ? split_live : split_broken)(rs, slot, base, level, page, n);
	count_splits(rs->ctx, rs->effects, n);
}

/* The tables that stand for `block` of `level`, of which each but the first takes the place of the
 * leaf around `ipa` in the one before. */
static void fill_path(const struct pt_ctx *ctx, const struct split_path *path, pt_pte block)
{
	for (unsigned i = 0; i < path->count; i++) {
		int level = path->level + 1 + (int)i;
		pt_pte *slot = pt__table(ctx, pt_page_pa(ctx->machine->port, path->page[i]).v) +
			       pt_level_index(&ctx->geo, pt_ipa(path->ipa), level);

		fill_page(ctx, path->page[i], block, level);
		block = pt_pte_private(slot);
		if (i + 1 < path->count)
			pt_pte_init(slot, linking(ctx, path->page[i + 1]));
	}
}

/* Puts `entry` in the place of the block that the tables were filled from. */
static bool take_block(const struct pt_ctx *ctx, const struct pt__at *at,
		       const struct split_path *path, pt_pte entry)
{
	pt_pte old = at->entry;

	fill_path(ctx, path, old);
	while (!pt_pte_cas(at->slot, &old, entry)) {
		if (!pt__hw_only(at->entry, old))
			return false;
		fill_path(ctx, path, old);
	}
	return true;
}

/* Pages for the path, or none. */
static enum pt_outcome take_path(struct pt_agent *agent, struct pt_ctx *ctx, unsigned count,
				 struct split_path *path)
{
	enum pt_outcome outcome = PT_OK;

	while (path->count < count && outcome == PT_OK) {
		outcome = pt__page_get(agent, ctx, &path->page[path->count]);
		path->count += outcome == PT_OK;
	}
	while (path->count && outcome != PT_OK)
		pt__page_put(agent, ctx, path->page[--path->count]);
	return outcome;
}

static void drop_path(struct pt_agent *agent, struct pt_ctx *ctx, struct split_path *path)
{
	while (path->count--) {
		struct pt_page page = path->page[path->count];

		pt_port_zero(pt__table(ctx, pt_page_pa(ctx->machine->port, page).v),
			     UINT64_C(1) << ctx->geo.granule_shift);
		pt__page_put(agent, ctx, page);
	}
}

enum pt_outcome pt__split_point(struct pt_agent *agent, struct pt_ctx *ctx, uint64_t ipa,
				const struct pt__at *at, int to, struct pt_effects *effects)
{
	struct split_path path = {.ipa = ipa, .level = at->level};
	uint64_t mask = (UINT64_C(1) << at->shift) - 1;
	bool live = ctx->bbm == 2;
	enum pt_outcome outcome;

	if (pt__admit(ctx, ipa & ~mask, ipa | mask) != PT_OK)
		return PT_RACED;
	outcome = take_path(agent, ctx, (unsigned)(to - at->level), &path);
	if (outcome != PT_OK)
		return outcome;
	if (!take_block(ctx, at, &path, live ? linking(ctx, path.page[0]) : PT_PTE_LOCKED)) {
		drop_path(agent, ctx, &path);
		return PT_RACED;
	}
	effects->tlbis += pt__tlbi_leaf(ctx, ipa, at->level);
	if (!live)
		pt_pte_store_release(at->slot, linking(ctx, path.page[0]));
	count_splits(ctx, effects, path.count);
	return PT_OK;
}

static void fold_broken(const struct pt__resize *rs, const struct pt_upkeep_fold *fold, unsigned n)
{
	const struct pt_ctx *ctx = rs->ctx;

	for (unsigned i = 0; i < n; i++) {
		pt_pte_store(fold[i].slot, PT_PTE_LOCKED);
		owe(rs, fold[i].base, pt_level_size(&ctx->geo, fold[i].level), fold[i].level, true);
	}
	flush(rs);
	for (unsigned i = 0; i < n; i++) {
		/* Since the flush nothing reaches the table: what hardware has set is final. */
		bool equal;
		pt_pte block = hardware_writes(ctx)
				       ? pt__fold_block(ctx, fold[i].table, fold[i].level, &equal)
				       : fold[i].block;

		pt_pte_store_release(fold[i].slot, block);
	}
}

static void fold_live(const struct pt__resize *rs, const struct pt_upkeep_fold *fold, unsigned n)
{
	const struct pt_ctx *ctx = rs->ctx;
	bool mark = ctx->bbm == 1;

	for (unsigned i = 0; i < n; i++) {
		pt_pte_store_release(fold[i].slot, fold[i].block | (mark ? PT_PTE_NT : 0));
		owe(rs, fold[i].base, pt_level_size(&ctx->geo, fold[i].level), fold[i].level, true);
	}
	if (!mark)
		return;
	flush(rs);
	for (unsigned i = 0; i < n; i++)
		pt_pte_store(fold[i].slot, fold[i].block);
}

void pt__fold_tables(const struct pt__resize *rs, const struct pt_upkeep_fold *fold, unsigned n)
{
	bool live = rs->ctx->bbm && !hardware_writes(rs->ctx);

	for (unsigned i = 0; i < n; i++)
		live = live && fold[i].equal;
	(live ? fold_live : fold_broken)(rs, fold, n);
	rs->effects->tables_freed += n;
	rs->effects->leaves_removed += (uint64_t)n * pt_table_entries(&rs->ctx->geo);
	rs->effects->leaves_written += n;
}
