/* SPDX-License-Identifier: BSD-2-Clause */
/* Upkeep at the edges: of ranges, of each step's budget, of groups and tables beside the range, and
 * of the context's life. */
#include "upkeep.h"

/* Every range that is none, for each kind; and the last page, on which each kind works. */
static void ranges_at_their_edges(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_digest before;
		struct core c;
		uint64_t page, top;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, top - page, page, 0, PT_PROT_R, 0));
		before = core_digest_of(&c);
		const struct {
			uint64_t ipa, size;
			enum pt_outcome want;
		} rows[] = {
			{UINT64_MAX, 0, PT_INVALID},
			{top, 0, PT_INVALID},
			{0 - page, 2 * page, PT_INVALID},
			{page, 0 - page, PT_OUT_OF_RANGE},
			{0, 0 - page, PT_OUT_OF_RANGE},
			{0 - page, page, PT_OUT_OF_RANGE},
			{1, page, PT_MISALIGNED},
			{page - 1, page, PT_MISALIGNED},
			{0, 1, PT_MISALIGNED},
			{0, page + page / 2, PT_MISALIGNED},
			{0, page - 8, PT_MISALIGNED},
			{page, top, PT_OUT_OF_RANGE},
			{UINT64_C(1) << 63, page, PT_OUT_OF_RANGE},
			{top - page, page, PT_OK},
			{top - 2 * page, page, PT_OK},
		};

		for (unsigned kind = PT_UPKEEP_AGE; kind <= PT_UPKEEP_SWEEP; kind++) {
			for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
				struct pt_upkeep_args args =
					upkeep_args(&c, kind, rows[k].ipa, rows[k].size);
				struct pt_upkeep u;

				ASSERT_OUTCOME(rows[k].want, upkeep_run(&c, &u, args, 0));
				ASSERT_OUTCOME(rows[k].want, upkeep_step(&c, &u, 0));
				if (rows[k].want == PT_OK)
					assert_int_equal(rows[k].ipa + page, u.next);
				if (kind == PT_UPKEEP_AGE && rows[k].want == PT_OK)
					assert_int_equal(rows[k].ipa == top - page, u.young);
				assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
				assert_int_equal(0, atomic_load(&c.ctx.claims));
			}
		}
		core_close(&c);
	}
}

/* Blocks from one that stands alone up to a group: the batch ends there, and the group is opened.
 */
static void a_batch_that_meets_a_group(void **state)
{
	(void)state;
	for (unsigned bbm = 0; bbm < 3; bbm++) {
		struct pt_upkeep u;
		struct core c;
		int level;

		core_open(&c, &shapes[0]);
		core_set_bbm(&c, bbm);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 15 * PT_SZ_2M, 17 * PT_SZ_2M, 15 * PT_SZ_2M,
						   PT_PROT_RW, PT_MAP_CONTIGUOUS));
		assert_true(upkeep_entry(&c, 16 * PT_SZ_2M, &level) & PT_PTE_CONTIGUOUS);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u,
						 upkeep_args(&c, PT_UPKEEP_SPLIT, 15 * PT_SZ_2M,
							     17 * PT_SZ_2M),
						 1000000));
		assert_int_equal(17, u.effects.blocks_split);
		for (uint64_t at = 15 * PT_SZ_2M; at < 32 * PT_SZ_2M; at += PT_SZ_2M) {
			assert_false(upkeep_entry(&c, at, &level) & PT_PTE_CONTIGUOUS);
			assert_int_equal(3, level);
			assert_int_equal(at, core_walk(&c, at, HW_WRITE).pa);
		}
		core_close(&c);
	}
}

/* Tables that were freed before the teardown began are something done: not an error. */
static void a_sweep_that_the_teardown_stops(void **state)
{
	(void)state;
	for (unsigned some = 0; some < 2; some++) {
		struct pt_upkeep_args args;
		struct pt_upkeep u;
		struct pt_txn txn;
		struct core c;
		uint32_t freed;

		core_open(&c, &shapes[0]);
		for (uint64_t at = 0; at < 64 * PT_SZ_2M; at += PT_SZ_2M) {
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, at, 0x1000, at, PT_PROT_R, 0));
			ASSERT_OUTCOME(PT_UNMAPPED,
				       core_point(&c,
						  core_item(&c, PT_ITEM_UNMAP, at, 0x1000, 0, 0, 0),
						  NULL, NULL));
		}
		args = upkeep_args(&c, PT_UPKEEP_SWEEP, 0, 64 * PT_SZ_2M);
		ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
		ASSERT_OUTCOME(PT_MORE, upkeep_step(&c, &u, some ? 600 : 1));
		freed = u.effects.tables_freed;
		assert_int_equal(some, freed != 0);
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c.ctx, NULL));
		ASSERT_OUTCOME(some ? PT_OK : PT_WRONG_STATE, upkeep_step(&c, &u, 600));
		ASSERT_OUTCOME(PT_WRONG_STATE, u.stopped);
		assert_int_equal(freed, u.effects.tables_freed);
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
		while (pt_reclaim(&c.agent))
			continue;
		assert_int_equal(c.empty_bytes, atomic_load(&c.tables.world.pool.used_bytes));
		c.ctx.machine = NULL;
		core_close(&c);
	}
}

/* What the search passes over: tables of which an entry differs, whichever it is; with any budget.
 */
static void the_search_passes_what_must_stay(void **state)
{
	static const uint32_t budgets[] = {0, 1, 1000000};
	static const unsigned odd[] = {0, 1, 63, 64, 100, 511};

	(void)state;
	for (unsigned k = 0; k < sizeof(odd) / sizeof(odd[0]); k++) {
		for (unsigned hole = 0; hole < 2; hole++) {
			uint64_t at = odd[k] * UINT64_C(0x1000);
			struct pt_upkeep_find find;
			enum pt_outcome outcome;
			struct core c;

			core_open(&c, &shapes[0]);
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_R, PT_MAP_FORCE_PAGES));
			if (hole)
				ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, at, 0x1000));
			else
				ASSERT_OUTCOME(PT_RELAXED,
					       core_protect(&c, at, 0x1000, PT_PROT_RW));
			for (unsigned b = 0; b < 3; b++) {
				find = (struct pt_upkeep_find){.ctx = &c.ctx, .last = PT_SZ_1G - 1};
				pt_section_begin(&c.agent);
				while ((outcome = pt_upkeep_find(&find, budgets[b])) == PT_MORE)
					continue;
				pt_section_end(&c.agent);
				ASSERT_OUTCOME(PT_HOLE, outcome);
				assert_int_equal(0, find.kind);
				assert_int_equal(0, find.size);
			}
			core_close(&c);
		}
	}
}

static bool always(void *arg, struct pt_ipa ipa, uint64_t size, uint32_t prot)
{
	(void)arg, (void)ipa, (void)size, (void)prot;
	return true;
}

/* A table that its context keeps in pages is no find, though its leaves would make a block. */
static void the_search_keeps_to_the_policy(void **state)
{
	(void)state;
	for (unsigned forced = 0; forced < 2; forced++) {
		struct pt_upkeep_find find;
		enum pt_outcome outcome;
		struct core c;

		core_open(&c, &shapes[0]);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_R, PT_MAP_FORCE_PAGES));
		ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&c.ctx, 0, forced ? always : NULL, NULL));
		find = (struct pt_upkeep_find){.ctx = &c.ctx, .last = PT_SZ_1G - 1};
		pt_section_begin(&c.agent);
		while ((outcome = pt_upkeep_find(&find, 1000)) == PT_MORE)
			continue;
		pt_section_end(&c.agent);
		ASSERT_OUTCOME(forced ? PT_HOLE : PT_OK, outcome);
		assert_int_equal(forced ? 0 : PT_UPKEEP_COLLAPSE, find.kind);
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_at_their_edges),
		cmocka_unit_test(a_batch_that_meets_a_group),
		cmocka_unit_test(a_sweep_that_the_teardown_stops),
		cmocka_unit_test(the_search_passes_what_must_stay),
		cmocka_unit_test(the_search_keeps_to_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
