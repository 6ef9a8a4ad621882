/* SPDX-License-Identifier: BSD-2-Clause */
/* Invalidations of the TLB model, <pt/host/vcpu.h>. */
#ifndef PT_HOST_TLBI_H
#define PT_HOST_TLBI_H

struct pt_port_mmu;
struct pt_tlbi;

/* An invalidation; and its two instructions one by one, which a checked build shows: that of stage
 * 2, and VMALLE1IS, which removes what stages 1 and 2 gave together. */
void pt_host_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi);
void pt_host_tlbi_stage2(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi);
void pt_host_tlbi_stage1(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi);

#endif
