/* SPDX-License-Identifier: BSD-2-Clause */
/* Contiguous groups: their edges, and how they change. */
#include "contiguous.h"
#include "mark.h"

#define GROUP_MAX 128

uint64_t pt__edge_mask(const struct pt_ctx *ctx, uint64_t ipa, bool wide)
{
	const struct pt_geometry *g = &ctx->geo;
	unsigned gs = g->granule_shift;
	struct pt__at at;

	if (wide) {
		unsigned largest = pt_level_shift(g, g->min_block_level);

		for (int level = g->min_block_level; level <= PT_LEVEL_LAST; level++) {
			unsigned shift = pt_level_shift(g, level) + pt__group_bits(gs, level);

			largest = shift > largest ? shift : largest;
		}
		return (UINT64_C(1) << largest) - 1;
	}
	pt__descend(ctx, ipa, PT_LEVEL_LAST, gs, &at);
	if (!pt_pte_valid(at.entry))
		return 0;
	return (UINT64_C(1) << pt__span_shift(gs, at.entry, at.level, at.shift)) - 1;
}

static pt_pte changed(pt_pte e, const struct pt__regroup *how)
{
	return how->kind ? pt__next(how->kind, e, how->rights, how->sw) : e & ~PT_PTE_CONTIGUOUS;
}

/* The contiguous bit may change in place (FEAT_BBM level 1, Arm ARM D8.16.2). Where hardware writes
 * descriptors this is not for: what it sets in one entry would be lost to the others. */
static void change_live(pt_pte *slot, unsigned n, const struct pt__regroup *how)
{
	pt_pte any = 0;

	for (unsigned i = 0; i < n; i++)
		any |= pt_pte_load(slot + i);
	for (unsigned i = 0; i < n; i++) {
		pt_pte e = pt_pte_load(slot + i);

		pt_pte_store(slot + i, changed(e | (any & pt__hw_bits(e)), how));
	}
}

static void change_broken(const struct pt__resize *rs, pt_pte *slot, unsigned n, uint64_t base,
			  uint64_t last, const struct pt__regroup *how)
{
	pt_pte old[GROUP_MAX], any = 0, new;

	for (unsigned i = 0; i < n; i++) {
		old[i] = pt__take_out(rs->ctx, slot + i, pt_pte_load(slot + i), PT_PTE_LOCKED);
		any |= old[i];
	}
	rs->effects->tlbis += pt_ledger_discharge(rs->ledger);
	any &= pt__hw_bits(old[0]);
	new = changed(old[0] | any, how);
	if (pt__adds_exec(old[0], new))
		pt_port_icache_inval_pou(rs->ctx->machine->port,
					 pt_pte_to_oa(&rs->ctx->geo, old[0]), last - base + 1);
	for (unsigned i = 0; i < n; i++)
		pt_pte_store_release(slot + i, changed(old[i] | any, how));
	pt__was_changed(rs->ctx, old[0] | any, new, base, last);
}

pt_pte pt__regroup(const struct pt__resize *rs, pt_pte *slot, uint64_t ipa, int level,
		   const struct pt__regroup *how)
{
	const struct pt_geometry *g = &rs->ctx->geo;
	unsigned bits = pt__group_bits(g->granule_shift, level), n = 1u << bits;
	uint64_t mask = (pt_level_size(g, level) << bits) - 1;
	pt_pte *first = slot - ((ipa >> pt_level_shift(g, level)) & (n - 1));
	uint64_t base = ipa & ~mask;

	pt_ledger_add(rs->ledger, base, base | mask, level, false);
	if (!how->kind && rs->ctx->bbm && !(rs->ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD)))
		change_live(first, n, how);
	else
		change_broken(rs, first, n, base, base | mask, how);
	return pt_pte_load(slot);
}
