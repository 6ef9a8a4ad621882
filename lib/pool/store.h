/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a store and their words; private to lib. */
#ifndef POOL_STORE_H
#define POOL_STORE_H

#include <pt/sparse.h>

#define PT__STORE_SHIFT 12

/* A page is this many words. They are read and written with acquire and release, so that neither a
 * sequence number nor a link needs a fence. */
#define PT__PAGE_WORDS 512u

typedef _Atomic uint64_t pt__word;

static inline const struct pt_port *pt__store_port(const struct pt_store *store)
{
	return store->port;
}

static inline pt__word *pt__words_of(const struct pt_port *port, uint64_t off)
{
	return (pt__word *)(void *)pt_port_table(port, pt_page_pa(port, (struct pt_page){off}));
}

static inline pt__word *pt__words(const struct pt_store *store, uint64_t off)
{
	return pt__words_of(pt__store_port(store), off);
}

static inline uint64_t pt__get(const pt__word *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void pt__set(pt__word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* On its way from memory; nothing is learnt from it. Inline in any case, as what calls it is: see
 * pt_port_prefetch(). */
static inline __attribute__((always_inline)) void pt__fetch(const pt__word *word)
{
	__builtin_prefetch((const void *)(uintptr_t)word);
}

/* Takes `count` zeroed pages onto *list, under the quota: PT_OK, PT_NO_MEMORY or PT_QUOTA with
 * *list as it was. Not under the store's lock. */
enum pt_outcome pt__store_take(struct pt_store *store, struct pt_agent *agent, uint32_t count,
			       struct pt_pages *list);
/* The same for a piece of 1 KiB or 2 KiB. */
enum pt_outcome pt__store_take_piece(struct pt_store *store, struct pt_agent *agent, uint32_t bytes,
				     uint64_t *piece);
/* Pages that nobody has seen, zeroed: back at once. */
void pt__store_give(struct pt_store *store, struct pt_agent *agent, struct pt_pages *list);
void pt__store_give_piece(struct pt_store *store, struct pt_agent *agent, uint32_t bytes,
			  uint64_t piece);
/* What sections may still read. bytes: of each piece. */
void pt__store_retire(struct pt_store *store, struct pt_agent *agent, struct pt_pages *list);
void pt__store_retire_pieces(struct pt_store *store, struct pt_agent *agent, uint32_t bytes,
			     struct pt_pieces *list);

static inline uint64_t pt__store_pop(struct pt_store *store, struct pt_pages *list)
{
	return pt_pages_pop(&store->machine->world->pool, list).off;
}

static inline void pt__store_push(struct pt_store *store, struct pt_pages *list, uint64_t off)
{
	pt_pages_push(&store->machine->world->pool, list, (struct pt_page){off});
}

#endif
