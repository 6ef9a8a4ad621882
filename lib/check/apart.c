/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an operation owes for shadows while it owes for another context, their canonical one as a
 * rule (N2): leaves that went, or lost rights in place. A ledger is of one context, so this stands
 * beside it, and is paid by whole invalidations: the order of their instructions is judged by
 * itself.
 */
#include "state.h"

void pt__ck_owe_apart(struct pt_check *c, struct ck_ctx *ctx, uint64_t lo, uint64_t hi, int level)
{
	struct ck_apart *o = c->op->apart;

	if (!o || o->ctx != ctx || o->hi + 1 != lo || o->level != level) {
		o = pt__ck_get(c, sizeof(*o), false);
		if (!o)
			return;
		*o = (struct ck_apart){
			.next = c->op->apart, .ctx = ctx, .lo = lo, .level = (int8_t)level};
		c->op->apart = o;
	}
	o->hi = hi;
	o->latest = c->serial;
}

static void drop(struct pt_check *c, struct ck_apart **at)
{
	struct ck_apart *o = *at;

	*at = o->next;
	pt__ck_put(c, o, sizeof(*o));
}

void pt__ck_drop_apart(struct pt_check *c, struct ck_op *op, const struct ck_ctx *ctx)
{
	for (struct ck_apart **at = &op->apart; *at;)
		if (!ctx || (*at)->ctx == ctx)
			drop(c, at);
		else
			at = &(*at)->next;
}

/* All but [first, last] of it stays. False: nothing of it does. */
static bool cut(struct pt_check *c, struct ck_apart *o, uint64_t first, uint64_t last)
{
	bool below = o->lo < first, above = last < o->hi;

	if (below && above) {
		struct ck_apart *rest = pt__ck_get(c, sizeof(*rest), false);

		if (rest) {
			*rest = *o;
			rest->lo = last + 1;
			o->next = rest;
		}
	}
	if (below)
		o->hi = first - 1;
	else if (above)
		o->lo = last + 1;
	return below || above;
}

void pt__ck_apart_flushed(struct pt_check *c, const struct pt_event *e)
{
	uint64_t first, last;

	for (struct ck_apart **at = &c->op->apart; *at;) {
		struct ck_apart *o = *at;

		if (!pt__ck_flushes(e, o->ctx, o->level, &first, &last) ||
		    !pt__ck_meet(o->lo, o->hi, first, last)) {
			at = &o->next;
			continue;
		}
		c->judged[PT_RULE_N2]++;
		if (!cut(c, o, first, last))
			drop(c, at);
	}
}

void pt__ck_apart_settled(struct pt_check *c, struct ck_op *op)
{
	const struct ck_apart *o = op->apart;

	while (o && pt__ck_is_unknown(c, o->ctx, o->latest))
		o = o->next;
	if (o)
		pt__ck_judge(c, PT_RULE_N2, false,
			     "what a shadow lost by a canonical change may be in a TLB");
	pt__ck_drop_apart(c, op, NULL);
}
