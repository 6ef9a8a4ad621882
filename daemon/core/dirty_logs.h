/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logs as objects of the domain: their handles, their memory, and whose it is. A log ends
 * with StopDirtyLog or with its context.
 */
#ifndef PTD_DIRTY_LOGS_H
#define PTD_DIRTY_LOGS_H

#include "domain_types.h"

#include <pt/dirty.h>

struct dirty_log {
	struct pt_dirty_log pt;
	struct context *context;
	struct pt_rcu_node node;
	struct pt_rcu_head rcu;
	struct dirty_log *next, **link;		/* lock: those of the context */
	struct dirty_log *all_next, **all_link; /* lock: those of the domain */
	uint64_t handle, bytes;
	void *memory;
	bool published, stopping; /* lock */
	char principal[PRINCIPAL_MAX];
};

/*
 * A log with `bytes` bytes of memory for its bits, charged to the caller. Its handle is good once
 * it is published. PT_OK; PT_NO_MEMORY; PT_TOO_LARGE: *limit is the one that it met.
 */
enum pt_outcome dirty_log_create(struct call *call, struct context *context, uint64_t bytes,
				 struct dirty_log **made, const char **limit);
void dirty_log_publish(struct domain *domain, struct dirty_log *log);
/* Lib has let go of it: out of all lists; its memory goes when all steps that may see it have
 * ended.
 */
void dirty_log_retire(struct domain *domain, struct dirty_log *log);
/* The context goes, and nobody steps on it: so do its logs. */
void dirty_logs_end(struct context *context);

/* Up to `room` handles of logs of `context` (NULL: of all), newest first, with what they cover.
 * Returns how many there are. */
struct dirty_log_seen {
	uint64_t handle, context, ipa, size, bytes;
	char context_name[FULL_NAME];
};
uint32_t dirty_logs_list(struct domain *domain, const struct context *context,
			 struct dirty_log_seen *seen, uint32_t room);

/* The log of a handle, its machine entered; NULL: the call has been failed. To the end of the step.
 */
struct dirty_log *find_dirty_log(struct call *call, uint64_t handle);
/* Does a call stop it? Then no other may begin on it. */
bool dirty_log_is_stopping(struct domain *domain, const struct dirty_log *log);
/* One call alone stops a log. False: another one does. */
bool dirty_log_stop_begin(struct domain *domain, struct dirty_log *log);
/* It could not. */
void dirty_log_stop_undo(struct domain *domain, struct dirty_log *log);

#endif
