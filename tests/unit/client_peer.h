/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A daemon for tests of the client, made by hand, frame by frame, so that both ends do not share
 * one mistake; and a transport between the two that can be cut at any byte.
 */
#ifndef CLIENT_PEER_H
#define CLIENT_PEER_H

#include "client/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7 };

/* One connection. */
struct peer {
	struct world *world;
	uint8_t in[1 << 18], out[1 << 18];
	size_t in_length, parsed, out_length, taken;
	struct body {
		uint8_t bytes[512]; /* that have come and are not taken */
		size_t length;
	} body[64];
};

struct world {
	struct ptd_core *core;
	void *daemon;	   /* the test's */
	struct peer *peer; /* NULL: not connected */
	uint64_t now, wake;
	unsigned connections;
	size_t up, down;	 /* bytes moved over this connection */
	size_t cut_up, cut_down; /* where the first connection ends */
	enum ptd_core_want last;
};

/* Of the test: bytes of a request have come; `end`: no more will. */
static void take_body(struct peer *peer, uint32_t stream, struct body *body, bool end);

static void frame(struct peer *peer, int type, int flags, uint32_t stream, const void *payload,
		  size_t length)
{
	uint8_t head[9] = {
		0, (uint8_t)(length >> 8), (uint8_t)length, (uint8_t)type, (uint8_t)flags, 0,
		0, (uint8_t)(stream >> 8), (uint8_t)stream};

	assert_true(peer->out_length + length + 9 <= sizeof(peer->out));
	memcpy(peer->out + peer->out_length, head, 9);
	if (length)
		memcpy(peer->out + peer->out_length + 9, payload, length);
	peer->out_length += length + 9;
}

/* HPACK: literal without indexing, new name. */
static size_t header(uint8_t *to, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	to[0] = 0;
	to[1] = (uint8_t)n;
	memcpy(to + 2, name, n);
	to[2 + n] = (uint8_t)v;
	memcpy(to + 3 + n, value, v);
	return 3 + n + v;
}

static void take_frame(struct peer *peer, int type, int flags, uint32_t stream,
		       const uint8_t *payload, size_t length)
{
	if (type == SETTINGS && !(flags & 1))
		frame(peer, SETTINGS, 1, 0, NULL, 0);
	if (type != DATA)
		return;
	assert_true(stream < 64);
	assert_true(peer->body[stream].length + length <= sizeof(peer->body[0].bytes));
	memcpy(peer->body[stream].bytes + peer->body[stream].length, payload, length);
	peer->body[stream].length += length;
	take_body(peer, stream, &peer->body[stream], flags & 1);
}

static void take_bytes(struct peer *peer, const uint8_t *bytes, size_t length)
{
	assert_true(peer->in_length + length <= sizeof(peer->in));
	memcpy(peer->in + peer->in_length, bytes, length);
	peer->in_length += length;
	if (!peer->parsed && peer->in_length >= 24) {
		assert_memory_equal(peer->in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
		peer->parsed = 24;
	}
	while (peer->parsed && peer->in_length - peer->parsed >= 9) {
		const uint8_t *head = peer->in + peer->parsed;
		size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

		if (peer->in_length - peer->parsed < 9 + size)
			break;
		take_frame(peer, head[3], head[4], (uint32_t)head[7] << 8 | head[8], head + 9,
			   size);
		peer->parsed += 9 + size;
	}
}

/* --- the transport --------------------------------------------------------------------------- */

static void cut(struct world *world)
{
	free(world->peer);
	world->peer = NULL;
	ptd_core_lost(world->core, world->now, "cut");
}

static void connect_peer(struct world *world)
{
	world->peer = calloc(1, sizeof(*world->peer));
	world->peer->world = world;
	world->up = world->down = 0;
	frame(world->peer, SETTINGS, 0, 0, NULL, 0);
	assert_true(ptd_core_connected(world->core, world->now));
	/* Cuts are of the first connection. */
	if (world->connections++)
		world->cut_up = world->cut_down = SIZE_MAX;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Moves what there is. False: nothing. */
static bool move(struct world *world)
{
	struct peer *peer = world->peer;
	const uint8_t *bytes;
	size_t up = least(ptd_core_output(world->core, &bytes), world->cut_up - world->up);
	size_t down;

	if (up) {
		take_bytes(peer, bytes, up);
		ptd_core_wrote(world->core, up);
	}
	down = least(peer->out_length - peer->taken, world->cut_down - world->down);
	if (down)
		ptd_core_input(world->core, peer->out + peer->taken, down, world->now);
	peer->taken += down;
	world->up += up;
	world->down += down;
	if (world->up == world->cut_up || world->down == world->cut_down)
		cut(world);
	return up || down;
}

/* Does what the core wants. False: nothing. */
static bool obey(struct world *world)
{
	world->last = ptd_core_step(world->core, world->now, &world->wake);
	if (world->last == PTD_CORE_CONNECT)
		connect_peer(world);
	else if (world->last == PTD_CORE_CLOSE)
		cut(world);
	return world->last == PTD_CORE_CONNECT || world->last == PTD_CORE_CLOSE;
}

/* Until nothing happens any more at this time. */
static void settle(struct world *world)
{
	bool again;

	obey(world);
	do {
		again = world->peer && move(world);
		again = obey(world) || again;
		again = ptd_core_deliver(world->core) || again;
	} while (again);
}

/* Until nothing happens at any time. */
static void run(struct world *world)
{
	settle(world);
	while (ptd_core_outstanding(world->core) && world->wake != UINT64_MAX) {
		assert_true(world->wake > world->now);
		world->now = world->wake;
		settle(world);
	}
}

/* `daemon_size` zeroed bytes are the test's own. */
static struct world *make_world(size_t daemon_size, uint32_t reconnects, size_t cut_up,
				size_t cut_down)
{
	struct ptd_options options = {
		.size = sizeof(options), .reconnects = reconnects, .backoff_ms = 100, .seed = 7};
	struct world *world = calloc(1, sizeof(*world));

	world->daemon = calloc(1, daemon_size);
	world->core = ptd_core_create(&options, NULL, NULL);
	world->cut_up = cut_up;
	world->cut_down = cut_down;
	assert_non_null(world->core);
	return world;
}

static void close_world(struct world *world)
{
	ptd_core_destroy(world->core);
	free(world->peer);
	free(world->daemon);
	free(world);
}

#endif
