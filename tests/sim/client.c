/* SPDX-License-Identifier: BSD-2-Clause */
/* A client: its script, retries with the same request id, restarts. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_UP (3000 * MS) /* a call without an answer is cancelled, and asked again */

static struct op *oldest(struct client *client)
{
	struct op *found = NULL;

	for (uint32_t i = 0; i < client->ops; i++) {
		struct op *op = &client->op[i];

		if (op->state == OP_SENT && op->kind != OP_WATCH && !pager_lasts(op) &&
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
		n += client->op[i].state == OP_SENT && client->op[i].kind != OP_WATCH &&
		     client->op[i].kind != OP_SERVE;
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

void client_turn(struct sim *sim, struct client *client, uint32_t shard)
{
	struct link *link = client->link;
	struct op *op = oldest(client);

	if (!link) {
		if (!client_has_work(sim, client))
			return;
		client->connects++;
		link = link_open(sim, client, shard);
		http_open(link);
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
			http_send(sim, link, op);
	}
	pager_turn(sim, client);
	http_pump(link);
	if (link->goaway && !in_flight(client))
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
	return (more && !link->goaway) || (link->goaway && !in_flight(client)) ||
	       nghttp2_session_want_write(link->session) || pager_has_work(sim, client) ||
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

uint64_t client_next_ns(const struct sim *sim, const struct client *client)
{
	const struct op *op = oldest((struct client *)(uintptr_t)client);
	uint64_t next = op ? op->sent_ns + GIVE_UP : UINT64_MAX, pager = pager_next_ns(client);

	next = pager < next ? pager : next;

	for (uint32_t i = 0; i < client->ops; i++) {
		op = &client->op[i];
		if (op->state == OP_READY && op->retry_ns > sim->now_ns && op->retry_ns < next)
			next = op->retry_ns;
	}
	return next;
}

void client_lost(struct link *link)
{
	struct client *client = &link->sim->client[link->client];

	for (uint32_t i = 0; i < client->ops; i++)
		if (client->op[i].state == OP_SENT)
			op_try_again(link->sim, &client->op[i]);
}

void client_cancel(struct sim *sim, struct client *client)
{
	struct op *op = oldest(client);

	if (!client->link || !op)
		return;
	sim->stats.fault[FAULT_CANCEL]++;
	nghttp2_submit_rst_stream(client->link->session, 0, op->stream, NGHTTP2_CANCEL);
	http_pump(client->link);
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
	client->who = (uint8_t)(local / 2 % SIM_PRINCIPALS);
	snprintf(client->principal.name, sizeof(client->principal.name), "uid:%u", client->who);
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
		pager_fini(&client->op[i]);
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
	for (uint32_t i = 0; i < SIM_DAEMONS; i++) {
		if (!sim->daemon[i].draining)
			continue;
		snprintf(text, sizeof(text), "daemon %u has not drained", i);
		return text;
	}
	return "a call inside a daemon";
}
