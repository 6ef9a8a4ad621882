/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that change a range of a guest's context: a point operation, or a transaction. */
#include "internal.h"

enum pt_outcome pt_hv_may_map(const struct pt_hv *hv, uint64_t pa, uint64_t size)
{
	if (!pt_hyp_region_of(&hv->space->memory, pa, size))
		return PT_OUT_OF_RANGE;
	for (uint32_t i = 0; i < hv->owns; i++)
		if (pt_hyp_region_meets(&hv->own[i], pa, size))
			return PT_WRONG_OWNER;
	return PT_OK;
}

/* Arguments as <pt/hvc.h> lists them, behind the context. */
static bool item_of(enum pt_hvc kind, const uint64_t *arg, struct pt_item *item)
{
	*item = (struct pt_item){.ipa = {arg[1]}, .size = arg[2], .kind = PT_ITEM_UNMAP};
	if (kind == PT_HVC_MAP) {
		item->kind = PT_ITEM_MAP;
		item->pa = pt_pa(arg[3]);
		item->prot = (uint32_t)arg[4];
		item->flags = (uint32_t)(arg[4] >> 32);
	} else if (kind == PT_HVC_PROTECT) {
		item->kind = PT_ITEM_PROTECT;
		item->prot = (uint32_t)arg[3];
		return !(arg[3] >> 32);
	}
	return true;
}

static enum pt_outcome check(const struct pt_hv *hv, const struct pt_item *item)
{
	enum pt_outcome outcome = pt_item_check(item);

	if (outcome == PT_OK && item->kind == PT_ITEM_MAP)
		outcome = pt_hv_may_map(hv, item->pa.v, item->size);
	return outcome;
}

/* One entry, now. What was taken from a guest is gone when the TLBI's DSB ends: hardware alone has
 * used it, so that no section has to be waited for. PT_MORE: not here. */
static enum pt_outcome point(struct pt_agent *agent, struct pt_item *item,
			     struct pt__hv_answer *answer)
{
	struct pt_effects e = {0};
	struct pt_error error = {.level = PT_TTL_UNKNOWN};
	enum pt_outcome outcome = pt_point(agent, item, &e, &error);

	answer->outcome = outcome;
	if (pt_is_error(outcome)) {
		answer->x[0] = error.ipa.v;
		answer->x[1] = (uint64_t)(int64_t)error.level;
	} else {
		answer->x[0] = e.leaves_written;
		answer->x[1] = e.leaves_removed;
		answer->x[2] = e.blocks_split | (uint64_t)e.tlbis << 32;
	}
	return pt_is_control(outcome) || outcome == PT_RACED ? PT_MORE : outcome;
}

/* The item, checked. */
static enum pt_outcome prepare(struct pt_hv *hv, struct pt_hv_ctx *c, enum pt_hvc kind,
			       const uint64_t *arg, struct pt_item *item)
{
	if (!c)
		return PT_NOT_FOUND;
	if (!item_of(kind, arg, item))
		return PT_INVALID;
	item->ctx = &c->ctx;
	return check(hv, item);
}

/* The answer; or *op, which has yet to find it. */
static void begin(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind, const uint64_t *arg,
		  struct pt__hv_answer *answer, struct pt_hv_op **op)
{
	struct pt_hv_ctx *c = pt__hv_context(hv, agent, arg[0]);
	struct pt_item item;

	answer->outcome = prepare(hv, c, kind, arg, &item);
	if (answer->outcome != PT_OK || point(agent, &item, answer) != PT_MORE)
		return;
	*op = pt__hv_op_take(hv, c, kind);
	if (!*op) {
		*answer = pt__hv_answer(PT_BUSY);
		return;
	}
	pt__hv_op_change(*op, &item, NULL);
}

struct pt__hv_answer pt__hv_range(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind,
				  const uint64_t *arg)
{
	struct pt__hv_answer answer = {PT_OK, {0}};
	struct pt_hv_op *op = NULL;

	pt__hv_begin(hv, agent);
	begin(hv, agent, kind, arg, &answer, &op);
	pt_section_end(agent);
	return op ? pt__hv_op_go(hv, agent, op) : answer;
}
