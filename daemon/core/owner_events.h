/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has become of a machine's frames lately, for who watches: a ring of events, numbered from 1
 * on. A watcher is a place in it; one that falls behind learns that it did.
 */
#ifndef PTD_OWNER_EVENTS_H
#define PTD_OWNER_EVENTS_H

#include "domain_limits.h"

#include <pt/owner_store.h>

struct call;
struct domain;

/* Frames that follow each other: what they were and are. */
struct owner_event {
	uint32_t kind; /* Ptd__V1__TransferKind */
	bool mixed;    /* what the first page was or is; others differ */
	uint32_t before_borrowers, after_borrowers; /* of the first page */
	uint64_t before_context, after_context;	    /* of the owner; 0: it has none */
	struct pt_extent before, after;		    /* of these frames alone, in units */
};

/* Of one machine; under the lock of the domain's list of watchers. */
struct owner_events {
	uint64_t seq; /* of the newest; 0: none yet */
	uint32_t watchers;
	struct owner_event event[LIMIT_OWNER_EVENTS]; /* number n in n % LIMIT_OWNER_EVENTS */
};

struct owner_watcher {
	struct owner_watcher *next, **link;
	struct call *call;
	struct owner_events *events;
	uint64_t seq; /* told up to here */
	bool asleep;  /* has told all; the next event wakes it */
};

/* All watchers of all machines. */
struct owner_watch_list {
	struct pt_port_lock lock;
	uint32_t count;
	struct owner_watcher *first;
};

void owner_note(struct owner_watch_list *list, struct owner_events *events,
		const struct owner_event *event);

/* After number `seq`; 0: from now on. PT_OK; PT_INVALID: it is still to come; PT_TOO_LARGE: too
 * many watch already. */
enum pt_outcome owner_watch_add(struct owner_watch_list *list, struct owner_watcher *watcher,
				uint64_t seq);
void owner_watch_remove(struct owner_watch_list *list, struct owner_watcher *watcher);
/* Wakes who watches these events; NULL: everybody. Returns how many there are. */
uint32_t owner_watch_wake(struct owner_watch_list *list, const struct owner_events *events);

/*
 * The next event, its number in *seq. False: none, and the next one wakes the call. *lost: events
 * up to *seq are no longer there, and *event is not filled. owner_watch_told() when it was sent.
 */
bool owner_watch_next(struct owner_watch_list *list, struct owner_watcher *watcher,
		      struct owner_event *event, uint64_t *seq, bool *lost);
static inline void owner_watch_told(struct owner_watcher *watcher, uint64_t seq)
{
	watcher->seq = seq;
}

#endif
