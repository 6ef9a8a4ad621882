/* SPDX-License-Identifier: BSD-2-Clause */
/* Slots of lendings; private to lib/owner. All but the lock itself under it. */
#ifndef OWNER_LENDING_H
#define OWNER_LENDING_H

#include <pt/lending.h>

#include "transition.h"

static inline void pt__lend_lock(struct pt_machine_owners *o)
{
	pt_port_lock(&o->frames.store->lock);
}

static inline void pt__lend_unlock(struct pt_machine_owners *o)
{
	pt_port_unlock(&o->frames.store->lock);
}

/* The lending of this handle, or NULL. */
struct pt_lending *pt__lending_of(struct pt_machine_owners *o, uint64_t handle);
/* Its entry for a borrower, or NULL. */
struct pt_borrower *pt__borrower_of(struct pt_lending *l, uint32_t guest);
/* So many have it. */
uint32_t pt__have_it(const struct pt_lending *l);
/* Is the lender a guest that is no longer live? */
bool pt__lender_dies(const struct pt_machine_owners *o, const struct pt_lending *l);
/* PT_OK, PT_NOT_FOUND, PT_WRONG_STATE: a guest, as a party. Its context stays while the lock is
 * held: who ends it waits for the lock in between. */
enum pt_outcome pt__party(const struct pt_machine_owners *o, uint32_t guest);
/* Lets a lending go. */
void pt__lending_end(struct pt_lending *l);

/* Adds a piece to an open list. PT_OK, or what is wrong with it. */
enum pt_outcome pt__lending_add(struct pt_machine_owners *o, struct pt_lending *l, uint64_t at,
				uint64_t size);
/* May a transition of this kind, that `who` asks for, be? */
enum pt_outcome pt__lending_admits(const struct pt_machine_owners *o, struct pt_lending *l,
				   uint32_t kind, uint32_t who);

#endif
