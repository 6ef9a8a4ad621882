/* SPDX-License-Identifier: BSD-2-Clause */
/* Words by number in a radix tree: pages come and go. */
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

/* Pages of links between a root, of so many bits, and the ends, with it. */
static unsigned levels_of(const struct pt_sparse *tree, unsigned bits)
{
	return (bits - tree->ends.bits) / PT__SPARSE_BITS;
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
	uint64_t root = pt__get(&tree->root), link;
	unsigned was = root & PT__SPARSE_REACH;
	struct pt__branch at;

	if (bits && !root)
		return (struct need){levels_of(tree, bits), true};
	if (was < bits)
		return (struct need){levels_of(tree, bits) - levels_of(tree, was) +
					     levels_of(tree, bits) - 1,
				     true};
	at = pt__sparse_descend(tree, tree->ends, store, n);
	link = pt__get(at.link);
	return (struct need){at.above / PT__SPARSE_BITS,
			     !link || !pt__end_off(tree->ends, link, n)};
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
	i = levels_of(tree, e & PT__SPARSE_REACH);
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

	while (root >= ONE && root < 2 * ONE && levels_of(tree, root & PT__SPARSE_REACH) > 1) {
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

/* The first number behind the 2^bits that `n` is one of. */
static uint64_t behind(uint64_t n, unsigned bits)
{
	return (n | ((UINT64_C(1) << bits) - 1)) + 1;
}

/* The last link on the way to `n` and below what it stands for: so many bits. */
static uint64_t last_link(const struct pt_sparse *tree, pt__word *words, uint64_t number,
			  unsigned *bits)
{
	uint64_t e = pt__get(&tree->root);

	*bits = tree->ends.bits;
	if (number < tree->near_end)
		return pt__get(tree->near + (number >> *bits));
	*bits = e & PT__SPARSE_REACH;
	if (!e || !pt__sparse_reaches(e, number)) { /* nor any that differs from the base there */
		*bits = 63 - (e ? (unsigned)__builtin_clzll(number) : 0);
		return 0;
	}
	for (; e && *bits > tree->ends.bits; e = pt__get(pt__sparse_at(words, e, number, *bits)))
		*bits -= PT__SPARSE_BITS;
	return e;
}

/* Words that are not there, `n` and those up to *next; or the word itself, if it has just come. */
static pt__word *look(const struct pt_sparse *tree, const struct pt_store *store, uint64_t n,
		      uint64_t *next)
{
	const struct pt_sparse_ends ends = tree->ends;
	pt__word *words = pt__words(store, 0), *at;
	uint64_t base = pt__get(&tree->base), e, off, near = base & -tree->near_end;
	unsigned bits;

	*next = UINT64_MAX;
	if (base == PT__SPARSE_NO_BASE)
		return NULL;
	e = last_link(tree, words, n ^ base, &bits);
	off = pt__end_off(ends, e, n);
	if (off) {
		*next = n + 1;
		at = pt__end_word(words, ends, off, n);
		return pt__get(at) ? at : NULL;
	}
	*next = behind(n, e ? pt__end_run(ends) : bits);
	if (tree->near_end && n < near && near < *next)
		*next = near;
	return NULL;
}

/* The first word of a run from *n on that is not 0, below `end` and in what *left allows. */
static pt__word *next_here(pt__word *at, uint64_t *n, uint64_t end, int64_t *left)
{
	for (; *n<end && * left> 0; ++*n, ++at, --*left)
		if (pt__get(at))
			return at;
	return NULL;
}

pt__word *pt__sparse_next(const struct pt_sparse *tree, const struct pt_store *store, uint64_t *n,
			  uint64_t end, int64_t *left)
{
	while (*left > 0 && *n < end) {
		uint64_t next, stop = pt__sparse_run_end(tree->ends, *n);
		pt__word *at = pt__sparse_word(tree, tree->ends, store, *n);

		if (at) {
			at = next_here(at, n, stop < end ? stop : end, left);
			if (at)
				return at;
			continue;
		}
		--*left;
		at = look(tree, store, *n, &next);
		if (at)
			return at; /* its words have just been linked */
		*n = next < end ? next : end;
	}
	return NULL;
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
	unsigned above = link == &tree->root ? levels_of(tree, e & PT__SPARSE_REACH) : 0;

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
