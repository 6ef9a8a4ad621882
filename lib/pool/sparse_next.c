/* SPDX-License-Identifier: BSD-2-Clause */
/* Words by number in a radix tree: those that are not 0 are looked for. */
#include "sparse.h"

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
