/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two agents fill shadows, two change canonical pages of their own: as a point and as a
 * transaction. When a change has been made, no shadow has what it took; for TSan, too.
 */
#include "nested_fixture.h"

#include <pthread.h>
#include <sched.h>

#define PAGE   UINT64_C(4096)
#define GIB    (UINT64_C(1) << 30)
#define PAGES  16u /* canonical; the nested address says which: its page modulo this */
#define NESTED 64u /* pages of a shadow */
/* The last is so far away that the tree of heads is higher while it has links. */
#define FAR    (PAGES - 1)
#ifdef PT_PORT_TSAN
#define ROUNDS 600u
#else
#define ROUNDS 3000u
#endif

static struct nest n;
static _Atomic uint32_t changing;
static _Atomic uint64_t wrong, filled;

struct worker {
	struct pt_agent agent;
	pthread_t thread;
	unsigned number;
	uint64_t seed;
};

static uint64_t canonical(uint64_t page)
{
	return page * PAGE + (page == FAR ? 4 * GIB : 0);
}

/* Does a shadow have a right of `prot` to the canonical page? */
static bool shadows_grant(uint64_t page, uint32_t prot)
{
	bool grants = false;

	for (unsigned i = 0; i < 2; i++)
		for (uint64_t at = page; at < NESTED; at += PAGES) {
			struct pt__at e;

			pt__descend(&n.shadow[i].ctx, at * PAGE, PT_LEVEL_LAST, 12, &e);
			grants |= pt_pte_valid(e.entry) &&
				  pt_leaf_prot(&n.shadow[i].ctx.geo, e.entry, PT_ATTR_FWB) & prot;
		}
	return grants;
}

static void *fills(void *arg)
{
	struct worker *w = arg;

	while (atomic_load(&changing)) {
		uint64_t at = core_random(&w->seed) % NESTED;
		struct pt_shadow *s = &n.shadow[core_random(&w->seed) % 2];
		enum pt_outcome outcome;

		pt_section_begin(&w->agent);
		outcome = nest_fill_in(&w->agent, nest_spot(s, at * PAGE, PT_LEVEL_LAST),
				       canonical(at % PAGES), PT_PROT_RWX);
		pt_section_end(&w->agent);
		if (outcome == PT_MAPPED)
			atomic_fetch_add(&filled, 1);
		else
			sched_yield();
		pt_reclaim(&w->agent);
	}
	return NULL;
}

static enum pt_outcome do_point(struct worker *w, struct pt_item *item)
{
	struct pt_effects fx = {0};
	enum pt_outcome outcome;

	do {
		pt_section_begin(&w->agent);
		outcome = pt_point(&w->agent, item, &fx, NULL);
		if (outcome == PT_UNMAPPED &&
		    shadows_grant(item->ipa.v / PAGE % PAGES, PT_PROT_RWX))
			atomic_fetch_add(&wrong, 1);
		pt_section_end(&w->agent);
		sched_yield();
	} while (outcome == PT_RACED);
	return outcome;
}

static void do_range(struct worker *w, struct pt_item item, uint32_t lost)
{
	enum pt_outcome outcome;
	struct pt_txn txn;

	if (pt_txn_init(&txn, &item, 1, 0, false, NULL) != PT_OK)
		atomic_fetch_add(&wrong, 1);
	do {
		pt_section_begin(&w->agent);
		outcome = pt_txn_step(&txn, &w->agent, 3);
		if (outcome == PT_OK && lost && shadows_grant(item.ipa.v / PAGE % PAGES, lost))
			atomic_fetch_add(&wrong, 1);
		pt_section_end(&w->agent);
		sched_yield();
	} while (outcome == PT_MORE);
	if (outcome != PT_OK)
		atomic_fetch_add(&wrong, 1);
}

/* Pages of even and of odd numbers: nobody else changes them. */
static void *changes(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t page = core_random(&w->seed) % PAGES / 2 * 2 + w->number % 2;
		struct pt_item unmap =
			core_item(&n.c, PT_ITEM_UNMAP, canonical(page), PAGE, 0, 0, 0);
		struct pt_item map = core_item(&n.c, PT_ITEM_MAP, canonical(page), PAGE,
					       GIB + page * PAGE, PT_PROT_RWX, 0);
		struct pt_item protect =
			core_item(&n.c, PT_ITEM_WRITE_PROTECT, canonical(page), PAGE, 0, 0, 0);

		if (w->number % 2)
			do_range(w, protect, PT_PROT_W);
		if (do_point(w, &unmap) != PT_UNMAPPED || do_point(w, &map) != PT_MAPPED)
			atomic_fetch_add(&wrong, 1);
		pt_reclaim(&w->agent);
	}
	atomic_fetch_sub(&changing, 1);
	return NULL;
}

static void changes_leave_nothing_behind(void **state)
{
	struct worker workers[4] = {0};
	uint64_t seed = core_seed();

	(void)state;
	nest_open(&n, &shapes[0], false);
	nest_shadow(&n, &shapes[0]);
	nest_shadow(&n, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&n.c, 0, FAR * PAGE, GIB, PT_PROT_RWX, PT_MAP_FORCE_PAGES));
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&n.c, canonical(FAR), PAGE, GIB + FAR * PAGE, PT_PROT_RWX, 0));
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, &n.shadow[0], 0, 0, PT_LEVEL_LAST, PT_PROT_RWX));
	atomic_store(&filled, 1);
	atomic_store(&changing, 2);
	for (unsigned i = 0; i < 4; i++) {
		workers[i].number = i;
		workers[i].seed = seed + 77 * i;
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&n.c.tables.world, &workers[i].agent));
		assert_int_equal(0, pthread_create(&workers[i].thread, NULL,
						   i < 2 ? changes : fills, &workers[i]));
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(0, pthread_join(workers[i].thread, NULL));
	for (unsigned i = 0; i < 4; i++) {
		while (pt_reclaim(&workers[i].agent))
			continue;
		pt_agent_leave(&workers[i].agent);
	}
	assert_int_equal(0, atomic_load(&wrong));
	assert_true(atomic_load(&filled) > ROUNDS / 10);
	assert_true(atomic_load(&n.nested.counts.killed) > ROUNDS / 10);
	assert_int_equal(atomic_load(&filled) - atomic_load(&n.nested.counts.killed),
			 nest_leaves(&n));
	nest_close(&n);
	assert_int_equal(0, atomic_load(&n.nested.store.bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
