/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches of faults and of points meet each other, and ranges, in the same pages, on four threads.
 * Each leaf that was told as mapped is there in the end, or was told as removed, once: an exchange
 * that was lost between what a batch looked up and what it changed would be told and not be. For
 * TSan and the checker, too.
 */
#include "core.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 4
#define BATCH	24 /* more than one window */
#define PAGES	40 /* around the border of two tables */
#define ROUNDS	4000
#define OFFSET	(UINT64_C(1) << 30) /* from IPA to PA */

struct worker {
	struct core *c;
	struct pt_agent agent;
	pthread_t thread;
	uint64_t random, mapped, removed;
	uint64_t together, alone, ranges;
};

static uint64_t any_page(struct worker *w)
{
	return core_size(w->c, 2) + (core_random(&w->random) % PAGES - PAGES / 2) * PT_SZ_4K;
}

/* Until it is neither lost nor claimed. */
static enum pt_outcome alone(struct worker *w, const struct pt_fault *fault, struct pt_item *item,
			     struct pt_effects *fx)
{
	enum pt_outcome outcome;

	w->alone++;
	do {
		struct pt_fault_result result = {0};

		outcome = fault ? pt_fault_handle(&w->agent, &w->c->ctx, fault, &result)
				: pt_point(&w->agent, item, fx, &(struct pt_error){0});
		pt_section_end(&w->agent);
		if (outcome == PT_RACED || outcome == PT_PARKED)
			sched_yield();
		pt_section_begin(&w->agent);
	} while (outcome == PT_RACED || outcome == PT_PARKED || (fault && outcome == PT_MORE));
	return outcome;
}

static void fault_batch(struct worker *w, uint32_t count)
{
	struct pt_fault fault[BATCH];
	struct pt_fault_page page[BATCH];
	uint32_t at = 0, done;

	for (uint32_t i = 0; i < count; i++)
		fault[i] =
			(struct pt_fault){.ipa = pt_ipa(any_page(w)),
					  .access = PT_ACCESS_READ + core_random(&w->random) % 2};
	pt_section_begin(&w->agent);
	while (at < count) {
		done = pt_faults(&w->agent, &w->c->ctx, fault + at, count - at, page + at);
		w->together += done;
		for (; done; done--, at++) {
			assert_int_equal(page[at].pa.v, fault[at].ipa.v + OFFSET);
			w->mapped += page[at].outcome == PT_MAPPED;
		}
		if (at < count)
			w->mapped += alone(w, &fault[at++], NULL, NULL) == PT_MAPPED;
	}
	pt_section_end(&w->agent);
}

static void point_batch(struct worker *w, uint32_t count)
{
	struct pt_effects fx = {0};
	struct pt_item item[BATCH];
	uint64_t mapped = 0, removed = 0;
	uint32_t at = 0, done;

	for (uint32_t i = 0; i < count; i++) {
		bool map = core_random(&w->random) % 3 == 0;
		uint64_t ipa = any_page(w);

		item[i] = core_item(w->c, map ? PT_ITEM_MAP : PT_ITEM_UNMAP, ipa, PT_SZ_4K,
				    map ? ipa + OFFSET : 0, map ? PT_PROT_RW : 0, 0);
	}
	pt_section_begin(&w->agent);
	while (at < count) {
		done = pt_points(&w->agent, item + at, count - at, &fx);
		w->together += done;
		if (at + done < count)
			item[at + done].outcome = alone(w, NULL, &item[at + done], &fx), done++;
		for (; done; done--, at++) {
			mapped += item[at].outcome == PT_MAPPED;
			removed += item[at].outcome == PT_UNMAPPED;
		}
	}
	pt_section_end(&w->agent);
	assert_int_equal(mapped, fx.leaves_written);
	assert_int_equal(removed, fx.leaves_removed);
	w->mapped += mapped;
	w->removed += removed;
}

static void wake(struct pt_waiter *waiter)
{
	(void)waiter; /* steps again in any case */
}

static void range(struct worker *w)
{
	struct pt_item item = core_item(w->c, PT_ITEM_UNMAP, any_page(w), 0, 0, 0, 0);
	enum pt_outcome outcome;
	struct pt_txn txn;

	item.size = (1 + core_random(&w->random) % 8) * PT_SZ_4K;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, wake));
	do {
		pt_section_begin(&w->agent);
		outcome = pt_txn_step(&txn, &w->agent, 4);
		pt_section_end(&w->agent);
		sched_yield();
	} while (outcome == PT_MORE || outcome == PT_PARKED);
	ASSERT_OUTCOME(PT_OK, outcome);
	w->removed += txn.effects.leaves_removed;
	w->ranges++;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t r = core_random(&w->random);
		uint32_t count = 1 + (uint32_t)(r >> 8) % BATCH;

		if (r % 32 == 0)
			range(w);
		else if (r % 2)
			fault_batch(w, count);
		else
			point_batch(w, count);
		while (pt_reclaim(&w->agent))
			sched_yield();
	}
	return NULL;
}

static struct pt_slots *slot_around(struct core *c)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(slots->slot[0]));

	assert_non_null(slots);
	slots->count = 1;
	slots->slot[0] =
		(struct pt_slot){.size = 2 * core_size(c, 2), .pa = OFFSET, .backing_shift = 12};
	pt_ctx_set_slots(&c->ctx, slots);
	return slots;
}

static void what_was_told_is_there(void **state)
{
	static struct worker worker[THREADS];
	uint64_t seed = core_seed(), mapped = 0, removed = 0, together = 0, alone_sum = 0,
		 ranges = 0;
	struct pt_slots *slots;
	struct pt_digest digest;
	struct core c;

	(void)state;
	core_open_bytes(&c, &shapes[0], UINT64_C(64) << 20, true);
	slots = slot_around(&c);
	for (unsigned i = 0; i < THREADS; i++) {
		worker[i] = (struct worker){.c = &c, .random = seed + i};
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &worker[i].agent));
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(0, pthread_create(&worker[i].thread, NULL, work, &worker[i]));
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(worker[i].thread, NULL);
		mapped += worker[i].mapped;
		removed += worker[i].removed;
		together += worker[i].together;
		alone_sum += worker[i].alone;
		ranges += worker[i].ranges;
	}
	digest = core_digest_of(&c);
	print_message("%llu changes together, %llu alone, %llu ranges, %llu leaves mapped\n",
		      (unsigned long long)together, (unsigned long long)alone_sum,
		      (unsigned long long)ranges, (unsigned long long)mapped);
	assert_int_equal(mapped - removed, core_leaves(&digest));
	assert_true(together > 1000 && alone_sum > 1000 && ranges > 10);
	for (unsigned i = 0; i < THREADS; i++) {
		while (pt_reclaim(&worker[i].agent))
			continue;
		pt_agent_leave(&worker[i].agent);
	}
	core_close(&c);
	free(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
