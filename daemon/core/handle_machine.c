/* SPDX-License-Identifier: BSD-2-Clause */
/* MachineService but for memory: create, get, list, delete. */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_work.h"
#include "machine.h"
#include "nested.h"
#include "owners.h"
#include "registry.h"

#include "ptd/v1/machine.pb-c.h"

#define ABORT	      PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_ABORT
#define FORCE_RECLAIM PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_FORCE_RECLAIM
#define MEMORY_UNIT   (UINT64_C(64) << 10)

/* Memory for a machine's message: its name is not filled in. */
static Ptd__V1__Machine *empty_message(struct call *call)
{
	Ptd__V1__Machine *to = new_response(call, &ptd__v1__machine__descriptor);

	if (!to)
		return NULL;
	to->name = call_alloc(call, NAME_BYTES + 1);
	if (to->name)
		return to;
	fail_arena(call);
	return NULL;
}

static void fill_owners(Ptd__V1__Machine *to, const struct owners *o)
{
	uint64_t quota;

	to->owners = o != NULL;
	if (!o)
		return;
	quota = atomic_load_explicit(&o->store.quota_pages, memory_order_relaxed);
	to->foreign_access = o->force_reclaim ? FORCE_RECLAIM : ABORT;
	to->owner_pages = pt_store_pages(&o->store);
	to->owner_quota_pages = quota == UINT64_MAX ? 0 : quota;
}

static void fill(struct call *call, Ptd__V1__Machine *to, struct machine *m)
{
	for (unsigned i = 0; i < NAME_BYTES; i++)
		to->name[i] = m->by_name.name[i];
	to->handle = m->handle;
	to->memory_bytes = m->ram.bytes;
	to->vcpus = m->vcpus;
	to->pa_bits = m->pt.pa_bits;
	to->vmid_bits = m->vmid_bits;
	pt_port_lock(&call->domain->lock);
	to->contexts = m->contexts.live;
	pt_port_unlock(&call->domain->lock);
	to->resident_bytes = pt_host_ram_resident(&m->ram);
	fill_owners(to, m->owners);
}

static Ptd__V1__Machine *message(struct call *call, struct machine *m)
{
	Ptd__V1__Machine *to = empty_message(call);

	if (to)
		fill(call, to, m);
	return to;
}

static bool pa_bits_ok(uint32_t bits)
{
	return bits == 32 || bits == 36 || bits == 40 || bits == 42 || bits == 44 || bits == 48 ||
	       bits == 52;
}

static enum call_result check_memory(struct call *call, uint64_t bytes, uint32_t pa_bits)
{
	if (!bytes)
		return call_fail(call, PT_INVALID, "memory_bytes: a machine needs memory");
	if (bytes % MEMORY_UNIT)
		return fail_aligned(call, "memory_bytes", bytes, MEMORY_UNIT);
	if (bytes > UINT64_C(1) << (pa_bits - 1))
		return call_fail(call, PT_OUT_OF_RANGE,
				 "memory_bytes: more than half of the %u-bit PA space", pa_bits);
	if (bytes > LIMIT_MACHINE_BYTES)
		return call_fail(call, PT_TOO_LARGE, "memory_bytes: above max_machine_bytes");
	return CALL_MORE;
}

static enum call_result check_owners(struct call *call, const Ptd__V1__CreateMachineRequest *q)
{
	if (q->owner_quota_pages && !q->owners)
		return call_fail(call, PT_INVALID, "owner_quota_pages: it goes with owners");
	if (q->foreign_access && !q->owners)
		return call_fail(call, PT_INVALID, "foreign_access: it goes with owners");
	if (q->foreign_access > FORCE_RECLAIM)
		return call_fail(call, PT_INVALID, "foreign_access: there is no %u",
				 q->foreign_access);
	return CALL_MORE;
}

static enum call_result check_create(struct call *call, const struct machine_args *args)
{
	if (!name_is_legal(args->name))
		return call_fail(call, PT_INVALID,
				 "name: 1 to %u of letters, digits, '.', '_', '-'",
				 LIMIT_NAME_BYTES);
	if (!pa_bits_ok(args->pa_bits))
		return call_fail(call, PT_INVALID,
				 "pa_bits: %u is not 32, 36, 40, 42, 44, 48 or 52", args->pa_bits);
	if (args->vmid_bits != 8 && args->vmid_bits != 16)
		return call_fail(call, PT_INVALID, "vmid_bits: %u is not 8 or 16", args->vmid_bits);
	if (!args->vcpus)
		return call_fail(call, PT_INVALID, "vcpus: a machine needs one");
	if (args->vcpus > LIMIT_VCPUS)
		return call_fail(call, PT_TOO_LARGE, "vcpus: %u is above max_vcpus (%u)",
				 args->vcpus, LIMIT_VCPUS);
	return check_memory(call, args->memory_bytes, args->pa_bits);
}

static enum call_result fail_create(struct call *call, enum pt_outcome o)
{
	switch (o) {
	case PT_ALREADY_EXISTS: return call_fail(call, o, "name: a machine of this name exists");
	case PT_TOO_LARGE: return call_fail(call, o, "max_machines machines exist");
	default: return call_fail(call, o, "no memory for the machine");
	}
}

static enum call_result create(struct call *call)
{
	const Ptd__V1__CreateMachineRequest *q = (const void *)call->request;
	struct machine_args args = {.name = q->name,
				    .memory_bytes = q->memory_bytes,
				    .vcpus = q->vcpus,
				    .pa_bits = q->pa_bits ? q->pa_bits : 48,
				    .vmid_bits = q->vmid_bits ? q->vmid_bits : 16,
				    .owners = q->owners,
				    .owner_quota_pages = q->owner_quota_pages,
				    .force_reclaim = q->foreign_access == FORCE_RECLAIM};
	Ptd__V1__CreateMachineResponse *r;
	struct machine *m = NULL;
	enum pt_outcome o;

	if (check_owners(call, q) != CALL_MORE || check_create(call, &args) != CALL_MORE)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__create_machine_response__descriptor);
	if (r)
		r->machine = empty_message(call); /* before there is a machine to tell of */
	if (!r || !r->machine)
		return CALL_DONE;
	o = machine_create(call->domain, &args, &m);
	if (o != PT_OK)
		return fail_create(call, o);
	fill(call, r->machine, m);
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result machine_create_call(struct call *call)
{
	const Ptd__V1__CreateMachineRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, create);
}

enum call_result machine_get(struct call *call)
{
	const Ptd__V1__GetMachineRequest *q = (const void *)call->request;
	Ptd__V1__GetMachineResponse *r;
	struct machine *m;

	if (q->handle && q->name[0])
		return call_fail(call, PT_INVALID, "name: give it or handle, not both");
	m = !q->handle && q->name[0] ? find_machine_named(call, q->name)
				     : find_machine(call, q->handle, "handle");
	if (!m)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__get_machine_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->machine = message(call, m);
	call->response = r->machine ? &r->base : NULL;
	return CALL_DONE;
}

enum call_result machine_list(struct call *call)
{
	const Ptd__V1__ListMachinesRequest *q = (const void *)call->request;
	uint32_t limit = page_limit(q->page_size);
	Ptd__V1__ListMachinesResponse *r;
	struct machine *m;
	uint64_t after;

	if (!page_token_read(call, 0, q->page_token, &after))
		return CALL_DONE;
	r = new_response(call, &ptd__v1__list_machines_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->machines = call_alloc(call, limit * sizeof(*r->machines));
	r->next_page_token = call_alloc(call, PAGE_TOKEN_BYTES);
	if (!r->machines || !r->next_page_token)
		return fail_arena(call);
	while (r->n_machines < limit && (m = registry_next_machine(call->domain, after))) {
		Ptd__V1__Machine *to = message(call, m);

		if (!to)
			return CALL_DONE;
		r->machines[r->n_machines++] = to;
		after = m->handle;
	}
	if (registry_next_machine(call->domain, after))
		page_token_make(call, 0, after, r->next_page_token);
	call->response = &r->base;
	return CALL_DONE;
}

/* A forced delete: marks the machine, destroys its contexts one by one, then retires it. */
struct deletion {
	Ptd__V1__DeleteMachineResponse *response;
	struct work *work;
	struct context *victim; /* under teardown by this call, so it stays */
	bool ends_shadows;	/* the victim's, first */
	struct nested_end shadow;
};

/* Takes one context that nobody else deletes. `left`: some are still there. */
static struct context *next_victim(struct domain *d, struct machine *m, bool *left)
{
	struct context *c = NULL;
	uint64_t key = 0;

	pt_port_lock(&d->lock);
	do
		c = ordered_next(&m->contexts, key, &key);
	while (c && (c->doomed || context_is_shadow(c)));
	if (c)
		c->doomed = true;
	*left = m->contexts.live != 0;
	pt_port_unlock(&d->lock);
	return c;
}

static enum call_result destroy_victim(struct call *call, struct deletion *s)
{
	enum call_result result;
	enum pt_outcome o;

	if (s->ends_shadows) {
		result = nested_end_all(call, &s->shadow, s->victim);
		if (result != CALL_DONE)
			return result;
		s->ends_shadows = false;
		work_begin_teardown(s->work, s->victim);
	}
	if (s->work->holds != WORK_NOTHING) {
		result = work_step(s->work, STEP_VISITS, &o);
		if (result != CALL_DONE)
			return result;
	}
	if (!work_unpinned(s->victim) || !nested_close(call, s->victim))
		return CALL_MORE;
	count_effects(call, &s->work->txn.effects);
	context_retire(s->victim);
	s->victim = NULL;
	s->response->contexts_deleted++;
	return CALL_MORE;
}

static enum call_result delete_on(struct call *call, struct deletion *s)
{
	const Ptd__V1__DeleteMachineRequest *q = (const void *)call->request;
	struct machine *m;
	bool left;

	if (s->victim)
		return destroy_victim(call, s);
	m = find_machine(call, q->handle, "handle");
	if (!m)
		return CALL_DONE;
	if (m->owners && atomic_load_explicit(&m->owners->active, memory_order_acquire))
		return CALL_MORE; /* transfers that began before */
	s->victim = next_victim(call->domain, m, &left);
	if (s->victim) {
		s->ends_shadows = true;
		return destroy_victim(call, s);
	}
	if (left)
		return CALL_MORE; /* other calls are deleting the rest */
	if (m->owners && !owners_close(call, m->owners))
		return CALL_MORE;
	machine_retire(m);
	call->response = &s->response->base;
	return CALL_DONE;
}

/* From here on nothing stops it. PT_OK, or why it may not begin. */
static enum pt_outcome doom(struct domain *d, struct machine *m, bool force)
{
	enum pt_outcome o = PT_OK;

	pt_port_lock(&d->lock);
	if (m->dying)
		o = PT_WRONG_STATE;
	else if (m->contexts.live && !force)
		o = PT_NOT_EMPTY;
	else
		m->dying = true;
	pt_port_unlock(&d->lock);
	return o;
}

static enum call_result delete_begin(struct call *call)
{
	const Ptd__V1__DeleteMachineRequest *q = (const void *)call->request;
	struct machine *m = find_machine(call, q->handle, "handle");
	struct deletion *s = m ? call_alloc(call, sizeof(*s)) : NULL;
	enum pt_outcome o;

	if (!m)
		return CALL_DONE;
	if (!s || !work_get(call, &s->work))
		return fail_arena(call);
	s->response = new_response(call, &ptd__v1__delete_machine_response__descriptor);
	if (!s->response)
		return CALL_DONE;
	o = doom(call->domain, m, q->force);
	if (o == PT_NOT_EMPTY)
		return call_fail(call, o, "handle: the machine has contexts and force is not set");
	if (o != PT_OK)
		return call_fail(call, o, "handle: the machine is being deleted");
	call->state = s;
	return delete_on(call, s);
}

static enum call_result delete_step(struct call *call)
{
	return call->state ? delete_on(call, call->state) : delete_begin(call);
}

enum call_result machine_delete(struct call *call)
{
	const Ptd__V1__DeleteMachineRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, delete_step);
}

/* Once begun it runs to its end, whoever still listens. */
static enum call_result delete_anyway(struct call *call)
{
	return call->state ? delete_on(call, call->state) : CALL_DONE;
}

enum call_result machine_delete_abandon(struct call *call)
{
	const Ptd__V1__DeleteMachineRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, delete_anyway);
}
