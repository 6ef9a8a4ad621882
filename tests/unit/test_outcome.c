/* SPDX-License-Identifier: BSD-2-Clause */
/* The outcome table: numbers, classes and texts as the wire and the docs rely on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pt/outcome.h>

static void rows_are_found_by_number(void **state)
{
	(void)state;
#define CHECK(id, number, cls, status, line, advice)                                               \
	assert_non_null(pt_outcome_info(number));                                                  \
	assert_int_equal(pt_outcome_info(number)->code, PT_##id);                                  \
	assert_string_equal(pt_outcome_info(number)->name, #id);                                   \
	assert_int_equal(pt_outcome_info(number)->class, PT_CLASS_##cls);                          \
	assert_int_equal(pt_outcome_info(number)->grpc, PT_GRPC_##status);
	PT_OUTCOME_TABLE(CHECK)
#undef CHECK
}

static void numbers_without_a_row_give_null(void **state)
{
	(void)state;
	assert_null(pt_outcome_info(31));
	assert_null(pt_outcome_info(34));
	assert_null(pt_outcome_info(63));
	assert_null(pt_outcome_info(99));
	assert_null(pt_outcome_info(UINT32_MAX));
}

/* Wire numbers that clients have compiled in. */
static void numbers_on_the_wire_never_change(void **state)
{
	(void)state;
	assert_string_equal(pt_outcome_info(0)->name, "OK");
	assert_string_equal(pt_outcome_info(7)->name, "RACED");
	assert_string_equal(pt_outcome_info(33)->name, "PARKED");
	assert_string_equal(pt_outcome_info(64)->name, "NO_MEMORY");
	assert_string_equal(pt_outcome_info(68)->name, "OVERLAP");
	assert_string_equal(pt_outcome_info(75)->name, "INVALID");
	assert_string_equal(pt_outcome_info(89)->name, "INJECTED");
	assert_string_equal(pt_outcome_info(90)->name, "OVERLOADED");
	assert_string_equal(pt_outcome_info(91)->name, "REPLY_GONE");
	assert_string_equal(pt_outcome_info(92)->name, "TAKEN_OVER");
}

static void classes_agree_with_predicates_and_status(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		const struct pt_outcome_info *row = pt_outcome_info(i);

		if (!row)
			continue;
		assert_int_equal(pt_is_error(row->code), row->class == PT_CLASS_ERROR);
		assert_int_equal(pt_is_control(row->code), row->class == PT_CLASS_CONTROL);
		assert_int_equal(row->grpc == PT_GRPC_OK, row->class == PT_CLASS_OUTCOME);
		assert_true(strlen(row->text) > 0 && strlen(row->text) < 80);
		assert_non_null(row->hint);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_number),
		cmocka_unit_test(numbers_without_a_row_give_null),
		cmocka_unit_test(numbers_on_the_wire_never_change),
		cmocka_unit_test(classes_agree_with_predicates_and_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
