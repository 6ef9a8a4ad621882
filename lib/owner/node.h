/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index; private to lib/owner. */
#ifndef OWNER_NODE_H
#define OWNER_NODE_H

#include "internal.h"

/*
 * A node is a page: its sequence number, its head (how many entries; bit 32: leaf), and entries in
 * ascending order of their keys. In an inner node {key, page offset}, where the key is the first
 * one of the subtree, always. The first key of the tree is 0.
 *
 * In a leaf an entry is {start, who, meta, id}: from unit `start` on, up to the next entry's start,
 * this is what the index says. Its key stands in its place, {start << 8 | slot}, and what it says
 * in a slot of three words behind all places: so entries that come and go move places alone, and a
 * search reads few lines. The places behind the last entry's have the slots that are free.
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
#define PT__SLOT_WORDS	3u
#define PT__SLOT_BITS	8u
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

static inline uint32_t pt__room(const pt__word *node)
{
	return pt__is_leaf(node) ? PT__LEAF_ROOM : PT__INNER_ROOM;
}

static inline const pt__word *pt__branch(const pt__word *node, uint32_t i)
{
	return node + PT__BODY + i * PT__INNER_WORDS;
}

static inline uint64_t pt__leaf_place(const pt__word *leaf, uint32_t i)
{
	return pt__get(leaf + PT__BODY + i);
}

static inline uint64_t pt__start(const pt__word *leaf, uint32_t i)
{
	return pt__leaf_place(leaf, i) >> PT__SLOT_BITS;
}

/* The slot of a place's entry, or a free one. Read at any time it is one of the leaf's. */
static inline const pt__word *pt__slot(const pt__word *leaf, uint64_t place)
{
	uint32_t slot = place & ((1u << PT__SLOT_BITS) - 1);

	return leaf + PT__BODY + PT__LEAF_ROOM + slot * PT__SLOT_WORDS;
}

/* What a search in a leaf looks at; nothing has to be known of the leaf for that. */
static inline void pt__leaf_fetch(const pt__word *leaf)
{
	for (uint32_t i = 0; i < PT__BODY + PT__LEAF_ROOM; i += 8)
		pt__fetch(leaf + i);
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

/* How many branches' keys, and how many starts, are at most `key`. */
static inline uint32_t pt__rank_inner(const pt__word *node, uint64_t key)
{
	return pt__rank_of(node + PT__BODY, pt__count(node), PT__INNER_WORDS, key);
}

static inline uint32_t pt__rank_leaf(const pt__word *leaf, uint32_t count, uint64_t key)
{
	return pt__rank_of(leaf + PT__BODY, count, 1,
			   key << PT__SLOT_BITS | ((1u << PT__SLOT_BITS) - 1));
}

static inline struct pt__says pt__says_at(const pt__word *leaf, uint32_t i)
{
	const pt__word *s = pt__slot(leaf, pt__leaf_place(leaf, i));

	return (struct pt__says){pt__get(s), pt__get(s + 1), pt__get(s + 2)};
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

/* One or two entries into a node at `i`, and out of it; and those from `i` on of one node behind
 * those of another; what an entry of a
 * leaf says, and where it starts. Open nodes, or such that nobody else sees. */
void pt__node_insert(pt__word *node, uint32_t i, const uint64_t *words, uint32_t entries);
void pt__node_remove(pt__word *node, uint32_t i, uint32_t entries);
void pt__node_move(pt__word *to, pt__word *from, uint32_t i);
void pt__node_init(pt__word *node, bool leaf);
void pt__says_set(pt__word *leaf, uint32_t i, struct pt__says says);
void pt__start_set(pt__word *leaf, uint32_t i, uint64_t start);

/* extent.c, under the lock: a promise of `kept` pages is no more. Onto *spare comes what is above
 * the promises, but for one more while there is an index at all: whoever comes next then asks no
 * pool. */
void pt__extents_settle(struct pt_extents *index, uint32_t kept, struct pt_pages *spare);

#endif
