/* SPDX-License-Identifier: BSD-2-Clause */
/* Free table memory back to the system. */
#include "domain_trim.h"

#include "domain_types.h"

uint64_t trim_step(struct domain_loop *loop, bool idle, uint64_t now_ns)
{
	struct pt_host_tables *tables = &loop->domain->tables;

	if (likely(!loop->trim.left && pt_pool_spare(&tables->world.pool) <= TRIM_KEEP)) {
		loop->trim_due_ns = 0; /* somebody needed it again */
		return UINT64_MAX;
	}
	if (!loop->trim_due_ns)
		loop->trim_due_ns = now_ns + TRIM_REST_NS;
	if (now_ns < loop->trim_due_ns)
		return loop->trim_due_ns;
	if (idle)
		pt_host_tables_trim(tables, &loop->trim, TRIM_KEEP);
	return 0;
}

void trim_end(struct domain_loop *loop)
{
	while (loop->trim.left)
		pt_host_tables_trim(&loop->domain->tables, &loop->trim, UINT32_MAX);
}
