/* SPDX-License-Identifier: BSD-2-Clause */
/* The short way of a transaction over several contexts: all of it in one section, where nobody has
 * to be waited for. What parties.c does in phases happens here in their order. */
#include "internal.h"
#include "legs.h"
#include "page_leg.h"

/* In the order in which claims are asked for: the host's context first. */
static struct pt_claim *link_claims(struct pt_parties *p)
{
	struct pt_claim *a = &p->leg[0].claim, *b = &p->leg[1].claim;

	a->with = NULL;
	if (p->legs == 1)
		return a;
	b->with = NULL;
	if (a->ctx->number < b->ctx->number) {
		a->with = b;
		return a;
	}
	b->with = a;
	return b;
}

/* What of a leg the short way uses, and what is read of it afterwards. */
static void set_up(struct pt_txn *leg, struct pt_item *item)
{
	leg->item = item;
	leg->count = 1;
	leg->effects = (struct pt_effects){0};
	leg->claim.ctx = item->ctx;
	leg->claim.lo = item->ipa.v;
	leg->claim.hi = item->ipa.v + item->size - 1;
	leg->claim.mode = PT_CLAIM_EXCLUSIVE;
	leg->claim.slot = -1;
	leg->claim.lazy = false;
}

static void note_drained(struct pt_parties *p)
{
#ifdef PT_CHECKED
	for (uint32_t i = 0; i < p->legs; i++) {
		const struct pt_claim *claim = &p->leg[i].claim;

		pt_port_note(PT_EVENT_CLAIM_DRAINED, 0, claim, claim->ctx, claim->lo, claim->hi);
	}
#else
	(void)p;
#endif
}

static void let_go(struct pt_parties *p)
{
	struct pt_claim *claims[2] = {&p->leg[0].claim, &p->leg[1].claim};
	uint32_t waited = pt__claims_let_go(claims, p->legs);

	/* Nobody waited when the claims were taken: these have come since, in this section. */
	for (uint32_t i = 0; i < p->legs; i++)
		while (waited >> i & 1 && pt__claims_go_on(claims[i]->ctx, claims[i]))
			continue;
	for (uint32_t i = 0; i < p->legs; i++)
		p->leg[i].claim.ctx = NULL;
}

static void note_op(enum pt_event_kind kind, const struct pt_parties *p, uint64_t lo)
{
	pt_port_note(kind, PT_OP_TXN, p, pt__leg_ctx(&p->leg[0]), lo, 0);
}

bool pt__at_once_begin(struct pt_parties *p, struct pt_agent *agent)
{
	p->agent = agent;
	p->legs = p->args.count;
	p->committed = false;
	p->effects = (struct pt_effects){0};
	for (uint32_t i = 0; i < p->legs; i++)
		set_up(&p->leg[i], &p->args.item[i]);
	note_op(PT_EVENT_OP_BEGIN, p, (uintptr_t)agent);
	if (pt__claims_try(link_claims(p))) {
		pt_grace_begin(&p->grace, pt__leg_ctx(&p->leg[0])->machine, agent);
		if (!p->grace.mask) {
			note_drained(p);
			return true;
		}
		let_go(p);
	}
	note_op(PT_EVENT_OP_END, p, PT_MORE); /* to be gone on with, step by step */
	return false;
}

bool pt__at_once_commit(struct pt_parties *p)
{
	if (!pt__legs_count(p))
		return false;
	note_op(PT_EVENT_OP_COMMIT, p, 0);
	p->committed = true;
	return true;
}

void pt__at_once_end(struct pt_parties *p, bool done)
{
	if (done)
		pt__legs_total(p);
	let_go(p);
	note_op(PT_EVENT_OP_END, p, done ? PT_OK : PT_MORE);
}
