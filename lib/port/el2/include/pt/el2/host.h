/* SPDX-License-Identifier: BSD-2-Clause */
/* A host at EL1 and its guests: what the host and EL2 share, and EL2's side of it. */
#ifndef PT_EL2_HOST_H
#define PT_EL2_HOST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A vCPU: PT_HVC_RUN takes the address of one at the begin of a page of the host's memory. EL2
 * copies it when the guest is entered and writes it back when it is left; between, it is not read.
 * PT_HVC_NEST_RUN takes one at an IPA of the guest's, for its own guest, in the same way.
 */
/* clang-format off */
#define PT_EL2_SYS_TABLE(X)                                                                        \
	X(sctlr_el1) X(cpacr_el1) X(ttbr0_el1) X(ttbr1_el1) X(tcr_el1) X(mair_el1) X(amair_el1)    \
	X(vbar_el1) X(contextidr_el1) X(tpidr_el0) X(tpidrro_el0) X(tpidr_el1) X(esr_el1)          \
	X(afsr0_el1) X(afsr1_el1) X(far_el1) X(elr_el1) X(spsr_el1) X(par_el1) X(cntkctl_el1)      \
	X(cntv_ctl_el0) X(cntv_cval_el0) X(mdscr_el1) X(csselr_el1)
/* clang-format on */

struct pt_el2_regs {
	uint64_t x[31];
	uint64_t sp_el0, sp_el1;
	uint64_t pc;
	/* Of SPSR_EL2's fields for AArch64: NZCV, DIT, UAO, PAN, SSBS, BTYPE, DAIF and EL0t, EL1t
	 * or EL1h; or, on a CPU that has AArch32 at EL0, that mode (0x10) and its fields. Another
	 * mode becomes EL1h, other bits zero. Of a guest with an EL2: EL2t and EL2h, too. */
	uint64_t pstate;
#define PT_X(name) uint64_t name;
	PT_EL2_SYS_TABLE(PT_X)
#undef PT_X
};

enum pt_el2_vcpu_why {
	PT_EL2_VCPU_EXIT = 1, /* PT_HVC_EXIT: x[1] to x[3] are its words; pc is behind it */
	PT_EL2_VCPU_ABORT,    /* stage 2 cannot resolve it: esr, far, ipa and outcome */
	PT_EL2_VCPU_TRAP,     /* esr: what a guest has not: floating point, SMC, WFI, timers, ... */
	PT_EL2_VCPU_INTERRUPT, /* the host's, which takes it as soon as it unmasks it */
	PT_EL2_VCPU_SERROR     /* esr */
};

/*
 * What a guest's guest is left with, for the guest: EXIT: an HVC, any, esr; TRAP; ABORT: one that
 * the guest's tables do not allow, esr and far as its CPU would have them at EL2, ipa the nested
 * one, outcome PT_DENIED; INTERRUPT: the host wanted the CPU, or has to do something about an
 * abort: again. In that case the host has left the guest with ABORT and an IPA of the guest's,
 * although pc and the registers are those behind the guest's hypercall: it can map, or not run it
 * any more.
 */

struct pt_el2_vcpu {
	struct pt_el2_regs regs;
	/* Written by EL2: why the guest was left, as x1 of PT_HVC_RUN has it, and ESR_EL2, FAR_EL2
	 * and the IPA of the byte (UINT64_MAX: none), pc at the instruction. */
	uint64_t why, esr, far, ipa;
	uint64_t outcome; /* enum pt_outcome of an abort: NO_SLOT, READ_ONLY, DENIED or an error */
};

/*
 * The EL2 of a guest hypervisor, on a CPU with FEAT_NV2: PT_HVC_RUN takes the address of a page
 * with one beside that of the vCPU, whose pstate then may be EL2t or EL2h, too, and is that of the
 * guest's guest otherwise, or at EL0 with HCR_EL2.TGE of the guest's own. EL2 copies the page as it
 * does the vCPU, and trusts as little of it.
 *
 * HCR_EL2.E2H is the host's to choose, and what the guest writes there counts for nothing: one with
 * it (FEAT_VHE, without FEAT_E2H0), whose EL2's registers look as EL1's; or, with `e2h0`, one
 * without (KVM: KVM_ARM_VCPU_HAS_EL2_E2H0), whose stage 1 has one range of addresses and the page
 * tables of EL2. Its translations are the context's VMID's, so all vCPUs of a context are to be of
 * one kind.
 *
 * EL1's registers in struct pt_el2_regs belong to who runs: while that is EL2, the other's stand in
 * `vncr`, where EL2 reads and writes them, too; while it is the other, EL2's stand in `el2`. Those
 * that are not in the table below are of both, but for CNTKCTL_EL1 with E2H. Without it EL1's
 * SCTLR, TCR, TTBR0 and CPACR say what EL2's do, in EL1's form.
 */
/* clang-format off */
/* X(register, its offset from VNCR_EL2.BADDR): Arm ARM, FEAT_NV2, registers in memory */
#define PT_EL2_VIRTUAL_TABLE(X)                                                                    \
	X(cpacr_el1, 0x100) X(contextidr_el1, 0x108) X(sctlr_el1, 0x110) X(tcr_el1, 0x120)         \
	X(afsr0_el1, 0x128) X(afsr1_el1, 0x130) X(esr_el1, 0x138) X(mair_el1, 0x140)               \
	X(amair_el1, 0x148) X(spsr_el1, 0x160) X(cntv_cval_el0, 0x168) X(cntv_ctl_el0, 0x170)      \
	X(ttbr0_el1, 0x200) X(ttbr1_el1, 0x210) X(far_el1, 0x220) X(elr_el1, 0x230)                \
	X(sp_el1, 0x240) X(vbar_el1, 0x250)
/* clang-format on */
enum {
	PT_EL2_VNCR_VTTBR = 0x20,
	PT_EL2_VNCR_VTCR = 0x40,
	PT_EL2_VNCR_HCR = 0x78,
#define PT_X(name, at) PT_EL2_VNCR_##name = at,
	PT_EL2_VIRTUAL_TABLE(PT_X)
#undef PT_X
};
#define PT_EL2_VNCR(v, name) ((v)->vncr[PT_EL2_VNCR_##name / 8])

struct pt_el2_virtual {
	uint64_t vncr[448]; /* as the CPU has them from VNCR_EL2.BADDR on */
	struct {
#define PT_X(name, at) uint64_t name;
		PT_EL2_VIRTUAL_TABLE(PT_X)
#undef PT_X
		uint64_t cntkctl_el1; /* with `e2h0`: CNTHCTL_EL2, which nothing obeys */
	} el2;
	/* Those without a place there: HPFAR_EL2, and CNTKCTL_EL1 of the guest's guest, with E2H.
	 */
	uint64_t hpfar, cntkctl;
	/* A TLBI that goes on when the same one is executed again; 0: none. */
	uint64_t tlbi;
	struct pt_el2_tlbi {
		uint64_t pc, sys, operand, vttbr, vtcr;
	} tlbi_made;
	uint64_t e2h0; /* not 0: HCR_EL2.E2H is RES0, else RES1 */
	uint64_t free[512 - 448 - 28];
};

/* PSCI (DEN0022) for the host, by SMC: VERSION and CPU_ON; others are not supported. */
#define PT_EL2_PSCI_VERSION UINT64_C(0x84000000)
#define PT_EL2_PSCI_CPU_ON  UINT64_C(0xc4000003)

/* EL2's side. */
struct pt_hv;
struct pt_agent;
struct pt_hyp_cpu;

struct pt_el2_host {
	struct pt_hv *hv;	/* after pt_hv_init() */
	struct pt_agent *agent; /* one a CPU, joined */
	struct pt_hyp_cpu *cpu; /* pt_hyp_boot()'s */
	uint32_t cpus;		/* 0 to cpus - 1 are on, on EL2's own map and idle; at most
				   PT_EL2_CPUS */
	/* HVC #n of the host with n above 0: the image's own, x0 to x3 in and out. NULL: none. */
	void (*call)(unsigned n, uint32_t cpu, uint64_t x[4]);
};

/*
 * The CPU that calls becomes the host's: it goes to `pc` at EL1, MMU off, interrupts masked, `x0`
 * there and all other registers zero, under the host's stage 2 with nothing mapped. The others
 * follow by CPU_ON. EL2's stack is pt_hyp_cpu.stack_top from then on. *host stays where it is.
 *
 * From then on EL2 is entered by exceptions alone. A stage-2 abort is resolved and the instruction
 * made again. What cannot be resolved, the host gets as a synchronous external abort at EL1 (KVM:
 * host_inject_mem_abort, kvm_inject_dabt), a guest leaves with. What neither has traps: an
 * undefined instruction for the host, an exit of a guest. Guests have no floating point, debug
 * registers, PMU, physical timers, GIC, error records, PSCI; an interrupt for the host ends their
 * run.
 */
_Noreturn void pt_el2_host_enter(const struct pt_el2_host *host, uint64_t pc, uint64_t x0);

/* For pt_hv_owner_args.wipe: zeroes pages of 4K through the CPU's window and, where contexts have
 * no FEAT_S2FWB, cleans and invalidates them to the point of coherency: who has its caches off sees
 * zeroes, too (Arm ARM D7.5.8; KVM: kvm_flush_dcache_to_poc). On a CPU that the host has; `arg` is
 * not used. */
void pt_el2_host_wipe(void *arg, uint64_t pa, uint64_t size);

/* For pt_hv_nest_args: through the CPU's window. On a CPU that the host has; `arg` is not used. */
uint64_t pt_el2_host_load(void *arg, uint64_t pa);
bool pt_el2_host_swap(void *arg, uint64_t pa, uint64_t *word, uint64_t to);

/* Aborts that this CPU has taken from the host; guests' ones. Any CPU. */
uint64_t pt_el2_host_aborts(uint32_t cpu);
uint64_t pt_el2_guest_aborts(uint32_t cpu);
/* Those of both that found their work done (PT_ALREADY_MAPPED), or have to be taken again
 * (PT_RACED): each of the others has changed an entry, or nothing resolved it. */
uint64_t pt_el2_lost_aborts(uint32_t cpu);

#endif
