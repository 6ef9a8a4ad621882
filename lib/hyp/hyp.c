/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own map: its shape, its root, and reads. */
#include "internal.h"

/* Stage 1 has one start table, and no lower limit but that of TCR_EL2.T0SZ (Arm ARM D8.2). */
static bool shape(struct pt_geometry *g, const struct pt_hyp_args *a)
{
	unsigned gs = a->granule_shift, stride = gs - 3, levels;

	if ((gs != 12 && gs != 14 && gs != 16) || a->va_bits < 25 || a->va_bits > 48 ||
	    a->pa_bits < 32 || a->pa_bits > 48)
		return false;
	levels = (a->va_bits - gs + stride - 1) / stride;
	*g = (struct pt_geometry){
		.granule_shift = a->granule_shift,
		.stride = (uint8_t)stride,
		.ipa_bits = a->va_bits,
		.pa_bits = a->pa_bits,
		.start_level = (int8_t)(PT_LEVEL_LAST + 1 - (int)levels),
		.min_block_level = gs == 12 ? 1 : 2,
		.start_entries = UINT32_C(1) << (a->va_bits - gs - (levels - 1) * stride),
	};
	if (g->min_block_level < g->start_level)
		g->min_block_level = g->start_level;
	g->start_bytes = g->start_entries * (uint32_t)sizeof(pt_pte);
	return true;
}

enum pt_outcome pt__hyp_args_check(const struct pt_hyp_args *args)
{
	struct pt_geometry geo;

	return shape(&geo, args) ? PT_OK : PT_INVALID;
}

static void note_map(const struct pt_hyp *hyp)
{
	const struct pt_event_ctx facts = {
		.geo = hyp->geo,
		.mmu = (uintptr_t)hyp->mmu,
		.root = hyp->root.v,
		.root_va = (uintptr_t)pt_port_table(hyp->port, hyp->root),
		.el2 = true,
	};

	pt_port_note_ctx(hyp, &facts);
	if (!hyp->early)
		pt__hyp_note_use(hyp, PT_EVENT_CTX_ACTIVATE);
}

enum pt_outcome pt_hyp_init(struct pt_hyp *hyp, struct pt_agent *agent,
			    const struct pt_hyp_args *args)
{
	struct pt_pages root = {0};
	struct pt_hyp made = {.port = args->port,
			      .mmu = args->mmu,
			      .early = args->early,
			      .guarded = args->guarded};

	if (!shape(&made.geo, args))
		return PT_INVALID;
	if (pt__hyp_reserve(&made, agent, 1, &root) != PT_OK)
		return PT_NO_MEMORY;
	made.root = pt__hyp_page(&made, agent, &root);
	*hyp = made;
	note_map(hyp);
	return PT_OK;
}

enum pt_outcome pt__hyp_reserve(struct pt_hyp *hyp, struct pt_agent *agent, uint32_t count,
				struct pt_pages *pages)
{
	if (!hyp->early)
		return pt_pool_take(agent, hyp->geo.granule_shift, count, pages);
	return pt_hyp_early_left(hyp->early) >> hyp->geo.granule_shift >= count ? PT_OK
										: PT_NO_MEMORY;
}

struct pt_pa pt__hyp_page(struct pt_hyp *hyp, struct pt_agent *agent, struct pt_pages *pages)
{
	struct pt_pa pa = {0};

	if (!hyp->early)
		return pt_page_pa(hyp->port, pt_pages_pop(&agent->world->pool, pages));
	(void)pt_hyp_early_take(hyp->early, 1, &pa); /* there was enough */
	return pa;
}

uint64_t pt_hyp_tcr(const struct pt_hyp *hyp)
{
	static const uint8_t pa_sizes[] = {32, 36, 40, 42, 44, 48};
	uint64_t tg = hyp->geo.granule_shift == 12   ? 0
		      : hyp->geo.granule_shift == 14 ? 2
						     : 1,
		 ps = 0;

	while (ps < 5 && pa_sizes[ps + 1] <= hyp->geo.pa_bits)
		ps++;
	return UINT64_C(1) << 31 | UINT64_C(1) << 23 | ps << 16 | tg << 14 | UINT64_C(3) << 12 |
	       UINT64_C(1) << 10 | UINT64_C(1) << 8 | (64u - hyp->geo.ipa_bits);
}

pt_pte *pt__hyp_table(const struct pt_hyp *hyp, pt_pte entry)
{
	return pt_port_table(hyp->port, pt_pte_to_oa(&hyp->geo, entry));
}

void pt__hyp_descend(const struct pt_hyp *hyp, uint64_t va, int stop, struct pt__hyp_at *at)
{
	pt_pte *table = pt_port_table(hyp->port, hyp->root);

	for (at->level = hyp->geo.start_level;; at->level++) {
		at->slot = table + pt_level_index(&hyp->geo, pt_ipa(va), at->level);
		at->entry = pt_pte_load(at->slot);
		if (at->level >= stop || !pt_pte_is_table(at->entry, at->level))
			return;
		table = pt__hyp_table(hyp, at->entry);
	}
}

enum pt_outcome pt_hyp_get_leaf(const struct pt_hyp *hyp, uint64_t va, pt_pte *entry, int *level)
{
	struct pt__hyp_at at;

	if (va >> hyp->geo.ipa_bits)
		return PT_OUT_OF_RANGE;
	pt__hyp_descend(hyp, va, PT_LEVEL_LAST, &at);
	*entry = at.entry;
	*level = at.level;
	return PT_OK;
}

void pt_hyp_destroy(struct pt_hyp *hyp, struct pt_agent *agent)
{
	struct pt_pages root = {0};
	uint64_t bytes;

	(void)pt_hyp_unmap(hyp, agent, 0, UINT64_C(1) << hyp->geo.ipa_bits, &bytes);
	if (hyp->early)
		return;
	pt__hyp_note_use(hyp, PT_EVENT_CTX_DEACTIVATE);
	pt_port_note(PT_EVENT_CTX_GONE, 0, hyp, hyp, 0, 0);
	pt_pages_push(&agent->world->pool, &root, pt_pa_page(hyp->port, hyp->root));
	pt_retire(agent, hyp->geo.granule_shift, &root);
}
