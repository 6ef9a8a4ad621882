/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor's TLBIs beyond the table of test_guest_tlbi: tables that were rewritten,
 * steps, fills on their way, accesses in flight, and what TLBs hold of stage 1. */
#include "guest_fixture.h"

#include "../../lib/nested/internal.h"
#include "../../lib/port/host/tlb.h"
#include "../../lib/txn/internal.h"

#define PAGE  UINT64_C(4096)
#define BLOCK (UINT64_C(2) << 20)
#define GIB   (UINT64_C(1) << 30)
#define VMID  5

static struct guest g;

/* A shadow of 4K pages: the host's are small. */
static void open_pages(bool mmu)
{
	guest_open_bare(&g, &shapes[0], 12, mmu);
	guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, 12);
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
}

static void close_all(void)
{
	guest_end(&g, &g.shadow, 1000);
	guest_close(&g);
}

static enum pt_outcome step(struct pt_guest_tlbi_op *op, uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(&g.c.agent);
	outcome = pt_guest_tlbi_step(op, &g.c.agent, budget);
	pt_section_end(&g.c.agent);
	return outcome;
}

/* How many leaves went. */
static uint64_t invalidate(const struct pt_guest_tlbi *tlbi)
{
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome;

	pt_guest_tlbi_begin(&op, &g.nested, VMID, tlbi);
	do
		outcome = step(&op, 1000);
	while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return op.removed;
}

static struct pt_guest_tlbi by_ipa(uint64_t ipa, int level)
{
	return (struct pt_guest_tlbi){.scope = PT_GUEST_TLBI_IPA,
				      .ttl_given = level >= 0,
				      .ttl_shift = level >= 0 ? 12 : 0,
				      .level = (int8_t)(level >= 0 ? level : PT_TTL_UNKNOWN),
				      .ipa = {ipa}};
}

static struct pt_guest_tlbi of_scope(enum pt_guest_tlbi_scope scope)
{
	return (struct pt_guest_tlbi){.scope = scope, .level = PT_TTL_UNKNOWN};
}

static uint64_t by_address(uint64_t ipa, int level)
{
	struct pt_guest_tlbi tlbi = by_ipa(ipa, level);

	return invalidate(&tlbi);
}

static bool there(uint64_t ipa)
{
	return guest_walk(&g, ipa, HW_READ).fault == HW_NO_FAULT;
}

static void fill(uint64_t ipa)
{
	ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, ipa, PT_ACCESS_READ));
}

/* The guest replaces a block by a table, and tells nobody: leaves made from the block stand beside
 * those made from pages, and each level's hint takes its own. */
static void rewritten_tables_leave_leaves_of_both_levels(void **state)
{
	const uint64_t at = 4 * BLOCK;

	(void)state;
	for (int level = -1; level <= 3; level++) {
		bool block = level != 3 && level != 1, page = level == 3 || level == -1;

		if (!level)
			continue; /* no level of 4K */
		open_pages(false);
		guest_map(&g, at, at, 2, GUEST_RWX);
		fill(at);
		fill(at + 5 * PAGE);
		*guest_entry(&g, at, 2) = 0;
		guest_map(&g, at + 6 * PAGE, GIB, 3, GUEST_RWX);
		guest_map(&g, at + 7 * PAGE, GIB + PAGE, 3, GUEST_RWX);
		fill(at + 6 * PAGE);
		fill(at + 7 * PAGE);
		assert_int_equal(2 * block + page, by_address(at + 6 * PAGE + 8, level));
		assert_int_equal(!block, there(at));
		assert_int_equal(!block, there(at + 5 * PAGE));
		assert_int_equal(!page, there(at + 6 * PAGE));
		assert_true(there(at + 7 * PAGE));
		close_all();
	}
}

/* Each step removes no more than it was allowed to look at, and what it removed is gone by then. */
static void steps_are_bounded(void **state)
{
	struct pt_guest_tlbi tlbi = of_scope(PT_GUEST_TLBI_VMID);
	struct pt_guest_tlbi_op op;
	uint64_t before = 0;
	unsigned steps = 0;
	enum pt_outcome outcome;

	(void)state;
	open_pages(false);
	guest_map(&g, 0, 0, 2, GUEST_RWX);
	for (uint64_t i = 0; i < 512; i++)
		fill(i * PAGE);
	pt_guest_tlbi_begin(&op, &g.nested, VMID, &tlbi);
	do {
		outcome = step(&op, 10);
		assert_in_range(op.removed - before, 0, 10);
		if (op.removed)
			assert_false(there((op.removed - 1) * PAGE));
		before = op.removed;
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(512, op.removed);
	assert_int_equal(1, op.shadows);
	assert_in_range(steps, 52, 120);
	close_all();
}

/* By address, only entries under leaves of a level that there is are looked at. */
static void levels_without_leaves_are_not_searched(void **state)
{
	struct pt_guest_tlbi tlbi = by_ipa(100 * PAGE, -1);
	struct pt_guest_tlbi_op op;
	unsigned steps = 1;

	(void)state;
	open_pages(false);
	for (uint64_t i = 0; i < 512; i++) {
		guest_map(&g, i * PAGE, i * PAGE, 3, GUEST_RWX);
		fill(i * PAGE);
	}
	pt_guest_tlbi_begin(&op, &g.nested, VMID, &tlbi);
	while (step(&op, 1) == PT_MORE)
		steps++;
	assert_int_equal(1, op.removed);
	assert_in_range(steps, 1, 4);
	assert_int_equal(511, atomic_load(&g.shadow.leaves[4]));
	close_all();
}

/* A claim in the way is called off, whatever it is going to be; the fill will see that. */
static void a_fill_on_its_way_is_called_off(void **state)
{
	struct pt__at at;
	uint64_t count;

	(void)state;
	open_pages(false);
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	guest_map(&g, PAGE, PAGE, 3, GUEST_RWX);
	fill(PAGE);
	pt__descend(&g.shadow.ctx, 0, PT_LEVEL_LAST, 12, &at);
	core_poke(at.slot, PT__CLAIM);
	count = atomic_load(&g.shadow.invalidations);
	assert_int_equal(0, by_address(0, 3));
	assert_int_equal(PT__DEAD, pt_pte_load(at.slot));
	assert_int_equal(count + 1, atomic_load(&g.shadow.invalidations));
	assert_int_equal(1, atomic_load(&g.nested.counts.claims_killed));
	core_poke(at.slot, 0);
	assert_true(there(PAGE));
	close_all();
}

/* Another agent may still use what was removed until its section ends. */
static void accesses_in_flight_end_first(void **state)
{
	struct pt_guest_tlbi tlbi = of_scope(PT_GUEST_TLBI_ALL);
	struct pt_guest_tlbi_op op;
	struct pt_agent other = {0};

	(void)state;
	open_pages(false);
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	fill(0);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&g.c.tables.world, &other));
	pt_section_begin(&other);
	pt_machine_use(&g.c.machine, &other);
	pt_guest_tlbi_begin(&op, &g.nested, VMID, &tlbi);
	for (unsigned i = 0; i < 5; i++)
		ASSERT_OUTCOME(PT_MORE, step(&op, 1000));
	assert_int_equal(1, op.removed);
	assert_false(there(0));
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, step(&op, 1000));
	pt_agent_leave(&other);
	close_all();
}

/* An entry that stage 1 and stage 2 gave together: what IPAS2E1 of another page leaves. */
static bool combined(uint16_t vmid)
{
	struct adversary *a = g.c.mmu.vcpu[0].adversary;
	struct tlb_pair got;

	return adversary_lookup(a, PAGE, vmid, &got);
}

static void put_combined(uint16_t vmid)
{
	struct tlb_pair pair = {.tag = tlb_tag(PAGE, vmid, 1), .data = 0x1203};
	struct pt_tlbi stage2 = {
		.kind = PT_TLBI_IPA, .vmid = vmid, .ipa = {PAGE}, .size = PAGE, .level = 3};
	struct adversary *a = g.c.mmu.vcpu[0].adversary;

	assert_true(adversary_fill(&g.c.mmu, a, &pair, atomic_load(&g.c.mmu.generation)));
	adversary_stage2(a, &stage2);
}

/* Of the shadow's VMID, and of no other; by address there is nothing to take. */
static void stage_1_goes_from_the_tlbs(void **state)
{
	static const struct {
		enum pt_guest_tlbi_scope scope;
		uint16_t vmid;
		bool goes;
	} rows[] = {
		{PT_GUEST_TLBI_STAGE1, VMID, true},    {PT_GUEST_TLBI_VMID, VMID, true},
		{PT_GUEST_TLBI_ALL, VMID + 1, true},   {PT_GUEST_TLBI_STAGE1, VMID + 1, false},
		{PT_GUEST_TLBI_VMID, VMID + 1, false}, {PT_GUEST_TLBI_IPA, VMID, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_guest_tlbi tlbi = of_scope(rows[i].scope);
		struct pt_guest_tlbi_op op;
		uint16_t own, canonical;

		open_pages(true);
		own = pt_ctx_vmid(&g.shadow.ctx);
		canonical = pt_ctx_vmid(&g.c.ctx);
		put_combined(own);
		put_combined(canonical);
		pt_guest_tlbi_begin(&op, &g.nested, rows[i].vmid, &tlbi);
		while (step(&op, 1000) == PT_MORE)
			continue;
		assert_int_equal(!rows[i].goes, combined(own));
		assert_true(combined(canonical));
		assert_int_equal(0, op.removed);
		close_all();
	}
}

/* One that nobody finds any more has nothing that a vCPU could use. */
static void a_shadow_that_goes_is_left_alone(void **state)
{
	struct pt_guest_tlbi tlbi = of_scope(PT_GUEST_TLBI_VMID);
	struct pt_shadow_end end;
	enum pt_outcome outcome;

	(void)state;
	open_pages(false);
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	fill(0);
	ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, &g.shadow, NULL));
	assert_int_equal(0, invalidate(&tlbi));
	tlbi.scope = PT_GUEST_TLBI_ALL;
	assert_int_equal(0, invalidate(&tlbi));
	do {
		pt_section_begin(&g.c.agent);
		outcome = pt_shadow_end_step(&end, &g.c.agent, 100);
		pt_section_end(&g.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	guest_close(&g);
}

/* With stage 2 off a VMID of 16 bits is one, too. */
static void identity_goes_by_the_whole_vmid(void **state)
{
	struct pt_guest_tlbi tlbi = of_scope(PT_GUEST_TLBI_VMID);
	struct pt_guest_tlbi_op op;

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, 12);
	guest_registers(&g, 12, 0x100 + VMID, PT_VTCR_VS);
	g.key.enabled = false;
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	fill(PAGE);
	assert_int_equal(0, invalidate(&tlbi)); /* of another VMID */
	assert_true(there(PAGE));
	pt_guest_tlbi_begin(&op, &g.nested, 0x100 + VMID, &tlbi);
	while (step(&op, 1000) == PT_MORE)
		continue;
	assert_int_equal(1, op.removed);
	assert_false(there(PAGE));
	close_all();
}

/* Between two steps a smaller shadow takes the number: what is behind its tables is nobody's. */
static void a_smaller_shadow_takes_the_number(void **state)
{
	const struct pt_geometry_args small = {.granule_shift = 12, .ipa_bits = 32, .pa_bits = 40};
	struct pt_guest_tlbi tlbi = of_scope(PT_GUEST_TLBI_VMID);
	struct pt_guest_tlbi_op op;
	struct pt_geometry geo;
	struct pt__at at;
	uint64_t beyond;

	(void)state;
	open_pages(false);
	pt_guest_tlbi_begin(&op, &g.nested, VMID, &tlbi);
	ASSERT_OUTCOME(PT_MORE, step(&op, 40)); /* of entries of 1 GiB */
	assert_in_range(op.at, 8 * GIB, 50 * GIB);
	guest_end(&g, &g.shadow, 1000);
	memset(&g.shadow, 0, sizeof(g.shadow));
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &small));
	g.regs.vtcr = g.key.vtcr = pt_geometry_vtcr(&geo, 0);
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	assert_int_equal(0, g.shadow.number);
	pt__descend(&g.shadow.ctx, 0, g.shadow.ctx.geo.start_level, 12, &at);
	beyond = op.at >> g.shadow.ctx.root_shift;
	assert_true(beyond > g.shadow.ctx.geo.start_entries);
	/* Past the seam: it is no table. */
	assert_int_equal(0, at.slot[beyond]);
	at.slot[beyond] = PT__CLAIM; /* as if it were one */
	while (step(&op, 1000) == PT_MORE)
		continue;
	assert_int_equal(PT__CLAIM, at.slot[beyond]);
	at.slot[beyond] = 0;
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewritten_tables_leave_leaves_of_both_levels),
		cmocka_unit_test(steps_are_bounded),
		cmocka_unit_test(levels_without_leaves_are_not_searched),
		cmocka_unit_test(a_fill_on_its_way_is_called_off),
		cmocka_unit_test(accesses_in_flight_end_first),
		cmocka_unit_test(stage_1_goes_from_the_tlbs),
		cmocka_unit_test(a_shadow_that_goes_is_left_alone),
		cmocka_unit_test(identity_goes_by_the_whole_vmid),
		cmocka_unit_test(a_smaller_shadow_takes_the_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
