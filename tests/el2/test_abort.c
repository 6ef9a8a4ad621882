/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ESR, FAR and HPFAR of aborts of each class at each level, and of those that a walk of the guest's
 * own stage 1 makes: what the CPU sets against what the host port's half of an MMU would.
 */
#include "stage2.h"

static struct stage2 s;
static uint64_t page;

static void with_each_shape(void (*body)(void))
{
	for (unsigned i = 0; i < S2_SHAPES; i++) {
		if (!s2_open(&s, &s2_shapes[i]))
			continue;
		page = UINT64_C(1) << s.ctx.geo.granule_shift;
		body();
		s2_close(&s);
	}
}

/* That each access to it ends in this fault at this level, as predicted. */
static void abort_each(uint64_t ipa, enum hw_access from, enum hw_fault fault, int level)
{
	for (enum hw_access access = from; access <= HW_EXEC; access++) {
		struct hw_result r = s2_walk(&s, ipa, access);

		assert_int_equal(r.fault, fault);
		assert_int_equal(r.level, level);
		s2_compare_access(&s, ipa, access);
	}
}

/* An address that leaves the path to a page at that level: two entries on. */
static void holes(void)
{
	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM, page, s2_pa(0), PT_PROT_R, 0));
	for (int level = s.ctx.geo.start_level; level <= PT_LEVEL_LAST; level++)
		abort_each(S2_RAM ^ UINT64_C(2) << pt_level_shift(&s.ctx.geo, level), HW_READ,
			   HW_TRANSLATION, level);
}

static void a_hole_is_told_with_its_level(void **state)
{
	(void)state;
	with_each_shape(holes);
}

/* Of each size, where nobody can read it: what stands at that PA is never touched. */
static void leaves(void)
{
	uint64_t half = UINT64_C(1) << (s.ctx.geo.ipa_bits - 1);

	for (int level = s.ctx.geo.min_block_level; level <= PT_LEVEL_LAST; level++) {
		uint64_t size = pt_level_size(&s.ctx.geo, level);
		uint64_t inside = half + size - page + 8;

		if (size > half)
			continue;
		ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, half, size, 0, PT_PROT_R, 0));
		abort_each(inside, HW_WRITE, HW_PERMISSION, level);
		assert_int_equal(s2_age(&s, half, size, true, NULL), size / page);
		abort_each(inside, HW_READ, HW_ACCESS_FLAG, level);
		ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, half, size));
	}
}

static void a_leaf_of_each_size_lacks_right_and_access_flag(void **state)
{
	(void)state;
	with_each_shape(leaves);
}

/*
 * The guest's stage 1: 4K, 39 bits. The first GiB is itself; the second is a table of blocks, of
 * which the first is S2_RAM.
 */
#define TCR_EL1	 0x00803519	      /* write-back, inner shareable, no TTBR1, 4 GiB */
#define SCTLR_ON UINT64_C(0x30d0180d) /* RES1; I, SA, C, M */
#define BLOCK	 UINT64_C(0x701)      /* access flag, inner shareable, EL1 alone, attribute 0 */
#define VA	 UINT64_C(0x40000000) /* where its walk reads `below` */
#define TOP	 UINT64_C(0x00100000) /* offsets in S2_RAM: on pages of their own */
#define BELOW	 UINT64_C(0x00110000)
#define MARK	 UINT64_C(0x5110e5110e)

static void flush_guest(void)
{
	__asm__ volatile("dsb ish\n\ttlbi vmalls12e1is\n\tdsb ish\n\tisb" ::: "memory");
}

static void stage1_on(void)
{
	memset(s2_memory(TOP), 0, PT_SZ_4K);
	memset(s2_memory(BELOW), 0, PT_SZ_4K);
	*s2_memory(TOP) = BLOCK;
	*s2_memory(TOP + 8) = (S2_RAM + BELOW) | 3;
	*s2_memory(BELOW) = S2_RAM | BLOCK;
	pt_el2_write_mair_el1(0xff);
	pt_el2_write_tcr_el1(TCR_EL1);
	pt_el2_write_ttbr0_el1(S2_RAM + TOP);
	pt_el2_write_sctlr_el1(SCTLR_ON);
	/* HCR_EL2.DC would switch it off. */
	pt_el2_write_hcr_el2(pt_el2_read_hcr_el2() & ~PT_HCR_DC);
	flush_guest();
}

static void stage1_off(void)
{
	pt_el2_write_sctlr_el1(PT_SCTLR_EL1_RES1);
	pt_el2_write_hcr_el2(pt_el2_read_hcr_el2() | PT_HCR_DC);
	flush_guest();
}

/* Without the register that a load or store uses. */
#define ESR_COMPARED (~(UINT64_C(0x7ff) << 14))
#define ESR_WNR	     (UINT64_C(1) << 6)
#define ESR_LEVEL    UINT64_C(3)

/* QEMU 7.2 tells the level of the walk of stage 1 (docs/el2.md). */
static uint64_t compared(enum hw_access access)
{
	uint64_t mask = ESR_COMPARED;

	/* A walk reads, also for a store: QEMU tells the store, ptd what its caller says. */
	if (access == HW_WRITE)
		mask &= ~ESR_WNR;
	return s2_qemu() < 8 ? mask & ~ESR_LEVEL : mask;
}

static void abort_on_walk(enum hw_access access, enum hw_fault fault)
{
	static void (*const code[])(void) = {
		[HW_READ] = guest_load, [HW_WRITE] = guest_store, [HW_EXEC] = guest_exec};
	uint64_t ipa = S2_RAM + BELOW, mask = compared(access);
	struct hw_result r = s2_walk(&s, ipa, HW_READ);
	struct hw_syndrome wanted;
	struct pt_el2_exit exit;

	assert_int_equal(r.fault, fault);
	hw_syndrome(&r, ipa, access, true, 8, &wanted);
	assert_true(wanted.hpfar_known);
	s.vcpu[0].handle = false;
	assert_int_equal(s2_guest(&s.vcpu[0], code[access], VA + 64, 0, 0, &exit), PT_EL2_ABORT);
	assert_int_equal(exit.abort.esr & mask, wanted.esr & mask);
	assert_int_equal(exit.abort.far, VA + 64);
	assert_int_equal(exit.abort.hpfar, wanted.hpfar);
	assert_int_equal(exit.abort.ipa, ipa);
	el2_compared++;
}

/* The guest's table is nowhere, not to be read, old; then the handler brings it. */
static void walks(void)
{
	struct pt_el2_exit exit;

	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM, page, s2_pa(0), PT_PROT_RWX, 0));
	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM + TOP, page, s2_pa(TOP), PT_PROT_R, 0));
	stage1_on();
	*s2_memory(64) = MARK;
	for (enum hw_access access = HW_READ; access <= HW_EXEC; access++)
		abort_on_walk(access, HW_TRANSLATION);
	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM + BELOW, page, s2_pa(BELOW), PT_PROT_W, 0));
	for (enum hw_access access = HW_READ; access <= HW_EXEC; access++)
		abort_on_walk(access, HW_PERMISSION);
	ASSERT_OUTCOME(PT_RELAXED, s2_protect(&s, S2_RAM + BELOW, page, PT_PROT_RW));
	assert_int_equal(s2_age(&s, S2_RAM + BELOW, page, true, NULL), 1);
	abort_on_walk(HW_READ, HW_ACCESS_FLAG);
	ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, S2_RAM + BELOW, page));
	s.vcpu[0].handle = true;
	assert_int_equal(s2_guest(&s.vcpu[0], guest_load, VA + 64, 0, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.value, MARK);
	assert_int_equal(exit.aborts, 1);
	ASSERT_OUTCOME(PT_MAPPED, s.vcpu[0].outcome);
	stage1_off();
}

static void a_walk_of_the_guests_stage_1_aborts(void **state)
{
	(void)state;
	with_each_shape(walks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hole_is_told_with_its_level),
		cmocka_unit_test(a_leaf_of_each_size_lacks_right_and_access_flag),
		cmocka_unit_test(a_walk_of_the_guests_stage_1_aborts),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
