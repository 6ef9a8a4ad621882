/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors of a context as they stand in memory, to the file of tests/el2/worlds. Words of
 * 64 bits, little endian. A context: its index, VTCR_EL2, PA of the start tables; then tables in
 * the order of a walk: PA, level, words, the words; a PA of 0 ends it.
 */
#include "scenario.h"

#include <pt/el2/console.h>

static void put(int64_t file, const void *from, size_t bytes)
{
	if (!pt_el2_file_write(file, from, bytes))
		sc_bail("the file of descriptors cannot be written", bytes);
}

/* A table and those below it. Levels bound the depth. */
static void put_table(int64_t file, const struct pt_ctx *ctx, struct pt_pa pa, int level)
{
	const pt_pte *table = pt_port_table(&ctx->port, pa);
	uint64_t n = level == ctx->geo.start_level ? ctx->geo.start_entries
						   : pt_table_entries(&ctx->geo);
	const uint64_t head[3] = {pa.v, (uint64_t)(int64_t)level, n};

	put(file, head, sizeof(head));
	put(file, table, n * sizeof(table[0]));
	for (uint64_t i = 0; i < n; i++)
		if (pt_pte_is_table(table[i], level))
			put_table(file, ctx, pt_pte_to_oa(&ctx->geo, table[i]), level + 1);
}

void sc_dump(int64_t file, struct sc_world *w, uint32_t index)
{
	const struct pt_ctx *ctx = &w->context[index].pt;
	const uint64_t head[3] = {index, pt_ctx_vtcr(ctx), ctx->root.v}, end[3] = {0};

	put(file, head, sizeof(head));
	put_table(file, ctx, ctx->root, ctx->geo.start_level);
	put(file, end, sizeof(end));
}
