/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents that lend, retrieve, relinquish and take back the same frames, while others move them and
 * a guest that lends and borrows dies. Whoever wipes writes without a lock, which TSan sees. */
#include "rig_workers.h"

#define ROUNDS	10000
#define UNITS	96u
#define STRETCH 8u
#define MORTAL	2u /* guest */
#define SLOTS	6
#define HANDLES (THREADS * ROUNDS + 1u)

/* How often each has passed. */
struct passed {
	_Atomic int32_t lent, ended, retrieved[RIG_GUESTS], relinquished[RIG_GUESTS];
	unsigned lender;
};

static struct passed passed[HANDLES];
static _Atomic uint64_t asked_for[SLOTS]; /* handles; 0: one may be lent here */

/* Sometimes of a client that goes away. */
static enum pt_outcome lend_call(struct worker *w, const struct lend_op *op)
{
	struct pt_lend_args args = lend_args(w->rig, op);
	uint32_t budget = (uint32_t[]){1, 40, 100000}[below(w, 3)];
	enum pt_outcome outcome;

	args.wake = wake;
	ASSERT_OUTCOME(PT_OK, pt_lend_init(&w->l, &args));
	if (!below(w, 8) && op->kind != PT_LEND_LEAVE) {
		pt_section_begin(&w->agent);
		outcome = pt_lend_step(&w->l, &w->agent, 1);
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
		pt_section_begin(&w->agent);
		if (pt_is_control(outcome))
			pt_lend_abort(&w->l, &w->agent);
		pt_section_end(&w->agent);
		if (!pt_is_control(outcome))
			return tally(w, outcome);
	}
	STEP_TO_END(w, outcome, pt_lend_step(&w->l, &w->agent, budget));
	return tally(w, outcome);
}

/* Of two pieces: in frames of the host that are moved as well, or that are not, or a guest's. */
static void lend_in(struct worker *w, _Atomic uint64_t *slot)
{
	unsigned lender = below(w, 2) ? HOST : 1 + below(w, 2);
	uint64_t n = 1 + below(w, 3), handle = 0, none = 0;
	uint64_t at = (lender == HOST ? below(w, 2) * 3 : lender) * STRETCH + below(w, 3);
	struct pt_lend_list list = {.lender = lend_who(lender),
				    .borrowers = 2,
				    .borrower = {lender == 1 ? 2 : 1, 0},
				    .size = 2 * n << w->rig->shift,
				    .wipe = below(w, 2)};
	enum pt_outcome outcome;

	pt_section_begin(&w->agent);
	outcome = pt_lend_open(&w->rig->owners, &list, &handle);
	pt_section_end(&w->agent);
	if (outcome != PT_OK) {
		assert_true(outcome == PT_BUSY || outcome == PT_WRONG_STATE);
		return;
	}
	assert_true(handle < HANDLES);
	passed[handle].lender = lender;
	atomic_compare_exchange_strong(slot, &none, handle);
	if (lend_call(w, &(struct lend_op){PT_LEND_PIECE, lender, handle, at, n}) == PT_OK &&
	    lend_call(w, &(struct lend_op){PT_LEND_PIECE, lender, handle, at + n, n}) == PT_OK) {
		atomic_fetch_add(&passed[handle].lent, 1);
		return;
	}
	atomic_compare_exchange_strong(slot, &handle, 0);
	pt_section_begin(&w->agent);
	pt_lend_expire(&w->rig->owners, handle);
	pt_section_end(&w->agent);
}

static void lend(struct worker *w)
{
	_Atomic uint64_t *slot = &asked_for[below(w, SLOTS)];

	if (!atomic_load(slot))
		lend_in(w, slot);
}

static void borrow(struct worker *w)
{
	_Atomic uint64_t *slot = &asked_for[below(w, SLOTS)];
	struct lend_op op = {.who = below(w, RIG_GUESTS), .handle = atomic_load(slot)};
	uint64_t handle = op.handle;
	enum pt_outcome outcome;
	uint32_t what = below(w, 5);

	if (!op.handle)
		return;
	if (what < 2) {
		op.kind = PT_LEND_RETRIEVE;
		op.at = UNITS / 2 + below(w, SLOTS) * STRETCH;
		if (lend_call(w, &op) == PT_OK)
			atomic_fetch_add(&passed[op.handle].retrieved[op.who], 1);
	} else if (what < 4) {
		op.kind = PT_LEND_RELINQUISH;
		if (lend_call(w, &op) == PT_OK)
			atomic_fetch_add(&passed[op.handle].relinquished[op.who], 1);
	} else {
		op.kind = PT_LEND_RECLAIM;
		op.who = passed[op.handle].lender;
		outcome = lend_call(w, &op);
		if (outcome == PT_OK)
			atomic_fetch_add(&passed[op.handle].ended, 1);
		if (outcome == PT_OK || outcome == PT_NOT_FOUND)
			atomic_compare_exchange_strong(slot, &handle, 0);
	}
}

/* Something else wants the frames. */
static void transfer(struct worker *w)
{
	static const uint32_t kinds[] = {PT_SHARE_HYP,	  PT_UNSHARE_HYP, PT_DONATE_GUEST,
					 PT_DONATE_GUEST, PT_BALLOON,	  PT_SHARE_BACK,
					 PT_UNSHARE_BACK};
	struct rig_op op = {.kind = kinds[below(w, 7)], .guest = 1 + below(w, 2)};
	struct pt_transfer_args args;
	enum pt_outcome outcome;

	op.frame = op.gfn = below(w, STRETCH);
	op.n = 1 + below(w, 3);
	args = rig_args(w->rig, &op);
	args.wake = wake;
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&w->t, &args));
	STEP_TO_END(w, outcome, pt_transfer_step(&w->t, &w->agent, 1 + below(w, 60)));
	tally(w, outcome);
}

/* What it had is relinquished, and what it lent is taken back or comes to an end later. */
static void die(struct worker *w)
{
	enum pt_outcome outcome;

	pt_section_begin(&w->agent);
	ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&w->rig->owners, MORTAL));
	pt_section_end(&w->agent);
	do
		outcome = lend_call(w, &(struct lend_op){.kind = PT_LEND_LEAVE, .who = MORTAL});
	while (outcome == PT_BUSY);
	ASSERT_OUTCOME(PT_OK, outcome);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t what = below(w, 6);

		if (!what)
			lend(w);
		else if (what < 5)
			borrow(w);
		else
			transfer(w);
		if (w == &workers[0] && i == ROUNDS / 4 * 3)
			die(w);
		pt_reclaim(&w->agent);
	}
	return NULL;
}

static bool has(const struct pt_lending *l, uint32_t guest)
{
	for (uint32_t i = 0; i < l->borrowers; i++)
		if (l->borrower[i].guest == guest)
			return l->borrower[i].has;
	return false;
}

/* A retrieve and a relinquish take turns, but for what died; one end ends it. */
static bool check_balance(uint64_t handle)
{
	struct passed *p = &passed[handle];
	struct pt_lending l = {0};
	bool there = pt_lending_get(&rig.owners, handle, &l) == PT_OK, borrowed = false;
	int32_t lent = atomic_load(&p->lent), ended = atomic_load(&p->ended);

	assert_true(lent <= 1 && ended <= lent);
	if (there)
		assert_true(l.state == PT_LENDING_LENT && lent == 1 && !ended);
	else if (p->lender != MORTAL)
		assert_int_equal(lent, ended);
	for (uint32_t g = 0; g < RIG_GUESTS; g++) {
		int32_t more = atomic_load(&p->retrieved[g]) - atomic_load(&p->relinquished[g]);

		borrowed |= atomic_load(&p->retrieved[g]) != 0;
		assert_true(!borrowed || lent);
		if (g == MORTAL)
			assert_true(!has(&l, g) && (more == 0 || more == 1));
		else
			assert_int_equal(has(&l, g), more);
	}
	return borrowed;
}

static void check_balances(void)
{
	uint32_t lent = 0, borrowed = 0;

	pt_section_begin(&rig.c.agent);
	for (uint64_t h = 1; h < HANDLES; h++) {
		lent += (uint32_t)atomic_load(&passed[h].lent);
		borrowed += check_balance(h);
	}
	pt_section_end(&rig.c.agent);
	print_message("lendings %u, borrowed %u\n", lent, borrowed);
	assert_true(lent && borrowed);
}

/* Those that are left end in order; the dead one's with its last borrower. */
static void end_lending(uint64_t handle, uint32_t lender)
{
	struct pt_lending l;

	for (uint32_t g = 0; g < RIG_GUESTS; g++) {
		pt_section_begin(&rig.c.agent);
		l.borrowers = 0;
		pt_lending_get(&rig.owners, handle, &l);
		pt_section_end(&rig.c.agent);
		if (has(&l, g))
			ASSERT_OUTCOME(PT_OK, lend_run(&rig,
						       &(struct lend_op){.kind = PT_LEND_RELINQUISH,
									 .who = g,
									 .handle = handle},
						       1000, 0));
	}
	ASSERT_OUTCOME(lender == MORTAL ? PT_NOT_FOUND : PT_OK,
		       lend_run(&rig,
				&(struct lend_op){.kind = PT_LEND_RECLAIM,
						  .who = lender == PT_NO_GUEST ? HOST : lender,
						  .handle = handle},
				1000, 0));
}

static void check_end(void)
{
	struct rig_op op = {.kind = PT_RECLAIM_DYING, .guest = MORTAL, .n = UNITS};

	rig_audit(&rig);
	check_balances();
	for (unsigned i = 0; i < PT_LENDINGS; i++)
		if (rig.lending[i].state)
			end_lending(rig.lending[i].handle, rig.lending[i].lender);
	rig_audit(&rig);
	ASSERT_OUTCOME(PT_OK, rig_run(&rig, &op, 1000, 0));
	ASSERT_OUTCOME(PT_OK, rig_finalize(&rig, MORTAL, 1000));
	rig_audit(&rig);
	assert_int_equal(0, rig.owners.extents.promised);
}

/* Each guest but the plain one has a stretch. */
static void give_guests(void)
{
	for (unsigned g = 1; g < RIG_GUESTS; g++) {
		struct rig_op op = {.kind = PT_DONATE_GUEST,
				    .guest = g,
				    .frame = g * STRETCH,
				    .gfn = g * STRETCH,
				    .n = STRETCH};

		ASSERT_OUTCOME(PT_OK, rig_run(&rig, &op, 1000, 0));
	}
}

static void what_is_borrowed_is_given_back_once(void **state)
{
	(void)state;
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M, PT_SZ_1G);
	give_guests();
	run_workers(work);
	check_end();
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_borrowed_is_given_back_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
