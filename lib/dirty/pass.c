/* SPDX-License-Identifier: BSD-2-Clause */
/* The pass of a dirty operation over leaves and bits. */
#include "../txn/contiguous.h"
#include "dirty.h"

/*
 * One bounded part of the range: leaves first (made clean, or read), then the flush, then the bits,
 * then the claim's lower end. A page whose bit is taken is thus clean and flushed (D2), and a page
 * that becomes dirty behind the claim sets its bit for the next look.
 */

bool pt__dirty_cleans(const struct pt_dirty *op)
{
	const struct pt_dirty_args *a = &op->args;

	return a->kind == PT_DIRTY_START ? !a->initially_set : a->kind == PT_DIRTY_GET && a->clear;
}

bool pt__dirty_reads_tables(const struct pt_dirty *op)
{
	return pt__dirty_cleans(op) ||
	       (op->args.kind != PT_DIRTY_START && pt__hw_dirty(op->args.log->ctx));
}

static bool splits(const struct pt_dirty *op)
{
	return op->args.log->eager && pt__dirty_cleans(op) && op->stopped == PT_OK;
}

/* Only pages whose bit is set concern it: without hardware dirty state a page that is not is clean
 * (D1). */
static bool is_sparse(const struct pt_dirty *op)
{
	return op->args.kind == PT_DIRTY_GET && !pt__hw_dirty(op->args.log->ctx);
}

/* Words of a log for [lo, hi], less one: each is a visit. */
static int64_t words(const struct pt_dirty *op, uint64_t lo, uint64_t hi)
{
	return (int64_t)((hi - lo) >> (6 + op->args.log->shift));
}

/* What was written before a log began is none of its business; one that ends stands in the list no
 * more. */
static void feed(const struct pt_dirty *op, pt_pte e, uint64_t lo, uint64_t hi, int64_t *left)
{
	struct pt_dirty_log *log = op->args.log;

	if (!(e & PT_PTE_DBM))
		return;
	*left -= words(op, lo, hi);
	if (op->args.kind == PT_DIRTY_STOP)
		pt__log_fill(log, lo > log->ipa ? lo : log->ipa, hi < log->last ? hi : log->last);
	else
		pt__mark(log->ctx, lo, hi, op->args.kind == PT_DIRTY_START ? log : NULL);
}

/*
 * Pages of a group are not told apart: an operation that cleans takes the hint off it, and no other
 * comes, since a map in a log makes none. For one that only reads, what is dirty is the whole
 * group.
 */
static pt_pte ungroup(struct pt_dirty *op, struct pt__at *at, uint64_t *lo, uint64_t *hi)
{
	struct pt_ctx *ctx = op->args.log->ctx;
	struct pt__resize rs = {ctx, &op->ledger, &op->effects};
	uint64_t mask = (UINT64_C(1) << pt__span_shift(ctx->geo.granule_shift, at->entry, at->level,
						       at->shift)) -
			1;

	if (!pt__dirty_cleans(op)) {
		*lo &= ~mask;
		*hi |= mask;
		return at->entry;
	}
	op->flushed = true;
	return pt__regroup(&rs, at->slot, *lo, at->level, &(struct pt__regroup){0});
}

/* What shadows have of a leaf that is made clean cannot stay writable. False: others first. */
static bool takes(struct pt_dirty *op, pt_pte e, uint64_t lo, uint64_t hi)
{
	return !(e & PT_PTE_S2AP_W) || !pt__dirty_cleans(op) ||
	       pt__takes(op->args.log->ctx, &op->taken, lo, hi, PT_PROT_W);
}

/* A dirty leaf: fed, and made clean if the operation cleans. Leaves may reach out of the log.
 * False: not yet, and it is as it was. */
static bool visit(struct pt_dirty *op, struct pt__at *at, uint64_t lo, uint64_t hi, int64_t *left)
{
	pt_pte old = at->entry;

	if (PT__UNLIKELY(old & PT_PTE_CONTIGUOUS))
		old = at->entry = ungroup(op, at, &lo, &hi);
	if (!takes(op, old, lo, hi))
		return false;
	if (!(old & PT_PTE_S2AP_W))
		return true;
	/* The hardware may set AF meanwhile. */
	while (pt__dirty_cleans(op)) {
		at->entry = (old & ~PT_PTE_S2AP_W) | PT_PTE_DBM;
		if (!pt_pte_cas(at->slot, &old, at->entry))
			continue;
		pt_ledger_add(&op->ledger, lo, hi, at->level, false);
		op->effects.leaves_written++;
		break;
	}
	feed(op, old, lo, hi, left);
	return true;
}

/* A clean block becomes a table of clean leaves. False: no page for it; from now on faults split.
 */
static bool split(struct pt_dirty *op, const struct pt__at *at, uint64_t base, int64_t *left)
{
	struct pt_ctx *ctx = op->args.log->ctx;
	struct pt__resize rs = {ctx, &op->ledger, &op->effects};
	struct pt_page page;

	op->stopped = pt__page_get(op->agent, ctx, &page);
	if (op->stopped != PT_OK)
		return false;
	pt__split_blocks(&rs, at->slot, base, at->level, &page, 1);
	op->flushed = true;
	*left -= pt_table_entries(&ctx->geo);
	return true;
}

static bool is_set(const struct pt_dirty_log *log, uint64_t ipa)
{
	uint64_t page = (ipa - log->ipa) >> log->shift;

	return atomic_load_explicit(&log->bits[page / 64], memory_order_relaxed) >> page % 64 & 1;
}

/*
 * Past [op->next, hi], or as far as the bits of it may be taken in this step: two visits a word,
 * which is read, put aside and told. A leaf that is clean is so when the rest of its bits are
 * taken, too. False: not to the end.
 */
static bool pass_to(struct pt_dirty *op, uint64_t hi, int64_t *left)
{
	uint64_t end = hi < op->last ? hi : op->last, next = op->next;
	int64_t most = *left > 1 ? *left / 2 : 1;

	if (op->args.kind == PT_DIRTY_GET && words(op, next, end) >= most)
		end = next + ((uint64_t)most << (6 + op->args.log->shift)) - 1;
	if (op->args.kind == PT_DIRTY_GET)
		*left -= 2 * words(op, next, end);
	op->next = end + 1;
	return end == hi;
}

/* Leaves and holes from op->next on, up to a table, the end of this table, or a clean page. */
static void visit_run(struct pt_dirty *op, int64_t *left)
{
	const struct pt_ctx *ctx = op->args.log->ctx;
	const struct pt_geometry *g = &ctx->geo;
	struct pt__at at;
	unsigned entries;

	pt__descend(ctx, op->next, PT_LEVEL_LAST, g->granule_shift, &at);
	entries = at.level == g->start_level ? g->start_entries : pt_table_entries(g);
	for (;;) {
		uint64_t mask = (UINT64_C(1) << at.shift) - 1, hi = op->next | mask;
		uint64_t lo = op->next & ~mask;

		--*left;
		if (pt_pte_valid(at.entry) && !visit(op, &at, lo, hi, left))
			return;
		if (pt_pte_valid(at.entry) && at.level < PT_LEVEL_LAST && splits(op) &&
		    split(op, &at, lo, left))
			return; /* to its leaves, which may have to be split, too */
		if (!pass_to(op, hi, left) || op->next > op->last || ++at.index == entries ||
		    *left <= 0)
			return;
		at.entry = pt_pte_load(++at.slot);
		if (pt_pte_is_table(at.entry, at.level))
			return;
		if (is_sparse(op) && !is_set(op->args.log, op->next))
			return;
	}
}

/* Bits alone: a visit for each word. */
static void pass_words(struct pt_dirty *op, int64_t *left)
{
	uint64_t most = (uint64_t)*left << (6 + op->args.log->shift);

	if (op->last - op->next < most)
		most = op->last - op->next + 1;
	op->next += most;
	*left -= (int64_t)(most >> (6 + op->args.log->shift)) + 1;
}

void pt__dirty_take(struct pt_dirty *op, int64_t *left)
{
	uint32_t tlbis = pt__take(op->args.log->ctx, op->agent, &op->taken, left);

	op->effects.tlbis += tlbis;
	op->flushed |= tlbis != 0;
}

static void pass_tables(struct pt_dirty *op, int64_t *left)
{
	while ((op->next <= op->last || op->taken.pending) && *left > 0) {
		if (op->taken.pending) {
			pt__dirty_take(op, left);
			continue;
		}
		if (is_sparse(op))
			op->next = pt__log_find(op->args.log, op->next, op->last, left);
		if (op->next <= op->last && *left > 0)
			visit_run(op, left);
	}
}

void pt__dirty_flush(struct pt_dirty *op)
{
	uint32_t tlbis = pt_ledger_discharge(&op->ledger);

	op->effects.tlbis += tlbis;
	op->flushed |= tlbis != 0;
}

void pt__dirty_pass(struct pt_dirty *op, int64_t *left)
{
	struct pt_dirty_log *log = op->args.log;
	uint64_t from = op->from;

	if (pt__dirty_reads_tables(op))
		pass_tables(op, left);
	else
		pass_words(op, left);
	pt__dirty_flush(op);
	if (op->next == from || op->taken.pending)
		return;
	op->from = op->next;
	if (op->args.kind == PT_DIRTY_GET)
		pt__log_collect(op, from, op->next - 1);
	else if (op->args.kind == PT_DIRTY_START && log->initially_set)
		pt__log_fill(log, from, op->next - 1);
}
