/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libptd without I/O: bytes in, bytes out, time from the caller. It fits any loop; ptd_open() and
 * <ptd_uv.h> are such loops. It opens no socket, reads no clock and waits for nothing.
 *
 * The loop: ptd_core_step() says what to do. CONNECT: open a transport (any byte stream to the
 * daemon), then ptd_core_connected(), or ptd_core_lost() if that fails. While there is one, hand
 * over what comes with ptd_core_input() and write what ptd_core_output() has. CLOSE: close it, then
 * ptd_core_lost(). After each of these ptd_core_deliver() runs the callbacks of calls that ended,
 * and ptd_core_step() again.
 *
 * Threads: [MT-Core], one thread at a time for one core and its calls; two cores share nothing.
 * Words and promises are those of <ptd.h>.
 */
#ifndef PTD_CORE_H
#define PTD_CORE_H

#include <ptd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ptd_core;

/*
 * `host`: NULL for clear text, else TLS with a daemon of this name (an address without brackets).
 * The files of options->tls_... are read here and only here; connect_timeout_ms counts from CONNECT
 * to the end of the TLS handshake. NULL: `status` says why. [MT-Safe]
 *
 * ptd_core_destroy() ends all calls, runs their callbacks and accepts NULL. [MT-Core]
 */
PTD_API struct ptd_core *ptd_core_create(const struct ptd_options *options, const char *host,
					 struct ptd_status *status);
PTD_API void ptd_core_destroy(struct ptd_core *core);

enum ptd_core_want {
	PTD_CORE_NOTHING = 0,
	PTD_CORE_CONNECT = 1, /* said once for each attempt */
	PTD_CORE_CLOSE = 2,   /* said until ptd_core_lost() */
	PTD_CORE_GONE = 3,    /* no call can be started any more; close the transport, if any */
};
/* Ends overdue calls, and says what to do and when to call again at the latest (UINT64_MAX: when
 * something happens). Times are of any clock that never goes back, in nanoseconds. [MT-Core] */
PTD_API enum ptd_core_want ptd_core_step(struct ptd_core *core, uint64_t now_ns, uint64_t *wake_ns);

/* Asks for a connection although no call needs one. [MT-Core] */
PTD_API void ptd_core_wish_connection(struct ptd_core *core);

/* False: no memory; the transport is of no use. [MT-Core] */
PTD_API bool ptd_core_connected(struct ptd_core *core, uint64_t now_ns);
/* The transport is gone or could not be opened; `why` is told in states of calls. [MT-Core] */
PTD_API void ptd_core_lost(struct ptd_core *core, uint64_t now_ns, const char *why);

/* Bytes that came. Callbacks of streams run in here. [MT-Core] */
PTD_API void ptd_core_input(struct ptd_core *core, const void *bytes, size_t length,
			    uint64_t now_ns);
/* Bytes to write, some 64 KiB at most; they stay where they are until ptd_core_wrote() takes them
 * from the front. 0: nothing now. [MT-Core] */
PTD_API size_t ptd_core_output(struct ptd_core *core, const uint8_t **bytes);
PTD_API void ptd_core_wrote(struct ptd_core *core, size_t length);
PTD_API bool ptd_core_wants_write(const struct ptd_core *core);

/* Runs the callbacks of calls that ended; returns how many. They may start and cancel calls. Never
 * from inside a callback. [MT-Core] */
PTD_API int ptd_core_deliver(struct ptd_core *core);

/* As ptd_start_request(), ptd_send() and so on; `done` is needed. NULL: `status` says why; it may
 * be NULL. [MT-Core] */
PTD_API struct ptd_call *ptd_core_start(struct ptd_core *core, const struct ptd_request *request,
					uint64_t now_ns, struct ptd_status *status);
PTD_API bool ptd_core_send(struct ptd_core *core, struct ptd_call *call, const void *data,
			   size_t length);
PTD_API void ptd_core_half_close(struct ptd_core *core, struct ptd_call *call);
PTD_API size_t ptd_core_queued(const struct ptd_core *core, const struct ptd_call *call);
PTD_API void ptd_core_cancel(struct ptd_core *core, struct ptd_call *call);

/* Calls under way; why the last connection was lost, or OK; whether one is up, ready for calls (its
 * TLS handshake is over). [MT-Core] */
PTD_API size_t ptd_core_outstanding(const struct ptd_core *core);
PTD_API const struct ptd_status *ptd_core_connection(const struct ptd_core *core);
PTD_API bool ptd_core_is_up(const struct ptd_core *core);

#ifdef __cplusplus
}
#endif

#endif
