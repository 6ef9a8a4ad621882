/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MappingService: Map, Unmap, Protect and WriteProtect of one range.
 *
 * A point operation first, when nothing more is asked for than the range itself; else, and when one
 * entry is not enough, a transaction. Both end in an answer that leaves once no access through an
 * old translation can be in flight.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_work.h"
#include "mapping.h"
#include "registry.h"

#include "ptd/v1/mapping.pb-c.h"

enum phase { PHASE_POINT, PHASE_TXN, PHASE_GRACE };

struct single {
	Ptd__V1__MapResponse *response; /* made before there is an effect */
	struct pt_item item;
	struct pt_effects effects;
	struct pt_error error;
	struct work *work;
	enum phase phase;
	uint64_t expected, generation;
	bool validate_only;
};

bool effects_changed(const struct pt_effects *e)
{
	return e->leaves_written || e->leaves_removed || e->blocks_split || e->tables_added ||
	       e->tables_freed || e->annotated;
}

bool effects_invalidated(const struct pt_effects *e)
{
	return e->tlbis != 0;
}

/* The responses have the same fields in the same order. */
#define SAME_AS_MAP(type)                                                                          \
	_Static_assert(sizeof(type) == sizeof(Ptd__V1__MapResponse) &&                             \
			       offsetof(type, generation) ==                                       \
				       offsetof(Ptd__V1__MapResponse, generation) &&               \
			       offsetof(type, outcome) ==                                          \
				       offsetof(Ptd__V1__MapResponse, outcome) &&                  \
			       offsetof(type, effects) == offsetof(Ptd__V1__MapResponse, effects), \
		       "one layout for all responses")
SAME_AS_MAP(Ptd__V1__UnmapResponse);
SAME_AS_MAP(Ptd__V1__ProtectResponse);
SAME_AS_MAP(Ptd__V1__WriteProtectResponse);

static bool make_response(struct call *call, struct single *s)
{
	static const ProtobufCMessageDescriptor *const type[] = {
		[PT_ITEM_MAP] = &ptd__v1__map_response__descriptor,
		[PT_ITEM_UNMAP] = &ptd__v1__unmap_response__descriptor,
		[PT_ITEM_PROTECT] = &ptd__v1__protect_response__descriptor,
		[PT_ITEM_WRITE_PROTECT] = &ptd__v1__write_protect_response__descriptor,
	};

	s->response = new_response(call, type[s->item.kind]);
	if (s->response)
		s->response->effects = effects_message(call, &s->effects);
	return s->response && s->response->effects;
}

static enum call_result answer(struct call *call, const struct single *s)
{
	s->response->generation = s->generation;
	s->response->outcome = s->item.outcome;
	effects_fill(s->response->effects, &s->effects);
	call->response = &s->response->base;
	return CALL_DONE;
}

/* The effect stands. */
static void settle(struct call *call, struct single *s, struct context *c)
{
	if (s->validate_only) {
		s->generation = atomic_load(&c->pt.generation);
		return;
	}
	count_effects(call, &s->effects);
	if (s->item.kind == PT_ITEM_UNMAP && s->effects.leaves_removed)
		sweep_later(call, c, s->item.ipa.v, s->item.size);
	if (s->phase == PHASE_TXN && s->expected) { /* counted at the commit point */
		s->generation = s->work->txn.generation;
		watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	} else if (effects_changed(&s->effects)) {
		s->generation = context_changed(call->domain, c);
	} else {
		s->generation = atomic_load_explicit(&c->pt.generation, memory_order_acquire);
	}
}

static enum call_result start_txn(struct call *call, struct single *s)
{
	struct work *w = work_get(call, &s->work);

	if (!w)
		return fail_arena(call);
	work_begin(w, container_of(s->item.ctx, struct context, pt), &s->item, 1, s->expected,
		   s->validate_only);
	w->txn.quiet = !s->expected;
	s->phase = PHASE_TXN;
	return CALL_MORE;
}

static enum call_result run_txn(struct call *call, struct single *s)
{
	enum call_result result;
	enum pt_outcome o;

	result = work_step(s->work, STEP_VISITS, &o);
	if (result != CALL_DONE)
		return result;
	if (o != PT_OK)
		return fail_error(call, &s->work->txn.error);
	s->effects = s->work->txn.effects;
	settle(call, s, container_of(s->item.ctx, struct context, pt));
	return answer(call, s);
}

static enum call_result run_point(struct call *call, struct single *s, struct context *c)
{
	enum pt_outcome o;

	/* The grace period of the reply needs memory: taken before there is an effect. */
	if (pt_item_needs_grace(&c->machine->pt, call_agent(call)) && !work_get(call, &s->work))
		return fail_arena(call);
	o = pt_point(call_agent(call), &s->item, &s->effects, &s->error);
	if (likely(o < PT_MORE && o != PT_RACED)) {
		settle(call, s, c);
		s->phase = PHASE_GRACE;
		if (effects_invalidated(&s->effects) && work_grace(call, &s->work, c) == CALL_MORE)
			return CALL_MORE;
		return answer(call, s);
	}
	switch (o) {
	case PT_RACED: return CALL_MORE;
	case PT_MORE: return start_txn(call, s) == CALL_MORE ? run_txn(call, s) : CALL_DONE;
	case PT_PARKED:
		if (!work_get(call, &s->work))
			return fail_arena(call);
		return work_park(call, s->work, c, s->item.ipa.v, s->item.size);
	default: return fail_error(call, &s->error);
	}
}

static enum call_result begin(struct call *call, const struct pt_item *item, uint64_t context,
			      uint64_t expected, bool validate_only)
{
	struct context *c = find_own_tables(call, context, "context");
	struct single *s;
	enum pt_outcome o;

	if (!c)
		return CALL_DONE;
	s = call_alloc(call, sizeof(*s));
	if (!s)
		return fail_arena(call);
	s->item = *item;
	s->item.ctx = &c->pt;
	s->expected = expected;
	s->validate_only = validate_only;
	s->error.level = PT_TTL_UNKNOWN;
	o = pt_item_check(&s->item);
	if (o != PT_OK)
		return fail_item(call, &s->item, o, "", 0);
	if (!make_response(call, s))
		return CALL_DONE;
	call->state = s;
	if (!expected && !validate_only)
		return run_point(call, s, c);
	return start_txn(call, s) == CALL_MORE ? run_txn(call, s) : CALL_DONE;
}

static enum call_result go_on(struct call *call, uint64_t context)
{
	struct single *s = call->state;
	struct context *c;

	if (s->phase == PHASE_TXN)
		return run_txn(call, s);
	if (s->phase == PHASE_GRACE)
		return work_grace_step(s->work) == CALL_MORE ? CALL_MORE : answer(call, s);
	work_resume(s->work);
	c = find_own_tables(call, context, "context");
	if (!c)
		return CALL_DONE;
	s->item.ctx = &c->pt;
	return run_point(call, s, c);
}

static enum call_result map_step(struct call *call)
{
	const Ptd__V1__MapRequest *q = (const void *)call->request;
	struct pt_item item = {.ipa = pt_ipa(q->ipa),
			       .size = q->size,
			       .pa = pt_pa(q->pa),
			       .prot = q->prot,
			       .flags = q->flags,
			       .kind = PT_ITEM_MAP};

	return call->state
		       ? go_on(call, q->context)
		       : begin(call, &item, q->context, q->expected_generation, q->validate_only);
}

static enum call_result unmap_step(struct call *call)
{
	const Ptd__V1__UnmapRequest *q = (const void *)call->request;
	struct pt_item item = {
		.ipa = pt_ipa(q->ipa), .size = q->size, .flags = q->flags, .kind = PT_ITEM_UNMAP};

	return call->state
		       ? go_on(call, q->context)
		       : begin(call, &item, q->context, q->expected_generation, q->validate_only);
}

static enum call_result protect_step(struct call *call)
{
	const Ptd__V1__ProtectRequest *q = (const void *)call->request;
	struct pt_item item = {.ipa = pt_ipa(q->ipa),
			       .size = q->size,
			       .prot = q->prot,
			       .flags = q->flags,
			       .kind = PT_ITEM_PROTECT};

	return call->state
		       ? go_on(call, q->context)
		       : begin(call, &item, q->context, q->expected_generation, q->validate_only);
}

static enum call_result write_protect_step(struct call *call)
{
	const Ptd__V1__WriteProtectRequest *q = (const void *)call->request;
	struct pt_item item = {
		.ipa = pt_ipa(q->ipa), .size = q->size, .kind = PT_ITEM_WRITE_PROTECT};

	return call->state
		       ? go_on(call, q->context)
		       : begin(call, &item, q->context, q->expected_generation, q->validate_only);
}

/* Before the effect nothing is left behind; after it the answer is kept for a retry. */
static enum call_result undo(struct call *call)
{
	struct single *s = call->state;
	enum call_result result;
	bool committed;

	if (!s)
		return CALL_DONE;
	if (s->phase == PHASE_GRACE)
		return answer(call, s);
	result = work_abandon(s->work, &committed);
	if (result != CALL_DONE || !committed)
		return result;
	s->effects = s->work->txn.effects;
	settle(call, s, container_of(s->item.ctx, struct context, pt));
	return answer(call, s);
}

enum call_result mapping_map(struct call *call)
{
	const Ptd__V1__MapRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, map_step);
}

enum call_result mapping_map_abandon(struct call *call)
{
	const Ptd__V1__MapRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, undo);
}

enum call_result mapping_unmap(struct call *call)
{
	const Ptd__V1__UnmapRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, unmap_step);
}

enum call_result mapping_unmap_abandon(struct call *call)
{
	const Ptd__V1__UnmapRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, undo);
}

enum call_result mapping_protect(struct call *call)
{
	const Ptd__V1__ProtectRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, protect_step);
}

enum call_result mapping_protect_abandon(struct call *call)
{
	const Ptd__V1__ProtectRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, undo);
}

enum call_result mapping_write_protect(struct call *call)
{
	const Ptd__V1__WriteProtectRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, write_protect_step);
}

enum call_result mapping_write_protect_abandon(struct call *call)
{
	const Ptd__V1__WriteProtectRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, undo);
}
