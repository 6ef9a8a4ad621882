/* SPDX-License-Identifier: BSD-2-Clause */
/* Contexts from which shadows are made: what is taken from them is taken from the shadows. */
#include "internal.h"

void pt_ctx_set_shadow_rules(struct pt_ctx *ctx, const struct pt_shadow_rules *rules, void *arg)
{
	ctx->shadow_rules = rules;
	ctx->shadow_arg = arg;
	ctx->shadowed = true;
	ctx->direct = false;
}

bool pt__takes_too(struct pt_shadow_search *search, uint64_t lo, uint64_t hi, uint32_t lost)
{
	if (!search->pending) {
		*search = (struct pt_shadow_search){
			.lo = lo, .hi = hi, .lost = lost, .pending = true};
		return true;
	}
	if (lost != search->lost || lo != search->hi + 1)
		return false;
	search->hi = hi;
	return true;
}

uint32_t pt__take(const struct pt_ctx *ctx, struct pt_agent *agent, struct pt_shadow_search *search,
		  int64_t *left)
{
	uint32_t tlbis = search->tlbis;

	search->pending = !ctx->shadow_rules->taken(ctx->shadow_arg, agent, search, left);
	return search->tlbis - tlbis;
}

bool pt__take_page_from(const struct pt_ctx *ctx, struct pt_agent *agent, uint64_t lo, uint64_t hi,
			struct pt_effects *effects)
{
	struct pt_shadow_search search = {.lo = lo, .hi = hi, .pending = true, .point = true};
	int64_t left = INT64_MAX;

	effects->tlbis += pt__take(ctx, agent, &search, &left);
	return !search.pending;
}
