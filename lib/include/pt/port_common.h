/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ports of <pt/platform.h> have in common, for each one's <pt/port.h> to include:
 * descriptors as C11 atomics, and events, which are nothing but in the checked build (PT_CHECKED).
 */
#ifndef PT_PORT_COMMON_H
#define PT_PORT_COMMON_H

#include <pt/event.h>

/*
 * The checked build: a port's checked.c shows each event to lib/check, together with its effect and
 * under one lock. Callable by any thread or CPU; only that build defines them at EL2.
 */

/* One event whose effect, if it has one, is somewhere else. */
void pt_checked_event(const struct pt_event *event);

/* Accesses to descriptors: event and effect are one, with the order of <pt/platform.h> at least.
 * The exchange tells whether it succeeded; if not, *old is what stands there. */
void pt_checked_event_store(pt_pte *slot, pt_pte entry, enum pt_event_kind kind);
bool pt_checked_event_cas(pt_pte *slot, pt_pte *old, pt_pte entry, enum pt_event_kind kind);
pt_pte pt_checked_event_load(const pt_pte *slot, enum pt_event_kind kind);

#ifdef PT_CHECKED
static inline void pt_port_note(enum pt_event_kind kind, uint32_t arg, const void *at,
				const void *ctx, uint64_t lo, uint64_t hi)
{
	pt_checked_event(&(struct pt_event){.kind = (uint8_t)kind,
					    .arg = arg,
					    .at = (uintptr_t)at,
					    .ctx = (uintptr_t)ctx,
					    .lo = lo,
					    .hi = hi});
}

static inline void pt_port_note_ctx(const void *ctx, const struct pt_event_ctx *facts)
{
	pt_checked_event(&(struct pt_event){
		.kind = PT_EVENT_CTX_INIT, .ctx = (uintptr_t)ctx, .facts = facts});
}

static inline pt_pte pt_pte_load(const pt_pte *slot)
{
	return pt_checked_event_load(slot, PT_EVENT_LOAD);
}

static inline void pt_pte_store(pt_pte *slot, pt_pte entry)
{
	pt_checked_event_store(slot, entry, PT_EVENT_STORE);
}

static inline void pt_pte_store_release(pt_pte *slot, pt_pte entry)
{
	pt_checked_event_store(slot, entry, PT_EVENT_STORE_RELEASE);
}

static inline bool pt_pte_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	return pt_checked_event_cas(slot, old, entry, PT_EVENT_CAS);
}

static inline bool pt_pte_hw_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	return pt_checked_event_cas(slot, old, entry, PT_EVENT_HW_CAS);
}

static inline void pt_pte_init(pt_pte *slot, pt_pte entry)
{
	pt_checked_event_store(slot, entry, PT_EVENT_INIT);
}

static inline pt_pte pt_pte_private(const pt_pte *slot)
{
	return pt_checked_event_load(slot, PT_EVENT_PRIVATE);
}
#else
static inline void pt_port_note(enum pt_event_kind kind, uint32_t arg, const void *at,
				const void *ctx, uint64_t lo, uint64_t hi)
{
	(void)kind, (void)arg, (void)at, (void)ctx, (void)lo, (void)hi;
}

static inline void pt_port_note_ctx(const void *ctx, const struct pt_event_ctx *facts)
{
	(void)ctx, (void)facts;
}

static inline pt_pte pt_pte_load(const pt_pte *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void pt_pte_store(pt_pte *slot, pt_pte entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELAXED);
}

static inline void pt_pte_store_release(pt_pte *slot, pt_pte entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

static inline bool pt_pte_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	return __atomic_compare_exchange_n(slot, old, entry, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline bool pt_pte_hw_cas(pt_pte *slot, pt_pte *old, pt_pte entry)
{
	return pt_pte_cas(slot, old, entry);
}

static inline void pt_pte_init(pt_pte *slot, pt_pte entry)
{
	*slot = entry;
}

static inline pt_pte pt_pte_private(const pt_pte *slot)
{
	return *slot;
}
#endif

#endif
