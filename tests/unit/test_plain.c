/* SPDX-License-Identifier: BSD-2-Clause */
/* The short cuts of the hot paths: what is like its neighbours is done at once, what is not is not.
 */
#include "core.h"

#define PAGES 48

static pt_pte entry_at(struct core *c, uint64_t ipa)
{
	pt_pte entry;
	int level;

	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&c->ctx, pt_ipa(ipa), &entry, &level));
	assert_int_equal(PT_LEVEL_LAST, level);
	return entry;
}

/* What page p of the mixed range is mapped with: most alike, some not; 0: a hole. */
static uint32_t prot_of(unsigned p)
{
	switch (p) {
	case 3:
	case 20: return 0;
	case 12: return PT_PROT_R;
	case 13: return PT_PROT(PT_PROT_RW, PT_MEM_DEVICE);
	case 31:
	case 32: return PT_PROT_RWX;
	default: return PT_PROT_RW;
	}
}

static void map_mixed(struct core *c, uint64_t page)
{
	for (unsigned p = 0; p < PAGES; p++)
		if (prot_of(p))
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(c, p * page, page, p * page, prot_of(p), 0));
}

static void a_range_of_unlike_pages_is_rewritten_one_by_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_effects fx;
		struct core c;
		uint64_t page;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		map_mixed(&c, page);
		/* From the second page on, so that a line is cut. */
		ASSERT_OUTCOME(PT_PROTECTED, core_range(&c,
							core_item(&c, PT_ITEM_WRITE_PROTECT, page,
								  (PAGES - 1) * page, 0, 0, 0),
							&fx));
		assert_int_equal(PAGES - 1 - 3, fx.leaves_written);
		assert_int_equal(1, fx.already);
		assert_int_equal(2, fx.holes);
		for (unsigned p = 0; p < PAGES; p++) {
			uint32_t want = prot_of(p) & (p ? ~PT_PROT_W : ~0u);
			pt_pte e = entry_at(&c, p * page);

			if (!prot_of(p)) {
				assert_int_equal(0, e);
				continue;
			}
			assert_int_equal(want, pt_leaf_prot(&c.ctx.geo, e, c.ctx.attrs));
			assert_int_equal(p * page, pt_pte_to_oa(&c.ctx.geo, e).v);
		}
		core_close(&c);
	}
}

static enum pt_outcome write_fault(struct core *c, uint64_t ipa)
{
	struct pt_fault fault = {.ipa = pt_ipa(ipa), .access = PT_ACCESS_WRITE};
	struct pt_fault_result result;
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	outcome = pt_fault_handle(&c->agent, &c->ctx, &fault, &result);
	pt_section_end(&c->agent);
	return outcome;
}

static void a_page_whose_table_is_there_keeps_to_its_slot(void **state)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + 3 * sizeof(slots->slot[0]));

	(void)state;
	assert_non_null(slots);
	slots->count = 3;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		for (unsigned s = 0; s < 3; s++)
			slots->slot[s] = (struct pt_slot){
				.ipa = 2 * s * page,
				.size = page,
				.pa = (8 + s) * page,
				.flags = s == 1 ? PT_SLOT_READ_ONLY : 0,
				.backing_shift = shapes[i].args.granule_shift,
			};
		pt_ctx_set_slots(&c.ctx, slots);
		ASSERT_OUTCOME(PT_MAPPED, write_fault(&c, 0)); /* the table */
		ASSERT_OUTCOME(PT_READ_ONLY, write_fault(&c, 2 * page));
		assert_int_equal(0, entry_at(&c, 2 * page));
		/* between the slots, and behind the last */
		ASSERT_OUTCOME(PT_NO_SLOT, write_fault(&c, 3 * page));
		ASSERT_OUTCOME(PT_NO_SLOT, write_fault(&c, 5 * page));
		ASSERT_OUTCOME(PT_MAPPED, write_fault(&c, 4 * page));
		assert_int_equal(10 * page, pt_pte_to_oa(&c.ctx.geo, entry_at(&c, 4 * page)).v);
		/* a leaf of other memory gets no rights from the slot */
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 4 * page, page));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 4 * page, page, page, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_DENIED, write_fault(&c, 4 * page));
		core_close(&c);
	}
	free(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_of_unlike_pages_is_rewritten_one_by_one),
		cmocka_unit_test(a_page_whose_table_is_there_keeps_to_its_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
