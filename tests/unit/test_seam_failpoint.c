/* SPDX-License-Identifier: BSD-2-Clause */
/* The failpoints at the seam, which only checked builds have: what lib makes of each of them, under
 * the runtime checker. */
#include <pthread.h>
#include <sched.h>

#include "upkeep.h"

#define FOR_EVER_MS                                                                                \
	600000u /* held until the test disarms; a run that does not end is the failure */
#define NOTE (UINT64_C(3) << 60)

static void arm(enum pt_failpoint point, uint32_t nth, uint32_t times)
{
	pt_host_failpoint_arm(point, &(struct pt_host_failpoint){
					     .nth = nth, .times = times, .delay_ms = FOR_EVER_MS});
}

static uint64_t failures_of(enum pt_failpoint point)
{
	uint64_t hits, failures;

	pt_host_failpoint_counts(point, &hits, &failures);
	return failures;
}

static uint64_t used(struct core *c)
{
	return atomic_load(&c->tables.world.pool.used_bytes);
}

/* --- cas.lose ------------------------------------------------------------------------------ */

/* With [0, 2 MiB + 0x2000) mapped: entries that are there, one below a block, and holes. */
static const struct {
	enum pt_item_kind kind;
	uint64_t ipa, size, pa;
	uint32_t prot, flags;
	enum pt_outcome outcome;
} rows[] = {
	{PT_ITEM_MAP, PT_SZ_2M + 0x5000, 0x1000, 0x7000, PT_PROT_RW, 0, PT_MAPPED},
	/* Of another type: past the short way of pages, which leaves a loss to the long one. */
	{PT_ITEM_MAP, PT_SZ_2M + 0x5000, 0x1000, 0x7000, PT_PROT(PT_PROT_R, PT_MEM_DEVICE), 0,
	 PT_MAPPED},
	{PT_ITEM_MAP, PT_SZ_1G, 0x1000, 0x7000, PT_PROT_RW, 0, PT_MAPPED},
	{PT_ITEM_MAP, PT_SZ_2M, 0x1000, 0x7000, PT_PROT_R, PT_MAP_REPLACE, PT_MAPPED},
	{PT_ITEM_UNMAP, PT_SZ_2M, 0x1000, 0, 0, 0, PT_UNMAPPED},
	{PT_ITEM_UNMAP, 0x1000, 0x1000, 0, 0, 0, PT_UNMAPPED},
	{PT_ITEM_UNMAP, 0x1000, PT_SZ_2M, 0, 0, 0, PT_UNMAPPED},
	{PT_ITEM_PROTECT, PT_SZ_2M, 0x1000, 0, PT_PROT_R, 0, PT_PROTECTED},
	{PT_ITEM_WRITE_PROTECT, 0x1000, PT_SZ_2M, 0, 0, 0, PT_PROTECTED},
	{PT_ITEM_RELAX, PT_SZ_2M, 0x1000, 0, PT_PROT_X, 0, PT_RELAXED},
	{PT_ITEM_ANNOTATE, PT_SZ_2M, 0x1000, NOTE, 0, 0, PT_ANNOTATED},
	{PT_ITEM_ANNOTATE, PT_SZ_2M + 0x5000, 0x1000, NOTE, 0, 0, PT_ANNOTATED},
	{PT_ITEM_ANNOTATE, PT_SZ_1G, 0x1000, NOTE, 0, 0, PT_ANNOTATED},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void open_mapped(struct core *c, bool hardware)
{
	core_open(c, &shapes[0]);
	if (hardware) {
		c->ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
		core_note_options(&c->ctx);
	}
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0, PT_SZ_2M + 0x2000, 0, PT_PROT_RW, 0));
}

/* As an owner would: the point, and where it is none of a point's business, the range. */
static enum pt_outcome ask(struct core *c, unsigned row)
{
	struct pt_item item = core_item(c, rows[row].kind, rows[row].ipa, rows[row].size,
					rows[row].pa, rows[row].prot, rows[row].flags);
	enum pt_outcome outcome = core_point(c, item, NULL, NULL);

	return outcome == PT_MORE ? core_range(c, item, NULL) : outcome;
}

/* The n-th compare-and-swap loses: the answer is RACED with nothing changed, or as without. False:
 * there are not so many. */
static bool lose_nth(unsigned row, uint32_t nth, bool hardware, const struct pt_digest *want,
		     unsigned *raced)
{
	struct core c;
	struct pt_digest before, after;
	enum pt_outcome outcome;
	bool lost;

	open_mapped(&c, hardware);
	before = core_digest_of(&c);
	arm(PT_FP_CAS_LOSE, nth, 1);
	outcome = ask(&c, row);
	pt_host_failpoint_disarm(PT_FP_CAS_LOSE);
	lost = failures_of(PT_FP_CAS_LOSE);
	after = core_digest_of(&c);
	if (outcome == PT_RACED) {
		assert_true(lost);
		assert_memory_equal(before.state, after.state, sizeof(before.state));
		++*raced;
		outcome = ask(&c, row);
		after = core_digest_of(&c);
	}
	ASSERT_OUTCOME(rows[row].outcome, outcome);
	assert_memory_equal(want->state, after.state, sizeof(want->state));
	core_close(&c);
	return lost;
}

static void any_compare_and_swap_may_lose(void **state)
{
	unsigned raced = 0, lost = 0;

	(void)state;
	for (unsigned i = 0; i < 2 * ROWS; i++) {
		unsigned row = i / 2;
		struct pt_digest want;
		struct core c;

		open_mapped(&c, i & 1);
		ASSERT_OUTCOME(rows[row].outcome, ask(&c, row));
		want = core_digest_of(&c);
		core_close(&c);
		for (uint32_t nth = 1; lose_nth(row, nth, i & 1, &want, &raced); nth++)
			lost++;
	}
	assert_true(raced > 0);
	assert_true(lost > raced);
}

/* Never twice in a row: a loop that tries until it wins has won the second time. */
static void losing_for_ever_holds_nobody_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * ROWS; i++) {
		struct core c;
		enum pt_outcome outcome;
		unsigned asked = 0;

		open_mapped(&c, i & 1);
		arm(PT_FP_CAS_LOSE, 1, 0);
		do {
			outcome = ask(&c, i / 2);
			assert_true(++asked <= 3);
		} while (outcome == PT_RACED);
		ASSERT_OUTCOME(rows[i / 2].outcome, outcome);
		pt_host_failpoint_disarm(PT_FP_CAS_LOSE);
		core_close(&c);
	}
}

static void a_context_is_a_scope_of_the_seam(void **state)
{
	const struct pt_host_failpoint other = {.nth = 1, .scope = 8}, own = {.nth = 1, .scope = 7};
	struct pt_item item;
	struct core c;

	(void)state;
	open_mapped(&c, false);
	c.ctx.scope = 7;
	item = core_item(&c, PT_ITEM_RELAX, PT_SZ_2M, 0x1000, 0, PT_PROT_X, 0);
	pt_host_failpoint_arm(PT_FP_CAS_LOSE, &other);
	ASSERT_OUTCOME(PT_RELAXED, core_point(&c, item, NULL, NULL));
	assert_int_equal(0, failures_of(PT_FP_CAS_LOSE));
	item.kind = PT_ITEM_UNMAP;
	item.prot = 0;
	pt_host_failpoint_arm(PT_FP_CAS_LOSE, &own);
	ASSERT_OUTCOME(PT_UNMAPPED, core_point(&c, item, NULL, NULL));
	assert_int_equal(1, failures_of(PT_FP_CAS_LOSE));
	pt_host_failpoint_disarm(PT_FP_CAS_LOSE);
	core_close(&c);
}

/* --- free.delay ---------------------------------------------------------------------------- */

static void pages_go_back_after_the_last_look_that_failed(void **state)
{
	struct core c;
	uint64_t before;

	(void)state;
	open_mapped(&c, false);
	before = used(&c);
	arm(PT_FP_FREE_DELAY, 1, 5);
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, PT_SZ_1G));
	assert_in_range(failures_of(PT_FP_FREE_DELAY), 1, 4);
	for (uint64_t n = failures_of(PT_FP_FREE_DELAY); n < 5; n++) {
		assert_int_equal(before, used(&c));
		assert_true(pt_reclaim(&c.agent));
		assert_int_equal(n + 1, failures_of(PT_FP_FREE_DELAY));
	}
	assert_int_equal(before, used(&c));
	assert_false(pt_reclaim(&c.agent));
	assert_true(used(&c) < before);
	pt_host_failpoint_disarm(PT_FP_FREE_DELAY);
	core_close(&c);
}

/* --- tlbi.delay and section.long: held in a thread of their own ------------------------------ */

struct held {
	struct core *c;
	struct pt_agent agent;
	pthread_t thread;
	_Atomic bool over;
};

static void *unmaps(void *arg)
{
	struct held *h = arg;
	struct pt_item item = core_item(h->c, PT_ITEM_UNMAP, 0x1000, 0x1000, 0, 0, 0);
	struct pt_effects effects = {0};
	struct pt_error error = {0};
	enum pt_outcome outcome;

	pt_section_begin(&h->agent);
	outcome = pt_point(&h->agent, &item, &effects, &error);
	pt_section_end(&h->agent);
	atomic_store(&h->over, true);
	return (void *)(uintptr_t)outcome;
}

static void hold(struct held *h, struct core *c, enum pt_failpoint point)
{
	memset(h, 0, sizeof(*h));
	h->c = c;
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c->tables.world, &h->agent));
	pt_section_begin(&h->agent);
	pt_machine_use(&c->machine, &h->agent);
	pt_section_end(&h->agent);
	arm(point, 1, 1);
	assert_int_equal(0, pthread_create(&h->thread, NULL, unmaps, h));
	while (!failures_of(point))
		sched_yield();
	assert_false(atomic_load(&h->over));
}

static void let_go(struct held *h, enum pt_failpoint point)
{
	void *outcome;

	pt_host_failpoint_disarm(point);
	assert_int_equal(0, pthread_join(h->thread, &outcome));
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)(uintptr_t)outcome);
	pt_agent_leave(&h->agent);
}

static void open_running(struct core *c, struct pt_host_ram *ram)
{
	core_open_bytes(c, &shapes[0], UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(ram, UINT64_C(4) << 20));
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0, PT_SZ_2M, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
}

static struct pt_host_access reads(struct core *c, struct pt_host_ram *ram, uint64_t ipa)
{
	struct pt_host_access a = {.ipa = {ipa}, .access = PT_ACCESS_READ};

	pt_section_begin(&c->agent);
	pt_host_access(&c->agent, &c->ctx, ram, &a);
	pt_section_end(&c->agent);
	return a;
}

static void an_invalidation_that_is_late_has_come_when_the_unmap_ends(void **state)
{
	struct pt_host_ram ram;
	struct pt_host_access a;
	struct held h;
	struct core c;

	(void)state;
	open_running(&c, &ram);
	a = reads(&c, &ram, 0x1000);
	ASSERT_OUTCOME(PT_OK, (enum pt_outcome)a.outcome);
	hold(&h, &c, PT_FP_TLBI_DELAY);
	a = reads(&c, &ram, 0x1000); /* the entry is gone, its translation is not */
	ASSERT_OUTCOME(PT_OK, (enum pt_outcome)a.outcome);
	assert_true(a.tlb_hit);
	/* Nobody puts anything there before the flush (B3). */
	ASSERT_OUTCOME(PT_RACED,
		       core_point(&c,
				  core_item(&c, PT_ITEM_MAP, 0x1000, 0x1000, 0x9000, PT_PROT_R, 0),
				  NULL, NULL));
	let_go(&h, PT_FP_TLBI_DELAY);
	a = reads(&c, &ram, 0x1000);
	assert_false(a.tlb_hit);
	assert_int_not_equal(PT_OK, a.outcome);
	core_close(&c);
	pt_host_ram_destroy(&ram);
}

/* A claim waits for it; a point does not. */
static void a_long_section_is_waited_for(void **state)
{
	struct pt_host_ram ram;
	struct pt_item item, point;
	struct pt_txn txn;
	struct held h;
	struct core c;

	(void)state;
	open_running(&c, &ram);
	hold(&h, &c, PT_FP_SECTION_LONG);
	item = core_item(&c, PT_ITEM_UNMAP, 0, PT_SZ_2M, 0, 0, 0);
	point = core_item(&c, PT_ITEM_UNMAP, PT_SZ_2M - 0x1000, 0x1000, 0, 0, 0);
	ASSERT_OUTCOME(PT_UNMAPPED, core_point(&c, point, NULL, NULL));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	for (unsigned i = 0; i < 100; i++) {
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1000));
		pt_section_end(&c.agent);
	}
	assert_int_equal(0, txn.effects.leaves_removed);
	let_go(&h, PT_FP_SECTION_LONG);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)item.outcome);
	core_close(&c);
	pt_host_ram_destroy(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_compare_and_swap_may_lose),
		cmocka_unit_test(losing_for_ever_holds_nobody_up),
		cmocka_unit_test(a_context_is_a_scope_of_the_seam),
		cmocka_unit_test(pages_go_back_after_the_last_look_that_failed),
		cmocka_unit_test(an_invalidation_that_is_late_has_come_when_the_unmap_ends),
		cmocka_unit_test(a_long_section_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
