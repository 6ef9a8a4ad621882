/* SPDX-License-Identifier: BSD-2-Clause */
/* FaultService: Translate and Explain, over the architectural walker. */
#include "handlers.h"

#include "domain_fail.h"
#include "explain.h"
#include "faults.h"
#include "registry.h"

#include "ptd/v1/fault.pb-c.h"

/* What both requests ask. */
struct question {
	uint64_t context, ipa;
	uint32_t access, vcpu;
	bool el0;
};

/* PAR_EL1 (Arm ARM): F is bit 0. */
#define PAR_F	 UINT64_C(1)
#define PAR_S	 (UINT64_C(1) << 9)
#define PAR_RES1 (UINT64_C(1) << 11)

uint32_t fault_walk_outcome(const struct hw_result *w)
{
	switch (w->fault) {
	case HW_NO_FAULT: return PT_OK;
	case HW_PERMISSION: return PT_DENIED;
	default: return PT_NOT_MAPPED;
	}
}

/* MAIR encoding and shareability of the result with stage 1 off and HCR_EL2.DC set, so that stage 2
 * alone decides: Normal write-back, Normal non-cacheable, Device-nGnRE. */
static uint64_t par_attributes(const struct context *c, const struct hw_result *w, uint32_t prot)
{
	switch (pt_prot_memtype(prot)) {
	case PT_MEM_NORMAL:
		return UINT64_C(0xff) << 56 | (c->pt.geo.ds ? UINT64_C(3) : w->descriptor >> 8 & 3)
						      << 7;
	case PT_MEM_NC: return UINT64_C(0x44) << 56 | UINT64_C(2) << 7;
	default: return UINT64_C(0x04) << 56 | UINT64_C(2) << 7;
	}
}

static uint64_t par_of(const struct context *c, const struct hw_result *w, uint32_t prot,
		       const struct hw_syndrome *syndrome)
{
	if (w->fault != HW_NO_FAULT) /* FST is the fault status code; S: it was stage 2 */
		return PAR_F | (syndrome->esr & 0x3f) << 1 | PAR_S | PAR_RES1;
	return par_attributes(c, w, prot) | (w->pa & UINT64_C(0x000ffffffffff000)) | PAR_RES1;
}

static uint64_t span_of(const struct context *c, const struct hw_result *w)
{
	if (w->fault == HW_NO_FAULT || w->span)
		return w->span;
	return w->level >= c->pt.geo.start_level && w->level <= PT_LEVEL_LAST
		       ? pt_level_size(&c->pt.geo, w->level)
		       : 0;
}

/* Walks. NULL: the call has failed; *raced: an entry was between break and make, to be asked again.
 */
static struct context *ask(struct call *call, const struct question *q, struct hw_result *walk,
			   bool *raced)
{
	struct context *c = find_context(call, q->context, "context");

	if (!c)
		return NULL;
	if (q->access < PT_ACCESS_READ || q->access > PT_ACCESS_AT)
		call_fail(call, PT_INVALID, "access: %u is not a kind of access", q->access);
	else if (q->vcpu >= c->machine->vcpus)
		call_fail(call, PT_INVALID, "vcpu: %u; the machine has %u", q->vcpu,
			  c->machine->vcpus);
	else if (q->ipa >> c->pt.geo.ipa_bits)
		call_fail(call, PT_OUT_OF_RANGE, "ipa: beyond the %u-bit IPA space",
			  c->pt.geo.ipa_bits);
	if (call->status.code != PT_OK)
		return NULL;
	*raced = pt_host_translate(&c->pt, pt_ipa(q->ipa), (enum pt_access)q->access, q->el0,
				   walk) == PT_RACED;
	return c;
}

static Ptd__V1__TranslateResponse *translation(struct call *call, const struct context *c,
					       const struct question *q, const struct hw_result *w,
					       struct hw_syndrome *syndrome)
{
	Ptd__V1__TranslateResponse *r =
		new_response(call, &ptd__v1__translate_response__descriptor);
	bool leaf =
		w->fault == HW_NO_FAULT || w->fault == HW_PERMISSION || w->fault == HW_ACCESS_FLAG;

	if (!r)
		return NULL;
	*syndrome = (struct hw_syndrome){0};
	if (w->fault != HW_NO_FAULT)
		hw_syndrome(w, q->ipa, (enum hw_access)q->access, false, 0, syndrome);
	r->outcome = fault_walk_outcome(w);
	r->level = w->level;
	r->fault = (Ptd__V1__FaultKind)w->fault;
	r->descriptor = w->descriptor;
	r->span = span_of(c, w);
	if (leaf)
		r->prot = pt_leaf_prot(&c->pt.geo, w->descriptor, c->pt.attrs);
	if (w->fault == HW_NO_FAULT)
		r->pa = w->pa;
	r->par = par_of(c, w, r->prot, syndrome);
	return r;
}

enum call_result fault_translate(struct call *call)
{
	const Ptd__V1__TranslateRequest *q = (const void *)call->request;
	struct question ask_for = {q->context, q->ipa, q->access, q->vcpu, q->el0};
	struct hw_result walk = {0};
	struct hw_syndrome syndrome;
	Ptd__V1__TranslateResponse *r;
	struct context *c;
	bool raced;

	c = ask(call, &ask_for, &walk, &raced);
	if (!c)
		return CALL_DONE;
	if (raced)
		return CALL_MORE;
	r = translation(call, c, &ask_for, &walk, &syndrome);
	call->response = r ? &r->base : NULL;
	return CALL_DONE;
}

struct finding explain_entry(const struct pt_geometry *g, bool hardware_flag, pt_pte e, int level)
{
	if (!pt_pte_valid(e))
		return (struct finding){"invalid", "bit 0 is 0: translation fault at this level"};
	if (pt_pte_is_table(e, level))
		return (struct finding){"table", "bits 1:0 are 11 above level 3: next-level table"};
	if (!pt_pte_is_leaf(e, level))
		return (struct finding){"reserved",
					"bits 1:0 are 01 at level 3: reserved, translation fault"};
	if (!pt_level_has_leaf(g, level))
		return (struct finding){
			"reserved", "no block at this level with this granule: translation fault"};
	if (!(e & PT_PTE_AF) && !hardware_flag)
		return (struct finding){level == PT_LEVEL_LAST ? "page" : "block",
					"AF is 0 and VTCR_EL2.HA is 0: access flag fault"};
	if (level == PT_LEVEL_LAST)
		return (struct finding){"page", "bits 1:0 are 11 at level 3: page"};
	return (struct finding){"block", "bits 1:0 are 01 above level 3: block"};
}

Ptd__V1__WalkStep *explain_step(struct call *call, Ptd__V1__WalkStep ***steps, size_t *count)
{
	if (!*steps)
		*steps = call_alloc(call, HW_MAX_STEPS * sizeof(**steps));
	if (!*steps || *count == HW_MAX_STEPS)
		return NULL;
	(*steps)[*count] = new_response(call, &ptd__v1__walk_step__descriptor);
	return (*steps)[*count] ? (*steps)[(*count)++] : NULL;
}

bool explain_walk(struct call *call, const struct context *c, const struct hw_result *w,
		  Ptd__V1__WalkStep ***steps, size_t *count)
{
	for (unsigned i = 0; i < w->steps && i < HW_MAX_STEPS; i++) {
		const struct hw_step *step = &w->step[i];
		struct finding f = explain_entry(&c->pt.geo, c->pt.vtcr_flags & PT_VTCR_HA,
						 step->descriptor, step->level);
		Ptd__V1__WalkStep *to = explain_step(call, steps, count);

		if (!to)
			return false;
		to->level = step->level;
		to->table = step->table;
		to->index = step->index;
		to->descriptor = step->descriptor;
		to->found = (char *)(uintptr_t)f.found;
		to->rule = (char *)(uintptr_t)f.rule;
		if (i + 1 == w->steps && w->fault == HW_PERMISSION)
			to->rule =
				(char *)(uintptr_t) "S2AP or XN denies this access: permission fault";
	}
	return true;
}

static bool add_exit(struct call *call, const struct hw_result *w,
		     const struct hw_syndrome *syndrome, Ptd__V1__ExplainResponse *r)
{
	if (w->fault == HW_NO_FAULT)
		return true;
	r->exit = new_response(call, &ptd__v1__exit__descriptor);
	if (!r->exit)
		return false;
	r->exit->fault = (Ptd__V1__FaultKind)w->fault;
	r->exit->level = w->level;
	r->exit->esr = syndrome->esr;
	r->exit->far = syndrome->far;
	r->exit->hpfar = syndrome->hpfar;
	r->exit->hpfar_known = syndrome->hpfar_known;
	r->exit->outcome = fault_walk_outcome(w);
	return true;
}

enum call_result fault_explain(struct call *call)
{
	const Ptd__V1__ExplainRequest *q = (const void *)call->request;
	struct question ask_for = {q->context, q->ipa, q->access, q->vcpu, q->el0};
	struct hw_result walk = {0};
	struct hw_syndrome syndrome;
	Ptd__V1__ExplainResponse *r;
	const struct pt_slot *slot;
	struct context *c;
	bool raced;

	c = ask(call, &ask_for, &walk, &raced);
	if (c && raced)
		return CALL_MORE;
	r = c ? new_response(call, &ptd__v1__explain_response__descriptor) : NULL;
	if (!r)
		return CALL_DONE;
	r->result = translation(call, c, &ask_for, &walk, &syndrome);
	if (!r->result || !explain_walk(call, c, &walk, &r->steps, &r->n_steps) ||
	    !add_exit(call, &walk, &syndrome, r) ||
	    (context_is_shadow(c) && !explain_nested(call, c, &walk, r)))
		return fail_arena(call);
	r->vtcr = pt_ctx_vtcr(&c->pt);
	r->vttbr = pt_ctx_vttbr(&c->pt);
	slot = pt_slot_find(pt_ctx_slots(&c->pt), q->ipa);
	r->slot_found = slot != NULL;
	r->slot_id = slot ? slot->id : 0;
	call->response = &r->base;
	return CALL_DONE;
}
