/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of ownership: docs/ownership.md says of each transition in each state what the model
 * says; KVM's selftest of transitions goes through it; and at random it stays sound, and unchanged
 * by what it refuses. Runs in the repository's root.
 */
#include "core.h"

#include "../model/owner.h"

#define FRAMES 12u
#define GFNS   12u
#define PLAIN  0u /* guests: one whose memory the host shares, */
#define SAFE   1u /* and two with memory of their own */
#define OTHER  2u
#define HOST   OWN_GUESTS

static char *page; /* docs/ownership.md */

static void ok(enum pt_outcome outcome)
{
	ASSERT_OUTCOME(PT_OK, outcome);
}

static void begin(struct own *o)
{
	unsigned g;

	own_open(o, FRAMES, GFNS);
	for (unsigned i = 0; i < 3; i++) {
		ok(own_reserve(o, &g));
		ok(own_create(o, g, i != PLAIN));
	}
}

/* One page of the host's (a frame) or of a guest's, lent to another guest. */
static uint64_t lend_one(struct own *o, unsigned lender, uint64_t at)
{
	uint8_t to = OTHER;
	uint64_t handle;

	ok(own_lend(o, lender, &to, 1, 1, false, &handle));
	ok(own_lend_piece(o, lender, handle, at, 1));
	return handle;
}

/* A row of the page: the names of what `count` states come to. */
static unsigned missing;

static void row(const char *name, unsigned count,
		enum pt_outcome (*cell)(unsigned state, unsigned op), unsigned op)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "| %s |", name);

	for (unsigned i = 0; i < count; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s |",
			      pt_outcome_info(cell(i, op))->name);
	snprintf(text + n, sizeof(text) - (size_t)n, "\n");
	if (strstr(page, text))
		return;
	print_error("%s", text);
	missing++;
}

/* Does a refusal change anything? */
static enum pt_outcome judged(struct own *o, struct own *before, enum pt_outcome outcome)
{
	if (outcome != PT_OK)
		assert_true(own_equal(o, before));
	assert_null(own_unsound(o));
	own_close(o);
	own_close(before);
	return outcome;
}

/* Frame 0 in each of the states that a frame can be in. */
static void make_frame(struct own *o, unsigned state)
{
	begin(o);
	switch (state) {
	case 0: break;
	case 1: ok(own_share_hyp(o, 0, 1)); break;
	case 2:
		ok(own_share_hyp(o, 0, 1));
		ok(own_pin(o, 0, 1));
		break;
	case 3: ok(own_share_guest(o, 0, PLAIN, 0, 1, 3)); break;
	case 4: ok(own_share_third(o, 0, 1)); break;
	case 5: lend_one(o, HOST, 0); break;
	case 6: ok(own_donate_hyp(o, 0, 1, false)); break;
	case 7: ok(own_donate_guest(o, 0, SAFE, 0, 1, false)); break;
	case 8:
		ok(own_donate_guest(o, 0, SAFE, 0, 1, false));
		ok(own_share_back(o, SAFE, 0, 1));
		break;
	case 9:
		ok(own_donate_guest(o, 0, SAFE, 0, 1, false));
		lend_one(o, SAFE, 0);
		break;
	case 10: o->frame[0].logged = true; break;
	case 11: o->frame[0].kind = OWN_DEVICE; break;
	default: ok(own_top_up(o, SAFE, 0, 1)); break;
	}
}

static enum pt_outcome lend_outcome(struct own *o, struct own *before, unsigned lender, uint64_t at)
{
	enum pt_outcome outcome;
	uint8_t to = lender == OTHER ? SAFE : OTHER;
	uint64_t handle;

	ok(own_lend(o, lender, &to, 1, 1, false, &handle));
	outcome = own_lend_piece(o, lender, handle, at, 1);
	before->handles = o->handles; /* the handle is spent */
	return outcome;
}

static enum pt_outcome frame_op(unsigned state, unsigned op)
{
	enum pt_outcome outcome;
	struct own o, before;

	make_frame(&o, state);
	own_copy(&before, &o);
	switch (op) {
	case 0: outcome = own_share_hyp(&o, 0, 1); break;
	case 1: outcome = own_unshare_hyp(&o, 0, 1); break;
	case 2: outcome = own_pin(&o, 0, 1); break;
	case 3: outcome = own_unpin(&o, 0, 1); break;
	case 4: outcome = own_donate_hyp(&o, 0, 1, false); break;
	case 5: outcome = own_return_hyp(&o, 0, 1); break;
	case 6: outcome = own_share_third(&o, 0, 1); break;
	case 7: outcome = own_unshare_third(&o, 0, 1); break;
	case 8: outcome = own_share_guest(&o, 0, PLAIN, 9, 1, 3); break;
	case 9: outcome = own_donate_guest(&o, 0, SAFE, 9, 1, false); break;
	case 10: outcome = lend_outcome(&o, &before, HOST, 0); break;
	case 11: outcome = own_top_up(&o, SAFE, 0, 1); break;
	case 12: outcome = own_force_reclaim(&o, 0, 1); break;
	case 13: outcome = own_may_map(&o, HOST, 0, 0); break;
	default: outcome = own_may_map(&o, OTHER, 0, 0); break;
	}
	return judged(&o, &before, outcome);
}

/* Address 0 of a guest in each state that it can be in; which guest that is. Frame 9 is the host's.
 */
static unsigned make_cell(struct own *o, unsigned state)
{
	begin(o);
	switch (state) {
	case 0: return PLAIN;
	case 1: return SAFE;
	case 2: ok(own_share_guest(o, 0, PLAIN, 0, 1, 3)); return PLAIN;
	case 3: ok(own_retrieve(o, OTHER, lend_one(o, HOST, 0), 0)); return OTHER;
	default: ok(own_donate_guest(o, 0, SAFE, 0, 1, false)); break;
	}
	switch (state) {
	case 4: break;
	case 5: ok(own_share_back(o, SAFE, 0, 1)); break;
	case 6: lend_one(o, SAFE, 0); break;
	case 7: o->guest[SAFE].map[0].logged = true; break;
	default: ok(own_force_reclaim(o, 0, 1)); break;
	}
	return SAFE;
}

static enum pt_outcome retrieve_outcome(struct own *o, struct own *before, unsigned guest)
{
	uint8_t to = (uint8_t)guest;
	uint64_t handle;

	ok(own_lend(o, HOST, &to, 1, 1, false, &handle));
	ok(own_lend_piece(o, HOST, handle, 9, 1));
	own_close(before);
	own_copy(before, o);
	return own_retrieve(o, guest, handle, 0);
}

static enum pt_outcome cell_op(unsigned state, unsigned op)
{
	enum pt_outcome outcome;
	struct own o, before;
	unsigned g = make_cell(&o, state);

	own_copy(&before, &o);
	switch (op) {
	case 0: outcome = own_share_guest(&o, 9, g, 0, 1, 3); break;
	case 1: outcome = own_unshare_guest(&o, g, 0, 1); break;
	case 2: outcome = own_change_guest(&o, g, 0, 1, OWN_WRITE_PROTECT, 0); break;
	case 3: outcome = own_donate_guest(&o, 9, g, 0, 1, true); break;
	case 4: outcome = own_share_back(&o, g, 0, 1); break;
	case 5: outcome = own_unshare_back(&o, g, 0, 1); break;
	case 6: outcome = own_balloon(&o, g, 0, 1); break;
	case 7: outcome = lend_outcome(&o, &before, g, 0); break;
	case 8: outcome = retrieve_outcome(&o, &before, g); break;
	default:
		ok(own_teardown(&o, g));
		own_close(&before);
		own_copy(&before, &o);
		outcome = own_reclaim_dying(&o, g, 0, 1);
		break;
	}
	return judged(&o, &before, outcome);
}

/* A lending of a page of SAFE's, to OTHER and PLAIN. */
static uint64_t make_lending(struct own *o, unsigned state)
{
	uint8_t to[2] = {OTHER, PLAIN};
	uint64_t handle;

	begin(o);
	ok(own_donate_guest(o, 0, SAFE, 0, 2, false));
	if (!state)
		return 77;
	ok(own_lend(o, SAFE, to, 2, 2, false, &handle));
	ok(own_lend_piece(o, SAFE, handle, 0, 1));
	if (state == 1)
		return handle;
	ok(own_lend_piece(o, SAFE, handle, 1, 1));
	if (state == 3)
		ok(own_retrieve(o, OTHER, handle, 4));
	if (state >= 4)
		ok(own_retrieve(o, PLAIN, handle, 4));
	if (state == 5)
		ok(own_teardown(o, SAFE));
	return handle;
}

static enum pt_outcome lending_op(unsigned state, unsigned op)
{
	enum pt_outcome outcome;
	struct own o, before;
	uint64_t handle = make_lending(&o, state);

	own_copy(&before, &o);
	switch (op) {
	case 0: outcome = own_lend_piece(&o, SAFE, handle, 1, 1); break;
	case 1: outcome = own_lend_piece(&o, HOST, handle, 1, 1); break;
	case 2: outcome = own_lend_expire(&o, handle); break;
	case 3: outcome = own_retrieve(&o, OTHER, handle, 8); break;
	case 4: outcome = own_retrieve(&o, SAFE, handle, 8); break;
	case 5: outcome = own_relinquish(&o, OTHER, handle); break;
	case 6: outcome = own_lend_reclaim(&o, SAFE, handle); break;
	case 7: outcome = own_lend_reclaim(&o, HOST, handle); break;
	default: outcome = own_reclaim_dying(&o, SAFE, 0, 1); break;
	}
	return judged(&o, &before, outcome);
}

static unsigned make_life(struct own *o, unsigned state)
{
	unsigned g;

	begin(o);
	if (!state)
		return 3;
	ok(own_reserve(o, &g));
	if (state == 1)
		return g;
	ok(own_create(o, g, true));
	ok(own_donate_guest(o, 0, g, 0, 1, false));
	if (state >= 3)
		ok(own_teardown(o, g));
	if (state >= 4)
		ok(own_reclaim_dying(o, g, 0, GFNS));
	return g;
}

static enum pt_outcome life_op(unsigned state, unsigned op)
{
	enum pt_outcome outcome;
	struct own o, before;
	unsigned g = make_life(&o, state);

	own_copy(&before, &o);
	switch (op) {
	case 0: outcome = own_create(&o, g, true); break;
	case 1: outcome = own_top_up(&o, g, 5, 1); break;
	case 2: outcome = own_donate_guest(&o, 5, g, 5, 1, true); break;
	case 3: outcome = own_balloon(&o, g, 0, 1); break;
	case 4: outcome = own_teardown(&o, g); break;
	case 5: outcome = own_reclaim_dying(&o, g, 0, 1); break;
	case 6: outcome = own_force_reclaim(&o, 0, 1); break;
	case 7: outcome = own_reclaim_tables(&o, g); break;
	default: outcome = own_finalize(&o, g); break;
	}
	return judged(&o, &before, outcome);
}

static void the_page_says_what_the_model_says(void **state)
{
	static const char *const by_frame[] = {"share with hyp",
					       "unshare from hyp",
					       "pin",
					       "unpin",
					       "donate to hyp",
					       "return from hyp",
					       "share with third",
					       "unshare from third",
					       "share with guest",
					       "donate to guest",
					       "lend",
					       "top up",
					       "force reclaim",
					       "map, host",
					       "map, guest"};
	static const char *const by_cell[] = {
		"share with it", "unshare",    "relax, write-protect, age",
		"donate to it",	 "share back", "unshare back",
		"balloon",	 "lend",       "retrieve there",
		"reclaim, dying"};
	static const char *const by_lending[] = {
		"piece, lender",      "piece, stranger",    "expire",
		"retrieve, borrower", "retrieve, stranger", "relinquish, borrower",
		"reclaim, lender",    "reclaim, stranger",  "reclaim page, dying"};
	static const char *const by_life[] = {"create",	       "top up",	 "donate to it",
					      "balloon",       "teardown",	 "reclaim, dying",
					      "force reclaim", "reclaim tables", "finalize"};

	(void)state;
	for (unsigned op = 0; op < 15; op++)
		row(by_frame[op], 13, frame_op, op);
	for (unsigned op = 0; op < 10; op++)
		row(by_cell[op], 9, cell_op, op);
	for (unsigned op = 0; op < 9; op++)
		row(by_lending[op], 6, lending_op, op);
	for (unsigned op = 0; op < 9; op++)
		row(by_life[op], 5, life_op, op);
	assert_int_equal(0, missing);
}

static void expect(const struct own *o, enum own_state host, enum own_state hyp,
		   enum own_state at_gfn, enum own_state next)
{
	assert_int_equal(host, o->frame[0].host);
	assert_int_equal(hyp, o->frame[0].hyp);
	assert_int_equal(at_gfn, o->guest[SAFE].map[0].state);
	assert_int_equal(next, o->guest[SAFE].map[1].state);
	assert_null(own_unsound(o));
}

/* The sequence of pkvm_ownership_selftest() (kvm-stage2.md 4.4), frame 0 and gfns 0 and 1. */
static void kvms_sequence(void **state)
{
	struct own o;

	(void)state;
	begin(&o);
	ok(own_donate_hyp(&o, 0, 1, false));
	expect(&o, OWN_NOPAGE, OWN_OWNED, OWN_NOPAGE, OWN_NOPAGE);
	ASSERT_OUTCOME(PT_WRONG_OWNER, own_share_hyp(&o, 0, 1));
	ok(own_return_hyp(&o, 0, 1));
	expect(&o, OWN_OWNED, OWN_NOPAGE, OWN_NOPAGE, OWN_NOPAGE);
	ok(own_share_hyp(&o, 0, 1));
	expect(&o, OWN_SHARED_OWNED, OWN_SHARED_BORROWED, OWN_NOPAGE, OWN_NOPAGE);
	ok(own_pin(&o, 0, 1));
	ok(own_pin(&o, 0, 1));
	ASSERT_OUTCOME(PT_BUSY, own_unshare_hyp(&o, 0, 1));
	ok(own_unpin(&o, 0, 1));
	ASSERT_OUTCOME(PT_BUSY, own_unshare_hyp(&o, 0, 1));
	ok(own_unpin(&o, 0, 1));
	ok(own_unshare_hyp(&o, 0, 1));
	ok(own_share_third(&o, 0, 1));
	expect(&o, OWN_SHARED_OWNED, OWN_NOPAGE, OWN_NOPAGE, OWN_NOPAGE);
	ASSERT_OUTCOME(PT_WRONG_STATE, own_donate_guest(&o, 0, SAFE, 0, 1, false));
	ok(own_unshare_third(&o, 0, 1));
	ok(own_share_guest(&o, 0, PLAIN, 0, 1, 3));
	ok(own_share_guest(&o, 0, PLAIN, 1, 1, 3));
	assert_int_equal(2, o.frame[0].shares);
	ok(own_unshare_guest(&o, PLAIN, 0, 1));
	ASSERT_OUTCOME(PT_NOT_MAPPED, own_unshare_guest(&o, PLAIN, 0, 1));
	expect(&o, OWN_SHARED_OWNED, OWN_NOPAGE, OWN_NOPAGE, OWN_NOPAGE);
	ok(own_unshare_guest(&o, PLAIN, 1, 1));
	ok(own_donate_guest(&o, 0, SAFE, 0, 1, false));
	expect(&o, OWN_NOPAGE, OWN_NOPAGE, OWN_OWNED, OWN_NOPAGE);
	ok(own_share_back(&o, SAFE, 0, 1));
	expect(&o, OWN_SHARED_BORROWED, OWN_NOPAGE, OWN_SHARED_OWNED, OWN_NOPAGE);
	ok(own_unshare_back(&o, SAFE, 0, 1));
	o.frame[0].content = 4711;
	ok(own_force_reclaim(&o, 0, 1));
	expect(&o, OWN_OWNED, OWN_NOPAGE, OWN_POISONED, OWN_NOPAGE);
	assert_int_equal(0, o.frame[0].content);
	ASSERT_OUTCOME(PT_POISONED, own_share_back(&o, SAFE, 0, 1));
	ASSERT_OUTCOME(PT_POISONED, own_donate_guest(&o, 0, SAFE, 0, 1, false));
	ok(own_donate_guest(&o, 0, SAFE, 1, 1, false));
	expect(&o, OWN_NOPAGE, OWN_NOPAGE, OWN_POISONED, OWN_OWNED);
	ok(own_teardown(&o, SAFE));
	ok(own_reclaim_dying(&o, SAFE, 0, 2));
	expect(&o, OWN_OWNED, OWN_NOPAGE, OWN_NOPAGE, OWN_NOPAGE);
	ok(own_donate_hyp(&o, 0, 1, false));
	own_close(&o);
}

/* A lending outlives its lender while somebody has it; a borrower's death wipes. */
static void deaths(void **state)
{
	uint8_t to[2] = {OTHER, PLAIN};
	uint64_t handle;
	struct own o;

	(void)state;
	begin(&o);
	ok(own_donate_guest(&o, 0, SAFE, 0, 2, false));
	ok(own_lend(&o, SAFE, to, 2, 2, false, &handle));
	ok(own_lend_piece(&o, SAFE, handle, 1, 1));
	ok(own_lend_piece(&o, SAFE, handle, 0, 1));
	ok(own_retrieve(&o, OTHER, handle, 5));
	ok(own_retrieve(&o, PLAIN, handle, 2));
	assert_int_equal(1, o.guest[OTHER].map[5].frame); /* in the order of the pieces */
	o.frame[0].content = o.frame[1].content = 9;
	ok(own_teardown(&o, OTHER));
	assert_int_equal(9, o.frame[0].content); /* PLAIN has it still */
	ok(own_teardown(&o, SAFE));
	ASSERT_OUTCOME(PT_BUSY, own_reclaim_dying(&o, SAFE, 0, 2));
	ASSERT_OUTCOME(PT_BUSY, own_finalize(&o, SAFE));
	ok(own_relinquish(&o, PLAIN, handle));
	assert_int_equal(0, o.frame[0].content);
	ASSERT_OUTCOME(PT_NOT_FOUND, own_relinquish(&o, PLAIN, handle));
	ASSERT_OUTCOME(PT_WRONG_STATE, own_finalize(&o, SAFE));
	ok(own_reclaim_dying(&o, SAFE, 0, GFNS));
	ok(own_finalize(&o, SAFE));
	assert_null(own_unsound(&o));
	own_close(&o);
}

static uint64_t pick(uint64_t *seed, uint64_t n)
{
	return core_random(seed) % n;
}

static enum pt_outcome any_lending(struct own *o, uint64_t *s)
{
	uint64_t handle = o->lending[pick(s, OWN_LENDINGS)].handle, n = 1 + pick(s, 2), got;
	uint8_t to[2] = {(uint8_t)pick(s, 4), (uint8_t)pick(s, 4)};
	unsigned who = (unsigned)pick(s, 5);

	who = who == 4 ? HOST : who;
	switch (pick(s, 6)) {
	case 0: return own_lend(o, who, to, 1 + (uint32_t)pick(s, 2), n, pick(s, 2), &got);
	case 1: return own_lend_piece(o, who, handle, pick(s, FRAMES), n);
	case 2: return pick(s, 8) ? PT_BUSY : own_lend_expire(o, handle);
	case 3: return own_retrieve(o, who % 4, handle, pick(s, GFNS));
	case 4: return own_relinquish(o, who % 4, handle);
	default: return own_lend_reclaim(o, who, handle);
	}
}

static enum pt_outcome any(struct own *o, uint64_t *s)
{
	uint64_t frame = pick(s, FRAMES), gfn = pick(s, GFNS), n = 1 + pick(s, 3);
	unsigned g = (unsigned)pick(s, 4);

	switch (pick(s, 30)) {
	case 0: return own_share_hyp(o, frame, n);
	case 1: return own_unshare_hyp(o, frame, n);
	case 2: return own_pin(o, frame, n);
	case 3: return own_unpin(o, frame, n);
	case 4: return own_donate_hyp(o, frame, n, pick(s, 2));
	case 5: return own_return_hyp(o, frame, n);
	case 6: return own_share_third(o, frame, n);
	case 7: return own_unshare_third(o, frame, n);
	case 8:
	case 9: return own_share_guest(o, frame, g, gfn, n, 3);
	case 10: return own_unshare_guest(o, g, gfn, n);
	case 11:
		return own_change_guest(o, g, gfn, n, (enum own_change)pick(s, 4),
					(uint8_t)pick(s, 16));
	case 12:
	case 13: return own_donate_guest(o, frame, g, gfn, n, pick(s, 2));
	case 14: return own_share_back(o, g, gfn, n);
	case 15: return own_unshare_back(o, g, gfn, n);
	case 16: return own_balloon(o, g, gfn, n);
	case 17: return own_force_reclaim(o, frame, n);
	case 18: return pick(s, 4) ? PT_BUSY : own_top_up(o, g, frame, n);
	case 19: return pick(s, 8) ? PT_BUSY : own_teardown(o, g);
	case 20: return own_reclaim_dying(o, g, gfn, n);
	case 21: return pick(s, 4) ? own_finalize(o, g) : own_reclaim_tables(o, g);
	case 22: return pick(s, 2) ? own_reserve(o, &g) : own_create(o, g, pick(s, 2));
	default: return any_lending(o, s);
	}
}

static void at_random_it_stays_sound(void **state)
{
	uint64_t seed = core_seed(), done = 0, refused = 0;
	struct own o, before;

	(void)state;
	begin(&o);
	own_copy(&before, &o);
	for (unsigned i = 0; i < 60000; i++) {
		const char *why;

		if (any(&o, &seed) != PT_OK) {
			refused++;
			if (!own_equal(&o, &before) && o.handles == before.handles) {
				/* A list of pieces goes when its last one is refused. */
				for (unsigned k = 0; k < OWN_LENDINGS; k++)
					if (before.lending[k].open && !o.lending[k].handle)
						before.lending[k] = o.lending[k];
				assert_true(own_equal(&o, &before));
			}
			continue;
		}
		done++;
		why = own_unsound(&o);
		if (why)
			fail_msg("%u: %s", i, why);
		own_close(&before);
		own_copy(&before, &o);
	}
	print_message("%llu done, %llu refused\n", (unsigned long long)done,
		      (unsigned long long)refused);
	assert_true(done > 3000 && refused > 3000);
	own_close(&before);
	own_close(&o);
}

static int read_page(void **state)
{
	FILE *f = fopen("docs/ownership.md", "r");

	(void)state;
	page = calloc(1, 65536);
	if (!f || !page || !fread(page, 1, 65535, f))
		fail_msg("cannot read docs/ownership.md");
	fclose(f);
	return 0;
}

static int forget_page(void **state)
{
	(void)state;
	free(page);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_says_what_the_model_says),
		cmocka_unit_test(kvms_sequence),
		cmocka_unit_test(deaths),
		cmocka_unit_test(at_random_it_stays_sound),
	};

	return cmocka_run_group_tests(tests, read_page, forget_page);
}
