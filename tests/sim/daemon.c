/* SPDX-License-Identifier: BSD-2-Clause */
/* Three daemons: each a domain and its shards, stepped one at a time; drained and restarted. */
#include "sim.h"

#include "dispatch.h"
#include "domain_types.h"

#include <stdlib.h>
#include <string.h>

#define QUIET_ROUNDS 100000

struct knobs knobs;

/* The same for all daemons and runs; kept for the life of the process. */
static struct routes *all_routes(void)
{
	static struct routes *routes;
	struct routes_config config = {.domain_methods = hooks_methods(), .reflection = true};
	const char *error;

	if (!routes)
		routes = routes_create(&config, &error);
	if (!routes)
		abort();
	return routes;
}

static uint64_t pool_used(const struct daemon *d)
{
	return atomic_load(&d->domain->tables.world.pool.used_bytes);
}

static void start(struct sim *sim, struct daemon *d)
{
	struct domain_config config = {.epoch = d->epoch,
				       .table_bytes = UINT64_C(64) << 20,
				       .loops = d->shards,
				       .version = "simulated",
				       .services = routes_services(all_routes()),
				       .allow_failpoints = true,
				       .wire = sim->swarm.wire};

	d->domain = domain_create(&config);
	if (!d->domain)
		abort();
	for (uint32_t i = 0; i < d->shards; i++) {
		struct shard_config shard = {d->domain, all_routes(), i, d->shards};

		d->shard[i] = shard_create(&shard);
		if (!d->shard[i])
			abort();
		d->timer_at[i] = UINT64_MAX;
		d->mail[i] = d->reclaim[i] = d->drained[i] = false;
		shard_trace(d->shard[i], true);
	}
	for (uint32_t i = 0; i < d->shards; i++)
		shard_meet(d->shard[i], d->shard);
	d->draining = false;
	d->pool_at_start = pool_used(d);
	model_reset(&d->model);
}

bool daemons_start(struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_DAEMONS; i++) {
		struct daemon *d = &sim->daemon[i];

		d->number = (uint8_t)i;
		d->epoch = 0x1000 * (i + 1) + 1;
		d->shards = sim->swarm.shards[i];
		start(sim, d);
	}
	return true;
}

/* A write leaves whole, or in part; what is left leaves later. */
static void take_write(struct sim *sim, struct link *link, struct action *action)
{
	uint64_t draw = sim_mix(sim->seed, (uint64_t)link->client << 32 | link->writes++);
	size_t n = draw % 100 < sim->swarm.whole || sim->settling
			   ? action->length
			   : (draw >> 8) % (action->length + 1);

	if (link->aborted)
		return;
	pipe_put(&link->down, action->data, n);
	if (n == action->length && !action->report) {
		action->done = true;
		return;
	}
	sim->stats.fault[FAULT_PARTIAL_WRITE] += n < action->length;
	link->pending = *action;
	link->pending_sent = n;
	link->pending_write = true;
}

static void carry_out(struct sim *sim, struct daemon *d, uint32_t shard)
{
	size_t n;
	struct action *action = shard_actions(d->shard[shard], &n);

	for (size_t i = 0; i < n; i++) {
		struct link *link = (struct link *)(void *)action[i].peer;

		switch (action[i].kind) {
		case ACTION_WRITE: take_write(sim, link, &action[i]); break;
		case ACTION_PAUSE: link->paused = true; break;
		case ACTION_RESUME: link->paused = false; break;
		case ACTION_CLOSE: link->closing = true; break;
		case ACTION_ABORT:
			link->aborted = true;
			link->pending_write = false;
			break;
		case ACTION_ARM: d->timer_at[shard] = action[i].at_ns; break;
		case ACTION_MAIL: d->mail[shard] = true; break;
		case ACTION_RECLAIM: d->reclaim[shard] = true; break;
		case ACTION_NOTIFY:
			if (sim->plant != PLANT_LOSE_WAKE)
				d->mail[action[i].shard] = true;
			break;
		case ACTION_APPEND: break;
		case ACTION_DRAINED: d->drained[shard] = true; break;
		}
	}
}

void daemon_step(struct sim *sim, struct daemon *d, uint32_t shard, struct event *event)
{
	event->now_ns = sim->now_ns;
	sim->stats.steps++;
	shard_step(d->shard[shard], event);
	carry_out(sim, d, shard);
	if (!d->mail[shard] && !d->reclaim[shard])
		shard_idle(d->shard[shard]); /* its loop would wait now */
}

bool daemon_wants(const struct sim *sim, const struct daemon *d, uint32_t shard)
{
	return d->timer_at[shard] <= sim->now_ns || d->reclaim[shard] || d->mail[shard];
}

bool daemon_turn(struct sim *sim, struct daemon *d, uint32_t shard)
{
	struct event event = {.kind = EVENT_MAIL};

	if (shard >= d->shards)
		return false;
	if (d->timer_at[shard] <= sim->now_ns) {
		sim->stats.fault[FAULT_LATE_TIMER] += sim->now_ns - d->timer_at[shard] > MS;
		d->timer_at[shard] = UINT64_MAX;
		event.kind = EVENT_TIMER;
	} else if (d->reclaim[shard]) {
		d->reclaim[shard] = false;
		event.kind = EVENT_RECLAIMED;
	} else if (d->mail[shard]) {
		d->mail[shard] = false;
	} else {
		return false;
	}
	daemon_step(sim, d, shard, &event);
	return true;
}

void daemon_drain(struct sim *sim, struct daemon *d)
{
	if (d->draining)
		return;
	sim->stats.fault[FAULT_DRAIN] += !sim->settling;
	d->draining = true;
	domain_drain(d->domain);
	for (uint32_t i = 0; i < d->shards; i++)
		d->mail[i] = true;
}

bool daemon_has_drained(const struct daemon *d)
{
	for (uint32_t i = 0; i < d->shards; i++)
		if (!d->drained[i])
			return false;
	return d->draining;
}

/* Everybody's connections to `d` are over, and the clients know. */
static void end_links(struct sim *sim, const struct daemon *d)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		struct client *client = &sim->client[i];

		if (client->daemon != d->number)
			continue;
		if (client->link)
			link_leave(client->link, false);
		while (client->old[0])
			link_old(sim, client, 0, 0);
	}
}

static void stop(struct sim *sim, struct daemon *d)
{
	uint32_t busy = 1;

	end_links(sim, d);
	for (uint32_t round = 0; busy && round < QUIET_ROUNDS; round++) {
		busy = 0;
		for (uint32_t i = 0; i < d->shards; i++)
			busy += (d->mail[i] || d->reclaim[i]) && daemon_turn(sim, d, i);
		hooks_rcu();
	}
	for (uint32_t i = 0; i < d->shards; i++)
		sim->digest = sim_mix(sim->digest, shard_digest(d->shard[i]));
	for (uint32_t i = 0; i < d->shards; i++)
		shard_destroy(d->shard[i]);
	domain_destroy(d->domain);
	oracle_forget(sim, d->number);
	model_reset(&d->model);
	d->domain = NULL;
}

void daemon_restart(struct sim *sim, struct daemon *d)
{
	stop(sim, d);
	d->epoch++;
	start(sim, d);
}

void daemons_stop(struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		if (sim->daemon[i].domain)
			stop(sim, &sim->daemon[i]);
}
