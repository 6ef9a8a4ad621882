/* SPDX-License-Identifier: BSD-2-Clause */
/* Host port: vCPUs with a TLB each, and the access loop: look up, walk, fault, handle, retry, move
 * bytes. */
#ifndef PT_HOST_VCPU_H
#define PT_HOST_VCPU_H

#include <pt/fault.h>
#include <pt/host/hwwalk.h>
#include <pt/host/memory.h>
#include <pt/host/tlbi.h>

#define PT_HOST_TLB_ENTRIES 64 /* per vCPU, production mode */

/*
 * The TLBs of one machine. In production a TLB is a plain cache. In adversarial mode (tests) it
 * never evicts, also prefetches under a seed, and keeps combined stage-1+2 entries that IPAS2E1
 * alone does not remove.
 *
 * Fill protocol: read `generation`, walk, insert, fence, read it again; changed: drop the entry and
 * walk again. A TLBI raises it first, then empties. Accesses already past their look-up end with
 * their section: whoever needs "no old translation in use" waits for the sections (pt_grace_*).
 */
struct pt_host_vcpu;
struct pt_port_mmu {
	union {
		_Atomic uint64_t generation; /* raised by each TLBI but the local ones, so also: */
		_Atomic uint64_t tlbis;	     /* how many there were */
	};
	_Atomic uint64_t local_tlbis;
	_Atomic uint32_t codes; /* leaf sizes ever filled: what an invalidation need look for */
	uint32_t stride;	/* vCPUs, rounded up to a cache line of tags */
	_Atomic uint64_t *tags; /* PT_HOST_TLB_ENTRIES rows of `stride`, owned */
	uint32_t vcpus;
	struct pt_host_vcpu *vcpu; /* array, owned */
};

enum pt_host_tlb_mode { PT_HOST_TLB_CACHE, PT_HOST_TLB_ADVERSARIAL };

/* PT_OK or PT_NO_MEMORY. No vCPUs is legal: nothing is cached then. */
enum pt_outcome pt_host_mmu_init(struct pt_port_mmu *mmu, uint32_t vcpus,
				 enum pt_host_tlb_mode mode, uint64_t seed);
void pt_host_mmu_destroy(struct pt_port_mmu *mmu);
/* Valid entries in a vCPU's TLB, for tests and GetStats. */
uint32_t pt_host_tlb_count(const struct pt_port_mmu *mmu, uint32_t vcpu);

/* Adversarial mode, all vCPUs together: distinct translations kept, look-ups answered by the store,
 * those of them whose answer was not what the tables said, and translations removed; TLB conflict
 * aborts, and look-ups that met two sizes in a context without FEAT_BBM, of which there may be
 * none. */
struct pt_host_tlb_stats {
	uint64_t kept, served, stale, invalidated, conflicts, clashes;
};
void pt_host_tlb_stats(const struct pt_port_mmu *mmu, struct pt_host_tlb_stats *stats);

#define PT_HOST_MAX_EXITS 8

struct pt_host_exit {
	uint32_t outcome; /* enum pt_outcome of the handler */
	uint8_t fault;	  /* enum hw_fault */
	int8_t level;
	bool hpfar_known;
	uint64_t esr, far, hpfar;
};

/* One access by a vCPU through a context. Caller's memory. */
struct pt_host_access {
	uint32_t vcpu;
	struct pt_ipa ipa;
	uint8_t access; /* enum pt_access; PT_ACCESS_AT translates only */
	bool s1ptw;
	bool el0;	    /* made at EL0, whose right to execute XNX keeps apart */
	bool handle_faults; /* false: stop at the first fault (Translate) */
	uint32_t length;    /* bytes; must not cross a granule; 0: all but the moving of bytes */
	void *data;	    /* length bytes: read into, written from */
	/* results */
	uint32_t outcome; /* PT_OK: done; else the last exit's outcome */
	struct pt_pa pa;
	int8_t level;
	uint32_t prot;
	bool tlb_hit;
	uint32_t exits; /* faults taken */
	struct pt_host_exit exit[PT_HOST_MAX_EXITS];
	uint32_t tables_added;
	struct pt_fault_todo todo; /* of the last fault that had one */
};

/*
 * Runs an access in the caller's section. PT_OK: done, bytes moved. PT_PARKED: met a claim; park
 * and call again with the same struct. PT_MORE: the vCPU is in use by another agent, or a race was
 * lost too often: call again in a later section. PT_NO_SLOT, PT_READ_ONLY, PT_DENIED, PT_NOT_MAPPED
 * (with handle_faults false): an exit, data unmoved. Errors as pt_fault_handle(); PT_OUT_OF_RANGE
 * also for a leaf outside `ram`; PT_INVALID: bad vcpu, access, or crossing a granule.
 */
enum pt_outcome pt_host_access(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_host_ram *ram,
			       struct pt_host_access *access);

/* An architectural walk of a context without TLB, fault handling or hardware updates: Translate and
 * Explain. In a section. PT_OK, or PT_RACED: the walk met an entry between break and make, and
 * *result is a fault that was never there; again in a later section. */
enum pt_outcome pt_host_translate(struct pt_ctx *ctx, struct pt_ipa ipa, enum pt_access access,
				  bool el0, struct hw_result *result);

/* Failpoints, process-wide; the daemon arms them. */
struct pt_host_failpoint {
	uint64_t scope; /* 0: any */
	uint32_t nth;	/* fail the nth hit (1: the first); 0: by probability */
	uint32_t times; /* how many in a row; 0: without end */
	uint32_t probability_ppm;
	uint64_t seed;
	uint64_t connection; /* only for calls of this caller (see below); 0: any */
	uint32_t delay_ms;   /* of PT_FP_TLBI_DELAY and PT_FP_SECTION_LONG */
};
/* Does this build have it? Some points stand where only a checked build may pay for them. */
bool pt_host_failpoint_built(enum pt_failpoint point);
void pt_host_failpoint_arm(enum pt_failpoint point, const struct pt_host_failpoint *how);
void pt_host_failpoint_disarm(enum pt_failpoint point);
/* Whose work this thread does from now on: compared with `connection`. */
void pt_host_failpoint_caller(uint64_t connection);
/* Hits and failures since armed. */
void pt_host_failpoint_counts(enum pt_failpoint point, uint64_t *hits, uint64_t *failures);
/* Holds the caller for the plan's `delay_ms`, or until the point is disarmed. */
void pt_host_failpoint_hold(enum pt_failpoint point);

#endif
