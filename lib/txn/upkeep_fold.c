/* SPDX-License-Identifier: BSD-2-Clause */
/* COLLAPSE and SWEEP: tables that became needless, from the bottom up. */
#include "upkeep.h"

/*
 * The cursor passes over last-level tables, blocks and holes. Whenever it reaches the end of a
 * table's span, that table is looked at: its own tables have been folded by then, or it cannot
 * fold. What a span holds that keeps it from folding marks the spans above as dead, so that they
 * are not read in vain and the claim need not wait for them.
 */

static bool sweeping(const struct pt_upkeep *upkeep)
{
	return upkeep->args.kind == PT_UPKEEP_SWEEP;
}

/* The smallest level number whose entries may lose their table. */
static int top(const struct pt_upkeep *upkeep)
{
	const struct pt_geometry *g = &upkeep->args.ctx->geo;

	return sweeping(upkeep) ? g->start_level : g->min_block_level;
}

static uint64_t *dead(struct pt_upkeep *upkeep, int level)
{
	return &upkeep->dead[level + 1];
}

static uint64_t span(const struct pt_upkeep *upkeep, uint64_t ipa, int level)
{
	return (ipa >> pt_level_shift(&upkeep->args.ctx->geo, level)) + 1;
}

/* Nothing above `level` around `ipa` will fold. */
static void kill_above(struct pt_upkeep *upkeep, uint64_t ipa, int level)
{
	for (int l = top(upkeep); l < level; l++)
		*dead(upkeep, l) = span(upkeep, ipa, l);
}

/* May the span of `level` around `ipa` lose its table, as far as is known? */
static bool alive(const struct pt_upkeep *upkeep, uint64_t ipa, int level)
{
	uint64_t mask = pt__upkeep_mask(upkeep, level), base = ipa & ~mask;

	return base >= upkeep->args.ipa.v && (base | mask) <= upkeep->last &&
	       upkeep->dead[level + 1] != span(upkeep, ipa, level);
}

uint64_t pt__fold_keeps(const struct pt_upkeep *upkeep)
{
	uint64_t at =
		upkeep->next - upkeep->looking; /* the spans behind, while they are looked at */
	int end = upkeep->looking ? upkeep->look + 1 : PT_LEVEL_LAST;

	for (int level = top(upkeep); level < end; level++)
		if (alive(upkeep, at, level))
			return at & ~pt__upkeep_mask(upkeep, level);
	return upkeep->next;
}

/* Takes the collected tables out, all with one flush. */
static void commit(struct pt_upkeep *upkeep)
{
	struct pt_ctx *ctx = upkeep->args.ctx;
	struct pt__resize rs = {ctx, &upkeep->ledger, &upkeep->effects};
	struct pt_pool *pool = &upkeep->agent->world->pool;

	if (!upkeep->folds)
		return;
	if (sweeping(upkeep)) {
		for (uint32_t i = 0; i < upkeep->folds; i++) {
			const struct pt_upkeep_fold *f = &upkeep->fold[i];

			pt_pte_store(f->slot, 0);
			pt_ledger_add(&upkeep->ledger, f->base,
				      f->base | pt__upkeep_mask(upkeep, f->level), f->level, true);
		}
		upkeep->effects.tables_freed += upkeep->folds;
	} else {
		pt__fold_tables(&rs, upkeep->fold, upkeep->folds);
		upkeep->blocks_made += upkeep->folds;
	}
	for (uint32_t i = 0; i < upkeep->folds; i++)
		pt_pages_push(pool, &upkeep->unlinked,
			      pt_pa_page(ctx->machine->port,
					 pt_pte_to_oa(&ctx->geo, upkeep->fold[i].table)));
	upkeep->folds = 0;
}

/* Collects the table below the entry at `at`, if it can go. */
static bool collect(struct pt_upkeep *upkeep, const struct pt__at *at, uint64_t base, int64_t *left)
{
	struct pt_ctx *ctx = upkeep->args.ctx;
	struct pt_upkeep_fold *f = &upkeep->fold[upkeep->folds];

	*f = (struct pt_upkeep_fold){
		.slot = at->slot, .table = at->entry, .base = base, .level = at->level};
	/* Where hardware writes, a fold reads the table a second time. */
	*left -= (int64_t)pt_table_entries(&ctx->geo) << !(ctx->plain || ctx->ruled);
	if (sweeping(upkeep)) {
		if (!pt__table_empty(ctx, at->entry))
			return false;
	} else {
		if (!pt__may_be_block(ctx, base, at->level))
			return false;
		f->block = pt__fold_block(ctx, at->entry, at->level, &f->equal);
		if (!f->block || pt__forced_pages(ctx, base, at->level, f->block))
			return false;
	}
	if (++upkeep->folds == PT_RESIZE_BATCH)
		commit(upkeep);
	return true;
}

/* Does a span of this level end at the cursor whose table may go? */
static bool ends_here(const struct pt_upkeep *upkeep, int level)
{
	return level >= top(upkeep) && !(upkeep->next & pt__upkeep_mask(upkeep, level)) &&
	       alive(upkeep, upkeep->next - 1, level);
}

/* Looks at that table. False: nothing above it will fold. */
static bool look_behind(struct pt_upkeep *upkeep, int level, int64_t *left)
{
	const struct pt_ctx *ctx = upkeep->args.ctx;
	uint64_t last = upkeep->next - 1;
	struct pt__at at;

	/* What is collected has ascending levels: tables below this one go first. */
	if (upkeep->folds && upkeep->fold[upkeep->folds - 1].level > level)
		commit(upkeep);
	pt__descend(ctx, last, level, ctx->geo.granule_shift, &at);
	*left -= PT_LEVELS;
	if (at.level != level || !pt_pte_is_table(at.entry, level) ||
	    collect(upkeep, &at, last & ~pt__upkeep_mask(upkeep, level), left))
		return true;
	kill_above(upkeep, last, level);
	return false;
}

/* Past what is at the cursor: a last-level table as a whole, or entries up to the next table. */
static void pass(struct pt_upkeep *upkeep, int64_t *left)
{
	const struct pt_ctx *ctx = upkeep->args.ctx;
	struct pt__at at;

	pt__descend(ctx, upkeep->next, PT_LEVEL_LAST, ctx->geo.granule_shift, &at);
	*left -= PT_LEVELS;
	if (at.level == PT_LEVEL_LAST && at.level > ctx->geo.start_level) {
		pt__upkeep_pass(upkeep, at.level - 1, 1);
		return;
	}
	if (sweeping(upkeep) ? at.entry != 0 : !pt_pte_valid(at.entry))
		kill_above(upkeep, upkeep->next, at.level);
	pt__upkeep_pass(upkeep, at.level, 1);
}

enum pt_outcome pt__fold_range(struct pt_upkeep *upkeep, int64_t *left)
{
	while (*left > 0 && (upkeep->looking || upkeep->next <= upkeep->last)) {
		if (!upkeep->looking) {
			pass(upkeep, left);
			upkeep->look = PT_LEVEL_LAST - 1;
		} else if (look_behind(upkeep, upkeep->look, left)) {
			upkeep->look--;
		} else {
			upkeep->look = PT_TTL_UNKNOWN;
		}
		upkeep->looking = upkeep->look != PT_TTL_UNKNOWN && ends_here(upkeep, upkeep->look);
	}
	commit(upkeep);
	return upkeep->looking || upkeep->next <= upkeep->last ? PT_MORE : PT_OK;
}
