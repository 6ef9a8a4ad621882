/* SPDX-License-Identifier: BSD-2-Clause */
/* The process: what all loops share. */
#ifndef PTD_SERVER_H
#define PTD_SERVER_H

#include "listener.h"
#include "shard.h"
#include "watchdog.h"

#include <stdatomic.h>
#include <uv.h>

struct arrival;
struct loop;
struct ssl_ctx_st;

struct server {
	struct options options;
	struct domain *domain;
	struct routes *routes;
	struct listener listener[OPTIONS_LISTEN];
	uint32_t listeners;
	struct ssl_ctx_st *tls[OPTIONS_LOOPS]; /* NULL: no tls endpoint */
	struct loop *loop[OPTIONS_LOOPS];
	struct shard *shard[OPTIONS_LOOPS];
	uint32_t loops;
	uv_barrier_t start;
	_Atomic uint32_t connections;
	_Atomic uint32_t drained; /* loops that have no connection left */
	_Atomic uint32_t next_loop;
	atomic_bool failed;
	struct watchdog watchdog;
};

/* What this program serves beside the domain and the protocol's own services; terminated by path
 * NULL. Another build links another table (tests/interop). */
extern const struct method more_methods[];

/* Memory for loop `index`, and its thread but for loop 0, which runs on the caller's. NULL: no
 * memory. */
struct loop *loop_create(struct server *server, uint32_t index);
/* The whole life of the loop on the calling thread: shard, listeners, events, end. */
void loop_run(struct loop *loop);
void loop_destroy(struct loop *loop);
/* Any thread: look at mail, the inbox and the drain. */
void loop_wake(struct loop *loop);
/* Any thread: gives an accepted socket to the loop. */
void loop_give(struct loop *loop, const struct arrival *arrived);

#endif
