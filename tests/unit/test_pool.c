/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool: buddy pieces, small start tables, magazines, lists, accounting. */
#include "core.h"

#if __STDC_HOSTED__
#include <sys/stat.h>
#endif

#define BYTES (UINT64_C(8) << 20)

static uint64_t used(struct core *c)
{
	return atomic_load(&c->tables.world.pool.used_bytes);
}

static bool zero(struct core *c, struct pt_page page, uint64_t bytes)
{
	const unsigned char *at = c->tables.port.table_va + page.off;

	for (uint64_t i = 0; i < bytes; i++)
		if (at[i])
			return false;
	return true;
}

static void pages_are_aligned_distinct_and_zero(void **state)
{
	struct core c;

	(void)state;
	core_open_machine(&c, BYTES, 44, false);
	for (unsigned gs = 12; gs <= 16; gs += 2) {
		static struct pt_page page[100];

		for (unsigned i = 0; i < 100; i++) {
			ASSERT_OUTCOME(PT_OK, pt_pool_get(&c.agent, gs, &page[i]));
			assert_int_equal(0, page[i].off & ((1u << gs) - 1));
			assert_int_not_equal(0, page[i].off);
			assert_true(zero(&c, page[i], 1u << gs));
			for (unsigned k = 0; k < i; k++)
				assert_int_not_equal(page[k].off, page[i].off);
		}
		assert_int_equal(100ull << gs, used(&c));
		for (unsigned i = 0; i < 100; i++)
			pt_pool_put(&c.agent, gs, page[i]);
		assert_int_equal(0, used(&c));
	}
	core_close(&c);
}

static void everything_taken_comes_back_whole(void **state)
{
	struct pt_page big[16];
	struct core c;
	unsigned n = 0, again = 0;

	(void)state;
	core_open_machine(&c, BYTES, 44, false);
	for (unsigned round = 0; round < 2; round++) {
		struct pt_pages list = {0, 0};
		uint32_t most = (uint32_t)(BYTES >> 12) - 1; /* unit 0 is never handed out */

		ASSERT_OUTCOME(PT_NO_MEMORY, pt_pool_take(&c.agent, 12, most + 1, &list));
		assert_int_equal(0, list.count);
		assert_int_equal(0, used(&c));
		ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, most, &list));
		assert_int_equal(most, list.count);
		assert_int_equal((uint64_t)most << 12, used(&c));
		ASSERT_OUTCOME(PT_NO_MEMORY, pt_pool_get(&c.agent, 12, &big[0]));
		pt_pool_give(&c.agent, 12, &list);
		assert_int_equal(0, used(&c));
	}
	/* All merged again: as many of the largest pieces as can be. */
	pt_pool_flush_magazines(&c.agent);
	while (pt_pool_get_root(&c.agent, 1u << 20, &big[n]) == PT_OK)
		n++;
	assert_int_equal(7, n);
	while (n)
		pt_pool_put_root(&c.agent, 1u << 20, big[--n]);
	while (pt_pool_get_root(&c.agent, 1u << 20, &big[again]) == PT_OK)
		assert_int_equal(0, big[again++].off & ((1u << 20) - 1));
	assert_int_equal(7, again);
	core_close(&c);
}

static void start_tables_take_no_more_than_they_need(void **state)
{
	static const uint32_t sizes[] = {8, 64, 65, 128, 2048, 2049, 4096, 8192, 1u << 20};
	static const uint32_t takes[] = {64, 64, 128, 128, 2048, 4096, 4096, 8192, 1u << 20};
	static struct pt_page piece[200];
	struct core c;

	(void)state;
	core_open_machine(&c, BYTES, 44, false);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pt_page page;

		ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&c.agent, sizes[i], &page));
		assert_int_equal(takes[i], used(&c));
		assert_int_equal(0, page.off & (takes[i] - 1));
		pt_pool_put_root(&c.agent, sizes[i], page);
		assert_int_equal(0, used(&c));
	}
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_pool_get_root(&c.agent, (1u << 20) + 1, &piece[0]));
	for (unsigned i = 0; i < 200; i++) {
		ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&c.agent, 64, &piece[i]));
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(piece[k].off, piece[i].off);
	}
	for (unsigned i = 0; i < 200; i++) /* in another order */
		pt_pool_put_root(&c.agent, 64, piece[(i * 77) % 200]);
	assert_int_equal(0, used(&c));
	core_close(&c);
}

static void random_traffic_keeps_the_accounts(void **state)
{
	struct {
		struct pt_page page;
		uint32_t bytes;
	} held[256] = {0};
	uint64_t seed = core_seed(), sum = 0;
	struct core c;

	(void)state;
	core_open_machine(&c, BYTES, 44, false);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned at = core_random(&seed) % 256;
		uint32_t bytes = 64u << core_random(&seed) % 12;
		unsigned char *mark;

		if (held[at].bytes) {
			mark = c.tables.port.table_va + held[at].page.off;
			assert_int_equal(at, *mark);
			*mark = 0;
			pt_pool_put_root(&c.agent, held[at].bytes, held[at].page);
			sum -= held[at].bytes;
			held[at].bytes = 0;
		} else if (pt_pool_get_root(&c.agent, bytes, &held[at].page) == PT_OK) {
			held[at].bytes = bytes;
			mark = c.tables.port.table_va + held[at].page.off;
			assert_int_equal(0, *mark);
			*mark = (unsigned char)at;
			sum += bytes;
		}
		assert_int_equal(sum, used(&c));
	}
	core_close(&c);
}

static void fresh_memory_stays_untouched(void **state)
{
	struct pt_pages list = {0, 0};
	struct core c;

	(void)state;
	core_open_machine(&c, BYTES, 44, false);
	for (unsigned i = 0; i < 50; i++) {
		ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, 100, &list));
		pt_pool_give(&c.agent, 12, &list);
	}
	assert_true(c.tables.world.pool.untouched <= 128);
	core_close(&c);
}

#if __STDC_HOSTED__ /* the image has nobody to give memory back to */
static uint64_t resident(const struct core *c)
{
	struct stat stat;

	assert_int_equal(0, fstat(c->tables.fd, &stat));
	return (uint64_t)stat.st_blocks * 512;
}

static void write_all(struct core *c, struct pt_pages *list, int byte)
{
	for (uint32_t unit = list->head, i = 0; i < list->count; i++) {
		memset(c->tables.port.table_va + ((uint64_t)unit << 12), byte, 4096);
		unit = c->tables.world.pool.unit[unit].next;
	}
}

/* Free pieces lose their memory one by one; what is in use, and what is kept, does not. They read
 * as zero when they are handed out again, after those that have memory. */
static void free_memory_goes_back(void **state)
{
	const uint32_t mib = 256, pieces = 8;
	struct pt_host_trim trim = {0};
	struct pt_pages used_pages = {0, 0}, list = {0, 0};
	uint64_t before;
	struct core c;

	(void)state;
	core_open_machine(&c, UINT64_C(32) << 20, 44, false);
	assert_false(pt_host_tables_trim(&c.tables, &trim, 0));
	ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, 2 * mib, &used_pages));
	ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, pieces * mib, &list));
	write_all(&c, &used_pages, 1);
	write_all(&c, &list, 1);
	write_all(&c, &list, 0);
	pt_pool_give(&c.agent, 12, &list);
	before = resident(&c);
	assert_in_range(pt_pool_spare(&c.tables.world.pool), pieces - 1, pieces);
	for (uint32_t left = pt_pool_spare(&c.tables.world.pool); left > 3; left--) {
		do {
			assert_true(pt_host_tables_trim(&c.tables, &trim, 3));
			before -= UINT64_C(256) << 10;
			assert_int_equal(before, resident(&c));
		} while (trim.left);
	}
	assert_false(pt_host_tables_trim(&c.tables, &trim, 3));
	assert_int_equal(3, pt_pool_spare(&c.tables.world.pool));
	ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, 3 * mib, &list));
	/* Of those that have memory: two pieces at least, as one of less than a piece lay beside
	 * them.
	 */
	assert_in_range(pt_pool_spare(&c.tables.world.pool), 0, 1);
	write_all(&c, &list, 1);
	write_all(&c, &list, 0);
	assert_int_equal(before, resident(&c));
	ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, (pieces - 4) * mib, &list));
	assert_true(c.tables.world.pool.untouched <= (pieces + 4) * mib);
	for (uint32_t unit = list.head, i = 0; i < list.count; i++) {
		assert_true(zero(&c, (struct pt_page){(uint64_t)unit << 12}, 4096));
		unit = c.tables.world.pool.unit[unit].next;
	}
	pt_pool_give(&c.agent, 12, &list);
	write_all(&c, &used_pages, 0);
	pt_pool_give(&c.agent, 12, &used_pages);
	while (pt_host_tables_trim(&c.tables, &trim, 0))
		continue;
	assert_true(resident(&c) < UINT64_C(2) << 20);
	assert_int_equal(0, used(&c));
	core_close(&c);
}
#endif

/* Every way to ask for a page of an empty pool: refused, nothing taken, and it recovers. */
static void an_empty_pool(void **state)
{
	static const struct pt_geometry_args roots[] = {
		{.granule_shift = 12, .ipa_bits = 40, .pa_bits = 44},
		{.granule_shift = 16, .ipa_bits = 42, .pa_bits = 44},
		{.granule_shift = 16, .ipa_bits = 48, .pa_bits = 48}, /* 64 entries */
	};
	struct pt_pages all = {0, 0};
	struct pt_geometry geo;
	struct pt_item item;
	struct pt_page page;
	struct pt_ctx ctx;
	struct core c;
	uint64_t left;

	(void)state;
	core_open_bytes(&c, &shapes[0], BYTES, false);
	left = (c.tables.world.pool.total_bytes - used(&c)) >> 12;
	ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, (uint32_t)left, &all));
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &roots[i]));
		ASSERT_OUTCOME(PT_NO_MEMORY, pt_ctx_init(&ctx, &c.agent, &c.machine, &geo,
							 PT_ATTR_FWB, 0, UINT64_MAX));
		ASSERT_OUTCOME(PT_NO_MEMORY, pt_pool_get(&c.agent, 12 + 2 * i, &page));
	}
	assert_int_equal(c.tables.world.pool.total_bytes, used(&c));
	item = core_item(&c, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_NO_MEMORY, core_point(&c, item, NULL, NULL));
	ASSERT_OUTCOME(PT_NO_MEMORY, core_range(&c, item, NULL));
	assert_int_equal(0, atomic_load(&c.ctx.table_pages));
	pt_pool_give(&c.agent, 12, &all);
	ASSERT_OUTCOME(PT_MAPPED, core_point(&c, item, NULL, NULL));
	core_close(&c);
}

static void a_pool_without_units_has_nothing(void **state)
{
	struct pt_page page;
	struct core c;

	(void)state;
	core_open_machine(&c, BYTES, 44, false);
	pt_pool_init(&c.tables.world.pool, &c.port, c.tables.unit, 0);
	assert_int_equal(0, c.tables.world.pool.total_bytes);
	for (unsigned gs = 12; gs <= 16; gs += 2)
		ASSERT_OUTCOME(PT_NO_MEMORY, pt_pool_get(&c.agent, gs, &page));
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_pool_get_root(&c.agent, 64, &page));
	core_close(&c);
}

/* Pages that waited for another agent are zeroed a mebibyte a call. */
static void reclaiming_is_bounded(void **state)
{
	(void)state;
	for (unsigned gs = 12; gs <= 16; gs += 2) {
		struct pt_pages list = {0, 0};
		uint32_t a_call = (1u << 20) >> gs, calls = 0;
		struct pt_agent b = {0};
		struct core c;

		core_open_machine(&c, UINT64_C(16) << 20, 44, false);
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
		ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, gs, 3 * a_call - 1, &list));
		pt_section_begin(&b);
		pt_retire(&c.agent, gs, &list);
		assert_true(pt_reclaim(&c.agent));
		assert_int_equal((3ull * a_call - 1) << gs, used(&c));
		pt_section_end(&b);
		while (pt_reclaim(&c.agent)) {
			calls++;
			assert_int_equal((3ull * a_call - 1 - calls * a_call) << gs, used(&c));
		}
		assert_int_equal(2, calls);
		assert_int_equal(0, used(&c));
		pt_agent_leave(&b);
		core_close(&c);
	}
}

/* Pages retired while others wait go with the next group: not with those, whose snapshot is older
 * than they are. */
static void what_comes_later_waits_for_later_sections(void **state)
{
	struct pt_pages list[3] = {{0, 0}, {0, 0}, {0, 0}};
	struct pt_agent b = {0};
	struct core c;

	(void)state;
	core_open_machine(&c, UINT64_C(16) << 20, 44, false);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OUTCOME(PT_OK, pt_pool_take(&c.agent, 12, i + 1, &list[i]));
	pt_section_begin(&b);
	for (unsigned i = 0; i < 3; i++) {
		pt_retire(&c.agent, 12, &list[i]);
		assert_int_equal(0, list[i].count);
	}
	assert_int_equal(6 * PT_SZ_4K, used(&c));
	pt_section_end(&b);
	pt_section_begin(&b); /* may have seen the later ones, and not the first */
	assert_true(pt_reclaim(&c.agent));
	assert_int_equal(5 * PT_SZ_4K, used(&c));
	pt_section_end(&b);
	assert_false(pt_reclaim(&c.agent));
	assert_int_equal(0, used(&c));
	pt_agent_leave(&b);
	core_close(&c);
}

static void *words_of(struct core *c, struct pt_page page)
{
	return pt_port_table(&c->port, pt_page_pa(&c->port, page));
}

static struct pt_page piece(struct core *c, uint32_t bytes)
{
	struct pt_page page;

	ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&c->agent, bytes, &page));
	memset(words_of(c, page), 0xff, bytes);
	return page;
}

/* Halves and quarters of pages are retired one by one: each waits as a page does, and neither what
 * is beside it nor what its owner noted there is touched. */
static void pieces_go_one_by_one(void **state)
{
	struct pt_pieces list[2] = {{0, 0}, {0, 0}};
	struct pt_page half[8], quarter[8];
	struct pt_agent b = {0};
	struct core c;
	struct pt_pool *pool = &c.tables.world.pool;

	(void)state;
	core_open_machine(&c, UINT64_C(16) << 20, 44, false);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	for (unsigned i = 0; i < 8; i++) {
		half[i] = piece(&c, 2048);
		quarter[i] = piece(&c, 1024);
		pt_pool_set_tag(pool, half[i], UINT64_MAX - i);
	}
	assert_int_equal(8 * 3072, used(&c));
	pt_section_begin(&b);
	for (unsigned i = 0; i < 8; i += 2) {
		pt_pieces_push(pool, &list[i / 4], half[i]);
		pt_pieces_push(pool, &list[i / 4], quarter[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		pt_retire_pieces(&c.agent, &list[i]);
		assert_int_equal(0, list[i].count);
	}
	assert_true(pt_reclaim(&c.agent));
	assert_int_equal(8 * 3072, used(&c));
	pt_section_end(&b);
	pt_section_begin(&b); /* may have seen what came second */
	assert_true(pt_reclaim(&c.agent));
	assert_int_equal(6 * 3072, used(&c));
	pt_section_end(&b);
	assert_false(pt_reclaim(&c.agent));
	assert_int_equal(4 * 3072, used(&c));
	for (unsigned i = 1; i < 8; i += 2) {
		const uint64_t *words = words_of(&c, half[i]);

		assert_int_equal(UINT64_MAX - i, pt_pool_tag(pool, half[i]));
		assert_int_equal(2048, pt_piece_bytes(pool, half[i]));
		assert_int_equal(UINT64_MAX, words[0]);
		assert_int_equal(UINT64_MAX, words[2048 / 8 - 1]);
		pt_pieces_push(pool, &list[0], half[i]);
		pt_pieces_push(pool, &list[0], quarter[i]);
	}
	pt_retire_pieces(&c.agent, &list[0]); /* nobody else is in a section */
	assert_int_equal(0, used(&c));
	pt_agent_leave(&b);
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_aligned_distinct_and_zero),
		cmocka_unit_test(everything_taken_comes_back_whole),
		cmocka_unit_test(start_tables_take_no_more_than_they_need),
		cmocka_unit_test(random_traffic_keeps_the_accounts),
		cmocka_unit_test(fresh_memory_stays_untouched),
#if __STDC_HOSTED__
		cmocka_unit_test(free_memory_goes_back),
#endif
		cmocka_unit_test(an_empty_pool),
		cmocka_unit_test(a_pool_without_units_has_nothing),
		cmocka_unit_test(reclaiming_is_bounded),
		cmocka_unit_test(what_comes_later_waits_for_later_sections),
		cmocka_unit_test(pieces_go_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
