/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages of a client stream.
 *
 * A message that lies whole in a DATA chunk is run where it lies, in the step that brought it. What
 * cannot run now is kept as it came: the rest of a cut message, and what arrives while a message is
 * with the handler across steps or while the answers find no room. While whole messages wait, the
 * stream's window stays closed.
 */
#include "message.h"
#include "wire_limits.h"

#include <string.h>

#define INPUT_FIRST   1024u
#define SLAB_HEAD     16u   /* what the slab adds: then a buffer fills its class */
#define STEP_MESSAGES 4096u /* run in one step out of a backlog */

static uint32_t length_of(const uint8_t *prefix)
{
	return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 |
	       prefix[4];
}

/* Can the handler have a message, or a prefix that must be refused, out of the buffer? */
static bool whole_waits(const struct stream *stream)
{
	size_t have = stream->in_end - stream->in_at;
	const uint8_t *at;

	if (have < FRAME_PREFIX)
		return false;
	at = stream->in + stream->in_at;
	return at[0] || length_of(at) > LIMIT_RECEIVE_BYTES || have - FRAME_PREFIX >= length_of(at);
}

bool stream_mid_message(const struct stream *stream)
{
	return stream->in_end > stream->in_at && !whole_waits(stream);
}

/* Bytes of the message at `data` with its prefix; 0: it is not all there, or the stream has failed.
 */
static size_t whole_at(struct stream *stream, const uint8_t *data, size_t have)
{
	uint32_t length;

	if (have < FRAME_PREFIX)
		return 0;
	length = length_of(data);
	if ((data[0] || length > LIMIT_RECEIVE_BYTES) &&
	    !message_prefix_ok(stream, data[0], length))
		return 0;
	return have - FRAME_PREFIX >= length ? FRAME_PREFIX + length : 0;
}

/* Nothing stands in the way of the next message, if there is one. */
static bool may_run(struct stream *stream)
{
	if (stream->in_work || stream->answered || stream->winding)
		return false;
	if (stream->out_bytes >= WIRE_STREAM_QUEUE) {
		stream->blocked = true;
		return false;
	}
	stream->blocked = false;
	return stream->started || stream->conn->queued < WIRE_HIGH_WATER;
}

static void forget_message(struct stream *stream)
{
	stream->call.request = NULL;
	arena_fini(&stream->arena);
	arena_init(&stream->arena, &stream->conn->shard->slab, stream->first_arena,
		   STREAM_FIRST_ARENA);
}

/* One run of the message that is with the handler; its memory goes when it is done. */
static enum call_result run_request(struct stream *stream)
{
	enum call_result result = stream->route->method.run(&stream->call);

	stream->in_work = result == CALL_MORE || result == CALL_PARKED;
	stream->call.request_bytes = NULL;
	stream->call.request_length = 0;
	if (!stream->in_work)
		forget_message(stream);
	return result;
}

/* `message` with its prefix. Afterwards nothing points to it any more. */
static enum call_result run_message(struct stream *stream, const uint8_t *message, size_t length)
{
	stream->working = stream->started = true;
	stream->call.now_ns = stream->conn->shard->now_ns;
	if (message_unpack(stream, message + FRAME_PREFIX, length - FRAME_PREFIX))
		return run_request(stream);
	forget_message(stream);
	return CALL_STREAM;
}

/* The stream was failed from outside the handler. */
static void let_go(struct stream *stream)
{
	if (stream->working && !stream->winding)
		stream_wind_up(stream);
}

static void drop_buffer(struct stream *stream)
{
	slab_free(&stream->conn->shard->slab, stream->in);
	stream->conn->body_bytes -= stream->in_room;
	stream->in = NULL;
	stream->in_room = stream->in_at = stream->in_end = 0;
}

/* Messages out of the buffer, one after the other. CALL_STREAM: none is left that could run. */
static enum call_result run_buffer(struct stream *stream)
{
	enum call_result result = CALL_STREAM;
	uint32_t budget = STEP_MESSAGES;

	while (result == CALL_STREAM && whole_waits(stream) && may_run(stream)) {
		const uint8_t *at = stream->in + stream->in_at;
		size_t n = whole_at(stream, at, stream->in_end - stream->in_at);

		if (!n)
			break;
		if (!budget--)
			return CALL_MORE;
		stream->in_at += n;
		result = run_message(stream, at, n);
	}
	if (stream->in && stream->in_at == stream->in_end)
		drop_buffer(stream);
	return result;
}

/* False: the stream has failed. */
static bool make_room(struct stream *stream, size_t bytes)
{
	struct conn *conn = stream->conn;
	size_t have = stream->in_end - stream->in_at, room = INPUT_FIRST;
	uint8_t *in;

	if (stream->in_at) {
		memmove(stream->in, stream->in + stream->in_at, have);
		stream->in_at = 0;
		stream->in_end = have;
	}
	if (have + bytes <= stream->in_room)
		return true;
	while (room - SLAB_HEAD < have + bytes)
		room *= 2;
	room -= SLAB_HEAD;
	if (!conn_request_room(conn, room - stream->in_room))
		return message_over_budget(stream);
	in = slab_resize(&conn->shard->slab, stream->in, room);
	if (!in) {
		stream_fail(stream, PT_NO_MEMORY, PT_GRPC_RESOURCE_EXHAUSTED, NULL);
		return false;
	}
	conn->body_bytes += room - stream->in_room;
	stream->in = in;
	stream->in_room = room;
	return true;
}

static bool keep(struct stream *stream, const uint8_t *data, size_t length)
{
	if (stream->in_end + length > stream->in_room && !make_room(stream, length))
		return false;
	memcpy(stream->in + stream->in_end, data, length);
	stream->in_end += length;
	return true;
}

/* How many bytes the first message in the buffer lacks, as far as that is known. */
static size_t missing(const struct stream *stream)
{
	size_t have = stream->in_end - stream->in_at;

	return have < FRAME_PREFIX ? FRAME_PREFIX - have
				   : FRAME_PREFIX + length_of(stream->in + stream->in_at) - have;
}

/* The buffer gets what completes its first message; or all, when none may run. Returns how much. */
static size_t keep_some(struct stream *stream, const uint8_t *data, size_t length, bool all)
{
	if (!all && !whole_waits(stream) && length > missing(stream))
		length = missing(stream);
	return keep(stream, data, length) ? length : 0;
}

/* Runs what can run, keeps what cannot. A call that stands in the run queue is left to it: a wake
 * would else find another message than it was meant for. */
static enum call_result take(struct stream *stream, const uint8_t *data, size_t length)
{
	enum call_result result = CALL_STREAM;

	while (length && !stream->answered && !stream->winding) {
		bool now = result == CALL_STREAM && !stream->queued;
		size_t n = 0;

		if (now && !stream->in_end && may_run(stream))
			n = whole_at(stream, data, length);
		if (n)
			result = run_message(stream, data, n);
		else if (!stream->answered)
			n = keep_some(stream, data, length, !now);
		if (now && stream->in_end && !stream->answered)
			result = run_buffer(stream);
		if (!n || result == CALL_DONE)
			break;
		data += n;
		length -= n;
	}
	return result;
}

void client_stream_data(struct stream *stream, const uint8_t *data, size_t length)
{
	enum call_result result;

	if (stream->answered || stream->winding) {
		nghttp2_session_consume_stream(stream->conn->session, stream->id, length);
		return;
	}
	result = take(stream, data, length);
	if (result != CALL_STREAM)
		stream_settle(stream, result);
	else if (stream->answered)
		let_go(stream);
	else if (whole_waits(stream) && !stream->in_work && !stream->blocked)
		shard_queue(stream->conn->shard, stream);
	if (stream->in_work || whole_waits(stream))
		stream->unconsumed += length;
	else
		nghttp2_session_consume_stream(stream->conn->session, stream->id, length);
}

void client_stream_end(struct stream *stream)
{
	if (!stream->in_work)
		shard_queue(stream->conn->shard, stream);
}

/* The backlog is worked off: the client may send on. */
static void open_window(struct stream *stream)
{
	struct conn *conn = stream->conn;

	if (stream->in_work || whole_waits(stream) || !stream->unconsumed || stream->gone ||
	    !conn->session)
		return;
	nghttp2_session_consume_stream(conn->session, stream->id, stream->unconsumed);
	stream->unconsumed = 0;
	conn_dirty(conn);
}

/* All that the client has sent is done. */
static enum call_result run_end(struct stream *stream)
{
	if (stream->in_end == stream->in_at)
		return stream->route->method.run(&stream->call);
	stream_fail(stream, PT_INVALID, PT_GRPC_INTERNAL, "the stream ends inside a message");
	return CALL_STREAM;
}

enum call_result stream_run_messages(struct stream *stream)
{
	const struct method *method = &stream->route->method;
	enum call_result result = CALL_STREAM;

	if (stream->in_work)
		result = run_request(stream);
	if (result == CALL_STREAM && method->look)
		result = method->look(&stream->call);
	if (result == CALL_STREAM)
		result = run_buffer(stream);
	open_window(stream);
	if (result == CALL_STREAM && !stream->answered && stream->half_closed &&
	    !whole_waits(stream))
		result = run_end(stream);
	if (result == CALL_STREAM && stream->answered)
		let_go(stream);
	return result;
}

void client_stream_drop(struct stream *stream)
{
	if (stream->in)
		drop_buffer(stream);
}
