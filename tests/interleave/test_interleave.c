/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every interleaving of two and three operations on a small tree, up to a bound of preemptions and
 * of stores that are seen late. Each case is a test. The environment:
 *
 *   PTD_PREEMPTIONS=N PTD_DELAYS=N   the bounds (2 and 1)
 *   PTD_ONLY=case PTD_SCHEDULE=S     plays one run, as a failure prints it, with its trace
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define MEMORY UINT64_C(0x40000000)

/* ---- first states ---- */

static void slot(unsigned flags, unsigned backing_shift)
{
	iv_w.slots[0].head.count = 1;
	iv_w.slots[0].slot[0] = (struct pt_slot){.ipa = 0,
						 .size = 4 * PT_SZ_2M,
						 .pa = MEMORY,
						 .flags = flags,
						 .backing_shift = (uint8_t)backing_shift};
	pt_ctx_set_slots(&iv_w.ctx, &iv_w.slots[0].head);
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot)
{
	struct pt_agent *self = &iv_w.agent[IV_NOBODY];
	struct pt_item item = {.ctx = &iv_w.ctx,
			       .ipa = {ipa},
			       .size = size,
			       .pa = {pa},
			       .prot = prot,
			       .kind = PT_ITEM_MAP};
	struct pt_txn txn;
	enum pt_outcome o;

	pt_txn_init(&txn, &item, 1, 0, false, NULL);
	do {
		pt_section_begin(self);
		o = pt_txn_step(&txn, self, 1000);
		pt_section_end(self);
	} while (o == PT_MORE);
	if (o != PT_OK)
		abort();
}

static void empty(void)
{
	slot(0, 12);
}

static void empty_large(void)
{
	slot(0, 21);
}

static void two_pages(void)
{
	slot(0, 12);
	map(0, 0x2000, MEMORY, PT_PROT_RW);
}

static void two_pages_read_only(void)
{
	slot(0, 12);
	map(0, 0x2000, MEMORY, PT_PROT_R);
}

static void block(void)
{
	slot(0, 21);
	map(0, PT_SZ_2M, MEMORY, PT_PROT_RW);
}

/* ---- operations ---- */

#define READ(at)                                                                                   \
	{                                                                                          \
		.kind = IV_OP_FAULT, .ipa = (at), .access = PT_ACCESS_READ                         \
	}
#define WRITE(at)                                                                                  \
	{                                                                                          \
		.kind = IV_OP_FAULT, .ipa = (at), .access = PT_ACCESS_WRITE                        \
	}
#define EXEC(at)                                                                                   \
	{                                                                                          \
		.kind = IV_OP_FAULT, .ipa = (at), .access = PT_ACCESS_EXEC                         \
	}
#define TOUCH(at)                                                                                  \
	{                                                                                          \
		.kind = IV_OP_ACCESS, .ipa = (at), .access = PT_ACCESS_READ                        \
	}
#define ITEM(how, what, at, bytes, to, rights, how_map)                                            \
	{                                                                                          \
		.kind = (how), .item = (what), .ipa = (at), .size = (bytes), .pa = MEMORY + (to),  \
		.prot = (rights), .flags = (how_map)                                               \
	}
#define PAGE_MAP(at, to, flags)	 ITEM(IV_OP_POINT, PT_ITEM_MAP, at, 0x1000, to, PT_PROT_RW, flags)
#define PAGE_UNMAP(at)		 ITEM(IV_OP_POINT, PT_ITEM_UNMAP, at, 0x1000, 0, 0, 0)
#define PAGE_PROTECT(at, rights) ITEM(IV_OP_POINT, PT_ITEM_PROTECT, at, 0x1000, 0, rights, 0)
#define RANGE_MAP(at, bytes, to, flags)                                                            \
	ITEM(IV_OP_RANGE, PT_ITEM_MAP, at, bytes, to, PT_PROT_RW, flags)
#define RANGE_UNMAP(at, bytes)		 ITEM(IV_OP_RANGE, PT_ITEM_UNMAP, at, bytes, 0, 0, 0)
#define RANGE_PROTECT(at, bytes, rights) ITEM(IV_OP_RANGE, PT_ITEM_PROTECT, at, bytes, 0, rights, 0)
#define SLOT_DELETE                                                                                \
	{                                                                                          \
		.kind = IV_OP_SLOT_DELETE, .ipa = 0                                                \
	}

#define TWO(a, b) .script = {{a}, {b}}

static const struct iv_case cases[] = {
	{.name = "fault_and_fault", .prepare = empty, TWO(READ(0), WRITE(0))},
	{.name = "fault_and_fault_of_the_next_page",
	 .prepare = empty,
	 TWO(READ(0), WRITE(0x1000)),
	 .tracked = {0, 0x1000}},
	{.name = "fault_and_range_unmap",
	 .prepare = two_pages,
	 TWO(READ(0), RANGE_UNMAP(0, 0x2000)),
	 .tracked = {0, 0x1000}},
	{.name = "fault_and_table_unmap",
	 .prepare = two_pages,
	 TWO(WRITE(0), RANGE_UNMAP(0, PT_SZ_2M)),
	 .tracked = {0, 0x1000}},
	{.name = "page_unmap_and_page_unmap",
	 .prepare = two_pages,
	 TWO(PAGE_UNMAP(0), PAGE_UNMAP(0))},
	{.name = "fault_and_slot_delete", .prepare = empty, TWO(WRITE(0), SLOT_DELETE)},
	{.name = "fault_on_a_mapped_page_and_slot_delete",
	 .prepare = two_pages,
	 TWO(WRITE(0x2000), SLOT_DELETE),
	 .tracked = {0, 0x2000}},
	{.name = "relax_and_protect",
	 .prepare = two_pages_read_only,
	 TWO(WRITE(0), PAGE_PROTECT(0, PT_PROT_R | PT_PROT_X))},
	{.name = "relax_and_range_protect",
	 .prepare = two_pages_read_only,
	 TWO(WRITE(0), RANGE_PROTECT(0, 0x2000, PT_PROT_R)),
	 .tracked = {0, 0x1000}},
	{.name = "access_and_page_unmap", .prepare = two_pages, TWO(TOUCH(0), PAGE_UNMAP(0))},
	{.name = "access_and_range_unmap",
	 .prepare = two_pages,
	 TWO(TOUCH(0), RANGE_UNMAP(0, 0x2000)),
	 .tracked = {0, 0x1000}},
	{.name = "page_map_and_range_map",
	 .prepare = empty,
	 TWO(PAGE_MAP(0x1000, 0x9000, PT_MAP_REPLACE), RANGE_MAP(0, 0x2000, 0, PT_MAP_REPLACE)),
	 .tracked = {0, 0x1000}},
	{.name = "range_map_and_range_unmap",
	 .prepare = empty,
	 TWO(RANGE_MAP(0, 0x3000, 0, 0), RANGE_UNMAP(0x1000, 0x1000)),
	 .tracked = {0, 0x1000}},
	{.name = "block_fault_and_page_unmap",
	 .prepare = empty_large,
	 TWO(READ(0x3000), PAGE_UNMAP(0x1000)),
	 .tracked = {0, 0x1000},
	 .blocks_differ = true},
	{.name = "relax_of_a_block_and_its_split",
	 .prepare = block,
	 TWO(EXEC(0x3000), RANGE_UNMAP(0x1000, 0x1000)),
	 .tracked = {0, 0x1000, 0x3000}},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static unsigned number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void replay(const struct iv_case *c, const char *schedule)
{
	struct iv_result r;

	if (iv_replay(c, schedule, &r))
		fail_msg("%s", r.text);
}

static void explore(void **state)
{
	const struct iv_case *c = *state;
	struct iv_limits limits = {.preemptions = number("PTD_PREEMPTIONS", 2),
				   .delays = number("PTD_DELAYS", 1),
				   .seconds = number("PTD_SECONDS", 0)};
	struct iv_result r;

	if (getenv("PTD_SCHEDULE")) {
		replay(c, getenv("PTD_SCHEDULE"));
		return;
	}
	if (c->preemptions && c->preemptions < limits.preemptions)
		limits.preemptions = c->preemptions;
	iv_explore(c, &limits, &r);
	print_message("# %s: %llu schedules, %llu complete, %llu states, %u preemptions, %u late "
		      "stores, %u points in %llu events%s\n",
		      c->name, (unsigned long long)r.schedules, (unsigned long long)r.completed,
		      (unsigned long long)r.states, limits.preemptions, limits.delays, r.points,
		      (unsigned long long)r.longest, r.exhausted ? "" : ", time ran out");
	if (!r.failed)
		return;
	print_message("# PTD_ONLY=%s PTD_SCHEDULE=%s\n", c->name, r.schedule);
	replay(c, r.schedule);
	fail_msg("%s", r.text);
}

int main(void)
{
	struct CMUnitTest test[CASES];

	if (getenv("PTD_ONLY"))
		cmocka_set_test_filter(getenv("PTD_ONLY"));
	for (size_t i = 0; i < CASES; i++)
		test[i] = (struct CMUnitTest){.name = cases[i].name,
					      .test_func = explore,
					      .initial_state = (void *)(uintptr_t)&cases[i]};
	return _cmocka_run_group_tests("interleave", test, CASES, NULL, NULL);
}
