/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines and contexts by handle and by name. */
#ifndef PTD_REGISTRY_H
#define PTD_REGISTRY_H

#include "domain_types.h"

/*
 * The object of a handle, in the section of `call`; NULL: the call has been failed (INVALID for 0,
 * STALE_EPOCH, NOT_FOUND), naming `field`. Good to the end of the step: find it again in the next.
 * Also notes the loop as a user of the machine.
 */
struct machine *find_machine(struct call *call, uint64_t handle, const char *field);
struct context *find_context(struct call *call, uint64_t handle, const char *field);
/* The same for what changes tables or slots: WRONG_STATE for a shadow. */
struct context *find_own_tables(struct call *call, uint64_t handle, const char *field);
struct machine *find_machine_named(struct call *call, const char *name);
struct context *find_context_named(struct call *call, const char *name);

/* Fails a call whose handle names no `what`, as these do. */
void fail_handle(struct call *call, uint64_t handle, const char *field, const char *what);
/* A handle that was never given. Under domain->lock. */
uint64_t registry_next_handle(struct domain *domain);

/* The same without failing a call: NULL when it is gone. */
struct machine *peek_machine(struct call *call, uint64_t handle);
struct context *peek_context(struct call *call, uint64_t handle);

/* Publishes an object that is ready for use and gives it its handle. PT_OK; PT_ALREADY_EXISTS,
 * PT_TOO_LARGE, PT_NO_MEMORY, PT_WRONG_STATE (the machine is being deleted). */
enum pt_outcome registry_add_machine(struct domain *domain, struct machine *machine);
enum pt_outcome registry_add_context(struct domain *domain, struct context *context);
/* Is there a context of this full name? Takes the domain's lock. */
bool registry_knows(struct domain *domain, const char *name);
/* Takes it out of all tables; no later step finds it. */
void registry_remove_machine(struct domain *domain, struct machine *machine);
void registry_remove_context(struct domain *domain, struct context *context);

/* The next object with a handle above `after`, for lists; NULL: none. In a section. */
struct machine *registry_next_machine(struct domain *domain, uint64_t after);
struct context *registry_next_context(struct domain *domain, struct machine *of, uint64_t after);

/* The next context that a watch has still to tell of as EXISTING, NULL: none. From the moment it is
 * found on, what happens to it is an event of the watch. */
struct context *registry_list_next(struct domain *domain, struct machine *of,
				   struct watcher *watcher);

/* How many there are: relaxed, for GetStats and limits. */
uint32_t registry_machines(struct domain *domain);
uint32_t registry_contexts(struct domain *domain);

#endif
