/* SPDX-License-Identifier: BSD-2-Clause */
/* Table pages: magazines of each agent in front of the buddy allocator, page lists, start tables.
 */
#include "buddy.h"

/* Pages moved under one hold of the pool's lock. */
#define BATCH 32u

static unsigned order_of(unsigned granule_shift)
{
	return granule_shift - PT_POOL_UNIT_SHIFT;
}

static struct pt_magazine *magazine_of(struct pt_agent *agent, unsigned granule_shift)
{
	return &agent->magazine[(granule_shift - 12) / 2];
}

static struct pt_page page_of(uint32_t unit)
{
	return (struct pt_page){(uint64_t)unit << PT_POOL_UNIT_SHIFT};
}

static void note(enum pt_event_kind kind, const struct pt_pool *pool, struct pt_page page,
		 uint64_t bytes)
{
	pt_port_note(kind, 0, pt_port_table(pool->port, pt_page_pa(pool->port, page)), NULL, bytes,
		     0);
}

/* What it hands out or takes back, page by page. */
static void note_list(enum pt_event_kind kind, const struct pt_pool *pool,
		      const struct pt_pages *list, unsigned granule_shift)
{
#ifdef PT_CHECKED
	uint32_t unit = list->head;

	for (uint32_t i = 0; i < list->count; i++, unit = pool->unit[unit].next)
		note(kind, pool, page_of(unit), UINT64_C(1) << granule_shift);
#else
	(void)kind, (void)pool, (void)list, (void)granule_shift;
#endif
}

static void account(struct pt_pool *pool, uint64_t bytes)
{
	atomic_fetch_add_explicit(&pool->used_bytes, bytes, memory_order_relaxed);
}

static uint32_t unit_of(struct pt_page page)
{
	return (uint32_t)(page.off >> PT_POOL_UNIT_SHIFT);
}

void pt_pool_init(struct pt_pool *pool, struct pt_port *port, struct pt_pool_unit *unit,
		  uint32_t units)
{
	pt_port_note(PT_EVENT_MEMORY, 0, pt_port_table(port, pt_pa(port->table_pa)), pool,
		     (uint64_t)units << PT_POOL_UNIT_SHIFT, 0);
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_POOL, &pool->lock, NULL, 0, 0);
	pool->port = port;
	pool->unit = unit;
	pool->units = units;
	pool->untouched = 1; /* index 0 ends lists */
	pool->total_bytes = (uint64_t)(units ? units - 1 : 0) << PT_POOL_UNIT_SHIFT;
	atomic_store_explicit(&pool->used_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&pool->spare, 0, memory_order_relaxed);
	pool->cold_head = 0;
	for (unsigned i = 0; i <= PT_POOL_MAX_ORDER; i++)
		pool->free_head[i] = 0;
	for (unsigned i = 0; i < 6; i++)
		pool->small_head[i] = 0;
}

void pt_pool_adopt(struct pt_pool *pool, unsigned granule_shift, uint32_t units)
{
	pt__buddy_adopt(pool, order_of(granule_shift), units);
	account(pool, (uint64_t)(units - 1) << PT_POOL_UNIT_SHIFT);
}

static void refill(struct pt_pool *pool, struct pt_magazine *magazine, unsigned order)
{
	pt_port_lock(&pool->lock);
	while (magazine->count < BATCH) {
		uint32_t unit = pt__buddy_get(pool, order);

		if (!unit)
			break;
		magazine->page[magazine->count++] = unit;
	}
	pt_port_unlock(&pool->lock);
}

static void drain(struct pt_pool *pool, struct pt_magazine *magazine, unsigned order, uint32_t keep)
{
	pt_port_lock(&pool->lock);
	while (magazine->count > keep)
		pt__buddy_put(pool, magazine->page[--magazine->count], order);
	pt_port_unlock(&pool->lock);
}

enum pt_outcome pt_pool_get(struct pt_agent *agent, unsigned granule_shift, struct pt_page *page)
{
	struct pt_magazine *magazine = magazine_of(agent, granule_shift);
	struct pt_pool *pool = &agent->world->pool;

	if (!magazine->count)
		refill(pool, magazine, order_of(granule_shift));
	if (!magazine->count)
		return PT_NO_MEMORY;
	*page = page_of(magazine->page[--magazine->count]);
	account(pool, UINT64_C(1) << granule_shift);
	note(PT_EVENT_PAGE_GET, pool, *page, UINT64_C(1) << granule_shift);
	return PT_OK;
}

void pt_pool_put(struct pt_agent *agent, unsigned granule_shift, struct pt_page page)
{
	struct pt_magazine *magazine = magazine_of(agent, granule_shift);
	struct pt_pool *pool = &agent->world->pool;

	note(PT_EVENT_PAGE_PUT, pool, page, UINT64_C(1) << granule_shift);
	if (magazine->count == PT_MAGAZINE)
		drain(pool, magazine, order_of(granule_shift), BATCH);
	magazine->page[magazine->count++] = unit_of(page);
	account(pool, -(UINT64_C(1) << granule_shift));
}

struct pt_page pt_pages_pop(struct pt_pool *pool, struct pt_pages *list)
{
	uint32_t unit = list->head;

	list->head = pool->unit[unit].next;
	list->count--;
	return page_of(unit);
}

void pt_pages_push(struct pt_pool *pool, struct pt_pages *list, struct pt_page page)
{
	uint32_t unit = unit_of(page);

	pool->unit[unit].next = list->head;
	list->head = unit;
	list->count++;
}

/* Takes up to `count` pages under one hold of the lock; returns how many. */
static uint32_t take_batch(struct pt_pool *pool, unsigned order, uint32_t count,
			   struct pt_pages *list)
{
	uint32_t taken = 0;

	pt_port_lock(&pool->lock);
	for (; taken < count; taken++) {
		uint32_t unit = pt__buddy_get(pool, order);

		if (!unit)
			break;
		pt_pages_push(pool, list, page_of(unit));
	}
	pt_port_unlock(&pool->lock);
	return taken;
}

enum pt_outcome pt_pool_take(struct pt_agent *agent, unsigned granule_shift, uint32_t count,
			     struct pt_pages *list)
{
	struct pt_magazine *magazine = magazine_of(agent, granule_shift);
	struct pt_pool *pool = &agent->world->pool;
	struct pt_pages got = {0, 0};

	while (got.count < count && magazine->count)
		pt_pages_push(pool, &got, page_of(magazine->page[--magazine->count]));
	while (got.count < count) {
		uint32_t want = count - got.count < BATCH ? count - got.count : BATCH;

		if (take_batch(pool, order_of(granule_shift), want, &got) < want)
			break;
	}
	account(pool, (uint64_t)got.count << granule_shift);
	note_list(PT_EVENT_PAGE_GET, pool, &got, granule_shift);
	if (got.count < count) {
		pt_pool_give(agent, granule_shift, &got);
		return PT_NO_MEMORY;
	}
	if (!list->count)
		*list = got;
	else
		while (got.count)
			pt_pages_push(pool, list, pt_pages_pop(pool, &got));
	return PT_OK;
}

void pt_pool_give(struct pt_agent *agent, unsigned granule_shift, struct pt_pages *list)
{
	struct pt_pool *pool = &agent->world->pool;

	note_list(PT_EVENT_PAGE_PUT, pool, list, granule_shift);
	account(pool, -((uint64_t)list->count << granule_shift));
	while (list->count) {
		pt_port_lock(&pool->lock);
		for (uint32_t i = 0; i < BATCH && list->count; i++)
			pt__buddy_put(pool, unit_of(pt_pages_pop(pool, list)),
				      order_of(granule_shift));
		pt_port_unlock(&pool->lock);
	}
}

/* Pieces in lists are named by this. */
#define PIECE_SHIFT 10

static uint32_t *next_gone(struct pt_pool *pool, uint32_t quarter)
{
	return &pool->unit[quarter / 4].next_gone[quarter % 4];
}

/* log2 of the piece that holds a start table of `bytes`: at least 64 bytes. */
static unsigned root_shift(uint32_t bytes)
{
	return bytes <= 64 ? 6 : 32 - (unsigned)__builtin_clz(bytes - 1);
}

enum pt_outcome pt_pool_get_root(struct pt_agent *agent, uint32_t bytes, struct pt_page *page)
{
	struct pt_pool *pool = &agent->world->pool;
	unsigned shift = root_shift(bytes);
	uint64_t off;

	if (shift > PT_POOL_UNIT_SHIFT + PT_POOL_MAX_ORDER)
		return PT_NO_MEMORY;
	pt_port_lock(&pool->lock);
	if (shift < PT_POOL_UNIT_SHIFT)
		off = pt__small_get(pool, shift - 6);
	else
		off = page_of(pt__buddy_get(pool, shift - PT_POOL_UNIT_SHIFT)).off;
	pt_port_unlock(&pool->lock);
	if (!off)
		return PT_NO_MEMORY;
	account(pool, UINT64_C(1) << shift);
	page->off = off;
	note(PT_EVENT_PAGE_GET, pool, *page, UINT64_C(1) << shift);
	return PT_OK;
}

void pt_pool_put_root(struct pt_agent *agent, uint32_t bytes, struct pt_page page)
{
	struct pt_pool *pool = &agent->world->pool;
	unsigned shift = root_shift(bytes);

	note(PT_EVENT_PAGE_PUT, pool, page, UINT64_C(1) << shift);
	pt_port_lock(&pool->lock);
	if (shift < PT_POOL_UNIT_SHIFT)
		pt__small_put(pool, page.off, shift - 6);
	else
		pt__buddy_put(pool, unit_of(page), shift - PT_POOL_UNIT_SHIFT);
	pt_port_unlock(&pool->lock);
	account(pool, -(UINT64_C(1) << shift));
}

struct pt_page pt_pieces_pop(struct pt_pool *pool, struct pt_pieces *list)
{
	struct pt_page piece = {(uint64_t)list->head << PIECE_SHIFT};

	list->head = *next_gone(pool, list->head);
	list->count--;
	return piece;
}

void pt_pieces_push(struct pt_pool *pool, struct pt_pieces *list, struct pt_page piece)
{
	uint32_t quarter = (uint32_t)(piece.off >> PIECE_SHIFT);

	*next_gone(pool, quarter) = list->head;
	list->head = quarter;
	list->count++;
}

/* Puts back at most BATCH of them; returns their bytes. */
static uint64_t put_pieces(struct pt_pool *pool, struct pt_pieces *list)
{
	uint64_t bytes = 0;

	pt_port_lock(&pool->lock);
	for (uint32_t i = 0; i < BATCH && list->count; i++) {
		struct pt_page piece = pt_pieces_pop(pool, list);
		uint32_t size = pt_piece_bytes(pool, piece);

		note(PT_EVENT_PAGE_PUT, pool, piece, size);
		pt__small_put(pool, piece.off, root_shift(size) - 6);
		bytes += size;
	}
	pt_port_unlock(&pool->lock);
	return bytes;
}

void pt_pool_give_pieces(struct pt_agent *agent, struct pt_pieces *list)
{
	struct pt_pool *pool = &agent->world->pool;

	while (list->count)
		account(pool, -put_pieces(pool, list));
}

bool pt_pool_take_spare(struct pt_pool *pool, struct pt_page *piece)
{
	uint32_t unit;

	pt_port_lock(&pool->lock);
	unit = pt__buddy_get_warm(pool);
	pt_port_unlock(&pool->lock);
	if (unit)
		*piece = page_of(unit);
	return unit;
}

void pt_pool_put_spare(struct pt_pool *pool, struct pt_page piece)
{
	pt_port_lock(&pool->lock);
	pt__buddy_put_cold(pool, unit_of(piece));
	pt_port_unlock(&pool->lock);
}

void pt_pool_flush_magazines(struct pt_agent *agent)
{
	for (unsigned i = 0; i < 3; i++)
		drain(&agent->world->pool, &agent->magazine[i], 2 * i, 0);
}
