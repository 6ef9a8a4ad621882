/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages and rows as JSON, TSV and tables. */
#include "client/output.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct view whole = {0};

/* What `message` prints; the caller frees it. */
static char *printed(enum format format, const ProtobufCMessage *message, const struct view *view)
{
	struct output out = {.format = format, .legend = true, .ipa_bits = 40};
	size_t length;
	char *text;

	out.file = open_memstream(&text, &length);
	output_message(&out, message, view);
	fclose(out.file);
	return text;
}

static json_t *json_of(const ProtobufCMessage *message)
{
	char *text = printed(FORMAT_JSON, message, &whole);
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "schema")), "ptd/v1");
	free(text);
	return json;
}

static const char *text_at(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static void addresses_are_strings_and_other_numbers_integers(void **state)
{
	Ptd__V1__TranslateResponse m = PTD__V1__TRANSLATE_RESPONSE__INIT;
	json_t *json;

	(void)state;
	m.pa = UINT64_C(0xfedcba9876543210);
	m.level = -1;
	m.prot = 0x103;
	m.outcome = 69;
	m.span = 4096;
	m.fault = PTD__V1__FAULT_KIND__FAULT_KIND_TRANSLATION;
	json = json_of(&m.base);
	assert_string_equal(text_at(json, "pa"), "0xfedcba9876543210");
	assert_string_equal(text_at(json, "span"), "0x1000");
	assert_int_equal(json_integer_value(json_object_get(json, "level")), -1);
	assert_int_equal(json_integer_value(json_object_get(json, "prot")), 0x103);
	assert_string_equal(text_at(json, "prot_name"), "rw--:nc");
	assert_int_equal(json_integer_value(json_object_get(json, "outcome")), 69);
	assert_string_equal(text_at(json, "outcome_name"), "NOT_MAPPED");
	assert_string_equal(text_at(json, "fault"), "FAULT_KIND_TRANSLATION");
	json_decref(json);
}

static void numbers_beyond_63_bits_do_not_turn_negative(void **state)
{
	Ptd__V1__Machine m = PTD__V1__MACHINE__INIT;
	json_t *json;

	(void)state;
	m.memory_bytes = UINT64_MAX;
	m.resident_bytes = INT64_MAX;
	json = json_of(&m.base);
	assert_string_equal(text_at(json, "memory_bytes"), "18446744073709551615");
	assert_true(json_integer_value(json_object_get(json, "resident_bytes")) == INT64_MAX);
	json_decref(json);
}

static void bytes_lists_and_missing_messages_have_a_form(void **state)
{
	Ptd__V1__AccessResponse m = PTD__V1__ACCESS_RESPONSE__INIT;
	Ptd__V1__Exit one = PTD__V1__EXIT__INIT, *exits[] = {&one};
	Ptd__V1__MapResponse map = PTD__V1__MAP_RESPONSE__INIT;
	json_t *json;

	(void)state;
	m.data = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"\x00\x7f\xff"};
	one.outcome = 200;
	m.exits = exits;
	m.n_exits = 1;
	json = json_of(&m.base);
	assert_string_equal(text_at(json, "data"), "007fff");
	assert_int_equal(json_array_size(json_object_get(json, "exits")), 1);
	/* A number that no row has stands for itself. */
	assert_string_equal(
		text_at(json_array_get(json_object_get(json, "exits"), 0), "outcome_name"), "200");
	json_decref(json);
	json = json_of(&map.base);
	assert_null(json_object_get(json, "effects"));
	json_decref(json);
}

static void columns_of_outcomes_have_columns_of_names(void **state)
{
	uint32_t outcomes[] = {1, 5};
	Ptd__V1__ApplyResponse m = PTD__V1__APPLY_RESPONSE__INIT;
	json_t *json, *names;

	(void)state;
	m.outcome = outcomes;
	m.n_outcome = 2;
	json = json_of(&m.base);
	names = json_object_get(json, "outcome_name");
	assert_string_equal(json_string_value(json_array_get(names, 1)), "HOLE");
	json_decref(json);
}

static void tsv_has_a_header_and_raw_numbers(void **state)
{
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT, *slots[] = {&slot};
	Ptd__V1__Context m = PTD__V1__CONTEXT__INIT;
	const struct view view = {.rows = "slots"};
	char *text;

	(void)state;
	slot.ipa = 0x1000;
	slot.size = 2 << 20;
	m.slots = slots;
	m.n_slots = 1;
	text = printed(FORMAT_TSV, &m.base, &view);
	assert_string_equal(text, "id\tipa\tsize\tpa\tflags\tbacking\n"
				  "0\t0x1000\t2097152\t0x0\t0\t0\n");
	free(text);
	text = printed(FORMAT_TABLE, &m.base, &view);
	assert_string_equal(text, "ID IPA          SIZE PA  FLAGS BACKING\n"
				  " 0 0x0000001000   2M 0x0     0       0\n");
	free(text);
}

static void an_empty_list_still_has_its_header(void **state)
{
	Ptd__V1__Context m = PTD__V1__CONTEXT__INIT;
	const struct view view = {.rows = "slots", .columns = "id ipa"};
	char *text;

	(void)state;
	text = printed(FORMAT_TABLE, &m.base, &view);
	assert_string_equal(text, "ID IPA\n");
	free(text);
	text = printed(FORMAT_TSV, &m.base, &view);
	assert_string_equal(text, "id\tipa\n");
	free(text);
}

static void pages_are_one_list(void **state)
{
	Ptd__V1__Machine a = PTD__V1__MACHINE__INIT, b = PTD__V1__MACHINE__INIT;
	Ptd__V1__Machine *first[] = {&a}, *second[] = {&b};
	Ptd__V1__ListMachinesResponse one = PTD__V1__LIST_MACHINES_RESPONSE__INIT, two = one;
	ProtobufCMessage *pages[] = {&one.base, &two.base};
	const struct view view = {.rows = "machines", .columns = "name"};
	struct output out = {.format = FORMAT_JSON, .legend = true};
	size_t length;
	char *text;
	json_t *json;

	(void)state;
	a.name = (char *)"a";
	b.name = (char *)"b";
	one.machines = first;
	two.machines = second;
	one.n_machines = two.n_machines = 1;
	one.next_page_token = (char *)"x";
	out.file = open_memstream(&text, &length);
	output_pages(&out, pages, 2, &view);
	fclose(out.file);
	json = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "machines")), 2);
	assert_null(json_object_get(json, "next_page_token"));
	json_decref(json);
	free(text);
}

static void tabs_and_line_ends_do_not_break_rows(void **state)
{
	static const struct column columns[] = {{"text", CELL_TEXT}, {"number", CELL_NUMBER}};
	struct output out = {.format = FORMAT_TSV, .legend = true};
	struct rows *rows = rows_new(columns, 2);
	size_t length;
	char *text;

	(void)state;
	rows_add(rows);
	rows_text(rows, 0, "a\tb\nc\\");
	rows_add(rows);
	rows_number(rows, 1, 7);
	out.file = open_memstream(&text, &length);
	output_rows(&out, "rows", rows, false);
	fclose(out.file);
	assert_string_equal(text, "text\tnumber\na\\tb\\nc\\\\\t\n\t7\n");
	free(text);
	rows_free(rows);
}

static void quiet_prints_nothing(void **state)
{
	Ptd__V1__Machine m = PTD__V1__MACHINE__INIT;
	struct output out = {.quiet = true};
	size_t length;
	char *text;

	(void)state;
	out.file = open_memstream(&text, &length);
	output_message(&out, &m.base, &whole);
	output_event(&out, &m.base, &whole);
	fclose(out.file);
	assert_int_equal(length, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_strings_and_other_numbers_integers),
		cmocka_unit_test(numbers_beyond_63_bits_do_not_turn_negative),
		cmocka_unit_test(bytes_lists_and_missing_messages_have_a_form),
		cmocka_unit_test(columns_of_outcomes_have_columns_of_names),
		cmocka_unit_test(tsv_has_a_header_and_raw_numbers),
		cmocka_unit_test(an_empty_list_still_has_its_header),
		cmocka_unit_test(pages_are_one_list),
		cmocka_unit_test(tabs_and_line_ends_do_not_break_rows),
		cmocka_unit_test(quiet_prints_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
