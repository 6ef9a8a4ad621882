/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the runtime checker knows that memory does not tell, as a hash: what is owed and how far it
 * has been paid, claims, flushes and tables and the sections that they met. No serial is in it: of
 * moments it has what the checker compares, their order, and operations are told by where they
 * are. So two runs that came here on different ways differ only where a judgement may.
 */
#include "iv.h"

#include <check/state.h>

#define MOMENTS 256

static struct {
	uint64_t moment[MOMENTS];
	unsigned count;
	bool ranks; /* else they are collected */
} o;

/* The rank of a serial among those that count. */
static uint64_t when(uint64_t serial)
{
	uint64_t rank = 1;

	if (!serial)
		return 0;
	if (!o.ranks && o.count < MOMENTS)
		o.moment[o.count++] = serial;
	for (unsigned i = 0; o.ranks && i < o.count; i++)
		rank += o.moment[i] < serial;
	return rank;
}

/* The agents whose section had begun by then, and goes on. */
static uint64_t met(const struct pt_check *c, uint64_t serial)
{
	uint64_t agents = 0;

	for (unsigned i = 0; i < c->agents; i++)
		if (c->agent[i].inside && c->agent[i].begun <= serial)
			agents |= UINT64_C(1) << i;
	return agents;
}

/* Those that have fenced since. */
static uint64_t fenced(const struct pt_check *c, uint64_t serial)
{
	uint64_t agents = 0;

	for (unsigned i = 0; i < c->agents; i++)
		if (c->agent[i].fence > serial)
			agents |= UINT64_C(1) << i;
	return agents;
}

static uint64_t mix3(uint64_t hash, uint64_t a, uint64_t b, uint64_t c)
{
	return iv_mix(iv_mix(iv_mix(hash, a), b), c);
}

static uint64_t debts(const struct ck_op *op)
{
	uint64_t hash = 0;

	for (const struct ck_owed *d = op->owed; d; d = d->next) {
		hash = mix3(hash, d->lo, d->hi, when(d->first));
		hash = mix3(hash, when(d->latest), d->why * 16u + d->stage, (uint64_t)d->level);
		hash = iv_mix(hash, d->table | d->missed << 1 | d->elsewhere << 2 | d->rounds << 3);
	}
	for (const struct ck_apart *d = op->apart; d; d = d->next)
		hash = mix3(mix3(hash, d->lo, d->hi, (uint64_t)d->level), when(d->latest),
			    d->ctx->node.key, 1);
	return hash;
}

static uint64_t marks(const struct ck_mark *m)
{
	uint64_t hash = 0;

	for (; m; m = m->next)
		hash = mix3(hash, m->lo, m->hi, m->why);
	return hash;
}

static uint64_t operation(const struct pt_check *c, const struct ck_op *op)
{
	uint64_t hash = mix3(op->kind, op->node.key, op->claims, (uint64_t)op->pages);

	hash = mix3(hash, (uint64_t)op->locks, op->committed, marks(op->marks));
	hash = mix3(hash, op->flushed != 0, op->agents & met(c, op->flushed), marks(op->cleared));
	return iv_mix(hash, debts(op));
}

/* Of the agents, which are threads 1 to 3: invalidations under way. */
static uint64_t brackets(const struct pt_check *c)
{
	uint64_t hash = 0;

	for (const struct ck_bracket *b = c->bracket; b < c->bracket + 4; b++)
		if (b->open)
			hash = mix3(hash, b->thread, b->operand,
				    b->operands | b->single << 1 | b->local << 2 | b->stage << 3);
	return hash;
}

/* Whose it is: where the operation is, which asks the same at the same place in each run. */
static uint64_t owner(const struct pt_check *c, uint64_t serial)
{
	for (const struct ck_node *n = c->all[CK_OP]; n && serial; n = n->after)
		if (((const struct ck_op *)(const void *)n)->serial == serial)
			return n->key;
	return serial != 0;
}

static uint64_t claim(const struct pt_check *c, const struct ck_claim *claim)
{
	uint64_t hash = mix3(claim->node.key, claim->lo, claim->hi, claim->state);

	hash = mix3(hash, claim->shared * 2u + claim->late, owner(c, claim->op), claim->agents);
	return iv_mix(hash, claim->state == CK_PUBLISHED ? met(c, claim->published) : 0);
}

static uint64_t table(const struct pt_check *c, const struct ck_table *t)
{
	bool private = t->state == CK_PRIVATE, unlinked = t->state == CK_UNLINKED;
	uint64_t hash = mix3(t->node.key, t->state, t->ipa, (uint64_t)t->level);

	if (private)
		return iv_mix(hash, fenced(c, t->filled));
	return unlinked ? mix3(hash, owner(c, t->op), when(t->unlinked), met(c, t->unlinked))
			: hash;
}

static uint64_t context(const struct ck_ctx *ctx)
{
	return iv_mix(mix3(ctx->node.key, ctx->state, ctx->charged, ctx->linked),
		      ctx->vmid + (ctx->generation << 16));
}

static uint64_t machine(const struct pt_check *c, const struct ck_machine *m)
{
	return iv_mix(mix3(m->node.key, m->agents, m->generation, m->flushed),
		      m->rolled ? m->old_agents & met(c, m->rolled) : 0);
}

static uint64_t log_bits(const struct ck_log *log)
{
	uint64_t hash = mix3(log->node.key, log->lo, log->hi, 0);

	for (uint64_t i = 0; i < log->bytes; i++)
		hash = iv_mix(hash, log->marked[i]);
	return hash;
}

static uint64_t aside(const struct pt_check *c, const struct ck_aside *a)
{
	return mix3(a->node.key, a->entry, met(c, a->since), a->lo);
}

/* Lists are in the order of arrival: sums, which have none. */
static uint64_t all(const struct pt_check *c)
{
	uint64_t sum = operation(c, &c->none) + brackets(c);

	for (const struct ck_node *n = c->all[CK_CTX]; n; n = n->after)
		sum += context((const void *)n);
	for (const struct ck_node *n = c->all[CK_OP]; n; n = n->after)
		sum += operation(c, (const void *)n);
	for (const struct ck_node *n = c->all[CK_MACHINE]; n; n = n->after)
		sum += machine(c, (const void *)n);
	for (const struct ck_node *n = c->all[CK_LOG]; n; n = n->after)
		sum += log_bits((const void *)n);
	for (const struct ck_node *n = c->all[CK_CLAIM]; n; n = n->after)
		sum += claim(c, (const void *)n);
	for (const struct ck_node *n = c->all[CK_TABLE]; n; n = n->after)
		sum += table(c, (const void *)n);
	for (const struct ck_node *n = c->all[CK_ASIDE]; n; n = n->after)
		sum += aside(c, (const void *)n);
	return sum;
}

uint64_t iv_check_hash(const struct pt_check *check)
{
	o.count = 0;
	o.ranks = false;
	all(check);
	o.ranks = true;
	return all(check);
}
