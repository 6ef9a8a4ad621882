/* SPDX-License-Identifier: BSD-2-Clause */
/* The items of a transition: what its runs come to in the tables of host and guests, in the order
 * of addresses that a transaction demands. */
#include <pt/lending.h>

#include "transition.h"

static pt_pte note(const struct pt_note *note)
{
	pt_pte entry = 0;

	/* Cannot fail: handles have 16 or 56 bits, and addresses of a guest 52. */
	pt_note_encode(note, &entry);
	return entry;
}

static pt_pte lent(const struct pt_transfer *t)
{
	return note(&(struct pt_note){.type = PT_NOTE_LENT, .lending = t->lend->handle});
}

static pt_pte donated(struct pt_owner owner)
{
	return note(&(struct pt_note){.type = PT_NOTE_DONATION, .owner = owner});
}

static struct pt_item *push(struct pt_transfer *t, struct pt_ctx *ctx, enum pt_item_kind kind,
			    uint64_t ipa, uint64_t size)
{
	struct pt_item *item = &t->item[t->items++];

	*item = (struct pt_item){.ctx = ctx, .ipa = {ipa}, .size = size, .kind = kind};
	return item;
}

/* The host has this run, or has it no longer. */
static void push_host(struct pt_transfer *t, const struct pt_transfer_run *run)
{
	struct pt_ctx *host = t->args.owners->host;
	struct pt_item *item;

	switch (t->row->host_entry) {
	case PT__ENTRY_EMPTY: push(t, host, PT_ITEM_UNMAP, run->pa, run->size); break;
	case PT__ENTRY_MAPPED:
		item = push(t, host, PT_ITEM_MAP, run->pa, run->size);
		item->pa = pt_pa(run->pa);
		item->prot = PT_PROT_RWX;
		item->flags = PT_MAP_REPLACE;
		break;
	case PT__ENTRY_NOTED:
		item = push(t, host, PT_ITEM_ANNOTATE, run->pa, run->size);
		if (t->row->host_to == PT_PAGE_LENT) {
			item->pa = pt_pa(lent(t));
			break;
		}
		if (t->row->hyp_to == PT_PAGE_OWNED) {
			item->pa = pt_pa(donated((struct pt_owner){.kind = PT_OWNER_HYP}));
			break;
		}
		item->pa = pt_pa(donated((struct pt_owner){PT_OWNER_GUEST, (uint16_t)run->guest,
							   run->ipa >> PT_OWNER_SHIFT}));
		item->prot = 1u << (host->geo.granule_shift - PT_OWNER_SHIFT);
		item->flags = PT_ITEM_OWNER;
		break;
	default: push(t, host, PT_ITEM_HOLD, run->pa, run->size)->flags = PT_ITEM_OWNER; break;
	}
}

static void push_guest(struct pt_transfer *t, const struct pt_transfer_run *run)
{
	struct pt_ctx *ctx = t->args.owners->guest[run->guest].ctx;
	uint32_t state = pt_page_state_prot((enum pt_page_state)t->row->page_to);
	struct pt_item *item;

	switch (t->row->guest_entry) {
	case PT__ENTRY_EMPTY: push(t, ctx, PT_ITEM_UNMAP, run->ipa, run->size); break;
	case PT__ENTRY_NOTED:
		push(t, ctx, PT_ITEM_ANNOTATE, run->ipa, run->size)->pa =
			pt_pa(t->row->page_to == PT_PAGE_LENT
				      ? lent(t)
				      : note(&(struct pt_note){.type = PT_NOTE_POISONED}));
		break;
	case PT__ENTRY_MAPPED:
		item = push(t, ctx, PT_ITEM_MAP, run->ipa, run->size);
		item->pa = pt_pa(run->pa);
		item->prot = (t->args.kind == PT_SHARE_GUEST ? run->prot : PT_PROT_RWX) | state;
		item->flags = PT_ITEM_OWNER;
		if (t->row->page == PT__PAGE_LENT) /* there is an annotation */
			item->flags |= PT_MAP_REPLACE;
		break;
	default:
		item = push(t, ctx, PT_ITEM_SET_SW, run->ipa, run->size);
		item->prot = state;
		item->flags = PT_ITEM_OWNER;
		break;
	}
}

/* The last of the host's items, if some of its frames are in this run, too. */
static struct pt_item *meets(struct pt_transfer *t, const struct pt_transfer_run *run)
{
	struct pt_item *last;

	if (t->items == t->host_first || t->row->host_entry != PT__ENTRY_STAYS)
		return NULL;
	last = &t->item[t->items - 1];
	return last->ipa.v + last->size > run->pa ? last : NULL;
}

/* A range as a run; of one that is gone over in parts, what is at hand. */
static struct pt_transfer_run whole(const struct pt_transfer *t, uint32_t i)
{
	struct pt_transfer_range r = pt__range(t, i);

	if (t->args.kind == PT_RECLAIM_DYING)
		return (struct pt_transfer_run){0, r.ipa.v + t->done, t->span, r.guest, 0};
	return (struct pt_transfer_run){r.pa, r.ipa.v, r.size, r.guest, r.prot};
}

static bool before(const struct pt_transfer_run *a, const struct pt_transfer_run *b, bool guests)
{
	if (!guests)
		return a->pa < b->pa;
	return a->guest != b->guest ? a->guest < b->guest : a->ipa < b->ipa;
}

/* `n` runs by address, that of the guests or the host's. */
static void sort(const struct pt_transfer_run *run, uint32_t n, uint8_t *order, bool guests)
{
	order[0] = 0;
	for (uint32_t i = 1; i < n; i++) {
		uint32_t at = i;

		for (; at && before(&run[i], &run[order[at - 1]], guests); at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)i;
	}
}

/* The ranges as they stand in the request. */
static uint32_t sort_whole(const struct pt_transfer *t, struct pt_transfer_run *run, uint8_t *order,
			   bool guests)
{
	for (uint32_t i = 0; i < pt__ranges(t); i++)
		run[i] = whole(t, i);
	sort(run, pt__ranges(t), order, guests);
	return pt__ranges(t);
}

/* Only the claims: to be refused, or looked at again. */
static void hold_whole(struct pt_transfer *t)
{
	struct pt_transfer_run run[PT_TRANSFER_RUNS];
	uint8_t order[PT_TRANSFER_RUNS];
	uint32_t n = sort_whole(t, run, order, false);

	for (uint32_t i = 0; i < n; i++)
		push(t, t->args.owners->host, PT_ITEM_HOLD, run[order[i]].pa, run[order[i]].size)
			->flags = PT_ITEM_OWNER;
}

/* By frame. Guests may borrow a frame at several addresses: then its claim is one. */
static void host_items(struct pt_transfer *t)
{
	uint8_t order[PT_TRANSFER_RUNS];

	t->host_first = t->items;
	t->overlap = false;
	if (t->row->by == PT__BY_OWNER && t->partly) {
		hold_whole(t);
		return;
	}
	sort(t->list, t->runs, order, false);
	for (uint32_t i = 0; i < t->runs; i++) {
		const struct pt_transfer_run *run = &t->list[order[i]];
		struct pt_item *last = meets(t, run);

		if (last) {
			if (run->pa + run->size > last->ipa.v + last->size)
				last->size = run->pa + run->size - last->ipa.v;
			t->overlap = true;
			continue;
		}
		t->run_of[t->items - t->host_first] = order[i];
		push_host(t, run);
	}
	t->host_items = t->items - t->host_first;
}

/* By guest and address. Those whose own addresses name the ranges are asked for all of them. */
static void guest_items(struct pt_transfer *t)
{
	struct pt_transfer_run run[PT_TRANSFER_RUNS];
	const struct pt_transfer_run *list = t->list;
	uint8_t order[PT_TRANSFER_RUNS];
	uint32_t n = t->runs;

	if (t->row->by == PT__BY_GUEST) {
		n = sort_whole(t, run, order, true);
		list = run;
	} else {
		sort(list, n, order, true);
	}
	for (uint32_t i = 0; i < n; i++)
		push_guest(t, &list[order[i]]);
}

/* How many contexts have items before `until`. */
static uint32_t parties(const struct pt_transfer *t, uint32_t until)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < until; i++)
		n += !i || t->item[i].ctx != t->item[i - 1].ctx;
	return n;
}

static void make(struct pt_transfer *t)
{
	bool guests = t->row->guest_entry != PT__ENTRY_NONE;
	uint32_t gave = 0;

	t->items = t->host_items = 0;
	if (guests && t->row->guest_gives) {
		guest_items(t);
		gave = t->items;
	}
	host_items(t);
	if (guests && !t->row->guest_gives) {
		gave = t->items;
		guest_items(t);
	}
	if (!guests)
		gave = t->row->books_before ? 0 : t->items;
	t->books = parties(t, gave);
}

enum pt_outcome pt__make_items(struct pt_transfer *t)
{
	make(t);
	for (uint32_t i = 0; i < t->items; i++) {
		enum pt_outcome outcome = pt_item_check_owner(&t->item[i]);

		if (outcome != PT_OK)
			return pt__at_fault(t, outcome, t->done);
	}
	return PT_OK;
}
