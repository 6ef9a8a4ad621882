/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries by the cache line, for runs under a drained claim: written out, so that no loop and no
 * array is left. Private to lib/txn. */
#ifndef PT_TXN_LINE_H
#define PT_TXN_LINE_H

#include "../walk/inline.h"

#define PT__LINE 8

PT__INLINE bool pt__line_begins(const pt_pte *slot)
{
	return !((uintptr_t)slot % (PT__LINE * sizeof(*slot)));
}

/*
 * Are the eight entries of a line like `like` but for the bits of `free`? Then what changes one
 * changes all: the bits of `flip` are inverted in each (0: nothing is written).
 */
PT__INLINE bool pt__flip_line(pt_pte *slot, pt_pte like, pt_pte free, pt_pte flip)
{
	pt_pte a = pt_pte_load(slot), b = pt_pte_load(slot + 1), c = pt_pte_load(slot + 2),
	       d = pt_pte_load(slot + 3), e = pt_pte_load(slot + 4), f = pt_pte_load(slot + 5),
	       g = pt_pte_load(slot + 6), h = pt_pte_load(slot + 7);
	pt_pte differ = (a ^ like) | (b ^ like) | (c ^ like) | (d ^ like) | (e ^ like) |
			(f ^ like) | (g ^ like) | (h ^ like);

	if (differ & ~free)
		return false;
	if (!flip)
		return true;
	pt_pte_store(slot, a ^ flip);
	pt_pte_store(slot + 1, b ^ flip);
	pt_pte_store(slot + 2, c ^ flip);
	pt_pte_store(slot + 3, d ^ flip);
	pt_pte_store(slot + 4, e ^ flip);
	pt_pte_store(slot + 5, f ^ flip);
	pt_pte_store(slot + 6, g ^ flip);
	pt_pte_store(slot + 7, h ^ flip);
	return true;
}

/* The bits that all eight entries of a line have. */
PT__INLINE pt_pte pt__common_line(const pt_pte *slot)
{
	return pt_pte_load(slot) & pt_pte_load(slot + 1) & pt_pte_load(slot + 2) &
	       pt_pte_load(slot + 3) & pt_pte_load(slot + 4) & pt_pte_load(slot + 5) &
	       pt_pte_load(slot + 6) & pt_pte_load(slot + 7);
}

/* The sum of the bits of `bits` over the eight entries of a line. */
PT__INLINE uint64_t pt__sum_line(const pt_pte *slot, pt_pte bits)
{
	return (pt_pte_load(slot) & bits) + (pt_pte_load(slot + 1) & bits) +
	       (pt_pte_load(slot + 2) & bits) + (pt_pte_load(slot + 3) & bits) +
	       (pt_pte_load(slot + 4) & bits) + (pt_pte_load(slot + 5) & bits) +
	       (pt_pte_load(slot + 6) & bits) + (pt_pte_load(slot + 7) & bits);
}

/* Takes the bits of `bits` away in the eight entries of a line. */
PT__INLINE void pt__clear_line(pt_pte *slot, pt_pte bits)
{
	pt_pte_store(slot, pt_pte_load(slot) & ~bits);
	pt_pte_store(slot + 1, pt_pte_load(slot + 1) & ~bits);
	pt_pte_store(slot + 2, pt_pte_load(slot + 2) & ~bits);
	pt_pte_store(slot + 3, pt_pte_load(slot + 3) & ~bits);
	pt_pte_store(slot + 4, pt_pte_load(slot + 4) & ~bits);
	pt_pte_store(slot + 5, pt_pte_load(slot + 5) & ~bits);
	pt_pte_store(slot + 6, pt_pte_load(slot + 6) & ~bits);
	pt_pte_store(slot + 7, pt_pte_load(slot + 7) & ~bits);
}

#endif
