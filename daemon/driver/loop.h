/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of one loop: libuv handles around a shard. */
#ifndef PTD_LOOP_H
#define PTD_LOOP_H

#include "event.h"
#include "server.h"

#define READ_BUFFER (64u << 10)
#define READ_FIRST  (8u << 10) /* of a new link */

/* An accepted socket on its way to its loop. */
struct arrival {
	struct arrival *next;
	int fd;
	bool tcp, tls;
	struct principal principal; /* not of tls, whose handshake finds it */
};

/* A connection. Freed when its handle is closed and the shard has been told. */
struct link {
	struct peer peer; /* first */
	struct loop *loop;
	struct link *next_writable, *next_linger, *next_resting;
	struct tls *tls; /* NULL: clear */
	union {
		uv_stream_t stream;
		uv_handle_t handle;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	};
	uv_write_t write;
	uv_shutdown_t shutdown;
	uint64_t turn;	/* of the loop in which it was last read */
	uint32_t room;	/* bytes of a read */
	bool resting;	/* others are read first (fair.c) */
	bool paused;	/* the shard wants no more */
	bool closing;	/* the shard wants it closed: what arrives is thrown away */
	bool writable;	/* in the list of writes to be reported */
	bool linger;	/* wait for the peer's end after ours */
	bool lingering; /* waits for the peer's end */
	bool linger_over;
	bool admitted; /* counts in max_connections */
	bool accepted; /* the shard knows of it */
};

struct acceptor {
	uv_poll_t poll;
	struct loop *loop;
	const struct listener *listener;
	int fd;
	bool open;
};

struct loop {
	struct server *server;
	struct shard *shard;
	uint32_t index;
	uv_loop_t uv;
	uv_async_t async;
	uv_timer_t timer, linger, descriptors;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t again; /* keeps the loop from waiting while the shard has work */
	uv_signal_t term, interrupt;
	struct acceptor acceptor[OPTIONS_LISTEN];
	struct link *writable, *lingering, *resting;
	struct link *reader; /* whose bytes are being worked on since read_ns */
	uint64_t read_ns, turn;
	uint32_t active, active_before; /* links read in this turn and the last */
	struct tls_loop *tls;		/* NULL: no tls endpoint */
	bool mail, reclaim, drained;
	bool stopping;		/* loop 0: the service manager knows that the drain has begun */
	_Atomic uint64_t turns; /* of the event loop, for the watchdog */
	int spare_fd;		/* given up when descriptors run out, to refuse politely */
	uv_mutex_t lock;
	struct arrival *arrivals; /* lock */
	char buffer[READ_BUFFER];
};

/* Runs one event, carries out its actions, and reports the writes that ended with them. */
void loop_step(struct loop *loop, struct event *event);
void fair_begin(struct link *link);
/* Links are being read. */
bool fair_is_busy(const struct loop *loop);
/* Bytes of the link have been worked on since then, and their answers are on their way. */
void fair_read(struct link *link, uint64_t since_ns, size_t length);
/* Something else begins: what `reader` took is known. */
void fair_step(struct loop *loop, uint64_t now_ns);
/* The turn is over: whoever rested is read again. */
void fair_turn(struct loop *loop);
void fair_forget(struct link *link);
/* A socket that has arrived at its loop. */
void link_open(struct loop *loop, const struct arrival *arrival);
/* Counts it. False: there are too many. */
bool link_admit(struct link *link);
/* Tells the shard who is there, and begins to read. */
void link_accept(struct link *link, const struct principal *principal);
void link_write(struct link *link, struct action *action);
/* All of the action's bytes have left at once. */
void link_written(struct link *link, struct action *action);
void link_pause(struct link *link);
void link_resume(struct link *link);
void link_close(struct link *link, bool linger);
void link_abort(struct link *link);
/* Closes what has lingered since the last call. */
void links_sweep(struct loop *loop);
void acceptors_open(struct loop *loop);
void acceptors_close(struct loop *loop);

#endif
