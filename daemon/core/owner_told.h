/* SPDX-License-Identifier: BSD-2-Clause */
/* What a transition makes of frames, as events: stretches that were alike before and are after. */
#ifndef PTD_OWNER_TOLD_H
#define PTD_OWNER_TOLD_H

#include "owners.h"

/* Events of one transition at most, of which each run has one. */
#define OWNER_STRETCHES (2 * PT_TRANSFER_RUNS)

struct owner_stretch {
	struct pt_extent was; /* cut to the stretch */
	uint64_t context;     /* of the owner; 0: it has none */
	uint32_t borrowers;   /* of the first page */
	bool mixed;	      /* `was` is of the first page alone: no room was left */
};

struct owner_told {
	uint32_t stretches;
	struct owner_stretch stretch[OWNER_STRETCHES];
};

/* pt_machine_owners' watch(): while the runs are claimed, before anything is written; and when it
 * is. In a section. */
void owner_saw(struct owner_told *told, const struct owners *owners, const struct pt_transfer *t);
void owner_tell(const struct owner_told *told, struct machine *machine, uint32_t kind);

#endif
