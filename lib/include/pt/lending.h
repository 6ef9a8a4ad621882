/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending: memory that stays its owner's, who may not reach it while others have it.
 * docs/ownership.md, "Lending", is the reference of everything here. */
#ifndef PT_LENDING_H
#define PT_LENDING_H

#include <pt/transfer.h>

#define PT_LENDINGS	  16 /* in a machine; pt_machine_owners.lendings is at most this */
#define PT_LEND_BORROWERS 4
#define PT_LEND_PIECES	  8

enum pt_lending_state {
	PT_LENDING_NONE,
	PT_LENDING_OPEN,     /* pieces are missing */
	PT_LENDING_CHANGING, /* the transition of its last piece is under way: neither open nor lent
			      */
	PT_LENDING_LENT,
};

struct pt_borrower {
	uint32_t guest; /* handle; PT_NO_GUEST: it is gone */
	bool has;	/* it has retrieved the lending, */
	uint64_t ipa;	/* to here */
};

/*
 * A lending. Zeroed: none. Its slot is the caller's memory (struct pt_machine_owners), its fields
 * are lib's, under the lock of the ledger; pt_lending_get() copies it.
 */
struct pt_lending {
	uint64_t handle; /* 56 bits, never given again */
	uint64_t size;	 /* bytes */
	uint64_t named;	 /* OPEN: of the pieces so far */
	uint64_t unit;	 /* bytes: the largest granule of host, lender and borrowers */
	uint32_t state;	 /* enum pt_lending_state */
	uint32_t lender; /* a guest's handle, or PT_NO_GUEST: the host */
	bool wipe;	 /* when nobody has it any more */
	uint32_t borrowers, runs;
	struct pt_borrower borrower[PT_LEND_BORROWERS];
	/* OPEN: the pieces, by pa or, of a guest, ipa. Then the frames, in the order of the list,
	 * and where a lender that is a guest has them. */
	struct pt_transfer_run run[PT_TRANSFER_RUNS];
};

struct pt_lend_list {
	uint32_t lender; /* a guest's handle, or PT_NO_GUEST: the host */
	uint32_t borrowers;
	uint32_t borrower[PT_LEND_BORROWERS];
	uint64_t size; /* bytes that the pieces come to */
	bool wipe;     /* when the last borrower has relinquished */
};

/*
 * Begins a list: nothing is lent yet. PT_OK and *handle; PT_INVALID: no size, no borrowers or too
 * many, one twice or the lender; PT_UNSUPPORTED: the machine cannot wipe; PT_MISALIGNED: size, to
 * the unit; PT_NOT_FOUND, PT_WRONG_STATE: of a party; PT_BUSY: no slot, or no handle, is left. Any
 * agent, in a section.
 */
enum pt_outcome pt_lend_open(struct pt_machine_owners *owners, const struct pt_lend_list *list,
			     uint64_t *handle);

/* The list was not completed in time: it is gone. PT_OK, PT_NOT_FOUND, PT_WRONG_STATE: it is not
 * open any more. Any agent, in a section. */
enum pt_outcome pt_lend_expire(struct pt_machine_owners *owners, uint64_t handle);

/* A copy of what the lending is at some moment. PT_OK, PT_NOT_FOUND. Any agent, in a section. */
enum pt_outcome pt_lending_get(struct pt_machine_owners *owners, uint64_t handle,
			       struct pt_lending *out);

enum pt_lend_kind {
	PT_LEND_PIECE = 1,  /* who: the lender; at, size: a piece of its memory */
	PT_LEND_RETRIEVE,   /* who: a borrower; at: where it gets all pages */
	PT_LEND_RELINQUISH, /* who: a borrower */
	PT_LEND_RECLAIM,    /* who: the lender */
	/*
	 * who: a dying guest. What its teardown owes to lendings: it relinquishes what it has, and
	 * lendings of its that nobody has end. Again and again is right; PT_BUSY: a transition
	 * that began before the guest's end was under way, so do it again.
	 */
	PT_LEND_LEAVE,
};

struct pt_lend_args {
	struct pt_machine_owners *owners;
	uint32_t kind;	 /* enum pt_lend_kind */
	uint32_t who;	 /* a guest's handle, or PT_NO_GUEST: the host */
	uint64_t handle; /* of the lending; LEAVE: 0 */
	uint64_t at;	 /* PIECE: PA of the host's, else IPA; RETRIEVE: IPA; else 0 */
	uint64_t size;	 /* PIECE: bytes; else 0 */
	uint64_t id;	 /* of the request: what its extents bear */
	void (*wake)(struct pt_waiter *); /* called with &lend->t.parties.leg[0].claim.waiter */
};

enum pt_lend_phase {
	PT_LEND_BEGIN,
	PT_LEND_RUN,  /* the transition that was asked for */
	PT_LEND_LAST, /* the lending of a dying lender that nobody has any more ends */
	PT_LEND_DONE,
};

/* One call. Caller's memory, not moved before the end. Private to lib but for what is marked. */
struct pt_lend {
	struct pt_lend_args args;
	enum pt_lend_phase phase;
	uint32_t kind, who; /* of the transition at hand; and its lending's */
	uint64_t handle;
	uint32_t slot; /* LEAVE: the next to be looked at */
	bool busy;     /* LEAVE: a transition was under way when it began */
	bool complete; /* anyone, at the end: this was the piece that made the list a lending */
	struct pt_transfer_range range[PT_TRANSFER_RUNS];
	struct pt_transfer t;
	struct pt_effects effects; /* anyone: of all parties, at the end */
	struct pt_error error;	   /* anyone: index: of the piece; ipa: the caller's address */
};

/*
 * Prepares a call: PT_OK, or PT_INVALID: no such kind, or an argument that the kind has not.
 * Nothing is held. Any context.
 */
enum pt_outcome pt_lend_init(struct pt_lend *lend, const struct pt_lend_args *args);

/*
 * Runs until the end or for about `budget` descriptor visits; in a section that ends before the
 * next call. PT_MORE: again in another section. PT_PARKED: again after wake. PT_OK: done, as
 * pt_transfer_step() says it. An error: code and address are in `error`; nothing has changed, but
 * that a list is gone whose last piece was refused, for whatever reason. They are those of
 * docs/ownership.md; PT_TOO_LARGE: the frames of a guest's lending lie in more than
 * PT_TRANSFER_RUNS pieces; PT_CANCELLED after an abort. LEAVE may have done a part. A relinquish
 * is done when the borrower has nothing any more; if then the lending of a dying lender cannot end
 * for lack of memory, LEAVE of the lender does it.
 */
enum pt_outcome pt_lend_step(struct pt_lend *lend, struct pt_agent *agent, uint32_t budget);

/* Gives up before the commit point: as pt_transfer_abort(). */
bool pt_lend_abort(struct pt_lend *lend, struct pt_agent *agent);

#endif
