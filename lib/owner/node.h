/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index; private to lib/owner. */
#ifndef OWNER_NODE_H
#define OWNER_NODE_H

#include "internal.h"

/*
 * A node is a page: its sequence number, its head (how many entries; bit 32: leaf), and entries in
 * ascending order of their first word, the key. In a leaf {start, who, meta, id}: from unit `start`
 * on, up to the next entry's start, this is what the index says. In an inner node {key, page
 * offset}, where the key is the first one of the subtree, always. The first key of the tree is 0.
 *
 * The sequence number is odd while a writer changes the node, and stays odd when the node has left
 * the tree. Every word is stored with release after it became odd, and loaded with acquire before
 * it is compared: who has seen any of the new words sees the odd number, too.
 */
#define PT__SEQ	 0u
#define PT__HEAD 1u
#define PT__BODY 2u
#define PT__LEAF (UINT64_C(1) << 32)

#define PT__LEAF_WORDS	4u
#define PT__INNER_WORDS 2u
#define PT__LEAF_ROOM	((PT__PAGE_WORDS - PT__BODY) / PT__LEAF_WORDS)
#define PT__INNER_ROOM	((PT__PAGE_WORDS - PT__BODY) / PT__INNER_WORDS)

/* What a leaf says from a unit on. who: kind 3:0, state 7:4, handle 23:8, gfn 63:24. */
struct pt__says {
	uint64_t who, meta, id;
};

/* The same, `by` units further: a guest's frame numbers go on. */
static inline struct pt__says pt__further(struct pt__says s, uint64_t by)
{
	if ((s.who & 0xf) == PT_OWNER_GUEST)
		s.who += by << 24;
	return s;
}

static inline bool pt__same(struct pt__says a, struct pt__says b)
{
	return a.who == b.who && a.meta == b.meta && a.id == b.id;
}

static inline bool pt__is_leaf(const pt__word *node)
{
	return pt__get(node + PT__HEAD) & PT__LEAF;
}

static inline uint32_t pt__count(const pt__word *node)
{
	return (uint32_t)pt__get(node + PT__HEAD);
}

static inline uint32_t pt__width(const pt__word *node)
{
	return pt__is_leaf(node) ? PT__LEAF_WORDS : PT__INNER_WORDS;
}

static inline uint32_t pt__room(const pt__word *node)
{
	return pt__is_leaf(node) ? PT__LEAF_ROOM : PT__INNER_ROOM;
}

static inline const pt__word *pt__entry(const pt__word *node, uint32_t i, uint32_t width)
{
	return node + PT__BODY + i * width;
}

/* Entries from one that a search looks at first to the next. */
#define PT__GROUP 16u

/* What a search in a leaf looks at first; nothing has to be known of the leaf for that. */
static inline void pt__leaf_fetch(const pt__word *leaf)
{
	for (uint32_t i = 0; i < PT__LEAF_ROOM; i += PT__GROUP)
		pt__fetch(leaf + PT__BODY + i * PT__LEAF_WORDS);
}

/* How many of `count` keys from entry `from` on are at most `key`, of each `step`-th entry. */
static inline uint32_t pt__rank_of(const pt__word *from, uint32_t count, uint32_t step,
				   uint64_t key)
{
	uint32_t low = 0;

	while (count) {
		uint32_t half = count / 2;

		if (pt__get(from + (low + half) * step) <= key) {
			low += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return low;
}

/* How many of `count` keys are at most `key`. Of a leaf those that stand a group apart come first:
 * they are where pt__leaf_fetch() says; and then a group, whose lines come at once. */
static inline uint32_t pt__rank(const pt__word *node, uint32_t count, uint32_t width, uint64_t key)
{
	const pt__word *base = node + PT__BODY;
	uint32_t group, low;

	if (width != PT__LEAF_WORDS)
		return pt__rank_of(base, count, width, key);
	group = pt__rank_of(base, (count + PT__GROUP - 1) / PT__GROUP, PT__GROUP * width, key);
	if (!group)
		return 0;
	low = (group - 1) * PT__GROUP;
	base += low * width;
	for (uint32_t i = 2; i < PT__GROUP; i += 2)
		pt__fetch(base + i * width);
	count = count - low < PT__GROUP ? count - low : PT__GROUP;
	return low + pt__rank_of(base, count, width, key);
}

static inline struct pt__says pt__says_at(const pt__word *leaf, uint32_t i)
{
	const pt__word *e = pt__entry(leaf, i, PT__LEAF_WORDS);

	return (struct pt__says){pt__get(e + 1), pt__get(e + 2), pt__get(e + 3)};
}

/* Writers, under the lock. The number becomes odd before anything else is stored, even after. */
static inline void pt__open(pt__word *node)
{
	atomic_store_explicit(node + PT__SEQ,
			      atomic_load_explicit(node + PT__SEQ, memory_order_relaxed) | 1,
			      memory_order_relaxed);
}

static inline void pt__shut(pt__word *node)
{
	pt__set(node + PT__SEQ, atomic_load_explicit(node + PT__SEQ, memory_order_relaxed) + 1);
}

/* Entries into a node at `i`, and out of it; and those from `i` on of one node behind those of
 * another. Open nodes, or such that nobody else sees. */
void pt__node_insert(pt__word *node, uint32_t i, const uint64_t *words, uint32_t entries);
void pt__node_remove(pt__word *node, uint32_t i, uint32_t entries);
void pt__node_move(pt__word *to, pt__word *from, uint32_t i);
void pt__node_init(pt__word *node, bool leaf);

#endif
