/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/owner share. */
#ifndef OWNER_INTERNAL_H
#define OWNER_INTERNAL_H

#include <pt/owner_store.h>

#include "../pool/store.h"

/*
 * frames.c: one record of a frame. find: where it stands; false: nowhere, and it is the default.
 * Not read, but on its way from memory. keep: under the claim on the frame, `was` read from `word`:
 * the page that it stands in stays for it to be set to `now`; false: the page has gone since. Then
 * set, or drop; all in one section.
 */
struct pt__record {
	pt__word *link, *word;
	uint64_t page, was, now;
};
bool pt__record_find(struct pt_frames *frames, uint64_t pa, struct pt__record *record);
bool pt__record_keep(struct pt__record *record, uint64_t now);
void pt__record_set(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
		    const struct pt__record *record);
void pt__record_drop(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
		     const struct pt__record *record);

static inline void pt__fetch_to_write(const pt__word *word)
{
	pt_port_prefetch((const pt_pte *)(uintptr_t)word);
}

/*
 * Where in the index a unit is looked for: in `leaf` (none: NULL), which is for units from there to
 * `end`, and maybe more, as long as `guard` says what it has `seen`. For one section.
 */
struct pt__cursor {
	pt__word *leaf;
	const pt__word *guard;
	uint64_t seen, end;
};

/* extent.c: without a lock. The leaf is not read, only on its way from memory. False: at the moment
 * there is no saying, and the cursor holds for nothing. */
bool pt__extents_look(const struct pt_extents *index, uint64_t unit, struct pt__cursor *cursor);

/* extent.c: a hint: what pt__extents_try() will need beside what is searched is on its way. */
void pt__extents_fetch(const struct pt__cursor *cursor, uint64_t unit);

/* extent_row.c: as pt_extents_set(), of a range that the cursor was looked for at the start of, if
 * that takes no page and is of one leaf. False: it is not, or the cursor does not hold; nothing has
 * changed. It takes the store's lock. */
bool pt__extents_try(struct pt_extents *index, const struct pt__cursor *cursor,
		     const struct pt_extent *e);
/* extent_set.c: pt_extents_set(), and pt_extents_release() of its reservation. */
void pt__extents_enter(struct pt_extents *index, struct pt_agent *agent, const struct pt_extent *e);

#endif
