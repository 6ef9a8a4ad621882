/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes of the extent index: entries in and out. */
#include "node.h"

static void set_count(pt__word *node, uint32_t count)
{
	pt__set(node + PT__HEAD, (pt__get(node + PT__HEAD) & PT__LEAF) | count);
}

/* The first starts of all rows but the first, and the 16th, 32nd .. key, stand twice. */
static void row_first_set(pt__word *leaf, uint32_t r, uint64_t start)
{
	if (r)
		pt__set(leaf + PT__BODY + r - 1, start);
}

void pt__inner_key_set(pt__word *node, uint32_t i, uint64_t key)
{
	pt__set(node + PT__KEYS + i, key);
	if (i && i % 16 == 0)
		pt__set(node + PT__BODY + i / 16 - 1, key);
}

static uint32_t row_count(const pt__word *row)
{
	const pt__word *end = pt__pass_7(row, PT__NO_KEY - 1);

	return (uint32_t)(end - row) + (end == row + 7 && pt__get(end) != PT__NO_KEY);
}

static pt__word *row_at(const pt__word *leaf, uint32_t r)
{
	return (pt__word *)(uintptr_t)(leaf + PT__ROW_FIRST + r * PT__ROW_WORDS);
}

void pt__start_set(pt__word *leaf, uint32_t at, uint64_t start)
{
	struct pt__entry e = pt__leaf_entry(leaf, at);

	pt__set(e.row + e.k, start);
	if (!e.k)
		row_first_set(leaf, e.r, start);
}

void pt__says_set(pt__word *leaf, uint32_t at, struct pt__says says)
{
	struct pt__entry e = pt__leaf_entry(leaf, at);

	pt__row_set(e.row, e.k, pt__get(e.row + e.k), says);
}

/* From the k-th place of row `r` on no entry stands in it. */
static void end_row(pt__word *leaf, uint32_t r, uint32_t k)
{
	if (!k)
		row_first_set(leaf, r, PT__NO_KEY);
	for (; k < PT__ROW_ROOM; k++)
		pt__set(row_at(leaf, r) + k, PT__NO_KEY);
}

void pt__node_init(pt__word *node, bool leaf)
{
	pt__set(node + PT__HEAD, leaf ? PT__LEAF : 0);
	for (uint32_t r = 0; leaf && r < PT__ROWS; r++)
		end_row(node, r, 0);
	for (uint32_t i = 0; !leaf && i <= PT__INNER_ROOM; i++)
		pt__inner_key_set(node, i, PT__NO_KEY);
	if (leaf)
		pt__set(node + PT__BODY + PT__ROWS - 1, PT__NO_KEY);
}

/* An entry to another place. */
static void shift(pt__word *leaf, uint32_t to, uint32_t from)
{
	struct pt__entry e = pt__leaf_entry(leaf, to);

	pt__row_set(e.row, e.k, pt__start(leaf, from), pt__says_at(leaf, from));
}

/* So many in each row, until there are no more: first to the end, without gaps; each goes back from
 * there to a place that none is in any more. */
static void arrange(pt__word *leaf, uint32_t per)
{
	uint32_t count = pt__count(leaf), end = PT__ROWS * PT__ROW_ROOM;

	for (uint32_t r = PT__ROWS; r--;)
		for (uint32_t n = row_count(row_at(leaf, r)); n--;)
			shift(leaf, --end, r * PT__ROW_ROOM + n);
	for (uint32_t i = 0; i < count; i++)
		shift(leaf, i / per * PT__ROW_ROOM + i % per, end + i);
	for (uint32_t r = 0; r < PT__ROWS; r++) {
		uint32_t n = count < per ? count : per;

		if (n)
			row_first_set(leaf, r, pt__get(row_at(leaf, r)));
		end_row(leaf, r, n);
		count -= n;
	}
}

void pt__leaf_spread(pt__word *leaf, bool at_end)
{
	arrange(leaf, at_end ? PT__ROW_ROOM - 1 : (pt__count(leaf) + PT__ROWS - 1) / PT__ROWS);
}

static void insert_leaf(pt__word *leaf, const uint64_t *words)
{
	struct pt__entry e = pt__leaf_find(leaf, words[0]);
	bool first = !pt__count(leaf), end = pt__leaf_next(leaf, e) == PT__NO_KEY;

	if (row_count(e.row) == PT__ROW_ROOM && (!end || e.r + 1 == PT__ROWS)) {
		pt__leaf_spread(leaf, end);
		e = pt__leaf_find(leaf, words[0]);
	}
	e.k += !first;
	if (e.k == PT__ROW_ROOM) {
		e = (struct pt__entry){e.row + PT__ROW_WORDS, e.r + 1, 0};
		row_first_set(leaf, e.r, words[0]);
	}
	for (uint32_t k = row_count(e.row); k > e.k; k--)
		pt__row_set(e.row, k, pt__get(e.row + k - 1), pt__row_says(e.row, k - 1));
	pt__row_set(e.row, e.k, words[0], (struct pt__says){words[1], words[2], words[3]});
}

static void insert_inner(pt__word *node, const uint64_t *words)
{
	uint32_t i = pt__count(node);

	for (; i && pt__inner_key(node, i - 1) > words[0]; i--) {
		pt__inner_key_set(node, i, pt__inner_key(node, i - 1));
		pt__set(node + PT__LINKS + i, pt__link(node, i - 1));
	}
	pt__inner_key_set(node, i, words[0]);
	pt__set(node + PT__LINKS + i, words[1]);
}

void pt__node_insert(pt__word *node, const uint64_t *words)
{
	if (pt__is_leaf(node))
		insert_leaf(node, words);
	else
		insert_inner(node, words);
	set_count(node, pt__count(node) + 1);
}

static void remove_leaf(pt__word *leaf, uint32_t at)
{
	struct pt__entry e = pt__leaf_entry(leaf, at);
	uint32_t n = row_count(e.row) - 1;

	for (uint32_t k = e.k; k < n; k++)
		pt__row_set(e.row, k, pt__get(e.row + k + 1), pt__row_says(e.row, k + 1));
	end_row(leaf, e.r, n);
	if (n && !e.k)
		row_first_set(leaf, e.r, pt__get(e.row));
}

static void remove_inner(pt__word *node, uint32_t i)
{
	uint32_t count = pt__count(node) - 1;

	for (; i < count; i++) {
		pt__inner_key_set(node, i, pt__inner_key(node, i + 1));
		pt__set(node + PT__LINKS + i, pt__link(node, i + 1));
	}
	pt__inner_key_set(node, count, PT__NO_KEY);
}

void pt__node_remove(pt__word *node, uint32_t at)
{
	bool leaf = pt__is_leaf(node);
	struct pt__entry e = pt__leaf_entry(node, at);

	if (leaf)
		remove_leaf(node, at);
	else
		remove_inner(node, at);
	set_count(node, pt__count(node) - 1);
	/* No row is empty before one that is not. */
	if (leaf && !row_count(e.row) && e.r + 1 < PT__ROWS && row_count(e.row + PT__ROW_WORDS))
		pt__leaf_spread(node, false);
}

/* The place of the i-th entry; it is there. */
static uint32_t place_of(const pt__word *leaf, uint32_t i)
{
	uint32_t r = 0, n;

	while (i >= (n = row_count(row_at(leaf, r)))) {
		i -= n;
		r++;
	}
	return r * PT__ROW_ROOM + i;
}

static void move_leaf(pt__word *to, pt__word *from, uint32_t i)
{
	const uint32_t per = PT__ROW_ROOM - 1;
	uint32_t count = pt__count(from), at = pt__count(to);
	struct pt__entry e = pt__leaf_entry(from, place_of(from, i)), end = e;

	arrange(to, per);
	for (; i < count; i++, at++) {
		uint64_t start = pt__get(e.row + e.k);

		pt__row_set(row_at(to, at / per), at % per, start, pt__row_says(e.row, e.k));
		if (at % per == 0)
			row_first_set(to, at / per, start);
		if (++e.k == PT__ROW_ROOM || pt__get(e.row + e.k) == PT__NO_KEY)
			e = (struct pt__entry){e.row + PT__ROW_WORDS, e.r + 1, 0};
	}
	for (; end.r < PT__ROWS; end.r++, end.k = 0)
		end_row(from, end.r, end.k);
}

static void move_inner(pt__word *to, pt__word *from, uint32_t i)
{
	uint32_t count = pt__count(from), at = pt__count(to);

	for (; i < count; i++, at++) {
		pt__inner_key_set(to, at, pt__inner_key(from, i));
		pt__set(to + PT__LINKS + at, pt__link(from, i));
		pt__inner_key_set(from, i, PT__NO_KEY);
	}
}

void pt__node_move(pt__word *to, pt__word *from, uint32_t i)
{
	uint32_t moved = pt__count(from) - i;
	bool leaf = pt__is_leaf(from);

	if (leaf)
		move_leaf(to, from, i);
	else
		move_inner(to, from, i);
	set_count(to, pt__count(to) + moved);
	set_count(from, i);
	if (leaf && i)
		pt__leaf_spread(from, false);
}
