/* SPDX-License-Identifier: BSD-2-Clause */
/* One leaf of two: the guest's and the canonical one. Pure. */
#include "internal.h"

/*
 * Memory type, as a function of what stage 1 says: first the guest's stage 2 is applied, then the
 * canonical one, and the shadow's has to do both at once.
 *
 * Without FWB each stage takes the weaker of two (Arm ARM D8.6.5): Device before Normal, of Device
 * the stricter, of Normal NC before WT before WB, for outer and inner caches apart. That is the
 * lesser number in each field of MemAttr, and so of three stages as of two.
 *
 * With FWB (D8.6.6, AArch64.S2ApplyFWBMemAttrs): 0xx Device-xx, or stage 1's if stricter; 101 NC,
 * or stage 1's Device; 110 WB whatever stage 1 says; 111 stage 1's.
 *
 *   canonical   guest's      shadow's
 *   WB          any          WB: canonical memory is cached whatever anybody says
 *   stage 1's   any          the guest's
 *   NC          Device       the guest's
 *   NC          other        NC
 *   Device      Device       the stricter
 *   Device      other        the canonical one
 *
 * A guest without FWB on a host with it has its MemAttr read as FWB could say it: WB is stage 1's,
 * WT, NC and mixtures are NC. Reserved values count as NC.
 */
#define WRITE_BACK 6u
#define STAGE_1	   7u
#define NC	   5u

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned weaker(unsigned a, unsigned b)
{
	unsigned outer = least(a & 0xc, b & 0xc), inner = least(a & 3, b & 3);

	if (!outer) /* a Device, and what is no Device has a greater number */
		return least(a, b);
	return outer | (inner ? inner : 1);
}

/* MemAttr of a guest as FWB would say the same. */
static unsigned as_fwb(unsigned memattr, bool fwb)
{
	if (fwb)
		return (memattr & 7) == 4 ? NC : memattr & 7;
	if (!(memattr & 0xc))
		return memattr;
	return memattr == 0xf ? STAGE_1 : NC;
}

static bool is_device(unsigned fwb_attr)
{
	return !(fwb_attr & 4);
}

static unsigned both_fwb(unsigned guest, unsigned host)
{
	if (host == STAGE_1)
		return guest;
	if (host == WRITE_BACK || !is_device(guest))
		return host;
	return is_device(host) ? least(guest, host) : guest;
}

unsigned pt__both_memattr(unsigned guest, bool guest_fwb, unsigned host, bool host_fwb)
{
	if (!host_fwb)
		return weaker(guest, host);
	return both_fwb(as_fwb(guest, guest_fwb), as_fwb(host, true));
}

/* Outer before inner before none (Arm ARM D8.6.7); 01 is reserved and counts as inner. */
static unsigned both_share(unsigned guest, unsigned host)
{
	if (guest == 2 || host == 2)
		return 2;
	return guest | host ? 3 : 0;
}

/* Rights that both grant now: W where both are dirty already, so that neither stage's dirty state
 * is missed. */
static pt_pte both_rights(const struct pt_shadow *shadow, const struct pt_guest_leaf *guest,
			  const struct pt_ctx *canonical, pt_pte entry)
{
	uint32_t both = guest->prot & pt_leaf_prot(&canonical->geo, entry, canonical->attrs) &
			PT_PROT_RIGHTS & ~PT_PROT_W;

	if (guest->entry & entry & PT_PTE_S2AP_W)
		both |= PT_PROT_W;
	if (!(shadow->ctx.attrs & PT_ATTR_XNX) && (both & PT_PROT_X) != PT_PROT_X)
		both &= ~PT_PROT_X;
	return pt_perm_attrs(both, shadow->ctx.attrs);
}

/* The largest leaf that the shadow can have inside both. */
static int level_of(const struct pt_geometry *g, unsigned shift)
{
	int level = PT_LEVEL_LAST;

	while (level > g->min_block_level && pt_level_shift(g, level - 1) <= shift)
		level--;
	return level;
}

void pt__combine(const struct pt_shadow *shadow, const struct pt_guest_leaf *guest,
		 const struct pt_ctx *canonical, pt_pte entry, unsigned shift,
		 struct pt__both *both)
{
	const struct pt_ctx *ctx = &shadow->ctx;
	unsigned memattr = pt__both_memattr(guest->memattr, shadow->s2.attrs & PT_ATTR_FWB,
					    (unsigned)(entry & PT_PTE_MEMATTR) >> 2,
					    canonical->attrs & PT_ATTR_FWB);
	unsigned host_share = canonical->geo.ds ? 3 : (unsigned)(entry & PT_PTE_SH) >> 8;

	both->level = (int8_t)level_of(&ctx->geo, guest->shift < shift ? guest->shift : shift);
	both->attrs = PT_PTE_VALID | PT_PTE_AF | (pt_pte)memattr << 2 |
		      both_rights(shadow, guest, canonical, entry);
	if (!ctx->geo.ds)
		both->attrs |= (pt_pte)both_share(guest->sh, host_share) << 8;
}
