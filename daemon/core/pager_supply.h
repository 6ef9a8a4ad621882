/* SPDX-License-Identifier: BSD-2-Clause */
/* What a pager's stream brings, into the machine's memory. */
#ifndef PTD_PAGER_SUPPLY_H
#define PTD_PAGER_SUPPLY_H

#include "domain_types.h"

#include "ptd/v1/pager.pb-c.h"

/*
 * Carries out one message of the pager's stream, in one step: the absent pages of its range get the
 * content, and then are there. PT_OK: *answer says what came of it, also where it is refused; its
 * text is not to be freed. Nothing was done: PT_NOT_FOUND, the pager's slot is no longer there;
 * PT_MORE, a page is about to change hands, again in a later step.
 */
enum pt_outcome pager_supply(struct call *call, struct context *context, struct pager *pager,
			     const Ptd__V1__PageSupply *supply, Ptd__V1__PageSupplied *answer);

#endif
