/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index: entries in and out. */
#include "node.h"

static void set_count(pt__word *node, uint32_t count)
{
	pt__set(node + PT__HEAD, (pt__get(node + PT__HEAD) & PT__LEAF) | count);
}

void pt__inner_key_set(pt__word *node, uint32_t i, uint64_t key)
{
	pt__set(node + PT__KEYS + i, key);
	if (i && i % 16 == 0)
		pt__set(node + PT__BODY + i / 16 - 1, key);
}

/* Entries from `i` on are none any more; those of a leaf keep their slots. */
static void clear(pt__word *node, uint32_t i, uint32_t end)
{
	for (; i < end; i++)
		if (pt__is_leaf(node))
			pt__start_set(node, i, PT__NO_START);
		else
			pt__inner_key_set(node, i, PT__NO_KEY);
}

void pt__node_init(pt__word *node, bool leaf)
{
	pt__set(node + PT__HEAD, leaf ? PT__LEAF : 0);
	for (uint32_t i = 0; leaf && i < PT__LEAF_ROOM; i++)
		pt__set(node + PT__BODY + i, i);
	clear(node, 0, pt__room(node));
	if (!leaf)
		pt__set(node + PT__BODY + 14, PT__NO_KEY); /* no key is the 241st */
}

void pt__says_set(pt__word *leaf, uint32_t i, struct pt__says says)
{
	pt__slot_set(leaf, pt__leaf_place(leaf, i), says);
}

void pt__start_set(pt__word *leaf, uint32_t i, uint64_t start)
{
	pt__place_set(leaf, i, start, pt__leaf_place(leaf, i));
}

void pt__node_insert(pt__word *node, uint32_t i, const uint64_t *words)
{
	uint32_t count = pt__count(node);

	if (pt__is_leaf(node)) {
		uint64_t free = pt__leaf_place(node, count);

		pt__move_up(node + PT__BODY + i, node + PT__BODY + count, 1);
		pt__place_set(node, i, words[0], free);
		pt__slot_set(node, free, (struct pt__says){words[1], words[2], words[3]});
	} else {
		for (uint32_t k = count; k > i; k--)
			pt__inner_key_set(node, k, pt__inner_key(node, k - 1));
		pt__inner_key_set(node, i, words[0]);
		pt__move_up(node + PT__LINKS + i, node + PT__LINKS + count, 1);
		pt__set(node + PT__LINKS + i, words[1]);
	}
	set_count(node, count + 1);
}

void pt__node_remove(pt__word *node, uint32_t i)
{
	uint32_t count = pt__count(node) - 1;

	if (pt__is_leaf(node)) {
		uint64_t free = pt__leaf_place(node, i);

		pt__move_down(node + PT__BODY + i, node + PT__BODY + count, 1);
		pt__place_set(node, count, PT__NO_START, free);
	} else {
		pt__move_down(node + PT__LINKS + i, node + PT__LINKS + count, 1);
		for (; i < count; i++)
			pt__inner_key_set(node, i, pt__inner_key(node, i + 1));
		pt__inner_key_set(node, count, PT__NO_KEY);
	}
	set_count(node, count);
}

void pt__node_move(pt__word *to, pt__word *from, uint32_t i)
{
	uint32_t count = pt__count(from), at = pt__count(to);
	bool leaf = pt__is_leaf(from);

	for (uint32_t k = i; k < count; k++, at++) {
		if (leaf) {
			pt__start_set(to, at, pt__start(from, k));
			pt__says_set(to, at, pt__says_at(from, k));
		} else {
			pt__inner_key_set(to, at, pt__inner_key(from, k));
			pt__set(to + PT__LINKS + at, pt__link(from, k));
		}
	}
	clear(from, i, count);
	set_count(to, at);
	set_count(from, i);
}
