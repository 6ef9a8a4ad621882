/* SPDX-License-Identifier: BSD-2-Clause */
/* The stage-2 walk of a guest hypervisor: tables in guest memory, which nobody trusts. */
#ifndef PT_GUEST_WALK_H
#define PT_GUEST_WALK_H

#include <pt/desc.h>

/*
 * Guest memory in words of 64 bits at IPAs of the canonical context. Each access is single-copy
 * atomic, in the byte order of the host; `ipa` is 8-byte aligned. Called in the walker's section;
 * may not call lib's operations.
 */
struct pt_guest_memory {
	/* PT_OK; PT_NO_SLOT: no memory that the guest may read (outside, MMIO, another owner's). */
	enum pt_outcome (*load)(void *arg, struct pt_ipa ipa, uint64_t *word);
	/*
	 * Compare-and-swap of *word to `to`; a page that it changes is dirty in the logs. PT_OK;
	 * PT_RACED: *word is what stands there; PT_READ_ONLY; PT_NO_SLOT.
	 */
	enum pt_outcome (*swap)(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to);
	void *arg;
};

/* What the guest hypervisor wrote to its registers, and what its CPU has. */
struct pt_guest_regs {
	uint64_t vttbr, vtcr, hcr, sctlr; /* of virtual EL2 */
	unsigned pa_bits;		  /* output and IPA sizes that the guest was told of */
	unsigned attrs;			  /* PT_ATTR_FWB, PT_ATTR_XNX that the guest was told of */
};

/* The same, decoded once. Read-only afterwards; any agent. */
struct pt_guest_s2 {
	struct pt_geometry geo; /* of the guest's tables; not filled where `broken` */
	struct pt_ipa base;	/* of the start tables */
	uint16_t vmid;
	bool broken;	 /* sizes or levels that the architecture refuses: each walk is a fault */
	bool big_endian; /* SCTLR_EL2.EE */
	bool base_out;	 /* the base leaves the output size: each walk is a fault */
	uint8_t flags;	 /* PT_VTCR_HA, PT_VTCR_HD */
	unsigned attrs;	 /* PT_ATTR_FWB (HCR_EL2.FWB and told of), PT_ATTR_XNX */
	unsigned pa_bits;
};

/*
 * PT_OK, also for what only faults (`broken`); PT_UNSUPPORTED: VTCR_EL2 asks for S2PIE, S2POE or
 * D128; *s2 untouched then. Pure.
 */
enum pt_outcome pt_guest_s2_decode(struct pt_guest_s2 *s2, const struct pt_guest_regs *regs);

/* A leaf of the guest's tables. */
struct pt_guest_leaf {
	struct pt_ipa out; /* canonical IPA of the byte asked for */
	pt_pte entry;	 /* the descriptor, in the host's byte order, as it stands after updates */
	uint32_t prot;	 /* rights and memory type, as PT_PROT_*; W where DBM gives it */
	uint8_t memattr; /* MemAttr[3:0] and, */
	uint8_t sh;	 /* SH[1:0], for whoever combines attributes */
	int8_t level;
	uint8_t shift;	     /* log2 of the span of an entry at that level */
	uint8_t group_shift; /* the same of the contiguous group, where the hint is set; else shift
			      */
	bool dirtied;	     /* this walk has set AF or the dirty state */
};

/* The fault that the guest hypervisor takes. */
struct pt_guest_fault {
	uint8_t fsc;	     /* IFSC or DFSC of ESR_EL2, level and class (Arm ARM D24.2.40) */
	int8_t level;	     /* of the lookup that faulted */
	struct pt_ipa table; /* canonical IPA of the descriptor that could not be read or written */
};

/*
 * Walks for one access (PT_ACCESS_*; of EL0 where `el0`, which matters to execution with XNX).
 * Order as in the Arm ARM, D8.2 and D8.13: address size of the base, translation, address size of
 * the output, access flag, permission; HA and HD set the flag or the dirty state by
 * compare-and-swap where the access is allowed. PT_OK: *leaf. PT_DENIED: *fault, and *leaf where
 * the fault is one of permission. PT_RACED: the descriptor changed under its update; again. Bounded
 * by five levels, whatever the tables say. In a section.
 */
enum pt_outcome pt_guest_walk(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			      struct pt_ipa ipa, enum pt_access access, bool el0,
			      struct pt_guest_leaf *leaf, struct pt_guest_fault *fault);

/* A step of a walk, for people: as pt_guest_walk() would go now, without updates. */
struct pt_guest_step {
	struct pt_ipa at; /* canonical IPA of the descriptor */
	pt_pte entry;
	int8_t level;
};

/* Every step, first to last; returns how many (0 to PT_LEVELS), and what the walk comes to in
 * *outcome, *leaf and *fault. In a section. */
unsigned pt_guest_explain(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			  struct pt_ipa ipa, enum pt_access access, bool el0,
			  struct pt_guest_step step[PT_LEVELS], enum pt_outcome *outcome,
			  struct pt_guest_leaf *leaf, struct pt_guest_fault *fault);

#endif
