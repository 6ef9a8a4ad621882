/* SPDX-License-Identifier: BSD-2-Clause */
/* B15 for each kind of operation, over holes, blocks and groups: each page that it asks for is
 * refused once, and then nothing has changed. */
#include "sweep.h"
#include "upkeep.h"

#define NOTE (UINT64_C(6) << 60)

/* What stands at the blocks 32 to 63 of a context, pages at the first four. */
enum place { HOLE, BLOCKS, BLOCK_GROUPS, PAGE_GROUPS, PLACES };

/* What is asked of the range from the last page of block 33 to the first of block 35, and how many
 * pages that takes at each place: tables of the last level for the two blocks that it cuts, and for
 * annotations and pages for the one between them, too. A hole has no tables above, either. */
static const struct {
	enum pt_item_kind kind;
	uint32_t prot, flags;
	unsigned pages[PLACES];
} kinds[] = {
	{PT_ITEM_MAP, PT_PROT_R, PT_MAP_REPLACE, {2, 2, 2, 0}},
	{PT_ITEM_MAP, PT_PROT_R, PT_MAP_REPLACE | PT_MAP_FORCE_PAGES, {3, 3, 3, 0}},
	{PT_ITEM_UNMAP, 0, 0, {0, 2, 2, 0}},
	{PT_ITEM_PROTECT, PT_PROT_R, 0, {0, 2, 2, 0}},
	{PT_ITEM_WRITE_PROTECT, 0, 0, {0, 2, 2, 0}},
	{PT_ITEM_RELAX, PT_PROT_X, 0, {0, 2, 2, 0}},
	{PT_ITEM_ANNOTATE, 0, 0, {3, 3, 3, 0}},
	{PT_ITEM_MAKE_YOUNG, 0, 0, {0, 0, 0, 0}},
	{PT_ITEM_FLUSH, 0, 0, {0, 0, 0, 0}},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Tables between the start level and the last but one: what a hole needs besides. */
static unsigned above(const struct core *c)
{
	return (unsigned)(2 - c->ctx.geo.start_level);
}

static void fill(struct core *c, enum place place)
{
	static const uint32_t flags[] = {0, 0, PT_MAP_CONTIGUOUS,
					 PT_MAP_CONTIGUOUS | PT_MAP_FORCE_PAGES};
	uint64_t block = core_size(c, 2), size = (place == PAGE_GROUPS ? 4 : 32) * block;

	if (place != HOLE)
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(c, 32 * block, size, 0, PT_PROT_RW, flags[place]));
}

static void ranges(void **state)
{
	(void)state;
	for (unsigned s = 0; s < CORE_MANY(SHAPES, 2); s++) {
		for (unsigned k = 0; k < KINDS; k++) {
			for (unsigned place = 0; place < PLACES; place++) {
				unsigned want = kinds[k].pages[place];
				struct pt_item item;
				struct core c;
				uint64_t page, block, ipa;

				core_open(&c, &shapes[s]);
				fill(&c, place);
				page = core_size(&c, 3);
				block = core_size(&c, 2);
				ipa = 34 * block - page;
				item = core_item(&c, kinds[k].kind, ipa, block + 2 * page,
						 kinds[k].kind == PT_ITEM_ANNOTATE ? NOTE : ipa,
						 kinds[k].prot, kinds[k].flags);
				if (place == HOLE && want)
					want += above(&c);
				assert_int_equal(want, sweep_txn(&c, &item, 1));
				core_close(&c);
			}
		}
	}
}

static enum pt_outcome run_point(struct core *c, void *item)
{
	struct pt_error err = {0};
	enum pt_outcome outcome = core_point(c, *(struct pt_item *)item, NULL, &err);

	if (outcome == PT_NO_MEMORY) {
		ASSERT_OUTCOME(PT_NO_MEMORY, err.code);
		assert_int_equal(((struct pt_item *)item)->ipa.v, err.ipa.v);
	}
	return outcome;
}

/* A page mapped where there is no table at all, at both ends of the space. */
static void points(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct pt_item item;
		struct core c;
		uint64_t page;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		item = core_item(&c, PT_ITEM_MAP, 0, page, 0, PT_PROT_R, 0);
		assert_int_equal(above(&c) + 1, sweep(&c, run_point, &item));
		item.ipa.v = (UINT64_C(1) << c.ctx.geo.ipa_bits) - page;
		/* Nothing is shared with the first page but the start tables. */
		assert_int_equal(above(&c) + 1, sweep(&c, run_point, &item));
		core_close(&c);
	}
}

static enum pt_outcome run_fault(struct core *c, void *ipa)
{
	struct pt_fault in = {.ipa = {*(uint64_t *)ipa}, .access = PT_ACCESS_WRITE};
	struct pt_fault_result r;
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	outcome = pt_fault_handle(&c->agent, &c->ctx, &in, &r);
	pt_section_end(&c->agent);
	return outcome;
}

static void faults(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(struct pt_slot));
		struct core c;
		uint64_t last, block;

		assert_non_null(slots);
		core_open(&c, &shapes[s]);
		block = core_size(&c, 2);
		last = (UINT64_C(1) << c.ctx.geo.ipa_bits) - 1;
		slots->count = 1;
		slots->slot[0] = (struct pt_slot){
			.ipa = last + 1 - block,
			.size = block,
			.backing_shift = (uint8_t)c.ctx.geo.granule_shift,
		};
		pt_ctx_set_slots(&c.ctx, slots);
		assert_int_equal(above(&c) + 1, sweep(&c, run_fault, &last));
		assert_int_equal(block - 1, core_walk(&c, last, HW_WRITE).pa);
		core_close(&c);
		free(slots);
	}
}

static enum pt_outcome run_upkeep(struct core *c, void *args)
{
	struct pt_upkeep u;
	enum pt_outcome outcome = upkeep_run(c, &u, *(struct pt_upkeep_args *)args, 50);

	assert_int_equal(outcome == PT_NO_MEMORY ? PT_NO_MEMORY : PT_OK, u.stopped);
	return outcome;
}

/* SPLIT of one block needs one page; the others give pages back and ask for none. */
static void upkeep(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		for (unsigned kind = PT_UPKEEP_AGE; kind <= PT_UPKEEP_SWEEP; kind++) {
			struct pt_upkeep_args args;
			struct core c;

			core_open(&c, &shapes[s]);
			fill(&c, BLOCKS);
			args = upkeep_args(&c, kind, 33 * core_size(&c, 2), core_size(&c, 2));
			args.clear = kind == PT_UPKEEP_AGE;
			assert_int_equal(kind == PT_UPKEEP_SPLIT, sweep(&c, run_upkeep, &args));
			core_close(&c);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(points),
		cmocka_unit_test(faults),
		cmocka_unit_test(upkeep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
