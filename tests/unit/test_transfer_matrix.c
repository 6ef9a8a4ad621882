/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every transition in every state: what the model refuses is refused in the same words and changes
 * nothing. What it allows is given up after each of its steps, is refused each page that it asks
 * for, and only then passes. KVM's selftest of transitions is one walk through these states.
 */
#include "rig_log.h"

#define UNITS 16u
#define PLAIN 0u
#define SAFE  1u
#define OTHER 2u

static struct transfer_rig rig;
static struct rig_logs logs;

static struct {
	unsigned states, refused, passed, given_up, failed;
} tally;

static void must(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn, uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1000));
}

/* Units 0 to 13 are in a state each, and so are the addresses of the guests; 14 and 15 are the
 * host's. Units are not aligned to blocks, but some that are shared together begin one. */
static void begin(bool dying)
{
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M - 0x8000, PT_SZ_1G - 0x8000);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 2 * PT_SZ_2M, 0, PT_PROT_RWX, 0));
	must(PT_SHARE_HYP, 0, 1, 0, 2);
	must(PT_PIN, 0, 2, 0, 1);
	must(PT_SHARE_GUEST, PLAIN, 3, 3, 1);
	must(PT_SHARE_THIRD, 0, 4, 0, 1);
	must(PT_DONATE_HYP, 0, 5, 0, 1);
	must(PT_DONATE_GUEST, SAFE, 6, 6, 2);
	must(PT_SHARE_BACK, SAFE, 0, 7, 1);
	must(PT_SHARE_GUEST, PLAIN, 8, 8, 1);
	must(PT_SHARE_GUEST, PLAIN, 8, 9, 1);
	must(PT_DONATE_GUEST, SAFE, 10, 10, 2);
	must(PT_FORCE_RECLAIM, 0, 10, 0, 1);
	must(PT_TOP_UP, SAFE, 12, 0, 1);
	must(PT_TOP_UP, OTHER, 13, 0, 1);
	rig_logs_start(&rig, &logs, SAFE);
	for (unsigned g = SAFE; dying && g <= OTHER; g++) {
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, g));
		pt_section_end(&rig.c.agent);
		ASSERT_OUTCOME(PT_OK, own_teardown(&rig.model, g));
	}
	rig_same(&rig);
}

static void finish(void)
{
	rig_logs_stop(&rig, &logs);
	rig_close(&rig);
}

/* Each of its steps is a valid end. */
static bool in_parts(uint32_t kind)
{
	return kind == PT_RECLAIM_DYING || kind == PT_RECLAIM_TABLES;
}

/* A transition that the model allows: all that can go wrong does, and then it passes. */
static void exhaust(const struct rig_op *op)
{
	enum pt_outcome outcome = PT_CANCELLED;
	struct rig_state before;

	rig_state_of(&rig, &before);
	for (uint32_t nth = 1; !in_parts(op->kind); nth++, tally.given_up++) {
		outcome = rig_run(&rig, op, 1, nth);
		if (outcome != PT_CANCELLED)
			break;
		rig_unchanged(&rig, &before);
		rig_same(&rig);
	}
	if (outcome == PT_CANCELLED)
		outcome = rig_run(&rig, op, 1, 0);
	ASSERT_OUTCOME(PT_OK, outcome);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, op));
	tally.passed++;
	rig_same(&rig);
	rig_audit(&rig);
}

static void without_memory(const struct rig_op *op)
{
	enum pt_outcome outcome;
	struct rig_state before;

	rig_state_of(&rig, &before);
	for (uint32_t nth = 1;; nth++, tally.failed++) {
		struct pt_host_failpoint fail = {.nth = nth, .times = 1};

		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
		outcome = rig_run(&rig, op, 1000, 0);
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		if (outcome != PT_NO_MEMORY)
			break;
		rig_unchanged(&rig, &before);
		rig_same(&rig);
	}
	ASSERT_OUTCOME(PT_OK, outcome);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, op));
	rig_same(&rig);
}

/* That nothing has changed is looked at once for some of them. */
static void refused(const struct rig_op *op, enum pt_outcome expected)
{
	enum pt_outcome outcome = rig_run(&rig, op, 1000, 0);

	if (outcome != expected)
		print_error("kind %u guest %u frame %llu gfn %llu n %llu\n", op->kind, op->guest,
			    (unsigned long long)op->frame, (unsigned long long)op->gfn,
			    (unsigned long long)op->n);
	ASSERT_OUTCOME(expected, outcome);
	tally.refused++;
}

/* What the model would say. */
static enum pt_outcome foretold(const struct rig_op *op)
{
	enum pt_outcome outcome;
	struct own copy;

	own_copy(&copy, &rig.model);
	outcome = rig_model(&copy, op);
	own_close(&copy);
	return outcome;
}

static void in_this_state(const struct rig_op *op, bool dying, struct rig_state *before)
{
	enum pt_outcome expected = foretold(op);

	if (expected != PT_OK) {
		refused(op, expected);
		return;
	}
	rig_unchanged(&rig, before);
	exhaust(op);
	finish();
	begin(dying);
	if (!in_parts(op->kind)) {
		without_memory(op);
		finish();
		begin(dying);
	}
	rig_state_of(&rig, before);
}

/* All requests of a kind whose addresses lie in the states. */
static void every(uint32_t kind, bool dying)
{
	uint64_t frames = rig_by_pa(kind) ? 15 : 1, gfns = rig_by_ipa(kind) ? 13 : 1;
	unsigned guests = rig_by_guest(kind) ? 4 : 1; /* the last is nobody */
	struct rig_state before;

	rig_state_of(&rig, &before);
	for (uint64_t n = 1; n <= 2; n++)
		for (uint64_t frame = 0; frame < frames; frame++)
			for (unsigned g = 0; g < guests; g++)
				for (uint64_t gfn = 0; gfn < gfns; gfn++) {
					struct rig_op op = {kind, g,	      frame, gfn,
							    n,	  PT_PROT_RW, false};

					tally.states++;
					in_this_state(&op, dying, &before);
				}
	rig_unchanged(&rig, &before);
	rig_same(&rig);
}

static void every_transition_in_every_state(void **state)
{
	(void)state;
	memset(&tally, 0, sizeof(tally));
	for (unsigned dying = 0; dying < 2; dying++) {
		begin(dying);
		rig_audit(&rig);
		assert_null(own_unsound(&rig.model));
		for (uint32_t kind = 1; kind < PT_TRANSFERS; kind++)
			every(kind, dying);
		finish();
	}
	print_message("%u requests by state: %u refused, %u passed, after %u were given up and %u "
		      "without memory\n",
		      tally.states, tally.refused, tally.passed, tally.given_up, tally.failed);
	assert_true(tally.passed > 100 && tally.given_up > tally.passed && tally.failed > 100);
}

/* KVM: pkvm_ownership_selftest. The triple of unit 0: host, hyp, the guest at 0 and at 1; and
 * whatever is not allowed then changes nothing. */
static void triple(unsigned guest, enum pt_page_state host, enum pt_page_state hyp,
		   enum pt_page_state at0, enum pt_page_state at1)
{
	struct pt_frame_record r;
	struct rig_state before;

	pt_section_begin(&rig.c.agent);
	r = pt_frames_get(&rig.owners.frames, rig.pa);
	pt_section_end(&rig.c.agent);
	assert_int_equal(host, r.host);
	assert_int_equal(hyp, r.hyp);
	assert_int_equal(at0, rig.model.guest[guest].map[0].state);
	assert_int_equal(at1, rig.model.guest[guest].map[1].state);
	rig_same(&rig);
	rig_state_of(&rig, &before);
	for (uint32_t kind = 1; kind < PT_TRANSFERS; kind++)
		for (unsigned g = 0; g < RIG_GUESTS; g++)
			for (uint64_t gfn = 0; gfn < 2; gfn++) {
				struct rig_op op = {kind, g, 0, gfn, 1, PT_PROT_RW, false};
				enum pt_outcome expected = foretold(&op);

				if (expected != PT_OK)
					refused(&op, expected);
			}
	rig_unchanged(&rig, &before);
	rig_same(&rig);
}

static void kvms_selftest(void **state)
{
	const enum pt_page_state own = PT_PAGE_OWNED, shared = PT_PAGE_SHARED_OWNED,
				 borrowed = PT_PAGE_SHARED_BORROWED, none = PT_PAGE_NOPAGE,
				 poison = PT_PAGE_POISONED;
	struct rig_op busy = {.kind = PT_UNSHARE_HYP, .n = 1};

	(void)state;
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M, PT_SZ_1G);
	must(PT_DONATE_HYP, 0, 0, 0, 1);
	triple(SAFE, none, own, none, none);
	must(PT_RETURN_HYP, 0, 0, 0, 1);
	triple(SAFE, own, none, none, none);
	must(PT_SHARE_HYP, 0, 0, 0, 1);
	triple(SAFE, shared, borrowed, none, none);
	must(PT_PIN, 0, 0, 0, 1);
	must(PT_PIN, 0, 0, 0, 1);
	ASSERT_OUTCOME(PT_BUSY, rig_do(&rig, &busy, 1000));
	triple(SAFE, shared, borrowed, none, none);
	must(PT_UNPIN, 0, 0, 0, 1);
	ASSERT_OUTCOME(PT_BUSY, rig_do(&rig, &busy, 1000));
	must(PT_UNPIN, 0, 0, 0, 1);
	must(PT_UNSHARE_HYP, 0, 0, 0, 1);
	triple(SAFE, own, none, none, none);
	must(PT_SHARE_THIRD, 0, 0, 0, 1);
	triple(SAFE, shared, none, none, none);
	must(PT_UNSHARE_THIRD, 0, 0, 0, 1);
	must(PT_SHARE_GUEST, PLAIN, 0, 0, 1);
	triple(PLAIN, shared, none, borrowed, none);
	must(PT_SHARE_GUEST, PLAIN, 0, 1, 1);
	triple(PLAIN, shared, none, borrowed, borrowed);
	must(PT_UNSHARE_GUEST, PLAIN, 0, 0, 1);
	triple(PLAIN, shared, none, none, borrowed);
	must(PT_UNSHARE_GUEST, PLAIN, 0, 1, 1);
	triple(PLAIN, own, none, none, none);
	must(PT_DONATE_GUEST, SAFE, 0, 0, 1);
	triple(SAFE, none, none, own, none);
	must(PT_SHARE_BACK, SAFE, 0, 0, 1);
	triple(SAFE, borrowed, none, shared, none);
	must(PT_UNSHARE_BACK, SAFE, 0, 0, 1);
	triple(SAFE, none, none, own, none);
	must(PT_FORCE_RECLAIM, 0, 0, 0, 1);
	triple(SAFE, own, none, poison, none);
	must(PT_DONATE_GUEST, SAFE, 0, 1, 1);
	triple(SAFE, none, none, poison, own);
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, SAFE));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, own_teardown(&rig.model, SAFE));
	triple(SAFE, none, none, poison, own);
	must(PT_RECLAIM_DYING, SAFE, 0, 0, 2);
	triple(SAFE, own, none, none, none);
	must(PT_DONATE_HYP, 0, 0, 0, 1);
	triple(SAFE, none, own, none, none);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_transition_in_every_state),
		cmocka_unit_test(kvms_selftest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
