/* SPDX-License-Identifier: BSD-2-Clause */
/* Which errors a call may end with, by the model. */
#include "sim.h"

#include <pt/txn.h>

#include <stdio.h>
#include <string.h>

struct looked look_up(struct sim *sim, struct exec *exec)
{
	struct op *op = exec->op;
	struct looked l = {.sim = sim, .exec = exec, .op = op};

	l.d = &sim->daemon[sim->client[op->client].daemon];
	l.stale = op->handle >> 48 != (l.d->epoch & 0xffff);
	switch (op->kind) {
	case OP_CREATE_MACHINE:
	case OP_GET_MACHINE: l.m = &l.d->model.machine[op->machine]; break;
	case OP_DELETE_MACHINE:
	case OP_CREATE_CONTEXT: l.m = model_machine(&l.d->model, op->handle); break;
	default: l.c = model_context(&l.d->model, op->handle); break;
	}
	if (op->kind == OP_GET_CONTEXT && op->by_name)
		l.c = &l.d->model.context[op->machine][op->context];
	if (l.m && !l.m->live && op->kind != OP_CREATE_MACHINE)
		l.m = NULL;
	if (l.c && !l.c->live)
		l.c = NULL;
	return l;
}

static bool id_is_anothers(struct looked *l)
{
	const struct client *me = &l->sim->client[l->op->client];

	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		const struct client *client = &l->sim->client[i];

		if (client->daemon != me->daemon ||
		    strcmp(client->principal.name, me->principal.name) != 0)
			continue;
		for (uint32_t k = 0; k < client->ops; k++) {
			const struct op *op = &client->op[k];

			if (op != l->op && op->has_id && !memcmp(op->id, l->op->id, 16) &&
			    (op->answered || oracle_runs(op)))
				return true;
		}
	}
	return false;
}

static bool name_is_taken(const struct looked *l)
{
	const struct op *op = l->op;

	return op->kind == OP_CREATE_MACHINE ? l->m->live
					     : l->d->model.context[op->machine][op->context].live;
}

/* Another client may have stopped it, or does; so may an attempt whose answer was lost. */
static bool log_refusal(enum op_kind kind, uint32_t code)
{
	return code == PT_NOT_FOUND || code == PT_STALE_EPOCH || code == PT_BUSY ||
	       (kind == OP_GET_LOG && code == PT_GENERATION_MISMATCH);
}

bool refusal_is_legal(struct looked *l, uint32_t code, bool abandoned)
{
	const struct op *op = l->op;

	if ((op->kind == OP_GET_LOG || op->kind == OP_STOP_LOG) && log_refusal(op->kind, code))
		return true;
	switch (code) {
	case PT_NOT_FOUND: return (!l->c || l->c->torn) && (!l->m || !l->m->live);
	case PT_STALE_EPOCH: return l->stale;
	case PT_ALREADY_EXISTS: return name_is_taken(l);
	case PT_WRONG_STATE: return true;
	case PT_NOT_EMPTY: return !op->force;
	case PT_GENERATION_MISMATCH:
		return op->expected &&
		       (!l->c || l->c->dying || l->c->highest != op->expected ||
			l->exec->generation != op->expected || oracle_others(l->exec));
	case PT_REQUEST_ID_REUSED: return id_is_anothers(l);
	case PT_CANCELLED:
	case PT_DEADLINE: return abandoned;
	case PT_OK: return abandoned; /* given up before the commit point */
	case PT_DRAINING: return l->d->draining;
	case PT_OVERLAP:
	case PT_INVALID:
	case PT_QUOTA:
		if (op->kind == OP_SPLIT || op->kind == OP_ACCESS)
			return code == PT_QUOTA && l->sim->swarm.quota_pages;
		return l->exec->items && l->exec->outcome[l->exec->items - 1] == code;
	default: return op->kind == OP_ARM;
	}
}

void failure_check(struct sim *sim, struct exec *exec, const struct call *call)
{
	struct looked l = look_up(sim, exec);

	if (exec->changed && l.c && !l.c->dying)
		WRONG(&l, "atomic", "it fails with %u and has changed the tables",
		      call->status.code);
	else if (exec->op->pager ? !paged_end_is_legal(&l, call)
				 : !refusal_is_legal(&l, call->status.code, call->abandoned))
		WRONG(&l, "refusal", "it fails with %u: %.40s (expected %llu, %llu, before %llu)",
		      call->status.code, call->status.text, (unsigned long long)l.op->expected,
		      (unsigned long long)(l.c ? l.c->highest : 0),
		      (unsigned long long)exec->generation);
}
