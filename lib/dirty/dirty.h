/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/dirty share; private to it. */
#ifndef PT_DIRTY_DIRTY_H
#define PT_DIRTY_DIRTY_H

#include <pt/dirty.h>

#include "../txn/internal.h"

/* log.c: the list of a context's logs, and the words of one. Ranges are IPAs, inclusive, inside the
 * log. */
void pt__log_init(struct pt_dirty_log *log, const struct pt_dirty_args *args);
void pt__log_attach(struct pt_dirty_log *log);
void pt__log_detach(struct pt_dirty_log *log);
/* The first page from `ipa` up to `last` whose bit is set, or last + 1; a visit for each word, of
 * which *left allows one at least. */
uint64_t pt__log_find(const struct pt_dirty_log *log, uint64_t ipa, uint64_t last, int64_t *left);
void pt__log_fill(struct pt_dirty_log *log, uint64_t lo, uint64_t hi);
/* Ends what the last answer told: acknowledged, or put back. True: nothing is left to do. */
bool pt__log_settle(struct pt_dirty_log *log, bool acknowledged, int64_t *left);
/* Adds the bits of [lo, hi] to the bitmap of `op`, counts them, and with `clear` moves them to
 * `sent`. */
void pt__log_collect(struct pt_dirty *op, uint64_t lo, uint64_t hi);
uint64_t pt__log_count(const struct pt_dirty_log *log, uint64_t lo, uint64_t hi);

/* pass.c: makes what it finds clean, or feeds the log, from op->next on. */
void pt__dirty_pass(struct pt_dirty *op, int64_t *left);
void pt__dirty_flush(struct pt_dirty *op);
/* What was made clean goes on from shadows that may write there. */
void pt__dirty_take(struct pt_dirty *op, int64_t *left);
/* Does the operation look at tables, and change them? */
bool pt__dirty_reads_tables(const struct pt_dirty *op);
bool pt__dirty_cleans(const struct pt_dirty *op);

#endif
