/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations that rewrite leaves in place, as ranges and as points: PROTECT, WRITE_PROTECT, RELAX,
 * MAKE_YOUNG. */
#include "sweep.h"
#include "upkeep.h"

static uint32_t rights_of(struct core *c, uint64_t ipa)
{
	return pt_leaf_prot(&c->ctx.geo, *upkeep_slot(c, ipa), c->ctx.attrs) & PT_PROT_RIGHTS;
}

static struct pt_item item_of(struct core *c, enum pt_item_kind kind, uint64_t ipa, uint64_t size,
			      uint32_t prot)
{
	return core_item(c, kind, ipa, size, 0, prot, 0);
}

static enum pt_outcome range(struct core *c, enum pt_item_kind kind, uint64_t ipa, uint64_t size,
			     uint32_t prot, struct pt_effects *fx)
{
	return core_range(c, item_of(c, kind, ipa, size, prot), fx);
}

static enum pt_outcome point(struct core *c, enum pt_item_kind kind, uint64_t ipa, uint64_t size,
			     uint32_t prot, struct pt_effects *fx)
{
	return core_point(c, item_of(c, kind, ipa, size, prot), fx, NULL);
}

/* Rights before, the item, what comes of it. */
static const struct {
	uint32_t before;
	enum pt_item_kind kind;
	uint32_t prot;
	enum pt_outcome outcome;
	uint32_t after;
	unsigned tlbis;
} rows[] = {
	{PT_PROT_RW, PT_ITEM_WRITE_PROTECT, 0, PT_PROTECTED, PT_PROT_R, 1},
	{PT_PROT_W, PT_ITEM_WRITE_PROTECT, 0, PT_PROTECTED, 0, 1},
	{PT_PROT_RWX, PT_ITEM_WRITE_PROTECT, 0, PT_PROTECTED, PT_PROT_R | PT_PROT_X, 1},
	{PT_PROT_R, PT_ITEM_WRITE_PROTECT, 0, PT_ALREADY_MAPPED, PT_PROT_R, 0},
	{PT_PROT_R, PT_ITEM_RELAX, PT_PROT_W, PT_RELAXED, PT_PROT_RW, 0},
	{PT_PROT_R, PT_ITEM_RELAX, PT_PROT_X, PT_RELAXED, PT_PROT_R | PT_PROT_X, 0},
	{PT_PROT_RWX, PT_ITEM_RELAX, PT_PROT_R, PT_ALREADY_MAPPED, PT_PROT_RWX, 0},
	{PT_PROT_RW, PT_ITEM_RELAX, PT_PROT_RW, PT_ALREADY_MAPPED, PT_PROT_RW, 0},
	{PT_PROT_X, PT_ITEM_RELAX, PT_PROT_R, PT_RELAXED, PT_PROT_R | PT_PROT_X, 0},
	{PT_PROT_R, PT_ITEM_PROTECT, PT_PROT_RW, PT_RELAXED, PT_PROT_RW, 0},
	{PT_PROT_RW, PT_ITEM_PROTECT, PT_PROT_R, PT_PROTECTED, PT_PROT_R, 1},
	{PT_PROT_R, PT_ITEM_PROTECT, PT_PROT_W, PT_PROTECTED, PT_PROT_W, 1},
	{PT_PROT_RWX, PT_ITEM_PROTECT, PT_PROT_RW, PT_PROTECTED, PT_PROT_RW, 1},
	{PT_PROT_R, PT_ITEM_PROTECT, PT_PROT_R, PT_ALREADY_MAPPED, PT_PROT_R, 0},
	{PT_PROT_RW, PT_ITEM_MAKE_YOUNG, 0, PT_ALREADY_MAPPED, PT_PROT_RW, 0},
};

static void check_row(struct core *c, unsigned i, int level, bool as_point)
{
	uint64_t size = core_size(c, level), ipa = 4 * size, page = core_size(c, 3);
	struct pt_effects fx, planned;
	struct pt_item item = item_of(c, rows[i].kind, ipa, size, rows[i].prot);
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_MAPPED, core_map(c, ipa, size, 0, rows[i].before, 0));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, true, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 7));
	ASSERT_OUTCOME(rows[i].outcome, (enum pt_outcome)item.outcome);
	planned = txn.effects;
	ASSERT_OUTCOME(rows[i].outcome,
		       as_point ? core_point(c, item, &fx, NULL) : core_range(c, item, &fx));
	assert_int_equal(rows[i].after, rights_of(c, ipa));
	assert_int_equal(rows[i].after, rights_of(c, ipa + size - page));
	assert_int_equal(rows[i].outcome != PT_ALREADY_MAPPED, fx.leaves_written);
	assert_int_equal(rows[i].outcome == PT_ALREADY_MAPPED, fx.already);
	assert_int_equal(rows[i].tlbis, fx.tlbis);
	planned.tlbis = fx.tlbis;
	assert_memory_equal(&planned, &fx, sizeof(fx));
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(c, ipa, size));
}

static void each_kind_does_what_the_table_says(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;

		core_open(&c, &shapes[s]);
		for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			for (unsigned how = 0; how < 4; how++)
				check_row(&c, i, how & 1 ? 2 : 3, how & 2);
		core_close(&c);
	}
}

/* PX and UX apart: relaxing adds, protecting replaces, in every pair of states. */
static void exec_rights_of_el1_and_el0_are_apart(void **state)
{
	static const uint32_t x[] = {0, PT_PROT_PX, PT_PROT_UX, PT_PROT_X};
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	c.ctx.attrs |= PT_ATTR_XNX;
	core_note_options(&c.ctx);
	for (unsigned a = 0; a < 4; a++) {
		for (unsigned b = 0; b < 4; b++) {
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x2000, 0, PT_PROT_R | x[a], 0));
			range(&c, PT_ITEM_RELAX, 0, 0x1000, PT_PROT_R | x[b], NULL);
			point(&c, PT_ITEM_RELAX, 0x1000, 0x1000, PT_PROT_R | x[b], NULL);
			assert_int_equal(PT_PROT_R | x[a] | x[b], rights_of(&c, 0));
			assert_int_equal(PT_PROT_R | x[a] | x[b], rights_of(&c, 0x1000));
			range(&c, PT_ITEM_PROTECT, 0, 0x1000, PT_PROT_R | x[b], NULL);
			point(&c, PT_ITEM_PROTECT, 0x1000, 0x1000, PT_PROT_R | x[b], NULL);
			assert_int_equal(PT_PROT_R | x[b], rights_of(&c, 0));
			assert_int_equal(PT_PROT_R | x[b], rights_of(&c, 0x1000));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, 0x2000));
		}
	}
	core_close(&c);
}

/* The last page of the space, and the first; holes between are counted. */
static void the_ends_of_the_space(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx;
		uint64_t page, top;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		ASSERT_OUTCOME(PT_HOLE, range(&c, PT_ITEM_WRITE_PROTECT, 0, top, 0, &fx));
		assert_int_equal(top / page, fx.holes);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, page, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, top - page, page, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_PROTECTED, range(&c, PT_ITEM_WRITE_PROTECT, 0, top, 0, &fx));
		assert_int_equal(2, fx.leaves_written);
		assert_int_equal(top / page - 2, fx.holes);
		assert_int_equal(PT_PROT_R, rights_of(&c, 0));
		assert_int_equal(PT_PROT_R, rights_of(&c, top - page));
		ASSERT_OUTCOME(PT_RELAXED,
			       range(&c, PT_ITEM_RELAX, top - page, page, PT_PROT_RW, &fx));
		assert_int_equal(PT_PROT_RW, rights_of(&c, top - page));
		assert_int_equal(PT_PROT_R, rights_of(&c, 0));
		core_close(&c);
	}
}

/* No collateral: a block is split where the range cuts it, its other pages keep all they have. */
static void a_cut_block_is_split_precisely(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx;
		uint64_t page, block;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 3 * block, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MORE, point(&c, PT_ITEM_WRITE_PROTECT, block, page, 0, NULL));
		ASSERT_OUTCOME(PT_PROTECTED, range(&c, PT_ITEM_WRITE_PROTECT, 2 * block - page,
						   block + 2 * page, 0, &fx));
		assert_int_equal(2, fx.blocks_split);
		assert_int_equal(2, fx.tables_added);
		assert_int_equal(PT_PROT_RW, rights_of(&c, 2 * block - 2 * page));
		assert_int_equal(PT_PROT_R, rights_of(&c, 2 * block - page));
		assert_int_equal(PT_PROT_R, rights_of(&c, 2 * block));
		assert_int_equal(PT_PROT_R, rights_of(&c, 3 * block));
		assert_int_equal(PT_PROT_RW, rights_of(&c, 3 * block + page));
		/* Nothing to change: nothing is split. */
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       range(&c, PT_ITEM_WRITE_PROTECT, 2 * block + page, page, 0, &fx));
		assert_int_equal(0, fx.blocks_split);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       point(&c, PT_ITEM_WRITE_PROTECT, 2 * block + page, page, 0, &fx));
		ASSERT_OUTCOME(PT_RELAXED,
			       range(&c, PT_ITEM_RELAX, 2 * block + page, page, PT_PROT_W, &fx));
		assert_int_equal(1, fx.blocks_split);
		assert_int_equal(PT_PROT_R, rights_of(&c, 2 * block));
		assert_int_equal(PT_PROT_RW, rights_of(&c, 2 * block + page));
		core_close(&c);
	}
}

static void age(struct core *c, uint64_t ipa)
{
	core_poke(upkeep_slot(c, ipa), *upkeep_slot(c, ipa) & ~PT_PTE_AF);
}

/* One flag a leaf: a range that cuts a block makes the block young, and splits nothing. */
static void making_young_sets_the_flag_and_flushes_nothing(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx;
		uint64_t page, block;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 4 * page, page, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 2 * block, 0, PT_PROT_R, 0));
		age(&c, page), age(&c, 2 * page), age(&c, block), age(&c, 2 * block);
		ASSERT_OUTCOME(PT_MADE_YOUNG,
			       range(&c, PT_ITEM_MAKE_YOUNG, 2 * page, block, 0, &fx));
		assert_int_equal(2, fx.leaves_written);
		assert_int_equal(0, fx.tlbis);
		assert_int_equal(0, fx.blocks_split);
		assert_false(*upkeep_slot(&c, page) & PT_PTE_AF);
		assert_true(*upkeep_slot(&c, 2 * page) & PT_PTE_AF);
		assert_true(*upkeep_slot(&c, block) & PT_PTE_AF);
		assert_false(*upkeep_slot(&c, 2 * block) & PT_PTE_AF);
		ASSERT_OUTCOME(PT_MADE_YOUNG, point(&c, PT_ITEM_MAKE_YOUNG, page, page, 0, &fx));
		ASSERT_OUTCOME(PT_MADE_YOUNG,
			       point(&c, PT_ITEM_MAKE_YOUNG, 2 * block + page, page, 0, &fx));
		assert_int_equal(0, fx.tlbis);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       point(&c, PT_ITEM_MAKE_YOUNG, 2 * block, page, 0, &fx));
		ASSERT_OUTCOME(PT_HOLE, point(&c, PT_ITEM_MAKE_YOUNG, 5 * page, page, 0, &fx));
		assert_int_equal(1, fx.holes);
		core_close(&c);
	}
}

/* D1: with DBM a leaf is writable however clean it is; only losing W takes DBM away. */
static void a_leaf_with_dbm_is_writable(void **state)
{
	static const struct {
		pt_pte before;
		enum pt_item_kind kind;
		uint32_t prot;
		enum pt_outcome outcome;
		pt_pte after;
	} dbm[] = {
		{PT_PTE_DBM, PT_ITEM_WRITE_PROTECT, 0, PT_PROTECTED, 0},
		{PT_PTE_DBM | PT_PTE_S2AP_W, PT_ITEM_WRITE_PROTECT, 0, PT_PROTECTED, 0},
		{PT_PTE_DBM, PT_ITEM_PROTECT, PT_PROT_R, PT_PROTECTED, 0},
		{PT_PTE_DBM, PT_ITEM_PROTECT, PT_PROT_RW, PT_ALREADY_MAPPED, PT_PTE_DBM},
		{PT_PTE_DBM | PT_PTE_S2AP_W, PT_ITEM_PROTECT, PT_PROT_RW, PT_ALREADY_MAPPED,
		 PT_PTE_DBM | PT_PTE_S2AP_W},
		{PT_PTE_DBM, PT_ITEM_RELAX, PT_PROT_W, PT_ALREADY_MAPPED, PT_PTE_DBM},
		{PT_PTE_DBM, PT_ITEM_RELAX, PT_PROT_X, PT_RELAXED, PT_PTE_DBM},
		{PT_PTE_DBM, PT_ITEM_MAKE_YOUNG, 0, PT_ALREADY_MAPPED, PT_PTE_DBM},
	};
	const pt_pte bits = PT_PTE_DBM | PT_PTE_S2AP_W;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x2000, 0, PT_PROT_R, 0));
	for (unsigned i = 0; i < 4 * sizeof(dbm) / sizeof(dbm[0]); i++) {
		unsigned k = i / 4;
		pt_pte *slot = upkeep_slot(&c, 0x1000);

		c.ctx.vtcr_flags = i & 1 ? PT_VTCR_HA | PT_VTCR_HD : 0;
		core_note_options(&c.ctx);
		core_poke(slot, (*slot & ~(bits | PT_PTE_XN)) | UINT64_C(2) << 53 | dbm[k].before);
		assert_int_equal(PT_PROT_RW, rights_of(&c, 0x1000));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, /* whatever the state of its W */
			       core_map(&c, 0x1000, 0x1000, 0x1000, PT_PROT_RW, 0));
		ASSERT_OUTCOME(dbm[k].outcome,
			       i & 2 ? point(&c, dbm[k].kind, 0x1000, 0x1000, dbm[k].prot, NULL)
				     : range(&c, dbm[k].kind, 0x1000, 0x1000, dbm[k].prot, NULL));
		assert_int_equal(dbm[k].after, *slot & bits);
	}
	core_close(&c);
}

static void software_bits_and_memory_type_are_kept(void **state)
{
	static const uint32_t types[] = {PT_MEM_NORMAL, PT_MEM_NC, PT_MEM_DEVICE};
	const pt_pte keep = UINT64_C(9) << 55;

	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		uint64_t page;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		for (unsigned t = 0; t < 3; t++) {
			uint32_t prot = PT_PROT(PT_PROT_RW, types[t]);

			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * page, 0, prot, 0));
			core_poke(upkeep_slot(&c, 0), *upkeep_slot(&c, 0) | keep);
			core_poke(upkeep_slot(&c, page), *upkeep_slot(&c, page) | keep);
			range(&c, PT_ITEM_WRITE_PROTECT, 0, page, 0, NULL);
			point(&c, PT_ITEM_WRITE_PROTECT, page, page, 0, NULL);
			for (unsigned p = 0; p < 2; p++) {
				pt_pte e = *upkeep_slot(&c, p * page);

				assert_int_equal(keep, e & PT_PTE_SW);
				assert_int_equal(PT_PROT(PT_PROT_R, types[t]),
						 pt_leaf_prot(&c.ctx.geo, e, c.ctx.attrs));
			}
			/* Execute is for Normal memory: refused, and nothing relaxed. */
			ASSERT_OUTCOME(t ? PT_INVALID : PT_RELAXED,
				       range(&c, PT_ITEM_RELAX, 0, 2 * page, PT_PROT_X, NULL));
			ASSERT_OUTCOME(t ? PT_INVALID : PT_ALREADY_MAPPED,
				       point(&c, PT_ITEM_RELAX, page, page, PT_PROT_X, NULL));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, 2 * page));
		}
		core_close(&c);
	}
}

static void a_locked_entry_is_a_race_and_a_claim_parks(void **state)
{
	static const enum pt_item_kind kinds[] = {PT_ITEM_PROTECT, PT_ITEM_WRITE_PROTECT,
						  PT_ITEM_RELAX, PT_ITEM_MAKE_YOUNG};
	struct pt_claim claim;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x1000, 0, PT_PROT_RW, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_2M, PT_SZ_2M, 0, PT_PROT_RW, 0));
	age(&c, PT_SZ_2M);
	for (unsigned k = 0; k < 4; k++) {
		uint32_t prot =
			kinds[k] == PT_ITEM_PROTECT || kinds[k] == PT_ITEM_RELAX ? PT_PROT_R : 0;
		pt_pte old = *upkeep_slot(&c, 0);

		core_poke(upkeep_slot(&c, 0), PT_PTE_LOCKED);
		ASSERT_OUTCOME(PT_RACED, point(&c, kinds[k], 0, 0x1000, prot, NULL));
		assert_int_equal(PT_PTE_LOCKED, *upkeep_slot(&c, 0));
		core_poke(upkeep_slot(&c, 0), old);
		ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &c.ctx, 0, 0xfff, PT_CLAIM_EXCLUSIVE,
						       false, NULL));
		ASSERT_OUTCOME(PT_PARKED, point(&c, kinds[k], 0, 0x1000, prot, NULL));
		pt_claim_release(&claim);
	}
	/* A block that reaches into a claim of others stays as it is. */
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &c.ctx, PT_SZ_2M + 0x8000, PT_SZ_2M + 0x8fff,
					       PT_CLAIM_EXCLUSIVE, false, NULL));
	ASSERT_OUTCOME(PT_RACED, point(&c, PT_ITEM_MAKE_YOUNG, PT_SZ_2M, 0x1000, 0, NULL));
	pt_claim_release(&claim);
	ASSERT_OUTCOME(PT_MADE_YOUNG, point(&c, PT_ITEM_MAKE_YOUNG, PT_SZ_2M, 0x1000, 0, NULL));
	core_close(&c);
}

/* B15: an operation that two blocks' edges need pages for, and each page that fails once. */
static void failing_each_reservation_changes_nothing(void **state)
{
	static const enum pt_item_kind kinds[] = {PT_ITEM_PROTECT, PT_ITEM_WRITE_PROTECT,
						  PT_ITEM_RELAX, PT_ITEM_MAKE_YOUNG};

	(void)state;
	for (unsigned s = 0; s < 4 * SHAPES; s++) {
		enum pt_item_kind kind = kinds[s & 3];
		uint64_t page, block;
		struct pt_item item;
		struct core c;

		core_open(&c, &shapes[s / 4]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 3 * block, 0,
						   kind == PT_ITEM_RELAX ? PT_PROT_R : PT_PROT_RW,
						   PT_MAP_CONTIGUOUS));
		age(&c, block);
		item = item_of(&c, kind, 2 * block - page, block + 2 * page,
			       kind == PT_ITEM_PROTECT ? PT_PROT_R
			       : kind == PT_ITEM_RELAX ? PT_PROT_W
						       : 0);
		assert_int_equal(kind == PT_ITEM_MAKE_YOUNG ? 0 : 2, sweep_txn(&c, &item, 1));
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_does_what_the_table_says),
		cmocka_unit_test(exec_rights_of_el1_and_el0_are_apart),
		cmocka_unit_test(the_ends_of_the_space),
		cmocka_unit_test(a_cut_block_is_split_precisely),
		cmocka_unit_test(making_young_sets_the_flag_and_flushes_nothing),
		cmocka_unit_test(a_leaf_with_dbm_is_writable),
		cmocka_unit_test(software_bits_and_memory_type_are_kept),
		cmocka_unit_test(a_locked_entry_is_a_race_and_a_claim_parks),
		cmocka_unit_test(failing_each_reservation_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
