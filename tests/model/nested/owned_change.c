/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows in a machine with owners: pages change hands, in steps between which memory is accessed;
 * guests die, and come again. What the model refuses is mostly not asked for. */
#include "owned.h"

#define TRIES 24

/* ---- shadows ---- */

void owned_open_shadows(struct owned *o, unsigned party)
{
	const struct pt_guest_regs regs = {.pa_bits = 44};
	struct party *p = &o->party[party];

	pt_section_begin(&o->rig.c.agent);
	for (uint64_t i = 0; i < OWNED_KEYS; i++) {
		const struct pt_shadow_key key = {.vttbr = (i + 1) << 48};

		memset(&p->shadow[i], 0, sizeof(p->shadow[i]));
		ASSERT_OUTCOME(PT_OK, pt_shadow_init(&p->shadow[i], &p->nested, &o->rig.c.agent,
						     &key, &regs, UINT64_MAX));
	}
	pt_section_end(&o->rig.c.agent);
}

void owned_end_shadows(struct owned *o, unsigned party)
{
	for (unsigned i = 0; i < OWNED_KEYS; i++) {
		struct pt_shadow *s = &o->party[party].shadow[i];
		struct pt_shadow_end end;
		enum pt_outcome outcome;

		ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, s, NULL));
		do {
			pt_section_begin(&o->rig.c.agent);
			outcome = pt_shadow_end_step(&end, &o->rig.c.agent,
						     (uint32_t)(1 + owned_draw(o, 200)));
			pt_section_end(&o->rig.c.agent);
		} while (outcome == PT_MORE);
		ASSERT_OUTCOME(PT_OK, outcome);
		s->nested = NULL;
	}
}

/* ---- what changes ---- */

static uint32_t some_budget(struct owned *o)
{
	static const uint32_t budgets[] = {1, 3, 20, 100000};

	return budgets[owned_draw(o, 4)];
}

static void between_steps(struct owned *o)
{
	for (uint64_t n = owned_draw(o, 3); n; n--)
		owned_access(o);
}

static void must_be(struct owned *o, enum pt_outcome expected, enum pt_outcome outcome)
{
	if (outcome != expected)
		owned_wrong(o, pt_outcome_info(outcome)->name, PARTIES, 0);
	owned_after(o);
}

/* ---- transitions ---- */

static bool is_dying(const struct owned *o, unsigned guest)
{
	return o->rig.model.guest[guest].life == OWN_DYING;
}

/* Units that neither leave their window by the one address nor by the other. */
static struct rig_op some_op(struct owned *o)
{
	static const uint32_t prot[] = {PT_PROT_R, PT_PROT_RW, PT_PROT_RWX};
	uint64_t frame = owned_draw(o, OWNED_UNITS);
	uint64_t gfn = owned_draw(o, 2) ? frame : owned_draw(o, OWNED_UNITS);
	uint64_t last = frame % WINDOW > gfn % WINDOW ? frame % WINDOW : gfn % WINDOW;
	struct rig_op op = {.kind = PT_SHARE_HYP + (uint32_t)owned_draw(o, PT_RECLAIM_DYING),
			    .guest = (unsigned)owned_draw(o, RIG_GUESTS),
			    .frame = owned_unit(o, frame),
			    .gfn = owned_unit(o, gfn),
			    .n = 1 + owned_draw(o, owned_draw(o, 2) ? WINDOW - last : 1),
			    .prot = prot[owned_draw(o, 3)]};

	if (op.kind == PT_DONATE_HYP || op.kind == PT_DONATE_GUEST)
		op.wipe = owned_draw(o, 2);
	return op;
}

static void run_transfer(struct owned *o, const struct rig_op *op, enum pt_outcome expected)
{
	struct pt_transfer_args args = rig_args(&o->rig, op);
	uint32_t budget = some_budget(o);
	enum pt_outcome outcome;

	owned_begins(o);
	outcome = pt_transfer_init(&o->rig.t, &args);
	while (outcome == PT_OK && (outcome = rig_step(&o->rig, budget)) == PT_MORE) {
		between_steps(o);
		outcome = PT_OK;
	}
	must_be(o, expected, outcome);
	o->counts->of[NESTED_TRANSFER] += expected == PT_OK;
	o->counts->of[NESTED_OWNED_REFUSED] += expected != PT_OK;
	if (op->kind == PT_RECLAIM_DYING && expected == PT_OK)
		o->counts->of[NESTED_DYING] += op->n;
}

static void transfer(struct owned *o)
{
	owned_before(o);
	for (unsigned tries = 0; tries < TRIES; tries++) {
		struct rig_op op = some_op(o);
		enum pt_outcome expected = rig_model(&o->rig.model, &op);

		if (expected != PT_OK && owned_draw(o, TRIES))
			continue;
		run_transfer(o, &op, expected);
		return;
	}
}

/* ---- lendings ---- */

static void run_call(struct owned *o, const struct lend_op *op, enum pt_outcome expected)
{
	struct pt_lend_args args = lend_args(&o->rig, op);
	uint32_t budget = some_budget(o);
	enum pt_outcome outcome;

	owned_begins(o);
	outcome = pt_lend_init(&o->call, &args);
	while (outcome == PT_OK && (outcome = lend_step(&o->rig, &o->call, budget)) == PT_MORE) {
		between_steps(o);
		outcome = PT_OK;
	}
	must_be(o, expected, outcome);
	o->counts->of[NESTED_LEND] += expected == PT_OK;
	o->counts->of[NESTED_OWNED_REFUSED] += expected != PT_OK;
}

/* May be lent, as far as one can see. */
static bool is_free(const struct owned *o, unsigned lender, uint64_t unit)
{
	const struct own_frame *f = &o->rig.model.frame[unit];

	if (lender == HOST)
		return f->owner == OWN_HOST && f->host == OWN_OWNED;
	return o->rig.model.guest[lender].map[unit].state == OWN_OWNED;
}

/* A lending of one unit or two, whose list is complete at once, or is given up. */
static void lend(struct owned *o)
{
	unsigned lender = (unsigned)owned_draw(o, RIG_GUESTS);
	uint8_t borrower = (uint8_t)((lender + 1 + owned_draw(o, RIG_GUESTS - 1)) % RIG_GUESTS);
	uint64_t n = 1 + owned_draw(o, 2);
	struct lend_op op = {PT_LEND_PIECE, owned_draw(o, 2) ? HOST : lender, 0, 0, n};
	enum pt_outcome expected;

	for (unsigned tries = 0; tries < TRIES && !is_free(o, op.who, op.at); tries++)
		op.at = owned_unit(o, owned_draw(o, OWNED_UNITS / n) * n);
	if (!is_free(o, op.who, op.at) || !is_free(o, op.who, op.at + n - 1) ||
	    lend_open(&o->rig, op.who, &borrower, 1, n, owned_draw(o, 2), &op.handle) != PT_OK)
		return;
	expected = lend_model(&o->rig.model, &op);
	run_call(o, &op, expected);
	if (expected == PT_OK)
		return;
	pt_section_begin(&o->rig.c.agent);
	ASSERT_OUTCOME(own_lend_expire(&o->rig.model, op.handle),
		       pt_lend_expire(&o->rig.owners, op.handle));
	pt_section_end(&o->rig.c.agent);
}

static struct lend_op some_call(struct owned *o, const struct own_lending *l)
{
	static const uint32_t kinds[] = {PT_LEND_RETRIEVE, PT_LEND_RELINQUISH, PT_LEND_RECLAIM};
	struct lend_op op = {kinds[owned_draw(o, 3)], l->borrower[0].guest, l->handle, 0, 0};

	if (op.kind == PT_LEND_RECLAIM)
		op.who = l->lender;
	if (op.kind == PT_LEND_RETRIEVE)
		op.at = owned_unit(o, owned_draw(o, WINDOW - 1));
	return op;
}

static struct own_lending *some_lending(struct owned *o)
{
	uint64_t from = owned_draw(o, OWN_LENDINGS);

	for (unsigned i = 0; i < OWN_LENDINGS; i++) {
		struct own_lending *l = &o->rig.model.lending[(from + i) % OWN_LENDINGS];

		if (l->handle)
			return l;
	}
	return NULL;
}

static void call(struct owned *o, struct own_lending *l)
{
	for (unsigned tries = 0; tries < TRIES; tries++) {
		uint8_t lender = l->lender;
		struct lend_op op = some_call(o, l);
		enum pt_outcome expected = PT_NOT_FOUND;

		if (op.who == HOST || op.who < RIG_GUESTS) /* else it is gone */
			expected = lend_model(&o->rig.model, &op);
		if (expected != PT_OK)
			continue;
		run_call(o, &op, expected);
		if (op.kind == PT_LEND_RELINQUISH && lender < RIG_GUESTS && is_dying(o, lender))
			ASSERT_OUTCOME(PT_OK, lend_leave(&o->rig, lender, 50));
		return;
	}
}

static void lend_or_call(struct owned *o)
{
	struct own_lending *l = some_lending(o);

	owned_before(o);
	if (l && owned_draw(o, 3))
		call(o, l);
	else
		lend(o);
}

/* ---- the death of guests ---- */

static void die(struct owned *o, unsigned guest)
{
	owned_before(o);
	lend_teardown(&o->rig, guest);
	owned_begins(o);
	owned_after(o);
	o->counts->of[NESTED_DEATH]++;
}

static void reclaim(struct owned *o, unsigned guest)
{
	for (unsigned n = 0; n < OWNED_UNITS && !*o->failure; n++) {
		struct rig_op op = {PT_RECLAIM_DYING, guest, 0, owned_unit(o, n), 1, 0, false};

		owned_before(o);
		if (rig_model(&o->rig.model, &op) == PT_OK)
			run_transfer(o, &op, PT_OK);
	}
}

/* It comes again, with shadows of its own, when it has nothing any more. */
static void finalize(struct owned *o, unsigned guest)
{
	enum pt_outcome outcome = rig_finalize_alone(&o->rig, guest, some_budget(o));
	unsigned g = 0;
	uint32_t handle = 0;

	ASSERT_OUTCOME(own_finalize(&o->rig.model, guest), outcome);
	if (outcome != PT_OK)
		return;
	owned_end_shadows(o, guest + 1);
	pt_section_begin(&o->rig.c.agent);
	ASSERT_OUTCOME(PT_OK, own_reserve(&o->rig.model, &g));
	ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&o->rig.owners, &handle));
	assert_int_equal(guest, handle);
	assert_int_equal(guest, g);
	ASSERT_OUTCOME(PT_OK, own_create(&o->rig.model, guest, guest != 0));
	ASSERT_OUTCOME(PT_OK,
		       pt_guest_create(&o->rig.owners, guest, &o->rig.ctx[guest], guest != 0));
	pt_section_end(&o->rig.c.agent);
	owned_open_shadows(o, guest + 1);
	o->counts->of[NESTED_REBORN]++;
}

static void life_or_death(struct owned *o)
{
	unsigned guest = (unsigned)owned_draw(o, RIG_GUESTS);

	for (unsigned i = 0; i < RIG_GUESTS && !is_dying(o, guest); i++)
		guest = (guest + 1) % RIG_GUESTS;
	if (!is_dying(o, guest)) {
		if (!owned_draw(o, 2))
			die(o, guest);
		return;
	}
	reclaim(o, guest);
	finalize(o, guest);
}

void owned_change(struct owned *o)
{
	uint64_t what = owned_draw(o, 16);

	if (what < 9)
		transfer(o);
	else if (what < 13)
		lend_or_call(o);
	else
		life_or_death(o);
}
