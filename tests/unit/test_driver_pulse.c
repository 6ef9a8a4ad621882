/* SPDX-License-Identifier: BSD-2-Clause */
/* When the watchdog is fed: every loop turns, and grace periods end. The counters are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pulse.h>

static struct pulse last[2], now[2];

static int fresh(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		last[i] = (struct pulse){.turns = 10, .graces = 5};
		now[i] = (struct pulse){.turns = 11, .graces = 5};
	}
	return 0;
}

static void all_turn(void **state)
{
	(void)state;
	assert_true(pulse_beats(last, now, 2));
	assert_int_equal(last[0].turns, 11);
	assert_int_equal(last[1].turns, 11);
	assert_false(pulse_beats(last, now, 2)); /* nothing since */
}

static void one_is_stuck(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		fresh(NULL);
		now[i].turns = 10;
		assert_false(pulse_beats(last, now, 2));
		assert_int_equal(last[1 - i].turns, 10);
	}
}

/* Loop 0 turned in one interval, loop 1 in the next: both have since the last feed. */
static void in_turn(void **state)
{
	(void)state;
	now[1].turns = 10;
	assert_false(pulse_beats(last, now, 2));
	now[1].turns = 11;
	assert_true(pulse_beats(last, now, 2));
}

static void no_grace_period_ends(void **state)
{
	(void)state;
	last[1].waits = now[1].waits = true;
	assert_false(pulse_beats(last, now, 2));
	now[1].graces = 6; /* one ended, new pages wait */
	assert_true(pulse_beats(last, now, 2));
	assert_true(last[1].waits);
}

static void pages_wait_only_now_or_only_then(void **state)
{
	(void)state;
	now[0].waits = true;
	last[1].waits = true;
	assert_true(pulse_beats(last, now, 2));
}

static void loops_beyond_the_count_do_not_matter(void **state)
{
	(void)state;
	now[1].turns = 10;
	assert_true(pulse_beats(last, now, 1));
	assert_int_equal(last[1].turns, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_turn, fresh),
		cmocka_unit_test_setup(one_is_stuck, fresh),
		cmocka_unit_test_setup(in_turn, fresh),
		cmocka_unit_test_setup(no_grace_period_ends, fresh),
		cmocka_unit_test_setup(pages_wait_only_now_or_only_then, fresh),
		cmocka_unit_test_setup(loops_beyond_the_count_do_not_matter, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
