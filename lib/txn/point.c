/* SPDX-License-Identifier: BSD-2-Clause */
/* Point operations: one entry, published by one compare-and-swap beside everything else. See also
 * page_point.c. */
#include "compare.h"
#include "internal.h"

/*
 * Happy path of a map: descend to the level whose span is the item's size, find it invalid, CAS the
 * leaf in. With tables missing, a private chain is linked by the same CAS into the entry where the
 * descent ended. LOCKED is an entry of somebody else between break and make (RACED). Whatever needs
 * more than one entry is PT_MORE.
 */
#define ASKS 64 /* what a point may spend on the owners of its frames, in descriptors */

struct point {
	struct pt_agent *agent;
	struct pt_item *item;
	struct pt_effects *effects;
	struct pt_error *err;
	struct pt_ctx *ctx;
};

static enum pt_outcome fail(const struct point *p, enum pt_outcome code, int level)
{
	if (p->err) {
		p->err->code = code;
		p->err->ipa = p->item->ipa;
		p->err->level = (int8_t)level;
	}
	return code;
}

/* The level whose entries span exactly the item, aligned, or PT_TTL_UNKNOWN. */
PT__INLINE int item_level(const struct pt_geometry *g, const struct pt_item *item, uint64_t align,
			  unsigned gs)
{
	int top = g->min_block_level > g->start_level ? g->min_block_level : g->start_level;
	unsigned shift = gs;

	if (PT__LIKELY(item->size == UINT64_C(1) << gs))
		return PT_LEVEL_LAST;
	for (int level = PT_LEVEL_LAST - 1; level >= top; level--) {
		shift += gs - 3;
		if (item->size == UINT64_C(1) << shift)
			return align & (item->size - 1) ? PT_TTL_UNKNOWN : level;
	}
	return PT_TTL_UNKNOWN;
}

/* The leaf that the item wants for the block or page of `shift` around its address. */
PT__INLINE pt_pte wanted(const struct point *p, pt_pte attrs, unsigned shift)
{
	uint64_t offset = p->item->ipa.v & ((UINT64_C(1) << shift) - 1);

	return attrs | pt__oa_pte(&p->ctx->geo, p->item->pa.v - offset);
}

/* The item's leaf is in its place. */
PT__INLINE enum pt_outcome written(const struct point *p)
{
	pt__dirtied(p->ctx, p->item->ipa.v, p->item->ipa.v + p->item->size - 1);
	p->effects->leaves_written++;
	return PT_MAPPED;
}

static __attribute__((noinline)) enum pt_outcome
map_with_tables(const struct point *p, const struct pt__at *at, int level, pt_pte leaf)
{
	struct pt__chain chain;
	pt_pte old = 0;
	unsigned count;
	enum pt_outcome outcome =
		pt__chain_build(p->agent, p->ctx, p->item->ipa.v, at->level, level, leaf, &chain);

	if (outcome != PT_OK)
		return fail(p, outcome, at->level);
	count = chain.count;
	if (!pt_pte_cas(at->slot, &old, chain.head)) {
		pt__chain_drop(p->agent, p->ctx, &chain);
		return PT_RACED;
	}
	p->effects->tables_added += count;
	return written(p);
}

/* Break-before-make of one entry (kvm-stage2.md 2.5): the marker keeps everybody else off between
 * the two. */
static __attribute__((noinline)) enum pt_outcome replace_leaf(const struct point *p,
							      const struct pt__at *at, pt_pte leaf)
{
	pt_pte old = at->entry;

	if (!pt__cas_out(at->slot, &old, PT_PTE_LOCKED))
		return PT_RACED;
	if (pt_pte_valid(old)) {
		p->effects->tlbis += pt__tlbi_leaf(p->ctx, p->item->ipa.v, at->level);
		p->effects->leaves_removed++;
	}
	pt__clean_for(p->ctx, p->item->prot, p->item->pa.v, p->item->size);
	pt_pte_store_release(at->slot, leaf);
	return written(p);
}

/* A map that meets a valid leaf, at its own level or above. */
static __attribute__((noinline)) enum pt_outcome
map_over(const struct point *p, const struct pt__at *at, int level, pt_pte attrs)
{
	pt_pte want = wanted(p, attrs, at->shift);
	pt_pte sw = pt__sw_mask(p->ctx);
	enum pt__match match = pt__match(at->entry, want, sw);

	if (match == PT__SAME) {
		p->effects->already++;
		return PT_ALREADY_MAPPED;
	}
	if (!(p->item->flags & PT_MAP_REPLACE))
		return match == PT__RIGHTS ? PT_PERMISSION_ONLY : fail(p, PT_OVERLAP, at->level);
	if (at->level != level || at->entry & PT_PTE_CONTIGUOUS)
		return PT_MORE; /* part of a block or group: split or unfold first */
	if (p->ctx->shadowed)
		return PT_MORE; /* what shadows have of it may be more than a step's worth */
	if (match == PT__OTHER)
		return replace_leaf(p, at, want | (level == PT_LEVEL_LAST ? PT_PTE_TYPE : 0));
	if (pt__point_change(p->item, PT_ITEM_PROTECT, want & (PT_PTE_PERM | sw), sw, at,
			     p->effects) == PT_RACED)
		return PT_RACED;
	return PT_MAPPED;
}

PT__INLINE enum pt_outcome map(const struct point *p, unsigned gs)
{
	const struct pt_geometry *g = &p->ctx->geo;
	const struct pt_item *item = p->item;
	int level = item_level(g, item, item->ipa.v | item->pa.v, gs);
	struct pt__at at;
	pt_pte attrs, leaf, old = 0;

	if (level == PT_TTL_UNKNOWN || (item->flags & PT_MAP_FORCE_PAGES && level != PT_LEVEL_LAST))
		return PT_MORE;
	if (pt__too_large_to_mark(p->ctx, item->ipa.v, item->ipa.v + item->size - 1))
		return PT_MORE; /* smaller blocks, and more than one step */
	pt__descend(p->ctx, item->ipa.v, level, gs, &at);
	if (pt_pte_is_table(at.entry, at.level))
		return PT_MORE;
	attrs = pt_leaf_attrs(g, item->prot, p->ctx->attrs);
	if (pt_pte_valid(at.entry))
		return map_over(p, &at, level, attrs);
	leaf = attrs | pt__oa_pte(g, item->pa.v) | (level == PT_LEVEL_LAST ? PT_PTE_TYPE : 0);
	if (PT__UNLIKELY(at.entry)) {
		if (pt_pte_locked(at.entry))
			return PT_RACED;
		if (!(item->flags & PT_MAP_REPLACE))
			return fail(p, PT_OVERLAP, at.level);
		return at.level == level ? replace_leaf(p, &at, leaf) : PT_MORE;
	}
	pt__clean_for(p->ctx, item->prot, item->pa.v, item->size);
	if (PT__UNLIKELY(at.level != level))
		return map_with_tables(p, &at, level, leaf);
	if (!pt_pte_cas(at.slot, &old, leaf))
		return PT_RACED;
	return written(p);
}

PT__INLINE enum pt_outcome hole(const struct point *p, unsigned gs)
{
	p->effects->holes += p->item->size >> gs;
	return PT_HOLE;
}

/* Apart, so that contexts without shadows do not pay for its calls. */
static __attribute__((noinline)) bool take_page(const struct point *p)
{
	return pt__take_page(p->ctx, p->agent, p->item->ipa.v, p->effects);
}

PT__INLINE enum pt_outcome unmap(const struct point *p, unsigned gs)
{
	int level = item_level(&p->ctx->geo, p->item, p->item->ipa.v, gs);
	struct pt__at at;

	if (level == PT_TTL_UNKNOWN)
		return PT_MORE;
	pt__descend(p->ctx, p->item->ipa.v, level, gs, &at);
	if (pt_pte_is_table(at.entry, at.level))
		return PT_MORE;
	if (!pt_pte_valid(at.entry)) {
		if (pt_pte_locked(at.entry))
			return PT_RACED;
		/* A counted invalid entry goes too (B8). */
		if (at.entry && at.level == level && !pt_pte_cas(at.slot, &at.entry, 0))
			return PT_RACED;
		return hole(p, gs);
	}
	if (at.level != level || at.entry & PT_PTE_CONTIGUOUS ||
	    (PT__UNLIKELY(p->ctx->shadowed) && level != PT_LEVEL_LAST))
		return PT_MORE;
	if (!pt__cas_out(at.slot, &at.entry, PT_PTE_LOCKED))
		return PT_RACED;
	if (PT__UNLIKELY(p->ctx->shadowed) && !take_page(p)) {
		p->effects->tlbis += pt__tlbi_leaf(p->ctx, p->item->ipa.v, level);
		pt_pte_store_release(at.slot, at.entry); /* put back, after its break (W5) */
		return PT_MORE;
	}
	p->effects->tlbis += pt__tlbi_leaf(p->ctx, p->item->ipa.v, level);
	if (pt__gone_cleans(p->ctx, at.entry))
		pt__clean_gone(p->ctx, at.entry, 1, at.shift);
	pt_pte_store_release(at.slot, 0);
	pt__was_dirty(p->ctx, at.entry, p->item->ipa.v, p->item->ipa.v + p->item->size - 1);
	p->effects->leaves_removed++;
	return PT_UNMAPPED;
}

PT__INLINE enum pt_outcome point(const struct point *p, unsigned gs)
{
	switch (p->item->kind) {
	case PT_ITEM_MAP: return map(p, gs);
	case PT_ITEM_UNMAP: return unmap(p, gs);
	case PT_ITEM_ANNOTATE: return pt__point_annotate(p->item, p->effects);
	case PT_ITEM_FLUSH: return pt__point_flush(p->item, p->effects);
	default: return pt__point_rewrite(p->item, p->effects, p->err);
	}
}

/* An item of more leaves than one is a transaction's, which asks in steps. */
static enum pt_outcome ask_owner(const struct point *p)
{
	const struct pt_item *item = p->item;
	uint64_t at = item->ipa.v, last = at + item->size - 1;
	int64_t left = ASKS;
	enum pt_outcome outcome = pt__owner_may(item, &at, last, &left);

	if (outcome == PT_OK)
		return at > last ? PT_OK : PT_MORE;
	if (outcome == PT_RACED)
		return PT_RACED;
	fail(p, outcome, PT_TTL_UNKNOWN);
	if (p->err)
		p->err->ipa = pt_ipa(at);
	return outcome;
}

enum pt_outcome pt__point(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects,
			  struct pt_error *err)
{
	struct pt_ctx *ctx = item->ctx;
	struct point p = {agent, item, effects, err, ctx};
	enum pt_outcome outcome;

	pt_machine_use(ctx->machine, agent);
	pt__ask_policy(item);
	outcome = pt__admit(ctx, item->ipa.v, item->ipa.v + item->size - 1);
	if (PT__UNLIKELY(outcome != PT_OK))
		return outcome == PT_PARKED ? outcome : fail(&p, outcome, PT_TTL_UNKNOWN);
	if (PT__UNLIKELY(ctx->owner_rules != NULL)) {
		outcome = ask_owner(&p);
		if (outcome != PT_OK)
			return outcome;
	}
	outcome = PT__BY_GRANULE(&ctx->geo, point(&p, 12), point(&p, 14), point(&p, 16));
	item->outcome = outcome;
	return outcome;
}
