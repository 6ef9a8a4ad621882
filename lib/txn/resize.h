/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes of size: a block becomes a table of the same mappings, or a table a block; private to
 * lib. */
#ifndef PT_TXN_RESIZE_H
#define PT_TXN_RESIZE_H

#include <pt/upkeep.h>

#include "internal.h"

/* On whose account: what is owed and what was done. */
struct pt__resize {
	struct pt_ctx *ctx;
	struct pt_ledger *ledger;
	struct pt_effects *effects;
};

/*
 * Replaces n (1 to PT_RESIZE_BATCH) blocks side by side from `slot` on, which begin at `base` and
 * stand at `level`, by the tables page[0..n). Under a drained claim on all of them. By
 * break-before-make, or as FEAT_BBM of the context allows; what is left in the ledger afterwards
 * has to be discharged before the claim goes and before the reply.
 */
void pt__split_blocks(const struct pt__resize *rs, pt_pte *slot, uint64_t base, int level,
		      const struct pt_page *page, unsigned n);

/*
 * Replaces n tables by blocks, the same way. Each table's entries are leaves that say what
 * fold[i].block says; the tables' pages are the caller's to retire when the ledger is empty.
 */
void pt__fold_tables(const struct pt__resize *rs, const struct pt_upkeep_fold *fold, unsigned n);

/*
 * foldable.c: the block that a table's leaves make together; 0 if they make none. `level`: of the
 * entry that links the table. *equal: rights and dirty state are those of each leaf, not only what
 * they come to.
 */
pt_pte pt__fold_block(const struct pt_ctx *ctx, pt_pte table, int level, bool *equal);

bool pt__table_empty(const struct pt_ctx *ctx, pt_pte table);
/* May a block of `level` stand at `base`: memslots are backed by pages as large, and nothing logs
 * dirty pages there. */
bool pt__may_be_block(struct pt_ctx *ctx, uint64_t base, int level);

/* Does the context's force-pages policy keep `block` of `level` at `base` in pages? */
bool pt__forced_pages(const struct pt_ctx *ctx, uint64_t base, int level, pt_pte block);

#endif
