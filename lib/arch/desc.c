/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stage-2 leaf and table descriptors: attributes, rights and output addresses.
 *
 * Sources: Arm ARM D8.3.2 (stage-2 descriptor formats), D8.4.2 (stage-2 permissions, FEAT_XNX),
 * D8.6 (stage-2 memory types, FEAT_S2FWB).
 */
#include <pt/desc.h>

#include "base/bits.h"

#define SH_INNER      (UINT64_C(3) << 8)
#define MEMATTR_SHIFT 2

#define XN_NONE	   (UINT64_C(2) << 53)
#define XN_EL0ONLY (UINT64_C(1) << 53)
#define XN_EL1ONLY (UINT64_C(3) << 53)

/* MemAttr[3:0]: without FWB outer and inner attributes, with FWB the type that wins over stage 1.
 */
static const uint8_t memattr_plain[PT_MEM_TYPES] = {
	[PT_MEM_NORMAL] = 0xf, [PT_MEM_NC] = 0x5, [PT_MEM_DEVICE] = 0x1};
static const uint8_t memattr_fwb[PT_MEM_TYPES] = {
	[PT_MEM_NORMAL] = 0x6, [PT_MEM_NC] = 0x5, [PT_MEM_DEVICE] = 0x1};

enum pt_outcome pt_prot_check(uint32_t prot, unsigned attrs)
{
	uint32_t x = prot & PT_PROT_X;

	if (prot & ~(PT_PROT_RWX | PT_PROT_MEM_MASK | PT_PROT_SW) ||
	    pt_prot_memtype(prot) >= PT_MEM_TYPES)
		return PT_INVALID;
	if (!(prot & PT_PROT_RWX) || (pt_prot_memtype(prot) != PT_MEM_NORMAL && x))
		return PT_INVALID;
	return x && x != PT_PROT_X && !(attrs & PT_ATTR_XNX) ? PT_UNSUPPORTED : PT_OK;
}

/* Without FEAT_XNX bit 53 is RES0 and bit 54 alone says "never". */
static pt_pte encode_xn(uint32_t prot)
{
	switch (prot & PT_PROT_X) {
	case PT_PROT_X: return 0;
	case PT_PROT_UX: return XN_EL0ONLY;
	case PT_PROT_PX: return XN_EL1ONLY;
	default: return XN_NONE;
	}
}

static uint32_t decode_xn(pt_pte e, unsigned attrs)
{
	pt_pte xn = e & PT_PTE_XN;

	if (!(attrs & PT_ATTR_XNX))
		xn &= XN_NONE;
	switch (xn) {
	case 0: return PT_PROT_X;
	case XN_EL0ONLY: return PT_PROT_UX;
	case XN_EL1ONLY: return PT_PROT_PX;
	default: return 0;
	}
}

pt_pte pt_perm_attrs(uint32_t prot, unsigned attrs)
{
	(void)attrs; /* pt_prot_check() has refused what these attrs cannot say */
	return (prot & PT_PROT_R ? PT_PTE_S2AP_R : 0) | (prot & PT_PROT_W ? PT_PTE_S2AP_W : 0) |
	       encode_xn(prot);
}

static pt_pte encode_memattr(uint32_t prot, unsigned attrs)
{
	const uint8_t *row = attrs & PT_ATTR_FWB ? memattr_fwb : memattr_plain;

	return (pt_pte)row[pt_prot_memtype(prot)] << MEMATTR_SHIFT;
}

pt_pte pt_leaf_attrs(const struct pt_geometry *g, uint32_t prot, unsigned attrs)
{
	/* With DS bits 9:8 hold the output address, and shareability comes from VTCR_EL2.SH0. */
	return PT_PTE_VALID | PT_PTE_AF | (g->ds ? 0 : SH_INNER) | encode_memattr(prot, attrs) |
	       pt_perm_attrs(prot, attrs) | pt_sw_to_pte(prot);
}

/* Every encoding has a type, so that foreign tables (a guest's) decode too. */
static enum pt_memtype decode_memattr(pt_pte e, unsigned attrs)
{
	unsigned memattr = (unsigned)pt__field(e, 5, 2);

	if (attrs & PT_ATTR_FWB) {
		if (!(memattr & 0x4))
			return PT_MEM_DEVICE;
		return (memattr & 0x3) == 0x1 ? PT_MEM_NC : PT_MEM_NORMAL;
	}
	if (!(memattr & 0xc))
		return PT_MEM_DEVICE;
	return memattr == 0x5 ? PT_MEM_NC : PT_MEM_NORMAL;
}

uint32_t pt_leaf_prot(const struct pt_geometry *g, pt_pte e, unsigned attrs)
{
	uint32_t rights = (e & PT_PTE_S2AP_R ? PT_PROT_R : 0) |
			  (e & (PT_PTE_S2AP_W | PT_PTE_DBM) ? PT_PROT_W : 0);

	(void)g;
	return PT_PROT(rights | decode_xn(e, attrs), decode_memattr(e, attrs));
}

pt_pte pt_oa_mask(const struct pt_geometry *g)
{
	unsigned top = g->ds ? 50 : 48;
	pt_pte mask = pt__low_mask(top) & ~pt__low_mask(g->granule_shift);

	if (g->ds)
		mask |= UINT64_C(3) << 8;
	if (g->lpa)
		mask |= UINT64_C(0xf) << 12;
	return mask;
}

pt_pte pt_oa_to_pte(const struct pt_geometry *g, struct pt_pa pa)
{
	if (g->ds)
		return (pa.v & pt__low_mask(50)) | pt__place(pa.v >> 50, 9, 8);
	if (g->lpa)
		return (pa.v & pt__low_mask(48)) | pt__place(pa.v >> 48, 15, 12);
	return pa.v;
}

struct pt_pa pt_pte_to_oa(const struct pt_geometry *g, pt_pte e)
{
	uint64_t low = e & pt__low_mask(g->ds ? 50 : 48) & ~pt__low_mask(g->granule_shift);

	if (g->ds)
		return pt_pa(low | pt__field(e, 9, 8) << 50);
	if (g->lpa)
		return pt_pa(low | pt__field(e, 15, 12) << 48);
	return pt_pa(low);
}
