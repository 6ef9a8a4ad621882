/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of shadows, stepwise: the canonical context may have to be waited for or changed first. */
#include "nested_fault.h"

#include "domain_fail.h"
#include "nested.h"

static struct context *context_of(struct pt_ctx *ctx)
{
	return container_of(ctx, struct context, pt);
}

enum call_result nested_fault_step(struct call *call, struct work **slot, struct context *shadow,
				   struct nested_fault *f)
{
	struct context *canonical = nested_canonical(shadow);
	const struct pt_fault_todo *todo = &f->result.host.todo;
	enum pt_outcome o;

	f->running = true;
	f->result = (struct pt_nested_result){0};
	o = pt_nested_fault(call_agent(call), &shadow->shadow, &f->fault, &f->result);
	if (o == PT_PARKED)
		return fault_park(call, slot, context_of(f->result.parked), f->result.canonical.v);
	if (o == PT_RACED || o == PT_MORE ||
	    (o == PT_DENIED && f->result.who == PT_NESTED_HOST &&
	     fault_group_begin(call, slot, canonical, todo, &f->group)))
		return CALL_MORE;
	f->running = false;
	f->outcome = o;
	if (o == PT_NOT_FOUND)
		return call_fail(call, o, "context: the shadow was recycled");
	fault_note_todo(call, canonical, todo);
	return CALL_DONE;
}

static void fill_abort(Ptd__V1__NestedFault *m, const struct nested_fault *f)
{
	struct hw_abort abort = {0};

	m->esr = nested_esr(f->esr, &f->result.fault);
	m->far = f->fault.ipa.v;
	m->hpfar = nested_hpfar(f->fault.ipa.v);
	hw_decode_abort(m->esr, &abort);
	m->fault = (Ptd__V1__FaultKind)abort.fault;
	m->level = f->result.fault.level;
}

void nested_fault_fill(Ptd__V1__NestedFault *m, const struct nested_fault *f)
{
	static const Ptd__V1__FaultTaker taker[] = {
		[PT_NESTED_NOBODY] = PTD__V1__FAULT_TAKER__FAULT_TAKER_NOBODY,
		[PT_NESTED_GUEST] = PTD__V1__FAULT_TAKER__FAULT_TAKER_GUEST_HYPERVISOR,
		[PT_NESTED_HOST] = PTD__V1__FAULT_TAKER__FAULT_TAKER_HOST,
	};

	ptd__v1__nested_fault__init(m);
	m->taker = taker[f->result.who];
	m->canonical_known = f->result.who != PT_NESTED_GUEST;
	if (m->canonical_known)
		m->canonical_ipa = f->result.canonical.v;
	else
		fill_abort(m, f);
}
