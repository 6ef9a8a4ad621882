/* SPDX-License-Identifier: BSD-2-Clause */
/* What could become a block, or go: looked at without changing anything. */
#include "resize.h"

/*
 * Bits that hardware writes, and in which the leaves of a block or group may differ: the whole has
 * their OR. With DBM a leaf is writable whatever S2AP[1] says, which holds the dirty state then.
 */
static pt_pte hardware_bits(pt_pte leaf)
{
	return PT_PTE_AF | (leaf & PT_PTE_DBM ? PT_PTE_S2AP_W : 0);
}

pt_pte pt__fold_block(const struct pt_ctx *ctx, pt_pte table, int level)
{
	const struct pt_geometry *g = &ctx->geo;
	const pt_pte *slot = pt__table(ctx, pt_pte_to_oa(g, table).v);
	uint64_t size = pt_level_size(g, level + 1);
	unsigned entries = pt_table_entries(g);
	pt_pte first = pt_pte_load(slot), any = first, unite = hardware_bits(first), attrs;
	uint64_t oa = pt_pte_to_oa(g, first).v;

	if (!pt_pte_is_leaf(first, level + 1) || oa & (pt_level_size(g, level) - 1))
		return 0;
	attrs = first & ~(pt_oa_mask(g) | PT_PTE_CONTIGUOUS | PT_PTE_TYPE);
	for (unsigned i = 1; i < entries; i++) {
		pt_pte e = pt_pte_load(slot + i);
		pt_pte want = pt_leaf(g, pt_pa(oa + i * size), attrs, level + 1);

		if ((e ^ want) & ~(unite | PT_PTE_CONTIGUOUS))
			return 0;
		any |= e;
	}
	return pt_leaf(g, pt_pa(oa), attrs | (any & unite), level);
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

bool pt__slots_allow(struct pt_ctx *ctx, uint64_t base, int level)
{
	const struct pt_slot *slot = pt_slot_find(pt_ctx_slots(ctx), base);
	unsigned shift = pt_level_shift(&ctx->geo, level);

	return !slot || (slot->backing_shift >= shift && !(slot->flags & PT_SLOT_LOG_DIRTY));
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

bool pt__could_fold(struct pt_ctx *ctx, uint64_t ipa, int level)
{
	uint64_t mask = pt_level_size(&ctx->geo, level) - 1;
	struct pt__at at;

	if (level < ctx->geo.min_block_level || level < ctx->geo.start_level)
		return false;
	pt__descend(ctx, ipa, level, ctx->geo.granule_shift, &at);
	if (at.level != level || !pt_pte_is_table(at.entry, level))
		return false;
	return looks_full(ctx, pt__table(ctx, pt_pte_to_oa(&ctx->geo, at.entry).v), level + 1) &&
	       pt__slots_allow(ctx, ipa & ~mask, level) && pt__fold_block(ctx, at.entry, level);
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
 * first entry is a table: those go, if at all, after this one. *past: what there is to skip.
 */
static uint32_t look(struct pt_upkeep_find *find, uint64_t *past)
{
	struct pt_ctx *ctx = find->ctx;
	int level = ctx->geo.start_level;
	struct pt__at at;

	for (;; level++) {
		uint64_t mask = pt_level_size(&ctx->geo, level) - 1;
		uint32_t kind = 0;

		*past = mask + 1 - (find->at & mask);
		pt__descend(ctx, find->at, level, ctx->geo.granule_shift, &at);
		if (!pt_pte_is_table(at.entry, at.level))
			return 0;
		if (!(find->at & mask) && find->last - find->at >= mask)
			kind = removable(ctx, find->at, &at);
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
	while (find->at <= find->last && left > 0) {
		uint64_t past;
		uint32_t kind = look(find, &past);

		if (find->kind && kind != find->kind)
			return PT_OK;
		if (kind && !find->kind)
			find->ipa = pt_ipa(find->at);
		find->kind = kind;
		find->size += kind ? past : 0;
		if (find->last - find->at < past)
			past = find->last - find->at + 1;
		find->at += past;
		left -= pt_table_entries(&find->ctx->geo);
	}
	if (find->kind)
		return PT_OK;
	return find->at <= find->last ? PT_MORE : PT_HOLE;
}
