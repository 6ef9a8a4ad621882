/* SPDX-License-Identifier: BSD-2-Clause */
/* Walkers: get-leaf and explain against the architectural walker, the visitor's order, resuming. */
#include "core.h"

static void leaf_agrees(struct core *c, uint64_t ipa)
{
	struct hw_result hw = core_walk(c, ipa, HW_READ);
	struct pt_walk_step step[PT_LEVELS];
	pt_pte entry;
	int level;
	unsigned steps;

	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&c->ctx, pt_ipa(ipa), &entry, &level));
	assert_int_equal(hw.level, level);
	assert_int_equal(hw.descriptor, entry);
	steps = pt_walk_explain(&c->ctx, pt_ipa(ipa), step);
	assert_int_equal(hw.steps, steps);
	for (unsigned i = 0; i < steps; i++) {
		assert_int_equal(hw.step[i].level, step[i].level);
		assert_int_equal(hw.step[i].entry, step[i].table.v + 8 * (uint64_t)step[i].index);
		assert_int_equal(hw.step[i].descriptor, step[i].entry);
	}
}

static void leaf_and_explain_agree_with_the_architectural_walker(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		uint64_t page, block, top;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, page, page, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, 2 * block, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, top - page, page, 3 * page, PT_PROT_R, 0));
		for (unsigned k = 0; k < 5; k++)
			leaf_agrees(&c, (uint64_t[]){0, page, block + page, 3 * block, top - 1}[k]);
		core_close(&c);
	}
}

static void ipa_beyond_limit(void **state) /* B9 */
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_fault_result result;
		struct pt_fault fault;
		struct core c;
		uint64_t top;
		pt_pte entry;
		int level;

		core_open(&c, &shapes[i]);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_get_leaf(&c.ctx, pt_ipa(top), &entry, &level));
		assert_int_equal(0, pt_walk_explain(&c.ctx, pt_ipa(top), NULL));
		fault = (struct pt_fault){.ipa = {top}, .access = PT_ACCESS_READ};
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_fault_handle(&c.agent, &c.ctx, &fault, &result));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE,
			       core_map(&c, top, core_size(&c, 3), 0, PT_PROT_R, 0));
		core_close(&c);
	}
}

struct log {
	char text[512];
	unsigned stop_at; /* visits until PT_WALK_STOP; 0: never */
};

static enum pt_walk_next note(const struct pt_walk_entry *at, void *arg)
{
	struct log *log = arg;
	char kind = at->visit == PT_VISIT_TABLE_PRE    ? '<'
		    : at->visit == PT_VISIT_TABLE_POST ? '>'
						       : 'L';
	size_t used = strlen(log->text);

	if (kind == 'L' && !pt_pte_valid(at->entry))
		return PT_WALK_ON;
	snprintf(log->text + used, sizeof(log->text) - used, "%c%d:%u ", kind, at->level,
		 at->index);
	return log->stop_at && --log->stop_at == 0 ? PT_WALK_STOP : PT_WALK_ON;
}

static struct pt_walker walker_of(struct core *c, uint64_t last, struct log *log)
{
	return (struct pt_walker){.ctx = &c->ctx,
				  .last = last,
				  .visits =
					  PT_VISIT_TABLE_PRE | PT_VISIT_LEAF | PT_VISIT_TABLE_POST,
				  .skip_above = -1,
				  .visit = note,
				  .arg = log};
}

static const char whole[] = "<1:0 <2:0 L3:1 >2:0 L2:1 >1:0 <1:2 <2:1 L3:0 >2:1 >1:2 ";

static void fill_three(struct core *c)
{
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0x1000, 0x1000, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, PT_SZ_2M, PT_SZ_2M, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 2 * PT_SZ_1G + PT_SZ_2M, 0x1000, 0, PT_PROT_R, 0));
}

static void visitor_sees_each_entry_once_whatever_the_budget(void **state)
{
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	fill_three(&c);
	for (uint32_t budget = 1; budget < 1100; budget = budget * 3 + 1) {
		struct log log = {{0}, 0};
		struct pt_walker walker = walker_of(&c, 4 * PT_SZ_1G - 1, &log);
		unsigned calls = 1;

		while (pt_walk(&walker, budget) == PT_MORE)
			calls++;
		assert_string_equal(whole, log.text);
		assert_true(calls >= 1024 / budget);
	}
	core_close(&c);
}

static void visitor_stops_and_skips(void **state)
{
	struct log log = {{0}, 3};
	struct pt_walker walker;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	fill_three(&c);
	walker = walker_of(&c, 4 * PT_SZ_1G - 1, &log);
	ASSERT_OUTCOME(PT_OK, pt_walk(&walker, 10000));
	assert_string_equal("<1:0 <2:0 L3:1 ", log.text);
	assert_true(walker.at <= walker.last);

	log = (struct log){{0}, 0};
	walker = walker_of(&c, 4 * PT_SZ_1G - 1, &log);
	walker.skip_above = 3;
	walker.visits = PT_VISIT_LEAF;
	ASSERT_OUTCOME(PT_OK, pt_walk(&walker, 10000));
	assert_string_equal("L3:1 L3:0 ", log.text);
	core_close(&c);
}

static enum pt_walk_next count(const struct pt_walk_entry *at, void *arg)
{
	uint32_t *roots = arg;

	if (at->level == 1) /* start level 1 of this shape */
		++*roots;
	return PT_WALK_ON;
}

/* What the visitors below are told and tell. */
struct told {
	unsigned visits[5]; /* by enum pt_visit */
	enum pt_visit stop_at;
};

static enum pt_walk_next tell(const struct pt_walk_entry *at, void *arg)
{
	struct told *told = arg;

	told->visits[at->visit]++;
	return at->visit == told->stop_at ? PT_WALK_STOP : PT_WALK_ON;
}

static struct pt_walker telling(struct core *c, struct told *told, uint64_t last)
{
	return (struct pt_walker){.ctx = &c->ctx,
				  .last = last,
				  .visits =
					  PT_VISIT_TABLE_PRE | PT_VISIT_LEAF | PT_VISIT_TABLE_POST,
				  .skip_above = -1,
				  .visit = tell,
				  .arg = told};
}

static void edges_of_a_walk(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct told told = {0};
		struct pt_walker w;
		struct core c;
		uint64_t page, top;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * page, 0, PT_PROT_R, 0));
		pt_section_begin(&c.agent);
		w = telling(&c, &told, top);
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_walk(&w, 1));
		w = telling(&c, &told, page - 1);
		w.at = page;
		ASSERT_OUTCOME(PT_OK, pt_walk(&w, 1));
		assert_int_equal(0, told.visits[PT_VISIT_LEAF]);
		/* One page, though a budget of nothing: its tables before and after it. */
		w = telling(&c, &told, page - 1);
		ASSERT_OUTCOME(PT_OK, pt_walk(&w, 0));
		assert_int_equal(1, told.visits[PT_VISIT_LEAF]);
		assert_int_equal(3 - c.ctx.geo.start_level, told.visits[PT_VISIT_TABLE_PRE]);
		assert_int_equal(3 - c.ctx.geo.start_level, told.visits[PT_VISIT_TABLE_POST]);
		/* Stopped on the way up: the leaf has been passed, no other table is told. */
		told = (struct told){.stop_at = PT_VISIT_TABLE_POST};
		w = telling(&c, &told, page - 1);
		ASSERT_OUTCOME(PT_OK, pt_walk(&w, 1000));
		assert_int_equal(1, told.visits[PT_VISIT_TABLE_POST]);
		assert_int_equal(page, w.at);
		pt_section_end(&c.agent);
		core_close(&c);
	}
}

static enum pt_walk_next pass_by(const struct pt_walk_entry *at, void *arg)
{
	struct told *told = arg;

	told->visits[at->visit]++;
	return at->visit == PT_VISIT_TABLE_PRE && at->level == 1 ? PT_WALK_SKIP : PT_WALK_ON;
}

/* A table that the visitor skips is not entered, and not told when it is left. */
static void a_skipped_table_is_passed(void **state)
{
	struct told told = {0};
	struct pt_walker w;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	fill_three(&c);
	w = telling(&c, &told, 4 * PT_SZ_1G - 1);
	w.visit = pass_by;
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_OK, pt_walk(&w, 10000));
	pt_section_end(&c.agent);
	assert_int_equal(2, told.visits[PT_VISIT_TABLE_PRE]);
	assert_int_equal(2, told.visits[PT_VISIT_LEAF]); /* the two of four without a table */
	assert_true(w.at > w.last);
	core_close(&c);
}

static void every_root_visited(void **state) /* B10 */
{
	struct pt_walker walker;
	uint32_t roots = 0;
	struct core c;
	uint64_t half;

	(void)state;
	core_open(&c, &shapes[0]); /* 40 bits: two concatenated tables */
	assert_int_equal(1024, c.ctx.geo.start_entries);
	half = UINT64_C(1) << 39;
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, half, PT_SZ_4K, PT_SZ_4K, PT_PROT_R, 0));
	assert_int_equal(HW_NO_FAULT, core_walk(&c, half, HW_READ).fault);
	assert_int_equal(HW_TRANSLATION, core_walk(&c, 0, HW_READ).fault);
	walker = (struct pt_walker){.ctx = &c.ctx,
				    .last = 2 * half - 1,
				    .visits = PT_VISIT_LEAF | PT_VISIT_TABLE_PRE,
				    .skip_above = -1,
				    .visit = count,
				    .arg = &roots};
	ASSERT_OUTCOME(PT_OK, pt_walk(&walker, UINT32_MAX));
	assert_int_equal(1024, roots);
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, 2 * half));
	assert_int_equal(HW_TRANSLATION, core_walk(&c, half, HW_READ).fault);
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_and_explain_agree_with_the_architectural_walker),
		cmocka_unit_test(ipa_beyond_limit),
		cmocka_unit_test(visitor_sees_each_entry_once_whatever_the_budget),
		cmocka_unit_test(visitor_stops_and_skips),
		cmocka_unit_test(edges_of_a_walk),
		cmocka_unit_test(a_skipped_table_is_passed),
		cmocka_unit_test(every_root_visited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
