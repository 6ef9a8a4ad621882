/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines with owners: what is known of each frame, and which of them an operation touches. */
#include "state.h"

static uint64_t key_of(const struct ck_machine *m, uint64_t pa)
{
	return m->node.key ^ (pa >> CK_FRAME_SHIFT) / CK_FRAMES_AT_ONCE << 33;
}

static struct ck_frame *frame_in(const struct ck_frames *f, uint64_t pa)
{
	return &f->frame[(pa >> CK_FRAME_SHIFT) % CK_FRAMES_AT_ONCE];
}

struct ck_frame *pt__ck_frame_known(const struct pt_check *c, const struct ck_machine *m,
				    uint64_t pa)
{
	const struct ck_frames *f = pt__ck_find(c, CK_FRAMES, key_of(m, pa));

	return f ? frame_in(f, pa) : NULL;
}

struct ck_frame *pt__ck_frame(struct pt_check *c, struct ck_machine *m, uint64_t pa)
{
	struct ck_frames *f = pt__ck_find(c, CK_FRAMES, key_of(m, pa));

	if (f)
		return frame_in(f, pa);
	f = pt__ck_add(c, CK_FRAMES, key_of(m, pa), sizeof(*f));
	if (!f)
		return NULL;
	f->machine = m;
	f->frame = pt__ck_get(c, CK_FRAMES_AT_ONCE * sizeof(struct ck_frame), true);
	if (f->frame)
		return frame_in(f, pa);
	pt__ck_del(c, &f->node, sizeof(*f));
	return NULL;
}

static void drop_frames(struct pt_check *c, struct ck_node *n, uint64_t machine)
{
	struct ck_frames *f = (struct ck_frames *)n;

	if (f->machine->node.key != machine)
		return;
	pt__ck_put(c, f->frame, CK_FRAMES_AT_ONCE * sizeof(struct ck_frame));
	pt__ck_del(c, n, sizeof(*f));
}

static void disown(struct pt_check *c, struct ck_node *n, uint64_t machine)
{
	struct ck_ctx *ctx = (struct ck_ctx *)n;

	(void)c;
	if (ctx->owners && ctx->owners->node.key == machine)
		ctx->owners = NULL;
}

/* The machine begins anew, or a party went without a word: from here on nothing is judged. */
void pt__ck_drop_owners(struct pt_check *c, struct ck_machine *m)
{
	if (!m->host)
		return;
	pt__ck_each(c, CK_FRAMES, drop_frames, m->node.key);
	pt__ck_each(c, CK_CTX, disown, m->node.key);
	m->host = NULL;
	m->lent = 0;
}

void pt__ck_owner_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_machine *m = pt__ck_machine(c, e->at);
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);

	if (m && e->kind == PT_EVENT_OWNERS) /* without a context: a test writes records itself */
		pt__ck_drop_owners(c, m);
	if (m && ctx && e->kind == PT_EVENT_OWNERS) {
		m->host = ctx;
		ctx->owners = m;
		ctx->guest = false;
	}
	if (!m || !m->host)
		return;
	if (ctx && e->kind == PT_EVENT_GUEST) {
		ctx->owners = m;
		ctx->guest = true;
		ctx->handle = (uint16_t)e->arg;
	} else if (e->kind == PT_EVENT_WIPED) {
		pt__ck_owner_wiped(c, m, e->lo, e->hi);
	} else if (e->kind == PT_EVENT_OWNER) {
		pt__ck_owner_record(c, m, e->lo, e->lo + ((uint64_t)e->arg << CK_FRAME_SHIFT) - 1,
				    e->hi);
	}
}

/* Has the operation the host's addresses of these frames for itself? */
bool pt__ck_owner_holds(const struct pt_check *c, const struct ck_machine *m, uint64_t lo,
			uint64_t hi)
{
	for (const struct ck_claim *claim = m->host->claims; claim; claim = claim->next)
		if (claim->op && claim->op == c->op->serial && claim->state == CK_DRAINED &&
		    !claim->shared && claim->lo <= lo && hi <= claim->hi)
			return true;
	return false;
}

/* Changes that take back each other leave the sum as it was. */
void pt__ck_owner_changed(struct pt_check *c, uint64_t at, uint64_t old, uint64_t now)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t was = (old ^ at * odd) * odd, is = (now ^ at * odd) * odd;

	c->op->changed += (is ^ is >> 29) * odd - (was ^ was >> 29) * odd;
}

/* To be judged when the operation lets go of them; who does not hold them is not at their end. */
void pt__ck_owner_touch(struct pt_check *c, struct ck_machine *m, uint64_t lo, uint64_t hi)
{
	struct ck_touched *t = c->op->touched;

	if (c->op->kind == PT_OP_TEARDOWN || !pt__ck_owner_holds(c, m, lo, hi))
		return; /* the owners of a tree that goes are nobody's any more */
	for (unsigned i = 0; t && i < 4; i++, t = t->next) {
		if (t->lo <= lo && hi <= t->hi)
			return;
		if (t->hi + 1 == lo) {
			t->hi = hi;
			return;
		}
	}
	t = pt__ck_get(c, sizeof(*t), false);
	if (!t)
		return;
	*t = (struct ck_touched){.next = c->op->touched, .lo = lo, .hi = hi, .machine = m};
	c->op->touched = t;
}

void pt__ck_drop_touched(struct pt_check *c, struct ck_op *op)
{
	while (op->touched) {
		struct ck_touched *t = op->touched;

		op->touched = t->next;
		pt__ck_put(c, t, sizeof(*t));
	}
}
