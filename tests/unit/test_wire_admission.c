/* SPDX-License-Identifier: BSD-2-Clause */
/* Admission control: who is admitted beside whom, and how the push-back moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services.h"
#include "stream.h"
#include "wire_limits.h"

#include <stdlib.h>
#include <string.h>

#define CONNS 4

struct world {
	struct loop_counters counters;
	struct shard shard;
	struct conn conn[CONNS];
	struct route route;
};

static struct world *world_open(void)
{
	struct world *w = calloc(1, sizeof(*w));
	nghttp2_session_callbacks *callbacks;

	assert_non_null(w);
	nghttp2_session_callbacks_new(&callbacks);
	w->shard.counters = &w->counters;
	w->shard.now_ns = SECOND;
	assert_true(shard_reserve(&w->shard, CONNS));
	admission_begin(&w->shard.admission, 7);
	w->route.method.path = "/ptd.v1.MappingService/Apply";
	w->route.domain = true;
	for (int i = 0; i < CONNS; i++) {
		w->conn[i].shard = &w->shard;
		assert_int_equal(
			nghttp2_session_server_new(&w->conn[i].session, callbacks, &w->conn[i]), 0);
	}
	nghttp2_session_callbacks_del(callbacks);
	return w;
}

static void world_close(struct world *w)
{
	for (int i = 0; i < CONNS; i++)
		nghttp2_session_del(w->conn[i].session);
	admission_end(&w->shard.admission);
	timers_fini(&w->shard.timers);
	free(w->shard.actions);
	free(w);
}

static struct stream *new_stream(struct world *w, int conn)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	assert_non_null(stream);
	stream->conn = &w->conn[conn];
	stream->id = 1;
	stream->route = &w->route;
	return stream;
}

/* NULL: refused. */
static struct stream *arrive(struct world *w, int conn)
{
	struct stream *stream = new_stream(w, conn);

	if (stream_admits(stream)) {
		admission_enter(stream);
		return stream;
	}
	assert_true(stream->answered);
	free(stream);
	return NULL;
}

static void leave(struct stream *stream)
{
	admission_leave(stream);
	free(stream);
}

static uint64_t refused(struct world *w)
{
	return atomic_load(&w->counters.calls_refused);
}

/* In the turn before there were others. */
static struct world *world_open_busy(void)
{
	struct world *w = world_open();

	w->shard.admission.active_before = 2;
	w->shard.admission.turn_ns = w->shard.now_ns;
	return w;
}

static void one_connection_has_all_streams(void **unused)
{
	struct world *w = world_open();
	struct stream *stream[LIMIT_CONCURRENT_STREAMS];

	(void)unused;
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned i = 0; i < LIMIT_CONCURRENT_STREAMS; i++) {
			stream[i] = arrive(w, 0);
			assert_non_null(stream[i]);
		}
		assert_null(arrive(w, 0));
		for (unsigned i = 0; i < LIMIT_CONCURRENT_STREAMS; i++)
			leave(stream[i]);
	}
	assert_int_equal(refused(w), 2);
	world_close(w);
}

static void one_of_several_has_the_room_that_they_leave(void **unused)
{
	struct world *w = world_open_busy();
	struct stream *stream[WIRE_CALLS_AT_ONCE];

	(void)unused;
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++) {
		stream[i] = arrive(w, 0);
		assert_non_null(stream[i]);
		assert_true(admission_judge_again(stream[i]));
	}
	assert_null(arrive(w, 0));
	assert_int_equal(refused(w), 1);
	assert_int_equal(atomic_load(&w->counters.calls_failed), 1);
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		leave(stream[i]);
	/* What was done in this turn still stands before those who come. */
	assert_null(arrive(w, 0));
	admission_turn(&w->shard.admission);
	leave(arrive(w, 0));
	world_close(w);
}

static void nobody_is_sent_away_for_the_calls_of_another(void **unused)
{
	struct world *w = world_open_busy();
	struct stream *hog[WIRE_CALLS_AT_ONCE], *other[WIRE_CALLS_AT_ONCE / 2];

	(void)unused;
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		hog[i] = arrive(w, 0);
	assert_null(arrive(w, 0));
	other[0] = arrive(w, 1);
	assert_non_null(other[0]);
	for (unsigned i = 1; i < WIRE_CALLS_AT_ONCE / 2; i++) {
		other[i] = arrive(w, 1);
		assert_non_null(other[i]);
	}
	assert_null(arrive(w, 1));
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		leave(hog[i]);
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE / 2; i++)
		leave(other[i]);
	assert_int_equal(w->shard.admission.under_way, 0);
	world_close(w);
}

static void long_calls_send_only_those_away_who_have_some(void **unused)
{
	struct world *w = world_open();
	struct stream *longer[WIRE_LONG_CALLS], *once;

	(void)unused;
	for (unsigned i = 0; i < WIRE_LONG_CALLS; i++) {
		longer[i] = arrive(w, 0);
		assert_non_null(longer[i]);
		admission_lasts(longer[i]);
		admission_lasts(longer[i]);
	}
	assert_null(arrive(w, 0));
	assert_null(arrive(w, 0));
	assert_int_equal(w->shard.actions_count, 1); /* it is not read for a while */
	assert_int_equal(w->shard.actions[0].kind, ACTION_PAUSE);
	assert_int_equal(timers_next(&w->shard.timers), SECOND + 16 * (SECOND / 1000));
	once = arrive(w, 1);
	assert_non_null(once);
	admission_lasts(once);
	assert_null(arrive(w, 1));
	leave(once);
	leave(longer[0]);
	longer[0] = arrive(w, 0);
	assert_non_null(longer[0]);
	for (unsigned i = 0; i < WIRE_LONG_CALLS; i++)
		leave(longer[i]);
	assert_int_equal(w->shard.admission.long_ones, 0);
	for (int i = 0; i < 2; i++) {
		struct timer *timer = timers_due(&w->shard.timers, 2 * SECOND);

		assert_non_null(timer);
		timer->fire(timer, 2 * SECOND);
		assert_int_equal(w->shard.actions[2 + i].kind, ACTION_RESUME);
	}
	assert_true(admission_has_room(&w->shard.admission));
	world_close(w);
}

static void who_looks_after_the_daemon_is_always_heard(void **unused)
{
	struct world *w = world_open_busy();
	struct stream *stream[WIRE_CALLS_AT_ONCE], *watch;

	(void)unused;
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		stream[i] = arrive(w, 0);
	assert_null(arrive(w, 0));
	w->route.method.path = "/ptd.v1.ServerService/Drain";
	watch = arrive(w, 0);
	assert_non_null(watch);
	leave(watch);
	w->route.method.path = "/grpc.health.v1.Health/Check";
	w->route.domain = false;
	watch = arrive(w, 0);
	assert_non_null(watch);
	leave(watch);
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		leave(stream[i]);
	world_close(w);
}

/* Many callers that come back as they are told, and none of them is ever admitted. */
static void the_pushback_grows_until_refusals_are_few_and_falls_again(void **unused)
{
	struct world *w = world_open_busy();
	struct stream *stream[WIRE_CALLS_AT_ONCE];
	struct admission *a = &w->shard.admission;
	uint32_t grown;

	(void)unused;
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		stream[i] = arrive(w, 0);
	for (unsigned ms = 0; ms < 4000; ms++) {
		unsigned back = 2000 / a->pushback_ms;

		w->shard.now_ns += SECOND / 1000;
		a->turn_ns = w->shard.now_ns;
		for (unsigned i = 0; i <= back; i++)
			assert_null(arrive(w, 0));
	}
	grown = a->pushback_ms;
	assert_in_range(grown, 256, 1024);
	for (unsigned ms = 0; ms < 20000; ms += 100) {
		w->shard.now_ns += SECOND / 10;
		a->turn_ns = w->shard.now_ns;
		assert_null(arrive(w, 0));
	}
	assert_true(a->pushback_ms < grown / 8);
	for (unsigned i = 0; i < WIRE_CALLS_AT_ONCE; i++)
		leave(stream[i]);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection_has_all_streams),
		cmocka_unit_test(one_of_several_has_the_room_that_they_leave),
		cmocka_unit_test(nobody_is_sent_away_for_the_calls_of_another),
		cmocka_unit_test(long_calls_send_only_those_away_who_have_some),
		cmocka_unit_test(who_looks_after_the_daemon_is_always_heard),
		cmocka_unit_test(the_pushback_grows_until_refusals_are_few_and_falls_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
