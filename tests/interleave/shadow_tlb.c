/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What hardware may remember of the shadows, at its worst (tlb.c has the same of the context):
 * whatever stood in a shadow's tables is held by some CPU until an invalidation names it. When an
 * operation is answered that took something from the canonical context, or that is an invalidation
 * of the guest's, nothing is held that what it took, or invalidated, had made.
 */
#include "shadow.h"

#include "world.h"

#define PAGES	2 /* of the nested guest's, and of the context's that they lead to */
#define ENTRIES 24
#define RIGHTS	(PT_PTE_S2AP_R | PT_PTE_S2AP_W)
#define OA	UINT64_C(0x0000fffffffff000)

struct entry {
	const struct pt_shadow *shadow;
	uint16_t vmid;
	int8_t level;
	uint64_t ipa, pa, rights;
};

static struct {
	struct entry entry[ENTRIES];
	unsigned count;
	struct iv_leaf host[PAGES]; /* what the context said last */
	unsigned took[PAGES];	    /* agents that have taken something from a page of it since */
	unsigned asked[PAGES];	    /* agents that will have invalidated a page of the guest's */
} t IV_RUN;

/* The context maps its memory in order, from here on. */
static uint64_t memory(void)
{
	return iv_w.slots[0].head.slot[0].pa;
}

static bool gives(const struct iv_leaf *leaf, uint64_t page, uint64_t pa, uint64_t rights)
{
	return leaf->level && leaf->pa + (page - leaf->base) == pa && !(rights & ~leaf->attrs);
}

static bool host_gives(const struct entry *e)
{
	struct iv_leaf leaf = iv_world_leaf(e->pa - memory());

	return gives(&leaf, e->pa - memory(), e->pa, e->rights);
}

/* A shadow that is going is run by nobody: what TLBs hold of it goes with it. */
static bool guest_gives(const struct entry *e)
{
	uint64_t d = iv_shadow_guest(e->ipa);

	if (e->shadow->state != PT_SHADOW_LIVE)
		return true;
	return d & 1 && (d & OA) == e->pa - memory() && !(e->rights & ~d);
}

static void keep(const struct entry *e)
{
	for (unsigned i = 0; i < t.count; i++)
		if (t.entry[i].vmid == e->vmid && t.entry[i].ipa == e->ipa &&
		    t.entry[i].pa == e->pa && t.entry[i].rights == e->rights)
			return;
	if (t.count == ENTRIES)
		iv_fail("the TLB of the shadows is too small");
	t.entry[t.count++] = *e;
}

static void walk(const struct pt_shadow *s, uint64_t ipa)
{
	uint16_t vmid = pt_ctx_vmid(&s->ctx);
	int level;
	uint64_t e = iv_shadow_entry(s, ipa, &level);
	uint64_t in = level < PT_LEVEL_LAST ? ipa : 0; /* blocks begin at 0 */

	if (vmid && e & 1 && e & PT_PTE_AF)
		keep(&(struct entry){s, vmid, (int8_t)level, ipa, (e & OA) + in, e & RIGHTS});
}

void iv_shadow_tlb_note(unsigned agent)
{
	for (unsigned i = 0; i < PAGES; i++) {
		struct iv_leaf now = iv_world_leaf((uint64_t)i << 12), *was = &t.host[i];
		uint64_t pa = was->pa + (((uint64_t)i << 12) - was->base);

		if (agent != IV_NOBODY && was->level &&
		    !gives(&now, (uint64_t)i << 12, pa, was->attrs & RIGHTS))
			t.took[i] |= 1u << agent;
		*was = now;
	}
	for (unsigned n = 0; n < IV_SHADOWS; n++)
		for (uint64_t i = 0; i < PAGES && iv_w.shadow[n].state == PT_SHADOW_LIVE; i++)
			walk(&iv_w.shadow[n], i << 12);
}

void iv_shadow_tlb_reset(void)
{
	t.count = 0;
	for (unsigned i = 0; i < PAGES; i++)
		t.took[i] = t.asked[i] = t.host[i].level = 0;
	iv_shadow_tlb_note(IV_NOBODY);
}

void iv_shadow_tlb_asked(uint64_t ipa)
{
	t.asked[ipa >> 12] |= 1u << iv_self();
}

static bool names(const struct pt_tlbi *tlbi, const struct entry *e)
{
	uint64_t last = tlbi->ipa.v + (tlbi->size ? tlbi->size : 1) - 1;

	if (tlbi->kind == PT_TLBI_ALL)
		return true;
	if (tlbi->vmid != e->vmid || tlbi->kind == PT_TLBI_STAGE1)
		return false;
	if (tlbi->kind == PT_TLBI_VMID)
		return true;
	if (tlbi->level != PT_TTL_UNKNOWN && tlbi->level != e->level)
		return false;
	if (e->level < PT_LEVEL_LAST)
		return tlbi->ipa.v < pt_level_size(&e->shadow->ctx.geo, e->level);
	return tlbi->ipa.v < e->ipa + 0x1000 && last >= e->ipa;
}

void iv_shadow_tlb_flush(const struct pt_tlbi *tlbi)
{
	unsigned left = 0;

	for (unsigned i = 0; i < t.count; i++)
		if (!names(tlbi, &t.entry[i]))
			t.entry[left++] = t.entry[i];
	t.count = left;
}

void iv_shadow_tlb_told(uint64_t pages)
{
	for (unsigned i = 0; i < t.count; i++) {
		uint64_t page = (t.entry[i].pa - memory()) >> 12;

		if (pages >> page & 1 && t.entry[i].rights & PT_PTE_S2AP_W)
			iv_fail("a page's bit is taken while a TLB lets a shadow write it (D2)");
	}
}

/* TLBIs are of the first shadow's VMID. */
static bool asked_for(const struct entry *e, unsigned agents)
{
	return e->shadow == iv_w.shadow && t.asked[e->ipa >> 12] & agents;
}

/* By `agents`, on whose answer something has to have gone. */
static void judge(unsigned agents, const char *when)
{
	for (unsigned i = 0; i < t.count; i++) {
		const struct entry *e = &t.entry[i];
		uint64_t page = (e->pa - memory()) >> 12;

		if (page < PAGES && t.took[page] & agents && !host_gives(e))
			iv_fail("%s a TLB still holds %#llx -> %#llx of a shadow, which the "
				"context has taken (N2)",
				when, (unsigned long long)e->ipa, (unsigned long long)e->pa);
		if (asked_for(e, agents) && !guest_gives(e))
			iv_fail("%s a TLB still holds %#llx -> %#llx of a shadow, which the guest "
				"has invalidated (N3)",
				when, (unsigned long long)e->ipa, (unsigned long long)e->pa);
	}
}

void iv_shadow_tlb_reply(unsigned agent)
{
	judge(1u << agent, "when an operation is answered");
	for (unsigned i = 0; i < PAGES; i++) {
		t.took[i] &= ~(1u << agent);
		t.asked[i] &= ~(1u << agent);
	}
}

uint64_t iv_shadow_tlb_hash(void)
{
	uint64_t hash = t.count;

	for (unsigned i = 0; i < t.count; i++)
		hash += iv_mix(t.entry[i].ipa ^ t.entry[i].rights ^ (uint64_t)t.entry[i].vmid << 48,
			       t.entry[i].pa);
	for (unsigned i = 0; i < PAGES; i++)
		hash = iv_mix(hash, t.took[i] * 16 + t.asked[i]);
	return hash;
}
