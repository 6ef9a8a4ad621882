/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents that move the same frames between host, hyp and guests, while others ask who owns them and
 * guests die. Memory is written by whoever wipes it, without a lock: claims alone keep two from it,
 * which TSan sees. */
#include "rig_workers.h"

#define ROUNDS 2000
#define UNITS  640u /* two pages of records */

/* How often each kind has passed for each frame. */
static _Atomic int32_t passed[PT_TRANSFERS][UNITS];

/* Frames have the same numbers as addresses, so that transitions that follow each other meet. */
static void transfer(struct worker *w)
{
	uint32_t budget = (uint32_t[]){1, 40, 100000}[below(w, 3)];
	struct rig_op op = {.kind = 1 + below(w, PT_TRANSFERS - 1), .prot = PT_PROT_RW};
	struct pt_transfer_args args;
	enum pt_outcome outcome;

	/* What comes back with the guest alone, if at all, would soon be all. */
	if (op.kind == PT_TOP_UP && below(w, 16))
		op.kind = PT_RETURN_HYP;
	if (op.kind == PT_FORCE_RECLAIM && below(w, 16))
		op.kind = PT_BALLOON;
	op.guest = op.kind == PT_SHARE_GUEST || op.kind == PT_UNSHARE_GUEST ? 0 : 1 + below(w, 2);
	op.frame = op.gfn = below(w, 8) * 80 + below(w, 4);
	op.n = 1 + below(w, below(w, 8) ? 3 : 70);
	args = rig_args(w->rig, &op);
	args.wake = wake;
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&w->t, &args));
	if (!below(w, 8)) { /* sometimes a client that goes away */
		pt_section_begin(&w->agent);
		outcome = pt_transfer_step(&w->t, &w->agent, 1);
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
		pt_section_begin(&w->agent);
		if (pt_is_control(outcome))
			pt_transfer_abort(&w->t, &w->agent);
		pt_section_end(&w->agent);
	}
	STEP_TO_END(w, outcome, pt_transfer_step(&w->t, &w->agent, budget));
	tally(w, outcome);
	for (uint64_t i = 0; outcome == PT_OK && i < op.n; i++)
		atomic_fetch_add(&passed[op.kind][op.frame + i], 1);
}

/* Whoever asks gets an answer that could be. */
static void ask(struct worker *w)
{
	uint64_t pa = w->rig->pa + below(w, UNITS) * PT_SZ_4K;
	struct pt_extent e;

	pt_section_begin(&w->agent);
	ASSERT_OUTCOME(PT_OK, pt_extents_find(&w->rig->owners.extents, pa >> PT_OWNER_SHIFT, &e));
	assert_true(e.start <= pa >> PT_OWNER_SHIFT && e.end > pa >> PT_OWNER_SHIFT);
	assert_true(e.owner.kind <= PT_OWNER_GUEST && e.state <= PT_PAGE_SHARED_OWNED);
	assert_true(pt_frame_sound(pt_frames_get(&w->rig->owners.frames, pa)));
	pt_section_end(&w->agent);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		transfer(w);
		for (unsigned k = 0; k < 4; k++)
			ask(w);
		if (w == &workers[0] && i == ROUNDS / 2) { /* a guest dies among them */
			pt_section_begin(&w->agent);
			ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&w->rig->owners, 2));
			pt_section_end(&w->agent);
		}
		pt_reclaim(&w->agent);
	}
	return NULL;
}

static int32_t times(uint32_t kind, uint64_t i)
{
	return atomic_load(&passed[kind][i]);
}

/*
 * Whatever order they came in, what passed for a frame adds up to what it is now: a kind and the
 * one that undoes it take turns, and counts count them. The dead guest's pages may have gone back
 * on their own.
 */
static void check_sum(uint64_t i)
{
	struct pt_frame_record r = pt_frames_get(&rig.owners.frames, rig.pa + i * PT_SZ_4K);
	bool guests = r.host == PT_PAGE_SHARED_BORROWED ||
		      (r.host == PT_PAGE_NOPAGE && r.hyp == PT_PAGE_NOPAGE);
	int32_t shared_hyp = times(PT_SHARE_HYP, i) - times(PT_UNSHARE_HYP, i);
	int32_t hyps = times(PT_DONATE_HYP, i) - times(PT_RETURN_HYP, i);
	int32_t third = times(PT_SHARE_THIRD, i) - times(PT_UNSHARE_THIRD, i);
	int32_t owned =
		times(PT_DONATE_GUEST, i) - times(PT_BALLOON, i) - times(PT_FORCE_RECLAIM, i);
	int32_t back = times(PT_SHARE_BACK, i) - times(PT_UNSHARE_BACK, i);

	assert_int_equal(r.hyp == PT_PAGE_SHARED_BORROWED, shared_hyp);
	assert_int_equal(r.pins, times(PT_PIN, i) - times(PT_UNPIN, i));
	assert_int_equal(r.hyp == PT_PAGE_OWNED && !r.table, hyps);
	assert_int_equal(r.shares, times(PT_SHARE_GUEST, i) - times(PT_UNSHARE_GUEST, i));
	assert_int_equal(r.host == PT_PAGE_SHARED_OWNED && !shared_hyp && !r.shares, third);
	assert_true(owned >= guests && back >= (r.host == PT_PAGE_SHARED_BORROWED));
	if (times(PT_RECLAIM_DYING, i))
		return;
	assert_int_equal(guests, owned);
	assert_int_equal(r.host == PT_PAGE_SHARED_BORROWED, back);
}

static void check_sums(void)
{
	pt_section_begin(&rig.c.agent);
	for (uint64_t i = 0; i < UNITS; i++)
		check_sum(i);
	pt_section_end(&rig.c.agent);
}

/* Shares that records count are leaves that borrow, frames of guests are where the host's table
 * says they are, and so on: the audit. Then the dead guest gives back all that it has. */
static void check_end(void)
{
	struct rig_op op = {.kind = PT_RECLAIM_DYING, .guest = 2, .n = UNITS};

	rig_audit(&rig);
	check_sums();
	ASSERT_OUTCOME(PT_OK, rig_run(&rig, &op, 1000, 0));
	rig_audit(&rig);
	ASSERT_OUTCOME(PT_OK, rig_finalize(&rig, 2, 1000));
	assert_int_equal(0, atomic_load(&rig.guest[2].tables));
	rig_audit(&rig);
	assert_int_equal(0, rig.owners.extents.promised);
}

static void claims_alone_keep_them_apart(void **state)
{
	(void)state;
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M, PT_SZ_1G);
	run_workers(work);
	check_end();
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claims_alone_keep_them_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
