/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs of the image, and EL1 code that runs on them. */
#ifndef PT_EL2_CPU_H
#define PT_EL2_CPU_H

/* For start.S and vectors.S, too. */
#define PT_EL2_CPUS	   8
#define PT_EL2_STACK_BYTES 32768
#define PT_EL2_CPU_STACK   0 /* offsets in struct pt_el2_cpu */
#define PT_EL2_CPU_HOST_SP 8

#ifndef __ASSEMBLER__
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A stage-2 abort as EL2 takes it. */
struct pt_el2_abort {
	uint64_t esr, far, hpfar;
	uint64_t ipa;	/* of the byte; where the CPU gives none (see below) it is translated */
	bool ipa_known; /* false: stage 1 changed meanwhile, and the access is to be made again */
};

enum pt_el2_why {
	PT_EL2_HVC = 1, /* the guest has ended: value is its x0 */
	PT_EL2_ABORT,	/* a stage-2 abort that nobody resolved */
	PT_EL2_OTHER,	/* any other exception; esr tells */
};

struct pt_el2_exit {
	enum pt_el2_why why;
	uint64_t value, elr;
	struct pt_el2_abort abort; /* esr and far also of PT_EL2_OTHER */
	uint32_t aborts;	   /* taken, resolved ones included */
};

struct pt_el2_cpu;
/* Called at EL2 with interrupts masked, between the exception and its return. True: back to the
 * guest, same instruction; false: the run ends. */
typedef bool (*pt_el2_abort_fn)(void *arg, const struct pt_el2_abort *abort);

struct pt__el2_world; /* lib/port/el2/host_internal.h */

/* One CPU's own. It stays where it is; TPIDR_EL2 points to it. */
struct pt_el2_cpu {
	uintptr_t stack;   /* top */
	uintptr_t host_sp; /* of pt_el2_run() while the guest runs */
	uint32_t id;
	_Atomic bool on;
	void (*_Atomic work)(void *); /* NULL: idle */
	void *work_arg;
	pt_el2_abort_fn on_abort;
	void *abort_arg;
	struct pt_el2_exit exit;
	struct pt__el2_world *world; /* of pt_el2_host_enter(), from then on */
};

struct pt_el2_cpu *pt_el2_self(void);

/* Starts CPU `id` (its MPIDR.Aff0, below PT_EL2_CPUS) by PSCI CPU_ON and waits until it is there.
 * False: there is no such CPU, or the firmware refused. Already on: true. */
bool pt_el2_cpu_start(uint32_t id);

/* Gives CPU `id`, which is on and idle and not the caller's, something to do; it begins at once, on
 * its own stack. */
void pt_el2_cpu_run(uint32_t id, void (*work)(void *), void *arg);
/* Waits until it has done it; what it wrote is visible then. */
void pt_el2_cpu_wait(uint32_t id);

/* Where EL1 begins. */
struct pt_el2_entry {
	uint64_t pc, sp, lr; /* as the guest sees them; lr: what returns, or 0 */
	uint64_t x0, x1, x2;
	pt_el2_abort_fn on_abort; /* NULL: each abort ends the run */
	void *abort_arg;
};

/*
 * Runs EL1 code, with stage 1 off, under the VTTBR_EL2, VTCR_EL2 and HCR_EL2 that stand, until it
 * executes HVC or meets what nobody resolves. Nests not. The guest's callee-saved and vector
 * registers are not kept between runs.
 */
void pt_el2_run(const struct pt_el2_entry *entry, struct pt_el2_exit *exit);

#endif
#endif
