/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables that come into a tree and leave it (S1, W2, S4, A3). */
#include "state.h"

struct ck_table *pt__ck_child(struct pt_check *c, const struct ck_ctx *ctx, pt_pte entry)
{
	uint64_t pa = pt_pte_to_oa(&ctx->facts.geo, entry).v;

	return pt__ck_find(c, CK_TABLE, pa - ctx->facts.root + ctx->facts.root_va);
}

pt_pte pt__ck_look_up(struct pt_check *c, const struct ck_ctx *ctx, uint64_t ipa, uint64_t *mask)
{
	const struct ck_table *t = ctx->root;
	pt_pte e = 0;

	*mask = UINT64_MAX;
	while (t) {
		*mask = pt__ck_span(t) - 1;
		e = t->value[(ipa - t->ipa) / (*mask + 1)];
		t = pt__ck_is_table(t, e) ? pt__ck_child(c, ctx, e) : NULL;
	}
	return e;
}

/* W2: by a release, or after a fence that followed the last write. */
static bool ordered(const struct pt_check *c, const struct ck_table *child, uint8_t how)
{
	return how != PT_EVENT_STORE || (c->self && c->self->fence > child->filled);
}

static bool linkable(struct pt_check *c, const struct ck_ctx *ctx, const struct ck_table *child)
{
	if (!child)
		return c->untracked ||
		       pt__ck_judge(c, PT_RULE_S1, false, "what is linked is no table page");
	return pt__ck_judge(c, PT_RULE_S1,
			    child->bytes == UINT64_C(1) << ctx->facts.geo.granule_shift,
			    "the linked page has another size") &&
	       pt__ck_judge(c, PT_RULE_S1, child->state == CK_PRIVATE,
			    "the linked page is in a tree, or was");
}

static void account(struct pt_check *c, struct ck_table *child)
{
	struct ck_op *op = pt__ck_op_by_serial(c, child->op);

	if (op)
		op->pages--;
	child->ctx->linked++;
	if (child->ctx->facts.el2)
		return;
	pt__ck_judge(c, PT_RULE_A3, child->ctx->linked <= child->ctx->charged,
		     "more tables are linked than the quota was charged for");
}

/* Depth: the levels of a tree. */
void pt__ck_link(struct pt_check *c, struct ck_table *parent, uint32_t index, pt_pte entry,
		 uint8_t how)
{
	struct ck_ctx *ctx = parent->ctx;
	struct ck_table *t = pt__ck_child(c, ctx, entry);

	if (!linkable(c, ctx, t) || !t || !pt__ck_copy(c, t))
		return;
	pt__ck_judge(c, PT_RULE_W2, ordered(c, t, how),
		     "a table was linked by a plain store, without a fence after its last write");
	t->state = CK_LIVE;
	t->ctx = ctx;
	t->level = (int8_t)(parent->level + 1);
	t->ipa = parent->ipa + index * pt__ck_span(parent);
	account(c, t);
	for (uint32_t i = 0; i < t->entries; i++) {
		pt_pte e = t->value[i];

		if (!e)
			continue;
		pt__ck_shape(c, t, i, e);
		if (pt__ck_is_table(t, e))
			pt__ck_link(c, t, i, e, how);
		else if (pt_pte_valid(e) && e & PT_PTE_AF)
			t->cached[i / 8] |= (uint8_t)(1u << i % 8);
		if (pt_pte_valid(e) && !pt__ck_is_table(t, e))
			pt__ck_group_at(c, t, i, e);
		pt__ck_owner(c, t, i, e, true);
	}
}

static bool empty(const struct ck_table *t)
{
	for (uint32_t i = 0; i < t->entries; i++)
		if (t->value[i])
			return false;
	return true;
}

static void unlink_all(struct pt_check *c, struct ck_table *t)
{
	t->state = CK_UNLINKED;
	t->unlinked = c->serial;
	t->op = c->op->serial;
	t->ctx->linked--;
	for (uint32_t i = 0; (t->level < PT_LEVEL_LAST || t->ctx->owners) && i < t->entries; i++) {
		struct ck_table *child = NULL;

		pt__ck_owner(c, t, i, t->value[i], false);
		if (pt__ck_is_table(t, t->value[i]))
			child = pt__ck_child(c, t->ctx, t->value[i]);
		if (child && child->state == CK_LIVE)
			unlink_all(c, child);
	}
}

void pt__ck_unlink_table(struct pt_check *c, struct ck_table *parent, pt_pte entry)
{
	struct ck_table *t = pt__ck_child(c, parent->ctx, entry);

	if (!t || t->state != CK_LIVE)
		return;
	if (c->op->kind == PT_OP_SWEEP || t->ctx->facts.el2)
		pt__ck_judge(c, PT_RULE_S4, empty(t), "a table that has entries was swept");
	unlink_all(c, t);
}
