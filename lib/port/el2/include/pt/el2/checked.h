/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checked build of the EL2 port: each event of the seam goes to lib/check, together with its
 * effect and under one lock. The first broken rule is printed and ends QEMU with status 6.
 */
#ifndef PT_EL2_CHECKED_H
#define PT_EL2_CHECKED_H

#include <pt/check.h>

struct pt_port_mmu;

/* One event whose effect, if it has one, is somewhere else. On any CPU. */
void pt_el2_event(const struct pt_event *event);

/* Descriptor accesses: event and effect are one. */
void pt_el2_event_store(pt_pte *slot, pt_pte entry, enum pt_event_kind kind);
bool pt_el2_event_cas(pt_pte *slot, pt_pte *old, pt_pte entry, enum pt_event_kind kind);
pt_pte pt_el2_event_load(const pt_pte *slot, enum pt_event_kind kind);
/* TLBI and TLBI_DONE; between them pt_el2_tlbi(), which shows each of its instructions. */
void pt_el2_event_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
		       const struct pt_tlbi *tlbi);

/* Events, and how often rules were judged, so far; objects for which there was no room. */
struct pt_el2_checked {
	uint64_t events, judged[PT_RULES], untracked;
};
void pt_el2_checked(struct pt_el2_checked *counts);

#endif
