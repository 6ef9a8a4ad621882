/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations: what has to be true when one ends (T6, A4, W9). */
#include "state.h"

/* Finds an operation by the serial that others keep of it. */
struct serial {
	struct ck_node node;
	struct ck_op *op;
};

struct ck_op *pt__ck_op_by_serial(struct pt_check *c, uint64_t serial)
{
	const struct serial *s;

	if (!serial || c->op->serial == serial)
		return serial ? c->op : NULL;
	s = pt__ck_find(c, CK_OP_SERIAL, serial);
	return s ? s->op : NULL;
}

static void forget(struct pt_check *c, struct ck_op *op)
{
	struct serial *s = pt__ck_find(c, CK_OP_SERIAL, op->serial);

	pt__ck_forgive(c, op);
	pt__ck_drop_apart(c, op, NULL);
	pt__ck_drop_marks(c, &op->marks);
	pt__ck_drop_marks(c, &op->cleared);
	pt__ck_drop_touched(c, op);
	if (s)
		pt__ck_del(c, &s->node, sizeof(*s));
	c->op = &c->none;
	pt__ck_del(c, &op->node, sizeof(*op));
}

static void begin(struct pt_check *c, const struct pt_event *e)
{
	struct ck_op *op = pt__ck_find(c, CK_OP, e->at);
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);
	struct serial *s;

	/* Memory that is used for another operation, whose first one ended without a word. */
	if (op && (op->kind != e->arg || op->of != ctx))
		forget(c, op), op = NULL;
	if (op) {
		c->op = op;
		return;
	}
	op = pt__ck_add(c, CK_OP, e->at, sizeof(*op));
	if (!op)
		return;
	op->serial = c->serial;
	op->kind = (uint8_t)e->arg;
	op->of = op->ctx = ctx;
	op->owners = ctx && ctx->owners;
	s = pt__ck_add(c, CK_OP_SERIAL, op->serial, sizeof(*s));
	if (s)
		s->op = op;
	c->op = op;
}

static bool is_point(const struct ck_op *op)
{
	return op->kind == PT_OP_POINT || op->kind == PT_OP_FAULT;
}

static void judge_end(struct pt_check *c, struct ck_op *op, bool replies)
{
	pt__ck_settled(c, op, UINT64_MAX, "a reply with invalidations owed");
	if (replies && op->flushed && !is_point(op) && c->self)
		pt__ck_judge(
			c, PT_RULE_T6,
			pt__ck_sections_over(c, c->self->world, op->agents, op->flushed),
			"a reply while an access that uses an old translation may be in flight");
	pt__ck_judge(c, PT_RULE_A4, !op->pages || c->untracked, /* linked below what is not known */
		     "an operation ends with table pages left over");
	pt__ck_judge(c, PT_RULE_W9, !op->locks, "an operation leaves entries LOCKED");
	pt__ck_dirty_end(c, op);
	pt__ck_owner_end(c, op);
	pt__ck_shadow_end(c, op);
}

static void end(struct pt_check *c, const struct pt_event *e)
{
	struct ck_op *op = c->op;

	if (op == &c->none || op->node.key != e->at)
		return;
	if (!is_point(op) && (e->lo == PT_MORE || e->lo == PT_PARKED))
		return;
	judge_end(c, op, e->lo == PT_OK);
	forget(c, op);
}

void pt__ck_op_event(struct pt_check *c, const struct pt_event *e)
{
	switch (e->kind) {
	case PT_EVENT_OP_BEGIN: begin(c, e); break;
	case PT_EVENT_OP_COMMIT: c->op->committed = c->op != &c->none; break;
	case PT_EVENT_OP_END: end(c, e); break;
	default: break;
	}
}
