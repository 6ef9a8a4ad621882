/* SPDX-License-Identifier: BSD-2-Clause */
/* Words by number in a radix tree: what nobody keeps goes. */
#include "sparse.h"

#define ONE PT__SPARSE_ONE

/* The links on the way to the words, from the one to them to the root; how many: 0: there are none
 * of that end. */
static unsigned links_to(struct pt_sparse *tree, const struct pt_store *store, uint64_t n,
			 pt__word *link[])
{
	uint64_t e = pt__get(&tree->root), number = pt__sparse_number(tree, n);
	unsigned i;

	if (number < tree->near_end) {
		link[0] = tree->near + (number >> tree->ends.bits);
		return pt__get(link[0]) ? 1 : 0;
	}
	if (!e || !pt__sparse_reaches(e, number))
		return 0;
	i = pt__sparse_levels(tree, e & PT__SPARSE_REACH);
	link[i] = &tree->root;
	for (unsigned links = i + 1;; e = pt__get(link[i])) {
		if (!e || !i)
			return e ? links : 0;
		i--;
		link[i] = pt__sparse_at(pt__words(store, 0), e, number,
					i * PT__SPARSE_BITS + tree->ends.bits);
	}
}

/* A root that has entry 0 alone gives way to it. With the lock. */
static void lower(struct pt_sparse *tree, struct pt_store *store, struct pt__gone *gone)
{
	uint64_t root = pt__get(&tree->root);

	while (root >= ONE && root < 2 * ONE &&
	       pt__sparse_levels(tree, root & PT__SPARSE_REACH) > 1) {
		uint64_t first = pt__get(pt__words(store, root & PT__SPARSE_OFF));

		if (!first)
			return;
		pt__store_push(store, &gone->pages, root & PT__SPARSE_OFF);
		root = first + (root & PT__SPARSE_REACH) - PT__SPARSE_BITS;
		pt__set(&tree->root, root);
	}
}

/* What a link to words leads to. */
static void push_end(struct pt_sparse_ends ends, struct pt_store *store, struct pt__gone *gone,
		     uint64_t link)
{
	struct pt_pool *pool = &store->machine->world->pool;

	if (!ends.halves)
		pt__store_push(store, &gone->pages, link & PT__SPARSE_OFF);
	for (unsigned half = 0; ends.halves && half < 2; half++) {
		uint64_t off = pt__end_off(ends, link, half << pt__end_run(ends));

		if (off)
			pt_pieces_push(pool, &gone->pieces, (struct pt_page){off});
	}
}

/* The end of word `n`, and the pages above that it leaves empty; kept: though somebody keeps it.
 * With the lock. */
static void take_end(struct pt_sparse *tree, struct pt_store *store, uint64_t n, bool kept,
		     struct pt__gone *gone)
{
	pt__word *link[PT__SPARSE_LEVELS];
	unsigned links = links_to(tree, store, n, link);
	uint64_t e;

	if (!links)
		return;
	e = pt__get(link[0]);
	if ((e >= pt__end_one(tree->ends) && !kept) ||
	    !atomic_compare_exchange_strong_explicit(link[0], &e, 0, memory_order_acq_rel,
						     memory_order_acquire))
		return;
	push_end(tree->ends, store, gone, e);
	for (unsigned i = 1; i < links; i++) {
		e = pt__get(link[i]) - ONE;
		pt__set(link[i], e < ONE ? 0 : e);
		if (e >= ONE)
			break;
		pt__store_push(store, &gone->pages, e & PT__SPARSE_OFF);
	}
	lower(tree, store, gone);
}

void pt__sparse_prune(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint64_t n)
{
	struct pt__gone gone = {{0, 0}, {0, 0}};

	pt_port_lock(&store->lock);
	take_end(tree, store, n, false, &gone);
	pt_port_unlock(&store->lock);
	pt__sparse_retire(tree->ends, store, agent, &gone);
}

void pt__sparse_retire(struct pt_sparse_ends ends, struct pt_store *store, struct pt_agent *agent,
		       struct pt__gone *gone)
{
	pt__store_retire(store, agent, &gone->pages);
	pt__store_retire_pieces(store, agent, pt__end_bytes(ends), &gone->pieces);
}

/* The half of word `n` with its reservation, if it is nobody else's and the other is there: what
 * the link says then, or 0. With the lock. */
static uint64_t take_half(struct pt_sparse *tree, struct pt_store *store, uint64_t n,
			  struct pt__gone *gone)
{
	const struct pt_sparse_ends ends = tree->ends;
	pt__word *link = pt__sparse_descend(tree, ends, store, n).link;
	uint64_t e = pt__get(link), off = pt__end_off(ends, e, n), left;

	do {
		left = e - (off >> PT__HALF_SHIFT << pt__half_of(ends, n)) -
		       pt__half_sole(ends, n) - pt__end_one(ends);
		if (!(e & pt__half_sole(ends, n)) || !(left & PT__HALVES))
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(link, &e, left, memory_order_acq_rel,
							memory_order_acquire));
	pt_pieces_push(&store->machine->world->pool, &gone->pieces, (struct pt_page){off});
	return left;
}

void pt__sparse_unkeep(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		       uint64_t n)
{
	struct pt__gone gone = {{0, 0}, {0, 0}};
	uint64_t left;

	pt_port_lock(&store->lock);
	left = take_half(tree, store, n, &gone);
	pt_port_unlock(&store->lock);
	pt__sparse_retire(tree->ends, store, agent, &gone);
	if (!left)
		pt__sparse_let_go(tree, tree->ends, store, agent, n);
	else if (left < pt__end_one(tree->ends))
		pt__sparse_prune(tree, store, agent, n);
}

void pt__sparse_drop(struct pt_sparse *tree, struct pt_store *store, uint64_t n, uint64_t end,
		     struct pt__gone *gone)
{
	pt_port_lock(&store->lock);
	for (; n < end; n += UINT64_C(1) << tree->ends.bits)
		take_end(tree, store, n, true, gone);
	pt_port_unlock(&store->lock);
}

/* The first link that is not 0, of those near and the root; NULL: nothing is left. */
static pt__word *first_link(struct pt_sparse *tree)
{
	for (uint64_t i = 0; i < tree->near_end >> tree->ends.bits; i++)
		if (pt__get(tree->near + i))
			return tree->near + i;
	return pt__get(&tree->root) ? &tree->root : NULL;
}

/* What the last link leads to, on the way along the first ones that are not 0. Nobody else is
 * there. */
static void close_one(struct pt_sparse *tree, struct pt_store *store, pt__word *link,
		      struct pt__gone *gone)
{
	uint64_t e = pt__get(link);
	unsigned above = link == &tree->root ? pt__sparse_levels(tree, e & PT__SPARSE_REACH) : 0;

	for (; above; above--) {
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
	if (above)
		pt__store_push(store, &gone->pages, e & PT__SPARSE_OFF);
	else
		push_end(tree->ends, store, gone, e);
}

bool pt__sparse_close(struct pt_sparse *tree, struct pt_store *store, struct pt_agent *agent,
		      uint32_t *budget)
{
	struct pt__gone gone = {{0, 0}, {0, 0}};

	pt__word *link;

	for (; (link = first_link(tree)) && *budget; --*budget)
		close_one(tree, store, link, &gone);
	pt__sparse_retire(tree->ends, store, agent, &gone);
	return !link;
}
