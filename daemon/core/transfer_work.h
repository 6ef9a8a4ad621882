/* SPDX-License-Identifier: BSD-2-Clause */
/* A transfer of ownership that a call steps through: domain_work.h for pt_transfer. */
#ifndef PTD_TRANSFER_WORK_H
#define PTD_TRANSFER_WORK_H

#include "owner_told.h"

#include <pt/lending.h>

enum transfer_holds { TRANSFER_RUNS, TRANSFER_PARKED, TRANSFER_GIVES_UP, TRANSFER_LAST_WAKE };

struct transfer_work {
	struct call *call;
	enum transfer_holds holds;
	bool wake_due; /* it was parked when it gave up: a wake may be on its way */
	bool lends;    /* `lend` it is */
	union {
		struct pt_transfer t;
		struct pt_lend lend;
	};
	struct pt_grace grace;
	uint32_t kind; /* Ptd__V1__TransferKind, as who watches is told */
	struct owner_told told;
};

/* pt_machine_owners' watch(): collects what the runs were, and tells what they have become. */
void transfer_watch(struct transfer_work *work, struct machine *machine, bool done);

/* pt_transfer_init(), in memory of the call's; what it says. args->wake is set here. */
enum pt_outcome transfer_begin(struct call *call, struct transfer_work *work,
			       struct pt_transfer_args *args);
/* The same for a call of lending's. */
enum pt_outcome transfer_lend_begin(struct call *call, struct transfer_work *work,
				    struct pt_lend_args *args);

/* Where a transition that is under way stands. */
static inline struct transfer_work *transfer_work_of(const struct pt_transfer *t)
{
	return t->lend ? container_of(t->lend, struct transfer_work, lend)
		       : container_of(t, struct transfer_work, t);
}
/* And the other way round. */
static inline struct pt_transfer *transfer_of(struct transfer_work *work)
{
	return work->lends ? &work->lend.t : &work->t;
}

/* CALL_DONE: it has ended with *outcome. */
enum call_result transfer_step(struct transfer_work *work, enum pt_outcome *outcome);
/* The call was abandoned. CALL_DONE: nothing is held any more; *committed: it was past its commit
 * point, and has ended well. Else call again. */
enum call_result transfer_abandon(struct transfer_work *work, bool *committed);

/* The effect stands: it is counted, who watches the contexts is told, and blocks come back and
 * empty tables go where they can, in idle time. */
void transfer_settle(struct call *call, const struct pt_transfer *t);

/*
 * A dying guest leaves lendings: it relinquishes what it has, and what it lent and nobody has ends.
 * leave_step(): CALL_DONE: PT_OK, also for a guest that is not dying; PT_NO_MEMORY, PT_QUOTA.
 */
void leave_begin(struct call *call, struct transfer_work *work, struct machine *machine,
		 uint32_t guest);
enum call_result leave_step(struct call *call, struct transfer_work *work,
			    enum pt_outcome *outcome);

/*
 * The end of a guest: it leaves lendings, its pages go back to the host, then its table memory, and
 * its number is free again. The first part of its context's deletion, or all there is of a guest
 * that is only reserved.
 */
enum guest_end_phase { END_LENDINGS, END_PAGES, END_TABLES, END_NUMBER };

struct guest_end {
	struct machine *machine;
	uint32_t guest;
	uint64_t handle; /* under which it is found, until its number is free */
	bool hidden;
	uint64_t span; /* of its addresses; 0: it has given its pages back before */
	enum guest_end_phase phase;
	struct transfer_work work;
	struct pt_guest_final final;
};

/* With its pages, of which the last is below `span`; 0: it must have none. */
void guest_end_begin(struct call *call, struct guest_end *end, struct machine *machine,
		     uint32_t guest, uint64_t handle, uint64_t span);
/* CALL_DONE: PT_OK, or why it cannot be done now (no memory; it has pages, is live); then nothing
 * is lost by beginning again later. */
enum call_result guest_end_step(struct call *call, struct guest_end *end, enum pt_outcome *outcome);

#endif
