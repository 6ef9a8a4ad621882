/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a peer sends, on its way into nghttp2.
 *
 * A gRPC C-core client that cancels a call before it has written the call's HEADERS sends
 * RST_STREAM for a stream that we have never seen. RFC 9113 5.1 makes that a connection error, and
 * nghttp2 leaves no choice; all other calls of the client would die with it. So the frame is left
 * out here, and counted as any reset. For that the heads of frames are read twice; a head that is
 * cut waits for its rest.
 */
#include "input.h"

#include "conn.h"

#include <string.h>

#define HEAD	FRAME_HEAD
#define PREFACE 24

void input_begin(struct input *input)
{
	*input = (struct input){.left = PREFACE};
}

static uint32_t body_length(const uint8_t *head)
{
	return (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
}

/* Inside a header block the frame would be an error of another kind: nghttp2's business. */
static bool resets_unseen(const struct conn *conn, const uint8_t *head)
{
	uint32_t id = (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
		      (uint32_t)head[7] << 8 | head[8];

	return id & 1 && id > (uint32_t)conn->highest && body_length(head) == 4 &&
	       !conn->block_since_ns && conn->got_settings;
}

/* A head is complete, and nghttp2 has all that came before. True: its frame is left out. */
static bool leaves_out(struct conn *conn)
{
	struct input *in = &conn->input;

	in->have = 0;
	in->left = body_length(in->head);
	in->dropping = in->head[3] == NGHTTP2_RST_STREAM && resets_unseen(conn, in->head);
	if (in->dropping && !budget_take(&conn->resets_in, conn->shard->now_ns))
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too many resets");
	return in->dropping;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool input_take(struct conn *conn, const uint8_t *data, size_t length, input_feed *feed)
{
	struct input *in = &conn->input;
	const uint8_t *end = data + length, *from = data; /* nghttp2 has all before `from` */
	size_t n;
	bool cut;

	while (data < end) {
		if (in->left) {
			n = least(in->left, (size_t)(end - data));
			in->left -= (uint32_t)n;
			data += n;
			from = in->dropping ? data : from;
			continue;
		}
		in->dropping = false;
		cut = in->have != 0;
		n = least(HEAD - in->have, (size_t)(end - data));
		memcpy(in->head + in->have, data, n);
		in->have = (uint8_t)(in->have + n);
		data += n;
		if (!cut && (in->have < HEAD || in->head[3] == NGHTTP2_RST_STREAM)) {
			if (data - n > from && !feed(conn, from, (size_t)(data - n - from)))
				return false;
			from = data - n;
		}
		if (in->have < HEAD)
			return true;
		if (leaves_out(conn)) {
			from = data;
		} else if (cut) {
			if (!feed(conn, in->head, HEAD))
				return false;
			from = data;
		}
	}
	return from == end || feed(conn, from, (size_t)(end - from));
}
