/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines with owners: the life of the ledger, and of its parties. */
#include "owners.h"

#include "registry.h"
#include "transfer_work.h"

#include <stdlib.h>
#include <string.h>

#include "ptd/v1/context.pb-c.h"

static bool is_host(const struct context *c)
{
	return c->kind == PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST;
}

enum pt_outcome owners_create(struct machine *m, uint64_t quota_pages, bool force_reclaim)
{
	struct owners *o = calloc(1, sizeof(*o));

	if (!o)
		return PT_NO_MEMORY;
	pt_store_init(&o->store, &m->pt, quota_pages ? quota_pages : UINT64_MAX, 0);
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_LEAF, &o->lock, NULL, 0, 0);
	o->force_reclaim = force_reclaim;
	o->memory = (struct pt_region){.size = m->ram.bytes};
	m->owners = o;
	return PT_OK;
}

void owners_free(struct owners *o)
{
	free(o);
}

/* Who reads the ledger looks at `closing` in the section in which it reads. */
bool owners_close(struct call *call, struct owners *o)
{
	struct pt_machine any = {.world = &call->domain->tables.world, .agents = UINT64_MAX};
	struct pt_agent *agent = call_agent(call);

	if (!atomic_load_explicit(&o->closing, memory_order_relaxed)) {
		atomic_store_explicit(&o->closing, true, memory_order_relaxed);
		pt_grace_begin(&o->grace, &any, agent);
	}
	if (owner_watch_wake(&call->domain->owner_watchers, &o->events))
		return false; /* they leave by themselves */
	o->drained = o->drained || pt_grace_done(&o->grace, &any);
	if (!o->drained || !o->pt.host)
		return o->drained;
	return pt_frames_close(&o->pt.frames, agent, STEP_ITEMS) == PT_OK &&
	       pt_extents_close(&o->pt.extents, agent, STEP_ITEMS) == PT_OK;
}

struct machine *owners_find(struct call *call, uint64_t handle)
{
	struct machine *m = find_machine(call, handle, "machine");

	if (!m)
		return NULL;
	if (!m->owners)
		call_fail(call, PT_WRONG_STATE, "machine: it was made without owners");
	else if (atomic_load_explicit(&m->owners->closing, memory_order_relaxed))
		call_fail(call, PT_WRONG_STATE, "machine: it is being deleted");
	else if (!atomic_load_explicit(&m->owners->host, memory_order_acquire))
		call_fail(call, PT_WRONG_STATE, "machine: it has no context of kind HOST yet");
	else
		return m;
	return NULL;
}

static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	struct machine *m = arg;

	pt_host_ram_wipe(&m->ram, pa, size);
}

uint32_t owners_borrowers(const struct owners *o, uint64_t pa)
{
	struct pt_frame_record r = pt_frames_get(&o->pt.frames, pa);

	return r.shares + (r.hyp == PT_PAGE_SHARED_BORROWED) + (r.host == PT_PAGE_SHARED_BORROWED);
}

uint64_t owners_context(const struct owners *o, const struct pt_owner *owner)
{
	if (owner->kind == PT_OWNER_HYP)
		return 0;
	return atomic_load_explicit(owner->kind == PT_OWNER_HOST ? &o->host
								 : &o->guest[owner->handle],
				    memory_order_relaxed);
}

static void watch(void *arg, const struct pt_transfer *t, bool done)
{
	transfer_watch(transfer_work_of(t), arg, done);
}

/* The smallest granule that a context may have is the ledger's unit. */
static enum pt_outcome join_host(struct context *c)
{
	struct machine *m = c->machine;
	struct owners *o = m->owners;
	enum pt_outcome outcome;

	if (atomic_exchange(&o->hosted, true))
		return PT_ALREADY_EXISTS;
	outcome = pt_machine_owners_init(&o->pt, &o->store, &c->pt, PT_OWNER_SHIFT);
	o->pt.region = &o->memory;
	o->pt.regions = 1;
	o->pt.guest = o->guests;
	o->pt.guests = LIMIT_GUESTS;
	o->pt.lending = o->lendings;
	o->pt.lendings = LIMIT_LENDINGS;
	o->pt.wipe = wipe;
	o->pt.watch = watch;
	o->pt.arg = m;
	if (outcome != PT_OK)
		atomic_store(&o->hosted, false);
	return outcome;
}

static bool is_guest(const struct context *c)
{
	return c->machine->owners && !is_host(c);
}

enum pt_outcome owners_reserve(struct domain *d, struct machine *m, uint64_t *handle)
{
	struct owners *o = m->owners;
	enum pt_outcome outcome = PT_WRONG_STATE;
	uint32_t n;

	pt_port_lock(&d->lock);
	if (!m->dying)
		outcome = pt_guest_reserve(&o->pt, &n);
	if (outcome == PT_OK) {
		*handle = registry_next_handle(d);
		atomic_store_explicit(&o->guest[n], *handle, memory_order_release);
	}
	pt_port_unlock(&d->lock);
	return outcome == PT_BUSY ? PT_TOO_LARGE : outcome;
}

bool owners_reserved(const struct owners *o, uint64_t handle, uint32_t *guest)
{
	for (uint32_t i = 0; handle && i < LIMIT_GUESTS; i++)
		if (atomic_load_explicit(&o->guest[i], memory_order_acquire) == handle &&
		    atomic_load(&o->guests[i].life) == PT_GUEST_RESERVED) {
			*guest = i;
			return true;
		}
	return false;
}

bool owners_take(struct owners *o, uint64_t handle, uint32_t guest)
{
	return atomic_compare_exchange_strong(&o->guest[guest], &handle, 0);
}

void owners_give_back(struct owners *o, uint64_t handle, uint32_t guest)
{
	atomic_store(&o->guest[guest], handle);
}

uint64_t owners_topped_up(const struct context *c)
{
	const struct owners *o = c->machine->owners;

	/* Its number may be another guest's before it is gone itself. */
	if (!is_guest(c) || atomic_load(&o->guest[c->guest]) != c->handle)
		return 0;
	return atomic_load(&o->guests[c->guest].tables);
}

static enum pt_outcome find_place(struct context *c)
{
	struct owners *o = c->machine->owners;

	if (!c->reserved)
		return pt_guest_reserve(&o->pt, &c->guest) == PT_OK ? PT_OK : PT_TOO_LARGE;
	return owners_reserved(o, c->reserved, &c->guest) && owners_take(o, c->reserved, c->guest)
		       ? PT_OK
		       : PT_NOT_FOUND;
}

/* Nobody else has it yet. */
static void leave_place(struct call *call, struct context *c)
{
	struct owners *o = c->machine->owners;
	struct pt_guest_final final;

	if (c->reserved) {
		owners_give_back(o, c->reserved, c->guest);
		return;
	}
	pt_guest_finalize_init(&final, &o->pt, c->guest);
	pt_guest_finalize_step(&final, call_agent(call), 1);
}

enum pt_outcome owners_join(struct call *call, struct context *c)
{
	struct owners *o = c->machine->owners;
	enum pt_outcome outcome;

	if (!o)
		return PT_OK;
	if (is_host(c))
		return join_host(c);
	if (!atomic_load_explicit(&o->host, memory_order_acquire))
		return PT_WRONG_STATE;
	outcome = find_place(c);
	if (outcome != PT_OK)
		return outcome;
	outcome = pt_guest_create(&o->pt, c->guest, &c->pt, c->is_protected);
	if (outcome != PT_OK)
		leave_place(call, c);
	return outcome;
}

void owners_undo(struct call *call, struct context *c)
{
	struct owners *o = c->machine->owners;

	if (!o)
		return;
	if (is_host(c)) {
		o->pt.host = NULL;
		atomic_store(&o->hosted, false);
		return;
	}
	pt_guest_create_undo(&o->pt, c->guest);
	leave_place(call, c);
}

void owners_enter(struct context *c)
{
	struct owners *o = c->machine->owners;

	if (o && !context_is_shadow(c))
		atomic_store_explicit(is_host(c) ? &o->host : &o->guest[c->guest], c->handle,
				      memory_order_release);
}

void owners_leave(struct context *c)
{
	struct owners *o = c->machine->owners;
	uint64_t handle = c->handle;

	/* A guest's number may be another's already. */
	if (o && !context_is_shadow(c))
		atomic_compare_exchange_strong(is_host(c) ? &o->host : &o->guest[c->guest], &handle,
					       0);
}

bool owners_keep(const struct context *c)
{
	return c->machine->owners && is_host(c);
}

bool owners_begin(struct domain *d, struct machine *m)
{
	bool dying;

	pt_port_lock(&d->lock);
	dying = m->dying;
	if (!dying)
		atomic_fetch_add_explicit(&m->owners->active, 1, memory_order_relaxed);
	pt_port_unlock(&d->lock);
	return !dying;
}

void owners_end(struct machine *m)
{
	atomic_fetch_sub_explicit(&m->owners->active, 1, memory_order_release);
}

uint64_t owners_number(struct owners *o, const ProtobufCBinaryData *id)
{
	struct owner_request *r;
	uint64_t number;

	if (id->len != REQUEST_ID)
		return 0;
	pt_port_lock(&o->lock);
	number = ++o->requests;
	r = &o->request[number % LIMIT_OWNER_REQUESTS];
	r->number = number;
	memcpy(r->id, id->data, REQUEST_ID);
	pt_port_unlock(&o->lock);
	return number;
}

bool owners_request(struct owners *o, uint64_t number, uint8_t id[REQUEST_ID])
{
	const struct owner_request *r = &o->request[number % LIMIT_OWNER_REQUESTS];
	bool known;

	if (!number)
		return false;
	pt_port_lock(&o->lock);
	known = r->number == number;
	if (known)
		memcpy(id, r->id, REQUEST_ID);
	pt_port_unlock(&o->lock);
	return known;
}
