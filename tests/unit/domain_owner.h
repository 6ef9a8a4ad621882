/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines with owners, and questions about them, for the domain's tests. */
#ifndef TESTS_UNIT_DOMAIN_OWNER_H
#define TESTS_UNIT_DOMAIN_OWNER_H

#include "domain_fixture.h"

#include "owners.h"
#include "registry.h"

#include "ptd/v1/ownership.pb-c.h"

#define PAGE	UINT64_C(4096)
#define HOST	PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST
#define GUEST	PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST
#define OF_HOST PTD__V1__OWNER_KIND__OWNER_KIND_HOST

static inline uint64_t owned_machine_with(struct fixture *fx, const char *name, uint64_t quota,
					  Ptd__V1__ForeignAccess foreign)
{
	Ptd__V1__CreateMachineRequest q = PTD__V1__CREATE_MACHINE_REQUEST__INIT;

	q.name = (char *)(uintptr_t)name;
	q.memory_bytes = 64 * MIB;
	q.vcpus = 1;
	q.owners = true;
	q.owner_quota_pages = quota;
	q.foreign_access = foreign;
	return ((Ptd__V1__CreateMachineResponse *)OK(fx, "CreateMachine", &q))->machine->handle;
}

static inline uint64_t owned_machine(struct fixture *fx, const char *name, uint64_t quota)
{
	return owned_machine_with(fx, name, quota, 0);
}

static inline Ptd__V1__ContextOptions identity(void)
{
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;

	o.identity = true;
	return o;
}

static inline Ptd__V1__CreateContextRequest context_request(uint64_t machine, const char *name,
							    Ptd__V1__ContextKind kind,
							    Ptd__V1__ContextOptions *options)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;

	q.machine = machine;
	q.name = (char *)(uintptr_t)name;
	q.kind = kind;
	q.options = options;
	return q;
}

static inline uint64_t party(struct fixture *fx, uint64_t machine, const char *name,
			     Ptd__V1__ContextKind kind)
{
	Ptd__V1__ContextOptions o = identity();
	Ptd__V1__CreateContextRequest q =
		context_request(machine, name, kind, kind == HOST ? &o : NULL);

	return ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &q))->context->handle;
}

static inline struct owners *owners_of(struct fixture *fx, uint64_t machine)
{
	struct fake f = {.call = {.domain = fx->domain, .loop = fx->loop[0]}};

	return peek_machine(&f.call, machine)->owners;
}

static inline enum pt_outcome set(struct fixture *fx, uint64_t machine, struct pt_extent e)
{
	struct pt_agent *agent = &fx->loop[0]->agent;
	struct owners *o = owners_of(fx, machine);
	enum pt_outcome outcome;

	domain_section_begin(fx->loop[0]);
	outcome = pt_extents_reserve(&o->pt.extents, agent, 1);
	if (outcome == PT_OK) {
		pt_extents_set(&o->pt.extents, agent, &e);
		pt_extents_release(&o->pt.extents, agent, 1);
	}
	domain_section_end(fx->loop[0]);
	return outcome;
}

static inline Ptd__V1__GetOwnerResponse *get(struct fixture *fx, uint64_t machine, uint64_t pa,
					     uint64_t size)
{
	Ptd__V1__GetOwnerRequest q = PTD__V1__GET_OWNER_REQUEST__INIT;

	q.machine = machine;
	q.pa = pa;
	q.size = size;
	return OK(fx, "GetOwner", &q);
}

static inline Ptd__V1__Machine *get_machine(struct fixture *fx, uint64_t machine)
{
	Ptd__V1__GetMachineRequest q = PTD__V1__GET_MACHINE_REQUEST__INIT;

	q.handle = machine;
	return ((Ptd__V1__GetMachineResponse *)OK(fx, "GetMachine", &q))->machine;
}

#define KIND(name) PTD__V1__TRANSFER_KIND__TRANSFER_KIND_##name
#define OF(name)   PTD__V1__OWNER_KIND__OWNER_KIND_##name
#define IPA	   UINT64_C(0x40000000)

/* A machine with a host, a plain guest and a protected one. */
struct world {
	struct fixture *fx;
	uint64_t machine, host, plain, guarded;
};

static inline struct world world_with(void **state, Ptd__V1__ForeignAccess foreign)
{
	struct world w = {.fx = *state};
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextRequest c;

	w.machine = owned_machine_with(w.fx, "m1", 0, foreign);
	w.host = party(w.fx, w.machine, "host", HOST);
	w.plain = party(w.fx, w.machine, "plain", GUEST);
	o.protected_ = true;
	c = context_request(w.machine, "guarded", GUEST, &o);
	w.guarded =
		((Ptd__V1__CreateContextResponse *)OK(w.fx, "CreateContext", &c))->context->handle;
	return w;
}

static inline struct world world(void **state)
{
	return world_with(state, 0);
}

/* A request with its parts. */
struct ask {
	Ptd__V1__TransferRequest q;
	Ptd__V1__TransferItem item, *items[2];
	Ptd__V1__Party from, to;
};

static inline Ptd__V1__TransferRequest *ask(struct ask *a, const struct world *w,
					    Ptd__V1__TransferKind kind, Ptd__V1__OwnerKind from,
					    Ptd__V1__OwnerKind to, uint64_t guest)
{
	*a = (struct ask){.q = PTD__V1__TRANSFER_REQUEST__INIT,
			  .item = PTD__V1__TRANSFER_ITEM__INIT,
			  .from = PTD__V1__PARTY__INIT,
			  .to = PTD__V1__PARTY__INIT};
	a->from.kind = from;
	a->to.kind = to;
	a->from.context = from == OF(GUEST) ? guest : 0;
	a->to.context = to == OF(GUEST) ? guest : 0;
	a->item.kind = kind;
	a->item.from = &a->from;
	a->item.to = &a->to;
	a->item.size = PAGE;
	a->items[0] = a->items[1] = &a->item;
	a->q.machine = w->machine;
	a->q.items = a->items;
	a->q.n_items = 1;
	return &a->q;
}

static inline Ptd__V1__TransferRequest *donation(struct ask *a, const struct world *w, uint64_t pa,
						 uint64_t ipa)
{
	ask(a, w, KIND(DONATE), OF(HOST), OF(GUEST), w->guarded);
	a->item.pa = pa;
	a->item.ipa = ipa;
	return &a->q;
}

#endif
