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

/* What a root has to reach for a number. */
static unsigned reach_for(uint64_t number)
{
	unsigned bits = PT__SPARSE_LEAST;

	while (!pt__sparse_reaches(bits, number))
		bits += PT__SPARSE_BITS;
	return bits;
}

/* A root that reaches numbers of `bits` bits. With the lock. */
static void heighten(struct pt_sparse *tree, struct pt_store *store, unsigned bits,
		     struct pt_pages *pages)
{
	uint64_t root = pt__get(&tree->root);

	if (!root)
		pt__set(&tree->root, new_page(store, pages, 0) + bits);
	for (unsigned was = root & PT__SPARSE_REACH; root && was < bits; was += PT__SPARSE_BITS) {
		uint64_t page = new_page(store, pages, 0);

		pt__set(pt__words(store, page), root & ~PT__SPARSE_REACH);
		root = page + was + PT__SPARSE_BITS + ONE;
		pt__set(&tree->root, root);
	}
}

/* From an empty link down to the page of words, which is kept then. With the lock. */
static void grow(struct pt_sparse *tree, struct pt_store *store, uint64_t n, struct pt_pages *pages,
		 uint64_t tag)
{
	struct pt__branch at = pt__sparse_descend(tree, store, n);
	const uint64_t number = pt__sparse_number(tree, n);

	pt__set(at.up, pt__get(at.up) + ONE);
	for (;; at.shift -= PT__SPARSE_BITS) {
		uint64_t e = new_page(store, pages, at.shift ? 0 : tag) + ONE;

		pt__set(at.link, e);
		if (!at.shift)
			return;
		at.link = pt__sparse_at(pt__words(store, 0), e, number, at.shift);
	}
}

/* Pages that are missing for word `n`; `bits`: of the root that reaches it. With the lock. */
static uint32_t missing(struct pt_sparse *tree, struct pt_store *store, uint64_t n, unsigned bits)
{
	uint64_t root = pt__get(&tree->root);
	unsigned was = root & PT__SPARSE_REACH;
	struct pt__branch at;

	if (!root)
		return bits / PT__SPARSE_BITS;
	if (was < bits)
		return (bits - was + bits) / PT__SPARSE_BITS - 1;
	at = pt__sparse_descend(tree, store, n);
	return pt__get(at.link) ? 0 : at.shift / PT__SPARSE_BITS + 1;
}

/* What is missing is linked if there are pages enough; how many more it takes. */
static uint32_t try_grow(struct pt_sparse *tree, struct pt_store *store, uint64_t n,
			 struct pt_pages *pages, uint64_t tag, bool *grown)
{
	unsigned bits;
	uint32_t need;

	pt_port_lock(&store->lock);
	if (!tree->based)
		tree->base = n - n % PT__PAGE_WORDS;
	tree->based = true;
	bits = reach_for(pt__sparse_number(tree, n));
	need = missing(tree, store, n, bits);
	*grown = need && pages->count >= need;
	if (*grown) {
		heighten(tree, store, bits, pages);
		grow(tree, store, n, pages, tag);
	}
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

/* The links on the way to the page of words, from the one to it to the root; how many: 0: there is
 * no such page. */
static unsigned links_to(struct pt_sparse *tree, const struct pt_store *store, uint64_t n,
			 pt__word *link[])
{
	uint64_t e = pt__get(&tree->root), number = pt__sparse_number(tree, n);
	unsigned links = (e & PT__SPARSE_REACH) / PT__SPARSE_BITS, i = links - 1;

	if (!e || !pt__sparse_reaches(e, number))
		return 0;
	for (link[i] = &tree->root; e && i; e = pt__get(link[i])) {
		link[i - 1] = pt__sparse_at(pt__words(store, 0), e, number, i * PT__SPARSE_BITS);
		i--;
	}
	return e ? links : 0;
}

/* A root that has entry 0 alone gives way to it. With the lock. */
static void lower(struct pt_sparse *tree, struct pt_store *store, struct pt_pages *gone)
{
	uint64_t root = pt__get(&tree->root);

	while ((root & PT__SPARSE_REACH) > PT__SPARSE_LEAST && root < 2 * ONE) {
		uint64_t first = pt__get(pt__words(store, root & PT__SPARSE_OFF));

		if (!first)
			return;
		pt__store_push(store, gone, root & PT__SPARSE_OFF);
		root = first + (root & PT__SPARSE_REACH) - PT__SPARSE_BITS;
		pt__set(&tree->root, root);
	}
}

/* The page of word `n`, and those above that it leaves empty; kept: though somebody keeps it. With
 * the lock. */
static void take_page(struct pt_sparse *tree, struct pt_store *store, uint64_t n, bool kept,
		      struct pt_pages *gone)
{
	pt__word *link[PT__SPARSE_LEVELS];
	unsigned links = links_to(tree, store, n, link);
	uint64_t e;

	if (!links)
		return;
	e = pt__get(link[0]);
	if ((e >= ONE && !kept) ||
	    !atomic_compare_exchange_strong_explicit(link[0], &e, 0, memory_order_acq_rel,
						     memory_order_acquire))
		return;
	pt__store_push(store, gone, e & PT__SPARSE_OFF);
	for (unsigned i = 1; i < links; i++) {
		e = pt__get(link[i]) - ONE;
		pt__set(link[i], e < ONE ? 0 : e);
		if (e >= ONE)
			break;
		pt__store_push(store, gone, e & PT__SPARSE_OFF);
	}
	lower(tree, store, gone);
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

/* The first number behind the 2^bits that `n` is one of. */
static uint64_t behind(uint64_t n, unsigned bits)
{
	return (n | ((UINT64_C(1) << bits) - 1)) + 1;
}

/* The link or word on the way to `n` that is 0, and the first word behind what it stands for; or
 * the word itself. */
static pt__word *look(const struct pt_sparse *tree, const struct pt_store *store, uint64_t n,
		      uint64_t *next)
{
	uint64_t e = pt__get(&tree->root), number;
	unsigned bits = e & PT__SPARSE_REACH;
	pt__word *at = NULL;

	*next = UINT64_MAX;
	if (!e)
		return NULL;
	number = pt__sparse_number(tree, n);
	if (!pt__sparse_reaches(e, number)) { /* nor any that differs from the base there */
		*next = behind(n, 63 - (unsigned)__builtin_clzll(number));
		return NULL;
	}
	while (e && bits) {
		bits -= PT__SPARSE_BITS;
		at = pt__sparse_at(pt__words(store, 0), e, number, bits);
		e = pt__get(at);
	}
	*next = behind(n, bits);
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
			at = next_here(pt__sparse_entry(store, link, *n), n, end, left);
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

	for (unsigned links = (e & PT__SPARSE_REACH) / PT__SPARSE_BITS; links > 1; links--) {
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
