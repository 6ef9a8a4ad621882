/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of shadows: by both walks, and who takes them. */
#ifndef PTD_NESTED_FAULT_H
#define PTD_NESTED_FAULT_H

#include "faults.h"

#include "ptd/v1/fault.pb-c.h"

/* One fault of a shadow, over the steps of a call. Zeroed but for `fault`. */
struct nested_fault {
	struct pt_nested_fault fault;
	uint64_t esr; /* that the shadow's walk raised, for a fault that is handed on */
	bool running; /* it has begun, and has no outcome yet */
	struct pt_nested_result result;
	enum pt_outcome outcome;
	uint32_t tables_added;	  /* in both contexts, by all steps */
	struct fault_group group; /* of the canonical context */
};

/* As a handler's step, before which it has called fault_group_step() for `group`, and only then
 * looked for the shadow: what was begun ends also where that is gone. CALL_DONE: `outcome` and
 * `result`, or the call has been failed because the shadow is gone. Who calls counts it. */
enum call_result nested_fault_step(struct call *call, struct work **slot, struct context *shadow,
				   struct nested_fault *fault);

/*
 * An access through a shadow, as nested_fault_step(): each of its faults is handled by both walks,
 * and the vCPU enters again where nobody takes it. `access` was made without handle_faults.
 * CALL_DONE: *outcome, and *fault is the last one where access->exits is not 0; or the call has
 * been failed.
 */
enum call_result nested_access_step(struct call *call, struct work **slot, struct context *shadow,
				    struct pt_host_access *access, struct nested_fault *fault,
				    enum pt_outcome *outcome);

/* As fault_is_answer(); the host's exit at a canonical IPA beyond its context's space is one, too.
 */
bool nested_is_answer(const struct nested_fault *fault, enum pt_outcome outcome);

/* After `outcome` of a fault whose `result` is known: it ends at memory of the canonical context
 * that is absent, the page itself or a table of the guest's. */
bool nested_needs_page(struct context *canonical, enum pt_outcome outcome,
		       const struct nested_fault *fault, struct page_access *why);

/* fault_fail() of a shadow's, which has a quota that no other context has. */
enum call_result nested_fault_fail(struct call *call, struct context *shadow,
				   enum pt_outcome outcome, uint64_t ipa, int level);

/* Who takes it. */
void nested_fault_fill(Ptd__V1__NestedFault *message, const struct nested_fault *fault);

/* What a guest hypervisor finds in its ESR_EL2: `esr` as the shadow's fault had it, with the class
 * and level that its own tables say. */
static inline uint64_t nested_esr(uint64_t esr, const struct pt_guest_fault *fault)
{
	return (esr & ~UINT64_C(0x3f)) | fault->fsc;
}

/* FAR_EL2 and HPFAR_EL2 of a stage-2 abort at `ipa`, stage 1 being off: HPFAR_EL2.FIPA, bits 47:4,
 * is IPA[55:12]. */
static inline uint64_t nested_hpfar(uint64_t ipa)
{
	return ipa >> 8 & UINT64_C(0x0000fffffffffff0);
}

#endif
