/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges that lose rights: each leaf of a shadow's that is made from them loses these, stays, and
 * is found as before; no other does. */
#include "nested_tables.h"

#define RX (PT_PROT_R | PT_PROT_X)

/* PT_PROT_RWX; UINT32_MAX: there is no leaf. */
static uint32_t grants(unsigned which, uint64_t ipa)
{
	pt_pte e = nest_leaf(&n, s[which], ipa);

	return e ? pt_leaf_prot(&s[which]->ctx.geo, e, s[which]->ctx.attrs) & PT_PROT_RWX
		 : UINT32_MAX;
}

/* Returns how many TLBIs. */
static uint32_t take_rights(uint64_t ipa, uint64_t size, uint32_t prot, uint32_t budget)
{
	struct pt_item item = core_item(&n.c, PT_ITEM_PROTECT, ipa, size, 0, prot, 0);
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_item_check(&item));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &n.c.agent, budget));
	return txn.effects.tlbis;
}

/* With all granules; full tables, sparse ones, what is mapped across canonical tables, and leaves
 * that grant less. */
static void rights_go_and_leaves_stay(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t span, page, step, links, leaves = 0;

		open_shape(&shapes[i]);
		span = core_size(&n.c, 2);
		page = core_size(&n.c, 3);
		step = i ? 7 * page : page;
		for (unsigned w = 0; w < NESTINGS; w++)
			for (uint64_t at = 0; at < 2 * span; at += step, leaves++)
				fill_as(w, (w + 1) * span + at, at + (w % 2) * span / 2,
					at / step % 3 ? PT_PROT_RWX : PT_PROT_R);
		links = atomic_load(&n.nested.store.bytes);
		take_rights(0, 2 * span, RX, 1000);
		for (unsigned w = 0; w < NESTINGS; w++)
			for (uint64_t at = 0; at < 2 * span; at += step) {
				bool out = at + (w % 2) * span / 2 >= 2 * span;

				assert_int_equal(!(at / step % 3) ? PT_PROT_R
						 : out		  ? PT_PROT_RWX
								  : RX,
						 grants(w, (w + 1) * span + at));
			}
		assert_int_equal(leaves, nest_leaves(&n));
		assert_int_equal(0, atomic_load(&n.nested.counts.killed));
		assert_int_equal(links, atomic_load(&n.nested.store.bytes));
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, 0, 3 * span));
		assert_int_equal(0, nest_leaves(&n));
		close_all();
	}
}

/* A flush for each table that loses any, and none for one that does not. */
static void a_table_is_flushed_once(void **state)
{
	(void)state;
	open_shape(&shapes[0]);
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < BLOCK; at += PAGE)
			fill_as(w, 5 * BLOCK + at, at, w ? PT_PROT_RWX : RX);
	assert_int_equal(1 + NESTINGS - 1, take_rights(0, BLOCK, RX, UINT32_MAX));
	/* Each right by itself. */
	assert_int_equal(1 + NESTINGS, take_rights(0, BLOCK, PT_PROT_R, UINT32_MAX));
	for (unsigned w = 0; w < NESTINGS; w++)
		assert_int_equal(PT_PROT_R, grants(w, 6 * BLOCK - PAGE));
	close_all();
}

/* A step looks at about as many leaves as it may. */
static void a_range_is_taken_in_steps(void **state)
{
	struct pt_item item;
	struct pt_txn txn;
	enum pt_outcome outcome;
	unsigned steps = 0, before = 0;

	(void)state;
	open_shape(&shapes[0]);
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < BLOCK; at += PAGE)
			fill(w, at, at);
	item = core_item(&n.c, PT_ITEM_WRITE_PROTECT, 0, BLOCK, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	do {
		unsigned taken = 0;

		pt_section_begin(&n.c.agent);
		outcome = pt_txn_step(&txn, &n.c.agent, 200);
		pt_section_end(&n.c.agent);
		for (unsigned w = 0; w < NESTINGS; w++)
			for (uint64_t at = 0; at < BLOCK; at += PAGE)
				taken += grants(w, at) == RX;
		assert_in_range(taken - before, 0, 200 + 4 * 16);
		before = taken;
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(NESTINGS * PAGES, before);
	assert_in_range(steps, NESTINGS * PAGES / 264, 40);
	close_all();
}

/* Steps of so many visits that a range takes. */
static unsigned steps_of(uint64_t size, uint32_t budget)
{
	struct pt_item item = core_item(&n.c, PT_ITEM_WRITE_PROTECT, 0, size, 0, 0, 0);
	enum pt_outcome outcome;
	unsigned steps = 0;
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	do {
		pt_section_begin(&n.c.agent);
		outcome = pt_txn_step(&txn, &n.c.agent, budget);
		pt_section_end(&n.c.agent);
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return steps;
}

/* Where two links of a page lead to one table, what stands behind both is gone through once: each
 * page has two leaves there, 16 apart. */
static void a_leaf_counts_once(void **state)
{
	unsigned steps;

	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = PAGES; at-- > 0;)
		fill(0, at * PAGE, (at / 32 * 16 + at % 16) * PAGE);
	fill(1, 77 * PAGE, 200 * PAGE);
	steps = steps_of(PAGES / 2 * PAGE, 200);
	assert_in_range(steps, 3, 8);
	for (uint64_t at = 0; at < PAGES; at++)
		assert_int_equal(RX, grants(0, at * PAGE));
	assert_int_equal(RX, grants(1, 77 * PAGE));
	close_all();
}

/* Who has broken a leaf may not have flushed yet. */
static void a_leaf_that_another_broke_is_flushed(void **state)
{
	struct pt__kills kills = {.agent = &n.c.agent};

	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = 0; at < 64; at++)
		fill_as(0, at * PAGE, at * PAGE, PT_PROT_R);
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, &kills, &s[0]->ctx, (uintptr_t)&n.c.agent, 0);
	pt_section_begin(&n.c.agent);
	assert_true(pt__kill(&kills, nest_spot(s[0], 5 * PAGE, PT_LEVEL_LAST), UINT64_MAX));
	pt_section_end(&n.c.agent);
	assert_int_equal(1 + 1, take_rights(0, 64 * PAGE, RX, 1000));
	/* It goes on. */
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, &kills, &s[0]->ctx, (uintptr_t)&n.c.agent, 0);
	pt_section_begin(&n.c.agent);
	pt__kills_finish(&kills);
	pt_section_end(&n.c.agent);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, &kills, &s[0]->ctx, PT_UNMAPPED, 0);
	assert_int_equal(63, nest_leaves(&n));
	close_all();
}

/* Pages that have leaves in other tables, too. */
static void pages_with_others_are_looked_at(void **state)
{
	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = 0; at < PAGES; at++) {
		fill(0, at * PAGE, at * PAGE);
		if (at % 3 == 0)
			fill(1, at * PAGE, (PAGES - 1 - at) * PAGE);
		else
			fill(1, at * PAGE, BLOCK + at * PAGE);
	}
	take_rights(0, BLOCK, PT_PROT_R, 1000);
	for (uint64_t at = 0; at < PAGES; at++) {
		assert_int_equal(PT_PROT_R, grants(0, at * PAGE));
		assert_int_equal(at % 3 ? PT_PROT_RWX : PT_PROT_R, grants(1, at * PAGE));
	}
	close_all();
}

/* All links in the list of page 100 are met; those that are in none are not. */
static void pages_with_too_many_are_swept(void **state)
{
	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = 0; at < 100 + PT_SHADOW_LINKS; at++)
		fill(0, at * PAGE, (at < 100 ? at : 100) * PAGE);
	for (uint64_t at = 0; at < 6; at++)
		fill(1, at * PAGE, 100 * PAGE);
	take_rights(0, BLOCK, PT_PROT_R, UINT32_MAX);
	assert_int_equal(0, nest_leaves(&n));
	assert_int_equal(1, atomic_load(&n.nested.counts.inexact));
	close_all();
}

/* Each page leads to a table of which nothing else is concerned. */
static void rows_that_do_not_pay_are_put_off(void **state)
{
	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = 0; at < 64; at++)
		fill(0, at * BLOCK, at * PAGE);
	assert_in_range(steps_of(BLOCK, PAGES + 1), 2, 8);
	for (uint64_t at = 0; at < 64; at++)
		assert_int_equal(RX, grants(0, at * BLOCK));
	close_all();
}

/* A leaf of which only a part loses a right goes: the rest of it keeps that. */
static void a_leaf_goes_for_a_part(void **state)
{
	(void)state;
	nest_open(&n, &shapes[0], false);
	s[0] = nest_shadow(&n, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, 4 * BLOCK, PA, PT_PROT_RWX, 0));
	for (unsigned b = 0; b < 4; b++)
		ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s[0], b * BLOCK, b * BLOCK, 2,
						    b == 3 ? PT_PROT_R : PT_PROT_RWX));
	take_rights(BLOCK / 2, 3 * BLOCK, RX, 1000);
	assert_int_equal(UINT32_MAX, grants(0, 0));
	assert_int_equal(RX, grants(0, BLOCK));
	assert_int_equal(RX, grants(0, 2 * BLOCK));
	assert_int_equal(PT_PROT_R, grants(0, 3 * BLOCK));
	assert_int_equal(1, atomic_load(&n.nested.counts.killed));
	close_all();
}

/* ---- at random ---- */

/* What each leaf was made from, by nested page, and what it grants; 0: there is none. */
static uint64_t made_of[NESTINGS][TABLES * PAGES];
static uint8_t rights[NESTINGS][TABLES * PAGES];

static uint32_t some_rights(uint64_t *seed)
{
	static const uint32_t of[] = {PT_PROT_RWX, RX, PT_PROT_R | PT_PROT_W, PT_PROT_R};

	return of[core_random(seed) % 4];
}

/* A table of a shadow: as it is, shifted, or of pages from anywhere; full or not. */
static void fill_table(unsigned which, unsigned table, uint64_t *seed)
{
	uint64_t how = core_random(seed), first = core_random(seed) % (TABLES * PAGES);
	uint64_t step = how >> 8 & 1 ? 1 + core_random(seed) % 20 : 1;

	if (how % 3 == 0)
		first &= ~(PAGES - 1);
	for (uint64_t i = 0; i < PAGES; i += step) {
		uint64_t at = table * PAGES + i;
		uint64_t from =
			how % 3 == 2 && core_random(seed) % 8 == 0 ? core_random(seed) : first + i;
		uint32_t prot = how >> 9 & 1 ? PT_PROT_RWX : some_rights(seed);

		if (made_of[which][at])
			continue;
		fill_as(which, at * PAGE, from % (TABLES * PAGES) * PAGE, prot);
		made_of[which][at] = 1 + from % (TABLES * PAGES);
		rights[which][at] = (uint8_t)grants(which, at * PAGE);
	}
}

static void protect_at_random(uint64_t *seed)
{
	uint64_t lo = core_random(seed) % (3 * PAGES), size = 1 + core_random(seed) % (2 * PAGES);
	uint32_t prot = some_rights(seed);
	uint64_t hi = lo + size < TABLES * PAGES ? lo + size : TABLES * PAGES;

	take_rights(lo * PAGE, (hi - lo) * PAGE, prot, 1u << core_random(seed) % 16);
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < TABLES * PAGES; at++) {
			uint64_t from = made_of[w][at];

			if (from > lo && from <= hi)
				rights[w][at] &= (uint8_t)prot;
			assert_int_equal(from ? rights[w][at] : UINT32_MAX, grants(w, at * PAGE));
		}
}

static void forget(uint64_t table)
{
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, table * BLOCK, BLOCK));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, table * BLOCK, BLOCK, PA + table * BLOCK,
					   PT_PROT_RWX, PT_MAP_FORCE_PAGES));
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < TABLES * PAGES; at++)
			if (made_of[w][at] && (made_of[w][at] - 1) / PAGES == table)
				made_of[w][at] = 0;
}

/* Every leaf that is made from the range loses what it loses, and no other does. */
static void ranges_at_random_take_what_they_name(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	memset(made_of, 0, sizeof(made_of));
	open_shape(&shapes[0]);
	for (unsigned round = 0; round < 30; round++) {
		forget(core_random(&seed) % TABLES);
		for (unsigned i = 0; i < NESTINGS * 2; i++)
			fill_table(core_random(&seed) % NESTINGS, core_random(&seed) % TABLES,
				   &seed);
		for (unsigned i = 0; i < 4; i++)
			protect_at_random(&seed);
	}
	assert_int_equal(0, atomic_load(&n.nested.counts.inexact));
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_go_and_leaves_stay),
		cmocka_unit_test(a_table_is_flushed_once),
		cmocka_unit_test(a_range_is_taken_in_steps),
		cmocka_unit_test(a_leaf_counts_once),
		cmocka_unit_test(a_leaf_that_another_broke_is_flushed),
		cmocka_unit_test(pages_with_others_are_looked_at),
		cmocka_unit_test(pages_with_too_many_are_swept),
		cmocka_unit_test(rows_that_do_not_pay_are_put_off),
		cmocka_unit_test(a_leaf_goes_for_a_part),
		cmocka_unit_test(ranges_at_random_take_what_they_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
