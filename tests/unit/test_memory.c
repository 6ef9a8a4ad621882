/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine memory: sparse, zero, byte-exact; and the failpoints' plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <pt/host/memory.h>
#include <pt/host/vcpu.h>

#define GIB (UINT64_C(1) << 30)

static struct pt_host_ram make_ram(uint64_t bytes)
{
	struct pt_host_ram ram;

	assert_int_equal(pt_host_ram_create(&ram, bytes), PT_OK);
	return ram;
}

static void memory_reads_as_zero_and_takes_pages_on_write(void **state)
{
	struct pt_host_ram ram = make_ram(1024 * GIB);
	unsigned char data[8192];

	(void)state;
	for (uint64_t pa = 0; pa < ram.bytes; pa += 64 * GIB) {
		memset(data, 0xff, sizeof(data));
		assert_int_equal(pt_host_ram_read(&ram, pa, data, sizeof(data)), PT_OK);
		for (size_t i = 0; i < sizeof(data); i++)
			assert_int_equal(data[i], 0);
	}
	assert_int_equal(pt_host_ram_resident(&ram), 0);
	assert_int_equal(pt_host_ram_write(&ram, 512 * GIB + 4094, "abcd", 4), PT_OK);
	assert_int_equal(pt_host_ram_resident(&ram), 8192);
	assert_int_equal(pt_host_ram_read(&ram, 512 * GIB + 4093, data, 6), PT_OK);
	assert_memory_equal(data, "\0abcd\0", 6);
	pt_host_ram_destroy(&ram);
}

static void a_word_is_swapped_if_it_is_what_was_expected(void **state)
{
	struct pt_host_ram ram = make_ram(64 * 1024);
	uint64_t word = 7, seen = 0;

	(void)state;
	assert_int_equal(pt_host_ram_swap(&ram, 8, &word, 9), PT_RACED);
	assert_int_equal(word, 0);
	assert_int_equal(pt_host_ram_resident(&ram), 0); /* a look takes no page */
	assert_int_equal(pt_host_ram_swap(&ram, 8, &word, 9), PT_OK);
	assert_int_equal(pt_host_ram_swap(&ram, 8, &word, 11), PT_RACED);
	assert_int_equal(word, 9);
	assert_int_equal(pt_host_ram_swap(&ram, 8, &word, 11), PT_OK);
	assert_int_equal(pt_host_ram_read(&ram, 8, &seen, 8), PT_OK);
	assert_int_equal(seen, 11);
	assert_int_equal(pt_host_ram_resident(&ram), 4096);
	assert_int_equal(pt_host_ram_swap(&ram, ram.bytes, &word, 1), PT_OUT_OF_RANGE);
	pt_host_ram_destroy(&ram);
}

/* Pages of [pa, pa + bytes) that the system keeps for it. */
static unsigned kept(const struct pt_host_ram *ram, uint64_t pa, uint64_t bytes)
{
	unsigned char in[64];
	unsigned n = 0;

	assert_true(bytes <= sizeof(in) * 4096);
	assert_int_equal(mincore(ram->base + pa, bytes, in), 0);
	for (uint64_t i = 0; i < bytes / 4096; i++)
		n += in[i] & 1;
	return n;
}

/* Every pattern of written pages in six, among others that were not: those are not taken to be
 * cleared. */
static void what_is_wiped_reads_as_zero_and_takes_no_page(void **state)
{
	unsigned char page[4096], byte;

	(void)state;
	memset(page, 0x5a, sizeof(page));
	for (unsigned pattern = 0; pattern < 64; pattern++) {
		struct pt_host_ram ram = make_ram(8 * 4096);
		unsigned written = 2;

		assert_int_equal(pt_host_ram_write(&ram, 0, page, 4096), PT_OK);
		assert_int_equal(pt_host_ram_write(&ram, 7 * 4096, page, 4096), PT_OK);
		for (unsigned i = 0; i < 6; i++) {
			if (!(pattern >> i & 1))
				continue;
			assert_int_equal(pt_host_ram_write(&ram, (i + 1) * 4096, page, 4096),
					 PT_OK);
			written++;
		}
		pt_host_ram_wipe(&ram, 4096, 6 * 4096);
		for (uint64_t pa = 0; pa < ram.bytes; pa += 61) {
			bool beside = pa < 4096 || pa >= 7 * 4096;

			assert_int_equal(pt_host_ram_read(&ram, pa, &byte, 1), PT_OK);
			assert_int_equal(byte, beside ? 0x5a : 0);
		}
		assert_int_equal(pt_host_ram_resident(&ram), written * 4096);
		assert_int_equal(kept(&ram, 0, ram.bytes), written);
		pt_host_ram_destroy(&ram);
	}
}

/* From one page on to what one call wipes, and more: long ones are written past the caches. */
static void each_length_is_wiped_to_its_ends(void **state)
{
	enum { PAGES = 20 };
	static unsigned char bytes[PAGES * 4096];

	(void)state;
	for (uint64_t n = 1; n <= PAGES - 2; n++) {
		struct pt_host_ram ram = make_ram(sizeof(bytes));
		uint64_t end = (n + 1) * 4096;

		memset(bytes, 0x5a, sizeof(bytes));
		assert_int_equal(pt_host_ram_write(&ram, 0, bytes, sizeof(bytes)), PT_OK);
		pt_host_ram_wipe(&ram, 4096, n * 4096);
		assert_int_equal(pt_host_ram_read(&ram, 0, bytes, sizeof(bytes)), PT_OK);
		for (uint64_t pa = 0; pa < sizeof(bytes); pa++)
			assert_int_equal(bytes[pa], pa < 4096 || pa >= end ? 0x5a : 0);
		pt_host_ram_destroy(&ram);
	}
}

/* The lowest free descriptor is the same before and after: a machine keeps none. */
static void a_machine_keeps_no_descriptor(void **state)
{
	int before = dup(1), after;
	struct pt_host_ram ram;

	(void)state;
	assert_true(before >= 0);
	close(before);
	ram = make_ram(16384);
	after = dup(1);
	close(after);
	assert_int_equal(after, before);
	pt_host_ram_destroy(&ram);
}

static void every_small_copy_is_byte_exact(void **state)
{
	struct pt_host_ram ram = make_ram(16384);
	unsigned char shadow[16384] = {0}, data[64], seen[16384];

	(void)state;
	for (unsigned at = 4096 - 40; at < 4096 + 8; at++)
		for (unsigned size = 0; size <= 40; size++) {
			for (unsigned i = 0; i < size; i++)
				data[i] = (unsigned char)(at * 7 + size * 13 + i + 1);
			memcpy(shadow + at, data, size);
			assert_int_equal(pt_host_ram_write(&ram, at, data, size), PT_OK);
			assert_int_equal(pt_host_ram_read(&ram, 0, seen, sizeof(seen)), PT_OK);
			assert_memory_equal(seen, shadow, sizeof(seen));
			memset(data, 0, sizeof(data));
			assert_int_equal(pt_host_ram_read(&ram, at, data, size), PT_OK);
			assert_memory_equal(data, shadow + at, size);
		}
	pt_host_ram_destroy(&ram);
}

static void nothing_outside_is_touched(void **state)
{
	static const struct {
		uint64_t pa, size;
		enum pt_outcome o;
	} rows[] = {
		{0, 12288, PT_OK},
		{12288, 0, PT_OK},
		{12287, 1, PT_OK},
		{12287, 2, PT_OUT_OF_RANGE},
		{12288, 1, PT_OUT_OF_RANGE},
		{0, 12289, PT_OUT_OF_RANGE},
		{UINT64_MAX, 1, PT_OUT_OF_RANGE},
		{UINT64_MAX, 2, PT_OUT_OF_RANGE},
		{1, UINT64_MAX, PT_OUT_OF_RANGE},
	};
	struct pt_host_ram ram = make_ram(12288);
	unsigned char data[12289];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(data, 0x5a, sizeof(data));
		assert_int_equal(pt_host_ram_read(&ram, rows[i].pa, data, rows[i].size), rows[i].o);
		if (rows[i].o != PT_OK)
			assert_int_equal(data[0], 0x5a);
		assert_int_equal(pt_host_ram_write(&ram, rows[i].pa, data, rows[i].size),
				 rows[i].o);
	}
	assert_int_equal(pt_host_ram_create(&ram, 0), PT_INVALID);
	assert_int_equal(pt_host_ram_create(&ram, UINT64_MAX - 4095), PT_NO_MEMORY);
}

/* One memory, at an address of its own in each machine; sparse, and zero where pages are handed
 * out. */
static void table_memory_stands_in_the_upper_half_of_each_machine(void **state)
{
	struct pt_host_tables *tables = calloc(1, sizeof(*tables));
	struct pt_agent *agent = calloc(1, sizeof(*agent));
	struct pt_port small, large;
	struct pt_page page;

	(void)state;
	assert_int_equal(pt_host_tables_create(tables, 0), PT_INVALID);
	assert_int_equal(pt_host_tables_create(tables, (2 << 20) + 4096), PT_INVALID);
	assert_int_equal(pt_host_tables_create(tables, 8 * GIB), PT_OK);
	pt_host_port_init(&small, tables, 40);
	pt_host_port_init(&large, tables, 52);
	assert_int_equal(small.table_pa, UINT64_C(1) << 39);
	assert_int_equal(large.table_pa, UINT64_C(1) << 51);
	assert_int_equal(small.table_bytes, 8 * GIB);
	assert_int_equal(pt_agent_join(&tables->world, agent), PT_OK);
	assert_int_equal(pt_pool_get(agent, 16, &page), PT_OK);
	assert_int_equal(page.off % 65536, 0);
	pt_pte_init(pt_port_table(&small, pt_page_pa(&small, page)), 0x1234);
	assert_int_equal(pt_pte_load(pt_port_table(&large, pt_page_pa(&large, page))), 0x1234);
	assert_int_equal(pt_pa_page(&large, pt_page_pa(&large, page)).off, page.off);
	pt_pte_init(pt_port_table(&small, pt_page_pa(&small, page)), 0);
	pt_pool_put(agent, 16, page);
	pt_agent_leave(agent);
	pt_host_tables_destroy(tables);
	free(tables);
	free(agent);
}

static void plan_of_hits(const struct pt_host_failpoint *how, uint64_t scope, unsigned n, char *out)
{
	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, how);
	for (unsigned i = 0; i < n; i++)
		out[i] = pt_port_failpoint(PT_FP_POOL_RESERVE, scope) ? 'x' : '.';
	out[n] = 0;
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
}

static void failpoints_fail_the_hits_their_plan_names(void **state)
{
	static const struct {
		struct pt_host_failpoint how;
		uint64_t scope;
		const char *want;
		uint64_t hits, failures;
	} rows[] = {
		{{.nth = 1, .times = 1}, 7, "x.......", 8, 1},
		{{.nth = 3, .times = 1}, 7, "..x.....", 8, 1},
		{{.nth = 3, .times = 2}, 7, "..xx....", 8, 2},
		{{.nth = 3}, 7, "..xxxxxx", 8, 6},
		{{.nth = 9}, 7, "........", 8, 0},
		{{.nth = 2, .scope = 7}, 7, ".xxxxxxx", 8, 7},
		{{.nth = 2, .scope = 8}, 7, "........", 0, 0},
		{{.probability_ppm = 1000000}, 7, "xxxxxxxx", 8, 8},
		{{.probability_ppm = 1000000, .times = 3}, 7, "xxx.....", 8, 3},
		{{.probability_ppm = 0}, 7, "........", 8, 0},
	};
	char got[16];
	uint64_t hits, failures;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		plan_of_hits(&rows[i].how, rows[i].scope, 8, got);
		assert_string_equal(got, rows[i].want);
		pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
		assert_int_equal(hits, rows[i].hits);
		assert_int_equal(failures, rows[i].failures);
	}
	assert_int_equal(pt_host_failpoints_armed, 0);
	assert_false(pt_port_failpoint(PT_FP_POOL_RESERVE, 7));
}

static void a_seed_repeats_and_other_points_stay_quiet(void **state)
{
	const char *env = getenv("PTD_SEED");
	struct pt_host_failpoint how = {.probability_ppm = 250000,
					.seed = env ? strtoull(env, NULL, 0) : 1};
	char first[1001], again[1001];
	unsigned failed = 0;

	(void)state;
	print_message("PTD_SEED=%llu\n", (unsigned long long)how.seed);
	plan_of_hits(&how, 0, 1000, first);
	plan_of_hits(&how, 0, 1000, again);
	assert_string_equal(first, again);
	for (unsigned i = 0; i < 1000; i++)
		failed += first[i] == 'x';
	assert_in_range(failed, 150, 350);
	how.seed++;
	plan_of_hits(&how, 0, 1000, again);
	assert_string_not_equal(first, again);
	pt_host_failpoint_arm(PT_FP_TLBI_DROP, &(struct pt_host_failpoint){.nth = 1});
	assert_false(pt_port_failpoint(PT_FP_POOL_RESERVE, 0));
	assert_true(pt_port_failpoint(PT_FP_TLBI_DROP, 0));
	pt_host_failpoint_disarm(PT_FP_TLBI_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_reads_as_zero_and_takes_pages_on_write),
		cmocka_unit_test(a_word_is_swapped_if_it_is_what_was_expected),
		cmocka_unit_test(what_is_wiped_reads_as_zero_and_takes_no_page),
		cmocka_unit_test(each_length_is_wiped_to_its_ends),
		cmocka_unit_test(a_machine_keeps_no_descriptor),
		cmocka_unit_test(every_small_copy_is_byte_exact),
		cmocka_unit_test(nothing_outside_is_touched),
		cmocka_unit_test(table_memory_stands_in_the_upper_half_of_each_machine),
		cmocka_unit_test(failpoints_fail_the_hits_their_plan_names),
		cmocka_unit_test(a_seed_repeats_and_other_points_stay_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
