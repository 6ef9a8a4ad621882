/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/nested share; private to it. */
#ifndef PT_NESTED_INTERNAL_H
#define PT_NESTED_INTERNAL_H

#include <pt/nested.h>

/*
 * A shadow's last entry is one of
 *
 *   0            empty
 *   CLAIM        a fill is on its way; the payload tells fills apart
 *   DEAD         the same, called off; its fill clears it
 *   BREAK        a leaf was there; who broke it flushes, unlinks, and clears it
 *   a leaf       software bits: the guest's level
 *
 * All but the empty one and the leaf are of LOCKED's type, which only who set it clears: CLAIM may
 * become DEAD by anybody's compare-and-swap, and its filler's exchange for the leaf then fails. The
 * link of the entry (16 bytes, found by the nested IPA) belongs to who set CLAIM or BREAK; it is in
 * the canonical page's list as long as the entry is not empty.
 *
 * Whoever finds BREAK has nothing to remove but must flush: the one that broke may not have yet.
 */
#define PT__CLAIM     (PT_PTE_LOCKED | UINT64_C(1) << 1)
#define PT__DEAD      (PT_PTE_LOCKED | UINT64_C(2) << 1)
#define PT__BREAK     (PT_PTE_LOCKED | UINT64_C(3) << 1)
#define PT__MARK_KIND (PT_PTE_INVALID_TYPE | PT_PTE_VALID | UINT64_C(3) << 1)
#define PT__CLAIM_SEQ 3 /* log2 of the lowest bit of a claim's payload */

/* Where a leaf of a shadow is, or will be. */
struct pt__spot {
	struct pt_shadow *shadow;
	struct pt_ipa ipa; /* of its first byte */
	uint8_t shift;	   /* log2 of its size */
	int8_t level;	   /* in the shadow's tables */
};

/* The two software bits of a shadow's leaf in which the guest's level stands, 0 to 3. */
#define PT__SW_GUEST_LEVEL (UINT32_C(3) << PT_PROT_SW_SHIFT)

static inline int pt__guest_level(pt_pte e)
{
	return (int)(e >> PT_PTE_SW_SHIFT & 3);
}

/* There may be so many shadows at most, and one less: numbers have 20 bits. */
#define PT__SHADOWS_MAX (UINT32_C(1) << 20)

static inline bool pt__shadow_live(const struct pt_shadow *shadow)
{
	return atomic_load_explicit(&shadow->state, memory_order_acquire) == PT_SHADOW_LIVE;
}

/*
 * combine.c: what leaves of both origins come to: the largest level at which the shadow may have a
 * leaf of them, and all of it but output address, type and software bits. guest_fwb: its MemAttr is
 * encoded so; of a host with FWB all are.
 */
struct pt__both {
	pt_pte attrs;
	int8_t level;
};

void pt__combine(const struct pt_shadow *shadow, const struct pt_guest_leaf *guest,
		 const struct pt_ctx *canonical, pt_pte entry, unsigned shift,
		 struct pt__both *both);
unsigned pt__both_memattr(unsigned guest, bool guest_fwb, unsigned host, bool host_fwb);

/*
 * links.c: the reverse map. A link stands in its shadow's directory, at the number of the leaf's
 * first page (of 4 KiB, 2 MiB or 1 GiB by class); a head at the number of the canonical page where
 * the leaf's memory begins. Ids of links are 32 bits: a place in the pool's memory.
 */
enum pt_outcome pt__link_reserve(struct pt__spot spot, struct pt_ipa canonical,
				 struct pt_agent *agent);
void pt__link_unreserve(struct pt__spot spot, struct pt_ipa canonical, struct pt_agent *agent);
/* Into the list; false: the page has too many and is inexact from now on. The entry is claimed. */
bool pt__link_enter(struct pt__spot spot, struct pt_ipa canonical);
/* Out of its list, if it is in one, and its reservation given back. By who set CLAIM or BREAK. */
void pt__link_leave(struct pt__spot spot, struct pt_agent *agent);

/*
 * kill.c: what a canonical change and a guest TLBI do to the leaf at a spot. `old` is what was
 * found there.
 */
struct pt__kills {
	struct pt_agent *agent;
	uint32_t count;
	struct pt__kill {
		struct pt__spot spot;
		pt_pte *slot;
		bool ours; /* BREAK was set by us */
	} kill[64];
};

/* Breaks the leaf or calls off the claim at `spot`, as long as its link names `canonical` (or
 * whatever it names: UINT64_MAX). True: a leaf was removed. Full batches are finished. */
bool pt__kill(struct pt__kills *kills, struct pt__spot spot, uint64_t canonical);
/* Flushes, unlinks and clears what is in the batch. Before the section ends. */
void pt__kills_finish(struct pt__kills *kills);

/* shadow_end.c: the same for each entry from *at to `last`, with *budget of them looked at at most.
 * True: that was all; else *at is where to go on. Fills may go on beside it. */
bool pt__shadow_clear(struct pt__kills *kills, struct pt_shadow *shadow, uint64_t *at,
		      uint64_t last, uint32_t *budget);

#endif
