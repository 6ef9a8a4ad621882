/* SPDX-License-Identifier: BSD-2-Clause */
/* The split of one block as a point operation, and the hint that a table could be folded: what the
 * fault path asks of lib/txn. */
#include "../../lib/txn/internal.h"
#include "upkeep.h"

static enum pt_outcome split_at(struct core *c, uint64_t ipa, pt_pte seen, struct pt_effects *fx)
{
	struct pt__at at;
	enum pt_outcome outcome;

	*fx = (struct pt_effects){0};
	pt_section_begin(&c->agent);
	pt__descend(&c->ctx, ipa, PT_LEVEL_LAST, c->ctx.geo.granule_shift, &at);
	if (seen)
		at.entry = seen;
	outcome = pt__split_point(&c->agent, &c->ctx, ipa, &at, PT_LEVEL_LAST, fx);
	pt_section_end(&c->agent);
	return outcome;
}

static void a_point_splits_its_block_and_flushes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned bbm = 0; bbm <= 2; bbm++) {
			struct core c;
			struct pt_effects fx;
			uint64_t page, block;
			pt_pte before;
			int level;

			core_open_bytes(&c, &shapes[i], UINT64_C(64) << 20, true);
			core_set_bbm(&c, bbm);
			page = core_size(&c, 3);
			block = core_size(&c, 2);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * block, 0, PT_PROT_R, 0));
			upkeep_poke(&c, block, PT_PTE_AF, UINT64_C(3) << 55);
			before = upkeep_entry(&c, block, &level);
			ASSERT_OUTCOME(PT_OK, split_at(&c, block + 5 * page, 0, &fx));
			assert_int_equal(1, fx.blocks_split);
			assert_int_equal(1, fx.tables_added);
			assert_int_equal(1, fx.tlbis);
			assert_int_equal(1, atomic_load(&c.mmu.generation));
			assert_int_equal(before | PT_PTE_TYPE, upkeep_entry(&c, block, &level));
			assert_int_equal(3, level);
			upkeep_entry(&c, 0, &level);
			assert_int_equal(2, level);
			assert_int_equal(5 * page, core_walk(&c, 5 * page, HW_AT).pa);
			core_close(&c);
		}
}

/* What it lost to, or met, changed nothing; every page is back and zero. */
static void a_lost_split_changes_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned bbm = 0; bbm <= 2; bbm++) {
			struct core c;
			struct pt_effects fx;
			struct pt_digest before;
			struct pt_claim claim;
			uint64_t page, block, tables;
			pt_pte e;
			int level;

			core_open(&c, &shapes[i]);
			core_set_bbm(&c, bbm);
			page = core_size(&c, 3);
			block = core_size(&c, 2);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * block, 0, PT_PROT_R, 0));
			before = core_digest_of(&c);
			tables = atomic_load(&c.ctx.table_pages);
			e = upkeep_entry(&c, 0, &level);
			ASSERT_OUTCOME(PT_RACED, split_at(&c, 0, e | PT_PTE_S2AP_W, &fx));
			ASSERT_OUTCOME(PT_RACED, split_at(&c, 0, e | UINT64_C(1) << 55, &fx));
			ASSERT_OUTCOME(PT_OK,
				       pt_claim_acquire(&claim, &c.ctx, block - page, block - 1,
							PT_CLAIM_EXCLUSIVE, false, NULL));
			ASSERT_OUTCOME(PT_RACED, split_at(&c, 0, 0, &fx));
			pt_claim_release(&claim);
			atomic_store(&c.ctx.quota_pages, tables);
			ASSERT_OUTCOME(PT_QUOTA, split_at(&c, 0, 0, &fx));
			assert_int_equal(0, fx.tlbis + fx.blocks_split);
			assert_int_equal(tables, atomic_load(&c.ctx.table_pages));
			assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
			/* only hardware was faster: no loss */
			atomic_store(&c.ctx.quota_pages, UINT64_MAX);
			ASSERT_OUTCOME(PT_OK, split_at(&c, 0, e & ~PT_PTE_AF, &fx));
			assert_true(upkeep_entry(&c, 7 * page, &level) & PT_PTE_AF);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 4 * block, page, 0, PT_PROT_R, 0));
			core_close(&c);
		}
}

static bool could_fold(struct core *c, uint64_t ipa, int level)
{
	bool could;

	pt_section_begin(&c->agent);
	could = pt__could_fold(&c->ctx, ipa, level);
	pt_section_end(&c->agent);
	return could;
}

static void the_hint_is_right_about_whole_tables(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		assert_false(could_fold(&c, 0, 2));
		for (uint64_t p = 0; p < block; p += page) {
			assert_false(could_fold(&c, 0, 2));
			ASSERT_OUTCOME(PT_MAPPED, core_point(&c,
							     core_item(&c, PT_ITEM_MAP, p, page,
								       p + block, PT_PROT_R, 0),
							     NULL, NULL));
		}
		assert_true(could_fold(&c, 3 * page, 2));
		assert_false(could_fold(&c, 3 * page, c.ctx.geo.min_block_level - 1));
		assert_false(could_fold(&c, block, 2));
		upkeep_poke(&c, 9 * page, 0, PT_PTE_S2AP_W);
		assert_false(could_fold(&c, 3 * page, 2));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, block, 0, PT_PROT_R, PT_MAP_REPLACE));
		assert_false(could_fold(&c, 0, 2)); /* a block already */
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_point_splits_its_block_and_flushes),
		cmocka_unit_test(a_lost_split_changes_nothing),
		cmocka_unit_test(the_hint_is_right_about_whole_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
