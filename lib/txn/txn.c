/* SPDX-License-Identifier: BSD-2-Clause */
/* The transaction: claim, drain, prepare, commit point, commit, flush, retire, release. */
#include "range.h"

/* clang-format off */
/*
 * CLAIM    claims the hull of the items, rounded out to the blocks that its edges cut; may queue.
 * DRAIN    waits for the sections that began before.
 * PREPARE  (plan.c) may fail: then everything is given back and nothing has changed. If a fault has
 *          put a larger block over an edge before the drain, it starts again with a claim that
 *          covers any block.
 * COMMIT   (commit.c) after the commit point: cannot fail, allocates nothing.
 * FLUSH    discharges what is owed, releases the claim.
 * RETIRE   waits for accesses in flight that may use an old translation.
 *
 * Only the agent that steps it touches a transaction. With no other agent on the machine nothing
 * waits.
 */
/* clang-format on */

static enum pt_outcome refuse(struct pt_txn *txn, enum pt_outcome code, uint32_t index)
{
	txn->error = (struct pt_error){code, index, txn->count ? txn->item[index].ipa : pt_ipa(0),
				       PT_TTL_UNKNOWN};
	txn->phase = PT_TXN_DONE;
	return code;
}

enum pt_outcome pt_txn_init(struct pt_txn *txn, struct pt_item *items, uint32_t count,
			    uint64_t expected_generation, bool validate_only,
			    void (*wake)(struct pt_waiter *))
{
	__builtin_memset(txn, 0, offsetof(struct pt_txn, ledger));
	txn->item = items;
	txn->count = count;
	txn->phase = PT_TXN_CLAIM;
	txn->validate_only = validate_only;
	txn->expected_generation = expected_generation;
	txn->wake = wake;
	pt_ledger_init(&txn->ledger, count ? items[0].ctx : NULL);
	txn->taken.pending = false;
	if (!count)
		return refuse(txn, PT_INVALID, 0);
	for (uint32_t i = 1; i < count; i++) { /* B20 */
		const struct pt_item *before = &items[i - 1];

		if (items[i].ctx != before->ctx || items[i].ipa.v < before->ipa.v + before->size)
			return refuse(txn, PT_INVALID, i);
	}
	for (uint32_t i = 0; i < count; i++)
		pt__ask_policy(&items[i]);
	return PT_OK;
}

enum pt_outcome pt_ctx_destroy_begin(struct pt_txn *txn, struct pt_ctx *ctx,
				     void (*wake)(struct pt_waiter *))
{
	struct pt_machine *machine = ctx->machine;
	bool first;

	*txn = (struct pt_txn){.phase = PT_TXN_CLAIM,
			       .teardown = true,
			       .wake = wake,
			       .whole = {.ctx = ctx,
					 .size = UINT64_C(1) << ctx->geo.ipa_bits,
					 .kind = PT_ITEM_UNMAP}};
	pt_ledger_init(&txn->ledger, ctx);
	pt_port_lock(
		&machine->lock); /* orders it with claims: none is granted to others after this */
	pt_port_note(PT_EVENT_CTX_DYING, 0, txn, ctx, 0, 0);
	first = atomic_exchange(&ctx->state, PT_CTX_DYING) == PT_CTX_LIVE;
	pt_port_unlock(&machine->lock);
	if (!first)
		return refuse(txn, PT_WRONG_STATE, 0);
	return PT_OK;
}

static enum pt_outcome claim(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->item[0].ctx;
	enum pt_outcome outcome;
	uint64_t lo, hi;

	if (txn->claim.ctx)
		return pt__claim_activate(&txn->claim) ? PT_OK : PT_PARKED;
	if (!txn->teardown && pt__is_dying(ctx))
		return PT_WRONG_STATE;
	pt__hull(txn, &lo, &hi);
	outcome = pt__claim_acquire_lazy(&txn->claim, ctx, lo, hi, txn->teardown, txn->wake);
	if (pt_is_error(outcome))
		txn->claim.ctx = NULL;
	return outcome;
}

/* Gives everything back. The claim is released by whoever holds it. */
static void give_back(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->item[0].ctx;

	pt__pages_give(txn->agent, ctx, &txn->reserved);
	if (txn->claim.ctx && !pt_claim_cancel(&txn->claim))
		pt_claim_release(&txn->claim);
	txn->claim.ctx = NULL;
	txn->phase = PT_TXN_DONE;
}

/*
 * A block over an edge reaches out of the claim: once more, rounded out to any block. Who waits for
 * a claim holds nothing else.
 */
static void widen(struct pt_txn *txn)
{
	pt__pages_give(txn->agent, txn->item[0].ctx, &txn->reserved);
	pt_claim_release(&txn->claim);
	txn->claim.ctx = NULL;
	txn->wide = true;
	txn->phase = PT_TXN_CLAIM;
}

void pt__start_plan(struct pt_txn *txn)
{
	pt__rewind(txn);
	txn->need = txn->replaced_end = txn->asked = 0;
	for (unsigned i = 0; i < PT_LEVELS; i++)
		txn->counted[i] = 0;
	txn->phase = PT_TXN_PREPARE;
}

/* The commit point: one store, after which the operation completes whatever its client does. */
static enum pt_outcome commit_point(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->item[0].ctx;
	uint64_t generation = txn->expected_generation;

	if (!generation && txn->quiet) {
		generation = atomic_load(&ctx->generation) - 1;
	} else if (!generation) {
		generation = atomic_fetch_add(&ctx->generation, 1);
	} else if (!atomic_compare_exchange_strong(&ctx->generation, &generation, generation + 1)) {
		txn->error = (struct pt_error){PT_GENERATION_MISMATCH, 0, txn->item[0].ipa,
					       PT_TTL_UNKNOWN};
		return PT_GENERATION_MISMATCH;
	}
	txn->generation = generation + 1;
	if (txn->publish)
		txn->replaced = pt_ctx_set_slots(ctx, txn->publish);
	pt_port_note(PT_EVENT_OP_COMMIT, 0, txn, ctx, 0, 0);
	txn->committed = true;
	pt__rewind(txn);
	txn->phase = PT_TXN_COMMIT;
	return PT_OK;
}

/* validate_only ends here: with the pages given back, and what a commit would have counted. */
static enum pt_outcome validated(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->item[0].ctx;
	uint64_t now = atomic_load(&ctx->generation);

	if (txn->expected_generation && txn->expected_generation != now) {
		txn->error = (struct pt_error){PT_GENERATION_MISMATCH, 0, txn->item[0].ipa,
					       PT_TTL_UNKNOWN};
		return PT_GENERATION_MISMATCH;
	}
	txn->generation = now;
	return PT_OK;
}

static enum pt_outcome prepare(struct pt_txn *txn, int64_t *left)
{
	enum pt_outcome outcome = pt__plan(txn, left);

	if (outcome == PT_PARKED) {
		widen(txn);
		return PT_OK;
	}
	if (outcome == PT_OK)
		outcome = txn->validate_only ? validated(txn) : commit_point(txn);
	if (pt_is_error(outcome))
		txn->effects = (struct pt_effects){0}; /* what was planned has not happened */
	if (pt_is_error(outcome) || (outcome == PT_OK && txn->validate_only))
		give_back(txn);
	return outcome;
}

/*
 * The start tables go after a grace period that begins once no new section can come to them. The
 * claim stays: whoever still holds the context meets it and learns of the state.
 */
static void close_ctx(struct pt_claim *claim)
{
	atomic_store(&claim->ctx->state, PT_CTX_CLOSED);
	pt__claims_wake(claim);
}

/* Nothing is left to take apart: commit ends each item so. */
static void finish(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->claim.ctx;

	if (txn->teardown)
		txn->ledger.whole = true; /* V1: the VMID may be used again */
	pt__flush(txn);
	pt__pages_give(txn->agent, ctx, &txn->reserved);
	if (txn->teardown)
		close_ctx(&txn->claim);
	else
		pt__claim_let_go(&txn->claim);
	pt_grace_begin(&txn->grace, ctx->machine, txn->agent);
	if (!txn->flushed && !txn->teardown)
		txn->grace.mask = 0;
	txn->phase = PT_TXN_RETIRE;
}

static void end(struct pt_txn *txn)
{
	struct pt_ctx *ctx = txn->item[0].ctx;

	if (txn->teardown) {
		pt_port_note(PT_EVENT_CTX_GONE, 0, txn, ctx, 0, 0);
		pt_pool_put_root(txn->agent, ctx->geo.start_bytes,
				 pt_pa_page(ctx->machine->port, ctx->root));
	}
	txn->phase = PT_TXN_DONE;
}

/* One phase, or a part of it. PT_OK: go on at once. */
static enum pt_outcome phase(struct pt_txn *txn, int64_t *left)
{
	struct pt_machine *machine = txn->item[0].ctx->machine;
	enum pt_outcome outcome = PT_OK;

	switch (txn->phase) {
	case PT_TXN_CLAIM:
		outcome = claim(txn);
		if (pt_is_error(outcome)) {
			give_back(txn); /* a wider claim came too late for a dying context */
			return refuse(txn, outcome, 0);
		}
		if (outcome != PT_OK)
			return outcome;
		pt_grace_begin(&txn->grace, machine, txn->agent);
		txn->phase = PT_TXN_DRAIN;
		return PT_OK;
	case PT_TXN_DRAIN:
		if (!pt_grace_done(&txn->grace, machine))
			return PT_MORE;
		pt_port_note(PT_EVENT_CLAIM_DRAINED, 0, &txn->claim, txn->claim.ctx, txn->claim.lo,
			     txn->claim.hi);
		pt__start_plan(txn);
		return PT_OK;
	case PT_TXN_PREPARE: return prepare(txn, left);
	case PT_TXN_COMMIT:
		outcome = pt__commit(txn, left);
		if (outcome == PT_OK)
			txn->phase = PT_TXN_FLUSH;
		return outcome;
	case PT_TXN_FLUSH: finish(txn); return PT_OK;
	case PT_TXN_RETIRE:
		if (pt__claims_go_on(txn->item[0].ctx, &txn->claim) ||
		    !pt_grace_done(&txn->grace, machine))
			return PT_MORE;
		end(txn);
		return PT_OK;
	case PT_TXN_DONE: break;
	}
	return PT_OK;
}

static enum pt_outcome step(struct pt_txn *txn, struct pt_agent *agent, int64_t left)
{
	txn->agent = agent;
	if (txn->teardown) { /* the caller may have moved the transaction */
		txn->item = &txn->whole;
		txn->count = 1;
	}
	if (txn->phase != PT_TXN_DONE)
		pt_machine_use(txn->item[0].ctx->machine, agent);
	while (txn->phase != PT_TXN_DONE) {
		enum pt_outcome outcome = phase(txn, &left);

		if (outcome != PT_OK)
			return outcome;
		if (left <= 0 && txn->phase != PT_TXN_DONE)
			return PT_MORE;
	}
	return txn->error.code;
}

static void note_op(enum pt_event_kind kind, const struct pt_txn *txn, uint64_t lo)
{
	pt_port_note(kind, txn->teardown ? PT_OP_TEARDOWN : PT_OP_TXN, txn, txn->ledger.ctx, lo, 0);
}

enum pt_outcome pt_txn_step(struct pt_txn *txn, struct pt_agent *agent, uint32_t budget)
{
	enum pt_outcome outcome;

	note_op(PT_EVENT_OP_BEGIN, txn, (uintptr_t)agent);
	outcome = step(txn, agent, budget ? budget : 1);
	note_op(PT_EVENT_OP_END, txn, outcome);
	return outcome;
}

bool pt_txn_abort(struct pt_txn *txn, struct pt_agent *agent)
{
	if (txn->committed || (txn->teardown && txn->phase != PT_TXN_DONE))
		return false;
	txn->agent = agent;
	note_op(PT_EVENT_OP_BEGIN, txn, (uintptr_t)agent);
	if (txn->phase != PT_TXN_DONE)
		give_back(txn);
	note_op(PT_EVENT_OP_END, txn, PT_OK);
	return true;
}
