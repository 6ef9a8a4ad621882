/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's memory as EL2 sees it: a canonical IPA, its leaf, and the frame. */
#include "internal.h"

#include <pt/walk.h>

#include "../txn/internal.h"

/*
 * A change that claims the address later waits for this section before it is carried out; one that
 * has claimed it is seen. So the frame stays the guest's to the section's end
 * (docs/concurrency.md).
 */
static enum pt_outcome frame_of(const struct pt_hv_nest *nest, struct pt_ipa ipa, uint32_t need,
				uint64_t *pa)
{
	struct pt_ctx *ctx = nest->nested.canonical;
	uint64_t page = ipa.v & ~(pt_level_size(&ctx->geo, PT_LEVEL_LAST) - 1);
	uint32_t prot;
	pt_pte e;
	int level;

	if (ipa.v >> ctx->geo.ipa_bits ||
	    pt__admit(ctx, page, page + pt_level_size(&ctx->geo, PT_LEVEL_LAST) - 1) != PT_OK ||
	    pt_get_leaf(ctx, ipa, &e, &level) != PT_OK || !pt_pte_valid(e))
		return PT_NO_SLOT;
	prot = pt_leaf_prot(&ctx->geo, e, ctx->attrs);
	*pa = pt_pte_to_oa(&ctx->geo, e).v + (ipa.v & (pt_level_size(&ctx->geo, level) - 1));
	if (!(prot & PT_PROT_R) || pt_hv_may_map(nest->hv, *pa, sizeof(uint64_t)) != PT_OK)
		return PT_NO_SLOT;
	return need & ~prot ? PT_READ_ONLY : PT_OK;
}

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	const struct pt_hv_nest *nest = arg;
	const struct pt_hv_nest_args *args = &nest->hv->nests->args;
	uint64_t pa;
	enum pt_outcome outcome = frame_of(nest, ipa, PT_PROT_R, &pa);

	if (outcome == PT_OK)
		*word = args->load(args->arg, pa);
	return outcome;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	const struct pt_hv_nest *nest = arg;
	const struct pt_hv_nest_args *args = &nest->hv->nests->args;
	uint64_t pa;
	enum pt_outcome outcome = frame_of(nest, ipa, PT_PROT_W, &pa);

	if (outcome != PT_OK)
		return outcome;
	return args->swap(args->arg, pa, word, to) ? PT_OK : PT_RACED;
}

struct pt_guest_memory pt__hv_nest_memory(struct pt_hv_nest *nest)
{
	return (struct pt_guest_memory){.load = load, .swap = swap, .arg = nest};
}
