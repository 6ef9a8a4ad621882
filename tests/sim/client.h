/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients of the simulation: what they want, what they know, and what they ask. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "domain.h"
#include "ptd/v1/mapping.pb-c.h"

#include <stdio.h>

#define SIM_CLIENTS    8u
#define SIM_PRINCIPALS 2u /* at a daemon */
#define SIM_MACHINES   2u
#define SIM_CONTEXTS   3u
#define SIM_OPS	       128u
#define SIM_ITEMS      12u
#define SIM_MESSAGES   40u /* of a session */
#define SIM_OLD	       4u  /* connections that a client left and its daemon has not seen end */

struct link;
struct pager_op;
struct sim;

struct pipe {
	uint8_t *data;
	size_t length, room;
};

enum op_kind {
	OP_CREATE_MACHINE,
	OP_CREATE_CONTEXT,
	OP_DELETE_CONTEXT,
	OP_DELETE_MACHINE,
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_WRITE_PROTECT,
	OP_APPLY,
	OP_AGE,
	OP_SPLIT,
	OP_COLLAPSE,
	OP_START_LOG,
	OP_GET_LOG,
	OP_STOP_LOG,
	OP_TRANSLATE,
	OP_GET_MACHINE,
	OP_GET_CONTEXT,
	OP_LIST_CONTEXTS,
	OP_GET_DIGEST,
	OP_DUMP,
	OP_WATCH,
	OP_ARM,
	OP_SESSION,
	OP_SET_SLOT, /* from here on: of paged memory */
	OP_ACCESS,
	OP_SERVE,
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
	uint64_t log, log_generation; /* GET_LOG, STOP_LOG */
	uint64_t timeout_us;	      /* 0: none */
	struct item item[SIM_ITEMS];
	uint8_t id[16];
	struct session_op *session;
	struct pager_op *pager;
	uint32_t page, word_at; /* ACCESS */
	uint64_t word;		/* of a write */
	bool write;
	uint8_t place;		 /* SET_SLOT */
	const struct op *reuses; /* whose request id it brings with another body */
	uint8_t *body;		 /* framed */
	size_t length;

	/* The client's side. */
	int32_t stream;
	uint32_t attempts, again; /* again: retries to come although it is done */
	size_t sent;
	uint64_t sent_ns, retry_ns;
	bool sent_settling;   /* without faults */
	int status;	      /* -1: none yet */
	uint32_t pushback_ms; /* of the last answer; 0: it said none */
	struct pipe received;

	/* What the daemon did; for the oracle. */
	bool answered; /* it has decided a success */
	uint64_t answer;
	uint64_t done_ns, done_count, done_count_of; /* how many had ended well before */
	bool worked;				     /* an attempt has changed something */
	uint64_t worker;			     /* which */
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
	uint8_t who;		      /* which principal */
	struct principal principal;
	struct link *link, *old[SIM_OLD];
	struct op op[SIM_OPS];
	uint32_t ops;	/* begun */
	uint32_t limit; /* the script's length */
	uint64_t machine[SIM_MACHINES], context[SIM_MACHINES][SIM_CONTEXTS]; /* handles it knows */
	uint64_t generation[SIM_MACHINES][SIM_CONTEXTS];
	uint64_t log[SIM_MACHINES][SIM_CONTEXTS], log_generation[SIM_MACHINES][SIM_CONTEXTS];
	uint32_t connects;
	struct view view;
	struct op *watching;
	bool raw; /* sends bytes that somebody else made, and reads nothing */
};

/* http.c */
void http_open(struct link *link);
void http_send(struct sim *sim, struct link *link, struct op *op);
/* What the session has to say goes on its way. */
void http_pump(struct link *link);
void client_receive(struct link *link, const uint8_t *data, size_t length);
/* Its answer is lost, or tells nothing: asked again if that may be. */
void op_try_again(struct sim *sim, struct op *op);

/* client.c */
void client_start(struct sim *sim, struct client *client, uint32_t number);
void client_turn(struct sim *sim, struct client *client, uint32_t shard);
bool client_has_work(const struct sim *sim, const struct client *client);
bool client_is_done(const struct client *client);
void client_lost(struct link *link);
void client_cancel(struct sim *sim, struct client *client);
void client_restart(struct sim *sim, struct client *client, bool keep);
uint64_t client_next_ns(const struct sim *sim, const struct client *client);
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
/* kinds.c */
/* A range of pages [from, to). */
void item_draw(uint64_t *random, uint32_t shift, uint32_t from, uint32_t to, uint32_t kind,
	       struct item *item);
uint32_t op_weight(enum op_kind kind);
const char *op_path(enum op_kind kind);
const char *op_name(enum op_kind kind);
const ProtobufCMessageDescriptor *op_answer(enum op_kind kind);
bool op_reads(enum op_kind kind);

/* answers.c */
size_t message_length(const struct pipe *in); /* of the framed message; SIZE_MAX: not all there */
void message_put(struct pipe *out, const ProtobufCMessage *message);
/* A complete answer, or a failure, has reached the client. */
void answer_ok(struct sim *sim, struct client *client, struct op *op, const struct pipe *in);
void client_forget_view(struct client *client);
void answer_failed(struct client *client, struct op *op);
void answer_stream(struct sim *sim, struct client *client, struct op *op);
uint64_t message_hash(const ProtobufCMessage *message);

/* session.c */
struct exec;
void session_set_up(struct op *op, uint64_t *random);
enum message_kind { MESSAGE_APPLY, MESSAGE_TRANSLATE, MESSAGE_ACCESS };
enum message_kind session_draw(const struct sim *sim, const struct op *op, uint64_t seq,
			       uint64_t *random);
/* Of such a message: the page, the kind of access, and whether it is a fault to be handled. */
bool session_draw_access(uint64_t *random, uint32_t *page, uint32_t *access);
void session_begin(struct op *op);
ssize_t session_give(struct op *op, uint8_t *out, size_t room, uint32_t *flags);
void session_receive(struct sim *sim, struct op *op);
/* Its stream has ended: it needs no other. */
bool session_is_over(struct sim *sim, struct op *op);
void session_step(struct sim *sim, struct exec *exec, const struct call *call);
void session_pause(struct exec *exec, enum call_result result);
void session_effect(struct sim *sim, struct exec *exec);
void session_forget(struct op *op);

#endif
