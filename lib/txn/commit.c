/* SPDX-License-Identifier: BSD-2-Clause */
/* Commit: carries out what prepare reserved for, in bounded steps that leave no stale translation
 * behind. */
#include "range.h"
#include "resize.h"

void pt__rewind(struct pt_txn *txn)
{
	txn->at = 0;
	txn->cursor = txn->item[0].ipa.v;
	txn->effects = txn->before = (struct pt_effects){0};
	txn->met_rights = txn->tightened = false;
}

void pt__finish_item(struct pt_txn *txn)
{
	struct pt_item *item = &txn->item[txn->at];
	const struct pt_effects *now = &txn->effects, *then = &txn->before;
	bool written = now->leaves_written != then->leaves_written;

	if (item->kind == PT_ITEM_UNMAP)
		item->outcome = now->leaves_removed != then->leaves_removed ? PT_UNMAPPED : PT_HOLE;
	else if (item->kind == PT_ITEM_MAP)
		item->outcome = txn->met_rights ? PT_PERMISSION_ONLY
				: written	? PT_MAPPED
						: PT_ALREADY_MAPPED;
	else if (item->kind == PT_ITEM_ANNOTATE)
		item->outcome = PT_ANNOTATED;
	else if (item->kind == PT_ITEM_HOLD)
		item->outcome = PT_OK;
	else if (item->kind == PT_ITEM_FLUSH)
		item->outcome = now->already != then->already ? PT_FLUSHED : PT_HOLE;
	else if (written && item->kind == PT_ITEM_MAKE_YOUNG)
		item->outcome = PT_MADE_YOUNG;
	else if (written && item->kind == PT_ITEM_SET_SW)
		item->outcome = PT_MAPPED;
	else if (written)
		item->outcome = txn->tightened ? PT_PROTECTED : PT_RELAXED;
	else
		item->outcome = now->already != then->already ? PT_ALREADY_MAPPED : PT_HOLE;
}

void pt__flush(struct pt_txn *txn)
{
	uint32_t tlbis;

	if (txn->teardown && txn->ledger.count)
		txn->ledger.whole = true;
	tlbis = pt_ledger_discharge(&txn->ledger);
	txn->effects.tlbis += tlbis;
	txn->flushed |= tlbis != 0;
}

/*
 * Everything below the cursor is final, once it is flushed. A block or group that the next part
 * cuts is still to be written as a whole: the claim keeps its first byte.
 */
static void shrink(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->claim.ctx;

	uint64_t lo = txn->taken.pending ? txn->taken.lo : txn->cursor;

	if (!txn->holds && lo <= txn->claim.hi)
		pt_claim_shrink(&txn->claim, lo & ~pt__edge_mask(ctx, lo, false));
}

bool pt__settle(struct pt_txn *txn, int64_t *left)
{
	struct pt_ctx *ctx = txn->claim.ctx;

	pt__flush(txn);
	pt__apart(txn, left);
	if (txn->unlinked.count) {
		pt_port_note(PT_EVENT_REFUND, 0, NULL, ctx, txn->unlinked.count, 0);
		atomic_fetch_sub_explicit(&ctx->table_pages, txn->unlinked.count,
					  memory_order_relaxed);
		pt_retire(txn->agent, ctx->geo.granule_shift, &txn->unlinked);
	}
	return txn->unlinked_count == 0;
}

static void commit_one(struct pt_txn *txn, const struct pt__range *r, int64_t *left)
{
	switch (r->item->kind) {
	case PT_ITEM_MAP: pt__commit_map(txn, r, left); break;
	case PT_ITEM_UNMAP: pt__commit_clear(txn, r, left); break;
	case PT_ITEM_ANNOTATE: pt__commit_annotate(txn, r, left); break;
	case PT_ITEM_FLUSH: pt__commit_flush(txn, r, left); break;
	case PT_ITEM_HOLD:
		txn->cursor = r->last + 1;
		--*left;
		break;
	default: pt__commit_rewrite(txn, r, left);
	}
}

/* What was taken goes from the shadows before anything else is done: they may have far more of it
 * than a step's worth. */
static void take(struct pt_txn *txn, int64_t *left)
{
	uint32_t tlbis = pt__take(txn->claim.ctx, txn->agent, &txn->taken, left);

	txn->effects.tlbis += tlbis;
	txn->flushed |= tlbis != 0;
}

enum pt_outcome pt__commit(struct pt_txn *txn, int64_t *left)
{
	while (txn->at < txn->count) {
		struct pt__range r;

		pt__range_of(&r, &txn->item[txn->at]);
		while ((txn->cursor <= r.last || txn->taken.pending) && *left > 0) {
			if (PT__UNLIKELY(txn->taken.pending)) {
				take(txn, left);
				continue;
			}
			if (txn->unlinked_count >= PT__UNLINKED_MAX && !pt__settle(txn, left))
				break;
			commit_one(txn, &r, left);
		}
		if (txn->cursor <= r.last || txn->taken.pending ||
		    (txn->unlinked_count && !pt__settle(txn, left))) {
			pt__settle(txn, left);
			shrink(txn);
			return PT_MORE;
		}
		pt__finish_item(txn);
		txn->before = txn->effects;
		txn->met_rights = txn->tightened = false;
		if (++txn->at < txn->count)
			txn->cursor = txn->item[txn->at].ipa.v;
	}
	return PT_OK;
}

void pt__unfold_at(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at,
		   int64_t *left)
{
	struct pt__resize rs = {r->ctx, &txn->ledger, &txn->effects};

	pt__regroup(&rs, at->slot, txn->cursor, at->level, &(struct pt__regroup){0});
	*left -= INT64_C(1) << pt__group_bits(r->gs, at->level);
	txn->flushed = true;
}

void pt__split(struct pt_txn *txn, const struct pt__range *r, const struct pt__at *at)
{
	struct pt__resize rs = {r->ctx, &txn->ledger, &txn->effects};
	struct pt_page page = pt__reserved(txn);

	if (at->entry & PT_PTE_CONTIGUOUS)
		pt__regroup(&rs, at->slot, txn->cursor, at->level, &(struct pt__regroup){0});
	pt__split_blocks(&rs, at->slot, txn->cursor & ~pt__mask(r, at->level), at->level, &page, 1);
	txn->flushed = true;
}
