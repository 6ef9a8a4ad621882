/* SPDX-License-Identifier: BSD-2-Clause */
/* PagerService.ListPagers. */
#include "handlers.h"

#include "domain_fail.h"
#include "pagers.h"
#include "registry.h"

#include "ptd/v1/pager.pb-c.h"

static bool fill_pager(struct call *call, const struct pager_seen *seen, Ptd__V1__Pager *to)
{
	const struct context *c = peek_context(call, seen->context);

	ptd__v1__pager__init(to);
	to->context_name = call_alloc(call, FULL_NAME);
	if (!to->context_name)
		return false;
	if (c)
		__builtin_memcpy(to->context_name, c->by_name.name, FULL_NAME);
	to->context = seen->context;
	to->ipa = seen->ipa;
	to->size = seen->size;
	to->absent_pages = seen->absent;
	to->failed_pages = seen->failed;
	to->served = seen->served;
	to->wanted_pages = seen->wanted;
	to->waiting = seen->waiting;
	to->principal = (char *)(uintptr_t)seen->principal;
	return true;
}

enum call_result pager_list(struct call *call)
{
	const Ptd__V1__ListPagersRequest *q = (const void *)call->request;
	struct machine *m = find_machine(call, q->machine, "machine");
	struct pager_seen *seen = call_alloc(call, LIMIT_MACHINE_PAGERS * sizeof(*seen));
	Ptd__V1__ListPagersResponse *r;
	Ptd__V1__Pager *pager;
	uint32_t n;

	if (!m)
		return CALL_DONE;
	if (!seen)
		return fail_arena(call);
	n = pagers_list(&call->domain->pagers, m, seen, LIMIT_MACHINE_PAGERS);
	r = new_response(call, &ptd__v1__list_pagers_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->pagers = call_alloc(call, n * sizeof(*r->pagers) + 1);
	pager = call_alloc(call, n * sizeof(*pager) + 1);
	if (!r->pagers || !pager)
		return fail_arena(call);
	for (uint32_t i = 0; i < n; i++) {
		if (!fill_pager(call, &seen[i], &pager[i]))
			return fail_arena(call);
		r->pagers[r->n_pagers++] = &pager[i];
	}
	call->response = &r->base;
	return CALL_DONE;
}
