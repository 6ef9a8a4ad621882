/* SPDX-License-Identifier: BSD-2-Clause */
/* Claims on several contexts, asked for at once. */
#include "internal.h"

/* Puts a claim in its place among those that `first` begins. False: its context is there, or it is
 * of another machine. */
static bool join(struct pt_claim **first, struct pt_claim *claim)
{
	struct pt_claim **at = first;

	if (*first && (*first)->ctx->machine != claim->ctx->machine)
		return false;
	while (*at && (*at)->ctx->number < claim->ctx->number)
		at = &(*at)->with;
	if (*at && (*at)->ctx == claim->ctx)
		return false;
	claim->with = *at;
	*at = claim;
	return true;
}

enum pt_outcome pt__claims_acquire(struct pt_claim *const claim[], uint32_t count,
				   enum pt_claim_mode mode, bool lazy,
				   void (*wake)(struct pt_waiter *))
{
	struct pt_claim *first = NULL;

	if (!count || count > PT_CLAIMS_AT_ONCE)
		return PT_INVALID;
	for (uint32_t i = 0; i < count; i++) {
		*claim[i] = (struct pt_claim){.ctx = claim[i]->ctx,
					      .lo = claim[i]->lo,
					      .hi = claim[i]->hi,
					      .mode = mode,
					      .slot = -1,
					      .lazy = lazy,
					      .told = i == 0};
		if (!join(&first, claim[i]))
			return PT_INVALID;
	}
	return pt__claim_ask(first, false, wake);
}

enum pt_outcome pt_claims_acquire(struct pt_claim *const claim[], uint32_t count,
				  enum pt_claim_mode mode, void (*wake)(struct pt_waiter *))
{
	return pt__claims_acquire(claim, count, mode, false, wake);
}
