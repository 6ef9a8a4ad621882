/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of contexts and of guests: DeleteContext, TeardownGuest, FinalizeGuest; and places for
 * guests that are not there yet. */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_work.h"
#include "nested.h"
#include "registry.h"
#include "transfer_work.h"

#include "ptd/v1/ownership.pb-c.h"

/* A deletion under way: the context stays until its teardown, by this call, has ended. */
struct deletion {
	ProtobufCMessage *response;
	Ptd__V1__Effects **effects_at, effects; /* in it */
	struct work *work;
	struct context *context; /* NULL: a guest that is only reserved */
	bool ends_shadows;	 /* they go before anything else */
	struct nested_end shadow;
	struct guest_end *end; /* of a machine with owners: what the guest has goes first */
	bool ends_guest;
};

/* From here on nothing stops it. PT_OK, or why it may not begin. */
static enum pt_outcome doom(struct domain *d, struct context *c)
{
	enum pt_outcome o = PT_OK;

	pt_port_lock(&d->lock);
	if (c->doomed)
		o = PT_WRONG_STATE;
	else
		c->doomed = true;
	pt_port_unlock(&d->lock);
	return o;
}

/* It can be asked for again. */
static enum call_result give_up(struct call *call, const struct deletion *s, enum pt_outcome o)
{
	if (s->context) {
		pt_port_lock(&call->domain->lock);
		s->context->doomed = false;
		pt_port_unlock(&call->domain->lock);
	} else {
		owners_give_back(s->end->machine->owners, s->end->handle, s->end->guest);
	}
	if (o == PT_WRONG_STATE)
		return call_fail(call, o, "guest: it is live, or has pages");
	if (o == PT_BUSY)
		return call_fail(call, o,
				 "a borrower has what the guest lends, and is to RELINQUISH it");
	return call_fail(call, o, "what the guest has cannot go back now: no memory for it");
}

/* CALL_STREAM: the context itself is next. */
static enum call_result end_guest(struct call *call, struct deletion *s)
{
	enum call_result result;
	enum pt_outcome o;

	result = guest_end_step(call, s->end, &o);
	if (result != CALL_DONE)
		return result;
	s->ends_guest = false;
	if (o != PT_OK)
		give_up(call, s, o);
	owners_end(s->end->machine);
	if (o != PT_OK)
		return CALL_DONE;
	if (s->context)
		work_begin_teardown(s->work, s->context);
	return CALL_STREAM;
}

static enum call_result answer(struct call *call, struct deletion *s,
			       const struct pt_effects *effects)
{
	ptd__v1__effects__init(&s->effects);
	effects_fill(&s->effects, effects);
	*s->effects_at = &s->effects;
	call->response = s->response;
	return CALL_DONE;
}

static enum call_result delete_on(struct call *call, struct deletion *s)
{
	enum call_result result;
	enum pt_outcome o;

	if (s->ends_shadows) {
		result = nested_end_all(call, &s->shadow, s->context);
		if (result != CALL_DONE)
			return result;
		s->ends_shadows = false;
		if (!s->ends_guest)
			work_begin_teardown(s->work, s->context);
	}
	if (s->ends_guest) {
		result = end_guest(call, s);
		if (result != CALL_STREAM)
			return result;
	}
	if (!s->context)
		return answer(call, s, &(struct pt_effects){0});
	if (s->work->holds != WORK_NOTHING) {
		result = work_step(s->work, STEP_VISITS, &o);
		if (result != CALL_DONE)
			return result;
	}
	if (!work_unpinned(s->context) || !nested_close(call, s->context))
		return CALL_MORE;
	count_effects(call, &s->work->txn.effects);
	context_retire(s->context);
	return answer(call, s, &s->work->txn.effects);
}

/* TeardownGuest's, or a deletion's. False: it was begun before. */
static bool guest_tear_down(struct context *c)
{
	if (pt_guest_teardown(&c->machine->owners->pt, c->guest) != PT_OK)
		return false;
	atomic_store_explicit(&c->dies, true, memory_order_relaxed);
	return true;
}

/* `finalizes`: the guest is dying, and has nothing. */
static enum call_result begin_deletion(struct call *call, struct deletion *s, struct context *c,
				       bool finalizes)
{
	uint64_t span = finalizes ? 0 : UINT64_C(1) << c->pt.geo.ipa_bits;
	enum pt_outcome o;

	if (call->abandoned)
		return fail_abandoned(call);
	if (owners_keep(c))
		return call_fail(call, PT_WRONG_STATE, "handle: the HOST goes with its machine");
	s->end = c->machine->owners ? call_alloc(call, sizeof(*s->end)) : NULL;
	if ((c->machine->owners && !s->end) || !work_get(call, &s->work))
		return fail_arena(call);
	o = doom(call->domain, c);
	if (o != PT_OK)
		return call_fail(call, o, "handle: the context is being deleted");
	s->context = c;
	s->ends_guest = s->end && owners_begin(call->domain, c->machine);
	if (finalizes && !s->ends_guest)
		return give_up(call, s, PT_WRONG_STATE);
	call->state = s;
	s->ends_shadows = true;
	if (!s->ends_guest)
		return delete_on(call, s);
	if (!finalizes && guest_tear_down(c))
		watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	guest_end_begin(call, s->end, c->machine, c->guest, c->handle, span);
	return delete_on(call, s);
}

static enum call_result delete_begin(struct call *call)
{
	const Ptd__V1__DeleteContextRequest *q = (const void *)call->request;
	struct context *c = find_own_tables(call, q->handle, "handle");
	struct deletion *s = c ? call_alloc(call, sizeof(*s)) : NULL;
	Ptd__V1__DeleteContextResponse *r;

	if (!c)
		return CALL_DONE;
	if (!s)
		return fail_arena(call);
	r = new_response(call, &ptd__v1__delete_context_response__descriptor);
	if (!r)
		return CALL_DONE;
	s->response = &r->base;
	s->effects_at = &r->effects;
	return begin_deletion(call, s, c, false);
}

static enum call_result delete_step(struct call *call)
{
	return call->state ? delete_on(call, call->state) : delete_begin(call);
}

enum call_result context_delete(struct call *call)
{
	const Ptd__V1__DeleteContextRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, delete_step);
}

/* Once begun it runs to its end, whoever still listens. */
static enum call_result delete_anyway(struct call *call)
{
	return call->state ? delete_on(call, call->state) : CALL_DONE;
}

enum call_result context_delete_abandon(struct call *call)
{
	const Ptd__V1__DeleteContextRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, delete_anyway);
}

static enum call_result reserve(struct call *call)
{
	const Ptd__V1__ReserveGuestRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	Ptd__V1__ReserveGuestResponse *r;
	enum pt_outcome o;

	if (!m)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__reserve_guest_response__descriptor);
	if (!r)
		return CALL_DONE;
	o = owners_reserve(call->domain, m, &r->guest);
	if (o == PT_WRONG_STATE)
		return call_fail(call, o, "machine: it is being deleted");
	if (o != PT_OK)
		return call_fail(call, o, "machine: it has max_guests");
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result guest_reserve(struct call *call)
{
	const Ptd__V1__ReserveGuestRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, reserve);
}

/* NULL: the call has been failed. */
static struct context *find_guest(struct call *call, uint64_t handle, const char *field)
{
	struct context *c = find_own_tables(call, handle, field);

	if (!c || (c->machine->owners && !owners_keep(c)))
		return c;
	call_fail(call, PT_INVALID, "%s: it is no guest of a machine with owners", field);
	return NULL;
}

/* A guest that is dying by now leaves lendings. */
struct leaving {
	struct transfer_work work;
	struct machine *machine; /* stays: owners_begin() */
	Ptd__V1__TeardownGuestResponse *response;
};

/* Where memory is lacking the rest is done when its pages are asked for, or it is finalized. */
static enum call_result leave_on(struct call *call)
{
	struct leaving *s = call->state;
	enum pt_outcome o;
	enum call_result result = leave_step(call, &s->work, &o);

	if (result != CALL_DONE)
		return result;
	owners_end(s->machine);
	call->response = &s->response->base;
	return CALL_DONE;
}

static enum call_result begin_teardown(struct call *call)
{
	const Ptd__V1__TeardownGuestRequest *q = (const void *)call->request;
	struct context *c = find_guest(call, q->context, "context");
	struct leaving *s = c ? call_alloc(call, sizeof(*s)) : NULL;
	Ptd__V1__TeardownGuestResponse *r;
	bool begun = false;
	void *room;

	if (!c)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__teardown_guest_response__descriptor);
	if (!r)
		return CALL_DONE;
	room = context_message_room(call);
	if (!room || !s)
		return fail_arena(call);
	s->machine = c->machine;
	s->response = r;
	if (!owners_begin(call->domain, s->machine))
		return call_fail(call, PT_WRONG_STATE, "machine: it is being deleted");
	/* Once it is doomed its number may be another's. */
	pt_port_lock(&call->domain->lock);
	if (!c->doomed)
		begun = guest_tear_down(c);
	pt_port_unlock(&call->domain->lock);
	if (!begun) {
		owners_end(s->machine);
		return call_fail(call, PT_WRONG_STATE, "context: the guest is dying");
	}
	watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	r->context = context_message_at(room, call, c);
	if (!r->context) {
		owners_end(s->machine);
		return fail_arena(call);
	}
	leave_begin(call, &s->work, s->machine, c->guest);
	call->state = s;
	return leave_on(call);
}

static enum call_result tear_down(struct call *call)
{
	return call->state ? leave_on(call) : begin_teardown(call);
}

enum call_result guest_teardown(struct call *call)
{
	const Ptd__V1__TeardownGuestRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, tear_down);
}

/* Nothing stops it. */
static enum call_result tear_down_anyway(struct call *call)
{
	return call->state ? leave_on(call) : CALL_DONE;
}

enum call_result guest_teardown_abandon(struct call *call)
{
	const Ptd__V1__TeardownGuestRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, tear_down_anyway);
}

/* A guest without a context. Who takes its handle ends it: by the time that another call is done
 * with its steps the number may be the next guest's. */
static enum call_result finalize_place(struct call *call, struct deletion *s, struct machine *m,
				       uint64_t handle, uint32_t guest)
{
	if (call->abandoned)
		return fail_abandoned(call);
	s->end = call_alloc(call, sizeof(*s->end));
	if (!s->end)
		return fail_arena(call);
	if (!owners_begin(call->domain, m))
		return call_fail(call, PT_WRONG_STATE, "machine: it is being deleted");
	if (!owners_take(m->owners, handle, guest)) {
		owners_end(m);
		return call_fail(call, PT_NOT_FOUND, "guest: it is no place any more");
	}
	call->state = s;
	s->ends_guest = true;
	guest_end_begin(call, s->end, m, guest, handle, 0);
	return delete_on(call, s);
}

static enum call_result finalize_begin(struct call *call)
{
	const Ptd__V1__FinalizeGuestRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	Ptd__V1__FinalizeGuestResponse *r;
	struct context *c = NULL;
	struct deletion *s;
	uint32_t guest = 0;

	if (!m)
		return CALL_DONE;
	if (!owners_reserved(m->owners, q->guest, &guest)) {
		c = find_guest(call, q->guest, "guest");
		if (!c)
			return CALL_DONE;
		if (c->machine != m)
			return call_fail(call, PT_INVALID, "guest: it is of another machine");
	}
	s = call_alloc(call, sizeof(*s));
	if (!s)
		return fail_arena(call);
	r = new_response(call, &ptd__v1__finalize_guest_response__descriptor);
	if (!r)
		return CALL_DONE;
	s->response = &r->base;
	s->effects_at = &r->effects;
	return c ? begin_deletion(call, s, c, true) : finalize_place(call, s, m, q->guest, guest);
}

static enum call_result finalize_step(struct call *call)
{
	return call->state ? delete_on(call, call->state) : finalize_begin(call);
}

enum call_result guest_finalize(struct call *call)
{
	const Ptd__V1__FinalizeGuestRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, finalize_step);
}

enum call_result guest_finalize_abandon(struct call *call)
{
	const Ptd__V1__FinalizeGuestRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, delete_anyway);
}
