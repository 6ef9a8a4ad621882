/* SPDX-License-Identifier: BSD-2-Clause */
/* The scheduler of the simulation: picks one thing that can happen, by the seed, and lets it. */
#include "sim.h"

#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

uint64_t sim_draw(struct sim *sim, uint64_t below)
{
	uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

void sim_init(struct sim *sim, uint64_t seed, uint32_t shards)
{
	struct routes_config routes = {.domain_methods = domain_methods, .reflection = true};
	struct domain_config config = {.epoch = 0x1234,
				       .table_bytes = UINT64_C(64) << 20,
				       .loops = shards,
				       .version = "simulated",
				       .allow_failpoints = true};
	const char *error;

	memset(sim, 0, sizeof(*sim));
	sim->random = seed;
	sim->now_ns = 1000000000;
	sim->shards = shards;
	sim->routes = routes_create(&routes, &error);
	if (!sim->routes)
		abort();
	config.services = routes_services(sim->routes);
	sim->domain = domain_create(&config);
	for (uint32_t i = 0; i < shards; i++) {
		struct shard_config shard = {sim->domain, sim->routes, i, shards};

		sim->shard[i] = shard_create(&shard);
		if (!sim->shard[i])
			abort();
		sim->timer_at[i] = UINT64_MAX;
		shard_trace(sim->shard[i], true);
	}
	for (uint32_t i = 0; i < shards; i++)
		shard_meet(sim->shard[i], sim->shard);
}

static void step(struct sim *sim, uint32_t shard, struct event *event);

/* A write leaves whole, or in part; what is left leaves later. */
static void take_write(struct sim *sim, struct sim_client *client, struct action *action)
{
	size_t n = sim_draw(sim, 4) ? action->length : sim_draw(sim, action->length + 1);

	if (client->closed)
		return;
	pipe_put(&client->to_client, action->data, n);
	if (n == action->length && !action->report) {
		action->done = true;
		return;
	}
	client->pending = *action;
	client->pending_sent = n;
	client->pending_write = true;
}

static void carry_out(struct sim *sim, uint32_t shard)
{
	size_t n;
	struct action *action = shard_actions(sim->shard[shard], &n);

	for (size_t i = 0; i < n; i++) {
		struct sim_client *client = (struct sim_client *)(void *)action[i].peer;

		switch (action[i].kind) {
		case ACTION_WRITE: take_write(sim, client, &action[i]); break;
		case ACTION_PAUSE: client->paused = true; break;
		case ACTION_RESUME: client->paused = false; break;
		case ACTION_CLOSE: client->closing = true; break;
		case ACTION_ABORT: client->closed = true; break;
		case ACTION_ARM: sim->timer_at[shard] = action[i].at_ns; break;
		case ACTION_MAIL: sim->mail[shard] = true; break;
		case ACTION_RECLAIM: sim->reclaim[shard] = true; break;
		case ACTION_NOTIFY: sim->mail[action[i].shard] = true; break;
		case ACTION_APPEND: break;
		case ACTION_DRAINED: sim->drained[shard] = true; break;
		}
	}
}

static void step(struct sim *sim, uint32_t shard, struct event *event)
{
	event->now_ns = sim->now_ns;
	sim->steps++;
	shard_step(sim->shard[shard], event);
	carry_out(sim, shard);
}

struct sim_client *sim_connect(struct sim *sim, uint32_t shard)
{
	struct sim_client *client = &sim->client[sim->clients++];
	struct principal principal = {.name = "uid:0", .admin = true};
	struct event event = {
		.kind = EVENT_ACCEPTED, .peer = &client->peer, .principal = &principal};

	client->sim = sim;
	client->shard = shard % sim->shards;
	client->depth = 1;
	client_open(client);
	event.random = sim_draw(sim, UINT64_MAX);
	step(sim, client->shard, &event);
	return client;
}

static void deliver_to_server(struct sim *sim, struct sim_client *client)
{
	struct event event = {.kind = EVENT_BYTES, .peer = &client->peer};
	size_t n = client->to_server.length;
	uint8_t *copy;

	if (!n || client->paused || client->closing)
		return;
	if (sim_draw(sim, 3))
		n = 1 + sim_draw(sim, n);
	copy = malloc(n); /* exactly so long: an address sanitizer sees a read beyond it */
	if (!copy)
		abort();
	memcpy(copy, client->to_server.data, n);
	pipe_drop(&client->to_server, n);
	event.data = copy;
	event.length = n;
	step(sim, client->shard, &event);
	free(copy);
}

static void deliver_to_client(struct sim *sim, struct sim_client *client)
{
	size_t n = client->to_client.length;

	if (!n)
		return;
	if (sim_draw(sim, 3))
		n = 1 + sim_draw(sim, n);
	client_receive(client, client->to_client.data, n);
	pipe_drop(&client->to_client, n);
}

static void finish_write(struct sim *sim, struct sim_client *client)
{
	struct event event = {.kind = EVENT_WRITABLE, .peer = &client->peer};
	struct action *write = &client->pending;

	if (!client->pending_write)
		return;
	client->pending_write = false;
	pipe_put(&client->to_client, write->data + client->pending_sent,
		 write->length - client->pending_sent);
	step(sim, client->shard, &event);
}

static void close_client(struct sim *sim, struct sim_client *client)
{
	struct event event = {.kind = EVENT_CLOSED, .peer = &client->peer};
	bool vanishes = client->vanish_after && client->ok >= client->vanish_after;

	if (client->told || client->pending_write ||
	    !(client->closed || client->closing || vanishes))
		return;
	client->closed = client->told = true;
	step(sim, client->shard, &event);
}

static void turn_client(struct sim *sim, struct sim_client *client)
{
	if (client->told)
		return;
	switch (sim_draw(sim, 5)) {
	case 0: client_turn(client); break;
	case 1: deliver_to_server(sim, client); break;
	case 2: deliver_to_client(sim, client); break;
	case 3: finish_write(sim, client); break;
	case 4: close_client(sim, client); break;
	}
}

static void turn_shard(struct sim *sim, uint32_t shard)
{
	struct event event = {.kind = EVENT_MAIL};

	if (sim->timer_at[shard] <= sim->now_ns) {
		sim->timer_at[shard] = UINT64_MAX;
		event.kind = EVENT_TIMER;
	} else if (sim->reclaim[shard]) {
		sim->reclaim[shard] = false;
		event.kind = EVENT_RECLAIMED;
	} else if (sim->mail[shard]) {
		sim->mail[shard] = false;
	} else {
		return;
	}
	step(sim, shard, &event);
}

static void turn(struct sim *sim)
{
	uint64_t pick = sim_draw(sim, sim->clients + sim->shards);

	sim->now_ns += sim_draw(sim, 20000);
	if (pick < sim->clients)
		turn_client(sim, &sim->client[pick]);
	else
		turn_shard(sim, (uint32_t)(pick - sim->clients));
}

static bool all_done(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->clients; i++)
		if (!client_is_done(&sim->client[i]))
			return false;
	return true;
}

bool sim_run(struct sim *sim, uint64_t most)
{
	while (!all_done(sim) && most--)
		turn(sim);
	return all_done(sim);
}

bool sim_drain(struct sim *sim, uint64_t most)
{
	uint32_t drained = 0;

	domain_drain(sim->domain);
	for (uint32_t i = 0; i < sim->shards; i++)
		sim->mail[i] = true;
	while (drained < sim->shards && most--) {
		turn(sim);
		sim->now_ns += 10000000; /* waiting is most of a drain */
		for (drained = 0; drained < sim->shards && sim->drained[drained];)
			drained++;
	}
	return drained == sim->shards;
}

uint64_t sim_digest(const struct sim *sim)
{
	uint64_t digest = sim->steps;

	for (uint32_t i = 0; i < sim->shards; i++)
		digest = digest * UINT64_C(0x9e3779b97f4a7c15) ^ shard_digest(sim->shard[i]);
	return digest;
}

void sim_fini(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->clients; i++) {
		struct sim_client *client = &sim->client[i];

		client->pending_write = false;
		client->closed = true;
		close_client(sim, client);
		nghttp2_session_del(client->session);
		free(client->to_server.data);
		free(client->to_client.data);
	}
	for (uint32_t i = 0; i < sim->shards; i++)
		shard_destroy(sim->shard[i]);
	domain_destroy(sim->domain);
	routes_destroy(sim->routes);
}
