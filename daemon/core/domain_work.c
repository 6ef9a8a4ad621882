/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a call keeps of lib across its steps.
 *
 * A wake may be on its way when a call is abandoned, and names the call's memory. Lib wakes inside
 * the section of the agent that releases; so an abandoned call that finds itself out of the queue
 * waits until all sections that are open now have ended (WORK_LAST_WAKE).
 */
#include "domain_work.h"

#include "domain_fail.h"
#include "registry.h"

struct work *work_get(struct call *call, struct work **slot)
{
	if (!*slot) {
		*slot = call_alloc(call, sizeof(**slot));
		if (*slot)
			(*slot)->call = call;
	}
	return *slot;
}

static void wake_txn(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct work, txn.claim.waiter)->call);
}

void work_begin(struct work *w, struct context *c, struct pt_item *items, uint32_t count,
		uint64_t expected_generation, bool validate_only)
{
	pt_txn_init(&w->txn, items, count, expected_generation, validate_only, wake_txn);
	atomic_fetch_add_explicit(&c->pins, 1, memory_order_relaxed);
	w->pinned = c;
	w->holds = WORK_TXN;
}

void work_begin_teardown(struct work *w, struct context *c)
{
	pt_ctx_destroy_begin(&w->txn, &c->pt, wake_txn);
	w->holds = WORK_TXN;
}

bool work_unpinned(const struct context *c)
{
	return !atomic_load_explicit(&c->pins, memory_order_acquire);
}

static void unpin(struct work *w)
{
	if (w->pinned)
		atomic_fetch_sub_explicit(&w->pinned->pins, 1, memory_order_release);
	w->pinned = NULL;
}

static void wake_point(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct work, waiter)->call);
}

enum call_result work_step(struct work *w, uint32_t visits, enum pt_outcome *outcome)
{
	/* Other calls may have run on this thread since the last step. */
	if (unlikely(
		    atomic_load_explicit(&w->call->domain->failpoints.armed, memory_order_relaxed)))
		failpoints_enter(w->call);
	*outcome = pt_txn_step(&w->txn, call_agent(w->call), visits);
	if (*outcome == PT_MORE) {
		w->holds = WORK_TXN;
		return CALL_MORE;
	}
	if (*outcome == PT_PARKED) {
		w->holds = WORK_PARKED_TXN;
		return CALL_PARKED;
	}
	w->holds = WORK_NOTHING;
	unpin(w);
	return CALL_DONE;
}

enum call_result work_park(struct call *call, struct work *w, struct context *c, uint64_t ipa,
			   uint64_t size)
{
	if (!pt_waiter_park(&w->waiter, &c->pt, ipa, ipa + size - 1, wake_point))
		return CALL_MORE;
	w->holds = WORK_PARKED_POINT;
	w->context = c->handle;
	(void)call;
	return CALL_PARKED;
}

enum call_result work_await_page(struct call *call, struct work **slot, struct context *c,
				 const struct page_access *why, enum pt_outcome *outcome)
{
	struct work *w = work_get(call, slot);

	if (!w)
		return fail_arena(call);
	*outcome = call->abandoned ? PT_ABSENT : page_await(call, c, &w->page, why);
	if (*outcome == PT_PARKED) {
		w->holds = WORK_PARKED_PAGE;
		call->rests = true;
		return CALL_PARKED;
	}
	return *outcome == PT_OK ? CALL_MORE : CALL_DONE;
}

static enum call_result abandon_page(struct work *w)
{
	page_wait_end(&w->call->domain->pagers, &w->page);
	w->holds = WORK_NOTHING;
	return CALL_DONE;
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

/* From any agent of the world: the machine, and with it its list of users, may be gone. */
static enum call_result await_last_wake(struct work *w)
{
	struct pt_machine any = {.world = &w->call->domain->tables.world, .agents = UINT64_MAX};

	pt_grace_begin(&w->grace, &any, call_agent(w->call));
	w->holds = WORK_LAST_WAKE;
	return work_grace_step(w);
}

/* A context that is not found any more has let go of all who waited. */
static enum call_result abandon_point(struct work *w)
{
	struct context *c = peek_context(w->call, w->context);

	if (!c || !pt_waiter_cancel(&w->waiter, &c->machine->pt))
		return await_last_wake(w);
	w->holds = WORK_NOTHING;
	return CALL_DONE;
}

/* Queued or published, a claim keeps its context. */
static enum call_result abandon_parked_txn(struct work *w)
{
	if (pt_claim_cancel(&w->txn.claim)) {
		w->holds = WORK_NOTHING; /* it held nothing but its place in the queue */
		unpin(w);
		return CALL_DONE;
	}
	pt_txn_abort(&w->txn, call_agent(w->call));
	unpin(w);
	return await_last_wake(w);
}

static enum call_result abandon_txn(struct work *w, bool *committed)
{
	enum call_result result;
	enum pt_outcome outcome;

	if (pt_txn_abort(&w->txn, call_agent(w->call))) {
		w->holds = WORK_NOTHING;
		unpin(w);
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
	case WORK_PARKED_TXN: return abandon_parked_txn(w);
	case WORK_PARKED_PAGE: return abandon_page(w);
	case WORK_TXN: return abandon_txn(w, committed);
	case WORK_LAST_WAKE: return work_grace_step(w);
	default: return CALL_DONE;
	}
}

bool work_leaves_queue(struct work *w)
{
	bool committed;

	if (!w || (w->holds != WORK_PARKED_POINT && w->holds != WORK_PARKED_PAGE &&
		   w->holds != WORK_LAST_WAKE))
		return false;
	work_abandon(w, &committed);
	return true;
}
