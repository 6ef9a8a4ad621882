/* SPDX-License-Identifier: BSD-2-Clause */
/* Table pages: one pool for all contexts of a world, a magazine per agent, quotas per context. */
#ifndef PT_POOL_H
#define PT_POOL_H

#include <pt/geometry.h>
#include <pt/platform.h>

struct pt_agent;

/*
 * The pool cuts one contiguous table memory into naturally aligned power-of-two pieces (a buddy
 * allocator in units of 4 KiB, up to PT_POOL_MAX_ORDER), plus pieces below 4 KiB for small start
 * tables. Metadata holds unit indexes, never pointers. A page in the pool, and a page handed out,
 * is all zero (checker rule A2): who frees it has zeroed it.
 */
#define PT_POOL_UNIT_SHIFT 12
#define PT_POOL_MAX_ORDER  8 /* 1 MiB: sixteen concatenated 64K tables */

/*
 * A page or start table as a byte offset into table memory: the same memory stands at another PA in
 * each machine (the upper half of the machine's PA space, so that every PA size has room for it).
 * port->table_pa + off is its PA there.
 */
struct pt_page {
	uint64_t off;
};

static inline struct pt_pa pt_page_pa(const struct pt_port *port, struct pt_page page)
{
	return pt_pa(port->table_pa + page.off);
}

static inline struct pt_page pt_pa_page(const struct pt_port *port, struct pt_pa pa)
{
	return (struct pt_page){pa.v - port->table_pa};
}

/* One unit's metadata. Private to lib/pool. */
struct pt_pool_unit {
	uint32_t next, prev; /* indexes in a free list or a page list; 0 ends it (unit 0 is never
				handed out) */
	uint8_t order;
	uint8_t state;
	uint16_t small_class;
	uint64_t small_used; /* bitmap when the unit is cut into small pieces */
	union {
		uint64_t tag[2];       /* of its halves */
		uint32_t next_gone[4]; /* of its quarters: the next in a list of pieces */
	};
};

struct pt_pool {
	struct pt_port *port;
	struct pt_pool_unit *unit; /* `units` of them, given by the caller, zeroed */
	uint32_t units;
	struct pt_port_lock lock;
	uint32_t free_head[PT_POOL_MAX_ORDER + 1];
	uint32_t small_head[6]; /* 64, 128 .. 2048 bytes */
	uint32_t
		untouched; /* units never handed out yet start here: fresh memory stays untouched */
	uint32_t cold_head;	/* free pieces of the largest order without memory behind them */
	_Atomic uint32_t spare; /* free pieces of the largest order with memory */
	_Atomic uint64_t used_bytes;
	uint64_t total_bytes;
};

/*
 * Prepares a pool over the first units * 4 KiB of the port's table memory. `unit` (units entries,
 * zeroed) belongs to the caller and outlives the pool. The memory is zero. Single-threaded.
 */
void pt_pool_init(struct pt_pool *pool, struct pt_port *port, struct pt_pool_unit *unit,
		  uint32_t units);

/*
 * Directly after pt_pool_init(): the first `units` of the memory were handed out before there was a
 * pool, cut into pages of `granule_shift` (of which `units` is a multiple). They count as used, and
 * each can be put back but the first, which holds unit 0 (KVM: the reserved pages of
 * hyp_pool_init(), fix_hyp_pgtable_refcnt()). Single-threaded.
 */
void pt_pool_adopt(struct pt_pool *pool, unsigned granule_shift, uint32_t units);

/* A list of table pages of one granule, linked by their units' metadata. Owned by one operation. */
struct pt_pages {
	uint32_t head;
	uint32_t count;
};

#define PT_MAGAZINE 64

/* An agent's private stock, one for each granule: no lock on the way in or out while it is neither
 * empty nor full. */
struct pt_magazine {
	uint32_t count;
	uint32_t page[PT_MAGAZINE];
};

/*
 * One zeroed table page of `granule_shift`. Only the agent itself calls this with its own `agent`.
 * PT_OK and *page, or PT_NO_MEMORY.
 */
enum pt_outcome pt_pool_get(struct pt_agent *agent, unsigned granule_shift, struct pt_page *page);

/* Gives back one page: zeroed, unreachable, past its grace period (or never linked). */
void pt_pool_put(struct pt_agent *agent, unsigned granule_shift, struct pt_page page);

/* Takes `count` pages onto *list, or none: PT_OK or PT_NO_MEMORY with *list unchanged. */
enum pt_outcome pt_pool_take(struct pt_agent *agent, unsigned granule_shift, uint32_t count,
			     struct pt_pages *list);

/* One page off a list that has one. */
struct pt_page pt_pages_pop(struct pt_pool *pool, struct pt_pages *list);
void pt_pages_push(struct pt_pool *pool, struct pt_pages *list, struct pt_page page);

/*
 * A word beside a piece of 2 KiB that its owner may keep there: whoever finds the piece learns what
 * it is. It says nothing before it is set for the first time since the piece was taken, nor once it
 * is in a list. Who sets it orders that before the piece is found.
 */
static inline void pt_pool_set_tag(struct pt_pool *pool, struct pt_page piece, uint64_t tag)
{
	pool->unit[piece.off >> PT_POOL_UNIT_SHIFT].tag[piece.off >> 11 & 1] = tag;
}

static inline uint64_t pt_pool_tag(const struct pt_pool *pool, struct pt_page piece)
{
	return pool->unit[piece.off >> PT_POOL_UNIT_SHIFT].tag[piece.off >> 11 & 1];
}

/* Gives back a whole list (zeroed pages). */
void pt_pool_give(struct pt_agent *agent, unsigned granule_shift, struct pt_pages *list);

/* Start tables: `bytes` rounded up to a power of two of at least 64, aligned to that. PT_OK or
 * PT_NO_MEMORY. */
enum pt_outcome pt_pool_get_root(struct pt_agent *agent, uint32_t bytes, struct pt_page *page);
void pt_pool_put_root(struct pt_agent *agent, uint32_t bytes, struct pt_page page);

/* The same for pieces of 1 KiB and 2 KiB that are no tables; they may be put onto a list of their
 * own, which is neither one of pages nor of anything else. Owned by one operation. */
struct pt_pieces {
	uint32_t head; /* in quarters of units; 0 ends it */
	uint32_t count;
};

struct pt_page pt_pieces_pop(struct pt_pool *pool, struct pt_pieces *list);
void pt_pieces_push(struct pt_pool *pool, struct pt_pieces *list, struct pt_page piece);
static inline uint32_t pt_piece_bytes(const struct pt_pool *pool, struct pt_page piece)
{
	return UINT32_C(64) << pool->unit[piece.off >> PT_POOL_UNIT_SHIFT].small_class;
}

/* Gives back a whole list (zeroed pieces). */
void pt_pool_give_pieces(struct pt_agent *agent, struct pt_pieces *list);

/*
 * Free memory back to who gave it, a piece of 1 MiB (PT_POOL_MAX_ORDER) at a time: pt_pool_spare()
 * says how many whole pieces are free and have been written (any thread, a hint). One of them is
 * taken out, its memory is let go by any means that lets it read as zero, and it is put back; it
 * will be handed out after those that have memory. pt_pool_take_spare(): false when there is none.
 * Meanwhile nobody else can have it. Any thread; the pool's lock, shortly.
 */
static inline uint32_t pt_pool_spare(const struct pt_pool *pool)
{
	return atomic_load_explicit(&pool->spare, memory_order_relaxed);
}

bool pt_pool_take_spare(struct pt_pool *pool, struct pt_page *piece);
void pt_pool_put_spare(struct pt_pool *pool, struct pt_page piece);

/* Moves an agent's magazines back to the pool: at the agent's end. */
void pt_pool_flush_magazines(struct pt_agent *agent);

#endif
