/* SPDX-License-Identifier: BSD-2-Clause */
/* NestedService: entering and leaving shadows, TLBIs of guest hypervisors, what shadows there are.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "nested_call.h"
#include "registry.h"

#include <string.h>

#include "ptd/v1/nested.pb-c.h"

#define VTTBR_VMID_AT 48
#define VTCR_VS	      (UINT64_C(1) << 19)

struct context *find_canonical(struct call *call, uint64_t handle, uint32_t vcpu)
{
	struct context *c = find_context(call, handle, "context");

	if (!c)
		return NULL;
	if (context_is_shadow(c))
		call_fail(call, PT_WRONG_STATE,
			  "context: it is a shadow; name the context that it is of");
	else if (!c->nested)
		call_fail(call, PT_WRONG_STATE,
			  "context: it was made without options.nested, and has no shadows");
	else if (vcpu >= c->machine->vcpus)
		call_fail(call, PT_INVALID, "vcpu: %u; the machine has %u", vcpu,
			  c->machine->vcpus);
	else
		return c;
	return NULL;
}

struct entering {
	struct nested_enter enter;
	Ptd__V1__EnterNestedResponse *r;
};

static struct entering *begin_enter(struct call *call)
{
	struct entering *s = call_alloc(call, sizeof(*s));

	if (s)
		s->r = new_response(call, &ptd__v1__enter_nested_response__descriptor);
	else
		fail_arena(call);
	if (s && s->r)
		s->r->name = call_alloc(call, FULL_NAME);
	if (s && s->r && !s->r->name)
		fail_arena(call);
	return call->status.code == PT_OK ? s : NULL;
}

static enum call_result entered(struct call *call, struct entering *s, const struct context *shadow)
{
	s->r->shadow = shadow->handle;
	memcpy(s->r->name, shadow->by_name.name, FULL_NAME);
	s->r->created = s->enter.created;
	s->r->recycled = s->enter.recycled;
	call->response = &s->r->base;
	return CALL_DONE;
}

/* The size of its space, or the next that PARange can say. */
unsigned nested_pa_bits(const struct context *canonical)
{
	static const unsigned size[] = {32, 36, 40, 42, 44, 48, 52};
	unsigned i = 0;

	while (size[i] < canonical->pt.geo.ipa_bits)
		i++;
	return size[i];
}

unsigned nested_attrs(const struct context *canonical)
{
	return canonical->pt.attrs & (PT_ATTR_FWB | PT_ATTR_XNX);
}

/* A shadow that ends for this call does so whoever else goes meanwhile. */
enum call_result nested_enter_call(struct call *call)
{
	const Ptd__V1__EnterNestedRequest *q = (const void *)call->request;
	struct entering *s = call->state;
	struct pt_guest_regs regs = {
		.vttbr = q->vttbr, .vtcr = q->vtcr, .hcr = q->hcr, .sctlr = q->sctlr_el2};
	struct context *c, *shadow;
	struct pt_shadow_key key;
	enum call_result result;

	if (s && s->enter.end.shadow) {
		result = nested_enter_abandon(&s->enter);
		if (result != CALL_DONE)
			return result;
	}
	c = find_canonical(call, q->context, q->vcpu);
	if (!c || !context_runs(call, c))
		return CALL_DONE;
	if (!s)
		s = call->state = begin_enter(call);
	if (!s)
		return CALL_DONE;
	regs.pa_bits = nested_pa_bits(c);
	regs.attrs = nested_attrs(c);
	key = pt_shadow_key_of(&regs);
	result = nested_enter(call, &s->enter, c, q->vcpu, &key, &regs, &shadow);
	return result == CALL_DONE && shadow ? entered(call, s, shadow) : result;
}

enum call_result nested_enter_call_abandon(struct call *call)
{
	struct entering *s = call->state;

	return s ? nested_enter_abandon(&s->enter) : CALL_DONE;
}

enum call_result nested_exit_call(struct call *call)
{
	const Ptd__V1__ExitNestedRequest *q = (const void *)call->request;
	struct context *c = find_canonical(call, q->context, q->vcpu);
	Ptd__V1__ExitNestedResponse *r;

	if (!c)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__exit_nested_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->shadow = nested_exit(c, q->vcpu);
	call->response = &r->base;
	return CALL_DONE;
}

/* VTTBR_EL2.VMID has 16 bits with VTCR_EL2.VS. */
static uint16_t vmid_of(const Ptd__V1__InvalidateRequest *q)
{
	return (uint16_t)(q->vttbr >> VTTBR_VMID_AT & (q->vtcr & VTCR_VS ? 0xffff : 0xff));
}

struct invalidation {
	struct pt_guest_tlbi_op op;
	Ptd__V1__InvalidateResponse *r;
};

static struct invalidation *begin_invalidation(struct call *call, struct context *c)
{
	const Ptd__V1__InvalidateRequest *q = (const void *)call->request;
	struct invalidation *s = call_alloc(call, sizeof(*s));
	struct pt_guest_tlbi tlbi;
	enum pt_outcome o;

	if (!s) {
		fail_arena(call);
		return NULL;
	}
	o = pt_guest_tlbi_decode(q->sys, q->operand, q->vtcr, &tlbi);
	if (o == PT_UNSUPPORTED)
		call_fail(call, o, "sys: 0x%x is no TLBI of a guest hypervisor's: UNDEFINED to it",
			  q->sys);
	else if (o != PT_OK)
		call_fail(call, o, "operand: 0x%llx has a reserved TG: it may remove nothing",
			  (unsigned long long)q->operand);
	else
		s->r = new_response(call, &ptd__v1__invalidate_response__descriptor);
	if (!s->r)
		return NULL;
	pt_guest_tlbi_begin(&s->op, &c->nested->pt, vmid_of(q), &tlbi);
	return s;
}

enum call_result nested_invalidate(struct call *call)
{
	const Ptd__V1__InvalidateRequest *q = (const void *)call->request;
	struct context *c = find_canonical(call, q->context, q->vcpu);
	struct invalidation *s = call->state;

	if (c && !s)
		s = call->state = begin_invalidation(call, c);
	if (!c || !s)
		return CALL_DONE;
	if (pt_guest_tlbi_step(&s->op, call_agent(call), STEP_VISITS) != PT_OK)
		return CALL_MORE;
	count_add(&call->loop->counters.leaves_removed, s->op.removed);
	s->r->leaves_removed = s->op.removed;
	s->r->shadows = s->op.shadows;
	call->response = &s->r->base;
	return CALL_DONE;
}

static uint64_t leaves_of(const struct pt_shadow *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < PT_LEVELS; i++)
		n += atomic_load_explicit(&s->leaves[i], memory_order_relaxed);
	return n;
}

static Ptd__V1__Shadow *shadow_message(struct call *call, const struct context *c)
{
	Ptd__V1__Shadow *m = new_response(call, &ptd__v1__shadow__descriptor);
	const struct pt_shadow *s = &c->shadow;

	if (!m)
		return NULL;
	m->name = call_alloc(call, FULL_NAME);
	if (!m->name) {
		fail_arena(call);
		return NULL;
	}
	memcpy(m->name, c->by_name.name, FULL_NAME);
	m->shadow = c->handle;
	m->vttbr = s->key.vttbr;
	m->vtcr = s->key.vtcr;
	m->enabled = s->key.enabled;
	m->leaves = leaves_of(s);
	m->vcpus = atomic_load_explicit(&s->users, memory_order_relaxed);
	m->last_used = atomic_load_explicit(&s->last_used, memory_order_relaxed);
	return m;
}

static Ptd__V1__ShadowCounts *counts_message(struct call *call, const struct pt_nested *n)
{
	Ptd__V1__ShadowCounts *m = new_response(call, &ptd__v1__shadow_counts__descriptor);

	if (!m)
		return NULL;
	m->fills = pt_nested_fills(n);
	m->refills = atomic_load_explicit(&n->counts.refills, memory_order_relaxed);
	m->killed = atomic_load_explicit(&n->counts.killed, memory_order_relaxed);
	m->claims_killed = atomic_load_explicit(&n->counts.claims_killed, memory_order_relaxed);
	m->invalidated = atomic_load_explicit(&n->counts.invalidated, memory_order_relaxed);
	m->inexact = atomic_load_explicit(&n->counts.inexact, memory_order_relaxed);
	m->over = atomic_load_explicit(&n->counts.over, memory_order_relaxed);
	m->recycled = atomic_load_explicit(&n->counts.recycled, memory_order_relaxed);
	m->link_pages = pt_store_pages(&n->store);
	return m;
}

/* From number `at` on. Returns the number behind the last that was looked at; 0: no memory. */
static uint64_t fill_page(struct call *call, struct nested *n, uint64_t at, uint32_t limit,
			  Ptd__V1__ListShadowsResponse *r)
{
	for (; at < n->pt.shadows && r->n_shadows < limit; at++) {
		const struct context *c = nested_shadow(n, (uint32_t)at);

		if (!c)
			continue;
		r->shadows[r->n_shadows] = shadow_message(call, c);
		if (!r->shadows[r->n_shadows])
			return 0;
		r->n_shadows++;
	}
	while (at < n->pt.shadows && !nested_shadow(n, (uint32_t)at))
		at++;
	return at;
}

/* A page token is the number of the first shadow that was not looked at: places keep their order.
 */
enum call_result nested_list(struct call *call)
{
	const Ptd__V1__ListShadowsRequest *q = (const void *)call->request;
	struct context *c = find_canonical(call, q->context, 0);
	uint32_t limit = page_limit(q->page_size);
	Ptd__V1__ListShadowsResponse *r;
	uint64_t at;

	if (!c || !page_token_read(call, q->context, q->page_token, &at))
		return CALL_DONE;
	r = new_response(call, &ptd__v1__list_shadows_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->shadows = call_alloc(call, limit * sizeof(*r->shadows));
	r->next_page_token = call_alloc(call, PAGE_TOKEN_BYTES);
	if (!r->shadows || !r->next_page_token)
		return fail_arena(call);
	at = fill_page(call, c->nested, at, limit, r);
	r->counts = counts_message(call, &c->nested->pt);
	if (!at || !r->counts)
		return CALL_DONE;
	if (at < c->nested->pt.shadows)
		page_token_make(call, q->context, at, r->next_page_token);
	call->response = &r->base;
	return CALL_DONE;
}
