/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes of a canonical context reach exactly the leaves concerned, whatever makes them, in steps
 * of any size. */
#include "nested_fixture.h"

#include <pt/dirty.h>
#include <pt/upkeep.h>
#include <pt/walk.h>

#define PAGE  UINT64_C(4096)
#define BLOCK (UINT64_C(2) << 20)
#define GIB   (UINT64_C(1) << 30)
#define RW    (PT_PROT_R | PT_PROT_W)

static struct nest n;
static struct pt_shadow *s[3];

static uint64_t killed(void)
{
	return atomic_load(&n.nested.counts.killed);
}

/* Three shadows; the canonical context maps [0, 8 MiB) in pages, as the IPAs say, from 1 GiB on. */
static void open_pages(void)
{
	nest_open(&n, &shapes[0], false);
	for (unsigned i = 0; i < 3; i++)
		s[i] = nest_shadow(&n, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&n.c, 0, 4 * BLOCK, GIB, PT_PROT_RWX, PT_MAP_FORCE_PAGES));
}

static void fill(unsigned which, uint64_t ipa, uint64_t canonical, uint32_t prot)
{
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s[which], ipa, canonical, PT_LEVEL_LAST, prot));
}

static bool has(unsigned which, uint64_t ipa)
{
	return nest_leaf(&n, s[which], ipa) != 0;
}

/* PT_PROT_RWX; 0: there is no leaf. */
static uint32_t grants(unsigned which, uint64_t ipa)
{
	pt_pte e = nest_leaf(&n, s[which], ipa);

	return e ? pt_leaf_prot(&s[which]->ctx.geo, e, s[which]->ctx.attrs) & PT_PROT_RWX : 0;
}

/* Page 5 in all three at different addresses, page 6 in two of them. */
static void fill_two_pages(void)
{
	for (unsigned i = 0; i < 3; i++)
		fill(i, (10 + i) * PAGE, 5 * PAGE, PT_PROT_RWX);
	fill(0, 20 * PAGE, 6 * PAGE, PT_PROT_RWX);
	fill(1, 5 * PAGE, 6 * PAGE, PT_PROT_RWX);
}

/* Page 5 with these rights, or not at all; and page 6 as it was. */
static void page_5_grants(uint32_t left)
{
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(left, grants(i, (10 + i) * PAGE));
	assert_int_equal(PT_PROT_RWX, grants(0, 20 * PAGE));
	assert_int_equal(PT_PROT_RWX, grants(1, 5 * PAGE));
	assert_int_equal(left ? 5 : 2, nest_leaves(&n));
	assert_int_equal(left ? 0 : 3, killed());
	nest_close(&n);
	assert_int_equal(0, atomic_load(&n.nested.store.bytes));
}

static void a_page_is_unmapped(void **state)
{
	struct pt_effects fx;

	(void)state;
	open_pages();
	fill_two_pages();
	ASSERT_OUTCOME(PT_UNMAPPED,
		       core_point(&n.c, core_item(&n.c, PT_ITEM_UNMAP, 5 * PAGE, PAGE, 0, 0, 0),
				  &fx, NULL));
	assert_int_equal(1 + 3, fx.tlbis); /* its own, and one for each shadow */
	assert_int_equal(1, fx.leaves_removed);
	page_5_grants(0);
}

static void pages_are_unmapped_side_by_side(void **state)
{
	struct pt_item items[2];
	struct pt_effects fx = {0};

	(void)state;
	open_pages();
	fill_two_pages();
	items[0] = core_item(&n.c, PT_ITEM_UNMAP, 4 * PAGE, PAGE, 0, 0, 0);
	items[1] = core_item(&n.c, PT_ITEM_UNMAP, 5 * PAGE, PAGE, 0, 0, 0);
	pt_section_begin(&n.c.agent);
	for (unsigned i = 0; i < 2; i++)
		if (!pt_points(&n.c.agent, &items[i], 1, &fx))
			ASSERT_OUTCOME(PT_UNMAPPED, pt_point(&n.c.agent, &items[i], &fx, NULL));
	pt_section_end(&n.c.agent);
	page_5_grants(0);
}

static enum pt_outcome run_item(struct pt_item item, uint32_t budget, struct pt_txn *txn)
{
	enum pt_outcome outcome = pt_item_check(&item);

	ASSERT_OUTCOME(PT_OK, outcome);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(txn, &item, 1, 0, false, NULL));
	outcome = core_run(txn, &n.c.agent, budget);
	return outcome == PT_OK ? (enum pt_outcome)item.outcome : outcome;
}

/* Each kind that takes a page, or rights, as a transaction. */
static void ranges_take_what_they_name(void **state)
{
	static const struct {
		enum pt_item_kind kind;
		uint64_t pa;
		uint32_t prot, flags;
		enum pt_outcome outcome;
		uint32_t left; /* to shadows; 0: nothing */
	} cases[] = {
		{PT_ITEM_UNMAP, 0, 0, 0, PT_UNMAPPED, 0},
		{PT_ITEM_MAP, 3 * GIB, PT_PROT_RWX, PT_MAP_REPLACE, PT_MAPPED, 0},
		{PT_ITEM_MAP, GIB + 5 * PAGE, PT_PROT_R, PT_MAP_REPLACE, PT_MAPPED, PT_PROT_R},
		{PT_ITEM_ANNOTATE, UINT64_C(2) << 60, 0, 0, PT_ANNOTATED, 0},
		{PT_ITEM_WRITE_PROTECT, 0, 0, 0, PT_PROTECTED, PT_PROT_R | PT_PROT_X},
		{PT_ITEM_PROTECT, 0, RW, 0, PT_PROTECTED, RW},
		{PT_ITEM_PROTECT, 0, PT_PROT_R, 0, PT_PROTECTED, PT_PROT_R},
	};
	struct pt_txn txn;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint32_t budget = 1; budget < 2000; budget = budget * 5 + 1) {
			open_pages();
			fill_two_pages();
			ASSERT_OUTCOME(
				cases[i].outcome,
				run_item(core_item(&n.c, cases[i].kind, 5 * PAGE, PAGE, cases[i].pa,
						   cases[i].prot, cases[i].flags),
					 budget, &txn));
			assert_true(txn.effects.tlbis >= 4);
			page_5_grants(cases[i].left);
		}
}

static void points_that_take_say_it_is_no_point(void **state)
{
	(void)state;
	open_pages();
	fill_two_pages();
	ASSERT_OUTCOME(PT_MORE,
		       core_point(&n.c,
				  core_item(&n.c, PT_ITEM_WRITE_PROTECT, 5 * PAGE, PAGE, 0, 0, 0),
				  NULL, NULL));
	ASSERT_OUTCOME(PT_MORE, core_point(&n.c,
					   core_item(&n.c, PT_ITEM_ANNOTATE, 5 * PAGE, PAGE,
						     UINT64_C(2) << 60, 0, 0),
					   NULL, NULL));
	ASSERT_OUTCOME(PT_MORE, core_point(&n.c,
					   core_item(&n.c, PT_ITEM_MAP, 5 * PAGE, PAGE, 3 * GIB,
						     PT_PROT_R, PT_MAP_REPLACE),
					   NULL, NULL));
	assert_int_equal(5, nest_leaves(&n));
	assert_int_equal(0, killed());
	nest_close(&n);
}

/* What is not taken stays: leaves that do not grant the right, relax, age, sizes. */
static void what_translates_as_before_stays(void **state)
{
	struct pt_upkeep up;
	struct pt_upkeep_args args = {.ctx = &n.c.ctx, .size = 4 * BLOCK};
	enum pt_outcome outcome;
	struct pt_txn txn;

	(void)state;
	open_pages();
	for (unsigned i = 0; i < 8; i++)
		fill(0, i * PAGE, i * PAGE, i % 2 ? PT_PROT_R : PT_PROT_RWX);
	ASSERT_OUTCOME(PT_PROTECTED,
		       run_item(core_item(&n.c, PT_ITEM_WRITE_PROTECT, 2 * PAGE, 4 * PAGE, 0, 0, 0),
				100, &txn));
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(i % 2		    ? PT_PROT_R
				 : i == 2 || i == 4 ? PT_PROT_R | PT_PROT_X
						    : PT_PROT_RWX,
				 grants(0, i * PAGE));
	assert_int_equal(0, killed());
	ASSERT_OUTCOME(PT_RELAXED,
		       run_item(core_item(&n.c, PT_ITEM_RELAX, 0, 4 * BLOCK, 0, PT_PROT_RWX, 0),
				100, &txn));
	ASSERT_OUTCOME(
		PT_ALREADY_MAPPED,
		run_item(core_item(&n.c, PT_ITEM_MAKE_YOUNG, 0, 4 * BLOCK, 0, 0, 0), 100, &txn));
	for (args.kind = PT_UPKEEP_COLLAPSE; args.kind;
	     args.kind = args.kind == PT_UPKEEP_SPLIT ? 0 : PT_UPKEEP_SPLIT) {
		args.level = args.kind == PT_UPKEEP_SPLIT ? PT_LEVEL_LAST : 0;
		ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&up, &args, NULL));
		do {
			pt_section_begin(&n.c.agent);
			outcome = pt_upkeep_step(&up, &n.c.agent, 1000);
			pt_section_end(&n.c.agent);
		} while (outcome == PT_MORE);
		ASSERT_OUTCOME(PT_OK, outcome);
		assert_true(up.effects.tables_freed || up.effects.blocks_split);
	}
	assert_int_equal(0, killed());
	assert_int_equal(8, nest_leaves(&n));
	nest_close(&n);
}

/* A leaf that is concerned in part goes whole, wherever in it that is; those beside it stay. */
static void larger_leaves_go_for_a_part(void **state)
{
	static const struct shape *const of[] = {&shapes[0], &shapes[1], &shapes[2]};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t block, page, at[3];

		nest_open(&n, of[i], false);
		s[0] = nest_shadow(&n, of[i]);
		block = core_size(&n.c, 2);
		page = core_size(&n.c, 3);
		at[0] = block;
		at[1] = block + 5 * page;
		at[2] = 2 * block - page;
		for (unsigned k = 0; k < 3; k++) {
			ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, 3 * block, 0, PT_PROT_RWX, 0));
			for (unsigned b = 0; b < 3; b++)
				ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s[0], (4 + b) * block,
								    b * block, 2, PT_PROT_RWX));
			assert_int_equal(3, nest_leaves(&n));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, at[k], page));
			assert_int_equal(2, nest_leaves(&n));
			assert_false(has(0, 5 * block));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, 0, 3 * block));
			assert_int_equal(0, nest_leaves(&n));
			assert_int_equal(3 * (k + 1), killed());
		}
		nest_close(&n);
	}
}

/* A range of tables, blocks and holes, in steps; and the end of the canonical context. */
static void a_range_goes_in_steps(void **state)
{
	struct pt_txn txn;

	(void)state;
	for (uint32_t budget = 1; budget < 100000; budget *= 30) {
		open_pages();
		for (uint64_t i = 0; i < 2048; i += 3)
			for (unsigned w = 0; w < 3; w++)
				fill(w, (7 * i + w) * PAGE, i * PAGE, PT_PROT_RWX);
		ASSERT_OUTCOME(PT_UNMAPPED,
			       run_item(core_item(&n.c, PT_ITEM_UNMAP, PAGE, 3 * BLOCK, 0, 0, 0),
					budget, &txn));
		for (uint64_t i = 0; i < 2048; i += 3)
			for (unsigned w = 0; w < 3; w++)
				assert_int_equal(!i || i > 1536, has(w, (7 * i + w) * PAGE));
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &n.c.ctx, NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &n.c.agent, budget));
		assert_int_equal(0, nest_leaves(&n));
		assert_int_equal(3 * 683, killed());
		n.c.ctx.machine = NULL; /* it is gone */
		nest_close(&n);
	}
}

/* Of 70 links to a page six are in no list: a change removes all leaves, and it is exact again. */
static void an_inexact_page_takes_all(void **state)
{
	struct pt_txn txn;
	struct pt_effects fx;

	(void)state;
	for (uint32_t budget = 1; budget < 100000; budget *= 30) {
		open_pages();
		for (uint64_t i = 0; i < 70; i++)
			fill(1, i * PAGE, 5 * PAGE, PT_PROT_RWX);
		fill(0, 0, 8 * PAGE, PT_PROT_RWX);
		fill(2, 0, 9 * PAGE, PT_PROT_R);
		/* A point would take more than a step, and puts back what it took out. */
		ASSERT_OUTCOME(PT_MORE,
			       core_point(&n.c,
					  core_item(&n.c, PT_ITEM_UNMAP, 5 * PAGE, PAGE, 0, 0, 0),
					  &fx, NULL));
		assert_int_equal(0, fx.leaves_removed);
		assert_true(core_walk(&n.c, 5 * PAGE, HW_READ).read);
		ASSERT_OUTCOME(PT_PROTECTED, run_item(core_item(&n.c, PT_ITEM_WRITE_PROTECT,
								5 * PAGE, PAGE, 0, 0, 0),
						      budget, &txn));
		assert_int_equal(0, nest_leaves(&n));
		assert_int_equal(70, killed());
		assert_int_equal(2, atomic_load(&n.nested.counts.over));
		assert_int_equal(1, atomic_load(&n.nested.counts.inexact));
		fill(0, 0, 8 * PAGE, PT_PROT_RWX);
		fill(1, 0, 5 * PAGE, PT_PROT_R);
		ASSERT_OUTCOME(PT_UNMAPPED,
			       core_point(&n.c,
					  core_item(&n.c, PT_ITEM_UNMAP, 5 * PAGE, PAGE, 0, 0, 0),
					  &fx, NULL));
		assert_true(has(0, 0));
		assert_false(has(1, 0));
		nest_close(&n);
		assert_int_equal(0, atomic_load(&n.nested.store.bytes));
	}
}

static enum pt_outcome run_log(struct pt_dirty *op, const struct pt_dirty_args *args,
			       uint32_t budget)
{
	enum pt_outcome outcome = pt_dirty_init(op, args, NULL);

	while (outcome == PT_OK || outcome == PT_MORE) {
		pt_section_begin(&n.c.agent);
		outcome = pt_dirty_step(op, &n.c.agent, budget);
		pt_section_end(&n.c.agent);
		if (outcome == PT_OK)
			break;
	}
	return outcome;
}

/* What a dirty log makes clean no shadow may write; the log's bits are taken after that. */
static void a_log_makes_shadows_clean(void **state)
{
	static _Atomic uint64_t memory[4096];
	static uint8_t bitmap[4096];
	struct pt_dirty_log log;
	struct pt_dirty op;
	struct pt_dirty_args args;

	(void)state;
	for (uint32_t budget = 1; budget < 100000; budget *= 30) {
		memset(memory, 0, sizeof(memory));
		memset(bitmap, 0, sizeof(bitmap));
		open_pages();
		assert_true(pt_dirty_bytes(12, 4 * BLOCK) <= sizeof(memory));
		for (unsigned i = 0; i < 64; i++)
			for (unsigned w = 0; w < 3; w++)
				fill(w, (3 * i + w) * PAGE, (i + 500) * PAGE,
				     w ? PT_PROT_RWX : PT_PROT_R);
		args = (struct pt_dirty_args){.kind = PT_DIRTY_START,
					      .log = &log,
					      .ctx = &n.c.ctx,
					      .size = 4 * BLOCK,
					      .memory = memory};
		ASSERT_OUTCOME(PT_OK, run_log(&op, &args, budget));
		for (unsigned i = 0; i < 64; i++)
			for (unsigned w = 0; w < 3; w++)
				assert_int_equal(w ? PT_PROT_R | PT_PROT_X : PT_PROT_R,
						 grants(w, (3 * i + w) * PAGE));
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&n.c, 507 * PAGE, 8 * PAGE));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 507 * PAGE, 8 * PAGE, 2 * GIB, RW, 0));
		assert_int_equal(3 * 8, killed());
		for (unsigned i = 0; i < 8; i++)
			fill(1, (1000 + i) * PAGE, (507 + i) * PAGE, RW);
		args = (struct pt_dirty_args){.kind = PT_DIRTY_GET,
					      .log = &log,
					      .size = 4 * BLOCK,
					      .clear = true,
					      .bitmap = bitmap};
		ASSERT_OUTCOME(PT_OK, run_log(&op, &args, budget));
		assert_int_equal(8, op.dirty);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(PT_PROT_R, grants(1, (1000 + i) * PAGE));
		assert_int_equal(3 * 8, killed());
		args = (struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &log};
		ASSERT_OUTCOME(PT_OK, run_log(&op, &args, budget));
		nest_close(&n);
	}
}

static unsigned writable(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 512; i++)
		sum += grants(0, i * PAGE) == RW;
	return sum;
}

/* One that is given up in mid-table takes the right to write from what shadows have of pages that
 * are clean by now, in steps. */
static void a_log_is_given_up_in_steps(void **state)
{
	static _Atomic uint64_t memory[4096];
	struct pt_dirty_log log;
	struct pt_dirty_args args = {
		.kind = PT_DIRTY_START, .log = &log, .size = 4 * BLOCK, .memory = memory};
	enum pt_outcome outcome;
	struct pt_dirty op;
	unsigned steps = 0;

	(void)state;
	memset(memory, 0, sizeof(memory));
	open_pages();
	args.ctx = &n.c.ctx;
	for (unsigned i = 0; i < 512; i++)
		for (unsigned w = 0; w < 2; w++)
			fill(w, i * PAGE, i * PAGE, RW);
	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&op, &args, NULL));
	do {
		pt_section_begin(&n.c.agent);
		outcome = pt_dirty_step(&op, &n.c.agent, 400);
		pt_section_end(&n.c.agent);
		ASSERT_OUTCOME(PT_MORE, outcome);
	} while (!op.taken.pending);
	pt_section_begin(&n.c.agent);
	assert_false(pt_dirty_abort(&op, &n.c.agent));
	pt_section_end(&n.c.agent);
	do {
		unsigned before = writable();

		pt_section_begin(&n.c.agent);
		outcome = pt_dirty_step(&op, &n.c.agent, 50);
		pt_section_end(&n.c.agent);
		assert_in_range(before - writable(), 0, 100);
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_CANCELLED, outcome);
	assert_true(steps > 3);
	for (unsigned i = 0; i < 512; i++) { /* who may write can write here, too */
		uint32_t left;
		int level;
		pt_pte e;

		ASSERT_OUTCOME(PT_OK, pt_get_leaf(&n.c.ctx, pt_ipa(i * PAGE), &e, &level));
		left = e & PT_PTE_S2AP_W ? RW : PT_PROT_R;
		assert_int_equal(left, grants(0, i * PAGE));
		assert_int_equal(left, grants(1, i * PAGE));
	}
	pt_section_begin(&n.c.agent);
	assert_true(pt_dirty_abort(&op, &n.c.agent));
	pt_section_end(&n.c.agent);
	assert_null(atomic_load(&n.c.ctx.dirty));
	nest_close(&n);
}

static void age(bool clear, uint64_t young)
{
	struct pt_upkeep up;
	struct pt_upkeep_args args = {
		.ctx = &n.c.ctx, .kind = PT_UPKEEP_AGE, .size = 4 * BLOCK, .clear = clear};
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&up, &args, NULL));
	do {
		pt_section_begin(&n.c.agent);
		outcome = pt_upkeep_step(&up, &n.c.agent, 700);
		pt_section_end(&n.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(young, up.young);
	assert_int_equal(2048 - young, up.old);
}

/* What shadows use is young, though the canonical leaf is not; clearing one clears all. */
static void shadows_keep_pages_young(void **state)
{
	(void)state;
	open_pages();
	fill_two_pages();
	age(true, 2048);
	age(false, 0);
	assert_int_equal(5, nest_leaves(&n));
	fill(2, 0, 7 * PAGE, PT_PROT_R); /* with the flag, as a fill makes it */
	fill(1, 0, 5 * PAGE, PT_PROT_R);
	age(false, 2);
	age(true, 2);
	age(false, 0);
	for (uint64_t i = 0; i < 70; i++)
		fill(0, (100 + i) * PAGE, 9 * PAGE, PT_PROT_R);
	age(true, 1);
	age(true, 1); /* inexact */
	assert_int_equal(0, killed());
	nest_close(&n);
}

static uint64_t block_is_young(void)
{
	struct pt_upkeep up;
	struct pt_upkeep_args args = {
		.ctx = &n.c.ctx, .kind = PT_UPKEEP_AGE, .ipa = {GIB}, .size = GIB, .clear = true};
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&up, &args, NULL));
	do {
		pt_section_begin(&n.c.agent);
		outcome = pt_upkeep_step(&up, &n.c.agent, 700);
		pt_section_end(&n.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(GIB / PAGE, up.young + up.old);
	return up.young != 0;
}

/* A block in whose shadows there is too much to look at in a step is young; else it is as they
 * are. */
static void ageing_looks_at_so_much_of_a_block(void **state)
{
	(void)state;
	nest_open(&n, &shapes[0], false);
	s[0] = nest_shadow(&n, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, GIB, GIB, GIB, PT_PROT_RWX, 0));
	for (uint64_t i = 0; i < 10; i++)
		fill(0, i * PAGE, GIB + i * BLOCK, PT_PROT_R);
	assert_true(block_is_young());
	assert_false(block_is_young());
	for (uint64_t i = 10; i < 100; i++)
		fill(0, i * PAGE, GIB + i * BLOCK, PT_PROT_R);
	assert_true(block_is_young());
	assert_true(block_is_young());
	assert_int_equal(0, killed());
	nest_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_unmapped),
		cmocka_unit_test(pages_are_unmapped_side_by_side),
		cmocka_unit_test(ranges_take_what_they_name),
		cmocka_unit_test(points_that_take_say_it_is_no_point),
		cmocka_unit_test(what_translates_as_before_stays),
		cmocka_unit_test(larger_leaves_go_for_a_part),
		cmocka_unit_test(a_range_goes_in_steps),
		cmocka_unit_test(an_inexact_page_takes_all),
		cmocka_unit_test(a_log_makes_shadows_clean),
		cmocka_unit_test(a_log_is_given_up_in_steps),
		cmocka_unit_test(shadows_keep_pages_young),
		cmocka_unit_test(ageing_looks_at_so_much_of_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
