/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's memory: the early allocator, regions and frames, and the boot order that makes its own map.
 */
#include "hyp_fixture.h"

static const unsigned granules[] = {12, 14, 16};
#define GRANULES 3

static void early_pages_are_zeroed_and_in_a_row(void **state)
{
	struct pt_hyp_early early, untouched;
	struct pt_pa first, second, last = {1};
	struct board b;

	(void)state;
	board_open(&b, 12);
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_early_init(&early, &b.port, 0, 12));
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_early_init(&early, &b.port, 0x4000, 13));
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_early_init(&early, &b.port, -BOARD_POOL, 12));
	ASSERT_OUTCOME(PT_MISALIGNED, pt_hyp_early_init(&early, &b.port, 0x4800, 12));
	ASSERT_OUTCOME(PT_MISALIGNED, pt_hyp_early_init(&early, &b.port, 0x3000, 14));
	ASSERT_OUTCOME(PT_OK, pt_hyp_early_init(&early, &b.port, 0x4000, 12));
	ASSERT_OUTCOME(PT_OK, pt_hyp_early_take(&early, 1, &first));
	ASSERT_OUTCOME(PT_OK, pt_hyp_early_take(&early, 2, &second));
	assert_int_equal(BOARD_POOL, first.v);
	assert_int_equal(BOARD_POOL + 0x1000, second.v);
	for (unsigned i = 0; i < 0x3000; i++)
		assert_int_equal(0, b.port.table_va[i]);
	assert_int_equal(0xa5, b.port.table_va[0x3000]); /* not given yet */
	untouched = early;
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_hyp_early_take(&early, 2, &last));
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_hyp_early_take(&early, UINT64_MAX, &last));
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_early_take(&early, 0, &last));
	assert_memory_equal(&untouched, &early, sizeof(early));
	assert_int_equal(1, last.v);
	ASSERT_OUTCOME(PT_OK, pt_hyp_early_take(&early, 1, &last));
	assert_int_equal(0, pt_hyp_early_left(&early));
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_hyp_early_take(&early, 1, &last));
	board_close(&b);
}

static void regions_are_searched_exactly(void **state)
{
	static const struct pt_hyp_region r[] = {{0x1000, 0x2000},
						 {0x3000, 0x1000},
						 {0x8000, 0x1000},
						 {0x10000, 0x10000},
						 {0x40000, 0x1000}};
	struct pt_hyp_memory m = {.region = r, .regions = 5};

	(void)state;
	for (uint64_t pa = 0; pa < 0x42000; pa += 0x1000) {
		const struct pt_hyp_region *want = NULL;

		for (unsigned i = 0; i < 5; i++)
			if (pa >= r[i].pa && pa < r[i].pa + r[i].size)
				want = r + i;
		assert_ptr_equal(want, pt_hyp_region_of(&m, pa, 1));
		assert_ptr_equal(want, pt_hyp_region_of(&m, pa + 0xfff, 1));
		assert_int_equal(want != NULL, pt_hyp_is_memory(&m, pa, 0x1000));
		assert_int_equal(!want, !pt_frame_find(&m, pt_pa(pa)));
	}
	assert_ptr_equal(r, pt_hyp_region_of(&m, 0x1000, 0x2000));
	assert_null(pt_hyp_region_of(&m, 0x1000, 0x2001)); /* over two */
	assert_null(pt_hyp_region_of(&m, 0x1000, UINT64_MAX));
	assert_true(pt_hyp_is_memory(&m, 0, 0x1001));
	assert_true(pt_hyp_is_memory(&m, 0x4000, 0x100000));
	assert_false(pt_hyp_is_memory(&m, 0x4000, 0x4000));
}

static void region_lists_are_checked(void **state)
{
	struct pt_hyp_region r[] = {{0x1000, 0x2000}, {0x3000, 0x1000}};

	(void)state;
	ASSERT_OUTCOME(PT_OK, pt_hyp_regions_check(r, 2, 0x1000, 40));
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_regions_check(r, 0, 0x1000, 40));
	ASSERT_OUTCOME(PT_MISALIGNED, pt_hyp_regions_check(r, 2, 0x4000, 40));
	r[0].size = 0x3000; /* they meet */
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_regions_check(r, 2, 0x1000, 40));
	r[0].size = 0;
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_regions_check(r, 2, 0x1000, 40));
	r[0].size = 0x1000;
	r[1] = (struct pt_hyp_region){(UINT64_C(1) << 40) - 0x1000, 0x2000};
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_hyp_regions_check(r, 2, 0x1000, 40));
	r[1] = (struct pt_hyp_region){-UINT64_C(0x1000), 0x2000};
	ASSERT_OUTCOME(PT_INVALID, pt_hyp_regions_check(r, 2, 0x1000, 40));
}

static void each_thing_has_its_place_and_its_rights(void **state)
{
	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;

		board_boot(&b, granules[g]);
		board_expect(&b, BOARD_LOW, BOARD_LOW, PT_PROT_R | PT_PROT_X); /* identity */
		board_expect_none(&b, BOARD_LOW + 0x10000);
		for (unsigned i = 0; i < 3; i++) {
			uint64_t last = b.image[i].pa + b.image[i].size - 8;

			board_expect(&b, board_linear(&b, b.image[i].pa), b.image[i].pa,
				     b.image[i].prot);
			board_expect(&b, board_linear(&b, last), last, b.image[i].prot);
		}
		board_expect_none(&b, board_linear(&b, BOARD_LOW + 0x30000));
		board_expect_none(&b, board_linear(&b, BOARD_LOADER)); /* never EL2's own */
		board_expect_none(&b, board_linear(&b, BOARD_POOL - 8));
		board_expect(&b, board_linear(&b, BOARD_POOL), BOARD_POOL, PT_PROT_RW);
		board_expect(&b, board_linear(&b, BOARD_POOL + BOARD_BYTES - 8),
			     BOARD_POOL + BOARD_BYTES - 8, PT_PROT_RW);
		board_expect_none(&b, board_linear(&b, BOARD_POOL + BOARD_BYTES));
		board_expect_none(&b, board_linear(&b, BOARD_HIGH));
		board_expect(&b, b.uart.va, BOARD_UART, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE));
		assert_int_equal(BOARD_LOADER, b.returned.pa);
		assert_int_equal(0x40000, b.returned.size);
		assert_int_equal(0, atomic_load(&b.mmu.tlbis)); /* nothing was walked before */
		board_close(&b);
	}
}

/* Every leaf of the map, and every PA by all its addresses: none is writable here and executable
 * there. */
static void nothing_is_writable_and_executable(void **state)
{
	struct board b;
	uint64_t text = BOARD_LOW, pa;

	(void)state;
	board_boot(&b, 12);
	for (uint64_t va = b.base; va < b.base + (UINT64_C(4) << 30); va += PT_SZ_4K) {
		pt_pte leaf = board_leaf(&b, va, &pa);
		uint32_t prot = leaf ? pt_hyp_leaf_prot(leaf) : 0;

		assert_false(prot & PT_PROT_X && prot & PT_PROT_W);
		if (leaf && pa >= text && pa < text + 0x10000)
			assert_false(prot & PT_PROT_W);
		if (prot & PT_PROT_X)
			assert_true(pa >= text && pa < text + 0x10000);
	}
	board_close(&b);
	board_open(&b, 12);
	b.image[2].prot = PT_PROT_RWX;
	ASSERT_OUTCOME(PT_INVALID, board_try(&b));
	assert_int_equal(0, b.switched);
	board_close(&b);
}

static void each_frame_of_memory_has_a_zeroed_record(void **state)
{
	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;

		board_boot(&b, granules[g]);
		for (unsigned r = 0; r < 2; r++)
			for (uint64_t pa = b.region[r].pa; pa < b.region[r].pa + b.region[r].size;
			     pa += PT_SZ_4K) {
				struct pt_frame *f = pt_frame_find(&b.space.memory, pt_pa(pa));
				bool hyp = (pa >= BOARD_LOW && pa < BOARD_LOW + 0x30000) ||
					   (pa >= BOARD_POOL && pa < BOARD_POOL + BOARD_BYTES);

				assert_ptr_equal(
					(void *)(b.plan.frames_va + (pa >> 12) * sizeof(*f)), f);
				assert_int_equal(hyp ? PT_FRAME_HYP : PT_FRAME_HOST, f->owner);
				assert_int_equal(0, f->refs | f->state | f->count);
			}
		assert_null(pt_frame_find(&b.space.memory, pt_pa(BOARD_LOW - 1)));
		assert_null(
			pt_frame_find(&b.space.memory, pt_pa(BOARD_LOW + (UINT64_C(64) << 20))));
		assert_null(pt_frame_find(&b.space.memory, pt_pa(BOARD_UART)));
		board_close(&b);
	}
}

/* Neighbours whose records share a page. */
static void neighbouring_regions_share_a_page_of_records(void **state)
{
	struct board b;
	uint64_t pa = 0, first;

	(void)state;
	board_open(&b, 12);
	b.region[0].size = (UINT64_C(64) << 20) - 0x3000;
	b.region[1] = (struct pt_hyp_region){BOARD_LOW + (UINT64_C(64) << 20) - 0x2000, 0x5000};
	ASSERT_OUTCOME(PT_OK, board_try(&b));
	assert_int_not_equal(
		0, board_leaf(&b, (uintptr_t)pt_frame_at(&b.space.memory, b.region[1].pa), &first));
	assert_int_not_equal(
		0, board_leaf(&b, (uintptr_t)pt_frame_at(&b.space.memory, b.region[1].pa + 0x4000),
			      &pa));
	assert_int_not_equal(first & ~UINT64_C(0xfff), pa & ~UINT64_C(0xfff));
	pt_frame_at(&b.space.memory, b.region[1].pa)->count = 7;
	assert_int_equal(7, pt_frame_find(&b.space.memory, pt_pa(b.region[1].pa))->count);
	assert_null(pt_frame_find(&b.space.memory, pt_pa(b.region[1].pa - 0x1000)));
	board_close(&b);
}

static void each_cpu_has_its_own(void **state)
{
	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;
		uint64_t size, page, pa = 0;

		board_boot(&b, granules[g]);
		size = b.plan.stack_bytes;
		page = UINT64_C(1) << granules[g];
		for (unsigned i = 0; i < BOARD_CPUS; i++) {
			struct pt_hyp_cpu *cpu = &b.cpu[i];

			assert_int_equal(0, cpu->stack_top % (2 * size));
			for (uint64_t at = 1; at <= size; at += 0x1000) {
				assert_int_equal(
					PT_PROT_RW,
					pt_hyp_leaf_prot(board_leaf(&b, cpu->stack_top - at, &pa)));
				board_expect_none(&b, cpu->stack_top - size - at); /* the guard */
			}
			assert_true(pa >= BOARD_POOL && pa < BOARD_POOL + BOARD_BYTES);
			board_expect_none(&b, cpu->stack_top);
			board_expect_none(&b, cpu->window);
			assert_int_equal(0, cpu->window % page);
			for (uint64_t at = 0; at < b.plan.data_bytes; at++)
				assert_int_equal(0, *(unsigned char *)(cpu->data + at));
			if (i)
				assert_true(cpu->data - b.cpu[i - 1].data == b.plan.data_bytes &&
					    cpu->slot != b.cpu[i - 1].slot);
		}
		board_close(&b);
	}
}

/* All of the pool is zero, but for what EL2 keeps there: the early pages among it become the
 * pool's. */
static void early_tables_become_the_pools(void **state)
{
	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;
		struct pt_pages all = {0};
		struct pt_page page;
		uint64_t bytes, used, tables, va, size = UINT64_C(1) << granules[g];

		board_boot(&b, granules[g]);
		used = atomic_load(&b.world.pool.used_bytes);
		tables = b.space.map.table_pages;
		va = board_linear(&b, BOARD_LOW);
		pt_section_begin(&b.agent);
		ASSERT_OUTCOME(PT_UNMAPPED,
			       pt_hyp_unmap(&b.space.map, &b.agent, BOARD_LOW, size, &bytes));
		assert_in_range(tables - b.space.map.table_pages, 1, 3);
		assert_int_equal(used - (tables - b.space.map.table_pages) * size,
				 atomic_load(&b.world.pool.used_bytes));
		assert_int_equal(1, atomic_load(&b.mmu.tlbis));
		/* What is handed out now was never handed out before, but those; it is zero. */
		while (pt_pool_get(&b.agent, granules[g], &page) == PT_OK) {
			const uint64_t *word = (const void *)(b.port.table_va + page.off);

			for (unsigned i = 0; i < size / 8; i++)
				assert_int_equal(0, word[i]);
			pt_pages_push(&b.world.pool, &all, page);
		}
		assert_int_equal(b.world.pool.total_bytes & ~(size - 1),
				 atomic_load(&b.world.pool.used_bytes) & ~(size - 1));
		board_expect(&b, va, BOARD_LOW, PT_PROT_R | PT_PROT_X); /* still EL2's tables */
		assert_true(all.count > 16);
		pt_pool_give(&b.agent, granules[g], &all);
		pt_section_end(&b.agent);
		board_close(&b);
	}
}

/* No pool is too small to be told so; and the smallest that does is found by trying each. */
static void a_small_pool_is_refused_before_the_switch(void **state)
{
	struct board b;
	uint64_t pages;

	(void)state;
	board_open(&b, 12);
	for (pages = 1;; pages++) {
		enum pt_outcome outcome;

		b.plan.pool.size = pages * PT_SZ_4K;
		outcome = board_try(&b);
		if (outcome == PT_OK)
			break;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		assert_int_equal(0, b.switched);
	}
	assert_int_equal(1, b.switched);
	/* 512 records a page: 32 and 8 pages; stacks and data 16 pages a CPU each. */
	assert_in_range(pages, 40 + 32 * BOARD_CPUS, 40 + 32 * BOARD_CPUS + 32);
	assert_int_equal(b.world.pool.total_bytes, atomic_load(&b.world.pool.used_bytes));
	board_close(&b);
}

struct wrong {
	const char *what;
	enum pt_outcome outcome;
	void (*spoil)(struct board *b);
};

#define SPOIL(name, ...)                                                                           \
	static void name(struct board *b)                                                          \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}
SPOIL(granule, b->plan.args.granule_shift = 13)
SPOIL(no_region, b->plan.regions = 0)
SPOIL(region_order, b->region[1].pa = BOARD_LOW - PT_SZ_1G)
SPOIL(region_pa, b->region[1].pa = UINT64_C(1) << 40)
SPOIL(pool_outside, b->plan.pool.size = UINT64_C(64) << 20)
SPOIL(pool_elsewhere, b->plan.pool.pa += 0x10000; b->plan.pool.size -= 0x10000)
SPOIL(piece_alignment, b->image[1].size -= 8)
SPOIL(piece_empty, b->image[1].size = 0)
SPOIL(piece_wraps, b->image[1].size = -b->image[1].pa)
SPOIL(piece_in_pool, b->image[1].pa = BOARD_POOL)
SPOIL(pieces_meet, b->image[1].pa = BOARD_LOW + 0x1000)
SPOIL(loader_in_pool, b->plan.loader.pa = BOARD_POOL - 0x1000)
SPOIL(loader_in_image, b->plan.loader.pa = BOARD_LOW + 0x20000)
SPOIL(idmap_unaligned, b->plan.idmap += 4)
SPOIL(idmap_outside, b->plan.idmap = BOARD_LOADER)
SPOIL(idmap_data, b->plan.idmap = BOARD_LOW + 0x20000)
SPOIL(idmap_virtual, b->plan.offset = -PT_SZ_4K)
SPOIL(offset_alignment, b->plan.offset += 8)
SPOIL(linear_outside, b->plan.offset = UINT64_C(1) << 48)
SPOIL(private_alignment, b->plan.private_va += PT_SZ_4K)
SPOIL(private_in_linear, b->plan.private_va = b->base + BOARD_HIGH - BOARD_LOW)
SPOIL(private_outside, b->plan.private_va = (UINT64_C(1) << 48) - PT_SZ_2M)
SPOIL(private_wraps, b->plan.private_size = -b->plan.private_va)
SPOIL(private_small, b->plan.private_size = PT_SZ_2M; b->plan.stack_bytes = PT_SZ_2M / 4)
SPOIL(frames_in_private, b->plan.frames_va -= PT_SZ_1G)
SPOIL(frames_in_linear, b->plan.frames_va -= 3 * PT_SZ_1G)
SPOIL(frames_outside, b->plan.frames_va += UINT64_C(1) << 48)
SPOIL(no_cpu, b->plan.cpus = 0)
SPOIL(no_stack, b->plan.stack_bytes = 0)
SPOIL(odd_stack, b->plan.stack_bytes = 0x3000)
SPOIL(stack_alignment, b->plan.stack_bytes = 0x800)
SPOIL(data_alignment, b->plan.data_bytes = 0x1010)
SPOIL(device_in_memory, b->uart.pa = BOARD_LOW + 0x30000)
SPOIL(device_alignment, b->uart.size = 8)

static void a_plan_that_does_not_fit_is_refused(void **state)
{
	static const struct wrong wrong[] = {
#define W(name, outcome) {#name, PT_##outcome, name}
		W(granule, INVALID),
		W(no_region, INVALID),
		W(region_order, INVALID),
		W(region_pa, OUT_OF_RANGE),
		W(pool_outside, OUT_OF_RANGE),
		W(pool_elsewhere, INVALID),
		W(piece_alignment, MISALIGNED),
		W(piece_empty, INVALID),
		W(piece_wraps, INVALID),
		W(piece_in_pool, OVERLAP),
		W(pieces_meet, OVERLAP),
		W(loader_in_pool, OVERLAP),
		W(loader_in_image, OVERLAP),
		W(idmap_unaligned, MISALIGNED),
		W(idmap_outside, INVALID),
		W(idmap_data, INVALID),
		W(idmap_virtual, OVERLAP),
		W(offset_alignment, MISALIGNED),
		W(linear_outside, OUT_OF_RANGE),
		W(private_alignment, MISALIGNED),
		W(private_in_linear, OVERLAP),
		W(private_outside, OUT_OF_RANGE),
		W(private_wraps, OUT_OF_RANGE),
		W(private_small, NO_MEMORY),
		W(frames_in_private, OVERLAP),
		W(frames_in_linear, OVERLAP),
		W(frames_outside, OUT_OF_RANGE),
		W(no_cpu, INVALID),
		W(no_stack, INVALID),
		W(odd_stack, INVALID),
		W(stack_alignment, MISALIGNED),
		W(data_alignment, MISALIGNED),
		W(device_in_memory, WRONG_OWNER),
		W(device_alignment, MISALIGNED),
#undef W
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct board b;
		enum pt_outcome outcome;

		board_open(&b, 12);
		wrong[i].spoil(&b);
		outcome = board_try(&b);
		if (outcome != wrong[i].outcome)
			print_error("%s\n", wrong[i].what);
		ASSERT_OUTCOME(wrong[i].outcome, outcome);
		assert_int_equal(0, b.switched);
		board_close(&b);
	}
}

/* Identity-mapped as a whole: the identity page is a part of the linear range. */
static void an_offset_of_zero_is_one_too(void **state)
{
	struct board b;

	(void)state;
	board_open(&b, 12);
	b.plan.offset = 0;
	/* Pointers have to stay what they are; those of this process are elsewhere, so per-CPU data
	 * is not read. */
	ASSERT_OUTCOME(PT_OK, board_try(&b));
	board_expect(&b, BOARD_LOW, BOARD_LOW, PT_PROT_R | PT_PROT_X);
	board_expect(&b, BOARD_LOW + 0xffff, BOARD_LOW + 0xffff, PT_PROT_R | PT_PROT_X);
	board_close(&b);
}

static void the_control_register_says_the_same(void **state)
{
	static const struct {
		uint8_t granule, va, pa;
		uint64_t tcr;
	} rows[] = {{12, 48, 40, 0x80823510},
		    {14, 47, 36, 0x8081b511},
		    {16, 42, 48, 0x80857516},
		    {12, 39, 33, 0x80803519}};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pt_hyp map = {.geo = {.granule_shift = rows[i].granule,
					     .ipa_bits = rows[i].va,
					     .pa_bits = rows[i].pa}};

		assert_int_equal(rows[i].tcr, pt_hyp_tcr(&map));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(early_pages_are_zeroed_and_in_a_row),
		cmocka_unit_test(regions_are_searched_exactly),
		cmocka_unit_test(region_lists_are_checked),
		cmocka_unit_test(each_thing_has_its_place_and_its_rights),
		cmocka_unit_test(nothing_is_writable_and_executable),
		cmocka_unit_test(each_frame_of_memory_has_a_zeroed_record),
		cmocka_unit_test(neighbouring_regions_share_a_page_of_records),
		cmocka_unit_test(each_cpu_has_its_own),
		cmocka_unit_test(early_tables_become_the_pools),
		cmocka_unit_test(a_small_pool_is_refused_before_the_switch),
		cmocka_unit_test(a_plan_that_does_not_fit_is_refused),
		cmocka_unit_test(an_offset_of_zero_is_one_too),
		cmocka_unit_test(the_control_register_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
