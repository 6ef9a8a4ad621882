/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is after boot: the features of each CPU model, other CPUs, memory that compilers may
 * ask for. */
#include "stage2.h"

#include <pt/el2/image.h>
#include <pt/el2/switch.h>

struct model {
	const char *name;
	struct pt_el2_features f;
};

/* What models of one architecture have in common. */
#define V8_0 .granule = {true, false, true}, .vmid_bits = 8
#define V8_2                                                                                       \
	.granule = {true, true, true}, .vmid_bits = 16, .vhe = true, .xnx = true, .hw_af = true,   \
	.hw_dirty = true
#define V8_4 V8_2, .bbm = 2, .fwb = true
#define V9_0 V8_4, .ttl = true, .tlbi_range = true

/* Models by their technical reference manuals; max is QEMU's own. Without the sizes of caches. The
 * last three are of QEMU 11. */
static const struct model models[] = {
	{"max", {V9_0, .pa_bits = 52, .lpa2 = {true, true}}},
	{"neoverse-n1", {V8_2, .pa_bits = 48}},
	{"cortex-a76", {V8_2, .pa_bits = 40}},
	{"cortex-a72", {V8_0, .pa_bits = 44}},
	{"cortex-a53", {V8_0, .pa_bits = 40}},
	{"neoverse-v1", {V8_4, .pa_bits = 48}},
	{"neoverse-n2", {V9_0, .pa_bits = 48}},
	{"cortex-a710", {V9_0, .pa_bits = 40}},
};

static const struct pt_el2_features *this_model(void)
{
	const char *name = getenv("CPU");
	const struct pt_el2_features *f = NULL;

	assert_non_null(name);
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (!strcmp(name, models[i].name))
			f = &models[i].f;
	assert_non_null(f);
	return f;
}

static void the_features_are_those_of_the_model(void **state)
{
	const struct pt_el2_features *f = &pt_el2_features, *w = this_model();
	const char *name = getenv("CPU");

	(void)state;
	print_message("%s: PA %u, VMID %u, granules %u%u%u, LPA2 %u%u, BBM %u, VHE %u, FWB %u\n",
		      name, f->pa_bits, f->vmid_bits, f->granule[0], f->granule[1], f->granule[2],
		      f->lpa2[0], f->lpa2[1], f->bbm, f->vhe, f->fwb);
	print_message(
		"XNX %u, TTL %u, range %u, HA %u, HD %u, lines %u %u, ZVA %u, IDC %u, DIC %u\n",
		f->xnx, f->ttl, f->tlbi_range, f->hw_af, f->hw_dirty, f->dline, f->iline, f->zva,
		f->idc, f->dic);
	assert_memory_equal(f->granule, w->granule, sizeof(f->granule));
	assert_memory_equal(f->lpa2, w->lpa2, sizeof(f->lpa2));
	assert_int_equal(f->pa_bits, w->pa_bits);
	assert_int_equal(f->vmid_bits, w->vmid_bits);
	assert_int_equal(f->bbm, w->bbm);
	assert_int_equal(f->vhe, w->vhe);
	assert_int_equal(f->fwb, w->fwb);
	assert_int_equal(f->xnx, w->xnx);
	assert_int_equal(f->ttl, w->ttl);
	assert_int_equal(f->tlbi_range, w->tlbi_range);
	assert_int_equal(f->hw_af, w->hw_af);
	assert_int_equal(f->hw_dirty, w->hw_dirty);
	assert_in_range(f->dline, 16, 256);
	assert_in_range(f->iline, 16, 256);
}

/* What all other suites make their contexts of: a geometry that were refused here, they would leave
 * out. */
static void contexts_have_what_the_model_has(void **state)
{
	const struct pt_el2_features *w = this_model();
	struct pt_geometry_args a;

	(void)state;
	for (unsigned granule = 0; granule < 3; granule++)
		for (unsigned ds = 0; ds < 2; ds++) {
			bool has =
				w->granule[granule] && (!ds || (granule < 2 && w->lpa2[granule]));
			bool wide = granule == 2 || ds;
			unsigned bits = w->pa_bits < 48 || wide ? w->pa_bits : 48;

			ASSERT_OUTCOME(has ? PT_OK : PT_UNSUPPORTED,
				       pt_el2_geometry_args(&a, 12 + 2 * granule, ds));
			if (!has)
				continue;
			assert_int_equal(a.granule_shift, 12 + 2 * granule);
			assert_int_equal(a.ds, ds);
			assert_int_equal(a.ipa_bits, bits);
			assert_int_equal(a.pa_bits, bits);
		}
	for (unsigned shift = 0; shift < 256; shift++)
		if (shift != 12 && shift != 14 && shift != 16)
			ASSERT_OUTCOME(PT_UNSUPPORTED, pt_el2_geometry_args(&a, shift, false));
	assert_int_equal(pt_el2_attrs(), (w->fwb ? PT_ATTR_FWB : 0) | (w->xnx ? PT_ATTR_XNX : 0) |
						 PT_ATTR_BBM(w->bbm));
	assert_int_equal(pt_el2_vtcr_flags(), w->vmid_bits == 16 ? PT_VTCR_VS : 0);
}

static void a_table_memory_is_zeroed(void **state)
{
	static _Alignas(4096) uint64_t page[1024];
	size_t at[] = {0, 1, 7}, sizes[] = {4096, 64, 8, 24};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < 4; j++) {
			memset(page, 0xff, sizeof(page));
			pt_port_zero(page + at[i], sizes[j]);
			for (size_t k = 0; k < 1024; k++)
				assert_int_equal(page[k] == 0,
						 k >= at[i] && k < at[i] + sizes[j] / 8);
		}
}

static void memory_is_copied_filled_and_compared(void **state)
{
	static unsigned char a[64], b[64];

	(void)state;
	for (size_t from = 0; from < 9; from++)
		for (size_t n = 0; n < 33; n++) {
			memset(a, 0, sizeof(a));
			for (size_t i = 0; i < sizeof(b); i++)
				b[i] = (unsigned char)(i + 1);
			memcpy(a + 3, b + from, n);
			assert_int_equal(memcmp(a + 3, b + from, n), 0);
			assert_int_equal(a[3 + n], 0);
			memmove(b + from + 1, b + from, n);
			assert_int_equal(memcmp(b + from + 1, a + 3, n), 0);
			memset(a + from, 7, n);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(a[from + i], 7);
			assert_true(memcmp("abcdefgh", "abcdefgi", 8) < 0);
		}
}

static void count(void *arg)
{
	struct {
		struct pt_port_lock lock;
		uint64_t sum;
	} *shared = arg;

	for (unsigned i = 0; i < 10000; i++) {
		pt_port_lock(&shared->lock);
		shared->sum++; /* plain: the lock orders it */
		pt_port_unlock(&shared->lock);
	}
}

static void four_cpus_start_and_exclude_each_other(void **state)
{
	static struct {
		struct pt_port_lock lock;
		uint64_t sum;
	} shared;

	(void)state;
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_LEAF, &shared.lock, NULL, 0, 0);
	for (uint32_t i = 1; i < 4; i++) {
		assert_true(pt_el2_cpu_start(i));
		assert_true(pt_el2_cpu_start(i));
		pt_el2_cpu_run(i, count, &shared);
	}
	count(&shared);
	for (uint32_t i = 1; i < 4; i++)
		pt_el2_cpu_wait(i);
	assert_int_equal(shared.sum, 40000);
	assert_false(pt_el2_cpu_start(7)); /* QEMU has four */
	assert_false(pt_el2_cpu_start(PT_EL2_CPUS));
}

static void eight_bytes_are_exchanged_whole(void **state)
{
	pt_pte slot = 5, old = 6;

	(void)state;
	assert_false(pt_pte_cas(&slot, &old, 7));
	assert_int_equal(old, 5);
	assert_true(pt_pte_cas(&slot, &old, 7));
	assert_int_equal(pt_pte_load(&slot), 7);
	pt_pte_store(&slot, UINT64_MAX);
	assert_int_equal(slot, UINT64_MAX);
	pt_pte_store_release(&slot, 9);
	assert_int_equal(pt_pte_private(&slot), 9);
}

/* Instructions of start.S and identity.S; what a register is written from is masked out. */
enum {
	TLBI_ALLE2 = 0xd50c871f,
	TLBI_ALLE1 = 0xd50c879f,
	IC_IALLU = 0xd508751f,
	DSB_NSH = 0xd503379f,
	DSB_ISH = 0xd5033b9f,
	ISB = 0xd5033fdf,
	MSR_SCTLR = 0xd51c1000,
	MSR_TTBR0 = 0xd51c2000,
	MSR_TCR = 0xd51c2040,
	MSR_MAIR = 0xd51ca200,
	MSR_HCRX = 0xd51c1240,
	MSR_HFGRTR = 0xd51c1180,
	MSR_HDFGWTR = 0xd51c31a0,
	RET = 0xd65f03c0,
};

static uint32_t without_register(uint32_t insn)
{
	return insn >> 20 == 0xd51 ? insn & ~UINT32_C(0x1f) : insn;
}

static const uint32_t *next(const uint32_t *from, const uint32_t *to, uint32_t wanted)
{
	while (from < to && without_register(*from) != wanted)
		from++;
	return from;
}

/* Each behind the one before; where the last one is. */
static const uint32_t *in_order(const uint32_t *from, const uint32_t *to, const uint32_t *wanted,
				size_t count)
{
	for (size_t i = 0; i < count; i++) {
		from = next(from, to, wanted[i]);
		if (from == to)
			print_error("instruction %lu of the order is missing: %x\n", i, wanted[i]);
		assert_true(from < to);
		from++;
	}
	return from - 1;
}
#define IN_ORDER(from, to, ...)                                                                    \
	in_order((from), (to), (const uint32_t[]){__VA_ARGS__},                                    \
		 sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Loads and stores, but loads of literals beside the code: Arm ARM C4.1.4. */
static unsigned accesses(const uint32_t *from, const uint32_t *to)
{
	unsigned n = 0;

	for (; from < to; from++)
		n += (*from & 0x0a000000) == 0x08000000 && (*from & 0x3b000000) != 0x18000000;
	return n;
}

/*
 * With the MMU off data would pass by caches that may have lines of others, and QEMU has none to
 * show it: so nothing is written, or read but the image as it was loaded, and what the TLBs and
 * instruction caches have of others is gone.
 */
static void nothing_is_written_before_the_mmu_is_on(void **state)
{
	const uint32_t *begin = (const uint32_t *)(const void *)pt_el2_text, *on;

	(void)state;
	on = IN_ORDER(begin, begin + 256, MSR_SCTLR, ISB, MSR_MAIR, MSR_TCR, MSR_TTBR0, ISB,
		      TLBI_ALLE2, TLBI_ALLE1, IC_IALLU, DSB_NSH, ISB, MSR_SCTLR);
	assert_int_equal(on[1], ISB);
	assert_int_equal(accesses(begin, on), 0);
	assert_true(accesses(on, on + 32) > 0); /* and then there are some */
}

static uint64_t field(uint64_t reg, unsigned lo, unsigned width)
{
	return reg >> lo & ((UINT64_C(1) << width) - 1);
}

/* Out of reset these registers may have any value. QEMU's are zero but for the counters' number. */
static void el1_gets_what_the_cpu_has(void **state)
{
	const uint32_t *begin = (const uint32_t *)(const void *)pt_el2_text;
	uint64_t dfr0, pmcr;

	(void)state;
	__asm__("mrs %0, id_aa64dfr0_el1" : "=r"(dfr0));
	__asm__("mrs %0, pmcr_el0" : "=r"(pmcr));
	assert_in_range(field(dfr0, 8, 4), 1, 14); /* each model has a PMU */
	assert_true(field(pmcr, 11, 5) > 0);
	assert_int_equal(field(pt_el2_read_mdcr_el2(), 0, 5), field(pmcr, 11, 5));
	assert_int_equal(field(pt_el2_read_mdcr_el2(), 5, 59), 0);
	(void)IN_ORDER(begin, begin + 256, MSR_HCRX, MSR_HFGRTR, MSR_HDFGWTR, MSR_SCTLR);
}

/* What was written to the new table is there for its walks, and no register of the old one, and
 * nothing that was cached of it, is in use when the MMU is on again. QEMU misses none of these. */
static void the_switch_of_tables_is_in_order(void **state)
{
	const uint32_t *begin = (const uint32_t *)(const void *)pt_el2_switch_code;
	const uint32_t *end = next(begin, begin + 64, RET), *off, *on;

	(void)state;
	assert_int_equal(*end, RET);
	assert_int_equal((uintptr_t)begin >> 12, (uintptr_t)end >> 12); /* the identity page */
	assert_int_equal(*begin, DSB_ISH);
	off = IN_ORDER(begin, end, DSB_ISH, MSR_SCTLR);
	assert_int_equal(off[1], ISB);
	on = IN_ORDER(off + 2, end, MSR_TTBR0, MSR_TCR, MSR_MAIR, ISB, TLBI_ALLE2, DSB_NSH, ISB,
		      MSR_SCTLR);
	assert_int_equal(on[1], ISB);
	assert_int_equal(accesses(begin, end), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_written_before_the_mmu_is_on),
		cmocka_unit_test(el1_gets_what_the_cpu_has),
		cmocka_unit_test(the_switch_of_tables_is_in_order),
		cmocka_unit_test(the_features_are_those_of_the_model),
		cmocka_unit_test(contexts_have_what_the_model_has),
		cmocka_unit_test(a_table_memory_is_zeroed),
		cmocka_unit_test(memory_is_copied_filled_and_compared),
		cmocka_unit_test(four_cpus_start_and_exclude_each_other),
		cmocka_unit_test(eight_bytes_are_exchanged_whole),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
