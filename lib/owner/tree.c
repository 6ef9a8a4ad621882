/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extent index as a B+tree: entries in and out.
 *
 * Most changes are in one leaf, which alone is open meanwhile. Where nodes split, merge, go, or get
 * another first key, all nodes of the path are open, and readers of the tree start again until it
 * is done: one change in about sixty. A node that has left the tree is never shut.
 */
#include "tree.h"

void pt__path_descend(struct pt__change *s, uint64_t key)
{
	struct pt__path *p = &s->path;
	pt__word *node = pt__words(s->index->store, pt__get(&s->index->root));

	p->depth = 0;
	p->end = s->index->units;
	for (;;) {
		bool leaf = pt__is_leaf(node);
		uint32_t i = leaf ? pt__leaf_at(node, key) : pt__inner_at(node, key);

		p->node[p->depth] = node;
		p->at[p->depth++] = i;
		if (leaf)
			return;
		if (pt__inner_key(node, i + 1) != PT__NO_KEY)
			p->end = pt__inner_key(node, i + 1);
		node = pt__words(s->index->store, pt__link(node, i));
	}
}

bool pt__seek(struct pt__change *s, uint64_t key)
{
	if (s->path.depth && key < s->path.end && key >= pt__key(pt__path_leaf(s), 0))
		*pt__path_at(s) = pt__leaf_at(pt__path_leaf(s), key);
	else
		pt__path_descend(s, key);
	return pt__key(pt__path_leaf(s), *pt__path_at(s)) == key;
}

struct pt__says pt__path_says(struct pt__change *s, uint64_t key)
{
	pt__seek(s, key);
	return pt__further(pt__says_at(pt__path_leaf(s), *pt__path_at(s)),
			   key - pt__key(pt__path_leaf(s), *pt__path_at(s)));
}

uint64_t pt__path_end(struct pt__change *s)
{
	const pt__word *leaf = pt__path_leaf(s);
	uint64_t next = pt__leaf_next(leaf, pt__leaf_entry(leaf, *pt__path_at(s)));

	return next != PT__NO_KEY ? next : s->path.end;
}

static void open_path(struct pt__change *s)
{
	for (unsigned i = 0; i < s->path.depth; i++)
		pt__open(s->path.node[i]);
}

/* But for those that have gone. The next seek starts at the root. */
static void shut_path(struct pt__change *s)
{
	for (unsigned i = 0; i < s->path.depth; i++)
		if (s->path.node[i])
			pt__shut(s->path.node[i]);
	s->path.depth = 0;
}

uint64_t pt__node_offset(const struct pt__change *s, const pt__word *node)
{
	const pt__word *first = pt__words(s->index->store, 0);

	return (uint64_t)(node - first) * sizeof(*node);
}

pt__word *pt__node_add(struct pt__change *s, bool leaf)
{
	pt__word *node =
		pt__words(s->index->store, pt__store_pop(s->index->store, &s->index->stock));

	pt__node_init(node, leaf);
	return node;
}

/* It is open, and stays so. */
void pt__node_drop(struct pt__change *s, pt__word *node)
{
	pt__store_push(s->index->store, &s->gone, pt__node_offset(s, node));
}

static void add_root(struct pt__change *s, const uint64_t low[2], const uint64_t high[2])
{
	pt__word *root = pt__node_add(s, false);

	pt__node_insert(root, low);
	pt__node_insert(root, high);
	s->index->levels++;
	pt__set(&s->index->root, pt__node_offset(s, root));
}

/* The upper half of a full node becomes a node of its own; `words` go into one of them. */
static pt__word *halve(struct pt__change *s, pt__word *node, const uint64_t *words)
{
	pt__word *right = pt__node_add(s, pt__is_leaf(node));

	pt__node_move(right, node, pt__count(node) / 2);
	pt__node_insert(words[0] < pt__key(right, 0) ? node : right, words);
	return right;
}

/* An entry of the path's node at `level`; never the first one, so no key above changes. */
static void insert_at(struct pt__change *s, unsigned level, const uint64_t *words)
{
	uint64_t up[2];

	for (;; level--) {
		pt__word *node = s->path.node[level], *right;

		if (pt__count(node) < pt__room(node)) {
			pt__node_insert(node, words);
			return;
		}
		right = halve(s, node, words);
		up[0] = pt__key(right, 0);
		up[1] = pt__node_offset(s, right);
		if (!level) {
			add_root(s, (uint64_t[2]){pt__key(node, 0), pt__node_offset(s, node)}, up);
			return;
		}
		words = up;
	}
}

void pt__entry_insert(struct pt__change *s, uint64_t key, struct pt__says says)
{
	const uint64_t words[PT__LEAF_WORDS] = {key, says.who, says.meta, says.id};
	pt__word *leaf;

	pt__seek(s, key);
	leaf = pt__path_leaf(s);
	if (pt__count(leaf) < PT__LEAF_ROOM) {
		pt__open(leaf);
		pt__node_insert(leaf, words);
		pt__shut(leaf);
		return;
	}
	open_path(s);
	insert_at(s, s->path.depth - 1, words);
	shut_path(s);
}

/* The node at `level` begins with another key. */
static void first_changed(struct pt__change *s, unsigned level)
{
	uint64_t key = pt__key(s->path.node[level], 0);

	while (level--) {
		pt__word *up = s->path.node[level];

		pt__inner_key_set(up, s->path.at[level], key);
		if (s->path.at[level])
			return;
	}
}

/* The entry at the path's place at `level` goes. */
static void remove_at(struct pt__change *s, unsigned level, uint32_t i)
{
	pt__node_remove(s->path.node[level], i);
	if (!i && pt__count(s->path.node[level]))
		first_changed(s, level);
}

/* The neighbour of the path's node at `level` that, together with it, fills at most half a node;
 * *left: it stands before it. */
static pt__word *partner(const struct pt__change *s, unsigned level, bool *left)
{
	const pt__word *node = s->path.node[level], *up = s->path.node[level - 1];
	uint32_t at = s->path.at[level - 1];

	for (unsigned side = 0; side < 2; side++) {
		pt__word *other;

		*left = side;
		if (side ? !at : at + 1 >= pt__count(up))
			continue;
		other = pt__words(s->index->store, pt__link(up, side ? at - 1 : at + 1));
		if (pt__count(node) + pt__count(other) <= pt__room(node) / 2)
			return other;
	}
	return NULL;
}

/* Is the path's node at `level` one that should not stay by itself? */
static bool is_light(const struct pt__change *s, unsigned level)
{
	const pt__word *node = s->path.node[level];
	bool left;

	if (!level)
		return !pt__is_leaf(node) && pt__count(node) == 1;
	return !pt__count(node) ||
	       (pt__count(node) <= pt__room(node) / 4 && partner(s, level, &left));
}

/* Into its neighbour, or the neighbour into it; an empty node just goes. */
static void merge(struct pt__change *s, unsigned level)
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
		pt__node_drop(s, node);
		remove_at(s, level - 1, at);
	} else {
		pt__node_move(node, other, 0);
		pt__node_drop(s, other);
		remove_at(s, level - 1, at + 1);
	}
}

/* A root with one branch gives way to it. */
static void lower(struct pt__change *s)
{
	pt__word *root = s->path.node[0];

	while (!pt__is_leaf(root) && pt__count(root) == 1) {
		uint64_t child = pt__link(root, 0);

		for (unsigned i = 0; i < s->path.depth; i++)
			if (s->path.node[i] == root)
				s->path.node[i] = NULL;
		pt__open(root);
		pt__set(&s->index->root, child);
		s->index->levels--;
		pt__node_drop(s, root);
		root = pt__words(s->index->store, child);
	}
}

static void tidy(struct pt__change *s)
{
	for (unsigned level = s->path.depth - 1; level && is_light(s, level); level--)
		merge(s, level);
	lower(s);
}

/* What stands at `key` holds no more: what stands before it goes on. */
void pt__entry_remove(struct pt__change *s, uint64_t key)
{
	pt__word *leaf;
	unsigned level;

	pt__seek(s, key);
	leaf = pt__path_leaf(s);
	level = s->path.depth - 1;
	if (s->path.at[level]) {
		pt__open(leaf);
		pt__node_remove(leaf, s->path.at[level]);
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

/* What stands at `key` begins at `to` now, where nothing stands from there to here, and says this.
 */
void pt__entry_move(struct pt__change *s, uint64_t key, uint64_t to, struct pt__says says)
{
	unsigned level;

	pt__seek(s, key);
	level = s->path.depth - 1;
	if (s->path.at[level])
		pt__open(pt__path_leaf(s));
	else
		open_path(s);
	pt__start_set(pt__path_leaf(s), s->path.at[level], to);
	pt__says_set(pt__path_leaf(s), s->path.at[level], says);
	if (s->path.at[level]) {
		pt__shut(pt__path_leaf(s));
	} else {
		first_changed(s, level);
		shut_path(s);
	}
}

/* From `key` on it says this, up to where something else begins. */
void pt__entry_put(struct pt__change *s, uint64_t key, struct pt__says says)
{
	if (!pt__seek(s, key)) {
		pt__entry_insert(s, key, says);
		return;
	}
	pt__open(pt__path_leaf(s));
	pt__says_set(pt__path_leaf(s), *pt__path_at(s), says);
	pt__shut(pt__path_leaf(s));
}
