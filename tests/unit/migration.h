/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A migration on threads: two write memory through their vCPUs, one changes the mappings all the
 * time, one asks what is dirty and copies it, and a fifth does what the test gives it. In the end
 * the copy is the memory: no write was lost.
 */
#ifndef TESTS_UNIT_MIGRATION_H
#define TESTS_UNIT_MIGRATION_H

#include <pthread.h>
#include <sched.h>

#include <pt/upkeep.h>

#include "dirty_fixture.h"
#include "stepping.h"

#define WRITERS 2
#define MOST	5 /* threads */
#define WORDS	4 /* of each page are written, and copied */
#define PAGES	96
#define CHANGES 300
#define COPIES	150

struct worker {
	struct logged *l;
	struct pt_agent agent;
	uint64_t seed, parked;
	_Atomic uint64_t done;
	uint32_t vcpu;
	struct pt_waiter waiter;
	struct pt_txn txn;
	struct pt_upkeep upkeep;
	struct pt_dirty dirty;
	_Atomic unsigned woken;
	unsigned wanted;
	pthread_t thread;
};

static struct worker workers[MOST];
static _Atomic unsigned writing;

/* The fifth thread, and how often it has to come round before the others end; NULL: there is none.
 */
static void *(*fifth)(void *);
static unsigned fifth_rounds;
/* The first page of which others than faults may make mappings; before it an access may find no
 * slot. */
static uint64_t settled_from;
static uint64_t copy[PAGES][WORDS];

static void wake(struct pt_waiter *waiter)
{
	for (unsigned i = 0; i < MOST; i++) {
		struct worker *w = &workers[i];

		if (waiter == &w->waiter || waiter == &w->txn.claim.waiter ||
		    waiter == &w->upkeep.claim.waiter || waiter == &w->dirty.claim.waiter)
			atomic_fetch_add(&w->woken, 1);
	}
}

static void await_wake(struct worker *w)
{
	w->wanted++;
	w->parked++;
	while (atomic_load(&w->woken) != w->wanted)
		sched_yield();
}

static uint64_t below(struct worker *w, uint64_t n)
{
	return core_random(&w->seed) % n;
}

/* The last pages of the first block and the first ones of the second, so that blocks are cut. */
static uint64_t page_ipa(const struct logged *l, uint64_t n)
{
	return l->base + l->block + n * l->page - PAGES / 2 * l->page;
}

static void write_word(struct worker *w)
{
	struct logged *l = w->l;
	uint64_t value = core_random(&w->seed);
	struct pt_host_access a = {.vcpu = w->vcpu,
				   .ipa = {page_ipa(l, below(w, PAGES)) + 8 * below(w, WORDS)},
				   .access = PT_ACCESS_WRITE,
				   .handle_faults = true,
				   .length = 8,
				   .data = &value};
	enum pt_outcome outcome;

	if (!below(w, 8))
		a.access = PT_ACCESS_READ;
	for (;;) {
		pt_section_begin(&w->agent);
		outcome = pt_host_access(&w->agent, &l->c.ctx, &l->ram, &a);
		pt_section_end(&w->agent);
		if (outcome == PT_OK ||
		    (outcome == PT_NO_SLOT && a.ipa.v < page_ipa(l, settled_from)))
			return;
		assert_true(outcome == PT_PARKED || outcome == PT_MORE);
		if (outcome == PT_PARKED &&
		    pt_waiter_park(&w->waiter, &l->c.ctx, a.ipa.v, a.ipa.v, wake))
			await_wake(w);
	}
}

static void *writer(void *arg)
{
	struct worker *w = arg;

	for (; workers[2].done < CHANGES || workers[3].done < COPIES ||
	       workers[4].done < fifth_rounds;
	     w->done++) {
		write_word(w);
		if (w->done % 64 == 0)
			sched_yield();
	}
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

static void run_txn(struct worker *w, struct pt_item *item)
{
	enum pt_outcome outcome;

	assert_int_equal(PT_OK, pt_txn_init(&w->txn, item, 1, 0, false, wake));
	STEP_TO_END(w, outcome, pt_txn_step(&w->txn, &w->agent, 1 + (uint32_t)below(w, 200)));
	assert_false(pt_is_error(outcome));
}

static void change_items(struct worker *w)
{
	static const uint32_t kinds[] = {PT_ITEM_UNMAP, PT_ITEM_PROTECT, PT_ITEM_WRITE_PROTECT,
					 PT_ITEM_RELAX, PT_ITEM_MAP};
	uint32_t kind = kinds[below(w, 5)];
	uint64_t from = kind == PT_ITEM_MAP ? settled_from : 0;
	uint64_t first = from + below(w, PAGES - from), pages = 1 + below(w, PAGES - first);
	struct pt_item item = {.ctx = &w->l->c.ctx, .ipa = {page_ipa(w->l, first)}, .kind = kind};
	struct pt_effects fx = {0};
	enum pt_outcome outcome = PT_MORE;
	struct pt_error err;

	if (below(w, 2))
		pages = 1;
	item.size = pages * w->l->page;
	if (item.kind == PT_ITEM_PROTECT || item.kind == PT_ITEM_RELAX || item.kind == PT_ITEM_MAP)
		item.prot = below(w, 2) ? PT_PROT_RW : PT_PROT_R;
	if (item.kind == PT_ITEM_MAP) {
		item.pa.v = item.ipa.v + DIRTY_OFFSET;
		item.flags = below(w, 2) ? PT_MAP_REPLACE : 0;
	}
	assert_int_equal(PT_OK, pt_item_check(&item));
	if (pages == 1) {
		pt_section_begin(&w->agent);
		outcome = pt_point(&w->agent, &item, &fx, &err);
		pt_section_end(&w->agent);
		assert_false(pt_is_error(outcome));
	}
	if (outcome == PT_MORE)
		run_txn(w, &item);
}

static void change_sizes(struct worker *w)
{
	static const uint32_t kinds[] = {PT_UPKEEP_AGE, PT_UPKEEP_SPLIT, PT_UPKEEP_COLLAPSE,
					 PT_UPKEEP_SWEEP};
	struct pt_upkeep_args args = {.ctx = &w->l->c.ctx,
				      .kind = kinds[below(w, 4)],
				      .ipa = {w->l->base},
				      .size = w->l->size};
	enum pt_outcome outcome;

	args.clear = args.kind == PT_UPKEEP_AGE;
	args.level = args.kind == PT_UPKEEP_SPLIT ? PT_LEVEL_LAST : 0;
	assert_int_equal(PT_OK, pt_upkeep_init(&w->upkeep, &args, wake));
	STEP_TO_END(w, outcome,
		    pt_upkeep_step(&w->upkeep, &w->agent, 1 + (uint32_t)below(w, 2000)));
	assert_false(pt_is_error(outcome));
}

static void *changer(void *arg)
{
	struct worker *w = arg;

	for (; atomic_load(&writing); w->done++) {
		if (below(w, 4))
			change_items(w);
		else
			change_sizes(w);
	}
	return NULL;
}

static enum pt_outcome run_dirty(struct worker *w, const struct pt_dirty_args *args, bool give_up)
{
	enum pt_outcome outcome;

	assert_int_equal(PT_OK, pt_dirty_init(&w->dirty, args, wake));
	do {
		pt_section_begin(&w->agent);
		outcome = pt_dirty_step(&w->dirty, &w->agent, 1 + (uint32_t)below(w, 300));
		if (give_up && outcome == PT_MORE && !below(w, 3) &&
		    pt_dirty_abort(&w->dirty, &w->agent))
			outcome = PT_CANCELLED;
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
		else if (outcome == PT_MORE) /* perhaps whom it waits for has no CPU */
			sched_yield();
	} while (outcome == PT_MORE || outcome == PT_PARKED);
	return outcome;
}

/* One round of the migration; whole: all of it, for certain. */
static void copy_dirty(struct worker *w, bool whole)
{
	struct logged *l = w->l;
	uint64_t first = whole ? 0 : below(w, PAGES);
	uint64_t pages = whole ? PAGES : 1 + below(w, PAGES - first);
	uint8_t bitmap[PAGES / 8 + 1] = {0};
	struct pt_dirty_args args = {.kind = PT_DIRTY_GET,
				     .log = &l->log,
				     .ipa = {page_ipa(l, first)},
				     .size = pages * l->page,
				     .clear = true,
				     .generation = l->log.generation,
				     .bitmap = bitmap};

	/* An answer may get lost. */
	if (!whole && !below(w, 8))
		args.generation--;
	if (run_dirty(w, &args, !whole) != PT_OK)
		return;
	for (uint64_t i = 0; i < pages; i++)
		if (bitmap[i / 8] >> i % 8 & 1)
			for (unsigned k = 0; k < WORDS; k++)
				pt_host_ram_read(&l->ram,
						 page_ipa(l, first + i) + DIRTY_OFFSET + 8 * k,
						 &copy[first + i][k], 8);
	w->done++;
}

static void *migrator(void *arg)
{
	struct worker *w = arg;

	while (atomic_load(&writing))
		copy_dirty(w, false);
	return NULL;
}

/* Of an open context whose log was started. */
static void migrate(struct logged *l, uint64_t seed)
{
	void *(*const what[MOST])(void *) = {writer, writer, changer, migrator, fifth};
	unsigned threads = fifth ? MOST : MOST - 1;
	uint64_t word;

	memset(workers, 0, sizeof(workers));
	memset(copy, 0, sizeof(copy));
	atomic_store(&writing, WRITERS);
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){.l = l, .seed = seed + i * 977 + 1, .vcpu = i};
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&l->c.tables.world, &workers[i].agent));
	}
	for (unsigned i = 0; i < threads; i++)
		assert_int_equal(0, pthread_create(&workers[i].thread, NULL, what[i], &workers[i]));
	for (unsigned i = 0; i < threads; i++)
		assert_int_equal(0, pthread_join(workers[i].thread, NULL));
	/* What a lost answer told is told again, wherever its range was. */
	l->log.given_up = true;
	copy_dirty(&workers[3], true);
	for (uint64_t p = 0; p < PAGES; p++)
		for (unsigned k = 0; k < WORDS; k++) {
			pt_host_ram_read(&l->ram, page_ipa(l, p) + DIRTY_OFFSET + 8 * k, &word, 8);
			if (word != copy[p][k])
				fail_msg("page %llu, word %u: a write was not told",
					 (unsigned long long)p, k);
		}
	for (unsigned i = 0; i < threads; i++) {
		while (pt_reclaim(&workers[i].agent))
			continue;
		pt_agent_leave(&workers[i].agent);
	}
	print_message("writes %llu, copies %llu, changes %llu, parked %llu\n",
		      (unsigned long long)(workers[0].done + workers[1].done),
		      (unsigned long long)workers[3].done, (unsigned long long)workers[2].done,
		      (unsigned long long)(workers[0].parked + workers[1].parked));
}

#endif
