/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios: a guest hypervisor's tables, from their records. */
#include "scenario.h"

#include "include/ptd.h"

#include <stdlib.h>

void *scn_tables_build(const struct scn_record *r, struct ptd_guest_tables *t)
{
	const struct scn_tables_body *b = &r->body.tables;
	struct ptd_guest_map *map = calloc(b->records + 1, sizeof(*map));
	void *memory = map ? malloc(SCN_TABLES_BYTES) : NULL;

	for (uint32_t i = 0; memory && i < b->records; i++) {
		const struct scn_table_map_body *m = &r[1 + i].body.table_map;

		map[i] = (struct ptd_guest_map){
			.ipa = {m->ipa}, .size = m->size, .out = {m->out}, .prot = m->prot};
	}
	*t = (struct ptd_guest_tables){.granule_shift = b->granule_shift,
				       .ipa_bits = b->ipa_bits,
				       .base = {b->base},
				       .vmid = b->vmid,
				       .maps = map,
				       .count = b->records};
	if (memory && ptd_guest_tables_build(t, memory, SCN_TABLES_BYTES) != PTD_GUEST_OK) {
		free(memory);
		memory = NULL;
	}
	t->maps = NULL;
	free(map);
	return memory;
}
