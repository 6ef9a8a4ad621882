/* SPDX-License-Identifier: BSD-2-Clause */
/* pt_fault_handle(), and by itself the fault that is met most: one page, and nothing special. */
#include "../txn/compare.h"
#include "../txn/internal.h"
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

/*
 * Can it be a page fault like most, as far as one can tell without slot and entry? No claim, no
 * dirty log, no execute, an agent that is known to the machine.
 */
PT__INLINE bool is_plain(const struct pt_agent *agent, struct pt_ctx *ctx,
			 const struct pt_fault *in)
{
	uint64_t users = atomic_load_explicit(&ctx->machine->agents, memory_order_relaxed);

	return ctx->plain && in->ipa.v >> ctx->root_shift < ctx->geo.start_entries &&
	       users >> agent->id & 1 &&
	       !atomic_load_explicit(&ctx->claims, memory_order_acquire) && !pt__logs(ctx) &&
	       in->access != PT_ACCESS_EXEC;
}

static __attribute__((noinline)) enum pt_outcome
flushed(const struct pt_ctx *ctx, const struct pt_fault *in, enum pt_outcome outcome)
{
	pt__tlbi_local_now(ctx, in->vcpu, in->ipa.v, PT_LEVEL_LAST);
	return outcome;
}

PT__INLINE void report(const struct pt_fault *in, uint64_t page, pt_pte leaf, unsigned gs,
		       struct pt_fault_result *out)
{
	*out = (struct pt_fault_result){
		.level = PT_LEVEL_LAST,
		.prot = (uint32_t)(leaf / PT_PTE_S2AP_R) & PT_PROT_RW,
		.pa = pt_pa(page | (in->ipa.v & ((UINT64_C(1) << gs) - 1))),
	};
}

/* The page has its leaf: what it lacks is added in place (W3). PT_MORE: not here. */
PT__INLINE enum pt_outcome relax(struct pt_ctx *ctx, const struct pt_fault *in, uint64_t page,
				 pt_pte want, pt_pte *slot, pt_pte old, unsigned gs,
				 struct pt_fault_result *out)
{
	pt_pte needed = in->access == PT_ACCESS_WRITE ? PT_PTE_S2AP_W : PT_PTE_S2AP_R;
	enum pt_outcome outcome = PT_RELAXED;
	pt_pte new = old | PT_PTE_S2AP_R | PT_PTE_S2AP_W | PT_PTE_AF;

	if (PT__UNLIKELY((old ^ want) & ~MAY_DIFFER))
		return PT_MORE;
	if (old & needed) {
		new = old | PT_PTE_AF;
		outcome = new == old ? PT_ALREADY_MAPPED : PT_MADE_YOUNG;
	}
	if (new != old && !pt_pte_cas(slot, &old, new))
		return PT_MORE;
	report(in, page, new, gs, out);
	if (pt__has_run(ctx) && pt_port_has_tlb(ctx->machine->mmu))
		return flushed(ctx, in, outcome);
	return outcome;
}

PT__INLINE enum pt_outcome handle(struct pt_ctx *ctx, const struct pt_fault *in,
				  struct pt_fault_result *out, unsigned gs)
{
	const struct pt_slots *slots = pt_ctx_slots(ctx);
	const struct pt_slot *from;
	struct pt__at at;
	uint64_t page;
	pt_pte want, old = 0;

	/* The walk first: the search for the slot takes place while the entry is on its way. */
	pt__descend_in(ctx, in->ipa.v, PT_LEVEL_LAST, gs, false, &at);
	from = pt__slot_find(slots, in->ipa.v);
	if (PT__UNLIKELY(at.level != PT_LEVEL_LAST || !from ||
			 from->backing_shift > gs || /* a table where a block could be */
			 from->flags & (PT_SLOT_READ_ONLY | PT_SLOT_LOG_DIRTY)))
		return PT_MORE;
	page = (in->ipa.v & ~((UINT64_C(1) << gs) - 1)) - from->ipa + from->pa;
	want = page | ctx->fault_attrs | PT_PTE_TYPE;
	if (at.entry)
		return relax(ctx, in, page, want, at.slot, at.entry, gs, out);
	pt__clean_for(ctx, 0, page, UINT64_C(1) << gs);
	if (!pt_pte_cas(at.slot, &old, want | PT_PTE_S2AP_W))
		return PT_MORE;
	report(in, page, PT_PTE_S2AP_R | PT_PTE_S2AP_W, gs, out);
	return PT_MAPPED;
}

enum pt_outcome pt_fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				const struct pt_fault *fault, struct pt_fault_result *result)
{
	enum pt_outcome outcome = PT_MORE;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, result, ctx, (uintptr_t)agent, 0);
	if (PT__LIKELY(is_plain(agent, ctx, fault)))
		outcome = PT__BY_GRANULE(&ctx->geo, handle(ctx, fault, result, 12),
					 handle(ctx, fault, result, 14),
					 handle(ctx, fault, result, 16));
	if (PT__UNLIKELY(outcome == PT_MORE))
		outcome = pt__fault_handle(agent, ctx, fault, result);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, result, ctx, outcome, 0);
	return outcome;
}
