/* SPDX-License-Identifier: BSD-2-Clause */
/* What an answer says, at the moment of its making, against the model. */
#include "sim.h"

#include <pt/txn.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#include <stdio.h>
#include <string.h>

/* ---- generations ---- */

void content_counted(struct looked *l, uint64_t generation)
{
	struct model_context *c = l->c;
	uint64_t bit = UINT64_C(1) << generation % 64;

	if (generation / 64 >= sizeof(c->seen) / sizeof(c->seen[0]) ||
	    c->seen[generation / 64] & bit || generation < 2) {
		WRONG(l, "generation", "generation %llu was given before",
		      (unsigned long long)generation);
		return;
	}
	c->seen[generation / 64] |= bit;
	c->changes++;
	if (c->highest < generation)
		c->highest = generation;
}

static void check_generation(struct looked *l, uint64_t generation, const Ptd__V1__Effects *e,
			     bool count_anyway)
{
	bool changed = e->leaves_written || e->leaves_removed || e->blocks_split ||
		       e->tables_added || e->tables_freed || e->annotated;

	if (!l->c)
		return;
	if (l->op->validate_only ? false : changed || count_anyway)
		content_counted(l, generation);
	else if (generation < l->exec->generation)
		WRONG(l, "generation", "%llu, but it was %llu before",
		      (unsigned long long)generation, (unsigned long long)l->exec->generation);
	if (l->op->expected && !l->op->validate_only && generation != l->op->expected + 1)
		WRONG(l, "generation", "expected %llu, and now it is %llu",
		      (unsigned long long)l->op->expected, (unsigned long long)generation);
	if (l->exec->changed && !changed)
		WRONG(l, "effects", "the model has changed and no effects are told");
}

/* ---- answers ---- */

static void check_single(struct looked *l, const Ptd__V1__MapResponse *r)
{
	if (l->exec->items != 1 || r->outcome != l->exec->outcome[0])
		WRONG(l, "content", "outcome %u; item outcomes: %u, the first %u", r->outcome,
		      l->exec->items, l->exec->outcome[0]);
	check_generation(l, r->generation, r->effects, l->op->expected != 0);
}

static void check_apply(struct looked *l, const Ptd__V1__ApplyResponse *r)
{
	const struct exec *exec = l->exec;

	if (!l->c)
		return; /* it went in mid-batch */
	if (r->applied != exec->items - exec->errors || r->errors_total != exec->errors)
		WRONG(l, "content", "%u applied, %u errors; done were %u items with %u errors",
		      r->applied, r->errors_total, exec->items, exec->errors);
	for (uint32_t i = 0; l->op->want_outcomes && i < exec->items; i++)
		if (r->n_outcome != exec->items || r->outcome[i] != exec->outcome[i])
			WRONG(l, "content", "outcome of item %u", i);
	if (!exec->errors && exec->items != l->op->items)
		WRONG(l, "content", "%u of %u items were done", exec->items, l->op->items);
	check_generation(l, r->generation, r->effects, l->op->expected != 0);
}

static void new_handle(struct looked *l, uint64_t handle)
{
	if (handle >> 48 != (l->d->epoch & 0xffff))
		WRONG(l, "handle", "%llx is not of epoch %llx", (unsigned long long)handle,
		      (unsigned long long)l->d->epoch);
	if (handle <= l->d->model.last_handle)
		WRONG(l, "handle", "%llx is not new", (unsigned long long)handle);
	l->d->model.last_handle = handle;
}

static void check_create_machine(struct looked *l, const Ptd__V1__Machine *r)
{
	if (l->m->live)
		WRONG(l, "registry", "the name is taken");
	new_handle(l, r->handle);
	*l->m = (struct model_machine){.live = true, .handle = r->handle};
}

static void check_create_context(struct looked *l, const Ptd__V1__Context *r)
{
	struct model_context *c = &l->d->model.context[l->op->machine][l->op->context];

	if (!l->m)
		WRONG(l, "registry", "the machine does not exist");
	if (c->live)
		WRONG(l, "registry", "the name is taken");
	if (r->machine != l->op->handle || r->generation != 1 || r->table_pages)
		WRONG(l, "content", "a new context has a past");
	new_handle(l, r->handle);
	model_create(l->sim, c, r->handle, r->machine, l->sim->swarm.granule_shift);
}

static void check_context(struct looked *l, const Ptd__V1__Context *r)
{
	char name[16];

	if (!l->c) {
		WRONG(l, "registry", "it does not exist");
		return;
	}
	snprintf(name, sizeof(name), "m%u/c%u", l->op->machine, l->op->context);
	if (r->handle != l->c->handle || r->machine != l->c->machine ||
	    (l->op->by_name && strcmp(name, r->name)))
		WRONG(l, "content", "%s %llx is another context", r->name,
		      (unsigned long long)r->handle);
	if (r->generation < l->c->highest ||
	    (l->sim->settled && !l->c->dying && r->generation != l->c->changes + 1))
		WRONG(l, "generation", "generation %llu after %llu changes, the highest %llu",
		      (unsigned long long)r->generation, (unsigned long long)l->c->changes,
		      (unsigned long long)l->c->highest);
}

static void check_list(struct looked *l, const Ptd__V1__ListContextsResponse *r)
{
	uint64_t last = 0;
	size_t live = 0;

	for (uint32_t m = 0; m < SIM_MACHINES; m++)
		for (uint32_t c = 0; c < SIM_CONTEXTS; c++)
			live += l->d->model.context[m][c].live;
	if (live != r->n_contexts)
		WRONG(l, "registry", "%zu contexts listed, %zu there are", r->n_contexts, live);
	for (size_t i = 0; i < r->n_contexts; i++) {
		uint64_t handle = r->contexts[i]->handle;

		if (handle <= last || !model_context(&l->d->model, handle))
			WRONG(l, "registry", "%llx is listed", (unsigned long long)handle);
		last = handle;
	}
}

static void check_translation(struct looked *l, const Ptd__V1__TranslateResponse *r)
{
	const struct page *page;

	if (!l->c || l->c->dying || hooks_busy(l->c->handle, l->op->item[0].ipa))
		return;
	page = model_page(l->c, l->op->item[0].ipa);
	if (r->outcome == PT_NOT_MAPPED && l->c->aged)
		return; /* or old: an AT instruction sets no access flag */
	if ((r->outcome != PT_NOT_MAPPED) != page->mapped)
		WRONG(l, "translate", "outcome %u, mapped %d", r->outcome, page->mapped);
	else if (page->mapped &&
		 (!model_grants(l->c, page, r->prot) || (r->outcome == PT_OK && r->pa != page->pa)))
		WRONG(l, "translate", "pa %llx prot %x, the model has %llx %x",
		      (unsigned long long)r->pa, r->prot, (unsigned long long)page->pa, page->prot);
}

/* How far what is progressive came. */
static void check_end(struct looked *l, uint64_t next)
{
	const struct item *item = &l->op->item[0];

	if (next < item->ipa || next > item->ipa + item->size)
		WRONG(l, "content", "it came to %llx", (unsigned long long)next);
}

static void check_age(struct looked *l, const Ptd__V1__AgeResponse *r)
{
	uint64_t told = r->next_ipa - l->op->item[0].ipa;

	check_end(l, r->next_ipa);
	if ((r->young + r->old) << l->sim->swarm.granule_shift > told)
		WRONG(l, "content", "%llu young and %llu old of %llx bytes",
		      (unsigned long long)r->young, (unsigned long long)r->old,
		      (unsigned long long)told);
}

static void check_log(struct looked *l, const Ptd__V1__GetDirtyLogResponse *r)
{
	uint64_t set = 0;

	for (size_t i = 0; i < r->bitmap.len; i++)
		set += (uint64_t)__builtin_popcount(r->bitmap.data[i]);
	if (set != r->dirty)
		WRONG(l, "content", "%llu pages are dirty, and %llu bits are set",
		      (unsigned long long)r->dirty, (unsigned long long)set);
}

void content_check(struct sim *sim, struct exec *exec, const struct call *call)
{
	struct looked l = look_up(sim, exec);
	const void *r = call->response;

	sim->stats.call_kind[l.op->kind]++;
	switch (l.op->kind) {
	case OP_CREATE_MACHINE:
		check_create_machine(&l, ((const Ptd__V1__CreateMachineResponse *)r)->machine);
		break;
	case OP_CREATE_CONTEXT:
		check_create_context(&l, ((const Ptd__V1__CreateContextResponse *)r)->context);
		break;
	case OP_DELETE_CONTEXT:
		if (exec->retired != 1)
			WRONG(&l, "registry", "%u objects went", exec->retired);
		break;
	case OP_DELETE_MACHINE:
		if (exec->retired !=
		    ((const Ptd__V1__DeleteMachineResponse *)r)->contexts_deleted + 1)
			WRONG(&l, "registry", "%u objects went", exec->retired);
		break;
	case OP_MAP:
	case OP_UNMAP:
	case OP_PROTECT:
	case OP_WRITE_PROTECT: check_single(&l, r); break;
	case OP_AGE: check_age(&l, r); break;
	case OP_SPLIT: check_end(&l, ((const Ptd__V1__SplitResponse *)r)->next_ipa); break;
	case OP_COLLAPSE: check_end(&l, ((const Ptd__V1__CollapseResponse *)r)->next_ipa); break;
	case OP_GET_LOG: check_log(&l, r); break;
	case OP_APPLY: check_apply(&l, r); break;
	case OP_TRANSLATE: check_translation(&l, r); break;
	case OP_GET_MACHINE:
		if (!l.m ||
		    l.m->handle != ((const Ptd__V1__GetMachineResponse *)r)->machine->handle)
			WRONG(&l, "registry", "it is another machine");
		break;
	case OP_GET_CONTEXT:
		check_context(&l, ((const Ptd__V1__GetContextResponse *)r)->context);
		break;
	case OP_LIST_CONTEXTS: check_list(&l, r); break;
	case OP_SET_SLOT: paged_check_slot(&l, r); break;
	case OP_ACCESS: paged_check_access(&l, r); break;
	default: break;
	}
}

static void check_translations(struct looked *l, const Ptd__V1__AccessResults *r)
{
	uint64_t random, ipa[4];
	size_t n;

	session_draw(l->sim, l->op, l->exec->seq, &random);
	n = script_addresses(l->sim, &random, ipa);
	if (r->n_outcome != n)
		WRONG(l, "session", "%zu results for %zu addresses", r->n_outcome, n);
	for (size_t i = 0; i < n && i < r->n_outcome && i < r->n_pa; i++) {
		Ptd__V1__TranslateResponse one = PTD__V1__TRANSLATE_RESPONSE__INIT;
		const struct page *page = l->c ? model_page(l->c, ipa[i]) : NULL;

		one.outcome = r->outcome[i];
		one.pa = r->pa[i];
		one.prot = page ? page->prot : 0; /* not told */
		l->op->item[0].ipa = ipa[i];
		check_translation(l, &one);
	}
}

/* Translations are of one moment if they took one step; an access is of its last one. */
static void check_results(struct looked *l, const Ptd__V1__AccessResults *r)
{
	uint64_t random;
	uint32_t page, access;
	bool fault;

	if (session_draw(l->sim, l->op, l->exec->seq, &random) == MESSAGE_ACCESS) {
		fault = session_draw_access(&random, &page, &access);
		paged_check_result(l, page, fault, r->outcome[0], r->pa[0]);
	} else if (l->exec->steps == 1)
		check_translations(l, r);
}

void session_content(struct sim *sim, struct exec *exec, const Ptd__V1__SessionResponse *r)
{
	struct looked l = look_up(sim, exec);

	switch (r->what_case) {
	case PTD__V1__SESSION_RESPONSE__WHAT_APPLY: check_apply(&l, r->apply); break;
	case PTD__V1__SESSION_RESPONSE__WHAT_RESULTS: check_results(&l, r->results); break;
	default:
		if (exec->changed && l.c && !l.c->dying)
			WRONG(&l, "atomic", "message %llu fails with %u and has had an effect",
			      (unsigned long long)exec->seq, r->error->code);
		else if (!refusal_is_legal(&l, r->error->code, false))
			WRONG(&l, "refusal", "message %llu fails with %u: %.60s",
			      (unsigned long long)exec->seq, r->error->code, r->error->text);
		break;
	}
}
