/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes in idle time: tables that could be blocks, where a dirty log or a transfer has ended or
 * a fault has found such pages; and empty tables, a while after something was unmapped. Each loop
 * has its own list of ranges to look through, which only its own steps touch. Looking takes no
 * claim; what is found is removed under a claim of its own span. What is claimed by others is left
 * alone.
 */
#ifndef PTD_DOMAIN_FOLD_H
#define PTD_DOMAIN_FOLD_H

#include "call.h"

#include <pt/upkeep.h>

#define FOLD_RANGES 32u

struct context;

struct fold_range {
	uint64_t context; /* handle */
	uint64_t ipa, last;
	uint64_t due_ns; /* not before */
	uint32_t kind;	 /* PT_UPKEEP_COLLAPSE or PT_UPKEEP_SWEEP */
};

/* Of a loop. */
struct fold {
	struct fold_range range[FOLD_RANGES];
	uint32_t ranges;
	uint64_t due_ns; /* with ranges: none is due before */
	enum { FOLD_NOTHING, FOLD_LOOKS, FOLD_RUNS, FOLD_LAST_WAKE } state;
	struct fold_range now; /* what it looks through, */
	uint64_t at;	       /* how far it came, */
	uint64_t below;	       /* where tables went, so that those above may be able to, now */
	bool climbs;
	struct context *pinned;
	struct pt_upkeep upkeep;
	struct pt_grace grace;
};

/* Blocks in [ipa, ipa + size) again, when the loop of this call has nothing else to do. */
void fold_later(struct call *call, uint64_t context, uint64_t ipa, uint64_t size);
/* The same of the blocks that the range is a part of, too. */
void refold_later(struct call *call, const struct context *context, uint64_t ipa, uint64_t size);
/* In [ipa, ipa + size) something was unmapped: empty tables around it go when nothing has been
 * unmapped there for SWEEP_REST_NS. */
void sweep_later(struct call *call, const struct context *context, uint64_t ipa, uint64_t size);

/*
 * One bounded step, in a section. Looks when the loop is `idle`; goes on with an operation at any
 * time, since it holds a claim. Returns when to call again: 0 is soon, UINT64_MAX never.
 */
uint64_t fold_step(struct domain_loop *loop, bool idle, uint64_t now_ns);
/* The loop leaves: nothing is held any more. */
void fold_end(struct domain_loop *loop);

#endif
