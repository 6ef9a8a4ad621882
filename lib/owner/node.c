/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index: entries in and out. */
#include "node.h"

static void set_count(pt__word *node, uint32_t count)
{
	pt__set(node + PT__HEAD, (pt__get(node + PT__HEAD) & PT__LEAF) | count);
}

static pt__word *words_of(pt__word *node, uint32_t i)
{
	return node + PT__BODY + i * pt__width(node);
}

void pt__node_init(pt__word *node, bool leaf)
{
	pt__set(node + PT__HEAD, leaf ? PT__LEAF : 0);
}

/* Entries are of two words or of four. */
void pt__node_insert(pt__word *node, uint32_t i, const uint64_t *words, uint32_t entries)
{
	uint32_t count = pt__count(node), by = entries * pt__width(node);
	pt__word *at = words_of(node, i);

	for (pt__word *from = words_of(node, count); from != at;) {
		from -= 2;
		pt__set(from + by + 1, pt__get(from + 1));
		pt__set(from + by, pt__get(from));
	}
	for (uint32_t k = 0; k < by; k++)
		pt__set(at + k, words[k]);
	set_count(node, count + entries);
}

void pt__node_remove(pt__word *node, uint32_t i, uint32_t entries)
{
	uint32_t count = pt__count(node) - entries, by = entries * pt__width(node);
	pt__word *end = words_of(node, count);

	for (pt__word *to = words_of(node, i); to != end; to += 2) {
		pt__set(to, pt__get(to + by));
		pt__set(to + 1, pt__get(to + by + 1));
	}
	set_count(node, count);
}

void pt__node_move(pt__word *to, pt__word *from, uint32_t i)
{
	uint32_t count = pt__count(from), already = pt__count(to);
	pt__word *target = words_of(to, already), *end = words_of(from, count);

	for (pt__word *at = words_of(from, i); at != end; at++, target++)
		pt__set(target, pt__get(at));
	set_count(to, already + count - i);
	set_count(from, i);
}
