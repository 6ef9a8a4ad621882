/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults in a machine with owners: the largest block of the host's, foreign frames, what a guest
 * has not, and blocks that come back when what was given away has. */
#include <pthread.h>

#include "lending_fixture.h"
#include "upkeep.h"

#define PAGE  PT_SZ_4K
#define BLOCK PT_SZ_2M
#define UNITS 1324u /* 512 of a block, 512 of another, and 300 */

static struct transfer_rig rig;
static uint64_t table_frame; /* by PA; 0: none */

/* Slots of the host and of the last guest, as large as the space allows. */
static _Alignas(struct pt_slots) unsigned char one_slot[2][sizeof(struct pt_slots) +
							   sizeof(struct pt_slot)];
static struct pt_slots *const host_slots = (struct pt_slots *)one_slot[0];
static struct pt_slots *const guest_slots = (struct pt_slots *)one_slot[1];

static unsigned asks;

static bool is_table(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg;
	asks++;
	return table_frame && pa < table_frame + PAGE && pa + size > table_frame;
}

static void open_rig(void)
{
	table_frame = 0;
	host_slots->count = guest_slots->count = 1;
	host_slots->slot[0] = (struct pt_slot){.size = 8 * PT_SZ_1G, .backing_shift = 30};
	guest_slots->slot[0] =
		(struct pt_slot){.ipa = PT_SZ_1G, .size = PT_SZ_1G, .backing_shift = 30};
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, 8 * BLOCK, PT_SZ_1G);
	pt_ctx_set_slots(&rig.c.ctx, host_slots);
	guest_slots->slot[0].pa = 8 * BLOCK;
	pt_ctx_set_slots(&rig.ctx[1], guest_slots);
}

static enum pt_outcome fault_of(struct pt_ctx *ctx, uint64_t ipa, enum pt_access access,
				struct pt_fault_result *r)
{
	struct pt_fault in = {.ipa = {ipa}, .access = (uint8_t)access};
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_fault_handle(&rig.c.agent, ctx, &in, r);
	pt_section_end(&rig.c.agent);
	return outcome;
}

/* Of the host, at a page of its memory. */
static enum pt_outcome fault(uint64_t page, struct pt_fault_result *r)
{
	return fault_of(&rig.c.ctx, rig.pa + page * PAGE + 8, PT_ACCESS_WRITE, r);
}

static int level_of(uint64_t page)
{
	struct pt_fault_result r;

	ASSERT_OUTCOME(PT_MAPPED, fault(page, &r));
	assert_int_equal(rig.pa + page * PAGE + 8, r.pa.v);
	return r.level;
}

static void must(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn, uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1000));
}

static void pages_of_tables(uint64_t count)
{
	while (pt_reclaim(&rig.c.agent))
		continue;
	assert_int_equal(count, atomic_load(&rig.c.ctx.table_pages));
}

static void a_block_crosses_no_end_of_an_extent_or_a_region(void **state)
{
	static const struct {
		uint32_t kind, back;
		unsigned guest;
	} rows[] = {{PT_SHARE_HYP, PT_UNSHARE_HYP, 0},
		    {PT_SHARE_THIRD, PT_UNSHARE_THIRD, 0},
		    {PT_SHARE_GUEST, PT_UNSHARE_GUEST, 0},
		    {PT_DONATE_HYP, PT_RETURN_HYP, 0},
		    {PT_DONATE_GUEST, PT_BALLOON, 1}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_fault_result r;

		open_rig();
		must(rows[i].kind, rows[i].guest, 700, 700, 1);
		assert_int_equal(2, level_of(5));
		assert_int_equal(3, level_of(512));
		assert_int_equal(3, level_of(699));
		if (i < 3)
			assert_int_equal(3, level_of(700));
		else
			ASSERT_OUTCOME(PT_WRONG_OWNER, fault(700, &r));
		assert_int_equal(3, level_of(701));
		assert_int_equal(3, level_of(1030)); /* the region ends in this block */
		assert_int_equal(3, level_of(1330));
		assert_int_equal(2, level_of(1540)); /* behind it, no memory */
		rig_same(&rig);
		must(rows[i].back, rows[i].guest, 700, 700, 1);
		rig_close(&rig);
	}
	open_rig();
	must(PT_SHARE_HYP, 0, 512, 0, 512);
	assert_int_equal(2, level_of(600)); /* all of a block is one extent */
	must(PT_DONATE_GUEST, 1, 0, 0, 1);
	assert_int_equal(3, level_of(4));
	rig_close(&rig);
	/* A block of level 1 has an extent in it. */
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, 2 * PT_SZ_1G + 300 * BLOCK, PT_SZ_1G);
	pt_ctx_set_slots(&rig.c.ctx, host_slots);
	rig.region = (struct pt_region){2 * PT_SZ_1G, PT_SZ_1G};
	must(PT_SHARE_HYP, 0, 3, 0, 1);
	assert_int_equal(2, level_of(512));
	must(PT_UNSHARE_HYP, 0, 3, 0, 1);
	rig_close(&rig);
}

static void a_fault_on_a_foreign_frame_is_told(void **state)
{
	struct pt_fault_result r;

	(void)state;
	open_rig();
	must(PT_DONATE_HYP, 0, 1, 0, 1);
	must(PT_DONATE_GUEST, 1, 2, 9, 2);
	must(PT_SHARE_BACK, 1, 0, 10, 1);
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault(1, &r));
	assert_int_equal(PT_TODO_NONE, r.todo.kind);
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(3, &r));
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault(2, &r));
	assert_int_equal(PT_TODO_RECLAIM, r.todo.kind);
	assert_int_equal(rig.pa + 2 * PAGE, r.todo.ipa.v);
	assert_int_equal(PAGE, r.todo.size);
	must(PT_FORCE_RECLAIM, 0, (r.todo.ipa.v - rig.pa) / PAGE, 0, 1);
	ASSERT_OUTCOME(PT_MAPPED, fault(2, &r));
	rig_same(&rig);
	must(PT_UNSHARE_BACK, 1, 0, 10, 1);
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault_of(&rig.ctx[1], rig.ipa + 9 * PAGE, PT_ACCESS_READ,
						&r)); /* poisoned */
	assert_int_equal(PT_TODO_NONE, r.todo.kind);
	/* What is lent cannot be had by force. */
	lend_now(&rig, HOST, (const uint8_t[]){0}, 1, 6, 1, false);
	lend_now(&rig, 1, (const uint8_t[]){0}, 1, 10, 1, false);
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault(6, &r));
	assert_int_equal(PT_TODO_NONE, r.todo.kind);
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault(3, &r));
	assert_int_equal(PT_TODO_NONE, r.todo.kind);
	ASSERT_OUTCOME(PT_WRONG_OWNER,
		       fault_of(&rig.ctx[1], rig.ipa + 10 * PAGE, PT_ACCESS_READ, &r));
	rig_close(&rig);
}

static void a_guest_has_what_it_was_given(void **state)
{
	struct pt_fault in = {.ipa = {PT_SZ_1G}, .access = PT_ACCESS_WRITE};
	struct pt_fault_result r;
	struct pt_fault_page page;
	struct pt_ctx *ctx;

	(void)state;
	open_rig();
	ctx = &rig.ctx[1];
	for (unsigned access = PT_ACCESS_READ; access <= PT_ACCESS_EXEC; access++) {
		ASSERT_OUTCOME(PT_WRONG_OWNER, fault_of(ctx, PT_SZ_1G, access, &r));
		ASSERT_OUTCOME(PT_NO_SLOT, fault_of(ctx, 2 * PT_SZ_1G, access, &r));
	}
	must(PT_DONATE_GUEST, 1, 1, 1, 1); /* a table is there now */
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault_of(ctx, PT_SZ_1G + PAGE, PT_ACCESS_WRITE, &r));
	guest_slots->slot[0].backing_shift = 12; /* plain pages */
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault_of(ctx, PT_SZ_1G, PT_ACCESS_WRITE, &r));
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault_of(ctx, PT_SZ_1G + PAGE, PT_ACCESS_WRITE, &r));
	pt_section_begin(&rig.c.agent);
	assert_int_equal(0, pt_faults(&rig.c.agent, ctx, &in, 1, &page));
	pt_section_end(&rig.c.agent);
	assert_false(pt_fault_fill(&rig.c.agent, ctx, pt_ipa(PT_SZ_1G)));
	guest_slots->slot[0].backing_shift = 30;
	rig_same(&rig);
	rig_close(&rig);
}

/* Page by page, where all is plain but the owners. */
static void plain_pages_are_asked_for(void **state)
{
	struct pt_fault in[8];
	struct pt_fault_page page[8];
	struct pt_fault_result r;

	(void)state;
	open_rig();
	host_slots->slot[0].backing_shift = 12;
	rig.owners.is_table = is_table;
	table_frame = rig.pa + 5 * PAGE;
	must(PT_DONATE_GUEST, 1, 20, 20, 1);
	for (unsigned i = 0; i < 8; i++)
		in[i] = (struct pt_fault){.ipa = {rig.pa + i * PAGE}, .access = PT_ACCESS_WRITE};
	pt_section_begin(&rig.c.agent);
	assert_int_equal(5, pt_faults(&rig.c.agent, &rig.c.ctx, in, 8, page));
	assert_int_equal(0, pt_faults(&rig.c.agent, &rig.c.ctx, in + 5, 3, page));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(PT_WRONG_OWNER, fault(5, &r));
	assert_false(pt_fault_fill(&rig.c.agent, &rig.c.ctx, in[5].ipa));
	assert_true(pt_fault_fill(&rig.c.agent, &rig.c.ctx, in[6].ipa));
	assert_false(pt_fault_fill(&rig.c.agent, &rig.c.ctx, pt_ipa(rig.pa + 20 * PAGE)));
	assert_int_equal(3, level_of(7));
	host_slots->slot[0].backing_shift = 30;
	table_frame = rig.pa + 1023 * PAGE;
	assert_int_equal(3, level_of(600)); /* a frame of tables in the block */
	table_frame = 0;
	rig_same(&rig);
	rig_close(&rig);
}

/* However large the block, one question tells. */
static void blocks_are_asked_as_a_whole(void **state)
{
	const struct pt_fault in = {.ipa = {3 * PT_SZ_1G + 5 * PAGE}, .access = PT_ACCESS_WRITE};
	struct pt_fault_result r;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		open_rig();
		rig.region.size = 4 * PT_SZ_1G - rig.region.pa; /* beyond what the model has */
		rig.owners.is_table = is_table;
		table_frame = i ? 3 * PT_SZ_1G + BLOCK + 7 * PAGE : 0;
		asks = 0;
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_MAPPED, pt_fault_handle(&rig.c.agent, &rig.c.ctx, &in, &r));
		pt_section_end(&rig.c.agent);
		assert_int_equal(i ? 2 : 1, r.level);
		assert_in_range(asks, 1, 3); /* may it be filled, and each level */
		rig_same(&rig);
		rig_close(&rig);
	}
}

static uint64_t collapse(uint64_t page)
{
	static struct pt_upkeep u;

	ASSERT_OUTCOME(PT_OK,
		       upkeep_run(&rig.c, &u,
				  upkeep_args(&rig.c, PT_UPKEEP_COLLAPSE,
					      rig.pa + (page & ~UINT64_C(511)) * PAGE, BLOCK),
				  1000));
	return u.blocks_made;
}

static bool is_block(uint64_t page)
{
	int level;
	pt_pte e = upkeep_entry(&rig.c, rig.pa + page * PAGE, &level);

	return level == 2 && pt_pte_valid(e);
}

static void a_block_is_one_again_when_all_of_it_is_back(void **state)
{
	struct pt_fault_result r;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t tables;

		open_rig();
		assert_int_equal(2, level_of(0));
		tables = atomic_load(&rig.c.ctx.table_pages);
		if (i == 0)
			must(PT_DONATE_HYP, 0, 77, 0, 1);
		else
			must(PT_DONATE_GUEST, 1, 77, 5, 1);
		pages_of_tables(tables + 1);
		ASSERT_OUTCOME(PT_WRONG_OWNER, fault(77, &r));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(78, &r));
		assert_int_equal(0, collapse(77));
		if (i == 0)
			must(PT_RETURN_HYP, 0, 77, 0, 1);
		else if (i == 1)
			must(PT_BALLOON, 1, 0, 5, 1);
		else
			must(PT_FORCE_RECLAIM, 0, 77, 0, 1);
		assert_int_equal(0, collapse(77)); /* a page is missing */
		ASSERT_OUTCOME(PT_MAPPED, fault(77, &r));
		assert_int_equal(PT_TODO_COLLAPSE, r.todo.kind);
		assert_int_equal(rig.pa, r.todo.ipa.v);
		assert_int_equal(BLOCK, r.todo.size);
		assert_int_equal(1, collapse(77));
		assert_true(is_block(77));
		pages_of_tables(tables);
		rig_same(&rig); /* no annotation, no record, no extent */
		rig_close(&rig);
	}
}

/* All pages are mapped, but not all are of one extent. */
static void a_collapse_crosses_no_end_of_an_extent(void **state)
{
	struct pt_fault_result r;

	(void)state;
	open_rig();
	must(PT_SHARE_HYP, 0, 100, 0, 4);
	for (uint64_t page = 0; page < 512; page++) {
		assert_int_equal(3, (ASSERT_OUTCOME(PT_MAPPED, fault(page, &r)), r.level));
		assert_int_equal(PT_TODO_NONE, r.todo.kind);
	}
	assert_int_equal(0, collapse(0));
	must(PT_UNSHARE_HYP, 0, 100, 0, 2);
	assert_int_equal(0, collapse(0));
	must(PT_UNSHARE_HYP, 0, 102, 0, 2);
	assert_int_equal(1, collapse(0));
	assert_true(is_block(100));
	rig_same(&rig);
	rig_close(&rig);
}

/* A guest's pages become a block where they are in one state. */
static void a_guests_pages_fold_as_their_states_do(void **state)
{
	static struct pt_upkeep u;
	struct pt_upkeep_args args = {.kind = PT_UPKEEP_COLLAPSE, .ipa = {PT_SZ_1G}, .size = BLOCK};

	(void)state;
	open_rig();
	args.ctx = &rig.ctx[1];
	for (uint64_t i = 0; i < 512; i++)
		must(PT_DONATE_GUEST, 1, i, i, 1);
	must(PT_SHARE_BACK, 1, 0, 9, 1);
	ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u, args, 1000));
	assert_int_equal(0, u.blocks_made);
	must(PT_UNSHARE_BACK, 1, 0, 9, 1);
	ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u, args, 1000));
	assert_int_equal(1, u.blocks_made);
	rig_same(&rig);
	rig_close(&rig);
}

/* A step of a transition at a time, and a fault after `at` of them. *over: it was through by then.
 */
static enum pt_outcome fault_after(uint32_t kind, unsigned at, bool *over)
{
	struct rig_op op = {.kind = kind, .frame = 700, .n = 40};
	enum pt_outcome outcome = PT_MORE, seen;
	struct pt_transfer_args args;
	struct pt_fault_result r;

	open_rig();
	if (kind == PT_RETURN_HYP)
		must(PT_DONATE_HYP, 0, 700, 0, 40);
	args = rig_args(&rig, &op);
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &args));
	for (unsigned step = 0; step < at && outcome == PT_MORE; step++)
		outcome = rig_step(&rig, 1);
	*over = outcome == PT_OK;
	seen = fault(720, &r);
	while (outcome == PT_MORE)
		outcome = rig_step(&rig, 1);
	ASSERT_OUTCOME(PT_OK, outcome);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	rig_same(&rig);
	rig_close(&rig);
	return seen;
}

/* Between any two steps of a transition a fault finds the page before it, then claimed, then after
 * it. */
static void a_fault_beside_each_step_of_a_transition(void **state)
{
	static const struct {
		uint32_t kind;
		enum pt_outcome before, after;
	} rows[] = {{PT_DONATE_HYP, PT_MAPPED, PT_WRONG_OWNER},
		    {PT_RETURN_HYP, PT_WRONG_OWNER, PT_MAPPED},
		    {PT_SHARE_HYP, PT_MAPPED, PT_MAPPED}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum pt_outcome expected = rows[i].before;
		bool over = false, parked = false;

		for (unsigned at = 0; !over; at++) {
			enum pt_outcome seen = fault_after(rows[i].kind, at, &over);

			if (seen != expected)
				expected = expected == PT_PARKED ? rows[i].after : PT_PARKED;
			ASSERT_OUTCOME(expected, seen);
			parked |= seen == PT_PARKED;
		}
		assert_true(parked);
		ASSERT_OUTCOME(rows[i].after, expected);
	}
}

/* Another agent faults wherever it likes while pages go and come. */
static struct {
	struct pt_agent agent;
	_Atomic bool stop;
	uint64_t mapped, foreign, parked;
} other;

static void *fault_all_the_time(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	while (!atomic_load(&other.stop)) {
		struct pt_fault in = {.ipa = {rig.pa + core_random(&seed) % 1024 * PAGE},
				      .access = (uint8_t)(core_random(&seed) % 3)};
		struct pt_fault_result r;
		enum pt_outcome outcome;

		pt_section_begin(&other.agent);
		outcome = pt_fault_handle(&other.agent, &rig.c.ctx, &in, &r);
		pt_section_end(&other.agent);
		other.mapped += outcome == PT_MAPPED;
		other.foreign += outcome == PT_WRONG_OWNER;
		other.parked += outcome == PT_PARKED;
	}
	return NULL;
}

static void faults_race_with_transitions(void **state)
{
	uint64_t seed = core_seed(), theirs = seed + 1;
	pthread_t thread;

	(void)state;
	open_rig();
	memset(&other, 0, sizeof(other));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&rig.c.tables.world, &other.agent));
	assert_int_equal(0, pthread_create(&thread, NULL, fault_all_the_time, &theirs));
	for (unsigned i = 0; i < 400; i++) {
		uint64_t at = core_random(&seed) % 1000, n = 1 + core_random(&seed) % 24;
		bool guest = core_random(&seed) % 2;
		struct rig_op there = {.kind = guest ? PT_DONATE_GUEST : PT_DONATE_HYP,
				       .guest = guest,
				       .frame = at,
				       .gfn = at,
				       .n = n},
			      back = there;

		back.kind = guest ? PT_BALLOON : PT_RETURN_HYP;
		ASSERT_OUTCOME(PT_OK, rig_do(&rig, &there, 64));
		if (i % 8 == 0)
			rig_same(&rig);
		ASSERT_OUTCOME(PT_OK, rig_do(&rig, &back, 64));
	}
	atomic_store(&other.stop, true);
	assert_int_equal(0, pthread_join(thread, NULL));
	rig_same(&rig);
	while (pt_reclaim(&other.agent))
		continue;
	pt_agent_leave(&other.agent);
	rig_close(&rig);
	print_message("%llu mapped, %llu foreign, %llu parked\n", (unsigned long long)other.mapped,
		      (unsigned long long)other.foreign, (unsigned long long)other.parked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_crosses_no_end_of_an_extent_or_a_region),
		cmocka_unit_test(a_fault_on_a_foreign_frame_is_told),
		cmocka_unit_test(a_guest_has_what_it_was_given),
		cmocka_unit_test(plain_pages_are_asked_for),
		cmocka_unit_test(blocks_are_asked_as_a_whole),
		cmocka_unit_test(a_block_is_one_again_when_all_of_it_is_back),
		cmocka_unit_test(a_collapse_crosses_no_end_of_an_extent),
		cmocka_unit_test(a_guests_pages_fold_as_their_states_do),
		cmocka_unit_test(a_fault_beside_each_step_of_a_transition),
		cmocka_unit_test(faults_race_with_transitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
