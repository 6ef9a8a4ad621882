/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents that transfer frames between a host and guests, while vCPUs access them: whoever reaches a
 * frame owns it (O2). For TSan and ASan too. */
#include <pthread.h>
#include <sched.h>

#include "parties_fixture.h"
#include "stepping.h"

#define THREADS 4
#define ROUNDS	1000
#define PARTIES 3
#define FRAMES	1024 /* two last-level tables of each party */

struct worker {
	struct parties_rig *rig;
	struct pt_agent agent;
	uint64_t seed;
	uint32_t vcpu, from, to, first, count;
	_Atomic unsigned woken;
	unsigned wanted;
	uint64_t parked, done, refused, given_up, seen;
	struct pt_parties parties;
	pthread_t thread;
};

static struct worker workers[THREADS];
static _Atomic uint32_t owner[FRAMES];

static void wake(struct pt_waiter *waiter)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (waiter == &workers[i].parties.leg[0].claim.waiter)
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

/* The frames' addresses as a party has them. */
static uint64_t address(uint32_t i, uint32_t frame)
{
	return i * PT_SZ_1G + frame * PT_SZ_4K;
}

static enum pt_outcome check(void *arg, struct pt_agent *agent, int64_t *left, struct pt_error *err)
{
	struct worker *w = arg;

	(void)agent;
	(void)err;
	for (uint32_t i = 0; i < w->count; i++, --*left)
		if (atomic_load(&owner[w->first + i]) != w->from)
			return PT_WRONG_OWNER;
	return PT_OK;
}

/* When nothing of the donor's is in use any more. */
static bool between(void *arg, struct pt_agent *agent, uint32_t done, int64_t *left)
{
	struct worker *w = arg;

	(void)agent;
	for (uint32_t i = 0; i < w->count && done == 1; i++, --*left) {
		assert_int_equal(w->from, atomic_load(&owner[w->first + i]));
		atomic_store(&owner[w->first + i], w->to);
	}
	return true;
}

static const struct pt_parties_hooks hooks = {.check = check, .between = between};

static void transfer(struct worker *w)
{
	uint32_t budget = (uint32_t[]){1, 40, 100000}[below(w, 3)];
	struct pt_item item[2];
	struct pt_parties_args args = {
		.item = item, .count = 2, .hooks = &hooks, .arg = w, .wake = wake};
	enum pt_outcome outcome;

	w->first = below(w, FRAMES);
	w->count = 1 + below(w, below(w, 8) ? 4 : 400);
	w->count = w->count < FRAMES - w->first ? w->count : FRAMES - w->first;
	w->from = atomic_load(&owner[w->first]);
	w->to = (w->from + 1 + below(w, PARTIES - 1)) % PARTIES;
	item[0] = party_item(w->rig, w->from, below(w, 2) ? PT_ITEM_UNMAP : PT_ITEM_ANNOTATE,
			     address(w->from, w->first), w->count * PT_SZ_4K, PARTY_GONE, 0, 0);
	item[1] = party_item(w->rig, w->to, PT_ITEM_MAP, address(w->to, w->first),
			     w->count * PT_SZ_4K, address(0, w->first), PT_PROT_RW,
			     PT_ITEM_OWNER | PT_MAP_REPLACE | PT_MAP_FORCE_PAGES);
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&w->parties, &args));
	if (!below(w, 16)) { /* sometimes a client that goes away */
		pt_section_begin(&w->agent);
		outcome = pt_parties_step(&w->parties, &w->agent, 1);
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
		pt_section_begin(&w->agent);
		if (!pt_is_error(outcome) && pt_parties_abort(&w->parties, &w->agent)) {
			pt_section_end(&w->agent);
			w->given_up++;
			return;
		}
		pt_section_end(&w->agent);
	}
	STEP_TO_END(w, outcome, pt_parties_step(&w->parties, &w->agent, budget));
	assert_true(outcome == PT_OK || outcome == PT_WRONG_OWNER);
	w->done += outcome == PT_OK;
	w->refused += outcome == PT_WRONG_OWNER;
}

/* Whoever gets there is the owner, until the end of the section that it did so in. */
static void access_frame(struct worker *w)
{
	uint32_t i = below(w, PARTIES), frame = below(w, FRAMES);
	struct pt_host_access a = {
		.vcpu = w->vcpu, .ipa = {address(i, frame)}, .access = PT_ACCESS_AT};

	pt_section_begin(&w->agent);
	pt_machine_use(&w->rig->c.machine, &w->agent);
	if (pt_host_access(&w->agent, party(w->rig, i), NULL, &a) == PT_OK) {
		assert_int_equal(address(0, frame), a.pa.v);
		assert_int_equal(i, atomic_load(&owner[frame]));
		w->seen++;
	}
	pt_section_end(&w->agent);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		transfer(w);
		for (unsigned k = 0; k < 8; k++)
			access_frame(w);
		pt_reclaim(&w->agent);
	}
	return NULL;
}

/* Each frame is where its owner is, and nowhere else. */
static void check_end(struct parties_rig *rig)
{
	for (uint32_t frame = 0; frame < FRAMES; frame++)
		for (uint32_t i = 0; i < PARTIES; i++) {
			int level;
			bool has = party_entry(rig, i, address(i, frame), &level) & PT_PTE_VALID;

			assert_int_equal(has, i == atomic_load(&owner[frame]));
		}
}

static void whoever_reaches_a_frame_owns_it(void **state)
{
	uint64_t seed = core_seed(), parked = 0, done = 0, refused = 0, given_up = 0, seen = 0;
	struct parties_rig rig;

	(void)state;
	parties_open(&rig, PARTIES, &shapes[0], &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&rig.c, 0, FRAMES * PT_SZ_4K, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < FRAMES; i++)
		atomic_store(&owner[i], 0);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].rig = &rig;
		workers[i].seed = seed + i * 7919;
		workers[i].vcpu = i;
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
		seen += w->seen;
	}
	print_message("done %llu, refused %llu, given up %llu, parked %llu, accesses %llu\n",
		      (unsigned long long)done, (unsigned long long)refused,
		      (unsigned long long)given_up, (unsigned long long)parked,
		      (unsigned long long)seen);
	assert_true(done && refused && given_up && seen);
	check_end(&rig);
	parties_at_rest(&rig);
	parties_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_reaches_a_frame_owns_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
