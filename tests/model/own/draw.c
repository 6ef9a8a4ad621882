/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps out of random numbers, and what the model says now: half of the transitions shall pass. */
#include "play.h"

static uint32_t below(struct play *p, uint32_t n)
{
	return (uint32_t)(core_random(&p->rng) >> 11) % n;
}

static bool one_in(struct play *p, uint32_t n)
{
	return below(p, n) == 0;
}

/* Would its unit `i` pass? A guess, by which units are picked. */
static bool would_pass(const struct play *p, const struct step *s, uint32_t i)
{
	const struct own *o = &p->rig.model;
	const struct own_frame *f = &o->frame[(s->frame + i) % p->units];
	const struct own_cell *c = &o->guest[s->guest % OWN_GUESTS].map[(s->gfn + i) % p->units];
	const struct own_guest *g = &o->guest[s->guest % OWN_GUESTS];
	bool alone = f->owner == OWN_HOST && f->host == OWN_OWNED && !f->logged;

	switch (s->verb) {
	case V_UNSHARE_HYP: return f->hyp == OWN_SHARED_BORROWED && !f->pins;
	case V_PIN: return f->hyp == OWN_SHARED_BORROWED;
	case V_UNPIN: return f->pins;
	case V_RETURN_HYP: return f->owner == OWN_HYP;
	case V_UNSHARE_THIRD: return f->third;
	case V_SHARE_GUEST:
		return (alone || (f->shares && !f->logged)) && c->state == OWN_NOPAGE &&
		       g->life == OWN_LIVE && !g->protected;
	case V_UNSHARE_GUEST: return c->state == OWN_SHARED_BORROWED && g->life == OWN_LIVE;
	case V_DONATE_GUEST:
		return alone && c->state == OWN_NOPAGE && g->life == OWN_LIVE && g->protected;
	case V_SHARE_BACK:
	case V_BALLOON: return c->state == OWN_OWNED && g->life == OWN_LIVE && !c->logged;
	case V_UNSHARE_BACK: return c->state == OWN_SHARED_OWNED && g->life == OWN_LIVE;
	case V_FORCE_RECLAIM: return f->owner == OWN_GUEST && f->host == OWN_NOPAGE;
	case V_RECLAIM_DYING: return g->life == OWN_DYING && c->state != OWN_NOPAGE;
	case V_TOP_UP: return alone && (g->life == OWN_LIVE || g->life == OWN_RESERVED);
	case V_RECLAIM_TABLES: return g->life == OWN_RESERVED || g->life == OWN_DYING;
	default: return alone;
	}
}

static uint32_t length(struct play *p)
{
	uint32_t how = below(p, 128);

	if (how == 0)
		return 1 + below(p, p->units);
	return 1 + below(p, how < 100 ? 3 : 40);
}

/* Where: some tries for a place at which it would pass, and as far as it does. */
static void place(struct play *p, struct step *s)
{
	uint32_t first, passes = 0;

	for (unsigned i = 0; i < 40; i++) {
		s->guest = below(p, RIG_GUESTS);
		s->frame = below(p, p->units);
		s->gfn = one_in(p, 3) ? below(p, p->units) : s->frame;
		if (would_pass(p, s, 0))
			break;
	}
	first = rig_by_pa(s->verb) && s->frame > s->gfn ? s->frame : s->gfn;
	if (!rig_by_ipa(s->verb))
		first = s->frame;
	s->n = length(p);
	if (s->n > p->units - first)
		s->n = p->units - first;
	if (one_in(p, 4))
		return;
	while (passes < s->n && would_pass(p, s, passes))
		passes++;
	s->n = passes ? passes : s->n;
}

static uint32_t budget(struct play *p)
{
	return one_in(p, 3) ? 1u << below(p, 8) : 1u << 14;
}

/* What is wrong with a request before its pages are looked at. */
static void spoil(struct play *p, struct step *s)
{
	switch (below(p, 5)) {
	case 0: s->n = 0; break;
	case 1: s->frame = p->units - s->n + 1; break;
	case 2: s->guest = below(p, 12); break;
	case 3: s->flags |= STEP_ASKEW; break;
	default: s->guest = below(p, RIG_GUESTS); break;
	}
	s->more = 0;
	/* Guests have more addresses than the model; memory ends where it does. */
	if (s->gfn + s->n > p->units)
		s->gfn = p->units - s->n;
}

static bool some_guest_dies(const struct play *p)
{
	for (unsigned g = 0; g < RIG_GUESTS; g++)
		if (p->rig.model.guest[g].life == OWN_DYING)
			return true;
	return false;
}

/* Some more of the same length behind it, where they would pass, too. */
static void draw_ranges(struct play *p, struct step *s)
{
	uint32_t end = (s->frame > s->gfn ? s->frame : s->gfn) + s->n, passes = 0;

	if (s->verb == V_RECLAIM_DYING || s->verb == V_RECLAIM_TABLES)
		return;
	s->apart = s->n + below(p, 4) - one_in(p, 20);
	while (s->apart && passes < 1 + below(p, 6) && end + (passes + 1) * s->apart <= p->units &&
	       (would_pass(p, s, (passes + 1) * s->apart) || one_in(p, 6)))
		passes++;
	s->more = passes;
}

static void draw_transfer(struct play *p, struct step *s)
{
	static const uint32_t prots[] = {PT_PROT_R, PT_PROT_RW, PT_PROT_RWX};

	s->verb = 1 + below(p, PT_TRANSFERS - 1);
	if (s->verb >= V_RECLAIM_DYING && s->verb != V_TOP_UP && !some_guest_dies(p) &&
	    !one_in(p, 8))
		s->verb = one_in(p, 2) ? V_DONATE_GUEST : V_SHARE_GUEST;
	if (s->verb == V_RECLAIM_TABLES &&
	    !one_in(p, 6)) /* it looks at all that the guest could have */
		s->verb = V_RECLAIM_DYING;
	if (s->verb == V_TOP_UP && !one_in(p, 4)) /* or there is soon nothing else */
		s->verb = V_DONATE_HYP;
	s->prot = s->verb == V_SHARE_GUEST ? prots[below(p, 3)] : 0;
	if ((s->verb == V_DONATE_HYP || s->verb == V_DONATE_GUEST) && one_in(p, 2))
		s->flags |= STEP_WIPE;
	place(p, s);
	s->budget = budget(p);
	if (one_in(p, 20))
		draw_ranges(p, s);
	if (one_in(p, 40))
		spoil(p, s);
	if (one_in(p, 24))
		s->flags |= STEP_VALIDATE;
	if (one_in(p, 24))
		s->flags |= STEP_STALE;
	if (one_in(p, 4))
		s->nth = 1 + below(p, 4);
	if (!one_in(p, 10))
		return;
	s->budget = 1u << below(p, 3);
	s->give_up = one_in(p, 2) ? 1 + below(p, 16) : 0;
	s->die = one_in(p, 40) ? 1 + below(p, 8) : 0;
}

/* A range of a guest's that lies in many pieces, some of them the same frames; then all of it is
 * asked for. */
static bool draw_weave(struct play *p, struct step *s)
{
	const struct own_guest *g;

	if (!p->weave.left && (!one_in(p, 300) || p->units < 60))
		return false;
	if (!p->weave.left) {
		p->weave.left = 20 + below(p, 20);
		p->weave.guest = below(p, RIG_GUESTS);
		p->weave.first = p->weave.next = below(p, p->units - 40);
	}
	g = &p->rig.model.guest[p->weave.guest];
	s->guest = p->weave.guest;
	s->budget = budget(p);
	if (--p->weave.left) {
		s->verb = g->protected ? V_DONATE_GUEST : V_SHARE_GUEST;
		s->prot = g->protected ? 0 : PT_PROT_RW;
		s->n = 1;
		s->gfn = p->weave.next++;
		for (unsigned i = 0; i < 40; i++) {
			s->frame = below(p, g->protected ? p->units : 12);
			if (would_pass(p, s, 0))
				break;
		}
		return true;
	}
	s->verb = g->protected ? V_SHARE_BACK + below(p, 3) : V_UNSHARE_GUEST;
	s->gfn = p->weave.first;
	s->n = p->weave.next - p->weave.first;
	return true;
}

/* One that dies gives up all it has, in the end, and another takes its place. */
static void draw_life(struct play *p, struct step *s)
{
	s->guest = one_in(p, 8) ? below(p, 12) : below(p, RIG_GUESTS);
	s->flags = one_in(p, 3) ? 0 : STEP_PROTECTED;
	s->budget = budget(p);
	switch (p->rig.model.guest[s->guest % OWN_GUESTS].life) {
	case OWN_NONE: s->verb = V_RESERVE; break;
	case OWN_RESERVED:
		s->verb = s->guest < RIG_GUESTS && !one_in(p, 10) ? V_CREATE : V_FINALIZE;
		break;
	case OWN_LIVE: s->verb = one_in(p, 8) ? V_TEARDOWN : 0; break;
	default:
		s->verb = one_in(p, 3) ? V_RECLAIM_DYING : one_in(p, 3) ? V_FINALIZE : 0;
		s->n = s->verb == V_RECLAIM_DYING ? p->units : 0;
		s->flags = 0;
	}
	if (!s->verb || one_in(p, 40))
		s->verb = V_RESERVE + below(p, 4);
	if (s->verb == V_FINALIZE && one_in(p, 3))
		s->flags |= STEP_WIPE;
	/* Not many of those that were torn down because nobody else was to. */
	if (s->verb == V_TEARDOWN && !one_in(p, 4))
		s->verb = V_CREATE;
}

static void draw_around(struct play *p, struct step *s)
{
	s->guest = below(p, RIG_GUESTS + 2);
	s->frame = below(p, p->units);
	s->n = length(p);
	if (s->n > p->units - s->frame)
		s->n = p->units - s->frame;
	switch (below(p, 10)) {
	case 0:
	case 1:
		s->verb = V_LOG;
		s->n = 1 + below(p, p->units / 4);
		if (s->n > p->units - s->frame)
			s->n = p->units - s->frame;
		break;
	case 2:
	case 3:
		s->verb = V_QUOTA;
		s->n = below(p, 3);
		break;
	case 4:
	case 5: s->verb = V_UNMAP; break;
	default: s->verb = V_MAP; break;
	}
}

/* One that lives, mostly. */
static uint32_t some_guest(struct play *p)
{
	uint32_t g = 0;

	for (unsigned i = 0; i < 6; i++) {
		g = below(p, RIG_GUESTS);
		if (p->rig.model.guest[g].life == OWN_LIVE)
			break;
	}
	return g;
}

static void draw_list(struct play *p, struct step *s)
{
	s->verb = V_LEND;
	s->guest = one_in(p, 2) ? OWN_GUESTS : some_guest(p);
	s->frame = 1u << some_guest(p) | 1u << some_guest(p);
	if (s->guest < RIG_GUESTS && !one_in(p, 20))
		s->frame &= ~(1u << s->guest);
	if (one_in(p, 40))
		s->frame = below(p, 1u << OWN_GUESTS);
	s->n = one_in(p, 40) ? 0 : 1 + below(p, 12);
	if (one_in(p, 30))
		s->n = 36;
}

/* Where the lender has pages of its own alone. */
static void draw_piece(struct play *p, struct step *s, const struct own_lending *l)
{
	uint32_t most = (uint32_t)(l->pages - l->named), passes = 0;

	s->guest = l->lender;
	for (unsigned i = 0; i < 40 && passes < most; i++) {
		s->verb = l->lender == OWN_GUESTS ? V_DONATE_HYP : V_BALLOON;
		s->frame = s->gfn = below(p, p->units);
		passes = 0;
		while (passes < most && s->gfn + passes < p->units && would_pass(p, s, passes))
			passes++;
	}
	s->verb = V_PIECE;
	s->n = l->pieces == OWN_PIECES - 1 || one_in(p, 20) ? most : passes + !passes;
	if (s->gfn + s->n > p->units)
		s->gfn = p->units - s->n;
	if (one_in(p, 40))
		s->n++;
}

static void draw_lent(struct play *p, struct step *s, const struct own_lending *l)
{
	uint32_t b = below(p, l->borrowers);

	s->guest = l->borrower[b].guest;
	if (l->borrower[b].has && !one_in(p, 8)) {
		s->verb = V_RELINQUISH;
		return;
	}
	s->verb = one_in(p, 3) ? V_TAKE_BACK : V_RETRIEVE;
	s->gfn = below(p, p->units - (uint32_t)l->pages);
	if (s->verb == V_TAKE_BACK)
		s->guest = l->lender;
}

/* A lending goes on as it can, mostly. */
static void draw_lend(struct play *p, struct step *s)
{
	uint32_t slot = below(p, one_in(p, 8) ? OWN_LENDINGS + 1 : 3);
	const struct own_lending *l = &p->rig.model.lending[slot % OWN_LENDINGS];

	if (!l->handle)
		draw_list(p, s);
	else if (l->open)
		draw_piece(p, s, l);
	else
		draw_lent(p, s, l);
	if (one_in(p, 30))
		s->verb = V_LEND + 1 + below(p, 5);
	if (one_in(p, 20))
		s->guest = one_in(p, 2) ? OWN_GUESTS : below(p, 6);
	if (s->verb != V_LEND)
		s->frame = slot;
	if (s->verb == V_PIECE && s->gfn + s->n > p->units) /* a guest has more addresses */
		s->n = p->units - s->gfn;
	if (s->verb == V_RETRIEVE && s->gfn + l->pages > p->units)
		s->gfn = 0;
	s->budget = budget(p);
	s->nth = one_in(p, 6) ? 1 + below(p, 4) : 0;
	s->give_up = one_in(p, 12) ? 1 + below(p, 16) : 0;
	if (s->give_up)
		s->budget = 1u << below(p, 3);
}

void draw_step(struct play *p, struct step *s)
{
	uint32_t what = below(p, 100);

	*s = (struct step){0};
	if (draw_weave(p, s))
		return;
	if (what < 3)
		draw_life(p, s);
	else if (what < 8)
		draw_around(p, s);
	else if (what < 16)
		draw_lend(p, s);
	else
		draw_transfer(p, s);
}
