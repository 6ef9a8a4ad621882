/* SPDX-License-Identifier: BSD-2-Clause */
/* The host under its own stage-2: an identity map that aborts fill. */
#include "internal.h"

/* Where [at, end) ends, if it begins outside `r`: at r's begin at the latest. */
static uint64_t cut(uint64_t at, uint64_t end, const struct pt_hyp_region *r)
{
	return r->pa > at && r->pa < end ? r->pa : end;
}

static const struct pt_hyp_region *at_in(const struct pt_hyp_region *r, uint32_t count, uint64_t at)
{
	for (uint32_t i = 0; i < count; i++)
		if (pt_hyp_region_has(&r[i], at, 1))
			return &r[i];
	return NULL;
}

static uint64_t piece_end(uint64_t at, uint64_t end, const struct pt_hyp_memory *memory,
			  const struct pt_hyp_region *own, uint32_t owns)
{
	const struct pt_hyp_region *in = at_in(memory->region, memory->regions, at);

	if (in && in->pa + in->size < end)
		end = in->pa + in->size;
	for (uint32_t i = 0; i < memory->regions; i++)
		end = cut(at, end, &memory->region[i]);
	for (uint32_t i = 0; i < owns; i++)
		end = cut(at, end, &own[i]);
	return end;
}

enum pt_outcome pt_hv_host_map(struct pt_slots *slots, uint32_t room,
			       const struct pt_hyp_memory *memory, const struct pt_hyp_region *own,
			       uint32_t owns, const struct pt_geometry *geo)
{
	uint64_t space = UINT64_C(1) << geo->ipa_bits, end;

	slots->count = 0;
	for (uint64_t at = 0; at < space; at = end) {
		const struct pt_hyp_region *mine = at_in(own, owns, at);

		end = mine ? mine->pa + mine->size : piece_end(at, space, memory, own, owns);
		if (mine)
			continue;
		if (slots->count == room)
			return PT_INVALID;
		slots->slot[slots->count++] = (struct pt_slot){
			.ipa = at,
			.size = end - at,
			.pa = at,
			.flags = at_in(memory->region, memory->regions, at) ? 0 : PT_SLOT_NO_EXEC,
			.backing_shift = (uint8_t)pt_level_shift(geo, geo->min_block_level)};
	}
	return PT_OK;
}

static void list_mmio(struct pt_hv *hv)
{
	const struct pt_slots *slots = pt_hv_table(&hv->host_slots);
	struct pt_hv_recycle *r = &hv->recycle;

	for (uint32_t i = 0; i < slots->count; i++)
		if (slots->slot[i].flags & PT_SLOT_NO_EXEC)
			r->item[r->items++] = (struct pt_item){.ctx = &hv->host.ctx,
							       .ipa = {slots->slot[i].ipa},
							       .size = slots->slot[i].size,
							       .kind = PT_ITEM_UNMAP};
}

static enum pt_outcome make_host(struct pt_hv *hv, struct pt_agent *agent)
{
	const struct pt_geometry_args args = {.granule_shift = 12,
					      .ipa_bits = hv->features.host_bits,
					      .pa_bits = hv->features.host_bits};
	struct pt_ctx *ctx = &hv->host.ctx;
	struct pt_geometry geo;
	enum pt_outcome outcome = pt_geometry_init(&geo, &args);

	if (outcome == PT_OK)
		outcome = pt_hv_host_map(pt_hv_table(&hv->host_slots), PT_HV_HOST_SLOTS,
					 &hv->space->memory, hv->own, hv->owns, &geo);
	if (outcome == PT_OK)
		outcome = pt_ctx_init(ctx, agent, &hv->machine, &geo, hv->features.attrs,
				      hv->features.vtcr & PT_VTCR_VS, UINT64_MAX);
	if (outcome != PT_OK)
		return outcome;
	(void)pt_ctx_set_policy(ctx, PT_CTX_IDENTITY, NULL, NULL);
	(void)pt_ctx_set_slots(ctx, pt_hv_table(&hv->host_slots));
	atomic_store(&hv->host.state, PT_HV_LIVE);
	list_mmio(hv);
	/* Its number stays while CPUs run guests: each comes back to it. */
	return pt_vmid_keep(ctx, agent);
}

enum pt_outcome pt_hv_init(struct pt_hv *hv, struct pt_agent *agent, struct pt_hyp_space *space,
			   struct pt_port *port, struct pt_port_mmu *mmu,
			   const struct pt_hv_features *features, const struct pt_hyp_region *own,
			   uint32_t owns)
{
	enum pt_outcome outcome;

	hv->space = space;
	hv->features = *features;
	hv->own = own;
	hv->owns = owns;
	pt_machine_init(&hv->machine, agent->world, port, mmu, features->pa_bits);
	pt__hv_begin(hv, agent);
	outcome = make_host(hv, agent);
	pt_section_end(agent);
	return outcome;
}
