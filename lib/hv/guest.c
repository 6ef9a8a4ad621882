/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a guest in a machine with owners: its place, its handle, its context. */
#include "internal.h"

static bool turn(struct pt_hv_ctx *c, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&c->state, &from, to);
}

static uint32_t place_of(const struct pt_hv *hv, const struct pt_hv_ctx *c)
{
	return (uint32_t)(c - hv->guest);
}

struct pt_hv_ctx *pt__hv_guest(struct pt_hv *hv, uint64_t handle)
{
	uint32_t place = pt__hv_place(handle);
	struct pt_hv_ctx *c = &hv->guest[place % PT_HV_CONTEXTS];

	if (place >= PT_HV_CONTEXTS || atomic_load(&c->handle) != handle ||
	    atomic_load(&c->state) == PT_HV_FREE)
		return NULL;
	return c;
}

/* A handle that was only given: it is nobody's again. */
static enum pt_outcome give_up(struct pt_hv *hv, struct pt_agent *agent, uint32_t place)
{
	struct pt_guest_final final;
	enum pt_outcome outcome;

	pt_guest_finalize_init(&final, &hv->owners->machine, place);
	pt__hv_begin(hv, agent);
	outcome = pt_guest_finalize_step(&final, agent, PT_HVC_STEP);
	pt_section_end(agent);
	return outcome;
}

/* The life that lib/owner keeps ends first, and then the context: until that has gone the place is
 * taken, and lib's is given back. */
struct pt__hv_answer pt__hv_reserve(struct pt_hv *hv, struct pt_agent *agent)
{
	struct pt__hv_answer answer = {PT_OK, {0}};
	struct pt_hv_ctx *c;
	uint32_t place;

	answer.outcome = pt_guest_reserve(&hv->owners->machine, &place);
	if (answer.outcome != PT_OK)
		return answer;
	c = &hv->guest[place];
	if (!turn(c, PT_HV_FREE, PT_HV_MAKING)) {
		(void)give_up(hv, agent, place);
		return pt__hv_answer(PT_BUSY);
	}
	answer.x[0] = pt__hv_next_handle(atomic_load(&c->handle), PT__HV_CONTEXT, place);
	atomic_store(&c->handle, answer.x[0]);
	atomic_store(&c->state, PT_HV_RESERVED);
	return answer;
}

static enum pt_outcome create(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_ctx *c,
			      const struct pt_geometry *geo, const uint64_t *arg)
{
	enum pt_outcome outcome;

	if (!turn(c, PT_HV_RESERVED, PT_HV_MAKING))
		return atomic_load(&c->state) == PT_HV_FREE ? PT_NOT_FOUND : PT_WRONG_STATE;
	outcome = pt__hv_context_make(hv, agent, c, geo, pt_geometry_vtcr_flags(arg[1]), arg[2],
				      arg[4]);
	if (outcome == PT_OK) {
		outcome = pt_guest_create(&hv->owners->machine, place_of(hv, c), &c->ctx,
					  arg[3] & PT_HVC_PROTECTED);
		if (outcome != PT_OK) /* its table memory is changing */
			pt__hv_context_undo(c, agent);
	}
	atomic_store(&c->state, outcome == PT_OK ? PT_HV_LIVE : PT_HV_RESERVED);
	return outcome;
}

struct pt__hv_answer pt__hv_create_guest(struct pt_hv *hv, struct pt_agent *agent,
					 const uint64_t *arg)
{
	struct pt_geometry geo;
	enum pt_outcome outcome = pt__hv_geometry(hv, arg[1], &geo);
	struct pt_hv_ctx *c = pt__hv_guest(hv, arg[0]);

	if (outcome == PT_OK && arg[3] & ~(uint64_t)PT_HVC_PROTECTED)
		outcome = PT_INVALID;
	if (outcome == PT_OK && !c)
		outcome = PT_NOT_FOUND;
	if (outcome != PT_OK)
		return pt__hv_answer(outcome);
	pt__hv_begin(hv, agent);
	outcome = create(hv, agent, c, &geo, arg);
	pt_section_end(agent);
	return pt__hv_answer(outcome);
}

static enum pt_outcome teardown(struct pt_hv *hv, struct pt_hv_ctx *c)
{
	enum pt_outcome outcome = pt__hv_begin_end(c);

	if (outcome == PT_NOT_FOUND)
		return atomic_load(&c->state) == PT_HV_FREE ? PT_NOT_FOUND : PT_WRONG_STATE;
	if (outcome == PT_OK)
		outcome = pt_guest_teardown(&hv->owners->machine, place_of(hv, c));
	return outcome;
}

/* Once it has begun it cannot fail: what the guest owes to lendings is an operation from the first.
 */
struct pt__hv_answer pt__hv_teardown(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt_hv_ctx *c = pt__hv_guest(hv, arg[0]);
	struct pt_lend_args args = {.kind = PT_LEND_LEAVE};
	struct pt_hv_op *op;
	enum pt_outcome outcome;

	if (!c)
		return pt__hv_answer(PT_NOT_FOUND);
	args.who = place_of(hv, c);
	outcome = pt__hv_lend_begin(hv, c, PT_HVC_TEARDOWN, &args, &op);
	if (outcome != PT_OK)
		return pt__hv_answer(outcome);
	pt__hv_begin(hv, agent);
	outcome = teardown(hv, c);
	pt_section_end(agent);
	if (outcome == PT_OK)
		return pt__hv_op_go(hv, agent, op);
	pt__hv_transfer_done(op);
	pt__hv_op_drop(op);
	return pt__hv_answer(outcome);
}

/* A TEARDOWN that meets a CPU in the guest takes its DYING back: lib knows for good. */
static bool is_dying(const struct pt_hv *hv, const struct pt_hv_ctx *c)
{
	return atomic_load(&hv->owners->guest[place_of(hv, c)].life) == PT_GUEST_DYING;
}

struct pt__hv_answer pt__hv_finalize(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt_hv_ctx *c = pt__hv_guest(hv, arg[0]);
	struct pt_lend_args args = {.kind = PT_LEND_LEAVE};
	enum pt_outcome outcome;
	struct pt_hv_op *op;

	if (!c)
		return pt__hv_answer(PT_NOT_FOUND);
	if (turn(c, PT_HV_RESERVED, PT_HV_MAKING)) {
		outcome = give_up(hv, agent, place_of(hv, c));
		atomic_store(&c->state, outcome == PT_OK ? PT_HV_FREE : PT_HV_RESERVED);
		return pt__hv_answer(outcome);
	}
	if (!is_dying(hv, c) || !turn(c, PT_HV_DYING, PT_HV_ENDING))
		return pt__hv_answer(PT_WRONG_STATE);
	/* What TEARDOWN, or who has relinquished since, had no memory for. */
	args.who = place_of(hv, c);
	outcome = pt__hv_lend_begin(hv, c, PT_HVC_FINALIZE, &args, &op);
	if (outcome != PT_OK) {
		atomic_store(&c->state, PT_HV_DYING);
		return pt__hv_answer(outcome);
	}
	pt_guest_finalize_init(&op->final, &hv->owners->machine, place_of(hv, c));
	op->does = PT_HV_LOOKS;
	return pt__hv_op_go(hv, agent, op);
}

static enum pt_outcome leave(struct pt_agent *agent, struct pt_hv_op *op)
{
	enum pt_outcome outcome = pt__hv_transfer_step(agent, op);

	if (outcome == PT_OK)
		pt__hv_transfer_done(op);
	return outcome;
}

enum pt_outcome pt__hv_look(struct pt_agent *agent, struct pt_hv_op *op)
{
	enum pt_outcome outcome = op->transfer ? leave(agent, op) : PT_OK;

	if (outcome == PT_OK) /* the last step of leaving finds nothing */
		outcome = pt_guest_finalize_step(&op->final, agent, PT_HVC_STEP);
	if (outcome != PT_OK)
		return outcome;
	pt__hv_op_end(op);
	return PT_MORE;
}
