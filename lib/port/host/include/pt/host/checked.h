/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checked build of the host port: each event of the seam goes to the hook, and then, together
 * with its effect and under one lock, to lib/check. Built without PT_CHECKED, none of it is called.
 */
#ifndef PT_HOST_CHECKED_H
#define PT_HOST_CHECKED_H

#include <pt/check.h>

struct pt_port_mmu;

/*
 * Called with each event before it takes effect, under no lock: may run other agents meanwhile.
 * Set it while no other thread uses lib. lo of a descriptor's event is what the slot held then.
 */
extern void (*pt_host_event_hook)(const struct pt_event *event);

/*
 * Who runs here: set by PT_EVENT_SECTION_* and PT_EVENT_OP_*. A scheduler of fibres on one thread
 * swaps it with them.
 */
struct pt_host_self {
	uint64_t agent, op;
	uint64_t outer;	 /* the agent before `op` began: one thread may play several */
	uint64_t scope;	 /* of the last operation in this section: for failpoints */
	uint32_t thread; /* 0: not given yet */
	bool lost;	 /* the last compare-and-swap, to PT_FP_CAS_LOSE */
};
extern _Thread_local struct pt_host_self pt_host_self;

/* Events since the start. */
uint64_t pt_host_events(void);

/* Called with a finding, under no lock, before the last events are printed and the program aborts;
 * a test jumps out of it. */
extern void (*pt_host_finding_hook)(const struct pt_finding *finding);

/* How often each rule was judged so far. */
void pt_host_check_counts(uint64_t judged[PT_RULES]);

/* From now on the CPUs are such as need each invalidation twice (rule T7), and get it. While nobody
 * else uses lib. */
void pt_host_repeat_tlbis(bool repeat);

/* TLBI and TLBI_DONE; between them the instructions, each with its half of pt_host_tlbi(). */
void pt_host_event_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi);

#endif
