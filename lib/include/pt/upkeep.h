/* SPDX-License-Identifier: BSD-2-Clause */
/* Upkeep of a tree whose translations stay as they are: age, split, collapse, sweep. */
#ifndef PT_UPKEEP_H
#define PT_UPKEEP_H

#include <pt/txn.h>

/* clang-format off */
/*
 * AGE       counts granules under leaves whose access flag is set; with `clear`, clears the flags and
 *           flushes, so that the next access sets them again (KVM: kvm_pgtable_stage2_test_clear_young)
 * SPLIT     replaces every block above `level` that reaches into the range by a table of the same
 *           mappings: output, rights, memory type, AF, DBM and software bits stay (B13). Only
 *           blocks that the range meets, at each level: neighbours keep their size
 *           (KVM: kvm_pgtable_stage2_split)
 * COLLAPSE  replaces each table that lies in the range as a whole, and whose entries are all leaves of
 *           equal attributes with consecutive outputs aligned to the block, by that block; from the bottom up.
 *           AF is the OR of the leaves; leaves that a dirty log left writable but clean, and such as were
 *           written, count as equal. Where memslots lie, only inside one of them and up to its backing
 *           page, not where the context forces pages, and nowhere while dirty pages are logged
 * SWEEP     frees each table that lies in the range as a whole and has no entry but zeroes; from the bottom up
 */
/* clang-format on */
enum pt_upkeep_kind {
	PT_UPKEEP_AGE = 1,
	PT_UPKEEP_SPLIT,
	PT_UPKEEP_COLLAPSE,
	PT_UPKEEP_SWEEP,
};

/* What a kind does not use has to be zero. */
struct pt_upkeep_args {
	struct pt_ctx *ctx;
	uint32_t kind;
	struct pt_ipa ipa;
	uint64_t size;	 /* bytes */
	bool clear;	 /* AGE: test and clear; else test alone, which takes no claim */
	uint8_t *bitmap; /* AGE: a bit a granule of the range, lowest first, zeroed by the caller,
			    whose it stays; or NULL */
	int8_t level;	 /* SPLIT: down to leaves of this level */
	uint64_t page_budget; /* SPLIT: table pages that it may take; 0: no limit */
};

#define PT_RESIZE_BATCH 16 /* blocks that change size with one flush */

/* A table that is to become a block, or to go. Private to lib. */
struct pt_upkeep_fold {
	pt_pte *slot;
	pt_pte table, block;
	uint64_t base;
	int level;  /* of *slot */
	bool equal; /* the block's rights and dirty state are those of each leaf */
};

enum pt_upkeep_phase {
	PT_UPKEEP_CLAIM,
	PT_UPKEEP_DRAIN,
	PT_UPKEEP_WORK,
	PT_UPKEEP_RETIRE,
	PT_UPKEEP_DONE,
};

/*
 * One upkeep operation. *Progressive*: each step leaves the tree valid, translating as before and
 * flushed, and gives up the claim on what it has passed. The fields below the line may be read
 * after each step; the others are private to lib.
 */
struct pt_upkeep {
	struct pt_upkeep_args args;
	struct pt_agent *agent; /* set by each step */
	uint64_t last;		/* inclusive end */
	enum pt_upkeep_phase phase;
	bool wide, flushed;
	uint64_t pages; /* table pages taken */
	struct pt_claim claim;
	struct pt_grace grace;
	struct pt_ledger ledger;
	struct pt_pages unlinked;
	uint64_t dead[PT_LEVELS]; /* index level + 1: 1 + the last span known not to fold */
	struct pt_upkeep_fold fold[PT_RESIZE_BATCH]; /* empty between steps */
	uint32_t folds;
	bool looking; /* the table that ends at `next` comes before what begins there, */
	int8_t look;  /* this is the level of the entry that links it */
	enum pt_outcome result;
	void (*wake)(struct pt_waiter *);
	/* ---- */
	uint64_t next; /* everything in the range below this IPA is done; the range's end: all */
	uint64_t young, old;  /* AGE: granules of the range */
	uint64_t blocks_made; /* COLLAPSE */
	struct pt_effects
		effects; /* leaves_written: with AGE those whose flag was cleared;
			    already: with AGE and `clear` those that were old; holes: AGE */
	enum pt_outcome
		stopped; /* why `next` is short of the end: NO_MEMORY, QUOTA, MORE (page
			    budget spent), WRONG_STATE (teardown began), CANCELLED, with AGE what
			    struct pt_owner_rules says of MAKE_YOUNG at `next`; else OK */
};

/*
 * Prepares an operation; nothing is touched yet. PT_OK; PT_INVALID for an unknown kind, an argument
 * that the kind does not use, or a level without leaves; PT_INVALID, PT_MISALIGNED, PT_OUT_OF_RANGE
 * for the range as pt_geometry_check_range(). `wake` is called as a transaction's: after PT_PARKED,
 * once, in the releasing agent's section. No locks; any context.
 */
enum pt_outcome pt_upkeep_init(struct pt_upkeep *upkeep, const struct pt_upkeep_args *args,
			       void (*wake)(struct pt_waiter *));

/*
 * Runs until the end or for about `budget` descriptor visits (at least one entry; a split or a fold
 * writes or reads a whole table for each block). In a section that pt_section_end() ends before the
 * next call. PT_MORE: call again in another section. PT_PARKED: call again after wake. PT_OK: it is
 * over, `stopped` and `next` say how far it came; every translation of another size or with a
 * cleared access flag is gone from the TLBs, and no access that used one is in flight.
 * PT_NO_MEMORY, PT_QUOTA, PT_WRONG_STATE, and others that `stopped` may say: the same, and nothing
 * was changed at all. The context's generation stays: no translation changes.
 */
enum pt_outcome pt_upkeep_step(struct pt_upkeep *upkeep, struct pt_agent *agent, uint32_t budget);

/*
 * Gives up; what was done stays. True: over at once, steps are not allowed any more. False:
 * accesses in flight may still use what was flushed, or it was over: step until PT_OK. After
 * PT_PARKED the claim may have been granted meanwhile; then wake is still to come, and the memory
 * stays until it has.
 */
bool pt_upkeep_stop(struct pt_upkeep *upkeep, struct pt_agent *agent);

/* A search for needless tables: the caller sets the first three and keeps the object between calls.
 */
struct pt_upkeep_find {
	struct pt_ctx *ctx;
	uint64_t at, last; /* where to look on; inclusive end */
	uint32_t kind;	   /* found: what to run, PT_UPKEEP_COLLAPSE or PT_UPKEEP_SWEEP; else 0 */
	struct pt_ipa ipa; /* found: the range of it, */
	uint64_t size;	   /* tables side by side together */
};

/*
 * For idle moments: looks for the next tables that an operation of that kind would remove, at about
 * `budget` descriptors. Reads alone, without a claim, in a section. PT_OK: found (a hint: it may
 * change before the operation's claim). PT_MORE: call again, in the same or another section.
 * PT_HOLE: nothing up to the end. PT_OUT_OF_RANGE: `last` is beyond the space. PT_WRONG_STATE: the
 * context is being torn down, its tables may be gone. A table of tables is found only when those
 * below it have gone, by another search.
 */
enum pt_outcome pt_upkeep_find(struct pt_upkeep_find *find, uint32_t budget);

#endif
