/* SPDX-License-Identifier: BSD-2-Clause */
/* MappingService.Session over the wire: order, replays, who has the session, and its end. */
#include "session_wire.h"

#include "conn.h"
#include "domain_types.h"

#include <pt/outcome.h>

#define IPA	     UINT64_C(0x40000000)
#define PA	     UINT64_C(0x100000)
#define LARGE	     (UINT64_C(128) << 20) /* takes several steps */
#define LARGE_AT     UINT64_C(0x200000000)
#define CLAIMED	     (8 * LARGE)
#define CLAIMED_PAGE (LARGE_AT + CLAIMED - 4096)

/* grpc-status */
#define OK		    0
#define INVALID_ARGUMENT    3
#define NOT_FOUND	    5
#define RESOURCE_EXHAUSTED  8
#define FAILED_PRECONDITION 9
#define ABORTED		    10
#define UNAVAILABLE	    14

static const uint8_t id[16] = "a session's name";

struct fixture {
	struct wire wire;
	struct link *control;
	uint64_t context;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	wire_init(&f->wire);
	f->control = connect_to(&f->wire, 0, NEVER, NEVER);
	f->wire.machine = make_machine(f->control);
	f->context = make_context(f->control);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	wire_fini(&f->wire);
	free(f);
	return 0;
}

/* A connection whose stream has asked for the session. */
static struct link *ask_open(struct fixture *f, uint32_t shard, const uint8_t *name)
{
	struct link *l = connect_to(&f->wire, shard, NEVER, NEVER);

	begin_stream(l, SESSION_PATH);
	put_open(l, f->context, name);
	return l;
}

static void expect_opened(struct link *l, uint64_t last_seq)
{
	Response *r;

	settle(l->wire);
	r = get_response(l);
	if (!r)
		fail_msg("not opened: status %d, %s", l->status, l->text);
	assert_int_equal(r->what_case, ANSWERS(OPENED));
	assert_int_equal(r->seq, 0);
	assert_int_equal(r->opened->last_seq, last_seq);
	assert_int_equal(r->opened->epoch, 0x1234);
	assert_int_equal(r->opened->window, 64);
	assert_int_equal(r->opened->session_id.len, 16);
	drop_message(r);
}

static struct link *open_on(struct fixture *f, uint32_t shard, const uint8_t *name)
{
	struct link *l = ask_open(f, shard, name);

	expect_opened(l, 0);
	return l;
}

/* The answer to `seq` is the outcome of one operation. */
static void expect_outcome(struct link *l, uint64_t seq, uint32_t outcome)
{
	Response *r;

	settle(l->wire);
	r = get_response(l);
	if (!r)
		fail_msg("no answer to %llu: status %d, %s", (unsigned long long)seq, l->status,
			 l->text);
	assert_int_equal(r->seq, seq);
	assert_int_equal(r->what_case, ANSWERS(APPLY));
	assert_int_equal(r->apply->n_outcome, 1);
	assert_int_equal(r->apply->outcome[0], outcome);
	drop_message(r);
}

static void expect_error(struct link *l, uint64_t seq, uint32_t code)
{
	Response *r;

	settle(l->wire);
	r = get_response(l);
	assert_non_null(r);
	assert_int_equal(r->seq, seq);
	assert_int_equal(r->what_case, ANSWERS(ERROR));
	assert_int_equal(r->error->code, code);
	assert_true(*r->error->text);
	drop_message(r);
}

static void expect_end(struct link *l, int status, const char *text)
{
	settle(l->wire);
	assert_null(get_response(l));
	if (l->status != status || !strstr(l->text, text))
		fail_msg("status %d \"%s\", not %d \"%s\"", l->status, l->text, status, text);
}

static void the_first_message_opens_and_a_gap_ends_the_stream(void **state)
{
	struct fixture *f = *state;
	struct link *l = connect_to(&f->wire, 0, NEVER, NEVER);

	begin_stream(l, SESSION_PATH);
	put_page(l, 1, OP_MAP, IPA, PA);
	expect_end(l, INVALID_ARGUMENT, "first message must be open");
	l = open_on(f, 0, id);
	put_page(l, 1, OP_MAP, IPA, PA);
	expect_outcome(l, 1, PT_MAPPED);
	put_page(l, 3, OP_UNMAP, IPA, 0);
	expect_end(l, FAILED_PRECONDITION, "3 came; 2 is due");
	l = ask_open(f, 1, id);
	expect_opened(l, 1);
	put_open(l, f->context, id);
	expect_end(l, INVALID_ARGUMENT, "has opened its session");
	l = ask_open(f, 1, id);
	expect_opened(l, 1);
	half_close(l);
	expect_end(l, OK, "");
}

static void a_message_done_before_gets_its_answer_again(void **state)
{
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id);

	for (uint64_t seq = 1; seq <= 70; seq++)
		put_page(l, seq, OP_MAP, IPA + seq * 4096, PA);
	for (uint64_t seq = 1; seq <= 70; seq++)
		expect_outcome(l, seq, PT_MAPPED);
	hang_up(l);
	l = ask_open(f, 1, id);
	expect_opened(l, 70);
	for (uint64_t seq = 1; seq <= 71; seq++)
		put_page(l, seq, OP_MAP, IPA + seq * 4096, PA);
	for (uint64_t seq = 1; seq <= 6; seq++)
		expect_error(l, seq, PT_REPLY_GONE);
	for (uint64_t seq = 7; seq <= 71; seq++)
		expect_outcome(l, seq, PT_MAPPED); /* executed again it would be ALREADY_MAPPED */
	put_page(l, 30, OP_UNMAP, IPA + 30 * 4096, 0);
	expect_error(l, 30, PT_REQUEST_ID_REUSED);
	put_page(l, 72, OP_MAP, IPA + 30 * 4096, PA);
	expect_outcome(l, 72, PT_ALREADY_MAPPED);
}

static void large_answers_push_out_older_ones_but_never_the_last(void **state)
{
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id);
	Response *r;

	/* 20000 results of 25 bytes are more than a session keeps. */
	put_page(l, 1, OP_MAP, IPA, PA);
	expect_outcome(l, 1, PT_MAPPED);
	for (uint64_t seq = 2; seq <= 3; seq++)
		put_accesses(l, seq, ASKS(TRANSLATE), SLOT_IPA, 20000);
	settle(&f->wire);
	hang_up(l);
	l = ask_open(f, 0, id);
	expect_opened(l, 3);
	for (uint64_t seq = 2; seq <= 3; seq++)
		put_accesses(l, seq, ASKS(TRANSLATE), SLOT_IPA, 20000);
	expect_error(l, 2, PT_REPLY_GONE);
	r = get_response(l);
	assert_int_equal(r->seq, 3);
	assert_int_equal(r->what_case, ANSWERS(RESULTS));
	assert_int_equal(r->results->n_outcome, 20000);
	assert_int_equal(r->results->outcome[19999], PT_NOT_MAPPED);
	drop_message(r);
	put_page(l, 1, OP_MAP, IPA, PA); /* small ones stay */
	expect_outcome(l, 1, PT_MAPPED);
}

static void an_open_session_is_taken_over_on_any_connection(void **state)
{
	struct fixture *f = *state;
	struct link *first = open_on(f, 0, id), *second, *third;

	put_page(first, 1, OP_MAP, IPA, PA);
	expect_outcome(first, 1, PT_MAPPED);
	second = ask_open(f, 1, id);
	expect_opened(second, 1);
	expect_end(first, ABORTED, "another stream");
	put_page(second, 2, OP_UNMAP, IPA, 0);
	expect_outcome(second, 2, PT_UNMAPPED);
	third = ask_open(f, 1, id);
	expect_opened(third, 2);
	expect_end(second, ABORTED, "another stream");
	begin_stream(first, SESSION_PATH); /* and back, on a connection that has had it */
	put_open(first, f->context, id);
	expect_opened(first, 2);
	expect_end(third, ABORTED, "another stream");
}

/* Delivers what the client has to send, and runs nothing else. */
static void deliver(struct link *l)
{
	while (send_up(l))
		;
}

static void a_message_in_execution_ends_before_the_session_changes_hands(void **state)
{
	struct fixture *f = *state;
	struct link *first = open_on(f, 0, id), *second;

	put_range(first, 1, OP_MAP, LARGE_AT, 0, LARGE);
	put_page(first, 2, OP_MAP, IPA, PA);
	deliver(first);
	assert_true(f->wire.mail[0]); /* it is not done */
	second = ask_open(f, 1, id);
	deliver(second);
	assert_null(get_response(second));
	expect_opened(second, 1);
	expect_outcome(first, 1, PT_MAPPED);
	expect_end(first, ABORTED, "another stream");
	put_range(second, 1, OP_MAP, LARGE_AT, 0, LARGE);
	expect_outcome(second, 1, PT_MAPPED);
	put_page(second, 2, OP_MAP, IPA, PA);
	expect_outcome(second, 2, PT_MAPPED);
}

static void a_message_in_execution_of_a_lost_stream_ends_first(void **state)
{
	struct fixture *f = *state;
	struct link *first = open_on(f, 0, id), *second;

	put_range(first, 1, OP_MAP, LARGE_AT, 0, LARGE);
	deliver(first);
	second = ask_open(f, 1, id);
	deliver(second);
	hang_up(first);
	assert_null(get_response(second));
	expect_opened(second, 1); /* it was past its commit point */
	put_range(second, 1, OP_MAP, LARGE_AT, 0, LARGE);
	expect_outcome(second, 1, PT_MAPPED);
}

/* A range operation of another connection that holds its claim; unary, and not done. */
static struct link *hold_claim(struct fixture *f, uint32_t shard)
{
	struct link *l = connect_to(&f->wire, shard, NEVER, NEVER);
	Ptd__V1__MapRequest q = PTD__V1__MAP_REQUEST__INIT;

	q.context = f->context;
	q.ipa = LARGE_AT;
	q.size = CLAIMED;
	q.prot = 3;
	q.flags = PAGES_ONLY;
	begin_stream(l, "/ptd.v1.MappingService/Map");
	put_message(l, &q);
	half_close(l);
	deliver(l);
	serve_shard(&f->wire, shard); /* no other loop is in a section: the claim holds */
	assert_true(f->wire.mail[shard]);
	assert_int_equal(l->status, -1);
	return l;
}

static void a_parked_message_ends_before_the_session_changes_hands(void **state)
{
	struct fixture *f = *state;
	struct link *first = open_on(f, 0, id), *holder = hold_claim(f, 1), *second;

	put_page(first, 1, OP_UNMAP, CLAIMED_PAGE, 0);
	put_page(first, 2, OP_MAP, IPA, PA);
	deliver(first);
	assert_null(get_response(first));
	second = ask_open(f, 0, id);
	deliver(second);
	assert_null(get_response(second));
	expect_opened(second, 1);
	assert_int_equal(holder->status, OK);
	expect_outcome(first, 1, PT_UNMAPPED);
	expect_end(first, ABORTED, "another stream");
}

static void a_parked_message_of_a_lost_stream_is_undone_and_not_counted(void **state)
{
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id), *holder = hold_claim(f, 1);

	put_page(l, 1, OP_UNMAP, CLAIMED_PAGE, 0);
	deliver(l);
	hang_up(l);
	l = ask_open(f, 0, id);
	expect_opened(l, 0);
	assert_int_equal(holder->status, OK);
	put_page(l, 1, OP_UNMAP, CLAIMED_PAGE, 0);
	expect_outcome(l, 1, PT_UNMAPPED);
}

/* Memory behind the last page of the claim. */
static void back_claimed_page(struct fixture *f)
{
	Ptd__V1__SetSlotRequest set = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;

	slot.id = 7;
	slot.ipa = CLAIMED_PAGE;
	slot.size = 4096;
	slot.pa = PA;
	set.context = f->context;
	set.slot = &slot;
	drop_message(unary(f->control, "/ptd.v1.ContextService/SetSlot", &set,
			   &ptd__v1__set_slot_response__descriptor));
}

static void parked_accesses_of_a_lost_stream_end_once_one_is_done(void **state)
{
	struct fixture *f = *state;
	struct link *l, *holder;
	Response *r;

	back_claimed_page(f);
	for (uint32_t n = 1; n <= 2; n++) { /* the claimed page alone, then behind another one */
		uint64_t first = n == 1 ? CLAIMED_PAGE : SLOT_IPA;
		uint64_t done = n == 1 ? 0 : 1;

		l = open_on(f, 0, id);
		holder = hold_claim(f, 1);
		put_strided(l, 1, ASKS(ACCESS), first, CLAIMED_PAGE - SLOT_IPA, n);
		deliver(l);
		assert_null(get_response(l));
		hang_up(l);
		l = ask_open(f, 1, id);
		expect_opened(l, done);
		assert_int_equal(holder->status, OK);
		put_strided(l, 1, ASKS(ACCESS), first, CLAIMED_PAGE - SLOT_IPA, n);
		settle(&f->wire);
		r = get_response(l);
		assert_non_null(r);
		assert_int_equal(r->what_case, ANSWERS(RESULTS));
		assert_int_equal(r->results->n_outcome, n);
		assert_int_equal(r->results->outcome[0], n == 2 ? PT_OK : PT_OUT_OF_RANGE);
		assert_int_equal(r->results->outcome[n - 1], PT_OUT_OF_RANGE); /* of the Map */
		assert_int_equal(r->results->esr[0] != 0, n == 2); /* the fill was told */
		drop_message(r);
		hang_up(l);
		f->wire.now_ns += 61 * SECOND;
		put_range(open_on(f, 0, NULL), 1, OP_UNMAP, LARGE_AT, 0, CLAIMED);
		settle(&f->wire);
	}
}

static void bytes_may_come_in_any_pieces(void **state)
{
	struct fixture *f = *state;
	static const size_t chunk[] = {1, 2, 3, 7, 64, 1000};

	for (unsigned i = 0; i < sizeof(chunk) / sizeof(chunk[0]); i++) {
		struct link *l = connect_to(&f->wire, i % SHARDS, NEVER, NEVER);

		l->chunk = chunk[i];
		begin_stream(l, SESSION_PATH);
		put_open(l, f->context, NULL);
		expect_opened(l, 0);
		for (uint64_t seq = 1; seq <= 40; seq++)
			put_page(l, seq, seq % 2 ? OP_MAP : OP_UNMAP, IPA, PA);
		put_accesses(l, 41, ASKS(TRANSLATE), IPA, 3000);
		put_page(l, 42, OP_UNMAP, IPA, 0);
		for (uint64_t seq = 1; seq <= 40; seq++)
			expect_outcome(l, seq, seq % 2 ? PT_MAPPED : PT_UNMAPPED);
		drop_message(get_response(l));
		expect_outcome(l, 42, PT_HOLE);
		half_close(l);
		expect_end(l, OK, "");
		assert_int_equal(l->peer.conn->body_bytes, 0);
	}
}

static void of_three_streams_the_last_gets_the_session(void **state)
{
	struct fixture *f = *state;
	struct link *first = open_on(f, 0, id), *second, *third, *gone;

	put_range(first, 1, OP_MAP, LARGE_AT, 0, LARGE);
	deliver(first);
	second = ask_open(f, 1, id);
	deliver(second);
	third = ask_open(f, 0, id);
	deliver(third);
	expect_opened(third, 1);
	expect_end(second, ABORTED, "another stream");
	/* One that waits and goes away leaves the session behind. */
	put_range(third, 2, OP_UNMAP, LARGE_AT, 0, LARGE);
	deliver(third);
	gone = ask_open(f, 1, id);
	deliver(gone);
	hang_up(gone);
	settle(&f->wire);
	expect_outcome(third, 2, PT_UNMAPPED);
	second = ask_open(f, 0, id);
	expect_opened(second, 2);
}

static void a_session_ends_a_minute_after_its_stream(void **state)
{
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id);

	put_page(l, 1, OP_MAP, IPA, PA);
	expect_outcome(l, 1, PT_MAPPED);
	f->wire.now_ns += 600 * SECOND; /* with a stream it stays */
	put_page(l, 2, OP_UNMAP, IPA, 0);
	expect_outcome(l, 2, PT_UNMAPPED);
	hang_up(l);
	f->wire.now_ns += 59 * SECOND;
	l = ask_open(f, 1, id);
	expect_opened(l, 2);
	hang_up(l);
	assert_int_equal(f->wire.domain->sessions.count, 1);
	f->wire.now_ns += 60 * SECOND;
	f->wire.mail[0] = true; /* any event */
	settle(&f->wire);
	assert_int_equal(f->wire.domain->sessions.count, 0);
	l = ask_open(f, 1, id);
	expect_opened(l, 0);
}

static void each_principal_has_sessions_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id);

	put_page(l, 1, OP_MAP, IPA, PA);
	expect_outcome(l, 1, PT_MAPPED);
	f->wire.who = "uid:1000";
	open_on(f, 0, id);
	put_page(l, 2, OP_UNMAP, IPA, 0); /* nobody has taken it over */
	expect_outcome(l, 2, PT_UNMAPPED);
}

static void sessions_are_bounded_for_each_principal(void **state)
{
	struct fixture *f = *state;
	struct link *l, *some = NULL;

	for (unsigned i = 0; i < LIMIT_SESSIONS_PRINCIPAL; i++) {
		l = open_on(f, i % SHARDS, NULL);
		if (i % 2)
			hang_up(l);
		some = l;
	}
	l = ask_open(f, 0, NULL);
	expect_end(l, RESOURCE_EXHAUSTED, "max_sessions_per_principal");
	hang_up(some);
	f->wire.who = "uid:1000";
	open_on(f, 0, NULL);
	f->wire.who = "uid:0";
	f->wire.now_ns += 61 * SECOND;
	open_on(f, 0, NULL);
}

static void the_context_is_that_of_the_session(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->context;
	struct link *l = open_on(f, 0, id);

	f->context = make_context(f->control);
	l = ask_open(f, 0, id);
	expect_end(l, INVALID_ARGUMENT, "context: not that of this session");
	f->context = first + 1000;
	l = ask_open(f, 0, NULL);
	expect_end(l, NOT_FOUND, "context");
	f->context = first;
	l = ask_open(f, 0, id);
	expect_opened(l, 0);
	put_page(l, 1, OP_MAP, IPA, PA);
	expect_outcome(l, 1, PT_MAPPED);
	delete_context(f->control, first);
	put_page(l, 2, OP_UNMAP, IPA, 0);
	expect_error(l, 2, PT_NOT_FOUND);
	put_accesses(l, 3, ASKS(TRANSLATE), IPA, 1);
	expect_error(l, 3, PT_NOT_FOUND);
	hang_up(l); /* what was answered can still be asked for */
	l = ask_open(f, 1, id);
	expect_opened(l, 3);
	put_page(l, 1, OP_MAP, IPA, PA);
	expect_outcome(l, 1, PT_MAPPED);
}

static void a_drain_ends_the_stream_after_the_message_under_way(void **state)
{
	struct fixture *f = *state;
	struct link *busy = open_on(f, 0, id), *idle = open_on(f, 1, NULL), *late;
	struct link *parked = open_on(f, 0, NULL), *holder;

	put_range(busy, 1, OP_MAP, IPA, 0, LARGE);
	put_page(busy, 2, OP_UNMAP, IPA, 0);
	deliver(busy);
	holder = hold_claim(f, 1);
	put_page(parked, 1, OP_UNMAP, CLAIMED_PAGE, 0);
	deliver(parked);
	domain_drain(f->wire.domain);
	f->wire.mail[0] = f->wire.mail[1] = true;
	expect_outcome(busy, 1, PT_MAPPED);
	expect_end(busy, UNAVAILABLE, "opened again elsewhere");
	assert_int_equal(holder->status, OK);
	expect_outcome(parked, 1, PT_UNMAPPED);
	expect_end(parked, UNAVAILABLE, "opened again elsewhere");
	expect_end(idle, UNAVAILABLE, "opened again elsewhere");
	late = f->control;
	if (!late->told) {
		begin_stream(late, SESSION_PATH);
		put_open(late, f->context, id);
		settle(&f->wire);
		assert_null(get_response(late));
	}
}

static void a_client_that_does_not_read_stops_the_execution(void **state)
{
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id);
	uint64_t sent = 40000, seq = 0;
	Response *r;

	l->deaf = true;
	for (uint64_t i = 1; i <= sent; i++)
		put_accesses(l, i, ASKS(TRANSLATE), IPA, 1);
	settle(&f->wire);
	assert_true(f->wire.shard[0]->slab.used < (8u << 20));
	hang_up(l);
	l = ask_open(f, 1, id);
	settle(&f->wire);
	r = get_response(l);
	assert_non_null(r);
	assert_int_equal(r->what_case, ANSWERS(OPENED));
	seq = r->opened->last_seq;
	assert_in_range(seq, 64, sent / 2); /* it was not executed to the end */
	drop_message(r);
	put_accesses(l, seq + 1, ASKS(TRANSLATE), IPA, 1);
	settle(&f->wire);
	r = get_response(l);
	assert_int_equal(r->seq, seq + 1);
	drop_message(r);
}

static void a_malformed_message_lets_go_of_the_session(void **state)
{
	static const uint8_t garbage[] = {0, 0, 0, 0, 3, 0xff, 0xff, 0xff};
	static const uint8_t flagged[] = {9, 0, 0, 0, 0};
	struct fixture *f = *state;
	struct link *l = open_on(f, 0, id);

	bytes_put(&l->out, garbage, sizeof(garbage));
	put_page(l, 1, OP_MAP, IPA, PA);
	expect_end(l, 13, "malformed");
	l = ask_open(f, 0, id);
	expect_opened(l, 0);
	put_page(l, 1, OP_MAP, IPA, PA);
	bytes_put(&l->out, flagged, sizeof(flagged));
	put_page(l, 2, OP_UNMAP, IPA, 0);
	expect_outcome(l, 1, PT_MAPPED);
	expect_end(l, 13, "flag");
	l = ask_open(f, 1, id);
	expect_opened(l, 1);
	bytes_put(&l->out, flagged + 1, 3);
	half_close(l);
	expect_end(l, 13, "inside a message");
	l = ask_open(f, 1, id);
	expect_opened(l, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_message_opens_and_a_gap_ends_the_stream),
		TEST(a_message_done_before_gets_its_answer_again),
		TEST(large_answers_push_out_older_ones_but_never_the_last),
		TEST(an_open_session_is_taken_over_on_any_connection),
		TEST(a_message_in_execution_ends_before_the_session_changes_hands),
		TEST(a_message_in_execution_of_a_lost_stream_ends_first),
		TEST(a_parked_message_ends_before_the_session_changes_hands),
		TEST(a_parked_message_of_a_lost_stream_is_undone_and_not_counted),
		TEST(parked_accesses_of_a_lost_stream_end_once_one_is_done),
		TEST(bytes_may_come_in_any_pieces),
		TEST(of_three_streams_the_last_gets_the_session),
		TEST(a_session_ends_a_minute_after_its_stream),
		TEST(each_principal_has_sessions_of_its_own),
		TEST(sessions_are_bounded_for_each_principal),
		TEST(the_context_is_that_of_the_session),
		TEST(a_drain_ends_the_stream_after_the_message_under_way),
		TEST(a_client_that_does_not_read_stops_the_execution),
		TEST(a_malformed_message_lets_go_of_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
