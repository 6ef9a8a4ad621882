/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The domain: registry, machines, contexts, owners and request ids, shared by all shards.
 * Thread-safe, never blocks, never waits for a shard, never calls back. See docs/architecture.md.
 */
#ifndef PTD_DOMAIN_H
#define PTD_DOMAIN_H

#include "call.h"
#include "wire_config.h"

#include <pt/host/memory.h>

struct domain_config {
	uint64_t
		epoch; /* of this run, not 0, from the driver; 16 bits of it stand in each handle */
	uint64_t table_bytes; /* table memory for all contexts; 0: 8 GiB (sparse) */
	uint32_t loops;
	bool allow_failpoints;
	bool checked;
	const char *version;
	const char *const *services; /* NULL-terminated full names */
	uint32_t max_connections;
	struct wire_config wire;
};

/* Creates the domain for `loops` shards. NULL: no memory. Single-threaded; so is destroy, after all
 * loops left. */
struct domain *domain_create(const struct domain_config *config);
void domain_destroy(struct domain *domain);

/* What a loop counts for GetStats; written by its own shard only, read by any (relaxed atomics). */
struct loop_counters {
	_Atomic uint64_t connections, calls_ok, calls_failed, leaves_written, leaves_removed,
		faults, parked;
	_Atomic uint64_t bytes_in, bytes_out, streams_refused, te_missing;
	_Atomic uint64_t calls_refused;
	_Atomic uint64_t blocks_folded, tables_swept, groups_relaxed;
};

/* Loop number `index` enters: its agent joins. Called on the loop's own thread. NULL: none is left.
 */
struct domain_loop *domain_loop_enter(struct domain *domain, uint32_t index);
void domain_loop_leave(struct domain_loop *loop);
struct loop_counters *domain_loop_counters(struct domain_loop *loop);

/* Around each shard step: opens and closes the section; end also reclaims what has become safe. */
void domain_section_begin(struct domain_loop *loop);
/* True: retired memory still waits for other loops; step again soon (event RECLAIMED). */
bool domain_section_end(struct domain_loop *loop);

/* Grace periods that have ended for what this loop retired, and whether some of it waits still. Any
 * thread. */
struct domain_graces {
	uint64_t ended;
	bool waits;
};
struct domain_graces domain_loop_graces(const struct domain_loop *loop);

/* In each step, in its section: what waits for the loop to have nothing else to do. Returns when it
 * is to be called again: up to now_ns is soon, UINT64_MAX never. */
uint64_t domain_idle_work(struct domain_loop *loop, bool idle, uint64_t now_ns);

/* The loop's thread is about to wait for events, and back (liburcu: offline, online). Outside a
 * section. */
void domain_loop_idle(struct domain_loop *loop);
void domain_loop_busy(struct domain_loop *loop);

/* All methods of ptd.v1 that this build offers; terminated by path NULL. The protocol adds health
 * and reflection. */
extern const struct method domain_methods[];

/* In each step: what has come to its end by `now_ns` goes. */
void domain_tick(struct domain *domain, uint64_t now_ns);

/* Set by the driver or by the Drain call; the shards look at it. */
void domain_drain(struct domain *domain);
bool domain_draining(const struct domain *domain);

/* rpc.reply failpoint for a call that is about to be answered (the protocol asks; one predicted
 * branch when unarmed). */
enum reply_fate { REPLY_SEND, REPLY_DROP, REPLY_DELAY, REPLY_ERROR };
struct reply_failure {
	enum reply_fate fate;
	uint32_t delay_ms;
	uint32_t grpc_status;
};
struct reply_failure domain_reply_fate(struct call *call);

#endif
