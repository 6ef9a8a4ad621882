/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PagerService.ServePages: the life of one stream.
 *
 * No state -> OPENING (its turn to change the context's memslots) -> UNMAPPING (a transaction
 * unmaps the range, and marks its slot at its commit point) -> SERVING -> all pages are there:
 * LEAVING (the turn again, to take the mark back). A range that was left alone is served at once. A
 * stream that ends in SERVING leaves its range as it is.
 */
#include "handlers.h"

#include "domain_fail.h"
#include "domain_work.h"
#include "pager_supply.h"
#include "registry.h"
#include "slots.h"

#include <stdlib.h>

typedef Ptd__V1__ServePagesRequest Request;
typedef Ptd__V1__ServePagesResponse Response;
#define ASKED(name)  PTD__V1__SERVE_PAGES_REQUEST__WHAT_##name
#define ANSWER(name) PTD__V1__SERVE_PAGES_RESPONSE__WHAT_##name

enum phase { OPENING, UNMAPPING, SERVING, LEAVING };

struct serving {
	struct pager *pager;
	uint64_t context; /* handle */
	enum phase phase;
	uint32_t window;
	struct slot_turn turn;
	struct work *work; /* in memory of the message that opens */
	struct pt_item item;
	const struct pt_slots *made; /* not yet published */
};

static struct pagers *pagers_of(struct call *call)
{
	return &call->domain->pagers;
}

/* The stream ends; what its range lacks stays absent, unless the pager has come to its end. */
static void part(struct call *call)
{
	struct serving *s = call->state;

	pager_leave(pagers_of(call), s->pager);
	free(s);
	call->state = NULL;
}

/* It never came to serve: the range is as it was. */
static void undo_open(struct call *call)
{
	struct serving *s = call->state;

	slot_turn_end(call->domain, peek_context(call, s->context), &s->turn);
	pager_end(pagers_of(call), s->pager);
	part(call);
}

static enum call_result no_memory(struct call *call)
{
	part(call);
	return call_fail(call, PT_NO_MEMORY, "no room for the answer");
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

static enum call_result serve(struct call *call, bool resumed)
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

/* ---- opening ---- */

/* Around all of [ipa, ipa + size); NULL: the call has been failed. */
static const struct pt_slot *slot_around(struct call *call, struct context *c, uint64_t ipa,
					 uint64_t size)
{
	const struct pt_slot *slot = pt_slot_find(pt_ctx_slots(&c->pt), ipa);

	if (slot && size <= slot->size - (ipa - slot->ipa))
		return slot;
	call_fail(call, PT_OUT_OF_RANGE, "open.ipa: the range is not inside one memslot");
	return NULL;
}

static enum call_result check_open(struct call *call, struct context *c,
				   const Ptd__V1__PagerOpen *q)
{
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;

	if (c->machine->owners)
		return call_fail(call, PT_WRONG_STATE,
				 "open.context: its machine has owners, and no pagers");
	if (q->ipa % granule)
		return fail_aligned(call, "open.ipa", q->ipa, granule);
	if (q->size % granule)
		return fail_aligned(call, "open.size", q->size, granule);
	if (!q->size)
		return call_fail(call, PT_INVALID, "open.size: the range is empty");
	if (q->size > LIMIT_PAGER_BYTES)
		return call_fail(call, PT_TOO_LARGE, "open.size: above max_pager_bytes");
	if (q->window > LIMIT_PAGER_WINDOW)
		return call_fail(call, PT_TOO_LARGE, "open.window: above max_pager_window (%u)",
				 LIMIT_PAGER_WINDOW);
	return slot_around(call, c, q->ipa, q->size) ? CALL_MORE : CALL_DONE;
}

static enum call_result fail_meets(struct call *call, struct context *c,
				   const Ptd__V1__PagerOpen *q)
{
	const struct pager *p = pagers_meet(c, q->ipa, q->size, NULL);

	if (!p) /* it has gone since */
		return call_fail(call, PT_ALREADY_EXISTS,
				 "open.ipa: another pager is in the range");
	call->status.ipa = p->ipa;
	return call_fail(call, PT_ALREADY_EXISTS,
			 "open.ipa: the range meets that of a pager, 0x%llx bytes at 0x%llx",
			 (unsigned long long)p->size, (unsigned long long)p->ipa);
}

static enum call_result fail_open(struct call *call, enum pt_outcome o)
{
	switch (o) {
	case PT_TOO_LARGE:
		return call_fail(call, o,
				 "max_pagers: too many ranges have a pager, or lack pages");
	case PT_WRONG_STATE: return call_fail(call, o, "open.context: it is being deleted");
	default: return call_fail(call, o, NULL);
	}
}

/* With the turn: the transaction that makes the range absent. */
static enum call_result start_unmap(struct call *call, struct context *c, struct serving *s)
{
	const struct pager *p = s->pager;
	const struct pt_slot *old = slot_around(call, c, p->ipa, p->size);
	struct pt_slot slot;
	enum pt_outcome o;

	if (!old || !work_get(call, &s->work))
		return old ? fail_arena(call) : CALL_DONE;
	slot = *old;
	slot.flags |= PT_SLOT_PAGED;
	o = slots_with(pt_ctx_slots(&c->pt), &slot, &s->made);
	if (o != PT_OK)
		return call_fail(call, o, NULL);
	s->item = (struct pt_item){
		.ctx = &c->pt, .ipa = pt_ipa(p->ipa), .size = p->size, .kind = PT_ITEM_UNMAP};
	work_begin(s->work, c, &s->item, 1, 0, false);
	s->work->txn.publish = s->made;
	s->phase = UNMAPPING;
	return CALL_MORE;
}

/* Steps the transaction. CALL_DONE: it has ended, and with it the turn. */
static enum call_result step_unmap(struct call *call, struct serving *s, enum pt_outcome *o)
{
	struct context *c = container_of(s->item.ctx, struct context, pt);
	struct pt_txn *txn = &s->work->txn;
	enum call_result result = work_step(s->work, STEP_VISITS, o);

	if (result != CALL_DONE)
		return result;
	if (*o == PT_OK) {
		slots_retire(txn->replaced);
		count_effects(call, &txn->effects);
		watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	} else {
		slots_free(s->made);
		fail_error(call, &txn->error);
	}
	slot_turn_end(call->domain, c, &s->turn);
	return CALL_DONE;
}

static enum call_result unmap_on(struct call *call, struct serving *s)
{
	enum pt_outcome o;
	enum call_result result = step_unmap(call, s, &o);

	if (result != CALL_DONE)
		return result;
	if (o == PT_OK)
		return serve(call, false);
	undo_open(call);
	return CALL_DONE;
}

static enum call_result open_on(struct call *call, struct serving *s)
{
	struct context *c = find_own_tables(call, s->context, "open.context");
	enum call_result result = CALL_DONE;

	if (c && !slot_turn_take(call, c, &s->turn))
		return CALL_PARKED;
	if (c && pager_ended(pagers_of(call), s->pager))
		call_fail(call, PT_NOT_FOUND, "open.ipa: the memslot was changed meanwhile");
	else if (c)
		result = start_unmap(call, c, s);
	if (result == CALL_MORE)
		return unmap_on(call, s);
	undo_open(call);
	return CALL_DONE;
}

static enum call_result begin(struct call *call)
{
	const Request *q = (const void *)call->request;
	struct serving *s;
	struct context *c;
	enum pt_outcome o;
	bool resumed;

	if (q->what_case != ASKED(OPEN))
		return call_fail(call, PT_INVALID, "what: the first message must be open");
	if (domain_draining(call->domain))
		return call_fail(call, PT_DRAINING, NULL);
	c = find_own_tables(call, q->open->context, "open.context");
	if (!c || check_open(call, c, q->open) != CALL_MORE)
		return CALL_DONE;
	s = calloc(1, sizeof(*s));
	if (!s)
		return call_fail(call, PT_NO_MEMORY, NULL);
	s->context = c->handle;
	s->window = q->open->window ? q->open->window : LIMIT_PAGER_WINDOW;
	o = pager_open(call, c, q->open->ipa, q->open->size, &s->pager, &resumed);
	if (o != PT_OK) {
		free(s);
		return o == PT_ALREADY_EXISTS ? fail_meets(call, c, q->open) : fail_open(call, o);
	}
	call->state = s;
	return resumed ? serve(call, true) : open_on(call, s);
}

/* ---- serving ---- */

static enum call_result ended(struct call *call)
{
	part(call);
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
	part(call);
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
	part(call);
	return CALL_DONE;
}

static enum call_result message(struct call *call)
{
	const Request *q = (const void *)call->request;
	Ptd__V1__PageSupplied supplied = PTD__V1__PAGE_SUPPLIED__INIT;
	Response response = PTD__V1__SERVE_PAGES_RESPONSE__INIT;
	struct serving *s = call->state;
	enum call_result result = is_over(call);
	struct context *c;

	if (result != CALL_MORE)
		return result;
	if (q->what_case != ASKED(SUPPLY)) {
		part(call);
		return call_fail(call, PT_INVALID, "what: the stream is open; supply is due");
	}
	c = peek_context(call, s->context);
	if (!c || !pager_supply(call, c, s->pager, q->supply, &supplied))
		return ended(call);
	response.what_case = ANSWER(SUPPLIED);
	response.supplied = &supplied;
	if (!call_send(call, &response.base))
		return no_memory(call);
	if (supplied.absent_pages)
		return tell(call);
	pager_hush(pagers_of(call), s->pager);
	s->phase = LEAVING;
	return leave_on(call, s);
}

enum call_result pager_serve_pages(struct call *call)
{
	struct serving *s = call->state;

	if (!call->request) {
		if (s)
			part(call);
		return CALL_DONE;
	}
	if (!s)
		return begin(call);
	switch (s->phase) {
	case OPENING: return open_on(call, s);
	case UNMAPPING: return unmap_on(call, s);
	case LEAVING: return leave_on(call, s);
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

static enum call_result abandon_unmap(struct call *call, struct serving *s)
{
	enum call_result result;
	enum pt_outcome o = PT_OK;
	bool committed;

	if (pt_txn_committed(&s->work->txn)) {
		result = step_unmap(call, s, &o);
		if (result == CALL_DONE)
			part(call); /* the range is absent, and left alone */
		return result;
	}
	result = work_abandon(s->work, &committed);
	if (result != CALL_DONE)
		return result;
	slots_free(s->made);
	undo_open(call);
	return CALL_DONE;
}

/* The status is that of the stream by now, and stays so. */
enum call_result pager_serve_pages_abandon(struct call *call)
{
	struct serving *s = call->state;
	struct call_status status = call->status;
	enum call_result result = CALL_DONE;

	if (!s)
		return CALL_DONE;
	switch (s->phase) {
	case OPENING: undo_open(call); break;
	case UNMAPPING: result = abandon_unmap(call, s); break;
	case LEAVING: result = leave_on(call, s); break;
	default: part(call); break;
	}
	call->status = status;
	return result;
}
