/* SPDX-License-Identifier: BSD-2-Clause */
/* Pagers: what is absent, who waits for it, and what their streams are to ask for. */
#include "pagers.h"

#include "domain_types.h"

#include <stdlib.h>

/* ---- bits ---- */

/* Those of [first, last] in word number `at`. */
static uint64_t mask_of(uint64_t at, uint64_t first, uint64_t last)
{
	uint64_t mask = UINT64_MAX;

	if (at == first / 64)
		mask &= UINT64_MAX << first % 64;
	if (at == last / 64)
		mask &= UINT64_MAX >> (63 - last % 64);
	return mask;
}

static uint64_t count_of(uint64_t bits)
{
	uint64_t n = 0;

	for (; bits; bits &= bits - 1)
		n++;
	return n;
}

static bool all_there(const struct pager *p, uint64_t first, uint64_t last)
{
	for (uint64_t at = first / 64; at <= last / 64; at++)
		if (~atomic_load_explicit(&p->present[at], memory_order_acquire) &
		    mask_of(at, first, last))
			return false;
	return true;
}

static uint64_t set_there(struct pager *p, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t at = first / 64; at <= last / 64; at++) {
		uint64_t mask = mask_of(at, first, last);
		uint64_t old =
			atomic_fetch_or_explicit(&p->present[at], mask, memory_order_release);

		n += count_of(mask & ~old);
		p->failed_pages -= count_of(mask & p->failed[at]);
		p->failed[at] &= ~mask;
	}
	atomic_fetch_sub_explicit(&p->absent, n, memory_order_release);
	return n;
}

static uint64_t set_failed(struct pager *p, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t at = first / 64; at <= last / 64; at++) {
		uint64_t mask = mask_of(at, first, last) & ~p->failed[at] &
				~atomic_load_explicit(&p->present[at], memory_order_relaxed);

		n += count_of(mask);
		p->failed[at] |= mask;
	}
	p->failed_pages += n;
	return n;
}

/* ---- ranges ---- */

static bool meets(const struct pager *p, uint64_t ipa, uint64_t size)
{
	return p->ipa - ipa < size || ipa - p->ipa < p->size;
}

/* A step looks at no more words than this; a block that large is made when all is there. */
#define MOST_WORDS 4096u

static bool is_there(const struct pager *p, uint64_t ipa, uint64_t last)
{
	uint64_t end = p->ipa + (p->size - 1);
	uint64_t lo = ipa > p->ipa ? ipa : p->ipa, hi = last < end ? last : end;

	if (!atomic_load_explicit(&p->absent, memory_order_acquire))
		return true;
	lo = (lo - p->ipa) >> p->shift;
	hi = (hi - p->ipa) >> p->shift;
	return hi / 64 - lo / 64 < MOST_WORDS && all_there(p, lo, hi);
}

static struct pager *first_of(const struct context *c)
{
	return atomic_load_explicit(&c->pagers, memory_order_acquire);
}

static struct pager *next_of(const struct pager *p)
{
	return atomic_load_explicit(&p->next, memory_order_acquire);
}

bool pagers_present(void *context, struct pt_ipa ipa, uint64_t size)
{
	for (const struct pager *p = first_of(context); p; p = next_of(p))
		if (meets(p, ipa.v, size) && !is_there(p, ipa.v, ipa.v + (size - 1)))
			return false;
	return true;
}

bool pagers_meet(struct context *c, uint64_t ipa, uint64_t size, const struct pager *but)
{
	for (const struct pager *p = first_of(c); p; p = next_of(p))
		if (p != but && meets(p, ipa, size))
			return true;
	return false;
}

/* ---- who waits, and what is asked for; under the lock ---- */

static void rouse(struct pager *p)
{
	if (p->server && p->asleep)
		call_wake(p->server);
	p->asleep = false;
}

static void enqueue(struct pager *p, struct page_wait *w)
{
	w->next = NULL;
	w->pager = p;
	w->link = p->last;
	*p->last = w;
	p->last = &w->next;
	w->queued = true;
	p->waiting++;
}

static void dequeue(struct pager *p, struct page_wait *w)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	else
		p->last = w->link;
	w->queued = false;
	p->waiting--;
}

static bool is_wanted(const struct pager *p, uint64_t page)
{
	for (uint32_t i = 0; i < p->wanted_count; i++)
		if (p->wanted[i].page == page)
			return true;
	return false;
}

/* One request a page, however many wait; none beyond the window, which is looked at first: where
 * thousands wait it is full, and each supply comes by all of them. */
static void ask_for(struct pager *p, struct page_wait *w)
{
	if (!p->server || p->wanted_count >= p->window)
		return;
	w->asked = is_wanted(p, w->page);
	if (w->asked)
		return;
	p->wanted[p->wanted_count++] =
		(struct page_wanted){.page = w->page, .seq = ++p->seq, .why = w->why};
	w->asked = true;
	rouse(p);
}

static void wake(struct pager *p, struct page_wait *w)
{
	dequeue(p, w);
	call_wake(w->call);
}

static void wake_all(struct pager *p)
{
	while (p->first)
		wake(p, p->first);
}

/* Who waits for [first, last] looks again; others may be asked for now. */
static void pass_on(struct pager *p, uint64_t first, uint64_t last)
{
	for (struct page_wait *w = p->first, *next; w; w = next) {
		next = w->next;
		if (w->page >= first && w->page <= last)
			wake(p, w);
		else if (!w->asked)
			ask_for(p, w);
	}
}

static void forget_wanted(struct pager *p, uint64_t first, uint64_t last)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->wanted_count; i++)
		if (p->wanted[i].page < first || p->wanted[i].page > last)
			p->wanted[n++] = p->wanted[i];
	p->wanted_count = n;
}

static struct pager *pager_at(const struct context *c, uint64_t ipa)
{
	struct pager *p = first_of(c);

	while (p && ipa - p->ipa >= p->size)
		p = next_of(p);
	return p;
}

static enum pt_outcome await(struct pager *p, struct page_wait *w)
{
	w->page = (w->why.ipa - p->ipa) >> p->shift;
	if (pager_has(p, w->page))
		return PT_OK;
	if (p->failed[w->page / 64] >> w->page % 64 & 1)
		return PT_PAGE_FAILED;
	if (!p->server && !p->opening)
		return PT_ABSENT;
	enqueue(p, w);
	ask_for(p, w);
	return PT_PARKED;
}

enum pt_outcome page_await(struct call *call, struct context *c, struct page_wait *w,
			   const struct page_access *why)
{
	struct pagers *list = &call->domain->pagers;
	enum pt_outcome o = PT_OK;
	struct pager *p;

	pt_port_lock(&list->lock);
	p = pager_at(c, why->ipa);
	if (w->queued) /* it runs again before its wake */
		dequeue(w->pager, w);
	*w = (struct page_wait){.call = call, .why = *why};
	if (p)
		o = await(p, w);
	pt_port_unlock(&list->lock);
	return o;
}

void page_wait_end(struct pagers *list, struct page_wait *w)
{
	pt_port_lock(&list->lock);
	if (w->queued)
		dequeue(w->pager, w);
	pt_port_unlock(&list->lock);
}

static struct page_wait *wait_of(const struct pagers *list, const struct call *call)
{
	for (const struct pager *p = list->first; p; p = p->all_next)
		for (struct page_wait *w = p->first; w; w = w->next)
			if (w->call == call)
				return w;
	return NULL;
}

void page_wait_cut(struct pagers *list, const struct call *call)
{
	struct page_wait *w;

	pt_port_lock(&list->lock);
	w = wait_of(list, call);
	if (w)
		wake(w->pager, w);
	pt_port_unlock(&list->lock);
}

bool pager_next(struct pagers *list, struct pager *p, struct page_wanted *wanted)
{
	bool some = false;

	pt_port_lock(&list->lock);
	for (uint32_t i = 0; i < p->wanted_count && !some; i++) {
		some = !p->wanted[i].told;
		if (some)
			*wanted = p->wanted[i];
	}
	p->asleep = !some;
	pt_port_unlock(&list->lock);
	return some;
}

void pager_told(struct pagers *list, struct pager *p, uint64_t seq)
{
	pt_port_lock(&list->lock);
	for (uint32_t i = 0; i < p->wanted_count; i++)
		p->wanted[i].told |= p->wanted[i].seq == seq;
	pt_port_unlock(&list->lock);
}

uint64_t pager_supplied(struct pagers *list, struct pager *p, uint64_t first, uint64_t count,
			bool failed)
{
	uint64_t last = first + count - 1, n;

	pt_port_lock(&list->lock);
	n = failed ? set_failed(p, first, last) : set_there(p, first, last);
	forget_wanted(p, first, last);
	pass_on(p, first, last);
	pt_port_unlock(&list->lock);
	return n;
}

/* ---- life ---- */

static void free_pager(struct pt_rcu_head *head)
{
	struct pager *p = container_of(head, struct pager, rcu);

	free(p->present);
	free(p->failed);
	free(p);
}

static struct pager *make(struct context *c, uint64_t ipa, uint64_t size)
{
	struct pager *p = calloc(1, sizeof(*p));
	uint64_t words;

	if (!p)
		return NULL;
	p->context = c;
	p->ipa = ipa;
	p->size = size;
	p->shift = c->pt.geo.granule_shift;
	p->pages = size >> p->shift;
	p->last = &p->first;
	p->opening = true;
	atomic_init(&p->absent, p->pages);
	words = (p->pages + 63) / 64;
	p->present = calloc(words, sizeof(*p->present));
	p->failed = calloc(words, sizeof(*p->failed));
	if (p->present && p->failed)
		return p;
	free_pager(&p->rcu);
	return NULL;
}

/* Out of all lists. Readers may still see it. */
static void unlink_pager(struct pagers *list, struct pager *p)
{
	_Atomic(struct pager *) *at = &p->context->pagers;

	while (atomic_load_explicit(at, memory_order_relaxed) != p)
		at = &atomic_load_explicit(at, memory_order_relaxed)->next;
	atomic_store_explicit(at, next_of(p), memory_order_release);
	*p->all_link = p->all_next;
	if (p->all_next)
		p->all_next->all_link = p->all_link;
	list->count--;
}

static void link_pager(struct pagers *list, struct pager *p)
{
	atomic_store_explicit(&p->next, first_of(p->context), memory_order_relaxed);
	atomic_store_explicit(&p->context->pagers, p, memory_order_release);
	p->all_next = list->first;
	p->all_link = &list->first;
	if (p->all_next)
		p->all_next->all_link = &p->all_next;
	list->first = p;
	list->count++;
}

static bool is_room(const struct pagers *list, const struct machine *m)
{
	uint32_t n = 0;

	for (const struct pager *p = list->first; p; p = p->all_next)
		n += p->context->machine == m;
	return list->count < LIMIT_PAGERS && n < LIMIT_MACHINE_PAGERS;
}

/* The one that was left alone with exactly this range. */
static struct pager *left_alone(const struct context *c, uint64_t ipa, uint64_t size)
{
	struct pager *p = pager_at(c, ipa);

	return p && p->ipa == ipa && p->size == size && !p->server && !p->opening ? p : NULL;
}

/* Under the lock: `fresh`, or one that was left. A context that goes is told to pagers_end() after
 * it has ceased to live. */
static enum pt_outcome take(struct pagers *list, struct pager *fresh, struct pager **made)
{
	struct context *c = fresh->context;

	if (atomic_load_explicit(&c->pt.state, memory_order_relaxed) != PT_CTX_LIVE)
		return PT_WRONG_STATE;
	*made = left_alone(c, fresh->ipa, fresh->size);
	if (*made) {
		(*made)->opening = true;
		return PT_OK;
	}
	if (pagers_meet(c, fresh->ipa, fresh->size, NULL))
		return PT_ALREADY_EXISTS;
	if (!is_room(list, c->machine))
		return PT_TOO_LARGE;
	link_pager(list, fresh);
	*made = fresh;
	return PT_OK;
}

enum pt_outcome pager_open(struct call *call, struct context *c, uint64_t ipa, uint64_t size,
			   struct pager **made, bool *resumed)
{
	struct pagers *list = &call->domain->pagers;
	struct pager *fresh = make(c, ipa, size);
	enum pt_outcome o;

	if (!fresh)
		return PT_NO_MEMORY;
	pt_port_lock(&list->lock);
	o = take(list, fresh, made);
	pt_port_unlock(&list->lock);
	*resumed = o == PT_OK && *made != fresh;
	if (o != PT_OK || *resumed)
		free_pager(&fresh->rcu);
	return o;
}

void pager_serve(struct pagers *list, struct pager *p, struct call *call, uint32_t window)
{
	pt_port_lock(&list->lock);
	p->server = call;
	p->opening = p->asleep = false;
	p->window = window;
	p->seq = 0;
	for (struct page_wait *w = p->first; w; w = w->next)
		ask_for(p, w);
	pt_port_unlock(&list->lock);
}

void pager_leave(struct pagers *list, struct pager *p)
{
	bool ended;

	pt_port_lock(&list->lock);
	p->server = NULL;
	p->opening = false;
	p->wanted_count = 0;
	wake_all(p);
	ended = p->ended;
	pt_port_unlock(&list->lock);
	if (ended)
		pt_rcu_call(&p->rcu, free_pager);
}

/* Under the lock. True: nobody has it any more. */
static bool end(struct pagers *list, struct pager *p)
{
	if (p->ended)
		return false;
	p->ended = true;
	unlink_pager(list, p);
	wake_all(p);
	rouse(p);
	return !p->server && !p->opening;
}

void pager_end(struct pagers *list, struct pager *p)
{
	pt_port_lock(&list->lock);
	end(list, p);
	pt_port_unlock(&list->lock);
}

bool pager_ended(struct pagers *list, struct pager *p)
{
	bool ended;

	pt_port_lock(&list->lock);
	ended = p->ended;
	pt_port_unlock(&list->lock);
	return ended;
}

void pager_hush(struct pagers *list, struct pager *p)
{
	pt_port_lock(&list->lock);
	p->asleep = false;
	pt_port_unlock(&list->lock);
}

void pagers_end(struct context *c, uint64_t ipa, uint64_t size)
{
	struct pagers *list = &c->machine->domain->pagers;
	struct pager *over = NULL;

	pt_port_lock(&list->lock);
	for (struct pager *p = first_of(c), *next; p; p = next) {
		next = next_of(p);
		if ((!size || meets(p, ipa, size)) && end(list, p)) {
			p->all_next = over;
			over = p;
		}
	}
	pt_port_unlock(&list->lock);
	for (struct pager *next; over; over = next) {
		next = over->all_next;
		pt_rcu_call(&over->rcu, free_pager);
	}
}

void pagers_wake_all(struct pagers *list)
{
	pt_port_lock(&list->lock);
	for (struct pager *p = list->first; p; p = p->all_next)
		rouse(p);
	pt_port_unlock(&list->lock);
}

uint32_t pagers_list(struct pagers *list, const struct machine *m, struct pager_seen *seen,
		     uint32_t room)
{
	uint32_t n = 0;

	pt_port_lock(&list->lock);
	for (const struct pager *p = list->first; p; p = p->all_next) {
		if (p->context->machine != m)
			continue;
		if (n < room)
			seen[n] = (struct pager_seen){.ipa = p->ipa,
						      .size = p->size,
						      .absent = atomic_load(&p->absent),
						      .failed = p->failed_pages,
						      .context = p->context->handle,
						      .wanted = p->wanted_count,
						      .waiting = p->waiting,
						      .served = p->server != NULL};
		n++;
	}
	pt_port_unlock(&list->lock);
	return n;
}
