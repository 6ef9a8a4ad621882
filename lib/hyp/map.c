/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own map: map and unmap. */
#include "internal.h"

/*
 * Map looks first and changes nothing: conflicts, and which tables are missing. Then it takes all
 * their pages, or none, and cannot fail any more. The code that does this runs on the map, so a
 * valid entry is never taken out to be made again.
 */
struct map {
	struct pt_hyp *hyp;
	uint64_t first, last, delta; /* inclusive; output less address, modulo 2^64 */
	pt_pte attrs;
	uint32_t need;		     /* tables */
	uint64_t counted[PT_LEVELS]; /* index level + 1: 1 + the last span whose table is counted */
	struct pt_pages pages;
	bool written;
};

static pt_pte wanted(const struct map *m, uint64_t va, int level)
{
	uint64_t base = va & ~pt__hyp_mask(m->hyp, level);

	return pt_leaf(&m->hyp->geo, pt_pa(base + m->delta), m->attrs, level);
}

/* May a leaf of this level begin at `va`? */
static bool is_leafable(const struct map *m, uint64_t va, int level)
{
	uint64_t mask = pt__hyp_mask(m->hyp, level);

	return level >= m->hyp->geo.min_block_level && !((va | m->delta) & mask) &&
	       m->last - va >= mask;
}

/* May the leaf at `va` stay, or become what is asked for? As it is, or as a whole. */
static bool agrees(const struct map *m, uint64_t va, const struct pt__hyp_at *at)
{
	uint64_t mask = pt__hyp_mask(m->hyp, at->level);
	pt_pte now = wanted(m, va, at->level);

	return at->entry == now || (pt_hyp_may_follow(at->entry, now) && (va & ~mask) >= m->first &&
				    (va | mask) <= m->last);
}

/* What stands at `va`, and the level of the leaf that will. PT_OVERLAP: another. */
static enum pt_outcome look(struct map *m, uint64_t va, int *level)
{
	struct pt__hyp_at at;

	pt__hyp_descend(m->hyp, va, PT_LEVEL_LAST, &at);
	*level = at.level;
	if (pt_pte_valid(at.entry))
		return agrees(m, va, &at) ? PT_OK : PT_OVERLAP;
	for (; !is_leafable(m, va, *level); ++*level) {
		uint64_t span = (va >> pt_level_shift(&m->hyp->geo, *level)) + 1;

		m->need += m->counted[*level + 1] != span;
		m->counted[*level + 1] = span;
	}
	return PT_OK;
}

static enum pt_outcome prepare(struct map *m, struct pt_agent *agent, uint64_t va)
{
	enum pt_outcome outcome = PT_OK;
	int level;

	for (; va <= m->last && outcome == PT_OK; va = pt__hyp_past(m->hyp, va, level, m->last))
		outcome = look(m, va, &level);
	if (outcome != PT_OK)
		return outcome;
	return pt__hyp_reserve(m->hyp, agent, m->need, &m->pages);
}

/* Links tables below the invalid entry until a leaf may stand there. */
static void add_tables(struct map *m, struct pt_agent *agent, uint64_t va, struct pt__hyp_at *at)
{
	while (!is_leafable(m, va, at->level)) {
		struct pt_pa table = pt__hyp_page(m->hyp, agent, &m->pages);

		pt_pte_store_release(at->slot, pt_table_desc(&m->hyp->geo, table));
		m->hyp->table_pages++;
		pt__hyp_descend(m->hyp, va, at->level + 1, at);
	}
}

static void commit(struct map *m, struct pt_agent *agent, uint64_t va)
{
	struct pt__hyp_at at;

	for (; va <= m->last; va = pt__hyp_past(m->hyp, va, at.level, m->last)) {
		pt__hyp_descend(m->hyp, va, PT_LEVEL_LAST, &at);
		if (!pt_pte_valid(at.entry)) {
			add_tables(m, agent, va, &at);
			m->written = true;
		}
		if (at.entry != wanted(m, va, at.level))
			pt_pte_store_release(at.slot, wanted(m, va, at.level));
	}
	pt_port_fence_store(); /* what was mapped may be used next */
}

enum pt_outcome pt_hyp_map(struct pt_hyp *hyp, struct pt_agent *agent, uint64_t va, uint64_t size,
			   struct pt_pa pa, uint32_t prot)
{
	struct map m = {.hyp = hyp, .first = va, .last = va + size - 1, .delta = pa.v - va};
	enum pt_outcome outcome = pt_hyp_prot_check(prot);

	if (outcome == PT_OK)
		outcome = pt_geometry_check_range(&hyp->geo, pt_ipa(va), size);
	if (outcome == PT_OK)
		outcome = pt_geometry_check_output(&hyp->geo, pa, size);
	if (outcome != PT_OK)
		return outcome;
	m.attrs = pt_hyp_leaf_attrs(prot, hyp->guarded);
	outcome = prepare(&m, agent, va);
	if (outcome != PT_OK)
		return outcome;
	if (prot & PT_PROT_X)
		pt_port_icache_inval_pou(hyp->port, pa, size);
	commit(&m, agent, va);
	return m.written ? PT_MAPPED : PT_ALREADY_MAPPED;
}

/* Does a leaf that holds `va` reach out of [lo, hi]? */
static bool is_cut(const struct pt_hyp *hyp, uint64_t va, uint64_t lo, uint64_t hi)
{
	struct pt__hyp_at at;
	uint64_t mask;

	pt__hyp_descend(hyp, va, PT_LEVEL_LAST, &at);
	mask = pt__hyp_mask(hyp, at.level);
	return pt_pte_valid(at.entry) && ((va & ~mask) < lo || (va | mask) > hi);
}

static uint64_t clear_leaves(const struct pt_hyp *hyp, uint64_t va, uint64_t last)
{
	struct pt__hyp_at at;
	uint64_t bytes = 0;

	for (; va <= last; va = pt__hyp_past(hyp, va, at.level, last)) {
		pt__hyp_descend(hyp, va, PT_LEVEL_LAST, &at);
		if (!pt_pte_valid(at.entry))
			continue;
		pt_pte_store(at.slot, 0);
		bytes += pt__hyp_mask(hyp, at.level) + 1;
	}
	return bytes;
}

static bool is_empty(const struct pt_hyp *hyp, pt_pte entry)
{
	const pt_pte *slot = pt__hyp_table(hyp, entry);

	for (unsigned i = 0; i < pt_table_entries(&hyp->geo); i++)
		if (pt_pte_load(slot + i))
			return false;
	return true;
}

/* Unlinks tables around the range that hold nothing any more, from the bottom up. */
static void unlink_empty(struct pt_hyp *hyp, struct pt_agent *agent, uint64_t lo, uint64_t hi,
			 struct pt_pages *gone)
{
	struct pt__hyp_at at;

	for (int level = PT_LEVEL_LAST - 1; level >= hyp->geo.start_level; level--)
		for (uint64_t va = lo; va <= hi; va = pt__hyp_past(hyp, va, at.level, hi)) {
			pt__hyp_descend(hyp, va, level, &at);
			if (at.level != level || !pt_pte_is_table(at.entry, level) ||
			    !is_empty(hyp, at.entry))
				continue;
			pt_pte_store(at.slot, 0);
			pt_pages_push(&agent->world->pool, gone,
				      pt_pa_page(hyp->port, pt_pte_to_oa(&hyp->geo, at.entry)));
			hyp->table_pages--;
		}
}

enum pt_outcome pt_hyp_unmap(struct pt_hyp *hyp, struct pt_agent *agent, uint64_t va, uint64_t size,
			     uint64_t *bytes)
{
	enum pt_outcome outcome = pt_geometry_check_range(&hyp->geo, pt_ipa(va), size);
	uint64_t last = va + size - 1;
	struct pt_pages gone = {0};

	if (outcome != PT_OK)
		return outcome;
	if (is_cut(hyp, va, va, last) || is_cut(hyp, last, va, last))
		return PT_MISALIGNED;
	*bytes = clear_leaves(hyp, va, last);
	if (!*bytes)
		return PT_HOLE;
	if (!hyp->early)
		unlink_empty(hyp, agent, va, last, &gone);
	pt_port_tlbi(hyp->mmu, &hyp->geo,
		     &(struct pt_tlbi){.kind = PT_TLBI_EL2,
				       .level = PT_TTL_UNKNOWN,
				       .last_level = !gone.count,
				       .ipa = pt_ipa(va),
				       .size = size});
	if (gone.count)
		pt_retire(agent, hyp->geo.granule_shift, &gone);
	return PT_UNMAPPED;
}
