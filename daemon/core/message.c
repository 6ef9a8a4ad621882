/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages: deframed with limits checked before memory is taken, unpacked into a capped arena. */
#include "message.h"

#include "scan.h"
#include "wire_limits.h"

#include <string.h>

#define BODY_FIRST (16u << 10) /* a longer message gets memory as its bytes come */

struct inmsg {
	struct inmsg *next;
	uint8_t *body;
	uint32_t length;
	size_t reserved; /* what it counts for in the connection's budget */
	bool slab;
};

static bool streams_in(const struct stream *stream)
{
	return stream->route->method.client_streaming;
}

/* The prefix is complete. False: the stream has its answer. */
static bool begin_message(struct stream *stream)
{
	struct frame *frame = &stream->frame;
	struct conn *conn = stream->conn;
	size_t need = frame->length + sizeof(struct inmsg);

	if (frame->prefix[0]) {
		stream_fail(stream, PT_UNSUPPORTED, PT_GRPC_INTERNAL,
			    frame->prefix[0] == 1 ? "compressed message without an encoding"
						  : "unknown message flag");
		return false;
	}
	if (frame->length > LIMIT_RECEIVE_BYTES) {
		stream_fail(stream, PT_TOO_LARGE, PT_GRPC_RESOURCE_EXHAUSTED,
			    "message larger than max_receive_bytes");
		return false;
	}
	if (stream->has_message && !streams_in(stream)) {
		stream_fail(stream, PT_INVALID, PT_GRPC_UNIMPLEMENTED,
			    "more than one message for a unary method");
		return false;
	}
	if (conn->body_bytes + need > WIRE_BODY_BUDGET) {
		stream_fail(stream, PT_TOO_LARGE, PT_GRPC_RESOURCE_EXHAUSTED,
			    "too many bytes in unfinished calls on this connection");
		return false;
	}
	stream->reserved = need;
	conn->body_bytes += need;
	stream->room = 0;
	stream->body_slab = streams_in(stream) || frame->length > BODY_FIRST;
	return true;
}

/* More memory for the body: all of it for a short one, else twice what is full. */
static bool make_room(struct stream *stream)
{
	struct frame *frame = &stream->frame;
	size_t room = stream->room ? stream->room * 2 : BODY_FIRST;
	uint8_t *body;

	if (room > frame->length)
		room = frame->length;
	body = stream->body_slab ? slab_resize(&stream->conn->shard->slab, frame->body, room)
				 : arena_alloc(&stream->arena, room);
	if (!body) {
		stream_fail(stream, PT_NO_MEMORY, PT_GRPC_RESOURCE_EXHAUSTED, NULL);
		return false;
	}
	frame->body = body;
	stream->room = room;
	return true;
}

static bool queue_message(struct stream *stream)
{
	struct inmsg *message = slab_alloc(&stream->conn->shard->slab, sizeof(*message));

	if (!message) {
		stream_fail(stream, PT_NO_MEMORY, PT_GRPC_RESOURCE_EXHAUSTED, NULL);
		return false;
	}
	*message = (struct inmsg){NULL, stream->frame.body, stream->frame.length, stream->reserved,
				  true};
	stream->reserved = 0;
	if (stream->in_last)
		stream->in_last->next = message;
	else
		stream->in_first = message;
	stream->in_last = message;
	shard_queue(stream->conn->shard, stream);
	return true;
}

/* The memory is the connection's to answer for until the call, or a stream's message, is over: a
 * client that reads no answers would otherwise make us keep any number of requests. */
static bool end_message(struct stream *stream)
{
	if (streams_in(stream)) {
		if (!queue_message(stream))
			return false;
	} else {
		stream->body = stream->frame.body;
		stream->body_length = stream->frame.length;
	}
	stream->has_message = true;
	frame_next(&stream->frame);
	return true;
}

/* Bytes are consumed as they are buffered, under the connection's budget; while a client stream has
 * a backlog its own window stays closed. */
static void consume(struct stream *stream, size_t length)
{
	struct conn *conn = stream->conn;

	nghttp2_session_consume_connection(conn->session, length);
	if (stream->in_first)
		stream->unconsumed += length;
	else
		nghttp2_session_consume_stream(conn->session, stream->id, length);
}

void stream_data(struct stream *stream, const uint8_t *data, size_t length)
{
	consume(stream, length);
	stream->progress_ns = stream->conn->shard->now_ns;
	while (!stream->answered && !stream->winding) {
		bool going = true;

		switch (frame_feed(&stream->frame, stream->room, &data, &length)) {
		case FRAME_BEGIN: going = begin_message(stream); break;
		case FRAME_ROOM: going = make_room(stream); break;
		case FRAME_MESSAGE: going = end_message(stream); break;
		case FRAME_MORE: going = length != 0; break;
		}
		if (!going)
			return;
	}
}

void stream_end(struct stream *stream)
{
	stream->half_closed = true;
	if (stream->answered || stream->winding || !stream->route)
		return;
	if (!frame_idle(&stream->frame))
		stream_fail(stream, PT_INVALID, PT_GRPC_INTERNAL,
			    "the stream ends inside a message");
	else if (!stream->has_message && !streams_in(stream))
		stream_fail(stream, PT_INVALID, PT_GRPC_UNIMPLEMENTED,
			    "no message for a unary method");
	else
		shard_queue(stream->conn->shard, stream);
}

static bool scan_failed(struct stream *stream, enum scan_result result)
{
	switch (result) {
	case SCAN_OK: return false;
	case SCAN_MALFORMED:
		stream_fail(stream, PT_INVALID, PT_GRPC_INTERNAL, "malformed protobuf");
		break;
	case SCAN_NUL:
		stream_fail(stream, PT_INVALID, PT_GRPC_INVALID_ARGUMENT, "a string holds a NUL");
		break;
	case SCAN_TOO_MANY:
		stream_fail(stream, PT_TOO_LARGE, PT_GRPC_RESOURCE_EXHAUSTED,
			    "too many sub-messages or unknown fields");
		break;
	}
	return true;
}

static void fail_unpack(struct stream *stream)
{
	if (stream->arena.overflow)
		stream_fail(stream, PT_TOO_LARGE, PT_GRPC_RESOURCE_EXHAUSTED,
			    "the message needs too much memory");
	else
		stream_fail(stream, PT_INVALID, PT_GRPC_INTERNAL, "malformed protobuf");
}

/* Unpacks under the cap; afterwards the handler has room to work. */
static bool unpack(struct stream *stream, const uint8_t *body, size_t length)
{
	const struct method *method = &stream->route->method;
	struct arena *arena = &stream->arena;
	ProtobufCMessage *request = NULL;

	arena->overflow = false;
	arena->cap = arena->used + WIRE_ARENA_FACTOR * length + WIRE_ARENA_SLACK;
	if (method->unpack)
		request = method->unpack(&arena->allocator, length, body);
	if (!request && scan_failed(stream, wire_scan(method->request, body, length)))
		return false;
	if (!request)
		request =
			protobuf_c_message_unpack(method->request, &arena->allocator, length, body);
	arena->cap = arena->used + WIRE_ARENA_WORK;
	stream->call.request = request;
	stream->call.request_bytes = body;
	stream->call.request_length = length;
	if (!request)
		fail_unpack(stream);
	return request;
}

bool stream_unpack(struct stream *stream)
{
	if (streams_in(stream) || stream->call.request)
		return true;
	return unpack(stream, stream->body, stream->body_length);
}

static void free_message(struct stream *stream, struct inmsg *message)
{
	struct slab *slab = &stream->conn->shard->slab;

	stream->conn->body_bytes -= message->reserved;
	if (message->slab)
		slab_free(slab, message->body);
	slab_free(slab, message);
}

/* One message in an arena of its own, so that a long stream does not grow. */
static enum call_result run_message(struct stream *stream, struct inmsg *message)
{
	struct conn *conn = stream->conn;
	enum call_result result = CALL_STREAM;

	if (unpack(stream, message->body, message->length))
		result = stream->route->method.run(&stream->call);
	stream->call.request = NULL;
	arena_fini(&stream->arena);
	arena_init(&stream->arena, &conn->shard->slab, stream->first_arena, STREAM_FIRST_ARENA);
	return result;
}

/* The backlog is worked off: the client may send on. */
static void open_window(struct stream *stream)
{
	struct conn *conn = stream->conn;

	if (stream->in_first || !stream->unconsumed || stream->gone || !conn->session)
		return;
	nghttp2_session_consume_stream(conn->session, stream->id, stream->unconsumed);
	stream->unconsumed = 0;
	conn_dirty(conn);
}

enum call_result stream_run_messages(struct stream *stream)
{
	enum call_result result = CALL_STREAM;

	while (stream->in_first && result == CALL_STREAM && !stream->answered) {
		struct inmsg *message = stream->in_first;

		if (stream->out_bytes >= WIRE_STREAM_QUEUE) {
			stream->blocked = true;
			return CALL_STREAM;
		}
		stream->in_first = message->next;
		if (!stream->in_first)
			stream->in_last = NULL;
		result = run_message(stream, message);
		free_message(stream, message);
	}
	open_window(stream);
	if (stream->answered)
		return CALL_DONE;
	if (result == CALL_STREAM && stream->half_closed && !stream->in_first)
		result = stream->route->method.run(&stream->call);
	return result;
}

void stream_drop_input(struct stream *stream)
{
	while (stream->in_first) {
		struct inmsg *message = stream->in_first;

		stream->in_first = message->next;
		free_message(stream, message);
	}
	if (stream->body_slab) {
		slab_free(&stream->conn->shard->slab, stream->body);
		slab_free(&stream->conn->shard->slab, stream->frame.body);
	}
	stream->body = stream->frame.body = NULL;
	stream->conn->body_bytes -= stream->reserved;
	stream->reserved = 0;
}
