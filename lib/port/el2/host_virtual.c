/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests with an EL2 (FEAT_NV2): a guest hypervisor at EL1 that finds its EL2's registers in memory
 * or in EL1's, and its guest, which ERET enters under a shadow (KVM: vcpu_has_nv,
 * kvm_emulate_nested_eret, kvm_inject_nested). */
#include <pt/el2/feature.h>

#include "host_internal.h"

#define HCR_DC	 (UINT64_C(1) << 12)
/* Of what its guest runs with: VM and FWB; not with DC, nor at EL1 with TGE. */
#define HCR_USED (PT_HCR_VM | HCR_DC | PT__EL2_HCR_TGE | PT_HCR_FWB)

/* SPSR_EL2.M: bits 3 and 2 are the exception level. */
#define MODE	  UINT64_C(0x1f)
#define MODE_EL	  UINT64_C(0x1c)
#define EL0_32	  UINT64_C(0x10)
#define EL1	  UINT64_C(4)
#define EL2	  UINT64_C(8)
#define LOWER_EL  UINT64_C(0x400) /* the vector: EL1 is AArch64, whatever EL0 is */
#define ISS_ERETA UINT64_C(2)

_Static_assert(sizeof(struct pt_el2_virtual) == PT_SZ_4K, "the page of VNCR_EL2");

static _Alignas(PT_SZ_4K) struct pt_el2_virtual copies[PT_EL2_CPUS];

/* Its EL0 is EL2's where HCR_EL2.TGE says so, with E2H (KVM: is_hyp_ctxt). */
static bool is_el2(const struct pt_el2_virtual *v, uint64_t pstate)
{
	bool el0 = !(pstate & MODE_EL) || (pstate & MODE) == EL0_32;

	return (pstate & MODE_EL) == EL2 || (el0 && pt__el2_in_host_mode(v));
}

/* EL2 of the guest is the CPU's EL1. */
static uint64_t lowered(uint64_t pstate)
{
	return pt__el2_pstate((pstate & MODE_EL) == EL2 ? pstate ^ (EL1 | EL2) : pstate);
}

static uint64_t raised(uint64_t pstate)
{
	return (pstate & MODE_EL) == EL1 ? pstate ^ (EL1 | EL2) : pstate;
}

/* ---- whose registers EL1 has ---- */

static void take_guests(struct pt_el2_virtual *v)
{
#define PT_X(name, at)                                                                             \
	v->el2.name = pt_el2_read_##name();                                                        \
	pt_el2_write_##name(PT_EL2_VNCR(v, name));
	PT_EL2_VIRTUAL_TABLE(PT_X)
#undef PT_X
	if (!v->e2h0) {
		v->el2.cntkctl_el1 = pt_el2_read_cntkctl_el1();
		pt_el2_write_cntkctl_el1(v->cntkctl);
	}
}

static void take_el2s(struct pt_el2_virtual *v)
{
#define PT_X(name, at)                                                                             \
	PT_EL2_VNCR(v, name) = pt_el2_read_##name();                                               \
	pt_el2_write_##name(v->el2.name);
	PT_EL2_VIRTUAL_TABLE(PT_X)
#undef PT_X
	if (!v->e2h0) {
		v->cntkctl = pt_el2_read_cntkctl_el1();
		pt_el2_write_cntkctl_el1(v->el2.cntkctl_el1);
	}
}

/* ---- its guest is entered and left ---- */

static enum pt_outcome find_shadow(struct pt__el2_world *w, uint64_t sctlr)
{
	struct pt_guest_regs el2 = pt__el2_virtual_regs(w->virtual, sctlr);
	enum pt_outcome outcome;

	el2.hcr &= HCR_USED;
	outcome = pt_hv_nest_enter(w->host->hv, w->agent, &el2, &w->shadow);
	if (outcome != PT_OK)
		w->shadow = NULL;
	return outcome;
}

static void leave_shadow(struct pt__el2_world *w)
{
	pt__el2_unload(w, &w->shadow->ctx);
	pt_hv_nest_leave(w->host->hv, w->agent, w->shadow);
	w->shadow = NULL;
}

static void take_eret(struct pt__el2_world *w, struct pt__el2_frame *frame,
		      const struct pt_el2_abort *what)
{
	uint64_t pc = pt_el2_read_elr_el1(), pstate = pt_el2_read_spsr_el1();
	enum pt_outcome outcome;

	if (what->esr & ISS_ERETA) {
		pt__el2_leave(w, frame, PT_EL2_VCPU_TRAP, what, PT_OK);
		return;
	}
	if (is_el2(w->virtual, pstate)) {
		pt_el2_write_elr_el2(pc);
		pt_el2_write_spsr_el2(lowered(pstate));
		return;
	}
	pt__el2_unload(w, w->guest);
	outcome = find_shadow(w, pt_el2_read_sctlr_el1());
	if (outcome != PT_OK) {
		pt__el2_load_virtual(w);
		if (outcome != PT_BUSY)
			pt__el2_leave(w, frame, PT_EL2_VCPU_TRAP, what, outcome);
		return;
	}
	take_guests(w->virtual);
	pt__el2_load_guest(w, &w->shadow->ctx);
	pt_el2_write_elr_el2(pc);
	pt_el2_write_spsr_el2(pt__el2_pstate(pstate));
}

/* Of its guest, which the guest's EL2 takes. */
static void reflect(struct pt__el2_world *w, const struct pt_el2_abort *what)
{
	uint64_t pstate = pt_el2_read_spsr_el2();

	leave_shadow(w);
	take_el2s(w->virtual);
	pt__el2_load_virtual(w);
	w->virtual->hpfar = what->ipa >> 8 & ~UINT64_C(0xf);
	pt_el2_write_far_el1(what->far);
	pt__el2_inject(what->esr, pstate, LOWER_EL);
}

void pt__el2_virtual_inject(struct pt__el2_world *w, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	uint64_t pstate = pt_el2_read_spsr_el2();

	w->virtual->hpfar = hpfar;
	pt_el2_write_far_el1(far);
	pt__el2_inject(esr, raised(pstate), pt__el2_vector_of(pstate & MODE));
}

/* ---- the host runs it ---- */

static enum pt_outcome resume(struct pt__el2_world *w)
{
	struct pt_el2_virtual *v = &copies[w->id];
	struct pt_el2_regs *regs = &w->vcpu.regs;
	bool el2 = is_el2(v, regs->pstate);

	w->virtual = v;
	PT_EL2_VNCR(v, HCR) = pt__el2_virtual_hcr(v);
	if (v->tlbi_made.pc != regs->pc)
		v->tlbi = 0;
	regs->pstate = el2 ? lowered(regs->pstate) : pt__el2_pstate(regs->pstate);
	return el2 ? PT_OK : find_shadow(w, v->el2.sctlr_el1);
}

static enum pt_outcome begin(struct pt__el2_world *w, const uint64_t x[4])
{
	struct pt_hv *hv = w->host->hv;
	enum pt_outcome outcome;

	if (!pt_el2_features.nv2)
		return PT_UNSUPPORTED;
	outcome = pt__el2_begin(w, x[1], x[2]);
	if (outcome != PT_OK)
		return outcome;
	w->virtual_page = pt_pa(x[3]);
	outcome = PT_UNSUPPORTED;
	if (hv->running[w->agent->id]->nest)
		outcome = pt__el2_take_in(w, w->virtual_page, &copies[w->id], sizeof(*copies));
	if (outcome == PT_OK)
		outcome = resume(w);
	if (outcome != PT_OK) {
		w->virtual = NULL;
		pt_hv_leave(hv, w->agent, w->guest);
		w->guest = NULL;
	}
	return outcome;
}

void pt__el2_virtual_run(struct pt__el2_world *w, struct pt__el2_frame *frame)
{
	enum pt_outcome outcome = begin(w, frame->x);

	if (outcome != PT_OK) {
		pt__el2_answer(frame, outcome, 0);
		return;
	}
	pt__el2_unload(w, &w->host->hv->host.ctx);
	pt__el2_save(frame, &w->regs);
	if (w->shadow)
		pt__el2_load_guest(w, &w->shadow->ctx);
	else
		pt__el2_load_virtual(w);
	pt__el2_load(frame, &w->vcpu.regs);
	pt_el2_write_vbar_el2((uintptr_t)pt__el2_virtual_vectors);
}

void pt__el2_virtual_leave(struct pt__el2_world *w, struct pt__el2_frame *frame,
			   enum pt_el2_vcpu_why why, const struct pt_el2_abort *abort,
			   enum pt_outcome outcome)
{
	struct pt_el2_virtual *v = w->virtual;

	pt_el2_write_vbar_el2((uintptr_t)pt__el2_host_vectors);
	pt__el2_save(frame, &w->vcpu.regs);
	pt__el2_say(&w->vcpu, why, abort, outcome);
	if (w->shadow) {
		leave_shadow(w);
	} else {
		w->vcpu.regs.pstate = raised(w->vcpu.regs.pstate);
		pt__el2_unload(w, w->guest);
	}
	pt_hv_leave(w->host->hv, w->agent, w->guest);
	w->guest = NULL;
	w->virtual = NULL;
	pt__el2_load_host(w);
	outcome = pt__el2_give_out(w, w->page, &w->vcpu, sizeof(w->vcpu));
	if (outcome == PT_OK)
		outcome = pt__el2_give_out(w, w->virtual_page, v, sizeof(*v));
	pt__el2_load(frame, &w->regs);
	pt__el2_answer(frame, outcome, outcome == PT_OK ? why : 0);
}

/* ---- what they do ---- */

/* SMC is its conduit: HVC of an EL2 is that EL2's own. */
static void take_call(struct pt__el2_world *w, struct pt__el2_frame *frame)
{
	enum pt_hv_next next;

	pt_el2_write_elr_el2(pt_el2_read_elr_el2() + 4);
	next = pt_hv_call(w->host->hv, w->agent, PT_HV_GUEST, frame->x);
	if (next == PT_HV_EXIT)
		pt__el2_leave(w, frame, PT_EL2_VCPU_EXIT, NULL, PT_OK);
	else if (next == PT_HV_NEST)
		frame->x[0] = (uint64_t)(int64_t)PT_HVC_NO_FUNCTION;
}

static void take_system(struct pt__el2_world *w, struct pt__el2_frame *frame,
			const struct pt_el2_abort *what)
{
	enum pt_outcome outcome;

	switch (pt__el2_emulate(w, frame, what->esr, &outcome)) {
	case PT__EL2_DONE: pt_el2_write_elr_el2(pt_el2_read_elr_el2() + 4); break;
	case PT__EL2_STRANGE: pt__el2_leave(w, frame, PT_EL2_VCPU_TRAP, what, outcome); break;
	default: break;
	}
}

static bool is_abort(uint64_t esr)
{
	return EC(esr) == EC_FETCH || EC(esr) == EC_DATA;
}

static void take_el2(struct pt__el2_world *w, struct pt__el2_frame *frame,
		     const struct pt_el2_abort *what)
{
	switch (EC(what->esr)) {
	case EC_SYS: take_system(w, frame, what); break;
	case EC_HVC: pt__el2_virtual_inject(w, what->esr, what->far, w->virtual->hpfar); break;
	case EC_SMC: take_call(w, frame); break;
	case EC_ERET: take_eret(w, frame, what); break;
	default:
		if (is_abort(what->esr))
			pt__el2_count(&w->guest_aborts);
		pt__el2_host_sync(frame); /* as of any guest */
	}
}

static void take_guest(struct pt__el2_world *w, struct pt__el2_frame *frame,
		       struct pt_el2_abort *what)
{
	enum pt_nested_who who = PT_NESTED_GUEST;
	enum pt_outcome outcome;

	if (is_abort(what->esr))
		who = pt__el2_nest_abort(w, what, &outcome);
	else
		what->ipa = w->virtual->hpfar << 8;
	if (who == PT_NESTED_GUEST)
		reflect(w, what);
	else if (who == PT_NESTED_HOST)
		pt__el2_leave(w, frame, PT_EL2_VCPU_ABORT, what, outcome);
}

void pt__el2_virtual_sync(struct pt__el2_frame *frame)
{
	struct pt__el2_world *w = pt__el2_self_world();
	struct pt_el2_abort what = {.esr = pt_el2_read_esr_el2(), .far = pt_el2_read_far_el2()};

	if (w->shadow)
		take_guest(w, frame, &what);
	else
		take_el2(w, frame, &what);
}
