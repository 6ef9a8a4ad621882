/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/txn and lib/s2 share with each other; private to lib. */
#ifndef PT_TXN_INTERNAL_H
#define PT_TXN_INTERNAL_H

#include <pt/txn.h>

#include "../walk/inline.h"

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

/* As pt_claim_acquire(), exclusive; but when it was queued, its owner makes it active after the
 * wake: true, or false while it is queued still. Then pt_grace_begin(). */
enum pt_outcome pt__claim_acquire_lazy(struct pt_claim *claim, struct pt_ctx *ctx, uint64_t lo,
				       uint64_t hi, bool teardown,
				       void (*wake)(struct pt_waiter *));
bool pt__claim_activate(struct pt_claim *claim);
/* Wakes who waits on a context that has just been torn down. */
void pt__claims_wake(struct pt_machine *machine);

/* ledger.c: one leaf, at once. */
void pt__tlbi_leaf(const struct pt_ctx *ctx, uint64_t ipa, int level);
/* The faulting vCPU's own entries for the leaf at `ipa`. */
void pt__tlbi_local(const struct pt_ctx *ctx, uint32_t vcpu, uint64_t ipa, int level);

/* Cache maintenance before a leaf becomes valid (KVM: between break and make). */
PT__INLINE void pt__clean_for(const struct pt_ctx *ctx, uint32_t prot, uint64_t pa, uint64_t size)
{
	if (!(ctx->attrs & PT_ATTR_FWB) && pt_prot_memtype(prot) == PT_MEM_NORMAL)
		pt_port_dcache_clean_inval_poc(ctx->machine->port, pt_pa(pa), size);
	if (prot & PT_PROT_X)
		pt_port_icache_inval_pou(ctx->machine->port, pt_pa(pa), size);
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

/* reserve.c: table pages of a context, with failpoint, quota and the machine's PA window. */
enum pt_outcome pt__pages_take(struct pt_agent *agent, struct pt_ctx *ctx, uint32_t count,
			       struct pt_pages *list);
void pt__pages_give(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_pages *list);
enum pt_outcome pt__page_get(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_page *page);
void pt__page_put(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_page page);
bool pt__page_in_window(const struct pt_machine *machine, struct pt_page page, uint64_t bytes);

#endif
