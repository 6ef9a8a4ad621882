/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index; private to lib/owner. */
#ifndef OWNER_NODE_H
#define OWNER_NODE_H

#include "internal.h"

/*
 * A node is a page: its sequence number, its head (how many entries; bit 32: leaf), and entries in
 * ascending order of their keys. In an inner node a key, which is the first one of the subtree,
 * always, and behind all keys as many page offsets. The first key of the tree is 0. Of each 16 keys
 * but the first ones the first stands once more before all of them: a search reads these, and then
 * 16 keys, so it waits for memory twice and not for each step.
 *
 * In a leaf an entry is {start, who, meta, id}: from unit `start` on, up to the next entry's start,
 * this is what the index says. Its key stands in its place, {start << 8 | slot}, and what it says
 * in a slot of three words behind all places: so entries that come and go move places alone, and a
 * search reads few lines. The places behind the last entry's have the slots that are free.
 *
 * Behind the last entry's key all are higher than any that is asked for: a search looks at as many
 * whatever the node holds.
 *
 * The sequence number is odd while a writer changes the node, and stays odd when the node has left
 * the tree. Every word is stored with release after it became odd, and loaded with acquire before
 * it is compared: who has seen any of the new words sees the odd number, too.
 */
#define PT__SEQ	 0u
#define PT__HEAD 1u
#define PT__BODY 2u
#define PT__LEAF (UINT64_C(1) << 32)

#define PT__LEAF_WORDS 4u
#define PT__SLOT_WORDS 3u
#define PT__SLOT_BITS  8u
#define PT__NO_KEY     UINT64_MAX
#define PT__NO_START   (UINT64_MAX >> PT__SLOT_BITS)
#define PT__LEAF_ROOM  ((PT__PAGE_WORDS - PT__BODY) / PT__LEAF_WORDS)
#define PT__INNER_ROOM 240u
#define PT__KEYS       24u /* a whole line, behind 15 of those that stand twice */
#define PT__LINKS      (PT__KEYS + PT__INNER_ROOM)

_Static_assert(PT__LEAF_ROOM == 127, "pt__rank_leaf()");
_Static_assert(PT__LINKS + PT__INNER_ROOM <= PT__PAGE_WORDS, "an inner node is a page");

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

/* Of an inner node. */
static inline uint64_t pt__inner_key(const pt__word *node, uint32_t i)
{
	return pt__get(node + PT__KEYS + i);
}

static inline uint64_t pt__link(const pt__word *node, uint32_t i)
{
	return pt__get(node + PT__LINKS + i);
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

/* What a search in a leaf looks at; nothing has to be known of the leaf for that. (The last place
 * of a full one is a line of its own.) */
static inline void pt__leaf_fetch(const pt__word *leaf)
{
	for (uint32_t i = 0; i < PT__LEAF_ROOM; i += 32) {
		pt__fetch(leaf + i);
		pt__fetch(leaf + i + 8);
		pt__fetch(leaf + i + 16);
		pt__fetch(leaf + i + 24);
	}
}

/* Past `by` keys from `at` on, if they are all at most `key`. No branch: what comes out is as good
 * as random. */
static inline const pt__word *pt__pass_by(const pt__word *at, uint32_t by, uint64_t key)
{
	return pt__get(at + by - 1) <= key ? at + by : at;
}

/* Past those of 15 keys from `at` on that are at most `key`. */
static inline const pt__word *pt__pass_15(const pt__word *at, uint64_t key)
{
	at = pt__pass_by(at, 8, key);
	at = pt__pass_by(at, 4, key);
	at = pt__pass_by(at, 2, key);
	return pt__pass_by(at, 1, key);
}

/* How many branches' keys are at most `key`; the first one is. */
static inline uint32_t pt__rank_inner(const pt__word *node, uint64_t key)
{
	const pt__word *twice = node + PT__BODY, *keys = node + PT__KEYS;
	const pt__word *at = keys + 16 * (pt__pass_15(twice, key) - twice);

	return (uint32_t)(pt__pass_15(at + 1, key) - keys);
}

/* How many starts are. */
static inline uint32_t pt__rank_leaf(const pt__word *leaf, uint64_t start)
{
	const pt__word *places = leaf + PT__BODY, *at = places;
	uint64_t key = start << PT__SLOT_BITS | ((1u << PT__SLOT_BITS) - 1);

	at = pt__pass_by(at, 64, key);
	at = pt__pass_by(at, 32, key);
	at = pt__pass_by(at, 16, key);
	return (uint32_t)(pt__pass_15(at, key) - places);
}

static inline struct pt__says pt__says_at(const pt__word *leaf, uint32_t i)
{
	const pt__word *s = pt__slot(leaf, pt__leaf_place(leaf, i));

	return (struct pt__says){pt__get(s), pt__get(s + 1), pt__get(s + 2)};
}

static inline bool pt__holds(const struct pt__cursor *cursor)
{
	return pt__get(cursor->guard) == cursor->seen;
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

/* Makes room for `by` words at `at`, before `end`; and closes it. */
static inline void pt__move_up(const pt__word *at, pt__word *end, uint32_t by)
{
	for (; end - at >= 4; end -= 4) {
		pt__set(end - 1 + by, pt__get(end - 1));
		pt__set(end - 2 + by, pt__get(end - 2));
		pt__set(end - 3 + by, pt__get(end - 3));
		pt__set(end - 4 + by, pt__get(end - 4));
	}
	while (end != at) {
		end--;
		pt__set(end + by, pt__get(end));
	}
}

static inline void pt__move_down(pt__word *at, const pt__word *end, uint32_t by)
{
	for (; end - at >= 4; at += 4) {
		pt__set(at, pt__get(at + by));
		pt__set(at + 1, pt__get(at + 1 + by));
		pt__set(at + 2, pt__get(at + 2 + by));
		pt__set(at + 3, pt__get(at + 3 + by));
	}
	for (; at != end; at++)
		pt__set(at, pt__get(at + by));
}

/* An entry's place: a start, and the slot of `place`. */
static inline void pt__place_set(pt__word *leaf, uint32_t i, uint64_t start, uint64_t place)
{
	pt__set(leaf + PT__BODY + i,
		start << PT__SLOT_BITS | (place & ((1u << PT__SLOT_BITS) - 1)));
}

static inline void pt__slot_set(pt__word *leaf, uint64_t place, struct pt__says says)
{
	pt__word *slot = (pt__word *)(uintptr_t)pt__slot(leaf, place);

	pt__set(slot, says.who);
	pt__set(slot + 1, says.meta);
	pt__set(slot + 2, says.id);
}

/* An entry into a node at `i`, and out of it; those from `i` on of one node behind those of
 * another; a branch's key; what an entry of a leaf says, and where it starts. Open nodes, or such
 * that nobody else sees. */
void pt__node_insert(pt__word *node, uint32_t i, const uint64_t *words);
void pt__node_remove(pt__word *node, uint32_t i);
void pt__node_move(pt__word *to, pt__word *from, uint32_t i);
void pt__node_init(pt__word *node, bool leaf);
void pt__inner_key_set(pt__word *node, uint32_t i, uint64_t key);
void pt__says_set(pt__word *leaf, uint32_t i, struct pt__says says);
void pt__start_set(pt__word *leaf, uint32_t i, uint64_t start);

/* extent.c, under the lock: a promise of `kept` pages is no more. Onto *spare comes what is above
 * the promises, but for one more while there is an index at all: whoever comes next then asks no
 * pool. */
void pt__extents_settle(struct pt_extents *index, uint32_t kept, struct pt_pages *spare);

#endif
