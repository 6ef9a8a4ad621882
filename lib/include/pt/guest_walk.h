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

/*
 * What the guest hypervisor wrote to its registers, and what its CPU has. pa_bits is the CPU's PA
 * size (ID_AA64MMFR0_EL1.PARange), against which sizes and start levels are checked; 32, 36, 40,
 * 42, 44, 48 or 52. The CPU has all granules, FEAT_LPA and FEAT_LPA2, FEAT_HAFDBS, FEAT_TTST.
 */
struct pt_guest_regs {
	uint64_t vttbr, vtcr, hcr, sctlr; /* of virtual EL2 */
	unsigned pa_bits;
	unsigned attrs; /* PT_ATTR_FWB, PT_ATTR_XNX that the guest was told of */
};

/* The same, decoded once. Read-only afterwards; any agent. */
struct pt_guest_s2 {
	struct pt_geometry geo; /* of the guest's tables; not filled where `broken` */
	struct pt_ipa base;	/* of the start tables */
	uint16_t vmid;
	bool broken;	  /* sizes or levels that the architecture refuses: each walk is a fault */
	bool big_endian;  /* SCTLR_EL2.EE */
	bool base_out;	  /* the base leaves the output size: each walk is a fault */
	uint8_t flags;	  /* PT_VTCR_HA; PT_VTCR_HD, where HA is set, too */
	uint8_t sh0;	  /* VTCR_EL2.SH0: the shareability of leaves that have none, with DS */
	unsigned attrs;	  /* PT_ATTR_FWB (HCR_EL2.FWB and told of), PT_ATTR_XNX */
	unsigned pa_bits; /* the output size: VTCR_EL2.PS, at most what the format can say */
};

/*
 * Decodes what stage 2 is made of; whether it is on (HCR_EL2.VM) is not asked. PT_OK, also for what
 * only faults (`broken`); PT_UNSUPPORTED: VTCR_EL2 asks for S2PIE, S2POE or D128, or for an IPA
 * size from 16 to 31 bits, which no context has; PT_INVALID: pa_bits. *s2 untouched but with PT_OK.
 * Pure.
 *
 * Where the architecture leaves a choice: TG0 0b11 is 64K (as KVM has it), PS 0b111 is 52 bits, DS
 * with 64K and SL2 without DS are ignored. The base is aligned down to the size of the start
 * tables. Sources: Arm ARM, VTCR_EL2 and VTTBR_EL2; pseudocode AArch64.S2InvalidSL,
 * S2InconsistentSL, S2TTBaseAddress, PhysicalAddressSize.
 */
enum pt_outcome pt_guest_s2_decode(struct pt_guest_s2 *s2, const struct pt_guest_regs *regs);

/* A leaf of the guest's tables. */
struct pt_guest_leaf {
	struct pt_ipa out; /* canonical IPA of the byte asked for */
	pt_pte entry;	 /* the descriptor, in the host's byte order, as it stands after updates */
	uint32_t prot;	 /* rights and memory type, as PT_PROT_*; W as S2AP[1] of `entry` has it: a
			    leaf that DBM makes writable, and that is clean, has none before the
			    write that makes it dirty */
	uint8_t memattr; /* MemAttr[3:0] and, */
	uint8_t sh;	 /* SH[1:0] (with DS, VTCR_EL2.SH0), for whoever combines attributes */
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
	struct pt_ipa table; /* canonical IPA of the descriptor that the walk ended at; 0: none */
};

/*
 * Walks for one access (PT_ACCESS_*; of EL0 where `el0`, which matters to execution with XNX).
 * Order as in the Arm ARM, D8.2 and D8.13: address size of the base, translation, address size of
 * the output, access flag, permission; HA and HD set the flag or the dirty state by
 * compare-and-swap where the access is allowed, but not for PT_ACCESS_AT, which changes nothing.
 * PT_OK: *leaf. PT_DENIED: *fault, and *leaf where the fault is one of permission. PT_RACED: the
 * descriptor changed under its update; again. Bounded by five levels, whatever the tables say: five
 * loads and one swap. In a section.
 *
 *   translation          an entry that is invalid or reserved; sizes or start level that are
 *                        refused, an IPA beyond them: level 0
 *   address size         of a table or leaf beyond VTCR_EL2.PS; of the base: level 0
 *   access flag          clear, without HA
 *   permission           the rights; with HD, DBM allows a write
 *   external abort       on the walk, at its level: `table` cannot be read, or is gone when it is
 *                        to be updated
 *   unsupported atomic   hardware update (no level): `table` is in memory that the guest may only
 *                        read
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

/* Every step, first to last, as the entries stand; returns how many (0 to PT_LEVELS), and what the
 * walk comes to in *outcome, *leaf and *fault, with the update that it would make. Does not see
 * that an update will be refused. In a section. */
unsigned pt_guest_explain(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			  struct pt_ipa ipa, enum pt_access access, bool el0,
			  struct pt_guest_step step[PT_LEVELS], enum pt_outcome *outcome,
			  struct pt_guest_leaf *leaf, struct pt_guest_fault *fault);

#endif
