/* SPDX-License-Identifier: BSD-2-Clause */
/* Private chains of tables: what a point operation links with its one compare-and-swap. */
#include "internal.h"

/*
 * Tables for the levels below `from` down to `to`, each with one entry: the next table, or the
 * leaf. They are complete before the compare-and-swap that links chain->head (W2: its release
 * order).
 */
enum pt_outcome pt__chain_build(struct pt_agent *agent, struct pt_ctx *ctx, uint64_t ipa, int from,
				int to, pt_pte leaf, struct pt__chain *chain)
{
	const struct pt_geometry *g = &ctx->geo;

	chain->count = 0;
	chain->head = leaf;
	for (int level = to; level > from; level--) {
		unsigned at = chain->count;
		enum pt_outcome outcome = pt__page_get(agent, ctx, &chain->page[at]);
		struct pt_pa pa;

		if (outcome != PT_OK) {
			pt__chain_drop(agent, ctx, chain);
			return outcome;
		}
		pa = pt_page_pa(ctx->machine->port, chain->page[at]);
		chain->used[at] = pt__table(ctx, pa.v) + pt_level_index(g, pt_ipa(ipa), level);
		pt_pte_init(chain->used[at], chain->head);
		chain->head = pt_table_desc(g, pa);
		chain->count++;
	}
	pt_port_fence_store();
	return PT_OK;
}

/* Gives a chain back that was never linked: zero again (A2). */
void pt__chain_drop(struct pt_agent *agent, struct pt_ctx *ctx, struct pt__chain *chain)
{
	while (chain->count) {
		chain->count--;
		pt_pte_init(chain->used[chain->count], 0);
		pt__page_put(agent, ctx, chain->page[chain->count]);
	}
}
