/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions that fail or end early: nothing changed, everything given back, the next call works.
 */
#include "sweep.h"

#if __STDC_HOSTED__
#include <pthread.h>
#endif

/* B15: maps, replaces, unmaps and protects that need tables, in each format. */
static void failing_each_reservation_changes_nothing(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_item items[4];
		struct core c;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 4 * block, 4 * block, 0, PT_PROT_RW, 0));
		items[0] = core_item(&c, PT_ITEM_MAP, 0, 3 * page, page, PT_PROT_R, 0);
		items[1] = core_item(&c, PT_ITEM_UNMAP, 4 * block + page, block, 0, 0, 0);
		items[2] = core_item(&c, PT_ITEM_PROTECT, 6 * block, page, 0, PT_PROT_R, 0);
		items[3] = core_item(&c, PT_ITEM_MAP, 7 * block, page, page, PT_PROT_R,
				     PT_MAP_REPLACE);
		/* one last-level table for the new pages (others are there), and four splits */
		assert_int_equal(5, sweep_txn(&c, items, 4));
		ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)items[0].outcome);
		ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)items[1].outcome);
		ASSERT_OUTCOME(PT_PROTECTED, (enum pt_outcome)items[2].outcome);
		ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)items[3].outcome);
		core_close(&c);
	}
}

static void a_batch_of_512_items_fails_at_every_reservation(void **unused)
{
	static struct pt_item items[512];
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	for (unsigned i = 0; i < 512; i++) /* four items share a table; they count it once */
		items[i] =
			core_item(&c, PT_ITEM_MAP, i * (PT_SZ_2M / 4), PT_SZ_4K, 0, PT_PROT_R, 0);
	assert_int_equal(1 + 128, sweep_txn(&c, items, 512));
	assert_int_equal(1 + 128, atomic_load(&c.ctx.table_pages));
	assert_int_equal(512, core_digest_of(&c).leaves[4]);
	core_close(&c);
}

static void quota_exhaustion_isolated(void **unused) /* B18 */
{
	struct sweep_state before;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	atomic_store(&c.ctx.quota_pages, 3);
	before = sweep_state_of(&c);
	ASSERT_OUTCOME(PT_QUOTA, core_map(&c, 0, 2 * PT_SZ_2M + PT_SZ_4K, 0x1000, PT_PROT_R, 0));
	sweep_unchanged(&c, &before);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 2 * PT_SZ_2M, 0x1000, PT_PROT_R, 0));
	assert_int_equal(3, atomic_load(&c.ctx.table_pages));
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, PT_SZ_1G));
	assert_int_equal(0, atomic_load(&c.ctx.table_pages));
	core_close(&c);
}

static void an_empty_pool_is_no_memory_and_recovers(void **unused)
{
	struct sweep_state before;
	struct core c;
	uint64_t size = 500 * PT_SZ_2M;

	(void)unused;
	core_open_bytes(&c, &shapes[0], PT_SZ_2M, false); /* 511 pages */
	before = sweep_state_of(&c);
	ASSERT_OUTCOME(PT_NO_MEMORY, core_map(&c, 0, 2 * size, 0, PT_PROT_R, PT_MAP_FORCE_PAGES));
	sweep_unchanged(&c, &before);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, size, 0, PT_PROT_R, PT_MAP_FORCE_PAGES));
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, PT_SZ_1G));
	assert_int_equal(before.used, atomic_load(&c.tables.world.pool.used_bytes));
	core_close(&c);
}

static void tables_stay_below_the_machines_pa_size(void **unused)
{
	static const struct shape small = {"4K",
					   {.granule_shift = 12, .ipa_bits = 32, .pa_bits = 32}};
	const uint64_t reach = PT_SZ_2M;
	struct pt_page page;
	struct pt_ctx other;
	uint64_t used;
	struct core c;

	(void)unused;
	core_open_machine(&c, 4 * reach, 32, false);
	/* the rest stands above what 32 bits can say */
	c.port.table_pa = (UINT64_C(1) << 32) - reach;
	core_open_context(&c, &small);
	do {
		ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&c.agent, 1u << 20, &page));
		c.empty_bytes += 1u << 20;
	} while (page.off < reach);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0x1000, PT_PROT_R, 0));
	pt_pool_flush_magazines(&c.agent);
	for (;;) {
		ASSERT_OUTCOME(PT_OK, pt_pool_get(&c.agent, 12, &page));
		c.empty_bytes += PT_SZ_4K;
		if (page.off > reach)
			break;
	}
	used = atomic_load(&c.tables.world.pool.used_bytes);
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_ctx_init(&other, &c.agent, &c.machine, &c.ctx.geo,
						 PT_ATTR_FWB, 0, UINT64_MAX));
	assert_int_equal(used, atomic_load(&c.tables.world.pool.used_bytes));
	ASSERT_OUTCOME(PT_NO_MEMORY, core_map(&c, PT_SZ_1G, PT_SZ_2M, 0x1000, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_NO_MEMORY,
		       core_point(&c, core_item(&c, PT_ITEM_MAP, PT_SZ_1G, 0x1000, 0, PT_PROT_R, 0),
				  NULL, NULL));
	core_close(&c);
}

static void batch_self_overlap(void **unused) /* B20 */
{
	struct pt_item items[3];
	struct pt_txn txn;
	struct sweep_state before;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	before = sweep_state_of(&c);
	for (unsigned i = 0; i < 3; i++)
		items[i] = core_item(&c, PT_ITEM_MAP, i * 0x2000, 0x2000, 0, PT_PROT_R, 0);
	items[1].size = 0x3000;
	ASSERT_OUTCOME(PT_INVALID, pt_txn_init(&txn, items, 3, 0, false, NULL));
	assert_int_equal(2, txn.error.index);
	items[1].ipa.v = 0x20000; /* not ascending */
	ASSERT_OUTCOME(PT_INVALID, pt_txn_init(&txn, items, 3, 0, false, NULL));
	ASSERT_OUTCOME(PT_INVALID, pt_txn_init(&txn, items, 0, 0, false, NULL));
	sweep_unchanged(&c, &before);
	core_close(&c);
}

static void a_failing_item_undoes_the_batch(void **unused)
{
	struct pt_item items[3];
	struct pt_txn txn;
	struct sweep_state before;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_1G, PT_SZ_4K, 0, PT_PROT_R, 0));
	before = sweep_state_of(&c);
	items[0] = core_item(&c, PT_ITEM_MAP, 0, 0x5000, 0, PT_PROT_R, 0);
	items[1] = core_item(&c, PT_ITEM_MAP, PT_SZ_1G - 0x2000, 0x4000, 0x1000, PT_PROT_R, 0);
	items[2] = core_item(&c, PT_ITEM_UNMAP, 2 * PT_SZ_1G, 0x5000, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, 3, 0, false, NULL));
	ASSERT_OUTCOME(PT_OVERLAP, core_run(&txn, &c.agent, 1));
	assert_int_equal(1, txn.error.index);
	assert_int_equal(PT_SZ_1G, txn.error.ipa.v);
	assert_int_equal(3, txn.error.level);
	sweep_unchanged(&c, &before);
	core_close(&c);
}

static void generations_guard_and_count(void **unused)
{
	struct pt_item item;
	struct pt_txn txn;
	struct sweep_state before;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	item = core_item(&c, PT_ITEM_MAP, 0, 0x5000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 1, false, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	assert_int_equal(2, txn.generation);
	before = sweep_state_of(&c);
	item = core_item(&c, PT_ITEM_UNMAP, 0, 0x5000, 0, 0, 0);
	for (unsigned dry = 0; dry < 2; dry++) {
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 1, dry, NULL));
		ASSERT_OUTCOME(PT_GENERATION_MISMATCH, core_run(&txn, &c.agent, 1000));
		sweep_unchanged(&c, &before);
	}
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 2, true, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	sweep_unchanged(&c, &before);
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)item.outcome);
	core_close(&c);
}

/* Gives up after each number of steps before the commit point. */
static void abort_before_the_commit_point_gives_all_back(void **unused)
{
	unsigned aborted = 0;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	for (unsigned steps = 0;; steps++) {
		struct pt_item item =
			core_item(&c, PT_ITEM_MAP, 0, 40 * PT_SZ_2M, 0x1000, PT_PROT_R, 0);
		struct sweep_state before = sweep_state_of(&c);
		struct pt_txn txn;

		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
		for (unsigned i = 0; i < steps; i++) {
			pt_section_begin(&c.agent);
			ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 4));
			pt_section_end(&c.agent);
		}
		if (!pt_txn_abort(&txn, &c.agent)) {
			assert_true(pt_txn_committed(&txn));
			ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 100));
			break;
		}
		sweep_unchanged(&c, &before);
		aborted++;
	}
	assert_true(aborted > 5);
	core_close(&c);
}

static void the_commit_point_publishes_slots(void **unused)
{
	struct pt_slots none = {.count = 0}, other = {.count = 0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	pt_ctx_set_slots(&c.ctx, &none);
	item = core_item(&c, PT_ITEM_UNMAP, 0, 0x5000, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 7, false, NULL));
	txn.publish = &other;
	ASSERT_OUTCOME(PT_GENERATION_MISMATCH, core_run(&txn, &c.agent, 1000));
	assert_ptr_equal(&none, pt_ctx_slots(&c.ctx));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	txn.publish = &other;
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	assert_ptr_equal(&other, pt_ctx_slots(&c.ctx));
	assert_ptr_equal(&none, txn.replaced);
	core_close(&c);
}

static void a_block_that_a_fault_puts_over_an_edge_widens_the_claim(void **unused)
{
	struct pt_agent b = {0};
	struct pt_item item, block;
	struct pt_effects fx = {0};
	struct pt_txn txn;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	item = core_item(&c, PT_ITEM_UNMAP, 0x5000, 0x2000, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1000));
	pt_section_end(&c.agent);
	assert_int_equal(0x5000, txn.claim.lo); /* nothing stood there to be rounded out to */
	/* B passed its check before the claim was there, and maps a block over it now. */
	atomic_store(&c.ctx.claims, 0);
	block = core_item(&c, PT_ITEM_MAP, 0, PT_SZ_2M, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_MAPPED, pt_point(&b, &block, &fx, NULL));
	atomic_store(&c.ctx.claims, 1);
	pt_section_end(&b);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	assert_true(txn.wide);
	assert_int_equal(1, txn.effects.blocks_split);
	assert_int_equal(HW_TRANSLATION, core_walk(&c, 0x6000, HW_READ).fault);
	assert_int_equal(HW_NO_FAULT, core_walk(&c, 0x7000, HW_READ).fault);
	assert_int_equal(0, atomic_load(&c.ctx.claims));
	pt_agent_leave(&b);
	core_close(&c);
}

static void a_claim_that_widens_waits_with_empty_hands(void **unused)
{
	struct pt_item items[2], block;
	struct pt_agent b = {0};
	struct pt_effects fx = {0};
	struct pt_claim above;
	struct pt_txn txn;
	uint64_t pages;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &b));
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	items[0] = core_item(&c, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);
	items[1] = core_item(&c, PT_ITEM_UNMAP, PT_SZ_1G + 0x1000, 0x1000, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, 2, 0, false, NULL));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1000));
	pt_section_end(&c.agent);
	/* B passed its check before the claim was there; and somebody claims what it maps. */
	atomic_store(&c.ctx.claims, 0);
	block = core_item(&c, PT_ITEM_MAP, PT_SZ_1G, PT_SZ_2M, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_MAPPED, pt_point(&b, &block, &fx, NULL));
	atomic_store(&c.ctx.claims, 1);
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&above, &c.ctx, PT_SZ_1G + 0x4000, PT_SZ_1G + 0x4fff,
					       PT_CLAIM_EXCLUSIVE, false, NULL));
	pt_section_end(&b);
	pages = atomic_load(&c.ctx.table_pages);
	ASSERT_OUTCOME(PT_PARKED, core_run(&txn, &c.agent, 1000));
	assert_true(txn.wide);
	assert_int_equal(0, txn.reserved.count);
	assert_int_equal(pages, atomic_load(&c.ctx.table_pages));
	pt_claim_release(&above);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	assert_int_equal(1, txn.effects.blocks_split);
	assert_int_equal(HW_TRANSLATION, core_walk(&c, PT_SZ_1G + 0x1000, HW_READ).fault);
	assert_int_equal(HW_NO_FAULT, core_walk(&c, 0, HW_READ).fault);
	pt_agent_leave(&b);
	core_close(&c);
}

static void a_failed_transaction_reports_no_effects(void **unused)
{
	const struct pt_effects none = {0};
	struct pt_item items[2];
	struct pt_txn txn;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x9000, 0x1000, 0, PT_PROT_R, 0));
	items[0] = core_item(&c, PT_ITEM_MAP, 0, 0x2000, 0, PT_PROT_R, 0);
	items[1] = core_item(&c, PT_ITEM_MAP, 0x8000, 0x2000, 0x8000, PT_PROT_R, 0);
	for (unsigned validate = 0; validate < 2; validate++) {
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, 2, 0, validate, NULL));
		ASSERT_OUTCOME(PT_OVERLAP, core_run(&txn, &c.agent, 1000));
		assert_memory_equal(&none, &txn.effects, sizeof(none));
	}
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, 1, 99, false, NULL));
	ASSERT_OUTCOME(PT_GENERATION_MISMATCH, core_run(&txn, &c.agent, 1000));
	assert_memory_equal(&none, &txn.effects, sizeof(none));
	core_close(&c);
}

#if __STDC_HOSTED__ /* a thread */
/* How often another agent meets it. Over the runtime checker both wait for its lock at every event,
 * and it has nothing to say of quotas: the plain run is the one that counts. */
#ifdef PT_CHECKED
#define MEETINGS 2000
#else
#define MEETINGS 20000
#endif

/* Asks for three pages of a quota that has two, again and again. */
struct greedy {
	struct core *c;
	struct pt_agent agent;
	_Atomic bool stop;
	unsigned other_than_quota;
};

static void *ask_for_too_much(void *arg)
{
	struct greedy *g = arg;

	while (!atomic_load(&g->stop)) {
		struct pt_item item = core_item(g->c, PT_ITEM_MAP, 2 * PT_SZ_1G + PT_SZ_2M - 0x1000,
						0x2000, 0, PT_PROT_R, 0);
		struct pt_txn txn;

		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
		g->other_than_quota += core_run(&txn, &g->agent, 1000) != PT_QUOTA;
	}
	return NULL;
}

static void a_refused_reservation_takes_no_quota_from_others(void **unused)
{
	struct greedy g = {0};
	pthread_t thread;
	struct core c;

	(void)unused;
	core_open(&c, &shapes[0]);
	g.c = &c;
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &g.agent));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_2M, PT_SZ_2M, 0, PT_PROT_R, 0));
	atomic_store(&c.ctx.quota_pages, atomic_load(&c.ctx.table_pages) + 2);
	assert_int_equal(0, pthread_create(&thread, NULL, ask_for_too_much, &g));
	for (unsigned i = 0; i < MEETINGS; i++) {
		struct pt_item page = core_item(&c, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);

		ASSERT_OUTCOME(PT_MAPPED, core_point(&c, page, NULL, NULL));
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, PT_SZ_2M));
	}
	atomic_store(&g.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(0, g.other_than_quota);
	while (pt_reclaim(&g.agent) || pt_reclaim(&c.agent))
		continue;
	pt_agent_leave(&g.agent);
	core_close(&c);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failing_each_reservation_changes_nothing),
		cmocka_unit_test(a_batch_of_512_items_fails_at_every_reservation),
		cmocka_unit_test(quota_exhaustion_isolated),
		cmocka_unit_test(an_empty_pool_is_no_memory_and_recovers),
		cmocka_unit_test(tables_stay_below_the_machines_pa_size),
		cmocka_unit_test(batch_self_overlap),
		cmocka_unit_test(a_failing_item_undoes_the_batch),
		cmocka_unit_test(generations_guard_and_count),
		cmocka_unit_test(abort_before_the_commit_point_gives_all_back),
		cmocka_unit_test(the_commit_point_publishes_slots),
		cmocka_unit_test(a_block_that_a_fault_puts_over_an_edge_widens_the_claim),
		cmocka_unit_test(a_claim_that_widens_waits_with_empty_hands),
		cmocka_unit_test(a_failed_transaction_reports_no_effects),
#if __STDC_HOSTED__
		cmocka_unit_test(a_refused_reservation_takes_no_quota_from_others),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
