/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes of the extent index, entry by entry; private to lib/owner. */
#ifndef OWNER_TREE_H
#define OWNER_TREE_H

#include "node.h"

/* From the root to the leaf of a key. */
struct pt__path {
	pt__word *node[PT_EXTENT_LEVELS];
	uint32_t at[PT_EXTENT_LEVELS]; /* the entry on the way */
	unsigned depth;		       /* 0: to be looked for from the root */
	uint64_t end;		       /* first key behind the leaf's branch */
};

/* One change. All under the store's lock: one writer. */
struct pt__change {
	struct pt_extents *index;
	struct pt__path path;
	struct pt_pages gone; /* nodes that left the tree */
};

static inline uint64_t pt__key(const pt__word *node, uint32_t i)
{
	return pt__is_leaf(node) ? pt__start(node, i) : pt__inner_key(node, i);
}

static inline pt__word *pt__path_leaf(const struct pt__change *s)
{
	return s->path.node[s->path.depth - 1];
}

static inline uint32_t *pt__path_at(struct pt__change *s)
{
	return &s->path.at[s->path.depth - 1];
}

/* To the leaf of `key`, from the root. */
void pt__path_descend(struct pt__change *s, uint64_t key);
/* To the entry that holds for `key`; true: it begins there. */
bool pt__seek(struct pt__change *s, uint64_t key);
/* What the index says from `key` on. */
struct pt__says pt__path_says(struct pt__change *s, uint64_t key);
/* Where the entry that was sought ends. */
uint64_t pt__path_end(struct pt__change *s);

/* An entry for `key`, where none begins. */
void pt__entry_insert(struct pt__change *s, uint64_t key, struct pt__says says);
/* What begins at `key`, not 0, holds no more: what stands before it goes on. */
void pt__entry_remove(struct pt__change *s, uint64_t key);
/* What begins at `key` begins at `to` now, where nothing begins from there to here, and says this.
 */
void pt__entry_move(struct pt__change *s, uint64_t key, uint64_t to, struct pt__says says);
/* From `key` on it says this, up to where something else begins. */
void pt__entry_put(struct pt__change *s, uint64_t key, struct pt__says says);

/* A node out of the stock; and one that has left the tree, open. */
pt__word *pt__node_add(struct pt__change *s, bool leaf);
void pt__node_drop(struct pt__change *s, pt__word *node);
uint64_t pt__node_offset(const struct pt__change *s, const pt__word *node);

#endif
