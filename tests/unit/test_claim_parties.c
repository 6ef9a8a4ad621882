/* SPDX-License-Identifier: BSD-2-Clause */
/* Claims on several contexts, asked for at once. */
#include "parties_fixture.h"
#include "woken.h"

static void open_quiet(struct parties_rig *rig)
{
	parties_open(rig, PARTY_MAX, &shapes[0], &shapes[0]);
	nobody_woken();
}

/* Some claims, of the first page of each context. */
struct group {
	struct pt_claim claim[PARTY_MAX];
	unsigned count;
};

/* `of`: a digit for each context, in the order in which they are named. */
static enum pt_outcome ask(struct parties_rig *rig, struct group *group, unsigned id,
			   const char *of, enum pt_claim_mode mode)
{
	struct pt_claim *claim[PARTY_MAX];

	group->count = (unsigned)strlen(of);
	for (unsigned i = 0; i < group->count; i++) {
		claim[i] = &group->claim[i];
		*claim[i] =
			(struct pt_claim){.ctx = party(rig, (unsigned)(of[i] - '0')), .hi = 0xfff};
	}
	who[id] = &group->claim[0].waiter;
	return pt_claims_acquire(claim, group->count, mode, wake);
}

static enum pt_outcome one(struct parties_rig *rig, struct group *group, unsigned id, unsigned of)
{
	group->count = 1;
	who[id] = &group->claim[0].waiter;
	return pt_claim_acquire(&group->claim[0], party(rig, of), 0, 0xfff, PT_CLAIM_EXCLUSIVE,
				false, wake);
}

static void release(struct group *group)
{
	for (unsigned i = 0; i < group->count; i++)
		pt_claim_release(&group->claim[i]);
}

/* Each context: is its one slot taken? As a string of digits. */
static const char *held(struct parties_rig *rig)
{
	static char text[PARTY_MAX + 1];

	memset(text, 0, sizeof(text));
	for (unsigned i = 0; i < rig->parties; i++) {
		assert_int_equal(party(rig, i)->taken, atomic_load(&party(rig, i)->claims));
		if (party(rig, i)->taken)
			text[strlen(text)] = (char)('0' + i);
	}
	return text;
}

static void all_are_granted_or_none(void **state)
{
	struct parties_rig rig;
	struct group a, b, d;

	(void)state;
	open_quiet(&rig);
	ASSERT_OUTCOME(PT_OK, ask(&rig, &a, 0, "20", PT_CLAIM_EXCLUSIVE));
	assert_string_equal("02", held(&rig));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &b, 1, "3012", PT_CLAIM_EXCLUSIVE));
	assert_string_equal("02", held(&rig));
	pt_claim_release(&a.claim[0]);
	assert_string_equal("", woken);
	assert_string_equal("0", held(&rig));
	pt_claim_release(&a.claim[1]);
	assert_string_equal("1", woken); /* once, by the claim named first */
	assert_string_equal("0123", held(&rig));
	/* Beside them, where they are not. */
	ASSERT_OUTCOME(PT_OK, one(&rig, &d, 2, 4));
	release(&b);
	release(&d);
	parties_close(&rig);
}

/* Whoever overlaps one that waits stands behind it, though nobody holds anything there. */
static void nobody_overtakes_one_of_them(void **state)
{
	struct group a, b, d, e, f;
	struct parties_rig rig;

	(void)state;
	open_quiet(&rig);
	ASSERT_OUTCOME(PT_OK, one(&rig, &a, 0, 0));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &b, 1, "10", PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, one(&rig, &d, 2, 1));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &e, 3, "21", PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, one(&rig, &f, 4, 2));
	assert_string_equal("0", held(&rig));
	release(&a);
	assert_string_equal("1", woken);
	release(&b);
	assert_string_equal("12", woken);
	release(&d);
	assert_string_equal("123", woken);
	release(&e);
	assert_string_equal("1234", woken);
	release(&f);
	parties_close(&rig);
}

/* Named in opposite orders, in a ring: each ends, and in order of arrival. */
static void rings_do_not_lock_up(void **state)
{
	static const char *const of[] = {"01", "12", "20", "10", "21", "02"};
	struct group group[6];
	struct parties_rig rig;

	(void)state;
	open_quiet(&rig);
	for (unsigned i = 0; i < 6; i++)
		ASSERT_OUTCOME(i ? PT_PARKED : PT_OK,
			       ask(&rig, &group[i], i, of[i], PT_CLAIM_EXCLUSIVE));
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(i, strlen(woken));
		release(&group[i]);
	}
	assert_string_equal("12345", woken);
	parties_close(&rig);
}

static void cancelling_one_takes_all_out(void **state)
{
	struct group a, b, d;
	struct parties_rig rig;

	(void)state;
	open_quiet(&rig);
	ASSERT_OUTCOME(PT_OK, one(&rig, &a, 0, 0));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &b, 1, "102", PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, one(&rig, &d, 2, 2));
	assert_true(pt_claim_cancel(&b.claim[0]));
	assert_string_equal("2", woken);
	assert_false(pt_claim_cancel(&b.claim[1]));
	release(&d);
	release(&a);
	assert_string_equal("2", woken);
	/* Granted: to be released. */
	ASSERT_OUTCOME(PT_OK, ask(&rig, &b, 1, "102", PT_CLAIM_EXCLUSIVE));
	assert_false(pt_claim_cancel(&b.claim[2]));
	release(&b);
	parties_close(&rig);
}

static void shared_ones_admit_each_other(void **state)
{
	struct group a, b, d;
	struct parties_rig rig;

	(void)state;
	open_quiet(&rig);
	ASSERT_OUTCOME(PT_OK, ask(&rig, &a, 0, "01", PT_CLAIM_SHARED));
	ASSERT_OUTCOME(PT_OK, ask(&rig, &b, 1, "12", PT_CLAIM_SHARED));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &d, 2, "20", PT_CLAIM_EXCLUSIVE));
	release(&b);
	assert_string_equal("", woken);
	release(&a);
	assert_string_equal("2", woken);
	release(&d);
	parties_close(&rig);
}

static void only_claims_that_make_sense_are_asked_for(void **state)
{
	struct parties_rig rig;
	struct group a;
	struct pt_txn txn;
	struct core other;
	struct pt_claim *two[2];

	(void)state;
	open_quiet(&rig);
	core_open(&other, &shapes[0]);
	ASSERT_OUTCOME(PT_INVALID, ask(&rig, &a, 0, "", PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_INVALID, ask(&rig, &a, 0, "01234", PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_INVALID, ask(&rig, &a, 0, "101", PT_CLAIM_EXCLUSIVE));
	a.claim[0].ctx = party(&rig, 0);
	a.claim[1].ctx = &other.ctx;
	two[0] = &a.claim[0];
	two[1] = &a.claim[1];
	ASSERT_OUTCOME(PT_INVALID, pt_claims_acquire(two, 2, PT_CLAIM_EXCLUSIVE, wake));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, party(&rig, 4), NULL));
	ASSERT_OUTCOME(PT_WRONG_STATE, ask(&rig, &a, 0, "14", PT_CLAIM_EXCLUSIVE));
	parties_at_rest(&rig);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 1000));
	rig.parties = 4;
	core_close(&other);
	parties_close(&rig);
}

static enum pt_outcome map_point(struct parties_rig *rig, unsigned i)
{
	struct pt_item item = party_item(rig, i, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);

	return core_point(&rig->c, item, NULL, NULL);
}

/* Points meet all of them, and none while they wait. */
static void points_meet_what_is_granted(void **state)
{
	struct pt_waiter waiter[2] = {0};
	struct parties_rig rig;
	struct group a, b;

	(void)state;
	open_quiet(&rig);
	ASSERT_OUTCOME(PT_OK, one(&rig, &a, 0, 2));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &b, 1, "120", PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_MAPPED, map_point(&rig, 1));
	assert_false(pt_waiter_park(&waiter[0], party(&rig, 0), 0, 0xfff, wake));
	release(&a);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OUTCOME(PT_PARKED, map_point(&rig, i));
	who[2] = &waiter[0];
	who[3] = &waiter[1];
	assert_true(pt_waiter_park(&waiter[0], party(&rig, 0), 0, 0xfff, wake));
	assert_true(pt_waiter_park(&waiter[1], party(&rig, 1), 0, 0xfff, wake));
	/* Each for itself. */
	pt_claim_release(&b.claim[0]);
	assert_string_equal("13", woken);
	pt_claim_shrink(&b.claim[2], 0xfff);
	assert_string_equal("13", woken);
	pt_claim_release(&b.claim[2]);
	assert_string_equal("132", woken);
	pt_claim_release(&b.claim[1]);
	parties_close(&rig);
}

/* No slot in one context: no other is held for it. */
static void a_context_without_a_free_slot_keeps_all_waiting(void **state)
{
	struct pt_claim claims[PT_CLAIMS_PER_CTX];
	struct parties_rig rig;
	struct group a;

	(void)state;
	open_quiet(&rig);
	for (unsigned i = 0; i < PT_CLAIMS_PER_CTX; i++)
		ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claims[i], party(&rig, 1), (i + 1) * 0x1000,
						       (i + 1) * 0x1000 + 0xfff, PT_CLAIM_EXCLUSIVE,
						       false, NULL));
	ASSERT_OUTCOME(PT_PARKED, ask(&rig, &a, 0, "01", PT_CLAIM_EXCLUSIVE));
	assert_string_equal("1", held(&rig));
	pt_claim_release(&claims[3]);
	assert_string_equal("0", woken);
	release(&a);
	for (unsigned i = 0; i < PT_CLAIMS_PER_CTX; i++)
		if (i != 3)
			pt_claim_release(&claims[i]);
	parties_close(&rig);
}

/* Some agents that ask for and release claims on contexts drawn at random: all end, none overlap.
 */
static void random_groups_all_end(void **state)
{
	uint64_t seed = core_seed();
	struct parties_rig rig;
	struct group group[8];
	bool busy[8] = {0};

	(void)state;
	open_quiet(&rig);
	for (unsigned turn = 0; turn < 20000; turn++) {
		unsigned id = (unsigned)(core_random(&seed) % 8), users[PARTY_MAX] = {0};
		char of[PARTY_MAX] = "";

		if (!busy[id]) {
			unsigned first = (unsigned)(core_random(&seed) % PARTY_MAX);
			unsigned n = 1 + (unsigned)(core_random(&seed) % PT_CLAIMS_AT_ONCE);

			for (unsigned i = 0; i < n; i++)
				of[i] = (char)('0' + (first + i * (1 + turn % 4)) % PARTY_MAX);
			busy[id] = !pt_is_error(ask(&rig, &group[id], id, of, PT_CLAIM_EXCLUSIVE));
			assert_true(busy[id]);
		} else if (group[id].claim[0].slot >= 0) {
			release(&group[id]);
			busy[id] = false;
		} else if (core_random(&seed) % 16 == 0) {
			assert_true(pt_claim_cancel(&group[id].claim[group[id].count - 1]));
			busy[id] = false;
		}
		for (unsigned i = 0; i < 8; i++)
			for (unsigned k = 0; busy[i] && k < group[i].count; k++) {
				bool has = group[i].claim[k].slot >= 0;

				assert_int_equal(has, group[i].claim[0].slot >= 0);
				for (unsigned p = 0; p < PARTY_MAX; p++)
					users[p] += has && group[i].claim[k].ctx == party(&rig, p);
			}
		for (unsigned p = 0; p < PARTY_MAX; p++)
			assert_true(users[p] <= 1);
	}
	for (unsigned left = 8, ended = 1; left && ended;) {
		ended = left = 0;
		for (unsigned i = 0; i < 8; i++) {
			if (busy[i] && group[i].claim[0].slot >= 0) {
				release(&group[i]);
				busy[i] = false;
				ended++;
			}
			left += busy[i];
		}
		assert_true(ended || !left);
	}
	parties_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_granted_or_none),
		cmocka_unit_test(nobody_overtakes_one_of_them),
		cmocka_unit_test(rings_do_not_lock_up),
		cmocka_unit_test(cancelling_one_takes_all_out),
		cmocka_unit_test(shared_ones_admit_each_other),
		cmocka_unit_test(only_claims_that_make_sense_are_asked_for),
		cmocka_unit_test(points_meet_what_is_granted),
		cmocka_unit_test(a_context_without_a_free_slot_keeps_all_waiting),
		cmocka_unit_test(random_groups_all_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
