/* SPDX-License-Identifier: BSD-2-Clause */
/* Each CPU's window on any frame. */
#include "internal.h"

static uint64_t page(const struct pt_hyp_space *space)
{
	return UINT64_C(1) << space->map.geo.granule_shift;
}

enum pt_outcome pt_hyp_window_open(struct pt_hyp_space *space, struct pt_hyp_cpu *cpu,
				   struct pt_pa pa, void **at)
{
	const struct pt_hyp *map = &space->map;
	enum pt_outcome outcome = pt_geometry_check_output(&map->geo, pa, page(space));

	if (outcome != PT_OK)
		return outcome;
	if (pt_pte_valid(pt_pte_load(cpu->slot)))
		return PT_BUSY;
	pt_pte_store_release(cpu->slot, pt_leaf(&map->geo, pa, pt_hyp_leaf_attrs(PT_PROT_RW, false),
						PT_LEVEL_LAST));
	pt_port_fence_store(); /* the walk of the next access sees it */
	*at = (void *)(uintptr_t)cpu->window;
	return PT_OK;
}

void pt_hyp_window_close(struct pt_hyp_space *space, struct pt_hyp_cpu *cpu)
{
	pt_pte_store(cpu->slot, 0);
	pt_port_tlbi(space->map.mmu, &space->map.geo,
		     &(struct pt_tlbi){.kind = PT_TLBI_EL2,
				       .level = PT_LEVEL_LAST,
				       .last_level = true,
				       .ipa = pt_ipa(cpu->window),
				       .size = page(space)});
}

enum pt_outcome pt_hyp_zero(struct pt_hyp_space *space, struct pt_hyp_cpu *cpu, struct pt_pa pa)
{
	void *at;
	enum pt_outcome outcome = pt_hyp_window_open(space, cpu, pa, &at);

	if (outcome != PT_OK)
		return outcome;
	pt_port_zero(at, page(space));
	pt_hyp_window_close(space, cpu);
	return PT_OK;
}
