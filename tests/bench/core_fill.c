/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shadow's fill beside what it is made of: a fault that maps a page of a context, and the walk of
 * the guest hypervisor's tables. In random order, tables and canonical leaves there, best of some
 * rounds, all in one run.
 */
#include "core.h"

#include <pt/nested.h>

#include <stdio.h>
#include <stdlib.h>

#define PHASE  __attribute__((noinline))
#define SIZE   (GIB / 16)
#define ROUNDS 7u
#define TABLES (BASE / 2) /* canonical IPA of the guest's tables: three levels, 4K */
#define WORDS  (2 + SIZE / 4096 / 512)

struct fills {
	struct bench b;
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[1], number[1];
	struct pt_shadow shadow;
	uint64_t (*table)[512];
};

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	const struct fills *f = arg;
	uint64_t at = ipa.v - TABLES;

	if (at >= WORDS * 4096)
		return PT_NO_SLOT;
	*word = __atomic_load_n(&f->table[at / 4096][at % 4096 / 8], __ATOMIC_ACQUIRE);
	return PT_OK;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	(void)arg, (void)ipa, (void)word, (void)to;
	return PT_READ_ONLY;
}

/* Nested IPAs are canonical ones, a page each. */
static void write_tables(struct fills *f)
{
	const uint64_t leaf = 3 | 0xf << 2 | 3 << 6 | 3 << 8 | 1 << 10;

	f->table[0][BASE / GIB] = (TABLES + 4096) | 3;
	for (uint64_t i = 0; i < WORDS - 2; i++)
		f->table[1][i] = (TABLES + (2 + i) * 4096) | 3;
	for (uint64_t i = 0; i < f->b.pages; i++)
		f->table[2 + i / 512][i % 512] = (BASE + i * 4096) | leaf;
}

static void open_shadow(struct fills *f)
{
	const struct pt_guest_memory memory = {load, swap, f};
	const struct pt_geometry_args args = {.granule_shift = 12,
					      .ipa_bits = 39,
					      .pa_bits = 40,
					      .start_level_given = true,
					      .start_level = 1};
	struct pt_geometry geo;
	struct pt_shadow_key key = {.vttbr = TABLES | UINT64_C(1) << 48, .enabled = true};
	struct pt_guest_regs regs = {.vttbr = key.vttbr, .pa_bits = 40};

	check_eq("geometry", pt_geometry_init(&geo, &args), PT_OK);
	key.vtcr = regs.vtcr = pt_geometry_vtcr(&geo, 0);
	check_eq("pt_nested_init",
		 pt_nested_init(&f->nested, &f->b.ctx, &memory, f->bucket, 1, f->number, 1,
				UINT64_MAX, 0),
		 PT_OK);
	section_begin(&f->b);
	check_eq("pt_shadow_init",
		 pt_shadow_init(&f->shadow, &f->nested, &f->b.agent, &key, &regs, UINT64_MAX),
		 PT_OK);
	pt_section_end(&f->b.agent);
}

static PHASE double time_fault(struct fills *f)
{
	struct bench *b = &f->b;
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		const struct pt_fault fault = {.ipa = {BASE + b->order[i] * b->page},
					       .access = PT_ACCESS_READ};

		check_eq("pt_fault_handle", fault_one(b, &fault).outcome, PT_MAPPED);
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	return (now_ns() - t) / (double)b->pages;
}

static PHASE double time_walk(struct fills *f)
{
	struct bench *b = &f->b;
	double t = now_ns();

	for (uint64_t i = 0; i < b->pages; i++) {
		const struct pt_ipa ipa = {BASE + b->order[i] * b->page};
		struct pt_guest_fault fault;
		struct pt_guest_leaf leaf;

		check_eq("pt_guest_walk",
			 pt_guest_walk(&f->nested.memory, &f->shadow.s2, ipa, PT_ACCESS_READ, false,
				       &leaf, &fault),
			 PT_OK);
	}
	return (now_ns() - t) / (double)b->pages;
}

static PHASE double time_fill(struct fills *f)
{
	struct bench *b = &f->b;
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		const struct pt_nested_fault fault = {.ipa = {BASE + b->order[i] * b->page},
						      .access = PT_ACCESS_READ};
		struct pt_nested_result r;

		check_eq("pt_nested_fault", pt_nested_fault(&b->agent, &f->shadow, &fault, &r),
			 PT_MAPPED);
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	return (now_ns() - t) / (double)b->pages;
}

static PHASE double time_floor(struct fills *f, struct bench_fill_floor *floor)
{
	struct bench *b = &f->b;
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		bench_fill_floor_one(floor, &b->port, &b->ctx, &f->shadow.ctx,
				     BASE + b->order[i] * b->page);
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	t = (now_ns() - t) / (double)b->pages;
	for (uint64_t i = 0; i < b->pages; i++)
		bench_fill_floor_clear(floor, &b->port, &f->shadow.ctx, BASE + i * b->page);
	return t;
}

/* Leaves go, tables stay. */
static void empty(struct fills *f)
{
	const struct pt_guest_tlbi all = {.scope = PT_GUEST_TLBI_ALL};
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome;

	pt_guest_tlbi_begin(&op, &f->nested, 0, &all);
	do {
		section_begin(&f->b);
		outcome = pt_guest_tlbi_step(&op, &f->b.agent, STEP_BUDGET);
		pt_section_end(&f->b.agent);
	} while (outcome == PT_MORE);
	check_eq("leaves removed", op.removed, f->b.pages);
}

/* The context's own leaves go a page at a time, so that its tables stay. */
static void empty_context(struct fills *f)
{
	struct bench *b = &f->b;

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		struct pt_item item = {.ctx = &b->ctx,
				       .ipa = {BASE + i * b->page},
				       .size = b->page,
				       .kind = PT_ITEM_UNMAP};
		struct pt_effects fx = {0};

		check_eq("unmap", pt_point(&b->agent, &item, &fx, NULL), PT_UNMAPPED);
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
}

static void close_shadow(struct fills *f)
{
	struct pt_shadow_end end;
	enum pt_outcome outcome;

	check_eq("pt_shadow_end_begin", pt_shadow_end_begin(&end, &f->shadow, NULL), PT_OK);
	do {
		section_begin(&f->b);
		outcome = pt_shadow_end_step(&end, &f->b.agent, STEP_BUDGET);
		pt_section_end(&f->b.agent);
	} while (outcome == PT_MORE);
	check_eq("pt_shadow_end_step", outcome, PT_OK);
}

static void print(double fault, double walk, double fill, double floor)
{
	printf("shadow_fill_fault_map %.2f\n", fault);
	printf("shadow_fill_guest_walk %.2f\n", walk);
	printf("shadow_fill %.2f\n", fill);
	printf("shadow_fill_floor %.2f\n", floor);
	printf("shadow_fill_of_2_faults_and_walk %.2f\n", fill / (2 * fault + walk));
	printf("shadow_fill_of_2_faults_and_2_walks %.2f\n", fill / (2 * (fault + walk)));
	printf("shadow_fill_of_floor %.2f\n", fill / floor);
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

void bench_fills(bool quiet)
{
	struct fills *f = calloc(1, sizeof(*f));
	double fault = 1e18, walk = 1e18, fill = 1e18, least_floor = 1e18, t;
	struct bench_fill_floor *floor;

	check(f, "memory for the bench", 0, 1);
	f->table = calloc(WORDS, sizeof(*f->table));
	check(f->table, "memory for tables", 0, 1);
	bench_open(&f->b, &(struct bench_args){.granule_shift = 12,
					       .size = quiet ? SIZE / 4 : SIZE,
					       .table_bytes = UINT64_C(16) << 20});
	write_tables(f);
	open_shadow(f);
	floor = bench_fill_floor_open(f->table, TABLES, f->b.pages);
	for (unsigned i = 0; i < (quiet ? 2 : ROUNDS); i++) {
		t = time_fault(f);
		fault = i ? least(fault, t) : fault; /* the first one makes tables */
		walk = least(walk, time_walk(f));
		t = time_fill(f);
		fill = i ? least(fill, t) : fill;
		empty(f);
		least_floor = least(least_floor, time_floor(f, floor));
		empty_context(f);
	}
	if (!quiet)
		print(fault, walk, fill, least_floor);
	bench_fill_floor_close(floor);
	close_shadow(f);
	bench_close(&f->b);
	free(f->table);
	free(f);
}
