/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits and timers of the wire, with reasons in docs/protocol.md. Times in nanoseconds. */
#ifndef PTD_WIRE_LIMITS_H
#define PTD_WIRE_LIMITS_H

#include "domain_limits.h"

#define SECOND UINT64_C(1000000000)

#define WIRE_STREAM_WINDOW	     (1u << 20)
#define WIRE_CONNECTION_WINDOW	     (8u << 20)
#define WIRE_MAX_HEADERS	     100u
#define WIRE_HEADER_ABUSE	     (4u * LIMIT_HEADER_LIST_BYTES) /* of one block: the connection ends */
#define WIRE_MAX_CONTINUATIONS	     8u
#define WIRE_HEADER_BLOCK	     (64u << 10) /* bytes on the wire of one block */
#define WIRE_OUTBOUND_ITEMS	     2000u
#define WIRE_HIGH_WATER		     (1u << 20)
#define WIRE_LOW_WATER		     (256u << 10)
#define WIRE_STREAM_QUEUE	     (256u << 10) /* answers that a stream may have waiting */
#define WIRE_BODY_BUDGET	     (32u << 20)  /* requests of unfinished calls of a connection */
#define WIRE_LAST_STREAM	     (1 << 30)	  /* beyond it: GOAWAY, before the numbers end */
#define WIRE_LIVE_CALLS		     1024u /* of a connection, also those whose stream is gone */
#define WIRE_CALLS_AT_ONCE	     384u  /* of a shard; beyond it, see admission.h */
#define WIRE_LONG_CALLS		     64u   /* of them, calls that take more than one step */
#define WIRE_SESSION_MEMORY	     (16u << 20) /* nghttp2's own, of a connection */
#define WIRE_ARENA_FACTOR	     16u	 /* unpacked bytes for a byte on the wire */
#define WIRE_ARENA_SLACK	     (4u << 10)
#define WIRE_ARENA_WORK		     (32u << 20) /* what a handler may use beside the request */
/* Of one principal, over all its connections. */
#define WIRE_PRINCIPAL_CALLS	     16384u
#define WIRE_PRINCIPAL_REQUEST_BYTES (128u << 20)
#define WIRE_PRINCIPAL_OUTPUT_BYTES  (128u << 20)
#define WIRE_PUSHBACK_MS	     100u /* when to try again after a budget has said no */

#define WIRE_LEAST_DATA	   256u	       /* a shorter DATA frame only ends what waits */
#define WIRE_SMALL_FRAMES  16u	       /* smaller ones that may be earned and kept */
#define WIRE_BULK	   (64u << 10) /* an answer that takes turns with others */
#define WIRE_PING_STRIKES  2u
#define WIRE_TRAILER_BYTES (6u << 10)
#define WIRE_DETAIL_BYTES  (4u << 10)
#define WIRE_MESSAGE_TEXT  1024u

/* Budgets: a bucket of tokens that refills with time and with useful work. */
#define WIRE_IDLE_FRAMES      2000u /* PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty, unknown */
#define WIRE_IDLE_FRAMES_RATE 200u
#define WIRE_RESETS_IN	      2000u
#define WIRE_RESETS_IN_RATE   200u
#define WIRE_RESETS_OUT	      500u
#define WIRE_RESETS_OUT_RATE  50u

#define WIRE_PREFACE_TIME      (5 * SECOND)
#define WIRE_HEADERS_TIME      (5 * SECOND)
#define WIRE_SETTINGS_ACK_TIME (10 * SECOND)
#define WIRE_STALL_TIME	       (30 * SECOND)
#define WIRE_TICK	       (5 * SECOND)
#define WIRE_NOTICE_TIME       (1 * SECOND) /* from the shutdown notice to the final GOAWAY */
#define WIRE_GRACE_TIME	       (30 * SECOND) /* of a drain, unless the configuration says otherwise */
#define WIRE_CLOSE_TIME	       (5 * SECOND)    /* from the last write to an abort */
#define WIRE_PING_ALONE_TIME   (7200 * SECOND) /* between PINGs of a remote client without calls */

#endif
