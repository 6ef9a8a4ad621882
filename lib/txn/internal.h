/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/txn and lib/s2 share with each other; private to lib. */
#ifndef PT_TXN_INTERNAL_H
#define PT_TXN_INTERNAL_H

#include <pt/txn.h>

#include "../walk/inline.h"
#include "mark.h"

/* claim.c: PT_OK, PT_PARKED when an active claim covers part of [lo, hi], PT_WRONG_STATE when the
 * context is being torn down. */
enum pt_outcome pt__admit_slow(struct pt_ctx *ctx, uint32_t claims, uint64_t lo, uint64_t hi);

/*
 * May a point operation touch [lo, hi]? The acquire pairs with the release that ends or shrinks a
 * claim: who is admitted sees what the claim's owner wrote.
 */
PT__INLINE enum pt_outcome pt__admit(struct pt_ctx *ctx, uint64_t lo, uint64_t hi)
{
	uint32_t claims = atomic_load_explicit(&ctx->claims, memory_order_acquire);

	return PT__LIKELY(!claims) ? PT_OK : pt__admit_slow(ctx, claims, lo, hi);
}

/* Is the context being torn down? Then a claim is refused in any case, and where it would begin
 * cannot be looked up: the start tables may be gone. */
PT__INLINE bool pt__is_dying(const struct pt_ctx *ctx)
{
	return atomic_load_explicit(&ctx->state, memory_order_acquire) != PT_CTX_LIVE;
}

/* As pt_claim_acquire(), exclusive; but when it was queued, its owner makes it active after the
 * wake: true, or false while it is queued still. Then pt_grace_begin(). */
enum pt_outcome pt__claim_acquire_lazy(struct pt_claim *claim, struct pt_ctx *ctx, uint64_t lo,
				       uint64_t hi, bool teardown,
				       void (*wake)(struct pt_waiter *));
bool pt__claim_activate(struct pt_claim *claim);
/* Asks for `first` and those with it, all set up but for their waiters; the outcome of
 * pt_claim_acquire(). */
enum pt_outcome pt__claim_ask(struct pt_claim *first, bool teardown,
			      void (*wake)(struct pt_waiter *));
/* claims.c: the same of pt_claims_acquire(), whose claims become active together, by any one of
 * them. */
enum pt_outcome pt__claims_acquire(struct pt_claim *const claim[], uint32_t count,
				   enum pt_claim_mode mode, bool lazy,
				   void (*wake)(struct pt_waiter *));
/* Takes one or two (`b` may be NULL), exclusive, of contexts of one machine in their order, with
 * ctx, lo, hi and mode set, if nobody has a claim on one of the contexts or waits there; else
 * false, and nothing is held: this queues nowhere. Then pt_grace_begin(). */
bool pt__claims_try(struct pt_claim *a, struct pt_claim *b);
/* Releases them, and looks at all that waited when they went. */
void pt__claims_untry(struct pt_claim *a, struct pt_claim *b);
/* Wakes who waits on a context that its teardown, the claim's, has just closed; then
 * pt__claims_go_on(). */
void pt__claims_wake(struct pt_claim *claim);
/*
 * pt_claim_release() in steps: the first looks at the first points that wait, and each call of
 * pt__claims_go_on() at 256 more, while it says true: until those have been looked at that waited
 * when the claim went. A claim that has had no slot kept nobody waiting: false.
 */
void pt__claim_let_go(struct pt_claim *claim);
/* The same of several of one machine, in one step; which of them had anybody wait, a bit each: the
 * others need no pt__claims_go_on(). */
uint32_t pt__claims_let_go(struct pt_claim *const claim[], uint32_t count);
bool pt__claims_go_on(struct pt_ctx *ctx, const struct pt_claim *claim);

/* vmid.c: the number to flush. False: the context never ran, no TLB knows it; true with *vmid 0:
 * the rollover since has flushed it, but accesses may be in flight. After the descriptor was
 * written. */
bool pt__vmid_flush(const struct pt_ctx *ctx, uint16_t *vmid);

/* ledger.c: what the functions below do when TLBs may hold entries of the context. */
uint32_t pt__tlbi_leaf_now(const struct pt_ctx *ctx, uint64_t ipa, int level);
void pt__tlbi_stage1_now(const struct pt_ctx *ctx);
void pt__tlbi_local_now(const struct pt_ctx *ctx, uint32_t vcpu, uint64_t ipa, int level);

/* Has the context ever run? Read after the descriptor was written. */
PT__INLINE bool pt__has_run(const struct pt_ctx *ctx)
{
	if (PT__LIKELY(atomic_load_explicit(&ctx->vmid, memory_order_relaxed)))
		return true;
	pt_port_note(PT_EVENT_TLBI_NONE, 0, ctx->machine->mmu, ctx, 0, 0);
	return false;
}

/* One leaf, at once, directly after the compare-and-swap that took it away. Returns how many
 * invalidations that took: 0 for a context that never ran. */
PT__INLINE uint32_t pt__tlbi_leaf(const struct pt_ctx *ctx, uint64_t ipa, int level)
{
	pt_port_fence_cas(); /* the descriptor before the number: vmid.c */
	if (!pt__has_run(ctx))
		return 0;
	return pt_port_has_tlb(ctx->machine->mmu) ? pt__tlbi_leaf_now(ctx, ipa, level) : 1;
}

/* What stage 1 gave under the context's VMID. */
PT__INLINE void pt__tlbi_stage1(const struct pt_ctx *ctx)
{
	if (pt__has_run(ctx) && pt_port_has_tlb(ctx->machine->mmu))
		pt__tlbi_stage1_now(ctx);
}

/* The faulting vCPU's own entries for the leaf at `ipa`; it has run, or has none. */
PT__INLINE void pt__tlbi_local(const struct pt_ctx *ctx, uint32_t vcpu, uint64_t ipa, int level)
{
	if (pt__has_run(ctx) && pt_port_has_tlb(ctx->machine->mmu))
		pt__tlbi_local_now(ctx, vcpu, ipa, level);
}

/* Cache maintenance before a leaf becomes valid (KVM: between break and make). */
PT__INLINE void pt__clean_for(const struct pt_ctx *ctx, uint32_t prot, uint64_t pa, uint64_t size)
{
	if (!(ctx->attrs & PT_ATTR_FWB) && pt_prot_memtype(prot) == PT_MEM_NORMAL)
		pt_port_dcache_clean_inval_poc(ctx->machine->port, pt_pa(pa), size);
	if (prot & PT_PROT_X)
		pt_port_icache_inval_pou(ctx->machine->port, pt_pa(pa), size);
}

/* Is the memory of leaf `e` to be cleaned to the point of coherency when it is unmapped? Without
 * FWB a guest may have used it with another type (KVM: stage2_unmap_walker). */
PT__INLINE bool pt__gone_cleans(const struct pt_ctx *ctx, pt_pte e)
{
	return pt_port_has_caches(ctx->machine->port) && !(ctx->attrs & PT_ATTR_FWB) &&
	       pt_prot_memtype(pt_leaf_prot(&ctx->geo, e, ctx->attrs)) == PT_MEM_NORMAL;
}

/*
 * How many of the `most` entries from `slot` on, which holds leaf `e`, are alike and have memory in
 * one piece: maintenance of it is one loop. Such descriptors differ by the size of a leaf; where
 * the sum carries into other bits the next is another leaf, and the piece ends.
 */
PT__INLINE uint64_t pt__piece(const pt_pte *slot, pt_pte e, uint64_t most, unsigned shift)
{
	uint64_t n = 1;

	while (n < most && pt_pte_load(slot + n) == e + (n << shift))
		n++;
	return n;
}

/* After the last translation of `n` leaves from `e` on, a piece, has gone. */
PT__INLINE void pt__clean_gone(const struct pt_ctx *ctx, pt_pte e, uint64_t n, unsigned shift)
{
	pt_port_dcache_clean_inval_poc(ctx->machine->port, pt_pte_to_oa(&ctx->geo, e), n << shift);
}

/* Cleans and invalidates [ipa, ipa + size) of leaf `e`, as its memory type and FWB ask (KVM:
 * stage2_flush_walker). */
PT__INLINE void pt__flush_leaf(const struct pt_ctx *ctx, pt_pte e, const struct pt__at *at,
			       uint64_t ipa, uint64_t size)
{
	uint64_t offset = ipa & ((UINT64_C(1) << at->shift) - 1);

	if (!(ctx->attrs & PT_ATTR_FWB) &&
	    pt_prot_memtype(pt_leaf_prot(&ctx->geo, e, ctx->attrs)) == PT_MEM_NORMAL)
		pt_port_dcache_clean_inval_poc(ctx->machine->port,
					       pt_pa(pt_pte_to_oa(&ctx->geo, e).v + offset), size);
}

/* May hardware make leaf `e` dirty at any moment (Arm ARM D8.5.2)? */
PT__INLINE bool pt__hw_dirties(const struct pt_ctx *ctx, pt_pte e)
{
	return PT__UNLIKELY(ctx->vtcr_flags & PT_VTCR_HD) &&
	       (e & (PT_PTE_DBM | PT_PTE_S2AP_W)) == PT_PTE_DBM;
}

/*
 * What hardware writes in leaf `e`, and in which the leaves of a block or group may differ: the
 * whole has their OR. With DBM a leaf is writable whatever S2AP[1] says, which holds the dirty
 * state then.
 */
PT__INLINE pt_pte pt__hw_bits(pt_pte e)
{
	return PT_PTE_AF | (e >> 44 & PT_PTE_S2AP_W);
}

/* Do the two differ in nothing but what hardware writes? */
PT__INLINE bool pt__hw_only(pt_pte before, pt_pte now)
{
	return pt_pte_valid(before) && !((before ^ now) & ~pt__hw_bits(before));
}

/* Takes entry `e` out for an invalid one, under the claim; returns what stood there last. */
PT__INLINE pt_pte pt__take_out(const struct pt_ctx *ctx, pt_pte *slot, pt_pte e, pt_pte value)
{
	if (PT__LIKELY(!pt__hw_dirties(ctx, e)))
		pt_pte_store(slot, value);
	else
		while (!pt_pte_cas(slot, &e, value))
			pt_port_relax();
	return e;
}

/* Takes valid leaf *old out for an invalid or marked entry by CAS; hardware's own changes do not
 * make it fail. *old is what stood there last. */
PT__INLINE bool pt__cas_out(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	pt_pte before;

	do {
		before = *old;
		if (PT__LIKELY(pt_pte_cas(slot, old, entry)))
			return true;
	} while (pt__hw_only(before, *old));
	return false;
}

/* chain.c: a private chain of tables with one leaf at its end, for point operations. */
struct pt__chain {
	struct pt_page page[PT_LEVELS];
	unsigned count;
	pt_pte *used[PT_LEVELS]; /* the one entry written in each */
	pt_pte head;		 /* the descriptor that links it */
};

enum pt_outcome pt__chain_build(struct pt_agent *agent, struct pt_ctx *ctx, uint64_t ipa, int from,
				int to, pt_pte leaf, struct pt__chain *chain);
void pt__chain_drop(struct pt_agent *agent, struct pt_ctx *ctx, struct pt__chain *chain);

/* point.c: any point operation, as pt_point() but for its notes to the checker. */
enum pt_outcome pt__point(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects,
			  struct pt_error *err);

/* point_rights.c: the kinds that pt__next() knows, as point operations; and one such change of the
 * leaf at `at`: its outcome, PT_RACED, or PT_MORE for a part of a block. */
enum pt_outcome pt__point_rewrite(struct pt_item *item, struct pt_effects *effects,
				  struct pt_error *err);
enum pt_outcome pt__point_change(const struct pt_item *item, uint32_t kind, pt_pte rights,
				 pt_pte sw, const struct pt__at *at, struct pt_effects *effects);

/* point_data.c: ANNOTATE and FLUSH as point operations. */
enum pt_outcome pt__point_annotate(struct pt_item *item, struct pt_effects *effects);
enum pt_outcome pt__point_flush(struct pt_item *item, struct pt_effects *effects);

/* policy.c: asks the context's policy about a MAP item; the answer stands in item->flags. */
void pt__item_policy(struct pt_item *item);
PT__INLINE void pt__ask_policy(struct pt_item *item)
{
	if (PT__UNLIKELY(item->ctx->force_pages || item->ctx->owner_rules))
		pt__item_policy(item);
}

/*
 * policy.c, where the context has owner rules: may the item be carried out from *ipa to `last`?
 * PT_OK: *ipa is how far that was asked, last + 1 when it is through. An error: at *ipa.
 */
enum pt_outcome pt__owner_may(const struct pt_item *item, uint64_t *ipa, uint64_t last,
			      int64_t *left);

/* May a fault or a collapse make one leaf of [lo, hi], as far as the frames' owners go? */
PT__INLINE bool pt__owners_allow(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi)
{
	const struct pt_owner_rules *rules = ctx->owner_rules;

	return PT__LIKELY(!rules) || !rules->is_one || rules->is_one(ctx->owner_arg, lo, hi);
}

/*
 * shadowed.c: of a context from which shadows are made. takes: leaves of [lo, hi] are about to go,
 * or to lose the rights `lost`; false: something else that went before has to be removed from
 * shadows first, and nothing may change here yet. take: removes it, about *left leaves; how many
 * TLBIs that took. Pending until nothing is left.
 */
bool pt__takes_too(struct pt_shadow_search *search, uint64_t lo, uint64_t hi, uint32_t lost);
PT__INLINE bool pt__takes(const struct pt_ctx *ctx, struct pt_shadow_search *search, uint64_t lo,
			  uint64_t hi, uint32_t lost)
{
	return PT__LIKELY(!ctx->shadowed) || pt__takes_too(search, lo, hi, lost);
}
uint32_t pt__take(const struct pt_ctx *ctx, struct pt_agent *agent, struct pt_shadow_search *search,
		  int64_t *left);
bool pt__take_page_from(const struct pt_ctx *ctx, struct pt_agent *agent, uint64_t lo, uint64_t hi,
			struct pt_effects *effects);
/* The same at once, of a page that a point has taken out by the compare-and-swap before: false: it
 * has to be put back. */
PT__INLINE bool pt__take_page(const struct pt_ctx *ctx, struct pt_agent *agent, uint64_t ipa,
			      struct pt_effects *effects)
{
	uint64_t last = ipa + (UINT64_C(1) << ctx->geo.granule_shift) - 1;

	pt_port_fence_cas(); /* the descriptor before the lists: docs/nested.md */
	return !ctx->shadow_rules->holds(ctx->shadow_arg, ipa, last) ||
	       pt__take_page_from(ctx, agent, ipa, last, effects);
}

/*
 * resize.c: splits the block at `at` (valid, around `ipa`, of a level above `to`) as a point
 * operation, in a section, down to a leaf of level `to` around `ipa`: private tables, CAS to
 * LOCKED, TLBI, release store; with FEAT_BBM level 2 one CAS and the TLBI. PT_OK: split and
 * flushed, effects added; descend again. PT_RACED: another agent changed the entry, or a claim
 * reaches into the block; PT_NO_MEMORY, PT_QUOTA: nothing changed.
 */
enum pt_outcome pt__split_point(struct pt_agent *agent, struct pt_ctx *ctx, uint64_t ipa,
				const struct pt__at *at, int to, struct pt_effects *effects);
/*
 * Would a collapse make a block of `level` around `ipa`? A hint, without a claim, in a section: a
 * few probes, and the whole table only if they find it full. Then the caller queues
 * PT_UPKEEP_COLLAPSE over the block's range.
 */
bool pt__could_fold(struct pt_ctx *ctx, uint64_t ipa, int level);

/* reserve.c: table pages of a context, with failpoint, quota and the machine's PA window. */
enum pt_outcome pt__pages_take(struct pt_agent *agent, struct pt_ctx *ctx, uint32_t count,
			       struct pt_pages *list);
void pt__pages_give(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_pages *list);
enum pt_outcome pt__page_get(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_page *page);
void pt__page_put(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_page page);
bool pt__page_in_window(const struct pt_machine *machine, struct pt_page page, uint64_t bytes);

#endif
