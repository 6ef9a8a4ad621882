/* SPDX-License-Identifier: BSD-2-Clause */
/* Age: access flags are counted, told page by page, cleared and flushed. */
#include "upkeep.h"

static void counts_granules_and_clears(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		uint64_t page, block, per;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		per = block / page;
		/* a block, a hole of one table's span, and pages with a gap */
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, block, block, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 2 * block, 21 * page, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 2 * block + 30 * page, 3 * page, page, PT_PROT_R, 0));
		args = upkeep_args(&c, PT_UPKEEP_AGE, 0, 3 * block);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1000));
		assert_int_equal(per + 24, u.young);
		assert_int_equal(0, u.old);
		assert_int_equal(2 * per - 24, u.effects.holes);
		assert_int_equal(3 * block, u.next);
		assert_int_equal(0, u.effects.leaves_written);
		assert_int_equal(0, u.effects.tlbis);
		args.clear = true;
		for (unsigned budget = 1; budget < 100; budget *= 7) {
			upkeep_poke(&c, 0, 0, PT_PTE_AF);
			upkeep_poke(&c, 2 * block + 9 * page, 0, PT_PTE_AF);
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, budget));
			assert_int_equal(budget == 1 ? per + 24 : per + 1, u.young);
			assert_int_equal(budget == 1 ? 0 : 23, u.old);
			assert_int_equal(budget == 1 ? 25 : 2, u.effects.leaves_written);
			assert_int_equal(budget == 1 ? 0 : 23, u.effects.already);
			assert_true(u.effects.tlbis >= 2);
		}
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
		assert_int_equal(0, u.young);
		assert_int_equal(per + 24, u.old);
		assert_int_equal(0, u.effects.tlbis);
		core_close(&c);
	}
}

static void only_the_flag_changes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned flags = 0; flags <= (PT_VTCR_HA | PT_VTCR_HD); flags++) {
			struct core c;
			struct pt_upkeep u;
			struct pt_upkeep_args args;
			pt_pte before[40];
			uint64_t page;
			int level;

			core_open(&c, &shapes[i]);
			c.ctx.vtcr_flags = (uint8_t)flags;
			core_note_options(&c.ctx);
			page = core_size(&c, 3);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 40 * page, page, PT_PROT_RW, 0));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 7 * page, page));
			upkeep_poke(&c, 3 * page, 0, PT_PTE_DBM | UINT64_C(5) << 55);
			upkeep_poke(&c, 4 * page, PT_PTE_S2AP_W, PT_PTE_DBM);
			/* an invalid entry's payload is not an access flag */
			upkeep_poke(&c, 7 * page, 0, UINT64_C(2) << 60 | PT_PTE_AF);
			for (unsigned p = 0; p < 40; p++)
				before[p] = upkeep_entry(&c, p * page, &level);
			args = upkeep_args(&c, PT_UPKEEP_AGE, 0, 40 * page);
			args.clear = true;
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1000));
			assert_int_equal(39, u.young);
			for (unsigned p = 0; p < 40; p++)
				assert_int_equal(p == 7 ? before[p] : before[p] & ~PT_PTE_AF,
						 upkeep_entry(&c, p * page, &level));
			core_close(&c);
		}
}

static bool bit(const uint8_t *bitmap, uint64_t i)
{
	return bitmap[i / 8] >> i % 8 & 1;
}

static void the_bitmap_has_a_bit_a_granule(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		uint64_t page, block, per, pages;
		uint8_t *bitmap, *young;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		per = block / page;
		pages = 3 * per;
		bitmap = calloc(pages / 8 + 1, 1);
		young = calloc(pages, 1);
		assert_non_null(bitmap);
		assert_non_null(young);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, 2 * block, page, PT_PROT_RW, PT_MAP_FORCE_PAGES));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 2 * block, block, 0, PT_PROT_RW, 0));
		for (uint64_t p = 0; p < 2 * per; p++) {
			young[p] = core_random(&seed) % 3 == 0;
			if (!young[p])
				upkeep_poke(&c, p * page, PT_PTE_AF, 0);
		}
		memset(young + 2 * per, 1, per);
		for (unsigned k = 0; k < 8; k++) {
			uint64_t from = core_random(&seed) % (pages - 1), n, count = 0;

			n = 1 + core_random(&seed) % (pages - from);
			memset(bitmap, 0, pages / 8 + 1);
			args = upkeep_args(&c, PT_UPKEEP_AGE, from * page, n * page);
			args.bitmap = bitmap;
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 100));
			for (uint64_t p = 0; p < n; p++) {
				assert_int_equal(young[from + p], bit(bitmap, p));
				count += young[from + p];
			}
			for (uint64_t p = n; p < (n + 7) / 8 * 8; p++)
				assert_false(bit(bitmap, p));
			assert_int_equal(count, u.young);
			assert_int_equal(n - count, u.old);
		}
		free(bitmap);
		free(young);
		core_close(&c);
	}
}

/* A block that the range cuts has one flag: its granules in the range are counted. */
static void an_edge_counts_its_part_of_a_block(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		uint64_t page, block;
		int level;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * block, 0, PT_PROT_RW, 0));
		args = upkeep_args(&c, PT_UPKEEP_AGE, block - 3 * page, 5 * page);
		args.clear = true;
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1));
		assert_int_equal(5, u.young);
		assert_int_equal(2, u.effects.leaves_written);
		assert_false(upkeep_entry(&c, 0, &level) & PT_PTE_AF);
		assert_false(upkeep_entry(&c, 2 * block - page, &level) & PT_PTE_AF);
		assert_int_equal(2, level);
		core_close(&c);
	}
}

static void arguments_are_checked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_upkeep u;
		struct pt_upkeep_args ok, a;
		uint64_t page, top;
		uint8_t bitmap[8];

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		for (unsigned kind = PT_UPKEEP_AGE; kind <= PT_UPKEEP_SWEEP; kind++) {
			const struct {
				uint64_t ipa, size;
				enum pt_outcome want;
			} rows[] = {
				{0, 0, PT_INVALID},
				{UINT64_C(0) - page, 2 * page, PT_INVALID},
				{page / 2, page, PT_MISALIGNED},
				{page, page / 2, PT_MISALIGNED},
				{top, page, PT_OUT_OF_RANGE},
				{top - page, 2 * page, PT_OUT_OF_RANGE},
				{top - page, page, PT_OK},
				{0, top, PT_OK},
			};

			ok = upkeep_args(&c, kind, page, page);
			for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
				a = ok;
				a.ipa.v = rows[k].ipa;
				a.size = rows[k].size;
				ASSERT_OUTCOME(rows[k].want, upkeep_run(&c, &u, a, 1000));
			}
			a = ok;
			a.clear = true;
			ASSERT_OUTCOME(kind == PT_UPKEEP_AGE ? PT_OK : PT_INVALID,
				       pt_upkeep_init(&u, &a, NULL));
			a = ok;
			a.bitmap = bitmap;
			ASSERT_OUTCOME(kind == PT_UPKEEP_AGE ? PT_OK : PT_INVALID,
				       pt_upkeep_init(&u, &a, NULL));
			a = ok;
			a.page_budget = 1;
			ASSERT_OUTCOME(kind == PT_UPKEEP_SPLIT ? PT_OK : PT_INVALID,
				       pt_upkeep_init(&u, &a, NULL));
			for (int level = -2; level <= 5; level++) {
				bool good =
					kind == PT_UPKEEP_SPLIT
						? level >= c.ctx.geo.min_block_level && level <= 3
						: level == 0;

				a = ok;
				a.level = (int8_t)level;
				ASSERT_OUTCOME(good ? PT_OK : PT_INVALID,
					       pt_upkeep_init(&u, &a, NULL));
			}
		}
		ok = upkeep_args(&c, PT_UPKEEP_SWEEP + 1, page, page);
		ASSERT_OUTCOME(PT_INVALID, pt_upkeep_init(&u, &ok, NULL));
		ASSERT_OUTCOME(PT_INVALID, upkeep_step(&c, &u, 1)); /* and nothing happens */
		ok = upkeep_args(&c, 0, page, page);
		ASSERT_OUTCOME(PT_INVALID, pt_upkeep_init(&u, &ok, NULL));
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_granules_and_clears),
		cmocka_unit_test(only_the_flag_changes),
		cmocka_unit_test(the_bitmap_has_a_bit_a_granule),
		cmocka_unit_test(an_edge_counts_its_part_of_a_block),
		cmocka_unit_test(arguments_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
