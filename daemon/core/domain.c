/* SPDX-License-Identifier: BSD-2-Clause */
/* The domain's own life, and that of the loops that use it. */
#include "domain_types.h"

#include "context.h"
#include "domain_trim.h"
#include "lendings.h"
#include "machine.h"
#include "registry.h"

#include <stdlib.h>

/* The simulation runs several loops on one thread; liburcu knows threads. */
static _Thread_local uint32_t loops_of_thread;
static _Thread_local bool thread_is_idle;

/* For the checked build: in which order they are taken. */
static void note_locks(struct domain *d)
{
	const struct pt_port_lock *leaf[] = {&d->watchers.lock,	      &d->failpoints.lock,
					     &d->request_ids.lock,    &d->principals.lock,
					     &d->owner_watchers.lock, &d->pagers.lock};

	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_SESSION, &d->sessions.lock, NULL, 0, 0);
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_REGISTRY, &d->lock, NULL, 0, 0);
	for (size_t i = 0; i < sizeof(leaf) / sizeof(leaf[0]); i++)
		pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_LEAF, leaf[i], NULL, 0, 0);
}

struct domain *domain_create(const struct domain_config *config)
{
	struct domain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->config = *config;
	if (!d->config.table_bytes)
		d->config.table_bytes = DEFAULT_TABLE_BYTES;
	d->machine_names.seed = d->context_names.seed = config->epoch;
	if (pt_host_tables_create(&d->tables, d->config.table_bytes) != PT_OK)
		goto err_after_domain;
	d->machines = pt_rcu_table_create();
	if (!d->machines)
		goto err_after_tables;
	d->contexts = pt_rcu_table_create();
	if (!d->contexts)
		goto err_after_machines;
	d->log_table = pt_rcu_table_create();
	if (!d->log_table)
		goto err_after_contexts;
	note_locks(d);
	return d;

err_after_contexts:
	pt_rcu_table_destroy(d->contexts);
err_after_machines:
	pt_rcu_table_destroy(d->machines);
err_after_tables:
	pt_host_tables_destroy(&d->tables);
err_after_domain:
	free(d);
	return NULL;
}

/* Nobody runs any more: objects need no teardown, their tables go as a whole. */
static void destroy_objects(struct domain *d)
{
	uint64_t key;
	struct context *c;
	struct machine *m;

	while ((c = ordered_next(&d->context_list, 0, &key)))
		context_retire(c);
	while ((m = ordered_next(&d->machine_list, 0, &key)))
		machine_retire(m);
}

void domain_destroy(struct domain *d)
{
	bool reader = !loops_of_thread;

	if (reader)
		pt_rcu_register(); /* taking nodes out is a read side, too */
	destroy_objects(d);
	if (reader)
		pt_rcu_unregister();
	pt_rcu_barrier();
	for (uint32_t i = 0; i < PT_MAX_AGENTS; i++)
		free(d->loop[i]);
	pt_rcu_table_destroy(d->machines);
	pt_rcu_table_destroy(d->contexts);
	pt_rcu_table_destroy(d->log_table);
	failpoints_free(&d->failpoints);
	request_ids_free(&d->request_ids);
	sessions_free(&d->sessions);
	name_table_free(&d->machine_names);
	name_table_free(&d->context_names);
	ordered_free(&d->machine_list);
	ordered_free(&d->context_list);
	pt_host_tables_destroy(&d->tables);
	free(d);
}

static void thread_enters(void)
{
	if (!loops_of_thread++)
		pt_rcu_register();
	else if (thread_is_idle)
		pt_rcu_online();
	thread_is_idle = false;
}

struct domain_loop *domain_loop_enter(struct domain *domain, uint32_t index)
{
	struct domain_loop *loop;

	if (index >= PT_MAX_AGENTS)
		return NULL;
	loop = atomic_load(&domain->loop[index]);
	if (!loop)
		loop = calloc(1, sizeof(*loop));
	if (!loop || loop->entered)
		return NULL;
	loop->domain = domain;
	loop->index = index;
	loop->agent = (struct pt_agent){0};
	atomic_store(&domain->loop[index], loop); /* kept, with its counters, when it leaves */
	if (pt_agent_join(&domain->tables.world, &loop->agent) != PT_OK)
		return NULL;
	loop->entered = true;
	thread_enters();
	return loop;
}

void domain_loop_leave(struct domain_loop *loop)
{
	fold_end(loop);
	trim_end(loop);
	pt_host_failpoint_disarm(PT_FP_FREE_DELAY); /* pages that do not go back now never would */
	/* Two groups of retired pages; what other loops still hold back goes with the domain. */
	if (pt_reclaim(&loop->agent))
		pt_reclaim(&loop->agent);
	pt_agent_leave(&loop->agent);
	if (thread_is_idle)
		pt_rcu_online();
	thread_is_idle = false;
	if (!--loops_of_thread)
		pt_rcu_unregister();
	loop->entered = false;
}

struct loop_counters *domain_loop_counters(struct domain_loop *loop)
{
	return &loop->counters;
}

void domain_section_begin(struct domain_loop *loop)
{
	if (unlikely(thread_is_idle))
		domain_loop_busy(loop);
	pt_section_begin(&loop->agent);
}

bool domain_section_end(struct domain_loop *loop)
{
	bool waits;

	pt_section_end(&loop->agent);
	waits = pt_reclaim(&loop->agent);
	if (unlikely(waits != atomic_load_explicit(&loop->waits, memory_order_relaxed)))
		atomic_store_explicit(&loop->waits, waits, memory_order_relaxed);
	pt_rcu_quiescent();
	return waits;
}

uint64_t domain_idle_work(struct domain_loop *loop, bool idle, uint64_t now_ns)
{
	uint64_t fold = fold_step(loop, idle, now_ns), trim = trim_step(loop, idle, now_ns);

	return fold < trim ? fold : trim;
}

struct domain_graces domain_loop_graces(const struct domain_loop *loop)
{
	return (struct domain_graces){
		.ended = atomic_load_explicit(&loop->agent.graces, memory_order_relaxed),
		.waits = atomic_load_explicit(&loop->waits, memory_order_relaxed),
	};
}

void domain_loop_idle(struct domain_loop *loop)
{
	(void)loop;
	thread_is_idle = true;
	pt_rcu_offline();
}

void domain_loop_busy(struct domain_loop *loop)
{
	(void)loop;
	if (!thread_is_idle)
		return;
	thread_is_idle = false;
	pt_rcu_online();
}

void domain_tick(struct domain *domain, uint64_t now_ns)
{
	uint64_t due = atomic_load_explicit(&domain->sessions.due_ns, memory_order_relaxed);

	if (unlikely(due && now_ns >= due))
		sessions_expire(&domain->sessions, now_ns);
	due = atomic_load_explicit(&domain->lendings_due_ns, memory_order_relaxed);
	if (unlikely(due && now_ns >= due))
		lendings_expire(domain, now_ns);
}

void domain_drain(struct domain *domain)
{
	atomic_store(&domain->draining, true);
	watch_wake_all(&domain->watchers);
	owner_watch_wake(&domain->owner_watchers, NULL);
	pagers_wake_all(&domain->pagers);
}

bool domain_draining(const struct domain *domain)
{
	return atomic_load_explicit(&domain->draining, memory_order_relaxed);
}
