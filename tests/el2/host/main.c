/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's tests: first its memory, as nothing is mapped yet. */
#include "host.h"

int main(void);

int main(void)
{
	static struct CMUnitTest tests[64];
	size_t n = 0;

	if (getenv("COUNT"))
		return el2_run_group(host_count_tests, 1, NULL, NULL);
	for (size_t i = 0; i < host_memory_count; i++)
		tests[n++] = host_memory_tests[i];
	for (size_t i = 0; i < host_guest_count; i++)
		tests[n++] = host_guest_tests[i];
	for (size_t i = 0; i < host_cpu_count; i++)
		tests[n++] = host_cpu_tests[i];
	for (size_t i = 0; i < host_exit_count; i++)
		tests[n++] = host_exit_tests[i];
	for (size_t i = 0; i < host_hostile_count; i++)
		tests[n++] = host_hostile_tests[i];
	return el2_run_group(tests, n, NULL, NULL);
}
