/* SPDX-License-Identifier: BSD-2-Clause */
/* Rights, bytes, addresses and nearest words as ptctl reads and prints them. */
#include "client/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void rights_are_read_and_printed_back(void **state)
{
	static const struct {
		const char *text;
		uint32_t prot;
		const char *printed;
	} cases[] = {
		{"r", 1, "r---"},
		{"rw", 3, "rw--"},
		{"rwx", 15, "rwpu"},
		{"r-x", 13, "r-pu"},
		{"x", 12, "--pu"},
		{"u", 8, "---u"},
		{"wr", 3, "rw--"},
		{"rw:normal", 3, "rw--"},
		{"rw:nc", 0x103, "rw--:nc"},
		{"rw:device", 0x203, "rw--:device"},
		{"-", 0, "----"},
		{"rwpu", 15, "rwpu"},
	};
	uint32_t prot, again;
	char text[TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(prot_parse(cases[i].text, &prot));
		assert_int_equal(prot, cases[i].prot);
		assert_string_equal(prot_text(text, prot), cases[i].printed);
		assert_true(prot_parse(text, &again));
		assert_int_equal(again, prot);
	}
}

static void wrong_rights_are_refused(void **state)
{
	static const char *const cases[] = {
		"", "q", "RW", "rr", "xp", "rw:", "rw:x", ":nc", "rw ", "rw:NC", "3", "rw:nc:nc"};
	uint32_t prot = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_false(prot_parse(cases[i], &prot));
	assert_int_equal(prot, 77);
}

static void an_unknown_memory_type_is_printed_as_its_number(void **state)
{
	char text[TEXT_MAX];

	(void)state;
	assert_string_equal(prot_text(text, 0xff01), "r---:255");
}

static void bytes_are_pairs_of_digits(void **state)
{
	static const char *const bad[] = {"0", "0g", "0 0", "0x00", "00,11", "123"};
	uint8_t bytes[8];
	size_t length;

	(void)state;
	assert_true(hex_parse("00 fF_7a", bytes, &length));
	assert_int_equal(length, 3);
	assert_memory_equal(bytes, "\x00\xff\x7a", 3);
	assert_true(hex_parse("", bytes, &length));
	assert_int_equal(length, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(hex_parse(bad[i], bytes, &length));
}

static void addresses_are_padded_to_the_width(void **state)
{
	char text[TEXT_MAX];

	(void)state;
	assert_string_equal(address_text(text, 0x1000, 40), "0x0000001000");
	assert_string_equal(address_text(text, 0x1000, 42), "0x00000001000");
	assert_string_equal(address_text(text, 0, 0), "0x0");
	assert_string_equal(address_text(text, UINT64_MAX, 32), "0xffffffffffffffff");
}

static void distances_count_typing_errors(void **state)
{
	(void)state;
	assert_int_equal(edit_distance("map", "map"), 0);
	assert_int_equal(edit_distance("mpa", "map"), 1);
	assert_int_equal(edit_distance("creat", "create"), 1);
	assert_int_equal(edit_distance("", "map"), 3);
	assert_int_equal(edit_distance("kitten", "sitting"), 3);
	assert_int_equal(edit_distance("0123456789012345678901234567890123456789", "map"), 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_are_read_and_printed_back),
		cmocka_unit_test(wrong_rights_are_refused),
		cmocka_unit_test(an_unknown_memory_type_is_printed_as_its_number),
		cmocka_unit_test(bytes_are_pairs_of_digits),
		cmocka_unit_test(addresses_are_padded_to_the_width),
		cmocka_unit_test(distances_count_typing_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
