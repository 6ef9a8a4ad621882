/* SPDX-License-Identifier: BSD-2-Clause */
/* Of cmocka what unit tests use: groups of tests, assertions that end their test, TAP on the
 * console. */
#ifndef EL2_CMOCKA_H
#define EL2_CMOCKA_H

#include <stddef.h>
#include <stdint.h>

struct CMUnitTest {
	const char *name;
	void (*test)(void **state);
	int (*setup)(void **state);
	int (*teardown)(void **state);
	void *initial_state;
};

#define cmocka_unit_test(f)                                                                        \
	{                                                                                          \
#f, f, NULL, NULL, NULL                                                            \
	}
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                                        \
	{                                                                                          \
#f, f, setup, teardown, NULL                                                       \
	}
#define cmocka_unit_test_prestate(f, state)                                                        \
	{                                                                                          \
#f, f, NULL, NULL, state                                                           \
	}

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
	cmocka_run_group_tests_name(#tests, tests, setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                  \
	el2_run_group(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

/* Comparisons with the CPU so far. */
extern uint64_t el2_compared;

/* Prints those in the end, if there were any. How many tests failed. */
int el2_run_group(const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
		  int (*teardown)(void **));

/* Called when a test has failed, so that the next one begins with nothing of it: a fixture may have
 * one. */
void el2_abandon(void) __attribute__((weak));

_Noreturn void _fail(const char *file, int line);
_Noreturn void _skip(const char *file, int line);
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void el2_assert(int holds, const char *what, const char *file, int line);
void el2_assert_relation(uint64_t a, uint64_t b, int holds, const char *what, const char *file,
			 int line);
void el2_assert_memory(const void *a, const void *b, size_t n, int same, const char *file,
		       int line);
void el2_assert_string(const char *a, const char *b, int same, const char *file, int line);

#define fail() _fail(__FILE__, __LINE__)
#define skip() _skip(__FILE__, __LINE__)
#define fail_msg(...)                                                                              \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		fail();                                                                            \
	} while (0)

#define assert_true(c)	   el2_assert((c) ? 1 : 0, #c, __FILE__, __LINE__)
#define assert_false(c)	   el2_assert((c) ? 0 : 1, "not " #c, __FILE__, __LINE__)
#define assert_null(p)	   el2_assert((p) == NULL, #p " == NULL", __FILE__, __LINE__)
#define assert_non_null(p) el2_assert((p) != NULL, #p " != NULL", __FILE__, __LINE__)

#define EL2_RELATION(a, op, b)                                                                     \
	do {                                                                                       \
		uint64_t el2_a = (uint64_t)(a), el2_b = (uint64_t)(b);                             \
		el2_assert_relation(el2_a, el2_b, el2_a op el2_b, #a " " #op " " #b, __FILE__,     \
				    __LINE__);                                                     \
	} while (0)
#define assert_int_equal(a, b)	   EL2_RELATION(a, ==, b)
#define assert_int_not_equal(a, b) EL2_RELATION(a, !=, b)
#define assert_ptr_equal(a, b)	   EL2_RELATION((uintptr_t)(a), ==, (uintptr_t)(b))
#define assert_ptr_not_equal(a, b) EL2_RELATION((uintptr_t)(a), !=, (uintptr_t)(b))
#define assert_in_range(v, lo, hi)                                                                 \
	do {                                                                                       \
		EL2_RELATION(v, >=, lo);                                                           \
		EL2_RELATION(v, <=, hi);                                                           \
	} while (0)
#define assert_memory_equal(a, b, n)	 el2_assert_memory(a, b, n, 1, __FILE__, __LINE__)
#define assert_memory_not_equal(a, b, n) el2_assert_memory(a, b, n, 0, __FILE__, __LINE__)
#define assert_string_equal(a, b)	 el2_assert_string(a, b, 1, __FILE__, __LINE__)
#define assert_string_not_equal(a, b)	 el2_assert_string(a, b, 0, __FILE__, __LINE__)

#endif
