/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words by number in a radix tree, with pages of 512 words at its ends; private to lib.
 *
 * A link is a page's offset and, in 63:44, what keeps the page: for a page of links how many of
 * them are not 0; for a page of words what its users count: words that are not 0, and
 * reservations. Links to pages of links change under the store's lock alone. A link to a page of
 * words becomes something and becomes 0 under the lock; while it is something its count changes by
 * compare-and-swap, by anyone. So whoever finds it and counts itself in has a page that stays, and
 * so do the pages above; who counts down to 0 takes the lock and looks once more.
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
 * Readers: a page that was unlinked is reused after a grace period, and was all 0 when it went, but
 * for a root's, and one whose users let others have no use for its words (pt__sparse_drop()).
 */
#ifndef POOL_SPARSE_H
#define POOL_SPARSE_H

#include "store.h"

#define PT__SPARSE_BITS	  9
#define PT__SPARSE_LEVELS 5		      /* at most: of 45 bits */
#define PT__SPARSE_ONE	  (UINT64_C(1) << 44) /* units of the pool have 32 bits */
#define PT__SPARSE_REACH  UINT64_C(0xfff)     /* of a root: bits of the numbers below it */
#define PT__SPARSE_OFF	  (PT__SPARSE_ONE - 1 - PT__SPARSE_REACH)
#define PT__SPARSE_LEAST  (2 * PT__SPARSE_BITS) /* which the lowest root reaches */

/* The entry for a number in the page that `link` names, whose index is shifted by `shift`; words:
 * those of the pool's first page, found once: after each link the compiler would look for them
 * again. */
static inline pt__word *pt__sparse_at(pt__word *words, uint64_t link, uint64_t number,
				      unsigned shift)
{
	return words + (link & PT__SPARSE_OFF) / sizeof(pt__word) +
	       (number >> shift) % PT__PAGE_WORDS;
}

/* Word `n` in the page of words that `link` names. */
static inline pt__word *pt__sparse_entry(const struct pt_store *store, uint64_t link, uint64_t n)
{
	return pt__sparse_at(pt__words(store, 0), link, n, 0);
}

/* What differs from the base: of a root that is not 0, which was read before. */
static inline uint64_t pt__sparse_number(const struct pt_sparse *tree, uint64_t n)
{
	return n ^ tree->base;
}

static inline bool pt__sparse_reaches(uint64_t root, uint64_t number)
{
	return !(number >> (root & PT__SPARSE_REACH));
}

/* The link to the page of words for `n`, or the first on the way that is 0, or the root if it does
 * not reach so far. */
struct pt__branch {
	pt__word *link, *up; /* up: to the page that holds it; NULL: that is no page */
	unsigned shift;	     /* of the page that it names: 0 for one of words */
};

static inline struct pt__branch pt__sparse_descend(struct pt_sparse *tree,
						   const struct pt_store *store, uint64_t n)
{
	pt__word *words = pt__words(store, 0);
	struct pt__branch at = {&tree->root, NULL, PT__SPARSE_BITS};
	uint64_t e = pt__get(at.link);

	if (!e || !pt__sparse_reaches(e, n = pt__sparse_number(tree, n)))
		return at;
	at.shift = (e & PT__SPARSE_REACH) - PT__SPARSE_BITS;
	do {
		at.up = at.link;
		at.link = pt__sparse_at(words, e, n, at.shift);
		at.shift -= PT__SPARSE_BITS;
	} while (at.shift && (e = pt__get(at.link)));
	return at;
}

/* What links the page of words for `n`; 0: there is none. */
static inline uint64_t pt__sparse_link_in(const struct pt_sparse *tree, pt__word *words, uint64_t n)
{
	uint64_t e = pt__get(&tree->root);
	unsigned bits = e & PT__SPARSE_REACH;

	if (!e || !pt__sparse_reaches(e, n = pt__sparse_number(tree, n)))
		return 0;
	while (bits > PT__SPARSE_LEAST) {
		bits -= PT__SPARSE_BITS;
		e = pt__get(pt__sparse_at(words, e, n, bits));
		if (!e)
			return 0;
	}
	return pt__get(pt__sparse_at(words, e, n, PT__SPARSE_BITS));
}

static inline uint64_t pt__sparse_link(const struct pt_sparse *tree, const struct pt_store *store,
				       uint64_t n)
{
	return pt__sparse_link_in(tree, pt__words(store, 0), n);
}

/* Word `n`; NULL: it is 0, and in no page. In a section. */
static inline pt__word *pt__sparse_word(const struct pt_sparse *tree, const struct pt_store *store,
					uint64_t n)
{
	pt__word *words = pt__words(store, 0);
	uint64_t e = pt__sparse_link_in(tree, words, n);

	return e ? pt__sparse_at(words, e, n, 0) : NULL;
}

/* What it says. */
static inline uint64_t pt__sparse_get(const struct pt_sparse *tree, const struct pt_store *store,
				      uint64_t n)
{
	pt__word *words = pt__words(store, 0);
	uint64_t e = pt__sparse_link_in(tree, words, n);

	return e ? pt__get(pt__sparse_at(words, e, n, 0)) : 0;
}

/* Counts in, or out, who keeps a page of words; false: there is none. */
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

/* Word `n` in its page, which is kept from now on as by pt__sparse_keep(); NULL: there is none. */
static inline pt__word *pt__sparse_join(struct pt_sparse *tree, const struct pt_store *store,
					uint64_t n)
{
	struct pt__branch at = pt__sparse_descend(tree, store, n);
	uint64_t now;

	if (at.shift || !pt__sparse_count(at.link, PT__SPARSE_ONE, &now))
		return NULL;
	return pt__sparse_entry(store, now, n);
}

static inline uint64_t pt__sparse_page_end(uint64_t n)
{
	return (n | (PT__PAGE_WORDS - 1)) + 1;
}

/*
 * Makes the page of word `n`, if there is none, and keeps it: PT_OK, PT_NO_MEMORY or PT_QUOTA, and
 * nothing is kept. tag: of the page, if it is made (pt_pool_set_tag()); 0: none. In a section.
 */
enum pt_outcome pt__sparse_keep(struct pt_sparse *tree, struct pt_store *store,
				struct pt_agent *agent, uint64_t n, uint64_t tag);

/* Unlinks the page of word `n` if nothing keeps it, and those above that it leaves empty. */
void pt__sparse_prune(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint64_t n);

/* Counts out `users` of those who kept the page of word `n`. In a section. */
static inline void pt__sparse_let_go_of(struct pt_sparse *tree, struct pt_store *store,
					struct pt_agent *agent, uint64_t n, uint64_t users)
{
	uint64_t now;

	if (pt__sparse_count(pt__sparse_descend(tree, store, n).link, -(users * PT__SPARSE_ONE),
			     &now) &&
	    now < PT__SPARSE_ONE)
		pt__sparse_prune(tree, store, agent, n);
}

/* Counts out who kept the page of word `n`. In a section. */
static inline void pt__sparse_let_go(struct pt_sparse *tree, struct pt_store *store,
				     struct pt_agent *agent, uint64_t n)
{
	pt__sparse_let_go_of(tree, store, agent, n, 1);
}

/*
 * Unlinks the pages of the words from `n` on and below `end`, whoever keeps them: the caller knows
 * that nobody else does or comes. They are put onto *gone, for pt__store_retire(). In a section.
 */
void pt__sparse_drop(struct pt_sparse *tree, struct pt_store *store, uint64_t n, uint64_t end,
		     struct pt_pages *gone);

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
