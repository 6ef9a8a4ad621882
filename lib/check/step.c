/* SPDX-License-Identifier: BSD-2-Clause */
/* One event. */
#include "state.h"

static void find_who(struct pt_check *c, const struct pt_event *e)
{
	if (!e->op)
		c->op = &c->none;
	else if (c->op->node.key != e->op)
		c->op = pt__ck_find(c, CK_OP, e->op);
	if (!c->op)
		c->op = &c->none;
	if (!c->who || c->who->id != e->agent)
		c->who = e->agent ? pt__ck_agent(c, e->agent) : NULL;
	c->self = c->who && c->who->inside ? c->who : NULL;
}

static void dispatch(struct pt_check *c, const struct pt_event *e)
{
	switch (e->kind) {
	case PT_EVENT_LOAD:
	case PT_EVENT_PRIVATE: pt__ck_load_event(c, e); break;
	case PT_EVENT_INIT:
	case PT_EVENT_STORE:
	case PT_EVENT_STORE_RELEASE:
	case PT_EVENT_CAS:
	case PT_EVENT_HW_CAS:
	case PT_EVENT_POKE: pt__ck_write_event(c, e); break;
	case PT_EVENT_FENCE_STORE:
	case PT_EVENT_FENCE_FULL:
		if (c->self)
			c->self->fence = c->serial;
		break;
	case PT_EVENT_LOCK_CLASS:
	case PT_EVENT_LOCK:
	case PT_EVENT_LOCKED:
	case PT_EVENT_UNLOCK:
	case PT_EVENT_WAKE:
	case PT_EVENT_WAIT:
	case PT_EVENT_TRANSPORT: pt__ck_lock_event(c, e); break;
	case PT_EVENT_TLBI:
	case PT_EVENT_TLBI_OPERAND:
	case PT_EVENT_TLBI_DONE:
	case PT_EVENT_TLBI_DROPPED:
	case PT_EVENT_TLBI_NONE:
	case PT_EVENT_DSB:
	case PT_EVENT_TLBI_S2:
	case PT_EVENT_TLBI_S1:
	case PT_EVENT_TLBI_S12: pt__ck_tlbi_event(c, e); break;
	case PT_EVENT_MEMORY:
	case PT_EVENT_MEMORY_GONE:
	case PT_EVENT_PAGE_GET:
	case PT_EVENT_PAGE_PUT:
	case PT_EVENT_PAGE_BOOK:
	case PT_EVENT_ZERO: pt__ck_page_event(c, e); break;
	case PT_EVENT_AGENT_JOIN:
	case PT_EVENT_AGENT_LEAVE:
	case PT_EVENT_SECTION_BEGUN:
	case PT_EVENT_SECTION_END:
	case PT_EVENT_MACHINE_USE: pt__ck_agent_event(c, e); break;
	case PT_EVENT_CLAIM_ASK:
	case PT_EVENT_CLAIM:
	case PT_EVENT_CLAIM_DRAINED:
	case PT_EVENT_CLAIM_SHRINK:
	case PT_EVENT_CLAIM_RELEASE:
	case PT_EVENT_CLAIM_CANCEL: pt__ck_claim_event(c, e); break;
	case PT_EVENT_OP_BEGIN:
	case PT_EVENT_OP_COMMIT:
	case PT_EVENT_OP_END: pt__ck_op_event(c, e); break;
	case PT_EVENT_DIRTY_START:
	case PT_EVENT_DIRTY_MARK:
	case PT_EVENT_DIRTY_CLEAR:
	case PT_EVENT_DIRTY_STOP: pt__ck_dirty_event(c, e); break;
	case PT_EVENT_SHADOW:
	case PT_EVENT_SHADOW_KEY:
	case PT_EVENT_FILL:
	case PT_EVENT_FILL_LEAF:
	case PT_EVENT_GUEST_TLBI:
	case PT_EVENT_GUEST_TLBI_DONE: pt__ck_shadow_event(c, e); break;
	case PT_EVENT_OWNERS:
	case PT_EVENT_GUEST:
	case PT_EVENT_WIPED:
	case PT_EVENT_OWNER: pt__ck_owner_event(c, e); break;
	case PT_EVENT_MACHINE_INIT:
	case PT_EVENT_VMID:
	case PT_EVENT_VMID_KEPT:
	case PT_EVENT_VMID_ROLLOVER: pt__ck_vmid_event(c, e); break;
	default: pt__ck_ctx_event(c, e); break;
	}
}

/* What most events are: a load from a live table inside the section of who made the event before.
 * Then it breaks no rule, whatever the operation. */
static bool plain_load(struct pt_check *c, const struct pt_event *e)
{
	const struct ck_table *t;

	if (e->kind != PT_EVENT_LOAD || !c->who || c->who->id != e->agent || !c->who->inside)
		return false;
	t = pt__ck_table_of(c, e->at);
	if (!t || t->state != CK_LIVE)
		return false;
	c->judged[PT_RULE_L2]++;
	return true;
}

bool pt_check_event(struct pt_check *check, const struct pt_event *event,
		    struct pt_finding *finding)
{
	check->serial++;
	if (plain_load(check, event))
		return true;
	check->finding = finding;
	check->kept = true;
	find_who(check, event);
	dispatch(check, event);
	return check->kept;
}
