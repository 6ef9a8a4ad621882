/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit of a FLUSH item: cache maintenance of what is mapped; no descriptor changes. */
#include "range.h"

void pt__commit_flush(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	uint64_t from = txn->cursor, most = 1, n = 0, alike;
	struct pt__at at;

	pt__descend(r->ctx, from, PT_LEVEL_LAST, r->gs, &at);
	if (pt__whole(r, from, at.level))
		most = pt__entries_in(r, from, &at);
	for (; n < most; n += alike) {
		pt_pte e = pt_pte_load(at.slot + n);

		if (pt_pte_is_table(e, at.level))
			break;
		alike = pt_pte_valid(e) ? pt__piece(at.slot + n, e, most - n, at.shift) : 1;
		pt__pass(txn, r, at.level, alike);
		if (pt_pte_valid(e)) {
			pt__flush_leaf(r->ctx, e, &at, from, txn->cursor - from);
			txn->effects.already += alike;
		} else {
			txn->effects.holes += (txn->cursor - from) >> r->gs;
		}
		from = txn->cursor;
	}
	*left -= (int64_t)n;
}
