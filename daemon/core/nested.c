/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of shadows: made when a vCPU enters them, recycled, ended with their context. */
#include "nested.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_work.h"
#include "nested_memory.h"
#include "registry.h"

#include "ptd/v1/context.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a canonical context has ---- */

static uint32_t buckets_for(uint32_t shadows)
{
	uint32_t n = 1;

	while (n < shadows)
		n *= 2;
	return n;
}

enum pt_outcome nested_create(struct context *c, const struct nested_args *args)
{
	const struct pt_guest_memory memory = nested_memory(c);
	uint32_t buckets = buckets_for(args->shadows);
	struct nested *n =
		calloc(1, sizeof(*n) + ((size_t)buckets + args->shadows) * sizeof(n->arrays[0]));
	enum pt_outcome o;

	if (!n)
		return PT_NO_MEMORY;
	n->link_pages = args->link_pages;
	o = pt_nested_init(&n->pt, &c->pt, &memory, n->arrays, buckets, n->arrays + buckets,
			   args->shadows, args->link_pages, 0);
	if (o == PT_OK)
		c->nested = n;
	else
		free(n);
	return o;
}

void nested_name(const struct pt_shadow_key *key, char name[SHADOW_NAME + 1])
{
	snprintf(name, SHADOW_NAME + 1, "/0x%016llx-0x%016llx-s2-%s%s%s",
		 (unsigned long long)key->vttbr, (unsigned long long)key->vtcr,
		 key->enabled ? "enabled" : "disabled", key->enabled && key->fwb ? "-fwb" : "",
		 key->enabled && key->big_endian ? "-ee" : "");
}

/* ---- which vCPU runs which: whoever takes a pointer out lets go of what it names ---- */

static void let_go(struct context *shadow)
{
	if (shadow)
		pt_shadow_unuse(&shadow->shadow);
}

static bool is_of(const struct context *shadow, const struct context *canonical)
{
	return shadow && shadow->shadow.nested == &canonical->nested->pt;
}

/* What a vCPU runs stays as long as it stands there, and for this section. */
static struct context *take_out(struct context *canonical, uint32_t vcpu)
{
	_Atomic(struct context *) *at = &canonical->machine->runs[vcpu];
	struct context *s = atomic_load_explicit(at, memory_order_acquire);

	while (is_of(s, canonical) &&
	       !atomic_compare_exchange_weak_explicit(at, &s, NULL, memory_order_acq_rel,
						      memory_order_acquire))
		;
	return is_of(s, canonical) ? s : NULL;
}

uint64_t nested_exit(struct context *canonical, uint32_t vcpu)
{
	struct context *s = take_out(canonical, vcpu);
	uint64_t handle = s ? s->handle : 0;

	let_go(s);
	return handle;
}

static bool run(struct context *shadow, uint32_t vcpu)
{
	if (pt_shadow_use(&shadow->shadow) != PT_OK)
		return false;
	let_go(atomic_exchange_explicit(&shadow->machine->runs[vcpu], shadow,
					memory_order_acq_rel));
	return true;
}

/* ---- ends ---- */

static void wake(struct pt_waiter *waiter)
{
	struct nested_end *end = container_of(waiter, struct nested_end, pt.txn.claim.waiter);

	call_wake(end->call);
}

static bool end_begin(struct call *call, struct nested_end *end, struct context *shadow)
{
	if (pt_shadow_end_begin(&end->pt, &shadow->shadow, wake) != PT_OK)
		return false;
	end->call = call;
	end->shadow = shadow;
	end->ended = false;
	return true;
}

/* CALL_DONE: nothing is under way any more. */
static enum call_result end_step(struct nested_end *end)
{
	enum pt_outcome o = PT_OK;
	struct nested *n;

	if (!end->shadow)
		return CALL_DONE;
	if (!end->ended)
		o = pt_shadow_end_step(&end->pt, call_agent(end->call), STEP_VISITS);
	if (o != PT_OK)
		return o == PT_PARKED ? CALL_PARKED : CALL_MORE;
	end->ended = true;
	if (!work_unpinned(end->shadow))
		return CALL_MORE;
	n = nested_canonical(end->shadow)->nested;
	context_retire(end->shadow);
	end->shadow = NULL;
	atomic_fetch_sub_explicit(&n->there, 1, memory_order_release);
	return CALL_DONE;
}

static bool is_listed(const struct context *shadow)
{
	return atomic_load_explicit(&shadow->listed, memory_order_acquire);
}

struct context *nested_shadow(const struct nested *n, uint32_t number)
{
	struct pt_shadow *s = atomic_load_explicit(&n->pt.shadow[number], memory_order_acquire);
	struct context *c = s ? container_of(s, struct context, shadow) : NULL;

	return c && is_listed(c) ? c : NULL;
}

/* Others may be ending some of them; then none is found to begin with, and some are there. */
static bool begin_any(struct call *call, struct nested_end *end, struct nested *n)
{
	for (uint32_t i = 0; i < n->pt.shadows; i++) {
		struct context *s = nested_shadow(n, i);

		if (s && end_begin(call, end, s))
			return true;
	}
	return false;
}

enum call_result nested_end_all(struct call *call, struct nested_end *end, struct context *c)
{
	enum call_result result;

	if (!c->nested)
		return CALL_DONE;
	result = end_step(end);
	if (result != CALL_DONE)
		return result;
	for (uint32_t v = 0; v < c->machine->vcpus; v++)
		nested_exit(c, v);
	if (begin_any(call, end, c->nested))
		return CALL_MORE;
	return atomic_load_explicit(&c->nested->there, memory_order_acquire) ? CALL_MORE
									     : CALL_DONE;
}

bool nested_close(struct call *call, struct context *c)
{
	return !c->nested ||
	       pt_nested_close(&c->nested->pt, call_agent(call), STEP_VISITS) == PT_OK;
}

/* ---- entered ---- */

static struct context *new_shadow(const struct context *canonical, const struct pt_shadow_key *key)
{
	struct context *c = calloc(1, sizeof(*c));
	size_t n = strlen(canonical->by_name.name);

	if (!c)
		return NULL;
	c->machine = canonical->machine;
	c->kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_SHADOW;
	memcpy(c->by_name.name, canonical->by_name.name, n);
	nested_name(key, c->by_name.name + n);
	return c;
}

/* A place for one more: who deletes the context waits until it has none. */
static bool take_place(struct domain *d, struct context *canonical)
{
	bool live;

	pt_port_lock(&d->lock);
	live = !canonical->doomed;
	if (live)
		atomic_fetch_add_explicit(&canonical->nested->there, 1, memory_order_relaxed);
	pt_port_unlock(&d->lock);
	return live;
}

static void give_place(struct context *canonical)
{
	atomic_fetch_sub_explicit(&canonical->nested->there, 1, memory_order_release);
}

/*
 * From pt_shadow_init() on others find it, but wait until it is registered: they neither run nor
 * recycle it before. One that cannot be registered ends. PT_ALREADY_EXISTS: another call makes it,
 * or its predecessor of the same registers has its name until it has ended.
 */
static enum pt_outcome make(struct call *call, struct nested_enter *e, struct context *canonical,
			    const struct pt_shadow_key *key, const struct pt_guest_regs *regs)
{
	struct context *c = new_shadow(canonical, key);
	enum pt_outcome o;

	if (!c)
		return PT_NO_MEMORY;
	if (registry_knows(call->domain, c->by_name.name)) {
		free(c);
		return PT_ALREADY_EXISTS;
	}
	o = pt_shadow_init(&c->shadow, &canonical->nested->pt, call_agent(call), key, regs,
			   atomic_load_explicit(&canonical->pt.quota_pages, memory_order_relaxed));
	if (o != PT_OK) {
		free(c);
		return o;
	}
	e->refused = registry_add_context(call->domain, c);
	e->created = e->refused == PT_OK;
	if (e->created)
		atomic_store_explicit(&c->listed, true, memory_order_release);
	else
		end_begin(call, &e->end, c);
	return PT_OK;
}

static enum call_result fail_enter(struct call *call, enum pt_outcome o)
{
	switch (o) {
	case PT_UNSUPPORTED:
		return call_fail(call, o,
				 "vtcr: it asks for S2PIE, S2POE or D128, or a size that no "
				 "context has");
	case PT_WRONG_STATE: return call_fail(call, o, "context: it is being deleted");
	case PT_TOO_LARGE: return call_fail(call, o, "max_contexts contexts exist");
	case PT_QUOTA:
		call->status.hint = "ExitNested lets one go; options.max_shadows is said when the "
				    "context is made";
		return call_fail(call, o, "options.max_shadows: vCPUs run as many as there may be");
	default: return call_fail(call, o, "no memory for the shadow's start tables");
	}
}

/* All places are taken. CALL_MORE: one will be free. */
static enum call_result recycle(struct call *call, struct nested_enter *e, struct nested *n)
{
	struct pt_shadow *oldest = pt_shadow_oldest(&n->pt);
	struct context *c = oldest ? container_of(oldest, struct context, shadow) : NULL;

	if (!c && atomic_load_explicit(&n->pt.live, memory_order_relaxed) == n->pt.shadows)
		return fail_enter(call, PT_QUOTA);
	if (c && is_listed(c))
		e->recycled |= end_begin(call, &e->end, c);
	return CALL_MORE;
}

static enum call_result make_one(struct call *call, struct nested_enter *e,
				 struct context *canonical, const struct pt_shadow_key *key,
				 const struct pt_guest_regs *regs)
{
	enum pt_outcome o;

	if (!take_place(call->domain, canonical))
		return fail_enter(call, PT_WRONG_STATE);
	o = make(call, e, canonical, key, regs);
	if (o == PT_OK)
		return CALL_MORE;
	give_place(canonical);
	if (o == PT_ALREADY_EXISTS)
		return CALL_MORE;
	return o == PT_QUOTA ? recycle(call, e, canonical->nested) : fail_enter(call, o);
}

enum call_result nested_enter(struct call *call, struct nested_enter *e, struct context *canonical,
			      uint32_t vcpu, const struct pt_shadow_key *key,
			      const struct pt_guest_regs *regs, struct context **shadow)
{
	enum call_result result = end_step(&e->end);
	struct pt_shadow *s;
	struct context *c;

	*shadow = NULL;
	if (result != CALL_DONE)
		return result;
	if (e->refused == PT_ALREADY_EXISTS)
		e->refused = PT_OK; /* the name was taken meanwhile */
	if (e->refused != PT_OK)
		return fail_enter(call, e->refused);
	if (pt_shadow_find(&canonical->nested->pt, key, &s) != PT_OK) {
		result = make_one(call, e, canonical, key, regs);
		if (result != CALL_MORE || !e->created)
			return result;
		if (pt_shadow_find(&canonical->nested->pt, key, &s) != PT_OK)
			return CALL_MORE;
	}
	c = container_of(s, struct context, shadow);
	if (!is_listed(c) || !run(c, vcpu))
		return CALL_MORE; /* it is on its way, or on its way out */
	*shadow = c;
	return CALL_DONE;
}

enum call_result nested_enter_abandon(struct nested_enter *e)
{
	return end_step(&e->end);
}
