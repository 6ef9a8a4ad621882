/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer's connection: an nghttp2 session, its budgets, and its output. */
#ifndef PTD_CONN_H
#define PTD_CONN_H

#include "admission.h"
#include "input.h"
#include "shard_state.h"

/* A bucket of tokens; time and useful work fill it. */
struct budget {
	uint64_t at_ns;
	uint32_t tokens, most, rate;
};

struct conn {
	struct shard *shard;
	struct peer *peer; /* NULL: the driver has let go */
	struct conn *next, *prev;
	struct conn *next_dirty;
	nghttp2_session *session;
	struct input input;
	nghttp2_mem mem;
	size_t mem_used;
	struct principal principal;
	uint64_t number, random;
	struct timer timer;

	struct admission_share admission;
	struct stream *streams;		       /* all whose memory is in use */
	uint32_t live;			       /* number of them */
	uint32_t open;			       /* of those, streams that nghttp2 still has */
	struct stream *block_stream;	       /* whose header block is being received */
	struct stream *wait_first, *wait_last; /* calls that wait for the client to read */
	size_t body_bytes;		       /* requests of unfinished calls */
	size_t queued;			       /* answers not yet framed */
	struct outbuf *writing;		       /* given to the driver, not yet done */
	uint64_t write_since_ns;

	int32_t highest; /* stream id seen */
	int32_t recent_resets[64];
	uint32_t recent_at;
	uint32_t block_frames, block_bytes; /* of the header block being received */
	uint64_t block_since_ns;	    /* 0: none is being received */
	uint64_t settings_sent_ns;	    /* 0: acknowledged */
	struct budget idle_frames, resets_in, resets_out;

	uint32_t fail_code; /* with `failing`: GOAWAY with it, after the callbacks */
	const char *fail_text;
	uint64_t accepted_ns, drain_since_ns;
	bool failing, terminated;
	bool in_session; /* nghttp2 is on the stack */
	bool is_dirty, paused, closing, got_settings, sent_goaway;
};

void conn_accept(struct shard *shard, const struct event *event);
void conn_bytes(struct conn *conn, const uint8_t *data, size_t length);
void conn_writable(struct conn *conn);
/* The write that `outbuf` was has left. */
void conn_written(struct conn *conn);
void conn_closed(struct conn *conn);
/* Begins to drain: shutdown notice now, GOAWAY on the PING's answer or after a second. */
void conn_drain(struct conn *conn);

/* The connection breaks a rule: GOAWAY and close after the callbacks are through. */
void conn_fail(struct conn *conn, uint32_t code, const char *text);
/* There is something to send: flush at the end of the step. */
void conn_dirty(struct conn *conn);
/* Frames into one buffer and one write; closes what is finished. */
void conn_flush(struct conn *conn);
/* A stream's memory is gone: a connection that waited for it may go, too. */
void conn_stream_gone(struct conn *conn);
/* The client does not take its answers: the call starts when it has. */
void conn_wait(struct conn *conn, struct stream *stream);
/* They may start now. */
void conn_wake_waiting(struct conn *conn);
/* Closes by way of the driver, how: ACTION_CLOSE or ACTION_ABORT; EVENT_CLOSED answers. */
void conn_close(struct conn *conn, enum action_kind how);
/* Stops reading when the driver holds bytes that do not leave, and answers or frames pile up behind
 * them. */
void conn_pause_if_full(struct conn *conn);
/* Starts the slow check of stalls unless it runs. */
void conn_watch(struct conn *conn);

/* The final GOAWAY of a drain. */
void conn_say_goaway(struct conn *conn);

bool budget_take(struct budget *budget, uint64_t now_ns);
void budget_give(struct budget *budget, uint32_t tokens);

/* The session's options and callbacks, made once a shard. */
bool session_setup(struct shard *shard);
void session_teardown(struct shard *shard);
/* A server session with its first SETTINGS queued. False: no memory. */
bool session_open(struct conn *conn);

/* Allocation functions for `conn`'s session. */
nghttp2_mem session_memory(struct conn *conn);

void outbuf_release(struct shard *shard, struct outbuf *outbuf);
void outbufs_free(struct shard *shard);

#endif
