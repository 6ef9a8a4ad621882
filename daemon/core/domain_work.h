/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a call keeps of lib across its steps: a transaction, a place in a wait queue, of
 * claims or of a page that its pager supplies, or a grace period that its reply waits for. One at a
 * time.
 */
#ifndef PTD_DOMAIN_WORK_H
#define PTD_DOMAIN_WORK_H

#include "domain_types.h"

enum work_holds {
	WORK_NOTHING,
	WORK_TXN,
	WORK_PARKED_POINT,
	WORK_PARKED_TXN,
	WORK_PARKED_PAGE,
	WORK_GRACE,
	WORK_LAST_WAKE,
};

struct work {
	struct call *call;
	enum work_holds holds;
	uint64_t context;	/* handle, of a parked point */
	struct context *pinned; /* the transaction's: lib looks at it until the last step */
	struct pt_txn txn;
	struct pt_waiter waiter;
	struct pt_grace grace;
	struct page_wait page;
};

/* *slot, made in the call's arena at first. NULL: its cap is reached. */
struct work *work_get(struct call *call, struct work **slot);

/* pt_txn_init() for items of `context`, and a pin on it. */
void work_begin(struct work *work, struct context *context, struct pt_item *items, uint32_t count,
		uint64_t expected_generation, bool validate_only);
/* Starts a context's teardown. The caller alone deletes it. */
void work_begin_teardown(struct work *work, struct context *context);
/* The teardown has ended; is nobody left who steps on the context? */
bool work_unpinned(const struct context *context);

/* Steps the transaction. CALL_DONE: it has ended with *outcome. */
enum call_result work_step(struct work *work, uint32_t visits, enum pt_outcome *outcome);

/* After PT_PARKED of a point operation at [ipa, ipa + size): what the handler returns now. */
enum call_result work_park(struct call *call, struct work *work, struct context *context,
			   uint64_t ipa, uint64_t size);

/*
 * After PT_ABSENT: waits for the page. CALL_PARKED, CALL_MORE: what the handler returns now, to
 * have the fault again. CALL_DONE: nobody supplies it, *outcome says why; so it does for a call
 * that was abandoned, which waits for nothing.
 */
enum call_result work_await_page(struct call *call, struct work **slot, struct context *context,
				 const struct page_access *why, enum pt_outcome *outcome);

/* At the start of a handler's step: it runs again, so its wake has come. */
static inline void work_resume(struct work *work)
{
	if (!work || (work->holds != WORK_PARKED_POINT && work->holds != WORK_PARKED_PAGE))
		return;
	work->holds = WORK_NOTHING;
	work->call->rests = false;
}

/*
 * No access of another loop that began before now may still be in flight when the reply leaves.
 * CALL_DONE: so it is; CALL_MORE: not yet, call work_grace_step() in the next step. With one loop
 * on the machine always CALL_DONE, at the cost of one load.
 */
enum call_result work_grace(struct call *call, struct work **slot, struct context *context);
enum call_result work_grace_step(struct work *work);

/*
 * The call was abandoned. CALL_DONE: nothing is held any more, and *committed tells whether the
 * transaction was past its commit point and ended well. CALL_MORE, CALL_PARKED: call again.
 */
enum call_result work_abandon(struct work *work, bool *committed);

/*
 * An abandoned call that is to go on runs although its wake has not come: it leaves the queue
 * first. True: it did; it goes on in a later step, when a wake that was on its way has been read.
 */
bool work_leaves_queue(struct work *work);

#endif
