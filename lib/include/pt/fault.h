/* SPDX-License-Identifier: BSD-2-Clause */
/* The stage-2 fault handler over memslots. */
#ifndef PT_FAULT_H
#define PT_FAULT_H

#include <pt/context.h>

enum pt_fault_type { PT_FAULT_TRANSLATION, PT_FAULT_ACCESS_FLAG, PT_FAULT_PERMISSION };

struct pt_fault {
	struct pt_ipa ipa; /* any byte of the page */
	uint32_t vcpu;	   /* whose TLB holds the entry that faulted */
	uint8_t access;	   /* enum pt_access: read, write or exec */
	uint8_t type;	   /* enum pt_fault_type */
	int8_t level;	   /* as reported by the walk */
	bool s1ptw;	   /* on a stage-1 table walk: a write is the walker's AF or dirty update */
	uint8_t exec; /* of a fetch: PT_PROT_PX or PT_PROT_UX, whose right it needs; 0: it is not
			 known, and both do */
};

/* A range operation that would help and that a fault, which changes one entry, cannot do. */
enum pt_fault_todo_kind {
	PT_TODO_NONE,
	PT_TODO_RELAX,	 /* with PT_DENIED: the page is in a contiguous group, which lacks the right
			    as a whole: PT_ITEM_RELAX with `prot` over the range (the group, or its
			    part in the slot), then the access again */
	PT_TODO_RECLAIM, /* with PT_WRONG_OWNER: a guest has the page for itself. Where the host may
			    take it by force: PT_FORCE_RECLAIM over the range, rounded out to the
			    unit, then the access again; else, and if that is refused, the abort is
			    the host's */
	PT_TODO_COLLAPSE, /* the table around the page could be a block again, as it can once
			     logging has stopped: PT_UPKEEP_COLLAPSE over the range */
};

struct pt_fault_todo {
	uint32_t kind;
	struct pt_ipa ipa;
	uint64_t size;
	uint32_t prot; /* RELAX: the rights that the slot gives for this access */
};

struct pt_fault_result {
	int8_t level;	 /* of the leaf that now maps ipa, or the level the walk reached */
	uint32_t prot;	 /* of that leaf */
	struct pt_pa pa; /* of the byte at ipa, if mapped */
	uint32_t tables_added;
	struct pt_fault_todo todo; /* a hint: the fault is done without */
};

/* clang-format off */
/*
 * Handles one stage-2 fault of a context, in a section, without a lock. Returns
 *   PT_MAPPED           this call installed the leaf: the largest block that slot, alignment and
 *                       backing page allow, in a machine with owners also the extents of the
 *                       frames' owners and the ends of its regions (docs/ownership.md)
 *   PT_ALREADY_MAPPED   the leaf was there and grants the access, by whatever slot or mapping; the
 *                       faulting vCPU's own TLB entry is invalidated
 *   PT_RELAXED          the missing right was added in place, without break-before-make; local
 *                       invalidation done. A block that reaches out of the slot, or that a write
 *                       meets in a dirty log, is split first, so that no neighbour gets the right
 *   PT_MADE_YOUNG       the access flag was set
 *   PT_RACED            lost a race, met an entry between break and make, or a block that reaches
 *                       into a claim: re-enter the guest
 *   PT_PARKED           the page is claimed: pt_waiter_park(), then again
 *   PT_NO_SLOT, PT_READ_ONLY, PT_DENIED
 *                       the VMM's business (KVM: an MMIO exit or an injected abort); DENIED also
 *                       for a leaf that maps other memory than the slot's, and for one of a
 *                       contiguous group, which no fault can change alone
 *   PT_ABSENT           the slot's memory lacks its content there (pt_ctx_set_present())
 *   PT_WRONG_OWNER      an annotated entry; in a machine with owners also a frame of tables, and
 *                       any empty entry of a guest, which has what it was given and no more: to be
 *                       injected as an abort
 *   PT_OUT_OF_RANGE     ipa beyond the context's IPA size
 *   PT_NO_MEMORY, PT_QUOTA
 *                       no page for a table; nothing changed
 *   PT_WRONG_STATE      the context is being torn down
 *
 * A fault never narrows a mapping: a late fault with fewer rights finds PT_ALREADY_MAPPED. Rights:
 * R always; W when the slot is writable (if it logs dirty pages: when this is a write); X added by
 * an instruction fetch unless the slot says PT_SLOT_NO_EXEC. (KVM: user_mem_abort,
 * kvm_pgtable_stage2_relax_perms, handle_access_fault.)
 */
/* clang-format on */
enum pt_outcome pt_fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				const struct pt_fault *fault, struct pt_fault_result *result);

/*
 * For a port whose faults are the CPU's own: a translation fault by a read or write, outside a
 * section, which lasts as long as the call. True: PT_MAPPED, as pt_fault_handle() would, of a page
 * that is plain as for pt_faults() and whose entry was empty. False: nothing was changed, and
 * pt_fault_handle() knows what it is; an agent that has not met the machine is such a case.
 * Retires no page.
 */
bool pt_fault_fill(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_ipa ipa);

/* What came of a fault on a page that was plain: the leaf is of level 3, no table was added and
 * nothing is left to do. */
struct pt_fault_page {
	uint32_t outcome; /* enum pt_outcome: MAPPED, ALREADY_MAPPED, RELAXED, MADE_YOUNG */
	uint32_t prot;	  /* of the leaf */
	struct pt_pa pa;  /* of the byte at ipa */
};

/*
 * Handles faults of one context in order, as pt_fault_handle() each, while they are plain: reads
 * and writes of pages that writable slots without logging map page by page, under tables that are
 * there, outside claims and dirty logs, in entries that are empty or hold that page. Entries of
 * later pages are on their way from memory while earlier ones are handled, which takes two thirds
 * of the time where they are far apart. Returns how many are done; fault[that many] has not been
 * begun: pt_fault_handle() knows what it comes to. What page[] holds from there on means nothing.
 * In a section, which no table that is met outlives; faults may name a page twice.
 */
uint32_t pt_faults(struct pt_agent *agent, struct pt_ctx *ctx, const struct pt_fault *fault,
		   uint32_t count, struct pt_fault_page *page);

#endif
