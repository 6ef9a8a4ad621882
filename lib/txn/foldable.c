/* SPDX-License-Identifier: BSD-2-Clause */
/* What could become a block, or go: looked at without changing anything. */
#include "compare.h"
#include "resize.h"
#include "slot.h"

/* Bits in which the leaves of a block may differ: it has their OR, or what follows from it. */
#define UNITED (PT_PTE_AF | PT_PTE_S2AP_W | PT_PTE_DBM)

/*
 * DBM and S2AP[1] of leaves that are all writable (see <pt/dirty.h>). Nothing here is in a dirty
 * log: a leaf that one had write-protected may be written again. Where hardware keeps dirty state,
 * one dirty leaf makes the block dirty.
 */
static pt_pte united(const struct pt_ctx *ctx, pt_pte any)
{
	if (!pt__writable(any))
		return any & PT_PTE_AF;
	return pt__hw_dirty(ctx) ? any & UNITED : (any & PT_PTE_AF) | PT_PTE_S2AP_W;
}

pt_pte pt__fold_block(const struct pt_ctx *ctx, pt_pte table, int level, bool *equal)
{
	const struct pt_geometry *g = &ctx->geo;
	const pt_pte *slot = pt__table(ctx, pt_pte_to_oa(g, table).v);
	uint64_t size = pt_level_size(g, level + 1);
	unsigned entries = pt_table_entries(g);
	pt_pte first = pt_pte_load(slot), want = first, any = first, differ = 0, attrs;
	uint64_t oa = pt_pte_to_oa(g, first).v;

	if (!pt_pte_is_leaf(first, level + 1) || oa & (pt_level_size(g, level) - 1))
		return 0;
	attrs = first & ~(pt_oa_mask(g) | PT_PTE_CONTIGUOUS | PT_PTE_TYPE);
	for (unsigned i = 1; i < entries; i++) {
		pt_pte e = pt_pte_load(slot + i);

		want = pt__wide(g) ? pt_leaf(g, pt_pa(oa + i * size), attrs, level + 1)
				   : want + size;
		if ((e ^ want) & ~(UNITED | PT_PTE_CONTIGUOUS) ||
		    pt__writable(e) != pt__writable(first))
			return 0;
		any |= e;
		differ |= e ^ want;
	}
	attrs = (attrs & ~UNITED) | united(ctx, any);
	*equal = !((differ | (attrs ^ first)) & (PT_PTE_S2AP_W | PT_PTE_DBM));
	return pt_leaf(g, pt_pa(oa), attrs, level);
}

/* Every (entries / PROBES)th entry and the last say soon that a table is not full. */
#define PROBES 8

static bool looks_full(const struct pt_ctx *ctx, const pt_pte *slot, int level)
{
	unsigned entries = pt_table_entries(&ctx->geo);
	pt_pte seen = pt_pte_load(slot + entries - 1);

	for (unsigned i = 0; i < PROBES; i++)
		seen &= pt_pte_load(slot + i * (entries / PROBES));
	return pt_pte_is_leaf(seen, level);
}

/* As for a fault, which makes no block that reaches out of its slot. Of the slots that meet the
 * span only the one that begins last may hold all of it. */
static bool slots_allow(struct pt_ctx *ctx, uint64_t base, uint64_t last, unsigned shift)
{
	const struct pt_slot *slot = pt__slot_below(pt_ctx_slots(ctx), last);

	if (!slot || slot->ipa > last || slot->ipa + (slot->size - 1) < base)
		return true; /* none meets it */
	return slot->ipa <= base && slot->ipa + (slot->size - 1) >= last &&
	       slot->backing_shift >= shift && !(slot->flags & PT_SLOT_LOG_DIRTY);
}

bool pt__may_be_block(struct pt_ctx *ctx, uint64_t base, int level)
{
	uint64_t last = base + pt_level_size(&ctx->geo, level) - 1;

	return slots_allow(ctx, base, last, pt_level_shift(&ctx->geo, level)) &&
	       !pt__meets_log(pt__logs(ctx), base, last);
}

bool pt__table_empty(const struct pt_ctx *ctx, pt_pte table)
{
	const pt_pte *slot = pt__table(ctx, pt_pte_to_oa(&ctx->geo, table).v);
	unsigned entries = pt_table_entries(&ctx->geo);

	for (unsigned i = 0; i < entries; i++)
		if (pt_pte_load(slot + i))
			return false;
	return true;
}

bool pt__forced_pages(const struct pt_ctx *ctx, uint64_t base, int level, pt_pte block)
{
	uint64_t size = pt_level_size(&ctx->geo, level);

	if (!pt__owners_allow(ctx, base, base + size - 1))
		return true;
	return ctx->force_pages && ctx->force_pages(ctx->force_pages_arg, pt_ipa(base), size,
						    pt_leaf_prot(&ctx->geo, block, ctx->attrs));
}

bool pt__could_fold(struct pt_ctx *ctx, uint64_t ipa, int level)
{
	uint64_t mask = pt_level_size(&ctx->geo, level) - 1;
	struct pt__at at;
	pt_pte block;
	bool equal;

	if (level < ctx->geo.min_block_level)
		return false;
	pt__descend(ctx, ipa, level, ctx->geo.granule_shift, &at);
	if (at.level != level || !pt_pte_is_table(at.entry, level))
		return false;
	if (!looks_full(ctx, pt__table(ctx, pt_pte_to_oa(&ctx->geo, at.entry).v), level + 1) ||
	    !pt__may_be_block(ctx, ipa & ~mask, level))
		return false;
	block = pt__fold_block(ctx, at.entry, level, &equal);
	return block && !pt__forced_pages(ctx, ipa & ~mask, level, block);
}

/* What would remove the table below `at`: 0, or an enum pt_upkeep_kind. */
static uint32_t removable(struct pt_ctx *ctx, uint64_t ipa, const struct pt__at *at)
{
	const pt_pte *slot = pt__table(ctx, pt_pte_to_oa(&ctx->geo, at->entry).v);

	if (!pt_pte_load(slot))
		return pt__table_empty(ctx, at->entry) ? PT_UPKEEP_SWEEP : 0;
	return pt__could_fold(ctx, ipa, at->level) ? PT_UPKEEP_COLLAPSE : 0;
}

/*
 * The largest span that begins at find->at and whose table could go. Above it stand tables whose
 * first entry is a table: those go, if at all, after this one. *past: what there is to skip;
 * *visits: what it cost, a table unless none was there.
 */
static uint32_t look(struct pt_upkeep_find *find, uint64_t *past, uint32_t *visits)
{
	struct pt_ctx *ctx = find->ctx;
	int level = ctx->geo.start_level;
	struct pt__at at;

	for (;; level++) {
		uint64_t mask = pt_level_size(&ctx->geo, level) - 1;
		uint32_t kind = 0;

		*past = mask + 1 - (find->at & mask);
		*visits += PT_LEVELS;
		pt__descend(ctx, find->at, level, ctx->geo.granule_shift, &at);
		if (!pt_pte_is_table(at.entry, at.level))
			return 0;
		if (!(find->at & mask) && find->last - find->at >= mask) {
			kind = removable(ctx, find->at, &at);
			*visits += pt_table_entries(&ctx->geo);
		}
		if (kind || level == PT_LEVEL_LAST - 1)
			return kind;
	}
}

enum pt_outcome pt_upkeep_find(struct pt_upkeep_find *find, uint32_t budget)
{
	int64_t left = budget ? budget : 1;

	if (find->last >> find->ctx->geo.ipa_bits)
		return PT_OUT_OF_RANGE;
	find->kind = 0;
	find->size = 0;
	if (pt__is_dying(find->ctx)) /* teardown waits for a section that has not seen it */
		return PT_WRONG_STATE;
	while (find->at <= find->last && left > 0) {
		uint64_t past;
		uint32_t visits = 0, kind = look(find, &past, &visits);

		if (find->kind && kind != find->kind)
			return PT_OK;
		if (kind && !find->kind)
			find->ipa = pt_ipa(find->at);
		find->kind = kind;
		find->size += kind ? past : 0;
		if (find->last - find->at < past)
			past = find->last - find->at + 1;
		find->at += past;
		left -= visits;
	}
	if (find->kind)
		return PT_OK;
	return find->at <= find->last ? PT_MORE : PT_HOLE;
}
