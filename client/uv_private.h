/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of the libuv layer: a client, and one transport of it. */
#ifndef PTD_UV_PRIVATE_H
#define PTD_UV_PRIVATE_H

#include "endpoint.h"

#include <ptd_core.h>
#include <ptd_uv.h>
#include <uv.h>

#define UV_INPUT_BATCH (64u << 10)

struct link;

struct ptd_uv {
	struct ptd_core *core; /* NULL: closed */
	struct link *link;     /* NULL: no transport */
	uv_timer_t timer;
	uv_prepare_t prepare; /* before the loop waits: writes, delivers, sets the timer */
	unsigned handles;     /* that are not closed yet, and lookups under way */
	bool busy;	      /* inside the core, or a callback of it */
	bool closing;
	ptd_uv_closed_fn *closed;
	void *arg;
	struct endpoint endpoint;
	uint8_t input[UV_INPUT_BATCH];
};

/* Opens a transport; ptd_core_connected() or uv_link_lost() follow, maybe at once. */
void uv_link_open(struct ptd_uv *uv);
/* Drops it, if any; the core is not told. */
void uv_link_drop(struct ptd_uv *uv);
/* The same, and tells the core. */
void uv_link_lost(struct ptd_uv *uv, const char *why);
/* Writes what the core has, as far as the transport takes it. */
void uv_link_flush(struct ptd_uv *uv);

/* One round: what the core wants, bytes, ends of calls, the timer. */
void uv_service(struct ptd_uv *uv);
/* One thing less to wait for before `closed`. */
void uv_let_go(struct ptd_uv *uv);

#endif
