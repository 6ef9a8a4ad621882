/* SPDX-License-Identifier: BSD-2-Clause */
/* What time does to a connection, to the nanosecond: keepalive, PING policing, idleness, age,
 * drain, debts that fall due. */
#include "wire_fixture.h"

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"
#define CALM  NGHTTP2_ENHANCE_YOUR_CALM

static const struct wire_config off;

static const struct seen *goaway_of(const struct wire_peer *p)
{
	const struct seen *seen = wire_last(p, NGHTTP2_GOAWAY, 0);

	assert_non_null(seen);
	return seen;
}

static void ping(struct wire *w, struct wire_peer *p, uint8_t flags, const char *opaque)
{
	wire_frame(w, p, NGHTTP2_PING, flags, 0, opaque, 8);
}

static void a_silent_peer_is_asked_and_then_closed(void **state)
{
	struct wire_config config = {.keepalive_ns = 10 * SECOND,
				     .keepalive_timeout_ns = 5 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	wire_until(w, p, START_NS + 10 * SECOND - 1);
	assert_null(wire_last(p, NGHTTP2_PING, 0));
	wire_until(w, p, START_NS + 10 * SECOND);
	assert_non_null(wire_last(p, NGHTTP2_PING, 0));
	wire_until(w, p, START_NS + 15 * SECOND - 1);
	assert_false(wire_ended(p));
	wire_until(w, p, START_NS + 15 * SECOND);
	assert_true(p->aborted);
	assert_int_equal(goaway_of(p)->code, NGHTTP2_NO_ERROR);
	assert_string_equal(goaway_of(p)->text, "keepalive_timeout");
	wire_drop(w, p);
	wire_end(w);
}

/* An idle connection costs one step a keepalive, and one for the answer. */
static void a_peer_that_answers_lives_on_at_little_cost(void **state)
{
	struct wire_config config = {.keepalive_ns = 10 * SECOND,
				     .keepalive_timeout_ns = 5 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	uint64_t steps = w->steps;

	(void)state;
	for (unsigned i = 1; i <= 100; i++) {
		wire_until(w, p, w->now_ns + 10 * SECOND);
		assert_int_equal(wire_last(p, NGHTTP2_PING, 0)->at_ns, START_NS + i * 10 * SECOND);
		ping(w, p, NGHTTP2_FLAG_ACK, "ptdalive");
	}
	assert_false(wire_ended(p));
	assert_true(w->steps - steps <= 400);
	wire_drop(w, p);
	wire_end(w);
}

static void bytes_of_any_kind_are_a_sign_of_life(void **state)
{
	struct wire_config config = {.keepalive_ns = 100 * MS, .keepalive_timeout_ns = 50 * MS};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	wire_until(w, p, START_NS + 149 * MS);
	assert_non_null(wire_last(p, NGHTTP2_PING, 0));
	assert_int_equal(wire_unary(w, p, CHECK), 0);
	wire_until(w, p, START_NS + 298 * MS);
	assert_false(wire_ended(p));
	wire_until(w, p, START_NS + 299 * MS);
	assert_true(p->aborted);
	wire_drop(w, p);
	wire_end(w);
}

static void the_third_ping_that_is_too_early_ends_the_connection(void **state)
{
	struct wire_config config = {.permit_ping_ns = 10 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	for (unsigned i = 0; i < 5; i++) { /* on a unix socket also without calls */
		ping(w, p, 0, "12345678");
		wire_until(w, p, w->now_ns + 10 * SECOND);
	}
	ping(w, p, 0, "12345678");
	ping(w, p, 0, "12345678");
	wire_until(w, p, w->now_ns + 10 * SECOND - 1);
	ping(w, p, 0, "12345678");
	assert_false(wire_ended(p));
	ping(w, p, 0, "12345678");
	assert_true(p->closing);
	assert_int_equal(goaway_of(p)->code, CALM);
	assert_string_equal(goaway_of(p)->text, "too_many_pings");
	wire_drop(w, p);
	wire_end(w);
}

static void what_we_send_makes_up_for_pings(void **state)
{
	struct wire_config config = {.permit_ping_ns = 10 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		for (unsigned n = 0; n < 3; n++)
			ping(w, p, 0, "12345678");
		assert_int_equal(wire_unary(w, p, CHECK), 0);
	}
	assert_false(wire_ended(p));
	wire_drop(w, p);
	wire_end(w);
}

static void a_remote_peer_without_calls_pings_every_two_hours(void **state)
{
	struct wire_config config = {.permit_ping_ns = 10 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *idle = wire_connect(w, "cn:a", false, 65535);
	struct wire_peer *busy = wire_connect(w, "cn:a", false, 65535);

	(void)state;
	wire_open(w, busy, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(wire_ended(idle));
		ping(w, idle, 0, "12345678");
		ping(w, busy, 0, "12345678");
		wire_until(w, NULL, w->now_ns + 10 * SECOND);
	}
	assert_true(idle->closing);
	assert_string_equal(goaway_of(idle)->text, "too_many_pings");
	assert_false(wire_ended(busy));
	wire_drop(w, idle);
	wire_drop(w, busy);
	wire_end(w);
}

/* Answers the PING of a drain. */
static void pong(struct wire *w, struct wire_peer *p)
{
	ping(w, p, NGHTTP2_FLAG_ACK, "ptddrain");
}

static void an_idle_connection_ends(void **state)
{
	struct wire_config config = {.idle_ns = 60 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	int32_t id;

	(void)state;
	wire_until(w, p, START_NS + 59 * SECOND);
	id = wire_open(w, p, CHECK, NULL);
	wire_until(w, p, START_NS + 70 * SECOND); /* with a call: not idle */
	assert_null(wire_last(p, NGHTTP2_GOAWAY, 0));
	wire_message(w, p, id, NULL, 0, true);
	wire_until(w, p, START_NS + 130 * SECOND - 1);
	assert_null(wire_last(p, NGHTTP2_GOAWAY, 0));
	wire_until(w, p, START_NS + 130 * SECOND);
	assert_non_null(wire_last(p, NGHTTP2_GOAWAY, 0));
	pong(w, p);
	assert_true(p->closing);
	assert_int_equal(goaway_of(p)->code, NGHTTP2_NO_ERROR);
	assert_string_equal(goaway_of(p)->text, "max_idle");
	wire_drop(w, p);
	wire_end(w);
}

static uint64_t age_with(uint64_t random)
{
	struct wire_config config = {.age_ns = 100 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_accept(w, "uid:1", true, random);
	uint64_t at;

	wire_send(w, p, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	wire_frame(w, p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	wire_frame(w, p, NGHTTP2_SETTINGS, 1, 0, NULL, 0);
	wire_until(w, p, START_NS + 120 * SECOND);
	at = wire_last(p, NGHTTP2_PING, 0)->at_ns - START_NS;
	wire_drop(w, p);
	wire_end(w);
	return at;
}

static void ages_differ_by_ten_percent(void **state)
{
	(void)state;
	assert_int_equal(age_with(0), 90 * SECOND);
	assert_int_equal(age_with(20 * SECOND), 110 * SECOND);
	assert_int_equal(age_with(7 * SECOND), 97 * SECOND);
}

static void a_call_across_the_maximum_age_completes(void **state)
{
	struct wire_config config = {.age_ns = 100 * SECOND, .age_grace_ns = 20 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	int32_t id, late;

	(void)state;
	wire_until(w, p, START_NS + 89 * SECOND);
	id = wire_open(w, p, CHECK, NULL);
	wire_until(w, p, START_NS + 90 * SECOND);
	assert_int_equal(wire_unary(w, p, CHECK), 0); /* before the PING's answer: served */
	pong(w, p);
	assert_string_equal(goaway_of(p)->text, "max_age");
	late = wire_open(w, p, CHECK, NULL); /* after the final GOAWAY: not ours any more */
	wire_message(w, p, late, NULL, 0, true);
	wire_until(w, p, START_NS + 105 * SECOND);
	assert_false(wire_ended(p));
	wire_message(w, p, id, NULL, 0, true);
	assert_int_equal(wire_status(p, id), 0);
	assert_int_equal(wire_status(p, late), -1);
	assert_true(p->closing);
	wire_drop(w, p);
	wire_end(w);
}

static void calls_beyond_the_grace_are_cut(void **state)
{
	struct wire_config config = {.age_ns = 100 * SECOND, .age_grace_ns = 20 * SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	int32_t began, never;

	(void)state;
	began = wire_open(w, p, WATCH, NULL);
	wire_message(w, p, began, NULL, 0, true);
	wire_until(w, p, START_NS + 89 * SECOND);
	never = wire_open(w, p, CHECK, NULL);
	wire_until(w, p, START_NS + 110 * SECOND - 1);
	assert_false(wire_ended(p));
	wire_until(w, p, START_NS + 110 * SECOND);
	assert_true(p->aborted);
	assert_int_equal(wire_last(p, NGHTTP2_RST_STREAM, began)->code, NGHTTP2_CANCEL);
	assert_int_equal(wire_last(p, NGHTTP2_RST_STREAM, never)->code, NGHTTP2_REFUSED_STREAM);
	wire_drop(w, p);
	wire_end(w);
}

static unsigned place_of(const struct wire_peer *p, uint8_t type, int32_t stream, unsigned nth)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->seen[i].type == type && p->seen[i].stream == stream && !nth--)
			return i;
	fail_msg("no such frame");
	return 0;
}

static void a_drain_tells_health_first_and_ends_idle_streams(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	int32_t watch = wire_open(w, p, WATCH, NULL), slow = wire_open(w, p, CHECK, NULL);
	struct event signal = {.kind = EVENT_SIGNAL};

	(void)state;
	wire_message(w, p, watch, NULL, 0, true);
	domain_drain(w->domain);
	wire_step(w, &signal);
	wire_settle(w, p);
	assert_int_equal(wire_status(p, watch), 14);
	assert_true(place_of(p, NGHTTP2_DATA, watch, 1) < place_of(p, NGHTTP2_GOAWAY, 0, 0));
	wire_until(w, p, w->now_ns + WIRE_NOTICE_TIME); /* the PING has no answer */
	assert_string_equal(goaway_of(p)->text, "draining");
	wire_until(w, p, w->now_ns + 20 * SECOND);
	assert_false(wire_ended(p));
	wire_message(w, p, slow, NULL, 0, true);
	assert_int_equal(wire_status(p, slow), 0);
	assert_true(p->closing);
	assert_false(w->drained);
	wire_tell_closed(w, p);
	assert_true(w->drained);
	wire_drop(w, p);
	wire_end(w);
}

static void debts_fall_due_on_time(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *silent = wire_accept(w, "uid:1", true, 0);
	struct wire_peer *no_ack = wire_accept(w, "uid:1", true, 0);
	struct wire_peer *slow = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	wire_send(w, no_ack, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	wire_frame(w, no_ack, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	wire_send(w, silent, "PRI * HT", 8);
	wire_until(w, NULL, START_NS + 2 * SECOND);
	wire_frame(w, slow, NGHTTP2_HEADERS, 0, 1, "\x83", 1);
	wire_until(w, NULL, START_NS + 5 * SECOND - 1);
	assert_false(wire_ended(silent));
	wire_until(w, NULL, START_NS + 5 * SECOND);
	assert_true(silent->aborted);
	wire_until(w, slow, START_NS + 7 * SECOND - 1);
	assert_false(wire_ended(slow));
	wire_until(w, slow, START_NS + 7 * SECOND);
	assert_string_equal(goaway_of(slow)->text, "header block too slow");
	wire_until(w, no_ack, START_NS + 10 * SECOND - 1);
	assert_false(wire_ended(no_ack));
	wire_until(w, no_ack, START_NS + 10 * SECOND);
	assert_int_equal(goaway_of(no_ack)->code, NGHTTP2_SETTINGS_TIMEOUT);
	wire_drop(w, silent);
	wire_drop(w, no_ack);
	wire_drop(w, slow);
	wire_end(w);
}

static void stalled_streams_are_reset(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 0);
	int32_t unread = wire_open(w, p, CHECK, NULL), half = wire_open(w, p, CHECK, NULL);

	(void)state;
	wire_message(w, p, unread, NULL, 0, true); /* its answer finds no window */
	wire_frame(w, p, NGHTTP2_DATA, 0, half, "\0\0\0", 3);
	wire_until(w, p, START_NS + 30 * SECOND - 1);
	assert_null(wire_last(p, NGHTTP2_RST_STREAM, -1));
	wire_until(w, p, START_NS + 36 * SECOND);
	assert_int_equal(wire_last(p, NGHTTP2_RST_STREAM, unread)->code, NGHTTP2_CANCEL);
	assert_int_equal(wire_last(p, NGHTTP2_RST_STREAM, half)->code, NGHTTP2_CANCEL);
	assert_false(wire_ended(p));
	wire_drop(w, p);
	wire_end(w);
}

static void last_words_that_do_not_leave_are_cut_off(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	p->stuck = true;
	wire_frame(w, p, NGHTTP2_CONTINUATION, 4, 1, NULL, 0);
	assert_true(p->closing);
	wire_until(w, p, START_NS + WIRE_CLOSE_TIME - 1);
	assert_false(p->aborted);
	wire_until(w, p, START_NS + WIRE_CLOSE_TIME);
	assert_true(p->aborted);
	wire_drop(w, p);
	wire_end(w);
}

static void a_write_that_does_not_leave_ends_the_connection(void **state)
{
	struct wire_config config = {.keepalive_ns = SECOND, .keepalive_timeout_ns = SECOND};
	struct wire *w = wire_start(&config);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	p->stuck = true;
	wire_unary(w, p, CHECK);
	wire_until(w, p, START_NS + WIRE_STALL_TIME - 1);
	assert_false(wire_ended(p));
	wire_until(w, p, START_NS + WIRE_STALL_TIME + SECOND);
	assert_true(p->aborted);
	wire_drop(w, p);
	wire_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_peer_is_asked_and_then_closed),
		cmocka_unit_test(a_peer_that_answers_lives_on_at_little_cost),
		cmocka_unit_test(bytes_of_any_kind_are_a_sign_of_life),
		cmocka_unit_test(the_third_ping_that_is_too_early_ends_the_connection),
		cmocka_unit_test(what_we_send_makes_up_for_pings),
		cmocka_unit_test(a_remote_peer_without_calls_pings_every_two_hours),
		cmocka_unit_test(an_idle_connection_ends),
		cmocka_unit_test(ages_differ_by_ten_percent),
		cmocka_unit_test(a_call_across_the_maximum_age_completes),
		cmocka_unit_test(calls_beyond_the_grace_are_cut),
		cmocka_unit_test(a_drain_tells_health_first_and_ends_idle_streams),
		cmocka_unit_test(debts_fall_due_on_time),
		cmocka_unit_test(stalled_streams_are_reset),
		cmocka_unit_test(last_words_that_do_not_leave_are_cut_off),
		cmocka_unit_test(a_write_that_does_not_leave_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
