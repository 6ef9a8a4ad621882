/* SPDX-License-Identifier: BSD-2-Clause */
/* A shard: one loop's whole state. Events in, actions out; it never blocks and has no clock. */
#ifndef PTD_SHARD_H
#define PTD_SHARD_H

#include "domain.h"
#include "event.h"

struct shard;
struct routes;

struct shard_config {
	struct domain *domain;
	const struct routes *routes; /* shared by all shards, outlives them */
	uint32_t index, shards;
};

/* On the loop's own thread: the shard enters the domain. NULL: no memory, or no place in the
 * domain.
 */
struct shard *shard_create(const struct shard_config *config);
/* Shards that are to be woken by others: the table is shared and complete before the first step. */
void shard_meet(struct shard *shard, struct shard *const *all);
/* All peers have been closed. */
void shard_destroy(struct shard *shard);

/* Runs `event` to completion in one section. The actions of the step before are forgotten. */
void shard_step(struct shard *shard, const struct event *event);
/* What the driver has to do now, in order. The driver sets `done` in writes. */
struct action *shard_actions(struct shard *shard, size_t *count);

/* The driver's thread is about to wait, and back. */
void shard_idle(struct shard *shard);
void shard_busy(struct shard *shard);

/* Any thread: what the shard's retired memory waits for. */
struct domain_graces shard_graces(const struct shard *shard);

/* A digest over all events and actions so far, for the simulation; 0 unless switched on. */
void shard_trace(struct shard *shard, bool on);
uint64_t shard_digest(const struct shard *shard);

#endif
