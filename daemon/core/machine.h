/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a machine: its memory, TLBs and VMIDs. */
#ifndef PTD_MACHINE_H
#define PTD_MACHINE_H

#include "domain_types.h"

struct machine_args {
	const char *name;
	uint64_t memory_bytes;
	uint32_t vcpus, pa_bits, vmid_bits;
	bool owners;
	uint64_t owner_quota_pages; /* 0: no limit */
	bool force_reclaim;	    /* of what the host meets that is a guest's */
};

/* Makes and registers a machine. PT_OK, or why not. */
enum pt_outcome machine_create(struct domain *domain, const struct machine_args *args,
			       struct machine **made);
/* Out of the registry and, once all steps that may still see it have ended, gone. It has no
 * contexts. */
void machine_retire(struct machine *machine);
/* At the end of the domain: at once. */
void machine_destroy(struct machine *machine);

#endif
