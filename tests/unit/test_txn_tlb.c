/* SPDX-License-Identifier: BSD-2-Clause */
/* What vCPUs may still see after an operation: with TLBs that never evict on their own. */
#include "core.h"

struct rig {
	struct core c;
	struct pt_host_ram ram;
};

static void open_rig(struct rig *rig, const struct shape *shape)
{
	core_open_bytes(&rig->c, shape, UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&rig->ram, UINT64_C(1) << 34));
}

static void close_rig(struct rig *rig)
{
	core_close(&rig->c);
	pt_host_ram_destroy(&rig->ram);
}

static enum pt_outcome touch(struct rig *rig, uint32_t vcpu, uint64_t ipa, enum pt_access kind,
			     uint64_t *pa)
{
	uint64_t word = 0;
	struct pt_host_access a = {
		.vcpu = vcpu, .ipa = {ipa}, .access = (uint8_t)kind, .length = 8, .data = &word};
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = pt_host_access(&rig->c.agent, &rig->c.ctx, &rig->ram, &a);
	pt_section_end(&rig->c.agent);
	if (pa)
		*pa = a.pa.v;
	return outcome;
}

/* All vCPUs read each address; `want` PT_OK: they get there. */
static void all_touch(struct rig *rig, uint64_t ipa, enum pt_access kind, enum pt_outcome want)
{
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		ASSERT_OUTCOME(want, touch(rig, vcpu, ipa, kind, NULL));
}

static void unmap_leaves_no_tlb_entry(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct rig rig;
		uint64_t page, block;
		struct pt_item item;

		open_rig(&rig, &shapes[i]);
		page = core_size(&rig.c, 3);
		block = core_size(&rig.c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 8 * page, page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, block, 2 * block, 0, PT_PROT_RW, 0));
		for (unsigned p = 0; p < 8; p++)
			all_touch(&rig, p * page, PT_ACCESS_WRITE, PT_OK);
		all_touch(&rig, block, PT_ACCESS_READ, PT_OK);
		all_touch(&rig, 2 * block + page, PT_ACCESS_READ, PT_OK);
		/* a page by a point operation, pages and a block by transactions */
		item = core_item(&rig.c, PT_ITEM_UNMAP, 3 * page, page, 0, 0, 0);
		ASSERT_OUTCOME(PT_UNMAPPED, core_point(&rig.c, item, NULL, NULL));
		all_touch(&rig, 3 * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		all_touch(&rig, 2 * page, PT_ACCESS_READ, PT_OK);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, 5 * page, 2 * page));
		all_touch(&rig, 5 * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		all_touch(&rig, 6 * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, 0, block));
		for (unsigned p = 0; p < 8; p++)
			all_touch(&rig, p * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		item = core_item(&rig.c, PT_ITEM_UNMAP, block, block, 0, 0, 0);
		ASSERT_OUTCOME(PT_UNMAPPED, core_point(&rig.c, item, NULL, NULL));
		all_touch(&rig, block, PT_ACCESS_READ, PT_NOT_MAPPED);
		all_touch(&rig, 2 * block + page, PT_ACCESS_READ, PT_OK);
		close_rig(&rig);
	}
}

static void flush_covers_old_block(void **state) /* B2 */
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct rig rig;
		uint64_t page, block, pa;

		open_rig(&rig, &shapes[i]);
		page = core_size(&rig.c, 3);
		block = core_size(&rig.c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, block, block, 0, PT_PROT_RW, 0));
		/* The block is cached by an access far from what will be unmapped. */
		all_touch(&rig, block, PT_ACCESS_READ, PT_OK);
		all_touch(&rig, 2 * block - 8, PT_ACCESS_READ, PT_OK);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, block + 4 * page, page));
		all_touch(&rig, block + 4 * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		all_touch(&rig, block + 5 * page, PT_ACCESS_READ, PT_OK);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, block + 5 * page, page, 0, PT_PROT_RW,
						   PT_MAP_REPLACE));
		ASSERT_OUTCOME(PT_OK, touch(&rig, 0, block + 5 * page, PT_ACCESS_READ, &pa));
		assert_int_equal(0, pa);
		/* and a table's pages when a block takes its place */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&rig.c, block, block, block, PT_PROT_RW, PT_MAP_REPLACE));
		ASSERT_OUTCOME(PT_OK, touch(&rig, 0, block + 5 * page, PT_ACCESS_READ, &pa));
		assert_int_equal(block + 5 * page, pa);
		close_rig(&rig);
	}
}

static void tightening_is_flushed_and_relaxing_is_not(void **state)
{
	struct pt_effects fx;
	struct pt_item item;
	struct rig rig;

	(void)state;
	open_rig(&rig, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 0x8000, 0, PT_PROT_RW, 0));
	for (unsigned p = 0; p < 8; p++)
		all_touch(&rig, p * 0x1000, PT_ACCESS_WRITE, PT_OK);
	item = core_item(&rig.c, PT_ITEM_PROTECT, 0x1000, 0x1000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_PROTECTED, core_point(&rig.c, item, &fx, NULL));
	assert_int_equal(1, fx.tlbis);
	all_touch(&rig, 0x1000, PT_ACCESS_WRITE, PT_DENIED);
	item.prot = PT_PROT_RW;
	ASSERT_OUTCOME(PT_RELAXED, core_point(&rig.c, item, &fx, NULL));
	assert_int_equal(0, fx.tlbis);
	item = core_item(&rig.c, PT_ITEM_PROTECT, 0, 0x8000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_PROTECTED, core_range(&rig.c, item, &fx));
	assert_int_equal(1, fx.tlbis);
	for (unsigned p = 0; p < 8; p++)
		all_touch(&rig, p * 0x1000, PT_ACCESS_WRITE, PT_DENIED);
	close_rig(&rig);
}

static void ledger_merges_and_overflows_safely(void **state)
{
	struct pt_ledger ledger;
	struct rig rig;

	(void)state;
	open_rig(&rig, &shapes[0]);
	pt_ledger_init(&ledger, &rig.c.ctx);
	assert_int_equal(0, pt_ledger_discharge(&ledger));
	pt_ledger_add(&ledger, 0, 0xfff, 3, false);
	pt_ledger_add(&ledger, 0x1000, 0x1fff, 3, false);
	assert_int_equal(1, ledger.count);
	assert_int_equal(3, ledger.range[0].level);
	pt_ledger_add(&ledger, 0x2000, PT_SZ_2M - 1, 2, false);
	assert_int_equal(1, ledger.count);
	assert_int_equal(PT_TTL_UNKNOWN, ledger.range[0].level);
	assert_int_equal(1, pt_ledger_discharge(&ledger));
	/* Every page that was owed is gone, however many ranges there were. */
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 0x100000, 0, PT_PROT_R, 0));
	for (uint64_t ipa = 0; ipa < 0x100000; ipa += 0x2000)
		all_touch(&rig, ipa, PT_ACCESS_READ, PT_OK);
	for (uint64_t ipa = 0; ipa < 0x100000; ipa += 0x2000)
		pt_ledger_add(&ledger, ipa, ipa + 0xfff, 3, false);
	assert_int_equal(PT_LEDGER_RANGES, ledger.count);
	assert_int_equal(0xfefff, ledger.range[PT_LEDGER_RANGES - 1].hi);
	pt_ledger_add(&ledger, 0, 0xfff, 3, false); /* backwards: the VMID as a whole */
	assert_true(ledger.whole);
	assert_int_equal(1, pt_ledger_discharge(&ledger));
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		assert_int_equal(0, pt_host_tlb_count(&rig.c.mmu, vcpu));
	close_rig(&rig);
}

static void teardown_leaves_no_entry_of_the_vmid(void **state)
{
	struct pt_txn txn;
	struct rig rig;

	(void)state;
	open_rig(&rig, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 0x8000, 0, PT_PROT_RW, 0));
	all_touch(&rig, 0x3000, PT_ACCESS_READ, PT_OK);
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &rig.c.ctx, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 100));
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		assert_int_equal(0, pt_host_tlb_count(&rig.c.mmu, vcpu));
	rig.c.ctx.machine = NULL;
	close_rig(&rig);
}

/* A block's entry may be cached in any form: it goes when the block is split, even for a
 * relaxation. */
static void a_split_flushes_the_block(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct rig rig;
		uint64_t page, block;

		open_rig(&rig, &shapes[i]);
		page = core_size(&rig.c, 3);
		block = core_size(&rig.c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, block, block, 0, PT_PROT_R, 0));
		all_touch(&rig, 2 * block - page, PT_ACCESS_READ, PT_OK);
		ASSERT_OUTCOME(PT_RELAXED, core_protect(&rig.c, block + page, page, PT_PROT_RW));
		for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
			assert_int_equal(0, pt_host_tlb_count(&rig.c.mmu, vcpu));
		close_rig(&rig);
	}
}

static void a_replaced_leaf_is_flushed(void **state)
{
	struct pt_item item;
	struct rig rig;
	uint64_t pa;

	(void)state;
	open_rig(&rig, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 0x4000, 0, PT_PROT_R, 0));
	all_touch(&rig, 0x1000, PT_ACCESS_READ, PT_OK);
	item = core_item(&rig.c, PT_ITEM_MAP, 0x1000, 0x1000, 0x7000, PT_PROT_R, PT_MAP_REPLACE);
	ASSERT_OUTCOME(PT_MAPPED, core_point(&rig.c, item, NULL, NULL));
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++) {
		ASSERT_OUTCOME(PT_OK, touch(&rig, vcpu, 0x1000, PT_ACCESS_READ, &pa));
		assert_int_equal(0x7000, pa);
	}
	close_rig(&rig);
}

static void annotating_leaves_no_tlb_entry(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct rig rig;
		uint64_t page, block;
		struct pt_item item;

		open_rig(&rig, &shapes[i]);
		page = core_size(&rig.c, 3);
		block = core_size(&rig.c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 2 * block, 0, PT_PROT_R, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 2 * block, 4 * page, 0, PT_PROT_R, 0));
		all_touch(&rig, block - page, PT_ACCESS_READ, PT_OK);
		all_touch(&rig, block, PT_ACCESS_READ, PT_OK);
		all_touch(&rig, 2 * block, PT_ACCESS_READ, PT_OK);
		all_touch(&rig, 2 * block + page, PT_ACCESS_READ, PT_OK);
		item = core_item(&rig.c, PT_ITEM_ANNOTATE, block - page, block + 2 * page,
				 UINT64_C(2) << 60, 0, 0);
		ASSERT_OUTCOME(PT_ANNOTATED, core_range(&rig.c, item, NULL));
		item.ipa.v = 2 * block + page;
		item.size = page;
		ASSERT_OUTCOME(PT_ANNOTATED, core_point(&rig.c, item, NULL, NULL));
		for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
			assert_int_equal(0, pt_host_tlb_count(&rig.c.mmu, vcpu));
		close_rig(&rig);
	}
}

static struct rig *watched;
static unsigned wakes, entries_at_wake;

static void count_entries(struct pt_waiter *waiter)
{
	(void)waiter;
	wakes++;
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		entries_at_wake += pt_host_tlb_count(&watched->c.mmu, vcpu);
}

/* Who waited for the part that a claim lets go of finds no translation from before it. */
static void what_a_claim_lets_go_of_is_flushed(void **state)
{
	struct pt_waiter waiter;
	struct pt_item item;
	struct pt_txn txn;
	struct rig rig;

	(void)state;
	open_rig(&rig, &shapes[0]);
	watched = &rig;
	wakes = entries_at_wake = 0;
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&rig.c, 0, 4 * PT_SZ_2M, 0, PT_PROT_R, PT_MAP_FORCE_PAGES));
	all_touch(&rig, 0, PT_ACCESS_READ, PT_OK);
	item = core_item(&rig.c, PT_ITEM_UNMAP, 0, 4 * PT_SZ_2M, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	for (bool parked = false; !wakes;) {
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &rig.c.agent, 1));
		pt_section_end(&rig.c.agent);
		if (!parked)
			assert_true(pt_waiter_park(&waiter, &rig.c.ctx, 0, 0xfff, count_entries));
		parked = true;
	}
	assert_int_equal(0, entries_at_wake);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 100));
	close_rig(&rig);
}

/* V1: entries may outlive the leaves they came from, so a VMID is flushed whatever the tables hold.
 */
static void an_empty_context_gives_its_vmid_back_flushed(void **state)
{
	struct pt_txn txn;
	struct rig rig;

	(void)state;
	open_rig(&rig, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &rig.c.ctx, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 100));
	assert_int_equal(1, txn.effects.tlbis);
	assert_int_equal(1, atomic_load(&rig.c.mmu.generation));
	rig.c.ctx.machine = NULL;
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmap_leaves_no_tlb_entry),
		cmocka_unit_test(flush_covers_old_block),
		cmocka_unit_test(tightening_is_flushed_and_relaxing_is_not),
		cmocka_unit_test(ledger_merges_and_overflows_safely),
		cmocka_unit_test(teardown_leaves_no_entry_of_the_vmid),
		cmocka_unit_test(a_split_flushes_the_block),
		cmocka_unit_test(a_replaced_leaf_is_flushed),
		cmocka_unit_test(annotating_leaves_no_tlb_entry),
		cmocka_unit_test(what_a_claim_lets_go_of_is_flushed),
		cmocka_unit_test(an_empty_context_gives_its_vmid_back_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
