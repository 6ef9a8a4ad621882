/* SPDX-License-Identifier: BSD-2-Clause */
/* What a fault of a shadow would come to, by the guest hypervisor's tables and the canonical ones.
 */
#include "explain.h"
#include "nested.h"
#include "nested_fault.h"

/* Both walks of one access. */
struct both {
	struct context *shadow, *canonical;
	uint64_t ipa;
	uint32_t access;
	bool el0;
	struct nested_fault fault; /* who, and the guest's abort */
	bool waits;		   /* for a page, before it is known */
};

static bool add_guest_step(struct call *call, const struct both *b, const struct pt_guest_step *s,
			   const char *denied, Ptd__V1__ExplainResponse *r)
{
	const struct pt_guest_s2 *s2 = &b->shadow->shadow.s2;
	struct finding f = explain_entry(&s2->geo, s2->flags & PT_VTCR_HA, s->entry, s->level);
	Ptd__V1__WalkStep *to = explain_step(call, &r->guest_steps, &r->n_guest_steps);

	if (!to)
		return false;
	to->level = s->level;
	to->index = pt_level_index(&s2->geo, pt_ipa(b->ipa), s->level);
	to->table = s->at.v - UINT64_C(8) * to->index;
	to->descriptor = s->entry;
	to->found = (char *)(uintptr_t)f.found;
	to->rule = (char *)(uintptr_t)(denied ? denied : f.rule);
	return true;
}

/* A permission fault has FSC 0b0011LL. */
static bool is_permission(const struct pt_guest_fault *f)
{
	return f->fsc >> 2 == 3;
}

/* PT_PARKED: an access would wait for the page with this byte. */
static enum pt_outcome page_at(const struct both *b, uint64_t ipa)
{
	struct context *c = b->canonical;

	return page_state(&c->machine->domain->pagers, c, ipa);
}

/* The guest's tables. With stage 2 off there are none. */
static bool guest_walk(struct call *call, struct both *b, Ptd__V1__ExplainResponse *r)
{
	const struct pt_shadow *s = &b->shadow->shadow;
	struct pt_nested_result *to = &b->fault.result;
	struct pt_guest_step step[PT_LEVELS];
	struct page_access why;
	enum pt_outcome o = PT_OK;
	unsigned n = 0;

	to->leaf.out = pt_ipa(b->ipa);
	if (s->key.enabled)
		n = pt_guest_explain(&s->nested->memory, &s->s2, pt_ipa(b->ipa),
				     (enum pt_access)b->access, b->el0, step, &o, &to->leaf,
				     &to->fault);
	for (unsigned i = 0; i < n; i++)
		if (!add_guest_step(call, b, &step[i],
				    o == PT_DENIED && i + 1 == n && is_permission(&to->fault)
					    ? "S2AP or XN denies this access: permission fault"
					    : NULL,
				    r))
			return false;
	to->canonical = to->leaf.out;
	to->who = o == PT_OK ? PT_NESTED_HOST : PT_NESTED_GUEST;
	b->waits = o != PT_OK && nested_needs_page(b->canonical, o, &b->fault, &why) &&
		   page_at(b, why.ipa) == PT_PARKED;
	return true;
}

/* Would the canonical context's fault handler map it? */
static bool slot_maps(const struct both *b, uint64_t ipa)
{
	struct context *c = b->canonical;
	const struct pt_slot *slot = pt_slot_find(pt_ctx_slots(&c->pt), ipa);

	return slot && !c->machine->owners &&
	       !(b->access == PT_ACCESS_WRITE && slot->flags & PT_SLOT_READ_ONLY) &&
	       !(b->access == PT_ACCESS_EXEC && slot->flags & PT_SLOT_NO_EXEC);
}

static bool canonical_walk(struct call *call, struct both *b, Ptd__V1__ExplainResponse *r)
{
	uint64_t ipa = b->fault.result.canonical.v;
	struct hw_result w = {0};
	enum pt_outcome o = PT_OK;

	if (ipa >> b->canonical->pt.geo.ipa_bits)
		return true;
	pt_host_translate(&b->canonical->pt, pt_ipa(ipa), (enum pt_access)b->access, b->el0, &w);
	if (w.fault != HW_NO_FAULT)
		o = slot_maps(b, ipa) ? page_at(b, ipa) : PT_NO_SLOT;
	b->waits = o == PT_PARKED;
	if (o == PT_OK)
		b->fault.result.who = PT_NESTED_NOBODY;
	return explain_walk(call, b->canonical, &w, &r->canonical_steps, &r->n_canonical_steps);
}

/* The syndrome that the shadow raises, for an abort that is handed on. */
static uint64_t esr_of(const struct both *b, const struct hw_result *walk)
{
	struct hw_syndrome syndrome = {0};

	if (walk->fault != HW_NO_FAULT)
		hw_syndrome(walk, b->ipa, (enum hw_access)b->access, false, 0, &syndrome);
	return syndrome.esr;
}

/* There is no fault. A leaf that is stale may grant what the guest's tables refuse by now: then
 * they say of no page that it is there. */
static void nobody_takes(Ptd__V1__NestedFault *m)
{
	const bool known = m->canonical_known;
	const uint64_t at = m->canonical_ipa;

	ptd__v1__nested_fault__init(m);
	m->taker = PTD__V1__FAULT_TAKER__FAULT_TAKER_NOBODY;
	m->canonical_known = known;
	m->canonical_ipa = at;
}

/* There is no abort to tell of yet. */
static void a_pager_first(Ptd__V1__NestedFault *m)
{
	nobody_takes(m);
	m->taker = PTD__V1__FAULT_TAKER__FAULT_TAKER_PAGER;
}

bool explain_nested(struct call *call, struct context *shadow, const struct hw_result *walk,
		    Ptd__V1__ExplainResponse *r)
{
	const Ptd__V1__ExplainRequest *q = (const void *)call->request;
	struct both b = {.shadow = shadow,
			 .canonical = nested_canonical(shadow),
			 .ipa = q->ipa,
			 .access = q->access == PTD__V1__ACCESS_KIND__ACCESS_KIND_AT
					   ? PT_ACCESS_READ
					   : (uint32_t)q->access,
			 .el0 = q->el0,
			 .fault = {.fault.ipa = pt_ipa(q->ipa)}};

	b.fault.esr = esr_of(&b, walk);
	if (!guest_walk(call, &b, r) ||
	    (b.fault.result.who == PT_NESTED_HOST && !canonical_walk(call, &b, r)))
		return false;
	r->nested = call_alloc(call, sizeof(*r->nested));
	if (!r->nested)
		return false;
	nested_fault_fill(r->nested, &b.fault);
	if (walk->fault == HW_NO_FAULT)
		nobody_takes(r->nested);
	else if (b.waits)
		a_pager_first(r->nested);
	return true;
}
