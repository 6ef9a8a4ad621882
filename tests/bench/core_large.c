/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 4 GiB and 4 TiB mapped, at 64K granule so that 8192 table pages hold them: what a range costs,
 * and what a random address does beside a bare walk of the same tables. And table pages at rest:
 * how many are linked after faults, unmaps page by page and a sweep, over those that hold
 * something.
 */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>

#define LARGE	(UINT64_C(4) << 40)
#define SMALL	(4 * GIB)
#define RANDOM	(UINT64_C(1) << 20)
#define POINTS	(UINT64_C(1) << 18)
#define ROUNDS	5
#define AHEAD	8  /* calls: a Session asks as far ahead for what it translates */
#define STRIDE	13 /* address bits a level, 64K */
#define GRANULE 16

static double best_of(double best, double since, uint64_t units)
{
	double ns = (now_ns() - since) / (double)units;

	return !best || ns < best ? ns : best;
}

static void protect(struct bench *b, uint32_t prot)
{
	struct pt_item item = {.ctx = &b->ctx,
			       .ipa = pt_ipa(BASE),
			       .size = SMALL,
			       .prot = prot,
			       .kind = PT_ITEM_PROTECT};
	struct pt_effects done = run_range(b, &item);

	check_eq("range_in: leaves written", done.leaves_written, SMALL >> GRANULE);
}

/* Rights of 4 GiB taken and given back, a PTE. */
static void time_range(struct bench *b, const char *name)
{
	double best = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		double t = now_ns();

		for (unsigned i = 0; i < 10; i++) {
			protect(b, PT_PROT_R);
			protect(b, PT_PROT_RW);
		}
		best = best_of(best, t, 20 * (SMALL >> GRANULE));
	}
	printf("%s %.2f\n", name, best);
}

static uint64_t sum_of_leaves(struct bench *b, const uint64_t *ipa)
{
	uint64_t sum = 0;

	section_begin(b);
	for (uint64_t i = 0; i < RANDOM; i++) {
		pt_pte entry = 0;
		int level = -1;

		if (i + AHEAD < RANDOM)
			pt_prefetch(&b->ctx, pt_ipa(ipa[i + AHEAD]));
		pt_get_leaf(&b->ctx, pt_ipa(ipa[i]), &entry, &level);
		sum += entry;
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	return sum;
}

/* From the start level of 44 bits, 2, over one table of pages each. */
static uint64_t sum_of_bare_walks(struct bench *b, const uint64_t *ipa)
{
	const pt_pte *root = pt_port_table(&b->port, b->ctx.root);
	const uint64_t index = (UINT64_C(1) << STRIDE) - 1;
	const pt_pte oa = ((UINT64_C(1) << 48) - 1) & ~((UINT64_C(1) << GRANULE) - 1);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < RANDOM; i++) {
		pt_pte e = __atomic_load_n(&root[ipa[i] >> (GRANULE + STRIDE)], __ATOMIC_ACQUIRE);
		const pt_pte *table = pt_port_table(&b->port, pt_pa(e & oa));

		sum += __atomic_load_n(&table[ipa[i] >> GRANULE & index], __ATOMIC_ACQUIRE);
	}
	return sum;
}

static void time_random(struct bench *b)
{
	uint64_t seed = UINT64_C(88172645463325252), *ipa = malloc(RANDOM * sizeof(*ipa));
	double own = 0, bare = 0;

	check(ipa != NULL, "memory for addresses", 0, RANDOM);
	check_eq("start level of 44 bits", (uint64_t)b->ctx.geo.start_level, 2);
	for (uint64_t i = 0; i < RANDOM; i++)
		ipa[i] = BASE + (random_next(&seed) % (LARGE >> GRANULE) << GRANULE);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t sum, want;
		double t = now_ns();

		want = sum_of_bare_walks(b, ipa);
		bare = best_of(bare, t, RANDOM);
		t = now_ns();
		sum = sum_of_leaves(b, ipa);
		own = best_of(own, t, RANDOM);
		check_eq("random_in_4tib: sum of the entries", sum, want);
	}
	printf("random_in_4tib %.2f\nrandom_in_4tib_bare %.2f\n", own, bare);
	free(ipa);
}

/* The i-th of distinct pages all over the 4 TiB. */
static uint64_t scattered(uint64_t i)
{
	return BASE + ((i * UINT64_C(0x9e3779b1) % (LARGE >> GRANULE)) << GRANULE);
}

static void own_points(struct bench *b, uint32_t kind)
{
	struct pt_effects effects = {0};
	uint64_t done = 0;

	for (uint64_t i = 0; i < POINTS; i += SECTION_CALLS) {
		struct pt_item item[SECTION_CALLS];

		for (unsigned k = 0; k < SECTION_CALLS; k++) {
			uint64_t ipa = scattered(i + k);

			item[k] = (struct pt_item){
				.ctx = &b->ctx, .ipa = pt_ipa(ipa), .size = b->page, .kind = kind};
			if (kind == PT_ITEM_MAP) {
				item[k].pa = pt_pa(ipa - BASE + BASE_PA);
				item[k].prot = PT_PROT_RW;
			}
		}
		section_begin(b);
		done += points(&b->agent, item, &effects);
		pt_section_end(&b->agent);
	}
	check_eq("points_in_4tib: operations done", done, POINTS);
}

/* The same entries by a bare walk, compare-and-swap, and store where it unmaps. */
static void bare_points(struct bench *b, pt_pte attrs)
{
	const pt_pte *root = pt_port_table(&b->port, b->ctx.root);
	const uint64_t index = (UINT64_C(1) << STRIDE) - 1;
	const pt_pte oa = ((UINT64_C(1) << 48) - 1) & ~((UINT64_C(1) << GRANULE) - 1);
	uint64_t done = 0;

	for (uint64_t i = 0; i < POINTS; i++) {
		uint64_t ipa = scattered(i);
		pt_pte e = __atomic_load_n(&root[ipa >> (GRANULE + STRIDE)], __ATOMIC_ACQUIRE);
		pt_pte *slot = pt_port_table(&b->port, pt_pa(e & oa)) + (ipa >> GRANULE & index);
		pt_pte old = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		done += __atomic_compare_exchange_n(
			slot, &old, attrs ? attrs | (ipa - BASE + BASE_PA) : PT_PTE_LOCKED, false,
			__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		if (!attrs)
			__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	}
	check_eq("points_in_4tib_bare: words", done, POINTS);
}

static void time_points(struct bench *b)
{
	pt_pte attrs = pt_leaf_attrs(&b->ctx.geo, PT_PROT_RW, 0) | PT_PTE_TYPE;
	double own = 0, bare = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		double t = now_ns();

		bare_points(b, 0);
		bare_points(b, attrs);
		bare = best_of(bare, t, 2 * POINTS);
		t = now_ns();
		own_points(b, PT_ITEM_UNMAP);
		own_points(b, PT_ITEM_MAP);
		own = best_of(own, t, 2 * POINTS);
	}
	printf("points_in_4tib %.2f\npoints_in_4tib_bare %.2f\n", own, bare);
}

static void sweep(struct bench *b)
{
	struct pt_upkeep_args args = {.ctx = &b->ctx,
				      .kind = PT_UPKEEP_SWEEP,
				      .ipa = pt_ipa(0),
				      .size = UINT64_C(1) << b->ctx.geo.ipa_bits};
	struct pt_upkeep upkeep;
	enum pt_outcome o = pt_upkeep_init(&upkeep, &args, NULL);

	check_eq("pt_upkeep_init", o, PT_OK);
	do {
		section_begin(b);
		o = pt_upkeep_step(&upkeep, &b->agent, STEP_BUDGET);
		pt_section_end(&b->agent);
	} while (o == PT_MORE);
	check_eq("sweep", o, PT_OK);
	while (pt_reclaim(&b->agent))
		;
}

/* Nine pages of ten go again, one by one; whole tables of them are empty then. */
static void at_rest(void)
{
	static struct bench b;
	uint64_t seed = UINT64_C(88172645463325252), needed = 1; /* the table of level 2 */
	struct pt_effects effects = {0};

	bench_open(&b, &(struct bench_args){
			       .granule_shift = 12, .size = GIB, .table_bytes = UINT64_C(4) << 20});
	map(&b, BASE, GIB, BASE_PA, PT_MAP_FORCE_PAGES);
	section_begin(&b);
	for (uint64_t table = 0; table < 512; table++) {
		bool keep = random_next(&seed) % 10 == 0;

		needed += keep;
		for (uint64_t i = keep; i < 512; i++) {
			struct pt_item item = {.ctx = &b.ctx,
					       .ipa = pt_ipa(BASE + (table * 512 + i) * b.page),
					       .size = b.page,
					       .kind = PT_ITEM_UNMAP};

			check_eq("unmap", pt_point(&b.agent, &item, &effects, NULL), PT_UNMAPPED);
		}
		section_turn(&b, SECTION_CALLS - 1);
	}
	pt_section_end(&b.agent);
	sweep(&b);
	printf("tables_at_rest %llu\ntables_at_rest_needed %llu\n",
	       (unsigned long long)b.ctx.table_pages, (unsigned long long)needed);
	unmap(&b, BASE, GIB);
	bench_close(&b);
}

void bench_large(void)
{
	static struct bench b;

	bench_open(&b, &(struct bench_args){.granule_shift = GRANULE,
					    .ipa_bits = 44,
					    .size = SMALL,
					    .table_bytes = UINT64_C(768) << 20,
					    .untouched = true});
	map(&b, BASE, SMALL, BASE_PA, PT_MAP_FORCE_PAGES);
	time_range(&b, "range_4gib");
	map(&b, BASE + SMALL, LARGE - SMALL, BASE_PA + SMALL, PT_MAP_FORCE_PAGES);
	time_range(&b, "range_in_4tib");
	time_random(&b);
	time_points(&b);
	unmap(&b, BASE, LARGE);
	check_eq("4 TiB: table pages left", b.ctx.table_pages, 0);
	bench_close(&b);
	at_rest();
}
