/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests of a guest: a shadow in the place of its stage 2 (KVM: kvm_arm_vcpu_enter_nested). */
#include "host_internal.h"

#define FSC_MASK UINT64_C(0x3f)

/* While the section lasts the page stays the guest's. */
static enum pt_outcome copy_once(struct pt__el2_world *w, bool in)
{
	enum pt_outcome outcome;
	uint64_t pa;

	pt_section_begin(w->agent);
	outcome = pt_hv_nest_page(w->host->hv, w->agent, w->guest, w->nest_page, &pa);
	if (outcome == PT_OK)
		outcome = pt__el2_copy(w, pt_pa(pa), &w->nest, sizeof(w->nest), in);
	pt_section_end(w->agent);
	return outcome;
}

/* What the page waits for gets on. */
static enum pt_outcome copy(struct pt__el2_world *w, bool in)
{
	const struct pt_fault fault = {.ipa = {w->nest_page},
				       .access = PT_ACCESS_WRITE,
				       .type = PT_FAULT_TRANSLATION,
				       .level = PT_LEVEL_LAST};
	struct pt_fault_result result;
	enum pt_outcome outcome;

	while ((outcome = copy_once(w, in)) == PT_RACED)
		(void)pt_hv_fault(w->host->hv, w->agent, w->guest, &fault, &result);
	pt_hv_settle(w->agent);
	return outcome;
}

void pt__el2_nest_run(struct pt__el2_world *w, struct pt__el2_frame *frame)
{
	const struct pt_guest_regs el2 = {
		.vttbr = frame->x[2], .vtcr = frame->x[3], .hcr = frame->x[4]};
	enum pt_outcome outcome;

	w->nest_page = frame->x[1];
	outcome = copy(w, true);
	pt__el2_unload(w, w->guest);
	if (outcome == PT_OK)
		outcome = pt_hv_nest_enter(w->host->hv, w->agent, &el2, &w->shadow);
	if (outcome != PT_OK) {
		w->shadow = NULL;
		pt__el2_load_guest(w, w->guest);
		pt__el2_answer(frame, outcome, 0);
		return;
	}
	pt__el2_save(frame, &w->guests);
	w->nest.regs.pstate = pt__el2_pstate(w->nest.regs.pstate);
	pt__el2_load_guest(w, &w->shadow->ctx);
	pt__el2_load(frame, &w->nest.regs);
	pt_el2_write_vbar_el2((uintptr_t)pt__el2_nest_vectors);
}

/* If the guest has lost the page meanwhile, its guest's state is lost with it. */
static void leave(struct pt__el2_world *w, struct pt__el2_frame *frame, enum pt_el2_vcpu_why why,
		  const struct pt_el2_abort *abort)
{
	enum pt_outcome outcome;

	pt_el2_write_vbar_el2((uintptr_t)pt__el2_host_vectors);
	pt__el2_save(frame, &w->nest.regs);
	pt__el2_say(&w->nest, why, abort, why == PT_EL2_VCPU_ABORT ? PT_DENIED : PT_OK);
	pt__el2_unload(w, &w->shadow->ctx);
	pt_hv_nest_leave(w->host->hv, w->agent, w->shadow);
	w->shadow = NULL;
	pt__el2_load_guest(w, w->guest);
	outcome = copy(w, false);
	pt__el2_load(frame, &w->guests);
	pt__el2_answer(frame, outcome, outcome == PT_OK ? why : 0);
}

/* The host has to do something about the guest's own address. */
static void leave_both(struct pt__el2_world *w, struct pt__el2_frame *frame,
		       const struct pt_el2_abort *abort, enum pt_outcome outcome)
{
	leave(w, frame, PT_EL2_VCPU_INTERRUPT, NULL);
	pt__el2_leave(w, frame, PT_EL2_VCPU_ABORT, abort, outcome);
}

enum pt_nested_who pt__el2_nest_abort(struct pt__el2_world *w, struct pt_el2_abort *abort,
				      enum pt_outcome *outcome)
{
	struct pt_nested_result result;
	struct pt_fault fault;
	struct pt_nested_fault nested;

	pt__el2_count(&w->guest_aborts);
	abort->hpfar = pt_el2_read_hpfar_el2();
	pt__el2_find_ipa(abort);
	if (!abort->ipa_known)
		return PT_NESTED_NOBODY;
	if (!pt__el2_decode(abort, w->id, &fault)) {
		abort->ipa = UINT64_MAX;
		*outcome = PT_DENIED;
		return PT_NESTED_HOST;
	}
	nested = (struct pt_nested_fault){.ipa = fault.ipa,
					  .vcpu = fault.vcpu,
					  .access = fault.access,
					  .type = fault.type,
					  .level = fault.level,
					  .el0 = fault.exec == PT_PROT_UX,
					  .s1ptw = fault.s1ptw};
	*outcome = pt_hv_nest_fault(w->host->hv, w->agent, w->shadow, &nested, &result);
	pt_hv_settle(w->agent);
	switch (*outcome) {
	case PT_MAPPED:
	case PT_RELAXED:
	case PT_MADE_YOUNG:
	case PT_ALREADY_MAPPED:
	case PT_RACED: return PT_NESTED_NOBODY;
	default: break;
	}
	if (result.who == PT_NESTED_GUEST) {
		abort->esr = (abort->esr & ~FSC_MASK) | result.fault.fsc;
		return PT_NESTED_GUEST;
	}
	abort->ipa = result.canonical.v;
	return PT_NESTED_HOST;
}

static void take_abort(struct pt__el2_world *w, struct pt__el2_frame *frame,
		       struct pt_el2_abort *abort)
{
	enum pt_outcome outcome;

	switch (pt__el2_nest_abort(w, abort, &outcome)) {
	case PT_NESTED_GUEST: leave(w, frame, PT_EL2_VCPU_ABORT, abort); break;
	case PT_NESTED_HOST: leave_both(w, frame, abort, outcome); break;
	default: break;
	}
}

void pt__el2_nest_sync(struct pt__el2_frame *frame)
{
	struct pt__el2_world *w = pt__el2_self_world();
	struct pt_el2_abort what = {.esr = pt_el2_read_esr_el2(), .far = pt_el2_read_far_el2()};

	switch (EC(what.esr)) {
	case EC_FETCH:
	case EC_DATA: take_abort(w, frame, &what); break;
	case EC_HVC: leave(w, frame, PT_EL2_VCPU_EXIT, &what); break;
	default: leave(w, frame, PT_EL2_VCPU_TRAP, &what);
	}
}

void pt__el2_nest_irq(struct pt__el2_frame *frame)
{
	struct pt__el2_world *w = pt__el2_self_world();

	leave(w, frame, PT_EL2_VCPU_INTERRUPT, NULL);
	pt__el2_leave(w, frame, PT_EL2_VCPU_INTERRUPT, NULL, PT_OK);
}

void pt__el2_nest_serror(struct pt__el2_frame *frame)
{
	const struct pt_el2_abort what = {.esr = pt_el2_read_esr_el2()};
	struct pt__el2_world *w = pt__el2_self_world();

	leave(w, frame, PT_EL2_VCPU_INTERRUPT, NULL);
	pt__el2_leave(w, frame, PT_EL2_VCPU_SERROR, &what, PT_OK);
}
