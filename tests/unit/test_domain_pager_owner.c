/* SPDX-License-Identifier: BSD-2-Clause */
/* Pagers of a machine with owners: what is absent changes hands while its content comes. */
#include "domain_owner.h"

#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#define FIRST (8 * MIB)
#define SIZE  (16 * PAGE)

/* A stream of the host's over [FIRST, FIRST + SIZE). */
struct stream {
	struct fake *f;
	Ptd__V1__ServePagesRequest q;
	Ptd__V1__PagerOpen open;
	Ptd__V1__PageSupply supply;
	unsigned read;
};

static Ptd__V1__ServePagesResponse *next(struct stream *s)
{
	assert_true(s->read < s->f->sent);
	return (void *)s->f->message[s->read++];
}

static enum call_result open_range(struct stream *s, const struct world *w, uint64_t context)
{
	*s = (struct stream){.q = PTD__V1__SERVE_PAGES_REQUEST__INIT,
			     .open = PTD__V1__PAGER_OPEN__INIT,
			     .supply = PTD__V1__PAGE_SUPPLY__INIT};
	s->open.context = context;
	s->open.ipa = FIRST;
	s->open.size = SIZE;
	s->q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN;
	s->q.open = &s->open;
	s->f = fake_call(w->fx, 1, "ServePages", &s->q);
	return fake_run(s->f);
}

static void ask_supply(struct stream *s, uint64_t ipa)
{
	s->supply.ipa = ipa;
	s->supply.size = PAGE;
	s->supply.content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_ZERO;
	s->q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_SUPPLY;
	s->q.supply = &s->supply;
	s->f->call.request = &s->q.base;
}

static uint32_t supply(struct stream *s, uint64_t ipa)
{
	ask_supply(s, ipa);
	assert_int_equal(fake_run(s->f), CALL_STREAM);
	return next(s)->supplied->outcome;
}

static struct world backed(void **state)
{
	struct world w = world(state);

	set_slot(w.fx, w.host, 0, 0, 32 * MIB, 0, 0, 2 * MIB);
	return w;
}

static void refused(struct stream *s, const struct world *w, enum pt_outcome o)
{
	assert_int_equal(s->f->call.status.code, o);
	keep(w->fx, s->f);
}

static void the_hosts_alone_can_be_absent(void **state)
{
	struct world w = backed(state);
	struct stream s;
	struct ask a;

	assert_int_equal(open_range(&s, &w, w.guarded), CALL_DONE);
	refused(&s, &w, PT_WRONG_STATE);
	donation(&a, &w, FIRST + PAGE, IPA);
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(open_range(&s, &w, w.host), CALL_DONE);
	assert_int_equal(s.f->call.status.ipa, FIRST + PAGE);
	refused(&s, &w, PT_WRONG_OWNER);
}

/* The transition has its claims, and waits for the other loop; then the page is the guest's. */
static void a_page_on_its_way_to_a_guest_is_not_written(void **state)
{
	struct world w = backed(state);
	struct stream s;
	struct fake *transfer;
	struct ask a;

	assert_int_equal(open_range(&s, &w, w.host), CALL_STREAM);
	next(&s);
	donation(&a, &w, FIRST, IPA);
	transfer = fake_call(w.fx, 0, "Transfer", &a.q);
	domain_section_begin(w.fx->loop[1]);
	assert_int_equal(fake_step(transfer, transfer->method->run), CALL_MORE);
	domain_section_end(w.fx->loop[1]);
	ask_supply(&s, FIRST);
	assert_int_equal(fake_step(s.f, s.f->method->run), CALL_MORE);
	assert_int_equal(s.f->sent, s.read);
	assert_int_equal(fake_run(transfer), CALL_DONE);
	assert_int_equal(transfer->call.status.code, PT_OK);
	keep(w.fx, transfer);
	assert_int_equal(fake_run(s.f), CALL_STREAM);
	assert_int_equal(next(&s)->supplied->outcome, PT_WRONG_OWNER);
	assert_int_equal(supply(&s, FIRST + PAGE), PT_OK);
	fake_abandon(s.f);
	keep(w.fx, s.f);
}

/* It is to be asked for, and is. */
static void wanted(struct stream *s, uint64_t ipa)
{
	Ptd__V1__ServePagesResponse *r;

	assert_int_equal(fake_step(s->f, s->f->method->look), CALL_STREAM);
	r = next(s);
	assert_int_equal(r->what_case, PTD__V1__SERVE_PAGES_RESPONSE__WHAT_WANTED);
	assert_int_equal(r->wanted->ipa, ipa);
}

/* An access of the host's that waits for its page. */
static struct fake *waits(const struct world *w, Ptd__V1__AccessRequest *q, uint64_t ipa)
{
	struct fake *f;

	*q = (Ptd__V1__AccessRequest)PTD__V1__ACCESS_REQUEST__INIT;
	q->context = w->host;
	q->ipa = ipa;
	q->access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	q->length = 1;
	f = fake_call(w->fx, 0, "Access", q);
	assert_int_equal(fake_run(f), CALL_PARKED);
	return f;
}

static void ends(const struct world *w, struct fake *f, enum pt_outcome o)
{
	assert_int_equal(f->wakes, 1);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(((Ptd__V1__AccessResponse *)(void *)f->call.response)->outcome, o);
	keep(w->fx, f);
}

/* Nobody but the pager knows that the page will not come. */
static void who_waits_for_a_page_that_is_a_guests_by_now_is_told(void **state)
{
	struct world w = backed(state);
	Ptd__V1__AccessRequest q[2];
	struct fake *access[2];
	struct stream s;
	struct ask a;

	assert_int_equal(open_range(&s, &w, w.host), CALL_STREAM);
	next(&s);
	access[0] = waits(&w, &q[0], FIRST);
	access[1] = waits(&w, &q[1], FIRST + PAGE);
	wanted(&s, FIRST);
	wanted(&s, FIRST + PAGE);
	donation(&a, &w, FIRST, IPA);
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(access[0]->wakes, 0);
	assert_int_equal(supply(&s, FIRST), PT_WRONG_OWNER);
	ends(&w, access[0], PT_WRONG_OWNER);
	assert_int_equal(access[1]->wakes, 0);
	assert_int_equal(supply(&s, FIRST + PAGE), PT_OK);
	ends(&w, access[1], PT_OK);
	fake_abandon(s.f);
	keep(w.fx, s.f);
}

/* One page of a supply is refused, and with it the others: those are asked for once more. */
static void what_is_refused_with_another_page_is_wanted_again(void **state)
{
	struct world w = backed(state);
	Ptd__V1__AccessRequest q;
	struct fake *access;
	struct stream s;
	struct ask a;

	assert_int_equal(open_range(&s, &w, w.host), CALL_STREAM);
	next(&s);
	donation(&a, &w, FIRST, IPA);
	OK(w.fx, "Transfer", &a.q);
	access = waits(&w, &q, FIRST + PAGE);
	wanted(&s, FIRST + PAGE);
	ask_supply(&s, FIRST);
	s.supply.size = 2 * PAGE;
	assert_int_equal(fake_run(s.f), CALL_STREAM);
	assert_int_equal(next(&s)->supplied->outcome, PT_WRONG_OWNER);
	assert_int_equal(access->wakes, 1);
	assert_int_equal(fake_run(access), CALL_PARKED);
	access->wakes = 0;
	wanted(&s, FIRST + PAGE);
	assert_int_equal(supply(&s, FIRST + PAGE), PT_OK);
	ends(&w, access, PT_OK);
	fake_abandon(s.f);
	keep(w.fx, s.f);
}

/* It may only be read; who writes gets the right from the slot, and not before the page is there.
 */
static void a_page_that_was_mapped_meanwhile_is_there(void **state)
{
	struct world w = backed(state);
	Ptd__V1__MapRequest map = PTD__V1__MAP_REQUEST__INIT;
	const Ptd__V1__PageSupplied *answer;
	struct stream s;

	assert_int_equal(open_range(&s, &w, w.host), CALL_STREAM);
	next(&s);
	map.context = w.host;
	map.ipa = map.pa = FIRST;
	map.size = PAGE;
	map.prot = PT_PROT_R;
	OK(w.fx, "Map", &map);
	map.ipa = map.pa = FIRST + PAGE;
	map.prot = PT_PROT_W; /* no access that the handler could be asked about */
	OK(w.fx, "Map", &map);
	ask_supply(&s, FIRST);
	assert_int_equal(fake_run(s.f), CALL_STREAM);
	answer = next(&s)->supplied;
	assert_int_equal(answer->outcome, PT_WRONG_STATE);
	assert_int_equal(answer->pages, 0);
	assert_int_equal(answer->absent_pages, SIZE / PAGE - 1);
	ask_supply(&s, FIRST);
	assert_int_equal(fake_run(s.f), CALL_STREAM);
	answer = next(&s)->supplied;
	assert_int_equal(answer->outcome, PT_OK);
	assert_int_equal(answer->pages_before, 1);
	assert_int_equal(supply(&s, FIRST + PAGE), PT_WRONG_STATE);
	fake_abandon(s.f);
	keep(w.fx, s.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_hosts_alone_can_be_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_on_its_way_to_a_guest_is_not_written, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			who_waits_for_a_page_that_is_a_guests_by_now_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_that_was_mapped_meanwhile_is_there, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_refused_with_another_page_is_wanted_again,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
