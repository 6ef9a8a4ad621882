/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry. Finding is lock-free: a hash table under RCU, and the section of the caller keeps
 * what it found. Adding and removing take domain->lock for a few pointer writes.
 *
 * A handle is epoch (16 bits) : counter (48 bits). The counter is shared by machines,
 * contexts and dirty logs and only rises, so no handle is ever given twice and order of handles is
 * order of birth.
 */
#include "registry.h"

#include "domain_fail.h"
#include "nested.h"
#include "owners.h"
#include "slots.h"

#include "ptd/v1/context.pb-c.h"

#include <string.h>

#define COUNTER_BITS 48

static uint16_t epoch16(const struct domain *d)
{
	return (uint16_t)d->config.epoch;
}

void fail_handle(struct call *call, uint64_t handle, const char *field, const char *what)
{
	if (!handle)
		call_fail(call, PT_INVALID, "%s: 0 is no handle", field);
	else if (handle >> COUNTER_BITS != epoch16(call->domain))
		call_fail(call, PT_STALE_EPOCH, "%s: handle 0x%llx is from another run", field,
			  (unsigned long long)handle);
	else
		call_fail(call, PT_NOT_FOUND, "%s: no %s has the handle 0x%llx", field, what,
			  (unsigned long long)handle);
}

/* Before a call works on a machine: notes the agent (claims wait for it) and serves failpoints. */
static inline void enter(struct call *call, struct machine *machine)
{
	pt_machine_use(&machine->pt, &call->loop->agent);
	if (unlikely(atomic_load_explicit(&call->domain->failpoints.armed, memory_order_relaxed)))
		failpoints_enter(call);
}

struct machine *peek_machine(struct call *call, uint64_t handle)
{
	struct pt_rcu_node *node = pt_rcu_table_find(call->domain->machines, handle);
	struct machine *m;

	if (unlikely(!node))
		return NULL;
	m = container_of(node, struct machine, node);
	enter(call, m);
	return m;
}

struct context *peek_context(struct call *call, uint64_t handle)
{
	struct pt_rcu_node *node = pt_rcu_table_find(call->domain->contexts, handle);
	struct context *c;

	if (unlikely(!node))
		return NULL;
	c = container_of(node, struct context, node);
	enter(call, c->machine);
	return unlikely(pt_ctx_closed(&c->pt)) ? NULL
					       : c; /* its teardown has come to the start tables */
}

struct machine *find_machine(struct call *call, uint64_t handle, const char *field)
{
	struct machine *m = peek_machine(call, handle);

	if (!m)
		fail_handle(call, handle, field, "machine");
	return m;
}

struct context *find_context(struct call *call, uint64_t handle, const char *field)
{
	struct context *c = peek_context(call, handle);

	if (unlikely(!c))
		fail_handle(call, handle, field, "context");
	return c;
}

struct context *find_own_tables(struct call *call, uint64_t handle, const char *field)
{
	struct context *c = find_context(call, handle, field);

	if (likely(!c || !context_is_shadow(c)))
		return c;
	call_fail(call, PT_WRONG_STATE, "%s: a shadow changes by faults and by NestedService alone",
		  field);
	return NULL;
}

static struct name_node *find_name(struct domain *d, const struct name_table *table,
				   const char *name)
{
	struct name_node *n;

	pt_port_lock(&d->lock);
	n = name_table_find(table, name);
	pt_port_unlock(&d->lock);
	return n;
}

struct machine *find_machine_named(struct call *call, const char *name)
{
	struct name_node *n = find_name(call->domain, &call->domain->machine_names, name);
	struct machine *m;

	if (!n) {
		call_fail(call, PT_NOT_FOUND, "name: no machine \"%.63s\"", name);
		return NULL;
	}
	m = container_of(n, struct machine, by_name);
	enter(call, m);
	return m;
}

struct context *find_context_named(struct call *call, const char *name)
{
	struct name_node *n = find_name(call->domain, &call->domain->context_names, name);
	struct context *c;

	if (!n) {
		call_fail(call, PT_NOT_FOUND, "name: no context \"%.127s\"", name);
		return NULL;
	}
	c = container_of(n, struct context, by_name);
	enter(call, c->machine);
	return c;
}

uint64_t registry_next_handle(struct domain *d)
{
	return (uint64_t)epoch16(d) << COUNTER_BITS | ++d->last_handle;
}

static enum pt_outcome add_machine(struct domain *d, struct machine *m)
{
	if (d->machine_list.live >= LIMIT_MACHINES)
		return PT_TOO_LARGE;
	if (name_table_find(&d->machine_names, m->by_name.name))
		return PT_ALREADY_EXISTS;
	if (!name_table_reserve(&d->machine_names) || !ordered_reserve(&d->machine_list))
		return PT_NO_MEMORY;
	m->handle = registry_next_handle(d);
	m->node.key = m->handle;
	name_table_add(&d->machine_names, &m->by_name);
	ordered_append(&d->machine_list, m->handle, m);
	pt_rcu_table_add(d->machines, &m->node);
	return PT_OK;
}

enum pt_outcome registry_add_machine(struct domain *d, struct machine *m)
{
	enum pt_outcome o;

	pt_port_lock(&d->lock);
	o = add_machine(d, m);
	pt_port_unlock(&d->lock);
	return o;
}

static enum pt_outcome add_context(struct domain *d, struct context *c)
{
	if (c->machine->dying)
		return PT_WRONG_STATE;
	if (d->context_list.live >= LIMIT_CONTEXTS)
		return PT_TOO_LARGE;
	if (name_table_find(&d->context_names, c->by_name.name))
		return PT_ALREADY_EXISTS;
	if (!name_table_reserve(&d->context_names) || !ordered_reserve(&d->context_list) ||
	    !ordered_reserve(&c->machine->contexts))
		return PT_NO_MEMORY;
	c->handle = registry_next_handle(d);
	c->node.key = c->handle;
	c->pt.scope = c->handle;
	if (c->nested)
		c->nested->pt.store.scope = c->handle;
	owners_enter(c);
	name_table_add(&d->context_names, &c->by_name);
	ordered_append(&d->context_list, c->handle, c);
	ordered_append(&c->machine->contexts, c->handle, c);
	pt_rcu_table_add(d->contexts, &c->node);
	watch_note(d, c, PTD__V1__WATCH_KIND__WATCH_KIND_CREATED);
	return PT_OK;
}

enum pt_outcome registry_add_context(struct domain *d, struct context *c)
{
	enum pt_outcome o;

	pt_port_lock(&d->lock);
	o = add_context(d, c);
	pt_port_unlock(&d->lock);
	return o;
}

bool registry_knows(struct domain *d, const char *name)
{
	bool known;

	pt_port_lock(&d->lock);
	known = name_table_find(&d->context_names, name);
	pt_port_unlock(&d->lock);
	return known;
}

void registry_remove_machine(struct domain *d, struct machine *m)
{
	pt_port_lock(&d->lock);
	name_table_remove(&d->machine_names, &m->by_name);
	ordered_remove(&d->machine_list, m->handle);
	pt_rcu_table_remove(d->machines, &m->node);
	pt_port_unlock(&d->lock);
}

void registry_remove_context(struct domain *d, struct context *c)
{
	pt_port_lock(&d->lock);
	name_table_remove(&d->context_names, &c->by_name);
	ordered_remove(&d->context_list, c->handle);
	ordered_remove(&c->machine->contexts, c->handle);
	pt_rcu_table_remove(d->contexts, &c->node);
	owners_leave(c);
	slot_turns_end(c);
	watch_note(d, c, PTD__V1__WATCH_KIND__WATCH_KIND_DELETED);
	pt_port_unlock(&d->lock);
}

struct machine *registry_next_machine(struct domain *d, uint64_t after)
{
	uint64_t key;
	struct machine *m;

	pt_port_lock(&d->lock);
	m = ordered_next(&d->machine_list, after, &key);
	pt_port_unlock(&d->lock);
	return m;
}

struct context *registry_next_context(struct domain *d, struct machine *of, uint64_t after)
{
	uint64_t key;
	struct context *c;

	pt_port_lock(&d->lock);
	c = ordered_next(of ? &of->contexts : &d->context_list, after, &key);
	pt_port_unlock(&d->lock);
	return c;
}

struct context *registry_list_next(struct domain *d, struct machine *of, struct watcher *w)
{
	uint64_t key;
	struct context *c;

	pt_port_lock(&d->lock);
	c = ordered_next(of ? &of->contexts : &d->context_list, w->listed, &key);
	if (c && c->handle <= w->bound)
		watch_listed(&d->watchers, w, c->handle);
	else
		c = NULL;
	pt_port_unlock(&d->lock);
	return c;
}

uint32_t registry_machines(struct domain *d)
{
	uint32_t n;

	pt_port_lock(&d->lock);
	n = d->machine_list.live;
	pt_port_unlock(&d->lock);
	return n;
}

uint32_t registry_contexts(struct domain *d)
{
	uint32_t n;

	pt_port_lock(&d->lock);
	n = d->context_list.live;
	pt_port_unlock(&d->lock);
	return n;
}
