/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a store: quota, pool, deferred free. */
#include "store.h"

void pt_store_init(struct pt_store *store, struct pt_machine *machine, uint64_t quota_pages,
		   uint64_t scope)
{
	*store = (struct pt_store){
		.machine = machine, .port = machine->world->pool.port, .scope = scope};
	atomic_store_explicit(&store->quota_pages, quota_pages, memory_order_relaxed);
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_OWNER, &store->lock, NULL, 0, 0);
}

/* Never above the quota, not even for a moment. */
static bool charge(struct pt_store *store, uint64_t pages)
{
	uint64_t quota = atomic_load_explicit(&store->quota_pages, memory_order_relaxed);
	uint64_t now = atomic_load_explicit(&store->pages, memory_order_relaxed);

	do {
		if (pages > quota || now > quota - pages)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&store->pages, &now, now + pages, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static void refund(struct pt_store *store, uint64_t pages)
{
	atomic_fetch_sub_explicit(&store->pages, pages, memory_order_relaxed);
}

/* The checker learns that the first `count` pages are no tables. */
static void note_pages(const struct pt_store *store, const struct pt_pages *list, uint32_t count)
{
#ifdef PT_CHECKED
	const struct pt_pool *pool = &store->machine->world->pool;
	uint32_t unit = list->head;

	for (; count; count--, unit = pool->unit[unit].next)
		pt_port_note(PT_EVENT_PAGE_BOOK, 0,
			     pt__words(store, (uint64_t)unit << PT_POOL_UNIT_SHIFT), NULL, 0, 0);
#else
	(void)store, (void)list, (void)count;
#endif
}

enum pt_outcome pt__store_take(struct pt_store *store, struct pt_agent *agent, uint32_t count,
			       struct pt_pages *list)
{
	for (uint32_t i = 0; i < count; i++)
		if (pt_port_failpoint(PT_FP_POOL_RESERVE, store->scope))
			return PT_NO_MEMORY;
	if (!charge(store, count))
		return PT_QUOTA;
	if (pt_pool_take(agent, PT__STORE_SHIFT, count, list) != PT_OK) {
		refund(store, count);
		return PT_NO_MEMORY;
	}
	note_pages(store, list, count);
	return PT_OK;
}

void pt__store_give(struct pt_store *store, struct pt_agent *agent, struct pt_pages *list)
{
	if (!list->count)
		return;
	refund(store, list->count);
	pt_pool_give(agent, PT__STORE_SHIFT, list);
}

void pt__store_retire(struct pt_store *store, struct pt_agent *agent, struct pt_pages *list)
{
	if (!list->count)
		return;
	refund(store, list->count);
	pt_retire(agent, PT__STORE_SHIFT, list);
}
