/* SPDX-License-Identifier: BSD-2-Clause */
/* Software bits of lib/owner: set by MAP, and changed in place by SET_SW. */
#include "parties_fixture.h"

#define SW(n)	 (UINT32_C(1) << (PT_PROT_SW_SHIFT + (n)))
#define SHARED	 SW(0)
#define BORROWED SW(1)
#define MINE	 SW(3) /* the caller's */

static void open_owned(struct core *c, const struct shape *shape)
{
	core_open_bytes(c, shape, UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c->ctx, PARTY_STATES, PT_SW_OWNERSHIP));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c->ctx, MINE, PT_SW_CALLER));
}

static pt_pte entry(struct core *c, uint64_t ipa, int *level)
{
	pt_pte e = 0;

	pt_section_begin(&c->agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&c->ctx, pt_ipa(ipa), &e, level));
	pt_section_end(&c->agent);
	return e;
}

static uint32_t sw(struct core *c, uint64_t ipa)
{
	int level;

	return pt_pte_to_sw(entry(c, ipa, &level));
}

/* As a transaction, first tried: both say the same. */
static enum pt_outcome run(struct core *c, struct pt_item item, struct pt_effects *fx)
{
	enum pt_outcome outcome = pt_item_check_owner(&item);
	struct pt_effects told;
	struct pt_txn txn;

	if (outcome != PT_OK)
		return outcome;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, true, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 100));
	told = txn.effects;
	outcome = (enum pt_outcome)item.outcome;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 100));
	ASSERT_OUTCOME(outcome, (enum pt_outcome)item.outcome);
	*fx = txn.effects;
	told.tlbis = fx->tlbis;
	assert_memory_equal(&told, fx, sizeof(told));
	return outcome;
}

static enum pt_outcome set(struct core *c, uint64_t ipa, uint64_t size, uint32_t bits,
			   struct pt_effects *fx)
{
	return run(c, core_item(c, PT_ITEM_SET_SW, ipa, size, 0, bits, PT_ITEM_OWNER), fx);
}

static enum pt_outcome map(struct core *c, uint64_t ipa, uint64_t size, uint32_t prot,
			   uint32_t flags)
{
	struct pt_effects fx;

	return run(c, core_item(c, PT_ITEM_MAP, ipa, size, ipa, prot, flags), &fx);
}

/* Pages and blocks: the bits alone, and no invalidation. */
static void bits_change_in_place(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct pt_effects fx;
		struct core c;
		uint64_t page, block, at[3];
		pt_pte before[3];
		int level;

		open_owned(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		at[0] = 2 * page;
		at[1] = block;
		at[2] = 2 * block - page;
		ASSERT_OUTCOME(PT_MAPPED, map(&c, 0, block, PT_PROT_RW | MINE, PT_MAP_FORCE_PAGES));
		ASSERT_OUTCOME(PT_MAPPED,
			       map(&c, block, block, PT_PROT_R | BORROWED, PT_ITEM_OWNER));
		assert_int_equal(MINE, sw(&c, 0));
		assert_int_equal(BORROWED, sw(&c, block));
		for (unsigned i = 0; i < 3; i++)
			before[i] = entry(&c, at[i], &level);
		ASSERT_OUTCOME(PT_MAPPED, set(&c, page, 2 * block - page, SHARED, &fx));
		assert_int_equal(0, fx.tlbis);
		assert_int_equal(block / page,
				 fx.leaves_written); /* the first page apart, a block */
		assert_int_equal(0, fx.leaves_removed + fx.blocks_split + fx.holes + fx.already);
		assert_int_equal(MINE, sw(&c, 0));
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal((before[i] & ~pt_sw_to_pte(PARTY_STATES)) |
						 pt_sw_to_pte(SHARED),
					 entry(&c, at[i], &level));
		assert_int_equal(2, level);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, set(&c, page, 2 * block - page, SHARED, &fx));
		assert_int_equal(block / page, fx.already);
		ASSERT_OUTCOME(PT_HOLE, set(&c, 2 * block, block, SHARED, &fx));
		assert_int_equal(block / page, fx.holes);
		ASSERT_OUTCOME(PT_MAPPED, set(&c, 0, 4 * block, 0, &fx));
		assert_int_equal(0, fx.tlbis);
		assert_int_equal(1, fx.already);
		assert_int_equal(2 * block / page, fx.holes);
		assert_int_equal(before[0], entry(&c, at[0], &level));
		core_close(&c);
	}
}

/* A part of a block comes to differ: split, and flushed for that. */
static void a_part_of_a_block_is_split(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct pt_effects fx;
		struct core c;
		uint64_t page, block;
		int level;

		open_owned(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED,
			       map(&c, block, block, PT_PROT_RW | BORROWED, PT_ITEM_OWNER));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, set(&c, block + page, page, BORROWED, &fx));
		assert_int_equal(0, fx.blocks_split);
		ASSERT_OUTCOME(PT_MAPPED, set(&c, block + page, page, SHARED, &fx));
		assert_int_equal(1, fx.blocks_split);
		assert_int_equal(BORROWED, sw(&c, block));
		assert_int_equal(SHARED, sw(&c, block + page));
		assert_int_equal(BORROWED, sw(&c, block + 2 * page));
		entry(&c, block + 2 * page, &level);
		assert_int_equal(3, level);
		core_close(&c);
	}
}

/* A contiguous group changes as a whole, or loses its hint. */
static void groups_stay_whole_or_part(void **state)
{
	struct pt_effects fx;
	struct core c;
	int level;

	(void)state;
	open_owned(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, map(&c, 0, PT_SZ_64K * 2, PT_PROT_RW, PT_MAP_CONTIGUOUS));
	ASSERT_OUTCOME(PT_MAPPED, set(&c, 0, PT_SZ_64K, SHARED, &fx));
	assert_true(entry(&c, 0, &level) & PT_PTE_CONTIGUOUS);
	assert_int_equal(SHARED, sw(&c, PT_SZ_64K - PT_SZ_4K));
	assert_int_equal(0, sw(&c, PT_SZ_64K));
	ASSERT_OUTCOME(PT_MAPPED, set(&c, PT_SZ_64K, PT_SZ_4K, SHARED, &fx));
	assert_false(entry(&c, PT_SZ_64K, &level) & PT_PTE_CONTIGUOUS);
	assert_int_equal(SHARED, sw(&c, PT_SZ_64K));
	assert_int_equal(0, sw(&c, PT_SZ_64K + PT_SZ_4K));
	core_close(&c);
}

/* A map of lib/owner sets its own bits, and leaves the caller's. */
static void a_map_sets_the_owners_bits(void **state)
{
	struct pt_effects fx;
	struct core c;

	(void)state;
	open_owned(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, map(&c, 0, PT_SZ_4K, PT_PROT_RW | MINE, 0));
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, map(&c, 0, PT_SZ_4K, PT_PROT_RW, PT_ITEM_OWNER));
	ASSERT_OUTCOME(PT_PERMISSION_ONLY,
		       map(&c, 0, PT_SZ_4K, PT_PROT_RW | SHARED, PT_ITEM_OWNER));
	ASSERT_OUTCOME(PT_MAPPED,
		       run(&c,
			   core_item(&c, PT_ITEM_MAP, 0, PT_SZ_4K, 0, PT_PROT_RW | SHARED,
				     PT_ITEM_OWNER | PT_MAP_REPLACE),
			   &fx));
	assert_int_equal(0, fx.tlbis);
	assert_int_equal(MINE | SHARED, sw(&c, 0));
	/* And the caller's map leaves the owner's. */
	ASSERT_OUTCOME(PT_MAPPED, map(&c, 0, PT_SZ_4K, PT_PROT_R, PT_MAP_REPLACE));
	assert_int_equal(SHARED, sw(&c, 0));
	core_close(&c);
}

/* Hardware writes in the leaf meanwhile: nothing of that is lost. */
static void dirty_state_is_kept(void **state)
{
	struct pt_effects fx;
	struct core c;
	pt_pte before;
	int level;

	(void)state;
	open_owned(&c, &shapes[0]);
	c.ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
	core_note_options(&c.ctx);
	ASSERT_OUTCOME(PT_MAPPED, map(&c, 0, PT_SZ_4K, PT_PROT_RW, 0));
	before = entry(&c, 0, &level);
	ASSERT_OUTCOME(PT_MAPPED, set(&c, 0, PT_SZ_4K, SHARED, &fx));
	assert_int_equal(before | pt_sw_to_pte(SHARED), entry(&c, 0, &level));
	core_close(&c);
}

static void refuse(struct core *c, enum pt_item_kind kind, uint32_t prot, uint32_t flags)
{
	struct pt_item item = core_item(c, kind, 0, PT_SZ_4K, 0, prot, flags);

	ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
	ASSERT_OUTCOME(PT_INVALID, pt_item_check_owner(&item));
}

static void nobody_else_gets_at_them(void **state)
{
	struct pt_item item;
	struct core c;

	(void)state;
	open_owned(&c, &shapes[0]);
	refuse(&c, PT_ITEM_SET_SW, SHARED, 0);
	refuse(&c, PT_ITEM_SET_SW, 0, 0);
	refuse(&c, PT_ITEM_SET_SW, MINE, PT_ITEM_OWNER);
	refuse(&c, PT_ITEM_SET_SW, SW(2), PT_ITEM_OWNER);
	refuse(&c, PT_ITEM_SET_SW, SHARED | PT_PROT_R, PT_ITEM_OWNER);
	refuse(&c, PT_ITEM_SET_SW, SHARED, PT_ITEM_OWNER | PT_MAP_REPLACE);
	refuse(&c, PT_ITEM_UNMAP, 0, PT_ITEM_OWNER);
	refuse(&c, PT_ITEM_MAP, PT_PROT_R | MINE, PT_ITEM_OWNER);
	refuse(&c, PT_ITEM_MAP, PT_PROT_R | SHARED, 0);
	refuse(&c, PT_ITEM_MAP, PT_PROT_R, PT_ITEM_OWNER | PT_MAP_FLAGS << 1);
	item = core_item(&c, PT_ITEM_MAP, 0, PT_SZ_4K, 0, PT_PROT_R, PT_ITEM_OWNER);
	ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
	item.prot |= SHARED;
	ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
	ASSERT_OUTCOME(PT_OK, pt_item_check_owner(&item));
	item = core_item(&c, PT_ITEM_SET_SW, 0, PT_SZ_4K, 0, SHARED, PT_ITEM_OWNER);
	ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
	ASSERT_OUTCOME(PT_OK, pt_item_check_owner(&item));
	item.size = 0;
	ASSERT_OUTCOME(pt_geometry_check_range(&c.ctx.geo, item.ipa, 0),
		       pt_item_check_owner(&item));
	core_close(&c);
	core_open(&c, &shapes[0]); /* has none */
	refuse(&c, PT_ITEM_SET_SW, 0, PT_ITEM_OWNER);
	refuse(&c, PT_ITEM_MAP, PT_PROT_R, PT_ITEM_OWNER);
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_change_in_place),
		cmocka_unit_test(a_part_of_a_block_is_split),
		cmocka_unit_test(groups_stay_whole_or_part),
		cmocka_unit_test(a_map_sets_the_owners_bits),
		cmocka_unit_test(dirty_state_is_kept),
		cmocka_unit_test(nobody_else_gets_at_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
