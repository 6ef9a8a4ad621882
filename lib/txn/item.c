/* SPDX-License-Identifier: BSD-2-Clause */
/* The checks that every item passes before anything looks at a table. */
#include "internal.h"

static enum pt_outcome check_map(const struct pt_item *item)
{
	const struct pt_ctx *ctx = item->ctx;
	enum pt_outcome outcome;

	if (item->flags & ~PT_MAP_FLAGS)
		return PT_INVALID;
	outcome = pt_prot_check(item->prot, ctx->attrs);
	if (outcome != PT_OK)
		return outcome;
	outcome = pt_geometry_check_range(&ctx->geo, item->ipa, item->size);
	if (outcome != PT_OK)
		return outcome;
	return pt_geometry_check_output(&ctx->geo, item->pa, item->size); /* B22 */
}

enum pt_outcome pt_item_check(const struct pt_item *item)
{
	const struct pt_ctx *ctx = item->ctx;
	enum pt_outcome outcome = PT_OK;

	if (item->kind == PT_ITEM_MAP)
		return check_map(item);
	if (item->kind != PT_ITEM_UNMAP && item->kind != PT_ITEM_PROTECT)
		return PT_INVALID;
	if (item->flags)
		return PT_INVALID;
	if (item->kind == PT_ITEM_PROTECT) {
		if (item->prot & ~PT_PROT_RIGHTS)
			return PT_INVALID;
		outcome = pt_prot_check(item->prot, ctx->attrs);
	}
	if (outcome != PT_OK)
		return outcome;
	return pt_geometry_check_range(&ctx->geo, item->ipa, item->size);
}

bool pt_item_needs_grace(const struct pt_machine *machine, const struct pt_agent *self)
{
	uint64_t agents = atomic_load_explicit(&machine->agents, memory_order_relaxed);

	return agents & ~(UINT64_C(1) << self->id);
}
