/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: a few plays, and what it does when something is wrong. */
#include "../model/nested/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void shadows_are_what_both_say(void **state)
{
	const char *seed = getenv("PTD_SEED");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	struct nested_counts c = {0};
	char failure[256];

	(void)state;
	for (uint64_t s = first; s < first + 18; s++) {
		if (!nested_play(s, 400, NESTED_AS_IS, &c, failure))
			print_error("PTD_SEED=%llu: %s\n", (unsigned long long)s, failure);
		assert_string_equal("", failure);
	}
	print_message("PTD_SEED=%llu, %llu operations\n", (unsigned long long)first,
		      (unsigned long long)c.operations);
	nested_print(&c);
	if (nested_lacks(&c, 1))
		fail_msg("no %s", nested_lacks(&c, 1));
}

static void is_found(enum nested_defect defect)
{
	struct nested_counts c = {0};
	char failure[256] = "";

	for (uint64_t s = 1; s < 20 && !*failure; s++)
		nested_play(s, 400, defect, &c, failure);
	assert_string_not_equal("", failure);
}

/* One invalidation of the guest's in eight is lost: some leaf or access shows it. */
static void a_lost_invalidation_is_found(void **state)
{
	(void)state;
	is_found(NESTED_LOSE_TLBI);
}

/* Leaves go that nothing concerns. */
static void a_lost_leaf_is_found(void **state)
{
	(void)state;
	is_found(NESTED_LOSE_LEAF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shadows_are_what_both_say),
		cmocka_unit_test(a_lost_invalidation_is_found),
		cmocka_unit_test(a_lost_leaf_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
