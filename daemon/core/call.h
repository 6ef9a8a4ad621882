/* SPDX-License-Identifier: BSD-2-Clause */
/* One RPC as a handler sees it: who calls, with what, until when, and where the answer goes. */
#ifndef PTD_CALL_H
#define PTD_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <pt/outcome.h>
#include <pt/types.h>

struct domain;
struct domain_loop;

#define PRINCIPAL_MAX 256

/* Who is at the other end: from peer credentials ("uid:0"), a certificate, or "loopback". */
struct principal {
	char name[PRINCIPAL_MAX];
	bool admin;
};

/* Filled by a handler that fails; becomes grpc-status, grpc-message and grpc-status-details-bin. */
struct call_status {
	enum pt_outcome code; /* PT_OK: the response counts */
	uint32_t grpc;	      /* 0: that of the code's row; else instead of it */
	uint32_t index;	      /* item, for batches */
	int8_t level;	      /* PT_TTL_UNKNOWN: no walk */
	uint64_t ipa;
	uint64_t nearest_below, nearest_above; /* when alignment is the fault; else both 0 */
	const char *hint;		       /* what to do about it, static; NULL: the row's */
	uint32_t pushback_ms; /* when to try again: grpc-retry-pushback-ms; 0: not said */
	char text[160];	      /* one line, ASCII, names the argument at fault; "" : the row's */
};

/* A field of the request's metadata, kept for methods that ask for it; as it stood on the wire. */
struct metadata {
	struct metadata *next;
	uint32_t name_length, value_length;
	char text[]; /* name, then value */
};

enum call_result {
	CALL_DONE,   /* response or status is final */
	CALL_MORE,   /* budget spent: call the handler again in a later section */
	CALL_PARKED, /* call_wake() will come; then call the handler again */
	CALL_STREAM, /* server stream: call again whenever call_wake() came or the queue has room;
			see call_send() */
};

/*
 * Lives from the arrival of the request to the last byte of the answer. All memory that a handler
 * needs comes from `arena` (capped, freed as a whole); it never frees. `state` is the handler's
 * own, NULL at the first call, kept between calls.
 */
struct call {
	struct domain *domain;
	struct domain_loop *loop; /* of the shard that runs the call; its section is open */
	const struct principal *principal;
	uint64_t now_ns;      /* monotonic, of the event that is being processed */
	uint64_t deadline_ns; /* UINT64_MAX: none */
	uint64_t connection;  /* number of the peer's connection, unique in this daemon */
	uint64_t random;      /* fresh bits, of that connection */
	ProtobufCAllocator *arena;
	const ProtobufCMessage *request; /* unpacked; its strings contain no NUL and are UTF-8 */
	const uint8_t *request_bytes;	 /* as received: what a request id is bound to */
	size_t request_length;
	ProtobufCMessage
		*response; /* arena; set by the handler that ends with CALL_DONE and code PT_OK */
	struct call_status status;
	/* One field each of the request's metadata, sent back; NULL: none. */
	const struct metadata *initial, *trailing;
	void *state;
	/* The peer cancelled, vanished, or the deadline passed. A handler looks before its commit
	 * point only. */
	bool abandoned;
	/* Parked until another client does something: no work of the shard meanwhile. */
	bool rests;
};

typedef enum call_result call_handler(struct call *call);

struct method {
	const char *path; /* "/ptd.v1.MappingService/Map" */
	const ProtobufCMessageDescriptor *request;
	call_handler *run;
	/* The call ends early (cancel, disconnect): undo or detach what `state` holds. CALL_MORE or
	 * CALL_PARKED: not yet. NULL: nothing to do. */
	call_handler *abandon;
	/* Faster than protobuf_c_message_unpack(), with the same result, for the common form of a
	 * request. NULL from it: another form, or no memory; the general way decides. May be NULL.
	 */
	ProtobufCMessage *(*unpack)(ProtobufCAllocator *arena, size_t length, const uint8_t *data);
	/* Likewise for the response; `out` NULL: the room it needs at most, 0: the general way. */
	size_t (*pack)(const ProtobufCMessage *response, uint8_t *out);
	/* Client streams: woken, or the daemon drains, while no message is with the handler. May be
	 * NULL. */
	call_handler *look;
	bool server_streaming;
	bool client_streaming;
	bool keeps_metadata; /* for call_metadata() */
};

/* Zeroed memory from the call's arena; NULL when its cap is reached (answer PT_TOO_LARGE). */
void *call_alloc(struct call *call, size_t bytes);

/* The request's first metadata field of that name, or NULL; lives as long as the call. */
const struct metadata *call_metadata(const struct call *call, const char *name);

/* Marks the call failed; returns CALL_DONE for `return call_fail(...)`. `text` may be NULL.
 * printf-style, cut to fit. */
enum call_result call_fail(struct call *call, enum pt_outcome code, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* From any shard's step: makes the call's own shard run the handler again. Safe once after each
 * CALL_PARKED. */
void call_wake(struct call *call);

/*
 * Server streams: packs `message` and queues it. False: the queue is full (the peer is slow); drop,
 * coalesce or send an overflow note later. Only on the call's own shard.
 */
bool call_send(struct call *call, const ProtobufCMessage *message);

/* The same with the packed form, and without a limit: the answer of a message that has been run.
 * False: no memory. */
bool call_send_packed(struct call *call, const uint8_t *message, size_t length);

#endif
