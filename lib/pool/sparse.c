/* SPDX-License-Identifier: BSD-2-Clause */
/* Words by number in a radix tree: pages come and go. */
#include "sparse.h"

#define ONE PT__SPARSE_ONE

static uint64_t new_page(struct pt_store *store, struct pt_pages *pages, uint64_t tag)
{
	uint64_t off = pt__store_pop(store, pages);

	if (tag)
		pt_pool_set_tag(&store->machine->world->pool, (struct pt_page){off}, tag);
	return off;
}

/* From an empty link down to the page of words, which is kept then. With the lock. */
static void grow(struct pt_store *store, uint64_t n, struct pt__branch at, struct pt_pages *pages,
		 uint64_t tag)
{
	if (at.up)
		pt__set(at.up, pt__get(at.up) + ONE);
	for (;; at.level--) {
		uint64_t e = new_page(store, pages, at.level ? 0 : tag) + ONE;

		pt__set(at.link, e);
		if (!at.level)
			return;
		at.link = pt__sparse_entry(store, e, n, at.level);
	}
}

/* What is missing is linked if there are pages enough; how many more it takes. */
static uint32_t try_grow(struct pt_sparse *tree, struct pt_store *store, uint64_t n,
			 struct pt_pages *pages, uint64_t tag, bool *grown)
{
	uint32_t need = 0;
	struct pt__branch at;

	pt_port_lock(&store->lock);
	at = pt__sparse_descend(tree, store, n);
	if (!pt__get(at.link))
		need = at.level + 1;
	*grown = need && pages->count >= need;
	if (*grown)
		grow(store, n, at, pages, tag);
	pt_port_unlock(&store->lock);
	return need > pages->count ? need - pages->count : 0;
}

enum pt_outcome pt__sparse_keep(struct pt_sparse *tree, struct pt_store *store,
				struct pt_agent *agent, uint64_t n, uint64_t tag)
{
	struct pt_pages pages = {0, 0};
	enum pt_outcome outcome = PT_OK;
	bool grown = false;

	while (outcome == PT_OK && !grown && !pt__sparse_join(tree, store, n)) {
		uint32_t need = try_grow(tree, store, n, &pages, tag, &grown);

		if (!grown && need)
			outcome = pt__store_take(store, agent, need, &pages);
	}
	pt__store_give(store, agent, &pages);
	return outcome;
}

/* The links on the way to the page of words, by the level of what they name; false: there is none.
 */
static bool links_to(struct pt_sparse *tree, const struct pt_store *store, uint64_t n,
		     pt__word *link[])
{
	unsigned level = tree->levels - 1u;
	uint64_t e;

	for (link[level] = &tree->root; level; level--) {
		e = pt__get(link[level]);
		if (!e)
			return false;
		link[level - 1] = pt__sparse_entry(store, e, n, level);
	}
	return pt__get(link[0]);
}

/* The page of word `n`, and those above that it leaves empty; kept: though somebody keeps it. With
 * the lock. */
static void take_page(struct pt_sparse *tree, struct pt_store *store, uint64_t n, bool kept,
		      struct pt_pages *gone)
{
	pt__word *link[PT__SPARSE_LEVELS];
	uint64_t e;

	if (!links_to(tree, store, n, link))
		return;
	e = pt__get(link[0]);
	if ((e >= ONE && !kept) ||
	    !atomic_compare_exchange_strong_explicit(link[0], &e, 0, memory_order_acq_rel,
						     memory_order_acquire))
		return;
	pt__store_push(store, gone, e & PT__SPARSE_OFF);
	for (unsigned level = 1; level < tree->levels; level++) {
		e = pt__get(link[level]) - ONE;
		pt__set(link[level], e < ONE ? 0 : e);
		if (e >= ONE)
			return;
		pt__store_push(store, gone, e);
	}
}

void pt__sparse_prune(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint64_t n)
{
	struct pt_pages gone = {0, 0};

	pt_port_lock(&store->lock);
	take_page(tree, store, n, false, &gone);
	pt_port_unlock(&store->lock);
	pt__store_retire(store, agent, &gone);
}

void pt__sparse_drop(struct pt_sparse *tree, struct pt_store *store, uint64_t n, uint64_t end,
		     struct pt_pages *gone)
{
	pt_port_lock(&store->lock);
	for (; n < end; n += PT__PAGE_WORDS)
		take_page(tree, store, n, true, gone);
	pt_port_unlock(&store->lock);
}

/* The link or word on the way to `n` that is 0, and the first word behind what it stands for; or
 * the word itself. */
static pt__word *look(const struct pt_sparse *tree, const struct pt_store *store, uint64_t n,
		      uint64_t *next)
{
	uint64_t e = pt__get(&tree->root);
	unsigned level = tree->levels;
	pt__word *at = NULL;

	while (e && level) {
		at = pt__sparse_entry(store, e, n, --level);
		e = pt__get(at);
	}
	*next = (n | ((UINT64_C(1) << PT__SPARSE_BITS * level) - 1)) + 1;
	return e ? at : NULL;
}

/* The first word of a page from *n on that is not 0, below `end` and in what *left allows. */
static pt__word *next_here(pt__word *at, uint64_t *n, uint64_t end, int64_t *left)
{
	uint64_t stop = pt__sparse_page_end(*n) < end ? pt__sparse_page_end(*n) : end;

	for (; *n<stop && * left> 0; ++*n, ++at, --*left)
		if (pt__get(at))
			return at;
	return NULL;
}

pt__word *pt__sparse_next(const struct pt_sparse *tree, const struct pt_store *store, uint64_t *n,
			  uint64_t end, int64_t *left)
{
	while (*left > 0 && *n < end) {
		uint64_t next, link = pt__sparse_link(tree, store, *n);
		pt__word *at;

		if (link) {
			at = next_here(pt__sparse_entry(store, link, *n, 0), n, end, left);
			if (at)
				return at;
			continue;
		}
		--*left;
		at = look(tree, store, *n, &next);
		if (at)
			return at; /* its page has just been linked */
		*n = next < end ? next : end;
	}
	return NULL;
}

/* The last page on the way along the first links that are not 0. Nobody else is there. */
static void close_one(struct pt_sparse *tree, struct pt_store *store, struct pt_pages *gone)
{
	pt__word *link = &tree->root;
	uint64_t e = pt__get(link);

	for (unsigned level = tree->levels - 1u; level; level--) {
		pt__word *at = pt__words(store, e & PT__SPARSE_OFF);
		unsigned i = 0;

		while (i < PT__PAGE_WORDS && !pt__get(at + i))
			i++;
		if (i == PT__PAGE_WORDS)
			break;
		link = at + i;
		e = pt__get(link);
	}
	pt__set(link, 0);
	pt__store_push(store, gone, e & PT__SPARSE_OFF);
}

bool pt__sparse_close(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint32_t *budget)
{
	struct pt_pages gone = {0, 0};

	for (; *budget && pt__get(&tree->root); --*budget)
		close_one(tree, store, &gone);
	pt__store_retire(store, agent, &gone);
	return !pt__get(&tree->root);
}
