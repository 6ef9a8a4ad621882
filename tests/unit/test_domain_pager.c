/* SPDX-License-Identifier: BSD-2-Clause */
/* Pagers step by step: what is absent and who waits, whoever comes between. */
#include "domain_fixture.h"

#include "registry.h"

#include <pt/context.h>

#include "ptd/v1/nested.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#define PAGE UINT64_C(4096)
#define IPA  (UINT64_C(1) << 30)
#define SIZE (4 * MIB)

typedef Ptd__V1__ServePagesResponse Response;

/* A stream by hand: each message is the call's request for as long as it is with the handler. */
struct stream {
	struct fixture *fx;
	struct fake *f;
	Ptd__V1__ServePagesRequest q;
	Ptd__V1__PagerOpen open;
	Ptd__V1__PageSupply supply;
	uint8_t data[2 * PAGE];
	unsigned read;
};

static void ask_open(struct stream *s, struct fixture *fx, uint64_t ipa, uint64_t size)
{
	*s = (struct stream){.fx = fx,
			     .q = PTD__V1__SERVE_PAGES_REQUEST__INIT,
			     .open = PTD__V1__PAGER_OPEN__INIT,
			     .supply = PTD__V1__PAGE_SUPPLY__INIT};
	s->open.context = fx->context;
	s->open.ipa = ipa;
	s->open.size = size;
	s->q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN;
	s->q.open = &s->open;
	s->f = fake_call(fx, 1, "ServePages", &s->q);
}

static Response *next(struct stream *s)
{
	assert_true(s->read < s->f->sent);
	return (void *)s->f->message[s->read++];
}

static void open_range(struct stream *s, struct fixture *fx, uint64_t ipa, uint64_t size)
{
	ask_open(s, fx, ipa, size);
	assert_int_equal(fake_run(s->f), CALL_STREAM);
	assert_int_equal(next(s)->what_case, PTD__V1__SERVE_PAGES_RESPONSE__WHAT_OPENED);
}

static enum call_result look(struct stream *s)
{
	return fake_step(s->f, s->f->method->look);
}

/* Woken once, and tells what it is to ask for. */
static Ptd__V1__PageWanted *wanted(struct stream *s)
{
	Response *r;

	assert_int_equal(look(s), CALL_STREAM);
	r = next(s);
	assert_int_equal(r->what_case, PTD__V1__SERVE_PAGES_RESPONSE__WHAT_WANTED);
	return r->wanted;
}

static enum call_result send_supply(struct stream *s, uint64_t ipa, uint64_t size,
				    Ptd__V1__PageContent content)
{
	s->supply.ipa = ipa;
	s->supply.size = size;
	s->supply.content = content;
	s->supply.data = (ProtobufCBinaryData){0};
	if (content == PTD__V1__PAGE_CONTENT__PAGE_CONTENT_DATA)
		s->supply.data = (ProtobufCBinaryData){size, s->data};
	s->q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_SUPPLY;
	s->q.supply = &s->supply;
	return fake_run(s->f);
}

static Ptd__V1__PageSupplied *supply(struct stream *s, uint64_t ipa, uint64_t size,
				     Ptd__V1__PageContent content)
{
	Response *r;

	send_supply(s, ipa, size, content);
	r = next(s);
	assert_int_equal(r->what_case, PTD__V1__SERVE_PAGES_RESPONSE__WHAT_SUPPLIED);
	return r->supplied;
}
#define DATA   PTD__V1__PAGE_CONTENT__PAGE_CONTENT_DATA
#define ZERO   PTD__V1__PAGE_CONTENT__PAGE_CONTENT_ZERO
#define AS_IS  PTD__V1__PAGE_CONTENT__PAGE_CONTENT_AS_IS
#define FAILED PTD__V1__PAGE_CONTENT__PAGE_CONTENT_FAILED

static void half_close(struct stream *s)
{
	s->f->call.request = NULL;
	assert_int_equal(fake_run(s->f), CALL_DONE);
	assert_int_equal(s->f->call.status.code, PT_OK);
	keep(s->fx, s->f);
}

/* An access that is under way. */
struct touch {
	struct fake *f;
	Ptd__V1__AccessRequest q;
};

static enum call_result touch(struct touch *t, struct fixture *fx, uint64_t ipa)
{
	t->q = (Ptd__V1__AccessRequest)PTD__V1__ACCESS_REQUEST__INIT;
	t->q.context = fx->context;
	t->q.ipa = ipa;
	t->q.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	t->q.length = 1;
	t->f = fake_call(fx, 0, "Access", &t->q);
	return fake_run(t->f);
}

/* It was woken, once, and ends with this outcome. */
static Ptd__V1__AccessResponse *resumes(struct touch *t, struct fixture *fx, enum pt_outcome o)
{
	Ptd__V1__AccessResponse *r;

	assert_int_equal(t->f->wakes, 1);
	assert_int_equal(fake_run(t->f), CALL_DONE);
	r = (void *)t->f->call.response;
	assert_non_null(r);
	assert_int_equal(r->outcome, o);
	keep(fx, t->f);
	return r;
}

static Ptd__V1__AccessResponse *at_once(struct fixture *fx, uint64_t ipa, enum pt_outcome o)
{
	struct touch t;
	Ptd__V1__AccessResponse *r;

	assert_int_equal(touch(&t, fx, ipa), CALL_DONE);
	r = (void *)t.f->call.response;
	assert_non_null(r);
	assert_int_equal(r->outcome, o);
	keep(fx, t.f);
	return r;
}

static struct fixture *backed(void **state)
{
	struct fixture *fx = *state;

	set_slot(fx, fx->context, 0, IPA, SIZE, 0, 0, 2 * MIB);
	return fx;
}

static Ptd__V1__ListPagersResponse *list(struct fixture *fx)
{
	Ptd__V1__ListPagersRequest q = PTD__V1__LIST_PAGERS_REQUEST__INIT;

	q.machine = fx->machine;
	return OK(fx, "ListPagers", &q);
}

static void one_request_a_page_however_many_wait(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t[3];

	open_range(&s, fx, IPA, SIZE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(touch(&t[i], fx, IPA + 5 * PAGE + i), CALL_PARKED);
	assert_int_equal(s.f->wakes, 1);
	assert_int_equal(wanted(&s)->ipa, IPA + 5 * PAGE);
	assert_int_equal(look(&s), CALL_STREAM);
	assert_int_equal(s.f->sent, s.read);
	memset(s.data, 0x5a, sizeof(s.data));
	assert_int_equal(supply(&s, IPA + 5 * PAGE, PAGE, DATA)->pages, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(resumes(&t[i], fx, PT_OK)->data.data[0], 0x5a);
	half_close(&s);
}

/* What is supplied before it was asked for takes no number with it. */
static void what_is_asked_for_is_numbered_without_a_gap(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t[3];

	open_range(&s, fx, IPA, SIZE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(touch(&t[i], fx, IPA + i * PAGE), CALL_PARKED);
	supply(&s, IPA, PAGE, ZERO);
	resumes(&t[0], fx, PT_OK);
	for (unsigned i = 1; i < 3; i++) {
		const Ptd__V1__PageWanted *w = next(&s)->wanted;

		assert_int_equal(w->seq, i);
		assert_int_equal(w->ipa, IPA + i * PAGE);
	}
	half_close(&s);
	for (unsigned i = 1; i < 3; i++)
		resumes(&t[i], fx, PT_ABSENT);
}

/* Pages whose waiters share a bucket are told apart, and who waits for room in the window is asked
 * for in order of arrival. */
static void a_supply_wakes_those_of_its_pages_alone(void **state)
{
	static const uint64_t page[] = {5, 5 + PAGE_WAIT_BUCKETS, 7, 6, 5 + PAGE_WAIT_BUCKETS};
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t[5];

	ask_open(&s, fx, IPA, SIZE);
	s.open.window = 1;
	assert_int_equal(fake_run(s.f), CALL_STREAM);
	next(&s);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(touch(&t[i], fx, IPA + page[i] * PAGE), CALL_PARKED);
	assert_int_equal(wanted(&s)->ipa, IPA + 5 * PAGE);
	supply(&s, IPA + 7 * PAGE, PAGE, ZERO);
	resumes(&t[2], fx, PT_OK);
	supply(&s, IPA + 5 * PAGE, PAGE, ZERO);
	resumes(&t[0], fx, PT_OK);
	assert_int_equal(t[1].f->wakes + t[4].f->wakes, 0);
	assert_int_equal(next(&s)->wanted->ipa, IPA + (5 + PAGE_WAIT_BUCKETS) * PAGE);
	supply(&s, IPA + 8 * PAGE, (PAGE_WAIT_BUCKETS - 2) * PAGE, ZERO);
	resumes(&t[1], fx, PT_OK);
	resumes(&t[4], fx, PT_OK);
	assert_int_equal(next(&s)->wanted->ipa, IPA + 6 * PAGE);
	assert_int_equal(t[3].f->wakes, 0);
	supply(&s, IPA + 6 * PAGE, PAGE, ZERO);
	resumes(&t[3], fx, PT_OK);
	half_close(&s);
}

/* What is asked for again, or comes unasked, finds each page as it was first. */
static void the_first_content_stays(void **state)
{
	struct fixture *fx = backed(state);
	Ptd__V1__PageSupplied *r;
	struct stream s;

	open_range(&s, fx, IPA, SIZE);
	memset(s.data, 1, sizeof(s.data));
	assert_int_equal(supply(&s, IPA + PAGE, PAGE, DATA)->absent_pages, 1023);
	memset(s.data, 2, sizeof(s.data));
	r = supply(&s, IPA, 2 * PAGE, DATA);
	assert_int_equal(r->pages, 1);
	assert_int_equal(r->pages_before, 1);
	assert_int_equal(supply(&s, IPA, 2 * PAGE, FAILED)->pages, 0);
	assert_int_equal(at_once(fx, IPA, PT_OK)->data.data[0], 2);
	assert_int_equal(at_once(fx, IPA + PAGE, PT_OK)->data.data[0], 1);
	assert_int_equal(supply(&s, IPA + 70 * PAGE, 130 * PAGE, ZERO)->pages, 130);
	assert_int_equal(supply(&s, IPA + 60 * PAGE, 150 * PAGE, AS_IS)->pages, 20);
	half_close(&s);
}

/* The peer does not read: what is to be asked for stays so until it does. */
static void a_slow_pager_is_asked_when_it_reads(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t[2];

	open_range(&s, fx, IPA, SIZE);
	s.f->room = 0;
	assert_int_equal(touch(&t[0], fx, IPA), CALL_PARKED);
	assert_int_equal(look(&s), CALL_STREAM);
	assert_int_equal(touch(&t[1], fx, IPA + PAGE), CALL_PARKED);
	assert_int_equal(s.f->wakes, 1); /* the room that comes makes it look */
	assert_int_equal(s.f->sent, s.read);
	s.f->room = 10;
	assert_int_equal(wanted(&s)->ipa, IPA);
	assert_int_equal(next(&s)->wanted->ipa, IPA + PAGE);
	supply(&s, IPA, 2 * PAGE, ZERO);
	resumes(&t[0], fx, PT_OK);
	resumes(&t[1], fx, PT_OK);
	half_close(&s);
}

static void who_leaves_wakes_all_and_a_call_that_is_given_up_nobody(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t, given_up;

	open_range(&s, fx, IPA, SIZE);
	assert_int_equal(touch(&given_up, fx, IPA), CALL_PARKED);
	assert_int_equal(touch(&t, fx, IPA + PAGE), CALL_PARKED);
	fake_abandon(given_up.f);
	assert_int_equal(list(fx)->pagers[0]->waiting, 1);
	fake_abandon(s.f);
	keep(fx, s.f);
	assert_int_equal(given_up.f->wakes, 0);
	keep(fx, given_up.f);
	resumes(&t, fx, PT_ABSENT);
	at_once(fx, IPA, PT_ABSENT);
	assert_false(list(fx)->pagers[0]->served);
	open_range(&s, fx, IPA, SIZE);
	assert_true(((Response *)(void *)s.f->message[0])->opened->resumed);
	assert_int_equal(touch(&t, fx, IPA + PAGE), CALL_PARKED);
	assert_int_equal(wanted(&s)->seq, 1);
	supply(&s, IPA, SIZE / 4, AS_IS);
	resumes(&t, fx, PT_OK);
	half_close(&s);
}

/* A step of `f`, whose claim waits for a section of the other loop. */
static void step_held_up(struct fixture *fx, struct fake *f)
{
	struct domain_loop *other = fx->loop[f->call.loop == fx->loop[0]];

	domain_section_begin(other);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	domain_section_end(other);
}

/* The operation that unmaps the range waits for others, and is given up. */
static void an_opening_that_is_given_up_leaves_the_range_as_it_was(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s, other;

	at_once(fx, IPA, PT_OK);
	ask_open(&s, fx, IPA, SIZE);
	step_held_up(fx, s.f);
	ask_open(&other, fx, IPA, SIZE);
	assert_int_equal(fake_run(other.f), CALL_DONE);
	assert_int_equal(other.f->call.status.code, PT_ALREADY_EXISTS);
	keep(fx, other.f);
	fake_abandon(s.f);
	keep(fx, s.f);
	assert_int_equal(list(fx)->n_pagers, 0);
	at_once(fx, IPA, PT_OK);
	at_once(fx, IPA + 2 * MIB, PT_OK);
	open_range(&s, fx, IPA, SIZE);
	assert_false(((Response *)(void *)s.f->message[0])->opened->resumed);
	half_close(&s);
}

/* The slot of the stream's range, as lib sees it. */
static bool is_marked(const struct stream *s)
{
	struct context *c;
	bool marked;

	domain_section_begin(s->f->call.loop);
	c = peek_context(&s->f->call, s->fx->context);
	marked = pt_slot_find(pt_ctx_slots(&c->pt), IPA)->flags & PT_SLOT_PAGED;
	domain_section_end(s->f->call.loop);
	return marked;
}

static void the_last_page_ends_the_stream_and_blocks_are_made_again(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t;

	open_range(&s, fx, IPA, 2 * MIB);
	assert_true(is_marked(&s));
	assert_int_equal(at_once(fx, IPA + 2 * MIB, PT_OK)->level, 2); /* beside it */
	assert_int_equal(supply(&s, IPA, MIB, ZERO)->absent_pages, 256);
	assert_int_equal(at_once(fx, IPA, PT_OK)->level, 3);
	assert_int_equal(touch(&t, fx, IPA + MIB), CALL_PARKED);
	assert_int_equal(send_supply(&s, IPA + MIB, MIB, ZERO), CALL_DONE);
	assert_int_equal(s.f->call.status.code, PT_OK);
	assert_int_equal(list(fx)->n_pagers, 0);
	assert_int_equal(resumes(&t, fx, PT_OK)->level, 3);
	assert_false(is_marked(&s));
	keep(fx, s.f);
}

static void a_slot_that_goes_ends_its_pager(void **state)
{
	struct fixture *fx = backed(state);
	Ptd__V1__DeleteSlotRequest q = PTD__V1__DELETE_SLOT_REQUEST__INIT;
	struct stream s;
	struct touch t;

	open_range(&s, fx, IPA, SIZE);
	set_slot(fx, fx->context, 0, IPA, SIZE, 0, PT_SLOT_LOG_DIRTY, 2 * MIB);
	assert_int_equal(get_context(fx, fx->context)->slots[0]->flags, PT_SLOT_LOG_DIRTY);
	assert_int_equal(touch(&t, fx, IPA), CALL_PARKED);
	assert_int_equal(wanted(&s)->seq, 1);
	s.f->wakes = 0;
	q.context = fx->context;
	OK(fx, "DeleteSlot", &q);
	assert_int_equal(s.f->wakes, 1);
	resumes(&t, fx, PT_NO_SLOT);
	assert_int_equal(look(&s), CALL_DONE);
	assert_int_equal(s.f->call.status.code, PT_NOT_FOUND);
	keep(fx, s.f);
}

static void a_context_that_goes_ends_its_pager(void **state)
{
	struct fixture *fx = backed(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct stream s;
	struct touch t;

	open_range(&s, fx, IPA, SIZE);
	assert_int_equal(touch(&t, fx, IPA), CALL_PARKED);
	q.handle = fx->context;
	OK(fx, "DeleteContext", &q);
	assert_int_equal(t.f->wakes, 1);
	assert_int_equal(fake_run(t.f), CALL_DONE);
	assert_int_equal(t.f->call.status.code, PT_NOT_FOUND);
	keep(fx, t.f);
	assert_int_equal(send_supply(&s, IPA, PAGE, ZERO), CALL_DONE);
	assert_int_equal(s.f->call.status.code, PT_NOT_FOUND);
	keep(fx, s.f);
}

/* A machine whose context has a slot is the fixture's from now on. */
static void next_machine(struct fixture *fx, const char *name)
{
	fx->machine = new_machine(fx, name, 16 * MIB);
	fx->context = new_context(fx, fx->machine, "g0");
	set_slot(fx, fx->context, 0, IPA, SIZE, 0, 0, 2 * MIB);
}

static enum call_result open_as(struct stream *s, struct fixture *fx, const struct principal *who)
{
	ask_open(s, fx, IPA, PAGE);
	s->f->call.principal = who;
	return fake_run(s->f);
}

static void is_too_much(struct stream *s, struct fixture *fx)
{
	assert_int_equal(open_as(s, fx, &fx->principal), CALL_DONE);
	assert_int_equal(s->f->call.status.code, PT_TOO_LARGE);
	assert_memory_equal(s->f->call.status.text, "max_principal_pagers: ", 22);
	keep(fx, s->f);
}

/* Others have room; a range that is taken over counts for who takes it. */
static void a_principal_has_its_share_of_pagers(void **state)
{
	struct fixture *fx = *state;
	struct stream s[LIMIT_PRINCIPAL_PAGERS], more;
	char name[] = "n0";

	for (unsigned i = 0; i < LIMIT_PRINCIPAL_PAGERS; i++) {
		name[1] = (char)('0' + i / LIMIT_MACHINE_PAGERS);
		if (i % LIMIT_MACHINE_PAGERS == 0)
			next_machine(fx, name);
		open_range(&s[i], fx, IPA + i * PAGE, PAGE);
	}
	next_machine(fx, "last");
	is_too_much(&more, fx);
	assert_int_equal(open_as(&more, fx, &fx->other), CALL_STREAM);
	half_close(&more);
	assert_string_equal(list(fx)->pagers[0]->principal, "uid:1000");
	is_too_much(&more, fx);
	assert_int_equal(send_supply(&s[0], IPA, PAGE, ZERO), CALL_DONE);
	keep(fx, s[0].f);
	open_range(&more, fx, IPA, PAGE);
	assert_true(((Response *)(void *)more.f->message[0])->opened->resumed);
	assert_string_equal(list(fx)->pagers[0]->principal, "uid:0");
	half_close(&more);
	for (unsigned i = 1; i < LIMIT_PRINCIPAL_PAGERS; i++)
		half_close(&s[i]);
}

/* A slot waits for its turn while the last page is supplied: the stream ends after it. */
static void the_end_waits_for_a_change_of_slots(void **state)
{
	struct fixture *fx = backed(state);
	Ptd__V1__SetSlotRequest q = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;
	struct stream s;
	struct fake *change;

	open_range(&s, fx, IPA, PAGE);
	at_once(fx, IPA + PAGE, PT_OK);
	slot.ipa = IPA;
	slot.size = SIZE;
	slot.pa = SIZE;
	q.context = fx->context;
	q.slot = &slot;
	change = fake_call(fx, 0, "SetSlot", &q);
	step_held_up(fx, change);
	assert_int_equal(send_supply(&s, IPA, PAGE, ZERO), CALL_PARKED);
	fake_abandon(change);
	keep(fx, change);
	assert_int_equal(s.f->wakes, 1);
	assert_int_equal(fake_run(s.f), CALL_DONE);
	assert_int_equal(s.f->call.status.code, PT_OK);
	assert_int_equal(list(fx)->n_pagers, 0);
	keep(fx, s.f);
}

static void a_drain_ends_streams_and_who_waits(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;
	struct touch t;

	open_range(&s, fx, IPA, SIZE);
	assert_int_equal(touch(&t, fx, IPA), CALL_PARKED);
	wanted(&s);
	s.f->wakes = 0;
	domain_drain(fx->domain);
	assert_int_equal(s.f->wakes, 1);
	assert_int_equal(look(&s), CALL_DONE);
	assert_int_equal(s.f->call.status.code, PT_DRAINING);
	keep(fx, s.f);
	resumes(&t, fx, PT_ABSENT);
}

/* A stream of a session that opens it under an id of the test's. */
static struct fake *open_session(struct fixture *fx, enum call_result result)
{
	static Ptd__V1__SessionRequest q;
	static Ptd__V1__SessionOpen open;
	static uint8_t id[16] = "a session's name";
	struct fake *f;

	q = (Ptd__V1__SessionRequest)PTD__V1__SESSION_REQUEST__INIT;
	open = (Ptd__V1__SessionOpen)PTD__V1__SESSION_OPEN__INIT;
	open.context = fx->context;
	open.session_id = (ProtobufCBinaryData){sizeof(id), id};
	q.what_case = PTD__V1__SESSION_REQUEST__WHAT_OPEN;
	q.open = &open;
	f = fake_call(fx, 0, "Session", &q);
	assert_int_equal(fake_run(f), result);
	return f;
}

static void a_session_is_not_held_up_by_a_pager(void **state)
{
	uint64_t ipa = IPA;
	uint32_t access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	Ptd__V1__SessionRequest q = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__Accesses accesses = PTD__V1__ACCESSES__INIT;
	struct fixture *fx = backed(state);
	struct fake *first, *second;
	struct stream s;

	open_range(&s, fx, IPA, SIZE);
	first = open_session(fx, CALL_STREAM);
	accesses.n_ipa = accesses.n_access = 1;
	accesses.ipa = &ipa;
	accesses.access = &access;
	q.seq = 1;
	q.what_case = PTD__V1__SESSION_REQUEST__WHAT_ACCESS;
	q.access = &accesses;
	first->call.request = &q.base;
	assert_int_equal(fake_run(first), CALL_PARKED);
	assert_int_equal(list(fx)->pagers[0]->waiting, 1);
	second = open_session(fx, CALL_PARKED);
	assert_int_equal(first->wakes, 1);
	assert_int_equal(fake_run(first), CALL_DONE);
	assert_int_equal(first->call.status.code, PT_TAKEN_OVER);
	assert_int_equal(list(fx)->pagers[0]->waiting, 0);
	assert_int_equal(second->wakes, 1);
	assert_int_equal(fake_run(second), CALL_STREAM);
	fake_abandon(second);
	half_close(&s);
	assert_int_equal(first->wakes, 1);
	keep(fx, first);
	keep(fx, second);
}

/* The answer to the last page finds no memory: the stream fails, and its range is done all the
 * same.
 */
static void a_range_without_absent_pages_is_not_left_behind(void **state)
{
	struct fixture *fx = backed(state);
	struct stream s;

	open_range(&s, fx, IPA, 2 * PAGE);
	s.f->room = 0;
	assert_int_equal(send_supply(&s, IPA, 2 * PAGE, ZERO), CALL_DONE);
	assert_int_equal(s.f->call.status.code, PT_NO_MEMORY);
	keep(fx, s.f);
	assert_int_equal(list(fx)->n_pagers, 0);
	at_once(fx, IPA, PT_OK);
	open_range(&s, fx, IPA, 4 * PAGE);
	fake_abandon(s.f);
	keep(fx, s.f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_request_a_page_however_many_wait),
		TEST(what_is_asked_for_is_numbered_without_a_gap),
		TEST(a_supply_wakes_those_of_its_pages_alone),
		TEST(the_first_content_stays),
		TEST(a_slow_pager_is_asked_when_it_reads),
		TEST(who_leaves_wakes_all_and_a_call_that_is_given_up_nobody),
		TEST(an_opening_that_is_given_up_leaves_the_range_as_it_was),
		TEST(the_last_page_ends_the_stream_and_blocks_are_made_again),
		TEST(a_range_without_absent_pages_is_not_left_behind),
		TEST(a_slot_that_goes_ends_its_pager),
		TEST(a_context_that_goes_ends_its_pager),
		TEST(a_principal_has_its_share_of_pagers),
		TEST(the_end_waits_for_a_change_of_slots),
		TEST(a_drain_ends_streams_and_who_waits),
		TEST(a_session_is_not_held_up_by_a_pager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
