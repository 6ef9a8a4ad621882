/* SPDX-License-Identifier: BSD-2-Clause */
/* A platform seam that only declares: lib compiled against it shows what it asks of bare metal. */
#ifndef PT_PORT_H
#define PT_PORT_H

#include <pt/event.h>

struct pt_port {
	uint64_t table_pa, table_bytes;
};

struct pt_port_lock {
	uint32_t held;
};

struct pt_port_mmu;

pt_pte *pt_port_table(const struct pt_port *port, struct pt_pa table);
pt_pte pt_pte_load(const pt_pte *slot);
pt_pte pt_pte_private(const pt_pte *slot);
void pt_pte_store(pt_pte *slot, pt_pte entry);
void pt_pte_store_release(pt_pte *slot, pt_pte entry);
bool pt_pte_cas(pt_pte *slot, pt_pte *old, pt_pte entry);
bool pt_pte_hw_cas(pt_pte *slot, pt_pte *old, pt_pte entry);
void pt_pte_init(pt_pte *slot, pt_pte entry);
void pt_port_fence_store(void);
void pt_port_fence_full(void);
void pt_port_fence_cas(void);
void pt_port_prefetch(const pt_pte *slot);
void pt_port_relax(void);
void pt_port_lock(struct pt_port_lock *lock);
void pt_port_unlock(struct pt_port_lock *lock);
void pt_port_zero(void *at, size_t bytes);
bool pt_port_has_tlb(const struct pt_port_mmu *mmu);
void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
		  const struct pt_tlbi *tlbi);
bool pt_port_has_caches(const struct pt_port *port);
void pt_port_dcache_clean_inval_poc(struct pt_port *port, struct pt_pa pa, uint64_t size);
void pt_port_icache_inval_pou(struct pt_port *port, struct pt_pa pa, uint64_t size);
void pt_port_note(enum pt_event_kind kind, uint32_t arg, const void *at, const void *ctx,
		  uint64_t lo, uint64_t hi);
void pt_port_note_ctx(const void *ctx, const struct pt_event_ctx *facts);
bool pt_port_failpoint(unsigned point, uint64_t scope);
bool pt_port_failpoint_checked(unsigned point, uint64_t scope);

#endif
