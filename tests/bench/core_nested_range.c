/* SPDX-License-Identifier: BSD-2-Clause */
/* A range that 64 shadows have in full, beside the sum of unmapping 64 like contexts, or of taking
 * the right to write from them; and what the reverse map of it takes. */
#include "nest.h"

#include <pt/dirty.h>
#include <pt/upkeep.h>
#include <pt/walk.h>

#include <stdio.h>
#include <stdlib.h>

/* Bytes of the reverse map for a leaf, with what stands in shadows and context themselves, and what
 * they may be: 16, and a page for each canonical leaf table. `shadows` of them have leaves. */
static void row_of_memory(const struct nest *n, const char *what, uint32_t shadows, uint64_t leaves)
{
	uint64_t tables = n->b.pages / 512;
	uint64_t bytes = atomic_load(&n->nested.store.bytes) + sizeof(n->nested.near_heads) +
			 shadows * sizeof(n->shadow[0].near_links);

	printf("shadow_bytes_a_leaf_%s %.2f\n", what, (double)bytes / (double)leaves);
	printf("shadow_bytes_a_leaf_%s_allowed %.2f\n", what,
	       16 + (double)tables * 4096 / (double)leaves);
}

static void row_of_sparse_memory(uint64_t size)
{
	struct nest *n = nest_open(1, true, size);

	nest_fill(n, 0, 0, n->b.pages, 512);
	row_of_memory(n, "sparse", 1, n->b.pages / 512);
	nest_close(n);
}

static void fill_all(struct nest *n, bool tell)
{
	for (uint32_t k = 0; k < SHADOWS; k++) {
		nest_fill(n, k, 0, n->b.pages, 1);
		if (tell && k == 0)
			row_of_memory(n, "dense_1", 1, n->b.pages);
		else if (tell && k == 3)
			row_of_memory(n, "dense_4", 4, 4 * n->b.pages);
	}
	if (tell)
		row_of_memory(n, "dense_64", SHADOWS, SHADOWS * n->b.pages);
}

/* Each shadow as a context of its own, past lib/nested: its links stay as they are. */
static double run_directly(struct nest *n, uint64_t size, enum pt_item_kind kind)
{
	double t = cpu_ns();

	for (uint32_t k = 0; k < SHADOWS; k++) {
		struct pt_item item = {
			.ctx = &n->shadow[k].ctx, .ipa = {BASE}, .size = size, .kind = kind};

		run_range(&n->b, &item);
	}
	return cpu_ns() - t;
}

/* Leaves of the shadows' that may be, or that are gone. */
static uint64_t writable(struct nest *n)
{
	uint64_t sum = 0;

	for (uint32_t k = 0; k < SHADOWS; k++)
		for (uint64_t i = 0; i < n->b.pages; i++) {
			pt_pte e;
			int level;

			if (pt_get_leaf(&n->shadow[k].ctx, pt_ipa(BASE + i * n->b.page), &e,
					&level) != PT_OK ||
			    e & PT_PTE_S2AP_W)
				sum++;
		}
	return sum;
}

static void start_log(struct nest *n, uint64_t size)
{
	uint64_t bytes = pt_dirty_bytes(12, size);
	struct pt_dirty_log log;
	const struct pt_dirty_args args = {.kind = PT_DIRTY_START,
					   .log = &log,
					   .ctx = &n->b.ctx,
					   .ipa = {BASE},
					   .size = size,
					   .memory = calloc(1, bytes)};
	struct pt_dirty op;
	enum pt_outcome outcome;

	check(args.memory, "memory for a log", 0, bytes);
	check_eq("pt_dirty_init", pt_dirty_init(&op, &args, NULL), PT_OK);
	do {
		section_begin(&n->b);
		outcome = pt_dirty_step(&op, &n->b.agent, STEP_BUDGET);
		pt_section_end(&n->b.agent);
	} while (outcome == PT_MORE);
	check_eq("pt_dirty_step", outcome, PT_OK);
}

/* Ages a range of one context; how many leaves were young. */
static uint64_t age_all(struct bench *b, struct pt_ctx *ctx, uint64_t size)
{
	const struct pt_upkeep_args args = {
		.ctx = ctx, .kind = PT_UPKEEP_AGE, .ipa = {BASE}, .size = size, .clear = true};
	struct pt_upkeep up;
	enum pt_outcome outcome;

	check_eq("pt_upkeep_init", pt_upkeep_init(&up, &args, NULL), PT_OK);
	do {
		section_begin(b);
		outcome = pt_upkeep_step(&up, &b->agent, STEP_BUDGET);
		pt_section_end(&b->agent);
	} while (outcome == PT_MORE);
	check_eq("pt_upkeep_step", outcome, PT_OK);
	return up.young;
}

/* Each in a world of its own, all of whose leaves are young. */
static void rows_of_age(uint64_t size)
{
	struct nest *n = nest_open(SHADOWS, true, size);
	double leaves = (double)n->b.pages * SHADOWS, t;

	fill_all(n, false);
	t = cpu_ns();
	for (uint32_t k = 0; k < SHADOWS; k++)
		check_eq("young leaves of a shadow", age_all(&n->b, &n->shadow[k].ctx, size),
			 n->b.pages);
	printf("age_shadows_directly %.2f\n", (cpu_ns() - t) / leaves);
	nest_close(n);
	n = nest_open(SHADOWS, true, size);
	fill_all(n, false);
	t = cpu_ns();
	check_eq("young leaves", age_all(&n->b, &n->b.ctx, size), n->b.pages);
	printf("age_range_64_full %.2f\n", (cpu_ns() - t) / leaves);
	check_eq("young leaves afterwards", age_all(&n->b, &n->b.ctx, size), 0);
	nest_close(n);
}

/* Each in a world of its own, whose shadows may write all of the range before. */
static void rows_of_rights(uint64_t size)
{
	struct nest *n = nest_open(SHADOWS, true, size);
	double leaves = (double)n->b.pages * SHADOWS, t;

	fill_all(n, false);
	printf("wrprotect_shadows_directly %.2f\n",
	       run_directly(n, size, PT_ITEM_WRITE_PROTECT) / leaves);
	nest_close(n);
	n = nest_open(SHADOWS, true, size);
	fill_all(n, false);
	check_eq("leaves that may be written", writable(n), (uint64_t)leaves);
	t = cpu_ns();
	write_protect(&n->b, BASE, size);
	printf("wrprotect_range_64_full %.2f\n", (cpu_ns() - t) / leaves);
	check_eq("leaves that may be written", writable(n), 0);
	nest_close(n);
	n = nest_open(SHADOWS, true, size);
	fill_all(n, false);
	t = cpu_ns();
	start_log(n, size);
	printf("log_range_64_full %.2f\n", (cpu_ns() - t) / leaves);
	check_eq("leaves that may be written", writable(n), 0);
	/* This world is left as it is: the log goes on. */
}

void nest_rows_of_a_range(uint64_t size)
{
	struct nest *n = nest_open(SHADOWS, true, size);
	double leaves = (double)n->b.pages * SHADOWS, t;

	fill_all(n, true);
	t = cpu_ns();
	unmap(&n->b, BASE, size);
	printf("unmap_range_64_full %.2f\n", (cpu_ns() - t) / leaves);
	check_eq("leaves removed", atomic_load(&n->nested.counts.killed), (uint64_t)leaves);
	check_eq("pages of the reverse map", atomic_load(&n->nested.store.bytes), 0);
	map(&n->b, BASE, size, BASE_PA, PT_MAP_FORCE_PAGES);
	fill_all(n, false);
	printf("unmap_shadows_directly %.2f\n", run_directly(n, size, PT_ITEM_UNMAP) / leaves);
	rows_of_age(size);
	rows_of_rights(size);
	row_of_sparse_memory(size); /* this world is left as it is */
}
