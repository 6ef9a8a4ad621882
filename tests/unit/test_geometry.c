/* SPDX-License-Identifier: BSD-2-Clause */
/* Geometry: every combination against a rule table written from the Arm ARM by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pt/geometry.h>

/* Where a tree may start: the IPA sizes that fit, the PA size it needs, DS with 52-bit PA or not.
 */
struct start_rule {
	unsigned granule_shift;
	int level;
	unsigned ipa_min, ipa_max, pa_min;
	bool wide;
};

static const struct start_rule rules[] = {
	{12, -1, 49, 61, 52, true}, {12, 0, 40, 52, 44, false}, {12, 1, 31, 43, 32, false},
	{12, 2, 22, 34, 32, false}, {12, 3, 13, 25, 32, false}, {14, 0, 48, 62, 52, true},
	{14, 1, 37, 51, 42, false}, {14, 2, 26, 40, 32, false}, {14, 3, 15, 29, 32, false},
	{16, 1, 43, 59, 44, false}, {16, 2, 30, 46, 32, false}, {16, 3, 17, 33, 32, false},
};

/* The start level when none is asked for: up to this IPA size. */
static const struct {
	unsigned granule_shift, ipa_max;
	int level;
} defaults[] = {
	{12, 34, 2}, {12, 43, 1}, {12, 52, 0}, {14, 40, 2},
	{14, 51, 1}, {14, 52, 0}, {16, 46, 2}, {16, 52, 1},
};

static const unsigned pa_sizes[] = {32, 36, 40, 42, 44, 48, 52};

static bool is_pa_size(unsigned bits)
{
	for (size_t i = 0; i < 7; i++)
		if (pa_sizes[i] == bits)
			return true;
	return false;
}

static const struct start_rule *rule_for(unsigned granule_shift, int level)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].granule_shift == granule_shift && rules[i].level == level)
			return &rules[i];
	return NULL;
}

static int default_level(const struct pt_geometry_args *a)
{
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (defaults[i].granule_shift == a->granule_shift &&
		    a->ipa_bits <= defaults[i].ipa_max)
			return defaults[i].level;
	return 99;
}

static bool sizes_ok(const struct pt_geometry_args *a)
{
	if (a->granule_shift != 12 && a->granule_shift != 14 && a->granule_shift != 16)
		return false;
	if (!is_pa_size(a->pa_bits) || a->ipa_bits < 32 || a->ipa_bits > 52 ||
	    a->ipa_bits > a->pa_bits)
		return false;
	if (a->granule_shift == 16 && a->ds)
		return false;
	return a->granule_shift == 16 || a->ds || a->pa_bits < 52;
}

static bool start_ok(const struct pt_geometry_args *a, int level)
{
	const struct start_rule *r = rule_for(a->granule_shift, level);

	return r && a->ipa_bits >= r->ipa_min && a->ipa_bits <= r->ipa_max &&
	       a->pa_bits >= r->pa_min && (!r->wide || a->ds);
}

static int block_level(const struct pt_geometry_args *a, int start)
{
	int level = a->granule_shift == 12   ? (a->ds ? 0 : 1)
		    : a->granule_shift == 14 ? (a->ds ? 1 : 2)
					     : (a->pa_bits == 52 ? 1 : 2);

	return start > level ? start : level;
}

static void check_fields(const struct pt_geometry *g, const struct pt_geometry_args *a, int level)
{
	unsigned tables;

	assert_int_equal(g->granule_shift, a->granule_shift);
	assert_int_equal(g->stride, a->granule_shift - 3);
	assert_int_equal(g->ipa_bits, a->ipa_bits);
	assert_int_equal(g->pa_bits, a->pa_bits);
	assert_int_equal(g->start_level, level);
	assert_int_equal(g->min_block_level, block_level(a, level));
	assert_int_equal(g->ds, a->ds);
	assert_int_equal(g->lpa, a->granule_shift == 16 && a->pa_bits == 52);
	assert_int_equal(g->start_entries, UINT64_C(1) << (a->ipa_bits - pt_level_shift(g, level)));
	assert_int_equal(g->start_bytes, 8 * g->start_entries);
	tables = (g->start_bytes + (1u << g->granule_shift) - 1) >> g->granule_shift;
	assert_in_range(tables, 1, 16);
	assert_true(g->start_entries >= 2);
}

static void check_round_trip(const struct pt_geometry *g)
{
	struct pt_geometry back;

	for (unsigned flags = 0; flags < 8; flags++) {
		uint64_t vtcr = pt_geometry_vtcr(g, flags);

		memset(&back, 0xa5, sizeof(back));
		assert_int_equal(pt_geometry_from_vtcr(&back, vtcr), PT_OK);
		assert_memory_equal(&back, g, sizeof(back));
		assert_true(vtcr >> 31 & 1);
		assert_int_equal(vtcr >> 21 & 1, flags & PT_VTCR_HA ? 1 : 0);
		assert_int_equal(vtcr >> 22 & 1, flags & PT_VTCR_HD ? 1 : 0);
		assert_int_equal(vtcr >> 19 & 1, flags & PT_VTCR_VS ? 1 : 0);
	}
}

static void check_one(const struct pt_geometry_args *a)
{
	struct pt_geometry g, untouched;
	int level = a->start_level_given ? a->start_level : default_level(a);
	bool legal = sizes_ok(a) && start_ok(a, level);
	enum pt_outcome o;

	memset(&g, 0x5a, sizeof(g));
	untouched = g;
	o = pt_geometry_init(&g, a);
	if ((o == PT_OK) != legal)
		print_error("granule %u ipa %u pa %u ds %d start %d given %d\n", a->granule_shift,
			    a->ipa_bits, a->pa_bits, a->ds, a->start_level, a->start_level_given);
	assert_int_equal(o, legal ? PT_OK : PT_INVALID);
	if (!legal) {
		assert_memory_equal(&g, &untouched, sizeof(g));
		return;
	}
	check_fields(&g, a, level);
	check_round_trip(&g);
}

static void check_starts(struct pt_geometry_args a)
{
	a.start_level_given = false;
	check_one(&a);
	a.start_level_given = true;
	for (a.start_level = -3; a.start_level <= 5; a.start_level++)
		check_one(&a);
}

static void every_combination_agrees_with_the_rule_table(void **state)
{
	struct pt_geometry_args a = {0};

	(void)state;
	for (a.granule_shift = 11; a.granule_shift <= 17; a.granule_shift++)
		for (a.ipa_bits = 30; a.ipa_bits <= 54; a.ipa_bits++)
			for (a.pa_bits = 31; a.pa_bits <= 57; a.pa_bits++)
				for (int ds = 0; ds < 2; ds++) {
					a.ds = ds;
					check_starts(a);
				}
}

/* A default is there for every legal size, and has at least two levels. */
static void every_legal_size_has_a_default_start(void **state)
{
	struct pt_geometry_args a = {0};
	struct pt_geometry g;

	(void)state;
	for (a.granule_shift = 12; a.granule_shift <= 16; a.granule_shift += 2)
		for (size_t i = 0; i < 7; i++)
			for (a.ipa_bits = 32; a.ipa_bits <= pa_sizes[i]; a.ipa_bits++) {
				a.pa_bits = pa_sizes[i];
				a.ds = a.granule_shift != 16 && a.pa_bits == 52;
				assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
				assert_true(g.start_level <= 2);
			}
}

/* Register values computed by hand from the register pages. */
static void vtcr_values_are_what_hardware_wants(void **state)
{
	static const struct {
		struct pt_geometry_args a;
		unsigned flags;
		uint64_t vtcr;
	} rows[] = {
		/* KVM's default guest: 40-bit IPA, two concatenated level 1 tables. */
		{{12, 40, 40, false, false, 0}, 0, 0x80023558},
		{{12, 40, 40, false, false, 0}, PT_VTCR_HA | PT_VTCR_VS, 0x802a3558},
		{{12, 40, 44, false, true, 0}, 0, 0x80043598},
		{{12, 48, 48, false, false, 0}, PT_VTCR_HA | PT_VTCR_HD, 0x80653590},
		{{12, 32, 32, false, false, 0}, 0, 0x80003520},
		{{12, 52, 52, true, true, -1}, 0, 0x38006350c},
		{{12, 52, 52, true, false, 0}, 0, 0x18006358c},
		{{14, 40, 40, false, false, 0}, 0, 0x8002b558},
		{{14, 52, 52, true, false, 0}, 0, 0x18006b5cc},
		{{16, 40, 40, false, false, 0}, 0, 0x80027558},
		{{16, 52, 52, false, false, 0}, PT_VTCR_VS, 0x800e758c},
		{{16, 32, 32, false, true, 3}, 0, 0x80007520},
	};
	struct pt_geometry g;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pt_geometry_init(&g, &rows[i].a), PT_OK);
		assert_int_equal(pt_geometry_vtcr(&g, rows[i].flags), rows[i].vtcr);
	}
}

static void reserved_vtcr_encodings_are_refused(void **state)
{
	static const struct {
		uint64_t vtcr;
		const char *what;
	} rows[] = {
		{0x8002f558, "TG0 = 3"},       {0x80073558, "PS = 7"},
		{0x80023521, "31 bits"},       {0x800235d8, "4K, SL0 = 3"},
		{0x800275d8, "64K, SL0 = 3"},  {0x280023518, "SL2 without DS"},
		{0x38002b558, "SL2 with 16K"}, {0x3800635cc, "SL2 with SL0"},
		{0x180027558, "DS with 64K"},  {0x80063558, "52-bit PA with 4K without DS"},
		{0x80013558, "IPA beyond PA"},
	};
	struct pt_geometry g, before;

	(void)state;
	memset(&g, 0x77, sizeof(g));
	before = g;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (pt_geometry_from_vtcr(&g, rows[i].vtcr) != PT_INVALID)
			fail_msg("accepted: %s", rows[i].what);
		assert_memory_equal(&g, &before, sizeof(g));
	}
}

static unsigned count_legal(void)
{
	struct pt_geometry_args a = {0};
	unsigned n = 0;

	for (a.granule_shift = 12; a.granule_shift <= 16; a.granule_shift += 2)
		for (a.ipa_bits = 32; a.ipa_bits <= 52; a.ipa_bits++)
			for (a.pa_bits = 32; a.pa_bits <= 52; a.pa_bits++)
				for (unsigned i = 0; i < 10; i++) {
					a.ds = i & 1;
					n += sizes_ok(&a) && start_ok(&a, (int)(i / 2) - 1);
				}
	return n;
}

/* Whatever 64 bits a peer sends, the answer is INVALID or a geometry that encodes back to them. */
static void any_vtcr_is_refused_or_understood(void **state)
{
	const uint64_t used = 0x30007c0ff; /* DS, SL2, PS, TG0, SL0, T0SZ */
	unsigned legal = 0;

	(void)state;
	for (uint64_t i = 0; i < UINT64_C(1) << 15; i++) {
		uint64_t vtcr = (i & 0xff) | (i >> 8 & 0x1f) << 14 | (i >> 13) << 32;
		struct pt_geometry g;

		if (pt_geometry_from_vtcr(&g, vtcr) != PT_OK)
			continue;
		legal++;
		assert_int_equal(pt_geometry_vtcr(&g, 0) & used, vtcr);
	}
	assert_int_equal(legal, count_legal());
}

static void vttbr_carries_vmid_and_base(void **state)
{
	static const struct {
		struct pt_geometry_args a;
		uint64_t root;
		uint16_t vmid;
		uint64_t vttbr;
	} rows[] = {
		{{12, 40, 40, false, false, 0}, 0x8000002000, 0x1, 0x0001008000002000},
		{{12, 48, 48, false, false, 0}, 0xfffffffff000, 0xffff, 0xfffffffffffff000},
		{{12, 52, 52, true, false, 0}, 0x8000000010000, 0x12, 0x0012000000010020},
		{{16, 52, 52, false, false, 0}, 0xf000000000040, 0xab, 0x00ab00000000007c},
		{{14, 52, 52, true, false, 0}, 0x5a00000000000, 0x3, 0x0003a00000000014},
		/* with 48-bit PA the DS format still uses bits 5:2, which are zero */
		{{12, 48, 48, true, false, 0}, 0x800000010000, 0x3, 0x0003800000010000},
	};
	struct pt_geometry g;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pt_geometry_init(&g, &rows[i].a), PT_OK);
		assert_int_equal(pt_geometry_vttbr(&g, pt_pa(rows[i].root), rows[i].vmid),
				 rows[i].vttbr);
	}
}

static void levels_have_the_sizes_of_the_manual(void **state)
{
	static const struct {
		unsigned granule_shift;
		int level;
		unsigned shift;
	} rows[] = {
		{12, -1, 48}, {12, 0, 39}, {12, 1, 30}, {12, 2, 21}, {12, 3, 12}, {14, 0, 47},
		{14, 1, 36},  {14, 2, 25}, {14, 3, 14}, {16, 1, 42}, {16, 2, 29}, {16, 3, 16},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry_args a = {
			.granule_shift = rows[i].granule_shift, .ipa_bits = 40, .pa_bits = 44};
		struct pt_geometry g;

		assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
		assert_int_equal(pt_level_shift(&g, rows[i].level), rows[i].shift);
		assert_int_equal(pt_level_size(&g, rows[i].level), UINT64_C(1) << rows[i].shift);
	}
}

static void start_index_runs_over_all_concatenated_tables(void **state)
{
	struct pt_geometry_args a = {.granule_shift = 12, .ipa_bits = 43, .pa_bits = 44};
	struct pt_geometry g;

	(void)state;
	assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
	assert_int_equal(g.start_level, 1);
	assert_int_equal(g.start_entries, 8192);
	assert_int_equal(g.start_bytes, 65536);
	assert_int_equal(pt_level_index(&g, pt_ipa(UINT64_C(0x7ffffffffff)), 1), 8191);
	assert_int_equal(pt_level_index(&g, pt_ipa(UINT64_C(0x7ffffffffff)), 2), 511);
	assert_int_equal(pt_level_index(&g, pt_ipa(UINT64_C(0x8040201000)), 1), 513);
	assert_int_equal(pt_level_index(&g, pt_ipa(UINT64_C(0x8040201000)), 2), 1);
	assert_int_equal(pt_level_index(&g, pt_ipa(UINT64_C(0x8040201000)), 3), 1);
}

static void ranges_are_refused_in_the_stated_order(void **state)
{
	static const struct {
		uint64_t start, size;
		enum pt_outcome ipa, pa;
	} rows[] = {
		{0, 0x1000, PT_OK, PT_OK},
		{0, UINT64_C(1) << 40, PT_OK, PT_OK},
		{0, (UINT64_C(1) << 40) + 0x1000, PT_OUT_OF_RANGE, PT_OK},
		{0, UINT64_C(1) << 44, PT_OUT_OF_RANGE, PT_OK},
		{0, (UINT64_C(1) << 44) + 0x1000, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
		{UINT64_C(1) << 40, 0x1000, PT_OUT_OF_RANGE, PT_OK},
		{(UINT64_C(1) << 40) - 0x1000, 0x1000, PT_OK, PT_OK},
		{(UINT64_C(1) << 40) - 0x1000, 0x2000, PT_OUT_OF_RANGE, PT_OK},
		{0, 0, PT_INVALID, PT_INVALID},
		{0x800, 0, PT_INVALID, PT_INVALID},
		{0x800, 0x1000, PT_MISALIGNED, PT_MISALIGNED},
		{0x1000, 0x1800, PT_MISALIGNED, PT_MISALIGNED},
		{UINT64_MAX - 0xfff, 0x1000, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
		{UINT64_MAX - 0xfff, 0x2000, PT_INVALID, PT_INVALID},
		{UINT64_MAX, 2, PT_INVALID, PT_INVALID},
		{0x1000, UINT64_MAX - 0xfff, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
		{UINT64_C(1) << 63, UINT64_C(1) << 63, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
	};
	struct pt_geometry_args a = {.granule_shift = 12, .ipa_bits = 40, .pa_bits = 44};
	struct pt_geometry g;

	(void)state;
	assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pt_geometry_check_range(&g, pt_ipa(rows[i].start), rows[i].size),
				 rows[i].ipa);
		assert_int_equal(pt_geometry_check_output(&g, pt_pa(rows[i].start), rows[i].size),
				 rows[i].pa);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_agrees_with_the_rule_table),
		cmocka_unit_test(every_legal_size_has_a_default_start),
		cmocka_unit_test(vtcr_values_are_what_hardware_wants),
		cmocka_unit_test(reserved_vtcr_encodings_are_refused),
		cmocka_unit_test(any_vtcr_is_refused_or_understood),
		cmocka_unit_test(vttbr_carries_vmid_and_base),
		cmocka_unit_test(levels_have_the_sizes_of_the_manual),
		cmocka_unit_test(start_index_runs_over_all_concatenated_tables),
		cmocka_unit_test(ranges_are_refused_in_the_stated_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
