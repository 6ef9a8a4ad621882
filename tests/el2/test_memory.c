/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2 boots onto its own map, and each thing is where the CPU's own walk of stage 1 says. */
#include "own_map.h"
#include "stage2.h"

#define HOST	   UINT64_C(0x4a000000)
#define POOL	   OWN_POOL
#define POOL_BYTES OWN_POOL_BYTES
#define UART	   OWN_UART
#define CPUS	   OWN_CPUS

static enum pt_outcome booted;

/* PAR_EL1 of the CPU's own walk: AT S1E2R or S1E2W. */
static uint64_t at(uint64_t va, bool write)
{
	if (write)
		__asm__ volatile("at s1e2w, %0" ::"r"(va) : "memory");
	else
		__asm__ volatile("at s1e2r, %0" ::"r"(va) : "memory");
	pt_el2_isb();
	el2_compared++;
	return pt_el2_read_par_el1();
}

static void expect(uint64_t va, uint64_t pa, uint32_t prot)
{
	uint64_t par = at(va, false), attr = pt_prot_memtype(prot) == PT_MEM_DEVICE ? 0x04 : 0xff;

	assert_int_equal(par & 1, 0);
	assert_int_equal(par & UINT64_C(0xffffffffff000), pa & ~UINT64_C(0xfff));
	assert_int_equal(par >> 56, attr);
	assert_int_equal(at(va, true) & 1, !(prot & PT_PROT_W));
}

static void expect_none(uint64_t va)
{
	assert_int_equal(at(va, false) & 1, 1);
	assert_int_equal(at(va, true) & 1, 1);
}

static void the_cpu_finds_what_was_planned(void **state)
{
	(void)state;
	ASSERT_OUTCOME(PT_OK, booted);
	assert_int_equal(pt_el2_read_ttbr0_el2(), own.space.map.root.v);
	for (unsigned i = 0; i < 4; i++)
		for (uint64_t pa = own.image[i].pa; pa < own.image[i].pa + own.image[i].size;
		     pa += PT_SZ_4K)
			expect(pa, pa, own.image[i].prot);
	for (uint64_t pa = POOL; pa < POOL + POOL_BYTES; pa += PT_SZ_4K)
		expect(pa, pa, PT_PROT_RW);
	expect_none(POOL + POOL_BYTES);
	expect_none(POOL - 1);
	expect_none(PT_EL2_RAM);
	expect_none(UART);
	expect(own.uart.va, UART, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE));
	for (unsigned i = 0; i < CPUS; i++) {
		uint64_t pa = at(own.cpu[i].stack_top - 8, false) & UINT64_C(0xffffffffff000);

		expect(own.cpu[i].stack_top - 8, pa, PT_PROT_RW);
		assert_true(pa >= POOL && pa < POOL + POOL_BYTES);
		expect_none(own.cpu[i].stack_top - 0x4000 - 8);
		expect_none(own.cpu[i].stack_top - 0x8000);
		expect_none(own.cpu[i].window);
	}
}

static void the_loaders_table_is_the_hosts(void **state)
{
	const volatile uint64_t *now;
	uint64_t pa = (uintptr_t)pt_el2_loader_table;

	(void)state;
	assert_int_equal(own.returned.pa, pa);
	assert_int_equal(own.returned.size, 0x10000);
	expect_none(pa);
	assert_int_equal(pt_frame_find(&own.space.memory, pt_pa(pa))->owner, PT_FRAME_HOST);
	pt_section_begin(&own.agent[0]);
	ASSERT_OUTCOME(PT_MAPPED,
		       pt_hyp_call_map(&own.space, &own.agent[0], pt_pa(pa), PT_SZ_4K, PT_PROT_RW));
	now = (const volatile uint64_t *)pt_hyp_linear(&own.space, pt_pa(pa));
	assert_int_equal(now[1] & 1, 1); /* its second GiB */
	ASSERT_OUTCOME(PT_UNMAPPED,
		       pt_hyp_call_unmap(&own.space, &own.agent[0], pt_pa(pa), PT_SZ_4K));
	pt_section_end(&own.agent[0]);
	expect_none(pa);
}

static void each_frame_has_its_record(void **state)
{
	(void)state;
	for (uint64_t pa = own.ram.pa; pa < own.ram.pa + own.ram.size; pa += PT_SZ_4K) {
		bool hyp = pa >= POOL && pa < POOL + POOL_BYTES;

		for (unsigned i = 0; i < 4; i++)
			hyp = hyp ||
			      (pa >= own.image[i].pa && pa < own.image[i].pa + own.image[i].size);
		assert_int_equal(pt_frame_at(&own.space.memory, pa)->owner,
				 hyp ? PT_FRAME_HYP : PT_FRAME_HOST);
	}
	assert_null(pt_frame_find(&own.space.memory, pt_pa(UART)));
	assert_null(pt_frame_find(&own.space.memory, pt_pa(own.ram.pa + own.ram.size)));
}

/* Memory of the host is there while it is counted, and really the same by either way to it. */
static void memory_is_mapped_and_zeroed_through_a_window(void **state)
{
	volatile uint64_t *linear = (volatile uint64_t *)HOST;
	void *window;

	(void)state;
	pt_section_begin(&own.agent[0]);
	expect_none(HOST);
	ASSERT_OUTCOME(PT_MAPPED, pt_hyp_call_map(&own.space, &own.agent[0], pt_pa(HOST),
						  2 * PT_SZ_4K, PT_PROT_RW));
	expect(HOST + PT_SZ_4K, HOST + PT_SZ_4K, PT_PROT_RW);
	for (unsigned i = 0; i < 1024; i++)
		linear[i] = i + 1;
	ASSERT_OUTCOME(PT_OK, pt_hyp_window_open(&own.space, &own.cpu[0], pt_pa(HOST + PT_SZ_4K),
						 &window));
	assert_int_equal(*(volatile uint64_t *)window, 513);
	*(volatile uint64_t *)window = 7;
	pt_hyp_window_close(&own.space, &own.cpu[0]);
	expect_none(own.cpu[0].window);
	assert_int_equal(linear[512], 7);
	ASSERT_OUTCOME(PT_OK, pt_hyp_zero(&own.space, &own.cpu[0], pt_pa(HOST)));
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(linear[i], 0);
	assert_int_equal(linear[513], 514);
	ASSERT_OUTCOME(PT_UNMAPPED,
		       pt_hyp_call_unmap(&own.space, &own.agent[0], pt_pa(HOST), 2 * PT_SZ_4K));
	expect_none(HOST);
	expect_none(HOST + PT_SZ_4K);
	ASSERT_OUTCOME(PT_WRONG_OWNER, pt_hyp_call_map(&own.space, &own.agent[0], pt_pa(POOL),
						       PT_SZ_4K, PT_PROT_RW));
	pt_section_end(&own.agent[0]);
}

static void a_device_has_a_private_address(void **state)
{
	uint64_t va = 0;

	(void)state;
	pt_section_begin(&own.agent[0]);
	ASSERT_OUTCOME(PT_MAPPED,
		       pt_hyp_call_private(&own.space, &own.agent[0], pt_pa(UART), PT_SZ_4K,
					   PT_PROT(PT_PROT_R, PT_MEM_DEVICE), &va));
	pt_section_end(&own.agent[0]);
	expect(va, UART, PT_PROT(PT_PROT_R, PT_MEM_DEVICE));
	assert_int_equal(*(volatile uint32_t *)(va + 0xfe0) & 0xff, 0x11); /* a PL011 */
}

/* A table that the early allocator gave goes back to the pool, and out again, zeroed. The last
 * test: the frames have no records after it. */
static void an_early_table_is_freed(void **state)
{
	uint64_t used = atomic_load(&own.world.pool.used_bytes), bytes;
	struct pt_page page;

	(void)state;
	pt_section_begin(&own.agent[0]);
	ASSERT_OUTCOME(PT_UNMAPPED,
		       pt_hyp_unmap(&own.space.map, &own.agent[0],
				    (uintptr_t)pt_frame_at(&own.space.memory, own.ram.pa),
				    (own.ram.size >> PT_FRAME_SHIFT) * sizeof(struct pt_frame),
				    &bytes));
	assert_true(atomic_load(&own.world.pool.used_bytes) < used);
	ASSERT_OUTCOME(PT_OK, pt_pool_get(&own.agent[0], 12, &page));
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(((const uint64_t *)(POOL + page.off))[i], 0);
	pt_pool_put(&own.agent[0], 12, page);
	pt_section_end(&own.agent[0]);
}

struct work {
	uint32_t id;
	uint64_t wrong, done;
};

/* Its own window, again and again, over frames that are its own. */
static void zero_frames(void *arg)
{
	struct work *w = arg;

	pt_el2_switch(NULL, &own.space.map);
	for (unsigned i = 0; i < 2000; i++) {
		struct pt_pa pa = {HOST + 0x100000 * w->id + (i & 63) * PT_SZ_4K};
		void *window;

		if (pt_hyp_window_open(&own.space, &own.cpu[w->id], pa, &window) != PT_OK) {
			w->wrong++;
			continue;
		}
		if (i > 63 && *(volatile uint64_t *)window != ((uint64_t)w->id << 32 | (i - 64)))
			w->wrong++;
		*(volatile uint64_t *)window = (uint64_t)w->id << 32 | i;
		pt_hyp_window_close(&own.space, &own.cpu[w->id]);
		w->done++;
	}
}

static void four_cpus_have_windows_of_their_own(void **state)
{
	static struct work work[CPUS];

	(void)state;
	for (uint32_t i = 0; i < CPUS; i++)
		work[i].id = i;
	for (uint32_t i = 1; i < CPUS; i++)
		pt_el2_cpu_run(i, zero_frames, &work[i]);
	zero_frames(&work[0]);
	for (uint32_t i = 1; i < CPUS; i++)
		pt_el2_cpu_wait(i);
	for (uint32_t i = 0; i < CPUS; i++) {
		assert_int_equal(work[i].wrong, 0);
		assert_int_equal(work[i].done, 2000);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cpu_finds_what_was_planned),
		cmocka_unit_test(the_loaders_table_is_the_hosts),
		cmocka_unit_test(each_frame_has_its_record),
		cmocka_unit_test(memory_is_mapped_and_zeroed_through_a_window),
		cmocka_unit_test(a_device_has_a_private_address),
		cmocka_unit_test(four_cpus_have_windows_of_their_own),
		cmocka_unit_test(an_early_table_is_freed),
	};

	/* They start on the loader's table, which is gone after it. */
	for (uint32_t i = 1; i < CPUS; i++)
		(void)pt_el2_cpu_start(i);
	booted = own_boot();
	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
