/* SPDX-License-Identifier: BSD-2-Clause */
/* Contiguous groups (S5, W7): 16, 32 or 128 entries by granule and level (Arm ARM D8.6.1). */
#include "state.h"

/* log2 of the entries of a group at `level`. */
static unsigned group_shift(const struct pt_geometry *g, int level)
{
	if (g->granule_shift == 14)
		return level == PT_LEVEL_LAST ? 7 : 5;
	return g->granule_shift == 12 ? 4 : 5;
}

static pt_pte attributes(pt_pte e, const struct pt_geometry *g)
{
	return e & ~(pt_oa_mask(g) | PT_PTE_AF | (e & PT_PTE_DBM ? PT_PTE_S2AP_W : 0));
}

/* Does `e` at `index` go with the leaf `other` at `at` of its group? */
static bool agree(const struct ck_table *t, uint32_t index, pt_pte e, uint32_t at, pt_pte other)
{
	const struct pt_geometry *g = &t->ctx->facts.geo;
	uint64_t span = pt__ck_span(t), mask = (span << group_shift(g, t->level)) - 1;
	uint64_t pa = pt_pte_to_oa(g, e).v, pa2 = pt_pte_to_oa(g, other).v;

	return attributes(e, g) == attributes(other, g) && pa - index * span == pa2 - at * span &&
	       ((pa ^ (index * span)) & mask) == 0;
}

/* The first valid leaf of the group but `index`; t->entries: none. A group that is whole has one in
 * its first two entries. */
static uint32_t another(const struct ck_table *t, uint32_t index)
{
	uint32_t n = 1u << group_shift(&t->ctx->facts.geo, t->level), first = index & ~(n - 1);

	for (uint32_t i = first; i < first + n && i < t->entries; i++)
		if (i != index && pt_pte_valid(t->value[i]))
			return i;
	return t->entries;
}

static void judge_member(struct pt_check *c, struct ck_table *t, uint32_t index, pt_pte e)
{
	uint32_t at = t->entries;
	pt_pte other = e;
	bool grouped = e & PT_PTE_CONTIGUOUS, live = t->ctx->facts.bbm > 0;

	t->grouped |= grouped;
	if (!t->grouped)
		return;
	at = another(t, index);
	if (at < t->entries)
		other = t->value[at];
	else
		at = index;
	if (!grouped && !(other & PT_PTE_CONTIGUOUS))
		return;
	if (grouped != !!(other & PT_PTE_CONTIGUOUS)) {
		pt__ck_judge(c, PT_RULE_S5, live,
			     "a group where some entries are contiguous and some are not");
		return;
	}
	pt__ck_judge(c, PT_RULE_S5, agree(t, index, e, at, other),
		     "a contiguous entry does not go with its group");
}

void pt__ck_group_at(struct pt_check *c, struct ck_table *t, uint32_t index, pt_pte e)
{
	judge_member(c, t, index, e);
}

/* A live write of a leaf: also W7, the whole group is clean before the first becomes valid. */
void pt__ck_group(struct pt_check *c, const struct ck_write *w)
{
	const struct pt_geometry *g = &w->ctx->facts.geo;
	uint64_t span, lo;

	judge_member(c, w->t, w->index, w->entry);
	if (pt_pte_valid(w->old) || !(w->entry & PT_PTE_CONTIGUOUS) || w->ctx->facts.bbm)
		return;
	span = pt__ck_span(w->t) << group_shift(g, w->t->level);
	lo = w->lo & ~(span - 1);
	pt__ck_judge(c, PT_RULE_W7, !pt__ck_owed(w->ctx, lo, lo + span - 1, UINT64_MAX),
		     "a member of a group became valid while the group was not clean");
	if (another(w->t, w->index) == w->t->entries)
		pt__ck_judge(c, PT_RULE_W7, w->owned,
			     "a contiguous group was begun without a claim on it");
}
