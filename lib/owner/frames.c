/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of frames: a radix tree of links, with pages of 512 records at its ends.
 *
 * A link is a page's offset and, in 63:48, what keeps the page: for a page of links how many of
 * them are not 0; for a page of records how many of these are not the default, and how often it is
 * reserved. Links to pages of links change under the store's lock alone. A link to a page of
 * records becomes something and becomes 0 under the lock; while it is something its count changes
 * by compare-and-swap, by anyone. So whoever finds it and counts itself in has a page that stays,
 * and so do the pages above; who counts down to 0 takes the lock and looks once more.
 *
 * Readers: a page that was unlinked is reused after a grace period, and was all default when it
 * went.
 */
#include "internal.h"

#include "base/bits.h"

#define INDEX_BITS 9
#define MAX_LEVELS 5 /* of 40 bits */
#define ONE	   (UINT64_C(1) << 48)
#define OFF_MASK   (ONE - 1)

static uint64_t frame_of(const struct pt_frames *frames, uint64_t pa)
{
	return pa >> frames->frame_shift;
}

static pt__word *entry(const struct pt_frames *frames, uint64_t link, uint64_t frame,
		       unsigned level)
{
	return pt__words(frames->store, link & OFF_MASK) +
	       (frame >> INDEX_BITS * level) % PT__PAGE_WORDS;
}

/* The link to the page of records for `frame`, or the first on the way that is 0. */
struct spot {
	pt__word *link, *up; /* up: to the page that holds it; NULL: that is no page */
	unsigned level;	     /* of the page that it names */
};

static struct spot descend(struct pt_frames *frames, uint64_t frame)
{
	struct spot at = {&frames->root, NULL, frames->levels - 1u};
	uint64_t e;

	for (; at.level && (e = pt__get(at.link)); at.level--) {
		at.up = at.link;
		at.link = entry(frames, e, frame, at.level);
	}
	return at;
}

enum pt_outcome pt_frames_init(struct pt_frames *frames, struct pt_owner_store *store,
			       unsigned frame_shift, unsigned pa_bits)
{
	if ((frame_shift != 12 && frame_shift != 14 && frame_shift != 16) ||
	    pa_bits <= frame_shift || pa_bits > 52)
		return PT_INVALID;
	*frames = (struct pt_frames){
		.store = store,
		.frames = UINT64_C(1) << (pa_bits - frame_shift),
		.frame_shift = (uint8_t)frame_shift,
		.levels = (uint8_t)((pa_bits - frame_shift + INDEX_BITS - 1) / INDEX_BITS)};
	return PT_OK;
}

struct pt_frame_record pt_frames_get(const struct pt_frames *frames, uint64_t pa)
{
	uint64_t frame = frame_of(frames, pa), e = pt__get(&frames->root);

	for (unsigned level = frames->levels - 1u; e && level; level--)
		e = pt__get(entry(frames, e, frame, level));
	return pt_frame_record(e ? pt__get(entry(frames, e, frame, 0)) : 0);
}

/* Eight records at once, written out so that each takes two instructions: 512 of them are read, and
 * written, for 2 MiB. */
#define EIGHT 8u

static inline bool all_are(const pt__word *at, uint64_t word)
{
	uint64_t low = (pt__get(at) ^ word) | (pt__get(at + 1) ^ word) | (pt__get(at + 2) ^ word) |
		       (pt__get(at + 3) ^ word);
	uint64_t high = (pt__get(at + 4) ^ word) | (pt__get(at + 5) ^ word) |
			(pt__get(at + 6) ^ word) | (pt__get(at + 7) ^ word);

	return !(low | high);
}

static inline void set_all(pt__word *at, uint64_t word)
{
	pt__set(at, word);
	pt__set(at + 1, word);
	pt__set(at + 2, word);
	pt__set(at + 3, word);
	pt__set(at + 4, word);
	pt__set(at + 5, word);
	pt__set(at + 6, word);
	pt__set(at + 7, word);
}

uint64_t pt_frames_alike(const struct pt_frames *frames, uint64_t pa, uint64_t end,
			 struct pt_frame_record *record)
{
	uint64_t frame = frame_of(frames, pa), first = frame, e = pt__get(&frames->root), word = 0;
	uint64_t stop = (frame | (PT__PAGE_WORDS - 1)) + 1;
	const pt__word *at;

	for (unsigned level = frames->levels - 1u; e && level; level--)
		e = pt__get(entry(frames, e, frame, level));
	if (stop > frame_of(frames, end))
		stop = frame_of(frames, end);
	if (e) {
		at = entry(frames, e, frame, 0);
		word = pt__get(at);
		frame++, at++;
		while (frame + EIGHT <= stop && all_are(at, word))
			frame += EIGHT, at += EIGHT;
		for (; frame < stop && pt__get(at) == word; frame++)
			at++;
	} else {
		frame = stop;
	}
	*record = pt_frame_record(word);
	return (frame - first) << frames->frame_shift;
}

/* Counts in, or out, who keeps a page of records; false: there is none. */
static bool count(pt__word *link, uint64_t by, uint64_t *now)
{
	uint64_t e = pt__get(link);

	do {
		if (!e)
			return false;
		*now = e + by;
	} while (!atomic_compare_exchange_weak_explicit(link, &e, *now, memory_order_acq_rel,
							memory_order_acquire));
	return true;
}

/* From an empty link down to the page of records, which is reserved then. With the lock. */
static void grow(struct pt_frames *frames, uint64_t frame, struct spot at, struct pt_pages *pages)
{
	if (at.up)
		pt__set(at.up, pt__get(at.up) + ONE);
	for (;; at.level--) {
		uint64_t e = pt__store_pop(frames->store, pages) + ONE;

		pt__set(at.link, e);
		if (!at.level)
			return;
		at.link = entry(frames, e, frame, at.level);
	}
}

/* What is missing is linked if there are pages enough; how many more it takes. */
static uint32_t try_grow(struct pt_frames *frames, uint64_t frame, struct pt_pages *pages,
			 bool *grown)
{
	uint32_t need = 0;
	struct spot at;

	pt_port_lock(&frames->store->lock);
	at = descend(frames, frame);
	if (!pt__get(at.link))
		need = at.level + 1;
	*grown = need && pages->count >= need;
	if (*grown)
		grow(frames, frame, at, pages);
	pt_port_unlock(&frames->store->lock);
	return need > pages->count ? need - pages->count : 0;
}

static enum pt_outcome reserve_page(struct pt_frames *frames, struct pt_agent *agent,
				    uint64_t frame)
{
	struct pt_pages pages = {0, 0};
	enum pt_outcome outcome = PT_OK;
	bool grown = false;

	while (outcome == PT_OK && !grown) {
		struct spot at = descend(frames, frame);
		uint64_t now;
		uint32_t need;

		if (!at.level && count(at.link, ONE, &now))
			break;
		need = try_grow(frames, frame, &pages, &grown);
		if (!grown && need)
			outcome = pt__store_take(frames->store, agent, need, &pages);
	}
	pt__store_give(frames->store, agent, &pages);
	return outcome;
}

/* The links on the way to the page of records, by the level of what they name; false: there is
 * none. */
static bool links_to(struct pt_frames *frames, uint64_t frame, pt__word *link[])
{
	unsigned level = frames->levels - 1u;
	uint64_t e;

	for (link[level] = &frames->root; level; level--) {
		e = pt__get(link[level]);
		if (!e)
			return false;
		link[level - 1] = entry(frames, e, frame, level);
	}
	return pt__get(link[0]);
}

/* Unlinks a page of records that nothing keeps, and those above that it leaves empty. */
static void prune(struct pt_frames *frames, struct pt_agent *agent, uint64_t frame)
{
	struct pt_owner_store *store = frames->store;
	struct pt_pages gone = {0, 0};
	pt__word *link[MAX_LEVELS];
	uint64_t e;

	pt_port_lock(&store->lock);
	if (links_to(frames, frame, link)) {
		e = pt__get(link[0]);
		if (e < ONE && atomic_compare_exchange_strong_explicit(
				       link[0], &e, 0, memory_order_acq_rel, memory_order_acquire))
			pt__store_push(store, &gone, e & OFF_MASK);
	}
	for (unsigned level = 1; level < frames->levels && gone.count == level; level++) {
		e = pt__get(link[level]) - ONE;
		pt__set(link[level], e < ONE ? 0 : e);
		if (e < ONE)
			pt__store_push(store, &gone, e);
	}
	pt_port_unlock(&store->lock);
	pt__store_retire(store, agent, &gone);
}

static uint64_t page_end(uint64_t frame)
{
	return (frame | (PT__PAGE_WORDS - 1)) + 1;
}

static void release(struct pt_frames *frames, struct pt_agent *agent, uint64_t frame, uint64_t end)
{
	for (; frame < end; frame = page_end(frame)) {
		uint64_t now;

		if (count(descend(frames, frame).link, -ONE, &now) && now < ONE)
			prune(frames, agent, frame);
	}
}

enum pt_outcome pt_frames_reserve(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
				  uint64_t size)
{
	uint64_t first = frame_of(frames, pa), end = frame_of(frames, pa + size);

	if (!size)
		return PT_INVALID;
	if (!pt__aligned(pa | size, frames->frame_shift))
		return PT_MISALIGNED;
	if (first >= frames->frames || size >> frames->frame_shift > frames->frames - first)
		return PT_OUT_OF_RANGE;
	for (uint64_t frame = first; frame < end; frame = page_end(frame)) {
		enum pt_outcome outcome = reserve_page(frames, agent, frame);

		if (outcome != PT_OK) {
			release(frames, agent, first, frame);
			return outcome;
		}
	}
	return PT_OK;
}

void pt_frames_release(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa, uint64_t size)
{
	release(frames, agent, frame_of(frames, pa), frame_of(frames, pa + size));
}

bool pt__record_find(struct pt_frames *frames, uint64_t pa, struct pt__record *r)
{
	uint64_t frame = frame_of(frames, pa), e = pt__get(&frames->root);

	r->link = &frames->root;
	for (unsigned level = frames->levels - 1u; e && level; level--) {
		r->link = entry(frames, e, frame, level);
		e = pt__get(r->link);
	}
	if (!e)
		return false;
	r->page = e & OFF_MASK;
	r->word = entry(frames, e, frame, 0);
	pt__fetch_to_write(r->word);
	return true;
}

static bool is_linked(const struct pt__record *r, uint64_t link)
{
	return link && (link & OFF_MASK) == r->page;
}

bool pt__record_keep(struct pt__record *r, uint64_t now)
{
	uint64_t e = pt__get(r->link);

	r->now = now;
	do {
		if (!is_linked(r, e))
			return false;
		/* A record that says something keeps its page by itself. */
		if (r->was || !now)
			return true;
	} while (!atomic_compare_exchange_weak_explicit(r->link, &e, e + ONE, memory_order_acq_rel,
							memory_order_acquire));
	return true;
}

/* One less keeps the page. */
static void part(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa, pt__word *link)
{
	uint64_t now;

	if (count(link, -ONE, &now) && now < ONE)
		prune(frames, agent, frame_of(frames, pa));
}

void pt__record_set(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
		    const struct pt__record *r)
{
	pt_port_note(PT_EVENT_OWNER, 1u << (frames->frame_shift - PT_OWNER_SHIFT),
		     frames->store->machine, NULL, pa, r->now);
	if (r->was == r->now)
		return;
	pt__set(r->word, r->now);
	if (!r->now)
		part(frames, agent, pa, r->link);
}

void pt__record_drop(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
		     const struct pt__record *r)
{
	if (!r->was && r->now)
		part(frames, agent, pa, r->link);
}

/* One page's part of [frame, end). */
static void set_in_page(struct pt_frames *frames, uint64_t frame, uint64_t end, uint64_t word)
{
	pt__word *link = descend(frames, frame).link;
	uint64_t by = 0, now;

	pt__word *at = entry(frames, pt__get(link), frame, 0);

	for (; frame + EIGHT <= end && all_are(at, pt__get(at)); frame += EIGHT, at += EIGHT) {
		by += EIGHT * ((uint64_t)(word != 0) - (pt__get(at) != 0));
		set_all(at, word);
	}
	for (; frame < end; frame++, at++) {
		by += (uint64_t)(word != 0) - (pt__get(at) != 0);
		pt__set(at, word);
	}
	if (by)
		count(link, by * ONE, &now);
}

void pt_frames_set(struct pt_frames *frames, uint64_t pa, uint64_t size,
		   struct pt_frame_record record)
{
	uint64_t end = frame_of(frames, pa + size);

	pt_port_note(PT_EVENT_OWNER, (uint32_t)(size >> PT_OWNER_SHIFT), frames->store->machine,
		     NULL, pa, pt_frame_word(record));
	for (uint64_t frame = frame_of(frames, pa); frame < end; frame = page_end(frame)) {
		uint64_t stop = page_end(frame) < end ? page_end(frame) : end;

		set_in_page(frames, frame, stop, pt_frame_word(record));
	}
}

/* The link or record on the way to `frame` that is 0, and the first frame behind what it stands
 * for; or the record itself. */
static bool look(const struct pt_frames *frames, uint64_t frame, uint64_t *next)
{
	uint64_t e = pt__get(&frames->root);
	unsigned level = frames->levels;

	while (e && level)
		e = pt__get(entry(frames, e, frame, --level));
	*next = (frame | ((UINT64_C(1) << INDEX_BITS * level) - 1)) + 1;
	return e;
}

bool pt_frames_next(const struct pt_frames *frames, uint64_t *pa, uint64_t end, uint32_t budget)
{
	for (; budget && *pa < end; budget--) {
		uint64_t next;

		if (look(frames, frame_of(frames, *pa), &next))
			return true;
		next <<= frames->frame_shift;
		*pa = next < end ? next : end;
	}
	return false;
}

/* The last page on the way along the first links that are not 0. Nobody else is there. */
static void close_one(struct pt_frames *frames, struct pt_pages *gone)
{
	pt__word *link = &frames->root;
	uint64_t e = pt__get(link);

	for (unsigned level = frames->levels - 1u; level; level--) {
		pt__word *at = pt__words(frames->store, e & OFF_MASK);
		unsigned i = 0;

		while (i < PT__PAGE_WORDS && !pt__get(at + i))
			i++;
		if (i == PT__PAGE_WORDS)
			break;
		link = at + i;
		e = pt__get(link);
	}
	pt__set(link, 0);
	pt__store_push(frames->store, gone, e & OFF_MASK);
}

enum pt_outcome pt_frames_close(struct pt_frames *frames, struct pt_agent *agent, uint32_t budget)
{
	struct pt_pages gone = {0, 0};

	for (; budget && pt__get(&frames->root); budget--)
		close_one(frames, &gone);
	pt__store_retire(frames->store, agent, &gone);
	return pt__get(&frames->root) ? PT_MORE : PT_OK;
}
