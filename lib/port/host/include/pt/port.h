/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's half of the platform seam: C11 atomics over a mapped memory. Contracts:
 * <pt/platform.h>. */
#ifndef PT_PORT_H
#define PT_PORT_H

#include <pt/types.h>

struct pt_port {
	unsigned char *table_va; /* table memory, mapped once */
	uint64_t table_pa;	 /* where one machine sees it; 0 in the pool's own port */
	uint64_t table_bytes;
};

struct pt_port_lock {
	atomic_flag held;
};

struct pt_port_mmu;
struct pt_tlbi;

static inline pt_pte *pt_port_table(const struct pt_port *port, struct pt_pa table)
{
	return (pt_pte *)(void *)(port->table_va + (table.v - port->table_pa));
}

static inline pt_pte pt_pte_load(const pt_pte *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

/* The checked build shows each write to a live descriptor to lib/check: see <pt/check.h>. */
#ifdef PT_CHECKED
#define PT_CHECKED_OLD(slot) __atomic_load_n(slot, __ATOMIC_RELAXED)
void pt_host_checked_write(const pt_pte *slot, pt_pte old, pt_pte entry, unsigned how);
#else
#define PT_CHECKED_OLD(slot) 0
static inline void pt_host_checked_write(const pt_pte *slot, pt_pte old, pt_pte entry, unsigned how)
{
	(void)slot, (void)old, (void)entry, (void)how;
}
#endif

static inline void pt_pte_store(pt_pte *slot, pt_pte entry)
{
	pt_host_checked_write(slot, PT_CHECKED_OLD(slot), entry, 0);
	__atomic_store_n(slot, entry, __ATOMIC_RELAXED);
}

static inline void pt_pte_store_release(pt_pte *slot, pt_pte entry)
{
	pt_host_checked_write(slot, PT_CHECKED_OLD(slot), entry, 1);
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

static inline bool pt_pte_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	if (!__atomic_compare_exchange_n(slot, old, entry, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	pt_host_checked_write(slot, *old, entry, 2);
	return true;
}

static inline void pt_pte_init(pt_pte *slot, pt_pte entry)
{
	*slot = entry;
}

static inline pt_pte pt_pte_private(const pt_pte *slot)
{
	return *slot;
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
#ifndef PT_PORT_TSAN
	atomic_thread_fence(memory_order_release);
#endif
}

static inline void pt_port_fence_full(void)
{
#ifdef PT_PORT_TSAN
	atomic_uint here = 0;

	atomic_fetch_add(&here, 1);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void pt_port_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static inline void pt_port_lock(struct pt_port_lock *lock)
{
	while (atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire))
		pt_port_relax();
}

static inline void pt_port_unlock(struct pt_port_lock *lock)
{
	atomic_flag_clear_explicit(&lock->held, memory_order_release);
}

void pt_port_zero(void *at, size_t bytes);
void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi);

/* The host's memory is coherent and its caches are not modelled: nothing to do, counted in a
 * checked build. */
static inline void pt_port_dcache_clean_inval_poc(struct pt_port *port, struct pt_pa pa,
						  uint64_t size)
{
	(void)port, (void)pa, (void)size;
}

static inline void pt_port_icache_inval_pou(struct pt_port *port, struct pt_pa pa, uint64_t size)
{
	(void)port, (void)pa, (void)size;
}

/* Bit n: failpoint n is armed. Zero nearly always: one predicted branch. */
extern _Atomic uint32_t pt_host_failpoints_armed;
/* Writes seen by the checker since the start; 0 in a build without it. */
uint64_t pt_host_checked_events(void);
bool pt_host_failpoint_hit(unsigned point, uint64_t scope);

static inline bool pt_port_failpoint(unsigned point, uint64_t scope)
{
	uint32_t armed = atomic_load_explicit(&pt_host_failpoints_armed, memory_order_relaxed);

	return __builtin_expect(armed != 0, 0) && (armed >> point & 1) &&
	       pt_host_failpoint_hit(point, scope);
}

#endif
