/* SPDX-License-Identifier: BSD-2-Clause */
/* OwnershipService.WatchOwners: events of a machine, in order, as the ring has them. */
#include "handlers.h"

#include "owner_message.h"
#include "registry.h"

#include <stdlib.h>

struct watch {
	struct owner_watcher watcher;
	struct owners *owners; /* stay while somebody watches */
};

/* False: the peer is slow; the same again later. */
static bool tell(struct call *call, struct watch *w, const struct owner_event *e, uint64_t seq,
		 bool lost)
{
	struct owner_range before, after;
	Ptd__V1__WatchOwnersResponse r;

	ptd__v1__watch_owners_response__init(&r);
	r.seq = seq;
	r.overflow = lost;
	if (!lost) {
		r.mixed = e->mixed;
		r.kind = (Ptd__V1__TransferKind)e->kind;
		r.before = owner_message(&before, w->owners, &e->before, e->before_context,
					 e->before_borrowers);
		r.after = owner_message(&after, w->owners, &e->after, e->after_context,
					e->after_borrowers);
	}
	if (!call_send(call, &r.base))
		return false;
	owner_watch_told(&w->watcher, seq);
	return true;
}

static enum call_result begin(struct call *call)
{
	const Ptd__V1__WatchOwnersRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	struct watch *w = m ? calloc(1, sizeof(*w)) : NULL;
	enum pt_outcome o;

	if (!m)
		return CALL_DONE;
	if (!w)
		return call_fail(call, PT_NO_MEMORY, NULL);
	w->owners = m->owners;
	w->watcher.call = call;
	w->watcher.events = &m->owners->events;
	o = owner_watch_add(&call->domain->owner_watchers, &w->watcher, q->after_seq);
	if (o != PT_OK) {
		free(w);
		return call_fail(call, o,
				 o == PT_INVALID ? "after_seq: there was no such number yet"
						 : "too many watch already");
	}
	call->state = w;
	return CALL_MORE;
}

static enum call_result end(struct call *call)
{
	struct watch *w = call->state;

	if (!w)
		return CALL_DONE;
	owner_watch_remove(&call->domain->owner_watchers, &w->watcher);
	free(w);
	call->state = NULL;
	return CALL_DONE;
}

enum call_result owner_watch(struct call *call)
{
	struct owner_watch_list *list = &call->domain->owner_watchers;
	struct owner_event event;
	struct watch *w;
	uint64_t seq;
	bool lost;

	if (!call->state && begin(call) != CALL_MORE)
		return CALL_DONE;
	w = call->state;
	if (domain_draining(call->domain)) {
		end(call);
		return call_fail(call, PT_DRAINING, NULL);
	}
	while (owner_watch_next(list, &w->watcher, &event, &seq, &lost))
		if (!tell(call, w, &event, seq, lost))
			break;
	if (!atomic_load_explicit(&w->owners->closing, memory_order_relaxed))
		return CALL_STREAM;
	end(call);
	return call_fail(call, PT_NOT_FOUND, "machine: it was deleted");
}

enum call_result owner_watch_abandon(struct call *call)
{
	return end(call);
}
