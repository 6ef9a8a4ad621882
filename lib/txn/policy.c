/* SPDX-License-Identifier: BSD-2-Clause */
/* What a context restricts its maps to: policies, and the owners of software bits. */
#include "internal.h"

enum pt_outcome pt_ctx_set_policy(struct pt_ctx *ctx, uint32_t policy,
				  pt_force_pages_fn force_pages, void *arg)
{
	if (policy & ~PT_CTX_IDENTITY)
		return PT_INVALID;
	ctx->policy = (uint8_t)policy;
	ctx->force_pages = force_pages;
	ctx->force_pages_arg = arg;
	return PT_OK;
}

/* Each bit of `mask` in the lowest place of a byte of its own. */
static uint32_t spread(uint32_t mask)
{
	uint32_t bits = mask >> PT_PROT_SW_SHIFT;

	return (bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21;
}

enum pt_outcome pt_ctx_sw_own(struct pt_ctx *ctx, uint32_t mask, enum pt_sw_owner owner)
{
	uint32_t mine = spread(mask) * (uint32_t)owner, bytes = spread(mask) * 0xff;
	uint32_t now = atomic_load_explicit(&ctx->sw_owner, memory_order_relaxed), new;

	if (mask & ~PT_PROT_SW || owner < PT_SW_OWNERSHIP || owner > PT_SW_CALLER)
		return PT_INVALID;
	do {
		for (uint32_t byte = 0xff; byte; byte <<= 8)
			if (now & bytes & byte && (now ^ mine) & bytes & byte)
				return PT_WRONG_STATE;
		new = (now & ~bytes) | mine;
	} while (!atomic_compare_exchange_weak(&ctx->sw_owner, &now, new));
	return PT_OK;
}

uint32_t pt_ctx_sw_of(const struct pt_ctx *ctx, enum pt_sw_owner owner)
{
	uint32_t now = atomic_load_explicit(&ctx->sw_owner, memory_order_relaxed), mask = 0;

	for (unsigned bit = 0; bit < 4; bit++)
		if ((now >> (8 * bit) & 0xff) == owner)
			mask |= UINT32_C(1) << (PT_PROT_SW_SHIFT + bit);
	return mask;
}

void pt__item_policy(struct pt_item *item)
{
	const struct pt_ctx *ctx = item->ctx;

	if (item->kind != PT_ITEM_MAP || item->flags & PT_MAP_FORCE_PAGES)
		return;
	if (ctx->force_pages(ctx->force_pages_arg, item->ipa, item->size, item->prot))
		item->flags |= PT_MAP_FORCE_PAGES;
}
