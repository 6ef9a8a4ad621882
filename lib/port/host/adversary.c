/* SPDX-License-Identifier: BSD-2-Clause */
/* clang-format off */
/*
 * Host port, for tests: a TLB that keeps every translation it ever saw until an invalidation that
 * must remove it, and answers with the oldest it has.
 *
 * It stands for any hardware: what one CPU may keep, this one keeps. Each fill also makes a combined
 * stage-1+2 entry, kept apart: stage-2 invalidations by IPA leave those alone, and the VMALLE1 half
 * that each kind by address ends with removes all of the VMID. Invalidations remove no more than
 * they must:
 *
 *   IPA        entries of the VMID that translate exactly that IPA, at the hinted level if there is
 *              a hint
 *   RANGE      entries of the VMID that reach into the range, the same hint
 *   LOCAL      as IPA, for one vCPU
 *   VMID, ALL  by VMID, everything
 *
 * Where block and pages, or a group and its members, are held for one address, an access may take a
 * TLB conflict abort if the context has FEAT_BBM; else that may never be (clashes). An entry of a
 * block with nT clashes with none (Arm ARM D8.16.2).
 *
 * One mutex a vCPU: tests want certainty here, not speed.
 */
/* clang-format on */
#include "tlb.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

struct kept {
	struct tlb_pair pair;
	uint64_t born; /* order of arrival */
};

/* In order of arrival. */
struct bucket {
	struct kept *kept;
	uint32_t count, room;
};

struct store {
	struct bucket bucket[BUCKETS];
	uint64_t filled[BUCKETS / 64]; /* buckets that may hold something */
	uint32_t codes;		       /* size codes ever filled */
	uint32_t count;
	uint64_t births;
};

struct adversary {
	pthread_mutex_t lock;
	struct store stage2, combined;
	uint64_t rng;
	struct pt_host_tlb_stats stats;
};

struct adversary *adversary_create(uint64_t seed)
{
	struct adversary *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	a->rng = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	return a;
}

static void store_free(struct store *s)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		free(s->bucket[i].kept);
}

void adversary_destroy(struct adversary *a)
{
	store_free(&a->stage2);
	store_free(&a->combined);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static struct bucket *bucket_of(struct store *s, uint64_t tag)
{
	return &s->bucket[(tag * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

static_assert(BUCKETS == 1 << 10, "bucket_of takes the top ten bits");

/* The oldest entry of this size for the address, if it is older than `*best`. */
static void find_older(struct store *s, uint64_t tag, const struct kept **best)
{
	const struct bucket *b = bucket_of(s, tag);

	for (uint32_t i = 0; i < b->count; i++)
		if (b->kept[i].pair.tag == tag) {
			if (!*best || b->kept[i].born < (*best)->born)
				*best = &b->kept[i];
			return;
		}
}

static bool store_find(struct store *s, uint64_t ipa, uint16_t vmid, struct tlb_pair *found)
{
	const struct kept *best = NULL;

	for (unsigned code = 1; code <= TLB_CODES; code++)
		if (s->codes >> code & 1)
			find_older(s, tlb_tag(ipa, vmid, code), &best);
	if (best)
		*found = best->pair;
	return best;
}

/* False: known already, or no memory (then a CPU that kept one translation less: legal too). */
static bool store_add(struct store *s, const struct tlb_pair *pair)
{
	struct bucket *b = bucket_of(s, pair->tag);

	for (uint32_t i = 0; i < b->count; i++)
		if (b->kept[i].pair.tag == pair->tag && b->kept[i].pair.data == pair->data)
			return false;
	if (b->count == b->room) {
		uint32_t room = b->room ? 2 * b->room : 4;
		void *more = realloc(b->kept, room * sizeof(*b->kept));

		if (!more)
			return false;
		b->kept = more;
		b->room = room;
	}
	b->kept[b->count++] = (struct kept){*pair, s->births++};
	s->filled[(b - s->bucket) / 64] |= UINT64_C(1) << (b - s->bucket) % 64;
	s->codes |= UINT32_C(1) << tlb_tag_code(pair->tag);
	s->count++;
	return true;
}

bool adversary_lookup(struct adversary *a, uint64_t ipa, uint16_t vmid, struct tlb_pair *found)
{
	bool hit;

	pthread_mutex_lock(&a->lock);
	hit = store_find(&a->combined, ipa, vmid, found) ||
	      store_find(&a->stage2, ipa, vmid, found);
	a->stats.served += hit;
	pthread_mutex_unlock(&a->lock);
	return hit;
}

static uint64_t draw(struct adversary *a)
{
	a->rng ^= a->rng << 13;
	a->rng ^= a->rng >> 7;
	a->rng ^= a->rng << 17;
	return a->rng;
}

/* Sizes held for the address, but for blocks with nT. */
static unsigned sizes_held(struct store *s, uint64_t ipa, uint16_t vmid)
{
	unsigned sizes = 0;

	for (unsigned code = 1; code <= TLB_CODES; code++) {
		uint64_t tag = tlb_tag(ipa, vmid, code);
		const struct bucket *b = bucket_of(s, tag);
		bool held = false;

		for (uint32_t i = 0; i < b->count && s->codes >> code & 1; i++)
			held |= b->kept[i].pair.tag == tag && !(b->kept[i].pair.data & TLB_DATA_NT);
		sizes += held;
	}
	return sizes;
}

bool adversary_conflict(struct adversary *a, uint64_t ipa, uint16_t vmid, bool bbm)
{
	bool conflict;

	pthread_mutex_lock(&a->lock);
	conflict = sizes_held(&a->combined, ipa, vmid) > 1 || sizes_held(&a->stage2, ipa, vmid) > 1;
	a->stats.clashes += conflict && !bbm;
	conflict = conflict && bbm && draw(a) & 1;
	a->stats.conflicts += conflict;
	pthread_mutex_unlock(&a->lock);
	return conflict;
}

/* Under the lock an invalidation is before or after as a whole: no entry need be taken out again.
 */
bool adversary_fill(struct pt_port_mmu *mmu, struct adversary *a, const struct tlb_pair *pair,
		    uint64_t generation)
{
	bool current;

	pthread_mutex_lock(&a->lock);
	current = atomic_load(&mmu->generation) == generation;
	if (current) {
		a->stats.kept += store_add(&a->stage2, pair);
		store_add(&a->combined, pair);
	}
	pthread_mutex_unlock(&a->lock);
	return current;
}

static int level_of(const struct tlb_pair *pair)
{
	return (int)(pair->data >> 7 & 7) - 1;
}

/* Must the stage-2 half of `tlbi` remove this entry? */
static bool must_go(const struct tlb_pair *pair, const struct pt_tlbi *tlbi)
{
	struct pt_tlbi one = *tlbi;

	if (tlbi->kind == PT_TLBI_ALL)
		return true;
	if (tlbi->kind == PT_TLBI_STAGE1)
		return false;
	if (tlbi->kind == PT_TLBI_VMID)
		return tlb_tag_vmid(pair->tag) == tlbi->vmid;
	if (tlbi->level != PT_TTL_UNKNOWN && tlbi->level != level_of(pair))
		return false;
	if (tlbi->kind != PT_TLBI_RANGE)
		one.size = 1;
	return tlb_meets(pair->tag, &one);
}

static uint32_t bucket_sweep(struct bucket *b, const struct pt_tlbi *tlbi)
{
	uint32_t left = 0, removed;

	for (uint32_t i = 0; i < b->count; i++)
		if (!must_go(&b->kept[i].pair, tlbi))
			b->kept[left++] = b->kept[i];
	removed = b->count - left;
	b->count = left;
	return removed;
}

static uint64_t whole_sweep(struct store *s, const struct pt_tlbi *tlbi)
{
	uint64_t removed = 0;

	for (unsigned word = 0; word < BUCKETS / 64; word++)
		for (uint64_t left = s->filled[word]; left; left &= left - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(left);
			struct bucket *b = &s->bucket[word * 64 + bit];

			removed += bucket_sweep(b, tlbi);
			if (!b->count)
				s->filled[word] &= ~(UINT64_C(1) << bit);
		}
	return removed;
}

/* Entries of one size: where each page of the range hashes to, or everywhere when that is less
 * work. */
static uint64_t size_sweep(struct store *s, const struct pt_tlbi *tlbi, unsigned code)
{
	unsigned shift = tlb_shift[code];
	uint64_t page = tlbi->ipa.v >> shift, last = tlb_last(tlbi) >> shift, removed = 0;

	if (last - page >= BUCKETS)
		return whole_sweep(s, tlbi);
	for (; page <= last; page++) {
		struct bucket *b = bucket_of(s, tlb_tag(page << shift, tlbi->vmid, code));

		if (b->count)
			removed += bucket_sweep(b, tlbi);
	}
	return removed;
}

static uint64_t store_sweep(struct store *s, const struct pt_tlbi *tlbi)
{
	uint64_t removed = 0;

	if (!s->count)
		return 0;
	if (tlbi->kind == PT_TLBI_VMID || tlbi->kind == PT_TLBI_ALL)
		removed = whole_sweep(s, tlbi);
	else
		for (unsigned code = 1; code <= TLB_CODES; code++)
			if (s->codes >> code & 1)
				removed += size_sweep(s, tlbi, code);
	s->count -= (uint32_t)removed;
	return removed;
}

void adversary_stage2(struct adversary *a, const struct pt_tlbi *tlbi)
{
	pthread_mutex_lock(&a->lock);
	a->stats.invalidated += store_sweep(&a->stage2, tlbi);
	pthread_mutex_unlock(&a->lock);
}

void adversary_stage1(struct adversary *a, const struct pt_tlbi *tlbi)
{
	struct pt_tlbi all = *tlbi;

	if (tlbi->kind != PT_TLBI_ALL)
		all.kind = PT_TLBI_VMID;
	pthread_mutex_lock(&a->lock);
	store_sweep(&a->combined, &all);
	pthread_mutex_unlock(&a->lock);
}

uint32_t adversary_count(struct adversary *a)
{
	uint32_t n;

	pthread_mutex_lock(&a->lock);
	n = a->stage2.count;
	pthread_mutex_unlock(&a->lock);
	return n;
}

bool adversary_prefetch(struct adversary *a, uint64_t ipa, unsigned granule_shift, uint64_t *near)
{
	uint64_t r;

	pthread_mutex_lock(&a->lock);
	r = draw(a);
	pthread_mutex_unlock(&a->lock);
	/* One of the eight pages on either side, every second time. */
	*near = ipa + ((r >> 8 & 15) << granule_shift) - (UINT64_C(8) << granule_shift);
	return r & 1;
}

void adversary_note_stale(struct adversary *a)
{
	pthread_mutex_lock(&a->lock);
	a->stats.stale++;
	pthread_mutex_unlock(&a->lock);
}

void adversary_stats(struct adversary *a, struct pt_host_tlb_stats *stats)
{
	pthread_mutex_lock(&a->lock);
	stats->kept += a->stats.kept;
	stats->served += a->stats.served;
	stats->stale += a->stats.stale;
	stats->invalidated += a->stats.invalidated;
	stats->conflicts += a->stats.conflicts;
	stats->clashes += a->stats.clashes;
	pthread_mutex_unlock(&a->lock);
}
