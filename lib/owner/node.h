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
 * this is what the index says. They stand in rows of up to eight: eight starts, which are a line,
 * and what each says. What comes or goes moves others of its row alone. No row that is used is
 * empty, and none before one that is used; the first starts of all rows but the first stand once
 * more before the rows. Where a row is full, all are spread evenly: a leaf that is as full as it
 * may be has seven in each.
 *
 * Where no key stands, there is one that is higher than any that is asked for: a search looks at as
 * many whatever the node holds.
 *
 * The sequence number is odd while a writer changes the node, and stays odd when the node has left
 * the tree. Every word is stored with release after it became odd, and loaded with acquire before
 * it is compared: who has seen any of the new words sees the odd number, too.
 */
#define PT__SEQ	 0u
#define PT__HEAD 1u
#define PT__BODY 2u
#define PT__LEAF (UINT64_C(1) << 32)

#define PT__NO_KEY     UINT64_MAX
#define PT__LEAF_WORDS 4u
#define PT__ROWS       14u
#define PT__ROW_FIRST  16u /* a whole line, behind 13 starts and a last one that is none */
#define PT__ROW_ROOM   8u
#define PT__ROW_WORDS  (PT__ROW_ROOM * PT__LEAF_WORDS)
#define PT__LEAF_ROOM  (PT__ROWS * (PT__ROW_ROOM - 1))
#define PT__INNER_ROOM 240u
#define PT__KEYS       24u /* a whole line, behind 15 of those that stand twice */
#define PT__LINKS      (PT__KEYS + PT__INNER_ROOM + 1) /* behind a last key that is none */

_Static_assert(PT__ROW_FIRST + PT__ROWS * PT__ROW_WORDS <= PT__PAGE_WORDS, "a leaf is a page");
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

static inline struct pt__says pt__says_of(const struct pt_extent *e)
{
	return (struct pt__says){e->owner.kind | (uint64_t)e->state << 4 |
					 (uint64_t)e->owner.handle << 8 | e->owner.gfn << 24,
				 e->meta, e->id};
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

/* Past `by` keys from `at` on, if they are all at most `key`. No branch: what comes out is as good
 * as random. */
static inline const pt__word *pt__pass_by(const pt__word *at, uint32_t by, uint64_t key)
{
	return pt__get(at + by - 1) <= key ? at + by : at;
}

/* Past those of 7, or of 15, keys from `at` on that are at most `key`. */
static inline const pt__word *pt__pass_7(const pt__word *at, uint64_t key)
{
	at = pt__pass_by(at, 4, key);
	at = pt__pass_by(at, 2, key);
	return pt__pass_by(at, 1, key);
}

static inline const pt__word *pt__pass_15(const pt__word *at, uint64_t key)
{
	return pt__pass_7(pt__pass_by(at, 8, key), key);
}

/* Where the key of the branch for a unit stands. */
static inline const pt__word *pt__inner_find(const pt__word *node, uint64_t unit)
{
	const pt__word *twice = node + PT__BODY;
	const pt__word *at = node + PT__KEYS + 16 * (pt__pass_15(twice, unit) - twice);

	return pt__pass_15(at + 1, unit) - 1;
}

static inline uint32_t pt__inner_at(const pt__word *node, uint64_t unit)
{
	return (uint32_t)(pt__inner_find(node, unit) - node) - PT__KEYS;
}

/* The entry of a leaf that holds for a unit: the k-th of row `r`, from 0 on. */
struct pt__entry {
	pt__word *row;
	uint32_t r, k;
};

/* Its row, which is not read. */
static inline struct pt__entry pt__leaf_row(pt__word *leaf, uint64_t unit)
{
	const pt__word *firsts = leaf + PT__BODY;
	uint32_t r = (uint32_t)(pt__pass_15(firsts, unit) - firsts);

	return (struct pt__entry){.row = leaf + PT__ROW_FIRST + r * PT__ROW_WORDS, .r = r};
}

static inline void pt__row_find(struct pt__entry *e, uint64_t unit)
{
	e->k = (uint32_t)(pt__pass_7(e->row + 1, unit) - e->row) - 1;
}

static inline struct pt__entry pt__leaf_find(pt__word *leaf, uint64_t unit)
{
	struct pt__entry e = pt__leaf_row(leaf, unit);

	pt__row_find(&e, unit);
	return e;
}

/* The same by its place, of all places of a leaf in their order. The first entry is in place 0. */
static inline struct pt__entry pt__leaf_entry(const pt__word *leaf, uint32_t at)
{
	uint32_t r = at / PT__ROW_ROOM;

	return (struct pt__entry){(pt__word *)(uintptr_t)(leaf + PT__ROW_FIRST + r * PT__ROW_WORDS),
				  r, at % PT__ROW_ROOM};
}

/* Where the next entry starts; PT__NO_KEY: there is none in the leaf. */
static inline uint64_t pt__leaf_next(const pt__word *leaf, struct pt__entry e)
{
	uint64_t next = e.k + 1 < PT__ROW_ROOM ? pt__get(e.row + e.k + 1) : PT__NO_KEY;

	return next != PT__NO_KEY ? next : pt__get(leaf + PT__BODY + e.r);
}

/* Has a row room for two? */
static inline bool pt__row_has_room(const pt__word *row)
{
	return pt__get(row + PT__ROW_ROOM - 2) == PT__NO_KEY;
}

static inline struct pt__says pt__row_says(const pt__word *row, uint32_t k)
{
	const pt__word *s = row + PT__ROW_ROOM + k * (PT__LEAF_WORDS - 1);

	return (struct pt__says){pt__get(s), pt__get(s + 1), pt__get(s + 2)};
}

static inline void pt__row_set(pt__word *row, uint32_t k, uint64_t start, struct pt__says says)
{
	pt__word *s = row + PT__ROW_ROOM + k * (PT__LEAF_WORDS - 1);

	pt__set(row + k, start);
	pt__set(s, says.who);
	pt__set(s + 1, says.meta);
	pt__set(s + 2, says.id);
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

/* The place of the entry that holds for a unit. */
static inline uint32_t pt__leaf_at(pt__word *leaf, uint64_t unit)
{
	struct pt__entry e = pt__leaf_find(leaf, unit);

	return e.r * PT__ROW_ROOM + e.k;
}

static inline uint64_t pt__start(const pt__word *leaf, uint32_t at)
{
	struct pt__entry e = pt__leaf_entry(leaf, at);

	return pt__get(e.row + e.k);
}

static inline struct pt__says pt__says_at(const pt__word *leaf, uint32_t at)
{
	struct pt__entry e = pt__leaf_entry(leaf, at);

	return pt__row_says(e.row, e.k);
}

/* Spreads what an open leaf holds over its rows: evenly; or, for who adds at the end and will go on
 * there, with rows left. */
void pt__leaf_spread(pt__word *leaf, bool at_end);

/* An entry into a node, where its key, the first of `words`, belongs behind another; out of it, of
 * a leaf by its place; those from the i-th on, of which there are some, of one node behind those of
 * another; a branch's key; what an entry of a leaf says, and where it starts. Open nodes, or such
 * that nobody else sees. */
void pt__node_insert(pt__word *node, const uint64_t *words);
void pt__node_remove(pt__word *node, uint32_t at);
void pt__node_move(pt__word *to, pt__word *from, uint32_t i);
void pt__node_init(pt__word *node, bool leaf);
void pt__inner_key_set(pt__word *node, uint32_t i, uint64_t key);
void pt__says_set(pt__word *leaf, uint32_t at, struct pt__says says);
void pt__start_set(pt__word *leaf, uint32_t at, uint64_t start);

/* extent_row.c, under the lock: as pt_extents_set(), if one row of the cursor's leaf changes for
 * that, and no node gets too light. False: nothing has changed. */
bool pt__change_row(const struct pt__cursor *cursor, const struct pt_extent *e);

/* extent.c, under the lock: a promise of `kept` pages is no more. Onto *spare comes what is above
 * the promises, but for one more while there is an index at all: whoever comes next then asks no
 * pool. */
void pt__extents_settle(struct pt_extents *index, uint32_t kept, struct pt_pages *spare);

#endif
