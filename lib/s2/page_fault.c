/* SPDX-License-Identifier: BSD-2-Clause */
/* pt_fault_handle(), pt_fault_fill(), pt_faults(), and by itself the fault that is met most: one
 * page, and nothing special. */
#include "../pool/section.h"
#include "../txn/batch.h"
#include "../txn/compare.h"
#include "../txn/slot.h"
#include "internal.h"

/*
 * Nothing is done here that pt__fault_handle() would do otherwise; all that is not plain goes
 * there, and so does a compare-and-swap that fails, which has changed nothing. What is called is
 * called as the last thing, so that few registers are saved.
 */

/* What may differ between the leaf of a page and the one that its slot would install: rights to
 * read and write, the access flag, software bits. */
#define MAY_DIFFER (PT_PTE_S2AP_R | PT_PTE_S2AP_W | PT_PTE_AF | PT_PTE_SW)

/* Can it be plain, as far as one can tell without slot and entry? In range, no execute. */
PT__INLINE bool is_plain_fault(const struct pt_ctx *ctx, const struct pt_fault *in)
{
	return in->ipa.v >> ctx->root_shift < ctx->geo.start_entries &&
	       in->access != PT_ACCESS_EXEC;
}

/* The slot around the fault, if its pages are plain: writable, not logged, there without a pager,
 * and no table stands where a block could be. NULL: none. */
PT__INLINE const struct pt_slot *plain_slot(const struct pt_slots *slots, const struct pt_fault *in,
					    unsigned gs)
{
	const struct pt_slot *from = pt__slot_find(slots, in->ipa.v);

	if (PT__UNLIKELY(!from || from->backing_shift > gs ||
			 from->flags & (PT_SLOT_READ_ONLY | PT_SLOT_LOG_DIRTY | PT_SLOT_PAGED)))
		return NULL;
	return from;
}

/* The page has its leaf: what it lacks is added in place (W3). */
PT__INLINE enum pt_outcome relaxed(const struct pt_fault *in, pt_pte want, pt_pte old, pt_pte *new)
{
	pt_pte needed = in->access == PT_ACCESS_WRITE ? PT_PTE_S2AP_W : PT_PTE_S2AP_R;

	if (PT__UNLIKELY((old ^ want) & ~MAY_DIFFER))
		return PT_MORE;
	if (old & needed) {
		*new = old | PT_PTE_AF;
		return *new == old ? PT_ALREADY_MAPPED : PT_MADE_YOUNG;
	}
	*new = old | PT_PTE_S2AP_R | PT_PTE_S2AP_W | PT_PTE_AF;
	return PT_RELAXED;
}

/* What becomes of the page's entry, `old`, and of the fault. PT_MORE: not here. */
PT__INLINE enum pt_outcome plan(const struct pt_ctx *ctx, const struct pt_fault *in, uint64_t pa,
				pt_pte old, pt_pte *new, unsigned gs)
{
	pt_pte want = (pa & ~((UINT64_C(1) << gs) - 1)) | ctx->fault_attrs | PT_PTE_TYPE;

	if (old)
		return relaxed(in, want, old, new);
	*new = want | PT_PTE_S2AP_W;
	return PT_MAPPED;
}

/* False: another agent was first. */
PT__INLINE bool exchange(const struct pt_ctx *ctx, pt_pte *slot, pt_pte old, pt_pte new,
			 unsigned gs)
{
	if (!old)
		pt__clean_for(ctx, 0, new &pt__oa_low(gs), UINT64_C(1) << gs);
	return new == old || pt_pte_cas(slot, &old, new);
}

static __attribute__((noinline)) enum pt_outcome
flushed(const struct pt_ctx *ctx, const struct pt_fault *in, enum pt_outcome outcome)
{
	pt__tlbi_local_now(ctx, in->vcpu, in->ipa.v, PT_LEVEL_LAST);
	return outcome;
}

/* After the exchange. Also where the right was there: the vCPU's own entry is stale. */
PT__INLINE enum pt_outcome settled(const struct pt_ctx *ctx, const struct pt_fault *in, pt_pte old,
				   bool has_tlb, enum pt_outcome outcome)
{
	return old && pt__has_run(ctx) && has_tlb ? flushed(ctx, in, outcome) : outcome;
}

PT__INLINE uint32_t prot_of(pt_pte leaf)
{
	return (uint32_t)(leaf / PT_PTE_S2AP_R) & PT_PROT_RW;
}

/* In a machine with owners: may the page at `ipa` get its leaf, if it has none? */
PT__INLINE bool may_fill(const struct pt_ctx *ctx, uint64_t ipa)
{
	return ctx->owner_rules->may_fill(ctx->owner_arg, ipa) == PT_OK;
}

PT__INLINE enum pt_outcome handle(struct pt_ctx *ctx, const struct pt_fault *in,
				  struct pt_fault_result *out, unsigned gs, bool fills)
{
	const struct pt_slots *slots = pt_ctx_slots(ctx);
	const struct pt_slot *from;
	enum pt_outcome outcome;
	struct pt__at at;
	uint64_t pa;
	pt_pte new;

	/* The walk first: the search for the slot takes place while the entry is on its way. */
	pt__descend_in(ctx, in->ipa.v, PT_LEVEL_LAST, gs, false, &at);
	from = plain_slot(slots, in, gs);
	if (PT__UNLIKELY(at.level != PT_LEVEL_LAST || !from))
		return PT_MORE;
	pa = in->ipa.v - from->ipa + from->pa;
	outcome = plan(ctx, in, pa, at.entry, &new, gs);
	if (PT__UNLIKELY(outcome == PT_MORE || (!fills && !at.entry) ||
			 !exchange(ctx, at.slot, at.entry, new, gs)))
		return PT_MORE;
	*out = (struct pt_fault_result){
		.level = PT_LEVEL_LAST, .prot = prot_of(new), .pa = pt_pa(pa)};
	return settled(ctx, in, at.entry, pt_port_has_tlb(ctx->machine->mmu), outcome);
}

/* A context of a machine with owners has plain faults, too; all else is of any kind. */
static __attribute__((noinline)) enum pt_outcome other(struct pt_agent *agent, struct pt_ctx *ctx,
						       const struct pt_fault *in,
						       struct pt_fault_result *out)
{
	enum pt_outcome outcome = PT_MORE;

	if (pt__is_ruled(agent, ctx) && is_plain_fault(ctx, in)) {
		bool fills = may_fill(ctx, in->ipa.v);

		outcome = PT__BY_GRANULE(&ctx->geo, handle(ctx, in, out, 12, fills),
					 handle(ctx, in, out, 14, fills),
					 handle(ctx, in, out, 16, fills));
	}
	return outcome == PT_MORE ? pt__fault_handle(agent, ctx, in, out) : outcome;
}

/* By itself, so that other() is left to at once. */
static __attribute__((noinline)) enum pt_outcome plain(struct pt_agent *agent, struct pt_ctx *ctx,
						       const struct pt_fault *in,
						       struct pt_fault_result *out)
{
	enum pt_outcome outcome = PT_MORE;

	if (PT__LIKELY(pt__is_open(agent, ctx) && is_plain_fault(ctx, in)))
		outcome = PT__BY_GRANULE(&ctx->geo, handle(ctx, in, out, 12, true),
					 handle(ctx, in, out, 14, true),
					 handle(ctx, in, out, 16, true));
	return PT__UNLIKELY(outcome == PT_MORE) ? pt__fault_handle(agent, ctx, in, out) : outcome;
}

enum pt_outcome pt_fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				const struct pt_fault *fault, struct pt_fault_result *result)
{
	enum pt_outcome outcome;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, result, ctx, (uintptr_t)agent, 0);
	if (PT__LIKELY(ctx->plain))
		outcome = plain(agent, ctx, fault, result);
	else
		outcome = other(agent, ctx, fault, result);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, result, ctx, outcome, 0);
	return outcome;
}

/* As handle() for an entry that is empty, which takes any access but a fetch. */
PT__INLINE bool fill(struct pt_ctx *ctx, uint64_t ipa, unsigned gs)
{
	const struct pt_fault in = {.ipa = {ipa}};
	const struct pt_slots *slots = pt_ctx_slots(ctx);
	const struct pt_slot *from;
	struct pt__at at;
	pt_pte new;

	if (PT__UNLIKELY(!is_plain_fault(ctx, &in)))
		return false;
	pt__descend_in(ctx, ipa, PT_LEVEL_LAST, gs, false, &at);
	from = plain_slot(slots, &in, gs);
	if (PT__UNLIKELY(at.level != PT_LEVEL_LAST || at.entry || !from))
		return false;
	plan(ctx, &in, ipa - from->ipa + from->pa, 0, &new, gs);
	return exchange(ctx, at.slot, 0, new, gs);
}

static __attribute__((noinline)) bool fill_ruled(struct pt_agent *agent, struct pt_ctx *ctx,
						 uint64_t ipa)
{
	return pt__is_ruled(agent, ctx) && may_fill(ctx, ipa) &&
	       PT__BY_GRANULE(&ctx->geo, fill(ctx, ipa, 12), fill(ctx, ipa, 14),
			      fill(ctx, ipa, 16));
}

bool pt_fault_fill(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_ipa ipa)
{
	bool filled = false;

	pt__section_begin(agent);
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, agent, ctx, (uintptr_t)agent, 0);
	if (PT__LIKELY(pt__is_plain(agent, ctx)))
		filled = PT__BY_GRANULE(&ctx->geo, fill(ctx, ipa.v, 12), fill(ctx, ipa.v, 14),
					fill(ctx, ipa.v, 16));
	else
		filled = fill_ruled(agent, ctx, ipa.v);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, agent, ctx, filled ? PT_MAPPED : PT_MORE, 0);
	pt__section_end(agent);
	return filled;
}

struct faults {
	struct pt_agent *agent;
	struct pt_ctx *ctx;
	const struct pt_fault *in;
	struct pt_fault_page *out;
	struct pt__near last;
	uint64_t slot_ipa, slot_size; /* of the slot that was found last */
	uint64_t slot_off;	      /* a PA of it less the IPA */
	uint64_t limit;		      /* where the context ends */
	unsigned gs;
	bool ruled; /* the machine has owners */
};

PT__INLINE bool find_page(void *batch, size_t at, struct pt__change *change)
{
	struct faults *f = batch;
	const struct pt_fault *in = &f->in[at];

	return PT__LIKELY(in->ipa.v < f->limit && in->access != PT_ACCESS_EXEC) &&
	       pt__near_find(&f->last, in->ipa.v, change, f->gs);
}

PT__INLINE bool find_slot(struct faults *f, const struct pt_fault *in)
{
	const struct pt_slot *from = plain_slot(pt_ctx_slots(f->ctx), in, f->gs);

	if (!from)
		return false;
	f->slot_ipa = from->ipa;
	f->slot_size = from->size;
	f->slot_off = from->pa - from->ipa;
	return true;
}

PT__INLINE bool plan_page(void *batch, size_t at, struct pt__change *change)
{
	struct faults *f = batch;
	const struct pt_fault *in = &f->in[at];
	pt_pte old = pt_pte_load(change->slot), new = 0;
	enum pt_outcome outcome;
	uint64_t pa;

	if (PT__UNLIKELY(in->ipa.v - f->slot_ipa >= f->slot_size) && !find_slot(f, in))
		return false;
	pa = in->ipa.v + f->slot_off;
	if (f->ruled && !old && !may_fill(f->ctx, in->ipa.v))
		return false;
	outcome = plan(f->ctx, in, pa, old, &new, f->gs);
	change->old = old;
	change->new = new;
	f->out[at] = (struct pt_fault_page){outcome, prot_of(new), pt_pa(pa)};
	return outcome != PT_MORE;
}

PT__INLINE bool exchange_page(void *batch, size_t at, struct pt__change *change)
{
	const struct faults *f = batch;
	const struct pt_fault_page *out = &f->out[at];
	pt_pte old = change->old, new = change->new;
	bool done;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, out, f->ctx, (uintptr_t)f->agent, 0);
	/* What stays as it is has to be so when its turn comes. */
	done = (new != old || pt_pte_load(change->slot) == old) &&
	       exchange(f->ctx, change->slot, old, new, f->gs);
	if (done)
		settled(f->ctx, &f->in[at], old, f->last.flush, PT_OK);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, out, f->ctx, done ? out->outcome : PT_MORE, 0);
	return done;
}

PT__INLINE uint32_t pages(struct pt_agent *agent, struct pt_ctx *ctx, const struct pt_fault *in,
			  uint32_t count, struct pt_fault_page *out, unsigned gs, bool ruled)
{
	struct faults f = {.agent = agent,
			   .ctx = ctx,
			   .in = in,
			   .out = out,
			   .last = pt__near_none(ctx, in->ipa.v),
			   .limit = (uint64_t)ctx->geo.start_entries << ctx->root_shift,
			   .gs = gs,
			   .ruled = ruled};

	return pt__batch(&f, count, (struct pt__batch_ops){find_page, plan_page, exchange_page});
}

static __attribute__((noinline)) uint32_t ruled_pages(struct pt_agent *agent, struct pt_ctx *ctx,
						      const struct pt_fault *in, uint32_t count,
						      struct pt_fault_page *out)
{
	if (!count || !pt__is_ruled(agent, ctx))
		return 0;
	return PT__BY_GRANULE(&ctx->geo, pages(agent, ctx, in, count, out, 12, true),
			      pages(agent, ctx, in, count, out, 14, true),
			      pages(agent, ctx, in, count, out, 16, true));
}

uint32_t pt_faults(struct pt_agent *agent, struct pt_ctx *ctx, const struct pt_fault *fault,
		   uint32_t count, struct pt_fault_page *page)
{
	if (PT__UNLIKELY(!count || !pt__is_plain(agent, ctx)))
		return ruled_pages(agent, ctx, fault, count, page);
	return PT__BY_GRANULE(&ctx->geo, pages(agent, ctx, fault, count, page, 12, false),
			      pages(agent, ctx, fault, count, page, 14, false),
			      pages(agent, ctx, fault, count, page, 16, false));
}
