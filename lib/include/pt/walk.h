/* SPDX-License-Identifier: BSD-2-Clause */
/* Walkers: get-leaf, explain, the visitor, the digest. Public, so that walkers can be written
 * outside lib. */
#ifndef PT_WALK_H
#define PT_WALK_H

#include <pt/context.h>

/* The entry that ends the walk for `ipa`: a leaf, or the invalid entry met. In a section. PT_OK or
 * PT_OUT_OF_RANGE. */
enum pt_outcome pt_get_leaf(struct pt_ctx *ctx, struct pt_ipa ipa, pt_pte *entry, int *level);

/*
 * A hint: an operation on the page at `ipa` comes some calls from now. Reads the tables above the
 * page's entry and asks for the entry itself, so that the wait for it overlaps with the calls
 * between; four to sixteen ahead is right. In a section, any context and address; no effect, no
 * error.
 */
void pt_prefetch(struct pt_ctx *ctx, struct pt_ipa ipa);

struct pt_walk_step {
	struct pt_pa table;
	uint32_t index;
	int8_t level;
	pt_pte entry;
};

/* Every step of the walk for `ipa`, first to last; returns how many (1 to PT_LEVELS), or 0 if out
 * of range. In a section. */
unsigned pt_walk_explain(struct pt_ctx *ctx, struct pt_ipa ipa,
			 struct pt_walk_step step[PT_LEVELS]);

enum pt_walk_mode { PT_WALK_READ, PT_WALK_POINT, PT_WALK_CLAIM, PT_WALK_PRIVATE };

enum pt_visit { PT_VISIT_TABLE_PRE = 1, PT_VISIT_LEAF = 2, PT_VISIT_TABLE_POST = 4 };

/* What a visitor returns. */
enum pt_walk_next {
	PT_WALK_ON, /* go on; after PRE or LEAF the entry is read again, and descended into if it is
		       a table now */
	PT_WALK_SKIP, /* after PRE: do not descend */
	PT_WALK_STOP,
};

struct pt_walk_entry {
	pt_pte *slot;	     /* the descriptor; valid inside this visit */
	pt_pte entry;	     /* its value, read once */
	uint64_t start, end; /* the walk's whole range, end inclusive */
	uint64_t ipa;	     /* first address that the entry spans */
	int8_t level;
	uint8_t visit; /* enum pt_visit */
	struct pt_pa table;
	uint32_t index;
};

/* A resumable walk over [ipa, last]: iterative, no recursion, no allocation. */
struct pt_walker {
	struct pt_ctx *ctx;
	uint64_t start, last, at;
	uint32_t visits;   /* enum pt_visit bits wanted; invalid entries are leaves */
	uint8_t mode;	   /* enum pt_walk_mode: stated, and held to by the checker */
	int8_t skip_above; /* leaves above this level are passed over (-1: none) */
	enum pt_walk_next (*visit)(const struct pt_walk_entry *entry, void *arg);
	void *arg;
};

/*
 * Visits at most `budget` entries. PT_OK: the range is done. PT_MORE: call again, in the same or
 * another section (`at` tells how far). Stopped by the visitor: PT_OK with at <= last. In a
 * section.
 */
enum pt_outcome pt_walk(struct pt_walker *walker, uint32_t budget);

/*
 * Digest of a tree: the order of visits stands for table addresses, so that equal trees in
 * different memory have equal digests. Progressive: begin, then step until PT_OK. For one moment's
 * state hold a shared claim on the whole space.
 */
struct pt_digest {
	struct pt_walker walker;
	uint64_t state[2];
	uint64_t tables, leaves[PT_LEVELS],
		invalid_nonzero; /* counted on the way; index: level + 1 */
};

void pt_digest_begin(struct pt_digest *digest, struct pt_ctx *ctx);
enum pt_outcome pt_digest_step(struct pt_digest *digest, uint32_t budget);

#endif
