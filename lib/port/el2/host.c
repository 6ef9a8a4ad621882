/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions of a host at EL1 and of its guests. */
#include "host_internal.h"

#define ESR_IMM UINT64_C(0xffff)

/* PT_RACED where stage 1 has changed since, so that the IPA is not known: again. An abort that is
 * no fault of the tables is the VMM's, or the host's, to see. */
static enum pt_outcome resolve(struct pt__el2_world *w, struct pt_el2_abort *abort)
{
	struct pt_fault_result result;
	struct pt_fault fault;
	enum pt_outcome outcome;

	pt__el2_find_ipa(abort);
	if (!abort->ipa_known)
		return PT_RACED;
	if (!pt__el2_decode(abort, w->id, &fault))
		return PT_DENIED;
	outcome = pt_hv_fault(w->host->hv, w->agent, w->guest ? w->guest : &w->host->hv->host.ctx,
			      &fault, &result);
	pt_hv_settle(w->agent);
	return outcome;
}

static void take_abort(struct pt__el2_world *w, struct pt__el2_frame *frame,
		       struct pt_el2_abort *abort)
{
	enum pt_outcome outcome;

	abort->hpfar = pt_el2_read_hpfar_el2();
	outcome = resolve(w, abort);
	if (outcome == PT_MAPPED)
		return;
	switch (outcome) {
	case PT_RELAXED:
	case PT_MADE_YOUNG: break;
	case PT_ALREADY_MAPPED:
	case PT_RACED: pt__el2_count(&w->lost_aborts); break;
	default:
		if (w->guest)
			pt__el2_leave(w, frame, PT_EL2_VCPU_ABORT, abort, outcome);
		else
			pt__el2_inject_abort(abort);
	}
}

static void take_call(struct pt__el2_world *w, struct pt__el2_frame *frame, uint64_t esr)
{
	enum pt_hv_caller caller = w->guest ? PT_HV_GUEST : PT_HV_HOST;
	unsigned n = esr & ESR_IMM;
	enum pt_hv_next next;

	if (n && caller == PT_HV_HOST && w->host->call) {
		w->host->call(n, w->id, frame->x);
		return;
	}
	if (n)
		frame->x[0] = 0; /* no function */
	next = pt_hv_call(w->host->hv, w->agent, caller, frame->x);
	if (next == PT_HV_RUN)
		pt__el2_run(w, frame);
	else if (next == PT_HV_EXIT)
		pt__el2_leave(w, frame, PT_EL2_VCPU_EXIT, NULL, PT_OK);
	else if (next == PT_HV_NEST)
		pt__el2_nest_run(w, frame);
}

static void take_trap(struct pt__el2_world *w, struct pt__el2_frame *frame,
		      const struct pt_el2_abort *trap)
{
	if (w->guest) {
		pt__el2_leave(w, frame, PT_EL2_VCPU_TRAP, trap, PT_OK);
	} else if (EC(trap->esr) == EC_SMC) {
		pt_el2_write_elr_el2(pt_el2_read_elr_el2() + 4);
		pt__el2_psci(w, frame->x);
	} else {
		pt__el2_inject_undefined();
	}
}

/* Translation fault of a data access at level 3, so that only a page can be missing; not on a
 * stage-1 walk. HPFAR_EL2 is valid. */
#define ESR_PAGE_MASK (UINT64_C(0x3f) << 26 | UINT64_C(1) << 7 | UINT64_C(0x3f))
#define ESR_PAGE      ((uint64_t)EC_DATA << 26 | UINT64_C(7))

/* The host's slots are mapped by blocks: nothing to try for it. */
bool pt__el2_host_first(void)
{
	struct pt__el2_world *w = pt__el2_self_world();
	uint64_t esr = pt_el2_read_esr_el2();
	struct pt_ctx *guest = w->guest;

	if ((EC(esr) & ~(EC_FETCH ^ EC_DATA)) != EC_FETCH)
		return false;
	if (!guest) {
		pt__el2_count(&w->host_aborts);
		return false;
	}
	pt__el2_count(&w->guest_aborts);
	if ((esr & ESR_PAGE_MASK) != ESR_PAGE)
		return false;
	return pt_fault_fill(w->agent, guest, pt_ipa(HPFAR_IPA(pt_el2_read_hpfar_el2())));
}

void pt__el2_host_sync(struct pt__el2_frame *frame)
{
	struct pt__el2_world *w = pt__el2_self_world();
	struct pt_el2_abort what = {.esr = pt_el2_read_esr_el2(), .far = pt_el2_read_far_el2()};

	switch (EC(what.esr)) {
	case EC_FETCH:
	case EC_DATA: take_abort(w, frame, &what); break;
	case EC_HVC: take_call(w, frame, what.esr); break;
	default: take_trap(w, frame, &what);
	}
}

/* While the host runs it takes these itself. */
void pt__el2_host_irq(struct pt__el2_frame *frame)
{
	struct pt__el2_world *w = pt__el2_self_world();

	if (w->guest)
		pt__el2_leave(w, frame, PT_EL2_VCPU_INTERRUPT, NULL, PT_OK);
}

void pt__el2_host_fiq(struct pt__el2_frame *frame)
{
	pt__el2_host_irq(frame);
}

void pt__el2_host_serror(struct pt__el2_frame *frame)
{
	const struct pt_el2_abort what = {.esr = pt_el2_read_esr_el2()};
	struct pt__el2_world *w = pt__el2_self_world();

	if (w->guest)
		pt__el2_leave(w, frame, PT_EL2_VCPU_SERROR, &what, PT_OK);
}
