/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shadows of a canonical context without a guest hypervisor: leaves are made by hand, in the order
 * of a fill (docs/nested.md), so that canonical changes have something to find.
 */
#ifndef TESTS_UNIT_NESTED_FIXTURE_H
#define TESTS_UNIT_NESTED_FIXTURE_H

#include "core.h"
#include "sweep.h"

#include "../../lib/nested/internal.h"
#include "../../lib/txn/internal.h"

#define NESTED_SCOPE 4712 /* sweep_arm() */
#define SHADOWS	     80u

struct nest {
	struct core c; /* c.ctx is the canonical one */
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[16], number[SHADOWS];
	struct pt_shadow shadow[SHADOWS];
	uint32_t shadows;
	uint64_t used; /* of the pool, before the shadows */
};

static inline void nest_open_bytes(struct nest *n, const struct shape *shape, uint64_t bytes,
				   bool mmu)
{
	memset(n, 0, sizeof(*n));
	core_open_bytes(&n->c, shape, bytes, mmu);
	n->nested = (struct pt_nested){.canonical = &n->c.ctx,
				       .bucket = n->bucket,
				       .buckets = 16,
				       .shadow = n->number,
				       .shadows = SHADOWS};
	ASSERT_OUTCOME(PT_OK, pt__links_init(&n->nested, UINT64_MAX, NESTED_SCOPE));
}

static inline void nest_open(struct nest *n, const struct shape *shape, bool mmu)
{
	nest_open_bytes(n, shape, UINT64_C(256) << 20, mmu);
}

/* No vCPU has run it. */
static inline struct pt_shadow *nest_idle_shadow(struct nest *n, const struct shape *shape)
{
	struct pt_shadow *s = &n->shadow[n->shadows];
	struct pt_geometry geo;

	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &shape->args));
	pt_section_begin(&n->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_ctx_init(&s->ctx, &n->c.agent, &n->c.machine, &geo, PT_ATTR_FWB, 0,
					  UINT64_MAX));
	pt_section_end(&n->c.agent);
	pt_port_note(PT_EVENT_SHADOW, 0, &n->c.ctx, &s->ctx, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&s->ctx, PT__SW_GUEST_LEVEL, PT_SW_GUEST_LEVEL));
	s->nested = &n->nested;
	s->number = n->shadows;
	pt__directory_init(s);
	atomic_store(&n->number[n->shadows++], s);
	return s;
}

static inline struct pt_shadow *nest_shadow(struct nest *n, const struct shape *shape)
{
	struct pt_shadow *s = nest_idle_shadow(n, shape);

	pt_section_begin(&n->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&s->ctx, &n->c.agent));
	pt_section_end(&n->c.agent);
	return s;
}

/* The entry of a spot, with what is claimed: CLAIM in it. PT_OK, PT_RACED: it is not empty; or what
 * a table cost. */
static inline enum pt_outcome nest_claim(struct pt_agent *agent, struct pt__spot spot,
					 pt_pte **slot)
{
	struct pt_ctx *ctx = &spot.shadow->ctx;
	struct pt__chain chain;
	enum pt_outcome outcome;
	struct pt__at at;
	pt_pte old = 0;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, spot.ipa.v, spot.level, 12, &at),
		       pt__descend(ctx, spot.ipa.v, spot.level, 14, &at),
		       pt__descend(ctx, spot.ipa.v, spot.level, 16, &at));
	*slot = at.slot;
	if (at.entry)
		return PT_RACED;
	if (at.level == spot.level)
		return pt_pte_cas(at.slot, &old, PT__CLAIM) ? PT_OK : PT_RACED;
	outcome = pt__chain_build(agent, ctx, spot.ipa.v, at.level, spot.level, PT__CLAIM, &chain);
	if (outcome != PT_OK)
		return outcome;
	*slot = chain.used[0];
	if (pt_pte_cas(at.slot, &old, chain.head))
		return PT_OK;
	pt__chain_drop(agent, ctx, &chain);
	return PT_RACED;
}

static inline struct pt__spot nest_spot(struct pt_shadow *s, uint64_t ipa, int level)
{
	return (struct pt__spot){s, pt_ipa(ipa), (uint8_t)pt_level_shift(&s->ctx.geo, level),
				 (int8_t)level};
}

/* Does the canonical context say that [canonical, + 2^shift) is memory from `pa` on? */
static inline bool nest_says(struct pt_ctx *ctx, uint64_t canonical, unsigned shift, uint64_t *pa,
			     pt_pte *leaf)
{
	struct pt__at at;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, canonical, PT_LEVEL_LAST, 12, &at),
		       pt__descend(ctx, canonical, PT_LEVEL_LAST, 14, &at),
		       pt__descend(ctx, canonical, PT_LEVEL_LAST, 16, &at));
	*leaf = at.entry;
	if (!pt_pte_valid(at.entry) || at.shift < shift)
		return false;
	*pa = pt_pte_to_oa(&ctx->geo, at.entry).v + (canonical & ((UINT64_C(1) << at.shift) - 1));
	return true;
}

/* To the checker: the guest's leaf is as large as the shadow's, and grants the same. */
static inline void nest_note_leaf(struct pt__spot spot, uint64_t canonical, uint32_t prot)
{
	pt_port_note(PT_EVENT_FILL_LEAF,
		     (prot & PT_PROT_RWX) | 3u << 8 | (uint32_t)spot.shift << 16, NULL,
		     &spot.shadow->ctx, spot.ipa.v, canonical);
	(void)spot, (void)canonical, (void)prot;
}

static inline enum pt_outcome nest_fill_as(struct pt_agent *agent, struct pt__spot spot,
					   uint64_t canonical, uint32_t prot)
{
	struct pt_shadow *s = spot.shadow;
	struct pt_ctx *ctx = s->nested->canonical;
	uint64_t last = canonical + (UINT64_C(1) << spot.shift) - 1, pa, again;
	pt_pte leaf, now, old = PT__CLAIM, *slot;
	struct pt__entering link = {.spot = spot, .canonical = pt_ipa(canonical)};
	enum pt_outcome outcome;

	pt_machine_use(ctx->machine, agent);
	if (!nest_says(ctx, canonical, spot.shift, &pa, &leaf))
		return PT_NOT_MAPPED;
	outcome = pt__link_reserve(&link, agent);
	if (outcome != PT_OK)
		return outcome;
	outcome = nest_claim(agent, spot, &slot);
	if (outcome != PT_OK) {
		pt__link_unreserve(&link, agent);
		return outcome;
	}
	prot &= pt_leaf_prot(&ctx->geo, leaf, ctx->attrs) | ~(uint32_t)PT_PROT_RWX;
	pt__link_enter(&link);
	pt_port_fence_full();
	nest_note_leaf(spot, canonical, prot);
	if (nest_says(ctx, canonical, spot.shift, &again, &now) && again == pa && now == leaf &&
	    pt__admit(ctx, canonical, last) == PT_OK &&
	    pt_pte_cas(slot, &old,
		       pt_leaf(&s->ctx.geo, pt_pa(pa),
			       pt_leaf_attrs(&s->ctx.geo, prot, s->ctx.attrs) |
				       (pt_pte)3 << PT_PTE_SW_SHIFT,
			       spot.level))) {
		atomic_fetch_add(&s->leaves[4], 1);
		return PT_MAPPED;
	}
	pt__link_leave(spot, agent);
	pt_pte_store_release(slot, 0);
	return PT_RACED;
}

/* One fill. PT_MAPPED, or why not; nothing is left then. In a section. */
static inline enum pt_outcome nest_fill_in(struct pt_agent *agent, struct pt__spot spot,
					   uint64_t canonical, uint32_t prot)
{
	enum pt_outcome outcome;

	pt_port_note(PT_EVENT_FILL, 0, NULL, &spot.shadow->ctx, 0, 0);
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, agent, &spot.shadow->ctx, (uintptr_t)agent, 0);
	outcome = nest_fill_as(agent, spot, canonical, prot);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, agent, &spot.shadow->ctx, outcome, 0);
	return outcome;
}

static inline enum pt_outcome nest_fill(struct nest *n, struct pt_shadow *s, uint64_t ipa,
					uint64_t canonical, int level, uint32_t prot)
{
	enum pt_outcome outcome;

	pt_section_begin(&n->c.agent);
	outcome = nest_fill_in(&n->c.agent, nest_spot(s, ipa, level), canonical, prot);
	pt_section_end(&n->c.agent);
	return outcome;
}

/* The leaf at `ipa`, or 0; there is nothing else at rest. */
static inline pt_pte nest_leaf(struct nest *n, struct pt_shadow *s, uint64_t ipa)
{
	struct pt__at at;

	(void)n;
	PT__BY_GRANULE(&s->ctx.geo, pt__descend(&s->ctx, ipa, PT_LEVEL_LAST, 12, &at),
		       pt__descend(&s->ctx, ipa, PT_LEVEL_LAST, 14, &at),
		       pt__descend(&s->ctx, ipa, PT_LEVEL_LAST, 16, &at));
	assert_true(!at.entry || pt_pte_valid(at.entry));
	return at.entry;
}

static inline uint64_t nest_leaves(const struct nest *n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n->shadows; i++)
		for (unsigned level = 0; level < PT_LEVELS; level++)
			sum += atomic_load(&n->shadow[i].leaves[level]);
	return sum;
}

/* Every leaf of a shadow goes. In a section. */
static inline void nest_empty(struct nest *n, struct pt_shadow *s)
{
	struct pt__kills kills = {.agent = &n->c.agent};
	uint64_t last = (UINT64_C(1) << s->ctx.geo.ipa_bits) - 1;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, &kills, &s->ctx, (uintptr_t)&n->c.agent, 0);
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++) {
		int64_t left = INT64_MAX;
		uint64_t ipa = 0;
		struct pt__spot spot;

		while (pt__link_next(s, class, &ipa, last, &left, &spot))
			pt__kill(&kills, spot, UINT64_MAX);
	}
	pt__kills_finish(&kills);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, &kills, &s->ctx, PT_UNMAPPED, 0);
}

/* Every leaf of every shadow goes, and then the shadows; and every byte is back. */
static inline void nest_close(struct nest *n)
{
	struct pt_txn txn;

	pt_section_begin(&n->c.agent);
	for (uint32_t i = 0; i < n->shadows; i++)
		nest_empty(n, &n->shadow[i]);
	pt_section_end(&n->c.agent);
	assert_int_equal(0, nest_leaves(n));
	for (uint32_t i = 0; i < n->shadows; i++) {
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &n->shadow[i].ctx, NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &n->c.agent, 1000));
	}
	while (pt_reclaim(&n->c.agent))
		continue;
	core_close(
		&n->c); /* the pool is empty: no page of links or heads is left but inexact ones */
}

#endif
