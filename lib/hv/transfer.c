/* SPDX-License-Identifier: BSD-2-Clause */
/* Transitions as hypercalls: arguments, and operations that carry them out. */
#include "internal.h"

/* Where the arguments of a call are. */
enum form { BY_FRAME, BY_GUEST, BY_BOTH, BY_CALLER, TO_GUEST };

static const struct row {
	uint8_t kind, form;
	bool last; /* one argument more: prot of SHARE_GUEST, else flags */
} rows[PT_HVC_COUNT] = {
	[PT_HVC_SHARE_HYP] = {PT_SHARE_HYP, BY_FRAME, false},
	[PT_HVC_UNSHARE_HYP] = {PT_UNSHARE_HYP, BY_FRAME, false},
	[PT_HVC_PIN] = {PT_PIN, BY_FRAME, false},
	[PT_HVC_UNPIN] = {PT_UNPIN, BY_FRAME, false},
	[PT_HVC_DONATE_HYP] = {PT_DONATE_HYP, BY_FRAME, true},
	[PT_HVC_RETURN_HYP] = {PT_RETURN_HYP, BY_FRAME, false},
	[PT_HVC_SHARE_THIRD] = {PT_SHARE_THIRD, BY_FRAME, false},
	[PT_HVC_UNSHARE_THIRD] = {PT_UNSHARE_THIRD, BY_FRAME, false},
	[PT_HVC_SHARE_GUEST] = {PT_SHARE_GUEST, BY_BOTH, true},
	[PT_HVC_UNSHARE_GUEST] = {PT_UNSHARE_GUEST, BY_GUEST, false},
	[PT_HVC_DONATE_GUEST] = {PT_DONATE_GUEST, BY_BOTH, true},
	[PT_HVC_SHARE_BACK] = {PT_SHARE_BACK, BY_CALLER, false},
	[PT_HVC_UNSHARE_BACK] = {PT_UNSHARE_BACK, BY_CALLER, false},
	[PT_HVC_BALLOON] = {PT_BALLOON, BY_CALLER, false},
	[PT_HVC_FORCE_RECLAIM] = {PT_FORCE_RECLAIM, BY_FRAME, false},
	[PT_HVC_RECLAIM_DYING] = {PT_RECLAIM_DYING, BY_GUEST, false},
	[PT_HVC_TOP_UP] = {PT_TOP_UP, TO_GUEST, false},
	[PT_HVC_RECLAIM_TABLES] = {PT_RECLAIM_TABLES, TO_GUEST, false},
};

static void woken(struct pt_waiter *waiter)
{
	struct pt_hv_transfer *t =
		PT__HV_OF(waiter, struct pt_hv_transfer, lend.t.parties.leg[0].claim.waiter);

	atomic_store_explicit(&t->op->woken, true, memory_order_release);
}

static bool last_of(const struct row *row, uint64_t last, struct pt_transfer_args *args)
{
	if (row->kind == PT_SHARE_GUEST)
		args->prot = (uint32_t)last;
	else
		args->wipe = last & PT_HVC_WIPE;
	return row->kind == PT_SHARE_GUEST ? !(last >> 32) : !(last & ~(uint64_t)PT_HVC_WIPE);
}

/* False: an argument that there is not. */
static bool args_of(const struct row *row, const uint64_t *arg, struct pt_transfer_args *args)
{
	switch (row->form) {
	case BY_FRAME:
		args->pa = arg[0];
		args->size = arg[1];
		return !row->last || last_of(row, arg[2], args);
	case TO_GUEST:
		args->pa = row->kind == PT_TOP_UP ? arg[1] : 0;
		args->size = row->kind == PT_TOP_UP ? arg[2] : 0;
		return true;
	case BY_CALLER:
		args->ipa = pt_ipa(arg[0]);
		args->size = arg[1];
		return true;
	default:
		args->ipa = pt_ipa(arg[1]);
		args->size = arg[2];
		if (row->form == BY_BOTH)
			args->pa = arg[3];
		return !row->last || last_of(row, arg[4], args);
	}
}

static struct pt_hv_transfer *take(struct pt_hv_owners *o)
{
	for (uint32_t i = 0; i < PT_HV_TRANSFERS; i++)
		if (pt__hv_try(&o->transfer[i].taken))
			return &o->transfer[i];
	return NULL;
}

enum pt_outcome pt__hv_transfer_step(struct pt_agent *agent, struct pt_hv_op *op)
{
	struct pt_hv_transfer *t = op->transfer;
	enum pt_outcome outcome;

	if (!t->lends)
		return pt_transfer_step(&t->lend.t, agent, PT_HVC_STEP);
	outcome = pt_lend_step(&t->lend, agent, PT_HVC_STEP);
	if (outcome != PT_BUSY || op->kind != PT_HVC_TEARDOWN)
		return outcome;
	/* What began before the guest's end is under way: once more, behind it. */
	(void)pt_lend_init(&t->lend, &(struct pt_lend_args){t->lend.args.owners, PT_LEND_LEAVE,
							    t->lend.args.who, 0, 0, 0, 0, woken});
	return PT_MORE;
}

void pt__hv_transfer_done(struct pt_hv_op *op)
{
	struct pt_hv_transfer *t = op->transfer;

	op->txn.effects = t->lends ? t->lend.effects : t->lend.t.effects;
	op->txn.error = t->lends ? t->lend.error : t->lend.t.error;
	op->transfer = NULL;
	pt__hv_done(&t->taken);
}

/* The operation of what has been prepared, with this outcome. */
static enum pt_outcome begin(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind,
			     struct pt_hv_transfer *t, enum pt_outcome outcome,
			     struct pt_hv_op **op)
{
	*op = outcome == PT_OK ? pt__hv_op_take(hv, c, kind) : NULL;
	if (!*op) {
		pt__hv_done(&t->taken);
		return outcome == PT_OK ? PT_BUSY : outcome;
	}
	t->op = *op;
	(*op)->transfer = t;
	return PT_OK;
}

enum pt_outcome pt__hv_transfer_begin(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind,
				      struct pt_transfer_args *args, struct pt_hv_op **op)
{
	struct pt_hv_transfer *t = take(hv->owners);

	if (!t)
		return PT_BUSY;
	args->owners = &hv->owners->machine;
	args->wake = woken;
	t->lends = false;
	return begin(hv, c, kind, t, pt_transfer_init(&t->lend.t, args), op);
}

enum pt_outcome pt__hv_lend_begin(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind,
				  struct pt_lend_args *args, struct pt_hv_op **op)
{
	struct pt_hv_transfer *t = take(hv->owners);

	if (!t)
		return PT_BUSY;
	args->owners = &hv->owners->machine;
	args->wake = woken;
	t->lends = true;
	return begin(hv, c, kind, t, pt_lend_init(&t->lend, args), op);
}

/* The guest that the call names, or that makes it. A handle that nobody has: PT_HV_CONTEXTS, for
 * which lib says so in its turn. */
static uint32_t party(struct pt_hv *hv, struct pt_agent *agent, const struct row *row,
		      const uint64_t *arg)
{
	struct pt_hv_ctx *c =
		row->form == BY_CALLER ? hv->running[agent->id] : pt__hv_guest(hv, arg[0]);

	return c ? (uint32_t)(c - hv->guest) : PT_HV_CONTEXTS;
}

struct pt__hv_answer pt__hv_transfer(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind,
				     const uint64_t *arg)
{
	const struct row *row = &rows[kind];
	struct pt_transfer_args args = {.kind = row->kind};
	struct pt_hv_ctx *c = &hv->host;
	struct pt_hv_op *op;
	enum pt_outcome outcome;

	if (!args_of(row, arg, &args))
		return pt__hv_answer(PT_INVALID);
	if (row->form != BY_FRAME) {
		args.guest = party(hv, agent, row, arg);
		if (args.guest < PT_HV_CONTEXTS)
			c = &hv->guest[args.guest];
	}
	outcome = pt__hv_transfer_begin(hv, c, kind, &args, &op);
	if (outcome != PT_OK)
		return pt__hv_answer(outcome);
	op->caller = row->form == BY_CALLER ? args.guest + 1 : 0;
	return pt__hv_op_go(hv, agent, op);
}

/* The unit is the largest granule of those who have to do with the page. */
enum pt_outcome pt__hv_force(struct pt_hv *hv, struct pt_agent *agent, uint64_t pa)
{
	enum pt_outcome outcome = PT_MISALIGNED;

	for (unsigned shift = 12; shift <= 16 && outcome == PT_MISALIGNED; shift += 2) {
		struct pt_transfer_args args = {.kind = PT_FORCE_RECLAIM,
						.pa = pa & -(UINT64_C(1) << shift),
						.size = UINT64_C(1) << shift};
		struct pt_hv_op *op;

		outcome = pt__hv_transfer_begin(hv, &hv->host, PT_HVC_FORCE_RECLAIM, &args, &op);
		if (outcome == PT_BUSY) {
			pt__hv_help(hv, agent, NULL);
			return PT_RACED;
		}
		if (outcome == PT_OK)
			outcome = pt__hv_op_go(hv, agent, op).outcome;
	}
	return outcome == PT_OK || outcome == PT_MORE ? PT_RACED : outcome;
}
