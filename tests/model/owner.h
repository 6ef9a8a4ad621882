/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The abstract model of ownership: what docs/ownership.md says, as functions of a state. Frames and
 * parties' maps as arrays of pages; no tables, no blocks, no TLB, and no code of lib.
 *
 * A transition is given as it is asked for, and answers what lib has to answer. An error leaves the
 * state as it was. Whether memory runs out is lib's to say (PT_NO_MEMORY, PT_QUOTA): then nothing
 * is asked of the model. Pages are the machine's unit of a transition; sizes and addresses count
 * them, so MISALIGNED cannot be said here.
 */
#ifndef MODEL_OWNER_H
#define MODEL_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pt/outcome.h>

#define OWN_GUESTS     8
#define OWN_LENDINGS   16
#define OWN_BORROWERS  4
#define OWN_PIECES     8
#define OWN_SHARES_MAX UINT32_MAX
#define OWN_PINS_MAX   UINT16_MAX

enum own_party { OWN_HOST, OWN_HYP, OWN_GUEST };
enum own_state {
	OWN_OWNED,
	OWN_SHARED_OWNED,
	OWN_SHARED_BORROWED,
	OWN_LENT_BORROWED,
	OWN_NOPAGE,
	OWN_LENT,
	OWN_POISONED,
};
enum own_kind { OWN_MEMORY, OWN_DEVICE, OWN_TABLE };
enum own_life { OWN_NONE, OWN_RESERVED, OWN_LIVE, OWN_DYING };

struct own_frame {
	uint8_t kind;	   /* enum own_kind */
	uint8_t owner;	   /* enum own_party */
	uint8_t guest;	   /* the owner, if it is one; of a table's frame, whose table */
	uint8_t host, hyp; /* enum own_state */
	bool third;	   /* shared with a third component */
	bool logged;	   /* some dirty log covers it */
	uint16_t pins;
	uint32_t shares;
	uint64_t gfn;	  /* where its guest has it */
	uint64_t lending; /* LENT: the handle */
	uint64_t content; /* 0: zero */
};

/* What a guest has at one of its addresses. */
struct own_cell {
	uint8_t state; /* enum own_state */
	uint8_t prot;
	bool young, logged;
	uint64_t frame;	  /* valid states, and LENT */
	uint64_t lending; /* LENT, LENT_BORROWED */
};

struct own_guest {
	uint8_t life; /* enum own_life */
	bool protected;
	struct own_cell *map; /* gfns of them */
	uint32_t tables;      /* frames that the host gave for its tables */
};

struct own_piece {
	uint64_t first, pages; /* the lender's: frames of the host, or a guest's gfns */
};

/* Open until its pages are all named, then lent. */
struct own_lending {
	uint64_t handle; /* 0: none */
	bool open, zero; /* zero: wiped before the lender has it again */
	uint8_t lender;	 /* a guest, or OWN_GUESTS: the host */
	uint64_t pages, named;
	struct own_piece piece[OWN_PIECES];
	uint32_t pieces, borrowers;
	struct {
		uint8_t guest;
		bool has;     /* it has retrieved it */
		uint64_t gfn; /* there */
	} borrower[OWN_BORROWERS];
};

struct own {
	uint64_t frames, gfns;
	struct own_frame *frame;
	struct own_guest guest[OWN_GUESTS];
	struct own_lending lending[OWN_LENDINGS];
	uint64_t handles; /* given so far */
};

/* A machine of memory alone, all of it the host's. */
void own_open(struct own *o, uint64_t frames, uint64_t gfns);
void own_close(struct own *o);
/* Everything but the memory that holds it. False: they differ. */
bool own_equal(const struct own *a, const struct own *b);
/* A copy, to be closed. */
void own_copy(struct own *to, const struct own *from);

/* Host and hyp. Ranges of frames. */
enum pt_outcome own_share_hyp(struct own *o, uint64_t frame, uint64_t n);
enum pt_outcome own_unshare_hyp(struct own *o, uint64_t frame, uint64_t n);
enum pt_outcome own_pin(struct own *o, uint64_t frame, uint64_t n);
enum pt_outcome own_unpin(struct own *o, uint64_t frame, uint64_t n);
enum pt_outcome own_donate_hyp(struct own *o, uint64_t frame, uint64_t n, bool zero);
enum pt_outcome own_return_hyp(struct own *o, uint64_t frame, uint64_t n);
enum pt_outcome own_share_third(struct own *o, uint64_t frame, uint64_t n);
enum pt_outcome own_unshare_third(struct own *o, uint64_t frame, uint64_t n);

/* Host and guest. */
enum pt_outcome own_share_guest(struct own *o, uint64_t frame, unsigned guest, uint64_t gfn,
				uint64_t n, uint8_t prot);
enum pt_outcome own_unshare_guest(struct own *o, unsigned guest, uint64_t gfn, uint64_t n);
enum own_change { OWN_RELAX, OWN_WRITE_PROTECT, OWN_MAKE_OLD, OWN_MAKE_YOUNG };
enum pt_outcome own_change_guest(struct own *o, unsigned guest, uint64_t gfn, uint64_t n,
				 enum own_change change, uint8_t prot);
enum pt_outcome own_donate_guest(struct own *o, uint64_t frame, unsigned guest, uint64_t gfn,
				 uint64_t n, bool zero);
enum pt_outcome own_share_back(struct own *o, unsigned guest, uint64_t gfn, uint64_t n);
enum pt_outcome own_unshare_back(struct own *o, unsigned guest, uint64_t gfn, uint64_t n);
enum pt_outcome own_balloon(struct own *o, unsigned guest, uint64_t gfn, uint64_t n);
enum pt_outcome own_force_reclaim(struct own *o, uint64_t frame, uint64_t n);

/* Lending. `lender` is OWN_GUESTS for the host. */
enum pt_outcome own_lend(struct own *o, unsigned lender, const uint8_t *borrower,
			 uint32_t borrowers, uint64_t pages, bool zero, uint64_t *handle);
enum pt_outcome own_lend_piece(struct own *o, unsigned lender, uint64_t handle, uint64_t first,
			       uint64_t n);
/* The list was not completed in time. */
enum pt_outcome own_lend_expire(struct own *o, uint64_t handle);
enum pt_outcome own_retrieve(struct own *o, unsigned guest, uint64_t handle, uint64_t gfn);
enum pt_outcome own_relinquish(struct own *o, unsigned guest, uint64_t handle);
enum pt_outcome own_lend_reclaim(struct own *o, unsigned lender, uint64_t handle);

/* The life of a guest. */
enum pt_outcome own_reserve(struct own *o, unsigned *guest);
enum pt_outcome own_create(struct own *o, unsigned guest, bool protected);
enum pt_outcome own_top_up(struct own *o, unsigned guest, uint64_t frame, uint64_t n);
/* All that it was topped up with goes back: of a guest that is reserved, or dying and empty. */
enum pt_outcome own_reclaim_tables(struct own *o, unsigned guest);
enum pt_outcome own_teardown(struct own *o, unsigned guest);
enum pt_outcome own_reclaim_dying(struct own *o, unsigned guest, uint64_t gfn, uint64_t n);
enum pt_outcome own_finalize(struct own *o, unsigned guest);

/* What a MAP of the host's or a guest's context, by somebody who manages mappings, is told. */
enum pt_outcome own_may_map(const struct own *o, unsigned who, uint64_t at, uint64_t frame);
/* May this party reach the frame? `who` as above, or OWN_GUESTS + 1: hyp. */
bool own_reaches(const struct own *o, unsigned who, uint64_t frame);
/* The first rule that the state itself breaks (O1), or NULL. */
const char *own_unsound(const struct own *o);

#endif
