/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs as objects of the domain. */
#include "dirty_logs.h"

#include "registry.h"

#include <stdlib.h>
#include <string.h>

/* Which limit the log would break; NULL: none. There are at most LIMIT_DIRTY_LOGS to look at. */
static const char *limit_met(const struct domain *d, const struct dirty_log *log)
{
	uint64_t bytes = log->bytes;
	uint32_t count = 0;

	for (const struct dirty_log *other = d->logs; other; other = other->all_next)
		if (!strcmp(other->principal, log->principal)) {
			bytes += other->bytes;
			count++;
		}
	if (count >= LIMIT_PRINCIPAL_DIRTY_LOGS)
		return "max_principal_dirty_logs";
	if (bytes > LIMIT_PRINCIPAL_DIRTY_LOG_BYTES)
		return "max_principal_dirty_log_bytes";
	return d->log_count >= LIMIT_DIRTY_LOGS ? "max_dirty_logs" : NULL;
}

static void link_log(struct domain *d, struct dirty_log *log)
{
	struct context *c = log->context;

	log->next = c->logs;
	log->link = &c->logs;
	if (c->logs)
		c->logs->link = &log->next;
	c->logs = log;
	log->all_next = d->logs;
	log->all_link = &d->logs;
	if (d->logs)
		d->logs->all_link = &log->all_next;
	d->logs = log;
	d->log_count++;
}

static void unlink_log(struct domain *d, struct dirty_log *log)
{
	*log->link = log->next;
	if (log->next)
		log->next->link = log->link;
	*log->all_link = log->all_next;
	if (log->all_next)
		log->all_next->all_link = log->all_link;
	d->log_count--;
	if (log->published)
		pt_rcu_table_remove(d->log_table, &log->node);
}

static void free_log(struct pt_rcu_head *head)
{
	struct dirty_log *log = container_of(head, struct dirty_log, rcu);

	free(log->memory);
	free(log);
}

enum pt_outcome dirty_log_create(struct call *call, struct context *c, uint64_t bytes,
				 struct dirty_log **made, const char **limit)
{
	struct domain *d = call->domain;
	struct dirty_log *log;

	*limit = "max_dirty_log_bytes";
	if (bytes > LIMIT_DIRTY_LOG_BYTES)
		return PT_TOO_LARGE;
	log = calloc(1, sizeof(*log));
	if (!log)
		return PT_NO_MEMORY;
	log->context = c;
	log->bytes = bytes;
	memcpy(log->principal, call->principal->name, sizeof(log->principal));
	log->memory = calloc(1, bytes);
	pt_port_lock(&d->lock);
	*limit = limit_met(d, log);
	if (log->memory && !*limit)
		link_log(d, log);
	pt_port_unlock(&d->lock);
	if (log->memory && !*limit) {
		*made = log;
		return PT_OK;
	}
	free_log(&log->rcu);
	return *limit ? PT_TOO_LARGE : PT_NO_MEMORY;
}

void dirty_log_publish(struct domain *d, struct dirty_log *log)
{
	pt_port_lock(&d->lock);
	log->handle = log->node.key = registry_next_handle(d);
	log->published = true;
	pt_rcu_table_add(d->log_table, &log->node);
	pt_port_unlock(&d->lock);
}

void dirty_log_retire(struct domain *d, struct dirty_log *log)
{
	pt_port_lock(&d->lock);
	unlink_log(d, log);
	pt_port_unlock(&d->lock);
	pt_rcu_call(&log->rcu, free_log);
}

void dirty_logs_end(struct context *c)
{
	while (c->logs)
		dirty_log_retire(c->machine->domain, c->logs);
}

static void look_at(const struct dirty_log *log, struct dirty_log_seen *seen)
{
	const struct context *c = log->context;

	*seen = (struct dirty_log_seen){.handle = log->handle,
					.context = c->handle,
					.ipa = log->pt.ipa,
					.size = log->pt.last - log->pt.ipa + 1,
					.bytes = log->bytes};
	memcpy(seen->context_name, c->by_name.name, sizeof(seen->context_name));
}

uint32_t dirty_logs_list(struct domain *d, const struct context *c, struct dirty_log_seen *seen,
			 uint32_t room)
{
	uint32_t n = 0;

	pt_port_lock(&d->lock);
	for (const struct dirty_log *log = d->logs; log; log = log->all_next) {
		if (!log->published || (c && log->context != c))
			continue;
		if (n < room)
			look_at(log, &seen[n]);
		n++;
	}
	pt_port_unlock(&d->lock);
	return n;
}

struct dirty_log *find_dirty_log(struct call *call, uint64_t handle)
{
	struct pt_rcu_node *node = pt_rcu_table_find(call->domain->log_table, handle);
	struct dirty_log *log = node ? container_of(node, struct dirty_log, node) : NULL;

	/* Also notes the loop as a user of the machine. */
	if (log && peek_context(call, log->context->handle))
		return log;
	fail_handle(call, handle, "log", "dirty log");
	return NULL;
}

bool dirty_log_is_stopping(struct domain *d, const struct dirty_log *log)
{
	bool stopping;

	pt_port_lock(&d->lock);
	stopping = log->stopping;
	pt_port_unlock(&d->lock);
	return stopping;
}

bool dirty_log_stop_begin(struct domain *d, struct dirty_log *log)
{
	bool first;

	pt_port_lock(&d->lock);
	first = !log->stopping;
	log->stopping = true;
	pt_port_unlock(&d->lock);
	return first;
}

void dirty_log_stop_undo(struct domain *d, struct dirty_log *log)
{
	pt_port_lock(&d->lock);
	log->stopping = false;
	pt_port_unlock(&d->lock);
}
