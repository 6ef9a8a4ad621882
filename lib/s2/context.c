/* SPDX-License-Identifier: BSD-2-Clause */
/* Contexts: creation, register values. */
#include "../txn/internal.h"

static void note_context(const struct pt_ctx *ctx)
{
	const struct pt_machine *machine = ctx->machine;

	pt_port_note_ctx(ctx, &(struct pt_event_ctx){
				      .geo = ctx->geo,
				      .machine = (uintptr_t)machine,
				      .mmu = (uintptr_t)machine->mmu,
				      .root = ctx->root.v,
				      .root_va = (uintptr_t)pt_port_table(machine->port, ctx->root),
				      .attrs = ctx->attrs,
				      .vtcr_flags = ctx->vtcr_flags,
				      .bbm = ctx->bbm,
				      .number = ctx->number,
			      });
}

enum pt_outcome pt_ctx_init(struct pt_ctx *ctx, struct pt_agent *agent, struct pt_machine *machine,
			    const struct pt_geometry *geo, unsigned attrs, unsigned vtcr_flags,
			    uint64_t quota_pages)
{
	struct pt_page root;
	enum pt_outcome outcome = pt_pool_get_root(agent, geo->start_bytes, &root);

	if (outcome != PT_OK)
		return outcome;
	if (!pt__page_in_window(machine, root, geo->start_bytes)) {
		pt_pool_put_root(agent, geo->start_bytes, root);
		return PT_NO_MEMORY;
	}
	*ctx = (struct pt_ctx){.geo = *geo,
			       .machine = machine,
			       .root = pt_page_pa(machine->port, root),
			       .attrs = (uint8_t)attrs,
			       .vtcr_flags = (uint8_t)vtcr_flags,
			       .bbm = (uint8_t)PT_ATTR_BBM_OF(attrs),
			       .number = atomic_fetch_add(&machine->contexts, 1)};
	ctx->root_shift = (uint8_t)pt_level_shift(geo, geo->start_level);
	ctx->port = *machine->port;
	ctx->wide = geo->ds || geo->lpa;
	ctx->plain = !ctx->wide && !(vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD));
	ctx->direct = ctx->plain;
	ctx->fault_attrs = pt_leaf_attrs(geo, PT_PROT_R, attrs);
	atomic_store_explicit(&ctx->generation, 1, memory_order_relaxed);
	atomic_store_explicit(&ctx->quota_pages, quota_pages, memory_order_relaxed);
	note_context(ctx);
	return PT_OK;
}

void pt_ctx_undo(struct pt_ctx *ctx, struct pt_agent *agent)
{
	pt_port_note(PT_EVENT_CTX_GONE, 1, ctx, ctx, 0, 0);
	pt_pool_put_root(agent, ctx->geo.start_bytes, pt_pa_page(ctx->machine->port, ctx->root));
}

uint64_t pt_ctx_vtcr(const struct pt_ctx *ctx)
{
	return pt_geometry_vtcr(&ctx->geo, ctx->vtcr_flags);
}

uint64_t pt_ctx_vttbr(const struct pt_ctx *ctx)
{
	return pt_geometry_vttbr(&ctx->geo, ctx->root, pt_ctx_vmid(ctx));
}
