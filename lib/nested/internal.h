/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/nested share; private to it. */
#ifndef PT_NESTED_INTERNAL_H
#define PT_NESTED_INTERNAL_H

#include <pt/nested.h>

#include "../pool/sparse.h"

/*
 * A shadow's last entry is one of
 *
 *   0            empty
 *   CLAIM        a fill is on its way; the payload tells fills apart
 *   DEAD         the same, called off; its fill clears it
 *   BREAK        a leaf was there; who broke it flushes, unlinks, and clears it
 *   a leaf       software bits: the guest's level
 *
 *
 * and the one above it, in the place of a table, may be
 *
 *   ASIDE        a leaf table was there, and comes back, or goes with all its leaves, within the
 *                section of who set it (bulk.c)
 *
 * All but the empty one and the leaf are of LOCKED's type, which only who set it clears: CLAIM may
 * become DEAD by anybody's compare-and-swap, and its filler's exchange for the leaf then fails. The
 * link of the entry (16 bytes, found by the nested IPA) belongs to who set CLAIM or BREAK; it is in
 * the canonical page's list as long as the entry is not empty.
 *
 * Whoever finds BREAK has nothing to remove but must flush: the one that broke may not have yet.
 * Whoever finds ASIDE has to come again in a later section: what is to become of the leaves is not
 * known.
 *
 * Rights are added to a leaf by a fill like any other: through BREAK and CLAIM. A canonical change
 * that takes a right lets leaves stand that do not grant it, so none may come to grant it beside.
 * Rights are taken from a leaf by an exchange for the same leaf without them, and a flush.
 */
#define PT__CLAIM     (PT_PTE_LOCKED | UINT64_C(1) << 1)
#define PT__DEAD      (PT_PTE_LOCKED | UINT64_C(2) << 1)
#define PT__BREAK     (PT_PTE_LOCKED | UINT64_C(3) << 1)
#define PT__MARK_KIND (PT_PTE_INVALID_TYPE | PT_PTE_VALID | UINT64_C(3) << 1)
#define PT__ASIDE     (PT__BREAK | UINT64_C(1) << PT__CLAIM_SEQ)
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

/* The chain of live shadows with this VMID. */
static inline _Atomic(struct pt_shadow *) *pt__shadow_bucket(struct pt_nested *nested,
							     uint16_t vmid)
{
	return &nested->bucket[vmid & (nested->buckets - 1)];
}

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

static inline unsigned pt__class_shift(unsigned class)
{
	return 12 + 9 * class;
}

/* The class of leaves of 2^shift bytes. */
static inline unsigned pt__class_of(unsigned shift)
{
	return shift < 21 ? 0 : shift < 30 ? 1 : 2;
}

/* clang-format off */
/*
 * links*.c: the reverse map. A link stands in its shadow's directory, at the number of the leaf's
 * first page (of 4 KiB, 2 MiB or 1 GiB by class); a head at the number of the canonical page where
 * the leaf's memory begins. A link's id is its place in the pool's memory, in units of 16 bytes;
 * from its piece's tag (pt_pool_tag()) and its place there follow the shadow and the address.
 *
 *   link, first word   31:0 the next of the list, 63:32 the one before; 0: none
 *   link, second word  39:0 the canonical page, 45:40 log2 of the leaf's size, 52:46 of the first of
 *                      a list: how many there are, 62: in no list, 63: set
 *   head, 32 bits      30:0 the first of the list, 31 inexact; two in a word
 *
 * Lists change under the lock of the canonical page's stripe, in which nothing else is done. What
 * keeps a piece of heads, and the other of its end: each reservation, and each head that is not 0;
 * of links: each reservation and each link.
 */
/* clang-format on */

/* Of a context that nobody uses yet: store, heads, stripes, and the rules of its changes. PT_OK or
 * PT_UNSUPPORTED as pt_nested_init(). */
enum pt_outcome pt__links_init(struct pt_nested *nested, uint64_t quota_pages, uint64_t scope);
/* Heads back, at most *budget pages and pieces. True: all are. */
bool pt__links_close(struct pt_nested *nested, struct pt_agent *agent, uint32_t *budget);
/* Of a shadow whose context is made; and its pages back when it has no leaves any more and nobody
 * looks for them, at most *budget. */
void pt__directory_init(struct pt_shadow *shadow);
bool pt__directory_close(struct pt_shadow *shadow, struct pt_agent *agent, uint32_t *budget);

/*
 * A link on its way into a list. Its piece, and that of the head, are looked for before they are
 * needed, as for a leaf of a page, so that the words come from memory beside something else. What
 * was found is good to the end of the section: a piece that goes meanwhile is linked by 0.
 */
struct pt__entering {
	struct pt__spot spot;
	struct pt_ipa canonical;	 /* where the leaf's memory begins */
	pt__word *link_page, *head_page; /* what links the end; NULL: there was none */
	pt__word *link, *head;		 /* reserved: they stay where they are */
};

void pt__link_expect(struct pt__entering *e, struct pt_shadow *shadow, struct pt_ipa ipa);
void pt__head_expect(struct pt__entering *e, struct pt_nested *nested, struct pt_ipa canonical);

/* With spot and canonical. The pieces of head and link, kept: PT_OK; PT_NO_MEMORY, PT_QUOTA:
 * nothing is kept. */
enum pt_outcome pt__link_reserve(struct pt__entering *e, struct pt_agent *agent);
void pt__link_unreserve(const struct pt__entering *e, struct pt_agent *agent);
/* Into the list; false: the page has too many and is inexact from now on. The entry is claimed, and
 * reserved; from here on the reservation is the link's. */
bool pt__link_enter(const struct pt__entering *e);
/* Out of its list, if it is in one, and its reservation given back. By who set CLAIM or BREAK. */
void pt__link_leave(struct pt__spot spot, struct pt_agent *agent);

/*
 * The next link of a class in a shadow's directory, from *ipa on and up to `last`; at most *left
 * words are looked at, which it counts. False: none; *ipa is how far it came, above `last` when it
 * is through. A leaf or claim that was there before the call is found, if its link was entered.
 */
bool pt__link_next(struct pt_shadow *shadow, unsigned class, uint64_t *ipa, uint64_t last,
		   int64_t *left, struct pt__spot *spot);

/* What the link of a spot says. */
struct pt__linked {
	bool set, listed;
	uint64_t canonical; /* of the leaf's first byte */
	uint8_t shift;
};
struct pt__linked pt__link_get(struct pt__spot spot);

/* pt_shadow_rules.holds. */
bool pt__links_hold(void *arg, uint64_t lo, uint64_t hi);

/*
 * The leaves in the list of the head for `canonical`, of a class. Returns how many; *head: what the
 * head said, and, if it is inexact, in 63:32 how many links the stripe has had that are in no list.
 * After the fence of who changed the canonical leaf.
 */
struct pt__found {
	struct pt__spot spot;
	uint64_t canonical;
};
uint32_t pt__links_collect(struct pt_nested *nested, unsigned class, uint64_t canonical,
			   struct pt__found found[PT_SHADOW_LINKS], uint64_t *head);
static inline bool pt__head_inexact(uint64_t head)
{
	return head >> 31 & 1;
}
/* The first head from number *n on, and below `end`, that is not 0; as pt__sparse_next(). */
bool pt__head_next(const struct pt_nested *nested, unsigned class, uint64_t *n, uint64_t end,
		   int64_t *left);
/* Every leaf of every shadow was removed since the head said `head`: exact again, unless a link of
 * this page, or of another of its stripe, was entered in no list meanwhile. */
void pt__links_exact(struct pt_nested *nested, struct pt_agent *agent, unsigned class,
		     uint64_t canonical, uint64_t head);

/* notify.c: what the canonical context has to be told of. */
extern const struct pt_shadow_rules pt__shadow_rules;

/*
 * kill.c: what a canonical change and a guest TLBI do to the leaf at a spot. `old` is what was
 * found there.
 */
struct pt__kills {
	struct pt_agent *agent;
	uint32_t lost;	 /* PT_PROT_*: leaves that grant none of it may stay; 0: none may */
	uint64_t lo, hi; /* with `lost`: who lost it, inclusive; leaves of this alone lose it */
	uint8_t guest_levels; /* bit n: leaves of the guest's level n - 1 go; 0: all do */
	uint32_t tlbis;	      /* that were issued */
	uint64_t removed;     /* leaves; not those that lost rights */
	bool again;	      /* what it was about is set aside by another: in a later section */
	/* Bit n: of shadows with numbers n modulo 64 the batch has one entry; more than one. */
	uint64_t once, twice;
	uint32_t count;
	struct pt__kill {
		struct pt__spot spot;
		pt_pte *slot;
		bool ours; /* BREAK was set by us */
	} kill[64];
};

/* Breaks the leaf, or takes its rights, or calls off the claim at `spot`, as long as its link names
 * `canonical` (or whatever it names: UINT64_MAX, of kills that take no rights). True: a leaf was
 * removed. Full batches are finished. Where its table is set aside nothing is
 * done but kills->again set. */
bool pt__kill(struct pt__kills *kills, struct pt__spot spot, uint64_t canonical);
/* Is the leaf's access flag set, and its link names `canonical`? With `clear`, not any more. What
 * is set aside counts as set. */
bool pt__shadow_young(struct pt__spot spot, uint64_t canonical, bool clear);
/* Flushes, unlinks and clears what is in the batch. Before the section ends. */
void pt__kills_finish(struct pt__kills *kills);

/* shadow_end.c: the same for each entry from *at to `last`, with *budget of them looked at at most.
 * True: that was all; else *at is where to go on. Fills may go on beside it. */
bool pt__shadow_clear(struct pt__kills *kills, struct pt_shadow *shadow, uint64_t *at,
		      uint64_t last, uint32_t *budget);

#endif
