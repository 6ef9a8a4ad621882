/* SPDX-License-Identifier: BSD-2-Clause */
/* Linked into a test program by tests/mutants/run: runs the one test named by PTD_ONLY, if any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static __attribute__((constructor)) void only(void)
{
	const char *name = getenv("PTD_ONLY");

	if (name)
		cmocka_set_test_filter(name);
}
