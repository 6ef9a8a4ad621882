/* SPDX-License-Identifier: BSD-2-Clause */
/* FaultService: HandleFault, from raw registers or from an address and an access. */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "faults.h"
#include "nested_fault.h"
#include "registry.h"

#include "ptd/v1/fault.pb-c.h"

struct handling {
	struct pt_fault fault;
	struct work *work;
	struct fault_group group;
	struct fault_reclaim reclaim;
	struct nested_fault nested;
	Ptd__V1__NestedFault taker;
	Ptd__V1__HandleFaultResponse *r;
};

/* HPFAR_EL2.FIPA, bits 47:4, is IPA[55:12]. */
static uint64_t hpfar_ipa(uint64_t hpfar)
{
	return (hpfar & UINT64_C(0x0000fffffffffff0)) << 8;
}

/*
 * HPFAR_EL2 is UNKNOWN for a permission fault unless it was on a stage-1 walk (Arm ARM, HPFAR_EL2);
 * then KVM walks stage 1 by hand. Here stage 1 is off: FAR is the IPA.
 */
static enum call_result raw_fault(struct call *call, const Ptd__V1__HandleFaultRequest *q,
				  struct pt_fault *f)
{
	struct hw_abort abort;

	if (q->ipa || q->access)
		return call_fail(call, PT_INVALID,
				 "ipa: give esr, far and hpfar, or ipa and access");
	if (!hw_decode_abort(q->esr, &abort) || !fault_type_of(abort.fault, &f->type))
		return call_fail(call, PT_INVALID,
				 "esr: 0x%llx is no stage-2 translation, access flag or permission "
				 "fault",
				 (unsigned long long)q->esr);
	f->level = abort.level;
	f->access = (uint8_t)abort.access;
	f->exec = fault_exec(q->el0);
	f->s1ptw = abort.s1ptw;
	if (abort.fault == HW_PERMISSION && !abort.s1ptw)
		f->ipa = pt_ipa(q->far);
	else
		f->ipa = pt_ipa(hpfar_ipa(q->hpfar) | (abort.s1ptw ? 0 : q->far & 0xfff));
	return CALL_MORE;
}

void fault_of_walk(struct context *c, uint64_t ipa, uint32_t access, bool el0, struct pt_fault *f,
		   struct hw_result *walk)
{
	f->ipa = pt_ipa(ipa);
	f->access = (uint8_t)access;
	f->exec = fault_exec(el0);
	pt_host_translate(&c->pt, f->ipa, (enum pt_access)access, el0, walk);
	f->level = walk->level;
	if (walk->fault == HW_NO_FAULT || !fault_type_of(walk->fault, &f->type))
		f->type = PT_FAULT_TRANSLATION;
}

/* From an address and an access: what an architectural walk would raise now. */
static enum call_result plain_fault(struct call *call, const Ptd__V1__HandleFaultRequest *q,
				    struct context *c, struct pt_fault *f)
{
	struct hw_result walk;

	if (q->far || q->hpfar)
		return call_fail(call, PT_INVALID, "esr: 0, but far or hpfar is given");
	if (fault_check_kind(call, q->access, PT_ACCESS_EXEC) != CALL_MORE)
		return CALL_DONE;
	if (q->ipa >> c->pt.geo.ipa_bits)
		return fault_fail(call, PT_OUT_OF_RANGE, q->ipa, PT_TTL_UNKNOWN);
	fault_of_walk(c, q->ipa, q->access, q->el0, f, &walk);
	return CALL_MORE;
}

static enum call_result begin_handling(struct call *call, struct context *c)
{
	const Ptd__V1__HandleFaultRequest *q = (const void *)call->request;
	struct handling *s = call_alloc(call, sizeof(*s));

	if (!s)
		return fail_arena(call);
	if (fault_check_vcpu(call, c, q->vcpu) != CALL_MORE)
		return CALL_DONE;
	s->fault.vcpu = q->vcpu;
	if ((q->esr ? raw_fault(call, q, &s->fault) : plain_fault(call, q, c, &s->fault)) !=
	    CALL_MORE)
		return CALL_DONE;
	s->r = new_response(call, &ptd__v1__handle_fault_response__descriptor);
	if (!s->r)
		return CALL_DONE;
	call->state = s;
	return CALL_MORE;
}

static enum call_result answer_handling(struct call *call, struct handling *s, enum pt_outcome o,
					const struct pt_fault_result *result)
{
	s->r->outcome = o;
	s->r->level = result->level;
	s->r->pa = result->pa.v;
	s->r->prot = result->prot;
	s->r->ipa = s->fault.ipa.v;
	s->r->tables_added = result->tables_added;
	call->response = &s->r->base;
	return CALL_DONE;
}

uint64_t fault_esr(const struct pt_fault *f)
{
	static const enum hw_fault kind[] = {
		[PT_FAULT_TRANSLATION] = HW_TRANSLATION,
		[PT_FAULT_ACCESS_FLAG] = HW_ACCESS_FLAG,
		[PT_FAULT_PERMISSION] = HW_PERMISSION,
	};
	const struct hw_result walk = {.fault = kind[f->type], .level = f->level};
	struct hw_syndrome syndrome;

	hw_syndrome(&walk, f->ipa.v, (enum hw_access)f->access, false, 0, &syndrome);
	return syndrome.esr;
}

void fault_count(struct call *call, enum pt_outcome o)
{
	count_add(&call->loop->counters.faults, 1);
	count_add(&call->loop->counters.leaves_written, o == PT_MAPPED || o == PT_RELAXED);
}

/* The syndrome that was reported, or that this fault has. */
static uint64_t esr_of(const Ptd__V1__HandleFaultRequest *q, const struct pt_fault *f)
{
	return q->esr ? q->esr : fault_esr(f);
}

static enum call_result handle_shadow(struct call *call, struct handling *s, struct context *c)
{
	const struct pt_nested_result *to = &s->nested.result;
	struct pt_fault_result result;
	enum call_result step;

	s->nested.fault = (struct pt_nested_fault){.ipa = s->fault.ipa,
						   .vcpu = s->fault.vcpu,
						   .access = s->fault.access,
						   .type = s->fault.type,
						   .level = s->fault.level,
						   .el0 = s->fault.exec == PT_PROT_UX,
						   .s1ptw = s->fault.s1ptw};
	s->nested.esr = esr_of((const void *)call->request, &s->fault);
	step = nested_fault_step(call, &s->work, c, &s->nested);
	if (step != CALL_DONE || call->status.code != PT_OK)
		return step;
	fault_count(call, s->nested.outcome);
	if (!nested_is_answer(&s->nested, s->nested.outcome))
		return nested_fault_fail(call, c, s->nested.outcome, s->fault.ipa.v,
					 PT_TTL_UNKNOWN);
	nested_fault_fill(&s->taker, &s->nested);
	s->r->nested = &s->taker;
	result = to->who == PT_NESTED_NOBODY
			 ? (struct pt_fault_result){.level = to->level,
						    .prot = to->prot,
						    .pa = to->pa}
			 : (struct pt_fault_result){.level = to->who == PT_NESTED_HOST
								     ? to->host.level
								     : to->fault.level};
	result.tables_added = s->nested.tables_added;
	return answer_handling(call, s, s->nested.outcome, &result);
}

enum call_result fault_handle(struct call *call)
{
	const Ptd__V1__HandleFaultRequest *q = (const void *)call->request;
	struct handling *s = call->state;
	struct pt_fault_result result = {.level = PT_TTL_UNKNOWN};
	enum call_result step = CALL_DONE;
	struct context *c;
	enum pt_outcome o;

	if (s)
		step = fault_reclaim_step(call, &s->reclaim);
	if (s && step == CALL_DONE)
		step = fault_group_step(call, s->work, &s->group);
	if (s && step == CALL_DONE)
		step = fault_group_step(call, s->work, &s->nested.group);
	if (step != CALL_DONE)
		return step;
	c = find_context(call, q->context, "context");
	if (s)
		work_resume(s->work);
	if (!c || (!s && begin_handling(call, c) != CALL_MORE))
		return CALL_DONE;
	s = call->state;
	if (unlikely(context_is_shadow(c)))
		return handle_shadow(call, s, c);
	o = pt_fault_handle(call_agent(call), &c->pt, &s->fault, &result);
	if (o == PT_PARKED)
		return fault_park(call, &s->work, c, s->fault.ipa.v);
	if (o == PT_MORE ||
	    (o == PT_DENIED && fault_group_begin(call, &s->work, c, &result.todo, &s->group)) ||
	    (unlikely(o == PT_WRONG_OWNER) &&
	     fault_reclaim_begin(call, c, &result.todo, &s->reclaim)))
		return CALL_MORE;
	if (unlikely(o == PT_ABSENT)) {
		const struct page_access why = {s->fault.ipa.v, s->fault.vcpu, s->fault.access,
						false};

		step = work_await_page(call, &s->work, c, &why, &o);
		if (step != CALL_DONE || call->status.code != PT_OK)
			return step;
	}
	if (o == PT_ALREADY_MAPPED && s->group.outcome == PT_RELAXED)
		o = PT_RELAXED;
	fault_count(call, o);
	if (!fault_is_answer(o))
		return fault_fail(call, o, s->fault.ipa.v, result.level);
	fault_note_todo(call, c, &result.todo);
	s->r->foreign = (Ptd__V1__ForeignAccess)fault_foreign(c, &s->reclaim, o);
	return answer_handling(call, s, o, &result);
}

enum call_result fault_handle_abandon(struct call *call)
{
	struct handling *s = call->state;
	bool committed;

	if (s && fault_reclaim_abandon(call, &s->reclaim) != CALL_DONE)
		return CALL_MORE;
	return s ? work_abandon(s->work, &committed) : CALL_DONE;
}
