/* SPDX-License-Identifier: BSD-2-Clause */
/* SPLIT: blocks of the range become tables, from the top down and batch by batch. */
#include "range.h"
#include "upkeep.h"

/* Table pages for up to *n blocks; what there is, and why there is no more in upkeep->stopped. */
static void take_pages(struct pt_upkeep *upkeep, struct pt_page *page, unsigned *n)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	unsigned got = 0;

	for (; got < *n; got++) {
		enum pt_outcome outcome = PT_MORE;

		if (!args->page_budget || upkeep->pages < args->page_budget)
			outcome = pt__page_get(upkeep->agent, args->ctx, &page[got]);
		if (outcome != PT_OK) {
			upkeep->stopped = outcome;
			break;
		}
		upkeep->pages++;
	}
	*n = got;
}

/* What a block's table takes from the budget. */
static int64_t split_cost(const struct pt_geometry *g)
{
	return pt_table_entries(g) + pt__new_table(pt_table_entries(g));
}

/* How many blocks side by side from here on the range, the claim and the budget allow. */
static unsigned batch(const struct pt_upkeep *upkeep, const struct pt__at *at, int64_t left)
{
	const struct pt_geometry *g = &upkeep->args.ctx->geo;
	uint64_t mask = (UINT64_C(1) << at->shift) - 1, base = upkeep->next & ~mask;
	uint64_t most = PT_RESIZE_BATCH, n = 1, cost = (uint64_t)split_cost(g);
	uint32_t room =
		(at->level == g->start_level ? g->start_entries : pt_table_entries(g)) - at->index;

	if (most > (uint64_t)left / cost + 1)
		most = (uint64_t)left / cost + 1;
	if (most > room)
		most = room;
	while (n < most && base + n * (mask + 1) <= upkeep->last &&
	       ((base + n * (mask + 1)) | mask) <= upkeep->claim.hi &&
	       pt_pte_is_leaf(pt_pte_load(at->slot + n), at->level) &&
	       !(pt_pte_load(at->slot + n) & PT_PTE_CONTIGUOUS))
		n++;
	return (unsigned)n;
}

static enum pt_outcome split(struct pt_upkeep *upkeep, const struct pt__at *at, int64_t *left)
{
	struct pt__resize rs = {upkeep->args.ctx, &upkeep->ledger, &upkeep->effects};
	unsigned gs = upkeep->args.ctx->geo.granule_shift;
	unsigned span = pt__span_shift(gs, at->entry, at->level, at->shift);
	uint64_t mask = (UINT64_C(1) << span) - 1, base = upkeep->next & ~mask;
	struct pt_page page[PT_RESIZE_BATCH];
	unsigned n;

	if (base < upkeep->claim.lo || (base | mask) > upkeep->claim.hi)
		return PT_PARKED;
	if (span != at->shift) { /* then its blocks, one batch after the other */
		pt__regroup(&rs, at->slot, upkeep->next, at->level, &(struct pt__regroup){0});
		upkeep->effects.leaves_written += UINT64_C(1) << (span - at->shift);
		*left -= INT64_C(1) << (span - at->shift);
		return PT_OK;
	}
	n = batch(upkeep, at, *left);
	take_pages(upkeep, page, &n);
	if (n)
		pt__split_blocks(&rs, at->slot, base, at->level, page, n);
	if (n && at->level + 1 == upkeep->args.level)
		pt__upkeep_pass(upkeep, at->level, n);
	*left -= (int64_t)n * split_cost(&upkeep->args.ctx->geo);
	return PT_OK;
}

enum pt_outcome pt__split_range(struct pt_upkeep *upkeep, int64_t *left)
{
	struct pt_ctx *ctx = upkeep->args.ctx;
	int level = upkeep->args.level;

	if (level <= ctx->geo.start_level)
		upkeep->next = upkeep->last + 1; /* no leaf is larger */
	while (upkeep->next <= upkeep->last && upkeep->stopped == PT_OK) {
		struct pt__at at;
		enum pt_outcome outcome = PT_OK;

		if (*left <= 0)
			return PT_MORE;
		pt__descend(ctx, upkeep->next, level, ctx->geo.granule_shift, &at);
		if (at.level < level && pt_pte_valid(at.entry))
			outcome = split(upkeep, &at, left);
		else /* a hole, or a table all of whose leaves are small enough */
			pt__upkeep_pass(upkeep, at.level < level ? at.level : level - 1, 1);
		--*left;
		if (outcome != PT_OK)
			return outcome;
	}
	return PT_OK;
}
