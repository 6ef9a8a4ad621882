/* SPDX-License-Identifier: BSD-2-Clause */
/* ANNOTATE and FLUSH: what stands there afterwards, what went, and every argument at its edges. */
#include "sweep.h"
#include "upkeep.h"

#define NOTE  (UINT64_C(2) << 60 | UINT64_C(0x123456789abcde0))
#define OTHER (UINT64_C(15) << 60 | UINT64_C(0xffffffffffffffe))

static void assert_note(struct core *c, uint64_t ipa, pt_pte note)
{
	int level = -2;

	assert_int_equal(note, upkeep_entry(c, ipa, &level));
	if (note)
		assert_int_equal(3, level);
	assert_int_equal(HW_TRANSLATION, core_walk(c, ipa, HW_AT).fault);
}

static void assert_mapped(struct core *c, uint64_t ipa, uint64_t pa)
{
	struct hw_result r = core_walk(c, ipa, HW_AT);

	assert_int_equal(HW_NO_FAULT, r.fault);
	assert_int_equal(pa, r.pa);
}

static struct pt_item note_item(struct core *c, uint64_t ipa, uint64_t size, pt_pte note)
{
	return core_item(c, PT_ITEM_ANNOTATE, ipa, size, note, 0, 0);
}

/* As a transaction; prepare alone must have foretold its effects. */
static void annotate(struct core *c, uint64_t ipa, uint64_t size, pt_pte note,
		     struct pt_effects *fx)
{
	struct pt_item item = note_item(c, ipa, size, note);
	struct pt_effects planned;
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, true, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 3));
	ASSERT_OUTCOME(PT_ANNOTATED, (enum pt_outcome)item.outcome);
	planned = txn.effects;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 5));
	ASSERT_OUTCOME(PT_ANNOTATED, (enum pt_outcome)item.outcome);
	*fx = txn.effects;
	planned.tlbis = fx->tlbis;
	assert_memory_equal(&planned, fx, sizeof(*fx));
	assert_int_equal(size / core_size(c, 3), fx->annotated);
}

static void arguments_at_their_edges(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		uint64_t page, top;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		const struct {
			uint64_t ipa, size;
			pt_pte note;
			uint32_t prot, flags;
			enum pt_outcome note_want, flush_want;
		} edge[] = {
			{0, 0, NOTE, 0, 0, PT_INVALID, PT_INVALID},
			{UINT64_C(0) - page, 2 * page, NOTE, 0, 0, PT_INVALID, PT_INVALID},
			{0, UINT64_C(0) - page, NOTE, 0, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{1, page, NOTE, 0, 0, PT_MISALIGNED, PT_MISALIGNED},
			{page / 2, page, NOTE, 0, 0, PT_MISALIGNED, PT_MISALIGNED},
			{0, page - 1, NOTE, 0, 0, PT_MISALIGNED, PT_MISALIGNED},
			{top, page, NOTE, 0, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{top - page, 2 * page, NOTE, 0, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{top - page, page, NOTE, 0, 0, PT_OK, PT_OK},
			{0, top, NOTE, 0, 0, PT_OK, PT_OK},
			{0, page, NOTE, PT_PROT_R, 0, PT_INVALID, PT_INVALID},
			{0, page, NOTE, 0, PT_MAP_REPLACE, PT_INVALID, PT_INVALID},
			{0, page, NOTE, 0, 0x80000000, PT_INVALID, PT_INVALID},
			/* type 0, that of LOCKED, a valid descriptor; each other type, all payload
			 */
			{0, page, 0, 0, 0, PT_INVALID, PT_OK},
			{0, page, NOTE & ~PT_PTE_INVALID_TYPE, 0, 0, PT_INVALID, PT_OK},
			{0, page, PT_PTE_LOCKED, 0, 0, PT_INVALID, PT_OK},
			{0, page, PT_PTE_LOCKED | 2, 0, 0, PT_INVALID, PT_OK},
			{0, page, NOTE | 1, 0, 0, PT_INVALID, PT_OK},
			{0, page, UINT64_C(2) << 60, 0, 0, PT_OK, PT_OK},
			{0, page, UINT64_C(15) << 60 | 2, 0, 0, PT_OK, PT_OK},
			{0, page, ~UINT64_C(1), 0, 0, PT_OK, PT_OK},
		};

		for (unsigned i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
			struct pt_item item =
				core_item(&c, PT_ITEM_ANNOTATE, edge[i].ipa, edge[i].size,
					  edge[i].note, edge[i].prot, edge[i].flags);

			ASSERT_OUTCOME(edge[i].note_want, pt_item_check(&item));
			item.kind = PT_ITEM_FLUSH;
			ASSERT_OUTCOME(edge[i].flush_want, pt_item_check(&item));
		}
		core_close(&c);
	}
}

static void holes_get_tables_and_all_sixty_three_bits(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx = {0};
		uint64_t page, block, top;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		annotate(&c, block - 2 * page, 5 * page, NOTE, &fx);
		assert_int_equal(2 + (2 - c.ctx.geo.start_level), fx.tables_added);
		assert_int_equal(0, fx.tlbis);
		assert_note(&c, block - 3 * page, 0);
		assert_note(&c, block - 2 * page, NOTE);
		assert_note(&c, block + 2 * page, NOTE);
		assert_note(&c, block + 3 * page, 0);
		annotate(&c, block - page, 2 * page, OTHER, &fx);
		assert_int_equal(0, fx.tables_added);
		assert_note(&c, block - 2 * page, NOTE);
		assert_note(&c, block - page, OTHER);
		assert_note(&c, block, OTHER);
		assert_note(&c, block + page, NOTE);
		annotate(&c, top - page, page, OTHER, &fx);
		assert_note(&c, top - page, OTHER);
		/* A fault is refused, a map too unless it replaces, an unmap takes them away. */
		ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, block, page, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, block, page, page, PT_PROT_R, PT_MAP_REPLACE));
		assert_mapped(&c, block, page);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, block - 2 * page, 5 * page));
		assert_note(&c, block - 2 * page, 0);
		core_close(&c);
	}
}

static void what_was_mapped_goes_precisely(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx = {0};
		uint64_t page, block;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 4 * block, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 4 * block, 3 * page, 0, PT_PROT_RW, 0));
		annotate(&c, block - page, 3 * block + 3 * page, NOTE, &fx);
		assert_int_equal(1, fx.blocks_split);
		/* the split block, its last page, three whole blocks, two pages */
		assert_int_equal(1 + 1 + 3 + 2, fx.leaves_removed);
		assert_true(fx.tlbis >= 2 && fx.tlbis <= 8);
		assert_mapped(&c, block - 2 * page, block - 2 * page);
		assert_note(&c, block - page, NOTE);
		assert_note(&c, block, NOTE);
		assert_note(&c, 4 * block - page, NOTE);
		assert_note(&c, 4 * block + page, NOTE);
		assert_mapped(&c, 4 * block + 2 * page, 2 * page);
		core_close(&c);
	}
}

static void a_large_block_gives_way_to_tables(void **state)
{
	struct pt_effects fx = {0};
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * PT_SZ_1G, 0, PT_PROT_RW, 0));
	annotate(&c, 0x1000, PT_SZ_2M, NOTE, &fx);
	assert_int_equal(3, fx.blocks_split); /* 1 GiB, then two of the 2 MiB */
	assert_int_equal(3, fx.tables_added);
	assert_mapped(&c, 0, 0);
	assert_note(&c, 0x1000, NOTE);
	assert_note(&c, PT_SZ_2M, NOTE);
	assert_mapped(&c, PT_SZ_2M + 0x1000, PT_SZ_2M + 0x1000);
	assert_mapped(&c, PT_SZ_1G - 1, PT_SZ_1G - 1);
	annotate(&c, PT_SZ_1G, PT_SZ_1G, NOTE, &fx);
	assert_int_equal(1, fx.leaves_removed);
	assert_int_equal(513, fx.tables_added);
	assert_int_equal(1, fx.tlbis);
	assert_note(&c, 2 * PT_SZ_1G - 0x1000, NOTE);
	core_close(&c);
}

static void points(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx = {0};
		uint64_t page, block;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MORE, core_point(&c, note_item(&c, 0, page, NOTE), &fx, NULL));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, page, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, block, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MORE,
			       core_point(&c, note_item(&c, 0, 2 * page, NOTE), &fx, NULL));
		ASSERT_OUTCOME(PT_MORE,
			       core_point(&c, note_item(&c, block, page, NOTE), &fx, NULL));
		ASSERT_OUTCOME(PT_ANNOTATED,
			       core_point(&c, note_item(&c, 0, page, NOTE), &fx, NULL));
		assert_int_equal(1, fx.leaves_removed);
		assert_int_equal(1, fx.tlbis);
		assert_note(&c, 0, NOTE);
		ASSERT_OUTCOME(PT_ANNOTATED,
			       core_point(&c, note_item(&c, page, page, OTHER), &fx, NULL));
		assert_int_equal(0, fx.leaves_removed + fx.tlbis);
		assert_int_equal(1, fx.annotated);
		assert_note(&c, page, OTHER);
		core_close(&c);
	}
}

static void a_locked_entry_is_a_race(void **state)
{
	struct pt_item item;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x1000, 0, PT_PROT_RW, 0));
	core_poke(upkeep_slot(&c, 0), PT_PTE_LOCKED);
	ASSERT_OUTCOME(PT_RACED, core_point(&c, note_item(&c, 0, 0x1000, NOTE), NULL, NULL));
	item = core_item(&c, PT_ITEM_FLUSH, 0, 0x1000, 0, 0, 0);
	ASSERT_OUTCOME(PT_RACED, core_point(&c, item, NULL, NULL));
	assert_int_equal(PT_PTE_LOCKED, *upkeep_slot(&c, 0));
	core_close(&c);
}

/* B15: each page that it needs fails once; then nothing has changed. */
static void failing_each_reservation_changes_nothing(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		uint64_t page, block;
		struct pt_item item;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 2 * block, 0, PT_PROT_RW, 0));
		item = note_item(&c, block - page, 2 * block + page, NOTE);
		/* last-level tables: one below a hole, two for blocks */
		assert_int_equal(3, sweep_txn(&c, &item, 1));
		core_close(&c);
	}
}

static void flush_counts_leaves_and_changes_nothing(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * SHAPES; s++) {
		struct core c;
		struct pt_effects fx = {0};
		struct pt_digest before;
		uint64_t page, block;
		struct pt_item item;

		core_open(&c, &shapes[s / 2]);
		c.ctx.attrs = s & 1 ? 0 : PT_ATTR_FWB;
		core_note_options(&c.ctx);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		item = core_item(&c, PT_ITEM_FLUSH, 0, 4 * block, 0, 0, 0);
		ASSERT_OUTCOME(PT_HOLE, core_range(&c, item, &fx));
		assert_int_equal(4 * block / page, fx.holes);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * page, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 2 * block, 0,
						   PT_PROT(PT_PROT_R, PT_MEM_DEVICE), 0));
		core_poke(upkeep_slot(&c, page), *upkeep_slot(&c, page) & ~PT_PTE_AF);
		before = core_digest_of(&c);
		item = core_item(&c, PT_ITEM_FLUSH, page, 2 * block, 0, 0, 0);
		ASSERT_OUTCOME(PT_FLUSHED, core_range(&c, item, &fx));
		assert_int_equal(3, fx.already); /* a page, a block, a part of a block */
		assert_int_equal(block / page - 2, fx.holes);
		assert_int_equal(0, fx.leaves_written + fx.tlbis + fx.blocks_split);
		item.size = page;
		ASSERT_OUTCOME(PT_FLUSHED, core_point(&c, item, &fx, NULL));
		item.ipa.v = block + page;
		ASSERT_OUTCOME(PT_FLUSHED, core_point(&c, item, &fx, NULL));
		assert_int_equal(1, fx.already);
		item.ipa.v = 3 * page;
		ASSERT_OUTCOME(PT_HOLE, core_point(&c, item, &fx, NULL));
		item.ipa.v = block - page;
		item.size = 2 * page;
		ASSERT_OUTCOME(PT_MORE, core_point(&c, item, &fx, NULL));
		assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_at_their_edges),
		cmocka_unit_test(holes_get_tables_and_all_sixty_three_bits),
		cmocka_unit_test(what_was_mapped_goes_precisely),
		cmocka_unit_test(a_large_block_gives_way_to_tables),
		cmocka_unit_test(points),
		cmocka_unit_test(a_locked_entry_is_a_race),
		cmocka_unit_test(failing_each_reservation_changes_nothing),
		cmocka_unit_test(flush_counts_leaves_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
