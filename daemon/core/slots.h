/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of memslots: immutable, sorted by IPA, replaced as a whole, freed through a grace period.
 */
#ifndef PTD_SLOTS_H
#define PTD_SLOTS_H

#include "domain_types.h"

/* The slot with this id; NULL: none. */
const struct pt_slot *slots_find_id(const struct pt_slots *slots, uint32_t id);
/* The first slot other than `id` that [ipa, ipa + size) meets; NULL: none. */
const struct pt_slot *slots_overlap(const struct pt_slots *slots, uint64_t ipa, uint64_t size,
				    uint32_t id);

/* A copy with slot->id replaced or added. PT_OK, PT_TOO_LARGE or PT_NO_MEMORY. */
enum pt_outcome slots_with(const struct pt_slots *slots, const struct pt_slot *slot,
			   const struct pt_slots **made);
/* A copy without `id`; NULL in *made for the empty table. */
enum pt_outcome slots_without(const struct pt_slots *slots, uint32_t id,
			      const struct pt_slots **made);

/* At once: a table that was never published, or whose context is gone. NULL is fine. */
void slots_free(const struct pt_slots *slots);
/* Once every step that may still read it has ended. */
void slots_retire(const struct pt_slots *slots);

/*
 * Changes of one context's slots take turns, since each builds on the table before. True: it is
 * this call's turn. False: it waits in the queue and will be woken. `turn` lives in the call's
 * arena, zeroed at first.
 */
bool slot_turn_take(struct call *call, struct context *context, struct slot_turn *turn);
/* Ends the turn, or leaves the queue; after that no wake for it can come. context NULL: it is gone.
 */
void slot_turn_end(struct domain *domain, struct context *context, struct slot_turn *turn);
/* The context goes, under domain->lock: wakes all who wait for a turn; they find it gone. */
void slot_turns_end(struct context *context);

#endif
