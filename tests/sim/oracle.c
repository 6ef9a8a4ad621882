/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle over calls: which operation of which client a call is, and what its end means for the
 * request id: one effect, one answer, no other body.
 */
#include "sim.h"

#include "stream.h"

#include <pt/outcome.h>

#include <string.h>

#define EXECS	1024
#define RUNNING 40 /* ids that calls under way may hold */

static struct exec execs[EXECS];
static struct exec *current;
static uint64_t serial;

struct exec *oracle_current(void)
{
	return current;
}

static struct op *find_op(const struct stream *stream, struct link **link)
{
	struct client *client;

	*link = (struct link *)(void *)stream->conn->peer;
	if (!*link || stream->id < 1 || (uint32_t)stream->id / 2 >= SIM_STREAMS)
		return NULL;
	client = &(*link)->sim->client[(*link)->client];
	return client->raw ? NULL : &client->op[(*link)->op_of[stream->id / 2]];
}

struct exec *oracle_call(struct call *call)
{
	struct exec *free_one = NULL;
	struct link *link;
	struct op *op;

	for (uint32_t i = 0; i < EXECS; i++) {
		if (execs[i].call == call)
			return &execs[i];
		if (!execs[i].call && !free_one)
			free_one = &execs[i];
	}
	op = find_op((const struct stream *)(const void *)call, &link);
	if (!op || !free_one || op->kind == OP_WATCH)
		return NULL;
	*free_one = (struct exec){.call = call, .op = op, .link = link, .serial = ++serial};
	return free_one;
}

bool oracle_runs(const struct op *op)
{
	for (uint32_t i = 0; i < EXECS; i++)
		if (execs[i].call && execs[i].op == op)
			return true;
	return false;
}

struct exec *oracle_next(struct exec *exec)
{
	for (exec = exec ? exec + 1 : execs; exec < execs + EXECS; exec++)
		if (exec->call)
			return exec;
	return NULL;
}

bool oracle_busy(void)
{
	for (uint32_t i = 0; i < EXECS; i++)
		if (execs[i].call)
			return true;
	return false;
}

void oracle_reset(void)
{
	memset(execs, 0, sizeof(execs));
	current = NULL;
	serial = 0;
}

bool oracle_others(const struct exec *exec)
{
	for (uint32_t i = 0; i < EXECS; i++)
		if (execs[i].call && &execs[i] != exec && execs[i].op->handle == exec->op->handle)
			return true;
	return false;
}

static struct model_context *context_of(struct sim *sim, const struct op *op)
{
	struct daemon *d = model_daemon(sim, op->handle);

	return d ? model_context(&d->model, op->handle) : NULL;
}

static void tell(const struct sim *sim, const struct exec *exec, const char *what)
{
	const struct op *op = exec->op;

	if (sim->tell)
		fprintf(sim->tell, "\t%llu: client %u op %u %s %llx %s; %u items, %u errors\n",
			(unsigned long long)sim->stats.events, op->client, op->number,
			op_name(op->kind), (unsigned long long)op->handle, what, exec->items,
			exec->errors);
}

uint64_t oracle_serial(void)
{
	return ++serial;
}

void oracle_begin(struct sim *sim, struct exec *exec, const struct call *call)
{
	struct model_context *c = context_of(sim, exec->op);

	if (c) {
		c->aged |= exec->op->kind == OP_AGE;
		c->logged |= exec->op->kind == OP_START_LOG;
	}
	paged_goes_on(sim, exec, call);
	if (exec->op->session)
		session_step(sim, exec, call);
	if (!exec->generation) {
		exec->generation = c ? c->highest : 1;
		tell(sim, exec, "begins");
	}
	current = exec;
}

void oracle_pause(struct sim *sim, struct exec *exec, enum call_result result)
{
	if (exec->op->session)
		session_pause(exec, result);
	sim->stats.parked += result == CALL_PARKED;
	sim->stats.more += result == CALL_MORE;
	current = NULL;
}

bool oracle_forgotten(const struct sim *sim, const struct op *op)
{
	const struct client *client = &sim->client[op->client];
	const struct model *model = &sim->daemon[client->daemon].model;

	return !op->answered || sim->now_ns - op->done_ns >= knobs.request_id_ttl_ns ||
	       model->finished - op->done_count + RUNNING >= knobs.request_ids ||
	       model->finished_of[client->who] - op->done_count_of + RUNNING >=
		       knobs.principal_request_ids;
}

/* Another operation of the client has come with this id and this body before. */
static bool is_anothers_answer(const struct sim *sim, const struct op *op, uint64_t hash)
{
	const struct client *client = &sim->client[op->client];

	for (uint32_t i = 0; i < client->ops; i++) {
		const struct op *other = &client->op[i];

		if (other != op && other->answered && other->answer == hash &&
		    other->length == op->length && !memcmp(other->body, op->body, op->length))
			return true;
	}
	return false;
}

/* The call has a success to tell, whoever still listens: this is what retries get. */
static void decided(struct sim *sim, struct exec *exec, struct call *call)
{
	struct daemon *d = &sim->daemon[sim->client[exec->op->client].daemon];
	uint64_t hash = message_hash(call->response);
	struct op *op = exec->op;
	bool worked = exec->items || exec->retired;

	if (op->has_id && !worked &&
	    ((op->answered && hash == op->answer) ||
	     (op->reuses && is_anothers_answer(sim, op, hash)))) {
		sim->stats.replays++;
		return;
	}
	if (op->has_id && op->answered && !oracle_forgotten(sim, op)) {
		sim_fail(sim, worked ? "twice" : "retry", "client %u op %u %s: a retry %s",
			 op->client, op->number, op_name(op->kind),
			 worked ? "ran again" : "got another answer");
		return;
	}
	if (op->reuses && op->reuses->answered && !oracle_forgotten(sim, op->reuses))
		sim_fail(sim, "reuse", "client %u op %u %s: the id of op %u, and another body",
			 op->client, op->number, op_name(op->kind), op->reuses->number);
	op->answered = true;
	op->answer = hash;
	op->done_ns = call->now_ns;
	if (op->has_id) {
		op->done_count = ++d->model.finished;
		op->done_count_of = ++d->model.finished_of[sim->client[op->client].who];
	}
	content_check(sim, exec, call);
}

void oracle_end(struct sim *sim, struct exec *exec, struct call *call)
{
	const struct stream *stream = (const struct stream *)(const void *)call;
	uint32_t at = (uint32_t)stream->id / 2;

	tell(sim, exec,
	     call->response    ? "ends"
	     : call->abandoned ? "is undone"
			       : pt_outcome_info(call->status.code)->name);
	if (exec->op->session) {
		exec->call = NULL;
		return;
	}
	if (exec->op->pager)
		paged_over(sim, exec, call);
	if (call->response)
		decided(sim, exec, call);
	else
		failure_check(sim, exec, call);
	if (stream->conn->peer) {
		if (exec->link->ended[at])
			sim_fail(sim, "twice", "client %u op %u %s: a second answer",
				 exec->op->client, exec->op->number, op_name(exec->op->kind));
		exec->link->ended[at] = true;
		exec->link->answer[at] = call->response && call->status.code == PT_OK
						 ? message_hash(call->response)
						 : 0;
	}
	exec->call = NULL;
}

static void forget_op(struct op *op)
{
	op->answered = op->worked = false;
	if (op->session)
		session_forget(op);
}

void oracle_forget(struct sim *sim, uint32_t daemon)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		struct client *client = &sim->client[i];

		for (uint32_t k = 0; client->daemon == daemon && k < SIM_OPS; k++)
			forget_op(&client->op[k]);
	}
	for (uint32_t i = 0; i < EXECS; i++) {
		if (!execs[i].call || sim->client[execs[i].op->client].daemon != daemon)
			continue;
		sim_fail(sim, "end", "client %u op %u %s: its call has not ended in the daemon",
			 execs[i].op->client, execs[i].op->number, op_name(execs[i].op->kind));
		execs[i].call = NULL;
	}
	current = NULL;
}
