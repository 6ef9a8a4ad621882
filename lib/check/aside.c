/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaf tables of shadows that are set aside (docs/nested.md): linked, and out of reach. One comes
 * back as it was (S1), or goes, with no other section in it and nothing of it in a TLB (L2, W8).
 * What is owed for it is kept here: the operation is one of the canonical context, and may owe for
 * that.
 */
#include "state.h"

bool pt__ck_sets_aside(const struct ck_write *w)
{
	return w->ctx->shadow && w->how == PT_EVENT_CAS && w->t->level == PT_LEVEL_LAST - 1 &&
	       pt__ck_is_table(w->t, w->old) && pt_pte_locked(w->entry);
}

static uint64_t slot_of(const struct ck_write *w)
{
	return w->t->node.key + w->index * sizeof(pt_pte);
}

static struct ck_aside *aside_of(const struct pt_check *c, const struct ck_write *w)
{
	return w->ctx->shadow && pt_pte_locked(w->old) ? pt__ck_find(c, CK_ASIDE, slot_of(w))
						       : NULL;
}

void pt__ck_aside(struct pt_check *c, const struct ck_write *w)
{
	struct ck_aside *a = pt__ck_add(c, CK_ASIDE, slot_of(w), sizeof(*a));

	if (!a)
		return;
	a->ctx = w->ctx;
	a->entry = w->old;
	a->since = c->serial;
	a->lo = w->lo;
	a->hi = w->hi;
}

static void flushed(struct pt_check *c, struct ck_node *n, uint64_t event)
{
	const struct pt_event *e = (const struct pt_event *)(uintptr_t)event;
	struct ck_aside *a = (struct ck_aside *)n;
	uint64_t first = 0, last = UINT64_MAX;

	(void)c;
	if (e && !pt__ck_flushes(e, a->ctx, PT_TTL_UNKNOWN, &first, &last))
		return;
	if (first <= a->lo && a->lo <= last)
		a->lo = last < a->hi ? last + 1 : UINT64_MAX;
}

/* In rising order, as a ledger's are. */
void pt__ck_asides_flushed(struct pt_check *c, const struct pt_event *e)
{
	pt__ck_each(c, CK_ASIDE, flushed, (uintptr_t)e);
}

static void goes(struct pt_check *c, const struct ck_write *w, const struct ck_aside *a)
{
	const struct ck_machine *m = pt__ck_machine(c, w->ctx->facts.machine);
	struct ck_table *t = pt__ck_child(c, w->ctx, a->entry);

	pt__ck_judge(c, PT_RULE_L2,
		     !m || !c->self || pt__ck_sections_over(c, c->self->world, m->agents, a->since),
		     "a shadow's table was unlinked with another section in it");
	pt__ck_judge(c, PT_RULE_W8, a->lo > a->hi || pt__ck_is_unknown(c, a->ctx, a->since),
		     "a shadow's table was unlinked before what it gave was flushed");
	if (!t)
		return;
	pt__ck_shadow_table_goes(c, t);
	pt__ck_unlink_table(c, w->t, a->entry);
}

/* Nothing is owed: TLBs hold what it says again. */
bool pt__ck_comes_back(struct pt_check *c, const struct ck_write *w)
{
	const struct ck_aside *a = aside_of(c, w);

	if (!a || !pt__ck_is_table(w->t, w->entry))
		return false;
	pt__ck_judge(c, PT_RULE_S1, w->entry == a->entry,
		     "another table came back than was set aside");
	return true;
}

bool pt__ck_aside_ends(struct pt_check *c, const struct ck_write *w)
{
	struct ck_aside *a = w->ctx->shadow && pt_pte_locked(w->old)
				     ? pt__ck_find(c, CK_ASIDE, slot_of(w))
				     : NULL;

	if (!a)
		return false;
	if (!pt__ck_is_table(w->t, w->entry))
		goes(c, w, a);
	pt__ck_del(c, &a->node, sizeof(*a));
	return true;
}

static void drop(struct pt_check *c, struct ck_node *n, uint64_t ctx)
{
	if (((struct ck_aside *)n)->ctx == (struct ck_ctx *)(uintptr_t)ctx)
		pt__ck_del(c, n, sizeof(struct ck_aside));
}

void pt__ck_drop_asides(struct pt_check *c, const struct ck_ctx *ctx)
{
	pt__ck_each(c, CK_ASIDE, drop, (uintptr_t)ctx);
}
