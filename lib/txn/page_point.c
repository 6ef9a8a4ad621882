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

PT__INLINE enum pt_outcome unmap(struct pt_item *item, struct pt_effects *effects,
				 const struct pt__at *at)
{
	pt_pte old = at->entry;
	bool run;

	if (!pt_pte_valid(old) || old & (PT_PTE_DBM | PT_PTE_CONTIGUOUS) ||
	    pt__gone_cleans(item->ctx, old) || !pt_pte_cas(at->slot, &old, PT_PTE_LOCKED))
		return PT_MORE;
	pt_port_fence_cas(); /* the descriptor before the number: vmid.c */
	run = pt__has_run(item->ctx);
	if (run && pt_port_has_tlb(item->ctx->machine->mmu))
		return flush_unmapped(item, effects, at->slot);
	return unmapped(item, effects, at->slot, run);
}

/* Normal memory without software bits into an entry that is empty. */
PT__INLINE enum pt_outcome map(struct pt_item *item, struct pt_effects *effects,
			       const struct pt__at *at)
{
	pt_pte old = 0, leaf = item->ctx->fault_attrs & ~PT_PTE_PERM;

	if (at->entry || item->prot > PT_PROT_RWX ||
	    item->flags & ~(PT_MAP_REPLACE | PT_MAP_FORCE_PAGES))
		return PT_MORE;
	leaf |= perm_of[item->prot] | item->pa.v | PT_PTE_TYPE;
	pt__clean_for(item->ctx, item->prot, item->pa.v, item->size);
	if (!pt_pte_cas(at->slot, &old, leaf))
		return PT_MORE;
	effects->leaves_written++;
	item->outcome = PT_MAPPED;
	return PT_MAPPED;
}

PT__INLINE enum pt_outcome page(struct pt_item *item, struct pt_effects *effects, unsigned gs)
{
	struct pt__at at;

	if (item->size != UINT64_C(1) << gs || item->kind > PT_ITEM_UNMAP)
		return PT_MORE;
	pt__descend_in(item->ctx, item->ipa.v, PT_LEVEL_LAST, gs, false, &at);
	if (at.level != PT_LEVEL_LAST)
		return PT_MORE;
	return item->kind == PT_ITEM_MAP ? map(item, effects, &at) : unmap(item, effects, &at);
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
