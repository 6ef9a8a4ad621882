/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host port: the TLBs of a machine, and TLBI.
 *
 * A fill races with an invalidation in two ways, and both end well because all four accesses are
 * sequentially consistent. The filler stores the entry, then reads `generation` again; the
 * invalidation raises `generation`, then reads the entries. Either the invalidation sees the entry
 * and empties it, or the filler sees the new generation, drops the entry and walks again; that walk
 * sees the tables as they were before the invalidation, since the raise is a release.
 *
 * `codes` follows the same rule: it is set before the entry is stored, and cleared only while the
 * vCPU is held, so a skipped vCPU has no entry, or one whose filler will see the new generation.
 */
#include "tlb.h"

#include <stdlib.h>
#include <string.h>

const uint8_t tlb_shift[TLB_CODES + 1] = {0, 12, 14, 16, 21, 25, 29, 30, 36, 39, 42};

static unsigned index_of(uint64_t ipa, uint16_t vmid, unsigned code)
{
	return (unsigned)((ipa >> tlb_shift[code]) + vmid * 21u + code * 19u) % PT_HOST_TLB_ENTRIES;
}

/* Takes the lowest bit off a set of size codes. */
static unsigned next_code(uint32_t *codes)
{
	unsigned code = (unsigned)__builtin_ctz(*codes);

	*codes &= *codes - 1;
	return code;
}

bool tlb_lookup(struct pt_host_vcpu *vcpu, uint64_t ipa, uint16_t vmid, struct tlb_pair *found)
{
	uint32_t codes = atomic_load_explicit(&vcpu->codes, memory_order_relaxed);

	while (codes) {
		unsigned code = next_code(&codes);
		struct tlb_entry *e = &vcpu->entry[index_of(ipa, vmid, code)];

		found->tag = atomic_load_explicit(&e->tag, memory_order_acquire);
		if (found->tag != tlb_tag(ipa, vmid, code))
			continue;
		found->data = atomic_load_explicit(&e->data, memory_order_relaxed);
		return true;
	}
	return false;
}

static void note_code(struct pt_host_vcpu *vcpu, unsigned code)
{
	uint32_t bit = UINT32_C(1) << code;

	if (!(atomic_load(&vcpu->codes) & bit))
		atomic_fetch_or(&vcpu->codes, bit);
}

bool tlb_fill(struct pt_port_mmu *mmu, struct pt_host_vcpu *vcpu, const struct tlb_pair *pair,
	      uint64_t generation)
{
	unsigned code = tlb_tag_code(pair->tag);
	uint16_t vmid = tlb_tag_vmid(pair->tag);
	struct tlb_entry *e = &vcpu->entry[index_of(tlb_tag_ipa(pair->tag), vmid, code)];

	note_code(vcpu, code);
	atomic_store_explicit(&e->tag, 0, memory_order_relaxed);
	atomic_store_explicit(&e->data, pair->data, memory_order_release);
	atomic_store(&e->tag, pair->tag);
	if (atomic_load(&mmu->generation) == generation)
		return true;
	atomic_store(&e->tag, 0);
	return false;
}

/* Empties what `tlbi` names at one place. */
static void probe(struct tlb_entry *e, const struct pt_tlbi *tlbi)
{
	uint64_t tag = atomic_load(&e->tag);

	if (tag && tlb_meets(tag, tlbi))
		atomic_compare_exchange_strong(&e->tag, &tag, 0);
}

/* Every place where an entry of this size in the range can stand; all of them if there are many. */
static void probe_code(struct pt_host_vcpu *vcpu, const struct pt_tlbi *tlbi, unsigned code)
{
	uint64_t first = tlbi->ipa.v >> tlb_shift[code], last = tlb_last(tlbi) >> tlb_shift[code];

	if (last - first >= PT_HOST_TLB_ENTRIES)
		last = first + PT_HOST_TLB_ENTRIES - 1;
	for (uint64_t page = first; page <= last; page++)
		probe(&vcpu->entry[index_of(page << tlb_shift[code], tlbi->vmid, code)], tlbi);
}

static void empty_range(struct pt_host_vcpu *vcpu, const struct pt_tlbi *tlbi)
{
	uint32_t codes = atomic_load(&vcpu->codes);

	while (codes)
		probe_code(vcpu, tlbi, next_code(&codes));
}

/* True: no entry is left. */
static bool empty_all(struct pt_host_vcpu *vcpu, const struct pt_tlbi *tlbi)
{
	bool none = true;

	for (unsigned i = 0; i < PT_HOST_TLB_ENTRIES; i++) {
		struct tlb_entry *e = &vcpu->entry[i];
		uint64_t tag = atomic_load(&e->tag);

		if (tag && tlbi->kind == PT_TLBI_VMID && tlb_tag_vmid(tag) != tlbi->vmid)
			none = false;
		else if (tag)
			atomic_compare_exchange_strong(&e->tag, &tag, 0);
	}
	return none;
}

static void empty_whole(struct pt_host_vcpu *vcpu, const struct pt_tlbi *tlbi)
{
	bool held = !atomic_exchange(&vcpu->busy, 1);

	if (empty_all(vcpu, tlbi) && held)
		atomic_store(&vcpu->codes, 0);
	if (held)
		atomic_store_explicit(&vcpu->busy, 0, memory_order_release);
}

static void invalidate(struct pt_host_vcpu *vcpu, const struct pt_tlbi *tlbi)
{
	if (vcpu->adversary)
		adversary_invalidate(vcpu->adversary, tlbi);
	else if (!atomic_load(&vcpu->codes))
		return;
	else if (tlbi->kind == PT_TLBI_VMID || tlbi->kind == PT_TLBI_ALL)
		empty_whole(vcpu, tlbi);
	else
		empty_range(vcpu, tlbi);
}

void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	if (!mmu)
		return;
	if (tlbi->kind == PT_TLBI_LOCAL) {
		/* The vCPU's own doing: what another vCPU fills meanwhile is none of its business.
		 */
		atomic_fetch_add_explicit(&mmu->local_tlbis, 1, memory_order_relaxed);
		if (tlbi->vcpu < mmu->vcpus)
			invalidate(&mmu->vcpu[tlbi->vcpu], tlbi);
		return;
	}
	atomic_fetch_add(&mmu->generation, 1);
	for (uint32_t i = 0; i < mmu->vcpus; i++)
		invalidate(&mmu->vcpu[i], tlbi);
}

enum pt_outcome pt_host_mmu_init(struct pt_port_mmu *mmu, uint32_t vcpus,
				 enum pt_host_tlb_mode mode, uint64_t seed)
{
	size_t bytes = vcpus * sizeof(struct pt_host_vcpu);

	memset(mmu, 0, sizeof(*mmu));
	if (!vcpus)
		return PT_OK;
	mmu->vcpu = aligned_alloc(_Alignof(struct pt_host_vcpu), bytes);
	if (!mmu->vcpu)
		return PT_NO_MEMORY;
	memset(mmu->vcpu, 0, bytes);
	mmu->vcpus = vcpus;
	for (uint32_t i = 0; mode == PT_HOST_TLB_ADVERSARIAL && i < vcpus; i++) {
		mmu->vcpu[i].adversary = adversary_create(seed + i);
		if (!mmu->vcpu[i].adversary) {
			pt_host_mmu_destroy(mmu);
			return PT_NO_MEMORY;
		}
	}
	return PT_OK;
}

void pt_host_mmu_destroy(struct pt_port_mmu *mmu)
{
	for (uint32_t i = 0; i < mmu->vcpus; i++)
		if (mmu->vcpu[i].adversary)
			adversary_destroy(mmu->vcpu[i].adversary);
	free(mmu->vcpu);
	mmu->vcpu = NULL;
	mmu->vcpus = 0;
}

uint32_t pt_host_tlb_count(const struct pt_port_mmu *mmu, uint32_t vcpu)
{
	struct pt_host_vcpu *v = &mmu->vcpu[vcpu];
	uint32_t n = 0;

	if (v->adversary)
		return adversary_count(v->adversary);
	for (unsigned i = 0; i < PT_HOST_TLB_ENTRIES; i++)
		n += atomic_load_explicit(&v->entry[i].tag, memory_order_relaxed) != 0;
	return n;
}

void pt_host_tlb_stats(const struct pt_port_mmu *mmu, struct pt_host_tlb_stats *stats)
{
	*stats = (struct pt_host_tlb_stats){0};
	for (uint32_t i = 0; i < mmu->vcpus; i++)
		if (mmu->vcpu[i].adversary)
			adversary_stats(mmu->vcpu[i].adversary, stats);
}
