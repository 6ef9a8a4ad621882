/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs: start, get, get-and-clear and stop, in every descriptor format, with dirty state kept
 * by software and by hardware. */
#include "dirty_fixture.h"

static void a_write_makes_one_page_dirty_and_a_read_none(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		struct logged l;
		uint64_t a, b;

		logged_open_on(&l, &shapes[i], dirty_modes[m], 2);
		a = l.base + 3 * l.page + 8;
		b = l.base + l.block + 5 * l.page;
		log_start(&l, false, false);
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, b, PT_ACCESS_READ, NULL));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, b + l.page, PT_ACCESS_EXEC, NULL));
		assert_int_equal(0, log_get(&l, true));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 1, a, PT_ACCESS_WRITE, NULL));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, b, PT_ACCESS_WRITE, NULL));
		assert_int_equal(3, core_walk(&l.c, a, HW_READ).level);
		assert_int_equal(2, log_get(&l, false));
		assert_int_equal(2, log_get(&l, true));
		assert_true(told(&l, a) && told(&l, b));
		assert_int_equal(0, log_get(&l, true));
		/* Both TLBs held a writable entry, and have lost it. */
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 1, a, PT_ACCESS_WRITE, NULL));
		assert_int_equal(1, log_get(&l, true));
		assert_true(told(&l, a));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, b, PT_ACCESS_WRITE, NULL));
		assert_int_equal(1, log_stop(&l));
		logged_close(&l);
	}
}

static void start_makes_what_is_mapped_clean(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_fault_result r;
		struct logged l;

		logged_open_on(&l, &shapes[i], 0, 3);
		/* A block that is written through, one by pages, one that only an explicit mapping
		 * has. */
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
		logged_set_slot(&l, l.c.ctx.geo.granule_shift, 0);
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + l.block, PT_ACCESS_WRITE, NULL));
		logged_set_slot(&l, 40, PT_SLOT_READ_ONLY);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&l.c, l.base + 2 * l.block, l.block,
						   l.base + 2 * l.block, PT_PROT_RW, 0));
		log_start(&l, false, false);
		assert_int_equal(3, l.op.effects.leaves_written);
		assert_true(l.op.effects.tlbis > 0);
		for (unsigned k = 0; k < 3; k++)
			assert_false(core_walk(&l.c, l.base + k * l.block, HW_READ).write);
		/* The right is the mapping's own: the slot is read-only, and elsewhere. */
		ASSERT_OUTCOME(PT_RELAXED,
			       dirty_fault(&l, l.base + 2 * l.block, PT_ACCESS_WRITE, &r));
		assert_int_equal(3, r.level);
		assert_int_equal(1, r.tables_added);
		assert_int_equal(PT_PROT_RW, r.prot);
		assert_int_equal(l.base + 2 * l.block, r.pa.v);
		assert_false(core_walk(&l.c, l.base + 2 * l.block + l.page, HW_READ).write);
		assert_int_equal(1, log_get(&l, true));
		assert_int_equal(0, log_stop(&l));
		logged_close(&l);
	}
}

static void eager_split_leaves_pages_behind(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		struct pt_fault_result r;
		struct logged l;

		logged_open_on(&l, &shapes[i], dirty_modes[m], 2);
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + l.block, PT_ACCESS_READ, NULL));
		assert_int_equal(2, core_walk(&l.c, l.base, HW_READ).level);
		log_start(&l, true, false);
		ASSERT_OUTCOME(PT_OK, l.op.stopped);
		assert_int_equal(2, l.op.effects.blocks_split);
		assert_int_equal(0, log_get(&l, false));
		for (uint64_t p = 0; p < 2 * l.per_block; p += l.per_block / 4) {
			struct hw_result w = core_walk(&l.c, l.base + p * l.page, HW_READ);

			assert_int_equal(3, w.level);
			assert_int_equal(l.base + DIRTY_OFFSET + p * l.page, w.pa);
		}
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + l.page, PT_ACCESS_WRITE, NULL));
		ASSERT_OUTCOME(m ? PT_ALREADY_MAPPED : PT_RELAXED,
			       dirty_fault(&l, l.base + 2 * l.page, PT_ACCESS_WRITE, &r));
		assert_int_equal(0, r.tables_added);
		assert_int_equal(m ? 1 : 2, log_get(&l, true));
		log_stop(&l);
		logged_close(&l);
	}
}

static void eager_split_without_pages_goes_on_lazily(void **state)
{
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 3);
	for (unsigned k = 0; k < 3; k++)
		ASSERT_OUTCOME(PT_OK,
			       vcpu_touch(&l, 0, l.base + k * l.block, PT_ACCESS_WRITE, NULL));
	atomic_store(&l.c.ctx.quota_pages, atomic_load(&l.c.ctx.table_pages) + 1);
	log_start(&l, true, false);
	ASSERT_OUTCOME(PT_QUOTA, l.op.stopped);
	assert_int_equal(1, l.op.effects.blocks_split);
	for (unsigned k = 0; k < 3; k++)
		assert_false(core_walk(&l.c, l.base + k * l.block, HW_READ).write);
	ASSERT_OUTCOME(PT_QUOTA, dirty_fault(&l, l.base + 2 * l.block, PT_ACCESS_WRITE, NULL));
	assert_int_equal(0, log_get(&l, true)); /* its fault was not resolved */
	atomic_store(&l.c.ctx.quota_pages, UINT64_MAX);
	ASSERT_OUTCOME(PT_RELAXED, dirty_fault(&l, l.base + 2 * l.block, PT_ACCESS_WRITE, NULL));
	assert_int_equal(1, log_get(&l, true));
	log_stop(&l);
	logged_close(&l);
}

static void initially_set_tells_all_and_protects_when_it_clears(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct logged l;
		struct pt_dirty_args args;

		logged_open_on(&l, &shapes[i], 0, 2);
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
		log_start(&l, true, true);
		assert_int_equal(0, l.op.effects.leaves_written);
		assert_true(core_walk(&l.c, l.base, HW_READ).write);
		assert_int_equal(2 * l.per_block, log_get(&l, false));
		/* The first half of the first block: split, and clean. */
		args = get_args(&l, true, 0);
		args.size = l.block / 2;
		ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 100000));
		assert_int_equal(l.per_block / 2, l.op.dirty);
		assert_int_equal(1, l.op.effects.blocks_split);
		assert_false(core_walk(&l.c, l.base, HW_READ).write);
		assert_int_equal(3, core_walk(&l.c, l.base, HW_READ).level);
		assert_int_equal(2 * l.per_block - l.per_block / 2, log_get(&l, true));
		log_stop(&l);
		logged_close(&l);
	}
}

static void an_answer_that_was_lost_is_told_again(void **state)
{
	struct pt_dirty_args args;
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 1);
	log_start(&l, false, false);
	ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
	args = get_args(&l, true, 0);
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	assert_int_equal(1, l.op.dirty);
	assert_int_equal(2, l.op.generation);
	ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + l.page, PT_ACCESS_WRITE, NULL));
	for (uint64_t generation = 0; generation < 2; generation++) {
		l.log.generation = 2;
		args = get_args(&l, true, generation);
		ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
		assert_int_equal(2, l.op.dirty);
		assert_int_equal(3, l.op.generation);
	}
	args = get_args(&l, true, 3);
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	assert_int_equal(0, l.op.dirty);
	args = get_args(&l, true, 2);
	ASSERT_OUTCOME(PT_GENERATION_MISMATCH, dirty_run(&l, &args, 1000));
	args = get_args(&l, true, 5);
	ASSERT_OUTCOME(PT_GENERATION_MISMATCH, dirty_run(&l, &args, 1000));
	assert_int_equal(4, l.op.generation);
	assert_int_equal(0, log_get(&l, true));
	log_stop(&l);
	logged_close(&l);
}

static void what_is_given_up_is_not_lost(void **state)
{
	(void)state;
	for (unsigned steps = 0; steps < 40; steps++) {
		enum pt_outcome outcome = PT_MORE;
		struct pt_dirty_args args;
		struct logged l;

		logged_open_on(&l, &shapes[0], 0, 2);
		log_start(&l, false, false);
		for (unsigned k = 0; k < 16; k++)
			ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + k * 50 * l.page,
							 PT_ACCESS_WRITE, NULL));
		args = get_args(&l, true, 1);
		ASSERT_OUTCOME(PT_OK, pt_dirty_init(&l.op, &args, NULL));
		for (unsigned k = 0; k < steps && outcome == PT_MORE; k++) {
			pt_section_begin(&l.c.agent);
			outcome = pt_dirty_step(&l.op, &l.c.agent, 2);
			pt_section_end(&l.c.agent);
		}
		pt_section_begin(&l.c.agent);
		assert_true(pt_dirty_abort(&l.op, &l.c.agent));
		pt_section_end(&l.c.agent);
		assert_int_equal(0, atomic_load(&l.c.ctx.claims));
		args = get_args(&l, true, outcome == PT_OK ? 1 : l.log.generation);
		ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
		assert_int_equal(16, l.op.dirty);
		log_stop(&l);
		logged_close(&l);
	}
}

static void bad_arguments_change_nothing(void **state)
{
	struct pt_dirty_args args;
	struct pt_dirty other;
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 1);
	args = start_args(&l, false, false);
	args.size = 0;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 10));
	args.size = l.page / 2;
	ASSERT_OUTCOME(PT_MISALIGNED, dirty_run(&l, &args, 10));
	args = start_args(&l, false, false);
	args.ipa.v = UINT64_C(1) << 40;
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, dirty_run(&l, &args, 10));
	args = start_args(&l, false, false);
	args.memory = NULL;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 10));
	args.kind = 4;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 10));
	assert_null(atomic_load(&l.c.ctx.dirty));
	log_start(&l, false, false);
	args = get_args(&l, true, 0);
	args.ipa.v -= l.page;
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, dirty_run(&l, &args, 10));
	args = get_args(&l, true, 0);
	args.size += l.page;
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, dirty_run(&l, &args, 10));
	args = get_args(&l, true, 0);
	args.bitmap = NULL;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 10));
	/* One operation at a time. */
	args = get_args(&l, true, 0);
	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&other, &args, NULL));
	pt_section_begin(&l.c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_dirty_step(&other, &l.c.agent, 1));
	pt_section_end(&l.c.agent);
	ASSERT_OUTCOME(PT_BUSY, dirty_run(&l, &args, 10));
	pt_section_begin(&l.c.agent);
	assert_true(pt_dirty_abort(&other, &l.c.agent));
	pt_section_end(&l.c.agent);
	assert_int_equal(0, log_get(&l, true));
	log_stop(&l);
	logged_close(&l);
}

static void logs_that_overlap_each_see_every_write(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		struct pt_dirty_log other;
		struct pt_dirty_args args;
		struct logged l;
		void *memory;

		logged_open_on(&l, &shapes[i], dirty_modes[m], 2);
		log_start(&l, true, false);
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + l.block, PT_ACCESS_WRITE, NULL));
		memory = calloc(1, pt_dirty_bytes(l.c.ctx.geo.granule_shift, l.block));
		args = (struct pt_dirty_args){.kind = PT_DIRTY_START,
					      .log = &other,
					      .ctx = &l.c.ctx,
					      .ipa = {l.base + l.block},
					      .size = l.block,
					      .memory = memory};
		ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
		ASSERT_OUTCOME(PT_OK,
			       vcpu_touch(&l, 0, l.base + l.block + l.page, PT_ACCESS_WRITE, NULL));
		/* The first still has the write from before the second, however that was noted. */
		assert_int_equal(2, log_get(&l, true));
		args = get_args(&l, true, 0);
		args.log = &other;
		args.ipa.v = l.base + l.block;
		args.size = l.block;
		ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
		assert_int_equal(1, l.op.dirty);
		assert_int_equal(2, l.bitmap[0]);
		args = (struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &other};
		ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
		log_stop(&l);
		free(memory);
		logged_close(&l);
	}
}

/* Marking the pages of one leaf is a step: the blocks of 52-bit formats do not stand in a log. */
static void a_map_in_a_log_makes_blocks_that_can_be_marked(void **state)
{
	static const unsigned which[] = {3, 4, 5}; /* LPA2 and LPA */

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned logged = 0; logged < 2; logged++) {
			struct pt_item item;
			struct logged l;
			uint64_t huge;
			int level;
			pt_pte e;

			logged_open_on(&l, &shapes[which[i]], 0, 2);
			level = l.c.ctx.geo.min_block_level;
			huge = core_size(&l.c, level);
			if (logged)
				log_start(&l, false, false);
			item = core_item(&l.c, PT_ITEM_MAP, 0, huge, 0, PT_PROT_RW, 0);
			ASSERT_OUTCOME(logged ? PT_MORE : PT_MAPPED,
				       core_point(&l.c, item, NULL, NULL));
			ASSERT_OUTCOME(logged ? PT_MAPPED : PT_ALREADY_MAPPED,
				       core_range(&l.c, item, NULL));
			level += (int)logged;
			for (uint64_t ipa = 0; ipa < huge; ipa += huge / 8) {
				int at;

				ASSERT_OUTCOME(PT_OK, pt_get_leaf(&l.c.ctx, pt_ipa(ipa), &e, &at));
				assert_int_equal(level, at);
			}
			if (logged)
				assert_int_equal(2 * l.per_block, log_stop(&l));
			logged_close(&l);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_makes_one_page_dirty_and_a_read_none),
		cmocka_unit_test(start_makes_what_is_mapped_clean),
		cmocka_unit_test(eager_split_leaves_pages_behind),
		cmocka_unit_test(eager_split_without_pages_goes_on_lazily),
		cmocka_unit_test(initially_set_tells_all_and_protects_when_it_clears),
		cmocka_unit_test(an_answer_that_was_lost_is_told_again),
		cmocka_unit_test(what_is_given_up_is_not_lost),
		cmocka_unit_test(bad_arguments_change_nothing),
		cmocka_unit_test(logs_that_overlap_each_see_every_write),
		cmocka_unit_test(a_map_in_a_log_makes_blocks_that_can_be_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
