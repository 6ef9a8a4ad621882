/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows of one thread on one range: 1 GiB of IPA, a 40-bit space, 4K granule from level 1 as the
 * peer has it; then the 16K and 64K twins.
 *
 * Every phase checks what it did and the program fails if a number differs. A range is timed from
 * the call until the freed tables are back in the pool, zeroed. Single pages come 64 in a section,
 * as those of one message do: to pt_points() or pt_faults(). Rows ending in _single give each to a
 * call of its own; the one ending in _section has a section for each call besides.
 */
#include "core.h"

/* A function of its own in the output of callgrind: see count.py. */
#define PHASE	     __attribute__((noinline))
#define NOTE	     (UINT64_C(2) << 60 | 2) /* type 2, payload 1 */
#define BLOCKS	     256
#define BLOCK_ROUNDS 100

const char *const row_name[ROWS] = {
	[MAP_RANGE] = "map_range",
	[WRPROTECT] = "wrprotect_range",
	[GET_LEAF] = "get_leaf_random",
	[RELAX] = "relax_random",
	[AGE] = "age_range",
	[MKYOUNG] = "mkyoung_random",
	[UNMAP_RANGE] = "unmap_range",
	[FAULT_MAP] = "fault_map_random",
	[FAULT_MAP_SECTION] = "fault_map_random_section",
	[RELAX_SINGLE] = "relax_random_single",
	[MKYOUNG_SINGLE] = "mkyoung_random_single",
	[MAP_SINGLE] = "map_random_single",
	[UNMAP_SINGLE] = "unmap_random_single",
	[BARE_LOAD] = "load_random_bare",
	[BARE_CAS] = "cas_random_bare",
	[BARE_STORE] = "store_range_bare",
	[MAP_PAGE] = "map_random",
	[UNMAP_PAGE] = "unmap_random",
	[BLOCK] = "map_unmap_1g_block",
	[OWNER] = "set_owner_range",
};

static PHASE void time_map_range(struct bench *b)
{
	double t = now_ns();
	struct pt_effects done = map(b, BASE, b->size, BASE_PA, PT_MAP_FORCE_PAGES);

	note(b, MAP_RANGE, t, b->pages);
	check_eq("map_range: leaves written", done.leaves_written, b->pages);
	check_eq("map_range: table pages", done.tables_added, b->ctx.table_pages);
	if (b->ctx.geo.granule_shift == 12 && b->size == GIB)
		check_eq("map_range: tables at 4K", done.tables_added, 513);
	check_leaves(b, "leaves after map_range", b->pages);
}

static PHASE void time_wrprotect(struct bench *b)
{
	double t = now_ns();
	struct pt_effects done = write_protect(b, BASE, b->size);

	note(b, WRPROTECT, t, b->pages);
	check_eq("wrprotect_range: leaves written", done.leaves_written, b->pages);
	check_leaves(b, "leaves after wrprotect_range", b->pages);
}

/* The pages in random order, in registers: the loops are to measure what they call. */
struct pages {
	const uint32_t *order;
	uint64_t count;
	unsigned shift;
};

static inline struct pages pages_of(const struct bench *b)
{
	return (struct pages){b->order, b->pages, b->ctx.geo.granule_shift};
}

static inline struct pt_ipa ipa_of(const struct pages *p, uint64_t i)
{
	return pt_ipa(BASE + ((uint64_t)p->order[i] << p->shift));
}

static PHASE void time_get_leaf(struct bench *b)
{
	pt_pte same = pt_leaf(&b->ctx.geo, pt_pa(0), pt_leaf_attrs(&b->ctx.geo, PT_PROT_R, 0), 3);
	uint64_t sum = 0, want = 0, levels = 0;
	const struct pages p = pages_of(b);
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < p.count; i++) {
		pt_pte entry = 0;
		int level = -1;

		pt_get_leaf(&b->ctx, ipa_of(&p, i), &entry, &level);
		sum += entry;
		levels += level == PT_LEVEL_LAST;
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	note(b, GET_LEAF, t, b->pages);
	for (uint64_t i = 0; i < b->pages; i++)
		want += same + BASE_PA + i * b->page;
	check_eq("get_leaf_random: sum of the entries", sum, want);
	check_eq("get_leaf_random: level 3", levels, b->pages);
}

/* How pages come: some in a call, that is in a section; each in a call, some in a section; each in
 * a section. */
enum how { TOGETHER, SINGLE, SECTION };

struct fault_sums {
	uint64_t as_wanted, pas;
};

static inline __attribute__((always_inline)) void
fault_section(struct bench *b, const struct pages *p, uint64_t i, enum pt_fault_type type,
	      enum pt_outcome want, enum how how, struct fault_sums *sums)
{
	struct pt_fault fault[SECTION_CALLS];
	struct pt_fault_page page[SECTION_CALLS];

	for (unsigned k = 0; k < SECTION_CALLS; k++) {
		fault[k] = (struct pt_fault){.ipa = ipa_of(p, i + k),
					     .access = PT_ACCESS_WRITE,
					     .type = (uint8_t)type,
					     .level = PT_LEVEL_LAST};
		if (how != TOGETHER)
			page[k] = fault_one(b, &fault[k]);
		if (how == SECTION)
			section_turn(b, SECTION_CALLS - 1);
	}
	if (how == TOGETHER)
		faults(b, fault, page);
	for (unsigned k = 0; k < SECTION_CALLS; k++) {
		sums->as_wanted += page[k].outcome == want;
		sums->pas += page[k].pa.v;
	}
}

/* A fault on each page, in random order; all must end as `want`. */
static inline __attribute__((always_inline)) void fault_all(struct bench *b, enum row row,
							    enum pt_fault_type type,
							    enum pt_outcome want, enum how how)
{
	const struct pages p = pages_of(b);
	struct fault_sums sums = {0};
	uint64_t pas_wanted = 0;
	double t = now_ns();

	for (uint64_t i = 0; i < p.count; i += SECTION_CALLS) {
		section_begin(b);
		fault_section(b, &p, i, type, want, how, &sums);
		pt_section_end(&b->agent);
	}
	note(b, row, t, b->pages);
	for (uint64_t i = 0; i < b->pages; i++)
		pas_wanted += BASE_PA + i * b->page;
	check_eq(row_name[row], sums.as_wanted, b->pages);
	check_eq(row_name[row], sums.pas, pas_wanted);
	check_leaves(b, row_name[row], b->pages);
}

static PHASE void time_relax(struct bench *b)
{
	fault_all(b, RELAX, PT_FAULT_PERMISSION, PT_RELAXED, TOGETHER);
}

static PHASE void time_relax_single(struct bench *b)
{
	write_protect(b, BASE, b->size);
	fault_all(b, RELAX_SINGLE, PT_FAULT_PERMISSION, PT_RELAXED, SINGLE);
}

static PHASE void time_age(struct bench *b)
{
	double t = now_ns();
	uint64_t young = age(b, BASE, b->size);

	note(b, AGE, t, b->pages);
	check_eq("age_range: young pages", young, b->pages);
}

static PHASE void time_mkyoung(struct bench *b)
{
	fault_all(b, MKYOUNG, PT_FAULT_ACCESS_FLAG, PT_MADE_YOUNG, TOGETHER);
	check_eq("mkyoung_random: young pages", age(b, BASE, b->size), b->pages);
}

static PHASE void time_mkyoung_single(struct bench *b)
{
	fault_all(b, MKYOUNG_SINGLE, PT_FAULT_ACCESS_FLAG, PT_MADE_YOUNG, SINGLE);
}

static PHASE void time_fault_map(struct bench *b)
{
	fault_all(b, FAULT_MAP, PT_FAULT_TRANSLATION, PT_MAPPED, TOGETHER);
}

static PHASE void time_fault_map_section(struct bench *b)
{
	fault_all(b, FAULT_MAP_SECTION, PT_FAULT_TRANSLATION, PT_MAPPED, SECTION);
}

/* Table pages that an unmap of the range leaves: at 4K a part of a GiB does not fill its table of
 * level 2. */
static uint64_t tables_left(const struct bench *b)
{
	return b->ctx.geo.granule_shift == 12 && b->size < GIB;
}

static PHASE void time_unmap_range(struct bench *b)
{
	uint64_t tables = b->ctx.table_pages;
	double t = now_ns();
	struct pt_effects done = unmap(b, BASE, b->size);

	note(b, UNMAP_RANGE, t, b->pages);
	check_eq("unmap_range: leaves removed", done.leaves_removed, b->pages);
	check_eq("unmap_range: tables freed", done.tables_freed, tables - tables_left(b));
	check_eq("unmap_range: table pages left", b->ctx.table_pages, tables_left(b));
	check_leaves(b, "leaves after unmap_range", 0);
}

/* Each page mapped or unmapped, in random order, some items at a time or each by itself. */
static inline __attribute__((always_inline)) struct pt_effects
point_all(struct bench *b, enum row row, enum pt_item_kind kind, enum how how)
{
	struct pt_effects effects = {0};
	const struct pages p = pages_of(b);
	double t = now_ns();

	for (uint64_t i = 0; i < p.count; i += SECTION_CALLS) {
		struct pt_item item[SECTION_CALLS];

		section_begin(b);
		for (unsigned k = 0; k < SECTION_CALLS; k++) {
			struct pt_ipa ipa = ipa_of(&p, i + k);

			item[k] = (struct pt_item){
				.ctx = &b->ctx, .ipa = ipa, .size = b->page, .kind = kind};
			if (kind == PT_ITEM_MAP) {
				item[k].pa = pt_pa(ipa.v - BASE + BASE_PA);
				item[k].prot = PT_PROT_RW;
			}
			if (how == SINGLE)
				pt_point(&b->agent, &item[k], &effects, NULL);
		}
		if (how == TOGETHER)
			points(&b->agent, item, &effects);
		pt_section_end(&b->agent);
	}
	note(b, row, t, b->pages);
	check_eq(row_name[row], effects.leaves_written + effects.leaves_removed, b->pages);
	return effects;
}

static PHASE void time_unmap_page(struct bench *b)
{
	struct pt_effects done = point_all(b, UNMAP_PAGE, PT_ITEM_UNMAP, TOGETHER);

	check_eq("unmap_random: leaves removed", done.leaves_removed, b->pages);
	check_leaves(b, "leaves after unmap_random", 0);
}

/* Into the tables that single pages have left in place. */
static PHASE void time_map_page(struct bench *b)
{
	struct pt_effects done = point_all(b, MAP_PAGE, PT_ITEM_MAP, TOGETHER);

	check_eq("map_random: leaves written", done.leaves_written, b->pages);
	check_leaves(b, "leaves after map_random", b->pages);
	unmap(b, BASE, b->size);
	check_eq("map_random: table pages left", b->ctx.table_pages, tables_left(b));
}

/* What is mapped, one by one. */
static PHASE void time_unmap_single(struct bench *b)
{
	point_all(b, UNMAP_SINGLE, PT_ITEM_UNMAP, SINGLE);
	check_leaves(b, "leaves after unmap_random_single", 0);
}

static PHASE void time_map_single(struct bench *b)
{
	point_all(b, MAP_SINGLE, PT_ITEM_MAP, SINGLE);
	check_leaves(b, "leaves after map_random_single", b->pages);
}

/* An invalid descriptor with a payload on each page of an empty range. */
static PHASE void time_owner(struct bench *b)
{
	double t = now_ns();
	struct pt_effects done = annotate(b, BASE, b->size, NOTE);

	note(b, OWNER, t, b->pages);
	check_eq("set_owner_range: annotated", done.annotated, b->pages);
	done = unmap(b, BASE, b->size);
	check_eq("set_owner_range: table pages left", b->ctx.table_pages, tables_left(b));
}

static PHASE void time_blocks(struct bench *b)
{
	struct pt_effects up = {0}, down = {0};
	double t = now_ns();

	for (unsigned i = 0; i < BLOCK_ROUNDS; i++) {
		up = map(b, 0, BLOCKS * GIB, 0, 0);
		down = unmap(b, 0, BLOCKS * GIB);
	}
	note(b, BLOCK, t, BLOCK_ROUNDS * BLOCKS);
	check_eq("map_unmap_1g_block: blocks written", up.leaves_written, BLOCKS);
	check_eq("map_unmap_1g_block: blocks removed", down.leaves_removed, BLOCKS);
	check_eq("map_unmap_1g_block: table pages", b->ctx.table_pages, 0);
}

void bench_round(struct bench *b)
{
	time_map_range(b);
	time_wrprotect(b);
	time_get_leaf(b);
	if (!b->mmu.vcpus)
		bench_bare(b);
	time_relax(b);
	time_relax_single(b);
	time_age(b);
	time_mkyoung(b);
	time_mkyoung_single(b);
	time_unmap_range(b);
	time_fault_map(b);
	time_unmap_page(b);
	time_map_page(b);
	time_fault_map_section(b);
	time_unmap_single(b);
	time_map_single(b);
	unmap(b, BASE, b->size);
	if (b->ctx.geo.granule_shift == 12)
		time_blocks(b);
	time_owner(b);
}

/* Faults make leaves that hardware dirties: each is exchanged when it loses the right to write. */
void bench_round_dirty(struct bench *b)
{
	time_fault_map(b);
	time_wrprotect(b);
	time_relax(b);
	time_age(b);
	time_unmap_range(b);
}
