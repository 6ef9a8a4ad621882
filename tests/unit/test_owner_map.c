/* SPDX-License-Identifier: BSD-2-Clause */
/* What a MAP, UNMAP or ANNOTATE of who manages mappings is told in a machine with owners: the "map"
 * rows of docs/ownership.md, as the model has them, for points and transactions. */
#include "lending_fixture.h"
#include "upkeep.h"

#define UNITS 64u

static struct transfer_rig rig;
static uint64_t tables_from, tables_to; /* frames of tables, by PA */

static bool watch = true; /* that a refusal changes nothing */

static bool is_table(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg;
	return pa < tables_to && pa + size > tables_from;
}

static struct pt_item item_of(unsigned party, enum pt_item_kind kind, uint64_t at, uint64_t frame,
			      uint64_t n, uint32_t prot, uint32_t flags)
{
	uint64_t pa = rig.pa + (frame << rig.shift);

	return (struct pt_item){.ctx = rig_ctx(&rig, party),
				.ipa = {party ? rig.ipa + (at << rig.shift) : pa},
				.size = n << rig.shift,
				.pa = {kind == PT_ITEM_ANNOTATE ? UINT64_C(9) << 60 | 2 : pa},
				.prot = prot,
				.flags = flags,
				.kind = kind};
}

/* As a point where it is one, else as a transaction. */
static enum pt_outcome change(struct pt_item *item, bool point, uint32_t budget,
			      struct pt_error *err)
{
	struct pt_effects effects = {0};
	enum pt_outcome outcome = PT_MORE;
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_item_check(item));
	*err = (struct pt_error){0};
	if (point) {
		pt_section_begin(&rig.c.agent);
		outcome = pt_point(&rig.c.agent, item, &effects, err);
		assert_int_equal(0, pt_points(&rig.c.agent, item, 1, &effects));
		pt_section_end(&rig.c.agent);
	}
	if (outcome != PT_MORE)
		return outcome;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, item, 1, 0, false, NULL));
	outcome = core_run(&txn, &rig.c.agent, budget);
	*err = txn.error;
	return outcome == PT_OK ? (enum pt_outcome)item->outcome : outcome;
}

/* Of the range's pages upwards, the first that the model refuses. */
static enum pt_outcome model_says(unsigned party, uint64_t at, uint64_t frame, uint64_t n,
				  uint64_t *first)
{
	enum pt_outcome outcome = PT_OK;

	for (*first = 0; *first < n; ++*first) {
		outcome = own_may_map(&rig.model, party ? party - 1 : OWN_GUESTS, at + *first,
				      frame + *first);
		if (outcome != PT_OK)
			break;
	}
	return outcome;
}

/* For this cause, with the place where it stands, and with nothing changed. */
static enum pt_outcome refused_at(enum pt_outcome expected, enum pt_outcome outcome,
				  const struct pt_error *err, uint64_t ipa,
				  const struct rig_state *before)
{
	ASSERT_OUTCOME(expected, outcome);
	ASSERT_OUTCOME(expected, err->code);
	assert_int_equal(ipa, err->ipa.v);
	if (watch)
		rig_unchanged(&rig, before);
	return outcome;
}

/* A MAP, in both. */
static enum pt_outcome map(unsigned party, uint64_t at, uint64_t frame, uint64_t n, uint32_t prot,
			   uint32_t flags, bool point, uint32_t budget)
{
	struct pt_item item = item_of(party, PT_ITEM_MAP, at, frame, n, prot, flags);
	struct rig_state before;
	struct pt_error err;
	uint64_t first;
	enum pt_outcome expected = model_says(party, at, frame, n, &first), outcome;

	if (watch)
		rig_state_of(&rig, &before);
	outcome = change(&item, point, budget, &err);
	if (expected == PT_OK) {
		assert_false(pt_is_error(outcome));
		for (uint64_t i = 0; party && flags & PT_MAP_REPLACE && i < n; i++)
			rig.model.guest[party - 1].map[at + i].prot = (uint8_t)prot;
		return outcome;
	}
	return refused_at(expected, outcome, &err, item.ipa.v + (first << rig.shift), &before);
}

static void must(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn, uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1000));
}

/* Three units of each state, from unit 0 on, and as many of the host's in the end. Guests have what
 * they have at the number of its frame. */
enum {
	HOSTS,
	WITH_HYP,
	PINNED,
	WITH_GUESTS,
	WITH_THIRD,
	LENT,
	HYPS,
	GUESTS,
	BACK,
	POISON,
	BY_GUEST, /* lent */
	STATES
};
#define EACH 3u

/* And retrieved. */
static void lend_to(unsigned lender, unsigned what, uint8_t borrower)
{
	uint64_t handle = lend_now(&rig, lender, &borrower, 1, what * EACH, EACH, false);
	struct lend_op op = {PT_LEND_RETRIEVE, borrower, handle, what * EACH, 0};

	ASSERT_OUTCOME(PT_OK, lend_do(&rig, &op, 1000));
}

static void open_states(const struct shape *host, const struct shape *guests)
{
	rig_open(&rig, host, guests, UNITS, 7 * PT_SZ_2M - 0x30000, PT_SZ_1G - 0x30000);
	must(PT_SHARE_HYP, 0, WITH_HYP * EACH, 0, EACH);
	must(PT_SHARE_HYP, 0, PINNED * EACH, 0, EACH);
	must(PT_PIN, 0, PINNED * EACH, 0, EACH);
	must(PT_SHARE_GUEST, 0, WITH_GUESTS * EACH, WITH_GUESTS * EACH, EACH);
	must(PT_SHARE_THIRD, 0, WITH_THIRD * EACH, 0, EACH);
	must(PT_DONATE_HYP, 0, HYPS * EACH, 0, EACH);
	must(PT_DONATE_GUEST, 1, GUESTS * EACH, GUESTS * EACH, EACH);
	must(PT_DONATE_GUEST, 1, BACK * EACH, BACK * EACH, EACH);
	must(PT_SHARE_BACK, 1, 0, BACK * EACH, EACH);
	must(PT_DONATE_GUEST, 1, POISON * EACH, POISON * EACH, EACH);
	must(PT_FORCE_RECLAIM, 0, POISON * EACH, 0, EACH);
	must(PT_DONATE_GUEST, 1, BY_GUEST * EACH, BY_GUEST * EACH, EACH);
	lend_to(HOST, LENT, 1);
	lend_to(1, BY_GUEST, 0);
}

static void close_states(void)
{
	tables_from = tables_to = 0;
	rig_close(&rig);
}

static void the_host_maps_what_it_has(void **state)
{
	static const enum pt_outcome says[STATES] = {[LENT] = PT_WRONG_STATE,
						     [HYPS] = PT_WRONG_OWNER,
						     [GUESTS] = PT_WRONG_OWNER,
						     [BY_GUEST] = PT_WRONG_OWNER};
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		open_states(&shapes[i & 1 ? 2 : 0], &shapes[0]);
		for (unsigned s = 0; s < STATES; s++)
			for (uint64_t n = 1; n <= EACH; n++) {
				enum pt_outcome outcome =
					map(0, 0, s * EACH, n, PT_PROT_RWX, PT_MAP_REPLACE, i < 2,
					    n == 2 ? 1 : 1000);

				if (says[s])
					ASSERT_OUTCOME(says[s], outcome);
				else
					assert_false(pt_is_error(outcome));
			}
		/* A range is refused at its first page that is not right. */
		ASSERT_OUTCOME(PT_WRONG_STATE, map(0, 0, 0, (HYPS + 1) * EACH, PT_PROT_RWX,
						   PT_MAP_REPLACE, i < 2, 1));
		/* No memory. */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&rig.c, PT_SZ_1G, PT_SZ_2M, PT_SZ_1G, PT_PROT_RW, 0));
		close_states();
	}
}

static void a_guest_maps_what_it_has_where_it_has_it(void **state)
{
	(void)state;
	open_states(&shapes[0], &shapes[0]);
	for (unsigned party = 1; party <= 2; party++)
		for (unsigned s = 0; s < STATES; s++)
			for (unsigned point = 0; point < 2; point++) {
				map(party, s * EACH, s * EACH, EACH, PT_PROT_R, 0, point, 2);
				map(party, s * EACH, s * EACH, 1, PT_PROT_R, PT_MAP_REPLACE, point,
				    1000);
				/* Another's address, and beside its own. */
				map(party, s * EACH, s * EACH + 1, 1, PT_PROT_R, PT_MAP_REPLACE,
				    point, 1000);
				map(party, 40 + s, s * EACH, 1, PT_PROT_RW, 0, point, 1000);
				map(party, 40, s * EACH, EACH, PT_PROT_RW, 0, point, 1);
			}
	/* Rights were changed, states were not. */
	assert_int_equal(PT_PROT_R, rig.model.guest[1].map[GUESTS * EACH].prot);
	rig_same_guests(&rig);
	close_states();
}

/* A block in the place of tables, or another memory type, would write the leaves' states anew. */
static void a_guest_replaces_rights_alone(void **state)
{
	const uint64_t n = PT_SZ_2M >> 12;
	struct pt_error err;
	struct pt_item item;
	int level;
	pt_pte e;

	(void)state;
	rig_open(&rig, &shapes[0], &shapes[0], n + 512, 8 * PT_SZ_2M, PT_SZ_1G);
	for (uint64_t i = 0; i < n; i++)
		must(PT_DONATE_GUEST, 1, i, i, 1);
	must(PT_SHARE_BACK, 1, 0, 7, 1);
	map(2, 0, 0, n, PT_PROT_R, PT_MAP_REPLACE, true, 1000);
	rig_same(&rig);
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&rig.ctx[1], pt_ipa(rig.ipa + 0x5000), &e, &level));
	pt_section_end(&rig.c.agent);
	assert_int_equal(3, level);
	for (unsigned point = 0; point < 2; point++) {
		item = item_of(2, PT_ITEM_MAP, 3, 3, 1, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE),
			       PT_MAP_REPLACE);
		ASSERT_OUTCOME(PT_WRONG_STATE, change(&item, point, 1000, &err));
	}
	rig_same(&rig);
	rig_close(&rig);
}

static void frames_of_tables_are_nobodys_to_map(void **state)
{
	(void)state;
	for (unsigned point = 0; point < 2; point++) {
		open_states(&shapes[0], &shapes[0]);
		rig.owners.is_table = is_table;
		tables_from = rig.pa + (uint64_t)52 * PT_SZ_4K;
		tables_to = tables_from + 2 * PT_SZ_4K;
		rig.model.frame[52].kind = rig.model.frame[53].kind = OWN_TABLE;
		ASSERT_OUTCOME(PT_WRONG_OWNER,
			       map(0, 0, 52, 1, PT_PROT_RW, PT_MAP_REPLACE, point, 1000));
		ASSERT_OUTCOME(PT_WRONG_OWNER, map(0, 0, 44, 18, PT_PROT_RW, 0, point, 3));
		ASSERT_OUTCOME(PT_WRONG_OWNER, map(2, 40, 53, 1, PT_PROT_RW, 0, point, 1000));
		assert_false(pt_is_error(map(0, 0, 54, 8, PT_PROT_RW, 0, point, 1000)));
		close_states();
	}
}

/* What a party has is not taken out of its table, and no annotation is forged. */
static void entries_that_say_who_owns_stay(void **state)
{
	struct pt_error err;

	(void)state;
	open_states(&shapes[0], &shapes[0]);
	for (unsigned s = 0; s < STATES; s++)
		for (unsigned i = 0; i < 8; i++) {
			unsigned party = i / 4;
			bool point = i & 1, annotate = i & 2;
			uint64_t n = point ? 1 : EACH;
			struct pt_item item =
				item_of(party ? 2 : 0, annotate ? PT_ITEM_ANNOTATE : PT_ITEM_UNMAP,
					s * EACH, s * EACH, n, 0, 0);
			const struct own_cell *c = &rig.model.guest[1].map[s * EACH];
			bool had = party ? c->state != OWN_NOPAGE
					 : s == LENT || s == HYPS || s == GUESTS || s == BACK ||
						   s == BY_GUEST;
			struct rig_state before;
			enum pt_outcome outcome;

			rig_state_of(&rig, &before);
			outcome = change(&item, point, 1000, &err);
			if (annotate || had) {
				assert_true(pt_is_error(outcome));
				ASSERT_OUTCOME(outcome, err.code);
				rig_unchanged(&rig, &before);
			} else {
				assert_false(pt_is_error(outcome));
			}
			if (!party && had && !annotate)
				ASSERT_OUTCOME(s == LENT ? PT_WRONG_STATE : PT_WRONG_OWNER,
					       outcome);
			if (party && had)
				ASSERT_OUTCOME(s == POISON ? PT_POISONED : PT_WRONG_OWNER, outcome);
		}
	close_states();
}

/* Rights or age of what a guest has, in both. */
static enum pt_outcome change_guest(unsigned guest, uint64_t at, uint64_t n, uint32_t which,
				    bool point, uint32_t budget)
{
	static const struct {
		uint32_t kind, prot;
		enum own_change change;
	} kinds[] = {
		{PT_ITEM_WRITE_PROTECT, 0, OWN_WRITE_PROTECT},
		{PT_ITEM_RELAX, PT_PROT_RW, OWN_RELAX},
		{PT_ITEM_MAKE_YOUNG, 0, OWN_MAKE_YOUNG},
		{PT_ITEM_PROTECT, PT_PROT_R, OWN_WRITE_PROTECT},
	};
	struct pt_item item =
		item_of(guest + 1, (enum pt_item_kind)kinds[which].kind, at, 0, n, 0, 0);
	struct rig_state before;
	struct pt_error err;
	enum pt_outcome expected, outcome;
	uint64_t first = 0;

	item.prot = kinds[which].prot;
	while (first < n &&
	       own_change_guest(&rig.model, guest, at + first, 1, OWN_MAKE_YOUNG, 0) == PT_OK)
		first++;
	expected = own_change_guest(&rig.model, guest, at, n, kinds[which].change,
				    (uint8_t)kinds[which].prot);
	if (watch)
		rig_state_of(&rig, &before);
	outcome = change(&item, point, budget, &err);
	if (expected == PT_OK) {
		assert_false(pt_is_error(outcome) || outcome == PT_HOLE);
		return PT_OK;
	}
	return refused_at(expected, outcome, &err, item.ipa.v + (first << rig.shift), &before);
}

static struct pt_upkeep u;

/* `n` units from unit `at` on: `end` behind the first `pass`, or OK. */
static void age(unsigned guest, uint64_t at, uint64_t n, bool clear, enum pt_outcome end,
		uint64_t pass)
{
	struct pt_upkeep_args args = {.ctx = rig_ctx(&rig, guest + 1),
				      .kind = PT_UPKEEP_AGE,
				      .ipa = {rig.ipa + (at << rig.shift)},
				      .size = n << rig.shift,
				      .clear = clear};

	ASSERT_OUTCOME(end, upkeep_run(&rig.c, &u, args, 1));
	ASSERT_OUTCOME(end, u.stopped);
	assert_int_equal((u.next - args.ipa.v) >> rig.shift, end ? pass : n);
}

/* Holes are gone over; what is not the host's to age ends it, with its flags as they were. */
static void a_range_ages_where_the_host_shares(void **state)
{
	static const enum pt_outcome ends[2][STATES] = {
		{[BY_GUEST] = PT_WRONG_STATE},
		{[LENT] = PT_WRONG_STATE,
		 [GUESTS] = PT_WRONG_OWNER,
		 [BACK] = PT_WRONG_OWNER,
		 [POISON] = PT_POISONED,
		 [BY_GUEST] = PT_WRONG_OWNER},
	};
	(void)state;
	open_states(&shapes[0], &shapes[0]);
	for (unsigned i = 0; i < 2 * STATES * 2; i++) {
		unsigned guest = i % 2, s = i / 4;

		age(guest, s * EACH, EACH, i / 2 % 2, ends[guest][s], 0);
		assert_int_equal(u.young + u.old, !guest && s == WITH_GUESTS ? EACH : 0);
		if (s)
			age(guest, s * EACH - 1, 2, i / 2 % 2,
			    ends[guest][s - 1] ? ends[guest][s - 1] : ends[guest][s],
			    !ends[guest][s - 1]);
	}
	close_states();
}

/* The row "relax, write-protect, age", for what a plain guest and a protected one have. */
static void rights_change_where_the_host_shares(void **state)
{
	(void)state;
	open_states(&shapes[0], &shapes[0]);
	for (unsigned i = 0; i < 2 * STATES * 4 * 2; i++) {
		unsigned guest = i % 2, s = i / 2 % STATES, which = i / 2 / STATES % 4;
		bool point = i / 2 / STATES / 4;
		uint64_t at = s * EACH;

		for (uint64_t n = 1; n <= EACH + 1; n++) /* the last reaches into the next state */
			change_guest(guest, at, n, which, point, n == 2 ? 1 : 1000);
		if (guest && s == GUESTS)
			ASSERT_OUTCOME(PT_WRONG_OWNER, change_guest(1, at, 1, which, point, 1));
		if (guest && s == POISON)
			ASSERT_OUTCOME(PT_POISONED, change_guest(1, at, 1, which, point, 1));
		if (!guest && s == WITH_GUESTS)
			ASSERT_OUTCOME(PT_OK, change_guest(0, at, EACH, which, point, 1));
		if (!guest && s == WITH_GUESTS)
			ASSERT_OUTCOME(PT_NOT_MAPPED, change_guest(0, at, 4, which, point, 1));
	}
	rig_same_guests(&rig);
	close_states();
}

/* What the host maps is the host's to change; what it does not map it has not. */
static void the_host_changes_what_it_maps(void **state)
{
	struct pt_error err;

	(void)state;
	open_states(&shapes[0], &shapes[0]);
	map(0, 0, 0, LENT * EACH, PT_PROT_RWX, 0, false, 1000);
	for (unsigned s = 0; s < STATES; s++)
		for (unsigned point = 0; point < 2; point++) {
			struct pt_item item =
				item_of(0, PT_ITEM_WRITE_PROTECT, 0, s * EACH, 1, 0, 0);
			enum pt_outcome outcome = change(&item, point, 1000, &err);

			if (s < LENT || s == BACK)
				ASSERT_OUTCOME(point ? PT_ALREADY_MAPPED : PT_PROTECTED, outcome);
			else
				ASSERT_OUTCOME(PT_HOLE, outcome);
		}
	close_states();
}

static void draw(struct rig_op *op, uint64_t *seed)
{
	op->kind = 1 + (uint32_t)(core_random(seed) % (PT_RECLAIM_DYING - 1));
	op->guest = (unsigned)(core_random(seed) % RIG_GUESTS);
	op->frame = core_random(seed) % 40;
	op->gfn = core_random(seed) % 4 ? op->frame : core_random(seed) % 40;
	op->n = 1 + core_random(seed) % 6;
	op->prot = PT_PROT_RW;
}

static void as_the_model_after_any_transitions(void **state)
{
	uint64_t seed = core_seed(), done = 0, refused = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		rig_open(&rig, &shapes[i & 1 ? 2 : 0], &shapes[i & 2 ? 2 : 0], 64,
			 7 * PT_SZ_2M - 0x30000, PT_SZ_1G - 0x30000);
		for (unsigned round = 0; round < 400; round++) {
			unsigned party = (unsigned)(core_random(&seed) % (RIG_GUESTS + 1));
			uint64_t frame = core_random(&seed) % 40;
			struct rig_op op = {0};

			watch = round % 16 == 0;
			draw(&op, &seed);
			rig_do(&rig, &op, 1u << core_random(&seed) % 10);
			if (pt_is_error(map(
				    party, core_random(&seed) % 4 ? frame : core_random(&seed) % 40,
				    frame, 1 + core_random(&seed) % 4,
				    party ? PT_PROT_RW : PT_PROT_RWX, PT_MAP_REPLACE,
				    core_random(&seed) % 2, 1u << core_random(&seed) % 10)))
				refused++;
			else
				done++;
			if (party)
				change_guest(party - 1, frame, 1 + core_random(&seed) % 4,
					     (uint32_t)(core_random(&seed) % 4),
					     core_random(&seed) % 2, 1u << core_random(&seed) % 10);
			if (round % 16 == 0)
				rig_same(&rig);
		}
		rig_same(&rig);
		rig_close(&rig);
	}
	watch = true;
	assert_true(done > 100 && refused > 100);
	print_message("%llu maps done, %llu refused\n", (unsigned long long)done,
		      (unsigned long long)refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_host_maps_what_it_has),
		cmocka_unit_test(a_guest_maps_what_it_has_where_it_has_it),
		cmocka_unit_test(a_guest_replaces_rights_alone),
		cmocka_unit_test(frames_of_tables_are_nobodys_to_map),
		cmocka_unit_test(entries_that_say_who_owns_stay),
		cmocka_unit_test(rights_change_where_the_host_shares),
		cmocka_unit_test(a_range_ages_where_the_host_shares),
		cmocka_unit_test(the_host_changes_what_it_maps),
		cmocka_unit_test(as_the_model_after_any_transitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
