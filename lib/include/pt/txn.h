/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on ranges: point operations on one entry, and the transaction object for ranges of any
 * size. */
#ifndef PT_TXN_H
#define PT_TXN_H

#include <pt/context.h>

/* clang-format off */
/*
 * What an item does to its range. Holes are fine for all of them, and counted. A block that the
 * range cuts is split first where its parts come to differ; its neighbours keep what they have.
 *
 *   MAP            leaves to consecutive output addresses (KVM: kvm_pgtable_stage2_map)
 *   UNMAP          leaves, tables and annotations go (kvm_pgtable_stage2_unmap)
 *   PROTECT        the rights become those of prot, added or taken; PROTECTED when one was taken,
 *                  else RELAXED
 *   WRITE_PROTECT  takes W away, and DBM with it (kvm_pgtable_stage2_wrprotect, which takes
 *                  neighbours in the same block along): PROTECTED, ALREADY_MAPPED or HOLE
 *   RELAX          adds the rights of prot and takes none (kvm_pgtable_stage2_relax_perms):
 *                  RELAXED, ALREADY_MAPPED or HOLE
 *   ANNOTATE       writes the invalid descriptor pa.v on each granule, for others to read: type in
 *                  63:60, neither 0 nor that of LOCKED, payload in 59:1, bit 0 clear. What was mapped is
 *                  unmapped; tables are made where there are none. ANNOTATED
 *                  (kvm_pgtable_stage2_annotate)
 *   FLUSH          cleans and invalidates the range's Normal memory to the point of coherency;
 *                  nothing to do with FWB (kvm_pgtable_stage2_flush). Tables stay as they are;
 *                  Effects.already counts the leaves. FLUSHED or HOLE
 *   SET_SW         the software bits become those of prot, on leaves; of lib/owner alone: see
 *                  pt_item_check_owner(). Hardware ignores them (Arm ARM D8.3.2), so the leaf changes in
 *                  place and nothing is invalidated, but for a block that the range cuts and for a
 *                  contiguous group. MAPPED, ALREADY_MAPPED or HOLE
 *   HOLD           claims the range and changes nothing there; of lib/owner alone, whose records of a
 *                  frame belong to who holds the claim on it. OK
 *   MAKE_YOUNG     sets the access flag, without a TLB invalidation, since no TLB holds an entry
 *                  without it (Arm ARM D8.4.6; kvm_pgtable_stage2_mkyoung). A block has one flag: it is set
 *                  for all of it, also by a range that cuts it. MADE_YOUNG, ALREADY_MAPPED or HOLE
 *
 * A part of a contiguous group that would come to differ: all of the group loses the hint first. A
 * group that an item covers as a whole keeps it, and is flushed whatever changes. MAKE_YOUNG sets
 * the flags of its own entries; the group's is their OR.
 */
/* clang-format on */
enum pt_item_kind {
	PT_ITEM_MAP = 1,
	PT_ITEM_UNMAP = 2,
	PT_ITEM_PROTECT = 3,
	PT_ITEM_WRITE_PROTECT = 4,
	PT_ITEM_RELAX = 5,
	PT_ITEM_ANNOTATE = 6,
	PT_ITEM_MAKE_YOUNG = 7,
	PT_ITEM_FLUSH = 8,
	PT_ITEM_SET_SW = 9,
	PT_ITEM_HOLD = 10,
};

/* A flag of an item: it is lib/owner's. Its software bits are those that PT_SW_OWNERSHIP has, not
 * the caller's. */
#define PT_ITEM_OWNER 0x80000000u

/* Where an annotation of lib/owner has a frame's number, which rises with the granules. */
#define PT_ITEM_RISE_SHIFT 20
#define PT_ITEM_RISE_BITS  40

/* One range. Caller's memory; `outcome` is written when the item is done. */
struct pt_item {
	struct pt_ctx *ctx;
	struct pt_ipa ipa;
	uint64_t size;	 /* bytes */
	struct pt_pa pa; /* MAP: of the first byte; ANNOTATE: the descriptor; else ignored */
	uint32_t prot; /* MAP: PT_PROT; PROTECT, RELAX: the new rights (memory type field must be 0,
			  it is kept); ANNOTATE with PT_ITEM_OWNER: how far the number at
			  PT_ITEM_RISE_SHIFT of the descriptor rises with each granule; else 0 */
	uint32_t flags; /* PT_MAP_* for MAP, else 0. lib adds PT_MAP_FORCE_PAGES where the
			   context's policy asks for it */
	uint32_t kind;	/* enum pt_item_kind */
	uint32_t outcome;
};

/* What was done, in the units of ptd.v1.Effects. Added to, never reset, by the functions below. */
struct pt_effects {
	uint64_t leaves_written; /* leaf descriptors made valid, or rewritten with other rights or
				    access flag */
	uint64_t leaves_removed; /* leaf descriptors made invalid */
	uint64_t already;	 /* leaves found as asked */
	uint64_t holes;		 /* granules where nothing was mapped, of all kinds but MAP */
	uint32_t blocks_split;
	uint32_t tables_added;
	uint32_t tables_freed;
	uint32_t tlbis;
	uint64_t annotated; /* granules that bear the annotation now */
};

/* Adds `more` to `sum`. Pure. */
static inline void pt_effects_add(struct pt_effects *sum, const struct pt_effects *more)
{
	sum->leaves_written += more->leaves_written;
	sum->leaves_removed += more->leaves_removed;
	sum->already += more->already;
	sum->holes += more->holes;
	sum->blocks_split += more->blocks_split;
	sum->tables_added += more->tables_added;
	sum->tables_freed += more->tables_freed;
	sum->tlbis += more->tlbis;
	sum->annotated += more->annotated;
}

/* Where and why. index: the item; level: the level reached by the walk, or PT_TTL_UNKNOWN if none
 * was made. */
struct pt_error {
	enum pt_outcome code;
	uint32_t index;
	struct pt_ipa ipa;
	int8_t level;
};

/*
 * Checks an item as every operation does first, without looking at tables: kind, flags, prot,
 * software bits (those that PT_SW_CALLER owns), annotation, range rules of design section "Range
 * rules", output range, identity. PT_OK or the error; nothing changed. Pure.
 */
enum pt_outcome pt_item_check(const struct pt_item *item);

/*
 * The same for items of lib/owner, and for no other caller (tests/layers/test_symbols.py): a MAP or
 * SET_SW with PT_ITEM_OWNER names software bits that PT_SW_OWNERSHIP has in the context, sets those
 * that it names and clears the others of them; the caller's bits stay as they are, or are 0 in a
 * new leaf. prot of SET_SW: software bits alone. PT_INVALID also for SET_SW and HOLD without the
 * flag, for the flag with a kind other than these, MAP and ANNOTATE, and where the context has no
 * such bits (MAP, SET_SW). PT_OUT_OF_RANGE: the number of an ANNOTATE would need more than
 * PT_ITEM_RISE_BITS. Not for pt_point() and pt_points().
 */
enum pt_outcome pt_item_check_owner(const struct pt_item *item);

/* clang-format off */
/*
 * Tries an item as a point operation: one entry, published by one compare-and-swap, beside
 * everything else. In a section. The item has passed pt_item_check(). Returns
 *   a named outcome   done; effects added, item->outcome written. A MAP of an invalid entry builds
 *                     the missing tables privately and links them by the same compare-and-swap
 *   PT_MORE           not a point operation (more than one entry, a block to split, a table in the
 *                     way): use a pt_txn
 *   PT_PARKED         the address is claimed: pt_waiter_park(), then again
 *   PT_RACED          lost to another agent, or the entry is LOCKED: again in a later section.
 *                     Hardware that sets an access flag or a dirty state meanwhile is no loss: the
 *                     operation is retried inside
 *   an error          nothing changed; code, ipa and level of *err filled (index is the caller's)
 *
 * What it took away has been flushed from every TLB when this returns (effects->tlbis rises), but
 * accesses of agents that were inside a section may still be in flight: with more than one agent on
 * the machine, reply only after pt_grace_done() (see pt_item_needs_grace()). The context's
 * generation is left alone: the caller counts once a request, not once an item.
 */
/* clang-format on */
enum pt_outcome pt_point(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects,
			 struct pt_error *err);

/*
 * Does items in order, as pt_point() each, while they are plain: pages to map where nothing stands,
 * or to unmap, under tables that are there, outside claims and dirty logs. Entries of later items
 * are on their way from memory while earlier ones are done, which takes a third of the time where
 * they are far apart. Returns how many are done, with effects added and outcomes written;
 * item[that many] and those behind it have not been carried out, and their outcomes say nothing:
 * pt_point() knows what the first of them comes to. In a section, which no table that is met
 * outlives; items may be of several contexts, which end a run where they differ in granule, and
 * name a page twice.
 */
uint32_t pt_points(struct pt_agent *agent, struct pt_item *item, uint32_t count,
		   struct pt_effects *effects);

#define PT_LEDGER_RANGES 16

/* Invalidations owed: (context, range) until discharged. Overflow widens the last range, and then
 * the VMID as a whole. */
struct pt_ledger {
	struct pt_ctx *ctx;
	uint32_t count;
	bool whole;  /* the VMID */
	bool tables; /* a table was unlinked: no level hint, not last-level */
	struct {
		uint64_t lo, hi; /* inclusive */
		int8_t level;
	} range[PT_LEDGER_RANGES];
};

void pt_ledger_init(struct pt_ledger *ledger, struct pt_ctx *ctx);
void pt_ledger_add(struct pt_ledger *ledger, uint64_t lo, uint64_t hi, int level, bool table);
/* Issues what is owed (range TLBIs, with level hints where one level is named); returns how many
 * TLBIs. */
uint32_t pt_ledger_discharge(struct pt_ledger *ledger);

enum pt_txn_phase {
	PT_TXN_CLAIM,
	PT_TXN_DRAIN,
	PT_TXN_PREPARE,
	PT_TXN_COMMIT,
	PT_TXN_FLUSH,
	PT_TXN_RETIRE,
	PT_TXN_DONE,
};

/*
 * A transaction over `count` items of one machine: claim, prepare, commit point, commit, flush,
 * release. Fields are private to lib; the size is public so that the caller can place it.
 */
struct pt_txn {
	struct pt_agent *agent; /* set by each step */
	struct pt_item *item;
	uint32_t count, at;
	enum pt_txn_phase phase;
	bool committed, validate_only, teardown;
	bool holds;   /* the claim stays whole until it is released */
	bool owners;  /* lib/owner's own: the rules of owners are not asked */
	bool wide;    /* the claim is rounded out to the largest blocks that there may be */
	bool flushed; /* something was invalidated: accesses in flight must end before the reply */
	bool met_rights; /* this item met leaves that differ in rights only, and left them */
	bool tightened;	 /* this item took rights away */
	uint64_t cursor; /* next IPA of item[at] */
	uint64_t asked;	 /* what the owners of frames were asked about lies below */
	struct pt_claim claim;
	struct pt_pages reserved;
	uint64_t need;		     /* pages counted so far */
	uint64_t replaced_end;	     /* validate_only: of the block whose table is being counted, */
	int8_t replaced_level;	     /* and its level */
	uint64_t counted[PT_LEVELS]; /* per level, 1 + the last span counted: items that share a
					table count it once */
	struct pt_pages unlinked;    /* table pages to retire after flush */
	uint64_t unlinked_tables[8]; /* unlinked subtrees still to be taken apart: see
					lib/txn/apart.c */
	uint32_t unlinked_count;
	struct pt_effects before; /* when the item began */
	struct pt_item whole;	  /* teardown's own item */
	struct pt_effects effects;
	struct pt_error error;
	uint64_t expected_generation, generation;
	bool quiet; /* set by the caller after init, without an expected generation: the generation
		       stays; the caller counts the change itself, once for several transactions */
	const struct pt_slots
		*publish; /* set by the caller after init: the slot table of the commit point */
	const struct pt_slots
		*replaced; /* then: the one it replaced, to be freed after a grace period */
	void (*wake)(struct pt_waiter *);
	/* Large, and written before they are read. */
	struct pt_ledger ledger;
	struct pt_shadow_search taken; /* what shadows still have of what the commit took */
	struct pt_grace grace;
};

/*
 * Prepares a transaction. Items belong to the caller until the end, are all of one context (of
 * several: <pt/parties.h>), have passed pt_item_check(), and are in ascending order of ipa without
 * overlap (else PT_INVALID, err.index = the second of the two). expected_generation: 0, or what the
 * context's generation must be at the commit point (PT_GENERATION_MISMATCH). validate_only:
 * prepare, then give all back; outcomes and effects are those that a commit would have had (but for
 * tlbis, which are counted as they are issued).
 */
enum pt_outcome pt_txn_init(struct pt_txn *txn, struct pt_item *items, uint32_t count,
			    uint64_t expected_generation, bool validate_only,
			    void (*wake)(struct pt_waiter *));

/*
 * Runs until the end or for about `budget` descriptor visits. In a section that pt_section_end()
 * ends before the next call. PT_MORE: call again in another section. PT_PARKED: call again after
 * wake. PT_OK: done; effects, outcomes and generation are final, every stale translation is gone,
 * no access that used one is in flight. An error: nothing changed, everything given back,
 * txn->error filled, effects zero.
 */
enum pt_outcome pt_txn_step(struct pt_txn *txn, struct pt_agent *agent, uint32_t budget);

/* May the reply to a point unmap leave at once, or must pt_grace_done() be waited for first? */
bool pt_item_needs_grace(const struct pt_machine *machine, const struct pt_agent *self);

/* Gives up before the commit point: true, all given back (again steps are not allowed). False:
 * committed, or a teardown, which cannot be given up: keep stepping. After PT_PARKED the claim may
 * have been granted meanwhile; then wake is still to come, and the transaction's memory stays until
 * it has. */
bool pt_txn_abort(struct pt_txn *txn, struct pt_agent *agent);

static inline bool pt_txn_committed(const struct pt_txn *txn)
{
	return txn->committed;
}

#endif
