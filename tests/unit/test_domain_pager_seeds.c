/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pagers under a seed: streams come, supply late, fail, die and are taken over while accesses,
 * faults, sessions and a nested guest wait, are given up and taken over, and the memslot moves.
 *
 * The model knows of each page only whether it is there, absent or failed, and its first byte. Who
 * waits is woken once, exactly when the model says that the page no longer has to be waited for,
 * and gets what the model has then; each stream is told each page that somebody waits for, once,
 * within its window. In the end all pages are supplied, and nobody waits.
 */
#include "domain_fixture.h"

#include "ptd/v1/nested.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#define PAGE	UINT64_C(4096)
#define IPA	(UINT64_C(1) << 30)
#define SIZE	(2 * MIB)
#define PAGES	12u /* of a range */
#define RANGES	2u
#define ALL	(RANGES * PAGES)
#define WAITERS 10u
#define STEPS	300u
#define SEEDS	100u

typedef Ptd__V1__ServePagesResponse Response;
#define ASKED(name)  PTD__V1__SERVE_PAGES_REQUEST__WHAT_##name
#define ANSWER(name) PTD__V1__SERVE_PAGES_RESPONSE__WHAT_##name

enum page_is { THERE, ABSENT, FAILED };
enum kind { READ, WRITE, FAULT, NESTED, SESSION_ACCESS, SESSION_FAULT, KINDS };

struct waiter {
	struct fake *f; /* NULL: none */
	enum kind kind;
	unsigned page;
	bool woken;
	uint8_t byte; /* of a write */
	uint64_t seq; /* of its session: messages that are done */
	uint64_t ipa;
	uint32_t access;
	union {
		Ptd__V1__AccessRequest touch;
		Ptd__V1__HandleFaultRequest fault;
		Ptd__V1__SessionRequest message;
	};
	Ptd__V1__Accesses accesses;
	Ptd__V1__SessionRequest opening;
	Ptd__V1__SessionOpen open;
	uint8_t id[16];
};

/* A range of PAGES pages and its stream. */
struct range {
	bool lacks;	/* it has a pager */
	struct fake *f; /* the stream; NULL: none */
	unsigned read, window;
	bool asleep; /* it was told all */
	bool asked[PAGES];
	Ptd__V1__ServePagesRequest q;
	Ptd__V1__PagerOpen open;
	Ptd__V1__PageSupply supply;
};

struct world {
	struct fixture *fx;
	uint64_t random, shadow;
	unsigned place; /* where the memslot is */
	uint8_t memory[2][ALL];
	enum page_is page[ALL];
	struct range range[RANGES];
	struct waiter waiter[WAITERS];
	unsigned answers[KINDS], waits[KINDS], taken, resumed, moved;
};

static uint8_t data[PAGES * PAGE];

static unsigned draw(struct world *w, unsigned below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(w->random >> 33) % below;
}

static struct range *range_of(struct world *w, unsigned page)
{
	return &w->range[page / PAGES];
}

static uint64_t address(unsigned page)
{
	return IPA + page * PAGE;
}

/* PT_PARKED: who needs it waits. */
static enum pt_outcome expected(struct world *w, unsigned page)
{
	if (w->page[page] == FAILED)
		return PT_PAGE_FAILED;
	if (w->page[page] == THERE)
		return PT_OK;
	return range_of(w, page)->f ? PT_PARKED : PT_ABSENT;
}

/* ---- who waits ---- */

static void is_outcome(const struct waiter *t, uint32_t outcome, enum pt_outcome o)
{
	if (o == PT_OK && (t->kind == FAULT || t->kind == SESSION_FAULT))
		assert_true(outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED);
	else
		assert_int_equal(outcome, o);
}

static void session_answered(struct world *w, struct waiter *t, enum pt_outcome o)
{
	Ptd__V1__SessionResponse *r =
		ptd__v1__session_response__unpack(NULL, t->f->packed_length, t->f->packed);

	assert_non_null(r);
	assert_int_equal(r->what_case, PTD__V1__SESSION_RESPONSE__WHAT_RESULTS);
	assert_int_equal(r->seq, ++t->seq);
	assert_int_equal(r->results->n_outcome, 1);
	is_outcome(t, r->results->outcome[0], o);
	ptd__v1__session_response__free_unpacked(r, NULL);
	fake_abandon(t->f);
	(void)w;
}

static void access_answered(struct world *w, struct waiter *t, enum pt_outcome o)
{
	const Ptd__V1__AccessResponse *r = (const void *)t->f->call.response;

	assert_non_null(r);
	is_outcome(t, r->outcome, o);
	if (o == PT_OK && t->kind == WRITE)
		w->memory[w->place][t->page] = t->byte;
	else if (o == PT_OK)
		assert_int_equal(r->data.data[0], w->memory[w->place][t->page]);
	if (t->kind == NESTED && o != PT_OK)
		assert_int_equal(r->nested->taker, PTD__V1__FAULT_TAKER__FAULT_TAKER_HOST);
}

static bool is_session(const struct waiter *t)
{
	return t->kind == SESSION_ACCESS || t->kind == SESSION_FAULT;
}

/* It runs, for the first time or woken. */
static void run_waiter(struct world *w, struct waiter *t)
{
	enum pt_outcome o = expected(w, t->page);
	enum call_result result;

	t->f->wakes = 0;
	t->woken = false;
	result = fake_run(t->f);
	if (o == PT_PARKED) {
		assert_int_equal(result, CALL_PARKED);
		w->waits[t->kind]++;
		return;
	}
	assert_int_equal(result, is_session(t) ? CALL_STREAM : CALL_DONE);
	assert_int_equal(t->f->call.status.code, PT_OK);
	if (is_session(t))
		session_answered(w, t, o);
	else if (t->kind == FAULT)
		is_outcome(t,
			   ((Ptd__V1__HandleFaultResponse *)(void *)t->f->call.response)->outcome,
			   o);
	else
		access_answered(w, t, o);
	assert_int_equal(t->f->wakes, 0);
	w->answers[t->kind]++;
	keep(w->fx, t->f);
	t->f = NULL;
}

static struct fake *open_session(struct world *w, struct waiter *t, enum call_result result)
{
	struct fake *f;

	t->opening = (Ptd__V1__SessionRequest)PTD__V1__SESSION_REQUEST__INIT;
	t->open = (Ptd__V1__SessionOpen)PTD__V1__SESSION_OPEN__INIT;
	memset(t->id, (int)(1 + (t - w->waiter)), sizeof(t->id));
	t->open.context = w->fx->context;
	t->open.session_id = (ProtobufCBinaryData){sizeof(t->id), t->id};
	t->opening.what_case = PTD__V1__SESSION_REQUEST__WHAT_OPEN;
	t->opening.open = &t->open;
	f = fake_call(w->fx, draw(w, 2), "Session", &t->opening);
	assert_int_equal(fake_run(f), result);
	return f;
}

static void send_message(struct waiter *t)
{
	t->message = (Ptd__V1__SessionRequest)PTD__V1__SESSION_REQUEST__INIT;
	t->accesses = (Ptd__V1__Accesses)PTD__V1__ACCESSES__INIT;
	t->ipa = address(t->page);
	t->access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	t->accesses.n_ipa = t->accesses.n_access = 1;
	t->accesses.ipa = &t->ipa;
	t->accesses.access = &t->access;
	t->message.seq = t->seq + 1;
	t->message.what_case = t->kind == SESSION_ACCESS
				       ? PTD__V1__SESSION_REQUEST__WHAT_ACCESS
				       : PTD__V1__SESSION_REQUEST__WHAT_HANDLE_FAULT;
	t->message.access = &t->accesses;
	t->f->call.request = &t->message.base;
}

static void begin_fault(struct world *w, struct waiter *t)
{
	t->fault = (Ptd__V1__HandleFaultRequest)PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	t->fault.context = w->fx->context;
	t->fault.ipa = address(t->page);
	t->fault.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	t->f = fake_call(w->fx, draw(w, 2), "HandleFault", &t->fault);
}

static void begin_access(struct world *w, struct waiter *t)
{
	t->byte = (uint8_t)(1 + draw(w, 255));
	t->touch = (Ptd__V1__AccessRequest)PTD__V1__ACCESS_REQUEST__INIT;
	t->touch.context = t->kind == NESTED ? w->shadow : w->fx->context;
	t->touch.vcpu = t->kind == NESTED;
	t->touch.ipa = address(t->page);
	t->touch.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	t->touch.length = 1;
	if (t->kind == WRITE) {
		t->touch.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
		t->touch.length = 0;
		t->touch.data = (ProtobufCBinaryData){1, &t->byte};
	}
	t->f = fake_call(w->fx, draw(w, 2), "Access", &t->touch);
}

static void begin(struct world *w, struct waiter *t)
{
	t->kind = (enum kind)draw(w, KINDS);
	t->page = draw(w, ALL);
	if (is_session(t)) {
		t->f = open_session(w, t, CALL_STREAM);
		send_message(t);
	} else if (t->kind == FAULT) {
		begin_fault(w, t);
	} else {
		begin_access(w, t);
	}
	run_waiter(w, t);
}

/* Another stream has the session from now on, and its message once more. */
static void take_over(struct world *w, struct waiter *t)
{
	struct fake *old = t->f;

	t->f = open_session(w, t, CALL_PARKED);
	assert_int_equal(old->wakes, 1);
	old->wakes = 0;
	assert_int_equal(fake_run(old), CALL_DONE);
	assert_int_equal(old->call.status.code, PT_TAKEN_OVER);
	keep(w->fx, old);
	assert_int_equal(t->f->wakes, 1);
	t->f->wakes = 0;
	assert_int_equal(fake_run(t->f), CALL_STREAM);
	w->taken++;
	send_message(t);
	run_waiter(w, t);
}

static void give_up(struct world *w, struct waiter *t)
{
	fake_abandon(t->f);
	keep(w->fx, t->f);
	t->f = NULL;
}

static void turn_waiter(struct world *w, struct waiter *t)
{
	unsigned how = draw(w, 8);

	if (!t->f)
		begin(w, t);
	else if (how == 0)
		give_up(w, t);
	else if (t->woken)
		run_waiter(w, t);
	else if (how == 1 && is_session(t))
		take_over(w, t);
}

/* ---- streams ---- */

static bool needed(const struct world *w, unsigned page)
{
	for (unsigned i = 0; i < WAITERS; i++)
		if (w->waiter[i].f && !w->waiter[i].woken && w->waiter[i].page == page)
			return true;
	return false;
}

static unsigned count_asked(const struct range *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PAGES; i++)
		n += r->asked[i];
	return n;
}

/* A page that somebody waits for, and that could be asked for. */
static bool something_is_due(const struct world *w, const struct range *r)
{
	unsigned first = (unsigned)(r - w->range) * PAGES;
	bool due = false;

	for (unsigned i = 0; i < PAGES; i++)
		due = due || (!r->asked[i] && needed(w, first + i));
	return due && count_asked(r) < r->window;
}

static void take_wanted(struct world *w, struct range *r)
{
	unsigned first = (unsigned)(r - w->range) * PAGES;

	for (; r->read < r->f->sent; r->read++) {
		const Response *m = (const void *)r->f->message[r->read];
		unsigned i;

		assert_int_equal(m->what_case, ANSWER(WANTED));
		i = (unsigned)((m->wanted->ipa - address(first)) / PAGE);
		assert_true(i < PAGES && w->page[first + i] == ABSENT && !r->asked[i]);
		r->asked[i] = true;
	}
	assert_true(count_asked(r) <= r->window);
}

static void stream_is_over(struct world *w, struct range *r)
{
	keep(w->fx, r->f);
	r->f = NULL;
}

/* It reads so many messages more. */
static void look(struct world *w, struct range *r, unsigned room)
{
	unsigned before = r->f->sent;

	r->f->wakes = 0;
	r->f->room = room;
	assert_int_equal(fake_step(r->f, r->f->method->look), CALL_STREAM);
	take_wanted(w, r);
	r->asleep = r->f->sent - before < room;
	if (r->asleep)
		assert_false(something_is_due(w, r));
}

static void all_absent(struct world *w, const struct range *r)
{
	for (unsigned i = 0; i < PAGES; i++)
		w->page[(unsigned)(r - w->range) * PAGES + i] = ABSENT;
}

static unsigned lacking(const struct world *w, const struct range *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PAGES; i++)
		n += w->page[(unsigned)(r - w->range) * PAGES + i] != THERE;
	return n;
}

static struct fake *ask_open(struct world *w, struct range *r)
{
	r->q = (Ptd__V1__ServePagesRequest)PTD__V1__SERVE_PAGES_REQUEST__INIT;
	r->open = (Ptd__V1__PagerOpen)PTD__V1__PAGER_OPEN__INIT;
	r->open.context = w->fx->context;
	r->open.ipa = address((unsigned)(r - w->range) * PAGES);
	r->open.size = PAGES * PAGE;
	r->open.window = 1 + draw(w, 4);
	r->q.what_case = ASKED(OPEN);
	r->q.open = &r->open;
	return fake_call(w->fx, draw(w, 2), "ServePages", &r->q);
}

static void open_range(struct world *w, struct range *r)
{
	struct fake *f = ask_open(w, r);
	const Response *m;

	if (r->f) {
		assert_int_equal(fake_run(f), CALL_DONE);
		assert_int_equal(f->call.status.code, PT_ALREADY_EXISTS);
		keep(w->fx, f);
		return;
	}
	assert_int_equal(fake_run(f), CALL_STREAM);
	if (!r->lacks)
		all_absent(w, r);
	m = (const void *)f->message[0];
	assert_int_equal(m->what_case, ANSWER(OPENED));
	assert_int_equal(m->opened->resumed, r->lacks);
	assert_int_equal(m->opened->absent_pages, lacking(w, r));
	w->resumed += r->lacks;
	r->f = f;
	r->lacks = true;
	r->read = 1;
	r->window = r->open.window;
	r->asleep = true;
	memset(r->asked, 0, sizeof(r->asked));
	take_wanted(w, r);
}

/* What the pages are then. Returns how many changed. */
static unsigned set_pages(struct world *w, const struct range *r, unsigned first, unsigned count)
{
	unsigned n = 0;

	for (unsigned i = first; i < first + count; i++) {
		unsigned page = (unsigned)(r - w->range) * PAGES + i;
		bool fails = r->supply.content == PTD__V1__PAGE_CONTENT__PAGE_CONTENT_FAILED;

		if (w->page[page] == THERE || (fails && w->page[page] == FAILED))
			continue;
		n++;
		w->page[page] = fails ? FAILED : THERE;
		if (r->supply.content == PTD__V1__PAGE_CONTENT__PAGE_CONTENT_DATA)
			w->memory[w->place][page] = data[0];
		if (r->supply.content == PTD__V1__PAGE_CONTENT__PAGE_CONTENT_ZERO)
			w->memory[w->place][page] = 0;
	}
	return n;
}

static enum call_result send_supply(struct world *w, struct range *r, unsigned first,
				    unsigned count)
{
	r->supply.ipa = address((unsigned)(r - w->range) * PAGES + first);
	r->supply.size = count * PAGE;
	r->supply.data = (ProtobufCBinaryData){0};
	if (r->supply.content == PTD__V1__PAGE_CONTENT__PAGE_CONTENT_DATA)
		r->supply.data = (ProtobufCBinaryData){r->supply.size, data};
	r->q.what_case = ASKED(SUPPLY);
	r->q.supply = &r->supply;
	r->f->call.request = &r->q.base;
	r->f->room = MAX_SENT;
	return fake_run(r->f);
}

static void supply(struct world *w, struct range *r, unsigned first, unsigned count)
{
	enum call_result result = send_supply(w, r, first, count);
	const Response *m = (const void *)r->f->message[r->read++];

	assert_int_equal(m->what_case, ANSWER(SUPPLIED));
	if (first + count > PAGES) {
		assert_int_equal(m->supplied->outcome, PT_OUT_OF_RANGE);
		take_wanted(w, r);
		return;
	}
	memset(&r->asked[first], 0, count * sizeof(r->asked[0]));
	assert_int_equal(m->supplied->pages, set_pages(w, r, first, count));
	assert_int_equal(m->supplied->absent_pages, lacking(w, r));
	assert_int_equal(result, lacking(w, r) ? CALL_STREAM : CALL_DONE);
	if (result == CALL_STREAM) {
		take_wanted(w, r);
		return;
	}
	assert_int_equal(r->f->call.status.code, PT_OK);
	r->lacks = false;
	stream_is_over(w, r);
}

static void supply_some(struct world *w, struct range *r)
{
	r->supply = (Ptd__V1__PageSupply)PTD__V1__PAGE_SUPPLY__INIT;
	r->supply.content = (Ptd__V1__PageContent)(1 + draw(w, 4));
	memset(data, (int)(1 + draw(w, 255)), sizeof(data));
	supply(w, r, draw(w, PAGES), 1 + draw(w, 3));
}

/* Its client half-closes, or is gone. */
static void leave(struct world *w, struct range *r, bool well)
{
	r->f->call.request = NULL;
	if (well)
		assert_int_equal(fake_run(r->f), CALL_DONE);
	else
		fake_abandon(r->f);
	stream_is_over(w, r);
}

static void turn_range(struct world *w, struct range *r)
{
	unsigned how = draw(w, 16);

	if (!r->f || how == 0)
		open_range(w, r);
	else if (how < 3 || r->f->sent > MAX_SENT - 2 * PAGES)
		leave(w, r, how & 1);
	else if (how < 9)
		look(w, r, draw(w, 3));
	else
		supply_some(w, r);
}

/* ---- the whole ---- */

/* The memslot has other memory: pagers end, and nothing is absent. */
static void move_slot(struct world *w)
{
	w->place = !w->place;
	w->moved++;
	set_slot(w->fx, w->fx->context, 0, IPA, SIZE, w->place * 16 * MIB, 0, 0);
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &w->range[i];

		r->lacks = false;
		if (!r->f)
			continue;
		assert_int_equal(fake_step(r->f, r->f->method->look), CALL_DONE);
		assert_int_equal(r->f->call.status.code, PT_NOT_FOUND);
		stream_is_over(w, r);
	}
	memset(w->page, THERE, sizeof(w->page));
}

/* Woken are those, and no others, that need not wait; each stream that sleeps is woken for news. */
static void check(struct world *w)
{
	for (unsigned i = 0; i < WAITERS; i++) {
		struct waiter *t = &w->waiter[i];

		if (!t->f)
			continue;
		t->woken = t->woken || expected(w, t->page) != PT_PARKED;
		assert_int_equal(t->f->wakes, t->woken);
	}
	for (unsigned i = 0; i < RANGES; i++) {
		const struct range *r = &w->range[i];

		if (r->f && r->asleep && something_is_due(w, r))
			assert_true(r->f->wakes);
	}
}

static void step(struct world *w)
{
	unsigned how = draw(w, 100);

	if (how < 60)
		turn_waiter(w, &w->waiter[draw(w, WAITERS)]);
	else if (how < 99)
		turn_range(w, &w->range[draw(w, RANGES)]);
	else
		move_slot(w);
	check(w);
}

static void finish(struct world *w)
{
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &w->range[i];

		if (r->lacks && !r->f)
			open_range(w, r);
		if (!r->f)
			continue;
		r->supply = (Ptd__V1__PageSupply)PTD__V1__PAGE_SUPPLY__INIT;
		r->supply.content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_AS_IS;
		supply(w, r, 0, PAGES);
	}
	check(w);
	for (unsigned i = 0; i < WAITERS; i++)
		if (w->waiter[i].f) {
			assert_true(w->waiter[i].woken);
			run_waiter(w, &w->waiter[i]);
			assert_null(w->waiter[i].f);
		}
}

/* A context whose vCPU 1 runs a nested guest: a shadow with its stage 2 off. */
static uint64_t enter(struct fixture *fx)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__EnterNestedRequest enter = PTD__V1__ENTER_NESTED_REQUEST__INIT;
	Ptd__V1__CreateContextResponse *r;

	options.nested = true;
	q.machine = fx->machine;
	q.name = (char *)(uintptr_t) "h0";
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	q.options = &options;
	r = OK(fx, "CreateContext", &q);
	fx->context = r->context->handle;
	enter.context = fx->context;
	enter.vcpu = 1;
	enter.vtcr = 0x800a0059;
	return ((Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &enter))->shadow;
}

static void play(uint64_t seed, struct world *sum)
{
	struct world w = {.random = seed * UINT64_C(0x9e3779b97f4a7c15)};
	void *state;

	setup(&state);
	w.fx = state;
	w.shadow = enter(w.fx);
	set_slot(w.fx, w.fx->context, 0, IPA, SIZE, 0, 0, 0);
	for (unsigned i = 0; i < STEPS; i++)
		step(&w);
	finish(&w);
	for (unsigned i = 0; i < KINDS; i++) {
		sum->answers[i] += w.answers[i];
		sum->waits[i] += w.waits[i];
	}
	sum->taken += w.taken;
	sum->resumed += w.resumed;
	sum->moved += w.moved;
	teardown(&state);
}

static void who_waits_for_a_page_gets_one_answer_whatever_becomes_of_pagers(void **state)
{
	const char *text = getenv("PTD_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 1;
	unsigned seeds = text ? 1 : SEEDS;
	struct world sum = {0};

	(void)state;
	for (; seeds--; seed++) {
		print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
		play(seed, &sum);
	}
	for (unsigned i = 0; i < KINDS; i++)
		print_message("kind %u: %u answers, %u waits\n", i, sum.answers[i], sum.waits[i]);
	print_message("%u sessions taken over, %u ranges resumed, %u slots moved\n", sum.taken,
		      sum.resumed, sum.moved);
	for (unsigned i = 0; i < KINDS && !text; i++)
		assert_true(sum.answers[i] > 100 && sum.waits[i] > 100);
	assert_true(text || (sum.taken > 20 && sum.resumed > 100 && sum.moved > 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_for_a_page_gets_one_answer_whatever_becomes_of_pagers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
