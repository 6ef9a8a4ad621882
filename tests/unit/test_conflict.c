/* SPDX-License-Identifier: BSD-2-Clause */
/* TLB conflict aborts: two sizes of one translation are held at once (FEAT_BBM 1 and 2). */
#include <pt/upkeep.h>

#include "core.h"

static void resize(struct core *c, uint32_t kind)
{
	struct pt_upkeep_args args = {
		.ctx = &c->ctx, .kind = kind, .ipa = {PT_SZ_1G}, .size = PT_SZ_2M};
	struct pt_upkeep upkeep;
	enum pt_outcome outcome;

	args.level = kind == PT_UPKEEP_SPLIT ? PT_LEVEL_LAST : 0;
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&upkeep, &args, NULL));
	do {
		pt_section_begin(&c->agent);
		outcome = pt_upkeep_step(&upkeep, &c->agent, 1000);
		pt_section_end(&c->agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
}

/* Without its invalidations: as every vCPU sees it until they are done. */
static void resize_unflushed(struct core *c, uint32_t kind)
{
	struct pt_host_failpoint drop = {.nth = 1};

	pt_host_failpoint_arm(PT_FP_TLBI_DROP, &drop);
	resize(c, kind);
	pt_host_failpoint_disarm(PT_FP_TLBI_DROP);
}

/* A byte of page `n` and what was written there; how many conflicts that took. */
static uint64_t access_page(struct core *c, struct pt_host_ram *ram, enum pt_access access,
			    uint64_t n, uint64_t *value)
{
	struct pt_host_access a = {.ipa = {PT_SZ_1G + n * PT_SZ_4K},
				   .access = (uint8_t)access,
				   .length = 8,
				   .data = value};
	uint64_t conflicts = 0;

	pt_section_begin(&c->agent);
	ASSERT_OUTCOME(PT_OK, pt_host_access(&c->agent, &c->ctx, ram, &a));
	pt_section_end(&c->agent);
	for (uint32_t i = 0; i < a.exits; i++) {
		if (a.exit[i].fault != HW_TLB_CONFLICT)
			continue;
		conflicts++;
		assert_int_equal(PT_OK, a.exit[i].outcome);
		assert_int_equal(0x30, a.exit[i].esr & 0x3f);
		assert_int_equal(access == PT_ACCESS_EXEC ? 0x20 : 0x24, a.exit[i].esr >> 26);
		assert_false(a.exit[i].hpfar_known);
		assert_false(a.tlb_hit);
		assert_int_equal(core_walk(c, a.ipa.v, HW_READ).level, a.level);
	}
	return conflicts;
}

/* The adversary answers with the block, walks ahead for pages around the address, and keeps both.
 */
static void open_with_two_sizes(struct core *c, struct pt_host_ram *ram, unsigned bbm, bool split)
{
	uint64_t value = 1;

	core_open_bytes(c, &shapes[0], UINT64_C(64) << 20, true);
	core_set_bbm(c, bbm);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(ram, PT_SZ_2M));
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, PT_SZ_1G, PT_SZ_2M, 0, PT_PROT_RWX,
					   split ? 0 : PT_MAP_FORCE_PAGES));
	for (uint64_t n = 0; n < 16; n++)
		access_page(c, ram, PT_ACCESS_WRITE, n, &value);
	resize_unflushed(c, split ? PT_UPKEEP_SPLIT : PT_UPKEEP_COLLAPSE);
}

static void close_with_stats(struct core *c, struct pt_host_ram *ram,
			     struct pt_host_tlb_stats *stats)
{
	pt_host_tlb_stats(&c->mmu, stats);
	core_close(c);
	pt_host_ram_destroy(ram);
}

static void two_sizes_abort_until_they_are_flushed(void **state)
{
	(void)state;
	for (unsigned bbm = 1; bbm <= 2; bbm++)
		for (unsigned split = 0; split < 2; split++) {
			struct pt_host_tlb_stats stats;
			struct pt_host_ram ram;
			uint64_t met = 0, tlbis;
			struct core c;

			open_with_two_sizes(&c, &ram, bbm, split);
			tlbis = atomic_load(&c.mmu.tlbis);
			for (uint64_t n = 0; n < 400; n++) {
				uint64_t value = n;

				met += access_page(&c, &ram,
						   n & 1 ? PT_ACCESS_READ : PT_ACCESS_WRITE,
						   n / 2 % 16, &value);
				/* What was written is read back, by whichever entry. */
				assert_int_equal(n & ~UINT64_C(1), value);
			}
			assert_int_equal(met, atomic_load(&c.mmu.tlbis) - tlbis);
			close_with_stats(&c, &ram, &stats);
			assert_true(met > 0);
			assert_int_equal(met, stats.conflicts);
			assert_int_equal(0, stats.clashes);
		}
}

static void two_sizes_without_the_feature_are_found_out(void **state)
{
	struct pt_host_tlb_stats stats;
	struct pt_host_ram ram;
	struct core c;

	(void)state;
	open_with_two_sizes(&c, &ram, 0, true);
	for (uint64_t n = 0; n < 200; n++) {
		uint64_t value;

		assert_int_equal(0, access_page(&c, &ram, PT_ACCESS_READ, n % 16, &value));
	}
	close_with_stats(&c, &ram, &stats);
	assert_int_equal(0, stats.conflicts);
	assert_true(stats.clashes > 0);
}

/* With their invalidations no change of size is ever met half done. */
static void flushed_resizes_never_clash(void **state)
{
	(void)state;
	for (unsigned bbm = 0; bbm < 3; bbm++) {
		struct pt_host_tlb_stats stats;
		struct pt_host_ram ram;
		struct core c;

		core_open_bytes(&c, &shapes[0], UINT64_C(64) << 20, true);
		core_set_bbm(&c, bbm);
		ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&ram, PT_SZ_2M));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_1G, PT_SZ_2M, 0, PT_PROT_RW, 0));
		for (unsigned round = 0; round < 40; round++) {
			uint64_t value;

			resize(&c, round & 1 ? PT_UPKEEP_COLLAPSE : PT_UPKEEP_SPLIT);
			assert_int_equal(round & 1 ? 2 : 3, core_walk(&c, PT_SZ_1G, HW_READ).level);
			for (uint64_t n = 0; n < 16; n++)
				assert_int_equal(0,
						 access_page(&c, &ram, PT_ACCESS_READ, n, &value));
		}
		close_with_stats(&c, &ram, &stats);
		assert_int_equal(0, stats.conflicts + stats.clashes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_sizes_abort_until_they_are_flushed),
		cmocka_unit_test(two_sizes_without_the_feature_are_found_out),
		cmocka_unit_test(flushed_resizes_never_clash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
