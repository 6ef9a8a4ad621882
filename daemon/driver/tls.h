/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS 1.3 as a filter between sockets and shard: ciphertext outside, clear bytes and a principal
 * inside. */
#ifndef PTD_TLS_H
#define PTD_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_HELLO_BYTES (4u << 10) /* one read during a handshake */

struct action;
struct link;
struct loop;
struct options;
struct ssl_ctx_st;

/* --- start-up (tls_context.c) ---------------------------------------------------------------- */

/* From the three PEM files. NULL: said on stderr, as is what looks careless if `warn`. */
struct ssl_ctx_st *tls_context_create(const struct options *options, bool warn);
void tls_context_destroy(struct ssl_ctx_st *context);
/* No files are named, or they can be used; else said on stderr. */
bool tls_files_sound(const struct options *options);

/* --- a loop (tls_pending.c) ------------------------------------------------------------------ */

/* Timer and buffers; false: no memory. */
bool tls_open(struct loop *loop, struct ssl_ctx_st *context);
/* The loop has no handle any more. */
void tls_free(struct loop *loop);
/* Draining: who has not finished the handshake does not get in. */
void tls_drain(struct loop *loop);
/* Descriptors are short: gives up the oldest unfinished handshake. False: there is none. */
bool tls_evict(struct loop *loop);

/* --- a link: handshake (tls_pending.c, tls_handshake.c) -------------------------------------- */

/* A new link waits for its peer's first byte. False: no memory. */
bool tls_begin(struct link *link);
bool tls_in_handshake(const struct link *link);
/* Bytes of a link in its handshake; stops reading until they have been looked at. */
void tls_handshake_bytes(struct link *link, const uint8_t *data, size_t length);
/* The link is being closed: it leaves all queues. */
void tls_leave(struct link *link);
/* The handle is closed. False: a worker still has the link, which is freed after that. */
bool tls_closed(struct link *link);

/* --- a link: after it (tls.c) ---------------------------------------------------------------- */

void tls_bytes(struct link *link, const uint8_t *data, size_t length);
void tls_write(struct link *link, struct action *action);
/* close_notify, after all that was written. */
void tls_say_end(struct link *link);

#endif
