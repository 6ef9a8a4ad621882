/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The in-process transport: one thread runs all shards of one daemon and some scripted clients. The
 * order of steps and the size of every read and write come from the seed, time is a number that the
 * simulation moves, and the trace is a digest over all events and actions.
 */
#ifndef PTD_SIM_H
#define PTD_SIM_H

#include "shard.h"

#include <nghttp2/nghttp2.h>

#define SIM_SHARDS  4
#define SIM_CLIENTS 16
#define SIM_CALLS   1024

struct sim;

/* Bytes on their way, in one direction. */
struct pipe {
	uint8_t *data;
	size_t length, room;
};

struct sim_client {
	struct peer peer; /* first */
	struct sim *sim;
	uint32_t shard;
	nghttp2_session *session;
	struct pipe to_server, to_client;
	struct action pending; /* the write that the shard waits for */
	size_t pending_sent;
	bool pending_write, paused, closing, closed, told;

	/* The script: `calls` (at most SIM_CALLS) unary calls one after the other, up to `depth` at
	 * a time. */
	const char *path;
	const uint8_t *body; /* framed */
	size_t body_length;
	uint32_t calls, depth, started, running, ok, failed;
	bool raw;	       /* sends `to_server` as it stands and throws away what comes back */
	uint32_t cancel_every; /* every n-th call is reset as soon as it is sent; 0: none */
	uint32_t vanish_after; /* closes after so many answers; 0: never */
	uint64_t answer_bytes;
	size_t sent[SIM_CALLS]; /* of each call's body */
};

struct sim {
	uint64_t random, now_ns;
	struct domain *domain;
	struct routes *routes;
	struct shard *shard[SIM_SHARDS];
	uint64_t timer_at[SIM_SHARDS];
	bool mail[SIM_SHARDS], reclaim[SIM_SHARDS], drained[SIM_SHARDS];
	struct sim_client client[SIM_CLIENTS];
	uint32_t shards, clients;
	uint64_t steps;
};

void sim_init(struct sim *sim, uint64_t seed, uint32_t shards);
/* A client on shard `index % shards`; fill its script before the run. */
struct sim_client *sim_connect(struct sim *sim, uint32_t shard);
/* Steps until all scripts are done, or `most` steps. False: steps ran out. */
bool sim_run(struct sim *sim, uint64_t most);
/* Begins to drain and steps until all shards are drained. */
bool sim_drain(struct sim *sim, uint64_t most);
/* Over all shards. */
uint64_t sim_digest(const struct sim *sim);
void sim_fini(struct sim *sim);
uint64_t sim_draw(struct sim *sim, uint64_t below);

/* Of client.c. */
void client_open(struct sim_client *client);
/* Starts calls and moves bytes from the session into `to_server`. */
void client_turn(struct sim_client *client);
void client_receive(struct sim_client *client, const uint8_t *data, size_t length);
bool client_is_done(const struct sim_client *client);
void pipe_put(struct pipe *pipe, const void *data, size_t length);
void pipe_drop(struct pipe *pipe, size_t length);

#endif
