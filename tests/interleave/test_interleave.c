/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every interleaving of two operations on a small tree (of three: test_interleave3.c), up to a
 * bound of preemptions and of stores that are seen late. Each case is a test. The environment:
 *
 *   PTD_PREEMPTIONS=N PTD_DELAYS=N   the bounds (2 and 1); large cases have one or two
 *                                    preemptions less
 *   PTD_SECONDS=N                    of processor time for a case, after which it is skipped, but
 *   PTD_LEAST=N                      fails if it is not complete with so many preemptions
 *   PTD_AUDIT=1                      leaves nothing to the reduction, and fails where that is news
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

/* How many cases were searched with so many preemptions and fewer, each completely. */
#define BOUNDS 16
static unsigned complete[BOUNDS];

static void tell(const struct iv_case *c, const struct iv_limits *limits, const struct iv_result *r)
{
	print_message(
		"## %s: %llu schedules, %llu complete, %llu states, %u late stores, %u points in "
		"%llu events: ",
		c->name, (unsigned long long)r->schedules, (unsigned long long)r->completed,
		(unsigned long long)r->states, limits->delays, r->points,
		(unsigned long long)r->longest);
	if (!r->bounds)
		print_message("not complete");
	else
		print_message("complete at %u preemptions", r->bounds - 1);
	print_message(r->exhausted ? "\n" : ", not at %u: the time ran out\n", r->bounds);
	for (unsigned i = 0; i < r->bounds && i < BOUNDS; i++)
		complete[i]++;
}

static void explore(void **state)
{
	const struct iv_case *c = *state;
	struct iv_limits limits = {.preemptions = number("PTD_PREEMPTIONS", 2),
				   .delays = number("PTD_DELAYS", 1),
				   .audit = number("PTD_AUDIT", 0),
				   .seconds = number("PTD_SECONDS", 0)};
	struct iv_result r;

	if (getenv("PTD_SCHEDULE")) {
		replay(c, getenv("PTD_SCHEDULE"));
		return;
	}
	limits.preemptions -= c->fewer < limits.preemptions ? c->fewer : limits.preemptions;
	if (c->most && limits.preemptions > c->most)
		limits.preemptions = c->most;
	iv_explore(c, &limits, &r);
	tell(c, &limits, &r);
	if (r.failed) {
		print_message("# PTD_ONLY=%s PTD_SCHEDULE=%s\n", c->name, r.schedule);
		replay(c, r.schedule);
		fail_msg("%s", r.text);
	}
	if (r.exhausted)
		return;
	if (r.bounds <= number("PTD_LEAST", 0))
		fail_msg("the time ran out before all runs with %u preemptions",
			 number("PTD_LEAST", 0));
	skip();
}

/* So that a search that was cut short does not read as one of all runs. */
static int tell_totals(void **state)
{
	(void)state;
	for (unsigned i = BOUNDS; i--;)
		if (complete[i])
			print_message("# %u cases complete at %u preemptions, %u late stores\n",
				      complete[i], i, number("PTD_DELAYS", 1));
	return 0;
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
	return _cmocka_run_group_tests("interleave", test, count, NULL, tell_totals);
}
