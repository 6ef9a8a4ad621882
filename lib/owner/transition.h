/* SPDX-License-Identifier: BSD-2-Clause */
/* What a transition is, as data, and the parts of the engine that carries it out; private to
 * lib/owner. */
#ifndef OWNER_TRANSITION_H
#define OWNER_TRANSITION_H

#include <pt/transfer.h>

#include "base/bits.h"
#include "internal.h"

/* Which address names the range, and where the rest is found. */
enum pt__by {
	PT__BY_FRAME,  /* no guest takes part */
	PT__BY_BOTH,   /* the request says where the guest gets it */
	PT__BY_GUEST,  /* the guest's leaves say which frames */
	PT__BY_OWNER,  /* the host's annotations say which guests */
	PT__BY_TABLES, /* the index says which frames are for a guest's tables */
};

/* A set of states. */
#define PT__IS(state) (1u << PT_PAGE_##state)

/* What the guest's entry must be; the outcomes of other states follow. */
enum pt__page {
	PT__PAGE_NONE,	   /* no guest takes part */
	PT__PAGE_VACANT,   /* NOPAGE */
	PT__PAGE_OWNED,	   /* its own, and not logged */
	PT__PAGE_SHARED,   /* its own, shared back */
	PT__PAGE_BORROWED, /* the host's, shared */
	PT__PAGE_FORCED,   /* as OWNED, in the words of who takes it by force */
	PT__PAGE_POISONED,
	PT__PAGE_LENT,		/* its own, lent */
	PT__PAGE_LENT_BORROWED, /* another's, lent to it */
};

enum pt__count {
	PT__COUNT_ANY,
	PT__COUNT_NONE, /* else WRONG_STATE */
	PT__COUNT_SOME, /* else WRONG_STATE */
	PT__COUNT_FREE, /* none; else BUSY */
	PT__COUNT_ROOM, /* below its most; else BUSY */
};

enum pt__guests { PT__ANY_GUEST, PT__PLAIN_GUEST, PT__PROTECTED_GUEST };
enum pt__wipe { PT__WIPE_NEVER, PT__WIPE_ASKED, PT__WIPE_ALWAYS };

/* What becomes of the entries of a side. */
enum pt__entry {
	PT__ENTRY_STAYS, /* only the claim is taken */
	PT__ENTRY_EMPTY,
	PT__ENTRY_NOTED,  /* LENT; else host: DONATION to hyp, or to the guest of the run; guest:
			     POISONED */
	PT__ENTRY_MAPPED, /* host: RWX; guest: as its state and the request say */
	PT__ENTRY_MARKED, /* guest: another state */
	PT__ENTRY_NONE,	  /* the side takes no part */
};

/* A row of docs/ownership.md, "Transitions". */
struct pt__row {
	uint8_t by, guests;
	uint8_t life; /* the guest's, a set of 1 << enum pt_guest_life */
	/* The giving side's frame: whose, host's and hyp's states as sets, counts. */
	uint8_t owner; /* enum pt_owner_kind */
	uint8_t host, hyp, shares, pins;
	bool log_is_busy; /* a log of the host's context that covers it: BUSY */
	bool table;	  /* hyp's: for the tables of the guest */
	uint8_t page;	  /* enum pt__page */
	uint8_t wipe;
	/* Afterwards. */
	uint8_t host_to, hyp_to, page_to;
	int8_t shares_by, pins_by; /* at no shares the frame is the host's OWNED */
	uint8_t host_entry, guest_entry;
	bool guest_gives;  /* the guests' entries go before the host's */
	bool books_before; /* records are written before any entry */
	bool account;	   /* names a guest, but no address of it: its table memory changes */
	bool table_to;
	bool relabels; /* the index changes where records do not: LENT by a guest, or not */
	bool known;    /* frames of a lending, that need no region: pieces of several may meet */
};

extern const struct pt__row pt__rows[PT_TRANSFERS];
/* Of a kind of lending, by who lends. */
const struct pt__row *pt__lend_row(enum pt_transfer_kind kind, bool by_host);
/* Of RECLAIM_DYING, by the state of the guest's page; NULL: none. */
const struct pt__row *pt__dying_row(enum pt_page_state state);

/* Units of the ledger. */
static inline uint64_t pt__frame_bytes(const struct pt_machine_owners *o)
{
	return UINT64_C(1) << o->frames.frame_shift;
}

/* Is any of these frames one of tables? size > 0. */
static inline bool pt__any_table(const struct pt_machine_owners *o, uint64_t pa, uint64_t size)
{
	return o->is_table && o->is_table(o->arg, pa, size);
}

static inline const struct pt_item *pt__host_item(const struct pt_transfer *t, uint32_t i)
{
	return &t->item[t->host_first + i];
}

/* request.c. The ranges of the request; at least one. */
static inline uint32_t pt__ranges(const struct pt_transfer *t)
{
	return t->args.range ? t->args.ranges : 1;
}

static inline struct pt_transfer_range pt__range(const struct pt_transfer *t, uint32_t i)
{
	const struct pt_transfer_args *a = &t->args;

	if (a->range)
		return a->range[i];
	return (struct pt_transfer_range){a->pa, a->ipa, a->size, a->guest, a->prot};
}

/* What is left of the range that lies `off` bytes into the request; its index. */
uint32_t pt__range_at(const struct pt_transfer *t, uint64_t off, struct pt_transfer_range *rest);
/* Notes the error at an offset of the request; returns its code. */
enum pt_outcome pt__at_fault(struct pt_transfer *t, enum pt_outcome code, uint64_t off);
/* What no table and no party is needed for, then what parties are: with `error`. */
enum pt_outcome pt__check_request(struct pt_transfer *t);
enum pt_outcome pt__check_parties(struct pt_transfer *t);
/* This uses the guest until its end. PT_OK, PT_TOO_LARGE, or as pt__guest_enter(). */
enum pt_outcome pt__hold(struct pt_transfer *t, uint32_t guest);

/* The record of a frame after the transition, `times` of whose runs name it. */
static inline struct pt_frame_record pt__after(const struct pt__row *row,
					       struct pt_frame_record was, uint32_t times)
{
	struct pt_frame_record now = was;

	if (row->host_to != PT_PAGE_STATES)
		now.host = row->host_to;
	if (row->hyp_to != PT_PAGE_STATES)
		now.hyp = row->hyp_to;
	now.table = row->table_to;
	now.pins = (uint16_t)(was.pins + row->pins_by);
	now.shares = was.shares + (uint32_t)row->shares_by * times;
	if (row->shares_by < 0 && !now.shares)
		now.host = PT_PAGE_OWNED;
	return now;
}

/* What a guest has at an address, and how far that goes on, in one piece of memory: [ipa, *last];
 * no further than *last was and the table, or the block, go. LOCKED or no state of a guest's:
 * PT_PAGE_STATES. *pa: of a leaf, for `ipa`. In a section. */
enum pt_page_state pt__page_at(struct pt_ctx *ctx, uint64_t ipa, uint64_t *pa, uint64_t *last);

/* guest.c: counts a transition in that uses the guest. PT_OK; PT_NOT_FOUND, PT_WRONG_STATE (it is
 * reserved): not counted. */
enum pt_outcome pt__guest_enter(struct pt_machine_owners *owners, uint32_t guest);
/* The same for what becomes or was memory of its tables: it may be reserved. */
enum pt_outcome pt__guest_enter_account(struct pt_machine_owners *owners, uint32_t guest);
/* Its context; NULL: it is only reserved. While it is entered. */
struct pt_ctx *pt__guest_ctx(const struct pt_guest *guest);
/* Has it anything, from *at on? PT_OK: no; PT_MORE: the budget is spent; PT_WRONG_STATE: at *at. */
enum pt_outcome pt__guest_look(struct pt_ctx *ctx, uint64_t *at, int64_t *left);
void pt__guest_leave(struct pt_machine_owners *owners, uint32_t guest);

/* lending.c. Under the claims of its transition: may it still be? Then: it is. */
enum pt_outcome pt__lend_judge(struct pt_transfer *t);
void pt__lend_keep(const struct pt_transfer *t);
/* A guest is dying: its open lists go. It is gone: nobody finds a borrower of this handle. Has it
 * lent anything? */
void pt__lend_drop_lists(struct pt_machine_owners *owners, uint32_t guest);
void pt__lend_forget(struct pt_machine_owners *owners, uint32_t guest);
bool pt__lends(struct pt_machine_owners *owners, uint32_t guest);
/* As pt_transfer_init(), of any row; `lend` as in struct pt_transfer. */
enum pt_outcome pt__transfer_init(struct pt_transfer *t, const struct pt_transfer_args *args,
				  const struct pt__row *row, struct pt_lend *lend);
/* request.c: is all of it in one region, and an address of the host's? */
bool pt__is_memory(const struct pt_machine_owners *owners, uint64_t pa, uint64_t size);

/* request.c: is all of it in one region? */
bool pt__in_region(const struct pt_machine_owners *owners, uint64_t pa, uint64_t size);

/* request.c: how many regions of memory begin at or below `pa`. */
uint32_t pt__regions_to(const struct pt_machine_owners *owners, uint64_t pa);

/* rules.c: from now on the context's maps and faults are as its frames' owners say. */
void pt__rule_host(struct pt_machine_owners *owners);
void pt__rule_guest(struct pt_machine_owners *owners, struct pt_ctx *ctx);

/* topup.c: the index's word for what is for a guest's tables, 0: nothing; finds runs of it; whether
 * a run still is; and counts frames in or out. */
static inline uint64_t pt__tables_meta(uint32_t guest)
{
	return (uint64_t)guest + 1;
}
enum pt_outcome pt__scan_tables(struct pt_transfer *t, int64_t *left);
bool pt__are_tables(const struct pt_transfer *t, uint64_t pa, uint64_t *n);
void pt__count_tables(const struct pt_transfer *t, uint32_t guest, uint64_t bytes, bool gains);

/* transfer.c: to who watches. */
void pt__tell(const struct pt_transfer *t, bool done);

/* scan.c: finds runs, without a claim. PT_OK, PT_MORE, or an error. */
enum pt_outcome pt__scan(struct pt_transfer *t, int64_t *left);
/* items.c: makes items of the runs. */
enum pt_outcome pt__make_items(struct pt_transfer *t);
/* judge.c: looks at all pages under the claims. */
enum pt_outcome pt__judge(struct pt_transfer *t, int64_t *left);
/* One frame, with this record. False: pt__judge() may have something to say. */
bool pt__judge_one(const struct pt_transfer *t, uint64_t pa, struct pt_frame_record record);
/* books.c: reserve what the books need; keep them; and give back what was reserved. */
enum pt_outcome pt__books_reserve(struct pt_transfer *t, struct pt_agent *agent, int64_t *left);
bool pt__books_keep(struct pt_transfer *t, struct pt_agent *agent, int64_t *left);
bool pt__books_settle(struct pt_transfer *t, struct pt_agent *agent, int64_t *left);

/*
 * The same of the one frame of the first run: its record was found, and read under the claims, and
 * so was its place in the index. reserve: false: nothing is kept, and it is to be run as any other.
 * What the index says is mostly one leaf's, and is entered by then: nothing can go wrong after it.
 * Then keep, once.
 */
struct pt__book {
	uint64_t pa;
	struct pt__record record;
	struct pt__cursor cursor;
	struct pt_extent extent; /* what the index is to say */
	bool promised;		 /* and does not yet */
};
bool pt__book_reserve(struct pt_transfer *t, struct pt_agent *agent, struct pt__book *book);
void pt__book_keep(struct pt_transfer *t, struct pt_agent *agent, const struct pt__book *book);

/* point.c: a transition of one frame, from its beginning to its end in this section: true, it is
 * done. False: nothing was, and it is to be run as any other. */
bool pt__transfer_page(struct pt_transfer *t, struct pt_agent *agent);

#endif
