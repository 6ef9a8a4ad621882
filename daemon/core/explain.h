/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks, step by step, in words. */
#ifndef PTD_EXPLAIN_H
#define PTD_EXPLAIN_H

#include "domain_types.h"

#include "ptd/v1/fault.pb-c.h"

struct finding {
	const char *found, *rule;
};

/* What a descriptor is, and the rule that says so. `hardware_flag`: VTCR_EL2.HA. */
struct finding explain_entry(const struct pt_geometry *geo, bool hardware_flag, pt_pte entry,
			     int level);

/* One more step of a list, which is made with its first. NULL: the call's memory cap is reached. */
Ptd__V1__WalkStep *explain_step(struct call *call, Ptd__V1__WalkStep ***steps, size_t *count);
/* The steps of an architectural walk of `context`. False as NULL above. */
bool explain_walk(struct call *call, const struct context *context, const struct hw_result *walk,
		  Ptd__V1__WalkStep ***steps, size_t *count);

/* Of a shadow, whose own walk is `walk`: both walks that a fault would make, and who would take it.
 * Changes nothing. False as above. */
bool explain_nested(struct call *call, struct context *shadow, const struct hw_result *walk,
		    Ptd__V1__ExplainResponse *response);

#endif
