/* SPDX-License-Identifier: BSD-2-Clause */
/* Point operations over everything that an entry can be: which outcome, and nothing else changed.
 */
#include "core.h"

/* With no place for an error, as callers may. */
static enum pt_outcome quietly(struct core *c, struct pt_item item, struct pt_effects *effects)
{
	enum pt_outcome outcome;

	*effects = (struct pt_effects){0};
	pt_section_begin(&c->agent);
	outcome = pt_point(&c->agent, &item, effects, NULL);
	pt_section_end(&c->agent);
	return outcome;
}

static enum pt_outcome map(struct core *c, uint64_t ipa, uint64_t size, uint64_t pa, uint32_t flags,
			   struct pt_effects *effects)
{
	return quietly(c, core_item(c, PT_ITEM_MAP, ipa, size, pa, PT_PROT_RW, flags), effects);
}

static enum pt_outcome unmap(struct core *c, uint64_t ipa, uint64_t size,
			     struct pt_effects *effects)
{
	return quietly(c, core_item(c, PT_ITEM_UNMAP, ipa, size, 0, 0, 0), effects);
}

static void what_needs_more_than_one_entry_is_left_to_a_transaction(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_effects fx;
		struct core c;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MORE, map(&c, 0, 3 * page, 0, 0, &fx));
		ASSERT_OUTCOME(PT_MORE, map(&c, 0, block / 2, 0, 0, &fx));
		ASSERT_OUTCOME(PT_MORE, map(&c, page, block, page, 0, &fx));
		ASSERT_OUTCOME(PT_MORE, map(&c, 0, block, page, 0, &fx));
		ASSERT_OUTCOME(PT_MORE, map(&c, 0, block, 0, PT_MAP_FORCE_PAGES, &fx));
		ASSERT_OUTCOME(PT_MORE, unmap(&c, 0, 2 * page, &fx));
		ASSERT_OUTCOME(PT_MORE, unmap(&c, page, block, &fx));
		ASSERT_OUTCOME(PT_HOLE, unmap(&c, 0, block, &fx));
		assert_int_equal(block / page, fx.holes);
		ASSERT_OUTCOME(PT_MAPPED, map(&c, 0, page, 0, 0, &fx));
		ASSERT_OUTCOME(PT_MORE, map(&c, 0, block, 0, 0, &fx)); /* a table is in its place */
		ASSERT_OUTCOME(PT_MORE, unmap(&c, 0, block, &fx));
		ASSERT_OUTCOME(PT_MAPPED, map(&c, block, block, 0, 0, &fx));
		ASSERT_OUTCOME(PT_MORE, unmap(&c, block, page, &fx));
		ASSERT_OUTCOME(PT_MORE, map(&c, block, page, page, PT_MAP_REPLACE, &fx));
		assert_int_equal(0, fx.leaves_written + fx.leaves_removed);
		core_close(&c);
	}
}

static void a_mapping_in_the_way_is_told_or_replaced(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		for (int level = 2; level <= 3; level++) {
			struct pt_effects fx;
			struct core c;
			uint64_t size;

			core_open(&c, &shapes[i]);
			size = core_size(&c, level);
			ASSERT_OUTCOME(PT_MAPPED, map(&c, size, size, 0, 0, &fx));
			ASSERT_OUTCOME(PT_ALREADY_MAPPED, map(&c, size, size, 0, 0, &fx));
			assert_int_equal(1, fx.already);
			ASSERT_OUTCOME(PT_OVERLAP, map(&c, size, size, size, 0, &fx));
			ASSERT_OUTCOME(PT_MAPPED, map(&c, size, size, size, PT_MAP_REPLACE, &fx));
			assert_int_equal(1, fx.leaves_written);
			assert_int_equal(1, fx.leaves_removed);
			assert_int_equal(size, core_walk(&c, size, HW_READ).pa);
			ASSERT_OUTCOME(
				PT_PERMISSION_ONLY,
				quietly(&c,
					core_item(&c, PT_ITEM_MAP, size, size, size, PT_PROT_R, 0),
					&fx));
			ASSERT_OUTCOME(PT_MAPPED,
				       quietly(&c,
					       core_item(&c, PT_ITEM_MAP, size, size, size,
							 PT_PROT_R, PT_MAP_REPLACE),
					       &fx));
			assert_false(core_walk(&c, size, HW_READ).write);
			ASSERT_OUTCOME(PT_UNMAPPED, unmap(&c, size, size, &fx));
			assert_int_equal(1, fx.leaves_removed);
			core_close(&c);
		}
	}
}

/* The descriptor where the walk for `ipa` ends. */
static pt_pte *slot_of(struct core *c, uint64_t ipa)
{
	struct hw_result hw = core_walk(c, ipa, HW_AT);

	assert_true(hw.steps > 0);
	return (pt_pte *)(void *)(c->port.table_va +
				  (hw.step[hw.steps - 1].entry - c->port.table_pa));
}

/* An entry between break and make belongs to its operation; an annotation to whoever wrote it. */
static void invalid_entries_that_are_not_empty(void **state)
{
	const pt_pte note = UINT64_C(2) << 60 | 0x1234;

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		for (int level = 2; level <= 3; level++) {
			struct pt_effects fx;
			struct core c;
			uint64_t size;
			pt_pte *slot;

			core_open(&c, &shapes[i]);
			size = core_size(&c, level);
			ASSERT_OUTCOME(PT_MAPPED, map(&c, size, size, 0, 0, &fx));
			slot = slot_of(&c, size);
			core_poke(slot, PT_PTE_LOCKED);
			ASSERT_OUTCOME(PT_RACED, map(&c, size, size, 0, PT_MAP_REPLACE, &fx));
			ASSERT_OUTCOME(PT_RACED, unmap(&c, size, size, &fx));
			ASSERT_OUTCOME(PT_RACED, quietly(&c,
							 core_item(&c, PT_ITEM_PROTECT, size, size,
								   0, PT_PROT_R, 0),
							 &fx));
			assert_int_equal(PT_PTE_LOCKED, *slot);
			core_poke(slot, note);
			ASSERT_OUTCOME(PT_OVERLAP, map(&c, size, size, 0, 0, &fx));
			if (level == 2)
				ASSERT_OUTCOME(PT_MORE, map(&c, size, core_size(&c, 3), 0,
							    PT_MAP_REPLACE, &fx));
			ASSERT_OUTCOME(PT_MAPPED, map(&c, size, size, 0, PT_MAP_REPLACE, &fx));
			assert_int_equal(0, fx.leaves_removed + fx.tlbis);
			ASSERT_OUTCOME(PT_UNMAPPED, unmap(&c, size, size, &fx));
			core_poke(slot, note);
			if (level == 2) { /* a hole of a page leaves the whole's annotation */
				ASSERT_OUTCOME(PT_HOLE, unmap(&c, size, core_size(&c, 3), &fx));
				assert_int_equal(note, *slot);
			}
			ASSERT_OUTCOME(PT_HOLE, unmap(&c, size, size, &fx));
			assert_int_equal(0, *slot);
			core_close(&c);
		}
	}
}

static void a_dying_context_is_left_alone(void **state)
{
	struct pt_effects fx;
	struct pt_txn txn;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c.ctx, NULL));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1));
	pt_section_end(&c.agent);
	ASSERT_OUTCOME(PT_WRONG_STATE, map(&c, 0, 4096, 0, 0, &fx));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 0)); /* over is over */
	assert_false(pt_txn_abort(&txn, &c.agent));	    /* it has happened */
	c.ctx.machine = NULL;
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_needs_more_than_one_entry_is_left_to_a_transaction),
		cmocka_unit_test(a_mapping_in_the_way_is_told_or_replaced),
		cmocka_unit_test(invalid_entries_that_are_not_empty),
		cmocka_unit_test(a_dying_context_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
