/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The draws: what a seed decides for the whole run, and operation k of client c from (seed, c, k)
 * and what the client knows, so that leaving out an event changes no other client's wishes.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static uint32_t one_of(uint64_t *random, const uint32_t *choice, uint32_t n)
{
	return choice[sim_draw(random, n)];
}
#define ONE_OF(random, ...)                                                                        \
	one_of(random, (const uint32_t[]){__VA_ARGS__},                                            \
	       sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void draw_knobs(uint64_t *random)
{
	knobs.step_visits = ONE_OF(random, 20000, 20000, 1000, 150, 20);
	knobs.step_items = ONE_OF(random, 512, 512, 3, 1);
	knobs.request_ids = ONE_OF(random, 65536, 65536, 1024);
	knobs.principal_request_ids = ONE_OF(random, 16384, 16384, 64);
	knobs.request_id_ttl_ns = ONE_OF(random, 600000, 600000, 400) * MS;
	knobs.connection_window = ONE_OF(random, 8 << 20, 1 << 20);
	knobs.high_water = ONE_OF(random, 1 << 20, 1 << 20, 2000);
	knobs.low_water = knobs.high_water / 4;
	knobs.stream_queue = ONE_OF(random, 256 << 10, 256 << 10, 1000);
}

static void draw_wire(struct wire_config *wire, uint64_t *random)
{
	*wire = (struct wire_config)WIRE_CONFIG_DEFAULT;
	wire->keepalive_ns = ONE_OF(random, 10000, 10000, 20, 0) * MS;
	wire->keepalive_timeout_ns = ONE_OF(random, 5000, 5000, 50) * MS;
	wire->idle_ns = ONE_OF(random, 0, 0, 100) * MS;
	wire->age_ns = ONE_OF(random, 0, 0, 200) * MS;
	wire->age_grace_ns = ONE_OF(random, 30000, 10) * MS;
	wire->drain_grace_ns = ONE_OF(random, 30000, 30000, 500) * MS;
}

static void draw_faults(struct swarm *s, uint64_t *random)
{
	s->cut = ONE_OF(random, 10, 30, 60, 100);
	s->restart = ONE_OF(random, 0, 3, 10);
	s->cancel = ONE_OF(random, 0, 10, 40);
	s->drain = ONE_OF(random, 0, 0, 2, 4);
	s->crash = ONE_OF(random, 0, 0, 2, 4);
	s->jump = ONE_OF(random, 5, 20, 60);
	s->jump_us = ONE_OF(random, 200, 5000, 300000, 6000000);
	s->timeouts = ONE_OF(random, 0, 10, 30);
	s->failpoints = ONE_OF(random, 0, 0, 4);
	s->retry_done = ONE_OF(random, 0, 10, 30);
}

void swarm_draw(struct sim *sim)
{
	struct swarm *s = &sim->swarm;
	uint64_t random = sim_mix(sim->seed, 1);

	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		s->shards[i] = 1 + (uint32_t)sim_draw(&random, SIM_SHARDS);
	s->ops = ONE_OF(&random, 40, 70, 100);
	s->depth = ONE_OF(&random, 1, 2, 4, 8);
	s->items = ONE_OF(&random, 2, 4, SIM_ITEMS);
	s->granule_shift = ONE_OF(&random, 12, 12, 14, 16);
	s->quota_pages = ONE_OF(&random, 0, 0, 0, 6);
	s->whole = ONE_OF(&random, 30, 60, 90);
	s->client_window = ONE_OF(&random, 65535, 65535, 300, 17);
	s->watches = sim_draw(&random, 2) != 0;
	draw_knobs(&random);
	draw_wire(&s->wire, &random);
	draw_faults(s, &random);
	if (sim_percent(&random, 5)) /* how it is when nothing happens */
		s->cut = s->restart = s->cancel = s->drain = s->crash = s->jump = s->timeouts =
			s->failpoints = 0;
	s->pagers = sim_draw(&random, 2) != 0;
}

/* ---- operations ---- */

static enum op_kind draw_kind(const struct sim *sim, uint64_t *random)
{
	uint32_t sum = 0, kinds = sim->swarm.pagers ? OP_KINDS : OP_SET_SLOT;
	uint64_t at;

	for (uint32_t i = 0; i < kinds; i++)
		sum += op_weight((enum op_kind)i);
	at = sim_draw(random, sum);
	for (uint32_t i = 0; i < kinds; i++) {
		if (at < op_weight((enum op_kind)i))
			return (enum op_kind)i;
		at -= op_weight((enum op_kind)i);
	}
	return OP_TRANSLATE;
}

static bool is_about_context(enum op_kind kind)
{
	return kind == OP_DELETE_CONTEXT || (kind >= OP_MAP && kind <= OP_TRANSLATE) ||
	       kind == OP_GET_DIGEST || kind == OP_DUMP || kind >= OP_SESSION;
}

/* Another context that it knows, if it knows any. */
static void pick_known(const struct client *client, struct op *op, uint64_t *random)
{
	uint32_t n = SIM_MACHINES * SIM_CONTEXTS, first = (uint32_t)sim_draw(random, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (first + i) % n;

		if (!client->context[at / SIM_CONTEXTS][at % SIM_CONTEXTS])
			continue;
		op->machine = (uint8_t)(at / SIM_CONTEXTS);
		op->context = (uint8_t)(at % SIM_CONTEXTS);
		return;
	}
}

/* What it does not know yet it asks for, or makes. */
static void resolve(struct client *client, struct op *op, uint64_t *random)
{
	uint64_t machine, context;

	if (is_about_context(op->kind) && !client->context[op->machine][op->context] &&
	    sim_percent(random, 80))
		pick_known(client, op, random);
	machine = client->machine[op->machine];
	context = client->context[op->machine][op->context];
	if (is_about_context(op->kind) && !context)
		op->kind = sim_draw(random, 3) ? OP_CREATE_CONTEXT : OP_GET_CONTEXT;
	if ((op->kind == OP_CREATE_CONTEXT || op->kind == OP_DELETE_MACHINE) && !machine)
		op->kind = sim_draw(random, 3) ? OP_CREATE_MACHINE : OP_GET_MACHINE;
	op->log = client->log[op->machine][op->context];
	op->log_generation = client->log_generation[op->machine][op->context];
	if ((op->kind == OP_GET_LOG || op->kind == OP_STOP_LOG) && !op->log)
		op->kind = OP_START_LOG;
	op->by_name = op->kind == OP_GET_CONTEXT && (!context || sim_draw(random, 2));
	op->handle =
		op->kind == OP_CREATE_CONTEXT || op->kind == OP_DELETE_MACHINE ? machine : context;
}

/* An earlier request whose answer the client has: its id must be refused for another body. */
static const struct op *finished_one(const struct client *client, uint64_t *random)
{
	const struct op *op;

	if (!client->ops)
		return NULL;
	op = &client->op[sim_draw(random, client->ops)];
	return op->has_id && !op->reuses && op->state == OP_DONE && op->status == 0 ? op : NULL;
}

static void set_id(const struct client *client, struct op *op)
{
	memset(op->id, 0x5a, sizeof(op->id));
	op->id[0] = op->number;
	op->id[1] = client->rank;
}

/* What was to be another body is the same. */
static void own_id(struct sim *sim, struct client *client, struct op *op, uint64_t *random)
{
	op->reuses = NULL;
	set_id(client, op);
	free(op->body);
	script_pack(sim, op, random);
}

static void draw_id(struct client *client, struct op *op, uint64_t *random)
{
	bool writes = !op_reads(op->kind);

	op->has_id = writes && sim_percent(random, 80);
	if (!op->has_id)
		return;
	set_id(client, op);
	if (!sim_percent(random, 8))
		return;
	op->reuses = finished_one(client, random);
	if (op->reuses)
		memcpy(op->id, op->reuses->id, sizeof(op->id));
}

void choose_next(struct sim *sim, struct client *client, struct op *op)
{
	uint64_t random = sim_mix(sim->seed, 0x100000 + client->number * 0x1000 + op->number);

	op->kind = draw_kind(sim, &random);
	op->machine = (uint8_t)sim_draw(&random, SIM_MACHINES);
	op->context = (uint8_t)sim_draw(&random, SIM_CONTEXTS);
	if (op->kind >= OP_SET_SLOT ||
	    (op->kind == OP_SESSION && sim->swarm.pagers)) /* they meet */
		op->context = 0;
	op->force = sim_draw(&random, 2) != 0;
	op->stable = sim_draw(&random, 2) != 0;
	op->validate_only = op->kind != OP_SESSION && sim_percent(&random, 8);
	op->want_outcomes = sim_draw(&random, 2) != 0;
	if (sim->swarm.watches && op->number == 2 && client->rank)
		op->kind = OP_WATCH;
	else if (sim_percent(&random, sim->swarm.failpoints))
		op->kind = OP_ARM;
	resolve(client, op, &random);
	draw_id(client, op, &random);
	if (op->kind != OP_SESSION && sim_percent(&random, 12))
		op->expected = client->generation[op->machine][op->context];
	if (op->kind != OP_WATCH && op->kind != OP_SESSION && op->kind != OP_SERVE &&
	    sim_percent(&random, sim->swarm.timeouts))
		op->timeout_us = 20u << sim_draw(&random, 8);
	if (sim_percent(&random, sim->swarm.retry_done))
		op->again = 1 + (uint32_t)sim_draw(&random, 2);
	script_pack(sim, op, &random);
	if (op->reuses && op->reuses->kind == op->kind && op->reuses->length == op->length &&
	    !memcmp(op->reuses->body, op->body, op->length))
		own_id(sim, client, op, &random);
}

void swarm_print(FILE *out, const struct sim *sim)
{
	const struct swarm *s = &sim->swarm;
	const struct wire_config *w = &s->wire;

	fprintf(out,
		"# shards %u %u %u, granule 2^%u, quota %u, %u operations, depth %u, %u items\n"
		"# step: %u visits, %u items; ids: %u, %u of one, %llu ms; client window %u; high "
		"water %u, stream queue %u\n"
		"# keepalive %llu + %llu ms, idle %llu, age %llu, drain %llu ms\n",
		s->shards[0], s->shards[1], s->shards[2], s->granule_shift, s->quota_pages, s->ops,
		s->depth, s->items, knobs.step_visits, knobs.step_items, knobs.request_ids,
		knobs.principal_request_ids, (unsigned long long)(knobs.request_id_ttl_ns / MS),
		s->client_window, knobs.high_water, knobs.stream_queue,
		(unsigned long long)(w->keepalive_ns / MS),
		(unsigned long long)(w->keepalive_timeout_ns / MS),
		(unsigned long long)(w->idle_ns / MS), (unsigned long long)(w->age_ns / MS),
		(unsigned long long)(w->drain_grace_ns / MS));
}
