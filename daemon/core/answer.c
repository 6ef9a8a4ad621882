/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers: response headers with the first message, DATA, and trailers from inside the data
 * callback, so that a blocked window can never let the trailers overtake the body. */
#include "message.h"
#include "status.h"
#include "wire_limits.h"

#include <string.h>

#define OUTPUT_PIECE (16u << 10)
#define SLAB_HEAD    16u /* what the slab adds: then a piece fills its class */

static const nghttp2_nv response_fields[] = {
	STATIC_NV(":status", "200"),
	STATIC_NV("content-type", "application/grpc"),
};
static const nghttp2_nv trailers_ok[] = {STATIC_NV("grpc-status", "0")};
static const nghttp2_nv accept_encoding = STATIC_NV("grpc-accept-encoding", "identity");

/* One field of the request's metadata goes back. */
static nghttp2_nv echo(const struct metadata *metadata)
{
	uint8_t *text = (uint8_t *)(uintptr_t)metadata->text;

	return (nghttp2_nv){text, text + metadata->name_length, metadata->name_length,
			    metadata->value_length, NGHTTP2_NV_FLAG_NONE};
}

/* The status and what goes with it; at most STATUS_FIELDS + 1 fields. */
static size_t trailers(const struct stream *stream, struct status_wire *wire, nghttp2_nv *field)
{
	size_t n;

	status_encode(wire, &stream->call.status);
	n = wire->fields;
	memcpy(field, wire->field, n * sizeof(*field));
	if (stream->call.trailing)
		field[n++] = echo(stream->call.trailing);
	return n;
}

/* From inside the data callback, with its EOF. */
static int submit_trailers(struct stream *stream)
{
	nghttp2_session *session = stream->conn->session;
	nghttp2_nv field[STATUS_FIELDS + 1];
	struct status_wire wire;

	stream->trailers = true;
	if (stream->call.status.code == PT_OK && !stream->call.status.grpc &&
	    !stream->call.trailing)
		return nghttp2_submit_trailer(session, stream->id, trailers_ok, 1);
	return nghttp2_submit_trailer(session, stream->id, field, trailers(stream, &wire, field));
}

static void free_message(struct stream *stream, struct outmsg *message)
{
	if (!message->in_arena)
		slab_free(&stream->conn->shard->slab, message);
}

/* Copies what is waiting; takes whole messages off the queue. */
static size_t take_output(struct stream *stream, uint8_t *out, size_t room)
{
	size_t n = 0;

	while (stream->out_first && n < room) {
		struct outmsg *message = stream->out_first;
		size_t part = message->length - message->sent;

		if (part > room - n)
			part = room - n;
		memcpy(out + n, (uint8_t *)(message + 1) + message->sent, part);
		message->sent += (uint32_t)part;
		n += part;
		if (message->sent < message->length)
			break;
		stream->out_first = message->next;
		if (!message->next)
			stream->out_last = NULL;
		free_message(stream, message);
	}
	stream->out_bytes -= n;
	stream->conn->queued -= n;
	return n;
}

/* A peer whose windows are all small, by its own SETTINGS, gets frames of that size; or of half of
 * it, since many open a window again when half of it is used, and wait for that. */
static bool is_worth_it(nghttp2_session *session, size_t room)
{
	uint32_t window =
		nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);

	return window && window <= 2 * room;
}

/* What is left of a window behind a frame of good size may be small: a peer that opens a window
 * again only when all of it is used waits for that. */
static bool take_credit(struct conn *conn)
{
	if (!conn->small_frames)
		return false;
	conn->small_frames--;
	return true;
}

/* Else a peer that opens its window byte by byte would have a frame made for each. */
static ssize_t hold(struct stream *stream)
{
	if (!stream->held)
		stream->conn->held++;
	stream->held = true;
	return NGHTTP2_ERR_DEFERRED;
}

static void let_go(struct stream *stream)
{
	if (!stream->held || stream->gone)
		return;
	stream->held = false;
	stream->conn->held--;
	nghttp2_session_resume_data(stream->conn->session, stream->id);
}

void conn_window_grew(struct conn *conn, int32_t id)
{
	struct stream *stream;

	if (!conn->held)
		return;
	if (id) {
		stream = nghttp2_session_get_stream_user_data(conn->session, id);
		if (stream)
			let_go(stream);
		return;
	}
	for (stream = conn->streams; stream; stream = stream->next)
		let_go(stream);
}

static ssize_t read_output(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
			   uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *stream = source->ptr;
	size_t n;

	(void)id, (void)user;
	if (room < WIRE_LEAST_DATA && stream->out_bytes > room && !is_worth_it(session, room) &&
	    !take_credit(stream->conn))
		return hold(stream);
	n = take_output(stream, out, room);
	stream->conn->cut = stream->out_first && n < WIRE_LEAST_DATA;
	if (n)
		stream->progress_ns = stream->conn->shard->now_ns;
	if (stream->blocked && stream->out_bytes < WIRE_STREAM_QUEUE / 2) {
		stream->blocked = false;
		shard_queue(stream->conn->shard, stream);
	}
	if (stream->out_first)
		return (ssize_t)n;
	if (stream->plain) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		return (ssize_t)n;
	}
	if (stream->answered) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		return submit_trailers(stream) ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : (ssize_t)n;
	}
	if (n)
		return (ssize_t)n;
	stream->deferred = true;
	return NGHTTP2_ERR_DEFERRED;
}

static void submit_headers(struct stream *stream)
{
	nghttp2_data_provider provider = {{.ptr = stream}, read_output};
	nghttp2_nv field[3] = {response_fields[0], response_fields[1]};
	size_t n = 2;

	if (stream->call.initial)
		field[n++] = echo(stream->call.initial);
	stream->responded = true;
	nghttp2_submit_response(stream->conn->session, stream->id, field, n, &provider);
}

/* RFC 9218's default is one answer after the other; a large one takes turns with the others. */
static void take_turns(struct stream *stream)
{
	const nghttp2_extpri turns = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

	stream->bulk = true;
	nghttp2_session_change_extpri_stream_priority(stream->conn->session, stream->id, &turns, 1);
}

/* Something was queued, or the status was decided. */
static void push(struct stream *stream)
{
	struct conn *conn = stream->conn;

	if (stream->gone || !conn->session)
		return;
	if (stream->out_bytes >= WIRE_BULK && !stream->bulk)
		take_turns(stream);
	if (!stream->responded) {
		submit_headers(stream);
	} else if (stream->deferred) {
		stream->deferred = false;
		nghttp2_session_resume_data(conn->session, stream->id);
	}
	conn_dirty(conn);
}

/* One HEADERS frame with END_STREAM: nothing was sent before. */
static void trailers_only(struct stream *stream)
{
	nghttp2_nv field[2 + STATUS_FIELDS + 2];
	struct status_wire wire;
	size_t n = 2;

	memcpy(field, response_fields, sizeof(response_fields));
	n += trailers(stream, &wire, field + n);
	if (stream->bad_encoding)
		field[n++] = accept_encoding;
	stream->responded = stream->trailers = true;
	nghttp2_submit_response(stream->conn->session, stream->id, field, n, NULL);
	conn_dirty(stream->conn);
}

static void append(struct stream *stream, struct outmsg *message)
{
	if (stream->out_last)
		stream->out_last->next = message;
	else
		stream->out_first = message;
	stream->out_last = message;
	stream->out_bytes += message->length;
	stream->conn->queued += message->length;
}

static void put_prefix(uint8_t *at, size_t size)
{
	at[0] = 0;
	at[1] = (uint8_t)(size >> 24);
	at[2] = (uint8_t)(size >> 16);
	at[3] = (uint8_t)(size >> 8);
	at[4] = (uint8_t)size;
}

static struct outmsg *pack(struct stream *stream, const ProtobufCMessage *message, bool in_arena)
{
	const struct method *method = &stream->route->method;
	size_t hot = method->pack ? method->pack(message, NULL) : 0;
	size_t size = hot ? hot : protobuf_c_message_get_packed_size(message);
	size_t whole = sizeof(struct outmsg) + FRAME_PREFIX + size;
	struct outmsg *out;
	uint8_t *at;

	if (size > LIMIT_SEND_BYTES)
		return NULL;
	if (in_arena)
		stream->arena.cap = SIZE_MAX; /* the size was checked above */
	out = in_arena ? arena_alloc(&stream->arena, whole)
		       : slab_alloc(&stream->conn->shard->slab, whole);
	if (!out)
		return NULL;
	at = (uint8_t *)(out + 1);
	size = hot ? method->pack(message, at + FRAME_PREFIX)
		   : protobuf_c_message_pack(message, at + FRAME_PREFIX);
	*out = (struct outmsg){.length = (uint32_t)(FRAME_PREFIX + size), .in_arena = in_arena};
	put_prefix(at, size);
	return out;
}

bool stream_queue_message(struct stream *stream, const ProtobufCMessage *message)
{
	struct outmsg *out = pack(stream, message, false);

	if (out) {
		append(stream, out);
		push(stream);
		return true;
	}
	if (protobuf_c_message_get_packed_size(message) > LIMIT_SEND_BYTES)
		return false;
	/* No room in a queue will ever wake the handler for this one. */
	stream_fail(stream, PT_NO_MEMORY, PT_GRPC_RESOURCE_EXHAUSTED, NULL);
	stream_wind_up(stream);
	return true;
}

/* Room for `bytes` behind the last message: one that is alone gets what it needs, and those that
 * come behind it share pieces. */
static struct outmsg *room_for(struct stream *stream, size_t bytes)
{
	struct outmsg *last = stream->out_last;
	size_t room = stream->out_first ? OUTPUT_PIECE - sizeof(*last) - SLAB_HEAD : bytes;

	if (last && last->room >= last->length + bytes)
		return last;
	if (room < bytes)
		room = bytes;
	last = slab_alloc(&stream->conn->shard->slab, sizeof(*last) + room);
	if (!last)
		return NULL;
	*last = (struct outmsg){.room = (uint32_t)room};
	append(stream, last);
	return last;
}

bool stream_queue_packed(struct stream *stream, const uint8_t *message, size_t length)
{
	size_t whole = FRAME_PREFIX + length;
	struct outmsg *out = room_for(stream, whole);
	uint8_t *at;

	if (!out)
		return false;
	at = (uint8_t *)(out + 1) + out->length;
	put_prefix(at, length);
	memcpy(at + FRAME_PREFIX, message, length);
	out->length += (uint32_t)whole;
	stream->out_bytes += whole;
	stream->conn->queued += whole;
	push(stream);
	return true;
}

void stream_drop_output(struct stream *stream)
{
	while (stream->out_first) {
		struct outmsg *message = stream->out_first;

		stream->out_first = message->next;
		free_message(stream, message);
	}
	stream->out_last = NULL;
	stream->conn->queued -= stream->out_bytes;
	stream->out_bytes = 0;
}

/* The response of a unary call, packed; failing that, the call fails. False: it was done, and there
 * is no memory to say so; the client must not take it for refused. */
static bool add_response(struct stream *stream)
{
	const ProtobufCMessage *response = stream->call.response;
	struct outmsg *out;

	if (stream->call.status.code != PT_OK || stream->route->method.server_streaming)
		return true;
	out = response ? pack(stream, response, true) : NULL;
	if (out)
		append(stream, out);
	else if (!response)
		call_fail(&stream->call, PT_INTERNAL, "the handler gave no response");
	else if (protobuf_c_message_get_packed_size(response) <= LIMIT_SEND_BYTES)
		return false;
	else
		call_fail(&stream->call, PT_TOO_LARGE, "the answer is larger than max_send_bytes");
	return true;
}

void stream_send_answer(struct stream *stream)
{
	struct loop_counters *counters = stream->conn->shard->counters;

	if (stream->gone) {
		stream_release(stream);
		return;
	}
	if (!stream->responded && !add_response(stream)) {
		stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	count(stream->call.status.code == PT_OK && !stream->call.status.grpc
		      ? &counters->calls_ok
		      : &counters->calls_failed,
	      1);
	if (stream->responded || stream->out_first ||
	    (stream->call.status.code == PT_OK && !stream->call.status.grpc))
		push(stream);
	else
		trailers_only(stream);
}

void stream_answer_http(struct stream *stream, const char *code, const char *text)
{
	static const nghttp2_nv plain = STATIC_NV("content-type", "text/plain");
	static const nghttp2_nv allow = STATIC_NV("allow", "POST");
	struct conn *conn = stream->conn;
	nghttp2_data_provider provider = {{.ptr = stream}, read_output};
	nghttp2_nv field[] = {STATIC_NV(":status", ""), allow};
	size_t length = text ? strlen(text) : 0;
	struct outmsg *out = text ? arena_alloc(&stream->arena, sizeof(*out) + length) : NULL;

	stream->answered = stream->responded = stream->trailers = stream->plain = true;
	count(&conn->shard->counters->calls_failed, 1);
	field[0].value = (uint8_t *)(uintptr_t)code;
	field[0].valuelen = strlen(code);
	if (out) {
		field[1] = plain;
		*out = (struct outmsg){.length = (uint32_t)length, .in_arena = true};
		memcpy(out + 1, text, length);
		append(stream, out);
	}
	nghttp2_submit_response(conn->session, stream->id, field, 2, out ? &provider : NULL);
	conn_dirty(conn);
}
