/* SPDX-License-Identifier: BSD-2-Clause */
/* Split: blocks of a range become tables of the same mappings, within a budget of pages. */
#include "upkeep.h"

static void same_translation(struct core *c, uint64_t ipa, uint64_t pa, int level)
{
	struct hw_result r = core_walk(c, ipa, HW_AT);

	assert_int_equal(HW_NO_FAULT, r.fault);
	assert_int_equal(pa, r.pa);
	assert_int_equal(level, r.level);
}

static void split_preserves_attrs(void **state) /* B13 */
{
	static const struct {
		uint32_t prot;
		pt_pte clear, set;
	} rows[] = {
		{PT_PROT_RWX, 0, 0},
		{PT_PROT_R, PT_PTE_AF, UINT64_C(0xa) << 55},
		{PT_PROT_RW, 0, PT_PTE_DBM | UINT64_C(1) << 55},
		{PT_PROT_R, PT_PTE_S2AP_W, PT_PTE_DBM},
		{PT_PROT(PT_PROT_RW, PT_MEM_DEVICE), 0, 0},
		{PT_PROT(PT_PROT_R, PT_MEM_NC), PT_PTE_AF, 0},
	};
	const pt_pte attrs =
		PT_PTE_PERM | PT_PTE_AF | PT_PTE_SW | PT_PTE_DBM | PT_PTE_MEMATTR | PT_PTE_VALID;

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct core c;
			struct pt_upkeep u;
			uint64_t page, block, pa;
			pt_pte before;
			int level;

			core_open(&c, &shapes[i]);
			page = core_size(&c, 3);
			block = core_size(&c, 2);
			pa = (UINT64_C(1) << c.ctx.geo.pa_bits) - block;
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, block, pa, rows[k].prot, 0));
			upkeep_poke(&c, block, rows[k].clear, rows[k].set);
			before = upkeep_entry(&c, block, &level);
			ASSERT_OUTCOME(PT_OK,
				       upkeep_run(&c, &u,
						  upkeep_args(&c, PT_UPKEEP_SPLIT, block, block),
						  1000));
			assert_int_equal(1, u.effects.blocks_split);
			for (uint64_t at = 0; at < block; at += block / 16 + page) {
				assert_int_equal(before & attrs,
						 upkeep_entry(&c, block + at, &level) & attrs);
				assert_int_equal(3, level);
				if (!(rows[k].clear & PT_PTE_AF))
					same_translation(&c, block + at, pa + at, 3);
			}
			core_close(&c);
		}
}

static void only_what_the_range_meets_is_split(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		uint64_t page, block;
		int level, top;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		top = c.ctx.geo.min_block_level;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 4 * block, 0, PT_PROT_RW, 0));
		args = upkeep_args(&c, PT_UPKEEP_SPLIT, 2 * block - page, 2 * page);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
		assert_int_equal(2, u.effects.blocks_split);
		assert_int_equal(2, u.effects.tables_added);
		assert_int_equal(2 * block + page, u.next);
		upkeep_entry(&c, block - page, &level);
		assert_int_equal(2, level);
		upkeep_entry(&c, block, &level);
		assert_int_equal(3, level);
		upkeep_entry(&c, 3 * block - page, &level);
		assert_int_equal(3, level);
		upkeep_entry(&c, 3 * block, &level);
		assert_int_equal(2, level);
		if (top < 2) {
			uint64_t large = core_size(&c, top);

			/* down to the middle of the tree, then one page of it */
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, large, large, 0, PT_PROT_R, 0));
			args = upkeep_args(&c, PT_UPKEEP_SPLIT, large + page, page);
			args.level = 2;
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
			assert_int_equal(2 - top, u.effects.blocks_split);
			upkeep_entry(&c, large, &level);
			assert_int_equal(2, level);
			upkeep_entry(&c, 2 * large - page, &level);
			assert_int_equal(top + 1, level);
			args.level = 3;
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
			assert_int_equal(1, u.effects.blocks_split);
			same_translation(&c, large + page, page, 3);
			same_translation(&c, large + block, block, 2);
			args.level = (int8_t)top;
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
			assert_int_equal(0, u.effects.blocks_split);
		}
		core_close(&c);
	}
}

/* Holes, pages and blocks: the blocks go, and nothing else changes. */
static void batches_cross_holes_and_tables(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned budget = 1; budget < 300000; budget = budget * 13 + 5) {
			struct core c;
			struct pt_upkeep u;
			uint64_t block;
			int level;

			core_open(&c, &shapes[i]);
			block = core_size(&c, 2);
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&c, 0, 40 * block, block, PT_PROT_RW, 0));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 5 * block, block));
			ASSERT_OUTCOME(PT_PROTECTED,
				       core_protect(&c, 9 * block, core_size(&c, 3), PT_PROT_R));
			ASSERT_OUTCOME(PT_OK,
				       upkeep_run(&c, &u,
						  upkeep_args(&c, PT_UPKEEP_SPLIT, 0, 39 * block),
						  budget));
			assert_int_equal(37, u.effects.blocks_split);
			assert_int_equal(37 * (block / core_size(&c, 3)), u.effects.leaves_written);
			for (uint64_t b = 0; b < 40; b++) {
				if (b == 5)
					continue;
				same_translation(&c, b * block, (b + 1) * block, b < 39 ? 3 : 2);
			}
			assert_false(pt_pte_valid(upkeep_entry(&c, 5 * block, &level)));
			assert_int_equal(2, level);
			core_close(&c);
		}
}

static void the_page_budget_is_kept(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		uint64_t block, tables;
		int level;

		core_open(&c, &shapes[i]);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 40 * block, 0, PT_PROT_RW, 0));
		args = upkeep_args(&c, PT_UPKEEP_SPLIT, 0, 40 * block);
		args.page_budget = 19;
		tables = atomic_load(&c.ctx.table_pages);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 100000));
		ASSERT_OUTCOME(PT_MORE, u.stopped);
		assert_int_equal(19, u.effects.blocks_split);
		assert_int_equal(19 * block, u.next);
		assert_int_equal(tables + 19, atomic_load(&c.ctx.table_pages));
		upkeep_entry(&c, 19 * block, &level);
		assert_int_equal(2, level);
		/* from where it came to; exactly enough is enough */
		args.ipa.v = u.next;
		args.size = 21 * block;
		args.page_budget = 21;
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
		ASSERT_OUTCOME(PT_OK, u.stopped);
		assert_int_equal(40 * block, u.next);
		core_close(&c);
	}
}

static void fail_nth(uint32_t nth)
{
	struct pt_host_failpoint how = {.nth = nth, .times = 1};

	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
}

/* Whichever page is missing: what was split stays and is told, the rest is as it was. */
static void without_pages_it_says_how_far_it_came(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		struct pt_digest before;
		uint64_t block, tables;
		unsigned injected = 0;

		core_open(&c, &shapes[i]);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 20 * block, 0, PT_PROT_RW, 0));
		args = upkeep_args(&c, PT_UPKEEP_SPLIT, 0, 20 * block);
		before = core_digest_of(&c);
		tables = atomic_load(&c.ctx.table_pages);
		for (uint64_t nth = 1; nth <= 20; nth++) {
			uint64_t hits, failures, done;
			enum pt_outcome outcome;

			fail_nth((uint32_t)nth);
			outcome = upkeep_run(&c, &u, args, nth % 3 ? 1 : 100000);
			pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
			pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
			injected += (unsigned)failures;
			ASSERT_OUTCOME(PT_NO_MEMORY, u.stopped);
			ASSERT_OUTCOME(nth == 1 ? PT_NO_MEMORY : PT_OK, outcome);
			done = u.effects.blocks_split;
			assert_int_equal(nth - 1, done);
			assert_int_equal(done * block, u.next);
			assert_int_equal(tables + done, atomic_load(&c.ctx.table_pages));
			for (uint64_t b = 0; b < 20; b++)
				same_translation(&c, b * block, b * block, b < done ? 3 : 2);
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u,
							 upkeep_args(&c, PT_UPKEEP_COLLAPSE, 0,
								     20 * block),
							 100000));
			assert_int_equal(done, u.blocks_made);
			assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
			assert_int_equal(tables, atomic_load(&c.ctx.table_pages));
		}
		assert_int_equal(20, injected);
		atomic_store(&c.ctx.quota_pages, tables);
		ASSERT_OUTCOME(PT_QUOTA, upkeep_run(&c, &u, args, 1));
		assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
		atomic_store(&c.ctx.quota_pages, tables + 3);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
		ASSERT_OUTCOME(PT_QUOTA, u.stopped);
		assert_int_equal(3 * block, u.next);
		core_close(&c);
	}
}

/* The group of a block loses its hint first, which is something done even if no page is left. */
static void a_group_without_pages_for_its_blocks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		uint64_t block, tables;
		int level;

		core_open(&c, &shapes[i]);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, 32 * block, 0, PT_PROT_RW, PT_MAP_CONTIGUOUS));
		assert_true(upkeep_entry(&c, block, &level) & PT_PTE_CONTIGUOUS);
		tables = atomic_load(&c.ctx.table_pages);
		atomic_store(&c.ctx.quota_pages, tables);
		ASSERT_OUTCOME(
			PT_OK,
			upkeep_run(&c, &u, upkeep_args(&c, PT_UPKEEP_SPLIT, block, block), 1));
		ASSERT_OUTCOME(PT_QUOTA, u.stopped);
		assert_int_equal(block, u.next);
		assert_int_equal(0, u.effects.blocks_split);
		assert_true(u.effects.leaves_written >= 16);
		assert_false(upkeep_entry(&c, 0, &level) & PT_PTE_CONTIGUOUS);
		same_translation(&c, block, block, 2);
		atomic_store(&c.ctx.quota_pages, UINT64_MAX);
		ASSERT_OUTCOME(
			PT_OK,
			upkeep_run(&c, &u, upkeep_args(&c, PT_UPKEEP_SPLIT, 0, 32 * block), 1));
		assert_int_equal(32, u.effects.blocks_split);
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_preserves_attrs),
		cmocka_unit_test(only_what_the_range_meets_is_split),
		cmocka_unit_test(batches_cross_holes_and_tables),
		cmocka_unit_test(the_page_budget_is_kept),
		cmocka_unit_test(without_pages_it_says_how_far_it_came),
		cmocka_unit_test(a_group_without_pages_for_its_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
