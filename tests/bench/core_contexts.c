/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 100 000 contexts of 32-bit IPA in one process, each with tables for one page. Operations on one
 * of them, alone and among the others; then one on each in random order, beside a bare walk and
 * compare-and-swap over the same entries.
 */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>

#define CONTEXTS    100000
#define PAGES	    512
#define ROUNDS	    5
#define TABLE_BYTES (UINT64_C(1) << 30)

struct many {
	struct bench b;
	struct pt_ctx *ctx;
	uint64_t *root; /* offsets, for the bare walk */
	uint32_t *order, *pages;
	double best[4];
};

enum { ONE, ONE_AMONG, SPREAD, SPREAD_BARE };
static const char *const name[] = {"contexts_one", "contexts_one_among", "contexts_spread",
				   "contexts_spread_bare"};

static void keep(struct many *m, unsigned row, double since, uint64_t units)
{
	double ns = (now_ns() - since) / (double)units;

	if (!m->best[row] || ns < m->best[row])
		m->best[row] = ns;
}

static enum pt_outcome point(struct many *m, struct pt_ctx *ctx, uint64_t page, uint32_t kind)
{
	struct pt_effects effects = {0};
	struct pt_item item = {.ctx = ctx,
			       .ipa = pt_ipa(BASE + page * m->b.page),
			       .size = m->b.page,
			       .pa = pt_pa(kind == PT_ITEM_MAP ? BASE_PA : 0),
			       .prot = kind == PT_ITEM_MAP ? PT_PROT_RW : 0,
			       .kind = kind};

	return pt_point(&m->b.agent, &item, &effects, NULL);
}

/* All pages of a table of the one context, mapped and unmapped, in random order. */
static void time_one(struct many *m, unsigned row)
{
	enum { LAPS = 40 };
	uint64_t done = 0;
	double t = now_ns();

	section_begin(&m->b);
	for (unsigned lap = 0; lap < LAPS; lap++)
		for (uint64_t i = 0; i < PAGES; i++) {
			done += point(m, &m->b.ctx, m->pages[i], PT_ITEM_MAP) == PT_MAPPED;
			done += point(m, &m->b.ctx, m->pages[i], PT_ITEM_UNMAP) == PT_UNMAPPED;
			section_turn(&m->b, i);
		}
	pt_section_end(&m->b.agent);
	keep(m, row, t, 2 * LAPS * PAGES);
	check_eq(name[row], done, 2 * LAPS * PAGES);
}

static uint64_t page_of(const struct many *m, uint64_t i)
{
	return m->pages[i % PAGES];
}

static void time_spread(struct many *m)
{
	uint64_t done = 0;
	double t = now_ns();

	section_begin(&m->b);
	for (uint64_t i = 0; i < CONTEXTS; i++) {
		done += point(m, &m->ctx[m->order[i]], page_of(m, i), PT_ITEM_MAP) == PT_MAPPED;
		section_turn(&m->b, i);
	}
	pt_section_end(&m->b.agent);
	keep(m, SPREAD, t, CONTEXTS);
	section_begin(&m->b);
	for (uint64_t i = 0; i < CONTEXTS; i++) {
		done += point(m, &m->ctx[m->order[i]], page_of(m, i), PT_ITEM_UNMAP) == PT_UNMAPPED;
		section_turn(&m->b, i);
	}
	pt_section_end(&m->b.agent);
	check_eq("contexts_spread: operations done", done, 2 * CONTEXTS);
}

/* The same entries: start table, level 2, level 3, all known to be there. */
static pt_pte *bare_walk(const struct many *m, uint64_t root, uint64_t ipa)
{
	const pt_pte *table = pt_port_table(&m->b.port, pt_pa(root));
	const pt_pte oa = ((UINT64_C(1) << 48) - 1) & ~UINT64_C(0xfff);
	pt_pte e = __atomic_load_n(&table[ipa >> 30], __ATOMIC_ACQUIRE);

	table = pt_port_table(&m->b.port, pt_pa(e & oa));
	e = __atomic_load_n(&table[ipa >> 21 & 511], __ATOMIC_ACQUIRE);
	return pt_port_table(&m->b.port, pt_pa(e & oa)) + (ipa >> 12 & 511);
}

static void bare(struct many *m, pt_pte from, pt_pte to)
{
	uint64_t done = 0;

	for (uint64_t i = 0; i < CONTEXTS; i++) {
		pt_pte old = from,
		       *slot = bare_walk(m, m->root[m->order[i]], BASE + page_of(m, i) * m->b.page);

		done += __atomic_compare_exchange_n(slot, &old, to, false, __ATOMIC_ACQ_REL,
						    __ATOMIC_ACQUIRE);
	}
	check_eq("contexts_spread_bare: words", done, CONTEXTS);
}

static void time_spread_bare(struct many *m)
{
	double t = now_ns();

	bare(m, 0, BASE_PA | 3);
	keep(m, SPREAD_BARE, t, CONTEXTS);
	bare(m, BASE_PA | 3, 0);
}

static void make_contexts(struct many *m)
{
	struct pt_geometry_args args = {.granule_shift = 12,
					.ipa_bits = 32,
					.pa_bits = 48,
					.start_level_given = true,
					.start_level = 1};
	struct pt_geometry geo;

	check_eq("pt_geometry_init", pt_geometry_init(&geo, &args), PT_OK);
	section_begin(&m->b);
	for (uint64_t i = 0; i < CONTEXTS; i++) {
		struct pt_ctx *ctx = &m->ctx[i];

		check_eq("pt_ctx_init",
			 pt_ctx_init(ctx, &m->b.agent, &m->b.machine, &geo, 0, 0, UINT64_MAX),
			 PT_OK);
		m->root[i] = ctx->root.v;
		check_eq("first page", point(m, ctx, 0, PT_ITEM_MAP), PT_MAPPED);
		check_eq("first page", point(m, ctx, 0, PT_ITEM_UNMAP), PT_UNMAPPED);
		section_turn(&m->b, i);
	}
	pt_section_end(&m->b.agent);
}

static void *array(uint64_t count, size_t size)
{
	void *at = calloc(count, size);

	check(at != NULL, "memory for contexts", 0, count);
	return at;
}

void bench_contexts(void)
{
	static struct many m;

	bench_open(&m.b, &(struct bench_args){.granule_shift = 12,
					      .size = GIB,
					      .table_bytes = TABLE_BYTES,
					      .untouched = true});
	m.ctx = array(CONTEXTS, sizeof(*m.ctx));
	m.root = array(CONTEXTS, sizeof(*m.root));
	m.order = shuffled(CONTEXTS);
	m.pages = shuffled(PAGES);
	for (unsigned round = 0; round < ROUNDS; round++)
		time_one(&m, ONE);
	make_contexts(&m);
	for (unsigned round = 0; round < ROUNDS; round++) {
		time_spread(&m);
		time_spread_bare(&m);
		time_one(&m, ONE_AMONG);
	}
	for (unsigned row = 0; row < sizeof(name) / sizeof(name[0]); row++)
		printf("%s %.2f\n", name[row], m.best[row]);
	/* The process ends with its tables: to take 100 000 contexts apart is no row. */
	free(m.pages);
	free(m.order);
	free(m.root);
	free(m.ctx);
	free(m.b.slots);
	free(m.b.order);
	pt_host_mmu_destroy(&m.b.mmu);
	pt_host_tables_destroy(&m.b.tables);
}
