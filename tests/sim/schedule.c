/* SPDX-License-Identifier: BSD-2-Clause */
/* A run: events drawn or given, then everything is let end, looked at, deleted and drained. */
#include "play.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS                                                                                     \
	100000u	  /* without an answer: it does not end; what is done in idle time takes many */
#define MOVES 64u /* of a client in a round: who is told BUSY asks again at once */

struct sim *sim_running;

uint64_t sim_mix(uint64_t a, uint64_t b)
{
	uint64_t z = (a ^ b * UINT64_C(0xd6e8feb86659fd93)) + UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t sim_draw(uint64_t *state, uint64_t below)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return sim_mix(*state, 0) % below;
}

void sim_fail(struct sim *sim, const char *check, const char *text, ...)
{
	size_t n;
	va_list list;

	if (sim_failed(sim))
		return;
	n = (size_t)snprintf(sim->failure, sizeof(sim->failure), "%s: ", check);
	va_start(list, text);
	vsnprintf(sim->failure + n, sizeof(sim->failure) - n, text, list);
	va_end(list);
}

/* ---- events ---- */

static void restart_drained(struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_DAEMONS && !sim->ending; i++)
		if (daemon_has_drained(&sim->daemon[i]))
			daemon_restart(sim, &sim->daemon[i]);
}

static void shard_turn(struct sim *sim, uint32_t who)
{
	daemon_turn(sim, &sim->daemon[who / SIM_SHARDS % SIM_DAEMONS], who % SIM_SHARDS);
}

/* What stands for many events in a list that was made short. */
static void quiet(struct sim *sim, struct client *client, uint32_t moves)
{
	struct daemon *d = &sim->daemon[client->daemon];
	struct ev choice[8];

	for (uint32_t i = 0; i < moves && draw_choices(sim, client, choice); i++) {
		choice[0].arg = choice[0].kind == EV_TURN ? (uint16_t)client->connects : 0;
		sim_do(sim, choice[0]);
		for (uint32_t k = 0; k < d->shards; k++)
			daemon_turn(sim, d, k);
	}
}

/* Before time passes: who waits does so for good reason. */
static void look_at_rest(struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_DAEMONS; i++) {
		const struct daemon *d = &sim->daemon[i];
		bool rests = true;

		for (uint32_t k = 0; k < d->shards; k++)
			rests &= !daemon_wants(sim, d, k);
		if (rests)
			paged_at_rest(sim, i);
	}
}

void sim_do(struct sim *sim, struct ev ev)
{
	struct client *client = &sim->client[ev.who % SIM_CLIENTS];
	struct daemon *d = &sim->daemon[ev.who % SIM_DAEMONS];

	sim->now_ns += 1000;
	sim->stats.events++;
	switch (ev.kind) {
	case EV_TURN: client_turn(sim, client, ev.arg); break;
	case EV_UP:
		if (client->link)
			link_up(client->link, ev.n);
		break;
	case EV_DOWN:
		if (client->link)
			link_down(client->link, ev.n);
		break;
	case EV_SENT:
		if (client->link)
			link_sent(client->link);
		break;
	case EV_OLD: link_old(sim, client, ev.arg, ev.n); break;
	case EV_SHARD: shard_turn(sim, ev.who); break;
	case EV_TIME:
		look_at_rest(sim);
		sim->now_ns += ev.n * UINT64_C(1000);
		sim->stats.fault[FAULT_JUMP] += ev.arg;
		break;
	case EV_CUT: link_cut(sim, client, (enum cut)ev.arg); break;
	case EV_RESTART: client_restart(sim, client, ev.arg); break;
	case EV_CANCEL: client_cancel(sim, client); break;
	case EV_DRAIN: daemon_drain(sim, d); break;
	case EV_CRASH:
		sim->stats.fault[FAULT_CRASH]++;
		daemon_restart(sim, d);
		break;
	case EV_QUIET: quiet(sim, client, ev.n); break;
	case EV_RCU: hooks_rcu(); break;
	default: break;
	}
	restart_drained(sim);
}

/* ---- the end ---- */

static bool step_client(struct sim *sim, struct client *client)
{
	struct ev choice[8];
	uint32_t moves = 0;

	while (moves < MOVES && draw_choices(sim, client, choice) && !sim_failed(sim)) {
		choice[0].arg = choice[0].kind == EV_TURN ? (uint16_t)client->connects : 0;
		sim_do(sim, choice[0]);
		moves++;
	}
	return moves;
}

static bool step_all(struct sim *sim)
{
	bool moved = false;

	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		moved |= step_client(sim, &sim->client[i]);
	for (uint8_t i = 0; i < SIM_DAEMONS * SIM_SHARDS; i++) {
		const struct daemon *d = &sim->daemon[i / SIM_SHARDS];

		if (i % SIM_SHARDS >= d->shards || !daemon_wants(sim, d, i % SIM_SHARDS))
			continue;
		sim_do(sim, (struct ev){.kind = EV_SHARD, .who = i});
		moved = true;
	}
	hooks_rcu();
	return moved;
}

static bool over(const struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		if (sim->ending ? !daemon_has_drained(&sim->daemon[i]) : sim->daemon[i].draining)
			return false;
	return sim->ending || sim_all_done(sim);
}

/* Fair turns for everybody, no faults; time passes when nobody can do anything. */
void sim_settle(struct sim *sim)
{
	uint64_t answers = 0;

	for (uint32_t i = 0; i < ROUNDS && !sim_failed(sim); i++) {
		bool moved = step_all(sim);

		if (answers != sim->stats.answers + sim->stats.messages)
			i = 0;
		answers = sim->stats.answers + sim->stats.messages;
		if (moved)
			continue;
		if (over(sim) && !oracle_busy())
			return;
		sim_do(sim, draw_wait(sim));
	}
	sim_fail(sim, "end", "it does not end: %s", client_unfinished(sim));
}

void sim_open(struct sim *sim, uint64_t seed, const struct scripts *scripts)
{
	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->random = sim_mix(seed, 2);
	sim->now_ns = 1000 * MS;
	sim_running = sim;
	oracle_reset();
	hooks_reset();
	swarm_draw(sim);
	if (scripts)
		sim->scripts = *scripts;
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		client_start(sim, &sim->client[i], i);
	daemons_start(sim);
}

void sim_end(struct sim *sim)
{
	sim->settling = true;
	if (!sim_failed(sim))
		sim_settle(sim);
	if (!sim_failed(sim))
		finish_all(sim);
	if (sim_failed(sim))
		return; /* as it stands; the process ends */
	daemons_stop(sim);
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		client_stop(&sim->client[i]);
	sim->digest = sim_mix(sim->digest, sim->stats.steps);
}

void sim_play(struct sim *sim, struct play *play)
{
	sim_open(sim, play->seed, play->scripts);
	sim->plant = play->plant;
	sim->tell = play->tell;
	if (play->tell)
		swarm_print(play->tell, sim);
	if (play->list)
		for (size_t i = 0; i < play->listed && !sim_failed(sim); i++) {
			if (play->tell)
				trace_tell(play->tell, sim, &play->list[i]);
			sim_do(sim, play->list[i]);
		}
	else
		sim_draw_events(sim, play->record, play->recorded);
	sim_end(sim);
}
