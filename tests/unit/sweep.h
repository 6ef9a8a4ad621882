/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations that fail at each page that they ask for: nothing changed, each failure returned. */
#ifndef TESTS_UNIT_SWEEP_H
#define TESTS_UNIT_SWEEP_H

#include "core.h"

/* All that an operation which failed must leave as it was. */
struct sweep_state {
	struct pt_digest digest;
	uint64_t used, table_pages, generation;
};

static inline struct sweep_state sweep_state_of(struct core *c)
{
	return (struct sweep_state){
		core_digest_of(c), atomic_load(&c->tables.world.pool.used_bytes),
		atomic_load(&c->ctx.table_pages), atomic_load(&c->ctx.generation)};
}

static inline void sweep_unchanged(struct core *c, const struct sweep_state *before)
{
	struct sweep_state now = sweep_state_of(c);

	assert_int_equal(before->digest.state[0], now.digest.state[0]);
	assert_int_equal(before->digest.state[1], now.digest.state[1]);
	assert_int_equal(before->used, now.used);
	assert_int_equal(before->table_pages, now.table_pages);
	assert_int_equal(before->generation, now.generation);
	assert_int_equal(0, atomic_load(&c->ctx.claims));
}

/* The `nth` page that the context asks for from now on is refused. */
static inline void sweep_arm(struct core *c, uint32_t nth)
{
	struct pt_host_failpoint how = {.scope = 4711, .nth = nth, .times = 1};

	c->ctx.scope = how.scope;
	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
}

/* How many pages were refused since. */
static inline uint64_t sweep_disarm(void)
{
	uint64_t hits, failures;

	pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	return failures;
}

/* Runs `what` with each page refused in turn, until it needs no more: how many there were. */
static inline unsigned sweep(struct core *c, enum pt_outcome (*what)(struct core *, void *),
			     void *arg)
{
	for (uint32_t nth = 1;; nth++) {
		struct sweep_state before = sweep_state_of(c);
		enum pt_outcome outcome;

		sweep_arm(c, nth);
		outcome = what(c, arg);
		if (!sweep_disarm()) {
			assert_false(pt_is_error(outcome));
			return nth - 1;
		}
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		sweep_unchanged(c, &before);
	}
}

struct sweep_items {
	struct pt_item *item;
	unsigned count;
};

static inline enum pt_outcome sweep_run_items(struct core *c, void *arg)
{
	struct sweep_items *items = arg;
	enum pt_outcome outcome;
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items->item, items->count, 0, false, NULL));
	outcome = core_run(&txn, &c->agent, 50);
	if (outcome != PT_OK) {
		ASSERT_OUTCOME(outcome, txn.error.code);
		assert_true(txn.error.index < items->count);
	}
	return outcome;
}

/* The same of a transaction; the items' outcomes are those of the run that passed. */
static inline unsigned sweep_txn(struct core *c, struct pt_item *item, unsigned count)
{
	struct sweep_items items = {item, count};

	return sweep(c, sweep_run_items, &items);
}

#endif
