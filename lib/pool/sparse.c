/* SPDX-License-Identifier: BSD-2-Clause */
/* Words by number in a radix tree: what is asked for comes. */
#include "sparse.h"

#define ONE PT__SPARSE_ONE

/* What was taken and is used for nothing yet. */
struct stock {
	struct pt_pages pages;
	uint64_t piece; /* 0: none */
};

/* What a root has to reach for a number; 0: it is near, and needs none. */
static unsigned reach_for(const struct pt_sparse *tree, uint64_t number)
{
	unsigned bits = tree->ends.bits + PT__SPARSE_BITS;

	if (number < tree->near_end)
		return 0;
	while (!pt__sparse_reaches(bits, number))
		bits += PT__SPARSE_BITS;
	return bits;
}

/* A root that reaches numbers of `bits` bits. With the lock. */
static void heighten(struct pt_sparse *tree, struct pt_store *store, unsigned bits,
		     struct stock *stock)
{
	uint64_t root = pt__get(&tree->root);

	if (!root)
		pt__set(&tree->root, pt__store_pop(store, &stock->pages) + bits);
	for (unsigned was = root & PT__SPARSE_REACH; root && was < bits; was += PT__SPARSE_BITS) {
		uint64_t page = pt__store_pop(store, &stock->pages);

		pt__set(pt__words(store, page), root & ~PT__SPARSE_REACH);
		root = page + was + PT__SPARSE_BITS + ONE;
		pt__set(&tree->root, root);
	}
}

/* What leads to word `n`, out of the stock, with one who keeps it. */
static uint64_t new_end(const struct pt_sparse *tree, struct pt_store *store, uint64_t n,
			struct stock *stock, uint64_t tag)
{
	const struct pt_sparse_ends ends = tree->ends;
	uint64_t off = stock->piece;

	if (!ends.halves)
		return pt__store_pop(store, &stock->pages) + ONE;
	stock->piece = 0;
	if (tag)
		pt_pool_set_tag(&store->machine->world->pool, (struct pt_page){off}, tag);
	return (off >> PT__HALF_SHIFT << pt__half_of(ends, n)) + pt__half_sole(ends, n) +
	       pt__end_one(ends);
}

/* From an empty link down to the words, which are kept then; or the other half beside one that is
 * there. With the lock. */
static void grow(struct pt_sparse *tree, struct pt_store *store, uint64_t n, struct stock *stock,
		 uint64_t tag)
{
	struct pt__branch at = pt__sparse_descend(tree, tree->ends, store, n);
	const uint64_t number = pt__sparse_number(tree, n);
	bool beside = pt__get(at.link);

	if (!beside && at.up)
		pt__set(at.up, pt__get(at.up) + ONE);
	for (; at.above; at.above -= PT__SPARSE_BITS) {
		uint64_t e = pt__store_pop(store, &stock->pages) + ONE;

		pt__set(at.link, e);
		at.link = pt__sparse_at(pt__words(store, 0), e, number,
					at.above - PT__SPARSE_BITS + tree->ends.bits);
	}
	atomic_fetch_add_explicit(at.link, new_end(tree, store, n, stock, tag),
				  memory_order_acq_rel);
}

/* What is missing for word `n`: pages of links, and words; `bits`: of the root that reaches it.
 * With the lock. */
struct need {
	uint32_t pages;
	bool end;
};

static struct need missing(struct pt_sparse *tree, struct pt_store *store, uint64_t n,
			   unsigned bits)
{
	uint64_t root = pt__get(&tree->root);
	unsigned was = root & PT__SPARSE_REACH;
	struct pt__branch at;

	if (bits && !root)
		return (struct need){pt__sparse_levels(tree, bits), true};
	if (was < bits)
		return (struct need){pt__sparse_levels(tree, bits) - pt__sparse_levels(tree, was) +
					     pt__sparse_levels(tree, bits) - 1,
				     true};
	at = pt__sparse_descend(tree, tree->ends, store, n);
	return (struct need){at.above / PT__SPARSE_BITS,
			     !pt__end_off(tree->ends, pt__get(at.link), n)};
}

/* What is missing is linked if there is stock enough; what else it takes. */
static struct need try_grow(struct pt_sparse *tree, struct pt_store *store, uint64_t n,
			    struct stock *stock, uint64_t tag, bool *grown)
{
	struct need need;
	unsigned bits;

	pt_port_lock(&store->lock);
	if (pt__get(&tree->base) == PT__SPARSE_NO_BASE)
		pt__set(&tree->base, n - n % PT__PAGE_WORDS);
	bits = reach_for(tree, pt__sparse_number(tree, n));
	need = missing(tree, store, n, bits);
	if (need.end && !tree->ends.halves)
		need.pages++;
	*grown = need.end && stock->pages.count >= need.pages &&
		 (stock->piece || !tree->ends.halves);
	if (*grown) {
		if (bits)
			heighten(tree, store, bits, stock);
		grow(tree, store, n, stock, tag);
	}
	pt_port_unlock(&store->lock);
	need.pages -= need.pages < stock->pages.count ? need.pages : stock->pages.count;
	need.end = need.end && tree->ends.halves && !stock->piece;
	return need;
}

static enum pt_outcome take(const struct pt_sparse *tree, struct pt_store *store,
			    struct pt_agent *agent, struct need need, struct stock *stock)
{
	enum pt_outcome outcome = PT_OK;

	if (need.pages)
		outcome = pt__store_take(store, agent, need.pages, &stock->pages);
	if (outcome == PT_OK && need.end)
		outcome = pt__store_take_piece(store, agent, pt__end_bytes(tree->ends),
					       &stock->piece);
	return outcome;
}

/* As pt__sparse_keep(), of words that are there. */
static bool join(struct pt_sparse *tree, struct pt_store *store, uint64_t n)
{
	struct pt__branch at = pt__sparse_descend(tree, tree->ends, store, n);
	uint64_t off;

	return !at.above && pt__sparse_join(at.link, tree->ends, n, &off);
}

enum pt_outcome pt__sparse_keep(struct pt_sparse *tree, struct pt_store *store,
				struct pt_agent *agent, uint64_t n, uint64_t tag)
{
	struct stock stock = {{0, 0}, 0};
	enum pt_outcome outcome = PT_OK;
	bool grown = false;

	while (outcome == PT_OK && !grown && !join(tree, store, n)) {
		struct need need = try_grow(tree, store, n, &stock, tag, &grown);

		if (!grown)
			outcome = take(tree, store, agent, need, &stock);
	}
	pt__store_give(store, agent, &stock.pages);
	pt__store_give_piece(store, agent, pt__end_bytes(tree->ends), stock.piece);
	return outcome;
}
