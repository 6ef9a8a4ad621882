/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a context, and what a client sees of it. */
#ifndef PTD_CONTEXT_H
#define PTD_CONTEXT_H

#include "domain_types.h"

#include "ptd/v1/context.pb-c.h"

struct context_args {
	const char *name; /* without the machine's part */
	uint32_t kind;
	struct pt_geometry geometry;
	unsigned attrs, vtcr_flags;
	bool is_protected, is_topped_up;
	uint64_t reserved;		/* a place for a guest; 0: any */
	uint32_t policy, software_bits; /* PT_CTX_*, PT_PROT_SW */
	uint64_t quota_pages;		/* 0: no limit */
	uint32_t max_shadows;		/* 0: it can have none */
	uint64_t link_pages;		/* for them; 0: no limit */
};

/* Makes and registers an empty context. PT_OK, or why not: also what owners_join() and
 * registry_add_context() say. */
enum pt_outcome context_create(struct call *call, struct machine *machine,
			       const struct context_args *args, struct context **made);

/* Its teardown transaction has ended, or the domain ends: out of the registry if it was there, its
 * VMID free again, its memory gone after a grace period. */
void context_retire(struct context *context);

/* May vCPUs run it? Not a guest that is dying: false, and the call has been failed. */
bool context_runs(struct call *call, const struct context *context);

/* After an explicit change: the next generation, told to watchers. */
uint64_t context_changed(struct domain *domain, struct context *context);

/*
 * The context as a message, in one piece of memory from alloc(arg, bytes). NULL: there was none.
 */
Ptd__V1__Context *context_message(struct context *context, void *(*alloc)(void *arg, size_t bytes),
				  void *arg);
/* In the call's arena; NULL: its cap is reached. */
Ptd__V1__Context *context_message_in_call(struct call *call, struct context *context);
/* The same in memory that was taken before there was a context to tell of. */
void *context_message_room(struct call *call);
Ptd__V1__Context *context_message_at(void *room, struct call *call, struct context *context);

#endif
