/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose registers and whose stage 2 a CPU has (KVM: __kvm_vcpu_run of nVHE, __sysreg_save_state).
 */
#include <pt/el2/feature.h>

#include "host_internal.h"

/* Arm ARM D19.2.48: HCR_EL2. */
#define HCR_SWIO   (UINT64_C(1) << 1)
#define HCR_FMO	   (UINT64_C(1) << 3)
#define HCR_IMO	   (UINT64_C(1) << 4)
#define HCR_AMO	   (UINT64_C(1) << 5)
#define HCR_FB	   (UINT64_C(1) << 9)
#define HCR_BSU_IS (UINT64_C(1) << 10)
#define HCR_TWI	   (UINT64_C(1) << 13)
#define HCR_TWE	   (UINT64_C(1) << 14)
#define HCR_TSC	   (UINT64_C(1) << 19)
#define HCR_TIDCP  (UINT64_C(1) << 20)
#define HCR_TACR   (UINT64_C(1) << 21)
#define HCR_TSW	   (UINT64_C(1) << 22)
#define HCR_TERR   (UINT64_C(1) << 36)
#define HCR_APK	   (UINT64_C(3) << 40) /* with API: keys and instructions do not trap */
#define HCR_HOST   (PT_HCR_VM | HCR_SWIO | HCR_TSC | PT_HCR_RW | HCR_APK)
#define HCR_GUEST                                                                                  \
	(PT_HCR_VM | HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_IS | HCR_TWI |      \
	 HCR_TWE | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_TSW | PT_HCR_RW)

/* Of a guest that has an EL2 and is at it: its EL1 is that EL2; registers in memory, all else of
 * EL2's traps, and so does what is for its guests. */
#define HCR_TTLB    (UINT64_C(1) << 25)
#define HCR_NV	    (UINT64_C(1) << 42)
#define HCR_NV1	    (UINT64_C(1) << 43) /* without E2H: names of EL1's are its guest's */
#define HCR_AT	    (UINT64_C(1) << 44)
#define HCR_NV2	    (UINT64_C(1) << 45)
#define HCR_VIRTUAL (HCR_TTLB | HCR_NV | HCR_AT | HCR_NV2)

#define CPTR_HOST    UINT64_C(0x33ff)		     /* RES1; SVE traps */
#define CPTR_GUEST   (CPTR_HOST | UINT64_C(1) << 10) /* TFP */
#define CNTHCTL_HOST UINT64_C(3)		     /* counter and timer; a guest: neither */
/* ICH_HCR_EL2.TC, TALL0, TALL1: a guest's GIC is its host's to play. Untrapped, the registers of
 * the virtual CPU interface would go from guest to guest. */
#define ICH_GUEST    (UINT64_C(7) << 10)
/* TPMCR, TPM; TDE, TDA, TDOSA, TDRA. */
#define MDCR_GUEST   (UINT64_C(3) << 5 | UINT64_C(0xf) << 8)

/* Fields of ID_AA64PFR0_EL1: without one its registers, or the bits that trap them, are not there.
 */
#define PFR0_GIC 24
#define PFR0_RAS 28

/* What may be in SPSR_EL2 of what a vCPU says. */
#define PSTATE_MAY                                                                                 \
	(UINT64_C(0xf) << 28 | UINT64_C(7) << 22 | UINT64_C(1) << 12 | UINT64_C(3) << 10 |         \
	 UINT64_C(0x3c0))
/* The same of AArch32: NZCVQ, IT, SSBS, PAN, DIT, GE, E, AIF, T. */
#define PSTATE_MAY_32                                                                              \
	(UINT64_C(0x1f) << 27 | UINT64_C(0x3f) << 10 | UINT64_C(3) << 25 | UINT64_C(7) << 21 |     \
	 UINT64_C(0xf) << 16 | UINT64_C(0x3e0))
#define PSTATE_MODE UINT64_C(0x1f)
#define EL0_32	    0x10
#define EL0T	    0
#define EL1T	    4
#define EL1H	    5

static struct pt__el2_world worlds[PT_EL2_CPUS];

struct pt__el2_world *pt__el2_world(uint32_t cpu)
{
	return &worlds[cpu];
}

uint64_t pt_el2_host_aborts(uint32_t cpu)
{
	return atomic_load_explicit(&worlds[cpu].host_aborts, memory_order_relaxed);
}

uint64_t pt_el2_guest_aborts(uint32_t cpu)
{
	return atomic_load_explicit(&worlds[cpu].guest_aborts, memory_order_relaxed);
}

uint64_t pt_el2_lost_aborts(uint32_t cpu)
{
	return atomic_load_explicit(&worlds[cpu].lost_aborts, memory_order_relaxed);
}

inline void pt__el2_save(const struct pt__el2_frame *frame, struct pt_el2_regs *regs)
{
	__builtin_memcpy(regs->x, frame->x, sizeof(regs->x));
	regs->sp_el0 = pt_el2_read_sp_el0();
	regs->sp_el1 = pt_el2_read_sp_el1();
	regs->pc = pt_el2_read_elr_el2();
	regs->pstate = pt_el2_read_spsr_el2();
#define PT_X(name) regs->name = pt_el2_read_##name();
	PT_EL2_SYS_TABLE(PT_X)
#undef PT_X
}

inline void pt__el2_load(struct pt__el2_frame *frame, const struct pt_el2_regs *regs)
{
	__builtin_memcpy(frame->x, regs->x, sizeof(regs->x));
	pt_el2_write_sp_el0(regs->sp_el0);
	pt_el2_write_sp_el1(regs->sp_el1);
	pt_el2_write_elr_el2(regs->pc);
	pt_el2_write_spsr_el2(regs->pstate);
#define PT_X(name) pt_el2_write_##name(regs->name);
	PT_EL2_SYS_TABLE(PT_X)
#undef PT_X
}

static void load_stage2(const struct pt__el2_world *w, struct pt_ctx *ctx, uint64_t hcr)
{
	pt_port_note(PT_EVENT_CTX_ACTIVATE, w->id, NULL, ctx, ctx->root.v, pt_ctx_vmid(ctx));
	pt_el2_write_vtcr_el2(pt_ctx_vtcr(ctx));
	pt_el2_write_vttbr_el2(pt_ctx_vttbr(ctx));
	pt_el2_isb();
	pt_el2_write_hcr_el2(hcr | (ctx->attrs & PT_ATTR_FWB ? PT_HCR_FWB : 0));
	pt_el2_isb();
}

/* No walk of EL1's may go through a stage 2 that nobody keeps. */
inline void pt__el2_unload(const struct pt__el2_world *w, struct pt_ctx *ctx)
{
	pt_el2_write_hcr_el2(PT_HCR_RW);
	pt_el2_write_vttbr_el2(0);
	pt_el2_isb();
	pt_port_note(PT_EVENT_CTX_DEACTIVATE, w->id, NULL, ctx, 0, 0);
}

static bool has(unsigned pfr0_field)
{
	return pt_el2_read_id_aa64pfr0_el1() >> pfr0_field & 0xf;
}

static void trap_gic(uint64_t ich_hcr)
{
	if (has(PFR0_GIC))
		pt_el2_write_ich_hcr_el2(ich_hcr);
}

void pt__el2_load_host(struct pt__el2_world *w)
{
	trap_gic(0);
	pt_el2_write_cptr_el2(CPTR_HOST);
	pt_el2_write_cnthctl_el2(CNTHCTL_HOST);
	pt_el2_write_mdcr_el2(pt_el2_read_mdcr_el2() & ~MDCR_GUEST);
	load_stage2(w, &w->host->hv->host.ctx, HCR_HOST);
}

static inline void load_guest(struct pt__el2_world *w, struct pt_ctx *ctx, uint64_t hcr)
{
	trap_gic(ICH_GUEST);
	pt_el2_write_cptr_el2(CPTR_GUEST);
	pt_el2_write_cnthctl_el2(0);
	pt_el2_write_mdcr_el2(pt_el2_read_mdcr_el2() | MDCR_GUEST);
	load_stage2(w, ctx, hcr | HCR_GUEST | (has(PFR0_RAS) ? HCR_TERR : 0));
}

inline void pt__el2_load_guest(struct pt__el2_world *w, struct pt_ctx *ctx)
{
	load_guest(w, ctx, 0);
}

void pt__el2_load_virtual(struct pt__el2_world *w)
{
	pt_el2_write_vncr_el2((uintptr_t)w->virtual);
	load_guest(w, w->guest, HCR_VIRTUAL | (w->virtual->e2h0 ? HCR_NV1 : 0));
}

inline enum pt_outcome pt__el2_copy(struct pt__el2_world *w, struct pt_pa page, void *v,
				    size_t size, bool in)
{
	struct pt_hyp_space *space = w->host->hv->space;
	void *at;
	enum pt_outcome outcome = pt_hyp_window_open(space, w->cpu, page, &at);

	if (outcome != PT_OK)
		return outcome;
	__builtin_memcpy(in ? v : at, in ? at : v, size);
	pt_hyp_window_close(space, w->cpu);
	return PT_OK;
}

/* While the section lasts the page stays the host's. */
static inline enum pt_outcome copy(struct pt__el2_world *w, struct pt_pa page, void *v, size_t size,
				   bool in)
{
	enum pt_outcome outcome;

	pt_section_begin(w->agent);
	outcome = pt_hv_use(w->host->hv, w->agent, page.v);
	if (outcome == PT_OK)
		outcome = pt__el2_copy(w, page, v, size, in);
	pt_section_end(w->agent);
	return outcome;
}

/* What the page waits for gets on. */
static void carry_on(struct pt__el2_world *w, struct pt_pa page)
{
	const struct pt_fault fault = {.ipa = {page.v},
				       .access = PT_ACCESS_WRITE,
				       .type = PT_FAULT_TRANSLATION,
				       .level = PT_LEVEL_LAST};
	struct pt_fault_result result;

	(void)pt_hv_fault(w->host->hv, w->agent, &w->host->hv->host.ctx, &fault, &result);
}

void pt_el2_host_wipe(void *arg, uint64_t pa, uint64_t size)
{
	struct pt__el2_world *w = pt__el2_self_world();
	struct pt_hyp_space *space = w->host->hv->space;
	void *at;

	(void)arg;
	for (uint64_t end = pa + size; pa < end; pa += PT_SZ_4K) {
		/* Closed before, and the frame is memory. */
		(void)pt_hyp_window_open(space, w->cpu, pt_pa(pa), &at);
		pt_port_zero(at, PT_SZ_4K);
		if (!(w->host->hv->features.attrs & PT_ATTR_FWB))
			pt__el2_clean_inval((uintptr_t)at, (uintptr_t)at + PT_SZ_4K - 1);
		pt_hyp_window_close(space, w->cpu);
	}
}

/* A word of a guest's memory. */
static _Atomic uint64_t *open_word(struct pt__el2_world *w, uint64_t pa)
{
	void *at;

	/* Closed before, and the frame is memory. */
	(void)pt_hyp_window_open(w->host->hv->space, w->cpu, pt_pa(pa & ~(PT_SZ_4K - 1)), &at);
	return (_Atomic uint64_t *)(void *)((unsigned char *)at + (pa & (PT_SZ_4K - 1)));
}

uint64_t pt_el2_host_load(void *arg, uint64_t pa)
{
	struct pt__el2_world *w = pt__el2_self_world();
	uint64_t word = atomic_load_explicit(open_word(w, pa), memory_order_acquire);

	(void)arg;
	pt_hyp_window_close(w->host->hv->space, w->cpu);
	return word;
}

bool pt_el2_host_swap(void *arg, uint64_t pa, uint64_t *word, uint64_t to)
{
	struct pt__el2_world *w = pt__el2_self_world();
	bool done = atomic_compare_exchange_strong(open_word(w, pa), word, to);

	(void)arg;
	pt_hyp_window_close(w->host->hv->space, w->cpu);
	return done;
}

/* ID_AA64PFR0_EL1.EL0. A return to a state that there is not would be one to EL2. */
static bool has_aarch32(void)
{
	return (pt_el2_read_id_aa64pfr0_el1() & 0xf) == 2;
}

inline uint64_t pt__el2_pstate(uint64_t asked)
{
	uint64_t mode = asked & PSTATE_MODE;

	if (mode == EL0_32 && has_aarch32())
		return (asked & PSTATE_MAY_32) | EL0_32;
	if (mode != EL0T && mode != EL1T)
		mode = EL1H;
	return (asked & PSTATE_MAY) | mode;
}

inline enum pt_outcome pt__el2_take_in(struct pt__el2_world *w, struct pt_pa page, void *v,
				       size_t size)
{
	enum pt_outcome outcome;

	if (page.v % PT_SZ_4K)
		return PT_MISALIGNED;
	outcome = pt_hv_may_map(w->host->hv, page.v, PT_SZ_4K);
	if (outcome == PT_OK)
		outcome = copy(w, page, v, size, true);
	if (outcome == PT_RACED)
		carry_on(w, page);
	return outcome;
}

inline enum pt_outcome pt__el2_give_out(struct pt__el2_world *w, struct pt_pa page, void *v,
					size_t size)
{
	enum pt_outcome outcome;

	while ((outcome = copy(w, page, v, size, false)) == PT_RACED)
		carry_on(w, page);
	return outcome;
}

inline enum pt_outcome pt__el2_begin(struct pt__el2_world *w, uint64_t handle, uint64_t page)
{
	enum pt_outcome outcome;

	w->page = pt_pa(page);
	outcome = pt__el2_take_in(w, w->page, &w->vcpu, sizeof(w->vcpu));
	if (outcome == PT_OK)
		outcome = pt_hv_enter(w->host->hv, w->agent, handle, &w->guest);
	if (outcome != PT_OK)
		w->guest = NULL;
	return outcome;
}

inline void pt__el2_answer(struct pt__el2_frame *frame, enum pt_outcome outcome, uint64_t x1)
{
	frame->x[0] = pt_is_error(outcome) ? -(uint64_t)outcome : (uint64_t)outcome;
	frame->x[1] = x1;
	frame->x[2] = frame->x[3] = 0;
}

void pt__el2_run(struct pt__el2_world *w, struct pt__el2_frame *frame)
{
	enum pt_outcome outcome;

	if (frame->x[3]) {
		pt__el2_virtual_run(w, frame);
		return;
	}
	outcome = pt__el2_begin(w, frame->x[1], frame->x[2]);
	if (outcome != PT_OK) {
		pt__el2_answer(frame, outcome, 0);
		return;
	}
	pt__el2_unload(w, &w->host->hv->host.ctx);
	pt__el2_save(frame, &w->regs);
	w->vcpu.regs.pstate = pt__el2_pstate(w->vcpu.regs.pstate);
	pt__el2_load_guest(w, w->guest);
	pt__el2_load(frame, &w->vcpu.regs);
}

inline void pt__el2_say(struct pt_el2_vcpu *v, enum pt_el2_vcpu_why why,
			const struct pt_el2_abort *abort, enum pt_outcome outcome)
{
	v->why = why;
	v->esr = abort ? abort->esr : 0;
	v->far = abort ? abort->far : 0;
	v->ipa = abort && why == PT_EL2_VCPU_ABORT ? abort->ipa : UINT64_MAX;
	v->outcome = outcome;
}

void pt__el2_leave(struct pt__el2_world *w, struct pt__el2_frame *frame, enum pt_el2_vcpu_why why,
		   const struct pt_el2_abort *abort, enum pt_outcome outcome)
{
	if (w->virtual) {
		pt__el2_virtual_leave(w, frame, why, abort, outcome);
		return;
	}
	pt__el2_save(frame, &w->vcpu.regs);
	pt__el2_say(&w->vcpu, why, abort, outcome);
	pt__el2_unload(w, w->guest);
	pt_hv_leave(w->host->hv, w->agent, w->guest);
	w->guest = NULL;
	pt__el2_load_host(w);
	/* The page was the host's when the guest was entered. If it has given it away meanwhile,
	 * the guest's state is lost with it. */
	outcome = pt__el2_give_out(w, w->page, &w->vcpu, sizeof(w->vcpu));
	pt__el2_load(frame, &w->regs);
	pt__el2_answer(frame, outcome, outcome == PT_OK ? why : 0);
}

void pt_el2_host_enter(const struct pt_el2_host *host, uint64_t pc, uint64_t x0)
{
	uint32_t id = pt_el2_self()->id;
	struct pt__el2_world *w = &worlds[id];

	atomic_store(&w->taken, true);
	w->host = host;
	w->agent = &host->agent[id];
	w->cpu = &host->cpu[id];
	w->id = id;
	pt_el2_self()->world = w;
	pt__el2_load_host(w);
	pt_el2_write_vbar_el2((uintptr_t)pt__el2_host_vectors);
	pt_el2_write_sctlr_el1(PT_SCTLR_EL1_RES1);
	pt_el2_write_elr_el2(pc);
	pt_el2_write_spsr_el2(UINT64_C(0x3c0) | EL1H);
	pt__el2_host_begin(x0, w->cpu->stack_top);
}
