/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-2 descriptors: encode and decode. Pure functions, public so that walkers can be written
 * outside lib. */
#ifndef PT_DESC_H
#define PT_DESC_H

#include <pt/geometry.h>

/* Fields, Arm ARM D8.3 (stage-2 VMSAv8-64 block, page and table descriptors). */
#define PT_PTE_VALID	  (UINT64_C(1) << 0)
#define PT_PTE_TYPE	  (UINT64_C(1) << 1) /* 1: table above level 3, page at level 3 */
#define PT_PTE_MEMATTR	  (UINT64_C(0xf) << 2)
#define PT_PTE_S2AP_R	  (UINT64_C(1) << 6)
#define PT_PTE_S2AP_W	  (UINT64_C(1) << 7)
#define PT_PTE_SH	  (UINT64_C(3) << 8) /* or OA[51:50] with DS */
#define PT_PTE_AF	  (UINT64_C(1) << 10)
#define PT_PTE_NT	  (UINT64_C(1) << 16) /* FEAT_BBM level 1, blocks only */
#define PT_PTE_DBM	  (UINT64_C(1) << 51)
#define PT_PTE_CONTIGUOUS (UINT64_C(1) << 52)
#define PT_PTE_XN	  (UINT64_C(3) << 53) /* 00 both, 01 EL0 only, 10 none, 11 EL1 only (FEAT_XNX) */
#define PT_PTE_SW	  (UINT64_C(0xf) << 55) /* ignored by hardware (Arm ARM D8.3.2) */
#define PT_PTE_SW_SHIFT	  55
#define PT_PTE_PERM	  (PT_PTE_S2AP_R | PT_PTE_S2AP_W | PT_PTE_XN)

/* Invalid entries: type in 63:60, payload in 59:1 (reference: KVM's enum kvm_invalid_pte_type). */
#define PT_PTE_INVALID_TYPE (UINT64_C(0xf) << 60)
#define PT_PTE_LOCKED                                                                              \
	(UINT64_C(1) << 60) /* between break and make; cleared only by its operation */

/* What the CPUs that run a context have: the encodings, and how a live mapping may change its size.
 */
#define PT_ATTR_FWB	      0x1u /* HCR_EL2.FWB: MemAttr as FEAT_S2FWB defines it */
#define PT_ATTR_XNX	      0x2u /* FEAT_XNX: execute at EL1 and EL0 apart */
#define PT_ATTR_BBM(level)    ((unsigned)(level) << 4) /* FEAT_BBM: level 0, 1 or 2 */
#define PT_ATTR_BBM_OF(attrs) ((attrs) >> 4 & 3)

static inline bool pt_pte_valid(pt_pte e)
{
	return e & PT_PTE_VALID;
}

/* Is `e` something to annotate a page with? Invalid, of a type other than 0 (empty) and LOCKED. */
static inline bool pt_pte_is_annotation(pt_pte e)
{
	pt_pte type = e & PT_PTE_INVALID_TYPE;

	return !pt_pte_valid(e) && type && type != PT_PTE_LOCKED;
}

static inline bool pt_pte_is_table(pt_pte e, int level)
{
	return level < PT_LEVEL_LAST && (e & 3) == 3;
}

static inline bool pt_pte_is_leaf(pt_pte e, int level)
{
	return level == PT_LEVEL_LAST ? (e & 3) == 3 : (e & 3) == 1;
}

static inline bool pt_pte_locked(pt_pte e)
{
	return !(e & PT_PTE_VALID) && (e & PT_PTE_INVALID_TYPE) == PT_PTE_LOCKED;
}

/*
 * Is `prot` something a leaf can say under `attrs`? PT_OK; PT_INVALID for unknown bits or memory
 * type, no R and no W and no X at all, Device or NC with execute; PT_UNSUPPORTED for PX != UX
 * without PT_ATTR_XNX.
 */
enum pt_outcome pt_prot_check(uint32_t prot, unsigned attrs);

/*
 * Everything of a leaf but its output address and type bit: valid, AF, SH, MemAttr, S2AP, XN,
 * software bits.
 * Compute once a range. `prot` has passed pt_prot_check().
 */
pt_pte pt_leaf_attrs(const struct pt_geometry *g, uint32_t prot, unsigned attrs);

/* The permission bits alone, for relax and protect. */
pt_pte pt_perm_attrs(uint32_t prot, unsigned attrs);

/* Software bits of `prot` as descriptor bits, and back. */
static inline pt_pte pt_sw_to_pte(uint32_t prot)
{
	return (pt_pte)(prot & PT_PROT_SW) << (PT_PTE_SW_SHIFT - PT_PROT_SW_SHIFT);
}

static inline uint32_t pt_pte_to_sw(pt_pte e)
{
	return (uint32_t)((e & PT_PTE_SW) >> (PT_PTE_SW_SHIFT - PT_PROT_SW_SHIFT));
}

/* Rights and memory type of a valid leaf. DBM grants W whatever S2AP[1] says: dirty state is no
 * right (see <pt/dirty.h>). */
uint32_t pt_leaf_prot(const struct pt_geometry *g, pt_pte e, unsigned attrs);

/* Output address <-> descriptor bits, in the geometry's format (plain 48-bit, LPA2, 64K LPA). */
pt_pte pt_oa_to_pte(const struct pt_geometry *g, struct pt_pa pa);
struct pt_pa pt_pte_to_oa(const struct pt_geometry *g, pt_pte e);
/* Mask of the output address bits of a leaf at `level`; a table's is that of level 3. */
pt_pte pt_oa_mask(const struct pt_geometry *g);

static inline pt_pte pt_leaf(const struct pt_geometry *g, struct pt_pa pa, pt_pte attrs, int level)
{
	return attrs | pt_oa_to_pte(g, pa) | (level == PT_LEVEL_LAST ? PT_PTE_TYPE : 0);
}

static inline pt_pte pt_table_desc(const struct pt_geometry *g, struct pt_pa table)
{
	return pt_oa_to_pte(g, table) | PT_PTE_TYPE | PT_PTE_VALID;
}

#endif
