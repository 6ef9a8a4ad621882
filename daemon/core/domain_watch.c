/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watchers of contexts: bounded queues that coalesce.
 *
 * A change is told once, however many there were since the last telling; a watcher whose ring is
 * full loses the ring and learns so by one OVERFLOW. `asleep` makes one wake out of many events.
 */
#include "domain_types.h"

#include <string.h>

#include "ptd/v1/context.pb-c.h"

#define MAX_WATCHERS 1024

bool watch_add(struct watch_list *list, struct watcher *watcher)
{
	bool room;

	pt_port_lock(&list->lock);
	room = list->count < MAX_WATCHERS;
	if (room) {
		watcher->prev = NULL;
		watcher->next = list->first;
		if (list->first)
			list->first->prev = watcher;
		list->first = watcher;
		list->count++;
	}
	pt_port_unlock(&list->lock);
	return room;
}

void watch_remove(struct watch_list *list, struct watcher *watcher)
{
	pt_port_lock(&list->lock);
	if (watcher->prev)
		watcher->prev->next = watcher->next;
	else
		list->first = watcher->next;
	if (watcher->next)
		watcher->next->prev = watcher->prev;
	list->count--;
	pt_port_unlock(&list->lock);
}

static void rouse(struct watcher *w)
{
	if (!w->asleep)
		return;
	w->asleep = false;
	call_wake(w->call);
}

void watch_wake_all(struct watch_list *list)
{
	pt_port_lock(&list->lock);
	for (struct watcher *w = list->first; w; w = w->next)
		rouse(w);
	pt_port_unlock(&list->lock);
}

void watch_listed(struct watch_list *list, struct watcher *watcher, uint64_t handle)
{
	pt_port_lock(&list->lock);
	watcher->listed = handle;
	pt_port_unlock(&list->lock);
}

static bool concerned(const struct watcher *w, const struct context *c)
{
	if (w->machine && w->machine != c->machine->handle)
		return false;
	/* The listing still comes to it, or finds it gone. */
	return c->handle <= w->listed || c->handle > w->bound;
}

static bool told_already(const struct watcher *w, const struct context *c, uint32_t kind)
{
	if (kind != PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED)
		return false;
	for (uint32_t i = w->in_hand; i < w->count; i++)
		if (w->event[(w->head + i) % LIMIT_WATCH_EVENTS].handle == c->handle)
			return true;
	return false;
}

static void enqueue(struct watcher *w, const struct context *c, uint32_t kind)
{
	struct watch_event *e;

	if (!concerned(w, c) || w->overflowed || told_already(w, c, kind))
		return;
	if (w->count == LIMIT_WATCH_EVENTS) {
		w->overflowed = true;
		w->count = 0;
	} else {
		e = &w->event[(w->head + w->count++) % LIMIT_WATCH_EVENTS];
		e->handle = c->handle;
		e->machine = c->machine->handle;
		e->kind = kind;
		memcpy(e->name, c->by_name.name, sizeof(e->name));
	}
	rouse(w);
}

void watch_note(struct domain *domain, const struct context *context, uint32_t kind)
{
	struct watch_list *list = &domain->watchers;

	if (likely(!atomic_load_explicit(&list->count, memory_order_relaxed)))
		return;
	pt_port_lock(&list->lock);
	for (struct watcher *w = list->first; w; w = w->next)
		enqueue(w, context, kind);
	pt_port_unlock(&list->lock);
}

bool watch_next(struct watch_list *list, struct watcher *watcher, struct watch_event *event,
		bool *overflow)
{
	bool some;

	pt_port_lock(&list->lock);
	*overflow = watcher->overflowed;
	some = watcher->count || watcher->overflowed;
	if (watcher->count)
		*event = watcher->event[watcher->head];
	watcher->in_hand = watcher->count != 0;
	watcher->asleep = !some;
	pt_port_unlock(&list->lock);
	return some;
}

void watch_sent(struct watch_list *list, struct watcher *watcher, bool overflow)
{
	pt_port_lock(&list->lock);
	watcher->in_hand = false;
	if (overflow) {
		watcher->overflowed = false;
	} else if (watcher->count) {
		watcher->head = (watcher->head + 1) % LIMIT_WATCH_EVENTS;
		watcher->count--;
	}
	pt_port_unlock(&list->lock);
}
