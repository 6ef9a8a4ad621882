/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfer of lendings: LEND, RETRIEVE, RELINQUISH, RECLAIM (docs/ownership.md, "Lending").
 *
 * A LEND that begins a list carries its first pieces, each a call of lib's; the piece that
 * completes the list is the transition. A list that such a request has begun goes if one of its
 * pieces is refused, or if the request is given up before it: so it is done or not done, too.
 */
#include "lendings.h"

#include "context.h"
#include "domain_fail.h"
#include "handlers.h"
#include "transfer_fail.h"
#include "transfer_work.h"

#include <stdio.h>

#define KIND(name) PTD__V1__TRANSFER_KIND__TRANSFER_KIND_##name
#define HOST	   PTD__V1__OWNER_KIND__OWNER_KIND_HOST
#define GUEST	   PTD__V1__OWNER_KIND__OWNER_KIND_GUEST

struct lend {
	struct transfer_work work;
	struct machine *machine; /* stays: owners_begin() */
	const Ptd__V1__TransferRequest *q;
	uint64_t handle, id;
	uint32_t who; /* a guest's number, or PT_NO_GUEST */
	uint32_t at;  /* item */
	bool begun;   /* the list is this request's */
	Ptd__V1__TransferResponse response;
	Ptd__V1__Effects effects;
};

static bool is_open(const Ptd__V1__TransferItem *q)
{
	return q->kind == KIND(LEND) && !q->lend_handle;
}

/* Who calls: lends, borrows, or has it back. */
static enum call_result read_party(struct call *call, struct machine *m,
				   const Ptd__V1__Party *party, const char *field, bool host,
				   uint32_t *who)
{
	const struct context *c;

	*who = PT_NO_GUEST;
	if (host && party && party->kind == HOST &&
	    (!party->context || party->context == atomic_load(&m->owners->host)))
		return CALL_MORE;
	if (!party || party->kind != GUEST)
		return call_fail(call, PT_INVALID, "%s: %s", field,
				 host ? "it is the host, or a guest" : "it is a guest");
	c = transfer_guest(call, m, party->context, field);
	if (!c)
		return CALL_DONE;
	*who = c->guest;
	return CALL_MORE;
}

/* What does not go with the kind; each piece but the first of a request has its range alone. */
static const char *wrong_field(const Ptd__V1__TransferItem *q, uint32_t i)
{
	bool piece = q->kind == KIND(LEND), gives = piece || q->kind == KIND(RELINQUISH);

	if (q->prot)
		return "prot";
	if (!piece && q->pa)
		return "pa";
	if (!piece && q->size)
		return "size";
	if (q->ipa && q->kind != KIND(RETRIEVE) && !piece)
		return "ipa";
	if (gives ? q->to != NULL : q->from != NULL)
		return gives ? "to" : "from";
	if (i && q->lend_handle)
		return "lend_handle";
	if (is_open(q) && !i)
		return NULL;
	return q->zero		    ? "zero"
	       : q->n_borrowers	    ? "borrowers"
	       : q->lend_size	    ? "lend_size"
	       : q->lend_timeout_ms ? "lend_timeout_ms"
				    : NULL;
}

static enum call_result check_item(struct call *call, const struct lend *s, uint32_t i)
{
	const Ptd__V1__TransferItem *q = s->q->items[i];
	const char *field = wrong_field(q, i);

	call->status.index = i;
	if (i && (!is_open(s->q->items[0]) || q->kind != KIND(LEND)))
		return call_fail(call, PT_INVALID,
				 "items[%u]: only the LEND that begins a list has further items",
				 i);
	if (field)
		return call_fail(call, PT_INVALID, "items[%u].%s: not with this kind", i, field);
	if (i && q->from)
		return call_fail(call, PT_INVALID, "items[%u].from: items[0] says it", i);
	if (q->kind == KIND(LEND) && !q->size)
		return call_fail(call, PT_INVALID, "items[%u].size: the range is empty", i);
	if (q->kind == KIND(LEND) && (s->who == PT_NO_GUEST ? q->ipa : q->pa))
		return call_fail(call, PT_INVALID, "items[%u].%s: not with this lender", i,
				 s->who == PT_NO_GUEST ? "ipa" : "pa");
	if (q->kind != KIND(LEND) && !q->lend_handle)
		return call_fail(call, PT_INVALID, "items[%u].lend_handle: it is missing", i);
	return CALL_MORE;
}

static enum call_result check(struct call *call, struct lend *s)
{
	const Ptd__V1__TransferItem *q = s->q->items[0];
	bool gives = q->kind == KIND(LEND) || q->kind == KIND(RELINQUISH);

	if (s->q->validate_only || s->q->expected_generation)
		return call_fail(call, PT_UNSUPPORTED, "%s: not with lendings",
				 s->q->validate_only ? "validate_only" : "expected_generation");
	if (read_party(call, s->machine, gives ? q->from : q->to,
		       gives ? "items[0].from" : "items[0].to",
		       q->kind == KIND(LEND) || q->kind == KIND(RECLAIM), &s->who) != CALL_MORE)
		return CALL_DONE;
	for (uint32_t i = 0; i < s->q->n_items; i++)
		if (check_item(call, s, i) != CALL_MORE)
			return CALL_DONE;
	call->status.index = 0;
	return CALL_MORE;
}

static enum call_result read_borrowers(struct call *call, struct lend *s, struct pt_lend_list *list)
{
	const Ptd__V1__TransferItem *q = s->q->items[0];
	char field[40];

	if (!q->n_borrowers || q->n_borrowers > LIMIT_LEND_BORROWERS)
		return call_fail(call, PT_INVALID, "items[0].borrowers: %zu, of 1 to %u",
				 q->n_borrowers, LIMIT_LEND_BORROWERS);
	for (uint32_t i = 0; i < q->n_borrowers; i++) {
		snprintf(field, sizeof(field), "items[0].borrowers[%u]", i);
		if (read_party(call, s->machine, q->borrowers[i], field, false,
			       &list->borrower[i]) != CALL_MORE)
			return CALL_DONE;
	}
	list->borrowers = (uint32_t)q->n_borrowers;
	return CALL_MORE;
}

/* What its own items complete too early would be lent before one of them is refused. */
static enum call_result read_size(struct call *call, const struct lend *s, uint64_t *size)
{
	uint64_t given = s->q->items[0]->lend_size, sum = 0;

	for (uint32_t i = 0; i < s->q->n_items; i++) {
		call->status.index = i;
		if (__builtin_add_overflow(sum, s->q->items[i]->size, &sum))
			return call_fail(call, PT_OUT_OF_RANGE, "items[%u].size: the sum of all",
					 i);
		if (i && given && sum > given)
			return call_fail(call, PT_INVALID,
					 "items[%u].size: the pieces so far are 0x%llx bytes, and "
					 "lend_size is 0x%llx",
					 i, (unsigned long long)sum, (unsigned long long)given);
	}
	call->status.index = 0;
	*size = given ? given : sum;
	return CALL_MORE;
}

static enum call_result open_list(struct call *call, struct lend *s)
{
	const Ptd__V1__TransferItem *q = s->q->items[0];
	uint32_t ms = q->lend_timeout_ms ? q->lend_timeout_ms : DEFAULT_LEND_TIMEOUT_MS;
	struct pt_lend_list list = {.lender = s->who, .wipe = q->zero};
	enum pt_outcome o;

	if (ms > LIMIT_LEND_TIMEOUT_MS)
		return call_fail(call, PT_INVALID, "items[0].lend_timeout_ms: at most %u",
				 LIMIT_LEND_TIMEOUT_MS);
	if (read_borrowers(call, s, &list) != CALL_MORE ||
	    read_size(call, s, &list.size) != CALL_MORE)
		return CALL_DONE;
	o = pt_lend_open(&s->machine->owners->pt, &list, &s->handle);
	if (o != PT_OK)
		return call_fail(call, o,
				 o == PT_INVALID ? "items[0].borrowers: one twice, or the lender"
				 : o == PT_MISALIGNED && !q->lend_size
					 ? "items[0].size: not all of the largest granule"
				 : o == PT_MISALIGNED ? "items[0].lend_size: to the largest granule"
				 : o == PT_BUSY	      ? "max_lendings are there: RECLAIM one first"
						      : NULL);
	s->begun = true;
	lendings_note(call->domain, s->machine, s->handle,
		      call->now_ns + (uint64_t)ms * UINT64_C(1000000));
	return CALL_MORE;
}

static enum pt_outcome begin_item(struct call *call, struct lend *s)
{
	const Ptd__V1__TransferItem *q = s->q->items[s->at];
	struct pt_lend_args args = {.owners = &s->machine->owners->pt,
				    .who = s->who,
				    .handle = s->handle,
				    .at = q->pa + q->ipa, /* one of them is 0 */
				    .size = q->size,
				    .id = s->id};

	args.kind = q->kind == KIND(LEND)	  ? PT_LEND_PIECE
		    : q->kind == KIND(RETRIEVE)	  ? PT_LEND_RETRIEVE
		    : q->kind == KIND(RELINQUISH) ? PT_LEND_RELINQUISH
						  : PT_LEND_RECLAIM;
	return transfer_lend_begin(call, &s->work, &args);
}

static void drop_list(struct lend *s)
{
	if (s->begun)
		pt_lend_expire(&s->machine->owners->pt, s->handle);
}

static enum call_result fail(struct call *call, struct lend *s)
{
	lend_fail(call, &s->work.lend, s->at, s->begun);
	drop_list(s);
	owners_end(s->machine);
	return CALL_DONE;
}

static uint64_t missing(struct lend *s)
{
	struct pt_lending l;

	if (s->q->items[0]->kind != KIND(LEND) ||
	    pt_lending_get(&s->machine->owners->pt, s->handle, &l) != PT_OK)
		return 0;
	return l.state == PT_LENDING_OPEN ? l.size - l.named : 0;
}

static enum call_result answer(struct call *call, struct lend *s)
{
	const struct pt_lend *lend = &s->work.lend;

	if (lend->args.kind != PT_LEND_PIECE || lend->complete)
		transfer_settle(call, &lend->t);
	ptd__v1__transfer_response__init(&s->response);
	ptd__v1__effects__init(&s->effects);
	effects_fill(&s->effects, &lend->effects);
	s->response.effects = &s->effects;
	s->response.generation = atomic_load_explicit(&s->machine->owners->pt.host->generation,
						      memory_order_acquire);
	s->response.lend_missing = missing(s);
	if (s->q->items[0]->kind == KIND(LEND)) {
		s->response.lend_handle = &s->handle;
		s->response.n_lend_handle = 1;
	}
	call->response = &s->response.base;
	owners_end(s->machine);
	return CALL_DONE;
}

enum call_result lend_go_on(struct call *call)
{
	struct lend *s = call->state;
	enum call_result result;
	enum pt_outcome o;

	result = transfer_step(&s->work, &o);
	if (result != CALL_DONE)
		return result;
	if (o != PT_OK)
		return fail(call, s);
	if (s->at + 1 == s->q->n_items)
		return answer(call, s);
	s->at++;
	begin_item(call, s);
	return CALL_MORE;
}

enum call_result lend_begin(struct call *call, const Ptd__V1__TransferRequest *q, struct machine *m)
{
	struct lend *s = call_alloc(call, sizeof(*s));

	if (!s)
		return fail_arena(call);
	s->machine = m;
	s->q = q;
	s->handle = q->items[0]->lend_handle;
	s->work.kind = q->items[0]->kind;
	if (check(call, s) != CALL_MORE)
		return CALL_DONE;
	s->id = owners_number(m->owners, &q->request_id);
	if (!owners_begin(call->domain, m))
		return call_fail(call, PT_WRONG_STATE, "machine: it is being deleted");
	if (is_open(q->items[0]) && open_list(call, s) != CALL_MORE) {
		owners_end(m);
		return CALL_DONE;
	}
	begin_item(call, s);
	call->state = s;
	return lend_go_on(call);
}

enum call_result lend_abandon(struct call *call)
{
	struct lend *s = call->state;
	enum call_result result;
	bool committed;

	result = transfer_abandon(&s->work, &committed);
	if (result != CALL_DONE)
		return result;
	if (committed && s->at + 1 == s->q->n_items)
		return answer(call, s);
	drop_list(s);
	owners_end(s->machine);
	return CALL_DONE;
}
