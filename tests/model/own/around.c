/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes on around transitions: the life of guests, maps, dirty logs, and memory that is short.
 */
#include "../../unit/rig_log.h"
#include "play.h"

static void must_be(struct play *p, const struct step *s, enum pt_outcome expected,
		    enum pt_outcome outcome)
{
	p->v->counts.cell[s->verb][outcome]++;
	if (expected != outcome)
		differ(p, "outcome: %s: expected %s, got %s", verb_names[s->verb],
		       outcome_name(expected), outcome_name(outcome));
}

static void reserve(struct play *p, const struct step *s)
{
	uint32_t handle = 0;
	unsigned g = 0;

	must_be(p, s, own_reserve(&p->rig.model, &g), pt_guest_reserve(&p->rig.owners, &handle));
	if (g != handle)
		differ(p, "outcome: reserve: expected handle %u, got %u", g, handle);
}

static void create(struct play *p, const struct step *s)
{
	struct pt_ctx *ctx = &p->rig.ctx[s->guest % RIG_GUESTS];
	bool protected = s->flags & STEP_PROTECTED;

	/* Of the others there is no context that is free. */
	if (s->guest >= RIG_GUESTS &&
	    p->rig.model.guest[s->guest % OWN_GUESTS].life == OWN_RESERVED)
		return;
	pt_section_begin(&p->rig.c.agent);
	must_be(p, s, own_create(&p->rig.model, s->guest, protected),
		pt_guest_create(&p->rig.owners, s->guest, ctx, protected));
	pt_section_end(&p->rig.c.agent);
}

static void teardown(struct play *p, const struct step *s)
{
	enum pt_outcome outcome;

	pt_section_begin(&p->rig.c.agent);
	outcome = pt_guest_teardown(&p->rig.owners, s->guest);
	pt_section_end(&p->rig.c.agent);
	must_be(p, s, own_teardown(&p->rig.model, s->guest), outcome);
	if (outcome == PT_OK)
		leave(p, s->guest);
}

static bool lends(const struct play *p, unsigned guest)
{
	for (unsigned i = 0; i < OWN_LENDINGS; i++)
		if (p->rig.model.lending[i].handle && p->rig.model.lending[i].lender == guest)
			return true;
	return false;
}

static void finalize(struct play *p, const struct step *s)
{
	bool owes = s->guest < OWN_GUESTS && p->rig.model.guest[s->guest].tables;
	bool alone = s->flags & STEP_WIPE || lends(p, s->guest); /* that is before its pages */
	enum pt_outcome outcome =
		(alone ? rig_finalize_alone : rig_finalize)(&p->rig, s->guest, s->budget);

	if (alone && owes && !lends(p, s->guest))
		must_be(p, s, PT_WRONG_STATE, outcome);
	else
		must_be(p, s, own_finalize(&p->rig.model, s->guest), outcome);
	if (outcome == PT_OK && s->guest < RIG_GUESTS)
		log_stop(p, s->guest);
}

/* Maps: the first page that may not be, or all of them. */
static enum pt_outcome may_map(const struct play *p, const struct step *s)
{
	enum pt_outcome outcome = PT_OK;

	for (uint32_t i = 0; outcome == PT_OK && i < s->n; i++)
		outcome = own_may_map(&p->rig.model, OWN_GUESTS, 0, s->frame + i);
	return outcome;
}

static enum pt_outcome may_unmap(const struct play *p, const struct step *s)
{
	for (uint32_t i = s->frame; i < s->frame + s->n; i++) {
		const struct own_frame *f = &p->rig.model.frame[i];

		if (f->owner != OWN_HOST)
			return PT_WRONG_OWNER;
		if (f->host == OWN_LENT)
			return PT_WRONG_STATE;
	}
	return PT_OK;
}

/* The host's own mappings come and go, whatever it has given away. */
static void map(struct play *p, const struct step *s)
{
	uint64_t pa = p->rig.pa + ((uint64_t)s->frame << p->rig.shift),
		 size = (uint64_t)s->n << p->rig.shift;
	enum pt_outcome outcome, expected = s->verb == V_MAP ? may_map(p, s) : may_unmap(p, s);

	outcome = s->verb == V_MAP ? core_map(&p->rig.c, pa, size, pa, PT_PROT_RWX, PT_MAP_REPLACE)
				   : core_unmap(&p->rig.c, pa, size);
	if (expected == PT_OK && !pt_is_error(outcome))
		expected = outcome;
	if (outcome == PT_QUOTA) /* for the tables; a later transition lifts it */
		expected = outcome;
	must_be(p, s, expected, outcome);
	pt_section_begin(&p->rig.c.agent);
	for (uint32_t i = 0; i < s->n; i++)
		same_frame(&p->rig, s->frame + i);
	pt_section_end(&p->rig.c.agent);
}

/* Dirty logs: one of the host, and one of each guest. */

static void mark(struct play *p, unsigned guest, uint32_t first, uint32_t n, bool logged)
{
	for (uint32_t i = first; i < first + n; i++)
		if (guest < RIG_GUESTS)
			p->rig.model.guest[guest].map[i].logged = logged;
		else
			p->rig.model.frame[i].logged = logged;
}

void log_stop(struct play *p, unsigned guest)
{
	struct log *l = &p->log[guest];

	if (l->on)
		ASSERT_OUTCOME(PT_OK,
			       rig_log(&p->rig, &(struct pt_dirty_args){.kind = PT_DIRTY_STOP,
									.log = &l->log}));
	if (l->on)
		mark(p, guest, 0, p->units, false);
	l->on = false;
}

static void toggle_log(struct play *p, const struct step *s)
{
	unsigned guest = s->guest < RIG_GUESTS ? s->guest : RIG_GUESTS;
	struct log *l = &p->log[guest];
	uint64_t first = guest < RIG_GUESTS ? p->rig.ipa : p->rig.pa;
	struct pt_dirty_args args = {.kind = PT_DIRTY_START,
				     .log = &l->log,
				     .ctx = rig_ctx(&p->rig, guest < RIG_GUESTS ? guest + 1 : 0),
				     .ipa = {first + ((uint64_t)s->frame << p->rig.shift)},
				     .size = (uint64_t)s->n << p->rig.shift,
				     .memory = l->bits};

	/* What no guest has is nobody's to log. */
	if (guest < RIG_GUESTS && p->rig.model.guest[guest].life != OWN_LIVE)
		return;
	if (l->on) {
		log_stop(p, guest);
		must_be(p, s, PT_OK, PT_OK);
		return;
	}
	memset(l->bits, 0, sizeof(l->bits));
	must_be(p, s, PT_OK, rig_log(&p->rig, &args));
	l->on = true;
	mark(p, guest, s->frame, s->n, true);
}

/* So many pages are left to a context, or to the ledger, until a transition runs out of them. */
static void quota(struct play *p, const struct step *s)
{
	struct pt_ctx *ctx = s->guest <= RIG_GUESTS ? rig_ctx(&p->rig, s->guest) : NULL;

	if (ctx)
		atomic_store(&ctx->quota_pages, atomic_load(&ctx->table_pages) + s->n);
	else
		atomic_store(&p->rig.store.quota_pages, pt_store_pages(&p->rig.store) + s->n);
	must_be(p, s, PT_OK, PT_OK);
}

void do_around(struct play *p, const struct step *s)
{
	switch (s->verb) {
	case V_RESERVE: reserve(p, s); break;
	case V_CREATE: create(p, s); break;
	case V_TEARDOWN: teardown(p, s); break;
	case V_FINALIZE: finalize(p, s); break;
	case V_LOG: toggle_log(p, s); break;
	case V_QUOTA: quota(p, s); break;
	default: map(p, s); break;
	}
}
