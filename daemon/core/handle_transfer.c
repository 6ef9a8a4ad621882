/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OwnershipService.Transfer: a request names parties and a kind; lib knows what each transition
 * does (docs/ownership.md).
 *
 * Order: the machine; which transition it is, with its parties; arguments; then steps. Up to the
 * commit point the call can be given up, and leaves nothing; behind it it goes on to its end.
 */
#include "handlers.h"

#include "domain_fail.h"
#include "registry.h"
#include "transfer_work.h"

#include "ptd/v1/ownership.pb-c.h"

struct transfer {
	struct transfer_work work;
	struct machine *machine; /* stays: owners_begin() */
	unsigned unit_shift;	 /* of the largest granule of the parties */
	Ptd__V1__TransferResponse response;
	Ptd__V1__Effects effects;
};

#define HOST	   PTD__V1__OWNER_KIND__OWNER_KIND_HOST
#define HYP	   PTD__V1__OWNER_KIND__OWNER_KIND_HYP
#define GUEST	   PTD__V1__OWNER_KIND__OWNER_KIND_GUEST
#define OTHER	   PTD__V1__OWNER_KIND__OWNER_KIND_OTHER
#define KIND(name) PTD__V1__TRANSFER_KIND__TRANSFER_KIND_##name

enum by { BY_PA, BY_IPA, BY_BOTH };

static const struct transition {
	uint8_t kind, from, to;
	uint8_t of_lib; /* enum pt_transfer_kind */
	uint8_t by;	/* which addresses the request has */
	bool prot, zero;
} transitions[] = {
	{KIND(SHARE), HOST, HYP, PT_SHARE_HYP, BY_PA, 0, 0},
	{KIND(SHARE), HOST, OTHER, PT_SHARE_THIRD, BY_PA, 0, 0},
	{KIND(SHARE), HOST, GUEST, PT_SHARE_GUEST, BY_BOTH, 1, 0},
	{KIND(SHARE), GUEST, HOST, PT_SHARE_BACK, BY_IPA, 0, 0},
	{KIND(UNSHARE), HOST, HYP, PT_UNSHARE_HYP, BY_PA, 0, 0},
	{KIND(UNSHARE), HOST, OTHER, PT_UNSHARE_THIRD, BY_PA, 0, 0},
	{KIND(UNSHARE), HOST, GUEST, PT_UNSHARE_GUEST, BY_IPA, 0, 0},
	{KIND(UNSHARE), GUEST, HOST, PT_UNSHARE_BACK, BY_IPA, 0, 0},
	{KIND(DONATE), HOST, HYP, PT_DONATE_HYP, BY_PA, 0, 1},
	{KIND(DONATE), HYP, HOST, PT_RETURN_HYP, BY_PA, 0, 0},
	{KIND(DONATE), HOST, GUEST, PT_DONATE_GUEST, BY_BOTH, 0, 1},
	{KIND(DONATE), GUEST, HOST, PT_BALLOON, BY_IPA, 0, 0},
	{KIND(FORCE_RECLAIM), GUEST, HOST, PT_FORCE_RECLAIM, BY_PA, 0, 0},
	{KIND(PIN), HOST, HYP, PT_PIN, BY_PA, 0, 0},
	{KIND(UNPIN), HOST, HYP, PT_UNPIN, BY_PA, 0, 0},
};

static uint32_t kind_of(const Ptd__V1__Party *party)
{
	return party ? party->kind : PTD__V1__OWNER_KIND__OWNER_KIND_UNSPECIFIED;
}

static bool is_lending(uint32_t kind)
{
	return kind == KIND(LEND) || kind == KIND(RETRIEVE) || kind == KIND(RELINQUISH) ||
	       kind == KIND(RECLAIM);
}

/* NULL: the call has been failed. */
static const struct transition *find_transition(struct call *call, const Ptd__V1__TransferItem *q)
{
	for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
		const struct transition *t = &transitions[i];

		if (t->kind == q->kind && t->from == kind_of(q->from) && t->to == kind_of(q->to))
			return t;
	}
	if (is_lending(q->kind))
		call_fail(call, PT_UNSUPPORTED, "items[0].kind: lendings are not offered");
	else
		call_fail(call, PT_INVALID,
			  "items[0].kind: there is no transition %u between such parties", q->kind);
	return NULL;
}

/* A forced reclaim takes from whichever guest has it; all others name theirs. */
static enum call_result check_party(struct call *call, struct transfer *s,
				    const struct transition *t, const Ptd__V1__Party *party,
				    const char *field, uint32_t *guest)
{
	struct owners *o = s->machine->owners;
	const struct context *c;

	if (party->kind != GUEST || t->of_lib == PT_FORCE_RECLAIM) {
		if (!party->context ||
		    (party->kind == HOST && party->context == atomic_load(&o->host)))
			return CALL_MORE;
		return call_fail(call, PT_INVALID, "items[0].%s.context: it goes with guests",
				 field);
	}
	c = find_context(call, party->context, "items[0] context");
	if (!c)
		return CALL_DONE;
	if (c->machine != s->machine || atomic_load(&o->guest[c->guest]) != c->handle)
		return call_fail(call, PT_INVALID,
				 "items[0].%s.context: it is no guest of this machine", field);
	*guest = c->guest;
	if (c->pt.geo.granule_shift > s->unit_shift)
		s->unit_shift = c->pt.geo.granule_shift;
	return CALL_MORE;
}

/* What belongs to other kinds. */
static enum call_result check_fields(struct call *call, const struct transition *t,
				     const Ptd__V1__TransferItem *q)
{
	const char *field = NULL;

	if (q->pa && t->by == BY_IPA)
		field = "pa";
	else if (q->ipa && t->by == BY_PA)
		field = "ipa";
	else if (q->prot && !t->prot)
		field = "prot";
	else if (q->zero && !t->zero)
		field = "zero";
	else if (q->lend_handle)
		field = "lend_handle";
	if (field)
		return call_fail(call, PT_INVALID, "items[0].%s: not with this kind and parties",
				 field);
	if (!q->size)
		return call_fail(call, PT_INVALID, "items[0].size: the range is empty");
	return CALL_MORE;
}

static enum call_result read_item(struct call *call, struct transfer *s,
				  const Ptd__V1__TransferItem *q, struct pt_transfer_args *args)
{
	const struct transition *t = find_transition(call, q);

	args->owners = &s->machine->owners->pt;
	s->unit_shift = args->owners->host->geo.granule_shift;
	if (!t || check_fields(call, t, q) != CALL_MORE ||
	    check_party(call, s, t, q->from, "from", &args->guest) != CALL_MORE ||
	    check_party(call, s, t, q->to, "to", &args->guest) != CALL_MORE)
		return CALL_DONE;
	args->kind = t->of_lib;
	s->work.kind = t->kind;
	args->pa = q->pa;
	args->ipa = pt_ipa(q->ipa);
	args->size = q->size;
	args->prot = q->prot;
	args->wipe = q->zero;
	return CALL_MORE;
}

static enum call_result fail_misaligned(struct call *call, const struct transfer *s)
{
	const struct pt_transfer_args *a = &s->work.t.args;
	uint64_t unit = UINT64_C(1) << s->unit_shift;

	if (a->pa % unit)
		return fail_aligned(call, "items[0].pa", a->pa, unit);
	if (a->ipa.v % unit)
		return fail_aligned(call, "items[0].ipa", a->ipa.v, unit);
	return fail_aligned(call, "items[0].size", a->size, unit);
}

static enum call_result fail(struct call *call, const struct transfer *s)
{
	const struct pt_transfer *t = &s->work.t;

	if (t->error.code == PT_MISALIGNED)
		return fail_misaligned(call, s);
	fail_error(call, &t->error);
	if (t->error.code == PT_INVALID)
		return call_fail(call, PT_INVALID, "items[0].prot: 0x%x is no right of a guest's",
				 t->args.prot);
	return CALL_DONE;
}

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

static enum call_result go_on(struct call *call, struct transfer *s)
{
	enum call_result result;
	enum pt_outcome o;

	result = transfer_step(&s->work, &o);
	if (result != CALL_DONE)
		return result;
	if (o == PT_OK)
		answer(call, s);
	else
		fail(call, s);
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
	if (read_item(call, s, q->items[0], &args) != CALL_MORE)
		return CALL_DONE;
	if (!q->validate_only)
		args.id = owners_number(m->owners, &q->request_id);
	if (transfer_begin(call, &s->work, &args) != PT_OK)
		return fail(call, s);
	if (!owners_begin(call->domain, m))
		return call_fail(call, PT_WRONG_STATE, "machine: it is being deleted");
	call->state = s;
	return go_on(call, s);
}

static enum call_result transfer(struct call *call)
{
	const Ptd__V1__TransferRequest *q = (const void *)call->request;
	struct machine *m;

	if (call->state)
		return go_on(call, call->state);
	m = owners_find(call, q->machine);
	if (!m)
		return CALL_DONE;
	if (!q->n_items)
		return call_fail(call, PT_INVALID, "items: none");
	if (q->n_items > 1)
		return call_fail(
			call, PT_UNSUPPORTED,
			"items: %zu; a transfer of several at one commit point is not offered",
			q->n_items);
	return begin(call, q, m);
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
	result = transfer_abandon(&s->work, &committed);
	if (result != CALL_DONE)
		return result;
	if (committed)
		answer(call, s);
	owners_end(s->machine);
	return CALL_DONE;
}

enum call_result owner_transfer_abandon(struct call *call)
{
	const Ptd__V1__TransferRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, abandon);
}
