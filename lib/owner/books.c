/* SPDX-License-Identifier: BSD-2-Clause */
/* The books of a transition: records and extents of its frames are reserved, written, and what was
 * reserved goes back. All goes along the host's items, in which each frame is once. */
#include <pt/lending.h>

#include "transition.h"

/* Frames in one go: a page of records, or of what one call wipes. */
#define CHUNK_FRAMES UINT64_C(512)
#define WIPE_COST    64 /* bytes that are wiped for a descriptor visit */
#define EXTENT_COST  8	/* and the pages of a change of the index */

static void rewind(struct pt_transfer *t)
{
	t->turn = 0;
	t->at = 0;
	t->groups = 0;
	t->grouped = false;
}

/* A part of a host's item. */
struct part {
	uint64_t pa, size;
};

/* The next part, of at most `most` bytes, that crosses no page of records. False: all are through.
 */
static bool next_part(const struct pt_transfer *t, uint64_t most, struct part *part)
{
	uint64_t page = CHUNK_FRAMES << t->args.owners->frames.frame_shift, room;
	const struct pt_item *item;

	if (t->turn == t->host_items)
		return false;
	item = pt__host_item(t, t->turn);
	part->pa = item->ipa.v + t->at;
	part->size = item->size - t->at;
	room = page - (part->pa & (page - 1));
	if (part->size > room)
		part->size = room;
	if (part->size > most)
		part->size = most;
	return true;
}

static void pass(struct pt_transfer *t, uint64_t size)
{
	t->at += size;
	if (t->at < pt__host_item(t, t->turn)->size)
		return;
	t->turn++;
	t->at = 0;
}

/* In how many runs is this frame? */
static uint32_t times(const struct pt_transfer *t, uint64_t pa)
{
	uint32_t n = 0;

	if (!t->overlap)
		return 1;
	for (uint32_t i = 0; i < t->runs; i++)
		n += pa - t->list[i].pa < t->list[i].size;
	return n;
}

/* What frames side by side are, and what they become. */
struct change {
	struct pt_frame_record was, now;
	uint64_t size;
};

static struct change change_at(const struct pt_transfer *t, uint64_t pa, uint64_t end)
{
	uint64_t frame = pt__frame_bytes(t->args.owners);
	struct change c;

	c.size =
		pt_frames_alike(&t->args.owners->frames, pa, t->overlap ? pa + frame : end, &c.was);
	c.now = pt__after(t->row, c.was, times(t, pa));
	return c;
}

/* What the index says of a frame afterwards. */
static struct pt_extent extent_of(const struct pt_transfer *t, uint64_t pa,
				  struct pt_frame_record now)
{
	const struct pt_transfer_run *run = &t->list[t->run_of[t->turn]];
	struct pt_extent e = {.start = pa >> PT_OWNER_SHIFT, .id = t->args.id};

	if (now.hyp == PT_PAGE_OWNED) {
		e.owner.kind = PT_OWNER_HYP;
		e.meta = now.table ? pt__tables_meta(run->guest) : 0;
	} else if (now.host == PT_PAGE_NOPAGE || now.host == PT_PAGE_SHARED_BORROWED) {
		e.owner = (struct pt_owner){PT_OWNER_GUEST, (uint16_t)run->guest,
					    (run->ipa + pa - run->pa) >> PT_OWNER_SHIFT};
		e.state = now.host == PT_PAGE_NOPAGE ? PT_PAGE_OWNED : PT_PAGE_SHARED_OWNED;
		if (t->row->page_to == PT_PAGE_LENT)
			e.state = PT_PAGE_LENT;
	} else {
		e.state = now.host;
		e.id = now.host == PT_PAGE_OWNED ? 0 : t->args.id;
	}
	if (e.state == PT_PAGE_LENT)
		e.meta = t->lend->handle;
	return e;
}

/* Does the frame become the same as those of the group, behind which it lies? */
static bool goes_on(const struct pt_transfer *t, const struct pt_extent *e)
{
	const struct pt_extent *g = &t->group;

	if (!t->grouped || g->end != e->start || g->owner.kind != e->owner.kind ||
	    g->state != e->state || g->id != e->id || g->meta != e->meta)
		return false;
	return e->owner.kind != PT_OWNER_GUEST ||
	       (g->owner.handle == e->owner.handle &&
		g->owner.gfn + (g->end - g->start) == e->owner.gfn);
}

/* The index changes where the host's or hyp's state does, or the row says so. */
static bool is_indexed(const struct pt_transfer *t, const struct change *c)
{
	return c->was.host != c->now.host || c->was.hyp != c->now.hyp || t->row->relabels;
}

/* Brings frames into the group, or begins another. True: they begin one. */
static bool group(struct pt_transfer *t, uint64_t pa, const struct change *c)
{
	uint64_t units = c->size >> PT_OWNER_SHIFT;
	struct pt_extent e;

	if (!is_indexed(t, c)) {
		t->grouped = false;
		return false;
	}
	e = extent_of(t, pa, c->now);
	if (goes_on(t, &e)) {
		t->group.end += units;
		return false;
	}
	t->group = e;
	t->group.end = e.start + units;
	t->grouped = true;
	return true;
}

static void count_groups(struct pt_transfer *t, const struct part *part)
{
	uint64_t end = part->pa + part->size;
	struct change c;

	for (uint64_t pa = part->pa; pa < end; pa += c.size) {
		c = change_at(t, pa, end);
		t->groups += group(t, pa, &c);
	}
}

/* Of so many changes of the index, those that are dealt with in one go. */
static uint32_t some(uint32_t changes)
{
	return changes < PT_EXTENT_SETS ? changes : PT_EXTENT_SETS;
}

static enum pt_outcome reserve_extents(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	while (t->extents < t->groups) {
		uint32_t n = some(t->groups - t->extents);
		enum pt_outcome outcome;

		if (*left <= 0)
			return PT_MORE;
		outcome = pt_extents_reserve(&t->args.owners->extents, agent, n);
		if (outcome != PT_OK)
			return outcome;
		t->extents += n;
		*left -= EXTENT_COST * n;
	}
	return PT_OK;
}

static bool is_kept(const struct pt_transfer *t)
{
	return t->turn < t->kept_item || (t->turn == t->kept_item && t->at < t->kept_at);
}

static enum pt_outcome reserve_part(struct pt_transfer *t, struct pt_agent *agent,
				    const struct part *part)
{
	enum pt_outcome outcome;

	count_groups(t, part);
	if (is_kept(t))
		return PT_OK;
	outcome = pt_frames_reserve(&t->args.owners->frames, agent, part->pa, part->size);
	if (outcome != PT_OK)
		return outcome;
	t->kept_item = t->turn;
	t->kept_at = t->at + part->size;
	return PT_OK;
}

/* Begins anew when the judge has been asked again; what is reserved stays so. */
enum pt_outcome pt__books_reserve(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	enum pt_outcome outcome;
	struct part part;

	if (!t->judged)
		rewind(t);
	t->judged = true;
	while (next_part(t, UINT64_MAX, &part)) {
		if (*left <= 0)
			return PT_MORE;
		outcome = reserve_part(t, agent, &part);
		if (outcome != PT_OK)
			return pt__at_fault(t, outcome, t->done);
		*left -= (int64_t)(part.size >> t->args.owners->frames.frame_shift);
		pass(t, part.size);
	}
	outcome = reserve_extents(t, agent, left);
	if (outcome == PT_OK)
		rewind(t);
	else if (outcome != PT_MORE)
		pt__at_fault(t, outcome, t->done);
	return outcome;
}

static bool reaches(struct pt_frame_record r)
{
	return r.hyp == PT_PAGE_OWNED || (r.hyp == PT_PAGE_SHARED_BORROWED && r.pins);
}

/* hyp reaches frames from now on, or no longer. */
static void tell_hyp(const struct pt_transfer *t, uint64_t pa, const struct change *c, bool gains)
{
	const struct pt_machine_owners *o = t->args.owners;

	if (o->hyp_reach && reaches(c->was) != reaches(c->now) && reaches(c->now) == gains)
		o->hyp_reach(o->arg, pa, c->size, gains);
}

static void take_from_hyp(const struct pt_transfer *t, const struct part *part)
{
	uint64_t end = part->pa + part->size;
	struct change c;

	for (uint64_t pa = part->pa; t->args.owners->hyp_reach && pa < end; pa += c.size) {
		c = change_at(t, pa, end);
		tell_hyp(t, pa, &c, false);
	}
}

static bool wipes(const struct pt_transfer *t)
{
	return t->row->wipe == PT__WIPE_ALWAYS || (t->row->wipe == PT__WIPE_ASKED && t->args.wipe);
}

static void wipe_part(const struct pt_machine_owners *o, uint64_t pa, uint64_t size)
{
	o->wipe(o->arg, pa, size);
	pt_port_dcache_clean_inval_poc(o->host->machine->port, pt_pa(pa), size);
	pt_port_note(PT_EVENT_WIPED, 0, o->host->machine, NULL, pa, pa + size - 1);
}

/* What the giving side had goes: hyp's access, and what the frames held. True: done. */
static bool wipe(struct pt_transfer *t, int64_t *left)
{
	const struct pt_machine_owners *o = t->args.owners;
	bool zero = wipes(t);
	struct part part;

	t->wiped |= !zero && !o->hyp_reach;
	while (!t->wiped && next_part(t, PT_WIPE_BYTES, &part)) {
		if (*left <= 0)
			return false;
		take_from_hyp(t, &part);
		if (zero)
			wipe_part(o, part.pa, part.size);
		*left -= (int64_t)(zero ? part.size / WIPE_COST
					: part.size >> o->frames.frame_shift);
		pass(t, part.size);
	}
	if (!t->wiped)
		rewind(t);
	t->wiped = true;
	return true;
}

/* Extents and records of a part. A group that goes on in the next part is entered as far as this
 * one goes, and then by itself: it adds nothing to the index any more. */
static void write_part(struct pt_transfer *t, struct pt_agent *agent, const struct part *part)
{
	struct pt_machine_owners *o = t->args.owners;
	uint64_t end = part->pa + part->size;
	struct change c;

	t->grouped = false;
	for (uint64_t pa = part->pa; pa < end; pa += c.size) {
		struct pt_extent before = t->group;
		bool was = t->grouped;

		c = change_at(t, pa, end);
		if ((group(t, pa, &c) || !t->grouped) && was)
			pt_extents_set(&o->extents, agent, &before);
		pt_frames_set(&o->frames, pa, c.size, c.now);
		if (c.was.table != c.now.table)
			pt__count_tables(t, t->list[t->run_of[t->turn]].guest, c.size, c.now.table);
		tell_hyp(t, pa, &c, true);
	}
	if (t->grouped)
		pt_extents_set(&o->extents, agent, &t->group);
}

bool pt__books_keep(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	struct part part;

	if (!wipe(t, left))
		return false;
	while (next_part(t, UINT64_MAX, &part)) {
		if (*left <= 0)
			return false;
		write_part(t, agent, &part);
		*left -= 2 * (int64_t)(part.size >> t->args.owners->frames.frame_shift);
		pass(t, part.size);
	}
	rewind(t);
	return true;
}

bool pt__books_settle(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	struct pt_machine_owners *o = t->args.owners;
	struct part part;

	while (t->extents) {
		uint32_t n = some(t->extents);

		if (*left <= 0)
			return false;
		pt_extents_release(&o->extents, agent, n);
		t->extents -= n;
		*left -= EXTENT_COST * n;
	}
	while (next_part(t, UINT64_MAX, &part) && is_kept(t)) {
		if (*left <= 0)
			return false;
		pt_frames_release(&o->frames, agent, part.pa, part.size);
		*left -= 8;
		pass(t, part.size);
	}
	return true;
}

bool pt__book_reserve(struct pt_transfer *t, struct pt_agent *agent, struct pt__book *book)
{
	struct pt_machine_owners *o = t->args.owners;
	struct change c = {.was = pt_frame_record(book->record.was)};
	struct pt_extent e;

	c.now = pt__after(t->row, c.was, 1);
	if (!pt__record_keep(&book->record, pt_frame_word(c.now)))
		return false;
	book->promised = false;
	if (!is_indexed(t, &c))
		return true;
	e = extent_of(t, book->pa, c.now);
	e.end = e.start + (pt__frame_bytes(o) >> PT_OWNER_SHIFT);
	if (pt__extents_try(&o->extents, &book->cursor, &e))
		return true;
	book->extent = e;
	book->promised = pt_extents_reserve(&o->extents, agent, 1) == PT_OK;
	if (book->promised)
		return true;
	pt__record_drop(&o->frames, agent, book->pa, &book->record);
	return false;
}

static void tell_hyp_of(const struct pt_transfer *t, const struct pt__book *book, bool gains)
{
	const struct pt_machine_owners *o = t->args.owners;

	if (o->hyp_reach)
		tell_hyp(t, book->pa,
			 &(struct change){pt_frame_record(book->record.was),
					  pt_frame_record(book->record.now), pt__frame_bytes(o)},
			 gains);
}

void pt__book_keep(struct pt_transfer *t, struct pt_agent *agent, const struct pt__book *book)
{
	struct pt_machine_owners *o = t->args.owners;

	tell_hyp_of(t, book, false);
	if (wipes(t))
		wipe_part(o, book->pa, pt__frame_bytes(o));
	if (book->promised)
		pt__extents_enter(&o->extents, agent, &book->extent);
	pt__record_set(&o->frames, agent, book->pa, &book->record);
	tell_hyp_of(t, book, true);
}
