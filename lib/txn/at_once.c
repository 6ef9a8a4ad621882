/* SPDX-License-Identifier: BSD-2-Clause */
/* The short way of a transaction over several contexts: all of it in one section, where nobody has
 * to be waited for. What parties.c does in phases happens here in their order. */
#include "internal.h"
#include "legs.h"
#include "page_leg.h"

static void note_drained(const struct pt_parties *p)
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

static struct pt_claim *second(struct pt_parties *p)
{
	return p->legs > 1 ? &p->leg[1].claim : NULL;
}

static void note_op(enum pt_event_kind kind, const struct pt_parties *p, uint64_t lo)
{
	pt_port_note(kind, PT_OP_TXN, p, pt__leg_ctx(&p->leg[0]), lo, 0);
}

static void set_up(struct pt_txn *leg)
{
	leg->claim.ctx = pt__leg_ctx(leg);
	leg->claim.mode = PT_CLAIM_EXCLUSIVE;
}

bool pt__at_once_begin(struct pt_parties *p, struct pt_agent *agent)
{
	set_up(&p->leg[0]);
	if (p->legs > 1)
		set_up(&p->leg[1]);
	note_op(PT_EVENT_OP_BEGIN, p, (uintptr_t)agent);
	if (pt__claims_try(&p->leg[0].claim, second(p))) {
		pt_grace_begin(&p->grace, p->leg[0].claim.ctx->machine, agent);
		if (!p->grace.mask) {
			note_drained(p);
			return true;
		}
		pt__claims_untry(&p->leg[0].claim, second(p));
	}
	note_op(PT_EVENT_OP_END, p, PT_MORE); /* to be gone on with, step by step */
	return false;
}

static void count(struct pt_txn *leg)
{
	leg->generation = atomic_fetch_add(&leg->claim.ctx->generation, 1) + 1;
}

void pt__at_once_commit(struct pt_parties *p)
{
	count(&p->leg[0]);
	if (p->legs > 1)
		count(&p->leg[1]);
	note_op(PT_EVENT_OP_COMMIT, p, 0);
}

void pt__at_once_end(struct pt_parties *p, bool done)
{
	pt__claims_untry(&p->leg[0].claim, second(p));
	note_op(PT_EVENT_OP_END, p, done ? PT_OK : PT_MORE);
}
