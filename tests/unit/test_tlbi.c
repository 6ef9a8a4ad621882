/* SPDX-License-Identifier: BSD-2-Clause */
/* TLBI operands by hand-computed values, and the cover of ranges, exhaustive over small ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pt/tlbi.h>

static struct pt_geometry geometry(unsigned granule_shift, bool ds)
{
	unsigned bits = ds ? 52 : 48;
	struct pt_geometry_args a = {
		.granule_shift = granule_shift, .ipa_bits = bits, .pa_bits = bits, .ds = ds};
	struct pt_geometry g;

	assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
	return g;
}

static const struct {
	unsigned granule_shift;
	bool ds;
} formats[] = {{12, false}, {12, true}, {14, false}, {14, true}, {16, false}};

static void address_operands_have_the_manuals_bits(void **state)
{
	static const struct {
		unsigned granule_shift;
		bool ds;
		uint64_t ipa;
		int level;
		uint64_t value;
	} rows[] = {
		{12, false, 0x123456789000, 3, 0x0000700123456789},
		{12, false, 0x123456789000, 2, 0x0000600123456789},
		{12, false, 0x123440000000, 1, 0x0000500123440000},
		{12, false, 0x123440000000, 0, 0x0000000123440000}, /* no such leaf: no hint */
		{12, true, 0xf123440000000, 0, 0x000040f123440000},
		{12, false, 0x1000, PT_TTL_UNKNOWN, 0x1},
		{14, false, 0x4000, 3, 0x0000b00000000004},
		{14, false, 0x2000000, 2, 0x0000a00000002000},
		{14, false, 0x2000000, 1, 0x0000000000002000},
		{14, true, 0x2000000, 1, 0x0000900000002000},
		{16, false, 0x10000, 3, 0x0000f00000000010},
		{16, false, 0x10000, 1, 0x0000d00000000010},
		{16, false, 0x10000, -1, 0x0000000000000010},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry g = geometry(rows[i].granule_shift, rows[i].ds);

		assert_int_equal(pt_tlbi_ipa_operand(&g, pt_ipa(rows[i].ipa), rows[i].level),
				 rows[i].value);
	}
}

static void range_operands_have_the_manuals_bits(void **state)
{
	static const struct {
		unsigned granule_shift;
		bool ds;
		uint64_t ipa;
		unsigned num, scale;
		int level;
		uint64_t value, size;
	} rows[] = {
		{12, false, 0x123456789000, 0, 0, PT_TTL_UNKNOWN, 0x0000400123456789, 0x2000},
		{12, false, 0x1000, 31, 3, 3, 0x00007fe000000001, 0x200000000},
		{12, true, 0x30000, 5, 1, 2, 0x000052c000000003, 0x180000},
		{14, false, 0x8000, 1, 2, 3, 0x0000a0e000000002, 0x4000000},
		{14, true, 0x8000000000000, 0, 0, 1, 0x0000802800000000, 0x8000},
		{16, false, 0x50000, 2, 0, 1, 0x0000c12000000005, 0x60000},
		{12, false, 0x1000, 0, 0, 0, 0x0000400000000001, 0x2000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry g = geometry(rows[i].granule_shift, rows[i].ds);
		uint64_t value = pt_tlbi_range_operand(&g, pt_ipa(rows[i].ipa), rows[i].num,
						       rows[i].scale, rows[i].level);
		struct pt_tlbi_op op;
		int level;

		assert_int_equal(value, rows[i].value);
		assert_true(pt_tlbi_decode(g.ds, value, true, &op, &level));
		assert_int_equal(op.granule_shift, rows[i].granule_shift);
		assert_int_equal(op.ipa.v, rows[i].ipa);
		assert_int_equal(op.size, rows[i].size);
		assert_int_equal(level, rows[i].level > 0 ? rows[i].level : PT_TTL_UNKNOWN);
	}
}

/* Rule T4: walks a cover by what its operands say, not by what the struct says. */
static unsigned check_cover(const struct pt_geometry *g, uint64_t start, uint64_t bytes)
{
	struct pt_ipa ipa = pt_ipa(start);
	uint64_t size = bytes, at = start;
	unsigned singles = 0, ranges = 0;
	struct pt_tlbi_op op, read;
	int level;

	while (pt_tlbi_cover_next(g, &ipa, &size, 3, &op)) {
		assert_true(pt_tlbi_decode(g->ds, op.value, op.range, &read, &level));
		assert_int_equal(level, 3);
		assert_int_equal(read.granule_shift, g->granule_shift);
		assert_int_equal(op.granule_shift, g->granule_shift);
		assert_int_equal(read.ipa.v, at);
		assert_int_equal(read.size, op.size);
		assert_true(!op.range || !g->ds || at % 0x10000 == 0);
		at += read.size;
		assert_int_equal(ipa.v, at);
		op.range ? ranges++ : singles++;
	}
	assert_int_equal(at, start + bytes);
	assert_int_equal(size, 0);
	assert_in_range(ranges, 0, 4);
	assert_in_range(singles, 0, g->ds ? 16 : 1);
	return singles + ranges;
}

static void every_small_range_is_covered_exactly(void **state)
{
	(void)state;
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		struct pt_geometry g = geometry(formats[f].granule_shift, formats[f].ds);

		for (uint64_t first = 0; first < 17; first++)
			for (uint64_t n = 1; n <= 2200; n++)
				check_cover(&g, first << g.granule_shift, n << g.granule_shift);
	}
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void random_large_ranges_are_covered_exactly(void **state)
{
	const char *env = getenv("PTD_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 11, rng = seed | 1;

	(void)state;
	print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		struct pt_geometry g = geometry(formats[f].granule_shift, formats[f].ds);

		for (int i = 0; i < 20000; i++) {
			uint64_t n = next_random(&rng) % PT_TLBI_MAX_GRANULES + 1;
			uint64_t first = next_random(&rng) >> (g.granule_shift + 20);

			check_cover(&g, first << g.granule_shift, n << g.granule_shift);
		}
	}
}

static void well_aligned_ranges_take_one_operation(void **state)
{
	static const uint64_t granules[] = {2,	  4,	64,    128,	512,
					    2048, 4096, 65536, 1 << 20, 1 << 21};

	(void)state;
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++)
		for (size_t i = 0; i < sizeof(granules) / sizeof(granules[0]); i++) {
			struct pt_geometry g = geometry(formats[f].granule_shift, formats[f].ds);

			assert_int_equal(
				check_cover(&g, UINT64_C(1) << 40, granules[i] << g.granule_shift),
				1);
		}
}

/* More than one operation can say is covered all the same, in steps of the largest. */
static void a_range_beyond_the_largest_operation_goes_on(void **state)
{
	struct pt_geometry g = geometry(12, false);
	struct pt_ipa ipa = pt_ipa(0);
	uint64_t size = (5 * PT_TLBI_MAX_GRANULES + 3) << 12, covered = 0;
	struct pt_tlbi_op op;
	unsigned n = 0;

	(void)state;
	while (pt_tlbi_cover_next(&g, &ipa, &size, PT_TTL_UNKNOWN, &op)) {
		covered += op.size;
		n++;
	}
	assert_int_equal(n, 7);
	assert_int_equal(covered, (5 * PT_TLBI_MAX_GRANULES + 3) << 12);
	assert_false(pt_tlbi_cover_next(&g, &ipa, &size, PT_TTL_UNKNOWN, &op));
}

static void operands_are_read_by_what_they_say_themselves(void **state)
{
	static const struct {
		bool ds, range;
		uint64_t value;
		unsigned granule_shift; /* 0: names none */
		int level;
		uint64_t ipa, size;
	} rows[] = {
		{false, true, 0x0000800000000001, 14, PT_TTL_UNKNOWN, 0x4000, 0x8000},
		{true, true, 0x0000800000000001, 14, PT_TTL_UNKNOWN, 0x10000, 0x8000},
		{true, true, 0x0000c00000000001, 16, PT_TTL_UNKNOWN, 0x10000, 0x20000},
		/* 16K level 1: a block with LPA2 alone */
		{false, true, 0x0000802000000002, 14, PT_TTL_UNKNOWN, 0x8000, 0x8000},
		{true, true, 0x0000802000000002, 14, 1, 0x20000, 0x8000},
		{false, false, 0x0000b00000000004, 14, 3, 0x4000, 0x4000},
		{false, false, 0x0000000000000004, 0, PT_TTL_UNKNOWN, 0x4000, 0x1000},
		/* a level without a granule, and levels that have no leaf */
		{false, false, 0x0000300000000004, 0, PT_TTL_UNKNOWN, 0x4000, 0x1000},
		{false, false, 0x0000400000000004, 0, PT_TTL_UNKNOWN, 0x4000, 0x1000},
		{true, false, 0x0000400000000004, 12, 0, 0x4000, 0x1000},
		{false, false, 0x0000900000000004, 0, PT_TTL_UNKNOWN, 0x4000, 0x1000},
		{true, false, 0x0000900000000004, 14, 1, 0x4000, 0x4000},
		{true, false, 0x0000800000000004, 0, PT_TTL_UNKNOWN, 0x4000, 0x1000},
		{true, false, 0x0000c00000000004, 0, PT_TTL_UNKNOWN, 0x4000, 0x1000},
		/* NS, and what is RES0 */
		{false, false, 0x8f00500000000004, 12, 1, 0x4000, 0x1000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_tlbi_op op;
		int level;

		assert_true(pt_tlbi_decode(rows[i].ds, rows[i].value, rows[i].range, &op, &level));
		assert_int_equal(op.granule_shift, rows[i].granule_shift);
		assert_int_equal(level, rows[i].level);
		assert_int_equal(op.ipa.v, rows[i].ipa);
		assert_int_equal(op.size, rows[i].size);
	}
}

static void a_range_with_a_reserved_granule_does_not_decode(void **state)
{
	struct pt_tlbi_op op = {.size = 99};
	int level = 7;

	(void)state;
	assert_false(pt_tlbi_decode(false, 0x0000000000000001, true, &op, &level));
	assert_false(pt_tlbi_decode(true, 0x00003fffffffffff, true, &op, &level));
	assert_int_equal(op.size, 99);
	assert_int_equal(level, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_operands_have_the_manuals_bits),
		cmocka_unit_test(range_operands_have_the_manuals_bits),
		cmocka_unit_test(every_small_range_is_covered_exactly),
		cmocka_unit_test(random_large_ranges_are_covered_exactly),
		cmocka_unit_test(well_aligned_ranges_take_one_operation),
		cmocka_unit_test(a_range_beyond_the_largest_operation_goes_on),
		cmocka_unit_test(operands_are_read_by_what_they_say_themselves),
		cmocka_unit_test(a_range_with_a_reserved_granule_does_not_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
