/* SPDX-License-Identifier: BSD-2-Clause */
/* The field decoders: known values, and for any value rows that are in order and add up to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/decode.h>

static struct pt_geometry geometry(unsigned granule_shift, unsigned bits, bool ds)
{
	struct pt_geometry_args a = {
		.granule_shift = granule_shift, .ipa_bits = bits, .pa_bits = bits, .ds = ds};
	struct pt_geometry g;

	assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
	return g;
}

struct want {
	const char *name;
	uint64_t value;
	const char *text;
};

#define MAX_WANT 12

static void check_rows(const struct pt_field *row, unsigned n, const struct want *want)
{
	for (unsigned w = 0; w < MAX_WANT && want[w].name; w++) {
		const struct pt_field *found = NULL;

		for (unsigned i = 0; i < n; i++)
			if (!strcmp(row[i].name, want[w].name))
				found = &row[i];
		if (!found)
			fail_msg("no row %s", want[w].name);
		if (found->value != want[w].value || strcmp(found->text, want[w].text))
			print_error("%s: %#llx %s\n", found->name, (unsigned long long)found->value,
				    found->text);
		assert_int_equal(found->value, want[w].value);
		assert_string_equal(found->text, want[w].text);
	}
}

static void descriptors_are_split_as_the_manual_draws_them(void **state)
{
	static const struct {
		unsigned granule_shift, bits;
		bool ds;
		unsigned attrs;
		pt_pte e;
		int level;
		struct want want[MAX_WANT];
	} rows[] = {
		{12,
		 48,
		 false,
		 0,
		 0x00400012345677ff,
		 3,
		 {{"XN", 1, "execute never"},
		  {"OA", 0x1234567000, ""},
		  {"AF", 1, "accessed"},
		  {"SH", 3, "inner shareable"},
		  {"S2AP", 3, "read and write"},
		  {"MemAttr", 15, "Normal, inner and outer write-back"},
		  {"TYPE", 1, "page"},
		  {"V", 1, "valid"},
		  {"output", 0x1234567000, "page"},
		  {"bytes", 4096, ""}}},
		{12,
		 48,
		 false,
		 PT_ATTR_FWB | PT_ATTR_XNX,
		 0x0098000240000459,
		 2,
		 {{"SW", 1, ""},
		  {"Contiguous", 1, "yes"},
		  {"DBM", 1, "yes"},
		  {"XN", 0, "execute at EL1 and EL0"},
		  {"nT", 0, "no"},
		  {"SH", 0, "non-shareable"},
		  {"S2AP", 1, "read"},
		  {"MemAttr", 6, "Normal, write-back"},
		  {"TYPE", 0, "block"},
		  {"output", 0x240000000, "block"},
		  {"bytes", 0x200000, ""}}},
		{12,
		 52,
		 true,
		 0,
		 0x30001234566ff,
		 3,
		 {{"OA", 0x3000123456000, ""},
		  {"OA[51:50]", 0x8000000000000, ""},
		  {"output", 0xb000123456000, "page"}}},
		{16,
		 52,
		 false,
		 0,
		 0xc7fd,
		 1,
		 {{"OA[51:48]", 0xc000000000000, ""},
		  {"output", 0xc000000000000, "block"},
		  {"bytes", UINT64_C(1) << 42, ""}}},
		{12,
		 48,
		 false,
		 0,
		 0x80001003,
		 1,
		 {{"OA", 0x80001000, ""}, {"TYPE", 1, "table"}, {"next table", 0x80001000, ""}}},
		{12,
		 48,
		 false,
		 0,
		 0,
		 3,
		 {{"type", 0, "empty, or an annotation of type 0"},
		  {"payload", 0, ""},
		  {"V", 0, "invalid"}}},
		{12,
		 48,
		 false,
		 0,
		 0x1000000000000000,
		 3,
		 {{"type", 1, "locked: between break and make"}}},
		{12,
		 48,
		 false,
		 0,
		 0x2000000000000124,
		 3,
		 {{"type", 2, "donated"}, {"payload", 0x92, ""}}},
		{12, 48, false, 0, 0xf000000000000000, 3, {{"type", 15, "reserved"}}},
		{12,
		 48,
		 false,
		 0,
		 0x7fd,
		 3,
		 {{"TYPE", 0, "reserved at this level: the walk faults"}}},
		{12,
		 48,
		 false,
		 0,
		 0x7fd,
		 0,
		 {{"TYPE", 0, "reserved at this level: the walk faults"}}},
	};
	struct pt_field row[PT_DECODE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry g = geometry(rows[i].granule_shift, rows[i].bits, rows[i].ds);
		unsigned n = pt_decode_pte(&g, rows[i].attrs, rows[i].e, rows[i].level, row);

		check_rows(row, n, rows[i].want);
	}
}

static void registers_are_split_as_the_manual_draws_them(void **state)
{
	static const struct {
		unsigned (*decode)(uint64_t, struct pt_field *);
		uint64_t value;
		struct want want[MAX_WANT];
	} rows[] = {
		{pt_decode_vtcr,
		 0x80023558,
		 {{"PS", 2, "40 bits"},
		  {"TG0", 0, "4K"},
		  {"SH0", 3, "inner shareable"},
		  {"SL0", 1, ""},
		  {"T0SZ", 24, ""},
		  {"RES1", 1, "RES1"},
		  {"DS", 0, "48-bit descriptors"},
		  {"IPA bits", 40, ""},
		  {"start level", 1, "level 1"},
		  {"start entries", 1024, ""},
		  {"start bytes", 8192, ""}}},
		{pt_decode_vtcr,
		 0x38006350c,
		 {{"SL2", 1, ""}, {"start level", UINT64_MAX, "level -1"}, {"PS", 6, "52 bits"}}},
		{pt_decode_vtcr,
		 0x8007f558,
		 {{"PS", 7, "reserved"},
		  {"TG0", 3, "reserved"},
		  {"geometry", 0, "not legal: every access would fault"}}},
		{pt_decode_vtcr,
		 0x80680000 | 0x3558,
		 {{"HD", 1, "on"}, {"HA", 1, "on"}, {"VS", 1, "16-bit VMID"}}},
		{pt_decode_esr,
		 0x93c0804f,
		 {{"EC", 0x24, "data abort from a lower exception level"},
		  {"IL", 1, "32-bit instruction"},
		  {"ISV", 1, "SAS to AR describe the instruction"},
		  {"SAS", 3, "doubleword"},
		  {"SRT", 0, ""},
		  {"SF", 1, "64-bit register"},
		  {"S1PTW", 0, "not on a stage-1 walk"},
		  {"WnR", 1, "write"},
		  {"DFSC", 15, "permission fault, level 3"}}},
		{pt_decode_esr,
		 0x820000ab,
		 {{"EC", 0x20, "instruction abort from a lower exception level"},
		  {"S1PTW", 1, "on a stage-1 table walk"},
		  {"IFSC", 0x2b, "translation fault, level -1"}}},
		{pt_decode_esr,
		 0x92000147,
		 {{"CM", 1, "cache maintenance or address translation"},
		  {"DFSC", 7, "translation fault, level 3"}}},
		{pt_decode_esr,
		 0x92000013,
		 {{"DFSC", 0x13, "synchronous external abort on a walk, level -1"}}},
		{pt_decode_esr, 0x9200003f, {{"DFSC", 0x3f, "reserved"}}},
		{pt_decode_esr, 0x5a000001, {{"EC", 0x16, "HVC from AArch64"}, {"ISS", 1, ""}}},
		{pt_decode_hpfar,
		 0x8000012345678900,
		 {{"NS", 1, "non-secure IPA space"},
		  {"FIPA", 0x1234567890, ""},
		  {"faulting IPA", 0x1234567890000, "the page; the offset is in FAR_EL2"}}},
		{pt_decode_par,
		 0xff00000123456b80,
		 {{"ATTR", 0xff, "Normal, write-back"},
		  {"PA", 0x123456000, ""},
		  {"SH", 3, "inner shareable"},
		  {"NS", 1, ""},
		  {"F", 0, "translated"}}},
		{pt_decode_par,
		 0x0000000000000b0f,
		 {{"S", 1, "stage 2"},
		  {"PTW", 1, "on a stage-1 table walk"},
		  {"FST", 7, "translation fault, level 3"},
		  {"F", 1, "aborted"}}},
	};
	struct pt_field row[PT_DECODE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_rows(row, rows[i].decode(rows[i].value, row), rows[i].want);
}

static void vttbr_bases_have_48_or_52_bits(void **state)
{
	struct pt_geometry plain = geometry(12, 40, false), wide = geometry(16, 52, false);
	struct pt_field row[PT_DECODE_MAX];
	const struct want narrow[MAX_WANT] = {{"VMID", 0x12, ""},
					      {"BADDR", 0x80000024, ""},
					      {"CnP", 1, "yes"},
					      {"table base", 0x80000024, ""}};
	const struct want full[MAX_WANT] = {{"VMID", 0x12, ""},
					    {"BADDR[47:6]", 0x80000000, ""},
					    {"BADDR[51:48]", 0x9000000000000, ""},
					    {"table base", 0x9000080000000, ""}};

	(void)state;
	check_rows(row, pt_decode_vttbr(&plain, 0x0012000080000025, row), narrow);
	check_rows(row, pt_decode_vttbr(NULL, 0x0012000080000025, row), narrow);
	check_rows(row, pt_decode_vttbr(&wide, 0x0012000080000025, row), full);
}

/* Rows name bits once, from high to low, and their raw values are those bits. */
static void check_shape(uint64_t value, const struct pt_field *row, unsigned n)
{
	unsigned below = 64;

	assert_in_range(n, 2, PT_DECODE_MAX);
	for (unsigned i = 0; i < n; i++) {
		uint64_t mask;

		assert_non_null(row[i].name);
		assert_non_null(row[i].text);
		if (row[i].hi == PT_FIELD_DERIVED)
			continue;
		assert_true(row[i].hi < below && row[i].lo <= row[i].hi);
		below = row[i].lo;
		mask = (UINT64_C(2) << (row[i].hi - row[i].lo)) - 1;
		if (!row[i].address)
			assert_int_equal(row[i].value, value >> row[i].lo & mask);
		else if (row[i].lo >= 10 && row[i].hi > 16)
			assert_int_equal(row[i].value, value & mask << row[i].lo);
	}
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void any_value_gives_rows_in_order(void **state)
{
	const struct pt_geometry geometries[] = {geometry(12, 48, false), geometry(12, 52, true),
						 geometry(14, 48, false), geometry(14, 52, true),
						 geometry(16, 48, false), geometry(16, 52, false)};
	const char *env = getenv("PTD_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 5, rng = seed | 1;
	struct pt_field row[PT_DECODE_MAX];

	(void)state;
	print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
	for (int i = 0; i < 20000; i++) {
		uint64_t v = next_random(&rng);
		const struct pt_geometry *g = &geometries[i % 6];

		for (int level = g->start_level; level <= 3; level++)
			check_shape(v, row, pt_decode_pte(g, (unsigned)i & 3, v, level, row));
		check_shape(v, row, pt_decode_vtcr(v, row));
		check_shape(v, row, pt_decode_vttbr(g, v, row));
		check_shape(v, row, pt_decode_esr(v, row));
		check_shape(v, row, pt_decode_hpfar(v, row));
		check_shape(v, row, pt_decode_par(v, row));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_are_split_as_the_manual_draws_them),
		cmocka_unit_test(registers_are_split_as_the_manual_draws_them),
		cmocka_unit_test(vttbr_bases_have_48_or_52_bits),
		cmocka_unit_test(any_value_gives_rows_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
