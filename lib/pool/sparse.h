/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words by number in a radix tree, with pages of words at its ends; private to lib.
 *
 * A link is a page's offset and, in 63:44, what keeps the page: for a page of links how many of
 * them are not 0; for a page of words what its users count: words that are not 0, and
 * reservations. Links to pages of links change under the store's lock alone. A link to a page of
 * words becomes something and becomes 0 under the lock; while it is something its count changes by
 * compare-and-swap, by anyone. So whoever finds it and counts itself in has a page that stays, and
 * so do the pages above; who counts down to 0 takes the lock and looks once more.
 *
 * Where few words of many are something, a page is much for one of them. So there are trees in
 * whose ends two pieces stand for a page, one for each half of the numbers, each of which is there
 * once a word of it was asked for. Both are named by one link, in 24:0 and 50:26 by their offsets
 * in units of 1 KiB, with one count in 63:52 for both: it leads to as many words as before, and
 * both stay until nothing keeps either. But for one that was made in vain: 25 and 51 say that
 * nobody has counted itself in for a piece but who made it; if that has no use for it, it goes.
 *
 * A tree is as high as its numbers ask for. They are told by the bits in which they differ from the
 * first that there was (`base`, which stays), and the root says in 11:0 how many bits it reaches:
 * a number with more is not in the tree. When one comes the page of the root becomes entry 0 of a
 * new root's, which is complete before the root names it; when that has no other entry left it
 * goes, and its entry becomes the root. Whoever has read the root before finds all that it reached
 * in the same pages as those who read it after, and of what came since no more than if it had
 * looked before. So a page that goes from the top keeps its entry 0, for those who are in it. The
 * root always names a page of links: links to pages of words never move.
 *
 * A tree may have links to words beside the root: to those whose numbers differ from the base in
 * the lowest bits only. What few words need then is no page of links; such numbers are never below
 * the root.
 *
 * Readers: a page that was unlinked is reused after a grace period, and was all 0 when it went, but
 * for a root's, and one whose users let others have no use for its words (pt__sparse_drop()).
 *
 * Who reads knows the ends of its tree when it is compiled, and says them.
 */
#ifndef POOL_SPARSE_H
#define POOL_SPARSE_H

#include "store.h"

#define PT__SPARSE_BITS	  9
#define PT__SPARSE_LEVELS 5		      /* at most: of 44 bits */
#define PT__SPARSE_ONE	  (UINT64_C(1) << 44) /* units of the pool have 32 bits */
#define PT__SPARSE_REACH  UINT64_C(0xfff)     /* of a root: bits of the numbers below it */
#define PT__SPARSE_OFF	  (PT__SPARSE_ONE - 1 - PT__SPARSE_REACH)

#define PT__HALF_BITS  25
#define PT__HALF       ((UINT64_C(1) << PT__HALF_BITS) - 1)
#define PT__HALF_SHIFT 10
#define PT__HALF_SOLE  (UINT64_C(1) << PT__HALF_BITS)
#define PT__HALF_NEXT  26
#define PT__HALVES     (PT__HALF | PT__HALF << PT__HALF_NEXT)
#define PT__HALVES_ONE (UINT64_C(1) << 2 * PT__HALF_NEXT)
#define PT__HALVES_MAX (UINT64_C(1) << (PT__HALF_BITS + PT__HALF_SHIFT)) /* bytes of the pool */

#define PT__SPARSE_PAGES ((struct pt_sparse_ends){.bits = 9, .halves = false})

/* What one user counts in a link to words. */
static inline uint64_t pt__end_one(struct pt_sparse_ends ends)
{
	return ends.halves ? PT__HALVES_ONE : PT__SPARSE_ONE;
}

/* log2 of the words that stand together. */
static inline unsigned pt__end_run(struct pt_sparse_ends ends)
{
	return ends.bits - ends.halves;
}

static inline uint32_t pt__end_bytes(struct pt_sparse_ends ends)
{
	return UINT32_C(8) << pt__end_run(ends);
}

/* Where the offset of the half for word `n` stands in a link. */
static inline unsigned pt__half_of(struct pt_sparse_ends ends, uint64_t n)
{
	return n >> (ends.bits - 1) & 1 ? PT__HALF_NEXT : 0;
}

/* Set while nobody but its maker has counted itself in for the half of word `n`. */
static inline uint64_t pt__half_sole(struct pt_sparse_ends ends, uint64_t n)
{
	return ends.halves ? PT__HALF_SOLE << pt__half_of(ends, n) : 0;
}

/* The offset of the words that `link` names for `n`; 0: they are not there. */
static inline uint64_t pt__end_off(struct pt_sparse_ends ends, uint64_t link, uint64_t n)
{
	return ends.halves ? (link >> pt__half_of(ends, n) & PT__HALF) << PT__HALF_SHIFT
			   : link & PT__SPARSE_OFF;
}

/* Word `n` of those at an offset. */
static inline pt__word *pt__end_word(pt__word *words, struct pt_sparse_ends ends, uint64_t off,
				     uint64_t n)
{
	return words + off / sizeof(pt__word) + (n & ((1u << pt__end_run(ends)) - 1));
}

/* The entry for a number in the page that `link` names, whose index is shifted by `shift`; words:
 * those of the pool's first page, found once: after each link the compiler would look for them
 * again. */
static inline pt__word *pt__sparse_at(pt__word *words, uint64_t link, uint64_t number,
				      unsigned shift)
{
	return words + (link & PT__SPARSE_OFF) / sizeof(pt__word) +
	       (number >> shift) % PT__PAGE_WORDS;
}

/* Word `n` in the page of words that `link` names, which is there. */
static inline pt__word *pt__sparse_entry(const struct pt_store *store, struct pt_sparse_ends ends,
					 uint64_t link, uint64_t n)
{
	return pt__end_word(pt__words(store, 0), ends, pt__end_off(ends, link, n), n);
}

#define PT__SPARSE_NO_BASE UINT64_MAX

/* A tree without words. near: `entries` zeroed links, a power of two, that stay as long as it; or
 * NULL and 0. */
static inline void pt__sparse_init(struct pt_sparse *tree, struct pt_sparse_ends ends,
				   pt__word *near, unsigned entries)
{
	*tree = (struct pt_sparse){.ends = ends,
				   .base = PT__SPARSE_NO_BASE,
				   .near = near,
				   .near_end = (uint64_t)entries << ends.bits};
}

/* What differs from the base. Without one, or below a root that was read before there was one,
 * nothing is near or reached. */
static inline uint64_t pt__sparse_number(const struct pt_sparse *tree, uint64_t n)
{
	return n ^ pt__get(&tree->base);
}

/* Pages of links between a root, of so many bits, and the ends, with it. */
static inline unsigned pt__sparse_levels(const struct pt_sparse *tree, unsigned bits)
{
	return (bits - tree->ends.bits) / PT__SPARSE_BITS;
}

static inline bool pt__sparse_reaches(uint64_t root, uint64_t number)
{
	return !(number >> (root & PT__SPARSE_REACH));
}

/* The link to the page of words for `n`, or the first on the way that is 0, or the root if it does
 * not reach so far. */
struct pt__branch {
	pt__word *link, *up; /* up: to the page that holds it; NULL: it is the tree's */
	unsigned above;	     /* bits of numbers between what it names and the ends: 0 for words */
};

static inline struct pt__branch pt__sparse_descend(struct pt_sparse *tree,
						   struct pt_sparse_ends ends,
						   const struct pt_store *store, uint64_t n)
{
	pt__word *words = pt__words(store, 0);
	struct pt__branch at = {&tree->root, NULL, PT__SPARSE_BITS};
	uint64_t e;

	n = pt__sparse_number(tree, n);
	if (n < tree->near_end)
		return (struct pt__branch){tree->near + (n >> ends.bits), NULL, 0};
	e = pt__get(at.link);
	if (!e || !pt__sparse_reaches(e, n))
		return at;
	at.above = (e & PT__SPARSE_REACH) - ends.bits;
	do {
		at.up = at.link;
		at.above -= PT__SPARSE_BITS;
		at.link = pt__sparse_at(words, e, n, at.above + ends.bits);
	} while (at.above && (e = pt__get(at.link)));
	return at;
}

/* What links the page of words for `n`; 0: there is none. */
static inline uint64_t pt__sparse_link_in(const struct pt_sparse *tree, struct pt_sparse_ends ends,
					  pt__word *words, uint64_t n)
{
	unsigned bits;
	uint64_t e;

	n = pt__sparse_number(tree, n);
	if (n < tree->near_end)
		return pt__get(tree->near + (n >> ends.bits));
	e = pt__get(&tree->root);
	bits = e & PT__SPARSE_REACH;
	if (!e || !pt__sparse_reaches(e, n))
		return 0;
	while (bits > PT__SPARSE_BITS + (unsigned)ends.bits) {
		bits -= PT__SPARSE_BITS;
		e = pt__get(pt__sparse_at(words, e, n, bits));
		if (!e)
			return 0;
	}
	return pt__get(pt__sparse_at(words, e, n, ends.bits));
}

static inline uint64_t pt__sparse_link(const struct pt_sparse *tree, struct pt_sparse_ends ends,
				       const struct pt_store *store, uint64_t n)
{
	return pt__sparse_link_in(tree, ends, pt__words(store, 0), n);
}

/* Word `n`; NULL: it is 0, and in no page. In a section. */
static inline pt__word *pt__sparse_word(const struct pt_sparse *tree, struct pt_sparse_ends ends,
					const struct pt_store *store, uint64_t n)
{
	pt__word *words = pt__words(store, 0);
	uint64_t off = pt__end_off(ends, pt__sparse_link_in(tree, ends, words, n), n);

	return off ? pt__end_word(words, ends, off, n) : NULL;
}

/* What it says. */
static inline uint64_t pt__sparse_get(const struct pt_sparse *tree, struct pt_sparse_ends ends,
				      const struct pt_store *store, uint64_t n)
{
	const pt__word *word = pt__sparse_word(tree, ends, store, n);

	return word ? pt__get(word) : 0;
}

/* Counts in, or out, who keeps words; false: there are none. */
static inline bool pt__sparse_count(pt__word *link, uint64_t by, uint64_t *now)
{
	uint64_t e = pt__get(link);

	do {
		if (!e)
			return false;
		*now = e + by;
	} while (!atomic_compare_exchange_weak_explicit(link, &e, *now, memory_order_acq_rel,
							memory_order_acquire));
	return true;
}

/* Counts in who keeps those of word `n`; *off: theirs. */
static inline bool pt__sparse_join(pt__word *link, struct pt_sparse_ends ends, uint64_t n,
				   uint64_t *off)
{
	uint64_t e = pt__get(link);

	do {
		*off = pt__end_off(ends, e, n);
		if (!*off)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		link, &e, (e & ~pt__half_sole(ends, n)) + pt__end_one(ends), memory_order_acq_rel,
		memory_order_acquire));
	return true;
}

/* The first word behind those that stand with word `n`. */
static inline uint64_t pt__sparse_run_end(struct pt_sparse_ends ends, uint64_t n)
{
	return (n | ((1u << pt__end_run(ends)) - 1)) + 1;
}

/*
 * Makes the page or piece of word `n`, if there is none, and keeps it: PT_OK, PT_NO_MEMORY or
 * PT_QUOTA, and nothing is kept. tag: of the piece, if it is made (pt_pool_set_tag()); 0: none. In
 * a section.
 */
enum pt_outcome pt__sparse_keep(struct pt_sparse *tree, struct pt_store *store,
				struct pt_agent *agent, uint64_t n, uint64_t tag);

/* Unlinks the words that `n` is one of if nothing keeps it, and those above that it leaves empty.
 */
void pt__sparse_prune(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint64_t n);

/* Counts out `users` of those who kept the words that `n` is one of. In a section. */
static inline void pt__sparse_let_go_of(struct pt_sparse *tree, struct pt_sparse_ends ends,
					struct pt_store *store, struct pt_agent *agent, uint64_t n,
					uint64_t users)
{
	const uint64_t one = pt__end_one(ends);
	uint64_t now;

	if (pt__sparse_count(pt__sparse_descend(tree, ends, store, n).link, -(users * one), &now) &&
	    now < one)
		pt__sparse_prune(tree, store, agent, n);
}

/* Counts out who kept them. In a section. */
static inline void pt__sparse_let_go(struct pt_sparse *tree, struct pt_sparse_ends ends,
				     struct pt_store *store, struct pt_agent *agent, uint64_t n)
{
	pt__sparse_let_go_of(tree, ends, store, agent, n, 1);
}

/* The same of who had no use for them: a piece that was made for it alone does not stay for what
 * is beside it. */
void pt__sparse_unkeep(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		       uint64_t n);

/* What was unlinked. */
struct pt__gone {
	struct pt_pages pages;
	struct pt_pieces pieces; /* of the ends of one tree, or of such that are alike */
};

/*
 * Unlinks the words from `n` on and below `end`, with all that their links lead to, whoever keeps
 * them: the caller knows that nobody else does or comes. They are put onto *gone, for
 * pt__sparse_retire(). In a section.
 */
void pt__sparse_drop(struct pt_sparse *tree, struct pt_store *store, uint64_t n, uint64_t end,
		     struct pt__gone *gone);
void pt__sparse_retire(struct pt_sparse_ends ends, struct pt_store *store, struct pt_agent *agent,
		       struct pt__gone *gone);

/*
 * The first word from *n on, and below `end`, that is not 0; at most *left entries are looked at,
 * which it counts. NULL: none; *n is how far it came, `end` when it is through. In a section.
 */
pt__word *pt__sparse_next(const struct pt_sparse *tree, const struct pt_store *store, uint64_t *n,
			  uint64_t end, int64_t *left);

/* Pages back, whatever they say, at most *budget of them, which it counts: nobody else uses the
 * tree any more. In a section. True: all are. */
bool pt__sparse_close(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint32_t *budget);

#endif
