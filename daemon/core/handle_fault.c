/* SPDX-License-Identifier: BSD-2-Clause */
/* FaultService: Access and HandleFault. */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "faults.h"
#include "nested.h"
#include "nested_fault.h"
#include "registry.h"

#include "ptd/v1/fault.pb-c.h"

struct exits {
	Ptd__V1__Exit *pointer[PT_HOST_MAX_EXITS], message[PT_HOST_MAX_EXITS];
};

struct access {
	struct pt_host_access a;
	struct exits *exits;
	struct work *work;
	struct fault_group group;
	struct fault_reclaim reclaim;
	struct nested_fault nested; /* of a shadow: the last one */
	Ptd__V1__NestedFault taker;
	Ptd__V1__AccessResponse *r;
};

enum call_result fault_check_kind(struct call *call, uint32_t kind, uint32_t last)
{
	if (kind >= PT_ACCESS_READ && kind <= last)
		return CALL_MORE;
	return call_fail(call, PT_INVALID, "access: %u is not a kind of access that fits", kind);
}

enum call_result fault_check_vcpu(struct call *call, const struct context *c, uint32_t vcpu)
{
	if (vcpu >= c->machine->vcpus)
		return call_fail(call, PT_INVALID, "vcpu: %u; the machine has %u", vcpu,
				 c->machine->vcpus);
	if (unlikely(context_is_shadow(c)))
		c = nested_canonical(c);
	return context_runs(call, c) ? CALL_MORE : CALL_DONE;
}

static enum call_result check_length(struct call *call, const struct context *c,
				     const Ptd__V1__AccessRequest *q, uint32_t *length)
{
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;
	bool write = q->access == PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
	bool empty_ok = q->access == PTD__V1__ACCESS_KIND__ACCESS_KIND_AT ||
			q->access == PTD__V1__ACCESS_KIND__ACCESS_KIND_EXEC;

	if (!write && q->data.len)
		return call_fail(call, PT_INVALID, "data: only a write brings some");
	if (write && q->length && q->length != q->data.len)
		return call_fail(call, PT_INVALID, "length: %u, but data has %zu bytes", q->length,
				 q->data.len);
	if (q->access == PTD__V1__ACCESS_KIND__ACCESS_KIND_AT && q->length)
		return call_fail(call, PT_INVALID, "length: an address translation moves nothing");
	*length = write ? (uint32_t)q->data.len : q->length;
	if (!*length && !empty_ok)
		return call_fail(call, PT_INVALID, "length: there are no bytes to move");
	if (*length && (q->ipa & (granule - 1)) + *length > granule)
		return call_fail(call, PT_INVALID, "length: the access crosses a granule");
	return CALL_MORE;
}

static enum call_result begin_access(struct call *call, struct context *c)
{
	const Ptd__V1__AccessRequest *q = (const void *)call->request;
	struct access *s;
	uint32_t length = 0;

	if (fault_check_kind(call, q->access, PT_ACCESS_AT) != CALL_MORE ||
	    fault_check_vcpu(call, c, q->vcpu) != CALL_MORE ||
	    check_length(call, c, q, &length) != CALL_MORE)
		return CALL_DONE;
	s = call_alloc(call, sizeof(*s));
	if (!s)
		return fail_arena(call);
	s->r = new_response(call, &ptd__v1__access_response__descriptor);
	if (!s->r)
		return CALL_DONE;
	s->a = (struct pt_host_access){.vcpu = q->vcpu,
				       .ipa = pt_ipa(q->ipa),
				       .access = (uint8_t)q->access,
				       .s1ptw = q->s1ptw,
				       .el0 = q->el0,
				       .handle_faults = !context_is_shadow(c),
				       .length = length};
	s->exits = call_alloc(call, sizeof(*s->exits)); /* before there is an effect */
	if (!s->exits)
		return fail_arena(call);
	s->a.data = q->data.len ? q->data.data : call_alloc(call, length + 1);
	if (!s->a.data)
		return fail_arena(call);
	call->state = s;
	return CALL_MORE;
}

static void add_exits(struct access *s)
{
	uint32_t n = s->a.exits < PT_HOST_MAX_EXITS ? s->a.exits : PT_HOST_MAX_EXITS;

	s->r->exits = s->exits->pointer;
	for (uint32_t i = 0; i < n; i++) {
		const struct pt_host_exit *e = &s->a.exit[i];
		Ptd__V1__Exit *to = &s->exits->message[i];

		ptd__v1__exit__init(to);
		to->fault = (Ptd__V1__FaultKind)e->fault;
		to->level = e->level;
		to->esr = e->esr;
		to->far = e->far;
		to->hpfar = e->hpfar;
		to->hpfar_known = e->hpfar_known;
		to->outcome = e->outcome;
		s->r->exits[s->r->n_exits++] = to;
	}
}

/* A fill installs one leaf; so does a relaxation, in the counters' sense. */
void fault_count_exits(struct call *call, const struct pt_host_access *a)
{
	uint64_t leaves = 0;

	for (uint32_t i = 0; i < a->exits && i < PT_HOST_MAX_EXITS; i++)
		leaves += a->exit[i].outcome == PT_MAPPED || a->exit[i].outcome == PT_RELAXED;
	count_add(&call->loop->counters.faults, a->exits);
	count_add(&call->loop->counters.leaves_written, leaves);
}

static enum call_result answer_access(struct call *call, struct access *s, enum pt_outcome o)
{
	Ptd__V1__AccessResponse *r = s->r;
	bool reads = s->a.access == PT_ACCESS_READ || s->a.access == PT_ACCESS_EXEC;

	fault_count_exits(call, &s->a);
	add_exits(s);
	r->outcome = o;
	r->level = s->a.level;
	r->tlb_hit = s->a.tlb_hit;
	r->tables_added = s->a.tables_added;
	if (o == PT_OK) {
		r->pa = s->a.pa.v;
		r->prot = s->a.prot;
		if (reads) {
			r->data.data = s->a.data;
			r->data.len = s->a.length;
		}
	}
	call->response = &r->base;
	return CALL_DONE;
}

/* A fault is data of the reply; an error is what kept it from being handled. */
bool fault_is_answer(enum pt_outcome o)
{
	return !pt_is_error(o) || o == PT_NOT_MAPPED || o == PT_WRONG_OWNER;
}

enum call_result fault_fail(struct call *call, enum pt_outcome o, uint64_t ipa, int level)
{
	if (o == PT_INVALID)
		call_fail(call, o, "access: not possible with this vcpu and length");
	else if (o == PT_OUT_OF_RANGE)
		call_fail(call, o, "ipa: it, or what it maps to, is outside");
	else
		call_fail(call, o, NULL);
	call->status.ipa = ipa;
	call->status.level = (int8_t)level;
	return CALL_DONE;
}

enum call_result fault_park(struct call *call, struct work **slot, struct context *c, uint64_t ipa)
{
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;
	struct work *w = work_get(call, slot);

	if (!w)
		return fail_arena(call);
	return work_park(call, w, c, ipa & ~(granule - 1), granule);
}

bool fault_group_begin(struct call *call, struct work **slot, struct context *c,
		       const struct pt_fault_todo *todo, struct fault_group *g)
{
	struct work *w;

	if (todo->kind != PT_TODO_RELAX || g->tried)
		return false;
	g->tried = true;
	g->item = (struct pt_item){.ctx = &c->pt,
				   .ipa = todo->ipa,
				   .size = todo->size,
				   .prot = todo->prot,
				   .kind = PT_ITEM_RELAX};
	w = work_get(call, slot);
	if (!w)
		return false;
	work_begin(w, c, &g->item, 1, 0, false);
	w->txn.quiet = true; /* as a fill it does not count in the generation */
	g->running = true;
	return true;
}

enum call_result fault_group_step(struct call *call, struct work *work, struct fault_group *g)
{
	enum call_result result;
	enum pt_outcome o;

	if (likely(!g->running))
		return CALL_DONE;
	result = work_step(work, STEP_VISITS, &o);
	if (result != CALL_DONE)
		return result;
	g->running = false;
	g->outcome = o == PT_OK ? (enum pt_outcome)g->item.outcome : o;
	count_add(&call->loop->counters.groups_relaxed, g->outcome == PT_RELAXED);
	return CALL_DONE;
}

enum call_result fault_group_access(struct call *call, struct work *work, struct fault_group *g,
				    struct pt_host_access *access)
{
	bool ran = g->running;
	enum call_result result = fault_group_step(call, work, g);

	if (unlikely(ran && result == CALL_DONE) &&
	    (g->outcome == PT_RELAXED || g->outcome == PT_ALREADY_MAPPED)) {
		access->exit[access->exits - 1].outcome = g->outcome; /* said DENIED so far */
		access->outcome = PT_PARKED;			      /* go on */
		access->todo.kind = PT_TODO_NONE;
	}
	return result;
}

enum call_result fault_absent(struct call *call, struct work **slot, struct context *c,
			      struct pt_host_access *a, enum pt_outcome *outcome)
{
	const struct page_access why = {.ipa = a->ipa.v, .vcpu = a->vcpu, .access = a->access};
	enum call_result step = work_await_page(call, slot, c, &why, outcome);

	if (step == CALL_DONE) {
		a->exit[a->exits - 1].outcome = *outcome;
		return step;
	}
	a->exits--;
	a->outcome = PT_PARKED; /* go on */
	return step;
}

bool fault_type_of(enum hw_fault fault, uint8_t *type)
{
	switch (fault) {
	case HW_TRANSLATION: *type = PT_FAULT_TRANSLATION; return true;
	case HW_ACCESS_FLAG: *type = PT_FAULT_ACCESS_FLAG; return true;
	case HW_PERMISSION: *type = PT_FAULT_PERMISSION; return true;
	default: return false;
	}
}

static enum call_result answer_nested(struct call *call, struct access *s, struct context *c,
				      enum pt_outcome o)
{
	if (!nested_is_answer(&s->nested, o)) {
		fault_count_exits(call, &s->a);
		return nested_fault_fail(call, c, o, s->a.ipa.v,
					 s->a.exits ? s->a.level : PT_TTL_UNKNOWN);
	}
	nested_fault_fill(&s->taker, &s->nested);
	s->r->nested = s->a.exits ? &s->taker : NULL;
	return answer_access(call, s, o);
}

static enum call_result access_shadow(struct call *call, struct access *s, struct context *c)
{
	enum pt_outcome o = PT_OK;
	enum call_result step = nested_access_step(call, &s->work, c, &s->a, &s->nested, &o);

	if (step != CALL_DONE || call->status.code != PT_OK)
		return step;
	return answer_nested(call, s, c, o);
}

enum call_result fault_access(struct call *call)
{
	const Ptd__V1__AccessRequest *q = (const void *)call->request;
	struct access *s = call->state;
	enum call_result step = CALL_DONE;
	struct context *c;
	enum pt_outcome o;

	if (s)
		step = fault_reclaim_step(call, &s->reclaim);
	if (s && step == CALL_DONE)
		step = fault_group_access(call, s->work, &s->group, &s->a);
	if (s && step == CALL_DONE)
		step = fault_group_step(call, s->work, &s->nested.group);
	if (step != CALL_DONE)
		return step;
	c = find_context(call, q->context, "context");
	if (s)
		work_resume(s->work);
	if (!c || (!s && begin_access(call, c) != CALL_MORE))
		return CALL_DONE;
	s = call->state;
	if (unlikely(context_is_shadow(c)))
		return access_shadow(call, s, c);
	o = pt_host_access(call_agent(call), &c->pt, &c->machine->ram, &s->a);
	if (o == PT_PARKED)
		return fault_park(call, &s->work, c, q->ipa);
	if (o == PT_MORE || o == PT_RACED)
		return CALL_MORE;
	if (unlikely(o == PT_ABSENT)) {
		step = fault_absent(call, &s->work, c, &s->a, &o);
		if (step != CALL_DONE || call->status.code != PT_OK)
			return step;
	}
	if (o == PT_DENIED && fault_group_begin(call, &s->work, c, &s->a.todo, &s->group))
		return CALL_MORE;
	if (unlikely(o == PT_WRONG_OWNER) &&
	    fault_reclaim_begin(call, c, &s->a.todo, &s->reclaim)) {
		s->a.outcome = PT_PARKED; /* go on */
		s->a.todo.kind = PT_TODO_NONE;
		return CALL_MORE;
	}
	fault_note_todo(call, c, &s->a.todo);
	if (!fault_is_answer(o)) {
		fault_count_exits(call, &s->a);
		return fault_fail(call, o, q->ipa, s->a.exits ? s->a.level : PT_TTL_UNKNOWN);
	}
	s->r->foreign = (Ptd__V1__ForeignAccess)fault_foreign(c, &s->reclaim, o);
	return answer_access(call, s, o);
}

enum call_result fault_access_abandon(struct call *call)
{
	struct access *s = call->state;
	bool committed;

	if (s && fault_reclaim_abandon(call, &s->reclaim) != CALL_DONE)
		return CALL_MORE;
	return s ? work_abandon(s->work, &committed) : CALL_DONE;
}
