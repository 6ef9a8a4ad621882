/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls on one lending beside each other, step by step: they come about in some order, each before
 * or after each other. And deaths without memory. */
#include "lending_fixture.h"

#define UNITS  40u
#define PLAIN  0u
#define SAFE   1u
#define OTHER  2u
#define CALLS  3u
#define PIECES 4u

static struct transfer_rig rig;
static const uint8_t both[] = {OTHER, PLAIN};

/* Somebody who calls; LEAVE: who dies and then does. */
static struct caller {
	struct lend_op op;
	struct pt_lend call;
	enum pt_outcome outcome;
	bool begun, parked, over;
} caller[CALLS];

static void wake(struct pt_waiter *waiter)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (waiter == &caller[i].call.t.parties.leg[0].claim.waiter)
			caller[i].parked = false;
}

static uint64_t open_rig(unsigned lender, bool wipe, bool other, bool plain)
{
	uint64_t handle;

	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M - 0x8000, PT_SZ_1G - 0x8000);
	if (lender == SAFE)
		ASSERT_OUTCOME(PT_OK,
			       rig_do(&rig,
				      &(struct rig_op){PT_DONATE_GUEST, SAFE, 0, 0, 30, 0, false},
				      1000));
	ASSERT_OUTCOME(PT_OK, lend_open(&rig, lender, both, 2, PIECES * 2, wipe, &handle));
	for (uint64_t i = 0; i < PIECES; i++)
		ASSERT_OUTCOME(PT_OK, lend_do(&rig,
					      &(struct lend_op){PT_LEND_PIECE, lender, handle,
								5 + 4 * i, 2},
					      100));
	if (other)
		lend_do(&rig, &(struct lend_op){PT_LEND_RETRIEVE, OTHER, handle, 9, 0}, 100);
	if (plain)
		lend_do(&rig, &(struct lend_op){PT_LEND_RETRIEVE, PLAIN, handle, 9, 0}, 100);
	return handle;
}

static void close_rig(void)
{
	rig_same(&rig);
	rig_audit(&rig);
	assert_null(own_unsound(&rig.model));
	rig_close(&rig);
}

static void prepare(struct caller *c)
{
	struct pt_lend_args args = lend_args(&rig, &c->op);

	args.wake = wake;
	args.handle = c->op.kind == PT_LEND_LEAVE ? 0 : c->op.handle;
	ASSERT_OUTCOME(PT_OK, pt_lend_init(&c->call, &args));
}

static void begin(struct caller *c)
{
	c->begun = true;
	if (c->op.kind == PT_LEND_LEAVE) {
		pt_section_begin(&rig.c.agent);
		c->outcome = pt_guest_teardown(&rig.owners, c->op.who);
		pt_section_end(&rig.c.agent);
		c->over = c->outcome != PT_OK;
	}
	prepare(c);
}

static void step(struct caller *c, uint32_t budget)
{
	enum pt_outcome outcome;

	if (!c->begun)
		begin(c);
	if (c->over)
		return;
	outcome = lend_step(&rig, &c->call, budget);
	c->parked = outcome == PT_PARKED;
	if (pt_is_control(outcome))
		return;
	if (c->op.kind == PT_LEND_LEAVE && outcome == PT_BUSY) { /* others were under way: again */
		prepare(c);
		return;
	}
	c->outcome = outcome;
	c->over = true;
}

static enum pt_outcome in_model(struct own *o, const struct lend_op *op)
{
	return op->kind == PT_LEND_LEAVE ? own_teardown(o, op->who) : lend_model(o, op);
}

/* Is this what has become of the lending? */
static bool is_so(const struct own *o)
{
	const struct own_lending *m = &o->lending[0];
	const struct pt_lending *l = &rig.lending[0];

	if (m->handle != l->handle)
		return false;
	for (uint32_t i = 0; m->handle && i < m->borrowers; i++)
		if (m->borrower[i].has != l->borrower[i].has)
			return false;
	for (uint64_t i = 0; i < UNITS; i++)
		if (o->frame[i].content != rig.held[i])
			return false;
	return true;
}

/* While its lender's death is on its way a lending is there, and no longer to be had. */
static bool alike(enum pt_outcome model, enum pt_outcome lib)
{
	bool dies = false;

	for (unsigned i = 0; i < CALLS; i++)
		dies |= caller[i].op.kind == PT_LEND_LEAVE && caller[i].op.who == SAFE;
	return model == lib || (dies && model == PT_NOT_FOUND && lib == PT_WRONG_STATE);
}

/* One after the other, in this order. True: the same, and the model is what came of it. */
static bool in_order(const uint8_t *order)
{
	struct own o;
	bool same = true;

	own_copy(&o, &rig.model);
	for (unsigned i = 0; i < CALLS; i++) {
		const struct caller *c = &caller[order[i]];

		same &= alike(in_model(&o, &c->op), c->outcome);
	}
	if (same && is_so(&o)) {
		own_close(&rig.model);
		rig.model = o;
		return true;
	}
	own_close(&o);
	return false;
}

static bool in_some_order(void)
{
	static const uint8_t orders[][CALLS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
						{1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	for (unsigned i = 0; i < 6; i++)
		if (in_order(orders[i]))
			return true;
	return false;
}

static void draw(struct caller *c, unsigned lender, uint64_t handle, uint64_t *seed)
{
	memset(c, 0, sizeof(*c));
	c->op.handle = handle;
	c->op.who = core_random(seed) % 2 ? OTHER : PLAIN;
	switch (core_random(seed) % 4) {
	case 0: c->op.kind = PT_LEND_RETRIEVE; break;
	case 1: c->op.kind = PT_LEND_RELINQUISH; break;
	case 2:
		c->op.kind = PT_LEND_RECLAIM;
		c->op.who = lender;
		break;
	default:
		c->op.kind = PT_LEND_LEAVE;
		c->op.who = lender == SAFE && core_random(seed) % 2 ? SAFE : c->op.who;
		break;
	}
	c->op.at = c->op.kind == PT_LEND_RETRIEVE ? 9 + core_random(seed) % 9 : 0;
}

/* True: some call waited for another. */
static bool play(uint64_t *seed)
{
	unsigned lender = core_random(seed) % 2 ? SAFE : HOST, left = CALLS, waited = 0;
	uint64_t how = core_random(seed);
	uint64_t handle = open_rig(lender, how & 1, how & 2, how & 4);

	for (unsigned i = 0; i < CALLS; i++)
		draw(&caller[i], lender, handle, seed);
	for (unsigned steps = 0; left; steps++) {
		struct caller *c = &caller[core_random(seed) % CALLS];

		assert_true(steps < 100000);
		if (c->over || c->parked)
			continue;
		step(c, 1 + (uint32_t)(core_random(seed) % 12));
		waited += c->parked;
		left -= c->over;
	}
	if (!in_some_order())
		for (unsigned i = 0; i < CALLS; i++)
			print_error("call %u by %u: %s\n", caller[i].op.kind, caller[i].op.who,
				    pt_outcome_info(caller[i].outcome)->name);
	close_rig();
	return waited;
}

static void each_before_or_after_each_other(void **state)
{
	uint64_t seed = core_seed();
	unsigned waited = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		waited += play(&seed);
	print_message("%u times somebody waited\n", waited);
	assert_true(waited > 20);
}

/* The death of a borrower and then of the lender, or the other way round, each page refused in its
 * turn: what could not be done is done when they are asked again. */
static void a_death_without_memory(void **state)
{
	unsigned failed = 0, left = 0;

	(void)state;
	for (unsigned borrower_first = 0; borrower_first < 2; borrower_first++)
		for (uint32_t nth = 1, again = 1; again; nth++) {
			struct pt_host_failpoint fail = {.nth = nth, .times = 1};
			unsigned order[] = {borrower_first ? OTHER : SAFE,
					    borrower_first ? SAFE : OTHER};

			open_rig(SAFE, true, true, false);
			again = 0;
			for (unsigned i = 0; i < 2; i++) {
				enum pt_outcome outcome;

				pt_section_begin(&rig.c.agent);
				ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, order[i]));
				pt_section_end(&rig.c.agent);
				pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
				outcome = lend_leave(&rig, order[i], 1000);
				pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
				if (outcome != PT_OK)
					ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
				failed += outcome != PT_OK;
				again |= outcome != PT_OK;
				own_teardown(&rig.model, order[i]);
			}
			/* A borrower is through when it has nothing, whatever its lender has. */
			left += rig.lending[0].handle != 0;
			again |= rig.lending[0].handle != 0;
			for (unsigned i = 0; i < 2; i++)
				ASSERT_OUTCOME(PT_OK, lend_leave(&rig, order[i], 1000));
			assert_int_equal(0, rig.lending[0].handle);
			close_rig();
		}
	print_message("%u without memory, %u left for later\n", failed, left);
	assert_true(failed && left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_before_or_after_each_other),
		cmocka_unit_test(a_death_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
