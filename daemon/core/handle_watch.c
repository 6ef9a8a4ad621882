/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ContextService.WatchContexts: EXISTING for each context that was there, SYNCED, then events.
 *
 * The watcher is registered before the listing begins, with the newest handle of that moment as its
 * bound: older contexts are listed, newer ones come as events, each exactly once.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "registry.h"

#include <stdlib.h>

struct watch {
	struct watcher watcher;
	uint64_t seq;
	bool synced;
	void *room; /* a message, reused: a stream may outlive any arena */
	size_t room_bytes;
};

static void *from_room(void *arg, size_t bytes)
{
	struct watch *w = arg;
	void *room;

	if (bytes <= w->room_bytes)
		return w->room;
	room = realloc(w->room, bytes);
	if (!room)
		return NULL;
	w->room = room;
	w->room_bytes = bytes;
	return room;
}

/* False: the peer is slow; the same again later. */
static bool tell(struct call *call, struct watch *w, Ptd__V1__WatchKind kind,
		 Ptd__V1__Context *context)
{
	Ptd__V1__WatchContextsResponse r;

	ptd__v1__watch_contexts_response__init(&r);
	r.seq = w->seq + 1;
	r.kind = kind;
	r.context = context;
	if (!call_send(call, &r.base))
		return false;
	w->seq++;
	return true;
}

static bool list_existing(struct call *call, struct watch *w)
{
	struct watcher *watcher = &w->watcher;
	struct machine *m = watcher->machine ? peek_machine(call, watcher->machine) : NULL;
	uint64_t listed = watcher->listed;
	struct context *c;

	while ((m || !watcher->machine) && (c = registry_list_next(call->domain, m, watcher))) {
		if (!tell(call, w, PTD__V1__WATCH_KIND__WATCH_KIND_EXISTING,
			  context_message(c, from_room, w))) {
			watch_listed(&call->domain->watchers, watcher, listed);
			return false;
		}
		listed = c->handle;
	}
	w->synced = tell(call, w, PTD__V1__WATCH_KIND__WATCH_KIND_SYNCED, NULL);
	return w->synced;
}

/* What is left to say of a context that is gone. */
static Ptd__V1__Context *epitaph(Ptd__V1__Context *to, struct watch_event *e)
{
	ptd__v1__context__init(to);
	to->name = e->name;
	to->handle = e->handle;
	to->machine = e->machine;
	return to;
}

static bool tell_event(struct call *call, struct watch *w, struct watch_event *e)
{
	bool deleted = e->kind == PTD__V1__WATCH_KIND__WATCH_KIND_DELETED;
	struct context *c = deleted ? NULL : peek_context(call, e->handle);
	Ptd__V1__Context gone, *message = c ? context_message(c, from_room, w) : NULL;

	if (!message)
		message = epitaph(&gone, e);
	return tell(call, w, (Ptd__V1__WatchKind)e->kind, message);
}

static bool tell_events(struct call *call, struct watch *w)
{
	struct watch_list *list = &call->domain->watchers;
	struct watch_event event;
	bool overflow, sent;

	while (watch_next(list, &w->watcher, &event, &overflow)) {
		sent = overflow ? tell(call, w, PTD__V1__WATCH_KIND__WATCH_KIND_OVERFLOW, NULL)
				: tell_event(call, w, &event);
		if (!sent)
			return false;
		watch_sent(list, &w->watcher, overflow);
	}
	return true;
}

static enum call_result begin(struct call *call)
{
	const Ptd__V1__WatchContextsRequest *q = (const void *)call->request;
	struct domain *d = call->domain;
	struct watch *w;
	bool room;

	if (q->machine && !find_machine(call, q->machine, "machine"))
		return CALL_DONE;
	w = calloc(1, sizeof(*w));
	if (!w)
		return call_fail(call, PT_NO_MEMORY, NULL);
	w->watcher.call = call;
	w->watcher.machine = q->machine;
	pt_port_lock(&d->lock); /* no context is born between the bound and the registration */
	w->watcher.bound = d->last_handle | (uint64_t)(uint16_t)d->config.epoch << 48;
	room = watch_add(&d->watchers, &w->watcher);
	pt_port_unlock(&d->lock);
	if (!room) {
		free(w);
		return call_fail(call, PT_TOO_LARGE, "too many watch already");
	}
	call->state = w;
	return CALL_MORE;
}

static enum call_result end(struct call *call)
{
	struct watch *w = call->state;

	if (!w)
		return CALL_DONE;
	watch_remove(&call->domain->watchers, &w->watcher);
	free(w->room);
	free(w);
	call->state = NULL;
	return CALL_DONE;
}

enum call_result context_watch(struct call *call)
{
	struct watch *w;

	if (!call->state && begin(call) != CALL_MORE)
		return CALL_DONE;
	w = call->state;
	if (domain_draining(call->domain)) {
		end(call);
		return call_fail(call, PT_DRAINING, NULL);
	}
	if (!w->synced && !list_existing(call, w))
		return CALL_STREAM;
	tell_events(call, w);
	return CALL_STREAM;
}

enum call_result context_watch_abandon(struct call *call)
{
	return end(call);
}
