/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a call.
 *
 * receiving -> (message and half-close) -> queued -> handler: DONE -> answered -> trailers sent ->
 * gone. MORE queues it again, PARKED waits for call_wake(), STREAM waits for call_wake() or room.
 * A call whose stream ends early is `winding`: its abandon handler runs until it says DONE; without
 * one, the handler itself runs to its end with `abandoned` set and the answer is dropped.
 */
#include "stream.h"

#include "message.h"
#include "services.h"
#include "wire_limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void on_timer(struct timer *timer, uint64_t now_ns)
{
	struct stream *stream = container_of_(timer, struct stream, timer);

	(void)now_ns;
	stream_deadline(stream);
}

static void link_stream(struct conn *conn, struct stream *stream)
{
	stream->next = conn->streams;
	stream->prev = NULL;
	if (conn->streams)
		conn->streams->prev = stream;
	conn->streams = stream;
	conn->live++;
	conn->open++;
}

static void unlink_stream(struct conn *conn, struct stream *stream)
{
	if (stream->prev)
		stream->prev->next = stream->next;
	else
		conn->streams = stream->next;
	if (stream->next)
		stream->next->prev = stream->prev;
	conn->live--;
	if (!conn->live || conn->share.held[PRINCIPAL_CALLS] > conn->live + 64u)
		principal_trim(&conn->share, PRINCIPAL_CALLS, conn->live);
	if (!conn->live || conn->share.held[PRINCIPAL_REQUEST] > conn->body_bytes + (1u << 20))
		principal_trim(&conn->share, PRINCIPAL_REQUEST, conn->body_bytes);
}

struct stream *stream_open(struct conn *conn, int32_t id)
{
	struct shard *shard = conn->shard;
	struct stream *stream = slab_alloc(&shard->slab, sizeof(*stream));

	if (!stream)
		return NULL;
	if (!timers_claim(&shard->timers)) {
		slab_free(&shard->slab, stream);
		return NULL;
	}
	memset(stream, 0, offsetof(struct stream, arena));
	arena_init(&stream->arena, &shard->slab, stream->first_arena, STREAM_FIRST_ARENA);
	stream->conn = conn;
	stream->id = id;
	stream->timer.fire = on_timer;
	stream->progress_ns = shard->now_ns;
	stream->call.domain = shard->domain;
	stream->call.loop = shard->loop;
	stream->call.principal = &conn->principal;
	stream->call.connection = conn->number;
	stream->call.random = conn->random;
	stream->call.arena = &stream->arena.allocator;
	stream->call.deadline_ns = UINT64_MAX;
	stream->call.status.level = PT_TTL_UNKNOWN;
	link_stream(conn, stream);
	return stream;
}

void stream_release(struct stream *stream)
{
	struct conn *conn = stream->conn;

	if (!stream->gone || stream->working || stream->queued ||
	    atomic_load_explicit(&stream->mailed, memory_order_acquire))
		return;
	if (stream->admitted)
		admission_leave(stream);
	timer_stop(&conn->shard->timers, &stream->timer);
	stream_drop_output(stream);
	stream_drop_input(stream);
	stream_drop_metadata(stream);
	unlink_stream(conn, stream);
	arena_fini(&stream->arena);
	timers_release(&conn->shard->timers);
	slab_free(&conn->shard->slab, stream);
	conn_stream_gone(conn);
}

/* The answer is not wanted any more. */
void stream_wind_up(struct stream *stream)
{
	struct shard *shard = stream->conn->shard;

	stream->winding = true;
	stream->call.abandoned = true;
	if (stream->working && (!stream->parked || stream->route->method.abandon))
		shard_queue(shard, stream);
}

void stream_closed(struct stream *stream)
{
	if (stream->gone)
		return;
	stream->gone = true;
	if (!--stream->conn->open)
		stream->conn->idle_since_ns = stream->conn->shard->now_ns;
	if (stream->held)
		stream->conn->held--;
	stream_drop_output(stream);
	if (stream->working || !stream->answered)
		stream_wind_up(stream);
	stream_release(stream);
}

void stream_drop(struct stream *stream)
{
	stream_closed(stream);
}

void stream_look_again(struct stream *stream)
{
	if (stream->working && !stream->parked && stream->route->method.server_streaming)
		shard_queue(stream->conn->shard, stream);
}

/* Does something wait for a window of the peer's? Then trailers cannot come behind it. */
static bool is_blocked(const struct stream *stream)
{
	nghttp2_session *session = stream->conn->session;

	return stream->out_first || !session ||
	       nghttp2_session_get_remote_window_size(session) <= 0 ||
	       nghttp2_session_get_stream_remote_window_size(session, stream->id) <= 0;
}

/* The deadline has passed, or the delay of the answer is over. */
void stream_deadline(struct stream *stream)
{
	if (stream->delayed) {
		stream_answer_late(stream);
		return;
	}
	if (stream->gone)
		return;
	if (stream->answered && stream->trailers && !stream->out_first)
		return;
	if (stream->answered || (stream->responded && is_blocked(stream))) {
		stream_reset(stream, NGHTTP2_CANCEL);
		return;
	}
	/* Only the handler knows whether its commit point has passed. */
	stream->overdue = stream->working;
	if (!stream->working)
		stream_fail(stream, PT_DEADLINE, PT_GRPC_DEADLINE_EXCEEDED, NULL);
	stream_wind_up(stream);
}

/* One turn of a call that is to be abandoned. True: it holds nothing any more. */
static bool run_abandon(struct stream *stream)
{
	const struct method *method = &stream->route->method;
	call_handler *handler = method->abandon ? method->abandon : method->run;
	enum call_result result;

	if (!method->abandon && method->server_streaming)
		return true;
	result = handler(&stream->call);
	if (result == CALL_MORE)
		shard_queue_long(stream->conn->shard, stream);
	stream->parked = result == CALL_PARKED;
	return result == CALL_DONE || result == CALL_STREAM;
}

void stream_settle(struct stream *stream, enum call_result result)
{
	if (stream->admitted && (result == CALL_DONE || result == CALL_STREAM ||
				 (result == CALL_PARKED && stream->call.rests)))
		admission_leave(stream);
	else if (stream->admitted)
		admission_lasts(stream);
	switch (result) {
	case CALL_DONE:
		stream->working = false;
		stream_answer(stream);
		break;
	case CALL_MORE: shard_queue_long(stream->conn->shard, stream); break;
	case CALL_PARKED:
		stream->parked = true;
		count(&stream->conn->shard->counters->parked, 1);
		break;
	case CALL_STREAM: break;
	}
}

/* Runs the handler until it has nothing to do now. */
static void run_handler(struct stream *stream)
{
	stream->working = true;
	stream->parked = false;
	stream->started = true;
	stream_settle(stream, stream->route->method.client_streaming
				      ? stream_run_messages(stream)
				      : stream->route->method.run(&stream->call));
}

/* Those before it in the same step may have turned out to be long. */
static bool may_begin(struct stream *stream)
{
	return stream->started || !stream->admitted || stream->conn->shard->admission.room ||
	       admission_judge_again(stream);
}

void stream_run(struct stream *stream)
{
	struct conn *conn = stream->conn;

	stream->call.now_ns = conn->shard->now_ns;
	if (!stream->started && !stream->winding && conn->queued >= WIRE_HIGH_WATER) {
		if (stream->admitted)
			admission_leave(stream);
		conn_wait(conn, stream);
		return;
	}
	if (stream->winding || stream->gone) {
		if (stream->working && run_abandon(stream)) {
			stream->working = false;
			if (stream->overdue && !stream->gone)
				stream_answer_overdue(stream);
		}
		if (stream->admitted && !stream->working)
			admission_leave(stream);
		stream_release(stream);
		return;
	}
	if (!stream->answered && may_begin(stream) && stream_unpack(stream))
		run_handler(stream);
	else if (stream->admitted && !stream->working)
		admission_leave(stream);
}

void *call_alloc(struct call *call, size_t bytes)
{
	void *block = arena_alloc(&stream_of(call)->arena, bytes);

	return block ? memset(block, 0, bytes) : NULL;
}

enum call_result call_fail(struct call *call, enum pt_outcome code, const char *text, ...)
{
	va_list list;

	call->status.code = code;
	if (text) {
		va_start(list, text);
		vsnprintf(call->status.text, sizeof(call->status.text), text, list);
		va_end(list);
	}
	return CALL_DONE;
}

void call_wake(struct call *call)
{
	struct stream *stream = stream_of(call);
	struct shard *home = stream->conn->shard;
	struct shard *here = shard_running;
	bool first;

	if (here == home) {
		shard_queue(home, stream);
		return;
	}
	if (atomic_exchange_explicit(&stream->mailed, true, memory_order_acq_rel))
		return;
	first = mailbox_put(&home->mailbox, &stream->mail);
	if (first && here)
		shard_notify(here, home->index);
}

bool call_send(struct call *call, const ProtobufCMessage *message)
{
	struct stream *stream = stream_of(call);

	if (stream->gone || stream->winding || stream->answered)
		return true; /* nobody listens: nothing is lost */
	if (stream->out_bytes >= WIRE_STREAM_QUEUE) {
		stream->blocked = true;
		return false;
	}
	return stream_queue_message(stream, message);
}

bool call_send_packed(struct call *call, const uint8_t *message, size_t length)
{
	struct stream *stream = stream_of(call);

	if (stream->gone || stream->winding || stream->answered)
		return true;
	return stream_queue_packed(stream, message, length);
}

const struct routes *call_routes(const struct call *call)
{
	return ((const struct stream *)(const void *)call)->conn->shard->routes;
}
