/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PagerService.ServePages: the life of one stream.
 *
 * No state -> SERVING_OPENS (its turn to change the context's memslots) -> SERVING_UNMAPS (a
 * transaction unmaps the range, and marks its slot at its commit point) -> SERVING -> all pages are
 * there: SERVING_LEAVES (the turn again, to take the mark back). A range that was left alone is
 * served at once. A stream that ends in SERVING leaves its range as it is.
 */
#include "handle_pager.h"
#include "handlers.h"

#include "domain_fail.h"
#include "pager_supply.h"
#include "registry.h"

#include <stdlib.h>

typedef Ptd__V1__ServePagesRequest Request;
typedef Ptd__V1__ServePagesResponse Response;
#define ASKED(name)  PTD__V1__SERVE_PAGES_REQUEST__WHAT_##name
#define ANSWER(name) PTD__V1__SERVE_PAGES_RESPONSE__WHAT_##name
#define NO_ROOM	     "no room for the answer"

void serving_part(struct call *call)
{
	struct serving *s = call->state;

	pager_leave(pagers_of(call), s->pager);
	free(s);
	call->state = NULL;
}

static enum call_result no_memory(struct call *call)
{
	serving_part(call);
	return call_fail(call, PT_NO_MEMORY, NO_ROOM);
}

/* ---- what is told ---- */

static bool tell_one(struct call *call, const struct pager *p, const struct page_wanted *w)
{
	Ptd__V1__PageWanted wanted = PTD__V1__PAGE_WANTED__INIT;
	Response response = PTD__V1__SERVE_PAGES_RESPONSE__INIT;

	wanted.seq = w->seq;
	wanted.ipa = p->ipa + (w->page << p->shift);
	wanted.access = (Ptd__V1__AccessKind)w->why.access;
	wanted.vcpu = w->why.vcpu;
	wanted.nested = w->why.nested;
	response.what_case = ANSWER(WANTED);
	response.wanted = &wanted;
	return call_send(call, &response.base);
}

/* As far as the peer reads them. */
static enum call_result tell(struct call *call)
{
	struct serving *s = call->state;
	struct page_wanted wanted;

	while (pager_next(pagers_of(call), s->pager, &wanted)) {
		if (!tell_one(call, s->pager, &wanted))
			break;
		pager_told(pagers_of(call), s->pager, wanted.seq);
	}
	return CALL_STREAM;
}

enum call_result serving_begin(struct call *call, bool resumed)
{
	Ptd__V1__PagerOpened opened = PTD__V1__PAGER_OPENED__INIT;
	Response response = PTD__V1__SERVE_PAGES_RESPONSE__INIT;
	struct serving *s = call->state;
	struct pager *p = s->pager;

	s->work = NULL;
	s->phase = SERVING;
	pager_serve(pagers_of(call), p, call, s->window);
	opened.window = s->window;
	opened.page_bytes = UINT64_C(1) << p->shift;
	opened.absent_pages = atomic_load_explicit(&p->absent, memory_order_relaxed);
	opened.resumed = resumed;
	response.what_case = ANSWER(OPENED);
	response.opened = &opened;
	return call_send(call, &response.base) ? tell(call) : no_memory(call);
}

/* ---- serving ---- */

static enum call_result ended(struct call *call)
{
	serving_part(call);
	return call_fail(call, PT_NOT_FOUND, "the memslot was changed or deleted, or its context");
}

/* Why no more is done here. CALL_MORE: nothing. */
static enum call_result is_over(struct call *call)
{
	struct serving *s = call->state;

	if (pager_ended(pagers_of(call), s->pager))
		return ended(call);
	if (!domain_draining(call->domain))
		return CALL_MORE;
	serving_part(call);
	return call_fail(call, PT_DRAINING, NULL);
}

/* With the turn: the slot, if it is still that of the pager and of no other one, loses its mark. */
static void unmark_slot(struct context *c, const struct pager *p)
{
	const struct pt_slots *slots = pt_ctx_slots(&c->pt), *made;
	const struct pt_slot *old = pt_slot_find(slots, p->ipa);
	struct pt_slot slot;

	if (!old || !(old->flags & PT_SLOT_PAGED) || pagers_meet(c, old->ipa, old->size, p))
		return;
	slot = *old;
	slot.flags &= ~PT_SLOT_PAGED;
	if (slots_with(slots, &slot, &made) == PT_OK)
		slots_retire(pt_ctx_set_slots(&c->pt, made));
}

static enum call_result leave_on(struct call *call, struct serving *s)
{
	struct context *c = peek_context(call, s->context);

	if (c && !slot_turn_take(call, c, &s->turn))
		return CALL_PARKED;
	if (c)
		unmark_slot(c, s->pager);
	slot_turn_end(call->domain, c, &s->turn);
	pager_end(pagers_of(call), s->pager);
	serving_part(call);
	return CALL_DONE;
}

/* All pages are there: the range is through, whether or not its pager hears of it. */
static enum call_result leave(struct call *call, struct serving *s, bool told)
{
	if (!told)
		call_fail(call, PT_NO_MEMORY, NO_ROOM);
	pager_hush(pagers_of(call), s->pager);
	s->phase = SERVING_LEAVES;
	return leave_on(call, s);
}

static enum call_result message(struct call *call)
{
	const Request *q = (const void *)call->request;
	Ptd__V1__PageSupplied supplied = PTD__V1__PAGE_SUPPLIED__INIT;
	Response response = PTD__V1__SERVE_PAGES_RESPONSE__INIT;
	struct serving *s = call->state;
	enum call_result result = is_over(call);
	struct context *c;
	enum pt_outcome o;
	bool sent;

	if (result != CALL_MORE)
		return result;
	if (q->what_case != ASKED(SUPPLY)) {
		serving_part(call);
		return call_fail(call, PT_INVALID, "what: the stream is open; supply is due");
	}
	c = peek_context(call, s->context);
	o = c ? pager_supply(call, c, s->pager, q->supply, &supplied) : PT_NOT_FOUND;
	if (o != PT_OK)
		return o == PT_MORE ? CALL_MORE : ended(call);
	response.what_case = ANSWER(SUPPLIED);
	response.supplied = &supplied;
	sent = call_send(call, &response.base);
	if (!supplied.absent_pages)
		return leave(call, s, sent);
	return sent ? tell(call) : no_memory(call);
}

enum call_result pager_serve_pages(struct call *call)
{
	struct serving *s = call->state;

	if (!call->request) {
		if (s)
			serving_part(call);
		return CALL_DONE;
	}
	if (!s)
		return serving_open(call);
	switch (s->phase) {
	case SERVING_OPENS:
	case SERVING_UNMAPS: return serving_open_on(call);
	case SERVING_LEAVES: return leave_on(call, s);
	default: return message(call);
	}
}

/* Between two messages. */
enum call_result pager_serve_pages_look(struct call *call)
{
	struct serving *s = call->state;
	enum call_result result;

	if (!s || s->phase != SERVING)
		return CALL_STREAM;
	result = is_over(call);
	return result == CALL_MORE ? tell(call) : result;
}

/* ---- the stream is given up ---- */

/* The status is that of the stream by now, and stays so. */
enum call_result pager_serve_pages_abandon(struct call *call)
{
	struct serving *s = call->state;
	struct call_status status = call->status;
	enum call_result result = CALL_DONE;

	if (!s)
		return CALL_DONE;
	switch (s->phase) {
	case SERVING_OPENS:
	case SERVING_UNMAPS: result = serving_open_abandon(call); break;
	case SERVING_LEAVES: result = leave_on(call, s); break;
	default: serving_part(call); break;
	}
	call->status = status;
	return result;
}
