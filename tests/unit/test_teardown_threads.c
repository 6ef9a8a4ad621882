/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A context is torn down while vCPUs fault and write, its slot moves and its dirty log is read. For
 * TSan and ASan, too. Everybody goes on until they are told.
 */
#include <pthread.h>
#include <sched.h>

#include "dirty_fixture.h"
#include "stepping.h"

#define THREADS 4
#define ROUNDS	12
#define WARM	24 /* operations of each thread before the teardown */

struct worker {
	struct logged *l;
	struct pt_agent agent;
	uint64_t seed, refused, left; /* left: leaves where no slot is */
	_Atomic uint64_t done;
	uint32_t vcpu;
	struct pt_waiter waiter;
	struct pt_txn txn;
	struct pt_dirty dirty;
	_Atomic unsigned woken;
	unsigned wanted;
	pthread_t thread;
};

static struct worker workers[THREADS];
static _Atomic(struct pt_ctx *) registry;
static struct pt_txn teardown;
static _Atomic unsigned teardown_woken;

/* The slot is at l->base, or behind that. Immutable, so that none has to be freed. */
static struct pt_slots *place[2];

static void wake(struct pt_waiter *waiter)
{
	if (waiter == &teardown.claim.waiter)
		atomic_fetch_add(&teardown_woken, 1);
	for (unsigned i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		if (waiter == &w->waiter || waiter == &w->txn.claim.waiter ||
		    waiter == &w->dirty.claim.waiter)
			atomic_fetch_add(&w->woken, 1);
	}
}

static void await_wake(struct worker *w)
{
	w->wanted++;
	while (atomic_load(&w->woken) != w->wanted)
		sched_yield();
}

static uint64_t below(struct worker *w, uint64_t n)
{
	return core_random(&w->seed) % n;
}

/* In a section. */
static struct pt_ctx *look_up(struct worker *w)
{
	struct pt_ctx *ctx = atomic_load(&registry);

	pt_machine_use(&w->l->c.machine, &w->agent);
	return ctx && !pt_ctx_closed(ctx) ? ctx : NULL;
}

/* A word is written, in the slot or where it was. False: the context goes. */
static bool write_word(struct worker *w)
{
	struct logged *l = w->l;
	uint64_t value = core_random(&w->seed);
	struct pt_host_access a = {.vcpu = w->vcpu,
				   .ipa = {l->base + below(w, 2 * l->size / l->page) * l->page},
				   .access = PT_ACCESS_WRITE,
				   .handle_faults = true,
				   .length = 8,
				   .data = &value};
	enum pt_outcome outcome = PT_WRONG_STATE;

	for (;;) {
		struct pt_ctx *ctx;

		pt_section_begin(&w->agent);
		ctx = look_up(w);
		if (ctx)
			outcome = pt_host_access(&w->agent, ctx, &l->ram, &a);
		pt_section_end(&w->agent);
		if (!ctx || outcome == PT_OK || outcome == PT_NO_SLOT)
			return ctx;
		if (outcome == PT_WRONG_STATE) {
			w->refused++;
			return false;
		}
		assert_true(outcome == PT_PARKED || outcome == PT_MORE);
		pt_section_begin(&w->agent);
		if (outcome == PT_PARKED &&
		    !pt_waiter_park(&w->waiter, ctx, a.ipa.v, a.ipa.v, wake))
			outcome = PT_MORE;
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
	}
}

/* One that has found the context and does not ask again: it is told. */
static void *faulter(void *arg)
{
	struct worker *w = arg;
	enum pt_outcome outcome = PT_OK;

	for (; outcome != PT_WRONG_STATE; w->done++) {
		struct pt_fault fault = {
			.ipa = {w->l->base + below(w, 2 * w->l->size / w->l->page) * w->l->page},
			.vcpu = w->vcpu,
			.access = 1 + (uint8_t)below(w, 3)};
		struct pt_fault_result result;

		pt_section_begin(&w->agent);
		outcome = pt_fault_handle(&w->agent, &w->l->c.ctx, &fault, &result);
		if (outcome == PT_PARKED &&
		    !pt_waiter_park(&w->waiter, &w->l->c.ctx, fault.ipa.v, fault.ipa.v, wake))
			outcome = PT_RACED;
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
		else if (w->done % 8 == 0)
			sched_yield();
	}
	w->refused++;
	return NULL;
}

static void *writer(void *arg)
{
	struct worker *w = arg;

	for (; write_word(w); w->done++)
		if (w->done % 8 == 0)
			sched_yield();
	return NULL;
}

/* A fault looks up its slot and writes its entry in one section: where the slot was, nothing is. */
static void nothing_is_left(struct worker *w, uint64_t from)
{
	pt_pte e = 0;
	int level;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t ipa = from + below(w, w->l->size / w->l->page) * w->l->page;

		pt_section_begin(&w->agent);
		if (look_up(w))
			pt_get_leaf(&w->l->c.ctx, pt_ipa(ipa), &e, &level);
		pt_section_end(&w->agent);
		w->left += e != 0;
	}
}

static enum pt_outcome move_slot(struct worker *w, unsigned to)
{
	struct pt_item item = {.ctx = &w->l->c.ctx,
			       .kind = PT_ITEM_UNMAP,
			       .ipa = {place[!to]->slot[0].ipa},
			       .size = place[!to]->slot[0].size};
	enum pt_outcome outcome;

	assert_int_equal(PT_OK, pt_txn_init(&w->txn, &item, 1, 0, false, wake));
	w->txn.publish = place[to];
	STEP_TO_END(w, outcome, pt_txn_step(&w->txn, &w->agent, 1 + (uint32_t)below(w, 300)));
	if (outcome == PT_OK)
		nothing_is_left(w, item.ipa.v);
	return outcome;
}

static void *mover(void *arg)
{
	struct worker *w = arg;
	enum pt_outcome outcome = PT_OK;

	for (unsigned to = 1; outcome == PT_OK; to = !to, w->done++)
		outcome = move_slot(w, to);
	assert_int_equal(PT_WRONG_STATE, outcome);
	w->refused++;
	return NULL;
}

static enum pt_outcome run_dirty(struct worker *w, const struct pt_dirty_args *args)
{
	enum pt_outcome outcome;

	assert_int_equal(PT_OK, pt_dirty_init(&w->dirty, args, wake));
	STEP_TO_END(w, outcome, pt_dirty_step(&w->dirty, &w->agent, 1 + (uint32_t)below(w, 300)));
	return outcome;
}

/* A log outlives its context: what was told and what is left to count is no more than was written.
 */
static void *reader(void *arg)
{
	struct worker *w = arg;
	struct logged *l = w->l;
	struct pt_dirty_args stop = {.kind = PT_DIRTY_STOP, .log = &l->log};
	enum pt_outcome outcome = PT_OK;

	for (; outcome == PT_OK; w->done++) {
		struct pt_dirty_args args = get_args(l, below(w, 2), l->log.generation);

		outcome = run_dirty(w, &args);
		if (pt_ctx_closed(&l->c.ctx))
			break; /* a GET that clears nothing need not meet it */
	}
	assert_true(outcome == PT_OK || outcome == PT_WRONG_STATE);
	assert_int_equal(PT_OK, run_dirty(w, &stop));
	return NULL;
}

static void tear_down(struct logged *l)
{
	unsigned wanted = 0;
	enum pt_outcome outcome;

	for (unsigned i = 0; i < THREADS; i++)
		while (workers[i].done < WARM)
			sched_yield();
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&teardown, &l->c.ctx, wake));
	do {
		pt_section_begin(&l->c.agent);
		outcome = pt_txn_step(&teardown, &l->c.agent, 20);
		pt_section_end(&l->c.agent);
		if (outcome == PT_PARKED)
			wanted++;
		while (atomic_load(&teardown_woken) != wanted)
			sched_yield();
	} while (outcome == PT_MORE || outcome == PT_PARKED);
	ASSERT_OUTCOME(PT_OK, outcome);
	atomic_store(&registry, NULL);
}

static void start_threads(struct logged *l, uint64_t seed)
{
	static void *(*const what[])(void *) = {writer, faulter, mover, reader};

	memset(workers, 0, sizeof(workers));
	atomic_store(&teardown_woken, 0);
	atomic_store(&registry, &l->c.ctx);
	for (unsigned i = 0; i < 2; i++) {
		place[i] = calloc(1, sizeof(*place[i]) + sizeof(struct pt_slot));
		assert_non_null(place[i]);
		memcpy(place[i], l->slots, sizeof(*place[i]) + sizeof(struct pt_slot));
	}
	place[1]->slot[0].ipa += l->size;
	pt_ctx_set_slots(&l->c.ctx, place[0]);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.l = l, .seed = seed + 977 * i + 1, .vcpu = i};
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&l->c.tables.world, &workers[i].agent));
		pt_section_begin(&workers[i].agent);
		pt_machine_use(&l->c.machine, &workers[i].agent);
		pt_section_end(&workers[i].agent);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(0, pthread_create(&workers[i].thread, NULL, what[i], &workers[i]));
}

/* Everything is back: no table, no log, nobody who waits. */
static uint64_t end_threads(struct logged *l)
{
	uint64_t refused = 0;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(0, pthread_join(workers[i].thread, NULL));
	for (unsigned i = 0; i < THREADS; i++) { /* nobody else does anything while one leaves */
		while (pt_reclaim(&workers[i].agent))
			continue;
		pt_agent_leave(&workers[i].agent);
		refused += workers[i].refused;
		assert_int_equal(0, workers[i].left);
	}
	while (pt_reclaim(&l->c.agent))
		continue;
	assert_null(atomic_load(&l->c.ctx.dirty));
	assert_null(l->c.ctx.first);
	assert_int_equal(0, atomic_load(&l->c.ctx.table_pages));
	assert_int_equal(l->c.empty_bytes, atomic_load(&l->c.tables.world.pool.used_bytes));
	l->c.ctx.machine = NULL;
	for (unsigned i = 0; i < 2; i++)
		free(place[i]);
	return refused;
}

static void a_context_goes_under_everybody(void **state)
{
	uint64_t seed = core_seed(), refused = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct logged l;

		logged_open_on(&l, &shapes[round % SHAPES], dirty_modes[round & 1], 2);
		l.c.ctx.bbm = (uint8_t)(round % 3);
		core_note_options(&l.c.ctx);
		log_start(&l, round & 2, false);
		start_threads(&l, seed + 16 * round);
		tear_down(&l);
		refused += end_threads(&l);
		logged_close(&l);
	}
	assert_true(refused >= 2 * ROUNDS);
	print_message("refused %llu\n", (unsigned long long)refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_goes_under_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
