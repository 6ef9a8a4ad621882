/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending, as transitions are done: `frame` is the slot of a lending, and of LEND its borrowers as
 * bits; `gfn` is where. */
#include "play.h"

static void must_be(struct play *p, const struct step *s, enum pt_outcome expected,
		    enum pt_outcome outcome)
{
	p->v->counts.cell[s->verb][outcome]++;
	p->v->counts.transitions++;
	if (expected != outcome)
		differ(p, "outcome: %s: expected %s, got %s", verb_names[s->verb],
		       outcome_name(expected), outcome_name(outcome));
}

static void list(struct play *p, const struct step *s)
{
	uint8_t borrower[OWN_GUESTS];
	uint32_t borrowers = 0;
	uint64_t handle = 0;
	enum pt_outcome outcome;

	for (uint8_t g = 0; g < OWN_GUESTS; g++)
		if (s->frame >> g & 1)
			borrower[borrowers++] = g;
	outcome = lend_open(&p->rig, s->guest, borrower, borrowers, s->n, s->flags & STEP_WIPE,
			    &handle);
	must_be(p, s, outcome, outcome);
}

static void pair(struct play *p, uint32_t guest, uint64_t gfn, uint64_t frame)
{
	if (p->pairs < RIG_MAX)
		p->pair[p->pairs++] = (struct pair){guest, (uint32_t)gfn, (uint32_t)frame};
}

/* All pages of a list, or of a lending: the lender's, and a borrower's from `at` on. Returns in how
 * many pieces of memory they lie. */
static uint32_t find_pages(struct play *p, const struct own_lending *l, uint32_t borrower,
			   uint64_t at)
{
	uint32_t pieces = 0;
	uint64_t before = UINT64_MAX, n = 0;

	p->pairs = 0;
	for (uint32_t i = 0; i < l->pieces; i++)
		for (uint64_t k = 0; k < l->piece[i].pages; k++, n++) {
			uint64_t gfn = l->piece[i].first + k, frame = gfn;

			if (l->lender < RIG_GUESTS)
				frame = p->rig.model.guest[l->lender].map[gfn].frame;
			pair(p, l->lender, gfn, frame);
			if (borrower < RIG_GUESTS && at + n < p->units)
				pair(p, borrower, at + n, frame);
			pieces += frame != before + 1 ||
				  (i && !k && gfn != l->piece[i - 1].first + l->piece[i - 1].pages);
			before = frame;
		}
	return pieces;
}

static bool wants_room(enum pt_outcome outcome)
{
	return outcome == PT_NO_MEMORY || outcome == PT_QUOTA;
}

static void look(struct play *p)
{
	same_pairs(p, UINT32_MAX);
	rig_same_lendings(&p->rig);
}

/* The lending, or nothing: then the step names one that there is not. */
static struct own_lending *lending_of(struct play *p, const struct step *s)
{
	struct own_lending *l = &p->rig.model.lending[s->frame % OWN_LENDINGS];

	return s->frame < OWN_LENDINGS && l->handle ? l : NULL;
}

static bool is_last(const struct own_lending *l, const struct step *s)
{
	return l && s->verb == V_PIECE && l->open && l->lender == s->guest && s->n &&
	       s->n == l->pages - l->named;
}

/* Without the model: it was not to be, and nothing has changed but for a list that is gone with its
 * last piece. True: it is to come again. */
static bool failed(struct play *p, const struct step *s, struct own_lending *l,
		   enum pt_outcome outcome, const struct rig_state *before)
{
	struct rig_state now;

	p->v->counts.cell[s->verb][outcome]++;
	lift_quotas(p);
	if (is_last(l, s)) {
		ASSERT_OUTCOME(PT_OK, own_lend_expire(&p->rig.model, l->handle));
		look(p);
		return false;
	}
	rig_counts_of(&p->rig, &now);
	if (memcmp(before, &now, sizeof(now)) != 0)
		differ(p, "changed: %s, %s", verb_names[s->verb], outcome_name(outcome));
	look(p);
	return true;
}

/* The lending of a dying lender ends when nobody has it any more; that may have been refused
 * memory. */
static void end_of(struct play *p, uint8_t lender)
{
	if (lender < RIG_GUESTS && p->rig.model.guest[lender].life == OWN_DYING)
		leave(p, lender);
}

static void call(struct play *p, const struct step *s)
{
	static const uint8_t kinds[VERB_COUNT] = {[V_PIECE] = PT_LEND_PIECE,
						  [V_RETRIEVE] = PT_LEND_RETRIEVE,
						  [V_RELINQUISH] = PT_LEND_RELINQUISH,
						  [V_TAKE_BACK] = PT_LEND_RECLAIM};
	struct own_lending *l = lending_of(p, s), list;
	struct lend_op op = {kinds[s->verb], s->guest, l ? l->handle : 999999, s->gfn, s->n};
	struct pt_host_failpoint refuse = {.nth = s->nth, .times = 1};
	uint8_t lender = l ? l->lender : UINT8_MAX;
	bool last = is_last(l, s);
	struct rig_state before;
	enum pt_outcome outcome;
	uint64_t at = s->gfn;

	rig_counts_of(&p->rig, &before);
	p->pairs = 0;
	for (uint32_t i = 0; l && s->verb == V_RELINQUISH && i < l->borrowers; i++)
		if (l->borrower[i].guest == s->guest)
			at = l->borrower[i].gfn;
	if (l)
		list = *l;
	if (last && list.pieces < OWN_PIECES) /* as it will be */
		list.piece[list.pieces++] = (struct own_piece){s->gfn, s->n};
	if (s->nth)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &refuse);
	outcome = lend_run(&p->rig, &op, s->budget, s->give_up);
	if (s->nth)
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	if (outcome == PT_TOO_LARGE && last && lender != OWN_GUESTS) {
		if (find_pages(p, &list, UINT32_MAX, 0) <= PT_TRANSFER_RUNS)
			differ(p, "outcome: piece: TOO_LARGE");
		failed(p, s, l, outcome, &before);
		return;
	}
	if (l && (last || s->verb != V_PIECE))
		find_pages(p, &list, s->verb == V_PIECE ? UINT32_MAX : s->guest, at);
	if (wants_room(outcome) || outcome == PT_CANCELLED) {
		if (!failed(p, s, l, outcome, &before))
			return;
		outcome = lend_run(&p->rig, &op, s->budget, 0);
	}
	must_be(p, s, lend_model(&p->rig.model, &op), outcome);
	if (s->verb == V_RELINQUISH && outcome == PT_OK)
		end_of(p, lender);
	look(p);
}

static void expire(struct play *p, const struct step *s)
{
	struct own_lending *l = lending_of(p, s);
	uint64_t handle = l ? l->handle : 999999;
	enum pt_outcome outcome;

	pt_section_begin(&p->rig.c.agent);
	outcome = pt_lend_expire(&p->rig.owners, handle);
	pt_section_end(&p->rig.c.agent);
	must_be(p, s, own_lend_expire(&p->rig.model, handle), outcome);
}

/* What a guest owes when its teardown has begun. */
void leave(struct play *p, unsigned guest)
{
	lift_quotas(p);
	ASSERT_OUTCOME(PT_OK, lend_leave(&p->rig, guest, 1u << p->now % 12));
	rig_same_lendings(&p->rig);
}

void do_lend(struct play *p, const struct step *s)
{
	switch (s->verb) {
	case V_LEND: list(p, s); break;
	case V_EXPIRE: expire(p, s); break;
	default: call(p, s); break;
	}
}
