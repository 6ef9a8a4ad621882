/* SPDX-License-Identifier: BSD-2-Clause */
/* The extent index: a change of one row of a leaf, which is what most transitions of a page are. */
#include "node.h"

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

/*
 * Others change one row of a leaf, too: of the entry that holds for the start the first part, the
 * last one, both or none stay; and what is new is an entry of its own, or makes the one before it
 * or behind it longer.
 */
struct splice {
	uint32_t from, to; /* entries of the row that go */
	uint32_t come;
	bool own, rest; /* which */
	struct pt__says after;
};

/* False: it depends on what stands in another row. */
static inline bool splice_of(struct splice *s, struct pt__entry at, const struct pt_extent *e,
			     struct pt__says says, uint64_t next)
{
	uint64_t start = pt__get(at.row + at.k);
	bool joins = false;

	s->from = s->to = at.k + 1;
	if (start == e->start) {
		if (!at.k)
			return false;
		s->from--;
		joins = pt__same(pt__further(pt__row_says(at.row, at.k - 1),
					     start - pt__get(at.row + at.k - 1)),
				 says);
	}
	s->rest = e->end < next;
	if (!s->rest) {
		if (s->to == PT__ROW_ROOM || pt__get(at.row + s->to) != e->end)
			return false;
		s->to +=
			pt__same(pt__row_says(at.row, s->to), pt__further(says, e->end - e->start));
	}
	s->after = pt__further(pt__row_says(at.row, at.k), e->end - start);
	s->own = !joins;
	s->come = (uint32_t)s->own + s->rest;
	return true;
}

/* What stands in the row behind what goes makes room for what comes, or closes up to it. */
static inline void make_way(pt__word *row, const struct splice *s)
{
	uint32_t go = s->to - s->from;

	if (s->come > go) {
		uint32_t up = s->come - go;

		for (uint32_t k = PT__ROW_ROOM - up; k-- > s->to;)
			pt__row_set(row, k + up, pt__get(row + k), pt__row_says(row, k));
	} else if (s->come < go) {
		uint32_t down = go - s->come, k = s->to;

		for (; k < PT__ROW_ROOM; k++)
			pt__row_set(row, k - down, pt__get(row + k), pt__row_says(row, k));
		for (k -= down; k < PT__ROW_ROOM; k++)
			pt__set(row + k, PT__NO_KEY);
	}
}

/* May so many come and go? A leaf that gets light is to be looked at with its neighbours. */
static inline bool fits(const pt__word *row, uint32_t count, const struct splice *s)
{
	uint32_t go = s->to - s->from;

	if (s->come < go)
		return count >= PT__LEAF_ROOM / 4 + 2;
	return s->come == go || (count + 2 <= PT__LEAF_ROOM &&
				 pt__get(row + PT__ROW_ROOM - (s->come - go)) == PT__NO_KEY);
}

/* Where a leaf ends, what it is for does. */
static inline uint64_t end_of(const struct pt__cursor *c, struct pt__entry at)
{
	uint64_t next = pt__leaf_next(c->leaf, at);

	return next != PT__NO_KEY ? next : c->end;
}

static __attribute__((noinline)) bool change_row(const struct pt__cursor *c,
						 const struct pt_extent *e)
{
	const struct pt__says says = pt__says_of(e);
	struct pt__entry at = pt__leaf_find(c->leaf, e->start);
	uint64_t next = end_of(c, at);
	uint32_t count = pt__count(c->leaf);
	struct splice s;

	if (e->end > next || !splice_of(&s, at, e, says, next))
		return false;
	if (pt__same(s.after, pt__further(says, e->end - e->start)))
		return true; /* it says so */
	if (!fits(at.row, count, &s))
		return false;
	pt__open(c->leaf);
	make_way(at.row, &s);
	if (s.own)
		pt__row_set(at.row, s.from, e->start, says);
	if (s.rest)
		pt__row_set(at.row, s.from + s.own, e->end, s.after);
	pt__set(c->leaf + PT__HEAD, PT__LEAF | (count + s.come - (s.to - s.from)));
	pt__shut(c->leaf);
	return true;
}

bool pt__change_row(const struct pt__cursor *c, const struct pt_extent *e)
{
	const struct pt__says says = pt__says_of(e);
	pt__word *leaf = c->leaf;
	struct pt__entry at;
	uint64_t head, start;

	if (!pt__holds(c) || !leaf)
		return false;
	head = pt__get(leaf + PT__HEAD);
	if (!(head & PT__LEAF))
		return false;
	at = pt__leaf_find(leaf, e->start);
	start = pt__get(at.row + at.k);
	if (start == e->start
		    ? join_three(leaf, (uint32_t)head, at, e, says)
		    : e->end < end_of(c, at) && part_in_three(leaf, (uint32_t)head, at, e, says))
		return true;
	return change_row(c, e);
}

bool pt__extents_try(struct pt_extents *index, const struct pt__cursor *cursor,
		     const struct pt_extent *e)
{
	bool done;

	pt_port_lock(&index->store->lock);
	done = pt__change_row(cursor, e);
	pt_port_unlock(&index->store->lock);
	return done;
}
