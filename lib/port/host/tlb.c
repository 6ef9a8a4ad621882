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
 * `codes` follows the same rule: a bit is set before the first entry of its size is stored, so an
 * invalidation that does not see it has raised the generation before the filler looks again.
 */
#include "tlb.h"

#include <stdlib.h>
#include <string.h>

const uint8_t tlb_shift[TLB_CODES + 1] = {0, 12, 14, 16, 21, 25, 29, 30, 34, 36, 39, 42};

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

static _Atomic uint64_t *row(const struct pt_port_mmu *mmu, unsigned index)
{
	return mmu->tags + (size_t)index * mmu->stride;
}

bool tlb_lookup(struct pt_port_mmu *mmu, struct pt_host_vcpu *vcpu, uint64_t ipa, uint16_t vmid,
		struct tlb_pair *found)
{
	uint32_t codes = atomic_load_explicit(&mmu->codes, memory_order_relaxed);

	while (codes) {
		unsigned code = next_code(&codes), index = index_of(ipa, vmid, code);

		found->tag = atomic_load_explicit(&row(mmu, index)[vcpu->id], memory_order_acquire);
		if (found->tag != tlb_tag(ipa, vmid, code))
			continue;
		found->data = atomic_load_explicit(&vcpu->data[index], memory_order_relaxed);
		return true;
	}
	return false;
}

bool tlb_fill(struct pt_port_mmu *mmu, struct pt_host_vcpu *vcpu, const struct tlb_pair *pair,
	      uint64_t generation)
{
	unsigned code = tlb_tag_code(pair->tag);
	unsigned index = index_of(tlb_tag_ipa(pair->tag), tlb_tag_vmid(pair->tag), code);
	_Atomic uint64_t *tag = &row(mmu, index)[vcpu->id];

	if (!(atomic_load(&mmu->codes) >> code & 1))
		atomic_fetch_or(&mmu->codes, UINT32_C(1) << code);
	/* Only this agent reads the data, so a tag and its data never mix. */
	atomic_store_explicit(&vcpu->data[index], pair->data, memory_order_relaxed);
	atomic_store(tag, pair->tag);
	if (atomic_load(&mmu->generation) == generation)
		return true;
	atomic_store(tag, 0);
	return false;
}

static void drop(_Atomic uint64_t *at, uint64_t tag)
{
	atomic_compare_exchange_strong(at, &tag, 0);
}

/* The vCPUs that an invalidation concerns: one, or all. */
struct scope {
	uint32_t first, end;
};

static void probe_page(struct pt_port_mmu *mmu, struct scope who, uint64_t ipa, uint16_t vmid,
		       unsigned code)
{
	_Atomic uint64_t *tags = row(mmu, index_of(ipa, vmid, code));
	uint64_t want = tlb_tag(ipa, vmid, code);

	for (uint32_t i = who.first; i < who.end; i++)
		if (atomic_load(&tags[i]) == want)
			drop(&tags[i], want);
}

static bool names(const struct pt_tlbi *tlbi, uint64_t tag)
{
	if (tlbi->kind == PT_TLBI_ALL)
		return true;
	if (tlbi->kind == PT_TLBI_VMID)
		return tlb_tag_vmid(tag) == tlbi->vmid;
	return tlb_meets(tag, tlbi);
}

static void sweep(struct pt_port_mmu *mmu, struct scope who, const struct pt_tlbi *tlbi)
{
	for (unsigned index = 0; index < PT_HOST_TLB_ENTRIES; index++)
		for (uint32_t i = who.first; i < who.end; i++) {
			_Atomic uint64_t *at = &row(mmu, index)[i];
			uint64_t tag = atomic_load(at);

			if (tag && names(tlbi, tag))
				drop(at, tag);
		}
}

/*
 * By address: every entry of a size in use that reaches into the range, page by page while that is
 * less than a sweep. The level hint saves nothing here, and is not relied on.
 */
static void empty_range(struct pt_port_mmu *mmu, struct scope who, const struct pt_tlbi *tlbi)
{
	uint32_t codes = atomic_load(&mmu->codes);

	while (codes) {
		unsigned code = next_code(&codes), shift = tlb_shift[code];
		uint64_t page = tlbi->ipa.v >> shift, last = tlb_last(tlbi) >> shift;

		if (last - page >= PT_HOST_TLB_ENTRIES) {
			sweep(mmu, who, tlbi);
			return;
		}
		for (; page <= last; page++)
			probe_page(mmu, who, page << shift, tlbi->vmid, code);
	}
}

static bool adversarial(const struct pt_port_mmu *mmu)
{
	return mmu->vcpus && mmu->vcpu[0].adversary;
}

static void empty(struct pt_port_mmu *mmu, struct scope who, const struct pt_tlbi *tlbi)
{
	if (tlbi->kind == PT_TLBI_VMID || tlbi->kind == PT_TLBI_ALL)
		sweep(mmu, who, tlbi);
	else if (tlbi->kind != PT_TLBI_STAGE1)
		empty_range(mmu, who, tlbi);
}

static struct scope begin(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	if (tlbi->kind != PT_TLBI_LOCAL) {
		atomic_fetch_add(&mmu->generation, 1);
		return (struct scope){0, mmu->vcpus};
	}
	/* The vCPU's own doing: what another vCPU fills meanwhile is none of its business. */
	atomic_fetch_add_explicit(&mmu->local_tlbis, 1, memory_order_relaxed);
	return tlbi->vcpu < mmu->vcpus ? (struct scope){tlbi->vcpu, tlbi->vcpu + 1}
				       : (struct scope){0, 0};
}

/* The production TLB keeps nothing combined: its first half is all. */
void pt_host_tlbi_stage2(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	struct scope who = begin(mmu, tlbi);

	if (!adversarial(mmu))
		empty(mmu, who, tlbi);
	else
		for (uint32_t i = who.first; i < who.end; i++)
			adversary_stage2(mmu->vcpu[i].adversary, tlbi);
}

void pt_host_tlbi_stage1(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	bool local = tlbi->kind == PT_TLBI_LOCAL;

	for (uint32_t i = 0; adversarial(mmu) && i < mmu->vcpus; i++)
		if (!local || i == tlbi->vcpu)
			adversary_stage1(mmu->vcpu[i].adversary, tlbi);
}

void pt_host_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	pt_host_tlbi_stage2(mmu, tlbi);
	pt_host_tlbi_stage1(mmu, tlbi);
}

/* Zeroed memory on cache lines of its own; NULL: none left. */
static void *lines(size_t bytes)
{
	size_t whole = (bytes + 63) / 64 * 64;
	void *at = aligned_alloc(64, whole);

	return at ? memset(at, 0, whole) : NULL;
}

static bool make_vcpus(struct pt_port_mmu *mmu, enum pt_host_tlb_mode mode, uint64_t seed)
{
	mmu->tags = lines(sizeof(*mmu->tags) * PT_HOST_TLB_ENTRIES * mmu->stride);
	mmu->vcpu = lines(sizeof(*mmu->vcpu) * mmu->vcpus);
	if (!mmu->tags || !mmu->vcpu)
		return false;
	for (uint32_t i = 0; i < mmu->vcpus; i++) {
		struct pt_host_vcpu *v = &mmu->vcpu[i];

		v->id = i;
		if (mode == PT_HOST_TLB_ADVERSARIAL)
			v->adversary = adversary_create(seed + i);
		if (mode == PT_HOST_TLB_ADVERSARIAL && !v->adversary)
			return false;
	}
	return true;
}

enum pt_outcome pt_host_mmu_init(struct pt_port_mmu *mmu, uint32_t vcpus,
				 enum pt_host_tlb_mode mode, uint64_t seed)
{
	memset(mmu, 0, sizeof(*mmu));
	mmu->vcpus = vcpus;
	mmu->stride = (vcpus + 7) / 8 * 8;
	if (!vcpus || make_vcpus(mmu, mode, seed))
		return PT_OK;
	pt_host_mmu_destroy(mmu);
	return PT_NO_MEMORY;
}

void pt_host_mmu_destroy(struct pt_port_mmu *mmu)
{
	for (uint32_t i = 0; mmu->vcpu && i < mmu->vcpus; i++)
		if (mmu->vcpu[i].adversary)
			adversary_destroy(mmu->vcpu[i].adversary);
	free(mmu->vcpu);
	free((void *)mmu->tags);
	memset(mmu, 0, sizeof(*mmu));
}

uint32_t pt_host_tlb_count(const struct pt_port_mmu *mmu, uint32_t vcpu)
{
	uint32_t n = 0;

	if (mmu->vcpu[vcpu].adversary)
		return adversary_count(mmu->vcpu[vcpu].adversary);
	for (unsigned i = 0; i < PT_HOST_TLB_ENTRIES; i++)
		n += atomic_load_explicit(&row(mmu, i)[vcpu], memory_order_relaxed) != 0;
	return n;
}

void pt_host_tlb_stats(const struct pt_port_mmu *mmu, struct pt_host_tlb_stats *stats)
{
	*stats = (struct pt_host_tlb_stats){0};
	for (uint32_t i = 0; i < mmu->vcpus; i++)
		if (mmu->vcpu[i].adversary)
			adversary_stats(mmu->vcpu[i].adversary, stats);
}
