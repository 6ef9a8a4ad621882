/* SPDX-License-Identifier: BSD-2-Clause */
/* Who watches contexts, and what they have still to be told. */
#ifndef PTD_DOMAIN_WATCH_H
#define PTD_DOMAIN_WATCH_H

#include "domain_limits.h"
#include "names.h"

#include <pt/platform.h>

struct call;
struct context;
struct domain;

struct watch_event {
	uint64_t handle, machine;
	uint32_t kind; /* Ptd__V1__WatchKind: CREATED, CHANGED or DELETED */
	char name[FULL_NAME];
};

/* One watching call. A ring of events; a full ring is thrown away and one OVERFLOW told instead. */
struct watcher {
	struct watcher *next, *prev;
	struct call *call;
	uint64_t machine;	/* only contexts of this one; 0: all */
	uint64_t listed, bound; /* EXISTING is told up to `listed`, and due up to `bound` */
	uint32_t head, count;
	bool overflowed;
	bool in_hand; /* the first event is being told: what happens now is news again */
	bool asleep;  /* has told all; the next event wakes it */
	struct watch_event event[LIMIT_WATCH_EVENTS];
};

struct watch_list {
	_Atomic uint32_t count;	  /* 0 nearly always: one predicted branch for those who change */
	struct pt_port_lock lock; /* inside domain->lock, if both are held */
	struct watcher *first;
};

/* False: too many watch already. */
bool watch_add(struct watch_list *list, struct watcher *watcher);
void watch_remove(struct watch_list *list, struct watcher *watcher);
/* Wakes everybody, at a drain. */
void watch_wake_all(struct watch_list *list);

/* EXISTING is told up to `handle` from now on; what happens to it comes as an event. */
void watch_listed(struct watch_list *list, struct watcher *watcher, uint64_t handle);

/* Tells all watchers that something happened to `context`. */
void watch_note(struct domain *domain, const struct context *context, uint32_t kind);

/* The next event into *event; false: none, and the next one wakes the call. */
bool watch_next(struct watch_list *list, struct watcher *watcher, struct watch_event *event,
		bool *overflow);
/* The event that watch_next() gave has been sent. */
void watch_sent(struct watch_list *list, struct watcher *watcher, bool overflow);

#endif
