/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of address translation share; private to lib. */
#ifndef PT_NESTED_AT_H
#define PT_NESTED_AT_H

#include <pt/guest_at.h>

#include "fsc.h"

/* Memory type and shareability of a translation. */
struct pt__memory {
	bool device;
	uint8_t type;	      /* Device: 0 nGnRnE to 3 GRE */
	uint8_t outer, inner; /* Normal: nibbles as MAIR has them, 4 for NC */
	uint8_t sh;	      /* SH[1:0] */
};

/* at_memory.c */
struct pt__memory pt__memory_of_mair(uint8_t attr, uint8_t sh);
struct pt__memory pt__memory_of_both(struct pt__memory s1, const struct pt_guest_leaf *s2,
				     bool fwb);
/* The same without data caches. */
struct pt__memory pt__memory_uncached(struct pt__memory m);
/* ATTR and SH of PAR_EL1. */
uint64_t pt__memory_par(struct pt__memory m);

/* One translation, on its way. */
struct pt__at {
	const struct pt_guest_memory *memory;
	const struct pt_guest_s2 *s2; /* NULL: off */
	const struct pt_guest_at_regs *regs;
	uint64_t va;
	bool write, el0, pan;

	/* What it came to: an output, or a fault. */
	uint64_t out;
	struct pt__memory attrs;
	uint8_t fsc;
	bool stage2;	/* the fault is of stage 2, */
	bool walk;	/* and of a fetch by stage 1: */
	uint64_t fetch; /* the IPA that it went to */
};

/* at_stage1.c: false: a fault. */
bool pt__at_stage1(struct pt__at *at);

static inline bool pt__at_fault(struct pt__at *at, enum pt__fsc class, int level)
{
	at->fsc = pt__fsc(class, level);
	return false;
}

/* Is it an external abort on a walk, which is an exception and no result? */
static inline bool pt__fsc_external(uint8_t fsc)
{
	return fsc == pt__fsc(PT__FSC_EXTERNAL_WALK, -1) || (fsc & ~3u) == PT__FSC_EXTERNAL_WALK;
}

#endif
