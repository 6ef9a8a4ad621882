/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest hypervisors: their shadows, which their CPUs run, and what faults in them come to. */
#include "internal.h"

#include "../nested/fsc.h"

#define HCR_VM	UINT64_C(1)
#define HCR_FWB (UINT64_C(1) << 46)

void pt_hv_nest(struct pt_hv *hv, struct pt_hv_nests *nests, const struct pt_hv_nest_args *args)
{
	nests->args = *args;
	hv->nests = nests;
}

/* ---- the life of a nest ---- */

static struct pt_hv_nest *take(struct pt_hv_nests *nests)
{
	for (uint32_t i = 0; i < PT_HV_NESTS; i++)
		if (pt__hv_try(&nests->nest[i].taken))
			return &nests->nest[i];
	return NULL;
}

enum pt_outcome pt__hv_nest_make(struct pt_hv *hv, struct pt_hv_ctx *c, uint64_t quota)
{
	enum pt_outcome outcome;
	struct pt_guest_memory memory;
	struct pt_hv_nest *nest;

	if (!hv->nests || c->ctx.vtcr_flags & PT_VTCR_HD)
		return PT_UNSUPPORTED;
	nest = take(hv->nests);
	if (!nest)
		return PT_TOO_LARGE;
	nest->hv = hv;
	nest->quota = quota;
	memory = pt__hv_nest_memory(nest);
	outcome = pt_nested_init(&nest->nested, &c->ctx, &memory, nest->bucket, PT_HV_SHADOWS,
				 nest->number, PT_HV_SHADOWS, quota, 0);
	if (outcome == PT_OK)
		c->nest = nest;
	else
		pt__hv_done(&nest->taken);
	return outcome;
}

void pt__hv_nest_drop(struct pt_hv_ctx *c)
{
	struct pt_hv_nest *nest = c->nest;

	c->nest = NULL;
	pt__hv_done(&nest->taken);
}

/* ---- shadows end ---- */

static void woken(struct pt_waiter *waiter)
{
	struct pt_hv_nest *nest = PT__HV_OF(waiter, struct pt_hv_nest, end.txn.claim.waiter);

	atomic_store_explicit(&nest->woken, true, memory_order_release);
}

static uint32_t in_use(const struct pt_hv_nest *nest)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < PT_HV_SHADOWS; i++)
		n += atomic_load(&nest->used[i]);
	return n;
}

static void begin_end(struct pt_hv_nest *nest)
{
	struct pt_shadow *oldest = pt_shadow_oldest(&nest->nested);

	nest->under_way = oldest && pt_shadow_end_begin(&nest->end, oldest, woken) == PT_OK;
	nest->ended = nest->parked = false;
}

/* Its memory is used again when no lookup stands on it any more. */
static void go_on(struct pt_agent *agent, struct pt_hv_nest *nest)
{
	enum pt_outcome outcome;

	if (nest->ended) {
		nest->under_way = !pt_grace_done(&nest->grace, &nest->hv->machine);
		if (!nest->under_way)
			atomic_store(&nest->used[nest->end.shadow - nest->shadow], false);
		return;
	}
	if (nest->parked && !atomic_load_explicit(&nest->woken, memory_order_acquire))
		return;
	atomic_store_explicit(&nest->woken, false, memory_order_relaxed);
	outcome = pt_shadow_end_step(&nest->end, agent, PT_HVC_STEP);
	nest->parked = outcome == PT_PARKED;
	nest->ended = outcome == PT_OK;
	if (nest->ended)
		pt_grace_begin(&nest->grace, &nest->hv->machine, agent);
}

enum pt_outcome pt__hv_nest_shrink(struct pt_agent *agent, struct pt_hv_nest *nest, uint32_t keep)
{
	if (in_use(nest) <= keep)
		return PT_OK;
	if (!pt__hv_try(&nest->busy))
		return PT_MORE;
	if (!nest->under_way)
		begin_end(nest);
	if (nest->under_way)
		go_on(agent, nest);
	pt__hv_done(&nest->busy);
	return in_use(nest) <= keep ? PT_OK : PT_MORE;
}

/* ---- a CPU runs one ---- */

/* Can this CPU walk the tables that a shadow of `s2` has? Its granule is the smaller one. */
static bool can_walk(const struct pt_hv *hv, const struct pt_geometry *host,
		     const struct pt_guest_regs *regs)
{
	struct pt_guest_s2 s2;
	unsigned shift = host->granule_shift, bit;

	if (pt_guest_s2_decode(&s2, regs) == PT_OK && !s2.broken && s2.geo.granule_shift < shift)
		shift = s2.geo.granule_shift;
	bit = 1u << (shift - 12) / 2;
	return hv->features.granules & bit && (host->pa_bits < 52 || hv->features.lpa2 & bit);
}

static enum pt_outcome make(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_nest *nest,
			    const struct pt_shadow_key *key, const struct pt_guest_regs *regs)
{
	enum pt_outcome outcome;
	uint32_t i = 0;

	if (key->enabled && !can_walk(hv, &nest->nested.canonical->geo, regs))
		return PT_UNSUPPORTED;
	(void)pt__hv_nest_shrink(agent, nest, PT_HV_SHADOWS - 1);
	while (i < PT_HV_SHADOWS && !pt__hv_try(&nest->used[i]))
		i++;
	if (i == PT_HV_SHADOWS)
		return PT_BUSY;
	nest->shadow[i] = (struct pt_shadow){0};
	outcome = pt_shadow_init(&nest->shadow[i], &nest->nested, agent, key, regs, nest->quota);
	if (outcome != PT_OK)
		pt__hv_done(&nest->used[i]);
	return outcome == PT_QUOTA ? PT_BUSY : outcome;
}

static enum pt_outcome use(struct pt_hv *hv, struct pt_agent *agent,
			   const struct pt_guest_regs *regs, struct pt_shadow **shadow)
{
	const struct pt_shadow_key key = pt_shadow_key_of(regs);
	struct pt_hv_nest *nest = hv->running[agent->id]->nest;
	enum pt_outcome outcome = pt_shadow_find(&nest->nested, &key, shadow);

	if (outcome == PT_NOT_FOUND) {
		outcome = make(hv, agent, nest, &key, regs);
		if (outcome == PT_OK || outcome == PT_ALREADY_EXISTS)
			outcome = pt_shadow_find(&nest->nested, &key, shadow);
	}
	if (outcome == PT_OK)
		outcome = pt_shadow_use(*shadow);
	return outcome == PT_NOT_FOUND ? PT_BUSY : outcome;
}

/* The CPU runs another context; while numbers roll over it waits for sections of others. */
static void run(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx)
{
	enum pt_outcome outcome;

	do {
		pt__hv_begin(hv, agent);
		outcome = pt_vmid_run(ctx, agent);
		pt_section_end(agent);
	} while (outcome == PT_MORE);
}

struct pt_guest_regs pt__hv_nest_regs(const struct pt_hv *hv, const struct pt_guest_regs *el2)
{
	struct pt_guest_regs regs = *el2;

	regs.pa_bits = hv->features.pa_bits;
	regs.attrs = hv->features.attrs & (PT_ATTR_FWB | PT_ATTR_XNX);
	return regs;
}

enum pt_outcome pt_hv_nest_enter(struct pt_hv *hv, struct pt_agent *agent,
				 const struct pt_guest_regs *el2, struct pt_shadow **shadow)
{
	const struct pt_guest_regs regs = pt__hv_nest_regs(hv, el2);
	enum pt_outcome outcome;

	if (el2->hcr & ~(HCR_VM | HCR_FWB))
		return PT_INVALID;
	pt__hv_begin(hv, agent);
	outcome = use(hv, agent, &regs, shadow);
	pt_section_end(agent);
	if (outcome == PT_OK)
		run(hv, agent, &(*shadow)->ctx);
	pt_hv_settle(agent);
	return outcome;
}

void pt_hv_nest_leave(struct pt_hv *hv, struct pt_agent *agent, struct pt_shadow *shadow)
{
	run(hv, agent, &hv->running[agent->id]->ctx);
	pt__hv_begin(hv, agent);
	pt_shadow_unuse(shadow);
	pt_section_end(agent);
}

/* ---- faults ---- */

static enum pt_outcome once(struct pt_hv *hv, struct pt_agent *agent, struct pt_shadow *shadow,
			    const struct pt_nested_fault *fault, struct pt_nested_result *result)
{
	enum pt_outcome outcome;

	pt__hv_begin(hv, agent);
	outcome = pt_nested_fault(agent, shadow, fault, result);
	pt_section_end(agent);
	return outcome;
}

bool pt__hv_nest_touch(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
		       struct pt_ipa ipa, enum pt_access access)
{
	const struct pt_fault fault = {.ipa = ipa,
				       .access = (uint8_t)access,
				       .type = PT_FAULT_TRANSLATION,
				       .level = PT_LEVEL_LAST};
	struct pt_fault_result r;

	switch (pt_hv_fault(hv, agent, ctx, &fault, &r)) {
	case PT_MAPPED:
	case PT_RELAXED:
	case PT_MADE_YOUNG:
	case PT_ALREADY_MAPPED: return pt_hv_may_map(hv, r.pa.v, sizeof(uint64_t)) == PT_OK;
	case PT_RACED: return true;
	default: return false;
	}
}

/* A table that EL2 could not read, or not write to: is it there when the guest itself touches it?
 */
static bool table_comes(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
			const struct pt_guest_fault *guest)
{
	if (guest->fsc == PT__FSC_ATOMIC_UPDATE)
		return pt__hv_nest_touch(hv, agent, ctx, guest->table, PT_ACCESS_WRITE);
	return guest->fsc == pt__fsc(PT__FSC_EXTERNAL_WALK, guest->level) &&
	       pt__hv_nest_touch(hv, agent, ctx, guest->table, PT_ACCESS_READ);
}

enum pt_outcome pt_hv_nest_fault(struct pt_hv *hv, struct pt_agent *agent, struct pt_shadow *shadow,
				 const struct pt_nested_fault *fault,
				 struct pt_nested_result *result)
{
	struct pt_ctx *ctx = shadow->nested->canonical;
	enum pt_outcome outcome = once(hv, agent, shadow, fault, result);

	if (outcome == PT_NO_MEMORY) {
		pt_hv_settle(agent);
		outcome = once(hv, agent, shadow, fault, result);
	}
	if (outcome == PT_PARKED) {
		pt__hv_help(hv, agent, ctx);
		outcome = PT_RACED;
	}
	if (outcome == PT_DENIED && result->who == PT_NESTED_GUEST &&
	    table_comes(hv, agent, ctx, &result->fault))
		outcome = PT_RACED;
	return outcome;
}

enum pt_outcome pt_hv_nest_page(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
				uint64_t ipa, uint64_t *pa)
{
	const struct pt_fault fault = {.ipa = {ipa},
				       .access = PT_ACCESS_WRITE,
				       .type = PT_FAULT_TRANSLATION,
				       .level = PT_LEVEL_LAST};
	struct pt_fault_result r;
	enum pt_outcome outcome;

	if (ipa % PT_SZ_4K)
		return PT_MISALIGNED;
	pt_machine_use(&hv->machine, agent);
	outcome = pt_fault_handle(agent, ctx, &fault, &r);
	switch (outcome) {
	case PT_MAPPED:
	case PT_RELAXED:
	case PT_MADE_YOUNG:
	case PT_ALREADY_MAPPED: *pa = r.pa.v; return pt_hv_may_map(hv, *pa, PT_SZ_4K);
	case PT_PARKED: return PT_RACED;
	default: return outcome;
	}
}
