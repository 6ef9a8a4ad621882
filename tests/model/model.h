/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The abstract state and what each request does to it: pure functions, of the state, the request
 * and the few things that lib is free to choose (struct observed).
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <pt/fault.h>
#include <pt/txn.h>

#include "space.h"

#define MODEL_SLOTS 6
#define MODEL_LOGS  2

struct model_slot {
	uint64_t ipa, size, pa;
	uint32_t id, flags;
	uint8_t backing;
};

struct reach {
	uint64_t lo, hi;
};

/* One context. */
struct model {
	struct space space;
	unsigned granule, ipa_bits, pa_bits; /* granule: log2 */
	int start, top;
	bool fwb, xnx, ha, hd;
	unsigned bbm;
	uint8_t sw;    /* software bits that are the caller's */
	bool grouped;  /* maps may ask for contiguous groups, whose leaves share their flags */
	bool identity; /* an output has to be equal to its address */
	bool forces;   /* what is made in every second block is pages */
	uint64_t generation, quota;
	struct model_slot slot[MODEL_SLOTS]; /* sorted */
	unsigned slots;
	struct reach logged[MODEL_LOGS]; /* by dirty logs */
	unsigned logs;
};

/* Is a leaf that would begin at `ipa`, or a map from there on, to be of pages? */
bool model_forces(const struct model *m, uint64_t ipa);

static inline unsigned model_shift(const struct model *m, int level)
{
	return m->granule + (m->granule - 3) * (unsigned)(3 - level);
}

/* What lib may choose, as seen from outside. */
struct observed {
	enum pt_outcome
		refused; /* PT_NO_MEMORY or PT_QUOTA, when it said so with a reason; else PT_OK */
};

/* The first thing that is wrong with an item by itself; PT_OK. */
enum pt_outcome model_check(const struct model *m, const struct pt_item *item);

/* What an item says and does. */
struct told {
	enum pt_outcome outcome;
	bool loose;   /* MAPPED is as right as ALREADY_MAPPED: leaves may have become a block */
	uint64_t ipa; /* of an error */
	uint64_t holes, annotated; /* granules */
};

struct told model_tell(const struct model *m, const struct pt_item *item);
/* The item's effect; it has no error. */
void model_apply(struct model *m, const struct pt_item *item);

/* A leaf has one access flag: what shares one with a range may be young or old from now on, until
 * the tables are read. */
void model_age_unsure(struct model *m, uint64_t lo, uint64_t hi);

/* The slot that holds an address, or NULL. */
const struct model_slot *model_slot_at(const struct model *m, uint64_t ipa);
/* Without the slot `id`, and then with `more` if it is not NULL. */
void model_change_slot(struct model *m, uint32_t id, const struct model_slot *more);

/* Is a leaf [lo, hi] at `ipa` logged, by its slot or by a dirty log? */
bool model_logged(const struct model *m, uint64_t ipa, uint64_t lo, uint64_t hi);
/* What of the leaf [lo, hi] a fault gives a right to. */
void model_relaxed(const struct model *m, uint64_t ipa, enum pt_access access, uint64_t *lo,
		   uint64_t *hi);
/* What a fault at an address without a claim says. Errors of memory apart. */
enum pt_outcome model_fault(const struct model *m, uint64_t ipa, enum pt_access access,
			    uint32_t exec);
/* The level of the leaf that it installs; the walk met an invalid entry of `level`, and no block
 * may reach into [busy_lo, busy_hi]. */
int model_install_level(const struct model *m, uint64_t ipa, int level, const struct reach *busy,
			unsigned count);
/* The effect of such a fault, on the leaf [lo, hi]. */
void model_fault_apply(struct model *m, uint64_t ipa, enum pt_access access,
		       enum pt_outcome outcome, uint64_t lo, uint64_t hi);

/* Rights that an access needs: PT_PROT bits. */
uint8_t model_needs(enum pt_access access, bool el0);

#endif
