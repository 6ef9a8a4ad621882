/* SPDX-License-Identifier: BSD-2-Clause */
/* The legs of a transaction over several contexts; private to lib/txn. */
#ifndef PT_TXN_LEGS_H
#define PT_TXN_LEGS_H

#include <pt/parties.h>

#include "../walk/inline.h"

PT__INLINE struct pt_ctx *pt__leg_ctx(const struct pt_txn *leg)
{
	return leg->item[0].ctx;
}

/* The leg's first item, among those of all. */
PT__INLINE uint32_t pt__leg_index(const struct pt_parties *p, const struct pt_txn *leg)
{
	return (uint32_t)(leg->item - p->args.item);
}

/* The leg of a context, or NULL. */
struct pt_txn *pt__leg_of(struct pt_parties *p, const struct pt_ctx *ctx);

/* Ends the transaction with an error of item `index`; returns it. */
enum pt_outcome pt__parties_refuse(struct pt_parties *p, enum pt_outcome code, uint32_t index);

/* The commit point of the generations: counts those of all legs. One of them is asked for at most:
 * false, and none was counted, when that is another. */
bool pt__legs_count(struct pt_parties *p);
/* validate_only: the same without counting. */
bool pt__legs_same(struct pt_parties *p);
/* The error that follows from false. */
enum pt_outcome pt__legs_mismatch(struct pt_parties *p);

/*
 * page_leg.c: is the leg one page, whose entry is there, and which needs nothing reserved? And what
 * pt__commit() would do, all of it: false: not here, and nothing was done. Under the drained claim.
 */
bool pt__leg_needs_nothing(const struct pt_txn *leg);
bool pt__leg_carry_out(struct pt_txn *leg, int64_t *left);

/* Sums the effects of the legs up. */
void pt__legs_total(struct pt_parties *p);

#endif
