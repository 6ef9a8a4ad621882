/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a host pays for shadows: a page unmapped beside 64 of them that do not map it, and with some
 * that do; a working set of which one page changes, beside a host that unmaps every shadow.
 */
#include "nest.h"

#include <stdio.h>

#define PHASE  __attribute__((noinline))
#define SIZE   (GIB / 64)
#define SET    4096u /* pages of the working set */
#define ROUNDS 5u

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
		struct nest *n = nest_open(shadows, true, SIZE);
		double ns;

		for (uint32_t k = 0; k < shadows; k++)
			nest_fill(n, k, 0, 1, 1);
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
		struct nest *n = nest_open(shadows, nested, SIZE);
		double ns;

		for (uint32_t k = 0; k < shadows; k++)
			nest_fill(n, k, 0, k < linked ? n->b.pages : 1, 1);
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

static void rows_of_a_working_set(void)
{
	struct nest *n = nest_open(1, true, SIZE);
	uint64_t fills;
	struct pt_effects fx = {0};
	struct pt_item item = {.ctx = &n->b.ctx,
			       .ipa = {BASE + 77 * n->b.page},
			       .size = n->b.page,
			       .kind = PT_ITEM_UNMAP};
	double t;

	check_eq("pages", n->b.pages, SET);
	nest_fill(n, 0, 0, SET, 1);
	fills = pt_nested_fills(&n->nested);
	t = now_ns();
	section_begin(&n->b);
	check_eq("unmap", pt_point(&n->b.agent, &item, &fx, NULL), PT_UNMAPPED);
	pt_section_end(&n->b.agent);
	map(&n->b, item.ipa.v, n->b.page, BASE_PA + 77 * n->b.page, 0);
	nest_fill(n, 0, 77, 1, 1);
	printf("working_set_exact_ns %.0f\n", now_ns() - t);
	check_eq("leaves removed", atomic_load(&n->nested.counts.killed), 1);
	printf("working_set_exact_refaults %llu\n",
	       (unsigned long long)(pt_nested_fills(&n->nested) - fills));
	/* As a host that unmaps its shadows at each change, whatever that is of. */
	t = now_ns();
	unmap(&n->b, BASE, SIZE);
	map(&n->b, BASE, SIZE, BASE_PA, PT_MAP_FORCE_PAGES);
	nest_fill(n, 0, 0, SET, 1);
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
		nest_fill(n, k, 1, COUNTED - 1, 1);
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
	struct nest *n = nest_open(0, true, SIZE);

	count_unmap(n, 0);
	nest_close(n);
}

void bench_nested_count(void)
{
	struct nest *n = nest_open(SHADOWS, true, SIZE);

	for (uint32_t k = 0; k < SHADOWS; k++)
		nest_fill(n, k, 0, 1, 1);
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
	nest_rows_of_a_range(SIZE);
}

void bench_nested_gib(void)
{
	nest_rows_of_a_range(GIB);
}
