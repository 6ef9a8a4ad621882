/* SPDX-License-Identifier: BSD-2-Clause */
/* A migration beside writes and changes of all kinds; see migration.h. For TSan and ASan, too. */
#include "migration.h"

static void a_migration_loses_no_write(void **state)
{
	static const unsigned which[] = {0, 2, 3}; /* 4K, 64K, 4K LPA2 */
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned m = 0; m < 4; m++) {
			struct logged l;

			logged_open_on(&l, &shapes[which[i]], dirty_modes[m & 1], 2);
			core_set_bbm(&l.c, (i + m) % 3);
			log_start(&l, m & 2, false);
			migrate(&l, seed + 16 * i + m);
			log_stop(&l);
			logged_close(&l);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_migration_loses_no_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
