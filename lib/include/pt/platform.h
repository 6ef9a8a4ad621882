/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform seam: every descriptor load, store and compare-and-swap, fence, TLBI, cache
 * maintenance, zeroing, lock and failpoint of lib goes through these functions. There is no other
 * way to touch a table.
 *
 * They are bound at compile time: <pt/port.h> is found in the include folder of the port that the
 * build chose (lib/port/host/include, later lib/port/el2/include). It defines the functions below,
 * as static inline ones where it matters, and three types:
 */
/* clang-format off */
/*
 *   struct pt_port       one memory of table pages, as one machine sees it
 *   struct pt_port_mmu   the TLBs of one machine (host: a model of each vCPU's; EL2: nothing)
 *   struct pt_port_lock  a spin lock for short lists; zeroed: free
 *
 * In a checked build (PT_CHECKED) the same names show each write to a live descriptor to lib/check.
 */
/* clang-format on */
#ifndef PT_PLATFORM_H
#define PT_PLATFORM_H

#include <pt/types.h>

/* What a TLB invalidation names. `level` is the TTL hint: the level of the leaf that was there, or
 * PT_TTL_UNKNOWN. */
enum pt_tlbi_kind {
	PT_TLBI_IPA,   /* IPAS2E1IS for [ipa, ipa + size), one leaf, then VMALLE1IS */
	PT_TLBI_RANGE, /* RIPAS2E1IS over [ipa, ipa + size), then VMALLE1IS */
	PT_TLBI_VMID,  /* VMALLS12E1IS */
	PT_TLBI_ALL,   /* ALLE1IS */
	PT_TLBI_LOCAL, /* the faulting vCPU's own entries for [ipa, ipa + size), non-shareable
			  (KVM's _ipa_nsh) */
};

struct pt_tlbi {
	enum pt_tlbi_kind kind;
	uint16_t vmid;
	int8_t level;	 /* TTL hint, or PT_TTL_UNKNOWN when a table was removed */
	bool last_level; /* IPAS2LE1: only leaves changed */
	uint32_t vcpu;	 /* PT_TLBI_LOCAL: whose */
	struct pt_ipa ipa;
	uint64_t size; /* bytes */
};

/* Edges where a failure can be injected; in every build, one predicted branch each when nothing is
 * armed. */
enum pt_failpoint {
	PT_FP_POOL_RESERVE, /* "pool.reserve": taking table pages or quota fails with PT_NO_MEMORY
			     */
	PT_FP_TLBI_DROP,    /* "tlbi.drop": the invalidation is lost */
	PT_FP_RPC_REPLY,    /* "rpc.reply": delay, drop or error; used by the daemon, not by lib */
	PT_FP_COUNT
};

#include <pt/port.h>

/*
 * What <pt/port.h> provides. Every function may be called inside a section; none blocks or
 * allocates. Addresses and sizes are bytes.
 */
/* clang-format off */
/*
 * Tables
 *   pt_pte *pt_port_table(const struct pt_port *port, struct pt_pa table);
 *       Pointer to a table in the port's table memory; valid to the end of the section.
 *   void pt_port_zero(void *at, size_t bytes);
 *       Zeroes a private table or a frame.
 *
 * Descriptors
 *   pt_pte pt_pte_load(const pt_pte *slot);
 *       Single-copy atomic; acquire, with respect to the table that the descriptor links.
 *   void pt_pte_store(pt_pte *slot, pt_pte entry);
 *       Single-copy atomic, relaxed: under a drained claim.
 *   void pt_pte_store_release(pt_pte *slot, pt_pte entry);
 *       Links a private subtree, or makes after break.
 *   bool pt_pte_cas(pt_pte *slot, pt_pte *old, pt_pte entry);
 *       Acquire and release. On failure *old is what stands there.
 *   void pt_pte_init(pt_pte *slot, pt_pte entry);
 *       A plain store to a private table (checker rule W1).
 *   pt_pte pt_pte_private(const pt_pte *slot);
 *       A plain load from a table that nobody else can reach.
 *
 * Order
 *   void pt_port_fence_store(void);
 *       DSB ISHST: private tables are complete before a link.
 *   void pt_port_fence_full(void);
 *       DMB ISH: the two sides of claims and sections.
 *   void pt_port_relax(void);
 *       A hint in a loop that spins.
 *   void pt_port_lock(struct pt_port_lock *lock);
 *   void pt_port_unlock(struct pt_port_lock *lock);
 *       Never held across a descriptor access or a callback.
 *
 * TLBs and caches
 *   void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi);
 *       With its DSBs, in the order of checker rule T1; complete on return.
 *   void pt_port_dcache_clean_inval_poc(struct pt_port *port, struct pt_pa pa, uint64_t size);
 *   void pt_port_icache_inval_pou(struct pt_port *port, struct pt_pa pa, uint64_t size);
 *
 * Failures
 *   bool pt_port_failpoint(unsigned point, uint64_t scope);
 *       True: fail now. `point` is an enum pt_failpoint; `scope` the context's handle, 0 if none.
 */
/* clang-format on */

#endif
