/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core under the checker: each kind of operation, alone and beside another agent, with what a
 * finding says as the test's failure; and in the end how often each rule was judged.
 */
#include "../unit/dirty_fixture.h"
#include "../unit/upkeep.h"

#include "beside.h"

#include <pt/host/checked.h>

static char found[300];

static void on_finding(const struct pt_finding *finding)
{
	snprintf(found, sizeof(found), "rule %s: %s", pt_rule_name(finding->rule), finding->text);
	fail_msg("%s", found);
}

static uint64_t page, block;

static void open_at(struct core *c, unsigned shape)
{
	core_open_bytes(c, &shapes[shape], UINT64_C(64) << 20, true);
	page = core_size(c, 3);
	block = core_size(c, 2);
}

static void point(struct core *c, enum pt_item_kind kind, uint64_t ipa, uint64_t pa, uint32_t prot,
		  uint32_t flags)
{
	core_point(c, core_item(c, kind, ipa, page, pa, prot, flags), NULL, NULL);
}

static void range(struct core *c, enum pt_item_kind kind, uint64_t ipa, uint64_t size, uint64_t pa,
		  uint32_t prot)
{
	core_range(c, core_item(c, kind, ipa, size, pa, prot, 0), NULL);
}

static void points(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;

		open_at(&c, i);
		point(&c, PT_ITEM_MAP, 0, block, PT_PROT_RW, 0);
		point(&c, PT_ITEM_PROTECT, 0, 0, PT_PROT_R, 0);
		point(&c, PT_ITEM_MAP, 0, 2 * block, PT_PROT_RW, PT_MAP_REPLACE);
		point(&c, PT_ITEM_WRITE_PROTECT, 0, 0, 0, 0);
		point(&c, PT_ITEM_RELAX, 0, 0, PT_PROT_RWX, 0);
		point(&c, PT_ITEM_MAKE_YOUNG, 0, 0, 0, 0);
		point(&c, PT_ITEM_ANNOTATE, 0, UINT64_C(2) << 60, 0, 0);
		point(&c, PT_ITEM_UNMAP, 0, 0, 0, 0);
		point(&c, PT_ITEM_MAP, block, 0, PT_PROT_R, 0);
		point(&c, PT_ITEM_UNMAP, block, 0, 0, 0);
		core_close(&c);
	}
}

/* A map that is only tried: what it reserved goes back. */
static void validate(struct core *c, uint64_t ipa, uint64_t size)
{
	struct pt_item item = core_item(c, PT_ITEM_MAP, ipa, size, 0, PT_PROT_R, 0);
	struct pt_txn txn;

	assert_int_equal(PT_OK, pt_txn_init(&txn, &item, 1, 0, true, NULL));
	core_run(&txn, &c->agent, 100);
}

static void ranges(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;

		open_at(&c, i);
		core_map(&c, 0, 3 * block, 0, PT_PROT_RW, 0);
		core_protect(&c, block + page, page, PT_PROT_R); /* splits */
		core_map(&c, block, block, 8 * block, PT_PROT_RW, PT_MAP_REPLACE);
		core_map(&c, 0, 3 * page, 9 * block, PT_PROT_R, PT_MAP_REPLACE);
		core_map(&c, 0, page, 9 * block, PT_PROT_RW, PT_MAP_REPLACE);
		range(&c, PT_ITEM_WRITE_PROTECT, 0, block, 0, 0);
		range(&c, PT_ITEM_RELAX, 0, block, 0, PT_PROT_RW);
		range(&c, PT_ITEM_ANNOTATE, 2 * block, 2 * page, UINT64_C(2) << 60, 0);
		core_unmap(&c, page, block);
		core_map(&c, page, 2 * page, page, PT_PROT_R, 0); /* into a table that is there */
		core_map(&c, 8 * block, 2 * block, page, PT_PROT_R, 0); /* tables wholly claimed */
		validate(&c, 16 * block, page);
		core_unmap(&c, 0, 4 * block);
		core_close(&c);
	}
}

static void groups(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;

		open_at(&c, i);
		core_map(&c, 0, block, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES | PT_MAP_CONTIGUOUS);
		core_map(&c, 2 * block + page, block, page, PT_PROT_RW,
			 PT_MAP_FORCE_PAGES | PT_MAP_CONTIGUOUS);
		core_unmap(&c, 3 * page, page);
		core_protect(&c, 2 * block + page, 40 * page, PT_PROT_R);
		core_unmap(&c, 0, 4 * block);
		core_close(&c);
	}
}

static void upkeep(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned bbm = 0; bbm <= 2; bbm++) {
			struct pt_upkeep_args age;
			struct pt_upkeep u;
			struct core c;

			open_at(&c, i);
			core_set_bbm(&c, bbm);
			core_map(&c, 0, 2 * block, 0, PT_PROT_RW, 0);
			upkeep_run(&c, &u, upkeep_args(&c, PT_UPKEEP_SPLIT, 0, block), 100);
			age = upkeep_args(&c, PT_UPKEEP_AGE, 0, 2 * block);
			age.clear = true;
			upkeep_run(&c, &u, age, 100);
			core_unmap(&c, 0, page); /* W6 */
			core_map(&c, 0, page, 0, PT_PROT_RW, 0);
			upkeep_run(&c, &u, age, 100);
			upkeep_run(&c, &u, upkeep_args(&c, PT_UPKEEP_COLLAPSE, 0, block), 100);
			core_map(&c, 4 * block, page, 0, PT_PROT_R, 0);
			core_map(&c, 6 * block - page, page, 0, PT_PROT_R, 0); /* not empty */
			point(&c, PT_ITEM_UNMAP, 4 * block, 0, 0, 0);
			upkeep_run(&c, &u, upkeep_args(&c, PT_UPKEEP_SWEEP, 4 * block, 2 * block),
				   100);
			core_close(&c);
		}
}

static void touch(struct logged *l, uint64_t ipa, enum pt_access access)
{
	struct pt_host_access a = {.ipa = {ipa}, .access = (uint8_t)access, .handle_faults = true};

	pt_section_begin(&l->c.agent);
	pt_host_access(&l->c.agent, &l->c.ctx, &l->ram, &a);
	pt_section_end(&l->c.agent);
}

static void faults_and_logs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned hardware = 0; hardware < 2; hardware++) {
			unsigned vtcr = hardware ? PT_VTCR_HA | PT_VTCR_HD : 0;
			struct logged l;

			logged_open_on(&l, &shapes[i], vtcr, 2);
			touch(&l, l.base, PT_ACCESS_READ);
			touch(&l, l.base, PT_ACCESS_WRITE);
			log_start(&l, hardware, false);
			touch(&l, l.base, PT_ACCESS_WRITE);
			touch(&l, l.base + 3 * l.page, PT_ACCESS_WRITE);
			log_get(&l, true);
			touch(&l, l.base + 3 * l.page, PT_ACCESS_WRITE);
			touch(&l, l.base + 3 * l.page, PT_ACCESS_EXEC);
			core_unmap(&l.c, l.base, 4 * l.page);
			touch(&l, l.base, PT_ACCESS_WRITE);
			core_protect(&l.c, l.base, l.page, PT_PROT_R);
			log_get(&l, true);
			log_stop(&l);
			logged_close(&l);
		}
}

/* Whom a claim and a reply wait for. */
static void two_agents(void **state)
{
	struct pt_agent b = {0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_at(&c, 0);
	assert_int_equal(PT_OK, pt_agent_join(&c.tables.world, &b));
	core_map(&c, 0, block, page, PT_PROT_RW, 0);
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	item = core_item(&c, PT_ITEM_UNMAP, 0, block, 0, 0, 0);
	assert_int_equal(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	for (unsigned i = 0; i < 20; i++) {
		pt_section_begin(&c.agent);
		if (pt_txn_step(&txn, &c.agent, 100) == PT_OK)
			i = 20;
		pt_section_end(&c.agent);
		if (i % 4 == 3) {
			pt_section_end(&b);
			pt_section_begin(&b);
		}
	}
	pt_section_end(&b);
	core_run(&txn, &c.agent, 100);
	while (pt_reclaim(&c.agent))
		continue;
	pt_agent_leave(&b);
	core_close(&c);
}

static void upkeep_beside_another(void **state)
{
	struct pt_upkeep_args args;
	struct pt_agent b = {0};
	struct pt_upkeep u;
	struct core c;

	(void)state;
	open_at(&c, 0);
	assert_int_equal(PT_OK, pt_agent_join(&c.tables.world, &b));
	core_map(&c, 0, block, 0, PT_PROT_RW, 0);
	pt_section_begin(&b);
	pt_machine_use(&c.machine, &b);
	args = upkeep_args(&c, PT_UPKEEP_SPLIT, 0, block);
	assert_int_equal(PT_OK, pt_upkeep_init(&u, &args, NULL));
	for (unsigned i = 0; i < 3; i++)
		upkeep_step(&c, &u, 100);
	pt_section_end(&b);
	while (upkeep_step(&c, &u, 100) == PT_MORE)
		continue;
	pt_agent_leave(&b);
	core_close(&c);
}

static void rollover(void **state)
{
	static struct pt_ctx ctx[300];
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_at(&c, 0);
	for (unsigned i = 0; i < 300; i++) {
		pt_section_begin(&c.agent);
		assert_int_equal(PT_OK, pt_ctx_init(&ctx[i], &c.agent, &c.machine, &c.ctx.geo,
						    PT_ATTR_FWB, 0, UINT64_MAX));
		assert_int_equal(PT_OK, pt_vmid_get(&ctx[i], &c.agent));
		pt_section_end(&c.agent);
	}
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(PT_OK, pt_ctx_destroy_begin(&txn, &ctx[i], NULL));
		assert_int_equal(PT_OK, core_run(&txn, &c.agent, 100));
	}
	core_close(&c);
}

static void each_rule_was_judged(void **state)
{
	uint64_t judged[PT_RULES];
	bool all = true;

	(void)state;
	pt_host_check_counts(judged);
	printf("# %llu events\n", (unsigned long long)pt_host_events());
	for (unsigned i = 0; i < PT_RULES; i++) {
		printf("# %-2s %9llu  %s\n", pt_rule_name(i), (unsigned long long)judged[i],
		       pt_rule_text(i));
		if (!judged[i]) {
			print_error("rule %s was never judged\n", pt_rule_name(i));
			all = false;
		}
	}
	assert_true(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points),
		cmocka_unit_test(ranges),
		cmocka_unit_test(groups),
		cmocka_unit_test(upkeep),
		cmocka_unit_test(faults_and_logs),
		cmocka_unit_test(two_agents),
		cmocka_unit_test(upkeep_beside_another),
		cmocka_unit_test(rollover),
		cmocka_unit_test(unmapped_and_mapped_before_the_flush),
		cmocka_unit_test(invalidations_are_doubled_with_the_quirk),
		cmocka_unit_test(a_waiter_is_woken),
		cmocka_unit_test(a_barrier_waits_outside_sections),
		cmocka_unit_test(frames_change_hands),
		cmocka_unit_test(a_guest_fills_and_invalidates),
		cmocka_unit_test(each_rule_was_judged),
	};

	pt_host_finding_hook = on_finding;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
