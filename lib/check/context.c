/* SPDX-License-Identifier: BSD-2-Clause */
/* Contexts and what they are charged for (V2, A3, S1). */
#include "state.h"

static void init(struct pt_check *c, const struct pt_event *e)
{
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);
	struct ck_table *root = pt__ck_find(c, CK_TABLE, e->facts->root_va);

	if (ctx)
		pt__ck_drop_ctx(c, ctx);
	ctx = pt__ck_add(c, CK_CTX, e->ctx, sizeof(*ctx));
	if (!ctx)
		return;
	ctx->facts = *e->facts;
	if (!root && c->untracked)
		return;
	if (!pt__ck_judge(c, PT_RULE_S1,
			  root && root->state == CK_PRIVATE &&
				  root->bytes >= e->facts->geo.start_bytes,
			  "start tables that did not come out of the pool") ||
	    !pt__ck_copy(c, root))
		return;
	root->state = CK_LIVE;
	root->root = true;
	root->ctx = ctx;
	root->level = e->facts->geo.start_level;
	root->entries = e->facts->geo.start_entries;
	root->op = 0;
	ctx->root = root;
}

static void drop_claims(struct pt_check *c, struct ck_ctx *ctx)
{
	while (ctx->claims)
		pt__ck_drop_claim(c, ctx->claims);
}

void pt__ck_drop_ctx(struct pt_check *c, struct ck_ctx *ctx)
{
	if (ctx->owners && (!ctx->guest || ctx->state != CK_CTX_GONE))
		pt__ck_drop_owners(c, ctx->owners);
	drop_claims(c, ctx);
	pt__ck_drop_logs(c, ctx);
	pt__ck_drop_shadow(c, ctx);
	while (ctx->owing)
		pt__ck_forgive(c, ctx->owing);
	pt__ck_del(c, &ctx->node, sizeof(*ctx));
}

/* The record stays until its start tables are back in the pool. unseen: only who made it knew it.
 */
static void gone(struct pt_check *c, struct ck_ctx *ctx, bool unseen)
{
	pt__ck_judge(c, PT_RULE_V2, !ctx->active, "a context goes while a vCPU uses it");
	pt__ck_judge(c, PT_RULE_A3, !ctx->linked && !ctx->charged,
		     "a context goes with table pages charged to it");
	if (unseen)
		pt__ck_judge(c, PT_RULE_A1, !ctx->vmid && !ctx->claims,
			     "a context that others knew goes as if nobody had");
	ctx->state = CK_CTX_GONE;
	if (ctx->root) {
		ctx->root->state = unseen ? CK_PRIVATE : CK_UNLINKED;
		ctx->root->unlinked = c->op->flushed;
	}
}

static void account(struct pt_check *c, const struct pt_event *e, struct ck_ctx *ctx)
{
	if (e->kind == PT_EVENT_CHARGE) {
		ctx->charged += e->lo;
		pt__ck_judge(c, PT_RULE_A3, ctx->charged <= e->hi, "a quota was exceeded");
	} else if (pt__ck_judge(c, PT_RULE_A3,
				e->lo <= ctx->charged && ctx->charged - e->lo >= ctx->linked,
				"more table pages were given back than charged")) {
		ctx->charged -= e->lo;
	}
}

static void activate(struct pt_check *c, const struct pt_event *e, struct ck_ctx *ctx)
{
	const struct pt_event_ctx *f = &ctx->facts;

	pt__ck_judge(c, PT_RULE_V2,
		     e->lo == f->root && (!e->hi || e->hi == ctx->vmid) && e->at == f->mmu,
		     "a root is used under another VMID");
	pt__ck_judge(c, PT_RULE_V2, ctx->state != CK_CTX_GONE, "a root is used that is gone");
	ctx->active++;
}

static void used(struct pt_check *c, const struct pt_event *e)
{
	uint64_t out = 0;

	for (unsigned i = 0; i < c->memories; i++)
		if (c->memory[i].pool == e->ctx)
			out += c->memory[i].out;
	if (!c->untracked)
		pt__ck_judge(c, PT_RULE_A3, out == e->lo,
			     "the pool counts other pages than are out");
}

void pt__ck_ctx_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);

	if (e->kind == PT_EVENT_CTX_INIT)
		init(c, e);
	else if (e->kind == PT_EVENT_POOL_USED)
		used(c, e);
	if (!ctx)
		return;
	switch (e->kind) {
	case PT_EVENT_CTX_DYING:
		pt__ck_shadow_dying(c, ctx);
		if (ctx->state == CK_CTX_LIVE)
			ctx->state = CK_CTX_DYING;
		break;
	case PT_EVENT_CTX_GONE: gone(c, ctx, e->arg); break;
	case PT_EVENT_CTX_OPTIONS:
		ctx->facts.attrs = (uint8_t)e->arg;
		ctx->facts.vtcr_flags = (uint8_t)(e->arg >> 8);
		ctx->facts.bbm = (uint8_t)(e->arg >> 16);
		break;
	case PT_EVENT_CHARGE:
	case PT_EVENT_REFUND: account(c, e, ctx); break;
	case PT_EVENT_CTX_ACTIVATE: activate(c, e, ctx); break;
	case PT_EVENT_CTX_DEACTIVATE: ctx->active -= ctx->active != 0; break;
	default: break;
	}
}
