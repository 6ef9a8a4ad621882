/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of memslots. */
#include "slots.h"

#include <stdlib.h>

/* What is allocated: the head for the deferred free stands before the table itself. */
#define HEAD sizeof(struct pt_rcu_head)

static struct pt_slots *make(uint32_t count)
{
	struct pt_slots *slots;
	char *block = malloc(HEAD + sizeof(*slots) + count * sizeof(slots->slot[0]));

	if (!block)
		return NULL;
	slots = (void *)(block + HEAD);
	slots->count = count;
	return slots;
}

static void *block_of(const struct pt_slots *slots)
{
	return (char *)(uintptr_t)slots - HEAD;
}

void slots_free(const struct pt_slots *slots)
{
	if (slots)
		free(block_of(slots));
}

static void free_block(struct pt_rcu_head *head)
{
	free(head);
}

void slots_retire(const struct pt_slots *slots)
{
	if (slots)
		pt_rcu_call(block_of(slots), free_block);
}

static uint32_t count_of(const struct pt_slots *slots)
{
	return slots ? slots->count : 0;
}

const struct pt_slot *slots_find_id(const struct pt_slots *slots, uint32_t id)
{
	for (uint32_t i = 0; i < count_of(slots); i++)
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	return NULL;
}

const struct pt_slot *slots_overlap(const struct pt_slots *slots, uint64_t ipa, uint64_t size,
				    uint32_t id)
{
	for (uint32_t i = 0; i < count_of(slots); i++) {
		const struct pt_slot *s = &slots->slot[i];

		if (s->id != id && s->ipa - ipa < size)
			return s;
		if (s->id != id && ipa - s->ipa < s->size)
			return s;
	}
	return NULL;
}

enum pt_outcome slots_with(const struct pt_slots *slots, const struct pt_slot *slot,
			   const struct pt_slots **made)
{
	uint32_t n = count_of(slots), to = 0;
	bool placed = false;
	struct pt_slots *copy;

	if (!slots_find_id(slots, slot->id) && n >= LIMIT_SLOTS)
		return PT_TOO_LARGE;
	copy = make(n + 1);
	if (!copy)
		return PT_NO_MEMORY;
	for (uint32_t i = 0; i < n; i++) {
		if (slots->slot[i].id == slot->id)
			continue;
		if (!placed && slots->slot[i].ipa > slot->ipa) {
			copy->slot[to++] = *slot;
			placed = true;
		}
		copy->slot[to++] = slots->slot[i];
	}
	if (!placed)
		copy->slot[to++] = *slot;
	copy->count = to;
	*made = copy;
	return PT_OK;
}

enum pt_outcome slots_without(const struct pt_slots *slots, uint32_t id,
			      const struct pt_slots **made)
{
	uint32_t n = count_of(slots), to = 0;
	struct pt_slots *copy;

	copy = make(n);
	if (!copy)
		return PT_NO_MEMORY;
	for (uint32_t i = 0; i < n; i++)
		if (slots->slot[i].id != id)
			copy->slot[to++] = slots->slot[i];
	copy->count = to;
	*made = copy;
	return PT_OK;
}

/* On a context that has left the registry meanwhile everybody has the turn: lib refuses the rest.
 */
bool slot_turn_take(struct call *call, struct context *c, struct slot_turn *turn)
{
	struct slot_turn **at = &c->turns;
	bool mine;

	pt_port_lock(&call->domain->lock);
	if (!turn->queued && !c->gone) {
		*turn = (struct slot_turn){.call = call, .queued = true};
		while (*at)
			at = &(*at)->next;
		*at = turn;
		turn->mine = c->turns == turn;
	}
	mine = turn->mine || c->gone;
	pt_port_unlock(&call->domain->lock);
	return mine;
}

static void grant(struct slot_turn *turn)
{
	if (!turn || turn->mine)
		return;
	turn->mine = true;
	call_wake(turn->call);
}

void slot_turn_end(struct domain *d, struct context *c, struct slot_turn *turn)
{
	struct slot_turn **at;

	pt_port_lock(
		&d->lock); /* also when it is out already: its wake was called under the lock */
	if (turn->queued && c) {
		for (at = &c->turns; *at != turn;)
			at = &(*at)->next;
		*at = turn->next;
		turn->queued = false;
		grant(c->turns);
	}
	pt_port_unlock(&d->lock);
}

void slot_turns_end(struct context *c)
{
	c->gone = true;
	for (struct slot_turn *t = c->turns, *next; t; t = next) {
		next = t->next;
		t->queued = false;
		grant(t);
	}
	c->turns = NULL;
}
