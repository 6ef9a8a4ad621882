/* SPDX-License-Identifier: BSD-2-Clause */
/* S2, S3: what a descriptor says by itself. W3: do a block and a table say the same? */
#include "state.h"

#include <pt/hyp_desc.h>

#define HIGH_BITS (UINT64_C(0x1f) << 59) /* ignored or PBHA: lib leaves them 0 */

/* Output address and type alone; the rest of a table descriptor is 0 (Arm ARM D8.3.1, stage 2). */
static bool table_is_legal(const struct ck_table *t, pt_pte e)
{
	const struct pt_geometry *g = &t->ctx->facts.geo;

	return !(e & ~(pt_oa_mask(g) | PT_PTE_VALID | PT_PTE_TYPE));
}

/* A leaf of EL2's own map: one of three memory types, and nothing executable that can be written
 * or is not Normal write-back. */
static bool own_is_legal(const struct ck_table *t, pt_pte e)
{
	const struct pt_geometry *g = &t->ctx->facts.geo;
	const pt_pte known = pt_oa_mask(g) | PT_PTE_VALID | PT_PTE_TYPE | PT_HYP_ATTRINDX |
			     PT_HYP_AP1 | PT_HYP_AP_RO | PT_HYP_SH_INNER | PT_PTE_AF | PT_HYP_GP |
			     PT_PTE_CONTIGUOUS | PT_HYP_XN | PT_PTE_SW;
	unsigned type = (unsigned)(e & PT_HYP_ATTRINDX) >> 2;
	bool runs = !(e & PT_HYP_XN);

	return !(e & ~known) && e & PT_HYP_AP1 && e & PT_PTE_AF &&
	       (e & PT_HYP_SH_INNER) == PT_HYP_SH_INNER && type <= 2 &&
	       !(runs && (type || !(e & PT_HYP_AP_RO))) && !(e & PT_HYP_GP && !runs) &&
	       pt_level_has_leaf(g, t->level);
}

static bool leaf_is_legal(const struct ck_table *t, pt_pte e)
{
	const struct pt_geometry *g = &t->ctx->facts.geo;
	pt_pte known = pt_oa_mask(g) | PT_PTE_VALID | PT_PTE_TYPE | PT_PTE_MEMATTR | PT_PTE_PERM |
		       PT_PTE_AF | PT_PTE_DBM | PT_PTE_CONTIGUOUS | PT_PTE_SW;

	if (!g->ds)
		known |= PT_PTE_SH;
	if (!(t->ctx->facts.attrs & PT_ATTR_XNX))
		known &= ~(UINT64_C(1) << 53);
	if (t->level < PT_LEVEL_LAST)
		known |= PT_PTE_NT;
	return !(e & (~known | HIGH_BITS)) && pt_level_has_leaf(g, t->level);
}

void pt__ck_shape(struct pt_check *c, const struct ck_table *t, uint32_t index, pt_pte e)
{
	const struct pt_geometry *g = &t->ctx->facts.geo;
	uint64_t span = pt__ck_span(t), pa;

	if (!pt_pte_valid(e))
		return;
	pt__ck_judge(c, PT_RULE_S3, (t->ipa + index * span) >> g->ipa_bits == 0,
		     "an entry beyond the input size");
	if (pt__ck_is_table(t, e)) {
		pt__ck_judge(c, PT_RULE_S2, table_is_legal(t, e),
			     "a table descriptor with reserved bits");
		return;
	}
	if (!pt__ck_judge(c, PT_RULE_S2, pt_pte_is_leaf(e, t->level), "a type that no leaf has") ||
	    !pt__ck_judge(c, PT_RULE_S2,
			  t->ctx->facts.el2 ? own_is_legal(t, e) : leaf_is_legal(t, e),
			  "a leaf that is not legal at its level"))
		return;
	pa = pt_pte_to_oa(g, t->level < PT_LEVEL_LAST ? e & ~PT_PTE_NT : e).v;
	pt__ck_judge(c, PT_RULE_S3, !(pa & (span - 1)),
		     "an output that is not aligned to its size");
	pt__ck_judge(c, PT_RULE_S3, (pa + span - 1) >> g->pa_bits == 0,
		     "an output beyond the PA size");
}

/* Everything of a leaf that a change of size keeps. */
static pt_pte attributes(const struct ck_ctx *ctx, pt_pte e)
{
	return e & ~(pt_oa_mask(&ctx->facts.geo) | PT_PTE_TYPE | PT_PTE_NT | PT_PTE_CONTIGUOUS |
		     PT_PTE_AF | (e & PT_PTE_DBM ? PT_PTE_S2AP_W : 0));
}

/* Does the table at `level`, or what hangs below it, translate to `pa` and on, as `block` says? */
static bool translates_as(struct pt_check *c, const struct ck_ctx *ctx, const struct ck_table *t,
			  int level, pt_pte block, uint64_t pa)
{
	const struct pt_geometry *g = &ctx->facts.geo;
	uint64_t size = pt_level_size(g, level);

	if (t && !t->value)
		return false;
	for (uint32_t i = 0; t && i < t->entries; i++, pa += size) {
		pt_pte e = t->value[i];

		if (pt_pte_is_table(e, level)) {
			if (!translates_as(c, ctx, pt__ck_child(c, ctx, e), level + 1, block, pa))
				return false;
		} else if (!pt_pte_is_leaf(e, level) || pt_pte_to_oa(g, e).v != pa ||
			   attributes(ctx, e) != attributes(ctx, block)) {
			return false;
		}
	}
	return true;
}

bool pt__ck_same_translation(struct pt_check *c, const struct ck_write *w)
{
	bool split = !pt__ck_is_table(w->t, w->old);
	pt_pte block = split ? w->old : w->entry;
	uint64_t pa = pt_pte_to_oa(&w->ctx->facts.geo, block & ~PT_PTE_NT).v;

	return translates_as(c, w->ctx, pt__ck_child(c, w->ctx, split ? w->entry : w->old),
			     w->t->level + 1, block, pa);
}
