/* SPDX-License-Identifier: BSD-2-Clause */
/* A range that 64 shadows have in full, beside the sum of unmapping 64 like contexts; and what the
 * reverse map of it takes. */
#include "nest.h"

#include <stdio.h>

/* Bytes of the reverse map for a leaf, and what they may be: 16, and a page for each canonical leaf
 * table. */
static void row_of_memory(const struct nest *n, const char *what, uint64_t leaves)
{
	uint64_t tables = n->b.pages / 512, pages = atomic_load(&n->nested.store.pages);

	printf("shadow_bytes_a_leaf_%s %.2f\n", what, (double)pages * 4096 / (double)leaves);
	printf("shadow_bytes_a_leaf_%s_allowed %.2f\n", what,
	       16 + (double)tables * 4096 / (double)leaves);
}

static void row_of_sparse_memory(uint64_t size)
{
	struct nest *n = nest_open(1, true, size);

	nest_fill(n, 0, 0, n->b.pages, 512);
	row_of_memory(n, "sparse", n->b.pages / 512);
	nest_close(n);
}

static void fill_all(struct nest *n, bool tell)
{
	for (uint32_t k = 0; k < SHADOWS; k++) {
		nest_fill(n, k, 0, n->b.pages, 1);
		if (tell && k == 0)
			row_of_memory(n, "dense_1", n->b.pages);
		else if (tell && k == 3)
			row_of_memory(n, "dense_4", 4 * n->b.pages);
	}
	if (tell)
		row_of_memory(n, "dense_64", SHADOWS * n->b.pages);
}

/* Each shadow as a context of its own, past lib/nested: its links stay behind. */
static double unmap_directly(struct nest *n, uint64_t size)
{
	double t = cpu_ns();

	for (uint32_t k = 0; k < SHADOWS; k++) {
		struct pt_item item = {.ctx = &n->shadow[k].ctx,
				       .ipa = {BASE},
				       .size = size,
				       .kind = PT_ITEM_UNMAP};

		run_range(&n->b, &item);
	}
	return cpu_ns() - t;
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
	check_eq("pages of the reverse map", atomic_load(&n->nested.store.pages), 0);
	map(&n->b, BASE, size, BASE_PA, PT_MAP_FORCE_PAGES);
	fill_all(n, false);
	printf("unmap_shadows_directly %.2f\n", unmap_directly(n, size) / leaves);
	row_of_sparse_memory(size); /* this world is left as it is */
}
