/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-1 descriptors of EL2's own map (Arm ARM D8.3.1, D8.4.1 without E2H, D8.5.1). */
#include <pt/hyp_desc.h>

#define ATTRINDX_SHIFT 2

_Static_assert((PT_HYP_MAIR >> (8 * PT_MEM_NORMAL) & 0xff) == 0xff, "Normal write-back");
_Static_assert((PT_HYP_MAIR >> (8 * PT_MEM_NC) & 0xff) == 0x44, "Normal non-cacheable");
_Static_assert((PT_HYP_MAIR >> (8 * PT_MEM_DEVICE) & 0xff) == 0x04, "Device-nGnRE");

enum pt_outcome pt_hyp_prot_check(uint32_t prot)
{
	uint32_t x = prot & PT_PROT_X;

	if (prot & ~(PT_PROT_RWX | PT_PROT_MEM_MASK | PT_PROT_SW) ||
	    pt_prot_memtype(prot) >= PT_MEM_TYPES || !(prot & PT_PROT_R))
		return PT_INVALID;
	if (!x)
		return PT_OK;
	return x != PT_PROT_X || prot & PT_PROT_W || pt_prot_memtype(prot) != PT_MEM_NORMAL
		       ? PT_INVALID
		       : PT_OK;
}

pt_pte pt_hyp_leaf_attrs(uint32_t prot, bool guarded)
{
	pt_pte e = PT_PTE_VALID | PT_PTE_AF | PT_HYP_SH_INNER | PT_HYP_AP1 | pt_sw_to_pte(prot);

	e |= (pt_pte)pt_prot_memtype(prot) << ATTRINDX_SHIFT;
	if (!(prot & PT_PROT_W))
		e |= PT_HYP_AP_RO;
	if (!(prot & PT_PROT_X))
		return e | PT_HYP_XN;
	return guarded ? e | PT_HYP_GP : e;
}

uint32_t pt_hyp_leaf_prot(pt_pte e)
{
	uint32_t rights =
		PT_PROT_R | (e & PT_HYP_AP_RO ? 0 : PT_PROT_W) | (e & PT_HYP_XN ? 0 : PT_PROT_X);

	return PT_PROT(rights, (e & PT_HYP_ATTRINDX) >> ATTRINDX_SHIFT) | pt_pte_to_sw(e);
}
