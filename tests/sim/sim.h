/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation: the shards of three daemons and eight clients on one thread, a run being a
 * function of a seed and a list of events.
 *
 * Draws: choose.c (what a seed decides, what clients do), draw.c (the next event).
 * World: net.c (connections, cuts), daemon.c (daemons: start, steps, drain, restart).
 * Clients: client.c (retries, restarts), http.c, kinds.c and script.c (requests), session.c,
 * pager.c, answers.c (what they learn).
 * Truth: model.c (registry and mappings), hooks.c (where the daemon's effects are seen), effects.c
 * and oracle.c (items and calls against the model), content.c and refusal.c (what answers say),
 * paged.c (memory that pagers supply), paged_hooks.c and paged_waits.c (pagers, and who waits for
 * them), finish.c (what holds at the end).
 * Runs: schedule.c (a run), tries.c, shrink.c, trace.c (lists of events as text), ptd-sim.c (the
 * program).
 */
#ifndef SIM_H
#define SIM_H

#include "knobs.h"
#include "model.h"
#include "shard.h"

#include <nghttp2/nghttp2.h>

#define SIM_DAEMONS 3u
#define SIM_SHARDS  3u
#define SIM_EVENTS  60000u
#define SIM_STREAMS 512u /* of a connection; then the client takes a new one */

#define SIM_ITEM_KINDS 9u /* and none */

#define MS UINT64_C(1000000)

/* ---- events ---- */

enum ev_kind {
	EV_TURN,  /* client: connects (to shard arg), or gives up late calls and sends one more */
	EV_UP,	  /* client: n bytes reach the daemon; 0: all there are */
	EV_DOWN,  /* client: n bytes reach the client */
	EV_SENT,  /* client: the rest of the daemon's write leaves */
	EV_OLD,	  /* client: left connection arg: n bytes more reach the daemon, or its end does */
	EV_SHARD, /* shard who: mail, due timer, or reclaim */
	EV_TIME,  /* n microseconds pass */
	EV_CUT,	  /* client: the connection is lost in the way arg */
	EV_RESTART, /* client: starts anew; arg: remembers its request ids */
	EV_CANCEL,  /* client: cancels its oldest call */
	EV_DRAIN,   /* daemon who: as SIGTERM; starts again when it has drained */
	EV_CRASH,   /* daemon who: gone, and there again with another epoch */
	EV_QUIET,   /* client: n moves of it and its daemon, whole and in fair order */
	EV_RCU,	    /* a grace period passes */
	EV_KINDS
};

struct ev {
	uint8_t kind, who;
	uint16_t arg;
	uint32_t n;
};

/* How a connection is lost. */
enum cut { CUT_BOTH, CUT_DAEMON_LATE, CUT_CLIENT_LATE, CUT_KINDS };

/* ---- what a seed decides ---- */

struct swarm {
	uint32_t shards[SIM_DAEMONS];
	uint32_t ops, depth, items;
	uint32_t granule_shift;
	uint32_t quota_pages;
	uint32_t cut, restart, cancel, drain, crash, jump; /* per 10 000 events */
	uint32_t jump_us;
	uint32_t whole;	     /* percent of transfers that are whole */
	uint32_t retry_done; /* percent: asks again although it has the answer */
	uint32_t timeouts;   /* percent of calls with grpc-timeout */
	uint32_t failpoints; /* percent */
	struct wire_config wire;
	uint32_t client_window;
	bool watches;
	bool pagers;
};

/* ---- net ---- */

struct link {
	struct peer peer; /* first: actions name it */
	struct sim *sim;
	uint8_t client, daemon, shard;
	struct pipe up, down;
	struct action pending; /* the write that the shard waits for */
	size_t pending_sent;
	bool pending_write;
	bool paused;  /* the daemon does not read */
	bool closing; /* the daemon closes when its bytes have left */
	bool aborted; /* the daemon has let go */
	bool told;    /* it knows that the connection is over */
	bool goaway;  /* no new calls */
	nghttp2_session *session;
	uint8_t op_of[SIM_STREAMS];   /* by stream id / 2 */
	uint64_t answer[SIM_STREAMS]; /* hash of what the daemon decided; 0: no success */
	bool ended[SIM_STREAMS];
	uint32_t streams, running, writes;
};

/* ---- daemons ---- */

struct daemon {
	uint8_t number;
	uint64_t epoch, pool_at_start;
	struct domain *domain;
	struct shard *shard[SIM_SHARDS];
	uint32_t shards;
	uint64_t timer_at[SIM_SHARDS];
	bool mail[SIM_SHARDS], reclaim[SIM_SHARDS], drained[SIM_SHARDS];
	bool draining;
	struct model model;
};

/* ---- a run ---- */

/* Which operations of each client's script are asked at all; shrinking leaves some out. */
struct scripts {
	uint64_t left_out[SIM_CLIENTS][SIM_OPS / 64];
};

enum fault {
	FAULT_CUT_BOTH,
	FAULT_DAEMON_LATE,
	FAULT_CLIENT_LATE,
	FAULT_RESTART_KEEP,
	FAULT_RESTART_FORGET,
	FAULT_CANCEL,
	FAULT_DRAIN,
	FAULT_CRASH,
	FAULT_JUMP,
	FAULT_PARTIAL_READ,
	FAULT_PARTIAL_WRITE,
	FAULT_LATE_TIMER,
	FAULT_REPLY_DROP,
	FAULT_REPLY_DELAY,
	FAULT_REPLY_ERROR,
	FAULT_KINDS
};

struct stats {
	uint64_t steps, events, calls, answers, ops, retries, replays, parked, more, items;
	uint64_t messages, resumed, undone; /* of sessions */
	uint64_t fault[FAULT_KINDS];
	uint64_t call_kind[OP_KINDS], item_kind[SIM_ITEM_KINDS]; /* that ended well */
	uint64_t paged[PAGED_EVENTS];
};

/* Bugs put into the harness on purpose, to see them found. */
enum plant {
	PLANT_NONE,
	PLANT_FORGET_IDS, /* the daemon's stored answers go with any connection */
	PLANT_LOSE_WAKE,  /* one shard's notice to another is lost */
	PLANT_KINDS
};

struct sim {
	uint64_t seed, random, now_ns;
	struct swarm swarm;
	struct daemon daemon[SIM_DAEMONS];
	struct client client[SIM_CLIENTS];
	struct stats stats;
	uint64_t digest;
	struct scripts scripts;
	FILE *tell;    /* NULL, or where it is told what happens */
	bool settling; /* no faults any more */
	bool settled;  /* nothing is under way */
	bool ending;   /* drained daemons stay down */
	enum plant plant;
	char failure[240]; /* the first thing that was wrong; "": nothing */
};

/* The run that goes on: hooks have no other way to find it. */
extern struct sim *sim_running;

uint64_t sim_mix(uint64_t a, uint64_t b);
uint64_t sim_draw(uint64_t *state, uint64_t below);
static inline bool sim_percent(uint64_t *state, uint32_t percent)
{
	return sim_draw(state, 100) < percent;
}
/* Keeps the first. `check` names the kind of failure: shrinking keeps to it. */
void sim_fail(struct sim *sim, const char *check, const char *text, ...)
	__attribute__((format(printf, 3, 4)));
static inline bool sim_failed(const struct sim *sim)
{
	return sim->failure[0] != 0;
}

/* net.c */
void pipe_put(struct pipe *pipe, const void *data, size_t length);
void pipe_drop(struct pipe *pipe, size_t length);
void pipe_free(struct pipe *pipe);
struct link *link_open(struct sim *sim, struct client *client, uint32_t shard);
void link_up(struct link *link, size_t n);
void link_down(struct link *link, size_t n);
void link_sent(struct link *link);
void link_old(struct sim *sim, struct client *client, uint32_t i, size_t n);
void link_cut(struct sim *sim, struct client *client, enum cut how);
/* The client lets go; what it sent may still arrive if `deliver`. */
void link_leave(struct link *link, bool deliver);
/* The daemon learns of the end. */
void link_tell(struct link *link);

/* daemon.c */
bool daemons_start(struct sim *sim);
void daemon_step(struct sim *sim, struct daemon *d, uint32_t shard, struct event *event);
/* Mail, a due timer or reclaim. False: there was nothing to do. */
bool daemon_turn(struct sim *sim, struct daemon *d, uint32_t shard);
bool daemon_wants(const struct sim *sim, const struct daemon *d, uint32_t shard);
void daemon_drain(struct sim *sim, struct daemon *d);
bool daemon_has_drained(const struct daemon *d);
void daemon_restart(struct sim *sim, struct daemon *d);
void daemons_stop(struct sim *sim);

/* draw.c */
size_t draw_choices(const struct sim *sim, const struct client *client, struct ev *out);
/* Time up to the next timer. */
struct ev draw_wait(const struct sim *sim);
void sim_draw_events(struct sim *sim, struct ev *record, size_t *recorded);
bool sim_all_done(const struct sim *sim);

/* schedule.c */
void sim_open(struct sim *sim, uint64_t seed, const struct scripts *scripts);
void sim_do(struct sim *sim, struct ev ev);
void sim_end(struct sim *sim);

/* finish.c: what must hold when everything has ended. */
void finish_all(struct sim *sim);
void sim_settle(struct sim *sim);

/* hooks.c */
const struct method *hooks_methods(void);
void hooks_reset(void);
/* A grace period is over. */
void hooks_rcu(void);
bool hooks_busy(uint64_t context, uint64_t ipa); /* a transaction writes there */

#endif
