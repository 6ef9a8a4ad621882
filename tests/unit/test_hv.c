/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls, a step at a time: contexts, ranges, slots, operations that others carry on. */
#include "hv_fixture.h"

#define PAGES UINT64_C(4096) /* of a long operation: 16 MiB */
#define RW    PT_PROT_RW
#define PAGED ((uint64_t)PT_MAP_FORCE_PAGES << 32)

static void versions_and_numbers(void **state)
{
	struct el2 *e = el2_open();
	struct answer a = CALL(e, VERSION, 0);

	(void)state;
	expect(PT_OK, a);
	assert_int_equal(PT_HVC_ABI, a.x[0]);
	assert_int_equal(UINT64_C(7) | 40 << 16, a.x[1] & 0xffffff);
	expect(PT_HVC_NO_FUNCTION, call_on(e, &e->board.agent, PT_HV_HOST, PT_HVC(PT_HVC_COUNT),
					   (const uint64_t[5]){0}));
	expect(PT_HVC_NO_FUNCTION,
	       call_on(e, &e->board.agent, PT_HV_HOST, 0, (const uint64_t[5]){0}));
	expect(PT_HVC_NO_FUNCTION,
	       call_on(e, &e->board.agent, PT_HV_HOST, UINT32_MAX, (const uint64_t[5]){0}));
	el2_close(e);
}

static void a_guest_may_ask_for_nothing_but_the_version(void **state)
{
	struct el2 *e = el2_open();
	uint64_t handle = create(e), x[6] = {PT_HVC(PT_HVC_EXIT), 1, 2, 3};

	(void)state;
	for (uint32_t f = 0; f < PT_HVC_COUNT; f++) {
		if (f == PT_HVC_EXIT)
			continue;
		expect(f == PT_HVC_VERSION ? PT_OK : PT_HVC_NO_FUNCTION,
		       call_on(e, &e->board.agent, PT_HV_GUEST, PT_HVC(f),
			       (const uint64_t[5]){handle, 0, PT_SZ_4K, FREE_MEMORY, RW}));
	}
	assert_int_equal(PT_HV_EXIT, pt_hv_call(&e->hv, &e->board.agent, PT_HV_GUEST, x));
	assert_int_equal(2, x[2]);
	expect(PT_HVC_NO_FUNCTION, CALL(e, EXIT, 1));
	assert_int_equal(0, leaf_of(e, handle, 0));
	el2_close(e);
}

/* Transitions, and the life of guests. */
static void a_machine_without_owners_has_no_calls_of_theirs(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);

	(void)state;
	for (uint32_t f = PT_HVC_SHARE_HYP; f < PT_HVC_COUNT; f++)
		expect(PT_HVC_NO_FUNCTION,
		       call_on(e, &e->board.agent, PT_HV_HOST, PT_HVC(f),
			       (const uint64_t[5]){f < PT_HVC_SHARE_GUEST ? FREE_MEMORY : g,
						   PT_SZ_4K, PT_SZ_4K, FREE_MEMORY, 0}));
	assert_false(CALL(e, VERSION, 0).x[1] & PT_HV_OWNING);
	el2_close(e);
}

static void a_page_is_mapped_protected_and_unmapped(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e), h = create(e);
	struct answer a;

	(void)state;
	a = CALL(e, MAP, g, 0x1000, PT_SZ_4K, FREE_MEMORY, RW);
	expect(PT_MAPPED, a);
	assert_int_equal(1, a.x[0]);
	assert_int_equal(FREE_MEMORY, leaf_of(e, g, 0x1000) & UINT64_C(0xfffffffff000));
	assert_int_equal(0, leaf_of(e, h, 0x1000));
	expect(PT_ALREADY_MAPPED, CALL(e, MAP, g, 0x1000, PT_SZ_4K, FREE_MEMORY, RW));
	a = CALL(e, MAP, g, 0x1000, PT_SZ_4K, FREE_MEMORY + PT_SZ_4K, RW);
	expect(-PT_OVERLAP, a);
	assert_int_equal(0x1000, a.x[0]);
	assert_int_equal(3, a.x[1]);
	expect(PT_PROTECTED, CALL(e, PROTECT, g, 0x1000, PT_SZ_4K, PT_PROT_R));
	assert_false(leaf_of(e, g, 0x1000) & PT_PTE_S2AP_W);
	a = CALL(e, UNMAP, g, 0x1000, PT_SZ_4K);
	expect(PT_UNMAPPED, a);
	assert_int_equal(1, a.x[1]);
	expect(PT_HOLE, CALL(e, UNMAP, g, 0x1000, PT_SZ_4K));
	el2_close(e);
}

static uint64_t leaves(struct el2 *e, uint64_t handle)
{
	struct pt_ctx *ctx = &e->hv.guest[handle & 0xff].ctx;
	struct pt_digest d;

	pt_digest_begin(&d, ctx);
	pt_section_begin(&e->board.agent);
	pt_machine_use(&e->hv.machine, &e->board.agent);
	ASSERT_OUTCOME(PT_OK, pt_digest_step(&d, 1 << 20));
	pt_section_end(&e->board.agent);
	return d.leaves[PT_LEVEL_LAST + 1];
}

/* Every call holds its CPU for no more than PT_HVC_STEP entries. */
static void a_long_operation_goes_on_in_steps(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e), before = 0, now;
	struct answer a = CALL(e, MAP, g, 0, PAGES << 12, FREE_MEMORY, RW | PAGED);
	uint64_t handle = a.x[0];

	(void)state;
	for (unsigned calls = 1; a.code == PT_MORE; calls++, before = now) {
		assert_int_equal(handle, a.x[0]);
		now = leaves(e, g);
		assert_in_range(now - before, 0, PT_HVC_STEP);
		assert_in_range(calls, 1, 64);
		a = CALL(e, CONTINUE, handle);
	}
	expect(PT_MAPPED, a);
	assert_int_equal(PAGES, a.x[0]);
	assert_int_equal(PAGES, leaves(e, g));
	expect(-PT_REPLY_GONE, CALL(e, CONTINUE, handle));
	el2_close(e);
}

/* The host never continues; a guest's CPU that faults behind the claim does it. */
static void who_meets_a_claim_carries_it_on(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e), last = (PAGES - 1) << 12;
	struct pt_fault_result r;
	enum pt_outcome outcome = PT_RACED;
	struct answer a;
	struct pt_ctx *ctx;

	(void)state;
	expect(PT_OK, CALL(e, SET_SLOT, g, 0, PAGES << 12, FREE_MEMORY, 12 << 8));
	a = CALL(e, MAP, g, 0, PAGES << 12, FREE_MEMORY, RW | PAGED);
	expect(PT_MORE, a);
	ASSERT_OUTCOME(PT_OK, pt_hv_enter(&e->hv, &e->other, g, &ctx));
	for (unsigned i = 0; outcome == PT_RACED; i++) {
		assert_true(i < 64);
		outcome = fault_on(e, &e->other, ctx, last, PT_ACCESS_WRITE, &r);
		assert_false(pt_in_section(&e->other));
	}
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, outcome);
	assert_int_equal(FREE_MEMORY + last, r.pa.v);
	pt_hv_leave(&e->hv, &e->other, ctx);
	a = CALL(e, CONTINUE, a.x[0]);
	assert_true(a.code == PT_MAPPED || a.code == PT_MORE);
	expect(PT_MAPPED, finish(e, a));
	el2_close(e);
}

/* Two operations of one range, the second never continued after its begin. */
static void claims_pass_in_order_whoever_steps(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);
	struct answer first = CALL(e, MAP, g, 0, PAGES << 12, FREE_MEMORY, RW | PAGED);
	struct answer second = CALL(e, UNMAP, g, 0, PAGES << 12);

	(void)state;
	expect(PT_MORE, first);
	expect(PT_MORE, second);
	expect(PT_MAPPED, finish(e, CALL(e, MAP, g, (PAGES - 1) << 12, PT_SZ_4K, FREE_MEMORY, RW)));
	assert_int_equal(1, leaves(e, g));
	expect(PT_MAPPED, finish(e, CALL(e, CONTINUE, first.x[0])));
	second = finish(e, CALL(e, CONTINUE, second.x[0]));
	expect(PT_UNMAPPED, second);
	assert_int_equal(PAGES, second.x[1]);
	el2_close(e);
}

static void answers_that_nobody_fetches_make_room(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g[PT_HV_OPS], last = (PAGES - 1) << 12;
	struct answer first = {0}, a;

	(void)state;
	for (unsigned i = PT_HV_OPS; i--; first = a) {
		g[i] = create(e);
		a = CALL(e, MAP, g[i], 0, PAGES << 12, FREE_MEMORY, RW | PAGED);
		expect(PT_MORE, a);
	}
	expect(-PT_BUSY, CALL(e, UNMAP, g[1], 0, PAGES << 12));
	expect(-PT_BUSY, CALL(e, DESTROY, g[1]));
	expect(-PT_BUSY, CALL(e, SET_SLOT, g[1], 0, PT_SZ_4K, FREE_MEMORY, 12 << 8));
	do /* which carries the first on */
		a = CALL(e, FAULT, g[0], last, PT_ACCESS_READ);
	while (a.code == PT_RACED);
	expect(PT_ALREADY_MAPPED, a);
	expect(PT_MORE, CALL(e, UNMAP, g[1], 0, PAGES << 12));
	expect(-PT_REPLY_GONE, CALL(e, CONTINUE, first.x[0]));
	expect(-PT_BUSY, CALL(e, SET_SLOT, g[1], 0, PT_SZ_4K, FREE_MEMORY, 12 << 8));
	el2_close(e);
}

static void contexts_end_and_their_handles_with_them(void **state)
{
	struct el2 *e = el2_open();
	uint64_t empty = atomic_load(&e->board.world.pool.used_bytes), g = create(e), h;
	struct pt_ctx *ctx;
	struct answer a;

	(void)state;
	expect(PT_MAPPED, finish(e, CALL(e, MAP, g, 0, PAGES << 12, FREE_MEMORY, RW | PAGED)));
	ASSERT_OUTCOME(PT_OK, pt_hv_enter(&e->hv, &e->other, g, &ctx));
	assert_int_equal(1, pt_ctx_vmid(ctx));
	expect(-PT_BUSY, CALL(e, DESTROY, g));
	assert_int_not_equal(0, leaf_of(e, g, 0));
	pt_hv_leave(&e->hv, &e->other, ctx);
	a = CALL(e, MAP, g, PAGES << 12, PAGES << 12, FREE_MEMORY, RW | PAGED);
	expect(PT_MORE, a); /* under way when the end begins */
	expect(PT_OK, finish(e, CALL(e, DESTROY, g)));
	assert_true(CALL(e, CONTINUE, a.x[0]).code != PT_MORE);
	expect(-PT_NOT_FOUND, CALL(e, DESTROY, g));
	expect(-PT_NOT_FOUND, CALL(e, LEAF, g, 0));
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_hv_enter(&e->hv, &e->other, g, &ctx));
	assert_int_equal(empty, atomic_load(&e->board.world.pool.used_bytes));
	h = create(e); /* the same place */
	assert_int_equal(g & 0xff, h & 0xff);
	assert_int_not_equal(g, h);
	expect(-PT_NOT_FOUND, CALL(e, MAP, g, 0, PT_SZ_4K, FREE_MEMORY, RW));
	assert_int_equal(0, leaf_of(e, h, 0));
	el2_close(e);
}

/* No CPU runs the host while numbers roll over: each comes back to it under the number it had. */
static void the_hosts_number_stays_while_guests_run(void **state)
{
	struct el2 *e = el2_open();
	const struct pt_vmids *vmids = &e->hv.machine.vmids;
	uint16_t hosts = pt_ctx_vmid(&e->hv.host.ctx);
	struct pt_ctx *ctx;

	(void)state;
	assert_int_not_equal(0, hosts);
	while (!vmids->rollovers) {
		uint64_t g = create(e);

		ASSERT_OUTCOME(PT_OK, pt_hv_enter(&e->hv, &e->board.agent, g, &ctx));
		assert_int_not_equal(hosts, pt_ctx_vmid(ctx));
		assert_int_equal(hosts, pt_ctx_vmid(&e->hv.host.ctx));
		pt_hv_leave(&e->hv, &e->board.agent, ctx);
		expect(PT_OK, finish(e, CALL(e, DESTROY, g)));
	}
	assert_int_equal(hosts, pt_ctx_vmid(&e->hv.host.ctx));
	el2_close(e);
}

/* A section held them up when they were retired. */
static void pages_are_back_when_a_call_has_answered(void **state)
{
	struct el2 *e = el2_open();
	uint64_t before = atomic_load(&e->board.world.pool.used_bytes);
	struct pt_pages list = {0, 0};
	struct pt_page page;

	(void)state;
	pt_section_begin(&e->other);
	pt_section_begin(&e->board.agent);
	ASSERT_OUTCOME(PT_OK, pt_pool_get(&e->board.agent, 12, &page));
	pt_pages_push(&e->board.world.pool, &list, page);
	pt_retire(&e->board.agent, 12, &list);
	pt_section_end(&e->board.agent);
	assert_int_equal(before + PT_SZ_4K, atomic_load(&e->board.world.pool.used_bytes));
	pt_section_end(&e->other);
	assert_int_equal(before + PT_SZ_4K, atomic_load(&e->board.world.pool.used_bytes));
	expect(PT_OK, CALL(e, VERSION, 0));
	assert_int_equal(before, atomic_load(&e->board.world.pool.used_bytes));
	el2_close(e);
}

static void places_of_contexts_run_out(void **state)
{
	struct el2 *e = el2_open();
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < PT_HV_CONTEXTS; i++)
		last = create(e);
	expect(-PT_TOO_LARGE, CALL(e, CREATE, VTCR_SMALL, UINT64_MAX));
	expect(PT_OK, finish(e, CALL(e, DESTROY, last)));
	(void)create(e);
	el2_close(e);
}

static void slots_are_set_and_deleted(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);
	struct answer a;

	(void)state;
	expect(PT_NO_SLOT, CALL(e, FAULT, g, 0x201000, PT_ACCESS_READ));
	expect(PT_OK, CALL(e, SET_SLOT, g, 0x200000, 0x200000, FREE_MEMORY, 12 << 8));
	a = CALL(e, FAULT, g, 0x201008, PT_ACCESS_READ);
	expect(PT_MAPPED, a);
	assert_int_equal(FREE_MEMORY + 0x1008, a.x[0]);
	assert_int_equal(3, a.x[1]);
	expect(PT_ALREADY_MAPPED, CALL(e, FAULT, g, 0x201000, PT_ACCESS_WRITE));
	expect(-PT_SLOT_OVERLAP, CALL(e, SET_SLOT, g, 0x3ff000, PT_SZ_4K, FREE_MEMORY, 12 << 8));
	expect(-PT_NOT_FOUND, CALL(e, DELETE_SLOT, g, 0x200000, 0x100000));
	expect(PT_OK, finish(e, CALL(e, SET_SLOT, g, 0x400000, 0x200000, FREE_MEMORY,
				     21 << 8 | PT_SLOT_READ_ONLY)));
	expect(PT_READ_ONLY, CALL(e, FAULT, g, 0x400000, PT_ACCESS_WRITE));
	expect(PT_MAPPED, CALL(e, FAULT, g, 0x400000, PT_ACCESS_READ));
	expect(PT_OK, finish(e, CALL(e, DELETE_SLOT, g, 0x200000, 0x200000)));
	assert_int_equal(0, leaf_of(e, g, 0x201000));
	assert_int_not_equal(0, leaf_of(e, g, 0x400000));
	expect(PT_NO_SLOT, CALL(e, FAULT, g, 0x201000, PT_ACCESS_READ));
	for (unsigned i = 1; i < PT_HV_SLOTS; i++)
		expect(PT_OK, finish(e, CALL(e, SET_SLOT, g, UINT64_C(0x1000000) - (i << 12),
					     PT_SZ_4K, FREE_MEMORY, 12 << 8)));
	expect(-PT_TOO_LARGE, CALL(e, SET_SLOT, g, 0, PT_SZ_4K, FREE_MEMORY, 12 << 8));
	expect(PT_MAPPED, CALL(e, FAULT, g, 0xfff000, PT_ACCESS_READ));
	el2_close(e);
}

/* XNX: a fetch needs the right of the level that makes it, and no other. */
static void a_fetch_is_of_a_level(void **state)
{
	static const uint64_t right[] = {PT_PROT_PX, PT_PROT_UX}, level[] = {0, PT_HVC_EL0};
	struct el2 *e = el2_open();
	uint64_t g = create(e);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		expect(PT_MAPPED,
		       CALL(e, MAP, g, i << 12, PT_SZ_4K, FREE_MEMORY, PT_PROT_R | right[i]));
		expect(PT_ALREADY_MAPPED, CALL(e, FAULT, g, i << 12, PT_ACCESS_EXEC | level[i]));
		expect(PT_NO_SLOT, CALL(e, FAULT, g, i << 12, PT_ACCESS_EXEC | level[!i]));
		expect(PT_ALREADY_MAPPED, CALL(e, FAULT, g, i << 12, PT_ACCESS_READ | level[!i]));
	}
	el2_close(e);
}

/* A section that still reads the table before the last is not overtaken. */
static void a_slot_table_is_not_written_under_a_reader(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);

	(void)state;
	pt_section_begin(&e->other);
	pt_machine_use(&e->hv.machine, &e->other);
	pt_section_end(&e->other);
	expect(PT_OK, finish(e, CALL(e, SET_SLOT, g, 0, PT_SZ_4K, FREE_MEMORY, 12 << 8)));
	expect(PT_OK, finish(e, CALL(e, SET_SLOT, g, PT_SZ_4K, PT_SZ_4K, FREE_MEMORY, 12 << 8)));
	pt_grace_begin(&e->hv.guest[g & 0xff].replaced, &e->hv.machine, &e->board.agent);
	pt_section_begin(&e->other);
	pt_grace_begin(&e->hv.guest[g & 0xff].replaced, &e->hv.machine, &e->board.agent);
	expect(-PT_BUSY, CALL(e, SET_SLOT, g, 0x10000, PT_SZ_4K, FREE_MEMORY, 12 << 8));
	pt_section_end(&e->other);
	expect(PT_OK, finish(e, CALL(e, SET_SLOT, g, 0x10000, PT_SZ_4K, FREE_MEMORY, 12 << 8)));
	el2_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_and_numbers),
		cmocka_unit_test(a_guest_may_ask_for_nothing_but_the_version),
		cmocka_unit_test(a_machine_without_owners_has_no_calls_of_theirs),
		cmocka_unit_test(a_page_is_mapped_protected_and_unmapped),
		cmocka_unit_test(a_long_operation_goes_on_in_steps),
		cmocka_unit_test(who_meets_a_claim_carries_it_on),
		cmocka_unit_test(claims_pass_in_order_whoever_steps),
		cmocka_unit_test(answers_that_nobody_fetches_make_room),
		cmocka_unit_test(contexts_end_and_their_handles_with_them),
		cmocka_unit_test(the_hosts_number_stays_while_guests_run),
		cmocka_unit_test(pages_are_back_when_a_call_has_answered),
		cmocka_unit_test(places_of_contexts_run_out),
		cmocka_unit_test(slots_are_set_and_deleted),
		cmocka_unit_test(a_fetch_is_of_a_level),
		cmocka_unit_test(a_slot_table_is_not_written_under_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
