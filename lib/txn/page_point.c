/* SPDX-License-Identifier: BSD-2-Clause */
/* pt_point(), and by themselves the point operations that are met most: a page mapped, unmapped. */
#include "batch.h"

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

PT__INLINE bool is_page(const struct pt_item *item, unsigned gs)
{
	return item->size == UINT64_C(1) << gs && item->kind <= PT_ITEM_UNMAP;
}

/* PT_PTE_LOCKED: what stands there may go. 0: not here. */
PT__INLINE pt_pte plan_unmap(const struct pt_item *item, pt_pte old)
{
	if (!pt_pte_valid(old) || old & (PT_PTE_DBM | PT_PTE_CONTIGUOUS) ||
	    pt__gone_cleans(item->ctx, old))
		return 0;
	return PT_PTE_LOCKED;
}

/* Normal memory without software bits into an entry that is empty. 0: not here. */
PT__INLINE pt_pte plan_map(const struct pt_item *item, pt_pte old)
{
	if (old || item->prot > PT_PROT_RWX || item->flags & ~(PT_MAP_REPLACE | PT_MAP_FORCE_PAGES))
		return 0;
	return (item->ctx->fault_attrs & ~PT_PTE_PERM) | perm_of[item->prot] | item->pa.v |
	       PT_PTE_TYPE;
}

/* What is put in the place of entry `old`; 0: not here. */
PT__INLINE pt_pte plan(const struct pt_item *item, pt_pte old)
{
	return item->kind == PT_ITEM_MAP ? plan_map(item, old) : plan_unmap(item, old);
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

/* The marker is in the place of the page. *run: TLBs may know it. False: another was first. */
PT__INLINE bool taken_out(const struct pt_ctx *ctx, pt_pte *slot, pt_pte old, bool *run)
{
	if (!pt_pte_cas(slot, &old, PT_PTE_LOCKED))
		return false;
	pt_port_fence_cas(); /* the descriptor before the number: vmid.c */
	*run = pt__has_run(ctx);
	return true;
}

PT__INLINE enum pt_outcome unmap(struct pt_item *item, struct pt_effects *effects, pt_pte *slot,
				 pt_pte old)
{
	struct pt_ctx *ctx = item->ctx;
	bool run;

	if (!taken_out(ctx, slot, old, &run))
		return PT_MORE;
	if (run && pt_port_has_tlb(ctx->machine->mmu))
		return flush_unmapped(item, effects, slot);
	return unmapped(item, effects, slot, run);
}

PT__INLINE bool put_in(const struct pt_item *item, pt_pte *slot, pt_pte leaf)
{
	pt_pte old = 0;

	pt__clean_for(item->ctx, item->prot, item->pa.v, item->size);
	return pt_pte_cas(slot, &old, leaf);
}

PT__INLINE enum pt_outcome map(struct pt_item *item, struct pt_effects *effects, pt_pte *slot,
			       pt_pte leaf)
{
	if (!put_in(item, slot, leaf))
		return PT_MORE;
	effects->leaves_written++;
	item->outcome = PT_MAPPED;
	return PT_MAPPED;
}

PT__INLINE enum pt_outcome page(struct pt_item *item, struct pt_effects *effects, unsigned gs)
{
	struct pt__at at;
	pt_pte new;

	if (!is_page(item, gs))
		return PT_MORE;
	pt__descend_in(item->ctx, item->ipa.v, PT_LEVEL_LAST, gs, false, &at);
	if (at.level != PT_LEVEL_LAST)
		return PT_MORE;
	new = plan(item, at.entry);
	if (!new)
		return PT_MORE;
	if (item->kind == PT_ITEM_MAP)
		return map(item, effects, at.slot, new);
	return unmap(item, effects, at.slot, at.entry);
}

enum pt_outcome pt_point(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects,
			 struct pt_error *err)
{
	enum pt_outcome outcome = PT_MORE;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, item, item->ctx, (uintptr_t)agent, 0);
	if (PT__LIKELY(pt__is_direct(agent, item->ctx)))
		outcome = PT__BY_GRANULE(&item->ctx->geo, page(item, effects, 12),
					 page(item, effects, 14), page(item, effects, 16));
	if (PT__UNLIKELY(outcome == PT_MORE))
		outcome = pt__point(agent, item, effects, err);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, item, item->ctx, outcome, 0);
	return outcome;
}

struct points {
	struct pt_agent *agent;
	struct pt_item *item;
	struct pt__near last;
	uint32_t written, removed, tlbis;
	unsigned gs;
};

PT__INLINE bool find_page(void *batch, size_t at, struct pt__change *change)
{
	struct points *p = batch;
	struct pt_item *item = &p->item[at];

	if (PT__UNLIKELY(item->ctx != p->last.ctx)) {
		if (item->ctx->geo.granule_shift != p->gs || !pt__is_direct(p->agent, item->ctx))
			return false;
		p->last = pt__near_none(item->ctx, item->ipa.v);
	}
	return PT__LIKELY(is_page(item, p->gs)) &&
	       pt__near_find(&p->last, item->ipa.v, change, p->gs);
}

PT__INLINE bool plan_page(void *batch, size_t at, struct pt__change *change)
{
	const struct points *p = batch;
	struct pt_item *item = &p->item[at];

	/* A map here is one into nothing: that is seen by the exchange, without a read before it,
	 * for which a line that another CPU changes would come by itself. */
	change->old = item->kind == PT_ITEM_MAP ? 0 : pt_pte_load(change->slot);
	change->new = plan(item, change->old);
	if (PT__UNLIKELY(!change->new))
		return false;
	/* Not between the exchanges, which would wait for it. */
	item->outcome = item->kind == PT_ITEM_MAP ? PT_MAPPED : PT_UNMAPPED;
	return true;
}

PT__INLINE bool exchange_unmap(struct points *p, const struct pt_item *item,
			       const struct pt__change *change)
{
	bool run;

	if (!taken_out(item->ctx, change->slot, change->old, &run))
		return false;
	p->tlbis += PT__UNLIKELY(run && change->flush)
			    ? pt__tlbi_leaf_now(item->ctx, item->ipa.v, PT_LEVEL_LAST)
			    : run;
	pt_pte_store_release(change->slot, 0);
	p->removed++;
	return true;
}

PT__INLINE bool exchange_map(struct points *p, const struct pt_item *item,
			     const struct pt__change *change)
{
	if (!put_in(item, change->slot, change->new))
		return false;
	p->written++;
	return true;
}

PT__INLINE bool exchange_page(void *batch, size_t at, struct pt__change *change)
{
	struct points *p = batch;
	struct pt_item *item = &p->item[at];
	bool done;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, item, item->ctx, (uintptr_t)p->agent, 0);
	done = pt_pte_valid(change->new) ? exchange_map(p, item, change)
					 : exchange_unmap(p, item, change);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, item, item->ctx, done ? item->outcome : PT_MORE,
		     0);
	return done;
}

PT__INLINE uint32_t pages(struct pt_agent *agent, struct pt_item *item, uint32_t count,
			  struct pt_effects *effects, unsigned gs)
{
	struct points p = {.agent = agent, .item = item, .gs = gs};

	count = pt__batch(&p, count, (struct pt__batch_ops){find_page, plan_page, exchange_page});
	effects->leaves_written += p.written;
	effects->leaves_removed += p.removed;
	effects->tlbis += p.tlbis;
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
