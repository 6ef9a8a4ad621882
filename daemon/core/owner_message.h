/* SPDX-License-Identifier: BSD-2-Clause */
/* What the ledger says, as messages. */
#ifndef PTD_OWNER_MESSAGE_H
#define PTD_OWNER_MESSAGE_H

#include "owners.h"

#include "ptd/v1/ownership.pb-c.h"

/* A range with all that it points to. */
struct owner_range {
	Ptd__V1__OwnedRange range;
	Ptd__V1__Party owner;
	uint8_t request_id[REQUEST_ID];
};

/* [e->start, e->end) of the owner's context `context`. `to` holds as long as the message. */
Ptd__V1__OwnedRange *owner_message(struct owner_range *to, struct owners *owners,
				   const struct pt_extent *e, uint64_t context, uint32_t borrowers);

#endif
