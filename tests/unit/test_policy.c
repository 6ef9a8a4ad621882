/* SPDX-License-Identifier: BSD-2-Clause */
/* Software bits and their owners; the policies of a context: identity maps, forced pages. */
#include "upkeep.h"

#define SW(n) (UINT32_C(1) << (PT_PROT_SW_SHIFT + (n)))

static uint32_t sw_at(struct core *c, uint64_t ipa)
{
	int level;

	return pt_pte_to_sw(upkeep_entry(c, ipa, &level));
}

static void a_software_bit_has_one_owner(void **state)
{
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	assert_int_equal(PT_PROT_SW, pt_ctx_sw_of(&c.ctx, PT_SW_FREE));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(0) | SW(1), PT_SW_OWNERSHIP));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(1), PT_SW_OWNERSHIP));
	ASSERT_OUTCOME(PT_WRONG_STATE, pt_ctx_sw_own(&c.ctx, SW(1) | SW(2), PT_SW_GUEST_LEVEL));
	assert_int_equal(SW(2) | SW(3), pt_ctx_sw_of(&c.ctx, PT_SW_FREE));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(3), PT_SW_CALLER));
	ASSERT_OUTCOME(PT_WRONG_STATE, pt_ctx_sw_own(&c.ctx, SW(3), PT_SW_OWNERSHIP));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(2), PT_SW_GUEST_LEVEL));
	assert_int_equal(SW(0) | SW(1), pt_ctx_sw_of(&c.ctx, PT_SW_OWNERSHIP));
	assert_int_equal(SW(2), pt_ctx_sw_of(&c.ctx, PT_SW_GUEST_LEVEL));
	assert_int_equal(SW(3), pt_ctx_sw_of(&c.ctx, PT_SW_CALLER));
	assert_int_equal(0, pt_ctx_sw_of(&c.ctx, PT_SW_FREE));
	ASSERT_OUTCOME(PT_INVALID, pt_ctx_sw_own(&c.ctx, SW(3) << 1, PT_SW_CALLER));
	ASSERT_OUTCOME(PT_INVALID, pt_ctx_sw_own(&c.ctx, 1, PT_SW_CALLER));
	ASSERT_OUTCOME(PT_INVALID, pt_ctx_sw_own(&c.ctx, SW(3), PT_SW_FREE));
	ASSERT_OUTCOME(PT_INVALID, pt_ctx_sw_own(&c.ctx, SW(3), PT_SW_CALLER + 1));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, 0, PT_SW_CALLER));
	core_close(&c);
}

/* Each set of owned bits against each set asked for. */
static void a_map_sets_the_callers_bits_alone(void **state)
{
	(void)state;
	for (uint32_t own = 0; own < 16; own++) {
		uint32_t mine = own << PT_PROT_SW_SHIFT;
		struct core c;
		uint64_t page, block;

		core_open(&c, &shapes[own % SHAPES]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, mine, PT_SW_CALLER));
		ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, PT_PROT_SW & ~mine, PT_SW_OWNERSHIP));
		for (uint32_t ask = 0; ask < 16; ask++) {
			uint32_t bits = ask << PT_PROT_SW_SHIFT, prot = PT_PROT_R | bits;
			enum pt_outcome want = ask & ~own ? PT_INVALID : PT_MAPPED;
			struct pt_item point =
				core_item(&c, PT_ITEM_MAP, page, page, page, prot, 0);

			ASSERT_OUTCOME(want, core_map(&c, block, block, 0, prot, 0));
			ASSERT_OUTCOME(want, core_point(&c, point, NULL, NULL));
			if (want != PT_MAPPED)
				continue;
			assert_int_equal(bits, sw_at(&c, block));
			assert_int_equal(bits, sw_at(&c, page));
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, 2 * block));
		}
		core_close(&c);
	}
}

/* Other software bits are like other rights: told, and set in place by a map that replaces. */
static void other_bits_are_set_in_place(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		struct pt_effects fx;
		uint64_t page, size;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		size = core_size(&c, 2) + 3 * page;
		ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(0) | SW(3), PT_SW_CALLER));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, size, 0, PT_PROT_RW | SW(0), 0));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_map(&c, 0, size, 0, PT_PROT_RW | SW(0), 0));
		ASSERT_OUTCOME(PT_PERMISSION_ONLY, core_map(&c, 0, size, 0, PT_PROT_RW | SW(3), 0));
		assert_int_equal(SW(0), sw_at(&c, size - page));
		struct pt_item item =
			core_item(&c, PT_ITEM_MAP, 0, size, 0, PT_PROT_RW | SW(3), PT_MAP_REPLACE);
		ASSERT_OUTCOME(PT_MAPPED, core_range(&c, item, &fx));
		assert_int_equal(0, fx.leaves_removed);
		assert_int_equal(0, fx.tlbis); /* hardware does not look at them */
		assert_int_equal(SW(3), sw_at(&c, 0));
		assert_int_equal(SW(3), sw_at(&c, size - page));
		item = core_item(&c, PT_ITEM_MAP, size - page, page, size - page, PT_PROT_R,
				 PT_MAP_REPLACE);
		ASSERT_OUTCOME(PT_MAPPED, core_point(&c, item, &fx, NULL));
		assert_int_equal(1, fx.tlbis); /* W went, too */
		assert_int_equal(0, sw_at(&c, size - page));
		core_close(&c);
	}
}

/* What another owner wrote survives a map that only changes rights. */
static void bits_of_others_are_kept(void **state)
{
	struct pt_item item;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(1), PT_SW_OWNERSHIP));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(&c.ctx, SW(2), PT_SW_CALLER));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0, PT_PROT_R, 0));
	upkeep_poke(&c, 0x1000, 0, pt_sw_to_pte(SW(1)));
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_map(&c, 0x1000, 0x1000, 0, PT_PROT_R, 0));
	item = core_item(&c, PT_ITEM_MAP, 0x1000, 0x1000, 0, PT_PROT_RW | SW(2), PT_MAP_REPLACE);
	ASSERT_OUTCOME(PT_MAPPED, core_point(&c, item, NULL, NULL));
	assert_int_equal(SW(1) | SW(2), sw_at(&c, 0x1000));
	item.prot = PT_PROT_R;
	ASSERT_OUTCOME(PT_MAPPED, core_range(&c, item, NULL));
	assert_int_equal(SW(1), sw_at(&c, 0x1000));
	core_close(&c);
}

static void an_identity_context_maps_nothing_else(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		uint64_t page;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		ASSERT_OUTCOME(PT_INVALID, pt_ctx_set_policy(&c.ctx, 2, NULL, NULL));
		ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&c.ctx, PT_CTX_IDENTITY, NULL, NULL));
		ASSERT_OUTCOME(PT_INVALID, core_map(&c, page, page, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_INVALID,
			       core_map(&c, page, page, 2 * page, PT_PROT_R, PT_MAP_REPLACE));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, page, 5 * page, page, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, page, page));
		core_close(&c);
	}
}

struct asked {
	unsigned times;
	uint64_t ipa, size;
	uint32_t prot;
	bool answer;
};

static bool force(void *arg, struct pt_ipa ipa, uint64_t size, uint32_t prot)
{
	struct asked *asked = arg;

	asked->times++;
	asked->ipa = ipa.v;
	asked->size = size;
	asked->prot = prot;
	return asked->answer;
}

/* Once a map, also when the point operation leaves it to a transaction of many steps. */
static void the_force_pages_policy_is_asked_once_a_map(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * SHAPES; s++) {
		struct asked asked = {.answer = s & 1};
		struct core c;
		struct pt_item item;
		struct pt_txn txn;
		uint64_t block;
		int level = 0;

		core_open(&c, &shapes[s / 2]);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&c.ctx, 0, force, &asked));
		item = core_item(&c, PT_ITEM_MAP, block, 2 * block, 0, PT_PROT_RW, 0);
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 9));
		assert_int_equal(1, asked.times);
		assert_int_equal(block, asked.ipa);
		assert_int_equal(2 * block, asked.size);
		assert_int_equal(PT_PROT_RW, asked.prot);
		upkeep_entry(&c, block, &level);
		assert_int_equal(asked.answer ? 3 : 2, level);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, block, 2 * block));
		assert_int_equal(1, asked.times); /* only maps */
		item = core_item(&c, PT_ITEM_MAP, block, block, 0, PT_PROT_RW, 0);
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(asked.answer ? PT_MORE : PT_MAPPED,
			       pt_point(&c.agent, &item, &(struct pt_effects){0}, NULL));
		pt_section_end(&c.agent);
		if (asked.answer)
			ASSERT_OUTCOME(PT_MAPPED, core_range(&c, item, NULL));
		assert_int_equal(2, asked.times);
		upkeep_entry(&c, block, &level);
		assert_int_equal(asked.answer ? 3 : 2, level);
		core_close(&c);
	}
}

/* A fault's block is asked for as any other, with the rights that it would have; a page is not. */
static void the_force_pages_policy_holds_for_faults(void **state)
{
	static const enum pt_access accesses[] = {PT_ACCESS_READ, PT_ACCESS_EXEC};
	static const uint32_t rights[] = {PT_PROT_RW, PT_PROT_RWX};

	(void)state;
	for (unsigned s = 0; s < 4 * SHAPES; s++) {
		struct pt_fault in = {.access = (uint8_t)accesses[s / 2 % 2]};
		struct asked asked = {.answer = s & 1};
		struct pt_fault_result r;
		struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(slots->slot[0]));
		struct core c;
		uint64_t block;

		assert_non_null(slots);
		core_open(&c, &shapes[s / 4]);
		block = core_size(&c, 2);
		slots->count = 1;
		slots->slot[0] = (struct pt_slot){
			.ipa = block, .size = 2 * block, .pa = 0, .backing_shift = 40};
		pt_ctx_set_slots(&c.ctx, slots);
		ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&c.ctx, 0, force, &asked));
		in.ipa.v = block + 5;
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_MAPPED, pt_fault_handle(&c.agent, &c.ctx, &in, &r));
		assert_int_equal(asked.answer ? 3 : 2, r.level);
		assert_int_equal(1, asked.times);
		assert_int_equal(block, asked.ipa);
		assert_int_equal(block, asked.size);
		assert_int_equal(rights[s / 2 % 2], asked.prot);
		in.ipa.v = 2 * block;
		slots->slot[0].backing_shift = c.ctx.geo.granule_shift;
		ASSERT_OUTCOME(PT_MAPPED, pt_fault_handle(&c.agent, &c.ctx, &in, &r));
		assert_int_equal(3, r.level);
		assert_int_equal(1, asked.times);
		pt_section_end(&c.agent);
		core_close(&c);
		free(slots);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_software_bit_has_one_owner),
		cmocka_unit_test(a_map_sets_the_callers_bits_alone),
		cmocka_unit_test(other_bits_are_set_in_place),
		cmocka_unit_test(bits_of_others_are_kept),
		cmocka_unit_test(an_identity_context_maps_nothing_else),
		cmocka_unit_test(the_force_pages_policy_is_asked_once_a_map),
		cmocka_unit_test(the_force_pages_policy_holds_for_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
