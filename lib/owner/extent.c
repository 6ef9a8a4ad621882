/* SPDX-License-Identifier: BSD-2-Clause */
/* The extent index: lookups without a lock, reservations. */
#include "node.h"

static void fill(struct pt_extent *out, uint64_t start, uint64_t end, struct pt__says s)
{
	*out = (struct pt_extent){
		.start = start,
		.end = end,
		.owner = {.kind = s.who & 0xf,
			  .handle = (uint16_t)(s.who >> 8),
			  .gfn = s.who >> 24},
		.state = s.who >> 4 & 0xf,
		.meta = s.meta,
		.id = s.id,
	};
}

/* A cursor that does not hold: no link is odd. */
static bool nowhere(const struct pt_extents *index, struct pt__cursor *cursor)
{
	*cursor = (struct pt__cursor){.guard = &index->root, .seen = UINT64_MAX};
	return false;
}

/*
 * At each node: its number is even, and its parent still as it was after that number was read; so
 * at that moment the node was the one for this key, and as long as the number stays it says what it
 * said then. `end` comes from where the key's branch ends in the nodes on the way: since their
 * numbers were compared, extents may only have grown there. The leaf is not looked at: `levels` may
 * be of another moment, and it may be none.
 */
bool pt__extents_look(const struct pt_extents *index, uint64_t unit, struct pt__cursor *cursor)
{
	pt__word *first = pt__words(index->store, 0), *node;
	uint32_t levels = atomic_load_explicit(&index->levels, memory_order_relaxed);
	const pt__word *guard = &index->root;
	uint64_t seen = pt__get(guard), off = seen, end = index->units;

	if (!off)
		levels = 0;
	for (node = first + off / sizeof(*node); levels > 1; levels--) {
		uint64_t seq = pt__get(node + PT__SEQ), head = pt__get(node + PT__HEAD);
		const pt__word *at;

		if (seq & 1 || head & PT__LEAF || pt__get(guard) != seen)
			return nowhere(index, cursor);
		at = pt__inner_find(node, unit);
		if (pt__get(at + 1) != PT__NO_KEY)
			end = pt__get(at + 1);
		off = pt__get(at + (PT__LINKS - PT__KEYS));
		/* Before it is followed: what was read is a link, and not the rest of one. */
		if (pt__get(node + PT__SEQ) != seq)
			return nowhere(index, cursor);
		guard = node;
		seen = seq;
		node = first + off / sizeof(*node);
	}
	if (off) {
		/* Head, and starts that stand twice: where the row is. */
		pt__fetch(node);
		pt__fetch(node + 8);
	}
	*cursor = (struct pt__cursor){off ? node : NULL, guard, seen, end};
	return true;
}

void pt__extents_fetch(const struct pt__cursor *cursor, uint64_t unit)
{
	const pt__word *row;

	if (!cursor->leaf)
		return;
	row = pt__leaf_row(cursor->leaf, unit).row;
	for (uint32_t i = 0; i < PT__ROW_WORDS; i += 8)
		pt__fetch_to_write(row + i);
}

/* One try. */
static bool find(const struct pt_extents *index, uint64_t unit, struct pt_extent *out)
{
	struct pt__cursor cursor;
	uint64_t seq, head, start, end;
	struct pt__says says;
	struct pt__entry e;

	if (!pt__extents_look(index, unit, &cursor))
		return false;
	if (!cursor.leaf) {
		fill(out, 0, cursor.end, (struct pt__says){0, 0, 0});
		return true;
	}
	seq = pt__get(cursor.leaf + PT__SEQ);
	head = pt__get(cursor.leaf + PT__HEAD);
	if (seq & 1 || !(head & PT__LEAF) || !pt__holds(&cursor))
		return false;
	e = pt__leaf_row(cursor.leaf, unit);
	pt__fetch(e.row + 8);
	pt__fetch(e.row + 16);
	pt__fetch(e.row + 24);
	pt__row_find(&e, unit);
	start = pt__get(e.row + e.k);
	end = pt__leaf_next(cursor.leaf, e);
	says = pt__row_says(e.row, e.k);
	if (pt__get(cursor.leaf + PT__SEQ) != seq)
		return false;
	fill(out, start, end != PT__NO_KEY ? end : cursor.end, says);
	return true;
}

enum pt_outcome pt_extents_find(const struct pt_extents *index, uint64_t unit,
				struct pt_extent *out)
{
	if (unit >= index->units)
		return PT_OUT_OF_RANGE;
	while (!find(index, unit, out))
		pt_port_relax();
	return PT_OK;
}

void pt_extents_init(struct pt_extents *index, struct pt_store *store, uint64_t units)
{
	*index = (struct pt_extents){.store = store, .units = units};
}

/* Can the tree not become higher, and its root be full before `promised` pages are used? No pool
 * has the nodes for that. */
static bool at_its_end(const struct pt_extents *index, uint64_t promised)
{
	uint64_t entries = 2 * (promised / PT_EXTENT_RESERVE);

	return index->levels == PT_EXTENT_LEVELS &&
	       pt__count(pt__words(index->store, pt__get(&index->root))) + entries > PT__INNER_ROOM;
}

/* Puts *more into the stock, and promises `pages` of it if there are so many that nobody else was
 * promised. PT_MORE: *missing says how many it takes. What is in stock is never less than what is
 * promised and was not used. */
static enum pt_outcome promise(struct pt_extents *index, uint32_t pages, struct pt_pages *more,
			       uint32_t *missing)
{
	struct pt_pool *pool = &index->store->machine->world->pool;
	enum pt_outcome outcome = PT_OK;
	uint32_t want;

	pt_port_lock(&index->store->lock);
	while (more->count)
		pt_pages_push(pool, &index->stock, pt_pages_pop(pool, more));
	want = index->promised + pages;
	if (at_its_end(index, want)) {
		outcome = PT_NO_MEMORY;
	} else if (index->stock.count < want) {
		*missing = want - index->stock.count;
		outcome = PT_MORE;
	} else {
		index->promised = want;
	}
	pt_port_unlock(&index->store->lock);
	return outcome;
}

void pt__extents_settle(struct pt_extents *index, uint32_t kept, struct pt_pages *spare)
{
	uint32_t keep;

	index->promised -= kept;
	keep = index->promised;
	if (keep || pt__get(&index->root))
		keep += PT_EXTENT_RESERVE;
	while (index->stock.count > keep)
		pt__store_push(index->store, spare, pt__store_pop(index->store, &index->stock));
}

static void settle(struct pt_extents *index, struct pt_agent *agent, uint32_t kept)
{
	struct pt_pages spare = {0, 0};

	pt_port_lock(&index->store->lock);
	pt__extents_settle(index, kept, &spare);
	pt_port_unlock(&index->store->lock);
	pt__store_give(index->store, agent, &spare);
}

enum pt_outcome pt_extents_reserve(struct pt_extents *index, struct pt_agent *agent, uint32_t sets)
{
	struct pt_pages more = {0, 0};
	enum pt_outcome outcome;
	uint32_t missing;

	while ((outcome = promise(index, sets * PT_EXTENT_RESERVE, &more, &missing)) == PT_MORE) {
		outcome = pt__store_take(index->store, agent, missing, &more);
		if (outcome != PT_OK)
			break;
	}
	if (outcome != PT_OK)
		settle(index, agent, 0);
	return outcome;
}

void pt_extents_release(struct pt_extents *index, struct pt_agent *agent, uint32_t sets)
{
	settle(index, agent, sets * PT_EXTENT_RESERVE);
}
