/* SPDX-License-Identifier: BSD-2-Clause */
/* What a change does to one entry of a shadow; private to lib/nested. */
#ifndef NESTED_KILL_H
#define NESTED_KILL_H

#include "internal.h"

#include "../txn/compare.h"
#include "../txn/internal.h"

enum pt__hit {
	PT__HIT_NOTHING, /* it may stay, is no leaf, or was a claim: that is called off */
	PT__HIT_ASIDE,	 /* its table is set aside */
	/* These have to be flushed. */
	PT__HIT_OWES,	/* another has broken it, who may not have flushed yet */
	PT__HIT_TAKEN,	/* the leaf stays, without rights */
	PT__HIT_BROKEN, /* BREAK is set: to be unlinked and cleared */
};

/*
 * What becomes of a leaf whose memory begins at `canonical`: itself, if it may stay; or BREAK.
 * Where all of its memory has lost rights it stays without them; where a part has, the rest of it
 * has lost nothing, and it goes.
 */
PT__INLINE pt_pte pt__left_of(const struct pt__kills *kills, pt_pte leaf, uint64_t canonical,
			      unsigned shift)
{
	pt_pte left;

	if (kills->guest_levels && !(kills->guest_levels >> (pt__guest_level(leaf) + 1) & 1))
		return leaf;
	if (PT__LIKELY(!kills->lost))
		return PT__BREAK;
	left = pt__without(leaf, kills->lost);
	if (left != leaf &&
	    (canonical < kills->lo || canonical + ((UINT64_C(1) << shift) - 1) > kills->hi))
		return PT__BREAK;
	return left;
}

/* Entry `e` of a spot, whose link names `canonical`. What is broken is counted out. */
PT__INLINE enum pt__hit pt__hit(const struct pt__kills *kills, struct pt__spot spot, pt_pte *slot,
				pt_pte e, uint64_t canonical)
{
	struct pt_shadow *shadow = spot.shadow;
	pt_pte to;

	for (;;) {
		if (e == PT__ASIDE)
			return PT__HIT_ASIDE;
		if ((e & PT__MARK_KIND) == PT__CLAIM) {
			if (!pt_pte_cas(slot, &e, (e & ~PT__MARK_KIND) | PT__DEAD))
				continue;
			atomic_fetch_add_explicit(&shadow->nested->counts.claims_killed, 1,
						  memory_order_relaxed);
			return PT__HIT_NOTHING;
		}
		if ((e & PT__MARK_KIND) == PT__BREAK)
			return PT__HIT_OWES;
		if (!pt_pte_valid(e) || pt_pte_is_table(e, spot.level))
			return PT__HIT_NOTHING;
		to = pt__left_of(kills, e, canonical, spot.shift);
		if (to == e)
			return PT__HIT_NOTHING;
		if (pt_pte_cas(slot, &e, to))
			break;
	}
	if (to != PT__BREAK)
		return PT__HIT_TAKEN;
	atomic_fetch_sub_explicit(&shadow->leaves[pt__guest_level(e) + 1], 1, memory_order_relaxed);
	return PT__HIT_BROKEN;
}

/* Is the leaf `e` of an entry young? With `clear` it is not any more. */
PT__INLINE bool pt__is_young(pt_pte *slot, pt_pte e, bool clear)
{
	const pt_pte young = PT_PTE_VALID | PT_PTE_AF;

	while ((e & young) == young)
		if (!clear || pt_pte_cas(slot, &e, e & ~PT_PTE_AF))
			return true;
	return false;
}

#endif
