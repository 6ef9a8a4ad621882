/* SPDX-License-Identifier: BSD-2-Clause */
/* Table memory has run out: devices of the host are unmapped, and faults bring back what is used.
 */
#include "internal.h"

static void wake(struct pt_hv_recycle *r)
{
	atomic_store_explicit(&r->woken, true, memory_order_release);
}

static void txn_woken(struct pt_waiter *waiter)
{
	wake(PT__HV_OF(waiter, struct pt_hv_recycle, txn.claim.waiter));
}

static void sweep_woken(struct pt_waiter *waiter)
{
	wake(PT__HV_OF(waiter, struct pt_hv_recycle, sweep.claim.waiter));
}

/* A part of the space ends in a table that others use, too, is emptied and stays: hence the sweep.
 */
static void begin(struct pt_hv *hv)
{
	struct pt_hv_recycle *r = &hv->recycle;
	const struct pt_upkeep_args args = {.ctx = &hv->host.ctx,
					    .kind = PT_UPKEEP_SWEEP,
					    .size = UINT64_C(1) << hv->host.ctx.geo.ipa_bits};

	(void)pt_txn_init(&r->txn, r->item, r->items, 0, false, txn_woken);
	(void)pt_upkeep_init(&r->sweep, &args, sweep_woken);
	r->sweeps = r->parked = false;
	r->under_way = true;
}

/* PT_MORE, PT_PARKED, or how it ended. */
static enum pt_outcome step(struct pt_hv *hv, struct pt_agent *agent)
{
	struct pt_hv_recycle *r = &hv->recycle;
	enum pt_outcome outcome;

	if (r->parked && !atomic_load_explicit(&r->woken, memory_order_acquire))
		return PT_PARKED;
	atomic_store_explicit(&r->woken, false, memory_order_relaxed);
	pt__hv_begin(hv, agent);
	outcome = r->sweeps ? pt_upkeep_step(&r->sweep, agent, PT_HVC_STEP)
			    : pt_txn_step(&r->txn, agent, PT_HVC_STEP);
	pt_section_end(agent);
	r->parked = outcome == PT_PARKED;
	if (r->sweeps || outcome != PT_OK)
		return outcome;
	r->sweeps = true;
	return PT_MORE;
}

static enum pt_outcome go(struct pt_hv *hv, struct pt_agent *agent)
{
	struct pt_hv_recycle *r = &hv->recycle;
	uint32_t freed;

	if (!r->items)
		return PT_NO_MEMORY;
	if (!r->under_way)
		begin(hv);
	if (pt_is_control(step(hv, agent)))
		return PT_RACED;
	r->under_way = false;
	freed = r->txn.effects.tables_freed + r->sweep.effects.tables_freed;
	return freed ? PT_RACED : PT_NO_MEMORY;
}

enum pt_outcome pt__hv_recycle(struct pt_hv *hv, struct pt_agent *agent, bool anew)
{
	enum pt_outcome outcome = PT_RACED;

	if (pt__hv_try(&hv->recycle.busy)) {
		if (anew || hv->recycle.under_way)
			outcome = go(hv, agent);
		pt__hv_done(&hv->recycle.busy);
	}
	pt_hv_settle(agent);
	return outcome;
}
