/* SPDX-License-Identifier: BSD-2-Clause */
/* The extent index: a range says something else from now on. */
#include "tree.h"

/* How the range ends: does what was there go on behind it, and is an entry needed to say so? */
struct tail {
	struct pt__says was; /* what the index says from the end on */
	bool exact;	     /* an entry stands there */
	bool same;	     /* it says what the new extent would say, if that went on */
};

static struct tail tail_of(struct pt__change *s, const struct pt_extent *e, struct pt__says says)
{
	struct tail t = {.same = true};

	if (e->end == s->index->units)
		return t;
	t.was = pt__path_says(s, e->end);
	t.exact = pt__seek(s, e->end);
	t.same = pt__same(t.was, pt__further(says, e->end - e->start));
	return t;
}

/*
 * No reader sees what is neither old nor new, so what is new spreads from the start upwards: an
 * entry that goes makes what stands before it go on. `from`: the first that may go. The last one is
 * not taken out when an entry is needed at the end, but moved there; so a transition that comes
 * along in steps adds entries at its first step alone.
 */
static void spread(struct pt__change *s, uint64_t from, const struct pt_extent *e, uint64_t moved)
{
	for (;;) {
		uint64_t key = from;

		if (!pt__seek(s, from))
			key = pt__path_end(s);
		if (key >= e->end || key == moved)
			return;
		pt__entry_remove(s, key);
	}
}

static void replace(struct pt__change *s, const struct pt_extent *e, struct pt__says says)
{
	struct tail tail = tail_of(s, e, says);
	bool joins = e->start && pt__same(pt__further(pt__path_says(s, e->start - 1), 1), says);
	uint64_t from = joins ? e->start : e->start + 1, moved = UINT64_MAX;

	if (!tail.exact && !tail.same) {
		pt__seek(s, e->end - 1);
		moved = pt__key(pt__path_leaf(s), *pt__path_at(s));
		if (moved < from) {
			moved = UINT64_MAX;
			pt__entry_insert(s, e->end, tail.was);
		}
	}
	if (!joins)
		pt__entry_put(s, e->start, says);
	spread(s, from, e, moved);
	if (moved != UINT64_MAX)
		pt__entry_move(s, moved, e->end, tail.was);
	if (tail.exact && tail.same)
		pt__entry_remove(s, e->end);
}

/* Where two entries come in, their place is behind this one, at the end of a leaf in a new row, or
 * where all are spread: how many may be in a leaf for that? */
static inline bool at_end(const pt__word *leaf, struct pt__entry at)
{
	return pt__leaf_next(leaf, at) == PT__NO_KEY && at.r + 1 < PT__ROWS;
}

static inline bool has_room(const pt__word *leaf, uint32_t count, struct pt__entry at)
{
	if (pt__row_has_room(at.row) || at_end(leaf, at))
		return count + 2 <= PT__LEAF_ROOM;
	return count <= PT__ROWS * (PT__ROW_ROOM - 2);
}

/* Where the first of them comes to then. An open leaf. */
static struct pt__entry make_room(pt__word *leaf, struct pt__entry at, uint64_t start)
{
	if (!at_end(leaf, at)) {
		pt__leaf_spread(leaf, pt__leaf_next(leaf, at) == PT__NO_KEY);
		at = pt__leaf_find(leaf, start);
	}
	at.k++;
	if (!pt__row_has_room(at.row)) {
		at = (struct pt__entry){at.row + PT__ROW_WORDS, at.r + 1, 0};
		pt__set(leaf + PT__BODY + at.r - 1, start);
	}
	return at;
}

/*
 * Most transitions are of a page, inside of one extent, or of all of one that lies in one row of a
 * leaf between two parts of another: then two entries come, or go, at once.
 */
static inline bool part_in_three(pt__word *leaf, uint32_t count, struct pt__entry at,
				 const struct pt_extent *e, struct pt__says says)
{
	struct pt__says rest =
		pt__further(pt__row_says(at.row, at.k), e->end - pt__get(at.row + at.k));

	if (pt__same(rest, pt__further(says, e->end - e->start)) || !has_room(leaf, count, at))
		return false;
	pt__open(leaf);
	if (pt__row_has_room(at.row))
		at.k++;
	else
		at = make_room(leaf, at, e->start);
	for (uint32_t k = PT__ROW_ROOM - 2; k-- > at.k;)
		pt__row_set(at.row, k + 2, pt__get(at.row + k), pt__row_says(at.row, k));
	pt__row_set(at.row, at.k, e->start, says);
	pt__row_set(at.row, at.k + 1, e->end, rest);
	pt__set(leaf + PT__HEAD, PT__LEAF | (count + 2));
	pt__shut(leaf);
	return true;
}

/* What stands before it and behind it goes on. */
static inline bool join_three(pt__word *leaf, uint32_t count, struct pt__entry at,
			      const struct pt_extent *e, struct pt__says says)
{
	if (!at.k || at.k + 1 == PT__ROW_ROOM || pt__get(at.row + at.k + 1) != e->end ||
	    count < PT__LEAF_ROOM / 4 + 2 ||
	    !pt__same(pt__row_says(at.row, at.k + 1), pt__further(says, e->end - e->start)) ||
	    !pt__same(pt__further(pt__row_says(at.row, at.k - 1),
				  e->start - pt__get(at.row + at.k - 1)),
		      says))
		return false;
	pt__open(leaf);
	for (uint32_t k = at.k; k < PT__ROW_ROOM - 2; k++)
		pt__row_set(at.row, k, pt__get(at.row + k + 2), pt__row_says(at.row, k + 2));
	pt__set(at.row + PT__ROW_ROOM - 2, PT__NO_KEY);
	pt__set(at.row + PT__ROW_ROOM - 1, PT__NO_KEY);
	pt__set(leaf + PT__HEAD, PT__LEAF | (count - 2));
	pt__shut(leaf);
	return true;
}

static inline struct pt__says says_of(const struct pt_extent *e)
{
	return (struct pt__says){e->owner.kind | (uint64_t)e->state << 4 |
					 (uint64_t)e->owner.handle << 8 | e->owner.gfn << 24,
				 e->meta, e->id};
}

/* Under the lock. */
static bool try(const struct pt__cursor *c, const struct pt_extent *e)
{
	const struct pt__says says = says_of(e);
	pt__word *leaf = c->leaf;
	struct pt__entry at;
	uint64_t head, next;

	if (!pt__holds(c) || !leaf)
		return false;
	head = pt__get(leaf + PT__HEAD);
	if (!(head & PT__LEAF))
		return false;
	at = pt__leaf_find(leaf, e->start);
	if (pt__get(at.row + at.k) == e->start)
		return join_three(leaf, (uint32_t)head, at, e, says);
	next = pt__leaf_next(leaf, at);
	return e->end < (next != PT__NO_KEY ? next : c->end) &&
	       part_in_three(leaf, (uint32_t)head, at, e, says);
}

bool pt__extents_try(struct pt_extents *index, const struct pt__cursor *cursor,
		     const struct pt_extent *e)
{
	bool done;

	pt_port_lock(&index->store->lock);
	done = try(cursor, e);
	pt_port_unlock(&index->store->lock);
	return done;
}

/* The first node: all of it is the default. */
static void begin(struct pt__change *s)
{
	const uint64_t words[PT__LEAF_WORDS] = {0};
	pt__word *leaf = pt__node_add(s, true);

	pt__node_insert(leaf, words);
	s->index->levels = 1;
	pt__set(&s->index->root, pt__node_offset(s, leaf));
}

/* The last one goes when there is nothing to say. */
static void end(struct pt__change *s)
{
	const struct pt__says nothing = {0, 0, 0};
	pt__word *leaf = pt__words(s->index->store, pt__get(&s->index->root));

	if (!pt__is_leaf(leaf) || pt__count(leaf) > 1 || !pt__same(pt__says_at(leaf, 0), nothing))
		return;
	pt__open(leaf);
	s->index->levels = 0;
	pt__set(&s->index->root, 0);
	pt__node_drop(s, leaf);
}

/* `kept`: pages of a promise that is no more then. */
static void set(struct pt_extents *index, struct pt_agent *agent, const struct pt_extent *e,
		uint32_t kept)
{
	struct pt__change s = {.index = index};
	struct pt_pages spare = {0, 0};
	struct pt__cursor cursor;

	pt_port_lock(&index->store->lock);
	pt__extents_look(index, e->start, &cursor);
	if (!try(&cursor, e)) {
		if (!pt__get(&index->root))
			begin(&s);
		replace(&s, e, says_of(e));
		end(&s);
	}
	if (kept)
		pt__extents_settle(index, kept, &spare);
	pt_port_unlock(&index->store->lock);
	pt__store_retire(index->store, agent, &s.gone);
	pt__store_give(index->store, agent, &spare);
}

void pt_extents_set(struct pt_extents *index, struct pt_agent *agent, const struct pt_extent *e)
{
	set(index, agent, e, 0);
}

void pt__extents_enter(struct pt_extents *index, struct pt_agent *agent, const struct pt_extent *e)
{
	set(index, agent, e, PT_EXTENT_RESERVE);
}

enum pt_outcome pt_extents_close(struct pt_extents *index, struct pt_agent *agent, uint32_t budget)
{
	struct pt__change s = {.index = index};

	for (; budget && pt__get(&index->root); budget--) {
		unsigned level;

		pt__path_descend(&s, index->units - 1);
		level = s.path.depth - 1;
		pt__node_drop(&s, s.path.node[level]);
		for (; level; level--) {
			pt__node_remove(s.path.node[level - 1], s.path.at[level - 1]);
			if (pt__count(s.path.node[level - 1]))
				break;
			pt__node_drop(&s, s.path.node[level - 1]);
		}
		if (!level) {
			pt__set(&index->root, 0);
			index->levels = 0;
		}
	}
	pt__store_retire(index->store, agent, &s.gone);
	if (pt__get(&index->root))
		return PT_MORE;
	pt__store_give(index->store, agent, &index->stock);
	return PT_OK;
}
