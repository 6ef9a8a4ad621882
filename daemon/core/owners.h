/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine with owners: its ledger, who the parties are, and what ends with them
 * (docs/ownership.md).
 */
#ifndef PTD_OWNERS_H
#define PTD_OWNERS_H

#include "domain_types.h"

#include <pt/lending.h>

#define OWNER_PAGE (UINT64_C(1) << PT_OWNER_SHIFT)
#define REQUEST_ID 16 /* bytes */

/* A request that brought an id, in the place of its number. */
struct owner_request {
	uint64_t number; /* what its extents bear; 0: none */
	uint8_t id[REQUEST_ID];
};

/* A lending that was begun, until another one takes its place. */
struct owner_lending {
	uint64_t handle; /* 0: none */
	uint64_t due_ns; /* when it is gone, if it is open still; 0: that was looked at */
};

struct owners {
	struct pt_machine_owners pt; /* good once there is a host */
	struct pt_store store;
	struct pt_region memory;
	bool force_reclaim; /* of what the host meets that is a guest's */
	struct pt_guest guests[LIMIT_GUESTS];
	/* Handles of contexts; 0: nobody. Anyone reads; a guest's place is its number. */
	_Atomic uint64_t host, guest[LIMIT_GUESTS];
	atomic_bool hosted;	 /* a host is there or on its way: there is one alone */
	_Atomic uint32_t active; /* transfers that step on the machine: it is not retired before */
	struct pt_port_lock lock;
	uint64_t requests;				    /* lock */
	struct owner_request request[LIMIT_OWNER_REQUESTS]; /* lock */
	struct pt_lending lendings[LIMIT_LENDINGS];
	struct owner_lending lent[LIMIT_LENDINGS]; /* lock */
	struct owner_events events;
	/* Of the call that deletes the machine. */
	atomic_bool closing; /* anyone: nobody may begin to read the ledger */
	bool drained;
	struct pt_grace grace;
};

/* A new machine's, without a host. PT_OK, PT_NO_MEMORY. */
enum pt_outcome owners_create(struct machine *machine, uint64_t quota_pages, bool force_reclaim);
/* When the machine goes. Its pages are back (owners_close()), or go with the pool. May be NULL. */
void owners_free(struct owners *owners);
/* The machine's pages go back to the pool, a part of them in each step of the call that deletes it;
 * no contexts are left. True: all are back. */
bool owners_close(struct call *call, struct owners *owners);

/* A machine with owners and a host that stays while this section lasts; NULL: the call has been
 * failed. */
struct machine *owners_find(struct call *call, uint64_t handle);

/*
 * A new context, empty and not yet registered, becomes a party of its machine: the host, of which
 * there is one, or a guest, which gets its number. PT_OK; PT_ALREADY_EXISTS (a host),
 * PT_WRONG_STATE (a guest without a host), PT_TOO_LARGE (max_guests); in a place that was reserved
 * PT_NOT_FOUND, PT_BUSY (it is being topped up).
 */
enum pt_outcome owners_join(struct call *call, struct context *context);
/* A place for a guest, with a handle of its own. PT_OK, PT_WRONG_STATE (the machine is being
 * deleted), PT_TOO_LARGE. */
enum pt_outcome owners_reserve(struct domain *domain, struct machine *machine, uint64_t *handle);
/* The number of such a place; false: there is none. In a section. */
bool owners_reserved(const struct owners *owners, uint64_t handle, uint32_t *guest);
/* Its guest is made or ended by this call from now on; false: by another one. And it is no more. */
bool owners_take(struct owners *owners, uint64_t handle, uint32_t guest);
void owners_give_back(struct owners *owners, uint64_t handle, uint32_t guest);

/* How many bytes was the guest of this context topped up with? Any loop. */
uint64_t owners_topped_up(const struct context *context);

/* It is not to be registered. */
void owners_undo(struct call *call, struct context *context);
/* It is in the registry, and out of it. Under domain->lock. */
void owners_enter(struct context *context);
void owners_leave(struct context *context);

/* Does the context go with its machine alone? So a host does. */
bool owners_keep(const struct context *context);

/*
 * While a transfer runs the machine and its host stay. False: the machine is being deleted.
 */
bool owners_begin(struct domain *domain, struct machine *machine);
void owners_end(struct machine *machine);

/* What the ledger says of the page at `pa`, and how often it is borrowed. In a section. */
uint32_t owners_borrowers(const struct owners *owners, uint64_t pa);
/* The owner's context; 0: it has none, or it is gone. */
uint64_t owners_context(const struct owners *owners, const struct pt_owner *owner);

/* The number for a request with this id; 0: it has none. */
uint64_t owners_number(struct owners *owners, const ProtobufCBinaryData *id);
/* And back. False: none, or one that is forgotten. */
bool owners_request(struct owners *owners, uint64_t number, uint8_t id[REQUEST_ID]);

#endif
