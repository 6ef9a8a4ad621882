/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of tests/model: seeds by the number, and what it does when something is wrong. */
#include "../model/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void random_operations_agree_with_the_model(void **state)
{
	const char *seed = getenv("PTD_SEED"), *seeds = getenv("PTD_SEEDS");
	struct verdict *v = verdict_new();

	(void)state;
	try_seeds(seed ? strtoull(seed, NULL, 0) : 1, seeds ? strtoull(seeds, NULL, 0) : 24, v);
	print_message("PTD_SEED=%llu\n", (unsigned long long)v->seed);
	assert_string_equal(v->failure, "");
	assert_in_range(v->counts.requests, 1, UINT64_MAX);
	assert_in_range(v->counts.stale, 1, UINT64_MAX);
}

/* One invalidation in eight is lost: some access sees an old translation, and a page of steps shows
 * it.
 */
static void a_lost_invalidation_is_found_and_shrinks(void **state)
{
	struct verdict *v = verdict_new(), *again = verdict_new();
	char path[] = "/tmp/ptd-model-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	v->plant = again->plant = PLANT_LOSE_TLBI;
	try_seeds(1, 20, v);
	assert_memory_equal(v->failure, "access:", 7);
	shrink(v, 1000);
	assert_in_range(v->steps, 1, 24);
	assert_true(script_save(path, v));
	assert_true(script_load(path, again));
	unlink(path);
	assert_int_equal(v->seed, again->seed);
	assert_int_equal(v->steps, again->steps);
	assert_memory_equal(v->step, again->step, v->steps * sizeof(v->step[0]));
	try_list(again);
	assert_string_equal(v->failure, again->failure);
	again->plant = PLANT_NONE;
	try_list(again);
	assert_string_equal(again->failure, "");
}

/* A play that dies is a failure, and the list up to there is kept. */
static void a_crash_is_a_failure_with_its_list(void **state)
{
	struct verdict *v = verdict_new();

	(void)state;
	v->plant = PLANT_CRASH;
	try_seeds(1, 1, v);
	assert_memory_equal(v->failure, "crash:", 6);
	assert_int_equal(v->steps, 100);
}

/* Wherever in a table it stands, between others that are as the one before or that are nothing. */
static void one_descriptor_that_differs_is_found(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct verdict *v = verdict_new();

		v->plant = PLANT_STRAY;
		try_seeds(seed, 1, v);
		if (strncmp(v->failure, "tables:", 7) != 0 && strncmp(v->failure, "shape:", 6) != 0)
			fail_msg("seed %llu: %s", (unsigned long long)seed, v->failure);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_the_model),
		cmocka_unit_test(a_lost_invalidation_is_found_and_shrinks),
		cmocka_unit_test(a_crash_is_a_failure_with_its_list),
		cmocka_unit_test(one_descriptor_that_differs_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
