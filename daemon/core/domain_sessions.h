/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sessions of MappingService.Session: what of them survives their stream. Kept per principal,
 * across connections and loops.
 */
#ifndef PTD_DOMAIN_SESSIONS_H
#define PTD_DOMAIN_SESSIONS_H

#include "call.h"
#include "domain_limits.h"

#include <pt/platform.h>

#define SESSION_ID_BYTES     16u
#define SESSION_ANSWER_SMALL 88u /* an answer up to here needs no memory of its own */

struct session_hold;

/* What answers a message that has been executed. */
struct session_answer {
	uint64_t hash; /* of the message */
	uint32_t length, room;
	bool gone;
	uint8_t *large; /* `room` bytes, or NULL */
	uint8_t small[SESSION_ANSWER_SMALL];
};

enum session_claim {
	SESSION_BUSY = 1,   /* its stream executes a message */
	SESSION_WANTED = 2, /* another stream has opened it */
};

/*
 * One session. The first part belongs to the stream that has it, `claim` apart; the second is under
 * the table's lock.
 */
struct session {
	_Atomic uint32_t claim;
	uint64_t context, last_seq;
	size_t bytes; /* of large answers */
	struct session_answer answer[LIMIT_SESSION_WINDOW];

	struct session *chain, *older, *newer;
	struct session_hold *holder, *next; /* NULL: no stream; nobody waits for it */
	uint64_t hash, who, lost_ns;
	uint8_t id[SESSION_ID_BYTES];
	char principal[PRINCIPAL_MAX];
};

enum session_grant { SESSION_WAITS, SESSION_GRANTED, SESSION_DISPLACED };

/* What ties a stream to its session. */
struct session_hold {
	struct call *call;
	struct session *session;
	enum session_grant grant; /* the table's lock */
};

struct sessions {
	struct pt_port_lock lock;
	struct session **bucket;	 /* from the first session on */
	struct session *oldest, *newest; /* those without a stream, in order of losing it */
	_Atomic uint64_t due_ns;	 /* when the oldest of them ends; 0: there is none */
	uint32_t count;
	uint64_t drawn; /* ids, so far */
};

void sessions_free(struct sessions *sessions);
/* Frees those whose time is over. */
void sessions_expire(struct sessions *sessions, uint64_t now_ns);

/*
 * Ties `hold` to the session that its call asks for: a new one, or one that is there, which is
 * taken over from the stream that has it. CALL_STREAM: done. CALL_PARKED: that stream ends first;
 * ask session_granted() after the wake. CALL_DONE: the call has been failed.
 */
enum call_result session_open_for(struct call *call, struct session_hold *hold, uint64_t context,
				  const ProtobufCBinaryData *id);
enum call_result session_granted(struct call *call, struct session_hold *hold);
/* The stream lets go, from whatever state; the session goes to who waits for it, or waits for its
 * end. */
void session_let_go(struct call *call, struct session_hold *hold);

/* Around each message. False: another stream wants the session, and it is to be let go. The first
 * does nothing then. */
static inline bool session_enter(struct session *session)
{
	uint32_t idle = 0;

	return atomic_compare_exchange_strong_explicit(&session->claim, &idle, SESSION_BUSY,
						       memory_order_acquire, memory_order_relaxed);
}

static inline bool session_leave(struct session *session)
{
	uint32_t busy = SESSION_BUSY;

	return atomic_compare_exchange_strong_explicit(&session->claim, &busy, 0,
						       memory_order_release, memory_order_relaxed);
}

/* Another stream waits for the session. */
static inline bool session_wanted(const struct session *session)
{
	return atomic_load_explicit(&session->claim, memory_order_acquire) & SESSION_WANTED;
}

/* Where the answer to message `seq` is kept, if it is among the last. NULL: it is not. */
static inline struct session_answer *session_answer_to(struct session *session, uint64_t seq)
{
	if (seq > session->last_seq || session->last_seq - seq >= LIMIT_SESSION_WINDOW)
		return NULL;
	return &session->answer[seq % LIMIT_SESSION_WINDOW];
}

static inline const uint8_t *session_answer_bytes(const struct session_answer *answer)
{
	return answer->large ? answer->large : answer->small;
}

/* Counts the next message as executed; its answer is `packed`. False: no memory to keep that. */
bool session_done(struct session *session, uint64_t hash, const uint8_t *packed, size_t length);

#endif
