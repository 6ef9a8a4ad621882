/* SPDX-License-Identifier: BSD-2-Clause */
/* A TLB that keeps whatever was not invalidated, and prefetches. */
#include "tlb_fixture.h"

#include "../../lib/port/host/tlb.h"

static void the_adversary_keeps_until_a_matching_invalidation(void **state)
{
	static const struct {
		enum pt_tlbi_kind kind;
		uint16_t vmid;
		uint64_t ipa, size;
		int level;
		uint64_t page;	/* what page 2 reads as afterwards: 2 is stale, 40 is new */
		uint64_t block; /* what the block's page 7 reads as: 519 is stale, 42 is new */
	} rows[] = {
		{PT_TLBI_IPA, 5, 3 * PAGE, PAGE, 3, 2, 519},
		{PT_TLBI_IPA, 6, 2 * PAGE, PAGE, 3, 2, 519},
		{PT_TLBI_IPA, 5, 2 * PAGE, PAGE, 3, 40, 519},
		{PT_TLBI_IPA, 5, 2 * PAGE, PAGE, 2, 2, 519}, /* a wrong hint removes nothing */
		{PT_TLBI_IPA, 5, BLOCK + 7 * PAGE, PAGE, 3, 2, 519},
		{PT_TLBI_IPA, 5, BLOCK + 9 * PAGE, PAGE, PT_TTL_UNKNOWN, 2, 42},
		{PT_TLBI_IPA, 5, BLOCK, BLOCK, 2, 2, 42},
		{PT_TLBI_RANGE, 5, 0, 2 * PAGE, PT_TTL_UNKNOWN, 2, 519},
		{PT_TLBI_RANGE, 5, PAGE, 2 * PAGE, PT_TTL_UNKNOWN, 40, 519},
		{PT_TLBI_RANGE, 5, 0, 2 * BLOCK, PT_TTL_UNKNOWN, 40, 42},
		{PT_TLBI_RANGE, 5, 0, 2 * BLOCK, 3, 40, 519},
		{PT_TLBI_VMID, 6, 0, 0, PT_TTL_UNKNOWN, 2, 519},
		{PT_TLBI_VMID, 5, 0, 0, PT_TTL_UNKNOWN, 40, 42},
		{PT_TLBI_ALL, 0, 0, 0, PT_TTL_UNKNOWN, 40, 42},
		{PT_TLBI_LOCAL, 5, 2 * PAGE, PAGE, 3, 40, 519},
		{PT_TLBI_STAGE1, 5, 0, 0, PT_TTL_UNKNOWN, 2, 519},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f = set_up(PT_HOST_TLB_ADVERSARIAL, 1);
		struct pt_host_tlb_stats stats;

		assert_int_equal(page_behind(f, &f->ctx, 0, 2 * PAGE, NULL), 2);
		assert_int_equal(page_behind(f, &f->ctx, 0, BLOCK + 7 * PAGE, NULL), 519);
		/* far more entries than a cache has never push one out */
		for (uint64_t p = 100; p < 400; p++)
			page_behind(f, &f->ctx, 0, p * PAGE, NULL);
		set_page(f, 2 * PAGE, 40 * PAGE, PT_PROT_RWX);
		*slot(f, L2 + 8) = (TABLE_PA + 0x6000) | 3;
		*slot(f, 0x6000 + 7 * 8) = 42 * PAGE | 0x7ff;
		flush(f, rows[i].kind, rows[i].vmid, rows[i].ipa, rows[i].size, rows[i].level);
		assert_int_equal(page_behind(f, &f->ctx, 0, 2 * PAGE, NULL), rows[i].page);
		assert_int_equal(page_behind(f, &f->ctx, 0, BLOCK + 7 * PAGE, NULL), rows[i].block);
		pt_host_tlb_stats(&f->mmu, &stats);
		assert_int_equal(stats.stale, (rows[i].page == 2) + (rows[i].block == 519));
		assert_true(stats.kept >= 302);
		assert_true(stats.served >= stats.stale);
		tear_down(f);
	}
}

/* A stage-2 invalidation alone leaves the combined entry: here it has its stage-1 half removed. */
static void combined_entries_need_the_stage_1_half(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_ADVERSARIAL, 1);
	struct adversary *a = f->mmu.vcpu[0].adversary;
	struct tlb_pair old = {.tag = tlb_tag(PAGE, 5, 1), .data = 0x1203}, got;
	struct pt_tlbi elsewhere = {
		.kind = PT_TLBI_IPA, .vmid = 5, .ipa = {9 * PAGE}, .size = PAGE, .level = 3};

	(void)state;
	assert_true(adversary_fill(&f->mmu, a, &old, 0));
	assert_int_equal(adversary_count(a), 1);
	/* VMALLE1 after any IPAS2E1 empties the combined store of the VMID, not the stage-2 one */
	adversary_stage2(a, &elsewhere);
	adversary_stage1(a, &elsewhere);
	assert_true(adversary_lookup(a, PAGE, 5, &got));
	assert_int_equal(got.data, 0x1203);
	assert_false(adversary_lookup(a, PAGE, 6, &got));
	elsewhere.ipa = pt_ipa(PAGE);
	adversary_stage2(a, &elsewhere);
	assert_false(adversary_lookup(a, PAGE, 5, &got));
	tear_down(f);
}

/* What only a combined entry remembers is gone after an invalidation of stage 1, and nothing else.
 */
static void stage_1_alone_takes_combined_entries(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_ADVERSARIAL, 1);
	struct adversary *a = f->mmu.vcpu[0].adversary;
	struct tlb_pair first = {.tag = tlb_tag(PAGE, 5, 1), .data = 0x1203};
	struct tlb_pair second = {.tag = tlb_tag(2 * PAGE, 5, 1), .data = 0x2203}, got;
	struct pt_tlbi stage2 = {
		.kind = PT_TLBI_IPA, .vmid = 5, .ipa = {PAGE}, .size = PAGE, .level = 3};
	struct pt_tlbi stage1 = {.kind = PT_TLBI_STAGE1, .vmid = 6, .level = PT_TTL_UNKNOWN};

	(void)state;
	assert_true(adversary_fill(&f->mmu, a, &first, 0));
	assert_true(adversary_fill(&f->mmu, a, &second, 0));
	adversary_stage2(a, &stage2);
	pt_host_tlbi(&f->mmu, &stage1);
	assert_true(adversary_lookup(a, PAGE, 5, &got)); /* another VMID's */
	stage1.vmid = 5;
	pt_host_tlbi(&f->mmu, &stage1);
	assert_false(adversary_lookup(a, PAGE, 5, &got));
	assert_true(adversary_lookup(a, 2 * PAGE, 5, &got));
	assert_int_equal(got.data, 0x2203);
	assert_false(adversary_fill(&f->mmu, a, &first, 0)); /* walked before it */
	tear_down(f);
}

/* The oldest of several answers, whatever their sizes. */
static void the_adversary_answers_with_the_oldest(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_ADVERSARIAL, 1);
	struct adversary *a = f->mmu.vcpu[0].adversary;
	struct tlb_pair block = {.tag = tlb_tag(BLOCK, 5, 4), .data = 0x200003};
	struct tlb_pair page = {.tag = tlb_tag(BLOCK, 5, 1), .data = 0x300003}, got;

	(void)state;
	assert_true(adversary_fill(&f->mmu, a, &block, 0));
	assert_true(adversary_fill(&f->mmu, a, &page, 0));
	assert_true(adversary_lookup(a, BLOCK, 5, &got));
	assert_int_equal(got.data, block.data);
	tear_down(f);
}

static void the_adversary_prefetches_under_its_seed(void **state)
{
	uint32_t kept[2];

	(void)state;
	for (int run = 0; run < 2; run++) {
		struct fixture *f = set_up(PT_HOST_TLB_ADVERSARIAL, 1);

		for (uint64_t p = 100; p < 150; p++)
			page_behind(f, &f->ctx, 0, p * PAGE, NULL);
		kept[run] = pt_host_tlb_count(&f->mmu, 0);
		tear_down(f);
	}
	assert_int_equal(kept[0], kept[1]);
	assert_true(kept[0] > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_adversary_keeps_until_a_matching_invalidation),
		cmocka_unit_test(combined_entries_need_the_stage_1_half),
		cmocka_unit_test(stage_1_alone_takes_combined_entries),
		cmocka_unit_test(the_adversary_answers_with_the_oldest),
		cmocka_unit_test(the_adversary_prefetches_under_its_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
