/* SPDX-License-Identifier: BSD-2-Clause */
/* The buddy allocator below the pool: naturally aligned pieces in units of 4 KiB; private to
 * lib/pool. */
#ifndef PT_POOL_BUDDY_H
#define PT_POOL_BUDDY_H

#include <pt/machine.h>

/* Called with pool->lock held. A unit index, or 0: none is left. */
uint32_t pt__buddy_get(struct pt_pool *pool, unsigned order);
void pt__buddy_put(struct pt_pool *pool, uint32_t unit, unsigned order);

/* The same for pieces of the largest order: one that has been written, and back without memory. */
uint32_t pt__buddy_get_warm(struct pt_pool *pool);
void pt__buddy_put_cold(struct pt_pool *pool, uint32_t unit);

/* Before the first of both: the units below `units`, in pieces of `order`, are handed out. */
void pt__buddy_adopt(struct pt_pool *pool, unsigned order, uint32_t units);

/* A piece of 64 << class bytes inside one unit: a byte offset, or 0. With the lock held. */
uint64_t pt__small_get(struct pt_pool *pool, unsigned class);
void pt__small_put(struct pt_pool *pool, uint64_t off, unsigned class);

#endif
