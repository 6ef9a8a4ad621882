/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of the reverse map and where they stand; private to lib/nested/links*.c. See internal.h. */
#ifndef NESTED_LINKS_H
#define NESTED_LINKS_H

#include "internal.h"

#define PT__LINK_WORDS	  2
#define PT__LINK_ID_SHIFT 4 /* log2 of a link's bytes */

#define PT__LINK_PAGE_BITS 40
#define PT__LINK_SHIFT	   40
#define PT__LINK_ONE	   (UINT64_C(1) << 46)
#define PT__LINK_COUNT	   (UINT64_C(127) * PT__LINK_ONE)
#define PT__LINK_NO_LIST   (UINT64_C(1) << 62)
#define PT__LINK_SET	   (UINT64_C(1) << 63)

#define PT__HEAD_BITS	 32
#define PT__HEAD	 (UINT64_C(0xffffffff))
#define PT__HEAD_FIRST	 (UINT64_C(0x7fffffff))
#define PT__HEAD_INEXACT (UINT64_C(1) << 31)
#define PT__HEAD_NOWHERE 32 /* of what pt__links_collect() says */

/* What is there at once where there is one: links in 2 KiB, heads in 1 KiB. */
#define PT__LINK_END_BITS 9
#define PT__HEAD_END_BITS 8
#define PT__LINK_ENDS	  ((struct pt_sparse_ends){.bits = PT__LINK_END_BITS, .halves = true})
#define PT__HEAD_ENDS	  ((struct pt_sparse_ends){.bits = PT__HEAD_END_BITS, .halves = true})
#define PT__LINK_RUN	  (1u << (PT__LINK_END_BITS - 1)) /* words */
#define PT__LINKS_A_PIECE (PT__LINK_RUN / PT__LINK_WORDS)
#define PT__HEADS_A_PIECE (1u << PT__HEAD_END_BITS) /* two in a word */

/* Tags: what a piece of links is. */
#define PT__TAG_SET	     (UINT64_C(1) << 63)
#define PT__TAG_CLASS_SHIFT  41
#define PT__TAG_NUMBER_SHIFT 43
#define PT__TAG_PIECE	     ((UINT64_C(1) << PT__TAG_CLASS_SHIFT) - 1)

static inline uint64_t pt__list_first(uint64_t head)
{
	return head & PT__HEAD_FIRST;
}

static inline uint64_t pt__link_canonical(uint64_t word)
{
	return (word & ((UINT64_C(1) << PT__LINK_PAGE_BITS) - 1)) << 12;
}

static inline uint8_t pt__link_shift(uint64_t word)
{
	return word >> PT__LINK_SHIFT & 63;
}

static inline int pt__link_level(const struct pt_shadow *shadow, unsigned shift)
{
	unsigned gs = shadow->ctx.geo.granule_shift;

	return PT_LEVEL_LAST - (int)((shift - gs) / (gs - 3));
}

/* Where a link and a head stand. */
struct pt__place {
	struct pt_sparse *tree;
	struct pt_sparse_ends ends;
	uint64_t n;    /* of the word */
	unsigned half; /* of a head: its lowest bit there */
};

static inline struct pt__place pt__link_place(struct pt_shadow *shadow, unsigned class,
					      uint64_t ipa)
{
	return (struct pt__place){&shadow->directory[class], PT__LINK_ENDS,
				  PT__LINK_WORDS * (ipa >> pt__class_shift(class)), 0};
}

static inline struct pt__place pt__head_place(struct pt_nested *nested, unsigned class,
					      uint64_t canonical)
{
	uint64_t n = canonical >> pt__class_shift(class);

	return (struct pt__place){&nested->heads[class], PT__HEAD_ENDS, n / 2,
				  n % 2 * PT__HEAD_BITS};
}

static inline uint64_t pt__head_in(uint64_t word, unsigned half)
{
	return word >> half & PT__HEAD;
}

static inline pt__word *pt__place_word(const struct pt_nested *nested, struct pt__place at)
{
	return pt__sparse_word(at.tree, at.ends, &nested->store, at.n);
}

static inline pt__word *pt__link_of_id(const struct pt_nested *nested, uint64_t id)
{
	return pt__words(&nested->store, id << PT__LINK_ID_SHIFT & ~UINT64_C(0xfff)) +
	       (id << PT__LINK_ID_SHIFT & 0xfff) / sizeof(pt__word);
}

/* Heads side by side have one lock: two of them are a word, and a run of them can be gone through
 * under it. */
#define PT__STRIPE_BITS 4

static inline struct pt_shadow_stripe *pt__stripe_of(struct pt_nested *nested, unsigned class,
						     uint64_t canonical)
{
	uint64_t run = canonical >> (pt__class_shift(class) + PT__STRIPE_BITS);

	return &nested->stripe[(run ^ run >> 5 ^ run >> 14) % PT_SHADOW_STRIPES];
}

/* links.c: a link out of the list of the head at `half` of a word, with the lock of its stripe.
 * True: the head is 0 now, and keeps its piece no longer. */
bool pt__list_take_out(const struct pt_nested *nested, pt__word *link, pt__word *word,
		       unsigned half);

static inline uint64_t pt__peek(const pt__word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void pt__poke(pt__word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

/* With the lock of its stripe, and so of the other half. */
static inline void pt__head_set(pt__word *word, unsigned half, uint64_t head)
{
	pt__set(word, (pt__peek(word) & ~(PT__HEAD << half)) | head << half);
}

/* How many are in the list of a head. With the lock. */
static inline uint64_t pt__list_count(const struct pt_nested *nested, uint64_t head)
{
	uint64_t first = pt__list_first(head);

	return first ? (pt__peek(pt__link_of_id(nested, first) + 1) & PT__LINK_COUNT) / PT__LINK_ONE
		     : 0;
}

#endif
