/* SPDX-License-Identifier: BSD-2-Clause */
/* NestedService.AddressTranslate. */
#include "handlers.h"

#include "domain_fail.h"
#include "domain_work.h"
#include "nested_call.h"

#include <pt/guest_at.h>

#include "ptd/v1/nested.pb-c.h"

/* op0 21:20, op2 19:17, op1 16:14, CRn 13:10, CRm 4:1 (Arm ARM C5.4: all have op0 1 and CRn 7). */
#define AT(op1, crm, op2) (1u << 20 | (op2) << 17 | (op1) << 14 | 7u << 10 | (crm) << 1)
#define FIELDS		  (3u << 20 | 7u << 17 | 7u << 14 | 15u << 10 | 15u << 1)
#define HCR_VM_DC	  (UINT64_C(1) | UINT64_C(1) << 12)

static bool find_op(uint32_t sys, enum pt_guest_at_op *op)
{
	static const uint32_t code[PT_AT_OPS] = {
		[PT_AT_S1E1R] = AT(0u, 8u, 0u),	 [PT_AT_S1E1W] = AT(0u, 8u, 1u),
		[PT_AT_S1E0R] = AT(0u, 8u, 2u),	 [PT_AT_S1E0W] = AT(0u, 8u, 3u),
		[PT_AT_S1E1RP] = AT(0u, 9u, 0u), [PT_AT_S1E1WP] = AT(0u, 9u, 1u),
		[PT_AT_S12E1R] = AT(4u, 8u, 4u), [PT_AT_S12E1W] = AT(4u, 8u, 5u),
		[PT_AT_S12E0R] = AT(4u, 8u, 6u), [PT_AT_S12E0W] = AT(4u, 8u, 7u),
	};

	for (unsigned i = 0; i < PT_AT_OPS; i++)
		if (code[i] == (sys & FIELDS)) {
			*op = (enum pt_guest_at_op)i;
			return true;
		}
	return false;
}

/* The guest's stage 2, where it is on. PT_OK or PT_UNSUPPORTED. */
static enum pt_outcome decode_s2(const struct context *c, const Ptd__V1__AddressTranslateRequest *q,
				 struct pt_guest_s2 *s2)
{
	const struct pt_guest_regs regs = {.vttbr = q->vttbr,
					   .vtcr = q->vtcr,
					   .hcr = q->hcr,
					   .sctlr = q->sctlr_el2,
					   .pa_bits = nested_pa_bits(c),
					   .attrs = nested_attrs(c)};

	return q->hcr & HCR_VM_DC ? pt_guest_s2_decode(s2, &regs) : PT_OK;
}

/* Guest memory, and the word that the walk could not have since its page is absent. */
struct probe {
	struct context *context;
	uint64_t ipa;
	bool met;
};

static enum pt_outcome probe_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	struct probe *probe = arg;
	const struct pt_guest_memory *memory = &probe->context->nested->pt.memory;
	enum pt_outcome o = memory->load(memory->arg, ipa, word);

	if (o != PT_OK && !pagers_present(probe->context, ipa, sizeof(*word))) {
		probe->ipa = ipa.v;
		probe->met = true;
	}
	return o;
}

static enum pt_outcome probe_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	const struct probe *probe = arg;
	const struct pt_guest_memory *memory = &probe->context->nested->pt.memory;

	return memory->swap(memory->arg, ipa, word, to);
}

static enum pt_outcome translate(struct probe *probe, const Ptd__V1__AddressTranslateRequest *q,
				 enum pt_guest_at_op op, const struct pt_guest_s2 *s2,
				 struct pt_guest_at_result *result)
{
	const struct pt_guest_memory memory = {probe_load, probe_swap, probe};
	const struct context *c = probe->context;
	const struct pt_guest_at_regs regs = {.sctlr = q->sctlr,
					      .tcr = q->tcr,
					      .ttbr = {q->ttbr0, q->ttbr1},
					      .mair = q->mair,
					      .hcr = q->hcr,
					      .pan = q->pan,
					      .pa_bits = nested_pa_bits(c)};

	return pt_guest_at(&memory, q->hcr & HCR_VM_DC ? s2 : NULL, &regs, op, q->address, result);
}

/* Waits for the page. CALL_DONE: nobody supplies it, and the abort of the walk is the answer. */
static enum call_result await_page(struct call *call, const struct probe *probe, uint32_t vcpu)
{
	const struct page_access why = {probe->ipa, vcpu, PT_ACCESS_READ, true};
	struct work *work = call->state;
	enum call_result result;
	enum pt_outcome o;

	result = work_await_page(call, &work, probe->context, &why, &o);
	call->state = work;
	return result;
}

enum call_result nested_address_translate(struct call *call)
{
	const Ptd__V1__AddressTranslateRequest *q = (const void *)call->request;
	struct context *c = find_canonical(call, q->context, q->vcpu);
	struct pt_guest_at_result found = {0};
	Ptd__V1__AddressTranslateResponse *r;
	struct probe probe = {.context = c};
	struct pt_guest_s2 s2 = {0};
	enum pt_guest_at_op op;
	enum call_result result;

	work_resume(call->state);
	if (!c)
		return CALL_DONE;
	if (!find_op(q->sys, &op))
		return call_fail(call, PT_UNSUPPORTED,
				 "sys: 0x%x is no AT for the EL1 or EL0 of a guest", q->sys);
	if (decode_s2(c, q, &s2) != PT_OK)
		return call_fail(call, PT_UNSUPPORTED,
				 "vtcr: it asks for S2PIE, S2POE or D128, or a size that no "
				 "context has");
	r = new_response(call, &ptd__v1__address_translate_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->outcome = translate(&probe, q, op, &s2, &found);
	if (unlikely(probe.met)) {
		result = await_page(call, &probe, q->vcpu);
		if (result != CALL_DONE || call->status.code != PT_OK)
			return result;
	}
	r->par = found.par;
	r->esr = found.esr;
	r->far = found.far;
	r->hpfar = found.hpfar;
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result nested_address_translate_abandon(struct call *call)
{
	bool committed;

	return work_abandon(call->state, &committed);
}
