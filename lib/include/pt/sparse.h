/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of the pool that hold books instead of tables, and sparse arrays of words in them. */
#ifndef PT_SPARSE_H
#define PT_SPARSE_H

#include <pt/machine.h>

/*
 * Pages of 4 KiB out of the world's pool under one quota: of a machine's ledger of owners, or of
 * the reverse map of its shadows. The lock is held for a bounded number of instructions: to link or
 * unlink a page, or to change one extent. Caller's memory; outlives what uses it.
 */
struct pt_store {
	struct pt_machine *machine;
	const struct pt_port *port;   /* the pool's: what the machine leads to, once */
	uint64_t scope;		      /* for failpoints */
	_Atomic uint64_t pages;	      /* anyone */
	_Atomic uint64_t quota_pages; /* anyone may set */
	struct pt_port_lock lock;     /* class PT_LOCK_OWNER */
};

void pt_store_init(struct pt_store *store, struct pt_machine *machine, uint64_t quota_pages,
		   uint64_t scope);

/*
 * Words by number, 0 where nothing was written: a radix tree of links, with pages of 512 words at
 * its ends. A page exists while something keeps it. Zeroed at first. Fields and what can be done
 * with it are lib's: lib/pool/sparse.h.
 */
struct pt_sparse {
	_Atomic uint64_t root; /* a link, as all that its pages hold, and how far it reaches */
	uint64_t base;	       /* a number of the first page that there was, once there was one */
	bool based;
};

#endif
