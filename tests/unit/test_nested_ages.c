/* SPDX-License-Identifier: BSD-2-Clause */
/* A range is aged over shadows: which leaves were used, and whose flags are cleared, by each leaf
 * of each shadow; so many of them a step. */
#include "nested_tables.h"

#include <pt/upkeep.h>

#define LEAVES 4096u
#define SPAN   3u /* canonical tables */

/* A leaf of a shadow's, and whether its flag is set. */
struct made {
	unsigned which;
	uint64_t ipa, canonical;
	bool young;
};

static struct made made[LEAVES];
static unsigned leaves;
static bool young[SPAN * 8192]; /* the canonical leaves themselves */
static uint64_t page, pages;	/* of SPAN tables */

static pt_pte *slot_of(const struct pt_ctx *ctx, uint64_t ipa)
{
	struct pt__at at;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, ipa, PT_LEVEL_LAST, 12, &at),
		       pt__descend(ctx, ipa, PT_LEVEL_LAST, 14, &at),
		       pt__descend(ctx, ipa, PT_LEVEL_LAST, 16, &at));
	assert_true(pt_pte_valid(at.entry));
	return at.slot;
}

/* As a walk of the CPU's does. */
static void use(const struct pt_ctx *ctx, uint64_t ipa)
{
	pt_pte *slot = slot_of(ctx, ipa);

	core_poke(slot, *slot | PT_PTE_AF);
}

static void make(unsigned which, uint64_t ipa, uint64_t canonical)
{
	if (leaves == LEAVES || nest_leaf(&n, s[which], ipa))
		return;
	fill(which, ipa, canonical);
	made[leaves++] = (struct made){which, ipa, canonical, true};
}

/* Stretches in order, or nearly, of which some pages are missing; and pages that lie anywhere. */
static void make_some(uint64_t *seed)
{
	unsigned which = core_random(seed) % NESTINGS;
	uint64_t from = core_random(seed) % pages, ipa = core_random(seed) % pages;
	uint64_t run = 1 + core_random(seed) % 300, missing = core_random(seed) % 4;
	uint64_t mixed = core_random(seed) % 3 ? 0 : core_random(seed) % 64;

	for (uint64_t i = 0; i < run; i++)
		if (core_random(seed) % 8 >= missing)
			make(which, (ipa + i) * page, (from + (i ^ mixed)) % pages * page);
	for (unsigned i = 0; i < 8; i++)
		make(which, (pages + core_random(seed) % pages) * page,
		     core_random(seed) % pages * page);
}

/* [first, end) of the canonical pages, by steps of `budget`. How many steps. */
static unsigned age(uint64_t first, uint64_t end, bool clear, uint8_t *bitmap, uint32_t budget)
{
	const struct pt_upkeep_args args = {.ctx = &n.c.ctx,
					    .kind = PT_UPKEEP_AGE,
					    .ipa = {first * page},
					    .size = (end - first) * page,
					    .clear = clear,
					    .bitmap = bitmap};
	struct pt_upkeep up;
	enum pt_outcome outcome;
	unsigned steps = 0;

	memset(bitmap, 0, pages / 8 + 2);
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&up, &args, NULL));
	do {
		pt_section_begin(&n.c.agent);
		outcome = pt_upkeep_step(&up, &n.c.agent, budget);
		pt_section_end(&n.c.agent);
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return steps;
}

/* What was said of [first, end) is what the flags said before; and they say what they have to. */
static void judge(uint64_t first, uint64_t end, bool clear, const uint8_t *bitmap)
{
	static bool used[SPAN * 8192];

	memcpy(used, young, sizeof(used));
	for (unsigned i = 0; i < leaves; i++)
		used[made[i].canonical / page] |= made[i].young;
	for (uint64_t i = first; i < end; i++) {
		assert_int_equal(used[i], bitmap[(i - first) / 8] >> (i - first) % 8 & 1);
		young[i] &= !clear;
		assert_int_equal(young[i], (*slot_of(&n.c.ctx, i * page) & PT_PTE_AF) != 0);
	}
	for (unsigned i = 0; i < leaves; i++) {
		uint64_t at = made[i].canonical / page;

		made[i].young &= !clear || at < first || at >= end;
		assert_int_equal(made[i].young,
				 (nest_leaf(&n, s[made[i].which], made[i].ipa) & PT_PTE_AF) != 0);
	}
}

static void open_pages(const struct shape *shape)
{
	open_shape(shape);
	page = core_size(&n.c, 3);
	pages = SPAN * core_size(&n.c, 2) / page;
	leaves = 0;
	memset(young, true, sizeof(young));
}

static void each_leaf_is_aged_with_those_of_shadows(void **state)
{
	static uint8_t bitmap[SPAN * 8192 / 8 + 2];
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		if (round % 8 == 0)
			open_pages(&shapes[round / 8]);
		for (unsigned i = 0; i < 3; i++)
			make_some(&seed);
		for (unsigned i = 0; i < leaves / 4; i++) {
			struct made *m = &made[core_random(&seed) % leaves];

			use(&s[m->which]->ctx, m->ipa);
			m->young = true;
		}
		for (unsigned i = 0; i < 40; i++) {
			uint64_t at = core_random(&seed) % pages;

			use(&n.c.ctx, at * page);
			young[at] = true;
		}
		for (unsigned i = 0; i < 4; i++) {
			uint64_t first = core_random(&seed) % (pages - 1);
			uint64_t end = first + 1 + core_random(&seed) % (pages - first);
			bool clear = core_random(&seed) % 2;

			age(first, end, clear, bitmap, 1u << core_random(&seed) % 16);
			judge(first, end, clear, bitmap);
		}
		if (round % 8 == 7)
			close_all();
	}
}

/* Leaves of shadows count, too. */
static void a_step_looks_at_so_much(void **state)
{
	static uint8_t bitmap[SPAN * 8192 / 8 + 2];
	const unsigned budget = 64, row = 16;
	unsigned steps;

	(void)state;
	open_pages(&shapes[0]);
	for (uint64_t i = 0; i < 512; i++)
		for (unsigned w = 0; w < NESTINGS; w++)
			make(w, i * page, i * page);
	steps = age(0, 512, true, bitmap, budget);
	assert_in_range(steps, 512 * NESTINGS / (budget + 2 * row * (NESTINGS + 1)), 512);
	judge(0, 512, true, bitmap);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_leaf_is_aged_with_those_of_shadows),
		cmocka_unit_test(a_step_looks_at_so_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
