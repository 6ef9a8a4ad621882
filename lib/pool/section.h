/* SPDX-License-Identifier: BSD-2-Clause */
/* The bodies of pt_section_begin() and pt_section_end(), for them and for a hot path; private to
 * lib. */
#ifndef PT_POOL_SECTION_H
#define PT_POOL_SECTION_H

#include <pt/machine.h>

static inline void pt__section_begin(struct pt_agent *agent)
{
	uint64_t section = atomic_load_explicit(&agent->section, memory_order_relaxed);

	pt_port_note(PT_EVENT_SECTION_BEGIN, agent->id, agent, agent->world, 0, 0);
	atomic_store_explicit(&agent->section, section + 1, memory_order_relaxed);
	pt_port_fence_full(); /* pairs with pt_grace_begin() and snapshot() */
	pt_port_note(PT_EVENT_SECTION_BEGUN, agent->id, agent, agent->world, 0, 0);
}

static inline void pt__section_end(struct pt_agent *agent)
{
	uint64_t section = atomic_load_explicit(&agent->section, memory_order_relaxed);

	pt_port_note(PT_EVENT_SECTION_END, agent->id, agent, agent->world, 0, 0);
	atomic_store_explicit(&agent->section, section + 1, memory_order_release);
}

#endif
