/* SPDX-License-Identifier: BSD-2-Clause */
/* A state of the model by itself: its memory, copies, whether two say the same, and whether one is
 * sound. */
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

/* What guests have of a frame. */
struct seen {
	uint32_t owners, shares, lent, back;
};

static const char *unsound_cell(const struct own *o, unsigned guest, uint64_t gfn,
				struct seen *seen)
{
	const struct own_cell *c = &o->guest[guest].map[gfn];
	const struct own_frame *f = &o->frame[c->frame];
	struct seen *s = &seen[c->frame];

	if (c->state > OWN_LENT_BORROWED && c->state != OWN_LENT)
		return NULL;
	s->shares += c->state == OWN_SHARED_BORROWED;
	s->lent += c->state == OWN_LENT_BORROWED;
	s->back += c->state == OWN_SHARED_OWNED;
	if (c->state == OWN_SHARED_BORROWED || c->state == OWN_LENT_BORROWED)
		return NULL;
	s->owners++;
	if (f->owner != OWN_GUEST || f->guest != guest || f->gfn != gfn)
		return "a guest's own page is recorded as somebody else's";
	return c->state == OWN_LENT && !c->lending ? "a page is lent without a lending" : NULL;
}

/* One private owner, and exactly the borrowers that are counted. */
static const char *unsound_frame(const struct own_frame *f, const struct seen *s)
{
	if (s->owners != (f->owner == OWN_GUEST))
		return "a frame has not one owner";
	if (s->shares != f->shares)
		return "shares are not counted";
	if ((f->host == OWN_SHARED_BORROWED) != (s->back == 1))
		return "the host borrows what no guest shares";
	if (f->pins && f->hyp != OWN_SHARED_BORROWED)
		return "a pin without a share";
	if (f->owner == OWN_HOST && s->lent && f->host != OWN_LENT)
		return "borrowed, and not lent";
	if ((f->owner == OWN_HYP) != (f->hyp == OWN_OWNED))
		return "hyp owns what it does not own";
	if (f->owner != OWN_HOST && f->host != OWN_NOPAGE && f->host != OWN_SHARED_BORROWED)
		return "the host has a frame of somebody else's";
	if (f->host == OWN_SHARED_OWNED &&
	    (f->hyp == OWN_SHARED_BORROWED) + f->third + (f->shares > 0) != 1)
		return "shared with nobody, or in two ways";
	return f->kind == OWN_TABLE && (s->shares || s->lent || s->owners)
		       ? "a table is a guest's page"
		       : NULL;
}

/* What the host gave for tables is what is there for them. */
static const char *unsound_tables(const struct own *o)
{
	uint32_t n[OWN_GUESTS] = {0};

	for (uint64_t i = 0; i < o->frames; i++)
		if (o->frame[i].kind == OWN_TABLE && o->frame[i].owner == OWN_HYP)
			n[o->frame[i].guest]++;
	for (unsigned g = 0; g < OWN_GUESTS; g++)
		if (n[g] != o->guest[g].tables)
			return "table memory is not counted";
	return NULL;
}

const char *own_unsound(const struct own *o)
{
	struct seen *seen = calloc(o->frames, sizeof(*seen));
	const char *why = NULL;

	for (unsigned g = 0; g < OWN_GUESTS; g++)
		for (uint64_t i = 0; !why && i < o->gfns; i++)
			why = unsound_cell(o, g, i, seen);
	for (uint64_t i = 0; !why && i < o->frames; i++)
		why = unsound_frame(&o->frame[i], &seen[i]);
	free(seen);
	return why ? why : unsound_tables(o);
}
