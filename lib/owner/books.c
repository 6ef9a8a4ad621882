/* SPDX-License-Identifier: BSD-2-Clause */
/* The books of a transition: records and extents of its frames are reserved, written, and what was
 * reserved goes back. All goes along the host's items, in which each frame is once. */
#include "transition.h"

/* Frames in one go: a page of records, or of what one call wipes. */
#define CHUNK_FRAMES UINT64_C(512)
#define WIPE_COST    64 /* descriptor visits that a frame's wiping is worth */

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

/* What a frame is, and what it becomes. */
struct change {
	struct pt_frame_record was, now;
};

static struct change change_at(const struct pt_transfer *t, uint64_t pa)
{
	struct pt_frame_record was = pt_frames_get(&t->args.owners->frames, pa);

	return (struct change){was, pt__after(t->row, was, times(t, pa))};
}

/* What the index says of a frame afterwards; it is the first of `size` bytes. */
static struct pt_extent extent_of(const struct pt_transfer *t, uint64_t pa,
				  struct pt_frame_record now)
{
	const struct pt_transfer_run *run = &t->list[t->run_of[t->turn]];
	struct pt_extent e = {.start = pa >> PT_OWNER_SHIFT, .id = t->args.id};

	if (now.hyp == PT_PAGE_OWNED) {
		e.owner.kind = PT_OWNER_HYP;
	} else if (now.host == PT_PAGE_NOPAGE || now.host == PT_PAGE_SHARED_BORROWED) {
		e.owner = (struct pt_owner){PT_OWNER_GUEST, (uint16_t)run->guest,
					    (run->ipa + pa - run->pa) >> PT_OWNER_SHIFT};
		e.state = now.host == PT_PAGE_NOPAGE ? PT_PAGE_OWNED : PT_PAGE_SHARED_OWNED;
	} else {
		e.state = now.host;
		e.id = now.host == PT_PAGE_OWNED ? 0 : t->args.id;
	}
	return e;
}

/* Does the frame become the same as those of the group, behind which it lies? */
static bool goes_on(const struct pt_transfer *t, const struct pt_extent *e)
{
	const struct pt_extent *g = &t->group;

	if (!t->grouped || g->end != e->start || g->owner.kind != e->owner.kind ||
	    g->state != e->state || g->id != e->id)
		return false;
	return e->owner.kind != PT_OWNER_GUEST ||
	       (g->owner.handle == e->owner.handle &&
		g->owner.gfn + (g->end - g->start) == e->owner.gfn);
}

/*
 * Brings a frame into the group, or begins another. The index changes where the host's or hyp's
 * state does. True: the frame begins one. `frame`: its size in units.
 */
static bool group(struct pt_transfer *t, uint64_t pa, const struct change *c, uint64_t frame)
{
	struct pt_extent e = extent_of(t, pa, c->now);

	if (c->was.host == c->now.host && c->was.hyp == c->now.hyp) {
		t->grouped = false;
		return false;
	}
	if (goes_on(t, &e)) {
		t->group.end += frame;
		return false;
	}
	t->group = e;
	t->group.end = e.start + frame;
	t->grouped = true;
	return true;
}

static enum pt_outcome reserve_extents(struct pt_transfer *t, struct pt_agent *agent,
				       const struct part *part)
{
	struct pt_machine_owners *o = t->args.owners;
	uint64_t frame = pt__frame_bytes(o);

	for (uint64_t pa = part->pa; pa < part->pa + part->size; pa += frame) {
		struct change c = change_at(t, pa);
		enum pt_outcome outcome;

		if (!group(t, pa, &c, frame >> PT_OWNER_SHIFT) || t->groups++ < t->extents)
			continue;
		outcome = pt_extents_reserve(&o->extents, agent);
		if (outcome != PT_OK)
			return outcome;
		t->extents++;
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
	enum pt_outcome outcome = reserve_extents(t, agent, part);

	if (outcome != PT_OK || is_kept(t))
		return outcome;
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
	struct part part;

	if (!t->judged)
		rewind(t);
	t->judged = true;
	while (next_part(t, UINT64_MAX, &part)) {
		enum pt_outcome outcome;

		if (*left <= 0)
			return PT_MORE;
		outcome = reserve_part(t, agent, &part);
		if (outcome != PT_OK)
			return pt__at_fault(t, outcome, t->done);
		*left -= (int64_t)(part.size >> t->args.owners->frames.frame_shift);
		pass(t, part.size);
	}
	rewind(t);
	return PT_OK;
}

static bool reaches(struct pt_frame_record r)
{
	return r.hyp == PT_PAGE_OWNED || (r.hyp == PT_PAGE_SHARED_BORROWED && r.pins);
}

/* hyp reaches a frame from now on, or no longer. */
static void tell_hyp(const struct pt_transfer *t, const struct part *part, bool gains)
{
	const struct pt_machine_owners *o = t->args.owners;
	uint64_t frame = pt__frame_bytes(o);

	for (uint64_t pa = part->pa; o->hyp_reach && pa < part->pa + part->size; pa += frame) {
		struct change c = change_at(t, pa);

		if (reaches(c.was) != reaches(c.now) && reaches(c.now) == gains)
			o->hyp_reach(o->arg, pa, frame, gains);
	}
}

static bool wipes(const struct pt_transfer *t)
{
	return t->row->wipe == PT__WIPE_ALWAYS || (t->row->wipe == PT__WIPE_ASKED && t->args.wipe);
}

/* What the giving side had goes: hyp's access, and what the frames held. True: done. */
static bool wipe(struct pt_transfer *t, int64_t *left)
{
	const struct pt_machine_owners *o = t->args.owners;
	bool zero = wipes(t);
	struct part part;

	while (!t->wiped && next_part(t, PT_WIPE_BYTES, &part)) {
		if (*left <= 0)
			return false;
		tell_hyp(t, &part, false);
		if (zero) {
			o->wipe(o->arg, part.pa, part.size);
			pt_port_dcache_clean_inval_poc(o->host->machine->port, pt_pa(part.pa),
						       part.size);
		}
		*left -= (int64_t)(part.size >> o->frames.frame_shift) * (zero ? WIPE_COST : 1);
		pass(t, part.size);
	}
	if (!t->wiped)
		rewind(t);
	t->wiped = true;
	return true;
}

/* Records of a part, alike ones together. */
static void write_records(struct pt_transfer *t, uint64_t pa, uint64_t end)
{
	struct pt_frames *frames = &t->args.owners->frames;
	uint64_t frame = pt__frame_bytes(t->args.owners);

	while (pa < end) {
		struct pt_frame_record now = change_at(t, pa).now;
		uint64_t from = pa;

		for (pa += frame; pa < end; pa += frame)
			if (pt_frame_word(change_at(t, pa).now) != pt_frame_word(now))
				break;
		pt_frames_set(frames, from, pa - from, now);
	}
}

static void enter_group(struct pt_transfer *t, struct pt_agent *agent)
{
	if (t->grouped)
		pt_extents_set(&t->args.owners->extents, agent, &t->group);
}

/* The index of a part, a group at a time; a group that goes on in the next part is entered with
 * this one so far. It is asked for before the records are written, which tell what changes. */
static void write_extents(struct pt_transfer *t, struct pt_agent *agent, const struct part *part)
{
	uint64_t frame = pt__frame_bytes(t->args.owners);

	t->grouped = false;
	for (uint64_t pa = part->pa; pa < part->pa + part->size; pa += frame) {
		struct pt_extent before = t->group;
		struct change c = change_at(t, pa);
		bool was = t->grouped;

		if ((group(t, pa, &c, frame >> PT_OWNER_SHIFT) || !t->grouped) && was)
			pt_extents_set(&t->args.owners->extents, agent, &before);
	}
	enter_group(t, agent);
}

bool pt__books_keep(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	struct part part;

	if (!wipe(t, left))
		return false;
	while (next_part(t, UINT64_MAX, &part)) {
		if (*left <= 0)
			return false;
		tell_hyp(t, &part, true);
		write_extents(t, agent, &part);
		write_records(t, part.pa, part.pa + part.size);
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

	for (; t->extents; t->extents--, *left -= 8) {
		if (*left <= 0)
			return false;
		pt_extents_release(&o->extents, agent);
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
