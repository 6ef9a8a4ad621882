/* SPDX-License-Identifier: BSD-2-Clause */
/* A buddy allocator over unit metadata, with a frontier below which memory was never handed out. */
#include "buddy.h"

/*
 * States of a unit that heads a piece; the others of a piece are UNIT_INSIDE (0, as the caller's
 * zeroed array starts). Free pieces are on free_head[order]; units cut into small pieces that have
 * room are on small_head[class]. Memory behind the frontier `untouched` was never written, so the
 * kernel behind a host port has not given it a page yet: pieces come off the lists first. The same
 * holds for pieces of the largest order on cold_head: what was written there has been let go.
 */
enum unit_state { UNIT_INSIDE, UNIT_FREE, UNIT_USED, UNIT_SMALL };

static void list_add(struct pt_pool *pool, uint32_t *head, uint32_t at)
{
	struct pt_pool_unit *unit = &pool->unit[at];

	unit->prev = 0;
	unit->next = *head;
	if (*head)
		pool->unit[*head].prev = at;
	*head = at;
}

static void list_del(struct pt_pool *pool, uint32_t *head, uint32_t at)
{
	struct pt_pool_unit *unit = &pool->unit[at];

	if (unit->prev)
		pool->unit[unit->prev].next = unit->next;
	else
		*head = unit->next;
	if (unit->next)
		pool->unit[unit->next].prev = unit->prev;
}

/* One writer at a time: the lock's holder. */
static void spare_add(struct pt_pool *pool, uint32_t n)
{
	atomic_store_explicit(&pool->spare, pt_pool_spare(pool) + n, memory_order_relaxed);
}

static void free_add(struct pt_pool *pool, uint32_t at, unsigned order)
{
	pool->unit[at].order = (uint8_t)order;
	pool->unit[at].state = UNIT_FREE;
	list_add(pool, &pool->free_head[order], at);
	if (order == PT_POOL_MAX_ORDER)
		spare_add(pool, 1);
}

static uint32_t use(struct pt_pool *pool, uint32_t at, unsigned order)
{
	pool->unit[at].order = (uint8_t)order;
	pool->unit[at].state = UNIT_USED;
	return at;
}

/* Moves the frontier past one aligned piece; the units skipped for alignment become free pieces. */
static uint32_t frontier_get(struct pt_pool *pool, unsigned order)
{
	uint32_t size = 1u << order;
	uint64_t start = ((uint64_t)pool->untouched + size - 1) & ~((uint64_t)size - 1);

	if (start + size > pool->units)
		return 0;
	while (pool->untouched < start) {
		unsigned gap = (unsigned)__builtin_ctz(pool->untouched);

		free_add(pool, pool->untouched, gap);
		pool->untouched += 1u << gap;
	}
	pool->untouched = (uint32_t)start + size;
	return use(pool, (uint32_t)start, order);
}

static uint32_t warm_get(struct pt_pool *pool)
{
	uint32_t at = pool->free_head[PT_POOL_MAX_ORDER];

	if (at) {
		list_del(pool, &pool->free_head[PT_POOL_MAX_ORDER], at);
		spare_add(pool, -1u);
	}
	return at;
}

/* A free piece of the largest order, better one that has memory; 0: there is none. */
static uint32_t largest_get(struct pt_pool *pool)
{
	uint32_t at = warm_get(pool);

	if (!at && pool->cold_head) {
		at = pool->cold_head;
		list_del(pool, &pool->cold_head, at);
	}
	return at;
}

uint32_t pt__buddy_get(struct pt_pool *pool, unsigned order)
{
	unsigned have = order;
	uint32_t at;

	while (have <= PT_POOL_MAX_ORDER && !pool->free_head[have])
		have++;
	if (have < PT_POOL_MAX_ORDER) {
		at = pool->free_head[have];
		list_del(pool, &pool->free_head[have], at);
	} else {
		have = PT_POOL_MAX_ORDER;
		at = largest_get(pool);
	}
	if (!at)
		return frontier_get(pool, order);
	while (have > order) {
		have--;
		free_add(pool, at + (1u << have), have);
	}
	return use(pool, at, order);
}

void pt__buddy_put(struct pt_pool *pool, uint32_t at, unsigned order)
{
	pool->unit[at].state = UNIT_INSIDE;
	while (order < PT_POOL_MAX_ORDER) {
		uint32_t buddy = at ^ (1u << order);

		if (buddy >= pool->untouched || pool->unit[buddy].state != UNIT_FREE ||
		    pool->unit[buddy].order != order)
			break;
		list_del(pool, &pool->free_head[order], buddy);
		pool->unit[buddy].state = UNIT_INSIDE;
		at &= ~(1u << order);
		order++;
	}
	free_add(pool, at, order);
}

uint32_t pt__buddy_get_warm(struct pt_pool *pool)
{
	uint32_t at = warm_get(pool);

	return at ? use(pool, at, PT_POOL_MAX_ORDER) : 0;
}

void pt__buddy_put_cold(struct pt_pool *pool, uint32_t at)
{
	pool->unit[at].state = UNIT_FREE;
	list_add(pool, &pool->cold_head, at);
}

void pt__buddy_adopt(struct pt_pool *pool, unsigned order, uint32_t units)
{
	for (uint32_t at = 1u << order; at < units; at += 1u << order)
		use(pool, at, order);
	pool->untouched = units;
}

/* A unit holds 64 >> class pieces; this is the bitmap of a full one. */
static uint64_t small_full(unsigned class)
{
	return class == 0 ? UINT64_MAX : (UINT64_C(1) << (64u >> class)) - 1;
}

uint64_t pt__small_get(struct pt_pool *pool, unsigned class)
{
	uint32_t at = pool->small_head[class];
	struct pt_pool_unit *unit;
	unsigned bit;

	if (!at) {
		at = pt__buddy_get(pool, 0);
		if (!at)
			return 0;
		pool->unit[at].state = UNIT_SMALL;
		pool->unit[at].small_class = (uint16_t) class;
		pool->unit[at].small_used = 0;
		list_add(pool, &pool->small_head[class], at);
	}
	unit = &pool->unit[at];
	bit = (unsigned)__builtin_ctzll(~unit->small_used);
	unit->small_used |= UINT64_C(1) << bit;
	if (unit->small_used == small_full(class))
		list_del(pool, &pool->small_head[class], at);
	return ((uint64_t)at << PT_POOL_UNIT_SHIFT) + ((uint64_t)bit << (6 + class));
}

void pt__small_put(struct pt_pool *pool, uint64_t off, unsigned class)
{
	uint32_t at = (uint32_t)(off >> PT_POOL_UNIT_SHIFT);
	struct pt_pool_unit *unit = &pool->unit[at];
	unsigned bit = (unsigned)(off & ((1u << PT_POOL_UNIT_SHIFT) - 1)) >> (6 + class);

	if (unit->small_used == small_full(class))
		list_add(pool, &pool->small_head[class], at);
	unit->small_used &= ~(UINT64_C(1) << bit);
	if (!unit->small_used) {
		list_del(pool, &pool->small_head[class], at);
		pt__buddy_put(pool, at, 0);
	}
}
