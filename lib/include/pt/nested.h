/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows of a canonical context: found by the guest hypervisor's registers, filled by combining
 * two walks, invalidated exactly. See docs/nested.md. */
#ifndef PT_NESTED_H
#define PT_NESTED_H

#include <pt/fault.h>
#include <pt/guest_walk.h>
#include <pt/sparse.h>
#include <pt/txn.h>

struct pt_shadow;

/*
 * What finds a shadow: VTTBR_EL2 without CnP, VTCR_EL2, whether stage 2 is on (HCR_EL2.VM), and
 * what else its tables are read by: FWB, where the guest was told of it, and SCTLR_EL2.EE. A shadow
 * with stage 2 off maps IPAs to themselves; of its key only the VMID counts. (KVM: lookup_s2_mmu,
 * whose guests have no FWB.)
 */
struct pt_shadow_key {
	uint64_t vttbr, vtcr;
	bool enabled, fwb, big_endian;
};

/* The key of these registers. Pure. */
struct pt_shadow_key pt_shadow_key_of(const struct pt_guest_regs *regs);

/* Leaves are linked by size: pages below 2 MiB, blocks below 1 GiB, larger ones. */
enum { PT_SHADOW_CLASSES = 3 };

/* Links of one canonical page beyond which it is inexact. */
#define PT_SHADOW_LINKS 64

/* Counts of events since the beginning; anyone may read them. */
struct pt_nested_counts {
	_Atomic uint64_t refills;	/* fills that lost a race */
	_Atomic uint64_t killed;	/* leaves removed for a canonical change */
	_Atomic uint64_t claims_killed; /* fills that a canonical change called off */
	_Atomic uint64_t invalidated;	/* leaves removed by guest TLBIs */
	_Atomic uint64_t inexact;	/* pages that had more than PT_SHADOW_LINKS links */
	_Atomic uint64_t over;		/* leaves removed only because a page was inexact */
	_Atomic uint64_t recycled;
};

#define PT_SHADOW_STRIPES 64

/* Of 16 MiB of memory, around the first page that was asked for: links to the links of a shadow's
 * leaves of a page, and to the heads of their lists, which need no tree. */
#define PT_NEAR_LINKS 16
#define PT_NEAR_HEADS 8

/* Lists of canonical pages change under its lock. */
struct pt_shadow_stripe {
	struct pt_port_lock lock; /* class PT_LOCK_LEAF */
	_Atomic uint64_t entered; /* links; changed under the lock */
	_Atomic uint64_t nowhere; /* of these, such as are in no list */
};

/* All shadows of one canonical context. Caller's memory; outlives the context. */
struct pt_nested {
	struct pt_ctx *canonical;
	struct pt_guest_memory memory;
	struct pt_store store;			   /* of heads, links and directories */
	struct pt_sparse heads[PT_SHADOW_CLASSES]; /* lists of links by canonical IPA */
	_Atomic uint64_t near_heads[PT_NEAR_HEADS];
	_Atomic uint64_t shifts; /* bit n: there have been leaves of 2^n bytes */
	struct pt_shadow_stripe stripe[PT_SHADOW_STRIPES]; /* by canonical page */
	struct pt_port_lock lock;			   /* of the chains below, for changes */
	_Atomic(struct pt_shadow *) *bucket;		   /* chains of live shadows by VMID */
	uint32_t buckets;				   /* a power of two */
	_Atomic(struct pt_shadow *) *shadow;		   /* by number; NULL: none */
	uint32_t shadows;				   /* how many there may be: below 2^20 */
	_Atomic uint32_t live;
	_Atomic uint64_t clock; /* counts entries, for least-recently-used */
	struct pt_nested_counts counts;
};

enum pt_shadow_state {
	PT_SHADOW_NONE,	 /* zeroed memory */
	PT_SHADOW_LIVE,	 /* found by its key */
	PT_SHADOW_GOING, /* not found any more; its leaves are being removed */
};

/* One shadow. Caller's memory, zeroed before pt_shadow_init(). */
struct pt_shadow {
	struct pt_ctx ctx; /* the tree: nested IPA to PA */
	struct pt_nested *nested;
	_Atomic(struct pt_shadow *) next; /* of the bucket's chain */
	struct pt_shadow_key key;
	struct pt_guest_s2 s2;
	uint32_t number; /* in nested->shadow */
	_Atomic uint32_t state;
	_Atomic uint32_t users;		/* vCPUs that run it */
	_Atomic uint64_t last_used;	/* of nested->clock */
	_Atomic uint64_t invalidations; /* raised by each guest TLBI before it removes */
	_Atomic uint64_t
		leaves[PT_LEVELS]; /* by guest level + 1, with fills on their way; anyone */
	struct pt_sparse directory[PT_SHADOW_CLASSES]; /* a link of 16 bytes for each leaf */
	_Atomic uint64_t near_links[PT_NEAR_LINKS];
};

/*
 * Makes `canonical`, a context that nobody uses yet, one that can have shadows. bucket (buckets of
 * them, a power of two) and shadow (shadows of them) are zeroed arrays of the caller's, which
 * outlive *nested. quota_pages: for links and directories together. PT_OK; PT_INVALID: sizes;
 * PT_UNSUPPORTED: the pool is larger than 32 GiB, beyond which a link's name does not reach.
 * Single-threaded.
 */
enum pt_outcome pt_nested_init(struct pt_nested *nested, struct pt_ctx *canonical,
			       const struct pt_guest_memory *memory,
			       _Atomic(struct pt_shadow *) *bucket, uint32_t buckets,
			       _Atomic(struct pt_shadow *) *shadow, uint32_t shadows,
			       uint64_t quota_pages, uint64_t scope);

/* Its pages back, in steps: it has no shadow, and nobody uses it or its canonical context any more.
 * PT_OK; PT_MORE: again. */
enum pt_outcome pt_nested_close(struct pt_nested *nested, struct pt_agent *agent, uint32_t budget);

/* Leaves made since the beginning; while fills are on their way, with some of these. Anyone. */
uint64_t pt_nested_fills(const struct pt_nested *nested);

/* The live shadow of these registers, or PT_NOT_FOUND. In a section; any agent, no lock. */
enum pt_outcome pt_shadow_find(struct pt_nested *nested, const struct pt_shadow_key *key,
			       struct pt_shadow **shadow);

/*
 * Makes a shadow and lets it be found. Its granule is the smaller of the guest's and the host's,
 * its IPA size the guest's. PT_OK; PT_ALREADY_EXISTS: there is one, *shadow was not used;
 * PT_QUOTA: `shadows` are live or going: recycle one first; PT_UNSUPPORTED as pt_guest_s2_decode(),
 * attributes that the canonical context has not, or a size that no context has; PT_INVALID:
 * regs->pa_bits; PT_NO_MEMORY. key: pt_shadow_key_of(regs), or whoever finds it has other
 * registers. Nothing changed but with PT_OK. In a section.
 */
enum pt_outcome pt_shadow_init(struct pt_shadow *shadow, struct pt_nested *nested,
			       struct pt_agent *agent, const struct pt_shadow_key *key,
			       const struct pt_guest_regs *regs, uint64_t quota_pages);

/* A vCPU runs it from now on, or no longer. In a section. PT_OK; pt_shadow_use(): PT_NOT_FOUND
 * where it is going: look it up again. */
enum pt_outcome pt_shadow_use(struct pt_shadow *shadow);
void pt_shadow_unuse(struct pt_shadow *shadow);

/* The live shadow that no vCPU runs and that was not used for longest, or NULL. A hint. In a
 * section. */
struct pt_shadow *pt_shadow_oldest(struct pt_nested *nested);

/*
 * Takes a shadow down in bounded steps: it is not found any more, its leaves and links go, then its
 * tables and its VMID. begin: PT_OK; PT_BUSY: a vCPU runs it; PT_NOT_FOUND: it is going already.
 * step: PT_MORE; PT_PARKED; PT_OK: the shadow's memory is the caller's again, after the grace
 * period that lookups need. Cannot be given up. (KVM unmaps before reuse: pending_unmap.)
 */
struct pt_shadow_end {
	struct pt_shadow *shadow;
	uint8_t phase;
	bool waits;
	uint64_t at;
	struct pt_grace grace;
	struct pt_txn txn;
	void (*wake)(struct pt_waiter *);
};

enum pt_outcome pt_shadow_end_begin(struct pt_shadow_end *end, struct pt_shadow *shadow,
				    void (*wake)(struct pt_waiter *));
enum pt_outcome pt_shadow_end_step(struct pt_shadow_end *end, struct pt_agent *agent,
				   uint32_t budget);

/* One access of a nested guest that its shadow did not grant. */
struct pt_nested_fault {
	struct pt_ipa ipa; /* nested, any byte */
	uint32_t vcpu;
	uint8_t access; /* enum pt_access */
	uint8_t type;	/* enum pt_fault_type, as reported */
	int8_t level;	/* as reported */
	bool el0;	/* made at EL0 */
	bool s1ptw;	/* on a stage-1 table walk */
};

/* Who has to do something about it. */
enum pt_nested_who {
	PT_NESTED_NOBODY, /* resolved: the guest enters again */
	PT_NESTED_GUEST,  /* the guest hypervisor takes an abort: `fault` */
	PT_NESTED_HOST, /* the host's exit, at the canonical IPA: `outcome` of pt_fault_handle() */
};

struct pt_nested_result {
	enum pt_nested_who who;
	struct pt_guest_leaf leaf;   /* of the guest's walk, where it got so far */
	struct pt_guest_fault fault; /* GUEST */
	struct pt_ipa canonical;     /* of the byte, once the guest's walk has said */
	struct pt_fault_result host; /* of the canonical fault, where one was handled */
	struct pt_ctx *parked;	     /* PT_PARKED: whose claim; the page is that of `canonical` */
	uint32_t tables_added;	     /* in the shadow and, for `host`, in the canonical context */
	int8_t level;		     /* of the shadow's leaf */
	uint32_t prot;
	struct pt_pa pa; /* of the byte */
};

/* clang-format off */
/*
 * Handles one fault of a shadow, in a section, without a lock and without waiting.
 *   PT_MAPPED, PT_RELAXED, PT_MADE_YOUNG, PT_ALREADY_MAPPED
 *                       NOBODY: a leaf grants the access now; what was stale in the vCPU's TLB is gone.
 *                       RELAXED: a leaf that granted less made room, flushed, for one with more
 *   PT_DENIED           GUEST: an abort for the guest hypervisor, level and class as its tables say. A
 *                       permission fault is told from the guest's tables alone
 *   PT_NO_SLOT, PT_READ_ONLY, PT_DENIED, PT_ABSENT, PT_WRONG_OWNER, PT_OUT_OF_RANGE, PT_WRONG_STATE
 *                       HOST: as pt_fault_handle() of the canonical context
 *   PT_RACED            again in a later section
 *   PT_PARKED           the canonical page is claimed: pt_waiter_park() on `parked`, then again
 *   PT_NO_MEMORY, PT_QUOTA
 *                       no page for a table or a link; nothing changed, but that a leaf which
 *                       granted less may have made room
 *   PT_NOT_FOUND        the shadow is going: look it up again
 * An AT is as a read: hardware may set access flags for it, too.
 * Order of a fill: docs/nested.md, each step of which is a mutant.
 */
/* clang-format on */
enum pt_outcome pt_nested_fault(struct pt_agent *agent, struct pt_shadow *shadow,
				const struct pt_nested_fault *fault,
				struct pt_nested_result *result);

/* A TLBI of the guest hypervisor, decoded. */
enum pt_guest_tlbi_scope {
	PT_GUEST_TLBI_ALL,   /* ALLE1: every shadow */
	PT_GUEST_TLBI_VMID,  /* VMALLS12E1: those of the VMID */
	PT_GUEST_TLBI_IPA,   /* IPAS2E1, IPAS2LE1: the guest leaves that contain an address */
	PT_GUEST_TLBI_RANGE, /* RIPAS2E1, RIPAS2LE1: those that meet a range */
	PT_GUEST_TLBI_STAGE1 /* VMALLE1, VAE1 ...: no leaf, only combined entries */
};

struct pt_guest_tlbi {
	enum pt_guest_tlbi_scope scope;
	bool leaf_only, inner, outer, nxs; /* forms: L, IS, OS, nXS */
	bool ttl_given;
	int8_t level;	   /* TTL where it is given, else PT_TTL_UNKNOWN */
	uint8_t ttl_shift; /* log2 of the granule that TTL or TG names; 0: none */
	struct pt_ipa ipa;
	uint64_t size; /* RANGE: bytes */
};

/*
 * Decodes an instruction: sys as in ESR_EL2.ISS for EC 0x18 (op0, op2, op1, CRn, Rt, CRm), operand
 * the register, vtcr the guest hypervisor's VTCR_EL2 as it stands, whose DS gives BaseADDR its
 * unit. PT_OK; PT_UNSUPPORTED: none of ALLE1, VMALLS12E1, IPAS2E1, RIPAS2E1 and the forms of EL1's
 * stage 1, each with IS, OS and nXS: *tlbi untouched, as with PT_INVALID: a reserved TG, which may
 * remove nothing. Pure. Encodings: Arm ARM C5.5; operands are those of <pt/tlbi.h>. What a stage-1
 * form names (VA, ASID) is not told: all combined entries of the VMID go.
 */
enum pt_outcome pt_guest_tlbi_decode(uint32_t sys, uint64_t operand, uint64_t vtcr,
				     struct pt_guest_tlbi *tlbi);

/*
 * Carries it out on all live shadows with the VMID (of VTTBR_EL2 as it stands at the TLBI; 8 bits
 * where VTCR_EL2.VS is 0), whatever else their keys say; ALL: on every one. Removes each leaf made
 * from a guest leaf that it names, however the host splintered that, and no other: a guest leaf is
 * known by its address and level, which a shadow leaf keeps. By address it names
 *   without TTL   the leaf of each level that contains the address, or that meets the range
 *   with TTL      that of the level alone; none where TTL's granule is not that of the tables (Arm
 *                 ARM C5.5, TLBI IPAS2E1IS: a wrong hint need not remove anything)
 *   a range       none where TG is not the granule of the tables
 * and nothing of a shadow with stage 2 off, which has no guest leaves. ALL and VMID remove every
 * leaf; these and STAGE1 what TLBs hold of stage 1, too. (KVM: kvm_s2_mmu_iterate_by_vmid().)
 *
 * Steps, each in a section of any agent, one at a time, with about `budget` entries looked at:
 * PT_MORE; PT_OK: no vCPU can use what was removed, nor does an access in flight. Needs no memory,
 * waits for no claim, cannot be given up and need not be finished if the guest hypervisor is gone.
 */
struct pt_guest_tlbi_op {
	struct pt_nested *nested;
	struct pt_guest_tlbi tlbi;
	uint16_t vmid;
	uint32_t shadow; /* the next by number */
	uint64_t at;
	int8_t level; /* of the guest leaves that are looked for */
	uint8_t phase;
	struct pt_grace grace;
	/* What was done. */
	uint64_t removed; /* leaves */
	uint32_t shadows; /* that it named */
};

/* Takes *tlbi in, as pt_guest_tlbi_decode() has filled it; nothing is done yet. */
void pt_guest_tlbi_begin(struct pt_guest_tlbi_op *op, struct pt_nested *nested, uint16_t vmid,
			 const struct pt_guest_tlbi *tlbi);
enum pt_outcome pt_guest_tlbi_step(struct pt_guest_tlbi_op *op, struct pt_agent *agent,
				   uint32_t budget);

/* For a list or a dump: the link of the leaf at `ipa` of a shadow. */
struct pt_shadow_link {
	struct pt_ipa canonical;
	int8_t guest_level;
	bool inexact; /* in no list: its page had too many */
};

/* PT_OK or PT_NOT_MAPPED. In a section. */
enum pt_outcome pt_shadow_link(struct pt_shadow *shadow, struct pt_ipa ipa,
			       struct pt_shadow_link *link);

#endif
