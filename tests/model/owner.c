/* SPDX-License-Identifier: BSD-2-Clause */
/* The abstract model of ownership. Each transition looks at all of its pages, then changes them. */
#include "owner.h"

#include <string.h>

/* Checks, in the order of docs/ownership.md: arguments, parties, then page by page. */

static enum pt_outcome range(uint64_t first, uint64_t n, uint64_t limit)
{
	if (!n)
		return PT_INVALID;
	return first >= limit || n > limit - first ? PT_OUT_OF_RANGE : PT_OK;
}

/* If all was right so far: this has to be, too, or that is the answer. */
static enum pt_outcome want(enum pt_outcome outcome, bool right, enum pt_outcome otherwise)
{
	return outcome != PT_OK || right ? outcome : otherwise;
}

static enum pt_outcome known(const struct own *o, unsigned guest)
{
	return guest < OWN_GUESTS && o->guest[guest].life != OWN_NONE ? PT_OK : PT_NOT_FOUND;
}

static enum pt_outcome in_life(const struct own *o, unsigned guest, enum own_life life)
{
	enum pt_outcome outcome = known(o, guest);

	return want(outcome, outcome != PT_OK || o->guest[guest].life == life, PT_WRONG_STATE);
}

static enum pt_outcome alive(const struct own *o, unsigned guest)
{
	return in_life(o, guest, OWN_LIVE);
}

static enum pt_outcome memory(const struct own_frame *f)
{
	return f->kind == OWN_DEVICE ? PT_OUT_OF_RANGE : PT_OK;
}

/* The host owns the frame. */
static enum pt_outcome hosts(const struct own_frame *f)
{
	return want(memory(f), f->kind != OWN_TABLE && f->owner == OWN_HOST, PT_WRONG_OWNER);
}

/* And nobody else has anything of it. */
static enum pt_outcome hosts_alone(const struct own_frame *f)
{
	return want(want(hosts(f), f->host == OWN_OWNED, PT_WRONG_STATE), !f->logged, PT_BUSY);
}

static enum pt_outcome with_hyp(const struct own_frame *f)
{
	return want(hosts(f), f->host == OWN_SHARED_OWNED && f->hyp == OWN_SHARED_BORROWED,
		    PT_WRONG_STATE);
}

static enum pt_outcome not_pinned(const struct own_frame *f)
{
	return want(with_hyp(f), !f->pins, PT_BUSY);
}

static enum pt_outcome may_pin(const struct own_frame *f)
{
	return want(with_hyp(f), f->pins != OWN_PINS_MAX, PT_BUSY);
}

static enum pt_outcome is_pinned(const struct own_frame *f)
{
	return want(with_hyp(f), f->pins, PT_WRONG_STATE);
}

static enum pt_outcome hyps(const struct own_frame *f)
{
	return want(memory(f), f->kind != OWN_TABLE && f->owner == OWN_HYP, PT_WRONG_OWNER);
}

static enum pt_outcome with_third(const struct own_frame *f)
{
	return want(hosts(f), f->third, PT_WRONG_STATE);
}

/* The host's alone, or shared with guests already. */
static enum pt_outcome may_share(const struct own_frame *f)
{
	return want(want(hosts(f), f->host == OWN_OWNED || f->shares, PT_WRONG_STATE),
		    !f->logged && f->shares != OWN_SHARES_MAX, PT_BUSY);
}

static enum pt_outcome each(const struct own *o, uint64_t frame, uint64_t n,
			    enum pt_outcome (*check)(const struct own_frame *))
{
	enum pt_outcome outcome = range(frame, n, o->frames);

	for (uint64_t i = 0; outcome == PT_OK && i < n; i++)
		outcome = check(&o->frame[frame + i]);
	return outcome;
}

/* A guest's side. */
static enum pt_outcome vacant(const struct own_cell *c)
{
	if (c->state == OWN_POISONED)
		return PT_POISONED;
	return c->state == OWN_NOPAGE ? PT_OK : PT_WRONG_STATE;
}

static enum pt_outcome there(const struct own_cell *c)
{
	return c->state == OWN_POISONED ? PT_POISONED
					: want(PT_OK, c->state != OWN_NOPAGE, PT_NOT_MAPPED);
}

/* The guest's own page, in this state. */
static enum pt_outcome own_page(const struct own_cell *c, enum own_state state)
{
	bool others = c->state == OWN_SHARED_BORROWED || c->state == OWN_LENT_BORROWED;

	return want(want(there(c), !others, PT_WRONG_OWNER), c->state == state, PT_WRONG_STATE);
}

static enum pt_outcome own_alone(const struct own_cell *c)
{
	return want(own_page(c, OWN_OWNED), !c->logged, PT_BUSY);
}

static enum pt_outcome own_shared(const struct own_cell *c)
{
	return own_page(c, OWN_SHARED_OWNED);
}

/* A page that the host shares with the guest. */
static enum pt_outcome borrowed(const struct own_cell *c)
{
	return want(want(there(c), c->state != OWN_LENT_BORROWED, PT_WRONG_STATE),
		    c->state == OWN_SHARED_BORROWED, PT_WRONG_OWNER);
}

/* A range of a live guest's. */
static enum pt_outcome each_page(const struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
				 enum pt_outcome (*check)(const struct own_cell *))
{
	enum pt_outcome outcome = range(gfn, n, o->gfns);

	if (outcome == PT_OK)
		outcome = alive(o, guest);
	for (uint64_t i = 0; outcome == PT_OK && i < n; i++)
		outcome = check(&o->guest[guest].map[gfn + i]);
	return outcome;
}

/* Both sides of a transition to a guest: each page's frame before its address. */
static enum pt_outcome both(const struct own *o, uint64_t frame, unsigned guest, uint64_t gfn,
			    uint64_t n, enum pt_outcome (*check)(const struct own_frame *),
			    bool protected)
{
	enum pt_outcome outcome = range(frame, n, o->frames);

	if (outcome == PT_OK)
		outcome = range(gfn, n, o->gfns);
	if (outcome == PT_OK)
		outcome = alive(o, guest);
	if (outcome == PT_OK)
		outcome = want(outcome, o->guest[guest].protected == protected, PT_WRONG_STATE);
	for (uint64_t i = 0; outcome == PT_OK && i < n; i++) {
		outcome = check(&o->frame[frame + i]);
		if (outcome == PT_OK)
			outcome = vacant(&o->guest[guest].map[gfn + i]);
	}
	return outcome;
}

/* Changes of one page. */

static struct own_frame *frame_of(struct own *o, unsigned guest, uint64_t gfn)
{
	return &o->frame[o->guest[guest].map[gfn].frame];
}

static void clear_cell(struct own_cell *c)
{
	*c = (struct own_cell){.state = OWN_NOPAGE, .logged = c->logged};
}

static void to_host(struct own_frame *f, bool wiped)
{
	*f = (struct own_frame){
		.hyp = OWN_NOPAGE, .logged = f->logged, .content = wiped ? 0 : f->content};
}

static void to_hyp(struct own_frame *f, bool wiped)
{
	f->owner = OWN_HYP;
	f->host = OWN_NOPAGE;
	f->hyp = OWN_OWNED;
	f->content = wiped ? 0 : f->content;
}

static void fill_cell(struct own_cell *c, enum own_state state, uint64_t frame, uint8_t prot)
{
	*c = (struct own_cell){.state = (uint8_t)state,
			       .prot = prot,
			       .young = true,
			       .logged = c->logged,
			       .frame = frame};
}

static void unshare_one(struct own_frame *f, struct own_cell *c)
{
	if (!--f->shares)
		f->host = OWN_OWNED;
	clear_cell(c);
}

/* Host and hyp. */

static enum pt_outcome frames(struct own *o, uint64_t frame, uint64_t n,
			      enum pt_outcome (*check)(const struct own_frame *),
			      void (*change)(struct own_frame *, bool), bool how)
{
	enum pt_outcome outcome = each(o, frame, n, check);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		change(&o->frame[i], how);
	return outcome;
}

static void share_hyp(struct own_frame *f, bool shared)
{
	f->host = shared ? OWN_SHARED_OWNED : OWN_OWNED;
	f->hyp = shared ? OWN_SHARED_BORROWED : OWN_NOPAGE;
}

static void share_third(struct own_frame *f, bool shared)
{
	f->host = shared ? OWN_SHARED_OWNED : OWN_OWNED;
	f->third = shared;
}

static void pin(struct own_frame *f, bool more)
{
	f->pins = (uint16_t)(more ? f->pins + 1 : f->pins - 1);
}

enum pt_outcome own_share_hyp(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, hosts_alone, share_hyp, true);
}

enum pt_outcome own_unshare_hyp(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, not_pinned, share_hyp, false);
}

enum pt_outcome own_pin(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, may_pin, pin, true);
}

enum pt_outcome own_unpin(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, is_pinned, pin, false);
}

enum pt_outcome own_donate_hyp(struct own *o, uint64_t frame, uint64_t n, bool zero)
{
	return frames(o, frame, n, hosts_alone, to_hyp, zero);
}

enum pt_outcome own_return_hyp(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, hyps, to_host, true);
}

enum pt_outcome own_share_third(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, hosts_alone, share_third, true);
}

enum pt_outcome own_unshare_third(struct own *o, uint64_t frame, uint64_t n)
{
	return frames(o, frame, n, with_third, share_third, false);
}

/* Host and guest. */

enum pt_outcome own_share_guest(struct own *o, uint64_t frame, unsigned guest, uint64_t gfn,
				uint64_t n, uint8_t prot)
{
	enum pt_outcome outcome = both(o, frame, guest, gfn, n, may_share, false);

	for (uint64_t i = 0; outcome == PT_OK && i < n; i++) {
		o->frame[frame + i].host = OWN_SHARED_OWNED;
		o->frame[frame + i].shares++;
		fill_cell(&o->guest[guest].map[gfn + i], OWN_SHARED_BORROWED, frame + i, prot);
	}
	return outcome;
}

enum pt_outcome own_change_guest(struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
				 enum own_change change, uint8_t prot)
{
	enum pt_outcome outcome = each_page(o, guest, gfn, n, borrowed);

	for (uint64_t i = 0; outcome == PT_OK && i < n; i++) {
		struct own_cell *c = &o->guest[guest].map[gfn + i];

		switch (change) {
		case OWN_RELAX: c->prot |= prot; break;
		case OWN_WRITE_PROTECT: c->prot &= (uint8_t)~2u; break;
		case OWN_MAKE_OLD: c->young = false; break;
		default: c->young = true; break;
		}
	}
	return outcome;
}

enum pt_outcome own_donate_guest(struct own *o, uint64_t frame, unsigned guest, uint64_t gfn,
				 uint64_t n, bool zero)
{
	enum pt_outcome outcome = both(o, frame, guest, gfn, n, hosts_alone, true);

	for (uint64_t i = 0; outcome == PT_OK && i < n; i++) {
		struct own_frame *f = &o->frame[frame + i];

		f->owner = OWN_GUEST;
		f->guest = (uint8_t)guest;
		f->gfn = gfn + i;
		f->host = OWN_NOPAGE;
		f->content = zero ? 0 : f->content;
		fill_cell(&o->guest[guest].map[gfn + i], OWN_OWNED, frame + i, 0xf);
	}
	return outcome;
}

static enum pt_outcome pages(struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
			     enum pt_outcome (*check)(const struct own_cell *),
			     void (*change)(struct own_frame *, struct own_cell *))
{
	enum pt_outcome outcome = each_page(o, guest, gfn, n, check);

	for (uint64_t i = gfn; outcome == PT_OK && i < gfn + n; i++)
		change(frame_of(o, guest, i), &o->guest[guest].map[i]);
	return outcome;
}

static void share_back(struct own_frame *f, struct own_cell *c)
{
	f->host = OWN_SHARED_BORROWED;
	c->state = OWN_SHARED_OWNED;
}

static void unshare_back(struct own_frame *f, struct own_cell *c)
{
	f->host = OWN_NOPAGE;
	c->state = OWN_OWNED;
}

static void give_back(struct own_frame *f, struct own_cell *c)
{
	to_host(f, true);
	clear_cell(c);
}

enum pt_outcome own_unshare_guest(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	return pages(o, guest, gfn, n, borrowed, unshare_one);
}

enum pt_outcome own_share_back(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	return pages(o, guest, gfn, n, own_alone, share_back);
}

enum pt_outcome own_unshare_back(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	return pages(o, guest, gfn, n, own_shared, unshare_back);
}

enum pt_outcome own_balloon(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	return pages(o, guest, gfn, n, own_alone, give_back);
}

static enum pt_outcome may_force(const struct own *o, const struct own_frame *f)
{
	bool hyp = f->kind == OWN_TABLE || f->owner == OWN_HYP;
	enum pt_outcome outcome = want(memory(f), !hyp, PT_WRONG_OWNER);
	const struct own_cell *c;

	if (outcome != PT_OK || f->owner == OWN_HOST)
		return want(outcome, false, PT_WRONG_STATE);
	c = &o->guest[f->guest].map[f->gfn];
	return want(want(outcome, c->state == OWN_OWNED, PT_WRONG_STATE), !c->logged, PT_BUSY);
}

enum pt_outcome own_force_reclaim(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = range(frame, n, o->frames);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		outcome = may_force(o, &o->frame[i]);
	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		struct own_cell *c = &o->guest[o->frame[i].guest].map[o->frame[i].gfn];

		give_back(&o->frame[i], c);
		c->state = OWN_POISONED;
	}
	return outcome;
}

/* Lending. */

static struct own_lending *lending_of(struct own *o, uint64_t handle)
{
	for (unsigned i = 0; handle && i < OWN_LENDINGS; i++)
		if (o->lending[i].handle == handle)
			return &o->lending[i];
	return NULL;
}

static bool anyone_has(const struct own_lending *l)
{
	for (uint32_t i = 0; i < l->borrowers; i++)
		if (l->borrower[i].has)
			return true;
	return false;
}

/* The n-th page of a lending: its frame, and the lender's address of it. */
static uint64_t lent_at(const struct own_lending *l, uint64_t n)
{
	uint32_t i = 0;

	for (; n >= l->piece[i].pages; i++)
		n -= l->piece[i].pages;
	return l->piece[i].first + n;
}

static struct own_frame *lent_frame(struct own *o, const struct own_lending *l, uint64_t n)
{
	uint64_t at = lent_at(l, n);

	return l->lender == OWN_GUESTS ? &o->frame[at] : frame_of(o, l->lender, at);
}

/* All pages of it are the lender's again, or become lent. */
static void mark_lent(struct own *o, const struct own_lending *l, bool lent)
{
	for (uint64_t n = 0; n < l->pages; n++) {
		bool host = l->lender == OWN_GUESTS;
		struct own_frame *f = host ? &o->frame[lent_at(l, n)] : NULL;
		struct own_cell *c = host ? NULL : &o->guest[l->lender].map[lent_at(l, n)];

		*(f ? &f->host : &c->state) = lent ? OWN_LENT : OWN_OWNED;
		*(f ? &f->lending : &c->lending) = lent ? l->handle : 0;
	}
}

static enum pt_outcome may_lend(const struct own *o, unsigned lender)
{
	return lender == OWN_GUESTS ? PT_OK : alive(o, lender);
}

/* Each once, and not the lender: what the request says by itself, before who they are. */
static bool are_borrowers(unsigned lender, const uint8_t *borrower, uint32_t borrowers)
{
	if (!borrowers || borrowers > OWN_BORROWERS)
		return false;
	for (uint32_t i = 0; i < borrowers; i++) {
		for (uint32_t k = 0; k < i; k++)
			if (borrower[k] == borrower[i])
				return false;
		if (borrower[i] == lender)
			return false;
	}
	return true;
}

enum pt_outcome own_lend(struct own *o, unsigned lender, const uint8_t *borrower,
			 uint32_t borrowers, uint64_t pages, bool zero, uint64_t *handle)
{
	enum pt_outcome outcome = may_lend(o, lender);
	unsigned i = 0;

	if (!pages || !are_borrowers(lender, borrower, borrowers))
		return PT_INVALID;
	for (uint32_t k = 0; outcome == PT_OK && k < borrowers; k++)
		outcome = alive(o, borrower[k]);
	if (outcome != PT_OK)
		return outcome;
	while (i < OWN_LENDINGS && o->lending[i].handle)
		i++;
	if (i == OWN_LENDINGS)
		return PT_BUSY;
	o->lending[i] = (struct own_lending){.handle = ++o->handles,
					     .open = true,
					     .zero = zero,
					     .lender = (uint8_t)lender,
					     .pages = pages,
					     .borrowers = borrowers};
	for (uint32_t k = 0; k < borrowers; k++)
		o->lending[i].borrower[k].guest = borrower[k];
	*handle = o->handles;
	return PT_OK;
}

static void forget(struct own_lending *l)
{
	memset(l, 0, sizeof(*l));
}

/* The last piece makes it a lending; all of them are looked at then. */
static enum pt_outcome complete(struct own *o, struct own_lending *l)
{
	enum pt_outcome outcome = PT_OK;

	for (uint32_t i = 0; outcome == PT_OK && i < l->pieces; i++) {
		struct own_piece p = l->piece[i];

		outcome = l->lender == OWN_GUESTS
				  ? each(o, p.first, p.pages, hosts_alone)
				  : each_page(o, l->lender, p.first, p.pages, own_alone);
	}
	l->open = false;
	if (outcome == PT_OK)
		mark_lent(o, l, true);
	else
		forget(l);
	return outcome;
}

enum pt_outcome own_lend_piece(struct own *o, unsigned lender, uint64_t handle, uint64_t first,
			       uint64_t n)
{
	struct own_lending *l = lending_of(o, handle);
	enum pt_outcome outcome;

	if (!l)
		return PT_NOT_FOUND;
	if (l->lender != lender)
		return PT_WRONG_OWNER;
	if (!l->open)
		return PT_WRONG_STATE;
	outcome = range(first, n, l->lender == OWN_GUESTS ? o->frames : o->gfns);
	if (outcome != PT_OK)
		return outcome;
	if (n > l->pages - l->named || l->pieces == OWN_PIECES)
		return PT_INVALID;
	for (uint32_t i = 0; i < l->pieces; i++)
		if (first < l->piece[i].first + l->piece[i].pages && l->piece[i].first < first + n)
			return PT_INVALID;
	l->piece[l->pieces++] = (struct own_piece){first, n};
	l->named += n;
	return l->named == l->pages ? complete(o, l) : PT_OK;
}

enum pt_outcome own_lend_expire(struct own *o, uint64_t handle)
{
	struct own_lending *l = lending_of(o, handle);

	if (!l || !l->open)
		return l ? PT_WRONG_STATE : PT_NOT_FOUND;
	forget(l);
	return PT_OK;
}

static int borrower_of(const struct own_lending *l, unsigned guest)
{
	for (uint32_t i = 0; i < l->borrowers; i++)
		if (l->borrower[i].guest == guest)
			return (int)i;
	return -1;
}

/* A live guest, a lending that there is, and the borrower that the guest is. */
static enum pt_outcome find_borrower(struct own *o, unsigned guest, uint64_t handle,
				     struct own_lending **l, int *b)
{
	enum pt_outcome outcome = alive(o, guest);

	*l = lending_of(o, handle);
	*b = *l ? borrower_of(*l, guest) : -1;
	return want(want(outcome, *l, PT_NOT_FOUND), *b >= 0, PT_WRONG_OWNER);
}

enum pt_outcome own_retrieve(struct own *o, unsigned guest, uint64_t handle, uint64_t gfn)
{
	struct own_lending *l;
	int b;
	enum pt_outcome outcome = find_borrower(o, guest, handle, &l, &b);

	if (outcome != PT_OK)
		return outcome;
	if (l->open || l->borrower[b].has ||
	    (l->lender != OWN_GUESTS && alive(o, l->lender) != PT_OK))
		return PT_WRONG_STATE;
	outcome = each_page(o, guest, gfn, l->pages, vacant);
	if (outcome != PT_OK)
		return outcome;
	for (uint64_t n = 0; n < l->pages; n++) {
		struct own_cell *c = &o->guest[guest].map[gfn + n];

		fill_cell(c, OWN_LENT_BORROWED, (uint64_t)(lent_frame(o, l, n) - o->frame), 0xf);
		c->lending = handle;
	}
	l->borrower[b].has = true;
	l->borrower[b].gfn = gfn;
	return PT_OK;
}

/* A lending ends when nobody has it whose lender is dying. */
static void end_if_dying(struct own *o, struct own_lending *l)
{
	if (l->open || anyone_has(l) || in_life(o, l->lender, OWN_DYING) != PT_OK)
		return;
	mark_lent(o, l, false);
	forget(l);
}

static void give_up(struct own *o, struct own_lending *l, unsigned b)
{
	for (uint64_t n = 0; n < l->pages; n++)
		clear_cell(&o->guest[l->borrower[b].guest].map[l->borrower[b].gfn + n]);
	l->borrower[b].has = false;
	l->borrower[b].gfn = 0;
	if (l->zero && !anyone_has(l))
		for (uint64_t n = 0; n < l->pages; n++)
			lent_frame(o, l, n)->content = 0;
	end_if_dying(o, l);
}

enum pt_outcome own_relinquish(struct own *o, unsigned guest, uint64_t handle)
{
	struct own_lending *l;
	int b;
	enum pt_outcome outcome = find_borrower(o, guest, handle, &l, &b);

	if (outcome == PT_OK && !l->borrower[b].has)
		return PT_WRONG_STATE;
	if (outcome == PT_OK)
		give_up(o, l, (unsigned)b);
	return outcome;
}

enum pt_outcome own_lend_reclaim(struct own *o, unsigned lender, uint64_t handle)
{
	enum pt_outcome outcome = may_lend(o, lender);
	struct own_lending *l = lending_of(o, handle);

	outcome = want(outcome, l, PT_NOT_FOUND);
	if (outcome != PT_OK)
		return outcome;
	outcome = want(outcome, l->lender == lender, PT_WRONG_OWNER);
	outcome = want(want(outcome, !l->open, PT_WRONG_STATE), !anyone_has(l), PT_BUSY);
	if (outcome != PT_OK)
		return outcome;
	mark_lent(o, l, false);
	forget(l);
	return PT_OK;
}

/* The life of a guest. */

enum pt_outcome own_reserve(struct own *o, unsigned *guest)
{
	for (unsigned g = 0; g < OWN_GUESTS; g++)
		if (o->guest[g].life == OWN_NONE) {
			o->guest[g].life = OWN_RESERVED;
			*guest = g;
			return PT_OK;
		}
	return PT_BUSY;
}

enum pt_outcome own_create(struct own *o, unsigned guest, bool protected)
{
	enum pt_outcome outcome = in_life(o, guest, OWN_RESERVED);

	if (outcome != PT_OK)
		return outcome;
	o->guest[guest].life = OWN_LIVE;
	o->guest[guest].protected = protected;
	return PT_OK;
}

enum pt_outcome own_top_up(struct own *o, unsigned guest, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = range(frame, n, o->frames);

	if (outcome != PT_OK)
		return outcome;
	outcome = known(o, guest);
	if (outcome == PT_OK)
		outcome = want(outcome, o->guest[guest].life != OWN_DYING, PT_WRONG_STATE);
	if (outcome == PT_OK)
		outcome = each(o, frame, n, hosts_alone);
	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		to_hyp(&o->frame[i], true);
		o->frame[i].kind = OWN_TABLE;
		o->frame[i].guest = (uint8_t)guest;
		o->guest[guest].tables++;
	}
	return outcome;
}

enum pt_outcome own_teardown(struct own *o, unsigned guest)
{
	enum pt_outcome outcome = alive(o, guest);

	if (outcome != PT_OK)
		return outcome;
	o->guest[guest].life = OWN_DYING;
	for (unsigned i = 0; i < OWN_LENDINGS; i++) {
		struct own_lending *l = &o->lending[i];
		int b;

		if (!l->handle)
			continue;
		if (l->open && l->lender == guest) {
			forget(l);
			continue;
		}
		b = borrower_of(l, guest);
		if (b >= 0 && l->borrower[b].has) {
			l->zero = true;
			give_up(o, l, (unsigned)b);
		} else {
			end_if_dying(o, l);
		}
	}
	return PT_OK;
}

enum pt_outcome own_reclaim_dying(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	enum pt_outcome outcome = range(gfn, n, o->gfns);

	if (outcome == PT_OK)
		outcome = in_life(o, guest, OWN_DYING);
	if (outcome != PT_OK)
		return outcome;
	for (uint64_t i = gfn; i < gfn + n; i++)
		if (o->guest[guest].map[i].state == OWN_LENT)
			return PT_BUSY;
	for (uint64_t i = gfn; i < gfn + n; i++) {
		struct own_cell *c = &o->guest[guest].map[i];

		if (c->state == OWN_SHARED_BORROWED)
			unshare_one(frame_of(o, guest, i), c);
		else if (c->state == OWN_OWNED || c->state == OWN_SHARED_OWNED)
			to_host(frame_of(o, guest, i), c->state == OWN_OWNED);
		clear_cell(c);
	}
	return PT_OK;
}

enum pt_outcome own_reclaim_tables(struct own *o, unsigned guest)
{
	enum pt_outcome outcome = known(o, guest);

	if (outcome == PT_OK)
		outcome = want(outcome, o->guest[guest].life != OWN_LIVE, PT_WRONG_STATE);
	for (uint64_t i = 0; outcome == PT_OK && i < o->gfns; i++)
		outcome = want(outcome, o->guest[guest].map[i].state == OWN_NOPAGE, PT_WRONG_STATE);
	if (outcome != PT_OK)
		return outcome;
	for (uint64_t i = 0; i < o->frames; i++)
		if (o->frame[i].kind == OWN_TABLE && o->frame[i].owner == OWN_HYP &&
		    o->frame[i].guest == guest)
			to_host(&o->frame[i], true);
	o->guest[guest].tables = 0;
	return PT_OK;
}

enum pt_outcome own_finalize(struct own *o, unsigned guest)
{
	struct own_guest *g = &o->guest[guest % OWN_GUESTS];

	if (known(o, guest) != PT_OK || g->life == OWN_LIVE)
		return want(known(o, guest), false, PT_WRONG_STATE);
	for (unsigned i = 0; i < OWN_LENDINGS; i++)
		if (o->lending[i].handle && o->lending[i].lender == guest)
			return PT_BUSY;
	if (own_reclaim_tables(o, guest) != PT_OK)
		return PT_WRONG_STATE;
	/* Its logs end with it. */
	for (uint64_t i = 0; i < o->gfns; i++)
		g->map[i].logged = false;
	g->life = OWN_NONE;
	g->protected = false;
	/* Nobody finds a borrower that is gone; a handle that is given again is another guest. */
	for (unsigned i = 0; i < OWN_LENDINGS; i++) {
		int b = borrower_of(&o->lending[i], guest);

		if (o->lending[i].handle && b >= 0)
			o->lending[i].borrower[b].guest = UINT8_MAX;
	}
	return PT_OK;
}

/* Who may what. */

bool own_reaches(const struct own *o, unsigned who, uint64_t frame)
{
	const struct own_frame *f = &o->frame[frame];

	if (who == OWN_GUESTS + 1)
		return f->hyp == OWN_OWNED || (f->hyp == OWN_SHARED_BORROWED && f->pins);
	if (who == OWN_GUESTS)
		return f->host != OWN_NOPAGE && f->host != OWN_LENT;
	for (uint64_t i = 0; i < o->gfns; i++) {
		const struct own_cell *c = &o->guest[who].map[i];

		if (c->state <= OWN_LENT_BORROWED && c->frame == frame)
			return true;
	}
	return false;
}

enum pt_outcome own_may_map(const struct own *o, unsigned who, uint64_t at, uint64_t frame)
{
	const struct own_cell *c;

	if (frame >= o->frames || (who < OWN_GUESTS && at >= o->gfns))
		return PT_OUT_OF_RANGE;
	if (o->frame[frame].kind == OWN_TABLE)
		return PT_WRONG_OWNER;
	if (who == OWN_GUESTS) {
		if (o->frame[frame].host == OWN_LENT)
			return PT_WRONG_STATE;
		return own_reaches(o, who, frame) ? PT_OK : PT_WRONG_OWNER;
	}
	c = &o->guest[who].map[at];
	if (c->state == OWN_POISONED)
		return PT_POISONED;
	return c->state <= OWN_LENT_BORROWED && c->frame == frame ? PT_OK : PT_WRONG_OWNER;
}
