/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of prepare share; private to lib/txn. */
#ifndef PT_TXN_PLAN_H
#define PT_TXN_PLAN_H

#include "range.h"

enum pt_outcome pt__plan_fail(struct pt_txn *txn, enum pt_outcome code, int level);

/* Counts the table below the entry of `level` around the cursor, once. False: the claim does not
 * cover a block that is to be split. */
bool pt__plan_table(struct pt_txn *txn, const struct pt__range *r, int level, bool split);

/* The level at which a block met at `level` will stand after the splits already counted. */
int pt__plan_level(const struct pt_txn *txn, const struct pt__range *r, int level);

/* How many entries of `level` there are from the cursor on below the entry met at `met`; 1 for that
 * entry itself, or for one that the item cuts. */
uint64_t pt__plan_run(const struct pt_txn *txn, const struct pt__range *r, int level, int met);

/* Splits down from *level until an entry may be changed as a whole, at `top` or below. False as
 * pt__plan_table(). */
bool pt__plan_split(struct pt_txn *txn, const struct pt__range *r, int *level, int top);

/* Does the claim cover the group of leaf `e` at `ipa`, if it has one? It is to change. */
bool pt__plan_group(const struct pt_txn *txn, const struct pt__range *r, uint64_t ipa, pt_pte e,
		    int level);

/* plan_map.c, plan_annotate.c: the entry or run at the cursor. */
enum pt_outcome pt__plan_map(struct pt_txn *txn, const struct pt__range *r, int64_t *left);
enum pt_outcome pt__plan_annotate(struct pt_txn *txn, const struct pt__range *r, int64_t *left);

#endif
