/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libptd: a C client of ptd, the page-table daemon. gRPC over one connection at a time, blocking or
 * pipelined; with options it makes a new connection when one is lost and sends again what may be
 * sent again. <ptd_core.h> is the same without I/O, <ptd_uv.h> on a libuv loop.
 *
 * Request and response bytes are protobuf messages of proto/ptd/v1; ptd/v1 stubs of any language
 * make them, and the typed calls at the end of this file do so for the commonest methods.
 *
 * Threads, in the words used below:
 *   [MT-Safe]    any thread at any time.
 *   [MT-Client]  one thread at a time for one client and its calls; two clients share nothing.
 * No function is async-signal-safe. The library prints nothing, never exits, raises no signal, asks
 * for no signal handler and keeps no global state (OpenSSL and libc keep theirs). After fork() the
 * child must leave its parent's clients alone but for ptd_close(), which says nothing to the
 * daemon.
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

/* ptd_status.retry_after_ms when it is not a time. */
#define PTD_RETRY_UNSAID (-1) /* the daemon says nothing of a retry */
#define PTD_RETRY_NEVER	 (-2) /* it asks for none */

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
	int64_t retry_after_ms; /* grpc-retry-pushback-ms, or PTD_RETRY_... */
	uint64_t reserved[3];
};

struct ptd_reply {
	const struct ptd_status *status; /* never NULL */
	const uint8_t *data;		 /* the response message; NULL unless state is OK */
	size_t length;
	void *arg;		     /* of ptd_start() */
	const struct ptd_call *call; /* an identity only: the call is over */
	uint32_t attempts;	     /* times that it was sent, or begun to be */
	uint32_t reserved;
};

#define PTD_RECONNECT_ALWAYS UINT32_MAX

/*
 * Set `size` to sizeof the struct, the rest to 0 or a wish.
 *
 * With `reconnects` a lost connection is made again, that many attempts in a row, when calls need
 * one. Then these calls go on over the next connection, within their deadlines: those that had not
 * left as a whole, those that the daemon says it has not taken (REFUSED_STREAM, GOAWAY), those that
 * it asks to send again (UNAVAILABLE; any status with a retry pushback), and those marked
 * PTD_CALL_REPLAY. The others end as UNKNOWN. A call of which messages have been delivered, or an
 * open one that has sent a message, is never sent again.
 *
 * TLS is version 1.3 with ALPN h2; the certificate has to bear the endpoint's host (a DNS or IP
 * subject alternative name). Sessions are not resumed. No call leaves before the daemon has taken
 * this client's certificate.
 */
struct ptd_options {
	uint32_t size;
	uint32_t connect_timeout_ms; /* of one attempt; 0: 5000 */
	uint32_t timeout_ms;	     /* of calls that give none; 0: no deadline */
	uint32_t max_receive_bytes;  /* largest response message; 0: 4 MiB */
	uint32_t reconnects;	     /* 0: none: the client ends with its connection */
	uint32_t backoff_ms;	     /* wait after a loss, doubled each time; 0: 50 */
	uint32_t backoff_max_ms;     /* 0: 5000; each wait is between half of it and all of it */
	uint32_t retries;	     /* times that one call may be sent again; 0: 16 */
	uint64_t seed;		     /* of the waits; 0: drawn */
	const char *tls_ca;	     /* PEM file, tls: only; NULL: the system's certificates */
	const char *tls_certificate; /* PEM files of the client's own; NULL: none */
	const char *tls_key;
	const char *tls_name; /* that the certificate has to bear; NULL: the endpoint's host */
};

/*
 * Connects to unix:PATH, tcp:HOST:PORT (clear text; IPv6 hosts in brackets) or tls:HOST:PORT.
 * NULL: `status` says why. `options` may be NULL, `status` too; strings in it are not kept.
 * ptd_close() accepts NULL; calls under way end (UNKNOWN if they had left, else FAILED; their
 * callbacks run) before it returns. [MT-Safe] / [MT-Client]
 */
PTD_API struct ptd_client *ptd_open(const char *endpoint, const struct ptd_options *options,
				    struct ptd_status *status);
PTD_API void ptd_close(struct ptd_client *client);

/*
 * One call, start to end. `method` is a path, "/ptd.v1.MappingService/Map". timeout_ms 0: the
 * client's. Returns reply->status->state; what `reply` points to holds until the next call of a
 * function on this client. Completions of other calls are delivered meanwhile. [MT-Client]
 */
PTD_API enum ptd_state ptd_unary(struct ptd_client *client, const char *method, const void *request,
				 size_t length, uint32_t timeout_ms, struct ptd_reply *reply);

/*
 * Pipelining: starts a call and returns at once; the request is copied, `method` must outlive the
 * client. The end is delivered once, from inside ptd_pump(), ptd_wait(), ptd_next(), ptd_unary(),
 * ptd_cancel() or ptd_close(): to `done`, or, when done is NULL, through ptd_next(). `reply` holds
 * until the callback returns. A callback may start and cancel calls but not pump or close. NULL: no
 * memory, or the connection is gone (ptd_connection() says why); `done` is not called. [MT-Client]
 */
typedef void ptd_reply_fn(void *arg, const struct ptd_reply *reply);
PTD_API struct ptd_call *ptd_start(struct ptd_client *client, const char *method,
				   const void *request, size_t length, uint32_t timeout_ms,
				   ptd_reply_fn *done, void *arg);

/* A server stream: `message` gets each response message, then `done` the end (its data is NULL). No
 * deadline when timeout_ms is 0. Returning false from `message` cancels the stream. [MT-Client] */
typedef bool ptd_message_fn(void *arg, const uint8_t *data, size_t length);
PTD_API struct ptd_call *ptd_start_stream(struct ptd_client *client, const char *method,
					  const void *request, size_t length, uint32_t timeout_ms,
					  ptd_message_fn *message, ptd_reply_fn *done, void *arg);

/* `flags` of a request. */
#define PTD_CALL_REPLAY 0x1u /* may be sent again: it has a request id, or changes nothing */
#define PTD_CALL_OPEN	0x2u /* more messages follow: ptd_send(), ptd_half_close() */

/* Any call in full. Set `size` to sizeof the struct, and what is not wanted to 0. */
struct ptd_request {
	uint32_t size;
	uint32_t flags;
	const char *method; /* outlives the client */
	const void *data;   /* first message; may be NULL with PTD_CALL_OPEN: none yet */
	size_t length;
	uint32_t timeout_ms; /* 0: none with `message` or PTD_CALL_OPEN; else the client's */
	uint32_t reserved;
	ptd_message_fn *message; /* not NULL: the answer is a stream */
	ptd_reply_fn *done;
	void *arg;
};
/* As ptd_start() and ptd_unary() (`message` and `done` unused, not open). [MT-Client] */
PTD_API struct ptd_call *ptd_start_request(struct ptd_client *client,
					   const struct ptd_request *request);
PTD_API enum ptd_state ptd_unary_request(struct ptd_client *client,
					 const struct ptd_request *request,
					 struct ptd_reply *reply);

/* 16 bytes for a request_id field: with one of these a request that is sent twice is done once.
 * False: the system gives none. [MT-Safe] */
PTD_API bool ptd_draw_request_id(uint8_t id[16]);

/*
 * A stream of requests: messages are copied and leave in order. ptd_queued() tells how many bytes
 * have not left for the connection; a caller that sends without end waits (ptd_pump()) for that to
 * fall. ptd_half_close() says that no more come. False: no memory, or the call is over (its end is
 * or will be delivered). `call` is valid until its end has been delivered. [MT-Client]
 */
PTD_API struct ptd_call *ptd_start_bidi(struct ptd_client *client, const char *method,
					uint32_t timeout_ms, ptd_message_fn *message,
					ptd_reply_fn *done, void *arg);
PTD_API bool ptd_send(struct ptd_client *client, struct ptd_call *call, const void *data,
		      size_t length);
PTD_API void ptd_half_close(struct ptd_client *client, struct ptd_call *call);
PTD_API size_t ptd_queued(const struct ptd_client *client, const struct ptd_call *call);

/* Ends a call that has not been delivered: its callback runs with state UNKNOWN (FAILED if it was
 * never sent). [MT-Client] */
PTD_API void ptd_cancel(struct ptd_client *client, struct ptd_call *call);

/*
 * One round: writes what is queued, waits up to timeout_ms (-1: without end, 0: not at all) for
 * something to happen, delivers it. Returns the number of calls that ended, or -1 when the
 * connection is gone and no call is left. EINTR ends the wait. [MT-Client]
 */
PTD_API int ptd_pump(struct ptd_client *client, int timeout_ms);

/* Pumps until at most `limit` calls are under way: the back-pressure of a pipeline; 0 waits for
 * all. False: the connection is gone. [MT-Client] */
PTD_API bool ptd_wait(struct ptd_client *client, size_t limit);

/* Takes the next end of a call that was started without `done`, waiting up to timeout_ms for it.
 * False: none came. [MT-Client] */
PTD_API bool ptd_next(struct ptd_client *client, struct ptd_reply *reply, int timeout_ms);

/* Calls under way, and the state of the connection: OK, or why the last one was lost or could not
 * be made. [MT-Client] */
PTD_API size_t ptd_outstanding(const struct ptd_client *client);
PTD_API const struct ptd_status *ptd_connection(const struct ptd_client *client);

/* For event loops: poll this descriptor for input, and for output when ptd_wants_write(), at most
 * until ptd_wait_ms() (-1: no end), then ptd_pump(client, 0). The descriptor changes with each
 * connection; -1: there is none now. [MT-Client] */
PTD_API int ptd_fd(const struct ptd_client *client);
PTD_API bool ptd_wants_write(const struct ptd_client *client);
PTD_API int ptd_wait_ms(struct ptd_client *client);

/* The core under a client: for <ptd_session.h>. [MT-Client] */
struct ptd_core;
PTD_API struct ptd_core *ptd_client_core(struct ptd_client *client);

/* The library's version, "0.1.0". [MT-Safe] */
PTD_API const char *ptd_version(void);

/*
 * Typed calls. Each blocks, with the client's timeout, returns the state and fills `status` (which
 * may be NULL); results are untouched unless the state is OK. Bits of `prot` and `flags` are those
 * of mapping.proto. A client with `reconnects` gives each change a request id of its own, so that
 * it is replayed after a loss; lookups, translations and reads are replayed as they are,
 * ptd_write() is not. [MT-Client], all of them.
 */
#define PTD_PROT_R	   0x1u
#define PTD_PROT_W	   0x2u
#define PTD_PROT_PX	   0x4u
#define PTD_PROT_UX	   0x8u
#define PTD_PROT_NC	   0x100u
#define PTD_PROT_DEVICE	   0x200u
#define PTD_MAP_REPLACE	   0x1u
#define PTD_MAP_PAGES	   0x2u
#define PTD_MAP_CONTIGUOUS 0x4u
#define PTD_ACCESS_READ	   1u
#define PTD_ACCESS_WRITE   2u
#define PTD_ACCESS_EXEC	   3u
#define PTD_ACCESS_AT	   4u

/* OpKind numbers, for ptd_change(). */
#define PTD_ITEM_MAP	       1u
#define PTD_ITEM_UNMAP	       2u
#define PTD_ITEM_PROTECT       3u
#define PTD_ITEM_WRITE_PROTECT 4u
#define PTD_ITEM_RELAX	       5u
#define PTD_ITEM_ANNOTATE      6u
#define PTD_ITEM_MAKE_YOUNG    7u
#define PTD_ITEM_FLUSH	       8u

struct ptd_effects {
	uint64_t generation; /* of the context, afterwards */
	uint32_t outcome;    /* number of the outcome table */
	uint32_t blocks_split;
	uint64_t leaves_written, leaves_removed, already, holes;
	uint32_t tables_added, tables_freed, tlbis;
	uint32_t annotated; /* granules; UINT32_MAX: so many, or more */
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
/* One change of any kind, done or not done: PTD_ITEM_... `pa` counts for MAP and ANNOTATE (there it
 * is the invalid descriptor: type 2 to 15 in 63:60, payload in 59:1), `prot` for MAP, PROTECT and
 * RELAX, `flags` for MAP; the rest is 0. [MT-Client] */
PTD_API enum ptd_state ptd_change(struct ptd_client *client, uint64_t context, uint32_t kind,
				  struct ptd_ipa ipa, uint64_t size, struct ptd_pa pa,
				  uint32_t prot, uint32_t flags, struct ptd_effects *effects,
				  struct ptd_status *status);

/* How far a progressive call came. */
struct ptd_upkeep {
	struct ptd_ipa next; /* first address not dealt with; the end of the range: all was */
	uint32_t stopped;    /* 0, or a number of the outcome table: why it ended before the end */
	uint32_t reserved;
	uint64_t young, old;  /* ptd_age(): granules with and without access flag */
	uint64_t blocks_made; /* ptd_collapse() */
	struct ptd_effects effects;
};

/* Access flags of a range; `clear`: takes them away. `bitmap` (NULL: not wanted) gets a bit a
 * granule from `ipa` on, set where it is young, as far as next and `bitmap_bytes` reach.
 * [MT-Client] */
PTD_API enum ptd_state ptd_age(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			       uint64_t size, bool clear, uint8_t *bitmap, size_t bitmap_bytes,
			       struct ptd_upkeep *upkeep, struct ptd_status *status);
/* Blocks into leaves of `level` (1 to 3: pages), with at most `pages` table pages (0: any number).
 * [MT-Client] */
PTD_API enum ptd_state ptd_split(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
				 uint64_t size, uint32_t level, uint64_t pages,
				 struct ptd_upkeep *upkeep, struct ptd_status *status);
/* Leaves into blocks, where they say the same. [MT-Client] */
PTD_API enum ptd_state ptd_collapse(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
				    uint64_t size, struct ptd_upkeep *upkeep,
				    struct ptd_status *status);

#define PTD_DIRTY_EAGER 0x1u /* split blocks now, not at their first write */
#define PTD_DIRTY_ALL	0x2u /* every page counts as dirty at first */

/* Begins to log which pages of a range are written; *log is its handle, *generation what the first
 * ptd_dirty_get() takes. [MT-Client] */
PTD_API enum ptd_state ptd_dirty_start(struct ptd_client *client, uint64_t context,
				       struct ptd_ipa ipa, uint64_t size, uint32_t flags,
				       uint64_t *log, uint64_t *generation,
				       struct ptd_status *status);

/* What a part of a log tells. */
struct ptd_dirty {
	struct ptd_ipa ipa, next; /* the bitmap is of [ipa, next) */
	uint64_t dirty;		  /* bits that are set */
	bool done;		  /* all that was asked for; else ask again from next on */
};

/* Which pages were written; `clear`: they are clean from now on. A size of 0 reaches to the log's
 * end. *generation is that of the last answer, and gets that of this one: an answer that was lost
 * is told again. `bitmap` gets a bit a granule, as far as `bitmap_bytes` reach. [MT-Client] */
PTD_API enum ptd_state ptd_dirty_get(struct ptd_client *client, uint64_t log, struct ptd_ipa ipa,
				     uint64_t size, bool clear, uint64_t *generation,
				     uint8_t *bitmap, size_t bitmap_bytes, struct ptd_dirty *dirty,
				     struct ptd_status *status);
/* A log that is there. */
struct ptd_dirty_log {
	uint64_t log, context;
	struct ptd_ipa ipa;
	uint64_t size;
	uint64_t memory_bytes;	/* of the daemon, for its bits */
	char context_name[128]; /* "m0/g0" */
};

/* The logs of `context` (0: of all contexts), the newest first: up to `room` of them into `logs`
 * (NULL with 0), and in *count how many there are; at most max_dirty_logs of GetInfo. [MT-Client]
 */
PTD_API enum ptd_state ptd_dirty_list(struct ptd_client *client, uint64_t context,
				      struct ptd_dirty_log *logs, size_t room, size_t *count,
				      struct ptd_status *status);
/* Ends a log; *dirty: pages that were dirty and not told. [MT-Client] */
PTD_API enum ptd_state ptd_dirty_stop(struct ptd_client *client, uint64_t log, uint64_t *dirty,
				      struct ptd_status *status);

/* Machines with owners. Numbers are OwnerKind's, PageState's and TransferKind's. */
#define PTD_OWNER_HOST	1u
#define PTD_OWNER_HYP	2u
#define PTD_OWNER_GUEST 3u
#define PTD_OWNER_OTHER 4u

#define PTD_PAGE_OWNED	1u
#define PTD_PAGE_SHARED 2u
#define PTD_PAGE_LENT	4u

#define PTD_TRANSFER_SHARE	   1u
#define PTD_TRANSFER_UNSHARE	   2u
#define PTD_TRANSFER_DONATE	   3u
#define PTD_TRANSFER_LEND	   4u
#define PTD_TRANSFER_RETRIEVE	   5u
#define PTD_TRANSFER_RELINQUISH	   6u
#define PTD_TRANSFER_RECLAIM	   7u
#define PTD_TRANSFER_FORCE_RECLAIM 8u
#define PTD_TRANSFER_PIN	   9u
#define PTD_TRANSFER_UNPIN	   10u

/* The host, hyp, or with its context a guest. */
struct ptd_party {
	uint32_t kind; /* PTD_OWNER_... */
	uint32_t reserved;
	uint64_t context; /* of a guest; else 0 */
};

/* A range of a transition of ownership: docs/ownership.md says what each kind needs and does,
 * TransferItem of ownership.proto which fields go with it. What does not belong to it is 0. */
struct ptd_transfer_item {
	uint32_t kind; /* PTD_TRANSFER_... */
	uint32_t prot; /* of a share with a guest */
	struct ptd_party from, to;
	struct ptd_pa pa; /* the frames, unless a guest's address names them */
	struct ptd_ipa ipa;
	uint64_t size; /* bytes */
	bool zero;     /* a donation of the host's, or a lending: it reads as zero afterwards */
	/* Lendings. Without a handle LEND begins a list, that `borrowers` and what follows belong
	 * to; further items are its pieces and have a range alone. RETRIEVE, RELINQUISH and RECLAIM
	 * name one party: the borrower, or who lent it. */
	uint64_t lend_handle;
	const struct ptd_party *borrowers;
	size_t borrower_count;
	uint64_t lend_size;	  /* of all pieces; 0: of those of this request */
	uint32_t lend_timeout_ms; /* 0: a minute */
};

/* What came of a LEND. */
struct ptd_lent {
	uint64_t handle;
	uint64_t missing; /* bytes that further pieces are to bring; 0: it is lent */
};

/* Ranges of one transition, 1 to max_transfer_items: all are of one kind between parties of the
 * same kinds. Done for all of them, or not done: then the status names the item. `effects` (may be
 * NULL): in the tables of all parties; its generation is that of the host's context. `lent` (may be
 * NULL): of a LEND. [MT-Client] */
PTD_API enum ptd_state ptd_transfer(struct ptd_client *client, uint64_t machine,
				    const struct ptd_transfer_item *items, size_t count,
				    struct ptd_effects *effects, struct ptd_lent *lent,
				    struct ptd_status *status);

struct ptd_borrower {
	struct ptd_party party;
	bool has;	    /* it has retrieved the lending, */
	struct ptd_ipa ipa; /* to here */
};

#define PTD_LEND_BORROWERS 4

/* A lending, or a list that is not complete. */
struct ptd_lending {
	uint64_t handle;
	struct ptd_party lender;
	bool open; /* pieces are missing; `named` bytes are there */
	bool zero;
	uint64_t size, named;
	uint64_t expires_in_ms; /* while it is open */
	size_t borrowers;
	struct ptd_borrower borrower[PTD_LEND_BORROWERS];
};

/* The lendings of a machine: up to `room` of them into `lendings` (max_lendings are all there can
 * be), and in *count how many. [MT-Client] */
PTD_API enum ptd_state ptd_lendings(struct ptd_client *client, uint64_t machine,
				    struct ptd_lending *lendings, size_t room, size_t *count,
				    struct ptd_status *status);

/* Frames of one owner and state. */
struct ptd_owned {
	struct ptd_pa pa;
	uint64_t size;
	struct ptd_party owner;
	uint32_t state;		/* PTD_PAGE_... */
	uint32_t borrowers;	/* of the first page */
	struct ptd_ipa ipa;	/* where a guest has the first page */
	uint64_t lend_handle;	/* where it is lent */
	uint8_t request_id[16]; /* of the request that made it so; zeros: unknown */
};

/* Whose the frames of a range are, in ascending order: up to `room` of them into `owned`, and in
 * *count how many. *next: where the rest begins; the end of the range: that was all. [MT-Client] */
PTD_API enum ptd_state ptd_owners(struct ptd_client *client, uint64_t machine, struct ptd_pa pa,
				  uint64_t size, struct ptd_owned *owned, size_t room,
				  size_t *count, struct ptd_pa *next, struct ptd_status *status);

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

/* A range of a guest hypervisor's stage 2: addresses of its guest, and of itself. */
struct ptd_guest_map {
	struct ptd_ipa ipa; /* nested */
	uint64_t size;
	struct ptd_ipa out; /* canonical: an IPA of the context that the guest hypervisor runs in */
	uint32_t prot;	    /* PTD_PROT_*; both or none of PX and UX */
	uint32_t reserved;
};

enum ptd_guest_result {
	PTD_GUEST_OK = 0,
	PTD_GUEST_INVALID = 1, /* a size, an alignment, `prot` */
	PTD_GUEST_NO_ROOM = 2, /* for the tables, in `memory` or below 2^48 */
	PTD_GUEST_OVERLAP = 3, /* two maps name one address */
};

/* In: what the tables are to say, and where they will stand. Out: how large they are, and what the
 * guest hypervisor writes to its registers. */
struct ptd_guest_tables {
	uint32_t granule_shift; /* 12, 14 or 16 */
	uint32_t ipa_bits;	/* 32 to 48 */
	struct ptd_ipa base; /* canonical; a multiple of the granule and of the start tables' size:
				64 KiB are enough for 4 KiB granules, 1 MiB for all */
	uint16_t vmid;
	const struct ptd_guest_map *maps;
	size_t count;
	size_t bytes; /* of `memory` that the tables take, from `base` on */
	uint64_t vttbr, vtcr;
	size_t at_fault; /* which map is refused; `count`: it is granule_shift, ipa_bits or base */
};

/* Writes the stage-2 tables that a guest hypervisor would, little-endian and of 48-bit descriptors,
 * into `memory` (aligned to 8), from where they are to be written to `base` as its context sees it
 * (MachineService.WriteMemory). Pure. Not OK: what `memory` holds means nothing. [MT-Safe] */
PTD_API enum ptd_guest_result ptd_guest_tables_build(struct ptd_guest_tables *tables, void *memory,
						     size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
