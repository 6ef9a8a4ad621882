/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform seam: every descriptor load, store and compare-and-swap, fence, TLBI, cache
 * maintenance, zeroing, lock and failpoint of lib goes through these functions. There is no other
 * way to touch a table.
 *
 * They are bound at compile time: <pt/port.h> is found in the include folder of the port that the
 * build chose (lib/port/host/include or lib/port/el2/include). It defines the functions below,
 * as static inline ones where it matters (those of <pt/port_common.h> for all ports), and three
 * types:
 */
/* clang-format off */
/*
 *   struct pt_port       one memory of table pages, as one machine sees it
 *   struct pt_port_mmu   the TLBs of one machine (host: a model of each vCPU's; EL2: nothing)
 *   struct pt_port_lock  a spin lock for short lists; zeroed: free
 *
 * In a checked build (PT_CHECKED) the same names make an event of <pt/event.h> each; in others
 * pt_port_note() is empty.
 */
/* clang-format on */
#ifndef PT_PLATFORM_H
#define PT_PLATFORM_H

#include <pt/event.h>

/*
 * Where a failure can be injected: at the edges, in every build, one predicted branch each when
 * nothing is armed; and at the seam itself, in checked builds only, so that no other build pays.
 */
enum pt_failpoint {
	PT_FP_POOL_RESERVE, /* "pool.reserve": taking table pages or quota fails with PT_NO_MEMORY
			     */
	PT_FP_TLBI_DROP,    /* "tlbi.drop": the invalidation is lost */
	PT_FP_RPC_REPLY,    /* "rpc.reply": delay, drop or error; used by the daemon, not by lib */
	/* Checked builds only. */
	PT_FP_CAS_LOSE,	    /* "cas.lose": pt_pte_cas() fails although nobody else wrote; but not
			     * twice in a row in one agent, which may try until it wins */
	PT_FP_TLBI_DELAY,   /* "tlbi.delay": the invalidation takes effect late, before its DSB ends
			     */
	PT_FP_FREE_DELAY,   /* "free.delay": a look whether retired pages may go back says not yet
			     */
	PT_FP_SECTION_LONG, /* "section.long": a section ends late */
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
 *   void pt_port_prefetch(const pt_pte *slot);
 *       A hint: the descriptor will be changed soon. No access.
 *
 *   bool pt_pte_hw_cas(pt_pte *slot, pt_pte *old, pt_pte entry);
 *       As pt_pte_cas(), by a model of the hardware: access flag and dirty state.
 *
 * Order
 *   void pt_port_fence_store(void);
 *       DSB ISHST: private tables are complete before a link.
 *   void pt_port_fence_full(void);
 *       DMB ISH: the two sides of claims and sections.
 *   void pt_port_fence_cas(void);
 *       The same directly after a pt_pte_cas() that succeeded, or an atomic addition.
 *   void pt_port_relax(void);
 *       A hint in a loop that spins.
 *   void pt_port_lock(struct pt_port_lock *lock);
 *   void pt_port_unlock(struct pt_port_lock *lock);
 *       Never held across a descriptor access or a callback.
 *
 * TLBs and caches
 *   void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo, const struct pt_tlbi *tlbi);
 *       With its DSBs, in the order of checker rule T1; complete on return. `geo` is that of the
 *       tables: level hints and ranges name its granule. NULL is for PT_TLBI_ALL.
 *   bool pt_port_has_tlb(const struct pt_port_mmu *mmu);
 *       False: an invalidation would do nothing (a machine of the host without vCPUs).
 *   bool pt_port_has_caches(const struct pt_port *port);
 *       False: maintenance does nothing here, and lib leaves out loops that are for it alone.
 *   void pt_port_dcache_clean_inval_poc(struct pt_port *port, struct pt_pa pa, uint64_t size);
 *   void pt_port_icache_inval_pou(struct pt_port *port, struct pt_pa pa, uint64_t size);
 *
 * What the seam cannot see (empty but in a checked build; the arguments have no side effects)
 *   void pt_port_note(enum pt_event_kind kind, uint32_t arg, const void *at, const void *ctx,
 *                     uint64_t lo, uint64_t hi);
 *       One event; what the words say stands with its kind in <pt/event.h>.
 *   void pt_port_note_ctx(const void *ctx, const struct pt_event_ctx *facts);
 *       PT_EVENT_CTX_INIT.
 *
 * Failures
 *   bool pt_port_failpoint(unsigned point, uint64_t scope);
 *       True: fail now. `point` is an enum pt_failpoint; `scope` the context's handle, 0 if none.
 *   bool pt_port_failpoint_checked(unsigned point, uint64_t scope);
 *       The same, but false at no cost unless the build is checked.
 */
/* clang-format on */

#endif
