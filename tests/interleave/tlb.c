/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What hardware may remember, at its worst: whatever a walk could have found since the last
 * invalidation that named it is still held by some CPU. After each write that becomes visible, each
 * tracked page is walked and the translation kept, and so is the table that the walk came through.
 * An entry that the tables no longer agree with is stale, by the agent whose write made it so, who
 * has to have it gone before its operation is answered. Entries with fewer rights than the tables
 * give now are no harm: relaxing broadcasts nothing.
 */
#include "iv.h"
#include "shadow.h"
#include "world.h"

#include <string.h>

#define ENTRIES 48

struct entry {
	uint64_t base, pa, attrs;
	int8_t level;
	bool table; /* a table pointer for the span, kept by a walk cache */
	uint8_t stale_by;
	uint16_t vmid;
};

static struct {
	struct entry entry[ENTRIES];
	unsigned count;
} tlb IV_RUN;

/* The same translation: what an entry is compared by. AF is set in all of them. */
#define KEPT (PT_PTE_PERM | PT_PTE_MEMATTR | PT_PTE_DBM)

static uint64_t span(int level)
{
	return pt_level_size(&iv_w.ctx.geo, level);
}

static bool covers(const struct entry *e, uint64_t page)
{
	return page - e->base < span(e->level);
}

static bool same(const struct entry *e, const struct entry *t)
{
	return e->base == t->base && e->pa == t->pa && e->attrs == t->attrs &&
	       e->level == t->level && e->table == t->table && e->vmid == t->vmid;
}

/* What is not in the tables any more, but gives no more than they do. */
static bool harmless(const struct entry *e, const struct iv_leaf *now)
{
	uint64_t offset = now->base - e->base;

	if (!now->level || now->pa - offset != e->pa || now->level != e->level)
		return false;
	if (!(now->attrs & PT_PTE_AF) || ((now->attrs ^ e->attrs) & PT_PTE_MEMATTR))
		return false;
	if (e->attrs & ~now->attrs & (PT_PTE_S2AP_R | PT_PTE_S2AP_W))
		return false;
	return (now->attrs & PT_PTE_XN) == 0 || (now->attrs & PT_PTE_XN) == (e->attrs & PT_PTE_XN);
}

/* A second translation of a page, of another size or to other memory, while the first is still
 * held: what break-before-make is there to prevent. */
static void forbid_conflict(const struct entry *t)
{
	for (unsigned i = 0; i < tlb.count; i++) {
		const struct entry *e = &tlb.entry[i];

		if (e->vmid != t->vmid)
			continue; /* of a number that is void: nobody looks it up */
		if (e->table || t->table || (!covers(e, t->base) && !covers(t, e->base)))
			continue;
		/* FEAT_BBM: a change of size alone needs no break. */
		if (iv_w.ctx.bbm && e->pa - e->base == t->pa - t->base &&
		    !((e->attrs ^ t->attrs) & PT_PTE_MEMATTR))
			continue;
		if (e->level != t->level || e->pa != t->pa ||
		    (e->attrs ^ t->attrs) & PT_PTE_MEMATTR)
			iv_fail("break without TLBI: %#llx is at level %d while level %d is still "
				"held (W3, T1)",
				(unsigned long long)t->base, t->level, e->level);
	}
}

static void keep(struct entry *t)
{
	t->vmid = pt_ctx_vmid(&iv_w.ctx);
	if (!t->vmid) /* no vCPU runs the context, so nobody walks */
		return;
	for (unsigned i = 0; i < tlb.count; i++)
		if (same(&tlb.entry[i], t)) {
			tlb.entry[i].stale_by = 0;
			return;
		}
	forbid_conflict(t);
	if (tlb.count == ENTRIES)
		iv_fail("the TLB of the test is too small");
	tlb.entry[tlb.count++] = *t;
}

static bool leaf_entry(uint64_t page, struct entry *t)
{
	struct iv_leaf leaf = iv_world_leaf(page);

	*t = (struct entry){leaf.base, leaf.pa, leaf.attrs & KEPT, (int8_t)leaf.level, false, 0, 0};
	return leaf.level && leaf.attrs & PT_PTE_AF;
}

static bool table_entry(uint64_t page, int level, struct entry *t)
{
	uint64_t pa = iv_world_table(page, level);

	*t = (struct entry){page & ~(span(level) - 1), pa, 0, (int8_t)level, true, 0, 0};
	return pa;
}

static bool allowed(const struct entry *e)
{
	struct iv_leaf now;

	if (e->table) {
		return iv_world_table(e->base, e->level) == e->pa;
	}
	now = iv_world_leaf(e->base);
	return harmless(e, &now);
}

/* Keeps what is there now, and marks what gives more than that. */
static void note(unsigned agent)
{
	const uint64_t *page = iv_case_now->tracked;

	for (unsigned i = 0; i < IV_TRACKED && (!i || page[i]); i++) {
		struct entry t;

		for (int level = iv_w.ctx.geo.start_level; level < PT_LEVEL_LAST; level++)
			if (table_entry(page[i], level, &t))
				keep(&t);
		if (leaf_entry(page[i], &t))
			keep(&t);
	}
	if (iv_w.nested.canonical)
		iv_shadow_tlb_note(agent);
	for (unsigned i = 0; i < tlb.count; i++)
		if (allowed(&tlb.entry[i]))
			tlb.entry[i].stale_by = 0;
		else if (!tlb.entry[i].stale_by)
			tlb.entry[i].stale_by = (uint8_t)(1u << agent);
	for (unsigned f = 0; f < IV_FIBRES; f++) {
		struct iv_leaf now = iv_world_leaf(iv_w.in_flight[f].page);

		if (!iv_w.in_flight[f].active || iv_w.in_flight[f].stale_by)
			continue;
		if (!now.level ||
		    now.pa + (iv_w.in_flight[f].page - now.base) != iv_w.in_flight[f].oa ||
		    (iv_w.in_flight[f].rights & ~now.attrs))
			iv_w.in_flight[f].stale_by = 1u << agent;
	}
}

void iv_tlb_note(unsigned agent)
{
	if (agent != IV_NOBODY)
		note(agent);
}

void iv_tlb_reset(void)
{
	memset(&tlb, 0, sizeof(tlb));
	if (iv_w.nested.canonical)
		iv_shadow_tlb_reset();
	note(IV_NOBODY);
}

static bool must_go(const struct entry *e, const struct pt_tlbi *tlbi)
{
	uint64_t last = tlbi->ipa.v + (tlbi->size ? tlbi->size : 1) - 1;

	if (tlbi->kind == PT_TLBI_ALL)
		return true;
	if (tlbi->vmid != e->vmid || tlbi->kind == PT_TLBI_STAGE1)
		return false;
	if (tlbi->kind == PT_TLBI_VMID)
		return true;
	if (e->table && tlbi->last_level)
		return false;
	if (!e->table && tlbi->level != PT_TTL_UNKNOWN && tlbi->level != e->level)
		return false;
	if (tlbi->kind == PT_TLBI_IPA)
		return covers(e, tlbi->ipa.v);
	return e->base <= last && e->base + span(e->level) > tlbi->ipa.v;
}

static void watch(const struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	struct pt_event e = {.kind = PT_EVENT_TLBI, .at = (uintptr_t)mmu, .tlbi = tlbi};

	pt_checked_event(&e);
	e.kind = PT_EVENT_TLBI_DONE;
	pt_checked_event(&e);
}

void pt_port_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
		  const struct pt_tlbi *tlbi)
{
	unsigned left = 0, agent = iv_self();

	(void)geo;
	if (tlbi->kind == PT_TLBI_LOCAL) { /* the vCPU's own entries: any other may hold the same */
		watch(mmu, tlbi);
		return;
	}
	if (agent != IV_NOBODY) {
		iv_event(IV_EVENT_TLBI, NULL, 0);
		iv_memory_settle(agent);
		iv_trace(IV_EVENT_TLBI, NULL, tlbi->ipa.v, "");
	}
	watch(mmu, tlbi);
	iv_shadow_tlb_flush(tlbi);
	for (unsigned i = 0; i < tlb.count; i++)
		if (!must_go(&tlb.entry[i], tlbi))
			tlb.entry[left++] = tlb.entry[i];
	if (left == tlb.count)
		return;
	tlb.count = left;
	iv_tlb_note(agent); /* another CPU may walk at once */
}

void iv_tlb_reply(unsigned agent)
{
	iv_shadow_tlb_reply(agent);
	for (unsigned i = 0; i < tlb.count; i++) {
		const struct entry *e = &tlb.entry[i];

		if (e->stale_by >> agent & 1 && !e->table)
			iv_fail("agent %u answers while a TLB still holds %#llx -> %#llx, level %d "
				"(T1)",
				agent, (unsigned long long)e->base, (unsigned long long)e->pa,
				e->level);
	}
	for (unsigned f = 0; f < IV_FIBRES; f++)
		if (f != agent && iv_w.in_flight[f].active &&
		    iv_w.in_flight[f].stale_by >> agent & 1)
			iv_fail("agent %u answers while an access of agent %u with the old "
				"translation of %#llx is in flight",
				agent, f, (unsigned long long)iv_w.in_flight[f].page);
}

void iv_tlb_end(void)
{
	for (unsigned i = 0; i < tlb.count; i++)
		if (!allowed(&tlb.entry[i]))
			iv_fail("in the end a TLB still holds %#llx -> %#llx, level %d%s (T1)",
				(unsigned long long)tlb.entry[i].base,
				(unsigned long long)tlb.entry[i].pa, tlb.entry[i].level,
				tlb.entry[i].table ? ", a table" : "");
}

void iv_tlb_page_freed(uint64_t table_pa)
{
	for (unsigned i = 0; i < tlb.count; i++)
		if (tlb.entry[i].table && tlb.entry[i].pa == table_pa)
			iv_fail("table page %#llx is given back while a walk cache may hold it (A1, "
				"T6)",
				(unsigned long long)table_pa);
}

uint64_t iv_tlb_hash(void)
{
	uint64_t hash = tlb.count + iv_shadow_tlb_hash();

	for (unsigned i = 0; i < tlb.count; i++) {
		const struct entry *e = &tlb.entry[i];

		hash += iv_mix(e->base + (uint64_t)e->level,
			       e->pa ^ e->attrs ^ e->stale_by ^ (uint64_t)e->vmid << 48) ^
			(uint64_t)e->table;
	}
	for (unsigned f = 0; f < IV_FIBRES; f++)
		if (iv_w.in_flight[f].active)
			hash += iv_mix(f + 1 + 16 * iv_w.in_flight[f].stale_by,
				       iv_w.in_flight[f].page ^ iv_w.in_flight[f].oa);
	return hash;
}
