/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extent index: changes. All under the store's lock: one writer.
 *
 * Most changes are in one leaf, which alone is open meanwhile. Where nodes split, merge, go, or get
 * another first key, all nodes of the path are open, and readers of the tree start again until it
 * is done: one change in about sixty. A node that is to stay out of the tree is never shut.
 */
#include "node.h"

/* From the root to the leaf of a key. */
struct path {
	pt__word *node[PT_EXTENT_LEVELS];
	uint32_t at[PT_EXTENT_LEVELS]; /* the entry on the way */
	unsigned depth;		       /* 0: to be looked for from the root */
	uint64_t end;		       /* first key behind the leaf's branch */
};

struct set {
	struct pt_extents *index;
	struct path path;
	struct pt_pages gone;
};

static uint64_t key_at(const pt__word *node, uint32_t i)
{
	return pt__get(pt__entry(node, i, pt__width(node)));
}

static pt__word *slot(pt__word *node, uint32_t i)
{
	return node + PT__BODY + i * pt__width(node);
}

static pt__word *leaf_of(const struct set *s)
{
	return s->path.node[s->path.depth - 1];
}

static uint32_t *leaf_at(struct set *s)
{
	return &s->path.at[s->path.depth - 1];
}

static void descend(struct set *s, uint64_t key)
{
	struct path *p = &s->path;
	pt__word *node = pt__words(s->index->store, pt__get(&s->index->root));

	p->depth = 0;
	p->end = s->index->units;
	for (;;) {
		uint32_t count = pt__count(node), width = pt__width(node);
		uint32_t i = pt__rank(node, count, width, key);

		p->node[p->depth] = node;
		p->at[p->depth++] = i - 1;
		if (pt__is_leaf(node))
			return;
		if (i < count)
			p->end = key_at(node, i);
		node = pt__words(s->index->store, pt__get(pt__entry(node, i - 1, width) + 1));
	}
}

/* To the entry that holds for `key`; true: it begins there. */
static bool seek(struct set *s, uint64_t key)
{
	if (s->path.depth && key < s->path.end && key >= key_at(leaf_of(s), 0))
		*leaf_at(s) = pt__rank(leaf_of(s), pt__count(leaf_of(s)), PT__LEAF_WORDS, key) - 1;
	else
		descend(s, key);
	return key_at(leaf_of(s), *leaf_at(s)) == key;
}

static struct pt__says says_at(struct set *s, uint64_t key)
{
	seek(s, key);
	return pt__further(pt__says_at(leaf_of(s), *leaf_at(s)),
			   key - key_at(leaf_of(s), *leaf_at(s)));
}

/* Where the entry that was sought ends. */
static uint64_t end_of(struct set *s)
{
	uint32_t next = *leaf_at(s) + 1;

	return next < pt__count(leaf_of(s)) ? key_at(leaf_of(s), next) : s->path.end;
}

static void open_path(struct set *s)
{
	for (unsigned i = 0; i < s->path.depth; i++)
		pt__open(s->path.node[i]);
}

/* But for those that have gone. The next seek starts at the root. */
static void shut_path(struct set *s)
{
	for (unsigned i = 0; i < s->path.depth; i++)
		if (s->path.node[i])
			pt__shut(s->path.node[i]);
	s->path.depth = 0;
}

static uint64_t offset_of(const struct set *s, const pt__word *node)
{
	const pt__word *first = pt__words(s->index->store, 0);

	return (uint64_t)(node - first) * sizeof(*node);
}

static pt__word *add_node(struct set *s, bool leaf)
{
	pt__word *node =
		pt__words(s->index->store, pt__store_pop(s->index->store, &s->index->stock));

	pt__node_init(node, leaf);
	return node;
}

/* It is open, and stays so. */
static void drop_node(struct set *s, pt__word *node)
{
	pt__store_push(s->index->store, &s->gone, offset_of(s, node));
}

static void add_root(struct set *s, const uint64_t low[2], const uint64_t high[2])
{
	pt__word *root = add_node(s, false);

	pt__node_insert(root, 0, low, 1);
	pt__node_insert(root, 1, high, 1);
	s->index->levels++;
	pt__set(&s->index->root, offset_of(s, root));
}

/* The upper half of a full node becomes a node of its own; `words` go into one of them at `i`. */
static pt__word *halve(struct set *s, pt__word *node, uint32_t i, const uint64_t *words)
{
	pt__word *right = add_node(s, pt__is_leaf(node));
	uint32_t half = pt__count(node) / 2;

	pt__node_move(right, node, half);
	if (i > half)
		pt__node_insert(right, i - half, words, 1);
	else
		pt__node_insert(node, i, words, 1);
	return right;
}

/* An entry of the path's node at `level`; never the first one, so no key above changes. */
static void insert_at(struct set *s, unsigned level, uint32_t i, const uint64_t *words)
{
	uint64_t up[2];

	for (;; level--) {
		pt__word *node = s->path.node[level], *right;

		if (pt__count(node) < pt__room(node)) {
			pt__node_insert(node, i, words, 1);
			return;
		}
		right = halve(s, node, i, words);
		up[0] = key_at(right, 0);
		up[1] = offset_of(s, right);
		if (!level) {
			add_root(s, (uint64_t[2]){key_at(node, 0), offset_of(s, node)}, up);
			return;
		}
		i = s->path.at[level - 1] + 1;
		words = up;
	}
}

static void insert(struct set *s, uint64_t key, struct pt__says says)
{
	const uint64_t words[PT__LEAF_WORDS] = {key, says.who, says.meta, says.id};
	pt__word *leaf;

	seek(s, key);
	leaf = leaf_of(s);
	if (pt__count(leaf) < PT__LEAF_ROOM) {
		pt__open(leaf);
		pt__node_insert(leaf, *leaf_at(s) + 1, words, 1);
		pt__shut(leaf);
		return;
	}
	open_path(s);
	insert_at(s, s->path.depth - 1, *leaf_at(s) + 1, words);
	shut_path(s);
}

/* The node at `level` begins with another key. */
static void first_changed(struct set *s, unsigned level)
{
	uint64_t key = key_at(s->path.node[level], 0);

	while (level--) {
		pt__word *up = s->path.node[level];

		pt__set(slot(up, s->path.at[level]), key);
		if (s->path.at[level])
			return;
	}
}

/* The entry at the path's place at `level` goes. */
static void remove_at(struct set *s, unsigned level, uint32_t i)
{
	pt__node_remove(s->path.node[level], i, 1);
	if (!i && pt__count(s->path.node[level]))
		first_changed(s, level);
}

/* The neighbour of the path's node at `level` that, together with it, fills at most half a node;
 * *left: it stands before it. */
static pt__word *partner(const struct set *s, unsigned level, bool *left)
{
	const pt__word *node = s->path.node[level], *up = s->path.node[level - 1];
	uint32_t at = s->path.at[level - 1];

	for (unsigned side = 0; side < 2; side++) {
		pt__word *other;

		*left = side;
		if (side ? !at : at + 1 >= pt__count(up))
			continue;
		other = pt__words(
			s->index->store,
			pt__get(pt__entry(up, side ? at - 1 : at + 1, PT__INNER_WORDS) + 1));
		if (pt__count(node) + pt__count(other) <= pt__room(node) / 2)
			return other;
	}
	return NULL;
}

/* Is the path's node at `level` one that should not stay by itself? */
static bool is_light(const struct set *s, unsigned level)
{
	const pt__word *node = s->path.node[level];
	bool left;

	if (!level)
		return !pt__is_leaf(node) && pt__count(node) == 1;
	return !pt__count(node) ||
	       (pt__count(node) <= pt__room(node) / 4 && partner(s, level, &left));
}

/* Into its neighbour, or the neighbour into it; an empty node just goes. */
static void merge(struct set *s, unsigned level)
{
	pt__word *node = s->path.node[level], *other;
	uint32_t at = s->path.at[level - 1];
	bool left = true;

	other = pt__count(node) ? partner(s, level, &left) : NULL;
	if (other)
		pt__open(other);
	if (left) {
		if (other) {
			pt__node_move(other, node, 0);
			pt__shut(other);
		}
		s->path.node[level] = NULL;
		drop_node(s, node);
		remove_at(s, level - 1, at);
	} else {
		pt__node_move(node, other, 0);
		drop_node(s, other);
		remove_at(s, level - 1, at + 1);
	}
}

/* A root with one branch gives way to it. */
static void lower(struct set *s)
{
	pt__word *root = s->path.node[0];

	while (!pt__is_leaf(root) && pt__count(root) == 1) {
		uint64_t child = pt__get(pt__entry(root, 0, PT__INNER_WORDS) + 1);

		if (root == s->path.node[0])
			s->path.node[0] = NULL;
		else if (root == s->path.node[1])
			s->path.node[1] = NULL;
		pt__open(root);
		pt__set(&s->index->root, child);
		s->index->levels--;
		drop_node(s, root);
		root = pt__words(s->index->store, child);
	}
}

static void tidy(struct set *s)
{
	for (unsigned level = s->path.depth - 1; level && is_light(s, level); level--)
		merge(s, level);
	lower(s);
}

/* What stands at `key` holds no more: what stands before it goes on. */
static void remove_entry(struct set *s, uint64_t key)
{
	pt__word *leaf;
	unsigned level;

	seek(s, key);
	leaf = leaf_of(s);
	level = s->path.depth - 1;
	if (s->path.at[level]) {
		pt__open(leaf);
		pt__node_remove(leaf, s->path.at[level], 1);
		pt__shut(leaf);
		if (!is_light(s, level))
			return;
		open_path(s);
	} else {
		open_path(s);
		remove_at(s, level, 0);
	}
	tidy(s);
	shut_path(s);
}

static void write(pt__word *at, struct pt__says says)
{
	pt__set(at + 1, says.who);
	pt__set(at + 2, says.meta);
	pt__set(at + 3, says.id);
}

/* What stands at `key` begins at `to` now, where nothing stands from there to here, and says this.
 */
static void move_entry(struct set *s, uint64_t key, uint64_t to, struct pt__says says)
{
	unsigned level;
	pt__word *at;

	seek(s, key);
	level = s->path.depth - 1;
	at = slot(leaf_of(s), s->path.at[level]);
	if (s->path.at[level])
		pt__open(leaf_of(s));
	else
		open_path(s);
	pt__set(at, to);
	write(at, says);
	if (s->path.at[level]) {
		pt__shut(leaf_of(s));
	} else {
		first_changed(s, level);
		shut_path(s);
	}
}

/* From `key` on it says this, up to where something else begins. */
static void put(struct set *s, uint64_t key, struct pt__says says)
{
	if (!seek(s, key)) {
		insert(s, key, says);
		return;
	}
	pt__open(leaf_of(s));
	write(slot(leaf_of(s), *leaf_at(s)), says);
	pt__shut(leaf_of(s));
}

/* How the range ends: does what was there go on behind it, and is an entry needed to say so? */
struct tail {
	struct pt__says was; /* what the index says from the end on */
	bool exact;	     /* an entry stands there */
	bool same;	     /* it says what the new extent would say, if that went on */
};

static struct tail tail_of(struct set *s, const struct pt_extent *e, struct pt__says says)
{
	struct tail t = {.same = true};

	if (e->end == s->index->units)
		return t;
	t.was = says_at(s, e->end);
	t.exact = seek(s, e->end);
	t.same = pt__same(t.was, pt__further(says, e->end - e->start));
	return t;
}

/*
 * No reader sees what is neither old nor new, so what is new spreads from the start upwards: an
 * entry that goes makes what stands before it go on. `from`: the first that may go. The last one is
 * not taken out when an entry is needed at the end, but moved there; so a transition that comes
 * along in steps adds entries at its first step alone.
 */
static void spread(struct set *s, uint64_t from, const struct pt_extent *e, uint64_t moved)
{
	for (;;) {
		uint64_t key = from;

		if (!seek(s, from))
			key = end_of(s);
		if (key >= e->end || key == moved)
			return;
		remove_entry(s, key);
	}
}

static void replace(struct set *s, const struct pt_extent *e, struct pt__says says)
{
	struct tail tail = tail_of(s, e, says);
	bool joins = e->start && pt__same(pt__further(says_at(s, e->start - 1), 1), says);
	uint64_t from = joins ? e->start : e->start + 1, moved = UINT64_MAX;

	if (!tail.exact && !tail.same) {
		seek(s, e->end - 1);
		moved = key_at(leaf_of(s), *leaf_at(s));
		if (moved < from) {
			moved = UINT64_MAX;
			insert(s, e->end, tail.was);
		}
	}
	if (!joins)
		put(s, e->start, says);
	spread(s, from, e, moved);
	if (moved != UINT64_MAX)
		move_entry(s, moved, e->end, tail.was);
	if (tail.exact && tail.same)
		remove_entry(s, e->end);
}

/*
 * Most transitions are of a page, inside of one extent, or of all of one that lies in one leaf
 * between two parts of another: then two entries come, or go, at once.
 */
static bool replace_inside(struct set *s, const struct pt_extent *e, struct pt__says says)
{
	bool begins = seek(s, e->start);
	pt__word *leaf = leaf_of(s);
	uint32_t i = *leaf_at(s), count = pt__count(leaf);
	uint64_t key = key_at(leaf, i);
	struct pt__says was = pt__says_at(leaf, i), after = pt__further(says, e->end - e->start);

	if (begins) {
		uint64_t before = i ? key_at(leaf, i - 1) : 0;

		/* What stands before it and behind it goes on. */
		if (!i || i + 2 > count || count < PT__LEAF_ROOM / 4 + 2 ||
		    key_at(leaf, i + 1) != e->end || !pt__same(pt__says_at(leaf, i + 1), after) ||
		    !pt__same(pt__further(pt__says_at(leaf, i - 1), key - before), says))
			return false;
		pt__open(leaf);
		pt__node_remove(leaf, i, 2);
	} else {
		struct pt__says rest = pt__further(was, e->end - key);
		const uint64_t words[2 * PT__LEAF_WORDS] = {e->start, says.who, says.meta, says.id,
							    e->end,   rest.who, rest.meta, rest.id};

		if (e->end >= end_of(s) || count + 2 > PT__LEAF_ROOM || pt__same(rest, after))
			return false;
		pt__open(leaf);
		pt__node_insert(leaf, i + 1, words, 2);
	}
	pt__shut(leaf);
	return true;
}

/* The first node: all of it is the default. */
static void begin(struct set *s)
{
	const uint64_t words[PT__LEAF_WORDS] = {0};
	pt__word *leaf = add_node(s, true);

	pt__node_insert(leaf, 0, words, 1);
	s->index->levels = 1;
	pt__set(&s->index->root, offset_of(s, leaf));
}

/* The last one goes when there is nothing to say. */
static void end(struct set *s)
{
	const struct pt__says nothing = {0, 0, 0};
	pt__word *leaf = pt__words(s->index->store, pt__get(&s->index->root));

	if (!pt__is_leaf(leaf) || pt__count(leaf) > 1 || !pt__same(pt__says_at(leaf, 0), nothing))
		return;
	pt__open(leaf);
	s->index->levels = 0;
	pt__set(&s->index->root, 0);
	drop_node(s, leaf);
}

void pt_extents_set(struct pt_extents *index, struct pt_agent *agent, const struct pt_extent *e)
{
	const struct pt__says says = {e->owner.kind | (uint64_t)e->state << 4 |
					      (uint64_t)e->owner.handle << 8 | e->owner.gfn << 24,
				      e->meta, e->id};
	struct set s = {.index = index};

	pt_port_lock(&index->store->lock);
	if (!pt__get(&index->root))
		begin(&s);
	if (!replace_inside(&s, e, says)) {
		replace(&s, e, says);
		end(&s);
	}
	pt_port_unlock(&index->store->lock);
	pt__store_retire(index->store, agent, &s.gone);
}

enum pt_outcome pt_extents_close(struct pt_extents *index, struct pt_agent *agent, uint32_t budget)
{
	struct set s = {.index = index};

	for (; budget && pt__get(&index->root); budget--) {
		unsigned level;

		descend(&s, index->units - 1);
		level = s.path.depth - 1;
		drop_node(&s, s.path.node[level]);
		for (; level; level--) {
			pt__node_remove(s.path.node[level - 1], s.path.at[level - 1], 1);
			if (pt__count(s.path.node[level - 1]))
				break;
			drop_node(&s, s.path.node[level - 1]);
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
