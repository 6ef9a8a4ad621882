/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of paged memory: of each page whether it is there, absent or failed, of each place what
 * it holds, of each range who serves it. What calls may say follows from that alone.
 */
#include "sim.h"

#include "stream.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#include <stdio.h>
#include <string.h>

#define SHORT_QUEUE 4096u

static const char *const events[PAGED_EVENTS] = {
	[PAGED_OPENED] = "ranges opened",
	[PAGED_RESUMED] = "resumed",
	[PAGED_MET] = "refused for another",
	[PAGED_NEVER_SERVED] = "given up before they served",
	[PAGED_DATA] = "pages of data",
	[PAGED_ZERO] = "of zeros",
	[PAGED_AS_IS] = "as is",
	[PAGED_FAILED] = "failed",
	[PAGED_LATE] = "that were there",
	[PAGED_BAD] = "supplies refused",
	[PAGED_ASKED] = "pages asked for",
	[PAGED_WAITS] = "accesses that waited",
	[PAGED_FULL] = "with a full window",
	[PAGED_GOT] = "and got their page",
	[PAGED_GOT_NONE] = "a failed page",
	[PAGED_GOT_NO_PAGER] = "no pager",
	[PAGED_CANCELLED] = "were cancelled",
	[PAGED_OVERDUE] = "were overdue",
	[PAGED_MOVED] = "saw the slot move",
	[PAGED_GONE] = "saw the context go",
	[PAGED_DIED] = "streams cut",
	[PAGED_LEFT] = "left",
	[PAGED_ENDED] = "ended by a change",
	[PAGED_THROUGH] = "through",
	[PAGED_DRAINED] = "drained",
};

const char *paged_event_name(enum pager_event event)
{
	return events[event];
}

/* ---- places ---- */

bool paged_has(uint64_t ipa)
{
	return ipa >= PAGED_IPA && ipa < 2 * PAGED_IPA;
}

uint64_t paged_address(const struct sim *sim, uint32_t page)
{
	return PAGED_IPA + ((uint64_t)page << sim->swarm.granule_shift);
}

uint64_t paged_offset(const struct sim *sim, uint32_t word)
{
	return word ? (UINT64_C(1) << sim->swarm.granule_shift) - sizeof(uint64_t) : 0;
}

uint64_t paged_pa(const struct sim *sim, uint32_t context, uint32_t place, uint32_t page)
{
	return ((uint64_t)(context * PAGED_PLACES + place) * PAGED_PAGES + page)
	       << sim->swarm.granule_shift;
}

uint64_t paged_memory(uint32_t granule_shift)
{
	return (uint64_t)SIM_CONTEXTS * PAGED_PLACES * PAGED_PAGES << granule_shift;
}

uint64_t *paged_words(struct model *model, const struct model_context *c, uint32_t place,
		      uint32_t page)
{
	uint32_t at = (uint32_t)(c - model->context[0]);

	return model->machine[at / SIM_CONTEXTS].word[at % SIM_CONTEXTS][place][page];
}

struct model_pager *paged_pager_at(struct paged *m, uint32_t page)
{
	for (uint32_t i = 0; i < PAGED_PAGERS; i++)
		if (m->pager[i].is && page - m->pager[i].first < m->pager[i].pages)
			return &m->pager[i];
	return NULL;
}

enum pt_outcome paged_state(struct paged *m, uint32_t page)
{
	const struct model_pager *p = paged_pager_at(m, page);

	if (!p || m->page[page] == PAGE_THERE)
		return PT_OK;
	if (m->page[page] == PAGE_FAILED)
		return PT_PAGE_FAILED;
	return p->is == PAGER_ALONE ? PT_ABSENT : PT_PARKED;
}

/* ---- changes of the memslot ---- */

void paged_commit(struct sim *sim, struct model_context *c, uint64_t generation)
{
	struct exec *exec = oracle_current();
	struct looked l = look_up(sim, exec);
	struct paged *m = &c->paged;

	if (exec->op->kind == OP_SERVE) {
		content_counted(&l, generation);
		return;
	}
	if (exec->op->kind != OP_SET_SLOT || !m->slot || m->place == exec->op->place)
		WRONG(&l, "intent", "the memslot changes");
	exec->changed = true;
	m->moves = true;
	m->old_place = m->place;
	m->place = exec->op->place;
}

void paged_check_slot(struct looked *l, const void *response)
{
	const Ptd__V1__SetSlotResponse *r = response;
	struct paged *m = l->c ? &l->c->paged : NULL;
	bool changed = l->exec->changed;

	if (!m)
		return; /* it has gone since the commit point */
	if (!m->slot) {
		m->slot = changed = true;
		m->place = l->op->place;
	}
	if (m->place != l->op->place)
		WRONG(l, "content", "the memslot is at %u", m->place);
	if (changed)
		content_counted(l, r->generation);
	else if (r->generation < l->exec->generation)
		WRONG(l, "generation", "%llu, but it was %llu before",
		      (unsigned long long)r->generation, (unsigned long long)l->exec->generation);
}

/* ---- accesses ---- */

/* At which place of its memory the page is: *place, where it may be now. */
static bool is_at(struct looked *l, uint32_t page, uint64_t pa, uint8_t *place)
{
	const struct paged *m = &l->c->paged;
	uint32_t number = (uint32_t)(l->c - l->d->model.context[0]) % SIM_CONTEXTS;

	for (*place = 0; *place < PAGED_PLACES; ++*place)
		if ((*place == m->place || (m->moves && *place == m->old_place)) &&
		    pa == paged_pa(l->sim, number, *place, page))
			return true;
	WRONG(l, "access", "pa %llx is not of page %u", (unsigned long long)pa, page);
	return false;
}

static void count_answer(struct looked *l, uint32_t outcome)
{
	uint64_t *count = l->sim->stats.paged;

	if (!l->exec->waited)
		return;
	l->exec->waited = false;
	count[PAGED_GOT] += outcome == PT_OK;
	count[PAGED_GOT_NONE] += outcome == PT_PAGE_FAILED;
	count[PAGED_GOT_NO_PAGER] += outcome == PT_ABSENT;
}

/* False: it is no success, or wrong. */
static bool check_outcome(struct looked *l, uint32_t page, uint32_t outcome)
{
	const struct model_pager *p = paged_pager_at(&l->c->paged, page);
	enum pt_outcome due = l->c->paged.slot ? paged_state(&l->c->paged, page) : PT_NO_SLOT;
	/* While a range is opened some of it is still mapped. */
	bool mapped = outcome == PT_OK && p && p->is == PAGER_OPENS;

	count_answer(l, outcome);
	if (outcome != due && !mapped)
		WRONG(l, "access", "page %u: outcome %u, the model says %u", page, outcome, due);
	return outcome == PT_OK && (due == PT_OK || mapped);
}

static void check_word(struct looked *l, const Ptd__V1__AccessResponse *r, uint8_t place)
{
	uint64_t *word = &paged_words(&l->d->model, l->c, place, l->op->page)[l->op->word_at];

	if (l->op->write)
		*word = l->op->word;
	else if (r->data.len != sizeof(*word) || memcmp(r->data.data, word, sizeof(*word)) != 0)
		WRONG(l, "access", "page %u does not read %016llx", l->op->page,
		      (unsigned long long)*word);
}

void paged_check_access(struct looked *l, const void *response)
{
	const Ptd__V1__AccessResponse *r = response;
	uint64_t offset = paged_offset(l->sim, l->op->word_at);
	uint8_t place;

	if (l->c && !l->c->dying && check_outcome(l, l->op->page, r->outcome) &&
	    is_at(l, l->op->page, r->pa - offset, &place))
		check_word(l, r, place);
}

/* A fault that is handled leaves a mapping, as an access does. */
static uint32_t outcome_of_fault(uint32_t outcome)
{
	return outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED ? (uint32_t)PT_OK
	       : outcome == PT_OK				    ? (uint32_t)PT_INTERNAL
								    : outcome;
}

void paged_check_result(struct looked *l, uint32_t page, bool fault, uint32_t outcome, uint64_t pa)
{
	uint8_t place;

	if (fault)
		outcome = outcome_of_fault(outcome);
	if (l->c && !l->c->dying && !(outcome == PT_QUOTA && l->sim->swarm.quota_pages) &&
	    check_outcome(l, page, outcome))
		is_at(l, page, pa, &place);
}

void paged_goes_on(struct sim *sim, struct exec *exec, const struct call *call)
{
	if (!exec->awaits)
		return;
	exec->awaits = false;
	exec->waited = true;
	if (call->abandoned)
		sim->stats.paged[call->deadline_ns <= sim->now_ns ? PAGED_OVERDUE
								  : PAGED_CANCELLED]++;
}

/* ---- streams ---- */

bool paged_end_is_legal(struct looked *l, const struct call *call)
{
	const struct exec *exec = l->exec;

	switch (call->status.code) {
	case PT_OK: return call->abandoned || !call->request || exec->pager_through;
	case PT_NOT_FOUND: return !l->c || l->c->dying || exec->pager_lost;
	case PT_ALREADY_EXISTS: return exec->pager_met;
	case PT_OUT_OF_RANGE: return l->c && !l->c->paged.slot;
	/* The answer found no room in the stream's queue, which a seed may have made short. */
	case PT_NO_MEMORY: return knobs.stream_queue < SHORT_QUEUE;
	default: return refusal_is_legal(l, call->status.code, call->abandoned);
	}
}

void paged_over(struct sim *sim, struct exec *exec, const struct call *call)
{
	uint64_t *count = sim->stats.paged;

	if (call->abandoned && !exec->pager_served)
		count[PAGED_NEVER_SERVED] += exec->pager_opened;
	else if (call->abandoned)
		count[PAGED_DIED]++;
	else if (call->status.code == PT_NOT_FOUND)
		count[PAGED_ENDED] += exec->pager_served;
	else if (call->status.code == PT_DRAINING)
		count[PAGED_DRAINED] += exec->pager_served;
	else if (call->status.code == PT_OK)
		count[exec->pager_through ? PAGED_THROUGH : PAGED_LEFT]++;
}
