/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of a run in its middle, so that another run with the same beginning need not play that
 * again: what a run changes stands in one section (IV_RUN), in the checker's arena, in the tables
 * that it wrote to, and on the stacks of its fibres.
 */
#include "iv.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOTS 128

static struct snapshot {
	unsigned char *bytes;
	size_t used, room, arena;
	struct iv_mark mark;
} taken[SNAPSHOTS];
static unsigned count;

extern unsigned char __start_iv_run[], __stop_iv_run[];

static void put(struct snapshot *s, const void *from, size_t bytes)
{
	if (s->used + bytes > s->room) {
		s->room = 2 * (s->used + bytes);
		s->bytes = realloc(s->bytes, s->room);
		if (!s->bytes)
			abort();
	}
	memcpy(s->bytes + s->used, from, bytes);
	s->used += bytes;
}

static void get(const struct snapshot *s, size_t *at, void *to, size_t bytes)
{
	memcpy(to, s->bytes + *at, bytes);
	*at += bytes;
}

void iv_snapshots_drop(unsigned depth)
{
	while (count && taken[count - 1].mark.depth > depth)
		count--;
}

void iv_snapshots_drop_all(void)
{
	count = 0;
}

const struct iv_mark *iv_snapshot_last(void)
{
	return count ? &taken[count - 1].mark : NULL;
}

static void save(struct snapshot *s)
{
	s->used = 0;
	put(s, __start_iv_run, (size_t)(__stop_iv_run - __start_iv_run));
	s->arena = iv_watch_arena_used();
	put(s, iv_watch_arena(), s->arena);
	for (unsigned p = 0; p < IV_PAGES; p++)
		if (iv_world_touched(p))
			put(s, iv_tables + (p << PT_POOL_UNIT_SHIFT), 1u << PT_POOL_UNIT_SHIFT);
	for (unsigned f = 0; f < IV_FIBRES; f++)
		put(s, iv_fibre_stack(f), iv_fibre_stack_used(f));
}

void iv_snapshot_take(const struct iv_mark *mark)
{
	struct snapshot *s = &taken[count];

	if (count == SNAPSHOTS)
		return;
	s->mark = *mark;
	save(s);
	count++;
}

/* The section first: it says what of the rest there is. */
void iv_snapshot_restore(void)
{
	const struct snapshot *s = &taken[count - 1];
	size_t at = 0;

	iv_world_reset();
	get(s, &at, __start_iv_run, (size_t)(__stop_iv_run - __start_iv_run));
	get(s, &at, iv_watch_arena(), s->arena);
	for (unsigned p = 0; p < IV_PAGES; p++)
		if (iv_world_touched(p))
			get(s, &at, iv_tables + (p << PT_POOL_UNIT_SHIFT),
			    1u << PT_POOL_UNIT_SHIFT);
	for (unsigned f = 0; f < IV_FIBRES; f++)
		get(s, &at, iv_fibre_stack(f), iv_fibre_stack_used(f));
}
