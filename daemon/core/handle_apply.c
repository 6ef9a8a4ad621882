/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MappingService.Apply: many ranges in packed columns.
 *
 * STOP_ON_ERROR and BEST_EFFORT run items as point operations straight from the columns, plain ones
 * some at a time, and as a transaction where one entry is not enough; this loop is the daemon's
 * hottest. ATOMIC is one
 * transaction: handle_apply_atomic.c.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "mapping.h"
#include "registry.h"

#define PLAIN_ITEMS 64

enum phase { PHASE_RUN, PHASE_ITEM_TXN, PHASE_GRACE, PHASE_ATOMIC };

/* One column: n entries, or one for all. */
static bool column(struct call *call, const char *name, size_t have, uint32_t n, uint8_t *step)
{
	*step = have == n && n > 1;
	if (have == n || have == 1)
		return true;
	call_fail(call, PT_INVALID, "ops.%s: %zu entries; %u or 1 are due", name, have, n);
	return false;
}

static bool something_needs_pa(const Ptd__V1__Ops *ops)
{
	for (size_t i = 0; i < ops->n_kind; i++)
		if (kind_is_of(ops->kind[i], KINDS_WITH_PA))
			return true;
	return false;
}

enum call_result columns_check(struct call *call, const Ptd__V1__Ops *ops, struct columns *c)
{
	static const uint32_t no_flags;
	static const uint64_t no_pa;
	uint32_t n;

	if (!ops || !ops->n_ipa)
		return call_fail(call, PT_INVALID, "ops.ipa: there are no items");
	if (ops->n_ipa > LIMIT_BATCH_ITEMS)
		return call_fail(call, PT_TOO_LARGE, "ops.ipa: %zu items; max_batch_items is %u",
				 ops->n_ipa, LIMIT_BATCH_ITEMS);
	n = (uint32_t)ops->n_ipa;
	*c = (struct columns){.ipa = ops->ipa,
			      .size = ops->size,
			      .pa = ops->n_pa ? ops->pa : &no_pa,
			      .kind = ops->kind,
			      .prot = ops->prot,
			      .flags = ops->n_flags ? ops->flags : &no_flags,
			      .n = n,
			      .pa_step = ops->n_pa != 0};
	if (!column(call, "size", ops->n_size, n, &c->size_step) ||
	    !column(call, "kind", ops->n_kind, n, &c->kind_step) ||
	    !column(call, "prot", ops->n_prot, n, &c->prot_step) ||
	    (ops->n_flags && !column(call, "flags", ops->n_flags, n, &c->flags_step)))
		return CALL_DONE;
	if (ops->n_pa && ops->n_pa != n)
		return call_fail(call, PT_INVALID, "ops.pa: %zu entries; %u or none are due",
				 ops->n_pa, n);
	if (!ops->n_pa && something_needs_pa(ops))
		return call_fail(call, PT_INVALID, "ops.pa: absent, and an item maps or annotates");
	return CALL_MORE;
}

enum call_result apply_answer(struct call *call, struct apply *a)
{
	effects_fill(&a->effects_message, &a->effects);
	a->response.effects = &a->effects_message;
	call->response = &a->response.base;
	return CALL_DONE;
}

/* What was unmapped may have left empty tables. */
static void note_removed(struct call *call, const struct apply *a, const struct context *c)
{
	const struct columns *q = &a->columns;
	uint64_t lo = UINT64_MAX, hi = 0;

	for (uint32_t i = 0; i < q->n; i++) {
		uint64_t ipa = q->ipa[i], last = ipa + q->size[i * q->size_step] - 1;

		lo = ipa < lo ? ipa : lo;
		hi = last > hi ? last : hi;
	}
	sweep_later(call, c, lo, hi - lo + 1);
}

/* Counts the change once for the call; `counted`: the generation was taken when it was checked. */
void apply_settle(struct call *call, struct apply *a, struct context *c)
{
	if (!a->validate_only) {
		count_effects(call, &a->effects);
		if (a->effects.leaves_removed)
			note_removed(call, a, c);
		if (a->counted) {
			watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
			return;
		}
		if (effects_changed(&a->effects)) {
			a->response.generation = context_changed(call->domain, c);
			return;
		}
	}
	a->response.generation = atomic_load_explicit(&c->pt.generation, memory_order_acquire);
}

/* False: this was the last item to run. */
static bool note_error(struct call *call, struct apply *a, enum pt_outcome code, uint64_t ipa,
		       int level)
{
	Ptd__V1__ApplyResponse *r = &a->response;
	Ptd__V1__ItemError *e = NULL;

	if (r->n_errors < LIMIT_ERRORS) {
		if (!r->errors)
			r->errors = call_alloc(call, LIMIT_ERRORS * sizeof(*r->errors));
		e = r->errors ? call_alloc(call, sizeof(*e)) : NULL;
	}
	if (e) {
		ptd__v1__item_error__init(e);
		e->index = a->at;
		e->code = code;
		e->ipa = ipa;
		e->level = level;
		r->errors[r->n_errors++] = e;
	}
	r->errors_total++;
	if (a->want_outcomes)
		r->outcome[a->at] = code;
	a->at++;
	if (a->want_outcomes)
		r->n_outcome = a->at;
	return a->best_effort;
}

static void note_done(struct apply *a, uint32_t outcome)
{
	a->response.applied++;
	if (a->want_outcomes) {
		a->response.outcome[a->at] = outcome;
		a->response.n_outcome = a->at + 1;
	}
	a->at++;
}

static enum call_result finish(struct call *call, struct apply *a, struct context *c)
{
	apply_settle(call, a, c);
	a->phase = PHASE_GRACE;
	if (effects_invalidated(&a->effects) && !a->validate_only &&
	    work_grace(call, &a->work, c) == CALL_MORE)
		return CALL_MORE;
	return apply_answer(call, a);
}

/* CALL_DONE: the item's transaction has ended; *stop: so has the batch. */
static enum call_result item_txn(struct call *call, struct apply *a, bool *stop)
{
	enum call_result result;
	enum pt_outcome o;

	result = work_step(a->work, STEP_VISITS, &o);
	if (result != CALL_DONE)
		return result;
	a->phase = PHASE_RUN;
	if (o == PT_OK) {
		pt_effects_add(&a->effects, &a->work->txn.effects);
		note_done(a, a->one.outcome);
	} else {
		*stop = !note_error(call, a, o, a->work->txn.error.ipa.v, a->work->txn.error.level);
	}
	return CALL_DONE;
}

static enum call_result start_item_txn(struct call *call, struct apply *a,
				       const struct pt_item *item, bool *stop)
{
	struct work *w = work_get(call, &a->work);

	if (!w) {
		*stop = !note_error(call, a, PT_TOO_LARGE, item->ipa.v, PT_TTL_UNKNOWN);
		return CALL_DONE;
	}
	a->one = *item;
	work_begin(w, container_of(item->ctx, struct context, pt), &a->one, 1, 0, a->validate_only);
	w->txn.quiet = true;
	a->phase = PHASE_ITEM_TXN;
	return item_txn(call, a, stop);
}

/* What a point operation could not do by itself. CALL_DONE: the item is dealt with. */
static enum call_result hard_item(struct call *call, struct apply *a, struct context *c,
				  const struct pt_item *item, enum pt_outcome o,
				  const struct pt_error *error, bool *stop)
{
	switch (o) {
	case PT_RACED: return CALL_MORE;
	case PT_MORE: return start_item_txn(call, a, item, stop);
	case PT_PARKED:
		if (work_get(call, &a->work))
			return work_park(call, a->work, c, item->ipa.v, item->size);
		o = PT_TOO_LARGE;
		break;
	default: break;
	}
	*stop = !note_error(call, a, o, error->code == o ? error->ipa.v : item->ipa.v,
			    error->level);
	return CALL_DONE;
}

/* Items from a->at on, at most so many, as long as they are plain; returns how many. */
static uint32_t plain_items(struct call *call, struct apply *a, struct context *c, uint32_t most)
{
	struct pt_item item[PLAIN_ITEMS];
	uint32_t n = a->columns.n - a->at, done;

	n = n < most ? n : most;
	n = n < PLAIN_ITEMS ? n : PLAIN_ITEMS;
	for (uint32_t i = 0; i < n; i++) {
		item[i].ctx = &c->pt;
		columns_item(&a->columns, a->at + i, &item[i]);
		if (unlikely(pt_item_check(&item[i]) != PT_OK))
			n = i;
	}
	done = pt_points(call_agent(call), item, n, &a->effects);
	for (uint32_t i = 0; i < done; i++)
		note_done(a, item[i].outcome);
	return done;
}

static enum call_result run_items(struct call *call, struct apply *a, struct context *c)
{
	struct pt_agent *agent = call_agent(call);
	struct pt_item item = {.ctx = &c->pt};
	struct pt_error error = {.level = PT_TTL_UNKNOWN};
	uint32_t budget = STEP_ITEMS, done, alone = a->validate_only ? STEP_ITEMS : 0;
	bool stop = false;

	while (a->at < a->columns.n && !stop) {
		enum call_result result;
		enum pt_outcome o;

		if (unlikely(!budget))
			return CALL_MORE;
		if (likely(!alone)) {
			done = plain_items(call, a, c, budget);
			budget -= done;
			alone = done ? 0 : PLAIN_ITEMS; /* what follows will be like it */
			continue;
		}
		alone--;
		budget--;
		columns_item(&a->columns, a->at, &item);
		o = pt_item_check(&item);
		if (likely(o == PT_OK))
			o = a->validate_only ? PT_MORE
					     : pt_point(agent, &item, &a->effects, &error);
		if (likely(o < PT_MORE && o != PT_RACED)) {
			note_done(a, o);
			continue;
		}
		result = hard_item(call, a, c, &item, o, &error, &stop);
		error = (struct pt_error){.level = PT_TTL_UNKNOWN};
		if (result != CALL_DONE)
			return result;
	}
	return finish(call, a, c);
}

/* The context has gone in mid-batch: what is left fails, what was done stays told. */
static enum call_result lost_context(struct call *call, struct apply *a)
{
	enum pt_outcome code = call->status.code;

	if (!a->response.applied)
		return CALL_DONE;
	call->status = (struct call_status){.level = PT_TTL_UNKNOWN};
	while (a->at < a->columns.n &&
	       note_error(call, a, code, a->columns.ipa[a->at], PT_TTL_UNKNOWN))
		;
	count_effects(call, &a->effects);
	return apply_answer(call, a);
}

static enum call_result go_on(struct call *call, struct apply *a)
{
	enum call_result result;
	struct context *c;
	bool stop = false;

	switch (a->phase) {
	case PHASE_GRACE:
		return work_grace_step(a->work) == CALL_MORE ? CALL_MORE : apply_answer(call, a);
	case PHASE_ATOMIC:
		c = a->work && a->work->holds != WORK_NOTHING
			    ? container_of(a->item[0].ctx, struct context, pt)
			    : find_own_tables(call, a->context, "context");
		return c ? atomic_step(call, a, c) : CALL_DONE;
	case PHASE_ITEM_TXN:
		c = container_of(a->one.ctx, struct context, pt);
		result = item_txn(call, a, &stop);
		if (result != CALL_DONE)
			return result;
		return stop ? finish(call, a, c) : run_items(call, a, c);
	default: break;
	}
	work_resume(a->work);
	c = find_own_tables(call, a->context, "context");
	return c ? run_items(call, a, c) : lost_context(call, a);
}

/* expected_generation of a batch that is not atomic: checked and counted as the effect begins. */
static bool count_first(struct call *call, struct apply *a, struct context *c)
{
	uint64_t now = a->expected;
	bool same;

	if (a->validate_only)
		same = (now = atomic_load(&c->pt.generation)) == a->expected;
	else
		same = atomic_compare_exchange_strong(&c->pt.generation, &now, now + 1);
	if (!same) {
		call_fail(call, PT_GENERATION_MISMATCH,
			  "expected_generation: %llu, the context is at %llu",
			  (unsigned long long)a->expected, (unsigned long long)now);
		return false;
	}
	a->counted = !a->validate_only;
	a->response.generation = a->expected + 1;
	return true;
}

static struct apply *prepare(struct call *call, const Ptd__V1__ApplyRequest *q, uint64_t context)
{
	struct apply *a = call_alloc(call, sizeof(*a));

	if (!a) {
		fail_arena(call);
		return NULL;
	}
	if (columns_check(call, q->ops, &a->columns) != CALL_MORE)
		return NULL;
	ptd__v1__apply_response__init(&a->response);
	ptd__v1__effects__init(&a->effects_message);
	a->context = context;
	a->expected = q->expected_generation;
	a->validate_only = q->validate_only;
	a->want_outcomes = q->want_outcomes;
	a->best_effort = q->mode == PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT;
	if (!a->want_outcomes)
		return a;
	a->response.outcome = call_alloc(call, a->columns.n * sizeof(*a->response.outcome));
	if (a->response.outcome)
		return a;
	fail_arena(call);
	return NULL;
}

enum call_result apply_begin(struct call *call, const Ptd__V1__ApplyRequest *q, uint64_t context)
{
	struct context *c;
	struct apply *a;

	if (q->mode < PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC ||
	    q->mode > PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT)
		return call_fail(call, PT_INVALID, "mode: %u is not a mode", (unsigned)q->mode);
	c = find_own_tables(call, context, "context");
	a = c ? prepare(call, q, context) : NULL;
	if (!a)
		return CALL_DONE;
	if (q->mode == PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC) {
		a->phase = PHASE_ATOMIC;
		call->state = a;
		return atomic_step(call, a, c);
	}
	/* The grace period of the reply needs memory: taken before there is an effect. */
	if (pt_item_needs_grace(&c->machine->pt, call_agent(call)) && !work_get(call, &a->work))
		return fail_arena(call);
	if (a->expected && !count_first(call, a, c))
		return CALL_DONE;
	call->state = a;
	return run_items(call, a, c);
}

enum call_result apply_go_on(struct call *call)
{
	return go_on(call, call->state);
}

static enum call_result apply_step(struct call *call)
{
	const Ptd__V1__ApplyRequest *q = (const void *)call->request;

	return likely(!call->state) ? apply_begin(call, q, q->context) : apply_go_on(call);
}

enum call_result mapping_apply(struct call *call)
{
	const Ptd__V1__ApplyRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, apply_step);
}

/* The first effect is the commit point of a batch that is not atomic: after it, it runs to its end.
 */
enum call_result apply_undo(struct call *call)
{
	struct apply *a = call->state;
	enum call_result result;
	bool committed;

	if (!a)
		return CALL_DONE;
	if (a->phase == PHASE_ATOMIC)
		return atomic_abandon(call, a);
	if (a->phase == PHASE_GRACE)
		return apply_answer(call, a);
	if (a->counted || effects_changed(&a->effects))
		return work_leaves_queue(a->work) ? CALL_MORE : go_on(call, a);
	result = work_abandon(a->work, &committed);
	if (result != CALL_DONE || !committed)
		return result;
	pt_effects_add(&a->effects, &a->work->txn.effects);
	note_done(a, a->one.outcome);
	a->phase = PHASE_RUN;
	return CALL_MORE;
}

enum call_result mapping_apply_abandon(struct call *call)
{
	const Ptd__V1__ApplyRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, apply_undo);
}
