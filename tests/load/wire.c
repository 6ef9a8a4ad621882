/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's end of one HTTP/2 connection: frames out, frames in. */
#include "wire.h"

#include "wire_socket.h"

#include <stdlib.h>
#include <string.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define CREDIT	(256u << 20) /* bytes received before the connection's window is topped up */

static void put32(uint8_t *out, uint32_t value)
{
	out[0] = (uint8_t)(value >> 24);
	out[1] = (uint8_t)(value >> 16);
	out[2] = (uint8_t)(value >> 8);
	out[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *in)
{
	return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static uint8_t *reserve(struct wire *wire, size_t length)
{
	uint8_t *at;

	if (wire->out_length + length > wire->out_room) {
		wire->out_room = 2 * (wire->out_length + length);
		wire->out = realloc(wire->out, wire->out_room);
		if (!wire->out)
			abort();
	}
	at = wire->out + wire->out_length;
	wire->out_length += length;
	return at;
}

void wire_raw(struct wire *wire, const void *bytes, size_t length)
{
	memcpy(reserve(wire, length), bytes, length);
}

uint8_t *wire_frame(struct wire *wire, uint8_t type, uint8_t flags, int32_t id, uint32_t length)
{
	uint8_t *head = reserve(wire, FRAME_HEAD + length);

	put32(head, length << 8 | type);
	head[4] = flags;
	put32(head + 5, (uint32_t)id);
	return head + FRAME_HEAD;
}

void wire_hello(struct wire *wire, uint32_t window)
{
	uint8_t *at;

	wire_raw(wire, PREFACE, sizeof(PREFACE) - 1);
	at = wire_frame(wire, NGHTTP2_SETTINGS, 0, 0, 6);
	at[0] = 0;
	at[1] = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE;
	put32(at + 2, window);
	put32(wire_frame(wire, NGHTTP2_WINDOW_UPDATE, 0, 0, 4), WIRE_WINDOW - 65535);
}

/* Literal with indexing; `name` 0: the name follows. */
static uint8_t *put_field(uint8_t *out, uint8_t index, const char *name, const char *value)
{
	size_t n = strlen(value);

	*out++ = 0x40 | index;
	if (!index) {
		*out++ = (uint8_t)strlen(name);
		memcpy(out, name, strlen(name));
		out += strlen(name);
	}
	*out++ = (uint8_t)n;
	memcpy(out, value, n);
	return out + n;
}

/* POST and the scheme are in the static table; the rest goes into the dynamic one, the last on
 * top, and every later request is six bytes. */
int32_t wire_request(struct wire *wire, bool end)
{
	static const uint8_t known[] = {0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe};
	uint8_t space[1024], *at = space;
	uint8_t flags = NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0);
	int32_t id = wire->next_id;

	wire->next_id += 2;
	if (wire->first_sent) {
		memcpy(wire_frame(wire, NGHTTP2_HEADERS, flags, id, sizeof(known)), known,
		       sizeof(known));
		return id;
	}
	wire->first_sent = true;
	*at++ = 0x83;
	*at++ = 0x86;
	at = put_field(at, 4, NULL, wire->path);
	at = put_field(at, 1, NULL, wire->authority);
	at = put_field(at, 0, "te", "trailers");
	at = put_field(at, 31, NULL, "application/grpc");
	memcpy(wire_frame(wire, NGHTTP2_HEADERS, flags, id, (uint32_t)(at - space)), space,
	       (size_t)(at - space));
	return id;
}

int32_t wire_request_to(struct wire *wire, const char *path)
{
	uint8_t space[512], *at = space;
	size_t n = strlen(path);
	int32_t id = wire->next_id;

	wire->next_id += 2;
	*at++ = 0x83;
	*at++ = 0x86;
	*at++ = 0x04;
	*at++ = (uint8_t)n;
	memcpy(at, path, n);
	at += n;
	*at++ = 0xc0;
	*at++ = 0xbf;
	*at++ = 0xbe;
	memcpy(wire_frame(wire, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id,
			  (uint32_t)(at - space)),
	       space, (size_t)(at - space));
	return id;
}

static uint32_t number(const nghttp2_nv *field)
{
	uint32_t value = 0;

	for (size_t i = 0; i < field->valuelen && (uint8_t)(field->value[i] - '0') < 10; i++)
		value = value * 10 + (field->value[i] - '0');
	return value;
}

static bool is(const nghttp2_nv *field, const char *name)
{
	return field->namelen == strlen(name) && !memcmp(field->name, name, field->namelen);
}

static bool inflate(struct wire *wire, const uint8_t *block, size_t length, struct answer *answer)
{
	for (;;) {
		int flags = 0;
		nghttp2_nv field;
		ssize_t n =
			nghttp2_hd_inflate_hd2(wire->inflater, &field, &flags, block, length, 1);

		if (n < 0)
			return false;
		block += n;
		length -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			if (is(&field, ":status"))
				answer->http = (int)number(&field);
			else if (is(&field, "grpc-status"))
				answer->grpc = (int)number(&field);
			else if (is(&field, "grpc-retry-pushback-ms"))
				answer->pushback_ms = number(&field);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			nghttp2_hd_inflate_end_headers(wire->inflater);
			return true;
		}
	}
}

static bool only_indexes(const uint8_t *block, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (block[i] < 0x80 || block[i] == 0xff)
			return false;
	return length && length <= sizeof(((struct known_answer *)NULL)->bytes);
}

static bool read_answer(struct wire *wire, const uint8_t *block, size_t length,
			struct answer *answer)
{
	bool indexes = only_indexes(block, length);
	struct known_answer *known;

	for (uint32_t i = 0; indexes && i < wire->known_count; i++) {
		known = &wire->known[i];
		if (known->length == length && !memcmp(known->bytes, block, length)) {
			*answer = known->answer;
			return true;
		}
	}
	*answer = (struct answer){.grpc = -1};
	if (!inflate(wire, block, length, answer))
		return false;
	if (!indexes)
		wire->known_count = 0;
	if (indexes && wire->known_count < WIRE_ANSWERS) {
		known = &wire->known[wire->known_count++];
		memcpy(known->bytes, block, length);
		known->length = (uint32_t)length;
		known->answer = *answer;
	}
	return true;
}

static void take_settings(struct wire *wire, const struct wire_events *events, uint8_t flags,
			  const uint8_t *body, size_t length)
{
	int64_t more = 0;

	if (flags & NGHTTP2_FLAG_ACK)
		return;
	for (; length >= 6; body += 6, length -= 6) {
		uint32_t value = get32(body + 2);

		if (body[1] == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) {
			more = (int64_t)value - wire->initial;
			wire->initial = (int32_t)value;
		} else if (body[1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) {
			wire->streams = value;
		}
	}
	wire_frame(wire, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, 0);
	if (events->window)
		events->window(wire, 0, more);
}

static void take_window(struct wire *wire, const struct wire_events *events, int32_t id,
			uint32_t more)
{
	if (!id)
		wire->window += more;
	if (events->window)
		events->window(wire, id, id ? more : 0);
}

static void take_data(struct wire *wire, const struct wire_events *events, int32_t id,
		      const uint8_t *body, size_t length, bool end)
{
	wire->received += length;
	if (events->data)
		events->data(wire, id, body, length, end);
	if (wire->received - wire->credited < CREDIT)
		return;
	put32(wire_frame(wire, NGHTTP2_WINDOW_UPDATE, 0, 0, 4),
	      (uint32_t)(wire->received - wire->credited));
	wire->credited = wire->received;
}

/* One whole frame. False: the peer makes no sense. */
static bool take_frame(struct wire *wire, const struct wire_events *events, const uint8_t *head,
		       size_t length)
{
	const uint8_t *body = head + FRAME_HEAD;
	int32_t id = (int32_t)(get32(head + 5) & 0x7fffffff);
	bool end = head[4] & NGHTTP2_FLAG_END_STREAM;
	struct answer answer;

	switch (head[3]) {
	case NGHTTP2_DATA: take_data(wire, events, id, body, length, end); break;
	case NGHTTP2_HEADERS:
		if (!(head[4] & NGHTTP2_FLAG_END_HEADERS) ||
		    !read_answer(wire, body, length, &answer))
			return false;
		if (events->headers)
			events->headers(wire, id, &answer, end);
		break;
	case NGHTTP2_RST_STREAM:
		if (events->reset && length == 4)
			events->reset(wire, id, get32(body));
		break;
	case NGHTTP2_SETTINGS: take_settings(wire, events, head[4], body, length); break;
	case NGHTTP2_PING:
		if (!(head[4] & NGHTTP2_FLAG_ACK) && length == 8)
			memcpy(wire_frame(wire, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, 8), body, 8);
		break;
	case NGHTTP2_GOAWAY:
		wire->goaway = true;
		wire->error_code = length >= 8 ? get32(body + 4) : 0;
		break;
	case NGHTTP2_WINDOW_UPDATE: take_window(wire, events, id, get32(body)); break;
	default: break;
	}
	return true;
}

static bool take_frames(struct wire *wire, const struct wire_events *events)
{
	size_t at = 0;

	while (wire->in_length - at >= FRAME_HEAD) {
		const uint8_t *head = wire->in + at;
		size_t length = get32(head) >> 8;

		if (length > WIRE_IN_BYTES - FRAME_HEAD)
			return false;
		if (wire->in_length - at < FRAME_HEAD + length)
			break;
		if (!take_frame(wire, events, head, length))
			return false;
		at += FRAME_HEAD + length;
	}
	wire->in_length -= at;
	if (at && wire->in_length)
		memmove(wire->in, wire->in + at, wire->in_length);
	return true;
}

bool wire_take(struct wire *wire, const struct wire_events *events)
{
	while (!wire->over) {
		ssize_t n = socket_read(wire, wire->in + wire->in_length,
					WIRE_IN_BYTES - wire->in_length);

		if (n <= 0)
			break;
		wire->in_length += (size_t)n;
		if (!take_frames(wire, events))
			wire->over = true;
		if (!wire->ssl)
			break;
	}
	return !wire->over;
}

bool wire_flush(struct wire *wire)
{
	while (!wire->over && wire->out_sent < wire->out_length) {
		ssize_t n = socket_write(wire, wire->out + wire->out_sent,
					 wire->out_length - wire->out_sent);

		if (n <= 0)
			break;
		wire->out_sent += (size_t)n;
	}
	if (wire->out_sent == wire->out_length)
		wire->out_sent = wire->out_length = 0;
	return !wire->over;
}
