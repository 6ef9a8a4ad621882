/* SPDX-License-Identifier: BSD-2-Clause */
/* The visitor: an iterative, resumable walk over a range. */
#include <pt/walk.h>

#include "inline.h"

/*
 * A walk keeps nothing but an address between calls, and descends from the root again when it is
 * resumed: no table pointer outlives a section. A call therefore ends only after an advance, never
 * between a table's PRE visit and its first child, so that each visit happens once.
 */
struct path {
	struct pt_walk_entry at[PT_LEVELS]; /* index: level - start level */
	unsigned depth;
};

static uint64_t span(const struct pt_ctx *ctx, int level)
{
	return pt_level_size(&ctx->geo, level);
}

static void enter(const struct pt_walker *walker, struct path *path, uint64_t table, int level)
{
	const struct pt_ctx *ctx = walker->ctx;
	struct pt_walk_entry *at = &path->at[path->depth];

	at->table = pt_pa(table);
	at->level = (int8_t)level;
	at->start = walker->start;
	at->end = walker->last;
	at->index = pt_level_index(&ctx->geo, pt_ipa(walker->at), level);
	at->slot = pt__table(ctx, table) + at->index;
	at->entry = pt_pte_load(at->slot);
	at->ipa = walker->at & ~(span(ctx, level) - 1);
}

/* Calls the visitor if it wants this visit, and reads the entry again. */
static enum pt_walk_next visit(const struct pt_walker *walker, struct pt_walk_entry *at,
			       enum pt_visit what)
{
	enum pt_walk_next next;

	if (!(walker->visits & what))
		return PT_WALK_ON;
	at->visit = (uint8_t)what;
	next = walker->visit(at, walker->arg);
	if (what != PT_VISIT_TABLE_POST)
		at->entry = pt_pte_load(at->slot);
	return next;
}

/* The first visit of an entry: PRE for a table that begins here, LEAF for anything else. */
static enum pt_walk_next arrive(const struct pt_walker *walker, struct pt_walk_entry *at)
{
	if (pt_pte_is_table(at->entry, at->level)) {
		if (walker->at == walker->start || walker->at == at->ipa)
			return visit(walker, at, PT_VISIT_TABLE_PRE);
		return PT_WALK_ON;
	}
	if (at->level < walker->skip_above)
		return PT_WALK_ON;
	return visit(walker, at, PT_VISIT_LEAF);
}

/* Past this entry, and with POST past every table that ends there. False: stopped. */
static bool leave(struct pt_walker *walker, struct path *path)
{
	const struct pt_walk_entry *at = &path->at[path->depth];

	walker->at = at->ipa + span(walker->ctx, at->level);
	while (path->depth) {
		struct pt_walk_entry *up = &path->at[path->depth - 1];

		if (walker->at <= walker->last &&
		    walker->at != up->ipa + span(walker->ctx, up->level))
			break;
		path->depth--;
		if (visit(walker, up, PT_VISIT_TABLE_POST) == PT_WALK_STOP)
			return false;
	}
	return true;
}

/* From a table's entry down, or on to the next one. False: stopped. */
static bool step(struct pt_walker *walker, struct path *path, bool *down)
{
	struct pt_walk_entry *at = &path->at[path->depth];
	enum pt_walk_next next = arrive(walker, at);

	*down = false;
	if (next == PT_WALK_STOP)
		return false;
	if (next != PT_WALK_SKIP && pt_pte_is_table(at->entry, at->level)) {
		uint64_t table = pt_pte_to_oa(&walker->ctx->geo, at->entry).v;

		*down = true;
		path->depth++;
		enter(walker, path, table, path->at[path->depth - 1].level + 1);
		return true;
	}
	if (!leave(walker, path))
		return false;
	if (walker->at <= walker->last)
		enter(walker, path, path->at[path->depth].table.v, path->at[path->depth].level);
	return true;
}

enum pt_outcome pt_walk(struct pt_walker *walker, uint32_t budget)
{
	struct pt_ctx *ctx = walker->ctx;
	struct path path;

	if (walker->last >> ctx->geo.ipa_bits)
		return PT_OUT_OF_RANGE;
	if (walker->at > walker->last)
		return PT_OK;
	/* A resumed walk passes silently through the tables that it is in (see arrive()). */
	path.depth = 0;
	enter(walker, &path, ctx->root.v, ctx->geo.start_level);
	for (;;) {
		bool down;

		if (!step(walker, &path, &down))
			return PT_OK;
		if (walker->at > walker->last)
			return PT_OK;
		if (budget)
			budget--;
		if (!budget && !down)
			return PT_MORE;
	}
}
