/* SPDX-License-Identifier: BSD-2-Clause */
/* The moment of an effect: an item is done, a transaction commits, an object goes. The model does
 * the same, and must come to the same outcome. */
#include "sim.h"

#include <pt/txn.h>

#include <string.h>

static struct model_context *context_of(struct sim *sim, const struct pt_ctx *ctx)
{
	struct daemon *d = model_daemon(sim, ctx->scope);
	struct model_context *c = d ? model_context(&d->model, ctx->scope) : NULL;

	if (c)
		c->ctx = ctx;
	return c;
}

static const char *outcome_name(enum pt_outcome o)
{
	const struct pt_outcome_info *info = pt_outcome_info(o);

	return info ? info->name : "?";
}

/* Failures that the model does not foresee: tables run out, or the object changes. */
static bool is_outside(const struct sim *sim, const struct model_context *c, enum pt_outcome o)
{
	return (o == PT_QUOTA && sim->swarm.quota_pages) || o == PT_GENERATION_MISMATCH ||
	       (o == PT_WRONG_STATE && c->dying);
}

static void check(struct sim *sim, const struct model_context *c, const struct item *item,
		  enum pt_outcome expected, enum pt_outcome o, bool loose)
{
	if (o == expected || is_outside(sim, c, o) ||
	    (loose && o == (item->kind == PT_ITEM_MAKE_YOUNG ? PT_MADE_YOUNG : PT_MAPPED)))
		return;
	sim_fail(sim, "outcome",
		 "context %llx: kind %u at %llx size %llx: the model says %s, the daemon %s",
		 (unsigned long long)c->handle, item->kind, (unsigned long long)item->ipa,
		 (unsigned long long)item->size, outcome_name(expected), outcome_name(o));
}

static bool changes(enum pt_outcome o)
{
	return o == PT_MAPPED || o == PT_UNMAPPED || o == PT_PROTECTED || o == PT_RELAXED ||
	       o == PT_ANNOTATED;
}

static bool same_item(const struct item *a, const struct item *b)
{
	return a->ipa == b->ipa && a->size == b->size && a->pa == b->pa && a->kind == b->kind &&
	       a->prot == b->prot && a->flags == b->flags;
}

/* Is this what its client asked for, and the first time? */
static void attribute(struct sim *sim, const struct item *item, enum pt_outcome o, bool effective)
{
	struct exec *exec = oracle_current();
	struct op *op = exec ? exec->op : NULL;

	if (!op)
		return;
	sim->stats.items++;
	if (exec->items >= op->items || !same_item(&op->item[exec->items], item)) {
		sim_fail(sim, "intent", "client %u op %u: item %u is not what it asked for",
			 op->client, op->number, exec->items);
		return;
	}
	exec->outcome[exec->items++] = o;
	exec->errors += pt_is_error(o);
	sim->stats.item_kind[item->kind] += !pt_is_error(o);
	if (!effective || !changes(o))
		return;
	if (op->session) {
		exec->changed = true;
		session_effect(sim, exec);
		return;
	}
	if (op->has_id && op->worked && op->worker != exec->serial && !oracle_forgotten(sim, op))
		sim_fail(sim, "twice", "client %u op %u %s: its effect happens a second time",
			 op->client, op->number, op_name(op->kind));
	op->worked = exec->changed = true;
	op->worker = exec->serial;
}

void oracle_item(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		 enum pt_outcome o)
{
	struct model_context *c = context_of(sim, ctx);
	enum pt_outcome expected;
	bool loose;

	if (!c)
		return;
	expected = model_expect(c, item, &loose);
	check(sim, c, item, expected, o, loose);
	if (!pt_is_error(o))
		model_apply(c, item);
	attribute(sim, item, o, true);
}

enum pt_outcome oracle_commit(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
			      bool *loose)
{
	struct model_context *c = context_of(sim, ctx);
	enum pt_outcome expected;

	*loose = false;
	if (!c)
		return PT_INTERNAL;
	expected = model_expect(c, item, loose);
	model_apply(c, item);
	return expected;
}

void oracle_done(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		 enum pt_outcome o, enum pt_outcome expected, bool loose, bool validate_only)
{
	struct model_context *c = context_of(sim, ctx);

	if (!c)
		return;
	if (validate_only)
		expected = model_expect(c, item, &loose);
	check(sim, c, item, expected, o, loose);
	attribute(sim, item, o, !validate_only);
}

/* The same for a transaction on what pagers supply. */
void oracle_slot(struct sim *sim, const struct pt_ctx *ctx, uint64_t generation)
{
	struct model_context *c = context_of(sim, ctx);

	if (c)
		paged_commit(sim, c, generation);
}

void oracle_slot_done(struct sim *sim, const struct pt_ctx *ctx)
{
	struct model_context *c = context_of(sim, ctx);

	if (c)
		c->paged.moves = false;
}

/* A transaction of several items names the one that failed; nothing was done. */
void oracle_refused(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		    enum pt_outcome o)
{
	struct model_context *c = context_of(sim, ctx);
	struct exec *exec = oracle_current();
	bool loose;

	if (!c)
		return;
	check(sim, c, item, model_expect(c, item, &loose), o, false);
	if (!exec || !exec->op)
		return;
	if (exec->items < SIM_ITEMS)
		exec->outcome[exec->items++] = o;
	exec->errors++;
}

void oracle_dying(struct sim *sim, const struct pt_ctx *ctx, bool torn)
{
	struct model_context *c = context_of(sim, ctx);

	if (!c)
		return;
	c->dying = true;
	c->torn |= torn;
}

void oracle_retire(struct sim *sim, uint64_t handle)
{
	struct daemon *d = model_daemon(sim, handle);
	struct model_context *c = d ? model_context(&d->model, handle) : NULL;
	struct model_machine *m = d ? model_machine(&d->model, handle) : NULL;
	struct exec *exec = oracle_current();

	if (c)
		c->live = false;
	if (m)
		m->live = m->dying = false;
	if (exec)
		exec->retired++;
	if (!c && !m)
		sim_fail(sim, "registry", "%llx goes and was not there",
			 (unsigned long long)handle);
}
