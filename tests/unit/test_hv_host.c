/* SPDX-License-Identifier: BSD-2-Clause */
/* The host under its own stage-2: what its aborts fill, and what they never reach. */
#include "hv_fixture.h"

#define GIB (UINT64_C(1) << 30)

static struct pt_fault_result r;

static enum pt_outcome touch(struct el2 *e, uint64_t pa, enum pt_access access)
{
	r = (struct pt_fault_result){0};
	return fault_on(e, &e->board.agent, &e->hv.host.ctx, pa, access, &r);
}

static pt_pte entry_at(struct el2 *e, uint64_t pa, int *level)
{
	pt_pte entry;

	pt_section_begin(&e->board.agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&e->hv.host.ctx, pt_ipa(pa), &entry, level));
	pt_section_end(&e->board.agent);
	return entry;
}

/* The largest block that crosses neither a region's end nor what is EL2's. */
static void aborts_take_the_largest_block_that_crosses_no_border(void **state)
{
	static const struct {
		uint64_t pa;
		int level;
	} row[] = {
		{BOARD_LOW + 0x30000, 3},      /* beside the image */
		{BOARD_LOW + 0x1ff000, 3},     /* in its 2 MiB */
		{BOARD_LOW + 0x200000, 2},     /* the next ones */
		{BOARD_POOL - 0x200000, 2},    /* below the pool */
		{BOARD_POOL + BOARD_BYTES, 2}, /* above it */
		{BOARD_HIGH, 2},	       /* 16 MiB of memory in a GiB of devices */
		{0, 1},			       /* devices: all of the first GiB, */
		{3 * GIB, 1},		       /* and of the fourth */
		{BOARD_HIGH + BOARD_BYTES, 2},
	};
	struct el2 *e = el2_open();

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		pt_pte entry;
		int level;

		ASSERT_OUTCOME(PT_MAPPED, touch(e, row[i].pa, PT_ACCESS_WRITE));
		assert_int_equal(row[i].pa, r.pa.v);
		assert_int_equal(row[i].level, r.level);
		entry = entry_at(e, row[i].pa, &level);
		assert_true(pt_pte_is_leaf(entry, level));
		assert_int_equal(row[i].level, level);
		assert_int_equal(row[i].pa & ~(pt_level_size(&e->hv.host.ctx.geo, level) - 1),
				 pt_pte_to_oa(&e->hv.host.ctx.geo, entry).v);
	}
	el2_close(e);
}

static void what_is_el2s_is_never_mapped(void **state)
{
	static const uint64_t own[] = {BOARD_LOW, BOARD_LOW + 0x2f000, BOARD_POOL,
				       BOARD_POOL + BOARD_BYTES - 8};
	struct el2 *e = el2_open();

	(void)state;
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_LOW + 0x30000, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_POOL - 1, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_POOL + BOARD_BYTES, PT_ACCESS_READ));
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		for (enum pt_access a = PT_ACCESS_READ; a <= PT_ACCESS_EXEC; a++) {
			int level;

			ASSERT_OUTCOME(PT_NO_SLOT, touch(e, own[i], a));
			assert_false(pt_pte_valid(entry_at(e, own[i], &level)));
		}
	el2_close(e);
}

static void memory_is_executed_and_devices_are_not(void **state)
{
	struct el2 *e = el2_open();

	(void)state;
	ASSERT_OUTCOME(PT_MAPPED, touch(e, FREE_MEMORY, PT_ACCESS_EXEC));
	assert_int_equal(PT_PROT_RWX, r.prot);
	ASSERT_OUTCOME(PT_DENIED, touch(e, BOARD_UART, PT_ACCESS_EXEC));
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_UART, PT_ACCESS_WRITE));
	ASSERT_OUTCOME(PT_DENIED, touch(e, BOARD_UART, PT_ACCESS_EXEC));
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, touch(e, UINT64_C(1) << 40, PT_ACCESS_READ));
	el2_close(e);
}

/* The second CPU finds the first one's work, and does none. */
static void a_late_abort_finds_it_mapped(void **state)
{
	struct el2 *e = el2_open();
	uint64_t used;

	(void)state;
	ASSERT_OUTCOME(PT_MAPPED, touch(e, FREE_MEMORY, PT_ACCESS_WRITE));
	used = atomic_load(&e->board.world.pool.used_bytes);
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault_on(e, &e->other, &e->hv.host.ctx,
						   FREE_MEMORY + 0x1000, PT_ACCESS_WRITE, &r));
	assert_int_equal(FREE_MEMORY + 0x1000, r.pa.v);
	assert_int_equal(used, atomic_load(&e->board.world.pool.used_bytes));
	el2_close(e);
}

/* Takes what the pool still has, in one list. */
static void drain(struct el2 *e, struct pt_pages *all)
{
	struct pt_page page;

	*all = (struct pt_pages){0, 0};
	while (pt_pool_get(&e->board.agent, 12, &page) == PT_OK)
		pt_pages_push(&e->board.world.pool, all, page);
}

/* Table memory runs out: the tables of devices come back, and devices are mapped again when used.
 */
static void devices_give_their_tables_when_memory_runs_out(void **state)
{
	struct el2 *e = el2_open();
	struct pt_pages all;
	unsigned races = 0;
	enum pt_outcome outcome;
	int level;

	(void)state;
	/* A table for the GiB of low memory, none yet for its neighbour that has memory and
	 * devices. */
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_HIGH + BOARD_BYTES, PT_ACCESS_WRITE));
	drain(e, &all);
	while ((outcome = touch(e, FREE_MEMORY, PT_ACCESS_WRITE)) == PT_RACED)
		assert_in_range(++races, 1, 100);
	ASSERT_OUTCOME(PT_MAPPED, outcome);
	assert_in_range(races, 1, 100);
	assert_false(pt_pte_valid(entry_at(e, BOARD_HIGH + BOARD_BYTES, &level)));
	/* And now there is nothing left to give. */
	races = 0;
	while ((outcome = touch(e, BOARD_LOW + 0x30000, PT_ACCESS_WRITE)) == PT_RACED)
		assert_in_range(++races, 1, 100);
	ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
	pt_pool_give(&e->board.agent, 12, &all);
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_LOW + 0x30000, PT_ACCESS_WRITE));
	ASSERT_OUTCOME(PT_MAPPED, touch(e, BOARD_HIGH + BOARD_BYTES, PT_ACCESS_WRITE));
	el2_close(e);
}

/* As often as there are places, and each is free. */
static void a_context_that_cannot_be_made_takes_no_place(void **state)
{
	struct el2 *e = el2_open();
	struct pt_pages all;

	(void)state;
	drain(e, &all);
	for (unsigned i = 0; i <= PT_HV_CONTEXTS; i++)
		expect(-PT_NO_MEMORY, CALL(e, CREATE, VTCR_SMALL, UINT64_MAX));
	pt_pool_give(&e->board.agent, 12, &all);
	for (unsigned i = 0; i < PT_HV_CONTEXTS; i++)
		(void)create(e);
	el2_close(e);
}

/* The pieces of any layout: in order, apart, complete, and none of them EL2's. */
static void the_pieces_of_a_layout_fit(void **state)
{
	static const struct pt_hyp_region region[] = {{0x10000, 0x10000}, {0x40000, 0x8000}};
	static const struct pt_hyp_region own[] = {
		{0x10000, 0x1000}, {0x14000, 0x4000}, {0x47000, 0x1000}, {0x50000, 0x1000}};
	static const uint64_t want[][3] = {{0, 0x10000, 1},
					   {0x11000, 0x3000, 0},
					   {0x18000, 0x8000, 0},
					   {0x20000, 0x20000, 1},
					   {0x40000, 0x7000, 0},
					   {0x48000, 0x8000, 1},
					   {0x51000, (UINT64_C(1) << 32) - 0x51000, 1}};
	const struct pt_hyp_memory memory = {.region = region, .regions = 2};
	const struct pt_geometry_args args = {.granule_shift = 12, .ipa_bits = 32, .pa_bits = 32};
	struct pt_hv_host_slots room;
	struct pt_slots *s = pt_hv_table(&room);
	struct pt_geometry geo;

	(void)state;
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &args));
	ASSERT_OUTCOME(PT_INVALID, pt_hv_host_map(s, 6, &memory, own, 4, &geo));
	ASSERT_OUTCOME(PT_OK, pt_hv_host_map(s, 7, &memory, own, 4, &geo));
	assert_int_equal(7, s->count);
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(want[i][0], s->slot[i].ipa);
		assert_int_equal(want[i][0], s->slot[i].pa);
		assert_int_equal(want[i][1], s->slot[i].size);
		assert_int_equal(want[i][2] ? PT_SLOT_NO_EXEC : 0, s->slot[i].flags);
		assert_int_equal(21, s->slot[i].backing_shift);
	}
	ASSERT_OUTCOME(PT_OK, pt_hv_host_map(s, 7, &(struct pt_hyp_memory){0}, NULL, 0, &geo));
	assert_int_equal(1, s->count);
	assert_int_equal(UINT64_C(1) << 32, s->slot[0].size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aborts_take_the_largest_block_that_crosses_no_border),
		cmocka_unit_test(what_is_el2s_is_never_mapped),
		cmocka_unit_test(memory_is_executed_and_devices_are_not),
		cmocka_unit_test(a_late_abort_finds_it_mapped),
		cmocka_unit_test(devices_give_their_tables_when_memory_runs_out),
		cmocka_unit_test(a_context_that_cannot_be_made_takes_no_place),
		cmocka_unit_test(the_pieces_of_a_layout_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
