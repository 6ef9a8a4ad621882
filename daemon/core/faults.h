/* SPDX-License-Identifier: BSD-2-Clause */
/* What the handlers of FaultService share with a Session's messages. */
#ifndef PTD_FAULTS_H
#define PTD_FAULTS_H

#include "domain_work.h"

/* Counts one fault that was handled, with its outcome. */
void fault_count(struct call *call, enum pt_outcome outcome);
/* The syndrome of such a fault. */
uint64_t fault_esr(const struct pt_fault *fault);
/* Counts the exits of an access that has ended, and the leaves that they installed. */
void fault_count_exits(struct call *call, const struct pt_host_access *access);

/*
 * A fault that met a contiguous group which lacks the right as a whole: a range operation over the
 * group adds it, and then the fault goes on. Zeroed for each fault.
 */
struct fault_group {
	struct pt_item item;
	bool tried, running;
	enum pt_outcome outcome; /* of the item, after it has run; PT_RELAXED: the fault's, too */
};

/* After PT_DENIED. True: the operation has begun in *slot; call fault_group_step() in the next
 * step. False: DENIED is the answer. */
bool fault_group_begin(struct call *call, struct work **slot, struct context *c,
		       const struct pt_fault_todo *todo, struct fault_group *group);
/* At the start of a handler's step. CALL_DONE: nothing runs (any more), the fault is handled
 * (again); else what the handler returns now. */
enum call_result fault_group_step(struct call *call, struct work *work, struct fault_group *group);
/* The same for an access, which goes on where it was. */
enum call_result fault_group_access(struct call *call, struct work *work, struct fault_group *group,
				    struct pt_host_access *access);

/*
 * A host's fault on a page that a guest has for itself, in a machine made with FORCE_RECLAIM: the
 * page is taken by force, and then the fault is had again, whether that was refused or not. Zeroed
 * for each fault but for `work`.
 */
struct transfer_work;
struct fault_reclaim {
	struct transfer_work *work; /* the call's; made at first */
	struct machine *machine;    /* stays while it runs */
	bool tried, running, done;
};

/* After PT_WRONG_OWNER. True: it has begun; call fault_reclaim_step() in the next step. False:
 * WRONG_OWNER is the answer. */
bool fault_reclaim_begin(struct call *call, struct context *c, const struct pt_fault_todo *todo,
			 struct fault_reclaim *reclaim);
/* At the start of a handler's step, before a context is looked for. CALL_DONE: nothing runs (any
 * more); else what the handler returns now. */
enum call_result fault_reclaim_step(struct call *call, struct fault_reclaim *reclaim);
/* The call was abandoned. CALL_DONE: nothing is held any more; else call again. */
enum call_result fault_reclaim_abandon(struct call *call, struct fault_reclaim *reclaim);
/* The answer's Ptd__V1__ForeignAccess, with this outcome. */
uint32_t fault_foreign(const struct context *c, const struct fault_reclaim *reclaim,
		       enum pt_outcome outcome);

/*
 * After PT_ABSENT of an access: as work_await_page(). One that waits has not exited yet; else its
 * last exit has *outcome, or the call has been failed.
 */
enum call_result fault_absent(struct call *call, struct work **slot, struct context *c,
			      struct pt_host_access *access, enum pt_outcome *outcome);

/* Arguments of a request: a kind of access up to `last`; a vCPU of the machine, in a context that
 * runs. CALL_MORE: fine; else the call has been failed. */
enum call_result fault_check_kind(struct call *call, uint32_t kind, uint32_t last);
enum call_result fault_check_vcpu(struct call *call, const struct context *c, uint32_t vcpu);
/* A fault is data of the reply; an error is what kept it from being handled, and fails the call. */
bool fault_is_answer(enum pt_outcome outcome);
enum call_result fault_fail(struct call *call, enum pt_outcome outcome, uint64_t ipa, int level);
/* False: none that tables can settle. */
bool fault_type_of(enum hw_fault fault, uint8_t *type);

/* What need not be done before the answer is done in idle time. */
static inline void fault_note_todo(struct call *call, const struct context *c,
				   const struct pt_fault_todo *todo)
{
	if (unlikely(todo->kind == PT_TODO_COLLAPSE))
		fold_later(call, c->handle, todo->ipa.v, todo->size);
}

/* The right that a fetch needs; of struct pt_fault. */
static inline uint8_t fault_exec(bool el0)
{
	return el0 ? PT_PROT_UX : PT_PROT_PX;
}

/* The fault that an architectural walk to `ipa` raises now; a translation fault if it raises none,
 * whose handler finds out that there is nothing to do. */
void fault_of_walk(struct context *c, uint64_t ipa, uint32_t access, bool el0,
		   struct pt_fault *fault, struct hw_result *walk);
/* Waits for the claim on the page of `ipa`: what the handler returns now. */
enum call_result fault_park(struct call *call, struct work **slot, struct context *c, uint64_t ipa);
/* OK, NOT_MAPPED or DENIED. */
uint32_t fault_walk_outcome(const struct hw_result *walk);

#endif
