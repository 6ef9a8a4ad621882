/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation: the shards of three daemons and eight clients on one thread, a run being a
 * function of a seed and a list of events.
 *
 * ptd-sim.c  command line, seeds, TAP          schedule.c  draws events; plays them; lets things
 * end net.c      connections, cuts                 daemon.c    daemons: start, steps, drain,
 * restart client.c   HTTP/2 of a client, retries       script.c    the requests choose.c   what
 * clients do, drawn by seed    answers.c   what clients learn from answers model.c    registry and
 * mappings             oracle.c    each call's end against the model hooks.c    where the daemon's
 * effects are seen trace.c    lists of events as text           shrink.c    a failing list made
 * short
 */
#ifndef SIM_H
#define SIM_H

#include "domain.h"
#include "knobs.h"
#include "shard.h"

#include "ptd/v1/mapping.pb-c.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#define SIM_DAEMONS  3u
#define SIM_CLIENTS  8u
#define SIM_SHARDS   3u
#define SIM_MACHINES 2u
#define SIM_CONTEXTS 3u
#define SIM_OPS	     128u
#define SIM_ITEMS    12u
#define SIM_MESSAGES 40u /* of a session */
#define SIM_EVENTS   60000u
#define SIM_OLD	     4u	  /* connections that a client left and its daemon has not seen end */
#define SIM_STREAMS  512u /* of a connection; then the client takes a new one */

#define MS UINT64_C(1000000)

struct sim;
struct op;

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
};

/* ---- net ---- */

struct pipe {
	uint8_t *data;
	size_t length, room;
};

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
	uint32_t streams, running, writes;
};

/* ---- clients ---- */

enum op_kind {
	OP_CREATE_MACHINE,
	OP_CREATE_CONTEXT,
	OP_DELETE_CONTEXT,
	OP_DELETE_MACHINE,
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_APPLY,
	OP_TRANSLATE,
	OP_GET_MACHINE,
	OP_GET_CONTEXT,
	OP_LIST_CONTEXTS,
	OP_GET_DIGEST,
	OP_DUMP,
	OP_WATCH,
	OP_ARM,
	OP_SESSION,
	OP_KINDS
};

enum op_state { OP_NONE, OP_READY, OP_SENT, OP_DONE, OP_UNKNOWN };

struct item {
	uint64_t ipa, size, pa;
	uint32_t kind, prot, flags;
};

/* A session over all its streams. */
struct session_op {
	/* The client's side. */
	struct pipe out;
	uint32_t messages, answered, next;
	bool opened, may_be_lost;
	uint64_t begun_ns; /* when the stream before began */
	/* What the daemon did; for the oracle. */
	uint32_t done;			   /* messages that it has counted */
	uint64_t worker[SIM_MESSAGES + 1]; /* whose effect it was, by seq */
	uint64_t answer[SIM_MESSAGES + 1];
};

/* One thing that a client wants, over all its attempts. */
struct op {
	enum op_kind kind;
	enum op_state state;
	uint8_t client, number;
	uint8_t machine, context; /* numbers in names */
	bool has_id, validate_only, want_outcomes, force, stable, by_name;
	uint32_t mode, items;
	uint64_t handle, expected;
	uint64_t timeout_us; /* 0: none */
	struct item item[SIM_ITEMS];
	uint8_t id[16];
	struct session_op *session;
	const struct op *reuses; /* whose request id it brings with another body */
	uint8_t *body;		 /* framed */
	size_t length;

	/* The client's side. */
	int32_t stream;
	uint32_t attempts, again; /* again: retries to come although it is done */
	size_t sent;
	uint64_t sent_ns, retry_ns;
	bool sent_settling; /* without faults */
	int status;	    /* -1: none yet */
	struct pipe received;

	/* What the daemon did; for the oracle. */
	bool answered; /* it has decided a success */
	uint64_t answer;
	uint64_t done_ns, done_count, epoch;
	bool worked;	 /* an attempt has changed something */
	uint64_t worker; /* which */
};

/* What a watcher has heard. */
struct view {
	bool synced, lost;
	uint64_t seq;
	struct {
		uint64_t handle, generation;
	} context[SIM_MACHINES * SIM_CONTEXTS];
};

struct client {
	uint8_t number, daemon, rank; /* rank: among the clients of its principal at the daemon */
	struct principal principal;
	struct link *link, *old[SIM_OLD];
	struct op op[SIM_OPS];
	uint32_t ops;	/* begun */
	uint32_t limit; /* the script's length */
	uint64_t machine[SIM_MACHINES], context[SIM_MACHINES][SIM_CONTEXTS]; /* handles it knows */
	uint64_t generation[SIM_MACHINES][SIM_CONTEXTS];
	uint32_t connects;
	struct view view;
	struct op *watching;
	bool raw; /* sends bytes that somebody else made, and reads nothing */
};

/* ---- the model ---- */

struct page {
	uint64_t pa;
	uint32_t prot;
	bool mapped;
};

struct model_context {
	bool live, dying;
	uint64_t handle, machine;
	const void *ctx;	   /* lib's object, for the walk at the end */
	uint64_t changes, highest; /* explicit changes counted; highest generation told */
	uint64_t seen[64];	   /* bitmap of generations told */
	uint32_t granule_shift, pages;
	uint64_t base;
	struct page *page;
};

struct model_machine {
	bool live, dying;
	uint64_t handle;
};

struct model {
	uint64_t last_handle, finished; /* calls with an id that have ended well */
	struct model_machine machine[SIM_MACHINES];
	struct model_context context[SIM_MACHINES][SIM_CONTEXTS];
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
	uint64_t steps, events, calls, answers, ops, retries, waits, replays, parked, more, items;
	uint64_t messages, resumed, undone; /* of sessions */
	uint64_t fault[FAULT_KINDS];
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

/* schedule.c: events drawn by the seed, or those of `list`, then the end. Records into `record`
 * (SIM_EVENTS of them) when it is not NULL. */
struct play {
	uint64_t seed;
	const struct ev *list; /* NULL: draw */
	size_t listed;
	struct ev *record;
	size_t *recorded;	       /* how many */
	const struct scripts *scripts; /* NULL: all */
	enum plant plant;
	FILE *tell; /* NULL, or where each event's effect is told */
};
void sim_play(struct sim *sim, struct play *play);
/* Its parts. */
void sim_open(struct sim *sim, uint64_t seed, const struct scripts *scripts);
void sim_draw_events(struct sim *sim, struct ev *record, size_t *recorded);
void sim_end(struct sim *sim);
void sim_do(struct sim *sim, struct ev ev);

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

/* client.c */
void client_start(struct sim *sim, struct client *client, uint32_t number);
void client_turn(struct sim *sim, struct client *client, uint32_t shard);
bool client_has_work(const struct sim *sim, const struct client *client);
bool client_is_done(const struct client *client);
void client_receive(struct link *link, const uint8_t *data, size_t length);
void client_lost(struct link *link);
void client_cancel(struct sim *sim, struct client *client);
void client_restart(struct sim *sim, struct client *client, bool keep);
uint64_t client_next_ns(const struct client *client);
/* An operation beyond the script. */
void client_ask(struct sim *sim, struct client *client, enum op_kind kind, uint8_t machine,
		uint8_t context);
const char *client_unfinished(const struct sim *sim);
void client_stop(struct client *client);

/* choose.c: fills the client's next operation, but for its message. */
void swarm_draw(struct sim *sim);
void swarm_print(FILE *out, const struct sim *sim);
void choose_next(struct sim *sim, struct client *client, struct op *op);

/* An ApplyRequest with its columns. */
struct columns_room {
	Ptd__V1__ApplyRequest request;
	Ptd__V1__Ops ops;
	uint64_t ipa[SIM_ITEMS], size[SIM_ITEMS], pa[SIM_ITEMS];
	uint32_t kind[SIM_ITEMS], prot[SIM_ITEMS], flags[SIM_ITEMS];
};

/* script.c */
void script_columns(struct sim *sim, struct op *op, uint64_t *random, struct columns_room *room);
size_t script_addresses(const struct sim *sim, uint64_t *random, uint64_t ipa[4]);
void script_pack(struct sim *sim, struct op *op, uint64_t *random);
uint32_t op_weight(enum op_kind kind);
const char *op_path(enum op_kind kind);
const char *op_name(enum op_kind kind);
const ProtobufCMessageDescriptor *op_answer(enum op_kind kind);
bool op_reads(enum op_kind kind);

/* answers.c */
size_t message_length(const struct pipe *in); /* of the framed message; SIZE_MAX: not all there */
/* A complete answer, or a failure, has reached the client. */
void answer_ok(struct sim *sim, struct client *client, struct op *op, const struct pipe *in);
void client_forget_view(struct client *client);
void answer_failed(struct client *client, struct op *op);
void answer_stream(struct sim *sim, struct client *client, struct op *op);
uint64_t message_hash(const ProtobufCMessage *message);

/* model.c */
void model_reset(struct model *model);
struct model_context *model_context(struct model *model, uint64_t handle);
struct model_machine *model_machine(struct model *model, uint64_t handle);
void model_create(struct sim *sim, struct model_context *c, uint64_t handle, uint64_t machine,
		  uint32_t granule_shift);
uint64_t model_base(uint32_t granule_shift);
uint32_t model_pages(uint32_t granule_shift);
uint32_t model_block(uint32_t granule_shift); /* pages of a level 2 block */
/* What `item` does now. An error: nothing. *loose: MAPPED is as good. */
enum pt_outcome model_expect(const struct model_context *c, const struct item *item, bool *loose);
void model_apply(struct model_context *c, const struct item *item);
const struct page *model_page(const struct model_context *c, uint64_t ipa);
struct daemon *model_daemon(struct sim *sim, uint64_t handle);

/* oracle.c: each call of a daemon, and its end. */
struct exec {
	const struct call *call; /* NULL: free */
	struct op *op;
	struct link *link;
	uint64_t serial, generation; /* of its context, when it began */
	uint32_t items, errors;
	enum pt_outcome outcome[SIM_ITEMS];
	bool changed; /* the model has */
	/* Of a session: the message that is executed. */
	bool in_message;
	uint32_t steps;
	uint64_t seq;
	uint32_t retired;
};
struct exec *oracle_call(struct call *call);
void oracle_begin(struct sim *sim, struct exec *exec, const struct call *call);
uint64_t oracle_serial(void);
void oracle_pause(struct sim *sim, struct exec *exec, enum call_result result);
void oracle_end(struct sim *sim, struct exec *exec, struct call *call);
void oracle_reset(void);
/* Another call on the same object is under way. */
bool oracle_others(const struct exec *exec);
/* A call is under way somewhere. */
bool oracle_busy(void);
void oracle_forget(struct sim *sim, uint32_t daemon);
bool oracle_runs(const struct op *op);
struct exec *oracle_current(void);
/* The id of `op` may have left the daemon's memory. */
bool oracle_forgotten(const struct sim *sim, const struct op *op);

/* content.c: what an answer says, against the model. */
void content_check(struct sim *sim, struct exec *exec, const struct call *call);
/* Of a message of a session. */
void session_content(struct sim *sim, struct exec *exec, const Ptd__V1__SessionResponse *r);
void failure_check(struct sim *sim, struct exec *exec, const struct call *call);

/* session.c */
void session_set_up(struct op *op, uint64_t *random);
bool session_draw(const struct sim *sim, const struct op *op, uint64_t seq, uint64_t *random);
void session_begin(struct op *op);
ssize_t session_give(struct op *op, uint8_t *out, size_t room, uint32_t *flags);
void session_receive(struct sim *sim, struct op *op);
/* Its stream has ended: it needs no other. */
bool session_is_over(struct sim *sim, struct op *op);
void session_step(struct sim *sim, struct exec *exec, const struct call *call);
void session_pause(struct exec *exec, enum call_result result);
void session_effect(struct sim *sim, struct exec *exec);
void session_forget(struct op *op);

/* effects.c: single items, and objects that go. */
struct pt_ctx;
void oracle_item(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		 enum pt_outcome o);
enum pt_outcome oracle_commit(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
			      bool *loose);
void oracle_done(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		 enum pt_outcome o, enum pt_outcome expected, bool loose, bool validate_only);
void oracle_refused(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		    enum pt_outcome o);
void oracle_dying(struct sim *sim, const struct pt_ctx *ctx);
void oracle_retire(struct sim *sim, uint64_t handle);

/* finish.c: what must hold when everything has ended. */
void finish_all(struct sim *sim);
void sim_settle(struct sim *sim);

/* hooks.c */
const struct method *hooks_methods(void);
void hooks_reset(void);
/* A grace period is over. */
void hooks_rcu(void);
bool hooks_busy(uint64_t context, uint64_t ipa); /* a transaction writes there */

/* A failing or a whole play, in memory that is shared with children. */
struct verdict {
	uint64_t seed, digest;
	bool done;
	enum plant plant;
	struct scripts scripts;
	struct stats stats;
	char failure[240];
	size_t recorded;
	struct ev record[SIM_EVENTS];
};

/* trace.c */
void trace_tell(FILE *out, const struct sim *sim, const struct ev *ev);
void trace_scripts(FILE *out, const struct scripts *scripts, uint32_t ops);
enum plant trace_plant(const char *name); /* PLANT_KINDS: none of them */
/* Seed, plant, scripts and events. */
bool trace_save(const char *path, const struct verdict *verdict);
bool trace_load(const char *path, struct verdict *verdict);

/* shrink.c */
struct verdict *verdict_new(void);
/* Plays `count` seeds from `seed` on, each twice, in a process of its own: a crash and a hang are
 * verdicts, too. */
void try_seeds(uint64_t seed, uint64_t count, enum plant plant, struct verdict *verdict);
/* Plays the list in *verdict likewise. */
void try_list(struct verdict *verdict, FILE *tell);
/* Makes the failing list in *verdict short; returns how many plays it took, `most` at most. */
uint32_t shrink(struct verdict *verdict, uint32_t most);

#endif
