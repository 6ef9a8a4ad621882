/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contexts that can have shadows, their shadows, and which vCPU runs which (docs/nested.md).
 *
 * A shadow is a context of kind SHADOW: registered, with a handle and a name, in a union with
 * lib's. It ends when another one needs its place, or before its canonical context.
 */
#ifndef PTD_NESTED_H
#define PTD_NESTED_H

#include "domain_types.h"

struct nested_args {
	uint32_t shadows;    /* how many at a time; 0: none */
	uint64_t link_pages; /* UINT64_MAX: no limit */
};

/* Of a canonical context; goes with its memory. */
struct nested {
	struct pt_nested pt;
	uint64_t link_pages;
	_Atomic uint32_t
		there; /* shadows that have memory: their canonical context stays so long */
	_Atomic(struct pt_shadow *) arrays[]; /* pt's buckets, then its shadows by number */
};

/* Before the context is registered. PT_OK, PT_NO_MEMORY. */
enum pt_outcome nested_create(struct context *context, const struct nested_args *args);

/* The canonical context of a shadow. */
static inline struct context *nested_canonical(const struct context *shadow)
{
	return container_of(shadow->shadow.nested->canonical, struct context, pt);
}

/* The shadow of this number, once it is registered; NULL: none. In a section. */
struct context *nested_shadow(const struct nested *nested, uint32_t number);

/* The name of a shadow in the manner of KVM's debugfs, with the slash before it; what KVM has not
 * in its keys comes behind. */
void nested_name(const struct pt_shadow_key *key, char name[SHADOW_NAME + 1]);

/*
 * The shadow of these registers, registered and marked as running on `vcpu`. CALL_DONE: *shadow; or
 * NULL, and the call has failed. CALL_MORE, CALL_PARKED: again, with the same `enter`, zeroed at
 * first. The caller finds the canonical context in each step.
 */
struct nested_end {
	struct call *call;
	struct context *shadow; /* NULL: none is under way */
	bool ended;		/* it waits for who steps on it */
	struct pt_shadow_end pt;
};

struct nested_enter {
	struct nested_end end; /* of the one that is recycled, or could not be registered */
	enum pt_outcome refused;
	bool created, recycled;
};

enum call_result nested_enter(struct call *call, struct nested_enter *enter,
			      struct context *canonical, uint32_t vcpu,
			      const struct pt_shadow_key *key, const struct pt_guest_regs *regs,
			      struct context **shadow);
/* The call was abandoned: what ends goes on to its end. As a handler's. */
enum call_result nested_enter_abandon(struct nested_enter *enter);

/* `vcpu` is at virtual EL2. The handle of what it ran of this context's; 0: nothing. */
uint64_t nested_exit(struct context *canonical, uint32_t vcpu);

/* All shadows of a context that nobody enters any more (it is doomed) end, and what it has for
 * them. CALL_DONE: they have, at once for a context that can have none. `end` zeroed at first. */
enum call_result nested_end_all(struct call *call, struct nested_end *end,
				struct context *canonical);
/* The same for what remains of them when its tables are gone, before it is retired. */
bool nested_close(struct call *call, struct context *canonical);

#endif
