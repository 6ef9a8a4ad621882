/* SPDX-License-Identifier: BSD-2-Clause */
/* Range operations: a step a call, and by whoever meets their claim. */
#include "internal.h"

static bool under_way(const struct pt_hv_op *op)
{
	return op->ctx && op->outcome == PT_MORE;
}

/* From a claim's waiter, in the section of who released: it hands on a message. */
static void woken(struct pt_waiter *waiter)
{
	struct pt_hv_op *op = PT__HV_OF(waiter, struct pt_hv_op, txn.claim.waiter);

	atomic_store_explicit(&op->woken, true, memory_order_release);
}

static struct pt_hv_op *begin(struct pt_hv_op *op, uint32_t place, struct pt_hv_ctx *c,
			      uint32_t kind)
{
	atomic_store(&op->handle,
		     pt__hv_next_handle(atomic_load(&op->handle), PT__HV_OPERATION, place));
	op->ctx = c;
	op->kind = kind;
	op->caller = 0;
	op->parked = false;
	op->does = PT_HV_CHANGES;
	op->transfer = NULL;
	op->outcome = PT_MORE;
	return op;
}

/* The one whose answer has waited longest, of those that are over; UINT64_MAX: under way. */
static uint64_t age_of(const struct pt_hv_op *op)
{
	return !op->ctx ? 0 : under_way(op) ? UINT64_MAX : op->serial;
}

struct pt_hv_op *pt__hv_op_take(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind)
{
	struct pt_hv_op *best = NULL;
	uint64_t age = UINT64_MAX;

	for (uint32_t i = 0; i < PT_HV_OPS; i++) {
		struct pt_hv_op *op = &hv->op[i];

		if (!pt__hv_try(&op->busy))
			continue;
		if (age_of(op) >= age) {
			pt__hv_done(&op->busy);
			continue;
		}
		if (best)
			pt__hv_done(&best->busy);
		best = op;
		age = age_of(op);
		if (!age)
			break;
	}
	return best ? begin(best, (uint32_t)(best - hv->op), c, kind) : NULL;
}

void pt__hv_op_change(struct pt_hv_op *op, const struct pt_item *item,
		      const struct pt_slots *publish)
{
	op->item = *item;
	(void)pt_txn_init(&op->txn, &op->item, 1, 0, false, woken);
	op->txn.publish = publish;
}

void pt__hv_op_end(struct pt_hv_op *op)
{
	(void)pt_ctx_destroy_begin(&op->txn, &op->ctx->ctx, woken);
	op->does = op->ctx->nest ? PT_HV_SHRINKS : PT_HV_CHANGES;
}

void pt__hv_op_drop(struct pt_hv_op *op)
{
	op->ctx = NULL;
	pt__hv_done(&op->busy);
}

static enum pt_outcome step(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op);

/* Operations of a context that is gone would name it: they come to their end first, which is quick,
 * since no claim is given any more. */
static bool others_over(struct pt_hv *hv, struct pt_agent *agent, const struct pt_hv_op *self)
{
	bool over = true;

	for (uint32_t i = 0; i < PT_HV_OPS && over; i++) {
		struct pt_hv_op *op = &hv->op[i];

		if (op == self)
			continue;
		if (!pt__hv_try(&op->busy))
			return false; /* whose it is cannot be read now */
		over = !under_way(op) || op->ctx != self->ctx;
		if (!over)
			(void)step(hv, agent, op);
		pt__hv_done(&op->busy);
	}
	return over;
}

/* Nobody uses the context any more: the books of its shadows go. False: not yet. */
static bool nest_over(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_ctx *c)
{
	bool over;

	if (!c->nest)
		return true;
	pt__hv_begin(hv, agent);
	over = pt_nested_close(&c->nest->nested, agent, PT_HVC_STEP) == PT_OK;
	pt_section_end(agent);
	if (over)
		pt__hv_nest_drop(c);
	return over;
}

/* Over, with `outcome`: what it was for is put in order. False: not yet. */
static bool finish(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op,
		   enum pt_outcome outcome)
{
	if (op->kind == PT_HVC_FINALIZE && outcome != PT_OK)
		atomic_store(&op->ctx->state, PT_HV_DYING);
	else if (op->kind == PT_HVC_DESTROY || op->kind == PT_HVC_FINALIZE) {
		if (!others_over(hv, agent, op) || !nest_over(hv, agent, op->ctx))
			return false;
		pt__hv_context_gone(op->ctx);
	}
	if (op->transfer)
		pt__hv_transfer_done(op);
	if (op->kind == PT_HVC_SET_SLOT || op->kind == PT_HVC_DELETE_SLOT)
		pt__hv_slots_changed(hv, agent, op->ctx, outcome == PT_OK);
	op->outcome = outcome;
	op->serial = atomic_fetch_add(&hv->serial, 1) + 1;
	return true;
}

static __attribute__((noinline)) enum pt_outcome other_work(struct pt_agent *agent,
							    struct pt_hv_op *op)
{
	if (op->does == PT_HV_LOOKS)
		return pt__hv_look(agent, op);
	if (op->does == PT_HV_INVALIDATES)
		return pt_guest_tlbi_step(&op->tlbi, agent, PT_HVC_STEP);
	if (pt__hv_nest_shrink(agent, op->ctx->nest, 0) == PT_OK)
		op->does = PT_HV_CHANGES;
	return PT_MORE;
}

static enum pt_outcome work(struct pt_agent *agent, struct pt_hv_op *op)
{
	if (op->does != PT_HV_CHANGES)
		return other_work(agent, op);
	return op->transfer ? pt__hv_transfer_step(agent, op)
			    : pt_txn_step(&op->txn, agent, PT_HVC_STEP);
}

static enum pt_outcome txn_step(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op)
{
	enum pt_outcome outcome;

	if (op->parked && !atomic_load_explicit(&op->woken, memory_order_acquire))
		return PT_PARKED;
	/* What finish() waits for. */
	if (!op->transfer && op->does == PT_HV_CHANGES && op->txn.phase == PT_TXN_DONE)
		return PT_OK;
	atomic_store_explicit(&op->woken, false, memory_order_relaxed);
	pt__hv_begin(hv, agent);
	outcome = work(agent, op);
	pt_section_end(agent);
	op->parked = outcome == PT_PARKED;
	return outcome;
}

/* PT_MORE, PT_PARKED, or how it ended. */
static enum pt_outcome step(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op)
{
	enum pt_outcome outcome = txn_step(hv, agent, op);

	return pt_is_control(outcome) || finish(hv, agent, op, outcome) ? outcome : PT_MORE;
}

/* Of an operation that is over; its place is free with it. */
static struct pt__hv_answer answer_of(struct pt_hv_op *op)
{
	const struct pt_effects *e = &op->txn.effects;
	const struct pt_error *error = &op->txn.error;
	struct pt__hv_answer answer = {op->outcome, {0}};

	op->ctx = NULL;
	if (op->does == PT_HV_LOOKS) {
		answer.x[0] = op->outcome == PT_WRONG_STATE ? op->final.at : 0;
		return answer;
	}
	if (op->does == PT_HV_INVALIDATES) {
		answer.x[0] = op->tlbi.removed;
		answer.x[1] = op->tlbi.shadows;
		return answer;
	}
	if (op->outcome != PT_OK) {
		answer.x[0] = error->ipa.v;
		answer.x[1] = (uint64_t)(int64_t)error->level;
		return answer;
	}
	if (op->kind == PT_HVC_MAP || op->kind == PT_HVC_UNMAP || op->kind == PT_HVC_PROTECT)
		answer.outcome = (enum pt_outcome)op->item.outcome;
	answer.x[0] = e->leaves_written;
	answer.x[1] = e->leaves_removed;
	answer.x[2] = e->blocks_split | (uint64_t)e->tlbis << 32;
	return answer;
}

/* Who waits in a context may wait for a transition that waits in another one. */
static void make_way(struct pt_hv *hv, struct pt_agent *agent, const struct pt_ctx *ctx)
{
	if (hv->owners)
		(void)pt__hv_recycle(hv, agent, false);
	pt__hv_help(hv, agent, hv->owners ? NULL : ctx);
}

struct pt__hv_answer pt__hv_op_go(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op)
{
	struct pt__hv_answer answer = {PT_MORE, {atomic_load(&op->handle), 0, 0}};
	enum pt_outcome outcome = op->outcome == PT_MORE ? step(hv, agent, op) : op->outcome;
	const struct pt_ctx *ctx = &op->ctx->ctx;
	bool waits = outcome == PT_PARKED || (outcome == PT_MORE && op->kind == PT_HVC_TEARDOWN);

	if (!pt_is_control(outcome))
		answer = answer_of(op);
	/* First this: whoever has the claim that it waits for may come to wait for this one. */
	pt__hv_done(&op->busy);
	if (waits)
		make_way(hv, agent, ctx);
	return answer;
}

static struct pt_hv_op *of_handle(struct pt_hv *hv, uint64_t handle, enum pt_outcome *outcome)
{
	uint32_t place = pt__hv_place(handle);
	uint64_t now = place < PT_HV_OPS ? atomic_load(&hv->op[place].handle) : 0;

	*outcome = PT_NOT_FOUND;
	if (handle == now && now)
		return &hv->op[place];
	if (handle < now && handle >= pt__hv_handle(PT__HV_OPERATION, 1, place))
		*outcome = PT_REPLY_GONE;
	return NULL;
}

struct pt__hv_answer pt__hv_continue(struct pt_hv *hv, struct pt_agent *agent, uint32_t caller,
				     const uint64_t *arg)
{
	enum pt_outcome outcome;
	struct pt_hv_op *op = of_handle(hv, arg[0], &outcome);

	if (!op)
		return pt__hv_answer(outcome);
	if (!pt__hv_try(&op->busy)) /* another CPU does it */
		return (struct pt__hv_answer){PT_MORE, {arg[0], 0, 0}};
	outcome = op->caller == caller ? PT_REPLY_GONE : PT_NOT_FOUND;
	if (op->ctx && atomic_load(&op->handle) == arg[0] && op->caller == caller)
		return pt__hv_op_go(hv, agent, op);
	pt__hv_done(&op->busy);
	return pt__hv_answer(outcome); /* its answer was fetched, or it is not the caller's */
}

/* It waits for no claim, and nobody for it. */
struct pt__hv_answer pt__hv_nest_tlbi(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt_hv_ctx *c = hv->running[agent->id];
	struct pt_guest_tlbi tlbi;
	enum pt_outcome outcome = PT_INVALID;
	struct pt_hv_op *op;

	if (!(arg[0] >> 32))
		outcome = pt_guest_tlbi_decode((uint32_t)arg[0], arg[1], arg[3], &tlbi);
	if (outcome != PT_OK)
		return pt__hv_answer(outcome);
	op = pt__hv_op_take(hv, c, PT_HVC_NEST_TLBI);
	if (!op)
		return pt__hv_answer(PT_BUSY);
	op->caller = (uint32_t)(c - hv->guest) + 1;
	op->does = PT_HV_INVALIDATES;
	pt_guest_tlbi_begin(&op->tlbi, &c->nest->nested, (uint16_t)(arg[2] >> 48), &tlbi);
	return pt__hv_op_go(hv, agent, op);
}

static bool can_go_on(const struct pt_hv_op *op, const struct pt_ctx *ctx)
{
	return under_way(op) && (!ctx || op->transfer || &op->ctx->ctx == ctx) &&
	       !(op->parked && !atomic_load_explicit(&op->woken, memory_order_acquire));
}

static bool help(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op,
		 const struct pt_ctx *ctx)
{
	bool can;

	if (!pt__hv_try(&op->busy))
		return false;
	can = can_go_on(op, ctx);
	if (can)
		(void)step(hv, agent, op);
	pt__hv_done(&op->busy);
	return can;
}

void pt__hv_help(struct pt_hv *hv, struct pt_agent *agent, const struct pt_ctx *ctx)
{
	uint32_t from = atomic_fetch_add(&hv->helped, 1);

	for (uint32_t i = 0; i < PT_HV_OPS; i++)
		if (help(hv, agent, &hv->op[(from + i) % PT_HV_OPS], ctx))
			return;
}
