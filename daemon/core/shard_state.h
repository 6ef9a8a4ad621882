/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a shard, for the modules of the protocol. */
#ifndef PTD_SHARD_STATE_H
#define PTD_SHARD_STATE_H

#include "admission.h"
#include "mailbox.h"
#include "shard.h"
#include "slab.h"
#include "timer.h"

#include <nghttp2/nghttp2.h>

#define container_of_(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct conn;
struct stream;
struct outbuf;

struct shard {
	struct domain *domain;
	struct domain_loop *loop;
	struct loop_counters *counters;
	const struct routes *routes;
	struct shard *const *all;
	uint32_t index, shards;
	uint64_t now_ns;

	struct slab slab;
	struct timers timers;
	struct admission admission;
	struct mailbox mailbox;
	struct stream *run_first, *run_last; /* calls to run */
	struct conn *long_first, *long_last; /* connections with calls to go on with */
	uint64_t long_began_ns,
		long_next_ns; /* the last part of one; when to go on at the soonest */
	bool busy;	      /* bytes have come since */
	uint64_t idle_due_ns; /* when the domain has work for an idle shard */
	struct conn *dirty;   /* connections with output to flush */
	struct conn *conns;
	struct outbuf *outbufs; /* kept for reuse */
	uint32_t outbufs_kept;
	uint32_t conns_count;
	uint64_t conns_ever;
	uint64_t timer_armed; /* what the driver was told; UINT64_MAX: nothing */
	bool draining, said_goaway, drained;

	struct action *actions;
	size_t actions_count, actions_room;
	bool *notified; /* which shards have an ACTION_NOTIFY in this step */

	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	bool tracing;
	uint64_t digest;
};

/* The shard whose step runs on this thread: where call_wake() puts its notice. */
extern _Thread_local struct shard *shard_running;

/* Room for all actions that a step can have with so many connections. False: no memory. */
bool shard_reserve(struct shard *shard, uint32_t conns);
/* A new action at the end of the ring, zeroed but for its kind. Never NULL: room was reserved. */
struct action *shard_act(struct shard *shard, enum action_kind kind);
/* ACTION_NOTIFY, once a step. */
void shard_notify(struct shard *shard, uint32_t index);
/* Puts a call at the end of the run queue, once. */
void shard_queue(struct shard *shard, struct stream *stream);

/* Puts a call that has said MORE at the end of its connection's queue. */
void shard_queue_long(struct shard *shard, struct stream *stream);

/* Counters have one writer. */
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif
