/* SPDX-License-Identifier: BSD-2-Clause */
/* The legs of a transaction over several contexts: how items are divided, and what they come to. */
#include "legs.h"

enum pt_outcome pt__parties_refuse(struct pt_parties *p, enum pt_outcome code, uint32_t index)
{
	p->error = (struct pt_error){
		code, index, p->args.count ? p->args.item[index].ipa : pt_ipa(0), PT_TTL_UNKNOWN};
	p->phase = PT_PARTIES_DONE;
	return code;
}

struct pt_txn *pt__leg_of(struct pt_parties *p, const struct pt_ctx *ctx)
{
	for (uint32_t i = 0; i < p->legs; i++)
		if (pt__leg_ctx(&p->leg[i]) == ctx)
			return &p->leg[i];
	return NULL;
}

/* The next leg, of the items from `from` on; how many items it has. *outcome: PT_OK or an error. */
static uint32_t add_leg(struct pt_parties *p, uint32_t from, enum pt_outcome *outcome)
{
	struct pt_txn *leg = &p->leg[p->legs];
	struct pt_item *item = &p->args.item[from];
	uint32_t n = 1;

	if (p->legs == PT_PARTIES || pt__leg_of(p, item->ctx) ||
	    item->ctx->machine != p->args.item[0].ctx->machine) {
		*outcome = pt__parties_refuse(p, PT_INVALID, from);
		return 0;
	}
	while (from + n < p->args.count && item[n].ctx == item->ctx)
		n++;
	*outcome = pt_txn_init(leg, item, n, 0, p->args.validate_only, p->args.wake);
	if (*outcome != PT_OK)
		pt__parties_refuse(p, *outcome, from + leg->error.index);
	p->legs++;
	return n;
}

static void set_up(struct pt_txn *leg, bool last, const struct pt_parties_hooks *hooks)
{
	leg->holds = !last || (hooks && hooks->between);
	leg->owners = hooks != NULL;
}

enum pt_outcome pt_parties_init(struct pt_parties *parties, const struct pt_parties_args *args)
{
	enum pt_outcome outcome = PT_OK;

	/* Not as a whole: the legs are large, and each is set up when it is found. */
	parties->args = *args;
	parties->legs = parties->at = 0;
	parties->phase = PT_PARTIES_CLAIM;
	parties->committed = parties->checked = false;
	parties->effects = (struct pt_effects){0};
	parties->error = (struct pt_error){0};
	if (!args->count)
		return pt__parties_refuse(parties, PT_INVALID, 0);
	for (uint32_t i = 0; i < args->count && outcome == PT_OK;)
		i += add_leg(parties, i, &outcome);
	if (outcome != PT_OK)
		return outcome;
	for (uint32_t i = 0; i < parties->legs; i++)
		set_up(&parties->leg[i], i + 1 == parties->legs, args->hooks);
	if (args->expected_generation && !pt__leg_of(parties, args->expected))
		return pt__parties_refuse(parties, PT_INVALID, 0);
	return PT_OK;
}

void pt__legs_total(struct pt_parties *p)
{
	for (uint32_t i = 0; i < p->legs; i++)
		pt_effects_add(&p->effects, &p->leg[i].effects);
}

bool pt__legs_count(struct pt_parties *p)
{
	struct pt_txn *asked = pt__leg_of(p, p->args.expected);
	uint64_t generation = p->args.expected_generation;

	if (generation && !atomic_compare_exchange_strong(&pt__leg_ctx(asked)->generation,
							  &generation, generation + 1))
		return false;
	for (uint32_t i = 0; i < p->legs; i++) {
		struct pt_txn *leg = &p->leg[i];

		if (generation && leg == asked)
			leg->generation = generation + 1;
		else
			leg->generation = atomic_fetch_add(&pt__leg_ctx(leg)->generation, 1) + 1;
	}
	return true;
}

bool pt__legs_same(struct pt_parties *p)
{
	const struct pt_txn *asked = pt__leg_of(p, p->args.expected);

	for (uint32_t i = 0; i < p->legs; i++)
		p->leg[i].generation = atomic_load(&pt__leg_ctx(&p->leg[i])->generation);
	return !p->args.expected_generation || asked->generation == p->args.expected_generation;
}

enum pt_outcome pt__legs_mismatch(struct pt_parties *p)
{
	uint32_t index = pt__leg_index(p, pt__leg_of(p, p->args.expected));

	p->error = (struct pt_error){PT_GENERATION_MISMATCH, index, p->args.item[index].ipa,
				     PT_TTL_UNKNOWN};
	return PT_GENERATION_MISMATCH;
}
