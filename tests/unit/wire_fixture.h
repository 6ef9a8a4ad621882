/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One shard with peers that a test plays frame by frame, and a clock that the test moves: timers
 * fire at their very nanosecond.
 */
#ifndef TESTS_UNIT_WIRE_FIXTURE_H
#define TESTS_UNIT_WIRE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatch.h"
#include "shard.h"
#include "wire_limits.h"

#include <nghttp2/nghttp2.h>

#define SEEN_MAX 4096
#define MS	 (SECOND / 1000)
#define START_NS (1000 * SECOND)

/* A frame that the daemon sent. */
struct seen {
	uint64_t at_ns;
	uint32_t length, code; /* of RST_STREAM and GOAWAY */
	int32_t stream;
	uint8_t type, flags;
	int grpc, http; /* -1: no such field */
	uint32_t pushback;
	char text[96]; /* of GOAWAY, or grpc-message */
};

struct wire_peer {
	struct peer peer; /* first */
	struct action pending;
	bool is_pending, stuck; /* stuck: nothing that is written ever leaves */
	bool closing, aborted, told;
	uint64_t end_ns; /* when it was closed or aborted */
	uint8_t *in;
	size_t in_length;
	nghttp2_hd_inflater *inflater;
	struct seen *seen;
	unsigned count;
	int32_t next_stream;
};

struct wire {
	struct domain *domain;
	struct routes *routes;
	struct shard *shard;
	uint64_t now_ns, timer_ns, steps;
	bool mail, drained;
};

static inline struct wire *wire_start(const struct wire_config *config)
{
	struct routes_config routes = {.domain_methods = domain_methods, .reflection = true};
	struct domain_config domain = {.epoch = 1, .loops = 1, .allow_failpoints = true};
	struct wire *w = calloc(1, sizeof(*w));
	struct shard_config shard = {0};
	const char *error;

	assert_non_null(w);
	domain.table_bytes = 64u << 20;
	domain.wire = *config;
	w->routes = routes_create(&routes, &error);
	assert_non_null(w->routes);
	domain.services = routes_services(w->routes);
	w->domain = domain_create(&domain);
	shard = (struct shard_config){.domain = w->domain, .routes = w->routes, .shards = 1};
	w->shard = shard_create(&shard);
	assert_non_null(w->shard);
	shard_meet(w->shard, &w->shard);
	w->now_ns = START_NS;
	w->timer_ns = UINT64_MAX;
	return w;
}

static inline void wire_field(struct seen *seen, const nghttp2_nv *nv)
{
	if (nv->namelen == 11 && !memcmp(nv->name, "grpc-status", 11))
		seen->grpc = atoi((const char *)nv->value);
	else if (nv->namelen == 7 && !memcmp(nv->name, ":status", 7))
		seen->http = atoi((const char *)nv->value);
	else if (nv->namelen == 22 && !memcmp(nv->name, "grpc-retry-pushback-ms", 22))
		seen->pushback = (uint32_t)atoi((const char *)nv->value);
	else if (nv->namelen == 12 && !memcmp(nv->name, "grpc-message", 12))
		snprintf(seen->text, sizeof(seen->text), "%s", (const char *)nv->value);
}

static inline void wire_inflate(struct wire_peer *p, struct seen *seen, const uint8_t *data,
				size_t length)
{
	nghttp2_nv nv;
	int flags = 0;

	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		ssize_t n = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, data, length, 1);

		assert_true(n >= 0);
		data += n;
		length -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			wire_field(seen, &nv);
	}
	nghttp2_hd_inflate_end_headers(p->inflater);
}

static inline uint32_t wire_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void wire_note(struct wire *w, struct wire_peer *p, const uint8_t *head)
{
	struct seen *seen = &p->seen[p->count++];
	const uint8_t *body = head + 9;

	assert_true(p->count < SEEN_MAX);
	*seen = (struct seen){.at_ns = w->now_ns,
			      .length = wire_u32(head) >> 8,
			      .type = head[3],
			      .flags = head[4],
			      .stream = (int32_t)wire_u32(head + 5),
			      .grpc = -1,
			      .http = -1};
	if (seen->type == NGHTTP2_HEADERS)
		wire_inflate(p, seen, body, seen->length);
	if (seen->type == NGHTTP2_RST_STREAM)
		seen->code = wire_u32(body);
	if (seen->type == NGHTTP2_GOAWAY) {
		seen->code = wire_u32(body + 4);
		memcpy(seen->text, body + 8, seen->length - 8);
	}
}

static inline void wire_receive(struct wire *w, struct wire_peer *p, const uint8_t *data, size_t n)
{
	size_t at = 0;

	p->in = realloc(p->in, p->in_length + n);
	assert_non_null(p->in);
	memcpy(p->in + p->in_length, data, n);
	p->in_length += n;
	while (p->in_length - at >= 9 && p->in_length - at >= 9 + (wire_u32(p->in + at) >> 8)) {
		wire_note(w, p, p->in + at);
		at += 9 + (wire_u32(p->in + at) >> 8);
	}
	p->in_length -= at;
	memmove(p->in, p->in + at, p->in_length);
}

static inline void wire_step(struct wire *w, struct event *event);

static inline void wire_act(struct wire *w, struct action *a)
{
	struct wire_peer *p = (struct wire_peer *)(void *)a->peer;

	switch (a->kind) {
	case ACTION_WRITE:
		if (!p->stuck)
			wire_receive(w, p, a->data, a->length);
		a->done = !p->stuck && !a->report;
		p->is_pending = !a->done;
		p->pending = *a;
		break;
	case ACTION_CLOSE:
		p->closing = true;
		p->end_ns = w->now_ns;
		break;
	case ACTION_ABORT:
		p->aborted = true;
		p->end_ns = w->now_ns;
		break;
	case ACTION_ARM: w->timer_ns = a->at_ns; break;
	case ACTION_MAIL: w->mail = true; break;
	case ACTION_RECLAIM: w->mail = true; break;
	case ACTION_DRAINED: w->drained = true; break;
	default: break;
	}
}

static inline void wire_step(struct wire *w, struct event *event)
{
	struct action *actions;
	size_t n;

	event->now_ns = w->now_ns;
	w->steps++;
	shard_step(w->shard, event);
	actions = shard_actions(w->shard, &n);
	for (size_t i = 0; i < n; i++)
		wire_act(w, &actions[i]);
}

/* Reports finished writes and carries the shard's mail until it is quiet. */
static inline void wire_settle(struct wire *w, struct wire_peer *p)
{
	for (unsigned i = 0; i < 1000 && ((p && p->is_pending && !p->stuck) || w->mail); i++) {
		struct event event = {.kind = EVENT_MAIL};

		if (p && p->is_pending && !p->stuck) {
			p->is_pending = false;
			event = (struct event){.kind = EVENT_WRITABLE, .peer = &p->peer};
		} else {
			w->mail = false;
		}
		wire_step(w, &event);
	}
}

static inline void wire_send(struct wire *w, struct wire_peer *p, const void *data, size_t n)
{
	struct event event = {.kind = EVENT_BYTES, .peer = &p->peer, .data = data, .length = n};

	wire_step(w, &event);
	wire_settle(w, p);
}

/* Moves the clock, and lets each timer fire on time. */
static inline void wire_until(struct wire *w, struct wire_peer *p, uint64_t at_ns)
{
	while (w->timer_ns <= at_ns) {
		struct event event = {.kind = EVENT_TIMER};

		w->now_ns = w->timer_ns > w->now_ns ? w->timer_ns : w->now_ns;
		w->timer_ns = UINT64_MAX;
		wire_step(w, &event);
		wire_settle(w, p);
	}
	w->now_ns = at_ns;
}

static inline void wire_frame(struct wire *w, struct wire_peer *p, uint8_t type, uint8_t flags,
			      int32_t stream, const void *body, size_t n)
{
	uint8_t *data = malloc(9 + n);
	uint32_t id = (uint32_t)stream;
	uint8_t head[9] = {
		(uint8_t)(n >> 16),  (uint8_t)(n >> 8),	  (uint8_t)n,	      type,	  flags,
		(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	assert_non_null(data);
	memcpy(data, head, 9);
	if (n)
		memcpy(data + 9, body, n);
	wire_send(w, p, data, 9 + n);
	free(data);
}

static inline struct wire_peer *wire_accept(struct wire *w, const char *who, bool local,
					    uint64_t random)
{
	struct wire_peer *p = calloc(1, sizeof(*p));
	struct principal principal = {.admin = true};
	struct event event = {.kind = EVENT_ACCEPTED, .local = local, .random = random};

	assert_non_null(p);
	snprintf(principal.name, sizeof(principal.name), "%s", who);
	p->seen = calloc(SEEN_MAX, sizeof(*p->seen));
	p->next_stream = 1;
	assert_int_equal(nghttp2_hd_inflate_new(&p->inflater), 0);
	event.peer = &p->peer;
	event.principal = &principal;
	wire_step(w, &event);
	wire_settle(w, p);
	return p;
}

/* With preface, SETTINGS (`window`: of new streams) and the ACK of the daemon's. */
static inline struct wire_peer *wire_connect(struct wire *w, const char *who, bool local,
					     uint32_t window)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct wire_peer *p = wire_accept(w, who, local, 0);
	uint8_t setting[6] = {0,
			      4,
			      (uint8_t)(window >> 24),
			      (uint8_t)(window >> 16),
			      (uint8_t)(window >> 8),
			      (uint8_t)window};

	wire_send(w, p, preface, 24);
	wire_frame(w, p, NGHTTP2_SETTINGS, 0, 0, setting, 6);
	wire_frame(w, p, NGHTTP2_SETTINGS, 1, 0, NULL, 0);
	return p;
}

static inline size_t wire_literal(uint8_t *at, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	assert_true(n < 127 && v < 127);
	at[0] = 0;
	at[1] = (uint8_t)n;
	memcpy(at + 2, name, n);
	at[2 + n] = (uint8_t)v;
	memcpy(at + 3 + n, value, v);
	return 3 + n + v;
}

/* Request HEADERS; `timeout` may be NULL. Returns the stream. */
static inline int32_t wire_open(struct wire *w, struct wire_peer *p, const char *path,
				const char *timeout)
{
	uint8_t block[512];
	int32_t id = p->next_stream;
	size_t n = 0;

	p->next_stream += 2;
	n += wire_literal(block + n, ":method", "POST");
	n += wire_literal(block + n, ":scheme", "http");
	n += wire_literal(block + n, ":path", path);
	n += wire_literal(block + n, ":authority", "localhost");
	n += wire_literal(block + n, "content-type", "application/grpc");
	n += wire_literal(block + n, "te", "trailers");
	if (timeout)
		n += wire_literal(block + n, "grpc-timeout", timeout);
	wire_frame(w, p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, block, n);
	return id;
}

/* A message and, if `end`, the half-close. */
static inline void wire_message(struct wire *w, struct wire_peer *p, int32_t stream,
				const void *body, size_t n, bool end)
{
	uint8_t data[512] = {0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};

	assert_true(n <= sizeof(data) - 5);
	if (n)
		memcpy(data + 5, body, n);
	wire_frame(w, p, NGHTTP2_DATA, end, stream, data, 5 + n);
}

/* The last frame of that kind on `stream` (-1: any), or NULL. */
static inline const struct seen *wire_last(const struct wire_peer *p, uint8_t type, int32_t stream)
{
	for (unsigned i = p->count; i--;)
		if (p->seen[i].type == type && (stream < 0 || p->seen[i].stream == stream) &&
		    !(type == NGHTTP2_PING && p->seen[i].flags & NGHTTP2_FLAG_ACK))
			return &p->seen[i];
	return NULL;
}

/* The gRPC status of a stream that has ended; -1: it has not. */
static inline int wire_status(const struct wire_peer *p, int32_t stream)
{
	const struct seen *last = wire_last(p, NGHTTP2_HEADERS, stream);

	return last ? last->grpc : -1;
}

static inline int wire_unary(struct wire *w, struct wire_peer *p, const char *path)
{
	int32_t id = wire_open(w, p, path, NULL);

	wire_message(w, p, id, NULL, 0, true);
	return wire_status(p, id);
}

static inline bool wire_ended(const struct wire_peer *p)
{
	return p->closing || p->aborted;
}

static inline void wire_tell_closed(struct wire *w, struct wire_peer *p)
{
	struct event event = {.kind = EVENT_CLOSED, .peer = &p->peer};

	if (!p->told)
		wire_step(w, &event);
	p->told = true;
	wire_settle(w, NULL);
}

static inline void wire_drop(struct wire *w, struct wire_peer *p)
{
	wire_tell_closed(w, p);
	nghttp2_hd_inflate_del(p->inflater);
	free(p->in);
	free(p->seen);
	free(p);
}

static inline void wire_end(struct wire *w)
{
	shard_destroy(w->shard);
	domain_destroy(w->domain);
	routes_destroy(w->routes);
	free(w);
}

#endif
