/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor, its guest, and what both may see: what its tests share. */
#ifndef TESTS_EL2_HOST_NESTED_H
#define TESTS_EL2_HOST_NESTED_H

#include "guest_hyp.h"
#include "host.h"

#define PAGES			 32
#define HYP_CODE		 UINT64_C(0x10000)
#define HYP_DATA		 UINT64_C(0x20000)  /* orders, vCPU, stack, tables */
#define OUTSIDE			 UINT64_C(0x400000) /* canonical: what its guest may see */
#define NDATA			 UINT64_C(0x600000) /* nested */
#define MEM			 (MEMORY + 20 * BLOCK)
#define FRAMES			 (MEM + BLOCK)
#define S2_R			 UINT64_C(0x40)
#define S2_W			 UINT64_C(0x80)
#define S2_NORMAL		 UINT64_C(0x73c) /* AF, inner shareable, write-back */
#define LEAF(out, rights, level) ((out) | S2_NORMAL | (rights) | ((level) == 3 ? 3 : 1))
#define S2_MEMATTR		 UINT64_C(0x3c)
#define HCR_VM			 1
#define HCR_FWB			 (UINT64_C(1) << 46)
#define FSC_TRANSLATION(level)	 (0x04 + (level))
#define FSC_PERMISSION(level)	 (0x0c + (level))

struct nest {
	uint64_t context;
	struct pt_el2_vcpu *v;
	bool virtual;	 /* the guest hypervisor has an EL2, in nest_el2; */
	bool nvhe;	 /* one without HCR_EL2.E2H */
	bool owns;	 /* and its memory, in a machine with owners */
	unsigned copies; /* of code that the guest has got */
	/* Page n of the guest's guest: which canonical one, and its rights; 0: none. */
	unsigned to[PAGES];
	uint64_t guest[PAGES];
	/* Page n of the guest: which frame, and the host's rights. */
	unsigned frame[PAGES];
	uint64_t host[PAGES];
	unsigned slot; /* of its shadow */
	uint64_t compared;
};
extern struct nest nest;
extern struct pt_el2_virtual nest_el2;

/* FEAT_NV2: ID_AA64MMFR2_EL1.NV, ID_AA64MMFR4_EL1.NV_frac. */
static inline bool host_has_nv2(void)
{
	uint64_t mmfr2, mmfr4;

	__asm__("mrs %0, S3_0_C0_C7_2\n\tmrs %1, S3_0_C0_C7_4" : "=r"(mmfr2), "=r"(mmfr4));
	return (mmfr2 >> 24 & 0xf) >= 2 || (mmfr4 >> 20 & 0xf) == 1;
}

/* FEAT_S2FWB: ID_AA64MMFR2_EL1.FWB. */
static inline bool host_has_fwb(void)
{
	uint64_t mmfr2;

	__asm__("mrs %0, S3_0_C0_C7_2" : "=r"(mmfr2));
	return mmfr2 >> 40 & 0xf;
}

/* A nest without a guest: what the group says of it. */
void nest_begin(void);
/* A guest with all pages mapped in it and in its guest, at random places, and its end. */
void nest_open(void);
void nest_close(void);
volatile struct hyp_orders *nest_orders(void);
/* The same of another vCPU of it: its page, of the four that it needs, and its begin on this CPU.
 */
#define NEST_SECOND 12
volatile struct hyp_orders *nest_orders_at(unsigned page);
struct pt_el2_vcpu *nest_begin_vcpu(unsigned page);
/* The guest hypervisor gets an order; goes on, which says how it was left; both, to its EXIT. */
void nest_order(enum hyp_what what, uint64_t a, uint64_t b, uint64_t c);
uint64_t nest_go(void);
void nest_does(enum hyp_what what, uint64_t a, uint64_t b, uint64_t c);
/* Of the address, by the instruction; how many leaves that has to remove. */
void nest_tlbi(uint64_t iss, uint64_t ipa, uint64_t removes);
/* By TLBIs of the guest hypervisor, so far. */
uint64_t nest_removed(void);
void nest_host_maps(unsigned page, unsigned frame, uint64_t rights);
void nest_guest_maps(unsigned page, unsigned to, uint64_t rights);
/* The same with MemAttr, as HCR_EL2.FWB and the guest hypervisor's tables have it. */
void nest_guest_maps_as(unsigned page, unsigned to, uint64_t rights, unsigned memattr);
/* Where guests see what is in guest_code. */
uint64_t nest_code_at(void (*code)(void));
/* Of the guest's guest; true: it went through. */
bool nest_loads(uint64_t ipa, uint64_t *value);
bool nest_stores(uint64_t ipa, uint64_t value);
/* It did not, and the abort is the guest hypervisor's. */
void nest_is_abort(uint64_t ipa, uint64_t fsc);
/* Aborts on this CPU so far. */
uint64_t nest_aborts(void);
/* Every page; how many aborts that took. */
uint64_t nest_reads_all(void);
/* The host has to do something about `ipa` of the guest's. */
void nest_is_hosts(uint64_t ipa, int outcome);
/* What the CPU says of every page: nothing that the composition does not, and as much as `least`.
 */
void nest_judge(uint64_t least);
/* The same of up to 64 pages of 4K: CALL_LOOK's answer. */
struct answer nest_look(uint64_t ipa, uint64_t pages);
#define ALL ((UINT64_C(1) << PAGES) - 1)

#endif
