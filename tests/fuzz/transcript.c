/* SPDX-License-Identifier: BSD-2-Clause */
/* A strict reader of what a shard sends. */
#include "fuzz.h"

#include "transcript.h"

void transcript_begin(struct transcript *t)
{
	memset(t, 0, sizeof(*t));
	CHECK(!nghttp2_hd_inflate_new(&t->inflater));
}

void transcript_end(struct transcript *t)
{
	nghttp2_hd_inflate_del(t->inflater);
	free(t->body);
}

struct seen {
	bool http, grpc, type;
	unsigned http_code;
};

/* A complete header block. */
static struct seen inflate(struct transcript *t, const uint8_t *at, size_t length)
{
	struct seen seen = {0};
	int flags = 0;

	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(t->inflater, &nv, &flags, at, length, 1);

		CHECK(n >= 0);
		at += n;
		length -= (size_t)n;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
			continue;
		if (nv.namelen == 7 && !memcmp(nv.name, ":status", 7)) {
			seen.http = true;
			seen.http_code = (unsigned)atoi((const char *)nv.value);
		}
		if (nv.namelen == 11 && !memcmp(nv.name, "grpc-status", 11)) {
			CHECK(!seen.grpc); /* once */
			seen.grpc = true;
		}
	}
	CHECK(!nghttp2_hd_inflate_end_headers(t->inflater));
	return seen;
}

static void read_headers(struct transcript *t, uint32_t at, uint8_t flags)
{
	struct seen seen = inflate(t, t->body, t->length);
	bool ends = flags & NGHTTP2_FLAG_END_STREAM;

	CHECK(flags & NGHTTP2_FLAG_END_HEADERS);
	if (at >= TRANSCRIPT_STREAMS)
		return;
	CHECK(!t->stream[at].ended && !t->stream[at].reset);
	CHECK(t->stream[at].headers ? ends && seen.grpc && !seen.http : seen.http);
	if (!t->stream[at].headers)
		t->stream[at].plain = seen.http_code != 200;
	/* The end tells the status; a message is not cut by it. */
	CHECK(!ends || seen.grpc || t->stream[at].plain);
	CHECK(!ends || (!t->stream[at].left && !t->stream[at].have));
	t->stream[at].headers = 1;
	t->stream[at].ended = ends;
}

static void read_data(struct transcript *t, uint32_t at, uint8_t flags)
{
	const uint8_t *data = t->body, *end = data + t->length;

	if (at >= TRANSCRIPT_STREAMS)
		return;
	CHECK(t->stream[at].headers && !t->stream[at].ended && !t->stream[at].reset);
	if (t->stream[at].plain) {
		t->stream[at].ended = flags & NGHTTP2_FLAG_END_STREAM;
		return;
	}
	CHECK(!(flags & NGHTTP2_FLAG_END_STREAM)); /* trailers end it */
	while (data < end) {
		uint32_t n;

		if (t->stream[at].have < 5 && !t->stream[at].left) {
			t->stream[at].prefix[t->stream[at].have++] = *data++;
			if (t->stream[at].have < 5)
				continue;
			CHECK(t->stream[at].prefix[0] == 0);
			t->stream[at].left = (uint32_t)t->stream[at].prefix[1] << 24 |
					     (uint32_t)t->stream[at].prefix[2] << 16 |
					     (uint32_t)t->stream[at].prefix[3] << 8 |
					     t->stream[at].prefix[4];
			t->stream[at].have = 0;
			continue;
		}
		n = (uint32_t)(end - data) < t->stream[at].left ? (uint32_t)(end - data)
								: t->stream[at].left;
		t->stream[at].left -= n;
		data += n;
	}
}

static void read_frame(struct transcript *t)
{
	uint32_t id = (uint32_t)t->head[5] << 24 | (uint32_t)t->head[6] << 16 |
		      (uint32_t)t->head[7] << 8 | t->head[8];
	uint8_t flags = t->head[4];

	switch (t->head[3]) {
	case NGHTTP2_DATA:
		CHECK(id & 1);
		read_data(t, id / 2, flags);
		break;
	case NGHTTP2_HEADERS:
		CHECK(id & 1);
		read_headers(t, id / 2, flags);
		break;
	case NGHTTP2_RST_STREAM:
		CHECK(id && t->length == 4);
		if (id & 1 && id / 2 < TRANSCRIPT_STREAMS)
			t->stream[id / 2].reset = 1;
		break;
	case NGHTTP2_SETTINGS:
		CHECK(!id && t->length % 6 == 0);
		t->settings += !(flags & NGHTTP2_FLAG_ACK);
		break;
	case NGHTTP2_PING: CHECK(!id && t->length == 8); break;
	case NGHTTP2_GOAWAY: CHECK(!id && t->length >= 8); break;
	case NGHTTP2_WINDOW_UPDATE: CHECK(t->length == 4); break;
	default: CHECK(!"a frame of a type that a server does not send");
	}
}

static void keep(struct transcript *t, const uint8_t *data, size_t n)
{
	if (t->length + n > t->room) {
		t->room = t->length + n;
		t->body = realloc(t->body, t->room);
		CHECK(t->body);
	}
	if (n)
		memcpy(t->body + t->length, data, n);
	t->length += n;
}

void transcript_read(struct transcript *t, const uint8_t *data, size_t length)
{
	const uint8_t *end = data + length;

	while (data < end) {
		uint32_t n;

		if (t->have < 9) {
			t->head[t->have++] = *data++;
			if (t->have < 9)
				continue;
			t->left =
				(uint32_t)t->head[0] << 16 | (uint32_t)t->head[1] << 8 | t->head[2];
			t->length = 0;
		}
		n = (uint32_t)(end - data) < t->left ? (uint32_t)(end - data) : t->left;
		keep(t, data, n);
		data += n;
		t->left -= n;
		if (!t->left) {
			read_frame(t);
			t->have = 0;
		}
	}
}
