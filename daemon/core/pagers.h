/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pagers: ranges of a context's memslots whose pages are absent until a stream of PagerService has
 * supplied them, and the calls that wait for such pages.
 *
 * A page is absent, or there for good. Its bit is set after its content has been written, and is
 * read before a fault makes a leaf of it, so that nobody sees a part of the content. All else is
 * under one lock, which is never held across a call into lib.
 */
#ifndef PTD_PAGERS_H
#define PTD_PAGERS_H

#include "call.h"
#include "domain_limits.h"

#include <pt/host/rcu.h>
#include <pt/outcome.h>
#include <pt/platform.h>

#define PAGE_WAIT_BUCKETS 256u /* a power of two */

struct context;
struct machine;

/* Why a page is needed. */
struct page_access {
	uint64_t ipa; /* any byte of it */
	uint32_t vcpu;
	uint8_t access; /* enum pt_access */
	bool nested;	/* through a shadow, or by a walk of a guest hypervisor's tables */
};

/* A call that waits for a page. In the call's memory, zeroed at first. */
struct page_wait {
	struct page_wait *next, **link;	       /* those whose page is of the same bucket */
	struct page_wait *later, **later_link; /* unless asked: those that are to be asked for */
	struct pager *pager;		       /* while it is queued */
	struct call *call;
	struct page_access why;
	uint64_t page; /* number in the pager's range */
	bool queued;   /* lock */
	bool asked;    /* lock: the page is among those wanted, or was */
};

/* A page that was asked for, or is about to be. */
struct page_wanted {
	uint64_t page, seq; /* seq: when it is told */
	struct page_access why;
	bool told;
};

struct pager {
	struct context *context;
	struct pt_rcu_head rcu;
	_Atomic(struct pager *) next;	    /* of the context; lock to write */
	struct pager *all_next, **all_link; /* lock: those of the domain */
	uint64_t ipa, size, pages;
	unsigned shift;		   /* log2 of the granule */
	_Atomic uint64_t *present; /* a bit a page; set by its stream */
	_Atomic uint64_t absent;   /* pages without one */
	/* Under the lock. */
	char principal[PRINCIPAL_MAX]; /* whose stream it is, or was: its share of all pagers */
	uint64_t *failed;	       /* a bit a page, of absent ones */
	uint64_t failed_pages, seq;    /* seq: of the page that was told last */
	struct call *server;	       /* the stream; NULL: none */
	bool opening;		       /* there is none yet, but it comes */
	bool ended;  /* out of all lists: the slot was changed, or the context went */
	bool asleep; /* the stream has told all; news wakes it */
	uint32_t window, wanted_count, waiting;
	struct page_wait *bucket[PAGE_WAIT_BUCKETS]; /* who waits, by number of the page */
	struct page_wait *first, **last;	     /* those not asked for, in order of arrival */
	struct page_wanted wanted[LIMIT_PAGER_WINDOW];
};

struct pagers {
	struct pt_port_lock lock;
	struct pager *first;
	uint32_t count;
};

/* pt_present_fn of every context; `context` is a struct context. */
bool pagers_present(void *context, struct pt_ipa ipa, uint64_t size);

/*
 * After PT_ABSENT, in the same section. PT_OK: the page is there by now. PT_PARKED: the call will
 * be woken, once; page_wait_end() if it is given up. PT_ABSENT: no stream serves the page.
 * PT_PAGE_FAILED: it has no content.
 */
enum pt_outcome page_await(struct call *call, struct context *context, struct page_wait *wait,
			   const struct page_access *why);
void page_wait_end(struct pagers *pagers, struct page_wait *wait);
/* What page_await() would return now; nothing waits. */
enum pt_outcome page_state(struct pagers *pagers, const struct context *context, uint64_t ipa);
/* If `call` waits for a page it waits no longer, and is woken. */
void page_wait_cut(struct pagers *pagers, const struct call *call);

/* What came of pager_open(). */
struct pager_opening {
	struct pager *pager;
	bool resumed;
	/* Refused: the limit that is met; the range that is in the way, and who has it. */
	const char *limit;
	uint64_t ipa, size;
	char principal[PRINCIPAL_MAX];
};

/*
 * The pager of this range, for the stream that opens it: a new one, all of whose pages are absent,
 * or with `resumed` the one that was left without a stream, which is the caller's from now on.
 * PT_OK; PT_ALREADY_EXISTS: another one meets the range, or has its stream; PT_TOO_LARGE: as many
 * are there as may be; PT_WRONG_STATE: the context is being deleted; PT_NO_MEMORY.
 */
enum pt_outcome pager_open(struct call *call, struct context *context, uint64_t ipa, uint64_t size,
			   struct pager_opening *opening);
/* The stream serves it from now on, with so many pages wanted at once. */
void pager_serve(struct pagers *pagers, struct pager *pager, struct call *call, uint32_t window);
/* The stream leaves: who waits looks again, and finds no stream. `pager` may be gone afterwards. */
void pager_leave(struct pagers *pagers, struct pager *pager);
/* It comes to its end, with all of its pages or none; who waits looks again. Then pager_leave(). */
void pager_end(struct pagers *pagers, struct pager *pager);
bool pager_ended(struct pagers *pagers, struct pager *pager);
/* Nothing wakes the stream any more until pager_next(). */
void pager_hush(struct pagers *pagers, struct pager *pager);

/* The next page to be asked for. False: none, and the next one wakes the stream. pager_told() when
 * it was sent. */
bool pager_next(struct pagers *pagers, struct pager *pager, struct page_wanted *wanted);
void pager_told(struct pagers *pagers, struct pager *pager, uint64_t seq);

/* Is the page there? */
static inline bool pager_has(const struct pager *pager, uint64_t page)
{
	return atomic_load_explicit(&pager->present[page / 64], memory_order_acquire) >>
		       (page % 64) &
	       1;
}
/* Pages [first, first + count) have their content, or with `failed` there is none for those that
 * are absent. By the stream alone. Returns how many changed. */
uint64_t pager_supplied(struct pagers *pagers, struct pager *pager, uint64_t first, uint64_t count,
			bool failed);
/* The stream brought content for them, which may not be written as things are: who waits for them
 * looks at what has changed, and waits no longer, or asks again. */
void pager_refused(struct pagers *pagers, struct pager *pager, uint64_t first, uint64_t count);

/* A slot at [ipa, ipa + size) was changed or deleted, or with size 0 the context goes: so do the
 * pagers there, their streams are woken and find them ended. */
void pagers_end(struct context *context, uint64_t ipa, uint64_t size);
/* A pager other than `but` that the range meets; NULL: none. To the end of the section. */
const struct pager *pagers_meet(struct context *context, uint64_t ipa, uint64_t size,
				const struct pager *but);
void pagers_wake_all(struct pagers *pagers);

/* Up to `room` pagers of `machine`, newest first. Returns how many there are. */
struct pager_seen {
	uint64_t ipa, size, absent, failed, context;
	uint32_t wanted, waiting;
	bool served;
	char principal[PRINCIPAL_MAX];
};
uint32_t pagers_list(struct pagers *pagers, const struct machine *machine, struct pager_seen *seen,
		     uint32_t room);

#endif
