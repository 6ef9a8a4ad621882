/* SPDX-License-Identifier: BSD-2-Clause */
/* The shape of a stage-2 tree: granule, sizes, start level, concatenation, descriptor format, VTCR
 * and VTTBR. */
#ifndef PT_GEOMETRY_H
#define PT_GEOMETRY_H

#include <pt/outcome.h>
#include <pt/types.h>

/* What the owner of a context asks for. */
struct pt_geometry_args {
	unsigned granule_shift; /* 12, 14 or 16 */
	unsigned ipa_bits;	/* 32 to 52, <= pa_bits */
	unsigned pa_bits;	/* 32, 36, 40, 42, 44, 48 or 52: what VTCR_EL2.PS can say */
	bool ds; /* 4K and 16K: FEAT_LPA2 descriptors (VTCR_EL2.DS); 64K: must be false */
	bool start_level_given; /* false: the start level with the fewest tables in all, as KVM
				   chooses */
	int start_level;
};

/*
 * A checked geometry. Read-only after pt_geometry_init(); every field may be read by anyone.
 * Sizes follow the Arm ARM, D8.2 (translation table walks) and the VTCR_EL2 and VTTBR_EL2 register
 * pages.
 */
struct pt_geometry {
	uint8_t granule_shift; /* log2 of the page and table size */
	uint8_t stride;	       /* address bits a level resolves: granule_shift - 3 */
	uint8_t ipa_bits;
	uint8_t pa_bits;
	int8_t start_level;
	int8_t min_block_level; /* smallest level number that may hold a block */
	bool ds;		/* OA[51:50] in descriptor bits 9:8, no SH field */
	bool lpa;		/* 64K with 52-bit PA: OA[51:48] in descriptor bits 15:12 */
	uint32_t start_entries; /* descriptors at the start level, all concatenated tables together
				 */
	uint32_t start_bytes;	/* start_entries * 8; the base is aligned to max(64, this rounded up
				   to a power of 2) */
};

/*
 * Fills *g from *a. PT_OK; PT_INVALID for a combination that the architecture refuses (granule,
 * sizes out of order, start level without a legal concatenation: at most 16 tables; 4K from level 0
 * and 64K from level 1 need 44-bit PA, 16K from level 1 needs 42; 4K level -1 and 16K level 0 need
 * DS and 52 bits; 52 bits need DS, or 64K). *g untouched then. Pure function.
 */
enum pt_outcome pt_geometry_init(struct pt_geometry *g, const struct pt_geometry_args *a);

/*
 * The same from a VTCR_EL2 value (T0SZ, SL0, SL2, TG0, PS, DS; other fields are ignored here).
 * PT_INVALID for reserved encodings and for everything that pt_geometry_init() refuses.
 */
enum pt_outcome pt_geometry_from_vtcr(struct pt_geometry *g, uint64_t vtcr);

/* What VTCR_EL2.PS, and TCR_EL1.IPS, say: 32 to 52; 0 for what they reserve. */
unsigned pt_geometry_ps_bits(uint64_t ps);

#define PT_VTCR_HA 0x1u /* hardware access flag */
#define PT_VTCR_HD 0x2u /* hardware dirty state */
#define PT_VTCR_VS 0x4u /* 16-bit VMID */

/* HA, HD and VS of a VTCR_EL2 value as `flags` below. */
unsigned pt_geometry_vtcr_flags(uint64_t vtcr);

/* VTCR_EL2 for this geometry: RES1, PS, TG0, SH0, ORGN0, IRGN0, SL0/SL2, T0SZ, DS, and HA/HD/VS
 * from `flags`. */
uint64_t pt_geometry_vtcr(const struct pt_geometry *g, unsigned flags);

/* VTTBR_EL2 for a root at `root` (aligned as start_bytes says) and a VMID. CnP is 0. Handles 52-bit
 * bases. */
uint64_t pt_geometry_vttbr(const struct pt_geometry *g, struct pt_pa root, uint16_t vmid);

/* log2 of the span of one entry at `level`. */
static inline unsigned pt_level_shift(const struct pt_geometry *g, int level)
{
	return g->granule_shift + g->stride * (unsigned)(PT_LEVEL_LAST - level);
}

static inline uint64_t pt_level_size(const struct pt_geometry *g, int level)
{
	return UINT64_C(1) << pt_level_shift(g, level);
}

static inline unsigned pt_table_entries(const struct pt_geometry *g)
{
	return 1u << g->stride;
}

/* May a leaf stand at this level? Level 3 always; above it from min_block_level on. */
static inline bool pt_level_has_leaf(const struct pt_geometry *g, int level)
{
	return level >= g->min_block_level && level <= PT_LEVEL_LAST;
}

/* Index of `ipa` in its table at `level`; at the start level over all concatenated tables. */
static inline uint32_t pt_level_index(const struct pt_geometry *g, struct pt_ipa ipa, int level)
{
	uint64_t index = ipa.v >> pt_level_shift(g, level);

	return (uint32_t)(level == g->start_level ? index : index & (pt_table_entries(g) - 1));
}

/*
 * Is [ipa, ipa + size) a legal range of this space? PT_INVALID when empty or wrapping,
 * PT_MISALIGNED when either is not a multiple of the granule, PT_OUT_OF_RANGE beyond ipa_bits, in
 * that order; else PT_OK.
 */
enum pt_outcome pt_geometry_check_range(const struct pt_geometry *g, struct pt_ipa ipa,
					uint64_t size);

/* The same for an output range against pa_bits. */
enum pt_outcome pt_geometry_check_output(const struct pt_geometry *g, struct pt_pa pa,
					 uint64_t size);

#endif
