/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of shadows, stepwise: the canonical context may have to be waited for or changed first. */
#include "nested_fault.h"

#include "domain_fail.h"
#include "nested.h"

static struct context *context_of(struct pt_ctx *ctx)
{
	return container_of(ctx, struct context, pt);
}

/* An external abort on a walk (FSC 0b0101LL; 0b010011 at level -1): the descriptor may be on a page
 * that its pager has not supplied yet. */
static bool is_walk_abort(const struct pt_guest_fault *fault)
{
	return (fault->fsc & ~3u) == 0x14 || fault->fsc == 0x13;
}

bool nested_needs_page(struct context *canonical, enum pt_outcome o, const struct nested_fault *f,
		       struct page_access *why)
{
	*why = (struct page_access){f->result.canonical.v, f->fault.vcpu, f->fault.access, true};
	if (o == PT_ABSENT)
		return true;
	if (o != PT_DENIED || f->result.who != PT_NESTED_GUEST || !is_walk_abort(&f->result.fault))
		return false;
	why->ipa = f->result.fault.table.v;
	why->access = PT_ACCESS_READ;
	return !pagers_present(canonical, f->result.fault.table, 1);
}

/* Waits for it. CALL_DONE: nobody supplies it; a walk of the guest's stays the abort that it was.
 */
static enum call_result await_page(struct call *call, struct work **slot, struct context *canonical,
				   const struct page_access *why, enum pt_outcome *o)
{
	enum pt_outcome outcome;
	enum call_result step = work_await_page(call, slot, canonical, why, &outcome);

	if (step == CALL_DONE && *o == PT_ABSENT)
		*o = outcome;
	return step;
}

enum call_result nested_fault_step(struct call *call, struct work **slot, struct context *shadow,
				   struct nested_fault *f)
{
	struct context *canonical = nested_canonical(shadow);
	const struct pt_fault_todo *todo = &f->result.host.todo;
	struct page_access why;
	enum pt_outcome o;

	f->running = true;
	f->result = (struct pt_nested_result){0};
	o = pt_nested_fault(call_agent(call), &shadow->shadow, &f->fault, &f->result);
	f->tables_added += f->result.tables_added;
	if (o == PT_PARKED)
		return fault_park(call, slot, context_of(f->result.parked), f->result.canonical.v);
	if (o == PT_RACED || o == PT_MORE ||
	    (o == PT_DENIED && f->result.who == PT_NESTED_HOST &&
	     fault_group_begin(call, slot, canonical, todo, &f->group)))
		return CALL_MORE;
	if (unlikely(nested_needs_page(canonical, o, f, &why))) {
		enum call_result step = await_page(call, slot, canonical, &why, &o);

		if (step != CALL_DONE || call->status.code != PT_OK)
			return step;
	}
	f->running = false;
	f->outcome = o;
	if (o == PT_NOT_FOUND)
		return call_fail(call, o, "context: the shadow was recycled");
	fault_note_todo(call, canonical, todo);
	return CALL_DONE;
}

/* The fault that an access through a shadow has just raised, for both walks. False: it is none that
 * tables can settle. */
static bool of_exit(const struct pt_host_access *a, struct nested_fault *f)
{
	const struct pt_host_exit *e = &a->exit[a->exits - 1];
	bool reads = a->access == PT_ACCESS_AT || (a->s1ptw && a->access == PT_ACCESS_EXEC);

	*f = (struct nested_fault){.fault = {.ipa = a->ipa,
					     .vcpu = a->vcpu,
					     .access = reads ? PT_ACCESS_READ : a->access,
					     .level = e->level,
					     .el0 = a->el0,
					     .s1ptw = a->s1ptw},
				   .esr = e->esr};
	return fault_type_of((enum hw_fault)e->fault, &f->fault.type);
}

/* What ends without a further exit is no fault: done, or no memory there. */
enum call_result nested_access_step(struct call *call, struct work **slot, struct context *shadow,
				    struct pt_host_access *a, struct nested_fault *f,
				    enum pt_outcome *outcome)
{
	uint32_t before = a->outcome == PT_PARKED ? a->exits : 0;
	enum call_result step;

	if (!f->running) {
		*outcome = pt_host_access(call_agent(call), &shadow->pt, &shadow->machine->ram, a);
		if (*outcome == PT_MORE)
			return CALL_MORE;
		if (a->exits == before || !of_exit(a, f))
			return CALL_DONE;
	}
	step = nested_fault_step(call, slot, shadow, f);
	if (step != CALL_DONE || call->status.code != PT_OK)
		return step;
	*outcome = f->outcome;
	a->exit[a->exits - 1].outcome = f->outcome;
	a->tables_added += f->tables_added;
	if (f->result.who != PT_NESTED_NOBODY || pt_is_error(f->outcome))
		return CALL_DONE;
	a->outcome = a->exits < PT_HOST_MAX_EXITS ? PT_PARKED : PT_MORE; /* go on */
	return CALL_MORE;
}

bool nested_is_answer(const struct nested_fault *f, enum pt_outcome o)
{
	return fault_is_answer(o) || (o == PT_OUT_OF_RANGE && f->result.who == PT_NESTED_HOST);
}

enum call_result nested_fault_fail(struct call *call, struct context *shadow, enum pt_outcome o,
				   uint64_t ipa, int level)
{
	uint64_t most = nested_canonical(shadow)->nested->link_pages;

	fault_fail(call, o, ipa, level);
	if (o != PT_QUOTA || most == UINT64_MAX)
		return CALL_DONE;
	call->status.hint = "options.link_pages is said when the context is made; SetQuota is "
			    "of table pages";
	return call_fail(call, o,
			 "options.link_pages (%llu) of the canonical context, or a quota of table "
			 "pages, is spent",
			 (unsigned long long)most);
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
