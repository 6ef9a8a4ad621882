/* SPDX-License-Identifier: BSD-2-Clause */
/* Random transitions in random states: outcome, and afterwards all tables, records, extents and
 * memory, are what the model says; what is refused, fails or is given up leaves nothing behind. */
#include "lending_fixture.h"

#define UNITS 1100u

static struct transfer_rig rig;

/* What was run, to be told. */
static struct {
	uint64_t done, refused, failed, given_up, by[PT_TRANSFERS], lent[PT_LEND_LEAVE];
	bool changed;
} tally;

static uint64_t length(uint64_t *seed, uint64_t room)
{
	uint64_t kind = core_random(seed) % 16, n;

	if (kind < 8)
		n = 1 + core_random(seed) % 3;
	else if (kind < 14)
		n = 1 + core_random(seed) % 40;
	else
		n = 1 + core_random(seed) % UNITS;
	return n < room ? n : room;
}

/* Would its page `i` pass? A guess, by which pages are picked. */
static bool would_pass(const struct rig_op *op, uint64_t i)
{
	const struct own_frame *f = &rig.model.frame[(op->frame + i) % UNITS];
	const struct own_cell *c = &rig.model.guest[op->guest].map[(op->gfn + i) % UNITS];

	switch (op->kind) {
	case PT_UNSHARE_HYP:
	case PT_PIN: return f->hyp == OWN_SHARED_BORROWED;
	case PT_UNPIN: return f->pins;
	case PT_RETURN_HYP: return f->owner == OWN_HYP;
	case PT_UNSHARE_THIRD: return f->third;
	case PT_UNSHARE_GUEST: return c->state == OWN_SHARED_BORROWED;
	case PT_SHARE_BACK:
	case PT_BALLOON: return c->state == OWN_OWNED;
	case PT_UNSHARE_BACK: return c->state == OWN_SHARED_OWNED;
	case PT_FORCE_RECLAIM: return f->owner == OWN_GUEST;
	case PT_RECLAIM_DYING: return c->state != OWN_NOPAGE;
	case PT_SHARE_GUEST:
	case PT_DONATE_GUEST:
		return f->owner == OWN_HOST && !f->host && c->state == OWN_NOPAGE &&
		       (op->guest == 0) == (op->kind == PT_SHARE_GUEST);
	default: return f->owner == OWN_HOST && !f->host;
	}
}

static void draw(struct rig_op *op, uint64_t *seed)
{
	static const uint32_t prots[] = {PT_PROT_R, PT_PROT_RW, PT_PROT_RWX};
	uint64_t first, passes = 0;

	op->kind = 1 + (uint32_t)(core_random(seed) % PT_RECLAIM_DYING);
	if (op->kind == PT_RECLAIM_DYING)
		op->kind = PT_TOP_UP;
	op->prot = prots[core_random(seed) % 3];
	op->wipe =
		(op->kind == PT_DONATE_HYP || op->kind == PT_DONATE_GUEST) && core_random(seed) % 2;
	for (unsigned i = 0; i < 60; i++) {
		op->guest = (unsigned)(core_random(seed) % RIG_GUESTS);
		op->frame = core_random(seed) % UNITS;
		op->gfn = core_random(seed) % 2 ? op->frame : core_random(seed) % UNITS;
		if (would_pass(op, 0))
			break;
	}
	first = rig_by_pa(op->kind) && op->frame > op->gfn ? op->frame : op->gfn;
	if (!rig_by_ipa(op->kind))
		first = op->frame;
	op->n = length(seed, UNITS - first);
	if (core_random(seed) % 4)
		while (passes < op->n && would_pass(op, passes))
			passes++;
	if (passes)
		op->n = passes;
}

/* Runs that a request by address lies in are limited. */
static bool in_pieces(const struct rig_op *op)
{
	return rig.t.error.code == PT_TOO_LARGE &&
	       (op->kind == PT_FORCE_RECLAIM || !rig_by_pa(op->kind));
}

static void one(const struct rig_op *op, uint64_t *seed)
{
	uint32_t budget = 1u << core_random(seed) % 14, how = (uint32_t)(core_random(seed) % 4);
	struct pt_host_failpoint fail = {.nth = 1 + (uint32_t)(core_random(seed) % 4), .times = 1};
	static struct rig_state before; /* of the last look, if nothing has changed since */
	enum pt_outcome outcome, expected;

	if (tally.changed)
		rig_state_of(&rig, &before);
	tally.changed = false;
	if (how == 0)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
	if (how == 1)
		budget %= 64;
	outcome = rig_run(&rig, op, budget, how == 1 ? 1 + (uint32_t)(core_random(seed) % 8) : 0);
	if (how == 0)
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	if ((how == 0 && outcome == PT_NO_MEMORY) || (how == 1 && outcome == PT_CANCELLED) ||
	    in_pieces(op)) {
		tally.failed += outcome == PT_NO_MEMORY;
		tally.given_up += outcome == PT_CANCELLED;
		rig_unchanged(&rig, &before);
		return;
	}
	expected = rig_model(&rig.model, op);
	if (outcome != expected)
		print_error("kind %u guest %u frame %llu gfn %llu n %llu\n", op->kind, op->guest,
			    (unsigned long long)op->frame, (unsigned long long)op->gfn,
			    (unsigned long long)op->n);
	ASSERT_OUTCOME(expected, outcome);
	if (outcome == PT_OK) {
		tally.changed = true;
		tally.done++;
		tally.by[op->kind]++;
		return;
	}
	tally.refused++;
	rig_unchanged(&rig, &before);
}

/* Lending. */

#define MOST_LENT 40u

static const struct own_lending *pick_lending(uint64_t *seed)
{
	return &rig.model.lending[core_random(seed) % OWN_LENDINGS];
}

static void expire_any(uint64_t *seed)
{
	uint64_t handle = pick_lending(seed)->handle;
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_lend_expire(&rig.owners, handle);
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(own_lend_expire(&rig.model, handle), outcome);
}

static void open_any(uint64_t *seed)
{
	unsigned lender = (unsigned)(core_random(seed) % (RIG_GUESTS + 1));
	uint32_t borrowers = 1 + (uint32_t)(core_random(seed) % 2);
	uint8_t to[2];
	uint64_t handle;

	to[0] = (uint8_t)(core_random(seed) % RIG_GUESTS);
	to[1] = (uint8_t)(core_random(seed) % RIG_GUESTS);
	if (lend_open(&rig, lender == RIG_GUESTS ? HOST : lender, to, borrowers,
		      1 + core_random(seed) % MOST_LENT, core_random(seed) % 2, &handle) == PT_OK)
		tally.changed = true;
}

static bool may_be_lent(unsigned who, uint64_t at)
{
	const struct own_frame *f = &rig.model.frame[at];

	return who == HOST ? f->owner == OWN_HOST && !f->host
			   : rig.model.guest[who].map[at].state == OWN_OWNED;
}

/* A piece that would pass, most of the time. */
static void draw_piece(struct lend_op *op, const struct own_lending *l, uint64_t *seed)
{
	uint64_t room = l->pages - l->named;

	op->who = l->lender;
	for (unsigned i = 0; i < 60; i++) {
		op->at = core_random(seed) % UNITS;
		if (may_be_lent(op->who, op->at))
			break;
	}
	for (op->n = 1; op->n < room && op->at + op->n < UNITS; op->n++)
		if (!may_be_lent(op->who, op->at + op->n) && core_random(seed) % 50)
			break;
}

static void draw_lend(struct lend_op *op, uint64_t *seed)
{
	const struct own_lending *l = pick_lending(seed);

	op->kind = 1 + (uint32_t)(core_random(seed) % PT_LEND_RECLAIM);
	if (l->open && core_random(seed) % 8)
		op->kind = PT_LEND_PIECE;
	op->handle = l->handle;
	op->who = (unsigned)(core_random(seed) % (RIG_GUESTS + 1));
	if (op->kind != PT_LEND_RECLAIM && core_random(seed) % 8)
		op->who = l->borrower[core_random(seed) % 2].guest;
	if (op->who >= RIG_GUESTS)
		op->who = HOST;
	if (op->who == HOST && (op->kind == PT_LEND_RETRIEVE || op->kind == PT_LEND_RELINQUISH))
		op->who = 0;
	/* Beyond the model's addresses there are more. */
	op->at = op->kind == PT_LEND_RETRIEVE ? core_random(seed) % (UNITS - MOST_LENT) : 0;
	if (op->kind == PT_LEND_PIECE && l->open && core_random(seed) % 16)
		draw_piece(op, l, seed);
	else if (op->kind == PT_LEND_PIECE)
		op->n = 1;
	if (op->kind == PT_LEND_RECLAIM && core_random(seed) % 8)
		op->who = l->lender;
}

/* Of the last piece. */
static bool completes(const struct lend_op *op)
{
	for (unsigned i = 0; i < OWN_LENDINGS; i++)
		if (rig.model.lending[i].handle == op->handle)
			return rig.model.lending[i].named + op->n == rig.model.lending[i].pages;
	return false;
}

static void lend_one(const struct lend_op *op, uint64_t *seed)
{
	uint32_t budget = 1 + (uint32_t)(core_random(seed) % 60),
		 how = (uint32_t)(core_random(seed) % 4);
	struct pt_host_failpoint fail = {.nth = 1 + (uint32_t)(core_random(seed) % 2), .times = 1};
	enum pt_outcome outcome;
	struct rig_state before;

	rig_state_of(&rig, &before);
	if (how == 0)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
	outcome = lend_run(&rig, op, budget, how == 1 ? 1 + (uint32_t)(core_random(seed) % 4) : 0);
	if (how == 0)
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	if ((how == 0 && outcome == PT_NO_MEMORY) || (how == 1 && outcome == PT_CANCELLED) ||
	    outcome == PT_TOO_LARGE) {
		tally.failed += outcome == PT_NO_MEMORY;
		tally.given_up += outcome == PT_CANCELLED;
		rig_unchanged(&rig, &before);
		if (op->kind == PT_LEND_PIECE)
			ASSERT_OUTCOME(PT_OK, own_lend_expire(&rig.model, op->handle));
		rig_same_lendings(&rig);
		return;
	}
	tally.lent[op->kind] += outcome == PT_OK && (op->kind != PT_LEND_PIECE || completes(op));
	ASSERT_OUTCOME(lend_model(&rig.model, op), outcome);
	if (outcome == PT_OK)
		tally.changed = true;
	else
		rig_unchanged(&rig, &before);
}

static void lend_any(uint64_t *seed)
{
	struct lend_op op = {0};

	if (core_random(seed) % 5 == 0) {
		if (core_random(seed) % 4)
			open_any(seed);
		else
			expire_any(seed);
		return;
	}
	draw_lend(&op, seed);
	if (op.handle)
		lend_one(&op, seed);
}

/* So that nothing of the guest's is left with others. */
static void call_in(unsigned lender)
{
	for (unsigned i = 0; i < OWN_LENDINGS; i++) {
		const struct own_lending *l = &rig.model.lending[i];

		for (uint32_t k = 0; l->lender == lender && k < l->borrowers && l->handle; k++)
			if (l->borrower[k].has)
				ASSERT_OUTCOME(PT_OK,
					       lend_do(&rig,
						       &(struct lend_op){PT_LEND_RELINQUISH,
									 l->borrower[k].guest,
									 l->handle, 0, 0},
						       1000));
	}
}

/* The guest ends and another one begins. Its lendings end with it, or when nobody has them. */
static void renew(unsigned g, uint64_t *seed)
{
	struct rig_op op = {.kind = PT_RECLAIM_DYING, .guest = g, .n = UNITS};
	uint32_t handle;
	unsigned again;

	if (core_random(seed) % 2)
		call_in(g);
	lend_teardown(&rig, g);
	rig_same(&rig);
	call_in(g);
	tally.changed = true;
	if (core_random(seed) % 2)
		one(&(struct rig_op){.kind = PT_FORCE_RECLAIM,
				     .frame = core_random(seed) % UNITS,
				     .n = 1},
		    seed);
	tally.changed = true;
	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1u << core_random(seed) % 14));
	assert_int_equal((uint64_t)UNITS << rig.shift, rig.t.done);
	rig_same(&rig);
	ASSERT_OUTCOME(own_finalize(&rig.model, g), rig_finalize(&rig, g, 3));
	ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig.owners, &handle));
	ASSERT_OUTCOME(PT_OK, own_reserve(&rig.model, &again));
	assert_int_equal(g, handle);
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(own_create(&rig.model, g, g != 0),
		       pt_guest_create(&rig.owners, g, &rig.ctx[g], g != 0));
	pt_section_end(&rig.c.agent);
}

static void play(const char *name, const struct shape *host, const struct shape *guests,
		 uint64_t pa, uint64_t ipa, unsigned rounds)
{
	uint64_t seed = core_seed();

	memset(&tally, 0, sizeof(tally));
	tally.changed = true;
	rig_open(&rig, host, guests, UNITS, pa, ipa);
	/* What the host has touched. */
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, pa, rig.region.size / 2 & ~UINT64_C(0xffff), pa,
					   PT_PROT_RWX, 0));
	for (unsigned i = 0; i < rounds; i++) {
		struct rig_op op = {0};

		draw(&op, &seed);
		one(&op, &seed);
		lend_any(&seed);
		lend_any(&seed);
		if (i % 32 == 0)
			rig_same(&rig);
		if (core_random(&seed) % 200 == 0)
			renew((unsigned)(core_random(&seed) % RIG_GUESTS), &seed);
	}
	rig_same(&rig);
	rig_audit(&rig);
	assert_null(own_unsound(&rig.model));
	for (uint32_t kind = 1; kind <= PT_TOP_UP; kind++)
		assert_true(tally.by[kind] || kind == PT_RECLAIM_DYING || rounds < 900);
	for (uint32_t kind = PT_LEND_PIECE; kind < PT_LEND_LEAVE; kind++)
		assert_true(tally.lent[kind] || rounds < 900);
	assert_true(tally.failed && tally.given_up);
	print_message("%llu lent, %llu retrieved, %llu relinquished, %llu taken back\n",
		      (unsigned long long)tally.lent[PT_LEND_PIECE],
		      (unsigned long long)tally.lent[PT_LEND_RETRIEVE],
		      (unsigned long long)tally.lent[PT_LEND_RELINQUISH],
		      (unsigned long long)tally.lent[PT_LEND_RECLAIM]);
	print_message("%s: %llu done, %llu refused, %llu without memory, %llu given up\n", name,
		      (unsigned long long)tally.done, (unsigned long long)tally.refused,
		      (unsigned long long)tally.failed, (unsigned long long)tally.given_up);
	rig_close(&rig);
}

static void as_the_model_with_pages_and_blocks(void **state)
{
	(void)state;
	play("4K", &shapes[0], &shapes[0], 7 * PT_SZ_2M - 0x30000, PT_SZ_1G - 0x30000, 2000);
}

static void as_the_model_with_large_guests(void **state)
{
	(void)state;
	play("4K and 64K", &shapes[0], &shapes[2], PT_SZ_1G - 0x50000, PT_SZ_2M, 500);
}

static void as_the_model_with_a_large_host(void **state)
{
	(void)state;
	play("16K and 4K", &shapes[1], &shapes[0], PT_SZ_2M, 3 * PT_SZ_2M, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_model_with_pages_and_blocks),
		cmocka_unit_test(as_the_model_with_large_guests),
		cmocka_unit_test(as_the_model_with_a_large_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
