/* SPDX-License-Identifier: BSD-2-Clause */
/* The cases: a first state and what two or three agents do to it. */
#include <stdlib.h>

#include "shadow.h"
#include "world.h"

#define MEMORY	 UINT64_C(0x40000000)
#define PT_SZ_1M (PT_SZ_2M / 2)

/* ---- first states ---- */

static void slot(unsigned flags, unsigned backing_shift)
{
	iv_w.slots[0].head.count = 1;
	iv_w.slots[0].head.slot[0] = (struct pt_slot){.ipa = 0,
						      .size = 4 * PT_SZ_2M,
						      .pa = MEMORY,
						      .flags = flags,
						      .backing_shift = (uint8_t)backing_shift};
	pt_ctx_set_slots(&iv_w.ctx, &iv_w.slots[0].head);
}

static void map_as(uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot, uint32_t flags)
{
	struct pt_agent *self = &iv_w.agent[IV_NOBODY];
	struct pt_item item = {.ctx = &iv_w.ctx,
			       .ipa = {ipa},
			       .size = size,
			       .pa = {pa},
			       .prot = prot,
			       .flags = flags,
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

static void map(uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot)
{
	map_as(ipa, size, pa, prot, 0);
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

/* What dirty logging or ageing left behind. */
static void run(struct iv_op op)
{
	uint64_t told = 0;

	if (iv_do_dirty(IV_NOBODY, &op, &told) != PT_OK)
		abort();
}

#define LOG_START                                                                                  \
	{                                                                                          \
		.kind = IV_OP_DIRTY, .dirty = PT_DIRTY_START, .size = IV_LOG_PAGES << 12           \
	}
#define HARVEST                                                                                    \
	{                                                                                          \
		.kind = IV_OP_DIRTY, .dirty = PT_DIRTY_GET, .size = IV_LOG_PAGES << 12             \
	}
#define LOG_STOP                                                                                   \
	{                                                                                          \
		.kind = IV_OP_DIRTY, .dirty = PT_DIRTY_STOP                                        \
	}

static void two_pages_logged(void)
{
	two_pages();
	run((struct iv_op)LOG_START);
}

static void read_only_logged(void)
{
	two_pages_read_only();
	run((struct iv_op)LOG_START);
}

static void dirty_page(void)
{
	struct pt_fault fault = {.access = PT_ACCESS_WRITE, .type = PT_FAULT_PERMISSION};
	struct pt_agent *self = &iv_w.agent[IV_NOBODY];
	struct pt_fault_result result;

	two_pages_logged();
	pt_section_begin(self);
	if (pt_fault_handle(self, &iv_w.ctx, &fault, &result) != PT_RELAXED)
		abort();
	pt_section_end(self);
}

static void block(void)
{
	slot(0, 21);
	map(0, PT_SZ_2M, MEMORY, PT_PROT_RW);
}

static void block_logged(void)
{
	block();
	run((struct iv_op)LOG_START);
}

/* A table that nothing is mapped in any more. */
static void empty_table(void)
{
	struct pt_agent *self = &iv_w.agent[IV_NOBODY];
	struct pt_item item = {.ctx = &iv_w.ctx, .size = 0x1000, .kind = PT_ITEM_UNMAP};
	struct pt_effects effects = {0};

	slot(0, 12);
	map(0, 0x1000, MEMORY, PT_PROT_RW);
	pt_section_begin(self);
	if (pt_point(self, &item, &effects, NULL) != PT_UNMAPPED)
		abort();
	pt_section_end(self);
}

/* A table whose pages could be a block. */
static void foldable(void)
{
	slot(0, 21);
	for (unsigned i = 0; i < 2; i++)
		map(i * PT_SZ_1M, PT_SZ_1M, MEMORY + i * PT_SZ_1M, PT_PROT_RW);
}

/* A contiguous group, and the same to be relaxed. */
static void group(void)
{
	slot(0, 12);
	map_as(0, 0x10000, MEMORY, PT_PROT_RW, PT_MAP_CONTIGUOUS);
}

static void group_read_only(void)
{
	slot(0, 12);
	map_as(0, 0x10000, MEMORY, PT_PROT_R, PT_MAP_CONTIGUOUS);
}

/* A shadow with its tables, and a leaf of the second page; one of the first, too; without the right
 * to execute. */
static void shadow(void)
{
	two_pages();
	iv_shadow_open();
	if (iv_shadow_read_next())
		abort();
}

static void shadow_filled(void)
{
	shadow();
	if (iv_shadow_read())
		abort();
}

/* A table of the shadow's with leaves of two spans that the host may unmap apart; or with one of
 * the first, beside which the other may come. */
static void shadow_apart_one(void)
{
	slot(0, 12);
	map(0, 0x1000, MEMORY, PT_PROT_RW);
	map(PT_SZ_2M, 0x1000, MEMORY + PT_SZ_2M, PT_PROT_RW);
	iv_shadow_open();
	iv_shadow_apart();
	if (iv_shadow_read())
		abort();
}

static void shadow_apart(void)
{
	shadow_apart_one();
	if (iv_shadow_read_next())
		abort();
}

/* And another with one of the first page alone. */
static void shadows_apart(void)
{
	shadow_apart();
	iv_shadow_open_other();
	if (iv_shadow_read_other())
		abort();
}

/* Two shadows, each with a leaf of one of two pages whose heads are a word: the other of the first
 * page, and the first has one beyond 2 MiB. */
static void shadows_crossed(void)
{
	two_pages();
	map(PT_SZ_2M, 0x1000, MEMORY + PT_SZ_2M, PT_PROT_RW);
	iv_shadow_open();
	iv_shadow_crossed();
	iv_shadow_open_other();
	if (iv_shadow_read() || iv_shadow_read_third() || iv_shadow_read_next_other())
		abort();
}

/* As before, with the second span so far away that the trees of the reverse map are higher when
 * both have leaves. */
static void shadow_far_one(void)
{
	slot(0, 12);
	map(0, 0x1000, MEMORY, PT_PROT_RW);
	map(IV_SHADOW_FAR, 0x1000, MEMORY + IV_SHADOW_FAR, PT_PROT_RW);
	iv_shadow_open();
	iv_shadow_far();
	if (iv_shadow_read())
		abort();
}

static void shadow_far(void)
{
	shadow_far_one();
	if (iv_shadow_read_next())
		abort();
}

/* A log has been told of the first page, which may be written. */
static void shadow_dirty(void)
{
	dirty_page();
	iv_shadow_open();
	if (iv_shadow_read_next())
		abort();
}

/* Two, of the same tables; the second has none of its own yet. */
static void shadow_beside(void)
{
	shadow();
	iv_shadow_open_other();
}

/* And it has a leaf of the first page. */
static void shadows(void)
{
	shadow_beside();
	if (iv_shadow_read_other())
		abort();
}

/* A leaf whose head is beside the half of an end that one of the first page would need; and another
 * shadow, which gets no table for such. */
static void shadow_beside_a_half(void)
{
	slot(0, 12);
	map(0, 0x1000, MEMORY, PT_PROT_RW);
	map(PT_SZ_1M, 0x1000, MEMORY + PT_SZ_1M, PT_PROT_RW);
	iv_shadow_open();
	iv_shadow_halves();
	if (iv_shadow_read_next())
		abort();
	iv_shadow_open_other();
	iv_shadow_no_quota();
}

/* And the shadow may write it. */
static void shadow_written(void)
{
	shadow_dirty();
	if (iv_shadow_write())
		abort();
}

/* Guest and context have a block each. */
static void shadow_of_a_block(void)
{
	block();
	iv_shadow_open_block();
}

/* The context has a block, of which the guest maps two pages. */
static void shadow_below_a_block(void)
{
	block();
	iv_shadow_open();
	if (iv_shadow_read_next())
		abort();
}

/* Only the first of them has a leaf. */
static void shadow_below_a_block_first(void)
{
	block();
	iv_shadow_open();
	if (iv_shadow_read())
		abort();
}

static void shadow_below_a_block_filled(void)
{
	shadow_below_a_block();
	if (iv_shadow_read())
		abort();
}

/* Another shadow has the second page of it. */
static void shadows_below_a_block(void)
{
	shadow_below_a_block_filled();
	iv_shadow_open_other();
	if (iv_shadow_read_next_other())
		abort();
}

/* Both have the second page of it, and the first shadow, whose link is the first there, has the
 * first page behind that in its table. */
static void shadows_crossed_below_a_block(void)
{
	block();
	iv_shadow_open();
	iv_shadow_crossed();
	iv_shadow_open_other();
	if (iv_shadow_read_other() || iv_shadow_read() || iv_shadow_read_next())
		abort();
}

static void shadow_empty(void)
{
	two_pages();
	iv_shadow_open();
}

/* One more table page may be charged, or none. */
static void last_quota(void)
{
	empty();
	iv_w.ctx.quota_pages = iv_w.ctx.table_pages + 1;
}

static void no_quota(void)
{
	two_pages();
	iv_w.ctx.quota_pages = iv_w.ctx.table_pages;
}

/* No page is left but those of the last agent who asks. */
static void take_pages(unsigned agent, unsigned left)
{
	struct pt_agent *self = &iv_w.agent[agent];
	struct pt_page page, kept[2];

	for (unsigned i = 0; i < left; i++)
		if (pt_pool_get(self, 12, &kept[i]) != PT_OK)
			abort();
	while (pt_pool_get(self, 12, &page) == PT_OK)
		continue;
	for (unsigned i = 0; i < left; i++)
		pt_pool_put(self, 12, kept[i]);
}

static void no_memory(void)
{
	two_pages();
	for (unsigned i = 0; i <= IV_FIBRES; i++)
		take_pages(i, 0);
}

static void last_page(void)
{
	two_pages();
	for (unsigned i = 1; i <= IV_FIBRES; i++)
		take_pages(i, 0);
	take_pages(0, 1);
}

static void page_of_agent_1(void)
{
	empty();
	for (unsigned i = 0; i <= IV_FIBRES; i++)
		take_pages(i, i == 1);
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
#define BATCH_WRITE(at)                                                                            \
	{                                                                                          \
		.kind = IV_OP_FAULT, .batch = true, .ipa = (at), .access = PT_ACCESS_WRITE         \
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
#define PAGE_MAP(at, to, flags) ITEM(IV_OP_POINT, PT_ITEM_MAP, at, 0x1000, to, PT_PROT_RW, flags)
#define PAGE_UNMAP(at)		ITEM(IV_OP_POINT, PT_ITEM_UNMAP, at, 0x1000, 0, 0, 0)
#define BATCH(what, at, to)                                                                        \
	{                                                                                          \
		.kind = IV_OP_POINT, .batch = true, .item = PT_ITEM_##what, .ipa = (at),           \
		.size = 0x1000, .pa = MEMORY + (to), .prot = (to) ? PT_PROT_RW : 0                 \
	}
#define PAGE_PROTECT(at, rights) ITEM(IV_OP_POINT, PT_ITEM_PROTECT, at, 0x1000, 0, rights, 0)
#define RANGE_MAP(at, bytes, to, flags)                                                            \
	ITEM(IV_OP_RANGE, PT_ITEM_MAP, at, bytes, to, PT_PROT_RW, flags)
#define RANGE_UNMAP(at, bytes)		 ITEM(IV_OP_RANGE, PT_ITEM_UNMAP, at, bytes, 0, 0, 0)
#define RANGE_PROTECT(at, bytes, rights) ITEM(IV_OP_RANGE, PT_ITEM_PROTECT, at, bytes, 0, rights, 0)
#define SLOT_DELETE                                                                                \
	{                                                                                          \
		.kind = IV_OP_SLOT_DELETE, .ipa = 0                                                \
	}

#define UPKEEP(what, at, bytes)                                                                    \
	{                                                                                          \
		.kind = IV_OP_UPKEEP, .upkeep = PT_UPKEEP_##what, .ipa = (at), .size = (bytes)     \
	}
#define POINT(what, at, rights)	       ITEM(IV_OP_POINT, PT_ITEM_##what, at, 0x1000, 0, rights, 0)
#define RANGE(what, at, bytes, rights) ITEM(IV_OP_RANGE, PT_ITEM_##what, at, bytes, 0, rights, 0)
#define STORE(at)                                                                                  \
	{                                                                                          \
		.kind = IV_OP_ACCESS, .ipa = (at), .access = PT_ACCESS_WRITE                       \
	}
#define ANNOTATE(at)                                                                               \
	{                                                                                          \
		.kind = IV_OP_POINT, .item = PT_ITEM_ANNOTATE, .ipa = (at), .size = 0x1000,        \
		.pa = ANNOTATION                                                                   \
	}
#define ANNOTATION (UINT64_C(2) << 60 | 0x1234 << 1)
#define DESTROY                                                                                    \
	{                                                                                          \
		.kind = IV_OP_DESTROY                                                              \
	}
#define LOOK(at)                                                                                   \
	{                                                                                          \
		.kind = IV_OP_READ, .ipa = (at)                                                    \
	}
#define RUN                                                                                        \
	{                                                                                          \
		.kind = IV_OP_RUN                                                                  \
	}
#define CALL(what)                                                                                 \
	{                                                                                          \
		.kind = IV_OP_CALL, .call = (what)                                                 \
	}
#define FILL		    CALL(iv_shadow_read)
#define BLOCK_WRITE_PROTECT RANGE(WRITE_PROTECT, 0, PT_SZ_2M, 0)
#define HARDWARE	    .vtcr_flags = PT_VTCR_HA | PT_VTCR_HD

#define AGE(bytes) UPKEEP(AGE, 0, bytes)
#define SWEEP	   UPKEEP(SWEEP, 0, PT_SZ_2M)
#define SPLIT	   UPKEEP(SPLIT, 0, 0x1000)
#define COLLAPSE   UPKEEP(COLLAPSE, 0, PT_SZ_2M)
#define PAGES	   .tracked = {0, 0x1000}
#define TWO(a, b)  .script = {{a}, {b}}

/* clang-format off */
const struct iv_case iv_cases[] = {
	/* faults, points and ranges */
	{.name = "fault_and_fault", .prepare = empty, TWO(READ(0), WRITE(0))},
	{.name = "fault_and_fault_of_the_next_page", .prepare = empty, TWO(READ(0), WRITE(0x1000)), PAGES},
	{.name = "fault_and_range_unmap", .prepare = two_pages, TWO(READ(0), RANGE_UNMAP(0, 0x2000)), PAGES},
	{.name = "fault_and_table_unmap", .prepare = two_pages, TWO(WRITE(0), RANGE_UNMAP(0, PT_SZ_2M)), PAGES},
	{.name = "page_unmap_and_page_unmap", .prepare = two_pages, TWO(PAGE_UNMAP(0), PAGE_UNMAP(0))},
	{.name = "fault_and_slot_delete", .prepare = empty, TWO(WRITE(0), SLOT_DELETE)},
	{.name = "fault_on_a_mapped_page_and_slot_delete", .prepare = two_pages, TWO(WRITE(0x2000), SLOT_DELETE), PAGES},
	{.name = "relax_and_protect", .prepare = two_pages_read_only, TWO(WRITE(0), PAGE_PROTECT(0, PT_PROT_R | PT_PROT_X))},
	{.name = "relax_and_range_protect", .prepare = two_pages_read_only, TWO(WRITE(0), RANGE_PROTECT(0, 0x2000, PT_PROT_R)), PAGES},
	{.name = "access_and_page_unmap", .prepare = two_pages, TWO(TOUCH(0), PAGE_UNMAP(0))},
	{.name = "access_and_range_unmap", .prepare = two_pages, TWO(TOUCH(0), RANGE_UNMAP(0, 0x2000)), PAGES},
	{.name = "page_map_and_range_map", .prepare = empty,
	 TWO(PAGE_MAP(0x1000, 0x9000, PT_MAP_REPLACE), RANGE_MAP(0, 0x2000, 0, PT_MAP_REPLACE)), PAGES},
	{.name = "range_map_and_range_unmap", .prepare = empty,
	 TWO(RANGE_MAP(0, 0x3000, 0, 0), RANGE_UNMAP(0x1000, 0x1000)), PAGES},
	{.name = "block_fault_and_page_unmap", .prepare = empty_large,
	 TWO(READ(0x3000), PAGE_UNMAP(0x1000)), PAGES, .blocks_differ = true},
	{.name = "relax_of_a_block_and_its_split", .prepare = block,
	 TWO(EXEC(0x3000), RANGE_UNMAP(0x1000, 0x1000)), .tracked = {0, 0x1000, 0x3000}},
	{.name = "page_unmap_and_page_map", .prepare = two_pages, TWO(PAGE_UNMAP(0), PAGE_MAP(0, 0x9000, 0)), PAGES},
	{.name = "batch_unmap_and_page_map", .prepare = two_pages, TWO(BATCH(UNMAP, 0, 0), PAGE_MAP(0, 0x9000, 0)), PAGES},
	{.name = "batch_unmap_and_table_unmap", .prepare = two_pages, TWO(BATCH(UNMAP, 0, 0), RANGE_UNMAP(0, PT_SZ_2M)), PAGES},
	{.name = "batch_map_and_sweep", .prepare = empty_table, TWO(BATCH(MAP, 0, 0x9000), SWEEP), PAGES},
	{.name = "batch_map_and_table_unmap", .prepare = empty_table, TWO(BATCH(MAP, 0, 0x9000), RANGE_UNMAP(0, PT_SZ_2M)), PAGES},
	{.name = "batch_fault_and_page_unmap", .prepare = two_pages, TWO(BATCH_WRITE(0x2000), PAGE_UNMAP(0x2000)), PAGES},
	{.name = "batch_fault_and_table_unmap", .prepare = two_pages, TWO(BATCH_WRITE(0), RANGE_UNMAP(0, PT_SZ_2M)), PAGES},
	{.name = "batch_fault_and_slot_delete", .prepare = two_pages, TWO(BATCH_WRITE(0x2000), SLOT_DELETE), PAGES},
	{.name = "batch_relax_and_range_protect", .prepare = two_pages_read_only, TWO(BATCH_WRITE(0), RANGE_PROTECT(0, 0x2000, PT_PROT_R)), PAGES},
	{.name = "page_replace_and_access", .prepare = two_pages, TWO(PAGE_MAP(0, 0x9000, PT_MAP_REPLACE), TOUCH(0)), PAGES},
	{.name = "fault_and_range_map", .prepare = empty_table, TWO(WRITE(0), RANGE_MAP(0, 0x2000, 0x9000, 0)), PAGES},
	{.name = "page_map_and_slot_delete", .prepare = two_pages,
	 TWO(PAGE_MAP(0x1000, 0x9000, PT_MAP_REPLACE), SLOT_DELETE), PAGES},
	{.name = "exec_fault_and_slot_delete", .prepare = empty, TWO(EXEC(0), SLOT_DELETE)},
	{.name = "get_leaf_and_table_unmap", .prepare = two_pages, TWO(LOOK(0), RANGE_UNMAP(0, PT_SZ_2M)), PAGES},
	{.name = "page_unmap_and_fault_of_strangers", .prepare = two_pages, .strangers = true, TWO(PAGE_UNMAP(0), WRITE(0)), PAGES},
	{.name = "fault_and_table_unmap_of_strangers", .prepare = two_pages, .strangers = true,
	 TWO(WRITE(0x2000), RANGE_UNMAP(0, PT_SZ_2M)), .tracked = {0, 0x2000}},
	{.name = "access_and_page_unmap_of_strangers", .prepare = two_pages, .strangers = true, TWO(TOUCH(0), PAGE_UNMAP(0))},
	{.name = "fault_and_slot_delete_of_strangers", .prepare = two_pages, .strangers = true,
	 TWO(WRITE(0x2000), SLOT_DELETE), .tracked = {0, 0x2000}},
	{.name = "fault_and_fault_below_level_1", .prepare = empty, .start_level = 1, TWO(READ(0), WRITE(PT_SZ_2M)),
	 .tracked = {0, PT_SZ_2M}},
	{.name = "fault_and_table_unmap_below_level_1", .prepare = two_pages, .start_level = 1,
	 TWO(WRITE(PT_SZ_2M), RANGE_UNMAP(0, PT_SZ_1G)), .tracked = {0, PT_SZ_2M}},
	{.name = "fault_and_sweep_below_level_1", .prepare = empty_table, .start_level = 1,
	 TWO(WRITE(PT_SZ_2M), UPKEEP(SWEEP, 0, PT_SZ_1G)), .tracked = {0, PT_SZ_2M}},
	{.name = "fault_and_annotate", .prepare = two_pages, TWO(WRITE(0), ANNOTATE(0)), PAGES},
	{.name = "page_unmap_and_annotate", .prepare = two_pages, TWO(PAGE_UNMAP(0), ANNOTATE(0)), PAGES},
	{.name = "flush_and_page_unmap", .prepare = two_pages, TWO(POINT(FLUSH, 0, 0), PAGE_UNMAP(0)), PAGES},
	/* the end of a context */
	{.name = "fault_and_destroy", .prepare = two_pages, TWO(WRITE(0x2000), DESTROY), .tracked = {0, 0x2000}},
	{.name = "page_unmap_and_destroy", .prepare = two_pages, TWO(PAGE_UNMAP(0), DESTROY), PAGES},
	{.name = "range_unmap_and_destroy", .prepare = two_pages, TWO(RANGE_UNMAP(0, 0x1000), DESTROY), PAGES},
	{.name = "access_and_destroy", .prepare = two_pages, TWO(TOUCH(0), DESTROY), PAGES},
	{.name = "get_leaf_and_destroy", .prepare = two_pages, TWO(LOOK(0), DESTROY), PAGES},
	/* rights and age */
	{.name = "relax_and_write_protect", .prepare = two_pages_read_only, TWO(WRITE(0), POINT(WRITE_PROTECT, 0, 0))},
	{.name = "make_young_and_page_unmap", .prepare = two_pages, TWO(POINT(MAKE_YOUNG, 0, 0), PAGE_UNMAP(0))},
	{.name = "make_young_and_age", .prepare = two_pages, TWO(POINT(MAKE_YOUNG, 0, 0), AGE(0x2000)), PAGES},
	{.name = "fault_and_age", .prepare = two_pages, TWO(WRITE(0), AGE(0x2000)), PAGES},
	{.name = "access_and_age", .prepare = two_pages, TWO(TOUCH(0), AGE(0x2000)), PAGES},
	{.name = "hardware_access_and_age", .prepare = two_pages, HARDWARE, TWO(TOUCH(0), AGE(0x2000)), PAGES},
	{.name = "range_relax_and_write_protect", .prepare = two_pages_read_only,
	 TWO(RANGE(RELAX, 0, 0x2000, PT_PROT_RW), RANGE(WRITE_PROTECT, 0, 0x2000, 0)), PAGES},
	/* sizes */
	{.name = "fault_and_sweep", .prepare = empty_table, TWO(WRITE(0), SWEEP), PAGES},
	{.name = "page_map_and_sweep", .prepare = empty_table, TWO(PAGE_MAP(0x1000, 0x9000, 0), SWEEP), PAGES},
	{.name = "sweep_and_sweep", .prepare = empty_table, TWO(SWEEP, SWEEP)},
	{.name = "fault_and_split", .prepare = block, TWO(EXEC(0x1000), SPLIT), PAGES},
	{.name = "fault_and_split_at_level_1", .prepare = block, .attrs = PT_ATTR_BBM(1), TWO(EXEC(0x1000), SPLIT), PAGES},
	{.name = "fault_and_split_at_level_2", .prepare = block, .attrs = PT_ATTR_BBM(2), TWO(EXEC(0x1000), SPLIT), PAGES},
	{.name = "get_leaf_and_write_protect_in_a_block_at_level_2", .prepare = block, .attrs = PT_ATTR_BBM(2),
	 TWO(LOOK(0x1000), RANGE(WRITE_PROTECT, 0x1000, 0x1000, 0)), PAGES},
	{.name = "hardware_store_and_split_at_level_2", .prepare = block, .attrs = PT_ATTR_BBM(2), HARDWARE,
	 TWO(STORE(0x1000), SPLIT), PAGES},
	{.name = "page_unmap_and_collapse", .prepare = foldable, TWO(PAGE_UNMAP(0x1000), COLLAPSE), PAGES},
	{.name = "fault_and_collapse", .prepare = foldable, TWO(EXEC(0x1000), COLLAPSE), PAGES},
	{.name = "access_and_collapse", .prepare = foldable, TWO(TOUCH(0x1000), COLLAPSE), PAGES},
	{.name = "get_leaf_and_collapse", .prepare = foldable, TWO(LOOK(0x1000), COLLAPSE), PAGES},
	{.name = "get_leaf_and_sweep", .prepare = empty_table, TWO(LOOK(0), SWEEP), PAGES},
	/* dirty logs: a store is a fault and then an access, which a harvest may come between */
	{.name = "store_and_harvest", .prepare = two_pages_logged, .script = {{WRITE(0), STORE(0)}, {HARVEST}}, PAGES},
	{.name = "store_and_harvest_of_a_dirty_page", .prepare = dirty_page, .script = {{WRITE(0), STORE(0)}, {HARVEST}}, PAGES},
	{.name = "store_and_start_of_the_log", .prepare = two_pages, .script = {{WRITE(0), STORE(0)}, {LOG_START}}, PAGES},
	{.name = "store_and_stop_of_the_log", .prepare = two_pages_logged, .script = {{WRITE(0), STORE(0)}, {LOG_STOP}}, PAGES},
	{.name = "page_unmap_and_harvest", .prepare = dirty_page, TWO(PAGE_UNMAP(0), HARVEST), PAGES},
	{.name = "page_unmap_and_write_fault", .prepare = two_pages_logged, TWO(PAGE_UNMAP(0), WRITE(0)), PAGES},
	{.name = "block_split_by_two_faults", .prepare = block_logged, TWO(WRITE(0), WRITE(0x1000)), PAGES},
	{.name = "block_split_by_a_fault_and_harvest", .prepare = block_logged, TWO(WRITE(0), HARVEST), PAGES},
	{.name = "block_split_by_a_fault_and_range_unmap", .prepare = block_logged,
	 TWO(WRITE(0), RANGE_UNMAP(0x3000, 0x1000)), .tracked = {0, 0x3000}},
	{.name = "block_split_by_a_fault_at_level_2", .prepare = block_logged, .attrs = PT_ATTR_BBM(2),
	 TWO(WRITE(0), HARVEST), PAGES},
	{.name = "hardware_store_and_harvest", .prepare = two_pages_logged, HARDWARE, TWO(STORE(0), HARVEST), PAGES},
	{.name = "hardware_store_and_page_unmap", .prepare = two_pages_logged, HARDWARE, TWO(STORE(0), PAGE_UNMAP(0)), PAGES},
	{.name = "hardware_store_and_range_unmap", .prepare = two_pages_logged, HARDWARE,
	 TWO(STORE(0), RANGE_UNMAP(0, 0x2000)), PAGES},
	{.name = "hardware_store_and_write_protect", .prepare = two_pages_logged, HARDWARE,
	 TWO(STORE(0), RANGE(WRITE_PROTECT, 0, 0x2000, 0)), PAGES},
	/* a page that was read-only, and what it is logged by */
	{.name = "relax_and_harvest", .prepare = read_only_logged, TWO(WRITE(0), HARVEST), PAGES},
	{.name = "relax_and_start_of_the_log", .prepare = two_pages_read_only, TWO(WRITE(0), LOG_START), PAGES},
	{.name = "relax_and_stop_of_the_log", .prepare = read_only_logged, TWO(WRITE(0), LOG_STOP), PAGES},
	{.name = "page_unmap_and_start_of_the_log", .prepare = two_pages, TWO(PAGE_UNMAP(0), LOG_START), PAGES},
	{.name = "page_unmap_and_stop_of_the_log", .prepare = dirty_page, TWO(PAGE_UNMAP(0), LOG_STOP), PAGES},
	{.name = "page_replace_and_harvest", .prepare = dirty_page, TWO(PAGE_MAP(0, 0x9000, PT_MAP_REPLACE), HARVEST), PAGES},
	{.name = "hardware_store_and_annotate", .prepare = two_pages_logged, HARDWARE, TWO(STORE(0), ANNOTATE(0)), PAGES},
	{.name = "hardware_store_and_page_replace", .prepare = two_pages_logged, HARDWARE,
	 TWO(STORE(0), PAGE_MAP(0, 0x9000, PT_MAP_REPLACE)), PAGES},
	{.name = "slot_delete_and_harvest", .prepare = dirty_page, TWO(SLOT_DELETE, HARVEST), PAGES},
	/* contiguous groups */
	{.name = "access_and_unmap_in_a_group", .prepare = group, TWO(TOUCH(0), PAGE_UNMAP(0x1000)), PAGES},
	{.name = "fault_and_unmap_in_a_group", .prepare = group, TWO(WRITE(0x2000), PAGE_UNMAP(0x1000)), PAGES},
	{.name = "access_and_relax_of_a_group", .prepare = group_read_only,
	 TWO(TOUCH(0x1000), RANGE(RELAX, 0, 0x10000, PT_PROT_RW)), PAGES},
	{.name = "make_young_and_age_of_a_group", .prepare = group, TWO(POINT(MAKE_YOUNG, 0, 0), AGE(0x10000)), PAGES},
	{.name = "access_and_age_of_a_group", .prepare = group, TWO(TOUCH(0x1000), AGE(0x10000)), PAGES},
	{.name = "fault_and_map_of_a_group", .prepare = empty_table,
	 TWO(READ(0), RANGE_MAP(0, 0x10000, 0, PT_MAP_CONTIGUOUS | PT_MAP_REPLACE)), PAGES},
	{.name = "hardware_access_and_protect_in_a_group", .prepare = group, HARDWARE,
	 TWO(TOUCH(0), RANGE_PROTECT(0x1000, 0x1000, PT_PROT_R)), PAGES},
	/* VMIDs have run out: another context takes a number */
	{.name = "rollover_and_access", .prepare = two_pages, .rollover = true, TWO(RUN, TOUCH(0)), PAGES},
	{.name = "rollover_and_page_unmap", .prepare = two_pages, .rollover = true, TWO(RUN, PAGE_UNMAP(0)), PAGES},
	{.name = "rollover_and_range_unmap", .prepare = two_pages, .rollover = true, TWO(RUN, RANGE_UNMAP(0, 0x2000)), PAGES},
	{.name = "rollover_and_fault", .prepare = two_pages, .rollover = true, TWO(RUN, WRITE(0)), PAGES},
	/* quota and memory run out */
	{.name = "two_faults_for_the_last_quota", .prepare = last_quota, TWO(READ(0), READ(PT_SZ_2M)), .tracked = {0, PT_SZ_2M}},
	{.name = "fault_and_range_map_for_the_last_quota", .prepare = last_quota,
	 TWO(READ(0), RANGE_MAP(PT_SZ_2M, 0x2000, 0, 0)), .tracked = {0, PT_SZ_2M}},
	{.name = "fault_without_quota_and_table_unmap", .prepare = no_quota,
	 TWO(WRITE(PT_SZ_2M), RANGE_UNMAP(0, PT_SZ_2M)), .tracked = {0, PT_SZ_2M}},
	{.name = "page_map_without_memory_and_page_unmap", .prepare = no_memory,
	 TWO(PAGE_MAP(PT_SZ_2M, 0, 0), PAGE_UNMAP(0)), .tracked = {0, PT_SZ_2M}},
	{.name = "fault_without_memory_and_table_unmap", .prepare = no_memory,
	 TWO(WRITE(PT_SZ_2M), RANGE_UNMAP(0, PT_SZ_2M)), .tracked = {0, PT_SZ_2M}},
	{.name = "range_map_without_memory_and_fault", .prepare = page_of_agent_1,
	 TWO(RANGE_MAP(PT_SZ_2M, 0x2000, 0, 0), READ(PT_SZ_2M)), .tracked = {0, PT_SZ_2M}},
	{.name = "fault_with_the_last_page_and_page_unmap", .prepare = last_page, TWO(WRITE(PT_SZ_2M), PAGE_UNMAP(0)), .tracked = {0, PT_SZ_2M}},
	/* shadows: fills beside each other, TLBIs of the guest's, and the end */
	{.name = "fill_and_fill", .prepare = shadow, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_write))},
	{.name = "fill_and_fill_without_tables", .prepare = shadow_empty, .blocks_differ = true, .most = 3, TWO(FILL, CALL(iv_shadow_read_next))},
	{.name = "fill_and_remap_by_the_guest", .prepare = shadow, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_remap))},
	{.name = "fill_and_protect_by_the_guest", .prepare = shadow, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_protect))},
	{.name = "fill_of_a_leaf_and_remap_by_the_guest", .prepare = shadow_filled, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_remap))},
	{.name = "remap_by_the_guest_twice", .prepare = shadow_filled, .blocks_differ = true, TWO(CALL(iv_shadow_remap), CALL(iv_shadow_remap))},
	{.name = "fill_and_end_of_the_shadow", .prepare = shadow, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_end))},
	{.name = "remap_by_the_guest_and_end_of_the_shadow", .prepare = shadow_filled, .blocks_differ = true, .most = 3, TWO(CALL(iv_shadow_remap), CALL(iv_shadow_end))},
	/* and changes of the canonical context */
	{.name = "fill_and_page_unmap_by_the_host", .prepare = shadow, .blocks_differ = true, .late_cas = true, TWO(FILL, PAGE_UNMAP(0))},
	{.name = "fill_and_range_unmap_by_the_host", .prepare = shadow, .blocks_differ = true, .most = 3, TWO(FILL, RANGE_UNMAP(0, 0x2000))},
	{.name = "fill_and_write_protect_by_the_host", .prepare = shadow, .blocks_differ = true,
	 TWO(CALL(iv_shadow_write), RANGE(WRITE_PROTECT, 0, 0x1000, 0))},
	{.name = "page_unmap_by_the_host_and_remap_by_the_guest", .prepare = shadow_filled, .blocks_differ = true, TWO(PAGE_UNMAP(0), CALL(iv_shadow_remap))},
	{.name = "fill_and_table_unmap_by_the_host", .prepare = shadow, .blocks_differ = true, .most = 3, TWO(FILL, RANGE_UNMAP(0, PT_SZ_2M))},
	/* a table of the shadow's goes whole, or would */
	{.name = "fill_of_a_leaf_and_table_unmap_by_the_host", .prepare = shadow_filled, .blocks_differ = true, .most = 3, .late_cas = true, TWO(FILL, RANGE_UNMAP(0, PT_SZ_2M))},
	{.name = "fill_of_other_memory_and_table_unmap_by_the_host", .prepare = shadow_apart_one, .blocks_differ = true, .most = 3,
	 TWO(CALL(iv_shadow_read_next), RANGE_UNMAP(0, PT_SZ_2M))},
	{.name = "table_unmap_by_the_host_and_remap_by_the_guest", .prepare = shadow_filled, .blocks_differ = true, .most = 3,
	 TWO(RANGE_UNMAP(0, PT_SZ_2M), CALL(iv_shadow_remap))},
	{.name = "table_unmap_from_another_shadow_and_remap_by_the_guest", .prepare = shadows_apart, .blocks_differ = true, .most = 3,
	 TWO(RANGE_UNMAP(0, PT_SZ_2M), CALL(iv_shadow_remap))},
	{.name = "table_unmap_from_another_shadow_and_remap_of_the_page_beside", .prepare = shadows_crossed, .blocks_differ = true, .most = 3,
	 TWO(RANGE_UNMAP(0, PT_SZ_2M), CALL(iv_shadow_remap))},
	{.name = "table_unmap_and_page_unmap_by_the_host", .prepare = shadow_apart, .blocks_differ = true, .most = 3,
	 TWO(RANGE_UNMAP(0, PT_SZ_2M), PAGE_UNMAP(PT_SZ_2M))},
	{.name = "two_table_unmaps_by_the_host", .prepare = shadow_apart, .blocks_differ = true, .most = 3,
	 TWO(RANGE_UNMAP(0, PT_SZ_2M), RANGE_UNMAP(PT_SZ_2M, PT_SZ_2M))},
	{.name = "table_unmap_by_the_host_and_end_of_the_shadow", .prepare = shadow_filled, .blocks_differ = true, .most = 2,
	 TWO(RANGE_UNMAP(0, PT_SZ_2M), CALL(iv_shadow_end))},
	/* the tree of heads becomes higher, or lower again */
	{.name = "fill_far_away_and_page_unmap_of_another_leaf", .prepare = shadow_far_one, .blocks_differ = true,
	 TWO(CALL(iv_shadow_read_next), PAGE_UNMAP(0))},
	{.name = "fill_far_away_and_page_unmap_there", .prepare = shadow_far_one, .blocks_differ = true, .late_cas = true,
	 TWO(CALL(iv_shadow_read_next), PAGE_UNMAP(IV_SHADOW_FAR))},
	{.name = "page_unmaps_far_from_each_other", .prepare = shadow_far, .blocks_differ = true,
	 TWO(PAGE_UNMAP(IV_SHADOW_FAR), PAGE_UNMAP(0))},
	{.name = "fill_and_start_of_a_log_by_the_host", .prepare = shadow, .blocks_differ = true, TWO(CALL(iv_shadow_write), LOG_START)},
	{.name = "fill_and_harvest_by_the_host", .prepare = shadow_dirty, .blocks_differ = true, TWO(CALL(iv_shadow_write), HARVEST)},
	{.name = "harvest_by_the_host_and_remap_by_the_guest", .prepare = shadow_written, .blocks_differ = true, TWO(CALL(iv_shadow_remap), HARVEST)},
	{.name = "fill_of_a_block_and_write_protect_at_level_2", .prepare = shadow_of_a_block, .attrs = PT_ATTR_BBM(2), .blocks_differ = true,
	 TWO(CALL(iv_shadow_write), RANGE(WRITE_PROTECT, 0x1000, 0x1000, 0))},
	/* rights go from leaves in a row */
	{.name = "fill_and_write_protect_of_a_block_by_the_host", .prepare = shadow_below_a_block, .blocks_differ = true,
	 TWO(CALL(iv_shadow_write), BLOCK_WRITE_PROTECT)},
	{.name = "fill_of_a_leaf_and_write_protect_of_a_block_by_the_host", .prepare = shadow_below_a_block_filled, .blocks_differ = true,
	 TWO(CALL(iv_shadow_write), BLOCK_WRITE_PROTECT)},
	{.name = "write_protect_of_a_block_by_the_host_and_remap_by_the_guest", .prepare = shadow_below_a_block_first, .blocks_differ = true, .most = 3,
	 TWO(BLOCK_WRITE_PROTECT, CALL(iv_shadow_remap))},
	{.name = "write_protect_of_a_block_by_the_host_and_fill_of_another_shadow", .prepare = shadows_below_a_block, .blocks_differ = true,
	 TWO(BLOCK_WRITE_PROTECT, CALL(iv_shadow_read_other))},
	{.name = "write_protect_of_a_block_by_the_host_and_remap_of_a_page_of_two_shadows", .prepare = shadows_crossed_below_a_block, .blocks_differ = true, .most = 3, TWO(BLOCK_WRITE_PROTECT, CALL(iv_shadow_remap))},
	{.name = "write_protect_of_a_block_by_the_host_and_end_of_the_shadow", .prepare = shadow_below_a_block_filled, .blocks_differ = true, .most = 2,
	 TWO(BLOCK_WRITE_PROTECT, CALL(iv_shadow_end))},
	/* two shadows of a page */
	{.name = "fills_of_two_shadows", .prepare = shadow_beside, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_read_other))},
	{.name = "fill_and_one_that_gets_no_table", .prepare = shadow_beside_a_half, .blocks_differ = true, TWO(FILL, CALL(iv_shadow_read_other))},
	{.name = "fill_and_page_unmap_from_another_shadow", .prepare = shadows, .blocks_differ = true, TWO(FILL, PAGE_UNMAP(0))},
	/* three at once */
	{.name = "fills_of_two_shadows_and_page_unmap", .prepare = shadow_beside, .blocks_differ = true, .fewer = 2,
	 .script = {{FILL}, {CALL(iv_shadow_read_other)}, {PAGE_UNMAP(0)}}},
	{.name = "two_fills_and_remap_by_the_guest", .prepare = shadow, .blocks_differ = true, .fewer = 2,
	 .script = {{FILL}, {CALL(iv_shadow_write)}, {CALL(iv_shadow_remap)}}},
	{.name = "two_faults_and_range_unmap", .prepare = two_pages,
	 .script = {{READ(0)}, {WRITE(0x1000)}, {RANGE_UNMAP(0, 0x2000)}}, PAGES, .fewer = 1},
	{.name = "two_faults_and_table_unmap", .prepare = two_pages,
	 .script = {{READ(0)}, {WRITE(0x2000)}, {RANGE_UNMAP(0, PT_SZ_2M)}}, .tracked = {0, 0x2000}, .fewer = 1},
	{.name = "fault_page_unmap_and_sweep", .prepare = empty_table,
	 .script = {{WRITE(0)}, {PAGE_UNMAP(0)}, {SWEEP}}, PAGES, .fewer = 1},
	{.name = "fault_range_map_and_range_unmap", .prepare = two_pages,
	 .script = {{WRITE(0)}, {RANGE_MAP(0, 0x2000, 0x9000, PT_MAP_REPLACE)}, {RANGE_UNMAP(0, 0x1000)}}, PAGES, .fewer = 1},
	{.name = "relax_protect_and_page_unmap", .prepare = two_pages_read_only,
	 .script = {{WRITE(0)}, {PAGE_PROTECT(0, PT_PROT_R | PT_PROT_X)}, {PAGE_UNMAP(0)}}, PAGES, .fewer = 1},
	{.name = "fault_age_and_page_unmap", .prepare = two_pages,
	 .script = {{WRITE(0)}, {AGE(0x2000)}, {PAGE_UNMAP(0)}}, PAGES, .fewer = 1},
	{.name = "fault_split_and_page_unmap", .prepare = block,
	 .script = {{EXEC(0x1000)}, {SPLIT}, {PAGE_UNMAP(0x1000)}}, PAGES, .fewer = 1},
	{.name = "fault_slot_delete_and_page_unmap", .prepare = two_pages,
	 .script = {{WRITE(0)}, {SLOT_DELETE}, {PAGE_UNMAP(0)}}, PAGES, .fewer = 1},
	{.name = "access_page_unmap_and_fault", .prepare = two_pages,
	 .script = {{TOUCH(0)}, {PAGE_UNMAP(0)}, {WRITE(0)}}, PAGES, .fewer = 1},
	{.name = "store_harvest_and_page_unmap", .prepare = dirty_page,
	 .script = {{WRITE(0)}, {HARVEST}, {PAGE_UNMAP(0)}}, PAGES, .fewer = 1},
	{.name = "two_stores_and_harvest", .prepare = two_pages_logged,
	 .script = {{WRITE(0)}, {WRITE(0x1000)}, {HARVEST}}, PAGES, .fewer = 1},
	{.name = "rollover_access_and_page_unmap", .prepare = two_pages, .rollover = true,
	 .script = {{RUN}, {TOUCH(0)}, {PAGE_UNMAP(0)}}, PAGES, .fewer = 1},
	{.name = "access_fault_and_unmap_in_a_group", .prepare = group,
	 .script = {{TOUCH(0)}, {WRITE(0x2000)}, {PAGE_UNMAP(0x1000)}}, PAGES, .fewer = 1},
	{.name = "hardware_store_harvest_and_page_unmap", .prepare = two_pages_logged, HARDWARE,
	 .script = {{STORE(0)}, {HARVEST}, {PAGE_UNMAP(0)}}, PAGES, .fewer = 1},
};
/* clang-format on */
const unsigned iv_case_count = sizeof(iv_cases) / sizeof(iv_cases[0]);
