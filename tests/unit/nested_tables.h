/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of ranges over whole leaf tables of shadows share. */
#ifndef TESTS_NESTED_TABLES_H
#define TESTS_NESTED_TABLES_H

#include "nested_fixture.h"

#define PAGE	 UINT64_C(4096)
#define BLOCK	 (UINT64_C(2) << 20)
#define PAGES	 (BLOCK / PAGE)
#define PA	 (UINT64_C(1) << 35)
#define NESTINGS 4u
#define TABLES	 4u /* of each, and of the canonical context */

static struct nest n;
static struct pt_shadow *s[NESTINGS];

static inline uint64_t killed(void)
{
	return atomic_load(&n.nested.counts.killed);
}

/* The canonical context has TABLES tables of pages from 0 on. */
static inline void open_shape(const struct shape *shape)
{
	nest_open(&n, shape, false);
	for (unsigned i = 0; i < NESTINGS; i++)
		s[i] = nest_shadow(&n, shape);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, TABLES * core_size(&n.c, 2), PA, PT_PROT_RWX,
					   PT_MAP_FORCE_PAGES));
}

static inline void fill_as(unsigned which, uint64_t ipa, uint64_t canonical, uint32_t prot)
{
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s[which], ipa, canonical, PT_LEVEL_LAST, prot));
}

static inline void fill(unsigned which, uint64_t ipa, uint64_t canonical)
{
	fill_as(which, ipa, canonical, PT_PROT_RWX);
}

static inline void close_all(void)
{
	nest_close(&n);
	assert_int_equal(0, atomic_load(&n.nested.store.bytes));
}

#endif
