/* SPDX-License-Identifier: BSD-2-Clause */
/* Ownership of frames: owners, states, and how descriptors and frame records say them. Pure
 * functions; docs/ownership.md has the words and the matrix. */
#ifndef PT_OWNER_H
#define PT_OWNER_H

#include <pt/desc.h>

/* Whose a frame is. Numbers are what descriptors hold (KVM: enum pkvm_component_id). */
enum pt_owner_kind { PT_OWNER_HOST = 0, PT_OWNER_HYP = 1, PT_OWNER_GUEST = 2 };

/* Frames, and guest frame numbers, are counted in units of 4 KiB whatever the granule. */
#define PT_OWNER_SHIFT	   12
#define PT_OWNER_GFN_BITS  40 /* of a 52-bit IPA */
#define PT_OWNER_LEND_BITS 56 /* handle of a lending */

struct pt_owner {
	uint8_t kind;	 /* enum pt_owner_kind */
	uint16_t handle; /* GUEST: which; else 0 */
	uint64_t gfn;	 /* GUEST: where it has the frame; else 0 */
};

/*
 * What one party has of one frame. The first four are those of a valid guest leaf, and are its
 * software bits 56:55; the others follow from an invalid entry.
 */
enum pt_page_state {
	PT_PAGE_OWNED = 0,	     /* its own, and nobody else's */
	PT_PAGE_SHARED_OWNED = 1,    /* its own; somebody borrows it */
	PT_PAGE_SHARED_BORROWED = 2, /* another's, which it may reach as well */
	PT_PAGE_LENT_BORROWED = 3,   /* another's, who may not reach it meanwhile */
	PT_PAGE_NOPAGE = 4,
	PT_PAGE_LENT = 5,     /* its own, and out of its reach */
	PT_PAGE_POISONED = 6, /* was a guest's, and was taken by force */
	PT_PAGE_STATES
};

/* Annotations: types of invalid entries, in 63:60. 0 is an empty entry and 1 is LOCKED
 * (<pt/desc.h>). KVM: enum kvm_invalid_pte_type. */
enum pt_note_type {
	PT_NOTE_DONATION = 2, /* in the host's table: the frame is another's */
	PT_NOTE_POISONED = 3, /* in a guest's table: reclaimed by force */
	PT_NOTE_LENT = 4,     /* in the lender's table: the lending's handle */
};

/*
 * An annotation. In the descriptor: type 63:60; metadata 59:4; owner's kind 3:1; bit 0 clear.
 *   DONATION  owner HYP, metadata 0; or owner GUEST, metadata handle 15:0 and gfn 55:16. That a
 *             frame is the host's needs no annotation.
 *   POISONED  nothing else
 *   LENT      metadata: the handle of the lending
 */
struct pt_note {
	uint8_t type; /* enum pt_note_type */
	struct pt_owner owner;
	uint64_t lending;
};

/*
 * The descriptor of an annotation. PT_OK; PT_INVALID: no such type or owner, or a field that the
 * type does not carry is not 0; PT_OUT_OF_RANGE: gfn or lending too large. *entry untouched then.
 */
enum pt_outcome pt_note_encode(const struct pt_note *note, pt_pte *entry);

/*
 * And back. PT_OK; PT_NOT_MAPPED: the entry is empty; PT_RACED: LOCKED, again; PT_WRONG_STATE: it
 * is valid; PT_INVALID: nothing that pt_note_encode() writes. *note untouched then.
 */
enum pt_outcome pt_note_decode(pt_pte entry, struct pt_note *note);

/* Software bits of a leaf that say its state, as prot; PT_SW_OWNERSHIP owns them in contexts of a
 * machine with owners (pt_ctx_sw_own()). */
#define PT_OWNER_SW (UINT32_C(3) << PT_PROT_SW_SHIFT)

/* For one of the first four states. */
static inline uint32_t pt_page_state_prot(enum pt_page_state state)
{
	return (uint32_t)state << PT_PROT_SW_SHIFT;
}

static inline enum pt_page_state pt_page_state_of_leaf(pt_pte leaf)
{
	return (enum pt_page_state)(leaf >> PT_PTE_SW_SHIFT & 3);
}

/*
 * The state that an entry of a guest's table says: a leaf's bits; empty: NOPAGE. PT_OK and *state;
 * PT_RACED: LOCKED; PT_INVALID: an invalid entry that no guest's table has (DONATION is the host's
 * alone). `entry` is no table.
 */
enum pt_outcome pt_page_state_of_entry(pt_pte entry, enum pt_page_state *state);

/*
 * What is recorded of a frame for host and hyp, 8 bytes; 0 is what most frames are: the host's own,
 * unknown to hyp (KVM: struct hyp_page). In the word: host's state 3:0; hyp's, exclusive-or NOPAGE,
 * 7:4; whether the host gave it for a guest's tables 8; pins 31:16; shares 63:32; 15:9 clear.
 */
struct pt_frame_record {
	uint8_t host, hyp; /* enum pt_page_state */
	uint16_t pins;	 /* hyp uses the page that the host shares with it: no unshare meanwhile */
	uint32_t shares; /* guests' leaves that borrow it from the host, pages counted */
	bool table;	 /* hyp's, for the tables of the guest that its extent names */
};

static inline uint64_t pt_frame_word(struct pt_frame_record r)
{
	return r.host | (uint64_t)(r.hyp ^ PT_PAGE_NOPAGE) << 4 | (uint64_t)r.table << 8 |
	       (uint64_t)r.pins << 16 | (uint64_t)r.shares << 32;
}

static inline struct pt_frame_record pt_frame_record(uint64_t word)
{
	return (struct pt_frame_record){.host = word & 0xf,
					.hyp = (word >> 4 & 0xf) ^ PT_PAGE_NOPAGE,
					.pins = (uint16_t)(word >> 16),
					.shares = (uint32_t)(word >> 32),
					.table = (word >> 8 & 1) != 0};
}

/*
 * Can a record be true? The rules of docs/ownership.md between host and hyp: at most one of them
 * owns the frame; pins only where hyp borrows; shares only where the host shares, and not with hyp
 * besides; tables only where hyp owns.
 */
bool pt_frame_sound(struct pt_frame_record r);

#endif
