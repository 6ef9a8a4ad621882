/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger of a machine with owners: a record for each frame, sparse; and who owns what, by
 * ranges. */
#ifndef PT_OWNER_STORE_H
#define PT_OWNER_STORE_H

#include <pt/owner.h>
#include <pt/sparse.h>

/*
 * Records of frames. A page of them covers 512 frames (2 MiB of 4K frames) and exists while one of
 * them is not the default, or is reserved; pages above it are a radix tree by frame number. Reads
 * take no lock. Who writes a record holds the claim on its frame, and has reserved it; so two never
 * write one. Frames of `frame_shift` bits: the smallest granule of the machine's contexts.
 */
struct pt_frames {
	struct pt_store *store;
	uint64_t frames; /* how many there can be */
	uint8_t frame_shift;
	struct pt_sparse tree; /* of records */
};

/* For PAs below 2^pa_bits; no page is taken yet. PT_OK; PT_INVALID: frame_shift is not 12, 14 or
 * 16, or pa_bits not above it or beyond 52. */
enum pt_outcome pt_frames_init(struct pt_frames *frames, struct pt_store *store,
			       unsigned frame_shift, unsigned pa_bits);

/* The record of the frame at `pa`, which is below the end. In a section; any agent. */
struct pt_frame_record pt_frames_get(const struct pt_frames *frames, uint64_t pa);

/*
 * How many bytes from `pa` on, and below `end`, have the record of the frame there, which *record
 * gets; it looks at one page of records. All are below the end of memory. In a section; any agent.
 */
uint64_t pt_frames_alike(const struct pt_frames *frames, uint64_t pa, uint64_t end,
			 struct pt_frame_record *record);

/*
 * Makes the pages for the records of [pa, pa + size), and keeps them until pt_frames_release() of
 * the same range. The work is one step a page of records. In a section. PT_OK; PT_INVALID: empty;
 * PT_MISALIGNED to the frame; PT_OUT_OF_RANGE; PT_NO_MEMORY, PT_QUOTA: nothing is kept.
 */
enum pt_outcome pt_frames_reserve(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
				  uint64_t size);

/* Writes `record` for each frame of a range that is reserved and claimed; cannot fail. In a
 * section; readers see each frame before or after. */
void pt_frames_set(struct pt_frames *frames, uint64_t pa, uint64_t size,
		   struct pt_frame_record record);

/* Pages that hold nothing but defaults, and that nobody else has reserved, go back. In a section.
 */
void pt_frames_release(struct pt_frames *frames, struct pt_agent *agent, uint64_t pa,
		       uint64_t size);

/*
 * The first frame at or above `pa`, and below `end`, whose record is not the default; at most
 * `budget` entries are looked at. True: *pa is its address. False: none; *pa is how far it came,
 * `end` when it is through. In a section.
 */
bool pt_frames_next(const struct pt_frames *frames, uint64_t *pa, uint64_t end, uint32_t budget);

/* Pages back, whatever they say, at most `budget` of them: nobody else uses the table any more. In
 * a section. PT_OK: all are; PT_MORE: again. */
enum pt_outcome pt_frames_close(struct pt_frames *frames, struct pt_agent *agent, uint32_t budget);

/*
 * A run of units (4 KiB) of one owner and state. The index covers all units: where nothing was set
 * they are the host's own, with meta and id 0.
 */
struct pt_extent {
	uint64_t start, end;   /* units; end exclusive */
	struct pt_owner owner; /* gfn: of the first unit; it rises with the units */
	uint8_t state;	       /* enum pt_page_state, of the owner */
	uint64_t meta; /* the transition's, the same for all: a lending's handle; of what is hyp's
			  for a guest's tables, its handle + 1 */
	uint64_t id;   /* which request made it */
};

/*
 * Who owns what, by ranges: a B+tree of 4 KiB nodes that holds the units at which something
 * changes. Neighbours that continue each other (in id, too) are one extent. For the host by frame;
 * a guest may have one of its own by gfn.
 *
 * Readers take no lock: each node has a sequence number, odd while it changes or once it has left
 * the tree, and a reader that meets one starts again. Changes are serialised by the store's lock,
 * one pt_extents_set() each. A node that leaves the tree goes back after a grace period.
 */
struct pt_extents {
	struct pt_store *store;
	uint64_t units;
	_Atomic uint64_t root; /* page offset; 0: no node, all of it is the default */
	/* Under the lock. */
	_Atomic uint32_t levels; /* of nodes; anyone may read it */
	uint32_t promised;	 /* pages that reservations may still use */
	struct pt_pages stock;	 /* at least as many */
};

/* Levels of the tree; each set adds at most two entries, and each of them splits a node a level. */
#define PT_EXTENT_LEVELS  5
#define PT_EXTENT_RESERVE (2 * PT_EXTENT_LEVELS)
#define PT_EXTENT_SETS	  32 /* in one go */

/* For units below `units`, at most 2^40. */
void pt_extents_init(struct pt_extents *index, struct pt_store *store, uint64_t units);

/*
 * Makes sure that so many transitions can be entered, at least one and at most PT_EXTENT_SETS: each
 * a pt_extents_set(), or several that go up side by side with one value, of which only the first
 * adds entries. In a section. PT_OK; PT_NO_MEMORY, PT_QUOTA: nothing is kept.
 */
enum pt_outcome pt_extents_reserve(struct pt_extents *index, struct pt_agent *agent, uint32_t sets);

/* Of so many reserved transitions, at most PT_EXTENT_SETS: what they have not used goes back. Once
 * for each. In a section. */
void pt_extents_release(struct pt_extents *index, struct pt_agent *agent, uint32_t sets);

/*
 * Replaces what [e->start, e->end) says, under a reservation: cannot fail. The caller holds the
 * claim on the range; the work, under the lock, is bounded by the entries replaced, at most one a
 * unit of the range. In a section. Readers see each unit before or after, never a third thing.
 * start < end <= units; gfns, where there are, below 2^40 at the end, too.
 */
void pt_extents_set(struct pt_extents *index, struct pt_agent *agent, const struct pt_extent *e);

/*
 * The extent that `unit` lies in, at its full size at some moment of the call, or smaller at one of
 * its ends when that changes meanwhile. PT_OK or PT_OUT_OF_RANGE. In a section; any agent, no lock.
 */
enum pt_outcome pt_extents_find(const struct pt_extents *index, uint64_t unit,
				struct pt_extent *out);

/* Nodes back, at most `budget` of them: nobody else uses the index any more, and no reservation is
 * held. In a section. PT_OK: all are; PT_MORE: again. */
enum pt_outcome pt_extents_close(struct pt_extents *index, struct pt_agent *agent, uint32_t budget);

#endif
