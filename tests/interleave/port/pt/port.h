/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform seam of this build: the checked host's, but for what touches memory that others see
 * and for TLBs. New functions of the seam come from the host's file.
 */
#ifndef IV_PT_PORT_H
#define IV_PT_PORT_H

#include "../../iv.h"

#define pt_pte_load	     pt_host_port_pte_load
#define pt_pte_store	     pt_host_port_pte_store
#define pt_pte_store_release pt_host_port_pte_store_release
#define pt_pte_cas	     pt_host_port_pte_cas
#define pt_pte_hw_cas	     pt_host_port_pte_hw_cas
#define pt_pte_init	     pt_host_port_pte_init
#define pt_pte_private	     pt_host_port_pte_private
#define pt_port_fence_store  pt_host_port_fence_store
#define pt_port_fence_full   pt_host_port_fence_full
#define pt_port_lock(...)    pt_host_port_lock(__VA_ARGS__)
#define pt_port_unlock	     pt_host_port_unlock
#define pt_port_zero	     pt_host_port_zero
#define pt_port_tlbi	     pt_host_port_tlbi
#define pt_port_has_caches   pt_host_port_has_caches
#include_next <pt/port.h>
#undef pt_pte_load
#undef pt_pte_store
#undef pt_pte_store_release
#undef pt_pte_cas
#undef pt_pte_hw_cas
#undef pt_pte_init
#undef pt_pte_private
#undef pt_port_fence_store
#undef pt_port_fence_full
#undef pt_port_lock
#undef pt_port_unlock
#undef pt_port_zero
#undef pt_port_tlbi
#undef pt_port_has_caches

static inline pt_pte pt_pte_load(const pt_pte *slot)
{
	return iv_load(slot, 8, memory_order_acquire);
}

static inline void pt_pte_store(pt_pte *slot, pt_pte entry)
{
	iv_store(slot, 8, entry, memory_order_relaxed);
}

static inline void pt_pte_store_release(pt_pte *slot, pt_pte entry)
{
	iv_store(slot, 8, entry, memory_order_release);
}

static inline bool pt_pte_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	return iv_cas(slot, 8, old, entry, memory_order_acq_rel);
}

static inline bool pt_pte_hw_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	return iv_cas(slot, 8, old, entry, memory_order_relaxed);
}

static inline void pt_pte_init(pt_pte *slot, pt_pte entry)
{
	iv_init(slot, entry);
}

static inline pt_pte pt_pte_private(const pt_pte *slot)
{
	return iv_load(slot, 8, memory_order_relaxed);
}

static inline void pt_port_fence_store(void)
{
	pt_port_note(PT_EVENT_FENCE_STORE, 0, NULL, NULL, 0, 0);
	iv_fence(memory_order_release);
}

static inline void pt_port_fence_full(void)
{
	pt_port_note(PT_EVENT_FENCE_FULL, 0, NULL, NULL, 0, 0);
	iv_fence(memory_order_seq_cst);
}

static inline void pt_port_lock(struct pt_port_lock *lock)
{
	pt_port_note(PT_EVENT_LOCK, 0, lock, NULL, 0, 0);
	iv_lock(lock);
	pt_port_note(PT_EVENT_LOCKED, 0, lock, NULL, 0, 0);
}

static inline void pt_port_unlock(struct pt_port_lock *lock)
{
	pt_port_note(PT_EVENT_UNLOCK, 0, lock, NULL, 0, 0);
	iv_unlock(lock);
}

/* As in production: loops that are for caches alone are left out. */
static inline bool pt_port_has_caches(const struct pt_port *port)
{
	(void)port;
	return false;
}

void pt_port_zero(void *at, size_t bytes);
void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
		  const struct pt_tlbi *tlbi);

#endif
