/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls over connections that are cut: how each call ends, and how often it takes effect. The
 * daemon executes a request when its last byte has come, and knows the 16-byte bodies that it has
 * executed.
 */
#include "client_peer.h"

#define METHOD "/ptd.v1.MappingService/Map"
#define IDS    8

/* What the daemon does with a request that is complete. */
enum manner {
	ANSWER,
	SILENT,
	REFUSE,
	REFUSE_ONCE,
	CANCEL_ONCE,
	OVERLOADED_ONCE,
	NEVER_AGAIN,
	LEAVE_OUT
};

struct daemon {
	enum manner manner;
	const char *pushback; /* of OVERLOADED_ONCE */
	unsigned effects, requests;
	char ids[IDS][16];
	unsigned id_count;
};

struct end {
	unsigned count;
	enum ptd_state state;
	struct ptd_status status;
	uint32_t attempts;
};

static struct daemon *daemon_of(const struct world *world)
{
	return world->daemon;
}

static void answer(struct peer *peer, uint32_t stream)
{
	uint8_t block[128] = {0x88}; /* :status 200 */

	frame(peer, HEADERS, 0x4, stream, block, 1);
	frame(peer, DATA, 0, stream, "\0\0\0\0\2ok", 7);
	frame(peer, HEADERS, 0x5, stream, block, header(block, "grpc-status", "0"));
}

static void refuse_with_status(struct peer *peer, uint32_t stream, const char *status,
			       const char *pushback)
{
	uint8_t block[128] = {0x88};
	size_t length = 1 + header(block + 1, "grpc-status", status);

	if (pushback)
		length += header(block + length, "grpc-retry-pushback-ms", pushback);
	frame(peer, HEADERS, 0x5, stream, block, length);
}

static bool known(struct daemon *daemon, const struct body *body)
{
	for (unsigned i = 0; i < daemon->id_count; i++)
		if (!memcmp(daemon->ids[i], body->bytes + 5, 16))
			return true;
	return false;
}

static void execute(struct daemon *daemon, const struct body *body)
{
	bool has_id = body->length == 21 && body->bytes[5] != '-';

	if (has_id && known(daemon, body))
		return;
	daemon->effects++;
	assert_true(daemon->id_count < IDS);
	if (has_id)
		memcpy(daemon->ids[daemon->id_count++], body->bytes + 5, 16);
}

static void take_request(struct peer *peer, uint32_t stream)
{
	struct daemon *daemon = peer->world->daemon;
	enum manner manner = daemon->manner;
	const uint8_t refused[4] = {0, 0, 0, 7}, cancel[4] = {0, 0, 0, 8};
	const uint8_t leave_out[] = {0,	  0,   0,   0,	 0,   0,   0,	0, 'a',
				     'g', 'e', '%', '5', 'x', '%', '%', 7};

	daemon->requests++;
	if (manner == REFUSE_ONCE || manner == OVERLOADED_ONCE || manner == CANCEL_ONCE)
		daemon->manner = ANSWER;
	switch (manner) {
	case REFUSE:
	case REFUSE_ONCE: frame(peer, RST_STREAM, 0, stream, refused, 4); break;
	case CANCEL_ONCE:
		execute(daemon, &peer->body[stream]);
		frame(peer, RST_STREAM, 0, stream, cancel, 4);
		break;
	case OVERLOADED_ONCE: refuse_with_status(peer, stream, "8", daemon->pushback); break;
	case NEVER_AGAIN: refuse_with_status(peer, stream, "14", "-1"); break;
	case LEAVE_OUT: frame(peer, GOAWAY, 0, 0, leave_out, sizeof(leave_out)); break;
	case ANSWER:
		execute(daemon, &peer->body[stream]);
		answer(peer, stream);
		break;
	case SILENT: execute(daemon, &peer->body[stream]); break;
	}
}

static void take_body(struct peer *peer, uint32_t stream, struct body *body, bool end)
{
	(void)body;
	if (end)
		take_request(peer, stream);
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct end *end = arg;

	end->count++;
	end->state = (enum ptd_state)reply->status->state;
	end->status = *reply->status;
	end->attempts = reply->attempts;
	assert_true(end->state != PTD_STATE_OK ||
		    (reply->length == 2 && !memcmp(reply->data, "ok", 2)));
}

static struct world *open_world(uint32_t reconnects, size_t cut_up, size_t cut_down)
{
	return make_world(sizeof(struct daemon), reconnects, cut_up, cut_down);
}

static struct ptd_call *start(struct world *world, const char *body, uint32_t flags,
			      uint32_t timeout_ms, struct end *end)
{
	const struct ptd_request request = {.size = sizeof(request),
					    .flags = flags,
					    .method = METHOD,
					    .data = body,
					    .length = body ? strlen(body) : 0,
					    .timeout_ms = timeout_ms,
					    .done = on_end,
					    .arg = end};
	struct ptd_call *call = ptd_core_start(world->core, &request, world->now, NULL);

	assert_non_null(call);
	return call;
}

#define WITH_ID "request-id-00001"
#define WITHOUT "-"

/* Bytes of one undisturbed call, both ways. */
static void measure(size_t *up, size_t *down)
{
	struct world *world = open_world(0, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	start(world, WITH_ID, 0, 0, &end);
	run(world);
	assert_int_equal(end.state, PTD_STATE_OK);
	*up = world->up;
	*down = world->down;
	close_world(world);
}

/* --- cut at every byte ----------------------------------------------------------------------- */

/* One call whose first connection ends there. */
static struct end cut_call(uint32_t reconnects, const char *body, uint32_t flags, size_t cut_up,
			   size_t cut_down, unsigned *effects)
{
	struct world *world = open_world(reconnects, cut_up, cut_down);
	struct end end = {0};

	start(world, body, flags, 60000, &end);
	run(world);
	assert_int_equal(end.count, 1);
	*effects = daemon_of(world)->effects;
	close_world(world);
	return end;
}

static void without_reconnect_failed_means_not_done(void **state)
{
	size_t up, down;
	unsigned effects, failed = 0, unknown = 0;

	(void)state;
	measure(&up, &down);
	for (size_t at = 1; at < up + down; at++) {
		struct end end = at < up ? cut_call(0, WITHOUT, 0, at, SIZE_MAX, &effects)
					 : cut_call(0, WITHOUT, 0, SIZE_MAX, at - up + 1, &effects);

		/* Exact: what the daemon has not got as a whole has failed, anything else that has
		 * no answer is unknown. */
		if (end.state != PTD_STATE_OK)
			assert_int_equal(end.state, effects ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED);
		else
			assert_int_equal(effects, 1);
		failed += end.state == PTD_STATE_FAILED;
		unknown += end.state == PTD_STATE_UNKNOWN;
	}
	assert_true(failed > 40 && unknown > 20);
}

static void with_a_request_id_each_cut_ends_in_one_effect_and_ok(void **state)
{
	size_t up, down;
	unsigned effects, replayed = 0;

	(void)state;
	measure(&up, &down);
	for (size_t at = 1; at < up + down; at++) {
		struct end end =
			at < up ? cut_call(3, WITH_ID, PTD_CALL_REPLAY, at, SIZE_MAX, &effects)
				: cut_call(3, WITH_ID, PTD_CALL_REPLAY, SIZE_MAX, at - up + 1,
					   &effects);

		assert_int_equal(end.state, PTD_STATE_OK);
		assert_int_equal(effects, 1);
		replayed += end.attempts > 1;
	}
	assert_true(replayed > 100);
}

static void without_an_id_nothing_that_left_is_sent_again(void **state)
{
	size_t up, down;
	unsigned effects, ok_later = 0;

	(void)state;
	measure(&up, &down);
	for (size_t at = 1; at < up + down; at++) {
		struct end end = at < up ? cut_call(3, WITHOUT, 0, at, SIZE_MAX, &effects)
					 : cut_call(3, WITHOUT, 0, SIZE_MAX, at - up + 1, &effects);

		assert_true(end.state == PTD_STATE_OK || end.state == PTD_STATE_UNKNOWN);
		assert_int_equal(effects, 1);
		ok_later += end.state == PTD_STATE_OK && end.attempts > 1;
	}
	assert_true(ok_later > 40);
}

static void a_pipeline_that_is_cut_anywhere_has_each_effect_once(void **state)
{
	static const char *const bodies[] = {"request-id-00001", "request-id-00002",
					     "request-id-00003", "request-id-00004"};
	size_t length;

	(void)state;
	for (size_t at = 1, last = 2; at < last; at++) {
		struct world *world = open_world(3, at, SIZE_MAX);
		struct end ends[4] = {0};

		for (int i = 0; i < 4; i++)
			start(world, bodies[i], PTD_CALL_REPLAY, 0, &ends[i]);
		run(world);
		for (int i = 0; i < 4; i++)
			assert_true(ends[i].count == 1 && ends[i].state == PTD_STATE_OK);
		assert_int_equal(daemon_of(world)->effects, 4);
		length = world->connections == 1 ? at : at + 2;
		last = length;
		close_world(world);
	}
}

/* --- deadlines ------------------------------------------------------------------------------- */

static void a_deadline_holds_over_connections_that_come_and_go(void **state)
{
	struct world *world = open_world(PTD_RECONNECT_ALWAYS, SIZE_MAX, SIZE_MAX);
	struct end silent = {0}, unsent = {0};

	(void)state;
	daemon_of(world)->manner = SILENT;
	start(world, WITH_ID, PTD_CALL_REPLAY, 1000, &silent);
	settle(world);
	assert_int_equal(daemon_of(world)->requests, 1);
	while (!silent.count) {
		uint64_t before = world->now;

		if (world->peer)
			cut(world);
		settle(world);
		assert_true(world->wake - before <= 1100 * MS);
		if (!silent.count && world->wake > world->now)
			world->now = world->wake;
		settle(world);
	}
	assert_true(world->now >= 1000 * MS && world->now <= 1100 * MS);
	assert_int_equal(silent.state, PTD_STATE_UNKNOWN);
	assert_int_equal(silent.status.grpc, 4);
	assert_true(silent.attempts > 1);
	assert_int_equal(daemon_of(world)->effects, 1);
	/* No connection at all: it cannot have been done. */
	if (world->peer)
		cut(world);
	start(world, WITH_ID, PTD_CALL_REPLAY, 500, &unsent);
	world->now += 700 * MS;
	assert_int_not_equal(ptd_core_step(world->core, world->now, &world->wake), PTD_CORE_GONE);
	ptd_core_deliver(world->core);
	assert_int_equal(unsent.state, PTD_STATE_FAILED);
	assert_int_equal(unsent.status.grpc, 4);
	close_world(world);
}

static void attempts_to_connect_end_and_say_why(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0};
	unsigned attempts = 0;
	uint64_t last = 0;

	(void)state;
	start(world, WITH_ID, PTD_CALL_REPLAY, 0, &end);
	for (;;) {
		enum ptd_core_want want = ptd_core_step(world->core, world->now, &world->wake);

		if (want == PTD_CORE_GONE)
			break;
		if (want == PTD_CORE_CONNECT) {
			/* 100 ms, then 200 ms, each between half of it and all. */
			if (attempts)
				assert_in_range(world->now - last, (50 * MS) << (attempts - 1) << 1,
						(100 * MS) << (attempts - 1) << 1);
			attempts++;
			last = world->now;
			ptd_core_lost(world->core, world->now, "nobody listens");
		} else {
			world->now = world->wake;
		}
	}
	ptd_core_deliver(world->core);
	assert_int_equal(attempts, 3);
	assert_int_equal(end.state, PTD_STATE_FAILED);
	assert_int_equal(end.status.where, PTD_WHERE_CONNECT);
	assert_non_null(strstr(end.status.message, "nobody listens"));
	assert_null(ptd_core_start(world->core,
				   &(struct ptd_request){.size = sizeof(struct ptd_request),
							 .method = METHOD,
							 .done = on_end},
				   world->now, NULL));
	close_world(world);
}

static void a_connection_that_takes_too_long_is_closed(void **state)
{
	struct ptd_options options = {.size = sizeof(options), .connect_timeout_ms = 300};
	struct world world = {.core = ptd_core_create(&options, NULL, NULL)};

	(void)state;
	ptd_core_wish_connection(world.core);
	assert_int_equal(ptd_core_step(world.core, 0, &world.wake), PTD_CORE_CONNECT);
	assert_int_equal(world.wake, 300 * MS);
	assert_int_equal(ptd_core_step(world.core, 299 * MS, &world.wake), PTD_CORE_NOTHING);
	assert_int_equal(ptd_core_step(world.core, 300 * MS, &world.wake), PTD_CORE_CLOSE);
	ptd_core_lost(world.core, 300 * MS, "closed");
	assert_string_equal(ptd_core_connection(world.core)->message, "no connection in time");
	ptd_core_destroy(world.core);
}

/* --- what the daemon says of a retry ---------------------------------------------------------- */

static void a_refused_stream_is_sent_again_even_without_an_id(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	(void)state;
	daemon_of(world)->manner = REFUSE_ONCE;
	start(world, WITHOUT, 0, 0, &end);
	run(world);
	assert_int_equal(end.state, PTD_STATE_OK);
	assert_int_equal(end.attempts, 2);
	assert_int_equal(world->connections, 1);
	close_world(world);
}

static void one_that_is_refused_for_ever_fails_after_its_retries(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	(void)state;
	daemon_of(world)->manner = REFUSE;
	start(world, WITHOUT, 0, 0, &end);
	run(world);
	assert_int_equal(end.state, PTD_STATE_FAILED);
	assert_int_equal(end.status.grpc, 14);
	assert_int_equal(end.attempts, 17);
	close_world(world);
}

static void one_that_the_daemon_cancels_is_sent_again_if_it_may_be(void **state)
{
	(void)state;
	for (uint32_t replay = 0; replay < 2; replay++) {
		struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
		struct end end = {0};

		daemon_of(world)->manner = CANCEL_ONCE;
		start(world, WITH_ID, replay ? PTD_CALL_REPLAY : 0, 0, &end);
		run(world);
		assert_int_equal(end.state, replay ? PTD_STATE_OK : PTD_STATE_UNKNOWN);
		assert_int_equal(daemon_of(world)->effects, 1);
		close_world(world);
	}
}

static void streams_that_a_goaway_leaves_out_go_over_the_next_connection(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0}, next = {0};

	(void)state;
	daemon_of(world)->manner = LEAVE_OUT;
	start(world, WITHOUT, 0, 0, &end);
	settle(world);
	assert_int_equal(daemon_of(world)->requests, 1);
	daemon_of(world)->manner = ANSWER;
	start(world, WITHOUT, 0, 0, &next);
	run(world);
	assert_int_equal(world->connections, 2);
	assert_int_equal(end.state, PTD_STATE_OK);
	assert_int_equal(next.state, PTD_STATE_OK);
	close_world(world);
}

static void the_same_without_reconnect_fails_for_certain(void **state)
{
	struct world *world = open_world(0, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	(void)state;
	daemon_of(world)->manner = LEAVE_OUT;
	start(world, WITHOUT, 0, 0, &end);
	run(world);
	assert_int_equal(end.state, PTD_STATE_FAILED);
	assert_string_equal(end.status.message,
			    "the daemon takes no new calls on this connection: age%5x%%?");
	assert_int_equal(world->last, PTD_CORE_GONE);
	close_world(world);
}

static void a_pushback_is_told_and_kept(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	(void)state;
	daemon_of(world)->manner = OVERLOADED_ONCE;
	daemon_of(world)->pushback = "730";
	start(world, WITHOUT, 0, 0, &end);
	run(world);
	assert_int_equal(end.state, PTD_STATE_OK);
	assert_int_equal(end.attempts, 2);
	assert_int_equal(world->now, 730 * MS);
	close_world(world);
	/* Not beyond the deadline; and not without reconnects. */
	for (uint32_t reconnects = 0; reconnects < 2; reconnects++) {
		world = open_world(reconnects, SIZE_MAX, SIZE_MAX);
		daemon_of(world)->manner = OVERLOADED_ONCE;
		daemon_of(world)->pushback = "730";
		end = (struct end){0};
		start(world, WITHOUT, 0, 400, &end);
		settle(world);
		assert_int_equal(end.count, 1);
		assert_int_equal(end.state, PTD_STATE_FAILED);
		assert_int_equal(end.status.grpc, 8);
		assert_int_equal(end.status.retry_after_ms, 730);
		close_world(world);
	}
}

static void who_asks_for_no_retry_gets_none(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	(void)state;
	daemon_of(world)->manner = NEVER_AGAIN;
	start(world, WITH_ID, PTD_CALL_REPLAY, 0, &end);
	run(world);
	assert_int_equal(end.state, PTD_STATE_FAILED);
	assert_int_equal(end.attempts, 1);
	assert_int_equal(end.status.retry_after_ms, PTD_RETRY_NEVER);
	close_world(world);
}

static void a_refusal_after_a_lost_attempt_is_not_a_failure(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end end = {0};

	(void)state;
	daemon_of(world)->manner = SILENT;
	start(world, WITH_ID, PTD_CALL_REPLAY, 0, &end);
	settle(world);
	assert_int_equal(daemon_of(world)->effects, 1);
	daemon_of(world)->manner = NEVER_AGAIN;
	cut(world);
	run(world);
	/* It was done, though the second attempt was turned away. */
	assert_int_equal(end.state, PTD_STATE_UNKNOWN);
	assert_int_equal(end.attempts, 2);
	close_world(world);
}

/* --- open calls ------------------------------------------------------------------------------ */

static void an_open_call_sends_as_it_is_fed_and_shows_what_waits(void **state)
{
	struct world *world = open_world(0, SIZE_MAX, SIZE_MAX);
	struct end end = {0};
	struct ptd_call *call = start(world, NULL, PTD_CALL_OPEN, 0, &end);

	(void)state;
	settle(world);
	assert_int_equal(ptd_core_queued(world->core, call), 0);
	assert_true(ptd_core_send(world->core, call, "one", 3));
	assert_true(ptd_core_send(world->core, call, "two", 3));
	assert_int_equal(ptd_core_queued(world->core, call), 16);
	settle(world);
	assert_int_equal(ptd_core_queued(world->core, call), 0);
	assert_memory_equal(world->peer->body[1].bytes, "\0\0\0\0\3one\0\0\0\0\3two", 16);
	assert_int_equal(daemon_of(world)->requests, 0);
	ptd_core_half_close(world->core, call);
	assert_false(ptd_core_send(world->core, call, "three", 5));
	run(world);
	assert_int_equal(daemon_of(world)->requests, 1);
	assert_int_equal(end.state, PTD_STATE_OK);
	close_world(world);
}

static void an_open_call_is_unknown_once_a_message_has_left(void **state)
{
	(void)state;
	for (int sent = 0; sent < 2; sent++) {
		struct world *world = open_world(0, SIZE_MAX, SIZE_MAX);
		struct end end = {0};
		struct ptd_call *call = start(world, NULL, PTD_CALL_OPEN, 0, &end);

		settle(world);
		ptd_core_send(world->core, call, "one", 3);
		if (sent)
			settle(world);
		cut(world);
		settle(world);
		assert_int_equal(end.state, sent ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED);
		close_world(world);
	}
}

static void closing_ends_what_left_as_unknown_and_the_rest_as_failed(void **state)
{
	struct world *world = open_world(3, SIZE_MAX, SIZE_MAX);
	struct end left = {0}, waiting = {0};

	(void)state;
	daemon_of(world)->manner = SILENT;
	start(world, WITH_ID, PTD_CALL_REPLAY, 0, &left);
	settle(world);
	start(world, WITH_ID, PTD_CALL_REPLAY, 0, &waiting);
	close_world(world);
	assert_int_equal(left.state, PTD_STATE_UNKNOWN);
	assert_int_equal(waiting.state, PTD_STATE_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_reconnect_failed_means_not_done),
		cmocka_unit_test(with_a_request_id_each_cut_ends_in_one_effect_and_ok),
		cmocka_unit_test(without_an_id_nothing_that_left_is_sent_again),
		cmocka_unit_test(a_pipeline_that_is_cut_anywhere_has_each_effect_once),
		cmocka_unit_test(a_deadline_holds_over_connections_that_come_and_go),
		cmocka_unit_test(attempts_to_connect_end_and_say_why),
		cmocka_unit_test(a_connection_that_takes_too_long_is_closed),
		cmocka_unit_test(a_refused_stream_is_sent_again_even_without_an_id),
		cmocka_unit_test(one_that_is_refused_for_ever_fails_after_its_retries),
		cmocka_unit_test(one_that_the_daemon_cancels_is_sent_again_if_it_may_be),
		cmocka_unit_test(streams_that_a_goaway_leaves_out_go_over_the_next_connection),
		cmocka_unit_test(the_same_without_reconnect_fails_for_certain),
		cmocka_unit_test(a_pushback_is_told_and_kept),
		cmocka_unit_test(who_asks_for_no_retry_gets_none),
		cmocka_unit_test(a_refusal_after_a_lost_attempt_is_not_a_failure),
		cmocka_unit_test(an_open_call_sends_as_it_is_fed_and_shows_what_waits),
		cmocka_unit_test(an_open_call_is_unknown_once_a_message_has_left),
		cmocka_unit_test(closing_ends_what_left_as_unknown_and_the_rest_as_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
