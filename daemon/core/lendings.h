/* SPDX-License-Identifier: BSD-2-Clause */
/* Lendings: calls of Transfer that lend, and what of them outlives their calls. */
#ifndef PTD_LENDINGS_H
#define PTD_LENDINGS_H

#include "owners.h"

#include "ptd/v1/ownership.pb-c.h"

/* Is it a call of lending's? */
static inline bool lend_is(const Ptd__V1__TransferItem *item)
{
	return item->kind == PTD__V1__TRANSFER_KIND__TRANSFER_KIND_LEND ||
	       item->kind == PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RETRIEVE ||
	       item->kind == PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RELINQUISH ||
	       (item->kind == PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RECLAIM && item->lend_handle);
}

/* A request of such items; call->state is set while it goes on. */
enum call_result lend_begin(struct call *call, const Ptd__V1__TransferRequest *request,
			    struct machine *machine);
enum call_result lend_go_on(struct call *call);
enum call_result lend_abandon(struct call *call);

/* A list was begun, that is gone at due_ns if it is open still. In a section. */
void lendings_note(struct domain *domain, struct machine *machine, uint64_t handle,
		   uint64_t due_ns);
/* Ends the lists whose time is over. In a section. */
void lendings_expire(struct domain *domain, uint64_t now_ns);

#endif
