/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions: many changes, accesses and translations of one context on one stream. Messages are
 * executed and answered in order. When the connection is lost and the client reconnects, the
 * session goes on over the next one: what has no answer is sent again, and each message takes
 * effect once.
 *
 * Threads: a session belongs to its client: one thread at a time for both [MT-Client].
 */
#ifndef PTD_SESSION_H
#define PTD_SESSION_H

#include <ptd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ptd_session;
struct ptd_core;

/* The answer to one message. What it points to holds until the callback returns. */
struct ptd_answer {
	/* OK; FAILED: nothing of the message was done; UNKNOWN: the session ended, or its answer is
	 * no longer kept. */
	const struct ptd_status *status;
	void *tag; /* of the message */
	/* To changes: */
	uint32_t applied; /* items done */
	uint32_t errors;  /* items failed */
	struct ptd_effects effects;
	/* To accesses and translations: `count` columns, 0 where there is nothing to tell. */
	size_t count;
	const uint32_t *outcome; /* numbers of the outcome table; 0: done */
	const uint64_t *pa, *esr, *hpfar;
	/* Of a session of a shadow, else NULL: who takes the fault (PTD_TAKER_...; 0: there was
	 * none), and for all but the guest hypervisor the address in the context that it is a
	 * shadow of. For the guest hypervisor esr and hpfar are what it finds in its registers. */
	const uint32_t *taker;
	const uint64_t *canonical_ipa;
};
#define PTD_TAKER_NOBODY	   1u /* it was resolved */
#define PTD_TAKER_GUEST_HYPERVISOR 2u
#define PTD_TAKER_HOST		   3u

typedef void ptd_answer_fn(void *arg, const struct ptd_answer *answer);

/*
 * Opens a session of a context; messages may be given at once. `core` is ptd_client_core()'s or
 * ptd_uv_core()'s, or one's own; without `reconnects` in its options the session ends with the
 * connection. Each message is answered once, in order. NULL: no memory, or the client is gone.
 */
PTD_API struct ptd_session *ptd_session_open(struct ptd_core *core, uint64_t context,
					     ptd_answer_fn *answer, void *arg);
/* Answers what has no answer (UNKNOWN; FAILED if it never left), and lets go of the session. Before
 * its client is closed; also from inside a callback. Accepts NULL. */
PTD_API void ptd_session_close(struct ptd_session *session);

#define PTD_OP_MAP     1u
#define PTD_OP_UNMAP   2u
#define PTD_OP_PROTECT 3u

#define PTD_MODE_ATOMIC	       1u /* all items or none; they must not overlap */
#define PTD_MODE_STOP_ON_ERROR 2u
#define PTD_MODE_BEST_EFFORT   3u

struct ptd_op {
	uint32_t kind; /* PTD_OP_... */
	uint32_t prot, flags;
	uint32_t reserved;
	struct ptd_ipa ipa;
	uint64_t size;
	struct ptd_pa pa; /* of a map */
};

/* One message each. `access` is PTD_ACCESS_...; nothing moves. False: no memory, or the session is
 * over (ptd_session_status() says why): no answer will come. */
PTD_API bool ptd_session_apply(struct ptd_session *session, const struct ptd_op *ops, size_t count,
			       uint32_t mode, void *tag);
PTD_API bool ptd_session_access(struct ptd_session *session, const struct ptd_ipa *ipas,
				size_t count, uint32_t vcpu, uint32_t access, void *tag);
PTD_API bool ptd_session_translate(struct ptd_session *session, const struct ptd_ipa *ipas,
				   size_t count, uint32_t access, void *tag);

/* Messages without an answer: the back-pressure of a sender. */
PTD_API size_t ptd_session_unanswered(const struct ptd_session *session);
/* OK, or why the session is over. */
PTD_API const struct ptd_status *ptd_session_status(const struct ptd_session *session);

#ifdef __cplusplus
}
#endif

#endif
