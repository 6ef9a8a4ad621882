/* SPDX-License-Identifier: BSD-2-Clause */
/* Transfer of lendings as calls: lists and their pieces, time, who has what. What a lending does is
 * test_lending's business. */
#include "domain_owner.h"

#define STATE(name) PTD__V1__PAGE_STATE__PAGE_STATE_##name
#define SECOND_NS   UINT64_C(1000000000)

/* A request that lends up to four ranges to the protected guest. */
struct lend {
	Ptd__V1__TransferRequest q;
	Ptd__V1__TransferItem item[4], *items[4];
	Ptd__V1__Party from, to, borrower, *borrowers[2];
};

static Ptd__V1__TransferRequest *lend(struct lend *l, const struct world *w, size_t pieces)
{
	*l = (struct lend){.q = PTD__V1__TRANSFER_REQUEST__INIT,
			   .from = PTD__V1__PARTY__INIT,
			   .to = PTD__V1__PARTY__INIT,
			   .borrower = PTD__V1__PARTY__INIT};
	l->from.kind = OF(HOST);
	l->borrower.kind = OF(GUEST);
	l->borrower.context = w->guarded;
	l->borrowers[0] = l->borrowers[1] = &l->borrower;
	for (uint32_t i = 0; i < 4; i++) {
		l->item[i] = (Ptd__V1__TransferItem)PTD__V1__TRANSFER_ITEM__INIT;
		l->item[i].kind = KIND(LEND);
		l->item[i].pa = 4 * i * PAGE;
		l->item[i].size = 2 * PAGE;
		l->items[i] = &l->item[i];
	}
	l->item[0].from = &l->from;
	l->item[0].borrowers = l->borrowers;
	l->item[0].n_borrowers = 1;
	l->q.machine = w->machine;
	l->q.items = l->items;
	l->q.n_items = pieces;
	return &l->q;
}

/* RETRIEVE, RELINQUISH, RECLAIM, or a further piece at `at`. */
static Ptd__V1__TransferRequest *after(struct lend *l, const struct world *w, uint64_t handle,
				       Ptd__V1__TransferKind kind, uint64_t at)
{
	bool gives = kind == KIND(LEND) || kind == KIND(RELINQUISH);

	lend(l, w, 1);
	l->item[0].n_borrowers = 0;
	l->item[0].kind = kind;
	l->item[0].lend_handle = handle;
	l->item[0].pa = kind == KIND(LEND) ? at : 0;
	l->item[0].ipa = kind == KIND(RETRIEVE) ? at : 0;
	l->item[0].size = kind == KIND(LEND) ? 2 * PAGE : 0;
	l->from = kind == KIND(RELINQUISH) ? l->borrower : l->from;
	l->to = kind == KIND(RETRIEVE) ? l->borrower : l->to;
	l->to.kind = kind == KIND(RECLAIM) ? OF(HOST) : l->to.kind;
	l->item[0].from = gives ? &l->from : NULL;
	l->item[0].to = gives ? NULL : &l->to;
	return &l->q;
}

static Ptd__V1__ListLendingsResponse *list(const struct world *w)
{
	Ptd__V1__ListLendingsRequest q = PTD__V1__LIST_LENDINGS_REQUEST__INIT;

	q.machine = w->machine;
	return OK(w->fx, "ListLendings", &q);
}

static Ptd__V1__OwnedRange *owner_at(const struct world *w, uint64_t pa)
{
	return get(w->fx, w->machine, pa, PAGE)->ranges[0];
}

/* All of it, in one request. */
static uint64_t lent(const struct world *w, bool zero)
{
	Ptd__V1__TransferResponse *r;
	struct lend l;

	lend(&l, w, 2)->items[0]->zero = zero;
	r = OK(w->fx, "Transfer", &l.q);
	assert_int_equal(r->n_lend_handle, 1);
	assert_int_equal(r->lend_missing, 0);
	return r->lend_handle[0];
}

static void from_the_first_call_to_the_last(void **state)
{
	struct world w = world(state);
	uint64_t handle = lent(&w, true), generation;
	struct lend l;

	assert_int_equal(owner_at(&w, PAGE)->state, STATE(LENT));
	assert_int_equal(owner_at(&w, PAGE)->lend_handle, handle);
	assert_int_equal(owner_at(&w, PAGE)->owner->kind, OF(HOST));
	assert_int_equal(owner_at(&w, PAGE)->borrowers, 0);
	assert_int_equal(owner_at(&w, 2 * PAGE)->state, STATE(OWNED));
	assert_int_equal(owner_at(&w, 5 * PAGE)->state, STATE(LENT));
	assert_int_equal(list(&w)->n_lendings, 1);
	assert_int_equal(list(&w)->lendings[0]->state, PTD__V1__LENDING_STATE__LENDING_STATE_LENT);
	assert_int_equal(list(&w)->lendings[0]->size, 4 * PAGE);
	assert_true(list(&w)->lendings[0]->zero);
	assert_false(list(&w)->lendings[0]->borrowers[0]->has);
	generation = get_context(w.fx, w.host)->generation;
	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RETRIEVE), IPA));
	assert_int_equal(owner_at(&w, PAGE)->borrowers, 1);
	assert_true(list(&w)->lendings[0]->borrowers[0]->has);
	assert_int_equal(list(&w)->lendings[0]->borrowers[0]->ipa, IPA);
	assert_int_equal(list(&w)->lendings[0]->borrowers[0]->party->context, w.guarded);
	REFUSED(w.fx, "Transfer", &l.q, PT_WRONG_STATE,
		"items[0].lend_handle: 0x1: this guest has it already");
	REFUSED(w.fx, "Transfer", after(&l, &w, handle, KIND(RECLAIM), 0), PT_BUSY,
		"items[0].lend_handle: 0x1: a borrower has it");
	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RELINQUISH), 0));
	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RECLAIM), 0));
	assert_true(get_context(w.fx, w.host)->generation > generation);
	assert_int_equal(owner_at(&w, PAGE)->state, STATE(OWNED));
	assert_int_equal(list(&w)->n_lendings, 0);
	REFUSED(w.fx, "Transfer", &l.q, PT_NOT_FOUND, "");
	assert_true(lent(&w, false) != handle);
}

static void pieces_come_one_by_one(void **state)
{
	struct world w = world(state);
	Ptd__V1__TransferResponse *r;
	uint64_t handle;
	struct lend l;

	lend(&l, &w, 1)->items[0]->lend_size = 6 * PAGE;
	r = OK(w.fx, "Transfer", &l.q);
	handle = r->lend_handle[0];
	assert_int_equal(r->lend_missing, 4 * PAGE);
	assert_int_equal(owner_at(&w, 0)->state, STATE(OWNED));
	assert_int_equal(list(&w)->lendings[0]->state, PTD__V1__LENDING_STATE__LENDING_STATE_OPEN);
	assert_int_equal(list(&w)->lendings[0]->named, 2 * PAGE);
	assert_int_equal(list(&w)->lendings[0]->expires_in_ms, 60000);
	REFUSED(w.fx, "Transfer", after(&l, &w, handle, KIND(RETRIEVE), IPA), PT_WRONG_STATE,
		"items[0].lend_handle: 0x1: its list is not complete");
	REFUSED(w.fx, "Transfer", after(&l, &w, handle, KIND(LEND), PAGE + 1), PT_MISALIGNED,
		"items[0].pa: 0x1001 is not");
	l.q.items[0]->pa = PAGE;
	l.q.items[0]->size = 2;
	REFUSED(w.fx, "Transfer", &l.q, PT_MISALIGNED, "items[0].size: 0x2 is not");
	REFUSED(w.fx, "Transfer", after(&l, &w, handle, KIND(LEND), PAGE), PT_INVALID, "items[0]:");
	r = OK(w.fx, "Transfer", after(&l, &w, handle, KIND(LEND), 8 * PAGE));
	assert_int_equal(r->lend_missing, 2 * PAGE);
	assert_int_equal(r->lend_handle[0], handle);
	r = OK(w.fx, "Transfer", after(&l, &w, handle, KIND(LEND), 4 * PAGE));
	assert_int_equal(r->lend_missing, 0);
	assert_int_equal(owner_at(&w, 0)->state, STATE(LENT));
	assert_int_equal(owner_at(&w, 9 * PAGE)->state, STATE(LENT));
	REFUSED(w.fx, "Transfer", after(&l, &w, handle, KIND(LEND), 20 * PAGE), PT_WRONG_STATE,
		"items[0].lend_handle: 0x1: it is lent");
}

static void an_open_list_has_its_time(void **state)
{
	struct world w = world(state);
	Ptd__V1__TransferResponse *r;
	uint64_t handle, stays = lent(&w, false);
	struct lend l;

	lend(&l, &w, 1)->items[0]->lend_size = 6 * PAGE;
	l.item[0].pa = 32 * PAGE;
	l.item[0].lend_timeout_ms = 5000;
	r = OK(w.fx, "Transfer", &l.q);
	handle = r->lend_handle[0];
	w.fx->now_ns += 4 * SECOND_NS;
	domain_section_begin(w.fx->loop[0]);
	domain_tick(w.fx->domain, w.fx->now_ns);
	domain_section_end(w.fx->loop[0]);
	assert_int_equal(list(&w)->n_lendings, 2);
	assert_int_equal(list(&w)->lendings[1]->expires_in_ms, 1000);
	w.fx->now_ns += 100 * SECOND_NS;
	domain_section_begin(w.fx->loop[0]);
	domain_tick(w.fx->domain, w.fx->now_ns);
	domain_section_end(w.fx->loop[0]);
	assert_int_equal(list(&w)->n_lendings, 1);
	assert_int_equal(list(&w)->lendings[0]->handle, stays);
	REFUSED(w.fx, "Transfer", after(&l, &w, handle, KIND(LEND), 8 * PAGE), PT_NOT_FOUND, "");
	assert_int_equal(atomic_load(&w.fx->domain->lendings_due_ns), 0);
}

static void bad_requests_are_refused_by_name(void **state)
{
	struct world w = world(state);
	Ptd__V1__TransferItem *item;
	struct lend l;

	item = lend(&l, &w, 1)->items[0];
	l.q.validate_only = true;
	REFUSED(w.fx, "Transfer", &l.q, PT_UNSUPPORTED, "validate_only:");
	l.q.validate_only = false;
	l.q.expected_generation = 1;
	REFUSED(w.fx, "Transfer", &l.q, PT_UNSUPPORTED, "expected_generation:");
	lend(&l, &w, 1)->items[0]->n_borrowers = 0;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].borrowers:");
	item->n_borrowers = 2;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].borrowers: one twice");
	l.borrower.kind = OF(HYP);
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].borrowers[0]: it is a guest");
	lend(&l, &w, 1)->items[0]->from = NULL;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].from: it is the host, or");
	lend(&l, &w, 1)->items[0]->to = &l.borrower;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].to: not with");
	lend(&l, &w, 1)->items[0]->ipa = PAGE;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].ipa: not with this lender");
	lend(&l, &w, 1)->items[0]->size = 0;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].size:");
	lend(&l, &w, 1)->items[0]->prot = 1;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].prot:");
	lend(&l, &w, 1)->items[0]->lend_timeout_ms = LIMIT_LEND_TIMEOUT_MS + 1;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].lend_timeout_ms:");
	lend(&l, &w, 1)->items[0]->lend_size = PAGE + 1;
	REFUSED(w.fx, "Transfer", &l.q, PT_MISALIGNED, "items[0].lend_size:");
	lend(&l, &w, 2)->items[1]->zero = true;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[1].zero:");
	lend(&l, &w, 2)->items[1]->kind = KIND(PIN);
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[1]: only the LEND");
	after(&l, &w, 1, KIND(RETRIEVE), IPA)->items[0]->lend_size = PAGE;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].lend_size:");
	after(&l, &w, 1, KIND(RETRIEVE), IPA)->items[0]->pa = PAGE;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].pa:");
	after(&l, &w, 1, KIND(RELINQUISH), 0)->items[0]->ipa = PAGE;
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].ipa:");
	after(&l, &w, 0, KIND(RELINQUISH), 0);
	REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[0].lend_handle:");
	REFUSED(w.fx, "Transfer", after(&l, &w, 77, KIND(RELINQUISH), 0), PT_NOT_FOUND,
		"items[0].lend_handle: 0x4d: there is no such lending");
	assert_int_equal(list(&w)->n_lendings, 0);
}

/* A list that its request has begun goes with it: no place of the sixteen is lost. */
static void a_refused_piece_takes_its_list_along(void **state)
{
	struct world w = world(state);
	struct lend l;

	for (unsigned i = 0; i < LIMIT_LENDINGS + 4; i++) {
		lend(&l, &w, 2)->items[1]->pa = PAGE;
		assert_int_equal(REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[1]:")->index,
				 1);
	}
	lend(&l, &w, 2)->items[1]->pa = 64 * MIB;
	REFUSED(w.fx, "Transfer", &l.q, PT_OUT_OF_RANGE, "items[1]: pa 0x4000000: the range");
	lend(&l, &w, 2)->items[0]->lend_size = l.q.items[0]->size; /* complete before the last */
	assert_int_equal(REFUSED(w.fx, "Transfer", &l.q, PT_INVALID, "items[1]")->index, 1);
	assert_int_equal(owner_at(&w, PAGE)->state, STATE(OWNED));
	for (unsigned i = 0; i < LIMIT_LENDINGS; i++) {
		lend(&l, &w, 1)->items[0]->lend_size = 4 * PAGE;
		OK(w.fx, "Transfer", &l.q);
	}
	REFUSED(w.fx, "Transfer", &l.q, PT_BUSY, "max_lendings");
	assert_int_equal(list(&w)->n_lendings, LIMIT_LENDINGS);
}

static void given_up_it_is_done_or_not_done(void **state)
{
	struct world w = world(state);
	unsigned steps = 0, done = 0;

	while (!done) {
		struct lend l;
		struct fake *f;

		lend(&l, &w, 2)->items[1]->size = 16 * MIB;
		f = fake_call(w.fx, 0, "Transfer", &l.q);
		for (unsigned i = 0; i < steps; i++)
			assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
		fake_abandon(f);
		keep(w.fx, f);
		done = owner_at(&w, 0)->state == STATE(LENT);
		assert_int_equal(owner_at(&w, 4 * PAGE + 16 * MIB - PAGE)->state,
				 done ? STATE(LENT) : STATE(OWNED));
		assert_int_equal(list(&w)->n_lendings, done);
		assert_int_equal(atomic_load(&owners_of(w.fx, w.machine)->active), 0);
		steps++;
	}
	assert_true(steps > 2);
}

static void a_dead_borrower_has_relinquished(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	uint64_t handle = lent(&w, false);
	struct lend l;

	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RETRIEVE), IPA));
	q.handle = w.guarded;
	OK(w.fx, "DeleteContext", &q);
	assert_int_equal(list(&w)->n_lendings, 1);
	assert_int_equal(list(&w)->lendings[0]->n_borrowers, 0);
	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RECLAIM), 0));
	assert_int_equal(owner_at(&w, 0)->state, STATE(OWNED));
}

/* From its teardown on, not only when it is finalized. */
static void a_dying_borrower_has_relinquished(void **state)
{
	struct world w = world(state);
	Ptd__V1__TeardownGuestRequest q = PTD__V1__TEARDOWN_GUEST_REQUEST__INIT;
	uint64_t handle = lent(&w, false);
	struct lend l;

	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RETRIEVE), IPA));
	q.context = w.guarded;
	OK(w.fx, "TeardownGuest", &q);
	assert_int_equal(atomic_load(&owners_of(w.fx, w.machine)->active), 0);
	REFUSED(w.fx, "Transfer", &l.q, PT_WRONG_STATE, "");
	OK(w.fx, "Transfer", after(&l, &w, handle, KIND(RECLAIM), 0));
	assert_int_equal(owner_at(&w, 0)->state, STATE(OWNED));
}

/* What a guest has lent, and nobody has, ends with it. */
static void a_dead_lender_leaves_nothing(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct lend l;
	struct ask a;

	OK(w.fx, "Transfer", donation(&a, &w, 0, IPA));
	lend(&l, &w, 1)->items[0]->pa = 0;
	l.item[0].ipa = IPA;
	l.item[0].size = PAGE;
	l.from = l.borrower;
	l.borrower.context = w.plain;
	OK(w.fx, "Transfer", &l.q);
	assert_int_equal(owner_at(&w, 0)->state, STATE(LENT));
	assert_int_equal(list(&w)->lendings[0]->lender->context, w.guarded);
	l.item[0].lend_size = 8 * PAGE;
	l.item[0].ipa = IPA + PAGE;
	OK(w.fx, "Transfer", &l.q); /* a list that stays open */
	q.handle = w.guarded;
	OK(w.fx, "DeleteContext", &q);
	assert_int_equal(owner_at(&w, 0)->owner->kind, OF(HOST));
	assert_int_equal(owner_at(&w, 0)->state, STATE(OWNED));
	assert_int_equal(list(&w)->n_lendings, 0);
}

/* No memory for the index, from now on. */
static void lack_memory(struct fixture *fx)
{
	Ptd__V1__ArmFailpointRequest q = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;
	Ptd__V1__Failpoint fp = PTD__V1__FAILPOINT__INIT;

	fp.name = (char *)(uintptr_t) "pool.reserve";
	fp.action = PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_ERROR;
	fp.probability_ppm = 1000000;
	q.failpoint = &fp;
	OK(fx, "ArmFailpoint", &q);
}

/* A teardown does not fail for lack of memory: what it could not do is done when pages are asked
 * for. */
static void what_a_teardown_had_no_memory_for_is_done_later(void **state)
{
	struct world w = world(state);
	Ptd__V1__DisarmFailpointsRequest disarm = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;
	Ptd__V1__TeardownGuestRequest q = PTD__V1__TEARDOWN_GUEST_REQUEST__INIT;
	struct lend l;
	struct ask a;

	/* Apart, so that the index has more to enter than it keeps room for. */
	for (uint32_t i = 0; i < 4; i++)
		OK(w.fx, "Transfer", donation(&a, &w, 4 * i * PAGE, IPA + 4 * i * PAGE));
	lend(&l, &w, 4);
	for (uint32_t i = 0; i < 4; i++) {
		l.item[i].ipa = IPA + l.item[i].pa;
		l.item[i].pa = 0;
		l.item[i].size = PAGE;
	}
	l.from = l.borrower;
	l.borrower.context = w.plain;
	OK(w.fx, "Transfer", &l.q);
	lack_memory(w.fx);
	q.context = w.guarded;
	OK(w.fx, "TeardownGuest", &q);
	assert_int_equal(owner_at(&w, 0)->state, STATE(LENT));
	ask(&a, &w, KIND(RECLAIM), OF(GUEST), OF(HOST), w.guarded)->items[0]->ipa = IPA;
	a.item.size = 16 * PAGE;
	REFUSED(w.fx, "Transfer", &a.q, PT_NO_MEMORY, "");
	assert_int_equal(owner_at(&w, 0)->state, STATE(LENT));
	OK(w.fx, "DisarmFailpoints", &disarm);
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(owner_at(&w, 0)->owner->kind, OF(HOST));
	assert_int_equal(owner_at(&w, 0)->state, STATE(OWNED));
	assert_int_equal(list(&w)->n_lendings, 0);
	assert_int_equal(atomic_load(&owners_of(w.fx, w.machine)->active), 0);
}

/* And while somebody has it the lender's pages are nobody's to have. */
static void a_lender_ends_after_its_borrowers(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__TransferResponse *r;
	uint64_t handle;
	struct lend l;
	struct ask a;

	OK(w.fx, "Transfer", donation(&a, &w, 0, IPA));
	lend(&l, &w, 1)->items[0]->ipa = IPA;
	l.item[0].size = PAGE;
	l.from = l.borrower;
	l.borrower.context = w.plain;
	r = OK(w.fx, "Transfer", &l.q);
	handle = r->lend_handle[0];
	after(&l, &w, handle, KIND(RETRIEVE), IPA);
	l.to.context = w.plain;
	OK(w.fx, "Transfer", &l.q);
	q.handle = w.guarded;
	REFUSED(w.fx, "DeleteContext", &q, PT_BUSY, "a borrower has what");
	assert_int_equal(owner_at(&w, 0)->state, STATE(LENT));
	after(&l, &w, handle, KIND(RELINQUISH), 0);
	l.from.context = w.plain;
	OK(w.fx, "Transfer", &l.q);
	OK(w.fx, "DeleteContext", &q);
	assert_int_equal(owner_at(&w, 0)->owner->kind, OF(HOST));
}

static void who_watches_is_told(void **state)
{
	struct world w = world(state);
	Ptd__V1__WatchOwnersRequest q = PTD__V1__WATCH_OWNERS_REQUEST__INIT;
	const Ptd__V1__WatchOwnersResponse *told;
	uint64_t handle;
	struct fake *f;

	q.machine = w.machine;
	f = fake_call(w.fx, 1, "WatchOwners", &q);
	f->room = 10;
	assert_int_equal(fake_run(f), CALL_STREAM);
	handle = lent(&w, false);
	fake_run(f);
	assert_int_equal(f->sent, 2);
	told = (const void *)f->message[1];
	assert_int_equal(told->kind, KIND(LEND));
	assert_int_equal(told->before->state, STATE(OWNED));
	assert_int_equal(told->after->state, STATE(LENT));
	assert_int_equal(told->after->lend_handle, handle);
	assert_int_equal(told->after->pa, 4 * PAGE);
	fake_abandon(f);
	keep(w.fx, f);
}

/* A request is done once, whatever it is. */
static void a_request_is_done_once(void **state)
{
	struct world w = world(state);
	uint8_t id[16] = "domain-lend-0001";
	Ptd__V1__TransferResponse *r;
	uint64_t handle;
	struct lend l;

	lend(&l, &w, 2)->request_id = (ProtobufCBinaryData){16, id};
	r = OK(w.fx, "Transfer", &l.q);
	handle = r->lend_handle[0];
	r = OK(w.fx, "Transfer", &l.q);
	assert_int_equal(r->lend_handle[0], handle);
	assert_int_equal(list(&w)->n_lendings, 1);
	assert_memory_equal(owner_at(&w, 0)->request_id.data, id, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_the_first_call_to_the_last),
		TEST(pieces_come_one_by_one),
		TEST(an_open_list_has_its_time),
		TEST(bad_requests_are_refused_by_name),
		TEST(a_refused_piece_takes_its_list_along),
		TEST(given_up_it_is_done_or_not_done),
		TEST(a_dead_borrower_has_relinquished),
		TEST(a_dying_borrower_has_relinquished),
		TEST(a_dead_lender_leaves_nothing),
		TEST(what_a_teardown_had_no_memory_for_is_done_later),
		TEST(a_lender_ends_after_its_borrowers),
		TEST(who_watches_is_told),
		TEST(a_request_is_done_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
