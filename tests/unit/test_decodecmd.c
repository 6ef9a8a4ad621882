/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl decode: its options become a geometry, its rows carry bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_format.h"

#include <string.h>

static struct pt_field row[PT_DECODE_MAX];
static unsigned rows;

static const struct pt_field *field(const char *name)
{
	for (unsigned i = 0; i < rows; i++)
		if (!strcmp(row[i].name, name))
			return &row[i];
	fail_msg("no field %s", name);
	return NULL;
}

/* The last row that is an address: the one put together from all its fields. */
static uint64_t address(void)
{
	for (unsigned i = rows; i-- > 0;)
		if (row[i].address)
			return row[i].value;
	fail_msg("no address");
	return 0;
}

static void a_page_descriptor_has_its_output_and_access_flag(void **state)
{
	const struct decode_options o = {.granule_shift = 12, .level = 3};

	(void)state;
	assert_true(decode_value(DECODE_PTE, &o, 0x800067c7, row, &rows));
	assert_int_equal(address(), 0x80006000);
	assert_int_equal(field("AF")->value, 1);
	assert_int_equal(field("AF")->hi, 10);
}

static void the_format_decides_where_high_bits_stand(void **state)
{
	const struct decode_options lpa2 = {.granule_shift = 12, .level = 3, .ds = true};
	const struct decode_options lpa = {.granule_shift = 16, .level = 3, .pa_bits = 52};

	(void)state;
	/* OA[51:50] in bits 9:8 with DS; OA[51:48] in bits 15:12 at 64K (Arm ARM D8.3). */
	assert_true(decode_value(DECODE_PTE, &lpa2, 0x3 | 3u << 8 | 0x5000, row, &rows));
	assert_int_equal(address(), UINT64_C(3) << 50 | 0x5000);
	assert_true(decode_value(DECODE_PTE, &lpa, 0x3 | 0xau << 12 | 0x50000, row, &rows));
	assert_int_equal(address(), UINT64_C(0xa) << 48 | 0x50000);
}

static void registers_are_split(void **state)
{
	const struct decode_options o = {.granule_shift = 12, .level = 3};

	(void)state;
	assert_true(decode_value(DECODE_VTCR, &o, 0x80023558, row, &rows));
	assert_int_equal(field("T0SZ")->value, 24);
	assert_int_equal(field("T0SZ")->hi, 5);
	assert_true(decode_value(DECODE_ESR, &o, 0x92000047, row, &rows));
	assert_int_equal(field("EC")->value, 0x24);
	assert_true(decode_value(DECODE_HPFAR, &o, 0x400, row, &rows));
	assert_int_equal(address(), 0x40000);
	assert_true(decode_value(DECODE_VTTBR, &o, UINT64_C(7) << 48 | 0x80001000, row, &rows));
	assert_int_equal(field("VMID")->value, 7);
	assert_true(decode_value(DECODE_PAR, &o, 1, row, &rows));
	assert_int_equal(field("F")->value, 1);
}

static void a_format_that_no_tree_has_is_refused(void **state)
{
	const struct decode_options o = {.granule_shift = 16, .level = 3, .ds = true};

	(void)state;
	assert_false(decode_value(DECODE_PTE, &o, 3, row, &rows));
}

static void bits_are_written_as_the_manual_does(void **state)
{
	const struct pt_field wide = {.hi = 54, .lo = 53}, one = {.hi = 10, .lo = 10},
			      none = {.hi = PT_FIELD_DERIVED};
	char text[DECODE_BITS_MAX];

	(void)state;
	assert_string_equal(decode_bits(&wide, text), "54:53");
	assert_string_equal(decode_bits(&one, text), "10");
	assert_string_equal(decode_bits(&none, text), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_descriptor_has_its_output_and_access_flag),
		cmocka_unit_test(the_format_decides_where_high_bits_stand),
		cmocka_unit_test(registers_are_split),
		cmocka_unit_test(a_format_that_no_tree_has_is_refused),
		cmocka_unit_test(bits_are_written_as_the_manual_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
