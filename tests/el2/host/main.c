/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's tests, in groups: "chain", what one CPU shows, which is quick; "recycle", for which it
 * takes longer; and "storm", what takes several; without a name all of them. "count" is for itself,
 * and so is "owner", for which EL2 has to boot with owners; its tests have names that begin so.
 * "nested_nv2" is "nested" with a guest hypervisor that has an EL2, and what that has besides,
 * "nested_nv2_nvhe" with one whose EL2 has no HCR_EL2.E2H;
 * "nested_owner", "nested_nv2_owner" and "nested_nv2_nvhe_owner" are of one that owns its memory,
 * "nested_cpus", "nested_nv2_cpus" and "nested_nv2_nvhe_cpus" of one with two CPUs. A test that is
 * named (PTD_ONLY) runs whatever its group is.
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

static bool wanted(const char *group)
{
	const char *name = getenv("GROUP");

	return !name || !strcmp(name, group);
}

static bool named(const char *group)
{
	return getenv("GROUP") && wanted(group);
}

/* First what fills the host's memory, as nothing is mapped yet. */
int main(void)
{
	bool chain = wanted("chain"), storm = wanted("storm");

	if (chain)
		add(host_memory_tests, 1);
	if (storm)
		add(host_race_tests, host_race_count);
	if (chain) {
		add(host_memory_tests + 1, host_memory_count - 1);
		add(host_guest_tests, host_guest_count);
		add(host_exit_tests, host_exit_count);
		add(host_hostile_tests, host_hostile_count);
	}
	if (wanted("recycle"))
		add(host_recycle_tests, host_recycle_count);
	if (storm) {
		add(host_cpu_tests, host_cpu_count);
		add(host_send_tests, host_send_count);
		add(host_storm_tests, host_storm_count);
	}
	if (wanted("owner") && (getenv("GROUP") || getenv("PTD_ONLY")))
		add(host_owner_tests, host_owner_count);
	if (wanted("nested") && (getenv("GROUP") || getenv("PTD_ONLY"))) {
		add(host_nested_tests, host_nested_count);
		add(host_granules_tests, host_granules_count);
		add(host_types_tests, host_types_count);
	}
	if (named("nested_nv2") || named("nested_nv2_nvhe")) {
		add(host_nested_tests, host_nested_count - 1);
		add(host_granules_tests, host_granules_count);
		add(host_types_tests, host_types_count);
		add(host_virtual_tests, host_virtual_count);
		add(host_stage1_tests, host_stage1_count);
	}
	if (named("nested_owner"))
		add(host_nested_owner_tests, host_nested_owner_count - 1);
	if (named("nested_nv2_owner") || named("nested_nv2_nvhe_owner"))
		add(host_nested_owner_tests, host_nested_owner_count);
	if (named("nested_cpus") || named("nested_nv2_cpus") || named("nested_nv2_nvhe_cpus"))
		add(host_nested_cpus_tests, host_nested_cpus_count);
	if (wanted("count") && (getenv("GROUP") || getenv("PTD_ONLY")))
		add(host_count_tests, host_count_count);
	return el2_run_group(tests, count, NULL, NULL);
}
