/* SPDX-License-Identifier: BSD-2-Clause */
/* Many faults at once come to what each comes to alone. */
#include "upkeep.h"

#define BATCH	40
#define BATCHES CORE_MANY(60, 6)
#define SLOTS	7
#define PAGES	32 /* around the border of two tables */

/* Between two tables of level 2, or of another block where one spans all. */
static uint64_t far_border(const struct core *c)
{
	uint64_t top = core_size(c, 1);

	return top >> c->ctx.geo.ipa_bits ? 16 * core_size(c, 2) : top;
}

/* Of all kinds, with holes between them: pages that cross the borders, read-only, logging, without
 * execute, and one that backs blocks. */
static struct pt_slots *slots_of(struct core *c)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + SLOTS * sizeof(slots->slot[0]));
	uint64_t page = core_size(c, 3), block = core_size(c, 2), low = block - PAGES / 2 * page;
	uint8_t gs = c->ctx.geo.granule_shift;
	const struct pt_slot slot[SLOTS] = {
		{low, 8 * page, 64 * page, 0, 0, gs},
		{low + 9 * page, 11 * page, 96 * page, 0, 0, gs},
		{low + 20 * page, 3 * page, 160 * page, 0, PT_SLOT_READ_ONLY, gs},
		{low + 23 * page, 3 * page, 128 * page, 0, PT_SLOT_LOG_DIRTY, gs},
		{low + 28 * page, 4 * page, 192 * page, 0, PT_SLOT_NO_EXEC, gs},
		{4 * block, 2 * block, 4 * block, 0, 0, 40},
		{far_border(c) - 4 * page, 8 * page, 256 * page, 0, 0, gs},
	};

	assert_non_null(slots);
	slots->count = SLOTS;
	memcpy(slots->slot, slot, sizeof(slot));
	pt_ctx_set_slots(&c->ctx, slots);
	return slots;
}

/* As the daemon does it: what is not plain goes one by one. Returns how many were. */
static uint32_t run_batch(struct core *c, const struct pt_fault *fault, uint32_t count,
			  struct pt_fault_page *page)
{
	uint32_t at = 0, alone = 0;

	pt_section_begin(&c->agent);
	while ((at += pt_faults(&c->agent, &c->ctx, fault + at, count - at, page + at)) < count) {
		struct pt_fault_result r = {0};

		page[at].outcome = pt_fault_handle(&c->agent, &c->ctx, &fault[at], &r);
		page[at].prot = r.prot;
		page[at].pa = r.pa;
		at++;
		alone++;
	}
	pt_section_end(&c->agent);
	return alone;
}

static void assert_as_alone(struct core *c, const struct pt_fault *fault,
			    const struct pt_fault_page *page)
{
	struct pt_fault_result r = {0};

	pt_section_begin(&c->agent);
	ASSERT_OUTCOME(pt_fault_handle(&c->agent, &c->ctx, fault, &r),
		       (enum pt_outcome)page->outcome);
	pt_section_end(&c->agent);
	assert_int_equal(r.pa.v, page->pa.v);
	assert_int_equal(r.prot, page->prot);
}

/* Now and then an instruction, another slot's block, or an address where nothing can be. */
static struct pt_fault any_fault(struct core *c, uint64_t *random)
{
	uint64_t page = core_size(c, 3), block = core_size(c, 2), r = core_random(random);
	uint64_t ipa = block - PAGES / 2 * page + r % PAGES * page + (r >> 8) % page;

	if ((r >> 40) % 32 == 0)
		ipa = 4 * block + (r >> 20) % (2 * block);
	if ((r >> 51) % 8 == 0)
		ipa = far_border(c) - 4 * page + r % 8 * page;
	if ((r >> 45) % 64 == 0)
		ipa = (UINT64_C(1) << c->ctx.geo.ipa_bits) + (r >> 60) * page;
	return (struct pt_fault){.ipa = pt_ipa(ipa),
				 .vcpu = (r >> 32) % 4,
				 .access = (r >> 34) % 16 == 0 ? PT_ACCESS_EXEC
							       : PT_ACCESS_READ + (r >> 38) % 2};
}

/* One page maps elsewhere, loses a right, its access flag, all of it, or gets an owner. */
static struct pt_item any_change(struct core *c, uint64_t *random)
{
	uint64_t page = core_size(c, 3), block = core_size(c, 2), r = core_random(random);
	uint64_t ipa = block - PAGES / 2 * page + r % PAGES * page;

	switch ((r >> 8) % 8) {
	case 0: return core_item(c, PT_ITEM_MAP, ipa, page, ipa, PT_PROT_R, PT_MAP_REPLACE);
	case 1: return core_item(c, PT_ITEM_ANNOTATE, ipa, page, UINT64_C(2) << 60 | 2, 0, 0);
	case 2:
	case 3: return core_item(c, PT_ITEM_PROTECT, ipa, page, 0, (r >> 16) % 8, 0);
	default: return core_item(c, PT_ITEM_UNMAP, ipa, page, 0, 0, 0);
	}
}

static void disturb(struct core *c, struct pt_item item, bool age)
{
	struct pt_upkeep_args args = upkeep_args(c, PT_UPKEEP_AGE, item.ipa.v, item.size);
	struct pt_upkeep upkeep;

	args.clear = true;
	item.ctx = &c->ctx;
	if (age)
		ASSERT_OUTCOME(PT_OK, upkeep_run(c, &upkeep, args, 1000));
	else
		core_range(c, item, NULL);
}

static void assert_same(struct core *a, struct core *b)
{
	struct pt_digest da = core_digest_of(a), db = core_digest_of(b);

	assert_memory_equal(da.state, db.state, sizeof(da.state));
	assert_int_equal(atomic_load(&a->mmu.local_tlbis), atomic_load(&b->mmu.local_tlbis));
}

static uint32_t compare(struct core *a, struct core *b, uint64_t *random, uint32_t *faults)
{
	struct pt_fault fault[BATCH];
	struct pt_fault_page page[BATCH];
	uint32_t count = 1 + (uint32_t)core_random(random) % BATCH, alone;

	for (uint32_t k = 0; k < count; k++)
		fault[k] = any_fault(a, random);
	alone = run_batch(a, fault, count, page);
	for (uint32_t k = 0; k < count; k++)
		assert_as_alone(b, &fault[k], &page[k]);
	assert_same(a, b);
	for (uint32_t k = core_random(random) % 12; k > 0; k--) {
		struct pt_item item = any_change(a, random);
		bool age = core_random(random) % 3 == 0;

		disturb(a, item, age);
		disturb(b, item, age);
	}
	*faults += count;
	return alone;
}

static void batches_do_what_their_faults_do(void **state)
{
	uint64_t random = core_seed();
	uint32_t alone = 0, faults = 0;

	(void)state;
	for (unsigned i = 0; i < 2 * SHAPES; i++) {
		const struct shape *shape = &shapes[i % SHAPES];
		struct pt_slots *sa, *sb;
		struct core a, b;

		core_open_bytes(&a, shape, UINT64_C(64) << 20, i < SHAPES);
		core_open_bytes(&b, shape, UINT64_C(64) << 20, i < SHAPES);
		sa = slots_of(&a);
		sb = slots_of(&b);
		for (unsigned n = 0; n < BATCHES; n++)
			alone += compare(&a, &b, &random, &faults);
		core_close(&a);
		core_close(&b);
		free(sa);
		free(sb);
	}
	assert_in_range(alone, faults / 10, faults - faults / 10);
}

struct plain {
	struct core c;
	struct pt_slots *slots;
	struct pt_fault fault[20];
	struct pt_fault_page page[20];
	uint64_t size; /* of a page */
};

/* A table with pages 0 to 19 of a slot, of which the last is there. */
static void open_plain(struct plain *p, const struct shape *shape)
{
	struct pt_fault_result result;

	core_open_bytes(&p->c, shape, UINT64_C(64) << 20, true);
	p->size = core_size(&p->c, 3);
	p->slots = calloc(1, sizeof(*p->slots) + sizeof(p->slots->slot[0]));
	assert_non_null(p->slots);
	p->slots->count = 1;
	p->slots->slot[0] =
		(struct pt_slot){.size = 20 * p->size, .backing_shift = p->c.ctx.geo.granule_shift};
	pt_ctx_set_slots(&p->c.ctx, p->slots);
	for (unsigned k = 0; k < 20; k++)
		p->fault[k] = (struct pt_fault){.ipa = pt_ipa(k * p->size + k),
						.access = PT_ACCESS_READ + k % 2};
	pt_section_begin(&p->c.agent);
	assert_int_equal(0, pt_faults(&p->c.agent, &p->c.ctx, p->fault, 20, p->page));
	ASSERT_OUTCOME(PT_MAPPED, pt_fault_handle(&p->c.agent, &p->c.ctx, &p->fault[19], &result));
	pt_section_end(&p->c.agent);
}

static void close_plain(struct plain *p)
{
	core_close(&p->c);
	free(p->slots);
}

static uint32_t faults(struct plain *p, uint32_t at, uint32_t count)
{
	uint32_t done;

	pt_section_begin(&p->c.agent);
	done = pt_faults(&p->c.agent, &p->c.ctx, p->fault + at, count, p->page + at);
	pt_section_end(&p->c.agent);
	return done;
}

/* What stands between plain faults is not begun, and those behind it are not either. */
static void a_batch_ends_where_a_fault_is_not_plain(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct plain p;

		open_plain(&p, &shapes[i]);
		assert_int_equal(0, faults(&p, 0, 0));
		p.fault[3].access = PT_ACCESS_EXEC;
		assert_int_equal(3, faults(&p, 0, 20));
		assert_int_equal(4, core_digest_of(&p.c).leaves[PT_LEVEL_LAST + 1]);
		/* a leaf of other memory */
		ASSERT_OUTCOME(PT_MAPPED, core_map(&p.c, 17 * p.size, p.size, 0, PT_PROT_RW, 0));
		assert_int_equal(13, faults(&p, 4, 16));
		/* out of the slot, and of the context */
		p.fault[18].ipa.v = 20 * p.size;
		assert_int_equal(0, faults(&p, 18, 2));
		p.fault[18].ipa.v = UINT64_C(1) << p.c.ctx.geo.ipa_bits;
		assert_int_equal(0, faults(&p, 18, 2));
		p.fault[18].ipa.v = UINT64_MAX;
		assert_int_equal(0, faults(&p, 18, 2));
		close_plain(&p);
	}
}

/* Also the first fault on a page decides what the second finds, in one batch. */
static void a_page_may_come_again_and_again(void **state)
{
	struct plain p;

	(void)state;
	open_plain(&p, &shapes[0]);
	for (unsigned k = 0; k < 19; k++)
		p.fault[k].ipa.v = k % 3 * p.size;
	assert_int_equal(19, faults(&p, 0, 19));
	for (unsigned k = 0; k < 19; k++) {
		ASSERT_OUTCOME(k < 3 ? PT_MAPPED : PT_ALREADY_MAPPED,
			       (enum pt_outcome)p.page[k].outcome);
		assert_int_equal(PT_PROT_RW, p.page[k].prot);
		assert_int_equal(k % 3 * p.size, p.page[k].pa.v);
	}
	close_plain(&p);
}

static void nothing_is_plain_under_a_claim(void **state)
{
	struct pt_claim claim;
	struct plain p;

	(void)state;
	open_plain(&p, &shapes[0]);
	pt_section_begin(&p.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &p.c.ctx, 0, 4095, PT_CLAIM_EXCLUSIVE, false,
					       NULL));
	pt_section_end(&p.c.agent);
	assert_int_equal(0, faults(&p, 0, 4));
	pt_section_begin(&p.c.agent);
	pt_claim_release(&claim);
	pt_section_end(&p.c.agent);
	assert_int_equal(4, faults(&p, 0, 4));
	close_plain(&p);
}

/* Nor where an agent is not known to the machine, which would not wait for it. */
static void a_new_agent_is_made_known_first(void **state)
{
	struct pt_fault_result result;
	struct pt_agent agent = {0};
	struct plain p;

	(void)state;
	open_plain(&p, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&p.c.tables.world, &agent));
	pt_section_begin(&agent);
	assert_int_equal(0, pt_faults(&agent, &p.c.ctx, p.fault, 2, p.page));
	ASSERT_OUTCOME(PT_MAPPED, pt_fault_handle(&agent, &p.c.ctx, &p.fault[0], &result));
	assert_int_equal(2, pt_faults(&agent, &p.c.ctx, p.fault, 2, p.page));
	pt_section_end(&agent);
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, (enum pt_outcome)p.page[0].outcome);
	ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)p.page[1].outcome);
	pt_agent_leave(&agent);
	close_plain(&p);
}

static bool fill(struct plain *p, uint64_t ipa)
{
	bool filled = pt_fault_fill(&p->c.agent, &p->c.ctx, pt_ipa(ipa));

	assert_false(pt_in_section(&p->c.agent));
	return filled;
}

static pt_pte leaf(struct plain *p, uint64_t ipa)
{
	pt_pte entry = 0;
	int level = 0;

	pt_section_begin(&p->c.agent);
	(void)pt_get_leaf(&p->c.ctx, pt_ipa(ipa), &entry, &level);
	pt_section_end(&p->c.agent);
	return entry;
}

/* An empty entry, with the leaf that a fault by itself installs; nothing else is touched. */
static void a_fault_fills_an_empty_entry(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct plain p;
		pt_pte was;

		open_plain(&p, &shapes[i]);
		assert_true(fill(&p, p.size + 5));
		was = leaf(&p, 19 * p.size);
		assert_int_equal(was - 18 * p.size, leaf(&p, p.size));
		ASSERT_OUTCOME(PT_PROTECTED, core_protect(&p.c, 19 * p.size, p.size, PT_PROT_R));
		was = leaf(&p, 19 * p.size);
		assert_false(fill(&p, 19 * p.size));
		assert_int_equal(was, leaf(&p, 19 * p.size));
		assert_false(fill(&p, 20 * p.size)); /* out of the slot */
		assert_false(fill(&p, UINT64_C(1) << p.c.ctx.geo.ipa_bits));
		assert_false(fill(&p, UINT64_MAX));
		p.slots->slot[0].flags = PT_SLOT_READ_ONLY;
		assert_false(fill(&p, 2 * p.size));
		p.slots->slot[0].flags = PT_SLOT_LOG_DIRTY;
		assert_false(fill(&p, 2 * p.size));
		p.slots->slot[0].flags = 0;
		p.slots->slot[0].backing_shift = 40;
		assert_false(fill(&p, 2 * p.size));
		assert_int_equal(2, core_digest_of(&p.c).leaves[PT_LEVEL_LAST + 1]);
		close_plain(&p);
	}
}

static void no_table_is_added_by_a_fill(void **state)
{
	struct plain p;

	(void)state;
	open_plain(&p, &shapes[0]);
	p.slots->slot[0].size = 8 * core_size(&p.c, 2);
	assert_false(fill(&p, 4 * core_size(&p.c, 2)));
	assert_int_equal(1, core_digest_of(&p.c).leaves[PT_LEVEL_LAST + 1]);
	close_plain(&p);
}

static void a_claim_and_a_new_agent_keep_a_fill_away(void **state)
{
	struct pt_agent agent = {0};
	struct pt_claim claim;
	struct plain p;

	(void)state;
	open_plain(&p, &shapes[0]);
	pt_section_begin(&p.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &p.c.ctx, 0, 4095, PT_CLAIM_EXCLUSIVE, false,
					       NULL));
	pt_section_end(&p.c.agent);
	assert_false(fill(&p, 0));
	pt_section_begin(&p.c.agent);
	pt_claim_release(&claim);
	pt_section_end(&p.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&p.c.tables.world, &agent));
	assert_false(pt_fault_fill(&agent, &p.c.ctx, pt_ipa(0)));
	assert_true(fill(&p, 0));
	pt_agent_leave(&agent);
	close_plain(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_do_what_their_faults_do),
		cmocka_unit_test(a_batch_ends_where_a_fault_is_not_plain),
		cmocka_unit_test(a_page_may_come_again_and_again),
		cmocka_unit_test(nothing_is_plain_under_a_claim),
		cmocka_unit_test(a_new_agent_is_made_known_first),
		cmocka_unit_test(a_fault_fills_an_empty_entry),
		cmocka_unit_test(no_table_is_added_by_a_fill),
		cmocka_unit_test(a_claim_and_a_new_agent_keep_a_fill_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
