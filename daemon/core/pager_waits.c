/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits for absent pages, and what a pager's stream is to ask for. What does not take the lock
 * is called with it.
 */
#include "pager_parts.h"

void pager_rouse(struct pager *p)
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
void pager_ask_for(struct pager *p, struct page_wait *w)
{
	if (!p->server || p->wanted_count >= p->window)
		return;
	w->asked = is_wanted(p, w->page);
	if (w->asked)
		return;
	p->wanted[p->wanted_count++] =
		(struct page_wanted){.page = w->page, .seq = ++p->seq, .why = w->why};
	w->asked = true;
	pager_rouse(p);
}

static void wake(struct pager *p, struct page_wait *w)
{
	dequeue(p, w);
	call_wake(w->call);
}

void pager_wake_waiters(struct pager *p)
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
			pager_ask_for(p, w);
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
	pager_ask_for(p, w);
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
	n = failed ? pager_set_failed(p, first, last) : pager_set_there(p, first, last);
	forget_wanted(p, first, last);
	pass_on(p, first, last);
	pt_port_unlock(&list->lock);
	return n;
}
