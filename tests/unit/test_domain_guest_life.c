/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a guest, call by call, and the memory that it is topped up with. */
#include "domain_owner.h"

#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/nested.pb-c.h"

#define DYING PTD__V1__CONTEXT_STATE__CONTEXT_STATE_DYING
#define LIVE  PTD__V1__CONTEXT_STATE__CONTEXT_STATE_LIVE

static Ptd__V1__TransferRequest *top_up(struct ask *a, const struct world *w, uint64_t guest,
					uint64_t pa, uint64_t pages)
{
	ask(a, w, KIND(TOP_UP), OF(HOST), OF(GUEST), guest);
	a->item.pa = pa;
	a->item.size = pages * PAGE;
	return &a->q;
}

static Ptd__V1__TransferRequest *reclaim(struct ask *a, const struct world *w, uint64_t ipa,
					 uint64_t pages)
{
	ask(a, w, KIND(RECLAIM), OF(GUEST), OF(HOST), w->guarded);
	a->item.ipa = ipa;
	a->item.size = pages * PAGE;
	return &a->q;
}

static uint64_t reserve(const struct world *w)
{
	Ptd__V1__ReserveGuestRequest q = PTD__V1__RESERVE_GUEST_REQUEST__INIT;

	q.machine = w->machine;
	return ((Ptd__V1__ReserveGuestResponse *)OK(w->fx, "ReserveGuest", &q))->guest;
}

static Ptd__V1__FinalizeGuestRequest final(const struct world *w, uint64_t guest)
{
	Ptd__V1__FinalizeGuestRequest q = PTD__V1__FINALIZE_GUEST_REQUEST__INIT;

	q.machine = w->machine;
	q.guest = guest;
	return q;
}

static Ptd__V1__OwnerKind owner_at(const struct world *w, uint64_t pa)
{
	return get(w->fx, w->machine, pa, PAGE)->ranges[0]->owner->kind;
}

static struct pt_host_ram *ram_of(const struct world *w)
{
	struct fake f = {.call = {.domain = w->fx->domain, .loop = w->fx->loop[0]}};

	return &peek_machine(&f.call, w->machine)->ram;
}

static uint64_t word(const struct world *w, uint64_t pa)
{
	uint64_t v = 0;

	pt_host_ram_read(ram_of(w), pa, &v, sizeof(v));
	return v;
}

/* In a place that was reserved, or in any. */
static uint64_t make_topped_up(const struct world *w, uint64_t place)
{
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextRequest c;

	o.protected_ = true;
	o.topped_up = true;
	c = context_request(w->machine, "topped", GUEST, &o);
	c.guest = place;
	return ((Ptd__V1__CreateContextResponse *)OK(w->fx, "CreateContext", &c))->context->handle;
}

static void tables_are_what_the_host_gives(void **state)
{
	struct world w = world(state);
	struct ask a;
	Ptd__V1__SetQuotaRequest q = PTD__V1__SET_QUOTA_REQUEST__INIT;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__Context *c;

	w.guarded = q.context = d.handle = make_topped_up(&w, 0);
	c = get_context(w.fx, w.guarded);
	assert_true(c->options->topped_up);
	assert_int_equal(0, c->quota_pages);
	assert_int_equal(0, c->topped_up_pages);
	REFUSED(w.fx, "SetQuota", &q, PT_WRONG_STATE, "context:");
	REFUSED(w.fx, "Transfer", donation(&a, &w, 0, IPA), PT_QUOTA, "");
	OK(w.fx, "Transfer", top_up(&a, &w, w.guarded, 4 * MIB, 1));
	REFUSED(w.fx, "Transfer", donation(&a, &w, 0, IPA), PT_QUOTA, "");
	OK(w.fx, "Transfer", top_up(&a, &w, w.guarded, 8 * MIB, 1));
	OK(w.fx, "Transfer", donation(&a, &w, 0, IPA));
	c = get_context(w.fx, w.guarded);
	assert_int_equal(2, c->topped_up_pages);
	assert_int_equal(2, c->table_pages);
	assert_int_equal(OF(HYP), owner_at(&w, 4 * MIB));
	assert_int_equal(w.guarded, get(w.fx, w.machine, 4 * MIB, PAGE)->ranges[0]->tables_of);
	REFUSED(w.fx, "Transfer", top_up(&a, &w, w.guarded, 4 * MIB, 1), PT_WRONG_OWNER, "");
	ask(&a, &w, KIND(DONATE), OF(HYP), OF(HOST), 0);
	a.item.pa = 4 * MIB;
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_OWNER, "");
	OK(w.fx, "DeleteContext", &d); /* all at once */
	assert_int_equal(OF(HOST), owner_at(&w, 0));
	assert_int_equal(OF(HOST), owner_at(&w, 4 * MIB));
	assert_int_equal(OF(HOST), owner_at(&w, 8 * MIB));
}

/* A vCPU of a dying guest does not run, neither there nor in a shadow that it had entered. */
static void shadows_die_with_their_guest(void **state)
{
	struct world w = world(state);
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextRequest c = context_request(w.machine, "nested", GUEST, &o);
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__TeardownGuestRequest t = PTD__V1__TEARDOWN_GUEST_REQUEST__INIT;
	Ptd__V1__EnterNestedRequest enter = PTD__V1__ENTER_NESTED_REQUEST__INIT;
	Ptd__V1__HandleFaultRequest h = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	Ptd__V1__AccessRequest access = PTD__V1__ACCESS_REQUEST__INIT;
	struct ask a;

	o.protected_ = true;
	o.nested = true;
	w.guarded =
		((Ptd__V1__CreateContextResponse *)OK(w.fx, "CreateContext", &c))->context->handle;
	enter.context = t.context = d.handle = w.guarded;
	OK(w.fx, "Transfer", donation(&a, &w, 0, IPA));
	access.context = h.context =
		((Ptd__V1__EnterNestedResponse *)OK(w.fx, "EnterNested", &enter))->shadow;
	access.ipa = h.ipa = IPA;
	access.access = h.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	access.length = 4;
	assert_int_equal(PT_OK, ((Ptd__V1__AccessResponse *)OK(w.fx, "Access", &access))->outcome);
	OK(w.fx, "TeardownGuest", &t);
	REFUSED(w.fx, "Access", &access, PT_WRONG_STATE, "context: the guest is dying");
	REFUSED(w.fx, "HandleFault", &h, PT_WRONG_STATE, "context: the guest is dying");
	REFUSED(w.fx, "EnterNested", &enter, PT_WRONG_STATE, "context: the guest is dying");
	OK(w.fx, "DeleteContext", &d);
}

static void step_by_step(void **state)
{
	struct world w = world(state);
	Ptd__V1__TeardownGuestRequest t = PTD__V1__TEARDOWN_GUEST_REQUEST__INIT;
	Ptd__V1__FinalizeGuestRequest f = final(&w, w.guarded);
	Ptd__V1__AccessRequest access = PTD__V1__ACCESS_REQUEST__INIT;
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct ask a;

	access.context = g.handle = t.context = w.guarded;
	access.ipa = IPA;
	access.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	access.length = 4;
	donation(&a, &w, 0, IPA);
	a.item.size = 4 * PAGE;
	OK(w.fx, "Transfer", &a.q);
	OK(w.fx, "Transfer", top_up(&a, &w, w.guarded, 4 * MIB, 2));
	OK(w.fx, "Access", &access);
	assert_int_equal(LIVE, get_context(w.fx, w.guarded)->state);
	REFUSED(w.fx, "FinalizeGuest", &f, PT_WRONG_STATE, "guest:");
	REFUSED(w.fx, "Transfer", reclaim(&a, &w, IPA, 1), PT_WRONG_STATE, "");
	assert_int_equal(
		DYING,
		((Ptd__V1__TeardownGuestResponse *)OK(w.fx, "TeardownGuest", &t))->context->state);
	assert_int_equal(DYING, get_context(w.fx, w.guarded)->state);
	REFUSED(w.fx, "TeardownGuest", &t, PT_WRONG_STATE, "context:");
	REFUSED(w.fx, "Access", &access, PT_WRONG_STATE, "context:");
	REFUSED(w.fx, "Transfer", donation(&a, &w, MIB, IPA + MIB), PT_WRONG_STATE, "");
	REFUSED(w.fx, "Transfer", top_up(&a, &w, w.guarded, MIB, 1), PT_WRONG_STATE, "");
	OK(w.fx, "Transfer", reclaim(&a, &w, IPA, 3));
	assert_int_equal(OF(HOST), owner_at(&w, 2 * PAGE));
	assert_int_equal(OF(GUEST), owner_at(&w, 3 * PAGE));
	REFUSED(w.fx, "FinalizeGuest", &f, PT_WRONG_STATE, "guest:");
	assert_int_equal(OF(HYP), owner_at(&w, 4 * MIB)); /* nothing was begun */
	OK(w.fx, "Transfer", reclaim(&a, &w, 0, (UINT64_C(1) << 40) / PAGE)); /* holes and all */
	assert_int_equal(OF(HOST), owner_at(&w, 3 * PAGE));
	pt_host_ram_write(ram_of(&w), 4 * MIB, &(uint64_t){77}, 8);
	OK(w.fx, "FinalizeGuest", &f);
	assert_int_equal(OF(HOST), owner_at(&w, 4 * MIB + PAGE));
	assert_int_equal(0, word(&w, 4 * MIB));
	REFUSED(w.fx, "GetContext", &g, PT_NOT_FOUND, "handle:");
	REFUSED(w.fx, "FinalizeGuest", &f, PT_NOT_FOUND, "guest:");
}

static void a_place_comes_before_its_guest(void **state)
{
	struct world w = world(state);
	uint64_t place = reserve(&w), other = reserve(&w);
	Ptd__V1__FinalizeGuestRequest f = final(&w, other);
	Ptd__V1__CreateContextRequest c = context_request(w.machine, "guarded", GUEST, NULL);
	struct ask a;

	assert_int_not_equal(place, other);
	OK(w.fx, "Transfer", top_up(&a, &w, place, 4 * MIB, 3));
	OK(w.fx, "Transfer", top_up(&a, &w, other, 8 * MIB, 1));
	assert_int_equal(place, get(w.fx, w.machine, 4 * MIB, PAGE)->ranges[0]->tables_of);
	w.guarded = place;
	REFUSED(w.fx, "Transfer", donation(&a, &w, 0, IPA), PT_NOT_FOUND, "items[0]");
	c.guest = place;
	REFUSED(w.fx, "CreateContext", &c, PT_ALREADY_EXISTS, "name:"); /* the place stays */
	w.guarded = make_topped_up(&w, place);
	assert_int_equal(3, get_context(w.fx, w.guarded)->topped_up_pages);
	OK(w.fx, "Transfer", donation(&a, &w, 0, IPA));
	c.name = (char *)(uintptr_t) "again";
	REFUSED(w.fx, "CreateContext", &c, PT_NOT_FOUND, "guest:");
	OK(w.fx, "FinalizeGuest", &f);
	assert_int_equal(OF(HOST), owner_at(&w, 8 * MIB));
	REFUSED(w.fx, "FinalizeGuest", &f, PT_NOT_FOUND, "guest:");
	REFUSED(w.fx, "Transfer", top_up(&a, &w, other, 8 * MIB, 1), PT_NOT_FOUND, "items[0]");
}

/* Whoever comes second, however far the first has come, ends nothing but what it named. */
static void a_place_ends_once(void **state)
{
	struct world w = world(state);

	for (unsigned ahead = 1; ahead < 6; ahead++) {
		uint64_t place = reserve(&w), next;
		Ptd__V1__FinalizeGuestRequest f = final(&w, place);
		struct fake *one, *two;
		struct ask a;

		OK(w.fx, "Transfer", top_up(&a, &w, place, 4 * MIB, 2048));
		one = fake_call(w.fx, 0, "FinalizeGuest", &f);
		two = fake_call(w.fx, 1, "FinalizeGuest", &f);
		for (unsigned i = 0; i < ahead; i++)
			assert_int_equal(fake_step(one, one->method->run), CALL_MORE);
		assert_int_equal(CALL_DONE, fake_step(two, two->method->run));
		assert_int_equal(CALL_DONE, fake_run(one));
		assert_int_equal(PT_OK, one->call.status.code);
		next = reserve(&w);
		OK(w.fx, "Transfer", top_up(&a, &w, next, 4 * MIB, 3));
		assert_int_equal(PT_NOT_FOUND, two->call.status.code);
		assert_int_equal(next, get(w.fx, w.machine, 4 * MIB, PAGE)->ranges[0]->tables_of);
		f = final(&w, next);
		OK(w.fx, "FinalizeGuest", &f);
		keep(w.fx, one);
		keep(w.fx, two);
	}
}

static void what_is_no_guest_is_refused(void **state)
{
	struct world w = world(state);
	Ptd__V1__TeardownGuestRequest t = PTD__V1__TEARDOWN_GUEST_REQUEST__INIT;
	Ptd__V1__ReserveGuestRequest r = PTD__V1__RESERVE_GUEST_REQUEST__INIT;
	Ptd__V1__FinalizeGuestRequest f = final(&w, w.host);
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextRequest c = context_request(w.fx->machine, "x", GUEST, &o);

	r.machine = w.fx->machine;
	REFUSED(w.fx, "ReserveGuest", &r, PT_WRONG_STATE, "machine:");
	REFUSED(w.fx, "FinalizeGuest", &f, PT_INVALID, "guest:");
	f.guest = w.fx->context;
	REFUSED(w.fx, "FinalizeGuest", &f, PT_INVALID, "guest:");
	t.context = w.host;
	REFUSED(w.fx, "TeardownGuest", &t, PT_INVALID, "context:");
	t.context = w.fx->context;
	REFUSED(w.fx, "TeardownGuest", &t, PT_INVALID, "context:");
	o.topped_up = true;
	REFUSED(w.fx, "CreateContext", &c, PT_INVALID, "options.topped_up:");
	o.topped_up = false;
	c.guest = 1;
	REFUSED(w.fx, "CreateContext", &c, PT_INVALID, "guest:");
	c.machine = w.machine;
	REFUSED(w.fx, "CreateContext", &c, PT_NOT_FOUND, "guest:");
	o.topped_up = true;
	c.guest = 0;
	c.quota_pages = 1;
	REFUSED(w.fx, "CreateContext", &c, PT_INVALID, "quota_pages:");
}

/* Places count as guests do; and each is free again. */
static void as_many_places_as_guests(void **state)
{
	struct world w = world(state);
	Ptd__V1__ReserveGuestRequest q = PTD__V1__RESERVE_GUEST_REQUEST__INIT;
	uint64_t place[LIMIT_GUESTS];

	q.machine = w.machine;
	for (unsigned i = 2; i < LIMIT_GUESTS; i++)
		place[i] = reserve(&w);
	REFUSED(w.fx, "ReserveGuest", &q, PT_TOO_LARGE, "machine:");
	for (unsigned i = 2; i < LIMIT_GUESTS; i++) {
		Ptd__V1__FinalizeGuestRequest f = final(&w, place[i]);

		OK(w.fx, "FinalizeGuest", &f);
	}
	reserve(&w); /* and goes with its machine */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tables_are_what_the_host_gives),
		TEST(shadows_die_with_their_guest),
		TEST(step_by_step),
		TEST(a_place_comes_before_its_guest),
		TEST(a_place_ends_once),
		TEST(what_is_no_guest_is_refused),
		TEST(as_many_places_as_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
