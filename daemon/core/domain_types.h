/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The domain's objects, private to the domain's own files.
 *
 * Who may touch what: an object found in a section lives to the end of that section, and longer
 * only while a claim or transaction on it is held (teardown waits for those). Fields marked "lock"
 * are under domain->lock, a spin lock held for a few list operations and never across a call into
 * lib. Everything else is written before the object is published and read by anyone.
 */
#ifndef PTD_DOMAIN_TYPES_H
#define PTD_DOMAIN_TYPES_H

#include "domain.h"
#include "domain_failpoints.h"
#include "domain_fold.h"
#include "domain_order.h"
#include "domain_sessions.h"
#include "domain_watch.h"
#include "names.h"
#include "owner_events.h"
#include "pagers.h"
#include "principal.h"
#include "request_ids.h"

#include <pt/host/rcu.h>
#include <pt/host/vcpu.h>
#include <pt/nested.h>
#include <pt/txn.h>

#include "ptd/v1/context.pb-c.h"

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define likely(x)			__builtin_expect(!!(x), 1)
#define unlikely(x)			__builtin_expect(!!(x), 0)

struct domain_loop {
	struct pt_agent agent;
	struct domain *domain;
	uint32_t index;
	bool entered;
	atomic_bool waits; /* retired pages wait for other loops */
	struct loop_counters counters;
	struct fold fold;
	struct pt_host_trim trim;
	uint64_t trim_due_ns; /* 0: there is no free table memory to give back */
};

struct owners;

struct machine {
	struct pt_machine pt;
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_host_ram ram;
	struct domain *domain;
	struct pt_rcu_node node;
	struct pt_rcu_head rcu;
	struct name_node by_name; /* lock */
	uint64_t handle;
	uint32_t vcpus, vmid_bits;
	/* By vCPU: the shadow that it runs, which counts that; NULL: none. nested.c */
	_Atomic(struct context *) *runs;
	struct owners *owners;	 /* NULL: it has none */
	bool dying;		 /* lock: takes no new contexts */
	struct ordered contexts; /* lock */
};

/* A call that waits for its turn to change a context's memslots. Lives in the call's arena. */
struct slot_turn {
	struct slot_turn *next;
	struct call *call;
	bool queued, mine; /* lock */
};

struct nested;

struct context {
	union {
		struct pt_ctx pt;
		struct pt_shadow shadow; /* kind SHADOW; its first member is `pt` */
	};
	struct machine *machine;
	struct pt_rcu_node node;
	struct pt_rcu_head rcu;
	struct name_node by_name; /* lock: "machine/context" */
	uint64_t handle;
	uint32_t kind;		 /* Ptd__V1__ContextKind */
	uint32_t guest;		 /* of a machine with owners: its number */
	struct nested *nested;	 /* of a context that can have shadows; NULL: it cannot */
	_Atomic bool listed;	 /* a shadow: it is registered, and can be entered and recycled */
	uint64_t reserved;	 /* the place that it was made in; 0: any */
	bool is_protected;	 /* such a guest's kind */
	bool is_topped_up;	 /* and that it has no quota of its own */
	bool doomed;		 /* lock: one call deletes it */
	_Atomic bool dies;	 /* such a guest's teardown has begun */
	bool gone;		 /* lock: out of the registry */
	_Atomic uint32_t pins;	 /* transactions that step on it: it is not retired before */
	struct slot_turn *turns; /* lock: the first has the turn */
	struct dirty_log *logs;	 /* lock */
	_Atomic(struct pager *) pagers; /* read in sections; written under their own lock */
};

struct domain {
	struct domain_config config;
	struct pt_host_tables tables;
	struct pt_rcu_table *machines, *contexts, *log_table; /* by handle */
	struct pt_port_lock lock;
	struct name_table machine_names, context_names; /* lock */
	struct ordered machine_list, context_list;	/* lock: by handle, so in order of birth */
	uint64_t last_handle;				/* lock: the counter of the newest object */
	struct dirty_log *logs;				/* lock */
	uint32_t log_count;				/* lock */
	struct watch_list watchers;
	struct owner_watch_list owner_watchers;
	struct pagers pagers;
	struct failpoints failpoints;
	struct request_ids request_ids;
	struct principals principals;
	struct sessions sessions;
	_Atomic uint64_t lendings_due_ns; /* when an open list may be over; 0: none is */
	_Atomic bool draining;
	_Atomic(struct domain_loop *) loop[PT_MAX_AGENTS];
};

static inline bool context_is_shadow(const struct context *context)
{
	return context->kind == PTD__V1__CONTEXT_KIND__CONTEXT_KIND_SHADOW;
}

static inline struct pt_agent *call_agent(const struct call *call)
{
	return &call->loop->agent;
}

/* Counters have one writer: a plain add that readers may see at any moment. */
static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void count_effects(struct call *call, const struct pt_effects *effects)
{
	count_add(&call->loop->counters.leaves_written, effects->leaves_written);
	count_add(&call->loop->counters.leaves_removed, effects->leaves_removed);
}

#endif
