/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a host pays for shadows: a page unmapped beside 64 of them that do not map it, and with some
 * that do; a range that 64 have in full, beside the sum of unmapping each; a working set of which
 * one page changes, beside a host that unmaps every shadow. Shadows of guests with stage 2 off,
 * whose IPAs are canonical ones, so that no guest's walk is in these figures.
 */
#include "core.h"

#include <pt/nested.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHASE	__attribute__((noinline))
#define SHADOWS 64u
#define SIZE	(GIB / 64)
#define SET	4096u /* pages of the working set */
#define ROUNDS	5u

struct nest {
	struct bench b;
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[64], number[SHADOWS];
	struct pt_shadow shadow[SHADOWS];
	uint32_t shadows;
};

static enum pt_outcome no_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	(void)arg, (void)ipa, (void)word;
	return PT_NO_SLOT;
}

static enum pt_outcome no_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	(void)arg, (void)ipa, (void)word, (void)to;
	return PT_NO_SLOT;
}

static struct nest *nest_open(uint32_t shadows, bool nested)
{
	struct nest *n = calloc(1, sizeof(*n));
	const struct pt_guest_memory memory = {.load = no_load, .swap = no_swap};

	check(n, "memory for the bench", 0, 1);
	bench_open(&n->b, &(struct bench_args){.granule_shift = 12,
					       .size = SIZE,
					       .table_bytes = UINT64_C(64) << 20});
	if (nested)
		check_eq("pt_nested_init",
			 pt_nested_init(&n->nested, &n->b.ctx, &memory, n->bucket, 64, n->number,
					SHADOWS, UINT64_MAX, 0),
			 PT_OK);
	section_begin(&n->b);
	for (n->shadows = 0; n->shadows < shadows; n->shadows++) {
		const struct pt_shadow_key key = {.vttbr = (uint64_t)(n->shadows + 1) << 48};
		const struct pt_guest_regs regs = {.vttbr = key.vttbr, .pa_bits = 48};

		check_eq("pt_shadow_init",
			 pt_shadow_init(&n->shadow[n->shadows], &n->nested, &n->b.agent, &key,
					&regs, UINT64_MAX),
			 PT_OK);
		check_eq("pt_vmid_get", pt_vmid_get(&n->shadow[n->shadows].ctx, &n->b.agent),
			 PT_OK);
	}
	pt_section_end(&n->b.agent);
	map(&n->b, BASE, SIZE, BASE_PA, PT_MAP_FORCE_PAGES);
	return n;
}

static void fill(struct nest *n, uint32_t shadow, uint64_t page, uint64_t pages)
{
	section_begin(&n->b);
	for (uint64_t i = page; i < page + pages; i++) {
		const struct pt_nested_fault fault = {.ipa = {BASE + i * n->b.page},
						      .access = PT_ACCESS_READ};
		struct pt_nested_result r;

		check_eq("pt_nested_fault",
			 pt_nested_fault(&n->b.agent, &n->shadow[shadow], &fault, &r), PT_MAPPED);
		section_turn(&n->b, i);
	}
	pt_section_end(&n->b.agent);
}

static void nest_close(struct nest *n)
{
	enum pt_outcome outcome;

	for (uint32_t i = 0; i < n->shadows; i++) {
		struct pt_shadow_end end;

		check_eq("pt_shadow_end_begin", pt_shadow_end_begin(&end, &n->shadow[i], NULL),
			 PT_OK);
		do {
			section_begin(&n->b);
			outcome = pt_shadow_end_step(&end, &n->b.agent, STEP_BUDGET);
			pt_section_end(&n->b.agent);
		} while (outcome == PT_MORE);
		check_eq("pt_shadow_end_step", outcome, PT_OK);
	}
	bench_close(&n->b);
	free(n);
}

/* Each page but the first goes as a point and comes back; a page. */
static PHASE double time_unmap(struct nest *n)
{
	struct bench *b = &n->b;
	double in = 0;

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		uint64_t ipa = BASE + b->order[i] * b->page;
		struct pt_item item = {
			.ctx = &b->ctx, .ipa = {ipa}, .size = b->page, .kind = PT_ITEM_UNMAP};
		struct pt_effects fx = {0};
		double t;

		if (!b->order[i])
			continue;
		t = now_ns();
		check_eq("unmap", pt_point(&b->agent, &item, &fx, NULL), PT_UNMAPPED);
		in += now_ns() - t;
		item.kind = PT_ITEM_MAP;
		item.pa = pt_pa(BASE_PA + ipa - BASE);
		item.prot = PT_PROT_RWX;
		check_eq("map", pt_point(&b->agent, &item, &fx, NULL), PT_MAPPED);
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	return in / (double)(b->pages - 1);
}

/* Each page but the first, by itself, a transaction or a step of ageing; a page. */
static PHASE double time_protect(struct nest *n)
{
	struct bench *b = &n->b;
	double t = now_ns();

	for (uint64_t i = 0; i < b->pages; i++)
		if (b->order[i])
			check_eq("leaves written",
				 write_protect(b, BASE + b->order[i] * b->page, b->page)
					 .leaves_written,
				 1);
	return (now_ns() - t) / (double)(b->pages - 1);
}

static PHASE double time_age(struct nest *n)
{
	struct bench *b = &n->b;
	double t = now_ns();

	for (uint64_t i = 0; i < b->pages; i++)
		if (b->order[i])
			check_eq("young", age(b, BASE + b->order[i] * b->page, b->page), 1);
	return (now_ns() - t) / (double)(b->pages - 1);
}

/* The best of some rounds; `shadows` have the first page, which is left alone. */
static double others_with(uint32_t shadows, double (*time)(struct nest *))
{
	double best = 1e18;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct nest *n = nest_open(shadows, true);
		double ns;

		for (uint32_t k = 0; k < shadows; k++)
			fill(n, k, 0, 1);
		ns = time(n);
		best = ns < best ? ns : best;
		nest_close(n);
	}
	return best;
}

static void rows_of_others(void)
{
	printf("wrprotect_page_no_shadow %.2f\n", others_with(0, time_protect));
	printf("wrprotect_page_64_others %.2f\n", others_with(SHADOWS, time_protect));
	printf("age_page_no_shadow %.2f\n", others_with(0, time_age));
	printf("age_page_64_others %.2f\n", others_with(SHADOWS, time_age));
}

/* The best of some rounds; `linked` shadows have all pages before each, the others the first. */
static double unmap_with(bool nested, uint32_t shadows, uint32_t linked)
{
	double best = 1e18;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct nest *n = nest_open(shadows, nested);
		double ns;

		for (uint32_t k = 0; k < shadows; k++)
			fill(n, k, 0, k < linked ? n->b.pages : 1);
		ns = time_unmap(n);
		check_eq("leaves removed", atomic_load(&n->nested.counts.killed),
			 linked * (n->b.pages - 1));
		best = ns < best ? ns : best;
		nest_close(n);
	}
	return best;
}

static void rows_of_a_page(void)
{
	double none = unmap_with(true, 0, 0);

	printf("unmap_page_unshadowed %.2f\n", unmap_with(false, 0, 0));
	printf("unmap_page_no_shadow %.2f\n", none);
	printf("unmap_page_64_others %.2f\n", unmap_with(true, SHADOWS, 0));
	for (uint32_t k = 1; k <= SHADOWS; k *= 8) {
		double ns = unmap_with(true, SHADOWS, k);

		printf("unmap_page_%u_shadows %.2f\nunmap_page_a_shadow_of_%u %.2f\n", k, ns, k,
		       (ns - none) / k);
	}
}

/* A range that all shadows have; a leaf. And each of them taken down by itself. */
static void rows_of_a_range(void)
{
	struct nest *n = nest_open(SHADOWS, true);
	double leaves = (double)n->b.pages * SHADOWS, t, pages;

	for (uint32_t k = 0; k < SHADOWS; k++)
		fill(n, k, 0, n->b.pages);
	pages = (double)atomic_load(&n->nested.store.pages);
	printf("shadow_bytes_a_leaf_dense %.2f\n", pages * 4096 / leaves);
	t = now_ns();
	unmap(&n->b, BASE, SIZE);
	printf("unmap_range_64_full %.2f\n", (now_ns() - t) / leaves);
	check_eq("leaves removed", atomic_load(&n->nested.counts.killed), (uint64_t)leaves);
	map(&n->b, BASE, SIZE, BASE_PA, PT_MAP_FORCE_PAGES);
	for (uint32_t k = 0; k < SHADOWS; k++)
		fill(n, k, 0, n->b.pages);
	t = now_ns();
	for (uint32_t k = 0; k < SHADOWS; k++) {
		struct pt_item item = {.ctx = &n->shadow[k].ctx,
				       .ipa = {BASE},
				       .size = SIZE,
				       .kind = PT_ITEM_UNMAP};

		run_range(&n->b, &item);
	}
	/* The links of what was unmapped past lib/nested stay behind: this world is left as it is.
	 */
	printf("unmap_shadows_directly %.2f\n", (now_ns() - t) / leaves);
}

static void rows_of_a_working_set(void)
{
	struct nest *n = nest_open(1, true);
	uint64_t fills;
	struct pt_effects fx = {0};
	struct pt_item item = {.ctx = &n->b.ctx,
			       .ipa = {BASE + 77 * n->b.page},
			       .size = n->b.page,
			       .kind = PT_ITEM_UNMAP};
	double t;

	check_eq("pages", n->b.pages, SET);
	fill(n, 0, 0, SET);
	fills = pt_nested_fills(&n->nested);
	t = now_ns();
	section_begin(&n->b);
	check_eq("unmap", pt_point(&n->b.agent, &item, &fx, NULL), PT_UNMAPPED);
	pt_section_end(&n->b.agent);
	map(&n->b, item.ipa.v, n->b.page, BASE_PA + 77 * n->b.page, 0);
	fill(n, 0, 77, 1);
	printf("working_set_exact_ns %.0f\n", now_ns() - t);
	check_eq("leaves removed", atomic_load(&n->nested.counts.killed), 1);
	printf("working_set_exact_refaults %llu\n",
	       (unsigned long long)(pt_nested_fills(&n->nested) - fills));
	/* As a host that unmaps its shadows at each change, whatever that is of. */
	t = now_ns();
	unmap(&n->b, BASE, SIZE);
	map(&n->b, BASE, SIZE, BASE_PA, PT_MAP_FORCE_PAGES);
	fill(n, 0, 0, SET);
	printf("working_set_unmap_all_ns %.0f\n", now_ns() - t);
	printf("working_set_unmap_all_refaults %llu\n",
	       (unsigned long long)(pt_nested_fills(&n->nested) - fills - 1));
	nest_close(n);
}

/* ---- for callgrind: a phase for each number of shadows that have the pages ---- */

#define COUNTED 512u /* pages, the first of which stays */

static PHASE void map_back(struct nest *n, uint64_t ipa)
{
	struct pt_item item = {.ctx = &n->b.ctx,
			       .ipa = {ipa},
			       .size = n->b.page,
			       .pa = {BASE_PA + ipa - BASE},
			       .prot = PT_PROT_RWX,
			       .kind = PT_ITEM_MAP};
	struct pt_effects fx = {0};

	check_eq("map", pt_point(&n->b.agent, &item, &fx, NULL), PT_MAPPED);
}

static inline __attribute__((always_inline)) void count_unmap(struct nest *n, uint32_t linked)
{
	uint64_t killed = atomic_load(&n->nested.counts.killed);

	for (uint32_t k = 0; k < linked; k++)
		fill(n, k, 1, COUNTED - 1);
	section_begin(&n->b);
	for (uint64_t i = 1; i < COUNTED; i++) {
		struct pt_item item = {.ctx = &n->b.ctx,
				       .ipa = {BASE + i * n->b.page},
				       .size = n->b.page,
				       .kind = PT_ITEM_UNMAP};
		struct pt_effects fx = {0};

		check_eq("unmap", pt_point(&n->b.agent, &item, &fx, NULL), PT_UNMAPPED);
		map_back(n, item.ipa.v);
		section_turn(&n->b, i);
	}
	pt_section_end(&n->b.agent);
	check_eq("leaves removed", atomic_load(&n->nested.counts.killed) - killed,
		 linked * (COUNTED - 1));
}

static PHASE void count_unmap_others(struct nest *n)
{
	count_unmap(n, 0);
}

static PHASE void count_unmap_1(struct nest *n)
{
	count_unmap(n, 1);
}

static PHASE void count_unmap_8(struct nest *n)
{
	count_unmap(n, 8);
}

static PHASE void count_unmap_64(struct nest *n)
{
	count_unmap(n, SHADOWS);
}

static PHASE void count_unmap_none(void)
{
	struct nest *n = nest_open(0, true);

	count_unmap(n, 0);
	nest_close(n);
}

void bench_nested_count(void)
{
	struct nest *n = nest_open(SHADOWS, true);

	for (uint32_t k = 0; k < SHADOWS; k++)
		fill(n, k, 0, 1);
	count_unmap_others(n);
	count_unmap_1(n);
	count_unmap_8(n);
	count_unmap_64(n);
	nest_close(n);
	count_unmap_none();
}

void bench_nested(void)
{
	rows_of_a_page();
	rows_of_others();
	rows_of_a_working_set();
	rows_of_a_range();
}
