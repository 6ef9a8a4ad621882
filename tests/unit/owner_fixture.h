/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with a ledger of owners, and what every test of it does. */
#ifndef TESTS_UNIT_OWNER_FIXTURE_H
#define TESTS_UNIT_OWNER_FIXTURE_H

#include "core.h"
#include "sweep.h"

#include <pt/owner_store.h>

#define OWNER_SCOPE 4711 /* sweep_arm() */

struct ledger {
	struct core c;
	struct pt_store store;
	uint64_t used; /* of the pool, when it was empty */
};

static inline void ledger_open(struct ledger *l, uint64_t table_bytes)
{
	core_open_machine(&l->c, table_bytes, 44, false);
	pt_store_init(&l->store, &l->c.machine, UINT64_MAX, OWNER_SCOPE);
	l->used = atomic_load(&l->c.tables.world.pool.used_bytes);
}

/* Every page is back. */
static inline void ledger_close(struct ledger *l)
{
	while (pt_reclaim(&l->c.agent))
		continue;
	assert_int_equal(0, pt_store_pages(&l->store));
	assert_int_equal(l->used, atomic_load(&l->c.tables.world.pool.used_bytes));
	core_close(&l->c);
}

static inline void ledger_arm(uint32_t nth)
{
	struct pt_host_failpoint how = {.scope = OWNER_SCOPE, .nth = nth, .times = 1};

	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
}

static inline struct pt_extent guest_extent(uint64_t start, uint64_t end, uint16_t handle,
					    uint64_t gfn, uint64_t id)
{
	return (struct pt_extent){.start = start,
				  .end = end,
				  .owner = {PT_OWNER_GUEST, handle, gfn},
				  .state = PT_PAGE_OWNED,
				  .id = id};
}

static inline struct pt_extent host_extent(uint64_t start, uint64_t end)
{
	return (struct pt_extent){.start = start, .end = end};
}

/* One transition, with its reservation. */
static inline void extent_set(struct ledger *l, struct pt_extents *x, struct pt_extent e)
{
	pt_section_begin(&l->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_extents_reserve(x, &l->c.agent, 1));
	pt_extents_set(x, &l->c.agent, &e);
	pt_extents_release(x, &l->c.agent, 1);
	pt_section_end(&l->c.agent);
}

static inline struct pt_extent extent_at(struct ledger *l, const struct pt_extents *x,
					 uint64_t unit)
{
	struct pt_extent e;

	pt_section_begin(&l->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_extents_find(x, unit, &e));
	pt_section_end(&l->c.agent);
	return e;
}

static inline void extent_same(const struct pt_extent *want, const struct pt_extent *got)
{
	assert_int_equal(want->start, got->start);
	assert_int_equal(want->end, got->end);
	assert_int_equal(want->owner.kind, got->owner.kind);
	assert_int_equal(want->owner.handle, got->owner.handle);
	assert_int_equal(want->owner.gfn, got->owner.gfn);
	assert_int_equal(want->state, got->state);
	assert_int_equal(want->meta, got->meta);
	assert_int_equal(want->id, got->id);
}

#endif
