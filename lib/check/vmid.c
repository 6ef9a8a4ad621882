/* SPDX-License-Identifier: BSD-2-Clause */
/* VMIDs: given at the first run, void after a rollover (V1). */
#include "state.h"

static uint64_t key_of(uint64_t machine, uint64_t number)
{
	return machine ^ number << 48;
}

/* Invalidations by name reach a context under the number that it had last: a void one is not given
 * again before the sections have ended that may still use it. */
static void given(struct pt_check *c, const struct pt_event *e)
{
	struct ck_machine *m = pt__ck_machine(c, e->at);
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);
	struct ck_vmid *v = pt__ck_find(c, CK_VMID, key_of(e->at, e->lo));

	if (!v)
		v = pt__ck_add(c, CK_VMID, key_of(e->at, e->lo), sizeof(*v));
	if (!v || !m || !ctx)
		return;
	pt__ck_judge(c, PT_RULE_V1, !v->machine || v->generation < m->generation,
		     "a VMID was given twice");
	pt__ck_judge(c, PT_RULE_V1, m->flushed,
		     "a VMID was given again before the TLBs were flushed");
	pt__ck_judge(
		c, PT_RULE_V1,
		pt__ck_sections_over(c, c->self ? c->self->world : 0, m->old_agents, m->rolled),
		"a VMID was given again while somebody may still flush the old one");
	v->machine = e->at;
	v->generation = ctx->generation = m->generation;
	ctx->vmid = (uint16_t)e->lo;
	ctx->given = c->serial;
}

/* Who rolls over is between two flushes: each reads its number anew. */
static void roll_over(struct pt_check *c, struct ck_machine *m)
{
	uint64_t self = c->self ? UINT64_C(1) << c->self->number : 0;

	m->generation++;
	m->flushed = false;
	m->rolled = c->serial;
	m->old_agents = m->agents & ~self;
}

/* A CPU runs the context and goes on under its number. */
static void kept(struct pt_check *c, const struct pt_event *e)
{
	struct ck_machine *m = pt__ck_machine(c, e->at);
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);
	struct ck_vmid *v = pt__ck_find(c, CK_VMID, key_of(e->at, e->lo));

	if (!m || !ctx)
		return;
	pt__ck_judge(c, PT_RULE_V1,
		     v && v->machine == e->at && v->generation == m->generation - 1 &&
			     ctx->vmid == e->lo && ctx->generation == m->generation - 1,
		     "a VMID was kept by a context that did not have it");
	if (v)
		v->generation = m->generation;
	ctx->generation = m->generation;
}

/* ALLE1IS: of all machines that this MMU is the one of; a number is void with its machine. */
static void flushed(struct pt_check *c, struct ck_node *n, uint64_t mmu)
{
	struct ck_machine *m = (struct ck_machine *)n;

	(void)c;
	if (m->mmu == mmu)
		m->flushed = true;
}

void pt__ck_all_flushed(struct pt_check *c, uint64_t mmu)
{
	pt__ck_each(c, CK_MACHINE, flushed, mmu);
}

/* The context never had a number, its number is void, or was given after the write, and whoever
 * runs it walks after that. */
bool pt__ck_is_unknown(struct pt_check *c, const struct ck_ctx *ctx, uint64_t latest)
{
	const struct ck_machine *m = pt__ck_machine(c, ctx->facts.machine);

	return !m || !ctx->given || ctx->generation != m->generation || ctx->given > latest;
}

/* Pays what no TLB can know. */
void pt__ck_forgive_unknown(struct pt_check *c, struct ck_op *op)
{
	if (op->owed && op->ctx->facts.el2)
		return; /* EL2 always knows its own */
	for (struct ck_owed *o = op->owed; o; o = o->next)
		if (pt__ck_is_unknown(c, op->ctx, o->latest))
			o->stage = CK_DONE;
	pt__ck_discharge_done(c, op);
}

/* The core found the context unknown, and invalidated nothing. */
void pt__ck_unknown(struct pt_check *c)
{
	pt__ck_forgive_unknown(c, c->op);
	for (struct ck_owed *o = c->op->owed; o; o = o->next)
		o->missed = true;
}

/* The VMIDs of a machine whose memory is used for another one. */
static void drop(struct pt_check *c, struct ck_node *n, uint64_t machine)
{
	if (((struct ck_vmid *)n)->machine == machine)
		pt__ck_del(c, n, sizeof(struct ck_vmid));
}

static void init(struct pt_check *c, const struct pt_event *e)
{
	struct ck_machine *m = pt__ck_machine(c, e->at);

	pt__ck_each(c, CK_VMID, drop, e->at);
	if (!m)
		return;
	pt__ck_drop_owners(c, m);
	m->agents = 0;
	m->mmu = e->lo;
	m->generation = 1;
	m->rolled = 0;
	m->flushed = true;
}

void pt__ck_vmid_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_machine *m = pt__ck_machine(c, e->at);

	if (e->kind == PT_EVENT_MACHINE_INIT)
		init(c, e);
	else if (e->kind == PT_EVENT_VMID)
		given(c, e);
	else if (e->kind == PT_EVENT_VMID_KEPT)
		kept(c, e);
	else if (m)
		roll_over(c, m);
}
