/* SPDX-License-Identifier: BSD-2-Clause */
/* The audit of a machine with owners: tables against frame records against extents. */
#ifndef PT_OWNER_AUDIT_H
#define PT_OWNER_AUDIT_H

#include <pt/owner_store.h>
#include <pt/walk.h>

struct pt_owner_guest {
	struct pt_ctx *ctx; /* NULL: it is only reserved */
	uint16_t handle;
	uint64_t tables; /* bytes that the host has given for its tables, as is counted */
};

/* What disagrees. Each names the frame or address where it was found, but for the last three,
 * which are found by counting: those names are where the counting ended. */
enum pt_audit_kind {
	PT_AUDIT_NONE,
	PT_AUDIT_ENTRY,	 /* an invalid entry that no table of this party has */
	PT_AUDIT_RECORD, /* a record that cannot be true, pt_frame_sound() */
	PT_AUDIT_HOST,	 /* the host's entry and the frame's record */
	PT_AUDIT_GUEST,	 /* a DONATION, and what the guest that it names has there */
	PT_AUDIT_LEAF,	 /* a guest's leaf, and what the host's side says of the frame */
	PT_AUDIT_EXTENT, /* an extent, and the record of a frame in it */
	PT_AUDIT_SHARES, /* shares that records count, and leaves that borrow */
	PT_AUDIT_LENT,	 /* guests' LENT entries, and DONATIONs that lead to one */
	PT_AUDIT_TABLES, /* what guests were topped up with, and frames that are for their tables */
};

struct pt_audit_found {
	enum pt_audit_kind kind;
	uint64_t pa;
	bool in_guest; /* then also: */
	uint16_t handle;
	uint64_t ipa;
};

/* Caller's memory. Fields are private to lib, but `found` and `looked`. */
struct pt_owner_audit {
	struct pt_ctx *host; /* identity-mapped */
	const struct pt_owner_guest *guest;
	uint32_t guests, at;
	const struct pt_frames *frames;
	const struct pt_extents *extents; /* by frame; or NULL */
	unsigned phase;
	uint64_t cursor;
	uint64_t shares[2], lent; /* counted up and down: how many, and of which frames */
	uint64_t tables[2];	  /* the same: bytes, and of which guests */
	uint64_t looked;	  /* entries, records and extents so far */
	struct pt_audit_found found;
};

/* `guests` with different handles; all outlives the audit. */
void pt_owner_audit_begin(struct pt_owner_audit *audit, struct pt_ctx *host,
			  const struct pt_owner_guest *guest, uint32_t guests,
			  const struct pt_frames *frames, const struct pt_extents *extents);

/*
 * Looks at about `budget` entries: the annotations of the host's table; every record that is not
 * the default, with the host's entry and the extent of its frame; every guest's table, with the
 * record and the host's entry of each frame that a leaf outputs; every extent (rules O1, O3 of
 * docs/ownership.md; kvm-stage2.md 7c, 6 and 7). In a section. PT_MORE: again in another one;
 * PT_OK: they agree; PT_WRONG_STATE: they do not, audit->found says where first; it has ended then.
 *
 * It says what is true of one moment when nothing changes meanwhile: under shared claims on
 * the whole of all contexts. Otherwise a transition in between may be found in the middle.
 */
enum pt_outcome pt_owner_audit_step(struct pt_owner_audit *audit, uint32_t budget);

#endif
