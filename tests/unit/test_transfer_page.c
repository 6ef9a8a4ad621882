/* SPDX-License-Identifier: BSD-2-Clause */
/* A transition of one page goes one way where nobody has to be waited for, and another way where it
 * runs in steps: both come to the same, in all that can be read afterwards. */
#include "transfer_fixture.h"

#define UNITS	 16u
#define PA	 UINT64_C(0x40000000)
#define IPA	 UINT64_C(0x8000000)
#define AT_ONCE	 100000u
#define IN_STEPS 8u /* below what lib/owner/point.c asks for */

static struct transfer_rig rig[2];

/* Changes of the tables and counts of a rig that one operation made. */
struct came {
	enum pt_outcome outcome;
	struct pt_effects effects;
	struct pt_error error;
	uint64_t done, generation[1 + RIG_GUESTS];
	bool at_once;
};

static struct came run(struct transfer_rig *r, const struct rig_op *op, uint32_t budget)
{
	struct pt_transfer_args args = rig_args(r, op);
	struct came c = {.outcome = pt_transfer_init(&r->t, &args)};
	unsigned steps = 0;

	for (c.outcome = c.outcome == PT_OK ? PT_MORE : c.outcome; c.outcome == PT_MORE; steps++)
		c.outcome = rig_step(r, budget);
	/* The general way has hooks. */
	c.at_once = c.outcome == PT_OK && !r->t.parties.args.hooks;
	c.effects = r->t.effects;
	c.error = r->t.error;
	c.done = r->t.done;
	for (unsigned i = 0; i <= RIG_GUESTS; i++)
		c.generation[i] = atomic_load(&rig_ctx(r, i)->generation);
	return c;
}

/* In both; *taken counts those that went at once. */
static enum pt_outcome both(const struct rig_op *op, unsigned *taken)
{
	struct came a = run(&rig[0], op, AT_ONCE), b = run(&rig[1], op, IN_STEPS);

	ASSERT_OUTCOME(a.outcome, b.outcome);
	assert_false(b.at_once);
	*taken += a.at_once;
	assert_memory_equal(&a.effects, &b.effects, sizeof(a.effects));
	assert_memory_equal(a.generation, b.generation, sizeof(a.generation));
	assert_int_equal(a.error.code, b.error.code);
	assert_int_equal(a.done, b.done);
	if (a.outcome != PT_OK)
		assert_int_equal(a.error.ipa.v, b.error.ipa.v);
	for (unsigned i = 0; i < 2; i++)
		if (a.outcome == PT_OK)
			ASSERT_OUTCOME(PT_OK, rig_model(&rig[i].model, op));
	return a.outcome;
}

static void open_both(const struct shape *host, const struct shape *guests)
{
	for (unsigned i = 0; i < 2; i++) {
		rig_open(&rig[i], host, guests, UNITS, PA, IPA);
		assert_ptr_equal(&rig[i], rig[i].owners.arg);
	}
}

static void close_both(void)
{
	for (unsigned i = 0; i < 2; i++) {
		rig_same(&rig[i]);
		rig_same_guests(&rig[i]);
		rig_close(&rig[i]);
	}
}

/* Something of each party stands beside what is looked at: tables, and a page of records. */
static void furnish(void)
{
	const struct rig_op op[] = {{PT_SHARE_GUEST, 0, 0, 0, 1, PT_PROT_RW, false},
				    {PT_DONATE_GUEST, 1, 1, 1, 1, 0, false},
				    {PT_DONATE_HYP, 0, 2, 0, 1, 0, false}};
	unsigned taken = 0;

	for (unsigned i = 0; i < sizeof(op) / sizeof(op[0]); i++)
		ASSERT_OUTCOME(PT_OK, both(&op[i], &taken));
	assert_in_range(taken, 0, 1); /* tables are missing */
}

/* O2: when records and extents are written the giving side has nothing any more, and the receiving
 * side has nothing yet. */
static void look(void *arg, const struct pt_transfer *t, bool done)
{
	struct transfer_rig *r = arg;
	pt_pte host = rig_entry(&r->c.ctx, t->list[0].pa), guest = 0;

	if (t->list[0].guest != PT_NO_GUEST)
		guest = rig_entry(&r->ctx[t->list[0].guest], t->list[0].ipa);
	if (done && t->args.kind == PT_DONATE_GUEST) {
		assert_true(host && !pt_pte_valid(host));
		assert_int_equal(0, guest);
	}
	if (done && t->args.kind == PT_BALLOON) {
		assert_int_equal(0, guest);
		assert_true(host && !pt_pte_valid(host));
	}
	if (t->args.kind == PT_DONATE_HYP)
		assert_int_equal(done ? PT_PAGE_OWNED : PT_PAGE_NOPAGE,
				 pt_frames_get(&r->owners.frames, t->list[0].pa).hyp);
}

/* Every transition that there is once, of a page that the host has mapped, or has not. */
static void each_kind_comes_to_the_same(void **state)
{
	static const struct rig_op op[] = {
		{PT_SHARE_HYP, 0, 5, 0, 1, 0, false},
		{PT_PIN, 0, 5, 0, 1, 0, false},
		{PT_UNSHARE_HYP, 0, 5, 0, 1, 0, false}, /* BUSY */
		{PT_UNPIN, 0, 5, 0, 1, 0, false},
		{PT_UNPIN, 0, 5, 0, 1, 0, false}, /* WRONG_STATE */
		{PT_UNSHARE_HYP, 0, 5, 0, 1, 0, false},
		{PT_DONATE_HYP, 0, 5, 0, 1, 0, true},
		{PT_SHARE_HYP, 0, 5, 0, 1, 0, false}, /* WRONG_OWNER */
		{PT_RETURN_HYP, 0, 5, 0, 1, 0, false},
		{PT_SHARE_THIRD, 0, 5, 0, 1, 0, false},
		{PT_UNSHARE_THIRD, 0, 5, 0, 1, 0, false},
		{PT_SHARE_GUEST, 0, 5, 7, 1, PT_PROT_R, false},
		{PT_SHARE_GUEST, 0, 5, 8, 1, PT_PROT_RWX, false},
		{PT_SHARE_GUEST, 0, 6, 8, 1, PT_PROT_R, false}, /* WRONG_STATE */
		{PT_UNSHARE_GUEST, 0, 0, 7, 1, 0, false},
		{PT_UNSHARE_GUEST, 0, 0, 7, 1, 0, false}, /* NOT_MAPPED */
		{PT_UNSHARE_GUEST, 0, 0, 8, 1, 0, false},
		{PT_DONATE_GUEST, 1, 5, 9, 1, 0, false},
		{PT_SHARE_BACK, 1, 0, 9, 1, 0, false},
		{PT_BALLOON, 1, 0, 9, 1, 0, false}, /* WRONG_STATE */
		{PT_UNSHARE_BACK, 1, 0, 9, 1, 0, false},
		{PT_BALLOON, 1, 0, 9, 1, 0, false},
		{PT_DONATE_GUEST, 1, 6, 9, 1, 0, true},
		{PT_FORCE_RECLAIM, 0, 6, 0, 1, 0, false},
		{PT_DONATE_GUEST, 1, 7, 9, 1, 0, false}, /* POISONED */
	};

	(void)state;
	for (unsigned mapped = 0; mapped < 2; mapped++) {
		unsigned taken = 0, done = 0;

		open_both(&shapes[0], &shapes[0]);
		furnish();
		rig[0].owners.watch = rig[1].owners.watch = look;
		for (unsigned i = 0; mapped && i < 2; i++)
			ASSERT_OUTCOME(PT_MAPPED, core_map(&rig[i].c, PA + 5 * PT_SZ_4K,
							   2 * PT_SZ_4K, PA + 5 * PT_SZ_4K,
							   PT_PROT_RWX, PT_MAP_FORCE_PAGES));
		for (unsigned i = 0; i < sizeof(op) / sizeof(op[0]); i++)
			done += both(&op[i], &taken) == PT_OK;
		assert_int_equal(18, done);
		assert_int_equal(17, taken); /* force asks who has the page */
		close_both();
	}
}

static void units_of_several_frames_go_in_steps(void **state)
{
	const struct rig_op op = {PT_SHARE_HYP, 0, 5, 0, 1, 0, false};
	unsigned taken = 0;

	(void)state;
	open_both(&shapes[1], &shapes[0]);
	ASSERT_OUTCOME(PT_OK, both(&op, &taken));
	assert_int_equal(0, taken);
	close_both();
}

/* The line-wise ways of a range: what was there is counted, and flushed once. */
static void a_range_that_was_mapped_is_flushed(void **state)
{
	const struct rig_op op = {PT_DONATE_GUEST, 1, 0, 0, UNITS, 0, false};
	struct came c;

	(void)state;
	rig_open(&rig[0], &shapes[0], &shapes[0], UNITS, PA, IPA);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig[0].c, PA, UNITS * PT_SZ_4K, PA, PT_PROT_RWX,
					   PT_MAP_FORCE_PAGES));
	pt_section_begin(&rig[0].c.agent);
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&rig[0].c.ctx, &rig[0].c.agent));
	pt_section_end(&rig[0].c.agent);
	c = run(&rig[0], &op, AT_ONCE);
	ASSERT_OUTCOME(PT_OK, c.outcome);
	assert_int_equal(UNITS, c.effects.leaves_removed);
	assert_int_equal(UNITS, c.effects.annotated);
	assert_int_equal(1, c.effects.tlbis);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig[0].model, &op));
	rig_same(&rig[0]);
	rig_close(&rig[0]);
}

/* One rig, beside another agent of its machine. */
static struct pt_agent other;
static const struct rig_op share = {PT_SHARE_HYP, 0, 5, 0, 1, 0, false};

static void open_with_another(void)
{
	const struct rig_op first = {PT_DONATE_HYP, 0, 2, 0, 1, 0, false};

	rig_open(&rig[0], &shapes[0], &shapes[0], UNITS, PA, IPA);
	memset(&other, 0, sizeof(other));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(rig[0].c.agent.world, &other));
	pt_section_begin(&other);
	pt_machine_use(&rig[0].c.machine, &other);
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, run(&rig[0], &first, AT_ONCE).outcome);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig[0].model, &first));
}

static void close_with_another(void)
{
	rig_same(&rig[0]);
	pt_agent_leave(&other);
	rig_close(&rig[0]);
}

static void another_agents_section_is_waited_for(void **state)
{
	struct pt_transfer_args args;

	(void)state;
	open_with_another();
	assert_true(run(&rig[0], &share, AT_ONCE).at_once); /* outside of one it keeps nobody */
	ASSERT_OUTCOME(PT_OK, rig_model(&rig[0].model, &share));
	args = rig_args(&rig[0], &(struct rig_op){PT_SHARE_HYP, 0, 6, 0, 1, 0, false});
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig[0].t, &args));
	pt_section_begin(&other);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OUTCOME(PT_MORE, rig_step(&rig[0], AT_ONCE));
	assert_int_equal(PT_PAGE_OWNED, pt_frames_get(&rig[0].owners.frames, args.pa).host);
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, rig_step(&rig[0], AT_ONCE));
	ASSERT_OUTCOME(PT_OK, own_share_hyp(&rig[0].model, 6, 1));
	close_with_another();
}

/* Before it is flushed another agent may begin to use the leaf: only steps can wait for that. */
static void what_others_may_be_using_goes_in_steps(void **state)
{
	const struct rig_op op = {PT_DONATE_HYP, 0, 5, 0, 1, 0, false};
	struct came c;

	(void)state;
	open_with_another();
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig[0].c, PA + 5 * PT_SZ_4K, PT_SZ_4K,
					   PA + 5 * PT_SZ_4K, PT_PROT_RWX, 0));
	c = run(&rig[0], &op, AT_ONCE);
	ASSERT_OUTCOME(PT_OK, c.outcome);
	assert_false(c.at_once);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig[0].model, &op));
	close_with_another();
}

/* A transition of a page counts nowhere: the end of its guest waits for the section it may be in.
 */
static void the_end_of_a_guest_waits_for_sections(void **state)
{
	struct pt_guest_final final;

	(void)state;
	open_with_another();
	pt_section_begin(&other);
	ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig[0].owners, 1));
	pt_guest_finalize_init(&final, &rig[0].owners, 1);
	for (unsigned i = 0; i < 3; i++) {
		if (i == 2)
			pt_section_end(&other);
		pt_section_begin(&rig[0].c.agent);
		ASSERT_OUTCOME(i < 2 ? PT_MORE : PT_OK,
			       pt_guest_finalize_step(&final, &rig[0].c.agent, 1000000));
		pt_section_end(&rig[0].c.agent);
	}
	close_with_another();
}

static void nobody(struct pt_waiter *waiter)
{
	(void)waiter;
}

static void a_claim_is_waited_for(void **state)
{
	struct pt_transfer_args args;
	struct pt_claim claim;

	(void)state;
	open_with_another();
	args = rig_args(&rig[0], &share);
	args.wake = nobody;
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig[0].t, &args));
	pt_section_begin(&other);
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &rig[0].c.ctx, args.pa, args.pa,
					       PT_CLAIM_EXCLUSIVE, false, NULL));
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_PARKED, rig_step(&rig[0], AT_ONCE));
	assert_int_equal(PT_PAGE_OWNED, pt_frames_get(&rig[0].owners.frames, args.pa).host);
	pt_section_begin(&other);
	pt_claim_release(&claim);
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, rig_step(&rig[0], AT_ONCE));
	ASSERT_OUTCOME(PT_OK, rig_model(&rig[0].model, &share));
	close_with_another();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_comes_to_the_same),
		cmocka_unit_test(units_of_several_frames_go_in_steps),
		cmocka_unit_test(a_range_that_was_mapped_is_flushed),
		cmocka_unit_test(another_agents_section_is_waited_for),
		cmocka_unit_test(what_others_may_be_using_goes_in_steps),
		cmocka_unit_test(the_end_of_a_guest_waits_for_sections),
		cmocka_unit_test(a_claim_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
