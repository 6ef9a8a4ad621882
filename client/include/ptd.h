/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libptd: a small client of ptd, the page-table daemon. gRPC over one connection, blocking or
 * pipelined.
 *
 * Threads: a client and its calls belong to one thread at a time; two clients share nothing. The
 * library prints nothing, never exits, raises no signal and keeps no global state. It does not
 * survive fork() in the child: close the client there and open another.
 *
 * Request and response bytes are protobuf messages of proto/ptd/v1; ptd/v1 stubs of any language
 * make them, and the typed calls at the end of this file do so for the commonest methods.
 */
#ifndef PTD_H
#define PTD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PTD_API __attribute__((visibility("default")))
#else
#define PTD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Distinct types, so that an intermediate address cannot be passed where a physical one is meant.
 */
struct ptd_ipa {
	uint64_t v;
};
struct ptd_pa {
	uint64_t v;
};

struct ptd_client; /* a connection */
struct ptd_call;   /* a call under way */

enum ptd_state {
	PTD_STATE_OK = 0,
	PTD_STATE_FAILED = 1,  /* the daemon, or this library, says why; nothing was done */
	PTD_STATE_UNKNOWN = 2, /* sent, but no answer came: it may have been done */
};

/* Where a call ended without an answer; 0 when the daemon answered. */
enum ptd_where {
	PTD_WHERE_DAEMON = 0,
	PTD_WHERE_CONNECT = 1,	/* there is no connection, or it was lost before sending */
	PTD_WHERE_LOST = 2,	/* the connection was lost after sending */
	PTD_WHERE_DEADLINE = 3, /* the deadline passed here */
	PTD_WHERE_CANCEL = 4,	/* ptd_cancel() or ptd_close() */
	PTD_WHERE_ARGUMENT = 5, /* the caller's: a bad endpoint, no memory, an answer too large */
};

#define PTD_LEVEL_UNKNOWN 127

/* How a call ended. Strings are UTF-8, NUL-terminated, cut to fit. */
struct ptd_status {
	int32_t state;		/* enum ptd_state */
	int32_t where;		/* enum ptd_where */
	int32_t grpc;		/* gRPC status code, 0 to 16 */
	uint32_t code;		/* number of the outcome table: PTD-Ennnn; 0: none given */
	uint32_t index;		/* item of a batch */
	int32_t level;		/* the walk reached; PTD_LEVEL_UNKNOWN: no walk */
	uint64_t ipa;		/* that the failure concerns */
	uint64_t nearest_below; /* the two nearest aligned values when alignment is the fault; */
	uint64_t nearest_above; /* otherwise both 0 */
	char reason[64];	/* UPPER_SNAKE name of `code`, or of the ErrorInfo */
	char message[256];
	char hint[192];
	uint64_t reserved[4];
};

struct ptd_reply {
	const struct ptd_status *status; /* never NULL */
	const uint8_t *data;		 /* the response message; NULL unless state is OK */
	size_t length;
	void *arg;		     /* of ptd_start() */
	const struct ptd_call *call; /* an identity only: the call is over */
};

/* Set `size` to sizeof the struct, the rest to 0 or a wish. */
struct ptd_options {
	uint32_t size;
	uint32_t connect_timeout_ms; /* 0: 5000 */
	uint32_t timeout_ms;	     /* of calls that give none; 0: no deadline */
	uint32_t max_receive_bytes;  /* largest response message; 0: 4 MiB */
};

/*
 * Connects to unix:PATH or tcp:HOST:PORT (clear text; IPv6 hosts in brackets). NULL: `status` says
 * why. `options` may be NULL, `status` too. ptd_close() accepts NULL; calls under way end in state
 * UNKNOWN (their callbacks run) before it returns.
 */
PTD_API struct ptd_client *ptd_open(const char *endpoint, const struct ptd_options *options,
				    struct ptd_status *status);
PTD_API void ptd_close(struct ptd_client *client);

/*
 * One call, start to end. `method` is a path, "/ptd.v1.MappingService/Map". timeout_ms 0: the
 * client's. Returns reply->status->state; what `reply` points to holds until the next call of a
 * function on this client. Completions of other calls are delivered meanwhile.
 */
PTD_API enum ptd_state ptd_unary(struct ptd_client *client, const char *method, const void *request,
				 size_t length, uint32_t timeout_ms, struct ptd_reply *reply);

/*
 * Pipelining: starts a call and returns at once; the request is copied, `method` must outlive the
 * client. The end is delivered once, from inside ptd_pump(), ptd_wait(), ptd_next(), ptd_unary(),
 * ptd_cancel() or ptd_close(): to `done`, or, when done is NULL, through ptd_next(). `reply` holds
 * until the callback returns. A callback may start and cancel calls but not pump or close. NULL: no
 * memory, or the connection is gone (ptd_connection() says why); `done` is not called.
 */
typedef void ptd_reply_fn(void *arg, const struct ptd_reply *reply);
PTD_API struct ptd_call *ptd_start(struct ptd_client *client, const char *method,
				   const void *request, size_t length, uint32_t timeout_ms,
				   ptd_reply_fn *done, void *arg);

/* A server stream: `message` gets each response message, then `done` the end (its data is NULL). No
 * deadline when timeout_ms is 0. Returning false from `message` cancels the stream. */
typedef bool ptd_message_fn(void *arg, const uint8_t *data, size_t length);
PTD_API struct ptd_call *ptd_start_stream(struct ptd_client *client, const char *method,
					  const void *request, size_t length, uint32_t timeout_ms,
					  ptd_message_fn *message, ptd_reply_fn *done, void *arg);

/* Ends a call that has not been delivered: its callback runs with state UNKNOWN (FAILED if it was
 * never sent). */
PTD_API void ptd_cancel(struct ptd_client *client, struct ptd_call *call);

/*
 * One round: writes what is queued, waits up to timeout_ms (-1: without end, 0: not at all) for
 * something to happen, delivers it. Returns the number of calls that ended, or -1 when the
 * connection is gone and no call is left. EINTR ends the wait.
 */
PTD_API int ptd_pump(struct ptd_client *client, int timeout_ms);

/* Pumps until at most `limit` calls are under way: the back-pressure of a pipeline; 0 waits for
 * all. False: the connection is gone. */
PTD_API bool ptd_wait(struct ptd_client *client, size_t limit);

/* Takes the next end of a call that was started without `done`, waiting up to timeout_ms for it.
 * False: none came. */
PTD_API bool ptd_next(struct ptd_client *client, struct ptd_reply *reply, int timeout_ms);

/* Calls under way, and the state of the connection (OK, or why it is gone). */
PTD_API size_t ptd_outstanding(const struct ptd_client *client);
PTD_API const struct ptd_status *ptd_connection(const struct ptd_client *client);

/* For event loops: poll this descriptor for input, and for output when ptd_wants_write(), then
 * ptd_pump(client, 0). */
PTD_API int ptd_fd(const struct ptd_client *client);
PTD_API bool ptd_wants_write(const struct ptd_client *client);

/* The library's version, "0.1.0". */
PTD_API const char *ptd_version(void);

/*
 * Typed calls. Each blocks, with the client's timeout, returns the state and fills `status` (which
 * may be NULL); results are untouched unless the state is OK. Bits of `prot` and `flags` are those
 * of mapping.proto.
 */
#define PTD_PROT_R	 0x1u
#define PTD_PROT_W	 0x2u
#define PTD_PROT_PX	 0x4u
#define PTD_PROT_UX	 0x8u
#define PTD_PROT_NC	 0x100u
#define PTD_PROT_DEVICE	 0x200u
#define PTD_MAP_REPLACE	 0x1u
#define PTD_MAP_PAGES	 0x2u
#define PTD_ACCESS_READ	 1u
#define PTD_ACCESS_WRITE 2u
#define PTD_ACCESS_EXEC	 3u
#define PTD_ACCESS_AT	 4u

struct ptd_effects {
	uint64_t generation; /* of the context, afterwards */
	uint32_t outcome;    /* number of the outcome table */
	uint32_t blocks_split;
	uint64_t leaves_written, leaves_removed, already, holes;
	uint32_t tables_added, tables_freed, tlbis, reserved;
};

struct ptd_translation {
	uint32_t outcome; /* 0 OK, 69 NOT_MAPPED, 12 DENIED */
	uint32_t prot;
	int32_t level;
	uint32_t reserved;
	struct ptd_pa pa;
	uint64_t par, descriptor, span;
};

/* Handles by name: "m0", "m0/g0". */
PTD_API enum ptd_state ptd_find_machine(struct ptd_client *client, const char *name,
					uint64_t *handle, struct ptd_status *status);
PTD_API enum ptd_state ptd_find_context(struct ptd_client *client, const char *name,
					uint64_t *handle, struct ptd_status *status);
PTD_API enum ptd_state ptd_map(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			       uint64_t size, struct ptd_pa pa, uint32_t prot, uint32_t flags,
			       struct ptd_effects *effects, struct ptd_status *status);
PTD_API enum ptd_state ptd_unmap(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
				 uint64_t size, struct ptd_effects *effects,
				 struct ptd_status *status);
PTD_API enum ptd_state ptd_protect(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
				   uint64_t size, uint32_t prot, struct ptd_effects *effects,
				   struct ptd_status *status);
PTD_API enum ptd_state ptd_translate(struct ptd_client *client, uint64_t context,
				     struct ptd_ipa ipa, uint32_t access,
				     struct ptd_translation *translation,
				     struct ptd_status *status);

/* Guest memory through vCPU `vcpu`: moves up to `length` bytes and sets *outcome (0: all moved). */
PTD_API enum ptd_state ptd_read(struct ptd_client *client, uint64_t context, uint32_t vcpu,
				struct ptd_ipa ipa, void *data, uint32_t length, uint32_t *outcome,
				struct ptd_status *status);
PTD_API enum ptd_state ptd_write(struct ptd_client *client, uint64_t context, uint32_t vcpu,
				 struct ptd_ipa ipa, const void *data, uint32_t length,
				 uint32_t *outcome, struct ptd_status *status);

#ifdef __cplusplus
}
#endif

#endif
