/* SPDX-License-Identifier: BSD-2-Clause */
/* The interval map. */
#include "space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cell hole;

size_t space_find(const struct space *s, uint64_t at)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->span[mid].hi < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct cell space_get(const struct space *s, uint64_t at, uint64_t *last)
{
	size_t i = space_find(s, at);

	if (i == s->count || s->span[i].lo > at) {
		*last = i == s->count ? UINT64_MAX : s->span[i].lo - 1;
		return hole;
	}
	*last = s->span[i].hi;
	return cell_after(s->span[i].cell, at - s->span[i].lo);
}

static bool is_same(const struct cell *a, const struct cell *b)
{
	return a->what == b->what && a->at == b->at && a->rights == b->rights &&
	       a->memtype == b->memtype && a->sw == b->sw && a->young == b->young &&
	       a->any_young == b->any_young && a->dbm == b->dbm && a->dirty == b->dirty &&
	       a->any_dirty == b->any_dirty;
}

/* Can `b` be the end of `a`? */
static bool joins(const struct span *a, const struct span *b)
{
	struct cell next = cell_after(a->cell, b->lo - a->lo);

	return a->hi + 1 == b->lo && is_same(&next, &b->cell);
}

static void make_room(struct space *s)
{
	if (s->count + 2 <= s->room)
		return;
	s->room = s->room ? 2 * s->room : 64;
	s->span = realloc(s->span, s->room * sizeof(*s->span));
	if (!s->span)
		abort();
}

/* Puts up to three spans in the place of those from `from` up to `to`. */
static void replace(struct space *s, size_t from, size_t to, const struct span *with, size_t n)
{
	make_room(s);
	memmove(s->span + from + n, s->span + to, (s->count - to) * sizeof(*s->span));
	memcpy(s->span + from, with, n * sizeof(*s->span));
	s->count = s->count + n - (to - from);
}

static void join_at(struct space *s, size_t i)
{
	if (i == 0 || i >= s->count || !joins(&s->span[i - 1], &s->span[i]))
		return;
	s->span[i - 1].hi = s->span[i].hi;
	memmove(s->span + i, s->span + i + 1, (s->count - i - 1) * sizeof(*s->span));
	s->count--;
}

void space_put(struct space *s, uint64_t lo, uint64_t hi, struct cell cell)
{
	size_t from = space_find(s, lo), to = from, n = 0;
	struct span with[3];

	while (to < s->count && s->span[to].lo <= hi)
		to++;
	if (from < to && s->span[from].lo < lo)
		with[n++] = (struct span){s->span[from].lo, lo - 1, s->span[from].cell};
	if (cell.what != HOLE)
		with[n++] = (struct span){lo, hi, cell};
	if (from < to && s->span[to - 1].hi > hi) {
		const struct span *last = &s->span[to - 1];

		with[n++] =
			(struct span){hi + 1, last->hi, cell_after(last->cell, hi + 1 - last->lo)};
	}
	replace(s, from, to, with, n);
	for (size_t i = from + n + 1; i-- > from;)
		join_at(s, i);
}

void space_copy(struct space *to, const struct space *from, uint64_t lo, uint64_t hi)
{
	to->count = 0;
	for (size_t i = space_find(from, lo); i < from->count && from->span[i].lo <= hi; i++) {
		struct span part = from->span[i];

		if (part.lo < lo) {
			part.cell = cell_after(part.cell, lo - part.lo);
			part.lo = lo;
		}
		if (part.hi > hi)
			part.hi = hi;
		make_room(to);
		to->span[to->count++] = part;
	}
}

void space_free(struct space *s)
{
	free(s->span);
	*s = (struct space){0};
}

bool cell_equal(const struct cell *a, const struct cell *b)
{
	if (a->what != b->what || a->at != b->at)
		return false;
	if (a->what != LEAF)
		return true;
	return a->rights == b->rights && a->memtype == b->memtype && a->sw == b->sw &&
	       (a->young == b->young || a->any_young || b->any_young) &&
	       ((a->dbm == b->dbm && a->dirty == b->dirty) || a->any_dirty || b->any_dirty);
}

void cell_print(char *to, size_t room, const struct cell *c)
{
	static const char *const types[] = {"normal", "nc", "device"};

	if (c->what == HOLE)
		snprintf(to, room, "nothing");
	else if (c->what == NOTE)
		snprintf(to, room, "note %#llx", (unsigned long long)c->at);
	else
		snprintf(to, room, "%#llx %s%s%s%s %s sw %u%s%s%s", (unsigned long long)c->at,
			 c->rights & 1 ? "r" : "-", c->rights & 2 ? "w" : "-",
			 c->rights & 4 ? "p" : "-", c->rights & 8 ? "u" : "-",
			 types[c->memtype % 3], c->sw,
			 c->any_young ? " young?"
			 : c->young   ? " young"
				      : "",
			 c->dbm ? " dbm" : "",
			 c->any_dirty ? " dirty?"
			 : c->dirty   ? " dirty"
				      : "");
}
