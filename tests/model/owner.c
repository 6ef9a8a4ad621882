/* SPDX-License-Identifier: BSD-2-Clause */
/* The abstract model of ownership. Each transition looks at all of its pages, and then changes
 * them.
 */
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

static bool frame_equal(const struct own_frame *a, const struct own_frame *b)
{
	return a->kind == b->kind && a->owner == b->owner && a->guest == b->guest &&
	       a->host == b->host && a->hyp == b->hyp && a->third == b->third &&
	       a->logged == b->logged && a->pins == b->pins && a->shares == b->shares &&
	       a->gfn == b->gfn && a->lending == b->lending && a->content == b->content;
}

static bool cell_same(const struct own_cell *a, const struct own_cell *b)
{
	return a->state == b->state && a->prot == b->prot && a->young == b->young &&
	       a->logged == b->logged && a->frame == b->frame && a->lending == b->lending;
}

static bool lending_equal(const struct own_lending *a, const struct own_lending *b)
{
	if (a->handle != b->handle || a->open != b->open || a->zero != b->zero ||
	    a->lender != b->lender || a->guest != b->guest || a->pages != b->pages ||
	    a->named != b->named || a->pieces != b->pieces || a->borrowers != b->borrowers)
		return false;
	for (uint32_t i = 0; i < a->pieces; i++)
		if (a->piece[i].first != b->piece[i].first ||
		    a->piece[i].pages != b->piece[i].pages)
			return false;
	for (uint32_t i = 0; i < a->borrowers; i++)
		if (a->borrower[i].guest != b->borrower[i].guest ||
		    a->borrower[i].has != b->borrower[i].has ||
		    a->borrower[i].gfn != b->borrower[i].gfn)
			return false;
	return true;
}

bool own_equal(const struct own *a, const struct own *b)
{
	if (a->frames != b->frames || a->gfns != b->gfns || a->handles != b->handles)
		return false;
	for (uint64_t i = 0; i < a->frames; i++)
		if (!frame_equal(&a->frame[i], &b->frame[i]))
			return false;
	for (unsigned g = 0; g < OWN_GUESTS; g++) {
		const struct own_guest *x = &a->guest[g], *y = &b->guest[g];

		if (x->life != y->life || x->protected != y->protected || x->tables != y->tables)
			return false;
		for (uint64_t i = 0; i < a->gfns; i++)
			if (!cell_same(&x->map[i], &y->map[i]))
				return false;
	}
	for (unsigned i = 0; i < OWN_LENDINGS; i++)
		if (!lending_equal(&a->lending[i], &b->lending[i]))
			return false;
	return true;
}

/* Checks, in the order of docs/ownership.md: arguments, parties, then page by page. */

static enum pt_outcome range(uint64_t first, uint64_t n, uint64_t limit)
{
	if (!n)
		return PT_INVALID;
	return first >= limit || n > limit - first ? PT_OUT_OF_RANGE : PT_OK;
}

static enum pt_outcome alive(const struct own *o, unsigned guest)
{
	if (guest >= OWN_GUESTS || o->guest[guest].life == OWN_NONE)
		return PT_NOT_FOUND;
	return o->guest[guest].life == OWN_LIVE ? PT_OK : PT_WRONG_STATE;
}

static enum pt_outcome alive_as(const struct own *o, unsigned guest, bool protected)
{
	enum pt_outcome outcome = alive(o, guest);

	if (outcome != PT_OK)
		return outcome;
	return o->guest[guest].protected == protected ? PT_OK : PT_WRONG_STATE;
}

/* The host owns the frame. */
static enum pt_outcome hosts(const struct own_frame *f)
{
	if (f->kind == OWN_DEVICE)
		return PT_OUT_OF_RANGE;
	return f->kind == OWN_TABLE || f->owner != OWN_HOST ? PT_WRONG_OWNER : PT_OK;
}

/* And nobody else has anything of it. */
static enum pt_outcome hosts_alone(const struct own_frame *f)
{
	enum pt_outcome outcome = hosts(f);

	if (outcome != PT_OK)
		return outcome;
	if (f->host != OWN_OWNED)
		return PT_WRONG_STATE;
	return f->logged ? PT_BUSY : PT_OK;
}

static enum pt_outcome with_hyp(const struct own_frame *f)
{
	enum pt_outcome outcome = hosts(f);

	if (outcome != PT_OK)
		return outcome;
	return f->host == OWN_SHARED_OWNED && f->hyp == OWN_SHARED_BORROWED ? PT_OK
									    : PT_WRONG_STATE;
}

static enum pt_outcome not_pinned(const struct own_frame *f)
{
	enum pt_outcome outcome = with_hyp(f);

	return outcome != PT_OK ? outcome : f->pins ? PT_BUSY : PT_OK;
}

static enum pt_outcome may_pin(const struct own_frame *f)
{
	enum pt_outcome outcome = with_hyp(f);

	return outcome != PT_OK ? outcome : f->pins == OWN_PINS_MAX ? PT_BUSY : PT_OK;
}

static enum pt_outcome is_pinned(const struct own_frame *f)
{
	enum pt_outcome outcome = with_hyp(f);

	return outcome != PT_OK ? outcome : f->pins ? PT_OK : PT_WRONG_STATE;
}

static enum pt_outcome hyps(const struct own_frame *f)
{
	if (f->kind == OWN_DEVICE)
		return PT_OUT_OF_RANGE;
	return f->kind == OWN_TABLE || f->owner != OWN_HYP ? PT_WRONG_OWNER : PT_OK;
}

static enum pt_outcome with_third(const struct own_frame *f)
{
	enum pt_outcome outcome = hosts(f);

	return outcome != PT_OK ? outcome : f->third ? PT_OK : PT_WRONG_STATE;
}

/* The host's alone, or shared with guests already. */
static enum pt_outcome may_share(const struct own_frame *f)
{
	enum pt_outcome outcome = hosts(f);

	if (outcome != PT_OK)
		return outcome;
	if (f->host != OWN_OWNED && !f->shares)
		return PT_WRONG_STATE;
	return f->logged || f->shares == OWN_SHARES_MAX ? PT_BUSY : PT_OK;
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
	if (c->state == OWN_POISONED)
		return PT_POISONED;
	return c->state == OWN_NOPAGE ? PT_NOT_MAPPED : PT_OK;
}

/* The guest's own page, in this state. */
static enum pt_outcome own_page(const struct own_cell *c, enum own_state state)
{
	enum pt_outcome outcome = there(c);

	if (outcome != PT_OK)
		return outcome;
	if (c->state == OWN_SHARED_BORROWED || c->state == OWN_LENT_BORROWED)
		return PT_WRONG_OWNER;
	if (c->state != state)
		return PT_WRONG_STATE;
	return c->logged && state == OWN_OWNED ? PT_BUSY : PT_OK;
}

static enum pt_outcome own_alone(const struct own_cell *c)
{
	return own_page(c, OWN_OWNED);
}

static enum pt_outcome own_shared(const struct own_cell *c)
{
	return own_page(c, OWN_SHARED_OWNED);
}

/* A page that the host shares with the guest. */
static enum pt_outcome borrowed(const struct own_cell *c)
{
	enum pt_outcome outcome = there(c);

	if (outcome != PT_OK)
		return outcome;
	if (c->state == OWN_LENT_BORROWED)
		return PT_WRONG_STATE;
	return c->state == OWN_SHARED_BORROWED ? PT_OK : PT_WRONG_OWNER;
}

static enum pt_outcome each_cell(const struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
				 enum pt_outcome (*check)(const struct own_cell *))
{
	enum pt_outcome outcome = range(gfn, n, o->gfns);

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
		outcome = alive_as(o, guest, protected);
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

static void unshare_one(struct own *o, unsigned guest, uint64_t gfn)
{
	struct own_frame *f = frame_of(o, guest, gfn);

	if (!--f->shares)
		f->host = OWN_OWNED;
	clear_cell(&o->guest[guest].map[gfn]);
}

/* Host and hyp. */

enum pt_outcome own_share_hyp(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, hosts_alone);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		o->frame[i].host = OWN_SHARED_OWNED;
		o->frame[i].hyp = OWN_SHARED_BORROWED;
	}
	return outcome;
}

enum pt_outcome own_unshare_hyp(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, not_pinned);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		o->frame[i].host = OWN_OWNED;
		o->frame[i].hyp = OWN_NOPAGE;
	}
	return outcome;
}

enum pt_outcome own_pin(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, may_pin);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		o->frame[i].pins++;
	return outcome;
}

enum pt_outcome own_unpin(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, is_pinned);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		o->frame[i].pins--;
	return outcome;
}

enum pt_outcome own_donate_hyp(struct own *o, uint64_t frame, uint64_t n, bool zero)
{
	enum pt_outcome outcome = each(o, frame, n, hosts_alone);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		to_hyp(&o->frame[i], zero);
	return outcome;
}

enum pt_outcome own_return_hyp(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, hyps);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		to_host(&o->frame[i], true);
	return outcome;
}

enum pt_outcome own_share_third(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, hosts_alone);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		o->frame[i].host = OWN_SHARED_OWNED;
		o->frame[i].third = true;
	}
	return outcome;
}

enum pt_outcome own_unshare_third(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = each(o, frame, n, with_third);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		o->frame[i].host = OWN_OWNED;
		o->frame[i].third = false;
	}
	return outcome;
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

enum pt_outcome own_unshare_guest(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	enum pt_outcome outcome = range(gfn, n, o->gfns);

	if (outcome == PT_OK)
		outcome = alive(o, guest);
	if (outcome == PT_OK)
		outcome = each_cell(o, guest, gfn, n, borrowed);
	for (uint64_t i = 0; outcome == PT_OK && i < n; i++)
		unshare_one(o, guest, gfn + i);
	return outcome;
}

enum pt_outcome own_change_guest(struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
				 enum own_change change, uint8_t prot)
{
	enum pt_outcome outcome = range(gfn, n, o->gfns);

	if (outcome == PT_OK)
		outcome = alive(o, guest);
	if (outcome == PT_OK)
		outcome = each_cell(o, guest, gfn, n, borrowed);
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

static enum pt_outcome by_guest(const struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
				enum pt_outcome (*check)(const struct own_cell *))
{
	enum pt_outcome outcome = range(gfn, n, o->gfns);

	if (outcome == PT_OK)
		outcome = alive(o, guest);
	return outcome == PT_OK ? each_cell(o, guest, gfn, n, check) : outcome;
}

enum pt_outcome own_share_back(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	enum pt_outcome outcome = by_guest(o, guest, gfn, n, own_alone);

	for (uint64_t i = gfn; outcome == PT_OK && i < gfn + n; i++) {
		o->guest[guest].map[i].state = OWN_SHARED_OWNED;
		frame_of(o, guest, i)->host = OWN_SHARED_BORROWED;
	}
	return outcome;
}

enum pt_outcome own_unshare_back(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	enum pt_outcome outcome = by_guest(o, guest, gfn, n, own_shared);

	for (uint64_t i = gfn; outcome == PT_OK && i < gfn + n; i++) {
		o->guest[guest].map[i].state = OWN_OWNED;
		frame_of(o, guest, i)->host = OWN_NOPAGE;
	}
	return outcome;
}

enum pt_outcome own_balloon(struct own *o, unsigned guest, uint64_t gfn, uint64_t n)
{
	enum pt_outcome outcome = by_guest(o, guest, gfn, n, own_alone);

	for (uint64_t i = gfn; outcome == PT_OK && i < gfn + n; i++) {
		to_host(frame_of(o, guest, i), true);
		clear_cell(&o->guest[guest].map[i]);
	}
	return outcome;
}

static enum pt_outcome may_force(const struct own *o, const struct own_frame *f)
{
	const struct own_cell *c;

	if (f->kind == OWN_DEVICE)
		return PT_OUT_OF_RANGE;
	if (f->kind == OWN_TABLE || f->owner == OWN_HYP)
		return PT_WRONG_OWNER;
	if (f->owner == OWN_HOST)
		return PT_WRONG_STATE;
	c = &o->guest[f->guest].map[f->gfn];
	if (c->state != OWN_OWNED)
		return PT_WRONG_STATE;
	return c->logged ? PT_BUSY : PT_OK;
}

enum pt_outcome own_force_reclaim(struct own *o, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = range(frame, n, o->frames);

	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++)
		outcome = may_force(o, &o->frame[i]);
	for (uint64_t i = frame; outcome == PT_OK && i < frame + n; i++) {
		struct own_cell *c = &o->guest[o->frame[i].guest].map[o->frame[i].gfn];

		clear_cell(c);
		c->state = OWN_POISONED;
		to_host(&o->frame[i], true);
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

static bool is_lender(const struct own_lending *l, unsigned who)
{
	return l->lender == OWN_HOST ? who == OWN_GUESTS : who == l->guest;
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

	return l->lender == OWN_HOST ? &o->frame[at] : frame_of(o, l->guest, at);
}

/* All pages of it are the lender's again, or become lent. */
static void mark_lent(struct own *o, const struct own_lending *l, bool lent)
{
	for (uint64_t n = 0; n < l->pages; n++) {
		uint64_t at = lent_at(l, n), handle = lent ? l->handle : 0;

		if (l->lender == OWN_HOST) {
			o->frame[at].host = lent ? OWN_LENT : OWN_OWNED;
			o->frame[at].lending = handle;
		} else {
			o->guest[l->guest].map[at].state = lent ? OWN_LENT : OWN_OWNED;
			o->guest[l->guest].map[at].lending = handle;
		}
	}
}

static enum pt_outcome may_lend(const struct own *o, unsigned lender)
{
	return lender == OWN_GUESTS ? PT_OK : alive(o, lender);
}

static enum pt_outcome check_borrowers(const struct own *o, unsigned lender,
				       const uint8_t *borrower, uint32_t borrowers)
{
	for (uint32_t i = 0; i < borrowers; i++) {
		enum pt_outcome outcome = alive(o, borrower[i]);

		if (outcome != PT_OK)
			return outcome;
		for (uint32_t k = 0; k < i; k++)
			if (borrower[k] == borrower[i])
				return PT_INVALID;
		if (borrower[i] == lender)
			return PT_INVALID;
	}
	return PT_OK;
}

enum pt_outcome own_lend(struct own *o, unsigned lender, const uint8_t *borrower,
			 uint32_t borrowers, uint64_t pages, bool zero, uint64_t *handle)
{
	enum pt_outcome outcome = may_lend(o, lender);
	unsigned i = 0;

	if (!pages || !borrowers || borrowers > OWN_BORROWERS)
		return PT_INVALID;
	if (outcome == PT_OK)
		outcome = check_borrowers(o, lender, borrower, borrowers);
	if (outcome != PT_OK)
		return outcome;
	while (i < OWN_LENDINGS && o->lending[i].handle)
		i++;
	if (i == OWN_LENDINGS)
		return PT_BUSY;
	o->lending[i] = (struct own_lending){.handle = ++o->handles,
					     .open = true,
					     .zero = zero,
					     .lender = lender == OWN_GUESTS ? OWN_HOST : OWN_GUEST,
					     .guest = lender == OWN_GUESTS ? 0 : (uint8_t)lender,
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

static enum pt_outcome check_piece(const struct own *o, const struct own_lending *l,
				   const struct own_piece *p)
{
	if (l->lender == OWN_HOST)
		return each(o, p->first, p->pages, hosts_alone);
	return each_cell(o, l->guest, p->first, p->pages, own_alone);
}

/* The last piece makes it a lending; all of them are looked at then. */
static enum pt_outcome complete(struct own *o, struct own_lending *l)
{
	enum pt_outcome outcome = PT_OK;

	for (uint32_t i = 0; outcome == PT_OK && i < l->pieces; i++)
		outcome = check_piece(o, l, &l->piece[i]);
	if (outcome != PT_OK) {
		forget(l);
		return outcome;
	}
	l->open = false;
	mark_lent(o, l, true);
	return PT_OK;
}

enum pt_outcome own_lend_piece(struct own *o, unsigned lender, uint64_t handle, uint64_t first,
			       uint64_t n)
{
	struct own_lending *l = lending_of(o, handle);
	enum pt_outcome outcome;

	if (!l)
		return PT_NOT_FOUND;
	if (!is_lender(l, lender))
		return PT_WRONG_OWNER;
	if (!l->open)
		return PT_WRONG_STATE;
	outcome = range(first, n, l->lender == OWN_HOST ? o->frames : o->gfns);
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

	if (!l)
		return PT_NOT_FOUND;
	if (!l->open)
		return PT_WRONG_STATE;
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

enum pt_outcome own_retrieve(struct own *o, unsigned guest, uint64_t handle, uint64_t gfn)
{
	enum pt_outcome outcome = alive(o, guest);
	struct own_lending *l = lending_of(o, handle);
	int b;

	if (outcome != PT_OK)
		return outcome;
	if (!l)
		return PT_NOT_FOUND;
	b = borrower_of(l, guest);
	if (b < 0)
		return PT_WRONG_OWNER;
	if (l->open || l->borrower[b].has ||
	    (l->lender == OWN_GUEST && o->guest[l->guest].life != OWN_LIVE))
		return PT_WRONG_STATE;
	outcome = each_cell(o, guest, gfn, l->pages, vacant);
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
	if (l->open || anyone_has(l) || l->lender != OWN_GUEST ||
	    o->guest[l->guest].life != OWN_DYING)
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
	enum pt_outcome outcome = alive(o, guest);
	struct own_lending *l = lending_of(o, handle);
	int b;

	if (outcome != PT_OK)
		return outcome;
	if (!l)
		return PT_NOT_FOUND;
	b = borrower_of(l, guest);
	if (b < 0)
		return PT_WRONG_OWNER;
	if (!l->borrower[b].has)
		return PT_WRONG_STATE;
	give_up(o, l, (unsigned)b);
	return PT_OK;
}

enum pt_outcome own_lend_reclaim(struct own *o, unsigned lender, uint64_t handle)
{
	enum pt_outcome outcome = may_lend(o, lender);
	struct own_lending *l = lending_of(o, handle);

	if (outcome != PT_OK)
		return outcome;
	if (!l)
		return PT_NOT_FOUND;
	if (!is_lender(l, lender))
		return PT_WRONG_OWNER;
	if (l->open)
		return PT_WRONG_STATE;
	if (anyone_has(l))
		return PT_BUSY;
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
	if (guest >= OWN_GUESTS || o->guest[guest].life == OWN_NONE)
		return PT_NOT_FOUND;
	if (o->guest[guest].life != OWN_RESERVED)
		return PT_WRONG_STATE;
	o->guest[guest].life = OWN_LIVE;
	o->guest[guest].protected = protected;
	return PT_OK;
}

enum pt_outcome own_top_up(struct own *o, unsigned guest, uint64_t frame, uint64_t n)
{
	enum pt_outcome outcome = range(frame, n, o->frames);

	if (outcome != PT_OK)
		return outcome;
	if (guest >= OWN_GUESTS || o->guest[guest].life == OWN_NONE)
		return PT_NOT_FOUND;
	if (o->guest[guest].life == OWN_DYING)
		return PT_WRONG_STATE;
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
		if (l->open && is_lender(l, guest)) {
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

	if (outcome != PT_OK)
		return outcome;
	if (guest >= OWN_GUESTS || o->guest[guest].life == OWN_NONE)
		return PT_NOT_FOUND;
	if (o->guest[guest].life != OWN_DYING)
		return PT_WRONG_STATE;
	for (uint64_t i = gfn; i < gfn + n; i++)
		if (o->guest[guest].map[i].state == OWN_LENT)
			return PT_BUSY;
	for (uint64_t i = gfn; i < gfn + n; i++) {
		struct own_cell *c = &o->guest[guest].map[i];

		if (c->state == OWN_SHARED_BORROWED) {
			unshare_one(o, guest, i);
			continue;
		}
		if (c->state == OWN_OWNED || c->state == OWN_SHARED_OWNED)
			to_host(frame_of(o, guest, i), c->state == OWN_OWNED);
		clear_cell(c);
	}
	return PT_OK;
}

static bool lends(const struct own *o, unsigned guest)
{
	for (unsigned i = 0; i < OWN_LENDINGS; i++)
		if (o->lending[i].handle && o->lending[i].lender == OWN_GUEST &&
		    o->lending[i].guest == guest)
			return true;
	return false;
}

enum pt_outcome own_finalize(struct own *o, unsigned guest)
{
	struct own_guest *g;

	if (guest >= OWN_GUESTS || o->guest[guest].life == OWN_NONE)
		return PT_NOT_FOUND;
	g = &o->guest[guest];
	if (g->life == OWN_LIVE)
		return PT_WRONG_STATE;
	if (lends(o, guest))
		return PT_BUSY;
	for (uint64_t i = 0; i < o->gfns; i++)
		if (g->map[i].state != OWN_NOPAGE)
			return PT_WRONG_STATE;
	for (uint64_t i = 0; i < o->frames; i++)
		if (o->frame[i].kind == OWN_TABLE && o->frame[i].guest == guest)
			to_host(&o->frame[i], true);
	/* Its logs end with it. */
	for (uint64_t i = 0; i < o->gfns; i++)
		g->map[i].logged = false;
	g->life = OWN_NONE;
	g->protected = false;
	g->tables = 0;
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

/* One private owner, and exactly the borrowers that are counted. */
static const char *unsound_frame(const struct own *o, uint64_t frame)
{
	const struct own_frame *f = &o->frame[frame];
	uint32_t owners = 0, shares = 0, lent = 0, back = 0;

	for (unsigned g = 0; g < OWN_GUESTS; g++)
		for (uint64_t i = 0; i < o->gfns; i++) {
			const struct own_cell *c = &o->guest[g].map[i];

			if ((c->state > OWN_LENT_BORROWED && c->state != OWN_LENT) ||
			    c->frame != frame)
				continue;
			shares += c->state == OWN_SHARED_BORROWED;
			lent += c->state == OWN_LENT_BORROWED;
			back += c->state == OWN_SHARED_OWNED;
			if (c->state == OWN_SHARED_BORROWED || c->state == OWN_LENT_BORROWED)
				continue;
			owners++;
			if (f->owner != OWN_GUEST || f->guest != g || f->gfn != i)
				return "a guest's own page is recorded as somebody else's";
			if (c->state == OWN_LENT && !c->lending)
				return "a page is lent without a lending";
		}
	if (owners != (f->owner == OWN_GUEST))
		return "a frame has not one owner";
	if (shares != f->shares)
		return "shares are not counted";
	if ((f->host == OWN_SHARED_BORROWED) != (back == 1))
		return "the host borrows what no guest shares";
	if (f->pins && f->hyp != OWN_SHARED_BORROWED)
		return "a pin without a share";
	if (f->owner == OWN_HOST && lent && f->host != OWN_LENT)
		return "borrowed, and not lent";
	if ((f->owner == OWN_HYP) != (f->hyp == OWN_OWNED))
		return "hyp owns what it does not own";
	if (f->owner != OWN_HOST && f->host != OWN_NOPAGE && f->host != OWN_SHARED_BORROWED)
		return "the host has a frame of somebody else's";
	if (f->host == OWN_SHARED_OWNED &&
	    (f->hyp == OWN_SHARED_BORROWED) + f->third + (f->shares > 0) != 1)
		return "shared with nobody, or in two ways";
	return f->kind == OWN_TABLE && (shares || lent || owners) ? "a table is a guest's page"
								  : NULL;
}

const char *own_unsound(const struct own *o)
{
	for (uint64_t i = 0; i < o->frames; i++) {
		const char *why = unsound_frame(o, i);

		if (why)
			return why;
	}
	return NULL;
}
