/* SPDX-License-Identifier: BSD-2-Clause */
/* WatchOwners: every transition, in order, or that some were lost. */
#include "domain_owner.h"

#include "owner_told.h"

static struct fake *watch(const struct world *w, uint64_t after, unsigned room)
{
	static Ptd__V1__WatchOwnersRequest q;
	struct fake *f;

	q = (Ptd__V1__WatchOwnersRequest)PTD__V1__WATCH_OWNERS_REQUEST__INIT;
	q.machine = w->machine;
	q.after_seq = after;
	f = fake_call(w->fx, 1, "WatchOwners", &q);
	f->room = room;
	assert_int_equal(fake_run(f), CALL_STREAM);
	return f;
}

static Ptd__V1__WatchOwnersResponse *told(const struct fake *f, unsigned i)
{
	assert_true(i < f->sent);
	return (void *)f->message[i];
}

static void share(const struct world *w, uint64_t pa, Ptd__V1__TransferKind kind)
{
	struct ask a;

	ask(&a, w, kind, OF(HOST), OF(HYP), 0)->items[0]->pa = pa;
	OK(w->fx, "Transfer", &a.q);
}

static void leave(const struct world *w, struct fake *f)
{
	fake_abandon(f);
	keep(w->fx, f);
}

static void a_transition_is_told_as_it_was(void **state)
{
	struct world w = world(state);
	uint8_t id[16] = "owner-watch-0001";
	struct fake *f;
	struct ask a;

	share(&w, 0, KIND(SHARE)); /* before anybody watches */
	f = watch(&w, 0, 10);
	assert_int_equal(f->sent, 0);
	donation(&a, &w, 4 * PAGE, IPA)->request_id = (ProtobufCBinaryData){16, id};
	a.item.size = 2 * PAGE;
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(f->wakes, 1);
	fake_run(f);
	assert_int_equal(f->sent, 1);
	assert_int_equal(told(f, 0)->seq, 2);
	assert_int_equal(told(f, 0)->kind, KIND(DONATE));
	assert_int_equal(told(f, 0)->before->owner->kind, OF(HOST));
	assert_int_equal(told(f, 0)->before->owner->context, w.host);
	assert_int_equal(told(f, 0)->before->state, PTD__V1__PAGE_STATE__PAGE_STATE_OWNED);
	assert_int_equal(told(f, 0)->before->pa, 4 * PAGE);
	assert_int_equal(told(f, 0)->after->size, 2 * PAGE);
	assert_int_equal(told(f, 0)->after->owner->kind, OF(GUEST));
	assert_int_equal(told(f, 0)->after->owner->context, w.guarded);
	assert_int_equal(told(f, 0)->after->ipa, IPA);
	assert_memory_equal(told(f, 0)->after->request_id.data, id, 16);
	assert_false(told(f, 0)->overflow);
	leave(&w, f);
}

static void what_does_not_happen_is_not_told(void **state)
{
	struct world w = world(state);
	struct fake *f = watch(&w, 0, 10);
	struct ask a;

	donation(&a, &w, 0, IPA)->validate_only = true;
	OK(w.fx, "Transfer", &a.q);
	ask(&a, &w, KIND(UNSHARE), OF(HOST), OF(HYP), 0);
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_STATE, "");
	assert_int_equal(f->wakes, 0);
	leave(&w, f);
}

/* A page of each of two ranges: two runs, two numbers. */
static void each_run_has_a_number(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct fake *f;
	struct ask a;

	OK(w.fx, "Transfer", donation(&a, &w, 4 * PAGE, IPA));
	OK(w.fx, "Transfer", donation(&a, &w, 8 * PAGE, IPA + PAGE));
	f = watch(&w, 0, 10);
	q.handle = w.guarded;
	OK(w.fx, "DeleteContext", &q);
	fake_run(f);
	assert_int_equal(f->sent, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(told(f, i)->seq, 3 + i);
		assert_int_equal(told(f, i)->kind, KIND(RECLAIM));
		assert_int_equal(told(f, i)->before->ipa, IPA + i * PAGE);
		assert_int_equal(told(f, i)->after->pa, (4 + 4 * i) * PAGE);
		assert_int_equal(told(f, i)->after->owner->kind, OF(HOST));
	}
	leave(&w, f);
}

static void transfer_range(const struct world *w, Ptd__V1__TransferKind kind,
			   Ptd__V1__OwnerKind from, Ptd__V1__OwnerKind to, uint64_t pa,
			   uint64_t ipa, uint64_t pages)
{
	struct ask a;

	ask(&a, w, kind, from, to, w->plain);
	a.item.pa = pa;
	a.item.ipa = ipa;
	a.item.size = pages * PAGE;
	a.item.prot = kind == KIND(SHARE) ? PT_PROT_R : 0;
	OK(w->fx, "Transfer", &a.q);
}

/* Five pages, of which the guest has the second and third already: they were in two states, and
 * will be again when one of the shares ends. */
static void what_differed_is_told_apart(void **state)
{
	static const uint64_t start[] = {0, 1, 3, 0, 1, 3}, size[] = {1, 2, 2, 1, 2, 2};
	static const uint32_t shares[] = {0, 1, 0, 1, 2, 1};
	const uint32_t owned = PTD__V1__PAGE_STATE__PAGE_STATE_OWNED;
	const uint32_t shared = PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED;
	struct world w = world(state);
	struct fake *f;

	transfer_range(&w, KIND(SHARE), OF(HOST), OF(GUEST), PAGE, IPA + 64 * PAGE, 2);
	f = watch(&w, 0, 10);
	transfer_range(&w, KIND(SHARE), OF(HOST), OF(GUEST), 0, IPA, 5);
	transfer_range(&w, KIND(UNSHARE), OF(HOST), OF(GUEST), 0, IPA, 5);
	fake_run(f);
	assert_int_equal(f->sent, 6);
	for (unsigned i = 0; i < 6; i++) {
		const Ptd__V1__WatchOwnersResponse *r = told(f, i);
		uint32_t after = i < 3 ? shares[i] + 1 : shares[i] - 1;

		assert_int_equal(r->seq, 2 + i);
		assert_int_equal(r->before->pa, start[i] * PAGE);
		assert_int_equal(r->before->size, size[i] * PAGE);
		assert_int_equal(r->before->borrowers, shares[i]);
		assert_int_equal(r->before->state, shares[i] ? shared : owned);
		assert_int_equal(r->after->pa, start[i] * PAGE);
		assert_int_equal(r->after->size, size[i] * PAGE);
		assert_int_equal(r->after->borrowers, after);
		assert_int_equal(r->after->state, after ? shared : owned);
		assert_false(r->mixed);
	}
	leave(&w, f);
}

/* More stretches than are told: the last is of the rest, and says so. */
static void what_is_too_much_is_told_as_mixed(void **state)
{
	struct world w = world(state);
	struct fake *f;

	for (uint64_t i = 0; i < OWNER_STRETCHES; i++)
		transfer_range(&w, KIND(SHARE), OF(HOST), OF(GUEST), 2 * i * PAGE,
			       IPA + 2 * i * PAGE, 1);
	f = watch(&w, 0, MAX_SENT);
	transfer_range(&w, KIND(SHARE), OF(HOST), OF(GUEST), 0, IPA + 4096 * PAGE,
		       2 * OWNER_STRETCHES);
	fake_run(f);
	assert_int_equal(f->sent, OWNER_STRETCHES);
	for (unsigned i = 0; i < OWNER_STRETCHES; i++) {
		bool last = i == OWNER_STRETCHES - 1;

		assert_int_equal(told(f, i)->mixed, last);
		assert_int_equal(told(f, i)->before->pa, i * PAGE);
		assert_int_equal(told(f, i)->before->borrowers, i % 2 ? 0 : 1);
		assert_int_equal(told(f, i)->after->size,
				 last ? (OWNER_STRETCHES + 1) * PAGE : PAGE);
	}
	leave(&w, f);
}

static void who_was_away_goes_on_where_it_was(void **state)
{
	struct world w = world(state);
	Ptd__V1__WatchOwnersRequest q = PTD__V1__WATCH_OWNERS_REQUEST__INIT;
	struct fake *f;

	for (unsigned i = 0; i < 4; i++)
		share(&w, i * PAGE, KIND(SHARE));
	f = watch(&w, 2, 10);
	assert_int_equal(f->sent, 2);
	assert_int_equal(told(f, 0)->seq, 3);
	assert_int_equal(told(f, 1)->seq, 4);
	assert_int_equal(told(f, 1)->after->pa, 3 * PAGE);
	leave(&w, f);
	q.machine = w.machine;
	q.after_seq = 5;
	REFUSED(w.fx, "WatchOwners", &q, PT_INVALID, "after_seq:");
	q.machine = w.fx->machine;
	REFUSED(w.fx, "WatchOwners", &q, PT_WRONG_STATE, "machine:");
}

static void who_is_slow_learns_what_it_lost(void **state)
{
	struct world w = world(state);
	struct fake *f = watch(&w, 0, 1);

	share(&w, 0, KIND(SHARE));
	for (unsigned i = 0; i < LIMIT_OWNER_EVENTS / 2; i++) {
		share(&w, 0, KIND(PIN));
		share(&w, 0, KIND(UNPIN));
	}
	fake_run(f); /* the last that is still there is the first */
	assert_int_equal(f->sent, 1);
	assert_true(told(f, 0)->overflow);
	assert_int_equal(told(f, 0)->seq, LIMIT_OWNER_EVENTS + 1);
	assert_null(told(f, 0)->before);
	share(&w, 0, KIND(PIN));
	f->room = 1;
	fake_run(f);
	assert_int_equal(f->sent, 2);
	assert_int_equal(told(f, 1)->seq, LIMIT_OWNER_EVENTS + 2);
	leave(&w, f);
	f = watch(&w, 2, 60);
	assert_int_equal(f->sent, 60);
	assert_int_equal(told(f, 0)->seq, 3);
	leave(&w, f);
}

static void a_watch_ends_with_its_machine_or_a_drain(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteMachineRequest q = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	struct fake *f = watch(&w, 0, 10), *deletion;
	enum call_result result;

	q.handle = w.machine;
	q.force = true;
	deletion = fake_call(w.fx, 0, "DeleteMachine", &q);
	for (unsigned i = 0; i < 100; i++) {
		result = fake_step(deletion, deletion->method->run);
		assert_int_equal(result, CALL_MORE);
	}
	assert_int_equal(f->wakes, 1);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(f->call.status.code, PT_NOT_FOUND);
	assert_int_equal(fake_run(deletion), CALL_DONE);
	keep(w.fx, f);
	keep(w.fx, deletion);
	w = world(state);
	f = watch(&w, 0, 10);
	domain_drain(w.fx->domain);
	assert_int_equal(f->wakes, 1);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(f->call.status.code, PT_DRAINING);
	keep(w.fx, f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_transition_is_told_as_it_was),
		TEST(what_does_not_happen_is_not_told),
		TEST(each_run_has_a_number),
		TEST(what_differed_is_told_apart),
		TEST(what_is_too_much_is_told_as_mixed),
		TEST(who_was_away_goes_on_where_it_was),
		TEST(who_is_slow_learns_what_it_lost),
		TEST(a_watch_ends_with_its_machine_or_a_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
