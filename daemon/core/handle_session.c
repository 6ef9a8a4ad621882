/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MappingService.Session: the life of one stream.
 *
 * No state -> open -> (another stream has the session: parked until that has ended) -> messages,
 * one at a time, each executed or answered from what is kept -> half-close, or the session is taken
 * over, or a drain, or the stream is abandoned. Whatever ends the stream, the message under way is
 * first done or undone; then the session is let go.
 */
#include "handle_session.h"

#include "domain_fail.h"
#include "handlers.h"
#include "hot.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PACKED_ON_STACK 512u

typedef Ptd__V1__SessionRequest Request;
typedef Ptd__V1__SessionResponse Response;
#define ASKED(name)  PTD__V1__SESSION_REQUEST__WHAT_##name
#define ANSWER(name) PTD__V1__SESSION_RESPONSE__WHAT_##name

/* A stream's state. */
struct session_stream {
	struct session_hold hold;
	uint64_t hash; /* of the message under way */
	void *inner;   /* that of what the message asks for */
	Ptd__V1__AccessResults *results;
	bool opened;  /* the session is this stream's */
	bool running; /* a message is under way across steps */
};

static const Request *request_of(const struct call *call)
{
	return (const void *)call->request;
}

static struct session *session_of(const struct call *call)
{
	const struct session_stream *s = call->state;

	return s->hold.session;
}

/* The stream ends; its session does not. */
static void part(struct call *call)
{
	struct session_stream *s = call->state;

	session_let_go(call, &s->hold);
	free(s);
	call->state = NULL;
}

static enum call_result taken_over(struct call *call)
{
	part(call);
	return call_fail(call, PT_TAKEN_OVER, NULL);
}

static enum call_result drained(struct call *call)
{
	part(call);
	return call_fail(call, PT_DRAINING, "the session can be opened again elsewhere");
}

static enum call_result send_answer(struct call *call, const struct session_answer *answer)
{
	if (call_send_packed(call, session_answer_bytes(answer), answer->length))
		return CALL_STREAM;
	part(call);
	return call_fail(call, PT_NO_MEMORY, "no room for the answer; it is kept");
}

static enum call_result send_message(struct call *call, const Response *response)
{
	if (call_send(call, &response->base))
		return CALL_STREAM;
	part(call);
	return call_fail(call, PT_NO_MEMORY, "no room for the answer");
}

static enum call_result opened(struct call *call, enum call_result result)
{
	Ptd__V1__SessionOpened opened = PTD__V1__SESSION_OPENED__INIT;
	struct session_stream *s = call->state;
	Response response = PTD__V1__SESSION_RESPONSE__INIT;
	struct session *session = s->hold.session;

	if (result == CALL_DONE) {
		free(s);
		call->state = NULL;
	}
	if (result != CALL_STREAM)
		return result;
	if (domain_draining(call->domain))
		return drained(call);
	s->opened = true;
	opened.session_id = (ProtobufCBinaryData){SESSION_ID_BYTES, session->id};
	opened.last_seq = session->last_seq;
	opened.epoch = call->domain->config.epoch;
	opened.window = LIMIT_SESSION_WINDOW;
	response.what_case = ANSWER(OPENED);
	response.opened = &opened;
	return send_message(call, &response);
}

static enum call_result open_session(struct call *call)
{
	const Request *q = request_of(call);
	struct session_stream *s;

	if (q->what_case != ASKED(OPEN) || q->seq)
		return call_fail(call, PT_INVALID,
				 "what: the first message must be open, with seq 0");
	if (domain_draining(call->domain))
		return call_fail(call, PT_DRAINING, NULL);
	s = call->state = calloc(1, sizeof(*s));
	if (!s)
		return call_fail(call, PT_NO_MEMORY, NULL);
	return opened(call,
		      session_open_for(call, &s->hold, q->open->context, &q->open->session_id));
}

/* The message has failed as a whole: that is its answer. */
static void fill_error(struct call *call, Response *response, Ptd__V1__SessionError *error)
{
	error->code = call->status.code;
	error->index = call->status.index;
	error->ipa = call->status.ipa;
	error->text = call->status.text;
	if (!*call->status.text)
		error->text = (char *)(uintptr_t)pt_outcome_info(call->status.code)->text;
	response->what_case = ANSWER(ERROR);
	response->error = error;
}

static enum call_result refuse(struct call *call, enum pt_outcome code, const char *text)
{
	Ptd__V1__SessionError error = PTD__V1__SESSION_ERROR__INIT;
	Response response = PTD__V1__SESSION_RESPONSE__INIT;

	error.code = code;
	error.text = (char *)(uintptr_t)text;
	response.seq = request_of(call)->seq;
	response.what_case = ANSWER(ERROR);
	response.error = &error;
	return send_message(call, &response);
}

/* Counts the message as done, with its answer. Returns what is kept of it, or NULL. */
static const struct session_answer *keep(struct session_stream *s, const Response *response)
{
	struct session *session = s->hold.session;
	size_t hot = hot_pack_session(&response->base, NULL);
	size_t most = hot ? hot : protobuf_c_message_get_packed_size(&response->base);
	uint8_t on_stack[PACKED_ON_STACK];
	uint8_t *packed = most > sizeof(on_stack) ? malloc(most) : on_stack;
	size_t length = 0;
	bool kept;

	if (packed)
		length = hot ? hot_pack_session(&response->base, packed)
			     : protobuf_c_message_pack(&response->base, packed);
	kept = session_done(session, s->hash, packed, length);
	if (packed != on_stack)
		free(packed);
	return kept ? session_answer_to(session, session->last_seq) : NULL;
}

static void fill(struct call *call, Response *response, Ptd__V1__SessionError *error)
{
	struct session_stream *s = call->state;

	response->seq = request_of(call)->seq;
	if (call->status.code != PT_OK) {
		fill_error(call, response, error);
	} else if (s->results) {
		response->what_case = ANSWER(RESULTS);
		response->results = s->results;
	} else {
		response->what_case = ANSWER(APPLY);
		response->apply = (Ptd__V1__ApplyResponse *)(void *)call->response;
	}
}

/* The message is done: answered, counted, and the next may come. */
static enum call_result finish(struct call *call)
{
	Ptd__V1__SessionError error = PTD__V1__SESSION_ERROR__INIT;
	struct session_stream *s = call->state;
	Response response = PTD__V1__SESSION_RESPONSE__INIT;
	const struct session_answer *kept;
	enum call_result result;

	fill(call, &response, &error);
	kept = keep(s, &response);
	result = kept ? send_answer(call, kept) : send_message(call, &response);
	if (result != CALL_STREAM)
		return result;
	if (call->status.code != PT_OK)
		call->status = (struct call_status){.level = PT_TTL_UNKNOWN};
	call->response = NULL;
	return CALL_STREAM;
}

static enum call_result start_apply(struct call *call, const Ptd__V1__ApplyRequest *q,
				    uint64_t context)
{
	if (q->context && q->context != context)
		return call_fail(call, PT_INVALID, "context: not that of the session");
	if (q->request_id.len)
		return call_fail(call, PT_INVALID,
				 "request_id: a session's messages have seq instead");
	return apply_begin(call, q, context);
}

static enum call_result start(struct call *call, struct session_stream *s)
{
	const Request *q = request_of(call);
	uint64_t context = s->hold.session->context;

	switch (q->what_case) {
	case ASKED(APPLY): return start_apply(call, q->apply, context);
	case ASKED(ACCESS):
		return accesses_begin(call, q->access, context, SESSION_ACCESS, &s->results);
	case ASKED(HANDLE_FAULT):
		return accesses_begin(call, q->handle_fault, context, SESSION_HANDLE_FAULT,
				      &s->results);
	case ASKED(TRANSLATE):
		return accesses_begin(call, q->translate, context, SESSION_TRANSLATE, &s->results);
	default: return call_fail(call, PT_INVALID, "what: the message asks for nothing");
	}
}

static enum call_result go_on(struct call *call, struct session_stream *s)
{
	return request_of(call)->what_case == ASKED(APPLY) ? apply_go_on(call)
							   : accesses_go_on(call, &s->results);
}

typedef enum call_result step_of_message(struct call *call, struct session_stream *s);

/* A step of what the message asks for, whose state the call's is meanwhile. */
static enum call_result step(struct call *call, step_of_message *body)
{
	struct session_stream *s = call->state;
	enum call_result result;

	call->state = s->inner;
	result = body(call, s);
	s->inner = call->state;
	call->state = s;
	s->running = result != CALL_DONE;
	return result;
}

static enum call_result execute(struct call *call)
{
	struct session_stream *s = call->state;
	enum call_result result;

	s->hash = XXH3_64bits(call->request_bytes, call->request_length);
	s->inner = NULL;
	s->results = NULL;
	result = step(call, start);
	return result == CALL_DONE ? finish(call) : result;
}

/* Done before. */
static enum call_result replay(struct call *call)
{
	uint64_t hash = XXH3_64bits(call->request_bytes, call->request_length);
	struct session_answer *answer = session_answer_to(session_of(call), request_of(call)->seq);

	if (!answer)
		return refuse(call, PT_REPLY_GONE, "seq: older than the window");
	if (answer->hash != hash)
		return refuse(call, PT_REQUEST_ID_REUSED,
			      "seq: it came with another message before");
	if (answer->gone)
		return refuse(call, PT_REPLY_GONE, "seq: its answer was too large to be kept");
	return send_answer(call, answer);
}

static enum call_result out_of_order(struct call *call)
{
	unsigned long long due = session_of(call)->last_seq + 1, seq = request_of(call)->seq;
	bool again = request_of(call)->what_case == ASKED(OPEN);

	part(call);
	if (again)
		return call_fail(call, PT_INVALID, "open: the stream has opened its session");
	return call_fail(call, PT_WRONG_STATE, "seq: %llu came; %llu is due", seq, due);
}

static enum call_result next_message(struct call *call)
{
	const Request *q = request_of(call);
	struct session *session = session_of(call);

	if (unlikely(!session_enter(session)))
		return taken_over(call);
	if (unlikely(domain_draining(call->domain)))
		return drained(call);
	if (unlikely(q->what_case == ASKED(OPEN) || !q->seq || q->seq > session->last_seq + 1))
		return out_of_order(call);
	return likely(q->seq == session->last_seq + 1) ? execute(call) : replay(call);
}

/* The message waits for a page, or has given that up: nobody knows for how long, and another stream
 * wants the session. */
static bool must_give_way(const struct call *call, const struct session_stream *s)
{
	return call->rests && s->running && session_wanted(s->hold.session);
}

/* As if the client had given the message up. */
static enum call_result give_way(struct call *call)
{
	enum call_result result;

	call->abandoned = true;
	result = mapping_session_abandon(call);
	return result == CALL_DONE ? call_fail(call, PT_TAKEN_OVER, NULL) : result;
}

static enum call_result message(struct call *call)
{
	struct session_stream *s = call->state;
	struct session *session = s->hold.session;
	enum call_result result;

	if (!s->running) {
		result = next_message(call);
	} else if (call->abandoned || must_give_way(call, s)) {
		return give_way(call);
	} else {
		result = step(call, go_on);
		if (result == CALL_DONE)
			result = finish(call);
	}
	if (likely(result == CALL_STREAM))
		return likely(session_leave(session)) ? result : taken_over(call);
	return result == CALL_PARKED && must_give_way(call, s) ? give_way(call) : result;
}

enum call_result mapping_session(struct call *call)
{
	struct session_stream *s = call->state;

	if (unlikely(!call->request)) {
		if (s)
			part(call);
		return CALL_DONE;
	}
	if (unlikely(!s))
		return open_session(call);
	if (unlikely(!s->opened))
		return opened(call, session_granted(call, &s->hold));
	return message(call);
}

/* Between two messages: is the session wanted by another stream, or the daemon to end? */
enum call_result mapping_session_look(struct call *call)
{
	struct session_stream *s = call->state;
	struct session *session;

	if (!s)
		return CALL_STREAM;
	session = s->hold.session;
	if (!session_enter(session))
		return taken_over(call);
	if (domain_draining(call->domain))
		return drained(call);
	return session_leave(session) ? CALL_STREAM : taken_over(call);
}

static enum call_result undo(struct call *call, struct session_stream *s)
{
	return request_of(call)->what_case == ASKED(APPLY) ? apply_undo(call)
							   : accesses_undo(call, &s->results);
}

/* The message under way had an effect, and is done: its answer is kept for the stream that comes.
 */
static void keep_unsent(struct call *call, struct session_stream *s)
{
	Ptd__V1__SessionError error = PTD__V1__SESSION_ERROR__INIT;
	Response response = PTD__V1__SESSION_RESPONSE__INIT;

	call->status.code = PT_OK;
	fill(call, &response, &error);
	keep(s, &response);
}

/* The status is that of the stream by now, and stays so. */
enum call_result mapping_session_abandon(struct call *call)
{
	struct session_stream *s = call->state;
	struct call_status status = call->status;
	enum call_result result = CALL_DONE;

	if (!s)
		return CALL_DONE;
	if (s->running) {
		result = step(call, undo);
		if (result == CALL_DONE && (call->response || s->results))
			keep_unsent(call, s);
		call->response = NULL;
	}
	call->status = status;
	if (result == CALL_DONE)
		part(call);
	return result;
}
