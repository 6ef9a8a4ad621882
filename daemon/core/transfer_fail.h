/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a Transfer was refused, in words: which item, at which address, and what stands in its way.
 */
#ifndef PTD_TRANSFER_FAIL_H
#define PTD_TRANSFER_FAIL_H

#include "transfer_read.h"

#include <pt/lending.h>

/* Fails the call with t->error, of an item. In a section, as the transfer ended. */
enum call_result transfer_fail(struct call *call, const struct transfer_items *items,
			       const struct pt_transfer *t);

/* The same of a call of lending's; `at`: the request's item, `begun`: the list is the request's. A
 * list that is to go is there still. */
enum call_result lend_fail(struct call *call, const struct pt_lend *lend, uint32_t at, bool begun);

#endif
