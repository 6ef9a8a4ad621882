/* SPDX-License-Identifier: BSD-2-Clause */
/* Bugs planted in the harness: the seeds find them, and they shrink to lists that fit a page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "play.h"

#include <stdlib.h>
#include <unistd.h>

#define PLAYS 4000

static void find_and_shrink(enum plant plant)
{
	struct verdict *v = verdict_new(), *again = verdict_new();
	char path[] = "/tmp/ptd-sim-XXXXXX";
	int fd = mkstemp(path);
	uint32_t plays;

	assert_true(fd >= 0);
	close(fd);
	try_seeds(1, 200, plant, v);
	assert_true(v->failure[0]);
	plays = shrink(v, PLAYS);
	print_message("seed %llu, %u plays: %zu events: %s\n", (unsigned long long)v->seed, plays,
		      v->recorded, v->failure);
	assert_in_range(v->recorded, 0, 30);
	assert_true(trace_save(path, v));
	assert_true(trace_load(path, again));
	unlink(path);
	assert_int_equal(again->seed, v->seed);
	assert_int_equal(again->recorded, v->recorded);
	try_list(again, NULL);
	assert_string_equal(again->failure, v->failure);
	again->plant = PLANT_NONE;
	try_list(again, NULL);
	assert_string_equal(again->failure, "");
}

static void forgotten_answers_are_found(void **unused)
{
	(void)unused;
	find_and_shrink(PLANT_FORGET_IDS);
}

static void a_lost_wake_is_found(void **unused)
{
	(void)unused;
	find_and_shrink(PLANT_LOSE_WAKE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgotten_answers_are_found),
		cmocka_unit_test(a_lost_wake_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
