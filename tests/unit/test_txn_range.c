/* SPDX-License-Identifier: BSD-2-Clause */
/* The range rules of design section 4, for transactions and point operations, in every descriptor
 * format. */
#include "core.h"

static struct hw_result at(struct core *c, uint64_t ipa)
{
	return core_walk(c, ipa, HW_AT);
}

static void unmapped(struct core *c, uint64_t ipa)
{
	assert_int_equal(HW_TRANSLATION, at(c, ipa).fault);
}

static void mapped(struct core *c, uint64_t ipa, uint64_t pa, int level)
{
	struct hw_result r = at(c, ipa);

	assert_int_equal(HW_NO_FAULT, r.fault);
	assert_int_equal(pa, r.pa);
	assert_int_equal(level, r.level);
}

static void bad_ranges_are_refused_and_change_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_digest before;
		uint64_t page, top;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		before = core_digest_of(&c);
		for (unsigned kind = PT_ITEM_MAP; kind <= PT_ITEM_PROTECT; kind++) {
			struct pt_item ok = core_item(&c, kind, page, page, 0, PT_PROT_R, 0), item;
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
			};

			if (kind == PT_ITEM_UNMAP)
				ok.prot = 0;
			for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
				item = ok;
				item.ipa.v = rows[k].ipa;
				item.size = rows[k].size;
				ASSERT_OUTCOME(rows[k].want, pt_item_check(&item));
			}
			item = ok;
			item.flags = PT_MAP_FLAGS + 1;
			ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
			item = ok;
			item.kind = 99;
			ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
			item = ok;
			item.prot |= 0x80;
			if (kind != PT_ITEM_UNMAP)
				ASSERT_OUTCOME(PT_INVALID, pt_item_check(&item));
		}
		assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
		core_close(&c);
	}
}

static void oa_beyond_limit(void **state) /* B22 */
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page, end;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		end = UINT64_C(1) << c.ctx.geo.pa_bits;
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, core_map(&c, 0, page, end, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE,
			       core_map(&c, 0, 2 * page, end - page, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MISALIGNED, core_map(&c, 0, page, page / 2, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, page, end - page, PT_PROT_R, 0));
		mapped(&c, 0, end - page, 3);
		core_close(&c);
	}
}

static void every_level_maps_at_its_own_size(void **state) /* B12 */
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t top;
		int first;

		core_open(&c, &shapes[i]);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		first = c.ctx.geo.min_block_level;
		if (first < c.ctx.geo.start_level)
			first = c.ctx.geo.start_level;
		for (int level = first; level <= 3; level++) {
			uint64_t size = core_size(&c, level);
			struct pt_item item =
				core_item(&c, PT_ITEM_MAP, size, size, 0, PT_PROT_R, 0);
			struct pt_effects fx;

			if (size >> (c.ctx.geo.ipa_bits - 1))
				continue;
			ASSERT_OUTCOME(PT_MAPPED, core_point(&c, item, &fx, NULL));
			assert_int_equal(1, fx.leaves_written);
			assert_int_equal(level - c.ctx.geo.start_level, fx.tables_added);
			mapped(&c, size + size / 2, size / 2, level);
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, size, size));
			ASSERT_OUTCOME(PT_HOLE, core_unmap(&c, size, size));
			ASSERT_OUTCOME(PT_MAPPED, core_range(&c, item, NULL));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, top));
		}
		core_close(&c);
	}
}

static void the_last_page_of_the_space(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page, top;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, top - 3 * page, 3 * page, 0, PT_PROT_R, 0));
		mapped(&c, top - page, 2 * page, 3);
		ASSERT_OUTCOME(PT_PROTECTED, core_protect(&c, top - page, page, PT_PROT_W));
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, top - 2 * page, 2 * page));
		unmapped(&c, top - page);
		mapped(&c, top - 3 * page, 0, 3);
		core_close(&c);
	}
}

static void map_says_what_was_there(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page, block;
		struct pt_effects fx;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, block, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_map(&c, block, block, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       core_map(&c, block + page, 2 * page, page, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_PERMISSION_ONLY,
			       core_map(&c, block + page, page, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, block + page, page, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, 0, 2 * block, 0, PT_PROT_R, 0));
		unmapped(&c, 0); /* not done, not half done */
		mapped(&c, block, 0, 2);
		/* the same by point operations */
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       core_point(&c,
					  core_item(&c, PT_ITEM_MAP, block + page, page, page,
						    PT_PROT_R, 0),
					  &fx, NULL));
		assert_int_equal(1, fx.already);
		ASSERT_OUTCOME(
			PT_PERMISSION_ONLY,
			core_point(&c, core_item(&c, PT_ITEM_MAP, block, block, 0, PT_PROT_RW, 0),
				   &fx, NULL));
		ASSERT_OUTCOME(PT_OVERLAP, core_point(&c,
						      core_item(&c, PT_ITEM_MAP, block + page, page,
								0, PT_PROT_R, 0),
						      &fx, NULL));
		ASSERT_OUTCOME(PT_MORE, core_point(&c,
						   core_item(&c, PT_ITEM_MAP, block + page, page, 0,
							     PT_PROT_R, PT_MAP_REPLACE),
						   &fx, NULL));
		core_close(&c);
	}
}

static void replace_splits_precisely(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_effects fx;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 2 * block, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED,
			       core_range(&c,
					  core_item(&c, PT_ITEM_MAP, block + 2 * page, 3 * page,
						    block, PT_PROT_RW, PT_MAP_REPLACE),
					  &fx));
		assert_int_equal(1, fx.blocks_split);
		mapped(&c, block + page, page, 3);
		mapped(&c, block + 2 * page, block, 3);
		mapped(&c, block + 4 * page, block + 2 * page, 3);
		mapped(&c, block + 5 * page, 5 * page, 3);
		mapped(&c, 2 * block, block, 2);
		/* A block over the table, now of leaves that map elsewhere too. */
		ASSERT_OUTCOME(PT_MAPPED, core_range(&c,
						     core_item(&c, PT_ITEM_MAP, block, block, 0,
							       PT_PROT_R, PT_MAP_REPLACE),
						     &fx));
		assert_int_equal(1, fx.tables_freed);
		mapped(&c, block + 3 * page, 3 * page, 2);
		core_close(&c);
	}
}

static void fold_requires_pa_and_attr(void **state) /* B11 */
{
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
	ASSERT_OUTCOME(PT_PROTECTED, core_protect(&c, 0x7000, 0x1000, PT_PROT_R));
	ASSERT_OUTCOME(PT_PERMISSION_ONLY, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_RW, 0));
	mapped(&c, 0x7000, 0x7000, 3);
	assert_false(at(&c, 0x7000).write);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x9000, 0x1000, 0x1000, PT_PROT_R, PT_MAP_REPLACE));
	ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_RW, 0));
	mapped(&c, 0x9000, 0x1000, 3);
	core_close(&c);
}

static void a_block_takes_the_place_of_an_empty_table(void **state)
{
	struct pt_effects fx;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0x1000, 0x1000));
	assert_int_equal(2, core_digest_of(&c).tables); /* a partial unmap frees no table */
	ASSERT_OUTCOME(
		PT_MAPPED,
		core_range(&c, core_item(&c, PT_ITEM_MAP, 0, PT_SZ_2M, 0, PT_PROT_R, 0), &fx));
	assert_int_equal(1, fx.tables_freed);
	assert_int_equal(1, fx.tlbis);
	mapped(&c, 0x1000, 0x1000, 2);
	core_close(&c);
}

static void holes_are_fine_and_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_effects fx;
		uint64_t page, block, entries;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		entries = block / page;
		ASSERT_OUTCOME(PT_HOLE, core_protect(&c, 0, 2 * block, PT_PROT_R));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 3 * page, 2 * page, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 2 * block, block, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_RELAXED, core_range(&c,
						      core_item(&c, PT_ITEM_PROTECT, 0, 3 * block,
								0, PT_PROT_RW, 0),
						      &fx));
		assert_int_equal(3, fx.leaves_written);
		assert_int_equal(0, fx.tlbis); /* nothing was taken away */
		assert_int_equal(2 * entries - 2, fx.holes);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_protect(&c, 0, 3 * block, PT_PROT_RW));
		ASSERT_OUTCOME(
			PT_UNMAPPED,
			core_range(&c, core_item(&c, PT_ITEM_UNMAP, 0, 3 * block, 0, 0, 0), &fx));
		assert_int_equal(3, fx.leaves_removed);
		assert_int_equal(2 * entries - 2, fx.holes);
		ASSERT_OUTCOME(PT_HOLE, core_unmap(&c, 0, 3 * block));
		core_close(&c);
	}
}

static void unmap_keeps_blocks(void **state) /* B14 */
{
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 8 * PT_SZ_2M, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 3 * PT_SZ_2M - 0x1000, PT_SZ_2M + 0x1000));
	mapped(&c, PT_SZ_2M, PT_SZ_2M, 2);
	mapped(&c, 2 * PT_SZ_2M, 2 * PT_SZ_2M, 3);
	unmapped(&c, 3 * PT_SZ_2M - 1);
	unmapped(&c, 4 * PT_SZ_2M - 1);
	mapped(&c, 4 * PT_SZ_2M, 4 * PT_SZ_2M, 2);
	core_close(&c);
}

static pt_pte *entry_of(struct core *c, uint64_t ipa)
{
	struct pt_walk_step step[PT_LEVELS];
	unsigned steps = pt_walk_explain(&c->ctx, pt_ipa(ipa), step);

	return pt_port_table(&c->port, step[steps - 1].table) + step[steps - 1].index;
}

static void split_preserves_attrs(void **state) /* B13 */
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		uint32_t device = PT_PROT(PT_PROT_RW, PT_MEM_DEVICE);
		uint64_t page, block;
		pt_pte keep = UINT64_C(5) << 55, old, child;
		struct core c;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, block, 0, device, 0));
		old = (*entry_of(&c, block) & ~PT_PTE_AF) | keep;
		core_poke(entry_of(&c, block), old);
		ASSERT_OUTCOME(PT_PROTECTED, core_protect(&c, block + page, page, PT_PROT_R));
		child = *entry_of(&c, block + 3 * page);
		assert_int_equal(old & ~pt_oa_mask(&c.ctx.geo),
				 child & ~pt_oa_mask(&c.ctx.geo) & ~PT_PTE_TYPE);
		assert_int_equal(3 * page, at(&c, block + 3 * page).pa);
		assert_int_equal(
			PT_PROT(PT_PROT_R, PT_MEM_DEVICE),
			pt_leaf_prot(&c.ctx.geo, *entry_of(&c, block + page), c.ctx.attrs));
		core_close(&c);
	}
}

static void unmap_clears_soft_valid(void **state) /* B8 */
{
	pt_pte note = UINT64_C(2) << 60 | 0x1230;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x4000, 0, PT_PROT_R, 0));
	core_poke(entry_of(&c, 0x1000), note);
	core_poke(entry_of(&c, 0x2000), note);
	ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, 0x1000, 0x1000, 0x1000, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, 0x1000, 0x2000, 0x1000, PT_PROT_R, 0));
	ASSERT_OUTCOME(
		PT_HOLE,
		core_point(&c, core_item(&c, PT_ITEM_UNMAP, 0x1000, 0x1000, 0, 0, 0), NULL, NULL));
	assert_int_equal(0, *entry_of(&c, 0x1000));
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0x1000, 0x3000));
	assert_int_equal(0, *entry_of(&c, 0x2000));
	core_close(&c);
}

static void execute_needs_normal_memory(void **state)
{
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x2000, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&c, 0x2000, 0x1000, 0, PT_PROT(PT_PROT_R, PT_MEM_NC), 0));
	ASSERT_OUTCOME(PT_INVALID, core_protect(&c, 0, 0x3000, PT_PROT_R | PT_PROT_X));
	assert_false(at(&c, 0).exec_el1);
	ASSERT_OUTCOME(PT_INVALID, core_point(&c,
					      core_item(&c, PT_ITEM_PROTECT, 0x2000, 0x1000, 0,
							PT_PROT_R | PT_PROT_X, 0),
					      NULL, NULL));
	ASSERT_OUTCOME(PT_RELAXED, core_protect(&c, 0, 0x2000, PT_PROT_R | PT_PROT_X));
	assert_true(at(&c, 0x1000).exec_el1);
	core_close(&c);
}

/* B5: at every step of a map, an address is unmapped or maps exactly where it will. */
static void link_after_init(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct pt_item item;
		struct pt_txn txn;
		struct core c;
		uint64_t page, size, from;
		enum pt_outcome outcome;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		from = core_size(&c, 2) - 3 * page;
		size = core_size(&c, 2) + 7 * page;
		item = core_item(&c, PT_ITEM_MAP, from, size, page, PT_PROT_R, 0);
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
		do {
			pt_section_begin(&c.agent);
			outcome = pt_txn_step(&txn, &c.agent, 1);
			pt_section_end(&c.agent);
			for (uint64_t ipa = from; ipa < from + size; ipa += 61 * page) {
				struct hw_result r = at(&c, ipa);

				assert_true(r.fault == HW_TRANSLATION ||
					    (r.fault == HW_NO_FAULT && r.pa == ipa - from + page));
			}
		} while (outcome == PT_MORE);
		ASSERT_OUTCOME(PT_OK, outcome);
		assert_int_equal(size / page, txn.effects.leaves_written);
		core_close(&c);
	}
}

/* A table gives way to a block only if none of its entries is in use, wherever that one stands. */
static void one_entry_keeps_a_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		for (uint64_t at = 0; at < block; at += at ? block - 2 * page : page) {
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, at, page, at + page, PT_PROT_R, 0));
			ASSERT_OUTCOME(PT_OVERLAP, core_map(&c, 0, block, 0, PT_PROT_R, 0));
			mapped(&c, at, at + page, 3);
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, at, page));
		}
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_ranges_are_refused_and_change_nothing),
		cmocka_unit_test(oa_beyond_limit),
		cmocka_unit_test(every_level_maps_at_its_own_size),
		cmocka_unit_test(the_last_page_of_the_space),
		cmocka_unit_test(map_says_what_was_there),
		cmocka_unit_test(replace_splits_precisely),
		cmocka_unit_test(fold_requires_pa_and_attr),
		cmocka_unit_test(a_block_takes_the_place_of_an_empty_table),
		cmocka_unit_test(one_entry_keeps_a_table),
		cmocka_unit_test(holes_are_fine_and_counted),
		cmocka_unit_test(unmap_keeps_blocks),
		cmocka_unit_test(split_preserves_attrs),
		cmocka_unit_test(unmap_clears_soft_valid),
		cmocka_unit_test(execute_needs_normal_memory),
		cmocka_unit_test(link_after_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
