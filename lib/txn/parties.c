/* SPDX-License-Identifier: BSD-2-Clause */
/* A transaction over several contexts. */
#include "legs.h"
#include "range.h"

/* clang-format off */
/*
 * Each party is a pt_txn of its own, a leg, that is never stepped by itself: what it claims, prepares
 * and commits is its own (txn.c), when it does so is decided here.
 *
 * CLAIM    the hulls of all legs at once; may queue, and then holds none.
 * DRAIN    waits for the sections that began before.
 * CHECK    the hook. From here on what was reserved is given back by undo.
 * PREPARE  leg by leg; a leg whose claim cuts a block that a fault has put there in time sends all
 *          back to CLAIM, with empty hands.
 * BETWEEN  the hook, with `at` legs done.
 * COMMIT   leg `at`, whose claim no leg before the last gives up.
 * GRACE    waits for accesses in flight that used what the leg took away. Then BETWEEN again.
 * RETIRE   all claims are released; who waits for them is looked at in steps.
 */
/* clang-format on */

static enum pt_outcome claim(struct pt_parties *p)
{
	struct pt_claim *claims[PT_PARTIES];
	enum pt_outcome outcome;

	if (p->leg[0].claim.ctx)
		return pt__claim_activate(&p->leg[0].claim) ? PT_OK : PT_PARKED;
	for (uint32_t i = 0; i < p->legs; i++)
		if (pt__is_dying(pt__leg_ctx(&p->leg[i])))
			return pt__parties_refuse(p, PT_WRONG_STATE, pt__leg_index(p, &p->leg[i]));
	for (uint32_t i = 0; i < p->legs; i++) {
		struct pt_txn *leg = &p->leg[i];

		leg->claim.ctx = pt__leg_ctx(leg);
		pt__hull(leg, &leg->claim.lo, &leg->claim.hi);
		claims[i] = &leg->claim;
	}
	outcome = pt__claims_acquire(claims, p->legs, PT_CLAIM_EXCLUSIVE, true, p->args.wake);
	if (!pt_is_error(outcome))
		return outcome;
	for (uint32_t i = 0; i < p->legs; i++)
		p->leg[i].claim.ctx = NULL;
	return pt__parties_refuse(p, outcome, 0); /* a teardown began in this section */
}

static void let_go(struct pt_parties *p)
{
	struct pt_claim *claims[PT_PARTIES];

	for (uint32_t i = 0; i < p->legs; i++)
		claims[i] = &p->leg[i].claim;
	p->waited = pt__claims_let_go(claims, p->legs);
}

/* Everything but the claims. */
static void undo(struct pt_parties *p)
{
	for (uint32_t i = 0; i < p->legs; i++)
		pt__pages_give(p->agent, pt__leg_ctx(&p->leg[i]), &p->leg[i].reserved);
	if (p->checked && p->args.hooks && p->args.hooks->undo)
		p->args.hooks->undo(p->args.arg, p->agent);
	p->checked = false;
}

static void drop_claims(struct pt_parties *p)
{
	if (p->leg[0].claim.ctx && !pt_claim_cancel(&p->leg[0].claim))
		for (uint32_t i = 0; i < p->legs; i++)
			pt_claim_release(&p->leg[i].claim);
	for (uint32_t i = 0; i < p->legs; i++)
		p->leg[i].claim.ctx = NULL;
}

static void give_back(struct pt_parties *p)
{
	undo(p);
	drop_claims(p);
	p->phase = PT_PARTIES_DONE;
}

static enum pt_outcome drain(struct pt_parties *p)
{
	if (!pt_grace_done(&p->grace, pt__leg_ctx(&p->leg[0])->machine))
		return PT_MORE;
	for (uint32_t i = 0; i < p->legs; i++) {
		const struct pt_claim *claim = &p->leg[i].claim;

		pt_port_note(PT_EVENT_CLAIM_DRAINED, 0, claim, claim->ctx, claim->lo, claim->hi);
		pt__start_plan(&p->leg[i]);
	}
	p->at = 0;
	p->phase = PT_PARTIES_CHECK;
	return PT_OK;
}

static enum pt_outcome check(struct pt_parties *p, int64_t *left)
{
	const struct pt_parties_hooks *hooks = p->args.hooks;
	enum pt_outcome outcome = PT_OK;

	if (hooks && hooks->check) {
		if (!p->checked)
			p->error = (struct pt_error){PT_OK, 0, p->args.item[0].ipa, PT_TTL_UNKNOWN};
		p->checked = true;
		outcome = hooks->check(p->args.arg, p->agent, left, &p->error);
		p->error.code = pt_is_error(outcome) ? outcome : PT_OK;
	}
	if (outcome == PT_OK)
		p->phase = PT_PARTIES_PREPARE;
	return outcome;
}

/* Where a claim was too narrow. */
static void widen(struct pt_parties *p)
{
	undo(p);
	drop_claims(p);
	p->leg[p->at].wide = true;
	p->phase = PT_PARTIES_CLAIM;
}

/* From here on the operation completes whatever its client does. */
static enum pt_outcome commit_point(struct pt_parties *p)
{
	if (!pt__legs_count(p))
		return pt__legs_mismatch(p);
	pt_port_note(PT_EVENT_OP_COMMIT, 0, p, pt__leg_ctx(&p->leg[0]), 0, 0);
	p->committed = true;
	for (uint32_t i = 0; i < p->legs; i++)
		pt__rewind(&p->leg[i]);
	p->at = 0;
	p->phase = PT_PARTIES_BETWEEN;
	return PT_OK;
}

static enum pt_outcome plan(struct pt_parties *p, int64_t *left)
{
	enum pt_outcome outcome = PT_OK;

	while (p->at < p->legs && (pt__leg_needs_nothing(&p->leg[p->at]) ||
				   (outcome = pt__plan(&p->leg[p->at], left)) == PT_OK))
		p->at++;
	if (pt_is_error(outcome)) {
		p->error = p->leg[p->at].error;
		p->error.index += pt__leg_index(p, &p->leg[p->at]);
	}
	return outcome;
}

static enum pt_outcome prepare(struct pt_parties *p, int64_t *left)
{
	enum pt_outcome outcome = plan(p, left);

	if (outcome == PT_PARKED) {
		widen(p);
		return PT_OK;
	}
	if (outcome != PT_OK)
		return outcome;
	if (!p->args.validate_only)
		return commit_point(p);
	if (!pt__legs_same(p))
		return pt__legs_mismatch(p);
	pt__legs_total(p);
	give_back(p);
	return PT_OK;
}

static void begin_grace(struct pt_parties *p, bool needed)
{
	pt_grace_begin(&p->grace, pt__leg_ctx(&p->leg[0])->machine, p->agent);
	if (!needed)
		p->grace.mask = 0;
}

static enum pt_outcome between(struct pt_parties *p, int64_t *left)
{
	const struct pt_parties_hooks *hooks = p->args.hooks;

	if (hooks && hooks->between && !hooks->between(p->args.arg, p->agent, p->at, left))
		return PT_MORE;
	p->phase = PT_PARTIES_COMMIT;
	if (p->at == p->legs) {
		pt__legs_total(p);
		let_go(p);
		p->phase = PT_PARTIES_RETIRE;
	}
	return PT_OK;
}

/* Nothing is owed or left over at the end of a leg. */
static enum pt_outcome commit(struct pt_parties *p, int64_t *left)
{
	struct pt_txn *leg = &p->leg[p->at];
	enum pt_outcome outcome = pt__leg_carry_out(leg, left) ? PT_OK : pt__commit(leg, left);

	if (outcome != PT_OK)
		return outcome;
	pt__flush(leg);
	pt__pages_give(p->agent, pt__leg_ctx(leg), &leg->reserved);
	begin_grace(p, leg->flushed);
	p->phase = PT_PARTIES_GRACE;
	return PT_OK;
}

static enum pt_outcome retire(struct pt_parties *p)
{
	bool more = false;

	for (uint32_t i = 0; i < p->legs; i++)
		more |= p->waited >> i & 1 &&
			pt__claims_go_on(pt__leg_ctx(&p->leg[i]), &p->leg[i].claim);
	if (more)
		return PT_MORE;
	p->phase = PT_PARTIES_DONE;
	return PT_OK;
}

/* One phase, or a part of it. PT_OK: go on at once. */
static enum pt_outcome phase(struct pt_parties *p, int64_t *left)
{
	enum pt_outcome outcome;

	switch (p->phase) {
	case PT_PARTIES_CLAIM:
		outcome = claim(p);
		if (outcome == PT_OK) {
			begin_grace(p, true);
			p->phase = PT_PARTIES_DRAIN;
		}
		return outcome;
	case PT_PARTIES_DRAIN: return drain(p);
	case PT_PARTIES_CHECK: return check(p, left);
	case PT_PARTIES_PREPARE: return prepare(p, left);
	case PT_PARTIES_BETWEEN: return between(p, left);
	case PT_PARTIES_COMMIT: return commit(p, left);
	case PT_PARTIES_GRACE:
		if (!pt_grace_done(&p->grace, pt__leg_ctx(&p->leg[0])->machine))
			return PT_MORE;
		p->at++;
		p->phase = PT_PARTIES_BETWEEN;
		return PT_OK;
	case PT_PARTIES_RETIRE: return retire(p);
	case PT_PARTIES_DONE: break;
	}
	return PT_OK;
}

static enum pt_outcome step(struct pt_parties *p, struct pt_agent *agent, int64_t left)
{
	p->agent = agent;
	for (uint32_t i = 0; i < p->legs; i++)
		p->leg[i].agent = agent;
	if (p->phase != PT_PARTIES_DONE)
		pt_machine_use(pt__leg_ctx(&p->leg[0])->machine, agent);
	while (p->phase != PT_PARTIES_DONE) {
		enum pt_outcome outcome = phase(p, &left);

		if (pt_is_error(outcome))
			give_back(p);
		else if (outcome != PT_OK)
			return outcome;
		if (left <= 0 && p->phase != PT_PARTIES_DONE)
			return PT_MORE;
	}
	return p->error.code;
}

static void note_op(enum pt_event_kind kind, const struct pt_parties *p, uint64_t lo)
{
	pt_port_note(kind, PT_OP_TXN, p, p->legs ? pt__leg_ctx(&p->leg[0]) : NULL, lo, 0);
}

enum pt_outcome pt_parties_step(struct pt_parties *parties, struct pt_agent *agent, uint32_t budget)
{
	enum pt_outcome outcome;

	note_op(PT_EVENT_OP_BEGIN, parties, (uintptr_t)agent);
	outcome = step(parties, agent, budget ? budget : 1);
	note_op(PT_EVENT_OP_END, parties, outcome);
	return outcome;
}

bool pt_parties_abort(struct pt_parties *parties, struct pt_agent *agent)
{
	if (parties->committed)
		return false;
	parties->agent = agent;
	note_op(PT_EVENT_OP_BEGIN, parties, (uintptr_t)agent);
	if (parties->phase != PT_PARTIES_DONE)
		give_back(parties);
	note_op(PT_EVENT_OP_END, parties, PT_OK);
	return true;
}
