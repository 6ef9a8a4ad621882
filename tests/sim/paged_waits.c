/* SPDX-License-Identifier: BSD-2-Clause */
/* Who waits for pages, as the domain says and as the model does. */
#include "sim.h"

#include "domain_types.h"
#include "pagers.h"
#include "stream.h"

struct model_context *paged_context(const struct context *context)
{
	struct daemon *d = model_daemon(sim_running, context->handle);

	return d ? model_context(&d->model, context->handle) : NULL;
}

void paged_wrong(const struct exec *exec, const char *what, uint64_t told, uint64_t due)
{
	sim_fail(sim_running, "pager", "client %u op %u %s: %s: %llu, the model says %llu",
		 exec->op->client, exec->op->number, op_name(exec->op->kind), what,
		 (unsigned long long)told, (unsigned long long)due);
}

uint32_t paged_page(uint64_t ipa)
{
	return (uint32_t)((ipa - PAGED_IPA) >> sim_running->swarm.granule_shift);
}

static uint32_t count_waiting(const struct model_context *c, const struct model_pager *p)
{
	bool seen[PAGED_PAGES] = {false};
	uint32_t n = 0;

	for (struct exec *e = oracle_next(NULL); e; e = oracle_next(e)) {
		if (!e->awaits || e->op->handle != c->handle || e->page - p->first >= p->pages ||
		    seen[e->page])
			continue;
		seen[e->page] = true;
		n++;
	}
	return n;
}

enum pt_outcome __real_page_await(struct call *call, struct context *context,
				  struct page_wait *wait, const struct page_access *why);
enum pt_outcome __wrap_page_await(struct call *call, struct context *context,
				  struct page_wait *wait, const struct page_access *why);
enum pt_outcome __wrap_page_await(struct call *call, struct context *context,
				  struct page_wait *wait, const struct page_access *why)
{
	enum pt_outcome o = __real_page_await(call, context, wait, why);
	struct model_context *c = paged_context(context);
	struct exec *exec = oracle_current();
	const struct model_pager *p;
	uint64_t *count = sim_running->stats.paged;

	if (!c || !exec)
		return o;
	if (o != paged_state(&c->paged, paged_page(why->ipa)))
		paged_wrong(exec, "what becomes of a wait", o,
			    paged_state(&c->paged, paged_page(why->ipa)));
	exec->awaits = o == PT_PARKED;
	exec->page = paged_page(why->ipa);
	p = paged_pager_at(&c->paged, paged_page(why->ipa));
	count[PAGED_WAITS] += exec->awaits;
	count[PAGED_FULL] +=
		exec->awaits && p && p->is == PAGER_SERVES && count_waiting(c, p) > p->window;
	return o;
}

/* The page that `e` waits for is asked for, unless as many as may be are; none is in vain. */
static void check_asked(const struct exec *e, const struct paged *m, const struct model_pager *p)
{
	const struct pager *pager = p->pager;
	bool asked = false;

	for (uint32_t i = 0; i < pager->wanted_count; i++) {
		uint32_t page = p->first + (uint32_t)pager->wanted[i].page;

		asked |= page == e->page;
		if (m->page[page] != PAGE_ABSENT)
			paged_wrong(e, "a page is asked for in vain", page, m->page[page]);
	}
	if (!asked && pager->wanted_count < p->window)
		paged_wrong(e, "it waits, and nobody asks for its page", pager->wanted_count,
			    p->window);
}

/* Its stream was reset, which its connection is to say yet: the call goes with the stream. */
static bool is_answered(const struct exec *e)
{
	return ((const struct stream *)(const void *)e->call)->answered;
}

/* No shard of the daemon has anything to do, and no timer is due. */
void paged_at_rest(struct sim *sim, uint32_t daemon)
{
	struct model *model = &sim->daemon[daemon].model;

	for (struct exec *e = oracle_next(NULL); e; e = oracle_next(e)) {
		struct model_context *c = model_context(model, e->op->handle);
		const struct model_pager *p;

		if (!e->awaits || is_answered(e) || sim->client[e->op->client].daemon != daemon)
			continue;
		if (!c || paged_state(&c->paged, e->page) != PT_PARKED)
			paged_wrong(e, "it waits, and its page", e->page,
				    c ? paged_state(&c->paged, e->page) : PT_NOT_FOUND);
		if (e->call->deadline_ns <= sim->now_ns)
			paged_wrong(e, "it waits beyond its deadline", sim->now_ns,
				    e->call->deadline_ns);
		p = c ? paged_pager_at(&c->paged, e->page) : NULL;
		if (p && p->is == PAGER_SERVES)
			check_asked(e, &c->paged, p);
	}
}
