/* SPDX-License-Identifier: BSD-2-Clause */
/* What the handlers of FaultService share with a Session's messages. */
#ifndef PTD_FAULTS_H
#define PTD_FAULTS_H

#include "domain_work.h"

/* Counts the exits of an access that has ended, and the leaves that they installed. */
void fault_count_exits(struct call *call, const struct pt_host_access *access);
/* What a fault could not do by itself is done in idle time. */
static inline void fault_note_todo(struct call *call, const struct context *c,
				   const struct pt_fault_todo *todo)
{
	if (unlikely(todo->kind == PT_TODO_COLLAPSE))
		fold_later(call, c->handle, todo->ipa.v, todo->size);
}

/* The fault that an architectural walk to `ipa` raises now; a translation fault if it raises none,
 * whose handler finds out that there is nothing to do. */
void fault_of_walk(struct context *c, uint64_t ipa, uint32_t access, struct pt_fault *fault,
		   struct hw_result *walk);
/* Waits for the claim on the page of `ipa`: what the handler returns now. */
enum call_result fault_park(struct call *call, struct work **slot, struct context *c, uint64_t ipa);
/* OK, NOT_MAPPED or DENIED. */
uint32_t fault_walk_outcome(const struct hw_result *walk);

#endif
