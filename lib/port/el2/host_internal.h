/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the host's EL2 share. */
#ifndef PORT_EL2_HOST_INTERNAL_H
#define PORT_EL2_HOST_INTERNAL_H

#include <pt/el2/host.h>
#include <pt/el2/sysreg.h>
#include <pt/hv.h>

#include "internal.h"

/* On EL2's stack, by host_entry.S: x0 to x30, and one to fill. */
struct pt__el2_frame {
	uint64_t x[32];
};

/* One CPU. */
struct pt__el2_world {
	const struct pt_el2_host *host;
	struct pt_agent *agent;
	struct pt_hyp_cpu *cpu;
	uint32_t id;
	_Atomic bool taken;		/* the host has it */
	struct pt_ctx *guest;		/* NULL: the host runs */
	struct pt_pa page;		/* of its vCPU */
	struct pt_el2_vcpu vcpu;	/* EL2's copy */
	struct pt_el2_regs regs;	/* the host's, while a guest runs */
	struct pt_shadow *shadow;	/* NULL: no guest of the guest's runs */
	uint64_t nest_page;		/* of its vCPU: an IPA of the guest's */
	struct pt_el2_vcpu nest;	/* EL2's copy */
	struct pt_el2_regs guests;	/* the guest's, while its own guest runs */
	struct pt_el2_virtual *virtual; /* the guest's EL2, this CPU's copy; NULL: it has none */
	struct pt_pa virtual_page;
	uint64_t entry, context; /* CPU_ON's */
	_Atomic uint64_t host_aborts, guest_aborts, lost_aborts;
};

static inline struct pt__el2_world *pt__el2_self_world(void)
{
	return ((const struct pt_el2_cpu *)pt_el2_read_tpidr_el2())->world;
}

/* host_entry.S */
extern unsigned char pt__el2_host_vectors[];
_Noreturn void pt__el2_host_begin(uint64_t x0, uint64_t stack);

#define PT__EL2_WNR	      (UINT64_C(1) << 6)
#define PT__EL2_SPSR_EL	      UINT64_C(0xf) /* 0: EL0, in both states */
/* FSC: Arm ARM D19.2.40. A translation fault at level -1. */
#define PT__EL2_LEVEL_MINUS_1 0x2b

static inline void pt__el2_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* False: nothing that a change of the tables resolves. */
static inline bool pt__el2_decode(const struct pt_el2_abort *abort, uint32_t cpu,
				  struct pt_fault *fault)
{
	static const uint8_t type[] = {0, PT_FAULT_TRANSLATION, PT_FAULT_ACCESS_FLAG,
				       PT_FAULT_PERMISSION};
	unsigned fsc = FSC(abort->esr);
	bool write = EC(abort->esr) == EC_DATA && abort->esr & PT__EL2_WNR;

	*fault = (struct pt_fault){.ipa = pt_ipa(abort->ipa),
				   .vcpu = cpu,
				   .access = write ? PT_ACCESS_WRITE : PT_ACCESS_READ,
				   .level = (int8_t)(fsc & 3),
				   .s1ptw = IS_S1PTW(abort->esr)};
	if (EC(abort->esr) == EC_FETCH && !fault->s1ptw) {
		fault->access = PT_ACCESS_EXEC;
		fault->exec = pt_el2_read_spsr_el2() & PT__EL2_SPSR_EL ? PT_PROT_PX : PT_PROT_UX;
	}
	if (fsc == PT__EL2_LEVEL_MINUS_1) {
		fault->level = -1;
		fault->type = PT_FAULT_TRANSLATION;
		return true;
	}
	if (fsc >> 2 < 1 || fsc >> 2 > 3)
		return false;
	fault->type = type[fsc >> 2];
	return true;
}

/* host.c: from the vectors. The first look at what is synchronous, of which C's own registers are
 * saved alone; aborts are counted there. True: done with. */
bool pt__el2_host_first(void);
void pt__el2_host_sync(struct pt__el2_frame *frame);
void pt__el2_host_irq(struct pt__el2_frame *frame);
void pt__el2_host_fiq(struct pt__el2_frame *frame);
void pt__el2_host_serror(struct pt__el2_frame *frame);

/* host_inject.c: EL1 finds itself at its vector. */
void pt__el2_inject_abort(const struct pt_el2_abort *abort);
void pt__el2_inject_undefined(void);
/* The same with a syndrome: EL1 finds `pstate` in SPSR_EL1, and itself `vector` above VBAR_EL1;
 * FAR_EL1 is the caller's to write. Which vector an exception from a mode of EL0 or EL1 has. */
void pt__el2_inject(uint64_t esr, uint64_t pstate, uint64_t vector);
uint64_t pt__el2_vector_of(uint64_t mode);

/* host_psci.c: an SMC of the host. */
void pt__el2_psci(struct pt__el2_world *world, uint64_t x[4]);

/* host_nest.c. PT_HVC_NEST_RUN of the guest: *frame and the registers are its guest's then, or the
 * answer. */
void pt__el2_nest_run(struct pt__el2_world *w, struct pt__el2_frame *frame);
/* From vectors of its own, which a CPU has while it runs one. Where the host has to do something
 * the guest is left, too. */
extern unsigned char pt__el2_nest_vectors[];
void pt__el2_nest_sync(struct pt__el2_frame *frame);
void pt__el2_nest_irq(struct pt__el2_frame *frame);
void pt__el2_nest_serror(struct pt__el2_frame *frame);
/* An abort of the guest's guest. NOBODY: back to it; GUEST: the guest's, with this syndrome; HOST:
 * abort->ipa is canonical, or UINT64_MAX, and *outcome says why. */
enum pt_nested_who pt__el2_nest_abort(struct pt__el2_world *w, struct pt_el2_abort *abort,
				      enum pt_outcome *outcome);

/* host_virtual.c: guests with an EL2, while which run a CPU has vectors of its own. As
 * pt__el2_run() and pt__el2_leave(). */
extern unsigned char pt__el2_virtual_vectors[];
void pt__el2_virtual_run(struct pt__el2_world *w, struct pt__el2_frame *frame);
void pt__el2_virtual_leave(struct pt__el2_world *w, struct pt__el2_frame *frame,
			   enum pt_el2_vcpu_why why, const struct pt_el2_abort *abort,
			   enum pt_outcome outcome);
void pt__el2_virtual_sync(struct pt__el2_frame *frame);

/* Its HCR_EL2, of which E2H is the host's to say. */
#define PT__EL2_HCR_TGE	  (UINT64_C(1) << 27)
#define PT__EL2_HCR_E2H	  (UINT64_C(1) << 34)
#define PT__EL2_HOST_MODE (PT__EL2_HCR_TGE | PT__EL2_HCR_E2H)

static inline uint64_t pt__el2_virtual_hcr(const struct pt_el2_virtual *v)
{
	uint64_t hcr = PT_EL2_VNCR(v, HCR);

	return v->e2h0 ? hcr & ~PT__EL2_HCR_E2H : hcr | PT__EL2_HCR_E2H;
}

/* What its guest's stage 2 is made of. Its SCTLR_EL2 has EE where EL1's does that stands for it. */
static inline struct pt_guest_regs pt__el2_virtual_regs(const struct pt_el2_virtual *v,
							uint64_t sctlr)
{
	return (struct pt_guest_regs){.vttbr = PT_EL2_VNCR(v, VTTBR),
				      .vtcr = PT_EL2_VNCR(v, VTCR),
				      .hcr = PT_EL2_VNCR(v, HCR),
				      .sctlr = sctlr};
}

/* Is what is at EL0 its own, EL2&0 (KVM: vcpu_el2_tge_is_set and vcpu_el2_e2h_is_set)? */
static inline bool pt__el2_in_host_mode(const struct pt_el2_virtual *v)
{
	return !(~pt__el2_virtual_hcr(v) & PT__EL2_HOST_MODE);
}

/* host_emulate.c: instructions of that EL2 for which its CPU traps, EC 0x18. *out: what came of it,
 * where the answer is STRANGE. */
enum pt__el2_emulated {
	PT__EL2_DONE,	/* the next instruction */
	PT__EL2_AGAIN,	/* the same */
	PT__EL2_TAKEN,	/* it is at a vector */
	PT__EL2_STRANGE /* the host's to see */
};
enum pt__el2_emulated pt__el2_emulate(struct pt__el2_world *w, struct pt__el2_frame *frame,
				      uint64_t esr, enum pt_outcome *out);
/* op0, op2, op1, CRn, CRm in ESR_EL2.ISS of EC 0x18 (Arm ARM D24.2.40), without Rt and direction.
 */
#define PT__EL2_SYS(op0, op1, crn, crm, op2)                                                       \
	((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
/* host_registers.c: false: none that EL1's stand for. */
bool pt__el2_move_register(struct pt_el2_virtual *v, uint32_t sys, bool reads, uint64_t *value);
/* An exception that the guest's EL2 takes from itself. */
void pt__el2_virtual_inject(struct pt__el2_world *w, uint64_t esr, uint64_t far, uint64_t hpfar);

/* host_world.c. The CPU's world. */
struct pt__el2_world *pt__el2_world(uint32_t cpu);
/* The host's stage 2 is this CPU's. */
void pt__el2_load_host(struct pt__el2_world *w);
/* What a CPU has of whoever runs, and what it may have of a stranger's PSTATE. */
void pt__el2_save(const struct pt__el2_frame *frame, struct pt_el2_regs *regs);
void pt__el2_load(struct pt__el2_frame *frame, const struct pt_el2_regs *regs);
uint64_t pt__el2_pstate(uint64_t asked);
/* A guest's stage 2, or its guest's, beside its traps, which both have; and none. */
void pt__el2_load_guest(struct pt__el2_world *w, struct pt_ctx *ctx);
void pt__el2_unload(const struct pt__el2_world *w, struct pt_ctx *ctx);
/* Of a guest at its own EL2. */
void pt__el2_load_virtual(struct pt__el2_world *w);
/* *v from a frame, or into it, by the CPU's window; in a section, in which it is the frame's
 * owner's to use. */
enum pt_outcome pt__el2_copy(struct pt__el2_world *w, struct pt_pa page, void *v, size_t size,
			     bool in);
/* The same of a page that the host names, checked (PT_RACED: again), and back to it. */
enum pt_outcome pt__el2_take_in(struct pt__el2_world *w, struct pt_pa page, void *v, size_t size);
enum pt_outcome pt__el2_give_out(struct pt__el2_world *w, struct pt_pa page, void *v, size_t size);
/* The first of PT_HVC_RUN: PT_OK, and w->guest and w->vcpu; else w->guest is NULL. */
enum pt_outcome pt__el2_begin(struct pt__el2_world *w, uint64_t handle, uint64_t page);
/* How a run ended, as `why` of *v and what comes with it. */
void pt__el2_say(struct pt_el2_vcpu *v, enum pt_el2_vcpu_why why, const struct pt_el2_abort *abort,
		 enum pt_outcome outcome);
/* The answer of a hypercall. */
void pt__el2_answer(struct pt__el2_frame *frame, enum pt_outcome outcome, uint64_t x1);
/* PT_HVC_RUN of the host: *frame and the registers are the guest's then, or the answer. */
void pt__el2_run(struct pt__el2_world *w, struct pt__el2_frame *frame);
/* The guest is left: they are the host's again. `abort` may be NULL. */
void pt__el2_leave(struct pt__el2_world *w, struct pt__el2_frame *frame, enum pt_el2_vcpu_why why,
		   const struct pt_el2_abort *abort, enum pt_outcome outcome);

#endif
