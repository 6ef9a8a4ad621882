/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files about pagers share. */
#ifndef PTD_PAGER_PARTS_H
#define PTD_PAGER_PARTS_H

#include "domain_types.h"
#include "pagers.h"

static inline struct pager *pager_first(const struct context *c)
{
	return atomic_load_explicit(&c->pagers, memory_order_acquire);
}

static inline struct pager *pager_after(const struct pager *p)
{
	return atomic_load_explicit(&p->next, memory_order_acquire);
}

static inline bool pager_meets(const struct pager *p, uint64_t ipa, uint64_t size)
{
	return p->ipa - ipa < size || ipa - p->ipa < p->size;
}

/* The one whose range contains `ipa`, or NULL. */
static inline struct pager *pager_at(const struct context *c, uint64_t ipa)
{
	struct pager *p = pager_first(c);

	while (p && ipa - p->ipa >= p->size)
		p = pager_after(p);
	return p;
}

/* pager_pages.c: pages [first, last] have their content, or have none to come; how many changed.
 * Under the lock. */
uint64_t pager_set_there(struct pager *p, uint64_t first, uint64_t last);
uint64_t pager_set_failed(struct pager *p, uint64_t first, uint64_t last);

/* pager_waits.c, under the lock: the stream is woken if it has told all; who waits looks again;
 * pages that are waited for are asked for, as long as the window has room. */
void pager_rouse(struct pager *p);
void pager_wake_waiters(struct pager *p);
void pager_ask_more(struct pager *p);

#endif
