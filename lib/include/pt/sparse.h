/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of the pool that hold books instead of tables, and sparse arrays of words in them. */
#ifndef PT_SPARSE_H
#define PT_SPARSE_H

#include <pt/machine.h>

/*
 * Pages of 4 KiB, and pieces of such, out of the world's pool under one quota: of a machine's
 * ledger of owners, or of the reverse map of its shadows. The lock is held for a bounded number of
 * instructions: to link or unlink a page, or to change one extent. Caller's memory; outlives what
 * uses it.
 */
struct pt_store {
	struct pt_machine *machine;
	const struct pt_port *port;   /* the pool's: what the machine leads to, once */
	uint64_t scope;		      /* for failpoints */
	_Atomic uint64_t bytes;	      /* anyone: see pt_store_pages() */
	_Atomic uint64_t quota_pages; /* anyone may set */
	struct pt_port_lock lock;     /* class PT_LOCK_OWNER */
};

void pt_store_init(struct pt_store *store, struct pt_machine *machine, uint64_t quota_pages,
		   uint64_t scope);

/* What is charged to it, in pages of 4 KiB, the last one begun. Any thread. */
static inline uint64_t pt_store_pages(const struct pt_store *store)
{
	return (atomic_load_explicit(&store->bytes, memory_order_relaxed) + 4095) >> 12;
}

/*
 * Words by number, 0 where nothing was written: a radix tree of links, with pages of words at its
 * ends, or two smaller pieces in the place of each. They exist while something keeps them. Fields
 * and what can be done with it are lib's: lib/pool/sparse.h.
 */
struct pt_sparse_ends {
	uint8_t bits; /* log2 of the words that one link leads to: at most 9 */
	bool halves;  /* they come in two pieces */
};

struct pt_sparse {
	struct pt_sparse_ends ends;
	_Atomic uint64_t root;	/* a link, as all that its pages hold, and how far it reaches */
	_Atomic uint64_t base;	/* a number of the first words that there were; ~0: of none yet */
	_Atomic uint64_t *near; /* links to words that need no tree */
	uint64_t near_end;	/* so many words, a power of two; 0: none */
};

#endif
