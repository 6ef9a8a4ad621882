/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of a shadow: two walks, and one leaf that holds as long as both say the same. */
#include "internal.h"

#include "../txn/compare.h"
#include "../txn/internal.h"

/* Where a descent ended, as far as a fill asks. */
struct met {
	pt_pte *slot, entry;
	uint8_t shift; /* log2 of the entry's span */
	int8_t level;
};

/*
 * The order of a fill stands in docs/nested.md, its steps at the lines below. A canonical change or
 * a guest's TLBI that comes after a step has to find what the step left, or be found by step 6.
 */
struct fill {
	struct pt_agent *agent;
	struct pt_shadow *shadow;
	const struct pt_nested_fault *in;
	struct pt_nested_result *out;
	uint64_t count;	 /* of invalidations, before the guest's tables were read */
	uint8_t access;	 /* READ, WRITE or EXEC */
	bool relaxes;	 /* a leaf that granted less has made room */
	struct met host; /* the canonical leaf */
	uint64_t pa;	 /* of the byte, by both */
	struct pt__both both;
	struct met at; /* the shadow's entry, before the walks */
	struct pt__entering link;
	pt_pte *slot, claim; /* where the claim stands */
};

static struct pt_ctx *canonical_of(const struct fill *f)
{
	return f->shadow->nested->canonical;
}

PT__INLINE void descend_by(const struct pt_ctx *ctx, uint64_t ipa, unsigned gs, bool wide,
			   struct met *met)
{
	struct pt__at at;

	pt__descend_in(ctx, ipa, PT_LEVEL_LAST, gs, wide, &at);
	met->slot = at.slot;
	met->entry = at.entry;
	met->shift = (uint8_t)at.shift;
	met->level = (int8_t)at.level;
}

static __attribute__((noinline)) void descend_wide(const struct pt_ctx *ctx, uint64_t ipa,
						   struct met *met)
{
	descend_by(ctx, ipa, ctx->geo.granule_shift, true, met);
}

static void descend(const struct pt_ctx *ctx, uint64_t ipa, struct met *met)
{
	if (PT__UNLIKELY(ctx->wide))
		descend_wide(ctx, ipa, met);
	else
		PT__BY_GRANULE(&ctx->geo, descend_by(ctx, ipa, 12, false, met),
			       descend_by(ctx, ipa, 14, false, met),
			       descend_by(ctx, ipa, 16, false, met));
}

/*
 * What the steps after the walks will write is asked for before: it comes from memory beside what
 * they read. The table stays to the end of the section. (An address that is none the walks refuse.)
 */
static void expect(struct fill *f)
{
	if (PT__UNLIKELY(f->in->ipa.v >> f->shadow->ctx.geo.ipa_bits))
		return;
	descend(&f->shadow->ctx, f->in->ipa.v, &f->at);
	pt_port_prefetch(f->at.slot);
	pt__link_expect(&f->link, f->shadow, f->in->ipa);
}

static enum pt_outcome of_host(struct fill *f, enum pt_outcome outcome)
{
	f->out->who = PT_NESTED_HOST;
	return outcome;
}

/* ---- the guest's walk ---- */

/* With stage 2 off there are no tables: everything is allowed, and stage 1 alone says the type. */
static void identity(struct fill *f)
{
	f->out->leaf = (struct pt_guest_leaf){
		.out = f->in->ipa,
		.entry = PT_PTE_S2AP_W,
		.prot = PT_PROT_RWX,
		.memattr = f->shadow->s2.attrs & PT_ATTR_FWB ? 7 : 0xf,
		.shift = f->shadow->ctx.geo.ipa_bits,
		.group_shift = f->shadow->ctx.geo.ipa_bits,
	};
}

static enum pt_outcome walk_guest(struct fill *f)
{
	struct pt_nested_result *out = f->out;
	enum pt_outcome outcome = PT_OK;

	pt_port_note(PT_EVENT_FILL, 0, out, &f->shadow->ctx, 0, 0);
	if (f->shadow->key.enabled)
		outcome = pt_guest_walk(&f->shadow->nested->memory, &f->shadow->s2, f->in->ipa,
					(enum pt_access)f->access, f->in->el0, &out->leaf,
					&out->fault);
	else
		identity(f);
	if (outcome == PT_DENIED)
		out->who = PT_NESTED_GUEST;
	if (outcome == PT_OK)
		out->canonical = out->leaf.out;
	return outcome;
}

/* ---- the canonical walk ---- */

static bool host_lacks(const struct fill *f, pt_pte e)
{
	const struct pt_ctx *ctx = canonical_of(f);
	uint32_t prot;

	if (!pt_pte_valid(e) || !(e & PT_PTE_AF))
		return true;
	if (f->access == PT_ACCESS_WRITE)
		return !(e & PT_PTE_S2AP_W);
	if (f->access == PT_ACCESS_READ)
		return !(e & PT_PTE_S2AP_R);
	prot = pt_leaf_prot(&ctx->geo, e, ctx->attrs);
	return !(prot & (f->in->el0 ? PT_PROT_UX : PT_PROT_PX));
}

/* A write is about to go through a leaf whose dirty state hardware keeps: it does, for a shadow has
 * none. */
static enum pt_outcome make_dirty(struct fill *f)
{
	struct pt_ctx *ctx = canonical_of(f);
	uint64_t mask = (UINT64_C(1) << f->host.shift) - 1, lo = f->out->canonical.v & ~mask;
	pt_pte old = f->host.entry;
	bool done;

	if (pt__admit(ctx, lo, lo + mask) != PT_OK)
		return PT_RACED;
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, f->out, ctx, (uintptr_t)f->agent, 0);
	done = pt_pte_cas(f->host.slot, &old, old | PT_PTE_S2AP_W);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, f->out, ctx, done ? PT_RELAXED : PT_RACED, 0);
	return done ? PT_OK : PT_RACED;
}

/* The canonical leaf is missing or lacks what the access needs. PT_OK: look again. */
static enum pt_outcome host_fault(struct fill *f)
{
	struct pt_ctx *ctx = canonical_of(f);
	const struct pt_fault fault = {.ipa = f->out->canonical,
				       .vcpu = f->in->vcpu,
				       .access = f->access,
				       .type = f->in->type,
				       .level = (int8_t)f->host.level,
				       .s1ptw = f->in->s1ptw,
				       .exec = f->in->el0 ? PT_PROT_UX : PT_PROT_PX};
	enum pt_outcome outcome;

	if (f->access == PT_ACCESS_WRITE && pt__hw_dirties(ctx, f->host.entry) &&
	    f->host.entry & PT_PTE_AF)
		return make_dirty(f);
	outcome = pt_fault_handle(f->agent, ctx, &fault, &f->out->host);
	f->out->tables_added += f->out->host.tables_added;
	switch (outcome) {
	case PT_MAPPED:
	case PT_ALREADY_MAPPED:
	case PT_RELAXED:
	case PT_MADE_YOUNG: return PT_OK;
	case PT_RACED:
	case PT_NO_MEMORY:
	case PT_QUOTA: return outcome;
	case PT_PARKED: f->out->parked = ctx; return outcome;
	default: return of_host(f, outcome);
	}
}

/* At most: install, set the access flag, give the right, make dirty. */
#define HOST_STEPS 4

static enum pt_outcome walk_host(struct fill *f)
{
	struct pt_ctx *ctx = canonical_of(f);
	uint64_t at = f->out->canonical.v;
	uint64_t page = at & ~(pt_level_size(&ctx->geo, PT_LEVEL_LAST) - 1);
	enum pt_outcome outcome;

	if (at >> ctx->geo.ipa_bits)
		return of_host(f, PT_OUT_OF_RANGE);
	pt__head_expect(&f->link, f->shadow->nested, f->out->canonical);
	outcome = pt__admit(ctx, page, page + pt_level_size(&ctx->geo, PT_LEVEL_LAST) - 1);
	if (outcome == PT_PARKED)
		f->out->parked = ctx;
	if (outcome != PT_OK)
		return outcome == PT_PARKED ? outcome : of_host(f, outcome);
	for (unsigned i = 0; outcome == PT_OK && i <= HOST_STEPS; i++) {
		descend(ctx, at, &f->host);
		if (!host_lacks(f, f->host.entry))
			return PT_OK;
		outcome = host_fault(f);
	}
	return outcome == PT_OK ? PT_RACED : outcome;
}

/* ---- the shadow's leaf ---- */

/* The leaf that both come to at a level that either could have. */
static pt_pte wanted(const struct fill *f, int level)
{
	const struct pt_shadow *s = f->shadow;
	uint64_t mask = pt_level_size(&s->ctx.geo, level) - 1;
	int guest_level = s->key.enabled ? f->out->leaf.level : level;

	return f->both.attrs | (pt_pte)guest_level << PT_PTE_SW_SHIFT |
	       pt__oa_pte(&s->ctx.geo, f->pa & ~mask) | (level == PT_LEVEL_LAST ? PT_PTE_TYPE : 0);
}

/*
 * Step 6: is all that the leaf is made of as it was? The leaf spans [lo, lo + size). The canonical
 * table is the same one: it goes only under a claim, which waits for this section.
 */
static bool unchanged(struct fill *f, uint64_t size)
{
	struct pt_ctx *ctx = canonical_of(f);
	uint64_t lo = f->out->canonical.v & ~(size - 1);

	return pt_pte_load(f->host.slot) == f->host.entry &&
	       pt__admit(ctx, lo, lo + size - 1) == PT_OK &&
	       atomic_load_explicit(&f->shadow->invalidations, memory_order_acquire) == f->count;
}

static enum pt_outcome report(struct fill *f, int level, uint32_t prot, enum pt_outcome outcome)
{
	f->out->level = (int8_t)level;
	f->out->prot = prot;
	f->out->pa = pt_pa(f->pa);
	return outcome;
}

/* No two claims of an agent are alike within a section, nor those of two agents. */
static pt_pte new_claim(const struct pt_agent *agent)
{
	uint64_t section = atomic_load_explicit(&agent->section, memory_order_relaxed);
	uint64_t payload = (section * PT_MAX_AGENTS + agent->id) << PT__CLAIM_SEQ;

	return PT__CLAIM | (payload & ~PT_PTE_INVALID_TYPE);
}

/* Step 3, where tables are missing: the claim stands at the end of new ones. */
static __attribute__((noinline)) enum pt_outcome claim_with_tables(struct fill *f)
{
	struct pt_ctx *ctx = &f->shadow->ctx;
	struct pt__chain chain;
	enum pt_outcome outcome = pt__chain_build(f->agent, ctx, f->in->ipa.v, f->at.level,
						  f->link.spot.level, f->claim, &chain);
	pt_pte old = 0;

	if (outcome != PT_OK)
		return outcome;
	f->slot = chain.used[0];
	if (pt_pte_cas(f->at.slot, &old, chain.head)) {
		f->out->tables_added += chain.count;
		return PT_OK;
	}
	pt__chain_drop(f->agent, ctx, &chain);
	return PT_RACED;
}

static enum pt_outcome claim_entry(struct fill *f)
{
	pt_pte old = 0;

	f->claim = new_claim(f->agent);
	if (PT__UNLIKELY(f->link.spot.level != f->at.level))
		return claim_with_tables(f);
	f->slot = f->at.slot;
	return pt_pte_cas(f->at.slot, &old, f->claim) ? PT_OK : PT_RACED;
}

/* Its claim was called off, by itself or by another: the entry is empty again. */
static __attribute__((noinline)) enum pt_outcome called_off(struct fill *f, pt_pte claim)
{
	pt__link_leave(f->link.spot, f->agent);
	while (!pt_pte_cas(f->slot, &claim, 0)) /* CLAIM becomes DEAD once */
		pt_port_relax();
	atomic_fetch_add_explicit(&f->shadow->nested->counts.refills, 1, memory_order_relaxed);
	return PT_RACED;
}

/* To the checker: what the leaf is made from. */
static void announce(const struct fill *f, pt_pte leaf)
{
	const struct pt_guest_leaf *guest = &f->out->leaf;
	uint32_t dirty = guest->entry & PT_PTE_S2AP_W ? PT_PROT_W : 0;

	pt_port_note(PT_EVENT_FILL_LEAF,
		     (guest->prot & (PT_PROT_RWX & ~PT_PROT_W)) | dirty |
			     (uint32_t)pt__guest_level(leaf) << 8 | (uint32_t)guest->shift << 16,
		     NULL, &f->shadow->ctx, f->link.spot.ipa.v, f->link.canonical.v);
	(void)f, (void)leaf, (void)guest, (void)dirty;
}

/* Steps 4 to 7, with the claim in its place. */
static enum pt_outcome finish(struct fill *f)
{
	struct pt_shadow *s = f->shadow;
	uint64_t size = UINT64_C(1) << f->link.spot.shift;
	int level = f->link.spot.level;
	pt_pte leaf = wanted(f, level), old = f->claim;
	_Atomic uint64_t *leaves = &s->leaves[pt__guest_level(leaf) + 1];
	uint32_t prot = pt_leaf_prot(&s->ctx.geo, leaf, s->ctx.attrs);

	announce(f, leaf);
	pt__link_enter(&f->link);
	atomic_fetch_add_explicit(leaves, 1, memory_order_relaxed); /* a TLBI looks if there are */
	pt_port_fence_cas();
	if (unchanged(f, size)) {
		pt__clean_for(&s->ctx, prot, f->pa & ~(size - 1), size);
		if (pt_pte_cas(f->slot, &old, leaf))
			return report(f, level, prot, f->relaxes ? PT_RELAXED : PT_MAPPED);
	}
	atomic_fetch_sub_explicit(leaves, 1, memory_order_relaxed);
	return called_off(f, old);
}

static enum pt_outcome install(struct fill *f)
{
	const struct pt_geometry *g = &f->shadow->ctx.geo;
	int level = f->both.level > f->at.level ? f->both.level : f->at.level;
	unsigned shift = pt_level_shift(g, level);
	enum pt_outcome outcome;

	f->link.spot.shadow = f->shadow;
	f->link.spot.ipa = pt_ipa(f->in->ipa.v >> shift << shift);
	f->link.spot.shift = (uint8_t)shift;
	f->link.spot.level = (int8_t)level;
	f->link.canonical = pt_ipa(f->out->canonical.v >> shift << shift);
	outcome = pt__link_reserve(&f->link, f->agent);
	if (outcome != PT_OK)
		return outcome;
	outcome = claim_entry(f);
	if (outcome == PT_OK)
		return finish(f);
	pt__link_unreserve(&f->link, f->agent);
	return outcome;
}

/* The leaf goes, and what TLBs hold of it. So may pages of its links, which this agent can have
 * again at once: where they were is no place to look for others. */
static __attribute__((noinline)) void remove_leaf(struct fill *f, const struct met *at)
{
	uint64_t ipa = f->in->ipa.v >> at->shift << at->shift;
	struct pt__kills kills = {.agent = f->agent};

	pt__kill(&kills,
		 (struct pt__spot){f->shadow, pt_ipa(ipa), (uint8_t)at->shift, (int8_t)at->level},
		 UINT64_MAX);
	pt__kills_finish(&kills);
	f->link.link_page = NULL;
	f->link.head_page = NULL;
}

/*
 * A leaf is there. PT_OK: it was of something else, or granted less, and is gone: rights are added
 * by a fill like any other, since a canonical change that takes a right passes leaves by that do
 * not grant it. One that grants more than is wanted stays: what was wanted may be older than the
 * leaf, and what was taken away is for whoever took it to flush.
 */
static enum pt_outcome meet(struct fill *f, const struct met *at)
{
	const struct pt_ctx *ctx = &f->shadow->ctx;
	pt_pte old = at->entry, want = at->level < f->both.level ? 0 : wanted(f, at->level);
	bool other = (old ^ want) & ~(PT_PTE_PERM | PT_PTE_AF);

	if (other || pt__tightens(want, old)) {
		remove_leaf(f, at);
		f->relaxes = !other;
		return PT_OK;
	}
	if (!(old & PT_PTE_AF) && !pt_pte_cas(at->slot, &old, old | PT_PTE_AF))
		return PT_RACED;
	pt__tlbi_local(ctx, f->in->vcpu, f->in->ipa.v, at->level);
	return report(f, at->level, pt_leaf_prot(&ctx->geo, old, ctx->attrs),
		      at->entry & PT_PTE_AF ? PT_ALREADY_MAPPED : PT_MADE_YOUNG);
}

static enum pt_outcome enter(struct fill *f)
{
	const struct pt_geometry *host = &canonical_of(f)->geo;
	uint64_t host_mask = (UINT64_C(1) << f->host.shift) - 1;
	enum pt_outcome outcome = PT_OK;

	f->pa = (pt__oa(host, f->host.entry, host->granule_shift) & ~host_mask) |
		(f->out->canonical.v & host_mask);
	pt__combine(f->shadow, &f->out->leaf, canonical_of(f), f->host.entry, f->host.shift,
		    &f->both);
	for (unsigned i = 0; outcome == PT_OK && i < 2; i++) {
		if (f->at.entry || pt_pte_load(f->at.slot))
			descend(&f->shadow->ctx, f->in->ipa.v, &f->at);
		if (!f->at.entry)
			return install(f);
		outcome = pt_pte_valid(f->at.entry) ? meet(f, &f->at) : PT_RACED;
	}
	return outcome == PT_OK ? PT_RACED : outcome;
}

enum pt_outcome pt_nested_fault(struct pt_agent *agent, struct pt_shadow *shadow,
				const struct pt_nested_fault *fault,
				struct pt_nested_result *result)
{
	struct fill f; /* what the steps find is not cleared before */
	enum pt_outcome outcome;

	f.agent = agent;
	f.shadow = shadow;
	f.in = fault;
	f.out = result;
	f.access = fault->access == PT_ACCESS_AT ? PT_ACCESS_READ : fault->access;
	f.relaxes = false;
	*result = (struct pt_nested_result){.level = PT_TTL_UNKNOWN};
	pt_machine_use(shadow->ctx.machine, agent);
	if (!pt__shadow_live(shadow))
		return PT_NOT_FOUND;
	f.count = atomic_load_explicit(&shadow->invalidations, memory_order_acquire); /* 1 */
	expect(&f);
	outcome = walk_guest(&f); /* 2 */
	if (outcome == PT_OK)
		outcome = walk_host(&f);
	if (outcome != PT_OK)
		return outcome;
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, result, &shadow->ctx, (uintptr_t)agent, 0);
	outcome = enter(&f);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, result, &shadow->ctx, outcome, 0);
	return outcome;
}
