/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index: entries in and out. */
#include "node.h"

static void set_count(pt__word *node, uint32_t count)
{
	pt__set(node + PT__HEAD, (pt__get(node + PT__HEAD) & PT__LEAF) | count);
}

/* Another start, and the slot stays. */
static void set_place(pt__word *leaf, uint32_t i, uint64_t start, uint64_t place)
{
	pt__set(leaf + PT__BODY + i,
		start << PT__SLOT_BITS | (place & ((1u << PT__SLOT_BITS) - 1)));
}

void pt__node_init(pt__word *node, bool leaf)
{
	pt__set(node + PT__HEAD, leaf ? PT__LEAF : 0);
	for (uint32_t i = 0; leaf && i < PT__LEAF_ROOM; i++)
		pt__set(node + PT__BODY + i, i);
}

/* Makes room for `by` words at `at`, before `end`; and closes it. */
static void move_up(const pt__word *at, pt__word *end, uint32_t by)
{
	while (end != at) {
		end--;
		pt__set(end + by, pt__get(end));
	}
}

static void move_down(pt__word *at, const pt__word *end, uint32_t by)
{
	for (; at != end; at++)
		pt__set(at, pt__get(at + by));
}

void pt__says_set(pt__word *leaf, uint32_t i, struct pt__says says)
{
	pt__word *slot = (pt__word *)(uintptr_t)pt__slot(leaf, pt__leaf_place(leaf, i));

	pt__set(slot, says.who);
	pt__set(slot + 1, says.meta);
	pt__set(slot + 2, says.id);
}

void pt__start_set(pt__word *leaf, uint32_t i, uint64_t start)
{
	set_place(leaf, i, start, pt__leaf_place(leaf, i));
}

/* The slots of two places, of which the second may be none. */
struct free {
	uint64_t place[2];
};

static struct free free_at(const pt__word *leaf, uint32_t i)
{
	return (struct free){{pt__leaf_place(leaf, i), pt__leaf_place(leaf, i + 1)}};
}

static void insert_leaf(pt__word *leaf, uint32_t i, const uint64_t *words, uint32_t entries)
{
	uint32_t count = pt__count(leaf);
	struct free free = free_at(leaf, count);

	move_up(leaf + PT__BODY + i, leaf + PT__BODY + count, entries);
	for (uint32_t k = 0; k < entries; k++, words += PT__LEAF_WORDS) {
		set_place(leaf, i + k, words[0], free.place[k]);
		pt__says_set(leaf, i + k, (struct pt__says){words[1], words[2], words[3]});
	}
}

void pt__node_insert(pt__word *node, uint32_t i, const uint64_t *words, uint32_t entries)
{
	uint32_t count = pt__count(node), by = entries * PT__INNER_WORDS;
	pt__word *at = node + PT__BODY + i * PT__INNER_WORDS;

	if (pt__is_leaf(node)) {
		insert_leaf(node, i, words, entries);
	} else {
		move_up(at, node + PT__BODY + count * PT__INNER_WORDS, by);
		for (uint32_t k = 0; k < by; k++)
			pt__set(at + k, words[k]);
	}
	set_count(node, count + entries);
}

static void remove_leaf(pt__word *leaf, uint32_t i, uint32_t entries)
{
	uint32_t count = pt__count(leaf) - entries;
	struct free free = free_at(leaf, i);

	move_down(leaf + PT__BODY + i, leaf + PT__BODY + count, entries);
	for (uint32_t k = 0; k < entries; k++)
		pt__set(leaf + PT__BODY + count + k, free.place[k]);
}

void pt__node_remove(pt__word *node, uint32_t i, uint32_t entries)
{
	uint32_t count = pt__count(node) - entries;

	if (pt__is_leaf(node))
		remove_leaf(node, i, entries);
	else
		move_down(node + PT__BODY + i * PT__INNER_WORDS,
			  node + PT__BODY + count * PT__INNER_WORDS, entries * PT__INNER_WORDS);
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
			pt__word *branch = to + PT__BODY + at * PT__INNER_WORDS;

			pt__set(branch, pt__get(pt__branch(from, k)));
			pt__set(branch + 1, pt__get(pt__branch(from, k) + 1));
		}
	}
	set_count(to, at);
	set_count(from, i);
}
