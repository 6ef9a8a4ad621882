/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows: how they are found, made, used and ended. */
#include "guest_fixture.h"

#include "../../lib/nested/internal.h"

static struct guest g;
static struct pt_shadow more[GUEST_SHADOWS + 1];

static struct pt_shadow *find(struct pt_shadow_key key)
{
	struct pt_shadow *s = NULL;

	return pt_shadow_find(&g.nested, &key, &s) == PT_OK ? s : NULL;
}

static struct pt_shadow_key key_with(uint64_t vttbr, uint64_t vtcr, bool enabled)
{
	return (struct pt_shadow_key){.vttbr = vttbr, .vtcr = vtcr, .enabled = enabled};
}

static void found_by_all_that_counts_and_nothing_else(void **state)
{
	const uint64_t cnp = 1, other = UINT64_C(1) << 20, vmid = UINT64_C(1) << 48;
	uint64_t vttbr, vtcr;

	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	vttbr = g.key.vttbr;
	vtcr = g.key.vtcr;
	assert_ptr_equal(&g.shadow, find(g.key));
	assert_ptr_equal(&g.shadow, find(key_with(vttbr | cnp, vtcr, true)));
	assert_null(find(key_with(vttbr + other, vtcr, true)));
	assert_null(find(key_with(vttbr + vmid, vtcr, true)));
	assert_null(find(key_with(vttbr, vtcr ^ UINT64_C(1) << 21, true)));
	assert_null(find(key_with(vttbr, vtcr, false)));
	guest_end(&g, &g.shadow, 100);
	assert_null(find(g.key));
	guest_close(&g);
}

/* The same tables, read in the other byte order or by FWB's types, are another shadow's; a TLBI of
 * the VMID is about all of them. */
static void registers_that_read_the_tables_count(void **state)
{
	const uint64_t fwb = UINT64_C(1) << 46, ee = UINT64_C(1) << 25;
	const struct pt_guest_tlbi all = {.scope = PT_GUEST_TLBI_VMID};
	struct pt_guest_regs regs;
	struct pt_guest_tlbi_op op;
	struct pt_shadow_key big;

	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	memset(more, 0, sizeof(more));
	regs = g.regs;
	regs.vttbr |= 1; /* CnP */
	regs.hcr = 1;
	assert_ptr_equal(&g.shadow, find(pt_shadow_key_of(&regs)));
	regs.hcr = 1 | fwb; /* which it was not told of */
	assert_ptr_equal(&g.shadow, find(pt_shadow_key_of(&regs)));
	regs.attrs = PT_ATTR_FWB;
	assert_null(find(pt_shadow_key_of(&regs)));
	regs.hcr = fwb;
	assert_null(find(pt_shadow_key_of(&regs))); /* stage 2 off */
	g.regs.sctlr = ee;
	g.regs.hcr = 1;
	big = pt_shadow_key_of(&g.regs);
	assert_null(find(big));
	g.key = big;
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &more[0]));
	assert_ptr_equal(&more[0], find(big));
	assert_true(more[0].s2.big_endian && !g.shadow.s2.big_endian);
	pt_guest_tlbi_begin(&op, &g.nested, g.shadow.s2.vmid, &all);
	(void)pt_guest_tlbi_step(&op, &g.c.agent, 1000);
	assert_int_equal(2, op.shadows);
	guest_end(&g, &more[0], 100);
	assert_null(find(big));
	g.regs.sctlr = 0;
	assert_ptr_equal(&g.shadow, find(pt_shadow_key_of(&g.regs)));
	guest_end(&g, &g.shadow, 100);
	guest_close(&g);
}

/* HCR_EL2.VM clear: IPAs are canonical ones, whatever the tables' registers say; VMIDs of 8 bits
 * have no more. */
static void with_stage_2_off_the_vmid_alone_counts(void **state)
{
	const uint64_t vs = UINT64_C(1) << 19, top = UINT64_C(0x100) << 48;

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	g.key.enabled = false;
	g.regs.vtcr |= UINT64_C(1) << 38; /* D128, of stage 2 that is off */
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	assert_ptr_equal(&g.shadow, find(g.key));
	assert_ptr_equal(&g.shadow, find(key_with(g.key.vttbr + 0x5000, 0, false)));
	assert_ptr_equal(&g.shadow, find(key_with(g.key.vttbr + top, 0, false)));
	assert_null(find(key_with(g.key.vttbr + top, vs, false)));
	assert_null(find(key_with(g.key.vttbr + (UINT64_C(1) << 48), 0, false)));
	assert_null(find(key_with(g.key.vttbr, g.key.vtcr, true)));
	guest_end(&g, &g.shadow, 100);
	guest_close(&g);
}

static void chains_of_one_bucket_lose_any_of_theirs(void **state)
{
	(void)state;
	for (unsigned gone = 0; gone < 3; gone++) {
		struct pt_shadow_key key[3];

		guest_open_bare(&g, &shapes[0], 12, false);
		memset(more, 0, sizeof(more));
		for (unsigned i = 0; i < 3; i++) {
			guest_registers(&g, 12, (uint16_t)(1 + 8 * i), 0);
			key[i] = g.key;
			ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &more[i]));
			assert_int_equal(1 + 8 * i, more[i].s2.vmid);
		}
		guest_end(&g, &more[gone], 100);
		for (unsigned i = 0; i < 3; i++)
			assert_ptr_equal(i == gone ? NULL : &more[i], find(key[i]));
		for (unsigned i = 0; i < 3; i++)
			if (i != gone)
				guest_end(&g, &more[i], 100);
		guest_close(&g);
	}
}

static void refused_with_nothing_changed(void **state)
{
	uint64_t used;

	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	memset(more, 0, sizeof(more));
	used = atomic_load(&g.c.tables.world.pool.used_bytes);
	ASSERT_OUTCOME(PT_ALREADY_EXISTS, guest_shadow(&g, &more[0]));
	guest_registers(&g, 12, 6, 0);
	g.regs.attrs = PT_ATTR_XNX; /* the canonical context has none */
	ASSERT_OUTCOME(PT_UNSUPPORTED, guest_shadow(&g, &more[0]));
	g.regs.attrs = 0;
	g.regs.vtcr |= UINT64_C(1) << 36; /* S2PIE */
	ASSERT_OUTCOME(PT_UNSUPPORTED, guest_shadow(&g, &more[0]));
	g.regs.vtcr = g.key.vtcr;
	for (unsigned i = 1; i < GUEST_SHADOWS; i++) {
		guest_registers(&g, 12, (uint16_t)(6 + i), 0);
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &more[i]));
	}
	guest_registers(&g, 12, 60, 0);
	ASSERT_OUTCOME(PT_QUOTA, guest_shadow(&g, &more[GUEST_SHADOWS]));
	assert_int_equal(PT_SHADOW_NONE, atomic_load(&more[GUEST_SHADOWS].state));
	assert_int_equal(GUEST_SHADOWS, atomic_load(&g.nested.live));
	for (unsigned i = 1; i < GUEST_SHADOWS; i++)
		guest_end(&g, &more[i], 100);
	while (pt_reclaim(&g.c.agent))
		continue;
	assert_int_equal(used, atomic_load(&g.c.tables.world.pool.used_bytes));
	guest_end(&g, &g.shadow, 100);
	guest_close(&g);
}

static void sizes_of_nested_are_checked(void **state)
{
	const struct pt_guest_memory memory = {guest_load, guest_swap, &g};
	struct pt_nested n;

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	ASSERT_OUTCOME(PT_INVALID, pt_nested_init(&n, &g.c.ctx, &memory, g.bucket, 0, g.number, 4,
						  UINT64_MAX, 0));
	ASSERT_OUTCOME(PT_INVALID, pt_nested_init(&n, &g.c.ctx, &memory, g.bucket, 6, g.number, 4,
						  UINT64_MAX, 0));
	ASSERT_OUTCOME(PT_INVALID, pt_nested_init(&n, &g.c.ctx, &memory, g.bucket, 8, g.number, 0,
						  UINT64_MAX, 0));
	ASSERT_OUTCOME(PT_INVALID, pt_nested_init(&n, &g.c.ctx, &memory, g.bucket, 8, g.number,
						  UINT32_C(1) << 20, UINT64_MAX, 0));
	guest_close(&g);
}

/* Each pair of granules: the smaller one; the guest's IPA size. */
static void geometry_is_of_the_smaller_granule(void **state)
{
	static const unsigned shift[3] = {12, 14, 16};

	(void)state;
	for (unsigned host = 0; host < 3; host++)
		for (unsigned guest = 0; guest < 3; guest++) {
			guest_open(&g, &shapes[host], shift[guest], false);
			assert_int_equal(shift[guest < host ? guest : host],
					 g.shadow.ctx.geo.granule_shift);
			assert_int_equal(GUEST_BITS, g.shadow.ctx.geo.ipa_bits);
			assert_int_equal(PT_ATTR_FWB, g.shadow.ctx.attrs);
			assert_int_equal(3u << PT_PROT_SW_SHIFT,
					 pt_ctx_sw_of(&g.shadow.ctx, PT_SW_GUEST_LEVEL));
			guest_end(&g, &g.shadow, 100);
			guest_close(&g);
		}
}

static void the_oldest_that_nobody_runs_is_recycled(void **state)
{
	struct pt_shadow_end end;

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	memset(more, 0, sizeof(more));
	assert_null(pt_shadow_oldest(&g.nested));
	for (unsigned i = 0; i < 3; i++) {
		guest_registers(&g, 12, (uint16_t)(1 + i), 0);
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &more[i]));
	}
	assert_ptr_equal(&more[0], pt_shadow_oldest(&g.nested));
	ASSERT_OUTCOME(PT_OK, pt_shadow_use(&more[0]));
	ASSERT_OUTCOME(PT_OK, pt_shadow_use(&more[1]));
	assert_ptr_equal(&more[2], pt_shadow_oldest(&g.nested));
	pt_shadow_unuse(&more[0]);
	assert_ptr_equal(&more[2], pt_shadow_oldest(&g.nested));
	ASSERT_OUTCOME(PT_OK, pt_shadow_use(&more[2]));
	assert_ptr_equal(&more[0], pt_shadow_oldest(&g.nested));
	ASSERT_OUTCOME(PT_BUSY, pt_shadow_end_begin(&end, &more[1], NULL));
	assert_int_equal(PT_SHADOW_LIVE, atomic_load(&more[1].state));
	ASSERT_OUTCOME(PT_OK, pt_shadow_use(&more[1]));
	pt_shadow_unuse(&more[1]);
	pt_shadow_unuse(&more[1]);
	pt_shadow_unuse(&more[2]);
	for (unsigned i = 0; i < 3; i++)
		guest_end(&g, &more[i], 100);
	guest_close(&g);
}

static void one_that_is_going_is_nobodys(void **state)
{
	struct pt_shadow_end end, again;
	enum pt_outcome outcome;

	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	memset(more, 0, sizeof(more));
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, 0, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, &g.shadow, NULL));
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_shadow_end_begin(&again, &g.shadow, NULL));
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_shadow_use(&g.shadow));
	ASSERT_OUTCOME(PT_NOT_FOUND, guest_fault(&g, 0x1000, PT_ACCESS_READ));
	assert_null(find(g.key));
	assert_null(pt_shadow_oldest(&g.nested));
	/* Another one of the same key may be there at once. */
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &more[0]));
	assert_ptr_equal(&more[0], find(g.key));
	do {
		pt_section_begin(&g.c.agent);
		outcome = pt_shadow_end_step(&end, &g.c.agent, 1);
		pt_section_end(&g.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_ptr_equal(&more[0], find(g.key));
	guest_end(&g, &more[0], 100);
	assert_int_equal(2, atomic_load(&g.nested.counts.recycled));
	guest_close(&g);
}

/* An end waits for the sections that may still fill, then for those that may still unlink what they
 * broke, and then for those that may still look. */
static void the_end_waits_for_sections(void **state)
{
	struct pt_shadow_end end;
	struct pt_agent other;
	bool had_leaf;

	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	memset(&other, 0, sizeof(other));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&g.c.tables.world, &other));
	pt_section_begin(&other);
	pt_machine_use(&g.c.machine, &other);
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, 0, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, &g.shadow, NULL));
	for (unsigned phase = 0; phase < 3; phase++) {
		for (unsigned i = 0; i < 20; i++) {
			pt_section_begin(&g.c.agent);
			ASSERT_OUTCOME(PT_MORE, pt_shadow_end_step(&end, &g.c.agent, 1000));
			pt_section_end(&g.c.agent);
		}
		had_leaf = guest_walk(&g, 0, HW_READ).fault == HW_NO_FAULT;
		assert_int_equal(phase == 0, had_leaf);
		assert_int_equal(phase < 2, atomic_load(&g.number[0]) != NULL);
		pt_section_end(&other);
		pt_section_begin(&g.c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_shadow_end_step(&end, &g.c.agent, 1000));
		pt_section_end(&g.c.agent);
		pt_section_begin(&other); /* before the next wait begins */
		pt_machine_use(&g.c.machine, &other);
	}
	pt_section_end(&other);
	for (enum pt_outcome o = PT_MORE; o == PT_MORE;) {
		pt_section_begin(&g.c.agent);
		o = pt_shadow_end_step(&end, &g.c.agent, 1000);
		pt_section_end(&g.c.agent);
	}
	pt_agent_leave(&other);
	guest_close(&g);
}

static void step_end(struct pt_shadow_end *end, unsigned steps)
{
	while (steps--) {
		pt_section_begin(&g.c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_shadow_end_step(end, &g.c.agent, 1000));
		pt_section_end(&g.c.agent);
	}
}

/* A leaf that another has broken stays in its page's list until that one ends. As long as it does,
 * whoever reads the list finds the shadow by its number. */
static void a_number_is_kept_as_long_as_a_list_names_it(void **state)
{
	struct pt__found found[PT_SHADOW_LINKS];
	struct pt__kills kills = {0};
	struct pt_shadow_end end;
	struct pt_agent other;
	enum pt_outcome o;
	uint64_t head;

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, 12);
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	memset(&other, 0, sizeof(other));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&g.c.tables.world, &other));
	guest_map(&g, 0, 0x5000, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, 0, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, &g.shadow, NULL));
	step_end(&end, 1); /* nobody fills any more */
	pt_section_begin(&other);
	pt_machine_use(&g.c.machine, &other);
	kills.agent = &other;
	assert_true(pt__kill(&kills, (struct pt__spot){&g.shadow, pt_ipa(0), 12, 3}, 0x5000));
	step_end(&end, 20);
	assert_ptr_equal(&g.shadow, atomic_load(&g.number[0]));
	pt_section_begin(&g.c.agent);
	assert_int_equal(1, pt__links_collect(&g.nested, 0, 0x5000, found, &head));
	pt_section_end(&g.c.agent);
	assert_ptr_equal(&g.shadow, found[0].spot.shadow);
	pt__kills_finish(&kills);
	pt_section_end(&other);
	do {
		pt_section_begin(&g.c.agent);
		o = pt_shadow_end_step(&end, &g.c.agent, 1000);
		pt_section_end(&g.c.agent);
	} while (o == PT_MORE);
	ASSERT_OUTCOME(PT_OK, o);
	pt_agent_leave(&other);
	guest_close(&g);
}

/* Leaves of each size and from each part of the space, in steps of any size; nothing is left, in
 * tables, links, TLBs or pool. */
static void the_end_takes_every_leaf(void **state)
{
	static const uint32_t budgets[] = {1, 3, 100000};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t last = (UINT64_C(1) << GUEST_BITS) - 0x1000;
		unsigned steps;

		guest_open(&g, &shapes[0], 12, true);
		guest_map(&g, 0, 0, 1, GUEST_RWX);
		guest_map(&g, UINT64_C(1) << 30, UINT64_C(1) << 30, 2, GUEST_RWX);
		guest_map(&g, UINT64_C(5) << 30, UINT64_C(3) << 30, 3, GUEST_RWX);
		guest_map(&g, last, 0x5000, 3, GUEST_RWX);
		ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, 0, PT_ACCESS_READ));
		ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, UINT64_C(1) << 30, PT_ACCESS_READ));
		ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, UINT64_C(5) << 30, PT_ACCESS_READ));
		ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, last, PT_ACCESS_READ));
		assert_int_equal(4, pt_nested_fills(&g.nested));
		steps = guest_end(&g, &g.shadow, budgets[i]);
		if (budgets[i] == 1)
			assert_true(steps > 1000); /* an entry each */
		for (unsigned level = 0; level < PT_LEVELS; level++)
			assert_int_equal(0, atomic_load(&g.shadow.leaves[level]));
		guest_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_all_that_counts_and_nothing_else),
		cmocka_unit_test(registers_that_read_the_tables_count),
		cmocka_unit_test(with_stage_2_off_the_vmid_alone_counts),
		cmocka_unit_test(chains_of_one_bucket_lose_any_of_theirs),
		cmocka_unit_test(refused_with_nothing_changed),
		cmocka_unit_test(sizes_of_nested_are_checked),
		cmocka_unit_test(geometry_is_of_the_smaller_granule),
		cmocka_unit_test(the_oldest_that_nobody_runs_is_recycled),
		cmocka_unit_test(one_that_is_going_is_nobodys),
		cmocka_unit_test(the_end_waits_for_sections),
		cmocka_unit_test(a_number_is_kept_as_long_as_a_list_names_it),
		cmocka_unit_test(the_end_takes_every_leaf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
