/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a transition can end besides passing, and what it leaves then: each page that it asks for is
 * refused in turn, wherever what it reserves differs; a guest dies, or the host gives up, after
 * each of its steps. In the end every frame is the host's, and wiped where it has to be.
 */
#include "transfer_fixture.h"

#define UNITS 1100u
#define PLAIN 0u
#define SAFE  1u
/* With memory from 0x30000 below the end of a block on, blocks can be at 48 and 560. */
#define FIRST 40u
#define FEW   8u

static struct transfer_rig rig;

static void must(uint32_t kind, uint64_t frame, uint64_t gfn, uint64_t n)
{
	bool plain = kind == PT_SHARE_GUEST || kind == PT_UNSHARE_GUEST;
	struct rig_op op = {kind, plain ? PLAIN : SAFE, frame, gfn, n, PT_PROT_RW, false};

	op.prot = kind == PT_SHARE_GUEST ? PT_PROT_RW : 0;
	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 100000));
}

static void die(unsigned guest)
{
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(own_teardown(&rig.model, guest), pt_guest_teardown(&rig.owners, guest));
	pt_section_end(&rig.c.agent);
}

static void give(uint32_t kind, uint64_t first, uint64_t n, bool scattered)
{
	if (!scattered)
		must(kind, first, first, n);
	for (uint64_t i = 0; scattered && i < n; i++)
		must(kind, first + n - 1 - i, first + i, 1);
}

/* So that the kind is right for these frames and addresses. Scattered: guests' pages have their
 * frames the other way round, each in a piece of its own; every other frame of a share is shared
 * already. */
static void prepare(uint32_t kind, uint64_t first, uint64_t n, bool scattered)
{
	switch (kind) {
	case PT_UNPIN:
		must(PT_SHARE_HYP, first, 0, n);
		must(PT_PIN, first, 0, n);
		break;
	case PT_PIN:
	case PT_UNSHARE_HYP: must(PT_SHARE_HYP, first, 0, n); break;
	case PT_RETURN_HYP: must(PT_DONATE_HYP, first, 0, n); break;
	case PT_UNSHARE_THIRD: must(PT_SHARE_THIRD, first, 0, n); break;
	case PT_SHARE_GUEST:
		for (uint64_t i = 0; scattered && i < n; i += 2)
			must(kind, first + i, first + n + i, 1);
		break;
	case PT_UNSHARE_GUEST: give(PT_SHARE_GUEST, first, n, scattered); break;
	case PT_UNSHARE_BACK:
		give(PT_DONATE_GUEST, first, n, scattered);
		must(PT_SHARE_BACK, 0, first, n);
		break;
	case PT_SHARE_BACK:
	case PT_BALLOON:
	case PT_FORCE_RECLAIM:
	case PT_RECLAIM_DYING: give(PT_DONATE_GUEST, first, n, scattered); break;
	case PT_RECLAIM_TABLES: must(PT_TOP_UP, first, 0, n); break;
	default: break;
	}
}

static struct rig_op op_of(uint32_t kind, uint64_t first, uint64_t n)
{
	bool plain = kind == PT_SHARE_GUEST || kind == PT_UNSHARE_GUEST;

	return (struct rig_op){kind,
			       plain ? PLAIN : SAFE,
			       first,
			       first,
			       n,
			       kind == PT_SHARE_GUEST ? PT_PROT_RW : 0,
			       kind == PT_DONATE_HYP};
}

/* ---- memory ---- */

enum { OF_HOST, OF_GUESTS, OF_LEDGER, OWNERS };
static uint64_t refused[OWNERS];

/* What pages it asks for, by whose they are: none of them is had, and nothing has changed. */
static uint64_t refuse_each(const struct rig_op *op, uint64_t scope, unsigned owner,
			    const struct rig_state *before)
{
	struct pt_transfer_args args = rig_args(&rig, op);

	args.validate_only = true;
	for (uint32_t nth = 1;; nth++) {
		struct pt_host_failpoint fail = {.scope = scope, .nth = nth, .times = 1};
		enum pt_outcome outcome;

		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
		outcome = rig_run_args(&rig, &args, 1u << nth % 14, 0);
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		rig_unchanged(&rig, before);
		if (outcome == PT_OK)
			return nth - 1;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		refused[owner]++;
	}
}

/* And when it is meant: as many. RECLAIM_DYING has what it said that it has. */
static uint64_t refuse_and_pass(const struct rig_op *op)
{
	struct rig_op rest = *op;

	for (uint32_t nth = 1;; nth++) {
		struct pt_host_failpoint fail = {.nth = nth, .times = 1};
		struct rig_state before;
		enum pt_outcome outcome;

		rig_state_of(&rig, &before);
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
		outcome = rig_run(&rig, op, 1u << nth % 14, 0);
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		rest.n = op->kind == PT_RECLAIM_DYING ? rig.t.done >> rig.shift : op->n;
		if (outcome == PT_OK)
			ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &rest));
		if (outcome == PT_OK)
			return nth - 1;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		if (op->kind != PT_RECLAIM_DYING || !rest.n)
			rig_unchanged(&rig, &before);
		else
			ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &rest));
	}
}

static void without_memory(const struct rig_op *op)
{
	bool progressive = op->kind == PT_RECLAIM_DYING || op->kind == PT_RECLAIM_TABLES;
	struct rig_state before;
	uint64_t pages = 0;

	rig_state_of(&rig, &before);
	for (unsigned i = 0; !progressive && i <= RIG_GUESTS; i++)
		pages += refuse_each(op, i + 1, i ? OF_GUESTS : OF_HOST, &before);
	if (!progressive)
		pages += refuse_each(op, RIG_STORE, OF_LEDGER, &before);
	if (progressive)
		refuse_and_pass(op);
	else
		assert_int_equal(pages, refuse_and_pass(op));
	rig_same(&rig);
	rig_audit(&rig);
}

/* What is there first, and which part of it is asked for. The host has touched its memory in
 * blocks, or not at all. */
static const struct {
	uint64_t first, n, part, parts;
	bool scattered;
} ranges[] = {
	{FIRST, 8, 0, 8, false},     /* pages below a block */
	{FIRST, 560, 0, 560, false}, /* a block between pages, all of it */
	{FIRST, 560, 100, 1, false}, /* one page of it */
	{FIRST, 560, 5, 300, false}, /* pages, and the block's first half */
	{48, 512, 0, 512, false},    /* a block */
	{FIRST, 5, 0, 5, true},	     /* many pieces */
	{FIRST, 5, 1, 3, true},	     /* those between the first and the last */
};

/* Host and guests. */
static const uint8_t granules[][2] = {{0, 0}, {1, 0}, {0, 2}};

static void refuse_in(const struct shape *host, const struct shape *guests, unsigned r,
		      uint32_t kind, bool touched)
{
	struct rig_op op = op_of(kind, ranges[r].first + ranges[r].part, ranges[r].parts);

	rig_open(&rig, host, guests, ranges[r].n > FEW ? UNITS : 64, PT_SZ_1G - 0x30000,
		 3 * PT_SZ_2M - 0x30000);
	if (touched)
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, PT_SZ_1G - PT_SZ_2M, 4 * PT_SZ_2M,
						   PT_SZ_1G - PT_SZ_2M, PT_PROT_RWX, 0));
	prepare(kind, ranges[r].first, ranges[r].n, ranges[r].scattered);
	if (kind == PT_RECLAIM_DYING || kind == PT_RECLAIM_TABLES)
		die(SAFE);
	without_memory(&op);
	rig_close(&rig);
}

static void each_page_that_is_asked_for_is_refused(void **state)
{
	unsigned cases = 0;

	(void)state;
	memset(refused, 0, sizeof(refused));
	for (unsigned g = 0; g < sizeof(granules) / sizeof(granules[0]); g++)
		for (unsigned r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++)
			for (uint32_t kind = 1; kind < PT_TRANSFERS; kind++) {
				if (g && ranges[r].n > FEW) /* these have no blocks there */
					continue;
				for (unsigned touched = 0; touched < 2; touched++, cases++)
					refuse_in(&shapes[granules[g][0]], &shapes[granules[g][1]],
						  r, kind, touched);
			}
	print_message("%u reservations: %llu pages of the host's tables, %llu of guests', %llu of "
		      "the ledger were refused\n",
		      cases, (unsigned long long)refused[OF_HOST],
		      (unsigned long long)refused[OF_GUESTS],
		      (unsigned long long)refused[OF_LEDGER]);
	assert_true(refused[OF_HOST] >= 120 && refused[OF_GUESTS] >= 90 &&
		    refused[OF_LEDGER] >= 2500);
}

/* ---- death ---- */

static struct {
	unsigned deaths, aborts, steps;
} tally;

static void step(uint32_t n, enum pt_outcome *outcome)
{
	for (uint32_t i = 0; i < n && *outcome == PT_MORE; i++)
		*outcome = rig_step(&rig, 1);
}

/* Nobody finds the end of a guest that a transition uses. */
static void not_yet(unsigned guest)
{
	struct pt_guest_final final;

	pt_guest_finalize_init(&final, &rig.owners, guest);
	pt_section_begin(&rig.c.agent);
	if (atomic_load(&rig.guest[guest].users))
		ASSERT_OUTCOME(PT_BUSY, pt_guest_finalize_step(&final, &rig.c.agent, 1000));
	pt_section_end(&rig.c.agent);
}

/* The guest's pages, one descriptor a step, and the guest itself; another takes its place. */
static void bury(unsigned guest)
{
	struct rig_op op = {.kind = PT_RECLAIM_DYING, .guest = guest, .n = 32};
	uint32_t handle;
	unsigned again;

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1));
	ASSERT_OUTCOME(PT_OK, rig_finalize(&rig, guest, 1));
	ASSERT_OUTCOME(PT_OK, own_finalize(&rig.model, guest));
	for (uint64_t i = 0; i < rig.model.frames; i++)
		assert_true(rig.model.frame[i].owner != OWN_GUEST ||
			    rig.model.frame[i].guest != guest);
	rig_same(&rig);
	ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig.owners, &handle));
	ASSERT_OUTCOME(PT_OK, own_reserve(&rig.model, &again));
	assert_int_equal(guest, handle);
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(own_create(&rig.model, guest, guest != PLAIN),
		       pt_guest_create(&rig.owners, guest, &rig.ctx[guest], guest != PLAIN));
	pt_section_end(&rig.c.agent);
}

/* What the host has to undo by itself; all is as it was, but for the contents. */
static void undo(void)
{
	for (uint64_t i = 0; i < rig.model.frames; i++) {
		const struct own_frame *f = &rig.model.frame[i];

		if (f->pins)
			must(PT_UNPIN, i, 0, 1);
		if (f->third)
			must(PT_UNSHARE_THIRD, i, 0, 1);
		if (f->hyp == OWN_SHARED_BORROWED)
			must(PT_UNSHARE_HYP, i, 0, 1);
		if (f->hyp == OWN_OWNED)
			must(PT_RETURN_HYP, i, 0, 1);
		assert_int_equal(OWN_HOST, f->owner);
		assert_int_equal(OWN_OWNED, f->host);
		rig.held[i] = rig.model.frame[i].content = i + 1;
	}
}

/* The guest dies after `n` steps, in which the transition may have ended; then the host may give
 * up. True: it had not ended. */
static bool dies_after(uint32_t kind, uint32_t n, bool gives_up)
{
	struct rig_op op = op_of(kind, 2, 3);
	struct pt_transfer_args args;
	enum pt_outcome outcome = PT_MORE;
	bool under_way, gave_up = false;

	prepare(kind, 1, 5, false);
	must(op.guest == PLAIN ? PT_SHARE_GUEST : PT_DONATE_GUEST, 20, 20, 2); /* it has more */
	args = rig_args(&rig, &op);
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &args));
	step(n, &outcome);
	under_way = outcome == PT_MORE;
	if (under_way) {
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, op.guest));
		pt_section_end(&rig.c.agent);
		not_yet(op.guest);
	}
	if (under_way && gives_up) {
		pt_section_begin(&rig.c.agent);
		gave_up = pt_transfer_abort(&rig.t, &rig.c.agent);
		pt_section_end(&rig.c.agent);
	}
	step(UINT32_MAX, &outcome);
	/* What has begun goes on, and what has not finds that the guest is dying. */
	if (!gave_up)
		ASSERT_OUTCOME(n || !rig_by_guest(kind) ? PT_OK : PT_WRONG_STATE, outcome);
	else
		ASSERT_OUTCOME(PT_CANCELLED, outcome);
	if (outcome == PT_OK)
		ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	if (under_way)
		ASSERT_OUTCOME(PT_OK, own_teardown(&rig.model, op.guest));
	rig_same(&rig);
	if (under_way)
		tally.deaths++;
	else
		die(op.guest);
	tally.aborts += gave_up;
	bury(op.guest);
	undo();
	return under_way;
}

static void a_guest_dies_after_each_step(void **state)
{
	(void)state;
	memset(&tally, 0, sizeof(tally));
	rig_open(&rig, &shapes[0], &shapes[0], 32, PT_SZ_2M - 0x3000, PT_SZ_1G - 0x3000);
	for (uint32_t kind = 1; kind < PT_TRANSFERS; kind++) {
		uint32_t steps = 0;

		/* Of one that is dying, or is only reserved. */
		if (kind == PT_RECLAIM_DYING || kind == PT_RECLAIM_TABLES)
			continue;
		while (dies_after(kind, steps, false) && dies_after(kind, steps, true))
			steps++;
		assert_true(steps >= 4);
		tally.steps += steps;
	}
	rig_audit(&rig);
	print_message("after each of %u steps: %u guests died, %u transitions were given up\n",
		      tally.steps, tally.deaths, tally.aborts);
	assert_true(tally.aborts > 50 && tally.deaths == 2 * tally.steps);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_that_is_asked_for_is_refused),
		cmocka_unit_test(a_guest_dies_after_each_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
