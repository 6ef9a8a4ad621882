/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a call keeps of lib across its steps.
 *
 * A wake may be on its way when a call is abandoned: the memory that it names must stay. So a call
 * that is parked and finds itself out of the queue already waits for that one wake (`last_wake`).
 */
#include "domain_work.h"

struct work *work_get(struct call *call, struct work **slot)
{
	if (!*slot) {
		*slot = call_alloc(call, sizeof(**slot));
		if (*slot)
			(*slot)->call = call;
	}
	return *slot;
}

void work_wake_txn(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct work, txn.claim.waiter)->call);
}

static void wake_point(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct work, waiter)->call);
}

static enum call_result parked(struct call *call)
{
	count_add(&call->loop->counters.parked, 1);
	return CALL_PARKED;
}

enum call_result work_step(struct work *w, uint32_t visits, enum pt_outcome *outcome)
{
	*outcome = pt_txn_step(&w->txn, call_agent(w->call), visits);
	if (*outcome == PT_MORE) {
		w->holds = WORK_TXN;
		return CALL_MORE;
	}
	if (*outcome == PT_PARKED) {
		w->holds = WORK_PARKED_TXN;
		return parked(w->call);
	}
	w->holds = WORK_NOTHING;
	return CALL_DONE;
}

enum call_result work_park(struct call *call, struct work *w, struct context *c, uint64_t ipa,
			   uint64_t size)
{
	if (!pt_waiter_park(&w->waiter, &c->pt, ipa, ipa + size - 1, wake_point))
		return CALL_MORE;
	w->holds = WORK_PARKED_POINT;
	return parked(call);
}

enum call_result work_grace(struct call *call, struct work **slot, struct context *c)
{
	struct work *w;

	if (likely(!pt_item_needs_grace(&c->machine->pt, call_agent(call))))
		return CALL_DONE;
	w = work_get(call, slot);
	if (!w)
		return CALL_DONE; /* unreachable: who needs it has made it before its effect */
	pt_grace_begin(&w->grace, &c->machine->pt, call_agent(call));
	w->holds = WORK_GRACE;
	return work_grace_step(w);
}

enum call_result work_grace_step(struct work *w)
{
	/* Only the world of the machine is looked at; the machine itself may be gone by now. */
	const struct pt_machine any = {.world = &w->call->domain->tables.world};

	if (!pt_grace_done(&w->grace, &any))
		return CALL_MORE;
	w->holds = WORK_NOTHING;
	return CALL_DONE;
}

static enum call_result abandon_point(struct work *w)
{
	if (!w->last_wake && !pt_waiter_cancel(&w->waiter, w->waiter.ctx->machine)) {
		w->last_wake = true;
		return CALL_PARKED;
	}
	w->holds = WORK_NOTHING;
	return CALL_DONE;
}

static enum call_result abandon_txn(struct work *w, bool *committed)
{
	enum call_result result;
	enum pt_outcome outcome;

	if (w->holds == WORK_PARKED_TXN && !w->last_wake) {
		if (pt_claim_cancel(&w->txn.claim)) {
			w->holds = WORK_NOTHING; /* it held nothing but its place in the queue */
			return CALL_DONE;
		}
		w->last_wake = true;
		return CALL_PARKED;
	}
	if (pt_txn_abort(&w->txn, call_agent(w->call))) {
		w->holds = WORK_NOTHING;
		return CALL_DONE;
	}
	result = work_step(w, STEP_VISITS, &outcome);
	*committed = result == CALL_DONE && outcome == PT_OK;
	return result;
}

enum call_result work_abandon(struct work *w, bool *committed)
{
	*committed = false;
	if (!w)
		return CALL_DONE;
	switch (w->holds) {
	case WORK_PARKED_POINT: return abandon_point(w);
	case WORK_TXN:
	case WORK_PARKED_TXN: return abandon_txn(w, committed);
	default: return CALL_DONE;
	}
}
