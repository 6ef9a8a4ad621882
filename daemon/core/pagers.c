/* SPDX-License-Identifier: BSD-2-Clause */
/* Pagers: how they come, are served, and end. */
#include "pager_parts.h"

#include <stdlib.h>
#include <string.h>

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

/* Those of the same principal, but for `pager`. */
static uint32_t count_of_principal(const struct pagers *list, const char *name,
				   const struct pager *pager)
{
	uint32_t n = 0;

	for (const struct pager *p = list->first; p; p = p->all_next)
		n += p != pager && !strcmp(p->principal, name);
	return n;
}

static uint32_t count_of_machine(const struct pagers *list, const struct machine *m)
{
	uint32_t n = 0;

	for (const struct pager *p = list->first; p; p = p->all_next)
		n += p->context->machine == m;
	return n;
}

/* The limit that one more would break; NULL: none. */
static const char *limit_met(const struct pagers *list, const struct pager *fresh)
{
	if (list->count >= LIMIT_PAGERS ||
	    count_of_machine(list, fresh->context->machine) >= LIMIT_MACHINE_PAGERS)
		return "max_pagers";
	if (count_of_principal(list, fresh->principal, NULL) >= LIMIT_PRINCIPAL_PAGERS)
		return "max_principal_pagers";
	return NULL;
}

/* The one that was left alone with exactly this range. */
static struct pager *left_alone(const struct context *c, uint64_t ipa, uint64_t size)
{
	struct pager *p = pager_at(c, ipa);

	return p && p->ipa == ipa && p->size == size && !p->server && !p->opening ? p : NULL;
}

static enum pt_outcome take_over(struct pagers *list, const struct pager *fresh, struct pager *left,
				 struct pager_opening *to)
{
	if (count_of_principal(list, fresh->principal, left) >= LIMIT_PRINCIPAL_PAGERS) {
		to->limit = "max_principal_pagers";
		return PT_TOO_LARGE;
	}
	memcpy(left->principal, fresh->principal, sizeof(left->principal));
	left->opening = true;
	to->pager = left;
	to->resumed = true;
	return PT_OK;
}

static enum pt_outcome in_the_way(const struct pager *p, struct pager_opening *to)
{
	to->ipa = p->ipa;
	to->size = p->size;
	memcpy(to->principal, p->principal, sizeof(to->principal));
	return PT_ALREADY_EXISTS;
}

/* Under the lock: `fresh`, or one that was left. A context that goes is told to pagers_end() after
 * it has ceased to live. */
static enum pt_outcome take(struct pagers *list, struct pager *fresh, struct pager_opening *to)
{
	struct context *c = fresh->context;
	struct pager *left = left_alone(c, fresh->ipa, fresh->size);
	const struct pager *other = pagers_meet(c, fresh->ipa, fresh->size, NULL);

	if (atomic_load_explicit(&c->pt.state, memory_order_relaxed) != PT_CTX_LIVE)
		return PT_WRONG_STATE;
	if (left)
		return take_over(list, fresh, left, to);
	if (other)
		return in_the_way(other, to);
	to->limit = limit_met(list, fresh);
	if (to->limit)
		return PT_TOO_LARGE;
	link_pager(list, fresh);
	to->pager = fresh;
	return PT_OK;
}

enum pt_outcome pager_open(struct call *call, struct context *c, uint64_t ipa, uint64_t size,
			   struct pager_opening *to)
{
	struct pagers *list = &call->domain->pagers;
	struct pager *fresh = make(c, ipa, size);
	enum pt_outcome o;

	*to = (struct pager_opening){0};
	if (!fresh)
		return PT_NO_MEMORY;
	memcpy(fresh->principal, call->principal->name, sizeof(fresh->principal));
	pt_port_lock(&list->lock);
	o = take(list, fresh, to);
	pt_port_unlock(&list->lock);
	if (to->pager != fresh)
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

static void look_at(const struct pager *p, struct pager_seen *seen)
{
	*seen = (struct pager_seen){.ipa = p->ipa,
				    .size = p->size,
				    .absent = atomic_load(&p->absent),
				    .failed = p->failed_pages,
				    .context = p->context->handle,
				    .wanted = p->wanted_count,
				    .waiting = p->waiting,
				    .served = p->server != NULL};
	memcpy(seen->principal, p->principal, sizeof(seen->principal));
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
			look_at(p, &seen[n]);
		n++;
	}
	pt_port_unlock(&list->lock);
	return n;
}
