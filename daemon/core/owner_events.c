/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of ownership, and who is told. */
#include "owner_events.h"

#include "call.h"

static void rouse(struct owner_watcher *w)
{
	if (w->asleep)
		call_wake(w->call);
	w->asleep = false;
}

static void rouse_all(struct owner_watch_list *list, const struct owner_events *events)
{
	for (struct owner_watcher *w = list->first; w; w = w->next)
		if (!events || w->events == events)
			rouse(w);
}

void owner_note(struct owner_watch_list *list, struct owner_events *events,
		const struct owner_event *event)
{
	pt_port_lock(&list->lock);
	events->event[++events->seq % LIMIT_OWNER_EVENTS] = *event;
	if (events->watchers)
		rouse_all(list, events);
	pt_port_unlock(&list->lock);
}

static void enter(struct owner_watch_list *list, struct owner_watcher *w)
{
	w->next = list->first;
	w->link = &list->first;
	if (w->next)
		w->next->link = &w->next;
	list->first = w;
	list->count++;
	w->events->watchers++;
}

enum pt_outcome owner_watch_add(struct owner_watch_list *list, struct owner_watcher *w,
				uint64_t seq)
{
	enum pt_outcome o = PT_OK;

	pt_port_lock(&list->lock);
	w->seq = seq ? seq : w->events->seq;
	if (list->count >= LIMIT_OWNER_WATCHERS)
		o = PT_TOO_LARGE;
	else if (w->seq > w->events->seq)
		o = PT_INVALID;
	else
		enter(list, w);
	pt_port_unlock(&list->lock);
	return o;
}

void owner_watch_remove(struct owner_watch_list *list, struct owner_watcher *w)
{
	pt_port_lock(&list->lock);
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	list->count--;
	w->events->watchers--;
	pt_port_unlock(&list->lock);
}

uint32_t owner_watch_wake(struct owner_watch_list *list, const struct owner_events *events)
{
	uint32_t n;

	pt_port_lock(&list->lock);
	rouse_all(list, events);
	n = events ? events->watchers : list->count;
	pt_port_unlock(&list->lock);
	return n;
}

bool owner_watch_next(struct owner_watch_list *list, struct owner_watcher *w,
		      struct owner_event *event, uint64_t *seq, bool *lost)
{
	const struct owner_events *e = w->events;
	bool some;

	pt_port_lock(&list->lock);
	some = w->seq < e->seq;
	w->asleep = !some;
	*lost = some && e->seq - w->seq > LIMIT_OWNER_EVENTS;
	*seq = *lost ? e->seq : w->seq + 1;
	if (some && !*lost)
		*event = e->event[*seq % LIMIT_OWNER_EVENTS];
	pt_port_unlock(&list->lock);
	return some;
}
