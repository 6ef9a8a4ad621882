/* SPDX-License-Identifier: BSD-2-Clause */
/* Compiled scenarios: save. */
#include "scenario.h"

bool scenario_save(const struct scenario *scenario, FILE *to)
{
	struct scn_header h = scenario->header;
	size_t records = h.records * sizeof(struct scn_record);
	uint64_t sum = scenario_hash(SCN_HASH_START, (h.checksum = 0, &h), sizeof(h));

	sum = scenario_hash(sum, scenario->records, records);
	h.checksum = scenario_hash(sum, scenario->strings, h.string_bytes);
	return fwrite(&h, sizeof(h), 1, to) == 1 &&
	       fwrite(scenario->records, 1, records, to) == records &&
	       fwrite(scenario->strings, 1, h.string_bytes, to) == h.string_bytes && !fflush(to);
}
