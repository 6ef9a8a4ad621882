/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's HTTP/2 on nghttp2: calls out, answers in. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NV(n, v)                                                                                   \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v),        \
			NGHTTP2_NV_FLAG_NONE                                                       \
	}

static struct client *owner(struct link *link)
{
	return &link->sim->client[link->client];
}

static struct op *op_of(struct link *link, int32_t stream)
{
	struct client *client = owner(link);
	struct op *op;

	if (stream < 1 || (uint32_t)stream / 2 >= SIM_STREAMS)
		return NULL;
	op = &client->op[link->op_of[stream / 2]];
	return client->link == link && op->state == OP_SENT && op->stream == stream ? op : NULL;
}

static ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct op *op = source->ptr;
	size_t n = op->length - op->sent;

	(void)session, (void)id, (void)user;
	if (op->session)
		return session_give(op, out, room, flags);
	if (op->pager)
		return pager_give(op, out, room, flags);
	n = n > room ? room : n;
	memcpy(out, op->body + op->sent, n);
	op->sent += n;
	if (op->sent == op->length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* Too much for the daemon at once: it has done nothing, and says when to come again. */
static const char pushback[] = "grpc-retry-pushback-ms";

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
		     void *user)
{
	struct op *op = op_of(user, frame->hd.stream_id);

	(void)session, (void)flags;
	if (op && name_length == 11 && !memcmp(name, "grpc-status", 11))
		op->status = length == 2 ? (value[0] - '0') * 10 + value[1] - '0' : value[0] - '0';
	if (op && name_length == strlen(pushback) && !memcmp(name, pushback, name_length))
		for (op->pushback_ms = 0; length; length--)
			op->pushback_ms = op->pushback_ms * 10 + (uint32_t)(*value++ - '0');
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t length, void *user)
{
	struct link *link = user;
	struct op *op = op_of(link, id);

	(void)flags;
	if (!op)
		return 0;
	pipe_put(&op->received, data, length);
	if (op->kind == OP_WATCH) {
		answer_stream(link->sim, owner(link), op);
	} else if (op->session) {
		session_receive(link->sim, op);
		nghttp2_session_resume_data(session, id);
	} else if (op->pager) {
		pager_receive(link->sim, op);
	}
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct link *link = user;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		link->goaway = true;
	return 0;
}

static bool may_repeat(const struct op *op)
{
	return op->has_id || op_reads(op->kind);
}

void op_try_again(struct sim *sim, struct op *op)
{
	op->stream = 0;
	if (op->pager && pager_has_left(op)) {
		op->state = OP_DONE;
		return;
	}
	op->state = may_repeat(op) ? OP_READY : OP_UNKNOWN;
	op->retry_ns = sim->now_ns + op->pushback_ms * MS;
	sim->stats.retries += op->state == OP_READY;
}

/* UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED: nothing is known of the effect. */
static bool is_open(int status)
{
	return status < 0 || status == 14 || status == 4 || status == 1;
}

static bool is_over(struct sim *sim, struct op *op)
{
	if (op->session)
		return session_is_over(sim, op);
	if (op->pager)
		return pager_is_over(op);
	return op->kind != OP_WATCH && !is_open(op->status);
}

static void finish(struct link *link, struct op *op)
{
	struct sim *sim = link->sim;

	if (!is_over(sim, op)) {
		op_try_again(sim, op);
		return;
	}
	op->state = OP_DONE;
	sim->stats.answers++;
	if (op->pager || (op->session && !op->status))
		return;
	if (op->status) {
		answer_failed(owner(link), op);
		return;
	}
	answer_ok(sim, owner(link), op, &op->received);
	if (op->has_id && op->again) {
		op->again--;
		op->state = OP_READY;
		op->retry_ns = sim->now_ns;
		sim->stats.replays++;
	}
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct link *link = user;
	struct op *op = op_of(link, id);

	(void)session, (void)code;
	link->running--;
	if (op)
		finish(link, op);
	return 0;
}

void http_open(struct link *link)
{
	nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
					 link->sim->swarm.client_window};
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks))
		abort();
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	if (nghttp2_session_client_new(&link->session, callbacks, link))
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(link->session, 0, &window, 1);
}

void http_send(struct sim *sim, struct link *link, struct op *op)
{
	char timeout[16] = ""; /* NV asks for its length */
	nghttp2_nv nv[] = {NV(":method", "POST"),
			   NV(":scheme", "http"),
			   NV(":path", op_path(op->kind)),
			   NV(":authority", "localhost"),
			   NV("content-type", "application/grpc"),
			   NV("te", "trailers"),
			   NV("grpc-timeout", timeout)};
	nghttp2_data_provider body = {{.ptr = op}, give_body};
	int32_t id;

	snprintf(timeout, sizeof(timeout), "%uu", (unsigned)op->timeout_us);
	nv[6].valuelen = strlen(timeout);
	op->sent = 0;
	op->status = -1;
	op->pushback_ms = 0;
	op->received.length = 0;
	if (op->session)
		session_begin(op);
	if (op->pager)
		pager_begin(sim, op);
	id = nghttp2_submit_request(link->session, NULL, nv, op->timeout_us ? 7 : 6, &body, NULL);
	if (id < 0) {
		link->goaway = true;
		return;
	}
	link->op_of[id / 2] = op->number;
	link->streams = (uint32_t)id / 2 + 1;
	link->running++;
	op->stream = id;
	op->state = OP_SENT;
	op->sent_ns = sim->now_ns;
	op->sent_settling = sim->settling && !sim->swarm.failpoints;
	op->attempts++;
	op->timeout_us *= 4; /* a call that is too slow gets more time */
	sim->stats.calls++;
	if (op->kind == OP_WATCH) {
		client_forget_view(&sim->client[link->client]);
		sim->client[link->client].watching = op;
	}
}

void http_pump(struct link *link)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(link->session, &data)) > 0)
		if (!link->aborted)
			pipe_put(&link->up, data, (size_t)n);
}

void client_receive(struct link *link, const uint8_t *data, size_t length)
{
	ssize_t n;

	if (!link->session)
		return;
	n = nghttp2_session_mem_recv(link->session, data, length);
	link->sim->digest = sim_mix(link->sim->digest, length);
	if (n != (ssize_t)length)
		sim_fail(link->sim, "http2", "client %u: what the daemon sent is no HTTP/2: %s",
			 link->client, nghttp2_strerror((int)n));
}
