/* SPDX-License-Identifier: BSD-2-Clause */
/* PagerService.ServePages: how a stream opens its range, up to where it serves, or never came to.
 */
#include "handle_pager.h"

#include "domain_fail.h"
#include "domain_work.h"
#include "registry.h"

#include <stdlib.h>

/* It never came to serve: the range is as it was. */
static void undo_open(struct call *call)
{
	struct serving *s = call->state;

	slot_turn_end(call->domain, peek_context(call, s->context), &s->turn);
	pager_end(pagers_of(call), s->pager);
	serving_part(call);
}

/* ---- what may be opened ---- */

/* Around all of [ipa, ipa + size); NULL: the call has been failed. */
static const struct pt_slot *slot_around(struct call *call, struct context *c, uint64_t ipa,
					 uint64_t size)
{
	const struct pt_slot *slot = pt_slot_find(pt_ctx_slots(&c->pt), ipa);

	if (slot && size <= slot->size - (ipa - slot->ipa))
		return slot;
	call->status.hint = "GetContext says which ranges are backed";
	call_fail(call, PT_OUT_OF_RANGE, "open.ipa: the range is not inside one memslot");
	return NULL;
}

static enum call_result check_open(struct call *call, struct context *c,
				   const Ptd__V1__PagerOpen *q)
{
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;

	if (c->machine->owners && c->kind != PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST)
		return call_fail(call, PT_WRONG_STATE,
				 "open.context: pages of a guest come by Transfer, and no pager");
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

static enum call_result fail_open(struct call *call, enum pt_outcome o,
				  const struct pager_opening *opening)
{
	switch (o) {
	case PT_ALREADY_EXISTS:
		call->status.ipa = opening->ipa;
		call->status.hint = "ListPagers says who has which range";
		return call_fail(call, o,
				 "open.ipa: the range meets that of a pager, 0x%llx bytes at "
				 "0x%llx of %.48s",
				 (unsigned long long)opening->size,
				 (unsigned long long)opening->ipa, opening->principal);
	case PT_TOO_LARGE:
		return call_fail(call, o, "%s: too many ranges have a pager, or lack pages",
				 opening->limit);
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
	s->phase = SERVING_UNMAPS;
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
		return serving_begin(call, false);
	undo_open(call);
	return CALL_DONE;
}

static enum call_result take_turn(struct call *call, struct serving *s)
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

enum call_result serving_open_on(struct call *call)
{
	struct serving *s = call->state;

	return s->phase == SERVING_OPENS ? take_turn(call, s) : unmap_on(call, s);
}

enum call_result serving_open(struct call *call)
{
	const Ptd__V1__ServePagesRequest *q = (const void *)call->request;
	struct pager_opening opening;
	struct serving *s;
	struct context *c;
	enum pt_outcome o;

	if (q->what_case != PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN)
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
	o = pager_open(call, c, q->open->ipa, q->open->size, &opening);
	if (o != PT_OK) {
		free(s);
		return fail_open(call, o, &opening);
	}
	s->pager = opening.pager;
	call->state = s;
	return opening.resumed ? serving_begin(call, true) : serving_open_on(call);
}

/* ---- given up ---- */

static enum call_result abandon_unmap(struct call *call, struct serving *s)
{
	enum call_result result;
	enum pt_outcome o = PT_OK;
	bool committed;

	if (pt_txn_committed(&s->work->txn)) {
		result = step_unmap(call, s, &o);
		if (result == CALL_DONE)
			serving_part(call); /* the range is absent, and left alone */
		return result;
	}
	result = work_abandon(s->work, &committed);
	if (result != CALL_DONE)
		return result;
	slots_free(s->made);
	undo_open(call);
	return CALL_DONE;
}

enum call_result serving_open_abandon(struct call *call)
{
	struct serving *s = call->state;

	if (s->phase == SERVING_UNMAPS)
		return abandon_unmap(call, s);
	undo_open(call);
	return CALL_DONE;
}
