/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a context: made whole, registered, torn down by a transaction, retired. */
#include "context.h"

#include "dirty_logs.h"
#include "machine.h"
#include "nested.h"
#include "owners.h"
#include "registry.h"
#include "slots.h"

#include <stdlib.h>
#include <string.h>

static uint64_t quota_of(const struct context_args *args)
{
	if (args->is_topped_up)
		return 0;
	return args->quota_pages ? args->quota_pages : UINT64_MAX;
}

static void full_name(struct context *c, const char *name)
{
	size_t n = strlen(c->machine->by_name.name);

	memcpy(c->by_name.name, c->machine->by_name.name, n);
	c->by_name.name[n] = '/';
	strncpy(c->by_name.name + n + 1, name, NAME_BYTES);
}

/* Nobody has seen it: its start tables are empty and its VMID was never loaded. */
static void unmake(struct call *call, struct context *c)
{
	pt_ctx_undo(&c->pt, call_agent(call));
	free(c->nested);
	free(c);
}

static enum pt_outcome make_nested(struct context *c, const struct context_args *args)
{
	const struct nested_args nested = {
		.shadows = args->max_shadows,
		.link_pages = args->link_pages ? args->link_pages : UINT64_MAX,
	};

	return nested.shadows ? nested_create(c, &nested) : PT_OK;
}

enum pt_outcome context_create(struct call *call, struct machine *m,
			       const struct context_args *args, struct context **made)
{
	struct context *c = calloc(1, sizeof(*c));
	enum pt_outcome o;

	if (!c)
		return PT_NO_MEMORY;
	c->machine = m;
	c->kind = args->kind;
	c->is_protected = args->is_protected;
	c->is_topped_up = args->is_topped_up;
	c->reserved = args->reserved;
	full_name(c, args->name);
	o = pt_ctx_init(&c->pt, call_agent(call), &m->pt, &args->geometry, args->attrs,
			args->vtcr_flags, quota_of(args));
	if (o != PT_OK) {
		free(c);
		return o;
	}
	pt_ctx_set_policy(&c->pt, args->policy, NULL, NULL);
	pt_ctx_set_present(&c->pt, pagers_present, c);
	pt_ctx_sw_own(&c->pt, args->software_bits, PT_SW_CALLER);
	o = make_nested(c, args);
	if (o == PT_OK)
		o = owners_join(call, c);
	if (o != PT_OK) {
		unmake(call, c);
		return o;
	}
	o = registry_add_context(call->domain, c);
	if (o != PT_OK) {
		owners_undo(call, c);
		unmake(call, c);
	} else {
		*made = c;
	}
	return o;
}

static void free_context(struct pt_rcu_head *head)
{
	struct context *c = container_of(head, struct context, rcu);

	slots_free(pt_ctx_slots(&c->pt));
	free(c->nested);
	free(c);
}

void context_retire(struct context *c)
{
	dirty_logs_end(c);
	if (c->handle)
		registry_remove_context(c->machine->domain, c);
	pagers_end(c, 0, 0);
	pt_rcu_call(&c->rcu, free_context);
}

bool context_runs(struct call *call, const struct context *c)
{
	if (likely(!atomic_load_explicit(&c->dies, memory_order_relaxed)))
		return true;
	call_fail(call, PT_WRONG_STATE, "context: the guest is dying");
	return false;
}

uint64_t context_changed(struct domain *domain, struct context *c)
{
	uint64_t generation =
		atomic_fetch_add_explicit(&c->pt.generation, 1, memory_order_acq_rel) + 1;

	watch_note(domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	return generation;
}

/* A context's message; then its slots' pointers, then its slots. */
struct message {
	Ptd__V1__Context context;
	Ptd__V1__Geometry geometry;
	Ptd__V1__ContextOptions options;
	char name[FULL_NAME];
};

static void fill_geometry(Ptd__V1__Geometry *to, const struct pt_geometry *g)
{
	ptd__v1__geometry__init(to);
	to->granule_shift = g->granule_shift;
	to->ipa_bits = g->ipa_bits;
	to->pa_bits = g->pa_bits;
	to->ds = g->ds;
	to->start_level_plus_2 = (uint32_t)(g->start_level + 2);
}

static void fill_options(Ptd__V1__ContextOptions *to, const struct pt_ctx *ctx)
{
	ptd__v1__context_options__init(to);
	to->fwb = ctx->attrs & PT_ATTR_FWB;
	to->xnx = (ctx->attrs & PT_ATTR_XNX) != 0;
	to->ha = (ctx->vtcr_flags & PT_VTCR_HA) != 0;
	to->hd = (ctx->vtcr_flags & PT_VTCR_HD) != 0;
	to->bbm = ctx->bbm;
	to->identity = (ctx->policy & PT_CTX_IDENTITY) != 0;
	to->software_bits = pt_ctx_sw_of(ctx, PT_SW_CALLER) >> PT_PROT_SW_SHIFT;
}

static void fill_nested(Ptd__V1__ContextOptions *to, const struct nested *n)
{
	to->nested = n != NULL;
	to->max_shadows = n ? n->pt.shadows : 0;
	to->link_pages = n && n->link_pages != UINT64_MAX ? n->link_pages : 0;
}

static void fill_slot(Ptd__V1__Slot *to, const struct pt_slot *slot)
{
	ptd__v1__slot__init(to);
	to->id = slot->id;
	to->ipa = slot->ipa;
	to->size = slot->size;
	to->pa = slot->pa;
	to->flags = slot->flags & PT_SLOT_FLAGS;
	to->backing = UINT64_C(1) << slot->backing_shift;
}

static void fill_slots(Ptd__V1__Context *to, const struct pt_slots *slots, void *room)
{
	uint32_t n = slots ? slots->count : 0;
	Ptd__V1__Slot **pointer = room;
	Ptd__V1__Slot *slot = (void *)(pointer + n);

	to->n_slots = n;
	to->slots = n ? pointer : NULL;
	for (uint32_t i = 0; i < n; i++) {
		pointer[i] = &slot[i];
		fill_slot(&slot[i], &slots->slot[i]);
	}
}

/* Guests of a machine with owners die in public. */
static void fill_life(Ptd__V1__Context *to, const struct context *c)
{
	to->state = atomic_load_explicit(&c->dies, memory_order_relaxed)
			    ? PTD__V1__CONTEXT_STATE__CONTEXT_STATE_DYING
			    : PTD__V1__CONTEXT_STATE__CONTEXT_STATE_LIVE;
	to->topped_up_pages = owners_topped_up(c) >> c->pt.geo.granule_shift;
}

static void fill(struct message *m, struct context *c, const struct pt_slots *slots)
{
	uint64_t quota = atomic_load_explicit(&c->pt.quota_pages, memory_order_relaxed);
	Ptd__V1__Context *to = &m->context;

	ptd__v1__context__init(to);
	memcpy(m->name, c->by_name.name, sizeof(m->name));
	to->name = m->name;
	to->handle = c->handle;
	to->machine = c->machine->handle;
	to->kind = (Ptd__V1__ContextKind)c->kind;
	to->geometry = &m->geometry;
	fill_geometry(&m->geometry, &c->pt.geo);
	to->options = &m->options;
	fill_options(&m->options, &c->pt);
	m->options.protected_ = c->is_protected;
	m->options.topped_up = c->is_topped_up;
	fill_nested(&m->options, c->nested);
	fill_life(to, c);
	to->vmid = pt_ctx_vmid(&c->pt);
	to->vtcr = pt_ctx_vtcr(&c->pt);
	to->vttbr = pt_ctx_vttbr(&c->pt);
	to->generation = atomic_load_explicit(&c->pt.generation, memory_order_acquire);
	to->table_pages = atomic_load_explicit(&c->pt.table_pages, memory_order_relaxed);
	to->quota_pages = quota == UINT64_MAX ? 0 : quota;
	fill_slots(to, slots, m + 1);
}

Ptd__V1__Context *context_message(struct context *c, void *(*alloc)(void *arg, size_t bytes),
				  void *arg)
{
	const struct pt_slots *slots =
		pt_ctx_slots(&c->pt); /* once: it may be replaced meanwhile */
	size_t n = slots ? slots->count : 0;
	struct message *m =
		alloc(arg, sizeof(*m) + n * (sizeof(Ptd__V1__Slot) + sizeof(Ptd__V1__Slot *)));

	if (!m)
		return NULL;
	fill(m, c, slots);
	return &m->context;
}

static void *from_call(void *arg, size_t bytes)
{
	return call_alloc(arg, bytes);
}

Ptd__V1__Context *context_message_in_call(struct call *call, struct context *c)
{
	return context_message(c, from_call, call);
}

/* A new context has no memslots, unless somebody was quick. */
struct room {
	struct call *call;
	void *first;
};

static void *from_room(void *arg, size_t bytes)
{
	struct room *room = arg;

	return bytes <= sizeof(struct message) ? room->first : call_alloc(room->call, bytes);
}

void *context_message_room(struct call *call)
{
	return call_alloc(call, sizeof(struct message));
}

Ptd__V1__Context *context_message_at(void *first, struct call *call, struct context *c)
{
	struct room room = {call, first};

	return context_message(c, from_room, &room);
}
