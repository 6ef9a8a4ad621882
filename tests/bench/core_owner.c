/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger of owners: 100 000 extents in a machine of 1 TiB, each of three frames; who owns a
 * random frame, and a random frame that goes to a guest and comes back. And the host's faults in a
 * machine with owners.
 */
#include "core.h"

#include <pt/transfer.h>

#include <stdio.h>
#include <stdlib.h>

#define PHASE	__attribute__((noinline))
#define UNITS	(UINT64_C(1) << 28) /* 1 TiB of 4 KiB */
#define EXTENTS UINT64_C(100000)
#define APART	(UNITS / EXTENTS)
#define TIMES	10000u
#define ROUNDS	20u /* the best one is told */

struct ledger {
	struct bench b;
	struct pt_store store;
	struct pt_extents index;
	uint64_t seed;
};

static struct pt_extent extent(uint64_t start, uint64_t size, bool guests, uint64_t id)
{
	return (struct pt_extent){
		.start = start,
		.end = start + size,
		.owner = {guests ? PT_OWNER_GUEST : PT_OWNER_HOST, guests, guests ? start : 0},
		.id = id};
}

static inline __attribute__((always_inline)) void set(struct ledger *l, const struct pt_extent *e)
{
	check_eq("extents: reserve", pt_extents_reserve(&l->index, &l->b.agent, 1), PT_OK);
	pt_extents_set(&l->index, &l->b.agent, e);
	pt_extents_release(&l->index, &l->b.agent, 1);
}

static double lower(double a, double b)
{
	return a < b ? a : b;
}

static PHASE double time_extent_find(struct ledger *l)
{
	double t = now_ns();

	for (unsigned i = 0; i < TIMES; i++) {
		uint64_t unit = random_next(&l->seed) % UNITS;
		struct pt_extent e;

		pt_extents_find(&l->index, unit, &e);
		check(unit - e.start < e.end - e.start, "extents: one that has the frame", e.start,
		      unit);
	}
	return (now_ns() - t) / TIMES;
}

static PHASE double time_extent_set(struct ledger *l)
{
	double t = now_ns();

	for (unsigned i = 0; i < TIMES; i++) {
		uint64_t unit = random_next(&l->seed) % EXTENTS * APART + APART / 2;
		struct pt_extent there = extent(unit, 1, true, 1), back = extent(unit, 1, false, 0);

		set(l, &there);
		set(l, &back);
	}
	return (now_ns() - t) / (2 * TIMES);
}

/* A page by itself, as time_fault_map_section(), under a table that is there. */
static PHASE double time_host_fault(struct bench *b)
{
	const uint64_t table = b->page / sizeof(pt_pte);
	uint64_t faults = 0;
	double t = now_ns();

	for (uint64_t i = 0; i < b->pages; i++) {
		struct pt_fault in = {.ipa = {BASE + b->order[i] * b->page}};

		if (!(b->order[i] % table))
			continue;
		check_eq("host's fault", fault_one(b, &in).outcome, PT_MAPPED);
		faults++;
		section_turn(b, i);
	}
	return (now_ns() - t) / (double)faults;
}

/* The host of a machine whose frames go and come. */
static double host_fault(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct pt_store store;
	struct pt_machine_owners owners;
	double ns;

	check(b, "memory for the bench", 0, 1);
	bench_open(b, &(struct bench_args){.granule_shift = 12,
					   .size = GIB / 16,
					   .table_bytes = UINT64_C(32) << 20});
	b->slots->slot[0].pa = BASE;
	pt_ctx_set_policy(&b->ctx, PT_CTX_IDENTITY, NULL, NULL);
	pt_store_init(&store, &b->machine, UINT64_MAX, 0);
	check_eq("owners", pt_machine_owners_init(&owners, &store, &b->ctx, 12), PT_OK);
	section_begin(b);
	for (uint64_t at = 0; at < b->size; at += b->page * b->page / sizeof(pt_pte)) {
		struct pt_fault in = {.ipa = {BASE + at}};

		check_eq("host's first fault", fault_one(b, &in).outcome, PT_MAPPED);
	}
	ns = time_host_fault(b);
	pt_section_end(&b->agent);
	check_leaves(b, "leaves after the host's faults", b->pages);
	bench_close(b);
	free(b);
	return ns;
}

void bench_owners(bool quiet)
{
	struct ledger *l = calloc(1, sizeof(*l));
	double find, change, fault = host_fault();

	check(l, "memory for the bench", 0, 1);
	l->seed = 1;
	bench_open(&l->b, &(struct bench_args){.granule_shift = 12,
					       .size = GIB / 512,
					       .table_bytes = UINT64_C(32) << 20,
					       .untouched = true});
	pt_store_init(&l->store, &l->b.machine, UINT64_MAX, 0);
	pt_extents_init(&l->index, &l->store, UNITS);
	pt_section_begin(&l->b.agent);
	for (uint64_t i = 0; i < EXTENTS; i++) {
		struct pt_extent e = extent(i * APART, 3, true, i);

		set(l, &e);
	}
	find = time_extent_find(l);
	change = time_extent_set(l);
	for (unsigned i = 1; !quiet && i < ROUNDS; i++) {
		find = lower(find, time_extent_find(l));
		change = lower(change, time_extent_set(l));
	}
	while (pt_extents_close(&l->index, &l->b.agent, 1000) == PT_MORE)
		continue;
	pt_section_end(&l->b.agent);
	check_eq("extents: pages left", pt_store_pages(&l->store), 0);
	bench_close(&l->b);
	free(l);
	if (!quiet)
		printf("extent_find_random %.2f\nextent_set_random %.2f\nhost_fault_random %.2f\n",
		       find, change, fault);
}
