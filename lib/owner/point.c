/* SPDX-License-Identifier: BSD-2-Clause */
/* A transition of one frame, all in one section. */
#include "transition.h"

#include "../txn/legs.h"
#include "../txn/page_leg.h"

/*
 * It is the transaction that transfer.c would run, with the same claims, rows, books and order
 * (docs/ownership.md, "The order of events"), where that waits for nobody: no claim is in the way,
 * no other agent is in a section, no table is missing and nothing has to be split. Whatever is not
 * so, or not right, is seen before anything has changed, and is transfer.c's to deal with, or to
 * refuse.
 *
 * Exchanges of single entries beside everything else, as in lib/txn/point.c, would not do: a map
 * asks whose the frame is and then writes (lib/txn/policy.c), in a section that a transition has to
 * wait for, or keep off by a claim.
 */

/* Some access in flight may use what the transition takes away. */
static bool has_to_wait(const struct pt_transfer *t, const struct pt_agent *agent,
			const struct pt__single *page)
{
	bool takes = false;

	for (uint32_t i = 0; i < t->items; i++)
		takes |= pt_pte_valid(page[i].old) && !pt_pte_valid(page[i].new);
	return takes && pt_item_needs_grace(t->args.owners->host->machine, agent);
}

static bool fits(const struct pt_transfer *t)
{
	const struct pt_machine_owners *o = t->args.owners;
	const struct pt_transfer_run *run = &t->list[0];

	/* Lendings, and guests' table pages, have more books. */
	if (t->lend || t->args.kind >= PT_RECLAIM_DYING || t->runs != 1 || t->partly ||
	    t->args.validate_only || t->size != pt__frame_bytes(o) || t->row->by == PT__BY_OWNER ||
	    o->host->geo.granule_shift != o->frames.frame_shift)
		return false;
	return run->guest == PT_NO_GUEST ||
	       o->guest[run->guest].ctx->geo.granule_shift == o->frames.frame_shift;
}

static void set_up(struct pt_transfer *t)
{
	const struct pt_transfer_args *a = &t->args;

	t->turn = 0;
	pt__make(t);
	t->parties.args = (struct pt_parties_args){
		.item = t->item,
		.count = t->items,
		.expected_generation = a->expected_generation,
		.expected = a->expected_generation ? a->owners->host : NULL,
		.wake = a->wake,
	};
}

/* May a guest have an entry for the frame at all? (By the request: it names both.) */
static bool has_room(const struct pt_transfer *t)
{
	const struct pt_transfer_run *run = &t->list[0];

	return t->row->by != PT__BY_BOTH ||
	       pt_geometry_check_output(&t->args.owners->guest[run->guest].ctx->geo, pt_pa(run->pa),
					run->size) == PT_OK;
}

static bool find(struct pt_transfer *t, struct pt__single *page)
{
	for (uint32_t i = 0; i < t->items; i++)
		if (!pt__single_find(&t->item[i], &page[i]))
			return false;
	return true;
}

/* What the guest has at the address: host and guest have an item each. */
static pt_pte guest_entry(const struct pt_transfer *t, const struct pt__single *page)
{
	return t->items == 1 ? 0 : page[t->host_first ? 0 : 1].old;
}

/* From here on it completes. */
static void carry_out(struct pt_transfer *t, struct pt_agent *agent, const struct pt__single *page,
		      struct pt__book *book)
{
	for (uint32_t i = 0; i <= t->items; i++) {
		if (i == t->books) {
			pt__book_keep(t, agent, book);
			pt__tell(t, true);
		}
		if (i < t->items)
			pt__single_write(&page[i], &t->parties.leg[i].effects);
	}
}

/* Under the claims. */
static bool run(struct pt_transfer *t, struct pt_agent *agent, struct pt__book *book)
{
	struct pt__single page[2];
	bool done = false;

	if (!find(t, page) || has_to_wait(t, agent, page))
		return false;
	book->was = pt_frame_record(pt__get(book->record.word));
	if (!pt__judge_one(t, book->was, guest_entry(t, page)) ||
	    pt__book_reserve(t, agent, book) != PT_OK)
		return false;
	pt__tell(t, false);
	done = pt__at_once_commit(&t->parties);
	if (done)
		carry_out(t, agent, page, book);
	else
		pt__book_drop(t, agent, book);
	return done;
}

bool pt__transfer_page(struct pt_transfer *t, struct pt_agent *agent)
{
	struct pt_frames *frames = &t->args.owners->frames;
	struct pt__book book;
	bool done;

	if (!fits(t) || !has_room(t) || !pt__record_hold(frames, t->list[0].pa, &book.record))
		return false;
	set_up(t);
	done = pt__at_once_begin(&t->parties, agent);
	if (done) {
		done = run(t, agent, &book);
		pt__at_once_end(&t->parties, done);
	}
	pt__record_let_go(frames, agent, &book.record);
	if (done)
		pt_effects_add(&t->effects, &t->parties.effects);
	return done;
}
