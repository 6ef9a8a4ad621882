/* SPDX-License-Identifier: BSD-2-Clause */
/* Lendings that were begun: when an open list is over, and which there are. */
#include "lendings.h"

#include "domain_fail.h"
#include "handlers.h"
#include "registry.h"

static struct owner_lending look(struct owners *o, uint32_t i)
{
	struct owner_lending l;

	pt_port_lock(&o->lock);
	l = o->lent[i];
	pt_port_unlock(&o->lock);
	return l;
}

/* False: it is not `was` any more. */
static bool replace(struct owners *o, uint32_t i, const struct owner_lending *was,
		    struct owner_lending with)
{
	bool same;

	pt_port_lock(&o->lock);
	same = o->lent[i].handle == was->handle;
	if (same)
		o->lent[i] = with;
	pt_port_unlock(&o->lock);
	return same;
}

static bool exists(struct owners *o, uint64_t handle)
{
	struct pt_lending l;

	return handle && pt_lending_get(&o->pt, handle, &l) == PT_OK;
}

/* domain_tick() looks at it, in the first step after that time: nobody sees a list that is over. */
static void be_due(struct domain *d, uint64_t due_ns)
{
	uint64_t was = atomic_load(&d->lendings_due_ns);

	while ((!was || due_ns < was) &&
	       !atomic_compare_exchange_weak(&d->lendings_due_ns, &was, due_ns))
		;
}

/* There are no more lendings than places: one of them is not used, or its lending is gone. */
void lendings_note(struct domain *d, struct machine *m, uint64_t handle, uint64_t due_ns)
{
	struct owners *o = m->owners;
	const struct owner_lending is = {handle, due_ns};

	for (uint32_t i = 0;; i = (i + 1) % LIMIT_LENDINGS) {
		struct owner_lending was = look(o, i);

		if (!exists(o, was.handle) && replace(o, i, &was, is))
			break;
	}
	be_due(d, due_ns);
}

/* 0, or when one of this machine is over. */
static uint64_t expire(struct owners *o, uint64_t now_ns)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < LIMIT_LENDINGS; i++) {
		struct owner_lending l = look(o, i);

		if (l.due_ns && now_ns >= l.due_ns) {
			pt_lend_expire(&o->pt, l.handle);
			replace(o, i, &l, (struct owner_lending){.handle = l.handle});
		} else if (l.due_ns && (!next || l.due_ns < next)) {
			next = l.due_ns;
		}
	}
	return next;
}

void lendings_expire(struct domain *d, uint64_t now_ns)
{
	uint64_t after = 0, next;

	atomic_store(&d->lendings_due_ns, 0);
	for (struct machine *m; (m = registry_next_machine(d, after)); after = m->handle) {
		next = m->owners ? expire(m->owners, now_ns) : 0;
		if (next)
			be_due(d, next);
	}
}

/* A lending and what it points to. */
struct lending {
	Ptd__V1__Lending message;
	Ptd__V1__Party lender, party[LIMIT_LEND_BORROWERS];
	Ptd__V1__Borrower borrower[LIMIT_LEND_BORROWERS], *borrowers[LIMIT_LEND_BORROWERS];
};

static void party(const struct owners *o, uint32_t guest, Ptd__V1__Party *to)
{
	const struct pt_owner owner = {.kind = guest == PT_NO_GUEST ? PT_OWNER_HOST
								    : PT_OWNER_GUEST,
				       .handle = (uint16_t)guest};

	ptd__v1__party__init(to);
	to->kind = guest == PT_NO_GUEST ? PTD__V1__OWNER_KIND__OWNER_KIND_HOST
					: PTD__V1__OWNER_KIND__OWNER_KIND_GUEST;
	to->context = guest == PT_NO_GUEST ? 0 : owners_context(o, &owner);
}

static void borrowers(const struct owners *o, const struct pt_lending *l, struct lending *to)
{
	for (uint32_t i = 0; i < l->borrowers; i++) {
		uint32_t n = (uint32_t)to->message.n_borrowers;
		Ptd__V1__Borrower *b = &to->borrower[n];

		if (l->borrower[i].guest == PT_NO_GUEST)
			continue;
		ptd__v1__borrower__init(b);
		party(o, l->borrower[i].guest, &to->party[n]);
		b->party = &to->party[n];
		b->has = l->borrower[i].has;
		b->ipa = b->has ? l->borrower[i].ipa : 0;
		to->borrowers[n] = b;
		to->message.n_borrowers++;
	}
	to->message.borrowers = to->borrowers;
}

static Ptd__V1__Lending *message(struct call *call, const struct owners *o,
				 const struct pt_lending *l, uint64_t due_ns)
{
	bool lent = l->state == PT_LENDING_LENT;
	struct lending *to = call_alloc(call, sizeof(*to));
	Ptd__V1__Lending *m;

	if (!to)
		return NULL;
	m = &to->message;
	ptd__v1__lending__init(m);
	m->handle = l->handle;
	party(o, l->lender, &to->lender);
	m->lender = &to->lender;
	m->state = lent ? PTD__V1__LENDING_STATE__LENDING_STATE_LENT
			: PTD__V1__LENDING_STATE__LENDING_STATE_OPEN;
	m->size = l->size;
	m->named = lent ? 0 : l->named;
	m->zero = l->wipe;
	m->expires_in_ms = lent || due_ns < call->now_ns ? 0 : (due_ns - call->now_ns) / 1000000;
	borrowers(o, l, to);
	return m;
}

enum call_result owner_lendings(struct call *call)
{
	const Ptd__V1__ListLendingsRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	Ptd__V1__ListLendingsResponse *r;

	if (!m)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__list_lendings_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->lendings = call_alloc(call, LIMIT_LENDINGS * sizeof(*r->lendings));
	for (uint32_t i = 0; r->lendings && i < LIMIT_LENDINGS; i++) {
		struct owner_lending is = look(m->owners, i);
		struct pt_lending l;

		if (!is.handle || pt_lending_get(&m->owners->pt, is.handle, &l) != PT_OK)
			continue;
		r->lendings[r->n_lendings] = message(call, m->owners, &l, is.due_ns);
		if (!r->lendings[r->n_lendings++])
			return fail_arena(call);
	}
	if (!r->lendings)
		return fail_arena(call);
	call->response = &r->base;
	return CALL_DONE;
}
