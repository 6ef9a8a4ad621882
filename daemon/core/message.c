/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages: deframed with limits checked before memory is taken, unpacked into a capped arena. */
#include "message.h"

#include "scan.h"
#include "wire_limits.h"

#include <string.h>

#define BODY_FIRST (16u << 10) /* a longer message gets memory as its bytes come */

static bool streams_in(const struct stream *stream)
{
	return stream->route->method.client_streaming;
}

bool message_over_budget(struct stream *stream)
{
	stream_refuse(stream, stream->conn->own_limit
				      ? "max_connection_request_bytes: of calls not over"
				      : "max_principal_request_bytes: of calls not over");
	return false;
}

/* False: the stream has its answer. */
bool message_prefix_ok(struct stream *stream, uint8_t flag, uint32_t length)
{
	if (flag) {
		stream_fail(stream, PT_UNSUPPORTED, PT_GRPC_INTERNAL,
			    flag == 1 ? "compressed message without an encoding"
				      : "unknown message flag");
		return false;
	}
	if (length > LIMIT_RECEIVE_BYTES) {
		stream_fail(stream, PT_TOO_LARGE, PT_GRPC_RESOURCE_EXHAUSTED,
			    "message larger than max_receive_bytes");
		return false;
	}
	return true;
}

/* The prefix is complete. False: the stream has its answer. */
static bool begin_message(struct stream *stream)
{
	struct frame *frame = &stream->frame;
	struct conn *conn = stream->conn;

	if (!message_prefix_ok(stream, frame->prefix[0], frame->length))
		return false;
	if (stream->has_message) {
		stream_fail(stream, PT_INVALID, PT_GRPC_UNIMPLEMENTED,
			    "more than one message for a unary method");
		return false;
	}
	if (!conn_request_room(conn, frame->length))
		return message_over_budget(stream);
	stream->reserved = frame->length;
	conn->body_bytes += frame->length;
	stream->room = 0;
	stream->body_slab = frame->length > BODY_FIRST;
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

/* The memory is the connection's to answer for until the call is over. */
static void end_message(struct stream *stream)
{
	stream->body = stream->frame.body;
	stream->body_length = stream->frame.length;
	stream->has_message = true;
	frame_next(&stream->frame);
}

/* Bytes are consumed as they are buffered, under the connection's budget. */
static void unary_data(struct stream *stream, const uint8_t *data, size_t length)
{
	nghttp2_session_consume_stream(stream->conn->session, stream->id, length);
	while (!stream->answered && !stream->winding) {
		bool going = true;

		switch (frame_feed(&stream->frame, stream->room, &data, &length)) {
		case FRAME_BEGIN: going = begin_message(stream); break;
		case FRAME_ROOM: going = make_room(stream); break;
		case FRAME_MESSAGE: end_message(stream); break;
		case FRAME_MORE: going = length != 0; break;
		}
		if (!going)
			return;
	}
}

void stream_data(struct stream *stream, const uint8_t *data, size_t length)
{
	stream->progress_ns = stream->conn->shard->now_ns;
	nghttp2_session_consume_connection(stream->conn->session, length);
	if (stream->route && streams_in(stream))
		client_stream_data(stream, data, length);
	else
		unary_data(stream, data, length);
}

void stream_end(struct stream *stream)
{
	stream->half_closed = true;
	if (stream->answered || stream->winding || !stream->route)
		return;
	if (streams_in(stream))
		client_stream_end(stream);
	else if (!frame_idle(&stream->frame))
		stream_fail(stream, PT_INVALID, PT_GRPC_INTERNAL,
			    "the stream ends inside a message");
	else if (!stream->has_message)
		stream_fail(stream, PT_INVALID, PT_GRPC_UNIMPLEMENTED,
			    "no message for a unary method");
	else if (stream_admits(stream)) {
		admission_enter(stream);
		shard_queue(stream->conn->shard, stream);
	}
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
bool message_unpack(struct stream *stream, const uint8_t *body, size_t length)
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
	return message_unpack(stream, stream->body, stream->body_length);
}

void stream_drop_input(struct stream *stream)
{
	if (stream->body_slab) {
		slab_free(&stream->conn->shard->slab, stream->body);
		slab_free(&stream->conn->shard->slab, stream->frame.body);
	}
	stream->body = stream->frame.body = NULL;
	stream->conn->body_bytes -= stream->reserved;
	stream->reserved = 0;
	client_stream_drop(stream);
}
