/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on dirty logs: start, get, stop. */
#include "dirty.h"
#include "../txn/contiguous.h"

/*
 * BEGIN -> SETTLE -> CLAIM -> DRAIN -> PASS -> WAIT -> COUNT -> DONE. The claim is taken only to
 * look at tables, or to start: bits alone are read beside the faults that set them. START attaches
 * its log once the claim is drained: no fault is under way then that could miss it, and none comes
 * before the claim has passed its page. STOP detaches at the same point and for the same reason:
 * what was written before is in the bits or, where hardware keeps it, still in the leaves, which
 * nobody else changes until the pass has read them; and after WAIT no section knows the log.
 * Whoever gives up, or fails, leaves clean pages clean and puts back what it has collected; in
 * mid-pass by GIVE_UP, since writes of shadows to pages that are clean by now are to be seen, too.
 */
enum { BEGIN, SETTLE, CLAIM, DRAIN, PASS, WAIT, COUNT, GIVE_UP, DONE };

static enum pt_outcome check(const struct pt_dirty_args *a)
{
	const struct pt_dirty_log *log = a->log;
	enum pt_outcome outcome;

	if (!log)
		return PT_INVALID;
	switch (a->kind) {
	case PT_DIRTY_START:
		if (!a->ctx || !a->memory)
			return PT_INVALID;
		return pt_geometry_check_range(&a->ctx->geo, a->ipa, a->size);
	case PT_DIRTY_GET:
		if (!a->bitmap)
			return PT_INVALID;
		outcome = pt_geometry_check_range(&log->ctx->geo, a->ipa, a->size);
		if (outcome != PT_OK)
			return outcome;
		return a->ipa.v < log->ipa || a->ipa.v + a->size - 1 > log->last ? PT_OUT_OF_RANGE
										 : PT_OK;
	case PT_DIRTY_STOP: return PT_OK;
	default: return PT_INVALID;
	}
}

enum pt_outcome pt_dirty_init(struct pt_dirty *op, const struct pt_dirty_args *args,
			      void (*wake)(struct pt_waiter *))
{
	enum pt_outcome outcome = check(args);

	if (outcome != PT_OK)
		return outcome;
	*op = (struct pt_dirty){.args = *args, .wake = wake};
	if (args->kind == PT_DIRTY_START)
		pt__log_init(args->log, args);
	if (args->kind == PT_DIRTY_STOP) {
		op->args.ipa = pt_ipa(args->log->ipa);
		op->args.size = args->log->last - args->log->ipa + 1;
	}
	op->next = op->args.ipa.v;
	op->last = op->args.ipa.v + op->args.size - 1;
	if (args->kind == PT_DIRTY_START) /* else it is read with the log taken: begin() */
		op->generation = args->log->generation;
	pt_ledger_init(&op->ledger, args->log->ctx);
	return PT_OK;
}

/* Takes the log for this operation. */
static enum pt_outcome begin(struct pt_dirty *op)
{
	struct pt_dirty_log *log = op->args.log;
	uint64_t told = op->args.generation;

	if (atomic_exchange_explicit(&log->busy, 1, memory_order_acquire))
		return PT_BUSY;
	op->owns = true;
	op->generation = log->generation;
	if (op->args.kind == PT_DIRTY_GET && told && told != log->generation &&
	    told + 1 != log->generation)
		return PT_GENERATION_MISMATCH;
	op->phase = op->args.kind == PT_DIRTY_START ? CLAIM : SETTLE;
	return PT_OK;
}

/* What the last answer told has arrived, or is to be told again. */
static enum pt_outcome settle(struct pt_dirty *op, int64_t *left)
{
	struct pt_dirty_log *log = op->args.log;
	bool arrived = op->args.kind == PT_DIRTY_STOP || op->args.generation == log->generation;

	if (!pt__log_settle(log, arrived && !log->given_up, left))
		return PT_MORE;
	log->given_up = false;
	op->phase = CLAIM;
	return PT_OK;
}

static uint64_t edge_mask(const struct pt_dirty *op, uint64_t ipa)
{
	return pt__edge_mask(op->args.log->ctx, ipa, op->wide);
}

/* START begins and STOP ends the log, once no section is under way that could miss it. */
static void begin_pass(struct pt_dirty *op)
{
	if (op->args.kind == PT_DIRTY_START)
		pt__log_attach(op->args.log);
	else if (op->args.kind == PT_DIRTY_STOP)
		pt__log_detach(op->args.log);
	op->attached = op->args.kind == PT_DIRTY_START;
	op->from = op->next;
	op->phase = PASS;
}

static enum pt_outcome claim(struct pt_dirty *op)
{
	struct pt_ctx *ctx = op->args.log->ctx;
	uint64_t lo = op->args.ipa.v, hi = op->last;
	uint64_t space = (UINT64_C(1) << ctx->geo.ipa_bits) - 1;
	bool cleans = op->args.kind == PT_DIRTY_START || pt__dirty_cleans(op);
	enum pt_outcome outcome;

	if (!cleans && !pt__dirty_reads_tables(op)) {
		begin_pass(op);
		return PT_OK;
	}
	if (op->claim.ctx) {
		outcome = pt__claim_activate(&op->claim) ? PT_OK : PT_PARKED;
	} else if (pt__is_dying(ctx)) {
		return PT_WRONG_STATE;
	} else {
		lo &= ~edge_mask(op, lo);
		hi |= edge_mask(op, hi);
		hi = hi < space ? hi : space;
		outcome = cleans ? pt__claim_acquire_lazy(&op->claim, ctx, lo, hi, false, op->wake)
				 : pt_claim_acquire(&op->claim, ctx, lo, hi, PT_CLAIM_SHARED, false,
						    op->wake);
	}
	if (pt_is_error(outcome))
		op->claim.ctx = NULL;
	if (outcome != PT_OK)
		return outcome;
	pt_grace_begin(&op->grace, ctx->machine, op->agent);
	op->phase = DRAIN;
	return PT_OK;
}

/* Does a leaf at an edge reach out of the claim? */
static bool is_narrow(const struct pt_dirty *op)
{
	uint64_t lo = op->args.ipa.v, hi = op->last;

	return (lo & ~edge_mask(op, lo)) < op->claim.lo || (hi | edge_mask(op, hi)) > op->claim.hi;
}

static enum pt_outcome drain(struct pt_dirty *op)
{
	if (!pt_grace_done(&op->grace, op->args.log->ctx->machine))
		return PT_MORE;
	if (!op->wide && is_narrow(op)) {
		pt_claim_release(&op->claim);
		op->claim.ctx = NULL;
		op->wide = true;
		op->phase = CLAIM;
		return PT_OK;
	}
	pt_port_note(PT_EVENT_CLAIM_DRAINED, op->claim.mode == PT_CLAIM_SHARED, &op->claim,
		     op->claim.ctx, op->claim.lo, op->claim.hi);
	begin_pass(op);
	return PT_OK;
}

/* The claim keeps the first byte of a block or group that is still to be looked at as a whole. */
static void shrink(struct pt_dirty *op)
{
	if (op->claim.ctx)
		pt_claim_shrink(&op->claim,
				op->from & ~pt__edge_mask(op->claim.ctx, op->from, false));
}

static enum pt_outcome pass(struct pt_dirty *op, int64_t *left)
{
	struct pt_machine *machine = op->args.log->ctx->machine;

	if (op->args.kind != PT_DIRTY_STOP || pt__dirty_reads_tables(op))
		pt__dirty_pass(op, left);
	else
		op->next = op->last + 1;
	if (op->next <= op->last || op->taken.pending) {
		shrink(op);
		return PT_MORE;
	}
	if (op->claim.ctx)
		pt__claim_let_go(&op->claim);
	op->claim.ctx = NULL;
	pt_grace_begin(&op->grace, machine, op->agent);
	if (!op->flushed && op->args.kind != PT_DIRTY_STOP)
		op->grace.mask = 0;
	op->phase = WAIT;
	return PT_OK;
}

static void finish(struct pt_dirty *op)
{
	struct pt_dirty_log *log = op->args.log;

	if (op->args.kind == PT_DIRTY_GET && op->args.clear)
		op->generation = ++log->generation;
	op->owns = false;
	atomic_store_explicit(&log->busy, 0, memory_order_release);
	op->phase = DONE;
}

static enum pt_outcome wait(struct pt_dirty *op)
{
	if (pt__claims_go_on(op->args.log->ctx, &op->claim) ||
	    !pt_grace_done(&op->grace, op->args.log->ctx->machine))
		return PT_MORE;
	if (op->args.kind == PT_DIRTY_STOP) {
		op->next = op->args.ipa.v;
		op->phase = COUNT;
	} else {
		finish(op);
	}
	return PT_OK;
}

static enum pt_outcome count(struct pt_dirty *op, int64_t *left)
{
	uint64_t most = (uint64_t)*left << (6 + op->args.log->shift), hi = op->last;

	if (hi - op->next >= most)
		hi = op->next + most - 1;
	op->dirty += pt__log_count(op->args.log, op->next, hi);
	*left -= (int64_t)((hi - op->next) >> (6 + op->args.log->shift)) + 1;
	op->next = hi + 1;
	if (op->next <= op->last)
		return PT_MORE;
	finish(op);
	return PT_OK;
}

static enum pt_outcome give_up(struct pt_dirty *op, int64_t *left)
{
	while (op->taken.pending && *left > 0)
		pt__dirty_take(op, left);
	return op->taken.pending ? PT_MORE : PT_CANCELLED;
}

/* One phase, or a part of it. */
static enum pt_outcome phase(struct pt_dirty *op, int64_t *left)
{
	switch (op->phase) {
	case BEGIN: return begin(op);
	case SETTLE: return settle(op, left);
	case CLAIM: return claim(op);
	case DRAIN: return drain(op);
	case PASS: return pass(op, left);
	case WAIT: return wait(op);
	case GIVE_UP: return give_up(op, left);
	default: return count(op, left); /* COUNT */
	}
}

/* Everything goes back but the write protection. */
static void undo(struct pt_dirty *op)
{
	struct pt_dirty_log *log = op->args.log;

	if (op->attached)
		pt__log_detach(log);
	if (op->claim.ctx && !pt_claim_cancel(&op->claim))
		pt_claim_release(&op->claim);
	op->claim.ctx = NULL;
	if (op->owns && op->args.kind == PT_DIRTY_GET && op->phase > SETTLE)
		log->given_up = true; /* put back by whoever comes next: bounded steps */
	if (op->owns)
		atomic_store_explicit(&log->busy, 0, memory_order_release);
	op->owns = op->attached = false;
	op->phase = DONE;
}

/* A context that is torn down has no faults and no tables to wait for. */
static enum pt_outcome failed(struct pt_dirty *op, enum pt_outcome outcome)
{
	if (outcome == PT_WRONG_STATE && op->args.kind == PT_DIRTY_STOP) {
		op->next = op->last + 1;
		begin_pass(op);
		return PT_OK;
	}
	undo(op);
	return outcome;
}

static enum pt_outcome step(struct pt_dirty *op, struct pt_agent *agent, int64_t left)
{
	op->agent = agent;
	if (op->phase != DONE)
		pt_machine_use(op->args.log->ctx->machine, agent);
	while (op->phase != DONE) {
		enum pt_outcome outcome = phase(op, &left);

		if (pt_is_error(outcome))
			outcome = failed(op, outcome);
		if (outcome != PT_OK)
			return outcome;
		if (left <= 0 && op->phase != DONE)
			return PT_MORE;
	}
	return PT_OK;
}

static void note_op(enum pt_event_kind kind, const struct pt_dirty *op, uint64_t lo)
{
	pt_port_note(kind, PT_OP_DIRTY, op, op->args.log->ctx, lo, 0);
}

enum pt_outcome pt_dirty_step(struct pt_dirty *op, struct pt_agent *agent, uint32_t budget)
{
	enum pt_outcome outcome;

	note_op(PT_EVENT_OP_BEGIN, op, (uintptr_t)agent);
	outcome = step(op, agent, budget ? budget : 1);
	note_op(PT_EVENT_OP_END, op, outcome);
	return outcome;
}

bool pt_dirty_abort(struct pt_dirty *op, struct pt_agent *agent)
{
	op->agent = agent;
	if (op->phase == DONE)
		return true;
	if (op->args.kind == PT_DIRTY_STOP)
		return false;
	if (op->taken.pending)
		op->phase = GIVE_UP;
	if (op->phase == GIVE_UP)
		return false;
	note_op(PT_EVENT_OP_BEGIN, op, (uintptr_t)agent);
	undo(op);
	note_op(PT_EVENT_OP_END, op, PT_CANCELLED);
	return true;
}
