/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients that misbehave. Each connects again as soon as it is thrown out, and goes on as fast as
 * the daemon takes it, once a millisecond at least.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLENTY (128u << 10) /* bytes kept waiting in a flood */

static bool has_plenty(const struct wire *wire)
{
	return wire->out_length - wire->out_sent >= PLENTY;
}

static void hello(struct conn *conn)
{
	wire_hello(&conn->wire, WIRE_WINDOW);
	conn_dirty(conn);
}

static void nothing(struct conn *conn)
{
	(void)conn;
}

/* Sends the body of a request, in one frame. */
static void ask(struct conn *conn)
{
	const struct body *body = &conn->load->body;
	int32_t id = wire_request(&conn->wire, false);
	uint32_t length = (uint32_t)(body->length < FRAME_LARGEST ? body->length : FRAME_LARGEST);

	memcpy(wire_frame(&conn->wire, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, length),
	       body->data, length);
	conn->load->counts.sent++;
}

/* Frames that cost the sender nothing. */
static void flood_pings(struct conn *conn)
{
	while (!has_plenty(&conn->wire)) {
		memset(wire_frame(&conn->wire, NGHTTP2_PING, 0, 0, 8), 7, 8);
		conn->load->counts.sent++;
	}
}

static void flood_settings(struct conn *conn)
{
	while (!has_plenty(&conn->wire)) {
		wire_frame(&conn->wire, NGHTTP2_SETTINGS, 0, 0, 0);
		conn->load->counts.sent++;
	}
}

static void flood_unknown(struct conn *conn)
{
	while (!has_plenty(&conn->wire)) {
		memset(wire_frame(&conn->wire, 0xbe, 0, 0, 4), 1, 4);
		conn->load->counts.sent++;
	}
}

static void open_stream(struct conn *conn)
{
	hello(conn);
	wire_request(&conn->wire, false);
}

static void flood_data(struct conn *conn)
{
	while (!has_plenty(&conn->wire)) {
		wire_frame(&conn->wire, NGHTTP2_DATA, 0, 1, 0);
		conn->load->counts.sent++;
	}
}

/* Rapid reset: a whole request, and at once its end. */
static void flood_resets(struct conn *conn)
{
	while (!has_plenty(&conn->wire)) {
		int32_t id = conn->wire.next_id;

		ask(conn);
		memset(wire_frame(&conn->wire, NGHTTP2_RST_STREAM, 0, id, 4), 0, 3);
		conn->wire.out[conn->wire.out_length - 1] = NGHTTP2_CANCEL;
	}
}

/* Header blocks and bodies that come byte by byte, on all streams in turn. */
struct trickle {
	int32_t id[512];
	uint32_t streams, at;
	size_t sent;
};

static void begin_trickle(struct conn *conn)
{
	struct trickle *trickle = calloc(1, sizeof(*trickle));

	if (!trickle)
		abort();
	conn->state = trickle;
	hello(conn);
	trickle->streams = conn->load->options.streams < 512 ? conn->load->options.streams : 512;
	for (uint32_t i = 0; i < trickle->streams; i++)
		trickle->id[i] = wire_request(&conn->wire, false);
}

static void free_state(struct conn *conn)
{
	free(conn->state);
	conn->state = NULL;
}

static void trickle_body(struct conn *conn)
{
	const struct body *body = &conn->load->body;
	struct trickle *trickle = conn->state;

	for (uint32_t i = 0; i < trickle->streams && !has_plenty(&conn->wire); i++) {
		bool last = trickle->sent + 1 == body->length;

		*wire_frame(&conn->wire, NGHTTP2_DATA, last ? NGHTTP2_FLAG_END_STREAM : 0,
			    trickle->id[i], 1) = body->data[trickle->sent];
		conn->load->counts.sent++;
		if (last)
			trickle->id[i] = 0;
	}
	if (++trickle->sent < body->length)
		return;
	trickle->sent = 0;
	for (uint32_t i = 0; i < trickle->streams; i++)
		if (!trickle->id[i])
			trickle->id[i] = wire_request(&conn->wire, false);
}

/* One block, a byte a turn, which never ends. */
static void trickle_headers(struct conn *conn)
{
	struct trickle *trickle = conn->state;
	uint8_t block[64] = {0};

	if (!trickle) {
		trickle = conn->state = calloc(1, sizeof(*trickle));
		memcpy(wire_frame(&conn->wire, NGHTTP2_HEADERS, 0, 1, 16000), block, 1);
		conn->wire.out_length -= 16000;
	}
	wire_raw(&conn->wire, trickle->sent % 40 ? "a" : "\x10", 1);
	trickle->sent++;
	conn->load->counts.sent++;
}

/* Asks for a lot on all streams and reads nothing. */
static void ask_all(struct conn *conn)
{
	hello(conn);
	for (uint32_t i = 0; i < conn->load->options.streams; i++)
		ask(conn);
}

/* Asks on and on, and reads nothing. */
static void ask_on(struct conn *conn)
{
	for (uint32_t i = 0; i < 64 && !has_plenty(&conn->wire); i++)
		ask(conn);
}

/* Asks once, then goes. */
static void ask_and_go(struct conn *conn)
{
	if (!conn->state) {
		conn->state = malloc(1);
		ask(conn);
		return;
	}
	wire_flush(&conn->wire);
	conn->wire.over = true;
}

static void go(struct conn *conn)
{
	conn->load->counts.sent++;
	conn->wire.over = true;
}

static void flood_garbage(struct conn *conn)
{
	while (!has_plenty(&conn->wire)) {
		uint64_t bits = draw(conn->load);

		wire_raw(&conn->wire, &bits, sizeof(bits));
		conn->load->counts.sent++;
	}
}

/* Windows of one byte, opened byte by byte. */
static void begin_narrow(struct conn *conn)
{
	wire_hello(&conn->wire, 1);
	for (uint32_t i = 0; i < conn->load->options.streams; i++)
		ask(conn);
	conn_dirty(conn);
}

static void widen(struct wire *wire, int32_t id, const uint8_t *data, size_t length, bool end)
{
	struct conn *conn = wire->user;

	(void)data;
	conn->load->counts.bytes += length;
	if (end || !length)
		return;
	memset(wire_frame(wire, NGHTTP2_WINDOW_UPDATE, 0, id, 4), 0, 3);
	wire->out[wire->out_length - 1] = (uint8_t)(length < 128 ? length : 127);
}

static void ask_again(struct wire *wire, int32_t id, const struct answer *answer, bool end)
{
	(void)id, (void)answer;
	if (end)
		ask(wire->user);
}

static const struct client kinds[] = {
	{.name = "ping", .begin = hello, .turn = flood_pings, .end = nothing},
	{.name = "settings", .begin = hello, .turn = flood_settings, .end = nothing},
	{.name = "unknown", .begin = hello, .turn = flood_unknown, .end = nothing},
	{.name = "data", .begin = open_stream, .turn = flood_data, .end = nothing},
	{.name = "reset", .begin = hello, .turn = flood_resets, .end = nothing},
	{.name = "garbage", .begin = hello, .turn = flood_garbage, .end = nothing},
	{.name = "trickle", .begin = begin_trickle, .turn = trickle_body, .end = free_state},
	{.name = "trickle-headers", .begin = hello, .turn = trickle_headers, .end = free_state},
	{.name = "deaf", .begin = ask_all, .end = nothing, .deaf = true},
	{.name = "deaf-calls", .begin = hello, .turn = ask_on, .end = nothing, .deaf = true},
	{.name = "churn", .begin = hello, .turn = ask_and_go, .end = free_state},
	{.name = "knock", .begin = nothing, .turn = go, .end = nothing},
	{.name = "narrow",
	 .begin = begin_narrow,
	 .events = {.headers = ask_again, .data = widen},
	 .end = nothing},
};

const struct client *bad_client(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(name, "list"))
			printf("%s\n", kinds[i].name);
		else if (!strcmp(name, kinds[i].name))
			return &kinds[i];
	}
	return NULL;
}
