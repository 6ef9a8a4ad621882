/* SPDX-License-Identifier: BSD-2-Clause */
/* Upkeep: nothing that is mapped changes but access flags, and those only as far as it came. */
#include "play.h"

#include <stdlib.h>
#include <string.h>

/* item[0]: the range; kind; flags: clear; prot: the level + 1; arg: table pages; pa: the budget. */
static struct pt_upkeep_args args_of(struct play *p, const struct session *s,
				     const struct step *step)
{
	const struct step_item *i = &step->item[0];

	return (struct pt_upkeep_args){
		.ctx = &p->ctx[s->ctx].pt,
		.kind = i->kind,
		.ipa = {i->ipa},
		.size = i->size,
		.clear = i->kind == PT_UPKEEP_AGE && i->flags,
		.bitmap = i->kind == PT_UPKEEP_AGE && i->prot ? s->bitmap : NULL,
		.level = i->kind == PT_UPKEEP_SPLIT ? (int8_t)((int)i->prot - 1) : 0,
		.page_budget = i->kind == PT_UPKEEP_SPLIT ? step->arg : 0,
	};
}

static enum row row_of(const struct session *s)
{
	return ROW_AGE + (s->upkeep.args.kind - PT_UPKEEP_AGE);
}

static enum pt_outcome check(const struct model *m, const struct pt_upkeep_args *a)
{
	struct pt_item range = {.kind = PT_ITEM_UNMAP, .ipa = a->ipa, .size = a->size};

	if (a->kind < PT_UPKEEP_AGE || a->kind > PT_UPKEEP_SWEEP)
		return PT_INVALID;
	if (a->kind == PT_UPKEEP_SPLIT && (a->level < m->top || a->level > 3))
		return PT_INVALID;
	return model_check(m, &range);
}

void begin_upkeep(struct play *p, struct session *s, const struct step *step)
{
	struct pt_upkeep_args a;
	enum pt_outcome want, got;
	uint64_t granules = step->item[0].size >> p->ctx[step->ctx % CONTEXTS].model.granule;

	s->ctx = step->ctx % CONTEXTS;
	s->bitmap = NULL;
	if (step->item[0].prot && granules < 1 << 20)
		s->bitmap = calloc(1, granules / 8 + 2);
	s->young = s->old = s->holes = 0;
	s->blurred = p->ctx[s->ctx].model.grouped;
	s->stopped = false;
	a = args_of(p, s, step);
	want = check(&p->ctx[s->ctx].model, &a);
	got = pt_upkeep_init(&s->upkeep, &a, wake);
	if (got != want)
		fail(p, "check: upkeep: %s, expected %s", outcome_name(got), outcome_name(want));
	s->doing = UPKEEP;
	if (got != PT_OK) {
		count(p, a.kind - 1 < 4 ? row_of(s) : ROW_BATCH, got);
		free(s->bitmap);
		session_idle(p, s);
	}
}

static bool bit_of(const struct session *s, uint64_t ipa, unsigned granule)
{
	uint64_t n = (ipa - s->upkeep.args.ipa.v) >> granule;

	return s->bitmap[n / 8] >> n % 8 & 1;
}

static void check_bits(struct play *p, const struct session *s, uint64_t lo, uint64_t hi,
		       bool young)
{
	unsigned granule = p->ctx[s->ctx].model.granule;

	for (uint64_t at = lo; at <= hi && s->upkeep.args.bitmap; at += UINT64_C(1) << granule)
		if (bit_of(s, at, granule) != young)
			fail(p, "age: the bit of %#llx is not %d", (unsigned long long)at, young);
}

/* The step went over [lo, hi]. */
static void age_passed(struct play *p, struct session *s, uint64_t lo, uint64_t hi)
{
	struct model *m = &p->ctx[s->ctx].model;
	uint64_t last;

	for (uint64_t at = lo; at <= hi; at = last + 1) {
		struct cell c = space_get(&m->space, at, &last);
		uint64_t n;

		last = last < hi ? last : hi;
		n = (last - at + 1) >> m->granule;
		*(c.what != LEAF ? &s->holes : c.young ? &s->young : &s->old) += n;
		if (!s->blurred)
			check_bits(p, s, at, last, c.what == LEAF && c.young);
		if (!s->upkeep.args.clear || c.what != LEAF)
			continue;
		c.young = false;
		space_put(&m->space, at, last, c);
	}
}

/* The flag of a block is that of any of its pages; the same for dirty state. */
static void collapse_passed(struct play *p, struct session *s, uint64_t lo, uint64_t hi)
{
	struct space *space = &p->ctx[s->ctx].model.space;
	uint64_t last;

	for (uint64_t at = lo; at <= hi; at = last + 1) {
		struct cell c = space_get(space, at, &last);

		last = last < hi ? last : hi;
		if (c.what != LEAF || (c.young && !c.dbm && !p->ctx[s->ctx].model.hd))
			continue;
		c.any_young |= !c.young;
		c.any_dirty |= (c.rights & PT_PROT_W) != 0;
		space_put(space, at, last, c);
	}
}

/* No block above the level is left in what the step split; a fault may put one there afterwards. */
static void check_split(struct play *p, const struct session *s, uint64_t lo)
{
	const struct pt_upkeep *u = &s->upkeep;
	struct span span;
	int level;

	for (uint64_t at = lo; at < u->next; at = span.hi + 1) {
		leaf_at(p, s->ctx, at, &span, &level);
		if (span.cell.what == LEAF && level < u->args.level &&
		    !is_covered(p, s->ctx, span.lo, span.hi, s))
			fail(p, "split: a block of level %d is left at %#llx", level,
			     (unsigned long long)at);
	}
}

/* The step went over [lo, next), and may have folded again from `keeps` on. */
static void passed(struct play *p, struct session *s, uint64_t keeps, uint64_t lo,
		   const struct span edge[2])
{
	uint64_t hi = s->upkeep.next - (s->upkeep.next != 0);

	for (unsigned i = 0; i < p->sessions; i++) {
		const struct session *other = &p->session[i];

		if (other != s && other->committed && other->ctx == s->ctx)
			s->blurred |= is_covered(p, s->ctx, lo, hi, s);
	}
	if (s->upkeep.args.kind == PT_UPKEEP_COLLAPSE) {
		uint64_t mask = (UINT64_C(1) << model_shift(&p->ctx[s->ctx].model, 2)) - 1;

		/* What the claim has kept, and the table that it is in. */
		hi = s->upkeep.next | mask;
		collapse_passed(p, s, keeps, hi);
		compare(p, s->ctx, keeps, hi);
	} else if (s->upkeep.next > lo) {
		struct span end = edge[1];
		int level;

		if (hi != s->upkeep.last)
			leaf_at(p, s->ctx, hi, &end, &level);
		if (s->upkeep.args.kind == PT_UPKEEP_AGE)
			age_passed(p, s, lo, hi);
		if (s->upkeep.args.kind == PT_UPKEEP_SPLIT)
			check_split(p, s, lo);
		if (s->upkeep.args.clear && p->ctx[s->ctx].model.grouped)
			model_age_unsure(&p->ctx[s->ctx].model, edge[0].lo, end.hi);
		else if (s->upkeep.args.clear)
			blur_edges(p, s->ctx, lo, hi, (struct span[]){edge[0], end});
		compare(p, s->ctx, keeps < edge[0].lo ? keeps : edge[0].lo, end.hi);
	}
}

static void check_age(struct play *p, const struct session *s)
{
	const struct pt_upkeep *u = &s->upkeep;
	uint64_t all = (u->next - u->args.ipa.v) >> p->ctx[s->ctx].model.granule;

	if (u->young + u->old + u->effects.holes != all)
		fail(p, "age: %llu granules, %llu expected",
		     (unsigned long long)(u->young + u->old + u->effects.holes),
		     (unsigned long long)all);
	if (!s->blurred &&
	    (u->young != s->young || u->old != s->old || u->effects.holes != s->holes))
		fail(p, "age: %llu young, %llu old, expected %llu and %llu",
		     (unsigned long long)u->young, (unsigned long long)u->old,
		     (unsigned long long)s->young, (unsigned long long)s->old);
}

static void upkeep_done(struct play *p, struct session *s, enum pt_outcome got)
{
	const struct pt_upkeep *u = &s->upkeep;
	uint64_t end = u->args.ipa.v + u->args.size;

	if (u->stopped == PT_NO_MEMORY || u->stopped == PT_QUOTA)
		refusal_has_reason(p, s, u->stopped, u->args.ipa.v, end - 1);
	else if (u->stopped != (s->stopped ? PT_CANCELLED : PT_OK) &&
		 !(u->stopped == PT_MORE && u->args.page_budget))
		fail(p, "upkeep: stopped with %s", outcome_name(u->stopped));
	if (u->stopped == PT_OK && u->next != end)
		fail(p, "upkeep: done at %#llx of %#llx", (unsigned long long)u->next,
		     (unsigned long long)end);
	if (pt_is_error(got) && (got != u->stopped || u->effects.leaves_written))
		fail(p, "upkeep: %s after something was done", outcome_name(got));
	if (u->args.kind == PT_UPKEEP_AGE)
		check_age(p, s);
	count(p, row_of(s),
	      pt_is_error(got)							? got
	      : u->stopped != PT_OK						? u->stopped
	      : u->effects.leaves_written + u->young || u->effects.tables_freed ? PT_OK
										: PT_HOLE);
	free(s->bitmap);
	session_idle(p, s);
}

void step_upkeep(struct play *p, struct session *s, uint32_t budget)
{
	const struct pt_upkeep *u = &s->upkeep;
	uint64_t lo = u->next, keeps = lo;
	struct span edge[2];
	enum pt_outcome got;
	int level;

	leaf_at(p, s->ctx, lo <= u->last ? lo : u->last, &edge[0], &level);
	leaf_at(p, s->ctx, u->last, &edge[1], &level);
	if (u->claim.ctx && u->claim.slot >= 0 && u->claim.lo < lo)
		keeps = u->claim.lo;
	if (!s->begun) {
		s->begun = true;
		s->begun_in = p->turn;
	}
	got = pt_upkeep_step(&s->upkeep, &s->agent, budget);
	passed(p, s, keeps, lo, edge);
	if (got == PT_PARKED) {
		s->parked = true;
		s->woken = false;
	} else if (got != PT_MORE) {
		upkeep_done(p, s, got);
	}
}

void stop_upkeep(struct play *p, struct session *s)
{
	bool over;

	session_begin(s);
	if (s->upkeep.phase < PT_UPKEEP_RETIRE)
		s->stopped = true;
	over = pt_upkeep_stop(&s->upkeep, &s->agent);
	session_end(s);
	if (over)
		upkeep_done(p, s, PT_OK);
	else
		s->parked = false;
}
