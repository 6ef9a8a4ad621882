/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of lib on a guest's context, without a hypercall around them. */
#include "lib_calls.h"

#include "host.h"

#include <pt/hv.h>
#include <pt/walk.h>

struct order {
	struct pt_hv *hv;
	struct pt_agent *agent;
	struct pt_ctx *ctx;
	uint64_t ipa, size;
	uint32_t prot, flags;
};

static struct pt_txn txn;
static struct pt_upkeep upkeep;
static struct pt_ctx another;

static void begin(const struct order *o)
{
	pt_section_begin(o->agent);
	pt_machine_use(&o->hv->machine, o->agent);
}

static void never(struct pt_waiter *waiter)
{
	(void)waiter;
}

static enum pt_outcome finish_txn(const struct order *o)
{
	enum pt_outcome outcome;

	do {
		begin(o);
		outcome = pt_txn_step(&txn, o->agent, PT_HVC_STEP);
		pt_section_end(o->agent);
	} while (outcome == PT_MORE);
	pt_hv_settle(o->agent);
	return outcome;
}

/* At the page of MEMORY that is as far from its begin as the address is from DATA. */
static enum pt_outcome item(const struct order *o, uint32_t kind)
{
	struct pt_item item = {.ctx = o->ctx,
			       .ipa = {o->ipa},
			       .size = o->size,
			       .pa = {kind == PT_ITEM_MAP	 ? MEMORY + o->ipa - DATA
				      : kind == PT_ITEM_ANNOTATE ? UINT64_C(2) << 60
								 : 0},
			       .prot = o->prot,
			       .flags = o->flags,
			       .kind = kind};
	struct pt_effects effects = {0};
	struct pt_error error;
	enum pt_outcome outcome = pt_item_check(&item);

	if (outcome != PT_OK)
		return outcome;
	begin(o);
	outcome = pt_point(o->agent, &item, &effects, &error);
	pt_section_end(o->agent);
	if (outcome != PT_MORE)
		return outcome;
	(void)pt_txn_init(&txn, &item, 1, 0, false, never);
	outcome = finish_txn(o);
	return outcome == PT_OK ? (enum pt_outcome)item.outcome : outcome;
}

static enum pt_outcome keep(const struct order *o, uint32_t kind)
{
	const struct pt_upkeep_args args = {.ctx = o->ctx,
					    .kind = kind,
					    .ipa = {o->ipa},
					    .size = o->size,
					    .clear = kind == PT_UPKEEP_AGE,
					    .level = kind == PT_UPKEEP_SPLIT ? 3 : 0};
	enum pt_outcome outcome = pt_upkeep_init(&upkeep, &args, never);

	if (outcome != PT_OK)
		return outcome;
	do {
		begin(o);
		outcome = pt_upkeep_step(&upkeep, o->agent, PT_HVC_STEP);
		pt_section_end(o->agent);
	} while (outcome == PT_MORE);
	pt_hv_settle(o->agent);
	return outcome;
}

static enum pt_walk_next on(const struct pt_walk_entry *entry, void *arg)
{
	*(uint64_t *)arg += entry->entry & 1;
	return PT_WALK_ON;
}

static enum pt_outcome walk(const struct order *o)
{
	uint64_t leaves = 0;
	struct pt_walker walker = {.ctx = o->ctx,
				   .start = o->ipa,
				   .last = o->ipa + o->size - 1,
				   .at = o->ipa,
				   .visits = PT_VISIT_LEAF,
				   .mode = PT_WALK_READ,
				   .skip_above = -1,
				   .visit = on,
				   .arg = &leaves};
	enum pt_outcome outcome;

	begin(o);
	outcome = pt_walk(&walker, UINT32_MAX);
	pt_section_end(o->agent);
	return leaves == o->size / PAGE ? outcome : PT_HOLE;
}

static enum pt_outcome leaf(const struct order *o)
{
	pt_pte entry;
	int level;
	enum pt_outcome outcome;

	begin(o);
	outcome = pt_get_leaf(o->ctx, pt_ipa(o->ipa), &entry, &level);
	pt_section_end(o->agent);
	return outcome;
}

static enum pt_outcome fault(const struct order *o)
{
	const struct pt_fault fault = {.ipa = {o->ipa},
				       .access = PT_ACCESS_WRITE,
				       .type = (uint8_t)o->prot,
				       .level = PT_LEVEL_LAST};
	struct pt_fault_result result;
	enum pt_outcome outcome;

	begin(o);
	outcome = pt_fault_handle(o->agent, o->ctx, &fault, &result);
	pt_section_end(o->agent);
	return outcome;
}

static enum pt_outcome vmid(const struct order *o)
{
	enum pt_outcome outcome;

	begin(o);
	outcome = pt_vmid_run(o->ctx, o->agent);
	pt_section_end(o->agent);
	pt_vmid_stop(&o->hv->machine, o->agent);
	return outcome;
}

static enum pt_outcome create(const struct order *o)
{
	enum pt_outcome outcome;

	begin(o);
	outcome = pt_ctx_init(&another, o->agent, &o->hv->machine, &o->ctx->geo, o->ctx->attrs,
			      o->ctx->vtcr_flags, UINT64_MAX);
	pt_section_end(o->agent);
	return outcome;
}

static enum pt_outcome destroy(const struct order *o)
{
	enum pt_outcome outcome = pt_ctx_destroy_begin(&txn, &another, never);

	return outcome == PT_OK ? finish_txn(o) : outcome;
}

static enum pt_outcome section(const struct order *o)
{
	begin(o);
	pt_section_end(o->agent);
	return PT_OK;
}

static enum pt_outcome do_call(const struct order *o, unsigned call)
{
	switch (call) {
	case LIB_NOTHING: return PT_OK;
	case LIB_SECTION: return section(o);
	case LIB_LEAF: return leaf(o);
	case LIB_WALK: return walk(o);
	case LIB_FAULT: return fault(o);
	case LIB_VMID: return vmid(o);
	case LIB_CREATE: return create(o);
	case LIB_DESTROY: return destroy(o);
	default: return call < LIB_UPKEEP ? item(o, call - LIB_ITEM) : keep(o, call - LIB_UPKEEP);
	}
}

void lib_call_count(struct pt_hv *hv, struct pt_agent *agent, uint64_t x[4])
{
	struct order o = {.hv = hv,
			  .agent = agent,
			  .ctx = &hv->guest[x[1] % PT_HV_CONTEXTS].ctx,
			  .ipa = x[2],
			  .size = x[3],
			  .prot = (uint32_t)(x[0] >> 32),
			  .flags = x[0] >> 16 & 0xffff};
	unsigned call = x[0] & 0xffff;
	uint64_t from = el2_count(false);

	x[0] = (uint64_t)do_call(&o, call);
	x[1] = el2_count(false) - from;
}
