/* SPDX-License-Identifier: BSD-2-Clause */
/* What each operation owes to the TLBs: ranges, by address where they came in order (W4, T6). */
#include "state.h"

static void add_owing(struct ck_ctx *ctx, struct ck_op *op)
{
	op->next_owing = ctx->owing;
	ctx->owing = op;
	op->ctx = ctx;
}

static void remove_owing(struct ck_op *op)
{
	struct ck_op **at = &op->ctx->owing;

	while (*at && *at != op)
		at = &(*at)->next_owing;
	if (*at)
		*at = op->next_owing;
}

static bool extends(const struct ck_owed *o, uint64_t lo, int level, bool table, enum pt_rule why)
{
	return o->hi + 1 == lo && o->level == level && o->table == table && o->why == why &&
	       o->stage == CK_WRITTEN && !o->missed && !o->elsewhere && !o->rounds;
}

/*
 * At the end of the list. Ranges may overlap, when an entry changes twice; each is discharged by
 * itself.
 */
void pt__ck_owe(struct pt_check *c, struct ck_ctx *ctx, uint64_t lo, uint64_t hi, int level,
		bool table, enum pt_rule why)
{
	struct ck_op *op = c->op;
	struct ck_owed *o;

	if (ctx->facts.el2 && !ctx->active)
		return; /* EL2 does not run on it yet, so no TLB knows it */
	/* One context at a time: said by who looked at the write. */
	if (op->owed && op->ctx != ctx) {
		if (ctx->shadow)
			pt__ck_owe_apart(c, ctx, lo, hi, level);
		return;
	}
	if (op->last && !(table && ctx->facts.el2) && extends(op->last, lo, level, table, why)) {
		op->last->hi = hi;
		op->last->latest = c->serial;
		op->hi = op->hi > hi ? op->hi : hi;
		return;
	}
	o = pt__ck_get(c, sizeof(*o), false);
	if (!o)
		return;
	*o = (struct ck_owed){.lo = lo,
			      .hi = hi,
			      .first = c->serial,
			      .latest = c->serial,
			      .why = why,
			      .level = (int8_t)level,
			      .table = table};
	if (op->owed) {
		op->last->next = o;
		op->lo = op->lo < lo ? op->lo : lo;
		op->hi = op->hi > hi ? op->hi : hi;
	} else {
		add_owing(ctx, op);
		op->owed = o;
		op->lo = lo;
		op->hi = hi;
	}
	op->last = o;
}

/* May a TLB still hold anything of [lo, hi] that was written up to `until`? Looks only at
 * operations whose hull meets it. */
bool pt__ck_owed(const struct ck_ctx *ctx, uint64_t lo, uint64_t hi, uint64_t until)
{
	for (const struct ck_op *op = ctx->owing; op; op = op->next_owing) {
		if (!pt__ck_meet(op->lo, op->hi, lo, hi))
			continue;
		for (const struct ck_owed *o = op->owed; o; o = o->next)
			if (o->first <= until && !o->elsewhere && pt__ck_meet(o->lo, o->hi, lo, hi))
				return true;
	}
	return false;
}

/*
 * A point operation that only takes rights away leaves its entry valid until its flush, so another
 * one may remove it, flush, and a third one map it again. What the second has flushed no TLB holds
 * any more, whoever owed it: it changed the same entries, so its flush is ordered after the first
 * one's write. The first still owes its own before its reply.
 */
static void paid_for_others(struct ck_op *op, const struct ck_owed *paid)
{
	for (const struct ck_op *other = op->ctx->owing; other; other = other->next_owing) {
		if (other == op || !pt__ck_meet(other->lo, other->hi, paid->lo, paid->hi))
			continue;
		for (struct ck_owed *o = other->owed; o; o = o->next)
			if (paid->lo <= o->lo && o->hi <= paid->hi && o->latest < paid->first &&
			    (paid->table || paid->level == o->level))
				o->elsewhere = true;
	}
}

void pt__ck_paid(struct ck_op *op)
{
	if (op->owed && op->ctx->owing->next_owing)
		for (const struct ck_owed *o = op->owed; o; o = o->next)
			if (o->stage == CK_DONE)
				paid_for_others(op, o);
}

/* Takes out what has been paid; keeps the order. */
void pt__ck_discharge_done(struct pt_check *c, struct ck_op *op)
{
	struct ck_owed **at = &op->owed;

	if (!op->owed)
		return;
	op->last = NULL;
	while (*at) {
		struct ck_owed *o = *at;

		if (o->stage == CK_DONE) {
			*at = o->next;
			pt__ck_put(c, o, sizeof(*o));
		} else {
			op->last = o;
			at = &o->next;
		}
	}
	if (!op->owed)
		remove_owing(op);
}

/* A failpoint lost the invalidation, or its context is gone: nothing is owed any more. */
void pt__ck_forgive(struct pt_check *c, struct ck_op *op)
{
	for (struct ck_owed *o = op->owed; o; o = o->next)
		o->stage = CK_DONE;
	pt__ck_discharge_done(c, op);
}

/* The rule that a debt was made under, if it says more than that it was not paid. */
static enum pt_rule rule_of(const struct ck_owed *o)
{
	if (o->rounds)
		return PT_RULE_T7;
	if (o->stage != CK_WRITTEN)
		return PT_RULE_T1;
	if (o->missed)
		return PT_RULE_W4;
	return o->why == PT_RULE_W6 || o->why == PT_RULE_W8 ? o->why : PT_RULE_T6;
}

/* T6: at a reply, and where a claim goes, nothing below `below` may be owed. */
void pt__ck_settled(struct pt_check *c, struct ck_op *op, uint64_t below, const char *text)
{
	const struct ck_owed *o;

	pt__ck_forgive_unknown(c, op);
	o = op->owed;
	while (o && o->lo >= below)
		o = o->next;
	pt__ck_judge(c, o ? rule_of(o) : PT_RULE_T6, !o, text);
	pt__ck_apart_settled(c, op);
}
