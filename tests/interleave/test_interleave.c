/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every interleaving of two operations on a small tree (of three: test_interleave3.c), up to a
 * bound of preemptions and of stores that are seen late. Each case is a test. The environment:
 *
 *   PTD_PREEMPTIONS=N PTD_DELAYS=N   the bounds (2 and 1); large cases have one or two
 *                                    preemptions less
 *   PTD_ONLY=case PTD_SCHEDULE=S     plays one run, as a failure prints it, with its trace
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

/* How many at once: test_interleave3.c has the others. */
#ifndef IV_AGENTS
#define IV_AGENTS 2
#endif

static unsigned number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void replay(const struct iv_case *c, const char *schedule)
{
	struct iv_result r;

	if (iv_replay(c, schedule, &r))
		fail_msg("%s", r.text);
}

static void explore(void **state)
{
	const struct iv_case *c = *state;
	struct iv_limits limits = {.preemptions = number("PTD_PREEMPTIONS", 2),
				   .delays = number("PTD_DELAYS", 1),
				   .seconds = number("PTD_SECONDS", 0)};
	struct iv_result r;

	if (getenv("PTD_SCHEDULE")) {
		replay(c, getenv("PTD_SCHEDULE"));
		return;
	}
	limits.preemptions -= c->fewer < limits.preemptions ? c->fewer : limits.preemptions;
	iv_explore(c, &limits, &r);
	print_message("# %s: %llu schedules, %llu complete, %llu states, %u preemptions, %u late "
		      "stores, %u points in %llu events%s\n",
		      c->name, (unsigned long long)r.schedules, (unsigned long long)r.completed,
		      (unsigned long long)r.states, limits.preemptions, limits.delays, r.points,
		      (unsigned long long)r.longest, r.exhausted ? "" : ", time ran out");
	if (!r.failed)
		return;
	print_message("# PTD_ONLY=%s PTD_SCHEDULE=%s\n", c->name, r.schedule);
	replay(c, r.schedule);
	fail_msg("%s", r.text);
}

static unsigned agents(const struct iv_case *c)
{
	unsigned n = 0;

	while (n < IV_FIBRES && c->script[n][0].kind)
		n++;
	return n;
}

int main(void)
{
	struct CMUnitTest *test = calloc(iv_case_count, sizeof(*test));
	unsigned count = 0;

	if (!test)
		return 1;
	if (getenv("PTD_ONLY"))
		cmocka_set_test_filter(getenv("PTD_ONLY"));
	for (unsigned i = 0; i < iv_case_count; i++)
		if (agents(&iv_cases[i]) == IV_AGENTS)
			test[count++] = (struct CMUnitTest){
				.name = iv_cases[i].name,
				.test_func = explore,
				.initial_state = (void *)(uintptr_t)&iv_cases[i]};
	return _cmocka_run_group_tests("interleave", test, count, NULL, NULL);
}
