/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * T4: the operands that a range is invalidated by, read back with masks of their own (Arm ARM
 * C5.5, TLBI IPAS2E1IS and RIPAS2E1IS) and added up. An address with a level is the whole leaf.
 */
#include "state.h"

struct cover {
	uint64_t ipa, size;
};

static uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
	return v >> lo & ((UINT64_C(2) << (hi - lo)) - 1);
}

static struct cover decode(const struct pt_geometry *g, uint64_t value, bool range)
{
	uint64_t granule = UINT64_C(1) << g->granule_shift;

	if (!range)
		return (struct cover){
			bits(value, 39, 0) << 12,
			bits(value, 47, 46) ? pt_level_size(g, (int)bits(value, 45, 44)) : granule};
	return (struct cover){bits(value, 36, 0) << (g->ds ? 16 : g->granule_shift),
			      (bits(value, 43, 39) + 1) * granule << (5 * bits(value, 45, 44) + 1)};
}

/* What TG says: 1 for 4K, 2 for 16K, 3 for 64K. */
static bool names_granule(const struct pt_geometry *g, uint64_t value)
{
	return bits(value, 47, 46) * 2 + 10 == g->granule_shift;
}

void pt__ck_operand(struct pt_check *c, const struct pt_geometry *g, uint64_t value, bool range,
		    uint64_t *next)
{
	struct cover cover = decode(g, value, range);

	if (range || bits(value, 47, 46))
		pt__ck_judge(c, PT_RULE_T4, names_granule(g, value),
			     "a range operand of another granule");
	pt__ck_judge(c, PT_RULE_T4, cover.ipa == *next,
		     "a range operand leaves a gap, or overlaps the one before");
	*next = cover.ipa + cover.size;
}

/* Asks for the operands, as a port does that has the instruction. */
void pt__ck_operands(struct pt_check *c, const struct pt_geometry *g, const struct pt_tlbi *tlbi)
{
	struct pt_ipa ipa = tlbi->ipa;
	uint64_t size = tlbi->size, next = ipa.v;
	struct pt_tlbi_op op;

	if (size >> g->granule_shift > PT_TLBI_MAX_GRANULES)
		return; /* a port invalidates the VMID then */
	while (pt_tlbi_cover_next(g, &ipa, &size, tlbi->level, &op))
		pt__ck_operand(c, g, op.value, op.range, &next);
	pt__ck_judge(c, PT_RULE_T4, next == tlbi->ipa.v + tlbi->size,
		     "range operands reach too far, or not far enough");
}
