/* SPDX-License-Identifier: BSD-2-Clause */
/* Drives one shard for one client of nghttp2. */
#include "wire.h"

#include "shard_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_STEPS 5000

static void append(struct bytes *to, const void *data, size_t length)
{
	if (to->length + length > to->room) {
		to->room = (to->length + length) * 2;
		to->data = realloc(to->data, to->room);
		if (!to->data)
			abort();
	}
	if (length)
		memcpy(to->data + to->length, data, length);
	to->length += length;
}

bool wire_open(struct wire *w, bool armed)
{
	struct routes_config routes = {.domain_methods = domain_methods, .reflection = true};
	struct domain_config config = {.epoch = 0x1234,
				       .table_bytes = UINT64_C(4) << 20,
				       .loops = 1,
				       .version = "without memory",
				       .allow_failpoints = true,
				       .wire = WIRE_CONFIG_DEFAULT};
	struct shard_config shard = {NULL, NULL, 0, 1};
	const char *error;

	*w = (struct wire){.now_ns = 1000000000, .timer_at = UINT64_MAX};
	hook.armed = armed;
	w->routes = routes_create(&routes, &error);
	if (w->routes) {
		config.services = routes_services(w->routes);
		w->domain = domain_create(&config);
	}
	if (w->domain) {
		shard.domain = w->domain;
		shard.routes = w->routes;
		w->shard = shard_create(&shard);
	}
	hook.armed = false;
	if (w->shard) {
		shard_meet(w->shard, &w->shard);
		return true;
	}
	if (w->domain)
		domain_destroy(w->domain);
	if (w->routes)
		routes_destroy(w->routes);
	return false;
}

static void from_server(struct wire *w, const uint8_t *data, size_t length)
{
	if (!w->client || w->broken)
		return;
	w->broken = nghttp2_session_mem_recv(w->client, data, length) != (ssize_t)length;
}

static void step(struct wire *w, struct event event, bool armed);

static void carry_out(struct wire *w, bool armed)
{
	size_t n;
	struct action *a = shard_actions(w->shard, &n);
	bool closes = false, writable = false;

	for (size_t i = 0; i < n; i++) {
		switch (a[i].kind) {
		case ACTION_WRITE:
			from_server(w, a[i].data, a[i].length);
			writable = a[i].report;
			a[i].done = !a[i].report;
			break;
		case ACTION_CLOSE:
		case ACTION_ABORT: closes = true; break;
		case ACTION_ARM: w->timer_at = a[i].at_ns; break;
		case ACTION_MAIL: w->mail = true; break;
		case ACTION_RECLAIM: w->reclaim = true; break;
		default: break;
		}
	}
	if (closes) {
		w->connected = false;
		step(w, (struct event){.kind = EVENT_CLOSED, .peer = &w->peer}, armed);
	} else if (writable) {
		step(w, (struct event){.kind = EVENT_WRITABLE, .peer = &w->peer}, armed);
	}
}

static void step(struct wire *w, struct event event, bool armed)
{
	event.now_ns = w->now_ns;
	hook.armed = armed;
	shard_step(w->shard, &event);
	hook.armed = false;
	carry_out(w, armed);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
		     void *user)
{
	struct wire *w = user;

	(void)session, (void)flags;
	if (frame->hd.stream_id != w->id)
		return 0;
	if (name_length == 11 && !memcmp(name, "grpc-status", 11))
		w->grpc = atoi((const char *)value);
	if (name_length == 12 && !memcmp(name, "grpc-message", 12))
		snprintf(w->text, sizeof(w->text), "%.*s", (int)value_length, (const char *)value);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t length, void *user)
{
	struct wire *w = user;

	(void)session, (void)flags;
	if (id == w->id)
		append(&w->response, data, length);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct wire *w = user;

	(void)session, (void)code;
	if (id == w->id)
		w->over = true;
	return 0;
}

static void connect(struct wire *w, bool armed)
{
	struct principal who = {.name = "uid:0", .admin = true};
	nghttp2_session_callbacks *callbacks;

	nghttp2_session_del(w->client);
	if (nghttp2_session_callbacks_new(&callbacks))
		abort();
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	if (nghttp2_session_client_new(&w->client, callbacks, w))
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(w->client, 0, NULL, 0);
	w->peer = (struct peer){NULL};
	w->connected = true;
	step(w, (struct event){.kind = EVENT_ACCEPTED, .peer = &w->peer, .principal = &who}, armed);
}

static ssize_t give_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
			    uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct wire *w = user;
	size_t n = w->request.length - w->sent;

	(void)session, (void)id, (void)source;
	n = n > room ? room : n;
	memcpy(out, w->request.data + w->sent, n);
	w->sent += n;
	if (w->sent == w->request.length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void make_request(struct wire *w, const struct scripted *call)
{
	w->request.length = w->sent = 0;
	for (unsigned i = 0; call->message[i]; i++) {
		size_t n = protobuf_c_message_get_packed_size(call->message[i]);
		uint8_t *bytes = malloc(n + 5),
			head[5] = {0, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

		if (!bytes)
			abort();
		protobuf_c_message_pack(call->message[i], bytes);
		append(&w->request, head, 5);
		append(&w->request, bytes, n);
		free(bytes);
	}
}

#define NV(n, v)                                                                                   \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v),        \
			NGHTTP2_NV_FLAG_NONE                                                       \
	}

static void submit(struct wire *w, const struct scripted *call)
{
	nghttp2_nv nv[] = {NV(":method", "POST"),
			   NV(":scheme", "http"),
			   NV(":path", call->path),
			   NV(":authority", "localhost"),
			   NV("content-type", "application/grpc"),
			   NV("te", "trailers"),
			   NV("grpc-timeout", "100S")};
	nghttp2_data_provider body = {{.ptr = NULL}, give_request};

	make_request(w, call);
	w->over = false;
	w->grpc = -1;
	w->text[0] = 0;
	w->response.length = 0;
	w->messages = 0;
	w->id = nghttp2_submit_request(w->client, NULL, nv, 7, &body, NULL);
	if (w->id < 0)
		abort();
}

static bool from_client(struct wire *w, bool armed)
{
	struct bytes out = {0};
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(w->client, &data)) > 0)
		append(&out, data, (size_t)n);
	if (out.length && w->connected)
		step(w,
		     (struct event){.kind = EVENT_BYTES,
				    .peer = &w->peer,
				    .data = out.data,
				    .length = out.length},
		     armed);
	free(out.data);
	return out.length && w->connected;
}

static bool turn(struct wire *w, bool armed)
{
	if (w->connected && from_client(w, armed))
		return true;
	if (w->mail) {
		w->mail = false;
		step(w, (struct event){.kind = EVENT_MAIL}, armed);
		return true;
	}
	if (w->reclaim) {
		w->reclaim = false;
		step(w, (struct event){.kind = EVENT_RECLAIMED}, armed);
		return true;
	}
	if (w->timer_at <= w->now_ns) {
		w->timer_at = UINT64_MAX;
		step(w, (struct event){.kind = EVENT_TIMER}, armed);
		return true;
	}
	return false;
}

static uint32_t count_messages(const struct wire *w)
{
	const uint8_t *at = w->response.data;
	size_t left = w->response.length;
	uint32_t n = 0;

	while (left >= 5) {
		size_t length = (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];

		if (left < 5 + length)
			break;
		at += 5 + length;
		left -= 5 + length;
		n++;
	}
	return n;
}

static enum end outcome(const struct wire *w, const struct scripted *call)
{
	if (w->grpc >= 0)
		return w->grpc ? END_FAILED : END_OK;
	if (call->answers && w->messages >= call->answers)
		return END_OK;
	return w->over || !w->connected || w->broken ? END_LOST : END_NEVER;
}

enum end wire_call(struct wire *w, const struct scripted *call, bool armed)
{
	unsigned steps = 0;
	bool cancelled = false;

	if (!w->connected)
		connect(w, armed);
	if (!w->connected)
		return END_LOST;
	submit(w, call);
	while (steps++ < MOST_STEPS && turn(w, armed)) {
		w->messages = count_messages(w);
		if (call->answers && w->messages >= call->answers && !cancelled) {
			cancelled = true;
			nghttp2_submit_rst_stream(w->client, 0, w->id, NGHTTP2_CANCEL);
		}
	}
	return outcome(w, call);
}

void wire_close(struct wire *w)
{
	if (w->connected) {
		w->connected = false;
		step(w, (struct event){.kind = EVENT_CLOSED, .peer = &w->peer}, true);
	}
	for (unsigned i = 0; i < MOST_STEPS && turn(w, true); i++)
		;
	nghttp2_session_del(w->client);
	free(w->request.data);
	free(w->response.data);
	shard_destroy(w->shard);
	domain_destroy(w->domain);
	routes_destroy(w->routes);
}
