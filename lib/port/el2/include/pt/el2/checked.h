/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checked build of the EL2 port: what it has besides <pt/port_common.h>. The first broken rule
 * is printed and ends QEMU with status 6.
 */
#ifndef PT_EL2_CHECKED_H
#define PT_EL2_CHECKED_H

#include <pt/check.h>

struct pt_port_mmu;

/* TLBI and TLBI_DONE; between them pt_el2_tlbi(), which shows each of its instructions. */
void pt_el2_event_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
		       const struct pt_tlbi *tlbi);

/* Events, and how often rules were judged, so far; objects for which there was no room. */
struct pt_el2_checked {
	uint64_t events, judged[PT_RULES], untracked;
};
void pt_el2_checked(struct pt_el2_checked *counts);

#endif
