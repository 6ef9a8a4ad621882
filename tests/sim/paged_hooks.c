/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the effects of pagers are seen: the linker puts these functions in the place of the
 * domain's (--wrap). The model does the same, and must come to the same.
 */
#include "sim.h"

#include "domain_types.h"
#include "pager_supply.h"
#include "pagers.h"

#include <string.h>

#define CONTENT(name) PTD__V1__PAGE_CONTENT__PAGE_CONTENT_##name

/* The context of the stream that runs. The daemon's object may have gone since. */
static struct model_context *context_served(void)
{
	uint64_t handle = oracle_current()->op->handle;
	struct daemon *d = model_daemon(sim_running, handle);

	return d ? model_context(&d->model, handle) : NULL;
}

static struct model_pager *model_of(const struct pager *pager)
{
	struct model_context *c = context_served();
	struct model_pager *p = c ? paged_pager_at(&c->paged, paged_page(pager->ipa)) : NULL;

	/* One that has ended may have left its range to another. */
	return p && p->pager == pager ? p : NULL;
}

static void set_pages(struct paged *m, const struct model_pager *p, enum page_is is)
{
	for (uint32_t i = p->first; i < p->first + p->pages; i++)
		m->page[i] = is;
}

static uint32_t count_lacking(const struct paged *m, const struct model_pager *p)
{
	uint32_t n = 0;

	for (uint32_t i = p->first; i < p->first + p->pages; i++)
		n += m->page[i] != PAGE_THERE;
	return n;
}

/* ---- ranges come and go ---- */

static enum pt_outcome expect_open(const struct paged *m, uint32_t first, uint32_t pages,
				   bool *resumes)
{
	enum pt_outcome o = PT_OK;

	*resumes = false;
	for (uint32_t i = 0; i < PAGED_PAGERS; i++) {
		const struct model_pager *p = &m->pager[i];

		if (!p->is || p->first >= first + pages || first >= p->first + p->pages)
			continue;
		*resumes = p->is == PAGER_ALONE && p->first == first && p->pages == pages;
		o = *resumes ? PT_OK : PT_ALREADY_EXISTS;
	}
	return o;
}

static struct model_pager *free_one(struct paged *m)
{
	for (uint32_t i = 0; i < PAGED_PAGERS; i++)
		if (!m->pager[i].is)
			return &m->pager[i];
	return NULL;
}

static void opens(struct exec *exec, struct model_context *c, const struct pager_opening *to,
		  uint32_t first, uint32_t pages)
{
	struct model_pager *p =
		to->resumed ? paged_pager_at(&c->paged, first) : free_one(&c->paged);

	if (!p) {
		paged_wrong(exec, "one range too many", first, PAGED_PAGERS);
		return;
	}
	*p = (struct model_pager){.is = PAGER_OPENS,
				  .first = first,
				  .pages = pages,
				  .exec = exec,
				  .pager = to->pager};
	exec->pager_opened = true;
	if (!to->resumed)
		set_pages(&c->paged, p, PAGE_ABSENT);
	sim_running->stats.paged[to->resumed ? PAGED_RESUMED : PAGED_OPENED]++;
}

enum pt_outcome __real_pager_open(struct call *call, struct context *context, uint64_t ipa,
				  uint64_t size, struct pager_opening *opening);
enum pt_outcome __wrap_pager_open(struct call *call, struct context *context, uint64_t ipa,
				  uint64_t size, struct pager_opening *opening);
enum pt_outcome __wrap_pager_open(struct call *call, struct context *context, uint64_t ipa,
				  uint64_t size, struct pager_opening *opening)
{
	enum pt_outcome o = __real_pager_open(call, context, ipa, size, opening), due;
	uint32_t pages = (uint32_t)(size >> sim_running->swarm.granule_shift);
	struct model_context *c = paged_context(context);
	struct exec *exec = oracle_current();
	bool resumes;

	if (!c || !exec)
		return o;
	due = expect_open(&c->paged, paged_page(ipa), pages, &resumes);
	if (o == PT_WRONG_STATE && c->dying)
		return o;
	if (o != due || (o == PT_OK && opening->resumed != resumes))
		paged_wrong(exec, "what becomes of open", o, due);
	else if (o == PT_OK)
		opens(exec, c, opening, paged_page(ipa), pages);
	exec->pager_met = o == PT_ALREADY_EXISTS;
	sim_running->stats.paged[PAGED_MET] += exec->pager_met;
	return o;
}

void __real_pager_serve(struct pagers *pagers, struct pager *pager, struct call *call,
			uint32_t window);
void __wrap_pager_serve(struct pagers *pagers, struct pager *pager, struct call *call,
			uint32_t window);
void __wrap_pager_serve(struct pagers *pagers, struct pager *pager, struct call *call,
			uint32_t window)
{
	struct model_pager *p = model_of(pager);

	__real_pager_serve(pagers, pager, call, window);
	if (!p)
		return;
	p->is = PAGER_SERVES;
	p->window = window;
	p->exec->pager_served = true;
	sim_running->stats.call_kind[OP_SERVE]++;
}

void __real_pager_leave(struct pagers *pagers, struct pager *pager);
void __wrap_pager_leave(struct pagers *pagers, struct pager *pager);
void __wrap_pager_leave(struct pagers *pagers, struct pager *pager)
{
	struct model_pager *p = model_of(pager);

	if (p) {
		p->is = PAGER_ALONE;
		p->exec = NULL;
	}
	__real_pager_leave(pagers, pager);
}

static void ends(struct paged *m, struct model_pager *p)
{
	set_pages(m, p, PAGE_THERE);
	p->is = PAGER_NONE;
}

void __real_pager_end(struct pagers *pagers, struct pager *pager);
void __wrap_pager_end(struct pagers *pagers, struct pager *pager);
void __wrap_pager_end(struct pagers *pagers, struct pager *pager)
{
	struct model_context *c = context_served();
	struct model_pager *p = model_of(pager);

	if (p && p->is == PAGER_SERVES && count_lacking(&c->paged, p))
		paged_wrong(p->exec, "it ends, and lacks pages", count_lacking(&c->paged, p), 0);
	if (p)
		ends(&c->paged, p);
	__real_pager_end(pagers, pager);
}

static void count_who_waits(uint64_t context, enum pager_event why)
{
	for (struct exec *e = oracle_next(NULL); e; e = oracle_next(e))
		sim_running->stats.paged[why] += e->awaits && e->op->handle == context;
}

void __real_pagers_end(struct context *context, uint64_t ipa, uint64_t size);
void __wrap_pagers_end(struct context *context, uint64_t ipa, uint64_t size);
void __wrap_pagers_end(struct context *context, uint64_t ipa, uint64_t size)
{
	struct model_context *c = paged_context(context);

	for (uint32_t i = 0; c && i < PAGED_PAGERS; i++) {
		struct model_pager *p = &c->paged.pager[i];

		if (p->is && p->exec)
			p->exec->pager_lost = true;
		if (p->is)
			ends(&c->paged, p);
	}
	count_who_waits(context->handle, size ? PAGED_MOVED : PAGED_GONE);
	__real_pagers_end(context, ipa, size);
}

/* ---- supplies ---- */

static enum pt_outcome expect_supply(const struct model_pager *p, const Ptd__V1__PageSupply *q)
{
	uint64_t granule = UINT64_C(1) << sim_running->swarm.granule_shift;
	uint64_t from = PAGED_IPA + p->first * granule, bytes = p->pages * granule;

	if (q->content < CONTENT(DATA) || q->content > CONTENT(FAILED))
		return PT_INVALID;
	if (q->ipa % granule || q->size % granule)
		return PT_MISALIGNED;
	if (!q->size)
		return PT_INVALID;
	if (q->ipa < from || q->ipa + q->size > from + bytes)
		return PT_OUT_OF_RANGE;
	return q->data.len == (q->content == CONTENT(DATA) ? q->size : 0) ? PT_OK : PT_INVALID;
}

/* The content of a page that lacks it. */
static void fill(struct model *model, struct model_context *c, const Ptd__V1__PageSupply *q,
		 uint32_t page)
{
	uint64_t *words = paged_words(model, c, c->paged.place, page);
	uint64_t granule = UINT64_C(1) << sim_running->swarm.granule_shift;
	const uint8_t *data = q->data.data;

	if (q->content == CONTENT(ZERO)) {
		words[0] = words[1] = 0;
	} else if (q->content == CONTENT(DATA)) {
		data += (uint64_t)(page - paged_page(q->ipa)) * granule;
		memcpy(&words[0], data, sizeof(*words));
		memcpy(&words[1], data + granule - sizeof(*words), sizeof(*words));
	}
}

static void take(struct exec *exec, struct model_context *c, struct model_pager *p,
		 const Ptd__V1__PageSupply *q, const Ptd__V1__PageSupplied *to)
{
	struct model *model =
		&sim_running->daemon[sim_running->client[exec->op->client].daemon].model;
	uint32_t first = paged_page(q->ipa),
		 count = (uint32_t)(q->size >> sim_running->swarm.granule_shift);
	uint32_t changed = 0, before = 0;

	for (uint32_t i = first; i < first + count; i++) {
		enum page_is next = q->content == CONTENT(FAILED) ? PAGE_FAILED : PAGE_THERE;

		before += c->paged.page[i] == PAGE_THERE;
		if (c->paged.page[i] == PAGE_THERE || c->paged.page[i] == next)
			continue;
		changed++;
		c->paged.page[i] = next;
		if (next == PAGE_THERE)
			fill(model, c, q, i);
	}
	/* It ends well from here on, also if the slot moves before it has let go of it. */
	exec->pager_through = !count_lacking(&c->paged, p);
	if (to->pages != changed)
		paged_wrong(exec, "pages supplied", to->pages, changed);
	if (to->pages_before != before)
		paged_wrong(exec, "pages that were there", to->pages_before, before);
	if (to->absent_pages != count_lacking(&c->paged, p))
		paged_wrong(exec, "pages that lack", to->absent_pages, count_lacking(&c->paged, p));
	sim_running->stats.paged[PAGED_DATA + q->content - CONTENT(DATA)] += changed;
	sim_running->stats.paged[PAGED_LATE] += before;
}

enum pt_outcome __real_pager_supply(struct call *call, struct context *c, struct pager *p,
				    const Ptd__V1__PageSupply *q, Ptd__V1__PageSupplied *to);
enum pt_outcome __wrap_pager_supply(struct call *call, struct context *context, struct pager *pager,
				    const Ptd__V1__PageSupply *q, Ptd__V1__PageSupplied *to);
enum pt_outcome __wrap_pager_supply(struct call *call, struct context *context, struct pager *pager,
				    const Ptd__V1__PageSupply *q, Ptd__V1__PageSupplied *to)
{
	enum pt_outcome o = __real_pager_supply(call, context, pager, q, to), due;
	struct model_context *c = paged_context(context);
	struct model_pager *p = model_of(pager);
	struct exec *exec = oracle_current();

	if (!c || !exec)
		return o;
	if (o == PT_NOT_FOUND)
		exec->pager_lost |= c->paged.moves;
	if (o != PT_OK || !p)
		return o;
	due = expect_supply(p, q);
	if (to->outcome != due)
		paged_wrong(exec, "what becomes of a supply", to->outcome, due);
	else if (due == PT_OK)
		take(exec, c, p, q, to);
	sim_running->stats.paged[PAGED_BAD] += due != PT_OK;
	return o;
}
