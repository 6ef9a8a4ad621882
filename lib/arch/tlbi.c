/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLBI operands by address and by range.
 *
 * Sources: Arm ARM C5.5, TLBI IPAS2E1IS and TLBI RIPAS2E1IS; the 64 KiB base alignment with LPA2 is
 * FEAT_LPA2's (BaseADDR holds IPA[52:16] then).
 */
#include <pt/tlbi.h>

#include "base/bits.h"

#define MAX_NUM	  31
#define MAX_SCALE 3

/* The encoding that TTL and TG share: 1 for 4K, 2 for 16K, 3 for 64K. */
static uint64_t granule_code(const struct pt_geometry *g)
{
	return g->granule_shift / 2 - 5u;
}

static unsigned base_shift(const struct pt_geometry *g)
{
	return g->ds ? 16 : g->granule_shift;
}

/* Levels that TTL can name: a level-0 or 16K level-1 leaf only exists, and can be named, with LPA2.
 */
static bool can_say(unsigned granule_shift, bool ds, int level)
{
	if (level > PT_LEVEL_LAST)
		return false;
	if (granule_shift == 12)
		return level >= (ds ? 0 : 1);
	if (granule_shift == 14)
		return level >= (ds ? 1 : 2);
	return level >= 1;
}

static bool ttl_says(const struct pt_geometry *g, int level)
{
	return can_say(g->granule_shift, g->ds, level);
}

uint64_t pt_tlbi_ipa_operand(const struct pt_geometry *g, struct pt_ipa ipa, int level)
{
	uint64_t ttl = ttl_says(g, level) ? granule_code(g) << 2 | (uint64_t)level : 0;

	return pt__place(ipa.v >> 12, 39, 0) | pt__place(ttl, 47, 44);
}

uint64_t pt_tlbi_range_operand(const struct pt_geometry *g, struct pt_ipa ipa, unsigned num,
			       unsigned scale, int level)
{
	/* Two bits only: 0 is "any", so level 0 cannot be named. */
	uint64_t ttl = ttl_says(g, level) ? (uint64_t)level : 0;

	return pt__place(ipa.v >> base_shift(g), 36, 0) | pt__place(ttl, 38, 37) |
	       pt__place(num, 43, 39) | pt__place(scale, 45, 44) |
	       pt__place(granule_code(g), 47, 46);
}

static uint64_t range_bytes(unsigned granule_shift, unsigned num, unsigned scale)
{
	return (uint64_t)(num + 1) << (5 * scale + 1) << granule_shift;
}

/* log2 of the granule that TTL or TG says; 0: none. */
static uint8_t granule_of(uint64_t code)
{
	return code ? (uint8_t)(10 + 2 * code) : 0;
}

static bool decode_range(bool ds, uint64_t value, struct pt_tlbi_op *op, int *level)
{
	uint64_t ttl = pt__field(value, 38, 37);

	op->granule_shift = granule_of(pt__field(value, 47, 46));
	if (!op->granule_shift)
		return false;
	op->ipa = pt_ipa(pt__field(value, 36, 0) << (ds ? 16 : op->granule_shift));
	op->size = range_bytes(op->granule_shift, (unsigned)pt__field(value, 43, 39),
			       (unsigned)pt__field(value, 45, 44));
	*level = ttl && can_say(op->granule_shift, ds, (int)ttl) ? (int)ttl : PT_TTL_UNKNOWN;
	return true;
}

/* A TTL that cannot be is none, granule and all. */
static void decode_ipa(bool ds, uint64_t value, struct pt_tlbi_op *op, int *level)
{
	int said = (int)pt__field(value, 45, 44);

	op->granule_shift = granule_of(pt__field(value, 47, 46));
	if (!op->granule_shift || !can_say(op->granule_shift, ds, said)) {
		op->granule_shift = 0;
		said = PT_TTL_UNKNOWN;
	}
	op->ipa = pt_ipa(pt__field(value, 39, 0) << 12);
	op->size = UINT64_C(1) << (op->granule_shift ? op->granule_shift : 12);
	*level = said;
}

bool pt_tlbi_decode(bool ds, uint64_t value, bool range, struct pt_tlbi_op *op, int *level)
{
	struct pt_tlbi_op out = {.range = range, .value = value};

	if (!range)
		decode_ipa(ds, value, &out, level);
	else if (!decode_range(ds, value, &out, level))
		return false;
	*op = out;
	return true;
}

/*
 * Large scales first: each step leaves the base aligned to 64 granules at least, so that the base
 * needs its 64 KiB only once with DS. What is left over at scale 0 is one granule.
 */
static bool fits_range(const struct pt_geometry *g, uint64_t ipa, uint64_t granules, unsigned *num,
		       unsigned *scale)
{
	if (!pt__aligned(ipa, base_shift(g)))
		return false;
	for (unsigned s = MAX_SCALE + 1; s-- > 0;) {
		uint64_t units = granules >> (5 * s + 1);

		if (!units)
			continue;
		*num = (unsigned)(units > MAX_NUM + 1 ? MAX_NUM : units - 1);
		*scale = s;
		return true;
	}
	return false;
}

bool pt_tlbi_cover_next(const struct pt_geometry *g, struct pt_ipa *ipa, uint64_t *size, int level,
			struct pt_tlbi_op *op)
{
	unsigned num, scale;

	if (!*size)
		return false;
	op->ipa = *ipa;
	op->granule_shift = g->granule_shift;
	op->range = fits_range(g, ipa->v, *size >> g->granule_shift, &num, &scale);
	if (op->range) {
		op->size = range_bytes(g->granule_shift, num, scale);
		op->value = pt_tlbi_range_operand(g, *ipa, num, scale, level);
	} else {
		op->size = UINT64_C(1) << g->granule_shift;
		op->value = pt_tlbi_ipa_operand(g, *ipa, level);
	}
	*ipa = pt_ipa(ipa->v + op->size);
	*size -= op->size;
	return true;
}
