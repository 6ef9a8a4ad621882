/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections, claims and their queue, stepping several agents by hand on one thread. */
#include <pt/upkeep.h>

#include "woken.h"

static void open_quiet(struct core *c)
{
	core_open(c, &shapes[0]);
	nobody_woken();
}

static enum pt_outcome claim(struct core *c, struct pt_claim *claim, unsigned id, uint64_t lo,
			     uint64_t hi, enum pt_claim_mode mode)
{
	who[id] = &claim->waiter;
	return pt_claim_acquire(claim, &c->ctx, lo, hi, mode, false, wake);
}

static void overlapping_claims_go_in_order_of_arrival(void **state)
{
	struct pt_claim a, b, d, e;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &b, 1, 0, 0x1fff, PT_CLAIM_EXCLUSIVE));
	/* overlaps only the one that waits: behind it */
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &d, 2, 0x1000, 0x1fff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_OK, claim(&c, &e, 3, 0x2000, 0x2fff, PT_CLAIM_EXCLUSIVE));
	pt_claim_release(&a);
	assert_string_equal("1", woken);
	assert_true(b.slot >= 0);
	assert_int_equal(-1, d.slot);
	pt_claim_release(&b);
	assert_string_equal("12", woken);
	pt_claim_release(&d);
	pt_claim_release(&e);
	core_close(&c);
}

static void shared_claims_admit_each_other(void **state)
{
	struct pt_claim a, b, d, e;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_SHARED));
	ASSERT_OUTCOME(PT_OK, claim(&c, &b, 1, 0, 0xfff, PT_CLAIM_SHARED));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &d, 2, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &e, 3, 0, 0xfff, PT_CLAIM_SHARED)); /* not past it */
	pt_claim_release(&a);
	assert_string_equal("", woken);
	pt_claim_release(&b);
	assert_string_equal("2", woken);
	pt_claim_release(&d);
	assert_string_equal("23", woken);
	pt_claim_release(&e);
	core_close(&c);
}

static void shared_claims_go_together(void **state)
{
	struct pt_claim a, b, d, e, f;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &b, 1, 0, 0x1fff, PT_CLAIM_SHARED));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &d, 2, 0, 0xfff, PT_CLAIM_SHARED));
	/* Past a shared one that waits for another part. */
	ASSERT_OUTCOME(PT_OK, claim(&c, &f, 4, 0x1000, 0x1fff, PT_CLAIM_SHARED));
	pt_claim_release(&f);
	assert_string_equal("", woken);
	/* Beside the first, behind the second: an exclusive one waits for a shared one. */
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &e, 3, 0x1000, 0x1fff, PT_CLAIM_EXCLUSIVE));
	pt_claim_release(&a);
	assert_string_equal("12", woken);
	pt_claim_release(&b);
	assert_string_equal("123", woken);
	pt_claim_release(&d);
	pt_claim_release(&e);
	core_close(&c);
}

/* A claim shrinks to what lies in it; anything else leaves it as it is. */
static void a_claim_shrinks_inside_itself(void **state)
{
	static const struct {
		uint64_t lo, want;
	} rows[] = {{0, 0x1000},      {0xfff, 0x1000},	{0x1000, 0x1000},
		    {0x5000, 0x1000}, {~0ull, 0x1000},	{0x1001, 0x1001},
		    {0x1000, 0x1001}, {0x4fff, 0x4fff}, {0x5000, 0x4fff}};
	struct pt_claim a;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0x1000, 0x4fff, PT_CLAIM_EXCLUSIVE));
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pt_claim_shrink(&a, rows[i].lo);
		assert_int_equal(rows[i].want, a.lo);
		assert_int_equal(rows[i].want, atomic_load(&c.ctx.claim[a.slot].lo));
		assert_int_equal(0x4fff, atomic_load(&c.ctx.claim[a.slot].hi));
	}
	pt_claim_release(&a);
	core_close(&c);
}

/* Who would wait on a context that ends goes on, and learns of it. */
static void nobody_parks_on_a_dying_context(void **state)
{
	struct pt_waiter waiter = {0};
	struct pt_claim a, b;
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c.ctx, NULL));
	assert_false(pt_waiter_park(&waiter, &c.ctx, 0, 0xfff, wake));
	assert_null(c.ctx.first);
	ASSERT_OUTCOME(PT_WRONG_STATE, claim(&c, &b, 1, 0x2000, 0x2fff, PT_CLAIM_EXCLUSIVE));
	pt_claim_release(&a);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	while (pt_reclaim(&c.agent))
		continue;
	c.ctx.machine = NULL;
	core_close(&c);
}

/* An agent that ends its section and leaves is not waited for. */
static void an_agent_that_has_left_is_not_waited_for(void **state)
{
	struct pt_agent b = {0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	item = core_item(&c, PT_ITEM_MAP, 0, 0x2000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1000));
	pt_section_end(&c.agent);
	assert_int_equal(1ull << b.id, txn.grace.mask);
	pt_section_end(&b);
	pt_agent_leave(&b);
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_OK, pt_txn_step(&txn, &c.agent, 1000));
	pt_section_end(&c.agent);
	core_close(&c);
}

static void a_cancelled_claim_lets_the_next_one_go(void **state)
{
	struct pt_claim a, b, d;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &b, 1, 0, 0x1fff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &d, 2, 0x1000, 0x1fff, PT_CLAIM_EXCLUSIVE));
	assert_true(pt_claim_cancel(&b));
	assert_string_equal("2", woken);
	assert_false(pt_claim_cancel(&d));
	pt_claim_release(&d);
	pt_claim_release(&a);
	core_close(&c);
}

static void more_claims_than_slots_wait(void **state)
{
	struct pt_claim claims[PT_CLAIMS_PER_CTX + 1], one_more;
	struct core c;

	(void)state;
	open_quiet(&c);
	for (unsigned i = 0; i < PT_CLAIMS_PER_CTX; i++)
		ASSERT_OUTCOME(PT_OK, claim(&c, &claims[i], i < 7 ? i : 6, i * 0x1000ull,
					    i * 0x1000ull + 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &claims[PT_CLAIMS_PER_CTX], 7, 0x100000, 0x100fff,
					PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &one_more, 3, 0x200000, 0x200fff, PT_CLAIM_EXCLUSIVE));
	pt_claim_release(&claims[3]);
	assert_string_equal("7", woken); /* and no place for the next */
	pt_claim_release(&claims[4]);
	assert_string_equal("73", woken);
	pt_claim_release(&one_more);
	for (unsigned i = 0; i <= PT_CLAIMS_PER_CTX; i++)
		if (i != 3 && i != 4)
			pt_claim_release(&claims[i]);
	core_close(&c);
}

/* One behind 32 that wait does so, too, whatever it names; all go in order. */
static void of_those_that_wait_the_first_are_looked_at(void **state)
{
	struct pt_claim first, chain[40], far[2];
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &first, 0, 0, 0x1fff, PT_CLAIM_EXCLUSIVE));
	for (unsigned i = 0; i < 40; i++) {
		uint64_t lo = (i + 1) * 0x1000ull;

		ASSERT_OUTCOME(PT_PARKED,
			       claim(&c, &chain[i], 1, lo, lo + 0x1fff, PT_CLAIM_EXCLUSIVE));
		if (i == 30)
			ASSERT_OUTCOME(PT_OK, claim(&c, &far[0], 2, 0x100000, 0x100fff,
						    PT_CLAIM_EXCLUSIVE));
	}
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &far[1], 3, 0x200000, 0x200fff, PT_CLAIM_EXCLUSIVE));
	pt_claim_release(&first);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(chain[i].slot >= 0);
		assert_true(i == 39 || chain[i + 1].slot < 0);
		assert_int_equal(i >= 9, far[1].slot >= 0);
		pt_claim_release(&chain[i]);
	}
	pt_claim_release(&far[0]);
	pt_claim_release(&far[1]);
	core_close(&c);
}

static enum pt_outcome map_point(struct core *c, uint64_t ipa)
{
	return core_point(c, core_item(c, PT_ITEM_MAP, ipa, 0x1000, 0, PT_PROT_R, 0), NULL, NULL);
}

static void a_point_operation_parks_until_the_claim_has_passed(void **state)
{
	struct pt_waiter low = {0}, high = {0};
	struct pt_claim a;
	struct core c;

	(void)state;
	open_quiet(&c);
	who[1] = &low;
	who[2] = &high;
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0x1000, 0x4fff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, map_point(&c, 0x1000));
	ASSERT_OUTCOME(PT_PARKED, map_point(&c, 0x4000));
	ASSERT_OUTCOME(PT_MAPPED, map_point(&c, 0x0000));
	ASSERT_OUTCOME(PT_MAPPED, map_point(&c, 0x5000));
	assert_true(pt_waiter_park(&high, &c.ctx, 0x4000, 0x4fff, wake));
	assert_true(pt_waiter_park(&low, &c.ctx, 0x1000, 0x1fff, wake));
	pt_claim_shrink(&a, 0x3000);
	assert_string_equal("1", woken);
	ASSERT_OUTCOME(PT_MAPPED, map_point(&c, 0x1000));
	ASSERT_OUTCOME(PT_PARKED, map_point(&c, 0x3000));
	assert_false(pt_waiter_park(&low, &c.ctx, 0x2000, 0x2fff, wake)); /* passed meanwhile */
	assert_true(pt_waiter_park(&low, &c.ctx, 0x3000, 0x3fff, wake));
	assert_true(pt_waiter_cancel(&low, &c.machine));
	pt_claim_release(&a);
	assert_string_equal("12", woken);
	assert_false(pt_waiter_cancel(&high, &c.machine));
	core_close(&c);
}

#define MANY 3000

static struct pt_waiter parked[MANY];
static unsigned woken_points, last_woken;

static void count_wake(struct pt_waiter *waiter)
{
	woken_points++;
	last_woken = (unsigned)(waiter - parked);
}

/* All at one page each, from the first. */
static void park_many(struct core *c)
{
	woken_points = 0;
	for (unsigned i = 0; i < MANY; i++)
		assert_true(pt_waiter_park(&parked[i], &c->ctx, i * PT_SZ_4K,
					   i * PT_SZ_4K + PT_SZ_4K - 1, count_wake));
}

/* Of 3000 points that wait 256 are looked at when a claim shrinks, whether they can go or not. All
 * that can go are woken in the end, once and in order. */
static void parked_points_are_looked_at_in_turn(void **state)
{
	struct pt_claim a, b;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, MANY * PT_SZ_4K - 1, PT_CLAIM_SHARED));
	ASSERT_OUTCOME(PT_OK, claim(&c, &b, 1, 0, 500 * PT_SZ_4K - 1, PT_CLAIM_SHARED));
	park_many(&c);
	assert_int_equal(MANY, c.ctx.waiting);
	pt_claim_shrink(&a, 1000 * PT_SZ_4K);
	assert_int_equal(0, woken_points);
	assert_int_equal(MANY - 256, c.ctx.unseen);
	pt_claim_shrink(&a, 1001 * PT_SZ_4K);
	assert_int_equal(12, woken_points); /* 500 to 511: the next 256 */
	assert_int_equal(MANY - 256, c.ctx.unseen);
	assert_true(pt_waiter_cancel(&parked[512], &c.machine)); /* where the look goes on */
	pt_claim_release(&b);
	assert_int_equal(1000, woken_points);
	assert_int_equal(0, c.ctx.unseen);
	pt_claim_release(&a);
	assert_int_equal(MANY - 1, woken_points);
	assert_int_equal(MANY - 1, last_woken);
	assert_int_equal(0, c.ctx.waiting);
	core_close(&c);
}

/* A look that began in the middle goes round; who comes meanwhile does not end it too early. */
static void those_who_come_later_hide_nobody(void **state)
{
	static struct pt_waiter later[400];
	struct pt_claim a, b;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, MANY * PT_SZ_4K - 1, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_OK, claim(&c, &b, 1, UINT64_C(1) << 30, (UINT64_C(1) << 30) + 0xfff,
				    PT_CLAIM_EXCLUSIVE));
	park_many(&c);
	pt_claim_shrink(&a, PT_SZ_4K);
	assert_int_equal(1, woken_points);
	pt_claim_shrink(&a, (MANY - 1) * PT_SZ_4K);
	assert_int_equal(257, woken_points);
	for (unsigned i = 0; i < 400; i++)
		assert_true(pt_waiter_park(&later[i], &c.ctx, UINT64_C(1) << 30,
					   (UINT64_C(1) << 30) + 0xfff, NULL));
	for (unsigned i = 0; c.ctx.unseen; i++) /* each looks a little further */
		assert_true(pt_waiter_cancel(&later[i], &c.machine));
	assert_int_equal(MANY - 1, woken_points);
	pt_claim_release(&a);
	pt_claim_release(&b);
	assert_int_equal(0, c.ctx.waiting);
	core_close(&c);
}

/* One behind 256 points does not look further, and goes when they have gone. */
static void a_claim_waits_behind_many_points(void **state)
{
	struct pt_claim a, near, far;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, MANY * PT_SZ_4K - 1, PT_CLAIM_EXCLUSIVE));
	for (unsigned i = 0; i < 256; i++) {
		if (i == 255)
			ASSERT_OUTCOME(PT_OK,
				       claim(&c, &near, 1, UINT64_C(1) << 30,
					     (UINT64_C(1) << 30) + 0xfff, PT_CLAIM_EXCLUSIVE));
		assert_true(pt_waiter_park(&parked[i], &c.ctx, i * PT_SZ_4K,
					   i * PT_SZ_4K + PT_SZ_4K - 1, count_wake));
	}
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &far, 2, UINT64_C(2) << 30, (UINT64_C(2) << 30) + 0xfff,
					PT_CLAIM_EXCLUSIVE));
	pt_claim_shrink(&a, PT_SZ_4K);
	assert_string_equal("2", woken);
	pt_claim_release(&a);
	pt_claim_release(&near);
	pt_claim_release(&far);
	core_close(&c);
}

/* Steps to the end: the one that lets the claim go looks at 256 points twice, the others once; and
 * all are woken before the operation ends. */
#define IN_STEPS(step)                                                                             \
	do {                                                                                       \
		enum pt_outcome now;                                                               \
		unsigned before, steps = 0;                                                        \
		do {                                                                               \
			before = woken_points;                                                     \
			pt_section_begin(&c.agent);                                                \
			now = (step);                                                              \
			pt_section_end(&c.agent);                                                  \
			assert_true(woken_points - before <= 2 * 256);                             \
			steps++;                                                                   \
		} while (now == PT_MORE);                                                          \
		assert_false(pt_is_error(now));                                                    \
		assert_int_equal(MANY, woken_points);                                              \
		assert_int_equal(MANY - 1, last_woken);                                            \
		assert_true(steps >= MANY / 256 - 1);                                              \
	} while (0)

static void operations_wake_in_steps(void **state)
{
	struct pt_upkeep_args age = {.kind = PT_UPKEEP_AGE, .clear = true, .size = MANY * PT_SZ_4K};
	struct pt_agent other = {0};
	struct pt_upkeep upkeep;
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &other));
	pt_section_begin(&other);
	pt_machine_use(&c.machine, &other);
	item = core_item(&c, PT_ITEM_MAP, 0, MANY * PT_SZ_4K, 0, PT_PROT_R, PT_MAP_FORCE_PAGES);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1));
	pt_section_end(&c.agent);
	park_many(&c);
	pt_section_end(&other);
	IN_STEPS(pt_txn_step(&txn, &c.agent, 100000));
	age.ctx = &c.ctx;
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&upkeep, &age, wake));
	pt_section_begin(&other);
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_upkeep_step(&upkeep, &c.agent, 1));
	pt_section_end(&c.agent);
	park_many(&c);
	pt_section_end(&other);
	IN_STEPS(pt_upkeep_step(&upkeep, &c.agent, 100000));
	pt_agent_leave(&other);
	core_close(&c);
}

/* An operation looks at those that wait once, whatever another one lets go of meanwhile. */
static void an_operation_ends_beside_one_that_goes_on(void **state)
{
	enum pt_outcome now = PT_MORE;
	struct pt_claim large;
	struct pt_item item;
	struct pt_txn txn;
	unsigned steps;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, claim(&c, &large, 0, 0, MANY * PT_SZ_4K - 1, PT_CLAIM_EXCLUSIVE));
	item = core_item(&c, PT_ITEM_MAP, UINT64_C(1) << 30, 2 * PT_SZ_4K, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1));
	pt_section_end(&c.agent);
	park_many(&c);
	for (steps = 0; now == PT_MORE && steps < MANY - 1; steps++) {
		pt_claim_shrink(&large, (steps + 1) * PT_SZ_4K);
		pt_section_begin(&c.agent);
		now = pt_txn_step(&txn, &c.agent, 100000);
		pt_section_end(&c.agent);
	}
	ASSERT_OUTCOME(PT_OK, now);
	assert_true(steps <= MANY / 256 + 1);
	pt_claim_release(&large);
	assert_int_equal(MANY, woken_points);
	core_close(&c);
}

static struct pt_claim *next_claim;
static int slot_at_wake;

static void look_at_next(struct pt_waiter *waiter)
{
	(void)waiter;
	slot_at_wake = next_claim->slot;
}

static void parked_points_are_woken_before_the_next_claim_is_published(void **state)
{
	struct pt_claim a, b;
	struct pt_waiter point;
	struct core c;

	(void)state;
	open_quiet(&c);
	next_claim = &b;
	slot_at_wake = 99;
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_PARKED, claim(&c, &b, 1, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	assert_true(pt_waiter_park(&point, &c.ctx, 0, 0xfff, look_at_next));
	pt_claim_release(&a);
	assert_int_equal(-1, slot_at_wake);
	assert_true(b.slot >= 0);
	pt_claim_release(&b);
	core_close(&c);
}

/* ---- waiting for other agents ---- */

/* Agent B is past the claim check of a point operation; then A's claim is published. */
static void a_transaction_drains_the_sections_that_began_before_its_claim(void **state)
{
	struct pt_agent b = {0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	assert_int_equal(0, atomic_load(&c.ctx.claims)); /* B's check: no claim */

	item = core_item(&c, PT_ITEM_UNMAP, 0, PT_SZ_2M, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
	for (unsigned i = 0; i < 5; i++) {
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1000));
		pt_section_end(&c.agent);
		assert_int_equal(PT_TXN_DRAIN, txn.phase);
		assert_false(pt_txn_committed(&txn));
	}
	/* What B writes now is seen by the transaction. */
	{
		struct pt_item late = core_item(&c, PT_ITEM_MAP, 0x3000, 0x1000, 0, PT_PROT_R, 0);
		uint32_t claims = atomic_exchange(&c.ctx.claims, 0);
		struct pt_effects fx = {0};

		ASSERT_OUTCOME(PT_MAPPED, pt_point(&b, &late, &fx, NULL));
		atomic_store(&c.ctx.claims, claims);
	}
	pt_section_end(&b);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)item.outcome);
	assert_int_equal(1, txn.effects.leaves_removed);
	pt_agent_leave(&b);
	core_close(&c);
}

static void a_section_that_began_after_the_claim_is_not_waited_for(void **state)
{
	struct pt_agent b = {0};
	struct pt_grace grace;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	pt_section_begin(&b);
	pt_grace_begin(&grace, &c.machine, &c.agent);
	assert_true(pt_grace_done(&grace, &c.machine)); /* B has not used this machine */
	pt_machine_use(&c.machine, &b);
	pt_grace_begin(&grace, &c.machine, &c.agent);
	assert_false(pt_grace_done(&grace, &c.machine));
	pt_section_end(&b);
	pt_section_begin(&b);
	assert_true(pt_grace_done(&grace, &c.machine));
	pt_section_end(&b);
	pt_agent_leave(&b);
	core_close(&c);
}

/* B4: an unlinked table is neither zeroed nor handed out while another agent may be reading it. */
static void quarantine_before_reuse(void **state)
{
	struct pt_walk_step step[PT_LEVELS];
	struct pt_agent b = {0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;
	uint64_t used;
	pt_pte *table;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0x1000, PT_PROT_R, 0));
	used = atomic_load(&c.tables.world.pool.used_bytes);
	item = core_item(&c, PT_ITEM_UNMAP, 0, PT_SZ_2M, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
	/* B's section uses another machine only, so the claim does not wait for it; the table does.
	 */
	pt_section_begin(&b);
	assert_int_equal(3, pt_walk_explain(&c.ctx, pt_ipa(0), step));
	table = pt_port_table(&c.port, step[2].table);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	assert_int_equal(1, txn.effects.tables_freed);
	assert_true(pt_pte_valid(table[5]));
	assert_int_equal(used, atomic_load(&c.tables.world.pool.used_bytes));
	for (unsigned i = 0; i < 200; i++) {
		struct pt_page page;

		ASSERT_OUTCOME(PT_OK, pt_pool_get(&c.agent, 12, &page));
		assert_int_not_equal(step[2].table.v, pt_page_pa(&c.port, page).v);
	}
	assert_true(pt_reclaim(&c.agent));
	pt_section_end(&b);
	assert_false(pt_reclaim(&c.agent));
	assert_int_equal(0, table[5]);
	assert_int_equal(used + 199 * PT_SZ_4K, atomic_load(&c.tables.world.pool.used_bytes));
	c.empty_bytes += 200 * PT_SZ_4K;
	pt_agent_leave(&b);
	core_close(&c);
}

static void the_reply_waits_for_accesses_in_flight(void **state)
{
	struct pt_agent b = {0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x4000, 0x1000, PT_PROT_R, 0));
	item = core_item(&c, PT_ITEM_UNMAP, 0, 0x4000, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
	assert_false(pt_item_needs_grace(&c.machine, &c.agent));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1)); /* claimed, prepared */
	pt_section_end(&c.agent);
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	assert_true(pt_item_needs_grace(&c.machine, &c.agent));
	for (unsigned i = 0; i < 5; i++) {
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1000));
		pt_section_end(&c.agent);
	}
	assert_int_equal(PT_TXN_RETIRE, txn.phase);
	assert_true(txn.effects.tlbis >= 1);
	pt_section_end(&b);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	pt_agent_leave(&b);
	core_close(&c);
}

static void agents_have_ids_of_their_own(void **state)
{
	static struct pt_agent many[PT_MAX_AGENTS];
	struct pt_agent late = {0};
	struct core c;

	(void)state;
	open_quiet(&c);
	for (unsigned i = 1; i < PT_MAX_AGENTS; i++) {
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &many[i]));
		assert_int_equal(i, many[i].id);
	}
	ASSERT_OUTCOME(PT_BUSY, pt_agent_join(&c.tables.world, &late));
	pt_agent_leave(&many[17]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &late));
	assert_int_equal(17, late.id);
	core_close(&c);
}

/* ---- the end of a context ---- */

static void map_after_retire(void **state) /* B16 */
{
	struct pt_item item;
	struct pt_txn destroy, again, txn;
	struct pt_fault fault = {.access = PT_ACCESS_READ};
	struct pt_fault_result result;
	struct pt_claim a, late;
	struct core c;

	(void)state;
	open_quiet(&c);
	ASSERT_OUTCOME(PT_MAPPED, map_point(&c, 0));
	ASSERT_OUTCOME(PT_OK, claim(&c, &a, 0, 0, 0xfff, PT_CLAIM_EXCLUSIVE));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&destroy, &c.ctx, wake));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_PARKED, pt_txn_step(&destroy, &c.agent, 100));
	pt_section_end(&c.agent);
	for (unsigned round = 0; round < 2; round++) {
		ASSERT_OUTCOME(PT_WRONG_STATE,
			       claim(&c, &late, 1, 0x8000, 0x8fff, PT_CLAIM_SHARED));
		ASSERT_OUTCOME(PT_WRONG_STATE, map_point(&c, 0x5000));
		ASSERT_OUTCOME(PT_WRONG_STATE, pt_fault_handle(&c.agent, &c.ctx, &fault, &result));
		item = core_item(&c, PT_ITEM_MAP, 0x8000, 0x4000, 0, PT_PROT_R, 0);
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
		ASSERT_OUTCOME(PT_WRONG_STATE, core_run(&txn, &c.agent, 100));
		ASSERT_OUTCOME(PT_WRONG_STATE, pt_ctx_destroy_begin(&again, &c.ctx, wake));
		if (round)
			break;
		pt_claim_release(&a);
		ASSERT_OUTCOME(PT_OK, core_run(&destroy, &c.agent, 100));
		assert_int_equal(c.empty_bytes, atomic_load(&c.tables.world.pool.used_bytes));
	}
	c.ctx.machine = NULL;
	core_close(&c);
}

static void teardown_bounded_steps(void **state) /* B17 */
{
	unsigned steps = 0;
	struct pt_txn txn;
	struct core c;
	enum pt_outcome outcome;

	(void)state;
	open_quiet(&c);
	for (unsigned i = 0; i < 64; i++)
		ASSERT_OUTCOME(PT_MAPPED, map_point(&c, i * PT_SZ_1G));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c.ctx, wake));
	assert_false(pt_txn_abort(&txn, &c.agent)); /* or the context would stay dying for ever */
	do {
		uint64_t freed = txn.effects.tables_freed;

		pt_section_begin(&c.agent);
		outcome = pt_txn_step(&txn, &c.agent, 600);
		pt_section_end(&c.agent);
		assert_true(txn.effects.tables_freed - freed <= 8);
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(128, txn.effects.tables_freed);
	assert_true(steps >= 64);
	assert_int_equal(c.empty_bytes, atomic_load(&c.tables.world.pool.used_bytes));
	c.ctx.machine = NULL;
	core_close(&c);
}

/* Two clients keep two range operations on one page in flight; a point operation comes in between.
 */
static void ranges_that_keep_coming_do_not_starve_a_point(void **state)
{
	struct pt_txn txn[2];
	struct pt_item item[2], point;
	struct pt_waiter waiter;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	for (unsigned i = 0; i < 2; i++) {
		item[i] = core_item(&c, PT_ITEM_UNMAP, 0, 0x10000, 0, 0, 0);
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn[i], &item[i], 1, 0, false, wake));
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(i ? PT_PARKED : PT_MORE, pt_txn_step(&txn[i], &c.agent, 1));
		pt_section_end(&c.agent);
	}
	point = core_item(&c, PT_ITEM_MAP, 0x1000, 0x1000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_PARKED, core_point(&c, point, NULL, NULL));
	assert_true(pt_waiter_park(&waiter, &c.ctx, 0x1000, 0x1fff, wake));
	ASSERT_OUTCOME(PT_OK, core_run(&txn[0], &c.agent, 1000));
	assert_false(waiter.queued);
	/* Another range operation queues behind the second, which holds its place but is not
	 * stepped. */
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn[0], &item[0], 1, 0, false, wake));
	ASSERT_OUTCOME(PT_PARKED, core_run(&txn[0], &c.agent, 1000));
	ASSERT_OUTCOME(PT_MAPPED, core_point(&c, point, NULL, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn[1], &c.agent, 1000));
	assert_int_equal(PT_UNMAPPED, item[1].outcome);
	ASSERT_OUTCOME(PT_OK, core_run(&txn[0], &c.agent, 1000));
	assert_int_equal(PT_HOLE, item[0].outcome);
	assert_int_equal(0, c.ctx.taken);
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlapping_claims_go_in_order_of_arrival),
		cmocka_unit_test(shared_claims_admit_each_other),
		cmocka_unit_test(shared_claims_go_together),
		cmocka_unit_test(a_claim_shrinks_inside_itself),
		cmocka_unit_test(nobody_parks_on_a_dying_context),
		cmocka_unit_test(an_agent_that_has_left_is_not_waited_for),
		cmocka_unit_test(a_cancelled_claim_lets_the_next_one_go),
		cmocka_unit_test(more_claims_than_slots_wait),
		cmocka_unit_test(of_those_that_wait_the_first_are_looked_at),
		cmocka_unit_test(parked_points_are_looked_at_in_turn),
		cmocka_unit_test(those_who_come_later_hide_nobody),
		cmocka_unit_test(a_claim_waits_behind_many_points),
		cmocka_unit_test(operations_wake_in_steps),
		cmocka_unit_test(an_operation_ends_beside_one_that_goes_on),
		cmocka_unit_test(a_point_operation_parks_until_the_claim_has_passed),
		cmocka_unit_test(parked_points_are_woken_before_the_next_claim_is_published),
		cmocka_unit_test(a_transaction_drains_the_sections_that_began_before_its_claim),
		cmocka_unit_test(a_section_that_began_after_the_claim_is_not_waited_for),
		cmocka_unit_test(quarantine_before_reuse),
		cmocka_unit_test(the_reply_waits_for_accesses_in_flight),
		cmocka_unit_test(agents_have_ids_of_their_own),
		cmocka_unit_test(map_after_retire),
		cmocka_unit_test(teardown_bounded_steps),
		cmocka_unit_test(ranges_that_keep_coming_do_not_starve_a_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
