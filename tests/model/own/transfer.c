/* SPDX-License-Identifier: BSD-2-Clause */
/* A transition in lib and in the model: the same answer, and afterwards the same of all that it was
 * about. */
#include "play.h"

#define RANGES_MOST 8

/* What one run of it is besides what is asked for. */
struct how {
	bool validate, stale;
	uint32_t nth, give_up, die;
};

/* The i-th range. */
static struct rig_op op_of(const struct step *s, uint32_t i)
{
	uint32_t off = i * s->apart;

	return (struct rig_op){s->verb, s->guest, s->frame + off,      s->gfn + off,
			       s->n,	s->prot,  s->flags & STEP_WIPE};
}

/* Off a page's begin, by an address that is named. */
static bool is_askew(const struct step *s)
{
	return s->flags & STEP_ASKEW && s->n && s->verb != V_RECLAIM_TABLES;
}

/* Begins the teardown, in both. */
static void die(struct play *p, unsigned guest, enum pt_outcome *told)
{
	pt_section_begin(&p->rig.c.agent);
	*told = pt_guest_teardown(&p->rig.owners, guest);
	pt_section_end(&p->rig.c.agent);
}

static enum pt_outcome step_all(struct play *p, const struct step *s, const struct how *how,
				enum pt_outcome *death)
{
	struct transfer_rig *rig = &p->rig;
	enum pt_outcome outcome;

	for (uint32_t n = 1; (outcome = rig_step(rig, s->budget)) == PT_MORE; n++) {
		if (n == 1000000)
			differ(p, "steps: no end");
		if (n == how->die)
			die(p, s->guest, death);
		if (n != how->give_up)
			continue;
		pt_section_begin(&rig->c.agent);
		pt_transfer_abort(&rig->t, &rig->c.agent);
		pt_section_end(&rig->c.agent);
	}
	return outcome;
}

static enum pt_outcome run(struct play *p, const struct step *s, const struct how *how,
			   enum pt_outcome *death)
{
	struct pt_host_failpoint refuse = {.nth = how->nth, .times = 1};
	uint64_t off = (UINT64_C(1) << p->rig.c.ctx.geo.granule_shift) / 2;
	struct pt_transfer_range range[RANGES_MOST];
	struct rig_op op[RANGES_MOST];
	struct pt_transfer_args args;
	enum pt_outcome outcome;

	for (uint32_t i = 0; i <= s->more; i++)
		op[i] = op_of(s, i);
	args = s->more ? rig_args_of(&p->rig, op, s->more + 1, range) : rig_args(&p->rig, op);
	args.validate_only = how->validate;
	if (how->stale)
		args.expected_generation = atomic_load(&p->rig.c.ctx.generation) + 1;
	if (is_askew(s)) {
		args.pa += rig_by_pa(s->verb) ? off : 0;
		args.ipa.v += rig_by_ipa(s->verb) ? off : 0;
	}
	*death = PT_MORE;
	outcome = pt_transfer_init(&p->rig.t, &args);
	if (outcome != PT_OK)
		return outcome;
	if (how->nth)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &refuse);
	outcome = step_all(p, s, how, death);
	if (how->nth)
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	return outcome;
}

/* Whom it concerns: each unit with its frame, as far as the model knows them. */
static void find_pairs_of(struct play *p, const struct step *s, uint32_t range)
{
	const struct own *o = &p->rig.model;
	uint32_t off = range * s->apart;

	for (uint32_t i = 0; i < s->n && p->pairs < p->units; i++) {
		struct pair pair = {s->guest, s->gfn + off + i, s->frame + off + i};

		if (rig_by_ipa(s->verb) && (s->guest >= RIG_GUESTS || pair.gfn >= p->units))
			break;
		if (rig_by_pa(s->verb) && pair.frame >= p->units)
			break;
		if (!rig_by_pa(s->verb)) {
			const struct own_cell *c = &o->guest[s->guest].map[pair.gfn];

			pair.frame = c->state < OWN_NOPAGE ? (uint32_t)c->frame : UINT32_MAX;
		} else if (!rig_by_ipa(s->verb)) {
			const struct own_frame *f = &o->frame[pair.frame];

			pair.guest = f->owner == OWN_GUEST ? f->guest : UINT32_MAX;
			pair.gfn = (uint32_t)f->gfn;
		}
		p->pair[p->pairs++] = pair;
	}
}

static void find_pairs(struct play *p, const struct step *s)
{
	p->pairs = 0;
	for (uint32_t i = 0; i <= s->more && s->verb != V_RECLAIM_TABLES; i++)
		find_pairs_of(p, s, i);
	for (uint32_t i = 0; i < p->units && s->verb == V_RECLAIM_TABLES; i++) {
		const struct own_frame *f = &p->rig.model.frame[i];

		if (f->kind == OWN_TABLE && f->guest == s->guest)
			p->pair[p->pairs++] = (struct pair){UINT32_MAX, 0, i};
	}
}

/* Whoever has a frame writes to it: there is something to wipe. */
static void write_pairs(struct play *p)
{
	for (uint32_t i = 0; i < p->pairs; i++) {
		uint32_t frame = p->pair[i].frame;

		if (frame != UINT32_MAX && !p->rig.held[frame])
			p->rig.held[frame] = p->rig.model.frame[frame].content = p->now + 1;
	}
}

void same_pairs(struct play *p, uint32_t most)
{
	pt_section_begin(&p->rig.c.agent);
	for (uint32_t i = 0; i < p->pairs && i < most; i++) {
		const struct pair *pair = &p->pair[i];

		if (pair->frame != UINT32_MAX)
			same_frame(&p->rig, pair->frame);
		if (pair->guest < RIG_GUESTS)
			same_cell(&p->rig, pair->guest, pair->gfn);
		p->v->counts.pages++;
	}
	pt_section_end(&p->rig.c.agent);
}

/* In how many pieces of memory, and of how many guests, does it lie as far as its pages are of the
 * kind that is asked for? More than lib takes: TOO_LARGE. */
static bool in_too_many_pieces(const struct play *p, const struct step *s)
{
	uint32_t pieces = 0, guests = 0, seen = 0;

	if (s->verb == V_RECLAIM_DYING || s->verb == V_RECLAIM_TABLES ||
	    (rig_by_pa(s->verb) && s->verb != V_FORCE_RECLAIM))
		return false;
	for (uint32_t i = 0; i < p->pairs; i++) {
		const struct pair *a = &p->pair[i], *b = i ? &p->pair[i - 1] : a;
		enum own_state want = s->verb == V_UNSHARE_GUEST  ? OWN_SHARED_BORROWED
				      : s->verb == V_UNSHARE_BACK ? OWN_SHARED_OWNED
								  : OWN_OWNED;

		if (s->verb == V_FORCE_RECLAIM) {
			if (a->guest >= RIG_GUESTS)
				break;
			guests += !(seen >> a->guest & 1);
			seen |= 1u << a->guest;
		} else if (p->rig.model.guest[s->guest].map[a->gfn].state != want) {
			break;
		}
		pieces += !i || a->guest != b->guest || a->gfn != b->gfn + 1 ||
			  a->frame != b->frame + 1;
		if (pieces > PT_TRANSFER_RUNS || guests > PT_PARTIES - 1)
			return true;
	}
	return false;
}

static void must_be(struct play *p, const struct step *s, const char *what,
		    enum pt_outcome expected, enum pt_outcome outcome)
{
	if (expected != outcome)
		differ(p, "outcome: %s, %s: expected %s, got %s", verb_names[s->verb], what,
		       outcome_name(expected), outcome_name(outcome));
}

static void unchanged(struct play *p, const struct step *s, const char *what,
		      const struct rig_state *before)
{
	struct rig_state now;

	rig_counts_of(&p->rig, &now);
	if (memcmp(before, &now, sizeof(now)) != 0)
		differ(p, "changed: %s, %s: generations, tables or pages", verb_names[s->verb],
		       what);
	same_pairs(p, 2);
}

/* What it would be, and what it is with another generation: nothing changes. Returns what the
 * outcome has to be; MORE: any. */
static enum pt_outcome foretell(struct play *p, const struct step *s,
				const struct rig_state *before)
{
	enum pt_outcome death, outcome, expected = PT_MORE;

	if (s->verb == V_RECLAIM_DYING || s->verb == V_RECLAIM_TABLES)
		return PT_MORE;
	if (s->flags & STEP_VALIDATE) {
		expected = run(p, s, &(struct how){.validate = true}, &death);
		unchanged(p, s, "validated", before);
		if (expected == PT_NO_MEMORY || expected == PT_QUOTA)
			expected = PT_OK; /* when there is room */
	}
	if (s->flags & STEP_STALE) {
		outcome = run(p, s, &(struct how){.stale = true}, &death);
		unchanged(p, s, "stale", before);
		if (outcome == PT_GENERATION_MISMATCH || outcome == PT_NO_MEMORY ||
		    outcome == PT_QUOTA)
			outcome = PT_OK;
		else if (outcome == PT_OK)
			differ(p, "outcome: stale and not refused");
		if (expected != PT_MORE)
			must_be(p, s, "stale", expected, outcome);
		expected = outcome;
	}
	return expected;
}

/* Several ranges: all or none, each with what those before have left. */
static enum pt_outcome several(struct own *o, const struct step *s)
{
	enum pt_outcome outcome = s->apart < s->n ? PT_INVALID : PT_OK;
	struct own was;

	own_copy(&was, o);
	for (uint32_t i = 0; outcome == PT_OK && i <= s->more; i++) {
		struct rig_op op = op_of(s, i);

		outcome = rig_model(o, &op);
	}
	if (outcome != PT_OK) {
		struct own now = *o;

		*o = was;
		was = now;
	}
	own_close(&was);
	return outcome;
}

static enum pt_outcome in_model(struct play *p, const struct step *s)
{
	struct rig_op op = op_of(s, 0);
	enum pt_outcome outcome;

	if (is_askew(s))
		return PT_MISALIGNED;
	if (s->more)
		return several(&p->rig.model, s);
	outcome = rig_model(&p->rig.model, &op);
	if (p->v->plant == PLANT_FORGET_PINS && s->verb == V_PIN && outcome == PT_OK && s->n == 3)
		p->rig.model.frame[s->frame + 2].pins--;
	return outcome;
}

/* RECLAIM_DYING ends anywhere: as much as it says is through. In a unit that it was amid there is
 * nothing, for pages that are there go together. */
static void partly(struct play *p, const struct step *s)
{
	struct step through = *s;

	through.n = (uint32_t)(p->rig.t.done >> p->rig.shift);
	if (through.n)
		must_be(p, s, "a part", PT_OK, in_model(p, &through));
}

static void count(struct play *p, const struct step *s, enum pt_outcome outcome)
{
	p->v->counts.cell[s->verb][outcome]++;
	p->v->counts.transitions++;
}

/* The model's view of a death during the transition: it came after it. */
static void follow_death(struct play *p, const struct step *s, enum pt_outcome death)
{
	if (death == PT_MORE)
		return;
	must_be(p, s, "teardown", own_teardown(&p->rig.model, s->guest), death);
	p->v->counts.deaths += death == PT_OK;
	if (death == PT_OK)
		leave(p, s->guest);
}

static bool wants_room(enum pt_outcome outcome)
{
	return outcome == PT_NO_MEMORY || outcome == PT_QUOTA;
}

void lift_quotas(struct play *p)
{
	for (unsigned i = 0; i <= RIG_GUESTS; i++)
		atomic_store(&rig_ctx(&p->rig, i)->quota_pages, UINT64_MAX);
	atomic_store(&p->rig.store.quota_pages, UINT64_MAX);
}

/* It was refused for want of memory, or given up: nothing has changed, and it comes again. Memory
 * is asked for when all else is right. */
static enum pt_outcome again(struct play *p, const struct step *s, const struct rig_state *before,
			     enum pt_outcome was, enum pt_outcome death)
{
	enum pt_outcome expected = PT_MORE;

	count(p, s, was);
	if (s->verb == V_RECLAIM_DYING)
		partly(p, s);
	else if (s->verb != V_RECLAIM_TABLES) /* some may be back */
		unchanged(p, s, outcome_name(was), before);
	if (s->verb != V_RECLAIM_TABLES)
		same_pairs(p, UINT32_MAX);
	follow_death(p, s, death);
	lift_quotas(p);
	if (wants_room(was)) {
		p->v->counts.room++;
		/* What goes part by part may have found nothing wrong so far. */
		if (death != PT_OK && s->verb != V_RECLAIM_DYING)
			expected = PT_OK;
	}
	was = run(p, s, &(struct how){0}, &death);
	if (expected != PT_MORE)
		must_be(p, s, "again", expected, was);
	return was;
}

void do_transfer(struct play *p, const struct step *s)
{
	struct how how = {.nth = s->nth, .give_up = s->give_up, .die = s->die};
	enum pt_outcome outcome, death, foretold;
	struct rig_state before;
	bool large;

	rig_counts_of(&p->rig, &before);
	find_pairs(p, s);
	large = in_too_many_pieces(p, s);
	foretold = foretell(p, s, &before);
	outcome = run(p, s, &how, &death);
	if (wants_room(outcome) || outcome == PT_CANCELLED) {
		if (outcome == PT_CANCELLED && !s->give_up)
			differ(p, "outcome: given up by itself");
		outcome = again(p, s, &before, outcome, death);
		foretold = death == PT_MORE ? foretold : PT_MORE;
		rig_counts_of(&p->rig, &before); /* what the dying had of lendings is gone */
		death = PT_MORE;
	}
	count(p, s, outcome);
	if (foretold != PT_MORE)
		must_be(p, s, "foretold", foretold, outcome);
	if (s->verb == V_RECLAIM_DYING && outcome == PT_BUSY) /* at a page that is lent */
		partly(p, s);
	if (outcome == PT_TOO_LARGE && large && !(s->flags & STEP_ASKEW))
		p->v->counts.in_pieces++;
	else
		must_be(p, s, "model", in_model(p, s), outcome);
	p->v->counts.several += outcome == PT_OK && s->more;
	if (outcome == PT_OK) {
		same_pairs(p, UINT32_MAX);
		write_pairs(p);
	} else if (s->verb != V_RECLAIM_DYING && s->verb != V_RECLAIM_TABLES) {
		unchanged(p, s, "refused", &before);
	}
	follow_death(p, s, death);
}
