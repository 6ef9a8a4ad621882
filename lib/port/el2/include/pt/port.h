/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EL2's half of the platform seam: C11 atomics, barriers, TLB and cache instructions. Contracts:
 * <pt/platform.h>. All of it runs at EL2 with the MMU and caches on, and with interrupts masked.
 */
#ifndef PT_PORT_H
#define PT_PORT_H

#include <pt/port_common.h>
#ifdef PT_CHECKED
#include <pt/el2/checked.h>
#endif

struct pt_port {
	unsigned char *table_va; /* table memory, mapped once */
	uint64_t table_pa;
	uint64_t table_bytes;
	/* What EL2 maps of other memory, at PA + memory_offset: what maintenance by address can
	 * reach, and all that EL2 can have lines of. */
	uint64_t memory_pa, memory_bytes, memory_offset;
};

/* Not fair on purpose: where CPUs are threads of an emulator, a queue hands the lock to one that
 * does not run. */
struct pt_port_lock {
	_Atomic uint32_t held;
};

struct pt_port_mmu; /* the CPUs' own TLBs: nothing to keep */

static inline pt_pte *pt_port_table(const struct pt_port *port, struct pt_pa table)
{
	return (pt_pte *)((uintptr_t)port->table_va - port->table_pa + table.v);
}

/* The tables are read by walkers, which a DMB does not order. */
static inline void pt_port_fence_store(void)
{
	pt_port_note(PT_EVENT_FENCE_STORE, 0, NULL, NULL, 0, 0);
	__asm__ volatile("dsb ishst" ::: "memory");
}

static inline void pt_port_fence_full(void)
{
	pt_port_note(PT_EVENT_FENCE_FULL, 0, NULL, NULL, 0, 0);
	__asm__ volatile("dmb ish" ::: "memory");
}

/* An exchange with acquire and release is no full fence: later loads may pass its store. */
static inline void pt_port_fence_cas(void)
{
	pt_port_fence_full();
}

static inline void pt_port_prefetch(const pt_pte *slot)
{
	__asm__ volatile("prfm pstl1keep, [%0]" ::"r"(slot));
}

static inline void pt_port_relax(void)
{
	pt_port_note(PT_EVENT_RELAX, 0, NULL, NULL, 0, 0);
	__asm__ volatile("yield" ::: "memory");
}

/* The exclusive load arms the monitor, which the owner's store clears: that is the event. */
static inline void pt_port_lock(struct pt_port_lock *lock)
{
	uint32_t held;

	pt_port_note(PT_EVENT_LOCK, 0, lock, NULL, 0, 0);
	while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
		for (;;) {
			__asm__ volatile("ldaxr %w0, %1" : "=r"(held) : "Q"(lock->held) : "memory");
			if (!held)
				break;
			__asm__ volatile("wfe" ::: "memory");
		}
	pt_port_note(PT_EVENT_LOCKED, 0, lock, NULL, 0, 0);
}

static inline void pt_port_unlock(struct pt_port_lock *lock)
{
	pt_port_note(PT_EVENT_UNLOCK, 0, lock, NULL, 0, 0);
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/* By DC ZVA where it is permitted. */
void pt_port_zero(void *at, size_t bytes);

/* tlbi.c */
void pt_el2_tlbi(const struct pt_geometry *geo, const struct pt_tlbi *tlbi);

static inline void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
				const struct pt_tlbi *tlbi)
{
#ifdef PT_CHECKED
	pt_el2_event_tlbi(mmu, geo, tlbi);
#else
	(void)mmu;
	pt_el2_tlbi(geo, tlbi);
#endif
}

static inline bool pt_port_has_tlb(const struct pt_port_mmu *mmu)
{
	(void)mmu;
	return true;
}

static inline bool pt_port_has_caches(const struct pt_port *port)
{
	(void)port;
	return true;
}

/* cache.c. What EL2 does not map it has no lines of, but for speculation, which stays inside the
 * map, too: most of a guest's memory, for which the first is not called. */
void pt_el2_dcache_clean_inval_poc(const struct pt_port *port, uint64_t pa, uint64_t size);
void pt_el2_icache_inval_pou(const struct pt_port *port, uint64_t pa, uint64_t size);

static inline void pt_port_dcache_clean_inval_poc(struct pt_port *port, struct pt_pa pa,
						  uint64_t size)
{
	pt_port_note(PT_EVENT_DCACHE, 0, NULL, NULL, pa.v, size);
	if (pa.v - port->memory_pa < port->memory_bytes || port->memory_pa - pa.v < size)
		pt_el2_dcache_clean_inval_poc(port, pa.v, size);
}

static inline void pt_port_icache_inval_pou(struct pt_port *port, struct pt_pa pa, uint64_t size)
{
	pt_port_note(PT_EVENT_ICACHE, 0, NULL, NULL, pa.v, size);
	pt_el2_icache_inval_pou(port, pa.v, size);
}

/* No failpoints here: nobody could arm them. */
static inline bool pt_port_failpoint(unsigned point, uint64_t scope)
{
	(void)point, (void)scope;
	return false;
}

static inline bool pt_port_failpoint_checked(unsigned point, uint64_t scope)
{
	(void)point, (void)scope;
	return false;
}

#endif
