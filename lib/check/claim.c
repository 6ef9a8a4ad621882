/* SPDX-License-Identifier: BSD-2-Clause */
/* Claims and the machines that they wait on: W9, L2, L6, V3, T6. */
#include "state.h"

struct ck_machine *pt__ck_machine(struct pt_check *c, uint64_t id)
{
	struct ck_machine *m = pt__ck_find(c, CK_MACHINE, id);

	return m ? m : pt__ck_add(c, CK_MACHINE, id, sizeof(*m));
}

/* Have the sections of these agents that began up to `before` ended? One's own does not count. */
bool pt__ck_sections_over(const struct pt_check *c, uint64_t world, uint64_t agents,
			  uint64_t before)
{
	for (unsigned i = 0; i < c->agents; i++) {
		const struct ck_agent *a = &c->agent[i];

		if (a->inside && a != c->self && a->world == world && agents >> a->number & 1 &&
		    a->begun <= before)
			return false;
	}
	return true;
}

/* One claim, or several at once, by number of context; and none is held. */
static void judge_ask(struct pt_check *c, struct ck_op *op, const struct ck_ctx *ctx, bool at_once)
{
	bool first = op->claims++ == 0;

	pt__ck_judge(c, PT_RULE_L6, first || at_once, "a claim is asked for while another is held");
	if (at_once)
		pt__ck_judge(
			c, PT_RULE_L6, !op->held && ctx->facts.number > op->asked,
			"claims are asked for at once, out of order or beside one that is held");
	op->asked = ctx->facts.number;
}

static void ask(struct pt_check *c, const struct pt_event *e)
{
	struct ck_claim *claim = pt__ck_find(c, CK_CLAIM, e->at);
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);

	if (claim) /* one whose owner went away without a word */
		pt__ck_drop_claim(c, claim);
	claim = ctx ? pt__ck_add(c, CK_CLAIM, e->at, sizeof(*claim)) : NULL;
	if (!claim)
		return;
	claim->ctx = ctx;
	claim->shared = e->arg & 1;
	claim->late = ctx->state >= CK_CTX_DYING && c->op->kind != PT_OP_TEARDOWN;
	claim->op = c->op->serial;
	if (c->op->serial)
		judge_ask(c, c->op, ctx, e->arg & 2);
}

static void publish(struct pt_check *c, const struct pt_event *e, struct ck_claim *claim)
{
	struct ck_machine *machine = pt__ck_machine(c, claim->ctx->facts.machine);
	struct ck_op *op = pt__ck_op_by_serial(c, claim->op);

	if (!pt__ck_judge(c, PT_RULE_W9, claim->state == CK_ASKED, "a claim was published twice"))
		return;
	pt__ck_judge(c, PT_RULE_V3, !claim->late, "a claim was granted on a dying context");
	claim->lo = e->lo;
	claim->hi = e->hi;
	claim->state = CK_PUBLISHED;
	if (op)
		op->held++;
	claim->published = c->serial;
	claim->agents = machine ? machine->agents : 0;
	claim->next = claim->ctx->claims;
	claim->ctx->claims = claim;
	for (const struct ck_claim *o = claim->next; o; o = o->next)
		pt__ck_judge(c, PT_RULE_W9,
			     (o->shared && claim->shared) ||
				     !pt__ck_meet(o->lo, o->hi, claim->lo, claim->hi),
			     "two claims overlap");
}

static void drained(struct pt_check *c, struct ck_claim *claim)
{
	struct ck_op *op = pt__ck_op_by_serial(c, claim->op);
	uint64_t world = c->self ? c->self->world : 0;

	pt__ck_judge(c, PT_RULE_L2, pt__ck_sections_over(c, world, claim->agents, claim->published),
		     "a claim is used before the sections that it met have ended");
	claim->state = CK_DRAINED;
	if (op && op->kind == PT_OP_TEARDOWN)
		claim->ctx->state = CK_CTX_CLOSED;
}

void pt__ck_drop_claim(struct pt_check *c, struct ck_claim *claim)
{
	struct ck_claim **at = &claim->ctx->claims;
	struct ck_op *op = pt__ck_op_by_serial(c, claim->op);

	while (*at && *at != claim)
		at = &(*at)->next;
	if (*at)
		*at = claim->next;
	if (op && op->claims)
		op->claims--;
	if (op && op->held && claim->state != CK_ASKED)
		op->held--;
	pt__ck_del(c, &claim->node, sizeof(*claim));
}

void pt__ck_claim_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_claim *claim = pt__ck_find(c, CK_CLAIM, e->at);

	if (e->kind == PT_EVENT_CLAIM_ASK) {
		ask(c, e);
		return;
	}
	if (!claim)
		return;
	switch (e->kind) {
	case PT_EVENT_CLAIM: publish(c, e, claim); break;
	case PT_EVENT_CLAIM_DRAINED: drained(c, claim); break;
	case PT_EVENT_CLAIM_SHRINK:
		pt__ck_settled(c, c->op, e->lo, "a claim shrinks past what is still owed");
		pt__ck_dirty_settled(c, c->op, e->lo);
		claim->lo = e->lo;
		break;
	case PT_EVENT_CLAIM_RELEASE:
		pt__ck_settled(c, c->op, UINT64_MAX, "a claim is released with debts");
		pt__ck_dirty_settled(c, c->op, UINT64_MAX);
		pt__ck_owner_settled(c, c->op);
		pt__ck_drop_claim(c, claim);
		break;
	case PT_EVENT_CLAIM_CANCEL: pt__ck_drop_claim(c, claim); break;
	default: break;
	}
}

/* Whoever could see the claim when its section began, and does not own it, keeps out. */
static bool holds_off(const struct pt_check *c, const struct ck_claim *claim)
{
	if (claim->op && claim->op == c->op->serial)
		return false;
	return claim->state == CK_DRAINED || (c->self && c->self->begun > claim->published);
}

/* W9 for each claim that the entry meets; says whether the operation owns the entry. */
void pt__ck_write_claims(struct pt_check *c, struct ck_write *w)
{
	bool link =
		w->how == PT_EVENT_CAS && !pt_pte_valid(w->old) && pt__ck_is_table(w->t, w->entry);

	for (const struct ck_claim *claim = w->ctx->claims; claim; claim = claim->next) {
		bool whole = claim->lo <= w->lo && w->hi <= claim->hi;

		if (!pt__ck_meet(claim->lo, claim->hi, w->lo, w->hi))
			continue;
		if (holds_off(c, claim))
			pt__ck_judge(c, PT_RULE_W9, !whole && link,
				     "an entry in the claim of another operation was written");
		else if (claim->op == c->op->serial && !whole)
			pt__ck_judge(c, PT_RULE_W9, link,
				     "an entry that reaches out of the claim was written");
		else if (claim->op == c->op->serial && claim->state == CK_DRAINED)
			w->owned = !claim->shared;
	}
}
