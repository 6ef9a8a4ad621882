/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty state beside every other change of a tree (rules D1 to D3), and blocks that come back. */
#include <pt/upkeep.h>

#include "dirty_fixture.h"

static uint64_t page_at(const struct logged *l, uint64_t n)
{
	return l->base + n * l->page;
}

static void touch(struct logged *l, uint64_t n, enum pt_access access)
{
	ASSERT_OUTCOME(PT_OK, vcpu_touch(l, 0, page_at(l, n), access, NULL));
}

/* The whole log holds exactly these pages; it is clean then. */
static void assert_dirty(struct logged *l, const uint64_t *pages, unsigned count)
{
	uint64_t dirty = log_get(l, true);

	for (unsigned i = 0; i < count; i++)
		if (!told(l, page_at(l, pages[i])))
			fail_msg("page %llu is not told", (unsigned long long)pages[i]);
	assert_int_equal(count, dirty);
}

/* Pages 0 and 5 of the first block and 1 of the second are written and not told yet. */
static const uint64_t written[] = {0, 5};

static void open_written(struct logged *l, const struct shape *shape, unsigned vtcr)
{
	logged_open_on(l, shape, vtcr, 2);
	touch(l, 0, PT_ACCESS_READ);
	touch(l, l->per_block, PT_ACCESS_READ);
	log_start(l, true, false);
	for (unsigned i = 0; i < 2; i++)
		touch(l, written[i], PT_ACCESS_WRITE);
}

/* One page, by a point operation. */
static void remove_page(struct logged *l, uint64_t n, enum pt_item_kind kind)
{
	bool notes = kind == PT_ITEM_ANNOTATE;
	struct pt_item item =
		core_item(&l->c, kind, page_at(l, n), l->page, notes ? UINT64_C(2) << 60 : 0, 0, 0);

	ASSERT_OUTCOME(notes ? PT_ANNOTATED : PT_UNMAPPED, core_point(&l->c, item, NULL, NULL));
}

static void a_removal_keeps_what_was_written(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 5; way++)
		EACH_SHAPE_AND_MODE(i, m)
		{
			struct logged l;
			uint64_t size;

			open_written(&l, &shapes[i], dirty_modes[m]);
			size = way == 2 ? 7 * l.page : way == 3 ? l.block : l.size;
			if (way >= 2)
				ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&l.c, l.base, size));
			for (unsigned k = 0; k < 2 && way < 2; k++)
				remove_page(&l, written[k], way ? PT_ITEM_ANNOTATE : PT_ITEM_UNMAP);
			assert_false(core_walk(&l.c, l.base, HW_READ).fault == HW_NO_FAULT);
			assert_dirty(&l, written, 2);
			log_stop(&l);
			logged_close(&l);
		}
}

/* An annotation takes a page away, too: as a point, and in ranges of pages and of blocks. */
static void an_annotation_keeps_what_was_written(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++)
		EACH_SHAPE_AND_MODE(i, m)
		{
			struct pt_item item;
			struct logged l;

			open_written(&l, &shapes[i], dirty_modes[m]);
			item = core_item(&l.c, PT_ITEM_ANNOTATE, l.base,
					 way == 0   ? l.page
					 : way == 1 ? 7 * l.page
						    : l.block,
					 UINT64_C(2) << 60, 0, 0);
			if (way) {
				ASSERT_OUTCOME(PT_ANNOTATED, core_range(&l.c, item, NULL));
			} else {
				ASSERT_OUTCOME(PT_ANNOTATED, core_point(&l.c, item, NULL, NULL));
				item.ipa.v = page_at(&l, written[1]);
				ASSERT_OUTCOME(PT_ANNOTATED, core_point(&l.c, item, NULL, NULL));
			}
			assert_dirty(&l, written, 2);
			log_stop(&l);
			logged_close(&l);
		}
}

static void lost_rights_keep_what_was_written(void **state)
{
	static const uint32_t kinds[] = {PT_ITEM_PROTECT, PT_ITEM_WRITE_PROTECT};

	(void)state;
	for (unsigned way = 0; way < 4; way++)
		EACH_SHAPE_AND_MODE(i, m)
		{
			struct pt_item item;
			struct logged l;

			open_written(&l, &shapes[i], dirty_modes[m]);
			item = core_item(&l.c, kinds[way & 1], l.base, 7 * l.page, 0,
					 way & 1 ? 0 : PT_PROT_R, 0);
			if (way & 2) {
				item.size = l.page;
				ASSERT_OUTCOME(PT_PROTECTED, core_point(&l.c, item, NULL, NULL));
				item.ipa.v = page_at(&l, 5);
				ASSERT_OUTCOME(PT_PROTECTED, core_point(&l.c, item, NULL, NULL));
			} else {
				ASSERT_OUTCOME(PT_PROTECTED, core_range(&l.c, item, NULL));
			}
			assert_false(core_walk(&l.c, l.base, HW_READ).write);
			assert_dirty(&l, written, 2);
			log_stop(&l);
			logged_close(&l);
		}
}

static void explicit_changes_that_make_writable_make_dirty(void **state) /* D1 */
{
	(void)state;
	for (unsigned way = 0; way < 8; way++)
		EACH_SHAPE_AND_MODE(i, m)
		{
			static const uint64_t third[] = {3};
			static const uint32_t kinds[] = {PT_ITEM_MAP, PT_ITEM_MAP, PT_ITEM_PROTECT,
							 PT_ITEM_RELAX};
			uint32_t kind = kinds[way / 2];
			struct pt_item item;
			struct logged l;

			logged_open_on(&l, &shapes[i], dirty_modes[m], 1);
			log_start(&l, false, false);
			if (i & 1) /* into a table that is there, or with one */
				touch(&l, 9, PT_ACCESS_READ);
			if (way / 2)
				core_map(&l.c, page_at(&l, 2), 3 * l.page, page_at(&l, 2),
					 PT_PROT_R, 0);
			log_get(&l, true);
			/* New, replaced, or relaxed in place. */
			item = core_item(&l.c, kind, page_at(&l, 3), l.page,
					 kind == PT_ITEM_MAP ? page_at(&l, 3 + way / 2) : 0,
					 PT_PROT_RW, kind == PT_ITEM_MAP ? PT_MAP_REPLACE : 0);
			assert_false(pt_is_error(way & 1 ? core_point(&l.c, item, NULL, NULL)
							 : core_range(&l.c, item, NULL)));
			assert_true(core_walk(&l.c, page_at(&l, 3), HW_READ).write);
			assert_dirty(&l, third, 1);
			assert_int_equal(m, core_walk(&l.c, page_at(&l, 3), HW_READ).write);
			/* Once more is no change. */
			if (way & 1)
				core_point(&l.c, item, NULL, NULL);
			else
				core_range(&l.c, item, NULL);
			assert_dirty(&l, NULL, 0);
			log_stop(&l);
			logged_close(&l);
		}
}

/* The rights of a clean page are those of its mapping; taking away W takes away both bits. */
static void a_clean_page_is_writable(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		struct pt_fault_result r;
		struct pt_effects fx;
		struct logged l;
		pt_pte e;
		int level;

		open_written(&l, &shapes[i], dirty_modes[m]);
		log_get(&l, true);
		ASSERT_OUTCOME(PT_OK, pt_get_leaf(&l.c.ctx, pt_ipa(l.base), &e, &level));
		assert_int_equal(PT_PROT_RW, pt_leaf_prot(&l.c.ctx.geo, e, l.c.ctx.attrs));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       core_map(&l.c, l.base, l.page, l.base + DIRTY_OFFSET, PT_PROT_RW,
					PT_MAP_REPLACE));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_protect(&l.c, l.base, l.page, PT_PROT_RW));
		assert_dirty(&l, NULL, 0);
		ASSERT_OUTCOME(PT_PROTECTED, core_range(&l.c,
							core_item(&l.c, PT_ITEM_WRITE_PROTECT,
								  l.base, l.page, 0, 0, 0),
							&fx));
		assert_int_equal(1, fx.leaves_written);
		ASSERT_OUTCOME(PT_OK, pt_get_leaf(&l.c.ctx, pt_ipa(l.base), &e, &level));
		assert_int_equal(PT_PROT_R, pt_leaf_prot(&l.c.ctx.geo, e, l.c.ctx.attrs));
		assert_false(core_walk(&l.c, l.base, HW_READ).write);
		/* The slot gives it back, and that is a write. */
		touch(&l, 0, PT_ACCESS_WRITE);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, dirty_fault(&l, l.base, PT_ACCESS_WRITE, &r));
		assert_dirty(&l, written, 1);
		log_stop(&l);
		logged_close(&l);
	}
}

static void collapse(struct logged *l, uint64_t blocks)
{
	struct pt_upkeep_args args = {
		.ctx = &l->c.ctx, .kind = PT_UPKEEP_COLLAPSE, .ipa = {l->base}, .size = l->size};
	struct pt_upkeep upkeep;
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&upkeep, &args, NULL));
	do {
		pt_section_begin(&l->c.agent);
		outcome = pt_upkeep_step(&upkeep, &l->c.agent, 1000);
		pt_section_end(&l->c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(blocks, upkeep.blocks_made);
}

/* kvm_page_table_test and stage2_block_transitions: CREATE, UPDATE under logging, ADJUST. */
static void blocks_come_back_after_logging(void **state)
{
	(void)state;
	for (unsigned bbm = 0; bbm < 3; bbm++)
		EACH_SHAPE_AND_MODE(i, m)
		{
			struct pt_fault_result r;
			struct logged l;

			logged_open_on(&l, &shapes[i], dirty_modes[m], 2);
			core_set_bbm(&l.c, bbm);
			/* CREATE: a write and a read. */
			touch(&l, 0, PT_ACCESS_WRITE);
			touch(&l, l.per_block, PT_ACCESS_READ);
			for (unsigned k = 0; k < 2; k++)
				assert_int_equal(
					2, core_walk(&l.c, l.base + k * l.block, HW_READ).level);
			/* UPDATE: each block is broken by a write, then half its pages are read.
			 */
			log_start(&l, m, false);
			touch(&l, 0, PT_ACCESS_WRITE);
			touch(&l, l.per_block, PT_ACCESS_WRITE);
			for (uint64_t p = l.per_block / 2; p < l.per_block; p += 7)
				touch(&l, p, PT_ACCESS_READ);
			assert_int_equal(3, core_walk(&l.c, l.base, HW_READ).level);
			collapse(&l, 0);
			assert_int_equal(2, log_get(&l, true));
			touch(&l, 0, PT_ACCESS_WRITE);
			log_stop(&l);
			/* ADJUST: a fault in the table says that it may go. */
			if (!m) {
				ASSERT_OUTCOME(PT_RELAXED, dirty_fault(&l, page_at(&l, 9),
								       PT_ACCESS_WRITE, &r));
				assert_int_equal(PT_TODO_COLLAPSE, r.todo.kind);
				assert_int_equal(l.base, r.todo.ipa.v);
				assert_int_equal(l.block, r.todo.size);
			}
			collapse(&l, 2);
			for (unsigned k = 0; k < 2; k++) {
				struct hw_result w =
					core_walk(&l.c, l.base + k * l.block + l.page, HW_READ);

				assert_int_equal(2, w.level);
				assert_true(w.write);
				assert_int_equal(l.base + k * l.block + l.page + DIRTY_OFFSET,
						 w.pa);
			}
			touch(&l, 11, PT_ACCESS_WRITE);
			logged_close(&l);
		}
}

/* Executing in a write-protected block does not split it; writing does (16 blocks, exact pages). */
static void sixteen_blocks_executed_and_then_written(void **state)
{
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 16);
	for (unsigned k = 0; k < 16; k++)
		touch(&l, k * l.per_block, PT_ACCESS_WRITE);
	log_start(&l, false, false);
	atomic_store(&l.c.ctx.quota_pages, atomic_load(&l.c.ctx.table_pages) + 16);
	for (unsigned k = 0; k < 16; k++)
		touch(&l, k * l.per_block + 3, PT_ACCESS_EXEC);
	for (unsigned k = 0; k < 16; k++)
		touch(&l, k * l.per_block + 4, PT_ACCESS_WRITE);
	for (unsigned k = 0; k < 16; k++)
		touch(&l, k * l.per_block + 5, PT_ACCESS_EXEC);
	assert_int_equal(16, log_get(&l, true));
	for (unsigned k = 0; k < 16; k++)
		assert_true(told(&l, page_at(&l, k * l.per_block + 4)));
	log_stop(&l);
	logged_close(&l);
}

/* A slot that logs, moves or goes under load: the bits stay (D3), and its flag makes pages. */
static void a_slot_that_logs_and_goes(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		struct pt_slots *none = calloc(1, sizeof(*none));
		struct pt_item item;
		struct logged l;
		struct pt_txn txn;

		logged_open_on(&l, &shapes[i], dirty_modes[m], 2);
		log_start(&l, false, false);
		logged_set_slot(&l, 40, PT_SLOT_LOG_DIRTY);
		touch(&l, 1, PT_ACCESS_WRITE);
		touch(&l, 2, PT_ACCESS_READ);
		assert_int_equal(3, core_walk(&l.c, page_at(&l, 1), HW_READ).level);
		item = core_item(&l.c, PT_ITEM_UNMAP, l.base, l.size, 0, 0, 0);
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
		txn.publish = none;
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &l.c.agent, 1000));
		ASSERT_OUTCOME(PT_NO_SLOT, dirty_fault(&l, page_at(&l, 1), PT_ACCESS_WRITE, NULL));
		assert_int_equal(1, log_get(&l, true));
		assert_true(told(&l, page_at(&l, 1)));
		/* Another place, the same log. */
		free(none);
		l.c.ctx.slots = NULL;
		logged_set_slot(&l, 40, PT_SLOT_LOG_DIRTY);
		l.slots->slot[0].pa += l.block;
		touch(&l, 1, PT_ACCESS_WRITE);
		assert_int_equal(l.base + l.page + DIRTY_OFFSET + l.block,
				 core_walk(&l.c, page_at(&l, 1), HW_READ).pa);
		assert_int_equal(1, log_get(&l, true));
		log_stop(&l);
		logged_close(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_removal_keeps_what_was_written),
		cmocka_unit_test(an_annotation_keeps_what_was_written),
		cmocka_unit_test(lost_rights_keep_what_was_written),
		cmocka_unit_test(explicit_changes_that_make_writable_make_dirty),
		cmocka_unit_test(a_clean_page_is_writable),
		cmocka_unit_test(blocks_come_back_after_logging),
		cmocka_unit_test(sixteen_blocks_executed_and_then_written),
		cmocka_unit_test(a_slot_that_logs_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
