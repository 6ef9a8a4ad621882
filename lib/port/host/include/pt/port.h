/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's half of the platform seam: C11 atomics over a mapped memory. Contracts:
 * <pt/platform.h>. */
#ifndef PT_PORT_H
#define PT_PORT_H

#include <pt/host/tlbi.h>
#include <pt/port_common.h>
#ifdef PT_CHECKED
#include <pt/host/checked.h>
#endif

struct pt_port {
	unsigned char *table_va; /* table memory, mapped once */
	uint64_t table_pa;	 /* where one machine sees it; 0 in the pool's own port */
	uint64_t table_bytes;
};

struct pt_port_lock {
	atomic_flag held;
};

struct pt_port_mmu;

static inline pt_pte *pt_port_table(const struct pt_port *port, struct pt_pa table)
{
	/* In this order: a walk computes the difference once. */
	return (pt_pte *)((uintptr_t)port->table_va - port->table_pa + table.v);
}

/* TSan does not model fences: there, an exchange on a local orders the CPU, and every publication
 * is a release or an exchange by itself. */
#if defined(__SANITIZE_THREAD__)
#define PT_PORT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PT_PORT_TSAN 1
#endif
#endif

static inline void pt_port_fence_store(void)
{
	pt_port_note(PT_EVENT_FENCE_STORE, 0, NULL, NULL, 0, 0);
#ifndef PT_PORT_TSAN
	atomic_thread_fence(memory_order_release);
#endif
}

static inline void pt_port_fence_full(void)
{
	pt_port_note(PT_EVENT_FENCE_FULL, 0, NULL, NULL, 0, 0);
#ifdef PT_PORT_TSAN
	atomic_uint here = 0;

	atomic_fetch_add(&here, 1);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* A locked instruction of x86 is a full fence by itself. */
static inline void pt_port_fence_cas(void)
{
#if !defined(__x86_64__) || defined(PT_CHECKED) || defined(PT_PORT_TSAN)
	pt_port_fence_full();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Nothing that a checker could see, and the memory need not be the program's any more. Inline in
 * any case: gcc takes a function that only asks for memory for one without effect, and calls to it
 * go.
 */
static inline __attribute__((always_inline)) void pt_port_prefetch(const pt_pte *slot)
{
#if defined(__x86_64__)
	/* As to be written, so that the line comes once; the builtin asks for it as to be read. */
	__asm__ volatile("prefetchw %0" ::"m"(*slot));
#else
	__builtin_prefetch(slot, 1);
#endif
}

static inline void pt_port_relax(void)
{
	pt_port_note(PT_EVENT_RELAX, 0, NULL, NULL, 0, 0);
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static inline void pt_port_lock(struct pt_port_lock *lock)
{
	pt_port_note(PT_EVENT_LOCK, 0, lock, NULL, 0, 0);
	while (atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire))
		pt_port_relax();
	pt_port_note(PT_EVENT_LOCKED, 0, lock, NULL, 0, 0);
}

static inline void pt_port_unlock(struct pt_port_lock *lock)
{
	pt_port_note(PT_EVENT_UNLOCK, 0, lock, NULL, 0, 0);
	atomic_flag_clear_explicit(&lock->held, memory_order_release);
}

void pt_port_zero(void *at, size_t bytes);

/* No MMU: a machine without vCPUs. */
static inline void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
				const struct pt_tlbi *tlbi)
{
	(void)geo;
#ifdef PT_CHECKED
	pt_host_event_tlbi(mmu, tlbi);
#else
	if (mmu)
		pt_host_tlbi(mmu, tlbi);
#endif
}

static inline bool pt_port_has_tlb(const struct pt_port_mmu *mmu)
{
#ifdef PT_CHECKED
	(void)mmu; /* each invalidation is an event */
	return true;
#else
	return mmu;
#endif
}

/* The host's memory is coherent; a checked build shows what would have been done. */
static inline bool pt_port_has_caches(const struct pt_port *port)
{
	(void)port;
#ifdef PT_CHECKED
	return true;
#else
	return false;
#endif
}

/* The host's memory is coherent and its caches are not modelled: nothing to do. */
static inline void pt_port_dcache_clean_inval_poc(struct pt_port *port, struct pt_pa pa,
						  uint64_t size)
{
	(void)port;
	pt_port_note(PT_EVENT_DCACHE, 0, NULL, NULL, pa.v, size);
}

static inline void pt_port_icache_inval_pou(struct pt_port *port, struct pt_pa pa, uint64_t size)
{
	(void)port;
	pt_port_note(PT_EVENT_ICACHE, 0, NULL, NULL, pa.v, size);
}

/* Bit n: failpoint n is armed. Zero nearly always: one predicted branch. */
extern _Atomic uint32_t pt_host_failpoints_armed;
bool pt_host_failpoint_hit(unsigned point, uint64_t scope);

static inline bool pt_port_failpoint(unsigned point, uint64_t scope)
{
	uint32_t armed = atomic_load_explicit(&pt_host_failpoints_armed, memory_order_relaxed);

	return __builtin_expect(armed != 0, 0) && (armed >> point & 1) &&
	       pt_host_failpoint_hit(point, scope);
}

static inline bool pt_port_failpoint_checked(unsigned point, uint64_t scope)
{
#ifdef PT_CHECKED
	return pt_port_failpoint(point, scope);
#else
	(void)point, (void)scope;
	return false;
#endif
}

#endif
