/* SPDX-License-Identifier: BSD-2-Clause */
/* The load generator: what it was asked to do, its connections, and what it has counted. */
#ifndef LOAD_H
#define LOAD_H

#include "body.h"
#include "histogram.h"
#include "wire.h"

#define SECOND_NS UINT64_C(1000000000)
#define NEVER	  UINT64_MAX

struct options {
	struct endpoint endpoint;
	const char *name, *method, *body, *bad, *session;
	const char *beside, *beside_body; /* another method on each connection; its request */
	uint32_t beside_streams;
	uint64_t context;
	uint32_t connections, streams;
	uint64_t calls; /* 0: as long as `seconds` */
	double seconds; /* measured, after `warmup` */
	double warmup, every;
	double rate;  /* calls a second, whatever the answers do; 0: callers wait for answers */
	bool poisson; /* irregular arrivals at that rate */
	bool rude;    /* a push-back is not waited for */
};

/* A call under way; slots are found by stream id. */
struct slot {
	int32_t id; /* 0: free */
	uint64_t since_ns;
	struct answer answer;
	bool beside;
};

struct conn {
	struct wire wire;
	struct load *load;
	struct slot *slot;
	uint32_t under_way, waiting; /* calls; callers that were pushed back */
	bool ready;		     /* the peer's SETTINGS are here */
	uint32_t beside;	     /* calls of the other method under way */
	bool polls_write, dirty;
	uint64_t again_ns; /* when to connect again; NEVER: it is connected */
	struct conn *next_dirty;
	void *state; /* of a session or a bad client */
};

struct counts {
	uint64_t sent, ok, refused, bare, failed, unsent;
	uint64_t status[18]; /* [17]: none */
	uint64_t resets, goaways, reconnects, bytes, beside;
};

/* What was counted until then. */
struct mark {
	uint64_t at_ns;
	struct counts counts;
};

/* A caller that comes back. */
struct retry {
	uint64_t due_ns;
	struct conn *conn;
};

struct load {
	struct options options;
	struct body body, beside;
	struct conn *conn;
	uint32_t slots; /* of each connection; a power of two */
	int epoll;
	const struct client *client;
	uint64_t now_ns, start_ns, measure_ns, end_ns, report_ns, looked_ns;
	uint64_t next_arrival_ns, interval_ns, serial, random;
	uint32_t turn; /* next connection for an arrival */
	bool stopping;
	struct conn *dirty;
	struct retry *heap;
	uint32_t heap_count;
	struct counts counts;
	struct mark at_measure, at_end, at_report;
	struct histogram latency, refusal, interval;
};

/* What a kind of client does with its connections. */
struct client {
	const char *name;
	void (*begin)(struct conn *conn); /* TCP and TLS are through */
	struct wire_events events;
	void (*turn)(struct conn *conn); /* after each look at the socket, and each millisecond */
	void (*end)(struct conn *conn);	 /* the connection is over */
	bool deaf;			 /* reads nothing */
};

extern const struct client call_client, session_client;
/* NULL: there is no such one. */
const struct client *bad_client(const char *name);

uint64_t clock_ns(void);
uint64_t draw(struct load *load);
/* It has something to send. */
void conn_dirty(struct conn *conn);
/* Counts one call or message. */
void load_count(struct load *load, const struct answer *answer, uint64_t since_ns);
bool load_is_over(const struct load *load);
/* Starts what is due. Returns when to look again. */
uint64_t calls_due(struct load *load);

void mark(struct load *load, struct mark *mark);
void report_interval(struct load *load);
void report_all(struct load *load);

#endif
