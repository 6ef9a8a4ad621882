/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a store, and pieces: quota, pool, deferred free. */
#include "store.h"

#define PAGE (UINT64_C(1) << PT__STORE_SHIFT)

void pt_store_init(struct pt_store *store, struct pt_machine *machine, uint64_t quota_pages,
		   uint64_t scope)
{
	*store = (struct pt_store){
		.machine = machine, .port = machine->world->pool.port, .scope = scope};
	atomic_store_explicit(&store->quota_pages, quota_pages, memory_order_relaxed);
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_OWNER, &store->lock, NULL, 0, 0);
}

/* Never above the quota, not even for a moment. */
static bool charge(struct pt_store *store, uint64_t bytes)
{
	uint64_t pages = atomic_load_explicit(&store->quota_pages, memory_order_relaxed);
	uint64_t now = atomic_load_explicit(&store->bytes, memory_order_relaxed);

	do {
		if ((now + bytes + PAGE - 1) / PAGE > pages)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&store->bytes, &now, now + bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static void refund(struct pt_store *store, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&store->bytes, bytes, memory_order_relaxed);
}

/* The checker learns that this is no table. */
static void note_book(const struct pt_store *store, uint64_t off)
{
	pt_port_note(PT_EVENT_PAGE_BOOK, 0, pt__words(store, off), NULL, 0, 0);
}

static void note_pages(const struct pt_store *store, const struct pt_pages *list, uint32_t count)
{
#ifdef PT_CHECKED
	const struct pt_pool *pool = &store->machine->world->pool;
	uint32_t unit = list->head;

	for (; count; count--, unit = pool->unit[unit].next)
		note_book(store, (uint64_t)unit << PT_POOL_UNIT_SHIFT);
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
	if (!charge(store, count * PAGE))
		return PT_QUOTA;
	if (pt_pool_take(agent, PT__STORE_SHIFT, count, list) != PT_OK) {
		refund(store, count * PAGE);
		return PT_NO_MEMORY;
	}
	note_pages(store, list, count);
	return PT_OK;
}

enum pt_outcome pt__store_take_piece(struct pt_store *store, struct pt_agent *agent, uint32_t bytes,
				     uint64_t *piece)
{
	struct pt_page page;

	if (pt_port_failpoint(PT_FP_POOL_RESERVE, store->scope))
		return PT_NO_MEMORY;
	if (!charge(store, bytes))
		return PT_QUOTA;
	if (pt_pool_get_root(agent, bytes, &page) != PT_OK) {
		refund(store, bytes);
		return PT_NO_MEMORY;
	}
	note_book(store, page.off);
	*piece = page.off;
	return PT_OK;
}

void pt__store_give(struct pt_store *store, struct pt_agent *agent, struct pt_pages *list)
{
	if (!list->count)
		return;
	refund(store, list->count * PAGE);
	pt_pool_give(agent, PT__STORE_SHIFT, list);
}

void pt__store_give_piece(struct pt_store *store, struct pt_agent *agent, uint32_t bytes,
			  uint64_t piece)
{
	if (!piece)
		return;
	refund(store, bytes);
	pt_pool_put_root(agent, bytes, (struct pt_page){piece});
}

void pt__store_retire(struct pt_store *store, struct pt_agent *agent, struct pt_pages *list)
{
	if (!list->count)
		return;
	refund(store, list->count * PAGE);
	pt_retire(agent, PT__STORE_SHIFT, list);
}

void pt__store_retire_pieces(struct pt_store *store, struct pt_agent *agent, uint32_t bytes,
			     struct pt_pieces *list)
{
	if (!list->count)
		return;
	refund(store, (uint64_t)list->count * bytes);
	pt_retire_pieces(agent, list);
}
