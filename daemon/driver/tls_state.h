/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of the TLS filter, shared by its files. */
#ifndef PTD_TLS_STATE_H
#define PTD_TLS_STATE_H

#include "loop.h"
#include "tls.h"

#include <openssl/ssl.h>
#include <sys/queue.h>

/* What a connection decrypts from one read, and the rest of a record from the reads before. */
#define TLS_CLEAR_BYTES	     (READ_BUFFER + (32u << 10))
#define TLS_HANDSHAKE_MS     5000u /* the peer's own time; ours does not count */
#define TLS_PATIENCE_MS	     1000u /* then a stalled handshake makes room for another */
#define TLS_SWEEP_MS	     250u
#define TLS_PENDING	     1024u /* connections of a loop that are not through their handshake */
#define TLS_SLOTS	     128u  /* of these, with an SSL object */
#define TLS_JOBS	     1u /* of these, with a worker: two would displace the loop twice as often */
#define TLS_KEY_UPDATES	     32u /* of a connection in TLS_KEY_UPDATE_MS */
#define TLS_KEY_UPDATE_MS    60000u
#define TLS_LINES_PER_SECOND 10u
#define TLS_VERIFY_DEPTH     4 /* certificates between the leaf and a root of --tls-ca */

/* Grows as needed, keeps its memory. */
struct tls_buffer {
	uint8_t *data;
	size_t length, room;
};

/* A connection's filter. Its BIO reads from `in` and appends to `out`. */
struct tls {
	struct link *link;
	SSL *ssl;		     /* NULL before the handshake has a slot */
	struct handshake *handshake; /* NULL after it */
	const uint8_t *in;
	size_t in_length;
	struct tls_buffer *out;
	uint64_t updates_since_ms;
	uint32_t updates; /* KeyUpdate messages since then */
	bool broken;	  /* nothing more can be written */
};

enum handshake_state {
	HANDSHAKE_SILENT,  /* not one byte yet */
	HANDSHAKE_QUEUED,  /* has bytes, waits for a worker or a slot */
	HANDSHAKE_WORKING, /* a worker has it */
	HANDSHAKE_READING, /* waits for its peer */
	HANDSHAKE_OVER,	   /* refused; says so to its peer */
};

enum handshake_result { HANDSHAKE_MORE, HANDSHAKE_DONE, HANDSHAKE_FAILED };

struct handshake {
	struct tls *tls;
	TAILQ_ENTRY(handshake) pending, queued;
	enum handshake_state state;
	enum handshake_result result;
	bool slot;
	bool polite; /* links were being served when a worker got it: it works in turns */
	bool gone;   /* the link was closed in the worker's hands */
	uint64_t begun_ms, queued_ms, deadline_ms;
	uint8_t *input; /* TLS_HELLO_BYTES, from the first byte on */
	size_t input_length;
	struct tls_buffer output;
	struct principal principal;
	const char *reason; /* static; of a refusal */
	uv_work_t work;
};

TAILQ_HEAD(handshakes, handshake);

struct tls_loop {
	struct loop *loop;
	SSL_CTX *context;
	uv_timer_t timer;		/* runs while something is pending, or to be said */
	struct handshakes pending;	/* oldest first */
	struct handshakes fresh, ready; /* queued: without a slot, and with one */
	uint32_t pendings, slots, jobs;
	uint64_t second;	    /* of the log's limit */
	uint32_t lines, suppressed; /* in it */
	struct tls_buffer out;
	uint8_t clear[TLS_CLEAR_BYTES];
};

/* tls.c */

/* An SSL object whose BIO is `tls`. False: no memory. */
bool tls_attach(struct tls *tls, SSL_CTX *context);
/* Sends what `out` holds, and empties it. 1: all has left; 0: the rest will, and with `report`
 * EVENT_WRITABLE says so; -1: the link has been aborted. */
int tls_send(struct link *link, struct tls_buffer *out, bool report);

/* tls_pending.c */

struct tls_loop *tls_loop_of(const struct handshake *handshake);
void tls_give_slot_back(struct handshake *handshake);
/* Out of `pending`, where every unfinished handshake is until its link closes. */
void tls_unlist(struct handshake *handshake);
void tls_free_handshake(struct handshake *handshake);
void tls_destroy(struct tls *tls);
/* Says why, and closes without a word to the peer. */
void tls_refuse(struct link *link, const char *reason);

/* tls_handshake.c */

/* Gives workers what they may have now. */
void tls_pump(struct tls_loop *tls);

/* tls_context.c */

/* Of the last failed step: the handshake's own reason, or OpenSSL's. */
const char *tls_reason(const struct handshake *handshake);

/* tls_log.c */

void tls_log_refusal(struct tls_loop *tls, struct link *link, const char *reason);
/* What was held back, if the second is over. */
void tls_log_suppressed(struct tls_loop *tls);

#endif
