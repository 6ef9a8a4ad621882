/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations against a flat model: what each page of a window maps to, compared after every
 * operation. */
#include "core.h"

/* The window lies across the end of a level 1 entry, so that upper tables come and go too. */
#define BLOCKS 3
#define ITEMS  4

struct page {
	bool mapped;
	uint64_t pa;
	uint32_t prot;
};

struct model {
	struct core *c;
	struct page *page;
	uint64_t pages, base, granule, block_pages;
	uint64_t seed;
};

static uint64_t below(struct model *m, uint64_t n)
{
	return core_random(&m->seed) % n;
}

/* ---- what the tables say, by the architectural walker ---- */

static uint32_t hw_prot(const struct hw_result *hw)
{
	uint32_t rights = (hw->read ? PT_PROT_R : 0) | (hw->write ? PT_PROT_W : 0) |
			  (hw->exec_el1 ? PT_PROT_PX : 0) | (hw->exec_el0 ? PT_PROT_UX : 0);

	switch (hw->memattr) { /* FEAT_S2FWB */
	case 6: return PT_PROT(rights, PT_MEM_NORMAL);
	case 5: return PT_PROT(rights, PT_MEM_NC);
	case 1: return PT_PROT(rights, PT_MEM_DEVICE);
	default: fail_msg("MemAttr %u", hw->memattr); return 0;
	}
}

static uint64_t compare_at(struct model *m, uint64_t at)
{
	uint64_t ipa = m->base + at * m->granule, n;
	struct hw_result hw = core_walk(m->c, ipa, HW_AT);
	uint64_t span = core_size(m->c, hw.level);

	n = (span - (ipa & (span - 1))) / m->granule;
	for (uint64_t i = at; i < at + n && i < m->pages; i++) {
		const struct page *page = &m->page[i];

		if (hw.fault == HW_TRANSLATION) {
			assert_false(page->mapped);
			continue;
		}
		assert_true(page->mapped);
		assert_int_equal(page->pa, hw.pa + (i - at) * m->granule);
		assert_int_equal(page->prot, hw_prot(&hw));
	}
	return n;
}

static void compare(struct model *m)
{
	struct pt_digest digest = core_digest_of(m->c);
	struct pt_ctx *ctx = &m->c->ctx;
	uint64_t root = ctx->geo.start_bytes < 64 ? 64 : ctx->geo.start_bytes;

	for (uint64_t at = 0; at < m->pages;)
		at += compare_at(m, at);
	assert_int_equal(0, digest.invalid_nonzero);
	assert_int_equal(digest.tables, atomic_load(&ctx->table_pages));
	assert_int_equal(m->c->empty_bytes + root + digest.tables * m->granule,
			 atomic_load(&m->c->tables.world.pool.used_bytes));
}

/* ---- what an item should do ---- */

struct expect {
	enum pt_outcome outcome;
	uint64_t holes;
	bool loose; /* MAPPED or ALREADY_MAPPED: leaves may have become a block */
};

static bool same_place(const struct page *page, const struct pt_item *item, uint64_t offset)
{
	return page->pa == item->pa.v + offset &&
	       pt_prot_memtype(page->prot) == pt_prot_memtype(item->prot);
}

static struct expect expect_map(struct model *m, const struct pt_item *item)
{
	struct page *page = &m->page[(item->ipa.v - m->base) / m->granule];
	uint64_t n = item->size / m->granule;
	bool replace = item->flags & PT_MAP_REPLACE, changed = false, rights = false;

	for (uint64_t i = 0; i < n; i++) {
		if (!page[i].mapped || (replace && (!same_place(&page[i], item, i * m->granule) ||
						    page[i].prot != item->prot)))
			changed = true;
		else if (!same_place(&page[i], item, i * m->granule))
			return (struct expect){.outcome = PT_OVERLAP};
		else if (page[i].prot != item->prot)
			rights = true;
	}
	return (struct expect){.outcome = rights    ? PT_PERMISSION_ONLY
					  : changed ? PT_MAPPED
						    : PT_ALREADY_MAPPED,
			       .loose = replace && !changed};
}

static struct expect expect_clear(struct model *m, const struct pt_item *item)
{
	struct page *page = &m->page[(item->ipa.v - m->base) / m->granule];
	uint64_t n = item->size / m->granule, holes = 0;
	bool changed = false, tightened = false;
	uint32_t had;

	for (uint64_t i = 0; i < n; i++) {
		if (!page[i].mapped) {
			holes++;
			continue;
		}
		had = page[i].prot & PT_PROT_RIGHTS;
		if (item->prot & PT_PROT_X && pt_prot_memtype(page[i].prot) != PT_MEM_NORMAL)
			return (struct expect){.outcome = PT_INVALID};
		changed |= had != item->prot;
		tightened |= (had & ~item->prot) != 0;
	}
	if (item->kind == PT_ITEM_UNMAP)
		return (struct expect){holes < n ? PT_UNMAPPED : PT_HOLE, holes, false};
	return (struct expect){holes == n  ? PT_HOLE
			       : tightened ? PT_PROTECTED
			       : changed   ? PT_RELAXED
					   : PT_ALREADY_MAPPED,
			       holes, false};
}

static struct expect expect(struct model *m, const struct pt_item *item)
{
	return item->kind == PT_ITEM_MAP ? expect_map(m, item) : expect_clear(m, item);
}

static void apply(struct model *m, const struct pt_item *item)
{
	uint64_t first = (item->ipa.v - m->base) / m->granule, n = item->size / m->granule;

	for (uint64_t i = 0; i < n; i++) {
		struct page *page = &m->page[first + i];

		if (item->kind == PT_ITEM_UNMAP)
			page->mapped = false;
		else if (item->kind == PT_ITEM_PROTECT && page->mapped)
			page->prot = (page->prot & ~PT_PROT_RIGHTS) | item->prot;
		else if (item->kind == PT_ITEM_MAP &&
			 (!page->mapped || item->flags & PT_MAP_REPLACE))
			*page = (struct page){true, item->pa.v + i * m->granule, item->prot};
	}
}

/* ---- random items ---- */

static uint64_t random_size(struct model *m)
{
	switch (below(m, 6)) {
	case 0:
	case 1: return 1;
	case 2: return 1 + below(m, 20);
	case 3: return m->block_pages;
	case 4: return 1 + below(m, 2 * m->block_pages);
	default: return m->block_pages * (1 + below(m, BLOCKS));
	}
}

static uint32_t random_prot(struct model *m)
{
	static const uint32_t prots[] = {PT_PROT_R,
					 PT_PROT_RW,
					 PT_PROT_RW,
					 PT_PROT_RWX,
					 PT_PROT_R | PT_PROT_X,
					 PT_PROT_W,
					 PT_PROT(PT_PROT_RW, PT_MEM_DEVICE),
					 PT_PROT(PT_PROT_R, PT_MEM_NC)};

	return prots[below(m, sizeof(prots) / sizeof(prots[0]))];
}

/* An item inside pages [from, to). */
static struct pt_item random_item(struct model *m, uint64_t from, uint64_t to)
{
	uint64_t n = random_size(m), at, bias;
	struct pt_item item = {.ctx = &m->c->ctx, .kind = 1 + (uint32_t)below(m, 3)};

	if (n > to - from)
		n = to - from;
	at = from + below(m, to - from - n + 1);
	if (below(m, 2) && (at & ~(m->block_pages - 1)) >= from)
		at &= ~(m->block_pages - 1);
	item.ipa.v = m->base + at * m->granule;
	item.size = n * m->granule;
	if (item.kind == PT_ITEM_UNMAP)
		return item;
	item.prot = random_prot(m);
	if (item.kind == PT_ITEM_PROTECT) {
		item.prot &= PT_PROT_RIGHTS;
		return item;
	}
	/* Few biases, so that ranges often meet their own mapping; one of them allows no block. */
	bias = (uint64_t[]){0, 0, 0, 1, m->block_pages, m->block_pages}[below(m, 6)];
	item.pa.v = item.ipa.v + bias * m->granule;
	item.flags = (uint32_t)(below(m, 3) ? 0 : PT_MAP_REPLACE) |
		     (below(m, 4) ? 0 : PT_MAP_FORCE_PAGES);
	return item;
}

static unsigned random_batch(struct model *m, struct pt_item *items)
{
	unsigned want = 1 + (unsigned)(below(m, 3) ? 0 : below(m, ITEMS)), n = 0;
	uint64_t from = 0;

	while (n < want && from < m->pages) {
		items[n] = random_item(m, from, m->pages);
		from = (items[n].ipa.v - m->base + items[n].size) / m->granule;
		ASSERT_OUTCOME(PT_OK, pt_item_check(&items[n]));
		n++;
	}
	return n;
}

/* ---- one step ---- */

static bool error_expected(struct model *m, const struct pt_item *items, unsigned n,
			   enum pt_outcome *code)
{
	for (unsigned i = 0; i < n; i++) {
		*code = expect(m, &items[i]).outcome;
		if (pt_is_error(*code))
			return true;
	}
	return false;
}

static void check_outcome(const struct expect *want, enum pt_outcome got)
{
	if (want->loose && got == PT_MAPPED)
		return;
	ASSERT_OUTCOME(want->outcome, got);
}

static bool try_point(struct model *m, struct pt_item *item)
{
	struct expect want = expect(m, item);
	struct pt_effects fx = {0};
	struct pt_error err;
	enum pt_outcome got;

	pt_section_begin(&m->c->agent);
	got = pt_point(&m->c->agent, item, &fx, &err);
	pt_section_end(&m->c->agent);
	if (got == PT_MORE)
		return false;
	check_outcome(&want, got);
	if (!pt_is_error(got)) {
		assert_int_equal(want.holes, fx.holes);
		apply(m, item);
	}
	return true;
}

static void check_effects(struct model *m, const struct pt_effects *fx,
			  const struct pt_digest *before, uint64_t holes, bool exact)
{
	struct pt_digest after = core_digest_of(m->c);
	uint64_t net = fx->leaves_written - fx->leaves_removed;

	assert_int_equal(holes, fx->holes);
	assert_int_equal(after.tables - before->tables,
			 (uint64_t)fx->tables_added - fx->tables_freed);
	if (exact) /* rewritten rights count as written */
		assert_int_equal(core_leaves(&after) - core_leaves(before), net);
}

static void transact(struct model *m, struct pt_item *items, unsigned n)
{
	struct pt_digest before = core_digest_of(m->c);
	uint32_t budget = (uint32_t[]){1, 7, 100, 100000}[below(m, 4)];
	struct expect want[ITEMS];
	struct pt_txn dry, txn;
	enum pt_outcome code, got;
	bool fails = error_expected(m, items, n, &code), exact = true;
	uint64_t holes = 0;

	for (unsigned i = 0; i < n; i++) {
		want[i] = expect(m, &items[i]);
		holes += want[i].holes;
		exact &= items[i].kind != PT_ITEM_PROTECT && !(items[i].flags & PT_MAP_REPLACE);
	}
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&dry, items, n, 0, true, NULL));
	got = core_run(&dry, &m->c->agent, budget);
	ASSERT_OUTCOME(fails ? code : PT_OK, got);
	for (unsigned i = 0; i < n && !fails; i++)
		check_outcome(&want[i], items[i].outcome);

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, items, n, 0, false, NULL));
	got = core_run(&txn, &m->c->agent, budget);
	ASSERT_OUTCOME(fails ? code : PT_OK, got);
	if (fails) {
		struct pt_digest after = core_digest_of(m->c);

		assert_int_equal(before.state[0], after.state[0]);
		assert_int_equal(before.state[1], after.state[1]);
		return;
	}
	txn.effects.tlbis = 0; /* what a dry run does not know */
	assert_memory_equal(&dry.effects, &txn.effects, sizeof(txn.effects));
	check_effects(m, &txn.effects, &before, holes, exact);
	for (unsigned i = 0; i < n; i++) {
		check_outcome(&want[i], items[i].outcome);
		apply(m, &items[i]);
	}
}

static void run_shape(const struct shape *shape, uint64_t seed, unsigned steps)
{
	struct core c;
	struct model m = {.c = &c, .seed = seed};

	core_open_bytes(&c, shape, UINT64_C(256) << 20, false);
	m.granule = core_size(&c, 3);
	m.block_pages = core_size(&c, 2) / m.granule;
	m.pages = BLOCKS * m.block_pages;
	m.base = core_size(&c, 1) - core_size(&c, 2);
	if (c.ctx.geo.start_level > 1) /* one level of upper tables less */
		m.base = 0;
	m.page = calloc(m.pages, sizeof(*m.page));
	assert_non_null(m.page);
	for (unsigned i = 0; i < steps; i++) {
		struct pt_item items[ITEMS];
		unsigned n = random_batch(&m, items);

		if (n != 1 || below(&m, 2) || !try_point(&m, &items[0]))
			transact(&m, items, n);
		compare(&m);
	}
	core_close(&c);
	free(m.page);
}

static void random_operations_agree_with_the_model(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		run_shape(&shapes[i], seed + i, shapes[i].args.granule_shift == 12 ? 2000 : 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
