/* SPDX-License-Identifier: BSD-2-Clause */
/* Contiguous groups under upkeep, dirty logs and faults. */
#include "dirty_fixture.h"
#include "upkeep.h"

static const struct {
	int shape, level;
	unsigned n;
} places[] = {{0, 3, 16}, {0, 2, 16}, {1, 3, 128}, {1, 2, 32}, {2, 3, 32},
	      {3, 3, 16}, {3, 2, 16}, {4, 3, 128}, {5, 3, 32}};
#define PLACES (sizeof(places) / sizeof(places[0]))

/* One group at `at`, output as IPA. */
static uint64_t map_group(struct core *c, unsigned place, uint64_t at, uint64_t pa, uint32_t prot)
{
	uint64_t bytes = core_size(c, places[place].level) * places[place].n;
	uint32_t pages = places[place].level == 3 ? PT_MAP_FORCE_PAGES : 0;
	int level;

	ASSERT_OUTCOME(PT_MAPPED, core_map(c, at, bytes, pa, prot, PT_MAP_CONTIGUOUS | pages));
	assert_true(upkeep_entry(c, at, &level) & PT_PTE_CONTIGUOUS);
	return bytes;
}

static void age_takes_a_group_as_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t size, group, at, page;
		struct pt_upkeep_args args;
		struct pt_upkeep u;
		struct core c;
		int level;

		core_open(&c, &shapes[places[i].shape]);
		page = core_size(&c, 3);
		size = core_size(&c, places[i].level);
		at = 4 * size * places[i].n;
		group = map_group(&c, i, at, 0, PT_PROT_RW);
		for (unsigned k = 0; k < places[i].n; k++)
			if (k != 3)
				upkeep_poke(&c, at + k * size, PT_PTE_AF, 0);
		/* Young in one: young in all, whatever part is asked for. */
		args = upkeep_args(&c, PT_UPKEEP_AGE, at + size, page);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1000));
		assert_int_equal(1, u.young);
		args.clear = true;
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1000));
		assert_int_equal(1, u.young);
		assert_true(u.effects.tlbis > 0);
		for (unsigned k = 0; k < places[i].n; k++) {
			pt_pte e = upkeep_entry(&c, at + k * size, &level);

			assert_false(e & PT_PTE_AF);
			assert_true(e & PT_PTE_CONTIGUOUS);
		}
		args = upkeep_args(&c, PT_UPKEEP_AGE, at - page, group + 2 * page);
		args.clear = true;
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1000));
		assert_int_equal(0, u.young);
		assert_int_equal(group / page, u.old);
		assert_int_equal(2, u.effects.holes);
		assert_int_equal(0, u.effects.tlbis);
		core_close(&c);
	}
}

static void a_split_unfolds_the_group_first(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		for (unsigned bbm = 0; bbm < 3; bbm++) {
			uint64_t size, at;
			struct pt_upkeep u;
			struct core c;
			int level;

			if (places[i].level == 3)
				continue;
			core_open(&c, &shapes[places[i].shape]);
			core_set_bbm(&c, bbm);
			size = core_size(&c, places[i].level);
			at = 4 * size * places[i].n;
			map_group(&c, i, at, 0, PT_PROT_RW);
			ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u,
							 upkeep_args(&c, PT_UPKEEP_SPLIT, at + size,
								     2 * size),
							 1));
			assert_int_equal(2, u.effects.blocks_split);
			assert_false(upkeep_entry(&c, at, &level) & PT_PTE_CONTIGUOUS);
			assert_int_equal(places[i].level, level);
			assert_false(upkeep_entry(&c, at + size, &level) & PT_PTE_CONTIGUOUS);
			assert_int_equal(3, level);
			assert_int_equal(2 * size, core_walk(&c, at + 2 * size, HW_AT).pa);
			core_close(&c);
		}
	}
}

/* A log tells pages apart: it takes the hint off what it makes clean, and no map sets it there. */
static void a_log_has_no_groups(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		for (unsigned set = 0; set < 2; set++) {
			struct logged l;
			uint64_t at, n;
			int level;

			logged_open_on(&l, &shapes[i], dirty_modes[m], 2);
			at = l.base;
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&l.c, at, l.block, at + DIRTY_OFFSET, PT_PROT_RW,
						PT_MAP_CONTIGUOUS | PT_MAP_FORCE_PAGES));
			assert_true(upkeep_entry(&l.c, at, &level) & PT_PTE_CONTIGUOUS);
			ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, at, PT_ACCESS_WRITE, NULL));
			log_start(&l, false, set);
			n = log_get(&l, true);
			assert_int_equal(set ? l.size / l.page : 0, n);
			assert_false(upkeep_entry(&l.c, at, &level) & PT_PTE_CONTIGUOUS);
			/* One write, one page; the TLB has forgotten the group. */
			ASSERT_OUTCOME(PT_OK,
				       vcpu_touch(&l, 0, at + 5 * l.page, PT_ACCESS_WRITE, NULL));
			assert_int_equal(1, log_get(&l, true));
			assert_true(told(&l, at + 5 * l.page));
			ASSERT_OUTCOME(PT_MAPPED, core_map(&l.c, at + l.block, l.block,
							   at + l.block + DIRTY_OFFSET, PT_PROT_RW,
							   PT_MAP_CONTIGUOUS | PT_MAP_FORCE_PAGES));
			assert_false(upkeep_entry(&l.c, at + l.block, &level) & PT_PTE_CONTIGUOUS);
			log_stop(&l);
			logged_close(&l);
		}
	}
}

/* A block's worth of read-only pages in groups, in a slot that may be written. */
static void open_group(struct logged *l, const struct shape *shape)
{
	logged_open_on(l, shape, 0, 2);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&l->c, l->base, l->block, l->base + DIRTY_OFFSET,
					   PT_PROT_R, PT_MAP_CONTIGUOUS | PT_MAP_FORCE_PAGES));
}

/* A fault changes one entry. The right that a group lacks is told; its access flag is set in one.
 */
static void a_fault_leaves_a_group_to_a_range_operation(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_fault_result r;
		struct pt_item item;
		struct logged l;
		int level;

		open_group(&l, &shapes[i]);
		upkeep_poke(&l.c, l.base + l.page, PT_PTE_AF, 0);
		ASSERT_OUTCOME(PT_MADE_YOUNG, dirty_fault(&l, l.base + l.page, PT_ACCESS_READ, &r));
		ASSERT_OUTCOME(PT_DENIED, dirty_fault(&l, l.base + l.page, PT_ACCESS_WRITE, &r));
		assert_int_equal(PT_TODO_RELAX, r.todo.kind);
		assert_int_equal(l.base, r.todo.ipa.v);
		assert_true(r.todo.size > l.page && r.todo.size <= l.block);
		assert_int_equal(PT_PROT_RW, r.todo.prot);
		assert_false(core_walk(&l.c, l.base + l.page, HW_AT).write);
		item = core_item(&l.c, PT_ITEM_RELAX, r.todo.ipa.v, r.todo.size, 0, r.todo.prot, 0);
		ASSERT_OUTCOME(PT_RELAXED, core_range(&l.c, item, NULL));
		assert_true(upkeep_entry(&l.c, l.base, &level) & PT_PTE_CONTIGUOUS);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED,
			       dirty_fault(&l, l.base + l.page, PT_ACCESS_WRITE, &r));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + l.page, PT_ACCESS_WRITE, NULL));
		logged_close(&l);
	}
}

/* The slot ends in the group: what is told is its part of it, and the rest stays as it is. */
static void a_fault_in_a_group_beyond_its_slot(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_fault_result r;
		struct pt_item item;
		struct logged l;
		int level;

		open_group(&l, &shapes[i]);
		l.size = 3 * l.page;
		logged_set_slot(&l, 40, 0);
		ASSERT_OUTCOME(PT_DENIED, dirty_fault(&l, l.base + l.page, PT_ACCESS_WRITE, &r));
		assert_int_equal(PT_TODO_RELAX, r.todo.kind);
		assert_int_equal(l.base, r.todo.ipa.v);
		assert_int_equal(3 * l.page, r.todo.size);
		item = core_item(&l.c, PT_ITEM_RELAX, r.todo.ipa.v, r.todo.size, 0, r.todo.prot, 0);
		ASSERT_OUTCOME(PT_RELAXED, core_range(&l.c, item, NULL));
		assert_false(upkeep_entry(&l.c, l.base, &level) & PT_PTE_CONTIGUOUS);
		for (unsigned p = 0; p < 5; p++)
			assert_int_equal(p < 3, core_walk(&l.c, l.base + p * l.page, HW_AT).write);
		logged_close(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(age_takes_a_group_as_one),
		cmocka_unit_test(a_split_unfolds_the_group_first),
		cmocka_unit_test(a_log_has_no_groups),
		cmocka_unit_test(a_fault_leaves_a_group_to_a_range_operation),
		cmocka_unit_test(a_fault_in_a_group_beyond_its_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
