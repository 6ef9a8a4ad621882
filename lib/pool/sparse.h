/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words by number in a radix tree, with pages of 512 words at its ends; private to lib.
 *
 * A link is a page's offset and, in 63:48, what keeps the page: for a page of links how many of
 * them are not 0; for a page of words what its users count: words that are not 0, and
 * reservations. Links to pages of links change under the store's lock alone. A link to a page of
 * words becomes something and becomes 0 under the lock; while it is something its count changes by
 * compare-and-swap, by anyone. So whoever finds it and counts itself in has a page that stays, and
 * so do the pages above; who counts down to 0 takes the lock and looks once more.
 *
 * Readers: a page that was unlinked is reused after a grace period, and was all 0 when it went, but
 * for one whose users let others have no use for its words (pt__sparse_drop()).
 */
#ifndef POOL_SPARSE_H
#define POOL_SPARSE_H

#include "store.h"

#define PT__SPARSE_BITS	  9
#define PT__SPARSE_LEVELS 5 /* at most: of 45 bits */
#define PT__SPARSE_ONE	  (UINT64_C(1) << 48)
#define PT__SPARSE_OFF	  (PT__SPARSE_ONE - 1)

/* The levels of words with numbers of `bits` bits. */
static inline uint8_t pt__sparse_levels(unsigned bits)
{
	return bits ? (uint8_t)((bits + PT__SPARSE_BITS - 1) / PT__SPARSE_BITS) : 1;
}

/* The entry for word `n` in the page that `link` names: `level` 0 for a page of words. */
static inline pt__word *pt__sparse_at(const struct pt_port *port, uint64_t link, uint64_t n,
				      unsigned level)
{
	return pt__words_of(port, link & PT__SPARSE_OFF) +
	       (n >> PT__SPARSE_BITS * level) % PT__PAGE_WORDS;
}

static inline pt__word *pt__sparse_entry(const struct pt_store *store, uint64_t link, uint64_t n,
					 unsigned level)
{
	return pt__sparse_at(pt__store_port(store), link, n, level);
}

/* The link to the page of words for `n`, or the first on the way that is 0. */
struct pt__branch {
	pt__word *link, *up; /* up: to the page that holds it; NULL: that is no page */
	unsigned level;	     /* of the page that it names */
};

static inline struct pt__branch pt__sparse_descend(struct pt_sparse *tree,
						   const struct pt_store *store, uint64_t n)
{
	const struct pt_port *port = pt__store_port(store);
	struct pt__branch at = {&tree->root, NULL, tree->levels - 1u};
	uint64_t e;

	for (; at.level && (e = pt__get(at.link)); at.level--) {
		at.up = at.link;
		at.link = pt__sparse_at(port, e, n, at.level);
	}
	return at;
}

/* The port is found once: after each link the compiler would look for it again. */
static inline uint64_t pt__sparse_link_in(const struct pt_sparse *tree, const struct pt_port *port,
					  uint64_t n)
{
	uint64_t e = pt__get(&tree->root);

	for (unsigned level = tree->levels - 1u; e && level; level--)
		e = pt__get(pt__sparse_at(port, e, n, level));
	return e;
}

/* What links the page of words for `n`; 0: there is none. */
static inline uint64_t pt__sparse_link(const struct pt_sparse *tree, const struct pt_store *store,
				       uint64_t n)
{
	return pt__sparse_link_in(tree, pt__store_port(store), n);
}

/* Word `n`; NULL: it is 0, and in no page. In a section. */
static inline pt__word *pt__sparse_word(const struct pt_sparse *tree, const struct pt_store *store,
					uint64_t n)
{
	const struct pt_port *port = pt__store_port(store);
	uint64_t e = pt__sparse_link_in(tree, port, n);

	return e ? pt__sparse_at(port, e, n, 0) : NULL;
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

	if (at.level || !pt__sparse_count(at.link, PT__SPARSE_ONE, &now))
		return NULL;
	return pt__sparse_entry(store, now, n, 0);
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
