/* SPDX-License-Identifier: BSD-2-Clause */
/* Budgets of principals, deadlines to the nanosecond, and windows that are not worth a frame. */
#include "principal.h"
#include "wire_fixture.h"

#include "ptd/v1/failpoint.pb-c.h"

#define CHECK	  "/grpc.health.v1.Health/Check"
#define WATCH	  "/grpc.health.v1.Health/Watch"
#define LIST	  "/grpc.health.v1.Health/List"
#define GET_INFO  "/ptd.v1.ServerService/GetInfo"
#define ARM	  "/ptd.v1.FailpointService/ArmFailpoint"
#define EXHAUSTED 8
#define DEADLINE  4

static const struct wire_config off;

static void a_principal_has_so_many_connections_and_others_have_theirs(void **state)
{
	struct wire_config config = {.principal_connections = 3};
	struct wire *w = wire_start(&config);
	struct wire_peer *p[3], *more, *other;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		p[i] = wire_connect(w, "uid:1", true, 65535);
	more = wire_accept(w, "uid:1", true, 0);
	assert_true(more->closing);
	assert_int_equal(wire_last(more, NGHTTP2_GOAWAY, 0)->code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_string_equal(wire_last(more, NGHTTP2_GOAWAY, 0)->text,
			    "too many connections of this principal");
	other = wire_connect(w, "uid:2", true, 65535);
	assert_int_equal(wire_unary(w, other, CHECK), 0);
	wire_drop(w, more);
	wire_drop(w, p[1]);
	p[1] = wire_connect(w, "uid:1", true, 65535);
	assert_int_equal(wire_unary(w, p[1], CHECK), 0);
	for (unsigned i = 0; i < 3; i++)
		wire_drop(w, p[i]);
	wire_drop(w, other);
	wire_end(w);
}

/* Opens a call whose prefix promises `length` bytes. Returns its status so far. */
static int promise(struct wire *w, struct wire_peer *p, uint32_t length)
{
	int32_t id = wire_open(w, p, GET_INFO, NULL);
	uint8_t prefix[5] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
			     (uint8_t)(length >> 8), (uint8_t)length};

	wire_frame(w, p, NGHTTP2_DATA, 0, id, prefix, 5);
	return wire_status(p, id);
}

static void requests_of_a_principal_are_bounded_over_its_connections(void **state)
{
	enum { PEERS = 5, EACH = 7 };
	struct wire *w = wire_start(&off);
	struct wire_peer *p[PEERS], *other;
	unsigned kept = 0, refused = 0;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++) {
		p[i] = wire_connect(w, "uid:1", true, 65535);
		for (unsigned n = 0; n < EACH; n++) {
			int status = promise(w, p[i], LIMIT_RECEIVE_BYTES);

			kept += status == -1;
			refused += status == EXHAUSTED;
		}
	}
	assert_int_equal(kept, WIRE_PRINCIPAL_REQUEST_BYTES / LIMIT_RECEIVE_BYTES);
	assert_int_equal(kept + refused, PEERS * EACH);
	assert_memory_equal(wire_last(p[PEERS - 1], NGHTTP2_HEADERS, -1)->text,
			    "max_principal_request_bytes", 27);
	assert_int_equal(wire_last(p[PEERS - 1], NGHTTP2_HEADERS, -1)->pushback, WIRE_PUSHBACK_MS);
	other = wire_connect(w, "uid:2", true, 65535);
	assert_int_equal(promise(w, other, LIMIT_RECEIVE_BYTES), -1);
	wire_drop(w, p[0]); /* gives back what was its */
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(promise(w, p[PEERS - 1], LIMIT_RECEIVE_BYTES), -1);
	for (unsigned i = 1; i < PEERS; i++)
		wire_drop(w, p[i]);
	wire_drop(w, other);
	wire_end(w);
}

static void calls_of_a_principal_are_bounded_over_its_connections(void **state)
{
	enum { EACH = 512, PEERS = WIRE_PRINCIPAL_CALLS / EACH };
	struct wire *w = wire_start(&off);
	struct wire_peer *p[PEERS], *more, *other;
	int32_t id;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++) {
		p[i] = wire_connect(w, "uid:1", true, 65535);
		for (unsigned n = 0; n < EACH; n++)
			wire_open(w, p[i], CHECK, NULL);
	}
	more = wire_connect(w, "uid:1", true, 65535);
	id = wire_open(w, more, CHECK, NULL);
	assert_int_equal(wire_status(more, id), EXHAUSTED);
	assert_memory_equal(wire_last(more, NGHTTP2_HEADERS, id)->text, "max_principal_calls", 19);
	assert_int_equal(wire_last(more, NGHTTP2_HEADERS, id)->pushback, WIRE_PUSHBACK_MS);
	other = wire_connect(w, "uid:2", true, 65535);
	assert_int_equal(wire_unary(w, other, CHECK), 0);
	wire_drop(w, p[0]);
	assert_int_equal(wire_unary(w, more, CHECK), 0);
	for (unsigned i = 1; i < PEERS; i++)
		wire_drop(w, p[i]);
	wire_drop(w, more);
	wire_drop(w, other);
	wire_end(w);
}

static void who_makes_answers_wait_gets_no_new_calls(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *slow = wire_connect(w, "uid:1", true, 0);
	struct wire_peer *quick = wire_connect(w, "uid:1", true, 65535);
	struct principal_share rest = {0};
	struct principal uid1 = {.name = "uid:1"};
	int32_t waiting = wire_open(w, slow, LIST, NULL), id;

	(void)state;
	wire_message(w, slow, waiting, NULL, 0, true);
	assert_true(domain_principal_admit(w->domain, &uid1, &rest));
	principal_charge(&rest, PRINCIPAL_OUTPUT, WIRE_PRINCIPAL_OUTPUT_BYTES);
	id = wire_open(w, slow, CHECK, NULL);
	assert_int_equal(wire_status(slow, id), EXHAUSTED);
	assert_memory_equal(wire_last(slow, NGHTTP2_HEADERS, id)->text,
			    "max_principal_output_bytes", 26);
	assert_int_equal(wire_unary(w, quick, CHECK), 0); /* it reads */
	domain_principal_release(w->domain, &rest);
	id = wire_open(w, slow, CHECK, NULL);
	assert_int_equal(wire_status(slow, id), -1);
	wire_drop(w, slow);
	wire_drop(w, quick);
	wire_end(w);
}

static void a_share_gives_back_what_it_took(void **state)
{
	struct wire *w = wire_start(&off);
	struct principal who = {.name = "uid:1"};
	struct principal_share a = {0}, b = {0};

	(void)state;
	assert_true(domain_principal_admit(w->domain, &who, &a));
	assert_true(domain_principal_admit(w->domain, &who, &b));
	assert_true(principal_take(&a, PRINCIPAL_CALLS, WIRE_PRINCIPAL_CALLS));
	assert_false(principal_take(&b, PRINCIPAL_CALLS, 1));
	assert_int_equal(b.held[PRINCIPAL_CALLS], 0);
	principal_trim(&a, PRINCIPAL_CALLS, WIRE_PRINCIPAL_CALLS - 64);
	assert_true(principal_take(&b, PRINCIPAL_CALLS, 48));
	assert_false(principal_take(&b, PRINCIPAL_CALLS, 49));
	domain_principal_release(w->domain, &a);
	assert_true(principal_take(&b, PRINCIPAL_CALLS, WIRE_PRINCIPAL_CALLS));
	domain_principal_release(w->domain, &b);
	wire_end(w);
}

/* Opens Check with a timeout of 5 ms and sends its message `after_ns` later. */
static int check_after(struct wire *w, struct wire_peer *p, uint64_t after_ns)
{
	int32_t id = wire_open(w, p, CHECK, "5m");

	w->now_ns += after_ns; /* the timer has not fired when the message comes */
	wire_message(w, p, id, NULL, 0, true);
	return wire_status(p, id);
}

static void a_deadline_holds_to_the_nanosecond(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	int32_t id;

	(void)state;
	assert_int_equal(check_after(w, p, 5 * MS - 1), 0);
	assert_int_equal(check_after(w, p, 5 * MS), DEADLINE); /* it never runs */
	assert_int_equal(check_after(w, p, 50 * MS), DEADLINE);
	id = wire_open(w, p, CHECK, "5m");
	wire_until(w, p, w->now_ns + 5 * MS - 1);
	assert_int_equal(wire_status(p, id), -1);
	wire_until(w, p, w->now_ns + 1);
	assert_int_equal(wire_status(p, id), DEADLINE);
	wire_drop(w, p);
	wire_end(w);
}

static void arm_reply(struct wire *w, struct wire_peer *p, Ptd__V1__FailpointAction action,
		      uint32_t delay_ms)
{
	Ptd__V1__ArmFailpointRequest q = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;
	Ptd__V1__Failpoint f = PTD__V1__FAILPOINT__INIT;
	int32_t id = wire_open(w, p, ARM, NULL);
	uint8_t body[128];

	f.name = (char *)(uintptr_t) "rpc.reply";
	f.action = action;
	f.delay_ms = delay_ms;
	f.this_connection = true;
	f.nth = f.times = 1;
	q.failpoint = &f;
	wire_message(w, p, id, body, ptd__v1__arm_failpoint_request__pack(&q, body), true);
	assert_int_equal(wire_status(p, id), 0);
}

static int32_t get_info(struct wire *w, struct wire_peer *p, const char *timeout)
{
	int32_t id = wire_open(w, p, GET_INFO, timeout);

	wire_message(w, p, id, NULL, 0, true);
	return id;
}

static void a_late_or_lost_answer_honours_the_deadline(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);
	int32_t id;

	(void)state;
	arm_reply(w, p, PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DELAY, 300);
	id = get_info(w, p, "100m");
	wire_until(w, p, w->now_ns + 100 * MS - 1);
	assert_int_equal(wire_status(p, id), -1);
	wire_until(w, p, w->now_ns + 1);
	assert_int_equal(wire_status(p, id), DEADLINE);
	arm_reply(w, p, PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DELAY, 300);
	id = get_info(w, p, "1S");
	wire_until(w, p, w->now_ns + 300 * MS - 1);
	assert_int_equal(wire_status(p, id), -1);
	wire_until(w, p, w->now_ns + 1);
	assert_int_equal(wire_status(p, id), 0);
	arm_reply(w, p, PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DROP, 0);
	id = get_info(w, p, "1S");
	wire_until(w, p, w->now_ns + SECOND - 1);
	assert_int_equal(wire_status(p, id), -1);
	wire_until(w, p, w->now_ns + 1);
	assert_int_equal(wire_status(p, id), DEADLINE);
	wire_drop(w, p);
	wire_end(w);
}

/* Health's Watch says one thing and then nothing: at its deadline it ends with trailers; only a
 * stream with a message that the peer's window holds back, or with no window left, is reset. */
static void a_deadline_ends_a_stream(void **state)
{
	static const struct {
		uint32_t window;
		int status;
	} rows[] = {{65535, DEADLINE}, {0, -1}, {3, -1}, {7, -1}, {8, DEADLINE}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire *w = wire_start(&off);
		struct wire_peer *p = wire_connect(w, "uid:1", true, rows[i].window);
		int32_t id = wire_open(w, p, WATCH, "5m");
		const struct seen *reset;

		wire_message(w, p, id, NULL, 0, true);
		wire_until(w, p, w->now_ns + 5 * MS - 1);
		assert_int_equal(wire_status(p, id), -1);
		assert_null(wire_last(p, NGHTTP2_RST_STREAM, id));
		wire_until(w, p, w->now_ns + 1);
		assert_int_equal(wire_status(p, id), rows[i].status);
		reset = wire_last(p, NGHTTP2_RST_STREAM, id);
		assert_int_equal(reset ? (int)reset->code : -1,
				 rows[i].status < 0 ? NGHTTP2_CANCEL : -1);
		assert_int_equal(wire_unary(w, p, "/no.such/Method"), 12); /* others go on */
		wire_drop(w, p);
		wire_end(w);
	}
}

static uint32_t body_of(const struct wire_peer *p, int32_t id, unsigned *frames)
{
	uint32_t bytes = 0;

	*frames = 0;
	for (unsigned i = 0; i < p->count; i++)
		if (p->seen[i].type == NGHTTP2_DATA && p->seen[i].stream == id) {
			bytes += p->seen[i].length;
			++*frames;
		}
	return bytes;
}

/* Grants `bytes` on a stream, one at a time; the number of DATA frames that came. */
static unsigned dribble(struct wire *w, struct wire_peer *p, int32_t id, unsigned bytes)
{
	unsigned frames;

	for (unsigned i = 0; i < bytes; i++)
		wire_frame(w, p, NGHTTP2_WINDOW_UPDATE, 0, id, "\0\0\0\1", 4);
	body_of(p, id, &frames);
	return frames;
}

static void a_window_of_a_few_bytes_is_not_worth_a_frame(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 0);
	struct wire_peer *small = wire_connect(w, "uid:1", true, 100);
	int32_t id = get_info(w, p, NULL), other = get_info(w, small, NULL);
	uint32_t whole;
	unsigned frames;

	(void)state;
	assert_int_equal(dribble(w, p, id, WIRE_LEAST_DATA - 1), 0);
	assert_int_equal(dribble(w, p, id, 1), 1);
	assert_int_equal(body_of(p, id, &frames), WIRE_LEAST_DATA);
	assert_int_equal(wire_status(p, id), -1);
	wire_frame(w, p, NGHTTP2_WINDOW_UPDATE, 0, id, "\0\0\xff\xff", 4);
	assert_int_equal(wire_status(p, id), 0);
	whole = body_of(p, id, &frames);
	assert_true(whole > WIRE_LEAST_DATA);
	/* Who says that all its windows are small gets frames of half of one. */
	assert_int_equal(body_of(small, other, &frames), 100);
	assert_int_equal(dribble(w, small, other, 49), 1);
	assert_int_equal(dribble(w, small, other, 1), 2);
	wire_frame(w, small, NGHTTP2_WINDOW_UPDATE, 0, other, "\0\0\xff\xff", 4);
	assert_int_equal(body_of(small, other, &frames), whole);
	wire_drop(w, p);
	wire_drop(w, small);
	wire_end(w);
}

/* 300 bytes of window, used up to the last byte although that makes a small frame: the peer opens
 * it again only then. */
static void the_rest_of_a_window_is_used(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 0);
	int32_t id = get_info(w, p, NULL);
	unsigned frames;

	(void)state;
	wire_frame(w, p, NGHTTP2_WINDOW_UPDATE, 0, id, "\0\0\1\0", 4);
	assert_int_equal(body_of(p, id, &frames), WIRE_LEAST_DATA);
	wire_frame(w, p, NGHTTP2_WINDOW_UPDATE, 0, id, "\0\0\0\x2c", 4);
	assert_int_equal(body_of(p, id, &frames), 300);
	assert_int_equal(frames, 2);
	assert_int_equal(dribble(w, p, id, 20), 2); /* that was all it had earned */
	wire_drop(w, p);
	wire_end(w);
}

/* A window held back for the connection's sake looks again when that one grows, or SETTINGS do. */
static void a_held_answer_goes_on_when_any_window_grows(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 0);
	int32_t id = get_info(w, p, NULL);
	const uint8_t bigger[6] = {0, 4, 0, 0, 0xff, 0xff};

	(void)state;
	assert_int_equal(dribble(w, p, id, 10), 0);
	wire_frame(w, p, NGHTTP2_SETTINGS, 0, 0, bigger, 6);
	assert_int_equal(wire_status(p, id), 0);
	wire_drop(w, p);
	wire_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_principal_has_so_many_connections_and_others_have_theirs),
		cmocka_unit_test(requests_of_a_principal_are_bounded_over_its_connections),
		cmocka_unit_test(calls_of_a_principal_are_bounded_over_its_connections),
		cmocka_unit_test(who_makes_answers_wait_gets_no_new_calls),
		cmocka_unit_test(a_share_gives_back_what_it_took),
		cmocka_unit_test(a_deadline_holds_to_the_nanosecond),
		cmocka_unit_test(a_deadline_ends_a_stream),
		cmocka_unit_test(a_late_or_lost_answer_honours_the_deadline),
		cmocka_unit_test(a_window_of_a_few_bytes_is_not_worth_a_frame),
		cmocka_unit_test(the_rest_of_a_window_is_used),
		cmocka_unit_test(a_held_answer_goes_on_when_any_window_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
