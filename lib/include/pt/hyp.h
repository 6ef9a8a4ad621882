/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own stage-1 map. */
#ifndef PT_HYP_H
#define PT_HYP_H

#include <pt/hyp_desc.h>
#include <pt/hyp_memory.h>

/*
 * One map of EL2's virtual addresses, [0, 1 << va_bits) (bits above are the caller's sign).
 * Caller's memory; fields are read only. *One writer at a time*: whoever maps or unmaps holds the
 * map's lock, as KVM's pkvm_pgd_lock, or is alone; hardware and pt_hyp_get_leaf() walk beside it.
 * No claims, no items, no VMID: its leaves change by pt_hyp_may_follow() alone.
 */
struct pt_hyp {
	struct pt_geometry geo; /* ipa_bits: of the virtual addresses */
	struct pt_port *port;
	struct pt_port_mmu *mmu;
	struct pt_hyp_early *early; /* NULL: tables come from the agent's pool */
	struct pt_pa root;
	uint64_t table_pages; /* below the root */
	bool guarded;
};

struct pt_hyp_args {
	struct pt_port *port;	    /* outlives the map */
	struct pt_port_mmu *mmu;    /* EL2's own TLBs; NULL where nothing caches */
	struct pt_hyp_early *early; /* until there is a pool: tables come from here, none goes back,
				       agents are not looked at; else NULL */
	uint8_t granule_shift;	    /* 12, 14, 16 */
	uint8_t va_bits;	    /* 25 to 48 */
	uint8_t pa_bits;	    /* 32 to 48; table pages stand below it, too */
	bool guarded;		    /* FEAT_BTI: executable pages are guarded */
};

/* An empty map; takes its root where all tables come from. PT_OK; PT_INVALID for a size out of
 * range, PT_NO_MEMORY: nothing taken. */
enum pt_outcome pt_hyp_init(struct pt_hyp *hyp, struct pt_agent *agent,
			    const struct pt_hyp_args *args);

/*
 * Maps [va, va + size) to pa on, in blocks where both are aligned (KVM: kvm_pgtable_hyp_map). In a
 * section, like all below. All or nothing, unlike KVM's: PT_MAPPED; PT_ALREADY_MAPPED: every leaf
 * was there as asked, but perhaps for software bits, which are as asked now. Errors change nothing:
 *   PT_INVALID, PT_MISALIGNED, PT_OUT_OF_RANGE   prot as pt_hyp_prot_check(), the ranges
 *   PT_OVERLAP       a leaf there has another output or other attributes, or other software bits
 *                    and reaches out of the range: unmap it first
 *   PT_NO_MEMORY     for tables
 * Runs to its end: a visit an entry.
 */
enum pt_outcome pt_hyp_map(struct pt_hyp *hyp, struct pt_agent *agent, uint64_t va, uint64_t size,
			   struct pt_pa pa, uint32_t prot);

/*
 * Unmaps it (KVM: kvm_pgtable_hyp_unmap), flushes, and retires tables that became empty. Holes are
 * passed over. PT_UNMAPPED or PT_HOLE, *bytes: how much was mapped; PT_MISALIGNED: a block reaches
 * out of the range, nothing changed; PT_INVALID, PT_OUT_OF_RANGE.
 */
enum pt_outcome pt_hyp_unmap(struct pt_hyp *hyp, struct pt_agent *agent, uint64_t va, uint64_t size,
			     uint64_t *bytes);

/* The entry that ends the walk for `va`. PT_OK or PT_OUT_OF_RANGE. */
enum pt_outcome pt_hyp_get_leaf(const struct pt_hyp *hyp, uint64_t va, pt_pte *entry, int *level);

/* TCR_EL2 for it (Arm ARM D19.2.139, HCR_EL2.E2H 0): T0SZ, TG0, PS, write-back walks. */
uint64_t pt_hyp_tcr(const struct pt_hyp *hyp);

/* Gives everything back that a pool gave: EL2 does not run on it. */
void pt_hyp_destroy(struct pt_hyp *hyp, struct pt_agent *agent);

#endif
