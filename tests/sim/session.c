/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session clients: one operation is a session of some dozen messages, resumed after each loss of
 * its stream under the id that the client chose. What the daemon executes is seen where it counts
 * a message as done; each seq has one effect and one answer.
 */
#include "sim.h"

#include <pt/txn.h>

#include "domain_types.h"
#include "ptd/v1/mapping.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define UNANSWERED 12u /* messages in flight, at most */

typedef Ptd__V1__SessionRequest Request;
typedef Ptd__V1__SessionResponse Response;

static void wrong(struct sim *sim, const struct op *op, uint64_t seq, const char *what)
{
	sim_fail(sim, "session", "client %u op %u message %llu: %s", op->client, op->number,
		 (unsigned long long)seq, what);
}

/* ---- the client's side ---- */

/* Message `seq` is drawn from its number alone: it is the same each time. */
enum message_kind session_draw(const struct sim *sim, const struct op *op, uint64_t seq,
			       uint64_t *random)
{
	*random = sim_mix(sim->seed, 0x700000000 | (uint64_t)op->client << 24 |
					     (uint64_t)op->number << 16 | seq);
	if (sim_percent(random, 75))
		return MESSAGE_APPLY;
	return sim->swarm.pagers && sim_draw(random, 2) ? MESSAGE_ACCESS : MESSAGE_TRANSLATE;
}

static void put_translations(struct sim *sim, struct op *op, uint64_t seq, uint64_t *random)
{
	Request request = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__Accesses accesses = PTD__V1__ACCESSES__INIT;
	uint64_t ipa[4];
	uint32_t access = PT_ACCESS_AT;

	accesses.n_ipa = script_addresses(sim, random, ipa);
	accesses.ipa = ipa;
	accesses.n_access = 1;
	accesses.access = &access;
	request.seq = seq;
	request.what_case = PTD__V1__SESSION_REQUEST__WHAT_TRANSLATE;
	request.translate = &accesses;
	message_put(&op->session->out, &request.base);
}

bool session_draw_access(uint64_t *random, uint32_t *page, uint32_t *access)
{
	*page = (uint32_t)sim_draw(random, PAGED_PAGES);
	*access = sim_draw(random, 2) ? PT_ACCESS_READ : PT_ACCESS_WRITE;
	return sim_draw(random, 3) == 0;
}

/* Of one page, which may have to come. */
static void put_access(struct sim *sim, struct op *op, uint64_t seq, uint64_t *random)
{
	Request request = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__Accesses accesses = PTD__V1__ACCESSES__INIT;
	uint32_t page, access;
	bool fault = session_draw_access(random, &page, &access);
	uint64_t ipa = paged_address(sim, page);

	accesses.n_ipa = accesses.n_access = 1;
	accesses.ipa = &ipa;
	accesses.access = &access;
	request.seq = seq;
	request.what_case = fault ? PTD__V1__SESSION_REQUEST__WHAT_HANDLE_FAULT
				  : PTD__V1__SESSION_REQUEST__WHAT_ACCESS;
	request.access = &accesses; /* of either */
	message_put(&op->session->out, &request.base);
}

static void put_seq(struct sim *sim, struct op *op, uint64_t seq)
{
	Request request = PTD__V1__SESSION_REQUEST__INIT;
	struct op drawn = *op; /* the items of `op` are those that the daemon works on */
	struct columns_room room;
	uint64_t random;

	switch (session_draw(sim, op, seq, &random)) {
	case MESSAGE_TRANSLATE: put_translations(sim, op, seq, &random); return;
	case MESSAGE_ACCESS: put_access(sim, op, seq, &random); return;
	case MESSAGE_APPLY: break;
	}
	script_columns(sim, &drawn, &random, &room);
	request.seq = seq;
	request.what_case = PTD__V1__SESSION_REQUEST__WHAT_APPLY;
	request.apply = &room.request;
	message_put(&op->session->out, &request.base);
}

void session_begin(struct op *op)
{
	Request request = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__SessionOpen open = PTD__V1__SESSION_OPEN__INIT;
	struct session_op *s = op->session;

	open.context = op->handle;
	open.session_id = (ProtobufCBinaryData){sizeof(op->id), op->id};
	request.what_case = PTD__V1__SESSION_REQUEST__WHAT_OPEN;
	request.open = &open;
	s->out.length = 0;
	s->opened = false;
	message_put(&op->session->out, &request.base);
}

ssize_t session_give(struct op *op, uint8_t *out, size_t room, uint32_t *flags)
{
	struct session_op *s = op->session;
	size_t n = s->out.length < room ? s->out.length : room;

	memcpy(out, s->out.data, n);
	pipe_drop(&s->out, n);
	if (s->opened && s->answered == s->messages)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!n)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

static void fill(struct sim *sim, struct op *op)
{
	struct session_op *s = op->session;

	while (s->next <= s->messages && s->next - s->answered <= UNANSWERED)
		put_seq(sim, op, s->next++);
}

static void on_opened(struct sim *sim, struct op *op, const Ptd__V1__SessionOpened *opened)
{
	struct session_op *s = op->session;

	if (s->opened)
		wrong(sim, op, 0, "opened twice");
	s->opened = true;
	sim->stats.resumed += opened->last_seq != 0;
	if (opened->last_seq < s->answered) { /* it is another one: the old is over */
		if (!s->may_be_lost && sim->now_ns - s->begun_ns < SESSION_TTL_NS)
			wrong(sim, op, opened->last_seq, "the session has been forgotten");
		s->answered = s->messages;
		return;
	}
	s->may_be_lost = false;
	s->next = s->answered + 1;
	s->begun_ns = op->sent_ns;
}

static void on_answer(struct sim *sim, struct op *op, const Response *r)
{
	struct session_op *s = op->session;

	if (r->what_case == PTD__V1__SESSION_RESPONSE__WHAT_OPENED) {
		on_opened(sim, op, r->opened);
		return;
	}
	if (r->seq != s->answered + 1 || r->seq > s->messages)
		wrong(sim, op, r->seq, "its answer is not the next one");
	else if (message_hash(&r->base) != s->answer[r->seq])
		wrong(sim, op, r->seq, "the answer received is not the one kept");
	s->answered = (uint32_t)r->seq;
	op->sent_ns = sim->now_ns;
	sim->stats.messages++;
}

void session_receive(struct sim *sim, struct op *op)
{
	struct pipe *in = &op->received;
	size_t n;

	while ((n = message_length(in)) != SIZE_MAX && !sim_failed(sim)) {
		Response *r = ptd__v1__session_response__unpack(NULL, n, in->data + 5);

		if (r)
			on_answer(sim, op, r);
		else
			wrong(sim, op, 0, "a malformed answer");
		ptd__v1__session_response__free_unpacked(r, NULL);
		pipe_drop(in, 5 + n);
	}
	if (op->session->opened)
		fill(sim, op);
}

bool session_is_over(struct sim *sim, struct op *op)
{
	const struct session_op *s = op->session;

	switch (op->status) {
	case 0:
		if (s->answered < s->messages)
			wrong(sim, op, s->answered + 1, "the stream ended well before its answer");
		return true;
	case 5: return true; /* the context is gone */
	case -1:
	case 1:
	case 4:
	case 10:
	case 14: return false;
	case 8:
		if (op->pushback_ms)
			return false;
		/* fall through */
	default: wrong(sim, op, s->next, "the stream was refused"); return true;
	}
}

void session_set_up(struct op *op, uint64_t *random)
{
	op->session = calloc(1, sizeof(*op->session));
	if (!op->session)
		abort();
	op->want_outcomes = true;
	op->session->messages = 4 + (uint32_t)sim_draw(random, SIM_MESSAGES - 4);
	memset(op->id, 0xa5, sizeof(op->id));
	op->id[0] = op->number;
	op->id[1] = op->client;
}

/* ---- the daemon's side ---- */

/* A message is given to the handler, for the first time or to go on with. */
void session_step(struct sim *sim, struct exec *exec, const struct call *call)
{
	const Request *q = (const void *)call->request;
	struct op *op = exec->op;
	struct columns_room room;
	uint64_t random;

	if (exec->in_message) {
		exec->steps++;
		return;
	}
	if (!q || !q->seq || q->seq > op->session->messages)
		return;
	exec->in_message = true;
	exec->seq = q->seq;
	exec->steps = 1;
	exec->items = exec->errors = 0;
	exec->changed = false;
	exec->generation = 0;
	exec->serial = oracle_serial();
	op->items = 0;
	if (session_draw(sim, op, q->seq, &random) == MESSAGE_APPLY)
		script_columns(sim, op, &random, &room);
}

/* The handler is done with it, or the stream is over. */
void session_pause(struct exec *exec, enum call_result result)
{
	if (result == CALL_STREAM || result == CALL_DONE)
		exec->in_message = false;
}

void session_effect(struct sim *sim, struct exec *exec)
{
	struct session_op *s = exec->op->session;
	uint64_t *worker = &s->worker[exec->seq];

	if ((*worker && *worker != exec->serial) || s->done >= exec->seq)
		wrong(sim, exec->op, exec->seq, "its effect happens a second time");
	*worker = exec->serial;
}

bool __real_session_done(struct session *session, uint64_t hash, const uint8_t *packed,
			 size_t length);
bool __wrap_session_done(struct session *session, uint64_t hash, const uint8_t *packed,
			 size_t length);
bool __wrap_session_done(struct session *session, uint64_t hash, const uint8_t *packed,
			 size_t length)
{
	bool kept = __real_session_done(session, hash, packed, length);
	struct exec *exec = oracle_current();
	Response *r = ptd__v1__session_response__unpack(NULL, length, packed);
	struct session_op *s;

	if (!exec || !exec->op->session || !r)
		abort();
	s = exec->op->session;
	if (session->last_seq != exec->seq || s->done + 1 != exec->seq)
		wrong(sim_running, exec->op, exec->seq, "it is counted out of order");
	s->done = (uint32_t)exec->seq;
	s->answer[exec->seq] = message_hash(&r->base);
	session_content(sim_running, exec, r);
	ptd__v1__session_response__free_unpacked(r, NULL);
	return kept;
}

/* The daemon starts anew, or has kept the session for as long as it promised. */
void session_forget(struct op *op)
{
	struct session_op *s = op->session;

	s->done = 0;
	s->may_be_lost = true;
	memset(s->worker, 0, sizeof(s->worker));
}
