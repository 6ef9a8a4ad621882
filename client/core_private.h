/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of the core, shared by its files. */
#ifndef PTD_CORE_PRIVATE_H
#define PTD_CORE_PRIVATE_H

#include "core.h"

#include <nghttp2/nghttp2.h>

#define CORE_PREFIX	       5u
#define CORE_OUTPUT_BATCH      (64u << 10)
#define CORE_OUTPUT_ROOM       (CORE_OUTPUT_BATCH + (32u << 10)) /* one frame more than a batch fits */
/* The daemon hears the deadline and answers with what it knows; the client gives up a little later.
 */
#define CORE_DEADLINE_GRACE_NS UINT64_C(100000000)

struct core {
	struct core_config config;
	nghttp2_session *session; /* NULL: no connection */
	/* A call is on one of these: `waiting` for a connection, or for its time; on the
	 * connection; over; or recycled. */
	struct call_list waiting, live, ended, free;
	uint64_t next_deadline; /* not later than the first deadline or retry of a call */
	uint64_t connect_ns;	/* no attempt to connect before */
	uint64_t now_ns;	/* of the step under way */
	uint64_t random;
	uint32_t failures;   /* connections in a row of which nothing came */
	bool greeted;	     /* something came over this connection */
	bool goodbye;	     /* the daemon takes no new calls on it */
	char farewell[96];   /* how calls are told so, with the daemon's reason */
	bool broken;	     /* the session gave a fatal error */
	bool holding;	     /* calls wait for the greeting */
	bool gone;	     /* no connection, and none to come */
	const uint8_t *rest; /* a frame that did not fit into output[] yet; nghttp2's memory */
	size_t rest_length;
	uint64_t framed, written;  /* bytes of this connection */
	struct ptd_call *stamping; /* became `sent` with the frame that is being made */
	size_t output_start, output_end;
	uint8_t output[CORE_OUTPUT_ROOM];
};

/* What nghttp2 calls when something of an answer comes (core_answer.c); NULL: no memory. */
nghttp2_session_callbacks *core_callbacks(void);

/* The end of a call that has not ended: `ok`, or call->status says how. Its stream, if any is left,
 * no longer knows it. */
void core_end(struct core *core, struct ptd_call *call, bool ok);
/* The same for a cause on this side. */
void core_end_locally(struct core *core, struct ptd_call *call, enum ptd_where where, int grpc,
		      const char *text);
/* Calls of this connection, new ones too, are not taken: `why` is the daemon's, unterminated. */
void core_say_goodbye(struct core *core, const uint8_t *why, size_t length);
/* Resets the call's stream, which may go on to live without it for a while. */
void core_forget_stream(struct core *core, struct ptd_call *call, uint32_t error);

/* A call that the daemon did not take, or lost: waits for another attempt. False: it has none left,
 * or is not one that may be sent again. */
bool core_again(struct core *core, struct ptd_call *call, uint64_t at_ns);
/* Time between attempt `n` (from 0) and the next: doubles, between half of it and all of it. */
uint64_t core_backoff_ns(struct core *core, uint32_t n);
/* Sends a waiting call. */
void core_submit(struct core *core, struct ptd_call *call);
/* Sends those whose time has come, if the connection takes them. */
void core_submit_waiting(struct core *core);

/* One more message at the end of a call's request. False: no memory. */
bool core_append_message(struct ptd_call *call, const void *data, size_t length);
/* At least `length` bytes in a buffer that keeps its size between calls. False: no memory. */
bool core_reserve(uint8_t **buffer, size_t *capacity, size_t length);

#endif
