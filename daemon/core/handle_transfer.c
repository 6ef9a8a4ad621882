/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OwnershipService.Transfer: a request names parties and a kind; lib knows what each transition
 * does (docs/ownership.md).
 *
 * Order: the machine; which transition it is, with its parties; arguments; then steps. Up to the
 * commit point the call can be given up, and leaves nothing; behind it it goes on to its end.
 */
#include "handlers.h"
#include "lendings.h"

#include "domain_fail.h"
#include "registry.h"
#include "transfer_fail.h"
#include "transfer_read.h"
#include "transfer_work.h"

#include "ptd/v1/ownership.pb-c.h"

struct transfer {
	struct transfer_work work;
	struct machine *machine; /* stays: owners_begin() */
	struct transfer_items items;
	struct pt_transfer_args args;
	/* RECLAIM of a dying guest's: what its teardown had no memory for comes first. */
	bool leaving;
	Ptd__V1__TransferResponse response;
	Ptd__V1__Effects effects;
};

/* As the commit point left it: pt_parties counts each context. */
static uint64_t generation_of(const struct pt_transfer *t)
{
	const struct pt_ctx *host = t->args.owners->host;

	for (uint32_t i = 0; !t->args.validate_only && i < t->parties.legs; i++)
		if (t->parties.leg[i].item->ctx == host)
			return t->parties.leg[i].generation;
	return atomic_load_explicit(&host->generation, memory_order_acquire);
}

static enum call_result answer(struct call *call, struct transfer *s)
{
	const struct pt_transfer *t = &s->work.t;

	if (!t->args.validate_only)
		transfer_settle(call, t);
	ptd__v1__transfer_response__init(&s->response);
	ptd__v1__effects__init(&s->effects);
	effects_fill(&s->effects, &t->effects);
	s->response.effects = &s->effects;
	s->response.generation = generation_of(t);
	call->response = &s->response.base;
	return CALL_DONE;
}

static enum call_result leave_on(struct call *call, struct transfer *s)
{
	enum pt_outcome o;
	enum call_result result = leave_step(call, &s->work, &o);

	if (result != CALL_DONE)
		return result;
	s->leaving = false;
	s->work.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RECLAIM;
	transfer_begin(call, &s->work, &s->args);
	if (o == PT_OK)
		return CALL_MORE;
	s->work.t.error.code = o;
	transfer_fail(call, &s->items, &s->work.t);
	owners_end(s->machine);
	return CALL_DONE;
}

static enum call_result go_on(struct call *call, struct transfer *s)
{
	enum call_result result;
	enum pt_outcome o;

	if (s->leaving)
		return leave_on(call, s);
	result = transfer_step(&s->work, &o);
	if (result != CALL_DONE)
		return result;
	if (o == PT_OK)
		answer(call, s);
	else
		transfer_fail(call, &s->items, &s->work.t);
	owners_end(s->machine);
	return CALL_DONE;
}

static enum call_result begin(struct call *call, const Ptd__V1__TransferRequest *q,
			      struct machine *m)
{
	struct pt_transfer_args args = {.expected_generation = q->expected_generation,
					.validate_only = q->validate_only};
	struct transfer *s;

	s = call_alloc(call, sizeof(*s));
	if (!s)
		return fail_arena(call);
	s->machine = m;
	if (transfer_read(call, m, q, &s->items, &args) != CALL_MORE)
		return CALL_DONE;
	s->work.kind = q->items[0]->kind;
	if (!q->validate_only)
		args.id = owners_number(m->owners, &q->request_id);
	if (transfer_begin(call, &s->work, &args) != PT_OK)
		return transfer_fail(call, &s->items, &s->work.t);
	if (!owners_begin(call->domain, m))
		return call_fail(call, PT_WRONG_STATE, "machine: it is being deleted");
	s->args = args;
	s->leaving = args.kind == PT_RECLAIM_DYING;
	if (s->leaving)
		leave_begin(call, &s->work, m, s->items.range[0].guest);
	call->state = s;
	return go_on(call, s);
}

static enum call_result transfer(struct call *call)
{
	const Ptd__V1__TransferRequest *q = (const void *)call->request;
	struct machine *m;

	if (call->state && lend_is(q->items[0]))
		return lend_go_on(call);
	if (call->state)
		return go_on(call, call->state);
	m = owners_find(call, q->machine);
	if (!m)
		return CALL_DONE;
	if (!q->n_items)
		return call_fail(call, PT_INVALID, "items: none");
	if (q->n_items > LIMIT_TRANSFER_ITEMS)
		return call_fail(call, PT_TOO_LARGE, "items: %zu, and max_transfer_items is %u",
				 q->n_items, LIMIT_TRANSFER_ITEMS);
	return lend_is(q->items[0]) ? lend_begin(call, q, m) : begin(call, q, m);
}

enum call_result owner_transfer(struct call *call)
{
	const Ptd__V1__TransferRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, transfer);
}

static enum call_result abandon(struct call *call)
{
	struct transfer *s = call->state;
	enum call_result result;
	bool committed;

	if (!s)
		return CALL_DONE;
	if (lend_is(((const Ptd__V1__TransferRequest *)(const void *)call->request)->items[0]))
		return lend_abandon(call);
	result = transfer_abandon(&s->work, &committed);
	if (result != CALL_DONE)
		return result;
	if (committed && !s->leaving)
		answer(call, s);
	owners_end(s->machine);
	return CALL_DONE;
}

enum call_result owner_transfer_abandon(struct call *call)
{
	const Ptd__V1__TransferRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, abandon);
}
