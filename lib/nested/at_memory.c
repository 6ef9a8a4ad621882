/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory types and shareability of stage 1 and stage 2 together, as PAR_EL1 reports them. Pure. */
#include "at.h"

#include "base/bits.h"

/* Nibbles of MAIR: 00RW write-through transient, 0100 NC, 01RW write-back transient, 10RW
 * write-through, 11RW write-back. */
#define NC	     4u
#define HINTS	     3u
#define WT	     8u
#define WB	     12u
#define WB_ALLOCATES 15u

#define SH_OUTER 2u
#define SH_INNER 3u

enum cacheability { NONE = 1, THROUGH = 2, BACK = 3 }; /* as stage 2 numbers them */

static unsigned cacheability_of(unsigned nibble)
{
	if (nibble == NC)
		return NONE;
	return nibble & 4 ? BACK : THROUGH;
}

/* 0x40, 0xa0 and 0xf0 are FEAT_XS and FEAT_MTE2's; an inner nibble of 0 means the outer's there,
 * and is UNPREDICTABLE elsewhere. */
struct pt__memory pt__memory_of_mair(uint8_t attr, uint8_t sh)
{
	uint8_t outer = attr >> 4, inner = attr & 15;

	return (struct pt__memory){
		.device = !outer,
		.type = inner >> 2,
		.outer = outer,
		.inner = inner ? inner : outer,
		.sh = sh,
	};
}

/* The weaker cacheability; hints are stage 1's, which stage 2 has none of (S2CombineS1AttrHints).
 */
static uint8_t weaker(unsigned s1, unsigned s2)
{
	unsigned one = cacheability_of(s1), both = one < s2 ? one : s2;

	if (both == NONE || s2 == 0)
		return NC;
	if (both == one)
		return (uint8_t)s1;
	/* Write-back by stage 1, write-through by stage 2: transience stays. */
	return (uint8_t)(s1 & WT ? WT | (s1 & HINTS) : s1 & HINTS);
}

/* Write-back whatever stage 1 says, which still gives the hints where it caches. */
static uint8_t forced(bool device, unsigned s1)
{
	if (device || s1 == NC)
		return WB_ALLOCATES;
	return (uint8_t)(s1 | 4u);
}

static void apply_device(struct pt__memory *m, unsigned type)
{
	if (!m->device || type < m->type)
		m->type = (uint8_t)type;
	m->device = true;
}

static void apply_plain(struct pt__memory *m, unsigned memattr)
{
	if (!(memattr & 0xc)) {
		apply_device(m, memattr);
	} else if (!m->device) {
		m->outer = weaker(m->outer, memattr >> 2);
		m->inner = weaker(m->inner, memattr & 3);
	}
}

/* HCR_EL2.FWB: 0xx Device, 101 NC, 110 write-back, 111 stage 1's; the reserved 100 counts as NC. */
static void apply_fwb(struct pt__memory *m, unsigned memattr)
{
	if (!(memattr & 4))
		apply_device(m, memattr & 3);
	else if ((memattr & 3) == 2)
		*m = (struct pt__memory){.outer = forced(m->device, m->outer),
					 .inner = forced(m->device, m->inner),
					 .sh = m->sh};
	else if ((memattr & 3) != 3 && !m->device)
		m->outer = m->inner = NC;
}

static uint8_t wider(unsigned a, unsigned b)
{
	if (a == SH_OUTER || b == SH_OUTER)
		return SH_OUTER;
	return a | b ? SH_INNER : 0;
}

/* Device and memory without caches are outer shareable, whatever SH says. */
static uint8_t effective_sh(const struct pt__memory *m)
{
	if (m->device || (m->outer == NC && m->inner == NC))
		return SH_OUTER;
	return m->sh == 1 ? SH_INNER : m->sh;
}

struct pt__memory pt__memory_of_both(struct pt__memory s1, const struct pt_guest_leaf *s2, bool fwb)
{
	struct pt__memory m = s1;

	m.sh = effective_sh(&s1);
	if (fwb)
		apply_fwb(&m, s2->memattr);
	else
		apply_plain(&m, s2->memattr);
	m.sh = wider(m.sh, s2->sh);
	return m;
}

struct pt__memory pt__memory_uncached(struct pt__memory m)
{
	if (!m.device)
		m.outer = m.inner = NC;
	return m;
}

uint64_t pt__memory_par(struct pt__memory m)
{
	unsigned attr = m.device ? (unsigned)m.type << 2 : (unsigned)m.outer << 4 | m.inner;

	return pt__place(attr, 63, 56) | pt__place(effective_sh(&m), 8, 7);
}
