/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of stage-2 geometry, and VTCR_EL2 and VTTBR_EL2.
 *
 * Sources: Arm ARM D8.2, pseudocode AArch64.S2InvalidSL, AArch64.S2InconsistentSL,
 * AArch64.S2TTBaseAddress, AArch64.BlockDescSupported. The PA size that these compare against
 * (PAMax) is the context's pa_bits here: a context behaves as on a CPU of that size.
 */
#include <pt/geometry.h>

#include "base/bits.h"

#define CONCAT_BITS 4 /* at most 16 concatenated start tables */

/* VTCR_EL2 fields. */
#define VTCR_IRGN0_WBWA (UINT64_C(1) << 8)
#define VTCR_ORGN0_WBWA (UINT64_C(1) << 10)
#define VTCR_SH0_INNER	(UINT64_C(3) << 12)
#define VTCR_VS		(UINT64_C(1) << 19)
#define VTCR_HA		(UINT64_C(1) << 21)
#define VTCR_HD		(UINT64_C(1) << 22)
#define VTCR_RES1	(UINT64_C(1) << 31)
#define VTCR_DS		(UINT64_C(1) << 32)
#define VTCR_SL2	(UINT64_C(1) << 33)

static const uint8_t ps_bits[] = {32, 36, 40, 42, 44, 48, 52};

unsigned pt_geometry_ps_bits(uint64_t ps)
{
	return ps < sizeof(ps_bits) ? ps_bits[ps] : 0;
}

/* The VTCR_EL2.PS encoding of a PA size, or -1. */
static int ps_of(unsigned bits)
{
	for (unsigned i = 0; i < sizeof(ps_bits); i++)
		if (ps_bits[i] == bits)
			return (int)i;
	return -1;
}

static bool sizes_legal(const struct pt_geometry_args *a)
{
	bool large = a->granule_shift == 16;

	if (a->granule_shift != 12 && a->granule_shift != 14 && !large)
		return false;
	if (ps_of(a->pa_bits) < 0 || a->ipa_bits < 32 || a->ipa_bits > a->pa_bits)
		return false;
	/* DS is RES0 with 64K; without it, 4K and 16K descriptors reach 48 bits. */
	return large ? !a->ds : a->ds || a->pa_bits <= 48;
}

/* Address bits below the index of `level`. */
static unsigned shift_of(unsigned granule_shift, int level)
{
	return granule_shift + (granule_shift - 3) * (unsigned)(PT_LEVEL_LAST - level);
}

/* AArch64.S2InvalidSL: is this start level implemented at all with this PA size? */
static bool start_level_exists(const struct pt_geometry_args *a, int level)
{
	bool wide = a->ds && a->pa_bits == 52;

	switch (a->granule_shift) {
	case 12:
		if (level == -1)
			return wide;
		return level == 0 ? a->pa_bits >= 44 : level >= 1;
	case 14:
		if (level == 0)
			return wide;
		return level == 1 ? a->pa_bits >= 42 : level >= 2;
	default: return level == 1 ? a->pa_bits >= 44 : level >= 2;
	}
}

/* AArch64.S2InconsistentSL: at least one bit resolved at the start level, at most 16 tables. */
static bool start_level_fits(const struct pt_geometry_args *a, int level)
{
	unsigned shift = shift_of(a->granule_shift, level);

	return a->ipa_bits > shift && a->ipa_bits <= shift + (a->granule_shift - 3) + CONCAT_BITS;
}

static bool start_level_legal(const struct pt_geometry_args *a, int level)
{
	return level >= PT_LEVEL_FIRST && level <= PT_LEVEL_LAST && start_level_exists(a, level) &&
	       start_level_fits(a, level);
}

/*
 * The deepest start that concatenation reaches has the fewest tables. At least two levels, so that
 * blocks exist (KVM: kvm_get_vtcr, stage2_pgtable_levels).
 */
static bool default_start_level(const struct pt_geometry_args *a, int *level)
{
	for (int l = PT_LEVEL_LAST - 1; l >= PT_LEVEL_FIRST; l--)
		if (start_level_legal(a, l)) {
			*level = l;
			return true;
		}
	return false;
}

/* AArch64.BlockDescSupported, and no level above the start. */
static int min_block_level(const struct pt_geometry_args *a, int start)
{
	bool wide = a->granule_shift == 16 ? a->pa_bits == 52 : a->ds;
	int level = (a->granule_shift == 12 ? 1 : 2) - (wide ? 1 : 0);

	return level > start ? level : start;
}

enum pt_outcome pt_geometry_init(struct pt_geometry *g, const struct pt_geometry_args *a)
{
	int start = a->start_level;
	uint32_t entries;

	if (!sizes_legal(a))
		return PT_INVALID;
	if (!(a->start_level_given ? start_level_legal(a, start) : default_start_level(a, &start)))
		return PT_INVALID;
	entries = UINT32_C(1) << (a->ipa_bits - shift_of(a->granule_shift, start));
	*g = (struct pt_geometry){
		.granule_shift = (uint8_t)a->granule_shift,
		.stride = (uint8_t)(a->granule_shift - 3),
		.ipa_bits = (uint8_t)a->ipa_bits,
		.pa_bits = (uint8_t)a->pa_bits,
		.start_level = (int8_t)start,
		.min_block_level = (int8_t)min_block_level(a, start),
		.ds = a->ds,
		.lpa = a->granule_shift == 16 && a->pa_bits == 52,
		.start_entries = entries,
		.start_bytes = entries * (uint32_t)sizeof(pt_pte),
	};
	return PT_OK;
}

/* SL2:SL0 count upwards from a level that depends on the granule; 4K reaches -1 with SL2 alone. */
static uint64_t encode_sl(const struct pt_geometry *g)
{
	int base = g->granule_shift == 12 ? 2 : 3;

	if (g->granule_shift == 12 && g->start_level == -1)
		return VTCR_SL2;
	return pt__place((uint64_t)(base - g->start_level), 7, 6);
}

/* False for a reserved encoding. SL0 = 3 with 4K is level 3 (FEAT_TTST); with 64K it is reserved.
 */
static bool decode_sl(uint64_t vtcr, struct pt_geometry_args *a)
{
	int sl0 = (int)pt__field(vtcr, 7, 6);

	a->start_level_given = true;
	if (vtcr & VTCR_SL2) {
		a->start_level = -1;
		return a->granule_shift == 12 && a->ds && sl0 == 0;
	}
	if (a->granule_shift == 12)
		a->start_level = sl0 == 3 ? 3 : 2 - sl0;
	else
		a->start_level = 3 - sl0;
	return a->granule_shift != 16 || sl0 != 3;
}

enum pt_outcome pt_geometry_from_vtcr(struct pt_geometry *g, uint64_t vtcr)
{
	static const uint8_t granules[4] = {12, 16, 14, 0};
	struct pt_geometry_args a = {.granule_shift = granules[pt__field(vtcr, 15, 14)]};
	uint64_t ps = pt__field(vtcr, 18, 16);

	if (ps >= sizeof(ps_bits) || !a.granule_shift)
		return PT_INVALID;
	a.pa_bits = ps_bits[ps];
	a.ipa_bits = 64 - (unsigned)pt__field(vtcr, 5, 0);
	a.ds = vtcr & VTCR_DS;
	if (!decode_sl(vtcr, &a))
		return PT_INVALID;
	return pt_geometry_init(g, &a);
}

unsigned pt_geometry_vtcr_flags(uint64_t vtcr)
{
	return (vtcr & VTCR_HA ? PT_VTCR_HA : 0) | (vtcr & VTCR_HD ? PT_VTCR_HD : 0) |
	       (vtcr & VTCR_VS ? PT_VTCR_VS : 0);
}

uint64_t pt_geometry_vtcr(const struct pt_geometry *g, unsigned flags)
{
	uint64_t tg0 = g->granule_shift == 12 ? 0 : g->granule_shift == 16 ? 1 : 2;
	uint64_t vtcr = VTCR_RES1 | VTCR_SH0_INNER | VTCR_ORGN0_WBWA | VTCR_IRGN0_WBWA;

	vtcr |= pt__place((uint64_t)ps_of(g->pa_bits), 18, 16) | pt__place(tg0, 15, 14);
	vtcr |= encode_sl(g) | (64u - g->ipa_bits) | (g->ds ? VTCR_DS : 0);
	vtcr |= (flags & PT_VTCR_HA ? VTCR_HA : 0) | (flags & PT_VTCR_HD ? VTCR_HD : 0);
	return vtcr | (flags & PT_VTCR_VS ? VTCR_VS : 0);
}

uint64_t pt_geometry_vttbr(const struct pt_geometry *g, struct pt_pa root, uint16_t vmid)
{
	uint64_t baddr = root.v & pt__low_mask(48);

	/* AArch64.S2TTBaseAddress: with 52-bit tables, base bits 51:48 stand in bits 5:2. */
	if (g->ds || g->lpa)
		baddr |= pt__place(root.v >> 48, 5, 2);
	return baddr | (uint64_t)vmid << 48;
}

static enum pt_outcome check_range(uint64_t start, uint64_t size, unsigned align, unsigned bits)
{
	if (!size || start + size - 1 < start)
		return PT_INVALID;
	if (!pt__aligned(start | size, align))
		return PT_MISALIGNED;
	return pt__beyond(start, size, bits) ? PT_OUT_OF_RANGE : PT_OK;
}

enum pt_outcome pt_geometry_check_range(const struct pt_geometry *g, struct pt_ipa ipa,
					uint64_t size)
{
	return check_range(ipa.v, size, g->granule_shift, g->ipa_bits);
}

enum pt_outcome pt_geometry_check_output(const struct pt_geometry *g, struct pt_pa pa,
					 uint64_t size)
{
	return check_range(pa.v, size, g->granule_shift, g->pa_bits);
}
