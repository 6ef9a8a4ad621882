/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: scenario text to records, and files that claim to be compiled. */
#include "scenario.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static FILE *nowhere;
	struct scenario scenario;
	char why[160];

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!nowhere)
		abort();
	if (scenario_is_compiled(data, length)) {
		if (scenario_load(&scenario, data, length, why))
			scenario_free(&scenario);
	} else if (scenario_compile(&scenario, "fuzz", (const char *)data, length, NULL, 0,
				    nowhere)) {
		scenario_free(&scenario);
	}
	return 0;
}
