/* SPDX-License-Identifier: BSD-2-Clause */
/* Slots whose memory may be absent: no fault makes a leaf of a page before its content is there. */
#include "core.h"

struct memory {
	struct core c;
	struct pt_slots *slots;
	uint64_t page, present; /* a bit for each of the lowest 64 pages; */
	bool rest;		/* and what is to be said of all others */
	unsigned asked;
};

static bool is_present(void *arg, struct pt_ipa ipa, uint64_t size)
{
	struct memory *m = arg;
	uint64_t first = ipa.v / m->page, n = size / m->page;

	m->asked++;
	assert_int_equal(0, ipa.v % m->page);
	for (uint64_t i = first; i < first + n; i++)
		if (i < 64 ? !(m->present >> i & 1) : !m->rest)
			return false;
	return true;
}

static void open_memory(struct memory *m, const struct shape *shape, uint32_t flags)
{
	core_open(&m->c, shape);
	m->page = core_size(&m->c, 3);
	m->present = 0;
	m->rest = false;
	m->asked = 0;
	pt_ctx_set_present(&m->c.ctx, is_present, m);
	m->slots = calloc(1, sizeof(*m->slots) + sizeof(m->slots->slot[0]));
	assert_non_null(m->slots);
	m->slots->count = 1;
	m->slots->slot[0] = (struct pt_slot){
		.size = 2 * core_size(&m->c, 2), .flags = flags, .backing_shift = 40};
	pt_ctx_set_slots(&m->c.ctx, m->slots);
}

static void close_memory(struct memory *m)
{
	core_close(&m->c);
	free(m->slots);
}

static enum pt_outcome fault(struct memory *m, uint64_t ipa, enum pt_access access,
			     struct pt_fault_result *r)
{
	struct pt_fault in = {.ipa = {ipa}, .access = (uint8_t)access};
	enum pt_outcome outcome;

	pt_section_begin(&m->c.agent);
	outcome = pt_fault_handle(&m->c.agent, &m->c.ctx, &in, r);
	pt_section_end(&m->c.agent);
	return outcome;
}

static void an_absent_page_gets_no_leaf(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_fault_result r;
		struct memory m;

		open_memory(&m, &shapes[i], PT_SLOT_PAGED);
		m.present = 1 << 2;
		ASSERT_OUTCOME(PT_ABSENT, fault(&m, m.page, PT_ACCESS_READ, &r));
		ASSERT_OUTCOME(PT_ABSENT, fault(&m, 2 * m.page - 1, PT_ACCESS_WRITE, &r));
		ASSERT_OUTCOME(PT_ABSENT, fault(&m, m.page, PT_ACCESS_EXEC, &r));
		assert_int_equal(HW_TRANSLATION, core_walk(&m.c, m.page, HW_READ).fault);
		/* Beside it, and once it is there: a page each, for the block is not. */
		ASSERT_OUTCOME(PT_MAPPED, fault(&m, 2 * m.page + 8, PT_ACCESS_WRITE, &r));
		assert_int_equal(3, r.level);
		m.present |= 1 << 1;
		ASSERT_OUTCOME(PT_MAPPED, fault(&m, m.page, PT_ACCESS_READ, &r));
		assert_int_equal(3, r.level);
		assert_int_equal(m.page, r.pa.v);
		ASSERT_OUTCOME(PT_ABSENT, fault(&m, 0, PT_ACCESS_READ, &r));
		close_memory(&m);
	}
}

/* Those that are handled together, or by themselves at EL2, are none of such a slot. */
static void no_short_cut_leads_to_it(void **state)
{
	struct pt_fault_page page[2];
	struct pt_fault_result r;
	struct memory m;

	(void)state;
	open_memory(&m, &shapes[0], PT_SLOT_PAGED);
	m.slots->slot[0].backing_shift = 12; /* as plain as a slot can be */
	m.present = 1;
	ASSERT_OUTCOME(PT_MAPPED, fault(&m, 0, PT_ACCESS_WRITE, &r)); /* the tables are there */
	assert_false(pt_fault_fill(&m.c.agent, &m.c.ctx, pt_ipa(m.page)));
	pt_section_begin(&m.c.agent);
	assert_int_equal(0, pt_faults(&m.c.agent, &m.c.ctx,
				      (struct pt_fault[]){{.ipa = {m.page}, .access = 1},
							  {.ipa = {0}, .access = 1}},
				      2, page));
	pt_section_end(&m.c.agent);
	ASSERT_OUTCOME(PT_ABSENT, fault(&m, m.page, PT_ACCESS_WRITE, &r));
	close_memory(&m);
}

static void a_block_is_made_where_all_of_it_is_there(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		uint64_t block;
		struct pt_fault_result r;
		struct memory m;

		open_memory(&m, &shapes[i], PT_SLOT_PAGED);
		block = core_size(&m.c, 2);
		m.present = UINT64_MAX >> 1; /* but the 64th page */
		m.rest = true;
		ASSERT_OUTCOME(PT_MAPPED, fault(&m, 0, PT_ACCESS_READ, &r));
		assert_int_equal(3, r.level);
		ASSERT_OUTCOME(PT_MAPPED, fault(&m, block + m.page, PT_ACCESS_READ, &r));
		assert_int_equal(2, r.level);
		close_memory(&m);
		/* A slot of another kind is not asked for. */
		open_memory(&m, &shapes[i], 0);
		ASSERT_OUTCOME(PT_MAPPED, fault(&m, 0, PT_ACCESS_READ, &r));
		assert_int_equal(2, r.level);
		assert_int_equal(0, m.asked);
		close_memory(&m);
	}
}

/* What the slot refuses anyway does not wait for a page. */
static void a_refusal_comes_first(void **state)
{
	struct pt_fault_result r;
	struct memory m;

	(void)state;
	open_memory(&m, &shapes[0], PT_SLOT_PAGED | PT_SLOT_READ_ONLY | PT_SLOT_NO_EXEC);
	ASSERT_OUTCOME(PT_READ_ONLY, fault(&m, 0, PT_ACCESS_WRITE, &r));
	ASSERT_OUTCOME(PT_DENIED, fault(&m, 0, PT_ACCESS_EXEC, &r));
	assert_int_equal(0, m.asked);
	ASSERT_OUTCOME(PT_ABSENT, fault(&m, 0, PT_ACCESS_READ, &r));
	pt_ctx_set_present(&m.c.ctx, NULL, NULL); /* nobody knows: all is there */
	ASSERT_OUTCOME(PT_MAPPED, fault(&m, 0, PT_ACCESS_READ, &r));
	assert_int_equal(2, r.level);
	close_memory(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_absent_page_gets_no_leaf),
		cmocka_unit_test(no_short_cut_leads_to_it),
		cmocka_unit_test(a_block_is_made_where_all_of_it_is_there),
		cmocka_unit_test(a_refusal_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
