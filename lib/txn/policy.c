/* SPDX-License-Identifier: BSD-2-Clause */
/* What a context restricts its maps to: policies, memory that is not there, the owners of frames
 * and of software bits. */
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

void pt_ctx_set_present(struct pt_ctx *ctx, pt_present_fn present, void *arg)
{
	ctx->present = present;
	ctx->present_arg = arg;
}

void pt_ctx_set_owner_rules(struct pt_ctx *ctx, const struct pt_owner_rules *rules, void *arg)
{
	ctx->owner_arg = arg;
	ctx->owner_rules = rules;
	ctx->ruled |= ctx->plain;
	ctx->plain = false;
	ctx->direct = false;
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
	const uint32_t each = 0x01010101;
	uint32_t now = atomic_load_explicit(&ctx->sw_owner, memory_order_relaxed);
	uint32_t differ = now ^ each * (uint32_t)owner;

	/* Owners have two bits: the lowest of each byte now says whether it is another's. The
	 * product brings those of the four bytes side by side. */
	differ = (differ | differ >> 1) & each;
	return ((differ ^ each) * 0x10204080 >> 28) << PT_PROT_SW_SHIFT;
}

/* Would a block in the place of tables lose what lib/owner has in their leaves? */
static bool keeps_states(const struct pt_item *item)
{
	return item->flags & PT_MAP_REPLACE && !(item->flags & PT_ITEM_OWNER) &&
	       pt_ctx_sw_of(item->ctx, PT_SW_OWNERSHIP);
}

void pt__item_policy(struct pt_item *item)
{
	const struct pt_ctx *ctx = item->ctx;

	if (item->kind != PT_ITEM_MAP || item->flags & PT_MAP_FORCE_PAGES)
		return;
	if (keeps_states(item) ||
	    (ctx->force_pages &&
	     ctx->force_pages(ctx->force_pages_arg, item->ipa, item->size, item->prot)))
		item->flags |= PT_MAP_FORCE_PAGES;
}

enum pt_outcome pt__owner_may(const struct pt_item *item, uint64_t *ipa, uint64_t last,
			      int64_t *left)
{
	const struct pt_ctx *ctx = item->ctx;
	enum pt_outcome outcome = PT_OK;

	if (item->kind > PT_ITEM_MAKE_YOUNG)
		*ipa = last + 1;
	while (*ipa <= last && *left > 0) {
		uint64_t until = last;

		outcome = ctx->owner_rules->may(ctx->owner_arg, item, *ipa, &until);
		if (outcome != PT_OK)
			break;
		*ipa = until + 1;
		*left -= 4; /* what it looks up, in descriptors */
	}
	return outcome;
}
