/* SPDX-License-Identifier: BSD-2-Clause */
/* The checks that every item passes before anything looks at a table. */
#include "internal.h"

static enum pt_outcome check_map(const struct pt_item *item, uint32_t flags, enum pt_sw_owner owner)
{
	const struct pt_ctx *ctx = item->ctx;
	enum pt_outcome outcome;

	if (flags & ~PT_MAP_FLAGS)
		return PT_INVALID;
	outcome = pt_prot_check(item->prot, ctx->attrs);
	if (outcome != PT_OK)
		return outcome;
	if (item->prot & PT_PROT_SW & ~pt_ctx_sw_of(ctx, owner))
		return PT_INVALID;
	if (ctx->policy & PT_CTX_IDENTITY && item->ipa.v != item->pa.v)
		return PT_INVALID;
	outcome = pt_geometry_check_range(&ctx->geo, item->ipa, item->size);
	if (outcome != PT_OK)
		return outcome;
	return pt_geometry_check_output(&ctx->geo, item->pa, item->size); /* B22 */
}

/* Rights alone: memory type and software bits are not touched, so nothing may ask for it. */
static enum pt_outcome check_rights(const struct pt_item *item)
{
	return item->prot & ~PT_PROT_RIGHTS ? PT_INVALID
					    : pt_prot_check(item->prot, item->ctx->attrs);
}

enum pt_outcome pt_item_check(const struct pt_item *item)
{
	enum pt_outcome outcome = PT_OK;

	if (item->kind == PT_ITEM_MAP)
		return check_map(item, item->flags, PT_SW_CALLER);
	if (item->flags)
		return PT_INVALID;
	switch (item->kind) {
	case PT_ITEM_PROTECT:
	case PT_ITEM_RELAX: outcome = check_rights(item); break;
	case PT_ITEM_ANNOTATE:
		outcome = item->prot || !pt_pte_is_annotation(item->pa.v) ? PT_INVALID : PT_OK;
		break;
	case PT_ITEM_UNMAP:
	case PT_ITEM_FLUSH:
	case PT_ITEM_WRITE_PROTECT:
	case PT_ITEM_MAKE_YOUNG: outcome = item->prot ? PT_INVALID : PT_OK; break;
	default: return PT_INVALID;
	}
	if (outcome != PT_OK)
		return outcome;
	return pt_geometry_check_range(&item->ctx->geo, item->ipa, item->size);
}

/* An annotation whose number rises. */
static enum pt_outcome check_rise(const struct pt_item *item)
{
	const uint64_t numbers = UINT64_C(1) << PT_ITEM_RISE_BITS;
	uint64_t first = item->pa.v >> PT_ITEM_RISE_SHIFT & (numbers - 1);
	uint64_t steps = (item->size >> item->ctx->geo.granule_shift) - 1;
	struct pt_item plain = *item;
	enum pt_outcome outcome;

	plain.flags = plain.prot = 0;
	outcome = pt_item_check(&plain);
	if (outcome != PT_OK || !item->prot)
		return outcome;
	return steps > (numbers - 1 - first) / item->prot ? PT_OUT_OF_RANGE : PT_OK;
}

enum pt_outcome pt_item_check_owner(const struct pt_item *item)
{
	uint32_t own = pt_ctx_sw_of(item->ctx, PT_SW_OWNERSHIP), bits = 0;

	if (!(item->flags & PT_ITEM_OWNER))
		return pt_item_check(item);
	if (item->kind == PT_ITEM_MAP)
		return !own ? PT_INVALID
			    : check_map(item, item->flags & ~PT_ITEM_OWNER, PT_SW_OWNERSHIP);
	if (item->flags != PT_ITEM_OWNER)
		return PT_INVALID;
	switch (item->kind) {
	case PT_ITEM_ANNOTATE: return check_rise(item);
	case PT_ITEM_SET_SW:
		if (!own)
			return PT_INVALID;
		bits = own;
		break;
	case PT_ITEM_HOLD: break;
	default: return PT_INVALID;
	}
	if (item->prot & ~bits)
		return PT_INVALID;
	return pt_geometry_check_range(&item->ctx->geo, item->ipa, item->size);
}

bool pt_item_needs_grace(const struct pt_machine *machine, const struct pt_agent *self)
{
	uint64_t agents = atomic_load_explicit(&machine->agents, memory_order_relaxed);

	return agents & ~(UINT64_C(1) << self->id);
}
