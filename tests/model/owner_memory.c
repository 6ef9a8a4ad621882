/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of the model of ownership: copies, and whether two say the same. */
#include "owner.h"

#include <stdlib.h>
#include <string.h>

void own_open(struct own *o, uint64_t frames, uint64_t gfns)
{
	memset(o, 0, sizeof(*o));
	o->frames = frames;
	o->gfns = gfns;
	o->frame = calloc(frames, sizeof(*o->frame));
	for (uint64_t i = 0; i < frames; i++)
		o->frame[i].hyp = OWN_NOPAGE;
	for (unsigned g = 0; g < OWN_GUESTS; g++) {
		o->guest[g].map = calloc(gfns, sizeof(struct own_cell));
		for (uint64_t i = 0; i < gfns; i++)
			o->guest[g].map[i].state = OWN_NOPAGE;
	}
}

void own_close(struct own *o)
{
	free(o->frame);
	for (unsigned g = 0; g < OWN_GUESTS; g++)
		free(o->guest[g].map);
	memset(o, 0, sizeof(*o));
}

void own_copy(struct own *to, const struct own *from)
{
	own_open(to, from->frames, from->gfns);
	memcpy(to->frame, from->frame, from->frames * sizeof(*to->frame));
	memcpy(to->lending, from->lending, sizeof(to->lending));
	to->handles = from->handles;
	for (unsigned g = 0; g < OWN_GUESTS; g++) {
		struct own_cell *map = to->guest[g].map;

		memcpy(map, from->guest[g].map, from->gfns * sizeof(*map));
		to->guest[g] = from->guest[g];
		to->guest[g].map = map;
	}
}

/* A copy's bytes are copied, and nothing writes what it does not change. */
bool own_equal(const struct own *a, const struct own *b)
{
	if (a->frames != b->frames || a->gfns != b->gfns || a->handles != b->handles ||
	    memcmp(a->frame, b->frame, a->frames * sizeof(*a->frame)) != 0 ||
	    memcmp(a->lending, b->lending, sizeof(a->lending)) != 0)
		return false;
	for (unsigned g = 0; g < OWN_GUESTS; g++) {
		const struct own_guest *x = &a->guest[g], *y = &b->guest[g];

		if (x->life != y->life || x->protected != y->protected || x->tables != y->tables ||
		    memcmp(x->map, y->map, a->gfns * sizeof(*x->map)) != 0)
			return false;
	}
	return true;
}
