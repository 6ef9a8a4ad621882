/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map: what it begins and ends with. */
#include "links.h"

_Static_assert(PT__HALVES_MAX >> PT__LINK_ID_SHIFT == PT__HEAD_FIRST + 1, "a link has a name");
/* Heads that say something, as many that are 0 and not let go of yet, and a reservation each. */
_Static_assert(UINT64_MAX / PT__HALVES_ONE >= 4 * PT__HEADS_A_PIECE + PT_MAX_AGENTS,
	       "a count holds");

enum pt_outcome pt__links_init(struct pt_nested *nested, uint64_t quota_pages, uint64_t scope)
{
	const struct pt_ctx *ctx = nested->canonical;

	if ((uint64_t)ctx->machine->world->pool.units << PT_POOL_UNIT_SHIFT > PT__HALVES_MAX)
		return PT_UNSUPPORTED;
	pt_store_init(&nested->store, ctx->machine, quota_pages, scope);
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		pt__sparse_init(&nested->heads[class], PT__HEAD_ENDS,
				class ? NULL : nested->near_heads, class ? 0 : PT_NEAR_HEADS);
	for (unsigned i = 0; i < PT_SHADOW_STRIPES; i++)
		pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_LEAF, &nested->stripe[i].lock, NULL, 0,
			     0);
	pt_ctx_set_shadow_rules(nested->canonical, &pt__shadow_rules, nested);
	return PT_OK;
}

/* Each link that was entered is of a leaf that was made, or of a fill that was called off. */
uint64_t pt_nested_fills(const struct pt_nested *nested)
{
	uint64_t lost = atomic_load_explicit(&nested->counts.refills, memory_order_relaxed);
	uint64_t entered = 0;

	for (unsigned i = 0; i < PT_SHADOW_STRIPES; i++)
		entered += pt__peek(&nested->stripe[i].entered);
	return entered - lost;
}

bool pt__links_close(struct pt_nested *nested, struct pt_agent *agent, uint32_t *budget)
{
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		if (!pt__sparse_close(&nested->heads[class], &nested->store, agent, budget))
			return false;
	return true;
}

void pt__directory_init(struct pt_shadow *shadow)
{
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		pt__sparse_init(&shadow->directory[class], PT__LINK_ENDS,
				class ? NULL : shadow->near_links, class ? 0 : PT_NEAR_LINKS);
}

bool pt__directory_close(struct pt_shadow *shadow, struct pt_agent *agent, uint32_t *budget)
{
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		if (!pt__sparse_close(&shadow->directory[class], &shadow->nested->store, agent,
				      budget))
			return false;
	return true;
}
