/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine needs for the entries alone, at any granule: they are read or exchanged in the
 * order of the rows for single pages, and written one after the other, without a walk from the
 * root, a check or an answer. The range is mapped, and stays as it is.
 */
#include "core.h"

#include <stdlib.h>

/* The tables of pages, in order. */
struct bare {
	pt_pte **table;
	unsigned stride; /* log2 of entries in one */
	uint64_t count;
};

static void find_tables(struct bench *b, struct bare *bare)
{
	uint64_t span;

	bare->stride = b->ctx.geo.granule_shift - 3;
	span = b->page << bare->stride;
	bare->count = b->size / span;
	bare->table = malloc(bare->count * sizeof(*bare->table));
	check(bare->table != NULL, "memory for tables", 0, bare->count);
	section_begin(b);
	for (uint64_t i = 0; i < bare->count; i++) {
		struct pt_walk_step step[PT_LEVELS];
		unsigned steps = pt_walk_explain(&b->ctx, pt_ipa(BASE + i * span), step);

		check_eq("bare: level of the table", (uint64_t)step[steps - 1].level,
			 PT_LEVEL_LAST);
		bare->table[i] = pt_port_table(&b->port, step[steps - 1].table);
	}
	pt_section_end(&b->agent);
}

static inline pt_pte *slot_of(const struct bare *bare, uint64_t page)
{
	return bare->table[page >> bare->stride] + (page & ((UINT64_C(1) << bare->stride) - 1));
}

static void time_loads(struct bench *b, const struct bare *bare)
{
	uint64_t valid = 0;
	double t = now_ns();

	for (uint64_t i = 0; i < b->pages; i++)
		valid += __atomic_load_n(slot_of(bare, b->order[i]), __ATOMIC_ACQUIRE) & 1;
	note(b, BARE_LOAD, t, b->pages);
	check_eq("load_random_bare: valid entries", valid, b->pages);
}

/* Looks before it exchanges: so the next entry is on its way while this one is exchanged. */
static void time_exchanges(struct bench *b, const struct bare *bare)
{
	uint64_t done = 0;
	double t = now_ns();

	for (uint64_t i = 0; i < b->pages; i++) {
		pt_pte *slot = slot_of(bare, b->order[i]);
		pt_pte old = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (old & 1)
			done += __atomic_compare_exchange_n(slot, &old, old ^ PT_PTE_AF, false,
							    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	}
	note(b, BARE_CAS, t, b->pages);
	check_eq("cas_random_bare: entries exchanged", done, b->pages);
}

static void time_stores(struct bench *b, const struct bare *bare)
{
	double t = now_ns();

	for (uint64_t k = 0; k < bare->count; k++)
		for (uint64_t i = 0; i < UINT64_C(1) << bare->stride; i++) {
			pt_pte *slot = bare->table[k] + i;

			__atomic_store_n(slot, __atomic_load_n(slot, __ATOMIC_RELAXED) ^ PT_PTE_AF,
					 __ATOMIC_RELAXED);
		}
	note(b, BARE_STORE, t, b->pages);
}

void bench_bare(struct bench *b)
{
	struct bare bare;

	find_tables(b, &bare);
	time_loads(b, &bare);
	time_exchanges(b, &bare);
	time_stores(b, &bare);
	free(bare.table);
}
