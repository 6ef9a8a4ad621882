/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libptd on a libuv loop: a library of its own, libptd-uv, over <ptd_core.h>. Nothing here blocks;
 * callbacks run from the loop.
 *
 * Threads: [MT-Loop], only the thread that runs the loop. A client with a connection, or on the way
 * to one, keeps its loop alive until ptd_uv_close().
 */
#ifndef PTD_UV_H
#define PTD_UV_H

#include <ptd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ptd_uv;
struct uv_loop_s; /* uv_loop_t, without <uv.h> */

/*
 * A client of `endpoint`, with the options of ptd_open(); begins to connect at once, and calls may
 * be started at once: they wait for the connection. NULL: the endpoint or a file is bad, or no
 * memory; `status` says which and may be NULL. [MT-Loop]
 */
PTD_API struct ptd_uv *ptd_uv_open(struct uv_loop_s *loop, const char *endpoint,
				   const struct ptd_options *options, struct ptd_status *status);

/* Ends all calls (their callbacks run now, or when the callback that this is called from has
 * returned), then calls `closed` from the loop, where `uv` is gone. `closed` may be NULL. [MT-Loop]
 */
typedef void ptd_uv_closed_fn(void *arg);
PTD_API void ptd_uv_close(struct ptd_uv *uv, ptd_uv_closed_fn *closed, void *arg);

/* As ptd_core_start() and so on; what they queue is written before the loop next waits. [MT-Loop]
 */
PTD_API struct ptd_call *ptd_uv_start(struct ptd_uv *uv, const struct ptd_request *request,
				      struct ptd_status *status);
PTD_API bool ptd_uv_send(struct ptd_uv *uv, struct ptd_call *call, const void *data, size_t length);
PTD_API void ptd_uv_half_close(struct ptd_uv *uv, struct ptd_call *call);
PTD_API size_t ptd_uv_queued(const struct ptd_uv *uv, const struct ptd_call *call);
PTD_API void ptd_uv_cancel(struct ptd_uv *uv, struct ptd_call *call);

/* Calls under way; OK, or why the last connection was lost or could not be made. [MT-Loop] */
PTD_API size_t ptd_uv_outstanding(const struct ptd_uv *uv);
PTD_API const struct ptd_status *ptd_uv_connection(const struct ptd_uv *uv);

/* The core under a client: for <ptd_session.h>. [MT-Loop] */
struct ptd_core;
PTD_API struct ptd_core *ptd_uv_core(struct ptd_uv *uv);

#ifdef __cplusplus
}
#endif

#endif
