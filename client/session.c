/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session over streams that come and go (proto/ptd/v1/mapping.proto, docs/protocol.md).
 *
 * States: opening (a stream is begun; `open` has been sent) -> ready (opened, and the first message
 * is answered) -> opening again when the stream is lost -> over. Messages wait in a queue from when
 * they are given until they are answered; the first `sent` of them have been sent on this stream.
 * On a new stream they are sent again from the oldest, and the daemon answers from its store what
 * it has done. So that a session which the daemon has forgotten can be told from a new one, the
 * first message is one of our own without effect, and no other is sent before it is answered:
 * whenever anything may have taken effect, last_seq is at least 1.
 */
#include "session.h"
#include "core.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

#define METHOD	     "/ptd.v1.MappingService/Session"
#define ATTEMPTS     16u
/* Bytes that wait for the connection before messages wait here. */
#define QUEUED_LIMIT (256u << 10)

static void begin_stream(struct ptd_session *session, uint64_t at_ns);

/* --- the queue ------------------------------------------------------------------------------- */

static struct message *take_first(struct ptd_session *session)
{
	struct message *message = session->first;

	session->first = message->next;
	if (!session->first)
		session->last = NULL;
	session->unanswered--;
	if (session->sent)
		session->sent--;
	return message;
}

/* Tells the end of a message that gets no answer, or one that is not in its place. */
static void tell(struct ptd_session *session, const struct message *message,
		 const struct ptd_status *status)
{
	const struct ptd_answer answer = {.status = status, .tag = message->tag};

	if (message->seq > 1)
		session->answer(session->arg, &answer);
}

/* Callbacks may give messages, and close the session: it lives until they have returned. */
static void end_session(struct ptd_session *session, const struct ptd_status *why)
{
	session->over = true;
	session->status = *why;
	while (session->first) {
		struct message *message = take_first(session);
		struct ptd_status status = *why;

		status.state = message->left ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED;
		tell(session, message, &status);
		free(message);
	}
}

static void end_locally(struct ptd_session *session, const char *text)
{
	struct ptd_status status;

	status_local(&status, PTD_STATE_FAILED, PTD_WHERE_DAEMON, 10, "%s", text);
	if (session->stream)
		core_cancel(session->core, session->stream, PTD_WHERE_CANCEL);
	end_session(session, &status);
}

static bool send_bytes(struct ptd_session *session, const uint8_t *bytes, size_t length)
{
	return core_send(session->core, session->stream, bytes, length);
}

/* Sends what the daemon can keep the answers of: not more than the window without an answer. */
static void send_more(struct ptd_session *session)
{
	bool own_may_go = session->opened || !session->epoch;
	size_t window = session->ready ? session->window : own_may_go;

	while (session->stream && session->next && session->sent < window &&
	       core_queued(session->stream) < QUEUED_LIMIT) {
		struct message *message = session->next;

		if (!send_bytes(session, message->bytes, message->length))
			break;
		message->left = true;
		session->next = message->next;
		session->sent++;
	}
}

bool session_queue(struct ptd_session *session, struct message *message)
{
	if (session->over || session->closing) {
		free(message);
		return false;
	}
	message->next = NULL;
	if (session->last)
		session->last->next = message;
	else
		session->first = message;
	session->last = message;
	if (!session->next)
		session->next = message;
	session->given = message->seq;
	session->unanswered++;
	send_more(session);
	return true;
}

/* --- what comes ------------------------------------------------------------------------------ */

static void take_opened(struct ptd_session *session, const Ptd__V1__SessionOpened *opened)
{
	bool first = !session->epoch;

	if ((!first && opened->epoch != session->epoch) || opened->last_seq < session->answered ||
	    !opened->window) {
		end_locally(session, "the daemon no longer knows the session");
		return;
	}
	session->epoch = opened->epoch;
	session->window = opened->window;
	session->attempts = 0;
	session->opened = true;
	session->ready = session->answered > 0;
	send_more(session);
}

static void give_answer(struct ptd_session *session, const struct message *message,
			const Ptd__V1__SessionResponse *response)
{
	struct ptd_answer answer = {.status = &status_ok, .tag = message->tag};
	struct ptd_status status;

	if (message->seq == 1)
		return;
	if (response->what_case == PTD__V1__SESSION_RESPONSE__WHAT_ERROR) {
		session_read_error(&status, response->error);
		answer.status = &status;
	} else if (response->what_case == PTD__V1__SESSION_RESPONSE__WHAT_APPLY) {
		session_read_apply(&answer, response->apply);
	} else if (response->what_case == PTD__V1__SESSION_RESPONSE__WHAT_RESULTS) {
		session_read_results(&answer, response->results);
	}
	session->answer(session->arg, &answer);
}

static void take_answer(struct ptd_session *session, const Ptd__V1__SessionResponse *response)
{
	struct message *message = session->first;

	if (!message || !session->sent || response->seq != message->seq) {
		end_locally(session, "the daemon answered something else");
		return;
	}
	take_first(session);
	session->answered = message->seq;
	session->ready = true;
	give_answer(session, message, response);
	free(message);
	if (!session->over && !session->closing)
		send_more(session);
}

static bool on_message(void *arg, const uint8_t *data, size_t length)
{
	struct ptd_session *session = arg;
	Ptd__V1__SessionResponse *response;

	if (session->closing || session->over)
		return false;
	response = ptd__v1__session_response__unpack(NULL, length, data);
	if (!response)
		end_locally(session, "the daemon's answer cannot be read");
	else if (response->what_case == PTD__V1__SESSION_RESPONSE__WHAT_OPENED && !session->opened)
		take_opened(session, response->opened);
	else if (session->opened)
		take_answer(session, response);
	else
		end_locally(session, "the daemon answered before it opened the session");
	ptd__v1__session_response__free_unpacked(response, NULL);
	return !session->closing && !session->over;
}

/* --- streams --------------------------------------------------------------------------------- */

/* The stream ended, the session need not. Any end may have cut answers off that were made. */
static bool can_go_on(const struct ptd_session *session, const struct ptd_status *status)
{
	if (!core_reconnects(session->core) || core_gone(session->core) ||
	    session->attempts >= ATTEMPTS || status->retry_after_ms == PTD_RETRY_NEVER ||
	    status->where == PTD_WHERE_CANCEL)
		return false;
	return status->where == PTD_WHERE_LOST || status->where == PTD_WHERE_CONNECT ||
	       status->grpc == 8 || status->grpc == 14 ||
	       (status->state == PTD_STATE_UNKNOWN && status->where == PTD_WHERE_DAEMON);
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct ptd_session *session = arg;
	const struct ptd_status *status = reply->status;
	uint64_t at_ns = 0;

	session->stream = NULL;
	session->opened = session->ready = false;
	if (session->closing) {
		free(session);
		return;
	}
	if (session->over)
		return;
	session->calling = true;
	if (!can_go_on(session, status)) {
		end_session(session, status->state == PTD_STATE_OK ? &session_ended : status);
	} else {
		if (status->where == PTD_WHERE_DAEMON)
			at_ns = core_retry_ns(session->core, session->attempts,
					      status->retry_after_ms);
		session->attempts++;
		begin_stream(session, at_ns);
	}
	session->calling = false;
	if (session->closing && !session->stream)
		free(session);
}

static void begin_stream(struct ptd_session *session, uint64_t at_ns)
{
	const struct core_request request = {.method = METHOD,
					     .flags = PTD_CALL_OPEN,
					     .not_before_ns = at_ns,
					     .message = on_message,
					     .done = on_end,
					     .arg = session};
	uint8_t bytes[SESSION_OPEN_ROOM];
	struct ptd_status why;

	session->sent = 0;
	session->next = session->first;
	session->stream = core_start(session->core, &request, core_now_ns(session->core), &why);
	if (!session->stream)
		end_session(session, &why);
	else if (!send_bytes(session, bytes, session_pack_open(session, bytes)))
		end_locally(session, "no memory");
}

struct ptd_session *ptd_session_open(struct ptd_core *core, uint64_t context, ptd_answer_fn *answer,
				     void *arg)
{
	struct ptd_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->core = core_of(core);
	session->context = context;
	session->answer = answer;
	session->arg = arg;
	session->status = status_ok;
	if (!ptd_draw_request_id(session->id)) {
		free(session);
		return NULL;
	}
	begin_stream(session, 0);
	if (!session->over && ptd_session_translate(session, NULL, 0, PTD_ACCESS_READ, NULL))
		return session;
	ptd_session_close(session);
	return NULL;
}

void ptd_session_close(struct ptd_session *session)
{
	if (!session || session->closing)
		return;
	session->closing = true;
	if (!session->over)
		end_session(session, &session_closed);
	if (session->stream)
		core_cancel(session->core, session->stream, PTD_WHERE_CANCEL);
	else if (!session->calling)
		free(session);
}

size_t ptd_session_unanswered(const struct ptd_session *session)
{
	/* Not counting our own. */
	return session->unanswered - (session->first && session->first->seq == 1);
}

const struct ptd_status *ptd_session_status(const struct ptd_session *session)
{
	return &session->status;
}
