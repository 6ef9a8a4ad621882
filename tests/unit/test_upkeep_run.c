/* SPDX-License-Identifier: BSD-2-Clause */
/* Upkeep beside others: claims, waits, giving up, teardown, and what vCPUs may still see. Agents
 * are stepped by hand. */
#include "upkeep.h"

struct rig {
	struct core c;
	struct pt_agent other;
	struct pt_host_ram ram;
};

static void open_rig(struct rig *rig, const struct shape *shape, unsigned bbm)
{
	core_open_bytes(&rig->c, shape, UINT64_C(64) << 20, true);
	core_set_bbm(&rig->c, bbm);
	memset(&rig->other, 0, sizeof(rig->other));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&rig->c.tables.world, &rig->other));
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&rig->ram, UINT64_C(1) << 34));
	pt_section_begin(&rig->other);
	pt_machine_use(&rig->c.machine, &rig->other);
	pt_section_end(&rig->other);
}

static void close_rig(struct rig *rig)
{
	while (pt_reclaim(&rig->other))
		continue;
	pt_agent_leave(&rig->other);
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

	pt_section_begin(&rig->other);
	outcome = pt_host_access(&rig->other, &rig->c.ctx, &rig->ram, &a);
	pt_section_end(&rig->other);
	if (pa)
		*pa = a.pa.v;
	return outcome;
}

static void all_touch(struct rig *rig, uint64_t ipa, enum pt_access kind, enum pt_outcome want)
{
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		ASSERT_OUTCOME(want, touch(rig, vcpu, ipa, kind, NULL));
}

static uint64_t tlb_entries(struct rig *rig)
{
	uint64_t n = 0;

	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		n += pt_host_tlb_count(&rig->c.mmu, vcpu);
	return n;
}

/* T6: a page reported old is in no TLB, so the next access sets the flag. */
static void who_was_made_old_is_in_no_tlb(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct rig rig;
		struct pt_upkeep u;
		struct pt_upkeep_args args;
		uint64_t page, block;

		open_rig(&rig, &shapes[i], 0);
		page = core_size(&rig.c, 3);
		block = core_size(&rig.c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 40 * page, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, block, block, 0, PT_PROT_RW, 0));
		for (unsigned p = 0; p < 40; p++)
			all_touch(&rig, p * page, PT_ACCESS_READ, PT_OK);
		all_touch(&rig, 2 * block - page, PT_ACCESS_READ, PT_OK);
		args = upkeep_args(&rig.c, PT_UPKEEP_AGE, 3 * page, 2 * block - 3 * page);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u, args, 8));
		assert_int_equal(0, u.effects.tlbis);
		args.clear = true;
		ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u, args, 8));
		all_touch(&rig, 2 * page, PT_ACCESS_READ, PT_OK);
		for (unsigned p = 3; p < 40; p++)
			all_touch(&rig, p * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		all_touch(&rig, block + 7 * page, PT_ACCESS_READ, PT_NOT_MAPPED);
		close_rig(&rig);
	}
}

/* At each level of FEAT_BBM: afterwards no entry of the old size is left, and all pages are where
 * they were. */
static void a_change_of_size_is_flushed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned bbm = 0; bbm <= 2; bbm++) {
			struct rig rig;
			struct pt_upkeep u;
			uint64_t page, block, pa;

			open_rig(&rig, &shapes[i], bbm);
			page = core_size(&rig.c, 3);
			block = core_size(&rig.c, 2);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 4 * block, 0, PT_PROT_RW, 0));
			for (unsigned b = 0; b < 4; b++)
				all_touch(&rig, b * block + page, PT_ACCESS_READ, PT_OK);
			assert_true(tlb_entries(&rig) >= 16);
			ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u,
							 upkeep_args(&rig.c, PT_UPKEEP_SPLIT, 0,
								     4 * block),
							 100000));
			assert_int_equal(bbm == 1 ? 2 : 1, u.effects.tlbis);
			assert_int_equal(0, tlb_entries(&rig));
			for (unsigned b = 0; b < 4; b++)
				for (unsigned p = 0; p < 4; p++) {
					ASSERT_OUTCOME(PT_OK, touch(&rig, 0, b * block + p * page,
								    PT_ACCESS_READ, &pa));
					assert_int_equal(b * block + p * page, pa);
				}
			assert_true(tlb_entries(&rig) >= 16);
			ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u,
							 upkeep_args(&rig.c, PT_UPKEEP_COLLAPSE, 0,
								     4 * block),
							 100000));
			assert_int_equal(4, u.blocks_made);
			assert_int_equal(1, u.effects.tlbis);
			assert_int_equal(0, tlb_entries(&rig));
			ASSERT_OUTCOME(PT_OK,
				       touch(&rig, 1, 3 * block + page, PT_ACCESS_READ, &pa));
			assert_int_equal(3 * block + page, pa);
			close_rig(&rig);
		}
}

/* Neither nT nor anything else. */
static void there_and_back_leaves_nothing_behind(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned bbm = 0; bbm <= 2; bbm++) {
			struct rig rig;
			struct pt_upkeep u;
			struct pt_digest before;
			uint64_t block;

			open_rig(&rig, &shapes[i], bbm);
			block = core_size(&rig.c, 2);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 4 * block, 0, PT_PROT_RW, 0));
			before = core_digest_of(&rig.c);
			ASSERT_OUTCOME(
				PT_OK,
				upkeep_run(&rig.c, &u,
					   upkeep_args(&rig.c, PT_UPKEEP_SPLIT, 0, 4 * block), 1));
			assert_int_equal(4, u.effects.blocks_split);
			ASSERT_OUTCOME(PT_OK, upkeep_run(&rig.c, &u,
							 upkeep_args(&rig.c, PT_UPKEEP_COLLAPSE, 0,
								     4 * block),
							 1));
			assert_int_equal(before.state[0], core_digest_of(&rig.c).state[0]);
			assert_int_equal(before.state[1], core_digest_of(&rig.c).state[1]);
			close_rig(&rig);
		}
}

static struct rig *watched;
static unsigned wakes;
static uint64_t entries_at_wake;

static void note_wake(struct pt_waiter *waiter)
{
	(void)waiter;
	wakes++;
	entries_at_wake += tlb_entries(watched);
}

/* A fault above the cursor parks; when it is woken everything that it could meet is flushed. */
static void faults_go_on_behind_the_claim(void **state)
{
	static const enum pt_upkeep_kind kinds[] = {PT_UPKEEP_AGE, PT_UPKEEP_SPLIT,
						    PT_UPKEEP_COLLAPSE};

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned k = 0; k < 3; k++) {
			struct rig rig;
			struct pt_upkeep u;
			struct pt_upkeep_args args;
			struct pt_waiter low, high;
			uint64_t page, block, span;
			/* a table each */
			uint32_t budget = kinds[k] == PT_UPKEEP_COLLAPSE ? 6 : 1;

			open_rig(&rig, &shapes[i], 0);
			watched = &rig;
			wakes = 0;
			entries_at_wake = 0;
			page = core_size(&rig.c, 3);
			block = core_size(&rig.c, 2);
			span = 4 * block;
			ASSERT_OUTCOME(
				PT_MAPPED,
				core_map(&rig.c, 0, span, 0, PT_PROT_RW,
					 kinds[k] == PT_UPKEEP_COLLAPSE ? PT_MAP_FORCE_PAGES : 0));
			args = upkeep_args(&rig.c, kinds[k], 0, span);
			args.clear = kinds[k] == PT_UPKEEP_AGE;
			all_touch(&rig, 0, PT_ACCESS_READ, PT_OK);
			ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
			/* the other agent's section holds it back after the claim */
			pt_section_begin(&rig.other);
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, budget));
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, budget));
			assert_int_equal(0, u.next);
			pt_section_end(&rig.other);
			assert_true(pt_waiter_park(&low, &rig.c.ctx, 0, page - 1, note_wake));
			assert_true(pt_waiter_park(&high, &rig.c.ctx, span - page, span - 1,
						   note_wake));
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, budget));
			assert_int_equal(1, wakes);
			assert_int_equal(0, entries_at_wake);
			assert_int_equal(block, u.next);
			ASSERT_OUTCOME(PT_PARKED, core_point(&rig.c,
							     core_item(&rig.c, PT_ITEM_UNMAP,
								       u.next, page, 0, 0, 0),
							     NULL, NULL));
			for (unsigned n = 0; n < 2; n++)
				ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, budget));
			assert_int_equal(1, wakes);
			/* the last one ends the work, and waits for whom it may have misled */
			pt_section_begin(&rig.other);
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, budget));
			assert_int_equal(span, u.next);
			assert_int_equal(2, wakes);
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, budget));
			pt_section_end(&rig.other);
			ASSERT_OUTCOME(PT_OK, upkeep_step(&rig.c, &u, budget));
			ASSERT_OUTCOME(PT_OK, upkeep_step(&rig.c, &u, budget));
			close_rig(&rig);
		}
}

static void it_queues_and_can_be_stopped_anywhere(void **state)
{
	struct rig rig;
	struct pt_upkeep u;
	struct pt_upkeep_args args;
	struct pt_claim first;
	int level;

	(void)state;
	open_rig(&rig, &shapes[0], 0);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 8 * PT_SZ_2M, 0, PT_PROT_RW, 0));
	args = upkeep_args(&rig.c, PT_UPKEEP_SPLIT, 0, 8 * PT_SZ_2M);
	/* in the queue */
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&first, &rig.c.ctx, 0, 0xfff, PT_CLAIM_EXCLUSIVE,
					       false, NULL));
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
	ASSERT_OUTCOME(PT_PARKED, upkeep_step(&rig.c, &u, 1));
	ASSERT_OUTCOME(PT_PARKED, upkeep_step(&rig.c, &u, 1));
	assert_true(pt_upkeep_stop(&u, &rig.c.agent));
	ASSERT_OUTCOME(PT_CANCELLED, u.stopped);
	assert_int_equal(0, u.next);
	/* queued again, granted by the release */
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
	ASSERT_OUTCOME(PT_PARKED, upkeep_step(&rig.c, &u, 1));
	pt_claim_release(&first);
	ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1));
	assert_int_equal(1, u.effects.blocks_split);
	/* in the middle: the other's section may use what was flushed */
	pt_section_begin(&rig.other);
	ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1));
	assert_false(pt_upkeep_stop(&u, &rig.c.agent));
	assert_int_equal(0, atomic_load(&rig.c.ctx.claims));
	ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1));
	pt_section_end(&rig.other);
	ASSERT_OUTCOME(PT_OK, upkeep_step(&rig.c, &u, 1));
	ASSERT_OUTCOME(PT_CANCELLED, u.stopped);
	assert_int_equal(2 * PT_SZ_2M, u.next);
	upkeep_entry(&rig.c, PT_SZ_2M, &level);
	assert_int_equal(3, level);
	upkeep_entry(&rig.c, 2 * PT_SZ_2M, &level);
	assert_int_equal(2, level);
	assert_false(pt_upkeep_stop(&u, &rig.c.agent));
	/* while it drains */
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
	pt_section_begin(&rig.other);
	ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1));
	assert_true(pt_upkeep_stop(&u, &rig.c.agent));
	pt_section_end(&rig.other);
	assert_int_equal(0, atomic_load(&rig.c.ctx.claims));
	close_rig(&rig);
}

static void teardown_stops_it(void **state)
{
	struct rig rig;
	struct pt_upkeep u, late;
	struct pt_upkeep_args args;
	struct pt_txn txn;

	(void)state;
	open_rig(&rig, &shapes[0], 0);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 8 * PT_SZ_2M, 0, PT_PROT_RW, 0));
	args = upkeep_args(&rig.c, PT_UPKEEP_SPLIT, 0, 8 * PT_SZ_2M);
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
	ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1));
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &rig.c.ctx, NULL));
	ASSERT_OUTCOME(PT_PARKED, core_run(&txn, &rig.c.agent, 1000));
	ASSERT_OUTCOME(PT_OK, upkeep_step(&rig.c, &u, 1));
	ASSERT_OUTCOME(PT_WRONG_STATE, u.stopped);
	assert_int_equal(PT_SZ_2M, u.next);
	for (unsigned kind = PT_UPKEEP_AGE; kind <= PT_UPKEEP_SWEEP; kind++)
		for (unsigned clear = 0; clear <= (kind == PT_UPKEEP_AGE); clear++) {
			args = upkeep_args(&rig.c, kind, 0, PT_SZ_2M);
			args.clear = clear;
			ASSERT_OUTCOME(PT_WRONG_STATE, upkeep_run(&rig.c, &late, args, 1));
			assert_int_equal(0, late.next);
		}
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 1000));
	while (pt_reclaim(&rig.c.agent))
		continue;
	rig.c.ctx.machine = NULL;
	close_rig(&rig);
}

/* A block that came over an edge of the range between claim and drain: claimed again, as a whole.
 */
static void a_late_block_over_an_edge_is_claimed_as_a_whole(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned edge = 0; edge < 2; edge++)
			for (unsigned kind = PT_UPKEEP_AGE; kind <= PT_UPKEEP_SPLIT; kind++) {
				struct rig rig;
				struct pt_upkeep u;
				struct pt_upkeep_args args;
				uint64_t page, block;
				pt_pte *slot, leaf;
				int level;

				open_rig(&rig, &shapes[i], 0);
				page = core_size(&rig.c, 3);
				block = core_size(&rig.c, 2);
				ASSERT_OUTCOME(PT_MAPPED,
					       core_map(&rig.c, 0, 3 * block, 0, PT_PROT_RW, 0));
				slot = upkeep_slot(&rig.c, edge ? 2 * block : 0);
				leaf = *slot;
				core_poke(slot, 0);
				args = upkeep_args(&rig.c, kind, edge ? block : 2 * page,
						   block + (edge ? page : 0));
				args.clear = kind == PT_UPKEEP_AGE;
				ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
				pt_section_begin(&rig.other);
				ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1));
				core_poke(slot, leaf); /* the fault's CAS */
				pt_section_end(&rig.other);
				while (upkeep_step(&rig.c, &u, 100000) == PT_MORE)
					continue;
				ASSERT_OUTCOME(PT_OK, u.stopped);
				assert_true(u.wide);
				assert_int_equal(args.ipa.v + args.size, u.next);
				assert_int_equal(kind == PT_UPKEEP_SPLIT ? 2 : 0,
						 u.effects.blocks_split);
				leaf = upkeep_entry(&rig.c, edge ? 2 * block : 0, &level);
				assert_int_equal(kind == PT_UPKEEP_SPLIT ? 3 : 2, level);
				assert_int_equal(kind == PT_UPKEEP_SPLIT, !!(leaf & PT_PTE_AF));
				close_rig(&rig);
			}
}

/* A1: a table that a collapse or sweep unlinked is read by nobody when it is zeroed. */
static void tables_are_freed_after_the_sections_that_may_read_them(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned kind = PT_UPKEEP_COLLAPSE; kind <= PT_UPKEEP_SWEEP; kind++) {
			struct rig rig;
			struct pt_upkeep u;
			struct pt_upkeep_args args;
			uint64_t page, block;
			pt_pte *slot, before;

			open_rig(&rig, &shapes[i], 0);
			page = core_size(&rig.c, 3);
			block = core_size(&rig.c, 2);
			ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, block, 0, PT_PROT_RW,
							   PT_MAP_FORCE_PAGES));
			slot = upkeep_slot(&rig.c, 5 * page);
			if (kind == PT_UPKEEP_SWEEP)
				for (uint64_t p = 0; p < block; p += page)
					ASSERT_OUTCOME(PT_UNMAPPED,
						       core_point(&rig.c,
								  core_item(&rig.c, PT_ITEM_UNMAP,
									    p, page, 0, 0, 0),
								  NULL, NULL));
			before = *slot;
			args = upkeep_args(&rig.c, kind, 0, block);
			ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&u, &args, NULL));
			pt_section_begin(&rig.other);
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1000000));
			pt_section_end(&rig.other);
			pt_section_begin(&rig.other); /* began before the unlink */
			ASSERT_OUTCOME(PT_MORE, upkeep_step(&rig.c, &u, 1000000));
			assert_int_equal(1, u.effects.tables_freed);
			assert_true(pt_reclaim(&rig.c.agent)); /* it waits */
			assert_int_equal(before, *slot);
			pt_section_end(&rig.other);
			ASSERT_OUTCOME(PT_OK, upkeep_step(&rig.c, &u, 1));
			while (pt_reclaim(&rig.c.agent))
				continue;
			assert_int_equal(0, *slot);
			close_rig(&rig);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_made_old_is_in_no_tlb),
		cmocka_unit_test(a_change_of_size_is_flushed),
		cmocka_unit_test(there_and_back_leaves_nothing_behind),
		cmocka_unit_test(faults_go_on_behind_the_claim),
		cmocka_unit_test(it_queues_and_can_be_stopped_anywhere),
		cmocka_unit_test(teardown_stops_it),
		cmocka_unit_test(a_late_block_over_an_edge_is_claimed_as_a_whole),
		cmocka_unit_test(tables_are_freed_after_the_sections_that_may_read_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
