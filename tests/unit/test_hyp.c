/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own stage-1 map: its descriptors, what may follow what, and all or nothing. */
#include <pt/hyp.h>

#include "core.h"

struct hyp {
	struct core c;
	struct pt_port_mmu mmu; /* EL2's: it counts */
	struct pt_hyp map;
	uint64_t used;
};

static const struct pt_hyp_args sizes[] = {
	{.granule_shift = 12, .va_bits = 48, .pa_bits = 44},
	{.granule_shift = 12, .va_bits = 39, .pa_bits = 44},
	{.granule_shift = 12, .va_bits = 33, .pa_bits = 44}, /* 8 entries of 1 GiB */
	{.granule_shift = 14, .va_bits = 48, .pa_bits = 44},
	{.granule_shift = 16, .va_bits = 42, .pa_bits = 44, .guarded = true},
	{.granule_shift = 16, .va_bits = 48, .pa_bits = 44},
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void hyp_open(struct hyp *h, unsigned size)
{
	struct pt_hyp_args args = sizes[size];

	core_open_machine(&h->c, UINT64_C(64) << 20, 44, false);
	ASSERT_OUTCOME(PT_OK, pt_host_mmu_init(&h->mmu, 0, PT_HOST_TLB_CACHE, 1));
	args.port = &h->c.port;
	args.mmu = &h->mmu;
	h->used = atomic_load(&h->c.tables.world.pool.used_bytes);
	pt_section_begin(&h->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_hyp_init(&h->map, &h->c.agent, &args));
}

static void hyp_close(struct hyp *h)
{
	pt_hyp_destroy(&h->map, &h->c.agent);
	assert_int_equal(0, h->map.table_pages);
	pt_section_end(&h->c.agent);
	while (pt_reclaim(&h->c.agent))
		continue;
	assert_int_equal(h->used, atomic_load(&h->c.tables.world.pool.used_bytes));
	pt_host_mmu_destroy(&h->mmu);
	core_close(&h->c);
}

static uint64_t hyp_size(const struct hyp *h, int level)
{
	return pt_level_size(&h->map.geo, level);
}

static enum pt_outcome map(struct hyp *h, uint64_t va, uint64_t size, uint64_t pa, uint32_t prot)
{
	return pt_hyp_map(&h->map, &h->c.agent, va, size, pt_pa(pa), prot);
}

static uint64_t unmap(struct hyp *h, uint64_t va, uint64_t size, enum pt_outcome want)
{
	uint64_t bytes = 0;

	ASSERT_OUTCOME(want, pt_hyp_unmap(&h->map, &h->c.agent, va, size, &bytes));
	return bytes;
}

static pt_pte entry_at(struct hyp *h, uint64_t va, int *level)
{
	int ignored;
	pt_pte e;

	ASSERT_OUTCOME(PT_OK, pt_hyp_get_leaf(&h->map, va, &e, level ? level : &ignored));
	return e;
}

static bool legal(uint32_t prot)
{
	uint32_t type = (prot & PT_PROT_MEM_MASK) >> 8, x = prot & PT_PROT_X;

	if (!(prot & PT_PROT_R) || type > PT_MEM_DEVICE || prot >> 20)
		return false;
	return !x || (x == PT_PROT_X && !(prot & PT_PROT_W) && type == PT_MEM_NORMAL);
}

/* Each set of rights, each type; read back, and against the bits of the Arm ARM written out here.
 */
static void each_prot_has_one_encoding(void **state)
{
	(void)state;
	for (uint32_t prot = 0; prot < 1u << 21; prot++) {
		pt_pte e;

		if (prot & 0xf0 || (prot >> 8 & 0xff) > 4) /* bits 7:4: none is known */
			continue;
		if (!legal(prot)) {
			ASSERT_OUTCOME(PT_INVALID, pt_hyp_prot_check(prot));
			continue;
		}
		ASSERT_OUTCOME(PT_OK, pt_hyp_prot_check(prot));
		for (unsigned guarded = 0; guarded < 2; guarded++) {
			e = pt_hyp_leaf_attrs(prot, guarded);
			assert_int_equal(prot, pt_hyp_leaf_prot(e));
			assert_int_equal(1, e & 3);
			assert_int_equal(prot >> 8 & 0xff, e >> 2 & 7);
			assert_int_equal(prot & PT_PROT_W ? 1 : 3, e >> 6 & 3);
			assert_int_equal(7, e >> 8 & 7); /* inner shareable, AF */
			assert_int_equal(!(prot & PT_PROT_X), e >> 54 & 1);
			assert_int_equal(guarded && prot & PT_PROT_X, e >> 50 & 1);
			assert_int_equal(prot >> 16, e >> 55 & 0xf);
			assert_int_equal(0, e & ~UINT64_C(0x07c40000000007df));
		}
	}
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_prot_check(PT_PROT_R | 0x10));
}

/* One pure rule, that shares nothing with stage 2: only software bits change live. */
static void a_live_leaf_changes_in_software_bits_alone(void **state)
{
	pt_pte leaf = pt_hyp_leaf_attrs(PT_PROT_RW, false) | 0x40000000 | PT_PTE_TYPE;

	(void)state;
	assert_true(pt_hyp_may_follow(0, leaf));
	assert_true(pt_hyp_may_follow(PT_PTE_LOCKED, leaf));
	for (unsigned bit = 0; bit < 64; bit++) {
		pt_pte flip = UINT64_C(1) << bit;

		if (bit != 0)
			assert_int_equal((bit >= 55 && bit <= 58) || bit == 10,
					 pt_hyp_may_follow(leaf, leaf ^ flip));
	}
}

static void sizes_are_checked(void **state)
{
	static const struct pt_hyp_args bad[] = {
		{.granule_shift = 13, .va_bits = 48, .pa_bits = 44},
		{.granule_shift = 12, .va_bits = 24, .pa_bits = 44},
		{.granule_shift = 12, .va_bits = 49, .pa_bits = 44},
		{.granule_shift = 12, .va_bits = 48, .pa_bits = 49},
		{.granule_shift = 12, .va_bits = 48, .pa_bits = 31},
	};
	struct hyp h;

	(void)state;
	hyp_open(&h, 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pt_hyp_args args = bad[i];
		struct pt_hyp other;

		args.port = &h.c.port;
		ASSERT_OUTCOME(PT_INVALID, pt_hyp_init(&other, &h.c.agent, &args));
	}
	hyp_close(&h);
}

static void blocks_where_both_are_aligned(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		struct hyp h;
		uint64_t page, block, top;
		pt_pte e;
		int level;

		hyp_open(&h, i);
		page = hyp_size(&h, 3);
		block = hyp_size(&h, 2);
		top = (UINT64_C(1) << sizes[i].va_bits) - 2 * block;
		for (unsigned high = 0; high < 2; high++) {
			uint64_t va = (high ? top : 0) + block - page;

			ASSERT_OUTCOME(PT_MAPPED, map(&h, va, block + page, 3 * block - page,
						      PT_PROT_R | PT_PROT_X));
			e = entry_at(&h, va, &level);
			assert_int_equal(3, level);
			assert_int_equal(3 * block - page, pt_pte_to_oa(&h.map.geo, e).v);
			e = entry_at(&h, va + page + 5, &level);
			assert_int_equal(2, level);
			assert_int_equal(3 * block, pt_pte_to_oa(&h.map.geo, e).v);
			assert_int_equal(sizes[i].guarded, e >> 50 & 1);
			assert_int_equal(PT_PROT_R | PT_PROT_X, pt_hyp_leaf_prot(e));
			assert_int_equal(0, entry_at(&h, va - page, NULL));
		}
		assert_int_equal(0, atomic_load(&h.mmu.tlbis)); /* nothing was valid before */
		hyp_close(&h);
	}
}

static void a_conflict_changes_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		static const uint32_t others[] = {PT_PROT_R, PT_PROT_R | PT_PROT_X,
						  PT_PROT(PT_PROT_RW, PT_MEM_DEVICE)};
		uint32_t sw = PT_PROT_RW | UINT32_C(1) << PT_PROT_SW_SHIFT;
		struct hyp h;
		uint64_t page, block, tables, used;
		int level;

		hyp_open(&h, i);
		page = hyp_size(&h, 3);
		block = hyp_size(&h, 2);
		ASSERT_OUTCOME(PT_MAPPED, map(&h, 5 * page, page, 5 * page, PT_PROT_RW));
		ASSERT_OUTCOME(PT_MAPPED, map(&h, 2 * block, block, 2 * block, PT_PROT_RW));
		tables = h.map.table_pages;
		used = atomic_load(&h.c.tables.world.pool.used_bytes);
		for (unsigned k = 0; k < 3; k++)
			ASSERT_OUTCOME(PT_OVERLAP, map(&h, 0, 8 * page, 0, others[k]));
		ASSERT_OUTCOME(PT_OVERLAP, map(&h, 0, 8 * page, page, PT_PROT_RW));
		ASSERT_OUTCOME(PT_OVERLAP, map(&h, block, 2 * block, block, PT_PROT_R));
		/* Software bits of a part of a block are those of all of it. */
		ASSERT_OUTCOME(PT_OVERLAP, map(&h, 2 * block, page, 2 * block, sw));
		assert_int_equal(0, entry_at(&h, 0, NULL));
		assert_int_equal(0, entry_at(&h, block, NULL));
		assert_int_equal(tables, h.map.table_pages);
		assert_int_equal(used, atomic_load(&h.c.tables.world.pool.used_bytes));
		/* The same again, part of it, and more of it. */
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, map(&h, 2 * block, page, 2 * block, PT_PROT_RW));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, map(&h, 2 * block, block, 2 * block, sw));
		assert_int_equal(sw, pt_hyp_leaf_prot(entry_at(&h, 2 * block, &level)));
		assert_int_equal(2, level);
		ASSERT_OUTCOME(PT_MAPPED, map(&h, 0, 8 * page, 0, PT_PROT_RW));
		for (unsigned p = 0; p < 8; p++)
			assert_int_equal(
				p * page,
				pt_pte_to_oa(&h.map.geo, entry_at(&h, p * page, &level)).v);
		assert_int_equal(0, atomic_load(&h.mmu.tlbis));
		hyp_close(&h);
	}
}

static void unmapped_means_flushed_and_given_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		struct hyp h;
		uint64_t page, block;

		hyp_open(&h, i);
		page = hyp_size(&h, 3);
		block = hyp_size(&h, 2);
		ASSERT_OUTCOME(PT_MAPPED, map(&h, 3 * page, 4 * page, 3 * page, PT_PROT_RW));
		ASSERT_OUTCOME(PT_MAPPED, map(&h, block, 2 * block, 0, PT_PROT_RW));
		assert_int_equal(0, unmap(&h, 9 * page, page, PT_HOLE));
		assert_int_equal(0, unmap(&h, block + page, block, PT_MISALIGNED));
		assert_int_equal(0, unmap(&h, 0, 2 * block - page, PT_MISALIGNED));
		assert_int_equal(0, atomic_load(&h.mmu.tlbis));
		assert_int_equal(page, unmap(&h, 0, 4 * page, PT_UNMAPPED));
		assert_int_equal(1, atomic_load(&h.mmu.tlbis));
		assert_int_equal(0, entry_at(&h, 3 * page, NULL));
		assert_int_not_equal(0, entry_at(&h, 4 * page, NULL));
		assert_int_equal(3 * page + block, unmap(&h, 0, 2 * block, PT_UNMAPPED));
		assert_int_equal(2, atomic_load(&h.mmu.tlbis));
		assert_int_equal(block, unmap(&h, 0, UINT64_C(1) << sizes[i].va_bits, PT_UNMAPPED));
		assert_int_equal(0, h.map.table_pages);
		hyp_close(&h);
	}
}

static void ranges_are_checked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		struct hyp h;
		uint64_t page, end = UINT64_C(1) << sizes[i].va_bits, bytes;
		pt_pte e;
		int level;

		hyp_open(&h, i);
		page = hyp_size(&h, 3);
		ASSERT_OUTCOME(PT_INVALID, map(&h, 0, 0, 0, PT_PROT_R));
		ASSERT_OUTCOME(PT_INVALID, map(&h, -page, 2 * page, 0, PT_PROT_R));
		ASSERT_OUTCOME(PT_INVALID, map(&h, 0, page, 0, PT_PROT_RWX));
		ASSERT_OUTCOME(PT_MISALIGNED, map(&h, 8, page, 0, PT_PROT_R));
		ASSERT_OUTCOME(PT_MISALIGNED, map(&h, 0, page + 8, 0, PT_PROT_R));
		ASSERT_OUTCOME(PT_MISALIGNED, map(&h, 0, page, 8, PT_PROT_R));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, map(&h, end - page, 2 * page, 0, PT_PROT_R));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE,
			       map(&h, 0, 2 * page, (UINT64_C(1) << 44) - page, PT_PROT_R));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE,
			       pt_hyp_unmap(&h.map, &h.c.agent, end, page, &bytes));
		ASSERT_OUTCOME(PT_INVALID, pt_hyp_unmap(&h.map, &h.c.agent, 0, 0, &bytes));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_hyp_get_leaf(&h.map, end, &e, &level));
		ASSERT_OUTCOME(PT_MAPPED,
			       map(&h, end - page, page, (UINT64_C(1) << 44) - page, PT_PROT_R));
		assert_int_equal(3, (entry_at(&h, end - 1, &level), level));
		hyp_close(&h);
	}
}

/* Out of pages: nothing has changed, and every page is back. */
static void all_tables_or_none(void **state)
{
	struct pt_pages hoard = {0};
	struct pt_page page;
	struct hyp h;
	unsigned spare = 0;

	(void)state;
	hyp_open(&h, 0);
	while (pt_pool_get(&h.c.agent, 12, &page) == PT_OK)
		pt_pages_push(&h.c.tables.world.pool, &hoard, page);
	/* Two regions, each of three tables. */
	while (map(&h, PT_SZ_1G - PT_SZ_4K, 2 * PT_SZ_4K, 0, PT_PROT_R) == PT_NO_MEMORY) {
		assert_int_equal(0, h.map.table_pages);
		assert_int_equal(0, entry_at(&h, PT_SZ_1G, NULL));
		page = pt_pages_pop(&h.c.tables.world.pool, &hoard);
		pt_pool_put(&h.c.agent, 12, page);
		spare++;
	}
	assert_int_equal(5, spare); /* levels 1, 2 and 2, 3 and 3 */
	assert_int_equal(5, h.map.table_pages);
	pt_pool_give(&h.c.agent, 12, &hoard);
	hyp_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_prot_has_one_encoding),
		cmocka_unit_test(a_live_leaf_changes_in_software_bits_alone),
		cmocka_unit_test(sizes_are_checked),
		cmocka_unit_test(blocks_where_both_are_aligned),
		cmocka_unit_test(a_conflict_changes_nothing),
		cmocka_unit_test(unmapped_means_flushed_and_given_back),
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(all_tables_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
