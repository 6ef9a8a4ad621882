/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls of lending: each is a transition over all frames of a lending, which is judged again
 * under its claims (lending.c). */
#include "lending.h"

enum pt_outcome pt_lend_init(struct pt_lend *call, const struct pt_lend_args *args)
{
	bool piece = args->kind == PT_LEND_PIECE;
	bool good = args->kind >= PT_LEND_PIECE && args->kind <= PT_LEND_LEAVE;

	if ((!piece && args->kind != PT_LEND_RETRIEVE && args->at) || (!piece && args->size) ||
	    (args->kind == PT_LEND_LEAVE && args->handle))
		good = false;
	call->args = *args;
	call->phase = good ? PT_LEND_BEGIN : PT_LEND_DONE;
	call->slot = 0;
	call->busy = call->complete = false;
	call->effects = (struct pt_effects){0};
	call->error =
		(struct pt_error){good ? PT_OK : PT_INVALID, 0, pt_ipa(args->at), PT_TTL_UNKNOWN};
	return call->error.code;
}

static enum pt_outcome end_with(struct pt_lend *call, enum pt_outcome outcome)
{
	call->error = (struct pt_error){outcome, 0, pt_ipa(call->args.at), PT_TTL_UNKNOWN};
	call->phase = PT_LEND_DONE;
	return PT_OK;
}

/* The lending's frames, and where a guest has them or is to have them. */
static void name_frames(struct pt_lend *call, const struct pt_lending *l, uint64_t ipa)
{
	bool frames = call->kind != PT_LEND || l->lender == PT_NO_GUEST;
	bool guest = call->who != PT_NO_GUEST;

	for (uint32_t i = 0; i < l->runs; i++) {
		const struct pt_transfer_run *run = &l->run[i];
		bool borrows = call->kind == PT_RETRIEVE || call->kind == PT_RELINQUISH;

		call->range[i] =
			(struct pt_transfer_range){.pa = frames ? run->pa : 0,
						   .ipa = {guest ? (borrows ? ipa : run->ipa) : 0},
						   .size = run->size,
						   .guest = guest ? call->who : 0};
		ipa += run->size;
	}
}

/* A transition over a lending, as it is now; with the lock. */
static void begin(struct pt_lend *call, const struct pt_lending *l, enum pt_transfer_kind kind,
		  uint32_t who, uint64_t ipa)
{
	struct pt_transfer_args args = {.owners = call->args.owners,
					.kind = kind,
					.range = call->range,
					.ranges = l->runs,
					.id = call->args.id,
					.wake = call->args.wake};

	call->kind = kind;
	call->who = who;
	call->handle = l->handle;
	name_frames(call, l, ipa);
	/* Cannot fail: lists, and machines that lend, are what it asks for. */
	pt__transfer_init(&call->t, &args, pt__lend_row(kind, l->lender == PT_NO_GUEST), call);
}

/* The caller is a party. */
static enum pt_outcome check_caller(const struct pt_lend *call)
{
	const struct pt_lend_args *a = &call->args;

	if (a->kind == PT_LEND_PIECE || (a->kind == PT_LEND_RECLAIM && a->who == PT_NO_GUEST))
		return PT_OK;
	return pt__party(a->owners, a->who);
}

static enum pt_outcome add_piece(struct pt_lend *call, struct pt_lending *l)
{
	enum pt_outcome outcome;

	if (l->lender != call->args.who)
		return PT_WRONG_OWNER;
	if (l->state != PT_LENDING_OPEN)
		return PT_WRONG_STATE;
	outcome = pt__lending_add(call->args.owners, l, call->args.at, call->args.size);
	call->complete = outcome == PT_OK && l->state == PT_LENDING_CHANGING;
	if (call->complete)
		begin(call, l, PT_LEND, l->lender, 0);
	return outcome;
}

static enum pt_outcome begin_call(struct pt_lend *call, struct pt_lending *l)
{
	static const uint8_t kinds[] = {[PT_LEND_RETRIEVE] = PT_RETRIEVE,
					[PT_LEND_RELINQUISH] = PT_RELINQUISH,
					[PT_LEND_RECLAIM] = PT_TAKE_BACK};
	uint32_t kind = kinds[call->args.kind], who = call->args.who;
	enum pt_outcome outcome = pt__lending_admits(call->args.owners, l, kind, who);

	if (outcome == PT_OK)
		begin(call, l, kind, who,
		      kind == PT_RELINQUISH ? pt__borrower_of(l, who)->ipa : call->args.at);
	return outcome;
}

static enum pt_outcome find_and_begin(struct pt_lend *call)
{
	enum pt_outcome outcome = check_caller(call);
	struct pt_lending *l;

	if (outcome != PT_OK)
		return outcome;
	l = pt__lending_of(call->args.owners, call->args.handle);
	if (!l)
		return PT_NOT_FOUND;
	return call->args.kind == PT_LEND_PIECE ? add_piece(call, l) : begin_call(call, l);
}

/* What a dying guest owes to this lending. False: nothing. */
static bool begin_leaving(struct pt_lend *call, struct pt_lending *l)
{
	const struct pt_borrower *b = pt__borrower_of(l, call->args.who);

	if (!l->handle || l->state != PT_LENDING_LENT)
		return false;
	if (b && b->has)
		begin(call, l, PT_RELINQUISH, b->guest, b->ipa);
	else if (l->lender == call->args.who && !pt__have_it(l))
		begin(call, l, PT_TAKE_BACK, l->lender, 0);
	else
		return false;
	return true;
}

/* From slot to slot, each until there is nothing to be done for it. */
static enum pt_outcome leave(struct pt_lend *call)
{
	struct pt_machine_owners *o = call->args.owners;
	enum pt_outcome outcome = pt__party(o, call->args.who);

	if (outcome != PT_WRONG_STATE ||
	    atomic_load(&o->guest[call->args.who].life) != PT_GUEST_DYING)
		return end_with(call, outcome == PT_NOT_FOUND ? outcome : PT_WRONG_STATE);
	if (!call->slot)
		call->busy = atomic_load(&o->guest[call->args.who].users);
	call->phase = PT_LEND_RUN;
	while (call->slot < o->lendings)
		if (begin_leaving(call, &o->lending[call->slot++]))
			return PT_OK;
	return end_with(call, call->busy ? PT_BUSY : PT_OK);
}

static enum pt_outcome begin_any(struct pt_lend *call)
{
	enum pt_outcome outcome;

	pt__lend_lock(call->args.owners);
	if (call->args.kind == PT_LEND_LEAVE) {
		leave(call);
		pt__lend_unlock(call->args.owners);
		return PT_OK;
	}
	outcome = find_and_begin(call);
	pt__lend_unlock(call->args.owners);
	call->phase = PT_LEND_RUN;
	if (outcome != PT_OK || (call->args.kind == PT_LEND_PIECE && !call->complete))
		return end_with(call, outcome);
	return PT_OK;
}

/* A list whose last piece was refused is gone. */
static void drop_list(struct pt_lend *call)
{
	pt__lend_lock(call->args.owners);
	pt__lending_end(pt__lending_of(call->args.owners, call->handle));
	pt__lend_unlock(call->args.owners);
}

/* The caller's address: where it has the frame, or wanted it. */
static void take_error(struct pt_lend *call)
{
	const struct pt_error *e = &call->t.error;

	call->error = *e;
	if (call->kind != PT_LEND && call->who != PT_NO_GUEST) { /* named by frame, too */
		const struct pt_transfer_range *r = &call->range[e->index];

		call->error.index = 0;
		call->error.ipa = pt_ipa(r->ipa.v + (e->ipa.v - r->pa));
	}
}

/* Nobody has it, and its lender dies. */
static bool begin_last(struct pt_lend *call)
{
	struct pt_lending *l;
	bool last;

	pt__lend_lock(call->args.owners);
	l = pt__lending_of(call->args.owners, call->handle);
	last = l && l->state == PT_LENDING_LENT && pt__lender_dies(call->args.owners, l) &&
	       !pt__have_it(l);
	if (last)
		begin(call, l, PT_TAKE_BACK, l->lender, 0);
	pt__lend_unlock(call->args.owners);
	return last;
}

/* Somebody else has done it, or will. */
static bool is_others(enum pt_outcome outcome)
{
	return outcome == PT_NOT_FOUND || outcome == PT_WRONG_STATE || outcome == PT_BUSY;
}

static void next(struct pt_lend *call)
{
	call->error.code = PT_OK;
	call->phase = call->args.kind == PT_LEND_LEAVE ? PT_LEND_BEGIN : PT_LEND_DONE;
}

static void ran(struct pt_lend *call, enum pt_outcome outcome)
{
	bool leaves = call->args.kind == PT_LEND_LEAVE;

	if (outcome != PT_OK && !(leaves && is_others(outcome))) {
		take_error(call);
		if (call->kind == PT_LEND)
			drop_list(call);
		call->phase = PT_LEND_DONE;
		return;
	}
	if (outcome == PT_OK)
		pt_effects_add(&call->effects, &call->t.effects);
	if (outcome == PT_OK && call->kind == PT_RELINQUISH && begin_last(call))
		call->phase = PT_LEND_LAST;
	else
		next(call);
}

/* The caller has relinquished, whatever comes of the rest: LEAVE of the lender does it then. */
static void ran_last(struct pt_lend *call, enum pt_outcome outcome)
{
	if (outcome == PT_OK)
		pt_effects_add(&call->effects, &call->t.effects);
	next(call);
}

enum pt_outcome pt_lend_step(struct pt_lend *call, struct pt_agent *agent, uint32_t budget)
{
	enum pt_outcome outcome;

	if (call->phase == PT_LEND_BEGIN)
		begin_any(call);
	if (call->phase == PT_LEND_DONE)
		return call->error.code;
	outcome = pt_transfer_step(&call->t, agent, budget);
	if (pt_is_control(outcome))
		return outcome;
	if (call->phase == PT_LEND_LAST)
		ran_last(call, outcome);
	else
		ran(call, outcome);
	return call->phase == PT_LEND_DONE ? call->error.code : PT_MORE;
}

bool pt_lend_abort(struct pt_lend *call, struct pt_agent *agent)
{
	if (call->phase == PT_LEND_BEGIN) {
		end_with(call, PT_CANCELLED);
		return true;
	}
	return call->phase == PT_LEND_RUN && pt_transfer_abort(&call->t, agent);
}
