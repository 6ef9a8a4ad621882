/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer's connection: an nghttp2 session, its budgets, and its output. */
#ifndef PTD_CONN_H
#define PTD_CONN_H

#include "admission.h"
#include "input.h"
#include "principal.h"
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
	struct conn *next_dirty, *next_long;
	struct stream *long_first, *long_last; /* calls that have said MORE */
	nghttp2_session *session;
	struct input input;
	nghttp2_mem mem;
	size_t mem_used;
	struct mem_block *blocks; /* nghttp2's */
	struct principal principal;
	uint64_t number, random;
	struct timer timer;
	struct principal_share share;

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
	uint64_t accepted_ns;
	/* conn_life.c's. */
	uint64_t heard_ns;	/* bytes from the peer */
	uint64_t ping_sent_ns;	/* a PING that nothing has answered; 0: none */
	uint64_t good_ping_ns;	/* the peer's last PING that was not too early; 0: none */
	uint64_t idle_since_ns; /* no stream is open since */
	uint64_t age_at_ns;	/* UINT64_MAX: it does not grow old */
	const char *drain_text; /* NULL: it does not drain */
	uint64_t notice_until_ns, drain_until_ns;
	uint32_t ping_strikes;
	uint32_t small_frames; /* that large ones before have earned */
	uint32_t held;	       /* streams whose answer waits for a larger window, or more */
	bool failing, terminated, dead; /* dead: nobody waits for our last words */
	bool local;
	bool cut;	 /* the DATA frame being made ends where the window does */
	bool own_limit;	 /* it was the connection's that conn_request_room() met last */
	bool block_ends; /* the header block, with the frame that is being received */
	bool starved;	 /* nghttp2 has met the end of memory */
	bool in_session; /* nghttp2 is on the stack */
	bool is_dirty, paused, closing, got_settings, sent_goaway;
};

void conn_accept(struct shard *shard, const struct event *event);
void conn_bytes(struct conn *conn, const uint8_t *data, size_t length);
void conn_writable(struct conn *conn);
/* The write that `outbuf` was has left. */
void conn_written(struct conn *conn);
void conn_closed(struct conn *conn);

/* conn_life.c */
void conn_life_begin(struct conn *conn, const struct event *event);
/* Sets the timer to what is due first. */
void conn_life_arm(struct conn *conn);
/* Begins to drain: shutdown notice now, GOAWAY with `text` on the PING's answer or after a second,
 * the end when the calls are over or `grace_ns` have passed (0: no limit). */
void conn_drain(struct conn *conn, const char *text, uint64_t grace_ns);
/* As the daemon's own drain asks. */
void conn_drain_daemon(struct conn *conn);
/* The peer has sent a PING. */
void conn_pinged(struct conn *conn);
/* The peer has answered one. */
void conn_ponged(struct conn *conn, const uint8_t *opaque);
/* The timer's function. */
void conn_tick(struct timer *timer, uint64_t now_ns);

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
/* Something is owed: looks after it within WIRE_TICK. */
void conn_watch(struct conn *conn);

/* Room for `bytes` more of requests, in the connection's budget and its principal's. */
bool conn_request_room(struct conn *conn, size_t bytes);
/* Answers that were held back look again: a window has grown. */
void conn_window_grew(struct conn *conn, int32_t id);

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
/* What is left of a session that was not taken apart. */
void session_memory_drop(struct conn *conn);
/* The session cannot be used any more: its streams end, and the peer is given up. */
void conn_starved(struct conn *conn);

void outbuf_release(struct shard *shard, struct outbuf *outbuf);
void outbufs_free(struct shard *shard);

#endif
