/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client's protocol without I/O: calls in, bytes out; bytes in, ends of calls out, over one
 * connection after another. Time comes from the caller. One thread.
 */
#ifndef PTD_CLIENT_CORE_H
#define PTD_CLIENT_CORE_H

#include <ptd_core.h>

#define CORE_NEVER UINT64_MAX

/* A call and its buffers; recycled with them, so that a steady pipeline allocates nothing here. */
struct ptd_call {
	struct ptd_call *next, *prev; /* in one of the core's lists */
	const char *method;
	uint8_t *request; /* messages, each with its 5-byte prefix */
	size_t request_length, request_sent, request_capacity;
	uint8_t *response;
	size_t response_length, response_capacity;
	uint64_t deadline_ns;
	uint64_t retry_ns;     /* waiting: not to be sent before */
	uint64_t sent_at;      /* where it was `sent` in the connection's output */
	size_t first_end;      /* bytes of the first message */
	uint32_t wanted;       /* bytes of the message under way */
	uint32_t messages;     /* complete ones */
	uint32_t attempts;     /* times that it was handed to a connection */
	uint8_t prefix[5];     /* of the message under way */
	uint8_t prefix_length; /* 5: the message follows */
	bool sent;	       /* enough has been framed for the daemon to act */
	bool maybe;	       /* an earlier attempt may have been executed */
	bool replay;	       /* sending it again does no harm */
	bool live;	       /* on the connection; otherwise it waits for one, or is over */
	bool begun;	       /* messages have been framed while it was open: not kept whole */
	bool open;	       /* more messages may follow */
	bool deferred;	       /* nghttp2 waits for more of the request */
	bool solo;    /* the caller waits for this very call: the core hands it over by flag */
	bool trailed; /* trailers have written to `status` */
	bool over;    /* solo only: it has ended */
	int32_t stream_id;
	int32_t http; /* :status; 0: none yet */
	int32_t grpc; /* grpc-status; -1: none yet */
	int64_t pushback_ms;
	ptd_message_fn *message;
	ptd_reply_fn *done;
	void *arg;
	const struct ptd_status *end; /* status_ok or &status */
	struct ptd_status status;
};

struct call_list {
	struct ptd_call *first, *last;
	size_t count;
};

struct core;

struct core_config {
	uint32_t max_receive_bytes; /* 0: 4 MiB */
	uint32_t reconnects;	    /* attempts in a row; 0: one connection is all */
	uint32_t backoff_ms, backoff_max_ms, retries;
	uint64_t seed;
	bool greeting_first;		/* no call leaves before the daemon's first frame */
	const char *scheme, *authority; /* outlive the core */
};

/* Without a connection: core_connected() makes one. NULL: no memory. */
struct core *core_create(const struct core_config *config);
void core_destroy(struct core *core);

/* Everything that a call needs to start. */
struct core_request {
	const char *method;
	const void *data;
	size_t length;
	uint32_t timeout_ms; /* 0: none */
	uint32_t flags;	     /* PTD_CALL_... */
	uint64_t not_before_ns;
	ptd_message_fn *message;
	ptd_reply_fn *done;
	void *arg;
};
/* NULL: no memory, or no connection and none to come; *why says which. */
struct ptd_call *core_start(struct core *core, const struct core_request *request, uint64_t now_ns,
			    struct ptd_status *why);
/* Ends a call here and tells the daemon. Nothing happens to one that has ended. */
void core_cancel(struct core *core, struct ptd_call *call, enum ptd_where where);
/* One more message of an open call. False: no memory, or the call is over or not open. */
bool core_send(struct core *core, struct ptd_call *call, const void *data, size_t length);
/* No more messages. */
void core_half_close(struct core *core, struct ptd_call *call);
/* Bytes of requests that have not been framed yet. */
size_t core_queued(const struct ptd_call *call);

/* A transport is there: sends what waits. False: no memory. */
bool core_connected(struct core *core, uint64_t now_ns);
/* Bytes to be written: at most a batch; stays until core_wrote() took it. 0: nothing. */
size_t core_output(struct core *core, const uint8_t **bytes);
void core_wrote(struct core *core, size_t length);
bool core_wants_write(const struct core *core);
/* Bytes that came. */
void core_input(struct core *core, const uint8_t *bytes, size_t length, uint64_t now_ns);
/* Nothing more can come of this connection: the peer broke the protocol, or said goodbye and its
 * calls have ended. Close it, then core_lost(). */
bool core_over(const struct core *core);
/* The connection is gone, or none could be made: ends the calls that are not to be sent again;
 * `why` stands in their messages. Without attempts left all end, and core_gone(). */
void core_lost(struct core *core, uint64_t now_ns, const char *why);
/* As core_lost(), for good. */
void core_abandon(struct core *core, const char *why);
bool core_gone(const struct core *core);
/* The connection takes calls. */
bool core_open(const struct core *core);
/* Of the latest step; and when to try for the n-th time (from 0) what the daemon refused, or asked
 * to be tried after so many milliseconds. */
uint64_t core_now_ns(const struct core *core);
uint64_t core_retry_ns(struct core *core, uint32_t n, int64_t retry_after_ms);
bool core_reconnects(const struct core *core);
/* There are calls without a connection and the time to try has come: not before *at_ns. */
bool core_wants_connection(const struct core *core, uint64_t *at_ns);

/* Ends the calls whose deadline has passed, sends those whose time to retry has come. Returns when
 * to look again. */
uint64_t core_expire(struct core *core, uint64_t now_ns);

/* Takes the oldest call that has ended; the caller recycles it. NULL: none. */
struct ptd_call *core_ended(struct core *core);
void core_recycle(struct core *core, struct ptd_call *call);
size_t core_outstanding(const struct core *core);

/* What the caller sees of the end. */
void core_fill_reply(struct ptd_reply *reply, const struct ptd_call *call);

/* Inside a ptd_core, for the blocking layer: `done` may be NULL. */
struct core *core_of(struct ptd_core *core);
struct ptd_call *core_start_request(struct ptd_core *core, const struct ptd_request *request,
				    uint64_t now_ns, struct ptd_status *status);
/* Whether lost connections are made again: then typed calls take request ids. */
bool client_reconnects(const struct ptd_client *client);

void call_list_append(struct call_list *list, struct ptd_call *call);
void call_list_remove(struct call_list *list, struct ptd_call *call);

#endif
