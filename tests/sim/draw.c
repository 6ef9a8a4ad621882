/* SPDX-License-Identifier: BSD-2-Clause */
/* The next event: a fault now and then, else one of the things that can happen now. */
#include "sim.h"

#define MOST_DRAW 20000u

size_t draw_choices(const struct sim *sim, const struct client *client, struct ev *out)
{
	const struct link *link = client->link;
	uint8_t who = client->number;
	size_t n = 0;

	if (client_has_work(sim, client))
		out[n++] = (struct ev){.kind = EV_TURN, .who = who};
	if (link && link->up.length && !link->paused)
		out[n++] = (struct ev){.kind = EV_UP, .who = who};
	if (link && link->pending_write && !link->aborted)
		out[n++] = (struct ev){.kind = EV_SENT, .who = who};
	if (link && (link->down.length || link->aborted || (link->closing && !link->pending_write)))
		out[n++] = (struct ev){.kind = EV_DOWN, .who = who};
	for (uint16_t i = 0; i < SIM_OLD && client->old[i]; i++)
		out[n++] = (struct ev){.kind = EV_OLD, .who = who, .arg = i};
	return n;
}

/* Client or shard number `pick`: one thing that it can do. */
static bool choose(struct sim *sim, uint64_t pick, struct ev *ev)
{
	struct ev choice[8];
	size_t n;

	if (pick >= SIM_CLIENTS) {
		uint32_t who = (uint32_t)pick - SIM_CLIENTS;
		const struct daemon *d = &sim->daemon[who / SIM_SHARDS];

		*ev = (struct ev){.kind = EV_SHARD, .who = (uint8_t)who};
		return who % SIM_SHARDS < d->shards && daemon_wants(sim, d, who % SIM_SHARDS);
	}
	n = draw_choices(sim, &sim->client[pick], choice);
	if (!n)
		return false;
	*ev = choice[sim_draw(&sim->random, n)];
	return true;
}

static uint64_t next_ns(const struct sim *sim)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		for (uint32_t k = 0; k < sim->daemon[i].shards; k++)
			if (sim->daemon[i].timer_at[k] < next)
				next = sim->daemon[i].timer_at[k];
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		if (client_next_ns(sim, &sim->client[i]) < next)
			next = client_next_ns(sim, &sim->client[i]);
	return next;
}

/* To the next timer; in steps that fit an event. */
struct ev draw_wait(const struct sim *sim)
{
	uint64_t next = next_ns(sim), us = next <= sim->now_ns ? 0 : (next - sim->now_ns) / 1000;

	if (next == UINT64_MAX)
		us = 1000000;
	return (struct ev){.kind = EV_TIME, .n = us < 60000000 ? (uint32_t)us + 1 : 60000000};
}

static void sizes(struct sim *sim, struct ev *ev)
{
	const struct client *client = &sim->client[ev->who % SIM_CLIENTS];
	const struct link *link = ev->kind == EV_OLD ? client->old[ev->arg] : client->link;
	size_t length = 0;

	if (ev->kind == EV_TURN)
		ev->arg = (uint16_t)sim_draw(&sim->random, SIM_SHARDS);
	else if (ev->kind == EV_UP || ev->kind == EV_OLD)
		length = link->up.length;
	else if (ev->kind == EV_DOWN)
		length = link->down.length;
	if (length && !sim_percent(&sim->random, sim->swarm.whole))
		ev->n = 1 + (uint32_t)sim_draw(&sim->random, length);
}

static struct ev draw_plain(struct sim *sim)
{
	const uint64_t actors = SIM_CLIENTS + SIM_DAEMONS * SIM_SHARDS;
	uint64_t pick = sim_draw(&sim->random, actors + 1);
	struct ev ev;

	if (pick == actors)
		return (struct ev){.kind = EV_RCU};
	for (uint64_t i = 0; i < actors; i++) {
		if (!choose(sim, (pick + i) % actors, &ev))
			continue;
		sizes(sim, &ev);
		return ev;
	}
	return draw_wait(sim);
}

static struct ev draw(struct sim *sim)
{
	const struct swarm *s = &sim->swarm;
	uint64_t at = sim_draw(&sim->random, 10000), *random = &sim->random;
	uint8_t client = (uint8_t)sim_draw(random, SIM_CLIENTS);
	uint8_t daemon = (uint8_t)sim_draw(random, SIM_DAEMONS);

	if (at < s->cut)
		return (struct ev){EV_CUT, client, (uint16_t)sim_draw(random, CUT_KINDS), 0};
	at -= s->cut;
	if (at < s->restart)
		return (struct ev){EV_RESTART, client, sim_draw(random, 3) != 0, 0};
	at -= s->restart;
	if (at < s->cancel)
		return (struct ev){EV_CANCEL, client, 0, 0};
	at -= s->cancel;
	if (at < s->drain)
		return (struct ev){EV_DRAIN, daemon, 0, 0};
	at -= s->drain;
	if (at < s->crash)
		return (struct ev){EV_CRASH, daemon, 0, 0};
	at -= s->crash;
	if (at < s->jump)
		return (struct ev){EV_TIME, 0, 1, 1 + (uint32_t)sim_draw(random, s->jump_us)};
	return draw_plain(sim);
}

bool sim_all_done(const struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		if (!client_is_done(&sim->client[i]))
			return false;
	return true;
}

void sim_draw_events(struct sim *sim, struct ev *record, size_t *recorded)
{
	for (size_t n = 0; n < MOST_DRAW && !sim_all_done(sim) && !sim_failed(sim); n++) {
		struct ev ev = draw(sim);

		record[n] = ev;
		*recorded = n + 1; /* before it is done: a crash leaves the list */
		sim_do(sim, ev);
	}
}
