/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that EL2 is given, page by page, at their linear addresses. */
#include "internal.h"

/* Links tables below the invalid entry, down to the last level. */
static enum pt_outcome add_tables(struct pt_hyp *hyp, struct pt_agent *agent, uint64_t va,
				  struct pt__hyp_at *at)
{
	struct pt_pages pages = {0};
	enum pt_outcome outcome =
		pt__hyp_reserve(hyp, agent, (uint32_t)(PT_LEVEL_LAST - at->level), &pages);

	while (outcome == PT_OK && at->level < PT_LEVEL_LAST) {
		struct pt_pa table = pt__hyp_page(hyp, agent, &pages);

		pt_pte_store_release(at->slot, pt_table_desc(&hyp->geo, table));
		hyp->table_pages++;
		pt__hyp_descend(hyp, va, at->level + 1, at);
	}
	return outcome;
}

enum pt_outcome pt_hyp_reach_prepare(struct pt_hyp_space *space, struct pt_agent *agent,
				     struct pt_pa pa, uint64_t size)
{
	uint64_t va = pt_hyp_linear(space, pa), last = va + size - 1;
	struct pt_hyp *hyp = &space->map;
	enum pt_outcome outcome = PT_OK;

	while (va <= last && outcome == PT_OK) {
		struct pt__hyp_at at;

		pt__hyp_descend(hyp, va, PT_LEVEL_LAST, &at);
		if (!pt_pte_valid(at.entry))
			outcome = add_tables(hyp, agent, va, &at);
		/* One table of the last level, or one block, further. */
		va = pt__hyp_past(hyp, va, at.level < PT_LEVEL_LAST ? at.level : PT_LEVEL_LAST - 1,
				  last);
	}
	pt_port_fence_store();
	return outcome;
}

void pt_hyp_reach(struct pt_hyp_space *space, struct pt_pa pa, uint64_t size, bool reaches)
{
	const struct pt_hyp *hyp = &space->map;
	pt_pte attrs = pt_hyp_leaf_attrs(PT_PROT_RW, false);

	for (uint64_t off = 0; off < size; off += pt_level_size(&hyp->geo, PT_LEVEL_LAST)) {
		struct pt_pa page = pt_pa(pa.v + off);
		struct pt__hyp_at at;

		pt__hyp_descend(hyp, pt_hyp_linear(space, page), PT_LEVEL_LAST, &at);
		if (reaches)
			pt_pte_store_release(at.slot,
					     pt_leaf(&hyp->geo, page, attrs, PT_LEVEL_LAST));
		else
			pt_pte_store(at.slot, 0);
	}
	if (reaches)
		pt_port_fence_store(); /* what was mapped may be used next */
	else
		pt_port_tlbi(hyp->mmu, &hyp->geo,
			     &(struct pt_tlbi){.kind = PT_TLBI_EL2,
					       .level = PT_LEVEL_LAST,
					       .last_level = true,
					       .ipa = pt_ipa(pt_hyp_linear(space, pa)),
					       .size = size});
}
