/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of items: as point operations and as transactions, each judged by the model. */
#include "play.h"

#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

static uint64_t first_of(const struct session *s)
{
	return s->item[0].ipa.v;
}

static uint64_t last_of(const struct session *s)
{
	const struct pt_item *item = &s->item[s->count - 1];

	return item->ipa.v + (item->size - 1);
}

static enum row row_of(const struct session *s)
{
	static const uint8_t rows[][2] = {
		[PT_ITEM_MAP] = {ROW_MAP, ROW_POINT_MAP},
		[PT_ITEM_UNMAP] = {ROW_UNMAP, ROW_POINT_UNMAP},
		[PT_ITEM_PROTECT] = {ROW_PROTECT, ROW_POINT_PROTECT},
		[PT_ITEM_WRITE_PROTECT] = {ROW_WRITE_PROTECT, ROW_POINT_WRITE_PROTECT},
		[PT_ITEM_RELAX] = {ROW_RELAX, ROW_POINT_RELAX},
		[PT_ITEM_ANNOTATE] = {ROW_ANNOTATE, ROW_POINT_ANNOTATE},
		[PT_ITEM_FLUSH] = {ROW_FLUSH, ROW_POINT_FLUSH},
		[PT_ITEM_MAKE_YOUNG] = {ROW_MAKE_YOUNG, ROW_POINT_MAKE_YOUNG},
	};

	if (s->changes_slot)
		return ROW_CHANGE_SLOT;
	if (s->flags & STEP_VALIDATE)
		return ROW_VALIDATE;
	if (s->count > 1 || s->item[0].kind >= sizeof(rows) / sizeof(rows[0]) ||
	    !rows[s->item[0].kind][0])
		return ROW_BATCH;
	return rows[s->item[0].kind][s->doing == POINT];
}

static void refused(struct play *p, struct session *s, enum pt_outcome o)
{
	count(p, row_of(s), o);
	session_idle(p, s);
}

void begin_items(struct play *p, struct session *s, const struct step *step)
{
	struct context *c = &p->ctx[step->ctx % CONTEXTS];

	s->ctx = step->ctx % CONTEXTS;
	s->count = step->count;
	s->flags = step->flags;
	s->doing = s->count == 1 && step->flags & STEP_POINT ? POINT : RANGE;
	s->begun = s->committed = s->changes_slot = false;
	s->dry_in = NEVER;
	for (unsigned i = 0; i < s->count; i++) {
		const struct step_item *from = &step->item[i];
		enum pt_outcome want, got;

		s->item[i] = (struct pt_item){&c->pt,	  {from->ipa}, from->size, {from->pa},
					      from->prot, from->flags, from->kind, 0xdead};
		want = model_check(&c->model, &s->item[i]);
		got = pt_item_check(&s->item[i]);
		if (want != got)
			fail(p, "check: item %u: %s, expected %s", i, outcome_name(got),
			     outcome_name(want));
		if (got != PT_OK) {
			refused(p, s, got);
			return;
		}
	}
}

/* An item before it has set the one access flag of the leaf that both are in. */
static bool made_young_before(const struct session *s, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (s->item[k].kind == PT_ITEM_MAKE_YOUNG && s->edge[k][1].hi >= s->edge[i][0].lo)
			return true;
	return false;
}

static void check_outcome(struct play *p, const struct session *s, unsigned i, unsigned got,
			  const struct told *told)
{
	if (got == told->outcome || (told->loose && got == PT_MAPPED))
		return;
	if (s->item[i].kind == PT_ITEM_MAKE_YOUNG && got == PT_ALREADY_MAPPED &&
	    (s->touched || made_young_before(s, i)))
		return;
	if (p->ctx[s->ctx].model.grouped && s->item[i].kind == PT_ITEM_MAKE_YOUNG &&
	    (got == PT_ALREADY_MAPPED || got == PT_MADE_YOUNG) && told->outcome != PT_HOLE)
		return;
	fail(p, "outcome: item %u of kind %u at %#llx: %s, expected %s", i, s->item[i].kind,
	     (unsigned long long)s->item[i].ipa.v, outcome_name(got), outcome_name(told->outcome));
}

static void check_granules(struct play *p, const struct pt_effects *fx, const struct told *told)
{
	if (fx->holes != told->holes)
		fail(p, "holes: %llu, expected %llu", (unsigned long long)fx->holes,
		     (unsigned long long)told->holes);
	if (fx->annotated != told->annotated)
		fail(p, "annotated: %llu, expected %llu", (unsigned long long)fx->annotated,
		     (unsigned long long)told->annotated);
}

static void check_error(struct play *p, const struct pt_error *err, uint32_t index,
			const struct told *told, enum pt_outcome got)
{
	if (got != told->outcome || err->code != got)
		fail(p, "outcome: item %u fails with %s, expected %s", index, outcome_name(got),
		     outcome_name(told->outcome));
	if (err->ipa.v != told->ipa)
		fail(p, "error: %s at %#llx, expected %#llx", outcome_name(got),
		     (unsigned long long)err->ipa.v, (unsigned long long)told->ipa);
}

static void read_edges(struct play *p, struct session *s)
{
	int level;

	for (unsigned i = 0; i < s->count; i++) {
		const struct pt_item *item = &s->item[i];

		leaf_at(p, s->ctx, item->ipa.v, &s->edge[i][0], &level);
		leaf_at(p, s->ctx, item->ipa.v + (item->size - 1), &s->edge[i][1], &level);
	}
}

void blur_edges(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi, const struct span edge[2])
{
	for (unsigned i = 0; i < 2; i++) {
		if (edge[i].cell.what != LEAF)
			continue;
		if (edge[i].lo < lo)
			model_age_unsure(&p->ctx[ctx].model, edge[i].lo, lo - 1);
		if (edge[i].hi > hi)
			model_age_unsure(&p->ctx[ctx].model, hi + 1, edge[i].hi);
	}
}

static void apply_item(struct play *p, struct session *s, unsigned i)
{
	const struct pt_item *item = &s->item[i];

	model_apply(&p->ctx[s->ctx].model, item);
	if (p->ctx[s->ctx].model.grouped)
		model_age_unsure(&p->ctx[s->ctx].model, s->edge[i][0].lo, s->edge[i][1].hi);
	else if (item->kind == PT_ITEM_MAKE_YOUNG)
		blur_edges(p, s->ctx, item->ipa.v, item->ipa.v + (item->size - 1), s->edge[i]);
}

/* ---- one entry ---- */

/* More than one entry is needed: not for a single granule that is a page, or nothing. */
static void more_has_reason(struct play *p, const struct session *s)
{
	struct span span;
	int level;

	if (s->item[0].size >> p->ctx[s->ctx].model.granule != 1)
		return;
	leaf_at(p, s->ctx, first_of(s), &span, &level);
	if (span.cell.group)
		return;
	if (level == 3 || (span.cell.what == HOLE && s->item[0].kind != PT_ITEM_ANNOTATE))
		fail(p, "more: one page at %#llx is no operation on one entry",
		     (unsigned long long)first_of(s));
}

static void point_done(struct play *p, struct session *s, enum pt_outcome got,
		       const struct pt_effects *fx, const struct pt_error *err)
{
	struct model *m = &p->ctx[s->ctx].model;
	struct told told = model_tell(m, &s->item[0]);

	count(p, row_of(s), got);
	if (got == PT_NO_MEMORY || got == PT_QUOTA) {
		if (s->item[0].kind != PT_ITEM_MAP || told.outcome != PT_MAPPED)
			fail(p, "memory: refused where no table is needed");
		refusal_has_reason(p, s, got, first_of(s), last_of(s));
	} else if (pt_is_error(got)) {
		check_error(p, err, 0, &told, got);
	} else {
		check_outcome(p, s, 0, got, &told);
		check_granules(p, fx, &told);
		log_item(p, s->ctx, &m->space, &s->item[0], first_of(s), last_of(s),
			 PAGE_MUST | PAGE_MAY);
		log_item_may(p, s->ctx, &s->item[0], s->edge[0]);
		apply_item(p, s, 0);
	}
	compare(p, s->ctx, s->edge[0][0].lo, s->edge[0][1].hi);
	session_idle(p, s);
}

void step_point(struct play *p, struct session *s)
{
	bool covered = is_covered(p, s->ctx, first_of(s), last_of(s), s);
	struct pt_effects fx = {0};
	struct pt_error err = {0};
	enum pt_outcome got;

	read_edges(p, s);
	got = pt_point(&s->agent, &s->item[0], &fx, &err);
	if (covered != (got == PT_PARKED))
		fail(p, "claims: an operation on one entry %s",
		     covered ? "passed a claim" : "parked without a claim");
	if (got == PT_PARKED) {
		session_park(p, s, first_of(s), last_of(s));
	} else if (got == PT_MORE) {
		more_has_reason(p, s);
		s->doing = RANGE;
	} else if (got == PT_RACED) {
		if (s->item[0].kind != PT_ITEM_MAKE_YOUNG ||
		    !is_covered(p, s->ctx, s->edge[0][0].lo, s->edge[0][0].hi, s))
			fail(p, "raced: one entry, and nobody else is there");
		count(p, row_of(s), got);
	} else {
		point_done(p, s, got, &fx, &err);
	}
}

/* ---- transactions ---- */

static void count_before(struct play *p, struct session *s)
{
	struct context *c = &p->ctx[s->ctx];
	uint64_t mask = (UINT64_C(1) << model_shift(&c->model, c->model.top)) - 1;

	s->begun_in = p->turn;
	s->tables = atomic_load(&c->pt.table_pages);
	if (s->flags & STEP_COUNT_LEAVES)
		s->leaves = count_leaves(p, s->ctx, first_of(s) & ~mask, last_of(s) | mask);
}

/* Rewritten rights count as written, too, so that only items which add or remove tell. */
static void count_after(struct play *p, const struct session *s)
{
	struct context *c = &p->ctx[s->ctx];
	uint64_t mask = (UINT64_C(1) << model_shift(&c->model, c->model.top)) - 1;
	const struct pt_effects *fx = &s->txn.effects;
	uint64_t tables = atomic_load(&c->pt.table_pages), leaves;

	if (s->begun_in != p->turn || s->flags & STEP_VALIDATE)
		return;
	if (tables - s->tables != (uint64_t)fx->tables_added - fx->tables_freed)
		fail(p,
		     "effects: %u tables added and %u freed, where the context went from %llu "
		     "to %llu",
		     fx->tables_added, fx->tables_freed, (unsigned long long)s->tables,
		     (unsigned long long)tables);
	if (!(s->flags & STEP_COUNT_LEAVES))
		return;
	for (unsigned i = 0; i < s->count; i++)
		if ((s->item[i].kind > PT_ITEM_UNMAP && s->item[i].kind != PT_ITEM_ANNOTATE) ||
		    s->item[i].flags & PT_MAP_REPLACE)
			return;
	leaves = count_leaves(p, s->ctx, first_of(s) & ~mask, last_of(s) | mask);
	if (leaves - s->leaves != fx->leaves_written - fx->leaves_removed)
		fail(p, "effects: %llu leaves written and %llu removed, where %llu became %llu",
		     (unsigned long long)fx->leaves_written, (unsigned long long)fx->leaves_removed,
		     (unsigned long long)s->leaves, (unsigned long long)leaves);
}

/* Items of one request: ascending, apart. */
static bool begin_range(struct play *p, struct session *s)
{
	struct context *c = &p->ctx[s->ctx];
	uint64_t expected = s->flags & STEP_STALE	 ? c->model.generation + 1000
			    : s->flags & STEP_GENERATION ? c->model.generation
							 : 0;
	const struct pt_slots *publish = s->txn.publish;
	enum pt_outcome got =
		pt_txn_init(&s->txn, s->item, s->count, expected, s->flags & STEP_VALIDATE, wake);
	uint32_t wrong = 0;

	for (uint32_t i = 1; i < s->count && !wrong; i++)
		if (s->item[i].ipa.v < s->item[i - 1].ipa.v + s->item[i - 1].size)
			wrong = i;
	if ((got == PT_OK) == (wrong != 0) || (wrong && s->txn.error.index != wrong))
		fail(p, "order: %s for items of which %u is out of order", outcome_name(got),
		     wrong);
	if (wrong) {
		refused(p, s, got);
		return false;
	}
	if (s->changes_slot)
		s->txn.publish = publish;
	s->begun = true;
	count_before(p, s);
	return true;
}

/* The step that was made has passed the commit point: the model follows as a whole. */
static void commit(struct play *p, struct session *s)
{
	struct model *m = &p->ctx[s->ctx].model;

	if (s->txn.expected_generation && s->txn.expected_generation != m->generation)
		fail(p, "generation: committed although another one was expected");
	s->committed = true;
	s->touched = false;
	s->reach = (struct reach){s->edge[0][0].lo, s->edge[s->count - 1][1].hi};
	space_copy(&s->before, &m->space, s->reach.lo, s->reach.hi);
	s->passed = s->reach.lo;
	for (unsigned i = 0; i < s->count; i++) {
		s->told[i] = model_tell(m, &s->item[i]);
		if (pt_is_error(s->told[i].outcome))
			fail(p, "outcome: committed although item %u is %s", i,
			     outcome_name(s->told[i].outcome));
	}
	for (unsigned i = 0; i < s->count; i++) {
		log_item(p, s->ctx, &s->before, &s->item[i], s->reach.lo, s->reach.hi, PAGE_MAY);
		log_item_may(p, s->ctx, &s->item[i], s->edge[i]);
		apply_item(p, s, i);
	}
	m->generation++;
	if (s->changes_slot)
		model_change_slot(m, s->slot_id, s->slot.size ? &s->slot : NULL);
}

/* What the claim has left behind says what comes after. */
static void compare_passed(struct play *p, struct session *s)
{
	uint64_t upto = s->txn.claim.slot >= 0 ? s->txn.claim.lo : s->reach.hi + 1;

	upto = upto <= s->reach.hi ? upto : s->reach.hi + 1;
	if (s->committed && upto > s->passed) {
		for (unsigned i = 0; i < s->count; i++)
			log_item(p, s->ctx, &s->before, &s->item[i], s->passed, upto - 1,
				 PAGE_MUST);
		compare(p, s->ctx, s->passed, upto - 1);
		s->passed = upto;
	}
}

static void check_replies(struct play *p, struct session *s)
{
	struct told all = {0};

	for (unsigned i = 0; i < s->count; i++) {
		if (s->flags & STEP_VALIDATE)
			s->told[i] = model_tell(&p->ctx[s->ctx].model, &s->item[i]);
		check_outcome(p, s, i, s->item[i].outcome, &s->told[i]);
		all.holes += s->told[i].holes;
		all.annotated += s->told[i].annotated;
	}
	check_granules(p, &s->txn.effects, &all);
	if (s->dry_in == p->turn) {
		s->dry.tlbis = s->txn.effects.tlbis;
		if (memcmp(&s->dry, &s->txn.effects, sizeof(s->dry)) != 0)
			fail(p, "effects: validate_only foretold others");
	}
	count_after(p, s);
}

/* Where nothing was mapped, FORCE_PAGES makes pages, and so does the context's policy. */
static void check_forced(struct play *p, const struct session *s)
{
	const struct context *c = &p->ctx[s->ctx];

	for (unsigned i = 0; i < s->count && s->before.count == 0; i++) {
		const struct pt_item *item = &s->item[i];
		struct span span;
		int level;

		if (item->kind != PT_ITEM_MAP || s->begun_in != p->turn ||
		    !(item->flags & PT_MAP_FORCE_PAGES || model_forces(&c->model, item->ipa.v)))
			continue;
		leaf_at(p, s->ctx, item->ipa.v, &span, &level);
		if (level != 3)
			fail(p, "force: a block of level %d", level);
	}
}

static void range_done(struct play *p, struct session *s)
{
	bool dry = s->flags & STEP_VALIDATE;

	if (dry && s->txn.expected_generation &&
	    s->txn.expected_generation != p->ctx[s->ctx].model.generation)
		fail(p, "generation: validated although another one was expected");
	if (!dry && !s->committed)
		fail(p, "commit: done without a commit point");
	check_replies(p, s);
	if (!dry)
		check_forced(p, s);
	compare_passed(p, s);
	for (unsigned i = 0; i < s->count; i++)
		count(p, row_of(s), s->item[i].outcome);
	if (!dry) {
		if (s->changes_slot)
			p->ctx[s->ctx].slot_busy = false;
		session_idle(p, s);
		return;
	}
	/* Now in earnest. */
	s->dry = s->txn.effects;
	s->dry_in = p->turn;
	s->flags &= ~(uint32_t)STEP_VALIDATE;
	s->begun = false;
}

static void range_failed(struct play *p, struct session *s, enum pt_outcome got)
{
	static const struct pt_effects none;
	const struct model *m = &p->ctx[s->ctx].model;
	struct told told = {.outcome = PT_OK};
	uint32_t at = 0;

	while (at < s->count && !pt_is_error(told.outcome))
		told = model_tell(m, &s->item[at++]);
	if (s->committed)
		fail(p, "commit: %s behind the commit point", outcome_name(got));
	count(p, row_of(s), got);
	if (got == PT_NO_MEMORY || got == PT_QUOTA) {
		refusal_has_reason(p, s, got, first_of(s), last_of(s));
	} else if (got == PT_GENERATION_MISMATCH) {
		if (pt_is_error(told.outcome) || !s->txn.expected_generation ||
		    s->txn.expected_generation == m->generation)
			fail(p, "generation: mismatch without a reason");
	} else {
		check_error(p, &s->txn.error, at - 1, &told, got);
		if (s->txn.error.index != at - 1)
			fail(p, "error: item %u, expected %u", s->txn.error.index, at - 1);
	}
	if (memcmp(&none, &s->txn.effects, sizeof(none)) != 0)
		fail(p, "effects: of a request that failed");
	compare(p, s->ctx, first_of(s), last_of(s));
	if (s->changes_slot)
		p->ctx[s->ctx].slot_busy = false;
	session_idle(p, s);
}

void step_range(struct play *p, struct session *s, uint32_t budget)
{
	enum pt_outcome got;

	if (!s->begun && !begin_range(p, s))
		return;
	if (!s->committed)
		read_edges(p, s);
	got = pt_txn_step(&s->txn, &s->agent, budget);
	if (!s->committed && pt_txn_committed(&s->txn))
		commit(p, s);
	compare_passed(p, s);
	if (got == PT_PARKED) {
		s->parked = true;
		s->woken = false;
	} else if (got == PT_OK) {
		range_done(p, s);
	} else if (got != PT_MORE) {
		range_failed(p, s, got);
	}
}

void abort_items(struct play *p, struct session *s)
{
	bool gone;

	session_begin(s);
	gone = pt_txn_abort(&s->txn, &s->agent);
	session_end(s);
	if (gone == s->committed)
		fail(p, "abort: %s the commit point", gone ? "given up behind" : "refused before");
	if (!gone)
		return;
	compare(p, s->ctx, first_of(s), last_of(s));
	count(p, row_of(s), PT_CANCELLED);
	if (s->changes_slot)
		p->ctx[s->ctx].slot_busy = false;
	session_idle(p, s);
}

/* ---- slots ---- */

static bool slot_fits(const struct model *m, const struct model_slot *slot)
{
	for (unsigned i = 0; i < m->slots; i++)
		if (m->slot[i].id != slot->id && slot->ipa < m->slot[i].ipa + m->slot[i].size &&
		    m->slot[i].ipa < slot->ipa + slot->size)
			return false;
	return true;
}

/* lib keeps it until nobody reads it; a play is short, and keeps them all. */
static const struct pt_slots *slots_of(const struct model *m)
{
	struct pt_slots *made = malloc(sizeof(*made) + m->slots * sizeof(made->slot[0]));

	made->count = m->slots;
	for (unsigned i = 0; i < m->slots; i++) {
		const struct model_slot *from = &m->slot[i];

		made->slot[i] = (struct pt_slot){from->ipa, from->size,	 from->pa,
						 from->id,  from->flags, from->backing};
	}
	return made;
}

/* A new slot is published alone; one that changes or goes is unmapped by the transaction that
 * publishes. item[0]: where, flags, prot: log2 of the backing page; count 0: it goes. */
void begin_slot(struct play *p, struct session *s, const struct step *step)
{
	struct context *c = &p->ctx[step->ctx % CONTEXTS];
	const struct step_item *i = &step->item[0];
	struct model after = c->model;
	const struct model_slot *old = NULL;

	s->ctx = step->ctx % CONTEXTS;
	s->slot_id = (uint32_t)step->arg % MODEL_SLOTS;
	s->slot = (struct model_slot){i->ipa,	step->count ? i->size : 0, i->pa, s->slot_id,
				      i->flags, (uint8_t)i->prot};
	for (unsigned k = 0; k < c->model.slots; k++)
		if (c->model.slot[k].id == s->slot_id)
			old = &c->model.slot[k];
	if ((!old && !step->count) || (step->count && !slot_fits(&c->model, &s->slot)))
		return;
	model_change_slot(&after, s->slot_id, s->slot.size ? &s->slot : NULL);
	if (!old) {
		session_begin(s);
		pt_ctx_set_slots(&c->pt, slots_of(&after));
		session_end(s);
		model_change_slot(&c->model, s->slot_id, &s->slot);
		count(p, ROW_CHANGE_SLOT, PT_OK);
		return;
	}
	s->item[0] = (struct pt_item){
		.ctx = &c->pt, .ipa = {old->ipa}, .size = old->size, .kind = PT_ITEM_UNMAP};
	s->count = 1;
	s->flags = 0;
	s->doing = RANGE;
	s->begun = s->committed = false;
	s->changes_slot = c->slot_busy = true;
	s->dry_in = NEVER;
	s->txn.publish = slots_of(&after);
}
