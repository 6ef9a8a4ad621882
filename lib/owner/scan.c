/* SPDX-License-Identifier: BSD-2-Clause */
/* Which frames, or which guests, a request is about, as far as its address does not say. What is
 * found holds no longer than the section: it says what to claim, and is judged under the claims. */
#include "transition.h"

#include <pt/walk.h>

enum pt_page_state pt__page_at(struct pt_ctx *ctx, uint64_t ipa, uint64_t *pa, uint64_t *last)
{
	enum pt_page_state state;
	uint64_t mask;
	pt_pte entry;
	int level;

	if (pt_get_leaf(ctx, pt_ipa(ipa), &entry, &level) != PT_OK)
		return PT_PAGE_STATES;
	mask = pt_level_size(&ctx->geo, level) - 1;
	*last = ipa | mask;
	if (pt_pte_valid(entry))
		*pa = pt_pte_to_oa(&ctx->geo, entry).v + (ipa & mask);
	return pt_page_state_of_entry(entry, &state) == PT_OK ? state : PT_PAGE_STATES;
}

/* Lengthens the last run, or begins another. False: there is no room. */
static bool add(struct pt_transfer *t, uint32_t guest, uint64_t pa, uint64_t ipa, uint64_t size)
{
	struct pt_transfer_run *run = &t->list[t->runs ? t->runs - 1 : 0];

	if (t->runs && run->guest == guest && run->pa + run->size == pa &&
	    run->ipa + run->size == ipa) {
		run->size += size;
		return true;
	}
	if (t->runs == PT_TRANSFER_RUNS)
		return false;
	t->list[t->runs++] = (struct pt_transfer_run){pa, ipa, size, guest};
	return true;
}

/* The state that all pages have to be in. */
static bool wanted(const struct pt__row *row, enum pt_page_state state)
{
	switch (row->page) {
	case PT__PAGE_OWNED: return state == PT_PAGE_OWNED;
	case PT__PAGE_SHARED: return state == PT_PAGE_SHARED_OWNED;
	case PT__PAGE_BORROWED: return state == PT_PAGE_SHARED_BORROWED;
	default: return state == PT_PAGE_POISONED;
	}
}

static uint64_t within(uint64_t first, uint64_t last, uint64_t room)
{
	return last - first < room ? last - first + 1 : room;
}

/* No page is wanted from here on; RECLAIM_DYING goes on behind what it has. */
static enum pt_outcome cut(struct pt_transfer *t)
{
	t->partly = t->args.kind != PT_RECLAIM_DYING;
	t->span = t->partly ? t->args.size : t->at;
	return PT_OK;
}

/* The pages of a guest, from `done` on. */
static enum pt_outcome by_guest(struct pt_transfer *t, int64_t *left)
{
	struct pt_ctx *ctx = t->args.owners->guest[t->args.guest].ctx;

	while (t->done + t->at < t->args.size) {
		uint64_t ipa = t->args.ipa.v + t->done + t->at, pa = 0, last = ipa, n;
		enum pt_page_state state;

		if (*left <= 0)
			return PT_MORE;
		*left -= 4;
		state = pt__page_at(ctx, ipa, &pa, &last);
		n = within(ipa, last, t->args.size - t->done - t->at);
		if (t->args.kind == PT_RECLAIM_DYING && !t->at) {
			if (state == PT_PAGE_NOPAGE) {
				t->done += n;
				continue;
			}
			if (state == PT_PAGE_STATES)
				return PT_MORE; /* under break */
			t->row = pt__dying_row(state);
			if (!t->row)
				return pt__at_fault(t, PT_BUSY, t->done); /* LENT */
		}
		if (!wanted(t->row, state))
			return cut(t);
		if (state != PT_PAGE_POISONED && !add(t, t->args.guest, pa, ipa, n)) {
			if (t->args.kind == PT_RECLAIM_DYING)
				return cut(t);
			return pt__at_fault(t, PT_TOO_LARGE, t->at);
		}
		t->at += n;
	}
	t->span = t->at;
	return PT_OK;
}

static bool hold(struct pt_transfer *t, uint32_t guest)
{
	for (uint32_t i = 0; i < t->held; i++)
		if (t->holds[i] == guest)
			return true;
	if (t->held == PT_PARTIES - 1 || pt__guest_enter(t->args.owners, guest) != PT_OK)
		return false;
	t->holds[t->held++] = guest;
	return true;
}

/* The guests that have frames of the host's memory. */
static enum pt_outcome by_owner(struct pt_transfer *t, int64_t *left)
{
	struct pt_machine_owners *o = t->args.owners;

	t->span = t->args.size;
	while (t->at < t->args.size) {
		uint64_t pa = t->args.pa + t->at, n;
		struct pt_extent e;

		if (*left <= 0)
			return PT_MORE;
		*left -= 16;
		if (pt_extents_find(&o->extents, pa >> PT_OWNER_SHIFT, &e) != PT_OK ||
		    e.owner.kind != PT_OWNER_GUEST || e.owner.handle >= o->guests) {
			t->partly = true;
			return PT_OK;
		}
		if (!hold(t, e.owner.handle)) {
			if (t->held == PT_PARTIES - 1)
				return pt__at_fault(t, PT_TOO_LARGE, t->at);
			t->partly = true;
			return PT_OK;
		}
		n = within(pa, (e.end << PT_OWNER_SHIFT) - 1, t->args.size - t->at);
		if (!add(t, e.owner.handle, pa,
			 (e.owner.gfn << PT_OWNER_SHIFT) + pa - (e.start << PT_OWNER_SHIFT), n))
			return pt__at_fault(t, PT_TOO_LARGE, t->at);
		t->at += n;
	}
	return PT_OK;
}

enum pt_outcome pt__scan(struct pt_transfer *t, int64_t *left)
{
	switch (t->row->by) {
	case PT__BY_GUEST: return by_guest(t, left);
	case PT__BY_OWNER: return by_owner(t, left);
	case PT__BY_BOTH: add(t, t->args.guest, t->args.pa, t->args.ipa.v, t->args.size); break;
	default: add(t, PT_NO_GUEST, t->args.pa, 0, t->args.size);
	}
	t->span = t->args.size;
	return PT_OK;
}
