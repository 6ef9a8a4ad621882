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
	if (!pt__change_row(&cursor, e)) {
		if (!pt__get(&index->root))
			begin(&s);
		replace(&s, e, pt__says_of(e));
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
