/* SPDX-License-Identifier: BSD-2-Clause */
/* MappingService.Session: messages of one item each in flight on one stream, answered in order. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING	  4096u
#define MESSAGE	  128u
#define FIRST_IPA (UINT64_C(1) << 30)
#define FIRST_PA  (UINT64_C(2) << 30)
#define PAGE	  4096u
#define PAGES	  1024u

struct session {
	int32_t id;
	bool opened;
	uint64_t next_seq, answered;
	int64_t window; /* of the stream */
	uint32_t most;	/* in flight */
	uint64_t sent_ns[RING];
	/* The message that comes in. */
	uint8_t prefix[BODY_PREFIX], first[16];
	uint32_t have, length;
};

static uint8_t *put_item(uint8_t *out, const char *kind, uint64_t seq)
{
	uint64_t page = seq / 2 % PAGES * PAGE;
	bool unmap = seq % 2;

	if (*kind == 't') { /* translate: Accesses { ipa, vcpu, access } */
		static const uint8_t rest[] = {2 << 3 | 2, 1, 0, 3 << 3 | 2, 1, 1};

		*out++ = 6 << 3 | 2;
		*out++ = 10 + sizeof(rest);
		*out++ = 1 << 3 | 2;
		*out++ = 8;
		out = put_fixed64(out, FIRST_IPA + page);
		memcpy(out, rest, sizeof(rest));
		return out + sizeof(rest);
	}
	*out++ = 3 << 3 | 2; /* apply { mode, ops } */
	*out++ = 4 + 30 + 6;
	*out++ = 2 << 3;
	*out++ = 2;
	*out++ = 3 << 3 | 2;
	*out++ = 30 + 6;
	for (uint8_t column = 1; column <= 3; column++) {
		*out++ = (uint8_t)(column << 3 | 2);
		*out++ = 8;
		out = put_fixed64(out, column == 1   ? FIRST_IPA + page
				       : column == 2 ? PAGE
				       : unmap	     ? 0
						     : FIRST_PA + page);
	}
	*out++ = 4 << 3 | 2;
	*out++ = 1;
	*out++ = unmap ? 2 : 1;
	*out++ = 5 << 3 | 2;
	*out++ = 1;
	*out++ = 3;
	return out;
}

static size_t make_message(uint8_t *out, const char *kind, uint64_t seq)
{
	uint8_t *at = out + BODY_PREFIX;

	*at++ = 1 << 3;
	at = put_varint(at, seq);
	at = put_item(at, kind, seq);
	put_prefix(out, (uint32_t)(at - out - BODY_PREFIX));
	return (size_t)(at - out);
}

static void send_open(struct conn *conn, struct session *session)
{
	uint8_t open[64], *at = open + BODY_PREFIX;
	unsigned long long context = 0;
	uint64_t id[2];

	sscanf(strchr(conn->load->options.session, ':') + 1, "%llx", &context);
	*at++ = 2 << 3 | 2;
	*at++ = 9 + 18;
	*at++ = 1 << 3 | 1;
	at = put_fixed64(at, context);
	*at++ = 2 << 3 | 2;
	*at++ = 16;
	id[0] = draw(conn->load);
	id[1] = draw(conn->load);
	memcpy(at, id, 16);
	at += 16;
	put_prefix(open, (uint32_t)(at - open - BODY_PREFIX));
	memcpy(wire_frame(&conn->wire, NGHTTP2_DATA, 0, session->id, (uint32_t)(at - open)), open,
	       (size_t)(at - open));
	session->window -= at - open;
	conn->wire.window -= at - open;
}

/* As many messages as may be under way, in DATA frames as full as can be. */
static void send_messages(struct conn *conn)
{
	struct session *session = conn->state;
	struct load *load = conn->load;
	uint8_t frame[FRAME_LARGEST];
	uint64_t most = session->answered + session->most;
	size_t length = 0;

	while (session->opened && !load->stopping) {
		bool more = session->next_seq <= most &&
			    session->window >= MESSAGE + FRAME_LARGEST &&
			    conn->wire.window >= MESSAGE + FRAME_LARGEST;

		if (length && (!more || length + MESSAGE > FRAME_LARGEST)) {
			memcpy(wire_frame(&conn->wire, NGHTTP2_DATA, 0, session->id,
					  (uint32_t)length),
			       frame, length);
			session->window -= (int64_t)length;
			conn->wire.window -= (int64_t)length;
			length = 0;
		}
		if (!more)
			break;
		session->sent_ns[session->next_seq % RING] = load->now_ns;
		length += make_message(frame + length, load->options.session, session->next_seq++);
		load->counts.sent++;
	}
	conn_dirty(conn);
}

static void begin(struct conn *conn)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		abort();
	conn->state = session;
	session->most = conn->load->options.streams;
	session->next_seq = 1;
	wire_hello(&conn->wire, WIRE_WINDOW);
	session->window = conn->wire.initial;
	session->id = wire_request(&conn->wire, false);
	send_open(conn, session);
	conn_dirty(conn);
}

/* `first` holds the beginning of a SessionResponse { seq, what }. */
static void take_answer(struct conn *conn, struct session *session)
{
	struct answer answer = {.grpc = 0};
	const uint8_t *at = session->first, *end = at + sizeof(session->first);

	if (*at == 1 << 3) /* seq; absent in the answer to the opening */
		for (at++; at < end && *at & 128; at++)
			;
	else
		at--;
	at++;
	if (at < end && *at == (2 << 3 | 2)) {
		session->opened = true;
		return;
	}
	if (at < end && *at == (5 << 3 | 2))
		answer.grpc = 2;
	session->answered++;
	load_count(conn->load, &answer, session->sent_ns[session->answered % RING]);
}

static void on_data(struct wire *wire, int32_t id, const uint8_t *data, size_t length, bool end)
{
	struct conn *conn = wire->user;
	struct session *session = conn->state;

	(void)id, (void)end;
	conn->load->counts.bytes += length;
	while (length) {
		uint32_t at = session->have++;

		if (at < BODY_PREFIX) {
			session->prefix[at] = *data++;
			length--;
			if (at + 1 < BODY_PREFIX)
				continue;
			session->length = (uint32_t)session->prefix[1] << 24 |
					  (uint32_t)session->prefix[2] << 16 |
					  (uint32_t)session->prefix[3] << 8 | session->prefix[4];
		} else {
			size_t rest = session->length + BODY_PREFIX - at;
			size_t part = rest < length ? rest : length;

			for (size_t i = 0;
			     i < part && at - BODY_PREFIX + i < sizeof(session->first); i++)
				session->first[at - BODY_PREFIX + i] = data[i];
			session->have = at + (uint32_t)part;
			data += part;
			length -= part;
		}
		if (session->have == session->length + BODY_PREFIX) {
			take_answer(conn, session);
			session->have = 0;
		}
	}
}

static void on_headers(struct wire *wire, int32_t id, const struct answer *answer, bool end)
{
	(void)id;
	if (!end)
		return;
	fprintf(stderr, "load: the session ended with status %d\n", answer->grpc);
	wire->over = true;
}

static void on_reset(struct wire *wire, int32_t id, uint32_t code)
{
	(void)id;
	fprintf(stderr, "load: the session was reset: %u\n", code);
	wire->over = true;
}

static void on_window(struct wire *wire, int32_t id, int64_t more)
{
	struct conn *conn = wire->user;
	struct session *session = conn->state;

	(void)id;
	session->window += more;
}

static void turn(struct conn *conn)
{
	send_messages(conn);
}

static void end(struct conn *conn)
{
	struct session *session = conn->state;

	if (session)
		conn->load->counts.failed += conn->load->stopping ? 0 : 1;
	free(session);
	conn->state = NULL;
}

const struct client session_client = {
	.name = "session",
	.begin = begin,
	.events = {on_headers, on_data, on_reset, on_window},
	.turn = turn,
	.end = end,
};
