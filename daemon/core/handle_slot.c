/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ContextService: memslots.
 *
 * States of a change: its turn (changes of one context's slots go one by one); then, for a new
 * slot, and where only the logging flag changes, one publication; for a slot that changes or goes,
 * a transaction that unmaps the old range and publishes the new table at its commit point. The turn
 * ends with the change.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_work.h"
#include "owners.h"
#include "registry.h"
#include "slots.h"

struct change {
	struct slot_turn turn;
	struct work *work;
	struct pt_item item;
	const struct pt_slots *made; /* not yet published */
	uint64_t context;	     /* handle */
	uint64_t expected;
	bool in_txn;
	uint64_t generation;
	struct pt_effects effects;
	/* The answer: its memory is there before the effect. */
	Ptd__V1__SetSlotResponse set;
	Ptd__V1__DeleteSlotResponse deleted;
	Ptd__V1__Effects effects_message;
};

static enum call_result check_flags(struct call *call, const Ptd__V1__Slot *q)
{
	if (q->flags & ~PT_SLOT_FLAGS)
		return call_fail(call, PT_INVALID, "slot.flags: 0x%x has unknown bits", q->flags);
	return CALL_MORE;
}

static enum call_result check_backing(struct call *call, const Ptd__V1__Slot *q, uint64_t granule)
{
	uint64_t b = q->backing;

	if (!b)
		return CALL_MORE;
	if (b & (b - 1))
		return call_fail(call, PT_INVALID, "slot.backing: 0x%llx is not a power of two",
				 (unsigned long long)b);
	if (b < granule)
		return call_fail(call, PT_INVALID, "slot.backing: 0x%llx is below the granule",
				 (unsigned long long)b);
	if (b >> LIMIT_BACKING_SHIFT > 1)
		return call_fail(call, PT_INVALID, "slot.backing: 0x%llx is above 512 GiB",
				 (unsigned long long)b);
	return CALL_MORE;
}

static enum call_result check_alignment(struct call *call, const Ptd__V1__Slot *q, uint64_t granule)
{
	if (q->ipa % granule)
		return fail_aligned(call, "slot.ipa", q->ipa, granule);
	if (q->size % granule)
		return fail_aligned(call, "slot.size", q->size, granule);
	if (q->pa % granule)
		return fail_aligned(call, "slot.pa", q->pa, granule);
	return CALL_MORE;
}

static enum call_result check_range(struct call *call, const Ptd__V1__Slot *q,
				    const struct context *c)
{
	uint64_t ram = c->machine->ram.bytes;

	if (!q->size)
		return call_fail(call, PT_INVALID, "slot.size: the slot is empty");
	if (q->ipa + q->size - 1 < q->ipa)
		return call_fail(call, PT_INVALID, "slot.size: ipa + size wraps");
	if (q->pa + q->size - 1 < q->pa)
		return call_fail(call, PT_INVALID, "slot.pa: pa + size wraps");
	if (check_alignment(call, q, UINT64_C(1) << c->pt.geo.granule_shift) != CALL_MORE)
		return CALL_DONE;
	if ((q->ipa + q->size - 1) >> c->pt.geo.ipa_bits)
		return call_fail(call, PT_OUT_OF_RANGE,
				 "slot.ipa: the slot leaves the %u-bit space", c->pt.geo.ipa_bits);
	if (q->pa + q->size > ram)
		return call_fail(call, PT_OUT_OF_RANGE,
				 "slot.pa: the slot leaves the machine's memory (0x%llx bytes)",
				 (unsigned long long)ram);
	if ((q->pa + q->size - 1) >> c->pt.geo.pa_bits)
		return call_fail(call, PT_OUT_OF_RANGE,
				 "slot.pa: the slot leaves the %u-bit PA space", c->pt.geo.pa_bits);
	return CALL_MORE;
}

static enum call_result check_slot(struct call *call, const Ptd__V1__Slot *q,
				   const struct context *c)
{
	if (!q)
		return call_fail(call, PT_INVALID, "slot: missing");
	if (check_flags(call, q) != CALL_MORE || check_range(call, q, c) != CALL_MORE)
		return CALL_DONE;
	if (c->pt.policy & PT_CTX_IDENTITY && q->ipa != q->pa)
		return call_fail(call, PT_INVALID,
				 "slot.pa: 0x%llx; the context maps only IPA = PA",
				 (unsigned long long)q->pa);
	return check_backing(call, q, UINT64_C(1) << c->pt.geo.granule_shift);
}

static bool same(const struct pt_slot *a, const struct pt_slot *b)
{
	return a->ipa == b->ipa && a->size == b->size && a->pa == b->pa && a->flags == b->flags &&
	       a->backing_shift == b->backing_shift;
}

/*
 * Only how faults behave from now on differs: what is mapped stays. Which pages were written is
 * told by dirty logs, whatever the flag says of the slot.
 */
static bool same_but_logging(const struct pt_slot *a, struct pt_slot b)
{
	b.flags ^= (a->flags ^ b.flags) & PT_SLOT_LOG_DIRTY;
	return same(a, &b);
}

/* A pager serves the memory of a slot, and ends with it. */
static void keep_pager(const struct pt_slot *old, struct pt_slot *slot)
{
	struct pt_slot kept = *slot;

	kept.flags |= old ? old->flags & PT_SLOT_PAGED : 0;
	if (old && same_but_logging(old, kept))
		*slot = kept;
}

/* Waits for the turn. CALL_DONE: it has come, or the call failed (*c is NULL then). */
static enum call_result begin(struct call *call, uint64_t handle, uint64_t expected,
			      struct context **c, struct change **change)
{
	struct change *s = call->state;

	*c = find_own_tables(call, handle, "context");
	if (!*c) {
		if (s) /* whoever took it away was ahead of us in the queue, or woke us */
			slot_turn_end(call->domain, NULL, &s->turn);
		return CALL_DONE;
	}
	if (!s) {
		s = call->state = call_alloc(call, sizeof(*s));
		if (!s || !work_get(call, &s->work)) {
			*c = NULL;
			return fail_arena(call);
		}
		s->context = handle;
		s->expected = expected;
	}
	*change = s;
	return slot_turn_take(call, *c, &s->turn) ? CALL_DONE : CALL_PARKED;
}

static enum call_result end_turn(struct call *call, struct context *c, struct change *s)
{
	slot_turn_end(call->domain, c, &s->turn);
	return CALL_DONE;
}

static enum call_result mismatch(struct call *call, uint64_t expected, uint64_t now)
{
	return call_fail(call, PT_GENERATION_MISMATCH,
			 "expected_generation: %llu, the context is at %llu",
			 (unsigned long long)expected, (unsigned long long)now);
}

/* Nothing is taken away: one exchange does it. `old`, if not NULL, has logged until now. */
static void publish_now(struct call *call, struct context *c, struct change *s,
			const struct pt_slot *old)
{
	uint64_t expected = s->expected;

	if (expected &&
	    !atomic_compare_exchange_strong(&c->pt.generation, &expected, expected + 1)) {
		mismatch(call, s->expected, expected);
		slots_free(s->made);
		return;
	}
	if (old)
		fold_later(call, c->handle, old->ipa, old->size);
	slots_retire(pt_ctx_set_slots(&c->pt, s->made));
	if (s->expected) {
		s->generation = s->expected + 1;
		watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	} else {
		s->generation = context_changed(call->domain, c);
	}
}

/* The transaction that takes `old` away and publishes s->made. */
static void start_unmap(struct context *c, struct change *s, const struct pt_slot *old)
{
	s->item = (struct pt_item){
		.ctx = &c->pt, .ipa = pt_ipa(old->ipa), .size = old->size, .kind = PT_ITEM_UNMAP};
	work_begin(s->work, c, &s->item, 1, s->expected, false);
	s->work->txn.publish = s->made;
	s->in_txn = true;
}

/* One more step of the transaction. Its claim keeps the context. */
static enum call_result unmap_on(struct call *call, struct change *s)
{
	struct context *c = container_of(s->item.ctx, struct context, pt);
	struct pt_txn *txn = &s->work->txn;
	enum call_result result;
	enum pt_outcome o;

	result = work_step(s->work, STEP_VISITS, &o);
	if (result != CALL_DONE)
		return result;
	s->in_txn = false;
	if (o == PT_OK) {
		pagers_end(c, s->item.ipa.v, s->item.size);
		slots_retire(txn->replaced);
		s->generation = txn->generation;
		s->effects = txn->effects;
		count_effects(call, &s->effects);
		if (s->effects.leaves_removed)
			sweep_later(call, c, s->item.ipa.v, s->item.size);
		watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	} else {
		slots_free(s->made);
		fail_error(call, &txn->error);
	}
	return end_turn(call, c, s);
}

static Ptd__V1__Effects *tell_effects(struct change *s)
{
	ptd__v1__effects__init(&s->effects_message);
	effects_fill(&s->effects_message, &s->effects);
	return &s->effects_message;
}

static enum call_result answer_set(struct call *call, struct change *s)
{
	ptd__v1__set_slot_response__init(&s->set);
	s->set.generation = s->generation;
	s->set.effects = tell_effects(s);
	call->response = &s->set.base;
	return CALL_DONE;
}

static struct pt_slot wanted(const Ptd__V1__Slot *q, const struct context *c)
{
	return (struct pt_slot){
		.ipa = q->ipa,
		.size = q->size,
		.pa = q->pa,
		.id = q->id,
		.flags = q->flags,
		.backing_shift =
			q->backing ? (uint8_t)__builtin_ctzll(q->backing) : c->pt.geo.granule_shift,
	};
}

/* With the turn. Leaves s->in_txn set when a transaction has begun. */
static void set_now(struct call *call, struct context *c, struct change *s, const Ptd__V1__Slot *q)
{
	const struct pt_slots *slots = pt_ctx_slots(&c->pt);
	const struct pt_slot *old = slots_find_id(slots, q->id);
	const struct pt_slot *other = slots_overlap(slots, q->ipa, q->size, q->id);
	uint64_t now = atomic_load(&c->pt.generation);
	struct pt_slot slot = wanted(q, c);
	enum pt_outcome o;

	if (atomic_load_explicit(&c->pt.state, memory_order_relaxed) != PT_CTX_LIVE) {
		call_fail(call, PT_WRONG_STATE, "context: it is being deleted");
		return;
	}
	if (s->expected && s->expected != now) {
		mismatch(call, s->expected, now);
		return;
	}
	if (other) {
		call_fail(call, PT_SLOT_OVERLAP, "slot.ipa: it meets slot %u at 0x%llx", other->id,
			  (unsigned long long)other->ipa);
		call->status.ipa = other->ipa;
		return;
	}
	keep_pager(old, &slot);
	if (old && same(old, &slot)) {
		s->generation = now;
		return;
	}
	o = slots_with(slots, &slot, &s->made);
	if (o != PT_OK)
		call_fail(call, o, "slot: %s",
			  o == PT_TOO_LARGE ? "max_slots are there" : "no memory");
	else if (old && !same_but_logging(old, slot))
		start_unmap(c, s, old);
	else
		publish_now(call, c, s, old && old->flags & PT_SLOT_LOG_DIRTY ? old : NULL);
}

static enum call_result set_step(struct call *call)
{
	const Ptd__V1__SetSlotRequest *q = (const void *)call->request;
	struct change *s = call->state;
	enum call_result result;
	struct context *c;

	if (!s || !s->in_txn) {
		result = begin(call, q->context, q->expected_generation, &c, &s);
		if (result != CALL_DONE || !c)
			return result;
		if (check_slot(call, q->slot, c) != CALL_MORE)
			return end_turn(call, c, s);
		set_now(call, c, s, q->slot);
		if (!s->in_txn)
			end_turn(call, c, s);
	}
	if (s->in_txn) {
		result = unmap_on(call, s);
		if (result != CALL_DONE)
			return result;
	}
	return call->status.code == PT_OK ? answer_set(call, s) : CALL_DONE;
}

enum call_result slot_set(struct call *call)
{
	const Ptd__V1__SetSlotRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, set_step);
}

static enum call_result answer_delete(struct call *call, struct change *s)
{
	ptd__v1__delete_slot_response__init(&s->deleted);
	s->deleted.generation = s->generation;
	s->deleted.effects = tell_effects(s);
	call->response = &s->deleted.base;
	return CALL_DONE;
}

static void delete_now(struct call *call, struct context *c, struct change *s, uint32_t id)
{
	const struct pt_slots *slots = pt_ctx_slots(&c->pt);
	const struct pt_slot *old = slots_find_id(slots, id);

	if (!old)
		call_fail(call, PT_NOT_FOUND, "id: the context has no slot %u", id);
	else if (slots_without(slots, id, &s->made) != PT_OK)
		call_fail(call, PT_NO_MEMORY, "id: no memory for the new slot table");
	else
		start_unmap(c, s, old);
}

static enum call_result delete_step(struct call *call)
{
	const Ptd__V1__DeleteSlotRequest *q = (const void *)call->request;
	struct change *s = call->state;
	enum call_result result;
	struct context *c;

	if (!s || !s->in_txn) {
		result = begin(call, q->context, q->expected_generation, &c, &s);
		if (result != CALL_DONE || !c)
			return result;
		delete_now(call, c, s, q->id);
		if (!s->in_txn)
			return end_turn(call, c, s);
	}
	result = unmap_on(call, s);
	if (result != CALL_DONE)
		return result;
	return call->status.code == PT_OK ? answer_delete(call, s) : CALL_DONE;
}

enum call_result slot_delete(struct call *call)
{
	const Ptd__V1__DeleteSlotRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, delete_step);
}

/* Before the commit point all is undone; after it the change is finished and its answer kept. */
static enum call_result undo(struct call *call,
			     enum call_result (*answer)(struct call *, struct change *))
{
	struct change *s = call->state;
	enum call_result result;
	bool committed;

	if (!s)
		return CALL_DONE;
	if (!s->in_txn) {
		slot_turn_end(call->domain, peek_context(call, s->context), &s->turn);
		return CALL_DONE;
	}
	if (pt_txn_committed(&s->work->txn)) {
		result = unmap_on(call, s);
		return result == CALL_DONE ? answer(call, s) : result;
	}
	result = work_abandon(s->work, &committed);
	if (result != CALL_DONE)
		return result;
	slots_free(s->made);
	s->in_txn = false;
	slot_turn_end(call->domain, peek_context(call, s->context), &s->turn);
	return CALL_DONE;
}

static enum call_result undo_set(struct call *call)
{
	return undo(call, answer_set);
}

static enum call_result undo_delete(struct call *call)
{
	return undo(call, answer_delete);
}

enum call_result slot_set_abandon(struct call *call)
{
	const Ptd__V1__SetSlotRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, undo_set);
}

enum call_result slot_delete_abandon(struct call *call)
{
	const Ptd__V1__DeleteSlotRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, undo_delete);
}
