/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on dirty logs: exact sets of pages, and leaves that are clean behind them. */
#include "play.h"

#include <stdlib.h>
#include <string.h>

/* vcpu: which log; item[0]: kind, the range, flags: 1 eager, 2 initially set; prot: clear; pa: the
 * budget; arg: the generation that is named: 0 none, 1 the last, 2 the one before, 3 another. */
static struct pt_dirty_args args_of(struct play *p, struct session *s, const struct step *step)
{
	const struct step_item *i = &step->item[0];
	uint64_t last = s->log->generation;
	const uint64_t told[] = {0, last, last - 1, last + 7};

	return (struct pt_dirty_args){.kind = i->kind,
				      .log = &s->log->pt,
				      .ctx = &p->ctx[s->ctx].pt,
				      .ipa = {i->ipa},
				      .size = i->size,
				      .memory = s->log->memory,
				      .eager_split = i->flags & 1,
				      .initially_set = i->flags & 2,
				      .clear = i->prot && i->kind == PT_DIRTY_GET,
				      .generation = told[step->arg & 3],
				      .bitmap = s->bitmap};
}

static enum row row_of(const struct pt_dirty_args *a)
{
	return a->kind == PT_DIRTY_START  ? ROW_LOG_START
	       : a->kind == PT_DIRTY_STOP ? ROW_LOG_STOP
	       : a->clear		  ? ROW_LOG_CLEAR
					  : ROW_LOG_READ;
}

static enum pt_outcome check(const struct model *m, const struct log *log,
			     const struct pt_dirty_args *a)
{
	const struct pt_item range = {.kind = PT_ITEM_UNMAP, .ipa = a->ipa, .size = a->size};
	enum pt_outcome o;

	if (a->kind == PT_DIRTY_STOP)
		return PT_OK;
	o = model_check(m, &range);
	if (o == PT_OK && a->kind == PT_DIRTY_GET &&
	    (a->ipa.v < log->ipa || a->ipa.v + (a->size - 1) > log->last))
		o = PT_OUT_OF_RANGE;
	return o;
}

static bool cleans(const struct pt_dirty_args *a)
{
	return a->kind == PT_DIRTY_START ? !a->initially_set : a->clear;
}

/* Which logs faults and items see. */
static void look_at_list(struct context *c)
{
	struct model *m = &c->model;

	m->logs = 0;
	for (unsigned i = 0; i < LOGS; i++) {
		struct log *log = &c->log[i];
		struct pt_dirty_log *at = atomic_load(&c->pt.dirty);

		while (at && at != &log->pt)
			at = atomic_load(&at->next);
		log->attached = at != NULL;
		if (at)
			m->logged[m->logs++] = (struct reach){log->ipa, log->last};
	}
}

static void over(struct play *p, struct session *s)
{
	look_at_list(&p->ctx[s->ctx]);
	free(s->bitmap);
	free(s->was);
	session_idle(p, s);
}

/* ---- begin ---- */

static bool in_use(const struct play *p, const struct session *self)
{
	for (unsigned i = 0; i < p->sessions; i++) {
		const struct session *s = &p->session[i];

		if (s != self && s->doing == DIRTY && s->log == self->log)
			return true;
	}
	return false;
}

/* The first step of a look takes the log, or says why it does not. */
static enum pt_outcome first_answer(const struct play *p, const struct session *s)
{
	const struct pt_dirty_args *a = &s->dirty.args;
	uint64_t told = a->generation, last = s->log->generation;

	if (a->kind == PT_DIRTY_START)
		return PT_OK;
	if (in_use(p, s))
		return PT_BUSY;
	return a->kind == PT_DIRTY_GET && told && told != last && told + 1 != last
		       ? PT_GENERATION_MISMATCH
		       : PT_OK;
}

static void begun(struct session *s)
{
	struct log *log = s->log;
	const struct pt_dirty_args *a = &s->dirty.args;
	uint64_t pages = ((log->last - log->ipa) >> log->shift) + 1;

	if (a->kind == PT_DIRTY_STOP)
		log->state = LOG_STOPPING;
	if (a->kind == PT_DIRTY_START)
		return;
	s->arrived = a->kind == PT_DIRTY_STOP || a->generation == log->generation;
	s->was = malloc(pages);
	memcpy(s->was, log->page, pages);
	log_settle(log, s->arrived);
}

void begin_dirty(struct play *p, struct session *s, const struct step *step)
{
	struct context *c = &p->ctx[step->ctx % CONTEXTS];
	struct log *log = &c->log[step->vcpu % LOGS];
	bool starts = step->item[0].kind == PT_DIRTY_START;
	uint64_t pages = step->item[0].size >> c->model.granule;
	struct pt_dirty_args a;
	enum pt_outcome want, got;

	if (starts ? log->state != LOG_FREE : log->state != LOG_LIVE && log->state != LOG_STOPPING)
		return;
	s->ctx = step->ctx % CONTEXTS;
	s->log = log;
	s->bitmap = step->item[0].kind == PT_DIRTY_GET ? calloc(1, pages / 8 + 2) : NULL;
	s->was = NULL;
	s->pages = 0;
	if (starts)
		log_open(p, s->ctx, log, step->item[0].ipa, step->item[0].size);
	a = args_of(p, s, step);
	want = check(&c->model, log, &a);
	got = pt_dirty_init(&s->dirty, &a, wake);
	if (got != want)
		fail(p, "check: dirty: %s, expected %s", outcome_name(got), outcome_name(want));
	if (got != PT_OK && starts)
		log_free(log);
	if (got != PT_OK) {
		count(p, row_of(&a), got);
		over(p, s);
		return;
	}
	s->doing = DIRTY;
	session_begin(s);
	step_dirty(p, s, 1);
	session_end(s);
}

/* ---- what a step did ---- */

/* [lo, hi] may have become clean, or been marked as a whole, where leaves reach out of what was
 * passed. */
static void blur(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi)
{
	struct model *m = &p->ctx[ctx].model;
	uint64_t last;

	for (uint64_t at = lo; at <= hi && at >= lo; at = last + 1) {
		struct cell c = space_get(&m->space, at, &last);

		last = last < hi ? last : hi;
		c.any_dirty |= (c.rights & PT_PROT_W) != 0;
		c.any_young |= m->grouped;
		if (c.what == LEAF)
			space_put(&m->space, at, last, c);
	}
}

static void make_clean(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi)
{
	struct space *space = &p->ctx[ctx].model.space;
	uint64_t last;

	for (uint64_t at = lo; at <= hi && at >= lo; at = last + 1) {
		struct cell c = space_get(space, at, &last);

		last = last < hi ? last : hi;
		if (c.what != LEAF || !(c.rights & PT_PROT_W))
			continue;
		c.dbm = true;
		c.dirty = c.any_dirty = false;
		space_put(space, at, last, c);
	}
}

/* Eager splitting has left pages. */
static void check_pages(struct play *p, const struct session *s, uint64_t lo, uint64_t hi)
{
	struct span span;
	int level;

	for (uint64_t at = lo; at <= hi && at >= lo; at = span.hi + 1) {
		leaf_at(p, s->ctx, at, &span, &level);
		if (span.cell.what == LEAF && level < 3)
			fail(p, "dirty: a block of level %d is left at %#llx", level,
			     (unsigned long long)at);
	}
}

/* The last address whose leaf may have changed: blocks that were split reach out furthest, and
 * contiguous groups lie within a table. */
static uint64_t last_touched(struct play *p, const struct session *s, uint64_t from, bool split)
{
	const struct pt_dirty *op = &s->dirty;
	const struct model *m = &p->ctx[s->ctx].model;
	uint64_t at = op->next > from ? op->next - 1 : from;
	struct span span;
	unsigned group;
	int level;

	if (split)
		return (op->next <= op->last ? op->next : at) |
		       ((UINT64_C(1) << model_shift(m, m->top)) - 1);
	leaf_at(p, s->ctx, at, &span, &level);
	group = m->grouped ? reader_group(&p->ctx[s->ctx].reader, level) : 0;
	return group && !span.cell.group ? at | ((span.hi - span.lo + 1) * group - 1) : span.hi;
}

/* The step went from `from` up to op->next; `edge` was at `from`. */
static void tables_passed(struct play *p, struct session *s, uint64_t from, const struct span *edge,
			  bool split)
{
	const struct pt_dirty *op = &s->dirty;
	uint64_t lo = edge->lo < from ? edge->lo : from, upto = last_touched(p, s, from, split);

	blur(p, s->ctx, lo, upto);
	if (op->next > from)
		make_clean(p, s->ctx, from, op->next - 1);
	compare(p, s->ctx, lo, upto);
	if (op->args.kind == PT_DIRTY_START && op->args.eager_split && op->stopped == PT_OK &&
	    op->next > from)
		check_pages(p, s, from, op->next - 1);
}

static void passed(struct play *p, struct session *s, uint64_t from)
{
	const struct pt_dirty *op = &s->dirty;

	if (op->next <= from || op->args.kind == PT_DIRTY_STOP)
		return;
	if (op->args.kind == PT_DIRTY_START)
		log_started(s->log, from, op->next - 1, op->args.initially_set);
	else
		s->pages += log_collected(p, s->log, op->args.ipa.v, from, op->next - 1, s->bitmap,
					  op->args.clear);
}

static void done(struct play *p, struct session *s)
{
	const struct pt_dirty *op = &s->dirty;
	struct log *log = s->log;
	uint64_t must, may;

	log_count(log, &must, &may);
	log->generation += op->args.clear;
	if (op->next != op->last + 1)
		fail(p, "dirty: done at %#llx", (unsigned long long)op->next);
	if (op->args.kind == PT_DIRTY_STOP ? op->dirty < must || op->dirty > may
					   : op->dirty != s->pages)
		fail(p, "dirty: %llu pages, where %llu were told, or %llu to %llu are left",
		     (unsigned long long)op->dirty, (unsigned long long)s->pages,
		     (unsigned long long)must, (unsigned long long)may);
	if (op->args.kind != PT_DIRTY_STOP && op->generation != log->generation)
		fail(p, "dirty: generation %llu, expected %llu", (unsigned long long)op->generation,
		     (unsigned long long)log->generation);
	log->state = op->args.kind == PT_DIRTY_STOP ? LOG_GONE : LOG_LIVE;
	count(p, row_of(&op->args),
	      op->stopped != PT_OK				  ? op->stopped
	      : op->args.kind == PT_DIRTY_START || op->dirty != 0 ? PT_OK
								  : PT_HOLE);
	over(p, s);
}

void step_dirty(struct play *p, struct session *s, uint32_t budget)
{
	struct pt_dirty *op = &s->dirty;
	bool first = !s->begun, looks = cleans(&op->args), splits = op->stopped == PT_OK;
	uint64_t from = op->next, tables = op->effects.tables_added;
	enum pt_outcome got, want = first ? first_answer(p, s) : PT_OK;
	struct span edge;
	bool split;
	int level;

	if (looks)
		leaf_at(p, s->ctx, from <= op->last ? from : op->last, &edge, &level);
	s->begun = true;
	if (first && want == PT_OK)
		begun(s);
	got = pt_dirty_step(op, &s->agent, budget);
	if (pt_is_error(got) || want != PT_OK) {
		if (got != want)
			fail(p, "dirty: %s, expected %s", outcome_name(got), outcome_name(want));
		count(p, row_of(&op->args), got);
		over(p, s);
		return;
	}
	if (splits && op->stopped != PT_OK)
		refusal_has_reason(p, s, op->stopped, op->args.ipa.v, op->last);
	look_at_list(&p->ctx[s->ctx]);
	passed(p, s, from);
	split = op->effects.tables_added != tables;
	if (looks && (op->next > from || split))
		tables_passed(p, s, from, &edge, split);
	if (got == PT_PARKED) {
		s->parked = true;
		s->woken = false;
	} else if (got == PT_OK) {
		done(p, s);
	}
}

void stop_dirty(struct play *p, struct session *s)
{
	struct pt_dirty *op = &s->dirty;
	bool is_over;

	session_begin(s);
	is_over = pt_dirty_abort(op, &s->agent);
	session_end(s);
	if (is_over == (op->args.kind == PT_DIRTY_STOP))
		fail(p, "dirty: %s given up", is_over ? "a stop was" : "could not be");
	if (!is_over)
		return;
	if (op->args.kind == PT_DIRTY_START)
		s->log->state = LOG_GONE;
	else if (op->next == op->args.ipa.v)
		log_unsettle(s->log, s->was, s->arrived);
	else
		s->log->given_up = true;
	count(p, row_of(&op->args), PT_CANCELLED);
	over(p, s);
}

/* ---- the end ---- */

void dirty_settled(struct play *p)
{
	for (unsigned i = 0; i < CONTEXTS; i++)
		for (unsigned k = 0; k < LOGS; k++)
			if (p->ctx[i].log[k].state == LOG_GONE)
				log_free(&p->ctx[i].log[k]);
}

void dirty_close(struct play *p, struct session *s)
{
	for (unsigned i = 0; i < CONTEXTS * LOGS; i++) {
		struct step step = {.verb = V_dirty, .ctx = i / LOGS, .vcpu = i % LOGS};

		step.item[0].kind = PT_DIRTY_STOP;
		begin_dirty(p, s, &step);
		while (s->doing == DIRTY) {
			session_begin(s);
			step_dirty(p, s, 1000);
			session_end(s);
		}
	}
	dirty_settled(p);
}
