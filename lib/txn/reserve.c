/* SPDX-License-Identifier: BSD-2-Clause */
/* Table pages of a context: failpoint, quota, the machine's PA window, and the pool. */
#include "internal.h"

bool pt__page_in_window(const struct pt_machine *machine, struct pt_page page, uint64_t bytes)
{
	const struct pt_port *port = machine->port;

	return port->table_pa + page.off + bytes <= UINT64_C(1) << machine->pa_bits;
}

uint64_t pt_ctx_table_limit(const struct pt_ctx *ctx)
{
	uint64_t quota = atomic_load_explicit(&ctx->quota_pages, memory_order_relaxed), more = 0;
	const _Atomic uint64_t *bytes = atomic_load_explicit(&ctx->topped_up, memory_order_relaxed);

	if (bytes)
		more = atomic_load_explicit(bytes, memory_order_relaxed) >> ctx->geo.granule_shift;
	return quota + more < quota ? UINT64_MAX : quota + more;
}

static enum pt_outcome charge(struct pt_ctx *ctx, uint64_t pages)
{
	uint64_t quota = pt_ctx_table_limit(ctx);
	uint64_t now = atomic_load_explicit(&ctx->table_pages, memory_order_relaxed);

	for (uint64_t i = 0; i < pages; i++)
		if (pt_port_failpoint(PT_FP_POOL_RESERVE, ctx->scope))
			return PT_NO_MEMORY;
	/* Never above the quota, not even for a moment: who asks for less meanwhile would fail,
	 * too. */
	do {
		if (pages > quota || now > quota - pages)
			return PT_QUOTA;
	} while (!atomic_compare_exchange_weak_explicit(
		&ctx->table_pages, &now, now + pages, memory_order_relaxed, memory_order_relaxed));
	pt_port_note(PT_EVENT_CHARGE, 0, NULL, ctx, pages, quota);
	return PT_OK;
}

static void refund(struct pt_ctx *ctx, uint64_t pages)
{
	pt_port_note(PT_EVENT_REFUND, 0, NULL, ctx, pages, 0);
	atomic_fetch_sub_explicit(&ctx->table_pages, pages, memory_order_relaxed);
}

/* Is every page of the list, up to `count` from its head, below the end of the machine's PA space?
 */
static bool list_in_window(const struct pt_pool *pool, const struct pt_ctx *ctx,
			   const struct pt_pages *list, uint32_t count)
{
	const struct pt_machine *machine = ctx->machine;
	uint64_t size = UINT64_C(1) << ctx->geo.granule_shift;
	struct pt_page top = {(uint64_t)pool->units << PT_POOL_UNIT_SHIFT};
	uint32_t unit = list->head;

	if (pt__page_in_window(machine, top, 0))
		return true;
	for (; count; count--, unit = pool->unit[unit].next)
		if (!pt__page_in_window(
			    machine, (struct pt_page){(uint64_t)unit << PT_POOL_UNIT_SHIFT}, size))
			return false;
	return true;
}

enum pt_outcome pt__pages_take(struct pt_agent *agent, struct pt_ctx *ctx, uint32_t count,
			       struct pt_pages *list)
{
	struct pt_pool *pool = &agent->world->pool;
	unsigned gs = ctx->geo.granule_shift;
	struct pt_pages got = {0, 0};
	enum pt_outcome outcome = charge(ctx, count);

	if (outcome != PT_OK)
		return outcome;
	outcome = pt_pool_take(agent, gs, count, &got);
	if (outcome == PT_OK && !list_in_window(pool, ctx, &got, count)) {
		pt_pool_give(agent, gs, &got);
		outcome = PT_NO_MEMORY;
	}
	if (outcome != PT_OK) {
		refund(ctx, count);
		return outcome;
	}
	if (!list->count) {
		*list = got;
		return PT_OK;
	}
	while (got.count)
		pt_pages_push(pool, list, pt_pages_pop(pool, &got));
	return PT_OK;
}

void pt__pages_give(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_pages *list)
{
	if (!list->count)
		return;
	refund(ctx, list->count);
	pt_pool_give(agent, ctx->geo.granule_shift, list);
}

enum pt_outcome pt__page_get(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_page *page)
{
	unsigned gs = ctx->geo.granule_shift;
	enum pt_outcome outcome = charge(ctx, 1);

	if (outcome != PT_OK)
		return outcome;
	outcome = pt_pool_get(agent, gs, page);
	if (outcome == PT_OK && !pt__page_in_window(ctx->machine, *page, UINT64_C(1) << gs)) {
		pt_pool_put(agent, gs, *page);
		outcome = PT_NO_MEMORY;
	}
	if (outcome != PT_OK)
		refund(ctx, 1);
	return outcome;
}

void pt__page_put(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_page page)
{
	refund(ctx, 1);
	pt_pool_put(agent, ctx->geo.granule_shift, page);
}
