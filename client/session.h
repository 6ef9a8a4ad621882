/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a session, shared by its two files: the stream, and the messages. */
#ifndef PTD_CLIENT_SESSION_H
#define PTD_CLIENT_SESSION_H

#include <ptd_session.h>

#include "ptd/v1/mapping.pb-c.h"

#define SESSION_OPEN_ROOM 64u

struct core;

struct message {
	struct message *next;
	void *tag;
	uint64_t seq;
	bool left; /* it has been given to a stream at least once */
	size_t length;
	uint8_t bytes[];
};

struct ptd_session {
	struct core *core;
	struct ptd_call *stream;      /* NULL: none; over, or closing */
	struct message *first, *last; /* without an answer */
	struct message *next;	      /* to be sent on this stream; NULL: all have been */
	size_t unanswered, sent;
	uint64_t given, answered; /* the last seq of each */
	uint64_t epoch;		  /* 0: never opened yet */
	uint64_t context;
	uint32_t window, attempts;
	bool opened;  /* this stream has the session */
	bool ready;   /* and more than the first message may be sent */
	bool over;    /* `status` says why */
	bool closing; /* by the user; freed when nothing calls it any more */
	bool calling; /* on_end() is at work */
	uint8_t id[16];
	ptd_answer_fn *answer;
	void *arg;
	struct ptd_status status;
};

/* Takes `message`; false: the session is over. */
bool session_queue(struct ptd_session *session, struct message *message);

/* At most SESSION_OPEN_ROOM bytes. */
size_t session_pack_open(const struct ptd_session *session, uint8_t *to);
void session_read_apply(struct ptd_answer *answer, const Ptd__V1__ApplyResponse *response);
void session_read_results(struct ptd_answer *answer, const Ptd__V1__AccessResults *results);
void session_read_error(struct ptd_status *status, const Ptd__V1__SessionError *error);

extern const struct ptd_status session_closed, session_ended;

#endif
