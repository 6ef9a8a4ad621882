/* SPDX-License-Identifier: BSD-2-Clause */
/* What the watchdog learns of grace periods: pages that a loop retired, and when they became safe.
 */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)

static void unlink_a_table(struct fixture *fx)
{
	Ptd__V1__MapRequest map = map_request(fx->context, 0, 2 * MIB, PAGE, 3); /* no block */
	Ptd__V1__UnmapRequest unmap = unmap_request(fx->context, 0, 2 * MIB);

	OK(fx, "Map", &map);
	OK(fx, "Unmap", &unmap);
}

static void empty_section(struct domain_loop *loop)
{
	domain_section_begin(loop);
	domain_section_end(loop);
}

static void retired_pages_wait_until_another_loop_has_ended_its_section(void **state)
{
	struct fixture *fx = *state;
	struct domain_graces before, graces;

	unlink_a_table(fx);
	before = domain_loop_graces(fx->loop[0]);
	assert_false(before.waits);
	domain_section_begin(fx->loop[1]);
	unlink_a_table(fx);
	empty_section(fx->loop[0]);
	graces = domain_loop_graces(fx->loop[0]);
	assert_true(graces.waits);
	assert_int_equal(graces.ended, before.ended);
	domain_section_end(fx->loop[1]);
	empty_section(fx->loop[0]);
	graces = domain_loop_graces(fx->loop[0]);
	assert_false(graces.waits);
	assert_int_equal(graces.ended, before.ended + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(retired_pages_wait_until_another_loop_has_ended_its_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
