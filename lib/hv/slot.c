/* SPDX-License-Identifier: BSD-2-Clause */
/* Memslots of guests: a transaction that unmaps the range and publishes another table. */
#include "internal.h"

static bool overlap(const struct pt_slot *a, const struct pt_slot *b)
{
	return a->ipa < b->ipa + b->size && b->ipa < a->ipa + a->size;
}

/* Copies the table with `slot` in its place. */
static enum pt_outcome with(const struct pt_slots *from, struct pt_slots *to,
			    const struct pt_slot *slot)
{
	uint32_t n = 0;

	if (from->count == PT_HV_SLOTS)
		return PT_TOO_LARGE;
	for (uint32_t i = 0; i < from->count; i++) {
		if (overlap(&from->slot[i], slot))
			return PT_SLOT_OVERLAP;
		if (from->slot[i].ipa < slot->ipa)
			n++;
	}
	for (uint32_t i = 0; i < from->count; i++)
		to->slot[i < n ? i : i + 1] = from->slot[i];
	to->slot[n] = *slot;
	to->count = from->count + 1;
	return PT_OK;
}

static enum pt_outcome without(const struct pt_slots *from, struct pt_slots *to,
			       const struct pt_slot *slot)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < from->count; i++)
		if (from->slot[i].ipa != slot->ipa || from->slot[i].size != slot->size)
			to->slot[n++] = from->slot[i];
	to->count = n;
	return n < from->count ? PT_OK : PT_NOT_FOUND;
}

static enum pt_outcome check(const struct pt_hv *hv, const struct pt_ctx *ctx,
			     const struct pt_slot *slot, bool set)
{
	const struct pt_geometry *geo = &ctx->geo;
	enum pt_outcome outcome = pt_geometry_check_range(geo, pt_ipa(slot->ipa), slot->size);

	if (outcome != PT_OK || !set)
		return outcome;
	if (slot->flags & ~(PT_SLOT_READ_ONLY | PT_SLOT_NO_EXEC) ||
	    slot->backing_shift < geo->granule_shift || slot->backing_shift > 63)
		return PT_INVALID;
	outcome = pt_geometry_check_output(geo, pt_pa(slot->pa), slot->size);
	return outcome == PT_OK ? pt_hv_may_map(hv, slot->pa, slot->size) : outcome;
}

/* The other table is this call's to write: nobody reads it any more. */
static bool take_table(struct pt_hv *hv, struct pt_hv_ctx *c)
{
	if (atomic_exchange(&c->changing, true))
		return false;
	if (pt_grace_done(&c->replaced, &hv->machine))
		return true;
	atomic_store(&c->changing, false);
	return false;
}

static enum pt_outcome begin(struct pt_hv *hv, struct pt_hv_ctx *c, const struct pt_slot *slot,
			     bool set, struct pt_hv_op **op)
{
	const struct pt_slots *now = pt_hv_table(&c->slots[c->in_use]);
	struct pt_slots *next = pt_hv_table(&c->slots[!c->in_use]);
	struct pt_item item;
	enum pt_outcome outcome = set ? with(now, next, slot) : without(now, next, slot);

	if (outcome != PT_OK)
		return outcome;
	*op = pt__hv_op_take(hv, c, set ? PT_HVC_SET_SLOT : PT_HVC_DELETE_SLOT);
	if (!*op)
		return PT_BUSY;
	item = (struct pt_item){
		.ctx = &c->ctx, .ipa = {slot->ipa}, .size = slot->size, .kind = PT_ITEM_UNMAP};
	pt__hv_op_change(*op, &item, next);
	return PT_OK;
}

static enum pt_outcome begin_change(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle,
				    const struct pt_slot *slot, bool set, struct pt_hv_op **op)
{
	struct pt_hv_ctx *c = pt__hv_context(hv, agent, handle);
	enum pt_outcome outcome;

	if (!c)
		return PT_NOT_FOUND;
	outcome = check(hv, &c->ctx, slot, set);
	if (outcome != PT_OK)
		return outcome;
	if (!take_table(hv, c))
		return PT_BUSY;
	outcome = begin(hv, c, slot, set, op);
	if (outcome != PT_OK)
		atomic_store(&c->changing, false);
	return outcome;
}

static struct pt__hv_answer change(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle,
				   const struct pt_slot *slot, bool set)
{
	struct pt_hv_op *op = NULL;
	enum pt_outcome outcome;

	pt__hv_begin(hv, agent);
	outcome = begin_change(hv, agent, handle, slot, set, &op);
	pt_section_end(agent);
	return outcome == PT_OK ? pt__hv_op_go(hv, agent, op) : pt__hv_answer(outcome);
}

struct pt__hv_answer pt__hv_set_slot(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	const struct pt_slot slot = {.ipa = arg[1],
				     .size = arg[2],
				     .pa = arg[3],
				     .flags = arg[4] & 0xff,
				     .backing_shift = (uint8_t)(arg[4] >> 8)};

	return arg[4] >> 16 ? pt__hv_answer(PT_INVALID) : change(hv, agent, arg[0], &slot, true);
}

struct pt__hv_answer pt__hv_delete_slot(struct pt_hv *hv, struct pt_agent *agent,
					const uint64_t *arg)
{
	const struct pt_slot slot = {.ipa = arg[1], .size = arg[2]};

	return change(hv, agent, arg[0], &slot, false);
}

void pt__hv_slots_changed(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_ctx *c,
			  bool published)
{
	if (published) {
		c->in_use = !c->in_use;
		pt_grace_begin(&c->replaced, &hv->machine, agent);
	}
	atomic_store(&c->changing, false);
}
