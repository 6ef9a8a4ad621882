/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows in a machine with owners: what the files of that play share. The rules of ownership are
 * the model's of tests/model/owner.h, which shares nothing with lib. */
#ifndef MODEL_NESTED_OWNED_H
#define MODEL_NESTED_OWNED_H

#include <pt/nested.h>

#include "../../unit/lending_fixture.h"
#include "play.h"

#define PARTIES	    (RIG_GUESTS + 1) /* the host is the first */
#define OWNED_KEYS  2u		     /* shadows of each, with stage 2 off */
#define WINDOW	    8u		     /* units side by side that change hands, in two places */
#define OWNED_UNITS (2 * WINDOW)
#define OWNED_LEAFS (PARTIES * OWNED_KEYS * OWNED_UNITS * 2)

struct party {
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[4], number[OWNED_KEYS];
	struct pt_shadow shadow[OWNED_KEYS];
};

/* What a party has at a unit of its addresses. Who is its owner is told, too: with another one it
 * is wiped, which nobody reaches meanwhile. */
struct has {
	bool there;
	uint8_t prot, owner, guest;
	uint64_t frame;
};

/* A leaf of a shadow as it stood; each is there once. */
struct stood {
	bool there;
	uint64_t ipa, span;
};

struct owned {
	struct transfer_rig rig;
	struct pt_agent other; /* accesses memory while a transition goes on */
	struct party party[PARTIES];
	struct has before[PARTIES][RIG_MAX], now[PARTIES][RIG_MAX];
	struct stood stood[OWNED_LEAFS];
	bool under_way; /* what was before may still be, and what is now may not be yet */
	uint64_t units, rng;
	struct pt_lend call;
	/* The host's memory is there by its address. */
	_Alignas(struct pt_slots) unsigned char slots[sizeof(struct pt_slots) +
						      sizeof(struct pt_slot)];
	struct nested_counts *counts;
	char *failure;
};

static inline uint64_t owned_draw(struct owned *o, uint64_t below)
{
	return core_random(&o->rng) % below;
}

/* The n-th unit of those that change hands. */
static inline uint64_t owned_unit(const struct owned *o, uint64_t n)
{
	return n < WINDOW ? n : o->units / 2 + (n - WINDOW);
}

static inline bool is_live(const struct owned *o, unsigned party)
{
	return !party || o->rig.model.guest[party - 1].life == OWN_LIVE;
}

void owned_wrong(struct owned *o, const char *what, unsigned party, uint64_t ipa);
/* owned_look.c: around a transition: before it is asked for; when the model is through with it, and
 * lib begins; and at the reply, when the leaves are what the model says. */
void owned_before(struct owned *o);
void owned_begins(struct owned *o);
void owned_after(struct owned *o);
/* One access through some shadow, and its faults. */
void owned_access(struct owned *o);

/* owned_change.c: transitions, lendings, and the death of guests. */
void owned_change(struct owned *o);
void owned_open_shadows(struct owned *o, unsigned party);
void owned_end_shadows(struct owned *o, unsigned party);

#endif
