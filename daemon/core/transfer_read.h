/* SPDX-License-Identifier: BSD-2-Clause */
/* Items of a Transfer as ranges of lib's. */
#ifndef PTD_TRANSFER_READ_H
#define PTD_TRANSFER_READ_H

#include "call.h"
#include "owners.h"

#include "ptd/v1/ownership.pb-c.h"

struct transfer_items {
	struct pt_transfer_range range[LIMIT_TRANSFER_ITEMS];
	uint32_t count;
	unsigned unit_shift; /* of the largest granule of all parties */
	bool by_pa, by_ipa;  /* what ranges are named by */
	bool of_guest;	     /* `guest` of each is one */
};

/*
 * 1 to LIMIT_TRANSFER_ITEMS items of a request for this machine, into zeroed *to; in *args what
 * they say: the owners, kind, ranges, wipe. CALL_MORE; CALL_DONE: the call has been failed, with
 * the item's index.
 */
enum call_result transfer_read(struct call *call, struct machine *machine,
			       const Ptd__V1__TransferRequest *request, struct transfer_items *to,
			       struct pt_transfer_args *args);

/* The guest of this machine that a party names, by `name` in refusals; NULL: the call has been
 * failed. */
const struct context *transfer_guest(struct call *call, struct machine *machine, uint64_t handle,
				     const char *name);
/* The first field of an item that is set and is lendings' alone; NULL: none is. */
const char *transfer_lend_field(const Ptd__V1__TransferItem *item);

#endif
