/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to the host port: a vCPU's TLB, its entries, and the adversary that stands in for it in
 * tests. */
#ifndef PORT_HOST_TLB_H
#define PORT_HOST_TLB_H

#include <pt/host/vcpu.h>

/*
 * One translation in two words, so that a vCPU can read it without a lock.
 *
 * tag:  IPA[51:12] of the leaf's first byte in 39:0, VMID in 55:40, size code in 59:56. 0: no
 * entry. data: PA[51:12] in place, nT in 10, level + 1 in 9:7, memory type in 6:5, "a write walks
 * again" in 4, R, W, PX, UX in 3:0.
 */
struct tlb_pair {
	uint64_t tag, data;
};

#define TLB_DATA_RIGHTS UINT64_C(0xf)
#define TLB_DATA_CLEAN	(UINT64_C(1) << 4)
#define TLB_DATA_NT	(UINT64_C(1) << 10)
#define TLB_DATA_PA	UINT64_C(0x000ffffffffff000)

/* Sizes of leaves and of contiguous groups by code, for every level of every granule. */
#define TLB_CODES 11
extern const uint8_t tlb_shift[TLB_CODES + 1];

struct adversary;

/*
 * `busy` makes a vCPU the agent's that uses it. Only that agent fills; anyone empties. The tags of
 * all vCPUs that may stand at one index lie side by side in mmu->tags, so that an invalidation of
 * one page looks at one cache line for eight vCPUs; the data is the vCPU's own.
 */
struct pt_host_vcpu {
	_Alignas(64) _Atomic uint32_t busy;
	uint32_t id;
	struct adversary *adversary; /* NULL: production */
	_Alignas(64) _Atomic uint64_t data[PT_HOST_TLB_ENTRIES];
};

static inline unsigned tlb_code_of(unsigned shift)
{
	for (unsigned c = 1; c <= TLB_CODES; c++)
		if (tlb_shift[c] == shift)
			return c;
	return 0;
}

static inline uint64_t tlb_tag(uint64_t ipa, uint16_t vmid, unsigned code)
{
	return ipa >> tlb_shift[code] << tlb_shift[code] >> 12 | (uint64_t)vmid << 40 |
	       (uint64_t)code << 56;
}

static inline unsigned tlb_tag_code(uint64_t tag)
{
	return (unsigned)(tag >> 56);
}

static inline uint16_t tlb_tag_vmid(uint64_t tag)
{
	return (uint16_t)(tag >> 40);
}

static inline uint64_t tlb_tag_ipa(uint64_t tag)
{
	return tag << 24 >> 12;
}

/* First and last byte of what an invalidation names, for those that name a range. */
static inline uint64_t tlb_last(const struct pt_tlbi *tlbi)
{
	return tlbi->size ? tlbi->ipa.v + tlbi->size - 1 : tlbi->ipa.v;
}

/* Does the entry lie in, or reach into, the range of `tlbi`? */
static inline bool tlb_meets(uint64_t tag, const struct pt_tlbi *tlbi)
{
	uint64_t lo = tlb_tag_ipa(tag), span = UINT64_C(1) << tlb_shift[tlb_tag_code(tag)];

	return tlb_tag_vmid(tag) == tlbi->vmid && lo <= tlb_last(tlbi) && lo + span > tlbi->ipa.v;
}

bool tlb_lookup(struct pt_port_mmu *mmu, struct pt_host_vcpu *vcpu, uint64_t ipa, uint16_t vmid,
		struct tlb_pair *found);
/* False: an invalidation came since `generation` was read; the entry is out again, and one walks
 * again. */
bool tlb_fill(struct pt_port_mmu *mmu, struct pt_host_vcpu *vcpu, const struct tlb_pair *pair,
	      uint64_t generation);

/* adversary.c: the same three verbs for a TLB that keeps whatever it may keep. */
struct adversary *adversary_create(uint64_t seed);
void adversary_destroy(struct adversary *a);
bool adversary_lookup(struct adversary *a, uint64_t ipa, uint16_t vmid, struct tlb_pair *found);
/* Does the access meet entries of two sizes, and does that make it abort? Only with FEAT_BBM. */
bool adversary_conflict(struct adversary *a, uint64_t ipa, uint16_t vmid, bool bbm);
bool adversary_fill(struct pt_port_mmu *mmu, struct adversary *a, const struct tlb_pair *pair,
		    uint64_t generation);
/* The halves of an invalidation: what it names of stage 2; all combined entries of the VMID. */
void adversary_stage2(struct adversary *a, const struct pt_tlbi *tlbi);
void adversary_stage1(struct adversary *a, const struct pt_tlbi *tlbi);
uint32_t adversary_count(struct adversary *a);
/* Draws an address near `ipa` to prefetch; false: not this time. */
bool adversary_prefetch(struct adversary *a, uint64_t ipa, unsigned granule_shift, uint64_t *near);
/* Says that an answer of the store was not what the tables say now. */
void adversary_note_stale(struct adversary *a);
void adversary_stats(struct adversary *a, struct pt_host_tlb_stats *stats);

#endif
