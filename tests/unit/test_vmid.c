/* SPDX-License-Identifier: BSD-2-Clause */
/* VMIDs: given at the first run, void after a rollover, and never named while they may be
 * another's. */
#include "core.h"

#define CONTEXTS 300
#define PAGE	 UINT64_C(4096)

static const struct shape small = {"4K", {.granule_shift = 12, .ipa_bits = 32, .pa_bits = 44}};

/* Many contexts of one machine with adversarial TLBs; c.ctx is the first, and has run. */
struct many {
	struct core c;
	struct pt_host_ram ram;
	struct pt_ctx ctx[CONTEXTS];
	uint32_t count;
	struct pt_agent other;
};

static void add(struct many *m, uint32_t count, unsigned vtcr_flags)
{
	struct pt_geometry geo;

	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &small.args));
	for (; count; count--)
		ASSERT_OUTCOME(PT_OK, pt_ctx_init(&m->ctx[m->count++], &m->c.agent, &m->c.machine,
						  &geo, PT_ATTR_FWB, vtcr_flags, UINT64_MAX));
}

static struct many *open_many(uint32_t count)
{
	struct many *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	core_open_bytes(&m->c, &small, UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&m->ram, UINT64_C(1) << 30));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&m->c.tables.world, &m->other));
	add(m, count, 0);
	return m;
}

static void close_ctx(struct many *m, struct pt_ctx *ctx)
{
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, ctx, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &m->c.agent, 1000));
}

static void close_many(struct many *m)
{
	while (m->count)
		close_ctx(m, &m->ctx[--m->count]);
	pt_agent_leave(&m->other);
	core_close(&m->c);
	pt_host_ram_destroy(&m->ram);
	free(m);
}

static enum pt_outcome get(struct many *m, struct pt_ctx *ctx)
{
	enum pt_outcome outcome;

	pt_section_begin(&m->c.agent);
	pt_machine_use(&m->c.machine, &m->c.agent);
	outcome = pt_vmid_get(ctx, &m->c.agent);
	pt_section_end(&m->c.agent);
	return outcome;
}

static void map_page(struct many *m, struct pt_ctx *ctx, uint64_t pa)
{
	struct pt_item item = {.ctx = ctx,
			       .ipa = {PAGE},
			       .size = PAGE,
			       .pa = {pa},
			       .prot = PT_PROT_RW,
			       .kind = PT_ITEM_MAP};
	struct pt_effects effects = {0};
	struct pt_error error;

	pt_section_begin(&m->c.agent);
	ASSERT_OUTCOME(PT_MAPPED, pt_point(&m->c.agent, &item, &effects, &error));
	pt_section_end(&m->c.agent);
}

static uint32_t unmap_page(struct many *m, struct pt_ctx *ctx)
{
	struct pt_item item = {.ctx = ctx, .ipa = {PAGE}, .size = PAGE, .kind = PT_ITEM_UNMAP};
	struct pt_effects effects = {0};
	struct pt_error error;

	pt_section_begin(&m->c.agent);
	ASSERT_OUTCOME(PT_UNMAPPED, pt_point(&m->c.agent, &item, &effects, &error));
	pt_section_end(&m->c.agent);
	return effects.tlbis;
}

static enum pt_outcome touch(struct many *m, struct pt_ctx *ctx, uint64_t *pa)
{
	struct pt_host_access a = {.ipa = {PAGE}, .access = PT_ACCESS_READ};
	enum pt_outcome outcome;

	pt_section_begin(&m->c.agent);
	outcome = pt_host_access(&m->c.agent, ctx, &m->ram, &a);
	pt_section_end(&m->c.agent);
	*pa = a.pa.v;
	return outcome;
}

static void numbers_are_given_once_and_kept(void **state)
{
	struct many *m = open_many(2);

	(void)state;
	add(m, 2, PT_VTCR_VS);
	assert_int_equal(1, pt_ctx_vmid(&m->c.ctx));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(0, pt_ctx_vmid(&m->ctx[i]));
	for (unsigned i = 4; i--;)
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i]));
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[1]));
	assert_int_equal(3, pt_ctx_vmid(&m->ctx[0]));
	assert_int_equal(2, pt_ctx_vmid(&m->ctx[1]));
	assert_int_equal(257, pt_ctx_vmid(&m->ctx[2])); /* VTCR_EL2.VS: out of reach of 8 bits */
	assert_int_equal(256, pt_ctx_vmid(&m->ctx[3]));
	assert_int_equal(256, pt_ctx_vttbr(&m->ctx[3]) >> 48);
	close_many(m);
}

static void a_rollover_voids_all_numbers_with_one_invalidation(void **state)
{
	struct many *m = open_many(255);
	uint64_t before;

	(void)state;
	for (unsigned i = 0; i < 254; i++)
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i]));
	assert_int_equal(255, pt_ctx_vmid(&m->ctx[253]));
	before = atomic_load(&m->c.mmu.generation);
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[254]));
	assert_int_equal(before + 1, atomic_load(&m->c.mmu.generation));
	assert_int_equal(1, pt_ctx_vmid(&m->ctx[254]));
	assert_int_equal(0, pt_ctx_vmid(&m->ctx[253]));
	assert_int_equal(0, pt_ctx_vmid(&m->c.ctx));
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[253]));
	assert_int_equal(2, pt_ctx_vmid(&m->ctx[253]));
	close_many(m);
}

/* 16 bits: 65280 numbers; those of 8 bits go with them. */
static void wide_numbers_roll_over_too(void **state)
{
	struct many *m = open_many(0);

	(void)state;
	add(m, 2, PT_VTCR_VS);
	for (unsigned i = 256; i < 65536; i++) {
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[0]));
		assert_int_equal(i, pt_ctx_vmid(&m->ctx[0]));
		atomic_store(&m->ctx[0].vmid, 0); /* as if each were another context's */
	}
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[1]));
	assert_int_equal(256, pt_ctx_vmid(&m->ctx[1]));
	assert_int_equal(0, pt_ctx_vmid(&m->c.ctx));
	assert_int_equal(1, m->c.machine.vmids.rollovers);
	close_many(m);
}

/* A section that began before may still issue a flush that names an old number. */
static void numbers_wait_for_the_sections_of_the_older_generation(void **state)
{
	struct many *m = open_many(255);

	(void)state;
	for (unsigned i = 0; i < 254; i++)
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i]));
	pt_section_begin(&m->other);
	pt_machine_use(&m->c.machine, &m->other);
	ASSERT_OUTCOME(PT_MORE, get(m, &m->ctx[254]));
	ASSERT_OUTCOME(PT_MORE, get(m, &m->ctx[0]));
	assert_int_equal(0, pt_ctx_vmid(&m->ctx[0]));
	assert_int_equal(1, m->c.machine.vmids.rollovers);
	pt_section_end(&m->other);
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[0]));
	assert_int_equal(1, pt_ctx_vmid(&m->ctx[0]));
	close_many(m);
}

/* What a CPU runs outside sections keeps its number over a rollover, and is still flushed by it. */
static void a_running_guest_keeps_its_number(void **state)
{
	struct many *m = open_many(256);
	struct pt_ctx *runs = &m->ctx[1];
	uint64_t before;

	(void)state;
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[0]));
	pt_section_begin(&m->other);
	pt_machine_use(&m->c.machine, &m->other);
	ASSERT_OUTCOME(PT_OK, pt_vmid_run(runs, &m->other));
	pt_section_end(&m->other);
	assert_int_equal(3, pt_ctx_vmid(runs));
	map_page(m, runs, 0);
	for (unsigned i = 2; i < 255; i++)
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i]));
	assert_int_equal(1, m->c.machine.vmids.rollovers);
	assert_int_equal(3, pt_ctx_vmid(runs));
	assert_int_equal(1, pt_ctx_vmid(&m->ctx[254]));
	before = atomic_load(&m->c.mmu.generation);
	assert_int_equal(1, unmap_page(m, runs));
	assert_int_equal(before + 1, atomic_load(&m->c.mmu.generation));

	/* Nobody else gets it, not even after another rollover; then it ends. */
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[0]));
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[2]));
	assert_int_equal(2, pt_ctx_vmid(&m->ctx[0]));
	assert_int_equal(4, pt_ctx_vmid(&m->ctx[2]));
	pt_vmid_stop(&m->c.machine, &m->other);
	for (unsigned i = 3; m->c.machine.vmids.rollovers < 2; i++)
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i]));
	assert_int_equal(0, pt_ctx_vmid(runs));
	close_many(m);
}

/* Whatever its agent runs besides, over two rollovers; and nobody else gets it. */
static void a_context_keeps_its_number_for_good(void **state)
{
	struct many *m = open_many(256);
	struct pt_ctx *kept = &m->ctx[0];

	(void)state;
	pt_section_begin(&m->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_vmid_keep(kept, &m->c.agent));
	ASSERT_OUTCOME(PT_OK, pt_vmid_run(&m->ctx[1], &m->c.agent));
	pt_section_end(&m->c.agent);
	assert_int_equal(2, pt_ctx_vmid(kept));
	pt_vmid_stop(&m->c.machine, &m->c.agent);
	for (unsigned i = 0; m->c.machine.vmids.rollovers < 2; i = (i + 1) % 255) {
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i + 1]));
		assert_int_equal(2, pt_ctx_vmid(kept));
		assert_int_not_equal(2, pt_ctx_vmid(&m->ctx[i + 1]));
	}
	close_many(m);
}

/* A run that a rollover does not see takes a number of the new generation. */
static void a_run_begins_in_one_generation(void **state)
{
	struct many *m = open_many(256);

	(void)state;
	pt_section_begin(&m->other);
	pt_machine_use(&m->c.machine, &m->other);
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&m->ctx[1], &m->other));
	for (unsigned i = 2; !m->c.machine.vmids.rollovers; i++)
		(void)get(m, &m->ctx[i]);
	ASSERT_OUTCOME(PT_MORE, pt_vmid_run(&m->ctx[1], &m->other));
	assert_null(atomic_load(&m->c.machine.vmids.running[m->other.id]));
	pt_section_end(&m->other);
	pt_section_begin(&m->other);
	ASSERT_OUTCOME(PT_OK, pt_vmid_run(&m->ctx[1], &m->other));
	pt_section_end(&m->other);
	assert_int_not_equal(0, pt_ctx_vmid(&m->ctx[1]));
	pt_vmid_stop(&m->c.machine, &m->other);
	close_many(m);
}

static void what_no_vcpu_ran_costs_no_invalidation(void **state)
{
	struct many *m = open_many(256);
	uint64_t before = atomic_load(&m->c.mmu.generation);

	(void)state;
	map_page(m, &m->ctx[0], 0);
	assert_int_equal(0, unmap_page(m, &m->ctx[0]));
	assert_int_equal(before, atomic_load(&m->c.mmu.generation));
	ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[0]));
	map_page(m, &m->ctx[0], 0);
	assert_int_equal(1, unmap_page(m, &m->ctx[0]));
	assert_int_equal(before + 1, atomic_load(&m->c.mmu.generation));
	map_page(m, &m->ctx[0], 0);
	for (unsigned i = 1; i < 255; i++)
		ASSERT_OUTCOME(PT_OK, get(m, &m->ctx[i]));
	assert_int_equal(0, pt_ctx_vmid(&m->ctx[0]));
	before = atomic_load(&m->c.mmu.generation);
	/* Discharged by the rollover; counted, since accesses may be in flight. */
	assert_int_equal(1, unmap_page(m, &m->ctx[0]));
	assert_int_equal(before, atomic_load(&m->c.mmu.generation));
	close_many(m);
}

/* One address, another page in each context; TLBs that keep all they may. */
static void no_context_sees_the_pages_of_another(void **state)
{
	struct many *m = open_many(CONTEXTS);
	uint64_t pa;

	(void)state;
	for (unsigned i = 0; i < CONTEXTS; i++)
		map_page(m, &m->ctx[i], i * PAGE);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < CONTEXTS; i++) {
			ASSERT_OUTCOME(PT_OK, touch(m, &m->ctx[i], &pa));
			assert_int_equal(i * PAGE, pa);
		}
	assert_int_equal(3, m->c.machine.vmids.rollovers);
	for (unsigned i = 0; i < CONTEXTS; i++) {
		unmap_page(m, &m->ctx[i]);
		ASSERT_OUTCOME(PT_NOT_MAPPED, touch(m, &m->ctx[i], &pa));
	}
	close_many(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_given_once_and_kept),
		cmocka_unit_test(a_rollover_voids_all_numbers_with_one_invalidation),
		cmocka_unit_test(wide_numbers_roll_over_too),
		cmocka_unit_test(numbers_wait_for_the_sections_of_the_older_generation),
		cmocka_unit_test(a_running_guest_keeps_its_number),
		cmocka_unit_test(a_context_keeps_its_number_for_good),
		cmocka_unit_test(a_run_begins_in_one_generation),
		cmocka_unit_test(what_no_vcpu_ran_costs_no_invalidation),
		cmocka_unit_test(no_context_sees_the_pages_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
