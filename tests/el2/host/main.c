/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's tests, in groups: what one CPU shows, which is quick, and what takes several. A test
 * that is named (PTD_ONLY) runs whatever its group is.
 */
#include "host.h"

int main(void);

static struct CMUnitTest tests[128];
static size_t count;

static void add(const struct CMUnitTest *more, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tests[count++] = more[i];
}

/* First each group's tests of memory, as nothing is mapped yet. */
int main(void)
{
	const char *group = getenv("PTD_ONLY") ? "" : getenv("GROUP");
	bool all = group && !*group;

	if (all || !group) {
		add(host_memory_tests, host_memory_count);
		add(host_guest_tests, host_guest_count);
		add(host_exit_tests, host_exit_count);
		add(host_hostile_tests, host_hostile_count);
	}
	if (all || (group && !strcmp(group, "storm"))) {
		add(host_race_tests, host_race_count);
		add(host_cpu_tests, host_cpu_count);
		add(host_recycle_tests, host_recycle_count);
		add(host_send_tests, host_send_count);
		add(host_storm_tests, host_storm_count);
	}
	if (all || (group && !strcmp(group, "count")))
		add(host_count_tests, host_count_count);
	return el2_run_group(tests, count, NULL, NULL);
}
