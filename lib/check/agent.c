/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents, their sections and fences; locks, callbacks and waits (L1, L4, L5). */
#include "state.h"

struct ck_agent *pt__ck_agent(struct pt_check *c, uint64_t id)
{
	for (unsigned i = 0; i < c->agents; i++)
		if (c->agent[i].id == id)
			return &c->agent[i];
	return NULL;
}

static void enter(struct pt_check *c, struct ck_agent *a, bool inside)
{
	c->inside += inside;
	c->inside -= a->inside;
	a->inside = inside;
}

static struct ck_agent *known(struct pt_check *c, const struct pt_event *e)
{
	struct ck_agent *a = pt__ck_agent(c, e->at);

	if (!a && c->agents < CK_AGENTS) {
		a = &c->agent[c->agents++];
		*a = (struct ck_agent){.id = e->at};
	} else if (!a) {
		c->untracked++;
		return NULL;
	}
	a->world = e->ctx;
	a->number = e->arg;
	return a;
}

void pt__ck_agent_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_agent *a = e->kind == PT_EVENT_MACHINE_USE ? NULL : known(c, e);
	struct ck_machine *m;

	switch (e->kind) {
	case PT_EVENT_AGENT_JOIN:
		if (a)
			enter(c, a, false);
		break;
	case PT_EVENT_AGENT_LEAVE:
		if (a) {
			enter(c, a, false);
			*a = c->agent[--c->agents];
			c->who = c->self = NULL;
		}
		break;
	case PT_EVENT_SECTION_BEGUN:
		if (a) {
			enter(c, a, true);
			a->begun = a->fence = c->serial;
		}
		break;
	case PT_EVENT_SECTION_END:
		if (a)
			enter(c, a, false);
		break;
	case PT_EVENT_MACHINE_USE:
		m = pt__ck_machine(c, e->at);
		if (m)
			m->agents |= UINT64_C(1) << e->arg;
		break;
	default: break;
	}
}

static struct ck_thread *thread_of(struct pt_check *c, uint32_t id)
{
	for (unsigned i = 0; i < c->threads; i++)
		if (c->thread[i].id == id)
			return &c->thread[i];
	for (unsigned i = 0; i < c->threads; i++) /* one that holds nothing may be gone */
		if (!c->thread[i].held) {
			c->thread[i].id = id;
			return &c->thread[i];
		}
	if (c->threads == CK_THREADS) {
		c->untracked++;
		return NULL;
	}
	c->thread[c->threads] = (struct ck_thread){.id = id};
	return &c->thread[c->threads++];
}

static void unlock(struct ck_thread *t, uint64_t lock)
{
	unsigned i = t->held;

	while (i && t->lock[i - 1] != lock)
		i--;
	if (!i)
		return;
	for (t->held--; i <= t->held; i++) {
		t->lock[i - 1] = t->lock[i];
		t->class[i - 1] = t->class[i];
	}
}

static void set_class(struct pt_check *c, const struct pt_event *e)
{
	struct ck_lock *l = pt__ck_find(c, CK_LOCK, e->at);

	if (!l)
		l = pt__ck_add(c, CK_LOCK, e->at, sizeof(*l));
	if (l)
		l->class = e->arg;
}

static uint32_t class_of(const struct pt_check *c, uint64_t lock)
{
	const struct ck_lock *l = pt__ck_find(c, CK_LOCK, lock);

	return l ? l->class : 0;
}

/* Frames of one class go by address. */
static void lock(struct pt_check *c, const struct ck_thread *t, uint64_t at)
{
	uint32_t class = class_of(c, at);
	bool ordered = true;

	for (unsigned i = 0; i < t->held; i++)
		ordered &= t->class[i] < class ||
			   (class == PT_LOCK_OWNER && t->class[i] == class && t->lock[i] < at);
	pt__ck_judge(c, PT_RULE_L1, class, "a lock without a class was taken");
	pt__ck_judge(c, PT_RULE_L1, ordered, "a lock was taken out of the order of classes");
}

void pt__ck_lock_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_thread *t = thread_of(c, e->thread);

	if (!t)
		return;
	switch (e->kind) {
	case PT_EVENT_LOCK_CLASS: set_class(c, e); break;
	case PT_EVENT_LOCK: lock(c, t, e->at); break;
	case PT_EVENT_LOCKED:
		if (t->held < CK_HELD) {
			t->lock[t->held] = e->at;
			t->class[t->held++] = class_of(c, e->at);
		}
		break;
	case PT_EVENT_UNLOCK: unlock(t, e->at); break;
	case PT_EVENT_WAKE: pt__ck_judge(c, PT_RULE_L4, !t->held, "a callback under a lock"); break;
	case PT_EVENT_TRANSPORT:
		pt__ck_judge(c, PT_RULE_L4, !t->held && !c->self,
			     "the transport was called under a lock or in a section");
		break;
	case PT_EVENT_WAIT:
		pt__ck_judge(c, PT_RULE_L5, !c->self, "a wait in a section");
		pt__ck_judge(c, PT_RULE_L4, !t->held, "a wait under a lock");
		break;
	default: break;
	}
}
