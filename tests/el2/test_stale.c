/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nothing stale is left: what was unmapped, restricted or moved is accessed again, on the CPU that
 * changed it and on another one that had it in its TLB. VMID and HCR_EL2 stay the same in between,
 * since a change of either would empty QEMU's TLB, and AT would walk afresh.
 */
#include "stage2.h"

#define OLD UINT64_C(0x0101010101010101)
#define NEW UINT64_C(0x0202020202020202)

static struct stage2 s;
static struct s2_vcpu *here; /* the vCPU that accesses: on the CPU that changes, or on another */
static uint64_t page;

static void load_remote(void *v)
{
	s2_load(v);
}

static void unload_remote(void *v)
{
	s2_unload(v);
}

/* The test, with each shape that the CPU has, on both CPUs. */
static void each(void (*body)(void))
{
	for (unsigned i = 0; i < S2_SHAPES; i++)
		for (uint32_t cpu = 0; cpu < 2; cpu++) {
			if (!s2_open(&s, &s2_shapes[i]))
				continue;
			here = &s.vcpu[cpu];
			page = UINT64_C(1) << s.ctx.geo.granule_shift;
			if (cpu) {
				assert_true(pt_el2_cpu_start(cpu));
				pt_el2_cpu_run(cpu, load_remote, here);
				pt_el2_cpu_wait(cpu);
			}
			body();
			if (cpu) {
				pt_el2_cpu_run(cpu, unload_remote, here);
				pt_el2_cpu_wait(cpu);
			}
			s2_close(&s);
		}
}

static void reads(uint64_t ipa, uint64_t value)
{
	struct pt_el2_exit exit;

	assert_int_equal(s2_guest_on(here, guest_load, ipa, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.value, value);
	el2_compared++;
}

static void aborts(void (*code)(void), uint64_t ipa, enum hw_fault fault)
{
	struct hw_abort abort;
	struct pt_el2_exit exit;

	assert_int_equal(s2_guest_on(here, code, ipa, 0, &exit), PT_EL2_ABORT);
	assert_true(hw_decode_abort(exit.abort.esr, &abort));
	assert_int_equal(abort.fault, fault);
	assert_int_equal(exit.abort.ipa, ipa);
	el2_compared++;
}

static void map(uint64_t offset, uint64_t size, uint32_t prot)
{
	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM + offset, size, s2_pa(offset), prot, 0));
}

/* A write past the seam, of which a checked build is told. */
static void poke(pt_pte *slot, pt_pte entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELAXED);
	pt_port_note(PT_EVENT_POKE, 0, slot, NULL, 0, entry);
}

/* That the rest can fail: the TLB keeps what nobody invalidates. */
static void a_change_past_lib_stays_unseen(void)
{
	struct hw_result r;

	*s2_memory(0) = OLD;
	*s2_memory(page) = NEW;
	map(0, page, PT_PROT_RW);
	reads(S2_RAM, OLD);
	r = s2_walk(&s, S2_RAM, HW_READ);
	pt_pte *slot = pt_port_table(&s.port, pt_pa(r.step[r.steps - 1].entry));
	pt_pte now = pt_pte_load(slot);

	poke(slot, now ^ pt_oa_to_pte(&s.ctx.geo, pt_pa(s2_pa(0))) ^
			   pt_oa_to_pte(&s.ctx.geo, pt_pa(s2_pa(page))));
	pt_el2_dsb_ish();
	reads(S2_RAM, OLD);
	poke(slot, now);
	pt_el2_dsb_ish();
}

static void the_tlb_keeps_what_nobody_invalidates(void **state)
{
	(void)state;
	each(a_change_past_lib_stays_unseen);
}

static void unmapped(void)
{
	*s2_memory(0) = OLD;
	map(0, page, PT_PROT_RW);
	reads(S2_RAM, OLD);
	ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, S2_RAM, page));
	aborts(guest_load, S2_RAM, HW_TRANSLATION);
}

static void what_was_unmapped_aborts(void **state)
{
	(void)state;
	each(unmapped);
}

static void point_unmapped(void)
{
	struct pt_item item = {.ctx = &s.ctx, .ipa = {S2_RAM}, .size = page, .kind = PT_ITEM_UNMAP};
	struct pt_effects effects = {0};
	struct pt_error error;

	*s2_memory(0) = OLD;
	map(0, page, PT_PROT_RW);
	reads(S2_RAM, OLD);
	pt_section_begin(&s.vcpu[0].agent);
	ASSERT_OUTCOME(PT_UNMAPPED, pt_point(&s.vcpu[0].agent, &item, &effects, &error));
	pt_section_end(&s.vcpu[0].agent);
	assert_int_equal(effects.tlbis, 1);
	aborts(guest_load, S2_RAM, HW_TRANSLATION);
}

static void a_point_operation_flushes_too(void **state)
{
	(void)state;
	each(point_unmapped);
}

static void restricted(void)
{
	struct pt_el2_exit exit;

	memcpy(s2_memory(0), guest_answer, sizeof(guest_answer));
	map(0, page, PT_PROT_RWX);
	assert_int_equal(s2_guest_on(here, guest_store, S2_RAM + 64, 1, &exit), PT_EL2_HVC);
	assert_int_equal(s2_guest_on(here, guest_exec, S2_RAM, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.value, 42);
	ASSERT_OUTCOME(PT_PROTECTED, s2_protect(&s, S2_RAM, page, PT_PROT_R | PT_PROT_X));
	aborts(guest_store, S2_RAM + 64, HW_PERMISSION);
	assert_int_equal(s2_guest_on(here, guest_exec, S2_RAM, 0, &exit), PT_EL2_HVC);
	ASSERT_OUTCOME(PT_PROTECTED, s2_protect(&s, S2_RAM, page, PT_PROT_R));
	aborts(guest_exec, S2_RAM, HW_PERMISSION);
	ASSERT_OUTCOME(PT_RELAXED, s2_protect(&s, S2_RAM, page, PT_PROT_RW));
}

static void a_right_that_was_taken_is_gone(void **state)
{
	(void)state;
	each(restricted);
}

static void moved(void)
{
	*s2_memory(0) = OLD;
	*s2_memory(page) = NEW;
	map(0, page, PT_PROT_RW);
	reads(S2_RAM, OLD);
	ASSERT_OUTCOME(PT_MAPPED,
		       s2_map(&s, S2_RAM, page, s2_pa(page), PT_PROT_RW, PT_MAP_REPLACE));
	reads(S2_RAM, NEW);
}

static void what_was_moved_is_read_from_its_new_place(void **state)
{
	(void)state;
	each(moved);
}

/* Page 3 of many, read before; the others stay. From 65 pages on, CPUs without range invalidations
 * drop the VMID. */
static void range(uint64_t pages)
{
	uint64_t step = pages / 5, size = pages * page;

	for (uint64_t i = 0; i < pages + 2; i++)
		*s2_memory(i * page) = i;
	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM, size + 2 * page, s2_pa(0), PT_PROT_RW,
					 PT_MAP_FORCE_PAGES));
	for (uint64_t i = 0; i < pages + 2; i += step)
		reads(S2_RAM + i * page, i);
	reads(S2_RAM + page, 1);
	ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, S2_RAM + page, size));
	reads(S2_RAM, 0);
	reads(S2_RAM + (pages + 1) * page, pages + 1);
	for (uint64_t i = step; i < pages; i += step)
		aborts(guest_load, S2_RAM + i * page, HW_TRANSLATION);
	aborts(guest_load, S2_RAM + page, HW_TRANSLATION);
	aborts(guest_load, S2_RAM + pages * page, HW_TRANSLATION);
}

static void short_range(void)
{
	range(40);
}

static void long_range(void)
{
	range(300);
}

static void all_of_a_range_is_gone(void **state)
{
	(void)state;
	each(short_range);
	each(long_range);
}

/* A 2 MiB block, read in three places, is cut: the part goes, the rest stays. */
static void cut(void)
{
	uint64_t middle = PT_SZ_1G >> 10;

	if (page != PT_SZ_4K)
		return;
	*s2_memory(0) = OLD;
	*s2_memory(middle) = NEW;
	*s2_memory(PT_SZ_2M - page) = OLD;
	map(0, PT_SZ_2M, PT_PROT_RW);
	assert_int_equal(s2_walk(&s, S2_RAM, HW_READ).level, 2);
	reads(S2_RAM, OLD);
	reads(S2_RAM + middle, NEW);
	reads(S2_RAM + PT_SZ_2M - page, OLD);
	ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, S2_RAM + middle, page));
	assert_int_equal(s2_walk(&s, S2_RAM, HW_READ).level, 3);
	aborts(guest_load, S2_RAM + middle, HW_TRANSLATION);
	reads(S2_RAM, OLD);
	reads(S2_RAM + PT_SZ_2M - page, OLD);
	ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, S2_RAM, PT_SZ_2M));
	aborts(guest_load, S2_RAM, HW_TRANSLATION);
	aborts(guest_load, S2_RAM + PT_SZ_2M - page, HW_TRANSLATION);
}

static void the_parts_of_a_block_go_alone(void **state)
{
	(void)state;
	each(cut);
}

/* Invalidations of a context that is not loaded name its VMID meanwhile, and leave what was
 * loaded. */
static void of_another_context(void)
{
	static struct pt_ctx other;
	static struct pt_txn txn;
	struct pt_agent *agent = &s.vcpu[0].agent;
	struct pt_item item = {.ctx = &other, .ipa = {S2_RAM}, .size = PT_SZ_4K, .pa = {s2_pa(0)}};
	struct pt_effects effects = {0};
	struct pt_error error;
	struct pt_geometry_args args = {.granule_shift = 12, .ipa_bits = 32, .pa_bits = 40};
	struct pt_geometry geo;
	uint64_t vtcr = pt_el2_read_vtcr_el2(), vttbr = pt_el2_read_vttbr_el2();

	*s2_memory(0) = OLD;
	map(0, page, PT_PROT_RW);
	assert_int_equal(pt_geometry_init(&geo, &args), PT_OK);
	pt_section_begin(agent);
	memset(&other, 0, sizeof(other));
	ASSERT_OUTCOME(PT_OK, pt_ctx_init(&other, agent, &s.machine, &geo, 0, pt_el2_vtcr_flags(),
					  UINT64_MAX));
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&other, agent));
	item.kind = PT_ITEM_MAP;
	item.prot = PT_PROT_RW;
	ASSERT_OUTCOME(PT_MAPPED, pt_point(agent, &item, &effects, &error));
	item.kind = PT_ITEM_UNMAP;
	item.prot = 0;
	item.pa.v = 0;
	ASSERT_OUTCOME(PT_UNMAPPED, pt_point(agent, &item, &effects, &error));
	pt_section_end(agent);
	assert_int_equal(effects.tlbis, 1);
	assert_int_equal(pt_el2_read_vtcr_el2(), vtcr);
	assert_int_equal(pt_el2_read_vttbr_el2(), vttbr);
	reads(S2_RAM, OLD);
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &other, NULL));
	for (enum pt_outcome o = PT_MORE; o == PT_MORE;) {
		pt_section_begin(agent);
		o = pt_txn_step(&txn, agent, 100);
		pt_section_end(agent);
	}
	assert_int_equal(pt_el2_read_vttbr_el2(), vttbr);
	reads(S2_RAM, OLD);
}

static void what_is_loaded_outlives_the_flush_of_another_context(void **state)
{
	(void)state;
	each(of_another_context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tlb_keeps_what_nobody_invalidates),
		cmocka_unit_test(what_was_unmapped_aborts),
		cmocka_unit_test(a_point_operation_flushes_too),
		cmocka_unit_test(a_right_that_was_taken_is_gone),
		cmocka_unit_test(what_was_moved_is_read_from_its_new_place),
		cmocka_unit_test(all_of_a_range_is_gone),
		cmocka_unit_test(the_parts_of_a_block_go_alone),
		cmocka_unit_test(what_is_loaded_outlives_the_flush_of_another_context),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
