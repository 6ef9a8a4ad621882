/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents of one rig on threads of their own, which step through transitions and lendings, and wait
 * where these park. */
#ifndef PTD_TEST_RIG_WORKERS_H
#define PTD_TEST_RIG_WORKERS_H

#include <pthread.h>
#include <sched.h>

#include "lending_fixture.h"
#include "stepping.h"

#define THREADS 3

struct worker {
	struct transfer_rig *rig;
	struct pt_agent agent;
	uint64_t seed;
	_Atomic unsigned woken;
	unsigned wanted;
	uint64_t parked, done, refused, given_up;
	struct pt_transfer t;
	struct pt_lend l;
	pthread_t thread;
};

static struct transfer_rig rig;
static struct worker workers[THREADS];

static void wake(struct pt_waiter *waiter)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (waiter == &workers[i].t.parties.leg[0].claim.waiter ||
		    waiter == &workers[i].l.t.parties.leg[0].claim.waiter)
			atomic_fetch_add(&workers[i].woken, 1);
}

static void await_wake(struct worker *w)
{
	w->wanted++;
	w->parked++;
	while (atomic_load(&w->woken) != w->wanted)
		sched_yield();
}

static uint32_t below(struct worker *w, uint32_t n)
{
	return (uint32_t)(core_random(&w->seed) % n);
}

static enum pt_outcome tally(struct worker *w, enum pt_outcome outcome)
{
	w->done += outcome == PT_OK;
	w->given_up += outcome == PT_CANCELLED;
	w->refused += outcome != PT_OK && outcome != PT_CANCELLED;
	assert_true(outcome != PT_RACED && outcome != PT_INTERNAL && outcome != PT_INVALID);
	return outcome;
}

/* Each does `work`, with a seed of its own, to its end; among them all answers came. */
static void run_workers(void *(*work)(void *))
{
	uint64_t seed = core_seed(), parked = 0, done = 0, refused = 0, given_up = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].rig = &rig;
		workers[i].seed = seed + i * 7919;
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&rig.c.tables.world, &workers[i].agent));
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(0, pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned i = 0; i < THREADS; i++) { /* nobody else does anything while one leaves */
		struct worker *w = &workers[i];

		while (pt_reclaim(&w->agent))
			continue;
		pt_agent_leave(&w->agent);
		parked += w->parked;
		done += w->done;
		refused += w->refused;
		given_up += w->given_up;
	}
	print_message("done %llu, refused %llu, given up %llu, parked %llu\n",
		      (unsigned long long)done, (unsigned long long)refused,
		      (unsigned long long)given_up, (unsigned long long)parked);
	assert_true(done && refused && given_up);
}

#endif
