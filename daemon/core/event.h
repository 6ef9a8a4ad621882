/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes into a shard and what comes out: the whole border between core and driver. */
#ifndef PTD_EVENT_H
#define PTD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct principal;

/* One peer's connection as the driver holds it; the core only fills `conn`. The driver frees it
 * after it has sent EVENT_CLOSED. */
struct peer {
	struct conn *conn; /* NULL before EVENT_ACCEPTED and when the core had no memory for it */
};

enum event_kind {
	EVENT_ACCEPTED,	 /* peer, principal */
	EVENT_BYTES,	 /* peer, data */
	EVENT_WRITABLE,	 /* peer: the action's bytes have left */
	EVENT_CLOSED,	 /* peer: nothing uses its buffers any more; the last event of it */
	EVENT_TIMER,	 /* the time last armed has come */
	EVENT_MAIL,	 /* as asked by ACTION_MAIL of this shard or ACTION_NOTIFY of another */
	EVENT_DURABLE,	 /* lsn: the log is safe up to here */
	EVENT_RECLAIMED, /* as asked by ACTION_RECLAIM */
	EVENT_SIGNAL,	 /* drain has begun: look at the domain */
};

struct event {
	enum event_kind kind;
	uint64_t now_ns; /* monotonic */
	uint64_t random; /* fresh bits in EVENT_ACCEPTED */
	struct peer *peer;
	const struct principal *principal; /* copied */
	bool local;			   /* ACCEPTED: the peer is on this machine's kernel */
	const uint8_t *data;		   /* valid during the step */
	size_t length;
	uint64_t lsn;
};

enum action_kind {
	ACTION_WRITE,	/* peer, data: one write, then see `done` and `report` */
	ACTION_PAUSE,	/* peer: stop reading */
	ACTION_RESUME,	/* peer: read again */
	ACTION_CLOSE,	/* peer: close it once its bytes have left */
	ACTION_ABORT,	/* peer: close it now */
	ACTION_ARM,	/* at_ns: EVENT_TIMER then; replaces the time armed before */
	ACTION_MAIL,	/* EVENT_MAIL to this shard, after other work */
	ACTION_RECLAIM, /* EVENT_RECLAIMED to this shard soon */
	ACTION_NOTIFY,	/* EVENT_MAIL to `shard` */
	ACTION_APPEND,	/* data: to the log; EVENT_DURABLE answers */
	ACTION_DRAINED, /* draining, and the last connection is gone */
};

struct action {
	enum action_kind kind;
	bool linger; /* CLOSE: the peer may still be sending; read on for a while, lest a reset
			overtakes the last bytes */
	bool report; /* WRITE: EVENT_WRITABLE is wanted even if all left at once */
	bool done;   /* WRITE: set by the driver when all left at once and no report was wanted */
	struct peer *peer;
	const uint8_t *data; /* stays until `done` or EVENT_WRITABLE or EVENT_CLOSED */
	size_t length;
	uint64_t at_ns;
	uint32_t shard;
	void *owner; /* the core's */
};

#endif
