/* SPDX-License-Identifier: BSD-2-Clause */
/* Several ranges in one transition: what comes of it is what comes of one after the other, or
 * nothing at all. */
#include "transfer_fixture.h"

#define UNITS 120u
#define PLAIN 0u
#define SAFE  1u
#define OTHER 2u
#define MOST  6u

static struct transfer_rig rig;
static struct pt_transfer_range range[PT_TRANSFER_RUNS + 1];

static void open_rig(void)
{
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M - 0x20000, PT_SZ_1G - 0x20000);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 2 * PT_SZ_2M, 0, PT_PROT_RWX, 0));
}

/* Another guest than the kind is for is refused before any page is looked at. */
static bool is_party(const struct rig_op *op)
{
	if (op->kind == PT_SHARE_GUEST)
		return op->guest == PLAIN;
	return op->kind != PT_DONATE_GUEST || op->guest != PLAIN;
}

/* The model, one range after the other; *index: the one at fault. */
static enum pt_outcome in_turn(const struct rig_op *op, uint32_t n, uint32_t *index)
{
	enum pt_outcome outcome = PT_OK;
	struct own all;

	for (*index = 0; *index < n; ++*index)
		if (!is_party(&op[*index]))
			return PT_WRONG_STATE;
	own_copy(&all, &rig.model);
	for (*index = 0; *index < n; ++*index) {
		outcome = rig_model(&all, &op[*index]);
		if (outcome != PT_OK)
			break;
	}
	if (outcome == PT_OK) {
		own_close(&rig.model);
		rig.model = all;
		return PT_OK;
	}
	own_close(&all);
	return outcome;
}

static bool clash(uint64_t a, uint64_t an, uint64_t b, uint64_t bn)
{
	return a < b + bn && b < a + an;
}

static bool overlap(const struct rig_op *a, const struct rig_op *b)
{
	if (rig_by_pa(a->kind) && clash(a->frame, a->n, b->frame, b->n))
		return true;
	return rig_by_ipa(a->kind) && a->guest == b->guest && clash(a->gfn, a->n, b->gfn, b->n);
}

/* One that a guest has. */
static void pick_page(struct rig_op *op, uint64_t *seed)
{
	for (unsigned i = 0; i < 50; i++) {
		op->guest = (unsigned)(core_random(seed) % RIG_GUESTS);
		op->gfn = core_random(seed) % (UNITS - 8);
		if (rig.model.guest[op->guest].map[op->gfn].state != OWN_NOPAGE)
			break;
	}
}

/* Some ranges that name nothing twice; their owners and states are as they come. */
static uint32_t draw(struct rig_op *op, uint64_t *seed)
{
	uint32_t kind = 1 + (uint32_t)(core_random(seed) % (PT_RECLAIM_DYING - 1)), n = 0;
	bool wipe = (kind == PT_DONATE_GUEST || kind == PT_DONATE_HYP) && core_random(seed) % 2;

	for (unsigned tries = 0; tries < 40 && n < MOST; tries++) {
		struct rig_op *o = &op[n];
		bool apart = true;

		*o = (struct rig_op){.kind = kind,
				     .guest = (unsigned)(core_random(seed) % RIG_GUESTS),
				     .frame = core_random(seed) % (UNITS - 8),
				     .n = 1 + core_random(seed) % 3,
				     .prot = core_random(seed) % 2 ? PT_PROT_R : PT_PROT_RW,
				     .wipe = wipe};
		o->gfn = core_random(seed) % 4 ? o->frame : core_random(seed) % (UNITS - 8);
		if (!rig_by_pa(kind))
			pick_page(o, seed);
		for (uint32_t i = 0; i < n; i++)
			apart &= !overlap(o, &op[i]);
		if (apart && is_party(o) && core_random(seed) % 40) {
			struct own copy; /* most of them would pass */

			own_copy(&copy, &rig.model);
			apart = rig_model(&copy, o) == PT_OK;
			own_close(&copy);
		}
		n += apart && (is_party(o) || !(core_random(seed) % 300));
	}
	return n;
}

static void index_is(const struct rig_op *op, uint32_t index)
{
	uint64_t first = rig_by_pa(op->kind) ? rig.pa + (op[index].frame << rig.shift)
					     : rig.ipa + (op[index].gfn << rig.shift);

	assert_int_equal(index, rig.t.error.index);
	assert_true(rig.t.error.ipa.v - first < op[index].n << rig.shift);
}

/* True: it passed. */
static bool one(const struct rig_op *op, uint32_t n, uint64_t *seed)
{
	struct pt_transfer_args args = rig_args_of(&rig, op, n, range);
	struct pt_host_failpoint fail = {.nth = 1 + (uint32_t)(core_random(seed) % 5), .times = 1};
	uint32_t how = (uint32_t)(core_random(seed) % 3), index,
		 budget = 1 + (uint32_t)(core_random(seed) % 300);
	enum pt_outcome outcome;
	struct rig_state before;

	rig_state_of(&rig, &before);
	if (how == 0)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
	outcome = rig_run_args(&rig, &args, budget,
			       how == 1 ? 1 + (uint32_t)(core_random(seed) % 6) : 0);
	if (how == 0)
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	if (outcome != PT_NO_MEMORY && outcome != PT_CANCELLED && outcome != PT_TOO_LARGE) {
		ASSERT_OUTCOME(in_turn(op, n, &index), outcome);
		if (outcome != PT_OK)
			index_is(op, index);
	}
	if (outcome == PT_OK)
		return true;
	rig_unchanged(&rig, &before);
	return false;
}

static void as_one_after_the_other(void **state)
{
	uint64_t seed = core_seed();
	unsigned by[PT_TRANSFERS] = {0}, passed = 0;

	(void)state;
	open_rig();
	for (unsigned i = 0; i < 600; i++) {
		struct rig_op op[MOST];
		uint32_t n = draw(op, &seed);

		if (!n || !one(op, n, &seed))
			continue;
		passed++;
		by[op->kind] += n > 1;
		if (passed % 8 == 0)
			rig_same(&rig);
	}
	rig_same(&rig);
	rig_audit(&rig);
	assert_null(own_unsound(&rig.model));
	print_message("%u passed\n", passed);
	assert_true(by[PT_SHARE_GUEST] && by[PT_DONATE_GUEST] && by[PT_UNSHARE_GUEST] &&
		    by[PT_SHARE_BACK] + by[PT_UNSHARE_BACK] + by[PT_BALLOON] +
				    by[PT_FORCE_RECLAIM] >
			    3);
	rig_close(&rig);
}

static const struct rig_op scattered[] = {
	{PT_DONATE_GUEST, OTHER, 70, 40, 3, 0, true},
	{PT_DONATE_GUEST, SAFE, 30, 90, 12, 0, true}, /* across a table of the host's */
	{PT_DONATE_GUEST, OTHER, 20, 43, 2, 0, true},
	{PT_DONATE_GUEST, SAFE, 60, 20, 15, 0, true}, /* and of the guest's */
};
#define SCATTERED 4u

/* Given up after each of its steps, and without each page that it asks for: all or nothing. */
static void all_or_nothing(void **state)
{
	struct pt_transfer_args args;
	enum pt_outcome outcome = PT_CANCELLED;
	struct rig_state before;
	uint32_t nth, index, host;

	(void)state;
	open_rig();
	args = rig_args_of(&rig, scattered, SCATTERED, range);
	range[3].size = 8 * PT_SZ_4K; /* [60, 68): up to the frames of the first */
	rig_state_of(&rig, &before);
	/* One that only asks can be given up for longer: it has no commit point. */
	for (nth = 1; outcome == PT_CANCELLED; nth++) {
		args.validate_only = true;
		outcome = rig_run_args(&rig, &args, 3, nth);
		rig_unchanged(&rig, &before);
		args.validate_only = false;
		if (outcome != PT_CANCELLED)
			continue;
		ASSERT_OUTCOME(PT_CANCELLED, rig_run_args(&rig, &args, 3, nth));
		rig_unchanged(&rig, &before);
	}
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_true(nth > 10);
	for (nth = 1, args.validate_only = false;; nth++) {
		struct pt_host_failpoint fail = {.nth = nth, .times = 1};

		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
		outcome = rig_run_args(&rig, &args, 1000, 0);
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		if (outcome == PT_OK)
			break;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		rig_unchanged(&rig, &before);
	}
	assert_true(nth > 4);
	host = (uint32_t)atomic_load(&rig.c.ctx.generation);
	assert_int_equal(before.generation[0] + 1, host);
	assert_int_equal(before.generation[1 + SAFE] + 1, atomic_load(&rig.ctx[SAFE].generation));
	assert_int_equal(25 * PT_SZ_4K, rig.t.done);
	for (index = 0; index < SCATTERED; index++) {
		struct rig_op op = scattered[index];

		op.n = index == 3 ? 8 : op.n;
		ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	}
	rig_same(&rig);
	rig_audit(&rig);
	rig_close(&rig);
}

static enum pt_outcome ask(const struct pt_transfer_args *args)
{
	return rig_run_args(&rig, args, 1000, 0);
}

static void what_is_refused_names_its_range(void **state)
{
	struct pt_transfer_args good, a;

	(void)state;
	open_rig();
#define REFUSED(told, at, what)                                                                    \
	do {                                                                                       \
		good = rig_args_of(&rig, scattered, 3, range);                                     \
		a = good;                                                                          \
		what;                                                                              \
		ASSERT_OUTCOME(told, ask(&a));                                                     \
		ASSERT_OUTCOME(told, rig.t.error.code);                                            \
		assert_int_equal(at, rig.t.error.index);                                           \
	} while (0)
	REFUSED(PT_INVALID, 0, a.ranges = 0);
	REFUSED(PT_INVALID, 0, a.range = NULL);
	REFUSED(PT_INVALID, 0, a.size = PT_SZ_4K);
	REFUSED(PT_INVALID, 0, (a.kind = PT_RECLAIM_DYING, a.wipe = false));
	REFUSED(PT_INVALID, 1, range[1].size = 0);
	REFUSED(PT_INVALID, 2, range[2].size = UINT64_MAX & ~UINT64_C(0xfff));
	REFUSED(PT_INVALID, 2, range[2].prot = PT_PROT_R);
	/* Frames that two of them name; a guest's addresses; but not those of two guests. */
	REFUSED(PT_INVALID, 1, range[1].pa = range[0].pa + 2 * PT_SZ_4K);
	REFUSED(PT_INVALID, 2, (range[2].pa = range[1].pa - PT_SZ_4K));
	REFUSED(PT_INVALID, 2, range[2].ipa.v = range[0].ipa.v - PT_SZ_4K);
	REFUSED(PT_MISALIGNED, 2, range[2].pa += 1);
	REFUSED(PT_OUT_OF_RANGE, 1, range[1].pa = rig.pa - PT_SZ_4K);
	REFUSED(PT_NOT_FOUND, 2, range[2].guest = RIG_GUESTS);
	REFUSED(PT_WRONG_STATE, 1, range[1].guest = PLAIN);
	/* A page of the first before one of the second; arguments and parties of all before both.
	 */
	ASSERT_OUTCOME(PT_OK,
		       rig_do(&rig, &(struct rig_op){PT_SHARE_HYP, 0, 72, 0, 1, 0, false}, 9));
	ASSERT_OUTCOME(PT_OK,
		       rig_do(&rig, &(struct rig_op){PT_DONATE_HYP, 0, 35, 0, 1, 0, false}, 9));
	REFUSED(PT_WRONG_STATE, 0, (void)0);
	assert_int_equal(rig.pa + 72 * PT_SZ_4K, rig.t.error.ipa.v);
	REFUSED(PT_WRONG_OWNER, 1, range[0].size = 2 * PT_SZ_4K);
	assert_int_equal(rig.pa + 35 * PT_SZ_4K, rig.t.error.ipa.v);
	REFUSED(PT_NOT_FOUND, 2, range[2].guest = RIG_GUESTS);
	REFUSED(PT_MISALIGNED, 2, range[2].ipa.v += 1);
#undef REFUSED
	rig_same(&rig);
	rig_close(&rig);
}

/* More guests than parties, more ranges than runs. */
static void too_many(void **state)
{
	struct rig_op op[PT_TRANSFER_RUNS + 1];
	struct pt_transfer_args args;

	(void)state;
	open_rig();
	for (uint32_t i = 0; i <= PT_TRANSFER_RUNS; i++)
		op[i] = (struct rig_op){PT_SHARE_HYP, 0, 2 * i, 0, 1, 0, false};
	args = rig_args_of(&rig, op, PT_TRANSFER_RUNS + 1, range);
	ASSERT_OUTCOME(PT_TOO_LARGE, ask(&args));
	assert_int_equal(PT_TRANSFER_RUNS, rig.t.error.index);
	args.ranges--;
	ASSERT_OUTCOME(PT_OK, ask(&args));
	for (uint32_t i = 0; i < PT_TRANSFER_RUNS; i++)
		ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op[i]));
	rig_same(&rig);
	for (uint32_t i = 0; i < PT_PARTIES; i++)
		op[i] = (struct rig_op){PT_DONATE_GUEST, i, 100 + i, 0, 1, 0, false};
	args = rig_args_of(&rig, op, PT_PARTIES, range);
	ASSERT_OUTCOME(PT_TOO_LARGE, ask(&args));
	assert_int_equal(PT_PARTIES - 1, rig.t.error.index);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_one_after_the_other),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(what_is_refused_names_its_range),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
