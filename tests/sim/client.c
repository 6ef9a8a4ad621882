/* SPDX-License-Identifier: BSD-2-Clause */
/* A client: HTTP/2 on nghttp2, retries with the same request id, restarts. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_UP (3000 * MS) /* a call without an answer is cancelled, and asked again */

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
	n = n > room ? room : n;
	memcpy(out, op->body + op->sent, n);
	op->sent += n;
	if (op->sent == op->length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
		     void *user)
{
	struct op *op = op_of(user, frame->hd.stream_id);

	(void)session, (void)flags;
	if (op && name_length == 11 && !memcmp(name, "grpc-status", 11))
		op->status = length == 2 ? (value[0] - '0') * 10 + value[1] - '0' : value[0] - '0';
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

static void try_again(struct sim *sim, struct op *op)
{
	op->stream = 0;
	op->state = may_repeat(op) ? OP_READY : OP_UNKNOWN;
	op->retry_ns = sim->now_ns;
	sim->stats.retries += op->state == OP_READY;
}

/* UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED: nothing is known of the effect. */
static bool is_open(int status)
{
	return status < 0 || status == 14 || status == 4 || status == 1;
}

static void finish(struct link *link, struct op *op)
{
	struct sim *sim = link->sim;

	if (op->session ? !session_is_over(sim, op) : op->kind == OP_WATCH || is_open(op->status)) {
		try_again(sim, op);
		return;
	}
	op->state = OP_DONE;
	sim->stats.answers++;
	if (op->session && !op->status)
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

static void open_session(struct link *link)
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

static void send_op(struct sim *sim, struct link *link, struct op *op)
{
	char timeout[16];
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
	op->received.length = 0;
	if (op->session)
		session_begin(op);
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

static struct op *oldest(struct client *client)
{
	struct op *found = NULL;

	for (uint32_t i = 0; i < client->ops; i++) {
		struct op *op = &client->op[i];

		if (op->state == OP_SENT && op->kind != OP_WATCH &&
		    (!found || op->sent_ns < found->sent_ns))
			found = op;
	}
	return found;
}

static bool is_late(const struct sim *sim, const struct op *op)
{
	return op && sim->now_ns - op->sent_ns >= GIVE_UP;
}

static struct op *ready(const struct sim *sim, const struct client *client)
{
	for (uint32_t i = 0; i < client->ops; i++)
		if (client->op[i].state == OP_READY && client->op[i].retry_ns <= sim->now_ns)
			return (struct op *)(uintptr_t)&client->op[i];
	return NULL;
}

static uint32_t in_flight(const struct client *client)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < client->ops; i++)
		n += client->op[i].state == OP_SENT && client->op[i].kind != OP_WATCH;
	return n;
}

static bool is_left_out(const struct sim *sim, const struct client *client)
{
	return sim->scripts.left_out[client->number][client->ops / 64] >> client->ops % 64 & 1;
}

static void leave_out(struct sim *sim, struct client *client)
{
	while (client->ops < client->limit && is_left_out(sim, client)) {
		client->op[client->ops] = (struct op){.state = OP_DONE, .status = -1};
		client->ops++;
	}
}

static struct op *begin_next(struct sim *sim, struct client *client)
{
	struct op *op;

	leave_out(sim, client);
	op = &client->op[client->ops];
	if (client->ops == client->limit || in_flight(client) >= sim->swarm.depth)
		return NULL;
	*op = (struct op){.client = client->number, .number = (uint8_t)client->ops};
	client->ops++;
	sim->stats.ops++;
	choose_next(sim, client, op);
	op->state = OP_READY;
	leave_out(sim, client);
	return op;
}

static void pump(struct link *link)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(link->session, &data)) > 0)
		if (!link->aborted)
			pipe_put(&link->up, data, (size_t)n);
}

void client_turn(struct sim *sim, struct client *client, uint32_t shard)
{
	struct link *link = client->link;
	struct op *op = oldest(client);

	if (!link) {
		if (!client_has_work(sim, client))
			return;
		client->connects++;
		link = link_open(sim, client, shard);
		open_session(link);
	}
	if (link->streams >= SIM_STREAMS - 1)
		link->goaway = true;
	if (is_late(sim, op) && op->sent_settling)
		sim_fail(sim, "stuck", "client %u op %u %s: no answer, and nothing was in its way",
			 op->client, op->number, op_name(op->kind));
	if (is_late(sim, op))
		nghttp2_submit_rst_stream(link->session, 0, op->stream, NGHTTP2_CANCEL);
	if (!link->goaway) {
		op = ready(sim, client);
		if (!op)
			op = begin_next(sim, client);
		if (op)
			send_op(sim, link, op);
	}
	pump(link);
	if (link->goaway && !link->running)
		link_leave(link, true);
}

bool client_has_work(const struct sim *sim, const struct client *client)
{
	const struct link *link = client->link;
	bool more = ready(sim, client) ||
		    (client->ops < client->limit && in_flight(client) < sim->swarm.depth);

	if (client->raw)
		return false;
	if (!link)
		return more && !sim->daemon[client->daemon].draining;
	return (more && !link->goaway) || (link->goaway && !link->running) ||
	       nghttp2_session_want_write(link->session) ||
	       is_late(sim, oldest((struct client *)(uintptr_t)client));
}

bool client_is_done(const struct client *client)
{
	for (uint32_t i = 0; i < client->ops; i++) {
		const struct op *op = &client->op[i];

		if (op->state == OP_READY ||
		    (op->state == OP_SENT && (op->kind != OP_WATCH || !client->view.synced)))
			return false;
	}
	return client->ops == client->limit;
}

uint64_t client_next_ns(const struct client *client)
{
	const struct op *op = oldest((struct client *)(uintptr_t)client);

	return op ? op->sent_ns + GIVE_UP : UINT64_MAX;
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

void client_lost(struct link *link)
{
	struct client *client = owner(link);

	for (uint32_t i = 0; i < client->ops; i++)
		if (client->op[i].state == OP_SENT)
			try_again(link->sim, &client->op[i]);
}

void client_cancel(struct sim *sim, struct client *client)
{
	struct op *op = oldest(client);

	if (!client->link || !op)
		return;
	sim->stats.fault[FAULT_CANCEL]++;
	nghttp2_submit_rst_stream(client->link->session, 0, op->stream, NGHTTP2_CANCEL);
	pump(client->link);
}

void client_restart(struct sim *sim, struct client *client, bool keep)
{
	sim->stats.fault[keep ? FAULT_RESTART_KEEP : FAULT_RESTART_FORGET]++;
	if (client->link)
		link_leave(client->link, true);
	memset(client->machine, 0, sizeof(client->machine));
	memset(client->context, 0, sizeof(client->context));
	for (uint32_t i = 0; i < client->ops && !keep; i++) {
		struct op *op = &client->op[i];

		if (op->state == OP_READY && op->kind != OP_WATCH)
			op->state = op->status == 0 ? OP_DONE : OP_UNKNOWN;
	}
}

void client_start(struct sim *sim, struct client *client, uint32_t number)
{
	uint32_t local = number / SIM_DAEMONS;

	client->number = (uint8_t)number;
	client->daemon = (uint8_t)(number % SIM_DAEMONS);
	client->rank = (uint8_t)(local % 2);
	snprintf(client->principal.name, sizeof(client->principal.name), "uid:%u", local / 2);
	client->principal.admin = true;
	client->limit = sim->swarm.ops;
	leave_out(sim, client);
}

void client_stop(struct client *client)
{
	for (uint32_t i = 0; i < client->ops; i++) {
		free(client->op[i].body);
		if (client->op[i].session)
			pipe_free(&client->op[i].session->out);
		free(client->op[i].session);
		pipe_free(&client->op[i].received);
	}
}

void client_ask(struct sim *sim, struct client *client, enum op_kind kind, uint8_t machine,
		uint8_t context)
{
	struct op *op = &client->op[client->ops];

	if (client->ops == SIM_OPS)
		abort();
	*op = (struct op){.kind = kind,
			  .state = OP_READY,
			  .client = client->number,
			  .number = (uint8_t)client->ops,
			  .machine = machine,
			  .context = context,
			  .by_name = true,
			  .force = true};
	if (kind == OP_DELETE_MACHINE)
		op->handle = sim->daemon[client->daemon].model.machine[machine].handle;
	client->limit = ++client->ops;
	script_pack(sim, op, &sim->random);
}

const char *client_unfinished(const struct sim *sim)
{
	static char text[120];

	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		const struct client *client = &sim->client[i];

		for (uint32_t k = 0; k < client->ops; k++) {
			const struct op *op = &client->op[k];

			if (op->state != OP_READY && op->state != OP_SENT)
				continue;
			if (op->kind == OP_WATCH && client->view.synced)
				continue;
			snprintf(text, sizeof(text), "client %u op %u %s after %u attempts", i, k,
				 op_name(op->kind), op->attempts);
			return text;
		}
	}
	return "a call inside a daemon, or a drain";
}
