/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the upkeep operations share; private to lib/txn. */
#ifndef PT_TXN_UPKEEP_H
#define PT_TXN_UPKEEP_H

#include "contiguous.h"

/*
 * One part of the work, within *left visits: from upkeep->next on. PT_OK: the end is reached, or
 * upkeep->stopped says why not. PT_MORE. PT_PARKED: the claim is too narrow for a block that it
 * cuts. What was done is in the ledger and in upkeep->unlinked until pt__upkeep_settle().
 */
enum pt_outcome pt__age(struct pt_upkeep *upkeep, int64_t *left);
enum pt_outcome pt__split_range(struct pt_upkeep *upkeep, int64_t *left);
enum pt_outcome pt__fold_range(struct pt_upkeep *upkeep, int64_t *left); /* COLLAPSE and SWEEP */

/* The lowest address that the claim still has to cover for a fold that may end above `next`. */
uint64_t pt__fold_keeps(const struct pt_upkeep *upkeep);

/* Flushes what is owed and retires what was unlinked. */
void pt__upkeep_settle(struct pt_upkeep *upkeep);

PT__INLINE uint64_t pt__upkeep_mask(const struct pt_upkeep *upkeep, int level)
{
	return pt_level_size(&upkeep->args.ctx->geo, level) - 1;
}

/* Past the entry of `level` around `next`, and `n - 1` more, but not past the range. */
PT__INLINE void pt__upkeep_pass(struct pt_upkeep *upkeep, int level, uint64_t n)
{
	uint64_t mask = pt__upkeep_mask(upkeep, level);
	uint64_t end = (upkeep->next & ~mask) + n * (mask + 1) - 1;

	upkeep->next = (end < upkeep->last ? end : upkeep->last) + 1;
}

#endif
