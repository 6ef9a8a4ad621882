/* SPDX-License-Identifier: BSD-2-Clause */
/* One transaction over ranges of several contexts of a machine: what a transfer of ownership is
 * made of. */
#ifndef PT_PARTIES_H
#define PT_PARTIES_H

#include <pt/txn.h>

/* Contexts in one transaction. */
#define PT_PARTIES PT_CLAIMS_AT_ONCE

/*
 * What the layer above (lib/owner) does inside a transaction; each may be NULL. Called in the
 * section of pt_parties_step(), in bounded steps: a call takes from *left what it costs in
 * descriptor visits, and when that is used up it says that it has more to do. May call lib, but for
 * claims and operations: no other transaction, point or fault of these contexts.
 */
struct pt_parties_hooks {
	/*
	 * After the claims were granted and drained, before anything is prepared: the tables of all
	 * parties are frozen in the claimed ranges. PT_OK: go on; PT_MORE: again; an error refuses
	 * the transaction: nothing has changed, and *err may say where (its code is set from the
	 * return). May reserve what the transaction will use.
	 */
	enum pt_outcome (*check)(void *arg, struct pt_agent *agent, int64_t *left,
				 struct pt_error *err);
	/*
	 * After the commit point, when the items of `done` parties have been carried out: first
	 * with 0, last with all, always in turn. What these parties had is in no TLB, and no access
	 * that used it is in flight; the items of the next party are untouched, and the claims of
	 * all stand. So frames are zeroed and owners written here (rule O2). True: done; false:
	 * again. Cannot fail.
	 */
	bool (*between)(void *arg, struct pt_agent *agent, uint32_t done, int64_t *left);
	/*
	 * The transaction ends, or claims again, without a commit, and check was called since:
	 * gives back what it reserved. The claims stand still. check may be called again after it.
	 */
	void (*undo)(void *arg, struct pt_agent *agent);
};

struct pt_parties_args {
	/*
	 * The items of one party after those of another, in the order in which parties are to be
	 * carried out: donor first, then receiver. Of each party as pt_txn_init() demands. They
	 * belong to the caller until the end.
	 */
	struct pt_item *item;
	uint32_t count;
	bool validate_only; /* check and prepare, then give all back */
	/* 0, or what the generation of context `expected` must be at the commit point. */
	uint64_t expected_generation;
	const struct pt_ctx *expected;
	const struct pt_parties_hooks *hooks; /* NULL: none */
	void *arg;			      /* of the hooks */
	void (*wake)(struct pt_waiter *);     /* called with &parties->leg[0].claim.waiter */
};

enum pt_parties_phase {
	PT_PARTIES_CLAIM,
	PT_PARTIES_DRAIN,
	PT_PARTIES_CHECK,
	PT_PARTIES_PREPARE,
	PT_PARTIES_BETWEEN,
	PT_PARTIES_COMMIT,
	PT_PARTIES_GRACE,
	PT_PARTIES_RETIRE,
	PT_PARTIES_DONE,
};

/* Caller's memory, not moved before the end. Fields are private to lib but for those marked. */
struct pt_parties {
	struct pt_parties_args args;
	struct pt_agent *agent; /* set by each step */
	uint32_t legs;		/* anyone: parties */
	uint32_t at;
	uint32_t waited; /* for the claims of which legs, when they went: a bit each */
	enum pt_parties_phase phase;
	bool committed, checked;
	/* One for each party: items, claim, pages, ledger. Anyone: effects and, at the end,
	 * generation. */
	struct pt_txn leg[PT_PARTIES];
	struct pt_grace grace;
	struct pt_effects effects; /* anyone: of all parties, at the end */
	struct pt_error error;	   /* anyone; index: of args.item */
};

/*
 * Prepares a transaction over the items of 1 to PT_PARTIES contexts of one machine, all of which
 * have passed pt_item_check() or pt_item_check_owner(). PT_OK; PT_INVALID, with error.index: no
 * items, too many contexts, one of another machine, a context whose items do not stand together,
 * items out of order, or `expected` is no party. Nothing is held.
 */
enum pt_outcome pt_parties_init(struct pt_parties *parties, const struct pt_parties_args *args);

/*
 * Runs until the end or for about `budget` descriptor visits; in a section that pt_section_end()
 * ends before the next call. Claims the hull of each party's items, all at once; waits for the
 * sections that were there before; check; prepares every party; the commit point, at which the
 * generation of each context counts; then party by party in the order of the items: carried out,
 * flushed, accesses in flight awaited, between. Then all claims are released. Until then they hold:
 * no point operation reaches the frames that are on their way. With `between` no claim shrinks
 * before; without it that of the last party does as it is carried out. The memory of every context
 * stays until the end, also when its teardown has begun: the caller sees to that.
 *
 * PT_MORE: again in another section. PT_PARKED: again after wake; meanwhile nothing is held. PT_OK:
 * done; outcomes, effects and generations are final. An error: nothing changed in any party, all
 * given back, `error` filled, effects zero: that of `check`, PT_GENERATION_MISMATCH, PT_WRONG_STATE
 * (a context is being torn down), and those of pt_txn_step().
 */
enum pt_outcome pt_parties_step(struct pt_parties *parties, struct pt_agent *agent,
				uint32_t budget);

/* Gives up before the commit point: as pt_txn_abort(). */
bool pt_parties_abort(struct pt_parties *parties, struct pt_agent *agent);

static inline bool pt_parties_committed(const struct pt_parties *parties)
{
	return parties->committed;
}

#endif
