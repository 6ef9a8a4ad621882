/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of the core, shared by its two files. */
#ifndef PTD_CORE_PRIVATE_H
#define PTD_CORE_PRIVATE_H

#include "core.h"

#include <nghttp2/nghttp2.h>

#define CORE_PREFIX	  5u
#define CORE_OUTPUT_BATCH (64u << 10)
#define CORE_OUTPUT_ROOM  (CORE_OUTPUT_BATCH + (32u << 10)) /* one frame more than a batch fits */

struct core {
	nghttp2_session *session;
	struct call_list live, ended, free;
	uint64_t next_deadline; /* not later than the first deadline of a live call */
	uint32_t max_receive;
	bool broken;	     /* the session gave a fatal error */
	const uint8_t *rest; /* a frame that did not fit into output[] yet; nghttp2's memory */
	size_t rest_length;
	size_t output_start, output_end;
	uint8_t output[CORE_OUTPUT_ROOM];
};

/* What nghttp2 calls when something of an answer comes (core_answer.c); NULL: no memory. */
nghttp2_session_callbacks *core_callbacks(void);

/* The end of a live call: `ok`, or call->status says how. Its stream, if any is left, no longer
 * knows it. */
void core_end(struct core *core, struct ptd_call *call, bool ok);
/* The same for a cause on this side. */
void core_end_locally(struct core *core, struct ptd_call *call, enum ptd_where where, int grpc,
		      const char *text);
/* Resets the call's stream, which may go on to live without it for a while. */
void core_forget_stream(struct core *core, struct ptd_call *call, uint32_t error);

/* At least `length` bytes in a buffer that keeps its size between calls. False: no memory. */
bool core_reserve(uint8_t **buffer, size_t *capacity, size_t length);

#endif
