/* SPDX-License-Identifier: BSD-2-Clause */
/* pt_point(), and by themselves the point operations that are met most: a page mapped, unmapped. */
#include "internal.h"

/*
 * As for faults (lib/s2/page_fault.c): nothing is done here that pt__point() would do otherwise;
 * all that is not plain goes there, and so does a compare-and-swap that fails, which has changed
 * nothing. What is called is called as the last thing, so that few registers are saved.
 */

/* XN for the two bits of rights to execute. */
#define XN(x) ((pt_pte)((x) == 0 ? 2 : (x) == 1 ? 3 : (x) == 2 ? 1 : 0) << 53)
#define RIGHTS(x)                                                                                  \
	XN(x), XN(x) | PT_PTE_S2AP_R, XN(x) | PT_PTE_S2AP_W, XN(x) | PT_PTE_S2AP_R | PT_PTE_S2AP_W
/* pt_perm_attrs() of each set of rights. */
static const pt_pte perm_of[PT_PROT_RWX + 1] = {RIGHTS(0), RIGHTS(1), RIGHTS(2), RIGHTS(3)};

/* No claim, no dirty log, an agent that is known to the machine. */
PT__INLINE bool is_plain(const struct pt_agent *agent, const struct pt_item *item)
{
	struct pt_ctx *ctx = item->ctx;
	uint64_t users = atomic_load_explicit(&ctx->machine->agents, memory_order_relaxed);

	return ctx->plain && users >> agent->id & 1 &&
	       !atomic_load_explicit(&ctx->claims, memory_order_acquire) && !pt__logs(ctx);
}

PT__INLINE enum pt_outcome unmapped(struct pt_item *item, struct pt_effects *effects, pt_pte *slot,
				    uint32_t tlbis)
{
	pt_pte_store_release(slot, 0);
	effects->tlbis += tlbis;
	effects->leaves_removed++;
	item->outcome = PT_UNMAPPED;
	return PT_UNMAPPED;
}

static __attribute__((noinline)) enum pt_outcome
flush_unmapped(struct pt_item *item, struct pt_effects *effects, pt_pte *slot)
{
	uint32_t tlbis = pt__tlbi_leaf_now(item->ctx, item->ipa.v, PT_LEVEL_LAST);

	return unmapped(item, effects, slot, tlbis);
}

PT__INLINE enum pt_outcome unmap(struct pt_item *item, struct pt_effects *effects, pt_pte *slot)
{
	pt_pte old = pt_pte_load(slot);
	bool run;

	if (!pt_pte_valid(old) || old & (PT_PTE_DBM | PT_PTE_CONTIGUOUS) ||
	    pt__gone_cleans(item->ctx, old) || !pt_pte_cas(slot, &old, PT_PTE_LOCKED))
		return PT_MORE;
	pt_port_fence_cas(); /* the descriptor before the number: vmid.c */
	run = pt__has_run(item->ctx);
	if (run && pt_port_has_tlb(item->ctx->machine->mmu))
		return flush_unmapped(item, effects, slot);
	return unmapped(item, effects, slot, run);
}

/* Normal memory without software bits into an entry that is empty. */
PT__INLINE enum pt_outcome map(struct pt_item *item, struct pt_effects *effects, pt_pte *slot)
{
	pt_pte old = 0, leaf = item->ctx->fault_attrs & ~PT_PTE_PERM;

	if (pt_pte_load(slot) || item->prot > PT_PROT_RWX ||
	    item->flags & ~(PT_MAP_REPLACE | PT_MAP_FORCE_PAGES))
		return PT_MORE;
	leaf |= perm_of[item->prot] | item->pa.v | PT_PTE_TYPE;
	pt__clean_for(item->ctx, item->prot, item->pa.v, item->size);
	if (!pt_pte_cas(slot, &old, leaf))
		return PT_MORE;
	effects->leaves_written++;
	item->outcome = PT_MAPPED;
	return PT_MAPPED;
}

PT__INLINE enum pt_outcome change(struct pt_item *item, struct pt_effects *effects, pt_pte *slot)
{
	return item->kind == PT_ITEM_MAP ? map(item, effects, slot) : unmap(item, effects, slot);
}

PT__INLINE bool is_page(const struct pt_item *item, unsigned gs)
{
	return item->size == UINT64_C(1) << gs && item->kind <= PT_ITEM_UNMAP;
}

PT__INLINE enum pt_outcome page(struct pt_item *item, struct pt_effects *effects, unsigned gs)
{
	struct pt__at at;

	if (!is_page(item, gs))
		return PT_MORE;
	pt__descend_in(item->ctx, item->ipa.v, PT_LEVEL_LAST, gs, false, &at);
	return at.level == PT_LEVEL_LAST ? change(item, effects, at.slot) : PT_MORE;
}

enum pt_outcome pt_point(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects,
			 struct pt_error *err)
{
	enum pt_outcome outcome = PT_MORE;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, item, item->ctx, (uintptr_t)agent, 0);
	if (PT__LIKELY(is_plain(agent, item)))
		outcome = PT__BY_GRANULE(&item->ctx->geo, page(item, effects, 12),
					 page(item, effects, 14), page(item, effects, 16));
	if (PT__UNLIKELY(outcome == PT_MORE))
		outcome = pt__point(agent, item, effects, err);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, item, item->ctx, outcome, 0);
	return outcome;
}

/* How many items are looked up before the first of them is done: by then its entry has come. */
#define AHEAD 8

/* The page that was looked up last. */
struct last {
	const struct pt_ctx *ctx;
	uint64_t ipa;
	pt_pte *slot;
};

PT__INLINE bool look_into(struct last *last, const struct pt_agent *agent,
			  const struct pt_item *item, unsigned gs)
{
	last->ctx = item->ctx;
	last->ipa = ~item->ipa.v; /* in no table of a page of it */
	return item->ctx->geo.granule_shift == gs && is_plain(agent, item);
}

/* The entry of the item's page, asked for; NULL: nothing plain. */
PT__INLINE pt_pte *look_up(struct last *last, const struct pt_agent *agent,
			   const struct pt_item *item, unsigned gs)
{
	if (PT__UNLIKELY(item->ctx != last->ctx) && !look_into(last, agent, item, gs))
		return NULL;
	if (PT__UNLIKELY(!is_page(item, gs)))
		return NULL;
	if ((item->ipa.v ^ last->ipa) >> (2 * gs - 3)) /* not in the same table */
		last->slot = pt__last_slot(item->ctx, item->ipa.v, gs, false);
	else
		last->slot += (int64_t)(item->ipa.v - last->ipa) >> gs;
	last->ipa = item->ipa.v;
	if (PT__LIKELY(last->slot != NULL))
		pt_port_prefetch(last->slot);
	return last->slot;
}

PT__INLINE enum pt_outcome carry_out(struct pt_agent *agent, struct pt_item *item,
				     struct pt_effects *effects, pt_pte *slot)
{
	enum pt_outcome outcome;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, item, item->ctx, (uintptr_t)agent, 0);
	outcome = change(item, effects, slot);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, item, item->ctx, outcome, 0);
	return outcome;
}

/* No table that was found goes before the section ends: a claim that is not there yet waits for it.
 */
PT__INLINE uint32_t pages(struct pt_agent *agent, struct pt_item *item, uint32_t count,
			  struct pt_effects *effects, unsigned gs)
{
	pt_pte *slot[AHEAD];
	struct last last = {0};

	for (uint32_t at = 0; at < count + AHEAD; at++, item++) {
		if (at >= AHEAD &&
		    carry_out(agent, item - AHEAD, effects, slot[at % AHEAD]) == PT_MORE)
			return at - AHEAD;
		if (at < count && !(slot[at % AHEAD] = look_up(&last, agent, item, gs)))
			count = at;
	}
	return count;
}

uint32_t pt_points(struct pt_agent *agent, struct pt_item *item, uint32_t count,
		   struct pt_effects *effects)
{
	if (PT__UNLIKELY(!count))
		return 0;
	return PT__BY_GRANULE(&item->ctx->geo, pages(agent, item, count, effects, 12),
			      pages(agent, item, count, effects, 14),
			      pages(agent, item, count, effects, 16));
}
