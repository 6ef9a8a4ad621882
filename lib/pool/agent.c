/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents, their sections, and the deferred free of table pages. */
#include "section.h"

/*
 * Deferred free. A retired page was unlinked and its translations are flushed, but another agent
 * may still hold a pointer to it from a walk of the section that it is in. `fresh` collects such
 * pages; when nothing waits, it becomes `waiting` together with a snapshot of all other agents'
 * sections, and is zeroed and given back when each of them has ended. The fence before the snapshot
 * pairs with the one at the begin of a section: a section that the snapshot misses begins after the
 * unlink and cannot find the page.
 */

/* At most so many bytes are zeroed in one call of pt_reclaim(). */
#define RECLAIM_BYTES (UINT64_C(1) << 20)

_Static_assert(offsetof(struct pt_world, pool) == 0, "events name a world by its pool, too");

void pt_world_init(struct pt_world *world)
{
	atomic_store_explicit(&world->agents, 0, memory_order_relaxed);
	for (unsigned i = 0; i < PT_MAX_AGENTS; i++)
		atomic_store_explicit(&world->agent[i], NULL, memory_order_relaxed);
}

enum pt_outcome pt_agent_join(struct pt_world *world, struct pt_agent *agent)
{
	uint32_t agents = atomic_load(&world->agents);

	agent->world = world;
	for (uint32_t i = 0; i < PT_MAX_AGENTS; i++) {
		struct pt_agent *none = NULL;

		agent->id = i;
		if (!atomic_compare_exchange_strong(&world->agent[i], &none, agent))
			continue;
		while (agents <= i && !atomic_compare_exchange_weak(&world->agents, &agents, i + 1))
			pt_port_relax();
		pt_port_note(PT_EVENT_AGENT_JOIN, i, agent, world, 0, 0);
		return PT_OK;
	}
	return PT_BUSY;
}

void pt_agent_leave(struct pt_agent *agent)
{
	pt_pool_flush_magazines(agent);
	pt_port_note(PT_EVENT_POOL_USED, 0, NULL, agent->world,
		     atomic_load_explicit(&agent->world->pool.used_bytes, memory_order_relaxed), 0);
	pt_port_note(PT_EVENT_AGENT_LEAVE, agent->id, agent, agent->world, 0, 0);
	atomic_store(&agent->world->agent[agent->id], NULL);
}

void pt_section_begin(struct pt_agent *agent)
{
	pt__section_begin(agent);
}

void pt_section_end(struct pt_agent *agent)
{
	pt__section_end(agent);
}

static void snapshot(struct pt_agent *agent)
{
	struct pt_world *world = agent->world;
	uint32_t agents;

	pt_port_fence_full();
	agents = atomic_load_explicit(&world->agents, memory_order_relaxed);
	for (uint32_t i = 0; i < agents; i++) {
		struct pt_agent *other =
			atomic_load_explicit(&world->agent[i], memory_order_acquire);
		uint64_t section = 0;

		if (other && other != agent)
			section = atomic_load_explicit(&other->section, memory_order_acquire);
		agent->waiting_for[i] = section & 1 ? section : 0;
	}
}

/* Have all sections of the snapshot ended? */
static bool snapshot_over(struct pt_agent *agent)
{
	struct pt_world *world = agent->world;
	uint32_t agents = atomic_load_explicit(&world->agents, memory_order_relaxed);

	for (uint32_t i = 0; i < agents; i++) {
		struct pt_agent *other;

		if (!agent->waiting_for[i])
			continue;
		other = atomic_load_explicit(&world->agent[i], memory_order_acquire);
		if (other && atomic_load_explicit(&other->section, memory_order_acquire) ==
				     agent->waiting_for[i])
			return false;
		agent->waiting_for[i] = 0;
	}
	return true;
}

/* Zeroes and gives back pages of one granule, at most `budget` bytes of them; returns what is left
 * of it. */
static uint64_t free_pages(struct pt_agent *agent, unsigned granule_shift, struct pt_pages *list,
			   uint64_t budget)
{
	struct pt_pool *pool = &agent->world->pool;
	uint64_t size = UINT64_C(1) << granule_shift;
	struct pt_pages zeroed = {0, 0};

	while (list->count && budget) {
		struct pt_page page = pt_pages_pop(pool, list);

		pt_port_zero(pt_port_table(pool->port, pt_page_pa(pool->port, page)), size);
		pt_pages_push(pool, &zeroed, page);
		budget -= budget < size ? budget : size;
	}
	if (zeroed.count)
		pt_pool_give(agent, granule_shift, &zeroed);
	return budget;
}

/* The same for pieces of pages. */
static uint64_t free_pieces(struct pt_agent *agent, struct pt_pieces *list, uint64_t budget)
{
	struct pt_pool *pool = &agent->world->pool;
	struct pt_pieces zeroed = {0, 0};

	while (list->count && budget) {
		struct pt_page piece = pt_pieces_pop(pool, list);
		uint64_t size = pt_piece_bytes(pool, piece);

		pt_port_zero(pt_port_table(pool->port, pt_page_pa(pool->port, piece)), size);
		pt_pieces_push(pool, &zeroed, piece);
		budget -= budget < size ? budget : size;
	}
	pt_pool_give_pieces(agent, &zeroed);
	return budget;
}

static bool any(const struct pt_pages list[3], const struct pt_pieces *pieces)
{
	return list[0].count || list[1].count || list[2].count || pieces->count;
}

static bool any_fresh(const struct pt_agent *agent)
{
	return any(agent->fresh, &agent->fresh_pieces);
}

static bool reclaim(struct pt_agent *agent, uint64_t budget)
{
	while (agent->waiting_busy || any_fresh(agent)) {
		if (!agent->waiting_busy) {
			for (unsigned i = 0; i < 3; i++) {
				agent->waiting[i] = agent->fresh[i];
				agent->fresh[i] = (struct pt_pages){0, 0};
			}
			agent->waiting_pieces = agent->fresh_pieces;
			agent->fresh_pieces = (struct pt_pieces){0, 0};
			agent->waiting_busy = true;
			snapshot(agent);
		}
		if (!snapshot_over(agent) || pt_port_failpoint_checked(PT_FP_FREE_DELAY, 0))
			return true;
		for (unsigned i = 0; i < 3; i++)
			budget = free_pages(agent, 12 + 2 * i, &agent->waiting[i], budget);
		budget = free_pieces(agent, &agent->waiting_pieces, budget);
		if (any(agent->waiting, &agent->waiting_pieces))
			return true;
		agent->waiting_busy = false;
		atomic_store_explicit(&agent->graces,
				      atomic_load_explicit(&agent->graces, memory_order_relaxed) +
					      1,
				      memory_order_relaxed);
	}
	return false;
}

bool pt_reclaim(struct pt_agent *agent)
{
	/* Most of the time there is nothing: not for that the registers that reclaim() needs. */
	return (agent->waiting_busy || any_fresh(agent)) && reclaim(agent, RECLAIM_BYTES);
}

void pt_retire(struct pt_agent *agent, unsigned granule_shift, struct pt_pages *list)
{
	struct pt_pool *pool = &agent->world->pool;
	struct pt_pages *fresh = &agent->fresh[(granule_shift - 12) / 2];

	if (!fresh->count) {
		*fresh = *list;
		*list = (struct pt_pages){0, 0};
	}
	while (list->count)
		pt_pages_push(pool, fresh, pt_pages_pop(pool, list));
	/* Callers retire what one bounded step unlinked: no budget of its own. */
	reclaim(agent, UINT64_MAX);
}

void pt_retire_pieces(struct pt_agent *agent, struct pt_pieces *list)
{
	struct pt_pool *pool = &agent->world->pool;
	struct pt_pieces *fresh = &agent->fresh_pieces;

	if (!fresh->count) {
		*fresh = *list;
		*list = (struct pt_pieces){0, 0};
	}
	while (list->count)
		pt_pieces_push(pool, fresh, pt_pieces_pop(pool, list));
	reclaim(agent, UINT64_MAX);
}
