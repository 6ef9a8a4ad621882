/* SPDX-License-Identifier: BSD-2-Clause */
/* Upkeep operations: the phases that they share. */
#include "upkeep.h"

/* clang-format off */
/*
 * CLAIM    the range, rounded out to the blocks that its edges cut; may queue
 * DRAIN    waits for the sections that began before
 * WORK     acts and passes, step by step; at the end of each step everything owed is flushed and the claim
 *          shrinks. If a fault has put a larger block over an edge before the drain, the rest of the
 *          range is claimed again, wide enough for any block
 * RETIRE   waits for accesses in flight that may use an old translation
 *
 * A test of the access flags alone writes nothing and needs none of it but WORK.
 */
/* clang-format on */

static enum pt_outcome check_use(const struct pt_upkeep_args *a)
{
	bool age = a->kind == PT_UPKEEP_AGE, split = a->kind == PT_UPKEEP_SPLIT;

	if (a->kind < PT_UPKEEP_AGE || a->kind > PT_UPKEEP_SWEEP)
		return PT_INVALID;
	if (!age && (a->clear || a->bitmap))
		return PT_INVALID;
	if (!split && (a->level || a->page_budget))
		return PT_INVALID;
	return !split || pt_level_has_leaf(&a->ctx->geo, a->level) ? PT_OK : PT_INVALID;
}

enum pt_outcome pt_upkeep_init(struct pt_upkeep *upkeep, const struct pt_upkeep_args *args,
			       void (*wake)(struct pt_waiter *))
{
	enum pt_outcome outcome = check_use(args);

	if (outcome == PT_OK)
		outcome = pt_geometry_check_range(&args->ctx->geo, args->ipa, args->size);
	*upkeep = (struct pt_upkeep){.args = *args,
				     .last = args->ipa.v + args->size - 1,
				     .next = args->ipa.v,
				     .phase = PT_UPKEEP_CLAIM,
				     .wake = wake};
	if (outcome != PT_OK) {
		upkeep->phase = PT_UPKEEP_DONE;
		upkeep->result = outcome;
		return outcome;
	}
	if (args->kind == PT_UPKEEP_AGE && !args->clear)
		upkeep->phase = PT_UPKEEP_WORK;
	pt_ledger_init(&upkeep->ledger, args->ctx);
	return PT_OK;
}

static uint64_t edge_mask(const struct pt_upkeep *upkeep, uint64_t ipa)
{
	if (upkeep->args.kind != PT_UPKEEP_AGE && upkeep->args.kind != PT_UPKEEP_SPLIT)
		return 0; /* acts on whole spans in the range alone */
	return pt__edge_mask(upkeep->args.ctx, ipa, upkeep->wide);
}

static enum pt_outcome claim(struct pt_upkeep *upkeep)
{
	struct pt_ctx *ctx = upkeep->args.ctx;
	uint64_t space = (UINT64_C(1) << ctx->geo.ipa_bits) - 1, lo, hi;
	enum pt_outcome outcome;

	if (upkeep->claim.ctx)
		return pt__claim_activate(&upkeep->claim) ? PT_OK : PT_PARKED;
	if (pt__is_dying(ctx))
		return PT_WRONG_STATE;
	lo = upkeep->next & ~edge_mask(upkeep, upkeep->next);
	hi = upkeep->last | edge_mask(upkeep, upkeep->last);
	outcome = pt__claim_acquire_lazy(&upkeep->claim, ctx, lo, hi < space ? hi : space, false,
					 upkeep->wake);
	if (pt_is_error(outcome))
		upkeep->claim.ctx = NULL;
	return outcome;
}

void pt__upkeep_settle(struct pt_upkeep *upkeep)
{
	struct pt_ctx *ctx = upkeep->args.ctx;
	uint32_t tlbis = pt_ledger_discharge(&upkeep->ledger);

	upkeep->effects.tlbis += tlbis;
	upkeep->flushed |= upkeep->effects.tlbis != 0;
	if (!upkeep->unlinked.count)
		return;
	pt_port_note(PT_EVENT_REFUND, 0, NULL, ctx, upkeep->unlinked.count, 0);
	atomic_fetch_sub_explicit(&ctx->table_pages, upkeep->unlinked.count, memory_order_relaxed);
	pt_retire(upkeep->agent, ctx->geo.granule_shift, &upkeep->unlinked);
}

/* A block or group that the next part cuts is still to be written as a whole: the claim keeps its
 * first byte. */
static void shrink(struct pt_upkeep *upkeep)
{
	uint64_t lo = upkeep->next;

	if (!upkeep->claim.ctx || lo > upkeep->claim.hi)
		return;
	if (upkeep->args.kind == PT_UPKEEP_COLLAPSE || upkeep->args.kind == PT_UPKEEP_SWEEP)
		lo = pt__fold_keeps(upkeep);
	else
		lo &= ~pt__edge_mask(upkeep->args.ctx, lo, false);
	pt_claim_shrink(&upkeep->claim, lo);
}

static bool did_nothing(const struct pt_upkeep *upkeep)
{
	const struct pt_effects *fx = &upkeep->effects;

	return !fx->leaves_written && !fx->tables_freed;
}

static void end_work(struct pt_upkeep *upkeep)
{
	struct pt_machine *machine = upkeep->args.ctx->machine;

	if (upkeep->claim.ctx && !pt_claim_cancel(&upkeep->claim))
		pt__claim_let_go(&upkeep->claim);
	upkeep->claim.ctx = NULL;
	pt_grace_begin(&upkeep->grace, machine, upkeep->agent);
	if (!upkeep->flushed)
		upkeep->grace.mask = 0;
	if (pt_is_error(upkeep->stopped) && did_nothing(upkeep))
		upkeep->result = upkeep->stopped;
	upkeep->phase = PT_UPKEEP_RETIRE;
}

static enum pt_outcome act(struct pt_upkeep *upkeep, int64_t *left)
{
	if (pt__is_dying(upkeep->args.ctx)) {
		upkeep->stopped = PT_WRONG_STATE; /* teardown waits for the claim */
		return PT_OK;
	}
	switch (upkeep->args.kind) {
	case PT_UPKEEP_AGE: return pt__age(upkeep, left);
	case PT_UPKEEP_SPLIT: return pt__split_range(upkeep, left);
	default: return pt__fold_range(upkeep, left);
	}
}

static enum pt_outcome work(struct pt_upkeep *upkeep, int64_t *left)
{
	enum pt_outcome outcome = act(upkeep, left);

	pt__upkeep_settle(upkeep);
	if (outcome == PT_OK) {
		end_work(upkeep);
	} else if (outcome == PT_PARKED) { /* who waits for a claim holds no other */
		pt_claim_release(&upkeep->claim);
		upkeep->claim.ctx = NULL;
		upkeep->wide = true;
		upkeep->phase = PT_UPKEEP_CLAIM;
		outcome = PT_OK;
	} else {
		shrink(upkeep);
	}
	return outcome;
}

/* One phase, or a part of it. PT_OK: go on at once. */
static enum pt_outcome phase(struct pt_upkeep *upkeep, int64_t *left)
{
	struct pt_machine *machine = upkeep->args.ctx->machine;
	enum pt_outcome outcome = PT_OK;

	switch (upkeep->phase) {
	case PT_UPKEEP_CLAIM:
		outcome = claim(upkeep);
		if (pt_is_error(outcome)) {
			upkeep->stopped = outcome;
			end_work(upkeep);
			return PT_OK;
		}
		if (outcome != PT_OK)
			return outcome;
		pt_grace_begin(&upkeep->grace, machine, upkeep->agent);
		upkeep->phase = PT_UPKEEP_DRAIN;
		return PT_OK;
	case PT_UPKEEP_DRAIN:
		if (!pt_grace_done(&upkeep->grace, machine))
			return PT_MORE;
		pt_port_note(PT_EVENT_CLAIM_DRAINED, 0, &upkeep->claim, upkeep->claim.ctx,
			     upkeep->claim.lo, upkeep->claim.hi);
		upkeep->phase = PT_UPKEEP_WORK;
		return PT_OK;
	case PT_UPKEEP_WORK: return work(upkeep, left);
	case PT_UPKEEP_RETIRE:
		if (pt__claims_go_on(upkeep->args.ctx, &upkeep->claim) ||
		    !pt_grace_done(&upkeep->grace, machine))
			return PT_MORE;
		upkeep->phase = PT_UPKEEP_DONE;
		return PT_OK;
	case PT_UPKEEP_DONE: break;
	}
	return PT_OK;
}

static enum pt_outcome step(struct pt_upkeep *upkeep, struct pt_agent *agent, int64_t left)
{
	upkeep->agent = agent;
	if (upkeep->phase != PT_UPKEEP_DONE)
		pt_machine_use(upkeep->args.ctx->machine, agent);
	while (upkeep->phase != PT_UPKEEP_DONE) {
		enum pt_outcome outcome = phase(upkeep, &left);

		if (outcome != PT_OK)
			return outcome;
	}
	return upkeep->result;
}

static void note_op(enum pt_event_kind kind, const struct pt_upkeep *upkeep, uint64_t lo)
{
	pt_port_note(kind, PT_OP_AGE + upkeep->args.kind - PT_UPKEEP_AGE, upkeep, upkeep->args.ctx,
		     lo, 0);
}

enum pt_outcome pt_upkeep_step(struct pt_upkeep *upkeep, struct pt_agent *agent, uint32_t budget)
{
	enum pt_outcome outcome;

	note_op(PT_EVENT_OP_BEGIN, upkeep, (uintptr_t)agent);
	outcome = step(upkeep, agent, budget ? budget : 1);
	note_op(PT_EVENT_OP_END, upkeep, outcome);
	return outcome;
}

static bool stop(struct pt_upkeep *upkeep)
{
	upkeep->stopped = PT_CANCELLED;
	end_work(upkeep);
	upkeep->result = PT_OK;
	if (pt__claims_go_on(upkeep->args.ctx, &upkeep->claim) ||
	    !pt_grace_done(&upkeep->grace, upkeep->args.ctx->machine))
		return false;
	upkeep->phase = PT_UPKEEP_DONE;
	return true;
}

bool pt_upkeep_stop(struct pt_upkeep *upkeep, struct pt_agent *agent)
{
	bool over;

	if (upkeep->phase >= PT_UPKEEP_RETIRE)
		return false;
	upkeep->agent = agent;
	note_op(PT_EVENT_OP_BEGIN, upkeep, (uintptr_t)agent);
	over = stop(upkeep);
	note_op(PT_EVENT_OP_END, upkeep, over ? PT_OK : PT_MORE);
	return over;
}
