/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paged memory: each context has one memslot, apart from what items work on, whose pages come from
 * pagers. It may move between two places of its machine's memory, which keep what they hold.
 */
#ifndef SIM_PAGED_H
#define SIM_PAGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <pt/outcome.h>

struct call;
struct client;
struct context;
struct exec;
struct looked;
struct model;
struct model_context;
struct op;
struct sim;

#define PAGED_IPA    (UINT64_C(1) << 28)
#define PAGED_PAGES  16u
#define PAGED_PLACES 2u
#define PAGED_WORDS  2u /* of a page that are accessed: the first and the last */
#define PAGED_PAGERS 2u /* that there are at a time: a range is all pages, or half of them */

enum page_is { PAGE_THERE, PAGE_ABSENT, PAGE_FAILED };
enum pager_is { PAGER_NONE, PAGER_OPENS, PAGER_SERVES, PAGER_ALONE };

struct model_pager {
	enum pager_is is;
	uint32_t first, pages, window;
	struct exec *exec; /* the call that opens or serves it */
	const void *pager; /* the daemon's */
};

struct paged {
	bool slot, moves; /* moves: the change is committed, and has not ended */
	uint8_t place, old_place;
	enum page_is page[PAGED_PAGES];
	struct model_pager pager[PAGED_PAGERS];
};

/* What came up, for the statistics. */
enum pager_event {
	PAGED_OPENED,
	PAGED_RESUMED,
	PAGED_MET,	    /* refused, since it met another one */
	PAGED_NEVER_SERVED, /* the stream ended before the range was absent */
	PAGED_DATA,	    /* pages supplied */
	PAGED_ZERO,
	PAGED_AS_IS,
	PAGED_FAILED,
	PAGED_LATE,  /* pages that were there before */
	PAGED_BAD,   /* supplies that were refused */
	PAGED_ASKED, /* pages that a stream was asked for */
	PAGED_WAITS, /* accesses that came to wait */
	PAGED_FULL,  /* of them: while as many pages were asked for as may be */
	PAGED_GOT,   /* accesses that waited, and went on */
	PAGED_GOT_NONE,
	PAGED_GOT_NO_PAGER,
	PAGED_CANCELLED,
	PAGED_OVERDUE,
	PAGED_MOVED, /* accesses that waited while the slot moved */
	PAGED_GONE,  /* while the context went */
	PAGED_DIED,  /* streams that were cut while they served */
	PAGED_LEFT,  /* that ended by themselves */
	PAGED_ENDED, /* that lost their slot or context */
	PAGED_THROUGH,
	PAGED_DRAINED,
	PAGED_EVENTS
};
const char *paged_event_name(enum pager_event event);

/* ---- paged.c: the model, and what it says of calls ---- */

bool paged_has(uint64_t ipa);
/* Where page `page` is in each context. */
uint64_t paged_address(const struct sim *sim, uint32_t page);
/* Where page `page` of context number `context` is. */
uint64_t paged_pa(const struct sim *sim, uint32_t context, uint32_t place, uint32_t page);
/* Of the first or the last word. */
uint64_t paged_offset(const struct sim *sim, uint32_t word);
uint64_t paged_memory(uint32_t granule_shift); /* bytes of a machine */
/* What is at the first and the last word of the page at that place. */
uint64_t *paged_words(struct model *model, const struct model_context *c, uint32_t place,
		      uint32_t page);
/* Whose range has the page; NULL: nobody's. */
struct model_pager *paged_pager_at(struct paged *paged, uint32_t page);
/* What who needs the page gets: PT_PARKED: it waits. */
enum pt_outcome paged_state(struct paged *paged, uint32_t page);

/* A transaction of the call that runs takes effect, at that generation. */
void paged_commit(struct sim *sim, struct model_context *c, uint64_t generation);
/* The answers of Access and SetSlot, at the moment of their making. */
void paged_check_access(struct looked *l, const void *response);
/* The result of a session's access to this page, or of its fault there. */
void paged_check_result(struct looked *l, uint32_t page, bool fault, uint32_t outcome, uint64_t pa);
void paged_check_slot(struct looked *l, const void *response);
/* May ServePages end so? */
bool paged_end_is_legal(struct looked *l, const struct call *call);
/* The call that waited is run, or given up. */
void paged_goes_on(struct sim *sim, struct exec *exec, const struct call *call);
/* ServePages is over in the daemon. */
void paged_over(struct sim *sim, struct exec *exec, const struct call *call);

/* ---- paged_waits.c ---- */

/* The daemon's object in the model; NULL: it has gone. */
struct model_context *paged_context(const struct context *context);
uint32_t paged_page(uint64_t ipa);
void paged_wrong(const struct exec *exec, const char *what, uint64_t told, uint64_t due);
/* No shard of the daemon has anything to do. Then nobody waits but for a page that
 * still comes, and nobody beyond a deadline. */
void paged_at_rest(struct sim *sim, uint32_t daemon);

/* ---- pager.c: clients that are pagers ---- */

void pager_set_up(struct op *op, uint64_t *random);
void pager_fini(struct op *op);
void pager_begin(const struct sim *sim, struct op *op);
ssize_t pager_give(struct op *op, uint8_t *out, size_t room, uint32_t *flags);
void pager_receive(struct sim *sim, struct op *op);
/* Its stream has ended: it needs no other. */
bool pager_is_over(const struct op *op);
/* It serves, and says itself when that is over. */
bool pager_lasts(const struct op *op);
/* It has said that it leaves, or has served for as long as it wanted to. */
bool pager_has_left(const struct op *op);
/* One message, or the end, of those whose time has come. */
void pager_turn(struct sim *sim, struct client *client);
bool pager_has_work(const struct sim *sim, const struct client *client);
uint64_t pager_next_ns(const struct client *client);

#endif
