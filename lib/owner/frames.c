/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of frames: a sparse array of words (lib/pool/sparse.h). What keeps a page of them:
 * records that are not the default, and reservations. */
#include "internal.h"

#include "../pool/sparse.h"
#include "base/bits.h"

#define ONE PT__SPARSE_ONE

static uint64_t frame_of(const struct pt_frames *frames, uint64_t pa)
{
	return pa >> frames->frame_shift;
}

static struct pt__branch descend(struct pt_frames *frames, uint64_t frame)
{
	return pt__sparse_descend(&frames->tree, PT__SPARSE_PAGES, frames->store, frame);
}

/* What links the page of records for `frame`; 0: there is none. */
static inline uint64_t link_of(const struct pt_frames *frames, uint64_t frame)
{
	return pt__sparse_link(&frames->tree, PT__SPARSE_PAGES, frames->store, frame);
}

static uint64_t page_end(uint64_t frame)
{
	return pt__sparse_run_end(PT__SPARSE_PAGES, frame);
}

static pt__word *entry(const struct pt_frames *frames, uint64_t link, uint64_t frame)
{
	return pt__sparse_entry(frames->store, PT__SPARSE_PAGES, link, frame);
}

enum pt_outcome pt_frames_init(struct pt_frames *frames, struct pt_store *store,
			       unsigned frame_shift, unsigned pa_bits)
{
	if ((frame_shift != 12 && frame_shift != 14 && frame_shift != 16) ||
	    pa_bits <= frame_shift || pa_bits > 52)
		return PT_INVALID;
	*frames = (struct pt_frames){.store = store,
				     .frames = UINT64_C(1) << (pa_bits - frame_shift),
				     .frame_shift = (uint8_t)frame_shift};
	pt__sparse_init(&frames->tree, PT__SPARSE_PAGES, NULL, 0);
	return PT_OK;
}

struct pt_frame_record pt_frames_get(const struct pt_frames *frames, uint64_t pa)
{
	uint64_t frame = frame_of(frames, pa), e = link_of(frames, frame);

	return pt_frame_record(e ? pt__get(entry(frames, e, frame)) : 0);
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
	uint64_t frame = frame_of(frames, pa), first = frame, e = link_of(frames, frame), word = 0;
	uint64_t stop = page_end(frame);
	const pt__word *at;

	if (stop > frame_of(frames, end))
		stop = frame_of(frames, end);
	if (e) {
		at = entry(frames, e, frame);
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

static void release(struct pt_frames *frames, struct pt_agent *agent, uint64_t frame, uint64_t end)
{
	for (; frame < end; frame = page_end(frame))
		pt__sparse_let_go(&frames->tree, PT__SPARSE_PAGES, frames->store, agent, frame);
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
		enum pt_outcome outcome =
			pt__sparse_keep(&frames->tree, frames->store, agent, frame, 0);

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
	uint64_t frame = frame_of(frames, pa), e;
	struct pt__branch at = descend(frames, frame);

	e = pt__get(at.link);
	if (at.above || !e)
		return false;
	r->link = at.link;
	r->page = e & PT__SPARSE_OFF;
	r->word = entry(frames, e, frame);
	pt__fetch_to_write(r->word);
	return true;
}

static bool is_linked(const struct pt__record *r, uint64_t link)
{
	return link && (link & PT__SPARSE_OFF) == r->page;
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

	if (pt__sparse_count(link, -ONE, &now) && now < ONE)
		pt__sparse_prune(&frames->tree, frames->store, agent, frame_of(frames, pa));
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

	pt__word *at = entry(frames, pt__get(link), frame);

	for (; frame + EIGHT <= end && all_are(at, pt__get(at)); frame += EIGHT, at += EIGHT) {
		by += EIGHT * ((uint64_t)(word != 0) - (pt__get(at) != 0));
		set_all(at, word);
	}
	for (; frame < end; frame++, at++) {
		by += (uint64_t)(word != 0) - (pt__get(at) != 0);
		pt__set(at, word);
	}
	if (by)
		pt__sparse_count(link, by * ONE, &now);
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

bool pt_frames_next(const struct pt_frames *frames, uint64_t *pa, uint64_t end, uint32_t budget)
{
	uint64_t frame = frame_of(frames, *pa);
	int64_t left = budget;
	bool found = pt__sparse_next(&frames->tree, frames->store, &frame, frame_of(frames, end),
				     &left) != NULL;

	*pa = frame << frames->frame_shift;
	return found;
}

enum pt_outcome pt_frames_close(struct pt_frames *frames, struct pt_agent *agent, uint32_t budget)
{
	return pt__sparse_close(&frames->tree, frames->store, agent, &budget) ? PT_OK : PT_MORE;
}
