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

static struct page_wait **bucket_of(struct pager *p, uint64_t page)
{
	return &p->bucket[page % PAGE_WAIT_BUCKETS];
}

static void enqueue(struct pager *p, struct page_wait *w)
{
	struct page_wait **bucket = bucket_of(p, w->page);

	w->pager = p;
	w->next = *bucket;
	w->link = bucket;
	if (w->next)
		w->next->link = &w->next;
	*bucket = w;
	w->later = NULL;
	w->later_link = p->last;
	*p->last = w;
	p->last = &w->later;
	w->queued = true;
	p->waiting++;
}

/* Its page needs no asking for any more. */
static void set_asked(struct pager *p, struct page_wait *w)
{
	if (w->asked)
		return;
	w->asked = true;
	*w->later_link = w->later;
	if (w->later)
		w->later->later_link = w->later_link;
	else
		p->last = w->later_link;
}

static void dequeue(struct pager *p, struct page_wait *w)
{
	set_asked(p, w);
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
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

/* One request a page, however many wait. */
static void ask_for(struct pager *p, struct page_wait *w)
{
	set_asked(p, w);
	if (is_wanted(p, w->page))
		return;
	p->wanted[p->wanted_count++] = (struct page_wanted){.page = w->page, .why = w->why};
	pager_rouse(p);
}

/* None beyond the window, which is looked at first: where thousands wait it is full. */
void pager_ask_more(struct pager *p)
{
	while (p->server && p->first && p->wanted_count < p->window)
		ask_for(p, p->first);
}

static void wake(struct pager *p, struct page_wait *w)
{
	dequeue(p, w);
	call_wake(w->call);
}

/* Those of [first, last] in a bucket. */
static void wake_in(struct pager *p, struct page_wait *w, uint64_t first, uint64_t last)
{
	for (struct page_wait *next; w; w = next) {
		next = w->next;
		if (w->page >= first && w->page <= last)
			wake(p, w);
	}
}

/* Who waits for [first, last] looks again. Nobody else is gone by, but for those whose pages are a
 * multiple of the buckets away. */
static void wake_range(struct pager *p, uint64_t first, uint64_t last)
{
	uint64_t n = last - first < PAGE_WAIT_BUCKETS ? last - first + 1 : PAGE_WAIT_BUCKETS;

	for (uint64_t i = 0; i < n && p->waiting; i++)
		wake_in(p, *bucket_of(p, first + i), first, last);
}

void pager_wake_waiters(struct pager *p)
{
	wake_range(p, 0, UINT64_MAX);
}

static void forget_wanted(struct pager *p, uint64_t first, uint64_t last)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->wanted_count; i++)
		if (p->wanted[i].page < first || p->wanted[i].page > last)
			p->wanted[n++] = p->wanted[i];
	p->wanted_count = n;
}

static uint64_t page_of(const struct pager *p, uint64_t ipa)
{
	return (ipa - p->ipa) >> p->shift;
}

/* PT_PARKED: who needs it waits. */
static enum pt_outcome state_of(const struct pager *p, uint64_t page)
{
	if (pager_has(p, page))
		return PT_OK;
	if (p->failed[page / 64] >> page % 64 & 1)
		return PT_PAGE_FAILED;
	return p->server || p->opening ? PT_PARKED : PT_ABSENT;
}

static enum pt_outcome await(struct pager *p, struct page_wait *w)
{
	enum pt_outcome o;

	w->page = page_of(p, w->why.ipa);
	o = state_of(p, w->page);
	if (o != PT_PARKED)
		return o;
	enqueue(p, w);
	pager_ask_more(p);
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

enum pt_outcome page_state(struct pagers *list, const struct context *c, uint64_t ipa)
{
	const struct pager *p;
	enum pt_outcome o;

	pt_port_lock(&list->lock);
	p = pager_at(c, ipa);
	o = p ? state_of(p, page_of(p, ipa)) : PT_OK;
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

static struct page_wait *wait_at(const struct pager *p, const struct call *call)
{
	for (uint32_t i = 0; i < PAGE_WAIT_BUCKETS && p->waiting; i++)
		for (struct page_wait *w = p->bucket[i]; w; w = w->next)
			if (w->call == call)
				return w;
	return NULL;
}

static struct page_wait *wait_of(const struct pagers *list, const struct call *call)
{
	struct page_wait *w = NULL;

	for (const struct pager *p = list->first; p && !w; p = p->all_next)
		w = wait_at(p, call);
	return w;
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
		if (!some)
			continue;
		p->wanted[i].seq = p->seq + 1; /* it is counted when it is told */
		*wanted = p->wanted[i];
	}
	p->asleep = !some;
	pt_port_unlock(&list->lock);
	return some;
}

void pager_told(struct pagers *list, struct pager *p, uint64_t seq)
{
	pt_port_lock(&list->lock);
	p->seq = seq;
	for (uint32_t i = 0; i < p->wanted_count; i++)
		p->wanted[i].told |= p->wanted[i].seq == seq;
	pt_port_unlock(&list->lock);
}

/* Who waits for [first, last] looks again, and what they need nevertheless is asked for anew. */
static void answered(struct pager *p, uint64_t first, uint64_t last)
{
	forget_wanted(p, first, last);
	wake_range(p, first, last);
	pager_ask_more(p);
}

uint64_t pager_supplied(struct pagers *list, struct pager *p, uint64_t first, uint64_t count,
			bool failed)
{
	uint64_t last = first + count - 1, n;

	pt_port_lock(&list->lock);
	n = failed ? pager_set_failed(p, first, last) : pager_set_there(p, first, last);
	answered(p, first, last);
	pt_port_unlock(&list->lock);
	return n;
}

void pager_refused(struct pagers *list, struct pager *p, uint64_t first, uint64_t count)
{
	pt_port_lock(&list->lock);
	answered(p, first, first + count - 1);
	pt_port_unlock(&list->lock);
}
