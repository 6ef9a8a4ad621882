/* SPDX-License-Identifier: BSD-2-Clause */
/* Transitions: what their requests may say, what they meet under way, who reaches a frame
 * meanwhile, and the life of guests. */
#include "transfer_fixture.h"

#define UNITS 600u
#define PLAIN 0u
#define SAFE  1u
#define OTHER 2u

static struct transfer_rig rig;

static void open_rig(void)
{
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M, PT_SZ_1G);
}

static void must(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn, uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 100000));
}

static enum pt_outcome ask(const struct pt_transfer_args *args)
{
	enum pt_outcome outcome = pt_transfer_init(&rig.t, args);

	for (unsigned n = 0; outcome == PT_OK && rig.t.phase != PT_TRANSFER_DONE; n++) {
		assert_true(n < 1000);
		outcome = rig_step(&rig, 1000);
		if (outcome == PT_MORE)
			outcome = PT_OK;
	}
	return outcome;
}

static void arguments_are_judged_in_their_order(void **state)
{
	struct pt_transfer_args good, a;

	(void)state;
	rig_open(&rig, &shapes[0], &shapes[1], UNITS, PT_SZ_2M, PT_SZ_1G); /* guests of 16K */
	good = rig_args(&rig, &(struct rig_op){PT_SHARE_GUEST, PLAIN, 1, 1, 2, PT_PROT_RW, false});
#define REFUSED(told, what)                                                                        \
	do {                                                                                       \
		a = good;                                                                          \
		what;                                                                              \
		ASSERT_OUTCOME(told, ask(&a));                                                     \
		ASSERT_OUTCOME(told, rig.t.error.code);                                            \
	} while (0)
	REFUSED(PT_INVALID, a.kind = 0);
	REFUSED(PT_INVALID, a.kind = PT_TRANSFERS);
	REFUSED(PT_INVALID, a.size = 0);
	REFUSED(PT_INVALID, a.wipe = true);
	REFUSED(PT_INVALID, a.prot |= UINT32_C(1) << PT_PROT_SW_SHIFT);
	REFUSED(PT_INVALID, a.prot |= 0x10); /* no such right */
	REFUSED(PT_MISALIGNED, a.pa += PT_SZ_4K);
	REFUSED(PT_MISALIGNED, a.ipa.v += PT_SZ_4K);
	REFUSED(PT_MISALIGNED, a.size += PT_SZ_4K);
	REFUSED(PT_MISALIGNED, (a.pa = 1, a.guest = 9)); /* before who that is */
	REFUSED(PT_OUT_OF_RANGE, a.pa = 0);
	REFUSED(PT_OUT_OF_RANGE, a.pa = rig.pa + rig.region.size);
	REFUSED(PT_OUT_OF_RANGE, a.size = rig.region.size);
	REFUSED(PT_OUT_OF_RANGE, a.pa = -(uint64_t)PT_SZ_64K);
	REFUSED(PT_OUT_OF_RANGE, a.ipa.v = (UINT64_C(1) << 40) - PT_SZ_16K);
	REFUSED(PT_OUT_OF_RANGE, a.ipa.v = -(uint64_t)PT_SZ_16K);
	REFUSED(PT_NOT_FOUND, a.guest = RIG_GUESTS);
	REFUSED(PT_NOT_FOUND, a.guest = UINT32_MAX);
	REFUSED(PT_WRONG_STATE, a.guest = SAFE);
	REFUSED(PT_INVALID, (a.kind = PT_DONATE_GUEST, a.guest = SAFE)); /* prot */
	REFUSED(PT_INVALID, (a.kind = PT_SHARE_HYP, a.prot = 0));	 /* an IPA */
	REFUSED(PT_INVALID, (a.kind = PT_BALLOON, a.prot = 0));		 /* a PA */
	rig.owners.wipe = NULL;
	REFUSED(PT_UNSUPPORTED, (a.kind = PT_BALLOON, a.prot = 0, a.pa = 0, a.guest = SAFE));
	REFUSED(PT_UNSUPPORTED,
		(a.kind = PT_DONATE_GUEST, a.prot = 0, a.wipe = true, a.guest = SAFE));
	REFUSED(PT_UNSUPPORTED, (a.kind = PT_RECLAIM_DYING, a.prot = 0, a.pa = 0));
#undef REFUSED
	rig_same(&rig);
	ASSERT_OUTCOME(PT_OK, ask(&good));
	assert_int_equal(good.size, rig.t.done);
	assert_int_equal(2, rig.t.effects.leaves_written);
	rig_close(&rig);
}

/* Memory in several regions: a range lies in one of them. */
static void a_range_lies_in_one_region(void **state)
{
	static const struct pt_region regions[] = {
		{PT_SZ_2M, 0x8000}, {PT_SZ_2M + 0x8000, 0x8000}, {4 * PT_SZ_2M, PT_SZ_2M}};
	static const struct {
		uint64_t pa, size;
		enum pt_outcome outcome;
	} cases[] = {
		{PT_SZ_2M, 0x8000, PT_OK},
		{PT_SZ_2M + 0x8000, 0x8000, PT_OK},
		{PT_SZ_2M + 0x7000, 0x2000, PT_OUT_OF_RANGE},
		{PT_SZ_2M + 0xf000, 0x2000, PT_OUT_OF_RANGE},
		{5 * PT_SZ_2M - 0x1000, 0x1000, PT_OK},
		{5 * PT_SZ_2M, 0x1000, PT_OUT_OF_RANGE},
		{4 * PT_SZ_2M - 0x1000, 0x2000, PT_OUT_OF_RANGE},
		{PT_SZ_2M - 0x1000, 0x2000, PT_OUT_OF_RANGE},
		{3 * PT_SZ_2M, 0x1000, PT_OUT_OF_RANGE},
	};

	(void)state;
	open_rig();
	rig.owners.region = regions;
	rig.owners.regions = 3;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pt_transfer_args a = {.owners = &rig.owners,
					     .kind = PT_SHARE_THIRD,
					     .pa = cases[i].pa,
					     .size = cases[i].size};

		ASSERT_OUTCOME(cases[i].outcome, ask(&a));
	}
	rig_close(&rig);
}

static bool some_are_tables(void *arg, uint64_t pa, uint64_t size)
{
	uint64_t table = ((struct transfer_rig *)arg)->pa + 3 * PT_SZ_4K;

	return pa < table + PT_SZ_4K && pa + size > table;
}

static void table_frames_change_no_hands(void **state)
{
	(void)state;
	open_rig();
	rig.owners.is_table = some_are_tables;
	rig.model.frame[3].kind = OWN_TABLE;
	for (uint32_t kind = 1; kind < PT_TRANSFERS; kind++)
		for (uint64_t n = 1; rig_by_pa(kind) && n < 6; n += 4) {
			struct rig_op op = {
				kind, kind == PT_DONATE_GUEST, n == 1 ? 3 : 0, 0, n, PT_PROT_RW,
				false};

			ASSERT_OUTCOME(rig_model(&rig.model, &op), rig_run(&rig, &op, 1000, 0));
		}
	rig.model.frame[3].kind = OWN_MEMORY;
	rig_same(&rig);
	rig_close(&rig);
}

/* The error tells the first page that is not right, by the address of the request. */
static void an_error_tells_its_page(void **state)
{
	(void)state;
	open_rig();
	must(PT_SHARE_HYP, 0, 20, 0, 1);
	must(PT_DONATE_GUEST, SAFE, 30, 40, 10);
	must(PT_SHARE_BACK, SAFE, 0, 45, 1);
	ASSERT_OUTCOME(PT_WRONG_STATE,
		       rig_do(&rig,
			      &(struct rig_op){
				      .kind = PT_DONATE_GUEST, .guest = SAFE, .frame = 10, .n = 20},
			      7));
	assert_int_equal(rig.pa + 20 * PT_SZ_4K, rig.t.error.ipa.v);
	ASSERT_OUTCOME(
		PT_WRONG_STATE,
		rig_do(&rig,
		       &(struct rig_op){.kind = PT_BALLOON, .guest = SAFE, .gfn = 40, .n = 10}, 7));
	assert_int_equal(rig.ipa + 45 * PT_SZ_4K, rig.t.error.ipa.v);
	ASSERT_OUTCOME(
		PT_NOT_MAPPED,
		rig_do(&rig, &(struct rig_op){.kind = PT_BALLOON, .guest = SAFE, .gfn = 46, .n = 5},
		       7));
	assert_int_equal(rig.ipa + 50 * PT_SZ_4K, rig.t.error.ipa.v);
	ASSERT_OUTCOME(
		PT_WRONG_STATE,
		rig_do(&rig, &(struct rig_op){.kind = PT_FORCE_RECLAIM, .frame = 30, .n = 12}, 7));
	assert_int_equal(rig.pa + 35 * PT_SZ_4K, rig.t.error.ipa.v);
	assert_int_equal(0, rig.t.done);
	rig_same(&rig);
	rig_close(&rig);
}

/* Records and extents that say nothing are not kept. */
static void what_is_the_hosts_again_takes_no_pages(void **state)
{
	static const uint32_t pairs[][2] = {{PT_SHARE_HYP, PT_UNSHARE_HYP},
					    {PT_DONATE_HYP, PT_RETURN_HYP},
					    {PT_SHARE_THIRD, PT_UNSHARE_THIRD},
					    {PT_SHARE_GUEST, PT_UNSHARE_GUEST},
					    {PT_DONATE_GUEST, PT_BALLOON}};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		for (uint64_t n = 1; n <= UNITS; n += UNITS - 1) {
			unsigned guest = pairs[i][0] == PT_DONATE_GUEST ? SAFE : PLAIN;

			open_rig();
			must(pairs[i][0], guest, 0, 0, n);
			assert_true(pt_store_pages(&rig.store));
			must(pairs[i][1], guest, 0, 0, n);
			rig_same(&rig);
			assert_int_equal(0, atomic_load(&rig.owners.frames.tree.root));
			assert_int_equal(0, atomic_load(&rig.owners.extents.root));
			assert_int_equal(0, pt_store_pages(&rig.store));
			rig_close(&rig);
		}
}

#ifndef PT_CHECKED /* records that nobody has transferred: the checker would object (O1, O2) */
static void set_record(uint64_t frame, struct pt_frame_record r)
{
	uint64_t pa = rig.pa + frame * PT_SZ_4K;

	pt_port_note(PT_EVENT_OWNERS, 0, &rig.c.machine, NULL, 0, 0); /* no more for the checker */
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_frames_reserve(&rig.owners.frames, &rig.c.agent, pa, PT_SZ_4K));
	pt_frames_set(&rig.owners.frames, pa, PT_SZ_4K, r);
	pt_frames_release(&rig.owners.frames, &rig.c.agent, pa, PT_SZ_4K);
	pt_section_end(&rig.c.agent);
}

/* B28, as far as counts go. */
static void counts_end_and_do_not_wrap(void **state)
{
	static const uint32_t pins[] = {PT_PIN, PT_UNPIN, PT_PIN, PT_PIN},
			      shares[] = {PT_SHARE_GUEST, PT_UNSHARE_GUEST, PT_SHARE_GUEST,
					  PT_SHARE_GUEST};
	static const enum pt_outcome outcomes[] = {PT_BUSY, PT_OK, PT_OK, PT_BUSY};
	struct rig_op op = {.frame = 0, .gfn = 4, .n = 1, .prot = PT_PROT_RW};

	(void)state;
	open_rig();
	must(PT_SHARE_HYP, 0, 0, 0, 1);
	must(PT_PIN, 0, 0, 0, 1);
	rig.model.frame[0].pins = OWN_PINS_MAX;
	set_record(0, (struct pt_frame_record){PT_PAGE_SHARED_OWNED, PT_PAGE_SHARED_BORROWED,
					       UINT16_MAX, 0, false});
	must(PT_SHARE_GUEST, PLAIN, 1, 4, 1);
	rig.model.frame[1].shares = OWN_SHARES_MAX;
	set_record(1, (struct pt_frame_record){PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0, UINT32_MAX,
					       false});
	for (unsigned i = 0; i < 4; i++) {
		op.kind = pins[i];
		op.frame = 0;
		ASSERT_OUTCOME(outcomes[i], rig_do(&rig, &op, 100));
		op.kind = shares[i];
		op.frame = 1;
		op.gfn = i == 0 || i == 3 ? 5 : 4;
		ASSERT_OUTCOME(outcomes[i], rig_do(&rig, &op, 100));
		rig_same(&rig);
	}
	rig_close(&rig);
}
#endif

/* Also where no page is as it has to be, and so no frame is known. */
static void a_generation_that_is_asked_for(void **state)
{
	struct pt_transfer_args a;
	struct rig_op op = {.kind = PT_BALLOON, .guest = SAFE, .gfn = 5, .n = 2};

	(void)state;
	open_rig();
	a = rig_args(&rig, &op);
	a.expected_generation = atomic_load(&rig.c.ctx.generation);
	ASSERT_OUTCOME(PT_NOT_MAPPED, ask(&a));
	a.expected_generation += 7;
	ASSERT_OUTCOME(PT_NOT_MAPPED, ask(&a));
	must(PT_DONATE_GUEST, SAFE, 0, 5, 2);
	a.expected_generation = atomic_load(&rig.c.ctx.generation) + 1;
	ASSERT_OUTCOME(PT_GENERATION_MISMATCH, ask(&a));
	a.expected_generation--;
	a.validate_only = true;
	ASSERT_OUTCOME(PT_OK, ask(&a));
	rig_same(&rig);
	a.validate_only = false;
	ASSERT_OUTCOME(PT_OK, ask(&a));
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	rig_same(&rig);
	a = rig_args(&rig, &(struct rig_op){.kind = PT_FORCE_RECLAIM, .n = 1});
	a.expected_generation = atomic_load(&rig.c.ctx.generation);
	ASSERT_OUTCOME(PT_WRONG_STATE, ask(&a));
	rig_close(&rig);
}

/* One frame at two addresses of a guest, in one range: two shares less. */
static void a_frame_that_is_borrowed_twice(void **state)
{
	(void)state;
	open_rig();
	must(PT_SHARE_GUEST, PLAIN, 10, 10, 8);
	must(PT_SHARE_GUEST, PLAIN, 14, 18, 8);
	must(PT_SHARE_GUEST, PLAIN, 12, 26, 3);
	must(PT_SHARE_GUEST, PLAIN, 12, 40, 1);
	rig_same(&rig);
	must(PT_UNSHARE_GUEST, PLAIN, 0, 10, 19);
	rig_same(&rig);
	assert_int_equal(1, rig.model.frame[12].shares);
	must(PT_UNSHARE_GUEST, PLAIN, 0, 40, 1);
	rig_same(&rig);
	rig_close(&rig);
}

/* Frames in more pieces than a request has room for. */
static void too_many_pieces(void **state)
{
	struct rig_op op = {.kind = PT_BALLOON, .guest = SAFE, .n = PT_TRANSFER_RUNS + 1};
	struct rig_state before;

	(void)state;
	open_rig();
	for (unsigned i = 0; i <= PT_TRANSFER_RUNS; i++)
		must(PT_DONATE_GUEST, SAFE, 2 * i, i, 1);
	rig_state_of(&rig, &before);
	ASSERT_OUTCOME(PT_TOO_LARGE, rig_run(&rig, &op, 1000, 0));
	assert_int_equal(rig.ipa + PT_TRANSFER_RUNS * PT_SZ_4K, rig.t.error.ipa.v);
	rig_unchanged(&rig, &before);
	op.n--;
	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 9));
	rig_same(&rig);
	/* Three guests at once are as many as there may be. */
	for (unsigned g = SAFE; g <= OTHER; g++)
		must(PT_DONATE_GUEST, g, 100 + 4 * g, 100, 4);
	op = (struct rig_op){.kind = PT_FORCE_RECLAIM, .frame = 104, .n = 8};
	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 9));
	rig_same(&rig);
	rig_close(&rig);
}

/* Between the look and the claims another transition comes by: what counts is what stands under the
 * claims. */
static void what_changes_after_the_look(void **state)
{
	static const struct rig_op meanwhile[] = {
		{PT_BALLOON, SAFE, 0, 20, 1, 0, false},	      /* a page goes */
		{PT_FORCE_RECLAIM, 0, 19, 0, 2, 0, false},    /* by force */
		{PT_SHARE_BACK, SAFE, 0, 16, 2, 0, false},    /* another state */
		{PT_DONATE_GUEST, OTHER, 50, 10, 2, 0, true}, /* nothing to do with it */
	};
	static const struct rig_op late[] = {{PT_BALLOON, SAFE, 0, 10, 30, 0, false},
					     {PT_SHARE_BACK, SAFE, 0, 10, 30, 0, false},
					     {PT_FORCE_RECLAIM, 0, 10, 0, 30, 0, false}};

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct pt_transfer_args args;
		static struct pt_transfer slow;
		enum pt_outcome expected, outcome = PT_MORE;

		open_rig();
		for (unsigned k = 0; k < 5; k++) /* in five pieces */
			must(PT_DONATE_GUEST, SAFE, 10 + 6 * k, 34 - 6 * k, 6);
		args = rig_args(&rig, &late[i / 4]);
		ASSERT_OUTCOME(PT_OK, pt_transfer_init(&slow, &args));
		do { /* it has looked at some */
			pt_section_begin(&rig.c.agent);
			ASSERT_OUTCOME(PT_MORE, pt_transfer_step(&slow, &rig.c.agent, 1));
			pt_section_end(&rig.c.agent);
		} while (slow.at < 12 * PT_SZ_4K);
		assert_int_equal(PT_TRANSFER_SCAN, slow.phase);
		ASSERT_OUTCOME(PT_OK, rig_do(&rig, &meanwhile[i % 4], 100));
		expected = rig_model(&rig.model, &late[i / 4]);
		for (unsigned steps = 0; outcome == PT_MORE; steps++) {
			assert_true(steps < 10000);
			pt_section_begin(&rig.c.agent);
			outcome = pt_transfer_step(&slow, &rig.c.agent, 10);
			pt_section_end(&rig.c.agent);
		}
		ASSERT_OUTCOME(expected, outcome);
		rig_same(&rig);
		rig_close(&rig);
	}
}

/* A frame that moved to another address of the same guest after the look is another frame there. */
static void another_frame_after_the_look(void **state)
{
	static struct pt_transfer slow;
	struct rig_op op = {.kind = PT_BALLOON, .guest = SAFE, .gfn = 0, .n = 2};
	struct pt_transfer_args args;
	enum pt_outcome outcome;

	(void)state;
	open_rig();
	must(PT_DONATE_GUEST, SAFE, 10, 0, 1);
	must(PT_DONATE_GUEST, SAFE, 20, 1, 1);
	args = rig_args(&rig, &op);
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&slow, &args));
	do { /* the first is looked at */
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_transfer_step(&slow, &rig.c.agent, 1));
		pt_section_end(&rig.c.agent);
	} while (slow.phase != PT_TRANSFER_SCAN || !slow.runs);
	must(PT_BALLOON, SAFE, 0, 0, 1);
	must(PT_DONATE_GUEST, SAFE, 30, 0, 1);
	do {
		pt_section_begin(&rig.c.agent);
		outcome = pt_transfer_step(&slow, &rig.c.agent, 100);
		pt_section_end(&rig.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	rig_same(&rig);
	rig_close(&rig);
}

/* Two on the same frames: the second waits for the first, and judges what that has left. */
static unsigned woken;

static void wake(struct pt_waiter *waiter)
{
	(void)waiter;
	woken++;
}

static void the_second_waits_for_the_first(void **state)
{
	static const struct rig_op first = {PT_DONATE_GUEST, SAFE, 100, 100, 300, 0, true};
	static const struct rig_op second = {PT_DONATE_GUEST, OTHER, 399, 0, 1, 0, false};
	static struct pt_transfer waits;
	struct pt_transfer_args args;
	enum pt_outcome outcome;

	(void)state;
	open_rig();
	args = rig_args(&rig, &first);
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &args));
	while (rig.t.phase != PT_TRANSFER_RUN || !pt_parties_committed(&rig.t.parties))
		ASSERT_OUTCOME(PT_MORE, rig_step(&rig, 20));
	args = rig_args(&rig, &second);
	args.wake = wake;
	woken = 0;
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&waits, &args));
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_PARKED, pt_transfer_step(&waits, &rig.c.agent, 1000));
	pt_section_end(&rig.c.agent);
	do {
		assert_int_equal(0, woken);
		outcome = rig_step(&rig, 100);
	} while (outcome == PT_MORE && !woken);
	while (outcome == PT_MORE)
		outcome = rig_step(&rig, 100);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(1, woken);
	do {
		pt_section_begin(&rig.c.agent);
		outcome = pt_transfer_step(&waits, &rig.c.agent, 100);
		pt_section_end(&rig.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_WRONG_OWNER, outcome);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &first));
	rig_same(&rig);
	rig_close(&rig);
}

/* A request may be given up until its commit point, and not afterwards. */
static void nothing_is_given_up_after_the_commit_point(void **state)
{
	static const struct rig_op op = {PT_DONATE_GUEST, SAFE, 0, 0, UNITS, 0, true};
	struct pt_transfer_args args;
	enum pt_outcome outcome;

	(void)state;
	open_rig();
	args = rig_args(&rig, &op);
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &args));
	do
		ASSERT_OUTCOME(PT_MORE, rig_step(&rig, 20));
	while (rig.t.phase != PT_TRANSFER_RUN || !pt_parties_committed(&rig.t.parties));
	pt_section_begin(&rig.c.agent);
	assert_false(pt_transfer_abort(&rig.t, &rig.c.agent));
	ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, SAFE)); /* whoever dies */
	pt_section_end(&rig.c.agent);
	while ((outcome = rig_step(&rig, 20)) == PT_MORE)
		continue;
	ASSERT_OUTCOME(PT_OK, outcome);
	pt_section_begin(&rig.c.agent);
	assert_false(pt_transfer_abort(&rig.t, &rig.c.agent));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	ASSERT_OUTCOME(PT_OK, own_teardown(&rig.model, SAFE));
	rig_same(&rig);
	rig_close(&rig);
}

static enum pt_outcome finalize(uint32_t guest)
{
	return rig_finalize(&rig, guest, 2);
}

/* The table "The life of a guest". */
static void the_life_of_a_guest(void **state)
{
	uint32_t g;

	(void)state;
	open_rig();
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_guest_teardown(&rig.owners, 3));
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_guest_teardown(&rig.owners, 99));
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_guest_create(&rig.owners, 3, &rig.ctx[0], true));
	ASSERT_OUTCOME(PT_WRONG_STATE, pt_guest_create(&rig.owners, 0, &rig.ctx[0], true));
	for (unsigned i = RIG_GUESTS; i < OWN_GUESTS; i++) {
		ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig.owners, &g));
		assert_int_equal(i, g);
	}
	ASSERT_OUTCOME(PT_BUSY, pt_guest_reserve(&rig.owners, &g));
	ASSERT_OUTCOME(PT_WRONG_STATE, pt_guest_teardown(&rig.owners, 5));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(
		PT_WRONG_STATE,
		rig_run(&rig, &(struct rig_op){.kind = PT_BALLOON, .guest = 5, .n = 1}, 9, 0));
	ASSERT_OUTCOME(PT_OK, finalize(5));
	ASSERT_OUTCOME(PT_NOT_FOUND, finalize(5));
	ASSERT_OUTCOME(PT_NOT_FOUND, finalize(99));
	ASSERT_OUTCOME(PT_WRONG_STATE, finalize(SAFE));
	must(PT_DONATE_GUEST, SAFE, 0, 599, 1);
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, SAFE));
	ASSERT_OUTCOME(PT_WRONG_STATE, pt_guest_teardown(&rig.owners, SAFE));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, own_teardown(&rig.model, SAFE));
	ASSERT_OUTCOME(PT_WRONG_STATE, finalize(SAFE)); /* it has a page */
	must(PT_RECLAIM_DYING, SAFE, 0, 0, UNITS);
	atomic_fetch_add(&rig.guest[SAFE].users, 1);
	ASSERT_OUTCOME(PT_BUSY, finalize(SAFE)); /* somebody is at it */
	atomic_fetch_sub(&rig.guest[SAFE].users, 1);
	ASSERT_OUTCOME(PT_OK, finalize(SAFE));
	assert_null(rig.guest[SAFE].ctx);
	ASSERT_OUTCOME(
		PT_NOT_FOUND,
		rig_run(&rig, &(struct rig_op){.kind = PT_BALLOON, .guest = SAFE, .n = 1}, 9, 0));
	rig_same(&rig);
	rig_close(&rig);
}

/*
 * O2: vCPUs that keep every translation as long as they may. While frames are wiped nobody reaches
 * them: the giving side no longer, the other not yet.
 */
static struct pt_host_access looked;
static uint64_t looks;

static enum pt_outcome reads(unsigned i, uint64_t at)
{
	looked = (struct pt_host_access){.ipa = {at}, .access = PT_ACCESS_AT, .vcpu = i};
	return pt_host_access(&rig.c.agent, rig_ctx(&rig, i), NULL, &looked);
}

static void wipe_and_look(void *arg, uint64_t pa, uint64_t size)
{
	rig_wipe(arg, pa, size);
	for (uint64_t at = pa; at < pa + size; at += PT_SZ_4K, looks++) {
		ASSERT_OUTCOME(PT_NOT_MAPPED, reads(0, at));
		ASSERT_OUTCOME(PT_NOT_MAPPED, reads(SAFE + 1, at - rig.pa + rig.ipa));
	}
}

static void both_read(enum pt_outcome host, enum pt_outcome guest)
{
	pt_section_begin(&rig.c.agent);
	for (uint64_t i = 0; i < UNITS; i += 7) {
		ASSERT_OUTCOME(host, reads(0, rig.pa + i * PT_SZ_4K));
		ASSERT_OUTCOME(guest, reads(SAFE + 1, rig.ipa + i * PT_SZ_4K));
	}
	pt_section_end(&rig.c.agent);
}

static void nobody_reaches_a_frame_on_its_way(void **state)
{
	const enum pt_outcome yes = PT_OK, no = PT_NOT_MAPPED;

	(void)state;
	rig_open_mmu(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M, PT_SZ_1G, true);
	rig.owners.wipe = wipe_and_look;
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&rig.c, rig.pa, UNITS * PT_SZ_4K, rig.pa, PT_PROT_RWX, 0));
	looks = 0;
	both_read(yes, no);
	ASSERT_OUTCOME(
		PT_OK,
		rig_do(&rig,
		       &(struct rig_op){
			       .kind = PT_DONATE_GUEST, .guest = SAFE, .n = UNITS, .wipe = true},
		       50));
	both_read(no, yes);
	must(PT_SHARE_BACK, SAFE, 0, 0, UNITS);
	both_read(yes, yes);
	must(PT_UNSHARE_BACK, SAFE, 0, 0, UNITS);
	both_read(no, yes);
	must(PT_BALLOON, SAFE, 0, 0, UNITS);
	both_read(no, no); /* nothing is mapped, before the host faults */
	must(PT_DONATE_GUEST, SAFE, 0, 0, UNITS);
	both_read(no, yes);
	must(PT_FORCE_RECLAIM, 0, 0, 0, UNITS);
	both_read(no, no);
	assert_int_equal(3 * UNITS, looks);
	rig_same(&rig);
	rig_close(&rig);
}

static uint64_t wiped; /* bytes */

static void wipe_and_count(void *arg, uint64_t pa, uint64_t size)
{
	rig_wipe(arg, pa, size);
	wiped += size;
}

/* The time of a step does not depend on the size of the frames that it wipes. */
static void a_step_wipes_so_many_bytes_whatever_a_frame_is(void **state)
{
	const uint32_t budget = 11000;
	const uint64_t bytes = UINT64_C(8) << 20, most = budget * UINT64_C(64) + PT_WIPE_BYTES;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const struct rig_op op = {.kind = PT_DONATE_GUEST,
					  .guest = SAFE,
					  .n = bytes >> shapes[i].args.granule_shift,
					  .wipe = true};
		struct pt_transfer_args args;
		enum pt_outcome outcome;
		uint32_t steps = 0;

		rig_open(&rig, &shapes[i], &shapes[i], op.n, PT_SZ_1G, PT_SZ_1G);
		rig.owners.wipe = wipe_and_count;
		args = rig_args(&rig, &op);
		ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &args));
		do {
			wiped = 0;
			outcome = rig_step(&rig, budget);
			assert_in_range(wiped, 0, most);
			steps += wiped != 0;
		} while (outcome == PT_MORE);
		ASSERT_OUTCOME(PT_OK, outcome);
		assert_in_range(steps, bytes / most, 2 * bytes / most); /* nor much less */
		ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
		rig_same(&rig);
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_judged_in_their_order),
		cmocka_unit_test(a_range_lies_in_one_region),
		cmocka_unit_test(table_frames_change_no_hands),
		cmocka_unit_test(an_error_tells_its_page),
		cmocka_unit_test(what_is_the_hosts_again_takes_no_pages),
#ifndef PT_CHECKED
		cmocka_unit_test(counts_end_and_do_not_wrap),
#endif
		cmocka_unit_test(a_generation_that_is_asked_for),
		cmocka_unit_test(a_frame_that_is_borrowed_twice),
		cmocka_unit_test(too_many_pieces),
		cmocka_unit_test(what_changes_after_the_look),
		cmocka_unit_test(another_frame_after_the_look),
		cmocka_unit_test(the_second_waits_for_the_first),
		cmocka_unit_test(nothing_is_given_up_after_the_commit_point),
		cmocka_unit_test(the_life_of_a_guest),
		cmocka_unit_test(nobody_reaches_a_frame_on_its_way),
		cmocka_unit_test(a_step_wipes_so_many_bytes_whatever_a_frame_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
