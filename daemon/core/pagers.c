/* SPDX-License-Identifier: BSD-2-Clause */
/* Pagers: how they come, are served, and end. */
#include "pager_parts.h"

#include <stdlib.h>

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
	atomic_store_explicit(at, pager_after(p), memory_order_release);
	*p->all_link = p->all_next;
	if (p->all_next)
		p->all_next->all_link = p->all_link;
	list->count--;
}

static void link_pager(struct pagers *list, struct pager *p)
{
	atomic_store_explicit(&p->next, pager_first(p->context), memory_order_relaxed);
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
	pager_ask_more(p);
	pt_port_unlock(&list->lock);
}

void pager_leave(struct pagers *list, struct pager *p)
{
	bool ended;

	pt_port_lock(&list->lock);
	p->server = NULL;
	p->opening = false;
	p->wanted_count = 0;
	pager_wake_waiters(p);
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
	pager_wake_waiters(p);
	pager_rouse(p);
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
	for (struct pager *p = pager_first(c), *next; p; p = next) {
		next = pager_after(p);
		if ((!size || pager_meets(p, ipa, size)) && end(list, p)) {
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
		pager_rouse(p);
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
