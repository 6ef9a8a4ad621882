/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folding in idle time: where a dirty log has ended, or a fault has found pages that could be a
 * block, tables become blocks again. Each loop has its own list, which only its own steps touch;
 * what does not fit into it is left as it is, and an explicit Collapse does the same.
 */
#ifndef PTD_DOMAIN_FOLD_H
#define PTD_DOMAIN_FOLD_H

#include "call.h"

#include <pt/upkeep.h>

#define FOLD_RANGES 32u

struct context;

/* Of a loop. */
struct fold {
	struct fold_range {
		uint64_t context; /* handle */
		uint64_t ipa, size;
	} range[FOLD_RANGES];
	uint32_t ranges;
	enum { FOLD_NOTHING, FOLD_RUNS, FOLD_LAST_WAKE } state;
	struct context *pinned;
	struct pt_upkeep upkeep;
	struct pt_grace grace;
};

/* Not now: when the loop of this call has nothing else to do. */
void fold_later(struct call *call, uint64_t context, uint64_t ipa, uint64_t size);

/*
 * One bounded step, in a section. Begins a range when the loop is `idle`; goes on with one at any
 * time, since it holds a claim. True: there is more to do, soon.
 */
bool fold_step(struct domain_loop *loop, bool idle);
/* The loop leaves: nothing is held any more. */
void fold_end(struct domain_loop *loop);

#endif
