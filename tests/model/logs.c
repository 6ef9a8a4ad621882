/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logs: for each page what has to be told by the next look (MUST), and what may be (MAY). A
 * page has to be told when somebody wrote to it, when a fault made it writable, when an item gave
 * it new content or the right to be written, and when its log began with every page set. It may be
 * told when it shared a leaf or a contiguous group with such a page while that happened.
 */
#include "play.h"

#include <stdlib.h>

static uint64_t page_of(const struct log *log, uint64_t ipa)
{
	return (ipa - log->ipa) >> log->shift;
}

/* A stop detaches first, and then counts what it finds in leaves. */
static bool is_on(const struct log *log)
{
	return log->state == LOG_STOPPING || (log->attached && log->state != LOG_GONE);
}

/* While a log starts, only what it has passed is logged; while it stops, no page has to be told. */
static uint8_t reasons_at(const struct log *log, uint64_t ipa, uint8_t why)
{
	if (log->state == LOG_STOPPING || (log->state == LOG_STARTING && ipa >= log->passed))
		return why & PAGE_MAY;
	return why;
}

static void add_to(struct log *log, uint64_t lo, uint64_t hi, uint8_t why)
{
	lo = lo > log->ipa ? lo : log->ipa;
	hi = hi < log->last ? hi : log->last;
	for (uint64_t at = lo; at <= hi; at += UINT64_C(1) << log->shift) {
		uint8_t *page = &log->page[page_of(log, at)];

		*page |= reasons_at(log, at, why);
		if (why & PAGE_MUST)
			*page &= (uint8_t)~PAGE_LIMBO;
	}
}

void log_add(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi, uint8_t why)
{
	uint64_t low = (UINT64_C(1) << p->ctx[ctx].model.granule) - 1;

	for (unsigned i = 0; i < LOGS; i++) {
		struct log *log = &p->ctx[ctx].log[i];

		if (is_on(log) && lo <= log->last && hi >= log->ipa)
			add_to(log, lo & ~low, hi, why);
	}
}

/* Does the item give new content, or the right to be written, to what was `c`? */
static bool makes_dirty(const struct pt_item *item, uint64_t ipa, const struct cell *c)
{
	bool gains = item->prot & PT_PROT_W && !(c->rights & PT_PROT_W);

	switch (item->kind) {
	case PT_ITEM_MAP:
		if (c->what == LEAF && c->at == item->pa.v + (ipa - item->ipa.v) &&
		    c->memtype == (uint8_t)(item->prot >> 8))
			return item->flags & PT_MAP_REPLACE && gains;
		return c->what == HOLE || item->flags & PT_MAP_REPLACE;
	case PT_ITEM_PROTECT:
	case PT_ITEM_RELAX: return c->what == LEAF && gains;
	default: return false;
	}
}

static bool has_logs(const struct play *p, unsigned ctx)
{
	bool any = false;

	for (unsigned i = 0; i < LOGS; i++)
		any |= is_on(&p->ctx[ctx].log[i]);
	return any;
}

void log_item(struct play *p, unsigned ctx, const struct space *before, const struct pt_item *item,
	      uint64_t lo, uint64_t hi, uint8_t why)
{
	uint64_t last = item->ipa.v + (item->size - 1);

	if (!has_logs(p, ctx))
		return;
	lo = lo > item->ipa.v ? lo : item->ipa.v;
	hi = hi < last ? hi : last;
	for (uint64_t at = lo; at <= hi && at >= lo; at = last + 1) {
		struct cell c = space_get(before, at, &last);

		last = last < hi ? last : hi;
		if (makes_dirty(item, at, &c))
			log_add(p, ctx, at, last, why);
	}
}

/* A replaced table becomes a block, a group changes as a whole. */
void log_item_may(struct play *p, unsigned ctx, const struct pt_item *item,
		  const struct span edge[2])
{
	bool writes = item->kind == PT_ITEM_MAP || item->prot & PT_PROT_W;

	if (!has_logs(p, ctx) || !writes)
		return;
	if (p->ctx[ctx].model.grouped)
		log_add(p, ctx, edge[0].lo, edge[1].hi, PAGE_MAY);
	else if (item->flags & PT_MAP_REPLACE)
		log_add(p, ctx, item->ipa.v, item->ipa.v + (item->size - 1), PAGE_MAY);
}

/* ---- what operations on a log see ---- */

void log_open(struct play *p, unsigned ctx, struct log *log, uint64_t ipa, uint64_t size)
{
	unsigned shift = p->ctx[ctx].model.granule;

	*log = (struct log){.state = LOG_STARTING,
			    .ipa = ipa,
			    .last = ipa + size - 1,
			    .passed = ipa,
			    .shift = shift,
			    .generation = 1,
			    .page = calloc(1, size >> shift),
			    .memory = calloc(1, pt_dirty_bytes(shift, size))};
}

void log_free(struct log *log)
{
	free(log->page);
	free(log->memory);
	*log = (struct log){.state = 0};
}

/* START went over [lo, hi]: whatever was before is none of its business. */
void log_started(struct log *log, uint64_t lo, uint64_t hi, bool set)
{
	for (uint64_t i = page_of(log, lo); i <= page_of(log, hi); i++)
		log->page[i] = set ? PAGE_MUST | PAGE_MAY : 0;
	log->passed = hi + 1;
}

/* What was told and not acknowledged: it has arrived, or is to be told again. */
void log_settle(struct log *log, bool arrived)
{
	arrived &= !log->given_up;
	for (uint64_t i = 0; i <= page_of(log, log->last); i++) {
		uint8_t *page = &log->page[i];

		if (*page & PAGE_LIMBO && arrived)
			*page &= (uint8_t)~PAGE_MUST;
		if (*page & PAGE_SENT && !arrived)
			*page |= PAGE_MAY | (*page & PAGE_LIMBO ? 0 : PAGE_MUST);
		*page &= (uint8_t) ~(PAGE_SENT | PAGE_LIMBO);
	}
	log->given_up = false;
}

/* Given up while that was done: how far it came nobody knows. What had arrived may be told again;
 * what was to be told again is lost if the next look says that it has arrived after all. `was`:
 * the pages before. */
void log_unsettle(struct log *log, const uint8_t *was, bool arrived)
{
	for (uint64_t i = 0; i <= page_of(log, log->last); i++) {
		if (was[i] & PAGE_SENT && arrived)
			log->page[i] |= PAGE_SENT | PAGE_LIMBO;
		else if (was[i] & (PAGE_SENT | PAGE_LIMBO))
			log->page[i] |= PAGE_LIMBO;
	}
}

static bool is_told(const uint8_t *bitmap, uint64_t page)
{
	return bitmap[page / 8] >> page % 8 & 1;
}

uint64_t log_collected(struct play *p, struct log *log, uint64_t first, uint64_t lo, uint64_t hi,
		       const uint8_t *bitmap, bool clears)
{
	uint64_t n = 0;

	for (uint64_t i = page_of(log, lo); i <= page_of(log, hi); i++) {
		uint8_t *page = &log->page[i];
		bool told = is_told(bitmap, i - page_of(log, first));

		if (told ? !(*page & PAGE_MAY) : *page & PAGE_MUST)
			fail(p, "dirty: %#llx is told as %s, and %s",
			     (unsigned long long)(log->ipa + (i << log->shift)),
			     told ? "dirty" : "clean", told ? "nobody wrote there" : "was written");
		n += told;
		if (clears)
			*page = told ? PAGE_SENT : 0;
	}
	return n;
}

void log_count(const struct log *log, uint64_t *must, uint64_t *may)
{
	*must = *may = 0;
	for (uint64_t i = 0; i <= page_of(log, log->last); i++) {
		*must += (log->page[i] & PAGE_MUST) != 0;
		*may += (log->page[i] & PAGE_MAY) != 0;
	}
}
