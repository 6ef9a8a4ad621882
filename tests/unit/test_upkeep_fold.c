/* SPDX-License-Identifier: BSD-2-Clause */
/* Collapse and sweep: needless tables go, from the bottom up, and nothing else does. */
#include "upkeep.h"

static enum pt_outcome collapse(struct core *c, struct pt_upkeep *u, uint64_t ipa, uint64_t size)
{
	return upkeep_run(c, u, upkeep_args(c, PT_UPKEEP_COLLAPSE, ipa, size), 1000);
}

static enum pt_outcome sweep(struct core *c, struct pt_upkeep *u, uint64_t ipa, uint64_t size)
{
	return upkeep_run(c, u, upkeep_args(c, PT_UPKEEP_SWEEP, ipa, size), 1000);
}

static int level_at(struct core *c, uint64_t ipa)
{
	int level;

	upkeep_entry(c, ipa, &level);
	return level;
}

static void pages_become_blocks_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned budget = 1; budget < 1000000; budget = budget * 30 + 7) {
			struct core c;
			struct pt_upkeep u;
			struct pt_digest before;
			uint64_t block, tables;
			const uint64_t n = 37;

			core_open(&c, &shapes[i]);
			block = core_size(&c, 2);
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&c, 0, n * block, 3 * block, PT_PROT_RW, 0));
			before = core_digest_of(&c);
			tables = atomic_load(&c.ctx.table_pages);
			ASSERT_OUTCOME(PT_OK,
				       upkeep_run(&c, &u,
						  upkeep_args(&c, PT_UPKEEP_SPLIT, 0, n * block),
						  100000));
			assert_int_equal(tables + n, atomic_load(&c.ctx.table_pages));
			ASSERT_OUTCOME(PT_OK,
				       upkeep_run(&c, &u,
						  upkeep_args(&c, PT_UPKEEP_COLLAPSE, 0, n * block),
						  budget));
			assert_int_equal(n, u.blocks_made);
			assert_int_equal(n, u.effects.tables_freed);
			assert_int_equal(n, u.effects.leaves_written);
			assert_int_equal(n * block, u.next);
			while (pt_reclaim(&c.agent))
				continue;
			assert_int_equal(tables, atomic_load(&c.ctx.table_pages));
			assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
			core_close(&c);
		}
}

/* B11: one page that differs keeps its table, whatever it differs in. */
static void fold_requires_pa_and_attr(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		uint64_t page, block, per;
		pt_pte flips[] = {PT_PTE_S2AP_W,     PT_PTE_S2AP_R,    UINT64_C(1) << 54,
				  PT_PTE_SW,	     UINT64_C(1) << 2, PT_PTE_VALID,
				  UINT64_C(1) << 53, UINT64_C(1) << 47};

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		per = block / page;
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, block, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
		for (unsigned k = 0; k < sizeof(flips) / sizeof(flips[0]); k++)
			for (unsigned where = 0; where < 3; where++) {
				uint64_t p = where == 0 ? 0 : where == 1 ? per - 1 : per / 2 + 1;
				pt_pte *slot = upkeep_slot(&c, p * page);
				struct pt_digest before;

				core_poke(slot, *slot ^ flips[k]);
				before = core_digest_of(&c);
				ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, block));
				assert_int_equal(0, u.blocks_made);
				assert_int_equal(0, u.effects.tlbis);
				assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
				core_poke(slot, *slot ^ flips[k]);
			}
		/* congruent, but not aligned to the block */
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, block, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, block, block));
		assert_int_equal(0, u.blocks_made);
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, block));
		assert_int_equal(1, u.blocks_made);
		core_close(&c);
	}
}

/* Writable pages, clean or dirty: without hardware dirty state the block is just writable. */
static void access_flag_and_dirty_state_are_united(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned k = 0; k < 12; k++) {
			bool hardware = k % 4 == (PT_VTCR_HA | PT_VTCR_HD);
			struct core c;
			struct pt_upkeep u;
			uint64_t page, block;
			int level;

			core_open(&c, &shapes[i]);
			c.ctx.vtcr_flags = (uint8_t)(k % 4);
			c.ctx.bbm = (uint8_t)(k / 4);
			core_note_options(&c.ctx);
			page = core_size(&c, 3);
			block = core_size(&c, 2);
			for (unsigned b = 0; b < 4; b++) {
				ASSERT_OUTCOME(PT_MAPPED, core_map(&c, b * block, block, b * block,
								   PT_PROT_R, PT_MAP_FORCE_PAGES));
				for (uint64_t at = 0; at < block; at += page)
					upkeep_poke(&c, b * block + at, PT_PTE_AF, PT_PTE_DBM);
			}
			upkeep_poke(&c, block + 5 * page, 0, PT_PTE_AF);
			upkeep_poke(&c, 2 * block + 6 * page, 0, PT_PTE_S2AP_W);
			upkeep_poke(&c, 3 * block + 7 * page, PT_PTE_DBM, PT_PTE_S2AP_W);
			ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, 4 * block));
			assert_int_equal(4, u.blocks_made);
			for (unsigned b = 0; b < 4; b++) {
				pt_pte e = upkeep_entry(&c, b * block, &level);

				assert_int_equal(2, level);
				assert_int_equal(b == 1, !!(e & PT_PTE_AF));
				assert_int_equal(hardware, !!(e & PT_PTE_DBM));
				assert_int_equal(!hardware || b >= 2, !!(e & PT_PTE_S2AP_W));
			}
			/* a page that may not be written is none of them */
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, block));
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&c, 0, block, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
			upkeep_poke(&c, 9 * page, PT_PTE_S2AP_W | PT_PTE_DBM, 0);
			ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, block));
			assert_int_equal(0, u.blocks_made);
			core_close(&c);
		}
}

/* From the bottom up: last-level tables make a block, such blocks the next. */
static void blocks_of_blocks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		uint64_t page, block, large, per;

		core_open(&c, &shapes[i]);
		if (c.ctx.geo.min_block_level > 1) {
			core_close(&c);
			continue;
		}
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		large = core_size(&c, 1);
		per = large / block;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, large, large, 0, PT_PROT_RW, 0));
		assert_int_equal(1, level_at(&c, large));
		ASSERT_OUTCOME(PT_PROTECTED, core_protect(&c, large + page, page, PT_PROT_R));
		ASSERT_OUTCOME(PT_RELAXED, core_protect(&c, large + page, page, PT_PROT_RW));
		assert_int_equal(3, level_at(&c, large + page));
		/* a range that covers less than the larger block */
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, large, large - page));
		assert_int_equal(1, u.blocks_made);
		assert_int_equal(2, level_at(&c, large + page));
		ASSERT_OUTCOME(PT_PROTECTED,
			       core_protect(&c, large + (per - 1) * block + page, page, PT_PROT_R));
		ASSERT_OUTCOME(PT_RELAXED, core_protect(&c, large + (per - 1) * block + page, page,
							PT_PROT_RW));
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, large, large));
		assert_int_equal(2, u.blocks_made);
		assert_int_equal(1, level_at(&c, large + page));
		assert_int_equal(page, core_walk(&c, large + page, HW_AT).pa);
		core_close(&c);
	}
}

/* Whatever the steps are: here the first large block waits for its flush together with a table of
 * the second, which has to go before the second is looked at. */
static void a_pending_block_hides_no_table(void **state)
{
	(void)state;
	for (uint32_t budget = 1; budget < 10000000; budget = budget * 10 + 7) {
		struct core c;
		struct pt_upkeep u;

		core_open(&c, &shapes[0]);
		for (uint64_t large = 0; large < 2; large++) {
			uint64_t base = large * PT_SZ_1G;

			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&c, base, PT_SZ_1G, base, PT_PROT_RW, 0));
			ASSERT_OUTCOME(PT_OK,
				       upkeep_run(&c, &u,
						  (struct pt_upkeep_args){.ctx = &c.ctx,
									  .kind = PT_UPKEEP_SPLIT,
									  .ipa = {base},
									  .size = PT_SZ_1G,
									  .level = 2},
						  100000));
		}
		ASSERT_OUTCOME(PT_OK,
			       upkeep_run(&c, &u,
					  upkeep_args(&c, PT_UPKEEP_SPLIT, PT_SZ_1G, PT_SZ_2M),
					  100000));
		ASSERT_OUTCOME(PT_OK,
			       upkeep_run(&c, &u,
					  upkeep_args(&c, PT_UPKEEP_COLLAPSE, 0, 2 * PT_SZ_1G),
					  budget));
		assert_int_equal(3, u.blocks_made);
		assert_int_equal(1, level_at(&c, 0));
		assert_int_equal(1, level_at(&c, PT_SZ_1G));
		core_close(&c);
	}
}

static void a_part_of_a_table_is_left_alone(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_digest before;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, 3 * block, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
		before = core_digest_of(&c);
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, block - page));
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, page, block - page));
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, page, 2 * block - 2 * page));
		assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, page, 3 * block - 2 * page));
		assert_int_equal(1, u.blocks_made);
		assert_int_equal(3, level_at(&c, 0));
		assert_int_equal(2, level_at(&c, block));
		assert_int_equal(3, level_at(&c, 2 * block));
		core_close(&c);
	}
}

static void memslots_limit_the_block(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_slots *slots = calloc(1, sizeof(*slots) + 3 * sizeof(struct pt_slot));
		uint64_t block;

		assert_non_null(slots);
		core_open(&c, &shapes[i]);
		block = core_size(&c, 2);
		slots->count = 3;
		for (unsigned s = 0; s < 3; s++)
			slots->slot[s] = (struct pt_slot){
				.ipa = s * block,
				.size = block,
				.pa = s * block,
				.flags = s == 1 ? PT_SLOT_LOG_DIRTY : 0,
				.backing_shift = (uint8_t)pt_level_shift(&c.ctx.geo, s ? 2 : 3)};
		pt_ctx_set_slots(&c.ctx, slots);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, 4 * block, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, 4 * block));
		assert_int_equal(2, u.blocks_made);
		assert_int_equal(3, level_at(&c, 0));
		assert_int_equal(3, level_at(&c, block));
		assert_int_equal(2, level_at(&c, 2 * block));
		assert_int_equal(2, level_at(&c, 3 * block));
		pt_ctx_set_slots(&c.ctx, NULL);
		core_close(&c);
		free(slots);
	}
}

/* No block reaches over the end of a memslot's backing, be the output contiguous or not. */
static void every_memslot_of_the_span_counts(void **state)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + 2 * sizeof(struct pt_slot));
	const uint64_t half = PT_SZ_2M / 2, base = PT_SZ_2M;

	(void)state;
	assert_non_null(slots);
	for (unsigned way = 0; way < 4; way++) {
		struct pt_upkeep u;
		struct core c;

		core_open(&c, &shapes[0]);
		slots->count = 2;
		for (unsigned s = 0; s < 2; s++)
			slots->slot[s] = (struct pt_slot){.ipa = base + s * half,
							  .size = half,
							  .pa = base + s * half,
							  .backing_shift = 30};
		if (way == 0)
			slots->slot[1].backing_shift = 12;
		if (way == 1)
			slots->slot[1].flags = PT_SLOT_LOG_DIRTY;
		if (way == 2) /* of the two only the second meets the span */
			slots->slot[0].ipa = slots->slot[0].pa = 0;
		if (way == 3) /* none does */
			slots->slot[0].ipa = half, slots->slot[1].ipa = 2 * base;
		pt_ctx_set_slots(&c.ctx, slots);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, base, PT_SZ_2M, base, PT_PROT_RW, PT_MAP_FORCE_PAGES));
		ASSERT_OUTCOME(PT_OK, collapse(&c, &u, base, PT_SZ_2M));
		assert_int_equal(way == 3, u.blocks_made);
		pt_ctx_set_slots(&c.ctx, NULL);
		core_close(&c);
	}
	free(slots);
}

static void a_logged_range_keeps_its_pages(void **state)
{
	struct pt_dirty_log log = {.ipa = 2 * PT_SZ_2M - 0x1000, .last = 2 * PT_SZ_2M - 1};
	struct pt_upkeep u;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 3 * PT_SZ_2M, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
	atomic_store(&c.ctx.dirty, &log);
	ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, 3 * PT_SZ_2M));
	assert_int_equal(2, u.blocks_made);
	assert_int_equal(3, level_at(&c, PT_SZ_2M));
	atomic_store(&c.ctx.dirty, (struct pt_dirty_log *)NULL);
	ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, 3 * PT_SZ_2M));
	assert_int_equal(1, u.blocks_made);
	core_close(&c);
}

static bool force_read_only(void *arg, struct pt_ipa ipa, uint64_t size, uint32_t prot)
{
	uint64_t *asked = arg;

	asked[0] = ipa.v;
	asked[1] = size;
	return !(prot & PT_PROT_W);
}

static void forced_pages_stay_pages(void **state)
{
	struct pt_upkeep u;
	uint64_t asked[2];
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&c, PT_SZ_2M, PT_SZ_2M, 0, PT_PROT_R, PT_MAP_FORCE_PAGES));
	ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&c.ctx, 0, force_read_only, asked));
	ASSERT_OUTCOME(PT_OK, collapse(&c, &u, 0, 2 * PT_SZ_2M));
	assert_int_equal(1, u.blocks_made);
	assert_int_equal(3, level_at(&c, PT_SZ_2M));
	assert_int_equal(PT_SZ_2M, asked[0]);
	assert_int_equal(PT_SZ_2M, asked[1]);
	core_close(&c);
}

/* Its start tables go before its name does. */
static void nothing_is_found_in_a_context_that_goes(void **state)
{
	struct pt_upkeep_find find = {.last = 2 * PT_SZ_2M - 1};
	struct pt_txn txn;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * PT_SZ_2M, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c.ctx, NULL));
	for (unsigned steps = 0; steps < 2; steps++) {
		find.ctx = &c.ctx;
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_WRONG_STATE, pt_upkeep_find(&find, 1000));
		pt_section_end(&c.agent);
		assert_int_equal(0, find.kind);
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	}
	c.ctx.machine = NULL;
	while (pt_reclaim(&c.agent))
		continue;
	core_close(&c);
}

static void only_empty_tables_are_swept(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_digest empty;
		uint64_t page, block, tables;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		empty = core_digest_of(&c);
		/* leftovers of point unmaps: the first table has a leaf, the second a payload, the
		 * third nothing */
		for (unsigned b = 0; b < 3; b++)
			for (unsigned p = 0; p < 2; p++) {
				struct pt_item map =
					core_item(&c, PT_ITEM_MAP, b * block + p * 9 * page, page,
						  0, PT_PROT_R, 0);

				ASSERT_OUTCOME(PT_MAPPED, core_point(&c, map, NULL, NULL));
				if (b == 0 && p == 0)
					continue;
				map.kind = PT_ITEM_UNMAP;
				map.prot = 0;
				ASSERT_OUTCOME(PT_UNMAPPED, core_point(&c, map, NULL, NULL));
			}
		*(upkeep_slot(&c, block) + 77) = UINT64_C(2) << 60 | 2;
		tables = atomic_load(&c.ctx.table_pages);
		ASSERT_OUTCOME(PT_OK, sweep(&c, &u, 2 * block, block - page));
		assert_int_equal(0, u.effects.tables_freed);
		ASSERT_OUTCOME(PT_OK, sweep(&c, &u, 0, 3 * block));
		assert_int_equal(1, u.effects.tables_freed);
		assert_int_equal(1, u.effects.tlbis);
		assert_int_equal(tables - 1, atomic_load(&c.ctx.table_pages));
		assert_int_equal(0, core_walk(&c, 0, HW_AT).fault);
		assert_int_equal(UINT64_C(2) << 60 | 2,
				 upkeep_entry(&c, block + 77 * page, &(int){0}));
		*upkeep_slot(&c, block + 77 * page) = 0;
		ASSERT_OUTCOME(
			PT_UNMAPPED,
			core_point(&c, core_item(&c, PT_ITEM_UNMAP, 0, page, 0, 0, 0), NULL, NULL));
		/* with the whole space the tables above go, too */
		ASSERT_OUTCOME(PT_OK, sweep(&c, &u, 0, UINT64_C(1) << c.ctx.geo.ipa_bits));
		assert_int_equal(tables - 1, u.effects.tables_freed);
		assert_int_equal(0, atomic_load(&c.ctx.table_pages));
		assert_int_equal(empty.state[0], core_digest_of(&c).state[0]);
		core_close(&c);
	}
}

#define SEARCHED CORE_MANY(20u, 4u) /* blocks */

/* The search finds what the operations then do, and nothing is left to be found. */
static void the_search_finds_what_can_go(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_find find;
		uint64_t page, block, removed = 0, wanted = 0, top;
		enum pt_outcome outcome;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		for (unsigned b = 0; b < SEARCHED; b++) {
			unsigned what = (unsigned)(core_random(&seed) % 4);

			if (what == 3) /* nothing, or what the neighbours need anyway */
				continue;
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, b * block, block, b * block,
							   PT_PROT_RW, PT_MAP_FORCE_PAGES));
			if (what == 1)
				ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, b * block, page));
			wanted += what != 1;
			for (uint64_t p = 0; what == 2 && p < block; p += page)
				ASSERT_OUTCOME(PT_UNMAPPED,
					       core_point(&c,
							  core_item(&c, PT_ITEM_UNMAP,
								    b * block + p, page, 0, 0, 0),
							  NULL, NULL));
		}
		find = (struct pt_upkeep_find){.ctx = &c.ctx, .last = SEARCHED * block - 1};
		for (;;) {
			pt_section_begin(&c.agent);
			outcome = pt_upkeep_find(&find, 1 + (uint32_t)(core_random(&seed) % 5000));
			pt_section_end(&c.agent);
			if (outcome == PT_MORE)
				continue;
			if (outcome != PT_OK)
				break;
			ASSERT_OUTCOME(PT_OK,
				       upkeep_run(&c, &u,
						  upkeep_args(&c, find.kind, find.ipa.v, find.size),
						  1000));
			assert_int_equal(find.size / block, u.effects.tables_freed);
			removed += u.effects.tables_freed;
		}
		ASSERT_OUTCOME(PT_HOLE, outcome);
		assert_int_equal(wanted, removed);
		find = (struct pt_upkeep_find){.ctx = &c.ctx, .last = top};
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_upkeep_find(&find, 1));
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_become_blocks_again),
		cmocka_unit_test(fold_requires_pa_and_attr),
		cmocka_unit_test(access_flag_and_dirty_state_are_united),
		cmocka_unit_test(blocks_of_blocks),
		cmocka_unit_test(a_pending_block_hides_no_table),
		cmocka_unit_test(every_memslot_of_the_span_counts),
		cmocka_unit_test(a_part_of_a_table_is_left_alone),
		cmocka_unit_test(memslots_limit_the_block),
		cmocka_unit_test(a_logged_range_keeps_its_pages),
		cmocka_unit_test(forced_pages_stay_pages),
		cmocka_unit_test(nothing_is_found_in_a_context_that_goes),
		cmocka_unit_test(only_empty_tables_are_swept),
		cmocka_unit_test(the_search_finds_what_can_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
