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
	_Atomic bool taken;	 /* the host has it */
	struct pt_ctx *guest;	 /* NULL: the host runs */
	struct pt_pa page;	 /* of its vCPU */
	struct pt_el2_vcpu vcpu; /* EL2's copy */
	struct pt_el2_regs regs; /* the host's, while a guest runs */
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

/* host_psci.c: an SMC of the host. */
void pt__el2_psci(struct pt__el2_world *world, uint64_t x[4]);

/* host_world.c. The CPU's world. */
struct pt__el2_world *pt__el2_world(uint32_t cpu);
/* The host's stage 2 is this CPU's. */
void pt__el2_load_host(struct pt__el2_world *w);
/* PT_HVC_RUN of the host: *frame and the registers are the guest's then, or the answer. */
void pt__el2_run(struct pt__el2_world *w, struct pt__el2_frame *frame);
/* The guest is left: they are the host's again. `abort` may be NULL. */
void pt__el2_leave(struct pt__el2_world *w, struct pt__el2_frame *frame, enum pt_el2_vcpu_why why,
		   const struct pt_el2_abort *abort, enum pt_outcome outcome);

#endif
