/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client's protocol without I/O: calls in, bytes out; bytes in, ends of calls out. Time comes
 * from the caller. One thread.
 */
#ifndef PTD_CORE_H
#define PTD_CORE_H

#include <ptd.h>

#define CORE_NEVER UINT64_MAX

/* A call and its buffers; recycled with them, so that a steady pipeline allocates nothing here. */
struct ptd_call {
	struct ptd_call *next, *prev; /* in one of the core's lists */
	const char *method;
	uint8_t *request; /* with its 5-byte prefix */
	size_t request_length, request_sent, request_capacity;
	uint8_t *response;
	size_t response_length, response_capacity;
	uint64_t deadline_ns;
	uint32_t wanted;       /* bytes of the message under way */
	uint32_t messages;     /* complete ones */
	uint8_t prefix[5];     /* of the message under way */
	uint8_t prefix_length; /* 5: the message follows */
	bool sent;	       /* the request has left for the connection as a whole */
	bool solo;    /* the caller waits for this very call: the core hands it over by flag */
	bool trailed; /* trailers have written to `status` */
	bool over;    /* solo only: it has ended */
	int32_t stream_id;
	int32_t http; /* :status; 0: none yet */
	int32_t grpc; /* grpc-status; -1: none yet */
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

struct core *core_create(uint32_t max_receive_bytes);
void core_destroy(struct core *core);

/* Everything that a call needs to start. */
struct core_request {
	const char *method;
	const void *data;
	size_t length;
	uint32_t timeout_ms; /* 0: none */
	ptd_message_fn *message;
	ptd_reply_fn *done;
	void *arg;
};
/* NULL: no memory, or no stream id is left; *why says which. */
struct ptd_call *core_start(struct core *core, const struct core_request *request, uint64_t now_ns,
			    struct ptd_status *why);
/* Ends a call here and tells the daemon. */
void core_cancel(struct core *core, struct ptd_call *call, enum ptd_where where);

/* Bytes to be written: at most a batch; stays until core_wrote() took it. 0: nothing. */
size_t core_output(struct core *core, const uint8_t **bytes);
void core_wrote(struct core *core, size_t length);
bool core_wants_write(const struct core *core);

/* Bytes that came. */
void core_input(struct core *core, const uint8_t *bytes, size_t length);

/* Nothing more can come of this connection: the peer broke the protocol, or said goodbye and its
 * calls have ended. Close it, then core_lost(). */
bool core_over(const struct core *core);

/* The connection is gone: ends all calls. */
void core_lost(struct core *core);

/* Ends the calls whose deadline has passed. Returns when to look again. */
uint64_t core_expire(struct core *core, uint64_t now_ns);

/* Takes the oldest call that has ended; the caller recycles it. NULL: none. */
struct ptd_call *core_ended(struct core *core);
void core_recycle(struct core *core, struct ptd_call *call);
size_t core_outstanding(const struct core *core);

void call_list_append(struct call_list *list, struct ptd_call *call);
void call_list_remove(struct call_list *list, struct ptd_call *call);

#endif
