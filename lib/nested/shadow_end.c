/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a shadow, and of all: leaves and links first, then tables, in bounded steps. */
#include "internal.h"

#include "../walk/inline.h"

/*
 * FILLS     it is not found any more; fills that began before are waited for, so that none comes
 *           after the next
 * LEAVES    its entries, one after the other: leaves are broken, flushed and unlinked
 * BREAKERS  what others had broken is unlinked when their sections end: no list names it any more
 * READERS   its number is free; canonical changes and TLBIs that had found it are waited for
 * LINKS     its directory's pages go back
 * TABLES    the context's own teardown
 */
enum { FILLS, LEAVES, BREAKERS, READERS, LINKS, TABLES, DONE };

bool pt__shadow_clear(struct pt__kills *kills, struct pt_shadow *shadow, uint64_t *at,
		      uint64_t last, uint32_t *budget)
{
	const struct pt_ctx *ctx = &shadow->ctx;

	while (*budget) {
		uint64_t base;
		struct pt__at e;

		PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, *at, PT_LEVEL_LAST, 12, &e),
			       pt__descend(ctx, *at, PT_LEVEL_LAST, 14, &e),
			       pt__descend(ctx, *at, PT_LEVEL_LAST, 16, &e));
		base = *at >> e.shift << e.shift;
		if (e.entry == PT__ASIDE) /* by now it may be back, with all that is in it */
			kills->again = true;
		else if (e.entry)
			pt__kill(kills,
				 (struct pt__spot){shadow, pt_ipa(base), (uint8_t)e.shift,
						   (int8_t)e.level},
				 UINT64_MAX);
		--*budget;
		if (kills->again)
			break;
		*at = base + (UINT64_C(1) << e.shift);
		if (*at > last)
			return true;
	}
	return false;
}

static void unchain(struct pt_shadow *shadow)
{
	struct pt_nested *nested = shadow->nested;
	_Atomic(struct pt_shadow *) *at = pt__shadow_bucket(nested, shadow->s2.vmid);
	struct pt_shadow *s;

	while ((s = atomic_load_explicit(at, memory_order_relaxed)) != shadow)
		at = &s->next;
	atomic_store_explicit(at, atomic_load_explicit(&shadow->next, memory_order_relaxed),
			      memory_order_release);
	atomic_fetch_sub_explicit(&nested->live, 1, memory_order_relaxed);
}

static enum pt_outcome go(struct pt_shadow *shadow)
{
	if (!pt__shadow_live(shadow))
		return PT_NOT_FOUND;
	if (atomic_load_explicit(&shadow->users, memory_order_acquire))
		return PT_BUSY;
	atomic_store_explicit(&shadow->state, PT_SHADOW_GOING, memory_order_release);
	unchain(shadow);
	return PT_OK;
}

enum pt_outcome pt_shadow_end_begin(struct pt_shadow_end *end, struct pt_shadow *shadow,
				    void (*wake)(struct pt_waiter *))
{
	enum pt_outcome outcome;

	pt_port_lock(&shadow->nested->lock);
	outcome = go(shadow);
	if (outcome == PT_OK)
		pt_port_note(PT_EVENT_SHADOW_KEY, 0, NULL, &shadow->ctx, 0, 0);
	pt_port_unlock(&shadow->nested->lock);
	if (outcome != PT_OK)
		return outcome;
	end->shadow = shadow;
	end->wake = wake;
	end->at = 0;
	end->waits = false;
	end->phase = FILLS;
	return PT_OK;
}

/* True: the sections have ended that were running when this was first asked in a phase. */
static bool waited(struct pt_shadow_end *end, const struct pt_agent *agent)
{
	struct pt_machine *machine = end->shadow->ctx.machine;

	if (!end->waits)
		pt_grace_begin(&end->grace, machine, agent);
	end->waits = !pt_grace_done(&end->grace, machine);
	return !end->waits;
}

static bool clear(struct pt_shadow_end *end, struct pt_agent *agent, uint32_t budget)
{
	struct pt_shadow *shadow = end->shadow;
	const struct pt_ctx *ctx = &shadow->ctx;
	uint64_t last = ((uint64_t)ctx->geo.start_entries << ctx->root_shift) - 1;
	struct pt__kills kills = {.agent = agent};
	bool all;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, end, ctx, (uintptr_t)agent, 0);
	all = pt__shadow_clear(&kills, shadow, &end->at, last, &budget);
	pt__kills_finish(&kills);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, end, ctx, all ? PT_UNMAPPED : PT_MORE, 0);
	return all;
}

static void free_number(const struct pt_shadow *shadow)
{
	struct pt_nested *nested = shadow->nested;

	atomic_store_explicit(&nested->shadow[shadow->number], NULL, memory_order_release);
	atomic_fetch_add_explicit(&nested->counts.recycled, 1, memory_order_relaxed);
}

/* One phase's share. False: again in a later section. */
static bool go_on(struct pt_shadow_end *end, struct pt_agent *agent, uint32_t budget)
{
	switch (end->phase) {
	case FILLS:
	case READERS: return waited(end, agent);
	case LEAVES: return clear(end, agent, budget);
	case BREAKERS:
		if (!waited(end, agent))
			return false;
		free_number(end->shadow);
		return true;
	default:
		if (!pt__directory_close(end->shadow, agent, &budget))
			return false;
		pt_ctx_destroy_begin(&end->txn, &end->shadow->ctx, end->wake);
		return true;
	}
}

enum pt_outcome pt_shadow_end_step(struct pt_shadow_end *end, struct pt_agent *agent,
				   uint32_t budget)
{
	enum pt_outcome outcome;

	if (end->phase < TABLES) {
		pt_machine_use(end->shadow->ctx.machine, agent);
		end->phase += go_on(end, agent, budget ? budget : 1);
		return PT_MORE;
	}
	outcome = pt_txn_step(&end->txn, agent, budget);
	if (outcome == PT_OK)
		end->phase = DONE;
	return outcome;
}

enum pt_outcome pt_nested_close(struct pt_nested *nested, struct pt_agent *agent, uint32_t budget)
{
	return pt__links_close(nested, agent, &budget) ? PT_OK : PT_MORE;
}
