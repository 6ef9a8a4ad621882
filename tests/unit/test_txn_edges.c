/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions, points and faults where shapes are at their edges: trees of one level, batches that
 * meet what they have just changed, invalid entries of large spans, contexts that never ran. */
#include "upkeep.h"

static enum pt_outcome validate(struct core *c, struct pt_item *items, uint32_t count,
				struct pt_effects *effects)
{
	enum pt_outcome outcome;
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, count, 0, true, NULL));
	outcome = core_run(&txn, &c->agent, 7);
	*effects = txn.effects;
	return outcome;
}

/* Runs the items with and without committing: the same outcomes and effects. */
static void as_foretold(struct core *c, struct pt_item *items, uint32_t count,
			struct pt_effects *effects)
{
	enum pt_outcome foretold[8];
	struct pt_effects planned;
	struct pt_digest before = core_digest_of(c);
	struct pt_txn txn;

	assert_true(count <= 8);
	ASSERT_OUTCOME(PT_OK, validate(c, items, count, &planned));
	assert_int_equal(before.state[0], core_digest_of(c).state[0]);
	for (uint32_t i = 0; i < count; i++)
		foretold[i] = items[i].outcome;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, count, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 7));
	for (uint32_t i = 0; i < count; i++)
		ASSERT_OUTCOME(foretold[i], (enum pt_outcome)items[i].outcome);
	*effects = txn.effects;
	planned.tlbis = effects->tlbis;
	assert_memory_equal(&planned, effects, sizeof(planned));
}

static void items_of_two_contexts_are_refused(void **state)
{
	struct pt_item items[2];
	struct pt_txn txn;
	struct core a, b;

	(void)state;
	core_open(&a, &shapes[0]);
	core_open(&b, &shapes[0]);
	items[0] = core_item(&a, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);
	items[1] = core_item(&b, PT_ITEM_MAP, 0x1000, 0x1000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_INVALID, pt_txn_init(&txn, items, 2, 0, false, NULL));
	assert_int_equal(1, txn.error.index);
	assert_int_equal(0x1000, txn.error.ipa.v);
	ASSERT_OUTCOME(PT_INVALID, pt_txn_init(&txn, items, 0, 0, false, NULL));
	ASSERT_OUTCOME(PT_INVALID, core_run(&txn, &a.agent, 1));
	core_close(&a);
	core_close(&b);
}

/* What is over, or never began, is given up at once; a teardown is not. */
static void who_may_be_given_up(void **state)
{
	struct pt_item item;
	struct pt_txn txn, second;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	item = core_item(&c, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_INVALID, pt_txn_init(&txn, &item, 0, 0, false, NULL));
	assert_true(pt_txn_abort(&txn, &c.agent));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, true, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 9));
	assert_true(pt_txn_abort(&txn, &c.agent)); /* validated: nothing was done */
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	assert_true(pt_txn_abort(&txn, &c.agent));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 9));
	assert_false(pt_txn_abort(&txn, &c.agent));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c.ctx, NULL));
	ASSERT_OUTCOME(PT_WRONG_STATE, pt_ctx_destroy_begin(&second, &c.ctx, NULL));
	assert_true(pt_txn_abort(&second, &c.agent));
	assert_false(pt_txn_abort(&txn, &c.agent));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 9));
	assert_int_equal(c.empty_bytes, atomic_load(&c.tables.world.pool.used_bytes));
	c.ctx.machine = NULL;
	core_close(&c);
}

/* The second item meets, inside a block of 1 GiB that the first will have split, a piece of 2 MiB
 * that it cuts and does not change. */
static void an_item_meets_what_the_one_before_it_splits(void **state)
{
	struct pt_item items[3];
	struct pt_effects fx;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_1G, 0, PT_PROT_R, 0));
	items[0] = core_item(&c, PT_ITEM_UNMAP, 0, PT_SZ_2M, 0, 0, 0);
	items[1] = core_item(&c, PT_ITEM_MAP, PT_SZ_2M + 0x1000, 0x2000, PT_SZ_2M + 0x1000,
			     PT_PROT_R, 0);
	items[2] = core_item(&c, PT_ITEM_MAP, 2 * PT_SZ_2M - 0x1000, PT_SZ_2M,
			     2 * PT_SZ_2M - 0x1000, PT_PROT_RW, 0);
	as_foretold(&c, items, 3, &fx);
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)items[0].outcome);
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, (enum pt_outcome)items[1].outcome);
	ASSERT_OUTCOME(PT_PERMISSION_ONLY, (enum pt_outcome)items[2].outcome);
	assert_int_equal(1, fx.blocks_split);
	assert_int_equal(1, fx.already);
	core_close(&c);
}

/* A whole group of blocks that is replaced by pages: its hint goes before the first block is split.
 */
static void a_group_of_blocks_gives_way_to_pages(void **state)
{
	(void)state;
	for (unsigned bbm = 0; bbm < 3; bbm++) {
		uint64_t group = 16 * PT_SZ_2M;
		struct pt_item item;
		struct pt_effects fx;
		struct core c;

		core_open(&c, &shapes[0]);
		core_set_bbm(&c, bbm);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, group, group, group, PT_PROT_R, PT_MAP_CONTIGUOUS));
		item = core_item(&c, PT_ITEM_MAP, group, group, group + 0x1000, PT_PROT_R,
				 PT_MAP_REPLACE);
		as_foretold(&c, &item, 1, &fx);
		ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)item.outcome);
		assert_int_equal(16, fx.blocks_split);
		for (uint64_t at = group; at < 2 * group; at += PT_SZ_2M - 0x1000) {
			struct hw_result r = core_walk(&c, at, HW_READ);

			assert_int_equal(at + 0x1000, r.pa);
			assert_int_equal(3, r.level);
		}
		core_close(&c);
	}
}

/* An invalid entry with a meaning that spans a block: part of it is in nobody's way but MAP's,
 * which replaces it as a whole. */
static void an_annotated_block(void **state)
{
	const pt_pte note = UINT64_C(4) << 60 | 8;
	static const uint32_t flags[] = {0, PT_MAP_REPLACE};
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	/* Its table is there. */
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_R, 0));
	core_poke(upkeep_slot(&c, PT_SZ_2M), note);
	for (unsigned k = 0; k < 4; k++) {
		bool replace = k & 1, whole = k & 2;
		struct pt_item item =
			core_item(&c, PT_ITEM_MAP, PT_SZ_2M, whole ? PT_SZ_2M : 0x2000, PT_SZ_2M,
				  PT_PROT_R, flags[replace]);
		struct pt_effects fx;
		int level;

		if (!replace || !whole) {
			ASSERT_OUTCOME(PT_OVERLAP, core_range(&c, item, NULL));
			ASSERT_OUTCOME(PT_OVERLAP, validate(&c, &item, 1, &fx));
			assert_int_equal(note, upkeep_entry(&c, PT_SZ_2M, &level));
			assert_int_equal(2, level);
			continue;
		}
		as_foretold(&c, &item, 1, &fx);
		assert_int_equal(1, fx.leaves_written);
		assert_int_equal(0, fx.leaves_removed);
		assert_int_equal(PT_SZ_2M, core_walk(&c, PT_SZ_2M, HW_READ).pa);
	}
	core_close(&c);
}

/* A block over a table of leaves and tables: what goes is foretold to the leaf. */
static void a_block_over_a_tree(void **state)
{
	struct pt_item item;
	struct pt_effects fx;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * PT_SZ_2M, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 2 * PT_SZ_2M, 0x3000, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 3 * PT_SZ_2M, PT_SZ_2M, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_1G - 0x1000, 0x1000, 0, PT_PROT_R, 0));
	item = core_item(&c, PT_ITEM_MAP, 0, PT_SZ_1G, PT_SZ_1G, PT_PROT_R, PT_MAP_REPLACE);
	as_foretold(&c, &item, 1, &fx);
	assert_int_equal(1, fx.leaves_written);
	assert_int_equal(2 + 3 + 1 + 1, fx.leaves_removed);
	assert_int_equal(3, fx.tables_freed);
	assert_int_equal(0, atomic_load(&c.ctx.table_pages));
	core_close(&c);
}

static const struct shape flat = {"64K, one level",
				  {.granule_shift = 16,
				   .ipa_bits = 32,
				   .pa_bits = 32,
				   .start_level_given = true,
				   .start_level = 3}};

/* A tree of one level, its start tables side by side: every operation on the last pages. */
static void a_tree_without_tables(void **state)
{
	const uint64_t page = PT_SZ_64K, top = UINT64_C(1) << 32, at = top - 4 * page;
	static const struct {
		enum pt_item_kind kind;
		uint32_t prot;
		enum pt_outcome first, again;
	} rows[] = {
		{PT_ITEM_MAP, PT_PROT_R, PT_MAPPED, PT_ALREADY_MAPPED},
		{PT_ITEM_RELAX, PT_PROT_W, PT_RELAXED, PT_ALREADY_MAPPED},
		{PT_ITEM_WRITE_PROTECT, 0, PT_PROTECTED, PT_ALREADY_MAPPED},
		{PT_ITEM_PROTECT, PT_PROT_RWX, PT_RELAXED, PT_ALREADY_MAPPED},
		{PT_ITEM_MAKE_YOUNG, 0, PT_ALREADY_MAPPED, PT_ALREADY_MAPPED},
		{PT_ITEM_FLUSH, 0, PT_FLUSHED, PT_FLUSHED},
		{PT_ITEM_UNMAP, 0, PT_UNMAPPED, PT_HOLE},
		{PT_ITEM_ANNOTATE, 0, PT_ANNOTATED, PT_ANNOTATED},
		{PT_ITEM_UNMAP, 0, PT_HOLE, PT_HOLE},
	};

	(void)state;
	for (unsigned points = 0; points < 2; points++) {
		struct core c;

		core_open(&c, &flat);
		assert_int_equal(3, c.ctx.geo.start_level);
		for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct pt_item item =
				core_item(&c, rows[i].kind, at, points ? page : 4 * page,
					  rows[i].kind == PT_ITEM_ANNOTATE ? UINT64_C(2) << 60 : at,
					  rows[i].prot, 0);

			ASSERT_OUTCOME(rows[i].first, points ? core_point(&c, item, NULL, NULL)
							     : core_range(&c, item, NULL));
			ASSERT_OUTCOME(rows[i].again, points ? core_point(&c, item, NULL, NULL)
							     : core_range(&c, item, NULL));
			assert_int_equal(0, atomic_load(&c.ctx.table_pages));
		}
		core_close(&c);
	}
}

/* Batches and hints find their entries in the start tables. */
static void a_batch_in_a_tree_without_tables(void **state)
{
	const uint64_t page = PT_SZ_64K, top = UINT64_C(1) << 32;
	struct pt_effects effects = {0};
	struct core c;

	(void)state;
	core_open(&c, &flat);
	for (unsigned kind = PT_ITEM_MAP; kind <= PT_ITEM_UNMAP; kind++) {
		struct pt_item item[2];

		for (unsigned i = 0; i < 2; i++)
			item[i] = core_item(&c, kind, top - (i + 1) * page, page, 0, PT_PROT_RW, 0);
		pt_section_begin(&c.agent);
		pt_machine_use(&c.machine, &c.agent);
		pt_prefetch(&c.ctx, item[0].ipa);
		assert_int_equal(2, pt_points(&c.agent, item, 2, &effects));
		pt_section_end(&c.agent);
		for (unsigned i = 0; i < 2; i++)
			ASSERT_OUTCOME(kind == PT_ITEM_MAP ? PT_MAPPED : PT_UNMAPPED,
				       item[i].outcome);
	}
	assert_int_equal(2, effects.leaves_written);
	assert_int_equal(2, effects.leaves_removed);
	core_close(&c);
}

static void upkeep_of_a_tree_without_tables(void **state)
{
	const uint64_t page = PT_SZ_64K, top = UINT64_C(1) << 32;
	struct pt_upkeep_find find;
	struct pt_walk_step step[PT_LEVELS];
	enum pt_outcome found;
	struct core c;

	(void)state;
	core_open(&c, &flat);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 3 * page, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, top - 20 * page, 20 * page, 0, PT_PROT_R, 0));
	for (unsigned kind = PT_UPKEEP_AGE; kind <= PT_UPKEEP_SWEEP; kind++) {
		struct pt_upkeep_args args = upkeep_args(&c, kind, 0, top);
		struct pt_digest before = core_digest_of(&c);
		struct pt_upkeep u;

		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 100));
		assert_int_equal(kind == PT_UPKEEP_AGE ? 23 : 0, u.young);
		assert_int_equal(top, u.next);
		assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
	}
	find = (struct pt_upkeep_find){.ctx = &c.ctx, .last = top - 1};
	pt_section_begin(&c.agent);
	while ((found = pt_upkeep_find(&find, 1000000)) == PT_MORE)
		continue;
	ASSERT_OUTCOME(PT_HOLE, found);
	assert_int_equal(1, pt_walk_explain(&c.ctx, pt_ipa(top - page), step));
	assert_int_equal(65535, step[0].index);
	pt_section_end(&c.agent);
	core_close(&c);
}

/* A batch that owes more than it can name owes the whole VMID, and everything after is in that. */
static void a_ledger_that_runs_over(void **state)
{
	struct pt_ledger ledger;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	pt_ledger_init(&ledger, &c.ctx);
	for (uint64_t i = 0; i < PT_LEDGER_RANGES; i++)
		pt_ledger_add(&ledger, (i + 1) * PT_SZ_2M, (i + 1) * PT_SZ_2M + 0xfff, 3, false);
	pt_ledger_add(&ledger, 100 * PT_SZ_2M, 100 * PT_SZ_2M + 0xfff, 3, false);
	assert_false(ledger.whole);
	assert_int_equal(100 * PT_SZ_2M + 0xfff, ledger.range[PT_LEDGER_RANGES - 1].hi);
	pt_ledger_add(&ledger, 0, 0xfff, 3, false); /* backwards */
	assert_true(ledger.whole);
	pt_ledger_add(&ledger, 200 * PT_SZ_2M, 200 * PT_SZ_2M + 0xfff, 3, true);
	assert_true(ledger.whole && ledger.tables);
	pt_section_begin(&c.agent);
	assert_int_equal(1, pt_ledger_discharge(&ledger));
	assert_int_equal(0, pt_ledger_discharge(&ledger));
	pt_section_end(&c.agent);
	core_close(&c);
}

/* No vCPU ever ran the context: rights come and go without an invalidation. */
static void a_context_that_never_ran_owes_nothing(void **state)
{
	static const struct pt_item what[] = {
		{.kind = PT_ITEM_WRITE_PROTECT, .outcome = PT_PROTECTED},
		{.kind = PT_ITEM_RELAX, .prot = PT_PROT_W, .outcome = PT_RELAXED},
		{.kind = PT_ITEM_PROTECT, .prot = PT_PROT_R, .outcome = PT_PROTECTED},
		{.kind = PT_ITEM_MAP,
		 .pa = {0x9000},
		 .prot = PT_PROT_R,
		 .flags = PT_MAP_REPLACE,
		 .outcome = PT_MAPPED},
		{.kind = PT_ITEM_UNMAP, .outcome = PT_UNMAPPED},
	};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		const struct shape *shape = &shapes[k ? 3 : 0];
		struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(struct pt_slot));
		struct pt_fault in = {.ipa = {0x1000}, .access = PT_ACCESS_WRITE};
		struct pt_fault_result r;
		struct pt_geometry geo;
		struct core c;

		assert_non_null(slots);
		core_open_machine(&c, UINT64_C(64) << 20, shape->args.pa_bits, true);
		c.empty_bytes = atomic_load(&c.tables.world.pool.used_bytes);
		ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &shape->args));
		ASSERT_OUTCOME(PT_OK, pt_ctx_init(&c.ctx, &c.agent, &c.machine, &geo, PT_ATTR_FWB,
						  0, UINT64_MAX));
		slots->count = 1;
		slots->slot[0] = (struct pt_slot){.size = PT_SZ_2M, .backing_shift = 12};
		pt_ctx_set_slots(&c.ctx, slots);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0x1000, PT_PROT_R, 0));
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_RELAXED, pt_fault_handle(&c.agent, &c.ctx, &in, &r));
		pt_section_end(&c.agent);
		for (unsigned i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
			struct pt_item item = what[i];
			struct pt_effects fx;

			item.ctx = &c.ctx;
			item.ipa.v = item.size = 0x1000;
			ASSERT_OUTCOME((enum pt_outcome)what[i].outcome,
				       core_point(&c, item, &fx, NULL));
			assert_int_equal(0, fx.tlbis);
		}
		assert_int_equal(0, pt_ctx_vmid(&c.ctx));
		core_close(&c);
		free(slots);
	}
}

/* A point's error has no place to go. */
static void a_refusal_without_a_place_for_its_error(void **state)
{
	static const uint32_t types[] = {PT_MEM_NC, PT_MEM_DEVICE};
	struct pt_effects fx = {0};
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	for (unsigned t = 0; t < 2; t++) {
		struct pt_item item =
			core_item(&c, PT_ITEM_RELAX, t * 0x1000, 0x1000, 0, PT_PROT_X, 0);
		struct pt_item over =
			core_item(&c, PT_ITEM_MAP, t * 0x1000, 0x1000, 0x8000, PT_PROT_R, 0);

		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, t * 0x1000, 0x1000, 0,
						   PT_PROT(PT_PROT_R, types[t]), 0));
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_INVALID, pt_point(&c.agent, &item, &fx, NULL));
		ASSERT_OUTCOME(PT_OVERLAP, pt_point(&c.agent, &over, &fx, NULL));
		pt_section_end(&c.agent);
		assert_int_equal(0, fx.leaves_written);
		assert_int_equal(HW_PERMISSION, core_walk(&c, t * 0x1000, HW_EXEC).fault);
	}
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_of_two_contexts_are_refused),
		cmocka_unit_test(who_may_be_given_up),
		cmocka_unit_test(an_item_meets_what_the_one_before_it_splits),
		cmocka_unit_test(a_group_of_blocks_gives_way_to_pages),
		cmocka_unit_test(an_annotated_block),
		cmocka_unit_test(a_block_over_a_tree),
		cmocka_unit_test(a_tree_without_tables),
		cmocka_unit_test(a_batch_in_a_tree_without_tables),
		cmocka_unit_test(upkeep_of_a_tree_without_tables),
		cmocka_unit_test(a_ledger_that_runs_over),
		cmocka_unit_test(a_context_that_never_ran_owes_nothing),
		cmocka_unit_test(a_refusal_without_a_place_for_its_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
