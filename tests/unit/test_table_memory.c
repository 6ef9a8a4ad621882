/* SPDX-License-Identifier: BSD-2-Clause */
/* Table memory at rest: after random load, and what idle moments do then, there are no more linked
 * tables than the mappings need. */
#include "upkeep.h"

#define SPAN  (UINT64_C(3) << 30)
#define LOADS 3
#define OPS   300

/* What the other walker says of a page: its output, and everything else that a leaf says. */
struct cell {
	uint64_t pa; /* 0: nothing */
	uint32_t says;
};

static struct cell cells[SPAN / PT_SZ_4K];

static uint64_t below(uint64_t *seed, uint64_t n)
{
	return core_random(seed) % n;
}

/* Few pages or many, often whole blocks; outputs that make blocks again, and such that do not. */
static void random_item(struct core *c, uint64_t *seed)
{
	static const uint32_t kinds[] = {PT_ITEM_MAP, PT_ITEM_MAP, PT_ITEM_UNMAP, PT_ITEM_PROTECT};
	uint64_t page = core_size(c, 3), block = core_size(c, 2);
	uint64_t unit = below(seed, 2) ? page : block;
	uint64_t ipa = below(seed, SPAN / unit) * unit, most = (SPAN - ipa) / unit;
	struct pt_item item = {
		.ctx = &c->ctx, .kind = kinds[below(seed, 4)], .ipa = {ipa}, .size = unit};

	item.size *= 1 + below(seed, most < 700 ? most : 700);
	if (!below(seed, 3))
		item.size = unit;
	if (item.kind != PT_ITEM_UNMAP)
		item.prot = below(seed, 4) ? PT_PROT_RW : PT_PROT_R;
	if (item.kind == PT_ITEM_MAP) {
		item.pa.v = ipa + SPAN + (below(seed, 8) ? 0 : page);
		item.flags = PT_MAP_REPLACE | (below(seed, 2) ? PT_MAP_FORCE_PAGES : 0);
	}
	if (item.kind == PT_ITEM_UNMAP && below(seed, 2)) { /* page by page: tables stay, empty */
		item.ipa.v &= ~(block - 1);
		item.size = page;
		for (; item.ipa.v < (ipa | (block - 1)); item.ipa.v += page)
			if (core_point(c, item, NULL, NULL) == PT_MORE)
				core_range(c, item, NULL);
		return;
	}
	if (item.size > page || core_point(c, item, NULL, NULL) == PT_MORE)
		assert_false(pt_is_error(core_range(c, item, NULL)));
}

/* As the daemon does when it has nothing else to do: look, act, and again until there is nothing.
 */
static uint64_t rest(struct core *c)
{
	struct pt_upkeep upkeep;
	uint64_t done = 0, before;

	do {
		struct pt_upkeep_find find = {.ctx = &c->ctx, .last = SPAN - 1};
		enum pt_outcome found;

		before = done;
		do {
			pt_section_begin(&c->agent);
			found = pt_upkeep_find(&find, 5000);
			pt_section_end(&c->agent);
			if (found == PT_OK)
				ASSERT_OUTCOME(PT_OK, upkeep_run(c, &upkeep,
								 upkeep_args(c, find.kind,
									     find.ipa.v, find.size),
								 5000));
			done += found == PT_OK;
		} while (found != PT_HOLE);
	} while (done != before);
	while (pt_reclaim(&c->agent))
		continue;
	return done;
}

static void read_cells(struct core *c)
{
	uint64_t page = core_size(c, 3);

	for (uint64_t ipa = 0; ipa < SPAN; ipa += page) {
		struct hw_result r = core_walk(c, ipa, HW_AT);
		struct cell *cell = &cells[ipa / page];

		*cell = (struct cell){0};
		if (r.fault != HW_NO_FAULT && r.fault != HW_PERMISSION)
			continue;
		cell->pa = r.pa;
		cell->says = (uint32_t)(r.read | r.write << 1 | r.exec_el1 << 2 | r.exec_el0 << 3 |
					r.memattr << 4);
	}
}

/* Do the cells of this entry need a table? Not if there is none, nor if one leaf says it all. */
static bool needs_table(const struct core *c, uint64_t ipa, int level)
{
	uint64_t page = core_size(c, 3), size = core_size(c, level);
	const struct cell *cell = &cells[ipa / page];
	uint64_t n = (SPAN - ipa < size ? SPAN - ipa : size) / page, valid = 0;
	bool leaf = level >= c->ctx.geo.min_block_level && !(cell->pa & (size - 1));

	for (uint64_t i = 0; i < n; i++) {
		valid += cell[i].pa != 0;
		leaf = leaf && cell[i].pa == cell->pa + i * page && cell[i].says == cell->says;
	}
	return valid && !(leaf && valid == size / page);
}

static uint64_t minimum(struct core *c)
{
	uint64_t tables = 0;

	read_cells(c);
	for (int level = c->ctx.geo.start_level; level < PT_LEVEL_LAST; level++)
		for (uint64_t ipa = 0; ipa < SPAN; ipa += core_size(c, level))
			tables += needs_table(c, ipa, level);
	return tables;
}

static void three_percent_at_most(void **state)
{
	uint64_t seed = core_seed(), spare = 0;

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;

		core_open_bytes(&c, &shapes[i], UINT64_C(256) << 20, false);
		for (unsigned load = 0; load < LOADS; load++) {
			uint64_t least, loaded, linked;

			for (unsigned n = 0; n < OPS; n++)
				random_item(&c, &seed);
			loaded = atomic_load(&c.ctx.table_pages);
			rest(&c);
			linked = atomic_load(&c.ctx.table_pages);
			least = minimum(&c);
			print_message(
				"%-8s %5llu tables after the load, %5llu at rest, %5llu at least\n",
				shapes[i].name, (unsigned long long)loaded,
				(unsigned long long)linked, (unsigned long long)least);
			assert_in_range(linked, least, least + least * 3 / 100);
			spare += loaded - linked;
		}
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, SPAN / 2));
		for (uint64_t page = SPAN / 2; page < SPAN; page += core_size(&c, 3))
			core_point(&c,
				   core_item(&c, PT_ITEM_UNMAP, page, core_size(&c, 3), 0, 0, 0),
				   NULL, NULL);
		rest(&c);
		core_close(&c);
	}
	assert_true(spare > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_percent_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
