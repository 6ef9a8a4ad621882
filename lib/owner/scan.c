/* SPDX-License-Identifier: BSD-2-Clause */
/* Which frames, or which guests, a request is about, as far as its address does not say. What is
 * found holds no longer than the section: it says what to claim, and is judged under the claims. */
#include "transition.h"

#include "../walk/inline.h"

#define ENTRIES 512u /* that a look at most goes over, in tables of the smallest granule */

/* How many entries of this table say the same, from the one at `at` on: a leaf's lead to memory in
 * one piece. */
static uint64_t alike(const struct pt__at *at, uint64_t most)
{
	uint64_t step = pt_pte_valid(at->entry) ? UINT64_C(1) << at->shift : 0, n = 1;

	while (n < most && pt_pte_load(at->slot + n) == at->entry + n * step)
		n++;
	return n;
}

enum pt_page_state pt__page_at(struct pt_ctx *ctx, uint64_t ipa, uint64_t *pa, uint64_t *last)
{
	uint64_t asked = *last, mask, most;
	enum pt_page_state state;
	struct pt__at at;

	pt__descend(ctx, ipa, PT_LEVEL_LAST, ctx->geo.granule_shift, &at);
	if (pt_pte_is_table(at.entry, at.level))
		return PT_PAGE_STATES;
	mask = (UINT64_C(1) << at.shift) - 1;
	*last = ipa | mask;
	if (pt_pte_valid(at.entry))
		*pa = pt_pte_to_oa(&ctx->geo, at.entry).v + (ipa & mask);
	if (pt_page_state_of_entry(at.entry, &state) != PT_OK)
		return PT_PAGE_STATES;
	if (at.level != PT_LEVEL_LAST || asked <= *last)
		return state;
	most = pt_table_entries(&ctx->geo) - at.index % pt_table_entries(&ctx->geo);
	if (most > ((asked - (ipa & ~mask)) >> at.shift) + 1)
		most = ((asked - (ipa & ~mask)) >> at.shift) + 1;
	*last += (alike(&at, most) - 1) << at.shift;
	return state;
}

/* Lengthens the last run, or begins another. False: there is no room. */
static bool add(struct pt_transfer *t, const struct pt_transfer_run *run)
{
	struct pt_transfer_run *last = &t->list[t->runs ? t->runs - 1 : 0];

	if (t->runs && last->guest == run->guest && last->prot == run->prot &&
	    last->pa + last->size == run->pa && last->ipa + last->size == run->ipa) {
		last->size += run->size;
		return true;
	}
	if (t->runs == PT_TRANSFER_RUNS)
		return false;
	t->list[t->runs++] = *run;
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
	t->span = t->partly ? t->size : t->at;
	return PT_OK;
}

/* The pages of guests, from `done` on. */
static enum pt_outcome by_guest(struct pt_transfer *t, int64_t *left)
{
	while (t->done + t->at < t->size) {
		enum pt_page_state state;
		struct pt_transfer_range r;
		uint64_t pa = 0, last, n;

		if (*left <= 0)
			return PT_MORE;
		pt__range_at(t, t->done + t->at, &r);
		last = r.ipa.v + r.size - 1;
		state = pt__page_at(t->args.owners->guest[r.guest].ctx, r.ipa.v, &pa, &last);
		n = within(r.ipa.v, last, r.size);
		*left -= 4 + (int64_t)within(0, n >> t->args.owners->frames.frame_shift, ENTRIES);
		if (t->args.kind == PT_RECLAIM_DYING && !t->at) {
			if (state == PT_PAGE_NOPAGE) {
				t->done += n;
				continue;
			}
			if (state == PT_PAGE_STATES)
				return PT_MORE;	   /* under break */
			if (!pt__dying_row(state)) /* LENT, or not relinquished yet */
				return pt__at_fault(t, PT_BUSY, t->done);
			t->row = pt__dying_row(state);
		}
		if (!wanted(t->row, state))
			return cut(t);
		if (state != PT_PAGE_POISONED &&
		    !add(t, &(struct pt_transfer_run){pa, r.ipa.v, n, r.guest, 0})) {
			if (t->args.kind == PT_RECLAIM_DYING)
				return cut(t);
			return pt__at_fault(t, PT_TOO_LARGE, t->at);
		}
		t->at += n;
	}
	t->span = t->at;
	return PT_OK;
}

/* The guests that have frames of the host's memory. */
static enum pt_outcome by_owner(struct pt_transfer *t, int64_t *left)
{
	struct pt_machine_owners *o = t->args.owners;

	t->span = t->size;
	while (t->at < t->size) {
		struct pt_transfer_run run = {0};
		struct pt_transfer_range r;
		enum pt_outcome held;
		struct pt_extent e;

		if (*left <= 0)
			return PT_MORE;
		*left -= 16;
		pt__range_at(t, t->at, &r);
		if (pt_extents_find(&o->extents, r.pa >> PT_OWNER_SHIFT, &e) != PT_OK ||
		    e.owner.kind != PT_OWNER_GUEST || e.owner.handle >= o->guests) {
			t->partly = true;
			return PT_OK;
		}
		held = pt__hold(t, e.owner.handle);
		if (held == PT_TOO_LARGE)
			return pt__at_fault(t, PT_TOO_LARGE, t->at);
		t->partly = held != PT_OK;
		if (t->partly)
			return PT_OK;
		run.pa = r.pa;
		run.ipa = (e.owner.gfn << PT_OWNER_SHIFT) + r.pa - (e.start << PT_OWNER_SHIFT);
		run.size = within(r.pa, (e.end << PT_OWNER_SHIFT) - 1, r.size);
		run.guest = e.owner.handle;
		if (!add(t, &run))
			return pt__at_fault(t, PT_TOO_LARGE, t->at);
		t->at += run.size;
	}
	return PT_OK;
}

/* The request says all. */
static enum pt_outcome as_asked(struct pt_transfer *t)
{
	bool both = t->row->by == PT__BY_BOTH, names = both || t->row->account;

	for (uint32_t i = 0; i < pt__ranges(t); i++) {
		struct pt_transfer_range r = pt__range(t, i);

		/* There is room: no more ranges than runs. */
		add(t, &(struct pt_transfer_run){r.pa, both ? r.ipa.v : 0, r.size,
						 names ? r.guest : PT_NO_GUEST, r.prot});
	}
	t->span = t->size;
	return PT_OK;
}

enum pt_outcome pt__scan(struct pt_transfer *t, int64_t *left)
{
	switch (t->row->by) {
	case PT__BY_GUEST: return by_guest(t, left);
	case PT__BY_OWNER: return by_owner(t, left);
	case PT__BY_TABLES: return pt__scan_tables(t, left);
	default: return as_asked(t);
	}
}
