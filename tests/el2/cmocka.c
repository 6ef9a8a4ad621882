/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups of tests at EL2: an assertion that fails ends its test by longjmp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pt/el2/console.h>
#include <pt/el2/cpu.h>

enum { RAN, FAILED, SKIPPED };

uint64_t el2_compared;

static jmp_buf end_of_test;

int main(void);
int el2_on_stack(int (*function)(void), void *top);

#define STACK_BYTES (256u << 10) /* as threads have: fixtures stand on it */
#define UNUSED	    UINT64_C(0x5a5a5a5a5a5a5a5a)

__attribute__((section(".region.stack"),
	       aligned(65536))) static uint64_t stack[STACK_BYTES / sizeof(uint64_t)];

int pt_el2_main(void)
{
	int failed;

	stack[0] = UNUSED;
	failed = el2_on_stack(main, (unsigned char *)stack + STACK_BYTES);
	if (stack[0] == UNUSED)
		return failed != 0;
	pt_el2_print("\nBail out! the stack of the tests is too small\n");
	return 1;
}

/* Only the first CPU runs tests: others report to it. */
static _Noreturn void end(int how)
{
	if (pt_el2_self()->id) {
		pt_el2_print("\nBail out! an assertion on another CPU\n");
		pt_el2_exit(5);
	}
	longjmp(end_of_test, how);
}

void _fail(const char *file, int line)
{
	printf("# %s:%d\n", file, line);
	end(FAILED);
}

void _skip(const char *file, int line)
{
	(void)file, (void)line;
	end(SKIPPED);
}

/* Each line as a comment of TAP. */
static void print_lines(const char *format, va_list args)
{
	static bool inside;
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	for (char *at = text; *at; at++) {
		char one[2] = {*at, 0};

		if (!inside)
			pt_el2_print("# ");
		inside = *at != '\n';
		pt_el2_print(one);
	}
}

void print_message(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_lines(format, args);
	va_end(args);
}

void print_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_lines(format, args);
	va_end(args);
}

void el2_assert(int holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	printf("# does not hold: %s\n", what);
	_fail(file, line);
}

void el2_assert_relation(uint64_t a, uint64_t b, int holds, const char *what, const char *file,
			 int line)
{
	if (holds)
		return;
	printf("# does not hold: %s: 0x%lx, 0x%lx\n", what, (unsigned long)a, (unsigned long)b);
	_fail(file, line);
}

void el2_assert_memory(const void *a, const void *b, size_t n, int same, const char *file, int line)
{
	if ((memcmp(a, b, n) == 0) == same)
		return;
	printf("# %lu bytes %s\n", (unsigned long)n, same ? "differ" : "are the same");
	_fail(file, line);
}

void el2_assert_string(const char *a, const char *b, int same, const char *file, int line)
{
	if ((strcmp(a, b) == 0) == same)
		return;
	printf("# \"%s\", \"%s\"\n", a, b);
	_fail(file, line);
}

static int run_one(const struct CMUnitTest *test)
{
	void *state = test->initial_state;
	int how = setjmp(end_of_test);

	if (how && el2_abandon)
		el2_abandon();
	if (how)
		return how;
	if (test->setup && test->setup(&state))
		return FAILED;
	test->test(&state);
	if (test->teardown && test->teardown(&state))
		return FAILED;
	return RAN;
}

int el2_run_group(const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
		  int (*teardown)(void **))
{
	static const char *const words[] = {"ok", "not ok", "ok"};
	const char *only = getenv("PTD_ONLY"); /* the name of one test */
	void *state = NULL;
	int failed = 0;

	printf("1..%lu\n", only ? 1 : (unsigned long)count);
	if (setup && setup(&state))
		return 1;
	for (size_t i = 0; i < count; i++) {
		int how;

		if (only && strcmp(only, tests[i].name) != 0)
			continue;
		how = run_one(&tests[i]);
		failed += how == FAILED;
		printf("%s %lu - %s%s\n", words[how], (unsigned long)i + 1, tests[i].name,
		       how == SKIPPED ? " # SKIP not on this CPU" : "");
	}
	if (teardown && teardown(&state))
		failed++;
	if (el2_compared)
		printf("# compared with the CPU: %lu\n", (unsigned long)el2_compared);
	return failed;
}
