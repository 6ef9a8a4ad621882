/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How old are the table pages that walks read? A page is in use from the pool's hand on, unlinked
 * from the store that takes its last table descriptor away, and free when it is back in the pool. A
 * section may still read what was unlinked after it began (rule L3), and never what is free. Seen
 * through the events of the checked build; otherwise there is nothing to see.
 */
#ifndef TESTS_UNIT_TABLE_AGES_H
#define TESTS_UNIT_TABLE_AGES_H

#include "core.h"

enum table_age { AGE_IN_USE, AGE_UNLINKED, AGE_FREE, AGES };

#ifdef PT_CHECKED

#define AGE_SHIFT 12
#define AGE_UNITS (UINT64_C(1) << 17) /* 512 MiB of tables */

static struct {
	const struct core *core;
	_Atomic uint8_t age[AGE_UNITS];
	_Atomic uint64_t seen[AGES];
} ages;

static bool unit_of(uint64_t va, uint64_t *unit)
{
	*unit = (va - (uintptr_t)ages.core->port.table_va) >> AGE_SHIFT;
	return *unit < AGE_UNITS;
}

static void set_age(uint64_t va, uint64_t bytes, enum table_age age)
{
	uint64_t unit;

	for (uint64_t at = 0; at < bytes; at += 1 << AGE_SHIFT)
		if (unit_of(va + at, &unit))
			atomic_store(&ages.age[unit], (uint8_t)age);
}

/* Every leaf that lib makes has attributes in 11:10 or 7:2, and no table descriptor has (9:8 may be
 * OA). */
static bool is_table(uint64_t descriptor)
{
	return (descriptor & 0xcfc) == 0 && (descriptor & 3) == 3;
}

static void watch_ages(const struct pt_event *e)
{
	const struct pt_geometry *g = &ages.core->ctx.geo;
	uint64_t unit;

	switch (e->kind) {
	case PT_EVENT_PAGE_GET: set_age(e->at, e->lo, AGE_IN_USE); break;
	case PT_EVENT_PAGE_PUT: set_age(e->at, e->lo, AGE_FREE); break;
	case PT_EVENT_STORE:
	case PT_EVENT_STORE_RELEASE:
		if (is_table(e->lo) && e->lo != e->hi)
			set_age((uintptr_t)pt_port_table(&ages.core->port, pt_pte_to_oa(g, e->lo)),
				UINT64_C(1) << g->granule_shift, AGE_UNLINKED);
		break;
	case PT_EVENT_LOAD:
		if (unit_of(e->at, &unit))
			atomic_fetch_add(&ages.seen[atomic_load(&ages.age[unit])], 1);
		break;
	default: break;
	}
}

/* Before other threads use `core`, whose context is there already. */
static inline void ages_begin(const struct core *core)
{
	memset(&ages, 0, sizeof(ages));
	ages.core = core;
	pt_host_event_hook = watch_ages;
}

static inline void ages_end(void)
{
	pt_host_event_hook = NULL;
	print_message("table pages read: %llu in use, %llu unlinked, %llu free\n",
		      (unsigned long long)ages.seen[AGE_IN_USE],
		      (unsigned long long)ages.seen[AGE_UNLINKED],
		      (unsigned long long)ages.seen[AGE_FREE]);
	assert_true(ages.seen[AGE_IN_USE] > 0);
	assert_true(ages.seen[AGE_UNLINKED] > 0);
	assert_int_equal(0, ages.seen[AGE_FREE]);
}

#else

static inline void ages_begin(const struct core *core)
{
	(void)core;
}

static inline void ages_end(void)
{
}

#endif
#endif
