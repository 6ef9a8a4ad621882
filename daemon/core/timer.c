/* SPDX-License-Identifier: BSD-2-Clause */
/* A binary heap of intrusive timers. */
#include "timer.h"

#include <stdlib.h>

static bool before(const struct timer *a, const struct timer *b)
{
	return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void place(struct timers *timers, uint32_t at, struct timer *timer)
{
	timers->heap[at] = timer;
	timer->slot = at + 1;
}

static void sift_up(struct timers *timers, uint32_t at, struct timer *timer)
{
	while (at && before(timer, timers->heap[(at - 1) / 2])) {
		place(timers, at, timers->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(timers, at, timer);
}

static void sift_down(struct timers *timers, uint32_t at, struct timer *timer)
{
	for (;;) {
		uint32_t child = at * 2 + 1;

		if (child >= timers->count)
			break;
		if (child + 1 < timers->count &&
		    before(timers->heap[child + 1], timers->heap[child]))
			child++;
		if (!before(timers->heap[child], timer))
			break;
		place(timers, at, timers->heap[child]);
		at = child;
	}
	place(timers, at, timer);
}

void timers_fini(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}

static bool make_room(struct timers *timers, uint32_t used)
{
	uint32_t room = timers->room ? timers->room * 2 : 64;
	struct timer **heap;

	if (used < timers->room)
		return true;
	heap = realloc(timers->heap, room * sizeof(struct timer *));
	if (!heap)
		return false;
	timers->heap = heap;
	timers->room = room;
	return true;
}

bool timers_claim(struct timers *timers)
{
	if (!make_room(timers, timers->claims))
		return false;
	timers->claims++;
	return true;
}

void timers_release(struct timers *timers)
{
	timers->claims--;
}

bool timer_arm(struct timers *timers, struct timer *timer, uint64_t at_ns)
{
	if (!timer->slot && !make_room(timers, timers->count))
		return false;
	timer_stop(timers, timer);
	timer->at_ns = at_ns;
	timer->order = timers->armed_ever++;
	sift_up(timers, timers->count++, timer);
	return true;
}

void timer_stop(struct timers *timers, struct timer *timer)
{
	uint32_t at = timer->slot;
	struct timer *last;

	if (!at--)
		return;
	timer->slot = 0;
	last = timers->heap[--timers->count];
	if (last == timer)
		return;
	if (at && before(last, timers->heap[(at - 1) / 2]))
		sift_up(timers, at, last);
	else
		sift_down(timers, at, last);
}

struct timer *timers_due(struct timers *timers, uint64_t now_ns)
{
	struct timer *first;

	if (!timers->count || timers->heap[0]->at_ns > now_ns)
		return NULL;
	first = timers->heap[0];
	timer_stop(timers, first);
	return first;
}
