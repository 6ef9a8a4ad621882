/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaf tables of shadows go as a whole where a canonical range takes all that is in them, and only
 * there. */
#include "nested_tables.h"

static uint64_t tables(unsigned which)
{
	return atomic_load(&s[which]->ctx.table_pages);
}

static bool has(unsigned which, uint64_t ipa)
{
	return nest_leaf(&n, s[which], ipa) != 0;
}

/* With all granules; full tables, sparse ones, and what is mapped across canonical tables. */
static void tables_go_with_all_that_is_in_them(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t span, page, step, before[NESTINGS], leaves = 0;

		open_shape(&shapes[i]);
		span = core_size(&n.c, 2);
		page = core_size(&n.c, 3);
		step = i ? 7 * page : page;
		for (unsigned w = 0; w < NESTINGS; w++)
			for (uint64_t at = 0; at < 2 * span; at += step, leaves++)
				fill(w, (w + 1) * span + at, at + (w % 2) * span / 2);
		for (unsigned w = 0; w < NESTINGS; w++)
			before[w] = tables(w);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, 0, 3 * span));
		assert_int_equal(0, nest_leaves(&n));
		assert_int_equal(leaves, killed());
		/* What is mapped across them goes leaf by leaf while the host unmaps its tables one
		 * by one. */
		for (unsigned w = 0; w < NESTINGS; w++)
			if (w % 2 == 0)
				assert_int_equal(before[w] - 2, tables(w));
		assert_int_equal(0, atomic_load(&n.nested.store.bytes));
		close_all();
	}
}

/* A flush for each table, and no more. */
static void a_table_is_flushed_once(void **state)
{
	struct pt_item item;
	struct pt_txn txn;

	(void)state;
	open_shape(&shapes[0]);
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < BLOCK; at += PAGE)
			fill(w, 5 * BLOCK + at, at);
	item = core_item(&n.c, PT_ITEM_UNMAP, 0, BLOCK, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &n.c.agent, 1));
	assert_int_equal(NESTINGS + 1, txn.effects.tlbis);
	assert_int_equal(NESTINGS * PAGES, killed());
	close_all();
}

/* Leaves of faults that were handed in; no TLB can know a shadow that no vCPU has run. */
static void a_table_that_nobody_ran_goes_unflushed(void **state)
{
	struct pt_item item;
	struct pt_txn txn;
	uint64_t before;

	(void)state;
	open_shape(&shapes[0]);
	s[0] = nest_idle_shadow(&n, &shapes[0]);
	for (uint64_t at = 0; at < BLOCK; at += PAGE)
		fill(0, 5 * BLOCK + at, at);
	before = tables(0);
	item = core_item(&n.c, PT_ITEM_UNMAP, 0, BLOCK, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &n.c.agent, 1));
	assert_int_equal(1, txn.effects.tlbis);
	assert_int_equal(PAGES, killed());
	assert_int_equal(before - 1, tables(0));
	close_all();
}

/* One leaf of other memory keeps a table, wherever it is in there, and stays. */
static void a_table_with_other_leaves_stays(void **state)
{
	static const uint64_t others[] = {0, 1, 100, PAGES / 2, PAGES - 1};

	(void)state;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		uint64_t before;

		open_shape(&shapes[0]);
		for (uint64_t at = 0; at < PAGES; at++)
			fill(0, at * PAGE, at == others[i] ? 3 * BLOCK : BLOCK + at * PAGE);
		fill(1, 0, BLOCK);
		before = tables(0);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, 0, 3 * BLOCK));
		for (uint64_t at = 0; at < PAGES; at++)
			assert_int_equal(at == others[i], has(0, at * PAGE));
		assert_int_equal(before, tables(0));
		assert_false(has(1, 0));
		assert_int_equal(PAGES, killed());
		assert_int_equal(1, nest_leaves(&n));
		close_all();
	}
}

static unsigned steps(struct pt_txn *txn, uint32_t budget)
{
	enum pt_outcome outcome;
	unsigned count = 0;

	do {
		pt_section_begin(&n.c.agent);
		outcome = pt_txn_step(txn, &n.c.agent, budget);
		pt_section_end(&n.c.agent);
		count++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return count;
}

/* It is not tried again at each page of the range: its leaves go in batches. */
static void a_table_that_stays_is_tried_once(void **state)
{
	struct pt_item item;
	struct pt_txn txn;

	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = 0; at < PAGES; at++)
		fill(0, at * PAGE, at == 64 ? 3 * BLOCK : at * PAGE);
	item = core_item(&n.c, PT_ITEM_UNMAP, 0, BLOCK, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	/* A try counts as many as the table has entries, a page as two. */
	assert_int_equal(1 + 1 + 2, steps(&txn, PAGES));
	assert_int_equal(PAGES - 1, killed());
	assert_true(has(0, 64 * PAGE));
	/* Of the host's range, and of each batch, of which steps cut two: none of the table that
	 * was put back. */
	assert_int_equal(1 + PAGES / 64 + 2, txn.effects.tlbis);
	close_all();
}

/* Lists that lead to leaves in tables that stay, too, keep those. */
static void lists_keep_what_is_not_in_the_tables(void **state)
{
	(void)state;
	open_shape(&shapes[0]);
	for (uint64_t at = 0; at < PAGES; at++) {
		fill(0, at * PAGE, at * PAGE);
		if (at % 3 == 0)
			fill(1, at * PAGE, at * PAGE);
		else
			fill(1, at * PAGE, BLOCK + at * PAGE);
	}
	for (uint64_t at = 0; at < 80; at++) /* twice from one table; 64 links, and more */
		fill(2, at * PAGE, (at % 2 ? 7 : at) * PAGE);
	for (uint64_t at = 0; at < 40; at++)
		fill(3, at * PAGE, 7 * PAGE);
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, 0, BLOCK));
	/* Page 7 was inexact: all have gone. */
	assert_int_equal(0, nest_leaves(&n));
	assert_int_equal(PAGES - (PAGES + 2) / 3, atomic_load(&n.nested.counts.over));
	assert_int_equal(0, atomic_load(&n.nested.store.bytes));
	close_all();
}

/* While others are in a section leaves go one by one, and no table does. */
static void beside_others_leaves_go_one_by_one(void **state)
{
	struct pt_agent other = {.id = 0};
	enum pt_outcome outcome;
	struct pt_item item;
	struct pt_txn txn;
	uint64_t before;

	(void)state;
	open_shape(&shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&n.c.tables.world, &other));
	pt_section_begin(&other);
	pt_machine_use(&n.c.machine, &other);
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < BLOCK; at += PAGE)
			fill(w, at, at);
	before = tables(0);
	item = core_item(&n.c, PT_ITEM_UNMAP, 0, BLOCK, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	do { /* each step meets a section that began after the claim */
		pt_section_begin(&n.c.agent);
		outcome = pt_txn_step(&txn, &n.c.agent, 100);
		pt_section_end(&n.c.agent);
		pt_section_end(&other);
		pt_section_begin(&other);
	} while (outcome == PT_MORE);
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(NESTINGS * PAGES, killed());
	assert_int_equal(0, nest_leaves(&n));
	assert_int_equal(before, tables(0));
	while (pt_reclaim(&n.c.agent))
		continue;
	pt_agent_leave(&other);
	close_all();
}

/* ---- met by others ---- */

/* What links the table of a shadow's first pages. */
static struct pt__at table_at(unsigned which)
{
	struct pt__at at;

	pt__descend(&s[which]->ctx, 0, PT_LEVEL_LAST - 1, 12, &at);
	return at;
}

static void set_aside(unsigned which, const struct pt__at *at)
{
	pt_pte entry = at->entry;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, at, &s[which]->ctx, (uintptr_t)&n.c.agent, 0);
	assert_true(pt_pte_cas(at->slot, &entry, PT__ASIDE));
}

static void put_back(unsigned which, const struct pt__at *at)
{
	struct pt_ledger ledger;

	pt_ledger_init(&ledger, &s[which]->ctx);
	pt_ledger_add(&ledger, 0, BLOCK - 1, PT_LEVEL_LAST - 1, true);
	pt_ledger_discharge(&ledger);
	pt_pte_store_release(at->slot, at->entry);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, at, &s[which]->ctx, PT_OK, 0);
}

static bool young(uint64_t page, bool clear)
{
	int64_t left = 100;
	uint8_t is;

	assert_int_equal(1, pt__shadow_rules.young(&n.nested, page, 12, 1, clear, &is, &left));
	return is;
}

/* A table that is set aside may come back, with leaves that are young. */
static void what_is_set_aside_counts_as_young(void **state)
{
	struct pt__at at;

	(void)state;
	open_shape(&shapes[0]);
	fill(0, 0, PAGE);
	pt_section_begin(&n.c.agent);
	assert_true(young(PAGE, true));
	assert_false(young(PAGE, true));
	at = table_at(0);
	set_aside(0, &at);
	assert_true(young(PAGE, false));
	assert_true(young(PAGE, true));
	assert_false(young(2 * PAGE, true));
	put_back(0, &at);
	assert_false(young(PAGE, true));
	pt_section_end(&n.c.agent);
	close_all();
}

/* Who set it aside may be waiting for a CPU: what is left of the step is not spent on asking. */
static void what_is_set_aside_ends_the_step(void **state)
{
	struct pt_shadow_search search = {.lo = PAGE, .hi = 2 * PAGE - 1, .pending = true};
	int64_t left = 1000;
	struct pt__at at;

	(void)state;
	open_shape(&shapes[0]);
	fill(0, 0, PAGE);
	pt_section_begin(&n.c.agent);
	at = table_at(0);
	set_aside(0, &at);
	assert_false(pt__shadow_rules.taken(&n.nested, &n.c.agent, &search, &left));
	assert_true(left <= 0);
	put_back(0, &at);
	left = 1000;
	assert_true(pt__shadow_rules.taken(&n.nested, &n.c.agent, &search, &left));
	pt_section_end(&n.c.agent);
	assert_false(has(0, 0));
	assert_int_equal(1, killed());
	close_all();
}

/* ---- at random ---- */

/* What each leaf was made from, by nested page; 0: there is none. */
static uint64_t made_of[NESTINGS][TABLES * PAGES];

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

		if (made_of[which][at])
			continue;
		fill(which, at * PAGE, from % (TABLES * PAGES) * PAGE);
		made_of[which][at] = 1 + from % (TABLES * PAGES);
	}
}

static void unmap(uint64_t lo, uint64_t hi, uint32_t budget)
{
	struct pt_item item = core_item(&n.c, PT_ITEM_UNMAP, lo * PAGE, (hi - lo) * PAGE, 0, 0, 0);
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &n.c.agent, budget));
	for (unsigned w = 0; w < NESTINGS; w++)
		for (uint64_t at = 0; at < TABLES * PAGES; at++) {
			uint64_t from = made_of[w][at];

			if (from > lo && from <= hi)
				made_of[w][at] = 0;
			assert_int_equal(made_of[w][at] != 0, has(w, at * PAGE));
		}
	if (hi > TABLES * PAGES)
		hi = TABLES * PAGES;
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, lo * PAGE, (hi - lo) * PAGE, PA + lo * PAGE,
					   PT_PROT_RWX, PT_MAP_FORCE_PAGES));
}

/* Every leaf goes that was made from the range, and no other. */
static void ranges_at_random_take_what_they_name(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	memset(made_of, 0, sizeof(made_of));
	open_shape(&shapes[0]);
	for (unsigned round = 0; round < 30; round++) {
		uint64_t lo = core_random(&seed) % (2 * PAGES), size;

		for (unsigned i = 0; i < NESTINGS * 2; i++)
			fill_table(core_random(&seed) % NESTINGS, core_random(&seed) % TABLES,
				   &seed);
		if (round % 2)
			lo &= ~(PAGES - 1);
		size = PAGES + core_random(&seed) % (2 * PAGES);
		if (round % 5 == 0) { /* of the host's tables one above them goes, with all of it */
			lo = 0;
			size = PAGES * PAGES;
		}
		unmap(lo, lo + size, 1u << core_random(&seed) % 16);
	}
	assert_int_equal(0, atomic_load(&n.nested.counts.inexact));
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_go_with_all_that_is_in_them),
		cmocka_unit_test(a_table_is_flushed_once),
		cmocka_unit_test(a_table_that_nobody_ran_goes_unflushed),
		cmocka_unit_test(a_table_with_other_leaves_stays),
		cmocka_unit_test(a_table_that_stays_is_tried_once),
		cmocka_unit_test(lists_keep_what_is_not_in_the_tables),
		cmocka_unit_test(beside_others_leaves_go_one_by_one),
		cmocka_unit_test(what_is_set_aside_counts_as_young),
		cmocka_unit_test(what_is_set_aside_ends_the_step),
		cmocka_unit_test(ranges_at_random_take_what_they_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
